"""Periods: the half hour, day, month and year of an instant in a time zone.

Instants are whole UTC seconds since 1970, windows are half-open `(start, end)` pairs of instants, periods are
strings: a day `2026-11-23`, a month `2026-11`, a year `2026`. A local day may have any length: 23 and 25 hours at
clock changes, 23.5 and 24.5 hours on Lord Howe Island, no time at all if the zone skipped the date.
Parts are named by their position since local midnight (`h00`, `s00`), by day (`d01`) and by month (`m01`).

`LEVELS` is the table of the waterfall's levels; all code about levels walks it. A new level is a row here and its
words in the dashboard (`LevelWords`).
"""

import calendar
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pendulum
from pendulum import DateTime

from aggregator.core.errors import ConfigurationError, Phrase

HALF_HOUR = 1800
HOUR = 3600
DAY_S = 86_400  # seconds of a UTC day; a local day may have more or fewer
FOR_EVER = 2**40  # UTC seconds; later than any instant
FIRST_DAY, LAST_DAY = "1970-01-01", "2199-12-31"  # the range of valid days
RETENTION_DAYS = 35  # of readings, by default (WATTFALL_RETENTION_DAYS); documents never expire
RECORD_DAYS = 35  # of the support desk's records: states, refusals, censuses, backfilled half hours


def _shift_day(day: str, by: int) -> str:
    return date.fromordinal(date.fromisoformat(day).toordinal() + by).isoformat()


def _shift_month(month: str, by: int) -> str:
    months = int(month[:4]) * 12 + int(month[5:7]) - 1 + by
    return f"{months // 12:04d}-{months % 12 + 1:02d}"


def _shift_year(year: str, by: int) -> str:
    return f"{int(year) + by:04d}"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the waterfall: the format of its periods, their parts, and their table.

    Periods and part names sort by time as text. Days are local dates as text.
    """

    name: str  # in addresses and commands
    table: str  # of its documents, in both stores
    child: str  # the level whose totals are its parts; empty for the lowest level, computed from readings
    letter: str  # the first letter of its chart's part names
    of_day: Callable[[str], str]  # the period that contains a day
    first_day: Callable[[str], str]  # of a period; ValueError or an invalid day for an invalid period
    shift: Callable[[str, int], str]  # the period a number of steps later
    part_of: Callable[[str], str] = lambda child: child[-2:]  # a child's period -> its part name after the letter

    @property
    def has_hours(self) -> bool:
        """Whether its parts are hours and half hours."""
        return not self.child

    @property
    def example(self) -> str:
        """Return an example of its periods."""
        return self.of_day("2026-11-23")


_ROWS = (  # finest first
    Level("day", "days", "", "h", lambda day: day, lambda day: day, _shift_day),
    Level("month", "months", "day", "d", lambda day: day[:7], lambda month: f"{month}-01", _shift_month),
    Level("year", "years", "month", "m", lambda day: day[:4], lambda year: f"{year}-01-01", _shift_year),
)
LEVELS: dict[str, Level] = {level.name: level for level in _ROWS}
LOWEST = _ROWS[0].name


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
    """Return the start of the block that contains `at`: its UTC half hour."""
    return at - at % HALF_HOUR


_OFFSETS = frozenset(
    ["UTC", "UCT", "Universal", "Zulu", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich", "EST", "MST", "HST"]
)


@lru_cache(maxsize=1024)  # the zones are looked for on the disk each time, which takes 20 ms
def check_timezone(name: str) -> str:
    """Return `name` if it is an IANA time zone; raise ConfigurationError otherwise."""
    if name not in available_timezones():
        text = Phrase("{name} is not an IANA time zone; try one like Europe/London", name=repr(name))
        raise ConfigurationError(text)
    return name


def is_of_a_place(zone: str) -> bool:
    """Whether people live by a time zone; UTC and constant offsets from it are those of machines and files."""
    return not zone.startswith("Etc/") and zone not in _OFFSETS


def check_period(level: str, period: str) -> str:
    """Return `period` if it is a valid period of `level`; raise ConfigurationError otherwise."""
    row = LEVELS[level]
    try:
        first = row.first_day(period)
        is_day = date.fromisoformat(first).isoformat() == first  # refuse other spellings
        if is_day and FIRST_DAY <= first <= LAST_DAY and row.of_day(first) == period:
            return period
    except ValueError:
        pass
    text = Phrase(
        "{name} is not a {level}; write it like {example}", name=repr(period), level=level, example=row.example
    )
    raise ConfigurationError(text)


# Pendulum reads a zone's file again when no zone object is held.
_timezone = lru_cache(maxsize=1024)(pendulum.Timezone)


def local(at: int, zone: str) -> DateTime:
    """Return the local date and time of an instant, with its offset."""
    return pendulum.from_timestamp(at, tz=_timezone(zone))


def iso_utc(at: int) -> str:
    """Return an instant in ISO format: `2026-11-23T14:00:00Z`."""
    return local(at, "UTC").to_iso8601_string()


def iso_local(at: int, zone: str) -> str:
    """Return an instant in ISO format with its local offset: `2026-11-23T14:00:00+00:00`."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()  # 50 times as fast as pendulum


@lru_cache(maxsize=65536)
def day_start(day: str, zone: str) -> int:
    """Return the first instant of a local date.

    If the clocks skip midnight, the day begins after the jump. If midnight comes twice, the day begins at the first.
    """
    year, month, date = int(day[:4]), int(day[5:7]), int(day[8:])
    midnight = pendulum.datetime(year, month, date, tz=zone, fold=0)
    if (midnight.day, midnight.hour, midnight.minute) != (date, 0, 0):
        midnight = pendulum.datetime(year, month, date, tz=zone, fold=1)
    return midnight.int_timestamp


def day_of(at: int, zone: str) -> str:
    """Return the local day of an instant."""
    day = datetime.fromtimestamp(at, ZoneInfo(zone)).date().isoformat()
    following = shift("day", day, 1)
    # Clocks that go back over midnight repeat a date; each day still is one span.
    return following if at >= day_start(following, zone) else day


def period_of(level: str, at: int, zone: str) -> str:
    """Return the period of `level` that contains an instant."""
    return LEVELS[level].of_day(day_of(at, zone))


def containing(level: str, of: str, period: str) -> str:
    """Return the period of `level` that contains the first day of `period`, a period of the level `of`.

    At a coarser level this is the surrounding period, at a finer level the first part.
    """
    return LEVELS[level].of_day(LEVELS[of].first_day(period))


def position(level: str) -> int:
    """Return the position of a level in the table, finest first."""
    return tuple(LEVELS).index(level)


def feed_levels() -> tuple[str, ...]:
    """Return the levels that feed another level, finest first."""
    children = {row.child for row in LEVELS.values()}
    return tuple(level for level in LEVELS if level in children)


def lineage(level: str) -> list[str]:
    """Return a level, its child, and so on down to the lowest level."""
    chain = [level]
    while child := LEVELS[chain[-1]].child:
        chain.append(child)
    return chain


def shift(level: str, period: str, by: int) -> str:
    """Return the period `by` steps later (earlier when negative)."""
    return LEVELS[level].shift(period, by)


def window(level: str, period: str, zone: str) -> Window:
    """Return the window of a period in a time zone."""
    row = LEVELS[level]
    return Window(
        day_start(row.first_day(period), zone),
        day_start(row.first_day(row.shift(period, 1)), zone),
    )


def days(level: str, period: str) -> tuple[str, str]:
    """Return the first and the last day of a period."""
    row = LEVELS[level]
    return row.first_day(period), _shift_day(row.first_day(row.shift(period, 1)), -1)


@lru_cache(maxsize=4096)
def children(level: str, period: str) -> Mapping[str, str]:
    """Return the child's periods within a period, by part name, in order. The level must have a child."""
    row = LEVELS[level]
    child, end = LEVELS[row.child], row.first_day(row.shift(period, 1))
    one, by_part = child.of_day(row.first_day(period)), {}
    while child.first_day(one) < end:
        by_part[part_in(level, one)] = one
        one = child.shift(one, 1)
    return by_part


@lru_cache(maxsize=4096)
def slots(level: str, period: str, zone: str) -> tuple[Slot, ...]:
    """Return the parts of a chart: the hours of a day, the days of a month, the months of a year."""
    row = LEVELS[level]
    if row.has_hours:
        return tuple(_cut(row.letter, window(level, period, zone), HOUR))
    return tuple(Slot(name, *window(row.child, one, zone)) for name, one in children(level, period).items())


@lru_cache(maxsize=4096)
def half_hours(day: str, zone: str) -> tuple[Slot, ...]:
    """Return the half hours of a local day, counted from its midnight: `s00`, `s01`, ..."""
    return tuple(_cut("s", window("day", day, zone), HALF_HOUR))


def days_in(month: str) -> int:
    """Return the number of dates in a month."""
    return calendar.monthrange(int(month[:4]), int(month[5:7]))[1]


def _cut(letter: str, span: Window, step: int) -> Iterator[Slot]:
    """Cut a window into equal steps from its start; the last may be shorter."""
    for position, start in enumerate(range(span.start, span.end, step)):
        yield Slot(f"{letter}{position:02d}", start, min(start + step, span.end))


def hour_window(at: int, zone: str) -> Window:
    """Return the hour that contains an instant, counted from local midnight."""
    day = window("day", day_of(at, zone), zone)
    start = at - (at - day.start) % HOUR
    return Window(start, min(start + HOUR, day.end))


def days_of(span: Window, zone: str) -> Iterator[str]:
    """Yield the local days that a span touches."""
    day = day_of(span.start, zone)
    while day_start(day, zone) < span.end:
        yield day
        day = shift("day", day, 1)


def hour_of_half(name: str) -> str:
    """Return the hour of a half hour: `s05` is in `h02`."""
    return f"h{int(name[1:]) // 2:02d}"


def halves_of(name: str) -> tuple[str, str]:
    """Return the half hours of the hour of a half hour: `s04` and `s05` for either. A day may end with the first."""
    first = int(name[1:]) // 2 * 2
    return f"s{first:02d}", f"s{first + 1:02d}"


def part_in(level: str, period: str) -> str:
    """Return the part name of a child's period: `2026-11-05` is `d05` of its month."""
    row = LEVELS[level]
    return row.letter + row.part_of(period)


def period_below(level: str, period: str, part: str) -> str:
    """Return the child's period of a part: `d05` of the month `2026-11` is `2026-11-05`."""
    return children(level, period)[part]
