"""The waterfall end to end through the streams: whatever happens on the way, the documents come out the same."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.core.errors import StoreAway
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.dynamodb import checkpoints, streams
from aggregator.store.dynamodb.checkpoints import LEASE_S
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.streams import SAVE_S
from aggregator.waterfall.levels import propagate, steps
from aggregator.waterfall.worker import drain, settle_once
from tests.aggregator.invariants.series import HOME, NOW, Series, batchings, messy
from tests.aggregator.invariants.stores import documents, outcome
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.contract.dynamo_clients import Counting, Failing, Passing, Torn

Deliver = Callable[[Sequence[Reading]], list[list[Reading]]]


class Clock:
    """Time as a test lets it pass."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@contextmanager
def worker(client: DynamoClient, prefix: str, clock: Callable[[], float]) -> Iterator[DynamoStore]:
    """A store that follows the streams; it ends as if killed."""
    store = DynamoStore(client, prefix, KEEP, pace_s=0, clock=clock)
    store.follow()
    try:
        yield store
    finally:
        store._steps.close()


def settle(store: DynamoStore, clock: Clock) -> None:
    """Read until no record comes, without the pauses between polls."""
    quiet = 0
    while quiet < 6:
        with suppress(StoreAway):
            quiet = 0 if settle_once(store) else quiet + 1
        clock.now += 31


def home(*rises: tuple[int, int]) -> list[Reading]:
    """Readings of an import register: seconds from the start, Wh."""
    return [Reading(HOME, NOW - 7200 + after, None, wh, None) for after, wh in rises]


@examples(40)
@given(messy(), batchings(), st.integers(0, 2**16))
def test_torn_streams_and_killed_workers_lead_to_the_same_documents(
    series: Series, deliver: Deliver, seed: int
) -> None:
    assume(all((reading.import_wh or 0) >= 0 for reading in series.readings))  # `readings` refuses what is below zero
    check_torn_streams(in_memory(), MEMORY, series, deliver(series.readings), seed)


def test_torn_streams_of_the_endpoint_lead_to_the_same_documents(client: AwsDynamoClient, prefix: str) -> None:
    check_torn_streams(client, prefix, Series("UTC", SMALL), [[reading] for reading in SMALL], seed=1)


def check_torn_streams(
    client: DynamoClient, prefix: str, series: Series, batches: list[list[Reading]], seed: int
) -> None:
    clock = Clock()
    torn = Torn(client, seed)
    source = DynamoStore(client, prefix, KEEP)
    for number, batch in enumerate(batches):
        ingest(source, batch, NOW, series.zone)
        if number % 3 == 2:
            with worker(torn, prefix, clock) as store:
                for _ in range(number % 4):
                    settle_once(store)
            clock.now += LEASE_S + 1
    source.close()
    with worker(torn, prefix, clock) as store:
        settle(store, clock)
        assert documents(store) == outcome(series)


SMALL = home((0, 1000), (600, 1100), (1790, 1200), (1810, 1210), (3500, 1300))


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_failure_at_any_write_or_record_loses_nothing(*, is_after: bool) -> None:
    expected = outcome(Series("UTC", SMALL[2:]))
    for at in count():
        clock, client = Clock(), in_memory()
        source = DynamoStore(client, MEMORY, KEEP)
        ingest(source, SMALL[2:], NOW, "UTC")
        failing = Failing(client, at, is_after=is_after)
        with worker(failing, MEMORY, clock) as store:
            for _ in range(3):  # it reads and carries; saves how far it came; renews its leases
                with suppress(StoreAway):
                    drain(store)
                clock.now += LEASE_S // 2 + 1
        assert documents(source) == expected, f"call {at}"
        source.close()
        if failing.left >= 0:
            assert at > 10
            return


def test_two_workers_started_by_mistake_do_no_harm() -> None:
    clock, client = Clock(), in_memory()
    with worker(client, MEMORY, clock) as one, worker(client, MEMORY, clock) as other:
        source = DynamoStore(client, MEMORY, KEEP)
        for reading in SMALL:
            ingest(source, [reading], NOW, "UTC")
            for first, second in ((one, other), (other, one)):
                clock.now += LEASE_S + 1  # the first takes the lease from the second, which was asleep
                changes = first.changes("readings", 100)
                settle_once(second)
                threads = [
                    threading.Thread(target=propagate, args=(first, steps()[0], changes)),
                    threading.Thread(target=settle_once, args=(second,)),
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                first.settle(changes)
        source.close()
        settle(other, clock)
        assert documents(other) == outcome(Series("UTC", SMALL))


def test_a_second_worker_takes_over_the_lease_of_a_killed_one(client: AwsDynamoClient, prefix: str) -> None:
    clock = Clock()
    source = DynamoStore(client, prefix, KEEP)
    ingest(source, SMALL[:3], NOW, "UTC")
    with worker(client, prefix, clock) as first:
        assert settle_once(first)
    with worker(client, prefix, clock) as second:
        ingest(source, SMALL[3:], NOW, "UTC")
        assert not settle_once(second)
        clock.now += LEASE_S + 1
        settle(second, clock)
        assert documents(second) == outcome(Series("UTC", SMALL))
    source.close()


def test_a_stopped_worker_releases_its_lease_at_once(client: AwsDynamoClient, prefix: str) -> None:
    clock = Clock()
    source = DynamoStore(client, prefix, KEEP)
    ingest(source, SMALL, NOW, "UTC")
    first = DynamoStore(client, prefix, KEEP, pace_s=0, clock=clock)
    first.follow()
    assert drain(first)
    first.close()
    clock.now += 1
    with worker(client, prefix, clock) as second:
        assert not drain(second)
        ingest(source, home((5400, 1400)), NOW, "UTC")
        assert drain(second)
    source.close()


@pytest.mark.parametrize("gone", ["while nobody looked", "under the worker's eyes"])
def test_trimmed_stream_records_cause_a_full_recomputation(gone: str) -> None:
    clock, client, prefix = Clock(), in_memory(), MEMORY
    torn = Torn(client, seed=1)
    source = DynamoStore(client, prefix, KEEP)
    with worker(torn, prefix, clock) as store:
        ingest(source, SMALL[:1], NOW, "UTC")
        settle(store, clock)
        clock.now += 60  # the next look at the shards is due
        for reading in home(*((10 * number, 1000 + number) for number in range(1, 30))):
            ingest(source, [reading], NOW, "UTC")
        ingest(source, SMALL[1:], NOW, "UTC")
        arn = client.call("describe_table", TableName=f"{prefix}-readings")["Table"]["LatestStreamArn"]
        torn.trimmed[arn] = 5
        if gone == "under the worker's eyes":
            settle(store, clock)
    readings = source.readings(HOME, 0, 2**40)
    source.close()
    clock.now += 86_400
    with worker(torn, prefix, clock) as store:
        settle(store, clock)
        assert documents(store) == outcome(Series("UTC", readings))


def test_the_same_readings_again_write_nothing_below_the_readings(client: AwsDynamoClient, prefix: str) -> None:
    clock, counting = Clock(), Counting(client)
    with worker(counting, prefix, clock) as store:
        ingest(store, SMALL, NOW, "UTC")
        settle(store, clock)
        assert counting.writes["days"] > 0
        counting.writes.clear()
        assert ingest(store, SMALL, NOW, "UTC") == (0, len(SMALL))
        settle(store, clock)
        assert counting.writes.keys() <= {"readings", "live", "checkpoints"}


def test_a_worker_saves_no_position_before_its_keys_are_propagated() -> None:
    clock, client = Clock(), in_memory()
    source = DynamoStore(client, MEMORY, KEEP)
    with worker(client, MEMORY, clock) as store:
        assert store.changes("readings", 100) == []
        clock.now += SAVE_S + 1  # a position that is read now would be saved at once
        ingest(source, SMALL, NOW, "UTC")
        first, *rest = store.changes("readings", 100)
        clock.now += SAVE_S + 1
        store.settle([first])
        assert store.changes("readings", 100) == rest != []
    source.close()
    clock.now += LEASE_S + 1
    with worker(client, MEMORY, clock) as store:
        settle(store, clock)
        assert documents(store) == outcome(Series("UTC", SMALL))


class Sparse(Passing):
    """Answers with empty pages before each page that has records."""

    def __init__(self, client: DynamoClient, empty: int) -> None:
        super().__init__(client)
        self.empty, self.left = empty, empty

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        if operation != "get_records" or self.left == 0:
            self.left = self.empty
            return super().call(operation, **request)
        self.left -= 1
        return {"Records": [], "NextShardIterator": request["ShardIterator"]}


def test_records_behind_empty_pages_are_found_at_once() -> None:
    clock, client = Clock(), in_memory()
    source = DynamoStore(client, MEMORY, KEEP)
    ingest(source, SMALL, NOW, "UTC")
    with worker(client, MEMORY, clock) as store:
        drain(store)
    source.close()
    sparse, clock.now = Sparse(client, 12), clock.now + LEASE_S + 1
    store = DynamoStore(sparse, MEMORY, KEEP, pace_s=300, clock=clock)
    store.follow()
    assert [change.key for change in store.changes("day", 100)] == sorted(store.periods("day", HOME))
    store.close()


def test_a_follower_forgets_no_key_that_its_checkpoint_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "MOST", 3)
    monkeypatch.setattr(streams, "MOST_KEYS", 4)
    clock, client = Clock(), in_memory()
    source = DynamoStore(client, MEMORY, KEEP)
    for number in range(9):
        ingest(source, [reading._replace(device_id=f"home-{number}") for reading in SMALL[:2]], NOW, "UTC")
    source.close()
    with worker(client, MEMORY, clock) as store:
        settle(store, clock)
        assert [len(store.periods("day", f"home-{number}")) for number in range(9)] == [1] * 9


def test_months_and_years_are_propagated_at_their_own_pace() -> None:
    clock = Clock()
    store = DynamoStore(in_memory(), MEMORY, KEEP, pace_s=300, clock=clock)
    store.follow()
    drain(store)
    for reading in SMALL:
        ingest(store, [reading], NOW, "UTC")
        clock.now += 2
        assert drain(store)
    assert {level for level, _ in documents(store)} == {"day"}
    clock.now += 300
    drain(store)
    clock.now += 300
    drain(store)
    assert documents(store) == outcome(Series("UTC", SMALL))
    store.close()
