"""A soak over MQTT: a fleet sends, worker and broker are killed at random, and nothing that was acknowledged may be
missing or counted twice; run by hand: `python -m tests.bench.soak [--devices 1000] [--seconds 180]`.

The worker is killed with SIGKILL. The broker ends with SIGTERM and saves what it holds, as mosquitto does; killed hard,
it forgets what it has acknowledged to devices and not saved, which no subscriber can mend.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import orjson
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.core.periods import day_of, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.mqtt import Subscriber, broker_of
from aggregator.store import Store, open_store
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.brokers import MosquittoBroker, broker_in

TICK_S = 10
PATIENCE_S = 120
MOST_SENT = 60_000
QUIET_S = 10  # after so long nothing more comes
TOPIC = "wattfall/+/readings"


@dataclass
class Fleet:
    """Devices that send a reading every TICK_S over one connection, and what the broker has acknowledged of it."""

    devices: int
    port: int
    sent: dict[int, Reading] = field(default_factory=dict)  # by message number, of which there are MOST_SENT
    published: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "fleet", protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(200)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_publish = lambda _client, _data, number, *_: self.published.append(number)
        self._client.connect("127.0.0.1", self.port, clean_start=True)
        self._client.loop_start()

    def tick(self, at: int, chance: Random) -> None:
        """Every device sends the reading of an instant."""
        for number in range(self.devices):
            reading = Reading(f"cad-{number:04d}", at, chance.randrange(3000), 1_000_000 + (at + number) // 7, 0)
            body = orjson.dumps(reading._asdict() | {"at": iso_utc(at)})
            self.sent[self._client.publish(f"wattfall/{reading.device_id}/readings", body, 1).mid] = reading
        assert len(self.sent) < MOST_SENT

    @property
    def acknowledged(self) -> list[Reading]:
        """The state of the broker."""
        return [self.sent[number] for number in self.published]

    def close(self) -> None:
        """Wait until the broker has everything."""
        deadline = time.monotonic() + PATIENCE_S
        while len(self.acknowledged) < len(self.sent):
            assert time.monotonic() < deadline, "some messages were never acknowledged to the devices"
            time.sleep(0.1)
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Worker:
    """`wattfall worker`, killed and started again."""

    store: str
    broker: str
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it."""
        options = ["--store", self.store, "--mqtt", self.broker, "--topic", TOPIC]
        command = [sys.executable, "-m", "dashboard.commands.main", "worker", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """End it without a warning."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass
class Result:
    """The result of a soak."""

    messages: int
    acknowledged: int
    missing: int
    differences: int
    wrong_totals: int
    kills: int
    seconds: float


@contextmanager
def _session(broker: MosquittoBroker) -> Iterator[None]:
    """Let the broker keep for the worker what comes before its first start."""
    subscriber = Subscriber(broker_of(broker.url), [TOPIC])
    while not subscriber.is_subscribed:
        time.sleep(0.01)
    subscriber.close()
    yield


def soak(
    folder: Path, devices: int, seconds: float, pause: tuple[float, float], seed: int = 1, tick_s: float = TICK_S
) -> Result:
    """Send for `seconds`, and kill every `pause` seconds, from least to most; a tick goes by in `tick_s`."""
    chance, url = Random(seed), f"sqlite:///{folder}/soak.db"
    store, began = open_store(url), time.monotonic()
    with broker_in(folder) as broker, _session(broker):
        worker, fleet = Worker(url, broker.url), Fleet(devices, broker.port)
        worker.start()
        kills = _send(fleet, worker, broker, chance, seconds, pause, tick_s)
        if broker.process is None:
            broker.start()
        fleet.close()
        if worker.process is None:
            worker.start()
        _wait_until_kept(store, fleet)
        worker.kill()
    drain(store)
    result = _judged(store, fleet, kills, time.monotonic() - began)
    store.close()
    return result


def _send(
    fleet: Fleet,
    worker: Worker,
    broker: MosquittoBroker,
    chance: Random,
    seconds: float,
    pause: tuple[float, float],
    tick_s: float,
) -> int:
    """Send and kill. Returns how often."""
    now = time.monotonic()
    end, next_tick, next_kill, kills = now + seconds, now, now + chance.uniform(*pause), 0
    at = int(time.time()) // TICK_S * TICK_S - int(seconds / tick_s) * TICK_S - 3600
    while (now := time.monotonic()) < end:
        if now >= next_tick:
            fleet.tick(at, chance)
            at, next_tick = at + TICK_S, next_tick + tick_s
        if now >= next_kill:
            next_kill, kills = now + chance.uniform(*pause), kills + 1
            if chance.random() < 0.3:
                broker.stop()
                time.sleep(chance.uniform(0, 1))
                broker.start()
            else:
                worker.kill()
                time.sleep(chance.uniform(0, 1))
                worker.start()
        time.sleep(0.02)
    return kills


def _wait_until_kept(store: Store, fleet: Fleet) -> None:
    """Wait until no message comes."""
    wanted, before, since = len(fleet.sent), -1, time.monotonic()
    devices = {reading.device_id for reading in fleet.sent.values()}
    while before < wanted and time.monotonic() - since < QUIET_S:
        kept = sum(len(store.readings(device_id, 0, 1 << 40)) for device_id in devices)
        if kept != before:
            before, since = kept, time.monotonic()
        time.sleep(0.5)


def _judged(store: Store, fleet: Fleet, kills: int, seconds: float) -> Result:
    of_device: dict[str, list[Reading]] = {}
    acknowledged = fleet.acknowledged
    for reading in sorted(acknowledged):
        of_device.setdefault(reading.device_id, []).append(reading)
    missing = found = wrong = 0
    for device_id, readings in of_device.items():
        kept = set(store.readings(device_id, 0, 1 << 40))
        missing += sum(reading not in kept for reading in readings)
        device = store.device(device_id)
        found += len(list(differences(store, device, int(time.time())))) if device else 1
        wrong += _total(store, device_id, readings) != (readings[-1].import_wh or 0) - (readings[0].import_wh or 0)
    return Result(len(fleet.sent), len(acknowledged), missing, found, wrong, kills, seconds)


def _total(store: Store, device_id: str, readings: list[Reading]) -> int:
    days = [day_of(readings[place].at, "Europe/London") for place in (0, -1)]
    return sum(document.total.import_wh or 0 for document in store.documents("day", device_id, *days))


def main() -> None:
    """Print what came of it; exit 1 if anything is missing or counted twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = soak(Path(folder), options.devices, options.seconds, (5, 15), options.seed)
    for name, value in vars(result).items():
        print(f"{name.replace('_', ' '):<16}{value:>12,.0f}")
    sys.exit(1 if result.missing or result.differences or result.wrong_totals else 0)


if __name__ == "__main__":
    main()
