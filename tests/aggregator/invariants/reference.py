"""The expected energy of a series by the simplest means, independent of the tested code: a loop over minutes for a
local midnight, a loop over pairs of readings for energy.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from aggregator.core.documents import Part
from tests.aggregator.invariants.series import GAP, HALF_HOUR, HOUR, Series, utc


@cache
def first_instant(day: date, zone: str) -> int:
    """Return the first minute of a local date (of the next date, where it was skipped)."""
    start = utc(f"{day}T00:00") - 16 * HOUR
    clock = ZoneInfo(zone)
    return next(at for at in range(start, start + 32 * HOUR, 60) if datetime.fromtimestamp(at, clock).date() >= day)


def slot_of(at: int, zone: str) -> tuple[str, int, int, int]:
    """Return the local date of an instant, its half hour since midnight, and the half hour's start and end."""
    day = datetime.fromtimestamp(at, ZoneInfo(zone)).date()
    if at >= first_instant(day + timedelta(days=1), zone):
        day += timedelta(days=1)
    midnight, end = first_instant(day, zone), first_instant(day + timedelta(days=1), zone)
    number = (at - midnight) // HALF_HOUR
    start = midnight + number * HALF_HOUR
    return day.isoformat(), number, start, min(start + HALF_HOUR, end)


def pieces(start: int, end: int, zone: str) -> Iterator[tuple[tuple[str, int], int, int]]:
    """Cut a span of time at the home's half hours."""
    while start < end:
        day, number, _, slot_end = slot_of(start, zone)
        yield (day, number), start, min(end, slot_end)
        start = slot_end


def reference(series: Series) -> dict[tuple[str, int], Part]:
    """Return the half hours of one faultless meter, interval by interval."""
    energy: dict[tuple[str, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0]))
    spans = []
    for channel in ("import_wh", "export_wh"):
        known = [(reading.at, getattr(reading, channel)) for reading in series.readings]
        known = [(at, wh) for at, wh in known if wh is not None]
        spans += [(known[0][0], known[-1][0])] if known else []
        for (one, low), (other, high) in pairwise(known):
            cut = list(pieces(one, other, series.zone))
            is_estimated = other - one > GAP and len(cut) > 1
            for key, start, end in cut:
                at_start = low + (high - low) * (start - one) // (other - one)
                at_end = low + (high - low) * (end - one) // (other - one)
                row = energy[key][channel]
                row[0] += at_end - at_start
                row[1] += end - start
                row[2] += (at_end - at_start) * is_estimated
                row[3] += (end - start) * is_estimated
    parts = {}
    for key, rows in energy.items():
        i, e = rows.get("import_wh"), rows.get("export_wh")
        _, spent, _, guessed = i or e or (0, 0, 0, 0)  # import, where it is known, decides what counts as measured
        parts[key] = Part(
            i[0] if i else None, e[0] if e else None, i[2] if i else 0, e[2] if e else 0, spent - guessed, guessed
        )
    return parts


def register_span(series: Series, channel: str) -> int | None:
    whs = [getattr(reading, channel) for reading in series.readings if getattr(reading, channel) is not None]
    return whs[-1] - whs[0] if len(whs) > 1 else None
