"""People for tests: accounts with fast password hashes, and signed-in browsers."""

import time
from collections.abc import Callable
from typing import Any

from argon2 import PasswordHasher
from dash import Dash
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.settings import load
from aggregator.store.collections import USERS
from aggregator.store.port import Store
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.sessions import Sessions
from dashboard.accounts.users import HOUSEHOLD, Passwords, User
from dashboard.app import POLL_MS, create_app
from tests.dashboard import homes
from tests.dashboard.forms import Page

SECRET = "a secret for tests, long enough for its work"
PASSWORD = "correct battery horse staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Clock:
    """A settable clock in UTC seconds. It starts now, because the store expires records by the real time."""

    def __init__(self) -> None:
        self.at = int(time.time())

    def __call__(self) -> int:
        return self.at


def accounts_on(store: Store, clock: Clock | None = None) -> Accounts:
    return Accounts(store, Passwords(QUICK), clock or Clock())


def somebody(store: Store, email: str = "ann@example.org", role: str = HOUSEHOLD, household: str = "") -> User:
    """Return an account with PASSWORD."""
    accounts = accounts_on(store)
    user = accounts.set_password(accounts.add(email, role, household, email.partition("@")[0].title()), PASSWORD)
    assert user
    return user


class Browser(FlaskClient):
    """A client that takes each answer to its end, as browsers do, unless it is asked for pieces."""

    def open(self, *args: Any, buffered: bool = True, **kw: Any) -> TestResponse:  # noqa: ANN401 - as the base has it
        return super().open(*args, buffered=buffered, **kw)


def browser(server: Flask, store: Store, user: User | None = None) -> FlaskClient:
    """Return a separate browser, signed in as a user; it sends Origin like a real one."""
    client = Browser(server, server.response_class, use_cookies=True)
    client.environ_base["HTTP_ORIGIN"] = "http://localhost"
    if user:
        token = Sessions(store, lambda _: user, Clock()).begin(user)
        with client.session_transaction() as kept:
            kept.update({"_user_id": token, "_fresh": True})
    return client


def token_in(page: str) -> str:
    """Return the token in a page's form."""
    return Page(page).sent["csrf"]


MEMBER = User("member", name="Ann", household=homes.HOUSEHOLD)  # of the household of all test homes


def dashboard(
    store: Store, clock: Callable[[], int] = lambda: homes.NOW, poll_ms: int = POLL_MS, **environ: str
) -> Dash:
    """Return the app on a store."""
    app = create_app(load({"WATTFALL_SECRET": SECRET, **environ}), store, clock, poll_ms)
    app.server.test_client_class = Browser
    return app


def member(store: Store) -> User:
    """Return the account of MEMBER."""
    store.put_record(USERS.of(), MEMBER.user_id, MEMBER.to_text())
    return MEMBER


def at_home(store: Store, app: Dash | None = None) -> FlaskClient:
    """Return the browser of a resident of a store's homes."""
    return browser((app or dashboard(store)).server, store, member(store))


def cookie_of(server: Flask, store: Store, user: User) -> str:
    """Return the cookie of a new session."""
    name = server.config["SESSION_COOKIE_NAME"]
    cookie = browser(server, store, user).get_cookie(name)
    assert cookie
    return f"{name}={cookie.value}"
