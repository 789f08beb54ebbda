"""The embedded store's file: connections, transactions, and the translation of errors.

`synchronous=FULL`: acknowledged writes survive a killed process and a power cut. Each thread has its own connection,
which ends with it. The file is not mapped into memory: where a mapped file is cut, the system ends the process
without a word.
"""

import os
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from aggregator.core.errors import Damaged, StoreAway, StoreReplaced, StoreUnusable
from aggregator.core.periods import LEVELS
from aggregator.store.sqlite.sqlite_schema import APPLICATION_ID, LEVEL_TABLE, MIGRATIONS, SCHEMA, VERSION
from aggregator.store.sqlite.sqlite_watch import FileWatch
from aggregator.store.stored_records import crc_of

Row = TypeVar("Row")
_JOINED = nullcontext()  # in an open transaction

BUSY_S = 30.0  # longest wait for another's write, where nobody waits for an answer
_PRAGMAS = ("synchronous = FULL", "cache_size = -16384", "secure_delete = FAST")
RESTORE = "put a backup in its place with `wattfall restore`"
_MENDS = {
    sqlite3.SQLITE_READONLY: "is read-only; make the file and its folder writable",
    sqlite3.SQLITE_FULL: "cannot grow, its disk or that of temporary files is full; free some space",
    sqlite3.SQLITE_CORRUPT: f"is damaged; {RESTORE}",
    sqlite3.SQLITE_NOTADB: "is not a Wattfall store; name another file",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; check that its folder exists and is writable",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk",
    sqlite3.SQLITE_PERM: "may not be opened; check its permissions",
}
_MISSING = {
    True: "cannot be created: its folder does not exist",
    False: "does not exist; correct WATTFALL_STORE or --store",
}


class _Held:
    """A thread's connection, which is closed when the thread ends."""

    def __init__(self, connection: sqlite3.Connection, every: set[sqlite3.Connection]) -> None:
        self.connection, self._every = connection, every
        every.add(connection)

    def __del__(self) -> None:
        self._every.discard(self.connection)
        self.connection.close()


class SqliteFile:
    """An open file. No answer is given for a write unless the path still leads to this file."""

    committed: Callable[[], object] = staticmethod(lambda: None)  # called after each transaction

    def __init__(
        self, path: str, clock: Callable[[], float] = time.time, busy_s: float = BUSY_S, *, may_create: bool = True
    ) -> None:
        """Open the file, or create it; `busy_s` is the longest wait for the write lock. Raises StoreUnusable."""
        self._path, self._clock, self._busy_s, self._may_create = path, clock, busy_s, may_create
        self._local = threading.local()
        self._connections = set[sqlite3.Connection]()
        self._uri = f"{Path(path).absolute().as_uri()}?mode=rw"  # SQLite itself never creates the file
        self._watch = self._found()
        try:
            self._prepare()
            self._first = self._local.held  # stays, and with it the log, whichever threads end
            self._watch.begin()
        except sqlite3.Error as error:
            raise translated(self._path, error) from error
        except OSError as error:
            raise StoreUnusable(f"{error.filename} cannot be reached: {error.strerror}") from error
        self.check()

    def close(self) -> None:
        """Close all connections."""
        self._watch.end()
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()
        self._local = threading.local()

    def check(self) -> None:
        """Raise StoreReplaced where a file of the store is not the one that was opened, or was cut."""
        try:
            fault = self._watch.fault()
        except OSError as error:
            raise StoreUnusable(f"{self._path} cannot be reached: {error.strerror}") from error
        if fault:
            raise StoreReplaced(
                f"{fault} while it was in use; stop all processes, then put it back, or a backup in its place with"
                " `wattfall restore`"
            )

    def now(self) -> int:
        """Return the store's clock, UTC seconds."""
        return int(self._clock())

    @property
    def has_one_writer(self) -> bool:
        """True: the file has one write lock."""
        return True

    def transaction(self, *, is_patient: bool = True) -> AbstractContextManager[None]:
        """Run one transaction with the write lock from its start. Joins an open transaction.

        Raises StoreAway when the lock is not free: after a wait, or at once unless `is_patient`.
        """
        return _JOINED if self._database.in_transaction else self._transaction(is_patient=is_patient)

    @contextmanager
    def _transaction(self, *, is_patient: bool) -> Iterator[None]:
        database = self._database
        try:
            self._begin(database, is_patient=is_patient)
            try:
                self.check()
                self._recall()
                yield
                database.execute("COMMIT")
                self.check()  # what was committed to a file that is gone is lost
                self.committed()
            except BaseException:
                self._forget()
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _begin(self, database: sqlite3.Connection, *, is_patient: bool) -> None:
        if is_patient:
            database.execute("BEGIN IMMEDIATE")
            return
        database.execute("PRAGMA busy_timeout = 0")
        try:
            database.execute("BEGIN IMMEDIATE")
        finally:
            database.execute(f"PRAGMA busy_timeout = {int(1000 * self._busy_s)}")

    def _recall(self) -> None:
        """Begin a transaction: what this thread remembers is true until its end, or forgotten."""
        self._local.document = None
        version = self._one("PRAGMA data_version")[0]
        if version != getattr(self._local, "version", None):
            self._forget()
            self._local.version = version

    def _forget(self) -> None:
        """Forget what this thread remembers of the file."""
        self._local.devices, self._local.newest, self._local.dirty = {}, {}, {}

    @property
    def _database(self) -> sqlite3.Connection:
        database: sqlite3.Connection | None = getattr(self._local, "database", None)
        if database is None:
            database = self._local.database = self._connect()
        return database

    def _connect(self) -> sqlite3.Connection:
        """Return a new connection to the file. Raises StoreUnusable."""
        self.check()
        try:
            database = sqlite3.connect(self._uri, self._busy_s, isolation_level=None, check_same_thread=False, uri=True)
            self._local.held = _Held(database, self._connections)
            database.create_function("check_value", -1, crc_of, deterministic=True)
            for pragma in _PRAGMAS:
                database.execute(f"PRAGMA {pragma}")
        except sqlite3.Error as error:
            raise self._error(error) from error
        self.check()
        return database

    def _found(self) -> FileWatch:
        """Find or create the file. Raises StoreUnusable."""
        try:
            if self._may_create:
                with suppress(FileExistsError):
                    os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # -wal and -shm likewise
            return FileWatch(self._path)
        except FileNotFoundError:
            raise StoreUnusable(f"{self._path} {_MISSING[self._may_create]}") from None
        except OSError as error:
            raise StoreUnusable(f"{self._path} cannot be opened: {error.strerror}") from error

    def _prepare(self) -> None:
        if not self._is_ours():
            self._run("PRAGMA page_size = 8192")  # applies to a new file only
            with self.transaction():
                self._create()
        self._write_ahead()
        self._migrate()
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
        if not self._may_create or self._one("SELECT 1 FROM sqlite_master"):
            raise StoreUnusable(f"{self._path} {_MENDS[sqlite3.SQLITE_NOTADB]}")
        for statement in SCHEMA.split(";"):
            self._run(statement)

    def _migrate(self) -> None:
        """Bring a file of an earlier version to this one."""
        with nullcontext() if self._one("PRAGMA user_version")[0] == VERSION else self.transaction():
            version = self._one("PRAGMA user_version")[0]
            for number, statements in enumerate(MIGRATIONS[version - 1 :], version + 1):  # unless another process did
                for statement in statements.split(";"):
                    self._run(statement)
                self._run(f"PRAGMA user_version = {number}")

    def _add_levels(self) -> None:
        """Create the missing tables of levels."""
        present = {name for (name,) in self._all("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for level in LEVELS.values():
            if level.table not in present:
                self._run(LEVEL_TABLE.format(table=level.table))

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
        try:
            return self._database.execute(query, values).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _each(self, query: str, *values: object) -> Generator[Any, None, None]:
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _all(self, query: str, *values: object) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _run(self, statement: str, *values: object) -> int:
        try:
            return self._database.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        try:
            return self._database.executemany(statement, rows).rowcount
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> Exception:
        """Translate an error; raise StoreReplaced where it comes from a file that is gone, cut or another one."""
        self.check()
        return translated(self._path, error)

    def _intact(self, read: Callable[..., Row], *values: object) -> Row:
        """Decode a stored value with `read`; `values` are its key, then the value. Raises Damaged."""
        try:
            return read(*values)
        except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
            key = ", ".join(map(str, values[:-1][:3]))
            raise Damaged(f"{self._path} is damaged: {key}: {error}; {RESTORE}") from error


def translated(path: str, error: sqlite3.Error) -> Exception:
    """Translate SQLite's errors about a file into StoreAway and StoreUnusable."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreAway(f"{path} is busy: another process is writing; try again")
    if code == sqlite3.SQLITE_CANTOPEN and os.access(path, os.R_OK) and not os.access(Path(path).parent, os.W_OK):
        code = sqlite3.SQLITE_READONLY  # SQLite writes beside the file even to read it
    if code in _MENDS:
        return StoreUnusable(f"{path} {_MENDS[code]}")
    if "decode to UTF-8" in str(error):  # of one row; Python gives it no code
        return Damaged(f"{path} is damaged: {error}; {RESTORE}")
    return StoreUnusable(f"{path} cannot be used: {error}")
