"""What an import has come to: counts of its rows, their span and energy, refused rows by name; and what it changes.

Energy is Wh, time UTC seconds.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from aggregator.core.periods import block_start, iso_local
from aggregator.core.readings import Interval
from aggregator.intake import refusals
from aggregator.intake.imports.import_plan import Evidence, Planned
from aggregator.intake.imports.import_records import ImportRecord
from aggregator.intake.imports.understanding import Energy, RefusedRows
from aggregator.intake.refusals import Batch
from aggregator.store.port import Store

_A_BATCH = 5  # messages in a batch of refusals


@dataclass(slots=True)
class ImportReport:
    """Counts of the rows so far, and the refused rows by name."""

    refusals: RefusedRows = field(default_factory=RefusedRows)
    accepted: int = 0
    known: int = 0
    differs: int = 0  # rows that contradict a stored value; it stays, unless the import is a correction
    duplicates: int = 0
    first: int | None = None  # UTC seconds
    last: int | None = None
    holes: int = 0
    hole_s: int = 0
    import_wh: int | None = None  # energy of the accepted intervals
    export_wh: int | None = None
    volume_l: int | None = None
    blocks: int = 0  # half hours that it changed
    kept_days: int = 0  # days whose evidence has expired, and whose charts do not show its rows
    record: ImportRecord | None = None
    _last_block: int = -1

    @property
    def rejected(self) -> int:
        """The number of refused rows."""
        return self.refusals.reasons.total()

    @property
    def rows(self) -> int:
        """The number of rows in the file."""
        return self.accepted + self.known + self.duplicates + self.rejected

    def repeat(self) -> None:
        """Count a duplicate row."""
        self.duplicates += 1

    def cover(self, start: int, end: int, longest_gap_s: int) -> None:
        """Extend the span by the next row; a step longer than `longest_gap_s` is a hole."""
        if self.last is not None and start - self.last > longest_gap_s:
            self.holes += 1
            self.hole_s += start - self.last
        self.first = start if self.first is None else self.first
        self.last = max(end, self.last or end)

    def note(self, planned: Planned) -> None:
        """Count a planned row, and the energy of the interval that it adds."""
        added = planned.added
        self.differs += planned.differs
        self.accepted += added is not None
        self.known += added is None
        if added and self._last_block != (block := block_start(added[1])):
            self._last_block, self.blocks = block, self.blocks + 1
        if isinstance(added, Interval):
            if added.import_wh is not None:
                self.import_wh = (self.import_wh or 0) + added.import_wh
            if added.export_wh is not None:
                self.export_wh = (self.export_wh or 0) + added.export_wh
            if added.volume_l is not None:
                self.volume_l = (self.volume_l or 0) + added.volume_l

    def keep_refused(self, store: Store, device_id: str, now: int) -> None:
        """Record refusals for `wattfall refused`: all counts and the last messages."""
        counts = Counter(self.refusals.reasons)
        batch = Batch()
        for place, (payload, why) in enumerate(self.refusals.samples, 1):
            batch.add(payload, why, now, device_id)
            counts[why.reason] -= 1
            if place % _A_BATCH == 0 or place == len(self.refusals.samples):
                if place == len(self.refusals.samples):
                    batch.counts[device_id].update(counts)
                refusals.put_refusals(store, batch, now)

    def as_json(self, zone: str) -> dict[str, object]:
        """Return the report as `wattfall import` prints it."""
        return {
            "accepted": self.accepted,
            "known": self.known,
            "differs": self.differs,
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "reasons": dict(sorted(self.refusals.reasons.items())),
            "from": None if self.first is None else iso_local(self.first, zone),
            "to": None if self.last is None else iso_local(self.last, zone),
            "import_wh": self.import_wh,
            "export_wh": self.export_wh,
            **({"volume_l": self.volume_l} if self.volume_l is not None else {}),
            "holes": self.holes,
            "hole_s": self.hole_s,
            **({"kept_days": self.kept_days} if self.kept_days else {}),
            **({"id": self.record.id} if self.record else {}),
        }


def summary(report: ImportReport, zone: str, *, is_dry: bool) -> Iterator[str]:
    """Yield the report as lines for people."""
    would = "would be " if is_dry else ""
    if report.first is None or report.last is None:
        yield f"{report.rows} rows, all unusable"
    else:
        yield f"{report.rows} rows, from {iso_local(report.first, zone)} to {iso_local(report.last, zone)}"
    yield f"{report.accepted} {would}taken in{_energies(report)}"
    yield f"{report.known} known already; {report.duplicates} duplicates"
    if report.differs:
        is_correction = report.record is not None and report.record.is_correction
        yield f"{report.differs} differ from what is stored, which " + ("they replace" if is_correction else "stays")
    if report.kept_days:
        yield f"{report.kept_days} days keep their charts: their readings had expired, and only the charts were kept"
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(report.refusals.reasons.items()))
    yield f"{report.rejected} {would}refused" + (f": {reasons}" if reasons else "")
    yield f"{report.holes} holes" + (f" of {_days(report.hole_s)} together" if report.holes else "")
    if report.record:
        yield f"this is import {report.record.id}; `wattfall import --undo {report.record.id}` takes it back"


def _energies(report: ImportReport) -> str:
    energies = (("import", report.import_wh), ("export", report.export_wh))
    known = [f"{wh / 1000:,.3f} kWh of {name}" for name, wh in energies if wh is not None]
    known += [f"{report.volume_l / 1000:,.3f} m³ of gas"] if report.volume_l is not None else []
    return f": {' and '.join(known)}" if known else ""


def _days(seconds: int) -> str:
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds / 3600:.1f} h"


# What a correction changes


class DayChange(NamedTuple):
    """What a correction changes of a local day: the energy of its rows, or a number of readings."""

    day: str
    rows: int = 0
    before: Energy = Energy()
    after: Energy = Energy()

    def plus(self, stored: Evidence, new: Evidence) -> "DayChange":
        """Return it with a row more."""
        before, after = (_energy(one) if isinstance(one, Interval) else Energy() for one in (stored, new))
        return DayChange(self.day, self.rows + 1, _sum(self.before, before), _sum(self.after, after))

    @property
    def text(self) -> str:
        """Return it for people: `2026-02-01: 12.400 kWh import becomes 11.900 kWh import (3 rows)`."""
        energies = f"{self.before.text} becomes {self.after.text} " if self.after.text else ""
        return f"{self.day}: {energies}({self.rows} rows)"


def _energy(one: Interval) -> Energy:
    return Energy(one.import_wh, one.export_wh, one.volume_l)


def _sum(one: Energy, other: Energy) -> Energy:
    return Energy(*(b if a is None else a + (b or 0) for a, b in zip(one, other, strict=True)))
