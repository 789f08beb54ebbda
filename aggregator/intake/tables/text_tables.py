"""A file's bytes as a table: its encoding, its delimiter, the lines before its header, its rows as cells of text.

The table begins at the row that looks like a header: names, followed by the most rows with as many cells, among them a
time and a number. Rows above it may name groups of columns, the row below it units. Other lines before it may say
something of the whole file (`about`), like a unit. A file without a header has the names `column 1`, `column 2`, ... A
cell of two times, `2026-01-31 00:00 to 2026-01-31 00:15`, is two cells. Rows are read line by line; nothing here grows
with the file.

`structured` makes the tables of other files.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import BinaryIO

from charset_normalizer import from_bytes

from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.core.readings import MAX_LINE
from aggregator.intake.tables.notation import is_time
from aggregator.intake.tables.table_shapes import WIDE, Cells, FileTable, slot_columns, spread_columns

SAMPLE = 1 << 18  # bytes at the beginning that decide encoding and delimiter
UNITS_ALONE = ("Wh", "kWh", "MWh", "W", "kW")  # a line of its own before the header
PREAMBLE = 60  # lines among which the header is searched
LOOKED_AT = 400  # lines of the sample that are compared
DELIMITERS = ";\t,|"
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CODE_PAGES = ["cp1252", "cp1250", "cp1251", "cp850", "cp932"]  # of suppliers; rare ones match too often
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,' \u00a0][0-9]{3})*(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_UNIT_ROW = re.compile(
    r"[\[(]?\s*(?:|[kM]?Wh?|m3|m³|kVArh|V|A|°C|[€£$]|EUR|GBP|date|time|datetime)\s*[\])]?"
    r"|\[[^\]]*\]|[dmyhs:./ -]{8,20}",
    re.IGNORECASE,
)
_SPAN = re.compile(r"\s+(?:to|bis|tot|til|-|–)\s+")


def text_table(stream: BinaryIO) -> FileTable:
    """Return the table of a text file; the stream can seek. Raises ConfigurationError for a file without a table."""
    head = _head(stream)
    encoding = encoding_of(head)
    lines = head.decode(encoding, errors="replace").splitlines()
    if head and len(head) == SAMPLE:
        del lines[-1:]
    if not any(line.strip() for line in lines):
        raise ConfigurationError(Phrase("the file is empty"))
    found = _delimiter(lines[:LOOKED_AT])
    rows = [cells(line, found) for line in lines[:LOOKED_AT]]
    span = span_of(rows)
    table = table_of([split(row, span) for row in rows])
    if table is None:
        text = Phrase("no row of the file looks like a header followed by times and numbers; is it a file of a meter?")
        raise ConfigurationError(text)
    names, first, about = table
    opened = partial(text_rows, stream, encoding, found, first, span)
    return FileTable("csv", names, opened, about, delimiter=found, encoding=encoding, header=first - 1)


def table_of(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], int, dict[str, str]] | None:
    """Return the names of the columns, the number of the first row, and what is said before; None without a table."""
    place = _header(rows)
    return None if place is None else (*_names(rows, place), _about(rows[: max(place, 0)]))


def _head(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read(SAMPLE)


def encoding_of(head: bytes) -> str:
    """Return the encoding of a text by its beginning; UTF-8 unless the bytes say otherwise."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if head[1::2].count(0) * 4 > len(head):
        return "utf-16-le"
    if head[::2].count(0) * 4 > len(head):
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        telling = b"".join(line for line in head.splitlines(keepends=True) if not line.isascii())[:20_000]
        best = from_bytes(telling, cp_isolation=_CODE_PAGES).best()
        return best.encoding if best and best.encoding != "utf_8" else "cp1252"
    return "utf-8"


def cells(line: str, delimiter: str) -> list[str]:
    """Split a line; quotes may hold the delimiter."""
    if delimiter == " ":
        return line.split()
    if '"' not in line:
        return line.rstrip("\r\n").split(delimiter)
    try:  # one reader per line: an unclosed quote costs one row, not the rest of the file
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True))
    except (csv.Error, StopIteration):
        return line.rstrip("\r\n").split(delimiter)


def span_of(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the place of the column whose cells are two times each; None without one."""
    places = Counter(
        place for row in rows for place, cell in enumerate(row) if 1 < sum(map(is_time, _SPAN.split(cell.strip()))) < 3
    )
    found = places.most_common(1)
    return found[0][0] if found and found[0][1] * 3 > len(rows) else None


def split(row: list[str], span: int | None) -> list[str]:
    """Return a row with two cells for one of two times; a name is that of a start and an end."""
    if span is None or not row[span:]:
        return row
    text = row[span].strip()
    parts = _SPAN.split(text) if text[:1].isdigit() else [f"{text} start", f"{text} end"] if text else ["", ""]
    return [*row[:span], *(parts if len(parts) == 2 else (text, "")), *row[span + 1 :]]


def text_rows(stream: BinaryIO, encoding: str, delimiter: str, first: int, span: int | None = None) -> Iterator[Cells]:
    stream.seek(0)
    reader = io.TextIOWrapper(stream, encoding, errors="replace")
    number = 0
    try:
        while line := reader.readline(MAX_LINE):
            number += 1
            if number >= first and not line.isspace():
                yield number, line, split(cells(line, delimiter), span)
    except UnicodeError as error:
        text = Phrase(
            "line {line} cannot be decoded as {encoding}; save the file as UTF-8", line=number + 1, encoding=encoding
        )
        raise ConfigurationError(text) from error
    finally:
        reader.detach()


def _delimiter(lines: Sequence[str]) -> str:
    """Return the delimiter by which the most lines have the same number of cells, two or more."""
    filled = [line for line in lines if line.strip()]
    best, most = ",", (0, 0)
    for one in DELIMITERS:
        counts = Counter(len(cells(line, one)) for line in filled)
        widest = max(counts, key=lambda count: (counts[count] if count > 1 else 0, count))
        if widest > 1 and (counts[widest], widest) > most:
            best, most = one, (counts[widest], widest)
    if most[0] * 2 < len(filled) and sum(len(line.split()) == 2 for line in filled) * 2 > len(filled):
        return " "
    return best


def is_number(text: str) -> bool:
    """Whether a cell looks like a number, in any notation."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _is_row(row: Sequence[str]) -> bool:
    """Whether a row has a time and a number beside it, or nothing but times."""
    timed = [place for place, text in enumerate(row) if is_time(text)]
    others = [text for place, text in enumerate(row) if timed and place != timed[0] and text.strip()]
    return bool(timed) and (any(map(is_number, others)) or (len(row) > 1 and all(map(_is_of_time, others))))


def _is_of_time(text: str) -> bool:
    return text.strip().replace(":", "").isdigit() or is_time(text)


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the place of the header; -1 where the table begins without one, None without a table."""
    for place, row in enumerate(rows[:PREAMBLE]):
        if spread_columns(row, next((one for one in rows[place + 2 :] if any(one)), ())):
            return place
    data = [_is_row(row) or sum(map(is_number, row)) >= WIDE for row in rows]
    best, most = None, 0
    for place, row in enumerate(rows[:PREAMBLE]):
        if not _is_header(row) or (place and _is_unit_row(row) and _is_header(rows[place - 1])):
            continue
        count = 0
        for later, is_data in zip(rows[place + 1 :], data[place + 1 :], strict=True):
            count += is_data and len(row) <= len(later) + 1 and len(later) <= len(row) + 1
        if count > most + (most >> 1):  # a later header needs clearly more rows, as each has those of the next
            best, most = place, count
        elif best is not None and count and not any(data[best + 1 : place]):
            best, most = place, count  # nothing but a preamble between the two
    first = next((place for place, is_data in enumerate(data) if is_data), None)
    if best is None or (first is not None and first < best and len(rows[first]) == len(rows[best])):
        return -1 if first == 0 else best
    return best


def _is_unit_row(row: Sequence[str]) -> bool:
    is_plain = len(set(row)) < 4 or any(cell.strip().startswith("[") for cell in row)
    return is_plain and any(map(str.strip, row)) and all(_UNIT_ROW.fullmatch(cell.strip()) for cell in row)


def _is_header(row: Sequence[str]) -> bool:
    named = [text for text in row if text.strip()]
    plain = [text for text in named if not is_number(text) and not is_time(text)]
    return len(named) >= 2 and bool(plain) and (len(plain) == len(named) or len(slot_columns(row)) >= WIDE)


def _names(rows: Sequence[Sequence[str]], place: int) -> tuple[tuple[str, ...], int]:
    """Return the names of the columns, and the line number of the first row."""
    if place < 0:
        return tuple(f"column {number}" for number in range(1, len(rows[0]) + 1)), 1
    names = _with_groups(rows, place)
    following = rows[place + 1] if place + 1 < len(rows) else []
    if _is_unit_row(following):
        more = [*following, *[""] * (len(names) - len(following))]
        names = [f"{name} {unit.strip()}".strip() for name, unit in zip(names, more, strict=False)]
    return _distinct(names), place + (3 if _is_unit_row(following) else 2)


def _with_groups(rows: Sequence[Sequence[str]], place: int) -> list[str]:
    """Return the names of a header with those of the groups above it, which stand over their first column."""
    names = [name.strip() for name in rows[place]]
    for row in reversed(rows[:place]):
        over = [cell.strip() for cell in row]
        is_group = len(names) - 1 <= len(over) <= len(names) + 1 and not (over[0] and names[0])
        if not is_group or sum(map(bool, over)) < 2 or any(is_number(one) or is_time(one) for one in over):
            break
        current = ""
        for column, one in enumerate(over[: len(names)]):
            current = one or current
            names[column] = ": ".join(filter(None, (current, names[column])))
    return names


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return names each of which is there once; the second of one name has its place, too."""
    return tuple(
        f"{name} (column {place})" if name and name in names[: place - 1] else name
        for place, name in enumerate(names, 1)
    )


def _about(rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return what the lines before the header say: rows of a name and a value, or of names over a row of values."""
    said: dict[str, str] = {}
    for row in rows:
        parts = [text.strip() for text in row]
        if len({part for part in parts if part}) == 1 and parts[0] in UNITS_ALONE:
            said["unit"] = parts[0]
        elif len([part for part in parts if part]) == 2 and parts[0]:
            said[parts[0]] = next(part for part in parts[1:] if part)
    for names, values in pairwise(rows):
        if (len(names) > 2 and 0 <= len(names) - len(values) <= 1) or len(values) - len(names) == 1 < len(names):
            said.update(
                {name.strip(): value.strip() for name, value in zip(names, values, strict=False) if name.strip()}
            )
    return said
