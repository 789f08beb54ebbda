"""The tariff's page: the form, what a change of it would change of the past, and the change itself.

Nothing is kept between requests: what is typed travels in the form, a checked tariff as its JSON text. `made-against`
is the mark of the tariff from which somebody began, so that nobody overwrites what another has changed meanwhile.
"""

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
from aggregator.waterfall.pricing import change_tariff, tariff_of, tariff_to_text
from dashboard.accounts.access import may_edit, viewer
from dashboard.charts.view import ENERGY, MONEY, View
from dashboard.pages.tariff import tariff_view
from dashboard.pages.tariff.tariff_fields import Fields, TooMuch, after, fields_of, first_fields, sent_fields
from dashboard.pages.tariff.tariff_form import FormFault, check
from dashboard.pages.tariff.tariff_preview import DAY, currency_of_zone, preview
from dashboard.text.language import Language, text
from dashboard.web import request_guard
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import render, requested

OK = 200
NO_TARIFF = sha256(b"").hexdigest()[:16]  # the mark of a device without one
PAST_S, COMING_S = 366 * DAY_S, 7 * DAY_S  # of the half-hourly prices that are counted
RETRY_S = 5
AWAY = text("The data is out of reach for the moment. Nothing you typed is lost; try again in a few seconds.")
OVERTAKEN = text(
    "Somebody else has changed this tariff since you opened it, to what stands below. "
    "What you typed is still here; if you go on, it replaces theirs."
)
TOO_LONG = text("It has more parts than fit here. The command `wattfall tariff set` can change it.")
AWAY_TITLE = text("The data is out of reach for the moment")


class Stop(Exception):
    """A request that ends with words: its status, a heading and a sentence."""

    def __init__(self, status: int, heading: str, sentence: str, **values: object) -> None:
        super().__init__(sentence)
        self.status, self.heading, self.sentence, self.values = status, heading, sentence, values


@dataclass(frozen=True, slots=True)
class TariffRequest:
    """One request, its device found and allowed."""

    store: Store
    device: Device
    now: int  # UTC seconds
    language: Language

    @property
    def today(self) -> str:
        """The device's local day."""
        return periods.day_of(self.now, self.device.timezone)


def add_routes(server: Flask, data: CachedReads, store: Store) -> None:
    """Add the page's address to a server."""
    server.jinja_env.undefined = StrictUndefined
    page = Blueprint("tariff", __name__, url_prefix="/d/<device_id>")

    @page.get("/tariff")
    def form(device_id: str) -> Response:
        asked = TariffRequest(store, _device(data, device_id), data.now(), requested())
        try:
            return _form(asked, _fields(asked, tariff_of(asked.device)), _mark(asked.device))
        except TooMuch:
            raise Stop(OK, text("This tariff is too long for a form"), TOO_LONG) from None

    @page.post("/tariff")
    def act(device_id: str) -> Response:
        sent = request.form.to_dict()
        try:
            return _act(TariffRequest(store, _device(data, device_id), data.now(), requested()), sent)
        except StoreAway:
            asked = TariffRequest(store, Device(device_id), data.now(), requested())
            answer = _form(asked, _typed(sent), sent.get("made-against", ""), notice=AWAY, status=503)
            answer.headers["Retry-After"] = str(RETRY_S)
            return answer

    @page.errorhandler(Stop)
    def stopped(stop: Stop) -> Response:
        return _words(stop)

    @page.errorhandler(StoreAway)
    def away(_: StoreAway) -> Response:
        answer = _words(Stop(503, AWAY_TITLE, text("Try again in a few seconds.")))
        answer.headers["Retry-After"] = str(RETRY_S)
        return answer

    @page.after_request
    def private(answer: Response) -> Response:
        answer.headers["Cache-Control"] = "no-store, private"
        return answer

    server.register_blueprint(page)


def _device(data: CachedReads, device_id: str) -> Device:
    """The device of an address. Raises Stop where it is not known, or not the viewer's to change."""
    device = data.device(viewer(), device_id) if View.from_url(f"/d/{device_id}").device_id == device_id else None
    if device is None:
        sentence = text("There is no device called {device} here that you may see. Check how its name is spelt.")
        raise Stop(404, text("This device is not known here"), sentence, device=device_id[:64])
    if not may_edit(viewer(), device):
        raise Stop(403, text("You cannot change this tariff"), text("It can be changed by the household itself."))
    return device


def _act(asked: TariffRequest, sent: Mapping[str, str]) -> Response:
    """What a button of the form or of the preview does."""
    action, mark = sent.get("action", ""), sent.get("made-against", "")
    if action == "confirm":
        return _confirm(asked, _canonical(sent), mark)
    fields = _typed(sent)
    if action == "edit":
        return _form(asked, fields, mark)
    if action != "check":
        changed = after(fields, action)
        return _form(asked, changed, mark, touched=tariff_view.touched_by(action, changed))
    tariff, faults = check(fields, asked.language)
    if faults:
        return _form(asked, fields, mark, faults=faults)
    if mark != _mark(asked.device):
        return _overtaken(asked, fields)
    found = preview(asked.store, asked.device, tariff)
    context = tariff_view.preview_context(found, tariff_of(asked.device), tariff, asked.language)
    canonical = tariff_to_text(tariff) if tariff else ""
    return _page(
        "tariff_preview.html", asked, OK, **context, canonical=canonical, currency=fields.currency, made_against=mark
    )


def _confirm(asked: TariffRequest, tariff: Tariff | None, mark: str) -> Response:
    """Change the tariff, unless somebody else has meanwhile."""
    with asked.store.transaction():
        device = asked.store.device(asked.device.device_id)
        # Sent twice, by a double click or after a cut connection, it is done again to the end.
        is_free = device is not None and (_mark(device) == mark or tariff_of(device) == tariff)
        if device and is_free:
            change_tariff(asked.store, device, tariff)
    if not is_free:
        return _overtaken(asked, _fields(asked, tariff))
    chart = View("household", asked.device.device_id, "month", unit=MONEY if tariff else ENERGY)
    said = "tariff-changed" if tariff else "tariff-gone"  # which assets/said.js says above the chart
    return make_response(redirect(f"{chart.to_url()}#{said}", 303))


def _overtaken(asked: TariffRequest, fields: Fields) -> Response:
    """The form as typed, and the tariff that somebody else has set meanwhile; whoever goes on now replaces that."""
    device = asked.store.device(asked.device.device_id) or asked.device
    lines = tariff_view.tariff_lines(tariff_of(device), asked.language)
    return _form(asked, fields, _mark(device), notice=OVERTAKEN, theirs=lines, status=409)


def _fields(asked: TariffRequest, tariff: Tariff | None) -> Fields:
    """The form of a tariff; without one, of prices for all of the past. Raises TooMuch."""
    if tariff:
        return fields_of(tariff, asked.language)
    extent = asked.store.extent("day", asked.device.device_id)
    currency = currency_of_zone(asked.device.timezone, date.fromisoformat(asked.today))
    return first_fields(extent[0] if extent else asked.today, currency)


def _typed(sent: Mapping[str, str]) -> Fields:
    """The form as it was sent, by the form itself or by the preview. Raises Stop."""
    try:
        tariff = _canonical(sent) if "tariff" in sent else None
        return fields_of(tariff, requested()) if tariff else sent_fields(sent)
    except TooMuch:
        raise Stop(413, text("Nothing has been changed"), request_guard.TOO_MUCH) from None


def _canonical(sent: Mapping[str, str]) -> Tariff | None:
    """The checked tariff that the preview hands on, checked again; None where there shall be none. Raises Stop."""
    try:
        return tariff_from_text(sent["tariff"]) if sent.get("tariff") else None
    except ConfigurationError:
        raise Stop(400, text("Nothing has been changed"), request_guard.FOREIGN) from None


def _form(
    asked: TariffRequest,
    fields: Fields,
    mark: str,
    *,
    faults: list[FormFault] | None = None,
    notice: str = "",
    theirs: list[tuple[str, str]] | None = None,
    touched: str = "",
    status: int = 200,
) -> Response:
    """The form. `theirs` is the tariff that somebody else has set meanwhile, in lines."""
    language = asked.language
    return _page(
        "tariff.html",
        asked,
        status,
        **tariff_view.form_context(fields, faults or [], touched, language),
        notice=language.say(notice) if notice else "",
        theirs=theirs or [],
        made_against=mark,
        has_tariff=mark != NO_TARIFF,
        first_day=_first_day(asked) if status == OK else "",
        known=_known(asked, fields) if status == OK else {},
    )


def _first_day(asked: TariffRequest) -> str:
    extent = asked.store.extent("day", asked.device.device_id)
    return asked.language.date(date.fromisoformat(extent[0]), DAY) if extent else ""


def _known(asked: TariffRequest, fields: Fields) -> dict[str, str]:
    """For each direction how many half-hourly prices of the last year are known, if some version goes by them."""
    kinds = {pricing.kind for version in fields.versions for pricing in (version.imported, version.exported)}
    if HALF_HOURLY not in kinds:
        return {}
    series = asked.store.prices(asked.device.device_id, asked.now - PAST_S, asked.now + COMING_S)
    zone, language = asked.device.timezone, asked.language
    directions = {"import": series.import_prices, "export": series.export_prices}
    return {name: tariff_view.known_words(prices, zone, language) for name, prices in directions.items()}


def _page(template: str, asked: TariffRequest, status: int, **context: object) -> Response:
    device = asked.device
    chart = View("household", device.device_id).to_url()
    return render(template, status, home=device.name or device.device_id, chart=chart, **context)


def _words(stop: Stop) -> Response:
    """A page of words instead of the form."""
    language = requested()
    sentence = language.say(stop.sentence, **stop.values)
    return render("words.html", stop.status, heading=language.say(stop.heading), sentence=sentence)


def _mark(device: Device) -> str:
    """A short mark of the tariff that a device has."""
    return sha256(device.tariff.encode()).hexdigest()[:16]
