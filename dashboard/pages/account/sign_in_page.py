"""Sign-in: with a password, at an identity provider, or as a visitor of the demo.

A visitor of the demo chooses a household or support, without a password. Demo users are never stored, so they vanish
with the demo's store.
"""

import logging
import time
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Flask, Response, abort, redirect, request, session
from werkzeug.wrappers import Response as Answer

from aggregator.demo.feed import is_demo
from aggregator.settings import Settings
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from dashboard.accounts import mail, oidc
from dashboard.accounts.accounts import Accounts, Throttle
from dashboard.accounts.api_keys import ApiKeys
from dashboard.accounts.mail import Mailer
from dashboard.accounts.second_factor import SecondFactors, needs_one
from dashboard.accounts.sessions import Sessions, sign_in, signed_in
from dashboard.accounts.users import LONGEST_EMAIL, SUPPORT, VISITOR, Busy, User
from dashboard.text.language import text
from dashboard.web.request_guard import safe_redirect, sign_in_url
from dashboard.web.responses import notice, reader_language, render

SUPPORT_CHOICE = "support"
MOST_HOMES = 8
# The content of a home, by the first word of its household's id.
KINDS = {
    "family": text("a family"),
    "solar": text("solar panels"),
    "ev": text("an electric car"),
    "flaky": text("gaps in the data"),
    "flat": text("a small flat"),
    "berlin": text("in Berlin"),
}


def choices(store: Store) -> list[tuple[str, str, str]]:
    """Return the demo's households, each as id, name and kind; empty for a store that is not the demo's."""
    if not is_demo(store):
        return []
    return [
        (device.household, device.name or device.device_id, KINDS.get(device.household.split("-")[0], ""))
        for device in store.devices(limit=MOST_HOMES)
        if device.household and not device.is_second_meter
    ]


def demo_user(store: Store, choice: str) -> User | None:
    """Return the user of a visitor's choice; None for an unknown choice, or a store that is not the demo's."""
    if not is_demo(store):
        return None
    if choice == SUPPORT_CHOICE:
        return User(VISITOR + SUPPORT_CHOICE, "desk@demo.invalid", "Demo Desk", SUPPORT)
    homes = store.household_devices(choice) if choice else []
    home = store.device(homes[0]) if homes else None
    return User(VISITOR + choice, name=home.name, household=choice) if home else None


def user_of(store: Store, user_id: str) -> User | None:
    """Return the demo user of a session, or None."""
    return demo_user(store, user_id.removeprefix(VISITOR)) if user_id.startswith(VISITOR) else None


# The sign-in page

REDIRECT_KEY = "onward"
PENDING = "pending"  # in the session: who has given the password, and not yet the code
CODE, SET_UP = "/sign-in/code", "/sign-in/second-factor"
WRONG = text("The e-mail address and the password do not belong together. Check both and try again.")
NOT_LET_IN = text("You have not been signed in")
NO_ROLE = text(
    "Your account there is not meant for Wattfall, or the sign-in took too long. "
    "Try again; if that does not help, ask whoever manages the accounts."
)
PROVIDER_AWAY = text("The place where you sign in is out of reach for the moment. Try again in a few minutes.")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AuthServices:
    """The collaborators of sign-in."""

    store: Store
    accounts: Accounts
    sessions: Sessions
    throttle: Throttle
    provider: oidc.Provider | None
    audit: Audit
    keys: ApiKeys
    factors: SecondFactors
    mailer: Mailer | None = None  # None without a mail server


def add_routes(server: Flask, services: AuthServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("sign-in", __name__, url_prefix="/sign-in")

    @page.get("")
    def form() -> Response | Answer:
        wanted = safe_redirect(request.args.get("next"))
        return redirect(wanted, 303) if signed_in() else _form(services, wanted)

    @page.post("")
    def check() -> Response | Answer:
        return _check(services, request.form.get("email", "")[:LONGEST_EMAIL], request.form.get("password", ""))

    @page.post("/demo")
    def visit() -> Response | Answer:
        user = demo_user(services.store, request.form.get("choice", ""))
        if user is None:
            abort(404)
        wait_s = services.throttle.visit(request.remote_addr or "")
        return _wait(services, "/", "", wait_s) if wait_s else admit(services, user, request.form.get("next"))

    _add_provider_routes(page, services)
    server.register_blueprint(page)


def _add_provider_routes(page: Blueprint, services: AuthServices) -> None:
    provider = services.provider
    if provider is None:
        return

    @page.get("/provider")
    def leave() -> Response | Answer:
        session[REDIRECT_KEY] = safe_redirect(request.args.get("next"))
        return provider.leave()

    @page.get("/provider/return")
    def returned() -> Response | Answer:
        wanted = session.get(REDIRECT_KEY)
        person = provider.returned()
        user = oidc.user_of(services.store, services.accounts, person)
        if user is None:
            raise oidc.Unfit("the account is disabled")
        return admit(services, user, wanted, has_second=person.has_second_factor)

    @page.errorhandler(oidc.Unfit)
    def unfit(error: oidc.Unfit) -> Response:
        log.warning("sign-in at the provider failed: %.300r", error)  # repr: the text may hold line ends
        return notice(
            403, NOT_LET_IN, NO_ROLE, sign_in_url(safe_redirect(session.get(REDIRECT_KEY))), text("Try again")
        )

    @page.errorhandler(oidc.ProviderAway)
    def away(error: oidc.ProviderAway) -> Response:
        log.warning("the identity provider is unreachable: %.300r", error)
        return notice(
            503, NOT_LET_IN, PROVIDER_AWAY, sign_in_url(safe_redirect(session.get(REDIRECT_KEY))), text("Try again")
        )


def _check(services: AuthServices, email: str, password: str) -> Response | Answer:
    wanted, address = safe_redirect(request.form.get("next")), request.remote_addr or ""
    wait_s = services.throttle.attempt(email, address)
    if wait_s:
        return _wait(services, wanted, email, wait_s)
    try:
        user = services.accounts.check(email, password)
    except Busy:
        services.throttle.withdraw(email, address)
        raise
    if user is None:
        return _form(services, wanted, email, reader_language().say(WRONG), 403)
    services.throttle.forgive(email, address)
    return admit(services, user, wanted)


def _wait(services: AuthServices, wanted: str, email: str, wait_s: int) -> Response:
    answer = _form(services, wanted, email, too_soon(wait_s), 429)
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def too_soon(wait_s: int) -> str:
    """Return the sentence with the time of the next attempt."""
    minutes = -(-wait_s // 60)
    return reader_language().count(
        "There were too many attempts. Try again in {number} minute.",
        "There were too many attempts. Try again in {number} minutes.",
        minutes,
    )


def admit(services: AuthServices, user: User, wanted: object, *, has_second: bool = False) -> Answer:
    """Sign a user in and redirect, or lead on to the second factor.

    A visitor of the demo has no password, and so no second factor.
    """
    if has_second or user.is_visitor or not (user.second_factor or needs_one(user)):
        sign_in(services.sessions, user)
        return redirect(safe_redirect(wanted), 303)
    session.clear()
    session[PENDING] = {
        "user": user.user_id,
        "session_epoch": user.session_epoch,
        "at": int(time.time()),
        "next": safe_redirect(wanted),
    }
    return redirect(CODE if user.second_factor else SET_UP, 303)


def _form(services: AuthServices, wanted: str, email: str = "", fault: str = "", status: int = 200) -> Response:
    return render(
        "sign_in.html",
        status,
        wanted=wanted,
        email=email,
        fault=fault,
        has_provider=services.provider is not None,
        has_mail=services.mailer is not None,
        homes=choices(services.store),
    )


# A forgotten password: the answer is the same whether or not there is an account

FORGOTTEN = "/sign-in/forgotten"
SENT = text("Look into your mail")
SENT_SENTENCE = text(
    "If there is an account of this address, a link to a new password is on its way. It works once, for an hour."
)


def add_mail_routes(server: Flask, services: AuthServices, settings: Settings) -> None:
    """Add the routes to a server that can send mail."""
    server.add_url_rule(FORGOTTEN, "forgotten", _forgotten_form)
    server.add_url_rule(FORGOTTEN, "send_link", partial(_send_link, services, settings), methods=["POST"])


def _forgotten_form(email: str = "", fault: str = "", status: int = 200) -> Response:
    return render("forgotten.html", status, email=email, fault=fault)


def _send_link(services: AuthServices, settings: Settings) -> Response:
    email = request.form.get("email", "")[:LONGEST_EMAIL].strip()
    wait_s = services.throttle.asks_for_mail(request.remote_addr or "")
    if wait_s:
        answer = _forgotten_form(email, too_soon(wait_s), 429)
        answer.headers["Retry-After"] = str(wait_s)
        return answer
    if services.mailer and services.throttle.may_get_mail(email):
        services.mailer.put(partial(mail.reset, settings, services.accounts, email, reader_language()))
    return notice(200, SENT, SENT_SENTENCE, "/sign-in", text("Sign in"))
