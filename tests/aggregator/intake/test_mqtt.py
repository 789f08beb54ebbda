"""Messages over a real broker: stored messages are acknowledged, others are redelivered."""

import gc
import itertools
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway
from aggregator.core.periods import iso_utc
from aggregator.intake import mqtt
from aggregator.intake.formats import FORMATS, canonical
from aggregator.intake.formats.message import Content, DeviceRules, Origin
from aggregator.intake.ingest import Outcome, Received, take_in
from aggregator.intake.mqtt import Arrived, Subscriber, broker_of, check_filters
from aggregator.intake.mqtt_feed import MANY, MqttFeed
from aggregator.intake.refusals import UNKNOWN, load_refusals
from aggregator.store import Store, open_store
from dashboard.commands.main import main
from tests.aggregator.intake.brokers import PATIENCE_S, MosquittoBroker, Publisher, broker_in

NOW = int(time.time()) - 100
GLOW = {
    "electricitymeter": {
        "timestamp": iso_utc(NOW),
        "energy": {"import": {"cumulative": 4120.317, "day": 1.204, "units": "kWh"}},
        "power": {"value": 0.612, "units": "kW"},
    }
}
TOPIC = "wattfall/cad-1/readings"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/mqtt.db")
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    with broker_in(tmp_path) as running:
        yield running


@pytest.fixture
def subscriber(broker: MosquittoBroker) -> Iterator[Subscriber]:
    opened = subscribed(broker)
    yield opened
    opened.close()


@pytest.fixture
def publisher(broker: MosquittoBroker) -> Iterator[Publisher]:
    opened = Publisher(broker.port)
    yield opened
    opened.close()


def subscribed(broker: MosquittoBroker, topics: Sequence[str] = ("#",)) -> Subscriber:
    """A subscriber with a session at the broker."""
    opened = Subscriber(broker_of(broker.url), topics)
    until(lambda: opened.is_subscribed)
    return opened


def until(is_true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def feed_into(
    store: Store, subscriber: Subscriber, format_name: str = "", filters: tuple[str, ...] = ("glow/+/#", "#")
) -> MqttFeed:
    def sink(messages: Sequence[Received]) -> Outcome:
        return take_in(store, messages, NOW + 100, "UTC")

    return MqttFeed(subscriber, sink, lambda _: DeviceRules(), format_name, filters)


def taken(feed: MqttFeed, count: int) -> None:
    """Take in until this many messages have arrived."""
    found = 0
    deadline = time.monotonic() + PATIENCE_S
    while found < count:
        assert time.monotonic() < deadline
        found += feed.take_in(0.1)


def reading(second: int) -> bytes:
    return orjson.dumps({"at": iso_utc(NOW + second), "power_w": second, "import_wh": 1000 + second})


def fault_of(subscriber: Subscriber) -> str:
    try:
        subscriber.take(1, 0.01)
    except ConfigurationError as error:
        return str(error)
    return ""


def test_a_second_worker_on_one_session_ends_and_the_first_goes_on(
    broker: MosquittoBroker, publisher: Publisher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE_S", 0.05)
    hour = itertools.count(0, 3600)
    with closing(Subscriber(broker_of(broker.url), ("#",), pace=lambda: next(hour))) as first:
        until(lambda: first.is_subscribed)
        with closing(Subscriber(broker_of(broker.url), ("#",))) as second:
            until(lambda: fault_of(second))
            assert "another worker uses the session 'wattfall' at the broker at 127.0.0.1" in fault_of(second)
        until(lambda: first.is_subscribed)
        publisher.publish(TOPIC, reading(1))
        taken(feed_into(store, first), 1)
    assert store.live("cad-1")


def test_of_two_workers_that_start_together_on_one_session_one_goes_on(
    broker: MosquittoBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE_S", 0.05)
    with (
        closing(Subscriber(broker_of(broker.url), ("#",))) as one,
        closing(Subscriber(broker_of(broker.url), ("#",))) as two,
    ):
        until(lambda: fault_of(one) or fault_of(two))
        rest = two if fault_of(one) else one
        until(lambda: rest.is_subscribed)
        assert fault_of(rest) == ""


def test_published_messages_are_stored_by_topic(store: Store, subscriber: Subscriber, publisher: Publisher) -> None:
    publisher.publish("glow/0123456789AB/SENSOR/electricitymeter", orjson.dumps(GLOW))
    publisher.publish(TOPIC, reading(1), qos=0)
    feed = feed_into(store, subscriber)
    taken(feed, 2)
    live = store.live("0123456789AB")
    assert live
    assert (live.power_w, live.import_wh) == (612, 4_120_317)
    assert store.live("cad-1")
    assert feed.total.as_json()["accepted"] == 2


def test_unreadable_messages_are_recorded_and_stop_nothing(
    store: Store, subscriber: Subscriber, publisher: Publisher
) -> None:
    publisher.publish(TOPIC, reading(1))
    for topic, payload in (
        ("what/is/this", b"x"),
        (TOPIC, b"{cut"),
        (TOPIC, bytes(10_000_000)),
        ("wattfall/a b/block", b""),
    ):
        publisher.publish(topic, payload)
    publisher.publish(TOPIC, reading(2))
    feed = feed_into(store, subscriber)
    taken(feed, 6)
    assert feed.total.reasons == {"unknown_topic": 1, "malformed_json": 1, "message_too_long": 1, "bad_device_id": 1}
    assert feed.total.accepted == 2
    assert {one.reason for one in load_refusals(store, "cad-1").messages} == {"malformed_json", "message_too_long"}
    unknown = {one.reason: one.payload for one in load_refusals(store, UNKNOWN).messages}
    assert unknown == {"unknown_topic": "what/is/this x", "bad_device_id": "wattfall/a b/block "}


def test_the_log_names_the_first_message_of_each_kind_of_unknown_topic(
    store: Store, subscriber: Subscriber, publisher: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    topics = ["glow/cad-1/SENSOR/electricitymeter", "glow/cad-2/SENSOR/electricitymeter", "what/is/this"]
    for topic in topics:
        publisher.publish(topic, b"x")
    taken(feed_into(store, subscriber), len(topics))
    logged = [one.getMessage() for one in caplog.records if "messages are refused" in one.getMessage()]
    assert len(logged) == 2
    assert logged[0].startswith(
        "messages are refused: 'glow/cad-1/SENSOR/electricitymeter' belongs to no known format; "
    )


def test_only_unacknowledged_messages_are_redelivered(
    store: Store, broker: MosquittoBroker, subscriber: Subscriber, publisher: Publisher
) -> None:
    publisher.publish(TOPIC, reading(1))
    feed = feed_into(store, subscriber)
    taken(feed, 1)
    publisher.publish(TOPIC, reading(2))
    until(lambda: subscriber.take(1, 0.1))  # taken, and never acknowledged, as by a worker that is killed
    subscriber.close()
    again = subscribed(broker)
    feed = feed_into(store, again)
    taken(feed, 1)
    assert feed.take_in(0.3) == 0
    assert feed.total.as_json() == Outcome(accepted=1).as_json()
    again.close()


def test_the_broker_queues_messages_while_disconnected(
    store: Store, broker: MosquittoBroker, subscriber: Subscriber, publisher: Publisher
) -> None:
    subscriber.close()
    for second in range(50):
        publisher.publish(TOPIC, reading(second))
    again = subscribed(broker)
    taken(feed_into(store, again), 50)
    assert len(store.readings("cad-1", 0, NOW + 100)) == 50
    again.close()


def test_an_unreachable_store_loses_no_message(store: Store, subscriber: Subscriber, publisher: Publisher) -> None:
    is_away = [True, True, False]

    def keep(messages: Sequence[Received]) -> Outcome:
        if is_away.pop(0):
            raise StoreAway("busy")
        return take_in(store, messages, NOW + 100, "UTC")

    publisher.publish(TOPIC, reading(1))
    feed = MqttFeed(subscriber, keep, lambda _: DeviceRules())
    for _ in range(2):
        with pytest.raises(StoreAway):
            taken(feed, 1)
    assert feed.take_in(0) == 1
    assert feed.total.accepted == 1


def test_nothing_is_lost_while_the_servers_clock_is_an_hour_behind(
    store: Store, subscriber: Subscriber, publisher: Publisher
) -> None:
    behind = [3600]
    feed = MqttFeed(
        subscriber,
        lambda messages: take_in(store, messages, NOW + 100, "UTC"),
        lambda _: DeviceRules(),
        clock=lambda: NOW + 100 - behind[0],
        pace=lambda: next(steps) / 10,
    )
    steps = itertools.count()
    for second in range(20):
        publisher.publish(f"wattfall/cad-{second % 10}/readings", reading(second))
        feed.take_in(0.05)
    assert (feed.total.accepted, [*feed.total.reasons]) == (0, ["server_clock"])
    behind[0] = 0
    taken(feed, 20)
    assert feed.total.accepted == 20


class Bursts:
    """In place of a subscriber: each `take` has the next of some bursts of messages."""

    def __init__(self, bursts: Sequence[int]) -> None:
        self._sizes, self._numbers = iter(bursts), itertools.count(1)

    def take(self, _most: int, _wait_s: float) -> list[Arrived]:
        numbers = itertools.islice(self._numbers, next(self._sizes, 0))
        return [Arrived(TOPIC, reading(number), 1, number, 1) for number in numbers]

    def acknowledge(self, messages: Sequence[Arrived]) -> None:
        assert all(message.number for message in messages)


def commits(store: Store, bursts: Sequence[int], calls: int) -> tuple[list[int], int]:
    """Take in some times; return the number of messages of each commit, and how often it waited for more."""
    pauses: list[float] = []
    feed = MqttFeed(
        cast(Subscriber, Bursts(bursts)),
        lambda messages: take_in(store, messages, NOW + 100, "UTC"),
        lambda _: DeviceRules(),
        sleep=pauses.append,
    )
    return [feed.take_in(0) for _ in range(calls)], len(pauses)


def test_messages_of_one_moment_share_a_commit(store: Store) -> None:
    assert commits(store, [1, 30, 2, 40], 2) == ([31, 42], 2)
    assert commits(store, [MANY, 1, 5], 2) == ([MANY, 6], 1)  # of many, none waits


def test_a_broker_that_sends_few_messages_at_once_is_not_slowed_down(store: Store) -> None:
    found, pauses = commits(store, [1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1], 8)
    assert (found, pauses) == ([1] * 8, 3)  # at the 1st, 3rd and 7th commit


def test_a_faulty_message_is_quarantined_and_the_others_stored(
    store: Store, subscriber: Subscriber, publisher: Publisher
) -> None:
    def keep(messages: Sequence[Received]) -> Outcome:
        if any(one.power_w == 3 for message in messages for one in message.content.readings):
            raise RuntimeError("no room for a 3")
        return take_in(store, messages, NOW + 100, "UTC")

    for second in range(1, 8):
        publisher.publish(TOPIC, reading(second))
    feed = MqttFeed(subscriber, keep, lambda _: DeviceRules())
    taken(feed, 7)
    assert [one.power_w for one in store.readings("cad-1", 0, NOW + 100)] == [1, 2, 4, 5, 6, 7]
    assert [one.reason for one in load_refusals(store, "cad-1").messages] == ["our_fault"]


def test_a_failing_parser_stops_no_other_message(
    store: Store, subscriber: Subscriber, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(payload: bytes, origin: Origin) -> Content:
        if b"3" in payload:
            raise RecursionError("too deep")
        return canonical.parse_canonical(payload, origin)

    monkeypatch.setitem(FORMATS, "json", FORMATS["json"]._replace(parse=broken))
    for figure in (3, 4):
        publisher.publish("home/cad-1", b'{"at": "2026-11-18T10:00:00Z", "power_w": %d}' % figure)
    feed = feed_into(store, subscriber, "json", ("home/+",))
    taken(feed, 2)
    assert (feed.total.accepted, feed.total.reasons) == (1, {"our_fault": 1})


def test_a_damaged_device_stops_no_other(
    store: Store, subscriber: Subscriber, publisher: Publisher, tmp_path: Path
) -> None:
    store.put_device(Device("cad-2"))
    with closing(sqlite3.connect(tmp_path / "mqtt.db")) as database, database:
        database.execute("UPDATE devices SET body = 'damaged'")
    publisher.publish("wattfall/cad-2/readings", reading(1))
    publisher.publish(TOPIC, reading(1))
    feed = feed_into(store, subscriber)
    taken(feed, 2)
    assert store.live("cad-1")
    assert feed.total.reasons == {"our_fault": 1}


def test_refusals_are_recorded_only_under_the_sender(
    store: Store, subscriber: Subscriber, publisher: Publisher
) -> None:
    store.put_device(Device("cad-2"))
    publisher.publish("wattfall/evil/other", b'{"device_id": "cad-2"}')
    publisher.publish(TOPIC, b'{"device_id": "cad-2", "cut')
    taken(feed_into(store, subscriber), 2)
    assert load_refusals(store, "cad-2").days == {}


def test_a_restarted_broker_is_reconnected(store: Store, broker: MosquittoBroker, subscriber: Subscriber) -> None:
    broker.stop()
    until(lambda: not subscriber.is_subscribed)
    broker.start()
    publisher = Publisher(broker.port)
    publisher.publish(TOPIC, reading(1))
    taken(feed_into(store, subscriber), 1)
    publisher.close()
    assert store.live("cad-1")


def test_a_named_format_parses_other_topics(store: Store, subscriber: Subscriber, publisher: Publisher) -> None:
    publisher.publish("home/energy/cad-1", reading(1))
    taken(feed_into(store, subscriber, "json", ("home/energy/+",)), 1)
    assert store.live("cad-1")


def test_a_wrong_password_is_reported_not_retried(tmp_path: Path) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "ann", "right"], check=True)
    with broker_in(tmp_path, f"allow_anonymous false\npassword_file {passwords}\n") as broker:
        address = broker_of(broker.url.replace("mqtt://", "mqtt://ann@"))
        right = Subscriber(address, ["#"], "right")
        until(lambda: right.is_subscribed)
        right.close()
        wrong = Subscriber(address, ["#"], "wrong")
        with pytest.raises(ConfigurationError, match="WATTFALL_MQTT_PASSWORD"):
            until(lambda: wrong.take(1, 0.1))
        wrong.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for this machine, and its key."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(1))
        .not_valid_after(datetime.now(UTC) + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "broker.crt", folder / "broker.key"
    files[0].write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # paho leaves a failed handshake's socket
def test_tls_requires_a_trusted_broker_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate_file, key_file = certificate(tmp_path)
    with broker_in(tmp_path, f"allow_anonymous true\ncertfile {certificate_file}\nkeyfile {key_file}\n") as broker:
        address = broker_of(f"mqtts://localhost:{broker.port}/")
        trusting = Subscriber(address, ["#"], ca_file=str(certificate_file))
        until(lambda: trusting.is_subscribed)
        trusting.close()
        doubting = Subscriber(address._replace(client_id="other"), ["#"])
        until(lambda: "its certificate is not trusted" in caplog.text)
        assert not doubting.is_subscribed
        doubting.close()
        del doubting
        gc.collect()
        with pytest.raises(ConfigurationError, match="is not a certificate file"):
            Subscriber(address, ["#"], ca_file=str(key_file))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtts://ann@broker.example/", ("broker.example", 8883, True, "ann", "wattfall")),
        ("mqtt://localhost:1884/worker-2", ("localhost", 1884, False, "", "worker-2")),
        ("mqtt://a%40b@[::1]/", ("::1", 1883, False, "a@b", "wattfall")),
    ],
)
def test_a_broker_address_names_host_and_user(url: str, expected: tuple[object, ...]) -> None:
    assert broker_of(url) == expected


@pytest.mark.parametrize(
    "url", ["", "localhost", "http://x/", "mqtt://", "mqtt://x:y/", "mqtt://x/?a=b", "mqtt://u:p@x/"]
)
def test_an_invalid_broker_address_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(ConfigurationError):
        broker_of(url)


@pytest.mark.parametrize("topics", [[], [""], ["a#"], ["#/a"], ["a+/b"], ["a\0"], ["x" * 2000]])
def test_an_invalid_topic_filter_is_refused(topics: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        check_filters(topics)


def test_the_worker_receives_and_propagates(tmp_path: Path, broker: MosquittoBroker, publisher: Publisher) -> None:
    url = f"sqlite:///{tmp_path}/worker.db"
    store = open_store(url)
    options = ["--store", url, "--mqtt", broker.url, "--topic", "wattfall/#"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "dashboard.commands.main", "worker", *options], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + PATIENCE_S
    day = iso_utc(NOW)[:10]
    while store.document("day", "cad-1", day) is None:  # until it has subscribed, what is published is lost
        assert time.monotonic() < deadline
        publisher.publish(TOPIC, reading(0))
        publisher.publish(TOPIC, reading(10))
        time.sleep(0.2)
    worker.terminate()
    _, said = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 0
    assert b"Traceback" not in said
    store.close()


def test_a_worker_whose_file_was_moved_acknowledges_nothing(
    tmp_path: Path, broker: MosquittoBroker, publisher: Publisher
) -> None:
    path = tmp_path / "worker.db"
    store = open_store(f"sqlite:///{path}")
    options = ["--store", f"sqlite:///{path}", "--mqtt", broker.url, "--topic", "wattfall/#"]
    command = [sys.executable, "-m", "dashboard.commands.main", "worker", *options]

    def instants() -> set[int]:
        return {one.at - NOW for one in store.readings("cad-1", NOW - 1800, NOW + 1800)}

    worker = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + PATIENCE_S
    while 0 not in instants():
        assert time.monotonic() < deadline
        publisher.publish(TOPIC, reading(0))
        time.sleep(0.2)
    path.rename(tmp_path / "elsewhere.db")
    for second in range(10, 20):
        publisher.publish(TOPIC, reading(second))
    _, said = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 2
    assert said.splitlines()[-1].startswith(f"wattfall: {path} was deleted, moved or replaced".encode())
    assert b"Traceback" not in said
    (tmp_path / "elsewhere.db").rename(path)
    again = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until(lambda: instants() >= set(range(10, 20)))  # the broker has kept them
    again.terminate()
    again.wait()
    store.close()


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (["--topic", "x"], "--mqtt"),
        (["--mqtt", "mqtt://localhost/"], "--topic"),
        (["--mqtt", "localhost", "--topic", "x"], "mqtts://user@host/"),
        (["--mqtt", "mqtt://u:p@localhost/", "--topic", "x"], "WATTFALL_MQTT_PASSWORD"),
    ],
)
def test_wrong_options_are_one_line_with_a_remedy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], mend: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["worker", "--store", f"sqlite:///{tmp_path}/x.db", *options])
    said = capfd.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert mend in said
