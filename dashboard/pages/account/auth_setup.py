"""Everything between a visitor and the pages: sessions, the gate, signing in and out, and words for what goes wrong."""

import time
from collections.abc import Callable

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.settings import MAKE_ONE, Settings
from aggregator.store.port import Store
from dashboard.accounts import sessions
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.oidc import Provider, client_of
from dashboard.accounts.passwords import Passwords
from dashboard.accounts.sessions import Sessions
from dashboard.accounts.throttle import Throttle
from dashboard.accounts.users import User
from dashboard.pages.account import account_page, demo_visits, sign_in_page
from dashboard.pages.account.sign_in_page import Doors
from dashboard.web import error_pages, request_guard


def install(
    server: Flask,
    settings: Settings,
    store: Store,
    passwords: Passwords,
    clock: Callable[[], int] = lambda: int(time.time()),
) -> None:
    """Put it on a server, before its pages. `clock` gives UTC seconds. Raises ConfigurationError, see `check`."""
    check(settings)
    doors = _doors(settings, store, passwords, clock)
    if settings.proxies:
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=settings.proxies, x_proto=settings.proxies)  # type: ignore[method-assign]
    if settings.url.startswith("https://"):
        _insist_on_https(server)
    sessions.install(server, settings, doors.sessions)
    request_guard.install(server, settings.url)
    error_pages.install(server)
    sign_in_page.register(server, doors)
    account_page.register(server, doors)


def _insist_on_https(server: Flask) -> None:
    @server.after_request
    def insist(answer: Response) -> Response:
        answer.headers["Strict-Transport-Security"] = f"max-age={365 * DAY_S}"
        return answer


def check(settings: Settings) -> None:
    """Raise ConfigurationError where nobody could sign in safely."""
    if not settings.secret:
        raise ConfigurationError(f"WATTFALL_SECRET is not set, and signs the cookies; {MAKE_ONE}")
    client_of(settings)


def _doors(settings: Settings, store: Store, passwords: Passwords, clock: Callable[[], int]) -> Doors:
    accounts = Accounts(store, passwords, clock)

    def user(user_id: str) -> User | None:
        return demo_visits.user_of(store, user_id) or accounts.user(user_id)

    client = client_of(settings)
    return Doors(
        store,
        accounts,
        Sessions(store, user, clock),
        Throttle(store, clock),
        Provider(client) if client else None,
    )
