"""The preview of a tariff change: the affected days, and their cost before and after. Also tariffs in words.

The second half is pure: units, the prices of a version, spans of days.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby

from babel.core import get_global
from babel.numbers import get_currency_name, get_territory_currencies

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.money import NOTHING, Cost, add_costs
from aggregator.store.port import Store
from aggregator.tariffs.rates import (
    NO_SERIES,
    Series,
    Span,
    affected_days,
    common,
    count_days,
    energy_cost,
    standing_charge,
)
from aggregator.tariffs.tariff import CURRENCIES, HalfHourly, Rates, Tariff, TariffVersion
from aggregator.waterfall.pricing import supplied_to_present, tariff_of
from dashboard.pages.tariff.tariff_fields import money_typed
from dashboard.text.language import MINOR, Language, text

YEARS = 5  # years of the past in the comparison; a change affects older days too


@dataclass(frozen=True, slots=True)
class TariffChange:
    """The cost of some days on the present and on the new tariff."""

    before: Cost = NOTHING
    after: Cost = NOTHING

    @property
    def difference(self) -> int | None:
        """The increase in units; None if one cost is unknown or lacks some energy."""
        before, after = self.before.whole, self.after.whole
        return None if before is None or after is None else after - before


@dataclass(frozen=True, slots=True)
class Preview:
    """The effects of a change. Without spans the past stays as it is."""

    spans: list[Span] = field(default_factory=list)  # of the days from the first with data to today
    day_count: int = 0  # of all spans
    since: str = ""  # the first day of the cost comparison, if older days change too
    months: dict[str, TariffChange] = field(default_factory=dict)
    total: TariffChange = TariffChange()


def preview(store: Store, device: Device, new: Tariff | None, now: int) -> Preview:
    """Return the effects of the tariff `new` on a device's past up to `now` (UTC seconds)."""
    known, old, zone = supplied_to_present(store, device, now), tariff_of(device), device.timezone
    spans = affected_days(old, new, *known) if known else []
    if known is None or not spans:
        return Preview()
    oldest = f"{int(known[1][:4]) - YEARS:04d}{known[1][4:7]}-01"
    recent = [span for one in spans if (span := common(one, (oldest, known[1])))]
    days: dict[str, list[TariffChange]] = defaultdict(list)
    for piece in (piece for span in recent for piece in _cut(span, "month")):
        charges = (NOTHING._replace(standing_charge=standing_charge(one, piece, known, zone)) for one in (old, new))
        days[piece[0][:7]].append(TariffChange(*charges))
    for document, series in _history(store, device, recent, (old, new)):
        changes = (energy_cost([document], tariff, series) for tariff in (old, new))
        days[document.period[:7]].append(TariffChange(*changes))
    months = {month: _sum(changes) for month, changes in days.items()}
    count = sum(count_days(span, zone) for span in spans)
    return Preview(spans, count, oldest if spans[0][0] < oldest else "", months, _sum(list(months.values())))


def _history(
    store: Store, device: Device, spans: list[Span], tariffs: tuple[Tariff | None, ...]
) -> Iterator[tuple[Document, Series]]:
    """Yield the days of the spans with their half-hourly prices, reading a year at a time."""
    pieces = [piece for span in spans for piece in _cut(span, "year")]
    for _, group in groupby(pieces, key=lambda piece: piece[0][:4]):
        year = list(group)
        first, last = year[0][0], year[-1][1]
        series = _series(store, device, tariffs, first, last)
        for document in store.documents("day", device.device_id, first, last):
            if any(start <= document.period <= end for start, end in year):
                yield document, series


def _series(store: Store, device: Device, tariffs: tuple[Tariff | None, ...], first: str, last: str) -> Series:
    if not any(_is_half_hourly(tariff, first, last) for tariff in tariffs):
        return NO_SERIES
    start = periods.window("day", first, device.timezone).start
    return store.prices(device.device_id, periods.block_start(start), periods.window("day", last, device.timezone).end)


def _is_half_hourly(tariff: Tariff | None, first: str, last: str) -> bool:
    """Whether a version between `first` and `last` has half-hourly prices."""
    if tariff is None:
        return False
    begun = tariff.version_on(first)
    versions = [version for version in tariff.versions if version == begun or first < version.valid_from <= last]
    return any(
        isinstance(rates, HalfHourly) for version in versions for rates in (version.import_rates, version.export_rates)
    )


def _cut(span: Span, level: str) -> Iterator[Span]:
    """Cut a span of days at the ends of a level's periods."""
    period = periods.containing(level, "day", span[0])
    while piece := common(span, periods.days(level, period)):
        yield piece
        period = periods.shift(level, period, 1)


def _sum(changes: list[TariffChange]) -> TariffChange:
    return TariffChange(add_costs(change.before for change in changes), add_costs(change.after for change in changes))


# Tariffs in words

DAY = text("d MMMM y")
MONTH = text("MMMM y")
FALLBACK = "EUR"
USUAL = ("GBP", "EUR")  # first in the list of currencies
_ENERGY = {"GBP": text("pence per kWh"), "EUR": text("cents per kWh")}
_CHARGE = {"GBP": text("pence a day"), "EUR": text("cents a day")}


def unit_of_energy(currency: str, language: Language) -> str:
    """Return the unit of a typed energy price: `pence per kWh`."""
    sentence = _ENERGY.get(currency)
    return language.say(sentence) if sentence else language.say("{currency} per kWh", currency=currency)


def unit_of_charge(currency: str, language: Language) -> str:
    """Return the unit of a typed standing charge: `pence a day`."""
    sentence = _CHARGE.get(currency)
    return language.say(sentence) if sentence else language.say("{currency} a day", currency=currency)


def currencies(language: Language) -> list[tuple[str, str]]:
    """Return every currency's code and name: the usual ones, then the others by name."""
    names = {code: f"{get_currency_name(code, locale=language.locale)} ({code})" for code in CURRENCIES}
    others = sorted((code for code in CURRENCIES if code not in USUAL), key=names.__getitem__)
    return [(code, names[code]) for code in (*USUAL, *others)]


def currency_of_zone(zone: str, on: date) -> str:
    """Return the currency of a time zone on a day."""
    territory = get_global("zone_territories").get(zone)
    found = get_territory_currencies(territory, on) if territory else []
    return found[0] if found and found[0] in CURRENCIES else FALLBACK


def price_words(amount: Decimal, currency: str, language: Language) -> str:
    """Return an exact small amount: `24.5 p`."""
    return f"{money_typed(amount, currency, language).replace('-', '−')} {MINOR.get(currency, currency)}"


def version_words(version: TariffVersion, currency: str, language: Language) -> str:
    """Return the prices of a version in one line."""
    imported = _rates_words(version.import_rates, currency, language)
    words = [imported]
    if version.standing_charge:
        words.append(language.say("{charge} a day", charge=price_words(version.standing_charge, currency, language)))
    if version.export_rates is not None:
        export = _rates_words(version.export_rates, currency, language)
        words.append(language.say("export: {price}", price=export))
    if not version.vat_included:
        words.append(language.say("VAT comes on top"))
    return " · ".join(words)


def span_words(first: str, last: str, language: Language) -> str:
    """Return a span of days, both included: `1 April 2026 to 23 November 2026, 237 days`."""
    days = (date.fromisoformat(first), date.fromisoformat(last))
    count = language.count("{number} day", "{number} days", (days[1] - days[0]).days + 1)
    start, end = (language.date(day, DAY) for day in days)
    if first == last:
        return start
    return language.say("{first} to {last}, {days}", first=start, last=end, days=count)


def month_words(month: str, language: Language) -> str:
    """Return `November 2026`."""
    return language.date(date.fromisoformat(f"{month}-01"), MONTH)


def odd_rate(tariff: Tariff) -> Decimal | None:
    """Whether a price looks like a slip, such as pounds typed as pence. Only for currencies in hundredths."""
    if tariff.currency not in MINOR:
        return None
    rates = (rate for version in tariff.versions for rate in _numbers(version.import_rates))
    return next((rate for rate in rates if 0 < abs(rate) < _LEAST or abs(rate) > _MOST), None)


_LEAST, _MOST = Decimal("0.01"), Decimal(3)  # of a pound or a euro per kWh; usual prices lie between


def _numbers(rates: Rates) -> Sequence[Decimal]:
    """Return the prices that a person typed."""
    return [rates.plus] if isinstance(rates, HalfHourly) else [window.rate for window in rates]


def _rates_words(rates: Rates, currency: str, language: Language) -> str:
    numbers = _numbers(rates)
    if isinstance(rates, HalfHourly):
        plus = price_words(rates.plus, currency, language)
        by_half_hour = language.say("prices by the half hour")
        return (
            language.say("{prices} plus {plus} per kWh", prices=by_half_hour, plus=plus) if rates.plus else by_half_hour
        )
    least, most = (price_words(one, currency, language) for one in (min(numbers), max(numbers)))
    if least == most:
        return language.say("{price} per kWh", price=most)
    return language.say("{least} to {most} per kWh, by time of day", least=least, most=most)
