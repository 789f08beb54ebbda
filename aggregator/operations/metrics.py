"""What is seen from outside: metrics for Prometheus, and whether an installation is ready.

Each process counts what it does itself. The processes of one `wattfall web` add their counts up in files of one folder
(`PROMETHEUS_MULTIPROC_DIR`); the worker also tells what the store holds, at an address of its own.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from aggregator.core.errors import ConfigurationError, WattfallError
from aggregator.intake.ingest import Outcome
from aggregator.operations.backup import newest_age_s
from aggregator.settings import Settings
from aggregator.store import file_of, pages
from aggregator.store.collections import HOME, MARKS
from aggregator.store.port import Store, feeds
from aggregator.store.sqlite.sqlite_file import SqliteFile
from aggregator.waterfall.pricing import PRICES

if TYPE_CHECKING:
    from prometheus_client.core import GaugeMetricFamily

PATIENCE_S = 1.0  # for the store's answer
LAG_LIMIT_S = 600  # of the worker; a large fleet's day charts follow after 45 s
AGAIN_S = 60.0  # between two readings of all live states
SHARES = (0.5, 0.9, 0.99, 1.0)  # of the devices
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # s
TEXT = "text/plain; version=0.0.4; charset=utf-8"
Gauges = Callable[[], Iterable["GaugeMetricFamily"]]
log = logging.getLogger("wattfall.metrics")


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        """Begin at 0; of a process of `wattfall web`, at the counts of the others."""
        from prometheus_client import CollectorRegistry, Counter, Histogram  # reads the environment when it is imported

        self._registry = registry = CollectorRegistry()
        self._readings = Counter(
            "wattfall_readings", "Readings and intervals taken in, new or known.", ["result"], registry=registry
        )
        self._refused = Counter("wattfall_refused", "Refused items by reason.", ["reason"], registry=registry)
        self._commits = Counter("wattfall_commits", "Transactions of a SQLite store.", registry=registry)
        self._requests = Histogram(
            "wattfall_request_seconds", "Time to an answer.", ["kind", "status"], buckets=BUCKETS, registry=registry
        )

    def count(self, outcome: Outcome) -> None:
        """Count what was taken in and refused."""
        self._readings.labels("accepted").inc(outcome.accepted)
        self._readings.labels("unchanged").inc(outcome.unchanged)
        for reason, count in outcome.reasons.items():
            self._refused.labels(reason).inc(count)

    def count_request(self, kind: str, status: int, seconds: float) -> None:
        """Count an answer; `status` is its HTTP status."""
        self._requests.labels(kind, f"{status // 100}xx").observe(seconds)

    def watch(self, store: Store) -> None:
        """Count the transactions of a SQLite store."""
        if isinstance(store, SqliteFile):
            store.committed = self._commits.inc

    def add(self, gauges: Gauges) -> None:
        """Tell these gauges too, each time somebody asks."""

        class _Asked:
            def collect(self) -> Iterable["GaugeMetricFamily"]:
                return gauges()

        self._registry.register(_Asked())

    def text(self) -> bytes:
        """Return all metrics in the format of Prometheus."""
        from prometheus_client import CollectorRegistry, generate_latest, values
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if values.ValueClass is not values.MutexValue:  # the counts of all processes
            MultiProcessCollector(registry := CollectorRegistry())  # type: ignore[no-untyped-call]
        return generate_latest(registry)


class StoreGauges:
    """What a store holds: lag, age of the newest readings, size of the log, age of the newest backup."""

    def __init__(self, store: Store, url: str, backup_dir: str, pace: Callable[[], float] = time.monotonic) -> None:
        self._store, self._folder, self._pace = store, Path(backup_dir) if backup_dir else None, pace
        self._log = Path(f"{file_of(url)}-wal") if url.startswith("sqlite:") else None
        self._ages: Mapping[float, int] = {}
        self._next = pace()

    def __call__(self) -> Iterator["GaugeMetricFamily"]:
        """Read the gauges."""
        from prometheus_client.core import GaugeMetricFamily

        now = self._store.now()
        lag = GaugeMetricFamily(
            "wattfall_lag_seconds", "Age of the oldest change that is due, by feed.", labels=["feed"]
        )
        waiting = GaugeMetricFamily("wattfall_waiting", "Changes that are due, by feed.", labels=["feed"])
        for feed in (*feeds(), PRICES):
            backlog = self._store.backlog(feed)
            lag.add_metric([feed], max(0, now - backlog.since) if backlog.since else 0)
            waiting.add_metric([feed], backlog.waiting)
        yield from (lag, waiting)
        age = GaugeMetricFamily(
            "wattfall_newest_reading_age_seconds",
            "Age that this share of the devices does not exceed.",
            labels=["share"],
        )
        for share, seconds in self._newest(now).items():
            age.add_metric([f"{share:g}"], seconds)
        yield age
        for name, text, value in self._sizes():
            yield GaugeMetricFamily(name, text, value)

    def _newest(self, now: int) -> Mapping[float, int]:
        """Return `ages` of all devices; a reading of them serves AGAIN_S."""
        if self._pace() >= self._next:
            self._next = self._pace() + AGAIN_S
            self._ages = ages([now - live.at for page in pages(self._store.lives) for live in page])
        return self._ages

    def _sizes(self) -> Iterator[tuple[str, str, float]]:
        if self._log:
            size = self._log.stat().st_size if self._log.exists() else 0
            yield "wattfall_wal_bytes", "Size of SQLite's write-ahead log.", size
        if self._folder and (age_s := newest_age_s(self._folder, time.time())) is not None:
            yield "wattfall_backup_age_seconds", "Age of the newest scheduled backup.", age_s


def ages(found: Sequence[int]) -> dict[float, int]:
    """Return for each of SHARES the age that this share of the devices does not exceed. Pure."""
    ordered = sorted(found)
    return (
        {share: ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)] for share in SHARES} if ordered else {}
    )


class Readiness:
    """Whether the store answers in time, and the worker keeps up. One look serves all who ask in the next second."""

    def __init__(
        self, store: Store, pace: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S
    ) -> None:
        self._store, self._pace, self._patience_s = store, pace, patience_s
        self._lock = threading.Lock()
        self._next, self._fault = pace(), ""
        self._asking: Future[str] | None = None
        self._thread = ThreadPoolExecutor(1, "readiness")  # the store has a connection for each thread

    def fault(self) -> str:
        """Return `store` or `lag` where something is wrong, else an empty text."""
        with self._lock:
            if self._pace() >= self._next:
                self._fault = self._look()
                self._next = self._pace() + PATIENCE_S
            return self._fault

    def _look(self) -> str:
        if self._asking is None:
            self._asking = self._thread.submit(self._ask)
        try:
            fault = self._asking.result(self._patience_s)
        except TooLate:
            return "store"
        self._asking = None
        return fault

    def _ask(self) -> str:
        try:
            self._store.check()
            self._store.record(MARKS.of(), HOME)  # any small read: a store on a network may be away
            since = self._store.backlog().since
        except WattfallError as error:
            log.warning("not ready: %s", error)
            return "store"
        return "lag" if since and self._store.now() - since > LAG_LIMIT_S else ""


# The worker's address


class _Quiet(WSGIRequestHandler):
    timeout = 5.0  # seconds of a client, so that one who sends byte after byte keeps nobody waiting for long

    def handle(self) -> None:
        """Answer a client, or give it up."""
        end = threading.Timer(self.timeout, self._give_up)
        end.daemon = True  # it does not keep the process from its end
        end.start()
        try:
            super().handle()
        finally:
            end.cancel()

    def _give_up(self) -> None:
        with suppress(OSError):  # it has gone
            self.connection.shutdown(socket.SHUT_RD)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - of http.server
        """Log no request."""


@contextmanager
def told(settings: Settings, store: Store, metrics: Metrics) -> Iterator[None]:
    """Answer for Prometheus what the worker counts and what its store holds, where the settings name an address."""
    if not settings.metrics:
        yield
        return
    metrics.watch(store)
    metrics.add(StoreGauges(store, settings.store, settings.backup_dir))
    with served(settings.metrics, metrics, Readiness(store)):
        yield


@contextmanager
def served(address: str, metrics: Metrics, readiness: Readiness) -> Iterator[None]:
    """Answer `/metrics`, `/health` and `/ready` at an address like 127.0.0.1:9464, in a thread, one after the other."""
    host, _, port = address.rpartition(":")

    def answer(environ: Mapping[str, Any], start: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
        status, body = _answer(environ["PATH_INFO"], metrics, readiness)
        start(status, [("Content-Type", TEXT), ("Cache-Control", "no-store")])
        return [body]

    try:
        server = make_server(host.strip("[]"), int(port), answer, handler_class=_Quiet)
    except OSError as error:
        raise ConfigurationError(f"WATTFALL_METRICS: cannot listen on {address}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with server:
        try:
            yield
        finally:
            server.shutdown()


def _answer(path: str, metrics: Metrics, readiness: Readiness) -> tuple[str, bytes]:
    if path == "/metrics":
        try:
            return "200 OK", metrics.text()
        except WattfallError as error:
            return "503 Service Unavailable", str(error).encode()
    if path == "/health":
        return "200 OK", b"OK"
    if path != "/ready":
        return "404 Not Found", b"not found"
    fault = readiness.fault()
    return ("503 Service Unavailable", fault.encode()) if fault else ("200 OK", b"OK")
