"""Canonical JSON: what Wattfall's own devices and gateways send, and programs that were written for it. Pure.

A message is one item, an array of items, `{"readings": [item, ...]}`, or any of these on lines of their own. An item is
a reading (see `readings`) or a status (see `status`); one that names no device is of the device that sent it. What a
gateway had to refuse it reports as `{"refused": reason, "detail": why, "payload": what it was}`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import orjson

from aggregator.core.errors import Refused
from aggregator.core.periods import block_start
from aggregator.core.readings import REASONS, check_owner, parse
from aggregator.intake import status
from aggregator.intake.formats.message import Content, Origin, Unread, decoded

# Of a message: a day has 8,640 readings, and two weeks 672 half hours. Each costs somebody's time.
MOST_ITEMS, MOST_REFUSED, MOST_HALF_HOURS = 10_000, 500, 700
TOPIC_DEVICE = "topic_device"  # the rule of AWS IoT adds the device whose topic a message came over


class _Item(NamedTuple):
    message: object
    owner: str  # the device that sent it; empty from somebody trusted
    line: bytes


def read(payload: bytes, origin: Origin) -> Content:
    """What is in a message, each item taken or refused by itself. Raises Refused for too much at once."""
    content = Content()
    if payload.count(b"\n") > MOST_ITEMS:
        raise Refused("message_too_long", f"more than {MOST_ITEMS} lines")
    for number, item in enumerate(_items(payload, origin.device_id)):
        if number == MOST_ITEMS or len(content.refused) > MOST_REFUSED:
            raise Refused("message_too_long", f"more than {MOST_ITEMS} readings, or {MOST_REFUSED} that are none")
        reported = _reported(item.message)
        if reported:
            content.refused.append(reported._replace(item=number))
            continue
        try:
            _add(content, item, origin.latest)
        except Refused as why:
            content.refused.append(Unread(why, _source(item), number))
    if len({(one.device_id, block_start(one.at)) for one in content.readings}) > MOST_HALF_HOURS:
        raise Refused("message_too_long", f"readings of more than {MOST_HALF_HOURS} half hours")
    return content


def report(why: Refused, payload: bytes) -> dict[str, str]:
    """The item by which a gateway reports what it had to refuse."""
    return {"refused": why.reason, "detail": why.detail, "payload": payload.decode(errors="backslashreplace")}


def _reported(message: object) -> Unread | None:
    reason = message.get("refused") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(reason, str) or reason not in REASONS:
        return None
    detail, payload = (_text(message.get(key)) for key in ("detail", "payload"))
    return Unread(Refused(reason, detail[:200]), payload.encode())


def _text(value: object) -> str:
    """A text that can be written down; empty for what is none."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _items(payload: bytes, owner: str) -> Iterator[_Item]:
    for line in payload.split(b"\n"):
        if not line.strip():
            continue
        try:
            message = decoded(line)
        except Refused as why:
            yield _Item(why, owner, line)
            continue
        yield from (_Item(one, owner or _topic_device(message), line) for one in _inner(message))


def _inner(message: object) -> list[object]:
    many = message.get("readings") if isinstance(message, dict) else message
    return many if isinstance(many, list) else [message]


def _topic_device(message: object) -> str:
    device = message.get(TOPIC_DEVICE, "") if isinstance(message, dict) else ""
    return device if isinstance(device, str) else "-"


def _add(content: Content, item: _Item, now: int) -> None:
    message, owner, _ = item
    if isinstance(message, Refused):
        raise message
    if owner and isinstance(message, dict) and "device_id" not in message:
        message = {**message, "device_id": owner}
    try:
        reading = parse(message, now)
    except Refused as why:
        if why.reason != "no_values" or not status.is_status(message):
            raise
        said = status.parse(message, now)
        check_owner(owner, said.device_id)
        content.statuses.append(said)
    else:
        check_owner(owner, reading.device_id)
        content.readings.append(reading)


def _source(item: _Item) -> bytes:
    """What to keep of an item that was refused: itself, or the line where it cannot be told apart."""
    if isinstance(item.message, Refused):
        return item.line
    try:
        return orjson.dumps(item.message)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return item.line
