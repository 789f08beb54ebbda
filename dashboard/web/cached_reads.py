"""Cached reads for the pages. Each begins with the access check; the cache lies behind it, never in front."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from zlib import crc32

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.errors import StoreAway
from aggregator.core.live import Live, without_instants
from aggregator.core.readings import Reading
from aggregator.erasure.erasure_rules import cache_key
from aggregator.intake import device_status
from aggregator.intake.device_status import KnownStatus
from aggregator.store.occupancies import Read, is_over, occupancies, own_days, seen_instants
from aggregator.store.port import Store
from aggregator.tariffs.rates import Rate, Span, common, day_rates
from aggregator.tariffs.tariff import HalfHourly
from aggregator.waterfall.pricing import (
    SLACK_S,
    current,
    priced,
    series_of,
    tariff_before,
    tariff_on,
    with_every_charge,
)
from dashboard.accounts.access import visible_device, visible_devices
from dashboard.accounts.users import User
from dashboard.charts.usage_profile import DAYS, UsageProfile, usage_profile_of, usual_day, weekdays_before
from dashboard.web.cache import Cache

# The age limit of an answer: a live value; an open period, or a missing one; a closed period with gaps, which late
# readings fill; a complete one.
LIVE_S, OPEN_S, GAPS_S, CLOSED_S = 1, 4, 60, 3600
LOOK_S = device_status.LOOK_S * 2 // 3  # seconds between two notes of a viewer
USAGE_S = 3600
QUARTER_S = 900
REPRICING_S = 900  # after the first sight of new terms; by then the worker has long priced every day again
TARIFF_S = 7 * periods.DAY_S  # how long the first sight of a tariff is remembered


class CachedReads:
    """The reads of the pages. A `Device` in hand is the proof of access that the other reads ask for."""

    def __init__(self, store: Store, cache: Cache, clock: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self.now = clock

    def device(self, viewer: User | None, device_id: str) -> Device | None:
        """Return a device that the viewer may see, or None."""
        return visible_device(self._store, viewer, device_id, int(time.time()))

    def devices(self, viewer: User | None, limit: int) -> list[Device]:
        """Return the first devices that the viewer may see, by id."""
        return visible_devices(self._store, viewer, limit)

    def live(self, device: Device) -> Live | None:
        """Return the newest known values of the viewer's time, or None."""
        if is_over(device):
            return None
        live = self._cache.fetch(
            cache_key("live", device), lambda: self._store.live(device.device_id), lambda _: LIVE_S
        )
        since = seen_instants(device).start
        return without_instants(live, lambda at: at < since) if live else None

    def note_look(self, device: Device) -> None:
        """Note a viewer of a device, once in LOOK_S for all. Who moved out waits for nothing new."""
        if is_over(device):
            return

        def note() -> bool:
            device_status.note_look(self._store, device.device_id, int(time.time()))
            return True

        with suppress(StoreAway):  # the page works without the note
            self._cache.fetch(cache_key("look", device), note, lambda _: LOOK_S)

    def known_status(self, device: Device) -> KnownStatus | None:
        """Return the facts that the device reported about itself, or None; nothing for who moved out."""
        if is_over(device):
            return None
        key = cache_key("known", device)
        return self._cache.fetch(
            key, lambda: device_status.known_status(self._store, device.device_id), lambda _: GAPS_S
        )

    def readings(self, device: Device, first: int, last: int) -> list[Reading]:
        """Return the readings of the half hours from that of `first` to that of `last`, by time."""
        blocks = periods.block_start(first), periods.block_start(last)
        key = cache_key("readings", device, *blocks)
        found = self._cache.fetch(key, lambda: self._store.readings(device.device_id, *blocks), lambda _: LIVE_S)
        span = seen_instants(device)
        return found if device.seen is None else [one for one in found if span.start <= one.at < span.end]

    def usage_profile(self, device: Device) -> UsageProfile:
        """Return the usual power levels of this home."""

        def compute() -> UsageProfile:
            today = periods.day_of(self.now(), device.timezone)
            span = common((periods.shift("day", today, 1 - DAYS), today), device.seen or (periods.FIRST_DAY, today))
            known = self._store.documents("day", device.device_id, *span) if span else []
            return usage_profile_of(known, self.now())

        key = cache_key("usage", device, device.timezone)
        return self._cache.fetch(key, compute, lambda usage: USAGE_S if usage.is_own else GAPS_S)

    def document(self, device: Device, level: str, period: str) -> Document:
        """Return one chart with its standing charges; empty before and after the supply."""
        return self._shown(device, partial(self._stored, device), level, period, period)[0]

    def energy(self, device: Device, level: str, period: str) -> Document | None:
        """Return one chart without standing charges, or None."""
        return current(own_days(device, partial(self._stored, device)), device, level, period, self.now())

    def _stored(self, device: Device, level: str, period: str) -> Document | None:
        """Return one chart as it is stored, or None. Costs at most one read of the store."""
        terms = self._terms(device)

        def seconds(document: Document | None) -> int:
            window = periods.window(level, period, device.timezone)
            if document is None or self.now() < window.end:
                return OPEN_S
            total = document.total
            is_whole = total.covered_s == window.end - window.start and not total.cost.unpriced_wh
            return self._closed_s(CLOSED_S if is_whole else GAPS_S, terms)

        key = cache_key("document", device, terms, level, period)
        return self._cache.fetch(key, lambda: self._store.document(level, device.device_id, period), seconds)

    def usual_day(self, device: Device, day: str) -> Document | None:
        """Return the usual weekday of a day that is not to come; None if too few of its weeks are known."""
        if day > periods.day_of(self.now(), device.timezone):
            return None

        def compute() -> Document | None:
            before = [self.document(device, "day", one) for one in weekdays_before(day)]
            return usual_day(self.document(device, "day", day), before)

        return self._cache.fetch(cache_key("usual", device, self._terms(device), day), compute, lambda _: GAPS_S)

    def documents(self, device: Device, level: str, first: str, last: str) -> list[Document]:
        """Return every chart from `first` to `last`, both included, with its standing charges."""
        terms = self._terms(device)
        is_past = periods.window(level, last, device.timezone).end <= self.now()
        key = cache_key("documents", device, terms, level, first, last)
        found = self._cache.fetch(
            key,
            lambda: self._store.documents(level, device.device_id, first, last),
            lambda documents: self._closed_s(GAPS_S, terms) if documents and is_past else OPEN_S,
        )
        return self._shown(device, self._among(device, level, found), level, first, last)

    def uncached(self, device: Device, level: str, first: str, last: str) -> list[Document]:
        """Like `documents`, but uncached: a download is asked for once, and a year of it would fill the cache."""
        found = self._store.documents(level, device.device_id, first, last)
        return self._shown(device, self._among(device, level, found), level, first, last)

    def _among(self, device: Device, level: str, found: Iterable[Document]) -> Read:
        """Return a read that finds the documents of a level among those in hand."""
        known = {document.period: document for document in found}
        return lambda one, period: known.get(period) if one == level else self._stored(device, one, period)

    def _shown(self, device: Device, read: Read, level: str, first: str, last: str) -> list[Document]:
        """Return a document for every period from `first` to `last`, up to date and with its standing charges."""
        supplied, read = self._supplied(device), own_days(device, read)
        documents, period = list[Document](), first
        while period <= last:
            document = current(read, device, level, period, self.now())
            empty = Document(level, device.device_id, period, device.timezone, {})
            documents.append(with_every_charge(document or empty, device, supplied))
            period = periods.shift(level, period, 1)
        return documents

    def _supplied(self, device: Device) -> Span | None:
        """Return the days from the first with data to today, see `pricing.supplied`; None without a tariff or data."""
        if not any(one.tariff for one in occupancies(device)):
            return None
        key = cache_key("supplied", device)
        extent = self._cache.fetch(key, lambda: self._store.extent(periods.LOWEST, device.device_id), _first_known_s)
        return (extent[0], periods.day_of(self.now(), device.timezone)) if extent else None

    def rates(self, device: Device, day: str) -> tuple[Rate, ...]:
        """Return the import and export price of a Wh for each half hour of a local day; empty without a tariff."""
        tariff = tariff_on(device, day)
        if tariff is None or (device.seen and not device.seen[0] <= day <= device.seen[1]):
            return ()
        series = self._cache.fetch(
            cache_key("prices", device, self._terms(device), day),
            lambda: series_of(self._store, device, tariff, day, device.timezone),
            lambda _: GAPS_S,
        )
        return day_rates(tariff, day, device.timezone, series)

    def rate(self, device: Device) -> Rate | None:
        """Return the present prices of a Wh; None without a tariff."""
        if not device.tariff or is_over(device):
            return None
        # Half hours count from local midnight. In a few zones that is 15 minutes off the half hours of UTC.
        at = self.now() - self.now() % QUARTER_S

        def look_up() -> Rate:
            day = periods.day_of(at, device.timezone)
            place = (at - periods.day_start(day, device.timezone)) // periods.HALF_HOUR
            return self.rates(device, day)[place]

        return self._cache.fetch(cache_key("rate", device, self._terms(device), at), look_up, lambda _: GAPS_S)

    def has_prices(self, device: Device, day: str) -> bool:
        """Whether half-hourly prices apply to a day's import, and some of them are known."""
        tariff = tariff_on(device, day)
        version = tariff.version_on(day) if tariff else None
        if version is None or not isinstance(version.import_rates, HalfHourly):
            return False
        return any(rate.import_rate is not None for rate in self.rates(device, day))

    def extent(self, device: Device, level: str) -> tuple[str, str] | None:
        """Return the first and the last period with data, or None; a month has data as soon as a day of it has."""
        lowest = periods.LOWEST
        extent = self._cache.fetch(
            cache_key("extent", device), lambda: self._store.extent(lowest, device.device_id), lambda _: OPEN_S
        )
        own = common(extent, device.seen) if extent and device.seen else extent
        return (periods.containing(level, lowest, own[0]), periods.containing(level, lowest, own[1])) if own else None

    def _terms(self, device: Device) -> tuple[int, int]:
        """Return a number for the time zone, tariff and conversion, and the UTC seconds of their first sight here.

        The number is part of the cache keys, so new terms never read entries of the old ones.
        """
        terms = f"{device.timezone} {device.tariff} {device.former} {device.kind} {device.conversion}"
        key, state = cache_key("terms", device), crc32(terms.encode())
        held: tuple[int, int] | None = self._cache.get(key)
        if held is None or held[0] != state:
            held = (state, self.now())
            self._cache.set(key, held, TARIFF_S)
        return held

    def is_repriced(self, device: Device, level: str, period: str) -> bool:
        """Whether the costs of a chart are those of a changed tariff; looked at while its terms are new here."""
        terms = self._terms(device)
        if self.now() - terms[1] >= REPRICING_S or tariff_before(self._store, device) is None:
            return True
        key = cache_key("repriced", device, terms, level, period)
        return self._cache.fetch(
            key, lambda: self._agrees(device, level, period), lambda so: CLOSED_S if so else OPEN_S
        )

    def _agrees(self, device: Device, level: str, period: str) -> bool:
        """Whether a day has the costs of the tariff, or a longer period those of its parts; of a year, as of now.

        Of the days of the viewer alone.
        """
        document, child = own_days(device, partial(self._stored, device))(level, period), periods.LEVELS[level].child
        if document is None:
            return True
        if not child:
            halves = {name: part for name, part in document.parts.items() if name[0] == "s"}
            return priced(self._store, device, period, document.timezone, halves).items() <= document.parts.items()
        names = [*periods.children(level, period).values()]
        found = self._store.documents(child, device.device_id, names[0], names[-1])
        own = own_days(device, self._among(device, child, found))
        below = [one for name in names if (one := own(child, name))]
        ended = [one for one in below if periods.window(child, one.period, one.timezone).end <= self.now() - SLACK_S]
        parts = [document.part(periods.part_in(level, one.period)) for one in ended]
        are_in = all(_priced(part) == _priced(one.total) for part, one in zip(parts, ended, strict=True))
        return are_in and (child != periods.LOWEST or all(self._agrees(device, child, one.period) for one in below))

    def _closed_s(self, longest: int, terms: tuple[int, int]) -> int:
        """Return the lifetime of a closed period, at most the age of its tariff.

        A new tariff takes a while to reach the charts.
        """
        return max(OPEN_S, min(longest, self.now() - terms[1]))


def _first_known_s(extent: tuple[str, str] | None) -> int:
    return GAPS_S if extent else OPEN_S  # only imported history moves the first day


def _priced(part: Part) -> tuple[int | None, int | None]:
    return part.cost.import_cost, part.cost.export_earnings
