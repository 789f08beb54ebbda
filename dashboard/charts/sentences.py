"""What the charts say in words. Pure."""

from decimal import Decimal

from aggregator.core.documents import Part
from dashboard.charts.chart_model import BEFORE, FUTURE, NOW, Chart, Column, Measure
from dashboard.text import words
from dashboard.text.language import Language, text

COMPARABLE = 0.9  # the share of the time that must be known of both for a comparison to say something
WH = 1000  # of a kWh


def total(chart: Chart, lang: Language) -> str:
    """The energy of a chart, or what is to pay: `8.4 kWh so far`, `8.40 kWh imported and 3.10 kWh exported`."""
    if chart.measure.currency:
        net = chart.measure.net(chart.total)
        said = "" if net is None else str(chart.measure.said(net, lang))
    else:
        said = lang.say(" and ").join(amounts(chart.measure, chart.total, lang))
    return lang.say("{amount} so far", amount=said) if chart.when == NOW and said else said


def amounts(measure: Measure, part: Part, lang: Language) -> list[str]:
    """The energy or the money of a part, each direction that is known; export only where there is some."""
    if measure.currency:
        return _money(measure, part, lang)
    imported, exported = part.import_wh, part.export_wh
    if not exported:
        return [] if imported is None else [str(words.energy(imported, lang))]
    said = [] if imported is None else [lang.say("{amount} imported", amount=words.energy(imported, lang))]
    return [*said, lang.say("{amount} exported", amount=words.energy(exported, lang))]


def remarks(chart: Chart, lang: Language) -> list[str]:
    """What else is worth saying of a chart that has data."""
    if chart.is_empty:
        return _price_range(chart, lang)
    return [
        *_composed(chart, lang),
        *_compared(chart, lang),
        *_began(chart, lang),
        *_peak(chart, lang),
        *_shift(chart.shift_s, lang),
        *_unpriced(chart.measure, chart.total, lang),
        *_quality(chart, lang),
    ]


def facts(chart: Chart, lang: Language) -> list[tuple[str, str]]:
    """The average, the highest, the lowest and the coverage of a chart, each with its name."""
    measure, said = chart.measure, []
    if chart.average is not None:
        amount = measure.said(chart.average, lang)
        said.append((lang.say("Average"), lang.say(words.column_words(chart.view.level).mean, amount=amount)))
    for name, place in ((lang.say("Highest"), chart.peak), (lang.say("Lowest"), chart.lowest)):
        if place is not None:
            column = chart.columns[place]
            said.append((name, f"{measure.said(measure.gross(column.part) or 0, lang)}, {column.label.name}"))
    known_s = chart.total.covered_s + chart.total.estimated_s + chart.missing_s
    if known_s:
        share = lang.number(chart.total.covered_s * 100 // known_s)
        said.append((lang.say("Measured"), f"{share} %"))
    return said


def summary(chart: Chart, lang: Language) -> str:
    """The chart in one line, for those who do not see it."""
    return " · ".join(filter(None, [total(chart, lang), *remarks(chart, lang)]))


def difference(measure: Measure, amount: int | None, other: int | None, name: str, lang: Language) -> str:
    """How much more or less than another period, in percent, or as an amount where percent says nothing."""
    if amount is None or other is None:
        return ""
    gap = amount - other
    if not gap:
        return lang.say("the same as {other}", other=name)
    is_share = other > 0 and amount >= 0 and gap <= 2 * other
    by = words.percent(gap, other, lang) if is_share else str(measure.said(abs(gap), lang))
    said = text("{amount} more than {other}") if gap > 0 else text("{amount} less than {other}")
    return lang.say(said, amount=by, other=name)


def notes(part: Part, missing_s: int, lang: Language) -> list[str]:
    """How far a figure is to be trusted; nothing when it is measured throughout."""
    said = []
    if part.estimated_s:
        said.append(lang.say("{duration} estimated", duration=words.duration(part.estimated_s, lang)))
    if part.is_empty and missing_s:
        return [lang.say("no data")]
    if missing_s:
        said.append(lang.say("{duration} missing", duration=words.duration(missing_s, lang)))
    return said


def nothing(chart: Chart, first: str | None, lang: Language) -> tuple[str, str]:
    """A heading and a sentence for a chart without data."""
    level = chart.view.level
    said = words.LEVEL_WORDS[level]
    if first is None:
        return lang.say("Nothing to draw yet"), lang.say("The chart begins with the first reading.")
    if chart.when == FUTURE:
        return lang.say(said.to_come), lang.say("There is nothing to show yet.")
    if chart.when == BEFORE:
        began = words.period_name(level, first, lang)
        return lang.say("Before the first reading"), lang.say(said.begin, period=began)
    if not chart.columns:
        return (
            lang.say("A day that never was"),
            lang.say("The clocks of this time zone skipped {period}.", period=chart.name),
        )
    return lang.say("No data"), lang.say("No reading of {period} has come in.", period=chart.name)


def hour_count(shift_s: int, lang: Language) -> str:
    """`25 hours`, `24.5 hours`: the length of a day."""
    hours = Decimal(24) + Decimal(shift_s) / 3600
    return lang.say("{number} hours", number=lang.number(hours, 0 if hours == int(hours) else 1))


def column_lines(place: int, chart: Chart, lang: Language) -> list[str]:
    """What the card over the column at a place says below its name."""
    column, measure = chart.columns[place], chart.measure
    halves = [
        f"{name}  {measure.said(amount, lang)}"
        for name, half in column.halves
        if (amount := measure.up(half)) is not None
    ]
    return [
        *amounts(measure, column.part, lang),
        *_against(column, chart, lang),
        *_price(chart, place, lang),
        *_unpriced(measure, column.part, lang),
        *notes(column.part, column.missing_s, lang),
        *(halves if len(halves) > 1 else []),
    ]


def _money(measure: Measure, part: Part, lang: Language) -> list[str]:
    gross, earned = measure.gross(part), measure.down(part)
    if not earned:
        return [] if gross is None else [str(measure.said(gross, lang))]
    said = [] if gross is None else [lang.say("{amount} for import", amount=measure.said(gross, lang))]
    return [*said, lang.say("{amount} earned", amount=measure.said(earned, lang))]


def _against(column: Column, chart: Chart, lang: Language) -> list[str]:
    """The compared column, and by how much this one differs when it is over."""
    other = chart.measure.gross(column.other)
    if chart.other is None or other is None:
        return []
    said = f"{chart.other.name}: {chart.measure.said(other, lang)}"
    mine = chart.measure.gross(column.part)
    if mine is None or column.when == NOW or mine == other:
        return [said]
    sign = "+" if mine > other else "−"
    return [f"{said} ({sign}{chart.measure.said(abs(mine - other), lang)})"]


def _compared(chart: Chart, lang: Language) -> list[str]:
    if chart.other is None:
        return []
    name = chart.other.name
    fair = chart.measure.net(chart.other.fair)
    if fair is None:
        return [lang.say("no data of {other}", other=name)]
    if not _is_fair(chart.total, chart.other.fair):
        return [lang.say("too little is known of {other} for a comparison", other=name)]
    said = difference(chart.measure, chart.measure.net(chart.total), fair, name, lang)
    if not said:
        return []
    return [lang.say("{difference} by the same time", difference=said) if chart.when == NOW else said]


def _is_fair(part: Part, other: Part) -> bool:
    """Whether about as much is known of the one as of the other."""
    known, other_known = (one.covered_s + one.estimated_s for one in (part, other))
    return min(known, other_known) >= COMPARABLE * max(known, other_known)


def _composed(chart: Chart, lang: Language) -> list[str]:
    """What an amount to pay is made of, where that is more than import."""
    measure, cost = chart.measure, chart.total.cost
    if not measure.currency:
        return []
    fields = (
        (text("{amount} for import"), measure.up(chart.total)),
        (text("{amount} standing charge"), measure.charge(chart.total)),
        (text("{amount} earned"), measure.down(chart.total)),
    )
    said = [lang.say(words, amount=measure.said(amount, lang)) for words, amount in fields if amount]
    if cost.standing_charge and not measure.has_charge:
        said.append(lang.say("without {amount} standing charge", amount=measure.said(cost.standing_charge, lang)))
    return [", ".join(said)] if len(said) > 1 else []


def _price_range(chart: Chart, lang: Language) -> list[str]:
    """Of a day that has only prices: the cheapest hour and the dearest."""
    hours = [_hour_price(chart, place) for place in range(len(chart.columns))]
    known = [(price, place) for place, price in enumerate(hours) if price is not None]
    dearest = max(known, key=lambda pair: pair[0])
    ends = ((text("cheapest {column} at {price}"), min(known)), (text("dearest {column} at {price}"), dearest))
    return [
        lang.say(said, column=chart.columns[place].label.name, price=lang.price(price, chart.currency))
        for said, (price, place) in ends
    ]


def _hour_price(chart: Chart, place: int) -> int | None:
    """What a kWh costs in the mean of an hour's half hours, in units; None where one is unknown."""
    rates = chart.prices[2 * place : 2 * place + 2]
    known = [rate for rate in rates if rate is not None]
    return sum(known) * WH // len(known) if known and len(known) == len(rates) else None


def _began(chart: Chart, lang: Language) -> list[str]:
    if chart.began is None:
        return []
    name = chart.columns[chart.began].label.name
    return [lang.say(words.column_words(chart.view.level).began, column=name.partition("–")[0])]


def _peak(chart: Chart, lang: Language) -> list[str]:
    if chart.peak is None:
        return []
    columns = words.column_words(chart.view.level)
    of_energy = columns.most_of_two if chart.total.export_wh else columns.most
    said = columns.dearest if chart.measure.currency else of_energy
    return [lang.say(said, column=chart.columns[chart.peak].label.name)]


def _shift(seconds: int, lang: Language) -> list[str]:
    if not seconds:
        return []
    said = text("{hours}: the clocks went back") if seconds > 0 else text("{hours}: the clocks went forward")
    return [lang.say(said, hours=hour_count(seconds, lang))]


def _price(chart: Chart, place: int, lang: Language) -> list[str]:
    price = _hour_price(chart, place)
    return [] if price is None else [lang.say("{price} a kWh", price=lang.price(price, chart.currency))]


def _unpriced(measure: Measure, part: Part, lang: Language) -> list[str]:
    if not measure.currency or not part.cost.unpriced_wh:
        return []
    return [lang.say("{amount} without a price", amount=words.energy(part.cost.unpriced_wh, lang))]


def _quality(chart: Chart, lang: Language) -> list[str]:
    estimated, missing = chart.total.estimated_s, chart.missing_s
    if not estimated and not missing:
        return [lang.say("every reading present")]
    said = []
    if estimated:
        said.append(lang.say("{duration} estimated after an outage", duration=words.duration(estimated, lang)))
    if missing:
        said.append(lang.say("{duration} missing", duration=words.duration(missing, lang)))
    return said
