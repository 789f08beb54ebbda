"""Slots: the changing places of the page, as values by `component.property`.

LIVE is polled every few seconds by every viewer; PAGE at each address and refresh.

Dash 4.4 walks all components of the page for every output of a callback and for every component that it builds. That
took about 1 ms each, a third of a change of period. So words, addresses, lists and figures go as one value, and
assets/slots.js writes them to their places. It leaves equal values alone, and so keeps the focus and open tables.
"""

from collections.abc import Mapping, Sequence
from functools import cache
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


def first_request() -> str:
    """Return Dash's first request to the PAGE callback as JSON, without the values of its inputs."""
    content = {
        "output": _output(PAGE),
        "outputs": _named(PAGE),
        "inputs": _named(PAGE_INPUTS),
        "changedPropIds": PAGE_INPUTS[:2],
        "state": _named(PAGE_STATE),
    }
    return orjson.dumps(content).decode()


@cache
def _output(order: tuple[str, ...]) -> str:
    """Return Dash's name of a callback, by its outputs."""
    return f"..{'...'.join(order)}.."


def values_of(body: Any, order: tuple[str, ...]) -> list[object]:  # noqa: ANN401 - JSON from anybody
    """Return the values of the inputs and the state in Dash's request to a callback; empty for any other request."""
    try:
        named = [*body["inputs"], *body["state"]] if body["output"] == _output(order) else []
        return [one.get("value") for one in named]
    except (TypeError, KeyError, AttributeError):
        return []


def answer(values: Sequence[object], order: Sequence[str]) -> bytes:
    """Return Dash's answer with one value per output."""
    response: dict[str, dict[str, object]] = {}
    for (name, prop), value in zip(pairs(order), values, strict=True):
        if value is not no_update:
            response.setdefault(name, {})[prop] = value
    return orjson.dumps({"multi": True, "response": response})


def _named(order: Sequence[str]) -> list[dict[str, str]]:
    return [{"id": name, "property": prop} for name, prop in pairs(order)]


def pairs(order: Sequence[str]) -> list[tuple[str, str]]:
    """Return slots as Dash's pairs of component and property."""
    return [(name, prop) for name, _, prop in (slot.partition(".") for slot in order)]


def outputs(order: Sequence[str]) -> list[Output]:
    """Return the outputs of a callback."""
    return [Output(name, prop) for name, prop in pairs(order)]


def in_order(slots: Slots, order: Sequence[str]) -> list[Any]:
    """Return one value per output; `no_update` where a slot is unchanged.

    The first output gets all slots that have no output of their own, as JSON.
    """
    others = {slot: value for slot, value in slots.items() if slot not in order}
    return [orjson.dumps(others, _plain).decode(), *(slots.get(slot, no_update) for slot in order[1:])]


def _plain(part: Component) -> dict[str, Any]:
    """Return a component in the form that assets/slots.js builds."""
    content: dict[str, Any] = part.to_plotly_json()  # type: ignore[no-untyped-call]
    return {"type": content["type"].lower(), "props": content["props"]}


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Return the slots of a link; it is disabled without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
