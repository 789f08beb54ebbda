"""The function behind the HTTP API: `POST /ingest` with the tokens, limits, answers and durability of the web process.

Events and answers are of payload format 2.0 of API Gateway, which passes a body on as text, or in base64 where it is
none. Limits are counted in each instance of the function, as they are in each web process.
"""

from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from aggregator.aws.lambdas import Record, functions
from aggregator.intake.ingest_endpoint import PATH, IngestAnswer, IngestEndpoint, IngestRequest

NOT_FOUND = IngestAnswer(404, {"reason": "not_found", "detail": f"there is POST {PATH}"})


def http(event: Record, _context: object) -> Record:
    """The handler of `http`."""
    return answer_to(_endpoint(), event)


@cache
def _endpoint() -> IngestEndpoint:
    own = functions()
    return IngestEndpoint(own.store, own.timezone, retention_days=own.retention_days)


def answer_to(endpoint: IngestEndpoint, event: Mapping[str, Any]) -> Record:
    """Return the answer of an endpoint to a request, as API Gateway takes it."""
    asked = event["requestContext"]["http"]
    is_ingest = (asked["method"], event["rawPath"]) == ("POST", PATH)
    answer = endpoint.answer(_request(event)) if is_ingest else NOT_FOUND
    headers = {"content-type": "application/json", "cache-control": "no-store", **answer.headers}
    return {"statusCode": answer.status, "headers": headers, "body": orjson.dumps(answer.content).decode()}


def _request(event: Mapping[str, Any]) -> IngestRequest:
    body = event.get("body") or ""
    sent = b64decode(body) if event.get("isBase64Encoded") else body.encode()
    return IngestRequest(event["headers"], event.get("queryStringParameters") or {}, len(sent), lambda: sent)
