"""A fleet at 10 s for `live`: its readings, and a store with a day of history of every device, filled fast.

A few homes are stored by the product itself; the other devices are copies of their rows. The history ends within a half
hour, whose readings lie in the store as they came.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from itertools import accumulate
from math import sin
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

import orjson
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from aggregator.core.periods import DAY_S, HALF_HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.sqlite.sqlite_schema import CHECKED, check_value
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import crc_of
from aggregator.waterfall.worker import drain

ZONE = "Europe/London"
MIDNIGHT = int(datetime(2026, 11, 11, tzinfo=UTC).timestamp())  # in London, too
FIRST = MIDNIGHT - DAY_S - HALF_HOUR  # the day's first half hour has an anchor before it
HOMES, TICK_S = 4, 10
ORIGINALS = HOMES * TICK_S  # of the copies: a home at each second of a tick
Message = tuple[str, bytes, int]  # topic, payload, number


# Its history


def device_name(number: int) -> str:
    return f"cad-{number:06d}"


@cache
def topic(number: int) -> str:
    return f"wattfall/{device_name(number)}/readings"


@cache
def watt_seconds(home: int, export: bool) -> list[int]:
    """A register of a home at each second from FIRST to an hour after MIDNIGHT; every other home has sun at noon."""
    chance, powers = Random(home), list[int]()
    for at in range(FIRST, MIDNIGHT + 3600, TICK_S):
        sun = 4000 * max(0.0, sin((at - MIDNIGHT) % DAY_S / DAY_S * 6.2832 - 1.5708)) if home % 2 else 0
        powers += [round(chance.lognormvariate(5.8, 1.0) - sun)] * TICK_S
    return list(accumulate((max(-power if export else power, 0) for power in powers), initial=4_000_000 * 3600))


def reading(number: int, at: int) -> Reading:
    """The reading of a device at one of its own instants."""
    imported, exported = (watt_seconds(number // TICK_S % HOMES, export) for export in (False, True))
    second = at - FIRST
    power = imported[second + 1] - imported[second] - exported[second + 1] + exported[second]
    return Reading(device_name(number), at, power, imported[second] // 3600, exported[second] // 3600)


def own_instants(number: int, start: int, end: int) -> range:
    return range(start + (number - start) % TICK_S, end, TICK_S)


def fill(path: Path, devices: int, end: int) -> None:
    """Make a store with a day of history up to `end`: the product's own work for a few devices, copied for the rest."""
    with closing(SqliteStore(str(path), lambda: end)) as store:
        originals, half_hour = range(min(devices, ORIGINALS)), end - end % HALF_HOUR
        for number in originals:
            ingest(store, [reading(number, at) for at in own_instants(number, FIRST, half_hour)], half_hour, ZONE)
        store.pack(half_hour, 100 * ORIGINALS)
        for second in range(half_hour, end):  # as live readings come, so that they are not packed
            ingest(store, [reading(one, second) for one in originals if (second - one) % TICK_S == 0], second, ZONE)
        drain(store)
        with store.transaction():
            for number in range(ORIGINALS, devices):
                own = store.device(device_name(number % ORIGINALS))
                assert own
                store.put_device(replace(own, device_id=device_name(number)))
    copy_rows(path, range(ORIGINALS, devices))


def copy_rows(path: Path, numbers: Sequence[int]) -> None:
    """Copy all rows of the original devices to others, whatever tables there are; the registry is not among them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.create_function("check_value", -1, crc_of, deterministic=True)
        database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY; BEGIN")
        database.execute("CREATE TEMP TABLE copies (device_id TEXT, original TEXT)")
        names = ((device_name(number), device_name(number % ORIGINALS)) for number in numbers)
        database.executemany("INSERT INTO copies VALUES (?, ?)", names)
        for (table,) in database.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            if "device_id" in columns and table not in ("devices", "device_terms", "changes"):
                database.execute(f"CREATE TEMP TABLE own_{table} AS SELECT * FROM main.{table}")
                database.execute(f"CREATE INDEX temp.of_{table} ON own_{table} (device_id)")
                known = {one: f"own.{one}" for one in columns} | {"device_id": "copies.device_id"}
                if table in CHECKED:  # of the copy
                    known["check_value"] = check_value(map(known.__getitem__, CHECKED[table]))
                values = ", ".join(known.values())
                origin = f"copies CROSS JOIN own_{table} AS own ON own.device_id = copies.original"
                database.execute(f"INSERT INTO main.{table} SELECT {values} FROM {origin}")
        database.execute("COMMIT")


@cache
def body(original: int, at: int) -> bytes:
    """The message of a device that is like one of the ORIGINALS."""
    values = reading(original, at)._asdict() | {"at": iso_utc(at), "device_id": None}
    return orjson.dumps({name: value for name, value in values.items() if value is not None})


def messages(devices: int, first: int, seconds: int, began: float, pace: float) -> Iterator[tuple[float, int, int]]:
    """Each second a tenth of the devices: when a message is due, its device and instant. A pace of 0: all at once."""
    for at in range(first, first + seconds):
        own = range(at % TICK_S, devices, TICK_S)
        for place, number in enumerate(own):
            yield began + pace * (at - first + place / len(own)), number, at


@dataclass
class Feeder:
    """The fleet: it sends by its clock, and counts what the worker acknowledges."""

    link: "Connection[list[Message], int]"
    publish: Callable[[list[Message]], object]
    most: int  # messages on their way
    note: Callable[[int, int, float], object]  # device, instant, due
    sent: int = 0
    acknowledged: int = 0
    longest_pause: float = 0.0
    late: float = 0.0  # the longest that the fleet has sent after its time, for its own reasons
    _free: float = 0.0  # from when it could send again
    _since: float = 0.0  # the last acknowledgement, or the first message that waits

    def run(self, messages: Iterator[tuple[float, int, int]]) -> None:
        """Send messages (due, device, instant) and wait until all are acknowledged."""
        following = next(messages, None)
        waiting = deque[Message]()
        while following or waiting or self.acknowledged < self.sent:
            while following and following[0] <= time.monotonic():
                due, number, at = following
                self.note(number, at, due)
                self.late = max(self.late, time.monotonic() - max(due, self._free))
                if not waiting and self.acknowledged == self.sent:
                    self._since = due
                waiting.append((topic(number), body(number % ORIGINALS, at), self.sent + len(waiting) + 1))
                following = next(messages, None)
            self._pass_on(waiting)
            self._count(0.01)

    def _pass_on(self, waiting: "deque[Message]") -> None:
        room = min(len(waiting), self.most - self.sent + self.acknowledged)
        if room > 0:
            self.publish([waiting.popleft() for _ in range(room)])  # waits while the worker reads nothing
            self._free = time.monotonic()
            self.sent += room

    def _count(self, wait_s: float) -> None:
        """Take the acknowledgements that have come."""
        if self.acknowledged == self.sent:
            time.sleep(wait_s)
            return
        has_come = self.link.poll(wait_s)
        self.longest_pause = max(self.longest_pause, time.monotonic() - self._since)
        while has_come:
            self.acknowledged, self._since = self.acknowledged + self.link.recv(), time.monotonic()
            has_come = self.link.poll(0)


def publisher(port: int) -> Callable[[list[Message]], object]:
    """A client of a broker, through which the whole fleet sends."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "fleet", protocol=paho.MQTTv5)
    client.max_inflight_messages_set(2000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    return lambda some: [client.publish(topic, body, 1) for topic, body, _ in some]
