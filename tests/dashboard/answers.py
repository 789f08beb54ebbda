"""The answers of the callbacks, read like a browser does."""

import json
from collections.abc import Mapping
from typing import Any


def scattered(content: Mapping[str, Any], carrier: str) -> Mapping[str, Any]:
    """Return an answer with its joined values in the places where assets/slots.js writes them."""
    name, _, prop = carrier.partition(".")
    response = dict(content.get("response", {}))
    for slot, value in json.loads(response.pop(name, {prop: "{}"})[prop]).items():
        component, _, part = slot.partition(".")
        response[component] = response.get(component, {}) | {part: value}
    return {**content, "response": response}


def named(slot: str) -> dict[str, object]:
    """Return a slot in Dash's format."""
    return dict(zip(("id", "property"), slot.split("."), strict=True))
