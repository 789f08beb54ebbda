"""What there is to know about one device: whether it sends, its data is right, and that has reached the charts.

Everything comes from bounded reads: the readings of the last RECENT_DAYS, the day documents of STRIP_DAYS, one month,
one year, and records. What lies further back is told from its documents, and from the readings around what is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aggregator import periods, refusals, status
from aggregator.documents import EMPTY, Device, Document, Live, Part, add
from aggregator.filled import filled
from aggregator.gaps import Gap, gaps_between, kind_of, outside, shortest_gap, sparse_spans
from aggregator.periods import DAY_S, FOR_EVER, HALF_HOUR, Window, block_start, day_of
from aggregator.readings import Reading
from aggregator.refusals import Refusals
from aggregator.register_steps import Judged, Step, energy_between, judged, steps_of
from aggregator.sending import Covered, Heard, Hour, Judgement, by_hour, coverage_strip, judge, usual_interval
from aggregator.status import Known
from aggregator.store.base import Backlog, Store
from aggregator.waterfall import half_hours

RECENT_DAYS = 7
STRIP_DAYS = 35
MOST_GAPS = 50  # that are told, the newest
MOST_SPARSE = 40  # stretches of sparse half hours whose readings are looked at
LAST_READINGS = 20


class Level(NamedTuple):
    """How far a level of charts is: seconds of known time that the newest readings tell and its document lacks."""

    level: str  # day, month or year
    period: str
    behind_s: int
    is_right: bool  # whether what it has is what is computed anew


class Closure(NamedTuple):
    """A register's own rise against the sum of the half hours of its days, both without exchanges of the meter."""

    channel: str
    span: Window  # from one half hour's boundary to another, UTC seconds
    register_wh: int
    documents_wh: int

    @property
    def is_exact(self) -> bool:
        """Whether they are the same, to the Wh."""
        return self.register_wh == self.documents_wh


@dataclass(frozen=True, slots=True)
class Evidence:
    """The answers, in the order of the questions."""

    device: Device
    now: int  # UTC seconds
    live: Live | None
    # is it sending?
    judgement: Judgement
    hours: Sequence[Hour]  # of RECENT_DAYS, oldest first; the last 24 are the last day
    strip: Sequence[Covered]  # STRIP_DAYS days, oldest first
    # is the signal good?
    known: Known | None
    # is the data right?
    gaps: Sequence[Gap]  # of STRIP_DAYS, newest first
    steps: Sequence[Step]  # of RECENT_DAYS, newest first
    closures: Sequence[Closure]  # of RECENT_DAYS
    refusals: Refusals
    last_readings: Sequence[Reading]  # newest first
    # did it reach the charts?
    levels: Sequence[Level]
    backlog: Backlog  # of the whole store
    aside: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Read:
    """What has been read of a device."""

    device: Device
    readings: list[Reading]  # of RECENT_DAYS and a little before
    documents: Mapping[str, Document]  # days
    horizon: int


def evidence(store: Store, device: Device, now: int) -> Evidence:
    """All there is to know about a device at `now` (UTC seconds)."""
    device_id, zone = device.device_id, device.timezone
    live, known, refused = store.live(device_id), status.known(store, device_id), refusals.refused(store, device_id)
    read = _read(store, device, now)
    ats = [reading.at for reading in read.readings]
    interval = usual_interval(ats or _last_ats(store, device_id))
    gaps, registers = _gaps(store, read, interval, live, now), judged(read.readings, device)
    heard = Heard(
        refused.messages[0].at if refused.messages else None,
        known.received_at if known else None,
        known.status.joined if known else None,
    )
    return Evidence(
        device,
        now,
        live,
        judge(live, interval, next((gap.end for gap in gaps if gap.kind != "open"), None), heard, now),
        by_hour(read.readings, interval, RECENT_DAYS * 24, now),
        coverage_strip(_days(now, STRIP_DAYS, zone), read.documents, zone, now),
        known,
        gaps,
        steps_of(registers)[::-1],
        _closures(read, registers),
        refused,
        read.readings[: -LAST_READINGS - 1 : -1],
        _levels(store, read),
        store.backlog(),
        store.aside(device_id),
    )


def _read(store: Store, device: Device, now: int) -> _Read:
    zone = device.timezone
    days = _days(now, STRIP_DAYS, zone)
    first = block_start(now - RECENT_DAYS * DAY_S) - 2 * HALF_HOUR
    readings = store.readings(device.device_id, first, FOR_EVER)
    documents = {one.period: one for one in store.documents("day", device.device_id, days[0], days[-1])}
    return _Read(device, readings, documents, store.horizon(device.device_id))


def _days(now: int, count: int, zone: str) -> list[str]:
    today = day_of(now, zone)
    return [periods.shift("day", today, -back) for back in range(count - 1, -1, -1)]


def _last_ats(store: Store, device_id: str) -> list[int]:
    """When the last readings of a device were, that has none of late."""
    starts = store.block_starts(device_id, FOR_EVER, -4)
    return [reading.at for reading in store.readings(device_id, starts[-1], FOR_EVER)] if starts else []


# gaps


def _gaps(store: Store, read: _Read, interval: int, live: Live | None, now: int) -> list[Gap]:
    """The newest gaps, newest first: of late from the readings, before that from around sparse half hours."""
    zone = read.device.timezone
    spans = set(gaps_between([reading.at for reading in read.readings]))
    first = read.readings[0].at if read.readings else now
    sparse = [span for span in sparse_spans(read.documents.values()) if span.start < first]
    for span in sparse[-MOST_SPARSE:]:
        start, end = block_start(span.start) - HALF_HOUR, min(block_start(span.end), block_start(first))
        ats = [reading.at for reading in store.readings(read.device.device_id, start, end)]
        spans |= {gap for gap in gaps_between(ats) if gap.start < span.end and span.start < gap.end}
    found = [Gap(*gap, kind_of(gap, read.documents, zone)) for gap in sorted(spans, reverse=True)[:MOST_GAPS]]
    first_day = periods.day_start(_days(now, STRIP_DAYS, zone)[0], zone)
    later = filled(store, read.device.device_id, first_day, now)
    found += [Gap(*span, "filled") for span in outside(later, found)]
    found.sort(reverse=True)
    if live and now - max(live.at, live.received_at) > shortest_gap(interval):
        found.insert(0, Gap(live.at, now, "open"))
    return found[:MOST_GAPS]


# registers against documents


def _closures(read: _Read, registers: Sequence[Judged]) -> list[Closure]:
    """The recent days, from the first half hour that the readings tell whole to the last."""
    if not read.readings:
        return []
    halves = {
        slot: document.part(slot.name)
        for document in read.documents.values()
        for slot in periods.half_hours(document.period, document.timezone)
        if slot.start >= max(read.readings[0].at, read.horizon) and slot.end <= read.readings[-1].at
    }
    if not halves:
        return []
    span = Window(min(slot.start for slot in halves), max(slot.end for slot in halves))
    return [
        Closure(
            channel, span, energy_between(pieces, span), sum(getattr(part, channel) or 0 for part in halves.values())
        )
        for channel, _, pieces in registers
    ]


# levels


def _levels(store: Store, read: _Read) -> list[Level]:
    """The charts that hold the newest reading, each against what it is made of."""
    if not read.readings:
        return []
    device, zone = read.device, read.device.timezone
    day = day_of(read.readings[-1].at, zone)
    child = _computed(read, day)
    document = read.documents.get(day)
    parts = [document.part(slot.name) for slot in periods.half_hours(day, zone)] if document else []
    levels = [_level("day", day, add(parts), child)]
    total = document.total if document else EMPTY
    for level in ("month", "year"):
        period = periods.containing(level, day)
        name = periods.part_in(level, periods.containing(periods.LEVELS[periods.LEVELS.index(level) - 1], day))
        stored = store.document(level, device.device_id, period)
        levels.append(_level(level, period, stored.part(name) if stored else EMPTY, total))
        total = stored.total if stored else EMPTY
    return levels


def _computed(read: _Read, day: str) -> Part:
    """The energy of a day by its readings; of half hours that have expired, by its document."""
    device, span = read.device, periods.window("day", day, read.device.timezone)
    document = read.documents.get(day)
    near = [reading for reading in read.readings if reading.at >= span.start - DAY_S]
    halves = half_hours(near, device, span)
    stored = document.parts if document else {}
    return add(stored.get(half.slot.name, EMPTY) if half.slot.start < read.horizon else half.part for half in halves)


def _level(level: str, period: str, stored: Part, wanted: Part) -> Level:
    behind = wanted.covered_s + wanted.estimated_s - stored.covered_s - stored.estimated_s
    is_right = stored[:6] == wanted[:6]
    return Level(level, period, max(behind, 0), is_right)
