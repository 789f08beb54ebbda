"""The places of the page that change: values by `component.property`.

Dash builds a component's children anew whenever they are replaced, with all that a person was doing in them: the
focus, an open table, a drawn graph. So what people touch stays, and only texts, addresses and figures are sent.

LIVE is asked for every few seconds, by every viewer; PAGE on each address, and now and then.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import Output, no_update

Slots = Mapping[str, Any]

_AMOUNT = ("number.children", "unit.children", "without.children")
_LINK = ("href", "aria-current", "aria-disabled")
_LINKS = ("to-day", "to-month", "to-year", "previous", "current", "next", "unit-energy", "unit-money")
LIVE = (
    "main.data-served",
    "hero.data-state",
    "hero.data-level",
    *(f"power-{part}" for part in _AMOUNT),
    "power-direction.children",
    "power-cost.children",
    "power-badge.children",
    "power-marker.style",
    "power-age.children",
    "power-age.data-age",
    "power-note.children",
    "hour.data",
)
PAGE = (
    "alert.children",
    "title.data",
    "place.children",
    "home.hidden",
    "home.children",
    "visiting.hidden",
    "visiting.children",
    "household.hidden",
    "household.data-version",
    "power-badge.title",
    "power-relative.children",
    "power-signal.children",
    *(f"{tile}-{part}" for tile in ("today", "base", "month") for part in (*_AMOUNT, "also.children", "note.children")),
    *(f"{link}.{part}" for link in _LINKS for part in _LINK),
    "current-wide.children",
    "current-narrow.children",
    "units.hidden",
    "unit-money.children",
    "charge.hidden",
    "charge.children",
    "charge.href",
    "compared.children",
    "comparisons.children",
    "files.children",
    "tariff.href",
    "tariff.children",
    "picker.data-level",
    "picker.data-period",
    "picker.data-first",
    "picker.data-last",
    "picker.data-path",
    "crumbs.hidden",
    "crumbs.children",
    "heading.children",
    "figure.hidden",
    "total.children",
    "remarks.children",
    "legend.children",
    "picture.aria-label",
    "graph.figure",
    "columns.data-cells",
    "facts.children",
    "numbers.hidden",
    "table.data-rows",
    "nothing.hidden",
    "nothing.children",
    "more.hidden",
    "more-title.children",
    "more-words.children",
    "more-legend.children",
    "heat.hidden",
    "heat.data-grid",
    "running.hidden",
    "running-graph.figure",
    "running-picture.aria-label",
    "running-table.data-rows",
)


def outputs(order: Sequence[str]) -> list[Output]:
    """The outputs of a callback."""
    return [Output(component, prop) for component, prop in (slot.split(".") for slot in order)]


def in_order(slots: Slots, order: Sequence[str]) -> list[Any]:
    """The values for the outputs; what is not among them stays as it is."""
    strangers = slots.keys() - set(order)
    assert not strangers, strangers
    return [slots.get(slot, no_update) for slot in order]


def link(name: str, href: str | None, current: str | None = None) -> Slots:
    """Where a link leads; nowhere without an address."""
    return {
        f"{name}.href": href,
        f"{name}.aria-current": current,
        f"{name}.aria-disabled": None if href else "true",
    }
