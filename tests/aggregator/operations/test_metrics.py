"""Metrics and readiness, as Prometheus and a load balancer ask for them."""

import socket
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.intake.ingest import Outcome, ingest
from aggregator.operations.metrics import LAG_LIMIT_S, Metrics, Readiness, StoreGauges, _Quiet, ages, served
from aggregator.store import Store
from aggregator.store.port import Backlog
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain
from tests.servers import free_port

NOW = 1_790_812_800


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wattfall.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = SqliteStore(str(path), lambda: float(NOW))
    yield opened
    opened.close()


def lines(metrics: Metrics) -> dict[str, float]:
    """Return the values by name and labels."""
    rows = (line.rpartition(" ") for line in metrics.text().decode().splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


def test_ages_are_told_by_the_share_of_devices() -> None:
    assert ages([]) == {}
    assert ages([7]) == {0.5: 7, 0.9: 7, 0.99: 7, 1.0: 7}
    assert ages([*range(1, 101)]) == {0.5: 50, 0.9: 90, 0.99: 99, 1.0: 100}
    assert ages([1, 1, 1, 900]) == {0.5: 1, 0.9: 900, 0.99: 900, 1.0: 900}


def test_readings_and_refusals_are_counted() -> None:
    metrics = Metrics()
    metrics.count(Outcome(5, 2, reasons=Counter(too_old=1)))
    metrics.count(Outcome(1, 0, reasons=Counter(too_old=2)))
    found = lines(metrics)
    assert found['wattfall_readings_total{result="accepted"}'] == 6
    assert found['wattfall_readings_total{result="unchanged"}'] == 2
    assert found['wattfall_refused_total{reason="too_old"}'] == 3


def test_each_transaction_of_the_store_is_counted(store: Store) -> None:
    metrics = Metrics()
    metrics.watch(store)
    for number in range(3):
        store.put_record("users", str(number), "{}")
    assert lines(metrics)["wattfall_commits_total"] == 3


def test_the_store_tells_its_lag_by_feed_its_log_and_its_backups(store: Store, path: Path, tmp_path: Path) -> None:
    ingest(store, [Reading("d", NOW - 60 * at, 5, None, None) for at in range(3)], NOW, "UTC")
    drain(store)
    store.put_live([Live("silent", NOW - 5000, NOW - 5000, 1, None, None, None)])
    (tmp_path / "wattfall-20260901T000000Z.db").touch()
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "INSERT INTO changes (level, device_id, key, due, first) VALUES ('day', 'd', '2026-01-01', ?, 0)",
            (NOW - 90,),
        )
        database.commit()
    metrics = Metrics()
    metrics.add(StoreGauges(store, f"sqlite:///{path}", str(tmp_path)))
    found = lines(metrics)
    assert found['wattfall_lag_seconds{feed="day"}'] == 90
    assert (found['wattfall_waiting{feed="day"}'], found['wattfall_waiting{feed="readings"}']) == (1, 0)
    assert found['wattfall_newest_reading_age_seconds{share="0.5"}'] == 0
    assert found['wattfall_newest_reading_age_seconds{share="1"}'] == 5000
    assert found["wattfall_wal_bytes"] == path.with_name("wattfall.db-wal").stat().st_size > 0
    assert 0 <= found["wattfall_backup_age_seconds"] < 3600


# Readiness


class HangingStore:
    """A store whose answer takes until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def check(self) -> None:
        self.go.wait()

    def record(self, *_: str) -> None:
        """Nothing is stored."""

    def backlog(self) -> Backlog:
        return Backlog(0, None)

    def now(self) -> int:
        return NOW


def test_a_settled_store_is_ready(store: Store) -> None:
    assert Readiness(store).fault() == ""


def test_a_worker_far_behind_is_not_ready(store: Store, path: Path) -> None:
    insert = "INSERT INTO changes (level, device_id, key, due, first) VALUES ('day', 'd', '2026-01-01', ?, 0)"
    with closing(sqlite3.connect(path)) as database:
        database.execute(insert, (NOW - LAG_LIMIT_S - 1,))
        database.commit()
    assert Readiness(store).fault() == "lag"


def test_a_deleted_store_is_not_ready(store: Store, path: Path) -> None:
    path.unlink()
    assert Readiness(store).fault() == "store"


def test_a_store_that_hangs_is_not_ready_until_it_answers() -> None:
    hanging, seconds = HangingStore(), iter(range(100))
    readiness = Readiness(hanging, lambda: next(seconds), patience_s=0.01)  # type: ignore[arg-type]
    assert [readiness.fault(), readiness.fault()] == ["store", "store"]
    hanging.go.set()
    deadline = time.monotonic() + 20
    while readiness.fault() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert readiness.fault() == ""


def test_one_look_serves_all_who_ask_in_the_same_second(store: Store, path: Path) -> None:
    pace = iter([0.0, 0.0, 0.1, 0.9, 1.1, 1.1])
    readiness = Readiness(store, lambda: next(pace))
    assert readiness.fault() == ""
    path.unlink()
    assert [readiness.fault(), readiness.fault()] == ["", "store"]


# The worker's address


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_worker_answers_at_its_own_address(store: Store, path: Path) -> None:
    address, metrics = f"127.0.0.1:{free_port()}", Metrics()
    with served(address, metrics, Readiness(store)):
        assert get(f"http://{address}/health") == (200, "OK")
        assert get(f"http://{address}/ready") == (200, "OK")
        assert "wattfall_commits_total 0.0" in get(f"http://{address}/metrics")[1]
        assert get(f"http://{address}/other")[0] == 404
        with (
            pytest.raises(ConfigurationError, match="WATTFALL_METRICS: cannot listen on"),
            served(address, metrics, Readiness(store)),
        ):
            pass
    path.unlink()
    with served(address, metrics, Readiness(store)):
        assert get(f"http://{address}/ready") == (503, "store")


def test_a_client_that_holds_its_connection_delays_no_end(store: Store) -> None:
    port = free_port()
    with served(f"127.0.0.1:{port}", Metrics(), Readiness(store)):
        with socket.create_connection(("127.0.0.1", port)):
            while not (ends := [one for one in threading.enumerate() if isinstance(one, threading.Timer)]):
                time.sleep(0.01)
            assert [one.daemon for one in ends] == [True]
        assert get(f"http://127.0.0.1:{port}/health") == (200, "OK")
        ends[0].function()  # when the client has gone


def test_a_client_that_sends_byte_after_byte_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Quiet, "timeout", 0.5)
    port, stop = free_port(), threading.Event()

    def trickle(client: socket.socket) -> None:
        with suppress(OSError):
            while not stop.wait(0.05):
                client.send(b"G")

    with (
        served(f"127.0.0.1:{port}", Metrics(), Readiness(store)),
        socket.create_connection(("127.0.0.1", port)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(trickle, client)
        assert get(f"http://127.0.0.1:{port}/health") == (200, "OK")
        stop.set()
