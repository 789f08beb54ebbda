"""Reads of DynamoDB tables, directly or through a step; writes of half-hour blocks.

`Reader` reads items, blocks and periods. `ReadView` reads through the current step, or else from the tables.
`write_block` merges readings with one `SET`, which gives the same item in any order and any number of times. An
undecodable item raises Damaged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from aggregator.core.errors import Damaged
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import Reading
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.concurrent_steps import ConcurrentSteps, Get, GetBlocks, Read, starts
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item


class Reader:
    """Reads of the tables with one prefix."""

    def __init__(self, client: DynamoClient, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def fetch(self, read: Read, is_consistent: bool) -> list[Item]:
        """Return the items of a read: at most one item, or blocks, nearest first."""
        if isinstance(read, Get):
            key = {"d": items.text(read.device_id)} | ({"p": items.text(read.period)} if read.period else {})
            table = f"{self._prefix}-{read.table}"
            answer = self._client.call("get_item", TableName=table, Key=key, ConsistentRead=is_consistent)
            return [answer["Item"]] if "Item" in answer else []
        return list(
            self._query(
                "readings",
                read.device_id,
                f"b {'>=' if read.is_onwards else '<='} :b",
                {":b": items.number(read.start)},
                limit=read.most,
                ConsistentRead=is_consistent,
                ScanIndexForward=read.is_onwards,
            )
        )

    def span(self, device_id: str, first: int, last: int, *, is_consistent: bool) -> Iterator[Item]:
        """Yield the blocks that start from `first` to `last`."""
        values = {":first": items.number(first), ":last": items.number(last)}
        yield from self._query(
            "readings", device_id, "b BETWEEN :first AND :last", values, ConsistentRead=is_consistent
        )

    def between(self, table: str, device_id: str, first: str, last: str, *, is_consistent: bool) -> Iterator[Item]:
        """Yield a device's items from one period to another, in order."""
        values = {":first": items.text(first), ":last": items.text(last)}
        return self._query(table, device_id, "p BETWEEN :first AND :last", values, ConsistentRead=is_consistent)

    def periods(
        self, table: str, device_id: str, *, is_consistent: bool, is_onwards: bool = True, limit: int | None = None
    ) -> Iterator[str]:
        """Yield the periods of a device's documents, forward or backward."""
        found = self._query(
            table,
            device_id,
            None,
            {},
            limit=limit,
            ConsistentRead=is_consistent,
            ScanIndexForward=is_onwards,
            ProjectionExpression="p",
        )
        return (item["p"]["S"] for item in found)

    def scan(self, table: str, after: Item | None = None, page: int | None = None) -> Iterator[Item]:
        """Yield every item of a table, or those after a key; read at most `page` at once."""
        request: dict[str, Any] = {"TableName": f"{self._prefix}-{table}"}
        request |= ({"ExclusiveStartKey": after} if after else {}) | ({"Limit": page} if page else {})
        while True:
            answer = self._client.call("scan", **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _query(
        self,
        table: str,
        device_id: str,
        condition: str | None,
        values: Item,
        *,
        limit: int | None = None,
        **more: Any,  # noqa: ANN401 - as boto3 takes it
    ) -> Iterator[Item]:
        request = {
            "TableName": f"{self._prefix}-{table}",
            "KeyConditionExpression": f"d = :d AND {condition}" if condition else "d = :d",
            "ExpressionAttributeValues": {":d": items.text(device_id)} | values,
            **more,
        }
        found = 0
        while True:
            if limit is not None:
                request["Limit"] = limit - found
            answer = self._client.call("query", **request)
            found += len(answer["Items"])
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer or found == limit:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


# Read view

Content = TypeVar("Content")

NEAR = 1  # extra block, to know whether there are more


class ReadView:
    """Reads of one store. Direct reads are eventually consistent until the store has written."""

    def __init__(self, reader: Reader, steps: ConcurrentSteps) -> None:
        self._reader, self._steps = reader, steps
        self.is_consistent = False

    def item(self, read: Get) -> Item | None:
        """Return one item, or None."""
        step = self._steps.step
        found = step.ask(read) if step else self._reader.fetch(read, self.is_consistent)
        return found[0] if found else None

    def blocks(self, device_id: str, first: int, last: int) -> Iterable[Item]:
        """Return the blocks that start from `first` to `last`, by time."""
        step = self._steps.step
        if step is None:
            return self._reader.span(device_id, first, last, is_consistent=self.is_consistent)
        found = step.find(device_id, first, last)
        if found is None:
            step.ask(GetBlocks(device_id, first, (last - first) // HALF_HOUR + 1 + NEAR, is_onwards=True))
            found = step.find(device_id, first, last)
        assert found is not None
        return found

    def starts(self, device_id: str, at: int, count: int) -> list[int]:
        """Return the starts of `count` blocks after `at` (`-count` before it), nearest first."""
        step, is_onwards = self._steps.step, count > 0
        starting = step.nearest(device_id, at, abs(count), is_onwards=is_onwards) if step else None
        if starting is not None:
            return starting
        read = GetBlocks(device_id, at + 1 if is_onwards else at - 1, abs(count), is_onwards)
        return starts(step.ask(read) if step else self._reader.fetch(read, self.is_consistent))


def intact(unpack: Callable[[Item], Content], item: Item) -> Content:
    """Decode an item. Raises Damaged where it cannot be decoded."""
    try:
        return unpack(item)
    except (KeyError, ValueError, IndexError) as error:
        key: Mapping[str, object] = {name: value for name, value in item.items() if name in ("d", "b", "p")}
        raise Damaged(f"the item {key} cannot be read ({error!r}); restore or delete it") from error


# Block updates

AT_ONCE = 200  # readings in one call; DynamoDB accepts expressions of 4 KB with 300 operators
METERS = 20  # meters in one call; each needs a condition


def write_block(
    client: DynamoClient, table: str, device_id: str, start: int, readings: Mapping[int, Reading], expires: int
) -> int:
    """Merge readings into the block at `start` (UTC seconds). Return the number that were there before, unchanged.

    DynamoDB returns the old attributes free of charge, so no read is needed.
    """
    ordered = [readings[at] for at in sorted(readings)]
    return sum(_write_some(client, table, device_id, start, some, expires) for some in _batches(ordered))


def _write_some(
    client: DynamoClient, table: str, device_id: str, start: int, readings: Sequence[Reading], expires: int
) -> int:
    key = items.block_key(device_id, start)
    meters = {reading.meter_id for reading in readings if reading.meter_id is not None}
    stored: Item = {}
    while True:
        tags = items.meter_tags(meters, stored)
        values = {
            items.reading_name(reading.at - start): {"B": items.pack_reading(reading, tags)} for reading in readings
        }
        try:
            answer = client.call("update_item", TableName=table, Key=key, **_request(values, tags, expires))
        except ConditionFailed:  # two meters have one tag: read the taken tags
            stored = client.call("get_item", TableName=table, Key=key, ConsistentRead=True).get("Item", {})
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
