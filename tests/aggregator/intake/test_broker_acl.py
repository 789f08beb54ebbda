"""Who may publish what: the ACL of the README on a real broker, and a device that lies in every format."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
from paho.mqtt import publish
from paho.mqtt.enums import MQTTProtocolVersion

from aggregator.intake.formats.message import DeviceRules
from aggregator.intake.ingest import take_in
from aggregator.intake.mqtt import Subscriber, broker_of
from aggregator.intake.mqtt_feed import MqttFeed
from aggregator.store import open_store
from tests.aggregator.intake.brokers import MosquittoBroker, Publisher, broker_in
from tests.aggregator.intake.formats.messages import NOW, SAMPLES
from tests.aggregator.intake.test_mqtt import until

PASSWD = shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd"
MANUAL = Path(__file__).parents[3] / "aggregator/README.md"
PASSWORD = "of a test"
VICTIM = "0123456789AB"
LIES = [f"{before}{VICTIM}{after}" for before, after in (
    ("glow/liar/", "/SENSOR/electricitymeter"), ("glow/liar/", "/STATE"), ("glow/liar/tele/", "/SENSOR"),
    ("glow/liar/", "/tele/SENSOR"), ("glow/liar/", "/events/rpc"), ("glow/liar/", "/status/em1data:0"),
    ("glow/liar/shellies/", "/info"), ("glow/liar/SMART/HILD/", ""), ("glow/liar/wattfall/", "/readings"),
    ("glow/liar/wattfall/", "/block"), ("glow/", "/SENSOR/electricitymeter"), ("wattfall/", "/readings"),
    ("tele/", "/SENSOR"), ("shellies/", "/info"), ("SMART/HILD/", ""), ("", "/events/rpc"),
    ("glow/liar/SENSOR/", "/electricitymeter"),
)] + ["wattfall/liar/readings", "wattfall/liar/block", "glow/liar/tele/SENSOR", "glow/liar/events/rpc"]  # fmt: skip


OWN = re.compile(r"(glow|wattfall)/liar/")  # where the ACL lets the liar publish


def lie(port: int, topic: str, payload: bytes) -> None:
    """Publish by a connection of its own: mosquitto 2.0.11 ends a connection with its first refused message."""
    auth: publish.AuthParameter = {"username": "liar", "password": PASSWORD}
    publish.single(topic, payload, 0, hostname="127.0.0.1", port=port, auth=auth, protocol=MQTTProtocolVersion.MQTTv5)


@contextmanager
def guarded_broker(folder: Path) -> Iterator[MosquittoBroker]:
    """A broker with a user for each device, and the ACL of the README."""
    passwords, acl = folder / "passwords", folder / "acl"
    passwords.touch(0o600)
    for user in ("liar", VICTIM, "wattfall"):
        subprocess.run([PASSWD, "-b", passwords, user, PASSWORD], check=True, capture_output=True)
    acl.write_text(re.search(r"```\n(user wattfall\n.*?)```", MANUAL.read_text(), re.DOTALL)[1])  # type: ignore[index]
    acl.chmod(0o600)
    with broker_in(folder, f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n") as broker:
        yield broker


def test_no_format_lets_a_device_write_as_another_under_the_readmes_acl(tmp_path: Path) -> None:
    filters = ("glow/+/#", "wattfall/+/+")
    payloads = [one.payload for one in SAMPLES.values()]
    payloads.append(orjson.dumps({"device_id": VICTIM, "at": "2026-02-01T07:10:20Z", "power_w": 31_337}))
    with guarded_broker(tmp_path) as broker, closing(open_store(f"sqlite:///{tmp_path}/acl.db")) as store:
        address = broker_of(broker.url)._replace(user="wattfall")
        subscriber = Subscriber(address, filters, PASSWORD)
        until(lambda: subscriber.is_subscribed)
        liar, honest = (Publisher(broker.port, user, PASSWORD) for user in ("liar", VICTIM))
        own, others = ([topic for topic in LIES if bool(OWN.match(topic)) is is_own] for is_own in (True, False))
        liar.flood((topic, payload) for topic in own for payload in payloads)
        for topic, payload in ((topic, payload) for topic in others for payload in payloads):
            lie(broker.port, topic, payload)
        honest.publish(f"wattfall/{VICTIM}/readings", b'{"at": "2026-02-01T07:10:20Z", "power_w": 431}')
        feed = MqttFeed(subscriber, lambda them: take_in(store, them, NOW, "UTC"), lambda _: DeviceRules(), "", filters)
        until(lambda: feed.take_in(0.1) is not None and store.live(VICTIM))
        for client in (liar, honest, subscriber):
            client.close()
        live = store.live(VICTIM)
        assert live
        assert (live.power_w, live.import_wh) == (431, None), "only what the device itself sent"
        assert {device.device_id.partition("~")[0] for device in store.devices()} == {VICTIM, "liar"}
        assert feed.total.reasons["unknown_topic"] > len(payloads)
