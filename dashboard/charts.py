"""A document read as a chart: its columns, what each is called, what is missing. Pure; `now` comes in."""

from dataclasses import dataclass
from itertools import takewhile

from aggregator import periods
from aggregator.documents import EMPTY, Document, Part, add
from aggregator.periods import HOUR, Slot
from dashboard import words
from dashboard.labels import Label, labels
from dashboard.view import View

SETTLING_S = 300  # a reading this late is still on its way, not missing
MISLEADING = 0.1  # the share of a column's time from which on what is missing is drawn
FUTURE, BEFORE, NOW, PAST = "future", "before", "now", "past"


@dataclass(frozen=True, slots=True)
class Column:
    """One part of a chart: an hour, a day or a month."""

    label: Label
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

    @property
    def is_partial(self) -> bool:
        """So much is missing that its bar alone would mislead."""
        known_s = self.part.covered_s + self.part.estimated_s
        return not self.is_gap and self.missing_s > MISLEADING * (known_s + self.missing_s)


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
    def began(self) -> int | None:
        """The column in which the device began, where that is not the first one."""
        places = [place for place, column in enumerate(self.columns) if column.when == BEFORE]
        return places[-1] + 1 if places and places[-1] + 1 < len(self.columns) else None

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
    names = labels(view, slots, zone)
    parts = [document.part(slot.name) if document else EMPTY for slot in slots]
    unborn = _unborn(parts, view.period, first)
    columns = []
    for position, (slot, part) in enumerate(zip(slots, parts, strict=True)):
        when = BEFORE if position < unborn and slot.start <= now else _when(slot.start, slot.end, now)
        # Nobody can say when in its first column a device began.
        missing = 0 if position <= unborn and unborn >= 0 else _missing(slot, part, now)
        below = _below(view, slot, when)
        halves = _halves(document, slot) if document and view.level == "day" and not part.is_empty else ()
        columns.append(Column(names[position], when, part, missing, below, halves))
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
