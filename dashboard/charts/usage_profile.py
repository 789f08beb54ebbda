"""The usual power of a home, its usual weekday, and a period compared up to the same moment. Pure.

The profile uses half hours with at least nine tenths measured and nothing estimated. A half hour's mean smooths a
kettle,
and a week has every weekday once.

A comparison matches hours by their position in the day, days by date, and months by name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add, charged
from aggregator.core.money import Cost
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR, Slot

DAYS = 8  # the week before, and today so far
MEASURED = 0.9  # the share of a half hour that its mean needs
LOW_SHARE, HIGH_SHARE = 0.40, 0.85
ENOUGH = DAY_S // HALF_HOUR  # half hours needed for levels
BASE_S = 2 * DAY_S  # range of the base load
BASE_ENOUGH = DAY_S // 2 // HALF_HOUR
NIGHT_ENOUGH = 6  # half hours
LOWEST = 10  # one tenth of the half hours gives the base load
NIGHT = (23, 5)  # o'clock, local


class HalfHourProfile(NamedTuple):
    """A well-measured half hour."""

    start: int  # UTC seconds
    import_w: int  # mean over the measured time
    export_w: int  # mean over the measured time
    hour: int  # on the wall clock at its start


@dataclass(frozen=True, slots=True)
class UsageProfile:
    """The import of a home, W, from which it counts as medium and high, and its base load."""

    medium_w: int = 500  # like an in-home display, while the home's own levels are unknown
    high_w: int = 2000
    is_own: bool = False
    base_w: int | None = None  # None until half a day is measured
    base_before_w: int | None = None  # of the days before those of `base_w`

    @property
    def end_w(self) -> int:
        """The end of a scale of three equal thirds."""
        return 5 * self.high_w

    def level(self, power_w: int | None) -> str:
        """Return `low`, `medium`, `high`, `exporting` or `unknown`."""
        if power_w is None:
            return "unknown"
        if power_w < 0:
            return "exporting"
        return "low" if power_w < self.medium_w else "medium" if power_w < self.high_w else "high"

    def place(self, power_w: int) -> float:
        """Return the place on the scale in percent; each level has a third of it."""
        watts = abs(power_w)
        edges = (0, self.medium_w, self.high_w, self.end_w)
        for third, (least, most) in enumerate(pairwise(edges)):
            if watts < most:
                return (third + (watts - least) / (most - least)) * 100 / 3
        return 100.0


USUAL = UsageProfile()


def usage_profile_of(documents: Sequence[Document], now: int) -> UsageProfile:
    """Return the usage profile of a home from its last DAYS day charts."""
    halves = list(measured(documents))
    base_w = always_on([half for half in halves if half.start >= now - BASE_S])
    before_w = always_on([half for half in halves if half.start < now - BASE_S])
    levels = _levels([half.import_w for half in halves if half.import_w > half.export_w])
    own = UsageProfile(*levels, is_own=True) if levels else UsageProfile()
    return replace(own, base_w=base_w, base_before_w=before_w)


def measured(documents: Iterable[Document]) -> Iterator[HalfHourProfile]:
    """Yield the well-measured half hours of day charts."""
    for day in documents:
        zone = ZoneInfo(day.timezone)
        for name, start, end in periods.half_hours(day.period, day.timezone):
            part = day.part(name)
            if part.import_wh is None or part.estimated_s or part.covered_s < MEASURED * (end - start):
                continue
            hour = datetime.fromtimestamp(start, zone).hour  # pendulum takes 50 times as long, 400 times a home
            yield HalfHourProfile(
                start, _mean_w(part.import_wh, part.covered_s), _mean_w(part.export_wh or 0, part.covered_s), hour
            )


def always_on(halves: Sequence[HalfHourProfile]) -> int | None:
    """Return the base load, W: the mean of the lowest tenth; None with too few half hours.

    The lowest half hour alone would be the one in which the fridge rested. With panels the sun hides consumption by
    day, so
    only the hours from 23 to 5 o'clock count: dark from autumn to spring, and almost dark in June.
    """
    if len(halves) < BASE_ENOUGH:
        return None
    powers = sorted(half.import_w for half in halves)
    if any(half.export_w for half in halves):
        powers = sorted(half.import_w for half in halves if half.hour >= NIGHT[0] or half.hour < NIGHT[1])
        if len(powers) < NIGHT_ENOUGH:
            return None
    lowest = powers[: -(-len(powers) // LOWEST)]
    return round(sum(lowest) / len(lowest))


def _levels(powers: list[int]) -> tuple[int, int] | None:
    """Return the powers from which on import is medium and high; None with less than a day of half hours.

    Two fifths of the half hours are low: nights, and days out. One in seven is high, about three and a half hours a
    day:
    cooking, washing, charging. Half hours with export say nothing about import; the caller leaves them out. High is at
    least
    twice medium, so that a lamp does not alarm a quiet home.
    """
    if len(powers) < ENOUGH:
        return None
    ranked = sorted(powers)
    medium, high = (_round(ranked[int(len(ranked) * share)]) for share in (LOW_SHARE, HIGH_SHARE))
    return max(medium, 100), max(high, 2 * max(medium, 100))


def _round(power_w: int) -> int:
    """Round to 50 W, above 1 kW to 100 W."""
    step = 50 if power_w < 1000 else 100
    return (power_w + step // 2) // step * step


def _mean_w(wh: int, seconds: int) -> int:
    return (wh * HOUR + seconds // 2) // seconds


# The usual weekday

WEEKS, WEEKS_ENOUGH = 4, 3  # the same weekdays before a day; and how many of them an hour needs


def weekdays_before(day: str) -> list[str]:
    """Return the same weekdays in the WEEKS weeks before a day."""
    return [periods.shift("day", day, -7 * week) for week in range(1, WEEKS + 1)]


def usual_day(day: Document, before: Sequence[Document]) -> Document | None:
    """Return the median of each hour and half hour of earlier days; None unless WEEKS_ENOUGH measured every hour.

    Days of another length (the clocks change) do not count. The standing charge is that of `day`.
    """
    zone, period = day.timezone, day.period
    hours, halves = periods.slots("day", period, zone), periods.half_hours(period, zone)
    alike = [one for one in before if len(periods.half_hours(one.period, one.timezone)) == len(halves)]
    parts = {slot.name: _usual([one.part(slot.name) for one in alike], slot) for slot in (*hours, *halves)}
    if any(parts[slot.name] is None for slot in hours):
        return None
    known = {name: part for name, part in parts.items() if part is not None}
    return replace(day, parts=known)


def _usual(parts: Sequence[Part], slot: Slot) -> Part | None:
    seconds = slot.end - slot.start
    measured = [part for part in parts if part.covered_s + part.interval_s >= MEASURED * seconds]
    if len(measured) < WEEKS_ENOUGH:
        return None
    costs = [part.cost for part in measured]
    return Part(
        _median([part.import_wh for part in measured]),
        _median([part.export_wh for part in measured]),
        covered_s=seconds,
        cost=Cost(_median([one.import_cost for one in costs]), _median([one.export_earnings for one in costs])),
    )


def _median(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return median_low(known) if len(known) == len(amounts) else None


# Comparison up to the same moment

Chain = Mapping[str, Document | None]  # a period's document, and within it the open document of each finer level


def chain_of(level: str, other: str, now: int, zone: str) -> dict[str, str]:
    """Return the documents of `other` that `so_far` needs: periods by level.

    If `other` has no such day (30 February), only its own level.
    """
    wanted = {level: other}
    for coarser, finer in pairwise(periods.lineage(level)):
        name = periods.part_in(coarser, periods.period_of(finer, now, zone))
        found = periods.children(coarser, other).get(name)
        if found is None:
            break
        wanted[finer] = other = found
    return wanted


def so_far(chain: Chain, level: str, now: int, zone: str) -> Part:
    """Return the total of `chain`'s period up to the moment that corresponds to `now`."""
    document = chain.get(level)
    if document is None:
        return EMPTY
    finer = periods.LEVELS[level].child
    if not finer:
        day = periods.period_of("day", now, zone)
        return _by(document, now - periods.day_start(day, zone))
    going_on = periods.part_in(level, periods.period_of(finer, now, zone))
    before = [part for name, part in document.parts.items() if name < going_on]
    return add([*before, so_far(chain, finer, now, zone)])


def _by(day: Document, elapsed_s: int) -> Part:
    """Return the total of a day's half hours up to `elapsed_s` after midnight; the last one counts in proportion.

    The standing charge counts from the first minute.
    """
    start = periods.day_start(day.period, day.timezone)
    parts = []
    for half in periods.half_hours(day.period, day.timezone):
        share = Fraction(min(start + elapsed_s, half.end) - half.start, half.end - half.start)
        if share > 0:
            parts.append(_share(day.part(half.name), share))
    total = add(parts)
    return total if day.standing_charge is None else charged(total, day.standing_charge)


def _share(part: Part, share: Fraction) -> Part:
    if share >= 1:
        return part
    *energy, cost, volume_l, _ = part
    return Part._make([*_times(energy, share), Cost._make(_times(cost, share)), *_times([volume_l], share), False])


def _times(values: Iterable[Any], share: Fraction) -> list[int | None]:
    return [None if value is None else int(value * share) for value in values]
