"""What a recognised file holds: totals by month, the largest and smallest day; and the brakes that hold. Pure.

A brake is a reason why a file is not taken although one reading of it is possible: what it holds looks wrong.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from aggregator.core.periods import day_of
from aggregator.intake.imports.rows import MICRO
from aggregator.intake.imports.understanding import Brake, Energy, Known, Understanding

FEW = 0.03  # the share of refused rows up to which a file is taken
FEW_CONTRADICTIONS = 0.01
_MOST_WH_A_DAY, _LEAST_WH_A_DAY = 300_000, 200  # of import: beyond them a unit is probably wrong
_MONOTONE = 200  # rows of energy that never fall are a register


class FileTotals:
    """Sums over all rows of a file; of a register the differences between rows."""

    def __init__(self, zone: str, *, is_instant: bool) -> None:
        self.days: dict[str, list[int | None]] = {}
        self.start: int | None = None
        self.end = self.count = self.rises = self.falls = 0
        self._last: list[int | None] = [None, None, None]
        self.is_instant = is_instant
        self._day = lru_cache(maxsize=64)(lambda quarter: day_of(quarter * 900, zone))

    def add(self, start: int, end: int, figures: Sequence[int | None]) -> None:
        """Add the next row: import, export, volume."""
        self.start = start if self.start is None else self.start
        self.end, self.count = end, self.count + 1
        day = self.days.setdefault(self._day(start // 900), [None, None, None])
        for place, value in enumerate(figures):
            if value is not None:
                last, self._last[place] = self._last[place], value
                more = value if not self.is_instant else max(value - last, 0) * MICRO if last is not None else 0
                day[place] = (day[place] or 0) + more
                if place == 0 and last is not None:
                    self.rises += value > last
                    self.falls += value < last


def previewed(
    understood: Understanding,
    preview: FileTotals,
    reasons: Counter[str],
    repeated: int,
    known: Known,
    allowed: Sequence[str],
) -> Understanding:
    """Return an understanding with totals, and the brakes that hold."""
    total = preview.count + reasons.total() + repeated
    days = {
        day: Energy(*(None if one is None else round(one / MICRO) for one in some))
        for day, some in preview.days.items()
    }
    months: dict[str, list[Energy]] = {}
    for day, energy in days.items():
        months.setdefault(day[:7], []).append(energy)
    sums = {day: sum(filter(None, energy)) for day, energy in days.items()}
    brakes = [*_row_brakes(reasons, total, known), *_energy_brakes(preview, days)]
    return replace(
        understood,
        brakes=tuple(one for one in brakes if one.name not in allowed),
        rows=total,
        reasons=tuple(sorted(reasons.items())),
        start=preview.start,
        end=preview.end,
        months=tuple((month, _sum(some)) for month, some in months.items()),
        largest=max(sums.items(), key=lambda one: one[1], default=None),
        smallest=min(sums.items(), key=lambda one: one[1], default=None),
    )


def _sum(some: Sequence[Energy]) -> Energy:
    columns = [[value for value in column if value is not None] for column in zip(*some, strict=True)]
    return Energy(*(sum(column) if column else None for column in columns))


def _row_brakes(reasons: Counter[str], total: int, known: Known) -> Iterator[Brake]:
    refused = reasons.total() - reasons["no_values"] - reasons["contradiction"]
    if refused > max(total * FEW, min(2, total // 10)):
        worst, count = max(reasons.items(), key=lambda one: one[1])
        yield Brake("refused", f"{refused} of {total} rows would be refused, {count} as {worst}", "--allow refused")
    skipped, twice = reasons["no_such_time"], reasons["ambiguous_time"]
    if (skipped or twice) and not known.is_zone_named:
        text = (
            f"in {known.zone} the clocks skip {skipped} of its times in spring, and {twice} may occur twice in autumn"
        )
        yield Brake("clock", text, f"--timezone, like --timezone {known.zone} or UTC")
    if (count := reasons["contradiction"]) > total * FEW_CONTRADICTIONS:
        text = f"{count} of {total} rows contradict each other"
        yield Brake("contradiction", text, "--where, --columns, or --allow contradiction")


def _energy_brakes(preview: FileTotals, days: dict[str, Energy]) -> Iterator[Brake]:
    imports = {day: one.import_wh for day, one in days.items() if one.import_wh is not None}
    largest, wh = max(imports.items(), key=lambda one: one[1], default=("", 0))
    if not preview.is_instant and preview.rises >= _MONOTONE and preview.falls == 0:
        text = f"the figures rise {preview.rises} times and never fall, like a register"
        yield Brake("register", text, "--kind register, or --allow register")
    if wh > _MOST_WH_A_DAY:
        yield Brake("implausible", f"{largest} has {wh / 1000:,.0f} kWh", "--unit, or --allow implausible")
    both = [wh + (days[day].export_wh or 0) for day, wh in imports.items()]
    mean = sum(both) / len(both) if both else 0
    if len(imports) >= 3 and 0 < mean < _LEAST_WH_A_DAY:
        yield Brake("implausible", f"a day has {mean:.0f} Wh in the mean", "--unit, or --allow implausible")
