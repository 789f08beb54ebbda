"""A household takes a meter at `/account/claim`: it enters the code, and proves that the meter is in its home.

The session holds the hash of the code alone. A wrong code, an old one and that of another person's claim get the
same answer. Codes are throttled for each account and address, the digits of a meter's number also for each device.
"""

import secrets
from dataclasses import replace

from flask import Blueprint, Flask, Response, abort, redirect, request, session
from werkzeug.wrappers import Response as Answer

from aggregator.intake import claims
from aggregator.intake.claims import Claim, NotFree
from aggregator.support.actions import record_device
from aggregator.support.audit import Who
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import HOUSEHOLD, User
from dashboard.pages.account.sign_in_page import AuthServices, too_soon
from dashboard.text.language import text
from dashboard.web.responses import reader_language, render

HELD = "claim"  # in the session: the hash of a code
LOOK_S = 4  # between two looks at the power
LONGEST = 64  # characters of a code
PAGE = "/account/claim"
WRONG = text("This code is not valid. Check it, or ask whoever gave it to you for a new one.")
TAKEN = text("This meter belongs to a household. Whoever runs Wattfall must move it out before you can take it.")
WRONG_DIGITS = text("These are not the last four digits of the meter’s number. Look at the meter, or at a bill.")
REASON = "claimed with a code"


def add_routes(server: Flask, services: AuthServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("claim", __name__, url_prefix=PAGE)

    @page.get("")
    def state() -> Response:
        return _state(services, _member())

    @page.post("")
    def enter() -> Response | Answer:
        return _enter(services, _member())

    @page.post("/again")
    def again() -> Answer:
        user = _member()
        claim = _claim(services, user)
        if claim is None or claims.begin(services.store, claim, user.user_id, services.keys.clock()) is None:
            session.pop(HELD, None)
        return redirect(PAGE, 303)

    @page.post("/number")
    def number() -> Response | Answer:
        return _number(services, _member())

    @page.post("/take")
    def take() -> Response | Answer:
        return _take(services, _member())

    server.register_blueprint(page)


def _member() -> User:
    """Return the person who may claim. Aborts with 404 for staff and visitors, as at a missing page."""
    user = signed_in()
    if user is None or user.role != HOUSEHOLD or user.is_visitor:
        abort(404)
    return user


def _claim(services: AuthServices, user: User) -> Claim | None:
    """Return the claim that this person has begun in this session, or None."""
    claim = claims.load_claim(services.store, str(session.get(HELD, "")), services.keys.clock())
    return claim if claim and claim.user_id == user.user_id else None


def _state(services: AuthServices, user: User) -> Response:
    claim, now = _claim(services, user), services.keys.clock()
    way = claims.way(services.store, claim, now) if claim else ""
    if claim and way == claims.LIVE:
        claim = claims.look(services.store, claim, now)
    if claim is None:
        return _page("code")
    if claim.is_proven:
        return _page("proven")
    if way == claims.LIVE and now > claim.began + claims.WINDOW_S:
        return _page("late")
    answer = _page(way or "wait", tries=claims.tries_left(claim))
    if way == claims.LIVE:
        answer.headers["Refresh"] = str(LOOK_S)
    return answer


def _enter(services: AuthServices, user: User) -> Response | Answer:
    account, address = f"claim {user.user_id}", request.remote_addr or ""
    wait_s = services.throttle.attempt(account, address)
    if wait_s:
        return _too_soon("code", wait_s)
    now = services.keys.clock()
    claim = claims.find_code(services.store, request.form.get("code", "")[:LONGEST], now)
    device = services.store.device(claim.device_id) if claim else None
    if claim is None or device is None:
        return _page("code", fault=WRONG, status=403)
    services.throttle.forgive(account, address)
    try:
        claims.check_free(device, now)
    except NotFree:
        return _page("code", fault=TAKEN, status=409)
    if claims.begin(services.store, claim, user.user_id, now) is None:
        return _page("code", fault=WRONG, status=403)
    session[HELD] = claim.hashed
    return redirect(PAGE, 303)


def _number(services: AuthServices, user: User) -> Response | Answer:
    claim = _claim(services, user)
    if claim is None or claims.way(services.store, claim, services.keys.clock()) != claims.NUMBER:
        return redirect(PAGE, 303)  # where live power comes, it alone proves
    wait_s = services.throttle.attempt(f"claim of {claim.device_id}", request.remote_addr or "")
    if wait_s:
        return _too_soon(claims.NUMBER, wait_s)
    told = claims.tell_number(services.store, claim, request.form.get("digits", "")[:LONGEST])
    if told and told.is_proven:
        return redirect(PAGE, 303)
    if told is None or not claims.tries_left(told):
        session.pop(HELD, None)
        return _page("code", fault=WRONG, status=403)
    return _page(claims.NUMBER, fault=WRONG_DIGITS, status=403, tries=claims.tries_left(told))


def _take(services: AuthServices, user: User) -> Response | Answer:
    claim, now = _claim(services, user), services.keys.clock()
    if claim is None or not claim.is_proven:
        return redirect(PAGE, 303)
    household = _household(services, user)
    try:
        before, after = claims.occupied(services.store, claim, household, now)
        who = Who(user.user_id, user.email, user.role, user.name)
        record_device(services.audit, who, before, after, REASON, now)
        claims.occupy(services.store, claim, after)
    except NotFree:
        session.pop(HELD, None)
        return _page("code", fault=TAKEN, status=409)
    session.pop(HELD, None)
    return redirect("/", 303)


def _household(services: AuthServices, user: User) -> str:
    """Return the household of a person who takes a meter, and store a new one first where there is none.

    Stored later, it would be lost with the meter in it where the claim is cut off, or where two end at once.
    """
    new = f"home-{secrets.token_hex(4)}"

    def housed(one: User) -> User:
        return replace(one, household=one.household or new) if one.role == HOUSEHOLD else one

    changed = services.accounts.change(user, housed)
    return changed.household if changed and changed.household else abort(404)


def _too_soon(step: str, wait_s: int) -> Response:
    answer = _page(step, status=429, said=too_soon(wait_s))
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def _page(step: str, *, fault: str = "", said: str = "", status: int = 200, tries: int = 0) -> Response:
    lang = reader_language()
    told = said or (lang.say(fault) if fault else "")
    return render("account_claim.html", status, step=step, fault=told, tries=tries, minutes=claims.WINDOW_S // 60)
