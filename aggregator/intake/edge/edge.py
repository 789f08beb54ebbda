"""The edge: keeps a home's readings where they arise, and sends each half hour once, as one block.

Readings go into an embedded store, durable at every commit, whose change feed is what is still to be sent: a block that
was sent is settled, one that a late reading changes becomes dirty again, and a power cut loses nothing. A block goes
when its half hour is over, and some time of the device's own has passed, so that a fleet does not send in the same
second. Weeks that could not be sent go in order, PACE_S apart. In between goes the newest reading alone, to be
seen: every now and then, and every LOOKED_AT_S while somebody is looking.

What the edge has sent, in words, against a message for every reading.
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
from aggregator.core.readings import Reading, sender_of
from aggregator.core.status import Status
from aggregator.intake.edge.ingest_client import JSON, IngestClient, SendResult, Sent, ServerAnswer
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Unread
from aggregator.intake.ingest import Outcome, Received, take_in
from aggregator.store.port import READINGS, Change, Store

JITTER_S = 300  # within which a device's own time lies
PACE_S = 1.0  # between blocks
LOOK_S = 5.0  # between looks for one, where none is due
EARLY_S, REFUSED_S = HOUR, 24 * HOUR  # before one that was not taken is tried again
LOOKED_AT_S = 10
KEPT_S = 48 * HOUR  # for which what was sent stays, so that a late reading finds its half hour
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0  # while nothing can be sent
REPORTED = 20  # refused messages that are told of at a time, the last
_MOST_BLOCKS = 5000  # dirty blocks that are looked at; a hundred days
_LONGEST_REPORT = 512  # bytes of such a message
log = logging.getLogger("wattfall.edge")


@dataclass(slots=True)
class Counts:
    """What was sent since it was last said."""

    readings: int = 0
    blocks: int = 0
    lives: int = 0


@dataclass(slots=True)
class Edge:
    """One home's edge. `live_s` is how often the newest reading is shown while nobody is looking."""

    store: Store
    client: IngestClient
    live_s: int
    clock: Callable[[], float] = time.time
    pace: Callable[[], float] = time.monotonic  # a clock that nobody sets, for what comes every so often
    counts: Counts = field(default_factory=Counts)
    _pause_s: float = 0.0
    _quiet_until: float = 0.0  # by `pace`, as are the others
    _next_block: float = 0.0
    _next_live: float = 0.0
    _next_sweep: float = 0.0
    _not_before: dict[tuple[str, str], float] = field(default_factory=dict)  # half hours that were not taken
    _newest: dict[str, Reading] = field(default_factory=dict)  # by device, to be shown
    _shown: dict[str, int] = field(default_factory=dict)  # instants of the newest, shown or to be
    _said: dict[str, Status] = field(default_factory=dict)  # by device
    _refused: deque[Unread] = field(default_factory=lambda: deque(maxlen=REPORTED))
    _is_watched: bool = False

    def keep(self, messages: Sequence[Received]) -> Outcome:
        """Keep what has come; durable on return. What is of another device than the token's is left out."""
        own = [self._own(message) for message in messages]
        outcome = take_in(self.store, own, int(self.clock()), "UTC")
        self.counts.readings += outcome.accepted
        for _, content in own:
            for reading in content.readings:
                if reading.at > self._shown.get(reading.device_id, 0):
                    self._shown[reading.device_id] = reading.at
                    self._newest[reading.device_id] = reading
            self._said.update({status.device_id: status for status in content.statuses})
            self._refused.extend(content.refused)
        return outcome

    def send(self) -> None:
        """Send what is due: the newest readings, and one block at most."""
        now = self.pace()
        if now < self._quiet_until:
            return
        if now >= self._next_live and (self._newest or self._said or self._refused):
            self._send_live(now)
        if now >= self._next_block and now >= self._quiet_until:
            self._send_block(now)
        if now >= self._next_sweep:
            self._next_sweep = now + HOUR
            self._sweep(int(self.clock()))

    @property
    def waiting(self) -> int:
        """How many blocks are still to be sent, that of the present half hour included."""
        return self.store.backlog().waiting

    @property
    def is_idle(self) -> bool:
        """Whether no half hour is due."""
        return self._due(self.pace()) is None

    def _due(self, now: float) -> Change | None:
        """The first half hour that is over, and that is not left alone for a while."""
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
        strangers = {one.device_id for one in content.readings if sender_of(one.device_id) != owner}
        if not strangers:
            return message
        log.warning("%s is not the token's device %s; its readings are not sent", ", ".join(sorted(strangers)), owner)
        content.readings = [one for one in content.readings if one.device_id not in strangers]
        return message

    def _send_live(self, now: float) -> None:
        """Show the newest readings, and tell what the devices say about themselves and what had to be refused."""
        items = [
            *(_reading_item(reading) for reading in self._newest.values()),
            *(_status_item(status) for status in self._said.values()),
            *(canonical.report(one.why, one.payload[:_LONGEST_REPORT]) for one in self._refused),
        ]
        answer = self.client.send(orjson.dumps(items), JSON, is_live=True)
        self.counts.lives += 1
        self._heed(answer, now)
        if answer.result in (SendResult.KEPT, SendResult.REFUSED, SendResult.EARLY):
            self._is_watched = answer.is_watched
            for told in (self._newest, self._said, self._refused):
                told.clear()
        self._next_live = now + (min(LOOKED_AT_S, self.live_s) if self._is_watched else self.live_s)

    def _send_block(self, now: float) -> None:
        change = self._due(now)
        self._next_block = now + (PACE_S if change else LOOK_S)
        if change is None:
            return
        start = int(change.key)
        try:
            readings = self.store.readings(change.device_id, start, start)
        except Damaged as error:
            self._leave(change, str(error), now + REFUSED_S)
            return
        answer = (
            self.client.send(canonical.encode_block(readings), canonical.BLOCK)
            if readings
            else ServerAnswer(SendResult.KEPT)
        )
        self._heed(answer, now)
        if answer.result is SendResult.KEPT:
            self.counts.blocks += 1
            self._is_watched = answer.is_watched
            self._not_before.pop((change.device_id, change.key), None)
            self.store.settle([change])
        elif answer.result in (SendResult.REFUSED, SendResult.EARLY):
            self._leave(change, answer.why, now + (EARLY_S if answer.result is SendResult.EARLY else REFUSED_S))

    def _leave(self, change: Change, why: str, until: float) -> None:
        """Let a half hour that is not taken wait, so that the others go; it stays here, and is tried again."""
        log.error("the half hour of %s from %s is not taken: %s", change.device_id, iso_utc(int(change.key)), why)
        self._not_before[change.device_id, change.key] = until

    def _heed(self, answer: ServerAnswer, now: float) -> None:
        """After what could not be sent nothing is, for ever longer, and not for as long as others of the fleet."""
        if answer.result in (SendResult.KEPT, SendResult.REFUSED, SendResult.EARLY):
            self._pause_s = 0.0
            return
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        pause = max(self._pause_s, answer.wait_s) * (1 + _share(self.client.device_id, now))
        self._quiet_until = now + pause
        log.warning("%s; trying again in %.0f s, everything is kept", answer.why, pause)

    def _sweep(self, now: int) -> None:
        for device in self.store.devices():
            self.store.expire_readings(device.device_id, now - KEPT_S, now - KEPT_S)
        self.store.expire_records(now)


def due(change: Change) -> int:
    """When a block is to be sent (UTC seconds): after its half hour, at the device's own time."""
    return int(change.key) + HALF_HOUR + int(JITTER_S * _share(change.device_id, 0))


def _share(device_id: str, salt: float) -> float:
    """From 0 to 1, as if by chance, the same for the same."""
    return crc32(f"{device_id}/{salt:.0f}".encode()) / 2**32


def _reading_item(reading: Reading) -> dict[str, object]:
    return _known(reading._asdict()) | {"at": iso_utc(reading.at)}


def _status_item(status: Status) -> dict[str, object]:
    said = _known(status._asdict())
    counters: dict[str, object] = _known(status.counters._asdict()) if status.counters else {}
    own = {f"meter_{name}": wh for name, wh in counters.items() if name != "at"}
    return {name: value for name, value in said.items() if name != "counters"} | own | {"at": iso_utc(status.at)}


def _known(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


# edge report

ALONE = 780  # bytes of a reading that is sent by itself, as `client.size_of` counts, about
WRITES_A_READING = 2  # of its half hour, and of the live state
WRITES_A_BLOCK = 2


@dataclass(slots=True)
class TrafficReport:
    """The report of a day, and at the end of what came after it. Days are UTC."""

    edge: Edge
    sent: Sent
    _day: str = ""
    _before: Sent = field(default_factory=Sent)

    def go_on(self, now: float) -> None:
        """Log the report of a day that is over."""
        day = day_of(int(now), "UTC")
        if day != self._day:
            if self._day:
                log.info("%s", self.said(now))
            self._day = day

    def said(self, now: float) -> str:
        """What was sent since the last report, which this ends."""
        counts, self.edge.counts = self.edge.counts, Counts()
        size, messages = self.sent.size - self._before.size, self.sent.messages - self._before.messages
        self._before = Sent(self.sent.messages, self.sent.size)
        return sentence(self._day or day_of(int(now), "UTC"), counts, messages, size, self.edge.waiting)


def sentence(day: str, counts: Counts, messages: int, size: int, waiting: int) -> str:
    """Bytes on the wire and writes of the store, against those of sending each reading by itself."""
    writes = counts.blocks * WRITES_A_BLOCK + counts.lives
    return (
        f"{day}: {counts.readings:,} readings kept; sent {counts.blocks:,} half hours and {counts.lives:,} times the"
        f" newest reading in {messages:,} messages, {size:,} bytes, {writes:,} writes; {waiting:,} half hours wait."
        f" Each reading by itself would be {counts.readings:,} messages, {counts.readings * ALONE:,} bytes,"
        f" {counts.readings * WRITES_A_READING:,} writes"
    )
