"""Tokens and rate limits of devices that send over HTTP.

**Tokens.** A token is `wattfall.DEVICE.SECRET`; the secret has 256 random bits, so its SHA-256 needs no salt. The store
has only hashes. A token is valid for its device and for the second meters that the device reads. A new token leaves
older tokens valid for OVERLAP_S, so a device need not stop sending.

| collection | key | body |
|---|---|---|
| `tokens` | device | `[[hash, end of validity (UTC seconds; 0: none)], ...]`, the newest first |

**Limits.** Each device has an allowance that refills; it stays in the memory of one process.
"""

import secrets
from collections import OrderedDict
from hashlib import sha256
from hmac import compare_digest
from ipaddress import IPv6Address, ip_address

import orjson

from aggregator.core.readings import is_device_id
from aggregator.store.collections import TOKENS, update_record
from aggregator.store.port import Store

OVERLAP_S = 24 * 3600  # validity of a replaced token
LONGEST = 160  # characters
_FIRST = "wattfall"
_MOST = 4  # valid tokens of a device


def new_token(store: Store, device_id: str, now: int) -> str:
    """Create a token of a device; older tokens stay valid for OVERLAP_S. Raises StoreAway."""
    token = f"{_FIRST}.{device_id}.{secrets.token_urlsafe(32)}"

    def added(body: str | None) -> str:
        before = [[hashed, _sooner(until, now + OVERLAP_S)] for hashed, until in _valid(body, now)]
        return orjson.dumps([[_hash(token), 0], *before][:_MOST]).decode()

    update_record(store, TOKENS.of(), device_id, added)
    return token


def end_tokens(store: Store, device_id: str) -> None:
    """Revoke all tokens of a device."""
    store.drop_record(TOKENS.of(), device_id)


def device_of(store: Store, token: str, now: int) -> str:
    """Return the device of a valid token; empty for any other text."""
    first, _, rest = token.partition(".")
    device_id = rest.rpartition(".")[0]
    if first != _FIRST or len(token) > LONGEST or not token.isascii() or not is_device_id(device_id):
        return ""
    hashed = _hash(token)
    matches = [compare_digest(stored, hashed) for stored, _ in _valid(store.record(TOKENS.of(), device_id), now)]
    return device_id if any(matches) else ""


def named_device(token: str) -> str:
    """Return the device named in a token, valid or not; empty for any other text."""
    device_id = token.partition(".")[2].rpartition(".")[0]
    return device_id if token.startswith(f"{_FIRST}.") and is_device_id(device_id) else ""


def _valid(body: str | None, now: int) -> list[tuple[str, int]]:
    return [(hashed, until) for hashed, until in orjson.loads(body or "[]") if not until or now < until]


def _sooner(until: int, at: int) -> int:
    return min(until, at) if until else at


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


# Limits

REFILL_S = 2.0  # allowances per second
FULL = 240.0  # allowances; a catching-up gateway sends one message a second
COST_BYTES = 65_536  # size of a message per additional allowance
COST_HALF_HOURS = 4  # half hours in a message per additional allowance
_MOST_DEVICES = 100_000  # devices in memory; the least recent are forgotten
# Bits of an IPv6 network. A home gets a /56 or a /64, and a company or a rented machine up to a /48.
HOME_NETWORK, SITE_NETWORK = 56, 48


class Limits:
    """The allowances of devices in this process."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # device -> allowance, its time

    def charge(self, device_id: str, size: int, half_hours: int) -> None:
        """Charge the additional cost of a received message: its uncompressed size and the half hours in it."""
        left, since = self._left.get(device_id, (FULL, 0.0))
        self._left[device_id] = (max(left - size // COST_BYTES - half_hours // COST_HALF_HOURS, -FULL), since)

    def knows(self, device_id: str) -> bool:
        """Whether a device has been charged lately."""
        return device_id in self._left

    def wait(self, device_id: str, size: int, now: float) -> int:
        """Return 0, or the seconds until the allowance is enough for a message of `size` bytes."""
        left, cost = self._refilled(device_id, now), 1 + size // COST_BYTES
        return 0 if left >= cost else -int((left - cost) / REFILL_S // 1)

    def _refilled(self, device_id: str, now: float) -> float:
        left, since = self._left.get(device_id, (FULL, now))
        return min(FULL, left + max(now - since, 0) * REFILL_S)

    def take(self, device_id: str, size: int, now: float) -> int:
        """Charge a message of `size` bytes; return 0, or the seconds to wait if the allowance is too small."""
        wait, left = self.wait(device_id, size, now), self._refilled(device_id, now)
        self._left.pop(device_id, None)
        self._left[device_id] = (left if wait else left - 1 - size // COST_BYTES, now)
        if len(self._left) > _MOST_DEVICES:
            self._left.popitem(last=False)
        return wait


def network(address: str, bits: int = HOME_NETWORK) -> str:
    """Return an IPv4 address, or the network of an IPv6 address. Invalid text counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    if isinstance(parsed, IPv6Address) and mapped is None:
        return f"{parsed.packed[: bits // 8].hex()}/{bits}"
    return str(mapped or parsed)
