"""The columns that lie over a figure: each a target as tall as the chart, a link where there is a chart below it.

They are one stop of the Tab key; the arrow keys walk along them (assets/wattfall.js).
"""

from itertools import groupby

from dash import html
from dash.development.base_component import Component

from dashboard import sentences, words
from dashboard.attributes import attributes
from dashboard.charts import NOW, Chart, Column
from dashboard.figures import MARGIN

EDGES = {side: f"{MARGIN[side[0]]}px" for side in ("left", "right", "top", "bottom")}


def cells(chart: Chart) -> list[Component]:
    """One cell a column, exactly over the plot when they lie within EDGES."""
    count = len(chart.columns)
    first = next((position for position, column in enumerate(chart.columns) if column.is_told), None)
    runs = _gap_runs(chart)
    cells = []
    for position, column in enumerate(chart.columns):
        marks = [*_gap(runs.get(position, 0)), _tick(column)]
        cells.append(_cell(column, _side(position, count), marks, "0" if position == first else "-1"))
    return cells


def table(chart: Chart) -> Component:
    """The same numbers, to be read exactly."""
    has_export = any(column.part.export_wh for column in chart.columns)
    told = [column for column in chart.columns if column.is_told]
    notes = [" · ".join(sentences.notes(column.part, column.missing_s)) for column in told]
    heads = ["Imported, kWh", *(["Exported, kWh"] if has_export else []), *(["Remarks"] if any(notes) else [])]
    rows = [_row(column, has_export, [note] if any(notes) else []) for column, note in zip(told, notes, strict=True)]
    name = words.period_name(chart.view.level, chart.view.period)
    return html.Table(
        [
            html.Caption(f"Energy, {name}", className="unseen"),
            html.Thead(html.Tr([html.Td(), *(html.Th(head, scope="col") for head in heads)])),
            html.Tbody(rows),
        ]
    )


def _gap_runs(chart: Chart) -> dict[int, int]:
    """How many gaps in a row begin at a position."""
    runs: dict[int, int] = {}
    for is_gap, run in groupby(range(len(chart.columns)), key=lambda position: chart.columns[position].is_gap):
        if is_gap:
            places = list(run)
            runs[places[0]] = len(places)
    return runs


def _gap(length: int) -> list[Component]:
    """`no data` once over a run of gaps."""
    style = {"width": f"{length * 100}%"}
    return (
        [html.Span(html.Span("no data"), className="gap", style=style, **attributes(aria_hidden="true"))]
        if length
        else []
    )


def _cell(column: Column, side: str, marks: list[Component], tab_index: str) -> Component:
    place = "column now" if column.when == NOW else "column"
    if not column.is_told:
        return html.Div(marks, className=place)
    lines = [html.Strong(column.label.name), *map(html.Span, sentences.column_lines(column))]
    card = html.Span(lines, className=f"card {side}")
    if column.below:
        lines.append(html.Span("Open ›", className="open", **attributes(aria_hidden="true")))
        return html.A([card, *marks], href=column.below.to_url(), className=place, tabIndex=tab_index)
    said = attributes(aria_label=" · ".join([column.label.name, *sentences.column_lines(column)]))
    return html.Div([card, *marks], className=place, tabIndex=tab_index, role="img", **said)


def _tick(column: Column) -> Component:
    """What stands under the axis; the full name is in the card."""
    label = column.label
    place = "tick major" if label.is_major else "tick"
    return html.Span([label.tick, html.Small(label.note)], className=place, **attributes(aria_hidden="true"))


def _side(position: int, count: int) -> str:
    """The card opens towards the middle, so that no screen cuts it off; in the middle a phone has it above."""
    middle = " middle" if count <= position * 3 < 2 * count else ""
    return ("opens-right" if position * 2 < count else "opens-left") + middle


def _row(column: Column, has_export: bool, remarks: list[str]) -> Component:
    name = html.A(column.label.name, href=column.below.to_url()) if column.below else column.label.name
    energies = [column.part.import_wh, *([column.part.export_wh] if has_export else [])]
    cells = [*map(_exact, energies), *remarks]
    return html.Tr([html.Th(name, scope="row"), *map(html.Td, cells)])


def _exact(wh: int | None) -> str:
    return "–" if wh is None else f"{wh / 1000:,.3f}"
