"""The embedded store: SQLite in WAL mode, with a change feed in the transaction of each write.

| table | key | row |
|---|---|---|
| `recent` | device, instant | the known fields of a reading, the time of its arrival, a check value |
| `readings` | device, start of a UTC half hour | a packed block (`readings.pack_block`), the time of its last arrival |
| `intervals` | device, start, end | the known fields of an interval, the time of its arrival, a check value |
| `layers` | device, start of a half hour, layer | evidence of an import, its arrival, a check value (`sqlite_layers`) |
| `days`, `months`, `years` | device, period | an encoded document (`documents`), the time of its last change |
| `live`, `devices`, `horizons` | device | the live state; the registry entry; the retention cutoff; a check value |
| `prices` | device, start of a UTC half hour | import and export price of a kWh, as decimal text, a check value |
| `changes` | table, device, key | a dirty key, once; it is settled where the evidence is read |
| `aside` | device, table, key | a quarantined key, the reason, the rows that were taken out of its half hour |
| `device_terms` | term, device | a search term of a device (`search`) |
| `records` | collection, key | a JSON text, the time of its expiry, a check value |

Live arrival brings a reading of every device: a row each, of known size. `pack` packs a half hour once it is over and
quiet. What comes in later for it lies in `recent` beside it until the next packing; a read merges both, `recent` last.

The schema is in `sqlite_schema`, live states and prices in `sqlite_live`, deletions for good in `sqlite_layers`; the
registry, the records and the change feed are in `sqlite_registry`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache, partial
from heapq import merge
from itertools import groupby, islice

from aggregator.core.blocks import MANY, pack_block, unpack_block
from aggregator.core.documents import Document, Names, Part, decode, encode, spliced
from aggregator.core.errors import Damaged
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, LEVELS, block_start, window
from aggregator.core.readings import Interval, Reading, merged
from aggregator.store.layers import OWN
from aggregator.store.port import READINGS, Blocks, Written, is_feed
from aggregator.store.sqlite.sqlite_layers import (
    EVIDENCE,
    INTERVALS,
    MERGE_INTERVAL,
    MERGE_RECENT,
    MERGE_UNPACKED,
    READINGS_OF,
    RECENT,
    SqliteErasing,
    interval_rows,
    reading_rows,
    with_checks,
)
from aggregator.store.sqlite.sqlite_schema import INTACT, check_value, checked_rows, given

_DOCUMENT = "created, changed, body"
_whole = partial(decode, names=None)

_NEAREST = "SELECT {0} FROM {1} WHERE device_id = ? AND {0} {2} ? ORDER BY {0} {3} LIMIT 1"
_NEXT_RECENT = "SELECT device_id, at FROM recent WHERE device_id > ? ORDER BY device_id, at LIMIT 1"
_QUIET = f"""
SELECT device_id, at - at % {HALF_HOUR}, max(written) FROM recent WHERE device_id = ? AND at < ?
GROUP BY 2 HAVING max(written) < ? ORDER BY 2 LIMIT ?
"""  # noqa: S608 - a constant
_EXPIRED = f"""
SELECT start FROM ({
    " UNION ALL ".join(
        f"SELECT {column} - {column} % {HALF_HOUR} AS start, written FROM {table}"
        f" WHERE device_id = ?1 AND {column} < ?2"
        for column, table in EVIDENCE
    )
}) GROUP BY start HAVING max(written) < ?3
AND CAST(start AS TEXT) NOT IN (SELECT key FROM changes WHERE level = 'readings' AND device_id = ?1)
"""  # noqa: S608 - constants
_PUT_CUTOFF = f"""
INSERT INTO horizons VALUES (?1, ?2, {check_value(given("horizons"))}) ON CONFLICT (device_id) DO UPDATE SET
    at = max(at, excluded.at),
    check_value = iif({INTACT["horizons"]}, {check_value(("device_id", "max(at, excluded.at)"))}, NULL)
"""  # noqa: S608 - constants


class SqliteStore(SqliteErasing):
    """The port on one SQLite file."""

    _packed_up_to = ""  # the device where `pack` goes on

    def step(self, work: Callable[[], object]) -> None:
        """Run `work` in one transaction."""
        with self.transaction():
            work()

    # evidence

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        """Merge readings into their blocks; durable on return, or at the end of an open transaction."""
        accepted, marks = 0, dict[tuple[str, str, str], int]()
        with self.transaction():
            put = self._database.cursor().executemany
            for device_id, start in sorted(blocks):
                readings, count = blocks[device_id, start], 0
                if len(readings) < MANY:
                    count = put(MERGE_UNPACKED, with_checks((*one, now) for one in readings.values())).rowcount
                count = count or self._merge(device_id, start, readings, now)
                if count:
                    accepted += count
                    marks[READINGS, device_id, str(start)] = min(readings)
            self._mark(marks, marks.values())
            self._advance((device_id, max(readings)) for (device_id, _), readings in blocks.items())
        return Written(accepted, sum(map(len, blocks.values())) - accepted)

    def _merge(self, device_id: str, start: int, readings: Mapping[int, Reading], now: int) -> int:
        """Merge readings into a packed block, or pack them if they are many. Return the number that changed it."""
        packed = "SELECT 1 FROM readings WHERE device_id = ? AND start = ?"
        if len(readings) < MANY and self._one(packed, device_id, start) is None:
            return 0  # all of them are repeated
        known = {reading.at: reading for reading in self._block_or_quarantine(device_id, start)}
        both = {at: merged(known[at], new) if at in known else new for at, new in readings.items()}
        new = {at: reading for at, reading in both.items() if known.get(at) != reading}
        if len(new) < MANY:
            return self._many(MERGE_RECENT, with_checks((*one, now) for one in new.values()))
        known |= new
        self._put_packed(device_id, start, [known[at] for at in sorted(known)], now)
        return len(new)

    def _put_packed(self, device_id: str, start: int, readings: Sequence[Reading], written: int) -> None:
        self._settle_live(device_id)
        row = (device_id, start, written, pack_block(start, readings))
        self._run("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", *row)
        self._run("DELETE FROM recent WHERE device_id = ? AND at BETWEEN ? AND ?", device_id, *_span(start, start))

    def pack(self, before: int, limit: int) -> int:
        """Pack at most `limit` half hours that ended and were last written before `before`; return their number.

        Looks at no more than `limit` devices, and goes on behind them the next time.
        """
        found: list[tuple[str, int, int]] = []
        for _ in range(limit):
            device_id, oldest = self._one(_NEXT_RECENT, self._packed_up_to) or ("", FOR_EVER)
            self._packed_up_to = device_id
            if oldest < block_start(before):
                found += self._all(_QUIET, device_id, block_start(before), before, limit - len(found))
            if not device_id or len(found) >= limit:
                break
        with self.transaction() if found else nullcontext():
            for device_id, start, written in found:
                readings = self._block_or_quarantine(device_id, start)
                if readings:  # nobody has deleted them meanwhile
                    self._put_packed(device_id, start, readings, written)
        return len(found)

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        """Return the readings of the blocks that start from `first` to `last`, by time."""
        return self._with_readings(self.layer_readings(device_id, first, last), device_id, first, last)

    def layer_readings(self, device_id: str, first: int, last: int, layer: int = OWN) -> list[Reading]:
        """Return the readings of a layer in these blocks, by time."""
        if layer != OWN:
            return self._imported_readings(layer, device_id, first, last)
        query = "SELECT start, body FROM readings WHERE device_id = ? AND start BETWEEN ? AND ? ORDER BY start"
        rows = self._all(query, device_id, first, last)
        packed = [one for start, body in rows for one in self._intact(unpack_block, device_id, start, body)]
        recent = self._recent(device_id, *_span(first, last))
        if not packed or not recent or packed[-1].at < recent[0].at:
            return packed + recent
        known = {reading.at: reading for reading in packed}
        known |= {new.at: merged(known[new.at], new) if new.at in known else new for new in recent}
        return [known[at] for at in sorted(known)]

    def readings_after(self, device_id: str, at: int) -> list[Reading]:
        """Return the readings later than an instant, by time."""
        query = "SELECT 1 FROM {0} WHERE device_id = ? AND start >= ? LIMIT 1"
        if any(self._one(query.format(table), device_id, block_start(at)) for table in ("readings", "layers")):
            return [one for one in self.readings(device_id, block_start(at), FOR_EVER) if one.at > at]
        return self._recent(device_id, at + 1, FOR_EVER)

    def _recent(self, device_id: str, first: int, last: int) -> list[Reading]:
        return self._intact(reading_rows, device_id, self._all(RECENT, device_id, first, last))

    def block_starts(self, device_id: str, at: int, count: int, *, of_readings: bool = False) -> list[int]:
        """Return the starts of `count` blocks with evidence after `at` (`-count` before it), nearest first."""
        side, order, edge = (">=", "ASC", block_start(at) + HALF_HOUR) if count > 0 else ("<", "DESC", _aligned(at))
        tables = READINGS_OF if of_readings else EVIDENCE
        queries = (_NEAREST.format(column, table, side, order) for column, table in tables)
        starts = (self._found_blocks(query, device_id, edge, HALF_HOUR * (count > 0)) for query in queries)
        return [start for start, _ in islice(groupby(merge(*starts, reverse=count < 0)), abs(count))]

    def write_intervals(self, intervals: Iterable[Interval], now: int) -> Written:
        """Merge intervals into those stored, field by field; durable on return, or at the end of a transaction."""
        rows = with_checks((*interval, now) for interval in intervals)
        with self.transaction():
            changed = [row for row in rows if self._run(MERGE_INTERVAL, *row)]
            self._mark(dict.fromkeys((READINGS, row[0], str(block_start(row[1]))) for row in changed))
        return Written(len(changed), len(rows) - len(changed))

    def intervals(self, device_id: str, first: int, last: int) -> list[Interval]:
        """Return the intervals that start in the blocks from `first` to `last`, by start and end."""
        own = self._intact(interval_rows, device_id, self._all(INTERVALS, device_id, *_span(first, last)))
        return self._with_intervals(own, device_id, first, last)

    @property
    def expires_by_itself(self) -> bool:
        """False: expired readings need a sweep."""
        return False

    def expire_readings(self, device_id: str, before: int, untouched_since: int) -> int:
        """Delete settled blocks that start before `before` and were last written before `untouched_since`."""
        with self.transaction():
            self._settle_live(device_id)
            end = _aligned(min(before, untouched_since + DAY_S))  # nothing tells of a time long after its arrival
            starts = [start for (start,) in self._all(_EXPIRED, device_id, end, untouched_since)]
            for column, table in EVIDENCE:
                self._many(
                    f"DELETE FROM {table} WHERE device_id = ? AND {column} BETWEEN ? AND ?",  # noqa: S608 - constants
                    ((device_id, *_span(start, start)) for start in starts),
                )
        return len(starts)

    def retention_cutoff(self, device_id: str) -> int:
        """Return the retention cutoff, UTC seconds; 0 with all readings."""
        rows = self._all(f"SELECT at, {INTACT['horizons']} FROM horizons WHERE device_id = ?", device_id)  # noqa: S608 - constants
        return max((at for (at,) in self._intact(checked_rows, device_id, "retention cutoff", rows)), default=0)

    def put_retention_cutoff(self, device_id: str, at: int) -> None:
        """Advance the retention cutoff to `at`; it never moves back."""
        with self.transaction():
            self._run(_PUT_CUTOFF, device_id, at)

    # documents

    def document(self, level: str, device_id: str, period: str, names: Names = None) -> Document | None:
        """Return a document, or None; with `names` only these of its parts."""
        row = self._document(level, device_id, period)
        return self._intact(partial(decode, names=names), level, device_id, period, *row) if row else None

    def documents(self, level: str, device_id: str, first: str, last: str) -> list[Document]:
        """Return the existing documents from the period `first` to `last`, both included, in order."""
        where = "WHERE device_id = ? AND period BETWEEN ? AND ? ORDER BY period"
        rows = self._all(f"SELECT period, {_DOCUMENT} FROM {LEVELS[level].table} {where}", device_id, first, last)  # noqa: S608 - constants
        return [self._intact(_whole, level, device_id, *row) for row in rows]

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
            created, changed, body = self._document(level, device_id, period) or (None, None, None)
            replaced = spliced(body, timezone, currency, parts) if body else None
            if replaced is None:
                stored = self._intact(_whole, level, device_id, period, created, changed, body).parts if body else {}
                merged = {**stored, **parts}
                present = {name: part for name, part in merged.items() if part is not None}
                replaced = encode(timezone, currency, present) if present else None
            if replaced == body:
                return False
            self._local.document = None
            if replaced:
                now = int(self._clock())
                row = (device_id, period, now if created is None else created, now, replaced)
                self._run(f"INSERT OR REPLACE INTO {LEVELS[level].table} VALUES (?, ?, ?, ?, ?)", *row)  # noqa: S608 - a constant
            else:
                self._run(f"DELETE FROM {LEVELS[level].table} WHERE device_id = ? AND period = ?", device_id, period)  # noqa: S608 - a constant
            if is_feed(level):
                self._mark([(level, device_id, period)], due=_end(level, period, timezone))
        return True

    # rows

    def _document(self, level: str, device_id: str, period: str) -> tuple[int, int, bytes] | None:
        """Return the times of a document's first and last change, and its body; a transaction remembers one."""
        key, remembered = (level, device_id, period), getattr(self._local, "document", None)
        row: tuple[int, int, bytes] | None
        if remembered and remembered[0] == key and self._database.in_transaction:
            _, row = remembered
            return row
        query = f"SELECT {_DOCUMENT} FROM {LEVELS[level].table} WHERE device_id = ? AND period = ?"  # noqa: S608 - constants
        row = self._one(query, device_id, period)
        self._local.document = key, row
        return row

    def _block_or_quarantine(self, device_id: str, start: int) -> list[Reading]:
        """Return the own readings of a block that are intact. Move damaged rows to the body of its quarantined key."""
        try:
            return self.layer_readings(device_id, start, start)
        except Damaged as error:
            self.quarantine(READINGS, device_id, [str(start)], str(error))
            self._mark([(READINGS, device_id, str(start))])
            if self._move_aside("recent", device_id, start) or self._move_aside("readings", device_id, start):
                return self._block_or_quarantine(device_id, start)
            raise


@lru_cache(maxsize=4096)
def _end(level: str, period: str, timezone: str) -> int:
    return window(level, period, timezone).end


def _span(first: int, last: int) -> tuple[int, int]:
    """Return the first and the last second of the blocks that start from `first` to `last`."""
    return _aligned(first), block_start(last) + HALF_HOUR - 1


def _aligned(at: int) -> int:
    """Return the start of the first block at or after `at`."""
    return at - at % -HALF_HOUR
