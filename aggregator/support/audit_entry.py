"""An entry of the audit: who did what to which device, when and why, chained to the entry before it. Pure."""

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
    """Somebody of the staff, as the account says."""

    user_id: str
    email: str
    role: str
    name: str = ""

    @property
    def ids(self) -> list[str]:
        """What they are found by."""
        return [one.lower() for one in dict.fromkeys((self.user_id, self.email)) if one]

    @property
    def shown(self) -> str:
        """Role and short name: enough for a home to ask about, too little to look somebody up."""
        first, *rest = self.name.split() or [""]
        short = f"{first} {rest[-1][0]}." if rest else first
        return f"{self.role}, {short}" if short else self.role


@dataclass(frozen=True, slots=True)
class Entry:
    """What somebody did, and why."""

    number: int
    at: int  # UTC seconds; never before that of the entry before
    who: Who
    action: str  # one of ACTIONS
    device_id: str  # empty for what is about no device
    reason: str
    details: Mapping[str, str]  # what the action was about: days rebuilt, the time of an exchange, an account
    previous: str  # the hash of the entry before it
    hash: str = ""

    @property
    def is_intact(self) -> bool:
        """Whether the content is what the hash was made of."""
        return self.hash == sha256(_content(self)).hexdigest()

    @property
    def key(self) -> str:
        """The number as a key."""
        return key_of(self.number)

    def as_json(self) -> dict[str, object]:
        """The entry as `wattfall audit --json` prints it."""
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
    """A reason on one line. Raises ConfigurationError where there is none, or it is too long."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in reason).split())
    if not 3 <= len(text) <= LONGEST_REASON:
        raise ConfigurationError(f"the reason is {shown(reason)}; say in 3 to {LONGEST_REASON} characters why")
    return text


def key_of(number: int) -> str:
    """A number as a key that sorts as numbers do."""
    return f"{number:012d}"


def encode(entry: Entry) -> tuple[Entry, str]:
    """An entry with its hash, and its body."""
    content = _content(entry)
    digest = sha256(content).hexdigest()
    return decode(body := orjson.dumps([*orjson.loads(content), digest]).decode()), body


def decode(body: str) -> Entry:
    """An entry from its body. Raises ValueError or TypeError where it is none."""
    number, at, who, *rest = orjson.loads(body)
    return Entry(number, at, Who(*who), *rest)


def _content(entry: Entry) -> bytes:
    """All but the hash, the same bytes for the same content."""
    fields = [entry.number, entry.at, [*entry.who], entry.action, entry.device_id, entry.reason]
    return orjson.dumps([*fields, entry.details, entry.previous], option=orjson.OPT_SORT_KEYS)
