"""Where documents live: one port (`base`), and the stores behind it."""

from aggregator.errors import ConfigurationError
from aggregator.store.base import Store
from aggregator.store.sqlite import SqliteStore

__all__ = ["Store", "open_store"]


def open_store(url: str) -> Store:
    """The store that a URL names: `sqlite:///file.db` (`sqlite:////absolute/file.db`).

    Raises ConfigurationError for a URL of another form, StoreUnusable for a file that cannot be used.
    """
    scheme, _, path = url.partition(":///")
    if scheme == "sqlite" and path:
        return SqliteStore(path)
    raise ConfigurationError(f"{url!r} is not a store; write it like sqlite:///wattfall.db")
