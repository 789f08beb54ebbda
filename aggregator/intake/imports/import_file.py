"""A file of any format as rows of intervals or of readings, line by line, in the order of the file.

Octopus Energy's consumption: the CSV that its pages give, and the JSON of its API, newest first. Pure.

    Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End
    {"results": [{"consumption": 0.063, "interval_start": "2026-02-01T00:00:00Z", "interval_end": "..."}]}

Times have the offset of their moment. Each row is the energy of half an hour; there is no register.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import BinaryIO, NamedTuple

import orjson

from aggregator.core.errors import ConfigurationError, Refused, shown
from aggregator.core.periods import DAY_S
from aggregator.intake.formats import dsmr
from aggregator.intake.formats.message import Origin, check_instant_of
from aggregator.intake.imports.interval_registers import Refuse
from aggregator.intake.imports.interval_registers import Row as Sorted
from aggregator.intake.imports.row_times import Time, days_after, end_of, in_utc, read_time
from aggregator.intake.imports.rows import FileRow, Layout, energy_uwh, layout_of, row_of
from aggregator.intake.ingest import chunks

MOST_JSON = 16 << 20  # bytes; the half hours of eight years
HALF_HOUR_S = 1800
JSON = Layout(",", {"time": 0, "end": 1, "import_kwh": 2}, 0, False, HALF_HOUR_S)


def is_json(beginning: bytes) -> bool:
    """Whether a file is of the API."""
    return beginning.lstrip()[:1] in (b"{", b"[")


def octopus_layout(lines: Sequence[bytes]) -> Layout:
    """How the CSV is written, from its first lines. Raises ConfigurationError."""
    layout = layout_of(lines, {})
    if not {"time", "end", "import_kwh"} <= layout.places.keys():
        raise ConfigurationError("the file has no Consumption (kwh), Start and End; of others say --format csv")
    return layout


def results_of(content: bytes) -> list[object]:
    """The results of the API, one page or several in a list. Raises ConfigurationError."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"the file begins like JSON, but is none: {str(error)[:120]}") from error
    pages = found if isinstance(found, list) else [found]
    rows: list[object] = []
    for page in pages:
        results = page.get("results", page) if isinstance(page, dict) else page
        rows += results if isinstance(results, list) else [results]
    return rows


def row_of_result(text: bytes, number: int) -> FileRow:
    """One result of the API, as JSON, as a row. Raises Refused."""
    result = orjson.loads(text)
    if not isinstance(result, dict):
        raise Refused("not_an_object", f"got {shown(result)}")
    time, end = _time(result, "interval_start"), _time(result, "interval_end")
    if "consumption" not in result:
        raise Refused("bad_row", "it has no consumption")
    figure = result["consumption"]
    energy = None if figure is None else energy_uwh(str(figure), 1000)
    if energy is None:
        raise Refused("no_values", "its consumption has no value")
    return FileRow(number, text, time, end, energy)


def _time(result: dict[str, object], key: str) -> Time:
    text = result.get(key)
    if not isinstance(text, str):
        raise Refused("bad_time", f"{key} is {shown(text)}")
    return read_time(text)


# import file

FORMATS = ("octopus", "dsmr", "csv")
SAMPLE = 1 << 20  # bytes; the beginning that tells how a file is written
_A_STEP = 1000  # lines between reports of progress
Progress = Callable[[int], None]  # so much more is done


class ImportOptions(NamedTuple):
    """What is asked for."""

    device_id: str
    format: str  # one of FORMATS
    zone: str  # of local times without an offset
    columns: Mapping[str, str]
    interval_s: int | None
    now: int  # UTC seconds


class Opened(NamedTuple):
    """What a file holds: rows in the order of the file, as they are sorted."""

    rows: Iterator[Sorted]
    is_intervals: bool
    step_s: int | None = None  # the commonest time between rows
    unit: str = "line"  # what the numbers of rows count


def opened_file(stream: BinaryIO, asked: ImportOptions, refuse: Refuse, progress: Progress) -> Opened:
    """A file, with its format told by its beginning. Raises ConfigurationError where it is of another."""
    if asked.format == "octopus" and _is_json(stream):
        return _json(stream, asked, refuse, progress)
    lines = _lines(stream, progress)
    if asked.format == "dsmr":
        return Opened(_telegrams(lines, asked, refuse), is_intervals=False)
    return _csv(lines, asked, refuse)


def _is_json(stream: BinaryIO) -> bool:
    beginning = stream.read(64) if stream.seekable() else b""
    if beginning:
        stream.seek(0)
    return is_json(beginning)


def _lines(stream: BinaryIO, progress: Progress) -> Iterator[bytes]:
    for some in chunks(stream):
        for first in range(0, len(some), _A_STEP):
            step = some[first : first + _A_STEP]
            yield from step
            progress(sum(map(len, step)) + len(step))


def _json(stream: BinaryIO, asked: ImportOptions, refuse: Refuse, progress: Progress) -> Opened:
    content = stream.read(MOST_JSON + 1)
    if len(content) > MOST_JSON:
        raise ConfigurationError(
            f"the JSON is larger than {MOST_JSON >> 20} MB; ask the API for shorter periods, a file each"
        )
    progress(len(content))
    results = ((number, orjson.dumps(result)) for number, result in enumerate(results_of(content), 1))
    found = _read(results, row_of_result, refuse)
    return Opened(_timed(found, JSON, asked, refuse), is_intervals=True, unit="result")


def _csv(lines: Iterator[bytes], asked: ImportOptions, refuse: Refuse) -> Opened:
    first, size = list[bytes](), 0
    for line in lines:
        first.append(line)
        size += len(line)
        if size > SAMPLE:
            break
    layout = octopus_layout(first) if asked.format == "octopus" else layout_of(first, asked.columns)
    if layout.is_intervals and (layout.is_by_end or "end" not in layout.places):
        layout = layout._replace(step_s=_interval_s(layout, asked))
    written = ((number, line) for number, line in enumerate(chain(first, lines), 1) if number > layout.header)
    found = _read(written, partial(row_of, layout=layout), refuse)
    return Opened(_timed(found, layout, asked, refuse), layout.is_intervals, layout.step_s)


def _interval_s(layout: Layout, asked: ImportOptions) -> int:
    """How long an interval is that has no end of its own. Raises ConfigurationError."""
    seconds = asked.interval_s or layout.step_s or 0
    if seconds % 60 or not 60 <= seconds <= DAY_S:
        found = f"its rows are {seconds} s apart" if seconds else "there is no second row"
        raise ConfigurationError(
            f"how long an interval of the file is cannot be told, {found}; say it like --interval 30m"
        )
    return seconds


def _read(
    lines: Iterable[tuple[int, bytes]], read: Callable[[bytes, int], FileRow], refuse: Refuse
) -> Iterator[FileRow]:
    for number, line in lines:
        if line.strip():
            try:
                yield read(line, number)
            except Refused as why:
                refuse(number, line, why)


def _timed(rows: Iterable[FileRow], layout: Layout, asked: ImportOptions, refuse: Refuse) -> Iterator[Sorted]:
    """Rows with their instants, as they are sorted: the instant, what else tells them apart, the line, the figures."""
    for row, at in in_utc(rows, asked.zone):
        try:
            if isinstance(at, Refused):
                raise at
            check_instant_of(at, asked.now)
            if layout.is_intervals:
                start, end = _span(row, at, layout, asked)
                yield start, end, row.line, row.import_uwh, row.export_uwh
            else:
                yield at, asked.device_id, row.line, row.power_w, row.import_wh, row.export_wh, None
        except Refused as why:
            refuse(row.line, row.text, why)


def _span(row: FileRow, at: int, layout: Layout, asked: ImportOptions) -> tuple[int, int]:
    """The start and the end of an interval. Raises Refused."""
    seconds = layout.step_s or 0
    if layout.is_by_end:
        start, end = days_after(at, -1, asked.zone) if seconds == DAY_S else at - seconds, at
    else:
        start, end = at, end_of(at, row.time, row.end, seconds, asked.zone)
    check_instant_of(start, asked.now)
    check_instant_of(end, asked.now)
    return start, end


def _telegrams(lines: Iterator[bytes], asked: ImportOptions, refuse: Refuse) -> Iterator[Sorted]:
    origin, line_number = Origin(asked.device_id, asked.now, asked.zone), 0

    def numbered() -> Iterator[bytes]:
        nonlocal line_number
        for line_number, line in enumerate(lines, 1):  # noqa: B007 - it is the number of the last line that was read
            yield line + b"\n"

    for telegram in dsmr.telegrams(numbered()):
        try:
            content = dsmr.parse_dsmr(telegram, origin)
        except Refused as why:
            refuse(line_number, telegram, why)
            continue
        for unread in content.refused:
            refuse(line_number, unread.payload, unread.why)
        for one in content.readings:
            yield one.at, one.device_id, line_number, *one[2:]
