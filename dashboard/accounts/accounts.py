"""Accounts in five collections of the store, and the throttle of sign-in attempts.

| collection | key | a record is |
|---|---|---|
| `users` | user id | a user |
| `emails` | address | the id of its user; an address belongs to one user |
| `identities` | hash of issuer and subject | the id of its user |
| `invitations` | hash of a token | the user, the session_epoch of the invitation, and its expiry |
| `invited` | user id | the hash of the newest token; older ones are void |

Changes compare and set, so that two concurrent changes both survive.

The throttle counts attempts by account and by address, in the store, for all web processes. It counts an attempt
before checking its password, so that a hundred concurrent ones cannot slip through. It treats unknown accounts like
known ones, so that an answer never reveals an account.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

import orjson

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.intake.tokens import HOME_NETWORK, SITE_NETWORK, network
from aggregator.settings import Settings
from aggregator.store.collections import ATTEMPTS, EMAILS, INVITATIONS, INVITED, USERS, record_pages, update_record
from aggregator.store.port import Store
from aggregator.store.stored_records import DAMAGED
from dashboard.accounts.users import HOUSEHOLD, Passwords, User, check_email, check_name, user_from_text

INVITATION_S, RESET_S = INVITATIONS.lifetime_s, 3600


def token_hash(secret: str) -> str:
    """Return the store's key of a secret that only its owner may know."""
    return sha256(secret.encode()).hexdigest()


def link_of(settings: Settings, token: str) -> str:
    """Return the link of an invitation."""
    return f"{settings.url or f'http://localhost:{settings.port}'}/invitation/{token}"


class Accounts:
    """The accounts. `clock` gives UTC seconds."""

    def __init__(self, store: Store, passwords: Passwords, clock: Callable[[], int]) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock

    def user(self, user_id: str) -> User | None:
        """Return a user by id, or None."""
        body = self._store.record(USERS.of(), user_id)
        return user_from_text(body) if body else None

    def find(self, email: str) -> User | None:
        """Return a user by e-mail address, or None."""
        try:
            user_id = self._store.record(EMAILS.of(), check_email(email))
        except ConfigurationError:
            return None
        return self.user(user_id) if user_id else None

    def is_damaged(self, email: str) -> bool:
        """Whether an address has an account that cannot be read."""
        user_id = self._store.record(EMAILS.of(), email)
        return user_id == DAMAGED or (user_id is not None and self._store.record(USERS.of(), user_id) == DAMAGED)

    def everybody(self) -> Iterator[User]:
        """Yield every user in the order of ids."""
        for page in record_pages(self._store, USERS.of()):
            yield from (user_from_text(record.body) for record in page)

    def add(self, email: str, role: str = HOUSEHOLD, household: str = "", name: str = "") -> User:
        """Add a user, who can sign in after accepting an invitation. Raises ConfigurationError."""
        user = User(secrets.token_hex(8), check_email(email), check_name(name), role, household)
        self._store.put_record(USERS.of(), user.user_id, user.to_text())
        if not self._store.put_record(EMAILS.of(), user.email, user.user_id, was=None):
            self._store.drop_record(USERS.of(), user.user_id)
            raise ConfigurationError(f"there is an account of {user.email} already; `wattfall user list` shows it")
        return user

    def change(self, user: User, how: Callable[[User], User]) -> User | None:
        """Apply `how` to the stored account and return it; None if it is gone. An equal account is not stored again.

        Raises StoreAway while other writers keep changing it.
        """

        def changed(body: str | None) -> str | None:
            stored = user_from_text(body) if body else None
            made = how(stored) if stored else None
            return made.to_text() if made and made != stored else None

        body = update_record(self._store, USERS.of(), user.user_id, changed).body
        return user_from_text(body) if body else None

    def disable(self, user: User) -> User | None:
        """Disable an account and end its sessions."""
        return self.change(user, lambda one: replace(one, is_disabled=True, session_epoch=one.session_epoch + 1))

    def enable(self, user: User) -> User | None:
        """Enable an account again."""
        return self.change(user, lambda one: replace(one, is_disabled=False))

    def end_sessions(self, user: User) -> User | None:
        """End every session of a user."""
        return self.change(user, lambda one: replace(one, session_epoch=one.session_epoch + 1))

    # Passwords and invitations

    def check(self, email: str, password: str) -> User | None:
        """Return the user of an e-mail address and password, or None; an unknown address takes as long. Raises Busy."""
        user = self.find(email)
        is_right = self._passwords.is_right(password, user.password_hash if user else "")
        if not user or not is_right or user.is_disabled:
            return None
        return self._refreshed(user, password)

    def is_password(self, user: User, password: str) -> bool:
        """Whether a password is that of a user. Raises Busy."""
        return self._passwords.is_right(password, user.password_hash)

    def set_password(self, user: User, password: str) -> User | None:
        """Set a new password and end all sessions; None if another change came first. Raises Busy."""
        fresh = self._passwords.hashed(password)

        def set_once(one: User) -> User:
            is_same = one.session_epoch == user.session_epoch and not one.is_disabled
            return replace(one, password_hash=fresh, session_epoch=one.session_epoch + 1) if is_same else one

        changed = self.change(user, set_once)
        return changed if changed and changed.password_hash == fresh else None

    def invite(self, user: User, lifetime_s: int = INVITATION_S) -> str:
        """Return the token of a new invitation; it works once, within its lifetime.

        Older invitations become void, because one may have reached the wrong person.
        """
        token, until = secrets.token_urlsafe(32), self._clock() + lifetime_s
        body = orjson.dumps({"user": user.user_id, "session_epoch": user.session_epoch, "until": until}).decode()
        self._store.put_record(INVITATIONS.of(), token_hash(token), body, expires=until)
        known_until = self._clock() + max(lifetime_s, INVITATION_S)  # as long as an older invitation may last
        self._store.put_record(INVITED.of(), user.user_id, token_hash(token), expires=known_until)
        return token

    def invited(self, token: str) -> User | None:
        """Return the user of a valid invitation, or None."""
        body = self._store.record(INVITATIONS.of(), token_hash(token))
        sent = orjson.loads(body) if body else {}
        user = self.user(sent["user"]) if sent and self._clock() < sent["until"] else None
        if not user or user.session_epoch != sent["session_epoch"] or user.is_disabled:
            return None
        newest = self._store.record(INVITED.of(), user.user_id)  # older versions stored none
        return user if newest in (None, token_hash(token)) else None

    def accept(self, token: str, password: str) -> User | None:
        """Set the password of an invited user; None if the invitation is void. Raises Busy."""
        user = self.invited(token)
        changed = self.set_password(user, password) if user else None
        if changed:
            self._store.drop_record(INVITATIONS.of(), token_hash(token))
        return changed

    def _refreshed(self, user: User, password: str) -> User:
        if self._passwords.is_dated(user.password_hash):
            fresh = self._passwords.hashed(password)
            old = user.password_hash
            self.change(user, lambda one: replace(one, password_hash=fresh) if one.password_hash == old else one)
        return user


# Throttle


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of free attempts, and the wait after them. The wait doubles with each attempt, up to the longest."""

    free: int
    first_s: int
    longest_s: int
    forgotten_s: int  # after the last attempt

    def wait_s(self, attempts: int) -> int:
        """Return the wait after `attempts` attempts, in seconds."""
        over = attempts - self.free
        return 0 if over < 0 else min(self.first_s << min(over, 20), self.longest_s)


ACCOUNT = Limit(free=5, first_s=30, longest_s=900, forgotten_s=ATTEMPTS.lifetime_s)
# Many people share the address of an office or a mobile network.
ADDRESS = Limit(free=30, first_s=30, longest_s=900, forgotten_s=3600)
SITE = Limit(free=120, first_s=30, longest_s=3600, forgotten_s=3600)
MAILS = Limit(free=3, first_s=900, longest_s=DAY_S // 2, forgotten_s=ATTEMPTS.lifetime_s)  # to one address
VISITS = Limit(free=20, first_s=30, longest_s=900, forgotten_s=3600)


class Throttle:
    """Recent sign-in attempts. `clock` gives UTC seconds."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    def attempt(self, account: str, address: str) -> int:
        """Count an attempt and return the seconds to wait; 0 allows the check of the password."""
        return self._of_address(address) or self._count(_account_key(account), ACCOUNT)

    def visit(self, address: str) -> int:
        """Count a visitor of the demo and return the seconds to wait."""
        return self._count(f"visit-{network(address, HOME_NETWORK)}", VISITS)

    def asks_for_mail(self, address: str) -> int:
        """Count somebody who asks for a mail and return the seconds to wait."""
        return self._count(f"asks-{network(address, HOME_NETWORK)}", VISITS)

    def upload(self, user_id: str) -> int:
        """Count a file that a user brings and return the seconds to wait."""
        return self._count(_account_key(f"upload {user_id}"), ADDRESS)

    def may_get_mail(self, email: str) -> bool:
        """Count a mail to an address; return whether it may be sent."""
        return not self._count(f"mail-{token_hash(email.lower())}", MAILS)

    def withdraw(self, account: str, address: str) -> None:
        """Take back an attempt that was not looked at."""
        self._give_back(_account_key(account))
        self._forgive_address(address)

    def forgive(self, account: str, address: str) -> None:
        """Forget the account's attempts, and this one of the address, after a right password."""
        self._store.drop_record(ATTEMPTS.of(), _account_key(account))
        self._forgive_address(address)

    def _of_address(self, address: str) -> int:
        for key, limit in _address_keys(address):
            wait = self._count(key, limit)
            if wait:
                return wait  # the wider network does not pay for it
        return 0

    def _forgive_address(self, address: str) -> None:
        for key, _ in _address_keys(address):
            self._give_back(key)

    def _count(self, key: str, limit: Limit) -> int:
        """Count an attempt under a key; return the seconds by which it comes too early, else 0."""
        now = self._clock()
        expires, count = now + limit.forgotten_s, partial(_counted, now=now, limit=limit)
        return _early_s(update_record(self._store, ATTEMPTS.of(), key, count, expires=expires).was, now, limit)

    def _give_back(self, key: str) -> None:
        expires = self._clock() + ADDRESS.forgotten_s
        update_record(self._store, ATTEMPTS.of(), key, _given_back, expires=expires, may_be_lost=True)


def _attempts(body: str | None, now: int, limit: Limit) -> tuple[int, int]:
    """Return the number of attempts that still count, and the instant of the last one (UTC seconds)."""
    attempts, at = orjson.loads(body) if body else (0, now)
    return (0 if now >= at + limit.forgotten_s else attempts), at


def _early_s(body: str | None, now: int, limit: Limit) -> int:
    attempts, at = _attempts(body, now, limit)
    return max(at + limit.wait_s(attempts) - now, 0) if attempts else 0


def _counted(body: str | None, now: int, limit: Limit) -> str | None:
    attempts, _ = _attempts(body, now, limit)
    return None if _early_s(body, now, limit) else orjson.dumps([attempts + 1, now]).decode()


def _given_back(body: str | None) -> str | None:
    if body is None:
        return None
    attempts, at = orjson.loads(body)
    return orjson.dumps([attempts - 1, at]).decode()


def _account_key(account: str) -> str:
    return f"account-{token_hash(account.strip().lower())}"


def _address_keys(address: str) -> list[tuple[str, Limit]]:
    """Return the counters of an address, the narrowest network first."""
    home, site = network(address, HOME_NETWORK), network(address, SITE_NETWORK)
    return [(f"address-{home}", ADDRESS), *([(f"site-{site}", SITE)] if site != home else [])]
