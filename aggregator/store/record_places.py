"""Where the table of collections has records about a device or a person. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.store.collections import COLLECTIONS, Collection, Owner


class Place(NamedTuple):
    """Records about a device or a person: one record, or a whole collection."""

    row: Collection
    collection: str
    key: str = ""  # empty: every record of the collection


def row_of(name: str) -> Collection | None:
    """Return the row that describes a collection's name, or None."""
    return next((row for row in COLLECTIONS if row.matches(name)), None)


def about(device_id: str) -> list[Place]:
    """Return the places of records about one device. `mentioning("device")` returns the rows to search as well."""
    return _places({"device": [device_id]})


def about_person(user_id: str, email: str = "") -> list[Place]:
    """Return the places of records about one person; `mentioning("person")` returns the rows to search as well.

    `email` is the address of the account.
    """
    emails = [email] if email else []
    return _places({"user": [user_id], "person": [one.lower() for one in (user_id, *emails)], "email": emails})


def mentioning(owner: Owner) -> list[Collection]:
    """Return the rows that name an owner only in bodies or keys."""
    return [row for row in COLLECTIONS if owner in row.mentions]


def _places(ids: Mapping[str, Sequence[str]]) -> list[Place]:
    """Return the places of `ids`, a mapping from a variable part or a kind of key to its values."""
    places: list[Place] = []
    for row in COLLECTIONS:
        if row.part in ids:
            places += [Place(row, row.of(one)) for one in ids[row.part]]
        elif row.part in ("", "shard"):
            places += [
                Place(row, row.of(row.shard_of(one)) if row.part else row.of(), one) for one in ids.get(row.key, ())
            ]
    return places
