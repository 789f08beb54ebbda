"""Demo readings: the meters of simulated households, and the readings that reach the server. Pure.

Power (W) and registers (Wh) at an instant depend only on seed, household and instant. History, recent days and live
readings therefore agree, and a restarted demo resumes seamlessly. Net power is constant over `PIECE_S`, except for a
jitter that cancels out inside each piece: the registers are its integral to the watt-second.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.demo.households import Household, generator, households, runs

__all__ = ["FITTED", "TICK_S", "Household", "arrivals", "history", "households", "reading"]

FITTED = "2024-01-01"  # the day on which every demo meter was fitted; no data is older
TICK_S = 10
PIECE_S = 2 * TICK_S
WH = 3600  # watt-seconds

BURST_S = 60  # buffered readings arrive in any order over this time after an outage
LATE_S = 30  # delay of a single late reading
OUTAGES = 0.2  # per day
KEPT = 0.7  # share of short outages whose readings the device buffers and sends afterwards
KEPT_AT_MOST_S = 2 * 3600
PER_MILLE = {"lost": 8, "repeated": 16, "late": 24}  # single readings, as bounds of a draw from 0 to 999


class Registers(NamedTuple):
    """Both registers of a meter, in watt-seconds."""

    imported: int
    exported: int


class Course(NamedTuple):
    """The net power of a local day as constant pieces, ordered by time."""

    end: int  # of the day, UTC seconds
    starts: list[int]  # of the pieces, UTC seconds, multiples of PIECE_S
    power: list[int]  # W
    before: list[Registers]  # from the start of the day up to each piece; the last entry is the whole day


class Outage(NamedTuple):
    """A half-open span without connection (UTC seconds), and whether its readings are sent afterwards."""

    start: int
    end: int
    kept: bool


def reading(household: Household, at: int) -> Reading:
    """Return the reading of a household's meter at an instant (UTC seconds, not before FITTED)."""
    return next(_readings(household, [at]))


def history(household: Household, start: int, end: int, step_s: int) -> Iterator[Reading]:
    """Yield the readings every `step_s` seconds with start <= at < end that reach the server at any time.

    Half-hourly and coarser history has only registers, like suppliers' data.
    """
    start = max(start, periods.day_start(FITTED, household.timezone))
    instants = (at for at in range(start + -start % step_s, end, step_s) if _arrivals_of(household, at))
    for shown in _readings(household, instants):
        yield shown if step_s < periods.HALF_HOUR else shown._replace(power_w=None)


def arrivals(household: Household, since: int, until: int) -> list[Reading]:
    """Return the readings that arrive after `since` and up to `until`, in order of arrival, from one every TICK_S."""
    earliest = max(_earliest(household, since, until), periods.day_start(FITTED, household.timezone) - 1)
    ticks = range(earliest + TICK_S - earliest % TICK_S, until + 1, TICK_S)
    received = sorted(
        (arrival, at) for at in ticks for arrival in _arrivals_of(household, at) if since < arrival <= until
    )
    return list(_readings(household, (at for _, at in received)))


def is_cut_off(household: Household, at: int) -> bool:
    """Whether a household is offline at an instant."""
    outage = _outage(household, at // DAY_S) if household.flaky else None
    return outage is not None and outage.start <= at < outage.end


def _readings(household: Household, instants: Iterable[int]) -> Iterator[Reading]:
    """Yield the reading of each instant in the given order; the day is looked up only when it changes."""
    start = end = 0
    for at in instants:
        if not start <= at < end:
            course, registers = _day(household, periods.day_of(at, household.timezone))
            start, end = course.starts[0], course.end
        yield _shown(household, at, course, registers)


def _shown(household: Household, at: int, course: Course, registers: Registers) -> Reading:
    """A reading from the course of its day and the registers at the day's start."""
    index = bisect_right(course.starts, at) - 1
    power = course.power[index]
    before = course.before[index]
    jitter = _jitter(household.noise, at // PIECE_S, power)
    second = at % PIECE_S
    net = power * (at - course.starts[index]) + jitter * min(second, PIECE_S - second)
    return Reading(
        household.device_id,
        at,
        power + (jitter if second < TICK_S else -jitter),
        (registers.imported + before.imported + max(net, 0)) // WH,
        (registers.exported + before.exported + max(-net, 0)) // WH,
        household.meter_id,
    )


def _jitter(noise: int, piece: int, power_w: int) -> int:
    """W that the first half of a piece has more and the second less; never enough to change the direction."""
    most = min(abs(power_w), 3 + abs(power_w) // 80)
    return scattered(noise, piece) % (2 * most + 1) - most


def scattered(noise: int, number: int) -> int:
    """A 32-bit figure that looks random, and is the same for the same two numbers."""
    mixed = (number * 0x9E3779B1 ^ noise) & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x85EBCA77 & 0xFFFFFFFF
    return mixed ^ mixed >> 13


@lru_cache(maxsize=256)
def _day(household: Household, day: str) -> tuple[Course, Registers]:
    """The course of a local day, and the registers at its start."""
    return _course(household, day), _registers(household, day[:7])[int(day[8:]) - 1]


@lru_cache(maxsize=8192)
def _registers(household: Household, month: str) -> tuple[Registers, ...]:
    """Return the registers at the start of each day of a month, and at its end."""
    first = Registers(household.noise % 20_000 * WH, 0)
    if month > FITTED[:7]:
        first = _registers(household, periods.shift("month", month, -1))[-1]
    days = (f"{month}-{number:02d}" for number in range(1, periods.days_in(month) + 1))
    return tuple(accumulate((_course(household, day).before[-1] for day in days), _sum, initial=first))


def _sum(one: Registers, other: Registers) -> Registers:
    return Registers(one.imported + other.imported, one.exported + other.exported)


def _course(household: Household, day: str) -> Course:
    midnight, end = periods.window("day", day, household.timezone)
    changes = _changes(household, day, end - midnight)
    offsets = sorted(changes)
    power = list(accumulate(changes[offset] for offset in offsets))
    imported = exported = 0
    before = []
    for net, start, following in zip(power, offsets, [*offsets[1:], end - midnight], strict=True):
        before.append(Registers(imported, exported))
        if net > 0:
            imported += net * (following - start)
        else:
            exported -= net * (following - start)
    return Course(end, [midnight + offset for offset in offsets], power, [*before, Registers(imported, exported)])


def _changes(household: Household, day: str, length_s: int) -> dict[int, int]:
    """Return the changes of net power (W) by seconds since midnight; midnight is always included."""
    changes = {0: 0}
    for start_s, seconds, power_w in runs(household, day):
        start = max(int(start_s) // PIECE_S * PIECE_S, 0)
        end = int(start_s + seconds) // PIECE_S * PIECE_S
        if start < end and start < length_s:
            changes[start] = changes.get(start, 0) + int(power_w)
            if end < length_s:
                changes[end] = changes.get(end, 0) - int(power_w)
    return changes


def _arrivals_of(household: Household, at: int) -> tuple[int, ...]:
    """Return the arrival times of an instant's reading: none, one or two."""
    if not household.flaky:
        return (at,)
    draw = scattered(household.noise + 1, at // TICK_S)
    outage = _outage(household, at // DAY_S)
    if outage and outage.start <= at < outage.end:
        return (outage.end + draw % BURST_S,) if outage.kept else ()
    fate = draw % 1000
    if fate >= PER_MILLE["late"]:
        return (at,)
    if fate >= PER_MILLE["repeated"]:
        return (at + LATE_S,)
    return (at, at + TICK_S) if fate >= PER_MILLE["lost"] else ()


def _earliest(household: Household, since: int, until: int) -> int:
    """Return an instant before every reading that arrives after `since` and up to `until`."""
    if not household.flaky:
        return since
    days = range((since - BURST_S) // DAY_S, until // DAY_S + 1)
    outages = [outage for day in days if (outage := _outage(household, day)) and outage.end + BURST_S > since]
    return min([since - LATE_S, *(outage.start - 1 for outage in outages)])


@lru_cache(maxsize=1024)
def _outage(household: Household, day: int) -> Outage | None:
    """Return the outage of a UTC day (days since 1970), if any: minutes to most of the day, mostly short."""
    chance = generator(household, f"outage/{day}").random
    if chance() >= OUTAGES:
        return None
    seconds = int(180 * (18 * 3600 / 180) ** chance())
    start = day * DAY_S + int((DAY_S - seconds - BURST_S) * chance())
    return Outage(start, start + seconds, kept=seconds <= KEPT_AT_MOST_S and chance() < KEPT)
