"""Energy from power, where there is no register: a power is held to the next reading, for MAX_GAP_S at most. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.documents import Part
from aggregator.core.readings import Reading

MAX_GAP_S = 300  # a longer interval is estimated (registers) or missing (power)


class WattSeconds(NamedTuple):
    """What held power adds to one half hour: energy of both directions, and the seconds for which it is known."""

    imported: int
    exported: int
    seconds: int


def held_power(
    readings: Sequence[Reading], spans: list[tuple[int, int]], edges: Sequence[int], max_power_w: int
) -> dict[int, WattSeconds]:
    """Power without a register, held to the next reading for at most MAX_GAP_S, by slot."""
    slots: dict[int, WattSeconds] = {}
    if all(map(has_register, readings)):
        return slots
    for reading, following in pairwise(readings):
        if has_register(reading) or not is_plausible(reading.power_w, max_power_w):
            continue
        if any(start <= reading.at < end for start, end in spans):
            continue
        power = reading.power_w or 0
        until = min(following.at, reading.at + MAX_GAP_S, edges[-1])
        start = max(reading.at, edges[0])
        while start < until:
            slot = bisect_right(edges, start) - 1
            end = min(until, edges[slot + 1])
            before = slots.get(slot, WattSeconds(0, 0, 0))
            energy = abs(power) * (end - start)
            added = (energy, 0) if power >= 0 else (0, energy)
            slots[slot] = WattSeconds(
                before.imported + added[0], before.exported + added[1], before.seconds + end - start
            )
            start = end
    return slots


def has_register(reading: Reading) -> bool:
    """Whether a reading has a value of either register."""
    return reading.import_wh is not None or reading.export_wh is not None


def is_plausible(power_w: int | None, max_power_w: int) -> bool:
    """Whether a power is known and within what the home can draw or give."""
    return power_w is not None and abs(power_w) <= max_power_w


def with_power(part: Part, energy: WattSeconds) -> Part:
    """A part with held power added; that time counts as measured."""
    return part._replace(
        import_wh=(part.import_wh or 0) + _wh(energy.imported),
        export_wh=(part.export_wh or 0) + _wh(energy.exported),
        covered_s=part.covered_s + energy.seconds,
    )


def _wh(watt_seconds: int) -> int:
    """Whole Wh, the nearest."""
    return (watt_seconds + 1800) // 3600
