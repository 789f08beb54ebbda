"""The embedded store's deletions for good: evidence of a span, live states, prices, and what they leave behind.

Each connection overwrites a deleted row within its page (`secure_delete = FAST`, no write more). A page that
became free as a whole keeps its bytes, one that was divided keeps those of rows that moved, and the log keeps earlier
pages. So `scrub` writes the file anew: others read on meanwhile, and write once it is done, a second later for 100 MB
and 100 s later for 10 GB. The log is as long as the file then, until no reader needs an earlier page; so none is
written anew on top of a log that cannot be shortened.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from aggregator.core.blocks import pack_block, unpack_block
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import HALF_HOUR, LEVELS, block_start
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.store.port import is_feed
from aggregator.store.sqlite.sqlite_layers import SqliteLayers

TRIES, PAUSE_S = 100, 0.1  # to shorten the log while others read an earlier state
COPIES = 2  # of the file while it is written anew: a temporary one, and the log


class SqliteErasing(SqliteLayers):
    """The port's deletions for good on one SQLite file."""

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
