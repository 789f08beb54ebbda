"""The plan of an import: what each row adds to the stored evidence. A plan only reads the store.

An import only adds: a value that is stored for the same instant, or for the same interval, stays. Import and export,
and the fields of a reading, are filled in independently. What overlaps otherwise is stored beside it, and
`core.energy` decides what counts. Energy is Wh, time UTC seconds.
"""

from typing import Any, NamedTuple

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.intervals import Interval
from aggregator.core.periods import HALF_HOUR, HOUR, Window, block_start
from aggregator.core.readings import Reading
from aggregator.store.port import Store

LOOK = 48  # half hours of evidence fetched at once
ROUNDING_WH = 1  # two files may round the same energy in different directions

Evidence = Reading | Interval


class Planned(NamedTuple):
    """The result of a row."""

    added: Evidence | None  # with the values that are not stored yet; None where all are known
    differs: bool  # a value that is stored is another one


class Plan:
    """Plan rows in order of time; a day of stored evidence is fetched at a time."""

    def __init__(self, store: Store, device: Device) -> None:
        self._store, self._device = store, device
        self._known: dict[tuple[int, int], Evidence] = {}
        self._span = Window(0, 0)

    def plan(self, row: Evidence) -> Planned:
        """Plan the next row. Raises Refused for an energy beyond the home's maximum power."""
        if isinstance(row, Interval):
            _check_energy(row, self._device.max_power_w)
        known = self._stored(row)
        return compared(known, row) if known else Planned(row, differs=False)

    def _stored(self, row: Evidence) -> Evidence | None:
        time = _time(row)
        if not self._span.start <= time[0] < self._span.end:
            first = block_start(time[0])
            self._span = Window(first, first + LOOK * HALF_HOUR)
            fetch = self._store.intervals if isinstance(row, Interval) else self._store.readings
            found = fetch(self._device.device_id, first, first + (LOOK - 1) * HALF_HOUR)
            self._known = {_time(one): one for one in found}
        return self._known.get(time)


def compared(known: Evidence, row: Evidence) -> Planned:
    """Return what a row adds to the stored evidence of the same time."""
    values = [
        (name, getattr(known, name), new) for name in _VALUES[type(row)] if (new := getattr(row, name)) is not None
    ]
    stays: dict[str, Any] = dict.fromkeys(name for name, stored, _ in values if stored is not None)
    tolerance = ROUNDING_WH if isinstance(row, Interval) else 0
    differs = any(not _is_same(stored, new, tolerance) for name, stored, new in values if name in stays)
    return Planned(row._replace(**stays) if len(stays) < len(values) else None, differs)


_VALUES = {Reading: ("power_w", "import_wh", "export_wh", "meter_id"), Interval: ("import_wh", "export_wh")}


def _is_same(stored: int | str, new: int | str, tolerance: int) -> bool:
    return stored == new or (isinstance(stored, int) and isinstance(new, int) and abs(stored - new) <= tolerance)


def _time(row: Evidence) -> tuple[int, int]:
    """Return the time that identifies stored evidence: a span, or an instant."""
    return (row.start, row.end) if isinstance(row, Interval) else (row.at, row.at)


def _check_energy(interval: Interval, max_power_w: int) -> None:
    """Raise Refused for an energy that the home cannot have used; 1 Wh may be rounding."""
    seconds = interval.end - interval.start
    for energy in (interval.import_wh or 0, interval.export_wh or 0):
        if (energy - ROUNDING_WH) * HOUR > max_power_w * seconds:
            raise Refused(
                "out_of_range", f"{energy} Wh in {seconds} s exceeds this home's maximum power of {max_power_w} W"
            )
