"""The gate before every address: nothing is answered to whoever is signed out, but for the few addresses named here.

What a page may then show of which device, `access` decides; this is the second lock, not the first.

Where somebody goes on after signing in: an address of this site, whatever the link said. Pure.

Whether a form was meant by whoever sent it: it comes from a page of this site, and knows that page's token.

The token lives as long as the session, that of somebody who is still signed out included: the form to sign in has one,
or another site could sign its visitors in here under an account of its own.

What is taken from a form: only from our own pages, and not without measure.

What is said when something goes wrong: that, and no word about the inside.
"""

import logging
import re
import secrets
from hmac import compare_digest
from urllib.parse import quote, urlsplit

from dash.exceptions import DependencyException
from flask import Flask, Request, Response, make_response, redirect, request, session
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import StoreAway
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import Busy
from dashboard.text.language import text
from dashboard.web import ingest_endpoint
from dashboard.web.responses import notice

LONGEST = 1024
# One slash, and then no second, which a browser takes for another site, as it does a backslash; spaces and control
# characters it leaves out, so that what seems harmless with them is not without.
_OWN = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def safe_redirect(address: object) -> str:
    """An address of this site as it is; the start page instead of anything else."""
    is_own = isinstance(address, str) and len(address) <= LONGEST and _OWN.fullmatch(address)
    return str(address) if is_own and not str(address).startswith(("/sign-", "/_")) else "/"


def sign_in_url(address: str) -> str:
    """Where to sign in, to go on at an address."""
    wanted = safe_redirect(address)
    return "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='/')}"


# csrf

FIELD = "csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


def install_csrf(server: Flask) -> None:
    """Let templates put the token into their forms, by `csrf()`."""
    server.jinja_env.globals[FIELD] = token


def token() -> str:
    """The token of the session at hand."""
    held = session.get(FIELD)
    if not isinstance(held, str):
        held = session[FIELD] = secrets.token_urlsafe(24)
    return held


def is_form(request: Request) -> bool:
    """Whether a request could be sent by a form of any site; others need leave, which no other site has."""
    return request.method not in SAFE and request.mimetype in FORMS


def knows_token(request: Request) -> bool:
    """Whether a form brings the token of its session."""
    held, sent = session.get(FIELD), request.form.get(FIELD, "")
    return isinstance(held, str) and compare_digest(held.encode(), sent.encode())


# form guard

MOST_BYTES = 256 * 1024  # what the longest form can hold
FOREIGN = text("This was not sent from a page of Wattfall, so nothing has been changed. Open the page and try again.")
TOO_MUCH = text("This is more than Wattfall takes at once, so nothing has been changed.")


def is_ours(request: Request, url: str = "") -> bool:
    """Whether a page of this site sent the form: by the browser's own word, or else by the origin that it names.

    `url` is the public address, for a proxy that calls us by another name.

    Browsers leave Sec-Fetch-Site out where there is no https; a request with neither comes from no form.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("Origin", "")).netloc
    except ValueError:  # such as http://[
        return False
    return bool(origin) and origin in (request.host, urlsplit(url).netloc)  # the host is empty where it cannot be one


# request guard

PUBLIC = ("/assets/", "/_dash-component-suites/", "/sign-in/", "/invitation/")  # and what lies beneath
PUBLIC_PAGES = frozenset({"/health", "/sign-in", "/_favicon.ico"})
FILES = ("/assets/", "/_dash-component-suites/")  # the same for everybody
SAME_FOR_ALL = frozenset({"/health", "/_favicon.ico"})  # likewise
CALLBACKS = "/_dash-update-component"
# Endpoints that wait for a store that is away: Dash's page holds no data, and its callbacks and a form that was typed
# say themselves what is wrong, beside what is on the screen.
PATIENT = frozenset({CALLBACKS, "/", "/<path:path>", "/_dash-layout", "/_dash-dependencies", "tariff.act"})
DATA = (".json", ".csv")
STALE = text("This page was open for too long, or you have signed in or out meanwhile. Open it again and try again.")
UNCHANGED = text("Nothing has been changed")
SIGNED_OUT = "You are signed out; sign in and try again\n"


def install(server: Flask, url: str) -> None:
    """Put the gate before every address. `url` is the public address, empty when there is none."""
    server.jinja_env.undefined = StrictUndefined
    install_csrf(server)

    @server.before_request
    def pass_or_stop() -> Response | Answer | None:
        if (request.path in SAME_FOR_ALL or request.path.startswith(FILES)) and request.method in SAFE:
            return None  # no session is looked up, and none is begun
        if request.path == ingest_endpoint.PATH and request.method == "POST":
            return None  # a device's token opens it, which no browser sends by itself
        return _foreign(url) or _signed_out()


def is_public(path: str) -> bool:
    """Whether an address is answered to whoever asks."""
    return path in PUBLIC_PAGES or path.startswith(PUBLIC)


def _foreign(url: str) -> Response | None:
    """The answer to what was not sent from a page of ours."""
    if request.method in SAFE:
        return None
    if not is_ours(request, url):
        return _refusal(FOREIGN)
    if is_form(request) and not knows_token(request):
        return _refusal(STALE)
    return None


def _refusal(sentence: str) -> Response:
    if request.path == CALLBACKS:
        return make_response("This was not sent from a page of Wattfall\n", 403)
    return notice(403, UNCHANGED, sentence, safe_redirect(request.path) if _is_page(request) else "/")


def _signed_out() -> Response | Answer | None:
    """The answer to whoever is signed out, where that matters."""
    if is_public(request.path):
        return None
    try:
        if signed_in():
            return None
    except StoreAway:
        if request.endpoint in PATIENT:
            return None
        raise
    if _is_page(request):
        wanted = request.full_path.rstrip("?") if request.method in SAFE else "/"  # a form cannot be opened
        return redirect(sign_in_url(wanted), 303)
    answer = make_response(SIGNED_OUT, 401)
    answer.mimetype = "text/plain"
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def _is_page(request: Request) -> bool:
    """Whether a person would look at the answer, not a program."""
    return not request.path.startswith("/_") and not request.path.endswith(DATA)


# error pages

RETRY_S = 5
AWAY = (text("The data is out of reach for the moment"), text("Try again in a few seconds."))
FAULT = (text("Something went wrong here"), text("The fault has been logged. Trying again may help."))
SENTENCES = {
    400: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    403: (text("This is not for you to see"), text("Your account does not allow it.")),
    404: (text("There is no page at this address"), text("The link may be old, or cut short.")),
    405: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    413: (text("Nothing has been changed"), TOO_MUCH),
    500: FAULT,
    503: AWAY,
}

log = logging.getLogger(__name__)


def install_error_pages(server: Flask) -> None:
    """Answer every error with a page of ours, and take no more from anybody than a page can send."""
    server.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    server.template_folder = "web/templates"

    @server.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response | HTTPException:
        return error if error.response is not None else _answer(error.code or 500)  # a redirect stays one

    @server.errorhandler(DependencyException)
    def unknown(_: DependencyException) -> Response:
        return _answer(404)  # a script that Dash does not have; to Dash a fault

    @server.errorhandler(StoreAway)
    @server.errorhandler(Busy)
    def away(error: Exception) -> Response:
        log.warning("not answered: %s", error)
        answer = _answer(503)
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer


def _answer(code: int) -> Response:
    heading, sentence = SENTENCES.get(code, FAULT if code >= 500 else SENTENCES[400])
    if request.path.startswith("/_"):
        return Response(f"{sentence}\n", code, mimetype="text/plain")
    return notice(code, heading, sentence)
