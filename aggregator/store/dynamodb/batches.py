"""Many items in one call; DynamoDB may leave some of them for another."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from aggregator.core.errors import StoreAway
from aggregator.store.dynamodb.dynamo_client import Door
from aggregator.store.dynamodb.items import Item

WRITES, READS = 25, 100  # items in one call
TRIES = 8
PAUSE_S = 0.05  # doubled each time


def write(door: Door, table: str, requests: Iterable[dict[str, Any]]) -> None:
    """Put and delete items, in any order; all of it lasts when this returns. Raises StoreAway."""
    for some in _pieces(requests, WRITES):
        left: dict[str, Any] = {table: some}
        for _ in _tries(table):
            left = door.call("batch_write_item", RequestItems=left).get("UnprocessedItems", {})
            if not left:
                break


def read(door: Door, table: str, keys: Iterable[Item], *, is_consistent: bool) -> list[Item]:
    """The items with these keys that there are, in any order. Raises StoreAway."""
    found: list[Item] = []
    for some in _pieces(keys, READS):
        left: dict[str, Any] = {table: {"Keys": some, "ConsistentRead": is_consistent}}
        for _ in _tries(table):
            answer = door.call("batch_get_item", RequestItems=left)
            found += answer["Responses"].get(table, [])
            left = answer.get("UnprocessedKeys", {})
            if not left:
                break
    return found


def _pieces(rows: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some


def _tries(table: str) -> Iterator[None]:
    """Ever later; ends by raising StoreAway."""
    for number in range(TRIES):
        yield
        time.sleep(PAUSE_S * 2**number)
    raise StoreAway(f"{table} left some of a batch undone {TRIES} times in a row; it is too busy for the moment")
