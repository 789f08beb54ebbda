"""What expired readings have made, kept from what is computed without them.

Before a device's retention_cutoff the readings may be gone. There a half hour is filled, or gives way to one of which
more is known, and no less measured: with each piece of a history that comes in, more of its last half hour is known. A
gap in which something was measured once is no gap: its readings are gone, not missing, and nothing may be spread over
it.
Remove what is past its time: records, and readings but for those without which newer ones cannot be judged.

Half hours whose readings came in later: what was estimated or missing in a chart, and is now measured.

The step of the waterfall that replaces them sees both what was and what is, so nothing has to remember a gap while it
is one. Each is a record of its own, the same however often the step runs.
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
    """The gaps of any register in which more was measured once than the readings that are left say.

    `gaps` are those of each register, first the one that decides what counts as measured.
    """
    documents = _documents(store, device, halves)
    lost = [slot for day, slot, new in halves if _is_spread_over(_stored(documents, day, slot), new)]
    widest = {max(gaps[0], key=partial(_overlap_s, slot)) for slot in lost} if gaps and gaps[0] else set()
    hollow = [gap for gap in widest if any(_overlap_s(slot, gap) > 0 for slot in lost)]
    return {gap for some in gaps for gap in some if any(_overlap_s(gap, one) > 0 for one in hollow)}


def _is_spread_over(stored: Part, new: Part) -> bool:
    """Something was measured where now something is estimated; not, where the first readings are merely gone."""
    return stored.covered_s > new.covered_s and new.estimated_s > stored.estimated_s


def _overlap_s(one: Slot | Window, other: Window) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def retained_parts(store: Store, device: Device, halves: Sequence[ComputedHalfHour]) -> list[ComputedHalfHour]:
    """Half hours as they may replace what is stored."""
    retention_cutoff = store.retention_cutoff(device.device_id)
    old = [half for half in halves if half.slot.start < retention_cutoff]
    documents = _documents(store, device, old)
    kept = {day for day, document in documents.items() if document and document.timezone != device.timezone}
    merged = [half._replace(part=more_complete(_stored(documents, half.day, half.slot), half.part)) for half in old]
    # Days in the zone in which they were made stay so.
    return [half for half in (*merged, *halves[len(old) :]) if half.day not in kept]


def more_complete(stored: Part, new: Part) -> Part:
    """What to keep of a half hour whose readings may have expired: the new only where it lacks nothing."""
    knows_both = (new.import_wh is not None or stored.import_wh is None) and (
        new.export_wh is not None or stored.export_wh is None
    )
    measured, known = new.covered_s - stored.covered_s, _total_s(new) - _total_s(stored)
    is_fuller = knows_both and measured >= 0 <= known and measured + known > 0
    return new if stored.is_empty or is_fuller else stored


def _documents(store: Store, device: Device, halves: Iterable[ComputedHalfHour]) -> dict[str, Document | None]:
    return {day: store.document("day", device.device_id, day) for day in dict.fromkeys(half.day for half in halves)}


def _stored(documents: Mapping[str, Document | None], day: str, slot: Slot) -> Part:
    document = documents[day]
    return document.part(slot.name) if document else EMPTY


def _total_s(part: Part) -> int:
    return part.covered_s + part.estimated_s


# retention

LOOKS = (8, 64, 512)  # blocks; how many to look at for what must stay, ever more
log = logging.getLogger("wattfall.retention")


def sweep(store: Store, retention_days: int, now: int) -> int:
    """Remove records that have expired, and readings that are older, but not what came in during the last day.

    Returns how many half hours were removed.
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
    """Remove a device's half hours that are older than `before` and that nobody has touched since (UTC seconds).

    What it takes to judge the first readings after `before` stays: each register's last anchored run.
    """
    with store.transaction():
        first, retention_cutoff = _retained_from(store, device, before)
        removed = store.expire_readings(device.device_id, first, untouched_since)
        if removed:
            store.put_retention_cutoff(device.device_id, retention_cutoff)
    return removed


def _retained_from(store: Store, device: Device, before: int) -> tuple[int, int]:
    """The first block to keep, and from when on the blocks kept are all that is needed (UTC seconds)."""
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
    """When a register has its first anchor; where it never has one, its last reading."""
    found = anchor_after(points, 0, device.max_power_w)
    return found if found is not None else points.ats[-1] if points.ats else 0


# backfill log

KEPT_DAYS = BACKFILLED.days


def log_backfill(store: Store, device: Device, halves: Sequence[ComputedHalfHour], now: int) -> None:
    """Note the half hours of the last KEPT_DAYS that are measured now and were not, before they are replaced."""
    late = [half for half in halves if half.part.covered_s > MAX_GAP_S and half.slot.end > now - KEPT_DAYS * DAY_S]
    for day, group in groupby(late, key=attrgetter("day")):
        document = store.document("day", device.device_id, day)
        is_over = partial(_has_following, store, device.device_id, day)
        for half in _backfilled_halves(document, list(group), is_over) if document else ():
            key, end = _key(half.slot.start), half.slot.end
            store.put_record(BACKFILLED.of(device.device_id), key, str(end), expires=BACKFILLED.expires(end))


def backfilled(store: Store, device_id: str, first: int, last: int) -> list[Window]:
    """Spans of half hours that were filled later, from one instant to another (UTC seconds), in order."""
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
    """Half hours of which more is known than before, and that do not go on: `is_over` tells whether the day does."""
    last = max((name for name in document.parts if name[0] == "s"), default="")
    for half in halves:
        old = document.part(half.slot.name)
        more_s, less_s = half.part.covered_s - old.covered_s, old.estimated_s - half.part.estimated_s
        is_past = half.slot.name < last or less_s > MAX_GAP_S  # the half hour that goes on is measured more and more
        if more_s > MAX_GAP_S and (is_past or is_over()):
            yield half


def _key(at: int) -> str:
    return f"{at:012d}"
