"""A chart of one document: its columns with their labels, parts and missing time. Pure; `now` is an argument.

A `Measure` selects the amounts of the bars: energy or money. Amounts are whole numbers: Wh, or units of 10^-13 of the
currency (see aggregator/core/money.py). Up is import, down is export; None means unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.money import UNIT_PLACES
from aggregator.core.periods import FOR_EVER, HOUR, Slot, Window
from dashboard.charts.view import MONEY, Label, View, labels
from dashboard.text import words
from dashboard.text.language import Language
from dashboard.text.words import Amount


@dataclass(frozen=True, slots=True)
class Measure:
    """The amounts that a chart draws: money in `currency`, or energy if that is empty."""

    currency: str = ""
    has_charge: bool = True  # the standing charge counts

    def up(self, part: Part) -> int | None:
        """Return the import, or its cost without the standing charge."""
        return part.cost.import_cost if self.currency else part.import_wh

    def down(self, part: Part) -> int | None:
        """Return the export, or its earnings."""
        return part.cost.export_earnings if self.currency else part.export_wh

    def estimated_up(self, part: Part) -> int:
        """Return the part of `up` that is estimated, spread over an outage."""
        return part.cost.estimated_import_cost if self.currency else part.estimated_import_wh

    def estimated_down(self, part: Part) -> int:
        """Return the part of `down` that is estimated, spread over an outage."""
        return part.cost.estimated_export_earnings if self.currency else part.estimated_export_wh

    def charge(self, part: Part) -> int:
        """Return the standing charge; 0 if it does not count."""
        return (part.cost.standing_charge or 0) if self.currency and self.has_charge else 0

    def gross(self, part: Part) -> int | None:
        """Return the amount of the bar above the axis: import with its standing charge."""
        up, charge = self.up(part), self.charge(part)
        return charge or None if up is None else up + charge

    def net(self, part: Part) -> int | None:
        """Return the amount that comparisons use: the balance to pay, or the import."""
        if not self.currency:
            return part.import_wh
        gross = self.gross(part)
        return None if gross is None and self.down(part) is None else (gross or 0) - (self.down(part) or 0)

    def drawn(self, amount: int | None) -> float | None:
        """Return an amount in the unit of the axis: kWh, or the currency."""
        return None if amount is None else float(Decimal(amount).scaleb(-UNIT_PLACES if self.currency else -3))

    def format(self, amount: int, lang: Language) -> Amount:
        """Return an amount for readers."""
        return Amount(lang.money(amount, self.currency), "") if self.currency else words.energy(amount, lang)

    def balance(self, amount: int, lang: Language) -> Amount:
        """Return what is to pay, or the energy; money that the home gets is `£20.11 in credit`."""
        if self.currency and amount < 0:
            return Amount(lang.money(-amount, self.currency), lang.say("in credit"))
        return self.format(amount, lang)

    def unit(self, lang: Language, tallest: float = 1) -> str:
        """Return the unit at the axis, the one in which `format` tells the tallest bar, which is drawn in kWh."""
        is_small = round(tallest * 1000) < words.SMALL_WH
        return lang.symbol(self.currency) if self.currency else "Wh" if is_small else "kWh"

    def on_axis(self, amount: int, unit: str, lang: Language) -> str:
        """Return an amount without the axis's unit; a few Wh beside an axis of kWh keep theirs."""
        found = self.format(amount, lang)
        return found.number if found.unit == unit else str(found)


def measure_of(view: View, currency: str) -> Measure:
    """Return the measure of a view: money if the view asks for it and there is a tariff, else energy."""
    return Measure(currency if view.unit == MONEY else "", view.has_charge)


# The chart

SETTLING_S = 300  # a reading may arrive this late before it counts as missing
MISLEADING = 0.1  # the share of missing time from which on the chart marks it
FUTURE, BEFORE, NOW, PAST, PRIOR, AFTER = "future", "before", "now", "past", "prior", "after"
EVER = Window(0, FOR_EVER)  # the stay of a viewer who may see every day


@dataclass(frozen=True, slots=True)
class Column:
    """One part of a chart: an hour, a day or a month."""

    label: Label
    when: str  # future, before (the first reading), now, past, prior (to the viewer's first day) or after (the last)
    part: Part
    missing_s: int  # of the elapsed time, in whole minutes
    below: View | None  # the chart of this column alone
    halves: tuple[tuple[str, Part], ...] = ()  # the half hours of an hour
    other: Part = EMPTY  # the same column of the compared period

    @property
    def has_content(self) -> bool:
        """Whether its card has content: energy, or missing time."""
        return self.when in (NOW, PAST) and not (self.part.is_empty and not self.missing_s)

    @property
    def is_gap(self) -> bool:
        """Whether all its data is missing."""
        return self.part.is_empty and self.missing_s > 0

    @property
    def is_partial(self) -> bool:
        """Whether so much is missing that its bar alone would mislead."""
        return not self.is_gap and self.missing_s > MISLEADING * (self.part.known_s + self.missing_s)


@dataclass(frozen=True, slots=True)
class Other:
    """The compared period of a chart."""

    period: str
    name: str
    document: Document | None
    comparable: Part  # its part up to the same moment; the whole period if the chart's period is over
    is_usual: bool = False  # a usual weekday, which only the open day draws


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole content of a chart: one period of one device."""

    view: View
    name: str  # of the period
    when: str  # future, before, now, past or after
    columns: tuple[Column, ...]
    measure: Measure
    currency: str = ""  # of the device's tariff, also in a chart of energy
    total: Part = EMPTY  # the whole period, with a day's standing charge, which no column holds
    shift_s: int = 0  # the length of a day minus 24 hours
    shift_at: int | None = None  # the first column after the clocks changed
    other: Other | None = None
    prices: tuple[int | None, ...] = ()  # of a day's half hours, in units per Wh; empty if all are equal
    home: str = ""  # the household's name for the device
    beside: tuple[tuple[str, str, str], ...] = ()  # more facts: each name, value, and the address it leads to, or ""
    is_repriced: bool = True  # its costs are those of the present tariff
    exchanges: tuple[str, ...] = ()  # the times at which its meter was exchanged: `20 November, 10:30`

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: no energy, and no day or month with a standing charge."""
        return self.total.is_empty and not any(self.measure.charge(column.part) for column in self.columns)

    @property
    def is_compared(self) -> bool:
        """Whether a bar of the compared period is drawn."""
        if self.other is None or (self.other.is_usual and self.when != NOW):
            return False
        others = (column.other for column in self.columns)
        return any(self.measure.gross(part) or self.measure.down(part) for part in others)

    @property
    def missing_s(self) -> int:
        """The seconds without data in the elapsed time."""
        return sum(column.missing_s for column in self.columns)

    @property
    def began(self) -> int | None:
        """The position of the device's first column with data; None if the device began before this chart."""
        places = [place for place, column in enumerate(self.columns) if column.when == BEFORE]
        return places[-1] + 1 if places and places[-1] + 1 < len(self.columns) else None

    @property
    def peak(self) -> int | None:
        """The position of the highest import or cost; None if it is mostly estimated, or the only one."""
        amounts = [0 if column.part.is_empty else self.measure.gross(column.part) or 0 for column in self.columns]
        if sum(amount > 0 for amount in amounts) < 2:
            return None
        position = amounts.index(max(amounts))
        part = self.columns[position].part
        return position if part.known_s > 2 * part.estimated_s else None

    @property
    def lowest(self) -> int | None:
        """The position of the lowest column; None unless three are past and fully known."""
        known = [
            (amount, position)
            for position, column in enumerate(self.columns)
            if column.when == PAST and not column.missing_s and not column.part.estimated_s
            if (amount := self.measure.gross(column.part)) is not None
        ]
        return min(known)[1] if len(known) > 2 else None

    @property
    def average(self) -> int | None:
        """The mean import or balance of the past columns with most of their time known; None for fewer than two."""
        known = [
            amount
            for column in self.columns
            if column.when == PAST and not column.part.is_empty and not column.is_partial
            if (amount := self.measure.net(column.part)) is not None
        ]
        return sum(known) // len(known) if len(known) > 1 else None


def chart_of(
    view: View,
    document: Document | None,
    zone: str,
    now: int,
    first: str | None,
    lang: Language,
    currency: str = "",
    other: Other | None = None,
    prices: Sequence[int | None] = (),
    settled: int | None = None,
    stay: Window = EVER,
) -> Chart:
    """Return the chart of a view with a written-out period; `first` is the first period of this level with data.

    Time counts as missing up to the instant `settled`; by default, up to SETTLING_S before `now`. `stay` is the
    time that the viewer may see.
    """
    zone = document.timezone if document else zone
    settled = min(now - SETTLING_S if settled is None else settled, stay.end)
    columns = tuple(_columns(view, document, zone, now, settled, stay, first, lang, other))
    span = periods.window(view.level, view.period, zone)
    when = when_of(span, now, stay)
    when = BEFORE if first is not None and view.period < first and when in (NOW, PAST) else when
    has_hours = periods.LEVELS[view.level].has_hours
    return Chart(
        view,
        words.period_name(view.level, view.period, lang),
        when,
        columns,
        measure_of(view, currency),
        currency,
        document.total if document else EMPTY,
        span.end - span.start - 24 * HOUR if has_hours else 0,
        _shift_at(periods.slots(view.level, view.period, zone), zone) if has_hours else None,
        other,
        tuple(prices) if len(set(prices)) > 1 else (),
    )


def _columns(
    view: View,
    document: Document | None,
    zone: str,
    now: int,
    settled: int,
    stay: Window,
    first: str | None,
    lang: Language,
    other: Other | None,
) -> list[Column]:
    slots = periods.slots(view.level, view.period, zone)
    names, has_hours = labels(view, slots, zone, lang), periods.LEVELS[view.level].has_hours
    parts = [document.part(slot.name) if document else EMPTY for slot in slots]
    unborn = _unborn(parts, view.period, first)
    compared = other.document if other else None
    columns = []
    for position, (slot, part) in enumerate(zip(slots, parts, strict=True)):
        when = when_of(Window(slot.start, slot.end), now, stay)
        when = BEFORE if position < unborn and when in (NOW, PAST) else when
        # The moment within its first column at which a device began is unknown.
        missing = 0 if position <= unborn and unborn >= 0 else _missing(slot, part, settled, stay)
        below = _below(view, slot, when)
        halves = _halves(document, slot) if document and has_hours and not part.is_empty else ()
        same = compared.part(slot.name) if compared else EMPTY
        columns.append(Column(names[position], when, part, missing, below, halves, same))
    return columns


def _shift_at(slots: tuple[Slot, ...], zone: str) -> int | None:
    offsets = [periods.local(slot.start, zone).utcoffset() for slot in slots]
    return next((position for position, offset in enumerate(offsets) if offset != offsets[0]), None)


def when_of(span: Window, now: int, stay: Window) -> str:
    """Return when a span is, for a viewer with a stay: prior and after it come first."""
    if span.end <= stay.start or span.start >= stay.end:
        return PRIOR if span.end <= stay.start else AFTER
    return FUTURE if span.start > now else NOW if now < min(span.end, stay.end) else PAST


def _unborn(parts: list[Part], period: str, first: str | None) -> int:
    """Return the position of the column in which the device began; -1 if it began before this chart."""
    if first is None or period > first:
        return -1
    return sum(1 for _ in takewhile(lambda part: part.is_empty, parts))


def _missing(slot: Slot, part: Part, settled: int, stay: Window) -> int:
    elapsed = min(slot.end, settled) - max(slot.start, stay.start)
    return max(0, elapsed - part.known_s) // words.MINUTE * words.MINUTE


def _below(view: View, slot: Slot, when: str) -> View | None:
    child = periods.LEVELS[view.level].child
    if not child or when not in (NOW, PAST):
        return None
    return view.to(child, periods.period_below(view.level, view.period, slot.name))


def _halves(document: Document, slot: Slot) -> tuple[tuple[str, Part], ...]:
    halves = periods.half_hours(document.period, document.timezone)
    inside = [half for half in halves if slot.start <= half.start < slot.end]
    return tuple(
        (periods.local(half.start, document.timezone).format("HH:mm"), document.part(half.name)) for half in inside
    )
