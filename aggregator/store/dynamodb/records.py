"""Records as items of DynamoDB: a shelf is a partition, so that a range of keys is one query.

A write that compares leaves a mark of its own in the item (`w`). Should the answer get lost, AWS's client sends the
write again, and it would find the condition broken by itself: the mark tells that from another's write.
"""

from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, Door
from aggregator.store.dynamodb.items import Item
from aggregator.store.port import ANYTHING, Anything, Record, check_range, check_record


class Records:
    """The table `records`. What is read is what is stored now, or has been written in between."""

    def __init__(self, door: Door, table: str, clock: Callable[[], float]) -> None:
        self._door, self._table, self._clock = door, table, clock

    def get(self, shelf: str, key: str) -> str | None:
        """The body of a record, or None."""
        check_record(shelf, key)
        item = self._item(shelf, key)
        return item["b"]["S"] if item and not self._is_over(item) else None

    def between(self, shelf: str, first: str, last: str, limit: int, *, newest_first: bool) -> list[Record]:
        """The records from one key to another, in order of key, or backwards."""
        check_range(shelf, first, last)
        found: list[Record] = []
        if not last or first > last or limit < 1:  # which DynamoDB calls an error
            return found
        for item in self._query(shelf, first, last, limit, newest_first=newest_first):
            if not self._is_over(item):
                found.append(Record(item["s"]["S"], item["b"]["S"]))
            if len(found) == limit:
                break
        return found

    def put(self, shelf: str, key: str, body: str, was: str | Anything | None, expires: int) -> bool:
        """Write a record if what is stored is `was`; False when it is not."""
        check_record(shelf, key, body)
        item = {**_key(shelf, key), "b": items.text(body)} | ({"x": items.number(expires)} if expires else {})
        if was is ANYTHING:
            self._door.call("put_item", TableName=self._table, Item=item)
            return True
        mark = items.text(token_hex(6))
        request = _condition(None if was is None else str(was), int(self._clock()))
        try:
            self._door.call("put_item", TableName=self._table, Item=item | {"w": mark}, **request)
        except ConditionFailed:
            stored = self._item(shelf, key)
            return stored is not None and stored.get("w") == mark
        return True

    def drop(self, shelf: str, key: str) -> None:
        """Remove a record, if it is there."""
        check_record(shelf, key)
        self._door.call("delete_item", TableName=self._table, Key=_key(shelf, key))

    def _item(self, shelf: str, key: str) -> Item | None:
        answer = self._door.call("get_item", TableName=self._table, Key=_key(shelf, key), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def _is_over(self, item: Item) -> bool:
        """Whether it has expired, although DynamoDB may take days to remove it."""
        return "x" in item and int(item["x"]["N"]) <= self._clock()

    def _query(self, shelf: str, first: str, last: str, page: int, *, newest_first: bool) -> Iterator[Item]:
        ends = {":last": items.text(last)} | ({":first": items.text(first)} if first else {})
        span = "s BETWEEN :first AND :last" if first else "s <= :last"
        request: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": f"k = :k AND {span}",
            "ExpressionAttributeValues": {":k": items.text(shelf), **ends},
            "ConsistentRead": True,
            "ScanIndexForward": not newest_first,
            "Limit": page,
        }
        while True:
            answer = self._door.call("query", **request)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _key(shelf: str, key: str) -> Item:
    return {"k": items.text(shelf), "s": items.text(key)}


def _condition(was: str | None, now: int) -> dict[str, Any]:
    values = {":now": items.number(now)}
    if was is None:
        return {"ConditionExpression": "attribute_not_exists(s) OR x <= :now", "ExpressionAttributeValues": values}
    return {
        "ConditionExpression": "b = :was AND (attribute_not_exists(x) OR x > :now)",
        "ExpressionAttributeValues": values | {":was": items.text(was)},
    }
