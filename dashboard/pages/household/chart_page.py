"""The page of one device: tiles, the chart, and a section under the chart.

The section shows the hours of a month, or the running total of a year.
"""

from dataclasses import replace
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.periods import LOWEST
from aggregator.store.occupancies import seen_instants
from aggregator.support.device_state import arrival_state
from aggregator.waterfall.pricing import currency_of
from dashboard.charts import cards, chart_model, cumulative, figures, grids, heat, insights, sentences, usage_profile
from dashboard.charts.chart_model import Chart, Other
from dashboard.charts.cumulative import Cumulative
from dashboard.charts.heat import HeatMap
from dashboard.charts.view import View
from dashboard.pages.household import navigation
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language
from dashboard.text.words import attributes
from dashboard.web.cached_reads import CachedReads

Below = HeatMap | Cumulative | None


def below_layout(lang: Language) -> Component:
    """Return the section under the chart, without its numbers."""
    head = html.Div([html.H2(id="more-title"), html.P(id="more-words")])
    return html.Section(
        html.Div([head, html.Ul(id="more-legend", className="legend"), _heat(), _running(lang)], className="beneath"),
        id="more",
        className="panel",
        hidden=True,
        **attributes(aria_labelledby="more-title"),
    )


def load_below(data: CachedReads, device: Device, chart: Chart) -> Below:
    """Load the hours under a chart of days, the running total under a year; None under others and an empty one."""
    view, row = chart.view, periods.LEVELS[chart.view.level]
    zone, now = device.timezone, data.now()
    if not chart.total.is_empty and row.child == LOWEST:
        days = tuple(periods.children(view.level, view.period).values())
        extent = data.extent(device, LOWEST) or (None, None)
        documents = data.documents(device, LOWEST, days[0], days[-1])
        return heat.heat_map(
            view, documents, zone, now, extent[0], chart.measure, settled(data, device), seen_instants(device)
        )
    if chart.is_empty or view.level != cumulative.LEVEL:
        return None
    mine, other = (
        data.documents(device, "month", f"{year}-01", f"{year}-12")
        for year in (view.period, periods.shift("year", view.period, -1))
    )
    return cumulative.running_total(view, mine, other, _a_year_ago(data, device), now, zone, chart.measure)


def slots(below: Below, lang: Language) -> Slots:
    """Return the values of the section under the chart."""
    if isinstance(below, HeatMap):
        return _hours(below, lang)
    if isinstance(below, Cumulative):
        return _total(below, lang)
    return {"more.hidden": True}


def _a_year_ago(data: CachedReads, device: Device) -> Part:
    """Return the total of today's date a year ago, up to this time of the day."""
    now, zone = data.now(), device.timezone
    wanted = usage_profile.chain_of("year", periods.shift("year", periods.period_of("year", now, zone), -1), now, zone)
    day = data.document(device, "day", wanted["day"]) if "day" in wanted else None
    return usage_profile.so_far({"day": day}, "day", now, zone)


def _heat() -> Component:
    return html.Div(id="heat", className="heat", hidden=True)


def _running(lang: Language) -> Component:
    frame = html.Div(html.Slot(), id="running-frame", role="img", className="graph")
    numbers = [html.Summary(lang.say("By month")), html.Div(id="running-table")]
    inside = [html.Div(frame, className="running-plot"), html.Details(numbers, className="numbers")]
    return html.Div(inside, id="running", hidden=True)


def _hours(below: HeatMap, lang: Language) -> Slots:
    return {
        "more.hidden": False,
        "more-title.children": lang.say("Hour by hour"),
        "more-words.children": grids.busiest_hours_words(below, lang),
        "more-legend.children": grids.legend(below, lang),
        "heat.hidden": False,
        "heat.children": grids.heat_grid(below, lang),
        "running.hidden": True,
    }


def _total(below: Cumulative, lang: Language) -> Slots:
    summary = " · ".join(cumulative.cumulative_sentences(below, lang))
    title = lang.say("Running total of the bill") if below.measure.currency else lang.say("Running total of import")
    return {
        "more.hidden": not below.mine,
        "more-title.children": title,
        "more-words.children": summary,
        "more-legend.children": [],
        "heat.hidden": True,
        "running.hidden": False,
        "running-picture.figure": cumulative.cumulative_figure(below, lang),
        "running-frame.aria-label": lang.say("Line chart, {title}: {summary}", title=title, summary=summary),
        "running-table.children": grids.cumulative_table(below, lang),
    }


# The chart


def layout(lang: Language) -> Component:
    """Return the chart's panel without its numbers; the graph stands in its slot."""
    panel = [
        html.Div([navigation.layout(lang), navigation.tools(lang)], className="ways"),
        navigation.crumbs_layout(lang),
        _figure(),
        html.Dl(id="facts", className="facts"),
        html.Details(
            [html.Summary(lang.say("Table")), html.Div(id="table")], id="numbers", className="numbers", hidden=True
        ),
        html.Div(id="nothing", className="nothing", hidden=True),
    ]
    return html.Section(panel, className="panel")


def graph(name: str) -> Component:
    """Return a graph that only draws; its figure is an output. Until then it draws an empty one, which loads plotly."""
    still: Any = {"displayModeBar": False, "staticPlot": True}
    nothing = {"data": [], "layout": {axis: {"visible": False} for axis in ("xaxis", "yaxis")}}
    return dcc.Graph(id=name, figure=nothing, config=still, responsive=True, style={"height": "100%"})


def load_chart(data: CachedReads, device: Device, view: View, lang: Language) -> tuple[Chart, tuple[str, str] | None]:
    """Load the chart of a view, and the first and last period of its level with data."""
    now = data.now()
    view = view.at(now, device.timezone)
    extent = data.extent(device, view.level)
    chart = chart_model.chart_of(
        view,
        data.document(device, view.level, view.period),
        device.timezone,
        now,
        extent[0] if extent else None,
        lang,
        currency_of(device),
        _other(data, device, view, lang),
        _prices(data, device, view, extent),
        settled(data, device),
        seen_instants(device),
    )
    home, exchanges = navigation.home_name(device, lang), insights.exchanges(device, view, lang)
    return replace(chart, home=home, exchanges=exchanges), extent


def settled(data: CachedReads, device: Device) -> int:
    """Return the instant after which no time counts as missing: while a device sends, that of its newest reading."""
    now, live = data.now(), data.live(device)
    settled = min(now - chart_model.SETTLING_S, seen_instants(device).end)
    return min(settled, live.at) if live and arrival_state(live, now) == "sending" else settled


def chart_slots(chart: Chart, extent: tuple[str, str] | None, last: str, now: int, zone: str, lang: Language) -> Slots:
    """Return the chart with its title, navigation and numbers, or words for an empty chart.

    `last` is the last period that the navigation offers.
    """
    view = chart.view
    first = extent[0] if extent else None
    is_drawn = bool(chart.prices) or not chart.is_empty
    return {
        **navigation.links(view, first, last, now, zone, lang),
        **navigation.ways(chart, lang),
        **navigation.crumb_slots(view, chart.name, lang),
        "figure.hidden": not is_drawn,
        "numbers.hidden": chart.is_empty,
        "nothing.hidden": is_drawn,
        **(_figure_slots(chart, lang) if is_drawn else _empty_slots(chart, extent, lang)),
    }


def last_period(data: CachedReads, device: Device, level: str) -> str:
    """Return the last period of the navigation: the current one or the last own, or tomorrow with its prices."""
    now, zone = data.now(), device.timezone
    current = periods.period_of(level, min(now, seen_instants(device).end - 1), zone)
    if level != LOWEST:
        return current
    tomorrow = periods.shift(LOWEST, current, 1)
    return tomorrow if data.has_prices(device, tomorrow) else current


def _prices(data: CachedReads, device: Device, view: View, extent: tuple[str, str] | None) -> list[int | None]:
    """Return the price of a Wh at each half hour of a day; empty outside the days with content."""
    first = extent[0] if extent else periods.period_of("day", data.now(), device.timezone)
    if view.level != LOWEST or not first <= view.period <= last_period(data, device, LOWEST):
        return []
    return [rate.import_rate for rate in data.rates(device, view.period)]


def _other(data: CachedReads, device: Device, view: View, lang: Language) -> Other | None:
    """Load the compared period of a view whose period is set."""
    period = view.compared
    if not period:
        return load_usual(data, device, view.period, lang) if view.level == LOWEST else None
    now, zone = data.now(), device.timezone
    document = data.document(device, view.level, period)
    name = navigation.other_name(view, period, lang)
    if view.period != periods.period_of(view.level, now, zone):
        return Other(period, name, document, document.total)
    wanted = usage_profile.chain_of(view.level, period, now, zone)
    chain = {level: data.document(device, level, one) for level, one in wanted.items()}
    return Other(period, name, document, usage_profile.so_far(chain, view.level, now, zone))


def outage_slots(data: CachedReads, device: Device, chart: Chart, lang: Language) -> Slots:
    """Return the list of the times without readings; closed and hidden without any."""
    view, days = chart.view, list[Document]()
    if chart.missing_s or chart.total.estimated_s:
        if view.level == LOWEST:
            days = [data.document(device, view.level, view.period)]
        elif periods.LEVELS[view.level].child == LOWEST:
            names = list(periods.children(view.level, view.period).values())
            days = data.documents(device, LOWEST, names[0], names[-1])
    extent = data.extent(device, LOWEST)
    holes = insights.outages(days, extent[0] if extent else None, settled(data, device), view, lang)
    said = lang.count("{number} time without readings", "{number} times without readings", len(holes))
    items = [html.Li([html.A(one.name, href=one.url), f" {one.what}"]) for one in holes]
    return {"outages.hidden": not holes, "outages-said.children": said, "outages-list.children": items}


def load_usual(data: CachedReads, device: Device, day: str, lang: Language) -> Other | None:
    """Load the usual weekday of a day up to now; None for a day to come, or if too little is known."""
    now, zone = data.now(), device.timezone
    usual = data.usual_day(device, day)
    if usual is None:
        return None
    is_open = day == periods.period_of("day", now, zone)
    comparable = usage_profile.so_far({"day": usual}, "day", now, zone) if is_open else usual.total
    return Other(day, sentences.usual_name(day, lang), usual, comparable, is_usual=True)


def _figure() -> Component:
    # Hover and click belong to the columns over the graph, see cards.column_cells.
    following = html.P(id="following", className="following", role="status", hidden=True)
    caption = html.Figcaption([html.Strong(id="total"), html.Span(id="remarks"), following])
    plot = [
        html.Div(html.Slot(), id="picture-frame", role="img", className="graph"),
        html.Div(id="columns", className="columns", style=cards.EDGES),
    ]
    legend = html.Ul(id="legend", className="legend")
    outages = html.Details([html.Summary(id="outages-said"), html.Ul(id="outages-list")], id="outages", hidden=True)
    return html.Figure([caption, legend, outages, html.Div(plot, className="plot")], id="figure", hidden=True)


def _figure_slots(chart: Chart, lang: Language) -> Slots:
    total, remarks = sentences.total(chart, lang), sentences.remarks(chart, lang)
    return {
        "total.children": total,
        "remarks.children": " · ".join([*([""] if total else []), *remarks]),
        "following.hidden": chart.is_repriced,
        "following.children": "" if chart.is_repriced else lang.say(sentences.FOLLOWING),
        "legend.children": _legend(chart, lang),
        "picture-frame.aria-label": lang.say(
            "Bar chart, {period}: {summary}", period=chart.name, summary=sentences.summary(chart, lang)
        ),
        "picture.figure": figures.figure(chart, lang),
        "columns.children": cards.column_cells(chart, lang),
        "facts.children": _facts(chart, lang),
        "table.children": grids.of_chart(chart, lang),
    }


def _facts(chart: Chart, lang: Language) -> list[Component]:
    """Return the figures of a whole period with their names; some lead to another chart."""
    told = [*((name, value, "") for name, value in sentences.facts(chart, lang)), *chart.beside]
    return [html.Div([html.Dt(name), html.Dd(html.A(value, href=url) if url else value)]) for name, value, url in told]


def _legend(chart: Chart, lang: Language) -> list[Component]:
    """Return the legend; empty if the chart shows plain import only."""
    total, is_money = chart.total, bool(chart.measure.currency)
    charge = is_money and chart.view.level != LOWEST and chart.measure.charge(total)
    shown = {
        "imported": (lang.say("imported"), total.export_wh or charge),
        "exported": (lang.say("exported"), total.export_wh),
        "charge": (lang.say("standing charge"), charge),
        "estimated": (lang.say("estimated"), total.estimated_wh),
        "data-missing": (lang.say("data missing"), any(column.is_partial for column in chart.columns)),
        "other": (chart.other.name if chart.other else "", chart.is_compared),
        "price": (lang.say("price of a kWh"), chart.prices),
    }
    return [html.Li(word, className=name) for name, (word, is_shown) in shown.items() if is_shown]


def _empty_slots(chart: Chart, extent: tuple[str, str] | None, lang: Language) -> Slots:
    heading, sentence = sentences.nothing(chart, extent[0] if extent else None, lang)
    ways = [_way_back(chart, extent, lang)] if extent else []
    return {"nothing.children": [html.H2(heading), html.P(sentence), *ways], "facts.children": []}


def _way_back(chart: Chart, extent: tuple[str, str], lang: Language) -> Component:
    """Return a link to the nearest period with data."""
    level, period = chart.view.level, chart.view.period
    nearest = extent[0] if period < extent[0] else extent[1]
    name = words.period_name(level, nearest, lang)
    return html.A(
        lang.say("Go to {period}", period=name), href=chart.view.to(level, nearest).to_url(), className="button"
    )
