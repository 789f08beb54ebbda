"""The edge: store a home's readings on site, send each half hour once as one block, and report the traffic.

Intervals are stored likewise; those that start in a half hour are sent with it, as JSON.

Readings go into an embedded store, durable at every commit. Its change feed is the send queue: a sent block is settled,
and a late reading makes its block dirty again, so a power cut loses nothing. A block is sent after its half hour plus a
per-device jitter, so that a fleet does not send in the same second. A backlog of weeks goes in order, PACE_S apart. It
has no limit but the disk, and nothing is deleted unsent: a year of readings every 10 s takes about 5 MB.
Between blocks the edge sends the newest reading alone every WATCHED_S, while a viewer is live. A server's answers say
so; with nothing else to send, the edge asks every ASK_S with an empty message. A broker does not say it.

The daily traffic report compares bytes and writes with one message per reading. Errors: StoreAway and StoreUnusable
from the embedded store; failures of the server are retried.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import orjson

from aggregator.core.errors import Damaged
from aggregator.core.periods import HALF_HOUR, HOUR, day_of, iso_utc
from aggregator.core.readings import Interval, Reading, sender_of
from aggregator.core.status import Status
from aggregator.intake.edge.ingest_client import JSON, IngestClient, SendResult, Sent, ServerAnswer
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Unread
from aggregator.intake.ingest import Outcome, Received, take_in
from aggregator.store.port import READINGS, Change, Store

JITTER_S = 300  # range of the per-device delay
PACE_S = 1.0  # between blocks
LOOK_S = 5.0  # between checks while no block is due
EARLY_S, REFUSED_S = HOUR, 24 * HOUR  # before a block that the server did not accept is retried
WATCHED_S = 10
ASK_S = 900
KEPT_S = 48 * HOUR  # sent readings stay so long, so that a late reading finds its half hour
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0  # between retries while sending fails
REPORTED = 20  # newest refused messages in one report
_MOST_BLOCKS = 5000  # dirty blocks examined at once; a hundred days
_LONGEST_REPORT = 512  # payload bytes of a reported refusal
log = logging.getLogger("wattfall.edge")


@dataclass(slots=True)
class Counts:
    """Counts of sent messages since the last report."""

    readings: int = 0
    blocks: int = 0
    lives: int = 0


@dataclass(slots=True)
class Edge:
    """One home's edge. `live_s` is the step of live readings without a live viewer, in seconds; 0: none."""

    store: Store
    client: IngestClient
    live_s: int
    clock: Callable[[], float] = time.time
    pace: Callable[[], float] = time.monotonic  # a monotonic clock for intervals
    counts: Counts = field(default_factory=Counts)
    _pause_s: float = 0.0
    _quiet_until: float = 0.0  # by `pace`, as are the others
    _next_block: float = 0.0
    _next_live: float = 0.0
    _next_sweep: float = 0.0
    _not_before: dict[tuple[str, str], float] = field(default_factory=dict)  # half hours to retry later
    _newest: dict[str, Reading] = field(default_factory=dict)  # unsent live readings by device
    _shown: dict[str, int] = field(default_factory=dict)  # instants of the newest live readings, sent or not
    _statuses: dict[str, Status] = field(default_factory=dict)  # by device
    _refused: deque[Unread] = field(default_factory=lambda: deque(maxlen=REPORTED))
    _is_watched: bool = False

    def accept(self, messages: Sequence[Received]) -> Outcome:
        """Store messages; durable on return. Readings and intervals of other devices than the token's are dropped."""
        own = [self._own(message) for message in messages]
        outcome = take_in(self.store, own, int(self.clock()), "UTC")
        self.counts.readings += outcome.accepted
        for _, content, _ in own:
            for reading in content.readings:
                if reading.at > self._shown.get(reading.device_id, 0):
                    self._shown[reading.device_id] = reading.at
                    self._newest[reading.device_id] = reading
            self._statuses.update({status.device_id: status for status in content.statuses})
            self._refused.extend(content.refused)
        return outcome

    def send(self) -> None:
        """Send everything due: the newest readings, and at most one block."""
        now = self.pace()
        if now < self._quiet_until:
            return
        is_asking = bool(self._newest) and self.client.tells_viewers
        if now >= self._next_live and (self._live_readings or self._statuses or self._refused or is_asking):
            self._send_live(now)
        if now >= self._next_block and now >= self._quiet_until:
            self._send_block(now)
        if now >= self._next_sweep:
            self._next_sweep = now + HOUR
            self._sweep(int(self.clock()))

    @property
    def waiting(self) -> int:
        """The number of unsent blocks, the current half hour included."""
        return self.store.backlog().waiting

    @property
    def is_idle(self) -> bool:
        """Whether no half hour is due."""
        return self._due(self.pace()) is None

    def _due(self, now: float) -> Change | None:
        """Return the first finished half hour that is not waiting for a retry."""
        at = self.clock()
        return next(
            (
                change
                for change in self.store.changes(READINGS, _MOST_BLOCKS)
                if at >= due(change) and now >= self._not_before.get((change.device_id, change.key), 0.0)
            ),
            None,
        )

    def _own(self, message: Received) -> Received:
        owner, content = self.client.device_id, message.content
        named = {one.device_id for one in content.readings} | {one.device_id for one in content.intervals}
        strangers = {device_id for device_id in named if sender_of(device_id) != owner}
        if not strangers:
            return message
        log.warning("%s is not the token's device %s; its readings are not sent", ", ".join(sorted(strangers)), owner)
        content.readings = [one for one in content.readings if one.device_id not in strangers]
        content.intervals = [one for one in content.intervals if one.device_id not in strangers]
        return message

    @property
    def _live_readings(self) -> list[Reading]:
        """The newest readings that go alone."""
        return [*self._newest.values()] if self.live_s or self._is_watched else []

    def _send_live(self, now: float) -> None:
        """Send the newest readings, the statuses and the refusals."""
        lives = self._live_readings
        items = [
            *map(reading_item, lives),
            *(status_item(status) for status in self._statuses.values()),
            *(canonical.report(one.why, one.payload[:_LONGEST_REPORT]) for one in self._refused),
        ]
        answer = self.client.send(orjson.dumps(items), JSON, is_live=True)
        self.counts.lives += bool(lives)
        self._heed(answer, now)
        if answer.result in (SendResult.KEPT, SendResult.REFUSED, SendResult.EARLY):
            self._is_watched = answer.is_watched
            for sent in (self._newest, self._statuses, self._refused):
                sent.clear()
        step = self.live_s or (ASK_S if self.client.tells_viewers else HALF_HOUR)
        self._next_live = now + (min(WATCHED_S, step) if self._is_watched else step)

    def _send_block(self, now: float) -> None:
        change = self._due(now)
        self._next_block = now + (PACE_S if change else LOOK_S)
        if change is None:
            return
        start = int(change.key)
        try:
            readings = self.store.readings(change.device_id, start, start)
            intervals = self.store.intervals(change.device_id, start, start)
        except Damaged as error:
            self._leave(change, str(error), now + REFUSED_S)
            return
        answer = ServerAnswer(SendResult.KEPT)
        if readings:
            answer = self.client.send(canonical.encode_block(readings), canonical.BLOCK)
        if intervals and answer.result is SendResult.KEPT:
            answer = self.client.send(orjson.dumps([_interval_item(one) for one in intervals]), JSON)
        self._heed(answer, now)
        if answer.result is SendResult.KEPT:
            self.counts.blocks += 1
            self._is_watched = answer.is_watched
            self._next_live = min(self._next_live, now + WATCHED_S) if answer.is_watched else self._next_live
            self._not_before.pop((change.device_id, change.key), None)
            self._settle(change, readings, intervals)
        elif answer.result in (SendResult.REFUSED, SendResult.EARLY):
            self._leave(change, answer.why, now + (EARLY_S if answer.result is SendResult.EARLY else REFUSED_S))

    def _settle(self, change: Change, readings: list[Reading], intervals: list[Interval]) -> None:
        """Settle a half hour that was sent, unless more of it has come in meanwhile."""
        device_id, start = change.device_id, int(change.key)
        with self.store.transaction():
            is_sent = self.store.readings(device_id, start, start) == readings
            if is_sent and self.store.intervals(device_id, start, start) == intervals:
                self.store.settle([change])

    def _leave(self, change: Change, why: str, until: float) -> None:
        """Postpone a half hour that the server did not accept, so that others go; it stays stored for a retry."""
        log.error(
            "the server did not accept the half hour of %s from %s: %s", change.device_id, iso_utc(int(change.key)), why
        )
        self._not_before[change.device_id, change.key] = until

    def _heed(self, answer: ServerAnswer, now: float) -> None:
        """After a failure, pause all sending for a growing, per-device time."""
        if answer.result in (SendResult.KEPT, SendResult.REFUSED, SendResult.EARLY):
            self._pause_s = 0.0
            return
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        pause = max(self._pause_s, answer.wait_s) * (1 + _share(self.client.device_id, now))
        self._quiet_until = now + pause
        log.warning("%s; trying again in %.0f s, all readings are stored", answer.why, pause)

    def _sweep(self, now: int) -> None:
        for device in self.store.devices():
            self.store.expire_readings(device.device_id, now - KEPT_S, now - KEPT_S)
        self.store.expire_records(now)


def due(change: Change) -> int:
    """Return the time to send a block (UTC seconds): after its half hour, plus the device's jitter."""
    return int(change.key) + HALF_HOUR + int(JITTER_S * _share(change.device_id, 0))


def _share(device_id: str, salt: float) -> float:
    """Return a pseudo-random number from 0 to 1 that depends only on the arguments."""
    return crc32(f"{device_id}/{salt:.0f}".encode()) / 2**32


def reading_item(reading: Reading) -> dict[str, object]:
    """Return a reading as JSON has it."""
    return _known(reading._asdict()) | {"at": iso_utc(reading.at)}


def _interval_item(interval: Interval) -> dict[str, object]:
    return _known(interval._asdict()) | {"start": iso_utc(interval.start), "end": iso_utc(interval.end)}


def status_item(status: Status) -> dict[str, object]:
    """Return a status as JSON has it."""
    known = _known(status._asdict())
    counters: dict[str, object] = _known(status.counters._asdict()) if status.counters else {}
    own = {f"meter_{name}": wh for name, wh in counters.items() if name != "at"}
    return {name: value for name, value in known.items() if name != "counters"} | own | {"at": iso_utc(status.at)}


def _known(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


# Traffic report

ALONE = 780  # approximate bytes of a reading sent by itself, counted like `ingest_client.size_of`
WRITES_A_READING = 2  # half hour and live state
WRITES_A_BLOCK = 2


@dataclass(slots=True)
class TrafficReport:
    """Log a report for each UTC day, and at the end for the rest."""

    edge: Edge
    sent: Sent
    _day: str = ""
    _before: Sent = field(default_factory=Sent)

    def roll_over(self, now: float) -> None:
        """Log the report of a finished day."""
        day = day_of(int(now), "UTC")
        if day != self._day:
            if self._day:
                log.info("%s", self.finish_report(now))
            self._day = day

    def finish_report(self, now: float) -> str:
        """Return the report since the last one, and start the next."""
        counts, self.edge.counts = self.edge.counts, Counts()
        size, messages = self.sent.size - self._before.size, self.sent.messages - self._before.messages
        self._before = Sent(self.sent.messages, self.sent.size)
        return sentence(self._day or day_of(int(now), "UTC"), counts, messages, size, self.edge.waiting)


def sentence(day: str, counts: Counts, messages: int, size: int, waiting: int) -> str:
    """Compare bytes on the wire and writes of the store with one message per reading."""
    writes = counts.blocks * WRITES_A_BLOCK + counts.lives
    return (
        f"{day}: {counts.readings:,} readings kept; sent {counts.blocks:,} half hours and {counts.lives:,} times the"
        f" newest reading in {messages:,} messages, {size:,} bytes, {writes:,} writes; {waiting:,} half hours wait."
        f" One message per reading would be {counts.readings:,} messages, {counts.readings * ALONE:,} bytes,"
        f" {counts.readings * WRITES_A_READING:,} writes"
    )
