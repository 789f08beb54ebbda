"""The embedded store's file: schema, connections, transactions, and the translation of SQLite's errors.

`synchronous=FULL`: acknowledged writes survive a killed process and a power cut. Each thread has its own connection.
"""

import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aggregator.core.errors import Damaged, StoreAway, StoreUnusable
from aggregator.core.periods import LEVELS

Row = TypeVar("Row")

APPLICATION_ID = 0x57415454  # "WATT"
VERSION = 1  # of the schema; a change needs a new one, a migration, and a test with a file of the version before
BUSY_S = 30  # longest wait for another process's write
_SCHEMA = f"""
CREATE TABLE devices (device_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE device_terms (term TEXT, device_id TEXT, PRIMARY KEY (term, device_id)) WITHOUT ROWID;
CREATE TABLE live (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL, received_at INTEGER NOT NULL, power_w INTEGER,
    import_wh INTEGER, export_wh INTEGER, meter_id TEXT, power_at INTEGER, import_at INTEGER, export_at INTEGER,
    arrivals TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE recent (device_id TEXT, at INTEGER, power_w INTEGER, import_wh INTEGER, export_wh INTEGER, meter_id TEXT,
    volume_l INTEGER, written INTEGER NOT NULL, PRIMARY KEY (device_id, at)) WITHOUT ROWID;
CREATE TABLE readings (device_id TEXT, start INTEGER, written INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
CREATE TABLE intervals (device_id TEXT, start INTEGER, end INTEGER, import_wh INTEGER, export_wh INTEGER, source TEXT,
    volume_l INTEGER, written INTEGER NOT NULL, PRIMARY KEY (device_id, start, end)) WITHOUT ROWID;
CREATE TABLE horizons (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE prices (device_id TEXT, start INTEGER, import_price TEXT, export_price TEXT,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
CREATE TABLE records (shelf TEXT, key TEXT, expires INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (shelf, key)) WITHOUT ROWID;
CREATE INDEX records_that_expire ON records (expires) WHERE expires > 0;
CREATE TABLE aside (device_id TEXT, level TEXT, key TEXT, reason TEXT NOT NULL, body BLOB,
    PRIMARY KEY (device_id, level, key)) WITHOUT ROWID;
CREATE TABLE changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, level TEXT NOT NULL, device_id TEXT NOT NULL,
    key TEXT NOT NULL, since INTEGER NOT NULL, UNIQUE (level, device_id, key));
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
_LEVEL_TABLE = """
CREATE TABLE IF NOT EXISTS {table} (device_id TEXT, period TEXT, created INTEGER NOT NULL, changed INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (device_id, period)) WITHOUT ROWID
"""
_MENDS = {
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its folder writable",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full; free some space",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "is not a Wattfall store; name another file",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk",
    sqlite3.SQLITE_PERM: "may not be opened; check its permissions",
}


class SqliteFile:
    """An open file; a missing file is created."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Open or create the file and its folder. Raises StoreUnusable."""
        self._path, self._clock = path, clock
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(f"{path} cannot be opened: {error.strerror}") from error
        with self._translated_errors():
            self._prepare()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._local = threading.local()

    def now(self) -> int:
        """Return the store's clock, UTC seconds."""
        return int(self._clock())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run one transaction with the write lock from its start. Joins an open transaction."""
        with self._translated_errors():
            database = self._database
            if database.in_transaction:
                yield
                return
            database.execute("BEGIN IMMEDIATE")
            try:
                yield
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate SQLite's errors into StoreAway and StoreUnusable."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreAway(f"{self._path} is busy: another process has been writing for {BUSY_S} s")
        if code in _MENDS:
            return StoreUnusable(f"{self._path} {_MENDS[code]}")
        return StoreUnusable(f"{self._path} cannot be used: {error}")

    @property
    def _database(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is None:
            database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            for pragma in ("synchronous = FULL", "cache_size = -16384", "mmap_size = 1073741824"):
                database.execute(f"PRAGMA {pragma}")
            self._connections.append(database)
            self._local.database = database
        return database

    def _prepare(self) -> None:
        if not self._is_ours():
            self._run("PRAGMA page_size = 8192")  # applies to a new file only
            with self.transaction():
                self._create()
        self._write_ahead()
        self._add_levels()

    def _is_ours(self) -> bool:
        """Whether the file has our schema. Raises StoreUnusable for one of a newer Wattfall."""
        application, version = (self._one(f"PRAGMA {name}")[0] for name in ("application_id", "user_version"))
        if version > VERSION and application == APPLICATION_ID:
            raise StoreUnusable(
                f"{self._path} was written by a newer Wattfall (format {version}, this one knows {VERSION});"
                " upgrade Wattfall or name another file"
            )
        return bool(application == APPLICATION_ID)

    def _create(self) -> None:
        """Make the tables of an empty file, completely or not at all. Raises StoreUnusable for a foreign file."""
        if self._is_ours():  # another process was first
            return
        if self._one("SELECT 1 FROM sqlite_master"):
            raise StoreUnusable(f"{self._path} {_MENDS[sqlite3.SQLITE_NOTADB]}")
        for statement in _SCHEMA.split(";"):
            self._run(statement)

    def _add_levels(self) -> None:
        """Create the missing tables of levels."""
        present = {name for (name,) in self._all("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for level in LEVELS.values():
            if level.table not in present:
                self._run(_LEVEL_TABLE.format(table=level.table))

    def _write_ahead(self) -> None:
        """Set WAL mode, waiting for other processes: SQLite's busy timeout does not cover this pragma."""
        deadline = time.monotonic() + BUSY_S
        while self._one("PRAGMA journal_mode")[0] == "delete":
            try:
                self._run("PRAGMA journal_mode = WAL")
            except StoreAway:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _one(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a row, by its query
        try:  # without a context manager, which takes a third of a small read
            return self._database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._translated_errors():
            return self._database.execute(query, values).fetchall()

    def _run(self, statement: str, *values: object) -> int:
        with self._translated_errors():
            return self._database.execute(statement, values).rowcount

    def _many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self._translated_errors():
            self._database.executemany(statement, rows)

    def _intact(self, read: Callable[..., Row], *values: object) -> Row:
        """Decode a stored value with `read`; `values` are its key, then the value. Raises Damaged."""
        try:
            return read(*values)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            key = ", ".join(map(str, values[:-1])) or "a row"
            raise Damaged(f"{self._path} is damaged: {key}: {error}; restore it from a backup") from error
