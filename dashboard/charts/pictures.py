"""A chart as a picture to take away: the figure with all that the page says around it, in light colours on white. Pure.

The page's own figure has no names under its axis and no legend, as those are links and words beside it.

Documents as the rows of a table: every interval in order, its times with their offset, its figures exact. Pure.

Cells are text. An empty one is no data, never zero. Half hours and hours have no standing charge: it is the day's.
"""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part, coverage
from aggregator.core.money import NOTHING, money_text, plain
from aggregator.core.periods import Slot
from dashboard.charts import figures, sentences
from dashboard.charts.chart_model import Chart
from dashboard.text.language import Language

WIDTH, HEIGHT = 1600, 900  # px; assets/picture.js draws each of them twice as fine
WHITE, INK = "#ffffff", "#0f2029"
BEHIND_WORDS = "rgba(255, 255, 255, 0.85)"
EDGE = 48  # px around everything
MARGIN = {"l": 104, "r": EDGE, "t": 236, "b": 104}
COARSER = 1.7  # than on the page: hatching, dots and lines, which are to be seen at a glance
_FAMILY = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_SIZE = 20
_STRONG, _QUIET = {"color": INK, "weight": 600}, {"color": figures.TEXT}
_LINE_CHARACTERS, _LINES = 150, 2  # of the remarks


def picture(chart: Chart, lang: Language, nothing: str = "") -> go.Figure:
    """The figure of a chart as it can stand alone; `nothing` is what to say in the place of bars."""
    drawn = go.Figure(figures.figure(chart, lang))
    drawn.for_each_trace(_coarsen)
    drawn.for_each_annotation(_lift)
    _name(drawn, lang)
    labels = [column.label for column in chart.columns]
    drawn.update_layout(
        width=WIDTH,
        height=HEIGHT,
        paper_bgcolor=WHITE,
        plot_bgcolor=WHITE,
        font={"family": _FAMILY, "size": _SIZE, "color": figures.TEXT},
        margin=MARGIN,
        barcornerradius=5,
        showlegend=sum(trace.showlegend is not False for trace in drawn.data) > 1,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "bottom", "font": {"size": 18}},
        xaxis={
            "showticklabels": True,
            "tickvals": list(range(len(labels))),
            "ticktext": [f"{label.tick}<br>{label.note}" for label in labels],
            "tickangle": 0,
        },
        yaxis={"ticklabelstandoff": 8},
    )
    if nothing:
        drawn.layout.annotations = [_middle(nothing)]
        drawn.update_yaxes(visible=False)
    for line in [*_heading(chart, lang), _signature()]:
        drawn.add_annotation(line)
    return drawn


def _coarsen(trace: go.Bar | go.Scatter) -> None:
    if isinstance(trace, go.Scatter):
        trace.line.width *= COARSER
        return
    if trace.marker.pattern.size:
        trace.marker.pattern.size *= COARSER
    if trace.marker.line.width:
        trace.marker.line.width *= COARSER


def _lift(annotation: go.layout.Annotation) -> None:
    """Words beside a bar or a line are larger here, keep off it, and can be read over another one."""
    if annotation.yshift:
        annotation.yshift *= COARSER
        annotation.bgcolor = BEHIND_WORDS


def _name(drawn: go.Figure, lang: Language) -> None:
    """The legend's words for what is drawn on the axes over the bars' own; one entry for two sides of one thing."""
    words = {"y2": lang.say("data missing"), "y4": lang.say("price of a kWh")}
    seen = set()
    for trace in drawn.data:
        name = words.get(trace.yaxis, trace.name)
        trace.name = name[:1].upper() + name[1:]
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)


def _heading(chart: Chart, lang: Language) -> list[dict[str, Any]]:
    """The device, the period, its total and what else is to be said, from the top down."""
    remarks = "" if chart.is_empty else " · ".join(sentences.remarks(chart, lang))
    lines = [
        _line(EDGE, chart.view.device_id, _SIZE),
        _line(EDGE + 28, chart.name, 38, _STRONG),
        _line(EDGE + 84, sentences.total(chart, lang), 26, _STRONG),
        _line(EDGE + 122, remarks, 19),
    ]
    return [line for line in lines if line["text"]]


def _line(top: int, text: str, size: int, font: Mapping[str, object] = _QUIET) -> dict[str, Any]:
    """Words `top` px under the upper edge, on at most two lines."""
    lines = wrap(text, _LINE_CHARACTERS, max_lines=_LINES, placeholder=" …")
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xanchor": "left", "yanchor": "top"}
    return {
        **place,
        "align": "left",
        "text": "<br>".join(escape(line, quote=False) for line in lines),
        "xshift": EDGE - MARGIN["l"],
        "yshift": MARGIN["t"] - top,
        "showarrow": False,
        "font": {"size": size, **font},
    }


def _signature() -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 1, "y": 0, "xanchor": "right", "yanchor": "bottom"}
    return {**place, "text": "Wattfall", "yshift": EDGE / 2 - MARGIN["b"], "showarrow": False, "font": {"size": 16}}


def _middle(nothing: str) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    return {**place, "text": escape(nothing, quote=False), "showarrow": False, "font": {"size": 26}}


# rows

HALF_HOURS, HOURS = "half-hour", "hour"  # intervals of the lowest level; the others are named like their levels
_WITHIN_A_DAY = (HALF_HOURS, HOURS)  # which have no standing charge
_KWH_PLACES = 3  # Wh are whole


def intervals(level: str) -> list[str]:
    """Into what a period of `level` can be cut, finest first."""
    return [*_WITHIN_A_DAY, *reversed(periods.lineage(level)[1:])]


def shown_by(level: str) -> str:
    """The interval of a level's chart."""
    return periods.LEVELS[level].child or HOURS


def held_by(level: str, by: str) -> str:
    """The level whose documents hold the intervals of a period of `level`: itself, or one from which it is made."""
    lineage = periods.lineage(level)
    return lineage[-1] if by == HALF_HOURS else next(one for one in lineage if shown_by(one) == by)


def header(by: str, *, is_priced: bool) -> list[str]:
    """The names of the columns."""
    energy = ["start", "end", "import_kwh", "export_kwh", "estimated_kwh", "coverage"]
    if not is_priced:
        return energy
    charge = [] if by in _WITHIN_A_DAY else ["standing_charge"]
    return [*energy, "import_cost", "export_earnings", *charge, "unpriced_kwh", "currency"]


def stretches(level: str, period: str, by: str) -> Iterator[tuple[str, str]]:
    """The documents to read for a period cut by `by`: first and last, a month of days or a year of months at a time."""
    holder = held_by(level, by)
    if holder == level:
        yield period, period
        return
    child, inside = periods.LEVELS[level].child, tuple(periods.children(level, period).values())
    if child == holder:
        yield inside[0], inside[-1]
        return
    for one in inside:
        yield from stretches(child, one, by)


def complete(found: Iterable[Document], device: Device, level: str, first: str, last: str) -> Iterator[Document]:
    """A document for every period from `first` to `last`: those found, and ones without data between them."""
    known = {document.period: document for document in found}
    period = first
    while period <= last:
        yield known.get(period) or Document(level, device.device_id, period, device.timezone, {})
        period = periods.shift(level, period, 1)


def rows(document: Document, by: str, now: int, *, is_priced: bool) -> Iterator[list[str]]:
    """The intervals of one document that have begun at `now` (UTC seconds), with the columns of `header`."""
    for slot in _slots(document, by):
        if slot.start > now:
            return
        part = document.part(slot.name)
        times = [periods.iso_local(at, document.timezone) for at in (slot.start, slot.end)]
        money = _money(part, by, document.currency) if is_priced else []
        yield [*times, *_energy(part), f"{coverage(part, slot.end - slot.start):.4f}", *money]


def _slots(document: Document, by: str) -> Iterator[Slot]:
    period, zone = document.period, document.timezone
    found = periods.half_hours(period, zone) if by == HALF_HOURS else periods.slots(document.level, period, zone)
    return (slot for slot in found if slot.end > slot.start)  # Samoa had no 30 December 2011


def _energy(part: Part) -> list[str]:
    estimated = None if part.import_wh is part.export_wh is None else part.estimated_wh
    return [_kwh(part.import_wh), _kwh(part.export_wh), _kwh(estimated)]


def _money(part: Part, by: str, currency: str) -> list[str]:
    cost = part.cost
    charge = [] if by in _WITHIN_A_DAY else [_amount(cost.standing_charge)]
    unpriced = None if cost == NOTHING else cost.unpriced_wh
    return [_amount(cost.import_cost), _amount(cost.export_earnings), *charge, _kwh(unpriced), currency]


def _kwh(wh: int | None) -> str:
    return "" if wh is None else plain(wh, _KWH_PLACES, _KWH_PLACES)


def _amount(units: int | None) -> str:
    return "" if units is None else money_text(units)
