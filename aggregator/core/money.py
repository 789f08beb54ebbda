"""Money: exact integers inside, decimal text outside, rounded once, on the screen. Pure.

One unit is 10^-13 of the currency. A rate has at most 6 decimal places (currency per kWh), VAT has at most 4, and
energy is whole Wh, thousandths of a kWh. So rate × (1 + VAT) × energy is always a whole number of units. No cost is
rounded, and the sum of the parts equals the whole at every level. Wrong numbers raise ConfigurationError.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, shown

UNIT_PLACES = 13  # a unit is 10^-13 of the currency (of a pound, not of a penny)
RATE_PLACES = 6  # of a rate, a price or a standing charge
VAT_PLACES = 4  # of VAT as a share: 0.0525 is 5.25 %
MOST = 1_000_000  # of any currency, per kWh or per day; electricity costs less in every currency

_SCREEN_PLACES = 2
_DECIMAL = re.compile(r"[+-]?(\d{1,20}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", re.ASCII)
_WIRE_INTEGER = 2**63  # orjson refuses to write a larger integer, and reads it as a float
_MOST_PLACES = 60  # more than _DECIMAL accepts; prevents computing 1E-999999


class Cost(NamedTuple):
    """The money of one part of a chart, in units. None is unknown, never zero. Export earnings are positive."""

    import_cost: int | None  # of priced import, VAT included; negative where prices were negative
    export_earnings: int | None  # of priced export
    standing_charge: int | None = None  # VAT included; days, months and years have it, hours do not
    unpriced_import_wh: int = 0  # Wh without a known price, in no cost
    unpriced_export_wh: int = 0
    estimated_import_cost: int = 0  # the share of import_cost from estimated energy
    estimated_export_earnings: int = 0  # the share of export_earnings from estimated energy

    @property
    def unpriced_wh(self) -> int:
        """Energy of both directions without a price, Wh."""
        return self.unpriced_import_wh + self.unpriced_export_wh

    @property
    def to_pay(self) -> int | None:
        """Import and standing charge minus export earnings, in units; None where all three are unknown."""
        if self.import_cost is self.export_earnings is self.standing_charge is None:
            return None
        return (self.import_cost or 0) + (self.standing_charge or 0) - (self.export_earnings or 0)

    @property
    def whole(self) -> int | None:
        """`to_pay` where all energy is priced; None while some has no price."""
        return None if self.unpriced_wh else self.to_pay


NOTHING = Cost(None, None)


def add_costs(costs: Iterable[Cost]) -> Cost:
    """Sum costs; an amount is None only where every summand is None."""
    columns = list(zip(*costs, strict=True))
    if not columns:
        return NOTHING
    amounts = [[value for value in column if value is not None] for column in columns[:3]]
    return Cost._make([*(sum(known) if known else None for known in amounts), *map(sum, columns[3:])])


def cost_json(cost: Cost) -> dict[str, object]:
    """Return a cost's public JSON form: exact decimal text, null where unknown."""

    def text(units: int | None) -> str | None:
        return None if units is None else money_text(units)

    return {
        "cost": text(cost.import_cost),
        "export_earnings": text(cost.export_earnings),
        "standing_charge": text(cost.standing_charge),
        "unpriced_wh": cost.unpriced_wh,
    }


def money_text(units: int) -> str:
    """Return the exact amount as plain decimal text, at least two decimal places: `0.53`, `0.0257250001`."""
    return plain(units, UNIT_PLACES, _SCREEN_PLACES)


def screen_text(units: int) -> str:
    """Return the amount for a screen: two decimal places, half to even. Only this function rounds money."""
    return plain(_half_even(units, 10 ** (UNIT_PLACES - _SCREEN_PLACES)), _SCREEN_PLACES, _SCREEN_PLACES)


def to_wire(units: int | None) -> int | str | None:
    """Return units as a JSON value: an integer, or text beyond 64 bits (922,337 of the currency)."""
    return units if units is None or -_WIRE_INTEGER <= units < _WIRE_INTEGER else str(units)


def plain(whole: int, places: int, least: int) -> str:
    """Return `whole` / 10^places as plain decimal text; trailing zeros are trimmed to `least` decimal places."""
    front, decimals = divmod(abs(whole), 10**places)
    kept = f"{decimals:0{places}d}".rstrip("0").ljust(least, "0")
    return f"{'-' if whole < 0 else ''}{front}{'.' if kept else ''}{kept}"


def scaled(value: Decimal, places: int, what: str) -> int:
    """Return `value` × 10^places, whatever the decimal context. Raises ConfigurationError unless it is an integer."""
    numerator, denominator = value.as_integer_ratio()
    whole, rest = divmod(numerator * int(10**places), denominator)
    if rest:
        raise ConfigurationError(f"{what} is {value}; it may have at most {places} decimal places")
    return whole


def rounded(value: Decimal, per: int) -> Decimal:
    """Round `value` / `per` to a rate of 6 decimal places, half to even; for prices with float noise."""
    numerator, denominator = value.as_integer_ratio()
    return Decimal(plain(_half_even(numerator * 10**RATE_PLACES, denominator * per), RATE_PLACES, 0))


def amount(value: object, what: str, places: int = RATE_PLACES, least: int = -MOST, most: int = MOST) -> Decimal:
    """Return an amount in plain form, as `number` parses it, with at most `places` decimal places.

    Raises ConfigurationError.
    """
    found = number(value, what, least, most)
    return Decimal(plain(scaled(found, places, what), places, 0))


def number(value: object, what: str, least: int | Decimal = -MOST, most: int = MOST) -> Decimal:
    """Return a JSON number (int or Decimal) or decimal text as a Decimal from `least` to `most`.

    Raises ConfigurationError, also for a float, since a float has lost the written digits.
    """
    found = _decimal(value)
    if found is None or not found.is_finite():
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a decimal number like 0.2450")
    if not least <= found <= most:
        raise ConfigurationError(f"{what} is {shown(value)}; it must be between {least} and {most}")
    if int(found.as_tuple().exponent) < -_MOST_PLACES:
        raise ConfigurationError(f"{what} is {shown(value)}; it has too many decimal places")
    return found


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if type(value) is int:
        return Decimal(value)
    if type(value) is str and _DECIMAL.fullmatch(value.strip()):
        return Decimal(value.strip())
    return None


def _half_even(numerator: int, denominator: int) -> int:
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1))
