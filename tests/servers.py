"""Servers for tests: threaded, on a free port, and quiet before anybody closes what they read from."""

import random
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING

import redis
from flask import Flask
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PORTS = range(20_000, 32_000)  # below those that systems give to connections, so none takes one that is not bound yet
PATIENCE_S = 30  # with a request that is under way
LOOK_S = 0.02  # between looks whether a server is to end


def free_port() -> int:
    """A port that nobody listens on."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Requests:
    """Answer each request of an app in a thread of its own. A page that is left leaves requests behind it, and no store
    may be closed under them: SQLite would take the process down.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._threads: set[Thread] = set()
        self._is_over = False
        self._lock = Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        with self._lock:
            if self._is_over:
                start_response("503 Service Unavailable", [])
                return []
            self._threads = {thread for thread in self._threads if thread.is_alive()} | {current_thread()}
        return self._app(environ, start_response)

    def end(self) -> None:
        """Take no more, and wait for those that are under way."""
        with self._lock:
            self._is_over = True
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """The address of a server on a free port, while it runs."""
    requests = Requests(app)
    server = make_server("127.0.0.1", 0, requests, threaded=True)
    thread = Thread(target=server.serve_forever, args=(LOOK_S,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        requests.end()


@contextmanager
def running_redis(port: int, folder: Path) -> Iterator[None]:
    """A Redis of our own that forgets everything at its end."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + 60
            while not answers(client):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
