"""The levels, and the one step of the waterfall: this child changed, so replace these parts of its parent.

A step is state-based: a change record says only which key is dirty; the step reads what the child is now and sets the
parts that it owns. Running it again, or running it for nothing, changes nothing and so leaves no change record.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter, itemgetter

from aggregator import energy, periods
from aggregator.documents import EMPTY, Device, Part, add, better
from aggregator.periods import HALF_HOUR, Slot, Window
from aggregator.reach import reach_after, reach_before
from aggregator.readings import Reading
from aggregator.store.base import Change, Store

READINGS = "readings"
APART = 8  # blocks; changes nearer than this are computed in one go
TOGETHER = 480  # blocks; as many as are computed in one go
LOOKS = (2, 6, 16, 24)  # blocks; how neighbours are fetched, a few first, then more; in all as far as a step looks

Half = tuple[str, Slot, Part]  # a day, one of its half hours, and that one's energy


@dataclass(frozen=True, slots=True)
class Level:
    """A table of the waterfall, and the table whose changes it carries."""

    name: str
    child: str


LEVELS = (Level("day", READINGS), Level("month", "day"), Level("year", "month"))


def carry(store: Store, level: Level, changes: Iterable[Change]) -> None:
    """Bring the documents of a level up to date with the children that changed."""
    for device_id, group in groupby(sorted(changes, key=attrgetter("device_id")), key=attrgetter("device_id")):
        device = store.device(device_id) or Device(device_id)
        keys = {change.key for change in group}
        if level.child == READINGS:
            for first, last in clusters(sorted(map(int, keys))):
                _carry_readings(store, device, first, last)
        else:
            for key in sorted(keys):
                _carry_document(store, level, device, key)


def clusters(starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Spans of blocks that are near each other, as the starts of their first and last."""
    first = starts[0]
    for start, following in pairwise([*starts, starts[-1] + TOGETHER * HALF_HOUR]):
        if following - start > APART * HALF_HOUR or following - first >= TOGETHER * HALF_HOUR:
            yield first, start
            first = following


def _carry_document(store: Store, level: Level, device: Device, period: str) -> None:
    child = store.document(level.child, device.device_id, period)
    total = child.total if child else EMPTY
    store.merge_parts(
        level.name,
        device.device_id,
        periods.containing(level.name, period),
        child.timezone if child else device.timezone,
        {periods.part_in(level.name, period): None if total.is_empty else total},
    )


def _carry_readings(store: Store, device: Device, first: int, last: int) -> None:
    changed = store.readings(device.device_id, first, last)
    if changed:
        recompute(store, device, first, last, Window(changed[0].at, changed[-1].at))


def recompute(store: Store, device: Device, first: int, last: int, least: Window) -> None:
    """Compute the hours again that the blocks from `first` to `last` reach, and at least those of `least`."""
    before, start = _before(store, device, first, least.start)
    after, end = _after(store, device, last, least.end)
    readings = [*before, *store.readings(device.device_id, first, last), *after]
    start = min(start, periods.hour_window(least.start, device.timezone).start)
    end = max(end, periods.hour_window(least.end, device.timezone).end)
    horizon = store.horizon(device.device_id)
    halves = half_hours(readings, device, Window(start, end))
    for day, group in groupby(halves, key=itemgetter(0)):
        replace_half_hours(store, device, day, list(group), horizon)


def _before(store: Store, device: Device, first: int, at: int) -> tuple[list[Reading], int]:
    """The readings needed before a block, and from when on a change of it counts (`at` if they do not matter)."""
    before: list[Reading] = []
    starts = store.block_starts(device.device_id, first, -sum(LOOKS) - 1)
    for look in _looks(starts):
        before = store.readings(device.device_id, starts[look - 1], first - 1)
        start = reach_before(before, device, is_all=look == len(starts))
        if start is not None:
            return before, start
    if not before:
        return before, at
    start = reach_before(before, device, is_all=True) or at
    return before, max(start, periods.hour_window(before[0].at, device.timezone).end)


def _after(store: Store, device: Device, last: int, at: int) -> tuple[list[Reading], int]:
    """The readings needed after a block, and until when a change of it counts (`at` if they do not matter)."""
    after: list[Reading] = []
    starts = store.block_starts(device.device_id, last, sum(LOOKS) + 1)
    for look in _looks(starts):
        after = store.readings(device.device_id, last + 1, starts[look - 1])
        end = reach_after(after, device, is_all=look == len(starts))
        if end is not None:
            return after, end
    if not after:
        return after, at
    end = reach_after(after, device, is_all=True) or at
    return after, min(end, periods.hour_window(after[-1].at, device.timezone).start)


def _looks(starts: Sequence[int]) -> Iterator[int]:
    """How many neighbours to read: a few first, then more, up to LOOKS in all."""
    count = 0
    for more in LOOKS:
        if count >= len(starts):
            return
        count = min(count + more, len(starts))
        yield count


def half_hours(readings: Sequence[Reading], device: Device, span: Window) -> Iterator[Half]:
    """The energy of the half hours in a span of whole local hours, in order."""
    slots = [
        (day, slot)
        for day in periods.days_of(span, device.timezone)
        for slot in periods.half_hours(day, device.timezone)
        if span.start <= slot.start and slot.end <= span.end
    ]
    edges = [slot.start for _, slot in slots] + [slots[-1][1].end]
    parts = energy.half_hour_parts(readings, edges, device.max_power_w)
    return ((day, slot, part) for (day, slot), part in zip(slots, parts, strict=True))


def replace_half_hours(store: Store, device: Device, day: str, halves: Sequence[Half], horizon: int) -> bool:
    """Set half hours, and the hours they make up, in a day document; True when that changed it.

    Before the horizon, where readings may have expired, a part gives way only to one that knows as much of its time.
    """
    parts = {slot.name: part for _, slot, part in halves}
    if periods.day_start(day, device.timezone) < horizon:
        stored = store.document("day", device.device_id, day)
        if stored and stored.timezone != device.timezone:
            return False  # stays in the zone in which it was made: its readings may be gone
        if stored:
            parts |= {
                slot.name: better(stored.part(slot.name), part) for _, slot, part in halves if slot.start < horizon
            }
    parts |= {hour: add(halves) for hour, halves in _by_hour(parts).items()}
    return store.merge_parts(
        "day",
        device.device_id,
        day,
        device.timezone,
        {name: None if part.is_empty else part for name, part in parts.items()},
    )


def _by_hour(halves: dict[str, Part]) -> dict[str, list[Part]]:
    hours: dict[str, list[Part]] = {}
    for name, part in halves.items():
        hours.setdefault(periods.hour_of_half(name), []).append(part)
    return hours
