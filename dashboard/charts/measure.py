"""What the bars of a chart measure: energy, or money. Pure.

Amounts are whole: Wh, or units of 10^-13 of the currency (see aggregator/core/money.py). Up is what comes from the
grid, down is what goes to it; None is unknown.
"""

from dataclasses import dataclass
from decimal import Decimal

from aggregator.core.documents import Part
from aggregator.core.money import UNIT_PLACES
from dashboard.charts.view import MONEY, View
from dashboard.text import words
from dashboard.text.language import Language
from dashboard.text.words import Amount


@dataclass(frozen=True, slots=True)
class Measure:
    """Energy when `currency` is empty."""

    currency: str = ""
    has_charge: bool = True  # whether the standing charge counts

    def up(self, part: Part) -> int | None:
        """Import, or what it costs without the standing charge."""
        return part.cost.import_cost if self.currency else part.import_wh

    def down(self, part: Part) -> int | None:
        """Export, or what it earns."""
        return part.cost.export_earnings if self.currency else part.export_wh

    def estimated_up(self, part: Part) -> int:
        """Of `up`, what was spread over an outage."""
        return part.cost.estimated_import_cost if self.currency else part.estimated_import_wh

    def estimated_down(self, part: Part) -> int:
        """Of `down`, what was spread over an outage."""
        return part.cost.estimated_export_earnings if self.currency else part.estimated_export_wh

    def charge(self, part: Part) -> int:
        """The standing charge, where it is to be counted."""
        return (part.cost.standing_charge or 0) if self.currency and self.has_charge else 0

    def gross(self, part: Part) -> int | None:
        """What the bar above the line stands for: import, with its standing charge."""
        up, charge = self.up(part), self.charge(part)
        return charge or None if up is None else up + charge

    def net(self, part: Part) -> int | None:
        """What two periods are compared by: what is to pay, or the import."""
        if not self.currency:
            return part.import_wh
        gross = self.gross(part)
        return None if gross is None and self.down(part) is None else (gross or 0) - (self.down(part) or 0)

    def drawn(self, amount: int | None) -> float | None:
        """An amount as a figure draws it: kWh, or the currency."""
        return None if amount is None else float(Decimal(amount).scaleb(-UNIT_PLACES if self.currency else -3))

    def said(self, amount: int, lang: Language) -> Amount:
        """An amount as people read it."""
        return Amount(lang.money(amount, self.currency), "") if self.currency else words.energy(amount, lang)

    def unit(self, lang: Language) -> str:
        """What stands once at the axis."""
        return lang.symbol(self.currency) if self.currency else "kWh"


def measure_of(view: View, currency: str) -> Measure:
    """Money where it is asked for and there is a tariff; else energy."""
    return Measure(currency if view.unit == MONEY else "", view.has_charge)
