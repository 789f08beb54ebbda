"""The embedded store: SQLite in WAL mode, with a change feed in the transaction of each write.

| table | key | a row is |
|---|---|---|
| `readings` | device, start of a UTC half hour | a packed block (`blocks`), and when it was last written |
| `days`, `months`, `years` | device, period | a document in its wire form (`documents`) |
| `live`, `devices`, `horizons` | device | the newest reading; the registry; what readings have expired |
| `prices` | device, start of a UTC half hour | what a kWh costs and earns, as decimal text |
| `changes` | table, device, key | a dirty key; dirtied again it gets a new sequence number |
| `aside` | device, table, key | a dirty key that cannot be carried on, and why |

`synchronous=FULL`: what was acknowledged survives a killed process and a power cut. Every thread has a connection.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import orjson

from aggregator.blocks import pack, unpack
from aggregator.documents import Device, Document, Live, Part, decode, encode
from aggregator.errors import Damaged, StoreAway, StoreUnusable
from aggregator.rates import Series
from aggregator.readings import Reading
from aggregator.store.base import Backlog, Blocks, Change, Written

APPLICATION_ID = 0x57415454  # "WATT"
VERSION = 1
BUSY_S = 30  # how long a call waits for another process's write
Row = TypeVar("Row")

_FOLLOWED = ("day", "month")  # levels that another one is made from
_TABLES = {"day": "days", "month": "months", "year": "years"}
_SCHEMA = f"""
CREATE TABLE devices (device_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE live (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE horizons (device_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE prices (device_id TEXT, start INTEGER, import_price TEXT, export_price TEXT,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
CREATE TABLE readings (device_id TEXT, start INTEGER, written INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (device_id, start)) WITHOUT ROWID;
{
    "".join(
        f'''CREATE TABLE {table} (device_id TEXT, period TEXT, body BLOB NOT NULL,
    PRIMARY KEY (device_id, period)) WITHOUT ROWID;
'''
        for table in _TABLES.values()
    )
}
CREATE TABLE aside (device_id TEXT, level TEXT, key TEXT, reason TEXT NOT NULL,
    PRIMARY KEY (device_id, level, key)) WITHOUT ROWID;
CREATE TABLE changes (sequence INTEGER PRIMARY KEY AUTOINCREMENT, level TEXT NOT NULL, device_id TEXT NOT NULL,
    key TEXT NOT NULL, since INTEGER NOT NULL, UNIQUE (level, device_id, key));
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
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


class SqliteStore:
    """The port on one SQLite file."""

    def __init__(self, path: str) -> None:
        """Open the file, creating it and its folder. Raises StoreUnusable."""
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnusable(f"{path} cannot be opened: {error.strerror}") from error
        with self._door():
            self._prepare()

    def close(self) -> None:
        """Let go of the file."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._local = threading.local()

    @contextmanager
    def round(self) -> Iterator[None]:
        """One transaction, with the write lock from the start; joins the one that is open."""
        with self._door():
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

    def step(self, work: Callable[[], object]) -> None:
        """Run `work` in one transaction."""
        with self.round():
            work()

    # registry

    def device(self, device_id: str) -> Device | None:
        """A device, or None."""
        row = self._one("SELECT body FROM devices WHERE device_id = ?", device_id)
        return self._intact(_device, row[0]) if row else None

    def devices(self, after: str = "", limit: int = 1000) -> list[Device]:
        """Devices in the order of their ids, those after `after`."""
        rows = self._all("SELECT body FROM devices WHERE device_id > ? ORDER BY device_id LIMIT ?", after, limit)
        return [self._intact(_device, body) for (body,) in rows]

    def put_device(self, device: Device) -> None:
        """Add or replace a device."""
        with self.round():
            self._run("INSERT OR REPLACE INTO devices VALUES (?, ?)", device.device_id, orjson.dumps(device))

    # live state

    def live(self, device_id: str) -> Live | None:
        """The newest reading of a device, or None."""
        row = self._one("SELECT body FROM live WHERE device_id = ?", device_id)
        return self._intact(_live, row[0]) if row else None

    def put_live(self, states: Iterable[Live]) -> None:
        """Overwrite live states, each only by a newer instant."""
        with self.round():
            self._database.executemany(
                "INSERT INTO live VALUES (?, ?, ?) ON CONFLICT (device_id)"
                " DO UPDATE SET at = excluded.at, body = excluded.body WHERE excluded.at > live.at",
                [(state.device_id, state.at, orjson.dumps([*state])) for state in states],
            )

    # readings

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks; durable on return (of the round, where one is open)."""
        accepted = unchanged = 0
        rows = []
        with self.round():
            for (device_id, start), readings in sorted(blocks.items()):
                stored = {reading.at: reading for reading in self._block(device_id, start)}
                same = sum(stored.get(at) == reading for at, reading in readings.items()) if stored else 0
                unchanged += same
                accepted += len(readings) - same
                if same < len(readings):
                    merged = {**stored, **readings}
                    rows.append((device_id, start, now, pack(start, [merged[at] for at in sorted(merged)])))
            self._database.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", rows)
            self._mark([("readings", device_id, str(start)) for device_id, start, *_ in rows])
        return Written(accepted, unchanged)

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """The readings of the blocks that start from `first` to `last`, by time."""
        rows = self._all(
            "SELECT start, body FROM readings WHERE device_id = ? AND start BETWEEN ? AND ? ORDER BY start",
            device_id,
            first,
            last,
        )
        return [reading for start, body in rows for reading in self._intact(unpack, device_id, start, body)]

    def block_starts(self, device_id: str, at: int, count: int) -> list[int]:
        """The starts of `count` blocks with data after `at` (of `-count` before it), nearest first."""
        side, order = (">", "ASC") if count > 0 else ("<", "DESC")
        query = f"SELECT start FROM readings WHERE device_id = ? AND start {side} ? ORDER BY start {order} LIMIT ?"  # noqa: S608 - two constants
        return [start for (start,) in self._all(query, device_id, at, abs(count))]

    @property
    def expires_by_itself(self) -> bool:
        """Somebody has to sweep."""
        return False

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:
        """Remove settled old blocks; returns how many."""
        with self.round():
            return self._run(
                "DELETE FROM readings WHERE device_id = ?1 AND start < ?2 AND written < ?3 AND CAST(start AS TEXT)"
                " NOT IN (SELECT key FROM changes WHERE level = 'readings' AND device_id = ?1)",
                *(device_id, before, untouched_since),
            )

    def horizon(self, device_id: str) -> int:
        """Before this instant a half hour cannot be computed any more."""
        row = self._one("SELECT at FROM horizons WHERE device_id = ?", device_id)
        return int(row[0]) if row else 0

    def put_horizon(self, device_id: str, at: int) -> None:
        """Move the horizon on to `at`; it never moves back."""
        with self.round():
            self._run(
                "INSERT INTO horizons VALUES (?, ?) ON CONFLICT (device_id) DO UPDATE SET at = max(at, excluded.at)",
                *(device_id, at),
            )

    # documents

    def document(self, level: str, device_id: str, period: str) -> Document | None:
        """One chart, or None."""
        body = self._body(level, device_id, period)
        return self._intact(decode, level, device_id, period, body) if body else None

    def extent(self, level: str, device_id: str) -> tuple[str, str] | None:
        """The first and the last period with a document, or None."""
        row = self._one(f"SELECT min(period), max(period) FROM {_TABLES[level]} WHERE device_id = ?", device_id)  # noqa: S608 - a constant
        return (row[0], row[1]) if row and row[0] else None

    def periods(self, level: str, device_id: str) -> list[str]:
        """All periods with a document, in order."""
        rows = self._all(f"SELECT period FROM {_TABLES[level]} WHERE device_id = ? ORDER BY period", device_id)  # noqa: S608 - a constant
        return [period for (period,) in rows]

    def merge_parts(
        self,
        level: str,
        device_id: str,
        period: str,
        timezone: str,
        parts: Mapping[str, Part | None],
        currency: str = "",
    ) -> bool:
        """Replace the named parts of a document (None removes one). True when that changed anything."""
        with self.round():
            body = self._body(level, device_id, period)
            stored = self._intact(decode, level, device_id, period, body).parts if body else {}
            merged = {**stored, **parts}
            present = {name: part for name, part in merged.items() if part is not None}
            replaced = encode(timezone, currency, present) if present else None
            if replaced == body:
                return False
            if replaced:
                self._run(f"INSERT OR REPLACE INTO {_TABLES[level]} VALUES (?, ?, ?)", device_id, period, replaced)  # noqa: S608 - a constant
            else:
                self._run(f"DELETE FROM {_TABLES[level]} WHERE device_id = ? AND period = ?", device_id, period)  # noqa: S608 - a constant
            if level in _FOLLOWED:
                self._mark([(level, device_id, period)])
        return True

    # half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """The prices of the UTC half hours that start from `first` to `last`."""
        query = "SELECT start, import_price, export_price FROM prices WHERE device_id = ? AND start BETWEEN ? AND ?"
        rows = self._all(query, device_id, first, last)
        return Series(
            {start: Decimal(price) for start, price, _ in rows if price is not None},
            {start: Decimal(price) for start, _, price in rows if price is not None},
        )

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace those of the same half hours."""
        with self.round():
            for column, prices in (("import_price", series.import_prices), ("export_price", series.export_prices)):
                self._database.executemany(
                    f"INSERT INTO prices (device_id, start, {column}) VALUES (?, ?, ?)"  # noqa: S608 - a constant
                    f" ON CONFLICT (device_id, start) DO UPDATE SET {column} = excluded.{column}",
                    [(device_id, start, f"{price:f}") for start, price in prices.items()],
                )

    # change feed

    def follow(self) -> None:
        """Nothing to do: the feed is in the file, for every process."""

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Make keys dirty by hand."""
        with self.round():
            self._mark([(table, device_id, key) for key in keys])

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest change records of a table."""
        query = "SELECT sequence, level, device_id, key FROM changes WHERE level = ? ORDER BY sequence LIMIT ?"
        return [Change(*row) for row in self._all(query, table, limit)]

    def settle(self, changes: Iterable[Change]) -> None:
        """Drop change records that have been carried on; a key that became dirty again meanwhile stays."""
        with self.round():
            self._database.executemany(
                "DELETE FROM changes WHERE sequence = ?", [(change.sequence,) for change in changes]
            )

    def put_aside(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Keep dirty keys that cannot be carried on, with the reason."""
        with self.round():
            self._database.executemany(
                "INSERT OR REPLACE INTO aside VALUES (?, ?, ?, ?)", [(device_id, table, key, reason) for key in keys]
            )

    def aside(self, device_id: str) -> list[str]:
        """What was put aside of a device, a line each."""
        rows = self._all("SELECT level, key, reason FROM aside WHERE device_id = ? ORDER BY level, key", device_id)
        return [f"{level} {key}: {reason}" for level, key, reason in rows]

    def clear_aside(self, device_id: str) -> None:
        """Forget what was put aside of a device."""
        with self.round():
            self._run("DELETE FROM aside WHERE device_id = ?", device_id)

    def backlog(self) -> Backlog:
        """How much is waiting."""
        row = self._one("SELECT count(*), min(since) FROM changes")
        return Backlog(*row) if row else Backlog(0, None)

    # the door to SQLite

    @contextmanager
    def _door(self) -> Iterator[None]:
        """SQLite's errors as ours."""
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
            self._run("PRAGMA page_size = 8192")
            with self.round():
                if not self._is_ours():  # another process may have been first
                    self._create()
        self._write_ahead()

    def _is_ours(self) -> bool:
        application, version = (self._one(f"PRAGMA {name}")[0] for name in ("application_id", "user_version"))
        if version > VERSION and application == APPLICATION_ID:
            raise StoreUnusable(
                f"{self._path} was written by a newer Wattfall (format {version}, this one knows {VERSION});"
                " upgrade Wattfall or name another file"
            )
        return bool(application == APPLICATION_ID)

    def _create(self) -> None:
        if self._one("SELECT 1 FROM sqlite_master"):
            raise StoreUnusable(f"{self._path} {_MENDS[sqlite3.SQLITE_NOTADB]}")
        for statement in _SCHEMA.split(";"):
            self._run(statement)

    def _write_ahead(self) -> None:
        """WAL mode; SQLite does not wait by itself while another process has the file open in the old mode."""
        deadline = time.monotonic() + BUSY_S
        while self._one("PRAGMA journal_mode")[0] == "delete":
            try:
                self._run("PRAGMA journal_mode = WAL")
            except StoreAway:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _one(self, query: str, *values: object) -> Any:  # noqa: ANN401 - a row, by its query
        with self._door():
            return self._database.execute(query, values).fetchone()

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._door():
            return self._database.execute(query, values).fetchall()

    def _run(self, statement: str, *values: object) -> int:
        with self._door():
            return self._database.execute(statement, values).rowcount

    def _body(self, level: str, device_id: str, period: str) -> bytes | None:
        row = self._one(f"SELECT body FROM {_TABLES[level]} WHERE device_id = ? AND period = ?", device_id, period)  # noqa: S608 - a constant
        return row[0] if row else None

    def _block(self, device_id: str, start: int) -> list[Reading]:
        row = self._one("SELECT body FROM readings WHERE device_id = ? AND start = ?", device_id, start)
        return self._intact(unpack, device_id, start, row[0]) if row else []

    def _intact(self, read: Callable[..., Row], *values: object) -> Row:
        """What `read` makes of a stored value (the last of `values`, after its key); StoreUnusable when damaged."""
        try:
            return read(*values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            key = ", ".join(map(str, values[:-1])) or "a row"
            raise Damaged(f"{self._path} is damaged: {key}: {error}; restore it from a backup") from error

    def _mark(self, keys: Iterable[tuple[str, str, str]]) -> None:
        now = int(time.time())
        self._database.executemany(
            "INSERT OR REPLACE INTO changes (level, device_id, key, since) VALUES (?1, ?2, ?3, coalesce("
            "(SELECT since FROM changes WHERE level = ?1 AND device_id = ?2 AND key = ?3), ?4))",
            [(*key, now) for key in keys],
        )


def _live(body: bytes) -> Live:
    return Live._make(orjson.loads(body))


def _device(body: bytes) -> Device:
    fields = orjson.loads(body)
    return Device(**fields | {"registers": tuple(fields["registers"])})
