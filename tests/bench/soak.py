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
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
DEVICES_A_SENDER = 2000
QUIET_S = 10  # after so long nothing more comes
TOPIC = "wattfall/+/readings"


class Sender:
    """Devices that send over one connection, and what the broker has acknowledged of it."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[Reading] = []
        self._waiting: dict[int, Reading] = {}  # by message number, which is used again once it is acknowledged
        self._numbers = deque[int]()  # acknowledged in the client's own thread
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(200)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_publish = lambda _client, _data, number, *_: self._numbers.append(number)
        self._client.connect("127.0.0.1", port, clean_start=True)
        self._client.loop_start()

    def send(self, reading: Reading) -> None:
        body = orjson.dumps(reading._asdict() | {"at": iso_utc(reading.at)})
        number = self._client.publish(f"wattfall/{reading.device_id}/readings", body, 1).mid
        if number in self._waiting:
            self.settle()
        assert number not in self._waiting, "more messages wait than have numbers"
        self._waiting[number] = reading

    def settle(self) -> int:
        """Note what was acknowledged. Returns how many messages still wait."""
        while self._numbers:
            self.acknowledged.append(self._waiting.pop(self._numbers.popleft()))
        return len(self._waiting)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Fleet:
    """Devices that send a reading every TICK_S."""

    def __init__(self, devices: int, port: int) -> None:
        self.device_ids = [f"cad-{number:05d}" for number in range(devices)]
        self.sent = 0
        self._senders = [Sender(port) for _ in range(0, devices, DEVICES_A_SENDER)]

    def tick(self, at: int, chance: Random) -> None:
        """Every device sends the reading of an instant."""
        for number, device_id in enumerate(self.device_ids):
            reading = Reading(device_id, at, chance.randrange(3000), 1_000_000 + (at + number) // 7, 0)
            self._senders[number // DEVICES_A_SENDER].send(reading)
            self.sent += 1

    @property
    def acknowledged(self) -> list[Reading]:
        """The state of the broker."""
        return [reading for sender in self._senders for reading in sender.acknowledged]

    def close(self) -> None:
        """Wait until the broker has everything."""
        deadline = time.monotonic() + PATIENCE_S
        while sum(sender.settle() for sender in self._senders):
            assert time.monotonic() < deadline, "some messages were never acknowledged to the devices"
            time.sleep(0.1)
        for sender in self._senders:
            sender.close()


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
    before, since = -1, time.monotonic()
    while before < fleet.sent and time.monotonic() - since < QUIET_S:
        kept = sum(len(store.readings(device_id, 0, 1 << 40)) for device_id in fleet.device_ids)
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
    return Result(fleet.sent, len(acknowledged), missing, found, wrong, kills, seconds)


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
