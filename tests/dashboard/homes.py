"""Homes with a known history, stored in the waterfall's form."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Part
from aggregator.core.live import Live
from aggregator.core.periods import HALF_HOUR
from aggregator.store.port import Store
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.pricing import currency_of, priced, tariff_to_text

LONDON = "Europe/London"
NOW = int(datetime(2026, 11, 23, 14, 20, 4, tzinfo=UTC).timestamp())  # a Monday
FIRST_DAY = "2025-10-14"
HOUSEHOLD = "acacia"  # the household of all homes

Energy = Callable[[int], Part]  # start of a half hour -> its energy


def instant(text: str) -> int:
    """Return the UTC seconds of an ISO time."""
    return int(datetime.fromisoformat(text).timestamp())


def live(device_id: str, power_w: int | None, age: int = 4, now: int = NOW) -> Live:
    """Return a live state of a given age."""
    return Live(device_id, now - age, now - age, power_w, 1_234_567, 0, None)


def measured(import_wh: int, export_wh: int | None = None) -> Part:
    """Return a half hour without a gap."""
    return Part(import_wh, export_wh, covered_s=HALF_HOUR)


def curve(at: int) -> Part:
    """Return a family's half hour: a base load, a morning, an evening, and days that differ."""
    hour, day = at % 86_400 / 3600, at // 86_400
    peaks = 260 * math.exp(-((hour - 7.4) ** 2) / 1.6) + 420 * math.exp(-((hour - 18.7) ** 2) / 5)
    season = 1 + 0.35 * math.cos((day - 20_468) / 365 * 2 * math.pi)
    return measured(int((72 + peaks * (0.7 + day * 37 % 10 / 12) + at // 1800 * 7919 % 61) * season))


def sunny(at: int) -> Part:
    """Return the same family's half hour with panels on the roof."""
    used = curve(at).import_wh or 0
    hour = at % 86_400 / 3600
    made = int(900 * math.exp(-((hour - 12.3) ** 2) / 5) * (0.5 + at // 86_400 * 53 % 10 / 10)) if 8 < hour < 17 else 0
    return measured(max(0, used - made), max(0, made - used))


def fill(store: Store, device: Device, first: str, until: int, energy: Energy = curve) -> None:
    """Write a device's days from `first` up to an instant, with their months and years."""
    device = replace(device, household=device.household or HOUSEHOLD)
    store.put_device(device)
    day, last = first, periods.day_of(until, device.timezone)
    with store.transaction():
        while day <= last:
            fill_day(store, device, day, until, energy)
            day = periods.shift("day", day, 1)
        for level, below in (("month", "day"), ("year", "month")):
            carry(store, device, level, store.periods(below, device.device_id))


def fill_day(store: Store, device: Device, day: str, until: int, energy: Energy) -> None:
    """Write the half hours and hours of one day."""
    zone = device.timezone
    halves = {half.name: energy(half.start) for half in periods.half_hours(day, zone) if half.start < until}
    known = {name: part for name, part in halves.items() if part != EMPTY}
    if known:
        parts = {
            name: None if part.is_empty else part for name, part in priced(store, device, day, zone, known).items()
        }
        store.merge_parts("day", device.device_id, day, zone, parts, currency_of(device))


def carry(store: Store, device: Device, level: str, below: Iterable[str]) -> None:
    """Write the documents of a level from the level below."""
    child = periods.LEVELS[level].child
    for period in below:
        document = store.document(child, device.device_id, period)
        assert document is not None
        part = {periods.part_in(level, period): document.total}
        above = periods.containing(level, child, period)
        store.merge_parts(level, device.device_id, above, device.timezone, part, document.currency)


def outage(start: str, end: str, estimated_until: str) -> Energy:
    """Return the curve with a gap: estimated at first, then empty."""
    first, middle, last = instant(start), instant(estimated_until), instant(end)

    def energy(at: int) -> Part:
        if not first <= at < last:
            return curve(at)
        return Part(300, 0, estimated_import_wh=300, estimated_s=HALF_HOUR) if at < middle else EMPTY

    return energy


def tariff(imported: object, exported: object = None, currency: str = "GBP") -> str:
    """Return the stored text of a tariff with one version."""
    version = {"from": "2020-01-01", "standing_charge": "0.5310", "import": imported, "export": exported}
    return tariff_to_text(tariff_from_json({"currency": currency, "versions": [version]}))


NIGHT = tariff(
    [
        {"name": "night", "from": "00:30", "to": "05:30", "rate": "0.0850"},
        {"name": "day", "from": "05:30", "to": "00:30", "rate": "0.2890"},
    ]
)
SOLAR = tariff("0.2450", "0.1500")
HALF_HOURLY = tariff("half-hourly")


def half_hourly_prices(first: str, days: int) -> Series:
    """Return prices that are high in the evening and negative on some nights."""
    start = instant(f"{first}T00:00:00+00:00")
    prices = {}
    for at in range(start, start + days * periods.DAY_S, HALF_HOUR):
        hour, day = at % periods.DAY_S // 3600, at // periods.DAY_S
        pence = 33 if 16 <= hour < 19 else -4 if hour < 5 and day % 3 == 0 else 9 if hour < 6 else 18
        prices[at] = Decimal(pence * 100 + at // HALF_HOUR * 37 % 190) / 10_000
    return Series(import_prices=prices)


def furnish(store: Store, household: str = HOUSEHOLD) -> None:
    """Write the homes of the browser tests: one of each kind, all of one household."""
    fill(store, Device("cad-1", tariff=NIGHT), FIRST_DAY, NOW)
    fill(store, Device("cad-solar", tariff=SOLAR), "2026-06-03", NOW, sunny)
    agile = Device("cad-agile", tariff=HALF_HOURLY)
    store.put_prices(agile.device_id, half_hourly_prices("2026-09-01", 85))  # up to tomorrow
    fill(store, agile, "2026-09-01", NOW)
    gap = outage("2026-11-23T02:00:00+00:00", "2026-11-23T10:00:00+00:00", "2026-11-23T06:00:00+00:00")
    fill(store, Device("cad-patchy"), "2026-11-02", NOW, gap)
    fill(store, Device("cad-silent"), "2026-10-01", instant("2026-11-23T11:30:00+00:00"))
    fill(store, Device("cad-lord-howe", "Australia/Lord_Howe"), "2026-09-01", NOW)
    store.put_device(Device("cad-new"))
    store.put_live(
        [
            live("cad-1", 612),
            live("cad-agile", 1304),
            live("cad-solar", -1240),
            live("cad-patchy", 2875, age=75),
            live("cad-silent", 433, age=NOW - instant("2026-11-23T11:30:00+00:00")),
            live("cad-lord-howe", None),
        ]
    )
    for device in store.devices():
        store.put_device(replace(device, household=household))


def furnish_one(store: Store, device: Device, first: str, energy: Energy = curve, power_w: int = 612) -> None:
    """Write one home with a short history."""
    fill(store, device, first, NOW, energy)
    store.put_live([live(device.device_id, power_w)])
