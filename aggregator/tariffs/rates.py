"""Rates of the half hours of a local day, standing charges, bills, and the days that a tariff change touches. Pure.

The local clock at a half hour's **start** decides its window. The repeated hour of an autumn night is therefore priced
twice, the skipped hour of a spring night never. Its local day decides the tariff version and weekday or weekend. A
half-hourly price is the price of the UTC half hour that contains the start (in zones like +05:45 the two differ). The
standing charge is owed once for each local day of 23, 24 or 25 hours, with or without readings.

Money is integer units of 10^-13 of the currency (see `money`); a rate is units per Wh, VAT included. Sums are exact.
Energy without a known price is counted in Wh, without a cost. Estimated energy gives estimated cost.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, TypeAlias

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, charged
from aggregator.core.money import RATE_PLACES, VAT_PLACES, Cost, add_costs, scaled
from aggregator.core.periods import DAY_S, HALF_HOUR, Window
from aggregator.tariffs.tariff import HALVES, HalfHourly, Rates, Tariff, TariffVersion, face

ONE: int = 10**VAT_PLACES  # 100 %: VAT is in ten-thousandths
DAY_TO_UNITS = 1000  # a daily charge in millionths × VAT in ten-thousandths gives 10^-10 of the currency

Span: TypeAlias = tuple[str, str]  # local days, first and last included


class Rate(NamedTuple):
    """The import and export rate at one instant, in units per Wh. None is unknown, never free."""

    import_rate: int | None  # VAT included
    export_rate: int | None  # 0 where the tariff pays nothing for export


UNKNOWN = Rate(None, None)


@dataclass(frozen=True, slots=True)
class Series:
    """Half-hourly prices, currency per kWh as published, by the start of the half hour (UTC seconds)."""

    import_prices: Mapping[int, Decimal] = field(default_factory=dict)
    export_prices: Mapping[int, Decimal] = field(default_factory=dict)


NO_SERIES = Series()


def day_rates(tariff: Tariff | None, day: str, zone: str, series: Series = NO_SERIES) -> tuple[Rate, ...]:
    """Return the rate of each half hour of a local day, in order; UNKNOWN where no version is valid."""
    version = tariff.version_on(day) if tariff else None
    if version is None:
        return (UNKNOWN,) * len(periods.half_hours(day, zone))
    if not isinstance(version.import_rates, HalfHourly) and not isinstance(version.export_rates, HalfHourly):
        return _window_rates(version, day, zone)
    imported = _direction(version.import_rates, _with_vat(version), day, zone, series.import_prices)
    exported = _direction(version.export_rates, ONE, day, zone, series.export_prices)
    return tuple(map(Rate, imported, exported))


def standing_charge(tariff: Tariff | None, days: Span, supplied: Span | None, zone: str) -> int | None:
    """Return the standing charge of those of `days` that are in `supplied`, in units, VAT included.

    `supplied` is from a home's first known day to today, see `pricing.supplied`. None where no such day has a version.
    """
    span = common(days, supplied)
    if tariff is None or span is None:
        return None
    ends = [periods.shift("day", version.valid_from, -1) for version in tariff.versions[1:]]
    charges = [
        _standing_charge(version) * count
        for version, end in zip(tariff.versions, [*ends, span[1]], strict=True)
        if (valid := common(span, (version.valid_from, end))) and (count := count_days(valid, zone))
    ]
    return sum(charges) if charges else None


def common(days: Span, others: Span | None) -> Span | None:
    """Return the days that two spans share, or None."""
    if others is None:
        return None
    first, last = max(days[0], others[0]), min(days[1], others[1])
    return (first, last) if first <= last else None


def count_days(span: Span, zone: str) -> int:
    """Return the number of local days, whatever their length, without a date that the zone skipped (Samoa in 2011)."""
    start, end = (periods.day_start(day, zone) for day in (span[0], periods.shift("day", span[1], 1)))
    return round((end - start) / DAY_S)  # clock changes add up to a few hours, a skipped date is 24


def with_charges(document: Document, tariff: Tariff | None, supplied: Span | None) -> Document:
    """Return a document with its standing charges as far as they have come: a day's own, else those of its parts.

    A document in another currency waits to be priced again, and stays as it is.
    """
    level, zone = periods.LEVELS[document.level], document.timezone
    if tariff is None or document.currency not in ("", tariff.currency):
        return document
    if level.has_hours:
        charge = standing_charge(tariff, periods.days(level.name, document.period), supplied, zone)
        return document if charge is None else replace(document, standing_charge=charge, currency=tariff.currency)
    charges = {
        name: charge
        for name, period in periods.children(level.name, document.period).items()
        if (charge := standing_charge(tariff, periods.days(level.child, period), supplied, zone)) is not None
    }
    before = {name: document.part(name).cost.standing_charge or 0 for name in charges}  # of another household
    parts = {name: charged(document.part(name), before[name] + charge) for name, charge in charges.items()}
    currency = tariff.currency if charges else document.currency
    return replace(document, parts={**document.parts, **parts}, currency=currency)


def affected_days(old: Tariff | None, new: Tariff | None, first_day: str, last_day: str) -> list[Span]:
    """Return the spans of local days that two tariffs price differently, first and last day included.

    New half-hourly prices also change days, without a change of tariff: see `days_of_prices`.
    """
    spans: list[Span] = []
    start = date.fromisoformat(first_day).toordinal()
    end = date.fromisoformat(last_day).toordinal() + 1
    days = (date.fromordinal(number).isoformat() for number in range(start, end))
    for differs, group in groupby(days, key=lambda day: _terms(old, day) != _terms(new, day)):
        if differs:
            run = list(group)
            spans.append((run[0], run[-1]))
    return spans


def days_of_prices(starts: Iterable[int], zone: str) -> list[str]:
    """Return the local days that half-hourly prices can touch; `starts` are UTC seconds."""
    spans: list[Window] = []
    for start in sorted(starts):
        joined = spans.pop().start if spans and spans[-1].end >= start else start
        spans.append(Window(joined, start + HALF_HOUR))
    return sorted({day for span in spans for day in periods.days_of(span, zone)})


@lru_cache(maxsize=1024)
def _standing_charge(version: TariffVersion) -> int:
    charge = scaled(version.standing_charge, RATE_PLACES, "the standing charge")
    return charge * _with_vat(version) * DAY_TO_UNITS


@lru_cache(maxsize=4096)
def _window_rates(version: TariffVersion, day: str, zone: str) -> tuple[Rate, ...]:
    imported = _direction(version.import_rates, _with_vat(version), day, zone, {})
    exported = _direction(version.export_rates, ONE, day, zone, {})
    return tuple(map(Rate, imported, exported))


def _direction(
    rates: Rates | None, factor: int, day: str, zone: str, prices: Mapping[int, Decimal]
) -> Iterator[int | None]:
    """Yield the rate of one direction at each half hour of a day, in units per Wh."""
    if isinstance(rates, HalfHourly):
        starts = (periods.block_start(slot.start) for slot in periods.half_hours(day, zone))
        found, added = map(prices.get, starts), _per_wh(rates.plus, factor)
        return (None if price is None else _per_wh(price, factor) + added for price in found)
    table = _face(rates, _kind(day), factor)
    return (table[half] for half in _clock(day, zone))


def _with_vat(version: TariffVersion) -> int:
    """Return 1 + the VAT that must be added, in ten-thousandths."""
    return ONE + (0 if version.vat_included else scaled(version.vat, VAT_PLACES, "vat"))


def _per_wh(rate: Decimal, factor: int) -> int:
    """Convert currency per kWh to units per Wh, exactly: 6 and 4 decimal places and 10^3 make 10^13."""
    return scaled(rate, RATE_PLACES, "a rate") * factor


@lru_cache(maxsize=1024)
def _face(rates: Rates | None, kind: str, factor: int) -> tuple[int | None, ...]:
    """Return the rate of a window tariff at each half hour of the clock, in units per Wh."""
    if rates is None:
        return (0,) * HALVES
    assert not isinstance(rates, HalfHourly)
    return tuple(None if rate is None else _per_wh(rate, factor) for rate in face(rates, kind))


@lru_cache(maxsize=4096)
def _clock(day: str, zone: str) -> bytes:
    """Return the half hour of the local clock, 0 to 47, at the start of each half hour of a local day."""
    slots = periods.half_hours(day, zone)
    if len(slots) == HALVES:  # no clock change; verified for every zone and day from 1990 to 2030, and much faster
        return bytes(range(HALVES))
    moments = (periods.local(slot.start, zone) for slot in slots)
    return bytes(moment.hour * 2 + moment.minute // 30 for moment in moments)


def _kind(day: str) -> str:
    return "weekends" if date.fromisoformat(day).weekday() >= 5 else "weekdays"


def _terms(tariff: Tariff | None, day: str) -> object:
    """Return everything that decides the prices of a day, for comparison."""
    if tariff is None:
        return None
    version = tariff.version_on(day)
    if version is None:
        return tariff.currency, None, None  # unpriced energy differs from no tariff
    rates = [
        (rates, factor) if isinstance(rates, HalfHourly) else _face(rates, _kind(day), factor)
        for rates, factor in ((version.import_rates, _with_vat(version)), (version.export_rates, ONE))
    ]
    return tariff.currency, rates, _standing_charge(version)


# Bills


def price_day(
    day: str, zone: str, parts: Mapping[str, Part], tariff: Tariff | None, series: Series = NO_SERIES
) -> dict[str, Cost]:
    """Return the cost of each half hour of a day document with known energy, by name; its hours are ignored."""
    rates = day_rates(tariff, day, zone, series)
    named = zip(periods.half_hours(day, zone), rates, strict=True)
    return {slot.name: price(part, rate) for slot, rate in named if not (part := parts.get(slot.name, EMPTY)).is_empty}


def price(part: Part, rate: Rate) -> Cost:
    """Return the exact cost of one half hour's energy."""
    imported, import_rate, estimated_import_wh = part.import_wh, rate.import_rate, part.estimated_import_wh
    exported, export_rate, estimated_export_wh = part.export_wh, rate.export_rate, part.estimated_export_wh
    return Cost(
        None if imported is None or import_rate is None else imported * import_rate,
        None if exported is None or export_rate is None else exported * export_rate,
        unpriced_import_wh=0 if imported is None or import_rate is not None else imported,
        unpriced_export_wh=0 if exported is None or export_rate is not None else exported,
        estimated_import_cost=estimated_import_wh * (import_rate or 0),
        estimated_export_earnings=estimated_export_wh * (export_rate or 0),
    )


def energy_cost(days: Iterable[Document], tariff: Tariff | None, series: Series = NO_SERIES) -> Cost:
    """Return the cost of the energy of day documents, each in its own zone, without standing charges."""
    bills = (price_day(day.period, day.timezone, day.parts, tariff, series) for day in days)
    return add_costs(cost for bill in bills for cost in bill.values())
