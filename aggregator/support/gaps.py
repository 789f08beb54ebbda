"""Where readings are missing: from when to when, and what the charts say of that time. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import sub
from statistics import median_low
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.periods import Slot, Window
from aggregator.core.power import MAX_GAP_S

Kind = Literal["open", "estimated", "missing", "bridged", "filled"]
INTERVALS = 3  # a gap is longer than so many usual intervals, and than MAX_GAP_S
AROUND = 6  # steps on each side that say what is usual


class Gap(NamedTuple):
    """A time without a reading. UTC seconds, half-open.

    What became of it: it goes on (open); its energy is spread over it (estimated), or is not known (missing); it lies
    within a half hour of which the registers tell the energy (bridged); its readings came in later (filled), of which
    only the half hours are known.
    """

    start: int  # the last reading before it
    end: int  # the first after it; now, where it goes on
    kind: Kind

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start


def shortest_gap(interval_s: int) -> int:
    """What is longer than this (seconds) is a gap for a device with this usual interval."""
    return max(MAX_GAP_S, INTERVALS * interval_s)


def gaps_between(ats: Sequence[int]) -> list[Window]:
    """The times between neighbouring instants, in order, that are gaps among the steps around them.

    So a history of half hours has none, and readings every 10 s after it have.
    """
    steps = list(map(sub, ats[1:], ats))
    found = (place for place, step in enumerate(steps) if step > MAX_GAP_S)
    return [Window(ats[place], ats[place + 1]) for place in found if steps[place] > _longest_step(steps, place)]


def _longest_step(steps: Sequence[int], place: int) -> int:
    """What a step may be at most, judged by the usual one before it and the usual one after it."""
    sides = steps[max(place - AROUND, 0) : place], steps[place + 1 : place + 1 + AROUND]
    return shortest_gap(max((median_low(side) for side in sides if side), default=0))


def sparse_spans(documents: Iterable[Document]) -> Iterator[Window]:
    """The times of which not every second was measured, from days in order, as runs of whole half hours."""
    run: Window | None = None
    for document in documents:
        for slot in periods.half_hours(document.period, document.timezone):
            if document.part(slot.name).covered_s >= slot.end - slot.start:
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
    """What the charts say of a gap that has ended."""
    touched = list(_touched(gap, documents, zone))
    if sum(part.estimated_s for _, part in touched):
        return "estimated"
    return "bridged" if all(part.covered_s >= slot.end - slot.start for slot, part in touched) else "missing"


def outside(spans: Iterable[Window], gaps: Iterable[Gap]) -> list[Window]:
    """What of some spans no gap touches."""
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
