"""Faults, rollovers and meter exchanges: which readings of a register are believed. Pure.

`segments` cuts a register into one piece of believed readings per meter.

**A break** between two runs (`registers.runs_of`) has four explanations, tried in this order:

1. A *fault*: the register goes on later where it would have been. It returns within FAULT_S, at the start of a run, and
   has then risen by no less than it rose during the fault. What it showed meanwhile (zeros, a restored backup, a wrong
   clock, garbage) is dropped, so the time of the fault becomes a gap. A dip, a fall by less than half of the register,
   may also end within a run, within DIP_S or DIP_READINGS. A register that stood still and then makes up for it within
   FROZEN_S was frozen: a gateway repeated its last value.
2. A *rollover*: the register starts again at 0 after its largest number, 10^n or 2^n of its unit, and the home can have
   used the energy between. The piece continues.
3. An *exchange*: the new run lasts for DECIDE_S and DECIDE_READINGS, or the meter id differs. A new piece starts.
4. Otherwise the run is too short to tell, and is dropped.

The decision changes when a later reading returns, until FAULT_S after the break. A person's exchange override decides
first.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from aggregator.core.registers import (
    DECIDE_READINGS,
    DECIDE_S,
    LONGEST_S,
    ROUNDING_WH,
    Register,
    Run,
    follows,
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
FROZEN_S = 86_400  # longest time for which a register is repeated
USUAL_READINGS = 64  # readings before a rollover that tell what the home uses
HOME_W = 1000  # W; a home may always have used this during an outage
SLACK_WH = 2000  # and this at once: registers may count whole kWh
SLACK_SHARE = 1000  # but no more than this fraction of the register
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


# Decisions


def segments(points: Register, max_power_w: int) -> list[Register]:
    """Return the pieces of believed readings, one per meter, without energy between them."""
    return judge(points, max_power_w).pieces


def judge(points: Register, max_power_w: int) -> RegisterJudgement:
    """Decide every break of a register. The first reading is believed."""
    levels = list(points.whs)
    runs = runs_of(points, levels, max_power_w)
    if len(runs) < 2:
        return RegisterJudgement([points._replace(whs=levels)] if runs else [], [])
    level = points._replace(whs=levels)
    pieces, rollovers, raised = [list(range(runs[0].last + 1))], list[Rollover](), 0
    lifted = dict.fromkeys(pieces[0], 0)  # position -> Wh that rollovers add
    following = 1
    while following < len(runs):
        good, run, start = pieces[-1][-1], runs[following], runs[following].first
        returned = _return(level, runs, good, following, max_power_w)
        if returned:
            following, start = returned
            run = runs[following]
        elif thawed := _thawed(level, pieces[-1], start, max_power_w):
            del pieces[-1][thawed:]
        elif modulus := _modulus(level, good, run, max_power_w):
            raised += modulus
            rollovers.append(Rollover(level.ats[good], level.ats[start], modulus))
        elif _is_exchange(level, runs, good, following, max_power_w):
            raised = 0
            pieces.append([])
        else:
            following += 1
            continue
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


def _return(
    level: Register, runs: Sequence[Run], good: int, following: int, max_power_w: int
) -> tuple[int, int] | None:
    """Return the run and the position at which the register goes on after its reading `good`, or None.

    The fault, if any, begins with the run `following`.
    """
    ats, whs, *_ = level
    strange = runs[following].first
    risen, within = 0, None
    for number, run in enumerate(runs[following : following + FAULT_RUNS], following):
        first, last = run
        if ats[first] - ats[strange] > FAULT_S:
            break
        is_jump = within is None or not follows(level, first - 1, first, max_power_w)
        if is_jump and follows(level, good, first, max_power_w):
            falls_back = 0 < 2 * whs[first] < whs[first - 1] and is_long_enough(level, first, last)
            if falls_back or risen <= whs[first] - whs[good] + ROUNDING_WH:
                return number, first
        position = bisect_left(whs, whs[good] - ROUNDING_WH, first, last + 1)
        if within is None and first < position <= last and _is_dip(level, good, strange, position):
            rise = risen + whs[position - 1] - whs[first]
            is_small = 2 * whs[strange] >= whs[good]
            is_small |= rise <= whs[position] - whs[good] + ROUNDING_WH
            if is_small and follows(level, good, position, max_power_w):
                within = number, position  # unless it jumps later to where it would have been
        risen += whs[last] - whs[first]
    return within


def _is_dip(level: Register, good: int, strange: int, position: int) -> bool:
    """Whether a fault from one position to another one is short enough to end within a run."""
    seconds, readings = level.ats[position] - level.ats[strange], position - strange
    if 2 * level.whs[strange] < level.whs[good]:
        return seconds <= DECIDE_S or readings <= DECIDE_READINGS
    return seconds <= DIP_S or (readings <= DIP_READINGS and seconds <= FAULT_S)


def _thawed(level: Register, piece: Sequence[int], start: int, max_power_w: int) -> int | None:
    """Return how many readings of a piece count where its last ones repeat a value that `start` makes up for."""
    ats, whs, *_ = level
    frozen = bisect_left(piece, frozen_since(ats, whs, piece[-1]))
    first, rise = piece[frozen], whs[start] - whs[piece[-1]]
    seconds = ats[start] - ats[first]
    is_usual = seconds <= FROZEN_S and rise * 3600 <= 10 * _usual_w(level, first) * seconds
    return frozen + 1 if rise > 0 and is_usual and follows(level, first, start, max_power_w) else None


def frozen_since(ats: Sequence[int], whs: Sequence[int], last: int) -> int:
    """Return the position of the first of the readings up to `last` that repeat its value, FROZEN_S at most."""
    first = last
    while first > 0 and whs[first - 1] == whs[last] and ats[last] - ats[first - 1] <= FROZEN_S:
        first -= 1
    return first


def _usual_w(level: Register, good: int) -> int:
    """Return the mean power of the readings up to one of them, W."""
    known = max(good - USUAL_READINGS, bisect_left(level.ats, level.ats[good] - FAULT_S))
    rise, seconds = level.whs[good] - level.whs[known], level.ats[good] - level.ats[known]
    return max(rise, 0) * 3600 // max(seconds, DECIDE_S)


def _modulus(level: Register, good: int, run: Run, max_power_w: int) -> int | None:
    """Return the number at which the register has started again between its reading `good` and a run, or None."""
    ats, whs, *_ = level
    seconds, before, after = ats[run.first] - ats[good], whs[good], whs[run.first]
    if seconds > LONGEST_S or after >= before or is_other_meter(level, good, run.first):
        return None
    can_use_wh = max(10 * _usual_w(level, good), HOME_W) * seconds // 3600
    for modulus in MODULI[bisect_right(MODULI, before) :]:
        energy = modulus - before + after
        if (
            energy <= can_use_wh + min(SLACK_WH, modulus // SLACK_SHARE)
            and (energy - 1) * 3600 <= max_power_w * seconds
        ):
            return modulus
    return None


def _is_exchange(level: Register, runs: Sequence[Run], good: int, following: int, max_power_w: int) -> bool:
    """Whether a run shows another meter: for long enough, or by its meter id while nothing contradicts."""
    first, last = runs[following]
    while following + 1 < len(runs) and _goes_on(level, last, runs[following + 1].first, max_power_w):
        following += 1
        last = runs[following].last
    is_last = following + 1 == len(runs)
    if not level.whs[last] and not is_last and level.ats[last + 1] - level.ats[first] <= FAULT_S:
        return False  # a meter that never leaves 0 is a fault before an exchange
    return is_long_enough(level, first, last) or (is_last and is_other_meter(level, good, first))


def _goes_on(level: Register, one: int, other: int, max_power_w: int) -> bool:
    """Whether a reading goes on from another one, perhaps with a leap, or starts a meter by a person's override."""
    return follows(level, one, other, max_power_w) or overridden(level, one, other) is True
