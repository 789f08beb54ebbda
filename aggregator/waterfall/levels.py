"""The steps of the waterfall: a step replaces parts of a document after a change of its child.

A step is state-based: a change record names only the dirty key. The step reads the child's current state and sets the
parts that depend on it. A repeated or needless step changes nothing, so it leaves no change record.

A home that changes hands has its own step: what is shared anew is written at once, and the rest is marked.
"""

import logging
import time
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device, Part
from aggregator.core.energy import Evidence
from aggregator.core.errors import Damaged
from aggregator.core.periods import HALF_HOUR, LAST_DAY, Window
from aggregator.core.readings import SECOND_METERS, sender_of
from aggregator.store import search
from aggregator.store.occupancies import moved, occupancies, returned
from aggregator.store.port import READINGS, Change, Store
from aggregator.waterfall.gap_records import put_records, whole_gaps
from aggregator.waterfall.pricing import PRICES, carry, currency_of, mark_above, priced, whole_day
from aggregator.waterfall.recompute_window import RecomputeWindow
from aggregator.waterfall.retained_gaps import ComputedHalfHour, computed
from aggregator.waterfall.retention import log_backfill
from aggregator.waterfall.steady_runs import MOST as MOST_RUNS
from aggregator.waterfall.steady_runs import SteadyRuns, continued, steady_run
from aggregator.waterfall.stored_half_hours import StoredHalfHours

log = logging.getLogger("wattfall.waterfall")
WIDENINGS = 8  # of a span to the whole of the gaps that it overlaps
APART = 8  # blocks; nearer changes are computed together
TOGETHER = 48  # blocks; the largest span computed together, and committed at once by the worker
IN_BULK = 240  # blocks, where no reading waits for the commit
MOST_SPANS = 16  # of changed blocks that lie apart, likewise: a change among rare readings reaches over months
DOCUMENTS = 20  # documents, likewise
LIVE = 2  # blocks that a device changes from one pass to the next
SHARE = 5000  # half hours recomputed for a sender, in about a second, before its changes wait for those of others


class Step(NamedTuple):
    """A step of the waterfall: the level of the written documents, and the feed of the changes."""

    level: str
    feed: str  # readings, prices, or the level's child


@dataclass(slots=True)
class Work:
    """What a worker remembers from one pass to the next, and how many blocks of a device it computes together."""

    together: int = TOGETHER
    runs: SteadyRuns = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)  # half hours recomputed of late, by sender

    def forget_half(self) -> None:
        """Halve what was spent for each sender."""
        self.spent = +Counter({sender: half_hours // 2 for sender, half_hours in self.spent.items()})


def steps() -> tuple[Step, ...]:
    """Return the steps in the order in which a change passes them: one per level, and one for prices."""
    rows = periods.LEVELS.values()
    lowest = [Step(row.name, feed) for row in rows if row.has_hours for feed in (READINGS, PRICES)]
    return (*lowest, *(Step(row.name, row.child) for row in rows if row.child))


def propagate(store: Store, step: Step, changes: Iterable[Change], work: Work | None = None) -> None:
    """Update the documents of a step's level from the changed children; charge their senders in `work`.

    The keys of a device with a damaged row are quarantined, so that other devices go on.
    """
    for device_id, group in groupby(sorted(changes, key=attrgetter("device_id")), key=attrgetter("device_id")):
        store.step(partial(_propagate_device, store, step, device_id, list(group), work or Work()))


def pieces(changes: Iterable[Change], work: Work, looked_at: Collection[str] = ()) -> Iterator[list[Change]]:
    """Cut the changes of a feed into pieces of bounded work, each of one device.

    The senders take turns: first a piece of each, then a second one; in a turn those come first that somebody looks at,
    then those with the fewest changes. The more often a sender has spent SHARE, the later its first turn: it waits
    until all those are done who have spent less.
    """
    by_device: dict[str, list[Change]] = {}
    for change in changes:
        by_device.setdefault(change.device_id, []).append(change)
    by_sender: dict[str, list[Iterator[list[Change]]]] = {}
    for own in sorted(by_device.values(), key=lambda own: (own[0].device_id not in looked_at, len(own))):
        by_sender.setdefault(sender_of(own[0].device_id), []).append(_pieces_of(own, work.together))

    def spent(sender: str) -> int:
        return work.spent[sender] // SHARE

    for _, senders in groupby(sorted(by_sender, key=spent), key=spent):
        turns = [chain.from_iterable(by_sender[sender]) for sender in senders]
        while turns:  # lazily: a pass seldom takes all
            following = []
            for meters in turns:
                if piece := next(meters, None):
                    yield piece
                    following.append(meters)
            turns = following


def _pieces_of(own: Sequence[Change], together: int) -> Iterator[list[Change]]:
    """Cut one device's changes of a feed: clusters of blocks, or a few documents."""
    if len(own) == 1:
        yield [*own]
    elif own[0].table == READINGS:
        starts = {int(change.key): change for change in own}
        ordered = sorted(starts)
        spans = clusters(ordered, together)
        for some in _groups(spans, together) if together > TOGETHER else ([span] for span in spans):
            first, last = some[0][0], some[-1][1]
            yield [starts[start] for start in ordered[bisect_left(ordered, first) : bisect_right(ordered, last)]]
    else:
        for place in range(0, len(own), DOCUMENTS):
            yield [*own[place : place + DOCUMENTS]]


def _propagate_device(store: Store, step: Step, device_id: str, changes: Sequence[Change], work: Work) -> None:
    keys = sorted({change.key for change in changes})
    try:
        device = store.device(device_id) or Device(device_id)
        if step.feed == READINGS:
            _propagate_readings(store, device, keys, min(change.first for change in changes), work)
        else:
            _propagate_keys(store, step, device, keys)
    except Damaged as error:
        log.error("quarantined: %s", error)
        store.quarantine(step.feed, device_id, keys, str(error))


def _propagate_readings(store: Store, device: Device, keys: Sequence[str], since: int, work: Work) -> None:
    """Update days after a change of blocks; nothing before `since` (UTC seconds; 0: unknown) has changed."""
    is_live = since and len(keys) <= LIVE
    run = work.runs.pop(device.device_id, None) or (steady_run(store, device, since) if is_live else None)
    longer = continued(store, device, run) if run and since > run.last.at else None
    if longer is None:
        sender = sender_of(device.device_id)
        for some in _groups(clusters(sorted(map(int, keys)), work.together), work.together):
            spans = deque(some)
            while spans:
                work.spent[sender] += _propagate_evidence(store, device, *spans.popleft(), spans)
        return
    new, days = longer
    for day, halves in days.items():
        _merge_priced(store, device, day, device.timezone, halves)
    if len(work.runs) < MOST_RUNS:
        work.runs[device.device_id] = new


def _propagate_keys(store: Store, step: Step, device: Device, keys: Sequence[str]) -> None:
    if step.feed == PRICES:
        for key in keys:
            reprice(store, device, key)
    else:
        for key in keys:
            carry(store, device, step.level, key)


def clusters(starts: Sequence[int], together: int = TOGETHER) -> Iterator[tuple[int, int]]:
    """Yield the spans of neighbouring blocks, as the starts of the first and the last block."""
    first = starts[0]
    for start, following in pairwise([*starts, starts[-1] + together * HALF_HOUR]):
        if following - start > APART * HALF_HOUR or following - first >= together * HALF_HOUR:
            yield first, start
            first = following


def _groups(spans: Iterable[tuple[int, int]], together: int) -> Iterator[list[tuple[int, int]]]:
    """Yield neighbouring spans in groups: at most MOST_SPANS of them, and `together` blocks in all."""
    group, blocks = list[tuple[int, int]](), 0
    for first, last in spans:
        own = (last - first) // HALF_HOUR + 1
        if group and (len(group) == MOST_SPANS or blocks + own > together):
            yield group
            group, blocks = [], 0
        group.append((first, last))
        blocks += own
    if group:
        yield group


def _propagate_evidence(store: Store, device: Device, first: int, last: int, following: deque[tuple[int, int]]) -> int:
    """Update days after a change of the blocks from `first` to `last`, and of the following ones that it reaches.

    Return the number of half hours that were computed.
    """
    affected = RecomputeWindow(store, device, first, last)
    while following and affected.changed and following[0][0] < (end := affected.hours(affected.changed).end):
        while following and following[0][0] < end:
            _, last = following.popleft()
        affected = RecomputeWindow(store, device, first, last)
    return _replace(store, device, affected, affected.changed, is_whole=False) if affected.changed else 0


def recompute(store: Store, device: Device, span: Window) -> None:
    """Recompute the hours of a span, and the hours that depend on its evidence."""
    affected = RecomputeWindow(store, device, periods.block_start(span.start), periods.block_start(span.end))
    _replace(store, device, affected, span)


def rewrite(
    store: Store,
    device: Device,
    blocks: Window,
    change: Callable[[], object],
    note: Callable[[Window], object] = lambda _: None,
) -> None:
    """Change the evidence of half hours, and recompute the hours that it told of, or tells of now.

    `change` writes or deletes evidence that begins in `blocks`. `note` gets the hours before, for who has to repeat
    this after a stop.
    """
    with store.transaction():
        hours = RecomputeWindow(store, device, blocks.start, blocks.end - HALF_HOUR).hours(blocks)
        note(hours)
        change()
        store.step(partial(recompute, store, device, hours))


def _replace(store: Store, device: Device, affected: RecomputeWindow, least: Window, *, is_whole: bool = True) -> int:
    """Replace the half hours of a window, or of its days those alone that have changed; return how many it has."""
    hours = first = affected.hours(least)
    half_hours = StoredHalfHours(store, device, hours)
    for _ in range(WIDENINGS if half_hours.may_have_gaps else 0):
        whole = affected.with_gaps(*whole_gaps(store, device.device_id, hours))
        if whole == hours:
            break
        hours = affected.hours(whole)
    if hours != first:
        half_hours = StoredHalfHours(store, device, hours)
    found = computed(store, device, half_hours, Evidence(affected.readings, affected.intervals))
    put_records(store, device.device_id, (), found.first)
    log_backfill(store, device, found.halves, int(time.time()))
    for day, group in groupby(found.halves, key=attrgetter("day")):
        halves = {half.slot.name: half.part for half in group}
        if is_whole or not half_hours.are_stored(day, halves):
            _merge_priced(store, device, day, device.timezone, halves)
    put_records(store, device.device_id, [*found.stored, *found.first], found.records)
    return len(found.halves)


def computed_half_hours(store: Store, device: Device, span: Window, evidence: Evidence) -> list[ComputedHalfHour]:
    """Return the half hours in a span of whole local hours, in order."""
    return computed(store, device, StoredHalfHours(store, device, span), evidence).halves


def reprice(store: Store, device: Device, day: str) -> bool:
    """Recompute the prices of a day document from its half hours and the device's tariff; return whether it changed."""
    stored = store.document("day", device.device_id, day)
    if stored is None:
        return False
    halves = {name: part for name, part in stored.parts.items() if name[0] == "s"}
    return _merge_priced(store, device, day, stored.timezone, halves)


def _merge_priced(store: Store, device: Device, day: str, zone: str, halves: Mapping[str, Part]) -> bool:
    """Set half hours, their hours and their costs in a day document; return whether it changed."""
    parts = priced(store, device, day, zone, whole_day(store, device, day, zone, halves))
    replaced = {name: None if part.is_empty else part for name, part in parts.items()}
    return store.merge_parts("day", device.device_id, day, zone, replaced, currency_of(device))


# Homes change hands


def move(store: Store, device: Device, household: str, first: str) -> None:
    """Give a device and its second meters to another household from a local day on.

    Raises ConfigurationError as `occupancies.moved` does.
    """
    search.check_labels(moved(device, household, first))
    # The second meters come first, since they have their home from the last.
    _change_hands(store, (*_second_meters(store, device), device), lambda one: moved(one, household, first), first)


def take_back(store: Store, device: Device, first: str) -> bool:
    """Take back the move of a device and its second meters on a local day; return whether there was one.

    The same again completes one that stopped. Raises ConfigurationError as `occupancies.returned` does.
    """
    found = [one for one in (device, *_second_meters(store, device)) if returned(one, first) != one]
    _change_hands(store, found, lambda one: returned(one, first), first)
    return bool(found)


def _second_meters(store: Store, device: Device) -> list[Device]:
    return [one for suffix in SECOND_METERS if (one := store.device(f"{device.device_id}{suffix}"))]


def _change_hands(store: Store, meters: Iterable[Device], change: Callable[[Device], Device], first: str) -> None:
    """Store the meters of a home after a change of who lives there since a day; mark what to price and carry again."""
    with store.transaction():
        for before in meters:
            after = change(before)
            store.put_device(after)
            days = [day for day in store.periods("day", after.device_id) if day >= first]
            store.mark(PRICES, after.device_id, days)
            mark_above(store, after)
            ends = {one.last for each in (before, after) for one in occupancies(each)} - {LAST_DAY}
            store.step(partial(_carry_shared, store, after, sorted(ends)))


def _carry_shared(store: Store, device: Device, ends: Iterable[str]) -> None:
    """Write the shares of the periods in which an occupancy has ended, or had: a household sees no other one's day."""
    for level, row in periods.LEVELS.items():
        for below in dict.fromkeys(periods.containing(row.child, "day", end) for end in ends) if row.child else ():
            carry(store, device, level, below)
