"""`wattfall costs` against what DynamoDB says it has charged."""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from aggregator.aws import lambdas
from aggregator.aws.costs import CostRow, Plan, rows
from aggregator.core import periods
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import item_size, read_units
from aggregator.store.dynamodb.tables import table_request, tables
from aggregator.store.port import Change
from aggregator.waterfall.levels import Step, propagate

PREFIX, ZONE, DEVICE = "wattfall-costs", "Europe/London", "cad-0123456789ab"
MINUTES = 60
DAYS, MONTHS, YEARS = lambdas.level_steps().values()
PLAN = Plan(1, 10, 60)
WRITES = {"put_item", "update_item", "delete_item", "batch_write_item"}


class CountingClient(AwsDynamoClient):
    """The client to DynamoDB, with the units of each step."""

    def __init__(self, region: str | None) -> None:
        super().__init__(region)
        self.step, self.now = "", 0  # the store's clock: readings come in as they are made
        self.units = defaultdict[tuple[str, str], float](float)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        answer = super().call(operation, ReturnConsumedCapacity="TOTAL", **request)
        kind = "write" if operation in WRITES else "read"
        consumed = answer["ConsumedCapacity"] if operation != "batch_get_item" else _consumed(answer, request)
        for charge in consumed if isinstance(consumed, list) else [consumed]:  # a list of a batch, by table
            self.units[self.step, kind] += charge["CapacityUnits"]
        return answer


def _consumed(answer: dict[str, Any], request: dict[str, Any]) -> list[dict[str, float]]:
    """Return what a batch of reads is charged, which the emulator does not tell: each item as if read alone."""
    ((table, asked),) = request["RequestItems"].items()
    found = answer["Responses"].get(table, [])
    units = [read_units(item_size(item), is_consistent=asked["ConsistentRead"]) for item in found]
    missing = (len(asked["Keys"]) - len(found)) * read_units(0, is_consistent=asked["ConsistentRead"])
    return [{"CapacityUnits": sum(units) + missing}]


@pytest.fixture(scope="module")
def client(environ: dict[str, str]) -> Iterator[CountingClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        client = CountingClient(None)
        for table in tables():
            AwsDynamoClient.call(client, "create_table", **table_request(PREFIX, table))
        _an_hour_by_the_minute(client, DynamoStore(client, PREFIX, clock=lambda: client.now))
        yield client
        client.close()


def _an_hour_by_the_minute(client: CountingClient, store: DynamoStore) -> None:
    """An hour of readings in batches of 60 s on top of a whole day, with months and years every 5 minutes."""
    start = periods.day_start(periods.period_of("day", int(time.time()) - 2 * 86_400, ZONE), ZONE)
    day = [Reading(DEVICE, start + 10 * n, 431, 12_345_678 + n, None) for n in range(8640 + 6 * MINUTES)]
    _take(client, store, day[:8640], "before")
    for minute in range(MINUTES):
        batch = day[8640 + 6 * minute :][:6]
        _take(client, store, batch, "")
        if minute % 5 == 4:
            period = periods.period_of("day", batch[0].at, ZONE)
            _carry(client, store, MONTHS, [period])
            _carry(client, store, YEARS, [period[:7]])


def _take(client: CountingClient, store: DynamoStore, readings: list[Reading], step: str) -> None:
    client.step, client.now = step or "ingest", readings[-1].at + 1
    with store.reading_ahead([DEVICE]):
        ingest(store, readings, client.now, ZONE)
    _carry(client, store, DAYS, sorted({str(one.at - one.at % 1800) for one in readings}), step)


def _carry(client: CountingClient, store: DynamoStore, level: Step, keys: list[str], step: str = "") -> None:
    client.step = step or f"{level.level}s"
    with store.transaction():
        propagate(store, level, [Change(0, level.feed, DEVICE, key) for key in keys])


def reckoned(step: str) -> tuple[float, float]:
    """Write and read units of a step in so many minutes."""
    found: list[CostRow] = [row for row in rows(PLAN) if row.step == step]
    share = MINUTES * 60 / (30 * 86_400)
    if step in ("months", "years"):  # the test carries what is open, every five minutes
        share = MINUTES / 5 / sum(row.requests for row in found)
    return sum(row.write_units for row in found) * share, sum(row.read_units for row in found) * share


@pytest.mark.parametrize("step", ["ingest", "days", "months", "years"])
def test_the_units_are_those_that_are_charged(client: CountingClient, step: str) -> None:
    writes, reads = reckoned(step)
    assert client.units[step, "write"] == pytest.approx(writes, rel=0.05)
    assert client.units[step, "read"] == pytest.approx(reads, rel=0.25)  # how far a step looks depends on the hour
