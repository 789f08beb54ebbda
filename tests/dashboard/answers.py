"""What the callbacks answer, read as the browser reads it."""

import json
from collections.abc import Mapping
from typing import Any


def scattered(content: Mapping[str, Any], carrier: str) -> Mapping[str, Any]:
    """An answer with what is sent together put where assets/slots.js writes it."""
    name, _, prop = carrier.partition(".")
    response = dict(content.get("response", {}))
    for slot, value in json.loads(response.pop(name, {prop: "{}"})[prop]).items():
        component, _, part = slot.partition(".")
        response[component] = response.get(component, {}) | {part: value}
    return {**content, "response": response}


def named(slot: str) -> dict[str, object]:
    """A slot as Dash writes it."""
    return dict(zip(("id", "property"), slot.split("."), strict=True))
