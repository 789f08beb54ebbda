"""Collections of records: the small texts that a store keeps beside documents. One row a collection.

Whoever names a collection takes the name from its row: `SIGNAL.of(device_id)`. Whoever speaks of all collections walks
COLLECTIONS: erasing, exporting, checking a backup. A new collection is a row here.

The search of the DynamoDB store has items of its own in the same table (`port.INDEX`). They are made of the registry,
change with it, and are no records.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Final, Literal, NamedTuple
from zlib import crc32

from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S, HOUR, RECORD_DAYS
from aggregator.store.port import Store

Owner = Literal["device", "person", "nobody"]
FOR_EVER: Final = 0  # seconds of a lifetime without an end, as `put_record` has it
KEPT_DAYS = RECORD_DAYS  # the support desk looks back so far; records of a UTC day stay for one day more

# The variable part of a name, and what it looks like. `person` is a user id or an e-mail address in lower case.
_PARTS = {"device": r"[\w.:~-]+", "user": ".*", "person": ".*", "shard": r"\d\d", "day": r"\d{4}-\d\d-\d\d"}


@dataclass(frozen=True, slots=True)
class Collection:
    """A row: a collection, or a family of collections whose names differ in one part."""

    name: str  # with the variable part in braces: `signal/{device}`
    key: str  # of a record; `device`, `user` and `email` are ids, any other text describes the key
    owner: Owner  # whom a record is about
    lifetime_s: int  # the longest time that a record stays after it was written last; FOR_EVER
    meaning: str
    mentions: tuple[Owner, ...] = ()  # who stands in bodies or keys only, so that finding them takes a search
    is_ended: bool = False  # somebody may end a record before its time
    shards: int = 0  # over which devices are spread by `shard_of`; 0 is not at all

    @property
    def part(self) -> str:
        """The variable part of the name; empty where there is none."""
        return self.name.partition("{")[2].partition("}")[0]

    @property
    def days(self) -> int:
        """The lifetime in whole days."""
        return self.lifetime_s // DAY_S

    def of(self, part: str | None = None) -> str:
        """The name of one collection. Raises ValueError where the variable part is missing or not wanted."""
        before, brace, rest = self.name.partition("{")
        if (part is None) is bool(brace):
            raise ValueError(f"{self.name} is no collection of {part!r}")
        return before + (part or "") + rest.partition("}")[2]

    def matches(self, name: str) -> bool:
        """Whether a name is that of a collection of this row."""
        before, brace, rest = self.name.partition("{")
        pattern = re.escape(before) + (_PARTS[self.part] + re.escape(rest.partition("}")[2]) if brace else "")
        return re.fullmatch(pattern, name) is not None

    def shard_of(self, device_id: str) -> str:
        """The shard of a device: `00` and on."""
        return f"{crc32(device_id.encode()) % self.shards:02d}"

    def expires(self, at: int) -> int:
        """When a record that is written at `at` expires (UTC seconds); 0 is never."""
        return at + self.lifetime_s if self.lifetime_s else 0


# intake: `device_status`, `refusals`, `tokens`

STATUS = Collection(
    "status/{shard}", "device", "device", FOR_EVER, "the last status, its arrival, the firmwares", shards=64
)
SIGNAL = Collection("signal/{device}", "UTC day", "device", (KEPT_DAYS + 1) * DAY_S, "the signal of each hour")
EDGES = Collection("edges", "device", "device", 7 * DAY_S, "the device sends half hours")
WATCHED = Collection("watched", "device", "device", 60, "somebody is looking at the device")
REFUSED_STATE = Collection(
    "refused", "device", "device", KEPT_DAYS * DAY_S, "how many refused messages were kept, and when the last"
)
REFUSED = Collection("refused/{device}", "UTC day", "device", KEPT_DAYS * DAY_S, "refused messages by reason")
REFUSED_MESSAGES = Collection(
    "refused/{device}/messages", "place in the ring", "device", 7 * DAY_S, "the last refused messages"
)
REFUSED_DAYS = Collection(
    "refused/days/{day}",
    "shard",
    "nobody",
    KEPT_DAYS * DAY_S,
    "refused messages of all devices by reason and by device",
    mentions=("device",),
    shards=16,
)
TOKENS = Collection("tokens", "device", "device", FOR_EVER, "hashes of the tokens for sending", is_ended=True)

# waterfall: `retention`

BACKFILLED = Collection(
    "filled/{device}", "start of a half hour", "device", (KEPT_DAYS + 1) * DAY_S, "a half hour that came late"
)

# support: `audit`, `fleet`

AUDIT = Collection(
    "audit", "number", "nobody", FOR_EVER, "the entries, each chained to the last", mentions=("device", "person")
)
AUDIT_OF_DEVICE = Collection(
    "audit/device/{device}", "number", "device", FOR_EVER, "copies of the entries about a device", mentions=("person",)
)
AUDIT_OF_PERSON = Collection(
    "audit/person/{person}", "number", "person", FOR_EVER, "copies of the entries by a person", mentions=("device",)
)
AUDIT_DAYS = Collection("audit/days", "UTC day", "nobody", FOR_EVER, "the number of the first entry of a day")
AUDIT_HEAD = Collection("audit/head", "`head`", "nobody", FOR_EVER, "the last entry that is complete")
AUDIT_GRANTS = Collection(
    "audit/grants/{user}",
    "device",
    "person",
    8 * HOUR,
    "until when a person may see a device",
    mentions=("device",),
    is_ended=True,
)
FLEET = Collection("fleet", "`summary`", "nobody", FOR_EVER, "the counts of the last census")
FLEET_DEVICES = Collection(
    "fleet/devices", "kind/name", "nobody", DAY_S, "the devices behind a count", mentions=("device",)
)

# dashboard: `accounts`, `sessions`, `oidc`

USERS = Collection("users", "user", "person", FOR_EVER, "an account")
EMAILS = Collection("emails", "email", "person", FOR_EVER, "the user id of an address")
IDENTITIES = Collection(
    "identities", "hash of issuer and subject", "person", FOR_EVER, "the user id of an identity", mentions=("person",)
)
INVITATIONS = Collection(
    "invitations",
    "hash of a token",
    "person",
    7 * DAY_S,
    "the user who may set a password",
    mentions=("person",),
    is_ended=True,
)
INVITED = Collection("invited", "user", "person", INVITATIONS.lifetime_s, "the hash of the newest invitation")
SESSIONS = Collection(
    "sessions", "hash of a token", "person", 180 * DAY_S, "who is signed in", mentions=("person",), is_ended=True
)
ATTEMPTS = Collection(
    "attempts",
    "hash of an account, or a network",
    "person",
    DAY_S,
    "recent attempts to sign in",
    mentions=("person",),
    is_ended=True,
)

# demo: `feed`

MARKS = Collection("store", "`demo`", "nobody", FOR_EVER, "the store was made for the demo")

COLLECTIONS: tuple[Collection, ...] = (
    *(STATUS, SIGNAL, EDGES, WATCHED, REFUSED_STATE, REFUSED, REFUSED_MESSAGES, REFUSED_DAYS, TOKENS),
    *(BACKFILLED,),
    *(AUDIT, AUDIT_OF_DEVICE, AUDIT_OF_PERSON, AUDIT_DAYS, AUDIT_HEAD, AUDIT_GRANTS),
    *(FLEET, FLEET_DEVICES),
    *(USERS, EMAILS, IDENTITIES, INVITATIONS, INVITED, SESSIONS, ATTEMPTS),
    *(MARKS,),
)


# walking the table


class Place(NamedTuple):
    """Records about somebody: one record, or a whole collection."""

    row: Collection
    collection: str
    key: str = ""  # empty: every record of the collection


def row_of(name: str) -> Collection | None:
    """The row of a collection's name; None for a name that no row explains."""
    return next((row for row in COLLECTIONS if row.matches(name)), None)


def about(device_id: str) -> list[Place]:
    """The records about one device. `mentioning("device")` has the rows to search beside them."""
    return _places({"device": [device_id]})


def about_person(user_id: str, email: str = "") -> list[Place]:
    """The records about one person; `email` as the account has it. `mentioning("person")` has the rows to search."""
    emails = [email] if email else []
    return _places({"user": [user_id], "person": [one.lower() for one in (user_id, *emails)], "email": emails})


def mentioning(owner: Owner) -> list[Collection]:
    """The rows in which somebody stands in bodies or keys only."""
    return [row for row in COLLECTIONS if owner in row.mentions]


def _places(known: Mapping[str, Sequence[str]]) -> list[Place]:
    found: list[Place] = []
    for row in COLLECTIONS:
        if row.part in known:
            found += [Place(row, row.of(one)) for one in known[row.part]]
        elif row.part in ("", "shard"):
            found += [
                Place(row, row.of(row.shard_of(one)) if row.part else row.of(), one) for one in known.get(row.key, ())
            ]
    return found


# changing a record

TRIES = 50  # of a change that must not be lost
FEW_TRIES = 10  # of one that may
_CHANCE, _PAUSE_S, _LONGEST_S = SystemRandom(), 0.005, 0.1  # writers that meet go on at different times


class Update(NamedTuple):
    """A record before a change and after it; the same twice where nothing was written."""

    was: str | None
    body: str | None


def update_record(
    store: Store,
    collection: str,
    key: str,
    change: Callable[[str | None], str | None],
    *,
    expires: int = 0,
    may_be_lost: bool = False,
) -> Update:
    """Change a record as it is now, so that of two changes at once neither is lost. Call it outside of steps.

    `change` gets the body (None: there is no record) and returns the new one; None, or the same, writes nothing. It is
    called again when others were faster, so it has no effects. The record expires at `expires` (UTC seconds; 0: never).
    A change that has lost to others each time raises StoreAway; one that `may_be_lost` is given up, after fewer tries.
    """
    was: str | None = None
    for number in range(FEW_TRIES if may_be_lost else TRIES):
        if number:
            time.sleep(_CHANCE.uniform(0, min(_PAUSE_S * 2**number, _LONGEST_S)))
        was = store.record(collection, key)
        body = change(was)
        if body is None or body == was:
            return Update(was, was)
        if store.put_record(collection, key, body, was=was, expires=expires):
            return Update(was, body)
    if not may_be_lost:
        raise StoreAway(f"others kept changing {key} of {collection}; try again")
    return Update(was, was)
