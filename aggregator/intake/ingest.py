"""Ingest readings, intervals and messages of any format into the store, in one durable step.

**Readings** go into their half-hour blocks, the live state and the registry. JSON Lines are ingested in chunks: a
chunk's readings are coalesced, so each block is written once per chunk. Refusals are counted by reason, recorded
(`refusals`) and passed to the caller. A line that is no reading may be an interval (`core.intervals`) or a status
(`core.status`). Intervals do not change the live state.

**Messages** (`Received`) come from MQTT and HTTP with readings, statuses and refusals. Larger batches need fewer
writes, since the readings of a half hour are written at once.

**Lines** of a file or a pipe come in chunks of bounded memory. Errors: StoreAway and StoreUnusable.
"""

import io
import os
import select
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, NamedTuple

from aggregator.core import status
from aggregator.core.documents import Device, Live
from aggregator.core.energy import is_plausible
from aggregator.core.errors import Refused
from aggregator.core.intervals import Interval, is_interval, parse_interval
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import GAS, MAX_LINE, Reading, parse_line, sender_of
from aggregator.core.registers import CHANNELS
from aggregator.core.status import Status
from aggregator.intake import device_status, refusals
from aggregator.intake.formats.message import Content, DeviceRules, decoded
from aggregator.store.port import Store, Written

GAS_POWER_W = 10_000_000  # limit for gas: its register rises once per half hour, by the whole half hour's energy
Refuse = Callable[[int, Refused], None]  # line number, reason
_Grouped = dict[tuple[str, int], dict[int, Reading]]


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
    blocks: _Grouped = defaultdict(dict)
    before = [_add(blocks, reading) for reading in readings]
    written = _write(store, blocks, now, default_zone)
    return Written(written.accepted + before.count(_REPLACED), written.unchanged + before.count(_REPEATED))


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
    blocks: _Grouped = defaultdict(dict)
    before, others, batch = [0, 0, 0], Content(), refusals.Batch()
    for number, line in enumerate(lines, first_number):
        try:
            reading = parse_line(line, now)
        except Refused as no_reading:
            if line.strip():
                try:
                    _add_other(others, line, no_reading, now)
                except Refused as refused:
                    outcome.reasons[refused.reason] += 1
                    batch.add(line, refused, now)
                    refuse(number, refused)
            continue
        before[_add(blocks, reading)] += 1
    written = _write(store, blocks, now, default_zone)
    stated = ingest_intervals(store, others.intervals, now, default_zone)
    store_statuses(store, others.statuses, now, default_zone)
    refusals.put_refusals(store, batch, now)
    outcome.statuses += len(others.statuses)
    outcome.accepted += written.accepted + stated.accepted + before[_REPLACED]
    outcome.unchanged += written.unchanged + stated.unchanged + before[_REPEATED]


def _add_other(content: Content, line: bytes, refused: Refused, now: int) -> None:
    """Parse a line that is not a reading as an interval or a status. Raises Refused."""
    message = decoded(line) if refused.reason in ("bad_time", "no_values") else None
    if is_interval(message):
        content.intervals.append(parse_interval(message, now))
    elif refused.reason == "no_values" and status.is_status(message):
        content.statuses.append(status.parse_status(message, now))
    else:
        raise refused


def ingest_intervals(store: Store, intervals: Collection[Interval], now: int, default_zone: str) -> Written:
    """Store intervals; durable on return. A new device registers itself in `default_zone`."""
    if not intervals:
        return Written(0, 0)
    with store.transaction():
        for device_id in sorted({one.device_id for one in intervals}):
            registered(store, device_id, default_zone)
        return store.write_intervals(intervals, now)


def store_statuses(store: Store, statuses: Iterable[Status], now: int, default_zone: str) -> None:
    """Store statuses. A new device registers itself in `default_zone`."""
    own = list(statuses)
    for device_id in sorted({one.device_id for one in own}):
        registered(store, device_id, default_zone)
    device_status.put_statuses(store, own, now)


_NEW, _REPEATED, _REPLACED = range(3)


def _add(blocks: _Grouped, reading: Reading) -> int:
    """Put a reading in its block; return its result: new, repeated, or another of the same instant."""
    at = reading.at
    block = blocks[reading.device_id, at - at % HALF_HOUR]
    met = block.get(at)
    if met == reading:
        return _REPEATED
    block[at] = reading
    return _NEW if met is None else _REPLACED


def _write(store: Store, blocks: _Grouped, now: int, default_zone: str) -> Written:
    if not blocks:
        return Written(0, 0)
    newest: dict[str, Reading] = {}
    reported: dict[str, set[str]] = defaultdict(set)
    for (device_id, _), block in sorted(blocks.items()):
        newest[device_id] = block[max(block)]
        for channel, position in _POSITIONS:
            if channel not in reported[device_id] and any(reading[position] is not None for reading in block.values()):
                reported[device_id].add(channel)
    with store.transaction():
        devices = [registered(store, device_id, default_zone, reported[device_id]) for device_id in newest]
        written = store.write_readings(blocks, now)
        store.put_live([live_state(newest[device.device_id], device, now) for device in devices])
    return written


_POSITIONS = [(channel, Reading._fields.index(channel)) for channel in CHANNELS]


def registered(
    store: Store, device_id: str, default_zone: str, reported: frozenset[str] | set[str] = frozenset()
) -> Device:
    """Return the device's registry entry; create it, or add newly `reported` registers."""
    stored = store.device(device_id)
    device = stored or _new_device(store, device_id, default_zone)
    if not reported <= set(device.registers):
        device = replace(device, registers=tuple(sorted({*device.registers, *reported})))
    if device != stored:
        store.put_device(device)
    return device


def _new_device(store: Store, device_id: str, default_zone: str) -> Device:
    """Create a new device; a second meter has the zone of its sender."""
    device = Device(device_id, default_zone)
    sender = store.device(sender_of(device_id)) if device.is_second_meter else None
    if sender:
        device = replace(device, timezone=sender.timezone)
    return replace(device, max_power_w=GAS_POWER_W, kind="gas") if device_id.endswith(GAS) else device


def live_state(reading: Reading, device: Device, now: int) -> Live:
    """Return the live state of a reading received at `now` (UTC seconds)."""
    power = reading.power_w if is_plausible(reading.power_w, device.max_power_w) else None
    return Live(reading.device_id, reading.at, now, power, reading.import_wh, reading.export_wh, reading.meter_id)


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


def take_in(store: Store, messages: Sequence[Received], now: int, default_zone: str) -> Outcome:
    """Store messages; durable on return. Repeated messages change only the counts of refusals."""
    contents = [message.content for message in messages]
    outcome = Outcome()
    written = ingest(store, [reading for one in contents for reading in one.readings], now, default_zone)
    stated = ingest_intervals(store, [interval for one in contents for interval in one.intervals], now, default_zone)
    statuses = [status for one in contents for status in one.statuses]
    store_statuses(store, statuses, now, default_zone)
    outcome.accepted = written.accepted + stated.accepted
    outcome.unchanged = written.unchanged + stated.unchanged
    outcome.statuses = len(statuses)
    outcome.reasons.update(store_refusals(store, messages, now))
    return outcome


def store_refusals(store: Store, messages: Sequence[Received], now: int) -> Counter[str]:
    """Record the refusals of messages; return counts by reason."""
    reasons, batch = Counter[str](), refusals.Batch()
    for device_id, content in messages:
        for unread in content.refused:
            reasons[unread.why.reason] += 1
            batch.add(unread.payload, unread.why, now, device_id)
    refusals.put_refusals(store, batch, now)
    return reasons


def show_live(store: Store, content: Content, now: int, default_zone: str) -> Outcome:
    """Update the live state and the statuses only; the half hour's block repeats the readings. Store intervals."""
    stated = ingest_intervals(store, content.intervals, now, default_zone)
    store_statuses(store, content.statuses, now, default_zone)
    newest = {reading.device_id: reading for reading in sorted(content.readings, key=lambda reading: reading.at)}
    with store.transaction():
        devices = [registered(store, device_id, default_zone) for device_id in newest]
        store.put_live([live_state(newest[device.device_id], device, now) for device in devices])
    return Outcome(len(content.readings) + stated.accepted, stated.unchanged, len(content.statuses))


# Lines
CHUNK = 8 << 20  # bytes; about 55,000 readings
IDLE_S = 0.2  # a pipe idle for this time yields its lines
_BOM = b"\xef\xbb\xbf"


def chunks(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the lines of a binary stream in chunks, without line ends; a line is cut after MAX_LINE."""
    rest, is_first = b"", True
    for data in _pieces(stream):
        lines = (rest + data.removeprefix(_BOM) if is_first else rest + data).split(b"\n")
        is_first = False
        rest = lines.pop()[: MAX_LINE + 1]
        yield lines
    if rest:
        yield [rest]


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    descriptor = _pipe(stream)
    while data := stream.read(CHUNK) if descriptor is None else _available(descriptor):
        yield data


def _pipe(stream: BinaryIO) -> int | None:
    """Return the descriptor of a stream that may block; None for a file."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:
        return None
    return None if stat.S_ISREG(os.fstat(descriptor).st_mode) else descriptor


def _available(descriptor: int) -> bytes:
    """Return the bytes in a pipe, up to CHUNK; wait for the first byte, and IDLE_S for more."""
    data = os.read(descriptor, CHUNK)
    pieces, size = [data], len(data)
    while data and size < CHUNK and select.select([descriptor], [], [], IDLE_S)[0]:
        data = os.read(descriptor, CHUNK)
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)
