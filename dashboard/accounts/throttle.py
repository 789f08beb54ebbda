"""How often somebody may try to sign in: by account and by address, counted in the store for all web processes.

An attempt is counted before its password is looked at, so that a hundred at once do not slip through, and an account
that does not exist is counted like one that does: what is answered tells nobody which there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import orjson

from aggregator.store.port import Store
from dashboard.accounts.accounts import keyed

SHELF = "attempts"
NETWORK = 64  # bits; who has one IPv6 address usually has all of such a network


@dataclass(frozen=True, slots=True)
class Limit:
    """How many attempts are free, and how long one more takes; the wait doubles with each, up to the longest."""

    free: int
    first_s: int
    longest_s: int
    forgotten_s: int  # after the last attempt

    def wait_s(self, attempts: int) -> int:
        """How long after so many attempts the next may come."""
        over = attempts - self.free
        return 0 if over < 0 else min(self.first_s << min(over, 20), self.longest_s)


ACCOUNT = Limit(free=5, first_s=30, longest_s=900, forgotten_s=24 * 3600)
ADDRESS = Limit(free=30, first_s=30, longest_s=900, forgotten_s=3600)  # an office or a mobile network shares one


class Throttle:
    """The attempts of late. `clock` gives UTC seconds."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    def attempt(self, account: str, address: str) -> int:
        """Count an attempt; how many seconds to wait where it comes too early, and then it is not to be looked at."""
        wait = self._count(_address_key(address), ADDRESS)
        return wait or self._count(_account_key(account), ACCOUNT)

    def forgive(self, account: str, address: str) -> None:
        """It was the right password: the account's attempts are forgotten, and this one of the address."""
        self._store.drop_record(SHELF, _account_key(account))
        self._give_back(_address_key(address))

    def _count(self, key: str, limit: Limit) -> int:
        while True:
            body, now = self._store.record(SHELF, key), self._clock()
            attempts, at = orjson.loads(body) if body else (0, now)
            if now >= at + limit.forgotten_s:
                attempts = 0
            wait = at + limit.wait_s(attempts) - now if attempts else 0
            if wait > 0:
                return int(wait)
            if self._put(key, attempts + 1, now, body, limit):
                return 0

    def _give_back(self, key: str) -> None:
        body = self._store.record(SHELF, key)
        if body:
            attempts, at = orjson.loads(body)
            self._put(key, attempts - 1, at, body, ADDRESS)  # overtaken by another attempt, it stays counted

    def _put(self, key: str, attempts: int, at: int, was: str | None, limit: Limit) -> bool:
        body = orjson.dumps([attempts, at]).decode()
        return self._store.put_record(SHELF, key, body, was=was, expires=at + limit.forgotten_s)


def _account_key(account: str) -> str:
    return f"account-{keyed(account.strip().lower())}"


def _address_key(address: str) -> str:
    """An address, or the network of one that is IPv6. What is no address at all counts as one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "address-unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"address-{parsed.packed[: NETWORK // 8].hex()}"
    return f"address-{getattr(parsed, 'ipv4_mapped', None) or parsed}"
