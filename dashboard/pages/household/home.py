"""The start page: a card a device, or what to do when there is none."""

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import Device, Live
from dashboard.accounts.users import User
from dashboard.charts.usage_profile import Habits
from dashboard.charts.view import View
from dashboard.pages.household import live_tile, states
from dashboard.text import words
from dashboard.text.attributes import attributes
from dashboard.text.language import Language
from dashboard.web.cached_reads import Data

MOST_CARDS = 50
_EXAMPLE = """echo '{"device_id": "cad-1", "at": "'$(date -u +%FT%TZ)'", "power_w": 431}' | wattfall ingest -"""


def content(data: Data, viewer: User | None, lang: Language) -> Component:
    """The devices that the viewer may see, as of now."""
    devices = data.devices(viewer, MOST_CARDS)
    if not devices:
        return _first_visit(lang)
    now = data.now()
    lives = [data.live(device) for device in devices]
    cards = [
        html.Li(_card(device, live, data.habits(device), _today(data, device, now, lang), now, lang))
        for device, live in zip(devices, lives, strict=True)
    ]
    counts = html.P(states.roll_call(lives, now, lang), className="roll-call")
    heading = html.Div([html.H1(lang.say("Devices")), counts], className="heading")
    return html.Div([heading, html.Ul(cards, className="devices")])


def _today(data: Data, device: Device, now: int, lang: Language) -> str:
    """The energy of the day so far; empty when none is known."""
    document = data.document(device, "day", periods.period_of("day", now, device.timezone))
    imported = document.total.import_wh if document else None
    return "" if imported is None else lang.say("{amount} today", amount=words.energy(imported, lang))


def _card(device: Device, live: Live | None, habits: Habits, today: str, now: int, lang: Language) -> Component:
    watts = live.power_w if live else None
    age, note = live_tile.age_and_note(live, now, device.timezone, lang)
    badge = live_tile.badge(live, habits, now, lang)
    stamp = [html.Time(age, **attributes(data_age=now - live.at))] if live and age else []
    return html.A(
        [
            html.Div(
                [html.H2(device.name or device.device_id, className="label"), html.Span(today, className="today")],
                className="name",
            ),
            html.P([*_amount(live, lang), html.Span(badge, className="badge")], className="amount"),
            html.P([live_tile.dot(), *stamp, html.Span(note)], className="note"),
        ],
        href=View("household", device.device_id).to_url(),
        className="tile",
        **attributes(data_state=states.freshness(live, now), data_level=habits.level(watts)),
    )


def _amount(live: Live | None, lang: Language) -> list[Component]:
    if live is None or live.power_w is None:
        return [html.Span(lang.say(live_tile.NO_POWER if live else live_tile.NO_READING), className="without")]
    number, unit = words.power(live.power_w, lang)
    return [html.Span(number, className="number"), html.Span(f" {unit}", className="unit")]


def _first_visit(lang: Language) -> Component:
    return html.Div(
        [
            html.H1(lang.say("Your first reading has not arrived yet")),
            html.P(lang.say("This page fills itself as soon as a device sends. There are two ways to begin:")),
            html.H2(lang.say("Look around with made-up households")),
            html.Pre(html.Code("wattfall demo"), tabIndex="0"),
            html.H2(lang.say("Send a reading of your own")),
            html.Pre(html.Code(_EXAMPLE), tabIndex="0"),
        ],
        className="panel words",
    )
