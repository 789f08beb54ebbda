"""The addresses of the API, as a table. Routes, OpenAPI document and the page that shows it come from its rows."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Response

from aggregator.core.periods import LEVELS
from dashboard.accounts.api_keys import CHARTS, LIVE
from dashboard.api import api_answers, openapi
from dashboard.api.keyed_requests import answer_faults, check_scope
from dashboard.api.openapi import CSV, ApiAddress, Parameter
from dashboard.api.shapes import ChartDocument, DayRange, DeviceList, LiveState
from dashboard.charts import pictures
from dashboard.text.language import text
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import problem

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
    check_scope(scope)
    return answer(**parts)
