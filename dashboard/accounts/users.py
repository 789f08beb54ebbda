"""A user; the rules for e-mail addresses and passwords; password hashing.

Everything but `Passwords` is pure. It hashes with argon2id and the parameters that RFC 9106 recommends.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from unicodedata import normalize

import orjson
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from aggregator.core.documents import LABELS
from aggregator.core.errors import ConfigurationError, Damaged, Phrase, shown
from dashboard.text.language import text

HOUSEHOLD, SUPPORT, ADMIN = ROLES = ("household", "support", "admin")
VISITOR = "demo/"  # begins the user id of a visitor of the demo
LONGEST_EMAIL = 254
LONGEST_NAME = 80
SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 256  # characters; hashing a longer one would cost us, not the sender
FEWEST_CHARACTERS = 5  # distinct characters
_COMMON = """
    000000000000 111111111111 112233445566 123123123123 1234567890ab 123456789012 1234567890123 12345678901234
    123456781234 1234567890qw 123qwe123qwe 1q2w3e4r5t6y 1q2w3e4r5t6y7u8i 1qaz2wsx3edc 1qaz2wsx3edc4rfv 987654321098
    abcd1234abcd abcdef123456 abcdefghijkl abc123abc123 administrator administrator1 changeme1234 changemechangeme
    correcthorsebatterystaple fuckyoufuckyou iloveyou1234 iloveyou12345 iloveyouiloveyou letmein12345 letmeinletmein
    p@ssw0rd1234 p@ssword1234 passw0rd1234 password1234 password12345 password123456 passwordpassword q1w2e3r4t5y6
    qazwsxedcrfv qweasdzxc123 qwerty123456 qwerty1234567 qwertyqwerty qwertyuiop12 qwertyuiop123 qwertyuiopasdf
    welcome12345 welcomewelcome zaq12wsxcde3 zxcvbnmasdfghjkl passwort1234 passwort12345 passwortpasswort
    hallo1234567 hallohallohallo schatzschatz wattfall1234 wattfallwattfall
"""
COMMON = frozenset(_COMMON.split())
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)*")


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account."""

    user_id: str
    email: str = ""  # as `check_email` returns it; empty if the identity provider verified none
    name: str = ""
    role: str = HOUSEHOLD
    household: str = ""  # a person of role `household` sees its devices; none if empty
    is_disabled: bool = False
    session_epoch: int = 0  # increases when all sessions end; sessions and invitations of an earlier one are void
    identity: str = ""  # issuer and subject at an OpenID Connect provider
    password_hash: str = field(default="", repr=False)
    second_factor: str = field(default="", repr=False)  # JSON text, see `second_factor`; empty without one

    @property
    def called(self) -> str:
        """The display name."""
        return self.name or self.email

    @property
    def is_visitor(self) -> bool:
        """Whether this is a visitor of the demo; visitors of one home share a user."""
        return self.user_id.startswith(VISITOR)

    def to_text(self) -> str:
        """Return the stored JSON text."""
        return orjson.dumps(self).decode()

    def with_role(self, role: str) -> "User":
        """Return the user in a role; a new role ends all sessions, since it may need a second factor."""
        return self if role == self.role else replace(self, role=role, session_epoch=self.session_epoch + 1)


def user_from_text(body: str) -> User:
    """Return the user of a JSON text. Raises Damaged."""
    try:
        return User(**orjson.loads(body))
    except (ValueError, TypeError) as error:
        raise Damaged("an account cannot be read; restore it from a backup") from error


def check_email(address: str) -> str:
    """Return an address in its one stored form. Raises ConfigurationError for an invalid one.

    Lookalike characters are refused: normalized, they could pass for another person's address.
    """
    trimmed = address.strip()
    is_plain = trimmed.isprintable() and normalize("NFKC", trimmed) == trimmed and len(trimmed) <= LONGEST_EMAIL
    if not is_plain or not _EMAIL.fullmatch(trimmed):
        raise ConfigurationError(Phrase("{name} is not an e-mail address", name=shown(address)))
    return "".join(letter.lower() if letter.isascii() else letter for letter in trimmed)


def check_name(name: str) -> str:
    """Return a name that fits on one line. Raises ConfigurationError."""
    trimmed = name.strip()
    if len(trimmed) > LONGEST_NAME or not trimmed.isprintable():
        text = Phrase(
            "{name} is no name; it has up to {most} printable characters", name=shown(name), most=LONGEST_NAME
        )
        raise ConfigurationError(text)
    return trimmed


def check_household(household: str, role: str) -> str:
    """Return a valid household id. Raises ConfigurationError."""
    if household and role != HOUSEHOLD:
        raise ConfigurationError(Phrase("the role {role} has no household; leave the household empty", role=role))
    if len(household) > LABELS["household"] or not household.isprintable() or household != household.strip():
        text = Phrase(
            "{name} is no household id; use up to {most} printable characters",
            name=shown(household),
            most=LABELS["household"],
        )
        raise ConfigurationError(text)
    return household


def plain_password(password: str) -> str:
    """Return a password normalized for hashing, independent of the keyboard; empty if it is too long."""
    return normalize("NFKC", password) if len(password) <= LONGEST_PASSWORD else ""


def password_fault(password: str, email: str) -> str:
    """Return the fault of a new password, as a sentence to translate; empty for a good one."""
    plain = plain_password(password)
    if len(password) > LONGEST_PASSWORD:
        return text("This is too long. Take at most 256 characters.")
    if len(plain) < SHORTEST_PASSWORD:
        return text("This is too short. Take at least 12 characters; three or four words make a good password.")
    folded = plain.lower()
    if folded in COMMON or len(set(folded)) < FEWEST_CHARACTERS:
        return text("Many people use this one, so it is guessed first. Take another; three or four words are good.")
    if email and folded in (email, email.partition("@")[0]):
        return text("This is your e-mail address, which others know. Take something else.")
    return ""


# Passwords

AT_ONCE = 2  # each hash takes 64 MiB and a core for a moment; all pages wait meanwhile
PATIENCE_S = 2
NOBODY = "the password of nobody"  # the comparison without an account; its content is irrelevant


class Busy(Exception):
    """Too many people sign in at once; the same request may succeed later."""


class Passwords:
    """Hash and check passwords."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def hashed(self, password: str) -> str:
        """Return the hash of a password. Raises Busy."""
        with self._turn():
            return self._hasher.hash(plain_password(password))

    def is_right(self, password: str, password_hash: str) -> bool:
        """Whether a password matches a hash. Without a hash it takes as long and returns False. Raises Busy."""
        with self._turn():
            try:
                self._hasher.verify(password_hash or self._of_nobody, plain_password(password))
            except (VerificationError, InvalidHashError):
                return False
        return bool(password_hash and plain_password(password))

    def is_dated(self, password_hash: str) -> bool:
        """Whether a hash has weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    @cached_property
    def _of_nobody(self) -> str:
        return self._hasher.hash(NOBODY)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=PATIENCE_S):
            raise Busy
        try:
            yield
        finally:
            self._turns.release()
