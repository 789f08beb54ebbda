"""The tiles: what it is now, how today is, what is always on, how the month goes. Pure.

Each keeps its lines, so nothing jumps.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.periods import DAY_S, HOUR
from aggregator.tariffs.rates import Rate
from dashboard.charts import sentences
from dashboard.charts.chart_model import Measure
from dashboard.pages.household import live_tile
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes

NO_ENERGY = text("no data yet")
KNOWN = 0.9  # the share of a time from which on what is known of it stands for all of it
DAYS_FOR_COURSE = 3  # complete ones, before they say where a month is going


@dataclass(frozen=True, slots=True)
class Period:
    """A period that goes on, and what it is compared with."""

    window: periods.Window
    until: int  # UTC seconds; up to when readings have come in
    document: Document | None
    fair: Part  # what the other period came to by the same time
    currency: str  # of the device's tariff; empty without one
    is_money: bool  # whether money is the large number

    @property
    def total(self) -> Part:
        """What is known of it."""
        return self.document.total if self.document else EMPTY

    @property
    def measure(self) -> Measure:
        """What the large number is of."""
        return Measure(self.currency if self.is_money else "")

    @property
    def is_balance(self) -> bool:
        """Whether the large number is what is left after earnings."""
        return self.is_money and bool(self.total.cost.export_earnings or self.fair.cost.export_earnings)

    @property
    def other_measure(self) -> Measure | None:
        """What the small number is of; None without a tariff."""
        return replace(self.measure, currency="" if self.is_money else self.currency) if self.currency else None


def layout(lang: Language) -> list[Component]:
    """The tiles without their numbers."""
    names = {"today": lang.say("Today"), "base": lang.say("Always on"), "month": lang.say("This month")}
    # On a phone these scroll sideways, by keyboard too.
    scrolled = attributes(role="group", tabIndex="0", aria_label=", ".join(names.values()))
    small = html.Div([tile(name, label) for name, label in names.items()], className="small", **scrolled)
    return [live_tile.tile(lang), small]


def tile(name: str, label: str) -> Component:
    """A small tile."""
    children = [
        html.H2(label, className="label"),
        html.P(live_tile.amount(name), className="amount"),
        html.P(id=f"{name}-also", className="also"),
        html.P(id=f"{name}-note", className="note"),
    ]
    return html.Section(children, className="tile")


def today(day: Period, date: str, zone: str, lang: Language) -> Slots:
    """The day so far, against the same time of the same weekday last week."""
    monday = lang.say("last {weekday}", weekday=words.written("day", date, "EEEE", lang))
    compared = against(day, monday, lang)
    clock = periods.local(day.until, zone).format("HH:mm")
    said = lang.say("{difference} by {time}", difference=compared, time=clock)
    written = words.written("day", date, words.WEEKDAY_AND_DATE, lang)
    return _energy("today", day, [arrowed(day, said) if compared else html.Span(written)], lang)


def month(so_far: Period, name: str, lang: Language) -> Slots:
    """The month so far, against the same days of the one before, and where it is going."""
    before = words.written("month", periods.shift("month", name, -1), "LLLL", lang)
    compared = against(so_far, before, lang)
    said = lang.say("{difference} by the same day", difference=compared)
    note = [arrowed(so_far, said)] if compared else []
    course = on_course(so_far)
    if course is not None:
        measure = so_far.measure
        amount = lang.round_money(course, measure.currency) if measure.currency else _round_energy(course, lang)
        note.append(html.Span(lang.say("on course for {amount}", amount=amount)))
    return _energy("month", so_far, note or [html.Span(words.written("month", name, "LLLL", lang))], lang)


def base(base_w: int | None, rates: tuple[Rate, ...], currency: str, lang: Language) -> Slots:
    """The base load, and what it comes to in a day at the day's prices."""
    if base_w is None:
        return {
            **live_tile.power_label("base", None, lang.say("not known yet")),
            "base-also.children": "",
            "base-note.children": html.Span(lang.say("needs half a day of readings")),
        }
    known = [rate.import_rate for rate in rates if rate.import_rate is not None]
    wh = base_w * DAY_S // HOUR
    energy = lang.say("{amount} a day", amount=words.energy(wh, lang))
    price = lang.money(wh * sum(known) // len(known), currency) if known else ""
    return {
        **live_tile.power_label("base", words.power(base_w, lang), ""),
        "base-also.children": lang.say("{amount} a day", amount=price) if price else energy,
        "base-note.children": html.Span(lang.say("lowest of the last two days")),
    }


def against(period: Period, name: str, lang: Language) -> str:
    """The difference to the other period; nothing where too little is known of either."""
    elapsed_s = period.until - period.window.start
    mine, other = _both(period)
    if mine is None or other is None or min(_known_s(period.total), _known_s(period.fair)) < KNOWN * elapsed_s:
        return ""
    if period.is_balance and mine != other:  # a share of what is left of two large sums says nothing
        sentence = text("{amount} more than {other}") if mine > other else text("{amount} less than {other}")
        return lang.say(sentence, amount=period.measure.said(abs(mine - other), lang), other=name)
    return sentences.difference(period.measure, mine, other, name, lang)


def arrowed(period: Period, sentence: str) -> Component:
    """A sentence of a difference, behind an arrow that says the same."""
    mine, other = _both(period)
    if mine is None or other is None or mine == other:
        return html.Span(sentence)
    glyph, way = ("▲", "more") if mine > other else ("▼", "less")
    return html.Span([html.Span(glyph, className=f"arrow {way}", **attributes(aria_hidden="true")), f" {sentence}"])


def on_course(so_far: Period) -> int | None:
    """What the month will come to if the rest of it is like its complete days: Wh or units; None while these are few.

    The standing charge of a day is owed from its first reading on, so of the day at hand it is in already.
    """
    if so_far.document is None:
        return None
    measure, day_s = so_far.measure, DAY_S
    slots = periods.slots("month", so_far.document.period, so_far.document.timezone)
    over = [so_far.document.part(slot.name) for slot in slots if slot.end <= so_far.until]
    complete = [part for part in over if _known_s(part) >= KNOWN * day_s and measure.net(part) is not None]
    total = measure.net(so_far.total)
    if len(complete) < DAYS_FOR_COURSE or total is None:
        return None
    charge = sum(measure.charge(part) for part in complete)
    used = sum(measure.net(part) or 0 for part in complete) - charge
    days_to_come = sum(slot.start > so_far.until for slot in slots)
    rest = Fraction(so_far.window.end - so_far.until, day_s)
    return int(total + (used * rest + charge * days_to_come) / len(complete))


def _energy(name: str, period: Period, note: list[Component], lang: Language) -> Slots:
    measure, total = period.measure, period.total
    amount = measure.net(total)
    return {
        **live_tile.power_label(name, None if amount is None else measure.said(amount, lang), lang.say(NO_ENERGY)),
        f"{name}-also.children": [html.Span(said) for said in _also(period, lang)],
        f"{name}-note.children": note,
    }


def _also(period: Period, lang: Language) -> list[str]:
    """The period in the other unit, and what the large number leaves out."""
    total, other = period.total, period.other_measure
    amount = other.net(total) if other else None
    said = [] if other is None or amount is None else [str(other.said(amount, lang))]
    if total.cost.unpriced_wh and period.currency:
        said.append(lang.say("{amount} without a price", amount=words.energy(total.cost.unpriced_wh, lang)))
    elif total.export_wh:
        said.append(lang.say("{amount} exported", amount=words.energy(total.export_wh, lang)))
    return said


def _both(period: Period) -> tuple[int | None, int | None]:
    return period.measure.net(period.total), period.measure.net(period.fair)


def _known_s(part: Part) -> int:
    return part.covered_s + part.estimated_s


def _round_energy(wh: int, lang: Language) -> str:
    return f"{lang.number(round(Fraction(wh, 1000)))} kWh" if wh >= 10_000 else str(words.energy(wh, lang))
