"""Which worker reads which shard of a stream, and how far it has come: the table `checkpoints`.

| `s` | attributes |
|---|---|
| `TABLE/STREAM/SHARD` | `o` owner, `u` until when (UTC seconds), `q` the last sequence number carried on, `e` done |
| `aside/DEVICE` | keys that cannot be carried on, each with the reason (see `asides`) |
| `TABLE` | `a` the ARN of its stream, `t` when it was last followed (UTC seconds) |

Keys that cannot be carried on, kept with the reason: in `checkpoints`, an item a device, an attribute a key.

The change feed of a process that does not follow the streams: it remembers what it has made dirty itself.

One-shot commands carry their own changes on with it. Whoever follows the streams carries them too, which does no harm.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count, islice
from typing import Protocol

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.port import Backlog, Change

LEASE_S = 90  # how long a worker that has died keeps others from its shards


class Leases:
    """The table `checkpoints`, as one worker uses it."""

    def __init__(self, client: DynamoClient, table: str, clock: Callable[[], float], owner: str) -> None:
        self._client, self._table, self._clock, self.owner = client, table, clock, owner

    def take(self, name: str) -> Item | None:
        """Take or renew the lease of a shard: its checkpoint, or None while another worker has it."""
        now = self._clock()
        try:
            answer = self._client.call(
                "update_item",
                TableName=self._table,
                Key={"s": items.text(name)},
                UpdateExpression="SET o = :me, u = :until",
                ConditionExpression="attribute_not_exists(o) OR o = :me OR u < :now",
                ExpressionAttributeValues={
                    ":me": items.text(self.owner),
                    ":until": items.number(int(now + LEASE_S)),
                    ":now": items.number(int(now)),
                },
                ReturnValues="ALL_NEW",
            )
        except ConditionFailed:
            return None
        checkpoint: Item = answer["Attributes"]
        return checkpoint

    def save(self, name: str, position: str | None, *, is_finished: bool) -> bool:
        """Note how far a shard is carried on, if it is still ours; a finished one is anybody's."""
        until = 0 if is_finished else int(self._clock() + LEASE_S)
        values = {":me": items.text(self.owner), ":until": items.number(until)}
        expression = "SET u = :until"
        if position:
            expression, values = f"{expression}, q = :q", values | {":q": items.text(position)}
        if is_finished:
            expression, values = f"{expression}, e = :e", values | {":e": items.number(1)}
        try:
            self._client.call(
                "update_item",
                TableName=self._table,
                Key={"s": items.text(name)},
                UpdateExpression=expression,
                ConditionExpression="o = :me",
                ExpressionAttributeValues=values,
            )
        except ConditionFailed:
            return False
        return True

    def release(self, name: str) -> None:
        """Let another worker have a shard at once."""
        with suppress(ConditionFailed):
            self._client.call(
                "update_item",
                TableName=self._table,
                Key={"s": items.text(name)},
                UpdateExpression="SET u = :u",
                ConditionExpression="o = :me",
                ExpressionAttributeValues={":me": items.text(self.owner), ":u": items.number(0)},
            )

    def forget(self, name: str) -> None:
        """Remove the checkpoint of a shard that is no more."""
        self._client.call("delete_item", TableName=self._table, Key={"s": items.text(name)})

    def seen(self, stream: str) -> Item | None:
        """The note about a stream, if it has ever been followed."""
        answer = self._client.call(
            "get_item", TableName=self._table, Key={"s": items.text(stream)}, ConsistentRead=True
        )
        note: Item | None = answer.get("Item")
        return note

    def note(self, stream: str, arn: str) -> None:
        """A stream has been followed up to now."""
        item = {"s": items.text(stream), "a": items.text(arn), "t": items.number(int(self._clock()))}
        self._client.call("put_item", TableName=self._table, Item=item)


# quarantine


class Quarantine:
    """What was put aside."""

    def __init__(self, client: DynamoClient, table: str) -> None:
        self._client, self._table = client, table

    def put(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Keep keys of a table."""
        for key in keys:
            self._client.call(
                "update_item",
                TableName=self._table,
                Key=_key(device_id),
                UpdateExpression="SET #key = :reason",
                ExpressionAttributeNames={"#key": f"{table} {key}"},
                ExpressionAttributeValues={":reason": items.text(reason)},
            )

    def lines(self, device_id: str) -> list[str]:
        """What was put aside of a device, a line each."""
        answer = self._client.call("get_item", TableName=self._table, Key=_key(device_id), ConsistentRead=True)
        return [f"{name}: {value['S']}" for name, value in sorted(answer.get("Item", {}).items()) if name != "s"]

    def clear(self, device_id: str) -> None:
        """Forget what was put aside of a device."""
        self._client.call("delete_item", TableName=self._table, Key=_key(device_id))


def _key(device_id: str) -> Item:
    return {"s": items.text(f"aside/{device_id}")}


# feeds

MOST = 500_000  # keys; a process that never carries anything on forgets the oldest, the streams have them


class Feed(Protocol):
    """Dirty keys, and what became of them."""

    def add(self, table: str, device_id: str, key: str) -> None:
        """A key became dirty, by this process."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Make a key dirty by hand."""

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest dirty keys of a table."""

    def settle(self, changes: Iterable[Change]) -> None:
        """These have been carried on."""

    def backlog(self) -> Backlog:
        """How much is waiting."""

    def close(self) -> None:
        """Let others go on where this one stopped."""


class Dirty:
    """Dirty keys of tables, in the order in which they became so; dirty again is dirty anew. Safe between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._tables: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)  # key -> sequence, since

    def add(self, table: str, device_id: str, key: str, since: int | None = None) -> None:
        """A key became dirty, at `since` (UTC seconds; now, unless given)."""
        with self._lock:
            keys = self._tables[table]
            _, before = keys.pop((device_id, key), (0, since if since is not None else int(self._clock())))
            keys[device_id, key] = next(self._numbers), before
            if len(keys) > MOST:
                del keys[next(iter(keys))]

    def is_empty(self, table: str) -> bool:
        """No key of a table is dirty."""
        return not self._tables[table]

    def changes(self, table: str, limit: int) -> list[Change]:
        """The oldest dirty keys of a table."""
        with self._lock:
            found = islice(self._tables[table].items(), limit)
            return [Change(sequence, table, device_id, key) for (device_id, key), (sequence, _) in found]

    def settle(self, changes: Iterable[Change]) -> None:
        """These have been carried on; what became dirty again meanwhile stays."""
        with self._lock:
            for sequence, table, device_id, key in changes:
                if self._tables[table].get((device_id, key), (0, 0))[0] == sequence:
                    del self._tables[table][device_id, key]

    def backlog(self) -> Backlog:
        """How much is waiting."""
        with self._lock:
            since = [since for keys in self._tables.values() for _, since in keys.values()]
        return Backlog(len(since), min(since, default=None))


class OwnFeed(Dirty):
    """The feed of what this process itself has made dirty."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Make a key dirty by hand."""
        self.add(table, device_id, key)

    def close(self) -> None:
        """Nothing to hand over: it is all in the streams."""
