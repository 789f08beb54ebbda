"""The tariff page: the form, the preview of a change, and the change.

The server keeps nothing between requests: the form carries the typed text, or the checked tariff as JSON.
`made-against` is the fingerprint of the tariff at the start of the edit, so that nobody overwrites a concurrent change.
With `?try=1` the same form and preview tell what another tariff would have cost, and change nothing.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from flask import Blueprint, Flask, Response, make_response, redirect, request
from jinja2 import StrictUndefined

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway
from aggregator.core.periods import DAY_S
from aggregator.store.port import Store
from aggregator.tariffs.tariff import HALF_HOURLY, Tariff, tariff_from_text
from aggregator.waterfall.pricing import (
    change_tariff,
    note_change,
    supplied_to_present,
    tariff_before,
    tariff_of,
    tariff_to_text,
)
from dashboard.accounts.access import may_edit, viewer
from dashboard.charts.view import ENERGY, MONEY, View
from dashboard.pages.tariff import tariff_view
from dashboard.pages.tariff.tariff_fields import (
    Fields,
    TooMuch,
    after,
    fields_of,
    first_fields,
    sent_fields,
    trial_fields,
)
from dashboard.pages.tariff.tariff_form import FormFault, check
from dashboard.pages.tariff.tariff_preview import DAY, currency_of_zone, preview
from dashboard.text.language import Language, text
from dashboard.web import request_guard
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import reader_language, render

OK = 200
NO_TARIFF = sha256(b"").hexdigest()[:16]  # the fingerprint of a device without a tariff
PAST_S, COMING_S = 366 * DAY_S, 7 * DAY_S  # the range of the half-hourly prices in the count
TRIAL_DAYS = 365  # up to today, with another tariff
RETRY_S = 5
AWAY = text("The data is out of reach for the moment. Nothing you typed is lost; try again in a few seconds.")
OVERTAKEN = text(
    "Somebody else has changed this tariff since you opened it, to what stands below. "
    "What you typed is still here; if you go on, it replaces theirs."
)
TOO_LONG = text("It has more parts than fit here. The command `wattfall tariff set` can change it.")
FORBIDDEN = (403, text("You cannot change this tariff"), text("It can be changed by the household itself."))
AWAY_TITLE = text("The data is out of reach for the moment")


class Stop(Exception):
    """A request that ends with an error page: its status, a heading and a sentence."""

    def __init__(self, status: int, heading: str, sentence: str, **values: object) -> None:
        super().__init__(sentence)
        self.status, self.heading, self.sentence, self.values = status, heading, sentence, values


@dataclass(frozen=True, slots=True)
class TariffRequest:
    """One authorized request for a device."""

    store: Store
    device: Device
    now: int  # UTC seconds
    language: Language

    @property
    def today(self) -> str:
        """The device's local day."""
        return periods.day_of(self.now, self.device.timezone)


def add_routes(server: Flask, data: CachedReads, store: Store) -> None:
    """Add the tariff page to a server."""
    server.jinja_env.undefined = StrictUndefined
    page = Blueprint("tariff", __name__, url_prefix="/d/<device_id>")

    @page.get("/tariff")
    def form(device_id: str) -> Response:
        tariff_request = TariffRequest(store, _device(data, device_id), data.now(), reader_language())
        device = tariff_request.device
        try:
            fields = _fields(tariff_request, tariff_of(device))
            if "try" in request.args:
                fields = trial_fields(fields, periods.shift("day", tariff_request.today, 1 - TRIAL_DAYS))
            return _form(tariff_request, fields, _mark(device))
        except TooMuch:
            raise Stop(OK, text("This tariff is too long for a form"), TOO_LONG) from None

    @page.post("/tariff")
    def act(device_id: str) -> Response:
        sent = request.form.to_dict()
        try:
            return _act(TariffRequest(store, _device(data, device_id), data.now(), reader_language()), sent)
        except StoreAway:
            tariff_request = TariffRequest(store, Device(device_id), data.now(), reader_language())
            answer = _form(tariff_request, _typed_fields(sent), sent.get("made-against", ""), notice=AWAY, status=503)
            answer.headers["Retry-After"] = str(RETRY_S)
            return answer

    @page.errorhandler(Stop)
    def stopped(stop: Stop) -> Response:
        return _error_page(stop)

    @page.errorhandler(StoreAway)
    def away(_: StoreAway) -> Response:
        answer = _error_page(Stop(503, AWAY_TITLE, text("Try again in a few seconds.")))
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    @page.after_request
    def private(answer: Response) -> Response:
        answer.headers["Cache-Control"] = "no-store, private"
        return answer

    server.register_blueprint(page)


def _device(data: CachedReads, device_id: str) -> Device:
    """Return the device of an address. Raises Stop if it is unknown, or the viewer may not change it."""
    device = data.device(viewer(), device_id) if View.from_url(f"/d/{device_id}").device_id == device_id else None
    if device is None:
        sentence = text("There is no device called {device} here that you may see. Check how its name is spelt.")
        raise Stop(404, text("This device is not known here"), sentence, device=device_id[:64])
    if not may_edit(viewer(), device):
        raise Stop(*FORBIDDEN)
    return device


def _act(tariff_request: TariffRequest, sent: Mapping[str, str]) -> Response:
    """Answer a button of the form or of the preview."""
    action, mark = sent.get("action", ""), sent.get("made-against", "")
    if action == "confirm" and "try" not in request.args:
        return _confirm(tariff_request, _canonical(sent), mark)
    fields = _typed_fields(sent)
    if action == "edit":
        return _form(tariff_request, fields, mark)
    if action != "check":
        changed = after(fields, action)
        return _form(tariff_request, changed, mark, touched=tariff_view.touched_by(action, changed))
    tariff, faults = check(fields, tariff_request.language)
    if faults:
        return _form(tariff_request, fields, mark, faults=faults)
    if mark != _mark(tariff_request.device):
        return _overtaken(tariff_request, fields, tariff_request.device)
    found = preview(tariff_request.store, tariff_request.device, tariff, tariff_request.now)
    context = tariff_view.preview_context(found, tariff_of(tariff_request.device), tariff, tariff_request.language)
    canonical = tariff_to_text(tariff) if tariff else ""
    return _page(
        "tariff_preview.html",
        tariff_request,
        OK,
        **context,
        canonical=canonical,
        currency=fields.currency,
        made_against=mark,
    )


def _confirm(tariff_request: TariffRequest, tariff: Tariff | None, mark: str) -> Response:
    """Change the tariff, unless another change came first. Raises Stop where the home has changed hands meanwhile."""
    with tariff_request.store.transaction():
        device = tariff_request.store.device(tariff_request.device.device_id)
        if device is None or _stay(device) != _stay(tariff_request.device):
            raise Stop(*FORBIDDEN)
        # A repeated request (double click, cut connection) runs to the end again.
        is_free = _mark(device) == mark or tariff_of(device) == tariff
        if is_free:
            change_tariff(tariff_request.store, device, tariff)
            note_change(tariff_request.store, device, tariff, int(time.time()))
    if not is_free:
        return _overtaken(tariff_request, _fields(tariff_request, tariff), device)
    chart = View("household", tariff_request.device.device_id, "month", unit=MONEY if tariff else ENERGY)
    said = "tariff-changed" if tariff else "tariff-gone"  # assets/said.js shows this above the chart
    return make_response(redirect(f"{chart.to_url()}#{said}", 303))


def _stay(device: Device) -> tuple[str, str]:
    return device.household, device.occupied_from


def _overtaken(tariff_request: TariffRequest, fields: Fields, device: Device) -> Response:
    """Return the typed form and the tariff of a concurrent change; the next step may replace that tariff."""
    lines = tariff_view.tariff_lines(tariff_of(device), tariff_request.language)
    return _form(tariff_request, fields, _mark(device), notice=OVERTAKEN, theirs=lines, status=409)


def _fields(tariff_request: TariffRequest, tariff: Tariff | None) -> Fields:
    """Return the form of a tariff; without one, an empty form from the first day with data. Raises TooMuch."""
    if tariff:
        return fields_of(tariff, tariff_request.language)
    known = _known_days(tariff_request)
    currency = currency_of_zone(tariff_request.device.timezone, date.fromisoformat(tariff_request.today))
    return first_fields(known[0] if known else tariff_request.today, currency)


def _typed_fields(sent: Mapping[str, str]) -> Fields:
    """Return the form that the form itself or the preview sent. Raises Stop."""
    try:
        tariff = _canonical(sent) if "tariff" in sent else None
        return fields_of(tariff, reader_language()) if tariff else sent_fields(sent)
    except TooMuch:
        raise Stop(413, text("Nothing has been changed"), request_guard.TOO_MUCH) from None


def _canonical(sent: Mapping[str, str]) -> Tariff | None:
    """Return the tariff that the preview sent, checked again; None for no tariff. Raises Stop."""
    try:
        return tariff_from_text(sent["tariff"]) if sent.get("tariff") else None
    except ConfigurationError:
        raise Stop(400, text("Nothing has been changed"), request_guard.FOREIGN) from None


def _form(
    tariff_request: TariffRequest,
    fields: Fields,
    mark: str,
    *,
    faults: list[FormFault] | None = None,
    notice: str = "",
    theirs: list[tuple[str, str]] | None = None,
    touched: str = "",
    status: int = 200,
) -> Response:
    """Return the page of the form. `theirs` is the tariff of a concurrent change, as lines."""
    language = tariff_request.language
    return _page(
        "tariff.html",
        tariff_request,
        status,
        **tariff_view.form_context(fields, faults or [], touched, language),
        notice=language.say(notice) if notice else "",
        theirs=theirs or [],
        made_against=mark,
        has_tariff=mark != NO_TARIFF,
        before=tariff_before(tariff_request.store, tariff_request.device) if status == OK and not notice else None,
        first_day=_first_day(tariff_request) if status == OK else "",
        known=_known_prices(tariff_request, fields) if status == OK else {},
    )


def _first_day(tariff_request: TariffRequest) -> str:
    known = _known_days(tariff_request)
    return tariff_request.language.date(date.fromisoformat(known[0]), DAY) if known else ""


def _known_days(tariff_request: TariffRequest) -> tuple[str, str] | None:
    return supplied_to_present(tariff_request.store, tariff_request.device, tariff_request.now)


def _known_prices(tariff_request: TariffRequest, fields: Fields) -> dict[str, str]:
    """Return the count of known half-hourly prices of the last year by direction; empty if no version needs them."""
    kinds = {pricing.kind for version in fields.versions for pricing in (version.imported, version.exported)}
    if HALF_HOURLY not in kinds:
        return {}
    series = tariff_request.store.prices(
        tariff_request.device.device_id, tariff_request.now - PAST_S, tariff_request.now + COMING_S
    )
    zone, language = tariff_request.device.timezone, tariff_request.language
    directions = {"import": series.import_prices, "export": series.export_prices}
    return {name: tariff_view.known_words(prices, zone, language) for name, prices in directions.items()}


def _page(template: str, tariff_request: TariffRequest, status: int, **context: object) -> Response:
    device = tariff_request.device
    chart = View("household", device.device_id).to_url()
    home, is_trial = device.name or device.device_id, "try" in request.args
    action = f"{chart}/tariff{'?try=1' if is_trial else ''}"
    return render(template, status, home=home, chart=chart, action=action, is_trial=is_trial, **context)


def _error_page(stop: Stop) -> Response:
    """Return an error page instead of the form."""
    language = reader_language()
    sentence = language.say(stop.sentence, **stop.values)
    return render("words.html", stop.status, heading=language.say(stop.heading), sentence=sentence)


def _mark(device: Device) -> str:
    """Return a short fingerprint of a device's tariff."""
    return sha256(device.tariff.encode()).hexdigest()[:16]
