"""The card of a column of a chart: its lines of words. Pure."""

from dashboard.charts import sentences
from dashboard.charts.chart_model import NOW, Chart, Column
from dashboard.text.language import Language


def column_lines(place: int, chart: Chart, lang: Language) -> list[str]:
    """Return the lines of a column's card, without its name."""
    column, measure = chart.columns[place], chart.measure
    halves = [
        f"{name}  {measure.format(amount, lang)}"
        for name, half in column.halves
        if (amount := measure.up(half)) is not None
    ]
    return [
        *sentences.amounts(measure, column.part, lang),
        *_against(column, chart, lang),
        *_price(chart, place, lang),
        *sentences.unpriced(measure, column.part, lang),
        *sentences.notes(column.part, column.missing_s, lang),
        *(halves if len(halves) > 1 else []),
    ]


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
