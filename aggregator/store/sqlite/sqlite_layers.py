"""The embedded store's statements on evidence, and its layers of imports (`store.layers`); its deletions for good.

A layer has a row for each half hour, with its readings as a packed block and the intervals that start in it. The
device's own evidence is in other tables, so a device without imports costs one look-up more.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from aggregator.core.blocks import pack_block, unpack_block
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import HALF_HOUR, LEVELS, block_start
from aggregator.core.readings import LONGEST_INTERVAL_S, Interval, Reading
from aggregator.store.layers import OWN, Evidence, Kind, overlaid, pack_intervals, unpack_intervals
from aggregator.store.port import READINGS, is_feed
from aggregator.store.sqlite.sqlite_live import SqliteLive
from aggregator.store.sqlite.sqlite_schema import (
    CHECKED,
    INTACT,
    as_written,
    check_value,
    checked_rows,
    crcs_of,
    given,
    intact,
)

_reading: Callable[[Iterable[Any]], Reading] = partial(tuple.__new__, Reading)  # _make without its Python frame

_HAS_LAYERS = "SELECT 1 FROM layers WHERE device_id = ? AND start BETWEEN ? AND ? LIMIT 1"
_LAYERS = f"""
SELECT start, layer, {{0}}, {INTACT["layers"]} FROM layers
WHERE device_id = ? AND start BETWEEN ? AND ? AND {{0}} IS NOT NULL ORDER BY start, layer
"""  # noqa: S608 - constants
_PUT = f"INSERT OR REPLACE INTO layers VALUES (?1, ?2, ?3, ?4, ?5, ?6, {check_value(given('layers'))})"  # noqa: S608 - constants
_STARTS = """
SELECT start FROM layers WHERE device_id = ? AND layer = ? AND start BETWEEN ? AND ? ORDER BY start LIMIT ?
"""

# Statements on a device's own evidence

# All evidence: the column of its instant, the table
EVIDENCE = (("start", "readings"), ("at", "recent"), ("start", "intervals"), ("start", "layers"))
# SQLite would not take this index by itself, and look through all rows of intervals
_LAYERS_OF_READINGS = "(SELECT device_id, start FROM layers INDEXED BY layers_by_readings WHERE readings IS NOT NULL)"
READINGS_OF = (("start", "readings"), ("at", "recent"), ("start", _LAYERS_OF_READINGS))


def _merge_rows(table: str, keys: str, values: tuple[str, ...], unless: str = "0") -> str:
    """Return the statement that merges a row field by field; it writes no unchanged row, and none `unless` is true.

    It is given the row and its check value.
    """
    known = [f"coalesce(excluded.{value}, {table}.{value})" for value in values]
    both = [*(f"excluded.{key}" for key in keys.split(", ")), *known, "excluded.written"]
    return f"""
INSERT INTO {table} SELECT {", ".join(given(table))}, ?{len(CHECKED[table]) + 1} WHERE NOT {unless}
ON CONFLICT ({keys}) DO UPDATE SET
    written = excluded.written, {", ".join(f"{value} = {new}" for value, new in zip(values, known, strict=True))},
    check_value = iif({INTACT[table]}, {check_value(both)}, NULL)
WHERE ({", ".join(known)}) IS NOT ({", ".join(f"{table}.{value}" for value in values)})
"""


_IS_PACKED = f"EXISTS (SELECT 1 FROM readings WHERE device_id = ?1 AND start = ?2 - ?2 % {HALF_HOUR})"  # noqa: S608 - a constant
MERGE_RECENT = _merge_rows("recent", "device_id, at", Reading._fields[2:])
MERGE_UNPACKED = _merge_rows("recent", "device_id, at", Reading._fields[2:], unless=_IS_PACKED)
MERGE_INTERVAL = _merge_rows("intervals", "device_id, start, end", Interval._fields[3:])

RECENT = f"""
SELECT {", ".join(CHECKED["recent"])}, check_value FROM recent WHERE device_id = ? AND at BETWEEN ? AND ? ORDER BY at
"""  # noqa: S608 - constants
INTERVALS = f"""
SELECT {", ".join(CHECKED["intervals"])}, check_value FROM intervals
WHERE device_id = ? AND start BETWEEN ? AND ? ORDER BY start, end
"""  # noqa: S608 - constants
_CANNOT_BE_READ = {  # columns and rows of a half hour
    "recent": (CHECKED["recent"], f"recent WHERE device_id = ? AND at BETWEEN ? AND ? AND NOT ({INTACT['recent']})"),
    "readings": (
        ("device_id", "start", "written", "body"),
        "readings WHERE device_id = ? AND start BETWEEN ? AND ?",
    ),
}
_PUT_ASIDE = """
UPDATE aside SET body = CAST(coalesce(body, x'') || ? AS BLOB) WHERE device_id = ? AND level = 'readings' AND key = ?
"""


class SqliteLayers(SqliteLive):
    """The port's layers on one SQLite file."""

    def write_layer(self, layer: int, evidence: Iterable[Evidence], now: int) -> None:
        """Merge evidence into a layer of its device; durable on return, or at the end of a transaction."""
        blocks: dict[tuple[str, int], list[Evidence]] = defaultdict(list)
        for one in evidence:
            blocks[one[0], block_start(one[1])].append(one)
        with self.transaction():
            changed = [key for key in sorted(blocks) if self._merge_layer(*key, layer, blocks[key], now)]
            self._mark(dict.fromkeys((READINGS, device_id, str(start)) for device_id, start in changed))

    def _merge_layer(self, device_id: str, start: int, layer: int, new: Sequence[Evidence], now: int) -> bool:
        """Merge evidence of a half hour into its row; return whether the row changed."""
        query = f"SELECT readings, intervals, {INTACT['layers']} FROM layers"  # noqa: S608 - constants
        rows = self._all(f"{query} WHERE device_id = ? AND start = ? AND layer = ?", device_id, start, layer)
        readings = [one for one in new if isinstance(one, Reading)]
        intervals = [one for one in new if isinstance(one, Interval)]
        ((packed, stated),) = self._intact(checked_rows, device_id, start, rows) or [(None, None)]
        known = self._intact(_readings, device_id, start, packed) if packed else []
        said = self._intact(_intervals, device_id, start, stated) if stated else []
        readings, intervals = overlaid([(0, known), (1, readings)]), overlaid([(0, said), (1, intervals)])
        if (readings, intervals) == (known, said):
            return False
        bodies = (pack_block(start, readings) if readings else None, pack_intervals(intervals) if intervals else None)
        self._run(_PUT, device_id, start, layer, now, *bodies)
        return True

    def layer_starts(self, device_id: str, layer: int, first: int, last: int, limit: int) -> list[int]:
        """Return the first `limit` starts, from `first` to `last`, of the blocks that have evidence of a layer."""
        return [start for (start,) in self._all(_STARTS, device_id, layer, first, last, limit)]

    def drop_layer(self, device_id: str, layer: int, starts: Sequence[int]) -> None:
        """Delete the evidence of a layer in blocks."""
        with self.transaction():
            rows = [(device_id, start, layer) for start in starts]
            self._many("DELETE FROM layers WHERE device_id = ? AND start = ? AND layer = ?", rows)
            self._mark(dict.fromkeys((READINGS, device_id, str(start)) for start in starts))

    def _erase_layers(self, device_id: str, start: int, end: int) -> None:
        """Delete the readings of layers from `start` to before `end`, and the intervals that overlap this time."""
        whole = (device_id, start, end - HALF_HOUR)
        self._run("DELETE FROM layers WHERE device_id = ? AND start BETWEEN ? AND ?", *whole)
        query = f"SELECT {', '.join(CHECKED['layers'])}, {INTACT['layers']} FROM layers"  # noqa: S608 - constants
        rows = self._all(
            f"{query} WHERE device_id = ? AND start BETWEEN ? AND ?", device_id, start - LONGEST_INTERVAL_S, end
        )
        for _, block, layer, written, packed, stated in self._intact(checked_rows, device_id, start, rows):
            readings = self._intact(_readings, device_id, block, packed) if packed else []
            intervals = self._intact(_intervals, device_id, block, stated) if stated else []
            kept = [one for one in readings if not start <= one.at < end]
            left = [one for one in intervals if one.end <= start or end <= one.start]
            if (kept, left) == (readings, intervals):
                continue
            self._run("DELETE FROM layers WHERE device_id = ? AND start = ? AND layer = ?", device_id, block, layer)
            if kept or left:
                bodies = (pack_block(block, kept) if kept else None, pack_intervals(left) if left else None)
                self._run(_PUT, device_id, block, layer, written, *bodies)

    def _move_aside(self, table: str, device_id: str, start: int) -> int:
        """Append the rows of a half hour that cannot be read to its quarantined key, and delete them; return how many.

        Each is a line, a JSON list of its columns; the text of a column has a character for each byte (Latin-1).
        """
        columns, rows = _CANNOT_BE_READ[table]
        span = (device_id, start, start + HALF_HOUR - 1)
        found = self._all(f"SELECT {', '.join(f'CAST({one} AS BLOB)' for one in columns)} FROM {rows}", *span)  # noqa: S608 - constants
        texts = [[None if one is None else one.decode("latin-1") for one in row] for row in found]
        self._run(_PUT_ASIDE, b"".join(orjson.dumps(row) + b"\n" for row in texts), device_id, str(start))
        return self._run(f"DELETE FROM {rows}", *span)  # noqa: S608 - constants

    def _imported_readings(self, layer: int, *span: Any) -> list[Reading]:  # noqa: ANN401 - device, first, last
        rows = [row for row in self._all(_LAYERS.format("readings"), *span) if row[1] == layer]
        return self._intact(partial(_by_layer, _readings), *span, rows).get(layer, [])

    def _with_readings(self, own: list[Reading], device_id: str, first: int, last: int) -> list[Reading]:
        """Return a device's own readings of blocks, and those of its layers."""
        return self._overlaid(own, "readings", _readings, device_id, first, last)

    def _with_intervals(self, own: list[Interval], device_id: str, first: int, last: int) -> list[Interval]:
        """Return the intervals that start in blocks, and those of the layers."""
        return self._overlaid(own, "intervals", _intervals, device_id, first, last)

    def _overlaid(self, own: list[Kind], column: str, decode: Any, *span: Any) -> list[Kind]:  # noqa: ANN401 - typed by its two callers
        if self._one(_HAS_LAYERS, *span) is None:
            return own
        rows = self._all(_LAYERS.format(column), *span)
        layers: dict[int, list[Kind]] = {OWN: own, **self._intact(partial(_by_layer, decode), *span, rows)}
        if len(layers) == 2 and not own:
            return [one for _, evidence in sorted(layers.items()) for one in evidence]
        return overlaid(layers.items())


TRIES, PAUSE_S = 100, 0.1  # to shorten the log while others read an earlier state
COPIES = 2  # of the file while it is written anew: a temporary one, and the log


class SqliteErasing(SqliteLayers):
    """The port's deletions for good on one SQLite file: evidence of a span, live states, prices, and what they leave.

    Each connection overwrites a deleted row within its page (`secure_delete = FAST`, no write more). A page that
    became free as a whole keeps its bytes, one that was divided keeps those of rows that moved, and the log keeps
    earlier pages. So `scrub` writes the file anew: others read on meanwhile, and write once it is done, a second later
    for 100 MB and 100 s later for 10 GB. The log is as long as the file then, until no reader needs an earlier page; so
    none is written anew on top of a log that cannot be shortened.
    """

    def erase_evidence(self, device_id: str, start: int, end: int) -> None:
        """Delete the readings from `start` to before `end`, and the intervals that overlap this time."""
        with self.transaction():
            self._settle_live(device_id)
            for block in {block_start(start), block_start(end)}:
                self._cut_packed(device_id, block, start, end)
            whole = (device_id, start, end - HALF_HOUR)
            self._run("DELETE FROM readings WHERE device_id = ? AND start BETWEEN ? AND ?", *whole)
            self._run("DELETE FROM recent WHERE device_id = ? AND at >= ? AND at < ?", device_id, start, end)
            near = (device_id, start - LONGEST_INTERVAL_S, end, start)
            self._run("DELETE FROM intervals WHERE device_id = ? AND start >= ? AND start < ? AND end > ?", *near)
            self._erase_layers(device_id, start, end)
            self._local.newest.clear()

    def _cut_packed(self, device_id: str, block: int, start: int, end: int) -> None:
        """Pack the readings of a block again that are outside of a span."""
        if start <= block and block + HALF_HOUR <= end:
            return
        row = self._one("SELECT written, body FROM readings WHERE device_id = ? AND start = ?", device_id, block)
        found = self._intact(unpack_block, device_id, block, row[1]) if row else []
        kept = [one for one in found if not start <= one.at < end]
        if len(kept) < len(found):
            self._run("DELETE FROM readings WHERE device_id = ? AND start = ?", device_id, block)
        if kept and len(kept) < len(found):
            body = pack_block(block, kept)
            self._run("INSERT INTO readings VALUES (?, ?, ?, ?)", device_id, block, row[0], body)

    def drop_live(self, device_id: str) -> None:
        """Delete the live state of a device."""
        with self.transaction():
            self._drop_live(device_id)

    def drop_documents(self, level: str, device_id: str, first: str, last: str) -> None:
        """Delete the documents of the periods from `first` to `last`, both included."""
        span = f"FROM {LEVELS[level].table} WHERE device_id = ? AND period BETWEEN ? AND ?"
        with self.transaction():
            gone = [period for (period,) in self._all(f"SELECT period {span}", device_id, first, last)]
            self._run(f"DELETE {span}", device_id, first, last)
            self._local.document = None
            self._mark((level, device_id, period) for period in (gone if is_feed(level) else ()))

    def drop_prices(self, device_id: str, start: int, end: int) -> None:
        """Delete the prices of the half hours that start from `start` to before `end`."""
        with self.transaction():
            self._run("DELETE FROM prices WHERE device_id = ? AND start >= ? AND start < ?", device_id, start, end)

    def scrub(self) -> Iterator[None]:
        """Write the file anew without what deleted rows have left, and shorten the log, with pauses for its readers.

        Raises StoreAway where others read or write for long, StoreUnusable where the disk has too little room.
        """
        yield from self._shorten_log()
        self._check_room()
        self._run("PRAGMA shrink_memory")  # page 1 is read again: else its counter of changes may stay as it is
        self._run("VACUUM")
        yield from self._shorten_log()

    def _shorten_log(self) -> Iterator[None]:
        for _ in range(TRIES):
            self._run("PRAGMA busy_timeout = 0")  # a wait within SQLite would hold the write lock
            try:
                is_busy = self._one("PRAGMA wal_checkpoint(TRUNCATE)")[0]
            except StoreAway:
                is_busy = True
            finally:
                self._run(f"PRAGMA busy_timeout = {int(1000 * self._busy_s)}")
            if not is_busy:
                return
            yield
            time.sleep(PAUSE_S)
        raise StoreAway(f"{self._path} is read by others, so that its log keeps deleted rows; try again, after backups")

    def _check_room(self) -> None:
        pages, unused, size = (self._one(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size"))
        need, free = COPIES * (pages - unused) * size, shutil.disk_usage(Path(self._path).parent).free
        if free < need:
            raise StoreUnusable(
                f"{self._path} keeps deleted rows: to write it anew needs {need / 1e6:.0f} MB of its disk, which has"
                f" {free / 1e6:.0f} MB free; free some space"
            )


def _by_layer(decode: Any, device_id: str, _first: int, _last: int, rows: list[Any]) -> dict[int, list[Any]]:  # noqa: ANN401 - as above
    """Decode rows of layers. Raises ValueError and TypeError."""
    layers: dict[int, list[Any]] = defaultdict(list)
    for start, layer, body in intact(rows):
        layers[layer] += decode(device_id, start, body)
    return layers


def _readings(device_id: str, start: int, body: bytes) -> list[Reading]:
    return unpack_block(device_id, start, body)


def _intervals(device_id: str, _start: int, body: bytes) -> list[Interval]:
    return unpack_intervals(device_id, body)


def with_checks(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows of all CHECKED columns with their check values behind them."""
    new = list(rows)
    return [(*row, check) for row, check in zip(new, crcs_of(new), strict=True)]


def reading_rows(_device_id: str, rows: list[tuple[Any, ...]]) -> list[Reading]:
    """Decode rows. Raises ValueError for one that is not as it was written, values of another type among them."""
    return [_reading(row[:-1]) for row in as_written(rows)]


def interval_rows(_device_id: str, rows: list[tuple[Any, ...]]) -> list[Interval]:
    """Decode rows. Raises ValueError for one that is not as it was written, values of another type among them."""
    return [Interval(*row[:-1]) for row in as_written(rows)]
