"""Verify stored documents against a fresh computation; rebuild them, or move them to another time zone.

Days are compared with the remaining evidence and their hours with their half hours, every other level with its child,
and sums with registers (`closure`). Days whose evidence has expired are kept.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.energy import Evidence
from aggregator.core.errors import Damaged
from aggregator.core.live import FIELD_INSTANTS
from aggregator.core.periods import FOR_EVER, Window, block_start
from aggregator.store.occupancies import erased_spans, parts_above, shares
from aggregator.store.port import Store
from aggregator.tariffs.gas import conversion_of
from aggregator.waterfall.closure import open_sums
from aggregator.waterfall.gap_records import whole_gaps
from aggregator.waterfall.levels import computed_half_hours, recompute
from aggregator.waterfall.pricing import change_conversion, mark_above, open_parts, priced
from aggregator.waterfall.stored_half_hours import is_old


def differences(store: Store, device: Device, now: int = FOR_EVER) -> Iterator[str]:
    """Yield one line for each wrong part of a device's documents, and for each one that cannot be read.

    Parts that are open at `now` (UTC seconds) wait for the end of their time; until then their child is shown
    (`pricing.current`), and they are not compared. At FOR_EVER every part is compared.
    """
    yield from (f"{device.device_id}: quarantined: {line}" for line in store.quarantined(device.device_id))
    checks = [partial(_wrong_live, store, device), partial(_wrong_days, store, device)]
    checks += [partial(_wrong_totals, store, device, row.name, now) for row in periods.LEVELS.values() if row.child]
    for check in checks:
        try:
            yield from check()
        except Damaged as error:
            yield f"{device.device_id}: {error}"


def _wrong_live(store: Store, device: Device) -> Iterator[str]:
    """Yield one line for each value of the live state that the reading of its instant contradicts."""
    live = store.live(device.device_id)
    for name, instant in FIELD_INSTANTS.items() if live else ():
        own = getattr(live, instant)
        at = live.at if own is None and live else own
        for reading in store.layer_readings(device.device_id, block_start(at), block_start(at)):
            stored, sent = getattr(live, name), getattr(reading, name)
            if reading.at == at and None not in (stored, sent) and stored != sent:
                yield f"{device.device_id} live {name}: stored {stored}, but the reading says {sent}"


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
    yield from open_sums(store, device, readings, intervals)


def _wrong_day(store: Store, device: Device, day: str, expected: dict[str, Part]) -> Iterator[str]:
    document = store.document("day", device.device_id, day)
    zone = document.timezone if document else device.timezone
    stored = dict(document.parts) if document else {}
    window = periods.window("day", day, zone)
    is_beside = any(one.overlaps(window.start - 1, window.end + 1) for one in erased_spans(device))
    has_expired = is_beside or is_old(document, store.retention_cutoff(device.device_id))
    known = stored if zone != device.timezone else stored | expected if has_expired else expected
    halves = {slot.name: known.get(slot.name, EMPTY) for slot in periods.half_hours(day, zone)}
    wanted = priced(store, device, day, zone, halves)
    for name in sorted({*stored, *wanted}):
        yield from _wrong(device, "day", day, name, stored.get(name), wanted.get(name))


def _wrong_totals(store: Store, device: Device, level: str, now: int) -> Iterator[str]:
    child = periods.LEVELS[level].child
    expected: dict[str, dict[str, Part | None]] = {}
    for period in store.periods(child, device.device_id):
        document = store.document(child, device.device_id, period)
        parent = expected.setdefault(periods.containing(level, child, period), {})
        parent |= parts_above(device, level, period, document)
    for period in sorted({*expected, *store.periods(level, device.device_id)}):
        document = store.document(level, device.device_id, period)
        stored = document.parts if document else {}
        wanted = expected.get(period, {})
        zones = {device.timezone, document.timezone if document else device.timezone}
        still_open = open_parts(level, period, zones, now)
        waiting = still_open.keys() | {
            name for below in still_open.values() for name in shares(periods.days(child, below))
        }
        for name in sorted({*stored, *wanted} - waiting):
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
    cutoff = store.retention_cutoff(device.device_id)
    computable = [day for day in days if not is_old(store.document("day", device.device_id, day), cutoff)]
    for day in computable:
        with store.transaction():
            store.step(partial(recompute, store, device, periods.window("day", day, device.timezone)))
    with store.transaction():  # unchanged days too: the documents above them may be wrong
        store.mark("day", device.device_id, days)
        mark_above(store, device)
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
    """Move a device to another time zone; recompute its days from evidence, but for those whose evidence has expired.

    A day keeps the time when its document was made.
    """
    cutoff, moved = store.retention_cutoff(device.device_id), replace(device, timezone=timezone)
    with store.transaction():
        store.put_device(moved)
        for day in store.periods("day", device.device_id):
            document = store.document("day", device.device_id, day)
            if document and not is_old(document, cutoff):
                kept = dict.fromkeys(
                    list(document.parts)[1:]
                )  # one part, so that the document stays until it is rebuilt
                store.merge_parts("day", device.device_id, day, timezone, kept)
        rebuild(store, moved, None, None)


def change_device(store: Store, stored: Device | None, after: Device) -> None:
    """Store a device as it is `after` a change, and recompute what its time zone, its limit or its kind changes."""
    before = stored or after
    changed = replace(after, timezone=before.timezone)
    if changed != stored:
        store.put_device(changed)
    if after.timezone != before.timezone:
        rezone(store, changed, after.timezone)
    elif (after.max_power_w, after.kind) != (before.max_power_w, before.kind):
        rebuild(store, changed, None, None)
    if after.kind != before.kind:
        change_conversion(store, store.device(after.device_id) or after, conversion_of(after))
