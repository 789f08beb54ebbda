"""Numbers, times and periods for readers, in their language; a space precedes the unit. Pure.

`LEVEL_WORDS` holds the words of each level of `periods.LEVELS`. `attributes` writes HTML attributes with hyphens, which
Python keywords cannot contain; `element` and `plain` write HTML components as JSON.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from pendulum import DateTime

from aggregator.core import periods
from dashboard.text.language import Language, text

MINUTE = 60  # seconds
WEEKDAY_AND_DATE = text("EEEE d MMMM")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # the beginnings of what a spreadsheet computes


class Amount(NamedTuple):
    """A number and its unit, separate so that a page can style them separately."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".rstrip()


def power(power_w: int, lang: Language) -> Amount:
    """Return W below 1 kW, else kW with two decimals. Drops the sign; the page names the direction."""
    watts = abs(power_w)
    return Amount(str(watts), "W") if watts < 1000 else Amount(lang.number(Decimal(watts) / 1000, 2), "kW")


SMALL_WH = 100  # less is told in Wh


def energy(wh: int, lang: Language) -> Amount:
    """Return kWh with two decimals or fewer, by size; Wh where kWh would keep one digit at most."""
    if 0 < abs(wh) < SMALL_WH:
        return Amount(lang.number(wh), "Wh")
    decimals = 0 if not wh or abs(wh) >= 99_950 else 1 if abs(wh) >= 9_995 else 2
    return Amount(lang.number(Decimal(wh) / 1000, decimals), "kWh")


def volume(litres: int, lang: Language) -> Amount:
    """Return m³ with two decimals or fewer, by size."""
    decimals = 0 if litres >= 999_500 else 1 if litres >= 99_950 else 2
    return Amount(lang.number(Decimal(litres) / 1000, decimals), "m³")


def duration(seconds: int, lang: Language) -> str:
    """Return `2 h 10 min`: at most two units, rounded down."""
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < periods.HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < 2 * periods.DAY_S:
        return _two(f"{seconds // periods.HOUR} h", seconds % periods.HOUR // MINUTE, "min")
    days = lang.count("{number} day", "{number} days", seconds // periods.DAY_S)
    return _two(days, seconds % periods.DAY_S // periods.HOUR, "h")


def ago(seconds: int, lang: Language) -> str:
    """Return the age; assets/wattfall.js writes the same while it ticks."""
    return lang.say("{duration} ago", duration=duration(max(0, seconds), lang))


def since(at: int, now: int, zone: str, lang: Language) -> str:
    """Return the local time of an instant, with its date unless that is today."""
    local = periods.local(at, zone)
    clock = local.format("HH:mm")
    if periods.day_of(at, zone) == periods.day_of(now, zone):
        return clock
    this_year = local.year == periods.local(now, zone).year
    day = lang.date(local, WEEKDAY_AND_DATE if this_year else text("d MMMM y"))
    return lang.say("{time} on {day}", time=clock, day=day)


def date_and_time(at: int, zone: str, lang: Language) -> str:
    """Return the local date and time of an instant: `20 November, 10:30`."""
    local = periods.local(at, zone)
    return f"{lang.date(local, text('d MMMM'))}, {local.format('HH:mm')}"


def period_name(level: str, period: str, lang: Language) -> str:
    """Return `Monday 23 November 2026`, `November 2026` or `2026`."""
    return format_period(level, period, LEVEL_WORDS[level].name, lang)


def format_period(level: str, period: str, pattern: str, lang: Language) -> str:
    """Return a period in a CLDR date pattern."""
    return lang.date(moment(level, period), pattern)


def moment(level: str, period: str) -> date:
    """Return the first calendar date of a period."""
    return date.fromisoformat(periods.LEVELS[level].first_day(period))


def percent(part: int, whole: int, lang: Language) -> str:
    """Return the share of `part` in `whole`, in whole percent and never 0: `12 %`, `under 1 %`."""
    share = abs(part) * 100 / abs(whole)
    return lang.say("under 1 %") if share < 1 else f"{lang.number(round(share))} %"


def zone_name(at: DateTime) -> str:
    """Return `BST`, or `UTC+10:30` if the zone has no letters."""
    name = at.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{at.format('Z').replace(':00', '')}"


def cell(value: object) -> object:
    """Return a cell of a CSV file: text that a spreadsheet would compute begins with an apostrophe (CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _two(large: str, small: int, unit: str) -> str:
    return large + (f" {small} {unit}" if small else "")


# The words of the levels


@dataclass(frozen=True, slots=True)
class ColumnWords:
    """The sentences about a chart's columns: hours, or the periods of one level. `{column}` stands for a name."""

    csv: str  # a file with one row a column
    most: str
    most_of_two: str  # with both import and export
    dearest: str
    mean: str
    began: str  # the first column with a reading


class Comparison(NamedTuple):
    """An earlier period of the same level: its distance in periods, and its name."""

    back: int
    name: str


@dataclass(frozen=True, slots=True)
class LevelWords:
    """The words of one level. Patterns are CLDR's, for the first day of a period."""

    tab: str
    current: str  # the link to the current period
    choose: str
    to_come: str
    begin: str  # for a period before the first reading
    name: str  # pattern: `Monday 23 November 2026`
    name_in_year: str  # pattern: the same beside a period of the same year
    above: str  # pattern: the name in the breadcrumb, `November`
    share: str  # of a column in a period of this level
    rest: str  # pattern: the first words of a name that the breadcrumb repeats, `November`; may be empty
    comparisons: Mapping[str, Comparison]  # by the word in an address
    columns: ColumnWords | None = None  # for charts with these periods as columns; None if no chart has them


HOURS = ColumnWords(
    csv=text("CSV, hours"),
    most=text("busiest {column}"),
    most_of_two=text("most imported {column}"),
    dearest=text("dearest {column}"),
    mean=text("{amount} an hour"),
    began=text("first reading between {column} and {end}"),
)
_DAYS = ColumnWords(
    csv=text("CSV, days"),
    most=text("most on {column}"),
    most_of_two=text("most imported on {column}"),
    dearest=text("dearest on {column}"),
    mean=text("{amount} a day"),
    began=text("first reading on {column}"),
)
_MONTHS = ColumnWords(
    csv=text("CSV, months"),
    most=text("most in {column}"),
    most_of_two=text("most imported in {column}"),
    dearest=text("dearest in {column}"),
    mean=text("{amount} a month"),
    began=text("first reading in {column}"),
)
WEEK, YEAR_OF_WEEKS = 7, 364  # days; a year ago by weekday
LEVEL_WORDS = {
    "day": LevelWords(
        tab=text("Day"),
        current=text("Today"),
        choose=text("Choose a day"),
        to_come=text("This day is still to come"),
        begin=text("The readings of this device begin on {period}."),
        name=text("EEEE d MMMM y"),
        name_in_year=WEEKDAY_AND_DATE,
        above=WEEKDAY_AND_DATE,
        share=text("{share} of the day"),
        rest="MMMM",
        comparisons={
            "week": Comparison(WEEK, text("last week")),
            "previous": Comparison(1, text("the day before")),
            "year": Comparison(YEAR_OF_WEEKS, text("a year ago")),
        },
        columns=_DAYS,
    ),
    "month": LevelWords(
        tab=text("Month"),
        current=text("This month"),
        choose=text("Choose a month"),
        to_come=text("This month is still to come"),
        begin=text("The readings of this device begin in {period}."),
        name=text("MMMM y"),
        name_in_year="LLLL",
        above="LLLL",
        share=text("{share} of the month"),
        rest="y",
        comparisons={
            "previous": Comparison(1, text("the month before")),
            "year": Comparison(12, text("a year ago")),
        },
        columns=_MONTHS,
    ),
    "year": LevelWords(
        tab=text("Year"),
        current=text("This year"),
        choose=text("Choose a year"),
        to_come=text("This year is still to come"),
        begin=text("The readings of this device begin in {period}."),
        name="y",
        name_in_year="y",
        above="y",
        share=text("{share} of the year"),
        rest="",
        comparisons={"previous": Comparison(1, text("the year before"))},
    ),
}


def column_words(level: str) -> ColumnWords:
    """Return the words for the columns of a level's chart."""
    child = periods.LEVELS[level].child
    return (LEVEL_WORDS[child].columns if child else HOURS) or HOURS


# HTML attributes


def attributes(**named: object) -> dict[str, Any]:
    """Return keyword arguments with hyphens: `aria_label` as `aria-label`."""
    return {name.replace("_", "-"): value for name, value in named.items()}


# HTML components in Dash's JSON form, `{"type": "Td", "props": {...}}`. Pages build their parts of `dash.html`.
# `element` is for parts with hundreds of components: making an `html.Td` takes 0.03 ms, and Dash needs another 0.03 ms
# to write it as JSON.

Tree = dict[str, Any]  # one component
HIDDEN = {"aria-hidden": "true"}


def element(name: str, children: object = None, **props: object) -> Tree:
    """Return an HTML component with a name of `dash.html`."""
    return {"type": name, "props": {**props, "children": plain(children)}}


def plain(part: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a tree of components in the JSON form."""
    if to_json := getattr(part, "to_plotly_json", None):  # of a component of Dash, which takes a while to load
        return element(type(part).__name__, **to_json()["props"])
    return [plain(one) for one in part] if isinstance(part, list | tuple) else part


def ids(part: object) -> Iterator[str]:
    """Yield the ids of the components of a tree in the JSON form."""
    if isinstance(part, list):
        for one in part:
            yield from ids(one)
    elif isinstance(part, dict):
        if "id" in part["props"]:
            yield part["props"]["id"]
        yield from ids(part["props"].get("children"))
