"""Documents as the rows of a table: every interval in order, its times with their offset, its figures exact. Pure.

Cells are text. An empty one is no data, never zero. Half hours and hours have no standing charge: it is the day's.
"""

from collections.abc import Iterable, Iterator

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part, coverage
from aggregator.core.money import NOTHING, money_text, plain
from aggregator.core.periods import Slot

HELD_BY = {"half-hour": "day", "hour": "day", "day": "month", "month": "year"}  # interval -> level of its documents
SHOWN_BY = {"day": "hour", "month": "day", "year": "month"}  # level -> interval of its chart

_CHARGED = ("day", "month")
_KWH_PLACES = 3  # Wh are whole


def intervals(level: str) -> list[str]:
    """Into what a period of `level` can be cut, finest first."""
    return [by for by, held_by in HELD_BY.items() if periods.LEVELS.index(held_by) <= periods.LEVELS.index(level)]


def header(by: str, *, is_priced: bool) -> list[str]:
    """The names of the columns."""
    energy = ["start", "end", "import_kwh", "export_kwh", "estimated_kwh", "coverage"]
    if not is_priced:
        return energy
    charge = ["standing_charge"] if by in _CHARGED else []
    return [*energy, "import_cost", "export_earnings", *charge, "unpriced_kwh", "currency"]


def stretches(level: str, period: str, by: str) -> Iterator[tuple[str, str]]:
    """The documents to read for a period cut by `by`: first and last, a month of days or a year of months at a time."""
    held_by = HELD_BY[by]
    if held_by == level:
        yield period, period
    elif (level, held_by) == ("year", "day"):
        for month in range(1, 13):
            yield from stretches("month", f"{period}-{month:02d}", by)
    else:
        count = 12 if level == "year" else periods.days_in(period)
        yield f"{period}-01", f"{period}-{count:02d}"


def complete(found: Iterable[Document], device: Device, level: str, first: str, last: str) -> Iterator[Document]:
    """A document for every period from `first` to `last`: those found, and ones without data between them."""
    known = {document.period: document for document in found}
    period = first
    while period <= last:
        yield known.get(period) or Document(level, device.device_id, period, device.timezone, {})
        period = periods.shift(level, period, 1)


def rows(document: Document, by: str, now: int, *, is_priced: bool) -> Iterator[list[str]]:
    """The intervals of one document that have begun at `now` (UTC seconds), with the columns of `header`."""
    for slot in _slots(document, by):
        if slot.start > now:
            return
        part = document.part(slot.name)
        times = [periods.iso_local(at, document.timezone) for at in (slot.start, slot.end)]
        money = _money(part, by, document.currency) if is_priced else []
        yield [*times, *_energy(part), f"{coverage(part, slot.end - slot.start):.4f}", *money]


def _slots(document: Document, by: str) -> Iterator[Slot]:
    period, zone = document.period, document.timezone
    found = periods.half_hours(period, zone) if by == "half-hour" else periods.slots(document.level, period, zone)
    return (slot for slot in found if slot.end > slot.start)  # Samoa had no 30 December 2011


def _energy(part: Part) -> list[str]:
    estimated = None if part.import_wh is part.export_wh is None else part.estimated_wh
    return [_kwh(part.import_wh), _kwh(part.export_wh), _kwh(estimated)]


def _money(part: Part, by: str, currency: str) -> list[str]:
    cost = part.cost
    charge = [_amount(cost.standing_charge)] if by in _CHARGED else []
    unpriced = None if cost == NOTHING else cost.unpriced_wh
    return [_amount(cost.import_cost), _amount(cost.export_earnings), *charge, _kwh(unpriced), currency]


def _kwh(wh: int | None) -> str:
    return "" if wh is None else plain(wh, _KWH_PLACES, _KWH_PLACES)


def _amount(units: int | None) -> str:
    return "" if units is None else money_text(units)
