"""What a SQLite file keeps of deleted rows: nothing once it is scrubbed, in the file and in its log."""

import random
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.contract.test_evidence import write

MARK = "MARKED"
START = 1_795_000_200 // DAY_S * DAY_S


def raw(path: Path) -> bytes:
    return b"".join(path.with_name(path.name + end).read_bytes() for end in ("", "-wal"))


def scrubbed(store: SqliteStore) -> None:
    while store.scrub():
        time.sleep(0.01)


def filled(path: Path) -> SqliteStore:
    """A store in which rows of two devices lie between each other, have moved, and were packed."""
    store, chance = SqliteStore(str(path)), random.Random(1)
    for hour in range(150):
        for device_id, meter in (("home", MARK), ("other", "kept")):
            ats = [START + hour * 3600 + chance.randrange(3600) for _ in range(20)]
            write(store, [Reading(device_id, at, None, at, None, meter) for at in sorted(set(ats))], START)
            store.put_record(f"signal/{device_id}", f"{chance.randrange(40)}", f"{meter} " * chance.randrange(900))
        if hour % 5 == 4:
            store.pack(START + hour * 3600, 50)
    return store


def erased(path: Path) -> SqliteStore:
    store = filled(path)
    store.erase_evidence("home", 0, START + 400 * DAY_S)
    store.drop_live("home")
    for record in store.records("signal/home"):
        store.drop_record("signal/home", record.key)
    assert MARK.encode() in raw(path)
    return store


@pytest.mark.parametrize("size", [0, 33 << 20], ids=["small", "large"])
def test_a_scrubbed_file_holds_no_byte_of_deleted_rows(tmp_path: Path, size: int) -> None:
    path = tmp_path / "wattfall.db"
    with closing(erased(path)) as store:
        store._run("INSERT INTO records VALUES ('notes', 'large', 0, zeroblob(?))", size)
        scrubbed(store)
        assert MARK.encode() not in raw(path)
        assert raw(path).count(b"kept") > 100


def test_a_scrubbed_file_is_not_taken_for_an_older_copy(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    with closing(SqliteStore(str(path))) as store:
        for number in range(200):
            store.put_record("notes", f"{number}", "x" * 3000)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        store.check()
        before = path.stat().st_size
        for number in range(200):
            store.drop_record("notes", f"{number}")
        scrubbed(store)
        assert path.stat().st_size < before / 5
        store.check()


def test_others_write_while_a_file_is_scrubbed(tmp_path: Path) -> None:
    written, stop = list[int](), threading.Event()
    with closing(erased(tmp_path / "wattfall.db")) as store:

        def write_on() -> None:
            while not stop.is_set():
                store.put_record("notes", f"{len(written)}", "x")
                written.append(1)

        thread = threading.Thread(target=write_on)
        thread.start()
        try:
            while not written or (store.scrub() and len(written) < 500):
                pass
        finally:
            stop.set()
            thread.join()
        assert len(written) == len(store.records("notes", limit=10_000))
        scrubbed(store)
