"""Reads that wait for no other."""

import threading
from typing import Any

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.dynamodb.dynamo_client import DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.port import Store
from aggregator.support.diagnostics import diagnose
from aggregator.waterfall.worker import drain
from tests.contract.conftest import Clock
from tests.contract.dynamo_clients import Answer, Passing

PATIENCE_S = 20


def test_a_started_read_answers_at_any_later_time(either: Store) -> None:
    either.put_device(Device("cad-1"))
    begun = [either.begin(lambda name=name: either.device(name)) for name in ("cad-1", "cad-2")]  # type: ignore[misc]
    assert [answer() for answer in begun[::-1]] == [None, Device("cad-1")]
    assert begun[0]() == Device("cad-1")


class Meeting(Passing):
    """Answers reads of one table only when so many are under way at once."""

    def __init__(self, client: DynamoClient, parties: int) -> None:
        super().__init__(client)
        self._barrier = threading.Barrier(parties)

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation == "get_item":
            self._barrier.wait(PATIENCE_S)
        return super().call(operation, **request)


def test_started_reads_run_concurrently_on_dynamodb(client: DynamoClient, prefix: str) -> None:
    store = DynamoStore(Meeting(client, 5), prefix)
    begun = [store.begin(lambda: store.device("cad-1")) for _ in range(5)]
    assert [answer() for answer in begun] == [None] * 5
    store.close()


def test_a_failed_read_raises_for_its_caller(client: DynamoClient, prefix: str) -> None:
    class Away(Passing):
        def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401, ARG002 - as boto3 takes it
            raise StoreAway("the network is gone")

    store = DynamoStore(Away(client), prefix)
    answer = store.begin(lambda: store.device("cad-1"))
    with pytest.raises(StoreAway):
        answer()
    store.close()


def test_the_first_reads_of_diagnostics_run_concurrently(client: DynamoClient, prefix: str, clock: Clock) -> None:
    writer = DynamoStore(client, prefix, 36_500, 0, clock)
    now = int(clock.now)
    writer.put_device(Device("cad-1", "UTC"))
    readings = [Reading("cad-1", at, 600, (at - now) // 6 + 99_999, None) for at in range(now - 7200, now, 60)]
    ingest(writer, readings, now, "UTC")
    drain(writer)
    reader = DynamoStore(
        Meeting(client, 6), prefix, 36_500, 0, clock
    )  # live, status, month, year, retention_cutoff, quarantine
    found = diagnose(reader, Device("cad-1", "UTC"), now)
    assert [one.is_right for one in found.levels] == [True] * 3
    for store in (reader, writer):
        store.close()
