"""What has been read, kept for a moment: in this process, or in a Redis that several web processes share.

What a Redis holds is unpickled, so it is trusted like the store: one of our own, that nobody else writes to.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeVar, cast

from flask import Flask
from flask_caching import Cache as FlaskCache
from flask_caching.backends import SimpleCache
from flask_caching.backends.base import BaseCache

from aggregator.core.documents import Document
from aggregator.core.errors import ConfigurationError

MOST_WEIGHT = 400_000  # of one process, about 100 MB: 5,000 charts of a day, or 50,000 live states
REDIS_TIMEOUT_S = 0.25  # an answer that takes longer costs more than it spares
REDIS_PAUSE_S = 5  # how long a Redis that is away is left alone

T = TypeVar("T")
log = logging.getLogger(__name__)


class Cache:
    """Answers by key. A cache that is away holds nothing, and says so once."""

    def __init__(
        self,
        backend: BaseCache,
        faults: tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._faults = faults  # those that mean that the cache is away
        self._clock = clock
        self._away_until: float | None = None
        self._running: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> Any:  # noqa: ANN401 - whatever was set
        """What is held under a key, or None."""
        return self._ask(lambda: self._backend.get(key))

    def set(self, key: str, value: object, seconds: int) -> None:
        """Hold a value for some seconds."""
        self._ask(lambda: self._backend.set(key, value, timeout=seconds))

    def read(self, key: str, read: Callable[[], T], seconds: Callable[[T], int]) -> T:
        """What is held, or else what `read` brings, held for as long as `seconds` makes of it.

        However many ask for a key at once, one of them reads, and all get its answer or its error.
        """
        held = self.get(key)
        return cast(tuple[T], held)[0] if held else self._once(key, lambda: self._fetch(key, read, seconds))

    def _fetch(self, key: str, read: Callable[[], T], seconds: Callable[[T], int]) -> T:
        found = read()
        self.set(key, (found,), seconds(found))  # in a tuple: None is an answer too
        return found

    def _once(self, key: str, work: Callable[[], T]) -> T:
        with self._lock:
            running = self._running.get(key)
            mine = None if running else self._running.setdefault(key, Future())
        if running:
            return cast(T, running.result())
        assert mine
        try:
            mine.set_result(work())
        except BaseException as error:  # handed on to everybody who waits for it, this caller included
            mine.set_exception(error)
        finally:
            with self._lock:
                del self._running[key]
        return cast(T, mine.result())

    def _ask(self, question: Callable[[], object]) -> object:
        if self._away_until and self._clock() < self._away_until:
            return None
        try:
            answer = question()
        except self._faults as error:
            if self._away_until is None:
                log.warning("the cache is away, reading from the store: %s", error)
            self._away_until = self._clock() + REDIS_PAUSE_S
            return None
        if self._away_until is not None:
            self._away_until = None
            log.warning("the cache is back")
        return answer


class MemoryCache(SimpleCache):
    """flask-caching's cache in the process, without pickling: what is kept never changes.

    What it holds is weighed, as a month of charts takes a thousand times what a number does; when that is too much, the
    oldest goes. SimpleCache would sort everything it holds at each new key, and with 10,000 viewers do little else.
    """

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed on as it comes
        super().__init__(*args, **options)
        self._weights: dict[str, int] = {}
        self._weight = 0

    class serializer:  # noqa: N801 - cachelib's name
        """Values as they are."""

        @staticmethod
        def dumps(value: T) -> T:
            """The value."""
            return value

        loads = dumps

    def set(self, key: str, value: object, timeout: Any = None) -> bool | None:  # noqa: ANN401 - cachelib's
        """Hold a value, for `timeout` seconds at most."""
        with self._lock:
            self._forget(key)
            self._weights[key] = weigh(value)
            self._weight += self._weights[key]
            kept: bool | None = super().set(key, value, timeout)
            return kept

    def _prune(self) -> None:
        while self._weight > self._threshold:
            self._forget(next(iter(self._weights)))

    def _forget(self, key: str) -> None:
        self._cache.pop(key, None)
        self._weight -= self._weights.pop(key, 0)


def weigh(value: object) -> int:
    """How much a value takes of a cache: about a quarter of a KB each."""
    if isinstance(value, Document):
        return 1 + len(value.parts)
    return sum(map(weigh, value)) if isinstance(value, tuple | list) and value else 1


def check_cache(url: str) -> None:
    """Raise ConfigurationError when a cache cannot be opened; one that is only away comes back."""
    if not url:
        return
    if not url.startswith(("redis://", "rediss://")):
        raise ConfigurationError("WATTFALL_CACHE is not a redis:// URL; try one like redis://localhost:6379")
    if find_spec("redis") is None:
        raise ConfigurationError("WATTFALL_CACHE needs a package that is not installed: pip install 'wattfall[redis]'")
    from redis.connection import parse_url

    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ConfigurationError(f"WATTFALL_CACHE cannot be read: {error}") from error


def open_cache(server: Flask, url: str) -> Cache:
    """The cache of one process, or its door to the Redis of several."""
    if not url:
        options = {"CACHE_TYPE": f"{__name__}.MemoryCache", "CACHE_THRESHOLD": MOST_WEIGHT}
        return Cache(FlaskCache(server, config=options).cache)
    from redis import RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": url,
        "CACHE_KEY_PREFIX": f"wattfall {version('wattfall')} ",  # another version reads nothing of this one's
        "CACHE_OPTIONS": {
            "socket_timeout": REDIS_TIMEOUT_S,
            "socket_connect_timeout": REDIS_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 1),  # once: a connection may have been closed while nobody used it
        },
    }
    return Cache(FlaskCache(server, config=options).cache, (RedisError, OSError))
