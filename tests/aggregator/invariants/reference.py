"""The expected energy of a series by the simplest means, independent of the tested code: a loop over minutes for a
local midnight, and for energy a loop over the cells between all readings, half hours and ends of intervals.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from aggregator.core.documents import Part
from aggregator.core.readings import Interval
from tests.aggregator.invariants.series import HALF_HOUR, HOUR, Series, utc


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


def usual_step(ats: Sequence[int], place: int) -> float:
    """Return the median of the eight steps nearest to that from `ats[place]`, four on each side, each 2 h at most."""
    steps = [min(after - before, 2 * HOUR) for before, after in pairwise(ats)]
    near = sorted(steps[max(0, place - 4) : place] + steps[place + 1 : place + 5])
    if not near:
        return 0
    middle = len(near) // 2
    return near[middle] if len(near) % 2 else (near[middle - 1] + near[middle]) / 2


def is_outage(ats: Sequence[int], place: int, zone: str) -> bool:
    """Whether a step is longer than 300 s and than three usual ones, and crosses a half hour."""
    start, end = ats[place], ats[place + 1]
    is_long = end - start > 300 and end - start > 3 * usual_step(ats, place)
    return is_long and len(list(pieces(start, end, zone))) > 1


class Cells:
    """One channel's time, cut at every reading, half hour and interval; who decides each cell, and its energy in Wh."""

    def __init__(self, cuts: Iterable[int]) -> None:
        edges = sorted(set(cuts))
        self.spans = list(pairwise(edges))
        self.decided: dict[tuple[int, int], tuple[str, int, object]] = {}  # cell -> kind, energy, who

    def inside(self, start: int, end: int) -> list[tuple[int, int]]:
        return [cell for cell in self.spans if start <= cell[0] and cell[1] <= end]

    def free(self, start: int, end: int) -> list[tuple[int, int]]:
        return [cell for cell in self.inside(start, end) if cell not in self.decided]

    def known(self, start: int, end: int) -> int:
        return sum(self.decided[cell][1] for cell in self.inside(start, end) if cell in self.decided)

    def spread(self, wh: int, cells: Sequence[tuple[int, int]], kind: str, who: object) -> None:
        """Spread an energy evenly; each boundary has a whole number of Wh, rounded down."""
        whole, spent = sum(end - start for start, end in cells), 0
        for start, end in cells:
            before, after = wh * spent // whole, wh * (spent + end - start) // whole
            self.decided[start, end] = kind, after - before, who
            spent += end - start


def decide(
    points: Sequence[tuple[int, int]], stated: Sequence[tuple[int, int, int]], zone: str, cuts: set[int]
) -> Cells:
    """Decide the time of one faultless channel: registers, then intervals (start, end, Wh), then outages."""
    ats = [at for at, _ in points]
    cells = Cells([*ats, *cuts, *(at for start, end, _ in stated for at in (start, end))])
    outages = [place for place in range(len(ats) - 1) if is_outage(ats, place, zone)]
    for place, ((one, low), (other, high)) in enumerate(pairwise(points)):
        if place not in outages:
            cells.spread(high - low, cells.inside(one, other), "measured", place)
    for who, (start, end, wh) in enumerate(sorted(stated, key=lambda one: (one[1] - one[0], one[0], one[2]))):
        if free := cells.free(start, end):
            cells.spread(max(wh - cells.known(start, end), 0), free, "interval", who)
    for place in outages:
        (start, low), (end, high) = points[place], points[place + 1]
        shaped(cells, start, end, high - low)
    return cells


def shaped(cells: Cells, start: int, end: int, difference: int) -> None:
    """Decide an outage: the intervals in it, if they fit, and the remainder of the register's difference."""
    inside, free, known = cells.inside(start, end), cells.free(start, end), cells.known(start, end)
    own = [cell for cell in inside if cell in cells.decided]
    stretches = sum(
        1
        for place, cell in enumerate(own)
        if place == 0 or own[place - 1][1] != cell[0] or cells.decided[own[place - 1]][2] != cells.decided[cell][2]
    )
    if free and known <= difference:
        cells.spread(difference - known, free, "estimated", None)
    elif known and (known <= difference or known - difference <= stretches):  # rounding, or they lack some
        before = 0
        for cell in own:
            kind, wh, who = cells.decided[cell]
            scaled = difference * (before + wh) // known - difference * before // known
            cells.decided[cell], before = (kind, scaled, who), before + wh
        if free:
            cells.spread(0, free, "estimated", None)
    else:
        cells.spread(difference, inside, "estimated", None)


def reference(series: Series, intervals: Sequence[Interval] = ()) -> dict[tuple[str, int], Part]:
    """Return the half hours of one faultless meter with registers, and of intervals beside it."""
    rows: dict[tuple[str, int], dict[str, dict[str, list[int]]]] = defaultdict(dict)
    for channel in ("import_wh", "export_wh"):
        points = [(one.at, getattr(one, channel)) for one in series.readings if getattr(one, channel) is not None]
        stated = [(one.start, one.end, getattr(one, channel)) for one in intervals]
        stated = [one for one in stated if one[2] is not None]
        ends = [at for at, _ in points] + [at for start, end, _ in stated for at in (start, end)]
        if not ends:
            continue
        cuts = {end for _, _, end in pieces(min(ends), max(ends), series.zone)}
        for (start, end), (kind, wh, _) in decide(points, stated, series.zone, cuts).decided.items():
            row = rows[slot_of(start, series.zone)[:2]].setdefault(channel, defaultdict(lambda: [0, 0]))
            row[kind][0] += wh
            row[kind][1] += end - start
    return {key: part_of(row.get("import_wh"), row.get("export_wh")) for key, row in rows.items()}


def part_of(imported: dict[str, list[int]] | None, exported: dict[str, list[int]] | None) -> Part:
    """Return a part from each channel's energy and seconds by kind; import, where it is known, decides the time."""
    i, e = imported or {}, exported or {}
    main, nothing = i or e, [0, 0]
    return Part(
        sum(wh for wh, _ in i.values()) if i else None,
        sum(wh for wh, _ in e.values()) if e else None,
        i.get("estimated", nothing)[0],
        e.get("estimated", nothing)[0],
        main.get("measured", nothing)[1],
        main.get("estimated", nothing)[1],
        i.get("interval", nothing)[0],
        e.get("interval", nothing)[0],
        main.get("interval", nothing)[1],
    )


def register_span(series: Series, channel: str) -> int | None:
    whs = [getattr(reading, channel) for reading in series.readings if getattr(reading, channel) is not None]
    return whs[-1] - whs[0] if len(whs) > 1 else None
