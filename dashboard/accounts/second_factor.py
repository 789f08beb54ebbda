"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes for a lost app.

The key of an app comes from WATTFALL_SECRET and a random nonce. The store holds the nonce alone, so that a stolen store
or backup makes no codes; former secrets in WATTFALL_OLD_SECRETS go on to check them. A code is accepted in its own step
of 30 s and one beside it, and once: no step at or before the last accepted one counts again. Recovery codes have 80
random bits, are kept as hashes and work once.
"""

import hmac
import secrets
from base64 import b32encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import orjson
import pyotp

from dashboard.accounts.accounts import Accounts, token_hash
from dashboard.accounts.users import HOUSEHOLD, User

STEP_S, BESIDE = 30, 1  # seconds of a code; steps before and after the present one
DIGITS = 6
RECOVERY_CODES = 8
_GROUPS, _GROUP = 4, 4  # characters of a recovery code, in base 32


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """What the store holds of a second factor."""

    nonce: str
    step: int  # the last accepted one
    recovery: tuple[str, ...]  # hashes of the codes that are left

    def to_text(self) -> str:
        """Return the stored JSON text."""
        return orjson.dumps(self).decode()


def factor_of(user: User) -> SecondFactor | None:
    """Return the second factor of a user, or None."""
    if not user.second_factor:
        return None
    found = orjson.loads(user.second_factor)
    return SecondFactor(found["nonce"], found["step"], tuple(found["recovery"]))


def needs_one(user: User) -> bool:
    """Whether a user must have a second factor: staff and account managers."""
    return user.role != HOUSEHOLD


def key_of(secret: str, user: User, nonce: str) -> str:
    """Return the key for an app, in base 32."""
    content = f"wattfall second factor {user.user_id} {nonce}".encode()
    return b32encode(hmac.digest(secret.encode(), content, "sha256")[:20]).decode()


def app_address(key: str, user: User) -> str:
    """Return the `otpauth:` address that a QR code shows to an app."""
    return pyotp.TOTP(key).provisioning_uri(name=user.email or user.called, issuer_name="Wattfall")


def accepted_step(keys: Sequence[str], code: str, now: int, after: int) -> int | None:
    """Return the step of a code, if it is near `now` (UTC seconds) and later than the step `after`; else None."""
    typed = code.replace(" ", "")
    if not (typed.isascii() and typed.isdigit() and len(typed) == DIGITS):
        return None
    present, found = now // STEP_S, None
    for key in keys:
        app = pyotp.TOTP(key)
        for step in range(present - BESIDE, present + BESIDE + 1):
            if hmac.compare_digest(app.generate_otp(step), typed) and step > after:
                found = step
    return found


def new_nonce() -> str:
    """Return the nonce of a new key."""
    return secrets.token_hex(16)


def _new_recovery_code() -> str:
    text = b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[at : at + _GROUP] for at in range(0, _GROUPS * _GROUP, _GROUP))


class SecondFactors:
    """The second factors of the accounts. `keys` are the present secret and former ones; `clock` gives UTC seconds."""

    def __init__(self, accounts: Accounts, keys: Sequence[str], clock: Callable[[], int]) -> None:
        self._accounts, self._secrets, self._clock = accounts, keys, clock

    def key(self, user: User, nonce: str) -> str:
        """Return the key for an app that is to be set up."""
        return key_of(self._secrets[0], user, nonce)

    def set_up(self, user: User, nonce: str, code: str) -> tuple[User, list[str]] | None:
        """Set up an app whose first code is right, in place of a former one, and end all sessions.

        Return the changed user and the recovery codes; None for a wrong code, or where all sessions ended before.
        """
        step = accepted_step([self.key(user, nonce)], code, self._clock(), -1)
        if step is None:
            return None
        codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
        text = SecondFactor(nonce, step, tuple(map(token_hash, codes))).to_text()

        def replaced(one: User) -> User:
            is_same = one.session_epoch == user.session_epoch and not one.is_disabled
            return replace(one, second_factor=text, session_epoch=one.session_epoch + 1) if is_same else one

        changed = self._accounts.change(user, replaced)
        return (changed, codes) if changed and changed.second_factor == text else None

    def accept(self, user: User, code: str) -> bool:
        """Whether a code of the app or a recovery code is right; it does not work again."""
        is_right = False

        def used(one: User) -> User:
            nonlocal is_right  # of the last try, which is the one that was stored
            after = self._after(one, code)
            is_right = after is not None
            return replace(one, second_factor=after.to_text()) if after else one

        return self._accounts.change(user, used) is not None and is_right

    def _after(self, user: User, code: str) -> SecondFactor | None:
        """Return the second factor after a right code; None for a wrong one."""
        factor = factor_of(user)
        if factor is None:
            return None
        keys = [key_of(secret, user, factor.nonce) for secret in self._secrets]
        step = accepted_step(keys, code, self._clock(), factor.step)
        if step is not None:
            return replace(factor, step=step)
        typed = token_hash(code.strip().lower())
        left = tuple(one for one in factor.recovery if not hmac.compare_digest(one, typed))
        return replace(factor, recovery=left) if len(left) < len(factor.recovery) else None

    def remove(self, user: User) -> User | None:
        """Remove a second factor, and end all sessions."""
        return self._accounts.change(
            user, lambda one: replace(one, second_factor="", session_epoch=one.session_epoch + 1)
        )
