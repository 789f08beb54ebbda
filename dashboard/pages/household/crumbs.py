"""The heading of a chart as a breadcrumb: `2026 › November › Monday 23`, each part but the last a way up. Pure."""

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from dashboard.charts.view import View
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.attributes import attributes
from dashboard.text.language import Language

_CRUMBS = {"month": "LLLL", "year": "y"}


def layout(lang: Language) -> Component:
    """The row of the heading: the ways up, the name of the period, and a way to choose another."""
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


def slots(view: View, name: str, lang: Language) -> Slots:
    """The ways up from a view with a written-out period, and the heading, which those who hear it hear in full."""
    above = periods.LEVELS[: periods.LEVELS.index(view.level) : -1]
    ways = [html.Li(_way(view, level, lang)) for level in above]
    return {"crumbs.hidden": not ways, "crumbs.children": html.Ol(ways), "heading.children": _heading(view, name, lang)}


def _way(view: View, level: str, lang: Language) -> Component:
    period = periods.containing(level, view.period)
    return html.A(words.written(level, period, _CRUMBS[level], lang), href=view.to(level, period).to_url())


def _heading(view: View, name: str, lang: Language) -> list[str | Component]:
    """The name of a period, of which the ways up beside it say the rest; all of it where that is not at its end."""
    own, rest = name, ""
    if view.level == "day":
        month = words.written("day", view.period, "MMMM", lang)
        own, found, after = name.partition(f" {month}")
        rest = found + after
    elif view.level == "month":
        own, found, after = name.partition(f" {view.period[:4]}")
        rest = found + after
    if not own or not rest:
        return [name]
    return [own, html.Span(rest, className="rest")]
