"""Audit entries: person, action, device, time and reason, chained to the previous entry by a hash. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple, get_args

import orjson

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, shown

Action = Literal["look-up", "note", "rebuild", "exchange", "export", "tariff", "account", "device"]
ACTIONS: tuple[str, ...] = get_args(Action)
FIRST = "0" * 64  # the hash before the first entry
LONGEST_REASON = 500  # characters


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
        first, *rest = self.name.split() or [""]
        short = f"{first} {rest[-1][0]}." if rest else first
        return f"{self.role}, {short}" if short else self.role


@dataclass(frozen=True, slots=True)
class Entry:
    """One action of a member of staff, with its reason."""

    number: int
    at: int  # UTC seconds; never before the previous entry
    who: Who
    action: str  # one of ACTIONS
    device_id: str  # empty without a device
    reason: str
    details: Mapping[str, str]  # of the action: rebuilt days, time of an exchange, account
    previous: str  # hash of the previous entry
    hash: str = ""

    @property
    def is_intact(self) -> bool:
        """Whether the hash matches the content."""
        return self.hash == sha256(_content(self)).hexdigest()

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
    """Return a reason as one line. Raises ConfigurationError for a missing or too long reason."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())
    if not 3 <= len(text) <= LONGEST_REASON:
        raise ConfigurationError(f"the reason is {shown(reason)}; give a reason of 3 to {LONGEST_REASON} characters")
    return text


def key_of(number: int) -> str:
    """Return a number as a key; keys sort like numbers."""
    return f"{number:012d}"


def encode(entry: Entry) -> tuple[Entry, str]:
    """Return an entry with its hash, and its body."""
    content = _content(entry)
    digest = sha256(content).hexdigest()
    return decode(body := orjson.dumps([*orjson.loads(content), digest]).decode()), body


def decode(body: str) -> Entry:
    """Decode an entry. Raises ValueError or TypeError for an invalid body."""
    number, at, who, *rest = orjson.loads(body)
    return Entry(number, at, Who(*who), *rest)


def _content(entry: Entry) -> bytes:
    """Encode an entry without its hash; equal content gives equal bytes."""
    fields = [entry.number, entry.at, [*entry.who], entry.action, entry.device_id, entry.reason]
    return orjson.dumps([*fields, entry.details, entry.previous], option=orjson.OPT_SORT_KEYS)
