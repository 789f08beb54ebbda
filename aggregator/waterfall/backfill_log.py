"""Half hours whose readings came in later: what was estimated or missing in a chart, and is now measured.

The step of the waterfall that replaces them sees both what was and what is, so nothing has to remember a gap while it
is one. Each is a record of its own, the same however often the step runs.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.periods import DAY_S, Window
from aggregator.core.power import MAX_GAP_S
from aggregator.store.port import Store
from aggregator.waterfall.retained_parts import Half

KEPT_DAYS = 36


def note_filled(store: Store, device: Device, halves: Sequence[Half], now: int) -> None:
    """Note the half hours of the last KEPT_DAYS that are measured now and were not, before they are replaced."""
    late = [half for half in halves if half.part.covered_s > MAX_GAP_S and half.slot.end > now - KEPT_DAYS * DAY_S]
    for day, group in groupby(late, key=attrgetter("day")):
        document = store.document("day", device.device_id, day)
        is_over = partial(_has_following, store, device.device_id, day)
        for half in _filled(document, list(group), is_over) if document else ():
            expires = half.slot.end + KEPT_DAYS * DAY_S
            store.put_record(_shelf(device.device_id), _key(half.slot.start), str(half.slot.end), expires=expires)


def filled(store: Store, device_id: str, first: int, last: int) -> list[Window]:
    """Spans of half hours that were filled later, from one instant to another (UTC seconds), in order."""
    spans: list[Window] = []
    for record in store.records(_shelf(device_id), _key(first), _key(last)):
        start, end = int(record.key), int(record.body)
        if spans and spans[-1].end == start:
            start = spans.pop().start
        spans.append(Window(start, end))
    return spans


def _has_following(store: Store, device_id: str, day: str) -> bool:
    return store.document("day", device_id, periods.shift("day", day, 1)) is not None


def _filled(document: Document, halves: Sequence[Half], is_over: Callable[[], bool]) -> Iterator[Half]:
    """Half hours of which more is known than before, and that do not go on: `is_over` tells whether the day does."""
    last = max((name for name in document.parts if name[0] == "s"), default="")
    for half in halves:
        old = document.part(half.slot.name)
        more_s, less_s = half.part.covered_s - old.covered_s, old.estimated_s - half.part.estimated_s
        is_past = half.slot.name < last or less_s > MAX_GAP_S  # the half hour that goes on is measured more and more
        if more_s > MAX_GAP_S and (is_past or is_over()):
            yield half


def _shelf(device_id: str) -> str:
    return f"filled/{device_id}"


def _key(at: int) -> str:
    return f"{at:012d}"
