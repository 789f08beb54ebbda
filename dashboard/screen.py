"""What the page shows at one address."""

from zlib import crc32

from dash import html

from aggregator.documents import Device
from dashboard.data import Data
from dashboard.pages import home, household, lost
from dashboard.slots import Slots
from dashboard.view import View


def screen(data: Data, viewer: str | None, view: View, version: object) -> Slots:
    """The values of the page for a viewer who sees the chart of `version`: an equal one is not sent again."""
    device = data.device(viewer, view.device_id) if view.page == "household" else None
    shown = {"alert.children": [], "main.data-served": data.now()}
    if device:
        return {**shown, **_household(data, device, view, version)}
    if view.page == "home":
        return {**shown, **_words("", home.content(data, viewer))}
    return {**shown, **_words("Not found", lost.content(view))}


def _words(title: str, content: object) -> Slots:
    """A page that is not of one device."""
    return {
        "title.data": title,
        "place.children": "",
        "home.hidden": False,
        "home.children": content,
        "household.hidden": True,
        "household.data-version": "",
    }


def _household(data: Data, device: Device, view: View, version: object) -> Slots:
    tiles = household.now_slots(data, device)
    chart, extent = household.read(data, device, view)
    now, zone = data.now(), device.timezone
    newest = f"{crc32(repr((chart, extent, view.at(now, zone))).encode()):08x}"
    if newest == version:
        return tiles
    return {
        **tiles,
        **household.chart_slots(chart, extent, now, zone),
        "household.data-version": newest,
        "place.children": html.A(device.device_id, href=View("household", device.device_id).to_url()),
        "home.hidden": True,
        "home.children": [],
        "household.hidden": False,
    }
