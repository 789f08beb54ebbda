"""The guard before every address: it admits signed-in users, and everybody to the few public addresses.

This is the second lock. The first is `accounts/access.py`, which decides which device a user may see.

The module also holds:
- `safe_redirect`: the address after sign-in, always one of this site.
- CSRF tokens: a form must come from a page of this site and carry its session's token. A signed-out session has a token
  too; otherwise another site could sign its visitors in here under its own account.
- Form limits: the origin and the size of a body.
- Error pages: they tell the user what to do, and nothing about the inside.
"""

import logging
import re
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from hmac import compare_digest
from typing import Any
from urllib.parse import quote, urlsplit

from dash.exceptions import DependencyException
from flask import Flask, Request, Response, make_response, redirect, request, session
from jinja2 import StrictUndefined
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import StoreAway, StoreReplaced, StoreUnusable
from aggregator.intake.ingest_endpoint import PATH as INGEST_PATH
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import Busy
from dashboard.text.language import text
from dashboard.web.responses import API, CALLBACKS, notice, problem

LONGEST = 1024
# One slash and then no second one: browsers take `//` and `/\` for another site. Browsers also drop spaces and control
# characters, so an address with these may hide a second slash.
_OWN = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def safe_redirect(address: object) -> str:
    """Return `address` if it is one of this site, else the start page."""
    is_own = isinstance(address, str) and len(address) <= LONGEST and _OWN.fullmatch(address)
    return str(address) if is_own and not str(address).startswith(("/sign-", "/_")) else "/"


def sign_in_url(address: str) -> str:
    """Return the address of the sign-in page that leads on to `address`."""
    wanted = safe_redirect(address)
    return "/sign-in" if wanted == "/" else f"/sign-in?next={quote(wanted, safe='/')}"


# CSRF tokens

FIELD = "csrf"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORMS = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})


def install_csrf(server: Flask) -> None:
    """Give templates `csrf()`, which returns the token."""
    server.jinja_env.globals[FIELD] = token


def token() -> str:
    """Return the token of the current session."""
    held = session.get(FIELD)
    if not isinstance(held, str):
        held = session[FIELD] = secrets.token_urlsafe(24)
    return held


def token_for(address: str) -> str:
    """Return the token of the current session for one address alone, in which it stands."""
    return sha256(f"{token()} {address}".encode()).hexdigest()[:32]


def is_form(request: Request) -> bool:
    """Whether a form of any site could send this request. Other types need CORS permission, which no site has."""
    return request.method not in SAFE and request.mimetype in FORMS


def knows_token(request: Request) -> bool:
    """Whether a form carries the token of its session."""
    held = session.get(FIELD)
    if not isinstance(held, str):
        return False
    is_upload = request.endpoint in UPLOADS
    wanted, sent = (token_for(request.path), request.args) if is_upload else (held, request.form)
    return compare_digest(wanted.encode(), sent.get(FIELD, "").encode(errors="replace"))


# Form limits

UPLOADS = frozenset({"history.upload"})  # endpoints that read their body last, so the token stands in the address
SLOWEST = 100_000  # bytes a second of a sender
MOST_BYTES = 256 * 1024  # bytes of the longest form
FOREIGN = text("This was not sent from a page of Wattfall, so nothing has been changed. Open the page and try again.")
TOO_MUCH = text("This is more than Wattfall takes at once, so nothing has been changed.")


def admit_body(request: Request, most: int) -> None:
    """Let a body of up to `most` bytes in, and give it time. Call it after all that may refuse the request."""
    request.max_content_length = most
    connection: Any = request.environ.get("gunicorn.socket")
    if hasattr(connection, "received_by"):
        connection.received_by += min(request.content_length or most, most) / SLOWEST


def is_ours(request: Request, url: str = "") -> bool:
    """Whether a page of this site sent the form, by Sec-Fetch-Site or else by Origin.

    `url` is the public address; behind a proxy the host differs. Browsers send no Sec-Fetch-Site without https. A
    request with neither header comes from no form.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    try:
        origin = urlsplit(request.headers.get("Origin", "")).netloc
    except ValueError:  # such as http://[
        return False
    return bool(origin) and origin in (request.host, urlsplit(url).netloc)  # a malformed origin has no netloc


# The guard

FILES = ("/assets/", "/_dash-component-suites/")  # the same for every user
PUBLIC = (*FILES, "/sign-in/", "/invitation/")  # these and their subpaths
SAME_FOR_ALL = frozenset({"/health", "/ready", "/metrics", "/_favicon.ico"})  # for every user; /metrics wants a token
PUBLIC_PAGES = SAME_FOR_ALL | {"/api", "/sign-in"}
ANY_PATH = "/<path:path>"  # Dash's own page, at every address that is nothing else
# Endpoints that answer even while the store is unreachable: Dash's page holds no data, and callbacks and the tariff
# form show the fault themselves beside the present content.
PATIENT = frozenset({CALLBACKS, "/", ANY_PATH, "/_dash-layout", "/_dash-dependencies", "tariff.act"})
DATA = (".json", ".csv")
STALE = text("This page was open for too long, or you have signed in or out meanwhile. Open it again and try again.")
UNCHANGED = text("Nothing has been changed")
SIGNED_OUT = "You are signed out; sign in and try again\n"


def install(server: Flask, url: str) -> None:
    """Put the guard before every address. `url` is the public address, empty if there is none."""
    server.jinja_env.undefined = StrictUndefined
    install_csrf(server)

    @server.before_request
    def pass_or_stop() -> Response | Answer | None:
        if is_free(request) or request.path.startswith(API):  # the API asks for a key or a session itself
            return None
        return _foreign(url) or _signed_out()


def is_free(request: Request) -> bool:
    """Whether a request needs no session: a file, or a device's, which its token protects; no browser sends that."""
    is_file = request.path in SAME_FOR_ALL or request.path.startswith(FILES)
    return (is_file and request.method in SAFE) or (request.path == INGEST_PATH and request.method == "POST")


def is_public(path: str) -> bool:
    """Whether everybody may see an address."""
    return path in PUBLIC_PAGES or path.startswith(PUBLIC)


def _foreign(url: str) -> Response | None:
    """Return the refusal of a request that no page of ours sent, else None."""
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
    """Return the answer to a signed-out user, or None if the address needs no session."""
    if is_public(request.path):
        return _answer(404) if request.endpoint == ANY_PATH else None
    try:
        if signed_in():
            return None
    except StoreAway:
        if request.endpoint in PATIENT:
            return None
        raise
    if _is_page(request):
        wanted = request.full_path.rstrip("?") if request.method in SAFE else "/"  # a POST address cannot be opened
        return redirect(sign_in_url(wanted), 303)
    answer = make_response(SIGNED_OUT, 401)
    answer.mimetype = "text/plain"
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def _is_page(request: Request) -> bool:
    """Whether the answer is for a person, not a program."""
    return not request.path.startswith("/_") and not request.path.endswith(DATA)


# Error pages

RETRY_S = 5
AWAY = (text("The data is out of reach for the moment"), text("Try again in a few seconds."))
FAULT = (text("Something went wrong here"), text("The fault has been logged. Trying again may help."))
DAMAGED = text("What is stored here is damaged, so it is not shown. The fault has been logged.")
SENTENCES = {
    400: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    403: (text("This is not for you to see"), text("Your account does not allow it.")),
    404: (text("There is no page at this address"), text("The link may be old, or cut short.")),
    405: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    413: (text("Nothing has been changed"), TOO_MUCH),
    429: (text("This was too much at once"), text("Try again in a minute.")),
    500: FAULT,
    503: AWAY,
}

log = logging.getLogger(__name__)


def install_error_pages(server: Flask) -> None:
    """Answer every error with a page of ours, and limit the size of every body."""
    server.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    server.template_folder = "web/templates"

    @server.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response | HTTPException:
        return error if error.response is not None else _answer(error.code or 500)  # a redirect stays one

    @server.errorhandler(DependencyException)
    def unknown(_: DependencyException) -> Response:
        return _answer(404)  # an unknown script of Dash; Dash raises a fault for it

    @server.errorhandler(StoreAway)
    @server.errorhandler(Busy)
    def away(error: Exception) -> Response:
        log.warning("request not answered: %s", error)
        answer = _answer(503)
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    @server.errorhandler(StoreUnusable)
    def damaged(error: StoreUnusable) -> Response:
        log.error("request not answered: %s", error)
        return _answer(500, (FAULT[0], DAMAGED))

    @server.errorhandler(StoreReplaced)
    def replaced(_: StoreReplaced) -> Response:
        return _answer(503)  # the first process says why, and ends this one


def too_much_answer(wait_s: int) -> Response:
    """Return the answer to somebody who asked for too much, with the seconds until the next request."""
    answer = _answer(429)
    answer.headers["Retry-After"] = str(wait_s)
    if request.method == "GET":
        answer.headers["Refresh"] = str(wait_s)  # a page that watches its work goes on
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def install_callback_check(server: Flask, callbacks: Mapping[str, Any]) -> None:
    """Answer a malformed callback with 400 and one line in the log; Dash would raise. Call it after `install`."""

    @cache
    def own(output: str) -> tuple[object, object]:
        return _names(callbacks[output]["inputs"]), _names(callbacks[output]["state"])

    @server.before_request
    def check() -> Response | None:
        if request.path != CALLBACKS or request.method in SAFE:
            return None
        try:
            body = request.get_json()
        except (HTTPException, RecursionError):
            body = None
        if _fits(body, callbacks, own):
            return None
        log.warning("a malformed callback was refused: %.200r", request.get_data(cache=True)[:100])
        return _answer(400)


def _fits(body: object, callbacks: Mapping[str, Any], own: Callable[[str], tuple[object, object]]) -> bool:
    """Whether a callback has the output, the inputs and the state of one of the app."""
    if not isinstance(body, dict) or not isinstance(body.get("output"), str) or body["output"] not in callbacks:
        return False
    changed = body.get("changedPropIds", [])
    are_named = isinstance(changed, list) and all(isinstance(one, str) for one in changed)
    outputs = [".".join(one) for one in _names(body.get("outputs")) or []]
    is_its_own = body["output"] in (outputs[0] if len(outputs) == 1 else "", f"..{'...'.join(outputs)}..")
    fits = (_names(body.get("inputs", [])), _names(body.get("state", []))) == own(body["output"])
    return are_named and is_its_own and fits


def _names(parts: object) -> list[tuple[str, str]] | None:
    """Return id and property of each part of a callback; None for something else."""
    listed = parts if isinstance(parts, list) else [parts]
    named = [
        (one["id"], one["property"])
        for one in listed
        if isinstance(one, dict) and isinstance(one.get("id"), str) and isinstance(one.get("property"), str)
    ]
    return named if len(named) == len(listed) else None


def _answer(code: int, said: tuple[str, str] | None = None) -> Response:
    heading, sentence = said or SENTENCES.get(code, FAULT if code >= 500 else SENTENCES[400])
    if request.path.startswith("/_"):
        return Response(f"{sentence}\n", code, mimetype="text/plain")
    if request.path.startswith(API):
        return problem(code, sentence)
    own = (safe_redirect(request.full_path.rstrip("?")), text("Try again"))
    return notice(code, heading, sentence, *(own if code >= 429 and request.method == "GET" else ()))
