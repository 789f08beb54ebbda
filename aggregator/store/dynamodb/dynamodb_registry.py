"""What the store on DynamoDB knows beside energy: devices, how they are found, their live state, and records.

Records as items of DynamoDB: a collection is a partition, so that a range of keys is one query.

A write that compares leaves a mark of its own in the item (`w`). Should the answer get lost, AWS's client sends the
write again, and it would find the condition broken by itself: the mark tells that from another's write.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from heapq import nsmallest
from itertools import islice
from secrets import token_hex
from typing import Any

from aggregator.core.documents import Device, Live
from aggregator.store import search
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.concurrent_steps import ConcurrentSteps, Get
from aggregator.store.dynamodb.device_index import Index
from aggregator.store.dynamodb.dynamo_client import CONNECTIONS, ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.read_view import Reader, ReadView, intact
from aggregator.store.port import ANYTHING, LAST_KEY, Answer, Anything, Record, check_range, check_record


class Records:
    """The table `records`. What is read is what is stored now, or has been written in between."""

    def __init__(self, client: DynamoClient, table: str, clock: Callable[[], float]) -> None:
        self._client, self._table, self._clock = client, table, clock

    def get(self, collection: str, key: str) -> str | None:
        """The body of a record, or None."""
        check_record(collection, key)
        item = self._item(collection, key)
        return item["b"]["S"] if item and not self._is_over(item) else None

    def between(self, collection: str, first: str, last: str, limit: int, *, newest_first: bool) -> list[Record]:
        """The records from one key to another, in order of key, or backwards."""
        check_range(collection, first, last)
        found: list[Record] = []
        if not last or first > last or limit < 1:  # which DynamoDB calls an error
            return found
        for item in self._query(collection, first, last, limit, newest_first=newest_first):
            if not self._is_over(item):
                found.append(Record(item["s"]["S"], item["b"]["S"]))
            if len(found) == limit:
                break
        return found

    def put(self, collection: str, key: str, body: str, was: str | Anything | None, expires: int) -> bool:
        """Write a record if what is stored is `was`; False when it is not."""
        check_record(collection, key, body)
        item = {**_key(collection, key), "b": items.text(body)} | ({"x": items.number(expires)} if expires else {})
        if was is ANYTHING:
            self._client.call("put_item", TableName=self._table, Item=item)
            return True
        mark = items.text(token_hex(6))
        request = _condition(None if was is None else str(was), int(self._clock()))
        try:
            self._client.call("put_item", TableName=self._table, Item=item | {"w": mark}, **request)
        except ConditionFailed:
            stored = self._item(collection, key)
            return stored is not None and stored.get("w") == mark
        return True

    def drop(self, collection: str, key: str) -> None:
        """Remove a record, if it is there."""
        check_record(collection, key)
        self._client.call("delete_item", TableName=self._table, Key=_key(collection, key))

    def _item(self, collection: str, key: str) -> Item | None:
        answer = self._client.call("get_item", TableName=self._table, Key=_key(collection, key), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def _is_over(self, item: Item) -> bool:
        """Whether it has expired, although DynamoDB may take days to remove it."""
        return "x" in item and int(item["x"]["N"]) <= self._clock()

    def _query(self, collection: str, first: str, last: str, page: int, *, newest_first: bool) -> Iterator[Item]:
        ends = {":last": items.text(last)} | ({":first": items.text(first)} if first else {})
        span = "s BETWEEN :first AND :last" if first else "s <= :last"
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": f"k = :k AND {span}",
            "ExpressionAttributeValues": {":k": items.text(collection), **ends},
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


def _key(collection: str, key: str) -> Item:
    return {"k": items.text(collection), "s": items.text(key)}


def _condition(was: str | None, now: int) -> dict[str, Any]:
    values = {":now": items.number(now)}
    if was is None:
        return {"ConditionExpression": "attribute_not_exists(s) OR x <= :now", "ExpressionAttributeValues": values}
    return {
        "ConditionExpression": "b = :was AND (attribute_not_exists(x) OR x > :now)",
        "ExpressionAttributeValues": values | {":was": items.text(was)},
    }


# dynamodb registry


class DynamoRegistry:
    """The port's registry, live state and records on DynamoDB tables named `PREFIX-...`."""

    def __init__(self, client: DynamoClient, prefix: str, clock: Callable[[], float]) -> None:
        self._client, self._prefix, self._clock = client, prefix, clock
        self._reader = Reader(client, prefix)
        self._rounds = ConcurrentSteps(self._reader.fetch, CONNECTIONS)
        self._view = ReadView(self._reader, self._rounds)
        self._index = Index(client, prefix, self._reader, self._rounds.side_by_side)
        self._records = Records(client, f"{prefix}-records", clock)
        self._listed: list[Device] = []

    def begin(self, read: Callable[[], Answer]) -> Callable[[], Answer]:
        """Begin a read, beside those that have begun and those of other requests."""
        return self._rounds.begin(read)

    # registry

    def device(self, device_id: str) -> Device | None:
        """A device, or None."""
        item = self._view.item(Get("devices", device_id))
        return intact(items.unpack_device, item) if item and "z" in item else None

    def devices(self, after: str = "", limit: int = 1000) -> Sequence[Device]:
        """Devices in the order of their ids, those after `after`. One scan lists them for all following pages."""
        if not after or not self._listed:
            known = (item for item in self._reader.scan("devices") if "z" in item)
            self._listed = [intact(items.unpack_device, item) for item in known]
        return nsmallest(limit, (one for one in self._listed if one.device_id > after), key=lambda one: one.device_id)

    def put_device(self, device: Device) -> None:
        """Add or replace a device, and what it is found by; registers that it has ever reported stay."""
        self._view.is_consistent = True
        self._index.put(device)

    def find_devices(self, text: str, limit: int) -> list[str]:
        """The ids of devices that a text finds, at most `limit`."""
        is_consistent = self._view.is_consistent
        having = partial(self._index.having, is_consistent=is_consistent)

        def look(candidates: search.Candidates, known: search.Known) -> list[str]:
            return search.find_devices(text, limit, candidates, having, known)

        return self._found(look, is_consistent=is_consistent)

    def household_devices(self, household: str) -> list[str]:
        """The ids of a household's devices, in order, as they are now."""
        return self._found(partial(search.of_household, household), is_consistent=True)

    def _found(self, look: Callable[[search.Candidates, search.Known], list[str]], *, is_consistent: bool) -> list[str]:
        return look(
            partial(self._index.candidates, is_consistent=is_consistent),
            partial(self._index.known, is_consistent=is_consistent),
        )

    # live state

    def live(self, device_id: str) -> Live | None:
        """The newest reading of a device, or None."""
        item = self._view.item(Get("live", device_id))
        return intact(items.unpack_live, item) if item else None

    def lives(self, after: str = "", limit: int = 1000) -> list[Live]:
        """Live states in the table's own order, those after the device `after`."""
        start = {"d": items.text(after)} if after else None
        return [intact(items.unpack_live, item) for item in islice(self._reader.scan("live", start, limit), limit)]

    def put_live(self, states: Iterable[Live]) -> None:
        """Overwrite live states, each only by a newer instant, and keep the arrivals before it. One state a device."""
        self._view.is_consistent = True
        self._rounds.side_by_side(self._put_live, [(state,) for state in states])

    def _put_live(self, state: Live) -> None:
        with suppress(ConditionFailed):  # what is there is as new
            self._client.call("update_item", TableName=f"{self._prefix}-live", **items.live_update(state))

    # records

    def record(self, collection: str, key: str) -> str | None:
        """The body of a record as it is now, or None."""
        return self._records.get(collection, key)

    def records(
        self, collection: str, first: str = "", last: str = LAST_KEY, limit: int = 1000, newest_first: bool = False
    ) -> list[Record]:
        """The records from one key to another, both included, in order of key, or backwards."""
        return self._records.between(collection, first, last, limit, newest_first=newest_first)

    def put_record(
        self, collection: str, key: str, body: str, was: str | Anything | None = ANYTHING, expires: int = 0
    ) -> bool:
        """Write a record if what is stored is `was`; False when it is not. At once, whatever becomes of the round."""
        return self._records.put(collection, key, body, was, expires)

    def drop_record(self, collection: str, key: str) -> None:
        """Remove a record, if it is there."""
        self._records.drop(collection, key)

    def expire_records(self, now: int) -> int:  # noqa: ARG002 - the port's
        """None: they go by themselves."""
        return 0
