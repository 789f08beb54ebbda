"""What the columns of a chart are called, in full and under the axis. Pure."""

from dataclasses import dataclass
from datetime import date

from pendulum import DateTime

from aggregator.core import periods
from aggregator.core.periods import Slot
from dashboard.charts.view import View
from dashboard.text import words
from dashboard.text.language import Language, text


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
