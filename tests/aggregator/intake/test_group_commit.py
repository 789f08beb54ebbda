"""What threads write at the same time is durable at once; a fault is one thread's alone."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.intake.group_commit import GroupCommit
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.contract.conftest import MEMORY, in_memory, store_on


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(str(tmp_path / "group.db"))
    yield opened
    opened.close()


class Group:
    """Threads whose messages wait behind a first one; a message is the id of a device to register."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self._may_go = store, threading.Event()
        self.together = GroupCommit[str, str](store, self._put)
        self.groups: list[list[str]] = []

    def _put(self, messages: Sequence[str]) -> list[str]:
        self.groups.append([*messages])
        if messages[0] == "first":
            self._may_go.wait()
        for device_id in messages:
            self.store.put_device(Device(device_id))
            if device_id == "faulty":
                raise ValueError("no room for this one")
        return [device_id.upper() for device_id in messages]

    def run(self, messages: Sequence[str]) -> list[Future[str]]:
        with ThreadPoolExecutor(1 + len(messages)) as pool:
            futures = [pool.submit(self.together.put, "first")]
            while not self.groups:
                continue
            for count, message in enumerate(messages, 1):
                futures.append(pool.submit(self.together.put, message))
                while len(self.together._queue) < count:
                    continue
            self._may_go.set()
        return futures[1:]


def test_what_arrives_during_a_commit_is_committed_together(store: SqliteStore) -> None:
    group, sent = Group(store), [f"d{number}" for number in range(5)]
    assert [future.result() for future in group.run(sent)] == ["D0", "D1", "D2", "D3", "D4"]
    assert group.groups == [["first"], sent]
    assert [device.device_id for device in store.devices()] == [*sent, "first"]


def test_what_arrives_while_the_lock_is_not_free_is_committed_together(tmp_path: Path) -> None:
    store, other = (SqliteStore(str(tmp_path / "group.db")) for _ in range(2))
    group = Group(store)
    with ThreadPoolExecutor(4) as pool:
        with other.transaction():
            futures = [pool.submit(group.together.put, f"d{number}") for number in range(4)]
            while len(group.together._queue) < 4:
                continue
        assert [future.result() for future in futures] == ["D0", "D1", "D2", "D3"]
    assert len(group.groups) == 1
    store.close()
    other.close()


def test_a_fault_is_raised_where_it_belongs_and_the_others_are_stored(store: SqliteStore) -> None:
    group = Group(store)
    futures = group.run(["d0", "d1", "faulty", "d3", "d4"])
    assert [future.result() for future in futures if not future.exception()] == ["D0", "D1", "D3", "D4"]
    assert str(futures[2].exception()) == "no room for this one"
    assert [device.device_id for device in store.devices()] == ["d0", "d1", "d3", "d4", "first"]
    assert group.groups[2:] == [["d0", "d1"], ["faulty", "d3", "d4"], ["faulty"], ["d3", "d4"]]


def test_a_lock_that_is_not_free_is_the_answer_to_all(tmp_path: Path) -> None:
    other = SqliteStore(str(tmp_path / "group.db"))
    store = SqliteStore(str(tmp_path / "group.db"), busy_s=0.05)
    with other.transaction(), ThreadPoolExecutor(4) as pool:
        group = Group(store)
        futures = [pool.submit(group.together.put, f"d{number}") for number in range(4)]
        assert {type(future.exception()) for future in futures} == {StoreAway}
    assert (group.groups, store.devices()) == ([], [])
    store.close()
    other.close()


def test_writers_of_dynamodb_work_side_by_side() -> None:
    store, barrier = store_on(in_memory(), MEMORY), threading.Barrier(3, timeout=20)
    together = GroupCommit[int, int](store, lambda messages: [message + 0 * barrier.wait() for message in messages])
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(together.put, [5, 6, 7])) == [5, 6, 7]
    store.close()
