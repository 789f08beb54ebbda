"""The timeline of one channel: which evidence decides each span of time, and its energy. Pure.

Evidence decides in this order:

1. *Register readings* no further apart than the register's own rhythm (`registers.gap_positions`).
2. *Intervals*, the shorter first, then the earlier, then the smaller. An interval whose time is partly decided gives
   the rest of its energy, at least 0, to the rest of its time.
3. *Gaps* of the register. Intervals in a gap shape it, and the remainder of the register's difference is spread evenly
   over the rest of the gap: it is *estimated*. Intervals that exceed it by more than rounding do not count in the gap.

A gap within one half hour needs no estimate: the register tells the half hour's energy.

The order of the evidence does not matter. Energies are integer Wh and telescope: a piece of a register adds up to the
difference of its ends, whatever decides in between.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from aggregator.core.faults import judge
from aggregator.core.periods import Window
from aggregator.core.readings import Interval
from aggregator.core.registers import Register, gap_positions, register_at


class FlowOrigin(IntEnum):
    """Where an energy comes from."""

    MEASURED = 0
    INTERVAL = 1
    ESTIMATED = 2


class Flow(NamedTuple):
    """The energy of one decided span."""

    start: int  # UTC seconds
    end: int  # UTC seconds
    origin: FlowOrigin
    level: Callable[[int], int]  # an instant of the span -> a counter in Wh


class RegisterGap(NamedTuple):
    """A gap of a register that is spread over several half hours."""

    start: int  # UTC seconds of the last reading before it
    end: int  # UTC seconds of the first reading after it
    start_wh: int
    end_wh: int


class Timeline:
    """The decided spans of one channel in order of time, without overlaps."""

    def __init__(self, pieces: Sequence[Register] = ()) -> None:
        self.pieces = pieces  # the believed readings
        self.flows: list[Flow] = []
        self.gaps: list[RegisterGap] = []
        self.exceeding: list[RegisterGap] = []  # gaps with intervals of more energy than the register's difference

    def add(self, flow: Flow) -> None:
        """Add a span that is free."""
        self.flows.insert(bisect_left(self.flows, flow.start, key=attrgetter("start")), flow)

    def overlapping(self, start: int, end: int) -> list[Flow]:
        """Return the spans that overlap a window, in order."""
        first = bisect_right(self.flows, start, key=attrgetter("end"))
        return self.flows[first : bisect_left(self.flows, end, first, key=attrgetter("start"))]

    def free(self, start: int, end: int) -> list[Window]:
        """Return the undecided parts of a window, in order."""
        windows: list[Window] = []
        for flow in self.overlapping(start, end):
            if start < flow.start:
                windows.append(Window(start, flow.start))
            start = flow.end
        return [*windows, Window(start, end)] if start < end else windows

    def energy(self, start: int, end: int) -> int:
        """Return the decided energy of a window, Wh."""
        return sum(
            flow.level(min(end, flow.end)) - flow.level(max(start, flow.start)) for flow in self.overlapping(start, end)
        )

    def clear(self, start: int, end: int) -> None:
        """Make a window free again."""
        for flow in self.overlapping(start, end):
            self.flows.remove(flow)
            if flow.start < start:
                self.add(flow._replace(end=start))
            if end < flow.end:
                self.add(flow._replace(start=end))

    def within(self, windows: Sequence[Window]) -> "Timeline":
        """Return the spans within some windows, in order."""
        inner = Timeline()
        for start, end in windows:
            for flow in self.overlapping(start, end):
                inner.flows.append(flow._replace(start=max(start, flow.start), end=min(end, flow.end)))
        return inner

    def spread(self, wh: int, windows: Sequence[Window], origin: FlowOrigin) -> None:
        """Spread an energy evenly over free windows."""
        total, before = sum(end - start for start, end in windows), 0
        for start, end in windows:
            self.add(Flow(start, end, origin, partial(_spread_until, wh, total, before - start)))
            before += end - start


def _spread_until(wh: int, total_s: int, offset_s: int, at: int) -> int:
    return wh * (at + offset_s) // total_s


def timeline(
    points: Register, intervals: Sequence[tuple[Interval, int]], edges: Sequence[int], max_power_w: int
) -> Timeline:
    """Return the timeline of a channel from its register and its intervals, each with its energy in Wh.

    `edges` are the boundaries of consecutive half hours in UTC seconds. Outside of them the timeline may lack spans.
    """
    return timeline_of(judge(points, max_power_w).pieces, intervals, edges)


def timeline_of(
    pieces: Sequence[Register], intervals: Sequence[tuple[Interval, int]], edges: Sequence[int]
) -> Timeline:
    """Return the timeline of a channel from the believed pieces of its register, and its intervals."""
    line = Timeline(pieces)
    for piece in pieces:
        for first, last, is_gap in _stretches(piece, edges):
            start, end = piece.ats[first], piece.ats[last]
            if is_gap:
                line.gaps.append(RegisterGap(start, end, piece.whs[first], piece.whs[last]))
            elif start < end:
                line.flows.append(Flow(start, end, FlowOrigin.MEASURED, partial(register_at, piece)))
    for interval, wh in sorted(intervals, key=_strength):
        windows = line.free(interval.start, interval.end)
        if windows:
            rest = max(wh - line.energy(interval.start, interval.end), 0)
            line.spread(rest, windows, FlowOrigin.INTERVAL)
    for gap in line.gaps:
        _fill(line, gap)
    return line


def _strength(stated: tuple[Interval, int]) -> tuple[int, int, int]:
    interval, wh = stated
    return interval.end - interval.start, interval.start, wh


def _stretches(piece: Register, edges: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield the stretches of a piece as positions of their first and last reading, and whether each is a gap."""
    first = 0
    for position in gap_positions(piece.ats):
        if bisect_right(edges, piece.ats[position]) == bisect_left(edges, piece.ats[position + 1]):
            continue  # within one half hour
        yield first, position, False
        yield position, position + 1, True
        first = position + 1
    yield first, len(piece.ats) - 1, False


def _fill(line: Timeline, gap: RegisterGap) -> None:
    """Decide a gap: its intervals, and the remainder of the register's difference over the rest of its time."""
    difference = gap.end_wh - gap.start_wh
    inside = line.overlapping(gap.start, gap.end)
    known, windows = line.energy(gap.start, gap.end), line.free(gap.start, gap.end)
    if known <= difference and windows:
        line.spread(difference - known, windows, FlowOrigin.ESTIMATED)
    elif known and abs(known - difference) <= len(inside):
        _scale(line, gap, inside, difference, known)
        line.spread(0, windows, FlowOrigin.ESTIMATED)
    elif inside and known <= difference:
        _scale(line, gap, inside, difference, known) if known else _estimate(line, gap)
    elif inside:
        line.exceeding.append(gap)
        _estimate(line, gap)


def _estimate(line: Timeline, gap: RegisterGap) -> None:
    line.clear(gap.start, gap.end)
    line.spread(gap.end_wh - gap.start_wh, [Window(gap.start, gap.end)], FlowOrigin.ESTIMATED)


def _scale(line: Timeline, gap: RegisterGap, inside: Sequence[Flow], difference: int, known: int) -> None:
    """Scale the intervals in a gap to the register's difference, from which they differ by little, or lack some."""
    before = 0
    line.clear(gap.start, gap.end)
    for flow in inside:
        start, end = max(flow.start, gap.start), min(flow.end, gap.end)
        line.add(
            Flow(start, end, flow.origin, partial(_scaled, flow.level, flow.level(start), before, difference, known))
        )
        before += flow.level(end) - flow.level(start)


def _scaled(level: Callable[[int], int], start_wh: int, before: int, difference: int, known: int, at: int) -> int:
    return difference * (before + level(at) - start_wh) // known
