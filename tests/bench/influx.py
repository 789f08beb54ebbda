"""Wattfall beside InfluxDB 1.6 in one run; run by hand: `python -m tests.bench.influx [--hours 24] [--json]`.

Both take in the same readings of 100 devices, each in its own text: Wattfall JSON Lines in one process, so on one core;
InfluxDB its line protocol over one HTTP connection, on all cores. A commit is durable before the next one. Then all
levels are made: by Wattfall half hours, hours, days, months and years with costs; by InfluxDB half hours, hours and
days, with what its continuous queries run, over the whole time, each level from the one below. Neither includes what
comes later in the background, the packing of half hours and the compaction of shards. `ratio` is by the clock, as on
two cores that nobody else uses; `cpu_ratio`, by CPU seconds, also means something on a busy machine.

InfluxDB is Debian's package, unpacked into a folder that goes away; nothing is installed.
"""

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import orjson

from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.brokers import free_port
from tests.bench.devices_in import _cpu
from tests.bench.waterfall import START, block_order, json_lines, new_store, tick_order

Order = Callable[[int], Iterator[tuple[int, int]]]  # end -> devices and instants
ROWS: tuple[tuple[str, int, Order], ...] = (
    ("commits of 5,000, tick order", 5000, tick_order),
    ("commits of 5,000, half-hour order", 5000, block_order),
    ("commits of 100, tick order", 100, tick_order),
)
LEVELS = (
    ("half_hours", "30m", "readings", "spread"),
    ("hours", "1h", "half_hours", "sum"),
    ("days", "1d", "hours", "sum"),
)
CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
log-enabled = false
[logging]
level = "error"
"""


class Rate(NamedTuple):
    """How fast one of the two was."""

    a_second: float
    a_cpu_second: float


def wattfall(lines: Sequence[bytes], commit: int, end: int) -> Rate:
    """Take in JSON Lines, a commit at a time, and settle every level."""

    def refuse(number: int, why: Exception) -> None:
        raise AssertionError(f"line {number}: {why}")

    with new_store() as (store, _):
        outcome = Outcome()
        began, used = time.perf_counter(), time.process_time()
        for first in range(0, len(lines), commit):
            ingest_lines(store, lines[first : first + commit], first + 1, end, "Europe/London", outcome, refuse)
        drain(store)
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        assert outcome.accepted == len(lines)
    return Rate(len(lines) / seconds, len(lines) / cpu)


def influxdb(program: Path, bodies: Sequence[bytes], readings: int, end: int) -> Rate:
    """Post line protocol, a commit at a time, and make every level."""
    with served(program) as (ask, process):
        ask("/query", {"q": "CREATE DATABASE bench"}, b"")
        for level, width, child, function in LEVELS:
            query = statement(level, width, child, function)
            ask("/query", {"q": f"CREATE CONTINUOUS QUERY {level} ON bench BEGIN {query} END"}, b"")
        began, used = time.perf_counter(), _cpu(process.pid)
        for body in bodies:
            ask("/write", {"db": "bench", "precision": "s"}, body)
        for level, width, child, function in LEVELS:
            span = f"WHERE time >= {START}s AND time < {end}s"
            ask("/query", {"db": "bench", "q": statement(level, width, child, function, span)}, b"")
        seconds, cpu = time.perf_counter() - began, _cpu(process.pid) - used
        answer = json.loads(ask("/query", {"db": "bench", "q": "SELECT sum(readings) FROM days"}, b""))
        assert answer["results"][0]["series"][0]["values"][0][1] == readings, answer
    return Rate(readings / seconds, readings / cpu)


def statement(level: str, width: str, child: str, function: str, span: str = "") -> str:
    """What a continuous query runs, for a span of time by hand."""
    counted = "count(power_w)" if child == "readings" else "sum(readings)"
    values = f"{function}(import_wh) AS import_wh, {function}(export_wh) AS export_wh, {counted} AS readings"
    return f"SELECT {values} INTO {level} FROM {child} {span} GROUP BY time({width}), device_id"


def line_protocol(lines: Iterable[bytes], commit: int) -> Iterator[bytes]:
    """The same readings as InfluxDB takes them, a body a commit."""
    texts = [
        f"readings,device_id={one['device_id']} power_w={one['power_w']}i,import_wh={one['import_wh']}i,"
        f"export_wh={one['export_wh']}i {at}"
        for one, at in ((one, int(datetime.fromisoformat(one["at"]).timestamp())) for one in map(orjson.loads, lines))
    ]
    return ("\n".join(texts[first : first + commit]).encode() for first in range(0, len(texts), commit))


@contextmanager
def unpacked() -> Iterator[Path]:
    """The program of Debian's package. Exits with a line where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["apt-get", "download", "influxdb"], cwd=folder, capture_output=True, check=True)
            subprocess.run(["dpkg", "-x", *Path(folder).glob("*.deb"), folder], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit("InfluxDB is not here to compare with: `apt-get download influxdb` finds no package")
        yield Path(folder) / "usr/bin/influxd"


Ask = Callable[[str, dict[str, str], bytes], bytes]  # path, query, body -> answer


@contextmanager
def served(program: Path) -> "Iterator[tuple[Ask, subprocess.Popen[bytes]]]":
    """An empty InfluxDB, and how to ask it over one connection."""
    with tempfile.TemporaryDirectory() as folder:
        port, config = free_port(), Path(folder) / "influxdb.conf"
        config.write_text(CONFIG.format(folder=folder, port=port, rpc=free_port()))
        process = subprocess.Popen([program, "-config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not is_up(port):
            time.sleep(0.05)
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def ask(path: str, query: dict[str, str], body: bytes) -> bytes:
            connection.request("POST", f"{path}?{urlencode(query)}", body)
            answer = connection.getresponse()
            text = answer.read()
            assert (answer.status in (200, 204), b'"error"' in text) == (True, False), text
            return text

        try:
            yield ask, process
        finally:
            process.terminate()
            process.wait()


def is_up(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def compare(
    program: Path, order: Callable[[int], Iterator[tuple[int, int]]], commit: int, end: int
) -> dict[str, float]:
    """Both, one after the other."""
    lines = json_lines(order(end)).split(b"\n")
    theirs = influxdb(program, [*line_protocol(lines, commit)], len(lines), end)
    ours = wattfall(lines, commit, end)
    return {
        "wattfall_per_s": round(ours.a_second),
        "influxdb_per_s": round(theirs.a_second),
        "ratio": round(ours.a_second / theirs.a_second, 2),
        "wattfall_per_cpu_s": round(ours.a_cpu_second),
        "influxdb_per_cpu_s": round(theirs.a_cpu_second),
        "cpu_ratio": round(ours.a_cpu_second / theirs.a_cpu_second, 2),
    }


def main() -> None:
    """Print a row each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.influx")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--json", action="store_true", help="print nothing but the last line")
    options = parser.parse_args()
    results = {}
    with unpacked() as program:
        for name, commit, order in ROWS:
            row = results[name] = compare(program, order, commit, START + options.hours * 3600)
            if not options.json:
                print(f"{name:<34}", *(f"{key} {value:,}" for key, value in row.items()), sep="  ", flush=True)
    print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
