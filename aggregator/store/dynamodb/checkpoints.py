"""The table `checkpoints` (shard leases, stream notes, quarantine), and the dirty keys of a process.

| `s` | attributes |
|---|---|
| `TABLE/STREAM/SHARD` | `o` owner, `u` lease end (UTC seconds), `q` last propagated sequence number, `e` finished |
| `aside/DEVICE` | quarantined keys: one attribute a key, its value the reason |
| `TABLE` | `a` the ARN of its stream, `t` the time it was last followed (UTC seconds) |

`OwnFeed` is the change feed of a process that does not follow the streams, such as a one-shot command: it remembers the
keys that the process itself has made dirty. The streams propagate them too, which changes nothing. Calls raise
StoreAway and StoreUnusable.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import count, islice
from typing import Protocol

from aggregator.core.periods import FOR_EVER
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, DynamoClient
from aggregator.store.dynamodb.items import Item
from aggregator.store.port import Backlog, Change

LEASE_S = 90  # a dead worker blocks its shards for this time


class Leases:
    """One worker's leases in the table `checkpoints`."""

    def __init__(self, client: DynamoClient, table: str, clock: Callable[[], float], owner: str) -> None:
        self._client, self._table, self._clock, self.owner = client, table, clock, owner

    def take(self, name: str) -> Item | None:
        """Take or renew the lease of a shard. Return its checkpoint, or None while another worker has it."""
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
        """Save the position of a shard that this worker still owns; a finished shard has no owner."""
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
        """Release a shard to other workers at once."""
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
        """Delete the checkpoint of an expired shard."""
        self._client.call("delete_item", TableName=self._table, Key={"s": items.text(name)})

    def seen(self, stream: str) -> Item | None:
        """Return the note about a stream; None if it was never followed."""
        answer = self._client.call(
            "get_item", TableName=self._table, Key={"s": items.text(stream)}, ConsistentRead=True
        )
        note: Item | None = answer.get("Item")
        return note

    def note(self, stream: str, arn: str) -> None:
        """Note that a stream has been followed up to now."""
        item = {"s": items.text(stream), "a": items.text(arn), "t": items.number(int(self._clock()))}
        self._client.call("put_item", TableName=self._table, Item=item)


# Quarantine


class Quarantine:
    """Quarantined keys, with the reasons."""

    def __init__(self, client: DynamoClient, table: str) -> None:
        self._client, self._table = client, table

    def put(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Quarantine keys of a table."""
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
        """Return a device's quarantined keys, a line each."""
        answer = self._client.call("get_item", TableName=self._table, Key=_key(device_id), ConsistentRead=True)
        return [f"{name}: {value['S']}" for name, value in sorted(answer.get("Item", {}).items()) if name != "s"]

    def clear(self, device_id: str, keys: Iterable[tuple[str, str]] | None = None) -> None:
        """Clear a device's quarantine, or these of its keys."""
        if keys is None:
            self._client.call("delete_item", TableName=self._table, Key=_key(device_id))
            return
        for key in keys:
            self._client.call(
                "update_item",
                TableName=self._table,
                Key=_key(device_id),
                UpdateExpression="REMOVE #key",
                ExpressionAttributeNames={"#key": " ".join(key)},
            )
        if not self.lines(device_id):
            self._client.call("delete_item", TableName=self._table, Key=_key(device_id))


def _key(device_id: str) -> Item:
    return {"s": items.text(f"aside/{device_id}")}


# Change feeds

MOST = 500_000  # keys; a process that never settles forgets the oldest, which the streams still hold


class Feed(Protocol):
    """A change feed of dirty keys."""

    def add(self, table: str, device_id: str, key: str) -> None:
        """Note that this process has made a key dirty."""

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Mark a key dirty."""

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return the oldest dirty keys of a table that became dirty until an instant, and those of some devices."""

    def settle(self, changes: Iterable[Change]) -> None:
        """Settle propagated keys."""

    def backlog(self, table: str = "") -> Backlog:
        """Return the number and age of dirty keys, of a table or of all."""

    def close(self) -> None:
        """Release positions to other workers."""


class Dirty:
    """Dirty keys of tables in order; a key made dirty again moves to the end. Thread-safe."""

    def __init__(self, clock: Callable[[], float], most: int | None = None) -> None:
        """Beyond `most` keys the oldest of a table is forgotten; None: none is, and the caller adds no more."""
        self._clock, self._most = clock, most
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._tables: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)  # key -> sequence, since

    def add(self, table: str, device_id: str, key: str, since: int | None = None) -> None:
        """Note that a key became dirty at `since` (UTC seconds; default now)."""
        with self._lock:
            keys = self._tables[table]
            _, before = keys.pop((device_id, key), (0, since if since is not None else int(self._clock())))
            keys[device_id, key] = next(self._numbers), before
            if self._most is not None and len(keys) > self._most:
                del keys[next(iter(keys))]

    def is_empty(self, table: str) -> bool:
        """Whether no key of a table is dirty."""
        return not self._tables[table]

    def changes(self, table: str, limit: int, until: int = FOR_EVER, devices: Collection[str] = ()) -> list[Change]:
        """Return the oldest dirty keys of a table that became dirty until an instant, and those of some devices."""
        with self._lock:
            keys = self._tables[table].items()
            due = ((key, number) for key, (number, since) in keys if since <= until or key[0] in devices)
            return [Change(number, table, *key) for key, number in islice(due, limit)]

    def settle(self, changes: Iterable[Change]) -> None:
        """Settle propagated keys; keys made dirty again meanwhile stay."""
        with self._lock:
            for sequence, table, device_id, key, _ in changes:
                if self._tables[table].get((device_id, key), (0, 0))[0] == sequence:
                    del self._tables[table][device_id, key]

    def backlog(self, table: str = "") -> Backlog:
        """Return the number and age of dirty keys, of a table or of all."""
        with self._lock:
            chosen = [self._tables[table]] if table else self._tables.values()
            since = [since for keys in chosen for _, since in keys.values()]
        return Backlog(len(since), min(since, default=None))


class OwnFeed(Dirty):
    """The feed of keys that this process itself has made dirty."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock, MOST)

    def mark(self, table: str, device_id: str, key: str) -> None:
        """Mark a key dirty."""
        self.add(table, device_id, key)

    def close(self) -> None:
        """Do nothing: the streams hold every key."""
