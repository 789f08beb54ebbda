"""Energies of intervals as readings, with a register made for them. Pure.

A run of intervals without a hole is one segment of a register with a meter id of its own, `interval:` and its start. So
no energy lies across a hole, which stays without data. The register starts at FIRST_WH, so far from any meter's that
no step between the two can be taken for energy. The intervals of a file, from its first on, add up to the nearest Wh.

A segment has three readings at least, for a register is believed after a strange step only if it runs on (`energy`).
No reading is put where another is: a segment then begins a second after it, or ends a second before, with all its
energy.

Rows in order of time, each once: what is there twice is counted, what contradicts another row is refused. Pure.

A row is a tuple as it is sorted: its instant, what else tells it apart, its line, its figures.

Rows in order, however many: sorted pieces on the disk, merged. Memory stays the same from a million rows on.
"""

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import IO, Any, NamedTuple

import orjson

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import MAX_REGISTER, Reading
from aggregator.core.registers import METER, is_made

FIRST_WH = MAX_REGISTER // 2
MICRO = 1_000_000


class Beside(NamedTuple):
    """Whether readings of others are at the start and at the end of an interval, as seconds to keep away."""

    start: bool
    end: bool


class Exact(NamedTuple):
    """The energy of an interval as a file has it, in millionths of a Wh. None is not said."""

    start: int  # UTC seconds
    end: int
    line: int
    import_uwh: int | None
    export_uwh: int | None


class Interval(NamedTuple):
    """The energy of an interval in whole Wh. None is not said."""

    start: int  # UTC seconds
    end: int
    line: int
    import_wh: int | None
    export_wh: int | None


class Segment(NamedTuple):
    """A register that was made, as it is at the end of its last interval."""

    meter_id: str
    end: int  # UTC seconds
    import_wh: int | None
    export_wh: int | None

    def runs_on_with(self, interval: Interval) -> bool:
        """Whether an interval is next, and has energies of the same directions."""
        is_same_import = (self.import_wh is None) == (interval.import_wh is None)
        is_same_export = (self.export_wh is None) == (interval.export_wh is None)
        return self.end == interval.start and is_same_import and is_same_export


def in_whole_wh(rows: Iterable[Exact]) -> Iterator[Interval]:
    """Energies in whole Wh. What rounding leaves is carried to the next, so that all up to any one add up."""
    imported = exported = 0
    for row in rows:
        before = _whole(imported), _whole(exported)
        imported, exported = imported + (row.import_uwh or 0), exported + (row.export_uwh or 0)
        yield Interval(
            row.start,
            row.end,
            row.line,
            None if row.import_uwh is None else _whole(imported) - before[0],
            None if row.export_uwh is None else _whole(exported) - before[1],
        )


def _whole(micro: int) -> int:
    return (micro + MICRO // 2) // MICRO


def segment_of(reading: Reading) -> Segment | None:
    """The segment that a stored reading ends, if its register was made here."""
    if reading.meter_id is None or not is_made(reading.meter_id):
        return None
    return Segment(reading.meter_id, reading.at, reading.import_wh, reading.export_wh)


def run_on(
    device_id: str, interval: Interval, segment: Segment | None, inner: Sequence[int], beside: Beside
) -> tuple[Segment, list[Reading]]:
    """The readings of an interval, and the segment after it: a new one where there is none to run on.

    There is a reading at each end and at each of the `inner` instants, to which the energy is spread evenly. `beside`
    says whether there are readings of others at the start and at the end; there are none between.
    """
    before = segment or _new_segment(interval)
    if segment is None and not inner:
        inner = [(interval.start + interval.end) // 2]
    places = [(at, at) for at in inner] + [(interval.end - beside.end, interval.end)]
    if segment is None:
        places.insert(0, (interval.start + beside.start, interval.start))
    readings = [
        Reading(device_id, at, None, *_registers(before, interval, shown), before.meter_id) for at, shown in places
    ]
    return Segment(before.meter_id, interval.end, *_registers(before, interval, interval.end)), readings


def _new_segment(interval: Interval) -> Segment:
    imported = None if interval.import_wh is None else FIRST_WH
    exported = None if interval.export_wh is None else FIRST_WH
    return Segment(METER + iso_utc(interval.start), interval.start, imported, exported)


def _registers(before: Segment, interval: Interval, at: int) -> tuple[int | None, int | None]:
    """The registers at an instant of the interval that follows a segment, rounded down."""
    share = at - interval.start, interval.end - interval.start
    return _risen(before.import_wh, interval.import_wh, *share), _risen(before.export_wh, interval.export_wh, *share)


def _risen(register: int | None, energy: int | None, elapsed: int, length: int) -> int | None:
    return None if register is None or energy is None else register + energy * elapsed // length


# import rows

Row = tuple[Any, ...]
Refuse = Callable[[int, bytes, Refused], None]  # the line, what it says, and why not


def unique(rows: Iterable[Row], refuse: Refuse, repeated: Callable[[], None]) -> Iterator[Row]:
    """The first of the rows that say the same of an instant; none, where one of them says something else.

    Which one is right cannot be told, and so it does not depend on the order of the file.
    """
    first: Row | None = None
    is_contradicted = False
    for row in rows:
        if first is None or row[0] != first[0]:
            if first and not is_contradicted:
                yield first
            first, is_contradicted = row, False
        elif _said(row) == _said(first):
            repeated()
        else:
            if not is_contradicted:
                refuse(*_contradiction(first, f"line {row[2]} says something else of the same time"))
            refuse(*_contradiction(row, f"line {first[2]} says something else of the same time"))
            is_contradicted = True
    if first and not is_contradicted:
        yield first


def exact_intervals(rows: Iterable[Row], refuse: Refuse) -> Iterator[Exact]:
    """Rows of intervals, without those that begin before the one before them ends."""
    before: Exact | None = None
    for row in rows:
        interval = Exact(*row)
        if before and interval.start < before.end:
            refuse(*_contradiction(row, f"the interval of line {before.line} goes on until {iso_utc(before.end)}"))
        else:
            yield interval
            before = interval


def readings_of(rows: Iterable[Row]) -> Iterator[Reading]:
    """Rows of instants as readings."""
    for at, device_id, _, *said in rows:
        yield Reading(device_id, at, *said)


def _said(row: Row) -> Row:
    return row[1], *row[3:]


def _contradiction(row: Row, detail: str) -> tuple[int, bytes, Refused]:
    at, _, line, *_ = row
    return line, f"line {line}, {iso_utc(at)}".encode(), Refused("contradiction", detail)


PIECE = 100_000  # rows that are sorted in memory


MERGED = 32  # pieces that are merged into one, so that few files are open


_LINE = 250  # rows in one line of a piece


SortRow = tuple[Any, ...]  # text and numbers of 64 bits; no two begin with the same


class SortedRows:
    """Rows that were given in any order, to be read in order any number of times."""

    def __init__(self, rows: Iterable[SortRow], piece: int = PIECE) -> None:
        """Take in all rows. On the disk they are in the folder for temporary files, without a name."""
        self._pieces: list[list[IO[bytes]]] = [[]]  # by how often they have been merged
        self._rest: list[SortRow] = []
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

    def __iter__(self) -> Iterator[SortRow]:
        """All rows in order."""
        return heapq.merge(*map(_read_piece, [file for level in self._pieces for file in level]), self._rest)

    def _take(self, rows: Iterator[SortRow], piece: int) -> None:
        while some := sorted(islice(rows, piece)):
            self.count += len(some)
            if len(some) == piece:
                self._add(some, 0)
            else:
                self._rest = some

    def _add(self, rows: Iterable[SortRow], level: int) -> None:
        """Keep a sorted piece; as soon as there are MERGED of its size they become one."""
        if level == len(self._pieces):
            self._pieces.append([])
        try:
            self._pieces[level].append(tempfile.TemporaryFile())  # noqa: SIM115 - `close` does
            _write_piece(rows, self._pieces[level][-1])
        except OSError as error:
            raise ConfigurationError(
                f"the rows cannot be sorted on the disk: {error.strerror}; TMPDIR names the folder for that"
            ) from error
        if len(self._pieces[level]) == MERGED:
            self._add(heapq.merge(*map(_read_piece, self._pieces[level])), level + 1)
            for file in self._pieces[level]:
                file.close()
            self._pieces[level] = []


def _write_piece(rows: Iterable[SortRow], file: IO[bytes]) -> None:
    source = iter(rows)
    while some := list(islice(source, _LINE)):
        file.write(orjson.dumps(some) + b"\n")
    file.flush()


def _read_piece(file: IO[bytes]) -> Iterator[SortRow]:
    position = 0
    while True:
        file.seek(position)  # each reading of a piece has a place of its own
        line = file.readline()
        if not line:
            return
        position += len(line)
        yield from map(tuple, orjson.loads(line))
