"""A short-lived cache of store reads: in this process, or in a Redis that several web processes share.

Redis holds typed values, never code: what is not a value of the key's kind is a miss. Whoever writes there can still
show wrong numbers, so it must be as trusted as the store.

An erasure empties Redis (`erasure_rules.forget_cached`). The memory of a process that serves pages holds an answer for
its lifetime, an hour at most, and SWEEP_S more. Nobody gets an erased figure from there: the access check of each
request reads the registry, and an erasure changes the keys.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from typing import Any, TypeVar, cast

import msgspec
from flask import Flask
from flask_caching import Cache as FlaskCache
from flask_caching.backends import SimpleCache
from flask_caching.backends.base import BaseCache
from flask_caching.backends.rediscache import RedisCache

from aggregator.core.documents import Document
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.intake.device_status import KnownStatus
from aggregator.tariffs.rates import Rate, Series
from dashboard.charts.usage_profile import UsageProfile

MOST_WEIGHT = 400_000  # weight units of one process, about 100 MB: 5,000 day charts, or 50,000 live states
SWEEP_S = 600  # between two looks for expired entries in memory
REDIS_TIMEOUT_S = 0.25  # a slower answer costs more than it saves
REDIS_PAUSE_S = 5  # pause before an unreachable Redis is asked again

KINDS: dict[str, Any] = {  # what is cached, by the first word of its key; in a tuple, see `Cache.fetch`
    "document": tuple[Document | None],
    "documents": tuple[list[Document]],
    "extent": tuple[tuple[str, str] | None],
    "known": tuple[KnownStatus | None],
    "live": tuple[Live | None],
    "look": tuple[bool],
    "prices": tuple[Series],
    "rate": tuple[Rate],
    "readings": tuple[list[Reading]],
    "repriced": tuple[bool],
    "supplied": tuple[tuple[str, str] | None],
    "terms": tuple[int, int],
    "usage": tuple[UsageProfile],
    "usual": tuple[Document | None],
}

T = TypeVar("T")
log = logging.getLogger(__name__)


class _Running:
    """The work of one caller, for which others of the same key wait; much lighter than a `Future`."""

    __slots__ = ("answer", "at_work", "error")

    def __init__(self) -> None:
        self.at_work = threading.Lock()
        self.answer: object = None
        self.error: BaseException | None = None


class Cache:
    """Values by key. While the backend is unreachable the cache is empty; it logs that once."""

    def __init__(
        self,
        backend: BaseCache,
        faults: tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._faults = faults  # errors that mean an unreachable backend
        self._clock = clock
        self._away_until: float | None = None
        self._running: dict[str, _Running] = {}

    def get(self, key: str) -> Any:  # noqa: ANN401 - whatever was set
        """Return the cached value, or None."""
        return self._ask_backend(self._backend.get, key)

    def set(self, key: str, value: object, seconds: int) -> None:
        """Cache a value for `seconds`."""
        self._ask_backend(self._backend.set, key, value, seconds)

    def fetch(self, key: str, load: Callable[[], T], seconds: Callable[[T], int]) -> T:
        """Return the cached value, or call `load` and cache its result for `seconds(result)`.

        Concurrent callers of one key share one call of `load`, its result and its error.
        """
        held = self.get(key)
        return cast(tuple[T], held)[0] if held else self._once(key, lambda: self._load(key, load, seconds))

    def _load(self, key: str, load: Callable[[], T], seconds: Callable[[T], int]) -> T:
        found = load()
        self.set(key, (found,), seconds(found))  # in a tuple: None is a value too
        return found

    def _once(self, key: str, work: Callable[[], T]) -> T:
        mine = _Running()
        with mine.at_work:
            running = self._running.setdefault(key, mine)
            if running is mine:
                try:
                    mine.answer = answer = work()
                except BaseException as error:
                    mine.error = error  # every waiting caller gets the error too
                    raise
                finally:
                    del self._running[key]
                return answer
        with running.at_work:
            if running.error:
                raise running.error
            return cast(T, running.answer)

    def _ask_backend(self, question: Callable[..., object], *values: object) -> object:
        if self._away_until and self._clock() < self._away_until:
            return None
        try:
            answer = question(*values)
        except self._faults as error:
            if self._away_until is None:
                log.warning("the cache is unreachable, reading from the store: %s", error)
            self._away_until = self._clock() + REDIS_PAUSE_S
            return None
        if self._away_until is not None:
            self._away_until = None
            log.warning("the cache is reachable again")
        return answer


class MemoryCache(SimpleCache):
    """flask-caching's in-process cache without pickling; cached values must be immutable.

    Entries are weighed, because a month of charts takes a thousand times as much memory as a number. Above the limit
    the oldest entry is dropped. SimpleCache sorts all entries at each new key, which 10,000 viewers would feel.
    """

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - handed on as it comes
        super().__init__(*args, **options)
        self._weights: dict[str, int] = {}
        self._weight, self._swept_at = 0, 0.0

    class serializer:  # noqa: N801 - cachelib's name
        """Store values unchanged."""

        @staticmethod
        def dumps(value: T) -> T:
            """Return the value."""
            return value

        loads = dumps

    def set(self, key: str, value: object, timeout: Any = None) -> bool | None:  # noqa: ANN401 - cachelib's
        """Cache a value for at most `timeout` seconds."""
        with self._lock:
            self._forget(key)
            self._weights[key] = weigh(value)
            self._weight += self._weights[key]
            kept: bool | None = super().set(key, value, timeout)
            return kept

    def _prune(self) -> None:
        now = time.time()
        if now >= self._swept_at + SWEEP_S:
            self._swept_at = now
            for key in [key for key, (expires, _) in self._cache.items() if expires <= now]:
                self._forget(key)
        while self._weight > self._threshold:
            self._forget(next(iter(self._weights)))

    def _forget(self, key: str) -> None:
        self._cache.pop(key, None)
        self._weight -= self._weights.pop(key, 0)


class TypedRedisCache(RedisCache):
    """A client of Redis that stores values of KINDS as MessagePack."""

    def get(self, key: str) -> Any:  # noqa: ANN401 - a value of the key's kind
        """Return the cached value; None where there is none of the key's kind."""
        from redis import ResponseError

        try:
            packed = self._read_client.get(self._get_prefix() + key)
            return None if packed is None else _decoder(key.split("'", 2)[1]).decode(packed)
        except (msgspec.DecodeError, ResponseError):  # somebody else's bytes, or a list
            return None

    def set(self, key: str, value: object, timeout: Any = None) -> bool | None:  # noqa: ANN401 - cachelib's
        """Cache a value for `timeout` seconds."""
        return bool(self._write_client.set(self._get_prefix() + key, msgspec.msgpack.encode(value), ex=timeout))


@cache
def _decoder(kind: str) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(KINDS[kind])


def schema() -> str:
    """Return a hash of the types of KINDS: other types never read these entries."""
    from msgspec.inspect import multi_type_info

    return sha256(repr((*KINDS, multi_type_info(KINDS.values()))).encode()).hexdigest()[:16]


def weigh(value: object) -> int:
    """Return the weight of a value in the cache; one unit is about a quarter of a KB."""
    if isinstance(value, Document):
        return 1 + len(value.parts)
    if isinstance(value, Live):
        return 4 + len(value.arrivals)
    return sum(map(weigh, value)) if isinstance(value, tuple | list) and value else 1


def open_cache(server: Flask, url: str) -> Cache:
    """Return the cache of this process, or a client of the Redis that several processes share."""
    if not url:
        options = {"CACHE_TYPE": f"{__name__}.MemoryCache", "CACHE_THRESHOLD": MOST_WEIGHT}
        return Cache(FlaskCache(server, config=options).cache)
    from redis import RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options = {
        "CACHE_TYPE": f"{__name__}.TypedRedisCache",
        "CACHE_REDIS_URL": url,
        "CACHE_KEY_PREFIX": f"wattfall {version('wattfall')} {schema()} ",
        "CACHE_OPTIONS": {
            "socket_timeout": REDIS_TIMEOUT_S,
            "socket_connect_timeout": REDIS_TIMEOUT_S,
            "retry": Retry(NoBackoff(), 1),  # once: an idle connection may have been closed
        },
    }
    return Cache(FlaskCache(server, config=options).cache, (RedisError, OSError))
