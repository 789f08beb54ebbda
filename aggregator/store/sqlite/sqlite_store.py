"""The embedded store: SQLite in WAL mode, with a change feed in the transaction of each write.

| table | key | row |
|---|---|---|
| `readings` | device, start of a UTC half hour | a packed block (`readings.pack_block`), the time of its last write |
| `days`, `months`, `years` | device, period | an encoded document (`documents`), the time of its last change |
| `live`, `devices`, `horizons` | device | the newest reading; the registry entry; the retention cutoff |
| `prices` | device, start of a UTC half hour | import and export price of a kWh, as decimal text |
| `changes` | table, device, key | a dirty key; a key dirtied again gets a new sequence number |
| `aside` | device, table, key | a quarantined key, the reason |
| `device_terms` | term, device | a search term of a device (`search`) |
| `records` | collection, key | a JSON text, the time of its expiry |

The registry, the live state and the records are in `sqlite_registry`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from aggregator.core.documents import Document, Part, decode, encode
from aggregator.core.errors import Damaged
from aggregator.core.periods import LEVELS
from aggregator.core.readings import Reading, pack_block, unpack_block
from aggregator.store.port import Backlog, Blocks, Change, Written, is_feed
from aggregator.store.sqlite.sqlite_registry import SqliteRegistry
from aggregator.tariffs.rates import Series

_DOCUMENT = "nullif(changed, 0), body"  # 0 in rows of version 2


class SqliteStore(SqliteRegistry):
    """The port on one SQLite file."""

    def step(self, work: Callable[[], object]) -> None:
        """Run `work` in one transaction."""
        with self.transaction():
            work()

    # readings

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks; durable on return, or at the end of an open transaction."""
        accepted = unchanged = 0
        rows = []
        with self.transaction():
            for (device_id, start), readings in sorted(blocks.items()):
                stored = {reading.at: reading for reading in self._block_or_quarantine(device_id, start)}
                same = sum(stored.get(at) == reading for at, reading in readings.items()) if stored else 0
                unchanged += same
                accepted += len(readings) - same
                if same < len(readings):
                    merged = {**stored, **readings}
                    rows.append((device_id, start, now, pack_block(start, [merged[at] for at in sorted(merged)])))
            self._database.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", rows)
            self._mark([("readings", device_id, str(start)) for device_id, start, *_ in rows])
        return Written(accepted, unchanged)

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """Return the readings of the blocks that start from `first` to `last`, by time."""
        rows = self._all(
            "SELECT start, body FROM readings WHERE device_id = ? AND start BETWEEN ? AND ? ORDER BY start",
            device_id,
            first,
            last,
        )
        return [reading for start, body in rows for reading in self._intact(unpack_block, device_id, start, body)]

    def block_starts(self, device_id: str, at: int, count: int) -> list[int]:
        """Return the starts of `count` blocks with data after `at` (`-count` before it), nearest first."""
        side, order = (">", "ASC") if count > 0 else ("<", "DESC")
        query = f"SELECT start FROM readings WHERE device_id = ? AND start {side} ? ORDER BY start {order} LIMIT ?"  # noqa: S608 - two constants
        return [start for (start,) in self._all(query, device_id, at, abs(count))]

    @property
    def expires_by_itself(self) -> bool:
        """False: expired readings need a sweep."""
        return False

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:
        """Delete settled old blocks. Return their number."""
        with self.transaction():
            return self._run(
                "DELETE FROM readings WHERE device_id = ?1 AND start < ?2 AND written < ?3 AND CAST(start AS TEXT)"
                " NOT IN (SELECT key FROM changes WHERE level = 'readings' AND device_id = ?1)",
                *(device_id, before, untouched_since),
            )

    def retention_cutoff(self, device_id: str) -> int:
        """Return the retention cutoff, UTC seconds; 0 with all readings."""
        row = self._one("SELECT at FROM horizons WHERE device_id = ?", device_id)
        return int(row[0]) if row else 0

    def put_retention_cutoff(self, device_id: str, at: int) -> None:
        """Advance the retention cutoff to `at`; it never moves back."""
        with self.transaction():
            self._run(
                "INSERT INTO horizons VALUES (?, ?) ON CONFLICT (device_id) DO UPDATE SET at = max(at, excluded.at)",
                *(device_id, at),
            )

    # documents

    def document(self, level: str, device_id: str, period: str) -> Document | None:
        """Return a document, or None."""
        row = self._document(level, device_id, period)
        return self._intact(decode, level, device_id, period, row[0], row[1]) if row else None

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        """Return the existing documents from the period `first` to `last`, both included, in order."""
        where = "WHERE device_id = ? AND period BETWEEN ? AND ? ORDER BY period"
        rows = self._all(f"SELECT period, {_DOCUMENT} FROM {LEVELS[level].table} {where}", device_id, first, last)  # noqa: S608 - constants
        return [self._intact(decode, level, device_id, *row) for row in rows]

    def extent(self, level: str, device_id: str) -> tuple[str, str] | None:
        """Return the first and the last period with a document, or None."""
        row = self._one(f"SELECT min(period), max(period) FROM {LEVELS[level].table} WHERE device_id = ?", device_id)  # noqa: S608 - a constant
        return (row[0], row[1]) if row and row[0] else None

    def periods(self, level: str, device_id: str) -> list[str]:
        """Return all periods with a document, in order."""
        rows = self._all(f"SELECT period FROM {LEVELS[level].table} WHERE device_id = ? ORDER BY period", device_id)  # noqa: S608 - a constant
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
        """Replace the named parts of a document (None removes a part). Return whether the document changed."""
        with self.transaction():
            changed, body = self._document(level, device_id, period) or (None, None)
            stored = self._intact(decode, level, device_id, period, changed, body).parts if body else {}
            merged = {**stored, **parts}
            present = {name: part for name, part in merged.items() if part is not None}
            replaced = encode(timezone, currency, present) if present else None
            if replaced == body:
                return False
            if replaced:
                row = (device_id, period, replaced, int(self._clock()))
                self._run(f"INSERT OR REPLACE INTO {LEVELS[level].table} VALUES (?, ?, ?, ?)", *row)  # noqa: S608 - a constant
            else:
                self._run(f"DELETE FROM {LEVELS[level].table} WHERE device_id = ? AND period = ?", device_id, period)  # noqa: S608 - a constant
            if is_feed(level):
                self._mark([(level, device_id, period)])
        return True

    # half-hourly prices

    def prices(self, device_id: str, first: int, last: int) -> Series:
        """Return the prices of the UTC half hours that start from `first` to `last`."""
        query = "SELECT start, import_price, export_price FROM prices WHERE device_id = ? AND start BETWEEN ? AND ?"
        rows = self._all(query, device_id, first, last)
        return Series(
            {start: Decimal(price) for start, price, _ in rows if price is not None},
            {start: Decimal(price) for start, _, price in rows if price is not None},
        )

    def put_prices(self, device_id: str, series: Series) -> None:
        """Add prices, or replace the prices of the same half hours."""
        with self.transaction():
            for column, prices in (("import_price", series.import_prices), ("export_price", series.export_prices)):
                self._database.executemany(
                    f"INSERT INTO prices (device_id, start, {column}) VALUES (?, ?, ?)"  # noqa: S608 - a constant
                    f" ON CONFLICT (device_id, start) DO UPDATE SET {column} = excluded.{column}",
                    [(device_id, start, f"{price:f}") for start, price in prices.items()],
                )

    # change feed

    def follow(self) -> None:
        """Do nothing: all processes share the feed in the file."""

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Mark keys as dirty without a write."""
        with self.transaction():
            self._mark([(table, device_id, key) for key in keys])

    def changes(self, table: str, limit: int) -> list[Change]:
        """Return the oldest change records of a table."""
        query = "SELECT sequence, level, device_id, key FROM changes WHERE level = ? ORDER BY sequence LIMIT ?"
        return [Change(*row) for row in self._all(query, table, limit)]

    def settle(self, changes: Iterable[Change]) -> None:
        """Delete propagated change records; a key that has become dirty again stays."""
        with self.transaction():
            self._database.executemany(
                "DELETE FROM changes WHERE sequence = ?", [(change.sequence,) for change in changes]
            )

    def quarantine(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Record dirty keys that cannot be propagated, with the reason."""
        with self.transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO aside (device_id, level, key, reason) VALUES (?, ?, ?, ?)",
                [(device_id, table, key, reason) for key in keys],
            )

    def quarantined(self, device_id: str) -> list[str]:
        """Return the quarantined keys of a device, one line per key."""
        rows = self._all("SELECT level, key, reason FROM aside WHERE device_id = ? ORDER BY level, key", device_id)
        return [f"{level} {key}: {reason}" for level, key, reason in rows]

    def clear_quarantine(self, device_id: str) -> None:
        """Delete the quarantined keys of a device."""
        with self.transaction():
            self._run("DELETE FROM aside WHERE device_id = ?", device_id)

    def backlog(self) -> Backlog:
        """Return the number and the age of the dirty keys."""
        row = self._one("SELECT count(*), min(since) FROM changes")
        return Backlog(*row) if row else Backlog(0, None)

    # rows

    def _document(self, level: str, device_id: str, period: str) -> tuple[int | None, bytes] | None:
        """Return the time of a document's last change, and its body."""
        query = f"SELECT {_DOCUMENT} FROM {LEVELS[level].table} WHERE device_id = ? AND period = ?"  # noqa: S608 - constants
        row: tuple[int | None, bytes] | None = self._one(query, device_id, period)
        return row

    def _block(self, device_id: str, start: int) -> list[Reading]:
        row = self._one("SELECT body FROM readings WHERE device_id = ? AND start = ?", device_id, start)
        return self._intact(unpack_block, device_id, start, row[0]) if row else []

    def _block_or_quarantine(self, device_id: str, start: int) -> list[Reading]:
        """Return a block. Move a damaged block to the quarantine and return none, so that new readings are stored."""
        try:
            return self._block(device_id, start)
        except Damaged as error:
            self.quarantine("readings", device_id, [str(start)], str(error))
            self._run(
                "UPDATE aside SET body = (SELECT body FROM readings WHERE device_id = ?1 AND start = ?2)"
                " WHERE device_id = ?1 AND level = 'readings' AND key = CAST(?2 AS TEXT)",
                *(device_id, start),
            )
            return []

    def _mark(self, keys: Iterable[tuple[str, str, str]]) -> None:
        now = int(time.time())
        self._database.executemany(
            "INSERT OR REPLACE INTO changes (level, device_id, key, since) VALUES (?1, ?2, ?3, coalesce("
            "(SELECT since FROM changes WHERE level = ?1 AND device_id = ?2 AND key = ?3), ?4))",
            [(*key, now) for key in keys],
        )
