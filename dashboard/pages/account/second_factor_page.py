"""The second factor at sign-in and in the account: its code, its set-up with a QR code, its recovery codes.

Between the password and the code a browser is not signed in: its signed cookie says who gave the password, and when.
"""

import io
import time

import segno
from flask import Blueprint, Flask, Response, redirect, request, session
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from dashboard.accounts.second_factor import app_address, factor_of, needs_one, new_nonce
from dashboard.accounts.sessions import sign_in, signed_in
from dashboard.accounts.users import User
from dashboard.pages.account.sign_in_page import CODE, PENDING, SET_UP, AuthServices, too_soon
from dashboard.text.language import text
from dashboard.web.request_guard import safe_redirect
from dashboard.web.responses import reader_language, render

ACCOUNT = "/account/second-factor"
PENDING_S = 600  # between password and code
_NONCE, _RENEWS = "nonce", "renews"  # in the session: of the key that is being set up; an old one is to be replaced
WRONG_CODE = text("This code is not right, or it has been used. Wait for the next one and try again.")


def add_routes(server: Flask, services: AuthServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("second-factor", __name__)

    @page.get(CODE)
    def code() -> Response | Answer:
        return render("code.html", fault="") if _pending(services) else redirect("/sign-in", 303)

    @page.post(CODE)
    def check() -> Response | Answer:
        return _check(services)

    @page.get(SET_UP)
    def begin() -> Response | Answer:
        user = _pending(services)
        return _set_up_form(services, user) if user and not user.second_factor else redirect("/sign-in", 303)

    @page.post(SET_UP)
    def finish() -> Response | Answer:
        user = _pending(services)
        if not user or user.second_factor:
            return redirect("/sign-in", 303)
        return _set_up(services, user, wanted=safe_redirect(session[PENDING]["next"]))

    @page.get(ACCOUNT)
    def state() -> Response:
        user = _me()
        has_app = user.second_factor and not session.get(_RENEWS)
        return _state(user) if has_app else _set_up_form(services, user)

    @page.post(ACCOUNT)
    def change() -> Response | Answer:
        return _change(services, _me())

    server.register_blueprint(page)


def _me() -> User:
    user = signed_in()
    assert user, "the guard admits only signed-in users"
    return user


def _pending(services: AuthServices) -> User | None:
    """Return who has given the password in this browser, and not yet the code."""
    kept = session.get(PENDING)
    if not kept or time.time() > kept["at"] + PENDING_S:
        return None
    user = services.accounts.user(kept["user"])
    return user if user and not user.is_disabled and user.session_epoch == kept["session_epoch"] else None


def _accepted(services: AuthServices, user: User) -> str:
    """Check the code in a form; return the fault, empty for a right one."""
    lang, account, address = reader_language(), f"code-{user.user_id}", request.remote_addr or ""
    wait_s = services.throttle.attempt(account, address)
    if wait_s:
        return too_soon(wait_s)
    if not services.factors.accept(user, request.form.get("code", "")[:40]):
        return lang.say(WRONG_CODE)
    services.throttle.forgive(account, address)
    return ""


def _check(services: AuthServices) -> Response | Answer:
    user = _pending(services)
    if not user:
        return redirect("/sign-in", 303)
    wanted, fault = safe_redirect(session[PENDING]["next"]), _accepted(services, user)
    if fault:
        return render("code.html", 403, fault=fault)
    sign_in(services.sessions, user)
    return redirect(wanted, 303)


# Set-up


def _set_up_form(services: AuthServices, user: User, fault: str = "") -> Response:
    nonce = session.get(_NONCE)
    if not isinstance(nonce, str):
        nonce = session[_NONCE] = new_nonce()
    key = services.factors.key(user, nonce)
    picture = io.BytesIO()
    segno.make(app_address(key, user), micro=False).save(
        picture, kind="svg", xmldecl=False, svgns=True, border=4, light="#fff", omitsize=True
    )
    return render(
        "second_factor.html",
        422 if fault else 200,
        picture=Markup(picture.getvalue().decode()),  # noqa: S704 - segno's own
        key=" ".join(key[at : at + 4] for at in range(0, len(key), 4)),
        fault=fault,
        is_needed=needs_one(user),
        is_signed_in=signed_in() is not None,
    )


def _set_up(services: AuthServices, user: User, wanted: str) -> Response:
    nonce = session.get(_NONCE)
    made = services.factors.set_up(user, nonce, request.form.get("code", "")[:40]) if nonce else None
    if made is None:
        return _set_up_form(services, user, reader_language().say(WRONG_CODE))
    changed, codes = made
    sign_in(services.sessions, changed)  # all other sessions of the user have ended
    return render("recovery_codes.html", codes=codes, wanted=wanted)


# In the account


def _state(user: User, fault: str = "", status: int = 200) -> Response:
    factor = factor_of(user)
    left = len(factor.recovery) if factor else 0
    return render("second_factor_on.html", status, left=left, is_needed=needs_one(user), fault=fault)


def _change(services: AuthServices, user: User) -> Response | Answer:
    action = request.form.get("action", "")
    if not user.second_factor or session.get(_RENEWS):
        return _set_up(services, user, wanted="/account")
    fault = _accepted(services, user)
    if fault:
        return _state(user, fault, 403)
    if action == "remove" and not needs_one(user):
        changed = services.factors.remove(user)
        if changed:
            sign_in(services.sessions, changed)
        return redirect("/account", 303)
    session[_RENEWS] = True
    session.pop(_NONCE, None)
    return redirect(ACCOUNT, 303)
