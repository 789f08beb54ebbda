"""The tokens with which devices send over HTTP: one device each, kept as hashes, replaced without an interruption.

A token is `wattfall.DEVICE.SECRET`, its secret 256 random bits; so a plain SHA-256 of it tells nothing, and no salt is
needed. It is good for its device and the second meters that the device reads.

| collection | key | body |
|---|---|---|
| `tokens` | device | `[[hash, until when it is good (UTC seconds; 0 is for ever)], ...]`, the newest first |

How much a device may send: an allowance that refills, one for each device of late. Pure, but for its memory.
"""

import secrets
from collections import OrderedDict
from hashlib import sha256
from hmac import compare_digest

import orjson

from aggregator.core.readings import is_device_id
from aggregator.store.collections import TOKENS, update_record
from aggregator.store.port import Store

OVERLAP_S = 24 * 3600  # a token that has been replaced is good for so long
LONGEST = 160  # characters
_FIRST = "wattfall"
_MOST = 4  # of a device


def new_token(store: Store, device_id: str, now: int) -> str:
    """A new token of a device; those before it are good for another OVERLAP_S. Raises StoreAway."""
    token = f"{_FIRST}.{device_id}.{secrets.token_urlsafe(32)}"

    def added(body: str | None) -> str:
        before = [[known, _sooner(until, now + OVERLAP_S)] for known, until in _good(body, now)]
        return orjson.dumps([[_hash(token), 0], *before][:_MOST]).decode()

    update_record(store, TOKENS.of(), device_id, added)
    return token


def end_tokens(store: Store, device_id: str) -> None:
    """No token of a device is good any more."""
    store.drop_record(TOKENS.of(), device_id)


def device_of(store: Store, token: str, now: int) -> str:
    """The device of a token; empty where it is none, or not good any more."""
    first, _, rest = token.partition(".")
    device_id = rest.rpartition(".")[0]
    if first != _FIRST or len(token) > LONGEST or not token.isascii() or not is_device_id(device_id):
        return ""
    hashed = _hash(token)
    is_known = [compare_digest(known, hashed) for known, _ in _good(store.record(TOKENS.of(), device_id), now)]
    return device_id if any(is_known) else ""


def named_device(token: str) -> str:
    """The device that a token names, good or not; empty where it is none."""
    device_id = token.partition(".")[2].rpartition(".")[0]
    return device_id if token.startswith(f"{_FIRST}.") and is_device_id(device_id) else ""


def _good(body: str | None, now: int) -> list[tuple[str, int]]:
    return [(known, until) for known, until in orjson.loads(body or "[]") if not until or now < until]


def _sooner(until: int, at: int) -> int:
    return min(until, at) if until else at


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


# limits

REFILL_S = 2.0  # allowances a second
FULL = 240.0  # allowances; a catching-up gateway sends one message a second
COST_BYTES = 65_536  # of a message, for each further allowance that it takes
COST_HALF_HOURS = 4  # that a message touches, for each further allowance
_MOST_DEVICES = 100_000  # devices that are remembered


class Limits:
    """The allowances of devices, in this process."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # device -> allowance, and as of when

    def charge(self, device_id: str, size: int, half_hours: int) -> None:
        """Take what a message has cost beyond what it seemed to: its size when inflated, and what it touches."""
        left, since = self._left.get(device_id, (FULL, 0.0))
        self._left[device_id] = (max(left - size // COST_BYTES - half_hours // COST_HALF_HOURS, -FULL), since)

    def take(self, device_id: str, size: int, now: float) -> int:
        """Take the allowance of a message of `size` bytes; how many seconds to wait where there is not enough."""
        left, since = self._left.pop(device_id, (FULL, now))
        left = min(FULL, left + max(now - since, 0) * REFILL_S)
        cost = 1 + size // COST_BYTES
        wait = 0 if left >= cost else -int((left - cost) / REFILL_S // 1)
        self._left[device_id] = (left if wait else left - cost, now)
        if len(self._left) > _MOST_DEVICES:
            self._left.popitem(last=False)
        return wait
