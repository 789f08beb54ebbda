"""From readings to the energy of half hours: registers, or power where there is no register.

A register is interpolated at each boundary as an integer, so that half hours telescope: any span sums to
register(end) - register(start), exactly. What lies between two readings is *estimated* where it crosses a boundary
and took longer than MAX_GAP_S; it spreads evenly over its time. Everything else between two readings is *covered*.

Import and export are two registers, each judged by itself. A step that a meter of this home cannot have made (down,
or faster than its maximum power) is decided by what follows, see `segments`.

The answer depends on a bounded neighbourhood: once a register has run on for DECIDE_S and two readings, it no longer
matters what came before (`anchor_before`). The waterfall uses that to recompute no more than a change can touch.
What people have said about an exchange (`marks`) goes before what the readings look like.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter, ge, sub
from typing import NamedTuple

from aggregator.core.documents import EMPTY, Part
from aggregator.core.exchange_overrides import Marks, marked_between
from aggregator.core.periods import Window
from aggregator.core.power import MAX_GAP_S, held_power, with_power
from aggregator.core.readings import Reading
from aggregator.intake.imports.interval_registers import is_made

LONGEST_S = 400 * 86_400  # nothing is spread over a longer time: it is a clock that was wrong, or another life
DECIDE_S = 300  # how long a strange step is watched before it is believed
DECIDE_READINGS = 2  # and by how many readings at least

CHANNELS = ("import_wh", "export_wh")
_VALUE = {channel: attrgetter(channel) for channel in CHANNELS}
_AT = attrgetter("at")


class Register(NamedTuple):
    """One channel's register readings in order of time."""

    ats: Sequence[int]  # UTC seconds
    whs: Sequence[int]  # Wh
    meters: Sequence[str | None]
    marks: Marks = ()


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
    marks: Marks = (),
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
            for whole in segments(register(readings, channel, marks), max_power_w)
            for piece in _without(whole, unusable)
        ]
        spans += [(piece.ats[0], piece.ats[-1]) for piece in pieces]
        shares[channel] = _shares(pieces, edges)
    parts = [_part(*both) for both in zip(*shares.values(), strict=True)]
    for slot, watt_seconds in held_power(readings, spans, edges, max_power_w).items():
        parts[slot] = with_power(parts[slot], watt_seconds)
    return parts


def gaps(readings: Sequence[Reading], max_power_w: int, marks: Marks = ()) -> list[set[Window]]:
    """The times between two believed readings that are longer than MAX_GAP_S, of each register that has readings."""
    registers = [segments(register(readings, channel, marks), max_power_w) for channel in CHANNELS]
    return [
        {Window(*pair) for piece in pieces for pair in pairwise(piece.ats) if pair[1] - pair[0] > MAX_GAP_S}
        for pieces in registers
        if pieces
    ]


def register(readings: Sequence[Reading], channel: str, marks: Marks = ()) -> Register:
    """The readings that have a value for a channel, with what people have said about its meter."""
    value = _VALUE[channel]
    whs = list(map(value, readings))
    if None in whs:
        readings = [reading for reading in readings if value(reading) is not None]
        whs = list(map(value, readings))
    return Register(list(map(_AT, readings)), whs, [reading.meter_id for reading in readings], marks)


def register_at(piece: Register, at: int) -> int:
    """The register at an instant within a segment, Wh, rounded down."""
    return _at(piece, at)[0]


def anchor_before(points: Register, until: int, max_power_w: int) -> int | None:
    """The newest instant at or before `until` of a reading that is believed whatever comes before or after.

    That is one that ends an unbroken run of at least DECIDE_S and DECIDE_READINGS: whatever was believed before the
    run, what follows its first reading has by then decided for it.
    """
    run = anchored_run(points, until, max_power_w)
    return run[1] if run else None


def anchored_run(points: Register, until: int, max_power_w: int) -> tuple[int, int] | None:
    """The instants of the first and the last reading of the shortest run that makes the newest anchor."""
    last = bisect_right(points.ats, until) - 1
    while last >= DECIDE_READINGS:
        first = last
        while first > 0 and _follows(points, first - 1, first, max_power_w):
            first -= 1
            if _is_long_enough(points, first, last):
                return points.ats[first], points.ats[last]
        last = first - 1
    return None


def anchor_after(points: Register, since: int, max_power_w: int) -> int | None:
    """The oldest instant at or after `since` of such a reading, its run lying wholly within `points`."""
    first = 0
    for last in range(1, len(points.ats)):
        if not _follows(points, last - 1, last, max_power_w):
            first = last
        elif points.ats[last] >= since and _is_long_enough(points, first, last):
            return points.ats[last]
    return None


def _is_long_enough(points: Register, first: int, last: int) -> bool:
    return last - first >= DECIDE_READINGS and points.ats[last] - points.ats[first] >= DECIDE_S


def segments(points: Register, max_power_w: int) -> list[Register]:
    """Runs of one meter's register, without what was dropped and what is still undecided.

    The first reading is believed. A reading that cannot follow the last believed one waits for what comes in the
    next DECIDE_S, and at least the next DECIDE_READINGS: the first of them that fits the old level shows that it was
    a glitch; if instead all go on from the new level, the meter was exchanged and a new segment starts, with no
    energy across the seam (at once when the meter's id changed). If neither, it is dropped. A register that an import
    made runs on with nothing else, so where it begins or ends a segment starts, whatever follows.
    """
    if not points.ats:
        return []
    if _runs_on(points, max_power_w):
        return [points]
    kept = [[0]]
    position = 1
    while position < len(points.ats):
        good = kept[-1][-1]
        if not _follows(points, good, position, max_power_w):
            decided = _decide(points, good, position, max_power_w)
            if decided is None:
                break
            position, is_exchange = decided
            if is_exchange:
                kept.append([])
            elif not _follows(points, good, position, max_power_w):
                continue
        kept[-1].append(position)
        position += 1
    ats, whs, meters, _ = points
    return [Register([ats[i] for i in piece], [whs[i] for i in piece], [meters[i] for i in piece]) for piece in kept]


def _without(piece: Register, unusable: Collection[Window]) -> Iterator[Register]:
    """A segment cut at gaps over which nothing may be spread."""
    first = 0
    for position, (one, other) in enumerate(pairwise(piece.ats), 1) if unusable else ():
        if (one, other) in unusable:
            yield Register(piece.ats[first:position], piece.whs[first:position], piece.meters[first:position])
            first = position
    yield Register(piece.ats[first:], piece.whs[first:], piece.meters[first:]) if first else piece


def _decide(points: Register, good: int, strange: int, max_power_w: int) -> tuple[int, bool] | None:
    """What to look at next after a strange step, and whether a new segment starts there; None while undecided."""
    ats = points.ats
    end = max(bisect_right(ats, ats[strange] + DECIDE_S), strange + 1 + DECIDE_READINGS)
    following = range(strange + 1, min(end, len(ats)))
    for position in following:
        if _follows(points, good, position, max_power_w):
            return position, False
    if is_made(points.meters[good]) or is_made(points.meters[strange]):
        return strange, True
    is_known = strange + DECIDE_READINGS < len(ats) and ats[-1] >= ats[strange] + DECIDE_S
    if is_known or _is_other_meter(points, good, strange):
        goes_on = all(
            _follows(points, position - 1, position, max_power_w) or _marked(points, position - 1, position)
            for position in following
        )
        return (strange, True) if goes_on else (strange + 1, False)
    return None


def _is_other_meter(points: Register, one: int, other: int) -> bool:
    marked = _marked(points, one, other)
    if marked is not None:
        return marked
    before, after = points.meters[one], points.meters[other]
    return before is not None and after is not None and before != after


def _follows(points: Register, one: int, other: int, max_power_w: int) -> bool:
    """Whether one meter can have shown these two values; 1 Wh of the rise may be its own rounding."""
    rise, seconds = points.whs[other] - points.whs[one], points.ats[other] - points.ats[one]
    is_possible = rise >= 0 and seconds <= LONGEST_S and not _is_other_meter(points, one, other)
    return is_possible and ((rise - 1) * 3600 <= max_power_w * seconds or _marked(points, one, other) is False)


def _marked(points: Register, one: int, other: int) -> bool | None:
    """Whether people have said that the meter was exchanged between two readings."""
    return marked_between(points.marks, points.ats[one], points.ats[other]) if points.marks else None


def _runs_on(points: Register, max_power_w: int) -> bool:
    """Every step is a plain one; the common case, without a Python loop."""
    ats, whs, meters, marks = points
    if marks and marked_between(marks, ats[0], ats[-1]):
        return False
    if len(set(meters) - {None}) > 1 or not all(map(ge, whs[1:], whs)):
        return False
    if len(ats) < 2:
        return True
    steepest, steps = max(map(sub, whs[1:], whs)), list(map(sub, ats[1:], ats))
    if (steepest - 1) * 3600 <= max_power_w * min(steps) and max(steps) <= LONGEST_S:
        return True
    return all(_follows(points, one, other, max_power_w) for one, other in pairwise(range(len(ats))))


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
    low, _, leaves = _at(piece, start)
    high, enters, _ = _at(piece, end)
    estimated_wh = estimated_s = 0
    if leaves > start:
        gap_end = min(leaves, end)
        estimated_wh, estimated_s = _at(piece, gap_end)[0] - low, gap_end - start
    if enters < end and (leaves <= start or enters >= leaves):
        gap_start = max(enters, start)
        estimated_wh += high - _at(piece, gap_start)[0]
        estimated_s += end - gap_start
    return Share(high - low, estimated_wh, end - start, estimated_s)


def _at(piece: Register, at: int) -> tuple[int, int, int]:
    """The register at an instant within a segment (rounded down), and the gap around it (`at, at` if none)."""
    ats, whs, *_ = piece
    after = bisect_left(ats, at)
    if ats[after] == at:
        return whs[after], at, at
    start, end = ats[after - 1], ats[after]
    wh = whs[after - 1] + (whs[after] - whs[after - 1]) * (at - start) // (end - start)
    return (wh, start, end) if end - start > MAX_GAP_S else (wh, at, at)


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
