"""Price half hours with a device's tariff and its stored half-hourly prices; mark days when either changes.

A gas meter that counts m³ gets its energy here, from the litres in its documents (`tariffs.gas`). A corrected calorific
value changes energies as a tariff changes costs.

Money is in units of `core.money`. Days that a change touches become dirty keys of the table `prices`; the waterfall
prices them again from the energy in their day documents, without readings.

What is shown differs from what is stored: `current` replaces the open parts, and `shown` adds standing charges, which
no document holds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

import orjson

from aggregator.core import periods
from aggregator.core.documents import EMPTY, GAS, Device, Document, Part, add
from aggregator.core.errors import ConfigurationError
from aggregator.core.money import NOTHING
from aggregator.core.periods import HOUR
from aggregator.store.collections import TARIFF_BEFORE
from aggregator.store.occupancies import Read, occupancies, parts_above, tariff_text_on
from aggregator.store.port import Store
from aggregator.tariffs.gas import Conversion, conversion_of, converted
from aggregator.tariffs.rates import (
    NO_SERIES,
    Series,
    Span,
    affected_days,
    common,
    days_of_prices,
    price_day,
    with_charges,
)
from aggregator.tariffs.tariff import HalfHourly, Tariff, tariff_from_text, tariff_to_json

PRICES = "prices"  # its change records are days to price again


def tariff_to_text(tariff: Tariff) -> str:
    """Return a tariff as the registry stores it."""
    return json.dumps(tariff_to_json(tariff))


def tariff_of(device: Device) -> Tariff | None:
    """Return the tariff of a device, or None."""
    return _parsed(device.tariff) if device.tariff else None


def tariff_on(device: Device, day: str) -> Tariff | None:
    """Return the tariff of a local day: that of the household that lived there."""
    text = tariff_text_on(device, day)
    return _parsed(text) if text else None


def currency_of(device: Device) -> str:
    """Return the currency of a device's tariff; empty without a tariff."""
    tariff = tariff_of(device)
    return tariff.currency if tariff else ""


def priced(store: Store, device: Device, day: str, zone: str, halves: Mapping[str, Part]) -> dict[str, Part]:
    """Return the half hours of a day with their cost, and their hours."""
    halves = converted(device, day, halves)
    tariff = tariff_on(device, day)
    costs = price_day(day, zone, halves, tariff, series_of(store, device, tariff, day, zone)) if tariff else {}
    parts = {name: part._replace(cost=costs.get(name, NOTHING)) for name, part in halves.items()}
    return parts | _hours(parts)


def supplied(store: Store, device: Device, now: int) -> Span | None:
    """Return the days of a device's supply: from the first with data to today; None without data."""
    extent = store.extent("day", device.device_id)
    return (extent[0], periods.day_of(now, device.timezone)) if extent else None


def supplied_to_present(store: Store, device: Device, now: int) -> Span | None:
    """Return the days of a device's supply to the present household; None without data."""
    return common(occupancies(device)[-1].days, supplied(store, device, now))


def with_every_charge(document: Document, device: Device, supplied: Span | None) -> Document:
    """Return a document with the standing charges of each household whose days it tells of, by its own tariff."""
    for one in occupancies(device):
        tariff = _parsed(one.tariff) if one.tariff else None
        document = with_charges(document, tariff, common(one.days, supplied))
    return document


def first_instant(store: Store, device: Device) -> int | None:
    """Return the start of the first day with data, UTC seconds; None without data."""
    extent = store.extent("day", device.device_id)
    return periods.day_start(extent[0], device.timezone) if extent else None


def series_of(store: Store, device: Device, tariff: Tariff, day: str, zone: str) -> Series:
    """Return the half-hourly prices of a local day, where its tariff uses them."""
    version = tariff.version_on(day)
    if version is None or not any(
        isinstance(rates, HalfHourly) for rates in (version.import_rates, version.export_rates)
    ):
        return NO_SERIES
    span = periods.window("day", day, zone)
    return store.prices(device.device_id, periods.block_start(span.start), span.end)


def change_tariff(store: Store, device: Device, new: Tariff | None) -> int:
    """Replace a device's tariff and mark the days that it prices differently. Return their number.

    Setting the same tariff again marks every day. This completes an interrupted change on DynamoDB, where marks are
    kept in memory.
    """
    text = tariff_to_text(new) if new else ""
    former = {_parsed(one.tariff).currency for one in occupancies(device)[:-1] if one.tariff}
    if new and former - {new.currency}:
        raise ConfigurationError(f"the days of the household before are in {former.pop()}; one device has one currency")
    with store.transaction():
        is_same = text == device.tariff
        days = _days_of_present(store, device) if is_same else _days_to_reprice(store, device, new)
        store.put_device(replace(device, tariff=text))
        store.mark(PRICES, device.device_id, days)
    return len(days)


def note_change(store: Store, before: Device, new: Tariff | None, now: int) -> None:
    """Keep the tariff of a device before its household changes it; a repeated request keeps the one of the first."""
    made = tariff_to_text(new) if new else ""
    if made != before.tariff:
        body = orjson.dumps([before.household, before.occupied_from, made, before.tariff]).decode()
        store.put_record(TARIFF_BEFORE.of(), before.device_id, body, expires=TARIFF_BEFORE.expires(now))


def tariff_before(store: Store, device: Device) -> str | None:
    """Return the tariff, as text, before the last change by this household in this occupancy; None once it is another.

    The record outlives a move: who moves in never reads the tariff of those before.
    """
    body = store.record(TARIFF_BEFORE.of(), device.device_id)
    *change, before = orjson.loads(body) if body else [""]
    return before if change == [device.household, device.occupied_from, device.tariff] else None


def carry(store: Store, device: Device, level: str, below: str) -> None:
    """Set what the document of a level has of a period of its child's level."""
    row = periods.LEVELS[level]
    child = store.document(row.child, device.device_id, below)
    store.merge_parts(
        level,
        device.device_id,
        periods.containing(level, row.child, below),
        child.timezone if child else device.timezone,
        parts_above(device, level, below, child),
        child.currency if child else currency_of(device),
    )


def mark_above(store: Store, device: Device) -> None:
    """Mark the documents of a device above its days, so that each is carried to the one above it again."""
    for level in periods.feed_levels()[1:]:
        store.mark(level, device.device_id, store.periods(level, device.device_id))


def add_prices(store: Store, device: Device, series: Series) -> int:
    """Store half-hourly prices and mark the days that they touch. Return their number."""
    with store.transaction():
        store.put_prices(device.device_id, series)
        days = _days_with_prices(store, device, {*series.import_prices, *series.export_prices})
        store.mark(PRICES, device.device_id, days)
    return len(days)


def _days_of_present(store: Store, device: Device) -> list[str]:
    return [day for day in store.periods("day", device.device_id) if day >= device.occupied_from]


def _days_to_reprice(store: Store, device: Device, new: Tariff | None) -> list[str]:
    """Return the days of a device that the new tariff prices differently."""
    old, days = tariff_of(device), _days_of_present(store, device)
    if not days:
        return []
    spans = affected_days(old, new, days[0], days[-1])
    return [day for day in days if any(first <= day <= last for first, last in spans)]


def _days_with_prices(store: Store, device: Device, starts: Iterable[int]) -> list[str]:
    """Return the days of a device that half-hourly prices can touch, by the starts of their half hours."""
    touched = set(days_of_prices(starts, device.timezone))
    return [day for day in store.periods("day", device.device_id) if day in touched]


def _hours(parts: Mapping[str, Part]) -> dict[str, Part]:
    hours: dict[str, list[Part]] = {}
    for name, part in parts.items():
        hours.setdefault(periods.hour_of_half(name), []).append(part)
    return {hour: add(halves) for hour, halves in hours.items()}


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Tariff:
    return tariff_from_text(text)


# What is shown

SLACK_S = HOUR  # how long a part may wait for the worker after its end, and more than a device's clock may run ahead


def shown(store: Store, device: Device, level: str, period: str, now: int) -> Document:
    """Return a document as it is shown at `now` (UTC seconds): `current`, with standing charges; empty without data."""

    def read(level: str, period: str) -> Document | None:
        return store.document(level, device.device_id, period)

    found = current(read, device, level, period, now) or Document(level, device.device_id, period, device.timezone, {})
    return with_every_charge(found, device, supplied(store, device, now))


def current(read: Read, device: Device, level: str, period: str, now: int) -> Document | None:
    """Return a document as of `now` (UTC seconds), with its open parts from their own documents; None without data.

    The worker carries a day into its month only when the day is over. So a current month costs two reads, a current
    year three; in the SLACK_S around the end of a part, the part beside it is read too.
    """
    document = read(level, period)
    zones = {device.timezone, document.timezone} if document else {device.timezone}
    child = periods.LEVELS[level].child
    parts = {
        name: current(read, device, child, below, now) for name, below in open_parts(level, period, zones, now).items()
    }
    return _replaced(document or Document(level, device.device_id, period, device.timezone, {}), parts)


def open_parts(level: str, period: str, zones: Iterable[str], now: int) -> dict[str, str]:
    """Return the open parts of a period in any of the time zones, by name in order, as periods of the child's level.

    A part is open if it is less than SLACK_S from `now` (UTC seconds). None is open at the lowest level.
    """
    child, near = periods.LEVELS[level].child, (now - SLACK_S, now + SLACK_S)
    here = [(zone, periods.window(level, period, zone)) for zone in zones] if child else []
    below = {
        periods.period_of(child, at, zone)
        for zone, window in here
        if near[0] < window.end and window.start <= near[1]
        for at in near
    }
    return {
        periods.part_in(level, one): one for one in sorted(below) if periods.containing(level, child, one) == period
    }


def _replaced(document: Document, parts: Mapping[str, Document | None]) -> Document | None:
    """Return a document with the totals of its parts' documents, as `levels` would store it; None if it is empty."""
    totals = {name: child.total if child else EMPTY for name, child in parts.items()}
    present = {name: part for name, part in {**document.parts, **totals}.items() if not part.is_empty}
    if not present:
        return None
    known = [document, *filter(None, parts.values())]
    changed_at = max((one.changed_at for one in known if one.changed_at is not None), default=None)
    last = known[-1]
    return replace(document, parts=present, timezone=last.timezone, currency=last.currency, changed_at=changed_at)


# Gas


def whole_day(store: Store, device: Device, day: str, zone: str, halves: Mapping[str, Part]) -> Mapping[str, Part]:
    """Return half hours with the stored ones of the rest of their day, where the energy depends on these."""
    stored = store.document("day", device.device_id, day) if device.kind == GAS else None
    if stored is None or stored.timezone != zone:
        return halves
    return {**{name: part for name, part in stored.parts.items() if name[0] == "s"}, **halves}


def change_conversion(store: Store, device: Device, new: Conversion) -> int:
    """Replace a gas meter's conversion and mark the days that it changes. Return their number.

    Setting the same conversion again marks every day, like `change_tariff`.
    """
    old = conversion_of(device)
    with store.transaction():
        days = store.periods("day", device.device_id)
        if new != old:
            days = [day for day in days if new.wh_per_litre(day) != old.wh_per_litre(day)]
        store.put_device(replace(device, conversion="" if new == Conversion() else new.to_text()))
        store.mark(PRICES, device.device_id, days)
    return len(days)
