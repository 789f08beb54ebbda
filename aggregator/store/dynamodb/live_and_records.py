"""Live states and records on DynamoDB.

A live state is updated field by field without a read.

A collection of records is a partition, so one query reads a range of keys. Those that every request of a fleet reads
(`stored_records.SPREAD`) are spread over partitions by the hash of the key, and a range is merged from all of them.

A conditional write of a record leaves a unique mark in its item (`w`). AWS's client repeats a write after a lost
answer, and the repeated write then fails against the first. The mark distinguishes this case from another writer.
"""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from secrets import token_hex
from typing import Any
from zlib import crc32

from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.port import name_once
from aggregator.store.stored_records import (
    ANYTHING,
    DAMAGED,
    DIFFERS,
    INDEX,
    Record,
    Was,
    check_range,
    check_record,
    packed,
    partitions,
)

_NO_ARRIVAL = items.number(0)  # before the first one
_ARRIVAL = ("t", "r", "kt")  # its instant, when it came in, their check value
_CHECKED = {"kt": "tr", "kp": ("p", "pt"), "ki": ("i", "it"), "ke": ("e", "et"), "km": "m"}  # by check value
_LIVE = ("t", "r", "p", "i", "e", "pt", "it", "et", "m")  # attributes of the newest values


def pack_live(live: Live) -> Item:
    """Encode a live state. Arrivals count back: `t1` and `r1` are the last one before the newest reading."""
    item = {"d": items.text(live.device_id)} | _known(live)
    for back, (at, received_at) in enumerate(reversed(live.arrivals), 1):
        item |= {f"t{back}": items.number(at), f"r{back}": items.number(received_at)}
        item |= {f"kt{back}": items.check_value(live.device_id, at, received_at)}
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
        for name in _ARRIVAL
    ]
    older = [
        f" AND (attribute_not_exists(#{name}) OR #{name} < :{name})"
        for name in ("pt", "it", "et")
        if name in known and known[name] != known["t"]
    ]
    names = [*known, *(f"{name}{back}" for back in range(1, REMEMBERED + 1) for name in _ARRIVAL)]
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
    """Return the attributes of the known values, of their instants, and their check values."""
    _, at, received_at, *values, meter, _, power_at, import_at, export_at = live
    found = {"t": items.number(at), "r": items.number(received_at)} | ({"m": items.text(meter)} if meter else {})
    for name, value, instant in zip("pie", values, (power_at, import_at, export_at), strict=True):
        if value is not None:
            found |= {name: items.number(value), f"{name}t": items.number(at if instant is None else instant)}
    known = {check: names for check, names in _CHECKED.items() if names[0] in found}
    return found | {check: items.check_value(*_values(live.device_id, found, names)) for check, names in known.items()}


def _values(device_id: str, item: Item, names: Sequence[str]) -> list[int | str | None]:
    return [device_id, *(items.native(item[name]) if name in item else None for name in names)]


def unpack_live(item: Item) -> Live:
    """Decode a live state. Raises ValueError where something of it differs from its check value."""
    known: dict[str, Any] = {name: int(one["N"]) if "N" in one else one["S"] for name, one in item.items()}
    for check, names in _CHECKS:
        if known.get(check) and known[check] != crc32(packed([known["d"], *map(known.get, names)])):
            raise ValueError(DIFFERS)
    instants = (None if known.get(name) == known["t"] else known.get(name) for name in ("pt", "it", "et"))
    arrivals = tuple(Arrival(known[at], known[received]) for at, received in _OLDEST_FIRST if known.get(at))
    return Live._make([*map(known.__getitem__, "dtr"), *map(known.get, "piem"), arrivals, *instants])


_OLDEST_FIRST = [(f"t{back}", f"r{back}") for back in range(REMEMBERED, 0, -1)]
_CHECKS = [*_CHECKED.items(), *((f"k{at}", (at, received)) for at, received in _OLDEST_FIRST)]


# Records


def record_key(collection: str, key: str) -> Item:
    """Return the key of a record."""
    names = partitions(collection)
    return {"k": items.text(names[crc32(key.encode()) % len(names)]), "s": items.text(key)}


def pack_record(collection: str, key: str, body: str, expires: int) -> Item:
    """Encode a record, which expires at `expires` (UTC seconds; 0: never)."""
    item = record_key(collection, key) | {"b": items.text(body)} | ({"x": items.number(expires)} if expires else {})
    return item | {"kb": items.check_value(*_record_values(item))}


def record_fault(item: Item) -> str:
    """Return one line for a record that differs from its check value, else an empty one."""
    try:
        items.compare(item, "kb", *_record_values(item))
    except (KeyError, ValueError):
        collection, key = (item[name]["S"] for name in "ks")
        name = "a record" if "@" in key else key  # an e-mail address
        return f"{name} of {collection} is damaged: {DIFFERS}; restore or delete it"
    return ""


def record_condition(was: str | None, stored: Item | None, now: int) -> dict[str, Any]:
    """Return the condition that a record has the body `was` (None: is missing or expired), or is still as `stored`."""
    if stored:
        names = [name for name in stored if name not in "ks"]
        values = {f":{name}": stored[name] for name in names}
        clauses = " AND ".join(f"#{name} = :{name}" for name in names)
        named = {f"#{name}": name for name in names}
        return {
            "ConditionExpression": clauses,
            "ExpressionAttributeNames": named,
            "ExpressionAttributeValues": values,
        }
    values = {":now": items.number(now)}
    if was is None:
        return {"ConditionExpression": "attribute_not_exists(s) OR x <= :now", "ExpressionAttributeValues": values}
    return {
        "ConditionExpression": "b = :was AND (attribute_not_exists(x) OR x > :now)",
        "ExpressionAttributeValues": values | {":was": items.text(was)},
    }


def is_search_term(item: Item) -> bool:
    """Whether an item of the table of records is a search term, see `device_index`."""
    return bool(item["k"]["S"].startswith(INDEX))


def _record_values(item: Item) -> list[int | str | None]:
    return [items.native(item[name]) if name in item else None for name in "ksbx"]


class Records:
    """The table `records`. All reads are consistent."""

    def __init__(self, client: DynamoClient, table: str, clock: Callable[[], float]) -> None:
        self._client, self._table, self._clock = client, table, clock

    def get(self, collection: str, key: str) -> str | None:
        """Return the body of a record; None without one, DAMAGED for a damaged one."""
        check_record(collection, key)
        item = self._item(collection, key)
        return self._body(item) if item else None

    def between(
        self, collection: str, first: str, last: str, limit: int, *, newest_first: bool, with_damaged: bool
    ) -> list[Record]:
        """Return the records from one key to another, in order of key or backwards."""
        check_range(collection, first, last)
        found: list[Record] = []
        if not last or first > last or limit < 1:  # DynamoDB rejects such a query
            return found
        places = [record_key(collection, first)["k"]["S"]] if first == last else partitions(collection)
        share = min(limit, 2 * limit // len(places) + 1)  # which holds what a page takes of nearly every partition
        pages = (self._query(one, first, last, share, newest_first=newest_first) for one in places)
        for item in merge(*pages, key=lambda item: str(item["s"]["S"]), reverse=newest_first):
            body = self._body(item)
            if body or (with_damaged and body is not None):
                found.append(Record(item["s"]["S"], body))
            if len(found) == limit:
                break
        return found

    def put(self, collection: str, key: str, body: str, was: Was, expires: int) -> bool:
        """Write a record if the stored body equals `was`; return whether it was written."""
        check_record(collection, key, body)
        item = pack_record(collection, key, body, expires)
        if was is ANYTHING:
            self._client.call("put_item", TableName=self._table, Item=item)
            return True
        stored = self._item(collection, key) if was == DAMAGED else None
        if was == DAMAGED and not (stored and record_fault(stored)):
            return False
        request = record_condition(None if was is None else str(was), stored, int(self._clock()))
        mark = items.text(token_hex(6))
        try:
            self._client.call("put_item", TableName=self._table, Item=item | {"w": mark}, **request)
        except ConditionFailed:
            stored = self._item(collection, key)
            return stored is not None and stored.get("w") == mark
        return True

    def drop(self, collection: str, key: str) -> None:
        """Delete a record, if it exists."""
        check_record(collection, key)
        self._client.call("delete_item", TableName=self._table, Key=record_key(collection, key))

    def _item(self, collection: str, key: str) -> Item | None:
        asked = {"TableName": self._table, "Key": record_key(collection, key), "ConsistentRead": True}
        item: Item | None = self._client.call("get_item", **asked).get("Item")
        return item

    def _body(self, item: Item) -> str | None:
        """Return the body of a record; None for one that has expired, which DynamoDB may delete days later."""
        if fault := record_fault(item):
            name_once(fault)
            return DAMAGED
        return None if "x" in item and int(item["x"]["N"]) <= self._clock() else str(item["b"]["S"])

    def _query(self, partition: str, first: str, last: str, page: int, *, newest_first: bool) -> Iterator[Item]:
        ends = {":last": items.text(last)} | ({":first": items.text(first)} if first else {})
        span = "s BETWEEN :first AND :last" if first else "s <= :last"
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": f"k = :k AND {span}",
            "ExpressionAttributeValues": {":k": items.text(partition), **ends},
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
            "Limit": page,
        }
        while True:
            answer = self._client.call("query", **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
