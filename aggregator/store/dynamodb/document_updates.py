"""The writes that replace parts of a document, on the condition that they are what was read, or a device. Pure."""

from collections.abc import Collection, Mapping
from typing import Any

from aggregator.core.documents import Device, Part
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.items import Item, Value

Request = tuple[str, dict[str, Any]]  # the operation, and what it is asked


def merge_request(
    stored: Item | None, timezone: str, currency: str, parts: Mapping[str, Part | None], now: int
) -> Request | None:
    """What to call so that `stored` has these parts (None removes one); None when it has them already.

    When it changed (`now`, UTC seconds) is written with what changes and never by itself.
    """
    before = stored or {}
    wanted: dict[str, Value | None] = {name: part and {"B": items.pack_part(part)} for name, part in parts.items()}
    after = before | wanted
    if not any(value and "B" in value for value in after.values()):
        return ("delete_item", _condition(before, [name for name in before if name not in "dp"])) if before else None
    wanted |= {"z": items.text(timezone), "c": items.text(currency) if currency else None}
    changed = {name: value for name, value in wanted.items() if value != before.get(name)}
    if not changed:
        return None
    sets = {name: value for name, value in changed.items() if value is not None} | {"t": items.number(now)}
    gone = [f"#{name}" for name in changed if name not in sets]
    request = _condition(before, [*changed])
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    values = request.get("ExpressionAttributeValues", {}) | {f":{name}": value for name, value in sets.items()}
    return "update_item", request | {
        "UpdateExpression": expression + (f" REMOVE {', '.join(gone)}" if gone else ""),
        "ExpressionAttributeNames": request["ExpressionAttributeNames"] | {"#t": "t"},
        "ExpressionAttributeValues": values,
    }


def _condition(before: Item, names: list[str]) -> dict[str, Any]:
    """The attributes are still as they were, or still absent."""
    clauses = [f"#{name} = :was_{name}" if name in before else f"attribute_not_exists(#{name})" for name in names]
    values: dict[str, Value] = {f":was_{name}": before[name] for name in names if name in before}
    request: dict[str, Any] = {
        "ConditionExpression": " AND ".join(clauses),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
    }
    return request | ({"ExpressionAttributeValues": values} if values else {})


def device_update(device: Device, unsure: Collection[str] = ()) -> dict[str, Any]:
    """What to ask so that a device is as it should be; registers are only ever added.

    `unsure` are terms of which it will not be known whether they are in the index, see `index`.
    """
    labels = {items.LABEL_NAMES[field]: items.text(text) for field, text in device.labels.items()}
    sets = {"z": items.text(device.timezone), "w": items.number(device.max_power_w), **labels}
    sets |= {"t": items.text(device.tariff)} if device.tariff else {}
    sets |= {"k": items.text(device.marks)} if device.marks else {}
    adds = {"r": {"SS": list(device.registers)}} if device.registers else {}
    adds |= {"o": {"SS": sorted(unsure)}} if unsure else {}
    gone = [name for name in ("t", "k", *items.LABEL_NAMES.values()) if name not in sets]
    expression = "SET " + ", ".join(f"{name} = :{name}" for name in sets)
    expression += " REMOVE " + ", ".join(gone) if gone else ""
    expression += " ADD " + ", ".join(f"{name} :{name}" for name in adds) if adds else ""
    values = {f":{name}": value for name, value in (sets | adds).items()}
    return {"UpdateExpression": expression, "ExpressionAttributeValues": values}
