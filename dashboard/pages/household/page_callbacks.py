"""The page callbacks load the data of an address and return the values of its slots.

Begin with `show_page`, for a new address, and `show_live`, for a poll. They call the section before them, the tiles of
one device, and `start_page`.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import quote
from zlib import crc32

from dash import html
from dash.development.base_component import Component
from flask import Blueprint, Flask, Response

from aggregator.core import periods
from aggregator.core.documents import ELECTRICITY, GAS, Device, Document
from aggregator.core.readings import GAS as GAS_SUFFIX
from aggregator.core.readings import SOLAR, sender_of
from aggregator.store.occupancies import is_over, seen_instants
from aggregator.support.device_state import arrival_state
from aggregator.waterfall.pricing import currency_of
from dashboard.accounts import access
from dashboard.accounts.access import is_staff, may_edit
from dashboard.accounts.users import User
from dashboard.api.api_answers import answer_faults, parse_address
from dashboard.charts import insights, pictures, sentences, usage_profile
from dashboard.charts.chart_model import NOW, Chart, Measure
from dashboard.charts.view import MONEY, View
from dashboard.pages.household import chart_page, last_hour, live_tile, start_page, tiles
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import reader_language


def live_slots(data: CachedReads, device: Device, known: object, lang: Language) -> Slots:
    """Return a device's power now and the new part of its last hour; `known` is the browser's note of what it holds."""
    now, live = data.now(), data.live(device)
    home = live_tile.Home(device, data.usage_profile(device), data.rate(device), currency_of(device))
    held = last_hour.held(_told(known, "hour"), device.device_id, now)
    first = last_hour.since(held, live, now)
    readings = [] if first is None else data.readings(device, first, now)
    new = last_hour.news(device, held, live, readings, now)
    holds = last_hour.holds(held, live, new, now)
    tile = live_tile.slots(live, home, now, lang)
    slots = {
        **tile,
        "power-signal.children": live_tile.signal_label(data.known_status(device), now, lang),
        "hour-picture.figure": last_hour.figure(device.timezone, held, new, holds, now, lang),
        "live.data": {**tile["live.data"], "hour": holds.note(device.device_id)},
    }
    if last_hour.has_new_peaks(held, holds):
        slots |= {"hour-frame.aria-label": last_hour.summary(holds, lang), "hour-none.hidden": holds.high is not None}
    return slots if held else {**slots, **live_tile.lasting(home, lang)}


def tile_slots(data: CachedReads, device: Device, view: View, lang: Language) -> Slots:
    """Return the other tiles of a device as of now."""
    now, zone = data.now(), device.timezone
    today, this_month = (periods.period_of(level, now, zone) for level in ("day", "month"))
    usage = data.usage_profile(device)
    day = _open_period(data, device, "day", today, periods.shift("day", today, -words.WEEK), view.unit == MONEY)
    month = _open_period(data, device, "month", this_month, periods.shift("month", this_month, -1), view.unit == MONEY)
    return {
        "so-what.children": _so_what(data, device, today, lang),
        **tiles.today(day, today, zone, lang),
        **tiles.base(usage, data.rates(device, today), day.currency, lang),
        "base-tile.hidden": device.kind == GAS,
        "tiles.data-power": "none" if live_tile.has_no_power(device, data.live(device)) else "",
        **tiles.month(month, this_month, lang),
    }


def _so_what(data: CachedReads, device: Device, today: str, lang: Language) -> str:
    """Return the sentence on top: today against a usual weekday, and yesterday."""
    yesterday = periods.shift("day", today, -1)
    told = []
    for day in (today, yesterday):
        span = periods.window("day", day, device.timezone)
        elapsed_s = min(data.now(), span.end) - span.start
        usual = chart_page.load_usual(data, device, day, lang)
        told.append(insights.Told(data.document(device, "day", day), elapsed_s, usual))
    return insights.so_what(told[0], told[1], Measure(currency_of(device)), lang)


def _beside(data: CachedReads, viewer: User | None, device: Device, chart: Chart, lang: Language) -> Chart:
    """Return a chart of electricity with the facts of the home's gas meter, and of the meter of its panels."""
    if device.kind != ELECTRICITY:
        return chart
    gas, panels = (data.device(viewer, device.device_id + suffix) for suffix in (GAS_SUFFIX, SOLAR))
    level, period, of_gas = chart.view.level, chart.view.period, list[tuple[str, str]]()
    if gas:
        of_gas = insights.gas_facts(chart, data.document(gas, level, period).total, currency_of(gas), lang)
    made = data.document(panels, level, period).total if panels else None
    facts = []
    solar = insights.solar_facts(chart.total, made, lang)
    for name, meter, own in ((lang.say("Gas"), gas, of_gas), (lang.say("Made by the panels"), panels, solar)):
        url = View("household", meter.device_id, level, period).to_url() if meter else ""
        known = own or ([(name, lang.say("no data"))] if meter else [])
        facts += [(*one, "" if place else url) for place, one in enumerate(known)]
    return replace(chart, beside=tuple(facts))


def _with_facts(data: CachedReads, device: Device, chart: Chart, lang: Language) -> Chart:
    """Return a month's chart with its highest hour, today's with that of last week; whether its costs follow."""
    view, days, name = chart.view, list[Document](), lang.say("Highest hour")
    if view.level == periods.LOWEST and chart.when == NOW:
        name = lang.say("Highest hour of last week")
        days = data.documents(device, view.level, *insights.week_before(view.period, lang))
    elif periods.LEVELS[view.level].child == periods.LOWEST and not chart.total.is_empty:
        inside = list(periods.children(view.level, view.period).values())
        days = data.documents(device, periods.LOWEST, inside[0], inside[-1])
    is_repriced = data.is_repriced(device, view.level, view.period)
    highest = insights.highest_hour(name, days, view, lang)
    return replace(chart, is_repriced=is_repriced, beside=(*chart.beside, *highest))


def _open_period(
    data: CachedReads, device: Device, level: str, period: str, other: str, is_money: bool
) -> tiles.Period:
    """Return an open period and the comparable part of another.

    Both end at the newest reading if the device is silent, else now; the period of who moved out ended then.
    """
    now, zone, live = data.now(), device.timezone, data.live(device)
    whole = periods.window(level, period, zone)
    window = periods.Window(whole.start, min(whole.end, max(whole.start, seen_instants(device).end)))
    until = max(window.start, live.at) if live and arrival_state(live, now) == "silent" else min(now, window.end)
    wanted = usage_profile.chain_of(level, other, until, zone)
    chain = {one: data.document(device, one, name) for one, name in wanted.items()}
    comparable = usage_profile.so_far(chain, level, until, zone)
    return tiles.Period(window, until, data.document(device, level, period), comparable, currency_of(device), is_money)


# The callbacks


_CHANGED = text("The tariff has been changed. Charts follow within seconds; until then they show old costs.")
_GONE = text("There is no tariff any more. Charts follow within seconds; until then they show old costs.")
SAID = {"#tariff-changed": _CHANGED, "#tariff-gone": _GONE}


def show_page(
    data: CachedReads, viewer: User | None, view: View, shown: object, lang: Language, said: object = None
) -> Slots:
    """Return the values of a page. The browser keeps its chart if the version in `shown` is still current.

    `said` is the address's fragment, which names an action of another page (`SAID`).
    """
    current: dict[str, Any] = {"alert.children": []}
    if view.page == "home":
        devices = data.devices(viewer, start_page.MOST_CARDS)
        home = start_page.only_home(devices)
        if home is None:
            cards = start_page.home_content(data, viewer, lang)
            return {**current, **_without_device("", cards, is_awaited=not devices)}
        view = View("household", home.device_id)
    device = data.device(viewer, view.device_id) if view.page == "household" else None
    if device is None:
        return {**current, **_without_device(lang.say("Not found"), start_page.not_found_content(view, lang))}
    device = _named(data, viewer, device)
    slots = {**current, **_household(data, viewer, device, view, shown, lang)}
    if "shown.data" not in slots:
        return slots
    is_said = isinstance(said, str) and said in SAID
    announced = {"said.children": _said(str(said), device, lang) if is_said else "", "said.hidden": not is_said}
    return {**slots, **announced, **_visitor_slots(viewer, device, lang)}


def _named(data: CachedReads, viewer: User | None, device: Device) -> Device:
    """Return a device to show: a second meter has the name of its home, as the viewer sees that."""
    home = data.device(viewer, sender_of(device.device_id)) if device.is_second_meter and not device.name else None
    return replace(device, name=home.name) if home else device


def _said(action: str, device: Device, lang: Language) -> list[str | Component]:
    """Return the sentence of another page's action, and the way to take it back."""
    undo_url = f"{View('household', device.device_id).device_path}/tariff"
    return [lang.say(SAID[action]), " ", html.A(lang.say("Undo"), href=undo_url, **attributes(data_full=""))]


def show_live(data: CachedReads, viewer: User | None, shown: object, known: object, lang: Language) -> Slots:
    """Return the values that change every few seconds. `shown` names the device, `known` the browser's data of it."""
    device = data.device(viewer, _shown(shown, "device"))
    if device is None:
        return {}
    data.note_look(device)
    return live_slots(data, device, known, lang)


def _shown(shown: object, name: str) -> str:
    """Return what the browser says of its page; it may send anything."""
    value = _told(shown, name)
    return value if isinstance(value, str) else ""


def _told(note: object, name: str) -> object:
    return note.get(name) if isinstance(note, dict) else None


def _without_device(title: str, content: object, *, is_awaited: bool = False) -> Slots:
    """Return the values of a page without a device; the browser asks more often where the first one is awaited."""
    return {
        "shown.data": {"title": title, "version": "", "device": "", "is_awaited": is_awaited},
        "place.children": "",
        "home.hidden": False,
        "home.children": content,
        "units.hidden": True,
        "visiting.hidden": True,
        "said.hidden": True,
    }


def _visitor_slots(viewer: User | None, device: Device, lang: Language) -> Slots:
    """Return the note for who may change nothing on a household's page, and whether the links to changes show."""
    note: list[Component] = []
    if is_staff(viewer):
        support_url = f"/desk/device/{quote(device.device_id)}"
        note = [
            html.Span(lang.say("You see this as support, as the customer does; nothing can be changed here.")),
            html.A(lang.say("Back to the desk"), href=support_url, **attributes(data_full="")),
        ]
    elif is_over(device):
        note = [
            html.Span(lang.say("You do not live here any more: you see your own days, and nothing can be changed."))
        ]
    is_hidden = not may_edit(viewer, device)
    links = {"tariff.hidden": is_hidden, "history.hidden": is_hidden}
    return {"visiting.hidden": not note, "visiting.children": note, **links}


def _household(
    data: CachedReads, viewer: User | None, device: Device, view: View, shown: object, lang: Language
) -> Slots:
    """Return the tiles, and the chart unless the browser has it."""
    tiles = tile_slots(data, device, view, lang)
    chart, extent = chart_page.load_chart(data, device, view, lang)
    chart = _with_facts(data, device, _beside(data, viewer, device, chart, lang), lang)
    last = chart_page.last_period(data, device, view.level)
    now, zone = data.now(), device.timezone
    below = chart_page.load_below(data, device, chart)
    newest = f"{crc32(repr((chart, below, extent, last, lang.code)).encode()):08x}"
    if newest == _shown(shown, "version"):
        return tiles
    return {
        **tiles,
        **chart_page.chart_slots(chart, extent, last, now, zone, lang),
        **chart_page.slots(below, lang),
        **chart_page.outage_slots(data, device, chart, lang),
        "shown.data": {"title": f"{chart.name} · {chart.home}", "version": newest, "device": device.device_id},
        "place.children": html.H1(html.A(chart.home, href=View("household", device.device_id).to_url())),
        "home.hidden": True,
        "home.children": [],
    }


# The picture of a chart


def add_routes(server: Flask, data: CachedReads) -> None:
    """Add the address of a chart's picture to a server."""
    pictured = Blueprint("picture", __name__)

    @pictured.get("/d/<device_id>/<level>/<period>/picture.json")
    def picture(device_id: str, level: str, period: str) -> Response:
        device, view = parse_address(data, device_id, level, period)
        lang = reader_language()
        chart, extent = chart_page.load_chart(data, _named(data, access.viewer(), device), view, lang)
        is_drawn = chart.prices or not chart.is_empty
        nothing = "" if is_drawn else sentences.nothing(chart, extent[0] if extent else None, lang)[0]
        return Response(pictures.picture(chart, lang, nothing).to_json(), mimetype="application/json")

    answer_faults(pictured)
    server.register_blueprint(pictured)
