"""The embedded store's registry: devices, search terms, records, the change feed and the quarantine."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from dataclasses import asdict
from functools import lru_cache
from itertools import repeat
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import Damaged
from aggregator.core.periods import FOR_EVER, HALF_HOUR
from aggregator.store import search
from aggregator.store.occupancies import at_home
from aggregator.store.port import Answer, Backlog, Change, LeaveOut, name_once
from aggregator.store.sqlite.sqlite_file import RESTORE, SqliteFile
from aggregator.store.sqlite.sqlite_schema import INTACT, check_value, given, intact
from aggregator.store.stored_records import (
    ANYTHING,
    DAMAGED,
    DIFFERS,
    LAST_KEY,
    Record,
    Was,
    check_range,
    check_record,
    crc_of,
)

_PAGE = 500  # terms read at once
_CHANGES = "SELECT sequence, level, device_id, key, first FROM changes WHERE level = ?"
_MARK = """
INSERT INTO changes (level, device_id, key, due, first) VALUES (?, ?, ?, ?, ?) ON CONFLICT (level, device_id, key)
DO UPDATE SET due = min(due, excluded.due), first = min(first, excluded.first)
WHERE excluded.due < due OR excluded.first < first
"""
REMEMBERED_DEVICES = 200_000  # devices, or dirty keys, in a thread's memory; of about 1 KB each
_RECORDS = "SELECT CAST(shelf AS BLOB), CAST(key AS BLOB), expires, CAST(body AS BLOB), check_value FROM records"
_EXPIRED = "expires > 0 AND expires <= ?"
_PUT_RECORD = f"INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, {check_value(given('records'))})"  # noqa: S608 - constants
_DEVICES = f"SELECT CAST(device_id AS BLOB), CAST(body AS BLOB), {INTACT['devices']} FROM devices WHERE"  # noqa: S608 - constants
_PUT_DEVICE = f"INSERT OR REPLACE INTO devices VALUES (?1, ?2, {check_value(given('devices'))})"  # noqa: S608 - constants


class SqliteRegistry(SqliteFile):
    """The port's registry, records and change feed on one SQLite file."""

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Read at once: the file is local."""
        answer = read()
        return lambda: answer

    # registry

    def device(self, device_id: str) -> Device | None:
        """Return a device, or None."""
        stored = self._stored(device_id)
        return at_home(stored, self._stored) if stored and stored.is_second_meter else stored

    def _stored(self, device_id: str) -> Device | None:
        """Return a device's row; a transaction remembers it, and those after it until another connection writes."""
        remembered: dict[str, Device] = self._local.devices if self._database.in_transaction else {}
        if device_id not in remembered:
            row = self._one(f"{_DEVICES} device_id = ?", device_id)
            if row is None:
                return None
            remembered[device_id] = self._intact(_device, device_id, row)
            if len(remembered) > REMEMBERED_DEVICES:
                self._forget()
        return remembered[device_id]

    def reading_ahead(self, device_ids: Collection[str]) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """Do nothing: a read costs no call."""
        return nullcontext()

    def devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> list[Device]:
        """Return the devices after the id `after`, by id, without the damaged ones that `leave_out` is told of."""
        query = f"{_DEVICES} device_id > CAST(? AS TEXT) ORDER BY device_id LIMIT ?"
        found, last = list[Device](), after.encode()
        while not found and (rows := self._all(query, last, limit)):
            for row in rows:
                last, name = row[0], row[0].decode(errors="replace")
                try:
                    found.append(at_home(self._intact(_device, name, row), self._stored))
                except Damaged as error:
                    if leave_out is None:
                        raise
                    leave_out(f"{name}: {error}")
        return found

    stored_devices = devices  # the store's own order is that of ids

    def put_device(self, device: Device) -> None:
        """Add or replace a device and its search terms."""
        own = search.check_labels(device).own
        with self.transaction():
            before: frozenset[str] = frozenset()
            with suppress(Damaged):  # the new row repairs the damaged one
                stored = self._stored(device.device_id)
                before = search.terms(stored) if stored else before
            self._run(_PUT_DEVICE, device.device_id, _device_body(own))
            self._local.devices[device.device_id] = own
            self._index(device.device_id, before, search.terms(device))

    def find_devices(self, text: str, limit: int) -> list[str]:
        """Return the ids of at most `limit` devices that match a text."""
        return search.find_devices(text, limit, self._candidates, self._having, self._lookup)

    def household_devices(self, household: str) -> list[str]:
        """Return the ids of a household's devices, in order."""
        return search.household_devices(household, self._candidates, self._lookup)

    def _index(self, device_id: str, before: frozenset[str], after: frozenset[str]) -> None:
        gone, new = ([(term, device_id) for term in sorted(some)] for some in (before - after, after - before))
        self._many("DELETE FROM device_terms WHERE term = ? AND device_id = ?", gone)
        self._many("INSERT OR IGNORE INTO device_terms VALUES (?, ?)", new)

    def _candidates(self, prefix: str) -> Iterator[str]:
        """Yield the devices that have a term with this prefix, by term."""
        query = (
            "SELECT term, device_id FROM device_terms WHERE (term, device_id) > (?, ?) AND term < ?"
            " ORDER BY term, device_id LIMIT ?"
        )
        after, end = (prefix, ""), f"{prefix}{LAST_KEY[0]}"
        while rows := self._all(query, *after, end, _PAGE):
            yield from (device_id for _, device_id in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1]

    def _having(self, words: list[str]) -> Iterator[str]:
        """Yield devices that may match all words."""
        return search.having_all(words, self._candidates)

    def _lookup(self, device_ids: list[str]) -> list[Device]:
        found = []
        for device_id in device_ids:
            with suppress(Damaged):  # a damaged device is not found
                found.append(self.device(device_id))
        return [device for device in found if device]

    # records

    def record(self, collection: str, key: str) -> str | None:
        """Return the body of a record; None without one, DAMAGED for a damaged one."""
        check_record(collection, key)
        row = self._one(f"{_RECORDS} WHERE shelf = ? AND key = ?", collection, key)
        return self._body(row) if row else None

    def records(
        self,
        collection: str,
        first: str = "",
        last: str = LAST_KEY,
        limit: int = 1000,
        *,
        newest_first: bool = False,
        with_damaged: bool = False,
    ) -> list[Record]:
        """Return the records from one key to another, both included, in order of key or backwards."""
        check_range(collection, first, last)
        order = "DESC" if newest_first else "ASC"
        found = list[Record]()
        with closing(
            self._each(
                f"{_RECORDS} WHERE shelf = ? AND key BETWEEN ? AND ? ORDER BY key {order}", collection, first, last
            )
        ) as rows:
            for row in rows if limit > 0 else ():
                body = self._body(row)
                if body or (with_damaged and body is not None):
                    found.append(Record(row[1].decode(errors="replace"), body))
                if len(found) == limit:
                    break
        return found

    def damaged_records(self) -> Iterator[str]:
        """Yield one line for each damaged record, and an empty line now and then."""
        for number, row in enumerate(self._each(_RECORDS)):
            if (fault := self._record_fault(row)) or not number % _PAGE:
                yield fault

    def _body(self, row: tuple[Any, ...]) -> str | None:
        """Return the body of a row; None for one that has expired, DAMAGED for one that is damaged, which is logged."""
        if fault := self._record_fault(row):
            name_once(fault)
            return DAMAGED
        *_, expires, body, _ = row
        return str(body, "utf-8") if not expires or expires > int(self._clock()) else None

    def _record_fault(self, row: tuple[Any, ...]) -> str:
        if crc_of(*row[:-1]) == row[-1]:
            return ""
        collection, key = (one.decode(errors="replace") for one in row[:2])
        name = "a record" if "@" in key else key  # an e-mail address
        return f"{self._path} is damaged: {name} of {collection}: {DIFFERS}; {RESTORE}"

    def put_record(
        self, collection: str, key: str, body: str, was: Was = ANYTHING, expires: int = 0, *, is_patient: bool = True
    ) -> bool:
        """Write a record if the stored body equals `was`; return whether it was written."""
        check_record(collection, key, body)
        with self.transaction(is_patient=is_patient):
            if was is not ANYTHING and self.record(collection, key) != was:
                return False
            self._run(_PUT_RECORD, collection, key, expires, body)
        return True

    def drop_record(self, collection: str, key: str) -> None:
        """Delete a record, if it exists."""
        check_record(collection, key)
        with self.transaction():
            self._run("DELETE FROM records WHERE shelf = ? AND key = ?", collection, key)

    def expire_records(self, now: int) -> int:
        """Delete the records that have expired at `now` (UTC seconds), damaged ones by name. Return their number."""
        with self.transaction():
            for row in self._all(f"{_RECORDS} WHERE {_EXPIRED} AND NOT ({INTACT['records']})", now):
                name_once(self._record_fault(row))
            return self._run(f"DELETE FROM records WHERE {_EXPIRED}", now)  # noqa: S608 - a constant

    # change feed

    def follow(self) -> None:
        """Do nothing: all processes share the feed in the file."""

    def mark(self, table: str, device_id: str, keys: Iterable[str]) -> None:
        """Mark keys as dirty without a write."""
        with self.transaction():
            self._mark([(table, device_id, key) for key in keys])

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return the oldest change records of a table that are due at `until`, and all those of some devices."""
        rows = self._all(f"{_CHANGES} AND due <= ? ORDER BY due, sequence LIMIT ?", table, until, limit)
        if devices:
            chosen = orjson.dumps([*devices]).decode()  # `+due`: found by device, not by due time
            rows += self._all(
                f"{_CHANGES} AND +due > ? AND device_id IN (SELECT value FROM json_each(?))",  # noqa: S608 - constants
                *(table, until, chosen),
            )
        return [Change(*row) for row in rows]

    def settle(self, changes: Iterable[Change]) -> None:
        """Delete propagated change records, in the transaction that reads what they are about.

        A record that got an earlier instant since it was read stays.
        """
        settled = list(changes)
        with self.transaction():
            chosen = [(change.sequence, change.first) for change in settled]
            self._many("DELETE FROM changes WHERE sequence = ? AND first = ?", chosen)
            for change in settled:
                self._local.dirty.pop(change[1:4], None)

    def quarantine(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Record dirty keys that cannot be propagated, with the reason."""
        with self.transaction():
            self._many(
                "INSERT INTO aside (device_id, level, key, reason) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET reason = excluded.reason",
                [(device_id, table, key, reason) for key in keys],
            )

    def quarantined(self, device_id: str) -> list[str]:
        """Return the quarantined keys of a device, one line per key."""
        rows = self._all("SELECT level, key, reason FROM aside WHERE device_id = ? ORDER BY level, key", device_id)
        return [f"{level} {key}: {reason}" for level, key, reason in rows]

    def clear_quarantine(self, device_id: str, keys: Collection[tuple[str, str]] | None = None) -> None:
        """Delete the quarantined keys of a device; with `keys` only these."""
        with self.transaction():
            if keys is None:
                self._run("DELETE FROM aside WHERE device_id = ?", device_id)
            else:
                rows = [(device_id, *key) for key in keys]
                self._many("DELETE FROM aside WHERE device_id = ? AND level = ? AND key = ?", rows)

    def backlog(self, table: str = "") -> Backlog:
        """Return the number and the age of the dirty keys that are due, of a table or of all."""
        where, values = ("AND level = ?", [table]) if table else ("", [])
        row = self._one(f"SELECT count(*), min(due) FROM changes WHERE due <= ? {where}", self.now(), *values)  # noqa: S608 - constants
        return Backlog(*row) if row else Backlog(0, None)

    def _mark(self, keys: Iterable[tuple[str, str, str]], firsts: Iterable[int] = repeat(0), due: int = 0) -> None:
        """Mark keys as dirty, each from an instant on, in a transaction; due at once, or at `due` (UTC seconds).

        It skips those of which this thread remembers that they are.
        """
        dirty: dict[tuple[str, str, str], int] = self._local.dirty
        new = {key: first for key, first in zip(keys, firsts, strict=False) if first < dirty.get(key, FOR_EVER)}
        due = max(due, self.now())
        self._many(_MARK, [(*key, due, first) for key, first in new.items()])
        dirty.update(new)
        if len(dirty) > REMEMBERED_DEVICES:
            self._forget()

    def _found_blocks(self, query: str, device_id: str, edge: int, length: int) -> Iterator[int]:
        """Yield the starts of one table's blocks, nearest first: a look-up for each, however many rows it has."""
        while row := self._one(query, device_id, edge):
            start = row[0] - row[0] % HALF_HOUR
            yield start
            edge = start + length


def _device_body(device: Device) -> bytes:
    """Return a device as JSON, without empty texts."""
    return orjson.dumps({name: value for name, value in asdict(device).items() if value not in ("", None)})


@lru_cache(maxsize=16_384)  # a poll reads a device each time, which hardly ever changes
def _device(_device_id: str, row: tuple[bytes, bytes, bool]) -> Device:
    """Decode a device. Raises ValueError, or KeyError for an unknown time zone."""
    ((_, body),) = intact([row])
    device = msgspec.json.decode(body, type=Device)
    ZoneInfo(device.timezone)
    return device
