"""Navigation: levels, periods, units, comparisons and downloads; the heading as a breadcrumb. Pure.

The breadcrumb is `2026 › November › Monday 23`; each part but the last links to a longer period.
"""

from typing import Any
from urllib.parse import quote

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import GAS, GENERATION, Device
from aggregator.core.readings import sender_of
from dashboard.api.openapi import BASE
from dashboard.charts import pictures
from dashboard.charts.chart_model import Chart
from dashboard.charts.view import ENERGY, MONEY, View
from dashboard.pages.household import period_picker
from dashboard.pages.household.slots import Slots, link
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes


def layout(lang: Language) -> Component:
    """Return the links through time, without their targets."""
    tabs = [
        html.A(lang.say(words.LEVEL_WORDS[level].tab), id=f"to-{level}", className="tab", **_key(level[0]))
        for level in periods.LEVELS
    ]
    steps = [
        html.A(id="previous", className="step", role="link", **_key("ArrowLeft", lang.say("Previous"))),
        html.A(id="current", className="button", **_key("t")),
        html.A(id="next", className="step", role="link", **_key("ArrowRight", lang.say("Next"))),
    ]
    return html.Nav(
        [html.Div(tabs, className="tabs"), html.Div(steps, className="steps")],
        className="navigation",
        **attributes(aria_label=lang.say("Period")),
    )


def _key(key: str, label: str | None = None) -> dict[str, Any]:
    """Return the attributes of a link that a key follows (assets/keys.js)."""
    return attributes(aria_keyshortcuts=key, **({"aria_label": label} if label else {}))


def units(lang: Language) -> Component:
    """Return the switch between energy and money."""
    return html.Nav(
        [html.A("kWh", id="unit-energy", className="tab"), html.A(id="unit-money", className="tab")],
        id="units",
        className="tabs units",
        hidden=True,
        **attributes(aria_label=lang.say("Energy or money")),
    )


def tools(lang: Language) -> Component:
    """Return the tools of a chart: standing charge, tariff, comparison, download."""
    compare = html.Summary([lang.say("Compare"), html.Span(id="compared", className="wide")])
    return html.Div(
        [
            html.A(id="charge", className="quiet", hidden=True),
            html.A(id="tariff", className="quiet", hidden=True, **attributes(data_full="")),
            html.A(lang.say("History"), id="history", className="quiet", hidden=True, **attributes(data_full="")),
            html.Details([compare, html.Ul(id="comparisons")], id="compare", className="menu"),
            html.Details([html.Summary(lang.say("Download")), html.Ul(id="files")], id="downloads", className="menu"),
        ],
        className="tools",
    )


def links(view: View, first: str | None, last: str | None, now: int, zone: str, lang: Language) -> Slots:
    """Return the targets of the links from a view whose period is set; they lead from `first` to `last`."""
    level = view.level
    current = periods.period_of(level, now, zone)
    end = last or current
    back = view.to(level, periods.shift(level, view.period, -1)) if view.period > (first or current) else None
    on = view.to(level, periods.shift(level, view.period, 1)) if view.period < end else None
    said = words.LEVEL_WORDS[level]
    slots: dict[str, object] = {
        "current.children": lang.say(said.current),
        **link("current", view.to(level).to_url(), "date" if view.period == current else None),
        **link("previous", back.to_url() if back else None),
        **link("next", on.to_url() if on else None),
        **period_picker.choices(view, first or current, end, lang),
    }
    for other in periods.LEVELS:
        target = _across(view, other, now, zone).to_url()
        slots |= link(f"to-{other}", target, "page" if other == level else None)
    return slots


def ways(chart: Chart, lang: Language) -> Slots:
    """Return the other forms of a chart: money, standing charge, comparison, downloads."""
    view, is_money = chart.view, bool(chart.measure.currency)
    charge = text("with standing charge") if not view.has_charge else text("without standing charge")
    tariff = text("Tariff") if chart.currency else text("Add your tariff")
    return {
        "units.hidden": not chart.currency,
        "unit-money.children": lang.symbol(chart.currency) if chart.currency else "",
        **link("unit-energy", view.with_options(unit=ENERGY).to_url(), None if is_money else "true"),
        **link("unit-money", view.with_options(unit=MONEY).to_url(), "true" if is_money else None),
        "charge.hidden": not is_money or not chart.total.cost.standing_charge,
        "charge.children": lang.say(charge),
        "charge.href": view.with_options(has_charge=not view.has_charge).to_url(),
        **_compare(view, lang),
        "files.children": _downloads(view, lang),
        "tariff.href": f"{view.device_path}/tariff",
        "tariff.children": lang.say(tariff),
        "history.href": f"{view.device_path}/history",
    }


KINDS = {GAS: text("Gas"), GENERATION: text("Generation")}


def home_name(device: Device, lang: Language) -> str:
    """Return the household's name for a device, and its kind unless it is electricity."""
    kind = [lang.say(KINDS[device.kind])] if device.kind in KINDS else []
    unnamed = sender_of(device.device_id) if kind else device.device_id
    return " · ".join([device.name or unnamed, *kind])


def other_name(view: View, period: str, lang: Language) -> str:
    """Return the name of the compared period: `Monday 16 November`, `October`, `2025`."""
    mine, other = (words.moment(view.level, one).year for one in (view.period, period))
    if mine == other:
        return words.format_period(view.level, period, words.LEVEL_WORDS[view.level].name_in_year, lang)
    return words.period_name(view.level, period, lang)


def _compare(view: View, lang: Language) -> Slots:
    names = {"": text("usual day") if view.level == periods.LOWEST else text("Off")} | {
        key: comparison.name for key, comparison in words.LEVEL_WORDS[view.level].comparisons.items()
    }
    choices = [
        html.Li(
            html.A(
                lang.say(name),
                href=view.with_options(compare=key).to_url(),
                **attributes(aria_current="true" if key == view.compare else None),
            )
        )
        for key, name in names.items()
    ]
    chosen = lang.say("with {period}", period=lang.say(names[view.compare])) if view.compare else ""
    return {"compared.children": chosen and f" {chosen}", "comparisons.children": choices}


def _downloads(view: View, lang: Language) -> list[Component]:
    """Return the files of a chart, as items of a list; tables and documents are addresses of the API."""
    path = f"{BASE}/devices/{quote(view.device_id, safe=':')}/{view.level}/{view.period}"
    file, printer = attributes(data_full=""), attributes(data_print="")
    picture = attributes(data_picture=f"wattfall-{view.device_id}-{view.period}")  # the name of the file
    choices = [
        *(html.A(lang.say(name), href=f"{path}.csv?by={by}", **file) for by, name in _csv(view.level).items()),
        html.A(lang.say("Picture (PNG)"), href=f"{view.path}/picture.json{view.query}", **picture),
        html.A("JSON", href=path, **file),
        html.Button(lang.say("Print"), type="button", **printer),
    ]
    return [html.Li(choice) for choice in choices]


def _csv(level: str) -> dict[str, str]:
    """The tables that are offered, by interval, and their names: the two coarsest intervals, and half hours."""
    offered = {pictures.shown_by(one): words.column_words(one).csv for one in periods.lineage(level)[:2]}
    return offered | {pictures.HALF_HOURS: text("CSV, half hours")}


def _across(view: View, level: str, now: int, zone: str) -> View:
    """Return the same time at another level: within a longer period the current part, else the first."""
    is_shorter = periods.position(level) < periods.position(view.level)
    if is_shorter and periods.period_of(view.level, now, zone) == view.period:
        return view.to(level)
    return view.to(level, periods.containing(level, view.level, view.period))


# The breadcrumb


def crumbs_layout(lang: Language) -> Component:
    """Return the heading row: the breadcrumb, the name of the period, and the calendar."""
    return html.Div(
        [
            html.Nav(id="crumbs", className="crumbs", **attributes(aria_label=lang.say("Breadcrumb"))),
            html.H2(id="heading", **attributes(aria_live="polite")),
            period_picker.layout(),
        ],
        className="title",
    )


def crumb_slots(view: View, name: str, lang: Language) -> Slots:
    """Return the breadcrumb of a view whose period is set, and the heading; a screen reader reads the full name."""
    above = list(periods.LEVELS)[: periods.position(view.level) : -1]
    ways = [html.Li(_way(view, level, lang)) for level in above]
    return {"crumbs.hidden": not ways, "crumbs.children": html.Ol(ways), "heading.children": _heading(view, name, lang)}


def _way(view: View, level: str, lang: Language) -> Component:
    period = periods.containing(level, view.level, view.period)
    return html.A(
        words.format_period(level, period, words.LEVEL_WORDS[level].above, lang), href=view.to(level, period).to_url()
    )


def _heading(view: View, name: str, lang: Language) -> list[str | Component]:
    """Return the name of a period; the part that the breadcrumb repeats is marked if it ends the name."""
    pattern = words.LEVEL_WORDS[view.level].rest
    begins = words.format_period(view.level, view.period, pattern, lang) if pattern else ""
    own, found, after = name.partition(f" {begins}") if begins else (name, "", "")
    rest = found + after
    if not own or not rest:
        return [name]
    return [own, html.Span(rest, className="rest")]
