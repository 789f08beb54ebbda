"""When rows were: local times as instants, and the length of intervals. Pure.

A time without an offset is local; `in_utc` resolves it. The order of the rows resolves the repeated hour in autumn. In
a file that ascends or descends in time, local times step back (or forward) once where the clocks did: the step tells
the two passes of the hour. Where each time stands there twice in a row, the first is of the first pass (in a descending
file of the second). Otherwise (the hour occurs once, or the rows are unordered) only the rows of that hour are refused.

`lengths` gives each row of a file without ends the length of its interval, from its neighbours.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.intake.formats.message import instants
from aggregator.intake.tables.notation import Time


def end_of(start: int, written: Time, end: Time | None, interval_s: int, zone: str) -> int:
    """Return the end of an interval: `end` of its row, or `interval_s` after its start. Raises Refused.

    `written` is the start in the row's notation.
    """
    if isinstance(end, datetime):
        found = _nearest_end(start, written, end, zone)
    else:
        found = end if end is not None else days_after(start, 1, zone) if interval_s == DAY_S else start + interval_s
    length = found - start
    if not 0 < length <= LONGEST_INTERVAL_S:
        raise Refused("bad_interval", f"the interval lasts {length} s")
    return found


def days_after(at: int, days: int, zone: str) -> int:
    """Return the instant at the same local time `days` later (earlier if negative); local days may have 25 hours."""
    local = datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None)
    return next(iter(instants(local + timedelta(days=days), zone)), at + days * DAY_S)


def _nearest_end(start: int, written: Time, end: datetime, zone: str) -> int:
    """Return the first instant after the start that the end's local time can mean.

    Where a row begins in a repeated hour or ends in a skipped one, the file's clock may ignore the change.
    """
    ends = [at for at in instants(end, zone) if at > start][:1]
    if isinstance(written, datetime) and end > written and (not ends or len(instants(written, zone)) == 2):
        ends.append(start + (end - written) // timedelta(seconds=1))
    return min(ends, default=start)


# Local times as instants

MOST = 10_000  # rows of one repeated hour; more are refused


class Timed(Protocol):
    """A row with a time."""

    @property
    def time(self) -> Time:
        """An instant (UTC seconds), or a local time."""

    @property
    def series(self) -> int:
        """The number of its series."""


Row = TypeVar("Row", bound=Timed)
_UP, _DOWN = 1, -1


def in_utc(rows: Iterable[Row], zone: str) -> Iterator[tuple[Row, int | Refused]]:
    """Yield each row with the instant of its time (UTC seconds), or with the reason of its refusal.

    Rows of different series are ordered each for themselves.
    """
    lanes: dict[int, tuple[_Order, list[Row]]] = {}
    for row in rows:
        if isinstance(row.time, int):
            yield row, row.time
            continue
        found = instants(row.time, zone)
        if row.series not in lanes:
            lanes[row.series] = _Order(), []
        order, waiting = lanes[row.series]
        if len(found) == 2 and len(waiting) < MOST:
            waiting.append(row)
            continue
        if waiting:
            yield from _told(waiting, order, row.time, zone)
            waiting.clear()
        if len(found) == 1:
            order.note(row.time)
        yield row, found[0] if len(found) == 1 else _refused(row.time, zone)
    for order, waiting in lanes.values():
        yield from _told(waiting, order, None, zone)


class _Order:
    """The direction of the unambiguous local times so far."""

    def __init__(self) -> None:
        self.last: datetime | None = None
        self.ways: set[int] = set()

    def note(self, time: Time) -> None:
        """Note the next unambiguous time."""
        if isinstance(time, datetime):
            if self.last is not None and time != self.last:
                self.ways.add(_way(self.last, time))
            self.last = time


def _told(rows: Sequence[Row], order: _Order, after: Time | None, zone: str) -> Iterator[tuple[Row, int | Refused]]:
    """Yield rows of a repeated hour with their instant, where the order of rows decides it."""
    times = [row.time for row in rows if isinstance(row.time, datetime)]
    is_second = _passes(times, order, after if isinstance(after, datetime) else None) or _interleaved(times, order)
    for place, (row, time) in enumerate(zip(rows, times, strict=True)):
        yield row, instants(time, zone)[is_second[place]] if is_second else _refused(time, zone)


def _passes(times: Sequence[datetime], order: _Order, after: datetime | None) -> list[bool]:
    """Return for each repeated time whether it is in the second pass; empty where the order does not decide."""
    around = [time for time in (order.last, *times, after) if time is not None]
    before = 0 if order.last is None else 1
    found = []
    for way in (_UP, _DOWN):
        turns = [place - before for place, pair in enumerate(pairwise(around), 1) if _way(*pair) != way]
        if len(times) > 2 and any(times[turn - 1] == times[turn] for turn in turns if 0 < turn < len(times)):
            continue  # one of the times is missing: the rows around it may be of either pass
        if order.ways <= {way} and len(turns) == 1 and 0 < turns[0] < len(times):
            found.append([(place >= turns[0]) == (way == _UP) for place in range(len(times))])
    return found[0] if len(found) == 1 else []


def _interleaved(times: Sequence[datetime], order: _Order) -> list[bool]:
    """Return the pass of each time where all stand there twice in a row; empty otherwise."""
    firsts, seconds = times[::2], times[1::2]
    ways = {_way(*pair) for pair in pairwise(firsts)} | order.ways
    if firsts != seconds or len(times) < 4 or len(ways) != 1 or 0 in ways:
        return []
    return [(place % 2 == 1) == (ways == {_UP}) for place in range(len(times))]


def _way(one: datetime, other: datetime) -> int:
    return _UP if other > one else _DOWN if other < one else 0


def _refused(time: Time, zone: str) -> Refused:
    if isinstance(time, datetime) and instants(time, zone):
        return Refused(
            "ambiguous_time",
            f"{time} occurred twice in {zone}, and the order of the rows does not decide which one it is",
        )
    return Refused("no_such_time", f"{time} does not exist in {zone}: the clocks went forward over it")


# Lengths of intervals

_AHEAD = 8  # rows that say which step is usual
_RUN = 6  # equal larger steps that are no holes
SortRow = tuple[Any, ...]


def lengths(rows: Iterable[SortRow], step_s: int | None = None, *, is_by_end: bool = False) -> Iterator[SortRow]:
    """Yield rows in order of time (first field) with the length of their interval as the second field, seconds.

    The length is the step to the next row, or from the row before where the time is the end (`is_by_end`). Across a
    hole it is that of the rows around it.
    """
    window, before, usual = deque[SortRow](), None, step_s or 0
    source = iter(rows)
    while True:
        while len(window) <= _AHEAD and (row := next(source, None)) is not None:
            window.append(row)
        if not window:
            return
        edge = window[0][0] if before is None else before
        beyond = window[0][0] if before is not None else window[1][0] if len(window) > 1 else edge
        if not step_s and beyond - edge != usual:
            ats = [row[0] for row in window]
            steps = [other - one for one, other in pairwise(ats if before is None else [before, *ats])]
            usual = _length(steps, usual)
        row = window.popleft()
        before = row[0] if is_by_end else None
        yield row[0], usual, *row[2:]


def _length(steps: Sequence[int], usual: int) -> int:
    """Return the length of an interval with the step of its own and those that follow; `usual` before, 0 at first."""
    if not steps or steps[0] == usual:
        return usual
    if not usual or steps[0] < usual:
        common = Counter(steps).most_common()
        return min(one for one, count in common if count == common[0][1])
    return steps[0] if len(steps) >= _RUN and all(one == steps[0] for one in steps[:_RUN]) else usual


def usual_step(ats: Sequence[int]) -> int:
    """Return the most common step between times, seconds; 0 without one."""
    steps = Counter(other - one for one, other in pairwise(ats))
    return steps.most_common(1)[0][0] if steps else 0


def share_of_usual(ats: Sequence[int]) -> float:
    """Return the share of steps between times that are the most common one."""
    steps = Counter(other - one for one, other in pairwise(ats))
    return steps.most_common(1)[0][1] / steps.total() if steps else 1.0


def way_of(ats: Sequence[int]) -> int:
    """Return 1 for rows whose times ascend, -1 where they descend, 0 for neither; one step in ten may differ."""
    ways = [other - one for one, other in pairwise(ats) if one != other]
    up = sum(way > 0 for way in ways)
    return 1 if up * 10 >= len(ways) * 9 else -1 if up * 10 <= len(ways) else 0


def smallest_step(ats: Sequence[int]) -> int:
    """Return the smallest step between times in order, seconds: the step of rows of which only some are there."""
    return min((other - one for one, other in pairwise(ats)), default=0)
