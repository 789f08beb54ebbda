"""The start page: a card a device, or what to do when there is none."""

from dash import html
from dash.development.base_component import Component

from aggregator import periods
from aggregator.documents import Device, Live
from dashboard import sentences, tiles, words
from dashboard.attributes import attributes
from dashboard.data import Data
from dashboard.view import View

MOST_CARDS = 50
_EXAMPLE = """echo '{"device_id": "cad-1", "at": "'$(date -u +%FT%TZ)'", "power_w": 431}' | wattfall ingest -"""


def content(data: Data, viewer: str | None) -> Component:
    """The devices that the viewer may see, as of now."""
    devices = data.devices(viewer, MOST_CARDS)
    if not devices:
        return _first_visit()
    now = data.now()
    states = [data.live(device) for device in devices]
    cards = [
        html.Li(_card(device, live, _today(data, device, now), now))
        for device, live in zip(devices, states, strict=True)
    ]
    counts = html.P(sentences.roll_call(states, now), className="roll-call")
    return html.Div([html.Div([html.H1("Devices"), counts], className="heading"), html.Ul(cards, className="devices")])


def _today(data: Data, device: Device, now: int) -> str:
    """The energy of the day so far; empty when none is known."""
    document = data.document(device, "day", periods.period_of("day", now, device.timezone))
    imported = document.total.import_wh if document else None
    return "" if imported is None else f"{words.energy(imported)} today"


def _card(device: Device, live: Live | None, today: str, now: int) -> Component:
    watts = live.power_w if live else None
    age, note = tiles.age_and_note(live, now, device.timezone)
    stamp = [html.Time(age, **attributes(data_age=now - live.at))] if live and age else []
    return html.A(
        [
            html.Div(
                [html.H2(device.device_id, className="label"), html.Span(today, className="today")], className="name"
            ),
            html.P([*_amount(live), html.Span(tiles.badge(live, now), className="badge")], className="amount"),
            html.P([tiles.dot(), *stamp, html.Span(note)], className="note"),
        ],
        href=View("household", device.device_id).to_url(),
        className="tile",
        **attributes(data_state=sentences.freshness(live, now), data_level=sentences.level(watts)),
    )


def _amount(live: Live | None) -> list[Component]:
    if live is None or live.power_w is None:
        return [html.Span(tiles.NO_POWER if live else tiles.NO_READING, className="without")]
    number, unit = words.power(live.power_w)
    return [html.Span(number, className="number"), html.Span(f" {unit}", className="unit")]


def _first_visit() -> Component:
    return html.Div(
        [
            html.H1("Your first reading has not arrived yet"),
            html.P("This page fills itself as soon as a device sends. There are two ways to begin:"),
            html.H2("Look around with made-up households"),
            html.Pre(html.Code("wattfall demo"), tabIndex="0"),
            html.H2("Send a reading of your own"),
            html.Pre(html.Code(_EXAMPLE), tabIndex="0"),
        ],
        className="panel words",
    )
