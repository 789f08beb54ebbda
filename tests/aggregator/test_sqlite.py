"""What is SQLite's own: its file, its locks, its faults. Everything else is in tests/contract."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aggregator.errors import StoreUnusable
from aggregator.ingest import ingest
from aggregator.readings import Reading
from aggregator.retention import expire
from aggregator.store import open_store
from aggregator.store.sqlite import SqliteStore
from aggregator.worker import drain

NOW = 1_790_000_000


def filled(path: Path) -> SqliteStore:
    """A store with a device, its live state, readings and documents."""
    store = SqliteStore(str(path))
    ingest(store, [Reading("d", NOW - 90_000 + n * 600, 200, 1000 + n * 30, n) for n in range(100)], NOW, "UTC")
    drain(store)
    return store


def read_everything(store: SqliteStore) -> None:
    for level in ("day", "month", "year"):
        for period in store.periods(level, "d"):
            store.document(level, "d", period)
    store.live("d")
    store.devices()
    store.readings("d", 0, NOW)


def test_processes_that_create_the_same_file_at_once_all_get_it(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    program = (
        "import sys, time\n"
        "from aggregator.store import open_store\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "open_store('sqlite:///' + sys.argv[1]).mark('day', sys.argv[3], ['2026-01-01'])"
    )
    start = str(time.time() + 1)
    arguments = [sys.executable, "-c", program, str(path), start]
    running = [subprocess.Popen([*arguments, f"d{number}"], stderr=subprocess.PIPE, text=True) for number in range(6)]
    assert [process.communicate()[1] for process in running] == [""] * 6
    store = open_store(f"sqlite:///{path}")
    assert {change.device_id for change in store.changes("day", 10)} == {f"d{number}" for number in range(6)}
    store.close()


@pytest.mark.parametrize("table", ["days", "months", "years", "live", "devices", "readings"])
def test_a_damaged_row_is_one_line_that_names_the_file(tmp_path: Path, table: str) -> None:
    path = tmp_path / "wattfall.db"
    store = filled(path)
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET body = substr(body, 1, length(body) - 3)")
    database.close()
    with pytest.raises(StoreUnusable, match=r"wattfall\.db is damaged") as damage:
        read_everything(store)
    assert "\n" not in str(damage.value)
    store.close()


def test_the_horizon_never_moves_back(tmp_path: Path) -> None:
    """Older history that comes in after a sweep, and is swept itself, brings nothing back."""
    store = filled(tmp_path / "wattfall.db")
    device = store.device("d")
    assert device is not None
    expire(store, device, NOW - 30_000, NOW + 1)
    horizon = store.horizon("d")
    assert NOW - 40_000 < horizon < NOW - 20_000
    ingest(store, [Reading("d", NOW - 900_000 + n * 1800, None, n, None) for n in range(10)], NOW, "UTC")
    drain(store)
    assert expire(store, device, NOW - 890_000, NOW + 1) > 0
    assert store.horizon("d") == horizon
    store.close()
