"""The tokens with which devices send over HTTP: one device each, kept as hashes, replaced without an interruption.

A token is `wattfall.DEVICE.SECRET`, its secret 256 random bits; so a plain SHA-256 of it tells nothing, and no salt is
needed. It is good for its device and the second meters that the device reads.

| shelf | key | body |
|---|---|---|
| `tokens` | device | `[[hash, until when it is good (UTC seconds; 0 is for ever)], ...]`, the newest first |
"""

import secrets
from hashlib import sha256
from hmac import compare_digest

import orjson

from aggregator.core.errors import Refused, StoreAway
from aggregator.core.readings import check_device_id
from aggregator.store.port import Store

OVERLAP_S = 24 * 3600  # a token that has been replaced is good for so long
LONGEST = 160  # characters
_SHELF = "tokens"
_FIRST = "wattfall"
_MOST = 4  # of a device
_TRIES = 5


def new_token(store: Store, device_id: str, now: int) -> str:
    """A new token of a device; those before it are good for another OVERLAP_S."""
    token = f"{_FIRST}.{device_id}.{secrets.token_urlsafe(32)}"
    for _ in range(_TRIES):
        was = store.record(_SHELF, device_id)
        before = [[known, _sooner(until, now + OVERLAP_S)] for known, until in _good(was, now)]
        body = orjson.dumps([[_hash(token), 0], *before][:_MOST]).decode()
        if store.put_record(_SHELF, device_id, body, was=was):
            return token
    raise StoreAway(f"the tokens of {device_id} are being changed by others; try again")


def end_tokens(store: Store, device_id: str) -> None:
    """No token of a device is good any more."""
    store.drop_record(_SHELF, device_id)


def device_of(store: Store, token: str, now: int) -> str:
    """The device of a token; empty where it is none, or not good any more."""
    first, _, rest = token.partition(".")
    device_id = rest.rpartition(".")[0]
    if first != _FIRST or len(token) > LONGEST or not token.isascii() or not _is_device_id(device_id):
        return ""
    hashed = _hash(token)
    is_known = [compare_digest(known, hashed) for known, _ in _good(store.record(_SHELF, device_id), now)]
    return device_id if any(is_known) else ""


def named_device(token: str) -> str:
    """The device that a token names, good or not; empty where it is none."""
    device_id = token.partition(".")[2].rpartition(".")[0]
    return device_id if token.startswith(f"{_FIRST}.") and _is_device_id(device_id) else ""


def _good(body: str | None, now: int) -> list[tuple[str, int]]:
    return [(known, until) for known, until in orjson.loads(body or "[]") if not until or now < until]


def _sooner(until: int, at: int) -> int:
    return min(until, at) if until else at


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _is_device_id(text: str) -> bool:
    try:
        return bool(check_device_id(text))
    except Refused:
        return False
