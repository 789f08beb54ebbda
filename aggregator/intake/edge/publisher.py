"""The edge's client of a broker, such as AWS IoT Core: publish a message with QoS 1 and wait for the acknowledgement.

TLS with the device's certificate; at a broker on this machine also without. The broker's acknowledgement is what the
edge waits for before it settles a half hour; without one the message is sent again, which does no harm. Topics are
`PREFIX/DEVICE/block` for half hours and `PREFIX/DEVICE/readings` for JSON. A broker does not answer, so the edge does
not learn whether somebody looks, and refused items are told of at the support desk alone.

Wrong options and files raise ConfigurationError; a broker that is away, or turns the device away, gives `LATER` or
`NO_ENTRY`.
"""

import logging
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.core.errors import ConfigurationError
from aggregator.core.readings import is_device_id
from aggregator.intake.edge.ingest_client import FRAME, SendResult, Sent, ServerAnswer
from aggregator.intake.formats import canonical
from aggregator.intake.mqtt import Broker, broker_of
from aggregator.settings import HERE

WAIT_S = 20.0  # for a connection, and for an acknowledgement
ALPN_PORT, ALPN = 443, "x-amzn-mqtt-ca"  # IoT Core speaks MQTT there too, where a firewall lets nothing else out
LARGEST = 131_072  # bytes of a message that IoT Core takes
HEAD = 8  # bytes of a packet beside its topic and content, with its acknowledgement
_NO_ENTRY = ("Not authorized", "Bad user name or password", "Client identifier not valid", "Banned")
log = logging.getLogger("wattfall.edge")


class TlsFiles(NamedTuple):
    """Files in PEM: the device's certificate and key, and the authority of the broker's (empty: the system's)."""

    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


@dataclass
class MqttIngestClient:
    """A client of one broker, over one connection that is made again when it is lost."""

    tells_viewers: ClassVar[bool] = False
    url: str
    prefix: str
    files: TlsFiles
    wait_s: float = WAIT_S
    sent: Sent = field(default_factory=Sent)
    _connection: "Connection | None" = None

    def __post_init__(self) -> None:
        self._broker = broker_of(self.url)
        self.device_id = self._broker.client_id
        if self._broker.user or not self.url.rstrip("/").endswith(f"/{self.device_id}"):
            raise ConfigurationError(f"{self.url!r} does not name the device, as in mqtts://broker.example/cad-1")
        if not is_device_id(self.device_id):
            raise ConfigurationError(f"{self.device_id!r} is no device id")
        if not self.prefix.strip("/") or {"+", "#"} & set(self.prefix):
            raise ConfigurationError(f"{self.prefix!r} is not like wattfall or $aws/rules/RULE/wattfall")
        if not self._broker.is_tls and self._broker.host not in HERE:
            raise ConfigurationError(
                f"{self.url!r} is not like mqtts://broker.example/cad-1 (mqtt only on this machine)"
            )
        self._context = _context(self._broker, self.files) if self._broker.is_tls else None

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:  # noqa: ARG002 - HTTP's
        """Publish a message and wait for the acknowledgement; a broker that is away gives `LATER`."""
        if len(body) > LARGEST:
            return ServerAnswer(SendResult.REFUSED, why=f"{len(body)} bytes; the broker takes {LARGEST}")
        topic = (
            f"{self.prefix.strip('/')}/{self.device_id}/{'block' if content_type == canonical.BLOCK else 'readings'}"
        )
        answer = self._published(topic, body)
        if answer.result is SendResult.KEPT:
            self.sent.messages += 1
            self.sent.size += FRAME + HEAD + len(topic) + len(body)
        else:
            self.close()
        return answer

    def _published(self, topic: str, body: bytes) -> ServerAnswer:
        place = f"the broker at {self._broker.host}:{self._broker.port}"
        try:
            if self._connection is None or self._connection.is_lost:
                self.close()
                self._connection = Connection(self._broker, self._context)
            why = self._connection.publish(topic, body, self.wait_s)
        except OSError as error:
            return ServerAnswer(SendResult.LATER, why=f"{place} cannot be reached: {error}")
        if why is None:
            return ServerAnswer(SendResult.KEPT)
        return ServerAnswer(SendResult.NO_ENTRY if why in _NO_ENTRY else SendResult.LATER, why=f"{place}: {why}")


class Connection:
    """One connection to a broker, without a session: what is not acknowledged is published again by the edge."""

    def __init__(self, broker: Broker, context: ssl.SSLContext | None) -> None:
        """Connect. Raises OSError."""
        self.is_lost = False
        self._changed = threading.Condition()
        self._is_open = False
        self._why = ""  # the broker's reason to end the connection
        self._acknowledged: dict[int, str] = {}  # number of a message -> why it was not taken; empty: taken
        self._client = paho.Client(CallbackAPIVersion.VERSION2, broker.client_id, protocol=paho.MQTTv5)
        if context:
            self._client.tls_set_context(context)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._ended
        self._client.on_publish = self._taken
        self._client.connect(broker.host, broker.port, keepalive=60)
        self._client.loop_start()

    def publish(self, topic: str, body: bytes, wait_s: float) -> str | None:
        """Publish a message; return None when the broker has taken it, else why not."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_open or self.is_lost, wait_s) or self.is_lost:
                return self._why or "it does not answer"
        number = self._client.publish(topic, body, qos=1).mid
        with self._changed:
            self._changed.wait_for(lambda: number in self._acknowledged or self.is_lost, wait_s)
            if number in self._acknowledged:
                return self._acknowledged.pop(number) or None
            return self._why or "it has not acknowledged the message"

    def close(self) -> None:
        """Disconnect."""
        self.is_lost = True
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, _client: paho.Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        with self._changed:
            self._is_open, self.is_lost = not code.is_failure, code.is_failure
            self._why = str(code) if code.is_failure else ""
            self._changed.notify_all()

    def _ended(self, client: paho.Client, _data: Any, _flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        with self._changed:
            self.is_lost = True
            self._why = self._why or f"it ended the connection ({code})"
            self._changed.notify_all()
        client.disconnect()  # connects no more by itself

    def _taken(self, _client: paho.Client, _data: Any, number: int, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's
        with self._changed:
            self._acknowledged[number] = str(code) if code.is_failure else ""
            self._changed.notify_all()


def _context(broker: Broker, files: TlsFiles) -> ssl.SSLContext:
    """Return the TLS context with the device's certificate. Raises ConfigurationError."""
    if (files.certificate is None) != (files.key is None):
        raise ConfigurationError("a certificate needs its key: name both --cert and --key")
    try:
        context = ssl.create_default_context(cafile=str(files.authority) if files.authority else None)
        if files.certificate and files.key:
            context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"--cert, --key and --ca must be PEM files that belong together: {error}") from error
    if broker.port == ALPN_PORT:
        context.set_alpn_protocols([ALPN])
    return context
