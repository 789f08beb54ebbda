"""Tables of numbers, as the small JSON of which the browser builds them once they are opened. Pure."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import orjson

from dashboard.charts import sentences
from dashboard.charts.chart_model import Chart, Column
from dashboard.charts.measure import Measure
from dashboard.text.language import Language

Row = tuple[str, str | None, Sequence[str]]  # its name, where that leads, and its numbers


def table(caption: str, heads: Sequence[str], rows: Iterable[Row]) -> str:
    """A table for assets/columns.js: JSON of `caption`, `heads` and `rows`."""
    return orjson.dumps({"caption": caption, "heads": heads, "rows": list(rows)}).decode()


def of_chart(chart: Chart, lang: Language) -> str:
    """The numbers of a chart, to be read exactly: energy, and what it costs where that is known."""
    fields = _fields(chart, lang)
    rows = (
        (column.label.name, column.below.to_url() if column.below else None, [show(column) for show in fields.values()])
        for column in chart.columns
        if column.is_told
    )
    return table(lang.say("Numbers of {period}", period=chart.name), list(fields), rows)


def _fields(chart: Chart, lang: Language) -> dict[str, Callable[[Column], str]]:
    """The columns of the table: what stands at the top of each, and what it says of one part."""
    fields: dict[str, Callable[[Column], str]] = {
        lang.say("Imported, kWh"): lambda column: _exact(column.part.import_wh, lang)
    }
    if chart.total.export_wh:
        fields[lang.say("Exported, kWh")] = lambda column: _exact(column.part.export_wh, lang)
    if chart.currency:
        money = Measure(chart.currency, chart.view.has_charge)
        fields[lang.say("Cost")] = lambda column: _money(money.gross(column.part), chart.currency, lang)
        if chart.total.cost.export_earnings:
            fields[lang.say("Earned")] = lambda column: _money(money.down(column.part), chart.currency, lang)
    if chart.other:
        name = f"{chart.other.name}, {chart.measure.unit(lang)}"
        fields[name] = lambda column: _amount(chart, column, lang)
    if any(sentences.notes(column.part, column.missing_s, lang) for column in chart.columns if column.is_told):
        fields[lang.say("Remarks")] = lambda column: " · ".join(sentences.notes(column.part, column.missing_s, lang))
    return fields


def _exact(wh: int | None, lang: Language) -> str:
    return "–" if wh is None else lang.number(Decimal(wh) / 1000, 3)


def _money(units: int | None, currency: str, lang: Language) -> str:
    return "–" if units is None else lang.money(units, currency)


def _amount(chart: Chart, column: Column, lang: Language) -> str:
    amount = chart.measure.gross(column.other)
    return _money(amount, chart.currency, lang) if chart.measure.currency else _exact(amount, lang)
