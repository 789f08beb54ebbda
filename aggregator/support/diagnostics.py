"""Diagnostics of one device: whether it sends, whether its data is correct, and whether the data is in the charts.

All reads are bounded: the readings of RECENT_DAYS, the day documents of STRIP_DAYS, one document of each higher level,
and records. Older gaps come from the documents, and from the readings around incomplete half hours.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Document, Part, add
from aggregator.core.energy import Evidence, edges_of, half_hour_parts
from aggregator.core.live import Live
from aggregator.core.money import NOTHING
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, LOWEST, RECORD_DAYS, Window, block_start, day_of
from aggregator.core.readings import Interval, Reading
from aggregator.intake import device_status, refusals
from aggregator.intake.device_status import KnownStatus
from aggregator.intake.refusals import Refusals
from aggregator.store.port import Backlog, Store
from aggregator.support import anomalies
from aggregator.support.anomalies import ChartTotals, CounterComparison, Gap, JudgedRegister, RegisterStep, Surplus
from aggregator.support.device_state import Covered, Heard, Hour, Judgement, by_hour, coverage_strip, is_supplied, judge
from aggregator.tariffs.gas import converted
from aggregator.waterfall.pricing import current, first_instant
from aggregator.waterfall.retention import backfilled
from aggregator.waterfall.stored_half_hours import is_old

RECENT_DAYS, STRIP_DAYS = 7, RECORD_DAYS
MOST_GAPS = 50  # the newest ones
MOST_SPARSE = 40  # runs of incomplete half hours whose readings are read
LAST_READINGS = 20


class LevelState(NamedTuple):
    """The progress of one level of charts."""

    level: str  # a name in periods.LEVELS
    period: str
    behind_s: int  # seconds of data in the newest readings that its document lacks
    is_right: bool  # the document equals a recomputation
    changed_at: int | None = None  # UTC seconds of the document's last change; None if unknown


class Closure(NamedTuple):
    """A register's rise and the sum of its half hours in the documents, both without steps at meter exchanges."""

    channel: str
    span: Window  # between boundaries of half hours, UTC seconds
    register_wh: int
    documents_wh: int

    @property
    def is_exact(self) -> bool:
        """Whether both are equal, to the Wh."""
        return self.register_wh == self.documents_wh


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """The diagnostics of a device. The names of the fields are keys of `wattfall inspect` and of the bundle."""

    device: Device
    now: int  # UTC seconds
    live: Live | None
    # Does it send?
    judgement: Judgement
    hours: Sequence[Hour]  # of RECENT_DAYS, oldest first; the last 24 are the last day
    strip: Sequence[Covered]  # STRIP_DAYS days, oldest first
    # Is the signal good?
    known: KnownStatus | None
    # Is the data correct?
    gaps: Sequence[Gap]  # of STRIP_DAYS, newest first
    steps: Sequence[RegisterStep]  # of RECENT_DAYS, newest first
    surplus: Sequence[Surplus]  # of RECENT_DAYS, newest first
    closures: Sequence[Closure]  # of RECENT_DAYS
    counted: Sequence[CounterComparison]  # the meter's own counters
    refusals: Refusals
    last_readings: Sequence[Reading]  # newest first
    # Is the data in the charts?
    levels: Sequence[LevelState]
    backlog: Backlog  # of the whole store
    aside: Sequence[str]  # quarantined keys with their reasons


@dataclass(frozen=True, slots=True)
class _Read:
    """The stored data of a device."""

    store: Store
    device: Device
    now: int
    live: Live | None
    known: KnownStatus | None
    refused: Refusals
    readings: list[Reading]  # of RECENT_DAYS and a little before
    intervals: list[Interval]  # of the same time
    documents: Mapping[str, Document]  # days
    present: Mapping[str, Document | None]  # of the levels above the days, by the current period
    retention_cutoff: int
    later: Sequence[Window]  # backfilled spans of STRIP_DAYS
    backlog: Backlog
    quarantined: Sequence[str]

    def document(self, level: str, period: str) -> Document | None:
        """Return a document of a level above the days as it is shown."""
        return current(self._stored, self.device, level, period, self.now)

    def _stored(self, level: str, period: str) -> Document | None:
        """Return a stored document; a day is of STRIP_DAYS, a level above is read if it is not of a current period."""
        if level == LOWEST:
            return self.documents.get(period)
        is_here = period in self.present
        return self.present[period] if is_here else self.store.document(level, self.device.device_id, period)


def diagnose(store: Store, device: Device, now: int) -> Diagnostics:
    """Return the diagnostics of a device at `now` (UTC seconds)."""
    read = _read(store, device, now)
    live, known, refused = read.live, read.known, read.refused
    ats = [reading.at for reading in read.readings] or _last_ats(store, device.device_id)
    gaps, registers = _gaps(read, ats), anomalies.judge_registers(read.readings, device)
    began = next((gap.end for gap in gaps if gap.kind != "open" and not gap.channel), None)
    heard = Heard(
        refused.messages[0].at if refused.messages else None,
        known.received_at if known else None,
        known.status.joined if known else None,
    )
    return Diagnostics(
        device,
        now,
        live,
        judge(device, live, first_instant(store, device) if is_supplied(device, live) else began, heard, now),
        by_hour(ats, RECENT_DAYS * 24, now),
        coverage_strip(_days(now, STRIP_DAYS, device.timezone), read.documents, device.timezone, now),
        known,
        gaps,
        anomalies.steps_of(registers)[::-1],
        _surplus(read, registers)[::-1],
        _closures(read, registers),
        _counters(read, registers),
        refused,
        read.readings[: -LAST_READINGS - 1 : -1],
        _levels(read),
        read.backlog,
        read.quarantined,
    )


def _read(store: Store, device: Device, now: int) -> _Read:
    """Read all independent data; a remote store reads side by side."""
    device_id, days = device.device_id, _days(now, STRIP_DAYS, device.timezone)
    first, today = block_start(now - RECENT_DAYS * DAY_S) - 2 * HALF_HOUR, days[-1]
    live = store.begin(partial(store.live, device_id))
    known = store.begin(partial(device_status.known_status, store, device_id))
    refused = store.begin(partial(refusals.load_refusals, store, device_id))
    readings = store.begin(partial(store.readings, device_id, first, FOR_EVER))
    intervals = store.begin(partial(_intervals, store, device, first))
    documents = store.begin(partial(store.documents, "day", device_id, days[0], today))
    above = {name: row.of_day(today) for name, row in periods.LEVELS.items() if row.child}
    present = {one: store.begin(partial(store.document, name, device_id, one)) for name, one in above.items()}
    retention_cutoff = store.begin(partial(store.retention_cutoff, device_id))
    later = store.begin(partial(backfilled, store, device_id, periods.day_start(days[0], device.timezone), now))
    quarantined = store.begin(partial(store.quarantined, device_id))
    return _Read(
        store,
        device,
        now,
        live(),
        known(),
        refused(),
        readings(),
        intervals(),
        {one.period: one for one in documents()},
        {period: answer() for period, answer in present.items()},
        retention_cutoff(),
        later(),
        store.backlog(),
        quarantined(),
    )


def _days(now: int, count: int, zone: str) -> list[str]:
    return [periods.shift("day", day_of(now, zone), -back) for back in range(count - 1, -1, -1)]


def _intervals(store: Store, device: Device, first: int) -> list[Interval]:
    """Return the intervals that end after `first`, and a few before."""
    start = block_start(first - device.longest_interval_s)
    return store.intervals(device.device_id, start, FOR_EVER) if device.longest_interval_s else []


def _last_ats(store: Store, device_id: str) -> list[int]:
    """Return the instants of the last readings of a device without recent readings."""
    starts = store.block_starts(device_id, FOR_EVER, -4)
    return [reading.at for reading in store.readings(device_id, starts[-1], FOR_EVER)] if starts else []


# Gaps


def _gaps(read: _Read, ats: Sequence[int]) -> list[Gap]:
    """Return the newest gaps, newest first: recent ones from the readings, older ones from incomplete half hours."""
    live, now = read.live, read.now
    spans = set(anomalies.gaps_of(read.readings, read.device))
    first = read.readings[0].at if read.readings else now
    sparse = [span for span in anomalies.sparse_spans(read.documents.values()) if span.start < first]
    around = [
        (span, _readings(read, block_start(span.start) - HALF_HOUR, min(block_start(span.end), block_start(first))))
        for span in sparse[-MOST_SPARSE:]
    ]
    for span, readings in around:
        near = anomalies.gaps_of(readings(), read.device)
        spans |= {(gap, channel) for gap, channel in near if gap.start < span.end and span.start < gap.end}
    kind_of = partial(anomalies.kind_of, documents=read.documents, zone=read.device.timezone)
    newest = (Gap(*gap, kind_of(gap), channel) for gap, channel in sorted(spans, reverse=True))
    found = list(islice((gap for gap in newest if not gap.channel or gap.kind != "bridged"), MOST_GAPS))
    filled = [Gap(*span, "filled") for span in anomalies.subtract_gaps(read.later, found)]
    found = sorted([*found, *filled], reverse=True)
    if live and ats and anomalies.is_gap_open(ats, now - max(live.at, live.received_at)):
        found.insert(0, Gap(live.at, now, "open"))
    return found[:MOST_GAPS]


def _readings(read: _Read, first: int, last: int) -> Callable[[], list[Reading]]:
    """Start a read of the blocks from `first` to `last`; the returned function waits for the readings."""
    return read.store.begin(partial(read.store.readings, read.device.device_id, first, last))


# Registers and counters against documents


def _closures(read: _Read, registers: Sequence[JudgedRegister]) -> list[Closure]:
    """Compare each register with the documents, over the half hours that the recent readings cover completely."""
    if not read.readings:
        return []
    halves = {
        slot: document.part(slot.name)
        for document in read.documents.values()
        for slot in periods.half_hours(document.period, document.timezone)
        if slot.start >= max(read.readings[0].at, read.retention_cutoff) and slot.end <= read.readings[-1].at
    }
    if not halves:
        return []
    span = Window(min(slot.start for slot in halves), max(slot.end for slot in halves))
    return [
        Closure(
            register.channel,
            span,
            anomalies.energy_between(register.pieces, span),
            sum(getattr(part, register.channel) or 0 for part in halves.values()),
        )
        for register in registers
    ]


def _surplus(read: _Read, registers: Sequence[JudgedRegister]) -> list[Surplus]:
    """Return the gaps of the recent registers whose intervals exceed them."""
    if not registers or not read.intervals:
        return []
    zone = read.device.timezone
    span = Window(read.readings[0].at, read.readings[-1].at + 1)
    slots = [slot for day in periods.days_of(span, zone) for slot in periods.half_hours(day, zone)]
    return anomalies.surplus_intervals(registers, read.intervals, edges_of(slots), read.device.max_power_w)


def _counters(read: _Read, registers: Sequence[JudgedRegister]) -> list[CounterComparison]:
    """Compare the meter's own counters with the charts, if the recent readings cover the time of the counters."""
    counters = read.known.status.counters if read.known else None
    if counters is None or not read.readings or counters.at < read.readings[0].at:
        return []
    pieces = next((one.pieces for one in registers if one.channel == "import_wh"), ())
    month = read.document("month", periods.period_of("month", counters.at, read.device.timezone))
    return anomalies.compare_counters(counters, ChartTotals(read.documents, month, pieces, read.device.timezone))


# Levels


def _levels(read: _Read) -> list[LevelState]:
    """Compare each chart that contains the newest reading with its child, and the day with its readings."""
    if not read.readings:
        return []
    zone = read.device.timezone
    day = day_of(read.readings[-1].at, zone)
    child, document = _computed(read, day), read.documents.get(day)
    parts = [document.part(slot.name) for slot in periods.half_hours(day, zone)] if document else []
    levels = [_level("day", day, document, add(parts), child)]
    totals = {"day": document.total if document else EMPTY}
    for level in (row for row in periods.LEVELS.values() if row.child):
        period = level.of_day(day)
        name = periods.part_in(level.name, periods.containing(level.child, "day", day))
        stored = read.document(level.name, period)
        part = stored.part(name) if stored else EMPTY
        levels.append(_level(level.name, period, stored, part, totals[level.child]))
        totals[level.name] = stored.total if stored else EMPTY
    return levels


def _computed(read: _Read, day: str) -> Part:
    """Return the energy of a day from its readings; expired half hours come from its document."""
    device, span = read.device, periods.window("day", day, read.device.timezone)
    document = read.documents.get(day)
    near = [reading for reading in read.readings if reading.at >= span.start - DAY_S]
    first = span.start - device.longest_interval_s
    intervals = [one for one in read.intervals if first <= one.start <= span.end]
    slots = periods.half_hours(day, device.timezone)
    parts = half_hour_parts(Evidence(near, intervals), edges_of(slots), device)
    stored = document.parts if document and is_old(document, read.retention_cutoff) else {}
    known = {slot.name: stored.get(slot.name, part) for slot, part in zip(slots, parts, strict=True)}
    return add(converted(device, day, known).values())


def _level(level: str, period: str, document: Document | None, stored: Part, wanted: Part) -> LevelState:
    is_right = stored._replace(cost=NOTHING) == wanted._replace(cost=NOTHING)
    changed_at = document.changed_at if document else None
    return LevelState(level, period, max(wanted.known_s - stored.known_s, 0), is_right, changed_at)
