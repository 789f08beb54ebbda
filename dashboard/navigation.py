"""The ways through time: up and down the levels, back and on, and to what is current."""

from dash import html
from dash.development.base_component import Component

from aggregator import periods
from dashboard import sentences
from dashboard.attributes import attributes
from dashboard.slots import Slots
from dashboard.view import View

_TABS = {"day": "Day", "month": "Month", "year": "Year"}


def layout() -> Component:
    """The links; where they lead is filled in."""
    tabs = [html.A(name, id=f"to-{level}", className="tab") for level, name in _TABS.items()]
    current = [html.Span(id="current-wide", className="wide"), html.Span(id="current-narrow", className="narrow")]
    steps = [
        html.A(id="previous", className="step", role="link", **attributes(aria_label="Previous")),
        html.A(current, id="current", className="button"),
        html.A(id="next", className="step", role="link", **attributes(aria_label="Next")),
    ]
    return html.Nav(
        [html.Div(tabs, className="tabs"), html.Div(steps, className="steps")],
        className="navigation",
        **attributes(aria_label="Period"),
    )


def links(view: View, first: str | None, now: int, zone: str) -> Slots:
    """Where the links lead from a view with a written-out period; `first` is the first period with data."""
    level = view.level
    current = periods.period_of(level, now, zone)
    back = view.to(level, periods.shift(level, view.period, -1)) if view.period > (first or current) else None
    on = view.to(level, periods.shift(level, view.period, 1)) if view.period < current else None
    wide, narrow = sentences.CURRENT[level]
    slots: dict[str, object] = {
        "current-wide.children": wide,
        "current-narrow.children": narrow,
        **_link("current", view.to(level), "date" if view.period == current else None),
        **_link("previous", back),
        **_link("next", on),
    }
    for other in _TABS:
        slots |= _link(f"to-{other}", _across(view, other, now, zone), "page" if other == level else None)
    return slots


def _link(name: str, target: View | None, current: str | None = None) -> Slots:
    return {
        f"{name}.href": target.to_url() if target else None,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if target else "true",
    }


def _across(view: View, level: str, now: int, zone: str) -> View:
    """The same time at another level; from a longer period the current part of it, else its first."""
    current = periods.period_of(level, now, zone)
    if len(view.period) >= len(current):
        return view.to(level, periods.containing(level, view.period))
    if current.startswith(view.period):
        return view.to(level)
    return view.to(level, (view.period + "-01-01")[: len(current)])
