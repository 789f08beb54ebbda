"""Cached reads for the screen. Each begins with the access check; the cache lies behind it, never in front."""

import time
from collections.abc import Callable
from contextlib import suppress
from zlib import crc32

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Live
from aggregator.core.errors import StoreAway
from aggregator.core.readings import Reading
from aggregator.intake import device_status
from aggregator.intake.device_status import KnownStatus
from aggregator.store.port import Store
from aggregator.tariffs.rates import Rate, day_rates
from aggregator.tariffs.tariff import HALF_HOURLY
from aggregator.waterfall.pricing import series_of, tariff_of
from dashboard.accounts.access import visible_device, visible_devices
from dashboard.accounts.users import User
from dashboard.charts.usage_profile import DAYS, UsageProfile, usage_profile_of
from dashboard.web.cache import Cache

# How old an answer may be: what is measured now; a period that goes on, or what is not there yet; one that is over
# and still has gaps, which late readings fill; one that is whole.
LIVE_S, OPEN_S, GAPS_S, CLOSED_S = 1, 4, 60, 3600
LOOK_S, OTHERS_LOOK_S = device_status.LOOK_S // 2, 600  # how long a look need not be noted again
HABITS_S = 3600
QUARTER_S = 900
TARIFF_S = 7 * periods.DAY_S  # how long it is remembered since when a tariff stands


class CachedReads:
    """What the pages read. A `Device` in hand is the proof of access that the other reads ask for."""

    def __init__(self, store: Store, cache: Cache, clock: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self.now = clock

    def device(self, viewer: User | None, device_id: str) -> Device | None:
        """A device that the viewer may see, or None."""
        return visible_device(self._store, viewer, device_id, int(time.time()))

    def devices(self, viewer: User | None, limit: int) -> list[Device]:
        """The first devices that the viewer may see, by id."""
        return visible_devices(self._store, viewer, limit)

    def live(self, device: Device) -> Live | None:
        """The newest reading."""
        return self._cache.read(_key("live", device), lambda: self._store.live(device.device_id), lambda _: LIVE_S)

    def look(self, device: Device) -> None:
        """Note that somebody is looking at a device, for one that shows its power only then."""

        def note() -> bool:
            return device_status.note_look(self._store, device.device_id, int(time.time()))

        with suppress(StoreAway):  # it costs the viewer nothing
            self._cache.read(_key("look", device), note, lambda is_edge: LOOK_S if is_edge else OTHERS_LOOK_S)

    def known(self, device: Device) -> KnownStatus | None:
        """What the device has said about itself."""
        key = _key("known", device)
        return self._cache.read(
            key, lambda: device_status.known_status(self._store, device.device_id), lambda _: GAPS_S
        )

    def readings(self, device: Device, first: int, last: int) -> list[Reading]:
        """The readings of the half hours from that of `first` to that of `last`, by time."""
        blocks = periods.block_start(first), periods.block_start(last)
        key = _key("readings", device, *blocks)
        return self._cache.read(key, lambda: self._store.readings(device.device_id, *blocks), lambda _: LIVE_S)

    def habits(self, device: Device) -> UsageProfile:
        """What is usual in this home."""

        def work_out() -> UsageProfile:
            today = periods.day_of(self.now(), device.timezone)
            first = periods.shift("day", today, 1 - DAYS)
            return usage_profile_of(self._store.documents("day", device.device_id, first, today), self.now())

        key = _key("habits", device, device.timezone)
        return self._cache.read(key, work_out, lambda found: HABITS_S if found.is_own else GAPS_S)

    def document(self, device: Device, level: str, period: str) -> Document | None:
        """One chart: one read of the store, or none."""
        terms = self._terms(device)

        def seconds(found: Document | None) -> int:
            window = periods.window(level, period, device.timezone)
            if found is None or self.now() < window.end:
                return OPEN_S
            total = found.total
            is_whole = total.covered_s == window.end - window.start and not total.cost.unpriced_wh
            return self._closed_s(CLOSED_S if is_whole else GAPS_S, terms)

        key = _key("document", device, terms, level, period)
        return self._cache.read(key, lambda: self._store.document(level, device.device_id, period), seconds)

    def documents(self, device: Device, level: str, first: str, last: str) -> list[Document]:
        """The charts of the periods from `first` to `last`, both included: one query of the store, or none."""
        terms = self._terms(device)
        is_over = periods.window(level, last, device.timezone).end <= self.now()
        key = _key("documents", device, terms, level, first, last)
        return self._cache.read(
            key,
            lambda: self._store.documents(level, device.device_id, first, last),
            lambda found: self._closed_s(GAPS_S, terms) if found and is_over else OPEN_S,
        )

    def stored(self, device: Device, level: str, first: str, last: str) -> list[Document]:
        """The same, not kept: what is taken away is asked for once, and a year of it would fill the cache."""
        return self._store.documents(level, device.device_id, first, last)

    def rates(self, device: Device, day: str) -> tuple[Rate, ...]:
        """What a Wh costs and earns at each half hour of a local day; empty without a tariff."""
        tariff = tariff_of(device)
        if tariff is None:
            return ()
        series = self._cache.read(
            _key("prices", device, self._terms(device), day),
            lambda: series_of(self._store, device, tariff, day, device.timezone),
            lambda _: GAPS_S,
        )
        return day_rates(tariff, day, device.timezone, series)

    def rate(self, device: Device) -> Rate | None:
        """What a Wh costs and earns now; None without a tariff."""
        if not device.tariff:
            return None
        # Half hours count from local midnight, which in a few zones is at a quarter to or past one of UTC.
        at = self.now() - self.now() % QUARTER_S

        def look_up() -> Rate:
            day = periods.day_of(at, device.timezone)
            place = (at - periods.day_start(day, device.timezone)) // periods.HALF_HOUR
            return self.rates(device, day)[place]

        return self._cache.read(_key("rate", device, self._terms(device), at), look_up, lambda _: GAPS_S)

    def has_prices(self, device: Device, day: str) -> bool:
        """Whether a day's import is priced by the half hour, and some of those prices are known."""
        tariff = tariff_of(device)
        version = tariff.version_on(day) if tariff else None
        if version is None or version.import_rates != HALF_HOURLY:
            return False
        return any(rate.import_rate is not None for rate in self.rates(device, day))

    def extent(self, device: Device, level: str) -> tuple[str, str] | None:
        """The first and the last period with data."""
        key = _key("extent", device, level)
        return self._cache.read(key, lambda: self._store.extent(level, device.device_id), lambda _: OPEN_S)

    def _terms(self, device: Device) -> tuple[int, int]:
        """A number for the time zone and tariff, and when they were first seen here, UTC seconds.

        It is part of the keys of what depends on them: under new terms nothing of before is read.
        """
        key, state = _key("terms", device), crc32(f"{device.timezone} {device.tariff}".encode())
        held: tuple[int, int] | None = self._cache.get(key)
        if held is None or held[0] != state:
            held = (state, self.now())
            self._cache.set(key, held, TARIFF_S)
        return held

    def _closed_s(self, longest: int, terms: tuple[int, int]) -> int:
        """A new tariff takes a while to reach the charts; until then none stays for longer than it stands itself."""
        return max(OPEN_S, min(longest, self.now() - terms[1]))


def _key(kind: str, device: Device, *rest: object) -> str:
    return repr((kind, device.device_id, *rest))
