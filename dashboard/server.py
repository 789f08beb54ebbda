"""The web process: gunicorn, started from Python, so that one command works on every platform."""

import errno
import mmap
import os
import re
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, TypeVar

from dash import Dash
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from aggregator.commands.console import JsonLines
from aggregator.core.errors import ConfigurationError, StoreReplaced, StoreUnusable
from aggregator.intake.clocks import ServerClock
from aggregator.intake.ingest_endpoint import IngestEndpoint
from aggregator.operations.metrics import Metrics, Readiness
from aggregator.settings import Settings
from aggregator.store import Store, open_store
from dashboard.api import api_routes
from dashboard.app import create_app
from dashboard.web.responses import observe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

Done = TypeVar("Done")
Check = Callable[[], None]  # of the store; raises StoreUnusable
Build = Callable[[], tuple[Flask, Check]]
THREADS = 8  # a request reads a document or two; threads hide the short waits
INGEST_THREADS = 32  # what they write at the same time is committed at once
GRACE_S, STORE_FAULT = 5, 2  # seconds from SIGTERM to the end of a request; exit code, of the first process alone
BUSY_S = 2.0  # longest wait for the store's write lock; then the answer is 503
# Each worker has its own socket, so that Linux spreads the connections; elsewhere the last socket would get them all.
SHARED_OUT = sys.platform == "linux"
_LINKS = re.compile(r'(?:src|href)="(/[^"]+)"')


def check_port(port: int) -> None:
    """Raise ConfigurationError if the port is in use or not permitted."""
    reserve_port(port, "127.0.0.1").close()


def reserve_port(port: int, host: str) -> socket.socket:
    """Return a socket that reserves the port for our workers. Raises ConfigurationError if it is taken."""
    with closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigurationError(f"port {port} is in use; choose another with --port")
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; choose another") from error
    if SHARED_OUT:
        # Bind without sharing, then share: our workers can join, and a second Wattfall fails here.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return reserved


def warm(app: Dash) -> None:
    """Request the page and every file that it names.

    A Dash process serves a script only after it has served a page that names it. It also compresses each file once.
    """
    client = app.server.test_client()
    with app.server.test_request_context():
        page: str = app.index()  # type: ignore[no-untyped-call] # the page itself needs a session
    for link in _LINKS.findall(page):
        client.get(link, headers={"Accept-Encoding": "br"}, buffered=True)


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, build: Build, options: dict[str, object], check: Check) -> None:
        self._build, self._options = build, options
        self.check = check  # in the first process; a worker process has its own
        self._fault = mmap.mmap(-1, mmap.PAGESIZE)  # shared with the worker processes, which alone have the log open
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the WSGI app of one worker process."""
        try:
            server, self.check = self._build()
        except StoreReplaced as error:
            self._note(error)
            raise SystemExit(0) from None
        return server

    def look(self) -> str:
        """Check the store; return what any process has found, for which the first one ends; empty for nothing."""
        try:
            self.check()
        except StoreUnusable as error:
            self._note(error)
        return self._fault[:].rstrip(b"\0").decode(errors="replace")

    def _note(self, fault: StoreUnusable) -> None:
        self._fault[:] = str(fault).encode().ljust(len(self._fault), b"\0")[: len(self._fault)]

    def run(self) -> None:
        """Serve until stopped. Raises StoreUnusable."""
        try:
            _Watching(self).run()
        except SystemExit as end:
            if end.code == STORE_FAULT:
                raise StoreUnusable(self.look()) from None
            raise


class _Watching(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's first process; it ends all workers when a file of the store is replaced or cut."""

    def murder_workers(self) -> None:
        """Look after the workers, and check the store; gunicorn calls this every second."""
        if self.app.look():
            self.stop()
            sys.exit(STORE_FAULT)
        super().murder_workers()


class _Log(Logger):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's log: a warning, which may quote what a client has sent, is one short line."""

    def warning(self, text: str, *values: object, **more: object) -> None:
        super().warning("%.200s", " ".join((text % values if values else text).split()), **more)


# Slow clients

RECEIVE_S = 10.0  # from the first byte of a request to its last; a phone needs one
SEND_S = 30.0  # for each piece of an answer


class _TimedSocket(socket.socket):
    """A connection that is given up when a request or an answer takes too long, byte by byte or not at all."""

    received_by = 0.0  # by time.monotonic()

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive within the time for a request. Raises ConnectionResetError, which gunicorn takes in silence."""
        self._wait_at_most(max(self.received_by - time.monotonic(), 0.001))
        return self._given_up(lambda: super(_TimedSocket, self).recv(size, flags))

    def sendall(self, data: "Buffer", flags: int = 0) -> None:
        """Send within SEND_S. Raises ConnectionResetError."""
        self._wait_at_most(SEND_S)
        self._given_up(lambda: super(_TimedSocket, self).sendall(data, flags))

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:  # noqa: ANN401 - as the base has it
        """Send a file, each piece within SEND_S. Raises ConnectionResetError."""
        self._wait_at_most(SEND_S)
        return self._given_up(lambda: super(_TimedSocket, self).sendfile(file, offset, count))

    def _wait_at_most(self, seconds: float) -> None:
        if self.gettimeout() != 0:  # gunicorn makes it non-blocking between requests
            self.settimeout(seconds)

    def _given_up(self, transfer: Callable[[], Done]) -> Done:
        try:
            return transfer()
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client was too slow") from error


class _Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """A worker process in which one address takes three of four threads at most, and each request ends in time."""

    has_shares = True

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)
        self._share = self.cfg.threads * 3 // 4 if self.has_shares else self.cfg.threads
        self._busy = Counter[str]()  # threads by address
        self._waiting: dict[str, deque[Any]] = {}
        self._next_look = 0.0  # by the monotonic clock

    def notify(self) -> None:
        """Say that the process lives, and check the store every second; gunicorn calls this at each event."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + 1
            self.app.look()
        super().notify()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Give a connection to a thread, or let it wait for another one of the same address."""
        if not isinstance(conn.sock, _TimedSocket):
            conn.sock = _TimedSocket(fileno=conn.sock.detach())
        peer = conn.client[0]
        if self._busy[peer] >= self._share:
            self._waiting.setdefault(peer, deque()).append(conn)
            return
        self._busy[peer] += 1
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> object:  # noqa: ANN401 - gunicorn's
        """Handle a request, which must have come in RECEIVE_S."""
        conn.sock.received_by = time.monotonic() + RECEIVE_S
        return super().handle(conn)

    def finish_request(self, conn: Any, done: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Take the connection back from its thread, and give the thread to the next one of this address."""
        peer = conn.client[0]
        self._busy -= Counter([peer])
        super().finish_request(conn, done)
        if waiting := self._waiting.get(peer):
            self.enqueue_req(waiting.popleft())
        else:
            self._waiting.pop(peer, None)


class _WorkerBehindProxy(_Worker):
    """A worker process whose connections all come from the proxy."""

    has_shares = False


def serve_web(settings: Settings, host: str, check: Check) -> None:
    """Serve the dashboard until stopped, or until a check of the store raises StoreUnusable.

    Raises ConfigurationError if it cannot start.
    """
    server_clock = ServerClock()  # before the fork: the worker processes share its votes

    def build() -> tuple[Flask, Check]:
        store = open_store(settings.store, BUSY_S, may_create=False)
        app = create_app(settings, store, server_clock=server_clock)
        warm(app)
        return app.server, store.check

    _serve(build, settings, host, "wattfall web", check)


def serve_ingest(settings: Settings, host: str, check: Check) -> None:
    """Serve `POST /ingest` alone, like `serve_web`."""
    server_clock = ServerClock()  # before the fork: the worker processes share its votes

    def build() -> tuple[Flask, Check]:
        store = open_store(settings.store, BUSY_S, may_create=False)
        metrics = Metrics()
        metrics.watch(store)
        endpoint = IngestEndpoint(
            store,
            settings.timezone,
            retention_days=settings.retention_days,
            server_clock=server_clock,
            count=metrics.count,
        )
        server = create_ingest_server(store, settings.timezone, endpoint)
        observe(server, metrics, Readiness(store), settings.metrics_token)
        return server, store.check

    _serve(build, settings, host, "wattfall ingest-server", check, INGEST_THREADS)


def create_ingest_server(store: Store, default_zone: str, endpoint: IngestEndpoint | None = None) -> Flask:
    """Return a server with `POST /ingest` and `/health` only."""
    server = Flask("ingest", static_folder=None)
    api_routes.add_ingest(server, endpoint or IngestEndpoint(store, default_zone))
    server.add_url_rule("/health", "health", lambda: "OK")
    return server


def _serve(build: Build, settings: Settings, host: str, name: str, check: Check, threads: int = THREADS) -> None:
    """Serve the app that `build` returns; each worker process builds its own, with its own store."""
    options: dict[str, object] = {
        "bind": f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}",
        "workers": settings.web_workers,
        "worker_class": _WorkerBehindProxy if settings.proxies else _Worker,
        "threads": threads,
        "graceful_timeout": GRACE_S,
        "loglevel": "warning",
        "logger_class": _Log,
        "reuse_port": SHARED_OUT,
        "control_socket_disable": True,  # a file in the user's home; two Wattfalls would fight for it
        "proc_name": name,
        "forwarder_headers": "",  # SCRIPT_NAME and PATH_INFO: a proxy here may pass a client's, which change the path
    }
    if settings.log == "json":
        options["logconfig_dict"] = _JSON_LOG
    with reserve_port(settings.port, host) as reserved, _shared_counts():
        if not SHARED_OUT:
            reserved.close()
        _Server(build, options, check).run()


_JSON_LOG = {
    "formatters": {"generic": {"()": JsonLines}},
    "root": {"level": "WARNING", "handlers": ["console"]},
    "loggers": {"gunicorn.error": {"level": "WARNING", "handlers": ["error_console"], "propagate": False}},
}


@contextmanager
def _shared_counts() -> Iterator[None]:
    """Make the folder in which the worker processes add up their metrics; the first process removes it."""
    folder, first = mkdtemp(prefix="wattfall-metrics-"), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        if os.getpid() == first:  # gunicorn's processes leave by this way, too
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            rmtree(folder, ignore_errors=True)
