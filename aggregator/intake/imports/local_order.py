"""Local times without an offset as instants: an hour that comes twice is told by the order of the rows. Pure.

Rows that go up or down in time step back (or on) once where the clocks did: what comes before the step is one pass of
the hour, what comes after it the other. Where that cannot be told, as in a file that has the hour once, or whose rows
are in no order, those rows are refused, and no others.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol, TypeVar

from aggregator.core.errors import Refused
from aggregator.intake.formats.local_time import instants
from aggregator.intake.imports.row_times import Time

MOST = 10_000  # rows of one repeated hour; with more of them it cannot be told


class Timed(Protocol):
    """A row with a time."""

    @property
    def time(self) -> Time:
        """An instant (UTC seconds), or a local time."""


Row = TypeVar("Row", bound=Timed)
_UP, _DOWN = 1, -1


def in_utc(rows: Iterable[Row], zone: str) -> Iterator[tuple[Row, int | Refused]]:
    """Each row with the instant of its time (UTC seconds), or with why it has none."""
    order, waiting = _Order(), list[Row]()
    for row in rows:
        found = instants(row.time, zone) if isinstance(row.time, datetime) else (row.time,)
        if len(found) == 2 and len(waiting) < MOST:
            waiting.append(row)
            continue
        if waiting:
            yield from _told(waiting, order, row.time, zone)
            waiting = []
        if len(found) == 1:
            order.note(row.time)
        yield row, found[0] if len(found) == 1 else _refused(row.time, zone)
    yield from _told(waiting, order, None, zone)


class _Order:
    """Whether local times have gone up or down so far."""

    def __init__(self) -> None:
        self.last: datetime | None = None
        self.ways: set[int] = set()

    def note(self, time: Time) -> None:
        """The next time that came once."""
        if isinstance(time, datetime):
            if self.last is not None and time != self.last:
                self.ways.add(_way(self.last, time))
            self.last = time


def _told(rows: Sequence[Row], order: _Order, after: Time | None, zone: str) -> Iterator[tuple[Row, int | Refused]]:
    """Rows of a repeated hour, each with the one instant of two that it means, if the order tells."""
    times = [row.time for row in rows if isinstance(row.time, datetime)]
    is_second = _passes(times, order, after if isinstance(after, datetime) else None)
    for place, (row, time) in enumerate(zip(rows, times, strict=True)):
        yield row, instants(time, zone)[is_second[place]] if is_second else _refused(time, zone)


def _passes(times: Sequence[datetime], order: _Order, after: datetime | None) -> list[bool]:
    """Of each of some repeated times whether it is of the second pass; empty where the order does not tell."""
    around = [time for time in (order.last, *times, after) if time is not None]
    before = 0 if order.last is None else 1
    found = []
    for way in (_UP, _DOWN):
        turns = [place - before for place, pair in enumerate(pairwise(around), 1) if _way(*pair) != way]
        if order.ways <= {way} and len(turns) == 1 and 0 < turns[0] < len(times):
            found.append([(place >= turns[0]) == (way == _UP) for place in range(len(times))])
    return found[0] if len(found) == 1 else []


def _way(one: datetime, other: datetime) -> int:
    return _UP if other > one else _DOWN if other < one else 0


def _refused(time: Time, zone: str) -> Refused:
    if isinstance(time, datetime) and instants(time, zone):
        return Refused("ambiguous_time", f"{time} came twice in {zone}, and which one it is cannot be told")
    return Refused("no_such_time", f"{time} did not come in {zone}: the clocks were put forward over it")
