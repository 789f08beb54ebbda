"""What is said when something goes wrong: that, and no word about the inside."""

import logging

from dash.exceptions import DependencyException
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from aggregator.core.errors import StoreAway
from dashboard.accounts.passwords import Busy
from dashboard.text.language import text
from dashboard.web import form_guard
from dashboard.web.render import notice

MOST_BYTES = form_guard.MOST_BYTES
RETRY_S = 5
AWAY = (text("The data is out of reach for the moment"), text("Try again in a few seconds."))
FAULT = (text("Something went wrong here"), text("The fault has been logged. Trying again may help."))
SENTENCES = {
    400: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    403: (text("This is not for you to see"), text("Your account does not allow it.")),
    404: (text("There is no page at this address"), text("The link may be old, or cut short.")),
    405: (text("This cannot be answered"), text("The address or what was sent with it makes no sense here.")),
    413: (text("Nothing has been changed"), form_guard.TOO_MUCH),
    500: FAULT,
    503: AWAY,
}

log = logging.getLogger(__name__)


def install(server: Flask) -> None:
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
