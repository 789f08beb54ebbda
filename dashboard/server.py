"""The web process: gunicorn, started from Python so that one command serves every platform it runs on."""

import socket
from contextlib import closing
from importlib.util import find_spec

from gunicorn.app.base import BaseApplication

from aggregator.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.store import open_store
from dashboard.app import create_app

THREADS = 8  # a request is a read of a document or two; threads hide the little waiting there is


def check_port(port: int, host: str = "127.0.0.1") -> None:
    """Raise ConfigurationError when something listens on the port already, or nothing may."""
    with closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigurationError(f"port {port} is in use; choose another with --port")
    with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; choose another") from error


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
        # Dash serves a script only after the same process has served a page that names it.
        app.server.test_client().get("/")
        return app.server


def serve(settings: Settings, host: str) -> None:
    """Serve the app until stopped. Raises ConfigurationError when it cannot."""
    check_port(settings.port, host)
    if settings.cache and not settings.cache.startswith(("redis://", "rediss://")):
        raise ConfigurationError("WATTFALL_CACHE is not a redis:// URL; try one like redis://localhost:6379")
    if settings.cache and find_spec("redis") is None:
        raise ConfigurationError("WATTFALL_CACHE needs a package that is not installed: pip install 'wattfall[redis]'")
    options: dict[str, object] = {
        "bind": f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}",
        "workers": settings.web_workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "loglevel": "warning",
        "proc_name": "wattfall web",
    }
    _Server(settings, options).run()
