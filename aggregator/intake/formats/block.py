"""Half an hour of a device's readings in one message, as `wattfall edge` sends it. Pure.

The message is a line `DEVICE START` (the UTC second at which the half hour begins), and after it the readings, packed
as `blocks` stores them: some 500 bytes for 180 readings.
"""

import zlib
from collections.abc import Sequence

from aggregator.core import blocks
from aggregator.core.errors import Refused, shown
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import (
    AHEAD_S,
    EARLIEST,
    MAX_POWER,
    MAX_REGISTER,
    NO_REGISTER,
    Reading,
    check_device_id,
    check_meter_id,
    check_owner,
)
from aggregator.intake.formats.message import Content, Origin

LONGEST = 32_768  # bytes; more than a reading each second takes
_LONGEST_BODY = 65_536  # bytes when inflated
_LONGEST_HEAD = 80


def write(readings: Sequence[Reading]) -> bytes:
    """A message of one device's readings of one half hour, in order of time."""
    start = readings[0].at - readings[0].at % HALF_HOUR
    return f"{readings[0].device_id} {start}\n".encode() + blocks.pack(start, readings)


def read(payload: bytes, origin: Origin) -> Content:
    """The readings of a message. Raises Refused for all of it where one of them cannot be."""
    if len(payload) > LONGEST:
        raise Refused("message_too_long", f"{len(payload)} bytes, at most {LONGEST}")
    device_id, start = _head(payload)
    check_owner(origin.device_id, device_id)
    try:
        readings = blocks.unpack_body(device_id, start, _inflated(payload))
    except (zlib.error, ValueError, IndexError, TypeError, OverflowError) as error:
        raise Refused("bad_block", str(error)[:120]) from error
    _check(readings, start, origin.now)
    return Content(readings)


def _head(payload: bytes) -> tuple[str, int]:
    head, _, _ = payload[:_LONGEST_HEAD].partition(b"\n")
    device_id, _, start = head.decode(errors="replace").partition(" ")
    if not (start.isascii() and start.isdigit()) or int(start) % HALF_HOUR:
        raise Refused("bad_block", f"it begins with {shown(head)}, not with a device and a half hour")
    return check_device_id(device_id), int(start)


def _inflated(payload: bytes) -> bytes:
    inflate = zlib.decompressobj()
    body = inflate.decompress(payload[payload.index(b"\n") + 1 :], _LONGEST_BODY)
    if not inflate.eof or inflate.unused_data:
        raise ValueError("it is cut off, or goes on after its end")
    return body


def _check(readings: Sequence[Reading], start: int, now: int) -> None:
    """Raise Refused unless each could have come as a message of its own, and they are in order of time."""
    if start < EARLIEST or readings[-1].at > now + AHEAD_S:
        raise Refused("in_the_future" if start >= EARLIEST else "before_2000", f"the half hour begins at {start}")
    before = start - 1
    for reading in readings:
        _, at, power_w, import_wh, export_wh, meter_id = reading
        if not before < at < start + HALF_HOUR:
            raise Refused("bad_block", f"a reading at {at} is out of order, or of another half hour")
        if power_w is not None and not -MAX_POWER <= power_w <= MAX_POWER:
            raise Refused("out_of_range", f"power_w is {power_w}")
        for register in (import_wh, export_wh):
            if register is not None and (not 0 <= register <= MAX_REGISTER or register == NO_REGISTER):
                raise Refused("out_of_range", f"a register is {register}")
        if power_w is import_wh is export_wh is None:
            raise Refused("no_values", f"the reading at {at} has no figure")
        if meter_id is not None and check_meter_id(meter_id) != meter_id:
            raise Refused("bad_meter_id", f"meter_id is {shown(meter_id)}")
        before = at
