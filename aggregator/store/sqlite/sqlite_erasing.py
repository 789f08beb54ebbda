"""The embedded store's deletions for good: evidence of a span, live states, prices, and what they leave behind.

Each connection overwrites a deleted row within its page (`secure_delete = FAST`, no write more). A page that
became free as a whole keeps its bytes, one that was divided keeps those of rows that moved, and the log keeps earlier
pages. So `scrub` writes the file anew, once an erasure: others read on meanwhile, and write once it is done, about a
second later for 100 MB.
"""

from aggregator.core.blocks import pack_block, unpack_block
from aggregator.core.errors import StoreAway
from aggregator.core.periods import HALF_HOUR, LEVELS, block_start
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.store.port import is_feed
from aggregator.store.sqlite.sqlite_layers import SqliteLayers


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

    def scrub(self) -> bool:
        """Write the file anew without what deleted rows have left, and shorten the log; return whether more is left."""
        self._run("PRAGMA shrink_memory")  # page 1 is read again: else its counter of changes may stay as it is
        return not (self._at_once("VACUUM") and self._at_once("PRAGMA wal_checkpoint(TRUNCATE)"))

    def _at_once(self, statement: str) -> bool:
        """Run a statement on the whole file, unless others use it at this moment; return whether it was done."""
        self._run("PRAGMA busy_timeout = 0")
        try:
            row = self._one(statement)
        except StoreAway:
            return False
        finally:
            self._run(f"PRAGMA busy_timeout = {int(1000 * self._busy_s)}")
        return not row or row[0] == 0
