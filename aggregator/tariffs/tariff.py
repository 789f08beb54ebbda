"""Tariffs: the history of a household's rates, and its JSON form. Pure.

The simplest tariff is a flat rate with VAT included (household prices in the UK and the EU include it by law)::

    {"currency": "GBP", "versions": [{"from": "2026-04-01", "import": 0.2450, "standing_charge": 0.5310}]}

All keys::

    {"currency": "GBP",                        ISO 4217, one for the whole history
     "versions": [                             in any order; each is valid until the next one begins
       {"from": "2025-10-01",                  the first local day
        "import": [                            currency per kWh, by the local clock; windows cover the whole week
          {"name": "night", "from": "00:30", "to": "07:30", "rate": 0.0850},
          {"name": "day", "from": "07:30", "to": "00:30", "rate": 0.3012, "days": "weekdays"},
          {"name": "weekend", "from": "07:30", "to": "00:30", "rate": 0.2500, "days": "weekends"}],
        "export": 0.15,                        left out or null: export earns nothing
        "standing_charge": 0.5310,             currency per day; default 0
        "vat": 0.05,                           on import and standing charge, not on export earnings
        "vat_included": false},                whether rates and charge include VAT; default true
       {"from": "2026-04-01",
        "import": {"half-hourly": 0.1408},     prices per half hour, imported separately, and what is added to each
        "export": "half-hourly"}]}             the same with nothing added

`import` and `export` are each a rate, a list of windows, or half-hourly prices: those of the market or the supplier,
plus the sum of fees, network charges and taxes per kWh; VAT comes on both. A window's times lie on half hours. A
window crosses midnight where `to` is not after `from`, and lasts all day without times. `days` is `all` (default),
`weekdays` (Monday to Friday) or `weekends`. **Each instant's own local date** decides: the hours after midnight of a
weekday window apply on Tuesday and not on Saturday. A version begins at local midnight.

Rates, prices and standing charges may be negative (surplus wind; the Dutch tax credit is a negative daily charge).
Numbers may be text; `tariff_to_json` writes text, so that no JSON parser turns them into floats. A wrong tariff raises
ConfigurationError with the place of the fault.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from operator import attrgetter
from typing import Final, NoReturn, TypeAlias

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import VAT_PLACES, amount

HALF_HOURLY: Final = "half-hourly"  # the key of HalfHourly
DAYS = {"all": ("weekdays", "weekends"), "weekdays": ("weekdays",), "weekends": ("weekends",)}
HALVES = 48  # half hours of the clock
FLAT = "flat"  # the window name of a flat rate

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF
    CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG
    HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX
    USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())  # ISO 4217
_TIME = re.compile(r"([01][0-9]|2[0-3]):([03]0)|(24:00)")


@dataclass(frozen=True, slots=True)
class RateWindow:
    """A rate and its times of the week."""

    name: str
    start: int  # half hours since local midnight, 0 to 47
    end: int  # 1 to 48; at or before start where the window crosses midnight
    rate: Decimal  # currency per kWh, as written: with or without VAT
    days: str = "all"  # a key of DAYS

    @property
    def halves(self) -> Sequence[int]:
        """The half hours of the clock in this window."""
        if self.start < self.end:
            return range(self.start, self.end)
        return [*range(self.end), *range(self.start, HALVES)]


@dataclass(frozen=True, slots=True)
class HalfHourly:
    """Prices of half hours from a separate series, and what is added to each."""

    plus: Decimal = Decimal(0)  # currency per kWh, as written: with or without VAT


Rates: TypeAlias = tuple[RateWindow, ...] | HalfHourly


@dataclass(frozen=True, slots=True)
class TariffVersion:
    """Rates and charges from a local day on, until the next version begins."""

    valid_from: str  # a local day, 2026-04-01
    import_rates: Rates
    export_rates: Rates | None = None  # None: export earns nothing
    standing_charge: Decimal = Decimal(0)  # currency per local day of any length, as written
    vat: Decimal = Decimal(0)  # a share: 0.05 is 5 %
    vat_included: bool = True  # whether import rates, import prices and standing charge contain VAT


@dataclass(frozen=True, slots=True)
class Tariff:
    """Versions in order of time, in one currency. `tariff_from_json` makes and checks it."""

    currency: str  # ISO 4217
    versions: tuple[TariffVersion, ...]

    def version_on(self, day: str) -> TariffVersion | None:
        """Return the version valid on a local day; None before the first."""
        position = bisect_right(self.versions, day, key=attrgetter("valid_from"))
        return self.versions[position - 1] if position else None


def flat(rate: Decimal) -> tuple[RateWindow, ...]:
    """Return the windows of one rate at all times."""
    return (RateWindow(FLAT, 0, HALVES, rate),)


def tariff_from_text(text: str) -> Tariff:
    """Parse a tariff from JSON text, each number exactly as written. Raises ConfigurationError."""
    try:
        content = json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise ConfigurationError(f"the tariff is not JSON: {error}") from None
    return tariff_from_json(content)


def tariff_from_json(content: object) -> Tariff:
    """Parse a tariff from decoded JSON, numbers as int, Decimal or text. Raises ConfigurationError."""
    fields = _fields(content, "the tariff", ("currency", "versions"))
    currency, rows = fields.get("currency"), fields.get("versions")
    if type(currency) is not str or currency not in CURRENCIES:
        raise ConfigurationError(f"currency is {shown(currency)}; it must be a code of ISO 4217 like GBP")
    if type(rows) is not list or not rows:
        raise ConfigurationError(f"versions is {shown(rows)}; it must be a list of at least one")
    numbered = enumerate(rows, 1)
    versions = sorted((_version(row, f"version {number}", currency) for number, row in numbered), key=_valid_from)
    for one, other in pairwise(versions):
        if one.valid_from == other.valid_from:
            raise ConfigurationError(f"two versions begin on {one.valid_from}")
    return Tariff(currency, tuple(versions))


def tariff_to_json(tariff: Tariff) -> dict[str, object]:
    """Return the JSON form of a tariff, numbers as text; equal tariffs have equal forms."""
    return {"currency": tariff.currency, "versions": [_version_json(version) for version in tariff.versions]}


_valid_from = attrgetter("valid_from")


def _version(content: object, where: str, currency: str) -> TariffVersion:
    known = ("from", "import", "export", "standing_charge", "vat", "vat_included", "currency")
    fields = _fields(content, where, known)
    valid_from = _day(fields.get("from"), where)
    where = f"{where}, from {valid_from}"
    if fields.get("currency", currency) != currency:
        raise ConfigurationError(f"{where}: currency is {shown(fields['currency'])}, but the tariff is in {currency}")
    if fields.get("import") is None:
        raise ConfigurationError(f"{where}: import is missing")
    vat_included = fields.get("vat_included", True)
    if type(vat_included) is not bool:
        raise ConfigurationError(f"{where}: vat_included is {shown(vat_included)}; it must be true or false")
    return TariffVersion(
        valid_from,
        _rates(fields["import"], f"{where}: import"),
        None if fields.get("export") is None else _rates(fields["export"], f"{where}: export"),
        amount(fields.get("standing_charge", 0), f"{where}: standing_charge"),
        amount(fields.get("vat", 0), f"{where}: vat", VAT_PLACES, 0, 1),
        vat_included,
    )


def _day(value: object, where: str) -> str:
    if type(value) is not str or not value.isascii():
        raise ConfigurationError(f"{where}: from is {shown(value)}; it must be a day like 2026-04-01")
    try:
        periods.check_period("day", value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: from: {error}") from None
    return value


def _rates(content: object, where: str) -> Rates:
    if content == HALF_HOURLY:
        return HalfHourly()
    if type(content) is dict:
        return HalfHourly(amount(_fields(content, where, (HALF_HOURLY,)).get(HALF_HOURLY), f"{where}: {HALF_HOURLY}"))
    if type(content) is not list:
        return flat(amount(content, where))
    windows = tuple(_window(row, f"{where} window {number}") for number, row in enumerate(content, 1))
    _check_week(windows, where)
    return windows


def _window(content: object, where: str) -> RateWindow:
    fields = _fields(content, where, ("name", "from", "to", "rate", "days"))
    start, end = _time(fields.get("from", "00:00"), f"{where}: from"), _time(fields.get("to", "24:00"), f"{where}: to")
    end = end or HALVES
    if start in (end, HALVES):
        raise ConfigurationError(f"{where}: it is empty, from {clock(start)} to {clock(end)}")
    days = fields.get("days", "all")
    if type(days) is not str or days not in DAYS:
        raise ConfigurationError(f"{where}: days is {shown(days)}; it must be one of {', '.join(DAYS)}")
    name = fields.get("name", f"{clock(start)}-{clock(end)}")
    if type(name) is not str or not name.strip() or not name.isprintable() or len(name) > 40:
        raise ConfigurationError(f"{where}: name is {shown(name)}; it must be text of 1 to 40 characters")
    return RateWindow(name, start, end, amount(fields.get("rate"), f"{where}: rate"), days)


def _time(value: object, what: str) -> int:
    """Parse a time of day to half hours since midnight."""
    match = _TIME.fullmatch(value) if type(value) is str else None
    if not match:
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a time on the half hour like 07:30")
    return HALVES if match[3] else int(match[1]) * 2 + (match[2] == "30")


def clock(halves: int) -> str:
    """Format half hours since midnight as a time of day: `07:30`."""
    return f"{halves // 2:02d}:{halves % 2 * 30:02d}"


def _check_week(windows: Sequence[RateWindow], where: str) -> None:
    """Raise ConfigurationError unless exactly one window covers each half hour of a weekday and a weekend day."""
    for kind in DAYS["all"]:
        owners: list[RateWindow | None] = [None] * HALVES
        for window in _on(windows, kind):
            for half in window.halves:
                owner = owners[half]
                if owner:
                    names = f"{owner.name!r} and {window.name!r}"
                    raise ConfigurationError(f"{where}: windows {names} overlap on {kind} at {clock(half)}")
                owners[half] = window
        if None in owners:
            hole = owners.index(None)
            end = next((half for half in range(hole, HALVES) if owners[half]), HALVES)
            raise ConfigurationError(f"{where}: no window covers {kind} from {clock(hole)} to {clock(end)}")


def _on(windows: Sequence[RateWindow], kind: str) -> Iterator[RateWindow]:
    return (window for window in windows if kind in DAYS[window.days])


def face(windows: Sequence[RateWindow], kind: str) -> tuple[Decimal | None, ...]:
    """Return the rate at each half hour of the clock, on `weekdays` or `weekends`; None in a hole."""
    rates = {half: window.rate for window in _on(windows, kind) for half in window.halves}
    return tuple(map(rates.get, range(HALVES)))


def _fields(content: object, where: str, known: Sequence[str]) -> dict[str, object]:
    if type(content) is not dict:
        raise ConfigurationError(f"{where} is {shown(content)}; it must be an object")
    for key in content:
        if key not in known:
            raise ConfigurationError(f"{where} has an unknown key {shown(key)}; the keys are {', '.join(known)}")
    return content


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object; refuse a repeated key, where Python would keep the last value."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {shown(twice)} occurs twice in one object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _version_json(version: TariffVersion) -> dict[str, object]:
    content: dict[str, object] = {"from": version.valid_from, "import": _rates_json(version.import_rates)}
    if version.export_rates is not None:
        content["export"] = _rates_json(version.export_rates)
    content["standing_charge"] = f"{version.standing_charge:f}"
    return content | {"vat": f"{version.vat:f}", "vat_included": version.vat_included}


def _rates_json(rates: Rates) -> object:
    if isinstance(rates, HalfHourly):
        return {HALF_HOURLY: f"{rates.plus:f}"} if rates.plus else HALF_HOURLY
    if rates == flat(rates[0].rate):
        return f"{rates[0].rate:f}"
    return [
        {"name": row.name, "from": clock(row.start), "to": clock(row.end), "rate": f"{row.rate:f}", "days": row.days}
        for row in rates
    ]
