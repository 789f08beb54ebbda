"""Canonical JSON and half-hour blocks: the formats of Wattfall's own devices, gateways and client programs. Pure.

A JSON message is one item, an array of items, `{"readings": [item, ...]}`, or any of these on separate lines. An item
is a reading (see `core.readings`), an interval (see `core.readings`) or a status (see `core.status`); an item without
a device id belongs to the sender. A gateway reports a refused message as
`{"refused": reason, "detail": text, "payload": original message}`.

A block message, as `wattfall edge` sends it, holds one half hour of a device: a line `DEVICE START` (UTC seconds of its
start), then the readings as `readings.pack_block` packs them, about 500 bytes for 180 readings. Both parsers raise
Refused.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from aggregator.core import status
from aggregator.core.blocks import pack_block, unpack_block_body
from aggregator.core.errors import Refused, shown
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import (
    AHEAD_S,
    EARLIEST,
    MAX_POWER,
    MAX_REGISTER,
    NO_REGISTER,
    REASONS,
    Reading,
    check_device_id,
    check_meter_id,
    check_owner,
    is_interval,
    parse,
    parse_interval,
    plain_readings,
)
from aggregator.intake.formats.message import Content, Origin, Unread, decoded

# Limits of a message: a day has 8,640 readings, and two weeks have 672 half hours.
MOST_ITEMS, MOST_REFUSED, MOST_HALF_HOURS = 10_000, 500, 700


class _Item(NamedTuple):
    message: object
    owner: str  # the sending device; empty for a trusted sender
    line: bytes


def parse_canonical(payload: bytes, origin: Origin) -> Content:
    """Parse a message; each item is accepted or refused by itself. Raises Refused for an oversized message."""
    plain = plain_readings(payload, origin.latest, origin.device_id)
    content = _parsed(payload, origin) if plain is None or len(plain) > MOST_ITEMS else Content(plain)
    if len(content.readings) + len(content.intervals) > MOST_HALF_HOURS and content.half_hours > MOST_HALF_HOURS:
        raise Refused("message_too_long", f"readings or intervals of more than {MOST_HALF_HOURS} half hours")
    return content


def _parsed(payload: bytes, origin: Origin) -> Content:
    content = Content()
    if payload.count(b"\n") > MOST_ITEMS:
        raise Refused("message_too_long", f"more than {MOST_ITEMS} lines")
    for number, item in enumerate(_items(payload, origin.device_id)):
        if number == MOST_ITEMS or len(content.refused) > MOST_REFUSED:
            raise Refused("message_too_long", f"more than {MOST_ITEMS} items, or more than {MOST_REFUSED} refused ones")
        reported = _reported(item.message)
        if reported:
            content.refused.append(reported._replace(item=number))
            continue
        try:
            _add(content, item, origin.latest)
        except Refused as why:
            content.refused.append(Unread(why, _source(item), number))
    return content


def report(why: Refused, payload: bytes) -> dict[str, str]:
    """Return the item with which a gateway reports a refused message."""
    return {"refused": why.reason, "detail": why.detail, "payload": payload.decode(errors="backslashreplace")}


def _reported(message: object) -> Unread | None:
    reason = message.get("refused") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(reason, str) or reason not in REASONS:
        return None
    detail, payload = (_text(message.get(key)) for key in ("detail", "payload"))
    return Unread(Refused(reason, detail[:200]), payload.encode())


def _text(value: object) -> str:
    """Return text that UTF-8 can encode; empty for other types."""
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
        yield from (_Item(one, owner, line) for one in _inner(message))


def _inner(message: object) -> list[object]:
    many = message.get("readings") if isinstance(message, dict) else message
    return many if isinstance(many, list) else [message]


def _add(content: Content, item: _Item, now: int) -> None:
    message, owner, _ = item
    if isinstance(message, Refused):
        raise message
    if owner and isinstance(message, dict) and "device_id" not in message:
        message = {**message, "device_id": owner}
    if is_interval(message):
        interval = parse_interval(message, now)
        check_owner(owner, interval.device_id)
        content.intervals.append(interval)
        return
    try:
        reading = parse(message, now)
    except Refused as why:
        if why.reason != "no_values" or not status.is_status(message):
            raise
        said = status.parse_status(message, now)
        check_owner(owner, said.device_id)
        content.statuses.append(said)
    else:
        check_owner(owner, reading.device_id)
        content.readings.append(reading)


def _source(item: _Item) -> bytes:
    """Return the payload of a refused item: the item as JSON, or else its line."""
    if isinstance(item.message, Refused):
        return item.line
    try:
        return orjson.dumps(item.message)
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return item.line


# Half-hour blocks

BLOCK = "application/vnd.wattfall.block"  # the content type of a block over HTTP
LONGEST = 32_768  # bytes; one reading per second needs less
_LONGEST_BODY = 65_536  # bytes when inflated
_LONGEST_HEAD = 80


def encode_block(readings: Sequence[Reading]) -> bytes:
    """Encode one device's readings of one half hour, in order of time."""
    start = readings[0].at - readings[0].at % HALF_HOUR
    return f"{readings[0].device_id} {start}\n".encode() + pack_block(start, readings)


def parse_block(payload: bytes, origin: Origin) -> Content:
    """Parse a block message. Raises Refused for the whole message where one reading is invalid."""
    if len(payload) > LONGEST:
        raise Refused("message_too_long", f"{len(payload)} bytes, at most {LONGEST}")
    device_id, start = _head(payload)
    check_owner(origin.device_id, device_id)
    try:
        readings = unpack_block_body(device_id, start, _inflated(payload))
    except (zlib.error, ValueError, IndexError, TypeError, OverflowError) as error:
        raise Refused("bad_block", str(error)[:120]) from error
    _check(readings, start, origin.latest)
    return Content(readings)


def _head(payload: bytes) -> tuple[str, int]:
    head, _, _ = payload[:_LONGEST_HEAD].partition(b"\n")
    device_id, _, start = head.decode(errors="replace").partition(" ")
    if not (start.isascii() and start.isdigit()) or int(start) % HALF_HOUR:
        raise Refused("bad_block", f"it begins with {shown(head)}, not with a device and the start of a half hour")
    return check_device_id(device_id), int(start)


def _inflated(payload: bytes) -> bytes:
    inflate = zlib.decompressobj()
    body = inflate.decompress(payload[payload.index(b"\n") + 1 :], _LONGEST_BODY)
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it is truncated or continues after its end")
    return body


def _check(readings: Sequence[Reading], start: int, now: int) -> None:
    """Raise Refused unless each reading is valid by itself and they are in order of time."""
    if start < EARLIEST or readings[-1].at > now + AHEAD_S:
        raise Refused("in_the_future" if start >= EARLIEST else "before_2000", f"the half hour begins at {start}")
    before = start - 1
    for reading in readings:
        _, at, power_w, import_wh, export_wh, meter_id, volume_l = reading
        if not before < at < start + HALF_HOUR:
            raise Refused("bad_block", f"a reading at {at} is out of order or outside the half hour")
        if power_w is not None and not -MAX_POWER <= power_w <= MAX_POWER:
            raise Refused("out_of_range", f"power_w is {power_w}")
        for register in (import_wh, export_wh, volume_l):
            if register is not None and (not 0 <= register <= MAX_REGISTER or register == NO_REGISTER):
                raise Refused("out_of_range", f"a register is {register}")
        if power_w is import_wh is export_wh is volume_l is None:
            raise Refused("no_values", f"the reading at {at} has no figure")
        if meter_id is not None and check_meter_id(meter_id) != meter_id:
            raise Refused("bad_meter_id", f"meter_id is {shown(meter_id)}")
        before = at
