"""The household page: tiles above, one chart below."""

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device
from aggregator.waterfall.pricing import currency_of
from dashboard.charts import chart_model, columns, comparable_so_far, figures, numbers, sentences
from dashboard.charts.chart_model import Chart, Other
from dashboard.charts.view import View
from dashboard.pages.household import below_chart, crumbs, navigation, tiles
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.attributes import attributes
from dashboard.text.language import Language
from dashboard.web.cached_reads import Data


def layout(lang: Language) -> Component:
    """The page without its numbers."""
    panel = [
        html.Div([navigation.layout(lang), navigation.tools(lang)], className="ways"),
        crumbs.layout(lang),
        _figure(),
        html.Dl(id="facts", className="facts"),
        html.Details(
            [html.Summary(lang.say("Table")), html.Div(id="table")], id="numbers", className="numbers", hidden=True
        ),
        html.Div(id="nothing", className="nothing", hidden=True),
    ]
    return html.Div(
        [
            _said(lang),
            html.Div(tiles.layout(lang), className="tiles"),
            html.Section(panel, className="panel"),
            below_chart.layout(lang),
        ],
        id="household",
        hidden=True,
    )


def _said(lang: Language) -> Component:
    """Where assets/said.js says what has just been done on another page."""
    sentences = attributes(
        data_tariff_changed=lang.say("The tariff has been changed. Every chart has its new costs within seconds."),
        data_tariff_gone=lang.say("There is no tariff any more. Every chart is without costs within seconds."),
    )
    return html.P(id="said", className="said", role="status", hidden=True, **sentences)


def read(data: Data, device: Device, view: View, lang: Language) -> tuple[Chart, tuple[str, str] | None]:
    """The chart of a view, and the first and last period of its level that have data."""
    now = data.now()
    view = view.at(now, device.timezone)
    extent = data.extent(device, view.level)
    chart = chart_model.read(
        view,
        data.document(device, view.level, view.period),
        device.timezone,
        now,
        extent[0] if extent else None,
        lang,
        currency_of(device),
        _other(data, device, view, lang),
        _prices(data, device, view, extent),
    )
    return chart, extent


def chart_slots(chart: Chart, extent: tuple[str, str] | None, last: str, now: int, zone: str, lang: Language) -> Slots:
    """The chart with its title, its navigation and its numbers; words where there is nothing to draw.

    `last` is the last period for which there is something to show.
    """
    view = chart.view
    first = extent[0] if extent else None
    is_drawn = bool(chart.prices) or not chart.is_empty
    return {
        **navigation.links(view, first, last, now, zone, lang),
        **navigation.ways(chart, lang),
        **crumbs.slots(view, chart.name, lang),
        "document.title": f"{chart.name} · {view.device_id}",
        "figure.hidden": not is_drawn,
        "numbers.hidden": chart.is_empty,
        "nothing.hidden": is_drawn,
        **(_drawn(chart, lang) if is_drawn else _nothing(chart, extent, lang)),
    }


def last_period(data: Data, device: Device, level: str) -> str:
    """The last period to look at: the current one, or tomorrow once its prices are known."""
    now, zone = data.now(), device.timezone
    current = periods.period_of(level, now, zone)
    if level != "day":
        return current
    tomorrow = periods.shift("day", current, 1)
    return tomorrow if data.has_prices(device, tomorrow) else current


def _prices(data: Data, device: Device, view: View, extent: tuple[str, str] | None) -> list[int | None]:
    """What a Wh costs at each half hour of a day that there is something to say of."""
    first = extent[0] if extent else periods.period_of("day", data.now(), device.timezone)
    if view.level != "day" or not first <= view.period <= last_period(data, device, "day"):
        return []
    return [rate.import_rate for rate in data.rates(device, view.period)]


def _other(data: Data, device: Device, view: View, lang: Language) -> Other | None:
    """The period that a view with a written-out period is compared with."""
    period = view.compared
    if not period:
        return None
    now, zone = data.now(), device.timezone
    document = data.document(device, view.level, period)
    name = navigation.other_name(view, period, lang)
    if view.period != periods.period_of(view.level, now, zone):
        return Other(period, name, document, document.total if document else EMPTY)
    wanted = comparable_so_far.chain_of(view.level, period, now, zone)
    chain = {level: data.document(device, level, one) for level, one in wanted.items()}
    return Other(period, name, document, comparable_so_far.so_far(chain, view.level, now, zone))


def _figure() -> Component:
    # What is hovered and clicked lies over the graph: see columns.py.
    caption = html.Figcaption([html.Strong(id="total"), html.Span(id="remarks")])
    plot = [
        html.Div(id="picture", role="img", className="graph"),
        html.Div(id="columns", className="columns", style=columns.EDGES),
    ]
    legend = html.Ul(id="legend", className="legend")
    return html.Figure([caption, legend, html.Div(plot, className="plot")], id="figure", hidden=True)


def _drawn(chart: Chart, lang: Language) -> Slots:
    total, remarks = sentences.total(chart, lang), sentences.remarks(chart, lang)
    return {
        "total.children": total,
        "remarks.children": " · ".join([*([""] if total else []), *remarks]),
        "legend.children": _legend(chart, lang),
        "picture.aria-label": lang.say(
            "Bar chart, {period}: {summary}", period=chart.name, summary=sentences.summary(chart, lang)
        ),
        "picture.data-figure": figures.to_json(figures.figure(chart, lang)),
        "columns.data-cells": columns.cells(chart, lang),
        "facts.children": _facts(chart, lang),
        "table.data-rows": numbers.of_chart(chart, lang),
    }


def _facts(chart: Chart, lang: Language) -> list[Component]:
    """The figures of a whole period, each with its name."""
    return [html.Div([html.Dt(name), html.Dd(value)]) for name, value in sentences.facts(chart, lang)]


def _legend(chart: Chart, lang: Language) -> list[Component]:
    """What the colours mean, only where more than plain import is drawn."""
    total, is_money = chart.total, bool(chart.measure.currency)
    charge = is_money and chart.view.level != "day" and chart.measure.charge(total)
    shown = {
        "imported": (lang.say("imported"), total.export_wh or charge),
        "exported": (lang.say("exported"), total.export_wh),
        "charge": (lang.say("standing charge"), charge),
        "estimated": (lang.say("estimated"), total.estimated_wh),
        "data-missing": (lang.say("data missing"), any(column.is_partial for column in chart.columns)),
        "other": (chart.other.name if chart.other else "", chart.other and chart.other.document),
        "price": (lang.say("price of a kWh"), chart.prices),
    }
    return [html.Li(word, className=name) for name, (word, is_shown) in shown.items() if is_shown]


def _nothing(chart: Chart, extent: tuple[str, str] | None, lang: Language) -> Slots:
    heading, sentence = sentences.nothing(chart, extent[0] if extent else None, lang)
    ways = [_way_back(chart, extent, lang)] if extent else []
    return {"nothing.children": [html.H2(heading), html.P(sentence), *ways]}


def _way_back(chart: Chart, extent: tuple[str, str], lang: Language) -> Component:
    """The nearest period with data, in the direction in which there is some."""
    level, period = chart.view.level, chart.view.period
    nearest = extent[0] if period < extent[0] else extent[1]
    name = words.period_name(level, nearest, lang)
    return html.A(
        lang.say("Go to {period}", period=name), href=chart.view.to(level, nearest).to_url(), className="button"
    )
