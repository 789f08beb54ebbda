"""The start page: a card for each device of a household, with its power and the hours of today; a welcome without any.

It also holds the page of an unknown address.
"""

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

from dash import html
from dash.development.base_component import Component

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.live import Live
from aggregator.core.readings import GAS as GAS_SUFFIX
from aggregator.core.readings import SOLAR, sender_of
from aggregator.support.device_state import device_state, is_power_old
from dashboard.accounts.users import User
from dashboard.charts.usage_profile import UsageProfile
from dashboard.charts.view import View
from dashboard.pages.household import live_tile, navigation
from dashboard.text import words
from dashboard.text.language import Language
from dashboard.text.words import attributes
from dashboard.web.cached_reads import CachedReads

MOST_CARDS = 50


def only_home(devices: Sequence[Device]) -> Device | None:
    """Return the device whose page shows all of a household's: its only one, or with its gas meter and its panels."""
    if not devices:
        return None
    home, *others = devices
    shown = {home.device_id + GAS_SUFFIX, home.device_id + SOLAR}
    return home if all(one.device_id in shown for one in others) else None


def home_content(data: CachedReads, viewer: User | None, lang: Language) -> Component:
    """Return a card for each device that the viewer may see; a welcome without devices."""
    devices = data.devices(viewer, MOST_CARDS)
    if not devices:
        return _welcome(viewer, lang)
    now = data.now()
    names = {device.device_id: device.name for device in devices}
    devices = [replace(one, name=one.name or names.get(sender_of(one.device_id), "")) for one in devices]
    lives = [data.live(device) for device in devices]
    cards = [
        html.Li(_card(device, live, data.usage_profile(device), _today(data, device, now), now, lang))
        for device, live in zip(devices, lives, strict=True)
    ]
    counts = html.P(live_tile.roll_call(zip(devices, lives, strict=True), now, lang), className="roll-call")
    heading = html.Div([html.H1(lang.say("Devices")), counts], className="heading")
    return html.Div([heading, html.Ul(cards, className="devices")])


def _today(data: CachedReads, device: Device, now: int) -> Document:
    """Return the day so far; empty if unknown."""
    today = periods.period_of("day", now, device.timezone)
    return data.energy(device, "day", today) or Document("day", device.device_id, today, device.timezone, {})


def _today_label(total: Part, lang: Language) -> str:
    """Return the day's energy so far, of gas also its volume; empty if unknown."""
    known = [] if total.import_wh is None else [str(words.energy(total.import_wh, lang))]
    known += [] if total.volume_l is None else [str(words.volume(total.volume_l, lang))]
    return lang.say("{amount} today", amount=", ".join(known)) if known else ""


def _small_chart(today: Document) -> Component:
    """Return the hours of a day as small bars; the number beside them says the same."""
    slots = periods.slots("day", today.period, today.timezone)
    hours = [today.part(slot.name).import_wh for slot in slots]
    most = max((hour or 0 for hour in hours), default=0) or 1
    bars = [html.I(style={"height": f"{(hour or 0) / most:.0%}"}) for hour in hours]
    return html.Div(bars, className="small-chart", **attributes(aria_hidden="true"))


def _card(
    device: Device, live: Live | None, usage: UsageProfile, today: Document, now: int, lang: Language
) -> Component:
    watts = live.power_w if live and not is_power_old(live) else None
    age, note = live_tile.age_and_note(device, live, now, lang)
    badge = live_tile.badge(live, usage, now, lang)
    stamp = [html.Time(age)] if age else []
    return html.A(
        [
            html.Div(
                [
                    html.H2(navigation.home_name(device, lang), className="label"),
                    html.Span(_today_label(today.total, lang), className="today"),
                ],
                className="name",
            ),
            html.P([*_amount(device, live, lang), html.Span(badge, className="badge")], className="amount"),
            _small_chart(today),
            html.P([live_tile.dot(), *stamp, html.Span(note)], className="note"),
        ],
        href=View("household", device.device_id).to_url(),
        className="tile",
        **attributes(data_state=device_state(device, live, now), data_level=usage.level(watts)),
    )


def _amount(device: Device, live: Live | None, lang: Language) -> list[Component]:
    if live is None or live.power_w is None:
        return [html.Span(live_tile.without_power(device, live, lang), className="without")]
    number, unit = words.power(live.power_w, lang)
    return [html.Span(number, className="number"), html.Span(f" {unit}", className="unit")]


def _welcome(viewer: User | None, lang: Language) -> Component:
    claim = html.A(lang.say("Add a meter"), href="/account/claim", className="button", **attributes(data_full=""))
    household = quote(viewer.household if viewer else "")
    return html.Div(
        [
            html.H1(lang.say("Your first reading has not arrived yet")),
            html.P(lang.say("This page fills itself as soon as a device of your household sends.")),
            html.P([claim, " ", lang.say("with the code that came with it")]),
            html.H2(lang.say("Whoever runs this Wattfall can give your household a device:")),
            html.Pre(html.Code(f"wattfall device set DEVICE --household {household}"), tabIndex="0"),
        ],
        className="panel words",
    )


def not_found_content(view: View, lang: Language) -> Component:
    """Return the reason, and a link to all devices."""
    heading = lang.say("There is no page at this address")
    sentence = lang.say("The link may be old, or cut short.")
    if view.page == "household":
        heading = lang.say("This device is not known here")
        sentence = lang.say(
            "There is no device called {device} here that you may see. Check how its name is spelt.",
            device=view.device_id,
        )
    return html.Div(
        [html.H1(heading), html.P(sentence), html.A(lang.say("See all devices"), href="/", className="button")],
        className="panel words",
    )
