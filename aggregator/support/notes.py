"""Notes of the staff about a device: what was found, what was agreed. Append-only, newest first."""

from typing import NamedTuple

import orjson

from aggregator.core.errors import ConfigurationError
from aggregator.store.port import Store
from aggregator.support.audit import Who

LONGEST = 2000  # characters


class Note(NamedTuple):
    """What somebody wrote."""

    at: int  # UTC seconds
    user_id: str
    by: str  # role and short name
    text: str


def check_note(text: str) -> str:
    """A note without space around it. Raises ConfigurationError where it is empty, too long, or no text."""
    trimmed = text.strip().replace("\r\n", "\n")
    is_text = all(letter.isprintable() or letter == "\n" for letter in trimmed)
    if not trimmed or len(trimmed) > LONGEST or not is_text:
        raise ConfigurationError(f"a note has 1 to {LONGEST} characters of text")
    return trimmed


def put_note(store: Store, device_id: str, key: str, who: Who, text: str, now: int) -> Note:
    """Keep a note under a key that sorts after those before it; one that is there already stays."""
    note = Note(now, who.user_id, who.shown, text)
    store.put_record(_collection(device_id), key, orjson.dumps([*note]).decode(), was=None)
    return note


def notes(store: Store, device_id: str, limit: int = 100) -> list[Note]:
    """The newest notes about a device, newest first."""
    records = store.records(_collection(device_id), limit=limit, newest_first=True)
    return [Note(*orjson.loads(record.body)) for record in records]


def _collection(device_id: str) -> str:
    return f"notes/{device_id}"
