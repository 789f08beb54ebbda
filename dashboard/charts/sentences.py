"""The charts in words: totals, remarks, and comparisons. Pure."""

from decimal import Decimal

from aggregator.core import periods
from aggregator.core.documents import Part
from dashboard.charts.chart_model import AFTER, BEFORE, FUTURE, NOW, PRIOR, Chart, Measure
from dashboard.text import words
from dashboard.text.language import Language, text

COMPARABLE = 0.9  # a comparison needs known times that differ by less than a tenth
SAME = 0.01  # of the other amount; a smaller difference says nothing
WH = 1000  # in a kWh
FOLLOWING = text("The tariff has changed: the costs of this chart are being worked out anew, some are the old ones.")


def total(chart: Chart, lang: Language) -> str:
    """Return the energy or the balance of a chart: `8.4 kWh so far`, `8.40 kWh imported and 3.10 kWh exported`."""
    if chart.measure.currency:
        net = chart.measure.net(chart.total)
        amount = "" if net is None else str(chart.measure.balance(net, lang))
    else:
        amount = lang.say(" and ").join(amounts(chart.measure, chart.total, lang))
    return lang.say("{amount} so far", amount=amount) if chart.when == NOW and amount else amount


def amounts(measure: Measure, part: Part, lang: Language) -> list[str]:
    """Return the energy or the money of a part, one entry for each known direction; no entry for zero export."""
    if measure.currency:
        return _money(measure, part, lang)
    imported, exported = part.import_wh, part.export_wh
    if not exported:
        return [] if imported is None else [str(words.energy(imported, lang))]
    parts = [] if imported is None else [lang.say("{amount} imported", amount=words.energy(imported, lang))]
    return [*parts, lang.say("{amount} exported", amount=words.energy(exported, lang))]


def remarks(chart: Chart, lang: Language) -> list[str]:
    """Return the remarks of a chart; without data, a day's range of prices."""
    if chart.is_empty:
        return _price_range(chart, lang)
    return [
        *_composed(chart, lang),
        *_compared(chart, lang),
        *_began(chart, lang),
        *_peak(chart, lang),
        *_shift(chart.shift_s, lang),
        *(lang.say("the meter was exchanged on {time}", time=time) for time in chart.exchanges),
        *unpriced(chart.measure, chart.total, lang),
        *_quality(chart, lang),
    ]


_FACTS = text("Average"), text("Highest"), text("Lowest")
_FACTS_OF_TWO = {  # with both import and export
    True: (text("Average"), text("Highest cost"), text("Lowest cost")),
    False: (text("Average import"), text("Highest import"), text("Lowest import")),
}


def facts(chart: Chart, lang: Language) -> list[tuple[str, str]]:
    """Return the volume of gas, average, highest, lowest and coverage of a chart, each with its name."""
    measure, named, litres = chart.measure, list[tuple[str, str]](), chart.total.volume_l
    average, highest, lowest = _FACTS_OF_TWO[bool(measure.currency)] if chart.total.export_wh else _FACTS
    if litres is not None:
        named.append((lang.say("Volume"), str(words.volume(litres, lang))))
    if chart.average is not None:
        amount = measure.balance(chart.average, lang)
        named.append((lang.say(average), lang.say(words.column_words(chart.view.level).mean, amount=amount)))
    for name, place in ((lang.say(highest), chart.peak), (lang.say(lowest), chart.lowest)):
        if place is not None:
            column = chart.columns[place]
            named.append((name, f"{measure.format(measure.gross(column.part) or 0, lang)}, {column.label.name}"))
    return [*named, *_shares(chart, lang)]


def _shares(chart: Chart, lang: Language) -> list[tuple[str, str]]:
    """Return the measured share of the time, the supplier's, and the estimated one; of less than an hour the times.

    A chart of the supplier alone has no measured share.
    """
    total = chart.total
    seconds = total.known_s + chart.missing_s
    shares = (
        (lang.say("Measured"), total.covered_s, total.covered_s or not total.interval_s),
        (lang.say("From the supplier"), total.interval_s, total.interval_s),
        (lang.say("Estimated"), total.estimated_s, total.estimated_s),
    )
    is_short = seconds < periods.HOUR  # since the first reading: all of a minute is not yet a measured day
    return [
        (name, words.duration(s, lang) if is_short else _floored(s, seconds, lang))
        for name, s, is_shown in shares
        if seconds and is_shown
    ]


def _floored(part: int, whole: int, lang: Language) -> str:
    """Return a share that is 100 % only if it is all, and 0 % only if it is nothing."""
    percent = part * 100 // whole
    return f"{lang.number(percent)} %" if percent or not part else lang.say("under 1 %")


def summary(chart: Chart, lang: Language) -> str:
    """Return the chart in one line, for screen readers."""
    return " · ".join(filter(None, [total(chart, lang), *remarks(chart, lang)]))


def difference(measure: Measure, amount: int | None, other: int | None, name: str, lang: Language) -> str:
    """Return the difference from another period in percent, or as an amount if a percentage would mislead."""
    if amount is None or other is None:
        return ""
    gap = amount - other
    if not gap:
        return lang.say("the same as {other}", other=name)
    is_share = other > 0 and amount >= 0 and gap <= 2 * other
    if is_share and abs(gap) < SAME * other:
        return lang.say("about the same as {other}", other=name)
    by = words.percent(gap, other, lang) if is_share else str(measure.format(abs(gap), lang))
    sentence = text("{amount} more than {other}") if gap > 0 else text("{amount} less than {other}")
    return lang.say(sentence, amount=by, other=name)


def notes(part: Part, missing_s: int, lang: Language) -> list[str]:
    """Return the time of a figure from the supplier, estimated and missing; empty if all of it is measured."""
    times = []
    if part.interval_s:
        is_all = part.interval_s == part.known_s and not missing_s
        times.append(lang.say("from the supplier") if is_all else _from_supplier(part, lang))
    if part.estimated_s:
        times.append(lang.say("{duration} estimated", duration=words.duration(part.estimated_s, lang)))
    if part.is_empty and missing_s:
        return [lang.say("no data")]
    if missing_s:
        times.append(lang.say("{duration} missing", duration=words.duration(missing_s, lang)))
    return times


def nothing(chart: Chart, first: str | None, lang: Language) -> tuple[str, str]:
    """Return a heading and a sentence for a chart without data."""
    level = chart.view.level
    level_words = words.LEVEL_WORDS[level]
    if chart.when == AFTER:
        moved_out = lang.say("{period} is after your last day here, so nothing of it is shown.", period=chart.name)
        return lang.say("After you moved out"), moved_out
    if chart.when == PRIOR:
        not_yet = lang.say("{period} is before your first day here, so nothing of it is shown.", period=chart.name)
        return lang.say("Before you moved in"), not_yet
    if first is None:
        return lang.say("Nothing to draw yet"), lang.say("The chart begins with the second reading.")
    if chart.when == FUTURE:
        return lang.say(level_words.to_come), lang.say("There is nothing to show yet.")
    if chart.when == BEFORE:
        began = words.period_name(level, first, lang)
        return lang.say("Before the first reading"), lang.say(level_words.begin, period=began)
    if not chart.columns:
        return (
            lang.say("A day that never was"),
            lang.say("The clocks of this time zone skipped {period}.", period=chart.name),
        )
    sentence = lang.say("No reading of {period} has come in.", period=chart.name)
    charge = chart.measure.charge(chart.total)
    if charge:
        owed = chart.measure.format(charge, lang)
        sentence += " " + lang.say("The standing charge of {amount} is owed all the same.", amount=owed)
    return lang.say("No data"), sentence


def hour_count(shift_s: int, lang: Language) -> str:
    """Return the length of a day: `25 hours`, `24.5 hours`."""
    hours = Decimal(24) + Decimal(shift_s) / 3600
    return lang.say("{number} hours", number=lang.number(hours, 0 if hours == int(hours) else 1))


def _money(measure: Measure, part: Part, lang: Language) -> list[str]:
    """Return the cost, standing charge and earnings of a part; a cost alone needs no name."""
    items = _items(measure, part, lang)
    up = measure.up(part)
    return items if len(items) != 1 or up is None else [str(measure.format(up, lang))]


def _items(measure: Measure, part: Part, lang: Language) -> list[str]:
    fields = (
        (text("{amount} for import"), measure.up(part)),
        (text("{amount} standing charge"), measure.charge(part) or None),
        (text("{amount} earned"), measure.down(part) or None),
    )
    return [
        lang.say(sentence, amount=measure.format(amount, lang)) for sentence, amount in fields if amount is not None
    ]


def _compared(chart: Chart, lang: Language) -> list[str]:
    if chart.other is None or (chart.other.is_usual and chart.when == NOW):  # the sentence on top says it
        return []
    name = chart.other.name
    comparable = chart.measure.net(chart.other.comparable)
    if comparable is None or chart.other.comparable.is_empty:
        return [lang.say("no data of {other}", other=name)]
    if not is_comparable(chart.total, chart.other.comparable):
        if chart.other.is_usual:
            return []
        return [lang.say("too little is known of {other} for a comparison", other=name)]
    sentence = difference(chart.measure, chart.measure.net(chart.total), comparable, name, lang)
    if not sentence:
        return []
    return [lang.say("{difference} by the same time", difference=sentence) if chart.when == NOW else sentence]


def usual_name(day: str, lang: Language) -> str:
    """Return the name of a usual weekday: `a usual Monday`."""
    return lang.say("a usual {weekday}", weekday=words.format_period("day", day, "EEEE", lang))


def is_comparable(part: Part, other: Part) -> bool:
    """Whether the known times of two parts are about equal."""
    return min(part.known_s, other.known_s) >= COMPARABLE * max(part.known_s, other.known_s)


def _composed(chart: Chart, lang: Language) -> list[str]:
    """Return the items of an amount to pay; empty if import is the only one."""
    measure, charge = chart.measure, chart.total.cost.standing_charge
    if not measure.currency:
        return []
    items = _items(measure, chart.total, lang)
    if charge and not measure.has_charge:
        items.append(lang.say("without {amount} standing charge", amount=measure.format(charge, lang)))
    return [", ".join(items)] if len(items) > 1 else []


def _price_range(chart: Chart, lang: Language) -> list[str]:
    """Return the cheapest and the dearest hour of a day that has only prices."""
    hours = [hour_price(chart, place) for place in range(len(chart.columns))]
    known = [(price, place) for place, price in enumerate(hours) if price is not None]
    dearest = max(known, key=lambda pair: pair[0])
    ends = ((text("cheapest {column} at {price}"), min(known)), (text("dearest {column} at {price}"), dearest))
    return [
        lang.say(sentence, column=chart.columns[place].label.name, price=lang.price(price, chart.currency))
        for sentence, (price, place) in ends
    ]


def hour_price(chart: Chart, place: int) -> int | None:
    """Return the price of a kWh in units, the mean of an hour's half hours; None if one is unknown."""
    rates = chart.prices[2 * place : 2 * place + 2]
    known = [rate for rate in rates if rate is not None]
    return sum(known) * WH // len(known) if known and len(known) == len(rates) else None


def _began(chart: Chart, lang: Language) -> list[str]:
    if chart.began is None:
        return []
    start, _, end = chart.columns[chart.began].label.name.partition("–")
    return [lang.say(words.column_words(chart.view.level).began, column=start, end=end)]


def _peak(chart: Chart, lang: Language) -> list[str]:
    if chart.peak is None:
        return []
    columns = words.column_words(chart.view.level)
    of_energy = columns.most_of_two if chart.total.export_wh else columns.most
    sentence = columns.dearest if chart.measure.currency else of_energy
    return [lang.say(sentence, column=chart.columns[chart.peak].label.name)]


def _shift(seconds: int, lang: Language) -> list[str]:
    if not seconds:
        return []
    sentence = text("{hours}: the clocks went back") if seconds > 0 else text("{hours}: the clocks went forward")
    return [lang.say(sentence, hours=hour_count(seconds, lang))]


def unpriced(measure: Measure, part: Part, lang: Language) -> list[str]:
    if not measure.currency or not part.cost.unpriced_wh:
        return []
    return [lang.say("{amount} without a price", amount=words.energy(part.cost.unpriced_wh, lang))]


_ESTIMATED = text("the energy of {duration} is estimated: no readings arrived")


def _quality(chart: Chart, lang: Language) -> list[str]:
    total, estimated, missing = chart.total, chart.total.estimated_s, chart.missing_s
    if total.interval_s == total.known_s and not missing:
        return [lang.say("all from the supplier")]
    times = []
    if total.interval_s:
        times.append(_from_supplier(total, lang))
    if estimated:
        times.append(lang.say(_ESTIMATED, duration=words.duration(estimated, lang)))
    if missing:
        times.append(lang.say("{duration} missing", duration=words.duration(missing, lang)))
    return times


def _from_supplier(part: Part, lang: Language) -> str:
    return lang.say("{duration} from the supplier", duration=words.duration(part.interval_s, lang))
