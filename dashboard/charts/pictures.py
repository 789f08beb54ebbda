"""Downloads of a chart: a picture of it, and its documents as rows of a table. Pure.

The picture is the page's figure with the words around it, in light colours on white. On the page the names under the
axis and the legend are HTML, so the picture draws them itself.

Rows hold every interval in order, with UTC offsets and exact figures. Cells are text; an empty cell is no data, never
zero. Half hours and hours have no standing charge, which belongs to the day.
"""

from collections.abc import Iterator, Mapping
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from aggregator.core import periods
from aggregator.core.documents import Document, Part, coverage
from aggregator.core.money import NOTHING, money_text, plain
from aggregator.core.periods import Slot
from dashboard.charts import figures, sentences
from dashboard.charts.chart_model import Chart
from dashboard.text.language import Language

WIDTH, HEIGHT = 1600, 900  # px; assets/picture.js draws at twice the resolution
WHITE, INK = "#ffffff", "#0f2029"
BEHIND_WORDS = "rgba(255, 255, 255, 0.85)"
EDGE = 48  # px around everything
MARGIN = {"l": 104, "r": EDGE, "t": 236, "b": 104}
COARSER = 1.7  # times the page's hatching, dots and lines, so that they stay visible
_FAMILY = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_SIZE = 20
_STRONG, _QUIET = {"color": INK, "weight": 600}, {"color": figures.TEXT}
_LINE_CHARACTERS, _LINES = 150, 2  # of the remarks


def picture(chart: Chart, lang: Language, nothing: str = "") -> go.Figure:
    """Return the figure of a chart with its heading and legend; `nothing` replaces the bars of an empty chart."""
    drawn = go.Figure(figures.figure(chart, lang))
    drawn.for_each_trace(_coarsen)
    drawn.for_each_annotation(_lift)
    _name(drawn, lang)
    labels = [column.label for column in chart.columns]
    edge = 0 if periods.LEVELS[chart.view.level].child else 0.5  # an hour begins where its label stands
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
            "tickvals": [place - edge for place in range(len(labels))],
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
    """Enlarge the labels of bars and lines, move them away, and keep them readable over others."""
    if annotation.yshift:
        annotation.yshift *= COARSER
        annotation.bgcolor = BEHIND_WORDS


def _name(drawn: go.Figure, lang: Language) -> None:
    """Add the legend's names of the other axes; the two sides of one period share one entry."""
    words = {"y2": lang.say("data missing"), "y4": lang.say("price of a kWh")}
    seen = set()
    for trace in drawn.data:
        name = words.get(trace.yaxis, trace.name)
        trace.name = name[:1].upper() + name[1:]
        trace.showlegend = trace.name not in seen
        seen.add(trace.name)


def _heading(chart: Chart, lang: Language) -> list[dict[str, Any]]:
    """Return the home, the period, its total and the remarks, from the top down."""
    remarks = "" if chart.is_empty else " · ".join(sentences.remarks(chart, lang))
    lines = [
        _line(EDGE, chart.home, _SIZE),
        _line(EDGE + 28, chart.name, 38, _STRONG),
        _line(EDGE + 84, sentences.total(chart, lang), 26, _STRONG),
        _line(EDGE + 122, remarks, 19),
    ]
    return [line for line in lines if line["text"]]


def _line(top: int, text: str, size: int, font: Mapping[str, object] = _QUIET) -> dict[str, Any]:
    """Return words `top` px below the upper edge, on at most two lines."""
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


# Rows

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


def header(by: str, *, is_priced: bool, is_gas: bool = False) -> list[str]:
    """Return the names of the columns; gas has a volume."""
    energy = ["start", "end", "import_kwh", "export_kwh", "estimated_kwh", "interval_kwh", "coverage"]
    energy += ["volume_m3"] if is_gas else []
    if not is_priced:
        return energy
    charge = [] if by in _WITHIN_A_DAY else ["standing_charge"]
    return [*energy, "import_cost", "export_earnings", *charge, "unpriced_kwh", "currency"]


def document_ranges(level: str, period: str, by: str) -> Iterator[tuple[str, str]]:
    """Yield the first and last document of each read: a month of days or a year of months at a time."""
    holder = held_by(level, by)
    if holder == level:
        yield period, period
        return
    child, inside = periods.LEVELS[level].child, tuple(periods.children(level, period).values())
    if child == holder:
        yield inside[0], inside[-1]
        return
    for one in inside:
        yield from document_ranges(child, one, by)


def rows(document: Document, by: str, now: int, *, is_priced: bool, is_gas: bool = False) -> Iterator[list[str]]:
    """Yield the past intervals of a document at `now` (UTC seconds), with the columns of `header`."""
    for slot in _slots(document, by):
        if slot.start > now:
            return
        part = document.part(slot.name)
        times = [periods.iso_local(at, document.timezone) for at in (slot.start, slot.end)]
        money = _money(part, by, document.currency) if is_priced else []
        volume = [_thousandths(part.volume_l)] if is_gas else []
        yield [*times, *_energy(part), f"{coverage(part, slot.end - slot.start):.4f}", *volume, *money]


def _slots(document: Document, by: str) -> Iterator[Slot]:
    period, zone = document.period, document.timezone
    found = periods.half_hours(period, zone) if by == HALF_HOURS else periods.slots(document.level, period, zone)
    return (slot for slot in found if slot.end > slot.start)  # Samoa had no 30 December 2011


def _energy(part: Part) -> list[str]:
    shares = (None, None) if part.import_wh is part.export_wh is None else (part.estimated_wh, part.interval_wh)
    return [_thousandths(wh) for wh in (part.import_wh, part.export_wh, *shares)]


def _money(part: Part, by: str, currency: str) -> list[str]:
    cost = part.cost
    charge = [] if by in _WITHIN_A_DAY else [_amount(cost.standing_charge)]
    unpriced = None if part.is_empty or cost == NOTHING else cost.unpriced_wh
    return [_amount(cost.import_cost), _amount(cost.export_earnings), *charge, _thousandths(unpriced), currency]


def _thousandths(amount: int | None) -> str:
    return "" if amount is None else plain(amount, _KWH_PLACES, _KWH_PLACES)


def _amount(units: int | None) -> str:
    return "" if units is None else money_text(units)
