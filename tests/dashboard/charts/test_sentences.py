from collections.abc import Sequence

import pytest

from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.money import Cost
from dashboard.charts import cards, chart_model, grids, sentences
from dashboard.charts.chart_model import Chart, Other
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard.answers import text_of
from tests.dashboard.homes import LONDON, NOW


def chart(
    level: str,
    period: str,
    parts: dict[str, Part],
    first: str | None = None,
    view: View | None = None,
    currency: str = "",
    other: Other | None = None,
    prices: Sequence[int | None] = (),
) -> Chart:
    document = Document(level, "cad-1", period, LONDON, parts)
    view = view or View("household", "cad-1", level, period)
    return chart_model.chart_of(view, document, LONDON, NOW, first, ENGLISH, currency, other, prices)


def hours(count: int, part: Part) -> dict[str, Part]:
    return {f"h{hour:02d}": part for hour in range(count)}


FULL = Part(500, None, covered_s=3600)


def test_the_summary_of_an_open_day_is_so_far() -> None:
    parts = {**hours(14, FULL), "h07": FULL._replace(import_wh=1400)}
    expected = "7.90 kWh so far · busiest 07:00–08:00"
    assert (
        sentences.summary(chart("day", "2026-11-23", {**parts, "h14": Part(0, None, covered_s=1200)}), ENGLISH)
        == expected
    )


def test_a_past_day_with_export_names_both_directions() -> None:
    summary = sentences.summary(chart("day", "2026-11-22", hours(24, FULL._replace(export_wh=100))), ENGLISH)
    assert summary.startswith("12.0 kWh imported and 2.40 kWh exported · ")


def test_an_outage_is_named_as_estimated() -> None:
    parts = {**hours(24, FULL), **dict.fromkeys(("h02", "h03", "h04"), Part(300, None, 300, 0, 0, 3600))}
    assert "the energy of 3 h is estimated: no readings arrived" in sentences.summary(
        chart("day", "2026-11-22", parts), ENGLISH
    )


SUPPLIED = Part(500, None, interval_import_wh=500, interval_s=3600)


def test_a_day_of_the_supplier_is_no_outage() -> None:
    day = chart("day", "2026-11-22", hours(24, SUPPLIED))
    summary = sentences.summary(day, ENGLISH)
    assert summary.endswith(" · all from the supplier")
    assert not any(word in summary for word in ("missing", "estimated"))
    assert not any(column.is_partial or column.is_gap for column in day.columns)
    assert day.average == 500
    assert ("From the supplier", "100 %") in sentences.facts(day, ENGLISH)
    assert "Measured" not in dict(sentences.facts(day, ENGLISH))
    assert cards.column_lines(3, day, ENGLISH) == ["0.50 kWh", "4 % of the day", "from the supplier"]


def test_a_mixed_day_says_what_comes_from_where() -> None:
    mixed = Part(500, None, 50, 0, 900, 900, 200, 0, 1800)
    day = chart("day", "2026-11-22", {**hours(18, FULL), "h18": mixed, "h19": SUPPLIED})
    summary = sentences.summary(day, ENGLISH)
    assert " · 1 h 30 min from the supplier · the energy of 15 min is estimated: no readings arrived" in summary
    assert summary.endswith(" · 4 h missing")
    facts = dict(sentences.facts(day, ENGLISH))
    assert (facts["Measured"], facts["From the supplier"]) == ("76 %", "6 %")  # of 24 h: 18.25 h and 1.5 h
    assert facts["Estimated"] == "1 %"
    assert cards.column_lines(18, day, ENGLISH) == [
        "0.50 kWh",
        "5 % of the day",
        "30 min from the supplier",
        "15 min estimated",
    ]


def test_missing_time_is_in_hours_and_minutes() -> None:
    parts = {**hours(22, FULL), "h22": Part(10, None, covered_s=3600 - 600)}
    summary = sentences.summary(chart("day", "2026-11-22", parts), ENGLISH)
    assert "1 h 10 min missing" in summary


def test_a_day_of_25_hours_names_the_reason() -> None:
    assert "25 hours: the clocks went back" in sentences.summary(chart("day", "2026-10-25", hours(25, FULL)), ENGLISH)
    assert "23 hours: the clocks went forward" in sentences.summary(
        chart("day", "2026-03-29", hours(23, FULL)), ENGLISH
    )


def test_months_and_years_name_their_peak() -> None:
    month = {"d01": Part(9000, None, covered_s=86_400), "d15": Part(9900, None, covered_s=86_400)}
    assert "most on Sunday 15 November" in sentences.summary(chart("month", "2026-11", month), ENGLISH)
    assert "most in February" in sentences.summary(
        chart("year", "2026", {"m01": month["d01"], "m02": month["d15"]}), ENGLISH
    )


def test_a_peak_beside_export_is_named_import() -> None:
    parts = {**hours(24, FULL._replace(export_wh=100)), "h07": FULL._replace(import_wh=1400)}
    assert "most imported 07:00–08:00" in sentences.summary(chart("day", "2026-11-22", parts), ENGLISH)


def test_the_first_minutes_of_a_meter_are_no_measured_day() -> None:
    day = chart("day", "2026-11-23", {"h14": Part(9, None, covered_s=70)}, "2026-11-23")
    assert dict(sentences.facts(day, ENGLISH))["Measured"] == "1 min"


def test_the_first_reading_within_a_period_is_named() -> None:
    day = Part(9000, None, covered_s=86_400)
    month = chart("month", "2025-10", {f"d{number}": day for number in range(19, 32)}, "2025-10")
    assert "first reading on Sunday 19 October" in sentences.summary(month, ENGLISH)
    morning = chart("day", "2025-10-19", {"h09": FULL}, "2025-10-19")
    assert "first reading between 09:00 and 10:00" in sentences.summary(morning, ENGLISH)


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
def test_an_empty_chart_names_the_reason(level: str, period: str, first: str | None, heading: str) -> None:
    assert sentences.nothing(chart(level, period, {}, first), first, ENGLISH)[0] == heading


def test_a_skipped_date_has_its_own_sentence() -> None:
    view = View("household", "cad-1", "day", "2011-12-30")
    skipped = chart_model.chart_of(view, None, "Pacific/Apia", NOW, "2010-01-01", ENGLISH)
    assert sentences.nothing(skipped, "2010-01-01", ENGLISH) == (
        "A day that never was",
        "The clocks of this time zone skipped Friday 30 December 2011.",
    )


def test_a_card_has_energy_quality_and_half_hours() -> None:
    parts = {"h07": Part(900, None, covered_s=3600), "s14": Part(600, None, covered_s=1800)}
    day = chart("day", "2026-11-22", {**parts, "s15": Part(300, None, covered_s=1800)})
    assert cards.column_lines(7, day, ENGLISH) == ["0.90 kWh", "07:00  0.60 kWh", "07:30  0.30 kWh"]
    assert cards.column_lines(8, day, ENGLISH) == ["no data"]


POUND = 10**13  # units
PENNY = POUND // 100


def costing(import_wh: int, cost: Cost, known_s: int = 86_400) -> Part:
    return Part(import_wh, 100 if cost.export_earnings else None, covered_s=known_s, cost=cost)


def in_money(parts: dict[str, Part], has_charge: bool = True) -> Chart:
    view = View("household", "cad-1", "month", "2026-10", unit="money", has_charge=has_charge)
    return chart("month", "2026-10", parts, view=view, currency="GBP")


def test_money_is_a_balance_with_its_items() -> None:
    part = costing(9000, Cost(2 * POUND, POUND // 2, POUND // 4))
    summary = sentences.summary(in_money({"d01": part, "d02": part}), ENGLISH)
    assert summary.startswith("£3.50 · £4.00 for import, £0.50 standing charge, £1.00 earned · ")


def test_a_card_of_a_day_with_panels_has_import_and_standing_charge_apart() -> None:
    """12 June as found: £0.99 for import, £0.53 standing charge; it said £1.52 for import."""
    part = costing(4030, Cost(99 * POUND // 100, POUND * 2, 53 * POUND // 100))
    lines = cards.column_lines(0, in_money({"d01": part, "d02": part}), ENGLISH)
    assert lines == [
        "£0.99 for import · 4.03 kWh",
        "£2.00 earned · 0.10 kWh exported",
        "£0.53 standing charge",
        "50 % of the month",
    ]


def test_the_average_bill_of_a_home_with_panels_counts_what_it_earned() -> None:
    """By hand: 2 + 0.50 - 1 = 1.50 and 4 + 0.50 - 9 = -4.50 pounds; together -3, a day -1.50."""
    first = costing(9000, Cost(2 * POUND, POUND, POUND // 2))
    second = costing(9000, Cost(4 * POUND, 9 * POUND, POUND // 2))
    month = in_money({"d01": first, "d02": second})
    assert sentences.total(month, ENGLISH) == "£3.00 in credit"
    assert dict(sentences.facts(month, ENGLISH))["Average"] == "£1.50 in credit a day"


def test_the_average_of_energy_with_export_is_named_import() -> None:
    parts = {**hours(24, FULL._replace(export_wh=100)), "h07": FULL._replace(import_wh=1400)}
    facts = dict(sentences.facts(chart("day", "2026-11-22", parts), ENGLISH))
    assert facts["Average import"] == "0.54 kWh an hour"  # 12.9 kWh over 24 hours
    assert facts["Highest import"] == "1.40 kWh, 07:00–08:00"


def test_a_card_has_the_export_of_each_half_hour() -> None:
    """14 June as found: 1.79 kWh exported; the reader added up the imports 0.01 and 0.03 beneath."""
    first, second = Part(10, 900, covered_s=1800), Part(30, 890, covered_s=1800)
    hour = {"h11": Part(40, 1790, covered_s=3600), "s22": first, "s23": second}
    assert cards.column_lines(11, chart("day", "2026-11-22", hour), ENGLISH) == [
        "40 Wh imported",
        "1.79 kWh exported",
        "11:00  10 Wh, 0.90 kWh exported",
        "11:30  30 Wh, 0.89 kWh exported",
    ]


def test_the_money_of_half_hours_is_in_pence() -> None:
    """12 Wh and 21 Wh at 24.5 p are 0.294 p and 0.5145 p; as pounds both would be £0.00 or £0.01."""
    rate = 245 * PENNY // 10 // 1000
    halves = [Part(wh, None, covered_s=1800, cost=Cost(wh * rate, None)) for wh in (12, 21)]
    hour = Part(33, None, covered_s=3600, cost=Cost(33 * rate, None))
    view = View("household", "cad-1", "day", "2026-11-22", unit="money")
    parts = {"h11": hour, "s22": halves[0], "s23": halves[1]}
    day = chart("day", "2026-11-22", parts, view=view, currency="GBP")
    assert cards.column_lines(11, day, ENGLISH) == ["£0.01 · 33 Wh", "11:00  0.3 p", "11:30  0.5 p"]


def test_an_excluded_standing_charge_is_named() -> None:
    part = costing(9000, Cost(2 * POUND, None, POUND // 4))
    summary = sentences.summary(in_money({"d01": part}, has_charge=False), ENGLISH)
    assert summary.startswith("£2.00 · £2.00 for import, without £0.25 standing charge · ")


def test_energy_without_a_price_is_not_free() -> None:
    part = costing(9000, Cost(2 * POUND, None, None, unpriced_import_wh=1500))
    assert "1.50 kWh without a price" in sentences.summary(in_money({"d01": part}), ENGLISH)


def against(comparable: Part, parts: dict[str, Part], period: str = "2026-11-22") -> str:
    other = Other("2026-11-15", "Sunday 15 November", Document("day", "cad-1", "2026-11-15", LONDON, parts), comparable)
    return sentences.summary(
        chart("day", period, hours(24 if period < "2026-11-23" else 15, FULL), other=other), ENGLISH
    )


@pytest.mark.parametrize(
    ("import_wh", "words"),
    [
        (10_000, "20 % more than Sunday 15 November"),
        (24_000, "50 % less than Sunday 15 November"),
        (12_000, "the same as Sunday 15 November"),
        (12_010, "about the same as Sunday 15 November"),
        (0, "12.0 kWh more than Sunday 15 November"),
    ],
)
def test_a_comparison_is_in_percent_or_an_amount(import_wh: int, words: str) -> None:
    assert words in against(Part(import_wh, None, covered_s=86_400), hours(24, FULL))


def test_an_open_day_is_compared_by_the_same_time() -> None:
    comparable = Part(10_000, None, covered_s=15 * 3600)
    assert "25 % less than Sunday 15 November by the same time" in against(comparable, hours(24, FULL), "2026-11-23")


def test_a_mostly_unknown_period_is_not_compared() -> None:
    summary = against(Part(1000, None, covered_s=7200), {"h00": FULL, "h01": FULL})
    assert "too little is known of Sunday 15 November for a comparison" in summary
    assert "no data of Sunday 15 November" in against(EMPTY, {})


def test_a_card_has_the_compared_hour_and_the_difference() -> None:
    other = Other(
        "2026-11-15", "Sunday 15 November", Document("day", "cad-1", "2026-11-15", LONDON, {"h07": FULL}), EMPTY
    )
    lines = cards.column_lines(
        7, chart("day", "2026-11-22", {"h07": FULL._replace(import_wh=700)}, other=other), ENGLISH
    )
    assert lines == ["0.70 kWh", "Sunday 15 November: 0.50 kWh (+0.20 kWh)"]


def test_a_card_of_energy_has_its_money_and_its_share() -> None:
    """By hand: 0.70 of 12.20 kWh is 5.7 %; 700 Wh at 20 p are 14 p."""
    rates = [POUND // 5 // 1000] * 48
    priced = {
        name: part._replace(cost=Cost((part.import_wh or 0) * rates[0], None)) for name, part in hours(24, FULL).items()
    }
    priced["h07"] = Part(700, None, covered_s=3600, cost=Cost(700 * rates[0], None))
    day = chart("day", "2026-11-22", priced, currency="GBP")
    assert cards.column_lines(7, day, ENGLISH) == ["0.70 kWh · £0.14", "6 % of the day"]


def test_a_card_has_the_price_of_its_hour() -> None:
    rates = [POUND // 10 // 1000] * 14 + [POUND // 5 // 1000] * 34
    day = chart("day", "2026-11-22", {"h07": FULL}, currency="GBP", prices=rates)
    assert cards.column_lines(7, day, ENGLISH) == ["0.50 kWh", "20 p a kWh"]


def test_tomorrow_names_its_cheapest_and_dearest_hour() -> None:
    rates = [POUND // 10 // 1000] * 14 + [POUND // 5 // 1000] * 34
    tomorrow = chart("day", "2026-11-24", {}, "2026-01-01", currency="GBP", prices=rates)
    assert sentences.summary(tomorrow, ENGLISH) == "cheapest 00:00–01:00 at 10 p · dearest 07:00–08:00 at 20 p"


def test_facts_are_average_highest_lowest_and_coverage() -> None:
    parts = {**hours(23, FULL), "h07": FULL._replace(import_wh=1400), "h03": FULL._replace(import_wh=100)}
    found = dict(sentences.facts(chart("day", "2026-11-22", parts), ENGLISH))
    assert found == {
        "Average": "0.52 kWh an hour",
        "Highest": "1.40 kWh, 07:00–08:00",
        "Lowest": "0.10 kWh, 03:00–04:00",
        "Measured": "95 %",
    }


def test_gas_has_its_volume_beside_the_facts() -> None:
    gas = chart("day", "2026-11-22", hours(24, FULL._replace(volume_l=45)))
    assert sentences.facts(gas, ENGLISH)[0] == ("Volume", "1.08 m³")
    assert "Volume, m³" in text_of(grids.of_chart(gas, ENGLISH))


def test_a_day_without_data_names_its_standing_charge() -> None:
    owed = EMPTY._replace(cost=Cost(None, None, POUND // 2))
    month = in_money({"d01": costing(9000, Cost(2 * POUND, None, POUND // 2)), "d02": owed})
    assert cards.column_lines(1, month, ENGLISH) == ["£0.50 standing charge", "no data"]
    assert sentences.total(month, ENGLISH) == "£3.00"
    view = View("household", "cad-1", "day", "2026-10-02", unit="money")
    document = Document("day", "cad-1", "2026-10-02", LONDON, {}, "GBP", standing_charge=POUND // 2)
    day = chart_model.chart_of(view, document, LONDON, NOW, "2026-10-01", ENGLISH, "GBP")
    assert sentences.nothing(day, "2026-10-01", ENGLISH) == (
        "No data",
        "No reading of Friday 2 October 2026 has come in. The standing charge of £0.50 is owed all the same.",
    )


def test_only_a_standing_charge_is_no_data_for_a_comparison() -> None:
    owed = EMPTY._replace(cost=Cost(None, None, POUND))
    view = View("household", "cad-1", "month", "2026-10", unit="money")
    other = Other("2026-09", "September", Document("month", "cad-1", "2026-09", LONDON, {"d01": owed}), owed)
    mine = {"d01": costing(9000, Cost(2 * POUND, None, POUND))}
    drawn = chart("month", "2026-10", mine, view=view, currency="GBP", other=other)
    assert "no data of September" in sentences.summary(drawn, ENGLISH)
