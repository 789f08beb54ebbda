"""Register readings: segments of believed readings, meter exchanges, anchors, interpolation. Pure.

A `Register` is one channel (import or export) in order of time: UTC seconds, cumulative Wh, meter ids. `segments` drops
glitches and cuts at exchanges. An *anchor* is a reading that is believed whatever comes before or after it.
Exchange overrides are stored as text: `1793059200+ 1793145600-` (`+` exchanged, `-` not exchanged).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter, ge, sub
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


MAX_GAP_S = 300  # a longer step is estimated (registers) or missing (power)
METER = "interval:"  # prefix of the meter ids of synthetic registers, made from imported intervals


def is_made(meter_id: str | None) -> bool:
    """Whether a meter id names a synthetic register, which an import made from intervals."""
    return meter_id is not None and meter_id.startswith(METER)


LONGEST_S = 400 * 86_400  # no energy is spread over more time: a clock was wrong, or the home changed
DECIDE_S = 300  # an impossible step waits this long for a decision
DECIDE_READINGS = 2  # and for at least this many readings

CHANNELS = ("import_wh", "export_wh")
_VALUE = {channel: attrgetter(channel) for channel in CHANNELS}
_AT = attrgetter("at")


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
        readings = [reading for reading in readings if value(reading) is not None]
        whs = list(map(value, readings))
    return Register(list(map(_AT, readings)), whs, [reading.meter_id for reading in readings], exchange_overrides)


def register_at(piece: Register, at: int) -> int:
    """Return the register at an instant within a segment, Wh, rounded down."""
    return interpolated(piece, at)[0]


def anchor_before(points: Register, until: int, max_power_w: int) -> int | None:
    """Return the instant of the newest anchor at or before `until`, or None.

    An anchor ends an unbroken run of at least DECIDE_S and DECIDE_READINGS. Such a run decides for itself, whatever
    was believed before it.
    """
    run = anchored_run(points, until, max_power_w)
    return run[1] if run else None


def anchored_run(points: Register, until: int, max_power_w: int) -> tuple[int, int] | None:
    """Return the first and last instant of the shortest run that makes the newest anchor."""
    last = bisect_right(points.ats, until) - 1
    while last >= DECIDE_READINGS:
        first = last
        while first > 0 and _follows(points, first - 1, first, max_power_w):
            first -= 1
            if _is_long_enough(points, first, last):
                return points.ats[first], points.ats[last]
        last = first - 1
    return None


def anchor_after(points: Register, since: int, max_power_w: int) -> int | None:
    """Return the instant of the oldest anchor at or after `since`; its whole run lies within `points`."""
    first = 0
    for last in range(1, len(points.ats)):
        if not _follows(points, last - 1, last, max_power_w):
            first = last
        elif points.ats[last] >= since and _is_long_enough(points, first, last):
            return points.ats[last]
    return None


def _is_long_enough(points: Register, first: int, last: int) -> bool:
    return last - first >= DECIDE_READINGS and points.ats[last] - points.ats[first] >= DECIDE_S


def segments(points: Register, max_power_w: int) -> list[Register]:
    """Cut a register into segments, one per meter, without dropped and undecided readings.

    The first reading is believed. A reading that cannot follow the last believed one waits for the readings of the
    next DECIDE_S, and for at least DECIDE_READINGS. If one of them fits the old level, the reading was a glitch and is
    dropped. If all continue from the new level, the meter was exchanged: a new segment starts, without energy across
    the seam (at once when the meter id changed). Otherwise the reading is dropped. A synthetic register joins no other
    register: a segment starts where it begins and where it ends.
    """
    if not points.ats:
        return []
    if _runs_on(points, max_power_w):
        return [points]
    kept = [[0]]
    position = 1
    while position < len(points.ats):
        good = kept[-1][-1]
        if not _follows(points, good, position, max_power_w):
            decided = _decide(points, good, position, max_power_w)
            if decided is None:
                break
            position, is_exchange = decided
            if is_exchange:
                kept.append([])
            elif not _follows(points, good, position, max_power_w):
                continue
        kept[-1].append(position)
        position += 1
    ats, whs, meters, _ = points
    return [Register([ats[i] for i in piece], [whs[i] for i in piece], [meters[i] for i in piece]) for piece in kept]


def _decide(points: Register, good: int, strange: int, max_power_w: int) -> tuple[int, bool] | None:
    """Return the next position after an impossible step, and whether a segment starts there; None if undecided."""
    ats, meters = points.ats, points.meters
    end = min(max(bisect_right(ats, ats[strange] + DECIDE_S), strange + 1 + DECIDE_READINGS), len(ats))
    for position in range(strange + 1, end):
        if _follows(points, good, position, max_power_w):
            return position, False
    if is_made(meters[good]) or is_made(meters[strange]):
        return strange, True
    made = next((position for position in range(strange + 1, end) if is_made(meters[position])), None)
    last = end if made is None else made  # the register of an import says nothing of the meter before it
    beyond = len(ats) if made is None else made
    is_known = strange + DECIDE_READINGS < beyond and ats[beyond - 1] >= ats[strange] + DECIDE_S
    if is_known or _is_other_meter(points, good, strange):
        goes_on = all(
            _follows(points, position - 1, position, max_power_w) or _overridden(points, position - 1, position)
            for position in range(strange + 1, last)
        )
        return (strange, True) if goes_on else (strange + 1, False)
    return None if made is None else (made, True)


def _is_other_meter(points: Register, one: int, other: int) -> bool:
    marked = _overridden(points, one, other)
    if marked is not None:
        return marked
    before, after = points.meters[one], points.meters[other]
    return before is not None and after is not None and before != after


def _follows(points: Register, one: int, other: int, max_power_w: int) -> bool:
    """Whether one meter can have shown these two values; 1 Wh of the rise may be rounding."""
    rise, seconds = points.whs[other] - points.whs[one], points.ats[other] - points.ats[one]
    is_possible = rise >= 0 and seconds <= LONGEST_S and not _is_other_meter(points, one, other)
    return is_possible and ((rise - 1) * 3600 <= max_power_w * seconds or _overridden(points, one, other) is False)


def _overridden(points: Register, one: int, other: int) -> bool | None:
    """Whether an override says that the meter was exchanged between two readings."""
    return (
        overridden_between(points.exchange_overrides, points.ats[one], points.ats[other])
        if points.exchange_overrides
        else None
    )


def _runs_on(points: Register, max_power_w: int) -> bool:
    """Whether every step is possible: the common case, without a Python loop."""
    ats, whs, meters, exchange_overrides = points
    if exchange_overrides and overridden_between(exchange_overrides, ats[0], ats[-1]):
        return False
    if len(set(meters) - {None}) > 1 or not all(map(ge, whs[1:], whs)):
        return False
    if len(ats) < 2:
        return True
    steepest, steps = max(map(sub, whs[1:], whs)), list(map(sub, ats[1:], ats))
    if (steepest - 1) * 3600 <= max_power_w * min(steps) and max(steps) <= LONGEST_S:
        return True
    return all(_follows(points, one, other, max_power_w) for one, other in pairwise(range(len(ats))))


def interpolated(piece: Register, at: int) -> tuple[int, int, int]:
    """Return the register at an instant (Wh, rounded down), and the gap around it (`at, at` if none)."""
    ats, whs, *_ = piece
    after = bisect_left(ats, at)
    if ats[after] == at:
        return whs[after], at, at
    start, end = ats[after - 1], ats[after]
    wh = whs[after - 1] + (whs[after] - whs[after - 1]) * (at - start) // (end - start)
    return (wh, start, end) if end - start > MAX_GAP_S else (wh, at, at)
