from collections.abc import Mapping

import plotly.graph_objects as go
import pytest

from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.money import Cost
from dashboard.charts import cumulative, grids
from dashboard.charts.chart_model import Measure
from dashboard.charts.cumulative import FRAME, Cumulative
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.answers import text_of
from tests.dashboard.homes import LONDON, instant

NOW = instant("2026-03-05T12:00:00+00:00")
Months = Mapping[str, Mapping[int, int]]  # Wh of days of months


def documents(months: Months) -> list[Document]:
    return [
        Document(
            "month",
            "cad-1",
            period,
            LONDON,
            {f"d{day:02d}": Part(wh, None, covered_s=86_400) for day, wh in days.items()},
        )
        for period, days in months.items()
    ]


def year(mine: Months, other: Months, comparable: Part = EMPTY, period: str = "2026", now: int = NOW) -> Cumulative:
    view = View("household", "cad-1", "year", period)
    return cumulative.running_total(view, documents(mine), documents(other), comparable, now, LONDON, Measure())


def days(first: int, last: int, wh: int = 1000) -> dict[int, int]:
    return dict.fromkeys(range(first, last + 1), wh)


def spring(name: str, wh: int = 1000, until: int = 5) -> dict[str, dict[int, int]]:
    return {f"{name}-01": days(1, 31, wh), f"{name}-02": days(1, 28, wh), f"{name}-03": days(1, until, wh)}


def test_the_running_total_rises_by_each_day() -> None:
    chart = year({"2026-01": {1: 300, 2: 500}}, {})
    assert chart.mine[0].totals == (0, 300, 800)
    assert chart.mine[0].places == (0, 1, 2)


@pytest.mark.parametrize(("name", "last"), [("2026", 28), ("2028", 29)])
def test_each_date_has_one_place_in_every_year(name: str, last: int) -> None:
    mine = {f"{name}-02": days(27, last), f"{name}-03": {1: 1000}, f"{name}-12": {31: 1000}}
    first, second = year(mine, {}, period=name).mine
    assert first.places[-1] == pytest.approx(61)
    assert len(first.places) == last - 27 + 3
    assert second.places[-1] == FRAME


def test_a_month_without_data_breaks_the_line_and_adds_nothing() -> None:
    chart = year({"2026-01": days(1, 31), "2026-03": days(1, 5)}, {})
    assert [run.totals[0] for run in chart.mine] == [0, 31_000]
    assert [run.places[0] for run in chart.mine] == [0, 60]
    drawn = go.Figure(cumulative.cumulative_figure(chart, ENGLISH)).to_plotly_json()["data"]
    assert [trace["line"].get("dash") for trace in drawn] == ["dot", None, None]


def test_the_year_before_counts_up_to_the_same_moment() -> None:
    chart = year(spring("2026", 960), spring("2025", 1000, until=31), comparable=Part(400, None))
    assert chart.against is not None
    assert (chart.against.mine, chart.against.other) == (64 * 960, 63_000 + 400)
    assert cumulative.cumulative_sentences(chart, ENGLISH) == [
        "61.4 kWh so far",
        "3 % less than by 5 March 2025 (63.4 kWh)",
    ]


def test_a_closed_year_is_compared_with_the_whole_year_before() -> None:
    chart = year(spring("2025", 1100, until=31), spring("2024", 1000, until=31), period="2025")
    assert cumulative.cumulative_sentences(chart, ENGLISH) == ["99.0 kWh", "10 % more than 2024 (90.0 kWh)"]


def test_the_leap_day_is_no_gap_in_other_years() -> None:
    leap = spring("2024", 1000) | {"2024-02": days(1, 29)}
    chart = year(leap, spring("2023", 1000), period="2024")
    assert chart.against is not None
    assert (chart.against.is_whole, chart.against.mine, chart.against.other) == (True, 65_000, 64_000)


def test_a_partial_year_is_compared_over_common_days() -> None:
    chart = year(spring("2026", 900), {"2025-03": days(1, 31)}, comparable=Part(900, None))
    assert chart.against is not None
    assert (chart.against.days, chart.against.mine, chart.against.other) == (5, 4500, 4900)
    assert cumulative.cumulative_sentences(chart, ENGLISH)[1] == (
        "on the 5 days known of both years 4.50 kWh, 8 % less than 2025 (4.90 kWh)"
    )


def test_a_year_known_from_march_only_is_drawn_from_this_years_total_on() -> None:
    """By hand: on 1 March 2026 has 59 days of 900 Wh; from there 2025 rises by 1000 Wh a day."""
    chart = year(spring("2026", 900), {"2025-03": days(1, 5)})
    (line,) = chart.other
    assert (line.places[0], line.totals[0], line.totals[-1]) == (60, 53_100, 58_100)
    assert chart.mine[0].totals[-1] == 57_600
    notes = go.Figure(cumulative.cumulative_figure(chart, ENGLISH)).layout.annotations
    assert "2025 from March on" in [note["text"] for note in notes]


def test_a_year_before_without_a_common_day_is_no_line() -> None:
    chart = year(spring("2026"), {"2025-10": days(14, 31)})
    assert chart.other == ()
    assert cumulative.cumulative_sentences(chart, ENGLISH)[1] == "no day is known of both years"


def test_a_first_year_has_no_comparison() -> None:
    chart = year(spring("2026"), {})
    assert chart.against is None
    assert cumulative.cumulative_sentences(chart, ENGLISH)[1] == "nothing is known of 2025"
    assert [note["text"] for note in go.Figure(cumulative.cumulative_figure(chart, ENGLISH)).layout.annotations] == [
        "kWh",
        "2026",
    ]


def test_both_lines_are_named_without_overlap() -> None:
    chart = year(spring("2026"), spring("2025", 1001))
    notes = go.Figure(cumulative.cumulative_figure(chart, ENGLISH)).layout.annotations
    assert [(note["text"], note["yanchor"]) for note in notes[1:]] == [("2026", "top"), ("2025", "bottom")]


def test_the_table_compares_closed_months() -> None:
    chart = year(spring("2026", 900), spring("2025"))
    body = grids.cumulative_table(chart, ENGLISH)["props"]["children"][2]["props"]["children"]
    rows = [[text_of(cell) for cell in row["props"]["children"][1:]] for row in body]
    assert rows == [["27.9", "31.0", "−3.1"], ["25.2", "28.0", "−2.8"], ["4.5", "5.0", "–"]]


POUND = 10**13


def billed(months: Mapping[str, Mapping[int, int | None]], now: int = NOW) -> Cumulative:
    """Return the running total of days that cost some pounds (None: no data) and a charge of 1 pound each."""
    found = [
        Document(
            "month",
            "cad-1",
            period,
            LONDON,
            {
                f"d{day:02d}": EMPTY._replace(cost=Cost(None, None, POUND))
                if pounds is None
                else Part(1, None, covered_s=86_400, cost=Cost(pounds * POUND, None, POUND))
                for day, pounds in days.items()
            },
            "GBP",
        )
        for period, days in months.items()
    ]
    view = View("household", "cad-1", "year", "2026")
    return cumulative.running_total(view, found, [], EMPTY, now, LONDON, Measure("GBP"))


def test_the_running_bill_counts_the_standing_charges_of_a_gap() -> None:
    chart = billed({"2026-01": {1: 4, 2: None, 3: None, 4: 5}})
    assert [run.totals for run in chart.mine] == [(0, 5 * POUND), (7 * POUND, 13 * POUND)]
    assert [run.places for run in chart.mine] == [(0, 1), (3, 4)]


def test_the_running_bill_of_a_silent_home_goes_on_to_today() -> None:
    chart = billed({"2026-03": {1: 4, 2: 4, 3: None, 4: None, 5: None}})
    assert chart.mine[-1].totals == (13 * POUND,)
    assert cumulative.cumulative_sentences(chart, ENGLISH)[0] == "£13.00 so far"
    assert chart.months == (("03", 13 * POUND, None),)
    drawn = go.Figure(cumulative.cumulative_figure(chart, ENGLISH)).to_plotly_json()["data"]
    assert [trace["line"].get("dash") for trace in drawn] == ["dot", None, None]


def test_days_without_data_are_not_compared() -> None:
    days = {1: 4, 2: None, 3: 4}
    assert billed({"2026-01": days}).against is None
