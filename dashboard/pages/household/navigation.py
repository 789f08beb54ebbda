"""Navigation: levels, periods, units, comparisons and downloads; the heading as a breadcrumb. Pure.

The breadcrumb is `2026 › November › Monday 23`; each part but the last links to a longer period.
"""

from datetime import date
from typing import Any

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from dashboard.charts import pictures
from dashboard.charts.chart_model import Chart
from dashboard.charts.grids import Tree
from dashboard.charts.view import ENERGY, MONEY, View
from dashboard.pages.household.slots import Slots, link
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.trees import element
from dashboard.text.words import attributes


def layout(lang: Language) -> Component:
    """Return the links through time, without their targets."""
    tabs = [
        html.A(lang.say(words.LEVEL_WORDS[level].tab), id=f"to-{level}", className="tab", **_key(level[0]))
        for level in periods.LEVELS
    ]
    current = [html.Span(id="current-wide", className="wide"), html.Span(id="current-narrow", className="narrow")]
    steps = [
        html.A(id="previous", className="step", role="link", **_key("ArrowLeft", lang.say("Previous"))),
        html.A(current, id="current", className="button", **_key("t")),
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
    said = words.LEVEL_WORDS[level]
    slots: dict[str, object] = {
        "current-wide.children": lang.say(said.current),
        "current-narrow.children": lang.say(said.current_narrow),
        **link("current", view.to(level).to_url(), "date" if view.period == current else None),
        **link("previous", back.to_url() if back else None),
        **link("next", on.to_url() if on else None),
        **_calendar(view, first or current, end, lang),
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
    }


def other_name(view: View, period: str, lang: Language) -> str:
    """Return the name of the compared period: `Monday 16 November`, `October`, `2025`."""
    mine, other = (words.moment(view.level, one).year for one in (view.period, period))
    if mine == other:
        return words.format_period(view.level, period, words.LEVEL_WORDS[view.level].name_in_year, lang)
    return words.period_name(view.level, period, lang)


def _compare(view: View, lang: Language) -> Slots:
    names = {"": text("nothing")} | {
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
    path = view.path
    file, picture, printer = attributes(data_full=""), attributes(data_picture=""), attributes(data_print="")
    choices = [
        *(html.A(lang.say(name), href=f"{path}.csv?by={by}", **file) for by, name in _csv(view.level).items()),
        html.A(lang.say("Picture (PNG)"), href=f"{path}/picture.json{view.query}", **picture),
        html.A("JSON", href=f"{path}.json", **file),
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
    choice = html.Div(id="choice", className="calendar")
    return html.Div(
        [
            html.Nav(id="crumbs", className="crumbs", **attributes(aria_label=lang.say("Breadcrumb"))),
            html.H1(id="heading", **attributes(aria_live="polite")),
            html.Details([html.Summary(id="pick"), choice], id="picker", className="menu picker"),
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


# The calendar

_WIDE = {"day": 7, "month": 3, "year": 3}  # periods in a row
_TEXT = {"day": "d", "month": "LLL", "year": "y"}
_NAME = {"day": text("EEEE d MMMM y"), "month": text("MMMM y"), "year": "y"}
_TURNS = {  # sign, name, months
    "day": (
        ("«", text("A year earlier"), -12),
        ("‹", text("Earlier"), -1),
        ("›", text("Later"), 1),
        ("»", text("A year later"), 12),
    ),
    "month": (("‹", text("A year earlier"), -12), ("›", text("A year later"), 12)),
}


def _calendar(view: View, first: str, last: str, lang: Language) -> Slots:
    """Return the calendar of a view: links to the periods from `first` to `last`; levels without one are hidden."""
    level = view.level
    if level not in _WIDE:
        return {"picker.hidden": True}
    label = lang.say(words.LEVEL_WORDS[level].choose)
    ways = [_turn(view, first, last, turn, lang) for turn in _TURNS.get(level, ())]
    middle = len(ways) // 2
    shown = words.format_period(level, view.period, "LLLL y" if level == "day" else "y", lang)
    top = [*ways[:middle], element("Strong", shown), *ways[middle:]] if ways else []
    rows = _rows(view, first, last, lang)
    heads = [element("Thead", element("Tr", _weekdays(lang)))] if level == "day" else []
    table = element("Table", [*heads, element("Tbody", [element("Tr", row) for row in rows])])
    return {
        "picker.hidden": False,
        "pick.title": label,
        "pick.aria-label": label,
        "choice.children": [element("Div", top, className="calendar-top"), table],
    }


def _turn(view: View, first: str, last: str, turn: tuple[str, str, int], lang: Language) -> Tree:
    """Return the link to another page of the calendar: the same day or month there, or the nearest with data."""
    sign, name, months = turn
    size = len("2026-11") if view.level == "day" and abs(months) == 1 else len("2026")
    month = periods.shift("month", view.period[:7], months)
    days = list(periods.children("month", month).values())
    target = days[min(int(view.period[8:]), len(days)) - 1] if view.level == "day" else month
    label = attributes(aria_label=lang.say(name), data_stay="")
    if not first[:size] <= target[:size] <= last[:size]:
        return element("Span", sign, className="turn", **attributes(aria_hidden="true"))
    to = view.to(view.level, min(max(target, first), last))
    return element("A", sign, className="turn", href=to.to_url(), **label)


def _rows(view: View, first: str, last: str, lang: Language) -> list[list[Tree]]:
    """Return the page of a calendar: the weeks of a month, the months of a year, or the years with data."""
    level, wide = view.level, _WIDE[view.level]
    if level == "year":
        shown = [str(year) for year in range(int(first), int(last) + 1)]
    else:
        above = periods.containing("month" if level == "day" else "year", level, view.period)
        shown = list(periods.children("month" if level == "day" else "year", above).values())
    if level == "day":
        shown = [""] * ((words.moment("day", shown[0]).weekday() - lang.first_weekday) % 7) + shown
    cells = [_choice(view, period, first <= period <= last, lang) for period in shown]
    return [cells[place : place + wide] for place in range(0, len(cells), wide)]


def _choice(view: View, period: str, is_open: bool, lang: Language) -> Tree:
    if not period:
        return element("Td")
    moment = words.moment(view.level, period)
    word = lang.date(moment, _TEXT[view.level])
    if not is_open:
        return element("Td", element("Span", word))
    current = "date" if period == view.period else None
    name = attributes(aria_label=lang.date(moment, _NAME[view.level]), aria_current=current)
    return element("Td", element("A", word, href=view.to(view.level, period).to_url(), **name))


def _weekdays(lang: Language) -> list[Tree]:
    days = [date(2024, 1, 1 + (lang.first_weekday + place) % 7) for place in range(7)]  # 1 January is a Monday
    return [
        element("Th", lang.date(day, "EEE"), scope="col", **attributes(abbr=lang.date(day, "EEEE"))) for day in days
    ]
