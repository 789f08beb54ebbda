"""A live fleet and one worker; run by hand: `python -m tests.bench.live --devices N --seconds S [--json]`.

The real worker (`wattfall worker`, a process of its own) runs on a store with a day of history for N devices. Every
device sends a reading each 10 s, across a half hour's end that is a local midnight. The messages come in place of a
broker's through a pipe, with as many unacknowledged as a broker may have, or with `--mqtt` from a real mosquitto. The
last line of the output is JSON:

- `readings_per_cpu_s`: readings by the CPU seconds of the worker, until every level is settled;
- `tile_lag_p99_s`, `day_lag_p99_s`: from when a reading is due until the store shows it in the live state and in the
  day document, of some devices; `looked_at_lag_p99_s`: in the day document, of devices with a record of a look, as the
  page writes it;
- `longest_pause_s`: the longest time without an acknowledgement while messages wait;
- `rss_mb`: the most memory of the worker, pages of the mapped file included; `wal_mb`: the largest log of the store;
- `bytes_a_reading`: of packed half hours, with their keys.

`--mode mqtt10`: what waits at mosquitto, handed to the worker 10 messages at a time. `--mode http`: `POST /ingest` with
single readings, over connections side by side. The two measure readings per CPU second alone.
"""

import argparse
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from math import ceil
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Self

import orjson

from aggregator.core.periods import DAY_S, day_of
from aggregator.intake.mqtt import UNACKNOWLEDGED
from aggregator.store import Store
from aggregator.store.collections import WATCHED
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.aggregator.intake.brokers import broker_in
from tests.bench import devices_in
from tests.bench.live_fleet import MIDNIGHT, ZONE, Feeder, Message, device_name, fill, messages, publisher
from tests.bench.live_worker import PIPE

LEAD_S = 5  # for the worker's start
SAMPLED, LOOKED_AT = 200, 30  # devices
TILE_S, LOOK_S, DAY_PACE_S, RENEW_S = 0.1, 0.25, 1.0, 20.0  # between looks into the store, and of records of a look


# What comes of it


def p99(lags: list[float]) -> float:
    return round(sorted(lags)[ceil(0.99 * len(lags)) - 1], 2) if lags else 0.0


@dataclass
class Sample:
    """Some devices, and how long each of their readings is on its way to one place."""

    waiting: dict[int, deque[tuple[int, float]]]  # device -> (instant, due) of what has not arrived
    seen_until: Callable[[str, int], int]  # device, instant of a reading -> the instant up to which the store has it
    lags: list[float] = field(default_factory=list)

    def add(self, number: int, at: int, due: float) -> None:
        if number in self.waiting:
            self.waiting[number].append((at, due))

    def look(self) -> None:
        """Note the readings that have arrived."""
        for number, own in self.waiting.items():
            while own and (seen := self.seen_until(device_name(number), own[0][0])) >= own[0][0]:
                while own and own[0][0] <= seen:
                    self.lags.append(time.monotonic() - own.popleft()[1])


class Watch:
    """What can be seen from outside while the worker runs: samples, memory, the log. Renews the records of a look."""

    def __init__(self, store: Store, path: Path, devices: int, pid: int, clock: Callable[[], float]) -> None:
        self._store, self._log, self._pid, self._clock = store, Path(f"{path}-wal"), pid, clock
        chosen = Random(1).sample(range(devices), min(devices, SAMPLED + LOOKED_AT))
        self.sampled, self.looked_at = chosen[LOOKED_AT:] or chosen, chosen[:LOOKED_AT]
        self.tile, self.day, self.chart = (
            Sample({number: deque() for number in numbers}, place)
            for numbers, place in (
                (self.sampled, self._in_live),
                (self.sampled, self._in_day),
                (self.looked_at, self._in_day),
            )
        )
        self.wal, self.own_memory, self._stop = 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._renew()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Look a last time. Raises AssertionError if a reading has not arrived."""
        for name, sample in (("the live state", self.tile), ("the day", self.day), ("the day looked at", self.chart)):
            sample.look()
            lost = sum(map(len, sample.waiting.values()))
            assert not lost, f"{lost} readings never arrived in {name}"

    def add(self, number: int, at: int, due: float) -> None:
        for sample in (self.tile, self.day, self.chart):
            sample.add(number, at, due)

    def memory_mb(self, name: str) -> int:
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // 1024

    def _run(self) -> None:
        paces = (
            (TILE_S, self.tile.look),
            (LOOK_S, self.chart.look),
            (DAY_PACE_S, self.day.look),
            (DAY_PACE_S, self._measure),
            (RENEW_S, self._renew),
        )
        following = dict.fromkeys((look for _, look in paces), time.monotonic())
        while not self._stop.wait(TILE_S):
            for pace, look in paces:
                if time.monotonic() >= following[look]:
                    look()
                    following[look] = time.monotonic() + pace

    def _measure(self) -> None:
        self.wal = max(self.wal, self._log.stat().st_size)
        self.own_memory = max(self.own_memory, self.memory_mb("RssAnon"))

    def _renew(self) -> None:
        with self._store.transaction():
            for number in self.looked_at:
                self._store.put_record(
                    WATCHED.of(), device_name(number), "{}", expires=WATCHED.expires(int(self._clock()))
                )

    def _in_live(self, device_id: str, _at: int) -> int:
        live = self._store.live(device_id)
        return live.at if live else 0

    def _in_day(self, device_id: str, at: int) -> int:
        """A day is covered without a gap up to the last reading that it has."""
        start = MIDNIGHT if at > MIDNIGHT else MIDNIGHT - DAY_S
        document = self._store.document("day", device_id, day_of(start, ZONE))
        return start + (document.total.covered_s if document else 0)


# The run


@contextmanager
def worker(
    folder: Path, path: Path, broker_url: str, shift: float, most: int, profile: str
) -> "Iterator[tuple[subprocess.Popen[bytes], Connection[list[Message], int]]]":
    """Start the worker and wait until it takes messages. Ends it, and shows its log if it has ended by itself."""
    link, its_end = Pipe()
    command = [sys.executable, "-m", "tests.bench.live_worker", str(shift), str(its_end.fileno()), str(most), profile]
    command += ["worker", "--store", f"sqlite:///{path}", "--mqtt", broker_url, "--topic", "wattfall/+/readings"]
    with (folder / "worker.log").open("wb") as log, its_end:
        process = subprocess.Popen(command, stderr=log, pass_fds=[its_end.fileno()])
    try:
        assert link.recv() == 0
        yield process, link
    except (EOFError, OSError):
        sys.exit(f"the worker has ended: {(folder / 'worker.log').read_text()[-3000:]}")
    finally:
        process.terminate()
        process.wait()


def settled(store: Store, process: "subprocess.Popen[bytes]") -> float:
    """Wait until nothing is dirty. Returns the seconds."""
    began = time.monotonic()
    while store.backlog().waiting:
        assert process.poll() is None, "the worker has ended"
        time.sleep(0.25)
    return time.monotonic() - began


def bytes_a_reading(path: Path, store: Store, numbers: Iterable[int]) -> float:
    """Of the packed half hours of some devices, keys and row headers included."""
    size = count = 0
    with closing(sqlite3.connect(path)) as database:
        for device_id in map(device_name, numbers):
            query = "SELECT start, length(body) + length(device_id) + 16 FROM readings WHERE device_id = ?"
            for start, length in database.execute(query, (device_id,)).fetchall():
                size, count = size + length, count + len(store.readings(device_id, start, start))
    return round(size / count, 2)


def live(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run a fleet, at its pace or (`mqtt10`) all at once, and measure."""
    path, is_flood = folder / "live.db", options.mode == "mqtt10"
    start, began = MIDNIGHT - options.seconds // 2 - LEAD_S, time.monotonic()
    fill(path, options.devices, start)
    say(options, f"filled in {time.monotonic() - began:.0f} s: {path.stat().st_size / 1e6:,.0f} MB")
    shift, at_once = start + options.seconds * is_flood - time.time(), 10 if is_flood else UNACKNOWLEDGED
    with (
        broker_in(folder) if options.mqtt or is_flood else nullcontext() as broker,
        worker(folder, path, broker.url if broker else PIPE, shift, at_once, options.profile) as (process, link),
        closing(SqliteStore(str(path), lambda: time.time() + shift)) as store,
    ):
        watch = Watch(store, path, options.devices, process.pid, lambda: time.time() + shift)
        publish, most = (
            (publisher(broker.port), options.devices * options.seconds) if broker else (link.send, UNACKNOWLEDGED)
        )
        feeder = Feeder(link, publish, most, watch.add)
        first = start + 1 if is_flood else ceil(time.time() + shift) + 1
        due = time.monotonic() + (0 if is_flood else first - time.time() - shift)
        used = devices_in._cpu(process.pid)
        with watch:
            feeder.run(messages(options.devices, first, options.seconds, due, 0 if is_flood else 1))
            taken, settling = time.monotonic() - due, settled(store, process)
            used = devices_in._cpu(process.pid) - used
        watch.check()
        say(options, f"all acknowledged {taken:.1f} s after the first was due, settled {settling:.1f} s later")
        share = used / (taken + settling)  # below 1 with a backlog: the machine gave the worker no more
        say(options, f"CPU {used:.1f} s, {share:.0%} of a core; memory without mapped pages {watch.own_memory} MB")
        say(options, f"the fleet itself was late by {feeder.late:.2f} s at most")
        rate = {"devices": options.devices, "readings": feeder.sent, "readings_per_cpu_s": round(feeder.sent / used)}
        return rate if is_flood else rate | lags(watch, feeder) | sizes(watch, path, store)


def lags(watch: Watch, feeder: Feeder) -> dict[str, float]:
    return {
        "tile_lag_p99_s": p99(watch.tile.lags),
        "day_lag_p99_s": p99(watch.day.lags),
        "looked_at_lag_p99_s": p99(watch.chart.lags),
        "longest_pause_s": round(feeder.longest_pause, 2),
    }


def sizes(watch: Watch, path: Path, store: Store) -> dict[str, float]:
    return {
        "rss_mb": watch.memory_mb("VmHWM"),
        "wal_mb": round(watch.wal / 1e6, 1),
        "bytes_a_reading": bytes_a_reading(path, store, watch.sampled),
    }


def say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text, flush=True)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live")
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--mode", choices=("live", "mqtt10", "http"), default="live")
    parser.add_argument("--mqtt", action="store_true", help="through a real mosquitto")
    parser.add_argument("--profile", default="", metavar="FILE", help="cProfile of the worker; slows it down")
    parser.add_argument("--folder", help="where the store is made and removed again [the system's]")
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the store goes away, also when it is killed
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        is_http = options.mode == "http"
        result = devices_in.side_by_side(folder, options.seconds) if is_http else live(options, Path(folder))
    for name, value in result.items():
        say(options, f"{name:<34}{value:>12,}")
    print(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
