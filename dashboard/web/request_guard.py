"""The gate before every address: nothing is answered to whoever is signed out, but for the few addresses named here.

What a page may then show of which device, `access` decides; this is the second lock, not the first.
"""

from flask import Flask, Request, Response, make_response, redirect, request
from jinja2 import StrictUndefined
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import StoreAway
from dashboard.accounts.sessions import signed_in
from dashboard.text.language import text
from dashboard.web import csrf, form_guard, ingest_endpoint
from dashboard.web.render import notice
from dashboard.web.safe_redirect import onward, sign_in_url

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
    csrf.install(server)

    @server.before_request
    def pass_or_stop() -> Response | Answer | None:
        if (request.path in SAME_FOR_ALL or request.path.startswith(FILES)) and request.method in csrf.SAFE:
            return None  # no session is looked up, and none is begun
        if request.path == ingest_endpoint.PATH and request.method == "POST":
            return None  # a device's token opens it, which no browser sends by itself
        return _foreign(url) or _signed_out()


def is_public(path: str) -> bool:
    """Whether an address is answered to whoever asks."""
    return path in PUBLIC_PAGES or path.startswith(PUBLIC)


def _foreign(url: str) -> Response | None:
    """The answer to what was not sent from a page of ours."""
    if request.method in csrf.SAFE:
        return None
    if not form_guard.is_ours(request, url):
        return _refusal(form_guard.FOREIGN)
    if csrf.is_form(request) and not csrf.knows_token(request):
        return _refusal(STALE)
    return None


def _refusal(sentence: str) -> Response:
    if request.path == CALLBACKS:
        return make_response("This was not sent from a page of Wattfall\n", 403)
    return notice(403, UNCHANGED, sentence, onward(request.path) if _is_page(request) else "/")


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
        wanted = request.full_path.rstrip("?") if request.method in csrf.SAFE else "/"  # a form cannot be opened
        return redirect(sign_in_url(wanted), 303)
    answer = make_response(SIGNED_OUT, 401)
    answer.mimetype = "text/plain"
    answer.headers["Cache-Control"] = "no-store, private"
    return answer


def _is_page(request: Request) -> bool:
    """Whether a person would look at the answer, not a program."""
    return not request.path.startswith("/_") and not request.path.endswith(DATA)
