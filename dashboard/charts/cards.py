"""The card of a column of a chart: its lines of words. Pure."""

from dashboard.charts import sentences
from dashboard.charts.chart_model import NOW, Chart, Column, Measure
from dashboard.text.language import Language, text


def column_lines(place: int, chart: Chart, lang: Language) -> list[str]:
    """Return the lines of a column's card, without its name."""
    column, measure = chart.columns[place], chart.measure
    return [
        *sentences.amounts(measure, column.part, lang),
        *_against(column, chart, lang),
        *_price(chart, place, lang),
        *sentences.unpriced(measure, column.part, lang),
        *sentences.notes(column.part, column.missing_s, lang),
        *_halves(column, measure, lang),
    ]


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
