"""The calendar behind the heading: links to the days of a month, the months of a year, or the years with data. Pure.

Its arrows lead to the chart of the same day or month elsewhere, and leave the calendar open (`data-stay`).
"""

from datetime import date

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from dashboard.charts.view import View
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import Tree, attributes, element

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


def layout() -> Component:
    """Return the calendar without its links."""
    inside = [html.Summary(id="pick"), html.Div(id="choice", className="calendar")]
    return html.Details(inside, id="picker", className="menu picker")


def choices(view: View, first: str, last: str, lang: Language) -> Slots:
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
