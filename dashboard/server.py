"""The web process: gunicorn, started from Python so that one command serves every platform it runs on."""

import socket
from contextlib import closing

from gunicorn.app.base import BaseApplication

from aggregator.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.store import open_store
from dashboard.app import create_app

THREADS = 8  # a request is a read of a document or two; threads hide the little waiting there is


def check_port(port: int) -> None:
    """Raise ConfigurationError when something listens on the port already."""
    with closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigurationError(f"port {port} is in use; choose another with --port")


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
    """Serve the app until stopped. Raises ConfigurationError when the port is taken."""
    check_port(settings.port)
    options: dict[str, object] = {
        "bind": f"{host}:{settings.port}",
        "workers": settings.web_workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "loglevel": "warning",
        "proc_name": "wattfall web",
    }
    _Server(settings, options).run()
