"""What energy costs: each half hour priced with the rate of its own moment, summed exactly.

Money is integer units of 10^-13 of the currency (see `money`). Energy without a known price is counted apart, in Wh:
it costs neither nothing nor something. Estimated energy gives estimated cost.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aggregator import periods
from aggregator.documents import EMPTY, Part
from aggregator.money import money_text, to_wire
from aggregator.rates import NO_SERIES, Rate, Series, day_rates, standing_charge
from aggregator.tariffs import Tariff


class Cost(NamedTuple):
    """The money of one part of a chart, in units. None is unknown, never zero. Export earnings are positive."""

    import_cost: int | None  # of the import whose price is known, VAT included; negative where prices were
    export_earnings: int | None  # of the export whose price is known
    standing_charge: int | None = None  # VAT included; days, months and years have it, hours do not
    unpriced_import_wh: int = 0  # Wh in no cost, as their price is not known
    unpriced_export_wh: int = 0
    estimated_import_cost: int = 0  # of import_cost, what estimated energy makes up
    estimated_export_earnings: int = 0  # of export_earnings, likewise

    @property
    def unpriced_wh(self) -> int:
        """Energy of both directions without a price, Wh."""
        return self.unpriced_import_wh + self.unpriced_export_wh

    @property
    def to_pay(self) -> int | None:
        """Import and standing charge less export earnings; None where nothing is known."""
        if self.import_cost is self.export_earnings is self.standing_charge is None:
            return None
        return (self.import_cost or 0) + (self.standing_charge or 0) - (self.export_earnings or 0)


NOTHING = Cost(None, None)


class DayBill(NamedTuple):
    """One local day: the cost of its half hours by name, where energy is known, and the standing charge."""

    half_hours: Mapping[str, Cost]
    standing_charge: int | None  # units; None where no version of a tariff holds

    @property
    def total(self) -> Cost:
        """The whole day."""
        return add(self.half_hours.values())._replace(standing_charge=self.standing_charge)


def price_day(
    day: str, zone: str, parts: Mapping[str, Part], tariff: Tariff | None, series: Series = NO_SERIES
) -> DayBill:
    """The bill of a day document's half hours; its other parts, the hours, are passed over."""
    rates = day_rates(tariff, day, zone, series)
    named = zip(periods.half_hours(day, zone), rates, strict=True)
    costs = {slot.name: price(part, rate) for slot, rate in named if not (part := parts.get(slot.name, EMPTY)).is_empty}
    return DayBill(costs, standing_charge(tariff, day) if rates else None)  # Samoa had no 30 December 2011


def price(part: Part, rate: Rate) -> Cost:
    """What the energy of one half hour costs, exactly."""
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


def add(costs: Iterable[Cost]) -> Cost:
    """The sum of costs: an amount is None only where every one is."""
    columns = list(zip(*costs, strict=True))
    if not columns:
        return NOTHING
    amounts = [[value for value in column if value is not None] for column in columns[:3]]
    return Cost._make([*(sum(known) if known else None for known in amounts), *map(sum, columns[3:])])


def compare(
    days: Mapping[str, Mapping[str, Part]], zone: str, tariffs: Mapping[str, Tariff], series: Mapping[str, Series]
) -> dict[str, Cost]:
    """What the half hours of some days (`day -> name -> part`) cost on several tariffs, each with its own series."""
    return {
        name: add(price_day(day, zone, parts, tariff, series.get(name, NO_SERIES)).total for day, parts in days.items())
        for name, tariff in tariffs.items()
    }


def cost_to_wire(cost: Cost) -> list[int | str | None]:
    """A cost as JSON: its fields in order, those at the end that say nothing left out."""
    values = [value if value is None else to_wire(value) for value in cost]
    while values and values[-1] == NOTHING[len(values) - 1]:
        values.pop()
    return values


def cost_from_wire(values: Sequence[int | str | None]) -> Cost:
    """A cost from its wire form."""
    return Cost._make([*(None if value is None else int(value) for value in values), *NOTHING[len(values) :]])


def as_json(cost: Cost, currency: str) -> dict[str, object]:
    """A cost as others read it: exact decimal text, null where unknown."""

    def text(units: int | None) -> str | None:
        return None if units is None else money_text(units)

    return {
        "currency": currency,
        "cost": text(cost.import_cost),
        "export_earnings": text(cost.export_earnings),
        "standing_charge": text(cost.standing_charge),
        "unpriced_wh": cost.unpriced_wh,
    }
