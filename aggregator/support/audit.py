"""The audit: which staff looked at which home, their actions, times and reasons. Append-only, as a keyed hash chain.

An entry is written once, under the next free number; nothing deletes it, and only an erasure takes its reason. Its hash
covers its content and the hash of the previous entry, and needs WATTFALL_SECRET, so `audit_check` detects a changed or
deleted entry. The collections of its device and its person hold copies under the same number, and `audit/days` holds
the first number of each day. Each query thus reads one range of keys. `audit_people` has the people behind pseudonyms.

A process may die between an entry and its copies. `head` names the last complete entry; the next writer or reader
completes later entries first.

| collection | key | body |
|---|---|---|
| `audit` | number | the entry |
| `audit/device/ID`, `audit/person/PSEUDONYM` | number | the same |
| `audit/days` | UTC day | number of its first entry |
| `audit/head` | `head` | number, time and hash of the last complete entry |
| `audit/grants/USER` | device | end of the grant, UTC seconds |
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, takewhile
from secrets import token_hex
from typing import NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway, StoreUnusable
from aggregator.core.periods import FOR_EVER, HOUR, Window
from aggregator.core.readings import sender_of
from aggregator.store import collections as rows
from aggregator.store.occupancies import seen_instants
from aggregator.store.port import Store
from aggregator.store.stored_records import LAST_KEY, Record
from aggregator.support import audit_people
from aggregator.support.audit_entry import ACTIONS as ACTIONS
from aggregator.support.audit_entry import (
    FIRST,
    HOUSEHOLD,
    NO_KEY,
    ChainKeys,
    check_reason,
    decode,
    encode,
    key_of,
    parse_entry,
    without_reason,
)
from aggregator.support.audit_entry import Action as Action
from aggregator.support.audit_entry import Entry as Entry
from aggregator.support.audit_entry import Seen as Seen
from aggregator.support.audit_entry import Who as Who

GRANT_HOURS = rows.AUDIT_GRANTS.lifetime_s // HOUR  # a look-up lasts a shift
TRIES = 50  # attempts of a write against concurrent writers
PAGE = 1000
AT_ONCE = 100  # entries that a household's page reads at once
LEDGER, _DAYS, _HEAD = rows.AUDIT.of(), rows.AUDIT_DAYS.of(), rows.AUDIT_HEAD.of()
log = logging.getLogger("wattfall.audit")


class Head(NamedTuple):
    """The last complete entry."""

    number: int = 0
    at: int = 0
    hash: str = FIRST
    key_id: str = NO_KEY

    def __str__(self) -> str:
        """Return the anchor to be kept outside the store: number and hash."""
        return f"{self.number}:{self.hash}"


class Audit:
    """The audit of a store. `secrets` has WATTFALL_SECRET first, then former ones, with which entries are checked."""

    def __init__(self, store: Store, secrets: Sequence[str]) -> None:
        self.store = store
        self.keys = ChainKeys(secrets)

    # Writing

    def append(
        self,
        who: Who,
        action: Action,
        device_id: str,
        reason: str,
        now: int,
        details: Mapping[str, str] | None = None,
    ) -> Entry:
        """Write an entry before its action; durable on return. Call it outside of transactions.

        `update_record` does not fit, because it repeats one key: here a writer that loses completes the winner's entry
        and tries the next number.

        Raises ConfigurationError without a reason, or without the secret of a keyed chain, and StoreAway after TRIES
        concurrent writes.
        """
        reason, person, salt = check_reason(reason), audit_people.pseudonym_of(self.store, who), token_hex(16)
        for _ in range(TRIES):
            last = self.complete_head()
            if last.key_id != NO_KEY and self.keys.present == NO_KEY:
                raise ConfigurationError(
                    "the audit of this store is signed; set WATTFALL_SECRET as `wattfall web` has it"
                    " (`wattfall up` keeps it in the file `secret` of its folder)"
                )
            at, texts = max(now, last.at), details or {}
            entry, body = encode(
                Entry(
                    *(last.number + 1, at, person, who.role, action, device_id, reason, texts, last.hash),
                    who=who,
                    salt=salt,
                ),
                self.keys,
            )
            if self.store.put_record(LEDGER, entry.key, body, was=None):
                self._complete(entry, body)
                return entry
        raise StoreAway(f"other writers were faster than this audit entry {TRIES} times in a row; try again")

    def forget(self, who: Who, person: str, reason: str, now: int) -> int:
        """Destroy what tells the person behind their pseudonyms; an entry tells of it. Return the number of these.

        Raises ConfigurationError for a person that the audit does not know.
        """
        known = audit_people.pseudonyms(self.store, person)
        if not known:
            raise ConfigurationError("the audit knows no such person; name them by user id or e-mail address")
        self.append(who, "forget", "", reason, now, dict.fromkeys(known, "forgotten"))
        return len(audit_people.forget(self.store, person))

    def erase_reasons(self, device_id: str, start: int, end: int, files: Sequence[str] = ()) -> None:
        """Delete the reasons of a device's entries from `start` to before `end` (UTC seconds), and of imports of files.

        The chain verifies. The copy of the device is the last to change, so that a repeated call finds what is left.
        """
        place, ends = of_device(device_id), tuple(f": {one}" for one in files)
        for page in rows.record_pages(self.store, place):
            for key, body in page:
                entry, left = parse_entry(key, body), without_reason(body)
                if entry and (start <= entry.at < end or entry.reason.endswith(ends)) and left != body:
                    for one in (LEDGER, of_person(entry.person), place):
                        self.store.put_record(one, key, left)

    # Reading

    def entries(
        self,
        *,
        device_id: str = "",
        person: str = "",
        first_day: str | None = None,
        last_day: str | None = None,
        limit: int = PAGE,
        is_wanted: Callable[[Entry], bool] = lambda _: True,
    ) -> list[Entry]:
        """Return the newest wanted entries, newest first: of a device, a person, or UTC days, both included.

        A person is a user id, an e-mail address or a pseudonym. A copy that no writer of the chain made is left out.
        """
        self.complete_head()  # a writer may have died before the copies
        low, high = self._numbers(first_day, last_day)
        people = (audit_people.pseudonyms(self.store, person) or [person]) if person else []
        places = [of_device(device_id)] if device_id else [of_person(one) for one in people] or [LEDGER]

        def is_asked(one: Entry) -> bool:
            is_about = (not people or one.person in people) and device_id in ("", one.device_id) and is_wanted(one)
            return is_about and (first_day or "") <= periods.day_of(one.at, "UTC") <= (last_day or LAST_KEY)

        page = max(limit, AT_ONCE)  # of which few may be wanted
        found = [one for place in places for one in islice(self._listed(place, low, high, is_asked, page), limit)]
        newest = sorted(found, key=lambda one: one.number, reverse=True)[:limit]
        return list(map(audit_people.naming(self.store), newest))

    def seen_by_staff(self, device: Device) -> Iterator[Seen]:
        """Yield what others did in the stay of a device's viewer, newest first, as the household reads it.

        An entry that names a household is read by this one alone, whenever it was written.
        """
        time = self.time_of(device, seen_instants(device))
        own = audit_people.pseudonyms(self.store, audit_people.household_id(device.household))
        self.complete_head()

        def is_told(one: Entry) -> bool:
            named = one.details.get(audit_people.NAMED_HOUSEHOLD)
            return one.role != HOUSEHOLD and (named in own if named else time.start <= one.at < time.end)

        found = self._listed(of_device(device.device_id), *self._numbers(None, None), is_told, at_once=AT_ONCE)
        for one in map(audit_people.naming(self.store), found):
            yield Seen(one.at, one.who.shown, one.action, one.reason, one.details)

    def time_of(self, device: Device, stay: Window) -> Window:
        """Return the time in which entries about a device tell of the household that lives there in `stay`."""
        return Window(self._told_from(device, stay.start), self._told_from(device, stay.end))

    def _told_from(self, device: Device, at: int) -> int:
        """Return the instant from which entries tell of who moved in at the start of a local day.

        A move may be written down after its first day: until then staff saw, and wrote of, the home before.
        """
        if at in (0, FOR_EVER):
            return at
        day, since = periods.day_of(at, device.timezone), periods.day_of(at, "UTC")
        moves = self.entries(
            device_id=sender_of(device.device_id),
            first_day=since,
            limit=1,
            is_wanted=lambda one: one.details.get(audit_people.MOVED_FROM) == day,
        )
        return max([at, *(one.at for one in moves)])

    def head(self) -> Head:
        """Return the last complete entry."""
        body = self.store.record(_HEAD, "head")
        return Head(*orjson.loads(body)) if body else Head()

    def log_head(self) -> None:
        """Write the head to the log, which is kept elsewhere than the store."""
        head = self.head()
        if head != Head():
            log.info("head %s; `wattfall audit --check %s` proves that nothing before was rewritten", head, head)

    def _listed(
        self, place: str, low: str, high: str, is_asked: Callable[[Entry], bool], at_once: int = PAGE
    ) -> Iterator[Entry]:
        """Yield the asked entries of a collection, newest first, a page at a time."""
        while low <= high and (page := self.store.records(place, low, high, min(at_once, PAGE), newest_first=True)):
            for record in page:
                if is_asked(one := decode(record.body)) and self._is_whole(one, record):
                    yield one
            high = key_of(int(page[-1].key) - 1)

    def _is_whole(self, entry: Entry, copy: Record) -> bool:
        """Whether a writer of the chain made a copy."""
        is_signed = entry.key_id != NO_KEY and entry.is_intact(self.keys)
        return is_signed or self.store.record(LEDGER, entry.key) == copy.body

    def _numbers(self, first_day: str | None, last_day: str | None) -> tuple[str, str]:
        """Return the keys between which the entries of UTC days are, maybe others too; without entries none."""
        low, high = key_of(0), key_of(10**12 - 1)
        if first_day:
            found = self.store.records(_DAYS, first_day, limit=1, with_damaged=True)
            low = found[0].body or key_of(0) if found else LAST_KEY
        if last_day:
            found = self.store.records(_DAYS, periods.shift("day", last_day, 1), limit=1)
            high = key_of(int(found[0].body) - 1) if found else high
        return low, high

    # The chain

    def complete_head(self) -> Head:
        """Complete all entries and return the last."""
        last = self.head()
        for page in rows.record_pages(self.store, LEDGER, key_of(last.number + 1), with_damaged=True):
            for record in page:
                entry = parse_entry(record.key, record.body)
                if entry is None:
                    raise StoreUnusable(f"entry {record.key} of the audit cannot be read; see `wattfall audit --check`")
                self._complete(entry, record.body)
                last = head_of(entry)
        return last

    def _complete(self, entry: Entry, body: str) -> None:
        """Write the copies of an entry, the start of its day, and the head. Repeating it changes nothing."""
        for collection in copies(entry):
            self.store.put_record(collection, entry.key, body)
        day = periods.day_of(entry.at, "UTC")
        if not (was := self.store.record(_DAYS, day)):  # none, or damaged
            before = self._listed(LEDGER, key_of(0), entry.key, lambda _: True, AT_ONCE)
            *_, first = takewhile(lambda one: periods.day_of(one.at, "UTC") == day, before)
            self.store.put_record(_DAYS, day, first.key, was=was)
        self.store.put_record(_HEAD, "head", orjson.dumps([*head_of(entry)]).decode())


def head_of(entry: Entry) -> Head:
    """Return an entry as a head."""
    return Head(entry.number, entry.at, entry.hash, entry.key_id)


def copies(entry: Entry) -> list[str]:
    """Return the collections with a copy of an entry."""
    return [of_device(entry.device_id), of_person(entry.person)] if entry.device_id else [of_person(entry.person)]


def of_device(device_id: str) -> str:
    """Return the collection of a device's entries."""
    return rows.AUDIT_OF_DEVICE.of(device_id)


def of_person(pseudonym: str) -> str:
    """Return the collection of a person's entries."""
    return rows.AUDIT_OF_PERSON.of(pseudonym)


# Grants


def grant(store: Store, user_id: str, device_id: str, until: int) -> None:
    """Grant a person access to a device until an instant (UTC seconds)."""
    store.put_record(_grants(user_id), device_id, str(until), expires=until)


def granted(store: Store, user_id: str, device_id: str, now: int) -> bool:
    """Whether a person has a valid grant for a device. Reads one key."""
    until = store.record(_grants(user_id), device_id)
    return bool(until) and now < int(until or 0)


def withdraw(store: Store, user_id: str, device_id: str) -> None:
    """End a grant early."""
    store.drop_record(_grants(user_id), device_id)


def _grants(user_id: str) -> str:
    return rows.AUDIT_GRANTS.of(user_id)
