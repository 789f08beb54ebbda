"""A year's running total by day, beside that of the year before. Pure; `now` comes in.

Days are matched by their date. They are drawn in the frame of a leap year, over which a shorter February is spread, so
that every other date stands at one place in every year.
"""

import calendar
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import accumulate

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from dashboard.charts.measure import Measure
from dashboard.charts.view import View

LEAP_DAY = "02-29"
MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days, in the frame in which every year is drawn
STARTS = (0, *accumulate(MONTHS))
FRAME = STARTS[-1]

Days = Mapping[str, Part]  # the days of a year with data, by date: `11-23`


@dataclass(frozen=True, slots=True)
class Run:
    """The running total over days without a gap between them."""

    places: tuple[float, ...]  # where days end, up to FRAME; the first is where the run begins
    totals: tuple[int, ...]  # Wh or units by then


@dataclass(frozen=True, slots=True)
class Against:
    """A year and the one before, over the same days."""

    mine: int
    other: int
    days: int
    is_whole: bool  # no day is left out that one of the two has


@dataclass(frozen=True, slots=True)
class Cumulative:
    """The running totals of a year and the one before."""

    view: View
    measure: Measure
    is_over: bool
    until: str  # the last day with data or today: `2026-11-23`
    mine: tuple[Run, ...]
    other: tuple[Run, ...]  # none where nothing is known of the year before
    months: tuple[tuple[str, int | None, int | None], ...]  # `11`, and what it came to this year and last
    against: Against | None

    @property
    def previous(self) -> str:
        """The year before."""
        return periods.shift("year", self.view.period, -1)


def read(
    view: View,
    documents: Iterable[Document],
    others: Iterable[Document],
    fair: Part,
    now: int,
    zone: str,
    measure: Measure,
) -> Cumulative:
    """The running totals of a year's view with a written-out period, from the months of it and of the year before.

    `fair` is what today's date came to a year ago by this time of the day.
    """
    mine, other = _days(documents), _days(others)
    today = periods.period_of("day", now, zone)
    is_over = today[:4] > view.period
    last = max(mine, default="01-01") if is_over else today[5:]
    so_far = {day: part for day, part in other.items() if is_over or day < last}
    if not is_over and not fair.is_empty:
        so_far[last] = fair
    return Cumulative(
        view,
        measure,
        is_over,
        f"{view.period}-{last}",
        tuple(_runs(view.period, mine, measure)),
        tuple(_runs(periods.shift("year", view.period, -1), other, measure)),
        tuple(_months(mine, other, measure)),
        _against(mine, so_far, measure),
    )


def place(day: date, share: float = 1) -> float:
    """Where a date, or a share of it, ends in the frame."""
    stretch = MONTHS[day.month - 1] / calendar.monthrange(day.year, day.month)[1]
    return STARTS[day.month - 1] + (day.day - 1 + share) * stretch


def _days(documents: Iterable[Document]) -> dict[str, Part]:
    return {
        f"{document.period[5:]}-{name[1:]}": part
        for document in documents
        for name, part in sorted(document.parts.items())
        if not part.is_empty
    }


def _runs(year: str, days: Days, measure: Measure) -> Iterator[Run]:
    """A new run begins after every gap: what is not known is not drawn as nothing."""
    total, before = 0, 0
    places, totals = list[float](), list[int]()
    for name, part in sorted(days.items()):
        amount, day = measure.net(part), date.fromisoformat(f"{year}-{name}")
        if amount is None:
            continue
        if day.toordinal() != before + 1:
            if places:
                yield Run(tuple(places), tuple(totals))
            places, totals = [place(day, 0)], [total]
        total, before = total + amount, day.toordinal()
        places.append(place(day))
        totals.append(total)
    if places:
        yield Run(tuple(places), tuple(totals))


def _months(mine: Days, other: Days, measure: Measure) -> Iterator[tuple[str, int | None, int | None]]:
    for month in (f"{number:02d}" for number in range(1, 13)):
        sums = [_sum(days, [day for day in days if day.startswith(month)], measure) for days in (mine, other)]
        if any(amount is not None for amount in sums):
            yield month, sums[0], sums[1]


def _against(mine: Days, other: Days, measure: Measure) -> Against | None:
    """Over the days that both years have, but for 29 February; None without any."""
    common = (mine.keys() & other.keys()) - {LEAP_DAY}
    is_whole = common == (mine.keys() | other.keys()) - {LEAP_DAY}
    amounts = [_sum(days, days if is_whole else common, measure) for days in (mine, other)]
    if not common or amounts[0] is None or amounts[1] is None:
        return None
    return Against(amounts[0], amounts[1], len(common), is_whole)


def _sum(days: Days, wanted: Iterable[str], measure: Measure) -> int | None:
    return measure.net(add([days.get(day, EMPTY) for day in wanted]))
