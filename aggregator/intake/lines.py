"""Lines of a file or a pipe, in chunks of bounded memory."""

import io
import os
import select
import stat
from collections.abc import Iterator
from typing import BinaryIO

from aggregator.core.readings import MAX_LINE

CHUNK = 8 << 20  # bytes; about 55,000 readings
IDLE_S = 0.2  # a pipe idle for this time yields its lines
_BOM = b"\xef\xbb\xbf"


def chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a binary stream in chunks, without line ends; a line is cut after MAX_LINE."""
    rest, is_first = b"", True
    for data in _pieces(stream):
        lines = (rest + data.removeprefix(_BOM) if is_first else rest + data).split(b"\n")
        is_first = False
        rest = lines.pop()[: MAX_LINE + 1]
        yield lines
    if rest:
        yield [rest]


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    descriptor = _pipe(stream)
    while data := stream.read(CHUNK) if descriptor is None else _available(descriptor):
        yield data


def _pipe(stream: BinaryIO) -> int | None:
    """Return the descriptor of a stream that may block; None for a file."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return None
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def _available(descriptor: int) -> bytes:
    """Return the bytes in a pipe, up to CHUNK; wait for the first byte, and IDLE_S for more."""
    data = os.read(descriptor, CHUNK)
    pieces, size = [data], len(data)
    while data and size < CHUNK and select.select([descriptor], [], [], IDLE_S)[0]:
        data = os.read(descriptor, CHUNK)
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)
