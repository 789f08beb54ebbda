"""Audit entries: person, action, device, time and reason, chained to the previous entry by a keyed hash. Pure.

The key of the chain comes from WATTFALL_SECRET (HMAC-SHA-256), so that who can write the store cannot write an entry.
An entry names its person by a pseudonym; `audit_people` knows the person behind it, until they are forgotten. Its hash
covers a seal of the reason, the hash of a random salt and the reason: without both, an entry that lost its reason by an
erasure still verifies, and nobody can guess the reason. Entries of an older form hold their reason in the hash itself.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, NamedTuple, get_args

import orjson

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, shown

Action = Literal[
    "look-up",
    "search",
    "note",
    "rebuild",
    "exchange",
    "export",
    "household export",
    "tariff",
    "account",
    "device",
    "provision",
    "forget",
    "erase",
    "read",
    "import",
]
ACTIONS: tuple[str, ...] = get_args(Action)
FIRST = "0" * 64  # the hash before the first entry
LONGEST_REASON = 500  # characters
LEAST_LETTERS = 3  # letters or digits of a reason
_BLANK_LETTERS = "\u115f\u1160\u3164\uffa0"  # Hangul fillers
_REASON = 6  # the place of the reason in a body
HOUSEHOLD = "household"  # the role of those who act for themselves
KEY = "key"  # the role of an API key, which is named by its whole name
NO_KEY = ""  # the key id of an entry that was written without WATTFALL_SECRET


class Who(NamedTuple):
    """A member of staff, from their account."""

    user_id: str
    email: str
    role: str
    name: str = ""

    @property
    def ids(self) -> list[str]:
        """Return the ids for a search: user id and e-mail address."""
        return [one.lower() for one in dict.fromkeys((self.user_id, self.email)) if one]

    @property
    def shown(self) -> str:
        """Return role and short name: a household can ask about the person, but cannot find them elsewhere."""
        if self.role == KEY:
            return f"{self.role}, {self.name}"
        first, *rest = self.name.split() or [""]
        short = f"{first} {rest[-1][0]}." if rest else first
        return f"{self.role}, {short}" if short else self.role


class ChainKeys:
    """The keys of the chain by key id: of the present secret, and of former ones for checking."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """`secrets` has the present secret first; an empty one makes the unkeyed chain of the demo."""
        keys = [hmac.digest(one.encode(), b"wattfall audit chain", "sha256") for one in secrets if one]
        self._keys = {sha256(key).hexdigest()[:16]: key for key in keys}
        self.present = next(iter(self._keys)) if secrets and secrets[0] else NO_KEY

    def knows(self, key_id: str) -> bool:
        """Whether hashes with a key can be checked."""
        return key_id == NO_KEY or key_id in self._keys

    def sign(self, key_id: str, content: bytes) -> str:
        """Return the hash of a content with a known key."""
        return hmac.new(self._keys.get(key_id, b""), content, sha256).hexdigest()


_NOBODY = Who("", "", "")


@dataclass(frozen=True, slots=True)
class Entry:
    """One action of a member of staff, with its reason."""

    number: int
    at: int  # UTC seconds; never before the previous entry
    person: str  # pseudonym, see `audit_people`
    role: str
    action: str  # one of ACTIONS
    device_id: str  # empty without a device
    reason: str
    details: Mapping[str, str]  # of the action: rebuilt days, time of an exchange, pseudonym of an account
    previous: str  # hash of the previous entry
    key_id: str = NO_KEY
    hash: str = ""
    who: Who = _NOBODY  # the person behind the pseudonym; not stored
    seal: str = ""  # of the reason; empty in an entry of the older form
    salt: str = ""  # of the seal; empty once the reason is erased

    def is_intact(self, keys: ChainKeys) -> bool:
        """Whether the hash matches the content; False for an unknown key."""
        is_known = keys.knows(self.key_id) and (not self.salt or self.seal == _sealed(self.salt, self.reason))
        return is_known and hmac.compare_digest(self.hash, keys.sign(self.key_id, _content(self)))

    @property
    def key(self) -> str:
        """Return the number as a key."""
        return key_of(self.number)

    def as_json(self) -> dict[str, object]:
        """Return the entry as `wattfall audit --json` prints it."""
        return {
            "number": self.number,
            "at": periods.iso_utc(self.at),
            **self.who._asdict(),
            "action": self.action,
            "device_id": self.device_id or None,
            "reason": self.reason,
            "details": dict(self.details),
            "hash": self.hash,
        }


def check_reason(reason: str) -> str:
    """Return a reason as one line. Raises ConfigurationError for a missing, unreadable or too long reason."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())
    # Fillers such as U+3164 are letters by their category, and leave no trace on a screen.
    letters = sum(letter.isalnum() and letter not in _BLANK_LETTERS for letter in text)
    if not 3 <= len(text) <= LONGEST_REASON or letters < LEAST_LETTERS:
        raise ConfigurationError(
            f"the reason is {shown(reason)}; give a reason of 3 to {LONGEST_REASON} characters, with letters"
        )
    return text


class Seen(NamedTuple):
    """An entry for the household that it is about."""

    at: int  # UTC seconds
    by: str  # role and short name
    action: str
    reason: str
    details: Mapping[str, str]


def key_of(number: int) -> str:
    """Return a number as a key; keys sort like numbers."""
    return f"{number:012d}"


def encode(entry: Entry, keys: ChainKeys) -> tuple[Entry, str]:
    """Return an entry with its hash by the present key, and its body."""
    seal = _sealed(entry.salt, entry.reason)
    content = _content(replace(entry, key_id=keys.present, seal=seal))
    row = orjson.loads(content)
    row[_REASON] = [seal, entry.salt, entry.reason]
    body = orjson.dumps([*row, keys.sign(keys.present, content)]).decode()
    return replace(decode(body), who=entry.who), body


def decode(body: str) -> Entry:
    """Decode an entry. Raises ValueError or TypeError for an invalid body."""
    row = orjson.loads(body)
    sealed = row[_REASON] if isinstance(row[_REASON], list) else None
    seal, salt, row[_REASON] = [*sealed, "", ""][:3] if sealed else ("", "", row[_REASON])
    entry = Entry(*row)
    return replace(entry, who=Who(entry.person, "", entry.role), seal=seal, salt=salt)


def parse_entry(key: str, body: str) -> Entry | None:
    """Return the entry of a record; None for one that cannot be read."""
    try:
        entry = decode(body)
    except (ValueError, TypeError):
        return None
    return entry if entry.key == key else None


def without_reason(body: str) -> str:
    """Return the body of an entry without its reason; one of the older form as it is."""
    row = orjson.loads(body)
    row[_REASON] = row[_REASON][:1] if isinstance(row[_REASON], list) else row[_REASON]
    return orjson.dumps(row).decode()


def _sealed(salt: str, reason: str) -> str:
    return sha256((salt + reason).encode()).hexdigest()


def _content(entry: Entry) -> bytes:
    """Encode an entry without its hash; equal content gives equal bytes."""
    reason = [entry.seal] if entry.seal else entry.reason
    fields = [entry.number, entry.at, entry.person, entry.role, entry.action, entry.device_id, reason]
    return orjson.dumps([*fields, entry.details, entry.previous, entry.key_id], option=orjson.OPT_SORT_KEYS)
