"""Which worker reads which shard of a stream, and how far it has come: the table `checkpoints`.

| `s` | attributes |
|---|---|
| `TABLE/STREAM/SHARD` | `o` owner, `u` until when (UTC seconds), `q` the last sequence number carried on, `e` done |
| `aside/DEVICE` | keys that cannot be carried on, each with the reason (see `asides`) |
| `TABLE` | `a` the ARN of its stream, `t` when it was last followed (UTC seconds) |
"""

from collections.abc import Callable
from contextlib import suppress

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import ConditionFailed, Door
from aggregator.store.dynamodb.items import Item

LEASE_S = 90  # how long a worker that has died keeps others from its shards


class Leases:
    """The table `checkpoints`, as one worker uses it."""

    def __init__(self, door: Door, table: str, clock: Callable[[], float], owner: str) -> None:
        self._door, self._table, self._clock, self.owner = door, table, clock, owner

    def take(self, name: str) -> Item | None:
        """Take or renew the lease of a shard: its checkpoint, or None while another worker has it."""
        now = self._clock()
        try:
            answer = self._door.call(
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
            self._door.call(
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
            self._door.call(
                "update_item",
                TableName=self._table,
                Key={"s": items.text(name)},
                UpdateExpression="SET u = :u",
                ConditionExpression="o = :me",
                ExpressionAttributeValues={":me": items.text(self.owner), ":u": items.number(0)},
            )

    def forget(self, name: str) -> None:
        """Remove the checkpoint of a shard that is no more."""
        self._door.call("delete_item", TableName=self._table, Key={"s": items.text(name)})

    def seen(self, stream: str) -> Item | None:
        """The note about a stream, if it has ever been followed."""
        answer = self._door.call("get_item", TableName=self._table, Key={"s": items.text(stream)}, ConsistentRead=True)
        note: Item | None = answer.get("Item")
        return note

    def note(self, stream: str, arn: str) -> None:
        """A stream has been followed up to now."""
        item = {"s": items.text(stream), "a": items.text(arn), "t": items.number(int(self._clock()))}
        self._door.call("put_item", TableName=self._table, Item=item)
