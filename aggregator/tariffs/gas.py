"""Gas: how the m³ of a meter become energy, by volume factor and dated calorific values, as on a bill. Pure.

A m³ has volume factor x calorific value / 3.6 kWh. The energy at the end of each half hour is rounded from the litres
since the day began, so half hours, hours and the day close exactly.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from aggregator.core.documents import GAS, Device, Part
from aggregator.core.periods import FIRST_DAY


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the volume of a gas meter becomes energy; without an argument, as is usual in Great Britain."""

    volume_factor: Decimal = Decimal("1.02264")  # to 15 °C and 1013.25 mbar
    # MJ/m³ by the first local day; one holds from FIRST_DAY
    calorific_values: Mapping[str, Decimal] = field(default_factory=lambda: {FIRST_DAY: Decimal("39.5")})

    def __str__(self) -> str:
        values = [
            f"{value:f} MJ/m³" + (f" from {day}" if day > FIRST_DAY else "")
            for day, value in sorted(self.calorific_values.items())
        ]
        return f"m³ x {self.volume_factor:f} x {', '.join(values)}"

    def wh_per_litre(self, day: str) -> Fraction:
        """Return the energy of a litre on a local day."""
        value = self.calorific_values[max(first for first in self.calorific_values if first <= day)]
        return Fraction(self.volume_factor) * Fraction(value) / Fraction("3.6")

    def to_text(self) -> str:
        """Return the conversion as the registry stores it."""
        values = {day: f"{self.calorific_values[day]:f}" for day in sorted(self.calorific_values)}
        return json.dumps({"volume_factor": f"{self.volume_factor:f}", "calorific_values": values})


def conversion_of(device: Device) -> Conversion:
    """Return the conversion of a gas meter."""
    return _parsed_conversion(device.conversion)


@lru_cache(maxsize=1024)
def _parsed_conversion(text: str) -> Conversion:
    if not text:
        return Conversion()
    content = json.loads(text)
    values = {day: Decimal(value) for day, value in content["calorific_values"].items()}
    return Conversion(Decimal(content["volume_factor"]), values)


def converted(device: Device, day: str, halves: Mapping[str, Part]) -> Mapping[str, Part]:
    """Return the half hours of a whole day with the energy of their litres, where the meter tells no energy itself."""
    if device.kind != GAS:
        return halves
    wh_per_litre = conversion_of(device).wh_per_litre(day)
    parts, litres, before = dict(halves), 0, 0
    for name in sorted(halves):
        part = halves[name]
        if part.volume_l is not None and _is_converted(part):
            litres += part.volume_l
            until = int(litres * wh_per_litre + Fraction(1, 2))
            parts[name], before = _with_import(part, until - before), until
    return parts


def _is_converted(part: Part) -> bool:
    """Whether the energy of a gas meter is made from its volume: no register tells it."""
    return part.is_converted or part.import_wh is None or part.import_wh == part.interval_import_wh


def _with_import(part: Part, wh: int) -> Part:
    """Return a part with an import, of which the time tells the estimated share and that of intervals."""
    seconds = max(part.covered_s + part.estimated_s + part.interval_s, 1)
    estimated_wh, interval_wh = (wh * share // seconds for share in (part.estimated_s, part.interval_s))
    return part._replace(
        import_wh=wh, estimated_import_wh=estimated_wh, interval_import_wh=interval_wh, is_converted=True
    )
