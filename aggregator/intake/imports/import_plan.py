"""From the rows of a file to the evidence that they add: sort, unique rows, whole Wh, the plan.

**External sort.** A row is a sort tuple: its instant (UTC seconds), the rest of its key, its line number, its figures.
`SortedRows` sorts pieces in temporary files and merges them, in constant memory.

**Rows (pure).** Duplicates are counted; rows that contradict each other are refused. The intervals of a file add up
from its first to the nearest Wh.

**Plan.** An import only adds: a value that is stored for the same instant, or for the same interval, stays, unless the
import is a correction. Import and
export, and the fields of a reading, are filled in independently. What overlaps otherwise is stored beside it, and
`core.energy` decides what counts. The plan only reads the store. Energy is Wh, time UTC seconds.
"""

import heapq
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import IO, Any, NamedTuple

import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import HALF_HOUR, HOUR, Window, block_start, day_of, iso_utc, slots
from aggregator.core.readings import Interval, Reading
from aggregator.intake.imports.understanding import RefusedRows
from aggregator.store.occupancies import check_kept, seen_instants
from aggregator.store.port import Store

MICRO = 1_000_000


class Exact(NamedTuple):
    """The energy of an interval in the file, in millionths of a Wh or of a litre. None is absent."""

    start: int  # UTC seconds
    end: int
    line: int
    import_uwh: int | None
    export_uwh: int | None
    volume_ul: int | None = None


def in_whole_wh(rows: Iterable[Exact], device_id: str, source: str) -> Iterator[tuple[int, Interval]]:
    """Yield line numbers and intervals in whole Wh; a rounding rest goes to the next interval, so sums stay exact."""
    sums = [0, 0, 0]
    for row in rows:
        whole: list[int | None] = [None, None, None]
        for place, micro in enumerate(row[3:6]):
            if micro is not None:
                before = _whole(sums[place])
                sums[place] += micro
                whole[place] = _whole(sums[place]) - before
        yield row.line, Interval(device_id, row.start, row.end, whole[0], whole[1], source, whole[2])


def _whole(micro: int) -> int:
    return (micro + MICRO // 2) // MICRO


# Unique rows in order
Row = tuple[Any, ...]  # the instant, its end or 0, the number of the row, its series, its figures


def unique(rows: Iterable[Row], refusals: RefusedRows, repeated: Callable[[], None]) -> Iterator[Row]:
    """Yield one row per time, without its series; none where rows of one time contradict each other.

    Rows that say different things of one time are joined; rows of different series add up. Where two figures contradict
    each other the correct one is unknown, so the result does not depend on the order of the file.
    """
    for at, some in groupby(rows, key=itemgetter(0)):
        first, *others = some
        if not others:
            yield (*first[:3], *first[4:])
            continue
        joined = _joined([first, *others], repeated)
        if joined is not None:
            yield at, *joined
            continue
        for row in (first, *others):
            other = next((one for one in (first, *others) if _said(one) != _said(row)), None)
            if other:
                _refuse(row, refusals, f"{refusals.place(other[2])} has other figures for the same time")
            else:
                repeated()


def _joined(rows: Sequence[Row], repeated: Callable[[], None]) -> Row | None:
    """Return the end, the number and the figures of rows of one time; None where they contradict each other."""
    by_series: dict[int, list[Any]] = {}
    for row in rows:
        figures = by_series.setdefault(row[3], list(row[4:]))
        if row[1] != rows[0][1] or any(
            None not in (old, new) and old != new for old, new in zip(figures, row[4:], strict=True)
        ):
            return None
        by_series[row[3]] = [new if old is None else old for old, new in zip(figures, row[4:], strict=True)]
    for earlier, later in pairwise(sorted(rows, key=itemgetter(3, 2))):
        if earlier[3:] == later[3:]:
            repeated()
    columns = zip(*by_series.values(), strict=True)
    totals = [sum(known) if (known := [one for one in column if one is not None]) else None for column in columns]
    return rows[0][1], rows[0][2], *totals


def exact_intervals(rows: Iterable[Row], refusals: RefusedRows) -> Iterator[Exact]:
    """Yield intervals, without those that begin before the previous one ends."""
    before: Exact | None = None
    for row in rows:
        interval = Exact(*row)
        if before and interval.start < before.end:
            place = refusals.place(before.line)
            _refuse(row, refusals, f"the interval of {place} lasts until {iso_utc(before.end)}")
        else:
            yield interval
            before = interval


def readings_of(rows: Iterable[Row], device_id: str) -> Iterator[Reading]:
    """Convert unique rows of instants to readings."""
    for at, _, _, power_w, import_wh, export_wh, volume_l in rows:
        yield Reading(device_id, at, power_w, import_wh, export_wh, None, volume_l)


def _said(row: Row) -> Row:
    return row[1], *row[3:]


def _refuse(row: Row, refusals: RefusedRows, detail: str) -> None:
    at, _, number, *_ = row
    refusals.refuse(number, f"{refusals.place(number)}, {iso_utc(at)}", Refused("contradiction", detail))


# External sort

PIECE = 100_000  # rows sorted in memory


MERGED = 32  # pieces merged into one, so that few files are open


_LINE = 250  # rows in one line of a piece


SortRow = tuple[Any, ...]  # text and 64-bit numbers; keys are unique


class SortedRows:
    """Rows in any order, sorted; iterable in order any number of times."""

    def __init__(self, rows: Iterable[SortRow], piece: int = PIECE) -> None:
        """Take in all rows; pieces are unnamed files in the folder for temporary files."""
        self._pieces: list[list[IO[bytes]]] = [[]]  # by number of merges
        self._rest: list[SortRow] = []
        self.count = 0
        try:
            self._take(iter(rows), piece)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        for level in self._pieces:
            for file in level:
                file.close()

    def __iter__(self) -> Iterator[SortRow]:
        """Yield all rows in order."""
        return heapq.merge(*map(_read_piece, [file for level in self._pieces for file in level]), self._rest)

    def _take(self, rows: Iterator[SortRow], piece: int) -> None:
        while some := sorted(islice(rows, piece)):
            self.count += len(some)
            if len(some) == piece:
                self._add(some, 0)
            else:
                self._rest = some

    def _add(self, rows: Iterable[SortRow], level: int) -> None:
        """Store a sorted piece; merge MERGED pieces of one level into one."""
        if level == len(self._pieces):
            self._pieces.append([])
        try:
            self._pieces[level].append(tempfile.TemporaryFile())  # noqa: SIM115 - `close` does
            _write_piece(rows, self._pieces[level][-1])
        except OSError as error:
            raise ConfigurationError(
                f"the rows cannot be sorted on the disk: {error.strerror}; set TMPDIR to another folder"
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
        file.seek(position)  # each iterator has its own position
        line = file.readline()
        if not line:
            return
        position += len(line)
        yield from map(tuple, orjson.loads(line))


# Plan

MOST_DAYS = 400  # of stored usage that a file is compared with
LOOK = 48  # half hours of evidence fetched at once
ROUNDING_WH = 1  # two files may round the same energy in different directions

Evidence = Reading | Interval


def stored_usage(store: Store, device: Device, start: int, end: int) -> dict[int, int]:
    """Return the measured import of a span, Wh by the start of its hour (UTC seconds); of MOST_DAYS days at most.

    The viewer of the device sees no other days than their own.
    """
    found, zone, own = dict[int, int](), device.timezone, seen_instants(device)
    if start >= own.end or end < own.start:
        return found
    first, last = day_of(max(start, own.start), zone), day_of(min(end, own.end - 1), zone)
    documents = store.documents("day", device.device_id, first, last)
    for document in islice(documents, MOST_DAYS):
        for slot in slots("day", document.period, document.timezone):
            part = document.parts.get(slot.name)
            if part and part.import_wh is not None and not part.estimated_s and part.known_s == HOUR:
                found[slot.start] = part.import_wh
    return found


class Planned(NamedTuple):
    """The result of a row."""

    added: Evidence | None  # with the values that are not stored yet; None where all are known
    differs: bool  # a value that is stored is another one
    stored: Evidence | None = None  # of the same time


class ImportPlan:
    """Plan rows in order of time; a day of stored evidence is fetched at a time."""

    def __init__(self, store: Store, device: Device, *, is_correction: bool = False) -> None:
        self._store, self._device, self._is_correction = store, device, is_correction
        self._own = seen_instants(device)
        self._known: dict[tuple[int, int], Evidence] = {}
        self._span = Window(0, 0)

    def plan(self, row: Evidence) -> Planned:
        """Plan the next row. Raises Refused for an erased time, one of others, or energy beyond the maximum power."""
        if self._device.erased:
            check_kept(self._device, row)
        time = start, end = _time(row)
        if not (self._own.start <= start < self._own.end and end <= self._own.end):
            raise Refused("not_your_days", "another household lived there at this time")
        if isinstance(row, Interval):
            _check_energy(row, self._device.max_power_w)
        known = self._stored(row, time)
        return compared(known, row, is_correction=self._is_correction) if known else Planned(row, differs=False)

    def _stored(self, row: Evidence, time: tuple[int, int]) -> Evidence | None:
        if not self._span.start <= time[0] < self._span.end:
            first = block_start(time[0])
            self._span = Window(first, first + LOOK * HALF_HOUR)
            fetch = self._store.intervals if isinstance(row, Interval) else self._store.readings
            found = fetch(self._device.device_id, first, first + (LOOK - 1) * HALF_HOUR)
            self._known = {_time(one): one for one in found}
        return self._known.get(time)


def compared(known: Evidence, row: Evidence, *, is_correction: bool = False) -> Planned:
    """Return what a row adds to the stored evidence of the same time; a correction adds what differs, too."""
    values = [(name, getattr(known, name), new) for name in _values(row) if (new := getattr(row, name)) is not None]
    tolerance = ROUNDING_WH if isinstance(row, Interval) else 0
    other = {name for name, stored, new in values if stored is not None and not _is_same(stored, new, tolerance)}
    stays: dict[str, Any] = dict.fromkeys(
        name for name, stored, _ in values if stored is not None and not (is_correction and name in other)
    )
    return Planned(row._replace(**stays) if len(stays) < len(values) else None, bool(other), known)


def _values(row: Evidence) -> list[str]:
    """Return the fields that say something of the time of a row; who says it is no value."""
    return [name for name in row._fields if name not in ("device_id", "at", "start", "end", "source")]


def _is_same(stored: int | str, new: int | str, tolerance: int) -> bool:
    return stored == new or (isinstance(stored, int) and isinstance(new, int) and abs(stored - new) <= tolerance)


def _time(row: Evidence) -> tuple[int, int]:
    """Return the time that identifies stored evidence: a span, or an instant."""
    return (row.start, row.end) if isinstance(row, Interval) else (row.at, row.at)


def _check_energy(interval: Interval, max_power_w: int) -> None:
    """Raise Refused for an energy that the home cannot have used; 1 Wh may be rounding."""
    seconds = interval.end - interval.start
    for energy in (interval.import_wh or 0, interval.export_wh or 0):
        if (energy - ROUNDING_WH) * HOUR > max_power_w * seconds:
            raise Refused(
                "out_of_range", f"{energy} Wh in {seconds} s exceeds this home's maximum power of {max_power_w} W"
            )
