"""The section under the chart: the hours of a month, the running total of a year."""

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Part
from dashboard.charts import comparable_so_far, cumulative, cumulative_figure, figures, heat, heat_grid
from dashboard.charts.chart_model import Chart
from dashboard.charts.cumulative import Cumulative
from dashboard.charts.heat import HeatMap
from dashboard.pages.household.slots import Slots
from dashboard.text.attributes import attributes
from dashboard.text.language import Language
from dashboard.web.cached_reads import Data

More = HeatMap | Cumulative | None


def layout(lang: Language) -> Component:
    """The section without its numbers."""
    head = html.Div([html.H2(id="more-title"), html.P(id="more-words")])
    return html.Section(
        html.Div([head, html.Ul(id="more-legend", className="legend"), _heat(), _running(lang)], className="beneath"),
        id="more",
        className="panel",
        hidden=True,
        **attributes(aria_labelledby="more-title"),
    )


def read(data: Data, device: Device, chart: Chart) -> More:
    """What stands under a chart; None under that of a day, and where the chart is empty."""
    view = chart.view
    if chart.is_empty or view.level == "day":
        return None
    zone, now = device.timezone, data.now()
    if view.level == "month":
        days = data.documents(device, "day", f"{view.period}-01", f"{view.period}-{periods.days_in(view.period)}")
        extent = data.extent(device, "day")
        return heat.read(view, days, zone, now, extent[0] if extent else None, chart.measure)
    mine, other = (
        data.documents(device, "month", f"{year}-01", f"{year}-12")
        for year in (view.period, periods.shift("year", view.period, -1))
    )
    return cumulative.read(view, mine, other, _a_year_ago(data, device), now, zone, chart.measure)


def slots(more: More, lang: Language) -> Slots:
    """The values of the section."""
    if isinstance(more, HeatMap):
        return _hours(more, lang)
    if isinstance(more, Cumulative):
        return _total(more, lang)
    return {"more.hidden": True}


def _a_year_ago(data: Data, device: Device) -> Part:
    """What today's date came to a year ago by this time of the day."""
    now, zone = data.now(), device.timezone
    wanted = comparable_so_far.chain_of(
        "year", periods.shift("year", periods.period_of("year", now, zone), -1), now, zone
    )
    day = data.document(device, "day", wanted["day"]) if "day" in wanted else None
    return comparable_so_far.so_far({"day": day}, "day", now, zone) if day else EMPTY


def _heat() -> Component:
    return html.Div(id="heat", className="heat", hidden=True)


def _running(lang: Language) -> Component:
    numbers = [html.Summary(lang.say("By month")), html.Div(id="running-table")]
    return html.Div(
        [
            html.Div(html.Div(id="running-picture", role="img", className="graph"), className="running-plot"),
            html.Details(numbers, className="numbers"),
        ],
        id="running",
        hidden=True,
    )


def _hours(more: HeatMap, lang: Language) -> Slots:
    return {
        "more.hidden": False,
        "more-title.children": lang.say("Hour by hour"),
        "more-words.children": heat_grid.habits(more, lang),
        "more-legend.children": heat_grid.legend(more, lang),
        "heat.hidden": False,
        "heat.data-grid": heat_grid.grid(more, lang),
        "running.hidden": True,
    }


def _total(more: Cumulative, lang: Language) -> Slots:
    said = " · ".join(cumulative_figure.sentences(more, lang))
    title = lang.say("Running total of the bill") if more.measure.currency else lang.say("Running total of import")
    return {
        "more.hidden": not more.mine,
        "more-title.children": title,
        "more-words.children": said,
        "more-legend.children": [],
        "heat.hidden": True,
        "running.hidden": False,
        "running-picture.data-figure": figures.to_json(cumulative_figure.figure(more, lang)),
        "running-picture.aria-label": lang.say("Line chart, {title}: {summary}", title=title, summary=said),
        "running-table.data-rows": cumulative_figure.table(more, lang),
    }
