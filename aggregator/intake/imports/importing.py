"""Take a recognised file into a store: plan against the stored evidence, write in batches, propagate; and report.

Each batch is one durable step with its documents updated. An import can therefore stop at any time, and importing the
same file again resumes it. The live state stays unchanged, since history is not a live device. The report holds counts,
the span, holes, energy in Wh and refused rows.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import block_start, iso_local
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import CHANNELS, MAX_GAP_S
from aggregator.intake import refusals
from aggregator.intake.imports.import_plan import (
    Evidence,
    ImportPlan,
    Planned,
    Row,
    SortedRows,
    in_whole_wh,
    readings_of,
    unique,
)
from aggregator.intake.imports.recognise import Progress, Recognised
from aggregator.intake.imports.understanding import RefusedRows
from aggregator.intake.ingest import ingest_intervals, registered
from aggregator.intake.refusals import Batch
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain

_A_BATCH = 5  # messages in a batch of refusals


@dataclass(slots=True)
class ImportReport:
    """Counts of the rows so far, and the refused rows by name."""

    refusals: RefusedRows = field(default_factory=RefusedRows)
    accepted: int = 0
    known: int = 0
    differs: int = 0  # rows that contradict a stored value, which stays
    duplicates: int = 0
    first: int | None = None  # UTC seconds
    last: int | None = None
    holes: int = 0
    hole_s: int = 0
    import_wh: int | None = None  # energy of the accepted intervals
    export_wh: int | None = None
    volume_l: int | None = None

    @property
    def rejected(self) -> int:
        """The number of refused rows."""
        return self.refusals.reasons.total()

    @property
    def rows(self) -> int:
        """The number of rows in the file."""
        return self.accepted + self.known + self.duplicates + self.rejected

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
            if added.volume_l is not None:
                self.volume_l = (self.volume_l or 0) + added.volume_l

    def keep_refused(self, store: Store, device_id: str, now: int) -> None:
        """Record refusals for `wattfall refused`: all counts and the last messages."""
        counts = Counter(self.refusals.reasons)
        batch = Batch()
        for place, (payload, why) in enumerate(self.refusals.samples, 1):
            batch.add(payload, why, now, device_id)
            counts[why.reason] -= 1
            if place % _A_BATCH == 0 or place == len(self.refusals.samples):
                if place == len(self.refusals.samples):
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
            "reasons": dict(sorted(self.refusals.reasons.items())),
            "from": None if self.first is None else iso_local(self.first, zone),
            "to": None if self.last is None else iso_local(self.last, zone),
            "import_wh": self.import_wh,
            "export_wh": self.export_wh,
            **({"volume_l": self.volume_l} if self.volume_l is not None else {}),
            "holes": self.holes,
            "hole_s": self.hole_s,
        }


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
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refusals.reasons.items()))
    yield f"{report.rejected} {would}refused" + (f": {reasons}" if reasons else "")
    yield f"{report.holes} holes" + (f" of {_days(report.hole_s)} together" if report.holes else "")


def _energies(report: ImportReport) -> str:
    energies = (("import", report.import_wh), ("export", report.export_wh))
    known = [f"{wh / 1000:,.3f} kWh of {name}" for name, wh in energies if wh is not None]
    known += [f"{report.volume_l / 1000:,.3f} m³ of gas"] if report.volume_l is not None else []
    return f": {' and '.join(known)}" if known else ""


def _days(seconds: int) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds / 3600:.1f} h"


# Import
BATCH = 10_000  # rows
_A_STEP = 1000  # rows between reports of progress
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # label and amount of work -> progress


def take(store: Store, device: Device, found: Recognised, now: int, bar: Bar, *, is_dry: bool) -> ImportReport:
    """Take a recognised file into a device; with `is_dry` only report the result."""
    assert found.rows is not None
    assert found.layout is not None
    report = ImportReport(found.refusals)
    with bar("Checking" if is_dry else "Importing", found.rows.count) as progress:
        rows = unique(_counted(found.rows, progress), report.refusals.refuse, report.repeat)
        plan = ImportPlan(store, device)
        if found.layout.is_instant:
            added = _added_readings(plan, rows, device, max(3 * found.step_s, MAX_GAP_S), report)
        else:
            added = _added_intervals(plan, rows, found, device.device_id, report)
        for batch in _batches(added):
            if not is_dry:
                _write(store, device, batch, now)
        if not is_dry:
            drain(store)  # what a stopped import has left
    if not is_dry:
        report.keep_refused(store, device.device_id, now)
    return report


def _counted(rows: SortedRows, progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _A_STEP == 0:
            progress(_A_STEP)
    progress(rows.count % _A_STEP)


def _added_intervals(
    plan: ImportPlan, rows: Iterator[Row], found: Recognised, device_id: str, report: ImportReport
) -> Iterator[Evidence]:
    """Yield the intervals that the rows add."""
    exact = found.intervals(rows, report.refusals.refuse)
    for line, interval in in_whole_wh(exact, device_id, found.understanding.format):
        try:
            planned = plan.plan(interval)
        except Refused as why:
            report.refusals.refuse(line, repr(interval), why)
            continue
        report.cover(interval.start, interval.end, 0)
        report.note(planned)
        if planned.added:
            yield planned.added


def _added_readings(
    plan: ImportPlan, rows: Iterator[Row], device: Device, longest_gap_s: int, report: ImportReport
) -> Iterator[Evidence]:
    """Yield the readings that the rows add."""
    for reading in readings_of(rows, device.device_id):
        try:
            planned = plan.plan(reading)
        except Refused as why:
            report.refusals.refuse(0, iso_local(reading.at, device.timezone), why)
            continue
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
