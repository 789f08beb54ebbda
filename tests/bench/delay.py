"""How long one device can delay another: run by hand, `python -m tests.bench.delay`.

A device sends 1,000 messages of the worst kind over MQTT: 320 readings each, of all its meters, in shuffled half hours
of the whole retention, with glitches and contradictions. Meanwhile another device sends a reading now and then through
the same broker to the same worker. The last line of the output is JSON.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import orjson

from aggregator.core.periods import DAY_S, RETENTION_DAYS, day_of, iso_utc
from aggregator.store import Store, open_store
from tests.aggregator.intake.brokers import Publisher, broker_in

MESSAGES, READINGS = 1000, 320
WORST, OTHER = "worst", "other"
METERS = [WORST, *(f"{WORST}~{number}" for number in range(1, 10)), f"{WORST}~gas"]
PAUSE_S = 0.1  # between two readings of the other device
LONGEST_S = 120.0  # patience with one reading
MEASURED_S = 30.0  # after the last of the messages; to work through them takes minutes


def messages() -> Iterator[tuple[str, bytes]]:
    """Yield topics and payloads of the worst kind."""
    chance, now = Random(1), int(time.time())
    for _ in range(MESSAGES):
        items = []
        for at in chance.sample(range(now - (RETENTION_DAYS - 1) * DAY_S, now), READINGS):
            true = 10**6 + at % 10**7 // 10
            register = chance.choice([true, true, true, 0, true // 2, 10**11, true + 3000])
            items.append({"device_id": chance.choice(METERS), "at": iso_utc(at), "power_w": chance.randrange(9000)})
            items[-1] |= {"import_wh": register, "export_wh": chance.choice([true, 0])}
        yield f"wattfall/{WORST}/readings", orjson.dumps(items)


class Delays:
    """Send the other device's readings, one after another, and measure their ways."""

    def __init__(self, store: Store, publisher: Publisher) -> None:
        self._store, self._publisher = store, publisher
        self._wh, self._at = 5000, 0
        self.live: list[float] = []
        self.day: list[float] = []

    def measure(self) -> None:
        """Send one reading, and wait for its live state and its day chart."""
        self._wh, self._at = self._wh + 3, max(int(time.time()), self._at + 1)
        wh, at = self._wh, self._at
        body = orjson.dumps({"at": iso_utc(at), "power_w": 300, "import_wh": wh})
        began = time.perf_counter()
        self._publisher.publish(f"wattfall/{OTHER}/readings", body)
        self.live.append(self._until(lambda: self._live_wh() == wh) - began)
        self.day.append(self._until(lambda: self._day_wh() == wh - 5003) - began)

    def _live_wh(self) -> int | None:
        live = self._store.live(OTHER)
        return live.import_wh if live else None

    def _day_wh(self) -> int | None:
        document = self._store.document("day", OTHER, day_of(self._at, "UTC"))
        return document.total.import_wh if document else None

    def _until(self, is_true: Callable[[], bool]) -> float:
        until = time.perf_counter() + LONGEST_S
        while not is_true() and time.perf_counter() < until:
            time.sleep(0.002)
        return time.perf_counter()


def first_day(delays: Delays, store: Store, publisher: Publisher) -> None:
    """Send readings until the worker has subscribed and made the day chart."""
    while store.live(OTHER) is None:
        publisher.publish(
            f"wattfall/{OTHER}/readings", orjson.dumps({"at": iso_utc(int(time.time())), "import_wh": 5003})
        )
        time.sleep(0.3)
    delays._wh, delays._at = 5003, int(time.time())


def run(folder: str) -> dict[str, object]:
    """Return the delays of the other device, in seconds."""
    url = f"sqlite:///{folder}/delay.db"
    store = open_store(url)
    with broker_in(Path(folder)) as broker:
        command = [sys.executable, "-m", "dashboard.commands.main", "worker", "--store", url, "--mqtt", broker.url]
        with subprocess.Popen([*command, "--topic", "wattfall/#"], stderr=subprocess.DEVNULL) as worker:
            publisher, worst = Publisher(broker.port), Publisher(broker.port)
            delays = Delays(store, publisher)
            first_day(delays, store, publisher)
            for _ in range(5):
                delays.measure()
            usual = statistics.median(delays.live), statistics.median(delays.day)
            delays.live, delays.day = [], []
            flood = threading.Thread(target=worst.flood, args=(list(messages()),))
            flood.start()
            until = time.perf_counter() + MEASURED_S
            while time.perf_counter() < until:
                delays.measure()
                time.sleep(PAUSE_S)
                until = time.perf_counter() + MEASURED_S if flood.is_alive() else until
            worker.terminate()
    return {
        "messages": MESSAGES,
        "readings": MESSAGES * READINGS,
        "usual_live_s": round(usual[0], 3),
        "usual_day_s": round(usual[1], 3),
        "measured": len(delays.live),
        "live_s": round(max(delays.live), 3),
        "day_s": round(max(delays.day), 3),
        "median_live_s": round(statistics.median(delays.live), 3),
        "median_day_s": round(statistics.median(delays.day), 3),
    }


def main() -> None:
    """Print the longest delays."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run(folder)))


if __name__ == "__main__":
    main()
