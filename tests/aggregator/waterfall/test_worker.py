"""The worker: it stops on request, retries an unreachable store and reports its lag."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.errors import StoreAway, StoreReplaced, StoreUnusable, WattfallError
from aggregator.core.periods import FOR_EVER, LEVELS
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.store.collections import WATCHED
from aggregator.store.port import READINGS
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall import levels, worker
from aggregator.waterfall.worker import (
    COUNT_S,
    IDLE_S,
    LONGEST_PAUSE_S,
    PACE_S,
    QUIET_S,
    REPORT_S,
    SWEEP_S,
    Agenda,
    drain,
    report_lag,
    run_worker,
    settle_once,
    take_waiting,
)

NOW = 1_790_812_800
DAY = 86_400
PATIENCE_S = 60
KEPT_DAYS = 35


class Pauses(threading.Event):
    """Pauses that take no time: record each length, advance the clock, and stop at the last."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.seen, self.now = count, list[float](), float(NOW)

    def wait(self, timeout: float | None = None) -> bool:
        self.seen.append(timeout or 0)
        self.now += timeout or 0
        if len(self.seen) >= self.count:
            self.set()
        return self.is_set()

    def clock(self) -> float:
        return self.now


class TroubledStore:
    """A store that counts its calls and fails for a while."""

    def __init__(self, store: Store, failures: Sequence[WattfallError | None] = ()) -> None:
        self._store = store
        self._failures = iter(failures)
        self.calls: Counter[str] = Counter()

    def follow(self) -> None:
        failure = next(self._failures, None)
        if failure:
            raise failure
        self._store.follow()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the store as it is
        self.calls[name] += 1
        return getattr(self._store, name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/wattfall.db")
    yield opened
    opened.close()


def send(store: Store, days_ago: int = 0) -> None:
    """Ingest two hours of a register without delay."""
    start = NOW - days_ago * DAY
    ingest(store, [Reading("d", start + 600 * n, None, 10 * n, None) for n in range(13)], start, "UTC")


def is_settled(store: Store) -> bool:
    return store.backlog() == (0, None) and store.extent("year", "d") is not None


# Stopping


def test_the_worker_propagates_waiting_changes_and_stops_on_request(store: Store) -> None:
    send(store)
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(store, KEPT_DAYS, stop))
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not is_settled(store) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_settled(store)
    assert thread.is_alive()
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_worker_stopped_before_start_leaves_all_changes(store: Store) -> None:
    send(store)
    waiting = store.backlog()
    stop = threading.Event()
    stop.set()
    run_worker(store, KEPT_DAYS, stop)
    assert store.backlog() == waiting
    drain(store)
    assert is_settled(store)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_process_exits_cleanly_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    environ = os.environ | {"WATTFALL_STORE": f"sqlite:///{tmp_path}/wattfall.db"}
    command = [sys.executable, "-m", "dashboard.commands.main", "worker"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
    assert "0 documents waiting, lag 0 s" in first
    assert rest.endswith("stopped; the next worker propagates the remaining change records\n")
    assert "Traceback" not in rest
    assert process.returncode == 0


# A failing store


def test_an_unreachable_store_is_retried_with_growing_pauses(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    send(store)
    stop = Pauses(12)
    with caplog.at_level(logging.WARNING):
        run_worker(
            TroubledStore(store, [StoreAway("the store is busy")] * 9), KEPT_DAYS, stop, stop.clock, pace=stop.clock
        )
    assert stop.seen == [0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S, *[IDLE_S] * 3]
    assert caplog.messages[0].startswith("the store is busy; trying again in ")
    assert caplog.messages[-1] == "the store is busy; trying again in 30 s"
    assert is_settled(store)


@pytest.mark.parametrize("failure", [StoreAway("busy"), StoreUnusable("full")])
def test_a_successful_pass_resets_the_pauses(store: Store, failure: WattfallError) -> None:
    stop = Pauses(6)
    troubled = TroubledStore(store, [failure, failure, None, failure, failure, None])
    run_worker(troubled, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert stop.seen == [0.5, 1, IDLE_S, 0.5, 1, IDLE_S]


def test_an_idle_worker_ends_when_its_file_is_replaced(store: Store, tmp_path: Path) -> None:
    stop = Pauses(3)
    (tmp_path / "wattfall.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreReplaced):
        run_worker(store, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert stop.seen == []


def test_a_bug_is_not_retried_as_a_store_failure(store: Store) -> None:
    class Buggy(TroubledStore):
        def settle(self, changes: object) -> None:  # noqa: ARG002
            raise TypeError("a bug")

    send(store)
    stop = Pauses(3)
    with pytest.raises(TypeError, match="a bug"):
        run_worker(Buggy(store), KEPT_DAYS, stop, stop.clock, pace=stop.clock)


def test_a_failing_pass_is_rolled_back(store: Store) -> None:
    """Documents and change records are written together or not at all."""

    class Failing(TroubledStore):
        def settle(self, changes: object) -> None:  # noqa: ARG002
            raise StoreAway("gone before the end")

    send(store)
    waiting = store.backlog()
    stop = Pauses(1)
    run_worker(Failing(store), KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert store.backlog() == waiting
    assert store.periods("day", "d") == []


def test_a_pass_ends_soon_and_serves_every_device(store: Store) -> None:
    """A clock that runs a second at each look: a pass then takes a piece of each feed only."""
    readings = [Reading("many", NOW + 1800 * n, None, 10 * n, None) for n in range(-1000, 1)]
    ingest(store, [*readings, *(Reading("d", NOW + 600 * n, None, 9 * n, None) for n in range(4))], NOW, "UTC")
    seconds = iter(range(10**6))
    assert settle_once(store, Agenda(store, lambda: float(next(seconds)))) == 3 + 1
    assert store.document("day", "d", "2026-10-01") is not None
    assert store.extent("day", "many") is None
    drain(store)
    assert is_settled(store)


def test_a_sender_of_dear_messages_waits_behind_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message with one reading, days from its neighbours, changes hundreds of half hours."""
    monkeypatch.setattr(levels, "SHARE", 200)
    rare = [Reading("rare", NOW - 3 * DAY * n, None, 90_000 - 9000 * n, None) for n in range(3)]
    ingest(store, rare, NOW, "UTC")
    drain(store)
    seconds = iter(range(10**6))
    agenda = Agenda(store, lambda: float(next(seconds)))

    def first_carried(export_wh: int) -> str:
        """Both senders have changed, the other one in more half hours; the clock leaves time for one piece of work."""
        ingest(store, [rare[1]._replace(meter_id="m", export_wh=export_wh)], NOW, "UTC")
        readings = [Reading("other", NOW + 1800 * n, None, 900 * n + export_wh, None) for n in range(2)]
        ingest(store, readings, NOW + 1800, "UTC")
        settle_once(store, agenda)
        (left,) = {change.device_id for change in store.changes(READINGS, 10)}
        agenda.share_s = 100.0
        while settle_once(store, agenda):
            pass
        agenda.share_s = 0.0
        return {"rare": "other", "other": "rare"}[left]

    agenda.share_s = 0.0
    assert [first_carried(1), first_carried(2)] == ["rare", "other"]
    for _ in range(4):
        agenda.work.forget_half()
    assert first_carried(3) == "rare"


# The pace of a fleet


class Fleet:
    """Devices with new evidence, a worker's agenda, and a clock."""

    def __init__(self, store: SqliteStore, devices: int) -> None:
        self.store, self.names, self.now = store, [f"d{number}" for number in range(devices)], NOW
        store._clock = lambda: self.now
        self.agenda = Agenda(store, lambda: self.now)

    def speak(self) -> None:
        """Every device has new evidence in two half hours, as at the end of one."""
        for name in self.names:
            self.store.mark(READINGS, name, [str(NOW), str(NOW + 1800)])

    def carried(self, seconds: int) -> set[str]:
        """Wait, and return the devices that the next pass carries."""
        self.now += seconds
        changes = self.agenda.changes(READINGS, self.now)
        self.store.settle(changes)
        assert len(changes) == 2 * len({change.device_id for change in changes})
        return {change.device_id for change in changes}


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Fleet]]:
    monkeypatch.setattr(worker, "FEW", 10)
    opened = SqliteStore(str(tmp_path / "fleet.db"))
    yield lambda devices: Fleet(opened, devices)
    opened.close()


def test_a_small_fleet_is_carried_at_once(fleet: Callable[[int], Fleet]) -> None:
    homes = fleet(10)
    for _ in range(2 * COUNT_S // 10):
        homes.speak()
        assert len(homes.carried(10)) == 10


def test_a_larger_fleet_is_carried_at_a_pace_also_at_the_end_of_a_half_hour(fleet: Callable[[int], Fleet]) -> None:
    homes, carried = fleet(11), list[int]()
    for _ in range(4 * COUNT_S // 10):
        homes.speak()
        carried.append(len(homes.carried(10)))
    passes = [place for place, count in enumerate(carried) if count]
    assert passes[0] == 0  # nothing is known of the fleet yet
    assert {carried[place] for place in passes} == {11}
    assert {after - before for before, after in pairwise(passes)} == {-(-PACE_S // 10)}


def test_a_device_that_somebody_looks_at_is_carried_at_once_in_any_fleet(fleet: Callable[[int], Fleet]) -> None:
    homes = fleet(11)
    homes.speak()
    homes.carried(1)
    homes.store.put_record(WATCHED.of(), "d7", "{}", expires=NOW + DAY)
    homes.speak()
    assert homes.carried(1) == {"d7"}


def test_a_device_that_somebody_looks_at_comes_first(fleet: Callable[[int], Fleet]) -> None:
    """It has changed in two half hours, the others in one; the clock leaves time for one piece of work."""
    store, seconds = fleet(3).store, iter(range(10**6))
    store.put_record(WATCHED.of(), "d2", "{}", expires=NOW + DAY)
    for device_id, count in (("d0", 2), ("d1", 2), ("d2", 4)):
        ingest(store, [Reading(device_id, NOW + 600 * n, None, 9 * n, None) for n in range(count)], NOW, "UTC")
    settle_once(store, Agenda(store, lambda: float(next(seconds))), NOW)
    assert [one for one in ("d0", "d1", "d2") if store.extent("day", one)] == ["d2"]


def test_a_fleet_that_has_become_small_is_carried_at_once(fleet: Callable[[int], Fleet]) -> None:
    homes = fleet(11)
    homes.speak()
    homes.carried(1)
    homes.names = homes.names[:5]
    for _ in range(2):
        homes.speak()
        homes.carried(COUNT_S)
    homes.speak()
    assert len(homes.carried(1)) == 5


# Reports and sweeps


def test_the_lag_is_the_age_of_the_oldest_change(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    send(store)
    since = store.backlog().since
    assert since is not None
    with caplog.at_level(logging.INFO):
        report_lag(store, since + 7)
        drain(store)
        report_lag(store, since + 7)
    assert caplog.messages == ["5 documents waiting, lag 7 s", "0 documents waiting, lag 0 s"]


def test_a_key_dirtied_again_keeps_its_first_time(store: Store, tmp_path: Path) -> None:
    send(store)
    with sqlite3.connect(tmp_path / "wattfall.db") as database:  # as if an hour had passed
        database.execute("UPDATE changes SET due = due - 3600 WHERE key = ?", (str(NOW),))
    database.close()
    since = store.backlog().since
    store.mark("readings", "d", [str(NOW)])
    assert store.backlog() == (5, since)


def test_the_lag_is_reported_each_minute(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    stop = Pauses(int(3 * REPORT_S / IDLE_S))
    with caplog.at_level(logging.INFO):
        run_worker(store, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert [line for line in caplog.messages if "lag" in line] == ["0 documents waiting, lag 0 s"] * 3


def test_readings_are_swept_at_start_and_every_six_hours(store: Store) -> None:
    """The retry pauses advance the clock by six hours."""
    hours = [None, *[StoreAway("away")] * int(SWEEP_S / LONGEST_PAUSE_S + 6)]
    stop = Pauses(len(hours) * 2 + 9)
    troubled = TroubledStore(store, hours * 2)
    run_worker(troubled, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert troubled.calls["expires_by_itself"] == 3


def test_half_hours_are_packed_between_rounds_once_they_are_quiet(store: Store, tmp_path: Path) -> None:
    sent = [Reading("d", NOW - 7200 + 600 * n, 300, 10 * n, None) for n in range(12)]
    ingest(store, sent, NOW - QUIET_S + 10, "UTC")
    counts = []
    for pauses in (3, 60):
        stop = Pauses(pauses)
        run_worker(store, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
        with sqlite3.connect(tmp_path / "wattfall.db") as database:
            counts += [
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("recent", "readings")
            ]
        database.close()
    assert counts == [12, 0, 3, 3]  # the last half hour has just ended
    assert store.readings("d", 0, FOR_EVER) == sent


def test_the_workers_sweep_leaves_documents_unchanged(store: Store) -> None:
    send(store, days_ago=KEPT_DAYS + 3)
    ingest(store, [Reading("other", NOW, 300, None, None)], NOW, "UTC")
    drain(store)
    before = [store.document(level, "d", store.periods(level, "d")[0]) for level in LEVELS]
    stop = Pauses(3)
    run_worker(store, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert len(store.readings("d", 0, FOR_EVER)) < 13
    assert before == [store.document(level, "d", store.periods(level, "d")[0]) for level in LEVELS]


def test_history_received_today_is_kept_for_a_day(store: Store) -> None:
    old = [Reading("d", NOW - 400 * DAY + 600 * n, None, 10 * n, None) for n in range(13)]
    ingest(store, old, NOW - 3600, "UTC")
    stop = Pauses(3)
    run_worker(store, KEPT_DAYS, stop, stop.clock, pace=stop.clock)
    assert store.readings("d", 0, FOR_EVER) == old


def test_waiting_messages_are_taken_in_for_a_bounded_time() -> None:
    waiting, asked, now = [3, 3, 1, 0], [], [0.0]

    def some(wait_s: float) -> int:
        asked.append(wait_s)
        return waiting.pop(0)

    def endless(_: float) -> int:
        now[0] += 0.1
        return 500

    assert take_waiting(some, 0.25) == 7
    assert asked == [0.25, 0, 0, 0]
    assert take_waiting(endless, 0, lambda: now[0]) == 1500
