"""A store file, its log or its index that is deleted, moved, replaced or cut under an open store."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core.errors import StoreReplaced
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.operations.backup import back_up
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain

NOW = 1_790_000_000
AGAIN = ["2026-01-01"]


def filled(path: Path) -> SqliteStore:
    """Return a store with a device, readings and documents; all of it is in the log."""
    store = SqliteStore(str(path))
    ingest(store, [Reading("d", NOW - 90_000 + n * 600, 200, 1000 + n * 30, n) for n in range(100)], NOW, "UTC")
    drain(store)
    return store


def deleted(path: Path) -> None:
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def replaced(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.db"))
    path.with_name("copy.db").replace(path)


GONE = [deleted, moved, replaced]


@pytest.mark.parametrize("fault", GONE)
def test_no_write_to_a_replaced_file_is_acknowledged(tmp_path: Path, fault: Callable[[Path], None]) -> None:
    path = tmp_path / "wattfall.db"
    store = filled(path)
    fault(path)
    left = sorted(tmp_path.iterdir())
    with pytest.raises(StoreReplaced, match=r"wattfall\.db was deleted, moved or replaced while it was in use"):
        ingest(store, [Reading("d", NOW, 200, 9000, None)], NOW, "UTC")
    with ThreadPoolExecutor(1) as another_thread, pytest.raises(StoreReplaced):
        another_thread.submit(store.mark, "day", "d", AGAIN).result()
    assert sorted(tmp_path.iterdir()) == left
    store.close()


@pytest.mark.parametrize("fault", GONE)
def test_a_file_that_is_replaced_during_a_write_acknowledges_nothing(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    store = filled(tmp_path / "wattfall.db")

    def write_meanwhile() -> None:
        with store.transaction():
            store.mark("day", "d", AGAIN)
            fault(tmp_path / "wattfall.db")

    with pytest.raises(StoreReplaced):
        write_meanwhile()
    store.close()


def cut_log(path: Path) -> None:
    os.truncate(f"{path}-wal", 0)


def cut_end_of_log(path: Path) -> None:
    os.truncate(f"{path}-wal", Path(f"{path}-wal").stat().st_size - 20_000)  # two frames and more


def deleted_log(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def deleted_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def replaced_log(path: Path) -> None:
    replaced(Path(f"{path}-wal"))


def carried_over(path: Path) -> None:
    """Move what is in the log to the file, as SQLite does by itself; other programs shorten the log too."""
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def cut_file(path: Path) -> None:
    carried_over(path)
    os.truncate(path, path.stat().st_size - 5000)


def cut_file_beside_a_log(path: Path) -> None:
    carried_over(path)
    with closing(SqliteStore(str(path))) as store:
        store.put_record("notes", "a", "is not in the file yet")
    os.truncate(path, path.stat().st_size - 50_000)


PARTS = [
    (cut_log, "-wal was cut"),
    (cut_end_of_log, "-wal was cut"),
    (deleted_log, "-wal was deleted, moved or replaced"),
    (replaced_log, "-wal was deleted, moved or replaced"),
    (deleted_index, "-shm was deleted, moved or replaced"),
    (cut_file, " was cut"),
    (cut_file_beside_a_log, " was cut"),
]


@pytest.mark.parametrize(("fault", "message"), PARTS)
def test_no_write_beside_a_cut_or_replaced_part_is_acknowledged(
    tmp_path: Path, fault: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as first, closing(SqliteStore(str(path))) as second:
        fault(path)
        for store in (first, second):
            with pytest.raises(StoreReplaced, match=rf"wattfall\.db{message} while it was in use; stop all processes"):
                store.mark("day", "d", AGAIN)


def test_a_read_of_a_file_that_was_cut_names_it_and_ends_no_process(tmp_path: Path) -> None:
    """A process that has the file mapped into its memory would be ended by the system."""
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as first:
        with first.transaction():
            for number in range(200):
                first.put_record("notes", f"{number:03d}", "x" * 9000)
        carried_over(path)
        with closing(SqliteStore(str(path))) as second:
            assert second.record("notes", "000")
            os.truncate(path, 100_000)
            with pytest.raises(StoreReplaced, match=r"wattfall\.db was cut while it was in use"):
                second.records("notes")


def test_a_file_that_loses_a_page_beside_a_long_log_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        carried_over(path)
        store.check()
        store.put_record("notes", "a", "is not in the file yet" * 5000)
        os.truncate(path, path.stat().st_size - 5000)
        with pytest.raises(StoreReplaced, match=r"wattfall\.db was cut while it was in use"):
            store.mark("day", "d", AGAIN)


@pytest.mark.parametrize("fault", [cut_log, cut_end_of_log, deleted_log, replaced_log, deleted_index])
def test_a_part_that_is_cut_or_replaced_during_a_write_acknowledges_nothing(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:

        def write_meanwhile() -> None:
            with store.transaction():
                store.mark("day", "d", AGAIN)
                fault(path)

        with pytest.raises(StoreReplaced):
            write_meanwhile()


def raw_copy(path: Path) -> Path:
    return Path(shutil.copy(path, path.with_name("copy.db")))


def backup(path: Path) -> Path:
    back_up(f"sqlite:///{path}", path.with_name("copy.db"))
    return path.with_name("copy.db")


@pytest.mark.parametrize("make_copy", [raw_copy, backup])
def test_an_older_copy_over_the_file_is_noticed(tmp_path: Path, make_copy: Callable[[Path], Path]) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store:
        carried_over(path)
        copy = make_copy(path)
        for number in range(200):
            store.put_record("notes", str(number), "a note " * 500)
        carried_over(path)
        store.check()
        shutil.copyfile(copy, path)
        with pytest.raises(StoreReplaced, match=r"wattfall\.db was overwritten with a copy"):
            store.mark("day", "d", AGAIN)


@pytest.mark.parametrize("kind", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_a_checkpoint_of_another_process_passes_the_check(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "wattfall.db"
    with closing(filled(path)) as store, closing(sqlite3.connect(path)) as other:
        for number in range(60):
            store.put_record("notes", "a", f"{number} " * 5000)
            other.execute(f"PRAGMA wal_checkpoint({kind})")
            store.check()
        other.execute("VACUUM")
        store.check()


def test_an_untouched_file_passes_the_check(tmp_path: Path) -> None:
    store = filled(tmp_path / "wattfall.db")
    store.check()
    SqliteStore(str(tmp_path / "wattfall.db")).close()
    store.check()
    store.close()
    store.check()


# What a program does with an open store: to its own file, as other processes of Wattfall do
WRITES = {
    "grow": lambda other: other.execute("INSERT INTO notes VALUES (NULL, zeroblob(20000))"),
    "write the newest again": lambda other: other.execute(
        "UPDATE notes SET body = randomblob(20000) WHERE key = (SELECT max(key) FROM notes)"
    ),
    "shrink": lambda other: other.execute("DELETE FROM notes WHERE key % 3 > 0"),
    "carry over": lambda other: other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall(),
    "write anew": lambda other: other.execute("VACUUM"),
}
READS = ("begin to read", "end to read")


@given(st.lists(st.sampled_from([*WRITES, *READS]), max_size=40))
@example(["grow", "begin to read", "write the newest again", "carry over"])  # the file lacks its last page
def test_whatever_others_read_write_and_carry_over_passes_the_check(works: list[str]) -> None:
    with TemporaryDirectory() as folder, closing(SqliteStore(f"{folder}/wattfall.db")) as store:
        path = f"{folder}/wattfall.db"
        with closing(connected(path)) as writer, closing(connected(path)) as reader:
            writer.execute("CREATE TABLE notes (key INTEGER PRIMARY KEY, body BLOB)")
            for work in works:
                if work in WRITES:
                    with suppress(sqlite3.OperationalError):  # a reader is in the way
                        WRITES[work](writer)
                else:
                    reader.rollback()
                    if work == "begin to read":
                        reader.execute("BEGIN").execute("SELECT count(*) FROM notes").fetchall()
                store.check()


def connected(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None)
