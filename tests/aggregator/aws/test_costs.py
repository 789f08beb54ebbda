import json

import pytest
from click.testing import CliRunner

from aggregator.aws import costs
from aggregator.aws.costs import PRICES, CostRow, Plan, is_table, rows, shards, total
from aggregator.commands.aws_commands import costs_command
from aggregator.store.dynamodb.items import read_units, write_units

EVERY_10_S = Plan(1, 10, 60)
READINGS = 259_200  # of a device, every 10 s for 30 days


def by_step(plan: Plan) -> dict[tuple[str, str], CostRow]:
    return {(row.step, row.place): row for row in rows(plan)}


def writes_below_live(plan: Plan) -> float:
    return sum(row.write_units for row in rows(plan) if row.place != "live")


def test_the_live_state_costs_most_at_one_unit_a_reading() -> None:
    live = by_step(EVERY_10_S)["live", "live"]
    assert live.write_units == live.requests == READINGS
    assert live.dollars > sum(row.dollars for row in rows(EVERY_10_S) if is_table(row) and row.place != "live")


@pytest.mark.parametrize(
    ("plan", "most"), [(EVERY_10_S, 0.60), (Plan(1, 10, 300), 0.20), (Plan(1, 10, 60, is_edge=True), 0.05)]
)
def test_write_units_per_reading_stay_within_the_target(plan: Plan, most: float) -> None:
    assert writes_below_live(plan) / READINGS <= most


def test_a_document_needs_one_write_unit_and_half_a_read_unit() -> None:
    for size in (costs.live_size(), costs.day_size(), costs.month_size(), costs.year_size()):
        assert write_units(size) == 1
        assert read_units(size, is_consistent=False) == 0.5


def test_a_half_hour_is_charged_as_it_grows() -> None:
    readings = by_step(EVERY_10_S)["ingest", "readings"]
    full = write_units(costs.block_size(180))
    assert readings.requests < readings.write_units < readings.requests * full


def test_fleet_cost_is_proportional_except_for_shards() -> None:
    one, many = by_step(EVERY_10_S), by_step(Plan(1000, 10, 60))
    for place in (("live", "live"), ("ingest", "readings"), ("days", "days"), ("kept after a year", "storage")):
        assert many[place].dollars == pytest.approx(1000 * one[place].dollars)
    assert shards(Plan(1000, 10, 60)) == 1
    assert shards(Plan(10_000, 10, 60)) == 6


def test_a_longer_window_costs_less() -> None:
    bills = [total(rows(plan), "all").dollars for plan in (Plan(1, 10, 10), EVERY_10_S, Plan(1, 10, 300))]
    assert bills == sorted(bills, reverse=True)
    edge = rows(Plan(10_000, 10, 60, is_edge=True))
    assert total(edge, "all", 10_000).dollars < 0.02


def test_dollars_are_units_at_their_price() -> None:
    days = by_step(EVERY_10_S)["days", "days"]
    expected = days.write_units * PRICES["write unit"] + days.read_units * PRICES["read unit"]
    assert days.dollars == pytest.approx(expected)


def test_the_costs_command_prints_a_table_with_its_price_date() -> None:
    result = CliRunner().invoke(costs_command, ["--devices", "1000"])
    assert result.exit_code == 0
    header, *lines = result.output.splitlines()[1:]
    assert header.split() == ["step", "at", "requests", "write", "units", "read", "units", "dollars"]
    assert any(line.startswith("live  ") and "259,200,000" in line for line in lines)
    assert costs.PRICES_OF in lines[-1]
    assert costs.REGION in lines[-1]
    assert len({len(line) for line in (header, *lines[:-1])}) == 1


def test_the_costs_command_gives_the_same_figures_as_json() -> None:
    result = CliRunner().invoke(costs_command, ["--edge", "--json"])
    content = json.loads(result.output)
    assert [CostRow(**row) for row in content["rows"]] == rows(Plan(1, 10, 60, is_edge=True))
    assert (content["region"], content["prices_of"]) == (costs.REGION, costs.PRICES_OF)


def test_rare_readings_are_written_at_most_once_each() -> None:
    assert by_step(Plan(1, 1800, 60))["ingest", "readings"].requests == 30 * 48
    assert by_step(Plan(1, 600, 60))["ingest", "readings"].requests == 30 * 48 * 3
