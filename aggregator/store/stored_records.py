"""Records as the stores take and give them: small texts on named collections, their limits; and check values. Pure."""

from enum import Enum, auto
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from aggregator.core.errors import ConfigurationError, shown


class Record(NamedTuple):
    """A key and its JSON text in a collection."""

    key: str
    body: str


class Anything(Enum):
    """The value of `was` with which `put_record` replaces any stored record."""

    ANYTHING = auto()


ANYTHING: Final = Anything.ANYTHING
DAMAGED: Final = ""  # the body of a record that differs from its check value; `was` of a write that replaces it
Was = str | Anything | None  # the stored body that a write expects; None: no record
LAST_KEY: Final = "\U0010ffff" * 256  # sorts after every key of a record
INDEX = "find "  # prefix of the collections that hold search terms

SPREAD = ("tokens", "sessions")  # of each of these every request of a fleet reads a record
PARTITIONS = 64  # of one of them on DynamoDB

MAX_COLLECTION, MAX_KEY, MAX_BODY = 256, 1024, 300_000  # bytes in UTF-8, within DynamoDB's limits


def partitions(collection: str) -> list[str]:
    """Return the names of the partitions in which DynamoDB keeps a collection."""
    return [f"{collection}#{number:02d}" for number in range(PARTITIONS)] if collection in SPREAD else [collection]


def check_record(collection: str, key: str, body: str = "") -> None:
    """Raise ConfigurationError for a record that the store cannot hold."""
    for what, text, most in (
        ("collection", collection, MAX_COLLECTION),
        ("key", key, MAX_KEY),
        ("body", body, MAX_BODY),
    ):
        if not _fits(text, most):
            raise ConfigurationError(f"the {what} of a record is {shown(text)}, not text of up to {most} bytes")
    if not collection or not key or collection.startswith(INDEX):
        raise ConfigurationError(f"a record cannot have the key {shown(key)} in the collection {shown(collection)}")


def check_range(collection: str, first: str, last: str) -> None:
    """Raise ConfigurationError for an invalid range of keys; its ends may be empty."""
    for key in (first, last):
        check_record(collection, key or LAST_KEY)


def _fits(text: str, most: int) -> bool:
    try:
        return len(text) <= most and (text.isascii() or len(text.encode()) <= most)
    except UnicodeEncodeError:  # a lone surrogate
        return False


# Check values of what is stored

DIFFERS = "a row differs from its check value"
packed = msgspec.msgpack.Encoder().encode


def crc_of(*values: object) -> int:
    """Return the check value of a row: the CRC-32 of its values as MessagePack.

    SQL passes a text as bytes, since it may be no UTF-8.
    """
    return crc32(packed([_text(value) if isinstance(value, bytes) else value for value in values]))


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
