"""A month as days by hours of the clock on the wall: which hour of which day used how much. Pure; `now` comes in.

Where the clocks change, an hour of the wall may come twice, for half an hour more, or not at all: its cell holds
whatever lay under that hour of the wall, and is compared with the others by what it came to in an hour's time.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from aggregator.core.periods import HOUR, Slot
from dashboard.charts.chart_model import BEFORE, FUTURE, MISLEADING, NOW, PAST, SETTLING_S, Measure
from dashboard.charts.view import View
from dashboard.text import words

HOURS = 24  # rows
STEPS = 12  # of colour
NEVER = "never"  # an hour that the clocks skipped


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour of the wall clock on one day."""

    when: str  # never, future, before (the device's first reading), now or past
    part: Part = EMPTY
    seconds: int = HOUR  # how long this hour of the wall lasted: 7200 where it came twice
    missing_s: int = 0  # of the time gone by, whole minutes
    runs: tuple[tuple[str, int, Part], ...] = ()  # where the clocks changed: zone, seconds, energy of each time it came

    @property
    def is_gap(self) -> bool:
        """No data where there should be some."""
        return self.part.is_empty and self.missing_s > 0

    @property
    def is_partial(self) -> bool:
        """So much is missing that its colour alone would mislead."""
        known_s = self.part.covered_s + self.part.estimated_s
        return not self.is_gap and self.missing_s > MISLEADING * (known_s + self.missing_s)

    @property
    def is_estimated(self) -> bool:
        """More than a little of it was spread over an outage."""
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
        """The most that any cell takes or gives in an hour's time: the end of the scale."""
        return max((amount for _, amount in self._flows()), default=0)

    @property
    def has_export(self) -> bool:
        """Whether some hour gave more than it took."""
        return any(gives and amount for gives, amount in self._flows())

    def step(self, cell: Cell) -> tuple[bool, int]:
        """Whether a cell gives rather than takes, and its step of colour from 0 to STEPS.

        By the square root of the amount: a single night of charging a car leaves the rest of the month its colours.
        """
        gives, amount = flow(self.measure, cell)
        return gives, math.ceil(STEPS * math.sqrt(amount / self.largest)) if amount else 0

    def cells(self) -> Iterator[Cell]:
        """Every cell, day after day."""
        return (cell for column in self.columns for cell in column)

    def _flows(self) -> Iterator[tuple[bool, int]]:
        return (flow(self.measure, cell) for cell in self.cells())


def heat_map(
    view: View, documents: Iterable[Document], zone: str, now: int, first_day: str | None, measure: Measure
) -> HeatMap:
    """The heat map of a month's view with a written-out period; `first_day` is that of the first reading."""
    found: Mapping[str, Document] = {document.period: document for document in documents}
    days = tuple(periods.children(view.level, view.period).values())
    columns = tuple(_column(day, found.get(day), zone, now, first_day) for day in days)
    return HeatMap(view, measure, days, columns)


def flow(measure: Measure, cell: Cell) -> tuple[bool, int]:
    """Whether a cell gives more than it takes, and how much of it in an hour's time. A negative price gives."""
    up, down = measure.up(cell.part) or 0, measure.down(cell.part) or 0
    taken, given = max(0, up), down + max(0, -up)
    amount = max(taken, given)
    return given > taken, amount if cell.seconds == HOUR else amount * HOUR // (cell.seconds or HOUR)


def busiest(heat: HeatMap, *, gives: bool = False, span: int = 4) -> tuple[int, float] | None:
    """The hour at which the `span` hours begin in which most is taken (or given), and their share of the day.

    Of an average day, so that a gap counts for nothing. None with less than two days' worth of hours.
    """
    means = profile(heat, gives=gives)
    total = sum(means)
    if not total:
        return None
    sums = [sum(means[(start + offset) % HOURS] for offset in range(span)) for start in range(HOURS)]
    most = max(sums)
    return sums.index(most), most / total


def share_of(heat: HeatMap, hours: range) -> float:
    """How much of an average day is taken in some of its hours."""
    means = profile(heat)
    return sum(means[hour] for hour in hours) / (sum(means) or 1)


def profile(heat: HeatMap, *, gives: bool = False) -> list[float]:
    """What is taken (or given) in each hour of an average day; nothing where fewer than two days know the hour."""
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


def _column(day: str, document: Document | None, zone: str, now: int, first_day: str | None) -> tuple[Cell, ...]:
    """The 24 cells of a day."""
    zone = document.timezone if document else zone
    hours = periods.slots("day", day, zone)
    is_plain = len(hours) == HOURS and hours[-1].end - hours[0].start == HOURS * HOUR
    rows: Sequence[Sequence[Slot]] = [(slot,) for slot in hours] if is_plain else _by_the_wall(day, zone)
    cells = [_cell(slots, document, zone, now, is_plain=is_plain) for slots in rows]
    if first_day is None or day > first_day:
        return tuple(cells)
    begun = next((place for place, cell in enumerate(cells) if not cell.part.is_empty), HOURS)
    return tuple(_unborn(cell, place - begun) for place, cell in enumerate(cells))


def _by_the_wall(day: str, zone: str) -> list[list[Slot]]:
    """The half hours of a day under the hour of the wall clock at which each begins."""
    rows: list[list[Slot]] = [[] for _ in range(HOURS)]
    for half in periods.half_hours(day, zone):
        rows[periods.local(half.start, zone).hour].append(half)
    return rows


def _cell(slots: Sequence[Slot], document: Document | None, zone: str, now: int, *, is_plain: bool) -> Cell:
    if not slots:
        return Cell(NEVER, seconds=0)
    when = FUTURE if slots[0].start > now else NOW if now < slots[-1].end else PAST
    parts = [document.part(slot.name) for slot in slots] if document else []
    part = parts[0] if len(parts) == 1 else add(parts) if parts else EMPTY
    seconds = sum(slot.end - slot.start for slot in slots)
    gone = sum(max(0, min(slot.end, now - SETTLING_S) - slot.start) for slot in slots)
    missing = max(0, gone - part.covered_s - part.estimated_s) // words.MINUTE * words.MINUTE
    runs = () if is_plain or seconds == HOUR else tuple(_runs(slots, document, zone))
    return Cell(when, part, seconds, missing, runs)


def _runs(slots: Sequence[Slot], document: Document | None, zone: str) -> Iterator[tuple[str, int, Part]]:
    """An hour of the wall, taken apart where the clocks changed within it."""
    for name, run in groupby(slots, key=lambda slot: words.zone_name(periods.local(slot.start, zone))):
        halves = list(run)
        energy = add(document.part(half.name) for half in halves) if document else EMPTY
        yield name, sum(half.end - half.start for half in halves), energy


def _unborn(cell: Cell, since_begun: int) -> Cell:
    """On the day on which a device began, nobody can say when in its first hour that was."""
    if cell.when in (FUTURE, NEVER) or since_begun > 0:
        return cell
    return Cell(BEFORE if since_begun < 0 else cell.when, cell.part, cell.seconds, 0, cell.runs)
