"""DynamoDB in this process, behind the store's own protocol: what our store uses of tables and streams, and no more.

It runs the contract suite like the emulator (`another` in conftest.py), and charges as the emulator does
(test_units.py). It refuses what DynamoDB refuses of the requests that our store could get wrong.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, TableMissing
from aggregator.store.dynamodb.items import Item, Value
from tests.contract.memory_expressions import Invalid, canonical, comparable, condition, placeholders, updated

Answer = dict[str, Any]
EXPRESSIONS = ("ConditionExpression", "FilterExpression", "KeyConditionExpression", "UpdateExpression")
LAST_KEY = "LastEvaluatedKey"
SHARD = "shardId-0"
FIRST_SEQUENCE = 10**20
PAGE = 1000  # records of a stream at once


@dataclass
class MemoryTable:
    """A table, and the records of its stream."""

    request: Answer
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    expires: str = ""
    partitions: dict[Any, dict[Any, Item]] = field(default_factory=dict)  # hash key -> range key -> item
    records: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name: str = self.request["TableName"]
        self.keys = [key["AttributeName"] for key in self.request["KeySchema"]]
        self.stream = self.request.get("StreamSpecification", {}).get("StreamViewType", "")

    def key_of(self, item: Item) -> Item:
        """The key of an item."""
        key = {name: item[name] for name in self.keys if name in item}
        if len(key) < len(self.keys) or any(value in ({"S": ""}, {"B": b""}) for value in key.values()):
            raise Invalid(f"ValidationException: the key of {self.name} in {item}")
        return key

    def find(self, key: Item) -> Item:
        """An item; empty where there is none."""
        if key.keys() != set(self.keys):
            raise Invalid(f"ValidationException: the key of {self.name} is not {key}")
        place = self._place(self.key_of(key))
        return self.partitions.get(place[0], {}).get(place[1], {})

    def write(self, key: Item, after: Item, *, is_expired: bool = False) -> None:
        """Replace an item, or remove it; what changes nothing leaves no record."""
        hashed, ranged = self._place(key)
        partition = self.partitions.setdefault(hashed, {})
        before = partition.pop(ranged, {})
        if after:
            partition[ranged] = after
        if self.stream and before != after:
            self._record(key, before, after, is_expired=is_expired)

    def partition(self, key: Value) -> list[Item]:
        """The items with one hash key, in order of the other."""
        return [item for _, item in sorted(self.partitions.get(comparable(key), {}).items())]

    def everything(self) -> list[Item]:
        """The items in the table's own order."""
        keys = sorted(self.partitions, key=lambda key: crc32(bytes(key)))
        return [item for key in keys for _, item in sorted(self.partitions[key].items())]

    def _place(self, key: Item) -> tuple[Any, Any]:
        hashed, *ranged = (comparable(key[name]) for name in self.keys)
        return hashed, ranged[0] if ranged else 0

    def _record(self, key: Item, before: Item, after: Item, *, is_expired: bool) -> None:
        images = {"NewImage": after} if after and self.stream == "NEW_IMAGE" else {}
        change = {
            "ApproximateCreationDateTime": datetime.now(UTC),
            "Keys": key,
            "SequenceNumber": str(FIRST_SEQUENCE + len(self.records)),
            **images,
        }
        name = "MODIFY" if before and after else "INSERT" if after else "REMOVE"
        who = {"userIdentity": {"principalId": "dynamodb.amazonaws.com"}} if is_expired else {}
        self.records.append({"eventName": name, "dynamodb": change, **who})


class MemoryClient:
    """A `DynamoClient` with tables of its own. Safe between threads: one call at a time."""

    region = "eu-west-2"

    def __init__(self) -> None:
        self._tables: dict[str, MemoryTable] = {}
        self._lock = threading.RLock()

    def close(self) -> None:
        """There is nothing to let go of."""

    def expire(self, name: str, now: int) -> None:
        """Delete the items of a table whose time to live (attribute `x`, UTC seconds) has passed, as DynamoDB does."""
        table = self._table(name)
        for item in table.everything():
            if "x" in item and int(item["x"]["N"]) <= now:
                table.write(table.key_of(item), {}, is_expired=True)

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        """One call. Raises TableMissing, ConditionFailed or Invalid."""
        used = set().union(*(placeholders(request[name]) for name in EXPRESSIONS if name in request))
        given = {*request.get("ExpressionAttributeNames", {}), *request.get("ExpressionAttributeValues", {})}
        if used != given:
            raise Invalid(f"ValidationException: {used ^ given} in {operation} of {request}")
        with self._lock:
            answer: Answer = getattr(self, f"_{operation}")(**request)
        return answer

    def _table(self, name: str) -> MemoryTable:
        if name not in self._tables:
            raise TableMissing(f"{name} does not exist in {self.region}; create it with `wattfall tables create`")
        return self._tables[name]

    # tables

    def _create_table(self, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if request["TableName"] in self._tables:
            raise Invalid(f"ResourceInUseException: {request['TableName']}")
        self._tables[request["TableName"]] = MemoryTable(request)
        return {}

    def _delete_table(self, TableName: str) -> Answer:  # noqa: N803 - boto3's names
        del self._tables[self._table(TableName).name]
        return {}

    def _describe_table(self, TableName: str) -> Answer:  # noqa: N803
        table = self._table(TableName)
        stream = table.request.get("StreamSpecification")
        description = {
            "TableStatus": "ACTIVE",
            "CreationDateTime": table.made,
            "ItemCount": len(table.everything()),
            "TableSizeBytes": sum(map(items.item_size, table.everything())),
            **({"StreamSpecification": stream, "LatestStreamArn": f"arn:{TableName}/stream/1"} if stream else {}),
        }
        return {"Table": description}

    def _describe_time_to_live(self, TableName: str) -> Answer:  # noqa: N803
        return {
            "TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED" if self._table(TableName).expires else "DISABLED"}
        }

    def _update_time_to_live(self, TableName: str, TimeToLiveSpecification: Answer) -> Answer:  # noqa: N803
        self._table(TableName).expires = TimeToLiveSpecification["AttributeName"]
        return {}

    # items

    def _get_item(self, TableName: str, Key: Item, ConsistentRead: bool = False, **more: Any) -> Answer:  # noqa: ANN401, N803
        found = self._table(TableName).find(Key)
        units = items.read_units(items.item_size(found), is_consistent=ConsistentRead)
        return ({"Item": dict(found)} if found else {}) | _charged(more, TableName, units)

    def _put_item(self, TableName: str, Item: Item, **request: Any) -> Answer:  # noqa: ANN401, N803
        after = {name: canonical(value) for name, value in Item.items()}
        return self._write(self._table(TableName), self._table(TableName).key_of(Item), after, request)

    def _delete_item(self, TableName: str, Key: Item, **request: Any) -> Answer:  # noqa: ANN401, N803
        return self._write(self._table(TableName), Key, {}, request)

    def _update_item(self, TableName: str, Key: Item, UpdateExpression: str, **request: Any) -> Answer:  # noqa: ANN401, N803
        table = self._table(TableName)
        names, values = _given(request)
        after, named = updated(table.find(Key) or dict(Key), UpdateExpression, names, values)
        if set(named) & set(table.keys):
            raise Invalid(f"ValidationException: {named} are part of the key")
        return self._write(table, Key, after, request, named)

    def _write(self, table: MemoryTable, key: Item, after: Item, request: Answer, named: Iterable[str] = ()) -> Answer:
        before = table.find(key)
        wanted = request.get("ConditionExpression")
        if wanted and not condition(wanted)(before, *_given(request)):
            told = request.get("ReturnValuesOnConditionCheckFailure", "NONE") == "ALL_OLD"
            raise ConditionFailed("the conditional request failed", dict(before) if told else None)
        table.write(key, after)
        wanted = request.get("ReturnValues", "NONE")
        if wanted == "ALL_NEW":
            attributes = dict(after)
        elif wanted == "UPDATED_OLD":
            attributes = {name: before[name] for name in named if name in before}
        elif wanted == "NONE":
            attributes = {}
        else:
            raise Invalid(f"ValidationException: ReturnValues {wanted}")
        units = items.write_units(max(items.item_size(before), items.item_size(after)))
        return ({"Attributes": attributes} if attributes else {}) | _charged(request, table.name, units)

    def _batch_write_item(self, RequestItems: dict[str, list[Answer]], **_: Any) -> Answer:  # noqa: ANN401, N803
        for name, requests in RequestItems.items():
            for one in requests:
                if "PutRequest" in one:
                    self._put_item(name, one["PutRequest"]["Item"])
                else:
                    self._delete_item(name, one["DeleteRequest"]["Key"])
        return {"UnprocessedItems": {}}

    def _batch_get_item(self, RequestItems: dict[str, Answer], **_: Any) -> Answer:  # noqa: ANN401, N803
        found = {
            name: [dict(item) for key in asked["Keys"] if (item := self._table(name).find(key))]
            for name, asked in RequestItems.items()
        }
        return {"Responses": found, "UnprocessedKeys": {}}

    # queries and scans

    def _query(self, TableName: str, KeyConditionExpression: str, **request: Any) -> Answer:  # noqa: ANN401, N803
        table = self._table(TableName)
        names, values = _given(request)
        _check_span(KeyConditionExpression, values)
        hashed = KeyConditionExpression.split()[2]
        is_wanted = condition(KeyConditionExpression)
        found = [item for item in table.partition(values[hashed]) if is_wanted(item, names, values)]
        if not request.get("ScanIndexForward", True):
            found.reverse()
        return _page(table, found, request)

    def _scan(self, TableName: str, **request: Any) -> Answer:  # noqa: ANN401, N803
        return _page(self._table(TableName), self._table(TableName).everything(), request)

    # streams

    def _describe_stream(self, StreamArn: str, **_: Any) -> Answer:  # noqa: ANN401, N803
        self._table(_streamed(StreamArn))
        return {"StreamDescription": {"Shards": [{"ShardId": SHARD}]}}

    def _get_shard_iterator(self, StreamArn: str, ShardId: str, ShardIteratorType: str, **more: str) -> Answer:  # noqa: N803
        assert ShardId == SHARD
        assert ShardIteratorType == ("AFTER_SEQUENCE_NUMBER" if more else "TRIM_HORIZON")
        position = int(more["SequenceNumber"]) - FIRST_SEQUENCE + 1 if more else 0
        return {"ShardIterator": f"{StreamArn}|{position}"}

    def _get_records(self, ShardIterator: str) -> Answer:  # noqa: N803
        arn, position = ShardIterator.split("|")
        page = self._table(_streamed(arn)).records[int(position) : int(position) + PAGE]
        return {"Records": page, "NextShardIterator": f"{arn}|{int(position) + len(page)}"}


def _given(request: Answer) -> tuple[dict[str, str], Item]:
    return request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {})


def _streamed(arn: str) -> str:
    return arn.split(":")[1].split("/")[0]


def _charged(request: Answer, table: str, units: float) -> Answer:
    if "ReturnConsumedCapacity" not in request:
        return {}
    return {"ConsumedCapacity": {"TableName": table, "CapacityUnits": units}}


def _check_span(expression: str, values: Item) -> None:
    if "BETWEEN" in expression:
        first, last = expression.split("BETWEEN ")[1].split(" AND ")
        if comparable(values[first]) > comparable(values[last]):
            raise Invalid("ValidationException: the BETWEEN operator has its bounds the wrong way round")


def _page(table: MemoryTable, found: list[Item], request: Answer) -> Answer:
    """The next items after a key, at most `Limit`, then those that the filter lets through."""
    if "ExclusiveStartKey" in request:
        keys = [table.key_of(item) for item in found]
        start = request["ExclusiveStartKey"]
        found = found[keys.index(start) + 1 :] if start in keys else list(_after(table, found, start, request))
    page = found[: request.get("Limit")]
    answer: Answer = {LAST_KEY: table.key_of(page[-1])} if page and len(page) == request.get("Limit") else {}
    units = items.read_units(sum(map(items.item_size, page)), is_consistent=request.get("ConsistentRead", False))
    names, values = _given(request)
    if "FilterExpression" in request:
        page = [item for item in page if condition(request["FilterExpression"])(item, names, values)]
    if "ProjectionExpression" in request:
        wanted = request["ProjectionExpression"].replace(" ", "").split(",")
        page = [{name: item[name] for name in wanted if name in item} for item in page]
    return {"Items": list(map(dict, page)), **answer, **_charged(request, table.name, units)}


def _after(table: MemoryTable, found: list[Item], start: Item, request: Answer) -> Iterator[Item]:
    """Those that come after a key that is no more."""
    is_onwards = request.get("ScanIndexForward", True)

    def place(key: Item) -> tuple[int, Any]:
        hashed, *ranged = (comparable(key[name]) for name in table.keys)
        return crc32(bytes(hashed)), ranged

    for item in found:
        if place(item) > place(start) if is_onwards else place(item) < place(start):
            yield item
