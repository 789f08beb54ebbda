"""Is a device sending? Its state, with the reason and since when, and how much came in each hour and day. Pure.

`device_state` answers for the household, the desk, the fleet and the command line. It measures a device against its
own rhythm, which is that of its arrivals, and by our clock: the clock of a meter may be minutes behind.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from statistics import median_low
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import Arrival, Document, Live
from aggregator.core.periods import HOUR
from aggregator.core.readings import Reading

State = Literal["sending", "late", "silent", "never"]
Reason = Literal["on_time", "overdue", "nothing_comes", "only_refused", "only_statuses", "not_joined", "clock_behind"]

LEARNT_FROM = 60  # intervals; the last ones
USUAL_S = 10  # taken for granted of a device with fewer than two arrivals, or readings
LONGEST_STEP_S = 2 * HOUR  # a step of the rhythm counts no more
LATE_AFTER = 3  # times the rhythm
SILENT_AFTER = 6
LATE_S, SILENT_S = 60, 600  # at least
CLOCK_S = 600  # a reading that is so old when it comes in shows a clock that is behind


class Judgement(NamedTuple):
    """Whether a device sends, why that is believed, and since when."""

    state: State
    reason: Reason | None  # None where nothing is known
    since: int | None  # UTC seconds; None for longer than is known
    interval_s: int  # its rhythm


class Heard(NamedTuple):
    """What else was heard of a device. UTC seconds, None for never."""

    refused_at: int | None  # the last message that was refused
    status_at: int | None  # the last status
    joined: bool | None  # to the meter's network, as it said last


class Hour(NamedTuple):
    """The readings of one UTC hour."""

    start: int  # UTC seconds
    readings: int
    expected: int


class Covered(NamedTuple):
    """A local day as shares of its time, of today's up to now. They add up to 1."""

    day: str
    measured: float
    estimated: float
    missing: float


def usual_interval(ats: Sequence[int]) -> int:
    """The median time between the last of some instants in order, in seconds."""
    steps = [later - earlier for earlier, later in pairwise(ats[-LEARNT_FROM - 1 :])]
    return max(median_low(steps), 1) if steps else USUAL_S


def rhythm_s(live: Live) -> int:
    """The rhythm of a device: the median step between its last arrivals, in seconds; USUAL_S before the second one.

    A step is the time between two arrivals, or between their readings where that is longer: a device that was offline
    sends its half hours in a burst, and still sends a half hour at a time. A step counts LONGEST_STEP_S at most.
    """
    arrivals = (*live.arrivals, Arrival(live.at, live.received_at))
    steps = [
        min(max(later.received_at - earlier.received_at, later.at - earlier.at), LONGEST_STEP_S)
        for earlier, later in pairwise(arrivals)
    ]
    return max(median_low(steps), 1) if steps else USUAL_S


def device_state(live: Live | None, now: int) -> State:
    """The one answer to whether a device sends, by the time since its newest reading came in (`now` in UTC seconds)."""
    if live is None:
        return "never"
    age, rhythm = now - live.received_at, rhythm_s(live)
    if age <= max(LATE_AFTER * rhythm, LATE_S):
        return "sending"
    return "late" if age <= max(SILENT_AFTER * rhythm, SILENT_S) else "silent"


def judge(live: Live | None, began: int | None, heard: Heard, now: int) -> Judgement:
    """The state with its reason; `began` is when it last began to send without a gap, None for longer than is known."""
    state = device_state(live, now)
    if live is None:
        reason = _reason(0, heard)
        return Judgement(state, None if reason == "nothing_comes" else reason, None, USUAL_S)
    rhythm = rhythm_s(live)
    if state == "sending":
        is_behind = live.received_at - live.at > CLOCK_S
        return Judgement(state, "clock_behind" if is_behind else "on_time", began, rhythm)
    reason = _reason(live.received_at, heard)
    is_merely_late = state == "late" and reason == "nothing_comes"
    return Judgement(state, "overdue" if is_merely_late else reason, live.received_at, rhythm)


def _reason(since: int, heard: Heard) -> Reason:
    """What came after the last reading, which says where to look."""
    if heard.refused_at is not None and heard.refused_at > since:
        return "only_refused"
    if heard.status_at is not None and heard.status_at > since:
        return "not_joined" if heard.joined is False else "only_statuses"
    return "nothing_comes"


def by_hour(readings: Sequence[Reading], interval_s: int, hours: int, now: int) -> list[Hour]:
    """The last `hours` UTC hours of readings in order, oldest first; the last goes on, and expects its share.

    Each expects as many as its own readings show to be usual, or else as the hour before it.
    """
    ats = {hour: [reading.at for reading in own] for hour, own in groupby(readings, lambda one: one.at // HOUR)}
    found, last = [], now // HOUR
    usual = next((usual_interval(own) for own in ats.values() if len(own) > 1), interval_s)
    for hour in range(last - hours + 1, last + 1):
        own = ats.get(hour, [])
        usual = usual_interval(own) if len(own) > 1 else usual
        found.append(Hour(hour * HOUR, len(own), (HOUR if hour < last else now - last * HOUR) // usual))
    return found


def coverage_strip(days: Sequence[str], documents: Mapping[str, Document], zone: str, now: int) -> list[Covered]:
    """Days in order, each from its document; all is missing where there is none."""
    return [_covered(day, documents.get(day), zone, now) for day in days]


def _covered(day: str, document: Document | None, zone: str, now: int) -> Covered:
    span = periods.window("day", day, document.timezone if document else zone)
    seconds = max(min(span.end, now) - span.start, 1)
    total = document.total if document else None
    measured = min(total.covered_s / seconds, 1.0) if total else 0.0
    estimated = min(total.estimated_s / seconds, 1.0 - measured) if total else 0.0
    return Covered(day, measured, estimated, 1.0 - measured - estimated)
