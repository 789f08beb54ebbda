"""Trees of HTML components in Dash's JSON form, `{"type": "Td", "props": {...}}`. Pure.

Pages build their parts of `dash.html`. `element` is for parts with hundreds of components: making an `html.Td` takes
0.03 ms, and Dash needs another 0.03 ms to write it as JSON.
"""

from collections.abc import Iterator
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


def ids(part: object) -> Iterator[str]:
    """Yield the ids of the components of a tree in the JSON form."""
    if isinstance(part, list):
        for one in part:
            yield from ids(one)
    elif isinstance(part, dict):
        if "id" in part["props"]:
            yield part["props"]["id"]
        yield from ids(part["props"].get("children"))
