"""Passwords as the store keeps them: hashed with argon2id, by the parameters that RFC 9106 recommends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dashboard.accounts.users import plain_password

AT_ONCE = 2  # each takes 64 MiB and a core for a moment; the pages of everybody else wait meanwhile
PATIENCE_S = 2
NOBODY = "the password of nobody"  # hashed to compare with where there is no account; what it is does not matter


class Busy(Exception):
    """More people are signing in than can be served; the same request may go through later."""


class Passwords:
    """Hashes passwords, and tells whether one is right."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    def hashed(self, password: str) -> str:
        """What is kept of a password. Raises Busy."""
        with self._turn():
            return self._hasher.hash(plain_password(password))

    def is_right(self, password: str, password_hash: str) -> bool:
        """Whether a password is that of a hash. Without a hash it takes as long, and is wrong. Raises Busy."""
        with self._turn():
            try:
                self._hasher.verify(password_hash or self._of_nobody, plain_password(password))
            except (VerificationError, InvalidHashError):
                return False
        return bool(password_hash and plain_password(password))

    def is_dated(self, password_hash: str) -> bool:
        """Whether a hash is of weaker parameters than those of today."""
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
