"""A file into a store: read and sorted, planned against what is there, written in batches, carried to every chart.

Each batch is one durable step with its charts made, so that an import can be stopped at any time; once more, it goes on
where it was. The live state is left alone: what a file says of the past is not a device that sends.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from typing import BinaryIO

from aggregator.core.documents import Device
from aggregator.core.energy import CHANNELS
from aggregator.core.errors import Refused
from aggregator.core.periods import block_start
from aggregator.core.power import MAX_GAP_S
from aggregator.core.readings import Reading
from aggregator.intake.imports.external_sort import SortedRows
from aggregator.intake.imports.import_file import Asked, Progress, opened_file
from aggregator.intake.imports.import_plan import HistoryPlan, ReadingsPlan
from aggregator.intake.imports.import_report import Report
from aggregator.intake.imports.import_rows import Row, exact_intervals, readings_of, unique
from aggregator.intake.imports.interval_registers import in_whole_wh
from aggregator.intake.ingest import registered
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain

BATCH = 10_000  # readings
_A_STEP = 1000  # rows between reports of progress
Bar = Callable[[str, int], AbstractContextManager[Progress]]  # what is done, and how much there is to do
Plan = HistoryPlan | ReadingsPlan


def import_file(
    store: Store, device: Device, stream: BinaryIO, size: int, asked: Asked, bar: Bar, *, is_dry: bool
) -> Report:
    """Import a file of `size` bytes into a device, or only say what that would do."""
    report = Report()
    with bar("Reading", size) as progress:
        opened = opened_file(stream, asked, report.refuse, progress)
        report.unit = opened.unit
        rows = SortedRows(opened.rows)
    with closing(rows), bar("Checking" if is_dry else "Importing", rows.count) as progress:
        if not is_dry:
            drain(store)  # the charts know what a former import has written
        plan: Plan = HistoryPlan(store, device) if opened.is_intervals else ReadingsPlan(store, device)
        once = unique(_counted(rows, progress), report.refuse, report.repeat)
        longest_gap_s = 0 if opened.is_intervals else max(opened.step_s or 0, MAX_GAP_S)
        for batch in _batches(_planned(plan, once, longest_gap_s, report)):
            if not is_dry:
                _write(store, device, batch, asked.now)
                plan.forget()
    if not is_dry:
        report.keep_refused(store, device.device_id, asked.now)
    return report


def _counted(rows: SortedRows, progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        yield row
        if number % _A_STEP == 0:
            progress(_A_STEP)
    progress(rows.count % _A_STEP)


def _planned(plan: Plan, rows: Iterator[Row], longest_gap_s: int, report: Report) -> Iterator[list[Reading]]:
    """The readings that each row adds."""
    if isinstance(plan, ReadingsPlan):
        for reading in readings_of(rows):
            report.cover(reading.at, reading.at, longest_gap_s)
            yield report.note(plan.plan(reading))
        return
    for interval in in_whole_wh(exact_intervals(rows, report.refuse)):
        try:
            planned = plan.plan(interval)
        except Refused as why:
            report.refuse(interval.line, repr(interval).encode(), why)
            continue
        report.cover(interval.start, interval.end, longest_gap_s)
        if planned.readings:
            report.add(interval)
        yield report.note(planned)


def _batches(planned: Iterable[list[Reading]]) -> Iterator[list[Reading]]:
    batch: list[Reading] = []
    for readings in planned:
        batch += readings
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(store: Store, device: Device, readings: list[Reading], now: int) -> None:
    """Write readings, and carry them to every chart."""
    blocks: dict[tuple[str, int], dict[int, Reading]] = defaultdict(dict)
    for reading in readings:
        blocks[device.device_id, block_start(reading.at)][reading.at] = reading
    reported = {channel for channel in CHANNELS if any(getattr(one, channel) is not None for one in readings)}
    with store.round():
        registered(store, device.device_id, device.timezone, reported)
        store.write_readings(blocks, now)
    drain(store)
