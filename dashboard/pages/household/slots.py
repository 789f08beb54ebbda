"""Slots: the changing values of the page by place, `component.property`; the outputs that carry them; and `Region`.

The inside of a region is a tree of components with ids. It is in the layout (`content`); the properties of its
components are `values`, by slot. A callback returns a `Patch`, whose values join those before, and React changes what
differs (assets/region.js). PAGE goes at each address and refresh; LIVE is polled every few seconds by every viewer.

Dash 4.4 builds everything anew below a `children` output: the keyboard focus, open menus and the scroll were lost at
every step. It also walks all mounted components for each output (about 1 ms each at 130 components). The inside of a
Region is not among them, and its text, attributes and elements change in place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import Input, Output, Patch, State, no_update
from dash.development.base_component import Component

from dashboard.text.words import plain

Slots = Mapping[str, Any]

LIVE = ("hero-region.values", "hour-picture.figure", "live.data")
LIVE_STATE = ("shown.data", "live.data")
PAGE_INPUTS = ("url.pathname", "url.search", "wanted.data", "refresh.data")
PAGE_STATE = ("url.hash", "shown.data")
PAGE = (
    *("url.pathname", "url.search", "wanted.data", "shown.data", "alert.children"),
    *("top-region.values", "home-region.values", "tiles-region.values", "chart-region.values"),
    *("picture.figure", "more-region.values", "running-picture.figure"),
)


class Region(Component):
    """A tree of HTML components (`content`), and properties for some of them, by slot (`values`).

    Its `children`, such as a graph, stand in the places of `html.Slot`, in order.
    """

    _namespace = "wattfall"
    _type = "Region"
    _children_props: list[str] = []  # noqa: RUF012 - as Dash's base class has them
    _base_nodes = ["children"]  # noqa: RUF012

    def __init__(
        self,
        *children: Component,
        id: str,  # noqa: A002 - Dash's name
        content: object = None,
    ) -> None:
        self._prop_names = self.available_properties = ["children", "id", "content", "values"]
        self._valid_wildcard_attributes = self.available_wildcard_properties = []
        given: dict[str, Any] = {"content": plain(content), "values": {}}
        super().__init__(children=list(children), id=id, **given)  # type: ignore[no-untyped-call]


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


def in_order(slots: Slots, order: Sequence[str], region_of: Mapping[str, str]) -> list[Any]:
    """Return one value per output; `no_update` where nothing changed.

    `region_of` names the output of the region of each component that is inside one.
    """
    answer: dict[str, Any] = {}
    joined: dict[str, dict[str, Any]] = {}
    for slot, value in slots.items():
        region = region_of.get(slot.partition(".")[0])
        if region is None:
            answer[slot] = value
        else:
            joined.setdefault(region, {})[slot] = value if type(value) is str else plain(value)
    return [_patch(joined[slot]) if slot in joined else answer.get(slot, no_update) for slot in order]


def _patch(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `Patch` that joins values to those before, as JSON: an object would cost a walk through all of it."""
    patch = Patch()
    patch.update(values)
    return dict(patch.to_plotly_json())


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Return the slots of a link; it is disabled without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
