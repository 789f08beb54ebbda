"""Energies of intervals as readings, with a register made for them. Pure.

A run of intervals without a hole is one segment of a register with a meter id of its own, `interval:` and its start. So
no energy lies across a hole, which stays without data. The register starts at FIRST_WH, so far from any meter's that
no step between the two can be taken for energy. The intervals of a file, from its first on, add up to the nearest Wh.

A segment has three readings at least, for a register is believed after a strange step only if it runs on (`energy`).
No reading is put where another is: a segment then begins a second after it, or ends a second before, with all its
energy.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from aggregator.core.periods import iso_utc
from aggregator.core.readings import MAX_REGISTER, Reading

METER = "interval:"
FIRST_WH = MAX_REGISTER // 2
MICRO = 1_000_000


class Beside(NamedTuple):
    """Whether readings of others are at the start and at the end of an interval, as seconds to keep away."""

    start: bool
    end: bool


class Exact(NamedTuple):
    """The energy of an interval as a file has it, in millionths of a Wh. None is not said."""

    start: int  # UTC seconds
    end: int
    line: int
    import_uwh: int | None
    export_uwh: int | None


class Interval(NamedTuple):
    """The energy of an interval in whole Wh. None is not said."""

    start: int  # UTC seconds
    end: int
    line: int
    import_wh: int | None
    export_wh: int | None


class Segment(NamedTuple):
    """A register that was made, as it is at the end of its last interval."""

    meter_id: str
    end: int  # UTC seconds
    import_wh: int | None
    export_wh: int | None

    def runs_on_with(self, interval: Interval) -> bool:
        """Whether an interval is next, and has energies of the same directions."""
        is_same_import = (self.import_wh is None) == (interval.import_wh is None)
        is_same_export = (self.export_wh is None) == (interval.export_wh is None)
        return self.end == interval.start and is_same_import and is_same_export


def in_whole_wh(rows: Iterable[Exact]) -> Iterator[Interval]:
    """Energies in whole Wh. What rounding leaves is carried to the next, so that all up to any one add up."""
    imported = exported = 0
    for row in rows:
        before = _whole(imported), _whole(exported)
        imported, exported = imported + (row.import_uwh or 0), exported + (row.export_uwh or 0)
        yield Interval(
            row.start,
            row.end,
            row.line,
            None if row.import_uwh is None else _whole(imported) - before[0],
            None if row.export_uwh is None else _whole(exported) - before[1],
        )


def _whole(micro: int) -> int:
    return (micro + MICRO // 2) // MICRO


def is_made(meter_id: str | None) -> bool:
    """Whether the register of a meter was made here."""
    return meter_id is not None and meter_id.startswith(METER)


def segment_of(reading: Reading) -> Segment | None:
    """The segment that a stored reading ends, if its register was made here."""
    if reading.meter_id is None or not is_made(reading.meter_id):
        return None
    return Segment(reading.meter_id, reading.at, reading.import_wh, reading.export_wh)


def run_on(
    device_id: str, interval: Interval, segment: Segment | None, inner: Sequence[int], beside: Beside
) -> tuple[Segment, list[Reading]]:
    """The readings of an interval, and the segment after it: a new one where there is none to run on.

    There is a reading at each end and at each of the `inner` instants, to which the energy is spread evenly. `beside`
    says whether there are readings of others at the start and at the end; there are none between.
    """
    before = segment or _new_segment(interval)
    if segment is None and not inner:
        inner = [(interval.start + interval.end) // 2]
    places = [(at, at) for at in inner] + [(interval.end - beside.end, interval.end)]
    if segment is None:
        places.insert(0, (interval.start + beside.start, interval.start))
    readings = [
        Reading(device_id, at, None, *_registers(before, interval, shown), before.meter_id) for at, shown in places
    ]
    return Segment(before.meter_id, interval.end, *_registers(before, interval, interval.end)), readings


def _new_segment(interval: Interval) -> Segment:
    imported = None if interval.import_wh is None else FIRST_WH
    exported = None if interval.export_wh is None else FIRST_WH
    return Segment(METER + iso_utc(interval.start), interval.start, imported, exported)


def _registers(before: Segment, interval: Interval, at: int) -> tuple[int | None, int | None]:
    """The registers at an instant of the interval that follows a segment, rounded down."""
    share = at - interval.start, interval.end - interval.start
    return _risen(before.import_wh, interval.import_wh, *share), _risen(before.export_wh, interval.export_wh, *share)


def _risen(register: int | None, energy: int | None, elapsed: int, length: int) -> int | None:
    return None if register is None or energy is None else register + energy * elapsed // length
