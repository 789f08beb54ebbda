"""The card of a column of a chart: its lines of words. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from aggregator.core.documents import Part
from dashboard.charts import sentences
from dashboard.charts.chart_model import NOW, PAST, Chart, Column, Measure
from dashboard.text import words
from dashboard.text.language import Language, text


def column_lines(place: int, chart: Chart, lang: Language) -> list[str]:
    """Return the lines of a column's card, without its name."""
    column, measure = chart.columns[place], chart.measure
    share_and_price = [*_share(chart, place, lang), *_price(chart, place, lang)]
    return [
        *_flows(chart, column.part, lang),
        *([" · ".join(share_and_price)] if share_and_price else []),
        *_against(column, chart, lang),
        *sentences.unpriced(measure, column.part, lang),
        *sentences.notes(column.part, column.missing_s, lang),
        *_halves(column, measure, lang),
    ]


# The unit of a view first: energy (no currency) or money. Without export no direction is named.
_ALONE = ("{amount}", "{amount}")
_IMPORTED = {False: (text("{amount} imported"), "{amount}"), True: (text("{amount} for import"), "{amount}")}
_EXPORTED = {
    False: (text("{amount} exported"), text("{amount} earned")),
    True: (text("{amount} earned"), text("{amount} exported")),
}


def _flows(chart: Chart, part: Part, lang: Language) -> list[str]:
    """Return the import and the export, each as energy and money, and the standing charge of money."""
    measure, other = chart.measure, replace(chart.measure, currency="" if chart.measure.currency else chart.currency)
    both = [measure, other] if chart.currency else [measure]
    is_money, has_export = bool(measure.currency), bool(part.export_wh)
    rows = [(_IMPORTED[is_money] if has_export else _ALONE, [one.up(part) for one in both])]
    rows += [(_EXPORTED[is_money], [one.down(part) for one in both])] if has_export else []
    lines = [_amounts(both, said, amounts, lang) for said, amounts in rows]
    if charge := measure.charge(part):
        lines.append(lang.say("{amount} standing charge", amount=measure.format(charge, lang)))
    return [line for line in lines if line]


def _amounts(measures: Sequence[Measure], said: Sequence[str], amounts: Sequence[int | None], lang: Language) -> str:
    known = zip(measures, said, amounts, strict=False)
    return " · ".join(
        lang.say(sentence, amount=measure.format(amount, lang))
        for measure, sentence, amount in known
        if amount is not None
    )


def _share(chart: Chart, place: int, lang: Language) -> list[str]:
    """Return the share of a column in the import of its period; none of an open period, or of all of it."""
    mine, all_of_it = chart.columns[place].part.import_wh, chart.total.import_wh
    if not mine or not all_of_it or mine == all_of_it or chart.when != PAST:
        return []
    return [lang.say(words.LEVEL_WORDS[chart.view.level].share, share=words.percent(mine, all_of_it, lang))]


def _halves(column: Column, measure: Measure, lang: Language) -> list[str]:
    """Return the half hours of an hour, each with its import and its export; empty if only one is known."""
    sentence = text("earned {amount}") if measure.currency else text("{amount} exported")
    lines = []
    for name, half in column.halves:
        up, down = measure.up(half), measure.down(half)
        parts = [] if up is None else [_small(measure, up, lang)]
        parts += [lang.say(sentence, amount=_small(measure, down, lang))] if down else []
        lines += [f"{name}  {', '.join(parts)}"] if parts else []
    return lines if len(lines) > 1 else []


def _small(measure: Measure, amount: int, lang: Language) -> str:
    """Return the amount of a half hour; money in hundredths with a decimal."""
    return lang.price(amount, measure.currency) if measure.currency else str(measure.format(amount, lang))


def _against(column: Column, chart: Chart, lang: Language) -> list[str]:
    """Return the compared column's amount, and the difference if this column is over."""
    other = chart.measure.gross(column.other)
    if chart.other is None or other is None:
        return []
    line = f"{chart.other.name}: {chart.measure.format(other, lang)}"
    mine = chart.measure.gross(column.part)
    if mine is None or column.when == NOW or mine == other:
        return [line]
    sign = "+" if mine > other else "−"
    return [f"{line} ({sign}{chart.measure.format(abs(mine - other), lang)})"]


def _price(chart: Chart, place: int, lang: Language) -> list[str]:
    price = sentences.hour_price(chart, place)
    return [] if price is None else [lang.say("{price} a kWh", price=lang.price(price, chart.currency))]
