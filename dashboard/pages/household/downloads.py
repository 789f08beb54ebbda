"""Downloads: tables, documents, live states and pictures, under the same access rule as the page."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from urllib.parse import quote

import orjson
from flask import Blueprint, Flask, Response, request

from aggregator.core import periods
from aggregator.core.documents import GAS, Device, as_json
from aggregator.core.errors import StoreAway, shown
from aggregator.core.live import live_json
from dashboard.accounts.access import viewer
from dashboard.charts import pictures, sentences
from dashboard.charts.view import View
from dashboard.pages.household import chart_page
from dashboard.text.language import preferred_language
from dashboard.web.cached_reads import CachedReads

RETRY_S = 5
UNKNOWN = "There is no device here by this name that you may see; check the address"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class DownloadFault(Exception):
    """A refused download: its status, and one line with the fault and the fix."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def add_routes(server: Flask, data: CachedReads) -> None:
    """Add the routes to a server."""
    downloads = Blueprint("downloads", __name__, url_prefix="/d/<device_id>")

    @downloads.get("/<level>/<period>.csv")
    def table(device_id: str, level: str, period: str) -> Response:
        device, view = _parse_address(data, device_id, level, period)
        by = _interval(request.args.get("by", pictures.shown_by(view.level)), view.level)
        chunks = _table(data, device, view, by)
        begun = list(islice(chunks, 2))  # an unreachable store must fail before the answer begins
        name = f'attachment; filename="{_file_name(view, by)}"'
        return Response(chain(begun, chunks), mimetype="text/csv", headers={"Content-Disposition": name})

    @downloads.get("/<level>/<period>.json")
    def document(device_id: str, level: str, period: str) -> Response:
        device, view = _parse_address(data, device_id, level, period)
        return _json(as_json(data.document(device, view.level, view.period)))

    @downloads.get("/<level>/<period>/picture.json")
    def picture(device_id: str, level: str, period: str) -> Response:
        device, view = _parse_address(data, device_id, level, period)
        lang = preferred_language(request.headers.get("Accept-Language", ""))
        chart, extent = chart_page.load_chart(data, device, view, lang)
        is_drawn = chart.prices or not chart.is_empty
        nothing = "" if is_drawn else sentences.nothing(chart, extent[0] if extent else None, lang)[0]
        return Response(pictures.picture(chart, lang, nothing).to_json(), mimetype="application/json")

    @downloads.get("/live.json")
    def live(device_id: str) -> Response:
        found = data.live(_device(data, _view(device_id), device_id))
        if found is None:
            raise DownloadFault(404, "This device has sent no reading yet; try again when it has")
        return _json(live_json(found))

    @downloads.errorhandler(DownloadFault)
    def refused(fault: DownloadFault) -> Response:
        return _line(fault.status, fault.sentence)

    @downloads.errorhandler(StoreAway)
    def away(_: StoreAway) -> Response:
        answer = _line(503, "The data is out of reach for the moment; try again in a few seconds")
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    server.register_blueprint(downloads)


def _parse_address(data: CachedReads, device_id: str, level: str, period: str) -> tuple[Device, View]:
    """Return the device and the view of an address. Raises DownloadFault for an invalid level or period."""
    view = _view(device_id, level, period, search=request.query_string.decode("ascii", "replace"))
    device = _device(data, view, device_id)
    if view.level != level:
        *others, last = periods.LEVELS
        raise DownloadFault(404, f"{shown(level)} is no level; write {', '.join(others)} or {last}")
    if view.period != period:
        example = periods.LEVELS[level].example
        raise DownloadFault(404, f"{shown(period)} is no {level} that can be shown; write it like {example}")
    return device, view


def _view(*segments: str, search: str = "") -> View:
    return View.from_url("/".join(["/d", *(quote(segment, safe="") for segment in segments)]), search)


def _device(data: CachedReads, view: View, device_id: str) -> Device:
    device = data.device(viewer(), view.device_id) if view.device_id == device_id else None
    if device is None:
        raise DownloadFault(404, UNKNOWN)
    return device


def _interval(by: str, level: str) -> str:
    if by not in pictures.intervals(level):
        raise DownloadFault(
            400, f"A {level} cannot be had by {shown(by)}; write by={', by='.join(pictures.intervals(level))}"
        )
    return by


def _table(data: CachedReads, device: Device, view: View, by: str) -> Iterator[str]:
    """Yield CSV in chunks: the header, then a month of days or a year of months at a time; skips the future."""
    held_by, now, is_priced = pictures.held_by(view.level, by), data.now(), bool(device.tariff)
    is_gas = device.kind == GAS
    yield _csv([pictures.header(by, is_priced=is_priced, is_gas=is_gas)])
    for first, last in pictures.document_ranges(view.level, view.period, by):
        if periods.window(held_by, first, device.timezone).start > now:
            return
        found = data.uncached(device, held_by, first, last)
        yield _csv(row for one in found for row in pictures.rows(one, by, now, is_priced=is_priced, is_gas=is_gas))


def _csv(table: Iterable[Sequence[str]]) -> str:
    """Return rows in RFC 4180 form. Cells are numbers, times and currency codes, so none can be a formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(table)
    return text.getvalue()


def _file_name(view: View, by: str) -> str:
    finer = [] if by == pictures.shown_by(view.level) else [by]
    return "-".join(["wattfall", _UNSAFE.sub("-", view.device_id), view.period, *finer]) + ".csv"


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), mimetype="application/json")


def _line(status: int, sentence: str) -> Response:
    return Response(f"{sentence}\n", status, mimetype="text/plain")
