"""A tariff in words: its units, what a version costs, spans of days. Pure."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from babel.core import get_global
from babel.numbers import get_currency_name, get_territory_currencies

from aggregator.tariffs.tariff import CURRENCIES, Rates, Tariff, TariffVersion
from dashboard.pages.tariff.tariff_fields import money_typed
from dashboard.text.language import MINOR, Language, text

DAY = text("d MMMM y")
MONTH = text("MMMM y")
FALLBACK = "EUR"
USUAL = ("GBP", "EUR")  # before all others in the list of currencies
_ENERGY = {"GBP": text("pence per kWh"), "EUR": text("cents per kWh")}
_CHARGE = {"GBP": text("pence a day"), "EUR": text("cents a day")}


def unit_of_energy(currency: str, language: Language) -> str:
    """What the price of a kWh is typed in: `pence per kWh`."""
    sentence = _ENERGY.get(currency)
    return language.say(sentence) if sentence else language.say("{currency} per kWh", currency=currency)


def unit_of_charge(currency: str, language: Language) -> str:
    """What the standing charge is typed in: `pence a day`."""
    sentence = _CHARGE.get(currency)
    return language.say(sentence) if sentence else language.say("{currency} a day", currency=currency)


def currencies(language: Language) -> list[tuple[str, str]]:
    """Every currency's code and name; the usual ones, then the others by name."""
    names = {code: f"{get_currency_name(code, locale=language.locale)} ({code})" for code in CURRENCIES}
    others = sorted((code for code in CURRENCIES if code not in USUAL), key=names.__getitem__)
    return [(code, names[code]) for code in (*USUAL, *others)]


def currency_of_zone(zone: str, on: date) -> str:
    """What people pay with where a time zone is."""
    territory = get_global("zone_territories").get(zone)
    found = get_territory_currencies(territory, on) if territory else []
    return found[0] if found and found[0] in CURRENCIES else FALLBACK


def price_words(amount: Decimal, currency: str, language: Language) -> str:
    """An exact small amount: `24.5 p`."""
    return f"{money_typed(amount, currency, language).replace('-', '−')} {MINOR.get(currency, currency)}"


def version_words(version: TariffVersion, currency: str, language: Language) -> str:
    """What a version costs, in a line."""
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
    """A span of days, both included: `1 April 2026 to 23 November 2026, 237 days`."""
    days = (date.fromisoformat(first), date.fromisoformat(last))
    count = language.count("{number} day", "{number} days", (days[1] - days[0]).days + 1)
    start, end = (language.date(day, DAY) for day in days)
    if first == last:
        return start
    return language.say("{first} to {last}, {days}", first=start, last=end, days=count)


def month_words(month: str, language: Language) -> str:
    """`November 2026`."""
    return language.date(date.fromisoformat(f"{month}-01"), MONTH)


def odd_rate(tariff: Tariff) -> Decimal | None:
    """A price that looks like a slip: pounds typed as pence, or pence as pounds. Only of currencies in hundredths."""
    if tariff.currency not in MINOR:
        return None
    rates = (rate for version in tariff.versions for rate in _numbers(version.import_rates))
    return next((rate for rate in rates if 0 < abs(rate) < _LEAST or abs(rate) > _MOST), None)


_LEAST, _MOST = Decimal("0.01"), Decimal(3)  # of a pound or a euro per kWh; what people pay lies between


def _numbers(rates: Rates) -> Sequence[Decimal]:
    return [] if isinstance(rates, str) else [window.rate for window in rates]


def _rates_words(rates: Rates, currency: str, language: Language) -> str:
    numbers = _numbers(rates)
    if not numbers:
        return language.say("prices by the half hour")
    least, most = (price_words(one, currency, language) for one in (min(numbers), max(numbers)))
    if least == most:
        return language.say("{price} per kWh", price=most)
    return language.say("{least} to {most} per kWh, by time of day", least=least, most=most)
