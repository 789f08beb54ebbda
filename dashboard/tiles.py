"""The tiles: what it is now, how today is, how the month is. Each keeps its lines, so nothing jumps."""

from dash import html
from dash.development.base_component import Component

from aggregator.documents import Document, Live
from aggregator.periods import DAY_S
from dashboard import sentences, words
from dashboard.attributes import attributes
from dashboard.sentences import LOW_W, MEDIUM_W
from dashboard.slots import Slots
from dashboard.words import Amount

SCALE_END_W = 10_000  # the right end of the high third
NO_READING, NO_POWER, NO_ENERGY = "no reading yet", "power not reported", "no data yet"


def power_tile() -> Component:
    """The hero: power now, its level in a word and on a scale, and how old that is."""
    steps = [html.I(className=name) for name in ("low", "medium", "high")]
    return html.Section(
        [
            html.H2("Power now", className="label"),
            html.P([*_amount("power"), html.Span(id="power-badge", className="badge")], className="amount"),
            html.Div([*steps, html.B(id="power-marker")], className="scale", **attributes(aria_hidden="true")),
            html.P([dot(), html.Time(id="power-age"), html.Span(id="power-note")], className="note"),
        ],
        id="hero",
        className="tile hero",
    )


def energy_tile(name: str, label: str) -> Component:
    """The energy of a period that is not over."""
    children = [
        html.H2(label, className="label"),
        html.P(_amount(name), className="amount"),
        html.P(id=f"{name}-note", className="note"),
    ]
    return html.Section(children, className="tile")


def power(live: Live | None, now: int, zone: str) -> Slots:
    """What the hero says."""
    state = sentences.freshness(live, now)
    watts = live.power_w if live else None
    amount = None if watts is None else words.power(watts)
    age, note = age_and_note(live, now, zone)
    return {
        "hero.data-state": state,
        "hero.data-level": sentences.level(watts),
        **_said("power", amount, NO_POWER if live else NO_READING),
        "power-badge.children": badge(live, now),
        "power-marker.style": {"visibility": "hidden"} if watts is None else {"left": f"{place(watts):.1f}%"},
        "power-age.children": age,
        "power-age.data-age": now - live.at if live and age else None,
        "power-note.children": note + (", the device may be offline" if state == "silent" else ""),
    }


def energy(name: str, document: Document | None, note: str) -> Slots:
    """What a tile of energy says; export, where there is some, takes the place of the note."""
    total = document.total if document else None
    imported, exported = (total.import_wh, total.export_wh) if total else (None, None)
    return {
        **_said(name, None if imported is None else words.energy(imported), NO_ENERGY),
        f"{name}-note.children": f"{words.energy(exported)} exported" if exported else note,
    }


def month_note(document: Document | None, month: str) -> str:
    """The daily average over the time that is known; the name of the month while that is short."""
    total = document.total if document else None
    known_s = total.covered_s + total.estimated_s if total else 0
    if not total or total.import_wh is None or known_s < DAY_S:
        return words.written("month", month, "MMMM")
    return f"{words.energy(total.import_wh * DAY_S // known_s)} a day"


def age_and_note(live: Live | None, now: int, zone: str) -> tuple[str, str]:
    """The age, which assets/wattfall.js counts on between polls, and what follows it."""
    state = sentences.freshness(live, now)
    if live is None:
        return "", "Waiting for the first reading"
    if state == "silent":
        return "", f"No reading since {words.since(live.at, now, zone)}"
    return words.ago(now - live.at), " · late" if state == "late" else ""


def badge(live: Live | None, now: int) -> str:
    """The level in a word; of a silent device only that the number is not of now."""
    level = sentences.level(live.power_w if live else None)
    if level == "unknown":
        return ""
    return "last known" if sentences.freshness(live, now) == "silent" else level


def dot() -> Component:
    """A light beside the age; its colour follows the state of the tile."""
    return html.Span(className="dot", **attributes(aria_hidden="true"))


def place(power_w: int) -> float:
    """Percent along the scale: each level has a third of it."""
    watts = abs(power_w)
    for third, (least, most) in enumerate(((0, LOW_W), (LOW_W, MEDIUM_W), (MEDIUM_W, SCALE_END_W))):
        if watts < most:
            return (third + (watts - least) / (most - least)) * 100 / 3
    return 100.0


def _amount(name: str) -> list[Component]:
    return [html.Span(id=f"{name}-{part}", className=part) for part in ("number", "unit", "without")]


def _said(name: str, amount: Amount | None, without: str) -> Slots:
    number, unit = amount or ("", "")
    return {
        f"{name}-number.children": number,
        f"{name}-unit.children": f" {unit}" if unit else "",
        f"{name}-without.children": "" if amount else without,
    }
