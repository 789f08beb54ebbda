"""The answers of the API: from an address to a document, a table, a range of days, a live state, the devices.

Each begins with `CachedReads.device` or `devices`, and thus with the access function; what comes back holds only
the days of the viewer's own occupancy.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import cast
from urllib.parse import quote

import orjson
from flask import Blueprint, Response, request

from aggregator.core import periods
from aggregator.core.documents import GAS, Device, Document, as_json
from aggregator.core.errors import ConfigurationError, StoreAway, shown
from aggregator.core.live import live_json
from aggregator.core.periods import FIRST_DAY, LAST_DAY
from dashboard.accounts.access import viewer
from dashboard.accounts.api_keys import note_use
from dashboard.api.openapi import DayRange, DaySpan, DeviceEntry, DeviceList
from dashboard.charts import pictures
from dashboard.charts.view import YEARS, View
from dashboard.web.cached_reads import CachedReads
from dashboard.web.request_guard import RETRY_S
from dashboard.web.responses import problem

MOST_DAYS = 366  # of one range
MOST_DEVICES = 200
UNKNOWN = "There is no device here by this name that you may see; check the address"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def devices(data: CachedReads) -> Response:
    """Return the devices of the household."""
    found = data.devices(viewer(), MOST_DEVICES)
    for device in found:
        note_use(device)
    return json_answer(DeviceList(devices=[_entry(data, device) for device in found]))


def live(data: CachedReads, device_id: str) -> Response:
    """Return the live state of a device."""
    found = data.live(_device(data, _view(device_id), device_id))
    if found is None:
        raise ApiFault(404, "This device has sent no reading yet; try again when it has")
    return json_answer(live_json(found))


def document(data: CachedReads, device_id: str, level: str, period: str) -> Response:
    """Return one document."""
    device, view = parse_address(data, device_id, level, period)
    return json_answer(as_json(data.document(device, view.level, view.period)))


def table(data: CachedReads, device_id: str, level: str, period: str) -> Response:
    """Return one document as a table."""
    device, view = parse_address(data, device_id, level, period)
    by = _interval(request.args.get("by", pictures.shown_by(view.level)), pictures.intervals(view.level), level)
    ranges = ((pictures.held_by(level, by), *one) for one in pictures.document_ranges(level, view.period, by))
    finer = [] if by == pictures.shown_by(level) else [by]
    return _csv_answer(_rows(data, device, ranges, by), _file_name(device_id, view.period, *finer))


def days(data: CachedReads, device_id: str) -> Response:
    """Return each day of a range: a read a month."""
    device = _device(data, _view(device_id), device_id)
    first, last = _range()
    months = data.uncached(device, "month", *(periods.containing("month", "day", day) for day in (first, last)))
    spans = [span for one in months for span in _day_spans(one) if first <= span["day"] <= last]
    currency = next((one.currency for one in months if one.currency), None)
    return json_answer(DayRange(device_id=device_id, timezone=device.timezone, currency=currency, days=spans))


def days_table(data: CachedReads, device_id: str) -> Response:
    """Return the days of a range as a table, or their hours or half hours."""
    device = _device(data, _view(device_id), device_id)
    first, last = _range()
    by = _interval(request.args.get("by", "day"), [*pictures.intervals("day"), "day"], "range")
    rows = _rows(data, device, _ranges(by, first, last), by)
    own = chain(islice(rows, 1), (row for row in rows if first <= row[0][:10] <= last))
    return _csv_answer(own, _file_name(device_id, first, last, *([] if by == "day" else [by])))


def _day_spans(month: Document) -> Iterator[DaySpan]:
    spans = cast("list[DaySpan]", as_json(month)["parts"])
    for day, span in zip(periods.children(month.level, month.period).values(), spans, strict=True):
        yield {**span, "day": day}


def parse_address(data: CachedReads, device_id: str, level: str, period: str) -> tuple[Device, View]:
    """Return the device and the view of an address. Raises ApiFault for an invalid level or period."""
    view = _view(device_id, level, period, search=request.query_string.decode("ascii", "replace"))
    device = _device(data, view, device_id)
    if view.level != level:
        *others, last = periods.LEVELS
        raise ApiFault(404, f"{shown(level)} is no level; write {', '.join(others)} or {last}")
    if view.period != period:
        example = periods.LEVELS[level].example
        raise ApiFault(404, f"{shown(period)} is no {level} that can be shown; write it like {example}")
    return device, view


def _view(*segments: str, search: str = "") -> View:
    return View.from_url("/".join(["/d", *(quote(segment, safe="") for segment in segments)]), search)


def _device(data: CachedReads, view: View, device_id: str) -> Device:
    device = data.device(viewer(), view.device_id) if view.device_id == device_id else None
    if device is None:
        raise ApiFault(404, UNKNOWN)
    note_use(device)
    return device


def _entry(data: CachedReads, device: Device) -> DeviceEntry:
    since, until = device.seen or (device.occupied_from or FIRST_DAY, LAST_DAY)
    first, last = data.extent(device, periods.LOWEST) or (None, None)
    return DeviceEntry(
        device_id=device.device_id,
        kind=device.kind,
        name=device.name or None,
        timezone=device.timezone,
        since=None if since == FIRST_DAY else since,
        until=None if until == LAST_DAY else until,
        first_day=first,
        last_day=last,
    )


def _interval(by: str, known: Sequence[str], what: str) -> str:
    if by not in known:
        raise ApiFault(400, f"A {what} cannot be had by {shown(by)}; write by={', by='.join(known)}")
    return by


def _range() -> tuple[str, str]:
    """Return the first and last day of the query. Raises ApiFault."""
    first, last = (_day(name) for name in ("from", "to"))
    if last < first:
        raise ApiFault(400, f"The range ends on {last}, before it begins on {first}; write from=FIRST&to=LAST")
    if periods.shift("day", first, MOST_DAYS) <= last:
        raise ApiFault(400, f"A range has at most {MOST_DAYS} days; ask for {first} and so on in several ranges")
    return first, last


def _day(name: str) -> str:
    typed = request.args.get(name, "")
    try:
        day = periods.check_period("day", typed) if typed.isascii() else ""
    except ConfigurationError:
        day = ""
    if not day or int(day[:4]) not in YEARS:
        raise ApiFault(400, f"{name} is {shown(typed)}, and no day; write {name}=2026-11-23")
    return day


def _ranges(by: str, first: str, last: str) -> Iterator[tuple[str, str, str]]:
    """Yield level, first and last document of each read of a range: its months, or a month of its days at a time."""
    months = [periods.containing("month", "day", day) for day in (first, last)]
    if by == "day":
        yield "month", months[0], months[1]
        return
    month = months[0]
    while month <= months[1]:
        begin, end = periods.days("month", month)
        yield "day", max(first, begin), min(last, end)
        month = periods.shift("month", month, 1)


def _rows(
    data: CachedReads, device: Device, ranges: Iterable[tuple[str, str, str]], by: str
) -> Iterator[Sequence[str]]:
    """Yield the header, then the rows of documents, a month of days or a year of months at a time; no future ones."""
    now, is_priced, is_gas = data.now(), bool(device.tariff), device.kind == GAS
    yield pictures.header(by, is_priced=is_priced, is_gas=is_gas)
    for level, first, last in ranges:
        if periods.window(level, first, device.timezone).start > now:
            return
        for one in data.uncached(device, level, first, last):
            yield from pictures.rows(one, by, now, is_priced=is_priced, is_gas=is_gas)


# Files

ROWS = 500  # in a piece of an answer


def _csv_answer(rows: Iterator[Sequence[str]], name: str) -> Response:
    pieces = _pieces(rows)
    begun = list(islice(pieces, 1))  # an unreachable store must fail before the answer begins
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(chain(begun, pieces), mimetype="text/csv", headers=headers)


def _pieces(rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """Yield rows in RFC 4180 form. Cells are numbers, times and currency codes, so none can be a formula."""
    while piece := list(islice(rows, ROWS)):
        text = io.StringIO(newline="")
        csv.writer(text).writerows(piece)
        yield text.getvalue()


def _file_name(device_id: str, *parts: str) -> str:
    return "-".join(["wattfall", _UNSAFE.sub("-", device_id), *parts]) + ".csv"


def json_answer(content: object) -> Response:
    """Return JSON that a program may keep and ask about again by its ETag."""
    answer = Response(orjson.dumps(content), mimetype="application/json")
    answer.add_etag()
    answer.make_conditional(request)
    return answer


# Refused requests


class ApiFault(Exception):
    """A refused request: its status, and one line with the fault and the fix."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


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
