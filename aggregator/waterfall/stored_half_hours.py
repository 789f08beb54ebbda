"""What is stored of consecutive half hours, and whether evidence of them may be gone.

Evidence is kept for the retention after it came in, whatever time it tells of. A day is *old* when its document was
made before the device's retention cutoff. So is a half hour of a day beside an erased time, if it was over before that
was erased. A half hour of an erased time is never stored.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from aggregator.core import energy, periods
from aggregator.core.documents import EMPTY, GAS, Device, Document, Part
from aggregator.core.energy import Share
from aggregator.core.money import NOTHING
from aggregator.core.periods import DAY_S, Slot, Window
from aggregator.store.occupancies import erased_spans
from aggregator.store.port import Store


def is_old(document: Document | None, retention_cutoff: int) -> bool:
    """Whether evidence of a day may be gone."""
    return document is not None and (document.created_at or 0) < retention_cutoff


class StoredHalfHours:
    """The stored half hours of a span; a place is a position among them. `edges` are their boundaries, UTC seconds."""

    def __init__(self, store: Store, device: Device, span: Window) -> None:
        """`span` is of whole local hours."""
        self._device = device
        self.max_power_w = device.max_power_w
        self.slots = [
            (day, slot)
            for day in periods.days_of(span, device.timezone)
            for slot in periods.half_hours(day, device.timezone)
            if span.start <= slot.start and slot.end <= span.end
        ]
        self.edges = energy.edges_of([slot for _, slot in self.slots])
        self._erased = erased_spans(device)
        self._cutoff, self.now = store.retention_cutoff(device.device_id), store.now()
        days = dict.fromkeys(day for day, _ in self.slots)
        if span.start < self._cutoff or span.start < self.now - DAY_S:
            days |= dict.fromkeys(periods.shift("day", day, by) for day in (min(days), max(days)) for by in (-1, 1))
        self._documents = {day: store.document("day", device.device_id, day) for day in sorted(days)}
        self._old = {day for day, document in self._documents.items() if is_old(document, self._cutoff)}
        self._is_old = [self._is_old_slot(*named) for named in self.slots]
        self._stored = [self._stored_part(*named) for named in self.slots]

    @property
    def may_have_gaps(self) -> bool:
        """Whether gaps may be recorded: half hours are old, in the past, or estimated."""
        is_past = self.edges[0] < self.now - DAY_S
        return is_past or any(self._is_old) or any(part.estimated_s for part in self._stored)

    @property
    def may_be_hollow(self) -> bool:
        """Whether evidence of a half hour may be gone or erased, so that a gap may lead over it."""
        return bool(self._erased) or any(self._is_old)

    def places(self, window: Window) -> range:
        """Return the places of the half hours that overlap a window."""
        return range(
            max(bisect_right(self.edges, window.start) - 1, 0),
            min(bisect_left(self.edges, window.end), len(self.slots)),
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

    def part(self, place: int) -> Part:
        """Return what is stored of a half hour."""
        return self._stored[place]

    def is_in_zone(self, day: str) -> bool:
        """Whether a day's document can change: it is in the device's time zone, or there is none."""
        document = self._documents[day]
        return document is None or document.timezone == self._device.timezone

    def are_stored(self, day: str, halves: Mapping[str, Part]) -> bool:
        """Whether half hours of a day are stored as they are, costs apart. Gas never is: its energy is made later."""
        document = None if self._device.kind == GAS else self._documents.get(day)
        return document is not None and all(
            document.part(name)._replace(cost=NOTHING) == part for name, part in halves.items()
        )

    def is_erased(self, place: int) -> bool:
        """Whether a half hour has time that was erased."""
        return self.crosses_erased(self.edges[place], self.edges[place + 1])

    def crosses_erased(self, start: int, end: int) -> bool:
        """Whether a span has time that was erased."""
        return any(one.overlaps(start, end) for one in self._erased)

    def can_change(self, window: Window) -> bool:
        """Whether all half hours of a gap can change: none is of a document in another time zone."""
        return all(self.is_in_zone(self.slots[place][0]) for place in self.places(window))

    def is_expired(self, at: int) -> bool:
        """Whether evidence that came in at an instant may be gone."""
        return at < self._cutoff

    def _is_old_slot(self, day: str, slot: Slot) -> bool:
        """Whether evidence of a half hour may be gone: of its day, or of the day that it borders on."""
        if not self._old and not self._erased:
            return False
        window = periods.window("day", day, self._device.timezone)
        if any(slot.end <= one.at and one.overlaps(window.start - 1, window.end + 1) for one in self._erased):
            return True
        beside = [-1] * (slot.start == window.start) + [1] * (slot.end == window.end)
        return any(periods.shift("day", day, by) in self._old for by in (0, *beside))

    def _stored_part(self, day: str, slot: Slot) -> Part:
        """Return what is stored of a half hour, without the energy that is made from a volume."""
        document = self._documents[day]
        part = document.part(slot.name) if document else EMPTY
        if part.is_converted and self._device.kind == GAS:
            return part._replace(import_wh=None, estimated_import_wh=0, interval_import_wh=0, is_converted=False)
        return part
