"""MQTT: a subscriber that acknowledges a message only after it is stored, and the feed from it to a store.

MQTT 5 with a persistent session: the broker queues messages while no client is connected, and delivers unacknowledged
messages again. At most UNACKNOWLEDGED messages are in flight, so a slow or unreachable store holds the broker back and
memory stays bounded.

`MqttFeed` takes the senders in turn, so that none waits for the many messages of another. It raises StoreAway and holds
its messages for a retry. Messages ahead of a wrong server's clock wait, unacknowledged (`clocks.ServerClock`). Wrong
options, credentials and certificates raise ConfigurationError.
"""

import logging
import queue
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from aggregator.core.errors import ConfigurationError, Damaged, Refused, StoreAway, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.intake.clocks import ServerClock, is_ahead
from aggregator.intake.formats import parse_topic, read_whole
from aggregator.intake.formats.message import LONGEST, Content, DeviceRules, Origin, Unread, check_size
from aggregator.intake.ingest import Outcome, Received
from aggregator.intake.refusals import UNKNOWN

UNACKNOWLEDGED = 500  # messages
SESSION_S = 7 * DAY_S  # the broker queues messages so long without a connection
LARGEST = 16 << 20  # bytes of a packet; the broker drops larger ones
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 60  # between connection attempts
PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD = "WATTFALL_MQTT_PASSWORD"  # noqa: S105 - its name
# Retained messages are of any age, and were delivered in the session already.
_OPTIONS = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
_REFUSED = ("Bad user name or password", "Not authorized", "Client identifier not valid", "Banned")
log = logging.getLogger("wattfall.mqtt")


class Broker(NamedTuple):
    """The address of a broker, the user and the session."""

    host: str
    port: int
    is_tls: bool
    user: str
    client_id: str  # names the session; two clients with one id disconnect each other


class Arrived(NamedTuple):
    """A message; `number` and `connection` identify it for the acknowledgement."""

    topic: str
    payload: bytes  # cut to LONGEST + 1 bytes
    qos: int
    number: int
    connection: int


def broker_of(url: str) -> Broker:
    """Parse `mqtts://user@host:port/CLIENT`. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not a broker address: {error}") from error
    if parts.password is not None:
        raise ConfigurationError(f"a password in an address is visible to others; set {PASSWORD} instead")
    if not port or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is not like mqtts://user@host/ (or mqtt:// without TLS)")
    client_id = unquote(parts.path.strip("/")) or "wattfall"
    return Broker(parts.hostname, port, parts.scheme == "mqtts", unquote(parts.username or ""), client_id)


def check_filters(topics: Iterable[str]) -> list[str]:
    """Check topic filters such as `glow/+/SENSOR/#`. Raises ConfigurationError."""
    filters = list(topics)
    for one in filters:
        levels = one.split("/")
        is_filter = all(level in ("+", "#") or not {"+", "#", "\0"} & set(level) for level in levels)
        if not one or len(one) > 1024 or not is_filter or "#" in levels[:-1]:
            raise ConfigurationError(f"{one!r} is not a topic filter; write it like glow/+/SENSOR/#")
    if not filters:
        raise ConfigurationError("name a topic with --topic, like 'glow/+/SENSOR/#'")
    return filters


class Subscriber:
    """A connection that reconnects whenever it is lost."""

    def __init__(self, broker: Broker, topics: Sequence[str], password: str = "", ca_file: str | None = None) -> None:
        """Start to connect. Raises ConfigurationError where `ca_file` is not a certificate."""
        self._broker, self._topics = broker, topics
        self._waiting: queue.Queue[Arrived] = queue.Queue(2 * UNACKNOWLEDGED)
        self._connection = 0  # number of the last connection
        self._subscribed = -1  # number of the last one with a subscription
        self._is_closed = threading.Event()
        self._fault = ""  # a fault that a retry cannot repair
        self._client = self._prepared(password, ca_file)
        self._client.connect_async(
            broker.host, broker.port, keepalive=30, clean_start=False, properties=_connect_properties()
        )
        self._client.loop_start()

    def take(self, most: int, wait_s: float) -> list[Arrived]:
        """Return up to `most` messages in order; wait at most `wait_s` seconds for the first.

        Raises ConfigurationError when the broker has refused the credentials.
        """
        if self._fault:
            raise ConfigurationError(self._fault)
        taken: list[Arrived] = []
        try:
            taken.append(self._waiting.get(timeout=wait_s))
            while len(taken) < most:
                taken.append(self._waiting.get_nowait())
        except queue.Empty:
            pass
        return taken

    def acknowledge(self, messages: Iterable[Arrived]) -> None:
        """Acknowledge stored messages; the broker delivers those of a lost connection again."""
        for message in messages:
            if message.qos and message.connection == self._connection:
                self._client.ack(message.number, message.qos)

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker is delivering newly published messages."""
        return self._subscribed == self._connection and bool(self._client.is_connected())

    def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        self._is_closed.set()
        self._client.disconnect()
        self._client.loop_stop()

    def _prepared(self, password: str, ca_file: str | None) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, self._broker.client_id, protocol=paho.MQTTv5, manual_ack=True)
        if self._broker.user:
            client.username_pw_set(self._broker.user, password or None)
        if self._broker.is_tls:
            try:
                client.tls_set_context(ssl.create_default_context(cafile=ca_file))
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(f"{ca_file} is not a certificate file: {error}") from error
        client.reconnect_delay_set(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        client.on_connect = self._connected
        client.on_connect_fail = lambda *_: log.warning(
            "%s cannot be reached, or its certificate is not trusted; trying again", self._place
        )
        client.on_subscribe = self._confirmed
        client.on_disconnect = self._lost
        client.on_message = self._arrived
        return client

    @property
    def _place(self) -> str:
        return f"the broker at {self._broker.host}:{self._broker.port}"

    def _connected(self, client: paho.Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        if code.is_failure:
            log.warning("%s says: %s", self._place, code)
            if str(code) in _REFUSED and not self._connection:
                self._fault = f"{self._place} says: {code}; see --mqtt and {PASSWORD}"
            return
        self._connection += 1
        client.subscribe([(topic, _OPTIONS) for topic in self._topics])
        log.info("connected to %s", self._place)

    def _confirmed(self, _client: paho.Client, _data: Any, _number: int, codes: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        self._subscribed = self._connection
        for topic, code in zip(self._topics, codes, strict=False):
            if code.is_failure:
                log.error("%s refuses the subscription to %s: %s", self._place, topic, code)

    def _lost(self, *_: Any) -> None:  # noqa: ANN401 - paho's
        if not self._is_closed.is_set():
            log.warning("lost %s; trying again", self._place)

    def _arrived(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401 - paho's
        arrived = Arrived(
            message.topic, bytes(message.payload[: LONGEST + 1]), message.qos, message.mid, self._connection
        )
        while not self._is_closed.is_set():  # only messages that need no acknowledgement can fill it
            try:
                self._waiting.put(arrived, timeout=0.2)
            except queue.Full:
                continue
            return


def _connect_properties() -> Properties:
    wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    wanted.SessionExpiryInterval = SESSION_S
    wanted.ReceiveMaximum = UNACKNOWLEDGED
    wanted.MaximumPacketSize = LARGEST
    return wanted


# Feed

BATCH = 1000  # messages waiting in memory
BATCH_BYTES = 131_072  # of the messages stored at once: about 0.1 s of work
AGAIN_S = 5.0  # between two looks at messages that wait for the server's clock
Sink = Callable[[Sequence[Received]], Outcome]  # durable on return


@dataclass(slots=True)
class MqttFeed:
    """Take messages from a broker in batches and store them."""

    subscriber: Subscriber
    sink: Sink
    rules_of: Callable[[str], DeviceRules]  # by device id
    format_name: str = ""  # one format for all messages; empty where topics name it
    clock: Callable[[], float] = time.time
    lag_s: int = 0  # see Origin
    check_age: Callable[[Content, int], None] = lambda _content, _now: None  # refuses what is too old
    is_registered: Callable[[str], bool] = lambda _: True
    server_clock: ServerClock = field(default_factory=ServerClock)
    pace: Callable[[], float] = time.monotonic
    total: Outcome = field(default_factory=Outcome)
    _turns: dict[str, deque[Arrived]] = field(default_factory=dict)  # the messages of each sender, in order
    _held: list[Arrived] = field(default_factory=list)  # in turn, but not stored yet
    _ahead: list[Arrived] = field(default_factory=list)  # wait for the server's clock
    _again: float = 0.0  # when to look at `_ahead`, by `pace`

    def take_in(self, wait_s: float) -> int:
        """Store waiting messages and return their number. Raises StoreAway and holds them for the next call."""
        waiting = sum(map(len, self._turns.values()))
        if waiting < BATCH:
            for message in self.subscriber.take(BATCH - waiting, 0 if waiting or self._held else wait_s):
                self._turns.setdefault(self._sender(message), deque()).append(message)
        self._held = self._held or [*self._due(), *self._next()]
        now, at = int(self.clock()), self.pace()
        received = [(message, self._received(message, now)) for message in self._held]
        for _, one in received:
            self.server_clock.note(one.device_id, one.content, at, partial(self.is_registered, one.device_id))
        early = [message for message, one in received if is_ahead(one.content) and message.qos]
        if not (early and self.server_clock.is_behind(at)):
            early = []
        self._keep([one for message, one in received if message not in early])
        self.subscriber.acknowledge(message for message in self._held if message not in early)
        self._wait(early, at)
        count, self._held = len(received) - len(early), []
        return count

    def _next(self) -> Iterator[Arrived]:
        """Take the senders in turn, a message of each, up to BATCH_BYTES."""
        size = 0
        while self._turns and size < BATCH_BYTES:
            sender = next(iter(self._turns))
            turn = self._turns.pop(sender)
            message = turn.popleft()
            if turn:
                self._turns[sender] = turn  # behind the others
            size += len(message.payload)
            yield message

    def _due(self) -> list[Arrived]:
        """Return the messages that have waited for the server's clock, once in AGAIN_S."""
        if self.pace() < self._again:
            return []
        due, self._ahead = self._ahead, []
        return due

    def _wait(self, early: list[Arrived], at: float) -> None:
        """Let messages wait for the server's clock; the broker delivers them again after a lost connection."""
        if not early:
            return
        self._ahead, self._again = [*self._ahead, *early][-UNACKNOWLEDGED:], at + AGAIN_S
        if complaint := self.server_clock.complaint(at):
            log.error("most devices are ahead of this server's clock; %d messages wait for it", len(self._ahead))
            self._keep([Received(UNKNOWN, complaint)])

    def _sender(self, message: Arrived) -> str:
        try:
            return parse_topic(message.topic, self.format_name).device_id
        except Refused:
            return UNKNOWN

    def _received(self, message: Arrived, now: int) -> Received:
        try:
            one, device_id, part = parse_topic(message.topic, self.format_name)
        except Refused as why:  # a device id in the payload does not identify the sender
            return Received(UNKNOWN, Content(refused=[Unread(why, f"{message.topic} ".encode() + message.payload)]))
        try:
            check_size(message.payload)
        except Refused as why:
            return Received(device_id, Content(refused=[Unread(why, message.payload)]))
        rules = self.rules_of(device_id) if one.has_rules else DeviceRules()
        content = read_whole(one, message.payload, Origin(device_id, now, rules, part, self.lag_s))
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
