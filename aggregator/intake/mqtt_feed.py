"""The feed from a broker to a store: senders take turns, and those who send too much wait in a spool.

`MqttFeed` takes the senders in turn (`mqtt.Turns`), so that none waits for the many messages of another. It raises
StoreAway and holds its messages for a retry. Messages ahead of a server's clock that may be behind wait unacknowledged
(`clocks.ServerClock`).

A broker delivers in order, and only so many unacknowledged messages. The messages of a sender with too many are
therefore stored as they are, acknowledged, and processed later. Of one sender so many wait and no more: newer ones are
refused by name. Unacknowledged, they would take the place of the messages of others at the broker.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from aggregator.core.errors import Damaged, Refused, StoreAway, StoreUnusable
from aggregator.intake.clocks import ServerClock, Wrong, is_ahead
from aggregator.intake.formats import EVERYTHING, parse_topic, read_whole
from aggregator.intake.formats.message import Content, DeviceRules, Origin, Unread, check_size
from aggregator.intake.ingest import Outcome, Received
from aggregator.intake.mqtt import UNACKNOWLEDGED, Arrived, Subscriber, Turns, UnknownTopics
from aggregator.intake.refusals import UNKNOWN
from aggregator.store.collections import SPOOL, parsed, record_pages
from aggregator.store.port import Store

log = logging.getLogger("wattfall.mqtt")

# Spool

MOST_SPOOLED = 64 << 20  # bytes of the waiting messages of a sender, and those of one put more
TOO_MANY = Refused("too_many", f"{MOST_SPOOLED >> 20} MB of this sender's messages wait already")
_SPOOLED = 16  # messages read at once


class Spooled(NamedTuple):
    """A message that waits in the store."""

    key: str
    topic: str
    payload: bytes
    at: int  # UTC seconds of its arrival


class Spool:
    """Messages of senders who sent too many at once; they wait in the store, and the senders take turns.

    What is in the store can be acknowledged, so that the messages of others come in meanwhile.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = time.time_ns()  # in the keys; grows also after a restart
        self._turn = ""  # the sender whose turn was the last
        self._sizes = Counter[str]()  # bytes of what waits in the store, by sender
        self._taken: dict[str, int] = {}  # of these, the taken messages, by key
        self._is_recalled = False
        self.senders: set[str] = set()  # whose newer messages must wait behind the older ones
        self.is_empty = False

    def has_room(self, sender: str) -> bool:
        """Whether newer messages of a sender may wait."""
        return self._sizes[sender] < MOST_SPOOLED

    def recall(self) -> None:
        """Count what was left in the store by a former process, once."""
        if not self._is_recalled:
            for one in (one for page in record_pages(self._store, SPOOL.of()) for one in page):
                self._sizes[one.key.partition(" ")[0]] += len(one.body)
            self.senders |= self._sizes.keys()
            self._is_recalled = True

    def put(self, sender: str, messages: Iterable[tuple[str, bytes]], now: int) -> None:
        """Store topics and payloads; durable on return."""
        self.recall()
        size = 0
        with self._store.transaction():
            for topic, payload in messages:
                self._number += 1
                body = orjson.dumps([topic, now, payload.decode("latin-1")]).decode()
                self._store.put_record(SPOOL.of(), f"{sender} {self._number:020d}", body)
                size += len(body)
        self._sizes[sender] += size
        self.senders.add(sender)
        self.is_empty = False

    def take(self, most: int) -> list[Spooled]:
        """Return the oldest messages of the next sender, until they have `most` bytes; `drop` those that are stored."""
        taken, size = list[Spooled](), 0
        for after in dict.fromkeys((f"{self._turn} :", "")):
            for key, body in self._store.records(SPOOL.of(), after, limit=_SPOOLED):
                sender = key.partition(" ")[0]
                if size >= most or (taken and sender != self._turn):
                    return taken
                if row := parsed(body, f"the message {key}", lambda row: (row[0], row[2].encode("latin-1"), row[1])):
                    taken.append(Spooled(key, *row))
                    self._taken[key] = len(body)
                    self._turn, size = sender, size + len(row[1])
            if taken:
                return taken
        self.is_empty = True
        self._sizes.clear()
        self.senders.clear()
        return taken

    def drop(self, key: str) -> None:
        """Delete a message that is stored now."""
        self._store.drop_record(SPOOL.of(), key)
        self._sizes[key.partition(" ")[0]] -= self._taken.pop(key, 0)


# The feed

BATCH = 1000  # messages waiting in memory
BATCH_BYTES = 65_536  # of the messages stored at once: about 0.1 s of work
SPOOL_BYTES = 262_144  # waiting messages of one sender; more of them are spooled
SPOOL_S = 0.25  # longest spooling before messages are stored
NEXT_S = 0.02  # the broker sends the next messages within
GATHER_S, MANY = 0.05, 100  # wait for further messages before a commit of fewer than MANY
_MOST_SKIPPED = 63  # commits without that wait, where it brought nothing
_MOST_HELD = 4 * UNACKNOWLEDGED  # messages that wait for the server's clock, those of lost connections among them
AGAIN_S = 5.0  # between two looks at messages that wait for the server's clock
Sink = Callable[[Sequence[Received]], Outcome]  # durable on return


@dataclass(slots=True)
class MqttFeed:
    """Take messages from a broker in batches and store them."""

    subscriber: Subscriber
    sink: Sink
    rules_of: Callable[[str], DeviceRules]  # by device id
    format_name: str = ""  # one format for all messages; empty where topics name it
    filters: tuple[str, ...] = EVERYTHING  # of the subscription; they say which level of a topic is the device
    clock: Callable[[], float] = time.time
    lag_s: int = 0  # see Origin
    check_age: Callable[[Content, int], None] = lambda _content, _now: None  # refuses what is too old
    is_registered: Callable[[str], bool] = lambda _: True
    spool: Spool | None = None  # without one, a sender with many messages delays those behind it at the broker
    server_clock: ServerClock = field(default_factory=ServerClock)
    pace: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    total: Outcome = field(default_factory=Outcome)
    unknown: UnknownTopics = field(default_factory=UnknownTopics)
    _turns: Turns = field(default_factory=Turns)
    _held: list[Arrived] = field(default_factory=list)  # in turn, but not stored yet
    _ahead: list[Arrived] = field(default_factory=list)  # wait for the server's clock
    _again: float = 0.0  # when to look at `_ahead`, by `pace`
    _skipped: int = 0  # commits without a wait for further messages
    _to_skip: int = 0  # of these, the rest

    def take_in(self, wait_s: float) -> int:
        """Store waiting messages and return their number. Raises StoreAway and holds them for the next call."""
        now, at = int(self.clock()), self.pace()
        self._pull(wait_s, now)
        self._held = self._held or [*self._due(at), *self._next(), *self._from_spool(at)]
        received = [(message, self._received(message, now)) for message in self._held]
        early, wrong = self._early(received, now, at)
        self._keep([one for message, one in received if not early or message not in early])
        stored = [message for message in self._held if message not in early] if early else self._held
        self.subscriber.acknowledge(stored)
        for message in stored:
            if self.spool and message.spooled:
                self.spool.drop(message.spooled)
        self._wait(early, wrong, at)
        self._held = []
        return len(stored)

    def _early(self, received: list[tuple[Arrived, Received]], now: int, at: float) -> tuple[set[Arrived], Wrong]:
        """Return the messages of the future that must wait, since the server's clock is wrong or may be."""
        old, early = set(self._ahead), set[Arrived]()
        for message, (device_id, content, _) in received:
            is_old = bool(old) and message in old
            self.server_clock.note(device_id, content, now, at, self.is_registered, is_old=is_old)
            can_wait = message.qos or message.spooled or len(old) < UNACKNOWLEDGED
            if content.refused and can_wait and is_ahead(content):
                early.add(message)
        wrong = self.server_clock.wrong(at) if early else Wrong.DEVICE
        return (set() if wrong is Wrong.DEVICE else early), wrong

    def _pull(self, wait_s: float, now: int) -> None:
        """Take the messages that have arrived; spool those of senders with too many, until others come."""
        if self.spool:
            self.spool.recall()
        is_busy = self._turns or self._held or (self.spool and not self.spool.is_empty)
        wait_s, until = 0 if is_busy else wait_s, self.pace() + SPOOL_S
        while room := BATCH - len(self._turns):
            for message in self._gathered(room, wait_s):
                self._turns.add(self._sender(message), message)
            if not self._has_spooled(now) or self._turns or self.pace() >= until:
                return
            wait_s = NEXT_S

    def _gathered(self, most: int, wait_s: float) -> list[Arrived]:
        """Take the messages that have arrived and, if they are few, those of the next moment: a commit costs much.

        A broker may send no more before these are acknowledged. Where waiting brings nothing, it is tried ever less.
        """
        taken = self.subscriber.take(most, wait_s)
        if not 0 < len(taken) < min(most, MANY):
            return taken
        if self._to_skip:
            self._to_skip -= 1
            return taken
        self.sleep(GATHER_S)
        more = self.subscriber.take(most - len(taken), 0)
        self._to_skip = self._skipped = 0 if more else min(2 * self._skipped + 1, _MOST_SKIPPED)
        return taken + more

    def _has_spooled(self, now: int) -> bool:
        """Spool or refuse the messages of senders with too many, and acknowledge them; whether there were any."""
        heavy = {*self._turns.many(SPOOL_BYTES), *self.spool.senders} if self.spool else ()
        owned = {sender: own for sender in heavy if (own := self._turns.of(sender))}
        for sender, own in owned.items():
            assert self.spool
            if self.spool.has_room(sender):
                self.spool.put(sender, [(message.topic, message.payload) for message in own], now)
            else:
                self._keep([Received(sender, Content(refused=[Unread(TOO_MANY, one.payload) for one in own]))])
            self.subscriber.acknowledge(own)
            self._turns.drop(sender)
        return bool(owned)

    def _next(self) -> Iterator[Arrived]:
        """Yield messages of the next senders, but of none whose older ones wait in the spool."""
        return self._turns.take(BATCH_BYTES, self.spool.senders if self.spool else ())

    def _from_spool(self, at: float) -> Iterator[Arrived]:
        """Yield messages of the spool; they stay there while the server's clock may be behind."""
        if self.spool and not self.spool.is_empty and self.server_clock.wrong(at) is Wrong.DEVICE:
            for key, topic, payload, came_in in self.spool.take(BATCH_BYTES):
                yield Arrived(topic, payload, 0, 0, 0, came_in, key)

    def _due(self, at: float) -> list[Arrived]:
        """Return the messages that wait for the server's clock, once in AGAIN_S."""
        if at < self._again:
            return []
        self._again = at + AGAIN_S
        return self._ahead

    def _wait(self, early: set[Arrived], wrong: Wrong, at: float) -> None:
        """Hold messages for the server's clock; the broker delivers them again after a lost connection."""
        if not self._ahead and not early:
            return
        held = set(self._held)
        waiting = (message for message in self._held if message in early and not message.spooled)
        self._ahead = [*(message for message in self._ahead if message not in held), *waiting][-_MOST_HELD:]
        if wrong is Wrong.SERVER and (complaint := self.server_clock.complaint(at)):
            log.error("most devices are ahead of this server's clock; %d messages wait for it", len(self._ahead))
            self._keep([Received(UNKNOWN, complaint)])

    def _sender(self, message: Arrived) -> str:
        try:
            return parse_topic(message.topic, self.format_name, self.filters).device_id
        except Refused:
            return UNKNOWN

    def _received(self, message: Arrived, now: int) -> Received:
        try:
            one, device_id, part = parse_topic(message.topic, self.format_name, self.filters)
        except Refused as why:  # a device id in the payload does not identify the sender
            self.unknown.note(message.topic, why)
            return Received(UNKNOWN, Content(refused=[Unread(why, f"{message.topic} ".encode() + message.payload)]))
        try:
            check_size(message.payload)
        except Refused as why:
            return Received(device_id, Content(refused=[Unread(why, message.payload)]))
        rules = self.rules_of(device_id) if one.has_rules else DeviceRules()
        at = message.at or now
        origin = Origin(device_id, at, rules, part, max(self.lag_s, now - at))  # that clock may have been set since
        content = read_whole(one, message.payload, origin)
        is_history = one.name == "block"
        if not is_history:
            self.check_age(content, now)
        return Received(device_id, content, is_history)

    def _keep(self, messages: Sequence[Received]) -> None:
        """Store messages; after an error, bisect them to find the faulty one and refuse it."""
        if not messages:
            return
        try:
            self.total.add(self.sink(messages))
        except Exception as error:  # one message must neither stop the others nor be redelivered forever
            if isinstance(error, StoreAway | StoreUnusable) and not isinstance(error, Damaged):
                raise
            if len(messages) > 1:
                middle = len(messages) // 2
                self._keep(messages[:middle])
                self._keep(messages[middle:])
                return
            device_id, content, _ = messages[0]
            log.exception("a message of %s is quarantined", device_id)
            unread = Unread(Refused("our_fault", repr(error)[:120]), repr(content).encode(errors="replace"))
            owner = UNKNOWN if isinstance(error, Damaged) else device_id  # its registry entry may be the damaged row
            self.total.add(self.sink([Received(owner, Content(refused=[unread]))]))
