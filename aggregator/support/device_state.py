"""The state of a device: whether it sends, with the reason and the time, and its readings by hour and day. Pure.

`device_state` is the one answer for the household, the support desk, the fleet and the command line. It compares the
device with its own rhythm of arrivals, by our clock: a meter's clock may be minutes behind. A device from which nothing
ever arrived is `supplied`, if its energy comes from a supplier's intervals, else `never` heard.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from statistics import median_high, median_low
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.live import Arrival, Live
from aggregator.core.periods import HOUR
from aggregator.core.registers import NEAR_STEPS

ArrivalState = Literal["sending", "late", "silent"]
State = Literal["sending", "late", "silent", "supplied", "never"]
Reason = Literal["on_time", "overdue", "nothing_comes", "only_refused", "only_statuses", "not_joined", "clock_behind"]

USUAL_S = 10  # the assumed rhythm before the second arrival or reading
LONGEST_STEP_S = 2 * HOUR  # longer steps count as this
LATE_AFTER = 3  # times the rhythm
SILENT_AFTER = 6  # times the rhythm
LATE_S, SILENT_S = 60, 600  # least ages of a late and a silent device
CLOCK_S = 600  # a reading older than this at its arrival shows a clock that is behind


class Judgement(NamedTuple):
    """The state of a device, its reason, and its start."""

    state: State
    reason: Reason | None  # None if unknown
    since: int | None  # UTC seconds; None if the state began before the known readings
    interval_s: int  # its rhythm


class Heard(NamedTuple):
    """The last messages of a device that are not readings. UTC seconds; None for never."""

    refused_at: int | None  # the last refused message
    status_at: int | None  # the last status
    joined: bool | None  # the meter's network, by the last status


class Hour(NamedTuple):
    """The readings of one UTC hour."""

    start: int  # UTC seconds
    readings: int
    expected: int


class Covered(NamedTuple):
    """A local day as shares of its time (today: up to now). The shares add up to 1."""

    day: str
    measured: float
    estimated: float
    missing: float
    supplied: float = 0.0  # known from intervals


@lru_cache(maxsize=1024)  # each tile asks six times
def rhythm_s(live: Live) -> int:
    """Return the rhythm of a device: the median step between its last arrivals, in seconds; USUAL_S without a step.

    A step is the longer of two times: between two arrivals, and between their readings. A device that was offline
    sends its half hours in a burst, but its readings are still half an hour apart. A step is at most LONGEST_STEP_S.
    """
    arrivals = (*live.arrivals, Arrival(live.at, live.received_at))
    steps = [
        min(max(later.received_at - earlier.received_at, later.at - earlier.at), LONGEST_STEP_S)
        for earlier, later in pairwise(arrivals)
    ]
    return max(median_low(steps), 1) if steps else USUAL_S


def is_supplied(device: Device, live: Live | None) -> bool:
    """Whether all data is the supplier's intervals."""
    return live is None and device.longest_interval_s > 0


def device_state(device: Device, live: Live | None, now: int) -> State:
    """Return the state of a device at `now` (UTC seconds)."""
    if live is None:
        return "supplied" if is_supplied(device, live) else "never"
    return arrival_state(live, now)


def arrival_state(live: Live, now: int) -> ArrivalState:
    """Return the state of a device that has sent, from the age of its newest arrival (`now` in UTC seconds)."""
    age = now - live.received_at
    if age <= LATE_S or age <= LATE_AFTER * rhythm_s(live):
        return "sending"
    return "late" if age <= SILENT_S or age <= SILENT_AFTER * rhythm_s(live) else "silent"


def is_power_old(live: Live) -> bool:
    """Whether readings without power have come for longer than the device may be late."""
    return live.at - live.power_instant > max(LATE_AFTER * rhythm_s(live), LATE_S)


def judge(device: Device, live: Live | None, began: int | None, heard: Heard, now: int) -> Judgement:
    """Return the state with its reason.

    `began` is the end of the last gap, or the start of the supplier's data, in UTC seconds; or None.
    """
    state = device_state(device, live, now)
    if live is None:
        reason = _reason(0, heard)
        return Judgement(state, None if reason == "nothing_comes" else reason, began, USUAL_S)
    rhythm = rhythm_s(live)
    if state == "sending":
        is_behind = live.received_at - live.at > CLOCK_S
        return Judgement(state, "clock_behind" if is_behind else "on_time", began, rhythm)
    reason = _reason(live.received_at, heard)
    is_merely_late = state == "late" and reason == "nothing_comes"
    return Judgement(state, "overdue" if is_merely_late else reason, live.received_at, rhythm)


def _reason(since: int, heard: Heard) -> Reason:
    """Return the reason of a silence from the messages after the last reading."""
    if heard.refused_at is not None and heard.refused_at > since:
        return "only_refused"
    if heard.status_at is not None and heard.status_at > since:
        return "not_joined" if heard.joined is False else "only_statuses"
    return "nothing_comes"


def by_hour(ats: Sequence[int], hours: int, now: int) -> list[Hour]:
    """Count instants in order by UTC hour, for the last `hours` hours, oldest first.

    An hour expects its readings, and those that are missing by the rhythm around each longer step.
    """
    start = (now // HOUR - hours + 1) * HOUR
    received, missing = (Counter(at // HOUR for at in found) for found in (ats, _missing(ats, start, now)))
    return [
        Hour(at, received[at // HOUR], received[at // HOUR] + missing[at // HOUR]) for at in range(start, now + 1, HOUR)
    ]


def _missing(ats: Sequence[int], first: int, now: int) -> Iterator[int]:
    """Yield the instants from `first` to `now` at which a reading is missing.

    The rhythm of the first steps holds before the first instant, and that of the last steps after the last one.
    """
    if not ats:
        yield from range(first, now, USUAL_S)
        return
    steps = [later - earlier for earlier, later in pairwise(ats)]
    before = _usual_step(steps[:NEAR_STEPS])
    yield from range(ats[0] - before, first - 1, -before)
    for place, step in enumerate(steps):
        near = [*steps[max(place - NEAR_STEPS, 0) : place], *steps[place + 1 : place + 1 + NEAR_STEPS]]
        usual = _usual_step(near or [step])
        if 2 * step > 3 * usual:
            yield from _within_step(ats[place], ats[place + 1], usual, first)
    yield from _within_step(ats[-1], now, _usual_step(steps[-NEAR_STEPS:]), first)


def _usual_step(steps: Sequence[int]) -> int:
    return median_high(steps) if steps else USUAL_S


def _within_step(start: int, end: int, usual: int, first: int) -> range:
    """Return the usual instants inside a step, from `first` on."""
    skipped = max((first - start - 1) // usual, 0) * usual
    return range(start + skipped + usual, end - usual // 2, usual)


def coverage_strip(days: Sequence[str], documents: Mapping[str, Document], zone: str, now: int) -> list[Covered]:
    """Return the coverage of days, in order; a day without a document is missing."""
    return [_covered(day, documents.get(day), zone, now) for day in days]


def _covered(day: str, document: Document | None, zone: str, now: int) -> Covered:
    span = periods.window("day", day, document.timezone if document else zone)
    seconds = max(min(span.end, now) - span.start, 1)
    total = document.total if document else None
    measured = min(total.covered_s / seconds, 1.0) if total else 0.0
    supplied = min(total.interval_s / seconds, 1.0 - measured) if total else 0.0
    estimated = min(total.estimated_s / seconds, 1.0 - measured - supplied) if total else 0.0
    return Covered(day, measured, estimated, 1.0 - measured - supplied - estimated, supplied)
