"""What expired readings have made, kept from what is computed without them.

Before a device's horizon the readings may be gone. There a half hour is filled, or gives way to one in which more was
measured and nothing is unknown that was known. A gap in which something was
measured once is no gap: its readings are gone, not missing, and nothing may be spread over it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from aggregator.documents import EMPTY, Device, Document, Part
from aggregator.periods import Slot, Window
from aggregator.store.base import Store

Half = tuple[str, Slot, Part]  # a day, one of its half hours, and that one's energy


def hollow_gaps(
    store: Store, device: Device, halves: Sequence[Half], gaps: Sequence[Collection[Window]]
) -> set[Window]:
    """The gaps of any register in which more was measured once than the readings that are left say.

    `gaps` are those of each register, first the one that decides what counts as measured.
    """
    documents = _documents(store, device, halves)
    lost = [slot for day, slot, new in halves if _stored(documents, day, slot).covered_s > new.covered_s]
    widest = {max(gaps[0], key=partial(_overlap_s, slot)) for slot in lost} if gaps and gaps[0] else set()
    hollow = [gap for gap in widest if any(_overlap_s(slot, gap) > 0 for slot in lost)]
    return {gap for some in gaps for gap in some if any(_overlap_s(gap, one) > 0 for one in hollow)}


def _overlap_s(one: Slot | Window, other: Window) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def protected(store: Store, device: Device, halves: Sequence[Half]) -> list[Half]:
    """Half hours as they may replace what is stored."""
    horizon = store.horizon(device.device_id)
    old = [half for half in halves if half[1].start < horizon]
    documents = _documents(store, device, old)
    kept = {day for day, document in documents.items() if document and document.timezone != device.timezone}
    merged = [(day, slot, better(_stored(documents, day, slot), part)) for day, slot, part in old]
    # Days in the zone in which they were made stay so.
    return [half for half in (*merged, *halves[len(old) :]) if half[0] not in kept]


def better(stored: Part, new: Part) -> Part:
    """What to keep of a half hour whose readings may have expired: the new only where it lacks nothing."""
    knows_both = (new.import_wh is not None or stored.import_wh is None) and (
        new.export_wh is not None or stored.export_wh is None
    )
    is_fuller = knows_both and new.covered_s > stored.covered_s and _known_s(new) >= _known_s(stored)
    return new if stored.is_empty or is_fuller else stored


def _documents(store: Store, device: Device, halves: Iterable[Half]) -> dict[str, Document | None]:
    return {day: store.document("day", device.device_id, day) for day in dict.fromkeys(day for day, _, _ in halves)}


def _stored(documents: Mapping[str, Document | None], day: str, slot: Slot) -> Part:
    document = documents[day]
    return document.part(slot.name) if document else EMPTY


def _known_s(part: Part) -> int:
    return part.covered_s + part.estimated_s
