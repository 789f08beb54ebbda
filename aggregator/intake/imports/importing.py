"""Take a recognised file into a store: plan against the stored evidence, write in batches, propagate; and report.

Each batch is one durable step, so an import can stop at any time, and importing the same file again resumes it. Its
record (`import_records`) tells of it, and takes it back. The live state stays unchanged, since history is not a live
device.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import groupby, islice

from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.core.periods import DAY_S, HALF_HOUR, Window, block_start, day_of, days_of, iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import CHANNELS, MAX_GAP_S
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
from aggregator.intake.imports.import_records import (
    A_WEEK,
    STANDING,
    TAKEN,
    UNDOING,
    ImportRecord,
    Source,
    begin_import,
    undo,
    update_import,
)
from aggregator.intake.imports.import_report import DayChange, ImportReport
from aggregator.intake.imports.recognise import Progress, Recognised
from aggregator.intake.ingest import registered
from aggregator.store.occupancies import is_kept
from aggregator.store.port import Store
from aggregator.waterfall.levels import rewrite
from aggregator.waterfall.stored_half_hours import is_old
from aggregator.waterfall.worker import drain

BATCH = 10_000  # rows
_A_STEP = 1000  # rows between reports of progress
Parts = Mapping[str, Part]  # of a day
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # label and amount of work -> progress


def take(
    store: Store,
    device: Device,
    found: Recognised,
    now: int,
    bar: Bar,
    source: Source | None,
    settle: Callable[[Store], object] = drain,
) -> ImportReport:
    """Take a recognised file into a device; without a `source` only report the result.

    `settle` updates the documents after each batch. Raises ConfigurationError where the import is taken back meanwhile.
    """
    assert found.rows is not None
    report = ImportReport(found.refusals)
    with bar("Importing" if source else "Checking", found.rows.count) as progress:
        if source is None:
            for _ in _planned(store, device, found, report, progress, is_correction=False):
                pass
            return report
        record = report.record = begin_import(store, device, found, source, now)
        rows = _planned(store, device, found, report, progress, is_correction=source.is_correction)
        filled, told = set(record.old_days), set[str]()
        while planned := list(islice(rows, BATCH)):
            batch = [row for row, _ in planned]
            old = _old_days(store, device, batch)
            _write(store, device, record, batch, now)
            _note(store, record, report)
            settle(store)
            filled |= {day for day, parts in old.items() if parts != _parts(store, device, day)}
            added = [row for row, plan in planned if plan.added] if old else []
            told |= old.keys() & {day_of(row[1], device.timezone) for row in added}
            _note(store, record, report, old_days=tuple(sorted(filled)))
        report.kept_days = len(told - filled)
        report.record = _note(store, record, report, state=TAKEN)
        settle(store)  # what a stopped import has left
    report.keep_refused(store, device.device_id, now)
    return report


def _old_days(store: Store, device: Device, batch: Sequence[Evidence]) -> dict[str, Parts]:
    """Return the charts of the days near a batch of which evidence may be gone."""
    cutoff = store.retention_cutoff(device.device_id)
    near = Window(batch[0][1] - DAY_S, batch[-1][1] + 2 * DAY_S)
    days = days_of(near, device.timezone) if cutoff else ()
    return {
        day: _parts(store, device, day) for day in days if is_old(store.document("day", device.device_id, day), cutoff)
    }


def _parts(store: Store, device: Device, day: str) -> Parts:
    document = store.document("day", device.device_id, day)
    return document.parts if document else {}


def changed_days(
    store: Store, device: Device, found: Recognised, progress: Progress = lambda _: None
) -> list[DayChange]:
    """Return what a file would change of what is stored, as a correction, by local day."""
    days: dict[str, DayChange] = {}
    for row, planned in _planned(store, device, found, ImportReport(), progress, is_correction=True):
        if planned.stored and planned.differs:
            day = day_of(row[1], device.timezone)
            days[day] = days.get(day, DayChange(day)).plus(planned.stored, row)
    return list(days.values())


def _note(store: Store, record: ImportRecord, report: ImportReport, **fields: object) -> ImportRecord:
    """Store the counts of a report in a record; a resumed import has those from before too. Return it as stored.

    Raises ConfigurationError where the import was taken back while it ran, and leaves no trace of it then.
    """

    def both(before: int | None, new: int | None) -> int | None:
        return new if before is None else before + (new or 0)

    noted = update_import(
        store,
        record,
        STANDING,
        rows=record.rows + report.accepted,
        known=max(report.known - record.rows, 0),
        differs=report.differs,
        rejected=report.rejected,
        import_wh=both(record.import_wh, report.import_wh),
        export_wh=both(record.export_wh, report.export_wh),
        volume_l=both(record.volume_l, report.volume_l),
        blocks=record.blocks + report.blocks,
        **fields,
    )
    if noted.state not in STANDING:
        undo(store, replace(noted, state=UNDOING), noted.undone_by, noted.undone_at)
        text = Phrase("{name} was taken back while it ran; import the file again to have it", name=record.id)
        raise ConfigurationError(text)
    return noted


def _counted(rows: SortedRows, progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _A_STEP == 0:
            progress(_A_STEP)
    progress(rows.count % _A_STEP)


def _planned(
    store: Store, device: Device, found: Recognised, report: ImportReport, progress: Progress, *, is_correction: bool
) -> Iterator[tuple[Evidence, Planned]]:
    """Yield the evidence of a file with what it adds, counted. What is known is written too, since it may be undone."""
    assert found.rows is not None
    plan = ImportPlan(store, device, is_correction=is_correction)
    rows = unique(_counted(found.rows, progress), report.refusals, report.repeat)
    if found.layout.is_instant:
        return _readings(plan, rows, device.device_id, max(3 * found.step_s, MAX_GAP_S), report)
    return _intervals(plan, rows, found, device.device_id, report)


def _intervals(
    plan: ImportPlan, rows: Iterator[Row], found: Recognised, device_id: str, report: ImportReport
) -> Iterator[tuple[Evidence, Planned]]:
    exact = found.intervals(rows, report.refusals)
    for line, interval in in_whole_wh(exact, device_id, found.understanding.format):
        try:
            planned = plan.plan(interval)
        except Refused as why:
            report.refusals.refuse(line, repr(interval), why)
            continue
        report.cover(interval.start, interval.end, 0)
        report.note(planned)
        yield interval, planned


def _readings(
    plan: ImportPlan, rows: Iterator[Row], device_id: str, longest_gap_s: int, report: ImportReport
) -> Iterator[tuple[Evidence, Planned]]:
    for reading in readings_of(rows, device_id):
        try:
            planned = plan.plan(reading)
        except Refused as why:
            report.refusals.refuse(0, iso_utc(reading.at), why)
            continue
        report.cover(reading.at, reading.at, longest_gap_s)
        report.note(planned)
        yield reading, planned


def _write(store: Store, device: Device, record: ImportRecord, batch: Sequence[Evidence], now: int) -> None:
    """Write evidence into the layer of an import."""
    longest = max((one.end - one.start for one in batch if isinstance(one, Interval)), default=0)
    readings = [one for one in batch if isinstance(one, Reading)]
    reported = {channel for channel in CHANNELS if any(getattr(one, channel) is not None for one in readings)}
    with store.transaction():
        device = registered(store, device.device_id, device.timezone, reported, longest)
        if not record.is_correction:
            _write_kept(store, device.device_id, record.layer, batch, now)
    for blocks, some in _weeks(batch) if record.is_correction else ():
        rewrite(store, device, blocks, partial(_write_kept, store, device.device_id, record.layer, some, now))


def _write_kept(store: Store, device_id: str, layer: int, batch: Sequence[Evidence], now: int) -> None:
    """Write evidence of times that have not been erased since it was planned."""
    device = store.device(device_id) or Device(device_id)
    store.write_layer(layer, [one for one in batch if is_kept(device, one)], now)


def _weeks(batch: Iterable[Evidence]) -> Iterator[tuple[Window, list[Evidence]]]:
    """Yield the evidence of a batch by weeks, with the half hours in which it begins."""
    for _, group in groupby(batch, key=lambda one: one[1] // (A_WEEK * HALF_HOUR)):
        some = list(group)
        yield Window(block_start(some[0][1]), block_start(some[-1][1]) + HALF_HOUR), some
