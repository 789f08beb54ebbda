"""A meter's own counters of the day, the week and the month beside what the charts say of the same time. Pure.

They are for people to compare and never a source of energy. Some meters begin them anew at local midnight and some at
UTC midnight, so the charts are asked for both.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Document, add
from aggregator.core.energy import Register
from aggregator.core.periods import Window, day_of, day_start
from aggregator.core.register_steps import energy_between
from aggregator.intake.status import Counters

Span = Literal["day", "week", "month"]
SPANS: tuple[Span, ...] = ("day", "week", "month")  # a week begins on Monday


class Counted(NamedTuple):
    """What a counter says of import so far, and what the charts say of the same time."""

    span: Span
    at: int  # UTC seconds, when the meter said so
    start: int  # UTC seconds, when the day, week or month began here
    meter_wh: int
    charts_wh: int | None  # since then; None where there is no chart
    utc_start: int  # and when it began in UTC
    utc_charts_wh: int | None
    unknown_s: int  # of the time since `start`, of which the charts know nothing


class Charts(NamedTuple):
    """What a counter is compared with."""

    days: Mapping[str, Document]  # of the week, and of the days around the first of the month
    month: Document | None
    import_register: Sequence[Register]  # of late: what it has risen by since a counter was told is in the charts
    zone: str


def counted(counters: Counters, charts: Charts) -> list[Counted]:
    """The counters that a meter has told."""
    told = zip(SPANS, (counters.day_wh, counters.week_wh, counters.month_wh), strict=True)
    return [_counted(span, counters.at, wh, charts) for span, wh in told if wh is not None]


def first_day(span: Span, at: int, zone: str) -> str:
    """The first day of the day, week or month that an instant is in."""
    day = day_of(at, zone)
    if span == "week":
        return periods.shift("day", day, -periods.local(day_start(day, zone), zone).weekday())
    return day if span == "day" else f"{day[:7]}-01"


def _counted(span: Span, at: int, meter_wh: int, charts: Charts) -> Counted:
    days, month, register, zone = charts
    first, today = first_day(span, at, zone), day_of(at, zone)
    start, utc_start = day_start(first, zone), day_start(first_day(span, at, "UTC"), "UTC")
    if span == "month":
        documents, end = [month] if month else [], periods.window("month", first[:7], zone).end
    else:
        documents = [document for day, document in days.items() if first <= day <= today]
        end = periods.window("day", today, zone).end
    total = add(document.total for document in documents)
    if total.import_wh is None:
        return Counted(span, at, start, meter_wh, None, utc_start, None, at - start)
    wh = total.import_wh - energy_between(register, Window(at, end))
    utc_wh = wh + _energy(days, Window(utc_start, start)) - _energy(days, Window(start, utc_start))
    unknown_s = max(at - start - total.covered_s - total.estimated_s, 0)
    return Counted(span, at, start, meter_wh, wh, utc_start, utc_wh, unknown_s)


def _energy(days: Mapping[str, Document], span: Window) -> int:
    """The import of the half hours that begin in a span; none where it ends before it begins."""
    return sum(
        document.part(slot.name).import_wh or 0
        for document in (days.values() if span.start < span.end else ())
        for slot in periods.half_hours(document.period, document.timezone)
        if span.start <= slot.start < span.end
    )
