"""Copies of a store's file: made while it is in use, inspected, and put in its place.

A copy is one snapshot in one file, without a write-ahead log. It is read a few pages at a time, and writers go on
meanwhile: the snapshot only keeps SQLite from shortening the log.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from aggregator.core.errors import ConfigurationError, StoreUnusable
from aggregator.core.periods import LEVELS
from aggregator.store.sqlite.sqlite_file import translated
from aggregator.store.sqlite.sqlite_schema import SCHEMA, VERSION
from aggregator.store.stored_records import crc_of

PAGES = 64  # copied at once, 8 KB each
_SHARED_LOCK = (510, 0x40000002)  # length and first byte that every connection to a file in WAL mode locks (SQLite)
_EVIDENCE = ("readings", "recent", "intervals", "layers")
_COUNTED = ("devices", *(level.table for level in LEVELS.values()), *_EVIDENCE, "records")


def copy_file(source: Path, target: Path, pause: Callable[[], object]) -> None:
    """Copy a store that may be in use to a new file of its owner alone; durable on return.

    `pause` is called after each PAGES pages; what it raises ends the copy. Raises StoreUnusable.
    """
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(_opened(source, "ro")) as old, closing(_opened(target, "rw")) as new:
            old.execute("BEGIN")
            old.execute("SELECT 1 FROM sqlite_master").fetchone()  # from here on one snapshot
            new.execute("PRAGMA synchronous = OFF")
            old.backup(new, pages=PAGES, progress=lambda *_: pause())
    except sqlite3.Error as error:
        raise translated(str(source), error) from error
    except OSError as error:
        raise StoreUnusable(f"{error.filename or target} cannot be written: {error.strerror}") from error
    _sync(target)


def check_pages(path: Path) -> None:
    """Let SQLite check each page of a file. Raises StoreUnusable that names the first faults."""
    try:
        with closing(_opened(path, "ro")) as database:
            faults = [line for (line,) in database.execute("PRAGMA integrity_check(3)") if line != "ok"]
    except sqlite3.Error as error:
        raise translated(str(path), error) from error
    if faults:
        raise StoreUnusable(
            f"{path} is damaged: {'; '.join(faults)}; put a backup in its place with `wattfall restore`"
        )


def check_form(path: Path) -> None:
    """Compare the tables of a file with those that this Wattfall makes. Raises StoreUnusable that names the others.

    A file that was made while its version was in the making says this version, and has other columns.
    """
    try:
        with closing(_opened(path, "ro")) as database, closing(sqlite3.connect(":memory:")) as made:
            made.create_function("check_value", -1, crc_of, deterministic=True)
            made.executescript(SCHEMA)
            tables = [name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            is_this = database.execute("PRAGMA user_version").fetchone()[0] == VERSION
            odd = [name for name in tables if is_this and _columns(database, name) != _columns(made, name)]
    except sqlite3.Error as error:
        raise translated(str(path), error) from error
    if odd:
        raise StoreUnusable(f"{path} has another form of {', '.join(odd)}; fill a new store")


def _columns(database: sqlite3.Connection, table: str) -> set[tuple[object, ...]]:
    return {(*row[1:4], row[5]) for row in database.execute(f"PRAGMA table_info({table})")}


def counts(path: Path) -> dict[str, int]:
    """Return the number of rows of each table of a file; one of an earlier version has fewer tables."""
    try:
        with closing(_opened(path, "ro")) as database:
            present = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            tables = [name for name in _COUNTED if name in present]
            return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}  # noqa: S608 - constants
    except sqlite3.Error as error:
        raise translated(str(path), error) from error


def without_log(path: Path) -> None:
    """Make a copy that nobody has open one file again, which can be moved alone."""
    try:
        with closing(_opened(path, "rw")) as database:
            database.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise translated(str(path), error) from error
    _sync(path)


@contextmanager
def unopened(path: Path) -> Iterator[None]:
    """Hold a store's file so that no process can open it. Raises ConfigurationError where one has it open."""
    if not path.exists():
        yield
        return
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *_SHARED_LOCK)
        except OSError:
            raise ConfigurationError(
                f"{path} is open in another process; stop worker, web and commands first"
            ) from None
        yield


def replace_file(path: Path, new: Path, former: Path) -> None:
    """Move a store and its log to `former`, and a copy without a log into its place. Raises StoreUnusable."""
    try:
        with suppress(FileNotFoundError):
            path.rename(former)
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # the log belongs to the former file: over another one it destroys it
            path.with_name(path.name + "-wal").rename(former.with_name(former.name + "-wal"))
        put_in_place(path, new)
    except OSError as error:
        raise StoreUnusable(f"{error.filename} cannot be moved: {error.strerror}") from error


def put_in_place(path: Path, new: Path) -> None:
    """Give a file its name, durably."""
    new.rename(path)
    _sync(path.parent)


def remove(path: Path) -> None:
    """Delete a file that SQLite has made, with those beside it."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
