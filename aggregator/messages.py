"""What devices send to the cloud: canonical readings as JSON, one a line, alone or several in one message. Pure.

A message is a reading (see `readings`), a status (see `status`), or an object `{"readings": [reading, ...]}` of up to
half an hour. The rule that takes it in adds `topic_device`, the device whose topic it came over, so that none writes
as another.
"""

from dataclasses import dataclass, field

import orjson

from aggregator import status
from aggregator.errors import Refused
from aggregator.readings import Reading, parse
from aggregator.status import Status


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a payload."""

    readings: list[Reading] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    refused: list[tuple[Refused, bytes]] = field(default_factory=list)  # why, and what it was


def content_of(payload: bytes, now: int) -> Content:
    """What is in a payload; `now` in UTC seconds."""
    content = Content()
    for line in payload.splitlines():
        try:
            message = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            content.refused.append((Refused("malformed_json", str(error)[:120]), line))
            continue
        many = message.get("readings") if isinstance(message, dict) else None
        owner = message.get("topic_device") if isinstance(message, dict) else None
        for one in many if isinstance(many, list) else [message]:
            _add(content, one, owner, now)
    return content


def _add(content: Content, message: object, owner: object, now: int) -> None:
    try:
        try:
            content.readings.append(read(message, owner, now))
        except Refused as refused:
            if refused.reason != "no_values" or not status.is_status(message):
                raise
            content.statuses.append(_read_status(message, owner, now))
    except Refused as reason:
        content.refused.append((reason, orjson.dumps(message)))


def read(message: object, owner: object, now: int) -> Reading:
    """One reading that came over the topic of `owner` (None: from somebody trusted). Raises Refused."""
    reading = parse(message, now)
    _check_owner(owner, reading.device_id)
    return reading


def _read_status(message: object, owner: object, now: int) -> Status:
    said = status.parse(message, now)
    _check_owner(owner, said.device_id)
    return said


def _check_owner(owner: object, device_id: str) -> None:
    if owner is not None and owner != device_id:
        raise Refused("bad_device_id", f"a reading of {device_id} came over the topic of {str(owner)[:64]!r}")
