"""Anomalies in a device's data, for the support desk: gaps, register steps, surplus intervals, meter counters. Pure.

**Gaps** are spans without readings, or without believed readings of one register, as the charts have them; the
documents tell how their energy was treated.

**Register steps** are glitches, rollovers and meter exchanges. `faults.judge` decides which readings are believed; this
module only compares them with the sent readings.

**Surplus intervals** state more energy in a gap of a register than the register rose; they do not count there.

**Meter counters** are the meter's own totals of the day, the week and the month, compared with the charts. They are
never a source of energy. Some meters reset them at local midnight and some at UTC midnight, so both are compared.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Document, Part, add
from aggregator.core.energy import stated
from aggregator.core.faults import RegisterJudgement, judge
from aggregator.core.periods import Slot, Window, day_of, day_start
from aggregator.core.readings import Interval, Reading
from aggregator.core.registers import (
    CHANNELS,
    MAX_GAP_S,
    NEAR_STEPS,
    Register,
    gap_positions,
    parse_overrides,
    register_at,
    register_of,
)
from aggregator.core.status import Counters
from aggregator.core.timeline import timeline_of

Kind = Literal["open", "estimated", "missing", "bridged", "filled", "supplied"]


class Gap(NamedTuple):
    """A span without readings, or without those of one register, in UTC seconds, half-open.

    Kinds: open (it continues), estimated (its energy is spread over it), missing (its energy is unknown), bridged (it
    lies within a half hour with measured energy), filled (its readings came later; only its half hours are known),
    supplied (intervals tell its energy).
    """

    start: int  # the last reading before it
    end: int  # the first reading after it; now for an open gap
    kind: Kind
    channel: str = ""  # one of CHANNELS, if only this register has the gap

    @property
    def seconds(self) -> int:
        """Return its length."""
        return self.end - self.start


def gaps_between(ats: Sequence[int]) -> list[Window]:
    """Return the steps between neighbouring instants that are gaps by the rhythm around them, in order."""
    return [Window(ats[place], ats[place + 1]) for place in gap_positions(ats)]


def gaps_of(readings: Sequence[Reading], device: Device) -> list[tuple[Window, str]]:
    """Return the gaps of a device's readings, without a channel, and those that one register has beside them."""
    silent = gaps_between([reading.at for reading in readings])
    beside = [
        (gap, register.channel)
        for register in judge_registers(readings, device)
        for piece in register.pieces
        for gap in gaps_between(piece.ats)
        if any(one.end - one.start > MAX_GAP_S for one in subtract_gaps([gap], silent))
    ]
    return [(gap, "") for gap in silent] + beside


def is_gap_open(ats: Sequence[int], silent_s: int) -> bool:
    """Whether the time since the last arrival is a gap by the rhythm of the last instants."""
    last = ats[-NEAR_STEPS - 1 :]
    return len(last) - 1 in gap_positions([*last, last[-1] + silent_s])


def sparse_spans(documents: Iterable[Document]) -> Iterator[Window]:
    """Yield the runs of half hours that are neither measured nor from intervals, from day documents in order."""
    run: Window | None = None
    for document in documents:
        for slot in periods.half_hours(document.period, document.timezone):
            if _is_sure(document.part(slot.name), slot):
                continue
            if run and run.end == slot.start:
                run = Window(run.start, slot.end)
                continue
            if run:
                yield run
            run = Window(slot.start, slot.end)
    if run:
        yield run


def kind_of(gap: Window, documents: Mapping[str, Document], zone: str) -> Kind:
    """Return the kind of a gap that has ended, from its documents."""
    touched = list(_touched(gap, documents, zone))
    if any(part.estimated_s or part.estimated_wh for _, part in touched):
        return "estimated"
    if not all(_is_sure(part, slot) for slot, part in touched):
        return "missing"
    return "supplied" if any(part.interval_s for _, part in touched) else "bridged"


def _is_sure(part: Part, slot: Slot) -> bool:
    """Whether a half hour is fully known from readings and intervals."""
    return part.covered_s + part.interval_s >= slot.end - slot.start and not part.estimated_wh


def subtract_gaps(spans: Iterable[Window], gaps: Iterable[Window | Gap]) -> list[Window]:
    """Return the parts of `spans` outside of all gaps."""
    left = list(spans)
    for gap in gaps:
        pieces = [
            (Window(one.start, min(one.end, gap.start)), Window(max(one.start, gap.end), one.end)) for one in left
        ]
        left = [piece for pair in pieces for piece in pair if piece.start < piece.end]
    return left


def _touched(gap: Window, documents: Mapping[str, Document], zone: str) -> Iterator[tuple[Slot, Part]]:
    for day in periods.days_of(gap, zone):
        document = documents.get(day)
        for slot in periods.half_hours(day, document.timezone if document else zone):
            if slot.start < gap.end and gap.start < slot.end:
                yield slot, document.part(slot.name) if document else EMPTY


# Register steps


class RegisterStep(NamedTuple):
    """An implausible step of a register; `undecided` until more readings show its kind."""

    at: int  # UTC seconds, of the first reading at the new level
    channel: str  # one of CHANNELS
    kind: Literal["glitch", "exchange", "undecided", "rollover"]
    before_wh: int  # of the last believed reading
    after_wh: int  # of that first reading
    readings: int = 1  # number of dropped readings
    until: int | None = None  # UTC seconds, of the last dropped reading


class JudgedRegister(NamedTuple):
    """A register's readings, and what is believed of them."""

    channel: str
    points: Register
    judgement: RegisterJudgement

    @property
    def pieces(self) -> Sequence[Register]:
        """Return its believed pieces."""
        return self.judgement.pieces


def judge_registers(readings: Sequence[Reading], device: Device) -> list[JudgedRegister]:
    """Return the registers with values, from readings in order of time."""
    overrides = parse_overrides(device.exchange_overrides)
    registers = [(channel, register_of(readings, channel, overrides)) for channel in CHANNELS]
    judged = [JudgedRegister(channel, points, judge(points, device.max_power_w)) for channel, points in registers]
    return [register for register in judged if register.points.ats]


def steps_of(registers: Sequence[JudgedRegister]) -> list[RegisterStep]:
    """Return every implausible step, oldest first; the first reading of each register is believed."""
    found: list[RegisterStep] = []
    for register in registers:
        channel, points, (pieces, rollovers) = register
        whs = dict(zip(points.ats, points.whs, strict=True))
        if sum(len(piece.ats) for piece in pieces) < len(points.ats):
            found += _dropped(channel, points, pieces)
        found += [
            RegisterStep(new.ats[0], channel, "exchange", whs[old.ats[-1]], whs[new.ats[0]], 0)
            for old, new in pairwise(pieces)
        ]
        found += [RegisterStep(one.after, channel, "rollover", whs[one.before], whs[one.after], 0) for one in rollovers]
    return sorted(found)


def _dropped(channel: str, points: Register, pieces: Sequence[Register]) -> list[RegisterStep]:
    """Return the readings outside of all pieces; consecutive ones form one step."""
    believed = {at for piece in pieces for at in piece.ats}
    last_believed, found, before, is_run = max(believed), list[RegisterStep](), 0, False
    for at, wh in zip(points.ats, points.whs, strict=True):
        if at in believed:
            before, is_run = wh, False
        elif is_run:
            found[-1] = found[-1]._replace(readings=found[-1].readings + 1, until=at)
        else:
            found.append(RegisterStep(at, channel, "undecided" if at > last_believed else "glitch", before, wh, 1, at))
            is_run = True
    return found


def energy_between(pieces: Sequence[Register], span: Window) -> int:
    """Return the rise of a register within a span in Wh, without the steps at exchanges."""
    rise = 0
    for piece in pieces:
        start, end = max(span.start, piece.ats[0]), min(span.end, piece.ats[-1])
        rise += register_at(piece, end) - register_at(piece, start) if start < end else 0
    return rise


# Surplus intervals


class Surplus(NamedTuple):
    """A gap of a register in which the intervals state more energy than the register rose; they do not count there."""

    start: int  # UTC seconds of the last reading before the gap
    end: int  # UTC seconds of the first reading after it
    channel: str  # one of CHANNELS
    register_wh: int  # litres of a volume
    intervals_wh: int


def surplus_intervals(
    registers: Sequence[JudgedRegister], intervals: Sequence[Interval], edges: Sequence[int], max_power_w: int
) -> list[Surplus]:
    """Return the gaps whose intervals exceed the register, oldest first; `edges` bound consecutive half hours."""
    found: list[Surplus] = []
    for register in registers:
        values = stated(intervals, register.channel, max_power_w)
        exceeding = timeline_of(register.pieces, values, edges).exceeding if values else []
        for gap in exceeding:
            alone = timeline_of(_without_step(register.pieces, gap.start), values, edges)
            inside = alone.energy(gap.start, gap.end)
            found.append(Surplus(gap.start, gap.end, register.channel, gap.end_wh - gap.start_wh, inside))
    return sorted(found)


def _without_step(pieces: Sequence[Register], last: int) -> list[Register]:
    """Return the pieces of a register, cut after the reading at `last`."""
    cut: list[Register] = []
    for piece in pieces:
        place = bisect_right(piece.ats, last)
        halves = (slice(None, place), slice(place, None))
        cut += [
            Register(piece.ats[half], piece.whs[half], piece.meters[half]) for half in halves if len(piece.ats[half])
        ]
    return cut


# Meter counters

Span = Literal["day", "week", "month"]
SPANS: tuple[Span, ...] = ("day", "week", "month")  # a week begins on Monday


class CounterComparison(NamedTuple):
    """A counter's import so far, and the import in the charts for the same time."""

    span: Span
    at: int  # UTC seconds of the counter
    start: int  # UTC seconds of the local start of the day, week or month
    meter_wh: int
    charts_wh: int | None  # since `start`; None without a chart
    utc_start: int  # UTC seconds of its start in UTC
    utc_charts_wh: int | None  # since `utc_start`
    unknown_s: int  # seconds since `start` without data in the charts


class ChartTotals(NamedTuple):
    """The data that counters are compared with."""

    days: Mapping[str, Document]  # of the week, and around the first of the month
    month: Document | None
    import_register: Sequence[Register]  # recent; its rise since a counter's time is subtracted from the charts
    zone: str


def compare_counters(counters: Counters, charts: ChartTotals) -> list[CounterComparison]:
    """Compare each counter that the meter has sent."""
    values = zip(SPANS, (counters.day_wh, counters.week_wh, counters.month_wh), strict=True)
    return [_compare_counter(span, counters.at, wh, charts) for span, wh in values if wh is not None]


def first_day(span: Span, at: int, zone: str) -> str:
    """Return the first day of the day, week or month that contains an instant."""
    day = day_of(at, zone)
    if span == "week":
        return periods.shift("day", day, -periods.local(day_start(day, zone), zone).weekday())
    return day if span == "day" else f"{day[:7]}-01"


def _compare_counter(span: Span, at: int, meter_wh: int, charts: ChartTotals) -> CounterComparison:
    days, month, register, zone = charts
    first, today = first_day(span, at, zone), day_of(at, zone)
    start, utc_start = day_start(first, zone), day_start(first_day(span, at, "UTC"), "UTC")
    if span == "month":
        documents, end = [month] if month else [], periods.window("month", first[:7], zone).end
    else:
        documents = [document for day, document in days.items() if first <= day <= today]
        end = periods.window("day", today, zone).end
    total = add(document.total for document in documents)
    if total.import_wh is None:
        return CounterComparison(span, at, start, meter_wh, None, utc_start, None, at - start)
    wh = total.import_wh - energy_between(register, Window(at, end))
    utc_wh = wh + _energy(days, Window(utc_start, start)) - _energy(days, Window(start, utc_start))
    unknown_s = max(at - start - total.known_s, 0)
    return CounterComparison(span, at, start, meter_wh, wh, utc_start, utc_wh, unknown_s)


def _energy(days: Mapping[str, Document], span: Window) -> int:
    """Return the import of the half hours that begin in a span; 0 for a span that ends before it begins."""
    return sum(
        document.part(slot.name).import_wh or 0
        for document in (days.values() if span.start < span.end else ())
        for slot in periods.half_hours(document.period, document.timezone)
        if span.start <= slot.start < span.end
    )
