"""The units of a reading and of a chart on DynamoDB, as the endpoint reports them."""

from typing import Any

import pytest

from aggregator.core.periods import HOUR, LEVELS
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from tests.bench.units import AIMS, CASES, HOME, HOMES, Metered, below_live, measure
from tests.contract.conftest import MEMORY, in_memory
from tests.contract.dynamo_clients import Answer, Passing

SOLAR = next(home for home in HOMES if home.is_solar and not home.rates)
PRICED = next(home for home in HOMES if home.is_solar and home.rates == "half-hourly")
MONTH_UNITS = 4.0  # read units of 30 days of the home with the largest documents, each of them half a unit alone


class Queried(Passing):
    """A client that keeps what queries answer."""

    def __init__(self, client: DynamoClient) -> None:
        super().__init__(client)
        self.answers: list[Answer] = []

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        assert operation == "query"
        assert not request["ConsistentRead"]
        self.answers.append(super().call(operation, **request, ReturnConsumedCapacity="TOTAL"))
        return self.answers[-1]


@pytest.mark.parametrize("name", AIMS)
def test_a_reading_costs_no_more_write_units_than_we_aim_for(name: str) -> None:
    assert below_live(measure(in_memory(), MEMORY, CASES[name], SOLAR)) <= AIMS[name]


def test_the_endpoint_charges_as_the_tables_in_memory_do(client: AwsDynamoClient, prefix: str) -> None:
    here, there = (
        measure(one, name, CASES["5 min batches"], PRICED) for one, name in ((in_memory(), MEMORY), (client, prefix))
    )
    assert here.writes == there.writes
    assert here.writes["days"] > 0


def test_money_adds_no_more_than_a_quarter_to_the_write_units() -> None:
    """Up to the last hour of the day, in which the largest item of all takes a second unit."""
    batch = CASES["60 s batches"]
    units = [below_live(measure(in_memory(), MEMORY, batch, home, HOUR)) for home in (SOLAR, PRICED)]
    assert units[1] <= units[0] * 1.25
    assert units[1] <= AIMS["60 s batches"]


def test_any_chart_is_half_a_read_unit(client: AwsDynamoClient, prefix: str) -> None:
    measure(client, prefix, CASES["half-hour blocks"], SOLAR)
    metered = Metered(client)
    reader = DynamoStore(metered, prefix)
    for level in LEVELS:
        _, newest = reader.extent(level, HOME) or ("", "")
        metered.reads.clear()
        document = reader.document(level, HOME, newest)
        assert document is not None
        assert document.total.import_wh
        assert metered.reads.total() == 0.5
    reader.close()


def test_a_month_of_days_is_one_query_and_rounds_up_once(client: AwsDynamoClient, prefix: str) -> None:
    measure(client, prefix, CASES["half-hour blocks"], PRICED)
    writer = DynamoStore(client, prefix)
    _, newest = writer.extent("day", HOME) or ("", "")
    day = writer.document("day", HOME, newest)
    assert day is not None
    for number in range(1, 31):
        writer.merge_parts("day", HOME, f"2020-11-{number:02d}", "UTC", day.parts, day.currency)
    queried = Queried(client)
    reader = DynamoStore(queried, prefix)
    assert len(reader.documents("day", HOME, "2020-11-01", "2020-11-30")) == 30
    (answer,) = queried.answers
    units = items.read_units(sum(map(items.item_size, answer["Items"])), is_consistent=False)
    # The emulator reckons any query as half a unit; AWS and DynamoDB Local charge what we reckon.
    assert answer["ConsumedCapacity"]["CapacityUnits"] in (0.5, units)
    assert units <= MONTH_UNITS < 30 * 0.5
    for store in (reader, writer):
        store.close()


def test_the_sizes_reckoned_are_the_units_charged(client: AwsDynamoClient, prefix: str) -> None:
    metered = measure(client, prefix, CASES["half-hour blocks"], SOLAR)
    newest = max(client.call("scan", TableName=f"{prefix}-readings")["Items"], key=lambda item: int(item["b"]["N"]))
    assert len(newest) == 180 + 3
    assert metered.writes["readings"] == items.write_units(items.item_size(newest))
