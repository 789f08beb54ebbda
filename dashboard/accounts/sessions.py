"""Sessions in the store, keyed by the hash of a random token, so that a session can end at once.

The browser holds the token in a cookie that Flask signs. A session belongs to one session_epoch of its user. `Accounts`
starts a new epoch when a user is disabled, gets a new password or signs out everywhere; older sessions end then.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

import orjson
from flask import Flask, Request, Response, current_app, g, has_request_context, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.http import parse_cookie

from aggregator.core.periods import DAY_S
from aggregator.settings import Settings
from aggregator.store.collections import SESSIONS
from aggregator.store.port import Store
from dashboard.accounts.accounts import token_hash
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User

HOUR_S = 3600


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
        if body is None:
            return None
        kept, now = orjson.loads(body), self._clock()
        user = self._user(kept["user"])
        if user is None or user.is_disabled or user.session_epoch != kept["session_epoch"]:
            return None
        life = LIFETIMES[user.role]
        if now >= kept["seen"] + life.idle_s or now >= kept["began"] + life.longest_s:
            return None
        if now >= kept["seen"] + life.step_s:
            self._put(token_hash(token), user, kept | {"seen": now}, was=body)  # not if it ended meanwhile
        return user

    def end(self, token: str) -> None:
        """End a session."""
        self._store.drop_record(SESSIONS.of(), token_hash(token))

    def _put(self, key: str, user: User, kept: dict[str, object], was: str | None = None) -> None:
        life = LIFETIMES[user.role]
        expires = min(int(str(kept["seen"])) + life.idle_s, int(str(kept["began"])) + life.longest_s)
        self._store.put_record(SESSIONS.of(), key, orjson.dumps(kept).decode(), was=was, expires=expires)


SESSION = "session"  # the key of its token in the cookie
MOST_COOKIES = 16_384  # whose signatures are remembered


class _Cookies(SecureCookieSessionInterface):
    """Session cookies. A cookie set over https is Secure, even if no public address is configured.

    A poll brings the same cookie for weeks. Its signature is verified once an hour; whether its session lasts is asked
    of the store each time.
    """

    def __init__(self) -> None:
        self._serializer: URLSafeTimedSerializer | None = None
        self._remembered = lru_cache(MOST_COOKIES)(self._verified)

    def get_cookie_secure(self, app: Flask) -> bool:
        return super().get_cookie_secure(app) or request.is_secure

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return the serializer that signs and checks cookies, made once; Flask makes one a poll."""
        self._serializer = self._serializer or super().get_signing_serializer(app)
        return self._serializer

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession:
        """Return the content of the cookie; empty for one that we have not signed, or for too long ago."""
        cookie = parse_cookie(request.environ).get(self.get_cookie_name(app))  # `request.cookies` walks all headers
        try:
            content = self._remembered(app, cookie, int(time.time()) // HOUR_S) if cookie else None
        except BadSignature:
            content = None
        return SecureCookieSession(content)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Set the cookie of a session that has changed. Flask compares all its attributes at each poll."""
        if session.modified:
            super().save_session(app, session, response)
        elif session.accessed and response.headers.get("Cache-Control") != "no-store":
            response.vary.add("Cookie")

    def _verified(self, app: Flask, cookie: str, _hour: int) -> Mapping[str, object]:
        """Return the content of a cookie. Raises BadSignature."""
        serializer = self.get_signing_serializer(app)
        assert serializer, "there is always a secret"
        longest_s = int(app.permanent_session_lifetime.total_seconds())
        content: Mapping[str, object] = serializer.loads(cookie, max_age=longest_s)
        return content


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
    server.extensions[__name__] = sessions


def sign_in(sessions: Sessions, user: User) -> None:
    """Start a new session for the current request; drop all earlier state of the browser's cookie."""
    sign_out(sessions)
    session.permanent = user.role == HOUSEHOLD  # staff sessions end with the browser
    session[SESSION] = sessions.begin(user)


def sign_out(sessions: Sessions) -> None:
    """End the session of the current request."""
    if SESSION in session:
        sessions.end(session[SESSION])
    session.clear()
    g.pop("user", None)


def signed_in() -> User | None:
    """Return the user of the current request, asked of the store once; None without a session or a request."""
    if not has_request_context():
        return None
    if "user" not in g:
        sessions: Sessions = current_app.extensions[__name__]
        g.user = sessions.user_of(session[SESSION]) if SESSION in session else None
    user: User | None = g.user
    return user
