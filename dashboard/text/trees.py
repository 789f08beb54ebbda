"""Trees of HTML components in Dash's JSON form, `{"type": "Td", "props": {...}}`. Pure.

Pages build their parts of `dash.html`. `element` is for parts with hundreds of components: making an `html.Td` takes
0.03 ms, and Dash needs another 0.03 ms to write it as JSON.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Template:
    """A tree whose properties are filled in later, and the ids of its components."""

    tree: Any
    ids: frozenset[str]

    @classmethod
    def of(cls, part: object) -> "Template":
        """Return the template of a tree of components."""
        tree = plain(part)
        return cls(tree, frozenset(_ids(tree)))


def fill(part: Any, places: Mapping[str, Mapping[str, Any]]) -> Any:  # noqa: ANN401 - any JSON
    """Return a tree with the properties in `places`, by the ids of its components."""
    if isinstance(part, list):
        return [fill(one, places) for one in part]
    if not isinstance(part, dict):
        return part
    props = part["props"]
    given = places.get(props.get("id", ""), {})
    children = given["children"] if "children" in given else fill(props.get("children"), places)
    return {**part, "props": {**props, **given, "children": children}}


def _ids(part: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(part, list):
        for one in part:
            yield from _ids(one)
    elif isinstance(part, dict):
        if "id" in part["props"]:
            yield part["props"]["id"]
        yield from _ids(part["props"].get("children"))
