"""A live fleet in virtual time; run by hand: `python -m tests.bench.live_virtual --devices N --seconds S [--steady]`.

As `live`, but the clock of the worker is its own CPU time, and the time that it would have waited is skipped. Therefore
ten minutes of a fleet take as long as their work, and other processes of the machine take nothing from it. Not measured
are waits for the disk; counted is also what it costs to hand over the messages, about 2 microseconds each.

It prints each minute: readings by CPU second, and the longest time from when a message was due to its acknowledgement.
The first minutes hold the start of each device, the half hour's end the packing and, at midnight, a new day.
`--steady` begins after a half hour's start, so that a run of up to 28 minutes holds neither. The last line is JSON.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson

MIDNIGHT = int(datetime(2026, 11, 11, tzinfo=UTC).timestamp())  # of `live_fleet`, which imports the product
MINUTE_S, LOOK_S = 60, 5.0
STEADY_S = 1740  # before midnight: a minute after the start of the half hour
Message = tuple[float, object]  # when it is due, and as it arrives
MOST = 500  # unacknowledged messages, as at a broker


class VirtualClock:
    """CPU time of this process, and what was skipped; from `start` on, UTC seconds."""

    def __init__(self, start: float) -> None:
        self._offset = start - time.process_time()

    def now(self) -> float:
        return self._offset + time.process_time()

    def skip(self, seconds: float) -> None:
        self._offset += seconds


class VirtualFleet:
    """In place of a subscriber: each message arrives when it is due; the worker is stopped when all is settled."""

    def __init__(
        self, clock: VirtualClock, start: int, messages: Iterator[Message], is_settled: Callable[[], bool]
    ) -> None:
        self._clock, self._start, self._messages, self._is_settled = clock, start, messages, is_settled
        self._following = next(messages, None)
        self._dues = deque[float]()
        self._sent = self._reported = 0
        self._lag, self._minute, self._next_look = 0.0, float(start + MINUTE_S), 0.0
        self._began = self._used = time.process_time()

    def take(self, wanted: int, wait_s: float) -> list[Any]:
        """Return what is due, and skip the time until something is."""
        now, taken = self._clock.now(), list[Any]()
        if self._following is None and now >= self._next_look:
            self._look(now)
        until = min(self._following[0], now + wait_s) if self._following else now + wait_s
        if until > now and not self._dues:
            self._clock.skip(until - now)
            now = until
        while self._following and self._following[0] <= now and len(taken) < min(wanted, MOST):
            due, arrived = self._following
            self._sent += 1
            self._dues.append(due)
            taken.append(arrived)
            self._following = next(self._messages, None)
        return taken

    def acknowledge(self, acknowledged: Iterable[object]) -> None:
        now = self._clock.now()
        for _ in acknowledged:
            self._lag = max(self._lag, now - self._dues.popleft())
        if now >= self._minute:
            used, count = time.process_time() - self._used, self._sent - self._reported
            rate, after = count / used, now - self._start
            print(f"{after:6.0f} s {rate:8,.0f} readings/CPU s, acknowledged within {self._lag:.2f} s", flush=True)
            self._minute, self._used, self._reported, self._lag = now + MINUTE_S, used + self._used, self._sent, 0.0

    def close(self) -> None:
        """Nothing is open."""

    def _look(self, now: float) -> None:
        """Print the whole rate and stop the worker, once nothing is dirty."""
        self._next_look = now + LOOK_S
        if self._is_settled():
            rate = round(self._sent / (time.process_time() - self._began))
            print(orjson.dumps({"readings": self._sent, "readings_per_cpu_s": rate}).decode(), flush=True)
            os.kill(os.getpid(), signal.SIGTERM)


def work(path: str, devices: int, start: int, seconds: int) -> None:
    """Run `wattfall worker` on a filled store until all messages are acknowledged and settled."""
    clock = VirtualClock(start)
    with patch("time.time", clock.now), patch("time.monotonic", clock.now), patch("time.sleep", clock.skip):
        from aggregator.intake import mqtt
        from aggregator.store.sqlite.sqlite_store import SqliteStore
        from dashboard.commands.main import main as wattfall
        from tests.bench.live_fleet import ORIGINALS, body, messages, topic

        store = SqliteStore(path, clock.now)
        arrivals = (
            (due, mqtt.Arrived(topic(number), body(number % ORIGINALS, at), 1, count, 1))
            for count, (due, number, at) in enumerate(messages(devices, start + 1, seconds, start + 1, 1), 1)
        )
        fleet = VirtualFleet(clock, start, arrivals, lambda: not store.backlog().waiting)
        with patch.object(mqtt, "Subscriber", lambda *_: fleet):
            broker = ["--mqtt", "mqtt://virtual/", "--topic", "wattfall/+/readings"]
            wattfall(["worker", "--store", f"sqlite:///{path}", *broker])


def main() -> None:
    """Fill a store, and run the worker on it in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.live_virtual")
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--steady", action="store_true", help="within a half hour")
    parser.add_argument("--folder", help="where the store is made and removed again [the system's]")
    parser.add_argument("--filled", help=argparse.SUPPRESS)
    options = parser.parse_args()
    start = MIDNIGHT - (STEADY_S if options.steady else options.seconds // 2)
    if options.filled:
        work(options.filled, options.devices, start, options.seconds)
        return
    from tests.bench.live_fleet import fill

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "live.db"
        fill(path, options.devices, start)
        subprocess.run([sys.executable, "-m", "tests.bench.live_virtual", *sys.argv[1:], "--filled", path], check=True)


if __name__ == "__main__":
    main()
