"""The places of the page that change: values by `component.property`.

LIVE is asked for every few seconds, by every viewer; PAGE on each address, and now and then.

Dash 4.4 goes once through all components of the page for every output of a callback and for every component that it
builds, about 1 ms each: a third of what a change of period took. So the words, addresses, lists and figures go as one
value, which assets/slots.js writes where they belong. What stays the same is not touched, nor what a person was doing
there: the focus, an open table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from dash import Output, no_update
from dash.development.base_component import Component

Slots = Mapping[str, Any]

LIVE_WRITTEN, PAGE_WRITTEN = "live.data-written", "page.data-written"
LIVE = (LIVE_WRITTEN, "hour.data")
PAGE_INPUTS = ("url.pathname", "url.search", "refresh.data")
PAGE_STATE = ("household.data-version",)
PAGE = (PAGE_WRITTEN, "alert.children", "household.data-version")


def question() -> str:
    """What Dash asks the callback of PAGE when a page is opened, in JSON, but for the values of its inputs."""
    content = {
        "output": f"..{'...'.join(PAGE)}..",
        "outputs": _named(PAGE),
        "inputs": _named(PAGE_INPUTS),
        "changedPropIds": PAGE_INPUTS[:2],
        "state": _named(PAGE_STATE),
    }
    return orjson.dumps(content).decode()


def _named(order: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": name, "property": prop} for name, prop in pairs(order)]


def pairs(order: Sequence[str]) -> list[tuple[str, str]]:
    """Slots as Dash takes them: the component and its property."""
    return [(name, prop) for name, _, prop in (slot.partition(".") for slot in order)]


def outputs(order: Sequence[str]) -> list[Output]:
    """The outputs of a callback."""
    return [Output(name, prop) for name, prop in pairs(order)]


def in_order(slots: Slots, order: Sequence[str]) -> list[Any]:
    """The values for the outputs, of which the first takes all that is not of another; the rest stays as it is."""
    written = {slot: value for slot, value in slots.items() if slot not in order}
    return [orjson.dumps(written, _plain).decode(), *(slots.get(slot, no_update) for slot in order[1:])]


def _plain(part: Component) -> dict[str, Any]:
    """A component as assets/slots.js builds it."""
    content: dict[str, Any] = part.to_plotly_json()  # type: ignore[no-untyped-call]
    return {"type": content["type"].lower(), "props": content["props"]}


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Where a link leads; nowhere without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
