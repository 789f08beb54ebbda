"""From readings to the energy of half hours: registers, or power where there is no register.

A register is interpolated at each boundary as an integer, so that half hours telescope: any span sums to
register(end) - register(start), exactly. What lies between two readings is *estimated* where it crosses a boundary
and took longer than MAX_GAP_S; it spreads evenly over its time. Everything else between two readings is *covered*.

Import and export are two registers, each judged by itself. A step that a meter of this home cannot have made (down,
or faster than its maximum power) is decided by what follows, see `segments`.

The answer depends on a bounded neighbourhood: once a register has run on for DECIDE_S and two readings, it no longer
matters what came before (`anchor_before`). The waterfall uses that to recompute no more than a change can touch.
What people have said about an exchange (`exchange_overrides`) goes before what the readings look like.

Energy from power, where there is no register: a power is held to the next reading, for MAX_GAP_S at most. Pure.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.documents import EMPTY, Part
from aggregator.core.periods import Window
from aggregator.core.readings import Reading
from aggregator.core.registers import (
    CHANNELS,
    MAX_GAP_S,
    ExchangeOverrides,
    Register,
    interpolated,
    register_of,
    segments,
)


class WattSeconds(NamedTuple):
    """What held power adds to one half hour: energy of both directions, and the seconds for which it is known."""

    imported: int
    exported: int
    seconds: int


def held_power(
    readings: Sequence[Reading], spans: list[tuple[int, int]], edges: Sequence[int], max_power_w: int
) -> dict[int, WattSeconds]:
    """Power without a register, held to the next reading for at most MAX_GAP_S, by slot."""
    slots: dict[int, WattSeconds] = {}
    if all(map(has_register, readings)):
        return slots
    for reading, following in pairwise(readings):
        if has_register(reading) or not is_plausible(reading.power_w, max_power_w):
            continue
        if any(start <= reading.at < end for start, end in spans):
            continue
        power = reading.power_w or 0
        until = min(following.at, reading.at + MAX_GAP_S, edges[-1])
        start = max(reading.at, edges[0])
        while start < until:
            slot = bisect_right(edges, start) - 1
            end = min(until, edges[slot + 1])
            before = slots.get(slot, WattSeconds(0, 0, 0))
            energy = abs(power) * (end - start)
            added = (energy, 0) if power >= 0 else (0, energy)
            slots[slot] = WattSeconds(
                before.imported + added[0], before.exported + added[1], before.seconds + end - start
            )
            start = end
    return slots


def has_register(reading: Reading) -> bool:
    """Whether a reading has a value of either register."""
    return reading.import_wh is not None or reading.export_wh is not None


def is_plausible(power_w: int | None, max_power_w: int) -> bool:
    """Whether a power is known and within what the home can draw or give."""
    return power_w is not None and abs(power_w) <= max_power_w


def with_power(part: Part, energy: WattSeconds) -> Part:
    """A part with held power added; that time counts as measured."""
    return part._replace(
        import_wh=(part.import_wh or 0) + _whole_wh(energy.imported),
        export_wh=(part.export_wh or 0) + _whole_wh(energy.exported),
        covered_s=part.covered_s + energy.seconds,
    )


def _whole_wh(watt_seconds: int) -> int:
    """Whole Wh, the nearest."""
    return (watt_seconds + 1800) // 3600


# energy


class Share(NamedTuple):
    """What one register adds to one half hour."""

    wh: int
    estimated_wh: int
    span_s: int  # seconds between readings, measured or estimated
    estimated_s: int


def half_hour_parts(
    readings: Sequence[Reading],
    edges: Sequence[int],
    max_power_w: int,
    unusable: Collection[Window] = (),
    exchange_overrides: ExchangeOverrides = (),
) -> list[Part]:
    """The energy between each two neighbouring `edges`, from readings in order of time, one an instant.

    `edges` are the boundaries of consecutive half hours, UTC seconds; the list returned is one shorter. Nothing is
    spread over the gaps that are `unusable`.
    """
    shares: dict[str, list[Share | None]] = {}
    spans: list[tuple[int, int]] = []
    for channel in CHANNELS:
        pieces = [
            piece
            for whole in segments(register_of(readings, channel, exchange_overrides), max_power_w)
            for piece in _without(whole, unusable)
        ]
        spans += [(piece.ats[0], piece.ats[-1]) for piece in pieces]
        shares[channel] = _shares(pieces, edges)
    parts = [_part(*both) for both in zip(*shares.values(), strict=True)]
    for slot, watt_seconds in held_power(readings, spans, edges, max_power_w).items():
        parts[slot] = with_power(parts[slot], watt_seconds)
    return parts


def gaps(
    readings: Sequence[Reading], max_power_w: int, exchange_overrides: ExchangeOverrides = ()
) -> list[set[Window]]:
    """The times between two believed readings that are longer than MAX_GAP_S, of each register that has readings."""
    registers = [segments(register_of(readings, channel, exchange_overrides), max_power_w) for channel in CHANNELS]
    return [
        {Window(*pair) for piece in pieces for pair in pairwise(piece.ats) if pair[1] - pair[0] > MAX_GAP_S}
        for pieces in registers
        if pieces
    ]


def _without(piece: Register, unusable: Collection[Window]) -> Iterator[Register]:
    """A segment cut at gaps over which nothing may be spread."""
    first = 0
    for position, (one, other) in enumerate(pairwise(piece.ats), 1) if unusable else ():
        if (one, other) in unusable:
            yield Register(piece.ats[first:position], piece.whs[first:position], piece.meters[first:position])
            first = position
    yield Register(piece.ats[first:], piece.whs[first:], piece.meters[first:]) if first else piece


def _shares(pieces: Iterable[Register], edges: Sequence[int]) -> list[Share | None]:
    shares: list[Share | None] = [None] * (len(edges) - 1)
    for piece in pieces:
        first = max(bisect_right(edges, piece.ats[0]) - 1, 0)
        last = min(bisect_left(edges, piece.ats[-1]), len(shares))
        for slot in range(first, last):
            share, before = _share(piece, edges[slot], edges[slot + 1]), shares[slot]
            shares[slot] = share if before is None else Share(*map(sum, zip(before, share, strict=True)))
    return shares


def _share(piece: Register, start: int, end: int) -> Share:
    """A segment's energy in a half hour that it touches: a difference of two interpolated registers."""
    start, end = max(start, piece.ats[0]), min(end, piece.ats[-1])
    low, _, leaves = interpolated(piece, start)
    high, enters, _ = interpolated(piece, end)
    estimated_wh = estimated_s = 0
    if leaves > start:
        gap_end = min(leaves, end)
        estimated_wh, estimated_s = interpolated(piece, gap_end)[0] - low, gap_end - start
    if enters < end and (leaves <= start or enters >= leaves):
        gap_start = max(enters, start)
        estimated_wh += high - interpolated(piece, gap_start)[0]
        estimated_s += end - gap_start
    return Share(high - low, estimated_wh, end - start, estimated_s)


def _part(imported: Share | None, exported: Share | None) -> Part:
    present = [share for share in (imported, exported) if share is not None and share.span_s]
    if not present:
        return EMPTY
    main = present[0]  # import, where it is known, decides what counts as measured
    return Part(
        imported.wh if imported in present and imported else None,
        exported.wh if exported in present and exported else None,
        imported.estimated_wh if imported else 0,
        exported.estimated_wh if exported else 0,
        main.span_s - main.estimated_s,
        main.estimated_s,
    )
