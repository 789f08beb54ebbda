"""What expired readings have made, kept from what is computed without them.

Before a device's horizon the readings may be gone. There a half hour is filled, or gives way to one of which more is
known, and no less measured: with each piece of a history that comes in, more of its last half hour is known. A gap in
which something was measured once is no gap: its readings are gone, not missing, and nothing may be spread over it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.core.periods import Slot, Window
from aggregator.store.port import Store


class Half(NamedTuple):
    """A half hour of a local day, and its energy."""

    day: str
    slot: Slot
    part: Part


def hollow_gaps(
    store: Store, device: Device, halves: Sequence[Half], gaps: Sequence[Collection[Window]]
) -> set[Window]:
    """The gaps of any register in which more was measured once than the readings that are left say.

    `gaps` are those of each register, first the one that decides what counts as measured.
    """
    documents = _documents(store, device, halves)
    lost = [slot for day, slot, new in halves if _is_spread_over(_stored(documents, day, slot), new)]
    widest = {max(gaps[0], key=partial(_overlap_s, slot)) for slot in lost} if gaps and gaps[0] else set()
    hollow = [gap for gap in widest if any(_overlap_s(slot, gap) > 0 for slot in lost)]
    return {gap for some in gaps for gap in some if any(_overlap_s(gap, one) > 0 for one in hollow)}


def _is_spread_over(stored: Part, new: Part) -> bool:
    """Something was measured where now something is estimated; not, where the first readings are merely gone."""
    return stored.covered_s > new.covered_s and new.estimated_s > stored.estimated_s


def _overlap_s(one: Slot | Window, other: Window) -> int:
    return min(one.end, other.end) - max(one.start, other.start)


def protected(store: Store, device: Device, halves: Sequence[Half]) -> list[Half]:
    """Half hours as they may replace what is stored."""
    horizon = store.horizon(device.device_id)
    old = [half for half in halves if half.slot.start < horizon]
    documents = _documents(store, device, old)
    kept = {day for day, document in documents.items() if document and document.timezone != device.timezone}
    merged = [half._replace(part=better(_stored(documents, half.day, half.slot), half.part)) for half in old]
    # Days in the zone in which they were made stay so.
    return [half for half in (*merged, *halves[len(old) :]) if half.day not in kept]


def better(stored: Part, new: Part) -> Part:
    """What to keep of a half hour whose readings may have expired: the new only where it lacks nothing."""
    knows_both = (new.import_wh is not None or stored.import_wh is None) and (
        new.export_wh is not None or stored.export_wh is None
    )
    measured, known = new.covered_s - stored.covered_s, _known_s(new) - _known_s(stored)
    is_fuller = knows_both and measured >= 0 <= known and measured + known > 0
    return new if stored.is_empty or is_fuller else stored


def _documents(store: Store, device: Device, halves: Iterable[Half]) -> dict[str, Document | None]:
    return {day: store.document("day", device.device_id, day) for day in dict.fromkeys(half.day for half in halves)}


def _stored(documents: Mapping[str, Document | None], day: str, slot: Slot) -> Part:
    document = documents[day]
    return document.part(slot.name) if document else EMPTY


def _known_s(part: Part) -> int:
    return part.covered_s + part.estimated_s
