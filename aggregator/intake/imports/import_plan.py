"""Plans of an import: the readings that each row adds to a store. Plans only read the store.

An import only adds: a device's own readings and known energy of its documents stay unchanged. An interval fills time
without known energy; a reading fills an instant without a reading. Rows for known time are compared, and differences
are counted. Energy is Wh, time UTC seconds.
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

LOOK = 48  # half hours of readings fetched at once
BESIDE_S = 2  # a segment may begin a second late and end a second early


class Planned(NamedTuple):
    """The result of a row: the readings that it adds; none where its time is known."""

    readings: list[Reading]
    differs: int = 0  # rows up to this one that differ from known energy


class Stored:
    """A device's stored readings, fetched a day at a time."""

    def __init__(self, store: Store, device_id: str) -> None:
        self._store, self._device_id = store, device_id
        self.forget()

    def forget(self) -> None:
        """Drop cached data after a write."""
        self._readings: dict[int, Reading] = {}
        self._ats: list[int] = []
        self._span = Window(0, 0)

    def at(self, at: int) -> Reading | None:
        """Return the reading of an instant (UTC seconds), or None."""
        if not self._span.start <= at < self._span.end:
            self._look(at)
        return self._readings.get(at)

    def between(self, after: int, before: int) -> bool:
        """Whether a reading lies strictly between two instants."""
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
    """The energy of a half hour in a day document."""

    slot: Slot
    part: Part
    is_fixed: bool  # the day was computed in another time zone and stays unchanged

    @property
    def is_nothing(self) -> bool:
        """Whether the half hour has no energy and can be filled."""
        return not self.is_fixed and self.part.import_wh is None and self.part.export_wh is None


class ChartedEnergy:
    """The known energy in a device's day documents, fetched a day at a time."""

    def __init__(self, store: Store, device: Device) -> None:
        self._store, self._device = store, device
        self.forget()

    def forget(self) -> None:
        """Drop cached data after a write."""
        self.day = Window(0, 0)  # the last day fetched
        self._slots: tuple[Slot, ...] = ()
        self._document: Document | None = None

    def halves(self, start: int, end: int) -> Iterator[KnownEnergy]:
        """Yield the half hours of local days that a span touches."""
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
    """Plan intervals in order of time, as readings of a synthetic register (`interval_registers`)."""

    def __init__(self, store: Store, device: Device) -> None:
        self._device = device
        self._stored, self._charts = Stored(store, device.device_id), ChartedEnergy(store, device)
        self._segment: Segment | None = None
        self._compared = _Compared()

    def forget(self) -> None:
        """Drop cached data after planned readings were written."""
        self._stored.forget()
        self._charts.forget()

    def plan(self, interval: Interval) -> Planned:
        """Plan the next interval. Raises Refused where its power exceeds the home's maximum."""
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
                    f"{energy} Wh in {seconds} s exceeds this home's maximum power of {self._device.max_power_w} W",
                )

    def _is_free(self, interval: Interval, halves: list[KnownEnergy]) -> bool:
        """Whether an interval's time has no known energy and no reading of the device."""
        is_unknown = all(half.is_nothing or self._is_free_after(interval.start, half) for half in halves)
        return is_unknown and not self._stored.between(interval.start, interval.end)

    def _is_free_after(self, start: int, half: KnownEnergy) -> bool:
        """Whether a half hour's known energy was imported and ends at `start`."""
        known_s = half.part.covered_s + half.part.estimated_s
        if half.is_fixed or not half.slot.start < start < half.slot.end or known_s > start - half.slot.start:
            return False
        reading = self._stored.at(start)
        is_continued = (
            is_made(reading.meter_id) if reading else self._segment is not None and self._segment.end == start
        )
        return is_continued and not self._stored.between(start, half.slot.end)

    def _before(self, interval: Interval) -> Segment | None:
        """Return the segment that an interval continues: that of the previous interval or of an earlier import."""
        reading = self._stored.at(interval.start)
        segment = segment_of(reading) if reading else self._segment
        return segment if segment and segment.runs_on_with(interval) else None

    def _inner(self, interval: Interval, halves: list[KnownEnergy]) -> list[int]:
        """Return the half-hour boundaries inside an interval that lies within one hour of its day.

        So the hour counts as measured. A longer interval is spread over half hours and hours, and marked estimated.
        """
        midnight = self._charts.day.start
        hour = interval.start - (interval.start - midnight) % HOUR
        is_one_hour = midnight <= interval.start and interval.end <= hour + HOUR
        return [half.slot.end for half in halves[:-1]] if is_one_hour else []


class _Compared:
    """Compare consecutive known intervals with the half hours of documents, as soon as they fill them."""

    def __init__(self) -> None:
        self._rows: list[Interval] = []
        self._parts: dict[Slot, Part] = {}

    def add(self, interval: Interval, halves: list[KnownEnergy]) -> int:
        """Return the number of intervals up to this one that differ from the half hours that they fill."""
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
        # Two files may round the same energy in different directions.
        return len(rows) if any(abs(difference) > 1 for difference in differences) else 0


class ReadingsPlan:
    """Plan readings in order of time."""

    def __init__(self, store: Store, device: Device) -> None:
        self._stored = Stored(store, device.device_id)

    def forget(self) -> None:
        """Drop cached data after planned readings were written."""
        self._stored.forget()

    def plan(self, reading: Reading) -> Planned:
        """Plan the next reading."""
        known = self._stored.at(reading.at)
        return Planned([reading] if known is None else [], int(known is not None and known != reading))
