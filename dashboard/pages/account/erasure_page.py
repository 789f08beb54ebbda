"""The part of the account page where a household has everything of it erased: after a wait, with one click back.

The worker carries it out. Everybody of the household sees the day, and anybody of it may keep the data.
"""

import time
from datetime import UTC, date, datetime

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.erasure.erasure_requests import WAIT_DAYS, ask_for_erasure, erasure_due, has_begun, take_back
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import HOUSEHOLD, User
from dashboard.pages.account.sign_in_page import AuthServices, too_soon
from dashboard.text.language import text
from dashboard.web.responses import reader_language, render

ROLES = {"household": text("Household"), "support": text("Support desk"), "admin": text("Manages accounts")}
NOT_THE_PASSWORD = text("This is not your password.")
Faults = dict[str, str]  # control -> its fault


def add_routes(page: Blueprint, services: AuthServices) -> None:
    """Add the routes to the pages of an account."""

    @page.post("/account/erase")
    def erase() -> Response | Answer:
        return _ask(services, _resident())

    @page.post("/account/keep")
    def keep() -> Answer:
        is_kept = take_back(services.store, _resident().household)
        return redirect("/account?done=kept" if is_kept else "/account", 303)


def account(services: AuthServices, user: User, faults: Faults | None = None, status: int = 200) -> Response:
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
        erased_on=lang.date(_day(due), "EEEE d MMMM y") if due else "",
    )


def _day(at: int) -> date:
    return datetime.fromtimestamp(at, UTC).date()


def _resident() -> User:
    """Return the signed-in user, who has a household of their own; visitors of the demo share theirs."""
    user = signed_in()
    if user is None or user.role != HOUSEHOLD or not user.household or user.is_visitor:
        abort(404)
    return user


def _ask(services: AuthServices, user: User) -> Response | Answer:
    """Note the wish, once the password is right; who signs in at a provider has none here."""
    if user.password_hash:
        wait_s = services.throttle.attempt(user.user_id, request.remote_addr or "")
        if wait_s:
            return account(services, user, {"erase": too_soon(wait_s)}, 429)
        if not services.accounts.is_password(user, request.form.get("erase", "")):
            return account(services, user, {"erase": reader_language().say(NOT_THE_PASSWORD)}, 403)
        services.throttle.forgive(user.user_id, request.remote_addr or "")
    ask_for_erasure(services.store, user.household, int(time.time()))
    return redirect("/account", 303)
