"""Requests to the API: by a key in `Authorization: Bearer KEY`, or by the session of a signed-in browser.

A key decides alone where there is one: a session beside it counts for nothing. Each key has an allowance in each
process, besides the CPU time that `web.user_limits` counts. No other site may read an answer: no CORS header is sent.
"""

import time
from collections.abc import Callable

from flask import Blueprint, Flask, Response, current_app, g, request

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.intake.tokens import Limits
from dashboard.accounts.access import act_as
from dashboard.accounts.api_keys import ApiKeys, Holder
from dashboard.accounts.sessions import signed_in
from dashboard.web.request_guard import RETRY_S
from dashboard.web.responses import API, problem

SERVICE = "wattfall-api-keys"  # in the extensions of the server
OPEN = (f"{API}v1/openapi.json",)  # describes the API, and holds nothing of a home
NO_KEY = "Send `Authorization: Bearer KEY`; a household makes keys at /account/keys"


class ApiFault(Exception):
    """A refused request: its status, and one line with the fault and the fix."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def install(server: Flask, keys: ApiKeys, pace: Callable[[], float] = time.monotonic) -> None:
    """Let keys in. Call it after the guard, and before requests are charged."""
    limits = Limits()
    server.extensions[SERVICE] = keys

    @server.before_request
    def admit() -> Response | None:
        if not request.path.startswith(API) or request.path in OPEN:
            return None
        sent = request.headers.get("Authorization")
        if sent is None:
            return None if signed_in() else _nobody()
        scheme, _, key = sent.partition(" ")
        holder = keys.holder(key.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            return _nobody()
        g.key_holder = holder
        act_as(holder.user)
        wait_s = limits.take(holder.key.key_id, 0, pace())
        return too_many(wait_s) if wait_s else None


def too_many(wait_s: int) -> Response:
    """Return the answer to a key that asks too often."""
    answer = problem(429, f"This key asks too often; go on in {wait_s} s")
    answer.headers["Retry-After"] = str(wait_s)
    return answer


def key_holder() -> Holder | None:
    """Return the key of the current request, or None."""
    found: Holder | None = g.get("key_holder")
    return found


def check_scope(scope: str) -> None:
    """Raise ApiFault where the key of the current request may not read this."""
    holder = key_holder()
    if scope and holder and scope not in holder.key.scopes:
        raise ApiFault(403, f"This key may not read {scope}; make one that may at /account/keys")


def note_use(device: Device) -> None:
    """Note that the key of the current request reads a device. Raises StoreAway."""
    holder = key_holder()
    if holder:
        keys: ApiKeys = current_app.extensions[SERVICE]
        keys.note_use(holder, device)


def answer_faults(blueprint: Blueprint) -> None:
    """Answer the faults of a blueprint as RFC 9457 has it."""

    @blueprint.errorhandler(ApiFault)
    def refused(fault: ApiFault) -> Response:
        return problem(fault.status, fault.sentence)

    @blueprint.errorhandler(StoreAway)
    def away(_: StoreAway) -> Response:
        answer = problem(503, "The data is out of reach for the moment; try again in a few seconds")
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer


def _nobody() -> Response:
    answer = problem(401, NO_KEY)
    answer.headers["WWW-Authenticate"] = 'Bearer realm="wattfall"'
    return answer
