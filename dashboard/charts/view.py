"""What the address says: one value, read from a URL and written to one. No address is an error.

What the columns of a chart are called, in full and under the axis. Pure.
"""

from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import parse_qs, quote, unquote, urlencode

from pendulum import DateTime

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import Slot
from aggregator.core.readings import is_device_id
from dashboard.text import words
from dashboard.text.language import Language, text

LONGEST_PATH = 512
YEARS = range(2000, 2200)
ENERGY, MONEY = "energy", "money"
COMPARISONS = {  # what a period of each level can be compared with
    "day": ("week", "previous", "year"),
    "month": ("previous", "year"),
    "year": ("previous",),
}
WEEK, YEAR_OF_WEEKS = 7, 364  # days; a year ago by weekday


@dataclass(frozen=True, slots=True)
class View:
    """A page: `home`, `household` (one device's chart) or `lost` (an address that leads nowhere)."""

    page: str = "home"
    device_id: str = ""
    level: str = "day"
    period: str = ""  # empty: whichever is current
    unit: str = ENERGY  # or money
    compare: str = ""  # week, previous, year; empty: with nothing
    has_charge: bool = True  # whether money includes the standing charge

    @classmethod
    def from_url(cls, path: object, search: object = "") -> "View":
        """The view of a path and its query. What makes no sense falls back to the nearest that does."""
        if not isinstance(path, str) or len(path) > LONGEST_PATH:
            return cls("lost")
        segments = [unquote(segment) for segment in path.split("/") if segment]
        if not segments:
            return cls()
        if segments[0] != "d" or len(segments) < 2 or not is_device_id(segments[1]):
            return cls("lost")
        level, period = (*segments[2:4], "", "")[:2]
        if level not in periods.LEVELS:
            level, period = "day", ""
        found = cls("household", segments[1], level, period if _exists(level, period) else "")
        return _with_query(found, search)

    def to_url(self) -> str:
        """The path and the query of this view."""
        if self.page != "household":
            return "/"
        return self.path + self.query

    @property
    def path(self) -> str:
        """The address without its query."""
        steps = ["/d", quote(self.device_id, safe=":")]
        if self.period or self.level != "day":
            steps.append(self.level)
        return "/".join([*steps, self.period] if self.period else steps)

    @property
    def query(self) -> str:
        """How the period is shown, as far as that is not the usual way."""
        fields = {"unit": self.unit if self.unit != ENERGY else "", "compare": self.compare}
        fields["charge"] = "" if self.has_charge else "no"
        given = {name: value for name, value in fields.items() if value}
        return f"?{urlencode(given)}" if given else ""

    def at(self, now: int, zone: str) -> "View":
        """The same view with its period written out."""
        return self if self.period else replace(self, period=periods.period_of(self.level, now, zone))

    def to(self, level: str, period: str = "") -> "View":
        """The same device, shown in the same way, in another period; the current one when none is given."""
        compare = self.compare if self.compare in COMPARISONS[level] else ""
        return replace(self, level=level, period=period, compare=compare)

    def shown(self, **changes: object) -> "View":
        """The same period shown in another way."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def compared(self) -> str:
        """The period with which this one is compared; empty with none. The period must be written out."""
        if not self.compare:
            return ""
        if self.level == "day":
            days = {"week": WEEK, "previous": 1, "year": YEAR_OF_WEEKS}[self.compare]
            return periods.shift("day", self.period, -days)
        return periods.shift(self.level, self.period, -12 if (self.level, self.compare) == ("month", "year") else -1)


def _with_query(view: View, search: object) -> View:
    if not isinstance(search, str) or len(search) > LONGEST_PATH:
        return view
    try:
        fields = parse_qs(search.removeprefix("?"), max_num_fields=20)
    except ValueError:
        return view
    first = {name: values[0] for name, values in fields.items()}
    compare = first.get("compare", "")
    return replace(
        view,
        unit=MONEY if first.get("unit") == MONEY else ENERGY,
        compare=compare if compare in COMPARISONS[view.level] else "",
        has_charge=first.get("charge") != "no",
    )


def _exists(level: str, period: str) -> bool:
    try:
        return period.isascii() and int(periods.check_period(level, period)[:4]) in YEARS
    except ConfigurationError:
        return False


# labels


@dataclass(frozen=True, slots=True)
class Label:
    """The names of one column."""

    name: str  # in full: `07:00–08:00`, `Monday 23 November`
    tick: str  # under the axis: `07`, `23`, `Nov`
    note: str = ""  # under the tick: `Mon`, or `BST` where the same hour comes twice
    is_major: bool = False  # kept where there is no room for every tick


def labels(view: View, slots: tuple[Slot, ...], zone: str, lang: Language) -> list[Label]:
    """One label a column of a view with a written-out period."""
    if view.level == "day":
        return _hours(slots, zone)
    below = {"month": "day", "year": "month"}[view.level]
    moments = [words.moment(below, periods.period_below(view.period, slot.name)) for slot in slots]
    name = _day if below == "day" else _month
    return [name(moment, lang) for moment in moments]


def _day(moment: date, lang: Language) -> Label:
    begins_week = moment.weekday() == lang.first_weekday
    note = lang.date(moment, text("EEE")) if begins_week else ""
    return Label(lang.date(moment, words.WEEKDAY_AND_DATE), str(moment.day), note, begins_week)


def _month(moment: date, lang: Language) -> Label:
    return Label(lang.date(moment, "LLLL"), lang.date(moment, "LLL"), is_major=moment.month % 2 == 1)


def _hours(slots: tuple[Slot, ...], zone: str) -> list[Label]:
    starts = [periods.local(slot.start, zone) for slot in slots]
    ticks = [start.format("HH:mm" if start.minute else "HH") for start in starts]
    labels = []
    for place, (name, tick, start) in enumerate(zip(_hour_names(slots, starts), ticks, starts, strict=True)):
        is_first = tick not in ticks[:place]
        note = words.zone_name(start) if ticks.count(tick) > 1 else ""
        labels.append(Label(name, tick, note, is_first and start.hour % 3 == 0))
    return labels


def _hour_names(slots: tuple[Slot, ...], starts: list[DateTime]) -> list[str]:
    """`07:00–08:00`, with the zone where the clock shows the same time twice that day."""
    shown = [start.hour * 60 + start.minute for start in starts]
    ends = [minute + (slot.end - slot.start) // 60 for minute, slot in zip(shown, slots, strict=True)]
    names = []
    for start, minute, end in zip(starts, shown, ends, strict=True):
        twice = sum(other < end and minute < other_end for other, other_end in zip(shown, ends, strict=True)) > 1
        zone_name = f" {words.zone_name(start)}" if twice else ""
        names.append(f"{_clock(minute)}–{_clock(end)}{zone_name}")
    return names


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
