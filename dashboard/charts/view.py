"""The view that an address names, and the labels of its chart's columns. Pure.

`View.from_url` accepts every address: it replaces an invalid part by the nearest valid one, and never raises.
`labels` names each column in full for its card and briefly for the axis.
"""

from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from urllib.parse import parse_qs, quote, unquote, urlencode

from pendulum import DateTime

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import LOWEST, Slot
from aggregator.core.readings import is_device_id
from dashboard.text import words
from dashboard.text.language import Language, text

LONGEST_PATH = 512
YEARS = range(2000, 2200)
ENERGY, MONEY = "energy", "money"


@dataclass(frozen=True, slots=True)
class View:
    """A page: `home`, `household` (one device's chart) or `lost` (an unknown address)."""

    page: str = "home"
    device_id: str = ""
    level: str = LOWEST
    period: str = ""  # empty: the current one
    unit: str = ENERGY  # or money
    compare: str = ""  # week, previous or year; empty: no comparison
    has_charge: bool = True  # whether money includes the standing charge

    @classmethod
    def from_url(cls, path: object, search: object = "") -> "View":
        """Return the view of a path and its query; an invalid part falls back to the nearest valid one."""
        if not isinstance(path, str) or len(path) > LONGEST_PATH:
            return cls("lost")
        segments = [unquote(segment) for segment in path.split("/") if segment]
        if not segments:
            return cls()
        if segments[0] != "d" or len(segments) < 2 or not is_device_id(segments[1]):
            return cls("lost")
        level, period = (*segments[2:4], "", "")[:2]
        if level not in periods.LEVELS:
            level, period = LOWEST, ""
        view = cls("household", segments[1], level, period if period and _exists(level, period) else "")
        return _with_query(view, search) if search else view

    def to_url(self) -> str:
        """Return the path and the query of this view."""
        if self.page != "household":
            return "/"
        return self.path + self.query

    @property
    def path(self) -> str:
        """The address without its query."""
        steps = [self.device_path]
        if self.period or self.level != LOWEST:
            steps.append(self.level)
        return "/".join([*steps, self.period] if self.period else steps)

    @property
    def device_path(self) -> str:
        """The address of the device; the addresses of its periods and pages begin with it."""
        return f"/d/{quote(self.device_id, safe=':')}"

    @property
    def query(self) -> str:
        """The options that differ from their defaults, as a query with its `?`; empty without any."""
        fields = {"unit": self.unit if self.unit != ENERGY else "", "compare": self.compare}
        fields["charge"] = "" if self.has_charge else "no"
        given = {name: value for name, value in fields.items() if value}
        return f"?{urlencode(given)}" if given else ""

    def at(self, now: int, zone: str) -> "View":
        """Return this view with its period written out; `now` in UTC seconds."""
        return self if self.period else replace(self, period=periods.period_of(self.level, now, zone))

    def to(self, level: str, period: str = "") -> "View":
        """Return the view of another period with the same options; without a period, the current one."""
        compare = self.compare if self.compare in words.LEVEL_WORDS[level].comparisons else ""
        return replace(self, level=level, period=period, compare=compare)

    def with_options(self, **changes: object) -> "View":
        """Return the same period with other options."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def compared(self) -> str:
        """The earlier period of the comparison; empty without one. Needs a written-out period."""
        if not self.compare:
            return ""
        return periods.shift(self.level, self.period, -words.LEVEL_WORDS[self.level].comparisons[self.compare].back)


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
        compare=compare if compare in words.LEVEL_WORDS[view.level].comparisons else "",
        has_charge=first.get("charge") != "no",
    )


def _exists(level: str, period: str) -> bool:
    try:
        return period.isascii() and words.moment(level, periods.check_period(level, period)).year in YEARS
    except ConfigurationError:
        return False


# Labels


@dataclass(frozen=True, slots=True)
class Label:
    """The names of one column."""

    name: str  # in full: `07:00–08:00`, `Monday 23 November`
    tick: str  # under the axis: `07`, `23`, `Nov`
    note: str = ""  # under the tick: `Mon`, or `BST` for a repeated hour
    is_major: bool = False  # stays on a narrow screen


def labels(view: View, slots: tuple[Slot, ...], zone: str, lang: Language) -> list[Label]:
    """Return one label for each column of a view with a written-out period."""
    child = periods.LEVELS[view.level].child
    if not child:
        return _hours(slots, zone)
    name = {"day": _day, "month": _month}.get(child, partial(_other, words.LEVEL_WORDS[child].name_in_year))
    return [name(words.moment(child, one), lang) for one in periods.children(view.level, view.period).values()]


def _day(moment: date, lang: Language) -> Label:
    begins_week = moment.weekday() == lang.first_weekday
    note = lang.date(moment, text("EEE")) if begins_week else ""
    return Label(lang.date(moment, words.WEEKDAY_AND_DATE), str(moment.day), note, begins_week)


def _month(moment: date, lang: Language) -> Label:
    return Label(lang.date(moment, "LLLL"), lang.date(moment, "LLL"), is_major=moment.month % 2 == 1)


def _other(pattern: str, moment: date, lang: Language) -> Label:
    name = lang.date(moment, pattern)
    return Label(name, name)


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
    """Return `07:00–08:00`; a repeated hour also gets its zone: `01:00–02:00 BST`."""
    minutes = [start.hour * 60 + start.minute for start in starts]
    ends = [minute + (slot.end - slot.start) // 60 for minute, slot in zip(minutes, slots, strict=True)]
    names = []
    for start, minute, end in zip(starts, minutes, ends, strict=True):
        twice = sum(other < end and minute < other_end for other, other_end in zip(minutes, ends, strict=True)) > 1
        zone_name = f" {words.zone_name(start)}" if twice else ""
        names.append(f"{_clock(minute)}–{_clock(end)}{zone_name}")
    return names


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
