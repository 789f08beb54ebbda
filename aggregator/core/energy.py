"""Energy of half hours from readings: from registers, or from power where there is no register. Pure.

A register is interpolated at each boundary as an integer Wh. Half hours therefore telescope: any span sums to
register(end) - register(start), exactly. A gap longer than MAX_GAP_S spreads evenly over its time; where it crosses
a boundary its energy is *estimated*. All other time between two readings is *covered*.

Import and export are two independent registers. An impossible step (down, or faster than the home's maximum power)
is decided by the readings that follow it, see `registers.segments`. An exchange override decides before the readings.

The result depends on a bounded neighbourhood: after a run of DECIDE_S and two readings, earlier readings no longer
matter (`registers.anchor_before`). The waterfall therefore recomputes only the hours that a change can touch.

Without a register, power is held to the next reading, for MAX_GAP_S at most.
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
    """Held power in one half hour: energy in watt-seconds for each direction, and the seconds covered."""

    imported: int
    exported: int
    seconds: int


def held_power(
    readings: Sequence[Reading], spans: list[tuple[int, int]], edges: Sequence[int], max_power_w: int
) -> dict[int, WattSeconds]:
    """Return held power by slot, for the time that no register covers.

    A power is held to the next reading, for MAX_GAP_S at most. `spans` are the times that registers cover.
    """
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
    """Whether a power is known and within the home's maximum, in either direction."""
    return power_w is not None and abs(power_w) <= max_power_w


def with_power(part: Part, energy: WattSeconds) -> Part:
    """Return the part with held power added; its time counts as measured."""
    return part._replace(
        import_wh=(part.import_wh or 0) + _whole_wh(energy.imported),
        export_wh=(part.export_wh or 0) + _whole_wh(energy.exported),
        covered_s=part.covered_s + energy.seconds,
    )


def _whole_wh(watt_seconds: int) -> int:
    """Round to the nearest whole Wh."""
    return (watt_seconds + 1800) // 3600


# Energy from registers


class Share(NamedTuple):
    """One register's energy in one half hour."""

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
    """Return one part for each half hour, from readings in order of time, one per instant.

    `edges` are the boundaries of consecutive half hours in UTC seconds; the list returned is one shorter. No energy is
    spread over `unusable` gaps.
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
    """Return the gaps of each register with readings: steps between believed readings longer than MAX_GAP_S."""
    registers = [segments(register_of(readings, channel, exchange_overrides), max_power_w) for channel in CHANNELS]
    return [
        {Window(*pair) for piece in pieces for pair in pairwise(piece.ats) if pair[1] - pair[0] > MAX_GAP_S}
        for pieces in registers
        if pieces
    ]


def _without(piece: Register, unusable: Collection[Window]) -> Iterator[Register]:
    """Cut a segment at its unusable gaps."""
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
    """Return a segment's energy in a half hour: the difference of two interpolated register values."""
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
    main = present[0]  # import, where known, decides the measured time
    return Part(
        imported.wh if imported in present and imported else None,
        exported.wh if exported in present and exported else None,
        imported.estimated_wh if imported else 0,
        exported.estimated_wh if exported else 0,
        main.span_s - main.estimated_s,
        main.estimated_s,
    )
