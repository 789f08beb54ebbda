"""A recognised file in words: its layout, first rows, totals by month, extreme days; the brakes that hold. Pure.

A brake is a reason why a file is not taken although one reading of it is possible: what it holds looks wrong.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from statistics import StatisticsError, correlation
from zoneinfo import ZoneInfo

from aggregator.core.errors import Phrase, Refused, chained, shown
from aggregator.core.periods import HOUR, Window, day_of, day_start, iso_local, window
from aggregator.intake.imports.judgement import Judged
from aggregator.intake.imports.rows import MICRO, FileRow, Layout, RowReader
from aggregator.intake.imports.understanding import Brake, Choice, Energy, Known, Understanding
from aggregator.intake.imports.vocabulary import POWER
from aggregator.intake.tables.table_shapes import FileTable

FEW = 0.03  # the share of refused rows up to which a file is taken
FEW_CONTRADICTIONS = 0.01
_MOST_WH_A_DAY, _LEAST_WH_A_DAY = 300_000, 200  # beyond them a unit is probably wrong
_LIKE, _CLEARLY = 0.7, 0.15  # the correlation of the same usage, and how much less another hour's is
_COMMON = 5 * 24  # hours that are compared at least
_MONOTONE, _A_FALL = 24, 4  # energy that rises so often falls more than once in so many rises
_CHANNELS = ("import", "export", "volume")
SHOWN_DAYS = 62  # of a short file
FIRST = 5  # rows shown as they were read


class FigureCourse:
    """How the figures of one channel go on: counts of rises, falls, and falls of a counter that begins anew."""

    def __init__(self) -> None:
        self.rises = self.falls = self.resets = self._steepest = 0
        self.last: int | None = None

    def add(self, value: int) -> None:
        """Add the next figure. A counter that begins anew shows one step of its own, no more than about its largest."""
        if self.last is not None:
            self.rises += value > self.last
            self.falls += value < self.last
            self.resets += value < self.last and value <= 2 * self._steepest
            self._steepest = max(self._steepest, value - self.last)
        self.last = value

    @property
    def is_counter(self) -> bool:
        """Whether it is that of a register, or of a counter of the day, the week, the month or the year."""
        is_reset = self.resets * 10 >= self.falls * 9
        return self.rises >= _MONOTONE and is_reset and self.falls * _A_FALL < self.rises


class FileTotals:
    """Sums over all rows of a file; of a register the differences between rows."""

    def __init__(self, zone: str, *, is_instant: bool) -> None:
        self.days: dict[str, list[int | None]] = {}
        self.start: int | None = None
        self.end = self.last = self.count = 0  # `last` is the start of the last row
        self.courses = tuple(FigureCourse() for _ in _CHANNELS)
        self.is_instant = is_instant
        self.hours: dict[int, int] = {}  # import by hour (UTC seconds), millionths of a Wh
        self._zone, self._today, self._window = zone, "", Window(0, 0)

    def add(self, start: int, end: int, figures: Sequence[int | None]) -> None:
        """Add the next row: import, export, volume."""
        self.start = start if self.start is None else self.start
        self.end, self.last, self.count = end, start, self.count + 1
        if not self._window.start <= start < self._window.end:
            self._today = day_of(start, self._zone)
            self._window = window("day", self._today, self._zone)
        day = self.days.setdefault(self._today, [None, None, None])
        for place, value in enumerate(figures):
            if value is not None:
                last = self.courses[place].last
                self.courses[place].add(value)
                more = value if not self.is_instant else max(value - last, 0) * MICRO if last is not None else 0
                day[place] = (day[place] or 0) + more
                if place == 0 and (self.is_instant or end - start <= HOUR):
                    hour = start - start % HOUR
                    self.hours[hour] = self.hours.get(hour, 0) + more

    def is_last_at_midnight(self, *zones: str) -> bool:
        """Whether the last row begins at the midnight of a zone."""
        return any(self.last == day_start(day_of(self.last, zone), zone) for zone in zones)


def previewed(
    understood: Understanding,
    preview: FileTotals,
    reasons: Counter[str],
    repeated: int,
    known: Known,
    allowed: Sequence[str],
) -> Understanding:
    """Return an understanding with totals, and the brakes that hold."""
    total = preview.count + reasons.total() + repeated
    days = {
        day: Energy(*(None if one is None else round(one / MICRO) for one in some))
        for day, some in preview.days.items()
    }
    months: dict[str, list[Energy]] = {}
    for day, energy in days.items():
        months.setdefault(day[:7], []).append(energy)
    by_size = sorted(days.items(), key=lambda one: sum(filter(None, one[1])))
    brakes = [*_row_brakes(reasons, total, known), *_energy_brakes(preview, days), *_clock_brakes(preview, known)]
    return replace(
        understood,
        brakes=tuple(one for one in brakes if one.name not in allowed),
        rows=total,
        reasons=tuple(sorted(reasons.items())),
        start=preview.start,
        end=preview.end,
        months=tuple((month, _sum(some)) for month, some in months.items()),
        days=tuple(days.items()) if len(days) <= SHOWN_DAYS else (),
        largest=by_size[-1] if by_size else None,
        smallest=by_size[0] if by_size else None,
    )


def _sum(some: Sequence[Energy]) -> Energy:
    columns = [[value for value in column if value is not None] for column in zip(*some, strict=True)]
    return Energy(*(sum(column) if column else None for column in columns))


def _row_brakes(reasons: Counter[str], total: int, known: Known) -> Iterator[Brake]:
    refused = reasons.total() - reasons["no_values"] - reasons["contradiction"]
    if refused > max(total * FEW, min(2, total // 10)):
        worst, count = max(reasons.items(), key=lambda one: one[1])
        text = Phrase(
            "{refused} of {total} rows would be refused, {count} as {worst}",
            refused=refused,
            total=total,
            count=count,
            worst=worst,
        )
        yield Brake("refused", text, "--allow refused")
    skipped, twice = reasons["no_such_time"], reasons["ambiguous_time"]
    if (skipped or twice) and not known.is_zone_named:
        text = Phrase(
            "in {zone} the clocks skip {skipped} of its times in spring, and {twice} may occur twice in autumn",
            zone=known.zone,
            skipped=skipped,
            twice=twice,
        )
        yield Brake("clock", text, f"--timezone, like --timezone {known.zone} or UTC")
    if (count := reasons["contradiction"]) > total * FEW_CONTRADICTIONS:
        text = Phrase("{count} of {total} rows contradict each other", count=count, total=total)
        yield Brake("contradiction", text, "--where, --columns, or --allow contradiction")


def _energy_brakes(preview: FileTotals, days: dict[str, Energy]) -> Iterator[Brake]:
    for name, course in zip(_CHANNELS, preview.courses, strict=True):
        if not preview.is_instant and course.is_counter:
            text = Phrase(
                "the {name} rises {rises} times and falls {falls} times, like a register or a counter",
                name=name,
                rises=course.rises,
                falls=course.falls,
            )
            yield Brake("register", text, "--kind register, --columns without it, or --allow register")
            break
    largest = max(
        ((wh or 0, day, place) for day, one in days.items() for place, wh in enumerate(one[:2])), default=None
    )
    if largest and largest[0] > _MOST_WH_A_DAY:
        kwh = f"{largest[0] / 1000:,.0f}"
        text = Phrase("{day} has {kwh} kWh {name}", day=largest[1], kwh=kwh, name=_CHANNELS[largest[2]])
        yield Brake("implausible", text, "--unit, or --allow implausible")
    imports = {day: one.import_wh for day, one in days.items() if one.import_wh is not None}
    both = [wh + (days[day].export_wh or 0) for day, wh in imports.items()]
    mean = sum(both) / len(both) if both else 0
    if len(imports) >= 3 and 0 < mean < _LEAST_WH_A_DAY:
        text = Phrase("a day has {wh} Wh in the mean", wh=round(mean))
        yield Brake("implausible", text, "--unit, or --allow implausible")


# The clock, by what is known


def _clock_brakes(preview: FileTotals, known: Known) -> Iterator[Brake]:
    """Yield a brake where the usage of a season is that of other hours than what is stored."""
    if known.usage is None or preview.start is None or len(preview.hours) < _COMMON:
        return
    stored, zone = known.usage(preview.start, preview.end), ZoneInfo(known.zone)
    for season, is_summer in (("summer", True), ("winter", False)):
        own = {at: wh for at, wh in preview.hours.items() if bool(datetime.fromtimestamp(at, zone).dst()) == is_summer}
        alike = {shift: _likeness(own, stored, shift * HOUR) for shift in range(-2, 3)}
        best = max(alike, key=alike.__getitem__)
        if alike[best] > _LIKE and alike[0] < alike[best] - _CLEARLY:
            text = Phrase(
                "all through {season} the file is {hours} h {way} against what is known",
                season=season,
                hours=abs(best),
                way="early" if best > 0 else "late",
            )
            yield Brake("clock", text, "--timezone, --time, or --allow clock")
            return


def _likeness(own: Mapping[int, int], stored: Mapping[int, int], shift_s: int) -> float:
    """Return the correlation of usage with what is stored of `shift_s` later; -1 where too little is common."""
    pairs = [(wh, stored[at + shift_s]) for at, wh in own.items() if at + shift_s in stored]
    try:
        return correlation(*zip(*pairs, strict=True)) if len(pairs) >= _COMMON else -1.0
    except StatisticsError:
        return -1.0


# What was understood


def understanding_of(table: FileTable, found: Judged) -> Understanding:
    """Return what a table was understood to be, with its first rows; without totals."""
    layout, roles, names = found.layout, found.layout.roles, table.names
    places = [names[place] for place in (roles.time, roles.clock, roles.end) if place is not None]
    figures = (
        Phrase(
            "{name} = {channel} {kind} in {unit}",
            name=one.name,
            channel=one.channel or layout.direction,
            kind=one.kind or layout.kind,
            unit=one.unit or layout.unit,
        )
        for one in roles.figures
    )
    notation = Phrase(
        "{encoding}, columns separated by {delimiter}, header in line {line}",
        encoding=table.encoding,
        delimiter=shown(table.delimiter),
        line=table.header,
    )
    edge = Phrase("end of the interval") if layout.edge == "end" else Phrase("start of the interval")
    zone = Phrase("by the column's name") if roles.is_utc else Phrase("of times without an offset")
    said = (
        Choice("file", table.format, notation if table.delimiter else None),
        Choice("time", chained("{one} and {other}", dict.fromkeys(places)), None if layout.is_instant else edge),
        Choice("figures", chained("{one}; {other}", figures)),
        Choice("zone", layout.zone, zone),
    )
    first = tuple(islice(_first_rows(table, layout), FIRST))
    return Understanding(table.format, (*said, *found.choices), found.doubts, first_rows=first)


# The first rows


def _first_rows(table: FileTable, layout: Layout) -> Iterator[Phrase]:
    """Yield the first rows of a table as they are read, for people."""
    reader = RowReader(layout)
    for row in islice(table.rows(), 50):
        try:
            found = reader.row_of(row)
        except Refused:
            continue
        if found and found.has_values:
            time = iso_local(found.time, layout.zone) if isinstance(found.time, int) else found.time
            figures = chained("{one}, {other}", _figures(found, layout))
            yield Phrase("{place}: {time} {figures}", place=table.place(found.line), time=time, figures=figures)


def _figures(row: FileRow, layout: Layout) -> Iterator[Phrase]:
    scale, unit = (1, "Wh") if layout.is_instant else (MICRO, "W" if layout.kind == POWER else "Wh")
    named = (("import", row.imported, unit), ("export", row.exported, unit), ("volume", row.volume, "l"))
    for name, value, of in named:
        if value is not None:
            yield Phrase("{name} {value} {unit}", name=name, value=f"{value / scale:,.10g}", unit=of)
    if row.power_w is not None:
        yield Phrase("{name} {value} {unit}", name="power", value=str(row.power_w), unit="W")
