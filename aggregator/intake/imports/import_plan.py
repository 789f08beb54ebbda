"""What an import adds to a store. It only adds: what a device has said, and what its charts know, stays as it is.

An interval fills time of which the charts know nothing; a reading fills an instant that has none. What is known already
is compared: whether the file says something else. Plans look, and write nothing.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.core.errors import Refused
from aggregator.core.periods import HALF_HOUR, HOUR, Slot, Window, block_start
from aggregator.core.readings import Reading
from aggregator.core.registers import is_made
from aggregator.intake.imports.interval_registers import Beside, Interval, Segment, run_on, segment_of
from aggregator.store.port import Store

LOOK = 48  # half hours of readings that are looked up at once
BESIDE_S = 2  # a segment may begin and end a second late and early


class Planned(NamedTuple):
    """What becomes of a row: the readings that it adds, or none, where what it says is known."""

    readings: list[Reading]
    differs: int = 0  # how many rows say something else than what is known, up to this one


class Stored:
    """The readings of a device that are in the store, a day at a time."""

    def __init__(self, store: Store, device_id: str) -> None:
        self._store, self._device_id = store, device_id
        self.forget()

    def forget(self) -> None:
        """Look again: something was written."""
        self._readings: dict[int, Reading] = {}
        self._ats: list[int] = []
        self._span = Window(0, 0)

    def at(self, at: int) -> Reading | None:
        """The reading of an instant (UTC seconds)."""
        if not self._span.start <= at < self._span.end:
            self._look(at)
        return self._readings.get(at)

    def between(self, after: int, before: int) -> bool:
        """Whether there is a reading after one instant and before another."""
        at = after + 1
        while at < before:
            if not self._span.start <= at < self._span.end:
                self._look(at)
            place = bisect_left(self._ats, at)
            if place < len(self._ats):
                return self._ats[place] < before
            at = self._span.end
        return False

    def _look(self, at: int) -> None:
        first = block_start(at)
        self._span = Window(first, first + LOOK * HALF_HOUR)
        found = self._store.readings(self._device_id, first, first + (LOOK - 1) * HALF_HOUR)
        self._readings = {reading.at: reading for reading in found}
        self._ats = list(self._readings)


class KnownEnergy(NamedTuple):
    """What a day document knows of a half hour."""

    slot: Slot
    part: Part
    is_fixed: bool  # the day was made in another time zone, and stays as it is

    @property
    def is_nothing(self) -> bool:
        """It can be filled."""
        return not self.is_fixed and self.part.import_wh is None and self.part.export_wh is None


class ChartedEnergy:
    """What the day documents of a device know, a day at a time."""

    def __init__(self, store: Store, device: Device) -> None:
        self._store, self._device = store, device
        self.forget()

    def forget(self) -> None:
        """Look again: something was written."""
        self.day = Window(0, 0)  # the one looked at last
        self._slots: tuple[Slot, ...] = ()
        self._document: Document | None = None

    def halves(self, start: int, end: int) -> Iterator[KnownEnergy]:
        """The half hours of local days that a time touches."""
        while start < end:
            if not self.day.start <= start < self.day.end:
                self._look(start)
            slot = self._slots[(start - self.day.start) // HALF_HOUR]
            yield self._known(slot)
            start = slot.end

    def _known(self, slot: Slot) -> KnownEnergy:
        document = self._document
        if document is None:
            return KnownEnergy(slot, EMPTY, is_fixed=False)
        return KnownEnergy(slot, document.part(slot.name), document.timezone != self._device.timezone)

    def _look(self, at: int) -> None:
        zone = self._device.timezone
        day = periods.day_of(at, zone)
        self.day = periods.window("day", day, zone)
        self._slots = periods.half_hours(day, zone)
        self._document = self._store.document("day", self._device.device_id, day)


class HistoryPlan:
    """Intervals in order of time, as readings with a register made for them (`history`)."""

    def __init__(self, store: Store, device: Device) -> None:
        self._device = device
        self._stored, self._charts = Stored(store, device.device_id), ChartedEnergy(store, device)
        self._segment: Segment | None = None
        self._compared = _Compared()

    def forget(self) -> None:
        """Look again: what was planned is written."""
        self._stored.forget()
        self._charts.forget()

    def plan(self, interval: Interval) -> Planned:
        """What becomes of the next interval. Raises Refused where no home can have used so much."""
        self._check_power(interval)
        halves = list(self._charts.halves(interval.start, interval.end))
        if not self._is_free(interval, halves):
            return Planned([], self._compared.add(interval, halves))
        segment = self._before(interval)
        beside = Beside(*(self._stored.at(at) is not None for at in interval[:2]))
        self._segment, readings = run_on(
            self._device.device_id, interval, segment, self._inner(interval, halves), beside
        )
        return Planned(readings)

    def _check_power(self, interval: Interval) -> None:
        seconds = interval.end - interval.start
        for energy in (interval.import_wh or 0, interval.export_wh or 0):
            if energy * HOUR > self._device.max_power_w * (seconds - BESIDE_S):
                raise Refused(
                    "out_of_range",
                    f"{energy} Wh in {seconds} s is more than this home can draw or give, {self._device.max_power_w} W",
                )

    def _is_free(self, interval: Interval, halves: list[KnownEnergy]) -> bool:
        """Whether the charts know nothing of the time of an interval, and the device has said nothing in it."""
        is_unknown = all(half.is_nothing or self._is_free_after(interval.start, half) for half in halves)
        return is_unknown and not self._stored.between(interval.start, interval.end)

    def _is_free_after(self, start: int, half: KnownEnergy) -> bool:
        """Whether what is known of a half hour was imported, up to `start` and no further."""
        known_s = half.part.covered_s + half.part.estimated_s
        if half.is_fixed or not half.slot.start < start < half.slot.end or known_s > start - half.slot.start:
            return False
        reading = self._stored.at(start)
        is_continued = (
            is_made(reading.meter_id) if reading else self._segment is not None and self._segment.end == start
        )
        return is_continued and not self._stored.between(start, half.slot.end)

    def _before(self, interval: Interval) -> Segment | None:
        """The segment that an interval runs on with: that of the one before it, or of a former import."""
        reading = self._stored.at(interval.start)
        segment = segment_of(reading) if reading else self._segment
        return segment if segment and segment.runs_on_with(interval) else None

    def _inner(self, interval: Interval, halves: list[KnownEnergy]) -> list[int]:
        """Where the half hours of an interval meet, if it lies within one hour of its day.

        So an hour counts as measured, which it is. A longer time is spread over half hours and hours, and marked so.
        """
        midnight = self._charts.day.start
        hour = interval.start - (interval.start - midnight) % HOUR
        is_one_hour = midnight <= interval.start and interval.end <= hour + HOUR
        return [half.slot.end for half in halves[:-1]] if is_one_hour else []


class _Compared:
    """Known intervals in a row against the half hours of the charts, as soon as they fill them."""

    def __init__(self) -> None:
        self._rows: list[Interval] = []
        self._parts: dict[Slot, Part] = {}

    def add(self, interval: Interval, halves: list[KnownEnergy]) -> int:
        """How many intervals, up to this one, say something else than the half hours that they fill."""
        if not self._rows or self._rows[-1].end != interval.start:
            self._rows, self._parts = [], {}
            if interval.start != halves[0].slot.start:
                return 0
        self._rows.append(interval)
        self._parts |= {half.slot: half.part for half in halves}
        if interval.end != halves[-1].slot.end:
            return 0
        rows, parts, self._rows = self._rows, self._parts.values(), []
        differences = (
            sum(row.import_wh or 0 for row in rows) - sum(part.import_wh or 0 for part in parts),
            sum(row.export_wh or 0 for row in rows) - sum(part.export_wh or 0 for part in parts),
        )
        # Another file may round the same energy up that this one rounds down.
        return len(rows) if any(abs(difference) > 1 for difference in differences) else 0


class ReadingsPlan:
    """Readings in order of time, as the file has them."""

    def __init__(self, store: Store, device: Device) -> None:
        self._stored = Stored(store, device.device_id)

    def forget(self) -> None:
        """Look again: what was planned is written."""
        self._stored.forget()

    def plan(self, reading: Reading) -> Planned:
        """What becomes of the next reading."""
        known = self._stored.at(reading.at)
        return Planned([reading] if known is None else [], int(known is not None and known != reading))
