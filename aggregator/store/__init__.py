"""The stores of readings and documents: one port with two implementations, SQLite and DynamoDB.

May import tariffs and core. Begin with `port.py`; every other room gets a store from `open_store`.
"""

import logging
from functools import cache
from pathlib import Path

from aggregator.core.errors import ConfigurationError
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_file import BUSY_S
from aggregator.store.sqlite.sqlite_store import SqliteStore

__all__ = ["Store", "open_store"]
log = logging.getLogger("wattfall.store")


def open_store(url: str, busy_s: float = BUSY_S, *, may_create: bool = True) -> Store:
    """Open the store at a URL: `sqlite:///file.db` (`sqlite:////absolute/file.db`), or `dynamodb://PREFIX`.

    `busy_s` is the longest wait for the write lock of a file; a write raises StoreAway then. A missing file is created
    in a folder that exists, if it `may_create`.
    Raises ConfigurationError for another form of URL, StoreUnusable for an unusable store.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and len(rest) > 1 and rest[0] == "/":
        store = SqliteStore(rest[1:], busy_s=busy_s, may_create=may_create)
        _name_exposed(Path(rest[1:]))
        return store
    if scheme == "dynamodb":
        from aggregator.store.dynamodb.dynamodb_store import open_dynamodb  # boto3 takes a while to load

        return open_dynamodb(url)
    raise ConfigurationError(f"{url!r} is not a store; write it like sqlite:///wattfall.db or dynamodb://wattfall")


@cache  # once in a process
def _name_exposed(path: Path) -> None:
    """Log a file that others than its owner may open."""
    if path.stat().st_mode & 0o077:
        log.warning("%s can be opened by other users; `chmod go= %s*` makes it its owner's alone", path, path)
