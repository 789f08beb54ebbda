"""Doors that stand before the real one: they count, fail, interleave, or tear the streams into shards."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

from aggregator.core.errors import StoreAway
from aggregator.store.dynamodb.dynamo_client import DynamoClient, IteratorExpired, RecordsTrimmed

Answer = dict[str, Any]
WRITES = {"update_item", "put_item", "delete_item"}


class Passing:
    """A client that hands every call on."""

    def __init__(self, client: DynamoClient) -> None:
        self.client = client
        self.region = client.region

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        return self.client.call(operation, **request)


class Counting(Passing):
    """Counts the writes and the reads of items of each table."""

    def __init__(self, client: DynamoClient) -> None:
        super().__init__(client)
        self.writes: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation in WRITES or operation == "get_item":
            counts = self.writes if operation in WRITES else self.reads
            counts[request["TableName"].rsplit("-", 1)[1]] += 1
        return super().call(operation, **request)


class Failing(Passing):
    """Fails once, at its nth write or read of a stream; before it is made, or after (the answer gets lost)."""

    def __init__(self, client: DynamoClient, at: int, *, is_after: bool) -> None:
        super().__init__(client)
        self.left, self.is_after = at, is_after
        self._lock = threading.Lock()

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        with self._lock:
            self.left -= operation in WRITES | {"get_records"}
            is_turn = self.left == -1
            self.left -= is_turn
        if is_turn and not self.is_after:
            raise StoreAway("the network is gone")
        answer = super().call(operation, **request)
        if is_turn:
            raise StoreAway("the answer is lost")
        return answer


class NextForm(Passing):
    """Makes a store one of the next version: it writes documents in the form after this one, and reads both."""

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if request.get("ExpressionAttributeNames", {}).get("#v") == "v":
            values = request["ExpressionAttributeValues"]
            shifted = {name: _shifted(values[name], 1) for name in (":v", ":was_v") if name in values}
            request["ExpressionAttributeValues"] = values | shifted
        answer: Answer = self._older(super().call(operation, **request))
        return answer

    def _older(self, content: Any) -> Any:  # noqa: ANN401 - any part of an answer
        if isinstance(content, list):
            return [self._older(one) for one in content]
        if not isinstance(content, dict):
            return content
        is_document = {"p", "v"} <= content.keys()
        return {
            name: _shifted(one, -1) if is_document and name == "v" else self._older(one)
            for name, one in content.items()
        }


def _shifted(value: dict[str, str], by: int) -> dict[str, str]:
    return {"N": str(int(value["N"]) + by)}


class Interleaving(Passing):
    """Does something of another worker's right before this one's first write of a table."""

    def __init__(self, client: DynamoClient, table: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(client)
        self.table, self.meanwhile = table, meanwhile

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation in WRITES and request["TableName"].endswith(f"-{self.table}"):
            work, self.meanwhile = self.meanwhile, lambda: None
            work()
        return super().call(operation, **request)


class Torn(Passing):
    """Cuts each stream into generations of two shards; hands records out in any portions, some of them twice, and
    lets iterators expire. A shard must be drained before its child is read.
    """

    SHARD = 5  # records of a generation

    def __init__(self, client: DynamoClient, seed: int) -> None:
        super().__init__(client)
        self.chance = Random(seed)
        self.trimmed: Counter[str] = Counter()  # by stream: how many generations are gone
        self._records: dict[str, list[Answer]] = defaultdict(list)
        self._iterators: dict[str, str] = {}
        self._drained: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        own: dict[str, Callable[..., Answer]] = {
            "describe_stream": self._describe,
            "get_shard_iterator": self._iterator,
            "get_records": self._page,
        }
        if operation not in own:
            return super().call(operation, **request)
        with self._lock:
            return own[operation](**request)

    def _describe(self, StreamArn: str, **_: Any) -> Answer:  # noqa: ANN401, N803 - boto3's names
        self._fetch(StreamArn)
        generations = range(self.trimmed[StreamArn], len(self._records[StreamArn]) // self.SHARD + 1)
        shards = [
            {"ShardId": f"shard-{number}-{side}"} | ({"ParentShardId": f"shard-{number - 1}-{side}"} if number else {})
            for number in generations
            for side in "ab"
        ]
        return {"StreamDescription": {"Shards": shards}}

    def _iterator(
        self,
        StreamArn: str,  # noqa: N803
        ShardId: str,  # noqa: N803
        ShardIteratorType: str,  # noqa: N803
        SequenceNumber: str = "",  # noqa: N803
    ) -> Answer:
        _, number, side = ShardId.split("-")
        parent = f"shard-{int(number) - 1}-{side}"
        is_there = self.trimmed[StreamArn] < int(number)
        assert not is_there or (StreamArn, parent) in self._drained, f"{ShardId} is read before {parent} is drained"
        records = self._of(StreamArn, ShardId)
        known = [record["dynamodb"]["SequenceNumber"] for record in records]
        if int(number) < self.trimmed[StreamArn]:
            raise RecordsTrimmed("trimmed")
        position = known.index(SequenceNumber) + 1 if SequenceNumber else 0
        assert ShardIteratorType == ("AFTER_SEQUENCE_NUMBER" if SequenceNumber else "TRIM_HORIZON")
        return {"ShardIterator": f"{StreamArn}|{ShardId}|{position}|{self.chance.random()}"}

    def _page(self, ShardIterator: str) -> Answer:  # noqa: N803
        arn, shard_id, text, _ = ShardIterator.split("|")
        number, position = int(shard_id.split("-")[1]), int(text)
        if self.chance.random() < 0.1:
            raise IteratorExpired("15 minutes have passed")
        if number < self.trimmed[arn]:
            raise RecordsTrimmed("trimmed")
        self._fetch(arn)
        records = self._of(arn, shard_id)
        end = min(position + self.chance.randrange(4), len(records))
        repeated = self.chance.randrange(position + 1) if end > position else position
        page = [*records[repeated:position], *records[position:end]]
        is_closed = len(self._records[arn]) >= (number + 1) * self.SHARD
        if is_closed and end == len(records):
            self._drained.add((arn, shard_id))
            return {"Records": page}
        return {"Records": page, "NextShardIterator": f"{arn}|{shard_id}|{end}|{self.chance.random()}"}

    def _of(self, arn: str, shard_id: str) -> list[Answer]:
        _, number, side = shard_id.split("-")
        first = int(number) * self.SHARD
        generation = self._records[arn][first : first + self.SHARD]
        return [record for record in generation if _side(record) == side]

    def _beginning(self, arn: str) -> str:
        (shard,) = self.client.call("describe_stream", StreamArn=arn)["StreamDescription"]["Shards"]
        place = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator: str = self.client.call("get_shard_iterator", **place)["ShardIterator"]
        return iterator

    def _fetch(self, arn: str) -> None:
        """All the records that the real stream has by now."""
        iterator = self._iterators.get(arn) or self._beginning(arn)
        while True:
            try:
                answer = self.client.call("get_records", ShardIterator=iterator)
            except RecordsTrimmed:  # DynamoDB Local says so of an iterator from before the first record
                iterator, self._records[arn] = self._beginning(arn), []
                continue
            self._records[arn] += answer["Records"]
            iterator = self._iterators[arn] = answer["NextShardIterator"]
            if not answer["Records"]:
                return


def _side(record: Answer) -> str:
    """An item's records are all on one side."""
    return "ab"[crc32(repr(sorted(record["dynamodb"]["Keys"].items())).encode()) % 2]
