"""Tables of files that follow a standard: Green Button (ESPI XML) and NEM12. Both are read as a stream."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from aggregator.core.errors import ConfigurationError, Phrase
from aggregator.intake.tables.table_shapes import Cells, FileTable
from aggregator.intake.tables.text_tables import text_rows

# Green Button: ESPI

_FLOWS = {"1": "import", "4": "net", "19": "export"}  # delivered, net, received
_UOMS = {"72": "Wh", "38": "W", "42": "m3", "119": "therm", "73": "varh"}


def espi_table(stream: BinaryIO) -> FileTable:
    names = ("start", "end", "flow", "usage", "unit")
    types = dict(_reading_types(stream))
    return FileTable("Green Button", names, partial(_interval_readings, stream, types), {}, "reading")


def _events(stream: BinaryIO) -> Iterator[tuple[str, Any]]:
    stream.seek(0)
    try:
        above = []
        for event, element in iterparse(stream, events=("start", "end")):
            if event == "start":
                above.append(element)
                continue
            above.pop()
            yield element.tag.rpartition("}")[2], element
            if len(above) == 1:
                above[0].clear()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        text = Phrase("the file begins like {format} but is invalid: {fault}", format="XML", fault=str(error)[:80])
        raise ConfigurationError(text) from error


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
    way = kind.get("flowDirection", "")
    flow, unit = _FLOWS.get(way, f"flow {way}".strip()), _UOMS.get(kind.get("uom", ""), "")
    flow = f"{flow} {unit}" if unit in ("therm", "varh") else flow  # another quantity
    end = str(int(start) + int(duration)) if start.isdecimal() and duration.isdecimal() else ""
    return [start, end, flow, f"{value}e{kind.get('powerOfTenMultiplier') or 0}" if value else "", unit]


# NEM12


def nem12_table(stream: BinaryIO) -> FileTable:
    """Return the table of a NEM12 file, an interval per row; the market's time is UTC+10 all the year."""
    names = ("start", "end", "meter point", "NMI suffix", "quantity", "unit")
    return FileTable("NEM12", names, partial(_nem12_rows, stream), {}, "interval")


def _nem12_rows(stream: BinaryIO) -> Iterator[Cells]:
    number, about, minutes = 0, ["", "", ""], 0
    for _, _, row in text_rows(stream, "utf-8-sig", ",", 1):
        if row[0] == "200" and len(row) > 8:
            about, minutes = (
                [row[1].strip(), row[4].strip(), row[7].strip()],
                int(row[8]) if row[8].strip().isdigit() else 0,
            )
        elif row[0] == "300" and 0 < minutes <= 1440 and len(row) > 1440 // minutes + 1:
            for place, value in enumerate(row[2 : 2 + 1440 // minutes]):
                number += 1
                start = _market_time(row[1].strip(), place * minutes)
                end = _market_time(row[1].strip(), (place + 1) * minutes)
                yield number, ",".join(row[:2]), [start, end, about[0], _suffix(about[1]), value.strip(), about[2]]


def _suffix(text: str) -> str:
    """Return an NMI suffix with its direction: E is consumption, B is generation as the grid sees it."""
    return f"{text} {({'E': 'import', 'B': 'export'}).get(text[:1].upper(), 'reactive')}"


def _market_time(day: str, minutes: int) -> str:
    try:
        at = datetime.strptime(day, "%Y%m%d") + timedelta(minutes=minutes)  # noqa: DTZ007 - the offset follows
    except (ValueError, OverflowError):
        return day
    return f"{at.isoformat()}+10:00"
