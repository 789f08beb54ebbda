"""The addresses for programs: `POST /ingest` for devices, and those of the API, as a table, with who may ask.

Who asks the API sends a key in `Authorization: Bearer KEY`, or is signed in. Routes, OpenAPI
document and the page that shows it come from the rows of the table.

A key decides alone where there is one: a session beside it counts for nothing. Each key has an allowance in each
process, besides the CPU time that `web.user_limits` counts; each address has one for requests without a valid key, and
valid keys from there go on. No other site may read an answer: no CORS header is sent.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException

from aggregator.core.periods import LEVELS
from aggregator.intake.formats.message import LARGEST
from aggregator.intake.ingest_endpoint import PATH, IngestEndpoint, IngestRequest
from aggregator.intake.tokens import Limits, network
from dashboard.accounts.accounts import token_hash
from dashboard.accounts.api_keys import CHARTS, LIVE, ApiKeys, key_holder
from dashboard.accounts.sessions import signed_in
from dashboard.api import api_answers, openapi
from dashboard.api.api_answers import ApiFault, answer_faults
from dashboard.api.openapi import (
    CSV,
    ApiAddress,
    ChartDocument,
    DayRange,
    DeviceList,
    LiveState,
    Parameter,
)
from dashboard.charts import pictures
from dashboard.text.language import text
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import API, problem

DEVICE = Parameter("device_id", text("the id of a device, as the list of devices has it"), "cad-1")
LEVEL = Parameter("level", text("day, month or year"), "month", choices=tuple(LEVELS))
PERIOD = Parameter("period", text("a period, written as its level writes it: 2026-11-23, 2026-11 or 2026"), "2026-11")
FIRST = Parameter("from", text("the first local day"), "2026-11-01", is_in_path=False, form="date")
LAST = Parameter("to", text("the last local day; at most 366 days"), "2026-11-30", is_in_path=False, form="date")
FINER = text("the length of a row; without it, that of the chart")
BY = Parameter("by", FINER, "day", is_in_path=False, is_needed=False, choices=tuple(pictures.intervals("year")))
BY_DAYS = Parameter("by", FINER, "day", is_in_path=False, is_needed=False, choices=(*pictures.intervals("day"), "day"))
ADDRESSES: Mapping[ApiAddress, Callable[..., Response]] = {
    ApiAddress("/devices", text("The devices of the household"), shape=DeviceList): api_answers.devices,
    ApiAddress(
        "/devices/{device_id}/live",
        text("The power now, and the registers"),
        (DEVICE,),
        LiveState,
        LIVE,
    ): api_answers.live,
    ApiAddress(
        "/devices/{device_id}/days", text("Each day of a range"), (DEVICE, FIRST, LAST), DayRange, CHARTS
    ): api_answers.days,
    ApiAddress(
        "/devices/{device_id}/days.csv",
        text("The days of a range as a table, or their hours or half hours"),
        (DEVICE, FIRST, LAST, BY_DAYS),
        scope=CHARTS,
        media=CSV,
    ): api_answers.days_table,
    ApiAddress(
        "/devices/{device_id}/{level}/{period}",
        text("The chart of a day, a month or a year"),
        (DEVICE, LEVEL, PERIOD),
        ChartDocument,
        CHARTS,
    ): api_answers.document,
    ApiAddress(
        "/devices/{device_id}/{level}/{period}.csv",
        text("The same chart as a table"),
        (DEVICE, LEVEL, PERIOD, BY),
        scope=CHARTS,
        media=CSV,
    ): api_answers.table,
}


def add_routes(server: Flask, data: CachedReads) -> None:
    """Add the addresses of the table to a server, their description, and the page that shows it."""
    api = Blueprint("api", __name__, url_prefix=openapi.BASE)
    for address, answer in ADDRESSES.items():
        rule = re.sub(r"{(\w+)}", r"<\1>", address.path)
        api.add_url_rule(rule, address.name, partial(_answer, address.scope, partial(answer, data)))
    answer_faults(api)
    described = openapi.description(ADDRESSES)

    @api.get("/openapi.json")
    def description() -> Response:
        return api_answers.json_answer(described)

    @server.get("/api/<path:_>")
    def unknown(_: str) -> Response:
        return problem(404, f"There is nothing at this address; {openapi.PAGE} lists those of the API")

    server.register_blueprint(api)
    openapi.add_page(server, ADDRESSES, described)


def _answer(scope: str, answer: Callable[..., Response], **parts: Any) -> Response:  # noqa: ANN401 - of the address
    _check_scope(scope)
    return answer(**parts)


def _check_scope(scope: str) -> None:
    """Raise ApiFault where the key of the current request may not read this."""
    holder = key_holder()
    if scope and holder and scope not in holder.key.scopes:
        raise ApiFault(403, f"This key may not read {scope}; make one that may at /account/keys")


# Keys

OPEN = f"{openapi.BASE}/openapi.json"  # describes the API, and holds nothing of a home
NO_KEY = "Send `Authorization: Bearer KEY`; a household makes keys at /account/keys"


def admit_keys(server: Flask, keys: ApiKeys, pace: Callable[[], float] = time.monotonic) -> None:
    """Let keys in. Call it after the guard, and before requests are charged."""
    limits, strangers = Limits(), Limits()  # of keys; of addresses that send none, or a wrong one

    def refused(wait_s: int) -> Response:
        wait_s = wait_s or strangers.take(network(request.remote_addr or ""), 0, pace())
        return _too_many("Too much comes from this address without a valid key", wait_s) if wait_s else _nobody()

    @server.before_request
    def admit() -> Response | None:
        if not request.path.startswith(API) or request.path == OPEN:
            return None
        sent = request.headers.get("Authorization")
        if sent is None:
            return None if signed_in() else refused(0)
        scheme, _, key = sent.partition(" ")
        hashed = token_hash(key.strip())
        # Before the store is read; a key that was used lately goes on beside somebody who guesses.
        wait_s = 0 if limits.knows(hashed) else strangers.wait(network(request.remote_addr or ""), 0, pace())
        holder = keys.holder(key.strip()) if scheme.lower() == "bearer" and not wait_s else None
        if holder is None:
            return refused(wait_s)
        keys.admit(holder)
        wait_s = limits.take(hashed, 0, pace())
        return _too_many("This key asks too often", wait_s) if wait_s else None


def _too_many(why: str, wait_s: int) -> Response:
    """Return the answer to a key or an address that asks too often."""
    answer = problem(429, f"{why}; go on in {wait_s} s")
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def _nobody() -> Response:
    answer = problem(401, NO_KEY)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="wattfall"'
    return answer


# What devices send


def add_ingest(server: Flask, endpoint: IngestEndpoint) -> None:
    """Add `POST /ingest` to a server; `aggregator.intake.ingest_endpoint` answers.

    Flask reads the body: its length is checked before, and a body that breaks off is no message.
    """
    api = Blueprint("ingest", __name__)

    @api.post(PATH)
    def ingest() -> Response:
        size = request.content_length or 0
        address = request.remote_addr or ""
        answer = endpoint.answer(IngestRequest(request.headers, request.args, size, _ingest_body, address))
        return _ingest_answer(answer.content, answer.status, answer.headers)

    @api.errorhandler(HTTPException)
    def unreadable(error: HTTPException) -> Response:
        reason = "message_too_long" if error.code == 413 else "wrong_format"
        return _ingest_answer({"reason": reason, "detail": error.name}, error.code or 400)

    server.register_blueprint(api)


def _ingest_body() -> bytes:
    request.max_content_length = LARGEST + 1  # a body of undeclared length is cut off there
    return request.get_data(cache=False)


def _ingest_answer(content: Mapping[str, object], status: int, headers: Mapping[str, str] | None = None) -> Response:
    answer = Response(orjson.dumps(content), status, dict(headers or {}), mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer
