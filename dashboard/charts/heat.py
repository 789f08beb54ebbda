"""The heat map of a month: its days by the 24 hours of the wall clock. Pure; `now` is an argument.

A clock change repeats an hour of the wall clock, repeats half of one, or skips one. A cell holds all energy under its
hour. Comparisons use its energy per 3600 s.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from aggregator.core.periods import HOUR, Slot, Window
from dashboard.charts.chart_model import BEFORE, EVER, MISLEADING, NOW, PAST, SETTLING_S, Measure, when_of
from dashboard.charts.view import View
from dashboard.text import words

HOURS = 24  # rows
STEPS = 12  # of colour
NEVER = "never"  # an hour that the clocks skipped


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour of the wall clock on one day."""

    when: str  # never, or as of a `Column`
    part: Part = EMPTY
    seconds: int = HOUR  # length of this hour of the wall clock; 7200 if repeated
    missing_s: int = 0  # of the past time, whole minutes
    runs: tuple[tuple[str, int, Part], ...] = ()  # on a clock change: zone, seconds and energy of each run

    @property
    def is_gap(self) -> bool:
        """Whether no data exists where some should."""
        return self.part.is_empty and self.missing_s > 0

    @property
    def is_partial(self) -> bool:
        """Whether missing time makes the colour misleading."""
        return not self.is_gap and self.missing_s > MISLEADING * (self.part.known_s + self.missing_s)

    @property
    def is_estimated(self) -> bool:
        """Whether a notable share is estimated."""
        return self.part.estimated_s > MISLEADING * self.seconds


@dataclass(frozen=True)
class HeatMap:
    """The days of a month, each with its 24 cells."""

    view: View
    measure: Measure
    days: tuple[str, ...]
    columns: tuple[tuple[Cell, ...], ...]  # one a day

    @cached_property
    def largest(self) -> int:
        """The largest import or export of a cell per 3600 s; the end of the scale."""
        return max((amount for _, amount in self._flows()), default=0)

    @property
    def has_export(self) -> bool:
        """Whether an hour had net export."""
        return any(gives and amount for gives, amount in self._flows())

    def step(self, cell: Cell) -> tuple[bool, int]:
        """Whether a cell exports, and its colour step from 0 to STEPS.

        The step follows the square root of the amount, so that one night of car charging leaves colours to the other
        hours.
        """
        gives, amount = flow(self.measure, cell)
        return gives, math.ceil(STEPS * math.sqrt(amount / self.largest)) if amount else 0

    def cells(self) -> Iterator[Cell]:
        """Yield every cell, day after day."""
        return (cell for column in self.columns for cell in column)

    def _flows(self) -> Iterator[tuple[bool, int]]:
        return (flow(self.measure, cell) for cell in self.cells())


def heat_map(
    view: View,
    documents: Iterable[Document],
    zone: str,
    now: int,
    first_day: str | None,
    measure: Measure,
    settled: int | None = None,
    stay: Window = EVER,
) -> HeatMap:
    """Return the heat map of a month's view, whose period is set; `first_day` is that of the first reading.

    Time counts as missing up to the instant `settled`; by default, up to SETTLING_S before `now`. `stay` is the
    time that the viewer may see.
    """
    settled = now - SETTLING_S if settled is None else settled
    by_day: Mapping[str, Document] = {document.period: document for document in documents}
    days = tuple(periods.children(view.level, view.period).values())
    columns = tuple(_column(day, by_day.get(day), zone, now, settled, first_day, stay) for day in days)
    return HeatMap(view, measure, days, columns)


def flow(measure: Measure, cell: Cell) -> tuple[bool, int]:
    """Return whether a cell exports, and its net amount per 3600 s. A negative price counts as export."""
    up, down = measure.up(cell.part) or 0, measure.down(cell.part) or 0
    taken, given = max(0, up), down + max(0, -up)
    amount = max(taken, given)
    return given > taken, amount if cell.seconds == HOUR else amount * HOUR // (cell.seconds or HOUR)


def busiest(heat: HeatMap, *, gives: bool = False, span: int = 4) -> tuple[int, float] | None:
    """Return the first of the `span` busiest hours of an average day, and their share of it.

    An average leaves gaps out. None with less than two days' worth of hours.
    """
    means = profile(heat, gives=gives)
    total = sum(means)
    if not total:
        return None
    sums = [sum(means[(start + offset) % HOURS] for offset in range(span)) for start in range(HOURS)]
    most = max(sums)
    return sums.index(most), most / total


def share_of(heat: HeatMap, hours: range) -> float:
    """Return the share of some hours in an average day."""
    means = profile(heat)
    return sum(means[hour] for hour in hours) / (sum(means) or 1)


def profile(heat: HeatMap, *, gives: bool = False) -> list[float]:
    """Return the import (or export) of each hour of an average day; empty if fewer than two days know the hour."""
    means = []
    for hour in range(HOURS):
        known = [cell for column in heat.columns if _is_known(cell := column[hour])]
        amounts = [_side(heat.measure, cell, gives=gives) for cell in known]
        means.append(sum(amounts) / len(amounts) if len(amounts) > 1 else 0.0)
    return means


def _side(measure: Measure, cell: Cell, *, gives: bool) -> float:
    amount = (measure.down if gives else measure.up)(cell.part) or 0
    return max(0, amount) * HOUR / (cell.seconds or HOUR)


def _is_known(cell: Cell) -> bool:
    return cell.when == PAST and not cell.part.is_empty and not cell.is_partial


def _column(
    day: str, document: Document | None, zone: str, now: int, settled: int, first_day: str | None, stay: Window
) -> tuple[Cell, ...]:
    """Return the 24 cells of a day."""
    zone = document.timezone if document else zone
    hours = periods.slots("day", day, zone)
    is_plain = len(hours) == HOURS and hours[-1].end - hours[0].start == HOURS * HOUR
    rows: Sequence[Sequence[Slot]] = [(slot,) for slot in hours] if is_plain else _by_the_wall(day, zone)
    cells = [_cell(slots, document, zone, now, settled, stay, is_plain=is_plain) for slots in rows]
    if first_day is None or day > first_day:
        return tuple(cells)
    begun = next((place for place, cell in enumerate(cells) if not cell.part.is_empty), HOURS)
    return tuple(_unborn(cell, place - begun) for place, cell in enumerate(cells))


def _by_the_wall(day: str, zone: str) -> list[list[Slot]]:
    """Return the half hours of a day by their hour of the wall clock."""
    rows: list[list[Slot]] = [[] for _ in range(HOURS)]
    for half in periods.half_hours(day, zone):
        rows[periods.local(half.start, zone).hour].append(half)
    return rows


def _cell(
    slots: Sequence[Slot], document: Document | None, zone: str, now: int, settled: int, stay: Window, *, is_plain: bool
) -> Cell:
    if not slots:
        return Cell(NEVER, seconds=0)
    when = when_of(Window(slots[0].start, slots[-1].end), now, stay)
    parts = [document.part(slot.name) for slot in slots] if document else []
    part = parts[0] if len(parts) == 1 else add(parts) if parts else EMPTY
    seconds = sum(slot.end - slot.start for slot in slots)
    gone = sum(max(0, min(slot.end, settled) - max(slot.start, stay.start)) for slot in slots)
    missing = max(0, gone - part.known_s) // words.MINUTE * words.MINUTE
    runs = () if is_plain or seconds == HOUR else tuple(_runs(slots, document, zone))
    return Cell(when, part, seconds, missing, runs)


def _runs(slots: Sequence[Slot], document: Document | None, zone: str) -> Iterator[tuple[str, int, Part]]:
    """Yield the runs of an hour of the wall clock around a clock change."""
    for name, run in groupby(slots, key=lambda slot: words.zone_name(periods.local(slot.start, zone))):
        halves = list(run)
        energy = add(document.part(half.name) for half in halves) if document else EMPTY
        yield name, sum(half.end - half.start for half in halves), energy


def _unborn(cell: Cell, since_begun: int) -> Cell:
    """Return a cell of the day on which the device began; nothing is missing up to the first hour with data."""
    if cell.when not in (NOW, PAST) or since_begun > 0:
        return cell
    return Cell(BEFORE if since_begun < 0 else cell.when, cell.part, cell.seconds, 0, cell.runs)
