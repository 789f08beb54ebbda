"""Devices in: messages a second over MQTT and HTTP to settled charts, what the edge sends, and its memory.

Run by hand: `python -m tests.bench.devices_in [mqtt] [http] [edge]`. Rates are of one process, so of one core at most;
those per CPU second leave out what else the machine does.
"""

import asyncio
import http.client
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import ClassVar

import orjson

from aggregator.core.documents import Device
from aggregator.core.periods import DAY_S, HALF_HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.edge.edge import Edge, TrafficReport
from aggregator.intake.edge.ingest_client import JSON, SendResult, Sent, ServerAnswer
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Content, DeviceRules
from aggregator.intake.ingest import Outcome, Received, take_in
from aggregator.intake.mqtt import Broker, Subscriber, broker_of
from aggregator.intake.mqtt_feed import MqttFeed
from aggregator.intake.tokens import new_token
from aggregator.store import Store, open_store
from aggregator.waterfall.worker import drain, settle_once, take_waiting
from tests.aggregator.intake.brokers import Publisher, broker_in, free_port
from tests.bench.load import CONNECTIONS, Connection

DEVICES, TICKS, REQUESTS = 100, 180, 3000
NOW = int(time.time()) // HALF_HOUR * HALF_HOUR
TICK_S = 10


def readings_of(device_id: str, first: int, count: int) -> Iterator[Reading]:
    """A home with a noisy power, and a register that follows it."""
    chance, watt_seconds = Random(device_id), 4_000_000 * 3600
    for at in range(first, first + count * TICK_S, TICK_S):
        power = int(chance.lognormvariate(5.8, 1.0))
        watt_seconds += power * TICK_S
        yield Reading(device_id, at, power, watt_seconds // 3600, 0)


def glow(reading: Reading) -> bytes:
    """The message of a Glow display with the figures of a reading."""
    imported = {"cumulative": (reading.import_wh or 0) / 1000, "day": 1.2, "week": 9.1, "month": 40.2, "units": "kWh"}
    energy = {"export": {"cumulative": 0.0, "units": "kWh"}, "import": imported}
    power = {"value": (reading.power_w or 0) / 1000, "units": "kW"}
    return orjson.dumps({"electricitymeter": {"timestamp": iso_utc(reading.at), "energy": energy, "power": power}})


def mqtt() -> None:
    """Take in the messages that wait at the broker with the worker's own loop, until every chart is settled."""
    for name, batch, ticks_each in (("all that waits", 0, TICKS), ("10 at a time", 10, 20)):
        with tempfile.TemporaryDirectory() as folder, broker_in(Path(folder)) as broker:
            address = broker_of(broker.url)
            _session(address)
            publisher = Publisher(broker.port)
            ticks = zip(
                *(readings_of(f"{number:012d}", NOW - HALF_HOUR, ticks_each) for number in range(DEVICES)), strict=True
            )
            count = publisher.flood(
                (f"glow/{one.device_id}/SENSOR/electricitymeter", glow(one)) for tick in ticks for one in tick
            )
            publisher.close()
            store, subscriber = open_store(f"sqlite:///{folder}/mqtt.db"), Subscriber(address, ["#"])
            few = _Few(subscriber, batch) if batch else subscriber
            feed = MqttFeed(few, _keep(store), lambda _: DeviceRules(), "", ("glow/+/#",))  # type: ignore[arg-type]
            taken, began, used = 0, time.perf_counter(), time.process_time()
            while taken < count:
                taken += take_waiting(feed.take_in, 0.25)
                settle_once(store)
            drain(store)
            _say(f"MQTT, {name}", count, "messages", time.perf_counter() - began, time.process_time() - used)
            subscriber.close()
            store.close()


class _Few:
    """A subscriber that hands out a few messages at a time."""

    def __init__(self, subscriber: Subscriber, most: int) -> None:
        self._subscriber, self._most = subscriber, most
        self.acknowledge = subscriber.acknowledge

    def take(self, _most: int, wait_s: float) -> list[object]:
        """At most so many."""
        return [*self._subscriber.take(self._most, wait_s)]


def _session(address: Broker) -> None:
    """Let the broker keep what is published from now on."""
    subscriber = Subscriber(address, ["#"])
    while not subscriber.is_subscribed:
        time.sleep(0.01)
    subscriber.close()


def _keep(store: Store) -> Callable[[Sequence[Received]], Outcome]:
    return lambda messages: take_in(store, messages, NOW, "Europe/London")


def web() -> None:
    """`wattfall ingest-server` with one process, and a worker that settles the charts beside it."""
    for name, content_type, bodies in (
        ("HTTP, one reading a request", JSON, _singles),
        ("HTTP, a half hour a request", canonical.BLOCK, _blocks),
    ):
        with tempfile.TemporaryDirectory() as folder, _served(folder) as (port, tokens, store, process):
            messages = list(bodies())
            connection = http.client.HTTPConnection("127.0.0.1", port)
            began, used = time.perf_counter(), _cpu(process.pid)
            for device_id, body in messages:
                headers = {"Authorization": f"Bearer {tokens[device_id]}", "Content-Type": content_type}
                connection.request("POST", "/ingest", body, headers)
                answer = connection.getresponse()
                assert answer.status == 202, answer.read()
                answer.read()
            seconds, used = time.perf_counter() - began, _cpu(process.pid) - used
            began, settling = time.perf_counter(), time.process_time()
            drain(store)
            settled = time.process_time() - settling
            _say(name, len(messages), "requests", seconds + time.perf_counter() - began, used + settled)


def side_by_side(folder: str, seconds: int) -> dict[str, float]:
    """Single readings of so many seconds over CONNECTIONS connections, as fast as the server answers; then settle."""
    with _served(folder) as (port, tokens, store, process):
        starts = {
            device_id: f"POST /ingest HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: {JSON}\r\nContent-Length: "
            for device_id, token in tokens.items()
        }
        ticks = zip(*(readings_of(own, NOW - seconds, seconds // TICK_S) for own in tokens), strict=True)
        bodies = [(one.device_id, _json(one)) for tick in ticks for one in tick]
        requests = [f"{starts[own]}{len(body)}\r\n\r\n".encode() + body for own, body in bodies]
        used = _cpu(process.pid)
        asyncio.run(_post(port, iter(requests)))
        used, settling = _cpu(process.pid) - used, time.process_time()
        drain(store)
        settling = time.process_time() - settling
    rates: dict[str, float] = {"readings_per_cpu_s": used, "readings_per_cpu_s_with_settling": used + settling}
    whole: dict[str, float] = {"devices": len(tokens), "readings": len(requests)}
    return whole | {name: round(len(requests) / cpu) for name, cpu in rates.items()}


async def _post(port: int, requests: Iterator[bytes]) -> None:
    """Raises AssertionError for a refusal."""

    async def one_after_another() -> None:
        connection = Connection(port)
        for request in requests:
            answer = await connection.ask(request)
            assert answer.startswith(b"HTTP/1.1 202"), answer
        connection.close()

    await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS)))


def _singles() -> Iterator[tuple[str, bytes]]:
    for number in range(DEVICES):
        for one in readings_of(f"cad-{number:05d}", NOW - HALF_HOUR, REQUESTS // DEVICES):
            yield one.device_id, _json(one)


def _json(reading: Reading) -> bytes:
    return orjson.dumps(reading._asdict() | {"at": iso_utc(reading.at)})


def _blocks() -> Iterator[tuple[str, bytes]]:
    for number in range(DEVICES):
        device_id = f"cad-{number:05d}"
        for back in range(10, 0, -1):
            yield device_id, canonical.encode_block(list(readings_of(device_id, NOW - back * HALF_HOUR, TICKS)))


@contextmanager
def _served(folder: str) -> Iterator[tuple[int, dict[str, str], Store, "subprocess.Popen[bytes]"]]:
    url, port = f"sqlite:///{folder}/http.db", free_port()
    store = open_store(url)
    tokens = {}
    for number in range(DEVICES):
        device_id = f"cad-{number:05d}"
        store.put_device(Device(device_id))
        tokens[device_id] = new_token(store, device_id, NOW)
    environ = {**os.environ, "WEB_CONCURRENCY": "1", "WATTFALL_STORE": url}
    command = [sys.executable, "-m", "dashboard.commands.main", "ingest-server", "--port", str(port)]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    while not _answers(port):
        time.sleep(0.05)
    try:
        yield port, tokens, store, process
    finally:
        process.terminate()
        process.wait()
        store.close()


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def _cpu(pid: int) -> float:
    """CPU seconds of a process and its children, so far."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class _Server:
    """A server that takes everything, and counts it as it would come over HTTP."""

    device_id = "cad-1"
    tells_viewers: ClassVar[bool] = True

    def __init__(self) -> None:
        self.sent = Sent()

    def send(self, body: bytes, content_type: str, *, is_live: bool = False) -> ServerAnswer:
        """Kept."""
        self.sent.messages += 1
        self.sent.size += len(body) + HEAD
        assert (content_type == canonical.BLOCK) != is_live
        return ServerAnswer(SendResult.KEPT)


HEAD = 620  # bytes of headers, answer and frames, as `uplink.size_of` finds them


def edge(days: int = 30) -> None:
    """A month of readings every 10 s through the edge, a minute at a time, with its clock going fast."""
    with tempfile.TemporaryDirectory() as folder:
        first = NOW - days * DAY_S
        clock, server = [float(first)], _Server()
        store = open_store(f"sqlite:///{folder}/edge.db")
        running = Edge(store, server, 60, lambda: clock[0], lambda: clock[0])
        report, minute = TrafficReport(running, server.sent), list[Reading]()
        before, began = _memory_mb(), time.perf_counter()
        for reading in readings_of("cad-1", first, days * DAY_S // TICK_S):
            minute.append(reading)
            if len(minute) == 6:
                clock[0] = float(reading.at)
                running.accept([Received("cad-1", Content(minute))])
                running.send()
                minute = []
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(report.finish_report(clock[0]))
        print(
            f"the edge over {days} days: {before} MB at the start, {_memory_mb()} MB at most, file {size / 1e6:.1f} MB,"
        )
        print(f"  {days * DAY_S / (time.perf_counter() - began):,.0f} times as fast as the meter")
        store.close()


def _memory_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _say(name: str, count: int, what: str, seconds: float, cpu: float) -> None:
    print(f"{name:<36} {count:>7,} {what}  {count / seconds:>8,.0f}/s  per CPU second {count / cpu:>8,.0f}")


def main() -> None:
    """Print the table."""
    parts = {"mqtt": mqtt, "http": web, "edge": edge}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
