"""Half hours from evidence, and what stays of those whose evidence has been deleted.

Evidence is kept for the retention after it came in, whatever time it tells of. A day is *old* when its document was
made before the device's retention cutoff: evidence of it may be gone, so its half hours stay as they are stored.
Everywhere else a half hour is a function of the evidence alone.

**Old half hours** change in three ways. A channel without data is filled from evidence. A half hour that evidence
knows in full replaces one that is known in part. And a *recorded gap* (`gap_records`) is filled: it is computed from
its two register values and the evidence inside it, so the sum across it never changes. The half hours at its ends keep
what was measured outside of it.

No energy is spread over old half hours with data: such a gap of the register is hollow, its readings have been deleted.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from aggregator.core import energy, periods
from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.core.energy import Evidence, Share
from aggregator.core.periods import DAY_S, Slot, Window
from aggregator.core.timeline import Timeline
from aggregator.store.port import Store
from aggregator.waterfall.channel_gaps import ChannelGaps
from aggregator.waterfall.gap_records import GapRecord, gap_records
from aggregator.waterfall.pricing import is_converted


class ComputedHalfHour(NamedTuple):
    """A half hour of a local day, and its energy."""

    day: str
    slot: Slot
    part: Part


class Computed(NamedTuple):
    """Half hours to store, and the records of gaps: as they were, to store before, and to store after them."""

    halves: list[ComputedHalfHour]
    stored: Sequence[GapRecord] = ()
    first: Sequence[GapRecord] = ()
    records: Sequence[GapRecord] = ()


def is_old(document: Document | None, retention_cutoff: int) -> bool:
    """Whether evidence of a day may be gone."""
    return document is not None and (document.created_at or 0) < retention_cutoff


class HalfHours:
    """The half hours of a span of consecutive ones: what is stored of them, and what evidence makes of them."""

    def __init__(self, store: Store, device: Device, span: Window) -> None:
        """`span` is of whole local hours."""
        self._store, self._device = store, device
        self.slots = [
            (day, slot)
            for day in periods.days_of(span, device.timezone)
            for slot in periods.half_hours(day, device.timezone)
            if span.start <= slot.start and slot.end <= span.end
        ]
        self._edges = energy.edges_of([slot for _, slot in self.slots])
        self._cutoff, self._now = store.retention_cutoff(device.device_id), store.now()
        days = dict.fromkeys(day for day, _ in self.slots)
        if span.start < self._cutoff or span.start < self._now - DAY_S:
            days |= dict.fromkeys(periods.shift("day", day, by) for day in (min(days), max(days)) for by in (-1, 1))
        self._documents = {day: store.document("day", device.device_id, day) for day in sorted(days)}
        self._old = {day for day, document in self._documents.items() if is_old(document, self._cutoff)}
        self._places = range(len(self.slots))
        self._is_old = [self._is_old_slot(*named) for named in self.slots]
        self._stored = [self._stored_part(*named) for named in self.slots]

    @property
    def may_have_gaps(self) -> bool:
        """Whether gaps may be recorded: half hours are old, in the past, or estimated."""
        is_past = self._edges[0] < self._now - DAY_S
        return is_past or any(self._is_old) or any(part.estimated_s for part in self._stored)

    def computed(self, evidence: Evidence) -> Computed:
        """Return the half hours, and the records of the gaps in them."""
        lines = energy.timelines(evidence, self._edges, self._device)
        if not self.may_have_gaps and not any(line.gaps for line in lines.values()):
            return Computed(self._halves(self._parts(lines, evidence)))
        span = Window(self._edges[0], self._edges[-1])
        stored = [
            one
            for one in gap_records(self._store, self._device.device_id, span)
            if span.start <= one.base.start and one.base.end <= span.end
        ]
        channels = [
            ChannelGaps(self, channel, line, [one for one in stored if one.channel == channel], evidence)
            for channel, line in lines.items()
        ]
        parts = self._parts({one.channel: one.line for one in channels}, evidence)
        whole = {place for place in self._places if self._is_whole_now(place, parts[place], channels)}
        for place in self._places:
            if self.has_old(place) and place not in whole:
                parts[place] = energy.part_of(*(one.old_share(place) for one in channels))
        found = [one.records(whole) for one in channels]
        first, last = ([record for some in pair for record in some] for pair in zip(*found, strict=True))
        return Computed(self._halves(parts), stored, first, last)

    def _parts(self, lines: dict[str, Timeline], evidence: Evidence) -> list[Part]:
        return energy.parts_of(lines, evidence.readings, self._edges, self._device.max_power_w)

    def _halves(self, parts: Sequence[Part]) -> list[ComputedHalfHour]:
        """Return the half hours without those of a document in another time zone, which stay as they are."""
        return [
            ComputedHalfHour(*named, part)
            for named, part in zip(self.slots, parts, strict=True)
            if self._is_in_zone(named[0])
        ]

    def _is_in_zone(self, day: str) -> bool:
        document = self._documents[day]
        return document is None or document.timezone == self._device.timezone

    def _is_whole_now(self, place: int, new: Part, channels: Sequence[ChannelGaps]) -> bool:
        """Whether evidence knows an old half hour in full, of which a part was unknown."""
        start, end = self._edges[place], self._edges[place + 1]
        is_whole = new.covered_s + new.interval_s == end - start > self._stored[place].known_s
        return self.has_old(place) and is_whole and not any(one.is_replaced(place) for one in channels)

    # what the channels ask

    @property
    def edges(self) -> Sequence[int]:
        """Return the boundaries of the half hours."""
        return self._edges

    @property
    def max_power_w(self) -> int:
        """Return the home's maximum power."""
        return self._device.max_power_w

    @property
    def now(self) -> int:
        """Return the store's clock, UTC seconds."""
        return self._now

    def places(self, window: Window) -> range:
        """Return the places of the half hours that overlap a window."""
        return range(
            max(bisect_right(self._edges, window.start) - 1, 0),
            min(bisect_left(self._edges, window.end), len(self.slots)),
        )

    def has_old(self, place: int) -> bool:
        """Whether a half hour is stored, and evidence of it may be gone."""
        return self._is_old[place] and not self._stored[place].is_empty

    def stored_share(self, place: int, channel: str) -> Share | None:
        """Return what is stored of a channel."""
        return energy.share_of(self._stored[place], channel)

    def is_frozen(self, window: Window) -> bool:
        """Whether evidence of a gap may be gone."""
        return any(self._is_old[place] for place in self.places(window))

    def can_change(self, window: Window) -> bool:
        """Whether all half hours of a gap can change: none is of a document in another time zone."""
        return all(self._is_in_zone(self.slots[place][0]) for place in self.places(window))

    def is_expired(self, at: int) -> bool:
        """Whether evidence that came in at an instant may be gone."""
        return at < self._cutoff

    def has_room(self, place: int, channel: str, seconds: int) -> bool:
        """Whether a stored half hour has time without data of a channel."""
        slot = self.slots[place][1]
        share = self.stored_share(place, channel)
        return not self._is_old[place] or share is None or sum(share.seconds) + seconds <= slot.end - slot.start

    def _is_old_slot(self, day: str, slot: Slot) -> bool:
        """Whether evidence of a half hour may be gone: of its day, or of the day that it borders on."""
        if not self._old:
            return False
        window = periods.window("day", day, self._device.timezone)
        beside = [-1] * (slot.start == window.start) + [1] * (slot.end == window.end)
        return any(periods.shift("day", day, by) in self._old for by in (0, *beside))

    def _stored_part(self, day: str, slot: Slot) -> Part:
        """Return what is stored of a half hour, without the energy that is made from a volume."""
        document = self._documents[day]
        part = document.part(slot.name) if document else EMPTY
        if part.volume_l is not None and is_converted(self._device):
            return part._replace(import_wh=None, estimated_import_wh=0, interval_import_wh=0)
        return part
