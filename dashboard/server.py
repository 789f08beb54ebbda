"""The web process: gunicorn, started from Python so that one command serves every platform it runs on."""

from gunicorn.app.base import BaseApplication

from aggregator.settings import Settings
from aggregator.store import open_store
from dashboard.app import create_app

THREADS = 8  # a request is a read of a document or two; threads hide the little waiting there is


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
        return create_app(self._settings, open_store(self._settings.store)).server


def serve(settings: Settings, host: str) -> None:
    """Serve the app until stopped."""
    options: dict[str, object] = {
        "bind": f"{host}:{settings.port}",
        "workers": settings.web_workers,
        "worker_class": "gthread",
        "threads": THREADS,
        "loglevel": "warning",
        "proc_name": "wattfall web",
    }
    _Server(settings, options).run()
