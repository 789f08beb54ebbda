"""Slots: the changing values of the page by place, `component.property`; the outputs that carry them; and `Region`.

The inside of a region is a tree of components with ids (`page.tree`). A callback fills the tree with its values and
returns the whole as `content`; React then changes what differs (assets/region.js). PAGE goes at each address and
refresh; LIVE is polled every few seconds by every viewer.

Dash 4.4 builds everything anew below a `children` output: the keyboard focus, open menus and the scroll were lost at
every step. It also walks all mounted components for each output (about 1 ms each at 130 components). The inside of a
Region is not among them, and its text, attributes and elements change in place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dash import Input, Output, State, no_update
from dash.development.base_component import Component

from dashboard.text.trees import Template, fill, plain

Slots = Mapping[str, Any]
Tree = Callable[[str], Template]  # the empty tree of a region, by its name

LIVE = ("hero-region.content", "age.data", "hour.data")
LIVE_STATE = ("shown.data", "known.data")
PAGE_INPUTS = ("url.pathname", "url.search", "wanted.data", "refresh.data")
PAGE_STATE = ("url.hash", "shown.data")
PAGE = (
    *("url.pathname", "url.search", "wanted.data", "shown.data", "alert.children"),
    *("top-region.content", "home-region.content", "tiles-region.content", "chart-region.content"),
    *("picture.figure", "more-region.content", "running-picture.figure"),
)


class Region(Component):
    """A tree of HTML components. Its `children`, such as a graph, stand in the places of `html.Slot`, in order."""

    _namespace = "wattfall"
    _type = "Region"
    _children_props: list[str] = []  # noqa: RUF012 - as Dash's base class has them
    _base_nodes = ["children"]  # noqa: RUF012

    def __init__(self, *children: Component, id: str, content: object = None) -> None:  # noqa: A002 - Dash's name
        self._prop_names = self.available_properties = ["children", "id", "content"]
        self._valid_wildcard_attributes = self.available_wildcard_properties = []
        super().__init__(children=list(children), id=id, content=plain(content))  # type: ignore[no-untyped-call]


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
    template = tree(slot.removesuffix(".content"))
    return no_update if template.ids.isdisjoint(places) else fill(template.tree, places)


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Return the slots of a link; it is disabled without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
