"""A message of every format goes over a real broker and through the worker into the store."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from aggregator.intake.device_status import known_status
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Content, DeviceRules
from aggregator.intake.ingest import Outcome, Received, take_in
from aggregator.intake.mqtt import Subscriber, broker_of
from aggregator.intake.mqtt_feed import MqttFeed
from aggregator.store import open_store
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.brokers import Publisher, broker_in
from tests.aggregator.intake.formats.messages import AT, GLOW, NOW, SAMPLES, SHELLY
from tests.aggregator.intake.test_mqtt import taken, until

TOPICS = {
    "Glow electricity": f"glow/{GLOW}/SENSOR/electricitymeter",
    "Glow gas": f"glow/{GLOW}/SENSOR/gasmeter",
    "Glow state": f"glow/{GLOW}/STATE",
    "Glow hex": f"SMART/HILD/{GLOW}",
    "Shelly EM": f"shellies/{SHELLY}/info",
    "Shelly 3EM": f"shellies/{SHELLY}/info",
    "Shelly, two clamps": f"{SHELLY}/status",
    "Shelly, three phases": f"{SHELLY}/status",
    "Shelly notification": f"{SHELLY}/events/rpc",
    "Shelly status topic": f"{SHELLY}/status/em1data:0",
    "Tasmota": "tele/plug-1/SENSOR",
    "Tasmota, a smart meter": "tele/plug-1/SENSOR",
    "DSMR telegram": "cellar/p1-1",
}


FILTERS = ("glow/+/#", "cellar/+", "#")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_published_message_reaches_the_store(tmp_path: Path, name: str) -> None:
    one = SAMPLES[name]
    expected = one.parse(one.payload, one.origin)
    content = round_trip(
        tmp_path, TOPICS[name], one.payload, one.origin.rules.zone, "dsmr" if name.startswith("DSMR") else ""
    )
    assert {*content.readings} == {*expected.readings}
    assert {status.device_id for status in content.statuses} == {status.device_id for status in expected.statuses}


def test_a_published_edge_block_reaches_the_store(tmp_path: Path) -> None:
    one = SAMPLES["Shelly EM"]
    readings = [reading for reading in one.parse(one.payload, one.origin).readings if reading.device_id == SHELLY]
    content = round_trip(tmp_path, f"wattfall/{SHELLY}/block", canonical.encode_block(readings), "UTC", "")
    assert content.readings == readings


def round_trip(folder: Path, topic: str, payload: bytes, zone: str, format_name: str) -> Content:
    """Publish a message and return the resulting contents of the store."""
    store = open_store(f"sqlite:///{folder}/round.db")

    def store_messages(messages: Sequence[Received]) -> Outcome:
        return take_in(store, messages, NOW, zone)

    with broker_in(folder) as broker:
        subscriber, publisher = Subscriber(broker_of(broker.url), ["#"]), Publisher(broker.port)
        until(lambda: subscriber.is_subscribed)
        publisher.publish(topic, payload)
        feed = MqttFeed(
            subscriber, store_messages, lambda _: DeviceRules(zone), format_name, FILTERS, clock=lambda: NOW
        )
        taken(feed, 1)
        subscriber.close()
        publisher.close()
    drain(store)
    assert feed.total.rejected == 0
    devices = [device.device_id for device in store.devices()]
    content = Content([one for device_id in devices for one in store.readings(device_id, AT - 7200, NOW + 3600)])
    content.statuses = [known.status for device_id in devices if (known := known_status(store, device_id))]
    store.close()
    return content
