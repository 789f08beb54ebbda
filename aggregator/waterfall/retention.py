"""Remove what is past its time: records, and readings but for those without which newer ones cannot be judged."""

import logging

from aggregator.core.documents import Device
from aggregator.core.energy import Register, anchor_after, anchored_run, register
from aggregator.core.errors import Damaged
from aggregator.core.exchange_overrides import read_marks
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, block_start
from aggregator.store.port import Store, all_devices

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
    with store.round():
        first, horizon = _kept(store, device, before)
        removed = store.expire_readings(device.device_id, first, untouched_since)
        if removed:
            store.put_horizon(device.device_id, horizon)
    return removed


def _kept(store: Store, device: Device, before: int) -> tuple[int, int]:
    """The first block to keep, and from when on the blocks kept are all that is needed (UTC seconds)."""
    marks = read_marks(device.marks)
    for look in LOOKS:
        starts = store.block_starts(device.device_id, before, -look)
        if not starts:
            return before, before
        readings = store.readings(device.device_id, starts[-1], before - 1)
        registers = [register(readings, channel, marks) for channel in device.registers]
        runs = [anchored_run(points, before, device.max_power_w) for points in registers]
        if None not in runs:
            break
    first = min([starts[0], *(block_start(run[0]) for run in runs if run)])
    later = store.readings(device.device_id, first, FOR_EVER) if None in runs else []
    ends = [
        run[1] if run else _settled(register(later, channel, marks), device)
        for run, channel in zip(runs, device.registers, strict=True)
    ]
    return first, max([starts[0] + HALF_HOUR, *ends])


def _settled(points: Register, device: Device) -> int:
    """When a register has its first anchor; where it never has one, its last reading."""
    found = anchor_after(points, 0, device.max_power_w)
    return found if found is not None else points.ats[-1] if points.ats else 0
