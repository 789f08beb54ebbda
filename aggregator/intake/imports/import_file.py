"""Open an import file of any format as rows of intervals or readings, line by line, in file order.

Octopus Energy's consumption comes as CSV from its pages or as JSON from its API, newest first::

    Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End
    {"results": [{"consumption": 0.063, "interval_start": "2026-02-01T00:00:00Z", "interval_end": "..."}]}

Its times carry their offset. Each row is the energy of half an hour in kWh, without a register. A file that matches no
format raises ConfigurationError; a bad row is refused by itself.
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
from aggregator.intake.imports.import_plan import Refuse
from aggregator.intake.imports.import_plan import Row as Sorted
from aggregator.intake.imports.row_times import Time, days_after, end_of, in_utc, read_time
from aggregator.intake.imports.rows import FileRow, Layout, energy_uwh, layout_of, row_of
from aggregator.intake.ingest import chunks

MOST_JSON = 16 << 20  # bytes; eight years of half hours
HALF_HOUR_S = 1800
JSON = Layout(",", {"time": 0, "end": 1, "import_kwh": 2}, 0, False, HALF_HOUR_S)


def is_json(beginning: bytes) -> bool:
    """Whether a file begins like JSON of the API."""
    return beginning.lstrip()[:1] in (b"{", b"[")


def octopus_layout(lines: Sequence[bytes]) -> Layout:
    """Return the layout of Octopus' CSV from its first lines. Raises ConfigurationError."""
    layout = layout_of(lines, {})
    if not {"time", "end", "import_kwh"} <= layout.places.keys():
        raise ConfigurationError(
            "the file has no columns Consumption (kwh), Start and End; use --format csv for other files"
        )
    return layout


def results_of(content: bytes) -> list[object]:
    """Return the results of the API, from one page or a list of pages. Raises ConfigurationError."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"the file begins like JSON but is invalid: {str(error)[:120]}") from error
    pages = found if isinstance(found, list) else [found]
    rows: list[object] = []
    for page in pages:
        results = page.get("results", page) if isinstance(page, dict) else page
        rows += results if isinstance(results, list) else [results]
    return rows


def row_of_result(text: bytes, number: int) -> FileRow:
    """Parse one JSON result of the API to a row. Raises Refused."""
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


# Files of any format
FORMATS = ("octopus", "dsmr", "csv")
SAMPLE = 1 << 20  # bytes at the beginning that decide format and layout
_A_STEP = 1000  # lines between reports of progress
Progress = Callable[[int], None]  # bytes or rows done since the last call


class ImportOptions(NamedTuple):
    """The options of an import."""

    device_id: str
    format: str  # one of FORMATS
    zone: str  # the time zone of times without an offset
    columns: Mapping[str, str]
    interval_s: int | None
    now: int  # UTC seconds


class Opened(NamedTuple):
    """An open file: its rows in file order, as tuples for sorting."""

    rows: Iterator[Sorted]
    is_intervals: bool
    step_s: int | None = None  # the most common step between rows
    unit: str = "line"  # the unit that row numbers count


def opened_file(stream: BinaryIO, asked: ImportOptions, refuse: Refuse, progress: Progress) -> Opened:
    """Open a file; its beginning decides the format. Raises ConfigurationError where the named format differs."""
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
            f"the JSON is larger than {MOST_JSON >> 20} MB; request shorter periods from the API, one file each"
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
    """Return the length of an interval without an end column. Raises ConfigurationError."""
    seconds = asked.interval_s or layout.step_s or 0
    if not 0 < seconds <= DAY_S:
        found = f"its rows are {seconds} s apart" if seconds else "there is no second row"
        raise ConfigurationError(
            f"the length of the file's intervals is unknown, {found}; name it with --interval, like --interval 30m"
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
    """Yield rows as sort tuples: the instant, the rest of the key, the line number, the figures."""
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
    """Return the start and end of an interval (UTC seconds). Raises Refused."""
    seconds = layout.step_s or 0
    if layout.is_by_end:
        start, end = days_after(at, -1, asked.zone) if seconds == DAY_S else at - seconds, at
    else:
        start, end = at, end_of(at, row.time, row.end, seconds, asked.zone)
    check_instant_of(start, asked.now)
    check_instant_of(end, asked.now)
    return start, end


def _telegrams(lines: Iterator[bytes], asked: ImportOptions, refuse: Refuse) -> Iterator[Sorted]:
    origin, line_number = Origin(asked.device_id, asked.now), 0

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
