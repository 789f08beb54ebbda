"""What a SQLite file keeps of deleted rows: nothing once it is scrubbed, in the file and in its log."""

import random
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.store.sqlite import sqlite_layers
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.contract.test_evidence import write

MARK = "MARKED"
START = 1_795_000_200 // DAY_S * DAY_S


def raw(path: Path) -> bytes:
    return b"".join(path.with_name(path.name + end).read_bytes() for end in ("", "-wal"))


def scrubbed(store: SqliteStore) -> None:
    for _ in store.scrub():
        pass


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
        store._run("INSERT INTO records VALUES ('notes', 'large', 0, zeroblob(?), 0)", size)
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
            while not written:
                time.sleep(0.01)
            scrubbed(store)
            before = len(written)
            while len(written) == before:
                time.sleep(0.01)
        finally:
            stop.set()
            thread.join()
        assert len(written) == len(store.records("notes", limit=len(written) + 1))
        scrubbed(store)


def read(reader: sqlite3.Connection) -> None:
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM records").fetchone()


def test_a_reader_that_began_before_a_scrub_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_layers, "PAUSE_S", 0)
    path, written_anew = tmp_path / "wattfall.db", list[str]()

    def note(statement: str) -> None:
        if statement == "VACUUM":
            written_anew.append(statement)
            read(reader)

    with closing(erased(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        store._database.set_trace_callback(note)
        for number, _ in enumerate(store.scrub()):
            assert number < 4
            if number == 3:
                reader.execute("COMMIT")
        assert len(written_anew) == 1
        assert MARK.encode() not in raw(path)


def test_scrubs_beside_a_long_reader_do_not_lengthen_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_layers, "PAUSE_S", 0)
    path = tmp_path / "wattfall.db"
    log = path.with_name("wattfall.db-wal")
    with closing(erased(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        store._one("PRAGMA wal_checkpoint(TRUNCATE)")
        store.put_record("notes", "last", "x")
        read(reader)
        before = log.stat().st_size
        for _ in range(3):
            with pytest.raises(StoreAway, match="is read by others"):
                scrubbed(store)
        assert log.stat().st_size == before
        reader.execute("COMMIT")
        scrubbed(store)
        assert (log.stat().st_size, MARK.encode() in raw(path)) == (0, False)


def test_a_scrub_begins_only_with_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wattfall.db"
    with closing(erased(path)) as store:
        used = store._one("PRAGMA page_count")[0] - store._one("PRAGMA freelist_count")[0]
        need, asked = 2 * used * 8192, list[Path]()

        def usage(free: int, folder: Path) -> SimpleNamespace:
            asked.append(folder)
            return SimpleNamespace(free=free)

        monkeypatch.setattr(shutil, "disk_usage", partial(usage, need - 1))
        with pytest.raises(StoreUnusable, match=r"to write it anew needs \d+ MB of its disk, which has \d+ MB free"):
            scrubbed(store)
        assert MARK.encode() in raw(path)
        monkeypatch.setattr(shutil, "disk_usage", partial(usage, need))
        scrubbed(store)
        assert asked == [tmp_path] * 2
        assert MARK.encode() not in raw(path)
