"""Throughput, read times and sizes of the embedded store; run by hand: `python -m tests.bench.waterfall`."""

import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random

import orjson

from aggregator.commands.edge_command import chunks
from aggregator.core.documents import Part
from aggregator.core.periods import FOR_EVER, half_hours, slots
from aggregator.core.readings import Reading
from aggregator.intake.ingest import Outcome, ingest, ingest_lines
from aggregator.store import Store, open_store
from aggregator.waterfall.worker import drain

DEVICES, HOURS = 100, 6
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
NOW = START + HOURS * 3600


def tick_order(end: int = NOW) -> Iterator[tuple[int, int]]:
    """Device and instant: every device at one instant, then the next instant."""
    return ((device, at) for at in range(START, end, 10) for device in range(DEVICES))


def block_order(end: int = NOW) -> Iterator[tuple[int, int]]:
    """Device and instant: a half hour of one device, then the next device."""
    return (
        (device, at)
        for half_hour in range(START, end, 1800)
        for device in range(DEVICES)
        for at in range(half_hour, half_hour + 1800, 10)
    )


def json_lines(order: Iterable[tuple[int, int]]) -> bytes:
    """Readings of homes with a noisy power and a register that follows it."""
    chance, watt_seconds = Random(1), dict.fromkeys(range(DEVICES), 3_600_000_000)
    lines = []
    for device, at in order:
        power = int(chance.lognormvariate(5.8, 1.0))
        watt_seconds[device] += power * 10
        instant = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        reading = {"device_id": f"cad-{device:05d}", "at": instant, "power_w": power}
        lines.append(orjson.dumps(reading | {"import_wh": watt_seconds[device] // 3600, "export_wh": 0}))
    return b"\n".join(lines)


@contextmanager
def new_store() -> Iterator[tuple[Store, Path]]:
    """A store in a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        store = open_store(f"sqlite:///{path}")
        yield store, path
        store.close()


def throughput(name: str, order: Iterable[tuple[int, int]]) -> None:
    """From JSON Lines on disk to every level settled, in one process."""
    with new_store() as (store, path):
        source, outcome = path.with_suffix(".jsonl"), Outcome()
        source.write_bytes(json_lines(order))
        started, used = time.perf_counter(), time.process_time()
        with source.open("rb") as stream:
            for lines in chunks(stream):
                ingest_lines(store, lines, 1, NOW, "Europe/London", outcome, lambda *_: None)
        taken_in = time.perf_counter()
        drain(store)
        settled, cpu = time.perf_counter(), time.process_time() - used
        count = outcome.accepted
        print(f"{name:<28} {count:>9,} readings  {count / (settled - started):>9,.0f}/s", end="")
        print(f"  (taken in {count / (taken_in - started):,.0f}/s, per CPU second {count / cpu:,.0f})")
        store.pack(FOR_EVER, 1_000_000)
        per_reading = block_bytes(path) / count
    print(f"{'bytes a reading on disk':<28} {per_reading:.2f} in readings alone")


def block_bytes(path: Path) -> int:
    """The bytes that rows of readings take, keys and row headers included."""
    with closing(sqlite3.connect(path)) as database:
        (size,) = database.execute("SELECT sum(length(body) + length(device_id) + 16) FROM readings").fetchone()
    return int(size)


def full_day(random: Random) -> dict[str, Part]:
    """A day document with every part, each different."""
    names = [slot.name for slot in (*slots("day", "2026-11-01", "UTC"), *half_hours("2026-11-01", "UTC"))]
    return {name: Part(random.randrange(3000), random.randrange(300), 0, 0, 1800, 0) for name in names}


def document_read(devices: int) -> float:
    """Median microseconds to read a day document of any device, cold in no particular way."""
    with new_store() as (store, _):
        random = Random(2)
        with store.transaction():
            for device in range(devices):
                store.merge_parts("day", f"cad-{device:05d}", "2026-11-01", "UTC", full_day(random))
        for change in iter(lambda: store.changes("day", 10_000), []):
            store.settle(change)
        times = []
        for _ in range(20_000):
            device = random.randrange(devices)
            began = time.perf_counter_ns()
            store.document("day", f"cad-{device:05d}", "2026-11-01")
            times.append(time.perf_counter_ns() - began)
    return statistics.median(times) / 1000


def to_screen() -> tuple[float, float]:
    """Seconds from a reading to the live state, and to the day document, with a worker process beside."""
    with new_store() as (store, path):
        url = f"sqlite:///{path}"
        worker = subprocess.Popen(
            [sys.executable, "-m", "dashboard.commands.main", "worker", "--store", url], stderr=subprocess.DEVNULL
        )
        time.sleep(2)
        live, day = [], []
        for number in range(1, 20):
            began = time.perf_counter()
            ingest(store, [Reading("cad-1", START + number * 10, 360, number, 0)], NOW, "UTC")
            live.append(_when(partial(_live_is, store, START + number * 10)) - began)
            day.append(_when(partial(_day_covers, store, (number - 1) * 10)) - began)
        worker.terminate()
        worker.wait()
    return statistics.median(live), statistics.median(day[1:])


def _live_is(store: Store, at: int) -> bool:
    live = store.live("cad-1")
    return live is not None and live.at == at


def _day_covers(store: Store, seconds: int) -> bool:
    document = store.document("day", "cad-1", "2026-11-01")
    return (document.total.covered_s if document else 0) == seconds


def _when(is_true: Callable[[], bool]) -> float:
    while not is_true():
        time.sleep(0.001)
    return time.perf_counter()


def main() -> None:
    """Print the table."""
    throughput("tick order, 100 devices", tick_order())
    throughput("half-hour order", block_order())
    reads = {devices: document_read(devices) for devices in (10, 1000, 10_000)}
    for devices, microseconds in reads.items():
        ratio = microseconds / reads[10]
        print(f"{'day document read':<28} {devices:>6,} devices  {microseconds:>6.1f} µs  x{ratio:.2f}")
    live, day = to_screen()
    print(f"{'reading to live state':<28} {live * 1000:.1f} ms\n{'reading to day document':<28} {day * 1000:.0f} ms")


if __name__ == "__main__":
    main()
