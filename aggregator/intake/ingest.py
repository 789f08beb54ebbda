"""Ingest readings, intervals and messages of any format into the store, in one durable step.

**Readings** go into their half-hour blocks, the live state and the registry. JSON Lines are ingested in chunks: a
chunk's readings are coalesced, so each block is written once per chunk. Refusals are counted by reason, recorded
(`refusals`) and passed to the caller. A line that is no reading may be an interval (`core.readings`) or a status
(`core.status`). Intervals do not change the live state.

**Messages** (`Received`) come from MQTT and HTTP with readings, statuses and refusals. Larger batches need fewer
writes, since the readings of a half hour are written at once.

Errors: StoreAway and StoreUnusable.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from aggregator.core import status
from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import live_state, newest_known
from aggregator.core.readings import Interval, Reading, is_interval, parse_interval, parse_line
from aggregator.core.registers import POSITIONS
from aggregator.core.status import Status
from aggregator.intake import device_status, refusals
from aggregator.intake.chunk import Chunk, Grouped, in_order
from aggregator.intake.formats.message import Content, DeviceRules, Unread, decoded
from aggregator.store import new_entry
from aggregator.store.occupancies import ERASED, without_erased
from aggregator.store.port import Store, Written

Refuse = Callable[[int, Refused], None]  # line number, reason
TOGETHER, A_BLOCK = 2000, 20  # rows of a transaction: nobody waits long for the lock; rows that packing costs


class Stored(NamedTuple):
    """Counts of stored evidence, and the device of each item that was refused since its time was erased."""

    written: Written
    erased: list[str]


@dataclass(slots=True)
class Outcome:
    """Counts of the readings and intervals so far."""

    accepted: int = 0
    unchanged: int = 0
    statuses: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """Return the number of refused readings."""
        return self.reasons.total()

    def add(self, other: "Outcome") -> None:
        """Add the counts of another outcome."""
        self.accepted += other.accepted
        self.unchanged += other.unchanged
        self.statuses += other.statuses
        self.reasons.update(other.reasons)

    def as_json(self) -> dict[str, object]:
        """Return the outcome as `wattfall ingest` prints it."""
        return {
            "accepted": self.accepted,
            "unchanged": self.unchanged,
            **({"statuses": self.statuses} if self.statuses else {}),
            "rejected": self.rejected,
            "reasons": dict(sorted(self.reasons.items())),
        }


def ingest(store: Store, readings: Iterable[Reading], now: int, default_zone: str) -> Written:
    """Store readings; durable on return. A new device registers itself in `default_zone`."""
    chunk, batch = Chunk(store, now), refusals.Batch()
    for reading in readings:
        try:
            chunk.add(reading)
        except Refused as why:
            batch.add(refusals.evidence_json(reading), why, now, reading.device_id)
    written, erased = _write(store, chunk, now, default_zone)
    for device_id in erased:
        batch.add(b"", ERASED, now, device_id)
    refusals.put_refusals(store, batch, now)
    return written


def ingest_lines(
    store: Store,
    lines: Sequence[bytes],
    first_number: int,
    now: int,
    default_zone: str,
    outcome: Outcome,
    refuse: Refuse,
) -> None:
    """Ingest one chunk of JSON Lines, counting into `outcome`; blank lines are skipped."""
    chunk, others, batch = Chunk(store, now), Content(), refusals.Batch()
    for number, line in enumerate(lines, first_number):
        try:
            reading = parse_line(line, now)
            chunk.check_kept(reading)
            chunk.add(reading)
        except Refused as no_reading:
            if line.strip():
                try:
                    _add_other(others, line, no_reading, now, chunk)
                except Refused as refused:
                    outcome.reasons[refused.reason] += 1
                    batch.add(line, refused, now)
                    refuse(number, refused)
    written, _ = _write(store, chunk, now, default_zone)
    stated, _ = ingest_intervals(store, others.intervals, now, default_zone)
    store_statuses(store, others.statuses, now, default_zone)
    refusals.put_refusals(store, batch, now)
    outcome.statuses += len(others.statuses)
    outcome.accepted += written.accepted + stated.accepted
    outcome.unchanged += written.unchanged + stated.unchanged


def _add_other(content: Content, line: bytes, refused: Refused, now: int, chunk: Chunk) -> None:
    """Parse a line that is not a reading as an interval or a status. Raises Refused."""
    message = decoded(line) if refused.reason in ("bad_time", "no_values") else None
    if is_interval(message):
        interval = parse_interval(message, now)
        chunk.check_kept(interval)
        content.intervals.append(interval)
    elif refused.reason == "no_values" and status.is_status(message):
        known = status.parse_status(message, now)
        chunk.check_kept(known)
        content.statuses.append(known)
    else:
        raise refused


def ingest_intervals(store: Store, intervals: Collection[Interval], now: int, default_zone: str) -> Stored:
    """Store intervals; durable on return. A new device registers itself in `default_zone`."""
    if not intervals:
        return Stored(Written(0, 0), [])
    longest: dict[str, int] = defaultdict(int)
    for one in intervals:
        longest[one.device_id] = max(longest[one.device_id], one.end - one.start)
    with store.transaction():
        devices = {
            device_id: registered(store, device_id, default_zone, longest_interval_s=seconds)
            for device_id, seconds in sorted(longest.items())
        }
        kept, erased = without_erased(intervals, devices)
        return Stored(store.write_intervals(kept, now), erased)


def store_statuses(store: Store, statuses: Iterable[Status], now: int, default_zone: str) -> list[str]:
    """Store statuses. A new device registers itself in `default_zone`. Return the devices of those of erased times."""
    own = list(statuses)
    devices = {device_id: registered(store, device_id, default_zone) for device_id in sorted({one[0] for one in own})}
    kept, erased = without_erased(own, devices)
    device_status.put_statuses(store, kept, now)
    return erased


def _write(store: Store, chunk: Chunk, now: int, default_zone: str) -> Stored:
    """Write a chunk in short transactions; a device's registry entry and live state with its first half hours."""
    (accepted, unchanged), keys, erased = chunk.counted(store), sorted(chunk.blocks), list[str]()
    owned = {device_id: [chunk.blocks[key] for key in own] for device_id, own in groupby(keys, key=itemgetter(0))}
    for some in _portions(keys, chunk.blocks):
        new = [in_order(own) for device_id, _ in some if (own := owned.pop(device_id, None))]
        with store.transaction():
            devices = [_register(store, own, default_zone) for own in new]
            gone = {one for device in devices for one in chunk.drop_erased(device)}
            erased += [one.device_id for one in gone]
            kept = [[one for one in own if one not in gone] if gone else own for own in new]
            entries = [one for one in zip(kept, devices, strict=True) if one[0]]
            lives = [live_state(*one, now) for one in entries if not chunk.is_derived(store, one[0])]
            written = store.write_readings({key: block for key in some if (block := chunk.blocks[key])}, now)
            store.put_live(lives)
        accepted, unchanged = accepted + written.accepted, unchanged + written.unchanged
    return Stored(Written(accepted, unchanged), erased)


def _portions(keys: Sequence[tuple[str, int]], blocks: Grouped) -> Iterator[list[tuple[str, int]]]:
    """Yield the half hours of one transaction after another: TOGETHER rows; a block costs A_BLOCK rows at most."""
    portion, rows = list[tuple[str, int]](), 0
    for key in keys:
        if rows >= TOGETHER:
            yield portion
            portion, rows = [], 0
        portion.append(key)
        rows += min(len(blocks[key]), A_BLOCK)
    if portion:
        yield portion


def _register(store: Store, readings: Sequence[Reading], default_zone: str) -> Device:
    """Register a device and its registers."""
    reported = [channel for channel, position in POSITIONS if newest_known(readings, position)]
    return registered(store, readings[0].device_id, default_zone, reported)


def registered(
    store: Store,
    device_id: str,
    default_zone: str,
    reported: Collection[str] = (),
    longest_interval_s: int = 0,
) -> Device:
    """Return the device's registry entry; create it, or add newly `reported` registers and a longer interval."""
    stored = store.device(device_id)
    device = stored or new_entry(store, device_id, default_zone)
    if any(channel not in device.registers for channel in reported):
        device = replace(device, registers=tuple(sorted({*device.registers, *reported})))
    if longest_interval_s > device.longest_interval_s:
        device = replace(device, longest_interval_s=longest_interval_s)
    if device is not stored:
        store.put_device(device)
    return device


# Messages


def rules_in(store: Store, default_zone: str) -> Callable[[str], DeviceRules]:
    """Return a function from a device id to the rules by which its messages are read."""

    def rules_of(device_id: str) -> DeviceRules:
        device = store.device(device_id) or Device(device_id, default_zone)
        return DeviceRules(device.timezone, device.netting, device.stamp_on_arrival, device.is_total_import)

    return rules_of


class Received(NamedTuple):
    """The content of a message, and its sending device (empty where unknown)."""

    device_id: str
    content: Content
    is_history: bool = False  # a block of an edge, which may be of any age


def take_in(store: Store, messages: Sequence[Received], now: int, default_zone: str) -> Outcome:
    """Store messages and their refusals; durable on return. Repeated messages change only the counts of refusals."""
    outcome = store_content(store, messages, now, default_zone)
    outcome.reasons.update(store_refusals(store, messages, now))
    return outcome


def store_content(store: Store, messages: Sequence[Received], now: int, default_zone: str) -> Outcome:
    """Store messages without their refusals; readings that contradict their neighbours join the refused items."""
    contents, outcome = [message.content for message in messages], Outcome()
    chunk, aside = Chunk(store, now), list[tuple[Content, Unread]]()
    for _, content, is_history in messages:
        for number, reading in enumerate(content.readings):
            try:
                chunk.add(reading, is_sent=not is_history)
            except Refused as why:
                aside.append((content, Unread(why, refusals.evidence_json(reading), number)))
    written, erased = _write(store, chunk, now, default_zone)
    intervals = [interval for one in contents for interval in one.intervals]
    stated, erased_intervals = ingest_intervals(store, intervals, now, default_zone)
    statuses = [status for one in contents for status in one.statuses]
    erased_statuses = store_statuses(store, statuses, now, default_zone)
    aside += _erased(contents, [*erased, *erased_intervals, *erased_statuses])
    outcome.accepted = written.accepted + stated.accepted
    outcome.unchanged = written.unchanged + stated.unchanged
    outcome.statuses = len(statuses)
    for content, unread in aside:
        content.refused.append(unread)
    return outcome


def _erased(contents: Sequence[Content], device_ids: Collection[str]) -> Iterator[tuple[Content, Unread]]:
    """Yield a refusal for each item of an erased time, with a message of its device."""
    for device_id in device_ids:
        yield next(one for one in contents if device_id in _devices(one)), Unread(ERASED, b"")


def _devices(content: Content) -> set[str]:
    return {one[0] for some in (content.readings, content.intervals, content.statuses) for one in some}


def store_refusals(store: Store, messages: Sequence[Received], now: int) -> Counter[str]:
    """Record the refusals of messages; return counts by reason."""
    reasons, batch = Counter[str](), refusals.Batch()
    for device_id, content, _ in messages:
        for unread in content.refused:
            reasons[unread.why.reason] += 1
            batch.add(unread.payload, unread.why, now, device_id)
    refusals.put_refusals(store, batch, now)
    return reasons


def show_live(store: Store, content: Content, now: int, default_zone: str) -> Outcome:
    """Update the live state and the statuses only; the half hour's block repeats the readings. Store intervals."""
    stated, erased = ingest_intervals(store, content.intervals, now, default_zone)
    erased += store_statuses(store, content.statuses, now, default_zone)
    chunk = Chunk(store, now)
    for reading in content.readings:
        chunk.merge(reading)
    keys = sorted(chunk.blocks)
    with store.transaction():
        owned = [in_order(chunk.blocks[key] for key in own) for _, own in groupby(keys, key=itemgetter(0))]
        lives, accepted = [], len(content.readings)
        for own in owned:
            device = _register(store, own, default_zone)
            kept, gone = without_erased(own, {device.device_id: device})
            erased += gone
            accepted -= len(gone)
            lives += [live_state(kept, device, now)] if kept else []
        store.put_live(lives)
    content.refused += [unread for _, unread in _erased([content], erased)]
    return Outcome(accepted + stated.accepted, stated.unchanged, len(content.statuses))
