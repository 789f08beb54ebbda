"""Verify stored documents against a fresh computation; rebuild them, or move them to another time zone.

Days are compared with the remaining readings, every other level with its child. Days whose readings have expired
are kept.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.energy import Evidence
from aggregator.core.periods import FOR_EVER, Window
from aggregator.store.port import Store
from aggregator.waterfall.gap_records import whole_gaps
from aggregator.waterfall.levels import computed_half_hours, recompute, steps
from aggregator.waterfall.pricing import priced
from aggregator.waterfall.retained_gaps import is_old


def differences(store: Store, device: Device) -> Iterator[str]:
    """Yield one line for each wrong part of a device's documents."""
    waiting = [store.changes(step.feed, 1) for step in steps()]
    if any(waiting):
        yield f"{device.device_id}: the waterfall has not settled; let a worker finish first"
    yield from (f"{device.device_id}: quarantined: {line}" for line in store.quarantined(device.device_id))
    yield from _wrong_days(store, device)
    for level in periods.LEVELS.values():
        if level.child:
            yield from _wrong_totals(store, device, level.name, level.child)


def _wrong_days(store: Store, device: Device) -> Iterator[str]:
    readings = store.readings(device.device_id, 0, FOR_EVER)
    intervals = store.intervals(device.device_id, 0, FOR_EVER)
    expected: dict[str, dict[str, Part]] = {}
    if readings or intervals:
        ats = [reading.at for reading in (*readings[:1], *readings[-1:])]
        first, last = min([*ats, *(one.start for one in intervals)]), max([*ats, *(one.end - 1 for one in intervals)])
        first, last = whole_gaps(store, device.device_id, Window(first - 1, last + 1))
        span = Window(periods.hour_window(first, device.timezone).start, periods.hour_window(last, device.timezone).end)
        halves = computed_half_hours(store, device, span, Evidence(readings, intervals))
        for day, group in groupby(halves, key=attrgetter("day")):
            expected[day] = {half.slot.name: half.part for half in group}
    for day in sorted({*expected, *store.periods("day", device.device_id)}):
        yield from _wrong_day(store, device, day, expected.get(day, {}))


def _wrong_day(store: Store, device: Device, day: str, expected: dict[str, Part]) -> Iterator[str]:
    document = store.document("day", device.device_id, day)
    zone = document.timezone if document else device.timezone
    stored = dict(document.parts) if document else {}
    has_expired = is_old(document, store.retention_cutoff(device.device_id))
    known = stored if zone != device.timezone else stored | expected if has_expired else expected
    halves = {slot.name: known.get(slot.name, EMPTY) for slot in periods.half_hours(day, zone)}
    wanted = priced(store, device, day, zone, halves)
    for name in sorted({*stored, *wanted}):
        yield from _wrong(device, "day", day, name, stored.get(name), wanted.get(name))


def _wrong_totals(store: Store, device: Device, level: str, child: str) -> Iterator[str]:
    expected: dict[str, dict[str, Part]] = {}
    for period in store.periods(child, device.device_id):
        document = store.document(child, device.device_id, period)
        if document:
            parent = expected.setdefault(periods.containing(level, child, period), {})
            parent[periods.part_in(level, period)] = document.total
    for period in sorted({*expected, *store.periods(level, device.device_id)}):
        document = store.document(level, device.device_id, period)
        stored = document.parts if document else {}
        wanted = expected.get(period, {})
        for name in sorted({*stored, *wanted}):
            yield from _wrong(device, level, period, name, stored.get(name), wanted.get(name))


def _wrong(
    device: Device, level: str, period: str, name: str, stored: Part | None, expected: Part | None
) -> Iterator[str]:
    expected = None if expected is None or expected.is_empty else expected
    if stored != expected:
        yield f"{device.device_id} {level} {period} {name}: stored {_shown(stored)}, should be {_shown(expected)}"


def _shown(part: Part | None) -> str:
    if part is None:
        return "no data"
    return (
        f"import {part.import_wh} Wh, export {part.export_wh} Wh, estimated {part.estimated_wh} Wh, from intervals"
        f" {part.interval_wh} Wh, covered {part.covered_s} s, cost {part.cost.to_pay}"
    )


def rebuild(store: Store, device: Device, first_day: str | None, last_day: str | None) -> int:
    """Recompute the days from `first_day` to `last_day` from the readings; the caller drains the waterfall afterwards.

    Days whose readings have expired stay as they are. Return the number of days recomputed.
    """
    days = [day for day in _all_days(store, device) if (first_day or day) <= day <= (last_day or day)]
    spans = [periods.window("day", day, device.timezone) for day in days]
    retention_cutoff = store.retention_cutoff(device.device_id)
    computable = [span for span in spans if span.end > retention_cutoff]
    for span in computable:
        with store.transaction():
            store.step(partial(recompute, store, device, span))
    with store.transaction():  # unchanged days too: the documents above them may be wrong
        store.mark("day", device.device_id, days)
        for level in periods.feed_levels()[1:]:
            store.mark(level, device.device_id, store.periods(level, device.device_id))
    if not first_day and not last_day:
        store.clear_quarantine(device.device_id)
    return len(computable)


def _all_days(store: Store, device: Device) -> list[str]:
    """Return the days with a document, with readings, or with a part in a document made from days."""
    days = set(store.periods("day", device.device_id))
    for level in (row.name for row in periods.LEVELS.values() if row.child == "day"):
        for period in store.periods(level, device.device_id):
            document = store.document(level, device.device_id, period)
            parts = document.parts if document else {}
            days |= {day for name, day in periods.children(level, period).items() if name in parts}
    at = -1
    while starts := store.block_starts(device.device_id, at, 1000):
        days |= {periods.day_of(start, device.timezone) for start in starts}
        days.add(periods.day_of(starts[-1] + periods.HALF_HOUR, device.timezone))
        at = starts[-1]
    return sorted(days)


def rezone(store: Store, device: Device, timezone: str) -> None:
    """Move a device to another time zone; recompute its days from the readings that have not expired."""
    retention_cutoff = store.retention_cutoff(device.device_id)
    moved = replace(device, timezone=timezone)
    with store.transaction():
        store.put_device(moved)
        for day in store.periods("day", device.device_id):
            document = store.document("day", device.device_id, day)
            if document and periods.day_start(day, document.timezone) >= retention_cutoff:
                store.merge_parts("day", device.device_id, day, timezone, dict.fromkeys(document.parts))
        rebuild(store, moved, None, None)
