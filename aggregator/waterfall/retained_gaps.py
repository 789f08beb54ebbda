"""Half hours whose evidence has been deleted: what stays of them, and the estimated gaps that later evidence fills.

Evidence is kept for the retention after it came in. A day is *old* when its document was made before the device's
retention cutoff: evidence of it may be gone, so its half hours stay as they are stored. Everywhere else a half hour
is a function of the evidence alone.

**Estimated gaps.** A gap of a register that is spread over several half hours is recorded: its two instants, its two
register values, and the intervals inside. The record lasts as long as the estimate. Evidence that comes in later
replaces parts of the gap, and the remainder is spread over the rest, so the sum across the gap never changes. A half
hour at its end keeps what was measured there.

Old half hours without any data are filled. No energy is spread over old half hours with data: such a gap of the
register is hollow, since its readings have been deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from aggregator.core import energy, periods
from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.energy import Evidence
from aggregator.core.intervals import Interval
from aggregator.core.periods import Slot, Window
from aggregator.core.readings import Reading, merged
from aggregator.core.registers import CHANNELS
from aggregator.core.timeline import Gap, Origin, Timeline
from aggregator.store.collections import ESTIMATED_GAPS
from aggregator.store.port import Store

PAGE = 100  # records in one read
Lines = Mapping[str, Timeline]  # by channel


class ComputedHalfHour(NamedTuple):
    """A half hour of a local day, and its energy."""

    day: str
    slot: Slot
    part: Part


class RetainedGap(NamedTuple):
    """An estimated gap of one channel, and the energy of the intervals in it (start, end, Wh)."""

    channel: str
    gap: Gap
    inside: tuple[tuple[int, int, int], ...] = ()

    def overlaps(self, span: Window | Slot) -> bool:
        """Whether the gap has time in a span."""
        return self.gap.start < span.end and span.start < self.gap.end


# Records


def retained_gaps(store: Store, device_id: str, span: Window) -> list[RetainedGap]:
    """Return the recorded gaps that overlap a span, by channel and time."""
    found: list[RetainedGap] = []
    for channel in CHANNELS:
        after, last = _key(channel, span.start), _key(channel, periods.FOR_EVER)
        while records := store.records(ESTIMATED_GAPS.of(device_id), after, last, PAGE):
            gaps = [_gap(record.key, record.body) for record in records]
            found += [one for one in gaps if one.overlaps(span)]
            if gaps[-1].gap.start >= span.end or len(records) < PAGE:
                break
            after = records[-1].key + "\0"
    return found


def record_gaps(store: Store, device_id: str, span: Window, lines: Lines) -> None:
    """Replace the records of the gaps within a span by those of its timelines."""
    gaps, before = (
        {one for one in some if span.start <= one.gap.start and one.gap.end <= span.end}
        for some in (_gaps_of(lines), retained_gaps(store, device_id, span))
    )
    collection = ESTIMATED_GAPS.of(device_id)
    for one in before - gaps:
        store.drop_record(collection, _key(one.channel, one.gap.end))
    for one in sorted(gaps - before):
        body = orjson.dumps([one.gap.start, one.gap.start_wh, one.gap.end_wh, one.inside]).decode()
        store.put_record(collection, _key(one.channel, one.gap.end), body)


def _gaps_of(lines: Lines) -> list[RetainedGap]:
    found = []
    for channel, line in lines.items():
        for gap in line.gaps:
            flows = [flow for flow in line.overlapping(gap.start, gap.end) if flow.origin is Origin.INTERVAL]
            ends = [(max(flow.start, gap.start), min(flow.end, gap.end), flow.level) for flow in flows]
            found.append(RetainedGap(channel, gap, tuple((at, to, level(to) - level(at)) for at, to, level in ends)))
    return found


def _key(channel: str, end: int) -> str:
    return f"{channel} {end:012d}"


def _gap(key: str, body: str) -> RetainedGap:
    channel, _, end = key.partition(" ")
    start, start_wh, end_wh, inside = orjson.loads(body)
    return RetainedGap(channel, Gap(start, int(end), start_wh, end_wh), tuple(map(tuple, inside)))


def whole_gaps(store: Store, device_id: str, span: Window) -> Window:
    """Return a span extended to the whole of the recorded gaps that it overlaps."""
    gaps = [one.gap for one in retained_gaps(store, device_id, span)]
    return Window(min([span.start, *(one.start for one in gaps)]), max([span.end, *(one.end for one in gaps)]))


# Half hours


class OldHalfHours:
    """The half hours of a span with old days."""

    def __init__(self, store: Store, device: Device, slots: Sequence[tuple[str, Slot]]) -> None:
        """`slots` are consecutive half hours with their local days."""
        self._device, self._slots = device, slots
        self._edges = energy.edges_of([slot for _, slot in slots])
        self._cutoff = store.retention_cutoff(device.device_id)
        days = {day for day, _ in slots}
        days |= {periods.shift("day", day, by) for day in days for by in (-1, 1)}
        self._documents = {day: store.document("day", device.device_id, day) for day in sorted(days)}
        self._gaps = retained_gaps(store, device.device_id, Window(self._edges[0], self._edges[-1]))

    def computed(self, evidence: Evidence) -> tuple[list[ComputedHalfHour], Lines]:
        """Return the half hours to store, and the timelines that they come from.

        Half hours of a document in another time zone are left out: they stay as they are.
        """
        lines = self._lines(_with_ends(evidence, self._device.device_id, self._gaps))
        for line in lines.values():
            self._drop_hollow(line)
        new = energy.parts_of(lines, evidence.readings, self._edges, self._device.max_power_w)
        only_gaps = self._lines(_with_ends(Evidence((), ()), self._device.device_id, self._gaps))
        before, after = (
            [energy.shares(self._in_gaps(channel, some[channel]), self._edges) for channel in CHANNELS]
            for some in (only_gaps, lines)
        )
        halves = []
        for place, ((day, slot), part) in enumerate(zip(self._slots, new, strict=True)):
            stored = self._stored(day, slot)
            if self.is_old(day, slot) and any(one.overlaps(slot) for one in self._gaps):
                was, becomes = ([of_channel[place] for of_channel in shares] for shares in (before, after))
                part = energy.with_other_shares(stored, was, becomes)
            elif self.is_old(day, slot) and not stored.is_empty:
                part = stored
            document = self._documents[day]
            if document is None or document.timezone == self._device.timezone:
                halves.append(ComputedHalfHour(day, slot, part))
        return halves, lines

    def is_old(self, day: str, slot: Slot) -> bool:
        """Whether evidence of a half hour may be gone: of its day, or of the day that it borders on."""
        window = periods.window("day", day, self._device.timezone)
        beside = [-1] * (slot.start == window.start) + [1] * (slot.end == window.end)
        return any(self._is_old_day(periods.shift("day", day, by)) for by in (0, *beside))

    def _is_old_day(self, day: str) -> bool:
        document = self._documents[day]
        return document is not None and (document.created_at or 0) < self._cutoff

    def _stored(self, day: str, slot: Slot) -> Part:
        document = self._documents[day]
        return document.part(slot.name) if document else EMPTY

    def _lines(self, evidence: Evidence) -> dict[str, Timeline]:
        return energy.timelines(evidence, self._edges, self._device)

    def _in_gaps(self, channel: str, line: Timeline) -> Timeline:
        """Return the flows of a channel within its recorded gaps."""
        return line.within([Window(one.gap.start, one.gap.end) for one in self._gaps if one.channel == channel])

    def _drop_hollow(self, line: Timeline) -> None:
        """Drop the estimates over old half hours with data outside of every recorded gap."""
        old = [slot for day, slot in self._slots if self.is_old(day, slot) and self._has_evidence(day, slot)]
        for gap in list(line.gaps):
            if any(gap.start <= slot.start and slot.end <= gap.end for slot in old):
                line.gaps.remove(gap)
                for flow in line.overlapping(gap.start, gap.end):
                    if flow.origin is Origin.ESTIMATED:
                        line.flows.remove(flow)

    def _has_evidence(self, day: str, slot: Slot) -> bool:
        stored = self._stored(day, slot)
        return not stored.is_empty and not any(one.overlaps(slot) for one in self._gaps)


def _with_ends(evidence: Evidence, device_id: str, gaps: Sequence[RetainedGap]) -> Evidence:
    """Return evidence with the registers at the ends of recorded gaps, and the intervals inside them."""
    by_instant = {reading.at: reading for reading in evidence.readings}
    by_span = {(one.start, one.end): one for one in evidence.intervals}
    for channel, gap, inside in gaps:
        for at, wh in ((gap.start, gap.start_wh), (gap.end, gap.end_wh)):
            end = Reading(device_id, at, None, **_in_channel(channel, wh))
            by_instant[at] = merged(end, by_instant[at]) if at in by_instant else end
        for start, end_at, wh in inside:
            one = Interval(device_id, start, end_at, **_in_channel(channel, wh))
            by_span.setdefault((start, end_at), one)
    return Evidence([by_instant[at] for at in sorted(by_instant)], [by_span[key] for key in sorted(by_span)])


def _in_channel(channel: str, wh: int) -> dict[str, Any]:
    """Return the values of all channels, of which one is known."""
    return dict.fromkeys(CHANNELS) | {channel: wh}
