"""Accounts, as the store keeps them on five shelves.

| shelf | key | a record is |
|---|---|---|
| `users` | user id | a user |
| `emails` | address | the id of its user, so that an address belongs to one |
| `identities` | hash of issuer and subject | the same for identity providers |
| `invitations` | hash of a token | the user and the era in which it was sent, and until when it can be used |
| `invited` | user id | the hash of the token of the newest, which ends those before it |

An account is changed by comparing and setting, so that of two changes at once neither is lost.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

import orjson

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.store.port import Store
from dashboard.accounts.passwords import Passwords
from dashboard.accounts.users import HOUSEHOLD, User, check_email, check_name, user_from_text

USERS, EMAILS, IDENTITIES, INVITATIONS, INVITED = "users", "emails", "identities", "invitations", "invited"
INVITATION_S = 7 * DAY_S
PAGE = 500


def keyed(secret: str) -> str:
    """The key under which something is kept that only its owner may know."""
    return sha256(secret.encode()).hexdigest()


class Accounts:
    """The people who may sign in. `clock` gives UTC seconds."""

    def __init__(self, store: Store, passwords: Passwords, clock: Callable[[], int]) -> None:
        self._store = store
        self._passwords = passwords
        self._clock = clock

    def user(self, user_id: str) -> User | None:
        """A user by id, or None."""
        body = self._store.record(USERS, user_id)
        return user_from_text(body) if body else None

    def find(self, email: str) -> User | None:
        """A user by address, or None."""
        try:
            user_id = self._store.record(EMAILS, check_email(email))
        except ConfigurationError:
            return None
        return self.user(user_id) if user_id else None

    def everybody(self) -> Iterator[User]:
        """Every user, in the order of their ids."""
        after = ""
        while page := self._store.records(USERS, first=after, limit=PAGE):
            yield from (user_from_text(record.body) for record in page if record.key != after)
            if len(page) < PAGE:
                return
            after = page[-1].key

    def add(self, email: str, role: str = HOUSEHOLD, household: str = "", name: str = "") -> User:
        """A new user, who cannot sign in before accepting an invitation. Raises ConfigurationError."""
        user = User(secrets.token_hex(8), check_email(email), check_name(name), role, household)
        self._store.put_record(USERS, user.user_id, user.to_text())
        if not self._store.put_record(EMAILS, user.email, user.user_id, was=None):
            self._store.drop_record(USERS, user.user_id)
            raise ConfigurationError(f"there is an account of {user.email} already; `wattfall user list` shows it")
        return user

    def change(self, user: User, how: Callable[[User], User]) -> User | None:
        """Change an account as it is now; None where it has gone. What `how` leaves as it was is not written."""
        while body := self._store.record(USERS, user.user_id):
            stored = user_from_text(body)
            changed = how(stored)
            if changed == stored or self._store.put_record(USERS, user.user_id, changed.to_text(), was=body):
                return changed
        return None

    def disable(self, user: User) -> User | None:
        """Let somebody in no more; every session ends."""
        return self.change(user, lambda one: replace(one, is_disabled=True, era=one.era + 1))

    def enable(self, user: User) -> User | None:
        """Let somebody in again."""
        return self.change(user, lambda one: replace(one, is_disabled=False))

    def end_sessions(self, user: User) -> User | None:
        """Sign somebody out everywhere."""
        return self.change(user, lambda one: replace(one, era=one.era + 1))

    # passwords and invitations

    def check(self, email: str, password: str) -> User | None:
        """Whose e-mail address and password these are; None as slowly for an unknown address. Raises Busy."""
        user = self.find(email)
        is_right = self._passwords.is_right(password, user.password_hash if user else "")
        if not user or not is_right or user.is_disabled:
            return None
        return self._refreshed(user, password)

    def is_password(self, user: User, password: str) -> bool:
        """Whether a password is that of a user. Raises Busy."""
        return self._passwords.is_right(password, user.password_hash)

    def set_password(self, user: User, password: str) -> User | None:
        """Give somebody a new password, and sign out whoever had the old one; None when overtaken. Raises Busy."""
        fresh = self._passwords.hashed(password)

        def set_once(one: User) -> User:
            is_same = one.era == user.era and not one.is_disabled
            return replace(one, password_hash=fresh, era=one.era + 1) if is_same else one

        changed = self.change(user, set_once)
        return changed if changed and changed.password_hash == fresh else None

    def invite(self, user: User) -> str:
        """The token of a new invitation to set a password; it can be used once, in the next seven days.

        Those before it cannot be used any more: one may have gone astray, or to somebody else.
        """
        token, until = secrets.token_urlsafe(32), self._clock() + INVITATION_S
        body = orjson.dumps({"user": user.user_id, "era": user.era, "until": until}).decode()
        self._store.put_record(INVITATIONS, keyed(token), body, expires=until)
        self._store.put_record(INVITED, user.user_id, keyed(token), expires=until)
        return token

    def invited(self, token: str) -> User | None:
        """Who holds an invitation that can still be used."""
        body = self._store.record(INVITATIONS, keyed(token))
        sent = orjson.loads(body) if body else {}
        user = self.user(sent["user"]) if sent and self._clock() < sent["until"] else None
        if not user or user.era != sent["era"] or user.is_disabled:
            return None
        newest = self._store.record(INVITED, user.user_id)  # none was noted by a former version
        return user if newest in (None, keyed(token)) else None

    def accept(self, token: str, password: str) -> User | None:
        """Set the password of whoever holds an invitation; None where it cannot be used any more. Raises Busy."""
        user = self.invited(token)
        changed = self.set_password(user, password) if user else None
        if changed:
            self._store.drop_record(INVITATIONS, keyed(token))
        return changed

    def _refreshed(self, user: User, password: str) -> User:
        if self._passwords.is_dated(user.password_hash):
            fresh = self._passwords.hashed(password)
            old = user.password_hash
            self.change(user, lambda one: replace(one, password_hash=fresh) if one.password_hash == old else one)
        return user
