"""The live tile: the power now with its level, cost and age; the signal. Pure.

`last_hour` draws the hour in it. The start page shows the same levels and ages on its cards, and `roll_call` counts its
devices by state.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from dash import html
from dash.development.base_component import Component

from aggregator.core.documents import GAS, Device
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S
from aggregator.core.status import Strength, signal_strength
from aggregator.intake.device_status import KnownStatus
from aggregator.store.occupancies import is_over
from aggregator.support.device_state import State, arrival_state, device_state, is_power_old, is_supplied, rhythm_s
from aggregator.tariffs.rates import Rate
from dashboard.charts.usage_profile import USUAL, UsageProfile
from dashboard.pages.household.slots import Slots
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.text.words import attributes

# Signal

FRESH_S = DAY_S  # an older status says nothing about now
_SIGNALS: Mapping[Strength, str] = {
    "good": text(" · good signal to the meter"),
    "fair": text(" · fair signal to the meter"),
    "weak": text(" · weak signal to the meter"),
}


def signal_label(known: KnownStatus | None, now: int, lang: Language) -> str:
    """Return the signal in words, to follow the age of the newest reading; empty without a fresh status."""
    strength = signal_strength(known.status) if known and now - known.received_at <= FRESH_S else None
    return lang.say(_SIGNALS[strength]) if strength else ""


# States

_ROLL_CALL: Mapping[State, str] = {
    "sending": text("{count} sending"),
    "late": text("{count} late"),
    "silent": text("{count} silent"),
    "supplied": text("{count} from the supplier"),
    "never": text("{count} waiting for a first reading"),
}


def roll_call(devices: Iterable[tuple[Device, Live | None]], now: int, lang: Language) -> str:
    """Return the number of devices in each state: `3 sending · 1 late`."""
    counts = Counter(device_state(device, live, now) for device, live in devices)
    return " · ".join(lang.say(words, count=counts[state]) for state, words in _ROLL_CALL.items() if counts[state])


# The tile

_SILENT = (text("No reading since {time}"), text("No reading since {time}, no power since {power}"))
_LEVELS = {"low": text("low"), "medium": text("medium"), "high": text("high"), "exporting": text("exporting")}
_COSTS = {  # keys: is it import, is its price above zero
    (True, True): text("{price} an hour at this power"),
    (True, False): text("you are paid {price} an hour"),
    (False, True): text("earning {price} an hour"),
    (False, False): text("paying {price} an hour for export"),
}


def tile(lang: Language) -> Component:
    """Return the tile without its values."""
    steps = [html.I(className=name) for name in ("low", "medium", "high")]
    badge = [html.Span(id="power-badge", className="badge"), html.Span(id="power-relative", className="unseen")]
    return html.Section(
        [
            html.H2(
                [html.Span(lang.say("Power now"), id="power-name"), html.Span(id="power-direction")], className="label"
            ),
            html.Slot(),
            html.P([*amount("power"), *badge], className="amount"),
            html.P(id="power-cost", className="also"),
            html.Div(
                [*steps, html.B(id="power-marker", style={"opacity": "0"})],
                className="scale",
                **attributes(aria_hidden="true"),
            ),
            _last_hour(lang),
            html.P(
                [dot(), html.Slot(), html.Span(id="power-note"), html.Span(id="power-signal")],
                className="note",
            ),
        ],
        id="hero",
        className="tile hero",
    )


@dataclass(frozen=True, slots=True)
class Home:
    """The context of a home's newest reading."""

    device: Device
    usage: UsageProfile = USUAL
    rate: Rate | None = None  # of the current half hour; None without a tariff
    currency: str = ""


def slots(live: Live | None, home: Home, now: int, lang: Language) -> Slots:
    """Return the values of the tile."""
    usage = home.usage
    state = device_state(home.device, live, now)
    watts = live.power_w if live else None
    is_old = live is not None and is_power_old(live)
    is_current, level = state != "silent" and not is_old, usage.level(None if is_old else watts)
    amount = None if watts is None else words.power(watts, lang)
    age, note = age_and_note(home.device, live, now, lang)
    return {
        "hero.data-state": state,
        "hero.data-level": "none" if has_no_power(home.device, live) else level,
        **power_label("power", amount, without_power(home.device, live, lang)),
        "power-direction.children": direction(watts, lang) if is_current else "",
        "power-cost.children": cost(watts, home, lang) if is_current else "",
        "power-badge.children": badge(live, usage, now, lang),
        "power-marker.style": _marked(usage, None if is_old else watts),
        "live.data": {
            "age": now - live.power_instant if live and age else None,
            "power_w": watts if is_current else None,
        },
        "power-note.children": note + (lang.say(", the device may be offline") if state == "silent" else ""),
    }


def lasting(home: Home, lang: Language) -> Slots:
    """Return what goes with the whole hour only: the tile's name, and the limits of the levels as a sentence.

    The sentence is a tooltip, and text for screen readers.
    """
    usage = home.usage
    own = text("For this home, low is below {low} and high is from {high}")
    usual = text("Low is below {low}, high is from {high}, until a day is known of this home")
    low, high = (words.power(power_w, lang) for power_w in (usage.medium_w, usage.high_w))
    sentence = lang.say(own if usage.is_own else usual, low=low, high=high)
    return {
        "power-name.children": lang.say("Gas") if home.device.kind == GAS else lang.say("Power now"),
        "power-badge.title": sentence,
        "power-relative.children": f" ({sentence})",
    }


def direction(power_w: int | None, lang: Language) -> str:
    """Return the text after the tile's name for import; empty for export, which the badge names."""
    return lang.say(" · importing") if power_w and power_w > 0 else ""


def cost(power_w: int | None, home: Home, lang: Language) -> str:
    """Return the cost or the earnings of an hour at this power; empty at zero, or without a tariff."""
    if not power_w or home.rate is None:
        return ""
    units_per_wh = home.rate.import_rate if power_w > 0 else home.rate.export_rate
    if units_per_wh is None:
        return lang.say("no price known for now")
    if not units_per_wh:
        return ""
    sentence = _COSTS[power_w > 0, units_per_wh > 0]
    return lang.say(sentence, price=lang.price(abs(units_per_wh * power_w), home.currency))


def has_no_power(device: Device, live: Live | None) -> bool:
    """Whether no power will ever come: a gas meter has none, nor has the supplier; nor for who has moved out."""
    return (
        is_over(device)
        or is_supplied(device, live)
        or (device.kind == GAS and live is not None and live.power_w is None)
    )


def without_power(device: Device, live: Live | None, lang: Language) -> str:
    """Return the text in place of the power; of gas the time between two readings."""
    if device.kind == GAS and live and live.power_w is None and live.arrivals:
        return lang.say("read every {duration}", duration=words.duration(rhythm_s(live), lang))
    if has_no_power(device, live):
        return lang.say("no live power")
    return lang.say(text("power not reported") if live else text("no reading yet"))


_DATE = text("d MMMM y")


def age_and_note(device: Device, live: Live | None, now: int, lang: Language) -> tuple[str, str]:
    """Return the age of the power and the text after it; assets/live.js counts the age up between polls.

    The power may be older than the newest reading; the state is that of the readings.
    """
    if device.seen and is_over(device):
        return "", lang.say("You lived here until {day}", day=lang.date(date.fromisoformat(device.seen[1]), _DATE))
    if live is None:
        waiting, supplied = text("Waiting for the first reading"), text("Its energy comes from the supplier")
        return "", lang.say(supplied if is_supplied(device, live) else waiting)
    state, zone = arrival_state(live, now), device.timezone
    is_old = is_power_old(live)
    if state == "silent":
        since, power = (words.since(at, now, zone, lang) for at in (live.received_at, live.power_instant))
        return "", lang.say(_SILENT[is_old], time=since, power=power)
    notes = [text(" · late")] if state == "late" else []
    notes += [text(" · no power since")] if is_old else []
    return words.ago(now - live.power_instant, lang), "".join(map(lang.say, notes))


def badge(live: Live | None, usage: UsageProfile, now: int, lang: Language) -> str:
    """Return the level in a word; `last known` for a silent device, or after newer readings without power."""
    word = _LEVELS.get(usage.level(live.power_w if live else None), "")
    if live is None or not word:
        return ""
    is_old = arrival_state(live, now) == "silent" or is_power_old(live)
    return lang.say("last known") if is_old else lang.say(word)


def dot() -> Component:
    """Return the light beside the age; the state of the tile gives its colour."""
    return html.Span(className="dot", **attributes(aria_hidden="true"))


def amount(name: str) -> list[Component]:
    """Return the elements of a number, its unit, and the text without a number."""
    return [html.Span(id=f"{name}-{part}", className=part) for part in ("number", "unit", "without")]


def power_label(name: str, value: words.Amount | None, without: str) -> Slots:
    """Return the values for the elements of `amount`."""
    number, unit = value or ("", "")
    return {
        f"{name}-number.children": number,
        f"{name}-unit.children": f" {unit}" if unit else "",
        f"{name}-without.children": "" if value else without,
    }


def _marked(usage: UsageProfile, power_w: int | None) -> dict[str, str]:
    """Return the marker's place on the scale, as a transform, which shifts no other element."""
    return {"opacity": "0"} if power_w is None else {"transform": f"translateX({usage.place(power_w):.1f}%)"}


def _last_hour(lang: Language) -> Component:
    """Return the frame of the last hour; its graph stands in the slot."""
    marks = [html.Span(mark) for mark in ("−60 min", "−30 min", lang.say("now"))]
    return html.Div(
        [
            html.Div(html.Slot(), id="hour-frame", role="img", tabIndex="0", className="graph"),
            html.Slot(),
            html.P(lang.say("No power in the last hour"), id="hour-none", className="none", hidden=True),
            html.Div(marks, className="marks", **attributes(aria_hidden="true")),
        ],
        className="last-hour",
    )
