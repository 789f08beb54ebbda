"""The functions on real change records, called as AWS calls them: batches cut anywhere, repeated, tried again."""

import base64
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.aws.lambdas import Answer, Functions, level_steps
from aggregator.aws.schedules import close_periods
from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.store.dynamodb.document_items import FORM
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import table_of
from aggregator.support import fleet
from aggregator.waterfall.levels import Step
from aggregator.waterfall.verify import rebuild
from tests.aggregator.aws.test_template import listed, statements
from tests.aggregator.invariants.series import HOME, NOW, Series, batchings, messy
from tests.aggregator.invariants.stores import documents, outcome
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.contract.dynamo_clients import Counting, Failing, NextForm, Passing
from tests.contract.memory_client import MemoryClient

Deliver = Callable[[Sequence[Reading]], list[list[Reading]]]
Handler = Callable[[dict[str, Any]], Answer]
SMALL = [
    Reading(HOME, NOW - 7200 + after, None, wh, None)
    for after, wh in ((0, 1000), (600, 1100), (1790, 1200), (1810, 1210), (3500, 1300))
]


class Mapped:
    """An event source mapping: a table's change records to a handler, in order, from the first failure on again."""

    def __init__(self, client: DynamoClient, prefix: str, table: str, chance: Random) -> None:
        self.chance, self.done, self.client = chance, 0, client
        self.arn = client.call("describe_table", TableName=f"{prefix}-{table}")["Table"]["LatestStreamArn"]

    def run_side_by_side(self, handler: Handler) -> int:
        """All records that there are by now, in FACTOR batches at once; an item's records are in one of them, in order.

        Returns how many.
        """
        records = self._records()[self.done :]
        lanes: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            lanes[crc32(repr(record["dynamodb"]["Keys"]).encode()) % FACTOR].append(record)
        with ThreadPoolExecutor(FACTOR) as pool:
            for _ in pool.map(partial(_deliver, handler), lanes.values()):
                pass
        self.done += len(records)
        return len(records)

    def run(self, handler: Handler) -> int:
        """All records that there are by now. Returns how many."""
        records = self._records()
        found = len(records) - self.done
        while self.done < len(records):
            batch = records[self.done : self.done + self.chance.randint(1, 20)]
            first = _first_failure(handler, batch)
            self.done += len(batch) if first is None else first
            if self.chance.random() < 0.2:
                self.done = max(0, self.done - self.chance.randint(1, 30))  # at least once, not exactly once
        return found

    def _records(self) -> list[dict[str, Any]]:
        (shard,) = self.client.call("describe_stream", StreamArn=self.arn)["StreamDescription"]["Shards"]
        place = {"StreamArn": self.arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = self.client.call("get_shard_iterator", **place)["ShardIterator"]
        records = []
        while page := (answer := self.client.call("get_records", ShardIterator=iterator))["Records"]:
            records += page
            iterator = answer["NextShardIterator"]
        return records


def _deliver(handler: Handler, batch: list[dict[str, Any]]) -> None:
    while batch and (first := _first_failure(handler, batch)) is not None:
        batch = batch[first:]


def _first_failure(handler: Handler, batch: list[dict[str, Any]]) -> int | None:
    failed = handler({"Records": batch})["batchItemFailures"]
    if not failed:
        return None
    sequences = [record["dynamodb"]["SequenceNumber"] for record in batch]
    return min(sequences.index(one["itemIdentifier"]) for one in failed)


FACTOR = 10  # the template's ParallelizationFactor
LATER = NOW + 400 * 86_400  # every period of a test is over
MOST_TRIES = 1000  # of one batch, while calls fail at random


class Stack:
    """The functions on one store, and the mappings to them."""

    def __init__(
        self, client: DynamoClient, prefix: str, zone: str, seed: int = 0, mapped_by: DynamoClient | None = None
    ) -> None:
        self.now = LATER
        self.store = DynamoStore(client, prefix, KEEP, clock=lambda: self.now)
        self.letters: list[object] = []
        self.functions = Functions(self.store, zone, self.letters.extend, lambda: self.now, KEEP)
        chance = Random(seed)
        self.mapped = [
            (step, Mapped(mapped_by or client, prefix, table_of(step.feed), chance)) for step in level_steps().values()
        ]

    def ingest(self, batch: Sequence[Reading]) -> None:
        """Send a batch of messages until the function accepts it."""
        source = {"partitionKey": HOME, "sequenceNumber": "1", "data": base64.b64encode(_lines(batch)).decode()}
        event = {"Records": [{"kinesis": source}]}
        assert any(not self.functions.ingest(event)["batchItemFailures"] for _ in range(MOST_TRIES))

    def settle(self, run: Callable[[Mapped, Handler], int] = Mapped.run) -> None:
        """Run the mappings until no stream has a new record."""
        while sum(run(mapped, self._handler(step)) for step, mapped in self.mapped):
            pass

    def _handler(self, step: Step) -> Handler:
        return lambda event: self.functions.propagate(step, event)


def _lines(readings: Sequence[Reading]) -> bytes:
    at = [periods.local(reading.at, "UTC").isoformat() for reading in readings]
    return b"\n".join(orjson.dumps(one._asdict() | {"at": text}) for one, text in zip(readings, at, strict=True))


def _is_sent(reading: Reading) -> bool:
    """A register below zero is refused as a message."""
    return (reading.import_wh or 0) >= 0 and (reading.export_wh or 0) >= 0


@examples(60)
@given(messy(), batchings(), st.integers(0, 2**16))
def test_batches_cut_anywhere_and_repeated_lead_to_the_same_documents(
    series: Series, deliver: Deliver, seed: int
) -> None:
    series = Series(series.zone, list(filter(_is_sent, series.readings)))
    stack = Stack(in_memory(), MEMORY, series.zone, seed)
    for number, batch in enumerate(deliver(series.readings)):
        stack.ingest(batch)
        if number % 3 == 2:
            stack.settle()
    stack.settle()
    assert documents(stack.store) == outcome(series)
    assert stack.letters == []
    stack.store.close()


@examples(20)
@given(messy(), batchings())
def test_batches_of_one_shard_side_by_side_give_the_same(series: Series, deliver: Deliver) -> None:
    series = Series(series.zone, list(filter(_is_sent, series.readings)))
    stack = Stack(in_memory(), MEMORY, series.zone)
    for batch in deliver(series.readings):
        stack.ingest(batch)
    stack.settle(Mapped.run_side_by_side)
    assert documents(stack.store) == outcome(series)
    assert stack.letters == []
    stack.store.close()


def in_next_form(client: MemoryClient) -> dict[str, Any]:
    """The documents that a newer version has written, by table and key."""
    found: dict[str, Any] = {}
    for table in ("days", "months", "years"):
        items = client.call("scan", TableName=f"{MEMORY}-{table}")["Items"]
        found |= {repr((table, one["d"], one["p"])): one for one in items if int(one["v"]["N"]) > FORM}
    return found


@examples(20)
@given(messy(), batchings(), st.integers(0, 2**16))
def test_functions_of_two_forms_side_by_side_do_no_harm(series: Series, deliver: Deliver, seed: int) -> None:
    series = Series(series.zone, list(filter(_is_sent, series.readings)))
    chance, client = Random(seed), in_memory()
    old = Stack(client, MEMORY, series.zone, seed)
    new = Stack(NextForm(client), MEMORY, series.zone, seed, mapped_by=client)

    def canary(step: Step, event: dict[str, Any]) -> Answer:
        if chance.random() < 0.3:
            return new.functions.propagate(step, event)
        before = in_next_form(client)
        answer = old.functions.propagate(step, event)
        assert in_next_form(client) == before, "the older version leaves newer documents alone"
        return answer

    for batch in deliver(series.readings):
        chance.choice((old, new)).ingest(batch)
        for step, mapped in old.mapped:
            mapped.run(partial(canary, step))
    for device in new.store.devices():  # what the older version has quarantined
        rebuild(new.store, device, None, None)
    new.settle()
    assert documents(new.store) == outcome(series)
    assert old.letters == new.letters == []
    old.store.close()
    new.store.close()


def levels_of(stack: Stack) -> set[str]:
    return {level for level, _ in documents(stack.store)}


def test_a_day_goes_to_its_month_when_it_is_over() -> None:
    start = periods.day_start("2027-01-15", "Europe/London")
    stack = Stack(in_memory(), MEMORY, "Europe/London")
    stack.now = start + 7200
    stack.ingest([Reading(HOME, start, None, 1000, None), Reading(HOME, start + 3600, None, 1500, None)])
    stack.settle()
    assert levels_of(stack) == {"day"}
    stack.now = start + 86_400 + 60
    stack.ingest([Reading(HOME, start + 86_400 + 50, None, 9000, None)])  # the day's last half hour is known now
    stack.settle()
    month = stack.store.document("month", HOME, "2027-01")
    assert month
    assert month.parts.keys() == {"d15"}
    assert month.total.import_wh == 8000 - stack.store.document("day", HOME, "2027-01-16").total.import_wh  # type: ignore[union-attr, operator]
    assert levels_of(stack) == {"day", "month"}
    stack.store.close()


def test_the_day_and_the_month_of_a_silent_device_are_closed() -> None:
    start = periods.day_start("2027-01-31", "Europe/London")
    stack = Stack(in_memory(), MEMORY, "Europe/London")
    stack.now = start + 7200
    stack.ingest([Reading(HOME, start, None, 1000, None), Reading(HOME, start + 3600, None, 1500, None)])
    stack.settle()
    stack.now = start + 86_400 - 600
    assert close_periods(stack.store, stack.now) == 0
    stack.now = start + 86_400 + 600
    assert close_periods(stack.store, stack.now) == 1
    assert close_periods(stack.store, stack.now) == 0
    stack.settle()
    assert documents(stack.store) == outcome(Series("Europe/London", stack.store.readings(HOME, 0, 2**40)))
    assert levels_of(stack) == {"day", "month", "year"}
    stack.store.close()


def test_the_month_of_a_device_that_was_silent_for_weeks_is_closed() -> None:
    start = periods.day_start("2027-01-10", "Europe/London")
    stack = Stack(in_memory(), MEMORY, "Europe/London")
    stack.now = start + 7200
    stack.ingest([Reading(HOME, start, None, 1000, None), Reading(HOME, start + 3600, None, 1500, None)])
    stack.now = start + 86_400 + 600
    assert close_periods(stack.store, stack.now) == 0  # the day is not written yet
    stack.settle()
    assert levels_of(stack) == {"day", "month"}
    stack.now = periods.day_start("2027-02-01", "Europe/London") + 600
    assert close_periods(stack.store, stack.now) == 1
    stack.settle()
    assert levels_of(stack) == {"day", "month", "year"}
    stack.store.close()


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_failure_at_any_call_loses_nothing(*, is_after: bool) -> None:
    expected = outcome(Series("UTC", SMALL))
    for at in count():
        client = in_memory()
        failing = Failing(client, at, is_after=is_after)
        stack = Stack(failing, MEMORY, "UTC", seed=at, mapped_by=client)
        for reading in SMALL:
            stack.ingest([reading])
        stack.settle()
        store = DynamoStore(client, MEMORY, KEEP)
        assert documents(store) == expected, f"call {at}"
        assert stack.letters == []
        stack.store.close()
        store.close()
        if failing.left >= 0:
            assert at > 10
            return


def test_the_same_readings_again_write_nothing_below_the_readings(client: AwsDynamoClient, prefix: str) -> None:
    counting = Counting(client)
    stack = Stack(counting, prefix, "UTC")
    for _ in range(2):
        counting.writes.clear()
        stack.ingest(SMALL)
        stack.settle()
        assert documents(stack.store) == outcome(Series("UTC", SMALL))
    assert counting.writes.keys() <= {"readings", "live"}
    stack.store.close()


class Recording(Passing):
    """Remembers the rights that the calls need, by table."""

    def __init__(self, client: DynamoClient) -> None:
        super().__init__(client)
        self.rights: set[tuple[str, str]] = set()

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        for table in request.get("RequestItems") or [request["TableName"]]:
            self.rights.add(("".join(operation.title().split("_")), table.removeprefix(f"{MEMORY}-").title()))
        return super().call(operation, **request)


def rights(role: str) -> set[tuple[str, str]]:
    """What a role of the template may do with tables."""
    return {
        (action.removeprefix("dynamodb:"), resource["Fn::GetAtt"][0])
        for name, statement in statements()
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if name == role and "Fn::GetAtt" in resource
    }


def test_a_census_stays_within_its_rights_and_reads_homes_many_at_once() -> None:
    recorded = Recording(in_memory())
    store = DynamoStore(recorded, MEMORY, clock=lambda: NOW)
    for number in range(20):
        for device_id in (f"cad-{number}", f"cad-{number}~gas"):
            store.put_device(Device(device_id, postcode="SW1A 1AA"))
            store.put_live([Live(device_id, NOW, NOW, 1, None, None, None)])
    store.put_device(Device("other~gas"))  # of a home that is not there
    recorded.rights.clear()
    counting = Counting(recorded)
    Functions(DynamoStore(counting, MEMORY, clock=lambda: NOW), "UTC", lambda _: None, clock=lambda: NOW).fleet()
    assert recorded.rights <= rights("FleetRole")
    assert counting.reads == {"devices": 1}
    found = fleet.summary(store)
    assert found is not None
    assert [*found.areas["SW"]] == [40, 0]
