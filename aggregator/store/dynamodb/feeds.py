"""The change feed of a process that does not follow the streams: it remembers what it has made dirty itself.

One-shot commands carry their own changes on with it. Whoever follows the streams carries them too, which does no harm.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import count, islice
from typing import Protocol

from aggregator.store.port import Backlog, Change

MOST = 500_000  # keys; a process that never carries anything on forgets the oldest, the streams have them


class Feed(Protocol):
    """Dirty keys, and what became of them."""

    def add(self, table: str, device_id: str, key: str) -> None:
        """A key became dirty, by this process."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Make a key dirty by hand."""

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest dirty keys of a table."""

    def settle(self, changes: Iterable[Change]) -> None:
        """These have been carried on."""

    def backlog(self) -> Backlog:
        """How much is waiting."""

    def close(self) -> None:
        """Let others go on where this one stopped."""


class Dirty:
    """Dirty keys of tables, in the order in which they became so; dirty again is dirty anew. Safe between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._tables: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)  # key -> sequence, since

    def add(self, table: str, device_id: str, key: str, since: int | None = None) -> None:
        """A key became dirty, at `since` (UTC seconds; now, unless given)."""
        with self._lock:
            keys = self._tables[table]
            _, before = keys.pop((device_id, key), (0, since if since is not None else int(self._clock())))
            keys[device_id, key] = next(self._numbers), before
            if len(keys) > MOST:
                del keys[next(iter(keys))]

    def is_empty(self, table: str) -> bool:
        """No key of a table is dirty."""
        return not self._tables[table]

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest dirty keys of a table."""
        with self._lock:
            found = islice(self._tables[table].items(), limit)
            return [Change(sequence, table, device_id, key) for (device_id, key), (sequence, _) in found]

    def settle(self, changes: Iterable[Change]) -> None:
        """These have been carried on; what became dirty again meanwhile stays."""
        with self._lock:
            for sequence, table, device_id, key in changes:
                if self._tables[table].get((device_id, key), (0, 0))[0] == sequence:
                    del self._tables[table][device_id, key]

    def backlog(self) -> Backlog:
        """How much is waiting."""
        with self._lock:
            since = [since for keys in self._tables.values() for _, since in keys.values()]
        return Backlog(len(since), min(since, default=None))


class Memory(Dirty):
    """The feed of what this process itself has made dirty."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Make a key dirty by hand."""
        self.add(table, device_id, key)

    def close(self) -> None:
        """Nothing to hand over: it is all in the streams."""
