"""The functions on real change records, called as AWS calls them: batches cut anywhere, repeated, tried again."""

import base64
from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.aws.lambdas import Answer, Functions, level_steps
from aggregator.core import periods
from aggregator.core.readings import Reading
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import table_of
from aggregator.waterfall.levels import Step
from tests.aggregator.invariants.series import HOME, NOW, Series, batchings, messy
from tests.aggregator.invariants.stores import documents, outcome
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.contract.dynamo_clients import Counting, Failing

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


def _first_failure(handler: Handler, batch: list[dict[str, Any]]) -> int | None:
    failed = handler({"Records": batch})["batchItemFailures"]
    if not failed:
        return None
    sequences = [record["dynamodb"]["SequenceNumber"] for record in batch]
    return min(sequences.index(one["itemIdentifier"]) for one in failed)


MOST_TRIES = 1000  # of one batch, while calls fail at random


class Stack:
    """The functions on one store, and the mappings to them."""

    def __init__(
        self, client: DynamoClient, prefix: str, zone: str, seed: int = 0, mapped_by: DynamoClient | None = None
    ) -> None:
        self.store = DynamoStore(client, prefix, KEEP)
        self.letters: list[object] = []
        self.functions = Functions(self.store, zone, self.letters.extend, lambda: NOW, KEEP)
        chance = Random(seed)
        self.mapped = [
            (step, Mapped(mapped_by or client, prefix, table_of(step.feed), chance)) for step in level_steps().values()
        ]

    def ingest(self, batch: Sequence[Reading]) -> None:
        """Send a batch of messages until the function accepts it."""
        source = {"partitionKey": HOME, "sequenceNumber": "1", "data": base64.b64encode(_lines(batch)).decode()}
        event = {"Records": [{"kinesis": source}]}
        assert any(not self.functions.ingest(event)["batchItemFailures"] for _ in range(MOST_TRIES))

    def settle(self) -> None:
        """Run the mappings until no stream has a new record."""
        while sum(mapped.run(self._handler(step)) for step, mapped in self.mapped):
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
