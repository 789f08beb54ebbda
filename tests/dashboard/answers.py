"""The answers of the callbacks, read like a browser does."""

from collections.abc import Iterator, Mapping
from typing import Any


def by_place(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an answer with the properties of every component by its id, also of those inside a region."""
    response = dict(content.get("response", {}))
    for props in content.get("response", {}).values():
        for patch in props.get("values", {}).get("operations", []):
            for slot, value in patch["params"]["value"].items():
                name, _, prop = slot.partition(".")
                response[name] = {**response.get(name, {}), prop: value}
    return {**content, "response": response}


def parts(tree: object) -> Iterator[dict[str, Any]]:
    """Yield the components with an id in a tree."""
    if isinstance(tree, list):
        for one in tree:
            yield from parts(one)
    elif isinstance(tree, dict) and "props" in tree:
        if "id" in tree["props"]:
            yield tree
        yield from parts(tree["props"].get("children"))


def text_of(tree: object) -> str:
    """Return the text in a tree, as `textContent` does."""
    if isinstance(tree, list | tuple):
        return "".join(map(text_of, tree))
    if isinstance(tree, dict):
        return text_of(tree["props"].get("children"))
    return "" if tree is None else str(tree)


def named(slot: str) -> dict[str, object]:
    """Return a slot in Dash's format."""
    return dict(zip(("id", "property"), slot.split("."), strict=True))
