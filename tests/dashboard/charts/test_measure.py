from aggregator.core.documents import EMPTY, Part
from aggregator.core.money import Cost
from dashboard.charts.chart_model import Measure, measure_of
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH

POUND = 10**13
PART = Part(9000, 500, 300, 40, cost=Cost(2 * POUND, POUND // 5, POUND // 2, 0, 0, POUND // 10, POUND // 100))
ENERGY, MONEY, BARE = Measure(), Measure("GBP"), Measure("GBP", has_charge=False)


def test_energy_is_import_above_and_export_below() -> None:
    assert (ENERGY.up(PART), ENERGY.down(PART), ENERGY.charge(PART)) == (9000, 500, 0)
    assert (ENERGY.estimated_up(PART), ENERGY.estimated_down(PART)) == (300, 40)
    assert (ENERGY.gross(PART), ENERGY.net(PART)) == (9000, 9000)
    assert ENERGY.drawn(9000) == 9.0


def test_money_is_cost_above_and_earnings_below() -> None:
    assert (MONEY.up(PART), MONEY.down(PART), MONEY.charge(PART)) == (2 * POUND, POUND // 5, POUND // 2)
    assert (MONEY.estimated_up(PART), MONEY.estimated_down(PART)) == (POUND // 10, POUND // 100)
    assert (MONEY.gross(PART), MONEY.net(PART)) == (5 * POUND // 2, 23 * POUND // 10)
    assert MONEY.drawn(5 * POUND // 2) == 2.5


def test_the_standing_charge_can_be_left_out() -> None:
    assert (BARE.charge(PART), BARE.gross(PART), BARE.net(PART)) == (0, 2 * POUND, 9 * POUND // 5)


def test_unknown_amounts_stay_unknown() -> None:
    assert (ENERGY.gross(EMPTY), MONEY.gross(EMPTY), MONEY.net(EMPTY), MONEY.drawn(None)) == (None, None, None, None)


def test_a_charge_without_energy_still_counts() -> None:
    assert MONEY.gross(Part(None, None, cost=Cost(None, None, POUND))) == POUND


def test_amounts_have_their_own_unit() -> None:
    assert (str(ENERGY.format(8400, ENGLISH)), ENERGY.unit(ENGLISH)) == ("8.40 kWh", "kWh")
    assert (str(MONEY.format(5 * POUND // 2, ENGLISH)), MONEY.unit(ENGLISH)) == ("£2.50", "£")


def test_money_needs_a_tariff() -> None:
    assert measure_of(View(unit="money"), "") == ENERGY
    assert measure_of(View(unit="money"), "GBP") == MONEY
    assert measure_of(View(unit="energy"), "GBP") == ENERGY
