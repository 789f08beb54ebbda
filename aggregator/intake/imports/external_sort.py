"""Rows in order, however many: sorted pieces on the disk, merged. Memory stays the same from a million rows on."""

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any

import orjson

from aggregator.core.errors import ConfigurationError

PIECE = 100_000  # rows that are sorted in memory
MERGED = 32  # pieces that are merged into one, so that few files are open
_LINE = 250  # rows in one line of a piece

Row = tuple[Any, ...]  # text and numbers of 64 bits; no two begin with the same


class SortedRows:
    """Rows that were given in any order, to be read in order any number of times."""

    def __init__(self, rows: Iterable[Row], piece: int = PIECE) -> None:
        """Take in all rows. On the disk they are in the folder for temporary files, without a name."""
        self._pieces: list[list[IO[bytes]]] = [[]]  # by how often they have been merged
        self._rest: list[Row] = []
        self.count = 0
        try:
            self._take(iter(rows), piece)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the files."""
        for level in self._pieces:
            for file in level:
                file.close()

    def __iter__(self) -> Iterator[Row]:
        """All rows in order."""
        return heapq.merge(*map(_read, [file for level in self._pieces for file in level]), self._rest)

    def _take(self, rows: Iterator[Row], piece: int) -> None:
        while some := sorted(islice(rows, piece)):
            self.count += len(some)
            if len(some) == piece:
                self._add(some, 0)
            else:
                self._rest = some

    def _add(self, rows: Iterable[Row], level: int) -> None:
        """Keep a sorted piece; as soon as there are MERGED of its size they become one."""
        if level == len(self._pieces):
            self._pieces.append([])
        try:
            self._pieces[level].append(tempfile.TemporaryFile())  # noqa: SIM115 - `close` does
            _write(rows, self._pieces[level][-1])
        except OSError as error:
            raise ConfigurationError(
                f"the rows cannot be sorted on the disk: {error.strerror}; TMPDIR names the folder for that"
            ) from error
        if len(self._pieces[level]) == MERGED:
            self._add(heapq.merge(*map(_read, self._pieces[level])), level + 1)
            for file in self._pieces[level]:
                file.close()
            self._pieces[level] = []


def _write(rows: Iterable[Row], file: IO[bytes]) -> None:
    source = iter(rows)
    while some := list(islice(source, _LINE)):
        file.write(orjson.dumps(some) + b"\n")
    file.flush()


def _read(file: IO[bytes]) -> Iterator[Row]:
    position = 0
    while True:
        file.seek(position)  # each reading of a piece has a place of its own
        line = file.readline()
        if not line:
            return
        position += len(line)
        yield from map(tuple, orjson.loads(line))
