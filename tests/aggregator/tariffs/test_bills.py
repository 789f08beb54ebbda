"""Bills computed by hand, and the properties of every bill."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import documents, periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.errors import ConfigurationError
from aggregator.core.money import NOTHING, UNIT_PLACES, Cost, add_costs, cost_json, money_text, scaled, screen_text
from aggregator.tariffs.rates import (
    NO_SERIES,
    Rate,
    Series,
    affected_days,
    day_rates,
    days_of_prices,
    energy_cost,
    price,
    price_day,
    standing_charge,
    with_charges,
)
from aggregator.tariffs.tariff import Tariff, tariff_from_json
from tests.budgets import examples

LONDON = "Europe/London"
SPRING, AUTUMN = "2026-03-29", "2026-10-25"  # of 23 and of 25 hours in London
HALF_HOUR = 1800

NIGHT = {"name": "night", "from": "00:30", "to": "07:30", "rate": "0.0850"}
DAY = {"name": "day", "from": "07:30", "to": "00:30", "rate": "0.3012"}


def tariff(*versions: Mapping[str, object], **fields: object) -> Tariff:
    rows = versions or ({"from": "2025-01-01", **fields},)
    return tariff_from_json({"currency": "GBP", "versions": [dict(row) for row in rows]})


def flat(rate: str, **fields: object) -> Tariff:
    return tariff(**{"import": rate}, **fields)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def pounds(text: str) -> int:
    return scaled(Decimal(text), UNIT_PLACES, "the amount")


def imports(**wh: int) -> dict[str, Part]:
    return {name: Part(value, None, covered_s=HALF_HOUR) for name, value in wh.items()}


def every_half_hour(day: str, wh: int) -> dict[str, Part]:
    return {slot.name: Part(wh, None, covered_s=HALF_HOUR) for slot in periods.half_hours(day, LONDON)}


class Bill(NamedTuple):
    """The bill of one local day."""

    half_hours: Mapping[str, Cost]
    standing_charge: int | None

    @property
    def total(self) -> Cost:
        return add_costs(self.half_hours.values())._replace(standing_charge=self.standing_charge)


def bill_of(day: str, zone: str, parts: Mapping[str, Part], plan: Tariff | None, prices: Series = NO_SERIES) -> Bill:
    """Return the bill of a known day."""
    return Bill(price_day(day, zone, parts, plan, prices), standing_charge(plan, (day, day), (day, day), zone))


def by_half_hour(bill: Bill, amount: Callable[[Cost], int | None] = lambda cost: cost.import_cost) -> dict[str, str]:
    return {name: money_text(units) for name, cost in bill.half_hours.items() if (units := amount(cost)) is not None}


# Bills by hand


def test_a_flat_rate_prices_every_half_hour() -> None:
    bill = bill_of("2026-01-15", LONDON, imports(s00=250, s14=1200, s36=2001), flat("0.2450", standing_charge="0.5310"))
    assert by_half_hour(bill) == {
        "s00": "0.06125",  # 0.250 kWh × 0.2450
        "s14": "0.294",  # 1.200 kWh × 0.2450
        "s36": "0.490245",  # 2.001 kWh × 0.2450
    }
    assert bill.total.import_cost == pounds("0.845495")
    assert bill.total.standing_charge == pounds("0.5310")
    assert bill.total.to_pay == pounds("1.376495")
    assert screen_text(bill.total.to_pay or 0) == "1.38"


def test_a_night_rate_on_a_23_hour_day() -> None:
    bill = bill_of(SPRING, LONDON, every_half_hour(SPRING, 100), tariff(**{"import": [NIGHT, DAY]}))
    costs = by_half_hour(bill)
    assert len(costs) == 46
    assert costs["s00"] == "0.03012"  # 00:00 still day: 0.1 kWh × 0.3012
    # 00:30, then 02:00 to 07:00, as 01:00 and 01:30 do not exist: 12 half hours × 0.1 kWh × 0.0850 = 0.1020
    assert [costs[f"s{number:02d}"] for number in range(1, 13)] == ["0.0085"] * 12
    assert costs["s13"] == "0.03012"  # 07:30
    # 46 - 12 = 34 half hours of day × 0.1 kWh × 0.3012 = 1.02408
    assert bill.total.import_cost == pounds("1.12608")  # 0.1020 + 1.02408


def test_a_night_rate_on_a_25_hour_day() -> None:
    bill = bill_of(AUTUMN, LONDON, every_half_hour(AUTUMN, 100), tariff(**{"import": [NIGHT, DAY]}))
    costs = by_half_hour(bill)
    assert len(costs) == 50
    assert costs["s00"] == "0.03012"
    # 00:30, 01:00 and 01:30 twice, 02:00 to 07:00: 1 + 4 + 11 = 16 half hours × 0.1 kWh × 0.0850 = 0.1360
    assert [costs[f"s{number:02d}"] for number in range(1, 17)] == ["0.0085"] * 16
    assert costs["s17"] == "0.03012"  # 07:30
    # 50 - 16 = 34 half hours of day × 0.1 kWh × 0.3012 = 1.02408
    assert bill.total.import_cost == pounds("1.16008")  # 0.1360 + 1.02408


@pytest.mark.parametrize(
    ("day", "import_cost", "to_pay"),
    [
        (SPRING, "1.126839", "1.657824"),  # 46 × 0.1 = 4.6 kWh × 0.244965; + 0.530985
        ("2026-06-01", "1.175832", "1.706817"),  # 48 × 0.1 = 4.8 kWh × 0.244965; + 0.530985
        (AUTUMN, "1.224825", "1.75581"),  # 50 × 0.1 = 5.0 kWh × 0.244965; + 0.530985
    ],
)
def test_vat_and_standing_charge_at_clock_changes(day: str, import_cost: str, to_pay: str) -> None:
    without_vat = flat("0.2333", standing_charge="0.5057", vat="0.05", vat_included=False)
    total = bill_of(day, LONDON, every_half_hour(day, 100), without_vat).total
    assert total.import_cost == pounds(import_cost)  # 0.2333 × 1.05 = 0.244965 a kWh
    assert total.standing_charge == pounds("0.530985")  # 0.5057 × 1.05, once a day
    assert total.to_pay == pounds(to_pay)


def test_included_vat_is_not_added_again() -> None:
    total = bill_of("2026-06-01", LONDON, imports(s00=1000), flat("0.245", standing_charge="0.53", vat="0.05")).total
    assert (total.import_cost, total.standing_charge) == (pounds("0.245"), pounds("0.53"))


NEGATIVE_NIGHT = {  # the UTC half hours of a night in British summer time
    utc("2026-06-30T23:00"): Decimal("0.1834"),
    utc("2026-06-30T23:30"): Decimal("-0.0210"),
    utc("2026-07-01T00:00"): Decimal("-0.0525"),
    utc("2026-07-01T00:30"): Decimal("0"),
}


def test_negative_half_hourly_prices_lower_the_bill() -> None:
    energy = imports(s00=500, s01=3000, s02=3000, s03=400)
    bill = bill_of(
        "2026-07-01", LONDON, energy, tariff(**{"import": "half-hourly"}), Series(import_prices=NEGATIVE_NIGHT)
    )
    assert by_half_hour(bill) == {
        "s00": "0.0917",  # 00:00 to 00:30 in London: 0.5 kWh × 0.1834
        "s01": "-0.063",  # 3.0 kWh × -0.0210
        "s02": "-0.1575",  # 3.0 kWh × -0.0525
        "s03": "0.00",  # 0.4 kWh × 0
    }
    assert bill.total.import_cost == pounds("-0.1288")  # 0.0917 - 0.0630 - 0.1575 + 0
    assert bill.total.unpriced_wh == 0
    assert screen_text(bill.total.import_cost or 0) == "-0.13"


def test_vat_is_added_to_half_hourly_prices() -> None:
    energy = imports(s00=500, s01=3000, s02=3000, s03=400)
    agile = tariff(**{"import": "half-hourly"}, vat="0.05", vat_included=False)
    total = bill_of("2026-07-01", LONDON, energy, agile, Series(import_prices=NEGATIVE_NIGHT)).total
    assert total.import_cost == pounds("-0.13524")  # -0.1288 × 1.05


def test_a_new_version_begins_at_midnight_inside_a_night_window() -> None:
    def nights(night: str, day: str) -> list[dict[str, str]]:
        return [{"from": "23:00", "to": "06:00", "rate": night}, {"from": "06:00", "to": "23:00", "rate": day}]

    history = tariff(
        {"from": "2025-10-01", "import": nights("0.10", "0.30"), "standing_charge": "0.50"},
        {"from": "2026-04-01", "import": nights("0.12", "0.33"), "standing_charge": "0.55"},
    )
    before = bill_of("2026-03-31", LONDON, imports(s45=1000, s46=1000, s47=1000), history)
    assert by_half_hour(before) == {"s45": "0.30", "s46": "0.10", "s47": "0.10"}  # 22:30 by day, 23:00 and 23:30
    assert before.total.to_pay == pounds("1.00")  # 0.30 + 0.10 + 0.10 + 0.50
    after = bill_of("2026-04-01", LONDON, imports(s00=1000, s11=1000, s12=1000), history)
    assert by_half_hour(after) == {"s00": "0.12", "s11": "0.12", "s12": "0.33"}  # 00:00, 05:30, 06:00 by day
    assert after.total.to_pay == pounds("1.12")  # 0.12 + 0.12 + 0.33 + 0.55


def test_hours_after_midnight_use_their_own_weekday() -> None:
    schedule = [
        {"name": "weekday night", "from": "22:00", "to": "06:00", "rate": "0.10", "days": "weekdays"},
        {"name": "weekday", "from": "06:00", "to": "22:00", "rate": "0.30", "days": "weekdays"},
        {"name": "weekend", "rate": "0.20", "days": "weekends"},
    ]
    plan, energy = tariff(**{"import": schedule}), imports(s00=1000, s24=1000, s47=1000)
    friday, saturday, sunday, monday = (
        by_half_hour(bill_of(f"2026-11-{day}", LONDON, energy, plan)) for day in (20, 21, 22, 23)
    )
    assert friday == {"s00": "0.10", "s24": "0.30", "s47": "0.10"}
    assert saturday == {"s00": "0.20", "s24": "0.20", "s47": "0.20"}  # Friday's night ends at midnight
    assert sunday == saturday
    assert monday == friday  # and Monday's begins with the day


def test_export_earns_its_own_rate_without_vat() -> None:
    solar = flat("0.20", export="0.15", standing_charge="0.40", vat="0.05", vat_included=False)
    energy = {"s20": Part(100, 400), "s21": Part(0, 1500), "s40": Part(900, 0)}
    bill = bill_of("2026-06-01", LONDON, energy, solar)
    assert by_half_hour(bill) == {
        "s20": "0.021",  # 0.1 kWh × 0.20 × 1.05
        "s21": "0.00",
        "s40": "0.189",  # 0.9 kWh × 0.20 × 1.05
    }
    assert by_half_hour(bill, lambda cost: cost.export_earnings) == {
        "s20": "0.06",  # 0.4 kWh × 0.15
        "s21": "0.225",  # 1.5 kWh × 0.15
        "s40": "0.00",
    }
    # 0.210 for import, 0.420 for the day (0.40 × 1.05), less 0.285 earned
    assert bill.total[:3] == (pounds("0.21"), pounds("0.285"), pounds("0.42"))
    assert bill.total.to_pay == pounds("0.345")


def test_half_hourly_export_combines_with_import_windows() -> None:
    outgoing = tariff(**{"import": [NIGHT, DAY], "export": "half-hourly"})
    prices = Series(
        export_prices={utc("2026-06-01T11:00"): Decimal("0.1111"), utc("2026-06-01T11:30"): Decimal("-0.01")}
    )
    energy = {"s24": Part(200, 1000), "s25": Part(0, 500), "s26": Part(0, 300)}
    total = bill_of("2026-06-01", LONDON, energy, outgoing, prices).total
    assert total.import_cost == pounds("0.06024")  # 0.2 kWh × 0.3012
    assert total.export_earnings == pounds("0.1061")  # 1.0 × 0.1111 - 0.5 × 0.01
    assert (total.unpriced_import_wh, total.unpriced_export_wh) == (0, 300)


def test_fees_and_taxes_come_on_each_half_hourly_price_and_vat_on_both() -> None:
    spot = tariff(
        **{"import": {"half-hourly": "0.1408"}, "export": {"half-hourly": "-0.01"}}, vat="0.25", vat_included=False
    )
    start = utc("2026-01-15T00:00")
    prices = Series({start: Decimal("0.06"), start + HALF_HOUR: Decimal("-0.02")}, {start: Decimal("0.05")})
    energy = {"s00": Part(1000, 500), "s01": Part(2000, None), "s02": Part(300, None)}
    total = bill_of("2026-01-15", LONDON, energy, spot, prices).total
    # (0.06 + 0.1408) x 1.25 x 1 kWh + (-0.02 + 0.1408) x 1.25 x 2 kWh; (0.05 - 0.01) x 0.5 kWh; 300 Wh have no price
    assert (total.import_cost, total.export_earnings) == (pounds("0.553"), pounds("0.02"))
    assert total.unpriced_import_wh == 300


def test_vat_is_added_to_half_hourly_import_not_export() -> None:
    both = tariff(**{"import": "half-hourly", "export": "half-hourly"}, vat="0.05", vat_included=False)
    prices = Series({utc("2026-01-15T00:00"): Decimal("0.20")}, {utc("2026-01-15T00:00"): Decimal("0.10")})
    total = bill_of("2026-01-15", LONDON, {"s00": Part(1000, 1000)}, both, prices).total
    assert total[:2] == (pounds("0.21"), pounds("0.10"))


def test_export_without_a_rate_earns_zero() -> None:
    total = bill_of("2026-06-01", LONDON, {"s20": Part(100, 400)}, flat("0.20")).total
    assert (total.export_earnings, total.unpriced_wh) == (0, 0)


def test_two_unpriced_hours_are_counted_separately() -> None:
    starts = range(utc("2026-01-15T00:00"), utc("2026-01-16T00:00"), HALF_HOUR)
    missing = range(utc("2026-01-15T16:00"), utc("2026-01-15T18:00"), HALF_HOUR)
    prices = {start: Decimal("0.2") for start in starts if start not in missing}
    energy = every_half_hour("2026-01-15", 100) | imports(s32=250, s33=250, s34=300, s35=200)
    agile = tariff(**{"import": "half-hourly"}, standing_charge="0.50")
    bill = bill_of("2026-01-15", LONDON, energy, agile, Series(prices))
    assert [bill.half_hours[f"s{number}"] for number in (32, 34)] == [
        Cost(None, None, unpriced_import_wh=250),
        Cost(None, None, unpriced_import_wh=300),
    ]
    assert bill.total.import_cost == pounds("0.88")  # 44 half hours × 0.1 kWh × 0.2
    assert bill.total.unpriced_import_wh == 1000  # 250 + 250 + 300 + 200
    assert bill.total.to_pay == pounds("1.38")  # 0.88 + 0.50
    late = bill_of("2026-01-15", LONDON, energy, agile, Series({start: Decimal("0.2") for start in starts}))
    assert late.total == Cost(pounds("1.08"), None, pounds("0.50"))  # 0.88 + 1.0 kWh × 0.2, nothing unpriced


def test_a_negative_standing_charge_is_a_credit() -> None:
    total = bill_of("2026-01-15", LONDON, imports(s00=1000), flat("0.25", standing_charge="-0.95")).total
    assert total.to_pay == pounds("-0.70")


def test_estimated_energy_gives_estimated_cost() -> None:
    plan = flat("0.30", export="0.10")
    cost = bill_of("2026-01-15", LONDON, {"s00": Part(600, 500, 200, 50)}, plan).total
    assert (cost.import_cost, cost.estimated_import_cost) == (pounds("0.18"), pounds("0.06"))
    assert (cost.export_earnings, cost.estimated_export_earnings) == (pounds("0.05"), pounds("0.005"))


def test_energy_before_the_first_version_is_unpriced() -> None:
    early = bill_of("2024-12-31", LONDON, {"s00": Part(600, 500)}, flat("0.30"))
    assert early == ({"s00": Cost(None, None, None, 600, 500)}, None)
    assert bill_of("2024-12-31", LONDON, {"s00": Part(600, 500)}, None) == early


def test_unknown_energy_has_unknown_cost() -> None:
    bill = bill_of("2026-01-15", LONDON, {"s00": EMPTY, "h00": Part(5, 5)}, flat("0.30", standing_charge="0.50"))
    assert bill == Bill({}, pounds("0.50"))
    assert bill.total == NOTHING._replace(standing_charge=pounds("0.50"))
    assert add_costs([]) == NOTHING
    assert NOTHING.to_pay is None


def test_a_skipped_date_has_no_standing_charge() -> None:
    assert bill_of("2011-12-30", "Pacific/Apia", {}, tariff({"from": "2000-01-01", "import": "0.3"})) == (
        {},
        None,
    )


def test_supply_goes_on_through_days_without_data() -> None:
    plan = flat("0.25", standing_charge="0.5057", vat="0.05", vat_included=False)
    known = {
        f"d{number:02d}": Part(9000, None, covered_s=86_400) for number in range(1, 29) if number not in (9, 10, 20, 28)
    }
    november = Document("month", "cad-1", "2026-11", LONDON, known)
    shown = with_charges(november, plan, ("2026-11-01", "2026-11-28"))
    assert shown.total.cost.standing_charge == pounds("14.86758")  # 28 × 0.5057 × 1.05
    assert shown.part("d09") == EMPTY._replace(cost=NOTHING._replace(standing_charge=pounds("0.530985")))
    assert shown.part("d09").is_empty
    assert shown.part("d29") == EMPTY
    assert (shown.total.import_wh, shown.currency) == (24 * 9000, "GBP")
    year = with_charges(Document("year", "cad-1", "2026", LONDON, {}), plan, ("2026-11-01", "2026-11-28"))
    assert (list(year.parts), year.total.cost) == (["m11"], NOTHING._replace(standing_charge=pounds("14.86758")))
    day = with_charges(Document("day", "cad-1", "2026-11-09", LONDON, {}), plan, ("2026-11-01", "2026-11-28"))
    assert (day.parts, day.total.cost.standing_charge) == ({}, pounds("0.530985"))


def test_nothing_is_owed_before_the_first_known_day_or_without_a_tariff() -> None:
    plan = flat("0.25", standing_charge="0.50")
    month = Document("month", "cad-1", "2026-11", LONDON, {})
    assert with_charges(month, plan, ("2026-12-01", "2026-12-24")) == month
    assert with_charges(month, plan, None) == month
    assert with_charges(month, None, ("2026-11-01", "2026-11-28")) == month
    assert with_charges(month, plan, ("2026-11-24", "2026-11-23")) == month  # the only day with data lies ahead


def test_a_document_in_another_currency_waits_for_its_new_prices() -> None:
    month = Document("month", "cad-1", "2026-11", LONDON, {"d01": Part(9000, None)}, "EUR")
    assert with_charges(month, flat("0.25", standing_charge="0.50"), ("2026-11-01", "2026-11-28")) == month


def test_each_version_charges_its_own_days() -> None:
    plan = tariff(
        {"from": "2026-10-24", "import": "0.2", "standing_charge": "0.40"},
        {"from": "2026-10-26", "import": "0.2", "standing_charge": "-0.10"},
        {"from": "2027-01-01", "import": "0.2", "standing_charge": "9"},
    )
    whole = ("2000-01-01", "2099-12-31")
    assert standing_charge(plan, ("2026-10-01", "2026-10-31"), whole, LONDON) == pounds("0.20")  # 2 × 0.40 - 6 × 0.10
    assert standing_charge(plan, ("2026-10-01", "2026-10-23"), whole, LONDON) is None
    assert standing_charge(plan, ("2026-10-01", "2026-12-31"), ("2026-10-25", "2026-10-25"), LONDON) == pounds("0.40")


def test_a_45_minute_zone_uses_the_utc_half_hour_price() -> None:
    prices = {utc("2026-01-14T18:00"): Decimal("0.1"), utc("2026-01-14T18:30"): Decimal("0.2")}
    rates = day_rates(tariff(**{"import": "half-hourly"}), "2026-01-15", "Asia/Kathmandu", Series(prices))
    assert rates[:3] == (Rate(10**9, 0), Rate(2 * 10**9, 0), Rate(None, 0))  # from 18:15, 18:45 and 19:15 UTC


def test_a_price_finer_than_a_millionth_is_refused() -> None:
    fine = Series({utc("2026-01-15T00:00"): Decimal("0.12345678")})
    with pytest.raises(ConfigurationError, match=r"a rate is 0\.12345678; it may have at most 6 decimal places"):
        day_rates(tariff(**{"import": "half-hourly"}), "2026-01-15", LONDON, fine)


# Comparison, and the days that a change touches


def test_the_same_energy_costs_differently_on_several_tariffs() -> None:
    energy = {SPRING: every_half_hour(SPRING, 100), AUTUMN: every_half_hour(AUTUMN, 100)}
    plans = {
        "flat": flat("0.25"),
        "economy 7": tariff(**{"import": [NIGHT, DAY]}),
        "agile": tariff(**{"import": "half-hourly"}),
    }
    agile = Series({utc("2026-10-25T00:00"): Decimal("-0.05")})
    days = [Document("day", "cad-1", day, LONDON, parts) for day, parts in energy.items()]
    assert {name: energy_cost(days, plan, agile) for name, plan in plans.items()} == {
        "flat": Cost(pounds("2.40"), None),  # 9.6 kWh × 0.25
        "economy 7": Cost(pounds("2.28616"), None),  # 1.12608 + 1.16008
        "agile": Cost(pounds("-0.005"), None, unpriced_import_wh=9500),  # 95 of 96 half hours have no price
    }


def test_a_change_touches_the_days_whose_prices_differ() -> None:
    old = tariff({"from": "2026-01-01", "import": "0.25"})
    new = tariff({"from": "2026-01-01", "import": "0.25"}, {"from": "2026-04-01", "import": "0.28"})
    assert affected_days(old, new, "2026-03-01", "2026-04-30") == [("2026-04-01", "2026-04-30")]
    assert affected_days(old, old, "2025-01-01", "2026-12-31") == []
    assert affected_days(None, old, "2025-12-30", "2026-01-02") == [("2025-12-30", "2026-01-02")]  # unpriced ones too
    assert affected_days(old, None, "2025-12-30", "2026-01-02") == [("2025-12-30", "2026-01-02")]
    assert affected_days(None, None, "2025-12-30", "2026-01-02") == []


def test_a_past_version_touches_only_its_own_days() -> None:
    old = tariff({"from": "2026-01-01", "import": "0.25"}, {"from": "2026-04-01", "import": "0.28"})
    new = tariff(
        {"from": "2026-01-01", "import": "0.25"},
        {"from": "2026-02-10", "import": "0.24"},
        {"from": "2026-04-01", "import": "0.28"},
    )
    assert affected_days(old, new, "2026-01-01", "2026-12-31") == [("2026-02-10", "2026-03-31")]


def test_a_changed_weekend_touches_weekends_only() -> None:
    def week(weekend: str) -> Tariff:
        windows = [{"rate": "0.30", "days": "weekdays"}, {"rate": weekend, "days": "weekends"}]
        return tariff(**{"import": windows})

    touched = affected_days(week("0.20"), week("0.21"), "2026-11-16", "2026-11-30")
    assert touched == [("2026-11-21", "2026-11-22"), ("2026-11-28", "2026-11-29")]


@pytest.mark.parametrize(
    "change",
    [
        {"standing_charge": "0.10"},
        {"export": "half-hourly"},
        {"vat": "0.2", "vat_included": False},
        {"import": "half-hourly", "vat": "0.2", "vat_included": False},
    ],
)
def test_every_price_field_counts_as_a_change(change: dict[str, object]) -> None:
    old = tariff(**({"import": change.get("import", "0.25")}))
    new = tariff(**({"import": "0.25"} | change))
    assert affected_days(old, new, "2026-01-01", "2026-01-31") == [("2026-01-01", "2026-01-31")]


def test_a_currency_change_touches_every_day() -> None:
    euros = tariff_from_json({"currency": "EUR", "versions": [{"from": "2025-01-01", "import": "0.25"}]})
    assert affected_days(flat("0.25"), euros, "2026-01-01", "2026-01-31") == [("2026-01-01", "2026-01-31")]


@pytest.mark.parametrize("change", [{"vat": "0.05"}, {"import": [{"name": "all day", "rate": "0.250"}]}])
def test_an_equivalent_notation_touches_no_day(change: dict[str, object]) -> None:
    same = tariff(**({"import": "0.25"} | change))
    assert affected_days(flat("0.25"), same, "2026-01-01", "2026-01-31") == []


def test_prices_touch_the_local_days_of_their_half_hours() -> None:
    year = range(utc("2026-03-28T23:30"), utc("2026-03-29T23:30"), HALF_HOUR)
    assert days_of_prices(year, LONDON) == ["2026-03-28", "2026-03-29", "2026-03-30"]
    assert days_of_prices(reversed(year[:1]), LONDON) == ["2026-03-28"]
    assert days_of_prices([], LONDON) == []
    apart = [utc("2026-06-01T12:00"), utc("2026-01-01T12:00")]
    assert days_of_prices(apart, LONDON) == ["2026-01-01", "2026-06-01"]


# Money as text and as JSON


@pytest.mark.parametrize(
    ("units", "exact", "screen"),
    [
        (0, "0.00", "0.00"),
        (1, "0.0000000000001", "0.00"),
        (-1, "-0.0000000000001", "0.00"),
        (10**13, "1.00", "1.00"),
        (12_345 * 10**9, "1.2345", "1.23"),
        (-5 * 10**12, "-0.50", "-0.50"),
        (5 * 10**10, "0.005", "0.00"),  # half to even
        (15 * 10**10, "0.015", "0.02"),
        (25 * 10**10, "0.025", "0.02"),
        (25 * 10**10 + 1, "0.0250000000001", "0.03"),
        (-25 * 10**10, "-0.025", "-0.02"),
        (-35 * 10**10, "-0.035", "-0.04"),
        (123_456_789 * 10**13, "123456789.00", "123456789.00"),
    ],
)
def test_money_is_exact_in_text_and_rounded_on_screen(units: int, exact: str, screen: str) -> None:
    assert money_text(units) == exact
    assert screen_text(units) == screen
    assert pounds(money_text(units)) == units


def test_an_amount_finer_than_the_unit_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        pounds("0.00000000000001")


def test_cost_json_gives_exact_decimal_text() -> None:
    cost = Cost(pounds("1.2345"), None, pounds("0.5"), 10, 5)
    assert cost_json(cost) == {
        "cost": "1.2345",
        "export_earnings": None,
        "standing_charge": "0.50",
        "unpriced_wh": 15,
    }


def test_amounts_beyond_64_bits_round_trip() -> None:
    year = {"m01": Part(8_000_000, None, cost=Cost(8_000_000 * 10**13, None))}
    body = documents.encode("Asia/Ho_Chi_Minh", "VND", year)
    assert b'"80000000000000000000"' in body
    assert documents.decode("year", "d", "2026", 5, 7, body, None).parts == year


# Properties

ZONES_AND_DAYS = [
    (LONDON, SPRING),
    (LONDON, AUTUMN),
    (LONDON, "2026-06-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2025-10-05"),
    ("Asia/Kathmandu", "2026-01-15"),
    ("Antarctica/Troll", SPRING),
    ("Antarctica/Troll", "2025-10-26"),
    ("America/Havana", "2026-03-08"),
    ("America/Havana", "2025-11-01"),
    ("America/St_Johns", "2010-11-07"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Antarctica/Casey", "2020-10-04"),
]
millionths = st.integers(-2_000_000, 2_000_000)
shares = st.integers(0, 10_000)
moments = st.sampled_from(ZONES_AND_DAYS)


def rate_text(number: int) -> str:
    return f"{Decimal(number).scaleb(-6):f}"


@st.composite
def plans(draw: st.DrawFn) -> tuple[Tariff, dict[tuple[str, int], Fraction]]:
    """A window tariff, and its rate per kWh by (kind of day, half hour of the clock), computed independently."""
    vat, expected, windows = draw(shares), {}, []
    for kind in ("weekdays", "weekends"):
        cuts = sorted(draw(st.sets(st.integers(0, 47), min_size=2, max_size=5)))
        for start, end in zip(cuts, [*cuts[1:], cuts[0]], strict=True):
            rate, half = draw(millionths), start
            clock = [f"{at // 2:02d}:{at % 2 * 30:02d}" for at in (start, end)]
            windows.append({"from": clock[0], "to": clock[1], "days": kind, "rate": rate_text(rate)})
            while half != end:
                expected[kind, half] = Fraction(rate, 10**6) * (1 + Fraction(vat, 10**4))
                half = (half + 1) % 48
    fields = {"import": windows, "vat": f"{Decimal(vat).scaleb(-4):f}", "vat_included": False}
    return tariff({"from": "2000-01-01", **fields, "export": rate_text(draw(millionths))}), expected


def energies(seed: int, day: str, zone: str) -> dict[str, Part]:
    random, parts = Random(seed), {}
    for slot in periods.half_hours(day, zone):
        imported, exported = (random.choice([None, 0, random.randrange(5000)]) for _ in range(2))
        estimated = [random.randrange(wh + 1) if wh else 0 for wh in (imported, exported)]
        if imported is not None or exported is not None:
            parts[slot.name] = Part(imported, exported, estimated[0], estimated[1])
    return parts


def series(seed: int, day: str, zone: str) -> Series:
    random, prices = Random(seed), []
    span = periods.window("day", day, zone)
    for _ in range(2):
        starts = range(periods.block_start(span.start), span.end, HALF_HOUR)
        prices.append(
            {at: Decimal(random.randrange(-(10**6), 10**6)).scaleb(-6) for at in starts if random.random() < 0.8}
        )
    return Series(*prices)


@given(moments, plans())
def test_each_half_hour_has_the_local_clock_rate_of_its_start(
    moment: tuple[str, str], plan: tuple[Tariff, dict[tuple[str, int], Fraction]]
) -> None:
    (zone, day), (history, expected) = moment, plan
    kind = "weekends" if date.fromisoformat(day).strftime("%a") in ("Sat", "Sun") else "weekdays"
    for slot, rate in zip(periods.half_hours(day, zone), day_rates(history, day, zone), strict=True):
        wall = datetime.fromtimestamp(slot.start, ZoneInfo(zone))
        assert rate.import_rate == expected[kind, wall.hour * 2 + wall.minute // 30] * 10**13 / 1000


@given(moments, plans(), st.integers())
def test_a_days_cost_is_the_exact_sum_of_its_half_hours(
    moment: tuple[str, str], plan: tuple[Tariff, dict[tuple[str, int], Fraction]], seed: int
) -> None:
    (zone, day), (history, expected) = moment, plan
    parts = energies(seed, day, zone)
    total = bill_of(day, zone, parts, history).total
    kind = "weekends" if date.fromisoformat(day).weekday() > 4 else "weekdays"
    exact = Fraction(0)
    for slot in periods.half_hours(day, zone):
        wall = datetime.fromtimestamp(slot.start, ZoneInfo(zone))
        wh = parts.get(slot.name, EMPTY).import_wh or 0
        exact += Fraction(wh, 1000) * expected[kind, wall.hour * 2 + wall.minute // 30]
    assert Fraction(money_text(total.import_cost or 0)) == exact
    hours = [add_costs(costs) for costs in by_hour(bill_of(day, zone, parts, history))]
    assert add_costs(hours)._replace(standing_charge=total.standing_charge) == total


def by_hour(bill: Bill) -> list[list[Cost]]:
    hours: dict[str, list[Cost]] = {}
    for name, cost in bill.half_hours.items():
        hours.setdefault(periods.hour_of_half(name), []).append(cost)
    return list(hours.values())


@given(moments, st.integers(), shares)
def test_every_wh_is_priced_or_counted_as_unpriced(moment: tuple[str, str], seed: int, vat: int) -> None:
    zone, day = moment
    plan = tariff(
        {
            "from": "2000-01-01",
            "import": "half-hourly",
            "export": "half-hourly",
            "vat": str(Decimal(vat).scaleb(-4)),
            "vat_included": False,
        }
    )
    parts, prices = energies(seed, day, zone), series(seed, day, zone)
    known = day_rates(plan, day, zone, prices)
    bill = bill_of(day, zone, parts, plan, prices)
    priced = [0, 0]
    for slot, rate in zip(periods.half_hours(day, zone), known, strict=True):
        part = parts.get(slot.name, EMPTY)
        priced[0] += (part.import_wh or 0) if rate.import_rate is not None else 0
        priced[1] += (part.export_wh or 0) if rate.export_rate is not None else 0
    energy = documents.add(parts.values())
    assert priced[0] + bill.total.unpriced_import_wh == (energy.import_wh or 0)
    assert priced[1] + bill.total.unpriced_export_wh == (energy.export_wh or 0)
    assert abs(bill.total.estimated_import_cost) <= sum(abs(c.import_cost or 0) for c in bill.half_hours.values())


@given(moments, plans(), st.integers(), st.integers(0, 1000))
def test_cost_is_proportional_to_energy(
    moment: tuple[str, str], plan: tuple[Tariff, dict[tuple[str, int], Fraction]], seed: int, times: int
) -> None:
    (zone, day), (history, _) = moment, plan
    parts = energies(seed, day, zone)
    more = {name: Part._make(None if wh is None else wh * times for wh in part) for name, part in parts.items()}
    once, often = (bill_of(day, zone, each, history).total for each in (parts, more))
    scaled = [None if value is None else value * times for value in once]
    assert often == Cost._make(scaled)._replace(standing_charge=once.standing_charge)


@given(moments, st.integers())
def test_price_order_and_other_days_do_not_matter(moment: tuple[str, str], seed: int) -> None:
    zone, day = moment
    plan, prices = tariff({"from": "2000-01-01", "import": "half-hourly"}), series(seed, day, zone).import_prices
    mixed = list(prices.items())
    Random(seed).shuffle(mixed)
    more = Series(dict([(utc("1999-01-01T00:00"), Decimal(9)), *mixed]))
    assert day_rates(plan, day, zone, Series(prices)) == day_rates(plan, day, zone, more)


amounts = st.one_of(st.none(), st.integers(-(10**25), 10**25))
counts = st.integers(0, 10**9)


@given(st.integers(-(10**30), 10**30))
def test_screen_text_rounds_like_decimal(units: int) -> None:
    exact = Fraction(units, 10**13)
    assert Fraction(screen_text(units)) == Fraction(round(exact * 100), 100)  # Python rounds fractions half to even


@given(moments, st.lists(millionths, min_size=2, max_size=2), st.integers())
@examples(50)
def test_an_untouched_day_keeps_its_bill(moment: tuple[str, str], numbers: list[int], seed: int) -> None:
    zone, day = moment
    old, new = (tariff({"from": "2000-01-01", "import": rate_text(number)}) for number in numbers)
    parts = energies(seed, day, zone)
    same = bill_of(day, zone, parts, old) == bill_of(day, zone, parts, new)
    assert same or affected_days(old, new, day, day) == [(day, day)]
    assert price(EMPTY, Rate(1, 1)) == NOTHING


SUPPLY_ZONES = [LONDON, "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Antarctica/Troll"]
supply_days = st.dates(date(2011, 1, 1), date(2013, 12, 31)).map(date.isoformat)


@given(
    st.sampled_from(SUPPLY_ZONES),
    st.dictionaries(supply_days, millionths, max_size=5),
    supply_days,
    supply_days,
    st.sets(st.integers(1, 31)),
    st.sampled_from(["2011-12", "2012-02", "2012-03", "2012-10"]),
)
def test_a_months_standing_charge_sums_its_supplied_days(
    zone: str, charges: dict[str, int], first: str, today: str, with_data: set[int], month: str
) -> None:
    rows = [{"from": day, "import": "0.2", "standing_charge": rate_text(charge)} for day, charge in charges.items()]
    plan = tariff(*rows) if rows else None
    dates = [day for day in days_between(month, zone) if first <= day <= today]
    owed = [charges[max(starts)] for day in dates if (starts := [start for start in charges if start <= day])]
    expected = sum(owed) * 10**7 if owed else None
    stored = {f"d{number:02d}": Part(number, None) for number in with_data if number <= periods.days_in(month)}
    shown = with_charges(Document("month", "d", month, zone, stored, "GBP" if plan else ""), plan, (first, today))
    assert shown.total.cost.standing_charge == expected
    by_day = [
        with_charges(Document("day", "d", day, zone, {}), plan, (first, today)) for day in days_between(month, zone)
    ]
    assert add_costs(day.total.cost for day in by_day).standing_charge == expected
    year = with_charges(Document("year", "d", month[:4], zone, {}), plan, (first, today))
    assert year.part(f"m{month[5:]}").cost.standing_charge == expected
    assert {name for name, part in shown.parts.items() if not part.is_empty} == set(stored)


def days_between(month: str, zone: str) -> list[str]:
    """Return the dates of a month that the zone had, by the clock at each of its hours."""
    start = int(datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC).timestamp()) - 86_400
    walls = [datetime.fromtimestamp(start + hour * 3600, ZoneInfo(zone)) for hour in range(33 * 24 + 24)]
    found = dict.fromkeys(wall.date().isoformat() for wall in walls)
    return [day for day in found if day.startswith(month)]
