"""Who of the staff looked at which home, did what there, when and why: append-only, and each entry chained to the last.

An entry is written once, under the next free number, and nothing replaces or removes it. Its hash covers its content
and the hash of the entry before it, so that one changed or taken out is noticed (`check`). Copies of it lie in
collections of its device and of its person, under the same number; where a day's entries begin is noted once a day. So
whatever is asked, one range of keys answers.

A process may die between an entry and its copies: `head` names the last entry that has them, and whoever comes next
makes up what is missing before going on.

| collection | key | body |
|---|---|---|
| `audit` | number | the entry |
| `audit/device/ID`, `audit/person/ID` (and the e-mail) | number | the same |
| `audit/days` | UTC day | number of its first entry |
| `audit/head` | `head` | number, time and hash of the last entry that is complete |
| `audit/grants/USER` | device | until when they may see it |
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
TRIES = 50  # of an entry against others that are written at the same time
_PAGE = 1000
_LEDGER, _DAYS, _HEAD = AUDIT.of(), AUDIT_DAYS.of(), AUDIT_HEAD.of()


class Seen(NamedTuple):
    """An entry as the home that it is about may read it."""

    at: int  # UTC seconds
    by: str  # role and short name
    action: str
    reason: str


class _Head(NamedTuple):
    """The last entry that is complete."""

    number: int = 0
    at: int = 0
    hash: str = FIRST


# writing


def append(
    store: Store,
    who: Who,
    action: Action,
    device_id: str,
    reason: str,
    now: int,
    details: Mapping[str, str] | None = None,
) -> Entry:
    """Write down what somebody does, before it is done; durable on return. Call it outside of rounds.

    The loop is its own, because it compares and sets the next free number: a writer that loses completes the winner's
    entry and tries the number after it. `update_record` tries the same key again.

    Raises ConfigurationError where no reason is given, StoreAway where others leave no turn.
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
    raise StoreAway(f"others wrote to the audit {TRIES} times meanwhile; try again")


def grant(store: Store, user_id: str, device_id: str, until: int) -> None:
    """Let somebody see a device until an instant (UTC seconds)."""
    store.put_record(_grants(user_id), device_id, str(until), expires=until)


def granted(store: Store, user_id: str, device_id: str, now: int) -> bool:
    """Whether somebody has looked a device up and may still see it. One key read."""
    until = store.record(_grants(user_id), device_id)
    return until is not None and now < int(until)


def withdraw(store: Store, user_id: str, device_id: str) -> None:
    """End a grant before its time."""
    store.drop_record(_grants(user_id), device_id)


# reading


def entries(
    store: Store,
    *,
    device_id: str = "",
    person: str = "",
    first_day: str | None = None,
    last_day: str | None = None,
    limit: int = _PAGE,
) -> list[Entry]:
    """The newest entries, newest first: of a device, of a person (id or e-mail), of UTC days, both included."""
    _complete_head(store)  # so that the last one is not missing because its writer died
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
    """What a home is told: who of the staff looked at it or did something to it, newest first."""
    found = entries(store, device_id=device_id, limit=limit)
    return [Seen(one.at, one.who.shown, one.action, one.reason) for one in found]


def check(store: Store) -> Iterator[str]:
    """A line for each entry that is missing, changed or out of its chain, and for each copy that is not the same."""
    last, noted = _Head(), _load_head(store)
    for key, body in _ledger(store):
        entry = _parse(key, body)
        if entry is None:
            yield f"entry {key} cannot be read"
            last = _Head(int(key), 0, "")
            continue
        yield from _faults(entry, last)
        if entry.number <= noted.number:  # those after it get their copies from who comes next
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
    """The numbers of the first and the last entry of UTC days, as keys; the first after the last where none is."""
    low, high = key_of(0), key_of(10**12 - 1)
    if first_day:
        found = store.records(_DAYS, first_day, limit=1)
        low = found[0].body if found else LAST_KEY
    if last_day:
        found = store.records(_DAYS, periods.shift("day", last_day, 1), limit=1)
        high = key_of(int(found[0].body) - 1) if found else high
    return low, high


# the chain


def _load_head(store: Store) -> _Head:
    noted = store.record(_HEAD, "head")
    return _Head(*orjson.loads(noted)) if noted else _Head()


def _complete_head(store: Store) -> _Head:
    """The last entry, after making up what is missing of those that lack something."""
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
    """The copies of an entry, where its day begins, and that it is the last; the same however often."""
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
