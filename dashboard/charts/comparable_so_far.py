"""One period against another, fairly: of a period that is not over, the other counts only up to the same moment. Pure.

Hours are matched by their position in the day, days by their date, months by their name.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from aggregator.core import periods
from aggregator.core.documents import EMPTY, WHOLE_DAY, Document, Part, add
from aggregator.core.money import Cost

Chain = Mapping[str, Document | None]  # of one period: its document, and of what is going on in it the finer ones


def chain_of(level: str, other: str, now: int, zone: str) -> dict[str, str]:
    """The documents of `other` that `so_far` asks for: their periods by level.

    Where `other` has no such day (30 February), its level alone is asked for.
    """
    wanted = {level: other}
    for finer in reversed(periods.LEVELS[: periods.LEVELS.index(level)]):
        position = periods.period_of(finer, now, zone)[len(other) :]
        other = other + position
        if finer == "day" and int(other[-2:]) > periods.days_in(other[:7]):
            break
        wanted[finer] = other
    return wanted


def so_far(chain: Chain, level: str, now: int, zone: str) -> Part:
    """What `chain`'s period came to by the moment that corresponds to `now` in the present one."""
    document = chain.get(level)
    if document is None:
        return EMPTY
    if level == "day":
        day = periods.period_of("day", now, zone)
        return _by(document, now - periods.day_start(day, zone))
    finer = periods.LEVELS[periods.LEVELS.index(level) - 1]
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
