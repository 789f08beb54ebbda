"""The stores of readings and documents: one port with two implementations, SQLite and DynamoDB.

May import tariffs and core. Begin with `port.py`; every other room gets a store from `open_store`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from aggregator.core.documents import Device, new_device
from aggregator.core.errors import ConfigurationError
from aggregator.core.live import Live
from aggregator.core.readings import sender_of
from aggregator.store.collections import HOME, MARKS
from aggregator.store.occupancies import at_home
from aggregator.store.port import LeaveOut, Store
from aggregator.store.sqlite.sqlite_file import BUSY_S
from aggregator.store.sqlite.sqlite_store import SqliteStore

__all__ = ["IdSet", "Store", "all_devices", "file_of", "new_entry", "open_store", "pages"]
Listed = TypeVar("Listed", Device, Live)
log = logging.getLogger("wattfall.store")


def open_store(url: str, busy_s: float = BUSY_S, *, may_create: bool = True) -> Store:
    """Open the store at a URL: `sqlite:///file.db` (`sqlite:////absolute/file.db`), or `dynamodb://PREFIX`.

    `busy_s` is the longest wait for the write lock of a file; a write raises StoreAway then. A missing file is created
    in a folder that exists, if it `may_create`.
    Raises ConfigurationError for another form of URL, StoreUnusable for an unusable store.
    """
    if path := _path_in(url):
        store = SqliteStore(path, busy_s=busy_s, may_create=may_create)
        _name_exposed(Path(path))
        return store
    if url.startswith("dynamodb://"):
        from aggregator.store.dynamodb.dynamodb_store import open_dynamodb  # boto3 takes a while to load

        return open_dynamodb(url)
    raise ConfigurationError(f"{url!r} is not a store; write it like sqlite:///wattfall.db or dynamodb://wattfall")


def file_of(url: str) -> Path:
    """Return the file of the SQLite store at a URL. Raises ConfigurationError for another store."""
    if path := _path_in(url):
        return Path(path)
    raise ConfigurationError(f"{url!r} is no SQLite file; on DynamoDB use point-in-time recovery, as the README tells")


def _path_in(url: str) -> str:
    """Return the path in `sqlite:///path`; empty for another URL."""
    return url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else ""


@cache  # once in a process
def _name_exposed(path: Path) -> None:
    """Log a file that others than its owner may open."""
    if path.stat().st_mode & 0o077:
        log.warning("%s can be opened by other users; `chmod go= %s*` makes it its owner's alone", path, path)


# Walks over all devices of a store, in bounded memory; and the entry of a new one


def new_entry(store: Store, device_id: str, default_zone: str) -> Device:
    """Return a new device, not stored yet.

    A second meter is in its sender's zone. Another device of a store of one home belongs to that home, see
    `wattfall up`.
    """
    sender = store.device(sender_of(device_id))
    device = new_device(device_id, sender.timezone if sender else default_zone)
    is_owned = not device.is_second_meter and bool(store.record(MARKS.of(), HOME))
    return replace(device, household=HOME) if is_owned else at_home(device, store.device)


def all_devices(store: Store, leave_out: LeaveOut | None = None) -> Iterator[Device]:
    """Yield every device of a store by id, reading a page at a time; `leave_out` as in `Store.devices`."""
    return chain.from_iterable(pages(partial(store.devices, leave_out=leave_out)))


def pages(read: Callable[[str], Sequence[Listed]], store: Store | None = None) -> Iterator[Sequence[Listed]]:
    """Yield every page of what a store lists by device; `read` takes the device after which a page begins.

    With the `store` the next page is read meanwhile, if it is remote.
    """
    page = read("")
    while page:
        read_next = partial(read, page[-1].device_id)
        following: Callable[[], Sequence[Listed]] = store.begin(read_next) if store else read_next
        yield page
        page = following()


class IdSet:
    """A set of device ids, of each 8 bytes, by its first two: 10 million take 115 MB.

    An id that was not added is taken for one of 10 million with a chance of one in 10^12.
    """

    def __init__(self) -> None:
        self._groups: dict[int, bytearray] = {}

    def add(self, device_id: str) -> None:
        """Add an id that is not in the set."""
        own = hash(device_id) % (1 << 64)
        self._groups.setdefault(own >> 48, bytearray()).extend(own.to_bytes(8))

    def __contains__(self, device_id: str) -> bool:
        own = hash(device_id) % (1 << 64)
        group, place = self._groups.get(own >> 48, b""), -1
        while (place := group.find(own.to_bytes(8), place + 1)) % 8:
            if place < 0:
                return False
        return True
