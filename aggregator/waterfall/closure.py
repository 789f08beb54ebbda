"""Closure: what documents add up to, against registers, by a sum of its own that no rule of the waterfall decides.

- *Days*: where a register runs on plainly for a week around a local day, and nobody marked an exchange, the day's half
  hours sum to the difference of the register at both ends of the day.
- *Gaps*: the half hours of recorded gaps sum to what the gaps' register values tell, and what was measured beside them.

`waterfall.verify` compares with the rules; this finds a fault of the rules.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from aggregator.core import periods
from aggregator.core.documents import GAS, Device, Document, Part
from aggregator.core.energy import has_register
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, Window
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import parse_overrides
from aggregator.store.port import Store
from aggregator.waterfall.gap_records import GapRecord, gap_records
from aggregator.waterfall.stored_half_hours import is_old

PLAIN_S = 7 * DAY_S  # a fault lasts no longer
HOLD_S = 6 * 3600  # a power is held for a shorter time
LEAST_SHARE = 4  # a step that adds a quarter of the register may be another meter
CHANNELS = {"import_wh": "import", "export_wh": "export", "volume_l": "volume"}


def open_sums(
    store: Store, device: Device, readings: Sequence[Reading], intervals: Sequence[Interval]
) -> Iterator[str]:
    """Yield one line for each day and each group of gaps that does not add up; `readings` and `intervals` are all."""
    for channel, name in CHANNELS.items():
        if channel != "import_wh" or device.kind != GAS:
            known = [one for one in readings if getattr(one, channel) is not None]
            stated = [one for one in intervals if getattr(one, channel) is not None]
            yield from _open_days(store, device, channel, name, known, stated)
    powers = [one.at for one in readings if one.power_w is not None and not has_register(one)]
    yield from _open_gaps(store, device, powers)


# Days


def _open_days(
    store: Store, device: Device, channel: str, name: str, readings: Sequence[Reading], intervals: Sequence[Interval]
) -> Iterator[str]:
    ats = [reading.at for reading in readings]
    breaks = [Window(one.at, two.at) for one, two in pairwise(readings) if not _is_plain(one, two, channel, device)]
    breaks += [Window(one.at - 1, one.at) for one in parse_overrides(device.exchange_overrides) if one.is_exchange]
    documents = [store.document("day", device.device_id, day) for day in store.periods("day", device.device_id)]
    cutoff, spans = store.retention_cutoff(device.device_id), {}
    for document in documents:
        if document:
            spans[document.period] = periods.window("day", document.period, document.timezone)
    shaped = [spans[one.period] for one in documents if is_old(one, cutoff) and one] + [
        Window(one.start, one.end) for one in intervals
    ]
    for document in documents:
        if document is None or is_old(document, cutoff):
            continue
        day, span = document.period, spans[document.period]
        if any(one.start < span.end + PLAIN_S and span.start - PLAIN_S < one.end for one in breaks):
            continue
        ends = [_register_at(readings, ats, channel, at, shaped) for at in span]
        if None not in ends:
            stored, risen = _total(document, channel), (ends[1] or 0) - (ends[0] or 0)
            if stored != risen:
                yield f"{device.device_id} day {day} {name}: stored {stored}, but the register rose by {risen}"


def _is_plain(one: Reading, two: Reading, channel: str, device: Device) -> bool:
    """Whether a register surely runs on from one reading to the next."""
    before, after, seconds = getattr(one, channel), getattr(two, channel), two.at - one.at
    is_same = one.meter_id == two.meter_id or None in (one.meter_id, two.meter_id)
    is_possible = before <= after and (after - before - 1) * 3600 <= device.max_power_w * seconds
    return is_same and is_possible and (after - before) * LEAST_SHARE < max(before, LEAST_SHARE) and seconds <= PLAIN_S


def _register_at(
    readings: Sequence[Reading], ats: Sequence[int], channel: str, at: int, shaped: Sequence[Window]
) -> int | None:
    """Return the register at an instant, between two readings; None without them, or where something shapes the time.

    That is an interval, or an old day, of which readings may be deleted.
    """
    place = bisect_left(ats, at)
    if place == len(ats) or (place == 0 and ats[0] != at):
        return None
    after = readings[place]
    if after.at == at:
        return int(getattr(after, channel))
    before = readings[place - 1]
    if any(one.start < after.at and before.at < one.end for one in shaped):
        return None
    low, high = getattr(before, channel), getattr(after, channel)
    return int(low + (high - low) * (at - before.at) // (after.at - before.at))


def _total(document: Document, channel: str) -> int:
    return sum(getattr(part, channel) or 0 for name, part in document.parts.items() if name[0] == "s")


# Gaps


def _open_gaps(store: Store, device: Device, powers: Sequence[int]) -> Iterator[str]:
    records = gap_records(store, device.device_id, Window(0, FOR_EVER))
    for group in _groups(records):
        channel, first, last = group[0].channel, group[0].base, group[-1].base
        parts = _parts(store, device, Window(first.start, last.end))
        is_held = bisect_left(powers, first.start - HOLD_S) < bisect_right(powers, last.end + HALF_HOUR)
        if parts is None or is_held:  # no record tells what was held in the same half hour
            continue
        slots = {at: part for at, part in parts.items() if any(one.base.overlaps(at, at + HALF_HOUR) for one in group)}
        outside = {at: share for one in group for at, share in one.outside.items()}
        stored = sum(getattr(part, channel) or 0 for part in slots.values())
        wanted = sum(one.base.end_wh - one.base.start_wh for one in group)
        wanted += sum(sum(share.wh) for at, share in outside.items() if at in slots)
        if stored != wanted:
            gap = f"gap {periods.iso_utc(first.start)} to {periods.iso_utc(last.end)} {CHANNELS[channel]}"
            yield f"{device.device_id} {gap}: stored {stored}, but the register tells {wanted}"


def _groups(records: Sequence[GapRecord]) -> Iterator[list[GapRecord]]:
    """Yield the records of one channel that may share a half hour."""
    group: list[GapRecord] = []
    for record in records:
        if group and (record.channel != group[-1].channel or record.base.start - group[-1].base.end >= HALF_HOUR):
            yield group
            group = []
        group.append(record)
    if group:
        yield group


def _parts(store: Store, device: Device, span: Window) -> Mapping[int, Part] | None:
    """Return the stored half hours by their start; None where a document is in another time zone."""
    found: dict[int, Part] = {}
    for day in periods.days_of(span, device.timezone):
        document = store.document("day", device.device_id, day)
        if document is not None and document.timezone != device.timezone:
            return None
        for slot in periods.half_hours(day, device.timezone) if document else ():
            found[slot.start] = document.part(slot.name) if document else Part(None, None)
    return found
