"""Claims: a household takes a device that nobody has, with a code and a proof that it is in the home of the device.

An operator makes a code (`wattfall device code`); it is shown once, works once, and expires. The store has its hash: 60
random bits, which nobody guesses through a throttle. A newer code of a device voids the older one.

The proof is a step in the live power within WINDOW_S, up and down by STEP_W at least, as of a kettle that is switched
on and off; or, where no live power comes, the last four digits of the meter's number. MOST_TRIES of both together, then
the code is void. Whoever has the code and waits for another's kettle could pass, so a code goes to the household alone.

| collection | key | body |
|---|---|---|
| `claims` | hash of a code | device, end of validity, tries, and of a claim that has begun: user, instant, proof |
| `claims/newest` | device | hash of its newest code; of a used one also a hash of the household that takes the device |
"""

import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Phrase, StoreAway
from aggregator.core.readings import sender_of
from aggregator.intake.device_status import note_look
from aggregator.store.collections import CLAIMS, CLAIMS_NEWEST, update_record
from aggregator.store.occupancies import has_past, occupancies
from aggregator.store.port import Store
from aggregator.waterfall.levels import move

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without what is mistaken for another: 0 O 1 I L
GROUPS, GROUP = 3, 4  # XXXX-XXXX-XXXX
VALID_S = CLAIMS.lifetime_s
STEP_W = 500  # up, and down again
WINDOW_S = 300  # from the begin of a proof
FRESH_S = 120  # age of a live power that comes now
DIGITS = 4
MOST_TRIES = 6  # windows and wrong digits
LIVE, NUMBER = "live", "number"  # the ways of a proof


class Claim(NamedTuple):
    """A code in the store, and the claim that has begun with it."""

    hashed: str
    device_id: str
    until: int  # UTC seconds
    tries: int = 0
    user_id: str = ""  # who claims
    began: int = 0  # of the present window, UTC seconds
    watts: tuple[tuple[int, int], ...] = ()  # live powers of the window that were looked at: UTC seconds, W
    is_proven: bool = False

    @property
    def body(self) -> str:
        """Return the stored JSON text."""
        return orjson.dumps([*self[1:]]).decode()


class NotFree(ConfigurationError):
    """A device that somebody has, or that changed hands today."""


def new_code(store: Store, device: Device, now: int) -> str:
    """Make a code of a device and return it; older ones are void. Raises ConfigurationError, see `check_free`."""
    check_free(device, now)
    letters = "".join(secrets.choice(ALPHABET) for _ in range(GROUPS * GROUP))
    made = Claim(_hash(letters), device.device_id, now + VALID_S)
    store.put_record(CLAIMS.of(), made.hashed, made.body, expires=made.until)
    store.put_record(CLAIMS_NEWEST.of(), device.device_id, made.hashed, expires=made.until)
    return "-".join(letters[place : place + GROUP] for place in range(0, len(letters), GROUP))


def check_free(device: Device, now: int) -> None:
    """Raise ConfigurationError for a device that belongs to somebody, or to the home of another device."""
    if device.is_second_meter:
        sender = sender_of(device.device_id)
        raise NotFree(
            Phrase("{device} belongs to the home of {sender}; claim {sender}", device=device.device_id, sender=sender)
        )
    if device.household:
        raise NotFree(
            Phrase(
                "{device} belongs to {household}; `wattfall device move` empties the home first",
                device=device.device_id,
                household=device.household,
            )
        )
    present, today = occupancies(device)[-1], periods.day_of(now, device.timezone)
    if device.former and present.first >= today:
        raise NotFree(
            Phrase(
                "{device} is free since {day}; a household may claim it the day after",
                device=device.device_id,
                day=present.first,
            )
        )


def has_code_since(store: Store, device_id: str, at: int) -> bool:
    """Whether a valid code of a device was made at an instant (UTC seconds) or after it."""
    claim = load_claim(store, store.record(CLAIMS_NEWEST.of(), device_id) or "", at)
    return claim is not None and claim.until - VALID_S >= at


def find_code(store: Store, code: str, now: int) -> Claim | None:
    """Return the claim of a valid code as somebody typed it, or None for any other text."""
    return load_claim(store, _hash(_plain(code)), now)


def load_claim(store: Store, hashed: str, now: int) -> Claim | None:
    """Return a claim by the hash of its code, or None."""
    body = store.record(CLAIMS.of(), hashed) if hashed else None
    if not body:
        return None
    claim = _parsed(hashed, body)
    newest = store.record(CLAIMS_NEWEST.of(), claim.device_id) or ""
    return claim if now < claim.until and tries_left(claim) and newest.startswith(hashed) else None


def tries_left(claim: Claim) -> int:
    """Return how many tries a code has left, the present one among them; 0 for a void one."""
    return max(MOST_TRIES + 1 - claim.tries, 0)


def begin(store: Store, claim: Claim, user_id: str, now: int) -> Claim | None:
    """Begin a window in which a person proves presence; None where the code is void meanwhile."""
    _ask_for_power(store, claim.device_id, now)

    def begun(one: Claim) -> Claim:
        return one._replace(tries=one.tries + 1, user_id=user_id, began=now, watts=(), is_proven=False)

    return _changed(store, claim, begun)


def way(store: Store, claim: Claim, now: int) -> str:
    """Return how presence is proven: LIVE or NUMBER; empty where neither is possible yet."""
    live = store.live(claim.device_id)
    if live and live.power_w is not None and now - live.received_at <= FRESH_S:
        return LIVE
    return NUMBER if _numbers(store, claim.device_id) else ""


def look(store: Store, claim: Claim, now: int) -> Claim | None:
    """Look at the live power of a window; the claim is proven once a step was seen."""
    _ask_for_power(store, claim.device_id, now)
    if claim.is_proven or now > claim.began + WINDOW_S:
        return claim
    live, seen = store.live(claim.device_id), dict(claim.watts)
    if live and live.power_w is not None and live.power_at is None and live.received_at >= claim.began:
        seen[live.received_at] = live.power_w
    readings = store.readings_after(claim.device_id, claim.began)
    known = {one.at: one.power_w for one in readings if one.power_w is not None and one.at <= now}
    watts = tuple(sorted(seen.items()))
    is_proven = has_step([w for _, w in watts]) or has_step([w for _, w in sorted(known.items())])
    return _changed(store, claim, lambda one: one._replace(watts=watts, is_proven=is_proven))


def has_step(watts: Iterable[int]) -> bool:
    """Whether a power rose by STEP_W and fell by STEP_W afterwards."""
    low = peak = None
    for power in watts:
        if peak is not None and peak - power >= STEP_W:
            return True
        low = power if low is None else min(low, power)
        if power - low >= STEP_W:
            peak = power if peak is None else max(peak, power)
    return False


def tell_number(store: Store, claim: Claim, typed: str) -> Claim | None:
    """Compare the last digits of the meter's number; a wrong answer is a try. None where the code is void now."""
    digits = "".join(letter for letter in typed if letter.isdigit() and letter.isascii())[-DIGITS:]
    known = {number[-DIGITS:] for number in _numbers(store, claim.device_id)}
    if digits in known:
        return _changed(store, claim, lambda one: one._replace(is_proven=True))
    return _changed(store, claim, lambda one: one._replace(tries=one.tries + 1))


def occupied(store: Store, claim: Claim, household: str, now: int) -> tuple[Device, Device]:
    """Return a device of a proven claim before and after its move to a household, equal once it has it.

    Raises NotFree.
    """
    device = store.device(claim.device_id)
    if device is None or not claim.is_proven:
        raise NotFree(f"{claim.device_id} cannot be claimed any more")
    if device.household == household:
        return device, device
    check_free(device, now)
    first = periods.day_of(now, device.timezone) if has_past(device) else ""
    return device, replace(device, household=household, occupied_from=first)


def occupy(store: Store, claim: Claim, after: Device) -> None:
    """Give a device to the household of `occupied`, then use up the code. Raises NotFree where another was faster.

    Of several households that try at once one takes the code, on every store; after a failure it can repeat this.
    """
    newest, taken = CLAIMS_NEWEST.of(), f"{claim.hashed} {_hash(f'{claim.hashed} {after.household}')}"
    if store.record(newest, claim.device_id) != taken and not store.put_record(
        newest, claim.device_id, taken, was=claim.hashed, expires=claim.until
    ):
        raise NotFree(f"{claim.device_id} cannot be claimed any more")
    with store.transaction():
        device = store.device(claim.device_id)
        if device is None or device.household not in ("", after.household):
            raise NotFree(f"{claim.device_id} belongs to somebody meanwhile")
        if not device.household and after.occupied_from:
            move(store, device, after.household, after.occupied_from)
        elif not device.household:
            store.put_device(replace(device, household=after.household))
        store.drop_record(newest, claim.device_id)
        store.drop_record(CLAIMS.of(), claim.hashed)


def _ask_for_power(store: Store, device_id: str, now: int) -> None:
    """Let an edge send its live power, which it does for devices that somebody looks at."""
    with suppress(StoreAway):  # another writes: the next look asks
        note_look(store, device_id, now)


def _numbers(store: Store, device_id: str) -> list[str]:
    """Return the numbers of a device's meter, as digits."""
    device, live = store.device(device_id), store.live(device_id)
    said = [device.meter_point if device else "", (live.meter_id or "") if live else ""]
    numbers = ["".join(letter for letter in one if letter.isdigit() and letter.isascii()) for one in said]
    return [one for one in numbers if len(one) >= DIGITS]


def _changed(store: Store, claim: Claim, change: Callable[[Claim], Claim]) -> Claim | None:
    def changed(body: str | None) -> str | None:
        return change(_parsed(claim.hashed, body)).body if body else None

    body = update_record(store, CLAIMS.of(), claim.hashed, changed, expires=claim.until).body
    return _parsed(claim.hashed, body) if body else None


def _parsed(hashed: str, body: str) -> Claim:
    device_id, until, tries, user_id, began, watts, is_proven = orjson.loads(body)
    return Claim(hashed, device_id, until, tries, user_id, began, tuple((at, w) for at, w in watts), is_proven)


def _plain(code: str) -> str:
    return "".join(letter for letter in code[:64].upper() if letter in ALPHABET)


def _hash(letters: str) -> str:
    return sha256(f"wattfall-claim {letters}".encode()).hexdigest()
