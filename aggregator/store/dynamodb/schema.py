"""The tables, as `wattfall tables create` makes them; the template makes the same. Pure."""

from typing import Any, NamedTuple


class Table(NamedTuple):
    """A table's key and what else is special about it."""

    name: str
    hash_key: str
    range_key: str | None = None
    range_type: str = "S"
    has_stream: bool = False
    expires: str | None = None  # the TTL attribute


TABLES = (
    Table("live", "d"),
    Table("readings", "d", "b", "N", has_stream=True, expires="x"),
    Table("days", "d", "p", has_stream=True),
    Table("months", "d", "p", has_stream=True),
    Table("years", "d", "p"),
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
