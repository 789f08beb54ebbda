"""Registers: one channel's readings, exchange overrides, gaps, interpolation. Pure.

A `Register` is one channel (import, export or volume) in order of time: UTC seconds, cumulative Wh (for a volume,
litres), meter ids. `core.faults` decides which readings are believed.

Exchange overrides are people's statements, stored as text: `1793059200+ 1793145600-` (`+` exchanged, `-` not).

**Gaps** follow the register's own rhythm, see `gap_positions`.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
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


MAX_GAP_S = 300  # a shorter step is never a gap
RHYTHMS = 3  # a gap is longer than this number of usual steps
NEAR_STEPS = 4  # steps on each side of a gap that give the usual step
LONGEST_STEP_S = 7200  # a longer step counts as this in the usual step, so that a change has effects nearby only

CHANNELS = ("import_wh", "export_wh", "volume_l")
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


# Gaps


def gap_positions(ats: Sequence[int]) -> list[int]:
    """Return the positions of the steps that are gaps; step `i` leads from `ats[i]` to `ats[i + 1]`.

    A gap is longer than MAX_GAP_S and than RHYTHMS times the median of the eight steps nearest to it, NEAR_STEPS on
    each side. A step counts as LONGEST_STEP_S at most.
    """
    steps = list(map(sub, ats[1:], ats))
    return [place for place, step in enumerate(steps) if step > MAX_GAP_S and step > _longest_step(steps, place)]


def _longest_step(steps: Sequence[int], place: int) -> float:
    near = [*steps[max(place - NEAR_STEPS, 0) : place], *steps[place + 1 : place + 1 + NEAR_STEPS]]
    return RHYTHMS * median([min(step, LONGEST_STEP_S) for step in near]) if near else 0


def register_at(piece: Register, at: int) -> int:
    """Return the register at an instant within a piece: interpolated between two readings, Wh, rounded down."""
    ats, whs, *_ = piece
    after = bisect_left(ats, at)
    if ats[after] == at:
        return whs[after]
    start, before = ats[after - 1], whs[after - 1]
    return before + (whs[after] - before) * (at - start) // (ats[after] - start)
