"""Make, describe and remove the tables, for use without the template.

The tables, as `wattfall tables create` makes them; the template makes the same. Pure.

Where a DynamoDB store is: `dynamodb://wattfall?region=eu-west-2&retention=35&pace=300`. Pure.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from aggregator.core.errors import ConfigurationError, StoreAway, StoreUnusable
from aggregator.core.periods import LEVELS, RETENTION_DAYS
from aggregator.store.dynamodb.device_index import Index
from aggregator.store.dynamodb.dynamo_client import DynamoClient, TableMissing
from aggregator.store.dynamodb.read_view import Reader
from aggregator.store.port import is_carried


class Table(NamedTuple):
    """A table's key and what else is special about it."""

    name: str
    hash_key: str
    range_key: str | None = None
    range_type: str = "S"
    has_stream: bool = False
    expires: str | None = None  # the TTL attribute


def tables() -> tuple[Table, ...]:
    """The tables of a store, among them one for each level."""
    return (
        Table("live", "d"),
        Table("readings", "d", "b", "N", has_stream=True, expires="x"),
        *(Table(level.table, "d", "p", has_stream=is_carried(level.name)) for level in LEVELS.values()),
        Table("devices", "d"),
        Table("prices", "d", "p"),
        Table("checkpoints", "s"),
        Table("records", "k", "s", expires="x"),
    )


def table_request(prefix: str, table: Table) -> dict[str, Any]:
    """What CreateTable wants to know."""
    keys = [(table.hash_key, "HASH", "S")]
    if table.range_key:
        keys.append((table.range_key, "RANGE", table.range_type))
    request: dict[str, Any] = {
        "TableName": f"{prefix}-{table.name}",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": sort} for name, _, sort in keys],
    }
    if table.has_stream:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    return request


# tables

PATIENCE_S = 120  # for a table to be made or removed; it takes some 10 s
PAUSE_S = 1.0


def create_tables(client: DynamoClient, prefix: str) -> Iterator[str]:
    """Create the tables that are missing; yields the names of those that are made, when they are ready."""
    missing = [table for table in tables() if _described(client, prefix, table) is None]
    for table in missing:
        client.call("create_table", **table_request(prefix, table))
    for table in tables():
        _wait(client, prefix, table, "ACTIVE")
        _set_expiry(client, prefix, table)
        if table in missing:
            yield f"{prefix}-{table.name}"


def index_devices(client: DynamoClient, prefix: str) -> int:
    """Make what devices are found by, where a former version did not. Returns for how many."""
    return Index(client, prefix, Reader(client, prefix)).put_missing()


def describe_tables(client: DynamoClient, prefix: str) -> Iterator[tuple[str, str]]:
    """Each table's name, and what there is to say about it. Raises StoreUnusable when one is missing."""
    missing = []
    for table in tables():
        name = f"{prefix}-{table.name}"
        description = _described(client, prefix, table)
        yield name, _summary(description) if description else "missing"
        if description is None:
            missing.append(name)
    if missing:
        raise StoreUnusable(
            f"{', '.join(missing)} in {client.region}: missing; `wattfall tables create` makes what is missing"
        )


def delete_tables(client: DynamoClient, prefix: str) -> Iterator[str]:
    """Remove the tables with all that is in them; yields the names of those that are gone."""
    present = [table for table in tables() if _described(client, prefix, table) is not None]
    for table in present:
        client.call("delete_table", TableName=f"{prefix}-{table.name}")
    for table in present:
        _wait(client, prefix, table, None)
        yield f"{prefix}-{table.name}"


def _described(client: DynamoClient, prefix: str, table: Table) -> dict[str, Any] | None:
    try:
        description: dict[str, Any] = client.call("describe_table", TableName=f"{prefix}-{table.name}")["Table"]
    except TableMissing:
        return None
    return description


def _summary(description: dict[str, Any]) -> str:
    stream = ", stream" if description.get("StreamSpecification", {}).get("StreamEnabled") else ""
    items, size = description.get("ItemCount", 0), description.get("TableSizeBytes", 0)
    return f"{description['TableStatus'].lower()}, {items:,} items, {size:,} bytes{stream}"


def _set_expiry(client: DynamoClient, prefix: str, table: Table) -> None:
    name = f"{prefix}-{table.name}"
    if table.expires is None:
        return
    state = client.call("describe_time_to_live", TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
    if state in ("DISABLED", "DISABLING"):
        wanted = {"Enabled": True, "AttributeName": table.expires}
        client.call("update_time_to_live", TableName=name, TimeToLiveSpecification=wanted)


def _wait(client: DynamoClient, prefix: str, table: Table, status: str | None) -> None:
    """Until a table has this status; None is gone."""
    deadline = time.monotonic() + PATIENCE_S
    while (description := _described(client, prefix, table) or {}).get("TableStatus") != status:
        if time.monotonic() > deadline:
            state = description.get("TableStatus", "missing").lower()
            raise StoreAway(f"{prefix}-{table.name} is still {state} after {PATIENCE_S} s; try again later")
        time.sleep(PAUSE_S)


# address

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NUMBERS = {"retention": (str(RETENTION_DAYS), 2, 36_500), "pace": ("300", 0, 86_400)}  # default, least, most


@dataclass(frozen=True, slots=True)
class Address:
    """What a store's URL says."""

    prefix: str  # of the tables' names
    region: str | None  # None: what the AWS profile or AWS_DEFAULT_REGION says
    retention_days: int  # how long readings are kept
    pace_s: int  # how often a worker carries months and years on; less often is cheaper


def read_url(url: str) -> Address:
    """The address in a store's URL. Raises ConfigurationError."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    region = query.pop("region", None)
    retention, pace = (_number(name, query.pop(name, default[0])) for name, default in _NUMBERS.items())
    is_plain = not query and not parts.path.strip("/") and region != ""
    if parts.scheme != "dynamodb" or not is_plain or not _PREFIX.fullmatch(parts.netloc):
        raise ConfigurationError(
            f"{url!r} is not a DynamoDB store; write it like"
            f" dynamodb://wattfall?region=eu-west-2&retention={RETENTION_DAYS}&pace=300"
        )
    return Address(parts.netloc, region, retention, pace)


def _number(name: str, text: str) -> int:
    _, least, most = _NUMBERS[name]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ConfigurationError(f"{name}={text} of a store's URL is not a whole number from {least} to {most}")
    return int(text)
