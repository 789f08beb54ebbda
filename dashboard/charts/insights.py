"""What a household wants to know before it looks: the sentence on top, and the times without readings. Pure.

Each says only what is known, and less when less is known; nothing is a guess.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.periods import HOUR
from aggregator.core.registers import parse_overrides
from dashboard.charts.chart_model import Chart, Measure, Other
from dashboard.charts.sentences import is_comparable
from dashboard.charts.view import View, labels
from dashboard.text import words
from dashboard.text.language import Language, text

KNOWN = 0.9  # the share of a time that must be known to stand for all of it
USUAL = 0.1  # a difference below this share of a usual day is usual
LEAST_S = 2 * HOUR  # of a day; before it nothing is said of it
EVEN = 1.2  # times their share of the clock, from which the busiest hours are worth a word
SPAN = 3  # hours in the busiest time of a day


@dataclass(frozen=True, slots=True)
class Told:
    """A day of a home, and the usual weekday up to the same moment."""

    document: Document
    elapsed_s: int  # of the day, up to the newest readings
    usual: Other | None


def so_what(today: Told, yesterday: Told, measure: Measure, lang: Language) -> str:
    """Return a sentence on today and one on yesterday; empty if neither is known well enough."""
    return " ".join(filter(None, [_today(today, lang), _yesterday(yesterday, measure, lang)]))


_SO_FAR = {
    0: text("A normal {weekday} so far."),
    1: text("More than on a usual {weekday} so far: {amount}, usually {usual} by now."),
    -1: text("Less than on a usual {weekday} so far: {amount}, usually {usual} by now."),
}
_YESTERDAY = {
    None: text("Yesterday {amount}"),
    0: text("Yesterday {amount}, like a usual {weekday}"),
    1: text("Yesterday {amount}, above a usual {weekday}"),
    -1: text("Yesterday {amount}, below a usual {weekday}"),
}


def _today(told: Told, lang: Language) -> str:
    side = _side(told, Measure())
    if side is None or told.usual is None or told.elapsed_s < LEAST_S:
        return ""
    wh, usual = (part.import_wh or 0 for part in (told.document.total, told.usual.comparable))
    weekday = words.format_period("day", told.document.period, "EEEE", lang)
    return lang.say(_SO_FAR[side], weekday=weekday, amount=words.energy(wh, lang), usual=words.energy(usual, lang))


def _yesterday(told: Told, measure: Measure, lang: Language) -> str:
    amount = measure.net(told.document.total)
    if amount is None or told.document.total.known_s < KNOWN * told.elapsed_s or told.document.total.cost.unpriced_wh:
        return ""
    weekday = words.format_period("day", told.document.period, "EEEE", lang)
    said = lang.say(_YESTERDAY[_side(told, measure)], amount=measure.balance(amount, lang), weekday=weekday)
    busiest = _busiest(told.document)
    if busiest is None:
        return f"{said}."
    start, end = f"{busiest:02d}:00", f"{busiest + SPAN:02d}:00"
    return lang.say("{said}, mostly {start}–{end}.", said=said, start=start, end=end)


def _side(told: Told, measure: Measure) -> int | None:
    """Return whether a day is above (1), like (0) or below (-1) its usual weekday; None if too little is known."""
    if told.usual is None:
        return None
    parts = told.document.total, told.usual.comparable
    mine, usual = map(measure.net, parts)
    if mine is None or not usual or usual < 0 or min(part.known_s for part in parts) < KNOWN * told.elapsed_s:
        return None
    return 0 if abs(mine - usual) < USUAL * usual else 1 if mine > usual else -1


def _busiest(document: Document) -> int | None:
    """Return the first of the busiest hours of a plain day; None for an even one, or if the clocks change."""
    slots = periods.slots("day", document.period, document.timezone)
    hours = [document.part(slot.name).import_wh or 0 for slot in slots]
    sums = [sum(hours[first : first + SPAN]) for first in range(len(hours) - SPAN + 1)]
    is_even = len(hours) != 24 or max(sums) < EVEN * SPAN / 24 * sum(hours)
    return None if is_even or not any(hours) else sums.index(max(sums))


def week_before(day: str, lang: Language) -> tuple[str, str]:
    """Return the first and the last day of the calendar week before that of a day; the language begins its weeks."""
    into = (words.moment("day", day).weekday() - lang.first_weekday) % 7
    return periods.shift("day", day, -into - 7), periods.shift("day", day, -into - 1)


def highest_hour(name: str, days: Iterable[Document], view: View, lang: Language) -> tuple[tuple[str, str, str], ...]:
    """Return the hour with the highest import as a fact with the address of its day; empty without import.

    An hour that is mostly estimated does not count: nobody knows when its energy flowed.
    """
    best: tuple[int, Document, int] | None = None
    for day in days:
        for place, slot in enumerate(periods.slots("day", day.period, day.timezone)):
            part = day.part(slot.name)
            amount = part.import_wh or 0
            if part.known_s > 2 * part.estimated_s and amount > (best[0] if best else 0):
                best = amount, day, place
    if best is None:
        return ()
    amount, day, place = best
    to = view.to("day", day.period)
    hour = labels(to, periods.slots("day", day.period, day.timezone), day.timezone, lang)[place].name
    date = words.format_period("day", day.period, words.WEEKDAY_AND_DATE, lang)
    said = lang.say("{amount}, {day}, {hour}", amount=words.energy(amount, lang), day=date, hour=hour)
    return ((name, said, to.to_url()),)


# Times without readings


class UnreadTime(NamedTuple):
    """A time without readings: its span, the energy that is estimated over it, and the chart of its day."""

    name: str  # `Tue 24 Nov 08:10–08:50`
    what: str  # `0.30 kWh estimated`
    url: str


class _Half(NamedTuple):
    """A half hour: its span up to now, its energy, and the seconds neither measured nor told by the supplier."""

    start: int
    end: int
    part: Part
    lacking_s: int  # whole minutes

    @property
    def hole(self) -> str:
        """What is known of the seconds that are lacking; empty without any."""
        return "" if not self.lacking_s else "estimated" if self.part.estimated_s else "missing"


def outages(days: Iterable[Document], first: str | None, settled: int, view: View, lang: Language) -> list[UnreadTime]:
    """Return the times without readings of some days, by time, up to the instant `settled`.

    `first` is the first day with data; nothing is missing before its first reading.
    """
    return [
        _unread_time(document, run, view, lang)
        for document in days
        for hole, found in groupby(_halves(document, first, settled), key=lambda half: half.hole)
        if hole
        for run in [list(found)]
    ]


def _halves(document: Document, first: str | None, settled: int) -> Iterator[_Half]:
    if first is None or document.period < first:
        return
    is_unborn = document.period == first
    for name, start, end in periods.half_hours(document.period, document.timezone):
        part = document.part(name)
        if is_unborn or start >= settled:  # the minute of the first reading within its half hour is unknown
            is_unborn = is_unborn and part.is_empty
            continue
        lacking_s = min(end, settled) - start - part.covered_s - part.interval_s
        yield _Half(start, min(end, settled), part, max(0, lacking_s) // words.MINUTE * words.MINUTE)


def _unread_time(document: Document, run: Sequence[_Half], view: View, lang: Language) -> UnreadTime:
    """Return a time without readings.

    Its first and its last half hour tell its minutes, because it reaches over the edges between.
    """
    start, end, what = run[0].start, run[-1].end, list[str]()
    if len(run) > 1:
        start, end = run[0].end - run[0].lacking_s, run[-1].start + run[-1].lacking_s
    elif run[0].lacking_s < end - start:
        what.append(lang.say("{duration} missing", duration=words.duration(run[0].lacking_s, lang)))
    wh = sum(half.part.estimated_import_wh for half in run)
    estimated = lang.say("{amount} estimated", amount=words.energy(wh, lang))
    what.append(estimated if run[0].hole == "estimated" else lang.say("nothing is known"))
    clocks = [periods.local(at, document.timezone).format("HH:mm") for at in (start, end)]
    is_midnight = end == periods.window("day", document.period, document.timezone).end
    day = words.format_period("day", document.period, text("EEE d MMM"), lang)
    name = f"{day} {clocks[0]}–{'24:00' if is_midnight else clocks[1]}"
    return UnreadTime(name, ", ".join(what), view.to("day", document.period).to_url())


# Exchanges of the meter


def exchanges(device: Device, view: View, lang: Language) -> tuple[str, ...]:
    """Return the times in a view's period at which people say that the meter was exchanged."""
    span = periods.window(view.level, view.period, device.timezone)
    found = (one.at for one in parse_overrides(device.exchange_overrides) if one.is_exchange)
    return tuple(words.date_and_time(at, device.timezone, lang) for at in found if span.start <= at < span.end)


# The other meters of a home


def gas_facts(chart: Chart, gas: Part, currency: str, lang: Language) -> list[tuple[str, str]]:
    """Return the gas of a chart's period, and electricity and gas together in money where both are known whole."""
    measure = Measure(currency, chart.view.has_charge)
    energy = [] if gas.import_wh is None else [str(words.energy(gas.import_wh, lang))]
    energy += [] if gas.volume_l is None else [str(words.volume(gas.volume_l, lang))]
    mine, other = Measure(chart.currency, chart.view.has_charge).net(chart.total), measure.net(gas)
    if not energy or not currency or other is None:
        return [(lang.say("Gas"), ", ".join(energy))] if energy else []
    facts = [(lang.say("Gas"), ", ".join([*energy, str(measure.format(other, lang))]))]
    is_whole = not chart.total.cost.unpriced_wh and not gas.cost.unpriced_wh
    if mine is None or chart.currency != currency or not is_whole:
        return facts
    return [*facts, (lang.say("Electricity and gas"), str(measure.balance(mine + other, lang)))]


def solar_facts(total: Part, made: Part | None, lang: Language) -> list[tuple[str, str]]:
    """Return what the panels made and what of it was used at home; that it is not known, without a meter of its own.

    Self-use is what was made less the export, and never negative: the clocks of two meters differ by seconds. It is
    told only where both meters know the same time.
    """
    if made is None:
        unknown = lang.say("not known without a meter of its own")
        return [(lang.say("Made by the panels"), unknown)] if total.export_wh else []
    if made.import_wh is None:
        return []
    facts = [(lang.say("Made by the panels"), str(words.energy(made.import_wh, lang)))]
    if total.import_wh is None or total.export_wh is None or not is_comparable(total, made) or not made.import_wh:
        return facts
    used = max(0, made.import_wh - total.export_wh)
    share = words.percent(used, made.import_wh, lang) if used else f"{lang.number(0)} %"
    facts.append((lang.say("Used at home"), f"{words.energy(used, lang)}, {share}"))
    if used + total.import_wh:
        own = words.percent(used, used + total.import_wh, lang) if used else f"{lang.number(0)} %"
        facts.append((lang.say("Self-sufficiency"), own))
    return facts
