"""The route of `POST /ingest` in a web server; `aggregator.intake.ingest_endpoint` answers.

Flask reads the body: its length is checked before, and a body that breaks off is no message.
"""

from collections.abc import Mapping

import orjson
from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from aggregator.intake.formats.message import LARGEST
from aggregator.intake.ingest_endpoint import PATH, IngestEndpoint, IngestRequest


def add_routes(server: Flask, endpoint: IngestEndpoint) -> None:
    """Add `POST /ingest` to a server."""
    api = Blueprint("ingest", __name__)

    @api.post(PATH)
    def ingest() -> Response:
        size = request.content_length or 0
        answer = endpoint.answer(IngestRequest(request.headers, request.args, size, _body, request.remote_addr or ""))
        return _json(answer.content, answer.status, answer.headers)

    @api.errorhandler(HTTPException)
    def unreadable(error: HTTPException) -> Response:
        reason = "message_too_long" if error.code == 413 else "wrong_format"
        return _json({"reason": reason, "detail": error.name}, error.code or 400)

    server.register_blueprint(api)


def _body() -> bytes:
    request.max_content_length = LARGEST + 1  # a body of undeclared length is cut off there
    return request.get_data(cache=False)


def _json(content: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None) -> Response:
    answer = Response(orjson.dumps(content), status, dict(headers or {}), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
