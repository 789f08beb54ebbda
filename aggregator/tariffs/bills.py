"""What energy costs: each half hour priced with the rate of its own moment, summed exactly.

Money is integer units of 10^-13 of the currency (see `money`). Energy without a known price is counted apart, in Wh:
it costs neither nothing nor something. Estimated energy gives estimated cost.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.money import Cost, add_costs
from aggregator.tariffs.rates import NO_SERIES, Rate, Series, day_rates, standing_charge
from aggregator.tariffs.tariff import Tariff


class DayBill(NamedTuple):
    """One local day: the cost of its half hours by name, where energy is known, and the standing charge."""

    half_hours: Mapping[str, Cost]
    standing_charge: int | None  # units; None where no version of a tariff holds

    @property
    def total(self) -> Cost:
        """The whole day."""
        return add_costs(self.half_hours.values())._replace(standing_charge=self.standing_charge)


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


def compare(days: Collection[Document], tariffs: Mapping[str, Tariff], series: Mapping[str, Series]) -> dict[str, Cost]:
    """What the half hours of some days, each in its own zone, cost on several tariffs, each with its own series."""
    return {
        name: add_costs(
            price_day(day.period, day.timezone, day.parts, tariff, series.get(name, NO_SERIES)).total for day in days
        )
        for name, tariff in tariffs.items()
    }
