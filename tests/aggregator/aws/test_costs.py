import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from aggregator.aws import costs
from aggregator.aws.costs import PRICES, CostRow, Plan, plan_of, rows, total
from aggregator.aws.deployment import alarm_count, parameters
from aggregator.commands.aws_commands import costs_command
from aggregator.store.dynamodb.items import read_units, write_units

EVERY_10_S = Plan(1, 10, 60)
READINGS = 259_200  # of a device, every 10 s for 30 days
WINDOWS = 43_200  # of 60 s


def by_step(plan: Plan) -> dict[tuple[str, str], CostRow]:
    return {(row.step, row.place): row for row in rows(plan)}


def writes_below_live(plan: Plan) -> float:
    return sum(row.write_units for row in rows(plan) if row.place != "live")


def test_the_live_state_is_written_once_a_window_and_at_once_where_somebody_looks() -> None:
    found = by_step(EVERY_10_S)
    assert found["ingest", "live"].write_units == WINDOWS
    assert found["watched", "live"].write_units == pytest.approx(0.02 * READINGS)
    assert ("watched", "live") not in by_step(Plan(1, 10, 60, is_edge=True))


def test_a_day_that_goes_on_costs_no_month() -> None:
    found = by_step(EVERY_10_S)
    assert found["days", "days"].requests == WINDOWS
    assert (found["months", "months"].requests, found["years", "years"].requests) == (3 * 30, 3)


@pytest.mark.parametrize(
    ("plan", "most"),
    [
        (plan_of(parameters(), alarm_count(), devices=10_000, interval_s=10), 0.26),
        (plan_of(parameters(), alarm_count(), devices=10_000, interval_s=10, window_s=300, waterfall_s=300), 0.15),
        (Plan(10_000, 10, 60, is_edge=True, shards=1), 0.02),
        (Plan(10_000, 10, 60, is_edge=True, is_http=True), 0.03),  # half of it while somebody looks
    ],
)
def test_a_device_costs_at_most_the_target(plan: Plan, most: float) -> None:
    assert total(rows(plan), "all", plan.devices).dollars <= most


@pytest.mark.parametrize(
    ("plan", "most"), [(EVERY_10_S, 0.60), (Plan(1, 10, 300), 0.20), (Plan(1, 10, 60, is_edge=True), 0.05)]
)
def test_write_units_per_reading_stay_within_the_target(plan: Plan, most: float) -> None:
    assert writes_below_live(plan) / READINGS <= most


def test_a_document_needs_one_write_unit_and_half_a_read_unit() -> None:
    for size in (costs.live_size(), costs.day_size(EVERY_10_S), costs.month_size(), costs.year_size()):
        assert write_units(size) == 1
        assert read_units(size, is_consistent=False) == 0.5


def test_a_half_hour_is_charged_as_it_grows() -> None:
    readings = by_step(EVERY_10_S)["ingest", "readings"]
    full = write_units(costs.block_size(180))
    assert readings.requests < readings.write_units < readings.requests * full


def test_fleet_cost_is_proportional() -> None:
    one, many = by_step(EVERY_10_S), by_step(Plan(1000, 10, 60))
    for place in (("ingest", "live"), ("ingest", "readings"), ("days", "days"), ("kept after a year", "storage")):
        assert many[place].dollars == pytest.approx(1000 * one[place].dollars)


def test_messages_and_functions_follow_from_a_printed_sum() -> None:
    found = by_step(Plan(1000, 10, 60, shards=1, alarms=60))
    assert found["come in", "IoT Core"].dollars == pytest.approx(1000 * (READINGS * 0.30e-6 + WINDOWS * 0.08e-6))
    assert found["coalesce", "Kinesis"].dollars == pytest.approx(720 * 0.015 + 1000 * READINGS * 0.014e-6)
    seconds = 1000 * (WINDOWS * (costs.INGEST_S + costs.DAY_STEP_S) + 93 * costs.HIGHER_STEP_S)
    seconds += 30 * 288 * 1000 * costs.COUNT_S
    calls = 2 * 10 * WINDOWS + 30 * 86_400 / 3 + 30 * 288 + 30 * 48
    expected = calls * 0.20e-6 + seconds * 1769 / 1024 * 13.3334e-6
    assert found["carry", "Lambda"].dollars == pytest.approx(expected)
    assert found["alarms, secret", "CloudWatch"].dollars == pytest.approx(6.4)


def test_a_request_over_http_is_charged_and_no_stream() -> None:
    edge = Plan(1000, 10, 60, is_edge=True, is_http=True)
    lives, asks = 0.02 * READINGS, 30 * 96  # while somebody looks; a quarter of an hour
    found, requests = by_step(edge), 1000 * (30 * 48 + lives + asks)
    assert found["come in", "API Gateway"].dollars == pytest.approx(requests * 1.00e-6)
    assert found["http", "live"].read_units == pytest.approx(4 * 1000 * lives)
    assert (found["ask", "records"].write_units, found["ask", "records"].read_units) == (0, 2 * 1000 * asks)
    assert not {("come in", "IoT Core"), ("coalesce", "Kinesis")} & found.keys()
    seconds = 1440 * (costs.HTTP_BLOCK_S + costs.DAY_STEP_S) + lives * costs.HTTP_S + asks * costs.HTTP_ASK_S
    seconds = 1000 * (seconds + 93 * costs.HIGHER_STEP_S + 30 * 288 * costs.COUNT_S)
    calls = requests + 1000 * 1440 + 30 * 288 + 30 * 48
    assert found["carry", "Lambda"].dollars == pytest.approx(calls * 0.20e-6 + seconds * 1769 / 1024 * 13.3334e-6)
    assert by_step(replace(edge, is_edge=False))["come in", "API Gateway"].requests == 1000 * READINGS


def test_a_tariff_statuses_and_the_web_are_counted() -> None:
    plain, more = by_step(EVERY_10_S), by_step(Plan(1, 10, 60, is_priced=True, statuses=60, has_web=True, has_kms=True))
    assert more["days", "days"].read_units > plain["days", "days"].read_units
    assert more["kept after a year", "storage"].dollars > plain["kept after a year", "storage"].dollars
    assert more["statuses", "records"].write_units == 60 * 720
    assert more["web", "EC2"].dollars == pytest.approx(720 * (2 * 0.0168 + 0.0225))
    assert more["keys", "KMS"].dollars < 4
    assert not {("statuses", "records"), ("web", "EC2"), ("keys", "KMS")} & plain.keys()


def test_a_longer_window_costs_less() -> None:
    bills = [total(rows(plan), "all").dollars for plan in (Plan(1, 10, 10), EVERY_10_S, Plan(1, 10, 300))]
    assert bills == sorted(bills, reverse=True)


def test_dollars_are_units_at_their_price() -> None:
    days = by_step(EVERY_10_S)["days", "days"]
    expected = days.write_units * PRICES["write unit"] + days.read_units * PRICES["read unit"]
    assert days.dollars == pytest.approx(expected)


def test_the_costs_command_prints_a_table_with_its_price_date_and_the_first_limit() -> None:
    result = CliRunner().invoke(costs_command, ["--devices", "1000"])
    assert result.exit_code == 0
    header, *lines = result.output.splitlines()[1:]
    assert header.split() == ["step", "at", "requests", "write", "units", "read", "units", "dollars"]
    assert any(line.startswith("come in  ") and "259,200,000" in line for line in lines)
    assert costs.PRICES_OF in lines[-1]
    assert costs.REGION in lines[-1]
    assert lines[-4].startswith("First limit, at ")
    assert len({len(line) for line in (header, *lines[:-4])}) == 1


@pytest.mark.parametrize(("options", "more"), [([], {}), (["--edge"], {"is_edge": True, "shards": 1})])
def test_the_costs_command_reckons_with_the_templates_parameters(options: list[str], more: dict[str, int]) -> None:
    """Of edges with the one shard that the template's description wants for them."""
    result = CliRunner().invoke(costs_command, [*options, "--json"])
    content = json.loads(result.output)
    plan = plan_of(parameters(), alarm_count(), devices=1, interval_s=10, **more)
    assert [CostRow(**row) for row in content["rows"]] == rows(plan)
    assert (content["region"], content["prices_of"]) == (costs.REGION, costs.PRICES_OF)


def test_rare_readings_are_written_at_most_once_each() -> None:
    assert by_step(Plan(1, 1800, 60))["ingest", "readings"].requests == 30 * 48
    assert by_step(Plan(1, 600, 60))["ingest", "readings"].requests == 30 * 48 * 3
