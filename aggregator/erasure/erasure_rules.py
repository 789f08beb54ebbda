"""What an erasure does to the records of each collection: one rule a row of `collections`, and none may be missing.

A rule of a device takes the erased stay, the key and the body of a record; it returns the body that stays, or None.
A collection without personal data says why in FREE. The tables beside the records are in TABLES. The cache that web
processes share is emptied and scanned at the end (`forget_cached`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import Damaged
from aggregator.core.periods import DAY_S, FOR_EVER
from aggregator.erasure.erasure_plan import ErasedStay, ErasurePlan, Resident
from aggregator.intake.refusals import UNKNOWN
from aggregator.store import collections as rows
from aggregator.store.collections import Collection
from aggregator.store.port import Store
from aggregator.store.stored_records import ANYTHING, DAMAGED, LAST_KEY
from aggregator.waterfall.gap_records import erase_gaps

PAGE = 500
Rule = Callable[[ErasedStay, str, str], str | None]


def _gone(_stay: ErasedStay, _key: str, _body: str) -> str | None:
    return None


def _if_open(stay: ErasedStay, _key: str, body: str) -> str | None:
    """Delete what belongs to who lives there now."""
    return None if stay.end == FOR_EVER else body


def _by_status(stay: ErasedStay, _key: str, body: str) -> str | None:
    (at, *_), *_ = orjson.loads(body)
    return None if stay.start <= at < stay.end else body


def _by_hours(stay: ErasedStay, _key: str, body: str) -> str | None:
    hours = orjson.loads(body)
    left = {hour: row for hour, row in hours.items() if not stay.start <= row[0] < stay.end}
    return orjson.dumps(left).decode() if 0 < len(left) < len(hours) else body if left else None


def _by_day(stay: ErasedStay, key: str, body: str) -> str | None:
    """Delete the counts of a UTC day that has erased time: nobody can divide them."""
    start = periods.day_start(key, "UTC")
    return None if start < stay.end and stay.start < start + DAY_S else body


def _by_state(stay: ErasedStay, _key: str, body: str) -> str | None:
    return None if stay.start <= orjson.loads(body)[1] < stay.end else body


def _by_key(stay: ErasedStay, key: str, body: str) -> str | None:
    return None if stay.start <= int(key) < stay.end else body


def _by_beat(stay: ErasedStay, _key: str, body: str) -> str | None:
    return None if stay.start <= orjson.loads(body)["beat"] < stay.end else body


def _by_import(stay: ErasedStay, _key: str, body: str) -> str | None:
    """Take what an import tells of its file and its energy; its number stays, which names its layer."""
    known = orjson.loads(body)
    if known["first"] >= stay.end or known["last"] < stay.start:
        return body
    nothing = dict.fromkeys(("import_wh", "export_wh", "volume_l"))
    blank: dict[str, object] = {"by": "", "file": "", "digest": "", "how": [], **nothing}
    return orjson.dumps(known | blank).decode()


OF_DEVICE: Mapping[Collection, Rule] = {
    rows.STATUS: _by_status,
    rows.SIGNAL: _by_hours,
    rows.WATCHED: _gone,
    rows.REFUSED_STATE: _by_state,
    rows.REFUSED: _by_day,
    rows.REFUSED_MESSAGES: _gone,  # a message may tell of any time
    rows.TOKENS: _if_open,
    rows.BACKFILLED: _by_key,
    rows.CLAIMS_NEWEST: _gone,
    rows.TARIFF_BEFORE: _gone,
    rows.IMPORTS: _by_import,
    rows.IMPORT_JOBS: _by_beat,
    rows.IMPORT_FINDINGS: _by_beat,
}
# Rows that functions of their own walk: `erase_device_records`, `erase_person`, the audit, requests.
WALKED = {
    *(rows.ESTIMATED_GAPS, rows.SPOOL, rows.REFUSED_DAYS, rows.CLAIMS),
    *(rows.AUDIT, rows.AUDIT_OF_DEVICE, rows.AUDIT_OF_PERSON, rows.AUDIT_CARDS, rows.AUDIT_PEOPLE),
    *(rows.USERS, rows.EMAILS, rows.INVITED, rows.AUDIT_GRANTS, rows.AUDIT_SEARCHES, rows.ATTEMPTS),
    *(rows.SESSIONS, rows.INVITATIONS, rows.IDENTITIES, rows.API_KEYS, rows.API_USES, rows.EXPORTS, rows.ERASURES),
}
FREE: Mapping[Collection, str] = {
    rows.AUDIT_DAYS: "numbers of entries",
    rows.AUDIT_HEAD: "the hash of an entry",
    rows.FLEET: "counts of the fleet",
    rows.FLEET_DAYS: "counts of the fleet",
    rows.FLEET_DEVICES: "ids of devices, for a day",
    rows.UNKNOWN_TOPICS: "topics that no format knows, without payloads",
    rows.MARKS: "what the store was made for",
}
TABLES: Mapping[str, str] = {
    "readings": "erase_evidence",
    "recent": "erase_evidence",
    "intervals": "erase_evidence",
    "layers": "erase_evidence",
    **{level.table: "drop_documents" for level in periods.LEVELS.values()},
    "live": "drop_live",
    "prices": "drop_prices",
    "devices": "without_household",
    "device_terms": "put_device writes the terms of a device anew",
    "records": "the rules of this module",
    "aside": "clear_quarantine",
    "checkpoints": "clear_quarantine; leases name no device",
    "horizons": "free: until when readings have expired",
    "changes": "free: dirty keys, which the worker settles",
    "sqlite_sequence": "free: a counter of changes",
}


def erase_device_records(store: Store, stay: ErasedStay, now: int) -> Iterator[None]:
    """Delete the records about the erased time of a device, in short steps."""
    for row, rule in OF_DEVICE.items():
        yield from _walked(store, stay, row, rule, now)
    erase_gaps(store, stay.device_id, stay.span)
    yield
    yield from _spooled(store, stay)
    yield from _naming(store, (rows.CLAIMS,), stay.device_id)
    for place in unknown_messages(store, stay.device_id):
        store.drop_record(rows.REFUSED_MESSAGES.of(UNKNOWN), place)
    shard = rows.REFUSED_DAYS.shard_of(stay.device_id)
    for back in range(rows.KEPT_DAYS + 1):
        day = periods.day_of(now - back * DAY_S, "UTC")
        if _by_day(stay, day, "") is None:
            _forget_count(store, rows.REFUSED_DAYS.of(day), shard, stay.device_id, now)
        yield


def _walked(store: Store, stay: ErasedStay, row: Collection, rule: Rule, now: int) -> Iterator[None]:
    """Apply a rule to the records of a row about a device, and to what others write into them meanwhile."""
    if row.part == "device":
        place, first, last = row.of(stay.device_id), "", LAST_KEY
    else:
        place, first = row.of(row.shard_of(stay.device_id)) if row.part else row.of(), stay.device_id
        last = first
    for page in rows.record_pages(store, place, first, last, with_damaged=True):
        for key, body in page:
            left = _ruled(rule, stay, key, body)
            if left is None and row is rows.IMPORTS:  # damaged; its key stays, so that no import gets its number again
                store.put_record(place, key, "", was=ANYTHING)
            elif left is None:
                store.drop_record(place, key)
            elif left != body:
                rows.update_record(store, place, key, partial(_ruled, rule, stay, key), expires=row.expires(now))
        yield


def _ruled(rule: Rule, stay: ErasedStay, key: str, body: str | None) -> str | None:
    try:
        return rule(stay, key, body) if body else None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Damaged(f"the record {key} about {stay.device_id} cannot be read ({error}); restore a backup") from error


def _naming(store: Store, naming: Iterable[Collection], name: str) -> Iterator[None]:
    """Delete the records of rows whose body is or quotes a name, or is damaged: it may have told it."""
    for row in naming:
        for page in rows.record_pages(store, row.of(), with_damaged=True):
            for key, body in page:
                if body in (name, DAMAGED) or f'"{name}"' in body:
                    store.drop_record(row.of(), key)
            yield


def _spooled(store: Store, stay: ErasedStay) -> Iterator[None]:
    """Delete the messages of a device that wait, if they came in the erased time."""
    first, last = f"{stay.device_id} ", f"{stay.device_id} ~"
    for page in rows.record_pages(store, rows.SPOOL.of(), first, last, with_damaged=True):
        for key, body in page:
            if not body or stay.start <= orjson.loads(body)[1] < stay.end:
                store.drop_record(rows.SPOOL.of(), key)
        yield


def unknown_messages(store: Store, device_id: str) -> list[str]:
    """Return the places of refused messages that were kept under no device, and name this one."""
    named = re.compile(rf"(?<![\w.:~-]){re.escape(device_id)}(?![\w.:~-])")
    kept = store.records(rows.REFUSED_MESSAGES.of(UNKNOWN), limit=PAGE, with_damaged=True)
    return [key for key, body in kept if not body or any(named.search(str(one)) for one in orjson.loads(body)[3:])]


def _forget_count(store: Store, collection: str, shard: str, device_id: str, now: int) -> None:
    def without(body: str | None) -> str | None:
        counts = orjson.loads(body) if body else {"devices": {}}
        if device_id not in counts["devices"]:
            return None
        del counts["devices"][device_id]
        return orjson.dumps(counts).decode()

    rows.update_record(store, collection, shard, without, expires=rows.REFUSED_DAYS.expires(now))


def erase_person(store: Store, person: Resident) -> Iterator[None]:
    """Delete the records of a person in short steps, the account last."""
    yield from _naming(store, (rows.SESSIONS, rows.INVITATIONS, rows.IDENTITIES, rows.CLAIMS), person.user_id)
    for attempt in person.attempts:
        store.drop_record(rows.ATTEMPTS.of(), attempt)
    for record in store.records(rows.AUDIT_GRANTS.of(person.user_id), limit=PAGE, with_damaged=True):
        store.drop_record(rows.AUDIT_GRANTS.of(person.user_id), record.key)
    for row, key in keys_of_person(person.user_id, person.email):
        store.drop_record(row.of(), key)
        yield


def keys_of_person(user_id: str, email: str) -> list[tuple[Collection, str]]:
    """Return the keys of records that are ids of a person, with their rows, the account last."""
    emails = [email] if email else []
    ids = {"user": [user_id], "email": emails, "person": [one.lower() for one in (user_id, *emails)]}
    found = [(row, key) for row in rows.COLLECTIONS for key in ids.get(row.key, ())]
    return sorted(found, key=lambda one: one[0] is rows.USERS)


def leave_household(store: Store, household: str) -> Iterator[None]:
    """Take a household from the accounts that stay, and delete its API keys, whoever holds them now."""

    def without_household(body: str | None) -> str | None:
        user = orjson.loads(body) if body else {}
        return orjson.dumps(user | {"household": ""}).decode() if user.get("household") == household else None

    def without_keys(body: str | None) -> str | None:
        gone = household_keys(body, household)
        return orjson.dumps([one for one in orjson.loads(body or "[]") if one not in gone]).decode() if gone else None

    for row, change in ((rows.API_KEYS, without_keys), (rows.USERS, without_household)):
        for page in rows.record_pages(store, row.of()):
            for key, body in page:
                if change(body) is not None:
                    rows.update_record(store, row.of(), key, change)
            yield


def household_keys(body: str | None, household: str) -> list[list[object]]:
    """Return the API keys of a household in a record, as `dashboard.accounts` writes them."""
    return [one for one in orjson.loads(body or "[]") if household and one[4] == household]


# The cache that web processes share

_REDIS_WAIT_S = 2
_REDIS_PAGE = 1000  # keys of a step
_OWNER = re.compile(rb"\('\w+', '([^']+)', ")  # the device in a `cache_key`


def cache_key(kind: str, device: Device, *rest: object) -> str:
    """Return the key of a cached answer about a device. An erasure changes it: no answer from before is read again."""
    return repr((kind, device.device_id, device.seen, device.erased, *rest))


def forget_cached(url: str, store: Store, plan: ErasurePlan) -> Iterator[str]:
    """Delete the cached answers about the devices of a plan, then scan every key and value of the cache at a URL.

    Yield a line for each entry that is left, or for a cache that cannot be scanned, and empty lines between steps. Call
    it after the store has forgotten, else a page could cache an answer again. What a page caches under the key that is
    valid since the erasure is no answer from before it.
    """
    if not url:
        return
    from redis import Redis, RedisError

    devices = {one.device_id: store.device(one.device_id) for one in plan.stays}
    valid = {name.encode(): (one.erased if one else "").encode() or b"\0" for name, one in devices.items()}
    names = [name.encode() for person in plan.people for name in person.ids]
    try:
        with Redis.from_url(url, socket_timeout=_REDIS_WAIT_S, socket_connect_timeout=_REDIS_WAIT_S) as cache:
            for keys in _key_pages(cache):
                if gone := [key for key in keys if _owner(key) in valid]:
                    cache.delete(*gone)
                yield ""
            for keys in _key_pages(cache):
                for key, value in zip(keys, cache.mget(keys) if keys else (), strict=True):
                    if valid.get(_owner(key), b"") not in key or any(name in key + (value or b"") for name in names):
                        yield f"the cached answer {key.decode(errors='replace')}"
                yield ""
    except (RedisError, OSError) as error:
        yield f"the cache, which was not scanned: WATTFALL_CACHE cannot be reached ({error})"


def _key_pages(cache: Any) -> Iterator[list[bytes]]:  # noqa: ANN401 - redis may be missing
    """Yield the keys of all answers, also those that another version of the web process has cached."""
    cursor = -1
    while cursor:
        cursor, keys = cache.scan(max(cursor, 0), "wattfall *", _REDIS_PAGE)
        yield keys


def _owner(key: bytes) -> bytes:
    """Return the device to which a cached answer belongs; empty for none."""
    found = _OWNER.search(key)
    return found[1] if found else b""
