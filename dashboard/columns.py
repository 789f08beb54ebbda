"""The columns that lie over a figure: each a target as tall as the chart, a link where there is a chart below it."""

from dash import html
from dash.development.base_component import Component

from dashboard import sentences, words
from dashboard.charts import Chart, Column
from dashboard.figures import MARGIN

EDGES = {side: f"{MARGIN[side[0]]}px" for side in ("left", "right", "top", "bottom")}


def cells(chart: Chart) -> list[Component]:
    """One cell a column, exactly over the plot when they lie within EDGES."""
    count = len(chart.columns)
    return [_cell(column, _side(position, count)) for position, column in enumerate(chart.columns)]


def table(chart: Chart) -> Component:
    """The same numbers, to be read exactly."""
    has_export = any(column.part.export_wh for column in chart.columns)
    heads = ["Imported, kWh", *(["Exported, kWh"] if has_export else []), "Remarks"]
    rows = [_row(column, has_export) for column in chart.columns if column.is_told]
    name = words.period_name(chart.view.level, chart.view.period)
    return html.Table(
        [
            html.Caption(f"Energy, {name}", className="unseen"),
            html.Thead(html.Tr([html.Td(), *(html.Th(head, scope="col") for head in heads)])),
            html.Tbody(rows),
        ]
    )


def _cell(column: Column, side: str) -> Component:
    if not column.is_told:
        return html.Div(className="column")
    lines = [html.Strong(column.name), *map(html.Span, sentences.column_lines(column))]
    card = html.Span(lines, className=f"card {side}")
    if column.below:
        return html.A(card, href=column.below.to_url(), className="column")
    return html.Div(card, className="column", tabIndex="-1")


def _side(position: int, count: int) -> str:
    """The card opens towards the middle, so that no screen cuts it off; in the middle a phone has it above."""
    middle = " middle" if count <= position * 3 < 2 * count else ""
    return ("opens-right" if position * 2 < count else "opens-left") + middle


def _row(column: Column, has_export: bool) -> Component:
    name = html.A(column.name, href=column.below.to_url()) if column.below else column.name
    energies = [column.part.import_wh, *([column.part.export_wh] if has_export else [])]
    remarks = " · ".join(sentences.notes(column.part, column.missing_s))
    return html.Tr([html.Th(name, scope="row"), *(html.Td(_exact(wh)) for wh in energies), html.Td(remarks)])


def _exact(wh: int | None) -> str:
    return "–" if wh is None else f"{wh / 1000:,.3f}"
