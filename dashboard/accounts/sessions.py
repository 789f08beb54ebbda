"""Sessions in the store, keyed by the hash of a random token, so that a session can end at once.

The browser holds the token in a cookie that Flask signs. A session belongs to one session_epoch of its user. `Accounts`
starts a new epoch when a user is disabled, gets a new password or signs out everywhere; older sessions end then.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import orjson
from flask import Flask, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from itsdangerous import URLSafeTimedSerializer

from aggregator.core.errors import StoreAway
from aggregator.core.periods import DAY_S
from aggregator.settings import Settings
from aggregator.store.collections import SESSIONS
from aggregator.store.port import Store
from dashboard.accounts.accounts import token_hash
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User

HOUR_S, MINUTE_S = 3600, 60


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The limits of a session, in seconds."""

    idle_s: int  # without a request; an open page asks every few seconds
    longest_s: int

    @property
    def step_s(self) -> int:
        """The precision of `seen`, in seconds; not every poll writes it."""
        return self.idle_s // 24


_STAFF = Lifetime(2 * HOUR_S, 12 * HOUR_S)
LIFETIMES = {HOUSEHOLD: Lifetime(30 * DAY_S, SESSIONS.lifetime_s), SUPPORT: _STAFF, ADMIN: _STAFF}


def lifetime(user: User) -> Lifetime:
    """Return the limits of a user's sessions; visitors of the demo come without a password, and stay for hours."""
    return _STAFF if user.is_visitor else LIFETIMES[user.role]


class Sessions:
    """The sessions. `user` finds a user by id; `clock` gives UTC seconds."""

    def __init__(self, store: Store, user: Callable[[str], User | None], clock: Callable[[], int]) -> None:
        self._store = store
        self._user = user
        self._clock = clock

    def begin(self, user: User) -> str:
        """Start a session and return its token."""
        token, now = secrets.token_urlsafe(32), self._clock()
        self._put(
            token_hash(token),
            user,
            {"user": user.user_id, "session_epoch": user.session_epoch, "began": now, "seen": now},
        )
        return token

    def user_of(self, token: str) -> User | None:
        """Return the user of a session, or None after its end."""
        body = self._store.record(SESSIONS.of(), token_hash(token))
        if not body:
            return None
        kept, now = orjson.loads(body), self._clock()
        user = self._user(kept["user"])
        if user is None or user.is_disabled or user.session_epoch != kept["session_epoch"]:
            return None
        life = lifetime(user)
        if now >= kept["seen"] + life.idle_s or now >= kept["began"] + life.longest_s:
            return None
        if now >= kept["seen"] + life.step_s:
            with suppress(StoreAway):  # another writes: the next request notes it
                # Not if it ended meanwhile.
                self._put(token_hash(token), user, kept | {"seen": now}, was=body, is_patient=False)
        return user

    def end(self, token: str) -> None:
        """End a session."""
        self._store.drop_record(SESSIONS.of(), token_hash(token))

    def _put(
        self, key: str, user: User, kept: dict[str, object], was: str | None = None, *, is_patient: bool = True
    ) -> None:
        life = lifetime(user)
        expires = min(int(str(kept["seen"])) + life.idle_s, int(str(kept["began"])) + life.longest_s)
        body = orjson.dumps(kept).decode()
        self._store.put_record(SESSIONS.of(), key, body, was=was, expires=expires, is_patient=is_patient)


class Visitor(UserMixin):  # type: ignore[misc] # flask-login has no types
    """The user of a session in the form that Flask-Login needs."""

    def __init__(self, user: User, token: str) -> None:
        self.user = user
        self._token = token

    def get_id(self) -> str:
        """Return the token for the cookie."""
        return self._token


class _Serializer(URLSafeTimedSerializer):
    """Signs and checks cookies; a checked one is remembered for its minute, because each open page polls with it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - handed on as it comes
        super().__init__(*arguments, **options)
        self._checked = lru_cache(maxsize=10_000)(lambda _minute, *cookie: super(_Serializer, self).loads(*cookie))

    def loads(self, cookie: str | bytes, max_age: int | None = None, **_: object) -> Any:  # type: ignore[override] # noqa: ANN401
        """Return what a cookie holds. Raises BadSignature."""
        return dict(self._checked(int(time.monotonic()) // MINUTE_S, cookie, max_age))


class _Cookies(SecureCookieSessionInterface):
    """Session cookies. A cookie set over https is Secure, even if no public address is configured."""

    _serializer: URLSafeTimedSerializer | None = None

    def get_cookie_secure(self, app: Flask) -> bool:
        return super().get_cookie_secure(app) or request.is_secure

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer that signs and checks cookies, made once; Flask makes one a poll."""
        if self._serializer is None and app.secret_key:
            signer = {"key_derivation": self.key_derivation, "digest_method": self.digest_method}
            self._serializer = _Serializer(
                app.secret_key, salt=self.salt, serializer=self.serializer, signer_kwargs=signer
            )
        return self._serializer


def install(server: Flask, settings: Settings, sessions: Sessions) -> None:
    """Add sign-in to a server. The secret of the settings signs the cookies."""
    is_https = settings.url.startswith("https://")
    server.secret_key = settings.secret
    server.session_interface = _Cookies()
    server.config.update(
        SESSION_COOKIE_NAME="__Host-wattfall" if is_https else "wattfall",
        SESSION_COOKIE_SECURE=is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,  # the store holds the expiry, and a poll should be small
        PERMANENT_SESSION_LIFETIME=timedelta(seconds=LIFETIMES[HOUSEHOLD].longest_s),
    )
    manager = LoginManager()
    manager.session_protection = None  # a phone's address changes all day
    # Not by init_app: it looks for a remember-me cookie, and makes every file vary by session.
    server.login_manager = manager  # type: ignore[attr-defined]

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(token: str) -> Visitor | None:
        user = sessions.user_of(token)
        return Visitor(user, token) if user else None


def sign_in(sessions: Sessions, user: User) -> None:
    """Start a new session for the current request; drop all earlier state of the browser's cookie."""
    if current_user.is_authenticated:
        sessions.end(current_user.get_id())
    session.clear()
    session.permanent = user.role == HOUSEHOLD and not user.is_visitor  # staff sessions end with the browser
    login_user(Visitor(user, sessions.begin(user)))


def sign_out(sessions: Sessions) -> None:
    """End the session of the current request."""
    if current_user.is_authenticated:
        sessions.end(current_user.get_id())
    logout_user()
    session.clear()


def signed_in() -> User | None:
    """Return the user of the current request; None without a session or a request."""
    visitor = current_user._get_current_object()  # once: each access of the proxy loads the user again
    return visitor.user if isinstance(visitor, Visitor) else None
