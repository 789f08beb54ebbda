"""Recognise a file: what it is, what speaks for it, what is in doubt; and read its rows.

`recognised` is the core that the command line and the page share. It decides the layout of a table from its first rows
(`columns`, `judgement`), reads all rows, and says what it understood as an `Understanding`, a plain value. A file is
taken (`importing.take`) only where nothing is in doubt and no brake holds.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import dropwhile, islice
from typing import NamedTuple

from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.core.periods import DAY_S, HOUR
from aggregator.core.readings import LONGEST_INTERVAL_S
from aggregator.intake.formats.message import check_instant_of
from aggregator.intake.imports.columns import only_made, quoted, roles_of, telling, with_named
from aggregator.intake.imports.import_plan import Exact, SortedRows, SortRow, exact_intervals, unique
from aggregator.intake.imports.judgement import BY_MIDNIGHT, SAMPLE_ROWS, Judged, edge_doubt, judged
from aggregator.intake.imports.looks import of_title
from aggregator.intake.imports.preview import FIRST, FileTotals, previewed, understanding_of
from aggregator.intake.imports.rows import FileRow, Layout, RowReader
from aggregator.intake.imports.understanding import (
    Choice,
    Doubt,
    Known,
    RefusedRows,
    Understanding,
    named_columns,
    profile_of,
)
from aggregator.intake.imports.vocabulary import (
    EXPORT,
    IMPORT,
    POWER,
    UNITS,
    WATT_HOURS,
    Roles,
    TypedColumn,
    plain,
    said_by,
    typed,
)
from aggregator.intake.tables.notation import is_time
from aggregator.intake.tables.row_times import days_after, end_of, in_utc, lengths
from aggregator.intake.tables.table_shapes import FileTable
from aggregator.intake.tables.text_tables import is_number

_CELLS, _FEWEST = 400_000, 50  # cells that are judged at most; rows at least
_RARE = 50  # one row in so many
_A_STEP = 1000  # rows between reports of progress
Progress = Callable[[int], None]


class Recognised(NamedTuple):
    """A recognised file with its sorted rows; `rows` is None where something is in doubt."""

    understanding: Understanding
    layout: Layout
    rows: SortedRows | None
    refusals: RefusedRows
    step_s: int = 0  # the usual step between rows

    def intervals(self, rows: Iterator[SortRow], refusals: RefusedRows) -> Iterator[Exact]:
        """Yield unique rows as intervals."""
        return exact_intervals(_spans(rows, self.layout, refusals), refusals)


@contextmanager
def recognised(
    table: FileTable, known: Known, allowed: Sequence[str] = (), progress: Progress = lambda _: None
) -> Iterator[Recognised]:
    """Recognise a file and read it. Raises ConfigurationError for one that no option makes readable."""
    later = set[int]()
    while True:
        found = _decided(table, known, later)
        understood = understanding_of(table, found)
        if found.doubts:
            yield Recognised(understood, found.layout, None, RefusedRows(table.place), found.step_s)
            return
        layout, refusals, reader, rows = found.layout, *_read(table, found.layout, known, progress)
        if layout.roles.hours and layout.is_ordinal and reader.has_clock_hours:
            rows.close()
            layout = layout._replace(is_ordinal=False, open_days=reader.open_days)
            refusals, reader, rows = _read(table, layout, known, progress)
        if later >= reader.news.keys():
            break
        rows.close()
        later |= reader.news.keys()
    with closing(rows):
        done = Recognised(understood, layout, rows, refusals, found.step_s)
        yield done._replace(understanding=_previewed(done, _heard(rows, progress), known, allowed))


def _decided(table: FileTable, known: Known, later: Container[int] = ()) -> Judged:
    """Decide about a table by its first rows, and the `later` ones of these numbers. Raises ConfigurationError."""
    most = min(SAMPLE_ROWS, max(_FEWEST, _CELLS // len(table.names)))
    source = table.rows()
    filled = dropwhile(lambda row: not any(map(is_number, row[2])), source)
    some = list(islice(filled, most)) or islice(table.rows(), most)
    sample = [cells for _, _, cells in some if cells[0][:1] != "!"]
    first = len(sample)
    sample += [cells for number, _, cells in source if number in later] if later else []
    if not sample:
        refused = next((cells[0][1:] for _, _, cells in table.rows()), "")
        reason, _, detail = refused.partition(": ")
        text = Phrase("{reason}: {detail}", reason=reason, detail=detail) if refused else Phrase("it is empty")
        raise ConfigurationError(Phrase("no row of the file can be used: {refused}", refused=text))
    width = len(table.names)
    rows = [(row + [""] * (width - len(row)))[:width] for row in sample]
    columns, profile = _of_meter(typed(table.names, rows), known.meter), profile_of(table.names)
    unit, channel = _hints(table)
    named = known.columns or (named_columns(profile.columns) if profile and not unit and profile.columns else {})
    roles, doubts = with_named(columns, named) if named else roles_of(columns)
    doubts += [] if named or profile else [*_of_home(columns, roles), *of_title(roles, channel)]
    if profile and profile.told_by and not known.columns and known.meter == "electricity":
        roles, open_ones = _with_told(columns, rows, roles, profile.told_by)
        doubts += open_ones
    if profile:
        is_curve = unit not in WATT_HOURS or not profile.columns  # Enedis writes the energies of days by their start
        known = known._replace(edge=known.edge or (profile.edge if is_curve else "start"))
        known = known._replace(figure_kind=known.figure_kind or profile.kind)
    if not any(one.unit for one in roles.figures) and known.meter == "electricity":
        known = known._replace(unit=known.unit or unit or (profile.unit if profile else ""))
    found = judged(
        table.names, rows, roles, known, table.delimiter, is_profiled=profile is not None, later=len(sample) - first
    )
    names = (Choice("format", profile.name),) if profile else ()
    answered = [one for one in doubts if one.option != "--direction" or not known.direction]
    late_s = profile.late_s if profile and found.layout.is_instant else 0
    layout = found.layout._replace(late_s=late_s)
    return found._replace(layout=layout, choices=(*names, *found.choices), doubts=(*answered, *found.doubts))


def _with_told(
    columns: Sequence[TypedColumn], rows: Sequence[Sequence[str]], roles: Roles, told_by: str
) -> tuple[Roles, list[Doubt]]:
    """Return roles whose direction a column of names tells, row by row; and the question where a name says nothing."""
    figures = tuple(one._replace(channel="") for one in roles.figures)
    told = tuple(one.place for one in telling(columns) if one.place not in (roles.time, roles.end))
    groups = tuple(place for place in roles.groups if place not in told)
    roles = roles._replace(figures=figures, categories=told, groups=groups)
    names = [one.place for one in columns if plain(one.name) == told_by]
    said = {" ".join(row[place] for place in dict.fromkeys((*names, *told))) for row in rows}
    said = {text for text in said if not said_by(text).is_ignored}
    made = {text for text in said if said_by(text).is_generation}
    unknown = sorted(text for text in said - made if not said_by(text).channel)[:FIRST]
    if unknown:
        text = Phrase("the direction of {names} is not known", names=quoted(unknown))
        return roles, [Doubt("--direction", text, (IMPORT, EXPORT))]
    if made == said:
        text = only_made(sorted(made)[:FIRST]) if made else Phrase("no row tells of electric energy")
        return roles, [Doubt("--columns", text)]
    return roles, []


def _of_home(columns: Sequence[TypedColumn], roles: Roles) -> list[Doubt]:
    """Ask whether consumption beside generation is the grid's: a home with panels uses more than it imports."""
    made = [one.name for one in columns if one.type == "number" and one.said.is_generation and not one.said.is_ignored]
    weak = [one for one in roles.figures if said_by(one.name).is_weak]
    if not made or not weak:
        return []
    named = [f"{one.channel}_{(one.unit or 'kWh').lower()}={one.name}" for one in roles.figures if one.channel]
    text = Phrase(
        "{names} may be what the home uses and not what the grid gives, beside {made}",
        names=quoted(one.name for one in weak),
        made=quoted(made),
    )
    others = [one for one in named if not one.startswith(IMPORT)]
    return [Doubt("--columns", text, tuple(map(",".join, filter(None, (named, others)))))]


def _hints(table: FileTable) -> tuple[str, str]:
    """Return the unit and the channel of the whole file, where the lines before the header say them."""
    units = {value for value in table.about.values() if value in UNITS}
    channels = {said_by(value).channel for value in table.about.values()} - {""}
    return units.pop() if len(units) == 1 else "", channels.pop() if len(channels) == 1 else ""


def _of_meter(columns: Sequence[TypedColumn], meter: str) -> list[TypedColumn]:
    """Return columns without the figures of another meter's energy: gas for electricity, or what is not gas."""
    gas = [one for one in columns if one.type == "number" and "gas" in one.said.meanings]
    others = gas if meter != "gas" else [one for one in columns if gas and one.type == "number" and one not in gas]
    return [one._replace(type="other") if one in others else one for one in columns]


def _are_names(row: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a row has a name for each column that has one."""
    cells = [cell for cell, name in zip(row, names, strict=False) if name]
    return len(row) == len(names) and not any(not one.strip() or is_number(one) or is_time(one) for one in cells)


# Reading rows


def _read(
    table: FileTable, layout: Layout, known: Known, progress: Progress
) -> tuple[RefusedRows, RowReader, SortedRows]:
    refusals, reader = RefusedRows(table.place), RowReader(layout)
    rows = in_utc(_file_rows(table, reader, refusals, progress), layout.zone)
    return refusals, reader, SortedRows(_timed(rows, layout, known, refusals))


def _file_rows(table: FileTable, reader: RowReader, refusals: RefusedRows, progress: Progress) -> Iterator[FileRow]:
    done, names = 0, table.names
    below: Phrase | None = None
    figures = [place for one in reader.layout.roles.figures for place in one.places]
    for count, row in enumerate(table.rows(), 1):
        done += len(row[1])
        if count % _A_STEP == 0:
            progress(done)
            done = 0
        try:
            found = reader.row_of(row)
        except Refused as why:
            if not any(map(str.strip, row[2])):
                continue
            if _are_names(row[2], names):
                if all(plain(cell) in plain(name) for cell, name in zip(row[2], names, strict=True)):
                    continue  # the header again
                if all(said_by(row[2][place]).is_telling for place in figures):
                    below = table.place(row[0])
            refusals.refuse(row[0], row[1], why)
            continue
        if found:
            if below:
                text = Phrase("{place} begins another table; import each table as a file of its own", place=below)
                raise ConfigurationError(text)
            if found.bad and found.has_values:
                refusals.refuse(row[0], row[1], found.bad)
            yield found
    progress(done)


def _timed(
    rows: Iterator[tuple[FileRow, int | Refused]], layout: Layout, known: Known, refusals: RefusedRows
) -> Iterator[SortRow]:
    """Yield rows as sort tuples: the instant, its end or 0, the number of the row, the series, the figures."""
    has_end, count, zeros = layout.roles.end is not None, 0, 0
    for row, at in rows:
        if isinstance(at, int):
            count, zeros = count + 1, zeros + (not any(row[5:9]))
        elif at.reason == "no_such_time" and row.is_zero and zeros * _RARE < count:
            at = Refused("no_values", f"{at.detail}, and the figures are zero")  # a local clock's, of every day 24 h
        if row.bad and not row.has_values:
            why = at if isinstance(at, Refused) and at.reason == "ambiguous_time" else row.bad
            refusals.refuse(row.line, row.text, why)
            continue
        try:
            if isinstance(at, Refused):
                raise at
            check_instant_of(at + layout.late_s, known.now)
            if layout.is_instant:
                yield at + layout.late_s, 0, row.line, row.series, row.power_w, row.imported, row.exported, row.volume
            else:
                end = check_instant_of(end_of(at, row.time, row.end, 0, layout.zone), known.now) if has_end else 0
                yield at, end, row.line, row.series, row.imported, row.exported, row.volume
        except Refused as refused:
            refusals.refuse(row.line, row.text, refused)


def _spans(rows: Iterator[SortRow], layout: Layout, refusals: RefusedRows) -> Iterator[SortRow]:
    """Yield unique rows with the start and end of their interval; mean power becomes energy."""
    has_end = layout.roles.end is not None
    by_end = layout.edge == "end"
    for at, end, line, *figures in rows if has_end else lengths(rows, layout.step_s, is_by_end=by_end):
        start, end = (at, end) if has_end else _span(at, end, layout.zone, by_end=by_end)
        length = end - start
        if not 0 < length <= LONGEST_INTERVAL_S:
            refusals.refuse(line, str(refusals.place(line)), Refused("bad_interval", f"the interval lasts {length} s"))
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


def _heard(rows: SortedRows, progress: Progress) -> Iterator[SortRow]:
    """Yield rows that were counted when they were read; `progress` may stop it."""
    for number, row in enumerate(rows):
        if number % _A_STEP == 0:
            progress(0)
        yield row


def _previewed(done: Recognised, rows: Iterator[SortRow], known: Known, allowed: Sequence[str]) -> Understanding:
    """Return the understanding with totals, and the brakes that hold."""
    refusals, repeated = RefusedRows(done.refusals.place), Counter[bool]()
    preview = FileTotals(known.zone, is_instant=done.layout.is_instant)
    once = unique(rows, refusals, lambda: repeated.update([True]))
    if preview.is_instant:
        for at, _, _, _, *figures in once:
            preview.add(at, at, figures)
    else:
        for interval in done.intervals(once, refusals):
            preview.add(interval.start, interval.end, interval[3:6])
    is_by_midnight = any(one.why == BY_MIDNIGHT for one in done.understanding.choices)
    if is_by_midnight and preview.count >= SAMPLE_ROWS and preview.is_last_at_midnight(done.layout.zone, known.zone):
        done = done._replace(understanding=replace(done.understanding, doubts=(edge_doubt("the interval"),)))
    reasons = done.refusals.reasons + refusals.reasons
    return previewed(done.understanding, preview, reasons, repeated.total(), known, allowed)
