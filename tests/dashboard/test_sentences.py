import pytest

from aggregator.documents import Document, Part
from dashboard import charts, sentences
from dashboard.charts import Chart
from dashboard.view import View
from tests.dashboard.homes import LONDON, NOW, live


def chart(level: str, period: str, parts: dict[str, Part], first: str | None = None) -> Chart:
    document = Document(level, "cad-1", period, LONDON, parts)
    return charts.read(View("household", "cad-1", level, period), document, LONDON, NOW, first)


def hours(count: int, part: Part) -> dict[str, Part]:
    return {f"h{hour:02d}": part for hour in range(count)}


FULL = Part(500, None, covered_s=3600)


def test_a_day_that_is_not_over_is_told_so_far() -> None:
    parts = {**hours(14, FULL), "h07": FULL._replace(import_wh=1400)}
    expected = "7.90 kWh so far · busiest 07:00–08:00 · every reading present"
    assert sentences.summary(chart("day", "2026-11-23", {**parts, "h14": Part(0, None, covered_s=1200)})) == expected


def test_a_past_day_with_export_tells_both_directions() -> None:
    told = sentences.summary(chart("day", "2026-11-22", hours(24, FULL._replace(export_wh=100))))
    assert told.startswith("12.0 kWh imported and 2.40 kWh exported · ")


def test_an_outage_is_told_as_estimated() -> None:
    parts = {**hours(24, FULL), **dict.fromkeys(("h02", "h03", "h04"), Part(300, None, 300, 0, 0, 3600))}
    assert "3 h estimated after an outage" in sentences.summary(chart("day", "2026-11-22", parts))


def test_what_is_missing_is_told_in_hours_and_minutes() -> None:
    parts = {**hours(22, FULL), "h22": Part(10, None, covered_s=3600 - 600)}
    told = sentences.summary(chart("day", "2026-11-22", parts))
    assert "1 h 10 min missing" in told
    assert "every reading present" not in told


def test_a_25_hour_day_says_why() -> None:
    assert "25 hours: the clocks went back" in sentences.summary(chart("day", "2026-10-25", hours(25, FULL)))
    assert "23 hours: the clocks went forward" in sentences.summary(chart("day", "2026-03-29", hours(23, FULL)))


def test_months_and_years_name_their_peak() -> None:
    month = {"d01": Part(9000, None, covered_s=86_400), "d15": Part(9900, None, covered_s=86_400)}
    assert "most on Sunday 15 November" in sentences.summary(chart("month", "2026-11", month))
    assert "most in February" in sentences.summary(chart("year", "2026", {"m01": month["d01"], "m02": month["d15"]}))


def test_a_peak_beside_export_is_said_to_be_of_import() -> None:
    parts = {**hours(24, FULL._replace(export_wh=100)), "h07": FULL._replace(import_wh=1400)}
    assert "most imported 07:00–08:00" in sentences.summary(chart("day", "2026-11-22", parts))


def test_a_device_that_began_within_a_period_is_told_so() -> None:
    day = Part(9000, None, covered_s=86_400)
    month = chart("month", "2025-10", {f"d{number}": day for number in range(19, 32)}, "2025-10")
    assert "first reading on Sunday 19 October" in sentences.summary(month)
    morning = chart("day", "2025-10-19", {"h09": FULL}, "2025-10-19")
    assert "first reading after 09:00" in sentences.summary(morning)


@pytest.mark.parametrize(
    ("level", "period", "first", "heading"),
    [
        ("day", "2026-11-23", None, "Nothing to draw yet"),
        ("day", "2026-12-24", "2026-01-01", "This day is still to come"),
        ("month", "2027-01", "2026-01", "This month is still to come"),
        ("day", "2025-12-24", "2026-01-01", "Before the first reading"),
        ("day", "2026-05-05", "2026-01-01", "No data"),
    ],
)
def test_an_empty_chart_says_why_it_is_empty(level: str, period: str, first: str | None, heading: str) -> None:
    assert sentences.nothing(chart(level, period, {}, first), first)[0] == heading


def test_a_date_that_the_clocks_skipped_says_so() -> None:
    view = View("household", "cad-1", "day", "2011-12-30")
    assert sentences.nothing(charts.read(view, None, "Pacific/Apia", NOW, "2010-01-01"), "2010-01-01") == (
        "A day that never was",
        "The clocks of this time zone skipped Friday 30 December 2011.",
    )


@pytest.mark.parametrize(
    ("power_w", "level"),
    [
        (0, "low"),
        (499, "low"),
        (500, "medium"),
        (1999, "medium"),
        (2000, "high"),
        (-1, "exporting"),
        (None, "unknown"),
    ],
)
def test_power_has_a_level_as_on_an_in_home_display(power_w: int | None, level: str) -> None:
    assert sentences.level(power_w) == level


@pytest.mark.parametrize(
    ("age", "state"), [(-30, "fresh"), (59, "fresh"), (60, "late"), (599, "late"), (600, "silent")]
)
def test_a_reading_grows_late_and_then_its_device_is_silent(age: int, state: str) -> None:
    assert sentences.freshness(live("cad-1", 1, age), NOW) == state


def test_the_roll_call_counts_devices_by_state() -> None:
    states = [live("a", 1), live("b", 1), live("c", 1, 99), live("d", 1, 9999), None]
    assert sentences.roll_call(states, NOW) == "2 sending · 1 late · 1 silent · 1 waiting for a first reading"


def test_a_card_tells_energy_trust_and_half_hours() -> None:
    parts = {"h07": Part(900, None, covered_s=3600), "s14": Part(600, None, covered_s=1800)}
    column = chart("day", "2026-11-22", {**parts, "s15": Part(300, None, covered_s=1800)}).columns[7]
    assert sentences.column_lines(column) == ["0.90 kWh", "07:00  0.60 kWh", "07:30  0.30 kWh"]
    assert sentences.column_lines(chart("day", "2026-11-22", parts).columns[8]) == ["no data"]
