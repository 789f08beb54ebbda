"""The edge at a broker that knows devices by their TLS certificates, as AWS IoT Core does."""

import base64
import queue
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.aws.lambdas import Functions
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import HALF_HOUR, HOUR, iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Status
from aggregator.intake.edge.edge import FIRST_PAUSE_S, Edge
from aggregator.intake.edge.ingest_client import SendResult
from aggregator.intake.edge.publisher import MqttIngestClient, TlsFiles
from aggregator.intake.formats.canonical import BLOCK, encode_block, parse_block
from aggregator.intake.formats.message import Content, Origin
from aggregator.intake.ingest import Received
from aggregator.store import Store, open_store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.aggregator.intake.brokers import PATIENCE_S, MosquittoBroker

NOW = 1_790_000_000 // HALF_HOUR * HALF_HOUR
ACL = "user wattfall\ntopic read #\npattern write wattfall/%u/+\n"  # a device publishes as itself alone
WAIT_S = 3.0


@dataclass
class Authority:
    """A certificate authority, and the certificates that it signs."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.file = self.folder / "ca.crt"
        self.file.write_bytes(self._signed("authority", self.key, is_authority=True))

    def files(self, name: str) -> TlsFiles:
        """Return the files of a new certificate with a common name."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = TlsFiles(self.folder / f"{name}.crt", self.folder / f"{name}.key", self.file)
        assert files.certificate
        assert files.key
        files.certificate.write_bytes(self._signed(name, key))
        plain = serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        return files

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False) -> bytes:
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "authority"))
        built = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(1))
            .not_valid_after(datetime.now(UTC) + timedelta(1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return built.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def broker(tmp_path: Path, authority: Authority) -> Iterator[MosquittoBroker]:
    """A broker that takes the name of a device from its certificate."""
    own, acl = authority.files("localhost"), tmp_path / "acl"
    acl.write_text(ACL)
    acl.chmod(0o600)
    tls = f"cafile {authority.file}\ncertfile {own.certificate}\nkeyfile {own.key}\nrequire_certificate true\n"
    named = f"use_identity_as_username true\nallow_anonymous false\nacl_file {acl}\n"
    made = MosquittoBroker(tmp_path, more=tls + named)
    made.start()
    yield made
    made.stop()


class Reader:
    """Wattfall's side of the broker: what was published, in order."""

    def __init__(self, broker: MosquittoBroker, authority: Authority) -> None:
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        files, subscribed = authority.files("wattfall"), queue.Queue[bool]()
        self.client = paho.Client(CallbackAPIVersion.VERSION2, "reader", protocol=paho.MQTTv5)
        context = ssl.create_default_context(cafile=str(authority.file))
        context.load_cert_chain(str(files.certificate), files.key)
        self.client.tls_set_context(context)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        self.client.on_message = lambda _client, _data, one: self.messages.put((one.topic, bytes(one.payload)))
        self.client.connect("localhost", broker.port)
        self.client.loop_start()
        subscribed.get(timeout=PATIENCE_S)

    def take(self, count: int) -> list[tuple[str, bytes]]:
        return [self.messages.get(timeout=PATIENCE_S) for _ in range(count)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def reader(broker: MosquittoBroker, authority: Authority) -> Iterator[Reader]:
    made = Reader(broker, authority)
    yield made
    made.close()


@dataclass
class Home:
    """An edge with clocks to set."""

    store: Store
    client: MqttIngestClient
    now: float = NOW + HOUR

    def __post_init__(self) -> None:
        self.edge = Edge(self.store, self.client, 0, clock=lambda: self.now, pace=lambda: self.now)

    def send_all(self) -> None:
        for _ in range(20):
            self.edge.send()
            self.now += FIRST_PAUSE_S * 8


@pytest.fixture
def home(tmp_path: Path, broker: MosquittoBroker, authority: Authority) -> Iterator[Home]:
    client = MqttIngestClient(url_of(broker), "wattfall", authority.files("cad-1"), WAIT_S)
    store = open_store(f"sqlite:///{tmp_path}/edge.db")
    yield Home(store, client)
    client.close()
    store.close()


def url_of(broker: MosquittoBroker, device_id: str = "cad-1") -> str:
    return f"mqtts://localhost:{broker.port}/{device_id}"


def half_hour(start: int = NOW, device_id: str = "cad-1") -> list[Reading]:
    return [Reading(device_id, start + 10 * n, 400 + n % 7, 1_000_000 + n, None) for n in range(180)]


def taken_in(path: Path, messages: list[tuple[str, bytes]]) -> SqliteStore:
    """Return a store with the messages, as IoT Core's rule and the function `ingest` bring them in."""
    store = SqliteStore(str(path))
    functions = Functions(store, "UTC", lambda _: None, clock=lambda: NOW + HOUR)
    for topic, payload in messages:
        data = orjson.dumps({"data": base64.b64encode(payload).decode(), "topic": topic})
        source = {"data": base64.b64encode(data).decode(), "partitionKey": topic.split("/")[1], "sequenceNumber": "1"}
        assert functions.ingest({"Records": [{"kinesis": source}]}) == {"batchItemFailures": []}
    return store


def test_half_hours_and_intervals_come_in_over_a_broker_as_they_were(
    home: Home, reader: Reader, tmp_path: Path
) -> None:
    second = half_hour(device_id="cad-1~1")
    interval = Interval("cad-1", NOW - HALF_HOUR, NOW, 214, None, "supplier")
    home.edge.accept([Received("cad-1", Content(half_hour() + second, intervals=[interval]))])
    home.send_all()
    assert home.edge.is_idle
    messages = reader.take(3)
    assert {topic for topic, _ in messages} == {"wattfall/cad-1/block", "wattfall/cad-1/readings"}
    store = taken_in(tmp_path / "cloud.db", messages)
    assert store.readings("cad-1", NOW, NOW) == half_hour()
    assert store.readings("cad-1~1", NOW, NOW) == second
    assert store.intervals("cad-1", 0, NOW) == [interval]
    store.close()


def test_a_half_hour_stays_until_the_broker_has_acknowledged_it(
    home: Home, broker: MosquittoBroker, authority: Authority
) -> None:
    broker.stop()
    home.edge.accept([Received("cad-1", Content(half_hour()))])
    home.send_all()
    assert not home.edge.is_idle
    broker.start()
    reader = Reader(broker, authority)
    home.now += HOUR
    home.send_all()
    assert home.edge.is_idle
    assert reader.take(1) == [("wattfall/cad-1/block", encode_block(half_hour()))]
    reader.close()


def test_statuses_go_over_a_broker_and_live_readings_only_when_asked_for(home: Home, reader: Reader) -> None:
    home.now = NOW + 1000.0
    status = Status("cad-1", NOW + 900, -70, None, None, None, None)
    home.edge.accept([Received("cad-1", Content(half_hour()[:90], [status]))])
    home.edge.send()
    ((_, sent),) = reader.take(1)
    assert orjson.loads(sent) == [{"device_id": "cad-1", "at": iso_utc(NOW + 900), "rssi_dbm": -70}]
    home.edge.live_s = 60
    home.now += HALF_HOUR
    home.edge.accept([Received("cad-1", Content(half_hour()[90:91]))])
    home.edge.send()
    assert [one["power_w"] for one in orjson.loads(dict(reader.take(1))["wattfall/cad-1/readings"])] == [406]


def test_a_device_cannot_publish_as_another(broker: MosquittoBroker, authority: Authority, reader: Reader) -> None:
    liar = MqttIngestClient(url_of(broker, "victim"), "wattfall", authority.files("liar"), WAIT_S)
    answer = liar.send(encode_block(half_hour(device_id="victim")), BLOCK)
    assert answer.result is not SendResult.KEPT
    assert reader.messages.empty()
    liar.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves a failed handshake's socket
def test_nothing_goes_to_a_broker_without_trust_on_both_sides(
    broker: MosquittoBroker, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    own, strange = authority.files("cad-1"), other.files("cad-1")
    for files in (TlsFiles(), own._replace(authority=other.file), strange._replace(authority=authority.file)):
        client = MqttIngestClient(url_of(broker), "wattfall", files, WAIT_S)
        assert client.send(encode_block(half_hour()), BLOCK).result is SendResult.LATER
        client.close()


def test_the_command_publishes_what_it_reads_and_ends(
    broker: MosquittoBroker, authority: Authority, reader: Reader, tmp_path: Path
) -> None:
    files, start = authority.files("cad-1"), int(time.time()) // HALF_HOUR * HALF_HOUR - 2 * HOUR
    lines = [orjson.dumps({"at": iso_utc(one.at), "power_w": one.power_w}) for one in half_hour(start)]
    options = ["--publish", url_of(broker), "--cert", files.certificate, "--key", files.key, "--ca", files.authority]
    command = [sys.executable, "-m", "dashboard.commands.main", "edge", "--source", "-", "--data", tmp_path / "edge"]
    done = subprocess.run(
        [*map(str, (*command, *options))], input=b"\n".join([*lines, b""]), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    arrived = dict(reader.take(1))
    content = parse_block(arrived["wattfall/cad-1/block"], Origin("cad-1", int(time.time())))
    assert content.readings == [one._replace(import_wh=None) for one in half_hour(start)]
    assert b"180 readings kept; sent 1 half hours" in done.stdout


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("mqtts://broker.example/", "wattfall"),
        ("mqtts://broker.example/a/b", "wattfall"),
        ("mqtts://ann@broker.example/cad-1", "wattfall"),
        ("mqtt://broker.example/cad-1", "wattfall"),
        ("mqtts://broker.example/cad-1", "wattfall/+"),
        ("mqtts://broker.example/cad-1", ""),
        ("https://broker.example/cad-1", "wattfall"),
    ],
)
def test_a_wrong_address_is_refused_at_the_start(url: str, prefix: str) -> None:
    with pytest.raises(ConfigurationError):
        MqttIngestClient(url, prefix, TlsFiles())


def test_a_certificate_needs_its_own_key(tmp_path: Path, authority: Authority) -> None:
    one, other = authority.files("cad-1"), authority.files("cad-2")
    for files in (one._replace(key=None), one._replace(key=other.key), one._replace(certificate=tmp_path)):
        with pytest.raises(ConfigurationError, match="--cert"):
            MqttIngestClient("mqtts://localhost/cad-1", "wattfall", files)


def test_port_443_asks_for_mqtt_by_its_name(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", lambda _, names: asked.append(names))
    MqttIngestClient("mqtts://localhost:443/cad-1", "wattfall", authority.files("cad-1"))
    assert asked == [["x-amzn-mqtt-ca"]]
