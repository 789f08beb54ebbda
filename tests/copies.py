"""Stores for tests: empty ones, and copies of those that take a while to fill."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from shutil import copyfile, disk_usage
from tempfile import TemporaryDirectory

from aggregator.store import Store, open_store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.live_and_records import record_key
from aggregator.store.sqlite.sqlite_store import SqliteStore

Fill = Callable[[Store], object]
Copy = Callable[[Fill], Store]

MEMORY = Path("/dev/shm")
ROOM = 2**30  # bytes


@cache
def quick_disk() -> Path | None:
    """A disk in memory, if it has room: the same SQLite, but no commit waits until it is safe from a power cut."""
    return MEMORY if MEMORY.is_dir() and disk_usage(MEMORY).free > ROOM else None


@cache
def empty_file() -> bytes:
    """Return the file of an empty store."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_store(f"sqlite:///{path}").close()
        return path.read_bytes()


@contextmanager
def fresh_store() -> Iterator[Store]:
    """An empty store, quickly."""
    with TemporaryDirectory(dir=quick_disk()) as folder:
        path = Path(folder) / "fresh.db"
        path.write_bytes(empty_file())
        store = open_store(f"sqlite:///{path}")
        yield store
        store.close()


def nothing(_: Store) -> None:
    """Fill an empty store with nothing."""


class Originals:
    """The files of which there are copies, by what filled them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Fill, Path] = {}

    @contextmanager
    def opened(self, fill: Fill, path: Path) -> Iterator[Store]:
        """A store of one's own at a path, as if `fill`, a function of a module, had just filled it."""
        copyfile(self._file(fill), path)
        store = open_store(f"sqlite:///{path}")
        yield store
        store.close()

    def _file(self, fill: Fill) -> Path:
        if fill not in self._files:
            path = self._folder / f"{len(self._files)}.db"
            store = open_store(f"sqlite:///{path}")
            fill(store)
            store.close()
            self._files[fill] = path
        return self._files[fill]


def damage_record(store: Store, collection: str, key: str) -> None:
    """Change the body of a record in the file or the table, to another one that is as plausible."""
    if isinstance(store, DynamoStore):
        body = store.record(collection, key) or ""
        request = {"UpdateExpression": "SET b = :b", "ExpressionAttributeValues": {":b": {"S": another(body)}}}
        store._client.call(
            "update_item", TableName=f"{store._prefix}-records", Key=record_key(collection, key), **request
        )
    else:
        assert isinstance(store, SqliteStore)
        with closing(sqlite3.connect(store._path)) as database, database:
            database.create_function("another", 1, another)
            place = (collection, key)
            rows = database.execute("UPDATE records SET body = another(body) WHERE shelf = ? AND key = ?", place)
            assert rows.rowcount == 1


def another(body: str) -> str:
    """Return a text with another last digit or letter."""
    place = max(place for place, letter in enumerate(body) if letter.isalnum())
    return f"{body[:place]}{'2' if body[place] == '1' else '1'}{body[place + 1 :]}"
