"""Trees of HTML components in Dash's JSON form, `{"type": "Td", "props": {...}}`. Pure.

Pages build their parts of `dash.html`. `element` is for parts with hundreds of components: making an `html.Td` takes
0.03 ms, and Dash needs another 0.03 ms to write it as JSON.
"""

from collections.abc import Mapping
from typing import Any

from dash.development.base_component import Component

Tree = dict[str, Any]  # one component
HIDDEN = {"aria-hidden": "true"}


def element(name: str, children: object = None, **props: object) -> Tree:
    """Return an HTML component with a name of `dash.html`."""
    return {"type": name, "props": {**props, "children": plain(children)}}


def plain(part: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a tree of components in the JSON form."""
    if isinstance(part, Component):
        return element(type(part).__name__, **part.to_plotly_json()["props"])  # type: ignore[no-untyped-call]
    return [plain(one) for one in part] if isinstance(part, list | tuple) else part


def fill(part: Any, places: Mapping[str, Mapping[str, Any]]) -> Any:  # noqa: ANN401 - any JSON
    """Return a tree with the properties in `places`, by the ids of its components."""
    if isinstance(part, list):
        return [fill(one, places) for one in part]
    if not isinstance(part, dict):
        return part
    props = {**part["props"], "children": fill(part["props"].get("children"), places)}
    return {**part, "props": {**props, **places.get(props.get("id", ""), {})}}


def names(part: Any) -> set[str]:  # noqa: ANN401 - any JSON
    """Return the ids in a tree."""
    if isinstance(part, list):
        return set[str]().union(*map(names, part))
    if not isinstance(part, dict):
        return set()
    own = {part["props"]["id"]} if "id" in part["props"] else set[str]()
    return own | names(part["props"].get("children"))
