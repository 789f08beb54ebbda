"""Times of a file's rows: their notation, the length of intervals, local times as instants. Pure.

A time with an offset, or in seconds since 1970, is an instant (UTC seconds). A time without an offset is local;
`in_utc` resolves it.

The order of the rows resolves the repeated hour in autumn. In a file that ascends or descends in time, local times step
back (or forward) once where the clocks did: the step separates the two passes of the hour. Without a clear step (the
hour occurs once, or the rows are unordered) only the rows of that hour are refused.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol, TypeVar
from zoneinfo import ZoneInfo

from aggregator.core.errors import ConfigurationError, Refused, shown
from aggregator.core.periods import DAY_S, HOUR
from aggregator.core.readings import LONGEST_INTERVAL_S, MAX_TIME
from aggregator.intake.formats.message import instants

Time = int | datetime  # an instant (UTC seconds), or a local time without an offset
_EPOCH = re.compile(r"([0-9]{9,10})(?:\.[0-9]*)?|([0-9]{10})[0-9]{3}")  # 1973 to 2286; seconds or milliseconds
_DATED = re.compile(
    r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}),?"
    r"(?:[ T]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]*)?)?(?: ?([AaPp])\.?[Mm]\.?)?)?"
)
_LENGTH = re.compile(r"([0-9]{1,6}) ?(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": HOUR, "d": DAY_S}


def read_time(text: str, *, is_month_first: bool = False) -> Time:
    """Parse a time: ISO, `24/03/2026 13:30`, `24-03-2026`, seconds since 1970. Raises Refused."""
    trimmed = text.strip()
    if len(trimmed) <= MAX_TIME:
        if epoch := _EPOCH.fullmatch(trimmed):
            return int(epoch[1] or epoch[2])
        try:
            dated = _DATED.fullmatch(trimmed)
            return _local(dated, is_month_first) if dated else _instant(datetime.fromisoformat(trimmed))
        except (ValueError, OverflowError):
            pass
    raise Refused("bad_time", f"the time is {shown(trimmed)}")


def _instant(moment: datetime) -> Time:
    return moment.replace(microsecond=0) if moment.tzinfo is None else int(moment.timestamp() // 1)


def _local(dated: re.Match[str], is_month_first: bool) -> datetime:
    first, _, second, year, hour, minute, seconds, half = dated.groups()
    day, month = (second, first) if is_month_first else (first, second)
    hours = int(hour or 0)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError("an hour of a 12-hour clock is not 1 to 12")
        hours = hours % 12 + (12 if half in "Pp" else 0)
    return datetime(int(year), int(month), int(day), hours, int(minute or 0), int(seconds or 0))  # noqa: DTZ001 - local


def is_month_first(texts: Iterable[str]) -> bool:
    """Whether the month comes first, as in 03/24/2026; without such a date, the day does."""
    return any(found and int(found[3]) > 12 >= int(found[1]) for found in map(_DATED.match, texts))


def interval_of(text: str) -> int:
    """Parse an option's interval to seconds: `30m`, `1h`, `1d`. Raises ConfigurationError."""
    found = _LENGTH.fullmatch(text.strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= DAY_S:
        raise ConfigurationError(f"{text!r} is not an interval; write it like 30m, 1h or 1d: up to a day")
    return seconds


def usual_step(times: Sequence[Time]) -> int | None:
    """Return the most common step between neighbouring rows, in seconds; None where it is unknown."""
    steps = Counter(_between(one, other) for one, other in pairwise(times) if type(one) is type(other) and one != other)
    return steps.most_common(1)[0][0] if steps else None


def _between(one: Time, other: Time) -> int:
    if isinstance(one, datetime):
        assert isinstance(other, datetime)
        return abs(other - one) // timedelta(seconds=1)
    assert isinstance(other, int)
    return abs(other - one)


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


Row = TypeVar("Row", bound=Timed)
_UP, _DOWN = 1, -1


def in_utc(rows: Iterable[Row], zone: str) -> Iterator[tuple[Row, int | Refused]]:
    """Yield each row with the instant of its time (UTC seconds), or with the reason of its refusal."""
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
    is_second = _passes(times, order, after if isinstance(after, datetime) else None)
    for place, (row, time) in enumerate(zip(rows, times, strict=True)):
        yield row, instants(time, zone)[is_second[place]] if is_second else _refused(time, zone)


def _passes(times: Sequence[datetime], order: _Order, after: datetime | None) -> list[bool]:
    """Return for each repeated time whether it is in the second pass; empty where the order does not decide."""
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
        return Refused(
            "ambiguous_time",
            f"{time} occurred twice in {zone}, and the order of the rows does not decide which one it is",
        )
    return Refused("no_such_time", f"{time} does not exist in {zone}: the clocks went forward over it")
