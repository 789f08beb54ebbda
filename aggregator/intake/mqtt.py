"""MQTT: a subscriber that acknowledges a message only after it is stored, and the feed from it to a store.

MQTT 5 with a persistent session: the broker queues messages while no client is connected, and delivers unacknowledged
messages again. At most UNACKNOWLEDGED messages are in flight, so a slow or unreachable store holds the broker back and
memory stays bounded.

Wrong options, credentials and certificates raise ConfigurationError. The feed to a store is in `mqtt_feed`.
"""

import logging
import queue
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import DAY_S
from aggregator.intake.formats import topic_kind
from aggregator.intake.formats.message import LONGEST

UNACKNOWLEDGED = 500  # messages
SESSION_S = 7 * DAY_S  # the broker queues messages so long without a connection
LARGEST = 16 << 20  # bytes of a packet; the broker drops larger ones
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 60  # between connection attempts
TAKEN_OVER = "Session taken over"  # some brokers say it, and others just close the connection
# Two clients with one id end each other's connections for ever. The one without a connection of SETTLED_S is the
# newcomer; it ends when it is told, or after MOST_SHORT connections of less than SHORT_S to a broker within reach.
SETTLED_S, SHORT_S, MOST_SHORT = 60.0, 10.0, 3
REACH_S = 5.0  # for a try whether a broker can be reached
MOST_KINDS = 50  # unknown topics that the log names
PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD = "WATTFALL_MQTT_PASSWORD"  # noqa: S105 - its name
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
    at: int = 0  # UTC seconds of the arrival; 0: now
    spooled: str = ""  # its key in the spool


class Turns:
    """Messages of senders who take turns, so that the many messages of one delay no other."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Arrived]] = {}  # the next sender first
        self._count = self._size = 0

    def __len__(self) -> int:
        """Return the number of waiting messages."""
        return self._count

    def many(self, most: int) -> list[str]:
        """Return the senders whose messages have more than `most` bytes together."""
        if self._size <= most:
            return []
        return [sender for sender, own in self._waiting.items() if sum(len(one.payload) for one in own) > most]

    def of(self, sender: str) -> list[Arrived]:
        """Return the messages of a sender."""
        return [*self._waiting.get(sender, ())]

    def drop(self, sender: str) -> None:
        """Forget the messages of a sender."""
        own = self._waiting.pop(sender, ())
        self._count -= len(own)
        self._size -= sum(len(one.payload) for one in own)

    def add(self, sender: str, message: Arrived) -> None:
        """Add a message behind those of the same sender."""
        self._waiting.setdefault(sender, deque()).append(message)
        self._count += 1
        self._size += len(message.payload)

    def take(self, most: int, held: Collection[str] = ()) -> Iterator[Arrived]:
        """Yield the next messages, one of each sender in turn but those held, until they have `most` bytes."""
        size = 0
        while size < most and (sender := next((one for one in self._waiting if one not in held), None)) is not None:
            own = self._waiting.pop(sender)
            message = own.popleft()
            if own:
                self._waiting[sender] = own  # behind the others
            self._count -= 1
            self._size -= len(message.payload)
            size += len(message.payload)
            yield message


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


def reach(broker: Broker, ca_file: str = "") -> str:
    """Connect to a broker without a session; return what was reached. Raises ConfigurationError."""
    place = f"the broker at {broker.host}:{broker.port}"
    try:
        with socket.create_connection((broker.host, broker.port), REACH_S) as plain:
            if broker.is_tls:
                context = ssl.create_default_context(cafile=ca_file or None)
                context.wrap_socket(plain, server_hostname=broker.host).close()
    except OSError as error:
        raise ConfigurationError(f"{place} cannot be reached: {error}; see --mqtt and --ca-file") from error
    return f"{place} can be reached"


class UnknownTopics:
    """Names the first message of each kind of unknown topic in the log; one kind differs in its ids alone."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def note(self, topic: str, why: Refused) -> None:
        """Log a refused topic, unless one of its kind was logged, or MOST_KINDS were."""
        kind = topic_kind(topic)
        if kind not in self._kinds and len(self._kinds) < MOST_KINDS:
            self._kinds.add(kind)
            log.warning("messages are refused: %s", why.detail)


class Subscriber:
    """A connection that reconnects whenever it is lost."""

    def __init__(
        self,
        broker: Broker,
        topics: Sequence[str],
        password: str = "",
        ca_file: str | None = None,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start to connect. Raises ConfigurationError where `ca_file` is not a certificate."""
        self._broker, self._topics, self._pace = broker, topics, pace
        self._since = 0.0  # begin of the last connection, by `pace`
        self._was_settled = False  # whether a connection has lasted for SETTLED_S
        self._short = 0  # connections in a row that lasted less than SHORT_S
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

        Raises ConfigurationError when the broker has refused the credentials, or another worker uses the session.
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

    def publish(self, topic: str, payload: bytes, is_kept: bool) -> bool:
        """Publish a message, which the broker keeps for later subscribers if `is_kept`; whether it was sent."""
        return self._client.publish(topic, payload, qos=1 if is_kept else 0, retain=is_kept).rc == paho.MQTT_ERR_SUCCESS

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
        client.on_connect_fail = self._unreachable
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
        self._since = self._pace()
        client.subscribe([(topic, _options(topic)) for topic in self._topics])
        log.info("connected to %s", self._place)

    def _confirmed(self, _client: paho.Client, _data: Any, _number: int, codes: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        self._subscribed = self._connection
        for topic, code in zip(self._topics, codes, strict=False):
            if code.is_failure:
                log.error("%s refuses the subscription to %s: %s", self._place, topic, code)

    def _unreachable(self, *_: Any) -> None:  # noqa: ANN401 - paho's
        self._short = 0
        log.warning("%s cannot be reached, or its certificate is not trusted; trying again", self._place)

    def _lost(self, client: paho.Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        if self._is_closed.is_set():
            return
        age_s = self._pace() - self._since
        self._was_settled = self._was_settled or age_s >= SETTLED_S
        self._short = self._short + 1 if age_s < SHORT_S else 0
        if self._was_settled or not (str(code) == TAKEN_OVER or self._short >= MOST_SHORT):
            log.warning("lost %s (%s); trying again", self._place, code)
            return
        self._fault = (
            f"another worker uses the session {self._broker.client_id!r} at {self._place}: it ends the connections"
            " of this one; end that worker, or name a session of its own, like mqtt://host/second-worker"
        )
        client.disconnect()  # connects no more

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


def _options(topic: str) -> SubscribeOptions:
    """Return the options of a subscription: no retained messages, which are of any age, and none of our own.

    A shared subscription may not leave out one's own (MQTT 5, 3.8.3.1).
    """
    is_shared = topic.startswith("$share/")
    return SubscribeOptions(qos=1, noLocal=not is_shared, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)


def _connect_properties() -> Properties:
    wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    wanted.SessionExpiryInterval = SESSION_S
    wanted.ReceiveMaximum = UNACKNOWLEDGED
    wanted.MaximumPacketSize = LARGEST
    return wanted
