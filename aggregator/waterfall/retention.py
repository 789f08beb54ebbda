"""Retention: delete expired evidence, and log backfilled half hours.

**Sweep.** `sweep` deletes expired records and evidence: it is kept for the retention after it came in, whatever time it
tells of. The last anchored run of each register stays, because newer readings are judged against it. What stays of a
half hour is in `retained_gaps`.

**Backfill log.** A half hour that was estimated or missing and is now measured is recorded. The step that replaces it
compares the old and the new part, so the log needs no list of gaps. A repeated step writes the same records.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.errors import Damaged
from aggregator.core.live import Arrival
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, Window, block_start
from aggregator.core.registers import MAX_GAP_S, anchored_run, parse_overrides, register_of
from aggregator.store import all_devices, pages
from aggregator.store.collections import BACKFILLED
from aggregator.store.port import Store, name_once
from aggregator.waterfall.retained_gaps import ComputedHalfHour

# Sweep

MARGIN_DAYS = 2  # evidence stays longer than the retention by this: that of the day before a day that is not old, too
LOOKS = (8, 64, 512)  # blocks searched for the last anchored runs, in growing attempts
log = logging.getLogger("wattfall.retention")


def sweep(store: Store, retention_days: int, now: int) -> int:
    """Sweep without pauses. Return the number of deleted half hours."""
    return sum(sweeping(store, retention_days, now))


def sweeping(store: Store, retention_days: int, now: int) -> Iterator[int]:
    """Delete expired records and evidence, in short steps. Yield the number of half hours that each has deleted.

    The retention ends at `now` (UTC seconds), but not after `reported_now`: a clock that is ahead deletes nothing.
    """
    if store.expires_by_itself:
        return
    arrivals: list[Arrival] = []
    for page in pages(store.lives):
        arrivals += [Arrival(live.at, live.received_at) for live in page]
        yield 0
    now, removed = min(now, reported_now(arrivals, retention_days * DAY_S, now)), 0
    store.expire_records(now)
    for device in all_devices(store, name_once):
        try:
            count = expire(store, device, now - retention_days * DAY_S)
        except Damaged as error:
            log.error("%s keeps its readings: %s", device.device_id, error)
            count = 0
        removed += count
        yield count
    if removed:
        log.info("removed %d half hours of readings that came in more than %d days ago", removed, retention_days)


def reported_now(arrivals: Sequence[Arrival], retention_s: int, now: int) -> int:
    """Return the newest instant that most devices report (UTC seconds); `now` without devices. Pure.

    It is the median of their newest readings, and a few wrong clocks do not move it. Devices that fell silent a
    retention before the last arrival say nothing of the present.
    """
    newest = max((one.received_at for one in arrivals), default=0)
    ats = sorted(one.at for one in arrivals if one.received_at >= newest - retention_s)
    return ats[(len(ats) - 1) // 2] if ats else now


def expire(store: Store, device: Device, retention_cutoff: int) -> int:
    """Delete a device's half hours of which all evidence came in MARGIN_DAYS before the cutoff (UTC seconds).

    The last anchored run of each register stays, to judge the next readings. Return the number of deleted half hours.
    """
    untouched_since = retention_cutoff - MARGIN_DAYS * DAY_S
    oldest = store.block_starts(device.device_id, -1, 1)
    if not oldest or oldest[0] >= untouched_since + DAY_S:  # nothing tells of a time long after its arrival
        return 0
    with store.transaction():
        before = _last_runs(store, device)
        removed = store.expire_readings(device.device_id, before, untouched_since)
        if removed:
            store.put_retention_cutoff(device.device_id, retention_cutoff)
    return removed


def _last_runs(store: Store, device: Device) -> int:
    """Return the start of the half hour before the last anchored runs of all registers begin."""
    overrides, first = parse_overrides(device.exchange_overrides), FOR_EVER
    for look in LOOKS:
        starts = store.block_starts(device.device_id, FOR_EVER, -look)
        if not starts:
            return FOR_EVER
        readings = store.readings(device.device_id, starts[-1], starts[0])
        registers = [register_of(readings, channel, overrides) for channel in device.registers]
        runs = [anchored_run(points, FOR_EVER, device.max_power_w) for points in registers]
        first = min([starts[0], *(block_start(run[0]) for run in runs if run)])
        if None not in runs or len(starts) < look:
            break
    return first - HALF_HOUR  # so that all is known of the first half hour


# Backfill log

KEPT_DAYS = BACKFILLED.days


def log_backfill(store: Store, device: Device, halves: Sequence[ComputedHalfHour], now: int) -> None:
    """Record the newly measured half hours of the last KEPT_DAYS, before they are replaced."""
    late = [half for half in halves if half.part.covered_s > MAX_GAP_S and half.slot.end > now - KEPT_DAYS * DAY_S]
    for day, group in groupby(late, key=attrgetter("day")):
        document = store.document("day", device.device_id, day)
        is_over = partial(_has_following, store, device.device_id, day)
        for half in _backfilled_halves(document, list(group), is_over) if document else ():
            key, end = _key(half.slot.start), half.slot.end
            store.put_record(BACKFILLED.of(device.device_id), key, str(end), expires=BACKFILLED.expires(end))


def backfilled(store: Store, device_id: str, first: int, last: int) -> list[Window]:
    """Return the spans of backfilled half hours from `first` to `last` (UTC seconds), in order."""
    spans: list[Window] = []
    for record in store.records(BACKFILLED.of(device_id), _key(first), _key(last)):
        start, end = int(record.key), int(record.body)
        if spans and spans[-1].end == start:
            start = spans.pop().start
        spans.append(Window(start, end))
    return spans


def _has_following(store: Store, device_id: str, day: str) -> bool:
    return store.document("day", device_id, periods.shift("day", day, 1)) is not None


def _backfilled_halves(
    document: Document, halves: Sequence[ComputedHalfHour], is_over: Callable[[], bool]
) -> Iterator[ComputedHalfHour]:
    """Yield the complete half hours with more measured time than before; `is_over` says whether the day has ended."""
    last = max((name for name in document.parts if name[0] == "s"), default="")
    for half in halves:
        old = document.part(half.slot.name)
        more_s, less_s = half.part.covered_s - old.covered_s, old.estimated_s - half.part.estimated_s
        is_past = half.slot.name < last or less_s > MAX_GAP_S  # the current half hour grows anyway
        if more_s > MAX_GAP_S and (is_past or is_over()):
            yield half


def _key(at: int) -> str:
    return f"{at:012d}"
