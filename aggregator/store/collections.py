"""The table of collections of records (small JSON texts beside the documents): one row per collection.

Code takes each name from its row: `SIGNAL.of(device_id)`. A new collection is a new row, and a rule of an erasure.

The DynamoDB store keeps search terms in the same table (`port.INDEX`). They follow the registry and are no records.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Any, Final, Literal, NamedTuple, TypeVar
from zlib import crc32

import orjson

from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S, HOUR, RECORD_DAYS
from aggregator.store.port import Store, name_once
from aggregator.store.stored_records import LAST_KEY, SPREAD, Record

Content = TypeVar("Content")
Owner = Literal["device", "person", "nobody"]
FOR_EVER: Final = 0  # an unlimited lifetime, as in `put_record`
KEPT_DAYS = RECORD_DAYS  # shown by the support desk; records of a UTC day stay for one day more


@dataclass(frozen=True, slots=True)
class Collection:
    """A row: a collection, or a family of collections whose names differ in one part."""

    name: str  # with the variable part in braces: `signal/{device}`
    key: str  # of a record; `device`, `user`, `email`, `person` (user or email) are ids, others describe the key
    owner: Owner  # the subject of a record
    lifetime_s: int  # from the last write of a record; or FOR_EVER
    meaning: str
    shards: int = 0  # the number of shards for `shard_of`; 0: not sharded

    @property
    def part(self) -> str:
        """Return the variable part of the name; empty without one."""
        return self.name.partition("{")[2].partition("}")[0]

    @property
    def days(self) -> int:
        """Return the lifetime in whole days."""
        return self.lifetime_s // DAY_S

    def of(self, part: str | None = None) -> str:
        """Return the name of one collection. Raises ValueError if the variable part is missing or not allowed."""
        before, brace, rest = self.name.partition("{")
        if (part is None) is bool(brace):
            raise ValueError(f"{self.name} is no collection of {part!r}")
        return before + (part or "") + rest.partition("}")[2]

    def shard_of(self, device_id: str) -> str:
        """Return the shard of a device, from `00`."""
        return f"{crc32(device_id.encode()) % self.shards:02d}"

    def expires(self, at: int) -> int:
        """Return the expiry of a record written at `at` (UTC seconds); 0: never."""
        return at + self.lifetime_s if self.lifetime_s else 0


# Intake: `device_status`, `refusals`, `tokens`

STATUS = Collection(
    "status/{shard}", "device", "device", FOR_EVER, "the last status, its arrival, the firmwares", shards=64
)
SIGNAL = Collection("signal/{device}", "UTC day", "device", (KEPT_DAYS + 1) * DAY_S, "the signal of each hour")
WATCHED = Collection("watched", "device", "device", 180, "somebody is looking at the device")
REFUSED_STATE = Collection(
    "refused", "device", "device", KEPT_DAYS * DAY_S, "how many refused messages were kept, and when the last"
)
REFUSED = Collection("refused/{device}", "UTC day", "device", KEPT_DAYS * DAY_S, "refused messages by reason")
REFUSED_MESSAGES = Collection(
    "refused/{device}/messages",
    "place in the ring",
    "device",
    7 * DAY_S,
    "the last refused messages; those of `-` may name any device",
)
REFUSED_DAYS = Collection(
    "refused/days/{day}",
    "shard",
    "nobody",
    KEPT_DAYS * DAY_S,
    "refused messages of all devices by reason and by device",
    shards=16,
)
UNKNOWN_TOPICS = Collection(
    "unknown-topics", "kind of topic", "nobody", KEPT_DAYS * DAY_S, "dropped messages of a kind of topic"
)
TOKENS = Collection("tokens", "device", "device", FOR_EVER, "hashes of the tokens for sending")
CLAIMS = Collection("claims", "hash of a code", "device", 30 * DAY_S, "a code to claim a device")
CLAIMS_NEWEST = Collection("claims/newest", "device", "device", CLAIMS.lifetime_s, "the hash of its newest code")
SPOOL = Collection("spool", "device and number", "nobody", FOR_EVER, "messages that wait")

IMPORTS = Collection("imports/{device}", "number", "device", FOR_EVER, "an import: its file, how it was read, totals")

IMPORT_JOBS = Collection(
    "import-jobs", "device", "device", 2 * HOUR, "a file that is looked at or imported, or an import undone"
)
IMPORT_FINDINGS = Collection("import-jobs/findings", "device", "device", 2 * HOUR, "what the page says of that file")

# Waterfall: `retention`

BACKFILLED = Collection(
    "filled/{device}", "start of a half hour", "device", (KEPT_DAYS + 1) * DAY_S, "a half hour that came late"
)
ESTIMATED_GAPS = Collection(
    "gaps/{device}", "channel and end", "device", FOR_EVER, "a gap of a register, as long as it is estimated"
)

# Support: `audit`, `fleet`

AUDIT = Collection("audit", "number", "nobody", FOR_EVER, "the entries, each chained to the last")
AUDIT_OF_DEVICE = Collection(
    "audit/device/{device}", "number", "device", FOR_EVER, "copies of the entries about a device"
)
AUDIT_OF_PERSON = Collection(
    "audit/person/{pseudonym}", "number", "nobody", FOR_EVER, "copies of the entries by a person"
)
AUDIT_CARDS = Collection("audit/cards", "pseudonym", "nobody", FOR_EVER, "the person behind a pseudonym")
AUDIT_PEOPLE = Collection("audit/people", "person", "person", FOR_EVER, "the pseudonyms of a person")
AUDIT_DAYS = Collection("audit/days", "UTC day", "nobody", FOR_EVER, "the number of the first entry of a day")
AUDIT_HEAD = Collection("audit/head", "`head`", "nobody", FOR_EVER, "the last entry that is complete")
AUDIT_GRANTS = Collection(
    "audit/grants/{user}",
    "device",
    "person",
    8 * HOUR,
    "until when a person may see a device",
)
AUDIT_SEARCHES = Collection(
    "audit/searches", "user", "person", FOR_EVER, "the searches of a person that no entry counts yet"
)
TARIFF_BEFORE = Collection(
    "tariff/before", "device", "device", 7 * DAY_S, "the tariff before the household's last change, to take it back"
)
FLEET = Collection("fleet", "`summary`", "nobody", FOR_EVER, "the counts of the last census")
FLEET_DAYS = Collection(
    "fleet/days", "UTC day", "nobody", (KEPT_DAYS + 1) * DAY_S, "the counts of the day's last census"
)
FLEET_DEVICES = Collection("fleet/devices", "kind/name", "nobody", DAY_S, "the devices behind a count")

# Dashboard: `accounts`, `sessions`, `oidc`

USERS = Collection("users", "user", "person", FOR_EVER, "an account")
EMAILS = Collection("emails", "email", "person", FOR_EVER, "the user id of an address")
IDENTITIES = Collection("identities", "hash of issuer and subject", "person", FOR_EVER, "the user id of an identity")
INVITATIONS = Collection(
    "invitations",
    "hash of a token",
    "person",
    7 * DAY_S,
    "the user who may set a password",
)
INVITED = Collection("invited", "user", "person", INVITATIONS.lifetime_s, "the hash of the newest invitation")
SESSIONS = Collection("sessions", "hash of a token", "person", 180 * DAY_S, "who is signed in")
ATTEMPTS = Collection(
    "attempts",
    "hash of an account, or a network",
    "person",
    DAY_S,
    "recent attempts to sign in",
)

API_KEYS = Collection("api/keys", "user", "person", FOR_EVER, "hashes of a person's API keys")
API_USES = Collection("api/uses", "user", "person", FOR_EVER, "when a person's API keys were used last")

EXPORTS = Collection("exports", "user", "person", HOUR, "how far a person's last download of everything is")

# Erasure: `aggregator.erasure`

ERASURES = Collection(
    "erasures",
    "household, or a number",
    "person",
    FOR_EVER,
    "an erasure that waits or is under way",
)

# What the store was made for: `feed`, `up`

MARKS = Collection("store", "`demo` or `home`", "nobody", FOR_EVER, "the store was made for the demo, or for one home")
HOME: Final = "home"  # the mark of a store of one home, and its household

COLLECTIONS: tuple[Collection, ...] = (
    *(
        STATUS,
        SIGNAL,
        WATCHED,
        REFUSED_STATE,
        REFUSED,
        REFUSED_MESSAGES,
        REFUSED_DAYS,
        UNKNOWN_TOPICS,
        TOKENS,
        SPOOL,
        IMPORTS,
        IMPORT_JOBS,
        IMPORT_FINDINGS,
    ),
    *(CLAIMS, CLAIMS_NEWEST),
    *(BACKFILLED, ESTIMATED_GAPS),
    *(AUDIT, AUDIT_OF_DEVICE, AUDIT_OF_PERSON, AUDIT_DAYS, AUDIT_HEAD, AUDIT_GRANTS),
    *(AUDIT_CARDS, AUDIT_PEOPLE, AUDIT_SEARCHES),
    *(TARIFF_BEFORE, FLEET, FLEET_DAYS, FLEET_DEVICES),
    *(USERS, EMAILS, IDENTITIES, INVITATIONS, INVITED, SESSIONS, ATTEMPTS),
    *(API_KEYS, API_USES, EXPORTS),
    *(ERASURES, MARKS),
)

# Walking and changing records

PAGE = 500  # records of a page in a walk
TRIES = 50  # of a change that must not be lost
FEW_TRIES = 10  # of a change that may be lost
_CHANCE, _PAUSE_S, _LONGEST_S = SystemRandom(), 0.005, 0.1  # random pauses separate competing writers


def record_pages(
    store: Store, collection: str, first: str = "", last: str = LAST_KEY, *, with_damaged: bool = False
) -> Iterator[list[Record]]:
    """Yield the records from one key to another, both included, in order of key, a page at a time.

    `with_damaged` as in `Store.records`. A page of a collection that DynamoDB spreads over partitions costs a query of
    each, so it is larger.
    """
    limit = 10 * PAGE if collection in SPREAD else PAGE
    while page := store.records(collection, first, last, limit, with_damaged=with_damaged):
        yield page
        if len(page) < limit:
            return
        first = page[-1].key + "\0"


def parsed(body: str | None, what: str, read: Callable[[Any], Content]) -> Content | None:
    """Read the content of a record; None without one, and for a damaged one, which is logged once."""
    try:
        return read(orjson.loads(body)) if body else None
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        name_once(f"{what} is damaged ({error}); put a backup in its place with `wattfall restore`")
        return None


class Update(NamedTuple):
    """The body of a record before and after a change; equal if nothing was written."""

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
    """Change the current body of a record; concurrent changes are all applied. Call it outside of steps.

    `change` takes the body (None without a record, and for a damaged one) and returns the new body; None or the same
    body writes nothing. It is repeated after a concurrent write, so it must have no side effects. The record expires at
    `expires` (UTC seconds; 0: never). After TRIES concurrent writes StoreAway is raised; a change that `may_be_lost` is
    given up silently after FEW_TRIES.
    """
    was: str | None = None
    for number in range(FEW_TRIES if may_be_lost else TRIES):
        if number:
            time.sleep(_CHANCE.uniform(0, min(_PAUSE_S * 2**number, _LONGEST_S)))
        was = store.record(collection, key)
        body = change(was or None)
        if body is None or body == was:
            return Update(was, was)
        if store.put_record(collection, key, body, was=was, expires=expires):
            return Update(was, body)
    if not may_be_lost:
        raise StoreAway(f"others kept changing {key} of {collection}; try again")
    return Update(was, was)
