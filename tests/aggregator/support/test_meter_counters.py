"""The comparison of a meter's own counters with the charts."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from aggregator.core import periods
from aggregator.core.documents import Document, Part
from aggregator.core.registers import Register
from aggregator.core.status import Counters
from aggregator.support.anomalies import ChartTotals, CounterComparison, compare_counters, first_day

LONDON, BOGOTA = "Europe/London", "America/Bogota"
HALF_WH = 100  # of every half hour


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def charts(zone: str, first: str, until: int, register: Sequence[Register] = ()) -> ChartTotals:
    """Return the charts of a home with constant use in every half hour from a day on, and its month."""
    days = {}
    for day in periods.days_of(periods.Window(periods.day_start(first, zone), until), zone):
        halves = [slot for slot in periods.half_hours(day, zone) if slot.end <= until]
        parts = {slot.name: Part(HALF_WH, None, covered_s=1800) for slot in halves}
        hours: dict[str, int] = {}
        for slot in halves:
            hours[periods.hour_of_half(slot.name)] = hours.get(periods.hour_of_half(slot.name), 0) + 1
        parts |= {name: Part(HALF_WH * count, None, covered_s=1800 * count) for name, count in hours.items()}
        days[day] = Document("day", "cad-1", day, zone, parts)
    month = periods.period_of("month", until, zone)
    parts = {periods.part_in("month", day): document.total for day, document in days.items() if day[:7] == month}
    return ChartTotals(days, Document("month", "cad-1", month, zone, parts), register, zone)


def counters(at: int, day: int | None = None, week: int | None = None, month: int | None = None) -> Counters:
    return Counters(at, day, week, month)


@pytest.mark.parametrize(
    ("span", "at", "zone", "first"),
    [
        ("day", "2026-07-15T23:30:00Z", LONDON, "2026-07-16"),
        ("day", "2026-07-15T23:30:00Z", "UTC", "2026-07-15"),
        ("week", "2026-07-15T12:00:00Z", LONDON, "2026-07-13"),
        ("week", "2026-07-13T12:00:00Z", LONDON, "2026-07-13"),
        ("week", "2026-07-12T23:30:00Z", LONDON, "2026-07-13"),
        ("week", "2026-07-12T23:30:00Z", "UTC", "2026-07-06"),
        ("month", "2026-07-31T23:30:00Z", LONDON, "2026-08-01"),
        ("month", "2026-07-31T23:30:00Z", "UTC", "2026-07-01"),
    ],
)
def test_periods_begin_at_local_midnight_and_weeks_on_monday(span: str, at: str, zone: str, first: str) -> None:
    assert first_day(span, instant(at), zone) == first  # type: ignore[arg-type]


def test_counters_are_compared_with_the_same_local_time() -> None:
    at = instant("2026-07-15T12:00:00+01:00")  # a Wednesday
    found = compare_counters(counters(at, 2400, 12_000, 69_600), charts(LONDON, "2026-06-29", at))
    assert [(one.span, one.meter_wh, one.charts_wh, one.unknown_s) for one in found] == [
        ("day", 2400, 24 * HALF_WH, 0),
        ("week", 12_000, (2 * 48 + 24) * HALF_WH, 0),
        ("month", 69_600, (14 * 48 + 24) * HALF_WH, 0),
    ]


def test_a_missing_counter_is_not_compared() -> None:
    at = instant("2026-07-15T12:00:00Z")
    assert [one.span for one in compare_counters(counters(at, week=7), charts(LONDON, "2026-07-10", at))] == ["week"]


def test_in_summer_the_utc_day_lacks_its_first_local_hour() -> None:
    at = instant("2026-07-15T12:00:00+01:00")
    for one in compare_counters(counters(at, 1, 1, 1), charts(LONDON, "2026-06-29", at)):
        assert one.charts_wh is not None
        assert one.utc_charts_wh == one.charts_wh - 2 * HALF_WH
        assert one.utc_start == one.start + 3600


def test_west_of_greenwich_the_utc_day_includes_the_evening_before() -> None:
    at = instant("2026-07-15T12:00:00-05:00")
    day, week, month = compare_counters(counters(at, 1, 1, 1), charts(BOGOTA, "2026-06-29", at))
    for one in (day, week, month):
        assert one.charts_wh is not None
        assert one.utc_charts_wh == one.charts_wh + 10 * HALF_WH
        assert one.utc_start == one.start - 5 * 3600


def test_between_the_midnights_the_utc_month_is_the_previous_one() -> None:
    at = instant("2026-08-01T00:30:00+01:00")
    _, _, month = compare_counters(counters(at, 1, 1, 1), charts(LONDON, "2026-06-29", at))
    assert month.charts_wh == HALF_WH
    assert month.utc_charts_wh == HALF_WH + (31 * 48 - 2) * HALF_WH


def test_in_winter_both_midnights_are_equal() -> None:
    at = instant("2026-01-14T12:00:00Z")
    (day,) = compare_counters(counters(at, 1), charts(LONDON, "2026-01-10", at))
    assert (day.start, day.charts_wh) == (day.utc_start, day.utc_charts_wh)


def test_energy_after_the_counters_time_is_subtracted() -> None:
    at, until = instant("2026-07-15T12:00:00+01:00"), instant("2026-07-15T13:00:00+01:00")
    register = Register([at - 3600, at, until], [1000, 1210, 1450], [None] * 3)
    found = compare_counters(counters(at, 1, 1, 1), charts(LONDON, "2026-07-01", until, [register]))
    assert [one.charts_wh for one in found] == [
        26 * HALF_WH - 240,
        (2 * 48 + 26) * HALF_WH - 240,
        (14 * 48 + 26) * HALF_WH - 240,
    ]


def test_yesterdays_counter_is_compared_with_yesterday() -> None:
    at, until = instant("2026-07-15T12:00:00+01:00"), instant("2026-07-16T06:00:00+01:00")
    midnight = instant("2026-07-16T00:00:00+01:00")
    register = Register([at, midnight, until], [1000, 3400, 4600], [None] * 3)
    day, week, month = compare_counters(counters(at, 1, 1, 1), charts(LONDON, "2026-07-01", until, [register]))
    assert day.charts_wh == 48 * HALF_WH - 2400
    assert week.charts_wh == 3 * 48 * HALF_WH - 2400
    assert month.charts_wh == (15 * 48 + 12) * HALF_WH - 3600


def test_a_counter_without_a_chart_has_no_comparison() -> None:
    at = instant("2026-07-15T12:00:00Z")
    start = instant("2026-07-15T00:00:00+01:00")
    (day,) = compare_counters(counters(at, 5), ChartTotals({}, None, (), LONDON))
    assert day == CounterComparison("day", at, start, 5, None, start + 3600, None, at - start)


def test_time_without_data_in_the_charts_is_reported() -> None:
    at = instant("2026-07-15T12:00:00+01:00")
    _, _, month = compare_counters(counters(at, 1, 1, 1), charts(LONDON, "2026-07-11", at))
    assert month.unknown_s == 10 * 86_400
