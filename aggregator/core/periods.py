"""The key functions: an instant and a time zone decide the half hour, the day, the month and the year.

Instants are whole UTC seconds since 1970, windows are half-open `(start, end)` pairs of instants, periods are
strings: a day `2026-11-23`, a month `2026-11`, a year `2026`. Local days may have any length: 23 and 25 hours
where the clocks change, 23.5 and 24.5 on Lord Howe Island, none at all where a zone skipped a date.
Parts are named by their position since local midnight (`h00`, `s00`), by day (`d01`) and by month (`m01`).
"""

import calendar
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pendulum
from pendulum import DateTime

from aggregator.core.errors import ConfigurationError

HALF_HOUR = 1800
HOUR = 3600
DAY_S = 86_400  # seconds of a UTC day; a local day may have more or fewer
FOR_EVER = 2**40  # UTC seconds; later than any instant
FIRST_DAY, LAST_DAY = "1970-01-01", "2199-12-31"  # the days that can be asked for
LEVELS = ("day", "month", "year")  # coarsest last
PART_LETTER = {"day": "h", "month": "d", "year": "m"}  # of the parts that a level's chart shows

_FORMATS = {
    "day": re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})"),
    "month": re.compile(r"([0-9]{4})-([0-9]{2})"),
    "year": re.compile(r"([0-9]{4})"),
}


class Window(NamedTuple):
    """A half-open span of time: `start` belongs to it, `end` does not. UTC seconds."""

    start: int
    end: int


class Slot(NamedTuple):
    """A named part of a period: its name in the document, and its window in UTC seconds."""

    name: str
    start: int
    end: int


def block_start(at: int) -> int:
    """The UTC half hour in which readings at `at` are kept."""
    return at - at % HALF_HOUR


def check_timezone(name: str) -> str:
    """`name` if it is an IANA time zone; raises ConfigurationError otherwise."""
    if name not in available_timezones():
        raise ConfigurationError(f"{name!r} is not an IANA time zone; try one like Europe/London")
    return name


def check_period(level: str, period: str) -> str:
    """`period` if it is written as a period of `level` and exists; raises ConfigurationError otherwise."""
    match = _FORMATS[level].fullmatch(period)
    try:
        if match and 1970 <= int(match[1]) <= 2199:
            pendulum.date(*(int(number) for number in (*match.groups(), "1", "1")[:3]))
            return period
    except ValueError:
        pass
    example = {"day": "2026-11-23", "month": "2026-11", "year": "2026"}[level]
    raise ConfigurationError(f"{period!r} is not a {level}; write it like {example}")


# Pendulum reads a zone's file again whenever nobody holds the zone.
_timezone = lru_cache(maxsize=1024)(pendulum.Timezone)


def local(at: int, zone: str) -> DateTime:
    """The local date and time of an instant, with its offset."""
    return pendulum.from_timestamp(at, tz=_timezone(zone))


def iso_utc(at: int) -> str:
    """An instant as others read it: `2026-11-23T14:00:00Z`."""
    return local(at, "UTC").to_iso8601_string()


def iso_local(at: int, zone: str) -> str:
    """An instant as others read it in a time zone, with its offset: `2026-11-23T14:00:00+00:00`."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()  # a fiftieth of the time of pendulum's


@lru_cache(maxsize=65536)
def day_start(day: str, zone: str) -> int:
    """The first instant of a local date.

    Midnight may not exist (the clocks jump over it: the day begins where they land) and may come twice
    (the day begins with the first).
    """
    year, month, date = int(day[:4]), int(day[5:7]), int(day[8:])
    midnight = pendulum.datetime(year, month, date, tz=zone, fold=0)
    if (midnight.day, midnight.hour, midnight.minute) != (date, 0, 0):
        midnight = pendulum.datetime(year, month, date, tz=zone, fold=1)
    return midnight.int_timestamp


def day_of(at: int, zone: str) -> str:
    """The day to which an instant belongs."""
    day = local(at, zone).to_date_string()
    following = shift("day", day, 1)
    # After clocks that went back over midnight the date repeats; the days stay in one piece.
    return following if at >= day_start(following, zone) else day


def period_of(level: str, at: int, zone: str) -> str:
    """The day, month or year to which an instant belongs."""
    return containing(level, day_of(at, zone))


def containing(level: str, period: str) -> str:
    """The period of `level` that contains (or is) the finer or equal `period`."""
    return period[: {"day": 10, "month": 7, "year": 4}[level]]


def shift(level: str, period: str, by: int) -> str:
    """The period `by` steps later (earlier when negative)."""
    if level == "year":
        return f"{int(period) + by:04d}"
    if level == "month":
        months = int(period[:4]) * 12 + int(period[5:7]) - 1 + by
        return f"{months // 12:04d}-{months % 12 + 1:02d}"
    return pendulum.date(int(period[:4]), int(period[5:7]), int(period[8:])).add(days=by).isoformat()


def window(level: str, period: str, zone: str) -> Window:
    """The span of time that a period covers in a time zone."""
    first = period + {"day": "", "month": "-01", "year": "-01-01"}[level]
    after = shift(level, period, 1) + first[len(period) :]
    return Window(day_start(first, zone), day_start(after, zone))


@lru_cache(maxsize=4096)
def slots(level: str, period: str, zone: str) -> tuple[Slot, ...]:
    """The parts of a chart: the hours of a day, the days of a month, the months of a year."""
    if level == "day":
        return tuple(_cut("h", window("day", period, zone), HOUR))
    below, count = ("day", days_in(period)) if level == "month" else ("month", 12)
    names = [f"{number:02d}" for number in range(1, count + 1)]
    return tuple(Slot(PART_LETTER[level] + name, *window(below, f"{period}-{name}", zone)) for name in names)


@lru_cache(maxsize=4096)
def half_hours(day: str, zone: str) -> tuple[Slot, ...]:
    """The half hours of a local day, counted from its midnight: `s00`, `s01`, ..."""
    return tuple(_cut("s", window("day", day, zone), HALF_HOUR))


def days_in(month: str) -> int:
    """How many dates a month has."""
    return calendar.monthrange(int(month[:4]), int(month[5:7]))[1]


def _cut(letter: str, span: Window, step: int) -> Iterator[Slot]:
    """Equal steps from the start of a window; the last is shorter where the window does not divide."""
    for position, start in enumerate(range(span.start, span.end, step)):
        yield Slot(f"{letter}{position:02d}", start, min(start + step, span.end))


def hour_window(at: int, zone: str) -> Window:
    """The hour, counted from local midnight, to which an instant belongs."""
    day = window("day", day_of(at, zone), zone)
    start = at - (at - day.start) % HOUR
    return Window(start, min(start + HOUR, day.end))


def days_of(span: Window, zone: str) -> Iterator[str]:
    """The local days that a span touches."""
    day = day_of(span.start, zone)
    while day_start(day, zone) < span.end:
        yield day
        day = shift("day", day, 1)


def hour_of_half(name: str) -> str:
    """The hour to which a half hour belongs: `s05` is in `h02`."""
    return f"h{int(name[1:]) // 2:02d}"


def part_in(level: str, period: str) -> str:
    """The name that a period has as a part of the next coarser level: `2026-11-05` is `d05` of its month."""
    return PART_LETTER[level] + period[-2:]


def period_below(period: str, part: str) -> str:
    """The period that a part of a month or a year stands for: `d05` of `2026-11` is `2026-11-05`."""
    return f"{period}-{part[1:]}"
