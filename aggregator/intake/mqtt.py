"""The door to an MQTT broker: messages as they come, each acknowledged only once it has been kept.

MQTT 5 with a persistent session: the broker keeps what comes while nobody is connected, and what was not acknowledged
comes again. It sends at most UNACKNOWLEDGED messages that are still to be acknowledged, so a store that is slow or away
holds the broker back, and memory stays bounded.

From a broker to whatever keeps its messages: what was kept is acknowledged, what was not is tried again.
"""

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from aggregator.core.errors import ConfigurationError, Damaged, Refused, StoreAway, StoreUnusable
from aggregator.core.periods import DAY_S
from aggregator.intake.formats import parse_topic, read_whole
from aggregator.intake.formats.message import LONGEST, Content, Origin, Unread, check_size
from aggregator.intake.ingest import Outcome, Received
from aggregator.intake.refusals import UNKNOWN

UNACKNOWLEDGED = 500  # messages
SESSION_S = 7 * DAY_S  # for which the broker keeps what comes while nobody is connected
LARGEST = 16 << 20  # bytes of a packet; the broker keeps a larger one to itself
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1, 60  # before a connection is tried again
PORTS = {"mqtt": 1883, "mqtts": 8883}
PASSWORD = "WATTFALL_MQTT_PASSWORD"  # noqa: S105 - its name
# What a topic retains is of any age, and was in the session already.
_OPTIONS = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
_REFUSED = ("Bad user name or password", "Not authorized", "Client identifier not valid", "Banned")
log = logging.getLogger("wattfall.mqtt")


class Broker(NamedTuple):
    """Where a broker is, and as whom one connects."""

    host: str
    port: int
    is_tls: bool
    user: str
    client_id: str  # the session's name; two that share one throw each other out


class Arrived(NamedTuple):
    """A message; `number` and `connection` say what is to be acknowledged."""

    topic: str
    payload: bytes  # of one longer than LONGEST, LONGEST + 1 bytes
    qos: int
    number: int
    connection: int


def broker_of(url: str) -> Broker:
    """The broker of `mqtts://user@host:port/CLIENT`. Raises ConfigurationError where it is written otherwise."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no address of a broker: {error}") from error
    if parts.password is not None:
        raise ConfigurationError(f"a password in an address can be seen by others; set {PASSWORD} instead")
    if not port or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"{url!r} is not like mqtts://user@host/ (or mqtt:// without TLS)")
    client_id = unquote(parts.path.strip("/")) or "wattfall"
    return Broker(parts.hostname, port, parts.scheme == "mqtts", unquote(parts.username or ""), client_id)


def check_filters(topics: Iterable[str]) -> list[str]:
    """Topic filters such as `glow/+/SENSOR/#`. Raises ConfigurationError for what is none."""
    filters = list(topics)
    for one in filters:
        levels = one.split("/")
        is_filter = all(level in ("+", "#") or not {"+", "#", "\0"} & set(level) for level in levels)
        if not one or len(one) > 1024 or not is_filter or "#" in levels[:-1]:
            raise ConfigurationError(f"{one!r} is no topic filter; one is like glow/+/SENSOR/#")
    if not filters:
        raise ConfigurationError("name a topic with --topic, like 'glow/+/SENSOR/#'")
    return filters


class Subscriber:
    """A connection that is made again whenever it is lost."""

    def __init__(self, broker: Broker, topics: Sequence[str], password: str = "", ca_file: str | None = None) -> None:
        """Connect, or begin trying to. Raises ConfigurationError where `ca_file` is no certificate."""
        self._broker, self._topics = broker, topics
        self._waiting: queue.Queue[Arrived] = queue.Queue(2 * UNACKNOWLEDGED)
        self._connection = 0  # the number of the last one
        self._subscribed = -1  # that of the last one with a subscription
        self._is_closed = threading.Event()
        self._fault = ""  # one that trying again does not mend
        self._client = self._prepared(password, ca_file)
        self._client.connect_async(
            broker.host, broker.port, keepalive=30, clean_start=False, properties=_connect_properties()
        )
        self._client.loop_start()

    def take(self, most: int, wait_s: float) -> list[Arrived]:
        """What has come, in order: up to `most` messages, none after `wait_s` seconds.

        Raises ConfigurationError when the broker has refused to let us in.
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
        """The messages have been kept. Those of a connection that was lost since come again."""
        for message in messages:
            if message.qos and message.connection == self._connection:
                self._client.ack(message.number, message.qos)

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker sends what is published at the moment."""
        return self._subscribed == self._connection and bool(self._client.is_connected())

    def close(self) -> None:
        """Say goodbye; the broker keeps the session."""
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
                raise ConfigurationError(f"{ca_file} is no file of certificates: {error}") from error
        client.reconnect_delay_set(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        client.on_connect = self._connected
        client.on_connect_fail = lambda *_: log.warning(
            "%s cannot be reached, or not prove who it is; trying again", self._place
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
                log.error("%s does not let us listen to %s: %s", self._place, topic, code)

    def _lost(self, *_: Any) -> None:  # noqa: ANN401 - paho's
        if not self._is_closed.is_set():
            log.warning("lost %s; trying again", self._place)

    def _arrived(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401 - paho's
        arrived = Arrived(
            message.topic, bytes(message.payload[: LONGEST + 1]), message.qos, message.mid, self._connection
        )
        while not self._is_closed.is_set():  # only messages without acknowledgement can fill it
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


# mqtt feed

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Arrived, Subscriber

BATCH = 1000  # messages
Keep = Callable[[Sequence[Received]], Outcome]  # durable on return


@dataclass(slots=True)
class MqttFeed:
    """What comes from a broker, a batch at a time."""

    subscriber: "Subscriber"
    keep: Keep
    zone_of: Callable[[str], str]  # device -> its time zone
    format_name: str = ""  # of all messages; empty where each topic tells
    clock: Callable[[], float] = time.time
    lag_s: int = 0  # see Origin
    total: Outcome = field(default_factory=Outcome)
    _held: "list[Arrived]" = field(default_factory=list)  # not kept yet

    def take_in(self, wait_s: float) -> int:
        """Take in what has come; how many messages. Raises StoreAway, and holds them for the next time."""
        self._held = self._held or self.subscriber.take(BATCH, wait_s)
        now = int(self.clock())
        if self._held:
            self._keep([self._received(message, now) for message in self._held])
            self.subscriber.acknowledge(self._held)
        count, self._held = len(self._held), []
        return count

    def _received(self, message: "Arrived", now: int) -> Received:
        try:
            one, device_id, part = parse_topic(message.topic, self.format_name)
        except Refused as why:  # whatever device it names within, that is not who sent it
            return Received(UNKNOWN, Content(refused=[Unread(why, f"{message.topic} ".encode() + message.payload)]))
        try:
            check_size(message.payload)
        except Refused as why:
            return Received(device_id, Content(refused=[Unread(why, message.payload)]))
        zone = self.zone_of(device_id) if one.is_local else ""
        return Received(device_id, read_whole(one, message.payload, Origin(device_id, now, zone, part, self.lag_s)))

    def _keep(self, messages: Sequence[Received]) -> None:
        """Keep messages; where that breaks, ever fewer of them, to find the one at fault, which is refused."""
        try:
            self.total.add(self.keep(messages))
        except Exception as error:  # what one message brings about must not stop the others, nor come for ever
            if isinstance(error, StoreAway | StoreUnusable) and not isinstance(error, Damaged):
                raise
            if len(messages) > 1:
                middle = len(messages) // 2
                self._keep(messages[:middle])
                self._keep(messages[middle:])
                return
            device_id, content = messages[0]
            log.exception("a message of %s is put aside", device_id)
            unread = Unread(Refused("our_fault", repr(error)[:120]), repr(content).encode(errors="replace"))
            owner = UNKNOWN if isinstance(error, Damaged) else device_id  # its registry may be what is damaged
            self.total.add(self.keep([Received(owner, Content(refused=[unread]))]))
