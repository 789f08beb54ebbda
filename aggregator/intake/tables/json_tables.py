"""JSON as a table: the records in its lists, with what surrounds them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import BinaryIO

import orjson

from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.intake.tables.table_shapes import FileTable
from aggregator.intake.tables.text_tables import encoding_of

MOST_JSON = 16 << 20  # bytes; eight years of half hours
MOST_CELLS = 5_000_000  # records times names; records of different names make any number of a small file
_HEAD = 1 << 16


def cell_text(value: object) -> str:
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


def json_table(stream: BinaryIO) -> FileTable:
    stream.seek(0)
    content = stream.read(MOST_JSON + 1)
    if len(content) > MOST_JSON:
        text = Phrase("the JSON is larger than {most} MB; request shorter periods, one file each", most=MOST_JSON >> 20)
        raise ConfigurationError(text)
    found, held = list[_Record](), dict[str, None]()
    try:
        for record in _records(_decoded(content), {}):
            found.append(record)
            held |= dict.fromkeys(record)
            if len(found) * len(held) > MOST_CELLS:
                raise ConfigurationError(Phrase("the records of the JSON have too many different names"))
    except RecursionError:
        raise ConfigurationError(Phrase("the JSON is nested too deep")) from None
    names = tuple(held)
    if not names:
        raise ConfigurationError(Phrase("the JSON has no list of records with a time and a figure"))
    rows = [[cell_text(record.get(name)) for name in names] for record in found]
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
        text = Phrase("the file begins like {format} but is invalid: {fault}", format="JSON", fault=str(error)[:120])
        raise ConfigurationError(text) from error


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
    elif isinstance(value, dict) and _POINTS & value.keys() and "resolution" in value:
        yield from _points(value, inherited)
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


_POINTS = {"Point", "points"}
_RESOLUTION = re.compile(r"PT([0-9]{1,3})([MH])")


def _points(period: Mapping[str, object], inherited: _Record) -> Iterator[_Record]:
    """Yield the points of a period (IEC 62325): each has a position, counted from 1 in steps of the resolution."""
    found = _scalars(period)
    start, last = (str(next((found[one] for one in found if one.endswith(edge)), "")) for edge in ("start", "end"))
    resolution = _RESOLUTION.fullmatch(str(period["resolution"]))
    step = timedelta(minutes=int(resolution[1]) * (60 if resolution[2] == "H" else 1)) if resolution else None
    points = period.get("Point") or period.get("points")
    for point in points if isinstance(points, list) else []:
        fields = _scalars(point) if isinstance(point, dict) else {}
        try:
            place = int(str(fields.pop("position", "")))
            first = datetime.fromisoformat(start)
            times = (first + (place - 1) * step, first + place * step) if step else (start, last)
        except (ValueError, OverflowError):
            times = (start, "")
        yield inherited | {"start": _iso(times[0]), "end": _iso(times[1])} | fields


def _iso(time: object) -> object:
    return time.isoformat() if isinstance(time, datetime) else time


def _keyed(keys: Sequence[object], blocks: Iterable[object]) -> Iterator[_Record]:
    """Yield the rows of Shelly's `EMData.GetData`: blocks of rows of one period, under common keys."""
    for block in blocks:
        if isinstance(block, dict) and isinstance(block.get("ts"), int) and isinstance(block.get("values"), list):
            step = period if isinstance(period := block.get("period"), int) else 60
            for place, row in enumerate(row for row in block["values"] if isinstance(row, list)):
                yield {"timestamp": block["ts"] + place * step, **dict(zip(map(str, keys), row, strict=False))}
