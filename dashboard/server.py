"""The web process: gunicorn, started from Python so that one command serves every platform it runs on."""

import re
import socket
import sys
from contextlib import closing

from dash import Dash
from gunicorn.app.base import BaseApplication

from aggregator.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.store import open_store
from dashboard.app import create_app
from dashboard.cache import check_cache

THREADS = 8  # a request is a read of a document or two; threads hide the little waiting there is
# Every worker with a socket of its own: then the kernel deals the connections out, one worker cannot take them all.
# Elsewhere than on Linux the option exists, but the last socket gets everything.
SHARED_OUT = sys.platform == "linux"
_LINKS = re.compile(r'(?:src|href)="(/[^"]+)"')


def check_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise ConfigurationError when something listens on the port already, or nothing may."""
    reserve_port(port, host).close()


def reserve_port(port: int, host: str) -> socket.socket:
    """A socket that keeps the port from everybody but our own workers. Raises ConfigurationError when it is taken."""
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
        # Bound alone, shared from here on: the workers may join, and a second Wattfall fails where this one passed.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return reserved


def warm(app: Dash) -> None:
    """Ask for the page and all that it names.

    Dash serves a script only after the same process has served a page that names it, and a file is compressed once.
    """
    client = app.server.test_client()
    with app.server.test_request_context():
        page: str = app.index()  # type: ignore[no-untyped-call] # the page itself is for whoever is signed in
    for link in _LINKS.findall(page):
        client.get(link, headers={"Accept-Encoding": "br"}, buffered=True)


class _Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    def __init__(self, settings: Settings, options: dict[str, object]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> object:
        """The WSGI app of one worker process, with a store of its own."""
        app = create_app(self._settings, open_store(self._settings.store))
        warm(app)
        return app.server


def serve(settings: Settings, host: str) -> None:
    """Serve the app until stopped. Raises ConfigurationError when it cannot."""
    check_cache(settings.cache)
    options: dict[str, object] = {
        "bind": f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}",
        "workers": settings.web_workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "loglevel": "warning",
        "reuse_port": SHARED_OUT,
        "control_socket_disable": True,  # a file in the user's home that two Wattfalls would fight for
        "proc_name": "wattfall web",
    }
    with reserve_port(settings.port, host) as reserved:
        if not SHARED_OUT:
            reserved.close()
        _Server(settings, options).run()
