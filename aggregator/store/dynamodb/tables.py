"""The DynamoDB tables: their definitions, the commands `wattfall tables`, and the address of a store.

`tables` defines every table; the CloudFormation template defines the same tables. `create_tables`, `describe_tables`
and `delete_tables` work without the template. `read_url` parses an address such as
`dynamodb://wattfall?region=eu-west-2&retention=35&pace=300`.
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
from aggregator.store.port import is_feed


class Table(NamedTuple):
    """A table: its key, and its stream or its TTL attribute, if any."""

    name: str
    hash_key: str
    range_key: str | None = None
    range_type: str = "S"
    stream: str = ""  # what its change records show; empty: it has none
    expires: str | None = None  # the TTL attribute


def tables() -> tuple[Table, ...]:
    """Return the tables of a store; each level has one."""
    return (
        Table("live", "d"),
        Table("readings", "d", "b", "N", stream="KEYS_ONLY", expires="x"),  # many records fit into a batch
        *(Table(level.table, "d", "p", stream="NEW_IMAGE" if is_feed(level.name) else "") for level in LEVELS.values()),
        Table("devices", "d"),
        Table("prices", "d", "p"),
        Table("checkpoints", "s"),
        Table("records", "k", "s", expires="x"),
    )


def table_request(prefix: str, table: Table) -> dict[str, Any]:
    """Return the arguments of CreateTable."""
    keys = [(table.hash_key, "HASH", "S")]
    if table.range_key:
        keys.append((table.range_key, "RANGE", table.range_type))
    request: dict[str, Any] = {
        "TableName": f"{prefix}-{table.name}",
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": sort} for name, _, sort in keys],
    }
    if table.stream:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream}
    return request


# Commands

PATIENCE_S = 120  # longest wait for a table to be created or deleted; 10 s are usual
PAUSE_S = 1.0


def create_tables(client: DynamoClient, prefix: str) -> Iterator[str]:
    """Create the missing tables, and give restored ones their expiry and stream. Yield the name of each created table.

    It waits until each table is ready; for one that is being restored, as long as that takes.
    """
    missing = [table for table in tables() if _described(client, prefix, table) is None]
    for table in missing:
        client.call("create_table", **table_request(prefix, table))
    for table in tables():
        _wait(client, prefix, table, "ACTIVE")
        _set_expiry(client, prefix, table)
        _set_stream(client, prefix, table)
        if table in missing:
            yield f"{prefix}-{table.name}"


def index_devices(client: DynamoClient, prefix: str) -> int:
    """Index the devices that an older version has written without index items. Return their number."""
    return Index(client, prefix, Reader(client, prefix)).put_missing()


def describe_tables(client: DynamoClient, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each table's name and state. Raises StoreUnusable at the end if a table is missing."""
    missing = []
    for table in tables():
        name = f"{prefix}-{table.name}"
        description = _described(client, prefix, table)
        yield name, _summary(description) if description else "missing"
        if description is None:
            missing.append(name)
    if missing:
        raise StoreUnusable(
            f"{', '.join(missing)} in {client.region}: missing; `wattfall tables create` creates missing tables"
        )


def delete_tables(client: DynamoClient, prefix: str) -> Iterator[str]:
    """Delete the tables with their content. Yield the name of each deleted table."""
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


def _set_stream(client: DynamoClient, prefix: str, table: Table) -> None:
    request, described = table_request(prefix, table), _described(client, prefix, table) or {}
    if table.stream and not described.get("StreamSpecification", {}).get("StreamEnabled"):
        wanted = {name: request[name] for name in ("TableName", "StreamSpecification")}
        client.call("update_table", **wanted)
        _wait(client, prefix, table, "ACTIVE")


def _wait(client: DynamoClient, prefix: str, table: Table, status: str | None) -> None:
    """Wait until a table has this status; None: until it is deleted. Raises StoreAway."""
    deadline = time.monotonic() + PATIENCE_S
    while (description := _described(client, prefix, table) or {}).get("TableStatus") != status:
        if description.get("RestoreSummary", {}).get("RestoreInProgress"):
            deadline = time.monotonic() + PATIENCE_S
        elif time.monotonic() > deadline:
            state = description.get("TableStatus", "missing").lower()
            raise StoreAway(f"{prefix}-{table.name} is still {state} after {PATIENCE_S} s; try again later")
        time.sleep(PAUSE_S)


# Address

_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_NUMBERS = {"retention": (str(RETENTION_DAYS), 2, 36_500), "pace": ("300", 0, 86_400)}  # default, least, most


@dataclass(frozen=True, slots=True)
class Address:
    """The settings in a store's URL."""

    prefix: str  # of the tables' names
    region: str | None  # None: from the AWS profile or AWS_DEFAULT_REGION
    retention_days: int  # days until readings expire
    pace_s: int  # seconds between two passes of the worker over months and years; a longer pace costs less


def read_url(url: str) -> Address:
    """Parse a store's URL. Raises ConfigurationError."""
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
