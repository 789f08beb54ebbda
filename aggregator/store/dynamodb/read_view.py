"""Reads of DynamoDB tables, directly or through a step; writes of half-hour blocks.

`Reader` reads items, blocks and periods. `ReadView` reads through the current step, or else from the tables.
`write_block` merges evidence field by field. An undecodable item raises Damaged.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aggregator.core.errors import Damaged, StoreAway
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import Reading, merged
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.concurrent_steps import TRIES, ConcurrentSteps, Get, GetBlocks, Read, starts
from aggregator.store.dynamodb.dynamo_client import READS, TELL, ConditionFailed, DynamoClient, read_items, write_items
from aggregator.store.dynamodb.items import Item
from aggregator.store.port import LeaveOut


class Reader:
    """Reads of the tables with one prefix."""

    def __init__(self, client: DynamoClient, prefix: str) -> None:
        self._client, self._prefix = client, prefix

    def fetch(self, read: Read, is_consistent: bool) -> list[Item]:
        """Return the items of a read: at most one item, or blocks, nearest first."""
        if isinstance(read, Get):
            table = f"{self._prefix}-{read.table}"
            answer = self._client.call("get_item", TableName=table, Key=_item_key(read), ConsistentRead=is_consistent)
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

    def fetch_many(self, reads: Sequence[Get], is_consistent: bool) -> dict[Get, Item]:
        """Return the existing items of reads of one table."""
        keys = {_comparable(_item_key(read)): read for read in reads}
        table = f"{self._prefix}-{reads[0].table}"
        found = read_items(
            self._client, table, [_item_key(read) for read in keys.values()], is_consistent=is_consistent
        )
        return {keys[_comparable(item)]: item for item in found}

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


def _item_key(read: Get) -> Item:
    return {"d": items.text(read.device_id)} | ({"p": items.text(read.period)} if read.period else {})


def _comparable(item: Item) -> tuple[str, str]:
    return item["d"]["S"], item["p"]["S"] if "p" in item and "S" in item["p"] else ""


# Read view

Content = TypeVar("Content")

NEAR = 1  # extra block, to know whether there are more


class ReadView:
    """Reads of one store. Direct reads are eventually consistent until the store has written."""

    def __init__(self, reader: Reader, steps: ConcurrentSteps) -> None:
        self._reader, self._steps = reader, steps
        self.is_consistent = False
        self._ahead: dict[Get, Item] = {}

    def item(self, read: Get) -> Item | None:
        """Return one item, or None."""
        step = self._steps.step
        if step is None and read in self._ahead:
            return self._ahead[read]
        found = step.ask(read) if step else self._reader.fetch(read, self.is_consistent)
        return found[0] if found else None

    @contextmanager
    def reading_ahead(self, reads: Iterable[Get]) -> Iterator[None]:
        """Read items, many in one call; within, those that exist are not read again unless they are forgotten."""
        by_table: dict[str, list[Get]] = defaultdict(list)
        for read in reads:
            by_table[read.table].append(read)
        jobs = [(own[at : at + READS], True) for own in by_table.values() for at in range(0, len(own), READS)]
        for found in self._steps.side_by_side(self._reader.fetch_many, jobs):
            self._ahead |= found
        try:
            yield
        finally:
            self._ahead = {}

    def forget(self, read: Get) -> None:
        """Read an item again that this store has written."""
        self._ahead.pop(read, None)

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


def unpacked(
    unpack: Callable[[Item], Content], scanned: Iterable[Item], leave_out: LeaveOut | None
) -> Iterator[Content]:
    """Decode items; a damaged one is told to `leave_out` and left out, or without it raises Damaged."""
    for item in scanned:
        try:
            yield intact(unpack, item)
        except Damaged as error:
            if leave_out is None:
                raise
            leave_out(str(error))


# Block updates

FEW = 40  # readings of an insertion, each with the condition that nothing is there
MOST = 200  # readings of a new half hour in one call; DynamoDB accepts expressions of 4 KB with 300 operators
MERGED = 100  # readings in one call to a half hour that exists, each with a condition
METERS = 15  # meters in one call, each with a condition


def write_block(client: DynamoClient, table: str, key: Item, readings: Mapping[str, Reading], expires: int) -> int:
    """Merge readings (or intervals as such), by attribute name, into a block. Return the number that changed it.

    New readings are one write. Where something is there already, the write fails and tells what; then only what
    changes is written, so that a repeated reading changes nothing. Raises StoreAway.
    """
    stored: Item = {}
    accepted = 0
    for _ in range(TRIES):
        try:
            for count, request in _requests(_changed(readings, stored), stored, expires):
                client.call("update_item", TableName=table, Key=key, **request, **TELL)
                accepted += count
        except ConditionFailed as failed:
            stored = failed.item
        else:
            return accepted
    raise StoreAway(f"other writers changed the block {key} {TRIES} times in a row")


def _changed(readings: Mapping[str, Reading], stored: Item) -> dict[str, Reading]:
    """Return the merged readings that differ from those stored. A damaged one is replaced."""
    changed = {}
    for name, new in readings.items():
        known = None
        with suppress(KeyError, ValueError, IndexError):
            known = items.unpack_reading(new.device_id, new.at, stored[name]["B"], stored)
        both = merged(known, new) if known else new
        if both != known:
            changed[name] = both
    return changed


def _requests(readings: Mapping[str, Reading], stored: Item, expires: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the updates that write readings to a block as it was `stored`, each with its number of readings."""
    tags = items.meter_tags(_meters(readings), stored)
    expires = max(expires, int(stored.get("x", items.number(0))["N"]))
    if not stored and FEW < len(readings) <= MOST and len(tags) <= METERS:
        request = _request(readings, tags, expires, stored) | {"ConditionExpression": "attribute_not_exists(d)"}
        yield len(readings), request
        return
    batch: dict[str, Reading] = {}
    for name, reading in readings.items():
        if len(batch) == MERGED or len(_meters(batch) | {reading.meter_id}) > METERS:
            yield len(batch), _request(batch, tags, expires, stored)
            batch = {}
        batch[name] = reading
    if batch:
        yield len(batch), _request(batch, tags, expires, stored)


def _request(readings: Mapping[str, Reading], tags: Mapping[str, int], expires: int, stored: Item) -> dict[str, Any]:
    """Return an update that holds if the attributes are as `stored`, the meters' bytes free, the expiry not later."""
    shared = {"x": items.number(expires)}
    shared |= {items.meter_name(tags[meter]): items.text(meter) for meter in sorted(_meters(readings))}
    sets = shared | {name: {"B": items.pack_reading(reading, tags)} for name, reading in readings.items()}
    was = {f":was{name}": stored[name] for name in readings if name in stored}
    clauses = [f"(attribute_not_exists(#{name}) OR #{name}{'<=' if name == 'x' else '='}:{name})" for name in shared]
    clauses += [f"#{name}=:was{name}" if name in stored else f"attribute_not_exists(#{name})" for name in readings]
    return {
        "UpdateExpression": "SET " + ",".join(f"#{name}=:{name}" for name in sets),
        "ConditionExpression": " AND ".join(clauses),
        "ExpressionAttributeNames": {f"#{name}": name for name in sets},
        "ExpressionAttributeValues": {f":{name}": value for name, value in sets.items()} | was,
    }


def erase_names(client: DynamoClient, table: str, key: Item, names: Sequence[str]) -> None:
    """Remove attributes of an item; what others add meanwhile stays. A missing item stays missing."""
    for some in (names[at : at + MOST] for at in range(0, len(names), MOST)):
        spelled = {f"#{place}": name for place, name in enumerate(some)}
        with suppress(ConditionFailed):
            client.call(
                "update_item",
                TableName=table,
                Key=key,
                UpdateExpression=f"REMOVE {', '.join(spelled)}",
                ConditionExpression="attribute_exists(d)",
                ExpressionAttributeNames=spelled,
            )


def erase_blocks(client: DynamoClient, table: str, blocks: Iterable[Item], start: int, end: int) -> None:
    """Delete blocks within a span (UTC seconds); from others the readings in it and the intervals that overlap it."""
    deletes = []
    for item in blocks:
        block = int(item["b"]["N"])
        key = items.block_key(item["d"]["S"], block)
        if start <= block and block + HALF_HOUR <= end:
            deletes.append({"DeleteRequest": {"Key": key}})
        elif names := items.names_in(item, start, end):
            erase_names(client, table, key, names)
    write_items(client, table, deletes)


def _meters(readings: Mapping[str, Reading]) -> set[str]:
    return {reading.meter_id for reading in readings.values() if reading.meter_id is not None}
