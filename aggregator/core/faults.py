"""Faults, rollovers and meter exchanges: which readings of a register are believed. Pure.

`judge` cuts a register into one piece of believed readings per meter, without energy between them.

**A break** between two runs (`registers.runs_of`) has these explanations, tried in this order:

1. A *fault*: the register goes on later where it would have been. It returns within FAULT_S, at the start of a run, and
   has then risen by no less than it rose during the fault. A long run tells better where it returns than a short one.
   What it showed meanwhile (zeros, a restored backup, a wrong clock, garbage) is dropped, so the time of the fault
   becomes a gap. A dip, a fall by less than half of the register, may also end within a run, within DIP_S or
   DIP_READINGS. A register that stood still, and then makes up for it within FROZEN_S, was frozen by a gateway.
2. An *overshoot*: the last readings were wrong, and the register goes on in line with those before them. They came
   after a gap or with a leap, or are few: a clock was wrong, or garbage fitted by chance.
3. A *rollover*: the register starts again at 0 after its largest number, 10^n or 2^n of its unit, and the home can have
   used the energy between: its usual one, or a small part of that number. The piece continues.
4. A *clock put back*: the register rises at once by no more than the home uses in CLOCK_S; with a leap, in the time for
   which it is known. The readings of that time contradicted earlier ones and were put aside. The piece continues.
5. An *exchange*: the new run lasts for DECIDE_S and DECIDE_READINGS, or the meter id differs. A new piece starts.
6. Otherwise the run is too short to tell, or its clock was ahead (a dip that fits into a gap before it): it is dropped.

A later reading may change the decision, until FAULT_S after the break. A person's exchange override comes first.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aggregator.core.registers import (
    DECIDE_READINGS,
    DECIDE_S,
    FROZEN_S,
    LEAP,
    LONGEST_S,
    NEAR_STEPS,
    ROUNDING_WH,
    Register,
    Run,
    fits_into_gap,
    follows,
    frozen_since,
    gap_positions,
    is_leap,
    is_long_enough,
    is_other_meter,
    level_out,
    overridden,
    runs_of,
)

FAULT_S = 7 * 86_400  # a longer stretch is no fault
FAULT_RUNS = 64  # nor is one of more runs: garbage without end has no explanation
DIP_S = 3600  # longest dip by less than half of the register that ends within a run
DIP_READINGS = 120  # or of at most this number of readings
CLOCK_S = 86_400  # longest time by which a clock is put back
USUAL_S = 86_400  # time before a break that tells what the home uses
USUAL_READINGS = 64  # and at least this number of readings, within FAULT_S
UNUSUAL = 10  # a home may use this multiple of its usual power for a while
HOME_W = 1000  # W; a home may always have used this during an outage
SLACK_WH = 2000  # and this at once: registers may count whole kWh
SLACK_SHARE = 1000  # but no more than this fraction of the register
COINCIDENCE = 20  # registers of another meter end in the last 1/n of a largest number by chance
MODULI = sorted(
    {10**digits for digits in range(6, 13)}
    | {2**bits * unit for bits in (15, 16, 20, 23, 24, 28, 31, 32) for unit in (1, 10, 100, 1000)}
)  # Wh: registers of decimal digits, and of bits in Wh, 10 Wh, 100 Wh or kWh


class Rollover(NamedTuple):
    """The last reading before a rollover, the first one after it, and the number of the register's Wh."""

    before: int  # UTC seconds
    after: int  # UTC seconds
    modulus_wh: int


class RegisterJudgement(NamedTuple):
    """What is believed of a register: its pieces, without steps back inside, and its rollovers."""

    pieces: list[Register]
    rollovers: list[Rollover]


def judge(points: Register, max_power_w: int) -> RegisterJudgement:
    """Decide every break of a register. The first reading is believed."""
    levels = list(points.whs)
    runs = runs_of(points, levels, max_power_w)
    if len(runs) < 2:
        return RegisterJudgement([points._replace(whs=levels)] if runs else [], [])
    level = points._replace(whs=levels)
    pieces, rollovers, raised, following = [list(range(runs[0].last + 1))], list[Rollover](), 0, 1
    lifted = dict.fromkeys(pieces[0], 0)  # position -> Wh that rollovers add
    while following < len(runs):
        piece, run, start = pieces[-1], runs[following], runs[following].first
        good = piece[-1]
        returned = _return(level, runs, good, following, max_power_w)
        wrong = _overshot(level, runs, piece, following, lifted, returned, max_power_w)
        if wrong is not None:
            del piece[wrong:]
        elif returned:
            following, start = returned
            run = runs[following]
        elif thawed := _thawed(level, piece, start, max_power_w):
            del piece[thawed:]
        elif modulus := _modulus(level, runs, piece, following, max_power_w):
            raised += modulus
            rollovers.append(Rollover(level.ats[good], level.ats[start], modulus))
        elif not _is_exchange(level, runs, piece, following, max_power_w):
            following += 1
            continue
        elif not _is_put_back(level, piece, start):
            raised = 0
            pieces.append([])
        pieces[-1] += range(start, run.last + 1)
        lifted |= dict.fromkeys(range(start, run.last + 1), raised)
        following += 1
    return RegisterJudgement([_piece(level, piece, lifted) for piece in pieces], rollovers)


def _piece(level: Register, positions: Sequence[int], lifted: dict[int, int]) -> Register:
    """Return a piece; where it returns to a level lower by rounding, the readings before are lowered."""
    whs = [level.whs[position] + lifted[position] for position in positions]
    for place in range(1, len(whs)):
        if whs[place] < whs[place - 1]:
            level_out(whs, 0, place)
    return Register([level.ats[i] for i in positions], whs, [level.meters[i] for i in positions])


def _return(level: Register, runs: list[Run], good: int, following: int, max_power_w: int) -> tuple[int, int] | None:
    """Return the run and position at which a register goes on after `good`; a fault begins with the run `following`."""
    ats, whs, *_ = level
    strange = runs[following].first
    risen, highest, within, found = 0, 0, None, None
    for number, (first, last) in enumerate(runs[following : following + FAULT_RUNS], following):
        if ats[first] - ats[strange] > FAULT_S:
            break
        is_long = is_long_enough(level, first, last)
        is_up = risen <= whs[first] - whs[good] + ROUNDING_WH or (is_long and 0 < 2 * whs[first] < highest)
        before = runs[within[0]].last if within else first - 1
        is_strange = within or (whs[before] > whs[good] and is_leap(whs[good], whs[first]))
        is_strange = is_strange and ((within and not is_long) or follows(level, before, first, max_power_w))
        if is_up and not is_strange and follows(level, good, first, max_power_w):
            if not found or (is_long and not follows(level, runs[found[0]].last, first, max_power_w)):
                found = number, first
            if is_long or number == following:
                return found
        position = bisect_left(whs, whs[good] - ROUNDING_WH, first, last + 1)
        if within is None and first < position <= last and _is_dip(level, good, strange, position):
            least = risen + whs[position - 1] - whs[first] - ROUNDING_WH
            is_small = 2 * whs[strange] >= whs[good] or least <= whs[position] - whs[good]
            if is_small and follows(level, good, position, max_power_w):
                within = number, position  # unless a long run jumps later to where it would have been
        risen, highest = risen + whs[last] - whs[first], max(highest, whs[last])
    return found or within


def _is_dip(level: Register, good: int, strange: int, position: int) -> bool:
    """Whether a fault from one position to another one is short enough to end within a run."""
    if 2 * level.whs[strange] < level.whs[good]:
        return level.ats[position] - level.ats[strange] <= DECIDE_S or position - strange <= DECIDE_READINGS
    return is_short(level.ats, strange, position)


def is_short(ats: Sequence[int], first: int, last: int) -> bool:
    """Whether readings are no more than a dip may have."""
    return ats[last] - ats[first] <= DIP_S or (last - first <= DIP_READINGS and ats[last] - ats[first] <= FAULT_S)


def _thawed(level: Register, piece: Sequence[int], start: int, max_power_w: int) -> int | None:
    """Return how many readings of a piece count where its last ones repeat a value that `start` makes up for."""
    ats, whs, *_ = level
    frozen = bisect_left(piece, frozen_since(ats, whs, piece[-1]))
    seconds, rise = ats[start] - ats[piece[frozen]], whs[start] - whs[piece[-1]]
    is_usual = seconds <= FROZEN_S and rise * 3600 <= UNUSUAL * _usual_w(level, piece, frozen + 1) * seconds
    return frozen + 1 if rise > 0 and is_usual and follows(level, piece[frozen], start, max_power_w) else None


def _usual_w(level: Register, piece: Sequence[int], count: int) -> int:
    """Return the mean power before the end of the first `count` readings of a piece, W."""
    ats, whs, *_ = level
    last = piece[count - 1]
    day, week = (bisect_left(piece, ats[last] - s, 0, count, key=ats.__getitem__) for s in (USUAL_S, FAULT_S))
    first = max(min(day, count - USUAL_READINGS), week)
    over = bisect_left(piece, True, first, count, key=lambda one: whs[one] <= whs[last])  # a rollover, or the first
    risen = whs[last] - whs[piece[over]] + whs[piece[max(over - 1, first)]] - whs[piece[first]]
    return max(risen, 0) * 3600 // max(ats[last] - ats[piece[first]], DECIDE_S)


def _overshot(
    level: Register,
    runs: Sequence[Run],
    piece: Sequence[int],
    following: int,
    lifted: Mapping[int, int],
    returned: tuple[int, int] | None,
    max_power_w: int,
) -> int | None:
    """Return how many readings of a piece count where its last ones, above the run `following`, are wrong, or None.

    A fault that has `returned`, and stays, is believed first; but after a longer silence than FAULT_S no dip begins.
    """
    ats, whs, *_ = level
    last, run = piece[-1], runs[following]
    earliest = max(bisect_left(ats, ats[last] - FAULT_S), runs[max(following - FAULT_RUNS, 0)].first)
    base = whs[run.first] + lifted[last]
    count = bisect_right(piece, base, bisect_left(piece, earliest), key=lambda one: whs[one] + lifted[one])
    is_run = is_long_enough(level, run.first, _end(level, runs, following, max_power_w))
    is_outdone = returned and (returned[1] == runs[returned[0]].first or ats[run.first] - ats[last] <= FAULT_S)
    is_outdone = is_outdone and returned and is_long_enough(level, returned[1], runs[returned[0]].last)
    end = _end(level, runs, following, max_power_w, is_all=True)
    is_outdone = is_outdone or _is_ahead(level, piece, run.first, end)
    if count == len(piece) or not whs[run.first] or not is_run or is_outdone:
        return None
    if not count:
        return 0 if _is_elsewhere(level, piece, run.first) else None
    good, wrong = piece[count - 1], piece[count]
    is_known = whs[good] + lifted[good] <= base and is_long_enough(level, piece[0], good)
    if not is_known or not follows(level, good, run.first, max_power_w):
        return None
    usual_w = _usual_w(level, piece, count)
    leap_wh = max(LEAP * usual_w, HOME_W) * (ats[wrong] - ats[good]) // 3600 + ROUNDING_WH
    near = [ats[one] for one in piece[max(count - NEAR_STEPS - 1, 0) : count + NEAR_STEPS + 1]]
    is_unusual = not is_long_enough(level, wrong, last) or whs[wrong] - whs[good] > leap_wh
    is_unusual = is_unusual or near.index(ats[good]) in gap_positions(near)
    usual_w, rise = usual_w or _usual_w(level, piece, len(piece)), whs[run.first] - whs[good] + ROUNDING_WH
    is_in_line = ats[last] - ats[wrong] <= DIP_S or rise * 2 * 3600 >= usual_w * (ats[run.first] - ats[good])
    return count if is_unusual and is_in_line else None


def _is_elsewhere(level: Register, piece: Sequence[int], start: int) -> bool:
    """Whether a whole piece belongs to a later time: a short one, or the first, if it is apart and little higher."""
    ats, whs, *_ = level
    fall, seconds, apart_s = whs[piece[-1]] - whs[start], ats[piece[-1]] - ats[piece[0]], ats[start] - ats[piece[-1]]
    is_little = seconds <= CLOCK_S and fall * LEAP < whs[start] and fall * 3600 <= _most_w(level, piece) * FAULT_S
    is_later = is_short(ats, piece[0], piece[-1]) if piece[0] else is_little and apart_s > max(seconds, DIP_S)
    is_run = is_long_enough(level, piece[0], piece[-1]) and not is_other_meter(level, piece[-1], start)
    return is_later and is_run and apart_s <= LONGEST_S


def breaks(points: Register, max_power_w: int) -> dict[int, int | None]:
    """Return the instants of readings that do not run on from the one before, and since when it may show a fault."""
    whs = list(points.whs)
    runs = runs_of(points, whs, max_power_w)
    level = points._replace(whs=whs)
    return {level.ats[run.first]: _risen_above(level, runs, place) for place, run in enumerate(runs[1:], 1)}


def _risen_above(level: Register, runs: Sequence[Run], following: int) -> int | None:
    """Return the instant at which the register first rises above a run that comes later, whatever is believed."""
    whs, base, last = level.whs, level.whs[runs[following].first], max(runs[following].first - 1, 0)
    is_passed = (whs[last] - base) * LEAP < base
    for first, until in runs[max(following - FAULT_RUNS, 0) : following]:
        above = bisect_right(whs, base, first, until + 1)
        if above <= until and (is_passed or above > first):
            return level.ats[max(above, bisect_left(level.ats, level.ats[last] - FAULT_S))]
        is_passed |= above > first
    return None


def _most_w(level: Register, piece: Sequence[int]) -> int:
    """Return the mean power that a home may have over a day or a week after a piece, W."""
    return max(2 * _usual_w(level, piece, len(piece)), HOME_W)


def _is_put_back(level: Register, piece: Sequence[int], start: int) -> bool:
    """Whether a register only leaves out what the home used while a clock that was put back told known times."""
    ats, whs, *_ = level
    rise, silent_s = whs[start] - whs[piece[-1]], ats[start] - ats[piece[-1]]
    known_s = ats[piece[-1]] - ats[piece[0]] if is_leap(whs[piece[-1]], whs[start]) else CLOCK_S
    is_small = rise * 3600 <= _most_w(level, piece) * (min(known_s, CLOCK_S) + silent_s)
    return rise >= 0 and silent_s <= LONGEST_S and is_small and not is_other_meter(level, piece[-1], start)


def _modulus(level: Register, runs: list[Run], piece: Sequence[int], following: int, max_power_w: int) -> int | None:
    """Return the number at which the register has started again between a piece and a run, or None."""
    ats, whs, *_ = level
    good, run, last = piece[-1], runs[following], _end(level, runs, following, max_power_w)
    if last + 1 < len(ats) and not is_long_enough(level, run.first, last):
        return None
    seconds, before, after = ats[run.first] - ats[good], whs[good], whs[run.first]
    if seconds > LONGEST_S or after >= before or is_other_meter(level, good, run.first) or whs[piece[0]] == before:
        return None
    usual_w = _usual_w(level, piece, len(piece))
    can_use_wh = max(UNUSUAL * usual_w, HOME_W) * seconds // 3600
    lap_wh = max(usual_w, HOME_W) * seconds // 3600  # in a whole lap or more, nothing tells how many
    for modulus in MODULI[bisect_right(MODULI, max(before, lap_wh)) :]:
        energy, slack_wh = modulus - before + after, min(SLACK_WH, modulus // SLACK_SHARE)
        most_wh = min(can_use_wh + slack_wh, max(modulus // COINCIDENCE, 2 * lap_wh), modulus // 4)
        if energy <= most_wh and (energy - 1) * 3600 <= max_power_w * seconds:
            return modulus
    return None


def _is_ahead(level: Register, piece: Sequence[int], first: int, last: int) -> bool:
    """Whether readings fit into a gap of the piece before them: their clock was ahead."""
    near = piece[bisect_left(piece, level.ats[first] - FAULT_S, key=level.ats.__getitem__) :]
    return is_short(level.ats, first, last) and fits_into_gap(level, near, first, last)


def _is_exchange(level: Register, runs: Sequence[Run], piece: Sequence[int], following: int, max_power_w: int) -> bool:
    """Whether a run shows another meter: for long enough, or by its meter id while nothing contradicts."""
    first, last = runs[following].first, _end(level, runs, following, max_power_w, is_all=True)
    is_last, is_other = last + 1 == len(level.ats), is_other_meter(level, piece[-1], first)
    if not is_other and _is_ahead(level, piece, first, last):
        return False
    if not level.whs[last] and not is_last and level.ats[last + 1] - level.ats[first] <= FAULT_S:
        return False  # a meter that never leaves 0 is a fault before an exchange
    return is_long_enough(level, first, last) or (is_last and is_other)


def _end(level: Register, runs: Sequence[Run], following: int, max_power_w: int, *, is_all: bool = False) -> int:
    """Return the last position of a run and of those that go on from it: until they are long enough, or of all."""
    first = runs[following].first
    while following + 1 < len(runs) and (is_all or not is_long_enough(level, first, runs[following].last)):
        one, other = runs[following].last, runs[following + 1].first  # perhaps with a leap, or a person's override
        if not follows(level, one, other, max_power_w) and overridden(level, one, other) is not True:
            break
        following += 1
    return runs[following].last
