"""Files of any structure as tables: archives, Excel, JSON, Green Button XML, NEM12, telegrams, logs of messages.

`open_table` looks at the content, never at the name. Each opener returns a `FileTable` whose columns have names that
`vocabulary` reads, so that everything after it is the same for all files. A table with a column for each time of a day
becomes one with a row for each. What is inflated or held in memory is bounded.
"""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import IO, Any, BinaryIO
from xml.etree.ElementTree import ParseError

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse
from python_calamine import CalamineError, CalamineWorkbook

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import GAS
from aggregator.intake.formats import Logged, is_log, logged_messages, logged_telegrams
from aggregator.intake.formats.message import Origin
from aggregator.intake.imports.text_tables import (
    LOOKED_AT,
    Cells,
    FileTable,
    cells,
    encoding_of,
    nem12_table,
    table_of,
    text_table,
    unpivoted,
)

STRUCTURES = ("CSV", "JSON", "Excel", "MQTT log", "DSMR telegrams", "a zip or gzip of one of these")
MOST_JSON = 16 << 20  # bytes; eight years of half hours
MOST_INFLATED = 50 << 20  # bytes
_HEAD = 1 << 16
_OLE, _ZIP, _GZIP = b"\xd0\xcf\x11\xe0", b"PK\x03\x04", b"\x1f\x8b"


def open_table(stream: BinaryIO, origin: Origin) -> FileTable:
    """Return the table of a file; messages in it are of `origin`'s device. Raises ConfigurationError."""
    stream = stream if stream.seekable() else _copied(stream, "the input")
    stream.seek(0)
    head = stream.read(_HEAD)
    if head.startswith(_GZIP) or (head.startswith(_ZIP) and not _is_workbook(stream)):
        return open_table(_inflated(stream, head), origin)
    if head.startswith((_OLE, _ZIP)):
        return unpivoted(_excel(stream))
    lines = head.decode(encoding_of(head), errors="replace").lstrip("\ufeff \r\n\t").splitlines() or [""]
    return unpivoted(_opened(stream, lines, origin))


def _opened(stream: BinaryIO, lines: Sequence[str], origin: Origin) -> FileTable:
    first = lines[0]
    if first.startswith("<"):
        return _espi(stream)
    if first.startswith(("{", "[")):
        return _json(stream)
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
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ConfigurationError(f"the file begins like a ZIP archive but is invalid: {str(error)[:80]}") from error


def _inflated(stream: BinaryIO, head: bytes) -> BinaryIO:
    """Return the content of an archive of one file."""
    stream.seek(0)
    try:
        if head.startswith(_GZIP):
            return _copied(gzip.GzipFile(fileobj=stream), "the archive")
        with zipfile.ZipFile(stream) as archive:
            files = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX")]
            if len(files) != 1:
                raise ConfigurationError(f"the archive has {len(files)} files; import them one by one")
            return _copied(archive.open(files[0]), "the archive")
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise ConfigurationError(f"the archive cannot be opened: {str(error)[:80]}") from error


def _copied(source: IO[bytes] | gzip.GzipFile, what: str) -> BinaryIO:
    copy = io.BytesIO()
    while data := source.read(1 << 20):
        copy.write(data)
        if copy.tell() > MOST_INFLATED:
            raise ConfigurationError(f"{what} holds more than {MOST_INFLATED >> 20} MB; import it in parts")
    return copy


def _excel(stream: BinaryIO) -> FileTable:
    """Return the first sheet that holds a table."""
    stream.seek(0)
    try:
        book = CalamineWorkbook.from_filelike(stream)
        sheets = [[[*map(_text, row)] for row in book.get_sheet_by_name(name).to_python()] for name in book.sheet_names]
    except (CalamineError, OSError, ValueError) as error:
        raise ConfigurationError(f"the workbook cannot be read: {str(error)[:80]}") from error
    for rows in sheets:
        if rows and all(len([cell for cell in row if cell]) <= 1 for row in rows):
            rows = [cells("".join(row), ";") for row in rows]
        found = table_of(rows[:LOOKED_AT])
        if found:
            names, first, about = found
            return FileTable("Excel", names, partial(_numbered, rows, first), about, "row", header=first - 1)
    raise ConfigurationError("no sheet of the workbook has a header followed by times and numbers")


def _numbered(rows: Sequence[list[str]], first: int) -> Iterator[Cells]:
    for number, row in enumerate(rows[first - 1 :], first):
        if any(row):
            yield number, ";".join(row), row


def _text(value: object) -> str:
    """Return a cell or a JSON value as text."""
    if isinstance(value, datetime):
        return (value + timedelta(milliseconds=500)).replace(microsecond=0).isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value // timedelta(hours=1):02d}:{value // timedelta(minutes=1) % 60:02d}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return "" if value is None else str(value)


def _json(stream: BinaryIO) -> FileTable:
    stream.seek(0)
    content = stream.read(MOST_JSON + 1)
    if len(content) > MOST_JSON:
        raise ConfigurationError(
            f"the JSON is larger than {MOST_JSON >> 20} MB; request shorter periods, one file each"
        )
    try:
        found = list(_records(_decoded(content), {}))
    except RecursionError:
        raise ConfigurationError("the JSON is nested too deep") from None
    names = tuple(dict.fromkeys(name for record in found for name in record))
    if not names:
        raise ConfigurationError("the JSON has no list of records with a time and a figure")
    rows = [[_text(record.get(name)) for name in names] for record in found]
    return FileTable(
        "JSON", names, lambda: ((number, ";".join(row), row) for number, row in enumerate(rows, 1)), {}, "result"
    )


def _decoded(content: bytes) -> object:
    content = content.decode(encoding_of(content[:_HEAD]), errors="replace").lstrip("\ufeff").encode()
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        lines = [line for line in content.splitlines() if line.strip()]
        try:
            if len(lines) > 1:
                return [orjson.loads(line) for line in lines]
        except orjson.JSONDecodeError:
            pass
        raise ConfigurationError(f"the file begins like JSON but is invalid: {str(error)[:120]}") from error


_Record = dict[str, object]


def _records(value: object, inherited: _Record, series: str = "") -> Iterator[_Record]:
    """Yield the records of a JSON document: the objects (or pairs) in its lists, with what surrounds them."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, list) and item and not isinstance(item[0], dict | list):
                yield inherited | {f"column {place}": one for place, one in enumerate(item, 1)}
            else:
                yield from _records(item, inherited, series)
    elif isinstance(value, dict) and isinstance(value.get("keys"), list) and isinstance(value.get("data"), list):
        yield from _keyed(value["keys"], value["data"])
    elif isinstance(value, dict):
        own = inherited | _scalars(value)
        lists = {str(key): one for key, one in value.items() if _has_list(one)}
        if not lists and own:
            yield own
        for key, one in lists.items():
            named = {"series": key} if len(lists) > 1 or "." in key else {}
            yield from _records(one, own | named, key)


def _scalars(value: Mapping[str, object], prefix: str = "") -> _Record:
    found: _Record = {}
    for key, one in value.items():
        if isinstance(one, dict) and not _has_list(one):
            found |= _scalars(one, f"{prefix}{key} ")
        elif not isinstance(one, dict | list):
            found[f"{prefix}{key}"] = one
    return found


def _has_list(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, dict | list) for one in value)
    return isinstance(value, dict) and any(map(_has_list, value.values()))


def _keyed(keys: Sequence[object], blocks: Iterable[object]) -> Iterator[_Record]:
    """Yield the rows of Shelly's `EMData.GetData`: blocks of rows of one period, under common keys."""
    for block in blocks:
        if isinstance(block, dict) and isinstance(block.get("ts"), int) and isinstance(block.get("values"), list):
            step = period if isinstance(period := block.get("period"), int) else 60
            for place, row in enumerate(row for row in block["values"] if isinstance(row, list)):
                yield {"timestamp": block["ts"] + place * step, **dict(zip(map(str, keys), row, strict=False))}


# Green Button: ESPI

_FLOWS = {"1": "import", "19": "export"}
_UOMS = {"72": "Wh", "38": "W", "42": "m3", "119": "therm", "73": "varh"}


def _espi(stream: BinaryIO) -> FileTable:
    names = ("start", "end", "flow", "usage", "unit")
    types = dict(_reading_types(stream))
    return FileTable("Green Button", names, partial(_interval_readings, stream, types), {}, "reading")


def _events(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    stream.seek(0)
    try:
        for _, element in iterparse(stream, events=("end",)):
            yield element.tag.rpartition("}")[2], element
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ConfigurationError(f"the file begins like XML but is invalid: {str(error)[:80]}") from error


def _reading_types(stream: BinaryIO) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each meter reading (by its address) with its type; and the type alone under an empty address."""
    related: dict[str, list[str]] = {}
    types: dict[str, dict[str, str]] = {}
    for tag, element in _events(stream):
        if tag == "entry":
            links = _links(element)
            address = dict(links).get("self", "")
            for one in element.iter():
                name = one.tag.rpartition("}")[2]
                if name == "ReadingType":
                    types[address] = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in one}
                elif name == "MeterReading":
                    related[address] = [href for rel, href in links if rel == "related"]
            element.clear()
    if len(types) == 1:
        yield "", next(iter(types.values()))
    for address, hrefs in related.items():
        known = next((types[href] for href in hrefs if href in types), None)
        if known is not None:
            yield address, known


def _links(entry: Any) -> list[tuple[str, str]]:  # noqa: ANN401 - defusedxml names no types
    return [(one.get("rel", ""), one.get("href", "")) for one in entry if one.tag.endswith("}link")]


def _interval_readings(stream: BinaryIO, types: Mapping[str, Mapping[str, str]]) -> Iterator[Cells]:
    number, block = 0, list[tuple[str, str, str]]()
    for tag, element in _events(stream):
        if tag == "IntervalReading":
            found = {one.tag.rpartition("}")[2]: (one.text or "").strip() for one in element.iter()}
            block.append((found.get("start", ""), found.get("duration", ""), found.get("value", "")))
            element.clear()
        elif tag == "entry":
            address = dict(_links(element)).get("self", "")
            own = [one for name, one in types.items() if name and address.startswith(f"{name}/")]
            kind = own[0] if own else types.get("", {})
            for row in block:
                number += 1
                yield number, " ".join(row), _espi_cells(row, kind)
            block.clear()
            element.clear()


def _espi_cells(row: tuple[str, str, str], kind: Mapping[str, str]) -> list[str]:
    start, duration, value = row
    flow, unit = _FLOWS.get(kind.get("flowDirection", ""), ""), _UOMS.get(kind.get("uom", ""), "")
    end = str(int(start) + int(duration)) if start.isdecimal() and duration.isdecimal() else ""
    return [start, end, flow, f"{value}e{kind.get('powerOfTenMultiplier') or 0}" if value else "", unit]


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
