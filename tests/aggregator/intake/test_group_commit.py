"""What threads write at the same time is durable at once; a fault is one thread's alone."""

import threading
from collections.abc import Callable, Iterator
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
    """Threads whose work waits behind that of a first one."""

    def __init__(self, store: SqliteStore, works: list[Callable[[], str]]) -> None:
        self._together = GroupCommit[str](store)
        self._store, self._may_go, self._works = store, threading.Event(), works
        self.commits = 0

    def _first(self) -> str:
        self._may_go.wait()
        return "first"

    def run(self) -> list[Future[str]]:
        with ThreadPoolExecutor(1 + len(self._works)) as pool:
            futures = [pool.submit(self._together.run, self._first)]
            while not self._together._turn.locked():
                continue
            futures += [pool.submit(self._together.run, work) for work in self._works]
            while len(self._together._queue) < len(self._works):
                continue
            self._may_go.set()
        return futures


def putting(store: SqliteStore, device_id: str, seen: list[int]) -> Callable[[], str]:
    """Work that registers a device, and notes its connection."""

    def work() -> str:
        store.put_device(Device(device_id))
        seen.append(id(store._database))
        return device_id

    return work


def test_what_arrives_during_a_commit_is_committed_together_by_one_thread(store: SqliteStore) -> None:
    seen: list[int] = []
    works = [putting(store, f"d{number}", seen) for number in range(5)]
    answers = [future.result() for future in Group(store, works).run()]
    assert answers == ["first", "d0", "d1", "d2", "d3", "d4"]
    assert [device.device_id for device in store.devices()] == ["d0", "d1", "d2", "d3", "d4"]
    assert len(set(seen)) == 1


def test_what_arrives_while_the_lock_is_not_free_is_committed_together(tmp_path: Path) -> None:
    store, other = (SqliteStore(str(tmp_path / "group.db")) for _ in range(2))
    together, seen = GroupCommit[str](store), list[int]()
    with ThreadPoolExecutor(4) as pool:
        with other.transaction():
            futures = [pool.submit(together.run, putting(store, f"d{number}", seen)) for number in range(4)]
            while len(together._queue) < 4:
                continue
        assert [future.result() for future in futures] == ["d0", "d1", "d2", "d3"]
    assert len(set(seen)) == 1
    store.close()
    other.close()


def test_a_fault_is_raised_where_it_belongs_and_the_others_are_stored(store: SqliteStore) -> None:
    def faulty() -> str:
        store.put_device(Device("faulty"))
        raise ValueError("no room for this one")

    works: list[Callable[[], str]] = [putting(store, f"d{number}", []) for number in range(4)]
    futures = Group(store, [*works[:2], faulty, *works[2:]]).run()
    assert [future.result() for future in futures if not future.exception()] == ["first", "d0", "d1", "d2", "d3"]
    assert str(futures[3].exception()) == "no room for this one"
    assert [device.device_id for device in store.devices()] == ["d0", "d1", "d2", "d3"]


def test_a_lock_that_is_not_free_is_the_answer_to_all(tmp_path: Path) -> None:
    other = SqliteStore(str(tmp_path / "group.db"))
    store = SqliteStore(str(tmp_path / "group.db"), busy_s=0.05)
    with other.transaction(), ThreadPoolExecutor(4) as pool:
        together = GroupCommit[str](store)
        futures = [pool.submit(together.run, putting(store, f"d{number}", [])) for number in range(4)]
        assert {type(future.exception()) for future in futures} == {StoreAway}
    assert store.devices() == []
    store.close()
    other.close()


def test_writers_of_dynamodb_work_side_by_side() -> None:
    store = store_on(in_memory(), MEMORY)
    together, barrier = GroupCommit[int](store), threading.Barrier(3, timeout=20)
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(together.run, [barrier.wait] * 3)) == [0, 1, 2]
    store.close()
