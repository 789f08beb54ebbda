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
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.periods import Slot, Window
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import CHANNELS, MAX_GAP_S, gap_positions, parse_overrides, register_of
from aggregator.core.timeline import Flow, FlowOrigin, Timeline, timeline


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


class Evidence(NamedTuple):
    """Readings (in order of time, one per instant) and intervals of one device."""

    readings: Sequence[Reading]
    intervals: Sequence[Interval] = ()


def edges_of(slots: Sequence[Slot]) -> list[int]:
    """Return the boundaries of consecutive half hours, UTC seconds."""
    return [slot.start for slot in slots] + [slots[-1].end]


def half_hour_parts(evidence: Evidence, edges: Sequence[int], device: Device) -> list[Part]:
    """Return one part for each half hour between `edges`."""
    return parts_of(timelines(evidence, edges, device), evidence.readings, edges, device.max_power_w)


def timelines(evidence: Evidence, edges: Sequence[int], device: Device) -> dict[str, Timeline]:
    """Return the timeline of each channel."""
    overrides, lines = parse_overrides(device.exchange_overrides), {}
    for channel in CHANNELS:
        points, intervals = (
            register_of(evidence.readings, channel, overrides),
            stated(evidence.intervals, channel, device.max_power_w),
        )
        lines[channel] = timeline(points, intervals, edges, device.max_power_w)
    return lines


def stated(intervals: Iterable[Interval], channel: str, max_power_w: int) -> list[tuple[Interval, int]]:
    """Return the intervals with a value of a channel that the home can have used, and the value."""
    known = [(one, wh) for one in intervals if (wh := getattr(one, channel)) is not None]
    return [(one, wh) for one, wh in known if (wh - 1) * 3600 <= max_power_w * (one.end - one.start)]


def parts_of(
    lines: Mapping[str, Timeline], readings: Sequence[Reading], edges: Sequence[int], max_power_w: int
) -> list[Part]:
    """Return the parts of half hours from the channels' timelines, and from held power where these say nothing."""
    by_channel = [shares(line, edges) for line in lines.values()]
    parts = [part_of(*channels) for channels in zip(*by_channel, strict=True)]
    for slot, watt_seconds in _held_power(readings, _decided(lines.values()), edges, max_power_w).items():
        parts[slot] = _with_power(parts[slot], watt_seconds)
    return parts


# Shares of half hours

_Row = list[int]  # by origin


class Share(NamedTuple):
    """One channel's energy and time in one half hour, each by origin."""

    wh: _Row
    seconds: _Row


def shares(line: Timeline, edges: Sequence[int]) -> list[Share | None]:
    """Return a channel's share of each half hour between `edges`; None where nothing is decided."""
    found: list[Share | None] = [None] * (len(edges) - 1)
    for flow in line.overlapping(edges[0], edges[-1]):
        start = max(flow.start, edges[0])
        slot, low = bisect_right(edges, start) - 1, flow.level(start)
        while start < flow.end and slot < len(found):
            end = min(flow.end, edges[slot + 1])
            high = flow.level(end)
            share = found[slot] or Share([0, 0, 0], [0, 0, 0])
            share.wh[flow.origin] += high - low
            share.seconds[flow.origin] += end - start
            found[slot] = share
            start, low, slot = end, high, slot + 1
    return found


def part_of(imported: Share | None, exported: Share | None, volume: Share | None) -> Part:
    """Return a part from the shares of its channels, in the order of CHANNELS."""
    main = imported or exported or volume  # the first known channel decides the measured time
    if main is None:
        return EMPTY
    nothing = Share([0, 0, 0], [0, 0, 0])
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


def share_of(part: Part, channel: str) -> Share | None:
    """Return one channel's share of a part; None where it is unknown. Its time is that of the channel that decides."""
    total, estimated, interval = {
        "import_wh": (part.import_wh, part.estimated_import_wh, part.interval_import_wh),
        "export_wh": (part.export_wh, part.estimated_export_wh, part.interval_export_wh),
        "volume_l": (part.volume_l, 0, 0),
    }[channel]
    if total is None:
        return None
    seconds = [part.covered_s, part.interval_s, part.estimated_s]
    return Share([total - interval - estimated, interval, estimated], seconds)


def share_sum(shares_of_slot: Iterable[Share | None], minus: Share | None = None) -> Share | None:
    """Return the sum of shares of one half hour without another share; None without a known one."""
    known = [share for share in shares_of_slot if share]
    rows = [[sum(column) for column in zip(*rows, strict=True)] for rows in zip(*known, strict=True)]
    if not rows:
        return None
    less = minus or Share([0, 0, 0], [0, 0, 0])
    return Share(*([was - gone for was, gone in zip(*both, strict=True)] for both in zip(rows, less, strict=True)))


# Held power


def _decided(lines: Iterable[Timeline]) -> Timeline:
    """Return the time that any channel decides."""
    union = Timeline()
    for start, end, *_ in sorted(flow[:2] for line in lines for flow in line.flows):
        if union.flows and start <= union.flows[-1].end:
            union.flows[-1] = union.flows[-1]._replace(end=max(end, union.flows[-1].end))
        else:
            union.flows.append(Flow(start, end, FlowOrigin.MEASURED, int))
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
