"""The tiles: today, the base load, this month. Pure.

Each tile keeps its number of lines, so that nothing jumps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import Document, Part
from aggregator.core.periods import DAY_S, HOUR
from aggregator.tariffs.rates import Rate
from dashboard.charts import sentences
from dashboard.charts.chart_model import Measure
from dashboard.charts.usage_profile import UsageProfile
from dashboard.pages.household import live_tile
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes

NO_ENERGY, MOVED_OUT = text("no data yet"), text("after you moved out")
KNOWN = 0.9  # the share of a time that must be known to stand for all of it
TREND = 0.1  # of the base load; a smaller change is none
DAYS_OF_YEAR = 365
DAYS_FOR_COURSE = 3  # complete days before a forecast of the month


@dataclass(frozen=True, slots=True)
class Period:
    """An open period, and its comparison."""

    window: periods.Window  # its own days of the viewer; empty after they moved out
    until: int  # UTC seconds of the newest readings
    document: Document
    comparable: Part  # total of the other period up to the same time
    currency: str  # of the device's tariff; empty without one
    is_money: bool  # whether money is the large number

    @property
    def total(self) -> Part:
        """The known total."""
        return self.document.total

    @property
    def slots(self) -> Sequence[periods.Slot]:
        """The parts of the period."""
        return periods.slots(self.document.level, self.document.period, self.document.timezone)

    @property
    def measure(self) -> Measure:
        """The measure of the large number."""
        return Measure(self.currency if self.is_money else "")

    @property
    def is_balance(self) -> bool:
        """Whether the large number is cost minus earnings."""
        return self.is_money and bool(self.total.cost.export_earnings or self.comparable.cost.export_earnings)

    @property
    def other_measure(self) -> Measure | None:
        """The measure of the small number; None without a tariff."""
        return replace(self.measure, currency="" if self.is_money else self.currency) if self.currency else None


def layout(lang: Language) -> list[Component]:
    """Return the sentence on top, and the tiles without their numbers; the live tile stands in its slot."""
    names = {"today": lang.say("Today"), "base": lang.say("Always on"), "month": lang.say("This month")}
    # On a phone these scroll sideways, also by keyboard.
    scrolled = attributes(role="group", tabIndex="0", aria_label=", ".join(names.values()))
    small = html.Div([tile(name, label) for name, label in names.items()], className="small", **scrolled)
    return [html.P(id="so-what", className="so-what"), html.Div([html.Slot(), small], id="tiles", className="tiles")]


def tile(name: str, label: str) -> Component:
    """Return a small tile."""
    children = [
        html.H2(label, className="label"),
        html.P(live_tile.amount(name), className="amount"),
        html.P(id=f"{name}-also", className="also"),
        html.P(id=f"{name}-note", className="note"),
    ]
    return html.Section(children, id=f"{name}-tile", className="tile")


def today(day: Period, date: str, zone: str, lang: Language) -> Slots:
    """Return the day so far, against the same time of the same weekday last week."""
    monday = lang.say("last {weekday}", weekday=words.format_period("day", date, "EEEE", lang))
    compared = against(day, monday, lang)
    clock = periods.local(day.until, zone).format("HH:mm")
    sentence = lang.say("{difference} by {time}", difference=compared, time=clock)
    date_name = words.format_period("day", date, words.WEEKDAY_AND_DATE, lang)
    return _energy("today", day, [arrowed(day, sentence) if compared else html.Span(date_name)], lang)


def month(so_far: Period, name: str, lang: Language) -> Slots:
    """Return the month so far, against the same days of the month before, and its forecast."""
    before = words.format_period("month", periods.shift("month", name, -1), "LLLL", lang)
    compared = against(so_far, before, lang)
    sentence = lang.say("{difference} by the same day", difference=compared)
    note = [arrowed(so_far, sentence)] if compared else []
    course = on_course(so_far)
    if course is not None:
        measure = so_far.measure
        amount = lang.round_money(course, measure.currency) if measure.currency else _round_energy(course, lang)
        note.append(html.Span(lang.say("on course for {amount}", amount=amount)))
    return _energy("month", so_far, note or [html.Span(words.format_period("month", name, "LLLL", lang))], lang)


def base(usage: UsageProfile, rates: tuple[Rate, ...], currency: str, lang: Language) -> Slots:
    """Return the base load with its trend, and its energy in a day, or its cost in a day and a year, at this price."""
    base_w = usage.base_w
    if base_w is None:
        return {
            **live_tile.power_label("base", None, lang.say("not known yet")),
            "base-also.children": "",
            "base-note.children": html.Span(lang.say("needs half a day of readings")),
        }
    known = [rate.import_rate for rate in rates if rate.import_rate is not None]
    wh = base_w * DAY_S // HOUR
    also = lang.say("{amount} a day", amount=words.energy(wh, lang))
    if known:
        units = wh * sum(known) // len(known)
        a_year = lang.round_money(units * DAYS_OF_YEAR, currency)
        also = lang.say("{amount} a day, {year} a year", amount=lang.money(units, currency), year=a_year)
    return {
        **live_tile.power_label("base", words.power(base_w, lang), ""),
        "base-also.children": also,
        "base-note.children": [html.Span(line) for line in _base_notes(base_w, usage.base_before_w, lang)],
    }


def _base_notes(base_w: int, before_w: int | None, lang: Language) -> list[str]:
    lines = [lang.say("lowest of the last two days")]
    if before_w and abs(base_w - before_w) >= TREND * before_w:
        sentence = text("{power} more than before") if base_w > before_w else text("{power} less than before")
        lines.append(lang.say(sentence, power=words.power(abs(base_w - before_w), lang)))
    return lines


def against(period: Period, name: str, lang: Language) -> str:
    """Return the difference to the other period; empty if too little is known of either."""
    elapsed_s = period.until - period.window.start
    mine, other = _both(period)
    if mine is None or other is None or min(period.total.known_s, period.comparable.known_s) < KNOWN * elapsed_s:
        return ""
    if period.is_balance and mine != other:  # a percentage of the small difference of two large sums misleads
        sentence = text("{amount} more than {other}") if mine > other else text("{amount} less than {other}")
        return lang.say(sentence, amount=period.measure.format(abs(mine - other), lang), other=name)
    return sentences.difference(period.measure, mine, other, name, lang)


def arrowed(period: Period, sentence: str) -> Component:
    """Return the sentence of a difference with an arrow."""
    mine, other = _both(period)
    if mine is None or other is None or abs(mine - other) < sentences.SAME * abs(other) or mine == other:
        return html.Span(sentence)
    glyph, way = ("▲", "more") if mine > other else ("▼", "less")
    return html.Span([html.Span(glyph, className=f"arrow {way}", **attributes(aria_hidden="true")), f" {sentence}"])


def on_course(so_far: Period) -> int | None:
    """Forecast the month's total, in Wh or units, from its complete days; None with too few of them, or none to come.

    The total already holds the standing charges up to today, also of days without data.
    """
    measure, day_s = so_far.measure, DAY_S
    over = [so_far.document.part(slot.name) for slot in so_far.slots if slot.end <= so_far.until]
    complete = [part for part in over if part.known_s >= KNOWN * day_s and measure.net(part) is not None]
    total = measure.net(so_far.total)
    if len(complete) < DAYS_FOR_COURSE or total is None or so_far.until >= so_far.window.end:
        return None
    charge = sum(measure.charge(part) for part in complete)
    used = sum(measure.net(part) or 0 for part in complete) - charge
    coming = (so_far.document.part(slot.name) for slot in so_far.slots if slot.start > so_far.until)
    days_to_come = sum(part.cost.standing_charge is None for part in coming)
    rest = Fraction(so_far.window.end - so_far.until, day_s)
    return int(total + (used * rest + charge * days_to_come) / len(complete))


def _energy(name: str, period: Period, note: list[Component], lang: Language) -> Slots:
    measure, total = period.measure, period.total
    amount = measure.net(total)
    unknown = lang.say(NO_ENERGY if period.window.start < period.window.end else MOVED_OUT)
    return {
        **live_tile.power_label(name, None if amount is None else measure.balance(amount, lang), unknown),
        f"{name}-also.children": [html.Span(line) for line in _also(period, lang)],
        f"{name}-note.children": note,
    }


def _also(period: Period, lang: Language) -> list[str]:
    """Return the period in the other unit, and the energy that the large number leaves out, or the volume of gas."""
    total, other = period.total, period.other_measure
    amount = other.net(total) if other else None
    lines = [] if other is None or amount is None else [_with_charge(other, total, amount, lang)]
    if total.cost.unpriced_wh and period.currency:
        lines.append(lang.say("{amount} without a price", amount=words.energy(total.cost.unpriced_wh, lang)))
    elif total.export_wh:
        lines.append(lang.say("{amount} exported", amount=words.energy(total.export_wh, lang)))
    elif total.volume_l is not None:
        lines.append(str(words.volume(total.volume_l, lang)))
    return lines


def _with_charge(measure: Measure, total: Part, amount: int, lang: Language) -> str:
    """Return an amount with its standing charge apart: by night that is most of a day's cost."""
    charge = measure.charge(total)
    if not charge:
        return str(measure.balance(amount, lang))
    rest, standing = (measure.format(one, lang) for one in (amount - charge, charge))
    return lang.say("{amount} + {charge} standing", amount=rest, charge=standing)


def _both(period: Period) -> tuple[int | None, int | None]:
    """Return the amounts of both periods up to the same time; a silent home goes on to owe its standing charge."""
    measure, mine = period.measure, period.measure.net(period.total)
    later = (period.document.part(slot.name) for slot in period.slots if slot.start > period.until)
    return None if mine is None else mine - sum(map(measure.charge, later)), measure.net(period.comparable)


def _round_energy(wh: int, lang: Language) -> str:
    return f"{lang.number(round(Fraction(wh, 1000)))} kWh" if wh >= 10_000 else str(words.energy(wh, lang))
