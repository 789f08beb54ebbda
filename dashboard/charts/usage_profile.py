"""What is usual in one home: when its power is low or high for it, and what is always on. Pure.

Judged by half hours that were measured, for at least nine tenths of their time and with nothing estimated. A half
hour's mean evens out what a kettle does in a minute, and a week of them has every weekday once.

One period against another, fairly: of a period that is not over, the other counts only up to the same moment. Pure.

Hours are matched by their position in the day, days by their date, months by their name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aggregator.core import periods
from aggregator.core.documents import EMPTY, WHOLE_DAY, Document, Part, add
from aggregator.core.money import Cost
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR

DAYS = 8  # the week before, and today so far
MEASURED = 0.9  # the share of a half hour from which on its mean stands for it
LOW_SHARE, HIGH_SHARE = 0.40, 0.85
ENOUGH = DAY_S // HALF_HOUR  # half hours, before they say anything about habits
BASE_S = 2 * DAY_S  # how far back the base load looks
BASE_ENOUGH = DAY_S // 2 // HALF_HOUR
NIGHT_ENOUGH = 6  # half hours
LOWEST = 10  # one in so many half hours is the base load's
NIGHT = (23, 5)  # o'clock, local


class HalfHourProfile(NamedTuple):
    """A half hour that was measured well."""

    start: int  # UTC seconds
    import_w: int  # mean over the time measured
    export_w: int  # likewise
    hour: int  # on the wall clock at its start


@dataclass(frozen=True, slots=True)
class UsageProfile:
    """The powers, W, from which on a home's import is medium and high for it, and what is always on."""

    medium_w: int = 500  # as on an in-home display, while the home's own are not known
    high_w: int = 2000
    is_own: bool = False
    base_w: int | None = None  # None until half a day is measured

    @property
    def end_w(self) -> int:
        """Where a scale of three equal thirds ends."""
        return 5 * self.high_w

    def level(self, power_w: int | None) -> str:
        """`low`, `medium`, `high`, `exporting`, or `unknown`."""
        if power_w is None:
            return "unknown"
        if power_w < 0:
            return "exporting"
        return "low" if power_w < self.medium_w else "medium" if power_w < self.high_w else "high"

    def place(self, power_w: int) -> float:
        """Percent along the scale: each level has a third of it."""
        watts = abs(power_w)
        edges = (0, self.medium_w, self.high_w, self.end_w)
        for third, (least, most) in enumerate(pairwise(edges)):
            if watts < most:
                return (third + (watts - least) / (most - least)) * 100 / 3
        return 100.0


USUAL = UsageProfile()


def usage_profile_of(documents: Sequence[Document], now: int) -> UsageProfile:
    """The habits of a home by its last DAYS day charts."""
    halves = list(measured(documents))
    base_w = always_on([half for half in halves if half.start >= now - BASE_S])
    levels = _levels([half.import_w for half in halves if half.import_w > half.export_w])
    return UsageProfile(*levels, is_own=True, base_w=base_w) if levels else UsageProfile(base_w=base_w)


def measured(documents: Iterable[Document]) -> Iterator[HalfHourProfile]:
    """The well-measured half hours of day charts."""
    for day in documents:
        zone = ZoneInfo(day.timezone)
        for name, start, end in periods.half_hours(day.period, day.timezone):
            part = day.part(name)
            if part.import_wh is None or part.estimated_s or part.covered_s < MEASURED * (end - start):
                continue
            hour = datetime.fromtimestamp(start, zone).hour  # a fiftieth of the time of pendulum's, 400 times a home
            yield HalfHourProfile(
                start, _mean_w(part.import_wh, part.covered_s), _mean_w(part.export_wh or 0, part.covered_s), hour
            )


def always_on(halves: Sequence[HalfHourProfile]) -> int | None:
    """The base load, W: the mean of the lowest tenth; None where too little is measured.

    The lowest alone would be the one half hour in which the fridge rested. Where a home exports, the sun hides by day
    what runs, so there only the hours from 23 to 5 o'clock count: dark from autumn to spring, and almost dark in June.
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
    """The powers from which on import is medium and high; None while a day of half hours is not known.

    Low is what two fifths of the half hours stay below: nights, and days out. High is what one in seven exceeds, about
    three and a half hours a day: cooking, washing, charging. Half hours of export say nothing about import and are left
    out before. A home in which little happens is not alarmed by a lamp: high is at least twice medium.
    """
    if len(powers) < ENOUGH:
        return None
    ranked = sorted(powers)
    medium, high = (_round(ranked[int(len(ranked) * share)]) for share in (LOW_SHARE, HIGH_SHARE))
    return max(medium, 100), max(high, 2 * max(medium, 100))


def _round(power_w: int) -> int:
    """To 50 W, from 1 kW on to 100 W: a threshold that can be said."""
    step = 50 if power_w < 1000 else 100
    return (power_w + step // 2) // step * step


def _mean_w(wh: int, seconds: int) -> int:
    return (wh * HOUR + seconds // 2) // seconds


# comparable so far

Chain = Mapping[str, Document | None]  # of one period: its document, and of what is going on in it the finer ones


def chain_of(level: str, other: str, now: int, zone: str) -> dict[str, str]:
    """The documents of `other` that `so_far` asks for: their periods by level.

    Where `other` has no such day (30 February), its level alone is asked for.
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
    """What `chain`'s period came to by the moment that corresponds to `now` in the present one."""
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
    """The half hours of a day up to so many seconds after its midnight, the last one in proportion."""
    start = periods.day_start(day.period, day.timezone)
    parts = []
    for half in periods.half_hours(day.period, day.timezone):
        share = Fraction(min(start + elapsed_s, half.end) - half.start, half.end - half.start)
        if share > 0:
            parts.append(_share(day.part(half.name), share))
    return add([*parts, day.part(WHOLE_DAY)])


def _share(part: Part, share: Fraction) -> Part:
    if share >= 1:
        return part
    return Part._make([*_times(part[:-1], share), Cost._make(_times(part.cost, share))])


def _times(values: Iterable[Any], share: Fraction) -> list[int | None]:
    return [None if value is None else int(value * share) for value in values]
