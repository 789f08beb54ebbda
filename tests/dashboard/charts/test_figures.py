from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import pytest

from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.money import Cost
from dashboard.charts import cards, chart_model, figures, pictures
from dashboard.charts.chart_model import Chart, Other
from dashboard.charts.figures import CLEAR, EXPORT, HEADROOM, IMPORT, axis_steps
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, measured


def chart(
    period: str,
    parts: dict[str, Part],
    level: str = "day",
    view: View | None = None,
    currency: str = "",
    other: Other | None = None,
    prices: Sequence[int | None] = (),
) -> Chart:
    document = Document(level, "cad-1", period, LONDON, parts)
    view = view or View("household", "cad-1", level, period)
    first = "2000-01-01"[: len(period)]
    return chart_model.chart_of(view, document, LONDON, NOW, first, ENGLISH, currency, other, prices)


def figure(drawn: Chart) -> go.Figure:
    """Return the figure as plotly.py parses it, which checks every property and value."""
    return go.Figure(figures.figure(drawn, ENGLISH))


def traces(drawn: Chart) -> dict[str, Any]:
    return {trace.name: trace for trace in figure(drawn).data}


def hours(import_wh: int, export_wh: int | None = None) -> dict[str, Part]:
    part = measured(import_wh, export_wh)._replace(covered_s=3600)
    return {f"h{hour:02d}": part for hour in range(25)}


def texts(drawn: Chart) -> list[str]:
    return [annotation.text for annotation in figure(drawn).layout.annotations]


def test_bars_are_placed_by_position_never_by_time() -> None:
    drawn = figure(chart("2026-10-25", hours(500)))
    assert drawn.data[0].x == tuple(range(25))


def test_import_stands_above_the_axis_and_export_below_in_kwh() -> None:
    found = traces(chart("2026-11-22", hours(500, 1250)))
    assert found["Imported"].y[0] == 0.5
    assert found["Exported"].y[0] == -1.25
    assert (found["Imported"].marker.color, found["Exported"].marker.color) == (IMPORT, EXPORT)


def test_estimated_energy_is_hatched_above_the_measured() -> None:
    part = Part(700, 0, estimated_import_wh=300, covered_s=1800, estimated_s=1800)
    found = traces(chart("2026-11-22", {**hours(500), "h03": part}))
    assert found["Imported"].y[3] == 0.4
    assert found["Imported, estimated"].y[3] == 0.3
    assert found["Imported, estimated"].marker.pattern.shape == "/"
    assert found["Imported, estimated"].marker.pattern.fgcolor == IMPORT


def gap(cell: dict[str, Any]) -> str | None:
    """Return the width of the gap that begins at a column."""
    inside = [part["props"] for part in cell["props"]["children"]]
    return next((props["style"]["width"] for props in inside if props["className"] == "gap"), None)


def test_a_gap_is_a_dotted_band_never_a_zero() -> None:
    parts = {name: part for name, part in hours(500).items() if name not in ("h03", "h04")}
    drawn = chart("2026-11-22", parts)
    found = traces(drawn)
    assert found["Imported"].y[3] is None
    assert (found["Data missing"].x, found["Data missing"].y) == ((3, 4), (1, 1))
    assert found["Data missing"].marker.pattern.shape == "."
    cells = cards.column_cells(drawn, ENGLISH)
    assert [gap(cell) for cell in cells[2:6]] == [None, "200%", None, None]  # one label over both
    assert all("no data" in str(cell["props"]["aria-label"]) for cell in cells[3:5])


def test_missing_time_is_dotted_above_its_bar() -> None:
    found = traces(chart("2026-11-22", {**hours(500), "h03": Part(250, 0, covered_s=1800)}))
    assert found["Imported"].y[3] == 0.25
    band = found["Data missing"]
    assert (band.x, band.base[0] + band.y[0]) == ((3,), 1)
    assert band.base[0] == pytest.approx(0.5 / HEADROOM)


def test_zero_is_drawn_as_zero_and_not_as_a_gap() -> None:
    drawn = chart("2026-11-22", hours(0))
    assert list(traces(drawn)) == ["Imported"]
    assert set(traces(drawn)["Imported"].y) == {0}
    assert not any(map(gap, cards.column_cells(drawn, ENGLISH)))


def test_the_future_is_blank() -> None:
    drawn = chart("2026-11-23", {f"h{hour:02d}": measured(400)._replace(covered_s=3600) for hour in range(15)})
    assert list(traces(drawn)) == ["Imported"]
    assert traces(drawn)["Imported"].y[15:] == (None,) * 9


@pytest.mark.parametrize(("period", "words"), [("2026-10-25", "clocks back"), ("2026-03-29", "clocks forward")])
def test_a_change_of_the_clocks_is_marked(period: str, words: str) -> None:
    drawn = chart(period, hours(500))
    assert words in texts(drawn)
    assert len(figure(drawn).layout.shapes) == 1


@pytest.mark.parametrize(("wh", "unit", "top"), [(99, "Wh", "80"), (100, "kWh", "0.1")])
def test_a_small_day_has_an_axis_in_wh(wh: int, unit: str, top: str) -> None:
    drawn = figure(chart("2026-11-22", {"h03": measured(wh), "h04": measured(1)}))
    assert (drawn.layout.annotations[0].text, drawn.layout.yaxis.ticktext[-1]) == (unit, top)
    assert drawn.layout.annotations[1].text == {"Wh": "99", "kWh": "0.10"}[unit]


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0, 1.32, [0, 0.5, 1]),
        (0, 0.6, [0, 0.2, 0.4, 0.6]),
        (-7.8, 12, [-5, 0, 5, 10]),
        (0, 407, [0, 100, 200, 300, 400]),
        (0, 0.004, [0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_the_axis_has_few_round_steps(low: float, high: float, steps: list[float]) -> None:
    assert axis_steps(low, high) == steps


def test_the_axis_of_a_quiet_day_still_has_a_range() -> None:
    assert figure(chart("2026-11-22", hours(0))).layout.yaxis.range == (0, 1.14)


def test_export_is_labelled_without_a_minus() -> None:
    assert tuple(figure(chart("2026-11-22", hours(1000, 1000))).layout.yaxis.ticktext) == (
        "1",
        "0.5",
        "0",
        "0.5",
        "1",
    )


POUND = 10**13  # units
PENNY = POUND // 100


def priced(import_wh: int, pence: int, earned_pence: int = 0, charge_pence: int | None = None) -> Part:
    """Return a measured part with its cost and earnings."""
    charge = None if charge_pence is None else charge_pence * PENNY
    cost = Cost(pence * PENNY, earned_pence * PENNY, charge)
    return Part(import_wh, 100 if earned_pence else None, covered_s=86_400, cost=cost)


def money(period: str, parts: dict[str, Part], level: str = "month", has_charge: bool = True) -> Chart:
    view = View("household", "cad-1", level, period, unit="money", has_charge=has_charge)
    return chart(period, parts, level, view, currency="GBP")


def test_money_stacks_the_standing_charge_above_and_earnings_below() -> None:
    found = traces(money("2026-10", {"d01": priced(9000, 250, 40, 53)}))
    drawn = [found[name].y[0] for name in ("Imported", "Standing charge", "Exported")]
    assert drawn == [2.5, 0.53, -0.4]


def test_without_the_standing_charge_only_the_energy_is_drawn() -> None:
    drawn = money("2026-10", {"d01": priced(9000, 250, 0, 53)}, has_charge=False)
    assert "Standing charge" not in traces(drawn)
    assert figure(drawn).layout.yaxis.range == (0, 2.5 * HEADROOM)


def test_a_negative_price_draws_its_cost_below_the_axis() -> None:
    drawn = figure(money("2026-10", {"d01": priced(9000, 250), "d02": priced(9000, -30)}))
    assert drawn.layout.yaxis.range == (-0.3 - 0.07 * 2.8, 2.5 * HEADROOM)


def test_money_without_a_tariff_is_drawn_as_energy() -> None:
    view = View("household", "cad-1", "day", "2026-11-22", unit="money")
    assert "kWh" in texts(chart("2026-11-22", hours(500), view=view))


@pytest.mark.parametrize(("day", "anchor"), [("d01", "left"), ("d02", None), ("d30", None), ("d31", "right")])
def test_the_label_of_an_outermost_narrow_bar_stays_inside(day: str, anchor: str | None) -> None:
    days = {f"d{number:02d}": measured(5000)._replace(covered_s=86_400) for number in range(1, 32)}
    drawn = figure(chart("2026-10", days | {day: measured(9000)._replace(covered_s=86_400)}, "month"))
    (label,) = (note for note in drawn.layout.annotations if note.text == "9.00")
    assert label.xanchor == anchor


def test_the_most_exported_hour_has_its_own_label() -> None:
    parts = {**hours(500), "h12": Part(40, 1790, covered_s=3600), "h13": Part(30, 1500, covered_s=3600)}
    drawn = figure(chart("2026-11-22", {**parts, "h18": measured(900)}))
    labels = {note.text: (note.x, note.y) for note in drawn.layout.annotations}
    assert (labels["0.90"], labels["1.79"]) == ((18, 0.9), (12, -1.79))


def test_a_label_in_wh_beside_an_axis_of_kwh_says_so() -> None:
    parts = {**hours(20), "h07": measured(460), "h11": measured(30, 9)}
    assert {"kWh", "0.46", "9 Wh"} <= set(texts(chart("2026-11-22", parts)))


def test_only_the_open_day_draws_its_usual_weekday() -> None:
    usual = Document("day", "cad-1", "2026-11-22", LONDON, hours(900))
    other = Other("2026-11-22", "a usual day", usual, usual.total, is_usual=True)
    past, today = (chart(day, hours(500), other=other) for day in ("2026-11-22", "2026-11-23"))
    assert ["a usual day" in traces(one) for one in (past, today)] == [False, True]
    tops = [figure(one).layout.yaxis.range[1] for one in (past, today)]
    assert tops == [pytest.approx(0.5 * HEADROOM), pytest.approx(0.9 * HEADROOM)], "an axis is as tall as what is drawn"


def test_the_compared_period_is_an_outline_on_its_own_axis() -> None:
    other = Other("2026-11-15", "Sunday 15 November", Document("day", "cad-1", "2026-11-15", LONDON, hours(900)), EMPTY)
    drawn = chart("2026-11-22", hours(500), other=other)
    outline = traces(drawn)["Sunday 15 November"]
    assert (outline.y[0], outline.yaxis, outline.marker.color) == (0.9, "y3", CLEAR)
    assert figure(drawn).layout.yaxis.range == figure(drawn).layout.yaxis3.range
    assert figure(drawn).layout.yaxis.range[1] == pytest.approx(0.9 * HEADROOM)


RATES = [8 * PENNY // 1000] * 14 + [30 * PENNY // 1000] * 34


def test_prices_are_a_stepped_line_with_labelled_extremes() -> None:
    drawn = chart("2026-11-22", hours(500), currency="GBP", prices=RATES)
    line = figure(drawn).data[-1]
    assert line.line.shape == "hv"
    assert (line.x[0], line.x[-1], len(line.x)) == (-0.5, 23.5, 49)
    assert (line.y[13], line.y[14]) == (0.08, 0.3)
    assert {"8 p", "30 p"} <= set(texts(drawn))


def bands(drawn: Chart) -> list[tuple[float, float]]:
    return [(shape.x0, shape.x1) for shape in figure(drawn).layout.shapes if shape.type == "rect"]


def test_the_cheap_hours_are_a_band_from_where_they_begin() -> None:
    """Cheap from 00:30 to 05:30: half of column 0 to half of column 5, whose edges are at -0.5 and 4.5."""
    night = [RATES[-1], *RATES[:10], *RATES[14:], *RATES[-3:]]
    drawn = chart("2026-11-22", hours(500), currency="GBP", prices=night)
    assert bands(drawn) == [(0.0, 5.0)]
    (label,) = (one for one in figure(drawn).layout.annotations if one.text == "8 p")
    assert (label.y, label.yref, label.yanchor) == (1, "paper", "top"), "no bar hides it"


def test_half_hourly_prices_have_no_band() -> None:
    rates = [PENNY // 1000 * (10 + place) for place in range(48)]
    assert bands(chart("2026-11-22", hours(500), currency="GBP", prices=rates)) == []


def test_an_hour_is_named_where_it_begins_and_a_day_at_its_middle() -> None:
    day = chart("2026-11-22", hours(500))
    month = chart("2026-11", {"d01": measured(5000)}, "month")
    looks = [str(cards.column_cells(one, ENGLISH)[3]["props"]["children"][-1]["props"]) for one in (day, month)]
    assert ["edge" in look for look in looks] == [True, False]
    assert [pictures.picture(one, ENGLISH).layout.xaxis.tickvals[3] for one in (day, month)] == [2.5, 3]


def test_the_same_price_all_day_is_no_line() -> None:
    assert "Imported" in traces(chart("2026-11-22", hours(500), currency="GBP", prices=[PENNY] * 48))
    assert len(figure(chart("2026-11-22", hours(500), currency="GBP", prices=[PENNY] * 48)).data) == 1


def test_an_unknown_price_breaks_the_line() -> None:
    line = figure(chart("2026-11-22", hours(500), currency="GBP", prices=[None, *RATES[1:]])).data[-1]
    assert line.y[0] is None
    assert line.connectgaps is False


def test_prices_and_bars_share_one_zero() -> None:
    drawn = figure(chart("2026-11-22", hours(500), currency="GBP", prices=[-4 * PENNY // 1000, *RATES[1:]]))
    bars, prices = drawn.layout.yaxis.range, drawn.layout.yaxis4.range
    assert bars[0] < 0
    assert bars[0] / bars[1] == pytest.approx(prices[0] / prices[1])
    assert prices[1] == pytest.approx(0.3 * HEADROOM)


def test_tomorrow_shows_prices_only() -> None:
    drawn = chart("2026-11-24", {}, currency="GBP", prices=RATES)
    steps = figure(drawn).layout.yaxis.ticktext
    assert steps == ("0 p", "10 p", "20 p", "30 p")


OWED = EMPTY._replace(cost=Cost(None, None, 53 * PENNY))  # a day without data


def test_a_day_without_data_draws_its_standing_charge_below_the_gap() -> None:
    found = traces(money("2026-10", {"d01": priced(9000, 250, 0, 53), "d02": OWED}))
    assert found["Standing charge"].y[:3] == (0.53, 0.53, None)
    assert found["Imported"].y[:2] == (2.5, None)
    missing = found["Data missing"]
    assert missing.x[0] == 1
    assert missing.base[:2] == pytest.approx((0.53 / (3.03 * HEADROOM), 0))


def test_a_month_of_standing_charges_alone_is_drawn_in_money_only() -> None:
    owed = money("2026-10", {"d01": OWED, "d02": OWED})
    assert (owed.is_empty, owed.peak, owed.lowest, owed.average) == (False, None, None, None)
    assert chart("2026-10", {"d01": OWED}, "month").is_empty
    assert money("2026-10", {"d01": OWED}, has_charge=False).is_empty


def test_days_without_data_count_in_no_average() -> None:
    drawn = money("2026-10", {"d01": priced(9000, 200, 0, 50), "d02": priced(9000, 100, 0, 50), "d03": OWED})
    assert drawn.average == 2 * POUND
    assert drawn.peak == 0
