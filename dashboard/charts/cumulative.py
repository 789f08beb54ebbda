"""The running total of a year by day, beside the year before: values, figure and words. Pure.

Days are matched by date. The frame of the figure is a leap year, over which a shorter February is stretched, so that
each other date has one place in every year.
"""

import calendar
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from dashboard.charts.chart_model import Measure
from dashboard.charts.figures import (
    CLEAR,
    HEADROOM,
    IMPORT,
    MARGIN,
    OTHER,
    TEMPLATE,
    Figure,
    Trace,
    axis_steps,
    axis_unit,
)
from dashboard.charts.sentences import difference
from dashboard.charts.view import View
from dashboard.text import words
from dashboard.text.language import Language, text

LEVEL = "year"  # the running total follows the calendar of a whole year
LEAP_DAY = "02-29"
MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of a leap year, the frame of every year
STARTS = (0, *accumulate(MONTHS))
FRAME = STARTS[-1]

Days = Mapping[str, Part]  # the days of a year with data or a standing charge, by date: `11-23`


@dataclass(frozen=True, slots=True)
class RunningTotal:
    """The running total over consecutive days."""

    places: tuple[float, ...]  # ends of days, up to FRAME; the first is the start of the run
    totals: tuple[int, ...]  # Wh or units up to each place


@dataclass(frozen=True, slots=True)
class Against:
    """A year and the one before, over the same days."""

    mine: int
    other: int
    days: int
    is_whole: bool  # whether the days cover all data of both years


@dataclass(frozen=True, slots=True)
class Cumulative:
    """The running totals of a year and the one before."""

    view: View
    measure: Measure
    is_over: bool
    until: str  # the last day with data or today: `2026-11-23`
    mine: tuple[RunningTotal, ...]
    other: tuple[RunningTotal, ...]  # from the first place known of both years, see `_aligned`
    months: tuple[tuple[str, int | None, int | None], ...]  # `11`, and its total this year and last
    against: Against | None
    is_other_known: bool  # whether the year before has data

    @property
    def previous(self) -> str:
        """The year before."""
        return periods.shift("year", self.view.period, -1)


def running_total(
    view: View,
    documents: Iterable[Document],
    documents_before: Iterable[Document],
    comparable: Part,
    now: int,
    zone: str,
    measure: Measure,
) -> Cumulative:
    """Return the running totals of a year's view, whose period is set. Documents are of months.

    `comparable` is the total of today's date a year ago, up to this time of the day.
    """
    mine, other = _days(documents, measure), _days(documents_before, measure)
    today = periods.period_of("day", now, zone)
    is_over = today[:4] > view.period
    last = max(mine, default="01-01") if is_over else today[5:]
    so_far = {day: part for day, part in other.items() if is_over or day < last}
    if not is_over:
        so_far[last] = comparable
    runs = tuple(_runs(view.period, mine, measure))
    others = tuple(_runs(periods.shift("year", view.period, -1), other, measure))
    return Cumulative(
        view,
        measure,
        is_over,
        f"{view.period}-{last}",
        runs,
        tuple(_aligned(runs, others)),
        tuple(_months(mine, other, measure)),
        _against(mine, so_far, measure),
        bool(others),
    )


def place(day: date, share: float = 1) -> float:
    """Return the position of a date's end, or of a share of the day, in the frame."""
    stretch = MONTHS[day.month - 1] / calendar.monthrange(day.year, day.month)[1]
    return STARTS[day.month - 1] + (day.day - 1 + share) * stretch


def _days(documents: Iterable[Document], measure: Measure) -> dict[str, Part]:
    return {
        f"{document.period[5:]}-{name[1:]}": part
        for document in documents
        for name, part in sorted(document.parts.items())
        if not part.is_empty or measure.charge(part)
    }


def _runs(year: str, days: Days, measure: Measure) -> Iterator[RunningTotal]:
    """Yield the runs; a new one begins after every gap, because unknown is not zero.

    Standing charges of a gap count. Those after the newest data are a run of one place, at their end.
    """
    total, before, last = 0, 0, 0.0
    places, totals = list[float](), list[int]()
    for name, part in sorted(days.items()):
        amount, day = measure.net(part), date.fromisoformat(f"{year}-{name}")
        if amount is None:
            continue
        last = place(day)
        if part.is_empty:
            total += amount
            continue
        if day.toordinal() != before + 1:
            if places:
                yield RunningTotal(tuple(places), tuple(totals))
            places, totals = [place(day, 0)], [total]
        total, before = total + amount, day.toordinal()
        places.append(last)
        totals.append(total)
    if places:
        yield RunningTotal(tuple(places), tuple(totals))
    if last > (places[-1] if places else 0):
        yield RunningTotal((last,), (total,))


def _aligned(mine: Sequence[RunningTotal], other: Sequence[RunningTotal]) -> Iterator[RunningTotal]:
    """Yield the year before from the first place known of both years, moved to this year's total there.

    A year that is known from late October only would else seem to begin at 0, far below the other.
    """
    if not mine or not other:
        return
    first = max(mine[0].places[0], other[0].places[0])
    if mine[-1].places[-1] <= first:
        return
    shift = _total_at(mine, first) - _total_at(other, first)
    for run in other:
        kept = [pair for pair in zip(run.places, run.totals, strict=True) if pair[0] >= first]
        if kept:
            yield RunningTotal(tuple(place for place, _ in kept), tuple(total + shift for _, total in kept))


def _total_at(runs: Sequence[RunningTotal], wanted: float) -> int:
    """Return the total at the end of the last day up to a place."""
    known = (pair for run in runs for pair in zip(run.places, run.totals, strict=True))
    return [total for place, total in known if place <= wanted][-1]


def _months(mine: Days, other: Days, measure: Measure) -> Iterator[tuple[str, int | None, int | None]]:
    for month in (f"{number:02d}" for number in range(1, 13)):
        sums = [_sum(days, [day for day in days if day.startswith(month)], measure) for days in (mine, other)]
        if any(amount is not None for amount in sums):
            yield month, sums[0], sums[1]


def _against(mine: Days, other: Days, measure: Measure) -> Against | None:
    """Compare the days that both years have data of, without 29 February; None without common days."""
    known, other_known = ({day for day, part in days.items() if not part.is_empty} for days in (mine, other))
    common = (known & other_known) - {LEAP_DAY}
    is_whole = common == (known | other_known) - {LEAP_DAY}
    amounts = [_sum(days, days if is_whole else common, measure) for days in (mine, other)]
    if not common or amounts[0] is None or amounts[1] is None:
        return None
    return Against(amounts[0], amounts[1], len(common), is_whole)


def _sum(days: Days, wanted: Iterable[str], measure: Measure) -> int | None:
    return measure.net(add([days.get(day, EMPTY) for day in wanted]))


# The figure and its words

_DATE = text("d MMMM y")
MONTH, _SHORT_MONTH = "LLLL", "LLL"
_CLOSE = 0.06  # of the height; closer names would overlap


def cumulative_figure(chart: Cumulative, lang: Language) -> Figure:
    """Return the figure: this year as a strong line, the year before as a thin neutral one, named at their ends."""
    amounts = [chart.measure.drawn(total) or 0.0 for run in (*chart.mine, *chart.other) for total in run.totals]
    low, high = min(0.0, *amounts), max(0.0, *amounts) or 1.0
    steps = axis_steps(low, high)
    layout = {
        "template": TEMPLATE,
        "margin": MARGIN | {"b": 26},
        "xaxis": {
            "range": [0, FRAME],
            "tickvals": [(start + end) / 2 for start, end in pairwise(STARTS)],
            "ticktext": [
                words.format_period("month", f"2000-{month:02d}", _SHORT_MONTH, lang) for month in range(1, 13)
            ],
            "showticklabels": True,
            "tickangle": 0,
        },
        "yaxis": {"range": [low * HEADROOM, high * HEADROOM], "tickvals": steps, "ticktext": _ticks(steps, lang)},
        "annotations": [axis_unit(chart.measure.unit(lang)), *_names(chart, high - low, lang)],
    }
    lines = [*_lines(chart, chart.other, OTHER, 1.5), *_lines(chart, chart.mine, IMPORT, 2.5)]
    return {"data": lines, "layout": layout}


def cumulative_sentences(chart: Cumulative, lang: Language) -> list[str]:
    """Return the total, and the comparison with the year before."""
    if not chart.mine:
        return []
    amount = chart.measure.balance(chart.mine[-1].totals[-1], lang)
    return [str(amount) if chart.is_over else lang.say("{amount} so far", amount=amount), _compared(chart, lang)]


def _compared(chart: Cumulative, lang: Language) -> str:
    against = chart.against
    if against is None:
        unknown = text("no day is known of both years") if chart.is_other_known else text("nothing is known of {year}")
        return lang.say(unknown, year=chart.previous)
    mine, other = (str(chart.measure.balance(amount, lang)) for amount in (against.mine, against.other))
    if not against.is_whole:
        said = difference(chart.measure, against.mine, against.other, chart.previous, lang)
        return lang.count(
            "on the one day known of both years {mine}, {difference} ({other})",
            "on the {number} days known of both years {mine}, {difference} ({other})",
            against.days,
            difference=said,
            mine=mine,
            other=other,
        )
    day = words.format_period("day", f"{chart.previous}{chart.until[4:]}", _DATE, lang) if not chart.is_over else ""
    name = lang.say("by {day}", day=day) if day else chart.previous
    return f"{difference(chart.measure, against.mine, against.other, name, lang)} ({other})"


def _lines(chart: Cumulative, runs: Sequence[RunningTotal], colour: str, width: float) -> list[Trace]:
    """Return the runs of one year, with dotted lines across the unknown."""
    drawn = []
    for before, after in pairwise(runs):
        places, totals = [before.places[-1], after.places[0]], [before.totals[-1], after.totals[0]]
        drawn.append(_line(chart, places, totals, {"color": colour, "width": width, "dash": "dot"}))
    return [*drawn, *(_line(chart, run.places, run.totals, {"color": colour, "width": width}) for run in runs)]


def _line(chart: Cumulative, places: Sequence[float], totals: Sequence[int], line: dict[str, Any]) -> Trace:
    amounts = [chart.measure.drawn(total) for total in totals]
    return {"type": "scatter", "mode": "lines", "x": list(places), "y": amounts, "line": line}


def _names(chart: Cumulative, span: float, lang: Language) -> list[dict[str, Any]]:
    """Return the year at the end of each line; one above and one below if the ends are close."""
    ends = [
        (run.places[-1], chart.measure.drawn(run.totals[-1]) or 0.0, name)
        for runs, name in ((chart.other, _other_name(chart, lang)), (chart.mine, chart.view.period))
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


def _other_name(chart: Cumulative, lang: Language) -> str:
    """Return the year before; with its first month if its line begins within the year."""
    first = chart.other[0].places[0] if chart.other else 0
    if not first:
        return chart.previous
    month = f"{chart.previous}-{bisect_right(STARTS, first):02d}"
    return lang.say(
        "{year} from {month} on", year=chart.previous, month=words.format_period("month", month, MONTH, lang)
    )


def _ticks(steps: Sequence[float], lang: Language) -> list[str]:
    exact = [Decimal(f"{abs(step):.9f}").normalize() for step in steps]
    places = max((-int(step.as_tuple().exponent) for step in exact), default=0)
    return [lang.number(step, max(0, places)) for step in exact]
