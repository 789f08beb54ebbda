"""API keys: with a key, a program of a household reads what its owner may see, and changes nothing.

A key is `wattfall-key.USER.SECRET`; the secret has 256 random bits, so its SHA-256 needs no salt. The store has only
the hash. A key acts as the person who made it, for the household that this person had then: it ends with the account,
with a move to another household, and when it is revoked, at once in every process: each request reads the record.

The use of a key stands in the audit, once a UTC day for each device, so that a program that asks every ten seconds
leaves one entry. The entry names the key by a pseudonym of its owner, see `audit_people`.

| collection | key | body |
|---|---|---|
| `api/keys` | user | `[[key id, hash, name, scopes, household, made at], ...]`, the oldest first |
| `api/uses` | user | `{key id: [last use (UTC seconds, to NOTE_S), {device: UTC day of its last entry}]}` |
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import NamedTuple

import orjson
from flask import g

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.store.collections import API_KEYS, API_USES, update_record
from aggregator.store.occupancies import is_over
from aggregator.store.port import Store
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_entry import KEY
from dashboard.accounts.access import act_as
from dashboard.accounts.accounts import token_hash
from dashboard.accounts.users import HOUSEHOLD, User, check_name
from dashboard.text.language import text

CHARTS, LIVE = SCOPES = ("charts", "live")
LONGEST = 200  # characters of a key
MOST = 10  # keys of a person
NOTE_S = 300  # precision of the last use
USED = text("Read by a key of the household")
_FIRST = "wattfall-key"
_MOST_NOTED = 10_000  # keys and devices in memory


class ApiKey(NamedTuple):
    """A key without its secret."""

    key_id: str
    hashed: str
    name: str
    scopes: Sequence[str]  # of SCOPES
    household: str
    made_at: int  # UTC seconds


class Use(NamedTuple):
    """A key and the time of its last use, UTC seconds; None for a key that was never used."""

    key: ApiKey
    last_used: int | None


class Holder(NamedTuple):
    """The key of a request, and the person as whom it reads."""

    user: User
    key: ApiKey


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of a store. `find_user` finds a person by id; `clock` gives UTC seconds."""

    store: Store
    find_user: Callable[[str], User | None]
    audit: Audit
    clock: Callable[[], int]
    _noted: OrderedDict[tuple[str, str], int] = field(default_factory=OrderedDict)  # key and device -> UTC seconds

    def make(self, user: User, name: str, scopes: Sequence[str]) -> str:
        """Make a key for a person's household and return it; nobody can read it again. Raises ConfigurationError."""
        if user.role != HOUSEHOLD or not user.household:
            raise ConfigurationError("only a household has keys")
        called, known = check_name(name), [one for one in SCOPES if one in scopes]
        if not called or not known:
            raise ConfigurationError("a key needs a name, and something that it may read")
        secret = f"{_FIRST}.{user.user_id}.{secrets.token_urlsafe(32)}"
        made = ApiKey(secrets.token_hex(4), token_hash(secret), called, known, user.household, self.clock())

        def added(body: str | None) -> str:
            keys = _parsed(body)
            if len(keys) >= MOST:
                raise ConfigurationError(f"a person has at most {MOST} keys; revoke one first")
            return _text([*keys, made])

        update_record(self.store, API_KEYS.of(), user.user_id, added)
        return secret

    def revoke(self, user: User, key_id: str) -> None:
        """End a key at once."""

        def left(body: str | None) -> str:
            return _text([one for one in _parsed(body) if one.key_id != key_id])

        update_record(self.store, API_KEYS.of(), user.user_id, left)

    def of(self, user: User) -> list[Use]:
        """Return the keys of a person, the oldest first."""
        uses = _uses(self.store.record(API_USES.of(), user.user_id))
        return [Use(one, uses.get(one.key_id, (None, {}))[0]) for one in self._keys(user.user_id)]

    def holder(self, key: str) -> Holder | None:
        """Return the person as whom a valid key reads, or None."""
        first, _, rest = key.partition(".")
        user_id = rest.rpartition(".")[0]
        if first != _FIRST or not user_id or len(key) > LONGEST or not key.isascii() or not key.isprintable():
            return None
        hashed = token_hash(key)
        found = [one for one in self._keys(user_id) if compare_digest(one.hashed, hashed)]
        user = self.find_user(user_id) if found else None
        if user is None or user.is_disabled or user.role != HOUSEHOLD or user.household != found[0].household:
            return None
        return Holder(user, found[0])

    def admit(self, holder: Holder) -> None:
        """Let the rest of the current request read as the person of a key."""
        act_as(holder.user)
        g.key_holder, g.api_keys = holder, self

    def note_use(self, holder: Holder, device: Device) -> None:
        """Note that a key reads a device, before it does. Raises StoreAway.

        A household that moved out reads its own days; the household there now has no entry of it.
        """
        key, now = holder.key, self.clock()
        if now - self._noted.get((key.key_id, device.device_id), 0) < NOTE_S:
            return
        today, user_id = periods.day_of(now, "UTC"), holder.user.user_id
        _, days = _uses(self.store.record(API_USES.of(), user_id)).get(key.key_id, (None, {}))
        if days.get(device.device_id) != today and not is_over(device):
            self.audit.append(Who(user_id, "", KEY, key.name), "read", device.device_id, USED, now)
        known = {one.key_id for one in self._keys(user_id)}

        def used(body: str | None) -> str:
            uses = {key_id: use for key_id, use in _uses(body).items() if key_id in known}
            uses[key.key_id] = (now, {**uses.get(key.key_id, (None, {}))[1], device.device_id: today})
            return orjson.dumps(uses).decode()

        update_record(self.store, API_USES.of(), user_id, used, may_be_lost=True)
        self._noted[key.key_id, device.device_id] = now
        while len(self._noted) > _MOST_NOTED:
            self._noted.popitem(last=False)

    def _keys(self, user_id: str) -> list[ApiKey]:
        return _parsed(self.store.record(API_KEYS.of(), user_id))


def _parsed(body: str | None) -> list[ApiKey]:
    return [ApiKey(*row) for row in orjson.loads(body or "[]")]


def _text(keys: Sequence[ApiKey]) -> str:
    return orjson.dumps([tuple(one) for one in keys]).decode()


def _uses(body: str | None) -> dict[str, tuple[int | None, dict[str, str]]]:
    return {key_id: (at, days) for key_id, (at, days) in orjson.loads(body or "{}").items()}


# The key of the current request


def key_holder() -> Holder | None:
    """Return the key of the current request, or None."""
    found: Holder | None = g.get("key_holder")
    return found


def note_use(device: Device) -> None:
    """Note that the key of the current request reads a device. Raises StoreAway."""
    holder = key_holder()
    if holder:
        keys: ApiKeys = g.api_keys
        keys.note_use(holder, device)
