"""The running total of a year, drawn and in words. Pure."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from dashboard.charts import numbers
from dashboard.charts.cumulative import FRAME, STARTS, Cumulative, Run
from dashboard.charts.figures import CLEAR, HEADROOM, IMPORT, MARGIN, OTHER, TEMPLATE, Figure, Trace, axis_steps
from dashboard.charts.sentences import difference
from dashboard.text import words
from dashboard.text.language import Language, text

_DATE = text("d MMMM y")
_MONTH, _SHORT_MONTH = "LLLL", "LLL"
_CLOSE = 0.06  # of the height: names nearer than this would overlap


def figure(chart: Cumulative, lang: Language) -> Figure:
    """The year as a strong line, the year before as a thin neutral one, both named where they end."""
    amounts = [chart.measure.drawn(total) or 0.0 for run in (*chart.mine, *chart.other) for total in run.totals]
    low, high = min(0.0, *amounts), max(0.0, *amounts) or 1.0
    steps = axis_steps(low, high)
    layout = {
        "template": TEMPLATE,
        "margin": MARGIN | {"b": 26},
        "xaxis": {
            "range": [0, FRAME],
            "tickvals": [(start + end) / 2 for start, end in pairwise(STARTS)],
            "ticktext": [words.written("month", f"2000-{month:02d}", _SHORT_MONTH, lang) for month in range(1, 13)],
            "showticklabels": True,
            "tickangle": 0,
        },
        "yaxis": {"range": [low * HEADROOM, high * HEADROOM], "tickvals": steps, "ticktext": _ticks(steps, lang)},
        "annotations": [_unit(chart, lang), *_names(chart, high - low)],
    }
    lines = [*_lines(chart, chart.other, OTHER, 1.5), *_lines(chart, chart.mine, IMPORT, 2.5)]
    return {"data": lines, "layout": layout}


def sentences(chart: Cumulative, lang: Language) -> list[str]:
    """What it came to, and how that compares with the year before."""
    if not chart.mine:
        return []
    amount = chart.measure.said(chart.mine[-1].totals[-1], lang)
    return [str(amount) if chart.is_over else lang.say("{amount} so far", amount=amount), _compared(chart, lang)]


def table(chart: Cumulative, lang: Language) -> str:
    """The same by month: this year, the year before, the difference of months that are over (see numbers.py)."""
    unit = chart.measure.unit(lang)
    return numbers.table(
        lang.say("{year} and the year before, by month", year=chart.view.period),
        [f"{chart.view.period}, {unit}", f"{chart.previous}, {unit}", lang.say("Difference")],
        [_row(chart, month, mine, other, lang) for month, mine, other in chart.months],
    )


def _row(chart: Cumulative, month: str, mine: int | None, other: int | None, lang: Language) -> numbers.Row:
    period = f"{chart.view.period}-{month}"
    goes_on = not chart.is_over and chart.until.startswith(period)
    gap = None if mine is None or other is None or goes_on else mine - other
    sign = "+" if gap and gap > 0 else ""
    cells = [_amount(chart, mine, lang), _amount(chart, other, lang), sign * bool(gap) + _amount(chart, gap, lang)]
    return words.written("month", period, _MONTH, lang), chart.view.to("month", period).to_url(), cells


def _amount(chart: Cumulative, amount: int | None, lang: Language) -> str:
    if amount is None:
        return "–"
    money = chart.measure.currency
    return lang.money(amount, money) if money else lang.number(Decimal(amount) / 1000, 1)


def _compared(chart: Cumulative, lang: Language) -> str:
    against = chart.against
    if against is None:
        return lang.say("nothing is known of {year}", year=chart.previous)
    mine, other = (str(chart.measure.said(amount, lang)) for amount in (against.mine, against.other))
    if not against.is_whole:
        said = difference(chart.measure, against.mine, against.other, chart.previous, lang)
        return lang.count(
            "{difference} on the one day known of both ({mine}, {other})",
            "{difference} over the {number} days known of both ({mine}, {other})",
            against.days,
            difference=said,
            mine=mine,
            other=other,
        )
    day = words.written("day", f"{chart.previous}{chart.until[4:]}", _DATE, lang) if not chart.is_over else ""
    name = lang.say("by {day}", day=day) if day else chart.previous
    return f"{difference(chart.measure, against.mine, against.other, name, lang)} ({other})"


def _lines(chart: Cumulative, runs: Sequence[Run], colour: str, width: float) -> list[Trace]:
    """The runs of one year, and dots across what is not known between them."""
    drawn = []
    for before, after in pairwise(runs):
        places, totals = [before.places[-1], after.places[0]], [before.totals[-1], after.totals[0]]
        drawn.append(_line(chart, places, totals, {"color": colour, "width": width, "dash": "dot"}))
    return [*drawn, *(_line(chart, run.places, run.totals, {"color": colour, "width": width}) for run in runs)]


def _line(chart: Cumulative, places: Sequence[float], totals: Sequence[int], line: dict[str, Any]) -> Trace:
    amounts = [chart.measure.drawn(total) for total in totals]
    return {"type": "scatter", "mode": "lines", "x": list(places), "y": amounts, "line": line}


def _unit(chart: Cumulative, lang: Language) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "xanchor": "right", "yanchor": "middle"}
    return {"text": chart.measure.unit(lang), "showarrow": False, "xshift": -5, **place}


def _names(chart: Cumulative, span: float) -> list[dict[str, Any]]:
    """The year at the end of each line; one above and one below where they end side by side."""
    ends = [
        (run.places[-1], chart.measure.drawn(run.totals[-1]) or 0.0, name)
        for runs, name in ((chart.other, chart.previous), (chart.mine, chart.view.period))
        if runs
        for run in runs[-1:]
    ]
    ends.sort(key=lambda end: end[1])
    is_close = len(ends) == 2 and ends[1][1] - ends[0][1] < _CLOSE * span and abs(ends[1][0] - ends[0][0]) < FRAME / 8
    return [
        {
            "x": place,
            "y": amount,
            "text": name,
            "showarrow": False,
            "bgcolor": CLEAR,
            "xanchor": "right",
            "yanchor": "top" if is_close and position == 0 else "bottom",
        }
        for position, (place, amount, name) in enumerate(ends)
    ]


def _ticks(steps: Sequence[float], lang: Language) -> list[str]:
    exact = [Decimal(f"{abs(step):.9f}").normalize() for step in steps]
    places = max((-int(step.as_tuple().exponent) for step in exact), default=0)
    return [lang.number(step, max(0, places)) for step in exact]
