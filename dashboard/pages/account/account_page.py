"""The account page: the signed-in user, a new password, sign-out, erasure. Also the page of an invitation.

A household can have everything of it erased, after a wait with one click back; the worker carries it out. Everybody of
the household sees the day, and anybody of it may keep the data.

`install` connects sign-in with a server: sessions, the request guard, the sign-in pages and the error pages.
"""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, abort, jsonify, redirect, request
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.erasure.erasure_requests import WAIT_DAYS, ask_for_erasure, erasure_due, has_begun, take_back
from aggregator.settings import MAKE_ONE, Settings
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from dashboard.accounts import sessions
from dashboard.accounts.accounts import Accounts, Throttle
from dashboard.accounts.api_keys import ApiKeys
from dashboard.accounts.household_export import Told, export, followed, progress
from dashboard.accounts.mail import Mailer, check_mail
from dashboard.accounts.oidc import Provider, client_of
from dashboard.accounts.second_factor import SecondFactors
from dashboard.accounts.sessions import Sessions, sign_in, sign_out, signed_in
from dashboard.accounts.users import HOUSEHOLD, Passwords, User, password_fault
from dashboard.pages.account import claim_page, keys_page, second_factor_page, sign_in_page
from dashboard.pages.account.sign_in_page import AuthServices, admit, too_soon
from dashboard.text.language import text
from dashboard.web import request_guard
from dashboard.web.responses import notice, reader_language, render

OVER = text("This invitation cannot be used any more")
OVER_SENTENCE = text("It has been used, or it is too old. Ask whoever sent it for a new one.")
NOT_THE_SAME = text("This is not the same as the first. Type it twice alike.")
NOT_THE_OLD = text("This is not your present password.")
NOT_THE_PASSWORD = text("This is not your password.")
ROLES = {"household": text("Household"), "support": text("Support desk"), "admin": text("Manages accounts")}
Faults = dict[str, str]  # control -> its fault


def add_routes(server: Flask, services: AuthServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("account", __name__)

    @page.get("/account")
    def show() -> Response:
        return _account(services, _me())

    @page.get("/account/everything.zip")
    def everything() -> Response:
        return _everything(services, _resident(or_visitor=True))

    @page.get("/account/everything")
    def written() -> Response:
        return jsonify(progress(services.store, _resident(or_visitor=True).user_id, request.args.get("of", "")))

    @page.post("/account/password")
    def change_password() -> Response | Answer:
        return _change_password(services, _me())

    @page.post("/sign-out")
    def leave() -> Answer:
        sign_out(services.sessions)
        return redirect("/sign-in", 303)

    @page.post("/sign-out-everywhere")
    def leave_everywhere() -> Answer:
        services.accounts.end_sessions(_me())
        sign_out(services.sessions)
        return redirect("/sign-in", 303)

    @page.get("/invitation/<token>")
    def invitation(token: str) -> Response:
        user = services.accounts.invited(token)
        return _invitation(user, {}) if user else _over()

    @page.post("/invitation/<token>")
    def accept(token: str) -> Response | Answer:
        return _accept(services, token)

    @page.post("/account/erase")
    def erase() -> Response | Answer:
        return _ask_for_erasure(services, _resident())

    @page.post("/account/keep")
    def keep() -> Answer:
        is_kept = take_back(services.store, _resident().household)
        return redirect("/account?done=kept" if is_kept else "/account", 303)

    server.register_blueprint(page)


def _me() -> User:
    user = signed_in()
    assert user, "the guard admits only signed-in users"
    return user


def _account(services: AuthServices, user: User, faults: Faults | None = None, status: int = 200) -> Response:
    """Return the account page of a user."""
    lang, done = reader_language(), request.args.get("done", "")
    due = erasure_due(services.store, user.household) if user.role == HOUSEHOLD else None
    return render(
        "account.html",
        status,
        user=user,
        role=lang.say(ROLES[user.role]),
        faults=faults or {},
        done=done,
        is_demo=user.is_visitor,  # visitors share the account; one must not sign out all others
        wait_days=WAIT_DAYS,
        is_erased_now=user.role == HOUSEHOLD and has_begun(services.store, user.household),
        erased_on=lang.date(datetime.fromtimestamp(due, UTC).date(), "EEEE d MMMM y") if due else "",
    )


def _resident(*, or_visitor: bool = False) -> User:
    """Return the signed-in user, who has a household of their own; visitors of the demo share theirs."""
    user = signed_in()
    if user is None or user.role != HOUSEHOLD or not user.household or (user.is_visitor and not or_visitor):
        abort(404)
    return user


def _everything(services: AuthServices, user: User) -> Response:
    """Stream everything that is kept of the user's household; `of` is the name under which the page follows it."""
    now, store = int(time.time()), services.store
    people, language = services.accounts.everybody(), reader_language()

    def made(tell: Told) -> Iterator[bytes]:
        return export(store, services.audit, user.household, people, now, language, tell)

    pieces = followed(store, user.user_id, request.args.get("of", "")[:40], made)
    name = f"attachment; filename=wattfall-{datetime.fromtimestamp(now, UTC).date().isoformat()}.zip"
    return Response(pieces, mimetype="application/zip", headers={"Content-Disposition": name})


def _refused(services: AuthServices, user: User, control: str, fault: str) -> Response | None:
    """Return the page that refuses the password in a control, with its fault; None where the password is right."""
    wait_s = services.throttle.attempt(user.user_id, request.remote_addr or "")
    if wait_s:
        return _account(services, user, {control: too_soon(wait_s)}, 429)
    if not services.accounts.is_password(user, request.form.get(control, "")):
        return _account(services, user, {control: reader_language().say(fault)}, 403)
    services.throttle.forgive(user.user_id, request.remote_addr or "")
    return None


def _ask_for_erasure(services: AuthServices, user: User) -> Response | Answer:
    """Note the wish, once the password is right; who signs in at a provider has none here."""
    refused = _refused(services, user, "erase", NOT_THE_PASSWORD) if user.password_hash else None
    if refused:
        return refused
    ask_for_erasure(services.store, user.household, int(time.time()))
    return redirect("/account", 303)


def _change_password(services: AuthServices, user: User) -> Response | Answer:
    refused = _refused(services, user, "old", NOT_THE_OLD)
    if refused:
        return refused
    faults = _faults(user)
    if faults:
        return _account(services, user, faults, 422)
    changed = services.accounts.set_password(user, request.form["password"])
    if changed is None:
        return redirect("/account", 303)  # another change came first: signed out or disabled
    sign_in(services.sessions, changed)  # all other sessions of the user have ended
    return redirect("/account?done=password", 303)


def _faults(user: User) -> Faults:
    """Return the faults of the new password in a form."""
    lang, password = reader_language(), request.form.get("password", "")
    fault = password_fault(password, user.email)
    if fault:
        return {"password": lang.say(fault)}
    return {} if password == request.form.get("again", "") else {"again": lang.say(NOT_THE_SAME)}


def _invitation(user: User, faults: Faults) -> Response:
    return render("invitation.html", 422 if faults else 200, user=user, faults=faults)


def _accept(services: AuthServices, token: str) -> Response | Answer:
    user = services.accounts.invited(token)
    if user is None:
        return _over()
    faults = _faults(user)
    if faults:
        return _invitation(user, faults)
    changed = services.accounts.accept(token, request.form["password"])
    if changed is None:
        return _over()
    return admit(services, changed, request.args.get("next"))


def _over() -> Response:
    return notice(404, OVER, OVER_SENTENCE, "/sign-in", text("Sign in"))


# Setup of sign-in


def install(
    server: Flask,
    settings: Settings,
    store: Store,
    passwords: Passwords,
    clock: Callable[[], int] = lambda: int(time.time()),
) -> AuthServices:
    """Add sign-in to a server, before its pages, and return its services. `clock` gives UTC seconds.

    Raises ConfigurationError, see `check`.
    """
    check(settings)
    services = _auth_services(settings, store, passwords, clock)
    if settings.proxies:
        server.wsgi_app = ProxyFix(server.wsgi_app, x_for=settings.proxies, x_proto=1)  # type: ignore[method-assign]
    if settings.url.startswith("https://"):
        _insist_on_https(server)
    sessions.install(server, settings, services.sessions)
    request_guard.install(server, settings.url)
    request_guard.install_error_pages(server)
    sign_in_page.add_routes(server, services)
    if services.mailer:
        sign_in_page.add_mail_routes(server, services, settings)
    add_routes(server, services)
    keys_page.add_routes(server, services)
    second_factor_page.add_routes(server, services)
    claim_page.add_routes(server, services)
    return services


def _insist_on_https(server: Flask) -> None:
    @server.after_request
    def insist(answer: Response) -> Response:
        answer.headers["Strict-Transport-Security"] = f"max-age={365 * DAY_S}"
        return answer


def check(settings: Settings) -> None:
    """Raise ConfigurationError if the settings allow no safe sign-in."""
    if not settings.secret:
        raise ConfigurationError(f"WATTFALL_SECRET is not set, and signs the cookies; {MAKE_ONE}")
    client_of(settings)
    check_mail(settings)


def _auth_services(settings: Settings, store: Store, passwords: Passwords, clock: Callable[[], int]) -> AuthServices:
    accounts = Accounts(store, passwords, clock)

    def user(user_id: str) -> User | None:
        return sign_in_page.user_of(store, user_id) or accounts.user(user_id)

    client, audit = client_of(settings), Audit(store, settings.audit_secrets)
    return AuthServices(
        store,
        accounts,
        Sessions(store, user, clock),
        Throttle(store, clock),
        Provider(client) if client else None,
        audit,
        ApiKeys(store, user, audit, clock),
        SecondFactors(accounts, settings.audit_secrets, clock),
        Mailer(settings) if settings.smtp else None,
    )
