"""Cached reads for the screen. Each begins with the access check; the cache lies behind it, never in front."""

from collections.abc import Callable
from typing import TypeVar, cast

from flask_caching import Cache

from aggregator import periods
from aggregator.documents import Device, Document, Live
from aggregator.store.base import Store
from dashboard.access import visible_device

LIVE_S, OPEN_S, CLOSED_S = 1, 4, 60  # how old an answer may be; a viewer polls every 5 s

T = TypeVar("T")


class Data:
    """What the pages read. A `Device` in hand is the proof of access that the other reads ask for."""

    def __init__(self, store: Store, cache: Cache, clock: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self.now = clock

    def device(self, viewer: str | None, device_id: str) -> Device | None:
        """A device that the viewer may see, or None."""
        return visible_device(self._store, viewer, device_id)

    def devices(self, viewer: str | None, limit: int) -> list[Device]:
        """The first devices that the viewer may see, by id."""
        found = (visible_device(self._store, viewer, device.device_id) for device in self._store.devices(limit=limit))
        return [device for device in found if device]

    def live(self, device: Device) -> Live | None:
        """The newest reading."""
        device_id = device.device_id
        return self._cached(f"live {device_id}", LIVE_S, lambda: self._store.live(device_id))

    def document(self, device: Device, level: str, period: str) -> Document | None:
        """One chart: one read of the store, or none."""
        device_id = device.device_id
        # Yesterday may still be settling: readings come late.
        end = periods.window(level, period, device.timezone).end
        seconds = CLOSED_S if end + periods.HOUR < self.now() else OPEN_S
        key = f"document {level} {device_id} {period}"
        return self._cached(key, seconds, lambda: self._store.document(level, device_id, period))

    def extent(self, device: Device, level: str) -> tuple[str, str] | None:
        """The first and the last period with data."""
        device_id = device.device_id
        return self._cached(f"extent {level} {device_id}", OPEN_S, lambda: self._store.extent(level, device_id))

    def _cached(self, key: str, seconds: int, read: Callable[[], T]) -> T:
        held = self._cache.get(key)
        if held is None:
            held = (read(),)  # in a tuple: None is an answer too
            self._cache.set(key, held, timeout=seconds)
        return cast(tuple[T], held)[0]
