"""Make, describe and remove the tables, for use without the template."""

import time
from collections.abc import Iterator
from typing import Any

from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.store.dynamodb.device_index import Index
from aggregator.store.dynamodb.dynamo_client import Door, TableMissing
from aggregator.store.dynamodb.reads import Reader
from aggregator.store.dynamodb.schema import TABLES, Table, table_request

PATIENCE_S = 120  # for a table to be made or removed; it takes some 10 s
PAUSE_S = 1.0


def create_tables(door: Door, prefix: str) -> Iterator[str]:
    """Create the tables that are missing; yields the names of those that are made, when they are ready."""
    missing = [table for table in TABLES if _described(door, prefix, table) is None]
    for table in missing:
        door.call("create_table", **table_request(prefix, table))
    for table in TABLES:
        _wait(door, prefix, table, "ACTIVE")
        _set_expiry(door, prefix, table)
        if table in missing:
            yield f"{prefix}-{table.name}"


def index_devices(door: Door, prefix: str) -> int:
    """Make what devices are found by, where a former version did not. Returns for how many."""
    return Index(door, prefix, Reader(door, prefix)).put_missing()


def describe_tables(door: Door, prefix: str) -> Iterator[tuple[str, str]]:
    """Each table's name, and what there is to say about it. Raises StoreUnusable when one is missing."""
    missing = []
    for table in TABLES:
        name = f"{prefix}-{table.name}"
        description = _described(door, prefix, table)
        yield name, _summary(description) if description else "missing"
        if description is None:
            missing.append(name)
    if missing:
        raise StoreUnusable(
            f"{', '.join(missing)} in {door.region}: missing; `wattfall tables create` makes what is missing"
        )


def delete_tables(door: Door, prefix: str) -> Iterator[str]:
    """Remove the tables with all that is in them; yields the names of those that are gone."""
    present = [table for table in TABLES if _described(door, prefix, table) is not None]
    for table in present:
        door.call("delete_table", TableName=f"{prefix}-{table.name}")
    for table in present:
        _wait(door, prefix, table, None)
        yield f"{prefix}-{table.name}"


def _described(door: Door, prefix: str, table: Table) -> dict[str, Any] | None:
    try:
        description: dict[str, Any] = door.call("describe_table", TableName=f"{prefix}-{table.name}")["Table"]
    except TableMissing:
        return None
    return description


def _summary(description: dict[str, Any]) -> str:
    stream = ", stream" if description.get("StreamSpecification", {}).get("StreamEnabled") else ""
    items, size = description.get("ItemCount", 0), description.get("TableSizeBytes", 0)
    return f"{description['TableStatus'].lower()}, {items:,} items, {size:,} bytes{stream}"


def _set_expiry(door: Door, prefix: str, table: Table) -> None:
    name = f"{prefix}-{table.name}"
    if table.expires is None:
        return
    state = door.call("describe_time_to_live", TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if state in ("DISABLED", "DISABLING"):
        wanted = {"Enabled": True, "AttributeName": table.expires}
        door.call("update_time_to_live", TableName=name, TimeToLiveSpecification=wanted)


def _wait(door: Door, prefix: str, table: Table, status: str | None) -> None:
    """Until a table has this status; None is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while (description := _described(door, prefix, table) or {}).get("TableStatus") != status:
        if time.monotonic() > deadline:
            state = description.get("TableStatus", "missing").lower()
            raise StoreAway(f"{prefix}-{table.name} is still {state} after {PATIENCE_S} s; try again later")
        time.sleep(PAUSE_S)
