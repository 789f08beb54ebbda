"""Devices that send steadily: the next readings of a run add to the last half hours, and change nothing before them.

Nearly all changes of a fleet are such readings. To carry them, the worker needs only the newest reading before them and
the half hour in which it lies; it remembers both, a `SteadyRun` a device. `recompute_window` reads the readings of two
hours instead. Both give the same bytes (a property test compares them).

A run is steady when nothing later can change what is known of the time before its newest reading: all readings near
have the same registers, which run on plainly, no step between them may be a gap, and no interval, no person's
statement about an exchange and no volume tells of the device. Any other change drops the run.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter, sub
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.money import NOTHING
from aggregator.core.periods import DAY_S, HALF_HOUR, LOWEST, Slot, Window, block_start
from aggregator.core.readings import Reading
from aggregator.core.registers import (
    DECIDE_S,
    MAX_GAP_S,
    NEAR_STEPS,
    Register,
    register_at,
    surely_runs_on,
)
from aggregator.store.port import Store
from aggregator.waterfall.recompute_window import NEAR
from aggregator.waterfall.stored_half_hours import is_old

MOST = 500_000  # runs remembered
_QUARTER = HALF_HOUR // 2
_AT = attrgetter("at")


class SteadyRun(NamedTuple):
    """The newest reading of a device that sends steadily, and what is stored of the half hour in which it lies."""

    device: Device
    last: Reading
    part: Part  # energy alone, without costs


SteadyRuns = dict[str, SteadyRun]  # by device
Halves = Mapping[str, Mapping[str, Part]]  # day -> half hour -> part


def steady_run(store: Store, device: Device, since: int) -> SteadyRun | None:
    """Return the run of a device up to an instant (UTC seconds), until which all is carried; None unless it is steady.

    It looks as far back as `recompute_window`.
    """
    if device.longest_interval_s or device.exchange_overrides:
        return None
    block = block_start(since)
    found = store.readings(device.device_id, block - NEAR * HALF_HOUR, block)
    newest = found[: bisect_left(found, since, key=_AT)]
    if len(newest) <= NEAR_STEPS + 1 or newest[-1].at - newest[0].at < DECIDE_S:
        return None
    registers, last = _registers(newest, device), newest[-1]
    (day, slot), *_ = _slots(Window(last.at, last.at + 1), device.timezone)
    if not registers or slot.start < newest[0].at:
        return None
    document = store.document(LOWEST, device.device_id, day, [slot.name])
    stored = document.part(slot.name)._replace(cost=NOTHING) if document else EMPTY
    # More is stored where an earlier change has been carried after the readings of this one came.
    part = _longer(EMPTY, registers, slot.start, last.at) if slot.start < last.at else EMPTY
    return SteadyRun(device, last, part) if stored == part else None


def continued(store: Store, device: Device, run: SteadyRun) -> tuple[SteadyRun, Halves] | None:
    """Return a run with the readings that came after it, and the half hours of the hours that these change.

    None where the run does not go on steadily, or something else is stored than what it remembers.
    """
    new = store.readings_after(device.device_id, run.last.at)
    registers = _registers([run.last, *new], device) if new and device == run.device else []
    now, cutoff = store.now(), store.retention_cutoff(device.device_id)
    if not registers or run.last.at < now - DAY_S or cutoff > now - 3 * DAY_S:
        return None
    found: dict[str, dict[str, Part]] = {}
    part, span = run.part, Window(run.last.at, new[-1].at)
    for day, slots in groupby(_slots(span, device.timezone), key=itemgetter(0)):
        touched = [slot for _, slot in slots]
        halves = _stored(store, device, day, touched, cutoff)
        if halves is None:
            return None
        for slot in touched:
            if halves.get(slot.name, EMPTY)._replace(cost=NOTHING) != part:
                return None
            halves[slot.name] = _longer(part, registers, max(span.start, slot.start), min(span.end, slot.end))
            part = halves[slot.name] if slot.end > span.end else EMPTY
        found[day] = halves
    return SteadyRun(device, new[-1], part), found


def _stored(
    store: Store, device: Device, day: str, slots: Sequence[Slot], retention_cutoff: int
) -> dict[str, Part] | None:
    """Return what is stored of the hours of some half hours; None where it cannot simply be replaced."""
    names = {half for slot in slots for half in periods.halves_of(slot.name)}
    document = store.document(LOWEST, device.device_id, day, names)
    if document and (document.timezone != device.timezone or is_old(document, retention_cutoff)):
        return None
    return dict(document.parts) if document else {}


def _longer(part: Part, registers: Sequence[Register | None], start: int, end: int) -> Part:
    """Return a half hour with the energy and the time of a further span."""
    rises = [points and register_at(points, end) - register_at(points, start) for points in registers]
    sums = [rise if before is None else before + (rise or 0) for before, rise in zip(part[:2], rises, strict=True)]
    return part._replace(import_wh=sums[0], export_wh=sums[1], covered_s=part.covered_s + end - start)


def _slots(span: Window, zone: str) -> Iterator[tuple[str, Slot]]:
    """Yield the half hours that overlap a span, each with its day."""
    quarter = span.start - span.start % _QUARTER
    if span.end <= quarter + _QUARTER:
        yield _at(quarter, zone)
        return
    for day in periods.days_of(span, zone):
        slots = periods.half_hours(day, zone)
        for slot in slots[max(span.start - slots[0].start, 0) // HALF_HOUR :]:
            if slot.start >= span.end:
                return
            yield day, slot


@lru_cache(maxsize=1024)
def _at(quarter: int, zone: str) -> tuple[str, Slot]:
    """Return the half hour in which a quarter of an hour lies: offsets from UTC are whole quarters since 1972."""
    return next(iter(_slots(Window(quarter, quarter + 2 * _QUARTER), zone)))


def _registers(readings: Sequence[Reading], device: Device) -> list[Register | None]:
    """Return the registers of readings, None for an unknown one; nothing unless all run on without a break or a gap."""
    found: list[Register | None] = []
    _, ats, _, *channels, meters, volumes = zip(*readings, strict=True)
    if max(map(sub, ats[1:], ats)) > MAX_GAP_S or volumes.count(None) < len(volumes):
        return []
    for whs in channels:
        unknown = whs.count(None)
        points = None if unknown == len(whs) else Register(ats, whs, meters)
        if points and (unknown or not surely_runs_on(points, device.max_power_w)):
            return []
        found.append(points)
    return found if any(found) else []
