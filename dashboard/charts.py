"""A document read as a chart: its columns, what each is called, what is missing. Pure; `now` comes in."""

from dataclasses import dataclass
from itertools import takewhile

from aggregator import periods
from aggregator.documents import EMPTY, Document, Part, add
from aggregator.periods import HOUR, Slot
from dashboard import words
from dashboard.view import View

SETTLING_S = 300  # a reading this late is still on its way, not missing
FUTURE, BEFORE, NOW, PAST = "future", "before", "now", "past"


@dataclass(frozen=True, slots=True)
class Column:
    """One part of a chart: an hour, a day or a month."""

    name: str  # in full: `07:00–08:00`, `Monday 23 November`
    tick: str  # under the axis; empty for none
    when: str  # future, before (the device's first reading), now or past
    part: Part
    missing_s: int  # of the time gone by, whole minutes
    below: View | None  # the chart of this column alone
    halves: tuple[tuple[str, Part], ...] = ()  # of an hour: its half hours

    @property
    def is_told(self) -> bool:
        """There is something to say about it: energy, or its absence."""
        return self.when in (NOW, PAST) and not (self.part.is_empty and not self.missing_s)

    @property
    def is_gap(self) -> bool:
        """No data where there should be some."""
        return self.part.is_empty and self.missing_s > 0


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that a chart shows of one period of one device."""

    view: View
    when: str  # future, before, now or past
    columns: tuple[Column, ...]
    shift_s: int = 0  # of a day: how much longer than 24 hours
    shift_at: int | None = None  # the first column after the clocks changed

    @property
    def total(self) -> Part:
        """The whole period."""
        return add(column.part for column in self.columns)

    @property
    def missing_s(self) -> int:
        """Seconds without data, of the time gone by."""
        return sum(column.missing_s for column in self.columns)

    @property
    def peak(self) -> int | None:
        """The column with the most import, where that is measured and there is another to compare with."""
        imports = [column.part.import_wh or 0 for column in self.columns]
        if sum(map(bool, imports)) < 2:
            return None
        position = imports.index(max(imports))
        part = self.columns[position].part
        return position if part.covered_s > part.estimated_s else None


def read(view: View, document: Document | None, zone: str, now: int, first: str | None) -> Chart:
    """The chart of a view with a written-out period; `first` is the first period of this level with data."""
    zone = document.timezone if document else zone
    slots = periods.slots(view.level, view.period, zone)
    names, ticks = _names(view, slots, zone), _ticks(view, slots, zone)
    parts = [document.part(slot.name) if document else EMPTY for slot in slots]
    unborn = _unborn(parts, view.period, first)
    columns = []
    for position, (slot, part) in enumerate(zip(slots, parts, strict=True)):
        when = BEFORE if position < unborn and slot.start <= now else _when(slot.start, slot.end, now)
        # Nobody can say when in its first column a device began.
        missing = 0 if position <= unborn and unborn >= 0 else _missing(slot, part, now)
        below = _below(view, slot, when)
        halves = _halves(document, slot) if document and view.level == "day" and not part.is_empty else ()
        columns.append(Column(names[position], ticks[position], when, part, missing, below, halves))
    span = periods.window(view.level, view.period, zone)
    when = BEFORE if first is not None and view.period < first else _when(span.start, span.end, now)
    if view.level != "day":
        return Chart(view, when, tuple(columns))
    return Chart(view, when, tuple(columns), span.end - span.start - 24 * HOUR, _shift_at(slots, zone))


def _shift_at(slots: tuple[Slot, ...], zone: str) -> int | None:
    offsets = [periods.local(slot.start, zone).utcoffset() for slot in slots]
    return next((position for position, offset in enumerate(offsets) if offset != offsets[0]), None)


def _when(start: int, end: int, now: int) -> str:
    return FUTURE if start > now else NOW if now < end else PAST


def _unborn(parts: list[Part], period: str, first: str | None) -> int:
    """The position of the column in which the device began; -1 when it began before this chart."""
    if first is None or period > first:
        return -1
    return sum(1 for _ in takewhile(lambda part: part.is_empty, parts))


def _missing(slot: Slot, part: Part, now: int) -> int:
    gone = min(slot.end, now - SETTLING_S) - slot.start
    return max(0, gone - part.covered_s - part.estimated_s) // words.MINUTE * words.MINUTE


def _below(view: View, slot: Slot, when: str) -> View | None:
    if view.level == "day" or when in (FUTURE, BEFORE):
        return None
    below = periods.LEVELS[periods.LEVELS.index(view.level) - 1]
    return view.to(below, periods.period_below(view.period, slot.name))


def _halves(document: Document, slot: Slot) -> tuple[tuple[str, Part], ...]:
    halves = periods.half_hours(document.period, document.timezone)
    inside = [half for half in halves if slot.start <= half.start < slot.end]
    return tuple(
        (periods.local(half.start, document.timezone).format("HH:mm"), document.part(half.name)) for half in inside
    )


def _names(view: View, slots: tuple[Slot, ...], zone: str) -> list[str]:
    if view.level == "month":
        return [_written(view, slot, "dddd D MMMM") for slot in slots]
    if view.level == "year":
        return [_written(view, slot, "MMMM") for slot in slots]
    return _hour_names(slots, zone)


def _written(view: View, slot: Slot, how: str) -> str:
    below = "day" if view.level == "month" else "month"
    return words.written(below, periods.period_below(view.period, slot.name), how)


def _hour_names(slots: tuple[Slot, ...], zone: str) -> list[str]:
    """`07:00–08:00`, with the zone where the clock shows the same time twice that day."""
    starts = [periods.local(slot.start, zone) for slot in slots]
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


def _ticks(view: View, slots: tuple[Slot, ...], zone: str) -> list[str]:
    if view.level == "month":
        days = [_written(view, slot, "ddd D") for slot in slots]
        return [day if day.startswith("Mon") else "" for day in days]
    if view.level == "year":
        return [_written(view, slot, "MMM") for slot in slots]
    ticks: list[str] = []
    for slot in slots:
        start = periods.local(slot.start, zone)
        text = start.format("HH:mm" if start.minute else "HH") if start.hour % 3 == 0 else ""
        ticks.append("" if text in ticks else text)  # an hour that comes twice is named once
    return ticks
