"""Lines from files and pipes: byte order marks, carriage returns, missing ends, endless streams."""

import io
import os
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from aggregator.commands.edge_command import CHUNK, chunks
from aggregator.core.errors import Refused
from aggregator.core.readings import MAX_LINE, parse_line

GOOD = b'{"device_id":"cad-1","at":"2026-03-29T00:59:50Z","power_w":431}'
NOW = 1_790_000_000


class Source(io.RawIOBase):
    """A file that yields its pieces one by one, for streams larger than memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - the pieces are as long as they are
        return next(self._pieces, b"")


def lines_of(*pieces: bytes) -> list[bytes]:
    stream = cast(BinaryIO, Source(iter(pieces)))
    return [line for chunk in chunks(stream) for line in chunk]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"one", [b"one"]),
        (b"one\n", [b"one"]),
        (b"one\ntwo", [b"one", b"two"]),
        (b"one\n\ntwo\n", [b"one", b"", b"two"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", [b"one", b"\xef\xbb\xbftwo"]),
    ],
)
def test_lines_are_numbered_as_in_an_editor(data: bytes, lines: list[bytes]) -> None:
    assert [line for chunk in chunks(io.BytesIO(data)) for line in chunk] == lines


def test_byte_order_marks_and_carriage_returns_are_ignored() -> None:
    lines = lines_of(b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD + b"\r\n")
    assert [parse_line(line, NOW).power_w for line in lines] == [431, 431]


def test_a_line_split_anywhere_is_joined() -> None:
    data = GOOD + b"\n" + GOOD + b"\n"
    for cut in range(1, len(data)):
        assert lines_of(data[:cut], data[cut:]) == [GOOD, GOOD]


def test_an_oversized_line_is_refused_in_bounded_memory() -> None:
    piece = b"x" * CHUNK
    tracemalloc.start()
    lines = lines_of(GOOD + b"\n", *[piece] * 24, b"\n" + GOOD + b"\n")  # 200 MB
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [lines[0], lines[2], len(lines)] == [GOOD, GOOD, 3]
    assert MAX_LINE < len(lines[1]) <= CHUNK
    assert peak < 4 * CHUNK
    with pytest.raises(Refused, match="line_too_long"):
        parse_line(lines[1], NOW)


def test_a_file_is_read_to_its_end_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    line = b"y" * 1_000_000
    path.write_bytes(b"\n".join([line] * 20))
    with path.open("rb") as stream:
        sizes = [len(chunk) for chunk in chunks(stream)]
    assert sum(sizes) == 20
    assert len(sizes) > 2


def test_an_open_pipe_yields_its_lines() -> None:
    reader, writer = os.pipe()
    patience = threading.Timer(5, os.close, [writer])
    patience.start()
    with os.fdopen(reader, "rb") as stream:
        handed = chunks(stream)
        os.write(writer, b"one\ntwo\nthr")
        assert next(handed) == [b"one", b"two"]
        os.write(writer, b"ee\nfour")
        assert next(handed) == [b"three"]
        patience.cancel()
        os.close(writer)
        assert list(handed) == [[b"four"]]


def test_a_null_device_is_empty() -> None:
    with Path(os.devnull).open("rb") as stream:
        assert list(chunks(stream)) == []
