"""What the demo households pay: a flat rate, a cheap night, prices by the half hour, and solar export. Pure."""

from decimal import Decimal
from random import Random

from aggregator.core import periods
from aggregator.core.periods import HALF_HOUR
from aggregator.demo.simulator import FITTED, Household
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import Tariff, tariff_from_json

_FLAT = {"import": "0.2450", "standing_charge": "0.5310"}
_NIGHT = [
    {"name": "night", "from": "00:30", "to": "05:30", "rate": "0.0850"},
    {"name": "day", "from": "05:30", "to": "00:30", "rate": "0.2890"},
]
_TARIFFS: dict[str, dict[str, object]] = {
    "demo-solar": {**_FLAT, "export": "0.1500"},
    "demo-ev": {"import": _NIGHT, "standing_charge": "0.5310"},
    "demo-flaky": {"import": "half-hourly", "standing_charge": "0.4780"},
}
_RISE = "2026-04-01"  # from this day a flat rate is a little higher, so that a history has two versions
_RISEN = {"import": "0.2570", "standing_charge": "0.5460"}

# Currency per kWh by UTC hour: wind at night, a peak when the country cooks.
_DAY_SHAPE = (8, 8, 7, 7, 7, 9, 13, 17, 19, 18, 17, 16, 15, 15, 16, 19, 31, 34, 33, 22, 19, 17, 13, 10)
_WINDY_NIGHT = range(5)  # hours
_WINDY = 0.2  # of all nights


def tariff_of_home(home: Household) -> Tariff:
    """The tariff of a demo household, valid since its meter was fitted."""
    name = next((name for name in _TARIFFS if home.device_id.startswith(name)), None)
    versions: list[dict[str, object]] = [{"from": FITTED, **(_TARIFFS[name] if name else _FLAT)}]
    if name is None:
        versions.append({"from": _RISE, **_RISEN})
    currency = "EUR" if home.timezone == "Europe/Berlin" else "GBP"
    return tariff_from_json({"currency": currency, "versions": versions})


def prices_of_day(seed: int, day_start: int) -> Series:
    """The half-hourly import prices of the UTC day that starts at `day_start`; the same for every household."""
    chance = Random(f"{seed} {day_start}")  # noqa: S311 - a demo's prices, not a secret
    is_windy = chance.random() < _WINDY
    prices = {}
    for number in range(48):
        pence = _DAY_SHAPE[number // 2] * (0.85 + 0.3 * chance.random())
        if is_windy and number // 2 in _WINDY_NIGHT:
            pence -= 11
        prices[day_start + number * HALF_HOUR] = Decimal(round(pence * 100)) / 10_000
    return Series(import_prices=prices)


def has_half_hourly_prices(tariff: Tariff) -> bool:
    """Whether a tariff needs a series of prices."""
    return any(version.import_rates == "half-hourly" for version in tariff.versions)


def days_between(start: int, end: int) -> range:
    """The starts of the UTC days that a span touches (UTC seconds)."""
    return range(start - start % periods.DAY_S, end, periods.DAY_S)
