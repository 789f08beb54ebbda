"""The audit: which staff looked at which home, their actions, times and reasons. Append-only, as a hash chain.

An entry is written once, under the next free number; nothing replaces or deletes it. Its hash covers its content and
the hash of the previous entry, so `check` detects a changed or deleted entry. The collections of its device and its
person hold copies under the same number, and `audit/days` holds the first number of each day. Each query thus reads
one range of keys.

A process may die between an entry and its copies. `head` names the last complete entry; the next writer or reader
completes later entries first.

| collection | key | body |
|---|---|---|
| `audit` | number | the entry |
| `audit/device/ID`, `audit/person/ID` (and the e-mail) | number | the same |
| `audit/days` | UTC day | number of its first entry |
| `audit/head` | `head` | number, time and hash of the last complete entry |
| `audit/grants/USER` | device | end of the grant, UTC seconds |
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import HOUR
from aggregator.store.collections import AUDIT, AUDIT_DAYS, AUDIT_GRANTS, AUDIT_HEAD, AUDIT_OF_DEVICE, AUDIT_OF_PERSON
from aggregator.store.port import LAST_KEY, Store
from aggregator.support.audit_entry import ACTIONS as ACTIONS
from aggregator.support.audit_entry import FIRST, check_reason, decode, encode, key_of
from aggregator.support.audit_entry import Action as Action
from aggregator.support.audit_entry import Entry as Entry
from aggregator.support.audit_entry import Who as Who

GRANT_HOURS = AUDIT_GRANTS.lifetime_s // HOUR  # a look-up lasts a shift
TRIES = 50  # attempts of a write against concurrent writers
_PAGE = 1000
_LEDGER, _DAYS, _HEAD = AUDIT.of(), AUDIT_DAYS.of(), AUDIT_HEAD.of()


class Seen(NamedTuple):
    """An entry for the household that it is about."""

    at: int  # UTC seconds
    by: str  # role and short name
    action: str
    reason: str
    details: Mapping[str, str]


class _Head(NamedTuple):
    """The last complete entry."""

    number: int = 0
    at: int = 0
    hash: str = FIRST


# Writing


def append(
    store: Store,
    who: Who,
    action: Action,
    device_id: str,
    reason: str,
    now: int,
    details: Mapping[str, str] | None = None,
) -> Entry:
    """Write an entry before its action; durable on return. Call it outside of transactions.

    `update_record` does not fit, because it repeats one key: here a writer that loses completes the winner's entry and
    tries the next number.

    Raises ConfigurationError without a reason, StoreAway after TRIES concurrent writes.
    """
    reason = check_reason(reason)
    for _ in range(TRIES):
        last = _complete_head(store)
        entry, body = encode(
            Entry(last.number + 1, max(now, last.at), who, action, device_id, reason, details or {}, last.hash)
        )
        if store.put_record(_LEDGER, entry.key, body, was=None):
            _complete(store, entry, body)
            return entry
    raise StoreAway(f"other writers were faster than this audit entry {TRIES} times in a row; try again")


def grant(store: Store, user_id: str, device_id: str, until: int) -> None:
    """Grant a person access to a device until an instant (UTC seconds)."""
    store.put_record(_grants(user_id), device_id, str(until), expires=until)


def granted(store: Store, user_id: str, device_id: str, now: int) -> bool:
    """Whether a person has a valid grant for a device. Reads one key."""
    until = store.record(_grants(user_id), device_id)
    return until is not None and now < int(until)


def withdraw(store: Store, user_id: str, device_id: str) -> None:
    """End a grant early."""
    store.drop_record(_grants(user_id), device_id)


# Reading


def entries(
    store: Store,
    *,
    device_id: str = "",
    person: str = "",
    first_day: str | None = None,
    last_day: str | None = None,
    limit: int = _PAGE,
) -> list[Entry]:
    """Return the newest entries, newest first: of a device, a person (id or e-mail), or UTC days, both included."""
    _complete_head(store)  # a writer may have died before the copies
    low, high = _numbers(store, first_day, last_day)
    collection = _of_device(device_id) if device_id else _of_person(person) if person else _LEDGER
    wanted = person.lower() if device_id else ""
    found: list[Entry] = []
    while len(found) < limit and low <= high:
        page = [
            decode(record.body) for record in store.records(collection, low, high, min(limit, _PAGE), newest_first=True)
        ]
        if not page:
            break
        found += [one for one in page if not wanted or wanted in one.who.ids]
        high = key_of(page[-1].number - 1)
    return found[:limit]


def seen_by_staff(store: Store, device_id: str, limit: int = 100) -> list[Seen]:
    """Return the staff's actions on a device for its household, newest first."""
    newest = entries(store, device_id=device_id, limit=limit)
    return [Seen(one.at, one.who.shown, one.action, one.reason, one.details) for one in newest]


def check(store: Store) -> Iterator[str]:
    """Yield a line for each missing, changed or unchained entry, and for each differing copy."""
    last, noted = _Head(), _load_head(store)
    for key, body in _ledger(store):
        entry = _parse(key, body)
        if entry is None:
            yield f"entry {key} cannot be read"
            last = _Head(int(key), 0, "")
            continue
        yield from _faults(entry, last)
        if entry.number <= noted.number:  # later entries get their copies from the next writer
            yield from _missing_copies(store, entry, body)
        last = _Head(entry.number, entry.at, entry.hash)
    if noted.number > last.number:
        yield f"entries after {last.number} missing, up to {noted.number}"
    elif noted.number == last.number and noted.hash != last.hash:
        yield f"entry {last.number} is not the one that was written"


def _faults(entry: Entry, last: _Head) -> Iterator[str]:
    if entry.number != last.number + 1:
        yield f"entries after {last.number} missing, up to {entry.number - 1}"
    elif last.hash and entry.previous != last.hash:
        yield f"entry {entry.number} does not follow the one before it"
    if not entry.is_intact:
        yield f"entry {entry.number} was changed"


def _missing_copies(store: Store, entry: Entry, body: str) -> Iterator[str]:
    for collection in _copies(entry):
        if store.record(collection, entry.key) != body:
            yield f"entry {entry.number} is not the same on {collection}"


def _parse(key: str, body: str) -> Entry | None:
    try:
        entry = decode(body)
    except (ValueError, TypeError):
        return None
    return entry if entry.key == key else None


def _ledger(store: Store) -> Iterator[tuple[str, str]]:
    after = ""
    while page := store.records(_LEDGER, after, limit=_PAGE):
        yield from page
        after = page[-1].key + "\0"


def _numbers(store: Store, first_day: str | None, last_day: str | None) -> tuple[str, str]:
    """Return the keys of the first and the last entry of UTC days; without entries the first is after the last."""
    low, high = key_of(0), key_of(10**12 - 1)
    if first_day:
        found = store.records(_DAYS, first_day, limit=1)
        low = found[0].body if found else LAST_KEY
    if last_day:
        found = store.records(_DAYS, periods.shift("day", last_day, 1), limit=1)
        high = key_of(int(found[0].body) - 1) if found else high
    return low, high


# The chain


def _load_head(store: Store) -> _Head:
    body = store.record(_HEAD, "head")
    return _Head(*orjson.loads(body)) if body else _Head()


def _complete_head(store: Store) -> _Head:
    """Complete all entries and return the last."""
    last = _load_head(store)
    while page := store.records(_LEDGER, key_of(last.number + 1), limit=_PAGE):
        for record in page:
            entry = _parse(record.key, record.body)
            if entry is None:
                raise StoreUnusable(f"entry {record.key} of the audit cannot be read; see `wattfall audit --check`")
            _complete(store, entry, record.body)
            last = _Head(entry.number, entry.at, entry.hash)
    return last


def _complete(store: Store, entry: Entry, body: str) -> None:
    """Write the copies of an entry, the start of its day, and the head. Repeating it changes nothing."""
    for collection in _copies(entry):
        store.put_record(collection, entry.key, body)
    store.put_record(_DAYS, periods.day_of(entry.at, "UTC"), entry.key, was=None)
    store.put_record(_HEAD, "head", orjson.dumps([entry.number, entry.at, entry.hash]).decode())


def _copies(entry: Entry) -> list[str]:
    people = [_of_person(one) for one in entry.who.ids]
    return [_of_device(entry.device_id), *people] if entry.device_id else people


def _of_device(device_id: str) -> str:
    return AUDIT_OF_DEVICE.of(device_id)


def _of_person(person: str) -> str:
    return AUDIT_OF_PERSON.of(person.lower())


def _grants(user_id: str) -> str:
    return AUDIT_GRANTS.of(user_id)
