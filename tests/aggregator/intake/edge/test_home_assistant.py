"""Home Assistant at a real broker: what it discovers, and what it is told."""

import queue
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.commands.process_commands import announced
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.edge.home_assistant import FRESH_S, MOST_DEVICES, Announcer, discovery, object_id
from aggregator.intake.formats.message import Content, DeviceRules
from aggregator.intake.ingest import Outcome, Received
from aggregator.intake.mqtt import Subscriber, broker_of
from aggregator.intake.mqtt_feed import MqttFeed
from dashboard.commands.main import main
from tests.aggregator.intake.brokers import PATIENCE_S, MosquittoBroker, Publisher, broker_in

NOW = 1_800_000_000
CONFIG = "homeassistant/device/wattfall_cad-1/config"


class Assistant:
    """A client that listens like Home Assistant."""

    def __init__(self, port: int) -> None:
        self._heard: queue.Queue[tuple[str, bytes, bool]] = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe("homeassistant/#", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _client: object, _data: object, one: paho.MQTTMessage) -> None:
        self._heard.put((one.topic, bytes(one.payload), one.retain))

    def hear(self, count: int) -> list[tuple[str, bytes, bool]]:
        return [self._heard.get(timeout=PATIENCE_S) for _ in range(count)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def assistant_at(broker: MosquittoBroker) -> Iterator[Assistant]:
    opened = Assistant(broker.port)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    with broker_in(tmp_path) as running:
        yield running


def reading(at: int, **values: int) -> bytes:
    return orjson.dumps({"device_id": "cad-1", "at": iso_utc(at), **values})


def test_home_assistant_finds_a_device_and_its_values(broker: MosquittoBroker) -> None:
    stored: list[Received] = []

    def sink(messages: Sequence[Received]) -> Outcome:
        stored.extend(messages)
        return Outcome(accepted=len(messages))

    subscriber, publisher = Subscriber(broker_of(broker.url), ["#"]), Publisher(broker.port)
    feed = MqttFeed(subscriber, announced(sink, subscriber), lambda _: DeviceRules("UTC"))
    now = int(time.time())
    try:
        while not subscriber.is_subscribed:
            time.sleep(0.02)
        with assistant_at(broker) as assistant:
            publisher.publish("wattfall/cad-1/readings", reading(now, power_w=612, import_wh=4_120_317))
            while not feed.take_in(1):
                pass
            (topic, payload, _), *values = assistant.hear(3)
        content: dict[str, Any] = orjson.loads(payload)
        assert topic == CONFIG
        assert content["cmps"].keys() == {"power", "import"}
        told = {one: value for one, value, _ in values}
        assert told == {
            content["cmps"]["power"]["state_topic"]: b"612",
            content["cmps"]["import"]["state_topic"]: b"4120317",
        }
        with assistant_at(broker) as later:  # after a restart of Home Assistant
            assert later.hear(1) == [(CONFIG, payload, True)]
        feed.take_in(0.3)
        assert len(stored) == 1  # what is published does not come back as a message
    finally:
        subscriber.close()
        publisher.close()


# The announcement


def test_an_announcement_has_what_the_energy_dashboard_asks_for() -> None:
    topic, payload = discovery("cad-1", ["power", "import"])
    content = orjson.loads(payload)
    assert (topic, content["dev"]["ids"]) == (CONFIG, ["wattfall_cad-1"])
    assert content["o"]["name"] == "wattfall"
    assert content["cmps"]["import"] == {
        "p": "sensor",
        "name": "Energy from the grid",
        "unique_id": "wattfall_cad-1_import",
        "state_topic": "homeassistant/wattfall/cad-1/import",
        "unit_of_measurement": "Wh",
        "device_class": "energy",
        "state_class": "total_increasing",
    }
    assert content["cmps"]["power"]["expire_after"] == 180


def test_devices_with_similar_ids_stay_apart() -> None:
    assert len({object_id(one) for one in ("cad-1~gas", "cad-1:gas", "cad-1_gas")}) == 3
    assert all(set(object_id(one)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-") for one in ("cad-1~gas", "a.b:c"))


# What is published


class Heard:
    """A broker that takes everything, or nothing."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.messages: list[tuple[str, str]] = []
        self.is_there = is_there

    def __call__(self, topic: str, payload: bytes, is_kept: bool) -> bool:
        assert is_kept is topic.endswith("/config")
        if self.is_there:
            self.messages.append((topic.removeprefix("homeassistant/"), payload.decode()))
        return self.is_there

    @property
    def values(self) -> list[tuple[str, str]]:
        return [one for one in self.messages if not one[0].endswith("/config")]


def test_a_value_is_published_once_and_never_goes_back() -> None:
    heard = Heard()
    announcer = Announcer(heard, lambda: NOW)
    newer, older = (Reading("cad-1", NOW - age, None, wh, None) for age, wh in ((10, 2000), (20, 1990)))
    for one in (newer, newer, older):
        announcer.note([one])
    assert heard.values == [("wattfall/cad-1/import", "2000")]


@pytest.mark.parametrize("at", [NOW - FRESH_S - 1, NOW + FRESH_S + 1])
def test_old_readings_and_those_of_the_future_are_not_published(at: int) -> None:
    heard = Heard()
    Announcer(heard, lambda: NOW).note([Reading("cad-1", at, 612, 2000, None)])
    assert heard.messages == []


def test_history_is_not_published() -> None:
    heard = Heard()
    sink = Announcer(heard, lambda: NOW).after(lambda _: Outcome())
    content = Content(readings=[Reading("cad-1", NOW, 612, None, None)])
    sink([Received("cad-1", content, is_history=True)])
    assert heard.messages == []
    sink([Received("cad-1", content)])
    assert heard.values == [("wattfall/cad-1/power", "612")]


def test_a_new_value_is_announced_before_it_is_published() -> None:
    heard = Heard()
    announcer = Announcer(heard, lambda: NOW)
    announcer.note([Reading("cad-1~gas", NOW - 20, None, 500, None)])
    announcer.note([Reading("cad-1~gas", NOW - 10, None, 510, None, None, 45_120)])
    kinds = [topic.rpartition("/")[2] for topic, _ in heard.messages]
    assert kinds == ["config", "import", "config", "import", "volume"]
    assert orjson.loads(heard.messages[2][1])["cmps"].keys() == {"import", "volume"}
    assert heard.messages[-1][1] == "45.120"


def test_an_impossible_power_is_not_published() -> None:
    heard = Heard()
    Announcer(heard, lambda: NOW).note([Reading("cad-1", NOW, 0x7FFFFFFF, 2000, None)])
    assert heard.values == [("wattfall/cad-1/import", "2000")]


def test_a_device_is_announced_once_the_broker_is_there() -> None:
    heard = Heard(is_there=False)
    announcer = Announcer(heard, lambda: NOW)
    announcer.note([Reading("cad-1", NOW - 10, 612, None, None)])
    heard.is_there = True
    announcer.note([Reading("cad-1", NOW, 613, None, None)])
    assert [topic.rpartition("/")[2] for topic, _ in heard.messages] == ["config", "power"]


def test_the_number_of_announced_devices_is_bounded() -> None:
    heard = Heard()
    announcer = Announcer(heard, lambda: NOW)
    announcer.note([Reading(f"cad-{number}", NOW, 1, None, None) for number in range(MOST_DEVICES + 5)])
    assert len(heard.values) == MOST_DEVICES


def test_announcing_needs_a_broker(tmp_path: Path) -> None:
    environ = {"WATTFALL_STORE": f"sqlite:///{tmp_path}/one.db"}
    done = CliRunner().invoke(main, ["worker", "--announce"], env=environ)
    assert (done.exit_code, "need the address of a broker" in done.stderr) == (2, True)
