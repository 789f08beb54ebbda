"""Reads of DynamoDB tables: items, half hours of readings, periods."""

from collections.abc import Iterator
from typing import Any

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import Door
from aggregator.store.dynamodb.items import Item
from aggregator.store.dynamodb.steps import Get, Read


class Reader:
    """Reads through one door, of tables with one prefix."""

    def __init__(self, door: Door, prefix: str) -> None:
        self._door, self._prefix = door, prefix

    def fetch(self, read: Read, is_consistent: bool) -> list[Item]:
        """What a read asks for: at most one item, or half hours of readings, nearest first."""
        if isinstance(read, Get):
            key = {"d": items.text(read.device_id)} | ({"p": items.text(read.period)} if read.period else {})
            table = f"{self._prefix}-{read.table}"
            answer = self._door.call("get_item", TableName=table, Key=key, ConsistentRead=is_consistent)
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
        """The blocks that start from `first` to `last`."""
        values = {":first": items.number(first), ":last": items.number(last)}
        yield from self._query(
            "readings", device_id, "b BETWEEN :first AND :last", values, ConsistentRead=is_consistent
        )

    def between(self, table: str, device_id: str, first: str, last: str, *, is_consistent: bool) -> Iterator[Item]:
        """The items of a device from one period to another, in order."""
        values = {":first": items.text(first), ":last": items.text(last)}
        return self._query(table, device_id, "p BETWEEN :first AND :last", values, ConsistentRead=is_consistent)

    def periods(
        self, table: str, device_id: str, *, is_consistent: bool, is_onwards: bool = True, limit: int | None = None
    ) -> Iterator[str]:
        """The periods of a device's documents, in order or backwards."""
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
        """Every item of a table, or those after a key; at most `page` are read at once."""
        request: dict[str, Any] = {"TableName": f"{self._prefix}-{table}"}
        request |= ({"ExclusiveStartKey": after} if after else {}) | ({"Limit": page} if page else {})
        while True:
            answer = self._door.call("scan", **request)
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
            answer = self._door.call("query", **request)
            found += len(answer["Items"])
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer or found == limit:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
