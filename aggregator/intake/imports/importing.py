"""Import a file into a store: parse, sort, plan against the stored evidence, write in batches, propagate; and report.

Each batch is one durable step with its documents updated. An import can therefore stop at any time, and importing the
same file again resumes it. The live state stays unchanged, since history is not a live device. The report holds counts,
the span, holes, energy in Wh and refused rows.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import block_start, iso_local
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import CHANNELS, MAX_GAP_S
from aggregator.intake import refusals
from aggregator.intake.imports.import_file import ImportOptions, Progress, opened_file
from aggregator.intake.imports.import_plan import (
    Evidence,
    ImportPlan,
    Planned,
    Row,
    SortedRows,
    exact_intervals,
    in_whole_wh,
    readings_of,
    unique,
)
from aggregator.intake.ingest import ingest_intervals, registered
from aggregator.intake.refusals import Batch
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain

NAMED = 20  # named refused rows per reason; the others are only counted
_A_BATCH = 5  # messages in a batch of refusals


@dataclass(slots=True)
class ImportReport:
    """Counts of the rows so far, and the refused rows by name."""

    unit: str = "line"  # the unit that row numbers count
    accepted: int = 0
    known: int = 0
    differs: int = 0  # rows that contradict a stored value, which stays
    duplicates: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    first: int | None = None  # UTC seconds
    last: int | None = None
    holes: int = 0
    hole_s: int = 0
    import_wh: int | None = None  # energy of the accepted intervals
    export_wh: int | None = None
    named: list[str] = field(default_factory=list)
    _samples: deque[tuple[bytes, Refused]] = field(default_factory=lambda: deque(maxlen=refusals.KEPT))

    @property
    def rejected(self) -> int:
        """The number of refused rows."""
        return self.reasons.total()

    @property
    def rows(self) -> int:
        """The number of rows in the file."""
        return self.accepted + self.known + self.duplicates + self.rejected

    def refuse(self, number: int, payload: bytes, why: Refused) -> None:
        """Count a refused row; name it if it is among the first of its reason."""
        self.reasons[why.reason] += 1
        if self.reasons[why.reason] <= NAMED:
            self.named.append(f"{self.unit} {number}: {why}")
        self._samples.append((payload, why))

    def repeat(self) -> None:
        """Count a duplicate row."""
        self.duplicates += 1

    def cover(self, start: int, end: int, longest_gap_s: int) -> None:
        """Extend the span by the next row; a step longer than `longest_gap_s` is a hole."""
        if self.last is not None and start - self.last > longest_gap_s:
            self.holes += 1
            self.hole_s += start - self.last
        self.first = start if self.first is None else self.first
        self.last = max(end, self.last or end)

    def note(self, planned: Planned) -> None:
        """Count a planned row, and the energy of the interval that it adds."""
        added = planned.added
        self.differs += planned.differs
        self.accepted += added is not None
        self.known += added is None
        if isinstance(added, Interval):
            if added.import_wh is not None:
                self.import_wh = (self.import_wh or 0) + added.import_wh
            if added.export_wh is not None:
                self.export_wh = (self.export_wh or 0) + added.export_wh

    def keep_refused(self, store: Store, device_id: str, now: int) -> None:
        """Record refusals for `wattfall refused`: all counts and the last messages."""
        counts = Counter(self.reasons)
        batch = Batch()
        for place, (payload, why) in enumerate(self._samples, 1):
            batch.add(payload, why, now, device_id)
            counts[why.reason] -= 1
            if place % _A_BATCH == 0 or place == len(self._samples):
                if place == len(self._samples):
                    batch.counts[device_id].update(counts)
                refusals.put_refusals(store, batch, now)

    def as_json(self, zone: str) -> dict[str, object]:
        """Return the report as `wattfall import` prints it."""
        return {
            "accepted": self.accepted,
            "known": self.known,
            "differs": self.differs,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "reasons": dict(sorted(self.reasons.items())),
            "from": None if self.first is None else iso_local(self.first, zone),
            "to": None if self.last is None else iso_local(self.last, zone),
            "import_wh": self.import_wh,
            "export_wh": self.export_wh,
            "holes": self.holes,
            "hole_s": self.hole_s,
        }

    def refused_lines(self) -> Iterator[str]:
        """Yield each named refused row, and the number of others per reason."""
        yield from self.named
        for reason, count in sorted(self.reasons.items()):
            if count > NAMED:
                yield f"{reason}: {count - NAMED} more"


def summary(report: ImportReport, zone: str, *, is_dry: bool) -> Iterator[str]:
    """Yield the report as lines for people."""
    would = "would be " if is_dry else ""
    if report.first is None or report.last is None:
        yield f"{report.rows} rows, all unusable"
    else:
        yield f"{report.rows} rows, from {iso_local(report.first, zone)} to {iso_local(report.last, zone)}"
    yield f"{report.accepted} {would}taken in{_energies(report)}"
    yield f"{report.known} known already; {report.duplicates} duplicates"
    if report.differs:
        yield f"{report.differs} differ from what is stored, which stays"
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report.reasons.items()))
    yield f"{report.rejected} {would}refused" + (f": {reasons}" if reasons else "")
    yield f"{report.holes} holes" + (f" of {_days(report.hole_s)} together" if report.holes else "")


def _energies(report: ImportReport) -> str:
    energies = (("import", report.import_wh), ("export", report.export_wh))
    known = [f"{wh / 1000:,.3f} kWh of {name}" for name, wh in energies if wh is not None]
    return f": {' and '.join(known)}" if known else ""


def _days(seconds: int) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds / 3600:.1f} h"


# Import
BATCH = 10_000  # rows
_A_STEP = 1000  # rows between reports of progress
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # label and amount of work -> progress


def import_file(
    store: Store, device: Device, stream: BinaryIO, size: int, asked: ImportOptions, bar: Bar, *, is_dry: bool
) -> ImportReport:
    """Import a file of `size` bytes into a device; with `is_dry` only report the result."""
    report = ImportReport()
    with bar("Reading", size) as progress:
        opened = opened_file(stream, asked, report.refuse, progress)
        report.unit = opened.unit
        rows = SortedRows(opened.rows)
    with closing(rows), bar("Checking" if is_dry else "Importing", rows.count) as progress:
        once = unique(_counted(rows, progress), report.refuse, report.repeat)
        if opened.is_intervals:
            added = _added_intervals(ImportPlan(store, device), once, asked, report)
        else:
            added = _added_readings(ImportPlan(store, device), once, max(opened.step_s or 0, MAX_GAP_S), report)
        for batch in _batches(added):
            if not is_dry:
                _write(store, device, batch, asked.now)
        if not is_dry:
            drain(store)  # what a stopped import has left
    if not is_dry:
        report.keep_refused(store, device.device_id, asked.now)
    return report


def _counted(rows: SortedRows, progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _A_STEP == 0:
            progress(_A_STEP)
    progress(rows.count % _A_STEP)


def _added_intervals(
    plan: ImportPlan, rows: Iterator[Row], asked: ImportOptions, report: ImportReport
) -> Iterator[Evidence]:
    """Yield the intervals that the rows add."""
    exact = exact_intervals(rows, report.refuse)
    for line, interval in in_whole_wh(exact, asked.device_id, asked.format):
        try:
            planned = plan.plan(interval)
        except Refused as why:
            report.refuse(line, repr(interval).encode(), why)
            continue
        report.cover(interval.start, interval.end, 0)
        report.note(planned)
        if planned.added:
            yield planned.added


def _added_readings(
    plan: ImportPlan, rows: Iterator[Row], longest_gap_s: int, report: ImportReport
) -> Iterator[Evidence]:
    """Yield the readings that the rows add."""
    for reading in readings_of(rows):
        planned = plan.plan(reading)
        report.cover(reading.at, reading.at, longest_gap_s)
        report.note(planned)
        if planned.added:
            yield planned.added


def _batches(added: Iterator[Evidence]) -> Iterator[list[Evidence]]:
    while batch := list(islice(added, BATCH)):
        yield batch


def _write(store: Store, device: Device, batch: Sequence[Evidence], now: int) -> None:
    """Write evidence and propagate it to every document."""
    ingest_intervals(store, [one for one in batch if isinstance(one, Interval)], now, device.timezone)
    blocks: dict[tuple[str, int], dict[int, Reading]] = defaultdict(dict)
    for one in batch:
        if isinstance(one, Reading):
            blocks[device.device_id, block_start(one.at)][one.at] = one
    if blocks:
        readings = [reading for block in blocks.values() for reading in block.values()]
        reported = {channel for channel in CHANNELS if any(getattr(one, channel) is not None for one in readings)}
        with store.transaction():
            registered(store, device.device_id, device.timezone, reported)
            store.write_readings(blocks, now)
    drain(store)
