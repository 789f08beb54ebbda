"""Keys that cannot be carried on, kept with the reason: in `checkpoints`, an item a device, an attribute a key."""

from collections.abc import Iterable

from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.dynamo_client import Door
from aggregator.store.dynamodb.items import Item


class Asides:
    """What was put aside."""

    def __init__(self, door: Door, table: str) -> None:
        self._door, self._table = door, table

    def put(self, table: str, device_id: str, keys: Iterable[str], reason: str) -> None:
        """Keep keys of a table."""
        for key in keys:
            self._door.call(
                "update_item",
                TableName=self._table,
                Key=_key(device_id),
                UpdateExpression="SET #key = :reason",
                ExpressionAttributeNames={"#key": f"{table} {key}"},
                ExpressionAttributeValues={":reason": items.text(reason)},
            )

    def lines(self, device_id: str) -> list[str]:
        """What was put aside of a device, a line each."""
        answer = self._door.call("get_item", TableName=self._table, Key=_key(device_id), ConsistentRead=True)
        return [f"{name}: {value['S']}" for name, value in sorted(answer.get("Item", {}).items()) if name != "s"]

    def clear(self, device_id: str) -> None:
        """Forget what was put aside of a device."""
        self._door.call("delete_item", TableName=self._table, Key=_key(device_id))


def _key(device_id: str) -> Item:
    return {"s": items.text(f"aside/{device_id}")}
