"""Readings into their half hour: one `SET` for all of them gives the same item in any order, however often."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aggregator.core.readings import Reading
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, Door
from aggregator.store.dynamodb.items import Item

AT_ONCE = 200  # readings in one call; DynamoDB takes expressions of 4 KB with 300 operators
METERS = 20  # different ones in one call; each has a condition


def write_block(
    door: Door, table: str, device_id: str, start: int, readings: Mapping[int, Reading], expires: int
) -> int:
    """Set readings of the half hour at `start` (UTC seconds). Returns how many were there, and the same, before.

    DynamoDB says what the attributes were before, which costs nothing; so nothing is read.
    """
    ordered = [readings[at] for at in sorted(readings)]
    return sum(_write(door, table, device_id, start, some, expires) for some in _batches(ordered))


def _write(door: Door, table: str, device_id: str, start: int, readings: Sequence[Reading], expires: int) -> int:
    key = items.block_key(device_id, start)
    meters = {reading.meter_id for reading in readings if reading.meter_id is not None}
    stored: Item = {}
    while True:
        tags = items.meter_tags(meters, stored)
        values = {
            items.reading_name(reading.at - start): {"B": items.pack_reading(reading, tags)} for reading in readings
        }
        try:
            answer = door.call("update_item", TableName=table, Key=key, **_request(values, tags, expires))
        except ConditionFailed:  # two meters with one tag: see which are taken
            stored = door.call("get_item", TableName=table, Key=key, ConsistentRead=True).get("Item", {})
            continue
        before = answer.get("Attributes", {})
        return sum(before.get(name) == value for name, value in values.items())


def _request(values: Item, tags: Mapping[str, int], expires: int) -> dict[str, Any]:
    meters = {items.meter_name(tag): items.text(meter) for meter, tag in tags.items()}
    sets = {"x": items.number(expires), **meters, **values}
    request: dict[str, Any] = {
        "UpdateExpression": "SET " + ",".join(f"#{name}=:{name}" for name in sets),
        "ExpressionAttributeNames": {f"#{name}": name for name in sets},
        "ExpressionAttributeValues": {f":{name}": value for name, value in sets.items()},
        "ReturnValues": "UPDATED_OLD",
    }
    if meters:
        clauses = [f"(attribute_not_exists(#{name}) OR #{name} = :{name})" for name in meters]
        request["ConditionExpression"] = " AND ".join(clauses)
    return request


def _batches(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    batch: list[Reading] = []
    meters: set[str | None] = set()
    for reading in readings:
        if len(batch) == AT_ONCE or len(meters | {reading.meter_id}) > METERS:
            yield batch
            batch, meters = [], set()
        batch.append(reading)
        meters.add(reading.meter_id)
    yield batch
