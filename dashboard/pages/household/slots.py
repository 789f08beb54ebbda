"""Slots: the changing values of the page by place, `component.property`, and the outputs that carry them.

The inside of a region is a tree of components with ids (`page.TREES`). A callback fills the tree with its values and
returns the whole as `content`; React then changes what differs. PAGE goes at each address and refresh; LIVE is polled
every few seconds by every viewer.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import Input, Output, State, no_update

from dashboard.text.trees import fill, names, plain

Slots = Mapping[str, Any]
Tree = Callable[[str], Any]  # the empty tree of a region, by its name

LIVE = ("hero-region.content", "age.data", "hour.data")
LIVE_STATE = ("shown.data", "known.data")
PAGE_INPUTS = ("url.pathname", "url.search", "wanted.data", "refresh.data")
PAGE_STATE = ("url.hash", "shown.data")
PAGE = (
    *("url.pathname", "url.search", "wanted.data", "shown.data", "alert.children"),
    *("top-region.content", "home-region.content", "tiles-region.content", "chart-region.content"),
    *("picture.figure", "more-region.content", "running-picture.figure"),
)


def _pairs(order: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, prop) for name, _, prop in (slot.partition(".") for slot in order)]


def inputs(order: Sequence[str]) -> list[Input]:
    """Return the inputs of a callback."""
    return [Input(name, prop) for name, prop in _pairs(order)]


def states(order: Sequence[str]) -> list[State]:
    """Return the states of a callback."""
    return [State(name, prop) for name, prop in _pairs(order)]


def outputs(order: Sequence[str]) -> list[Output]:
    """Return the outputs of a callback."""
    return [Output(name, prop) for name, prop in _pairs(order)]


def in_order(slots: Slots, order: Sequence[str], tree: Tree) -> list[Any]:
    """Return one value per output; `no_update` where nothing changed. A region is filled in whole or not at all."""
    places: dict[str, dict[str, Any]] = {}
    for slot, value in slots.items():
        name, _, prop = slot.partition(".")
        places.setdefault(name, {})[prop] = plain(value)
    return [_content(slot, places, tree) if slot.endswith(".content") else slots.get(slot, no_update) for slot in order]


def _content(slot: str, places: Mapping[str, Mapping[str, Any]], tree: Tree) -> Any:  # noqa: ANN401 - any JSON
    content = tree(slot.removesuffix(".content"))
    return fill(content, places) if names(content) & places.keys() else no_update


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Return the slots of a link; it is disabled without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
