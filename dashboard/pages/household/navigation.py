"""Navigation: levels, periods, units, comparisons and downloads; the heading as a breadcrumb. Pure.

The breadcrumb is `2026 › November › Monday 23`; each part but the last links to a longer period.
"""

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from dashboard.charts import sentences
from dashboard.charts.chart_model import Chart
from dashboard.charts.view import COMPARISONS, ENERGY, MONEY, View
from dashboard.pages.household.slots import Slots, link
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes

_TABS = {"day": text("Day"), "month": text("Month"), "year": text("Year")}
_COMPARISONS = {
    ("day", "week"): text("last week"),
    ("day", "previous"): text("the day before"),
    ("day", "year"): text("a year ago"),
    ("month", "previous"): text("the month before"),
    ("month", "year"): text("a year ago"),
    ("year", "previous"): text("the year before"),
}
_CSV = {
    "half-hour": text("CSV, half hours"),
    "hour": text("CSV, hours"),
    "day": text("CSV, days"),
    "month": text("CSV, months"),
}
_ROWS = {"day": ("hour", "half-hour"), "month": ("day", "hour", "half-hour"), "year": ("month", "day", "half-hour")}


def layout(lang: Language) -> Component:
    """Return the links through time, without their targets."""
    tabs = [html.A(lang.say(name), id=f"to-{level}", className="tab") for level, name in _TABS.items()]
    current = [html.Span(id="current-wide", className="wide"), html.Span(id="current-narrow", className="narrow")]
    steps = [
        html.A(id="previous", className="step", role="link", **attributes(aria_label=lang.say("Previous"))),
        html.A(current, id="current", className="button"),
        html.A(id="next", className="step", role="link", **attributes(aria_label=lang.say("Next"))),
    ]
    return html.Nav(
        [html.Div(tabs, className="tabs"), html.Div(steps, className="steps")],
        className="navigation",
        **attributes(aria_label=lang.say("Period")),
    )


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
            html.A(id="tariff", className="quiet", **attributes(data_full="")),
            html.Details([compare, html.Ul(id="comparisons")], id="compare", className="menu"),
            html.Details([html.Summary(lang.say("Download")), html.Ul(id="files")], id="downloads", className="menu"),
        ],
        className="tools",
    )


def links(view: View, first: str | None, last: str | None, now: int, zone: str, lang: Language) -> Slots:
    """Return the targets of the links from a view whose period is set; data exists from `first` to `last`."""
    level = view.level
    current = periods.period_of(level, now, zone)
    end = max(current, last or current)
    back = view.to(level, periods.shift(level, view.period, -1)) if view.period > (first or current) else None
    on = view.to(level, periods.shift(level, view.period, 1)) if view.period < end else None
    wide, narrow = sentences.CURRENT[level]
    slots: dict[str, object] = {
        "current-wide.children": lang.say(wide),
        "current-narrow.children": lang.say(narrow),
        **link("current", view.to(level).to_url(), "date" if view.period == current else None),
        **link("previous", back.to_url() if back else None),
        **link("next", on.to_url() if on else None),
        "picker.data-level": level,
        "picker.data-period": view.period,
        "picker.data-first": first or current,
        "picker.data-last": end,
        "picker.data-path": view.to("year").path.removesuffix("/year"),
    }
    for other in _TABS:
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
        **link("unit-energy", view.shown(unit=ENERGY).to_url(), None if is_money else "true"),
        **link("unit-money", view.shown(unit=MONEY).to_url(), "true" if is_money else None),
        "charge.hidden": not is_money or not chart.total.cost.standing_charge,
        "charge.children": lang.say(charge),
        "charge.href": view.shown(has_charge=not view.has_charge).to_url(),
        **_compare(view, lang),
        "files.children": _downloads(view, lang),
        "tariff.href": f"{view.to('day').path}/tariff",
        "tariff.children": lang.say(tariff),
    }


def other_name(view: View, period: str, lang: Language) -> str:
    """Return the name of the compared period: `Monday 16 November`, `October`, `2025`."""
    same_year = view.period[:4] == period[:4]
    if view.level == "day" and same_year:
        return words.format_period("day", period, words.WEEKDAY_AND_DATE, lang)
    if view.level == "month" and same_year:
        return words.format_period("month", period, "LLLL", lang)
    return words.period_name(view.level, period, lang)


def _compare(view: View, lang: Language) -> Slots:
    names = {"": text("nothing")} | {key: _COMPARISONS[view.level, key] for key in COMPARISONS[view.level]}
    choices = [
        html.Li(
            html.A(
                lang.say(name),
                href=view.shown(compare=key).to_url(),
                **attributes(aria_current="true" if key == view.compare else None),
            )
        )
        for key, name in names.items()
    ]
    chosen = lang.say("with {period}", period=lang.say(names[view.compare])) if view.compare else ""
    return {"compared.children": chosen and f" {chosen}", "comparisons.children": choices}


def _downloads(view: View, lang: Language) -> list[Component]:
    path = view.path
    file, picture, printer = attributes(data_full=""), attributes(data_picture=""), attributes(data_print="")
    choices = [
        *(html.A(lang.say(_CSV[by]), href=f"{path}.csv?by={by}", **file) for by in _ROWS[view.level]),
        html.A(lang.say("Picture (PNG)"), href=f"{path}/picture.json{view.query}", **picture),
        html.A("JSON", href=f"{path}.json", **file),
        html.Button(lang.say("Print"), type="button", **printer),
    ]
    return [html.Li(choice) for choice in choices]


def _across(view: View, level: str, now: int, zone: str) -> View:
    """Return the same time at another level: within a longer period the current part, else the first."""
    current = periods.period_of(level, now, zone)
    if len(view.period) >= len(current):
        return view.to(level, periods.containing(level, view.period))
    if current.startswith(view.period):
        return view.to(level)
    return view.to(level, (view.period + "-01-01")[: len(current)])


# The breadcrumb

_CRUMBS = {"month": "LLLL", "year": "y"}


def crumbs_layout(lang: Language) -> Component:
    """Return the heading row: the breadcrumb, the name of the period, and the picker."""
    choices = attributes(
        data_label_day=lang.say("Choose a day"),
        data_label_month=lang.say("Choose a month"),
        data_label_year=lang.say("Choose a year"),
        data_earlier=lang.say("Earlier"),
        data_later=lang.say("Later"),
        data_earlier_year=lang.say("A year earlier"),
        data_later_year=lang.say("A year later"),
        data_close=lang.say("Close"),
        data_first_weekday=lang.first_weekday,
    )
    return html.Div(
        [
            html.Nav(id="crumbs", className="crumbs", **attributes(aria_label=lang.say("Breadcrumb"))),
            html.H1(id="heading", **attributes(aria_live="polite")),
            html.Div(id="picker", **choices),
        ],
        className="title",
    )


def crumb_slots(view: View, name: str, lang: Language) -> Slots:
    """Return the breadcrumb of a view whose period is set, and the heading; a screen reader reads the full name."""
    above = periods.LEVELS[: periods.LEVELS.index(view.level) : -1]
    ways = [html.Li(_way(view, level, lang)) for level in above]
    return {"crumbs.hidden": not ways, "crumbs.children": html.Ol(ways), "heading.children": _heading(view, name, lang)}


def _way(view: View, level: str, lang: Language) -> Component:
    period = periods.containing(level, view.period)
    return html.A(words.format_period(level, period, _CRUMBS[level], lang), href=view.to(level, period).to_url())


def _heading(view: View, name: str, lang: Language) -> list[str | Component]:
    """Return the name of a period; the part that the breadcrumb repeats is marked if it ends the name."""
    own, rest = name, ""
    if view.level == "day":
        month = words.format_period("day", view.period, "MMMM", lang)
        own, found, after = name.partition(f" {month}")
        rest = found + after
    elif view.level == "month":
        own, found, after = name.partition(f" {view.period[:4]}")
        rest = found + after
    if not own or not rest:
        return [name]
    return [own, html.Span(rest, className="rest")]
