"""The household page: tiles above, one chart below."""

from dash import dcc, html
from dash.development.base_component import Component

from aggregator import periods
from aggregator.documents import Device
from dashboard import charts, columns, figures, navigation, sentences, tiles, words
from dashboard.attributes import attributes
from dashboard.charts import Chart
from dashboard.data import Data
from dashboard.slots import Slots
from dashboard.view import View


def layout() -> Component:
    """The page without its numbers."""
    tiles_row = [tiles.power_tile(), tiles.energy_tile("today", "Today"), tiles.energy_tile("month", "This month")]
    panel = [
        navigation.layout(),
        html.H1(id="heading", **attributes(aria_live="polite")),
        _figure(),
        html.Details([html.Summary("Table"), html.Div(id="table")], id="numbers", className="numbers", hidden=True),
        html.Div(id="nothing", className="nothing", hidden=True),
    ]
    return html.Div(
        [html.Div(tiles_row, className="tiles"), html.Section(panel, className="panel")],
        id="household",
        hidden=True,
    )


def now_slots(data: Data, device: Device) -> Slots:
    """The tiles of a device as of now."""
    now, zone = data.now(), device.timezone
    day, month = (periods.period_of(level, now, zone) for level in ("day", "month"))
    so_far = data.document(device, "month", month)
    return {
        **tiles.power(data.live(device), now, zone),
        **tiles.energy("today", data.document(device, "day", day), words.written("day", day, "dddd D MMMM")),
        **tiles.energy("month", so_far, tiles.month_note(so_far, month)),
    }


def read(data: Data, device: Device, view: View) -> tuple[Chart, tuple[str, str] | None]:
    """The chart of a view, and the first and last period of its level that have data."""
    now = data.now()
    view = view.at(now, device.timezone)
    extent = data.extent(device, view.level)
    document = data.document(device, view.level, view.period)
    return charts.read(view, document, device.timezone, now, extent[0] if extent else None), extent


def chart_slots(chart: Chart, extent: tuple[str, str] | None, now: int, zone: str) -> Slots:
    """The chart with its title, its navigation and its numbers; words where there is nothing to draw."""
    view = chart.view
    first = extent[0] if extent else None
    is_empty = chart.total.is_empty
    return {
        **navigation.links(view, first, now, zone),
        "heading.children": words.period_name(view.level, view.period),
        "title.data": f"{words.period_name(view.level, view.period)} · {view.device_id}",
        "figure.hidden": is_empty,
        "numbers.hidden": is_empty,
        "nothing.hidden": not is_empty,
        **(_nothing(chart, extent) if is_empty else _drawn(chart)),
    }


def _figure() -> Component:
    # What is hovered and clicked lies over the graph: see columns.py.
    still: dcc.Graph.Config = {"displayModeBar": False, "staticPlot": True}
    graph = dcc.Graph(id="graph", config=still, responsive=True, className="graph")
    caption = html.Figcaption([html.Strong(id="total"), html.Span(id="remarks")])
    plot = [
        html.Div(graph, id="picture", role="img"),
        html.Div(id="columns", className="columns", style=columns.EDGES),
    ]
    legend = html.Ul(id="legend", className="legend")
    return html.Figure([caption, legend, html.Div(plot, className="plot")], id="figure", hidden=True)


def _drawn(chart: Chart) -> Slots:
    name = words.period_name(chart.view.level, chart.view.period)
    return {
        "total.children": sentences.total(chart),
        "remarks.children": "".join(f" · {remark}" for remark in sentences.remarks(chart)),
        "legend.children": _legend(chart),
        "picture.aria-label": f"Bar chart, {name}: {sentences.summary(chart)}",
        "graph.figure": figures.figure(chart),
        "columns.children": columns.cells(chart),
        "table.children": columns.table(chart),
    }


def _legend(chart: Chart) -> list[Component]:
    """What the colours mean, only where more than plain import is drawn."""
    total = chart.total
    shown = {
        "imported": bool(total.export_wh),
        "exported": bool(total.export_wh),
        "estimated": bool(total.estimated_wh),
        "data missing": any(column.is_partial for column in chart.columns),
    }
    return [html.Li(word, className=word.replace(" ", "-")) for word, is_shown in shown.items() if is_shown]


def _nothing(chart: Chart, extent: tuple[str, str] | None) -> Slots:
    heading, sentence = sentences.nothing(chart, extent[0] if extent else None)
    ways = [_way_back(chart, extent)] if extent else []
    return {"nothing.children": [html.H2(heading), html.P(sentence), *ways]}


def _way_back(chart: Chart, extent: tuple[str, str]) -> Component:
    """The nearest period with data, in the direction in which there is some."""
    level, period = chart.view.level, chart.view.period
    nearest = extent[0] if period < extent[0] else extent[1]
    name = words.period_name(level, nearest)
    return html.A(f"Go to {name}", href=chart.view.to(level, nearest).to_url(), className="button")
