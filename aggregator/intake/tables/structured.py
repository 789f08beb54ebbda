"""Files of any structure as tables: archives, Excel, JSON, Green Button XML, NEM12, telegrams, logs of messages.

`open_table` looks at the content, never at the name. Each opener returns a `FileTable` whose columns have names that
`vocabulary` reads, so that everything after it is the same for all files. A table with a column for each time of a day
becomes one with a row for each.

`table_apart` opens all but plain text in a process of its own, with little memory and time: a few bytes can ask for any
amount of either, and a library that gets none may abort its process.
"""

import gzip
import io
import json
import os
import resource
import signal
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from tempfile import TemporaryFile
from typing import IO, BinaryIO, NamedTuple

import orjson
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from aggregator.core.errors import ConfigurationError, Phrase, Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import GAS
from aggregator.intake.formats import Logged, is_log, logged_messages, logged_telegrams
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.tables.json_tables import cell_text, json_table
from aggregator.intake.tables.standards import espi_table, nem12_table
from aggregator.intake.tables.table_shapes import SHEET_ROWS, Cells, FileTable, shaped
from aggregator.intake.tables.text_tables import (
    LOOKED_AT,
    cells,
    encoding_of,
    span_of,
    split,
    table_of,
    text_table,
)

STRUCTURES = ("CSV", "JSON", "Excel", "MQTT log", "DSMR telegrams", "a zip or gzip of one of these")
MOST_INFLATED = 50 << 20  # bytes
_HEAD = 1 << 16
_DAMAGED = (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error, RuntimeError)  # of an archive
_OLE, _ZIP, _GZIP = b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"\x1f\x8b"


def open_table(stream: BinaryIO, origin: Origin, *, is_inside: bool = False) -> FileTable:
    """Return the table of a file; messages in it are of `origin`'s device. Raises ConfigurationError."""
    stream = stream if stream.seekable() else _copied(stream)
    stream.seek(0)
    head = stream.read(_HEAD)
    if head.startswith(_GZIP) or (head.startswith(_ZIP) and not _is_workbook(stream)):
        if is_inside:  # an archive can hold itself
            raise ConfigurationError(Phrase("it is an archive in an archive; import the file in it"))
        return open_table(_inflated(stream, head), origin, is_inside=True)
    if head.startswith((_OLE, _ZIP)):
        return shaped(_excel(stream))
    return shaped(_opened(stream, _lines(head), origin))


def _lines(head: bytes) -> list[str]:
    return head.decode(encoding_of(head), errors="replace").lstrip("\ufeff \r\n\t").splitlines() or [""]


def _opened(stream: BinaryIO, lines: Sequence[str], origin: Origin) -> FileTable:
    first = lines[0]
    if first.startswith("<"):
        return espi_table(stream)
    if first.startswith(("{", "[")):
        return json_table(stream)
    if first.startswith("100,NEM13"):
        text = Phrase("NEM13 has a read of a meter every few months; ask for the interval data, NEM12")
        raise ConfigurationError(text)
    if first.startswith(("100,NEM12", "200,")):
        return nem12_table(stream)
    if first.startswith("/") and any(line.startswith(("1-0:", "0-0:")) for line in lines):
        return FileTable("DSMR telegrams", _READING, partial(_reading_rows, logged_telegrams, stream, origin), {})
    if is_log(lines):
        return FileTable("MQTT log", _READING, partial(_reading_rows, logged_messages, stream, origin), {})
    return text_table(stream)


def _is_workbook(stream: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(name.startswith(("xl/", "content.xml")) for name in archive.namelist())
    except _DAMAGED as error:
        raise ConfigurationError(Phrase("the archive is damaged: {fault}", fault=str(error)[:80])) from error


def _inflated(stream: BinaryIO, head: bytes) -> BinaryIO:
    """Return the content of an archive of one file."""
    stream.seek(0)
    try:
        if head.startswith(_GZIP):
            return _copied(gzip.GzipFile(fileobj=stream))
        with zipfile.ZipFile(stream) as archive:
            files = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")]
            if len(files) != 1:
                text = Phrase("the archive has {number} files; import them one by one", number=len(files))
                raise ConfigurationError(text)
            if files[0].flag_bits & 1:
                raise ConfigurationError(Phrase("the archive is encrypted; import the file in it"))
            return _copied(archive.open(files[0]))
    except _DAMAGED as error:
        raise ConfigurationError(Phrase("the archive is damaged: {fault}", fault=str(error)[:80])) from error


def _copied(source: IO[bytes] | gzip.GzipFile) -> BinaryIO:
    copy = io.BytesIO()
    for data in _bounded([source]):
        copy.write(data)
    return copy


def _bounded(sources: Iterable[IO[bytes] | gzip.GzipFile]) -> Iterator[bytes]:
    """Yield all that some files hold together, up to MOST_INFLATED."""
    size = 0
    for source in sources:
        while data := source.read(1 << 20):
            size += len(data)
            if size > MOST_INFLATED:
                most = MOST_INFLATED >> 20
                raise ConfigurationError(Phrase("the file holds more than {most} MB; import it in parts", most=most))
            yield data


def _excel(stream: BinaryIO) -> FileTable:
    """Return the first sheet that holds a table, with those of the same columns, which a column then tells apart."""
    stream.seek(0)
    try:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                for _ in _bounded(map(archive.open, archive.infolist())):
                    continue
        stream.seek(0)
        book = CalamineWorkbook.from_filelike(stream)
        sheets = [_sheet(book.get_sheet_by_index(place), place) for place in range(len(book.sheet_names))]
    except BaseException as error:
        is_damaged = type(error).__name__ == "PanicException"  # of Rust, which is no Exception of Python
        if not is_damaged and not isinstance(error, (CalamineError, *_DAMAGED)):
            raise
        raise ConfigurationError(Phrase("the workbook cannot be read: {fault}", fault=str(error)[:80])) from error
    tables = [(found, sheet) for sheet in sheets if (found := table_of(sheet.rows[:LOOKED_AT]))]
    if not tables:
        raise ConfigurationError(Phrase("no sheet of the workbook has a header followed by times and numbers"))
    names, first, about = tables[0][0]
    same = [
        sheet._replace(rows=sheet.rows[found[1] - 1 :], first=sheet.first + found[1] - 1)
        for found, sheet in tables
        if found[0] == names
    ]
    titles = tuple(book.sheet_names) if len(sheets) > 1 else ()
    width = len(names) if len(same) > 1 else 0
    columns = (*names, "sheet") if width else names
    return FileTable("Excel", columns, partial(_numbered, same, width), about, "row", header=first - 1, sheets=titles)


class _Sheet(NamedTuple):
    name: str
    rows: list[list[str]]
    first: int  # the number of the first row, of those of all sheets


def _sheet(sheet: CalamineSheet, place: int) -> _Sheet:
    """Return the rows of a sheet from the first one in use; a row in one cell is one of CSV."""
    rows = [[*map(cell_text, row)] for row in sheet.to_python()]
    if all(len([cell for cell in row if cell]) <= 1 for row in rows):
        rows = [cells("".join(row), ";") for row in rows]
    if (span := span_of(rows[:LOOKED_AT])) is not None:
        rows = [split(row, span) for row in rows]
    return _Sheet(sheet.name, rows, place * SHEET_ROWS + (sheet.start or (0, 0))[0] + 1)


def _numbered(sheets: Sequence[_Sheet], width: int) -> Iterator[Cells]:
    """Yield the rows of sheets; those of several have the name of their sheet after `width` columns."""
    for sheet in sheets:
        for number, row in enumerate(sheet.rows, sheet.first):
            if any(row):
                named = [*row, *[""] * (width - len(row)), sheet.name] if width else row
                yield number, ";".join(named), named


# Apart

MOST_MEMORY = 1 << 30  # bytes of the process that opens a file, with its libraries
MOST_SECONDS = 30  # of a processor
MOST_KEPT = 256 << 20  # bytes of the rows that it writes
_LONGEST_ROW = 8 << 20  # bytes
_REFUSED, _FULL = 2, 3  # exit codes
_PROGRAM = "import sys; from aggregator.intake.tables.structured import write_table; sys.exit(write_table(sys.argv[1]))"
_TOO_MUCH = Phrase("reading the file takes too much memory or time; import it in parts, or as CSV")


@contextmanager
def table_apart(stream: BinaryIO, origin: Origin) -> Iterator[FileTable]:
    """Open a file of the disk like `open_table`; all but plain text in another process. Raises ConfigurationError.

    That process writes the rows to an unnamed file, which is there until the end of the context.
    """
    if not stream.seekable() or _is_plain(stream):
        yield open_table(stream, origin)
        return
    place = os.lseek(stream.fileno(), 0, os.SEEK_CUR)  # `stream` relies on it, and the other process moves it
    os.lseek(stream.fileno(), 0, os.SEEK_SET)
    with TemporaryFile() as kept:
        done = subprocess.run(  # noqa: S603 - Python itself
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(origin)],
            stdin=stream,
            stdout=kept,
            stderr=subprocess.PIPE,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},  # no secret
            check=False,
        )
        os.lseek(stream.fileno(), place, os.SEEK_SET)
        if done.returncode == _REFUSED:
            template, values = orjson.loads(done.stderr.splitlines()[-1])
            raise ConfigurationError(template if values is None else Phrase(template, **values))
        if done.returncode < 0 or done.returncode == _FULL:
            raise ConfigurationError(_TOO_MUCH)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:].decode(errors="replace"))
        kept.seek(0)
        file_format, names, *more, sheets = orjson.loads(kept.readline())
        rows = partial(_kept_rows, kept, kept.tell())
        yield FileTable(file_format, tuple(names), rows, *more)._replace(sheets=tuple(sheets))


def _is_plain(stream: BinaryIO) -> bool:
    stream.seek(0)
    head = stream.read(_HEAD)
    return not head.startswith((_OLE, _ZIP, _GZIP)) and not _lines(head)[0].startswith(("<", "{", "["))


def _kept_rows(kept: IO[bytes], first: int) -> Iterator[Cells]:
    kept.seek(first)
    while line := kept.readline():
        number, text, row = orjson.loads(line)
        yield number, text, row


def write_table(origin: str) -> int:
    """Write the table of the file at stdin to stdout, a line of its fields and one for each row; return the exit code.

    The reason of a refusal goes to stderr. This is the other process of `table_apart`, and limits itself.
    """
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_KEPT, MOST_KEPT))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    device_id, now, rules, *more = json.loads(origin)
    try:
        table = open_table(sys.stdin.buffer, Origin(device_id, now, DeviceRules(*rules), *more))
        head = [*table[:2], *table[3:]]  # all but the rows
        for part in chain([head], table.rows()):
            line = orjson.dumps(part, option=orjson.OPT_APPEND_NEWLINE)
            if len(line) > _LONGEST_ROW:
                return _FULL
            sys.stdout.buffer.write(line)
    except ConfigurationError as error:
        fault = error.args[0]
        print(json.dumps([getattr(fault, "template", fault), getattr(fault, "values", None)]), file=sys.stderr)
        return _REFUSED
    except MemoryError:
        return _FULL
    return 0


# Messages

_READING = ("time", "device", "power W", "import register Wh", "export register Wh", "gas register m3")


_Parts = Callable[[BinaryIO, Origin], Iterator[Logged]]


def _reading_rows(parts: _Parts, stream: BinaryIO, origin: Origin) -> Iterator[Cells]:
    """Yield the readings of messages, of the gas meter alone or without it; a refusal stands in place of the time."""
    stream.seek(0)
    for number, text, part in parts(stream, origin):
        shown = text[:200].decode(errors="replace")
        if isinstance(part, Refused):
            yield number, shown, [f"!{part}", "", "", "", "", ""]
        elif part.device_id.endswith(GAS) == origin.device_id.endswith(GAS):
            gas = "" if part.volume_l is None else f"{part.volume_l / 1000:.3f}"
            figures = ["" if value is None else str(value) for value in part[2:5]]
            yield number, shown, [iso_utc(part.at), part.device_id, *figures, gas]
