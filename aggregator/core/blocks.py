"""Blocks: the readings of one device and UTC half hour, packed into about two bytes a reading. Pure.

A block is one deflate stream. Before compression it holds a version byte, the count (16 bits, little endian), five
columns and the meter ids as JSON. The columns are offset into the half hour (s), power (W), import and export (Wh) and
volume (l).
A column holds its first value and then the differences, in the narrowest integers that fit; a bitmap marks unknown
values. `unpack_block` raises ValueError for a damaged block.
"""

import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate, compress, repeat
from operator import sub

import orjson

from aggregator.core.readings import Reading

VERSION = 1
MANY = 60  # readings of a half hour: packing them at once costs less than a row each, and the packing of these later
_WIDTHS = (("b", 1 << 7), ("h", 1 << 15), ("i", 1 << 31), ("q", 1 << 63))
_CODES = {code for code, _ in _WIDTHS}
_reading: Callable[[Iterable[object]], Reading] = partial(tuple.__new__, Reading)  # _make without its Python frame
_ABSENT, _FULL, _PARTIAL = 0, 1, 2


def pack_block(start: int, readings: Sequence[Reading]) -> bytes:
    """Pack readings of one device from the half hour at `start` (UTC seconds), in order of time."""
    _, ats, *values, meters, volumes = zip(*readings, strict=True)
    body = [VERSION.to_bytes(1, "little"), len(readings).to_bytes(2, "little")]
    body.append(_numbers([at - start for at in ats]))
    body += [_column(column) for column in (*values, volumes)]
    runs: list[str | None] | None = None
    if any(meters):
        runs = [meters[0]] if len(set(meters)) == 1 else list(meters)
    body.append(orjson.dumps(runs))
    return zlib.compress(b"".join(body), 1)


def unpack_block(device_id: str, start: int, packed: bytes) -> list[Reading]:
    """Return the readings of a block, in order of time. Raises ValueError for a damaged block."""
    try:
        return unpack_block_body(device_id, start, zlib.decompress(packed))
    except (zlib.error, IndexError, TypeError) as error:
        raise ValueError(f"a block of readings is damaged: {error}") from error


def unpack_block_body(device_id: str, start: int, body: bytes) -> list[Reading]:
    """Return the readings of an inflated block. Raises ValueError, IndexError or TypeError for a damaged one."""
    if body[0] != VERSION:
        raise ValueError(f"a block of readings has version {body[0]}, this Wattfall reads {VERSION}")
    count = int.from_bytes(body[1:3], "little")
    offsets, position = _read_numbers(body, 3, count)
    columns: list[Sequence[int | None]] = []
    for _ in range(4):
        column, position = _read_column(body, position, count)
        columns.append(column)
    runs = orjson.loads(body[position:])
    meters = repeat(None, count) if runs is None else runs * count if len(runs) == 1 else runs
    ats = [start + offset for offset in offsets]
    *values, volumes = columns
    return list(map(_reading, zip(repeat(device_id, count), ats, *values, meters, volumes, strict=True)))


def _column(values: Sequence[int | None]) -> bytes:
    missing = values.count(None)
    if missing == len(values):
        return bytes([_ABSENT])
    if not missing:
        return bytes([_FULL]) + _numbers(values)  # type: ignore[arg-type] # none is None
    present = bytes(value is not None for value in values)
    return bytes([_PARTIAL]) + present + _numbers([value for value in values if value is not None])


def _read_column(body: bytes, position: int, count: int) -> tuple[Sequence[int | None], int]:
    kind, position = body[position], position + 1
    if kind == _ABSENT:
        return [None] * count, position
    if kind == _FULL:
        return _read_numbers(body, position, count)
    present = body[position : position + count]
    numbers, position = _read_numbers(body, position + count, sum(present))
    values: list[int | None] = [None] * count
    for place, number in zip(compress(range(count), present), numbers, strict=True):
        values[place] = number
    return values, position


def _numbers(values: Sequence[int]) -> bytes:
    """Encode the first value in 8 bytes, then the differences at the width of the largest."""
    steps = list(map(sub, values[1:], values))
    widest = max(max(steps), -min(steps) - 1) if steps else 0
    code = next((code for code, limit in _WIDTHS if widest < limit), "")
    if not code:
        raise ValueError(f"differences up to {widest} do not fit 64 bits")
    return values[0].to_bytes(8, "little", signed=True) + code.encode() + _little(array(code, steps)).tobytes()


def _read_numbers(body: bytes, position: int, count: int) -> tuple[list[int], int]:
    first, code = int.from_bytes(body[position : position + 8], "little", signed=True), chr(body[position + 8])
    if code not in _CODES:
        raise ValueError(f"{code!r} is not an integer width")
    steps = array(code)
    start = position + 9
    end = start + (count - 1) * steps.itemsize
    steps.frombytes(body[start:end])
    return list(accumulate(_little(steps), initial=first)), end


def _little(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
