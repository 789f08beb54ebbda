"""How far a change of readings reaches: the local hours before and after it that have to be computed again.

Before a change it is everything since each register last had an anchor (a reading believed whatever comes, see
`energy`); after it, everything until each register has one again. To compute those hours a register must in turn be
known from an anchor at or before their start to one at or after their end.
"""

from collections.abc import Sequence

from aggregator import periods
from aggregator.documents import Device
from aggregator.energy import Register, anchor_after, anchor_before, register
from aggregator.readings import Reading


def reach_before(before: Sequence[Reading], device: Device, *, is_all: bool) -> int | None:
    """Where the hours begin that a change right after `before` reaches; None when that takes more readings.

    `is_all` says that there are no readings before these.
    """
    if not before:
        return None
    limit, oldest, newest = device.max_power_w, before[0].at, before[-1].at
    registers = _registers(before, device)
    anchors = [anchor_before(points, newest, limit) for points in registers]
    if None in anchors and not is_all:
        return None
    touched = min([newest, *(oldest if anchor is None else anchor for anchor in anchors)])
    start = periods.hour_window(touched, device.timezone).start
    is_known = oldest <= start and all(anchor_before(points, start, limit) is not None for points in registers)
    return start if is_all or is_known else None


def reach_after(after: Sequence[Reading], device: Device, *, is_all: bool) -> int | None:
    """Where the hours end that a change right before `after` reaches; None when that takes more readings."""
    if not after:
        return None
    limit, oldest, newest = device.max_power_w, after[0].at, after[-1].at
    registers = _registers(after, device)
    anchors = [anchor_after(points, oldest, limit) for points in registers]
    if None in anchors and not is_all:
        return None
    touched = max([oldest, *(newest if anchor is None else anchor for anchor in anchors)])
    end = periods.hour_window(touched, device.timezone).end
    is_known = newest >= end and all(anchor_after(points, end, limit) is not None for points in registers)
    return end if is_all or is_known else None


def _registers(readings: Sequence[Reading], device: Device) -> list[Register]:
    return [register(readings, channel) for channel in device.registers]
