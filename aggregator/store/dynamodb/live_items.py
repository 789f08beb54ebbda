"""DynamoDB items of live states: their format, and updates that merge field by field without a read. Pure."""

from typing import Any

from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.items import Item

_NO_ARRIVAL = items.number(0)  # before the first one
_LIVE = ("t", "r", "p", "i", "e", "pt", "it", "et", "m")  # attributes of the newest values


def pack_live(live: Live) -> Item:
    """Encode a live state. Arrivals count back: `t1` and `r1` are the last one before the newest reading."""
    item = {"d": items.text(live.device_id)} | _known(live)
    for back, (at, received_at) in enumerate(reversed(live.arrivals), 1):
        item |= {f"t{back}": items.number(at), f"r{back}": items.number(received_at)}
    return item


def live_update(live: Live) -> dict[str, Any]:
    """Return the arguments of `update_item` that merge a newer live state into the stored one, and keep its arrival.

    The write itself moves each arrival back by one, so it needs no read. A failed condition means that something of
    the stored state is as new.
    """
    known = _known(live)
    moved = [
        f"#{name}{back} = if_not_exists(#{name}{back - 1 or ''}, :none)"
        for back in range(REMEMBERED, 0, -1)
        for name in "tr"
    ]
    older = [
        f" AND (attribute_not_exists(#{name}) OR #{name} < :{name})"
        for name in ("pt", "it", "et")
        if name in known and known[name] != known["t"]
    ]
    names = [*known, *(f"{name}{back}" for back in range(1, REMEMBERED + 1) for name in "tr")]
    return {
        "Key": {"d": items.text(live.device_id)},
        "UpdateExpression": "SET " + ", ".join([*moved, *(f"#{name} = :{name}" for name in known)]),
        "ConditionExpression": f"attribute_not_exists(d) OR (#t < :t{''.join(older)})",
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {":none": _NO_ARRIVAL} | {f":{name}": value for name, value in known.items()},
    }


def live_replacement(stored: Item, live: Live) -> dict[str, Any]:
    """Return the arguments of `update_item` that replace a stored live state, unless it has changed meanwhile."""
    sets = {name: value for name, value in pack_live(live).items() if name != "d"}
    was = {f":was_{name}": stored[name] for name in _LIVE if name in stored}
    clauses = [f"#{name} = :was_{name}" if name in stored else f"attribute_not_exists(#{name})" for name in _LIVE]
    return {
        "Key": {"d": items.text(live.device_id)},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in sets),
        "ConditionExpression": " AND ".join(clauses),
        "ExpressionAttributeNames": {f"#{name}": name for name in (*_LIVE, *sets)},
        "ExpressionAttributeValues": was | {f":{name}": value for name, value in sets.items()},
    }


def _known(live: Live) -> Item:
    """Return the attributes of the known values, and of their instants."""
    _, at, received_at, *values, meter, _, power_at, import_at, export_at = live
    found = {"t": items.number(at), "r": items.number(received_at)} | ({"m": items.text(meter)} if meter else {})
    for name, value, instant in zip("pie", values, (power_at, import_at, export_at), strict=True):
        if value is not None:
            found |= {name: items.number(value), f"{name}t": items.number(at if instant is None else instant)}
    return found


def unpack_live(item: Item) -> Live:
    """Decode a live state."""
    at, received_at = (int(item[name]["N"]) for name in "tr")
    *values, power_at, import_at, export_at = (int(item[n]["N"]) if n in item else None for n in _LIVE[2:-1])
    instants = (None if instant == at else instant for instant in (power_at, import_at, export_at))
    meter = item["m"]["S"] if "m" in item else None
    return Live._make([item["d"]["S"], at, received_at, *values, meter, _arrivals(item), *instants])


_OLDEST_FIRST = [(f"t{back}", f"r{back}") for back in range(REMEMBERED, 0, -1)]


def _arrivals(item: Item) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(int(item[at]["N"]), int(item[received]["N"]))
        for at, received in _OLDEST_FIRST
        if item.get(at, _NO_ARRIVAL) != _NO_ARRIVAL
    )
