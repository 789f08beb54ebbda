"""Half hours from evidence, and what stays of those whose evidence has been deleted.

A half hour is a function of the evidence alone, but on an old day (`stored_half_hours`): evidence of it may be gone, so
it stays as it is stored.

**Old half hours** change in three ways. A channel without data is filled from evidence. A half hour that evidence
knows in full replaces one that is known in part. And a *recorded gap* (`gap_records`) is filled: it is computed from
its two register values and the evidence inside it, so the sum across it never changes. The half hours at its ends keep
what was measured outside of it.

What an interval across the end of a gap gives to the gap is the rest of its energy. The record keeps readings beside
the gap, which tell the energy of the rest of its time. Where the interval reaches beyond them and ends within a half
hour, that half hour gives its share of time; then the order of evidence may matter by a few Wh.

No energy is spread over old half hours with data: such a gap of the register is hollow, its readings have been deleted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from aggregator.core import energy
from aggregator.core.documents import Device, Part
from aggregator.core.energy import Evidence
from aggregator.core.periods import Slot, Window
from aggregator.core.registers import CHANNELS
from aggregator.core.timeline import Timeline
from aggregator.store.port import Store
from aggregator.waterfall.channel_gaps import ChannelGaps
from aggregator.waterfall.gap_records import GapRecord, gap_records
from aggregator.waterfall.stored_half_hours import StoredHalfHours


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


def computed(store: Store, device: Device, halves: StoredHalfHours, evidence: Evidence) -> Computed:
    """Return half hours from evidence, and the records of the gaps in them."""
    lines = energy.timelines(evidence, halves.edges, device)
    if not halves.may_have_gaps and not any(line.gaps for line in lines.values()):
        return Computed(_in_zone(halves, _parts(halves, lines, evidence)))
    span = Window(halves.edges[0], halves.edges[-1])
    found = gap_records(store, device.device_id, span)
    stored = [one for one in found if span.start <= one.base.start and one.base.end <= span.end]
    channels = [
        ChannelGaps(halves, channel, line, [one for one in found if one.channel == channel], evidence)
        for channel, line in lines.items()
    ]
    parts = _parts(halves, {one.channel: one.line for one in channels}, evidence)
    old = [place for place in range(len(parts)) if halves.has_old(place)]
    whole = {place for place in old if _is_whole_now(halves, place, parts[place], channels)}
    for place in old:
        if place not in whole:
            parts[place] = energy.part_of(*(one.old_share(place) for one in channels))
    records = [one.records(whole) for one in channels]
    first, last = ([record for some in pair for record in some] for pair in zip(*records, strict=True))
    return Computed(_in_zone(halves, parts), stored, first, last)


def _parts(halves: StoredHalfHours, lines: dict[str, Timeline], evidence: Evidence) -> list[Part]:
    return energy.parts_of(lines, evidence.readings, halves.edges, halves.max_power_w)


def _in_zone(halves: StoredHalfHours, parts: Sequence[Part]) -> list[ComputedHalfHour]:
    """Return half hours without erased ones, and those of a document in another time zone, which stay as they are."""
    named = enumerate(zip(halves.slots, parts, strict=True))
    return [
        ComputedHalfHour(day, slot, part)
        for place, ((day, slot), part) in named
        if halves.is_in_zone(day) and not halves.is_erased(place)
    ]


def _is_whole_now(halves: StoredHalfHours, place: int, new: Part, channels: Sequence[ChannelGaps]) -> bool:
    """Whether evidence knows an old half hour in full, of which a part was unknown."""
    seconds, stored = halves.edges[place + 1] - halves.edges[place], halves.part(place)
    is_whole = new.covered_s + new.interval_s == seconds > stored.known_s
    is_known = all(energy.share_of(new, channel) or not energy.share_of(stored, channel) for channel in CHANNELS)
    return is_whole and is_known and not any(one.is_replaced(place) for one in channels)
