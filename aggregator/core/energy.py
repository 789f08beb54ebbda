"""Energy of half hours from readings and intervals; from power where there is neither. Pure.

Import, export and volume (litres of gas) are independent channels, each with a `core.timeline`. Half hours telescope:
any span of a register sums to register(end) - register(start), exactly.

A part says how much of its energy is measured, comes from intervals, or is estimated over a gap of the register. The
same holds for its time, by the first channel that is known: import, export, volume.

The result depends on a bounded neighbourhood. The waterfall therefore recomputes only the hours that a change can touch
(`waterfall.recompute_window`).

Where neither a register nor an interval tells the energy, power is held to the next reading; in a gap of the device's
own rhythm, for MAX_GAP_S.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.documents import EMPTY, Part
from aggregator.core.intervals import Interval
from aggregator.core.periods import Window
from aggregator.core.readings import Reading
from aggregator.core.registers import CHANNELS, MAX_GAP_S, ExchangeOverrides, gap_positions, register_of
from aggregator.core.timeline import Flow, Origin, Timeline, timeline


class WattSeconds(NamedTuple):
    """Held power in one half hour: energy in watt-seconds for each direction, and the seconds covered."""

    imported: int
    exported: int
    seconds: int


def has_register(reading: Reading) -> bool:
    """Whether a reading has a value of a register."""
    return reading.import_wh is not None or reading.export_wh is not None or reading.volume_l is not None


def is_plausible(power_w: int | None, max_power_w: int) -> bool:
    """Whether a power is known and within the home's maximum, in either direction."""
    return power_w is not None and abs(power_w) <= max_power_w


def half_hour_parts(
    readings: Sequence[Reading],
    edges: Sequence[int],
    max_power_w: int,
    exchange_overrides: ExchangeOverrides = (),
    intervals: Sequence[Interval] = (),
) -> list[Part]:
    """Return one part for each half hour, from readings in order of time, one per instant, and intervals.

    `edges` are the boundaries of consecutive half hours in UTC seconds; the list returned is one shorter.
    """
    lines = timelines(readings, edges, max_power_w, exchange_overrides, intervals)
    return parts_of(lines, readings, edges, max_power_w)


def timelines(
    readings: Sequence[Reading],
    edges: Sequence[int],
    max_power_w: int,
    exchange_overrides: ExchangeOverrides = (),
    intervals: Sequence[Interval] = (),
) -> dict[str, Timeline]:
    """Return the timeline of each channel; see `half_hour_parts`."""
    lines = {}
    for channel in CHANNELS:
        stated = [(one, wh) for one in intervals if (wh := getattr(one, channel)) is not None]
        lines[channel] = timeline(register_of(readings, channel, exchange_overrides), stated, edges, max_power_w)
    return lines


def parts_of(
    lines: dict[str, Timeline], readings: Sequence[Reading], edges: Sequence[int], max_power_w: int
) -> list[Part]:
    """Return the parts of half hours from the channels' timelines, and from held power where these say nothing."""
    shares = [_shares(line, edges) for line in lines.values()]
    parts = [_part(*channels) for channels in zip(*shares, strict=True)]
    for slot, watt_seconds in _held_power(readings, _decided(lines.values()), edges, max_power_w).items():
        parts[slot] = _with_power(parts[slot], watt_seconds)
    return parts


# Shares of half hours

_Row = list[int]  # by origin


class _Share(NamedTuple):
    """One channel's energy and time in one half hour, each by origin."""

    wh: _Row
    seconds: _Row


def _shares(line: Timeline, edges: Sequence[int]) -> list[_Share | None]:
    shares: list[_Share | None] = [None] * (len(edges) - 1)
    for flow in line.overlapping(edges[0], edges[-1]):
        start = max(flow.start, edges[0])
        slot, low = bisect_right(edges, start) - 1, flow.level(start)
        while start < flow.end and slot < len(shares):
            end = min(flow.end, edges[slot + 1])
            high = flow.level(end)
            share = shares[slot] or _Share([0, 0, 0], [0, 0, 0])
            share.wh[flow.origin] += high - low
            share.seconds[flow.origin] += end - start
            shares[slot] = share
            start, low, slot = end, high, slot + 1
    return shares


def _part(imported: _Share | None, exported: _Share | None, volume: _Share | None) -> Part:
    main = imported or exported or volume  # the first known channel decides the measured time
    if main is None:
        return EMPTY
    nothing = _Share([0, 0, 0], [0, 0, 0])
    _, interval_import_wh, estimated_import_wh = (imported or nothing).wh
    _, interval_export_wh, estimated_export_wh = (exported or nothing).wh
    measured_s, interval_s, estimated_s = main.seconds
    return Part(
        sum(imported.wh) if imported else None,
        sum(exported.wh) if exported else None,
        estimated_import_wh,
        estimated_export_wh,
        measured_s,
        estimated_s,
        interval_import_wh,
        interval_export_wh,
        interval_s,
        volume_l=sum(volume.wh) if volume else None,
    )


# Held power


def _decided(lines: Iterable[Timeline]) -> Timeline:
    """Return the time that any channel decides."""
    union = Timeline()
    for start, end, *_ in sorted(flow[:2] for line in lines for flow in line.flows):
        if union.flows and start <= union.flows[-1].end:
            union.flows[-1] = union.flows[-1]._replace(end=max(end, union.flows[-1].end))
        else:
            union.flows.append(Flow(start, end, Origin.MEASURED, int))
    return union


def _held_power(
    readings: Sequence[Reading], decided: Timeline, edges: Sequence[int], max_power_w: int
) -> dict[int, WattSeconds]:
    """Return held power by half hour, for the time that is not decided."""
    slots: dict[int, WattSeconds] = {}
    if all(map(has_register, readings)):
        return slots
    gaps = set(gap_positions([reading.at for reading in readings]))
    for position, (reading, following) in enumerate(pairwise(readings)):
        if has_register(reading) or not is_plausible(reading.power_w, max_power_w):
            continue
        until = min(following.at, reading.at + MAX_GAP_S) if position in gaps else following.at
        for window in decided.free(max(reading.at, edges[0]), min(until, edges[-1])):
            _hold(slots, reading.power_w or 0, window, edges)
    return slots


def _hold(slots: dict[int, WattSeconds], power_w: int, window: Window, edges: Sequence[int]) -> None:
    start = window.start
    while start < window.end:
        slot = bisect_right(edges, start) - 1
        end = min(window.end, edges[slot + 1])
        before, energy = slots.get(slot, WattSeconds(0, 0, 0)), abs(power_w) * (end - start)
        added = (energy, 0) if power_w >= 0 else (0, energy)
        slots[slot] = WattSeconds(before.imported + added[0], before.exported + added[1], before.seconds + end - start)
        start = end


def _with_power(part: Part, energy: WattSeconds) -> Part:
    """Return the part with held power added; its time counts as measured."""
    return part._replace(
        import_wh=(part.import_wh or 0) + _whole_wh(energy.imported),
        export_wh=(part.export_wh or 0) + _whole_wh(energy.exported),
        covered_s=part.covered_s + energy.seconds,
    )


def _whole_wh(watt_seconds: int) -> int:
    """Round to the nearest whole Wh."""
    return (watt_seconds + 1800) // 3600
