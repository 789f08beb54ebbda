"""The places of the page that change: values by `component.property`.

Dash builds a component's children anew whenever they are replaced, with all that a person was doing in them: the
focus, an open table, a drawn graph. So what people touch stays, and only texts, addresses and figures are sent.
"""

from collections.abc import Mapping
from typing import Any

from dash import Output, no_update

Slots = Mapping[str, Any]

_AMOUNT = ("number.children", "unit.children", "without.children")
_LINK = ("href", "aria-current", "aria-disabled")
ORDER = (
    "alert.children",
    "main.data-served",
    "title.data",
    "place.children",
    "home.hidden",
    "home.children",
    "household.hidden",
    "household.data-version",
    "hero.data-state",
    "hero.data-level",
    *(f"power-{part}" for part in _AMOUNT),
    "power-badge.children",
    "power-marker.style",
    "power-age.children",
    "power-age.data-age",
    "power-note.children",
    *(f"{tile}-{part}" for tile in ("today", "month") for part in (*_AMOUNT, "note.children")),
    *(f"{link}.{part}" for link in ("to-day", "to-month", "to-year", "previous", "current", "next") for part in _LINK),
    "current-wide.children",
    "current-narrow.children",
    "heading.children",
    "figure.hidden",
    "total.children",
    "remarks.children",
    "legend.children",
    "picture.aria-label",
    "graph.figure",
    "columns.children",
    "numbers.hidden",
    "table.children",
    "nothing.hidden",
    "nothing.children",
)


def outputs() -> list[Output]:
    """The outputs of the page's one callback."""
    return [Output(component, prop) for component, prop in (slot.split(".") for slot in ORDER)]


def in_order(slots: Slots) -> list[Any]:
    """The values for the outputs; what is not among them stays as it is."""
    strangers = slots.keys() - set(ORDER)
    assert not strangers, strangers
    return [slots.get(slot, no_update) for slot in ORDER]
