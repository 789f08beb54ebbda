"""Recognise a file: what it is, what speaks for it, what is in doubt; and read its rows.

`recognised` is the core that the command line and the page share. It decides the layout of a table from its first rows
(`columns`, `judgement`), reads all rows, and says what it understood as an `Understanding`, a plain value. A file is
taken (`importing.take`) only where nothing is in doubt and no brake holds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, Refused, shown
from aggregator.core.periods import DAY_S, HOUR, day_of, iso_local
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.intake.formats.message import check_instant_of
from aggregator.intake.imports.columns import roles_of, typed, with_named
from aggregator.intake.imports.import_plan import Exact, Refuse, SortedRows, SortRow, exact_intervals, unique
from aggregator.intake.imports.judgement import SAMPLE_ROWS, Judged, judged
from aggregator.intake.imports.row_times import days_after, end_of, in_utc, lengths
from aggregator.intake.imports.rows import MICRO, FileRow, Layout, RowReader
from aggregator.intake.imports.text_tables import FileTable
from aggregator.intake.imports.understanding import (
    Brake,
    Choice,
    Energy,
    Known,
    RefusedRows,
    Understanding,
    named_columns,
)
from aggregator.intake.imports.vocabulary import POWER, UNITS, profile_of, said_by

FIRST = 5  # rows shown as they were read
FEW = 0.03  # the share of refused rows up to which a file is taken
FEW_CONTRADICTIONS = 0.01
_MOST_WH_A_DAY, _LEAST_WH_A_DAY = 300_000, 200  # of import: beyond them a unit is probably wrong
_MONOTONE = 200  # rows of energy that never fall are a register
_A_STEP = 1000  # rows between reports of progress
Progress = Callable[[int], None]


class Recognised(NamedTuple):
    """A recognised file with its sorted rows; `rows` is None where something is in doubt."""

    understanding: Understanding
    layout: Layout
    rows: SortedRows | None
    refusals: RefusedRows
    step_s: int = 0  # the usual step between rows

    def intervals(self, rows: Iterator[SortRow], refuse: Refuse) -> Iterator[Exact]:
        """Yield unique rows as intervals."""
        return exact_intervals(_spans(rows, self.layout, refuse), refuse)


@contextmanager
def recognised(
    table: FileTable, known: Known, allowed: Sequence[str] = (), progress: Progress = lambda _: None
) -> Iterator[Recognised]:
    """Recognise a file and read it. Raises ConfigurationError for one that no option makes readable."""
    found = _decided(table, known)
    understood = _understood(table, found)
    if found.doubts:
        yield Recognised(understood, found.layout, None, RefusedRows(table.unit), found.step_s)
        return
    layout, refusals, reader, rows = found.layout, *_read(table, found.layout, known, progress)
    if reader.beyond and layout.is_ordinal:  # days have more numbered hours than there are: they are clock times
        rows.close()
        layout = layout._replace(is_ordinal=False)
        refusals, reader, rows = _read(table, layout, known, progress)
    with closing(rows):
        done = Recognised(understood, layout, rows, refusals, found.step_s)
        yield done._replace(understanding=_previewed(done, rows, known, allowed))


def _decided(table: FileTable, known: Known) -> Judged:
    sample = [cells for _, _, cells in islice(table.rows(), SAMPLE_ROWS) if cells[0][:1] != "!"]
    if not sample:
        refused = next((cells[0][1:] for _, _, cells in table.rows()), "it is empty")
        raise ConfigurationError(f"no row of the file can be used: {refused}")
    width = len(table.names)
    rows = [(row + [""] * (width - len(row)))[:width] for row in sample]
    columns, profile = typed(table.names, rows), profile_of(table.names)
    unit, channel = _hints(table)
    named = known.columns or (named_columns(profile.columns) if profile and not unit and profile.columns else {})
    roles, doubts = with_named(columns, named) if named else roles_of(columns)
    known = known._replace(direction=known.direction or channel)
    if profile:
        known = known._replace(edge=known.edge or profile.edge)
        if not any(one.unit for one in roles.figures) and known.meter == "electricity":
            known = known._replace(unit=known.unit or unit or profile.unit)
    found = judged(table.names, rows, roles, known, table.delimiter)
    names = (Choice("format", profile.name),) if profile else ()
    answered = [one for one in doubts if one.option != "--direction" or not known.direction]
    return found._replace(choices=(*names, *found.choices), doubts=(*answered, *found.doubts))


def _hints(table: FileTable) -> tuple[str, str]:
    """Return the unit and the channel of the whole file, where the lines before the header say them."""
    units = {value for value in table.about.values() if value in UNITS}
    channels = {said_by(value).channel for value in table.about.values()} - {""}
    return units.pop() if len(units) == 1 else "", channels.pop() if len(channels) == 1 else ""


# What was understood


def _understood(table: FileTable, found: Judged) -> Understanding:
    layout, roles, names = found.layout, found.layout.roles, table.names
    places = [names[place] for place in (roles.time, roles.clock, roles.end) if place is not None]
    figures = [
        f"{one.name} = {one.channel or layout.direction} {one.kind or layout.kind} in {one.unit or layout.unit}"
        for one in roles.figures
    ]
    notation = f"{table.encoding}, columns separated by {shown(table.delimiter)}, header in line {table.header}"
    said = (
        Choice("file", table.format, notation if table.delimiter else ""),
        Choice(
            "time", " and ".join(dict.fromkeys(places)), "" if layout.is_instant else f"{layout.edge} of the interval"
        ),
        Choice("figures", "; ".join(figures)),
        Choice("zone", layout.zone, "by the column's name" if roles.is_utc else "of times without an offset"),
    )
    first = tuple(islice(_first_rows(table, layout), FIRST))
    return Understanding(table.format, (*said, *found.choices), found.doubts, first_rows=first)


def _first_rows(table: FileTable, layout: Layout) -> Iterator[str]:
    reader = RowReader(layout)
    for row in islice(table.rows(), 50):
        try:
            found = reader.row_of(row)
        except Refused:
            continue
        if found:
            time = iso_local(found.time, layout.zone) if isinstance(found.time, int) else found.time
            yield f"{table.unit} {found.line}: {time} {_figures_text(found, layout)}"


def _figures_text(row: FileRow, layout: Layout) -> str:
    scale, unit = (1, "Wh") if layout.is_instant else (MICRO, "W" if layout.kind == POWER else "Wh")
    named = (("import", row.imported, unit), ("export", row.exported, unit), ("volume", row.volume, "l"))
    figures = [f"{name} {value / scale:,.10g} {of}" for name, value, of in named if value is not None]
    return ", ".join([*figures, *([f"power {row.power_w} W"] if row.power_w is not None else [])])


# Reading rows


def _read(
    table: FileTable, layout: Layout, known: Known, progress: Progress
) -> tuple[RefusedRows, RowReader, SortedRows]:
    refusals, reader = RefusedRows(table.unit), RowReader(layout)
    rows = in_utc(_file_rows(table, reader, refusals, progress), layout.zone)
    return refusals, reader, SortedRows(_timed(rows, layout, known, refusals))


def _file_rows(table: FileTable, reader: RowReader, refusals: RefusedRows, progress: Progress) -> Iterator[FileRow]:
    done = 0
    for count, row in enumerate(table.rows(), 1):
        done += len(row[1])
        if count % _A_STEP == 0:
            progress(done)
            done = 0
        try:
            found = reader.row_of(row)
        except Refused as why:
            refusals.refuse(row[0], row[1], why)
            continue
        if found:
            if found.bad:
                refusals.refuse(row[0], row[1], found.bad)
            yield found
    progress(done)


def _timed(
    rows: Iterator[tuple[FileRow, int | Refused]], layout: Layout, known: Known, refusals: RefusedRows
) -> Iterator[SortRow]:
    """Yield rows as sort tuples: the instant, its end or 0, the number of the row, the series, the figures."""
    has_end = layout.roles.end is not None
    for row, at in rows:
        try:
            if isinstance(at, Refused):
                raise at
            check_instant_of(at, known.now)
            if layout.is_instant:
                yield at, 0, row.line, row.series, row.power_w, row.imported, row.exported, row.volume
            else:
                end = check_instant_of(end_of(at, row.time, row.end, 0, layout.zone), known.now) if has_end else 0
                yield at, end, row.line, row.series, row.imported, row.exported, row.volume
        except Refused as why:
            refusals.refuse(row.line, row.text, why)


def _spans(rows: Iterator[SortRow], layout: Layout, refuse: Refuse) -> Iterator[SortRow]:
    """Yield unique rows with the start and end of their interval; mean power becomes energy."""
    has_end = layout.roles.end is not None
    by_end = layout.edge == "end"
    for at, end, line, *figures in rows if has_end else lengths(rows, layout.step_s, is_by_end=by_end):
        start, end = (at, end) if has_end else _span(at, end, layout.zone, by_end=by_end)
        length = end - start
        if not 0 < length <= LONGEST_INTERVAL_S:
            refuse(line, f"line {line}", Refused("bad_interval", f"the interval lasts {length} s"))
        elif layout.kind == POWER:
            yield start, end, line, *(None if one is None else one * length // HOUR for one in figures)
        else:
            yield start, end, line, *figures


def _span(at: int, step: int, zone: str, *, by_end: bool) -> tuple[int, int]:
    """Return the start and end of an interval of a step; a day of the file's zone may have 23 or 25 hours."""
    if abs(step - DAY_S) <= HOUR:
        other = days_after(at, -1 if by_end else 1, zone)
    else:
        other = at - step if by_end else at + step
    return (other, at) if by_end else (at, other)


# Preview and brakes


class _Preview:
    """Sums over all rows of a file; of a register the differences between rows."""

    def __init__(self, zone: str, *, is_instant: bool) -> None:
        self.days: dict[str, list[int | None]] = {}
        self.start: int | None = None
        self.end = self.count = self.rises = self.falls = 0
        self._last: list[int | None] = [None, None, None]
        self._is_instant = is_instant
        self._day = lru_cache(maxsize=64)(lambda quarter: day_of(quarter * 900, zone))

    def add(self, start: int, end: int, figures: Sequence[int | None]) -> None:
        """Add the next row: import, export, volume."""
        self.start = start if self.start is None else self.start
        self.end, self.count = end, self.count + 1
        day = self.days.setdefault(self._day(start // 900), [None, None, None])
        for place, value in enumerate(figures):
            if value is not None:
                last, self._last[place] = self._last[place], value
                more = value if not self._is_instant else max(value - last, 0) * MICRO if last is not None else 0
                day[place] = (day[place] or 0) + more
                if place == 0 and last is not None:
                    self.rises += value > last
                    self.falls += value < last


def _previewed(done: Recognised, rows: SortedRows, known: Known, allowed: Sequence[str]) -> Understanding:
    """Return the understanding with totals, and the brakes that hold."""
    layout, refusals, repeated = done.layout, RefusedRows(done.refusals.unit), Counter[bool]()
    preview = _Preview(known.zone, is_instant=layout.is_instant)
    once = unique(rows, refusals.refuse, lambda: repeated.update([True]))
    if layout.is_instant:
        for at, _, _, _, *figures in once:
            preview.add(at, at, figures)
    else:
        for interval in done.intervals(once, refusals.refuse):
            preview.add(interval.start, interval.end, interval[3:6])
    reasons = done.refusals.reasons + refusals.reasons
    total = preview.count + reasons.total() + repeated.total()
    days = {
        day: Energy(*(None if one is None else round(one / MICRO) for one in some))
        for day, some in preview.days.items()
    }
    months: dict[str, list[Energy]] = {}
    for day, energy in days.items():
        months.setdefault(day[:7], []).append(energy)
    sums = {day: sum(filter(None, energy)) for day, energy in days.items()}
    brakes = [*_row_brakes(reasons, total, known), *_energy_brakes(preview, days, is_instant=layout.is_instant)]
    return replace(
        done.understanding,
        brakes=tuple(one for one in brakes if one.name not in allowed),
        rows=total,
        reasons=tuple(sorted(reasons.items())),
        start=preview.start,
        end=preview.end,
        months=tuple((month, _sum(some)) for month, some in months.items()),
        largest=max(sums.items(), key=lambda one: one[1], default=None),
        smallest=min(sums.items(), key=lambda one: one[1], default=None),
    )


def _sum(some: Sequence[Energy]) -> Energy:
    columns = [[value for value in column if value is not None] for column in zip(*some, strict=True)]
    return Energy(*(sum(column) if column else None for column in columns))


def _row_brakes(reasons: Counter[str], total: int, known: Known) -> Iterator[Brake]:
    refused = reasons.total() - reasons["no_values"] - reasons["contradiction"]
    if refused > total * FEW:
        worst, count = max(reasons.items(), key=lambda one: one[1])
        yield Brake("refused", f"{refused} of {total} rows would be refused, {count} as {worst}", "--allow refused")
    skipped, twice = reasons["no_such_time"], reasons["ambiguous_time"]
    if (skipped or twice) and not known.is_zone_named:
        text = (
            f"in {known.zone} the clocks skip {skipped} of its times in spring, and {twice} may occur twice in autumn"
        )
        yield Brake("clock", text, f"--timezone, like --timezone {known.zone} or UTC")
    if (count := reasons["contradiction"]) > total * FEW_CONTRADICTIONS:
        text = f"{count} of {total} rows contradict each other"
        yield Brake("contradiction", text, "--where, --columns, or --allow contradiction")


def _energy_brakes(preview: _Preview, days: dict[str, Energy], *, is_instant: bool) -> Iterator[Brake]:
    imports = {day: one.import_wh for day, one in days.items() if one.import_wh is not None}
    largest, wh = max(imports.items(), key=lambda one: one[1], default=("", 0))
    if not is_instant and preview.rises >= _MONOTONE and preview.falls == 0:
        text = f"the figures rise {preview.rises} times and never fall, like a register"
        yield Brake("register", text, "--kind register, or --allow register")
    if wh > _MOST_WH_A_DAY:
        yield Brake("implausible", f"{largest} has {wh / 1000:,.0f} kWh", "--unit, or --allow implausible")
    mean = sum(imports.values()) / len(imports) if imports else 0
    if len(imports) >= 3 and 0 < mean < _LEAST_WH_A_DAY:
        yield Brake("implausible", f"a day has {mean:.0f} Wh in the mean", "--unit, or --allow implausible")
