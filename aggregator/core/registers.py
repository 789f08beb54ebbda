"""Registers: one channel's readings, exchange overrides, gaps, interpolation. Pure.

A `Register` is one channel (import, export or volume) in order of time: UTC seconds, cumulative Wh (for a volume,
litres), meter ids. `core.faults` decides which readings are believed.

Exchange overrides are people's statements, stored as text: `1793059200+ 1793145600-` (`+` exchanged, `-` not).

**Gaps** follow the register's own rhythm, see `gap_positions`.

**Runs.** Readings run on *plainly* while each can follow the one before: the register does not fall, and rises no
faster than the home's maximum power (but for one count of the register), without a leap. A fall of ROUNDING_WH is
rounding: the readings before it are lowered. Most registers are one run.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import count, pairwise
from operator import attrgetter, sub
from statistics import median
from typing import NamedTuple

from aggregator.core.readings import Reading


class ExchangeOverride(NamedTuple):
    """A person's decision whether the meter was exchanged at an instant."""

    at: int  # UTC seconds
    is_exchange: bool


ExchangeOverrides = tuple[ExchangeOverride, ...]


@lru_cache(maxsize=4096)
def parse_overrides(text: str) -> ExchangeOverrides:
    """Parse exchange overrides from their stored text."""
    return tuple(ExchangeOverride(int(word[:-1]), word[-1] == "+") for word in text.split())


def overrides_text(exchange_overrides: ExchangeOverrides) -> str:
    """Return exchange overrides as text, one per instant; the last one of an instant counts."""
    of_instant = dict(exchange_overrides)
    return " ".join(f"{at}{'+' if of_instant[at] else '-'}" for at in sorted(of_instant))


def overridden_between(exchange_overrides: ExchangeOverrides, before: int, after: int) -> bool | None:
    """Whether overrides say that the meter was exchanged between two instants; None without an override."""
    decisions = [override.is_exchange for override in exchange_overrides if before < override.at <= after]
    return any(decisions) if decisions else None


LONGEST_S = 400 * 86_400  # no energy is spread over more time: a clock was wrong, or the home changed
DECIDE_S = 300  # a run that decides for itself lasts this long
DECIDE_READINGS = 2  # and has at least this many steps
ROUNDING_WH = 8  # a register may fall by this: a sum of rounded figures, or of phases read one after the other
FROZEN_S = 86_400  # longest time for which a register is repeated
COUNTS_WH = (1000, 100, 10, 1)  # in which registers count
LEAP = 4  # a step that adds a quarter of the register, or more, is not plain

MAX_GAP_S = 300  # a shorter step is never a gap
RHYTHMS = 3  # a gap is longer than this number of usual steps
NEAR_STEPS = 4  # steps on each side of a gap that give the usual step
LONGEST_STEP_S = 7200  # a longer step counts as this in the usual step, so that a change has effects nearby only

CHANNELS = ("import_wh", "export_wh", "volume_l")
POSITIONS = tuple((channel, Reading._fields.index(channel)) for channel in CHANNELS)
_VALUE = {channel: attrgetter(channel) for channel in CHANNELS}
_AT, _METER = attrgetter("at"), attrgetter("meter_id")


class Register(NamedTuple):
    """One channel's register readings in order of time."""

    ats: Sequence[int]  # UTC seconds
    whs: Sequence[int]  # Wh
    meters: Sequence[str | None]
    exchange_overrides: ExchangeOverrides = ()


def register_of(readings: Sequence[Reading], channel: str, exchange_overrides: ExchangeOverrides = ()) -> Register:
    """Return the readings with a value of a channel, with the exchange overrides of its meter."""
    value = _VALUE[channel]
    whs = list(map(value, readings))
    if None in whs:
        if whs.count(None) == len(whs):
            return Register([], [], [], exchange_overrides)
        readings = [reading for reading in readings if value(reading) is not None]
        whs = list(map(value, readings))
    return Register(list(map(_AT, readings)), whs, list(map(_METER, readings)), exchange_overrides)


# Gaps


def gap_positions(ats: Sequence[int]) -> list[int]:
    """Return the positions of the steps that are gaps; step `i` leads from `ats[i]` to `ats[i + 1]`.

    A gap is longer than MAX_GAP_S and than RHYTHMS times the median of the eight steps nearest to it, NEAR_STEPS on
    each side. A step counts as LONGEST_STEP_S at most.
    """
    steps = list(map(sub, ats[1:], ats))
    if not steps or max(steps) <= MAX_GAP_S:
        return []
    least = max(MAX_GAP_S, RHYTHMS * min(min(steps), LONGEST_STEP_S)) if len(steps) > 1 else MAX_GAP_S
    return [place for place, step in enumerate(steps) if step > least and step > _longest_step(steps, place)]


def _longest_step(steps: Sequence[int], place: int) -> float:
    near = [*steps[max(place - NEAR_STEPS, 0) : place], *steps[place + 1 : place + 1 + NEAR_STEPS]]
    return RHYTHMS * median([min(step, LONGEST_STEP_S) for step in near]) if near else 0


def fits_into_gap(points: Register, piece: Sequence[int], first: int, last: int) -> bool:
    """Whether readings fit between two neighbours of a piece (positions), by their values and by their time."""
    ats, whs, *_ = points
    after = bisect_right(piece, whs[first], key=whs.__getitem__)
    if not 0 < after < len(piece):
        return False
    one, other = piece[after - 1], piece[after]
    is_long = ats[other] - ats[one] >= max(MAX_GAP_S, ats[last] - ats[first])
    return is_long and whs[one] <= whs[first] and whs[last] <= whs[other]


def register_at(piece: Register, at: int) -> int:
    """Return the register at an instant within a piece: interpolated between two readings, Wh, rounded down."""
    ats, whs, *_ = piece
    after = bisect_left(ats, at)
    if ats[after] == at:
        return whs[after]
    start, before = ats[after - 1], whs[after - 1]
    return before + (whs[after] - before) * (at - start) // (ats[after] - start)


# Runs


class Run(NamedTuple):
    """The positions of the first and last reading of a run."""

    first: int
    last: int


def anchor_before(points: Register, until: int, max_power_w: int) -> int | None:
    """Return the instant of the newest anchor at or before `until`, or None.

    An anchor ends a plain run of at least DECIDE_S and DECIDE_READINGS.
    """
    run = anchored_run(points, until, max_power_w)
    return run[1] if run else None


def anchored_run(points: Register, until: int, max_power_w: int) -> tuple[int, int] | None:
    """Return the first and last instant of the shortest run that makes the newest anchor."""
    last = bisect_right(points.ats, until) - 1
    while last >= DECIDE_READINGS:
        first = last
        while first > 0 and _is_plain(points, first - 1, first, max_power_w):
            first -= 1
            if is_long_enough(points, first, last):
                return points.ats[first], points.ats[last]
        last = first - 1
    return None


def anchor_after(points: Register, since: int, max_power_w: int) -> int | None:
    """Return the instant of the oldest anchor at or after `since`; its whole run lies within `points`."""
    first = 0
    for last in range(1, len(points.ats)):
        if not _is_plain(points, last - 1, last, max_power_w):
            first = last
        elif points.ats[last] >= since and is_long_enough(points, first, last):
            return points.ats[last]
    return None


def is_long_enough(points: Register, first: int, last: int) -> bool:
    return last - first >= DECIDE_READINGS and points.ats[last] - points.ats[first] >= DECIDE_S


def runs_of(points: Register, levels: list[int], max_power_w: int) -> list[Run]:
    """Cut a register into plain runs; in `levels` (its Wh), falls by rounding are levelled out."""
    if not points.ats:
        return []
    whs, firsts = list(levels), [0]
    highest = points._replace(whs=whs)  # so far in the run, after a fall
    doubtful = [*_doubtful(points, max_power_w), len(whs)]
    position = doubtful[0]
    while position < len(whs):
        if not _is_plain(highest, position - 1, position, max_power_w):
            firsts.append(position)
        elif whs[position] < whs[position - 1]:
            level_out(levels, firsts[-1], position)
            whs[position] = whs[position - 1]
        is_below = position + 1 < len(whs) and whs[position + 1] < whs[position]
        position = position + 1 if is_below else doubtful[bisect_right(doubtful, position)]
    return [Run(first, after - 1) for first, after in zip(firsts, [*firsts[1:], len(whs)], strict=True)]


def frozen_since(ats: Sequence[int], whs: Sequence[int], last: int) -> int:
    """Return the position of the first of the readings up to `last` that repeat its value, FROZEN_S at most."""
    first = last
    while first > 0 and whs[first - 1] == whs[last] and ats[last] - ats[first - 1] <= FROZEN_S:
        first -= 1
    return first


def level_out(levels: list[int], first: int, position: int) -> None:
    """Lower the readings before a position, back to `first`, that lie above it."""
    for earlier in range(position - 1, first - 1, -1):
        if levels[earlier] <= levels[position]:
            break
        levels[earlier] = levels[position]


def _doubtful(points: Register, max_power_w: int) -> list[int]:
    """Return the positions of the readings that may not run on from the one before; all others surely do."""
    ats, whs, meters, exchange_overrides = points
    if surely_runs_on(points, max_power_w):
        return []
    steps = zip(count(1), map(sub, ats[1:], ats), map(sub, whs[1:], whs), whs, strict=False)
    found = {
        position
        for position, seconds, rise, before in steps
        if (rise and (rise < 0 or rise * LEAP >= before or (rise - 1) * 3600 > max_power_w * seconds))
        or seconds > LONGEST_S
    }
    if len(set(meters)) > 1:
        found |= {position for position, (one, other) in enumerate(pairwise(meters), 1) if one != other}
    found |= {bisect_left(ats, override.at) for override in exchange_overrides}
    return sorted(found & set(range(1, len(ats)))) if found else []


def surely_runs_on(points: Register, max_power_w: int) -> bool:
    """Whether all steps are surely plain: the common case, quickly."""
    ats, whs, meters, exchange_overrides = points
    if exchange_overrides or len(ats) < 2 or len(set(meters)) > 1:
        return False
    rises = list(map(sub, whs[1:], whs))
    if min(rises) < 0:
        return False
    steepest = max(rises)
    most = (steepest - 1) * 3600
    is_steep = most > max_power_w and most > max_power_w * min(map(sub, ats[1:], ats))  # a step takes a second or more
    if is_steep or ats[-1] - ats[0] > LONGEST_S:
        return False
    return not steepest or steepest * LEAP < whs[0]


def _is_plain(points: Register, one: int, other: int, max_power_w: int) -> bool:
    """Whether a register runs on from one reading to another one."""
    return not is_leap(points.whs[one], points.whs[other]) and follows(points, one, other, max_power_w)


def is_leap(before: int, after: int) -> bool:
    """Whether a step adds a quarter of the register, or more, and more than one count."""
    return (after - before) * LEAP >= before and after - before > _count(before, after)


def _count(before: int, after: int) -> int:
    """Return the Wh in which a register counts that shows two values: a whole kWh, or a part of one."""
    return next(unit for unit in COUNTS_WH if not before % unit and not after % unit)


def can_rise(before: int, after: int, seconds: int, max_power_w: int) -> bool:
    """Whether a home can have used a rise, of which one count may be rounding."""
    over_wh = after - before - max_power_w * seconds // 3600 - 1
    return over_wh <= 0 or (over_wh < COUNTS_WH[0] and over_wh < _count(before, after))


def follows(points: Register, one: int, other: int, max_power_w: int) -> bool:
    """Whether one meter can have shown these two values."""
    before, after, seconds = points.whs[one], points.whs[other], points.ats[other] - points.ats[one]
    is_possible = after >= before - ROUNDING_WH and seconds <= LONGEST_S and not is_other_meter(points, one, other)
    return is_possible and (can_rise(before, after, seconds, max_power_w) or overridden(points, one, other) is False)


class RegisterPoint(NamedTuple):
    """A register at an instant."""

    at: int  # UTC seconds
    wh: int
    meter_id: str | None


def can_follow(one: RegisterPoint, other: RegisterPoint, max_power_w: int) -> bool:
    """Whether one register can have shown these values. Another meter contradicts nothing."""
    if one.meter_id and other.meter_id and one.meter_id != other.meter_id:
        return True
    return other.wh >= one.wh - ROUNDING_WH and can_rise(one.wh, other.wh, other.at - one.at, max_power_w)


def runs_on_plainly(points: Sequence[RegisterPoint], max_power_w: int) -> bool:
    """Whether a register ran on through all of these points, without a leap."""
    return all(can_follow(*pair, max_power_w) and not is_leap(pair[0].wh, pair[1].wh) for pair in pairwise(points))


def is_other_meter(points: Register, one: int, other: int) -> bool:
    marked = overridden(points, one, other)
    if marked is not None:
        return marked
    before, after = points.meters[one], points.meters[other]
    return before is not None and after is not None and before != after


def overridden(points: Register, one: int, other: int) -> bool | None:
    """Whether an override says that the meter was exchanged between two readings."""
    return overridden_between(points.exchange_overrides, points.ats[one], points.ats[other])
