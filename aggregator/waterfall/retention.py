"""Retention: delete expired readings, protect the parts computed from them, and log backfilled half hours.

**Sweep.** `sweep` deletes expired records and readings. It keeps the last anchored run of each register, because newer
readings are judged against it.

**Retained parts.** Before a device's retention cutoff, readings may be deleted. There a computed half hour replaces a
stored one only if it is more complete and has no less measured time. Late history thus completes its half hours. A
gap with measured time in the stored documents has lost its readings; no energy may be spread over it.

**Backfill log.** A half hour that was estimated or missing and is now measured is recorded. The step that replaces it
compares the old and the new part, so the log needs no list of gaps. A repeated step writes the same records.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.core.errors import Damaged
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, Slot, Window, block_start
from aggregator.core.registers import MAX_GAP_S, Register, anchor_after, anchored_run, parse_overrides, register_of
from aggregator.store.collections import BACKFILLED
from aggregator.store.port import Store, all_devices


class ComputedHalfHour(NamedTuple):
    """A half hour of a local day, and its energy."""

    day: str
    slot: Slot
    part: Part


def hollow_gaps(
    store: Store, device: Device, halves: Sequence[ComputedHalfHour], gaps: Sequence[Collection[Window]]
) -> set[Window]:
    """Return the gaps of all registers whose readings have been deleted: the stored parts have more measured time.

    `gaps` has one collection per register, first the register that decides the measured time.
    """
    documents = _documents(store, device, halves)
    lost = [slot for day, slot, new in halves if _is_spread_over(_stored(documents, day, slot), new)]
    widest = {max(gaps[0], key=partial(_overlap_s, slot)) for slot in lost} if gaps and gaps[0] else set()
    hollow = [gap for gap in widest if any(_overlap_s(slot, gap) > 0 for slot in lost)]
    return {gap for some in gaps for gap in some if any(_overlap_s(gap, one) > 0 for one in hollow)}


def _is_spread_over(stored: Part, new: Part) -> bool:
    """Whether measured time has become estimated time. Missing time alone shows only deleted first readings."""
    return stored.covered_s > new.covered_s and new.estimated_s > stored.estimated_s


def _overlap_s(one: Slot | Window, other: Window) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def retained_parts(store: Store, device: Device, halves: Sequence[ComputedHalfHour]) -> list[ComputedHalfHour]:
    """Return the half hours to store: before the retention cutoff a stored part stays unless it is less complete."""
    retention_cutoff = store.retention_cutoff(device.device_id)
    old = [half for half in halves if half.slot.start < retention_cutoff]
    documents = _documents(store, device, old)
    rezoned = {day for day, document in documents.items() if document and document.timezone != device.timezone}
    merged = [half._replace(part=more_complete(_stored(documents, half.day, half.slot), half.part)) for half in old]
    # A document in another time zone stays unchanged.
    return [half for half in (*merged, *halves[len(old) :]) if half.day not in rezoned]


def more_complete(stored: Part, new: Part) -> Part:
    """Return the part of a half hour with expired readings: the new one only if it lacks nothing of the stored one."""
    has_both = (new.import_wh is not None or stored.import_wh is None) and (
        new.export_wh is not None or stored.export_wh is None
    )
    measured, total = new.covered_s - stored.covered_s, _total_s(new) - _total_s(stored)
    is_fuller = has_both and measured >= 0 <= total and measured + total > 0
    return new if stored.is_empty or is_fuller else stored


def _documents(store: Store, device: Device, halves: Iterable[ComputedHalfHour]) -> dict[str, Document | None]:
    return {day: store.document("day", device.device_id, day) for day in dict.fromkeys(half.day for half in halves)}


def _stored(documents: Mapping[str, Document | None], day: str, slot: Slot) -> Part:
    document = documents[day]
    return document.part(slot.name) if document else EMPTY


def _total_s(part: Part) -> int:
    return part.covered_s + part.estimated_s


# Sweep

LOOKS = (8, 64, 512)  # blocks searched for the last anchored runs, in growing attempts
log = logging.getLogger("wattfall.retention")


def sweep(store: Store, retention_days: int, now: int) -> int:
    """Delete expired records and readings, except blocks written in the last day.

    Return the number of deleted half hours.
    """
    if store.expires_by_itself:
        return 0
    store.expire_records(now)
    removed = 0
    for device in all_devices(store):
        try:
            removed += expire(store, device, now - retention_days * DAY_S, now - DAY_S)
        except Damaged as error:
            log.error("%s keeps its readings: %s", device.device_id, error)
    if removed:
        log.info("removed %d half hours of readings older than %d days", removed, retention_days)
    return removed


def expire(store: Store, device: Device, before: int, untouched_since: int) -> int:
    """Delete a device's half hours before `before` that were last written before `untouched_since` (UTC seconds).

    The last anchored run of each register stays, to judge the first readings after `before`.
    """
    with store.transaction():
        first, retention_cutoff = _retained_from(store, device, before)
        removed = store.expire_readings(device.device_id, first, untouched_since)
        if removed:
            store.put_retention_cutoff(device.device_id, retention_cutoff)
    return removed


def _retained_from(store: Store, device: Device, before: int) -> tuple[int, int]:
    """Return the first retained block, and the retention cutoff that follows from it (UTC seconds)."""
    exchange_overrides = parse_overrides(device.exchange_overrides)
    for look in LOOKS:
        starts = store.block_starts(device.device_id, before, -look)
        if not starts:
            return before, before
        readings = store.readings(device.device_id, starts[-1], before - 1)
        registers = [register_of(readings, channel, exchange_overrides) for channel in device.registers]
        runs = [anchored_run(points, before, device.max_power_w) for points in registers]
        if None not in runs:
            break
    first = min([starts[0], *(block_start(run[0]) for run in runs if run)])
    later = store.readings(device.device_id, first, FOR_EVER) if None in runs else []
    ends = [
        run[1] if run else _first_anchor(register_of(later, channel, exchange_overrides), device)
        for run, channel in zip(runs, device.registers, strict=True)
    ]
    return first, max([starts[0] + HALF_HOUR, *ends])


def _first_anchor(points: Register, device: Device) -> int:
    """Return the instant of a register's first anchor, or of its last reading without an anchor."""
    anchor = anchor_after(points, 0, device.max_power_w)
    return anchor if anchor is not None else points.ats[-1] if points.ats else 0


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
