"""What the page shows at one address."""

from urllib.parse import quote
from zlib import crc32

from dash import html

from aggregator.core.documents import Device
from dashboard.accounts.access import may_edit
from dashboard.accounts.users import User
from dashboard.charts.view import View
from dashboard.pages.household import below_chart, chart_page, home, not_found, tile_data
from dashboard.pages.household.slots import Slots
from dashboard.text.attributes import attributes
from dashboard.text.language import Language
from dashboard.web.cached_reads import Data


def screen(data: Data, viewer: User | None, view: View, version: object, lang: Language) -> Slots:
    """The values of the page for a viewer who sees the chart of `version`: an equal one is not sent again."""
    device = data.device(viewer, view.device_id) if view.page == "household" else None
    if device:
        found = _household(data, device, view, version, lang)
        return {"alert.children": [], **found, **_visit(viewer, device, lang)}
    if view.page == "home":
        return {"alert.children": [], **_words("", home.content(data, viewer, lang))}
    return {"alert.children": [], **_words(lang.say("Not found"), not_found.content(view, lang))}


def live(data: Data, viewer: User | None, view: View, tick: object, known: object, lang: Language) -> Slots:
    """The values that change every few seconds, for a browser that asks by `tick` and says what it has."""
    served = {"main.data-served": f"{data.now()} {tick if isinstance(tick, int) else ''}"}
    device = data.device(viewer, view.device_id) if view.page == "household" else None
    if device is None:
        return served
    data.look(device)
    return served | dict(tile_data.live_slots(data, device, known, lang))


def _words(title: str, content: object) -> Slots:
    """A page that is not of one device."""
    return {
        "document.title": title,
        "place.children": "",
        "home.hidden": False,
        "home.children": content,
        "household.hidden": True,
        "household.data-version": "",
        "units.hidden": True,
        "tariff.children": "",
        "tariff.href": None,
        "visiting.hidden": True,
    }


def _visit(viewer: User | None, device: Device, lang: Language) -> Slots:
    """Of a page that is somebody else's: that it is, and nothing to change in it."""
    if may_edit(viewer, device):
        return {"visiting.hidden": True}
    desk = f"/desk/device/{quote(device.device_id)}"
    said = [
        html.Span(lang.say("You see this as support, as the customer does; nothing can be changed here.")),
        html.A(lang.say("Back to the desk"), href=desk, **attributes(data_full="")),
    ]
    return {"visiting.hidden": False, "visiting.children": said, "tariff.children": "", "tariff.href": None}


def _household(data: Data, device: Device, view: View, version: object, lang: Language) -> Slots:
    tiles = tile_data.tile_slots(data, device, view, lang)
    chart, extent = chart_page.read(data, device, view, lang)
    last = chart_page.last_period(data, device, view.level)
    now, zone = data.now(), device.timezone
    beneath = below_chart.read(data, device, chart)
    newest = f"{crc32(repr((chart, beneath, extent, last, lang.code)).encode()):08x}"
    if newest == version:
        return tiles
    return {
        **tiles,
        **chart_page.chart_slots(chart, extent, last, now, zone, lang),
        **below_chart.slots(beneath, lang),
        "household.data-version": newest,
        "place.children": html.A(device.name or device.device_id, href=View("household", device.device_id).to_url()),
        "home.hidden": True,
        "home.children": [],
        "household.hidden": False,
    }
