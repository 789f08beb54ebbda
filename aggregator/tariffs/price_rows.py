"""The rows of a price file, and which of its columns is the price: CSV, or JSON as markets publish it. Pure.

CSV has a line of headers; commas, semicolons or tabs between (with semicolons or tabs a price may have a decimal
comma). JSON is one of::

    [{"start": ..., "price": ...}, ...]                     rows in a list, at any depth: Octopus, Tibber, aWATTar
    {"entryPerArea": {"SE3": 29.88, "SE4": 31.02}, ...}     an object in a row is further columns: Nord Pool
    {"unix_seconds": [...], "price": [...]}                 columns in lists of one length: Energy-Charts

Scalars outside of the rows (`currency`, `unit`) belong to each of them. Rows are numbered as in a spreadsheet: the
first row below the headers is row 2; the first object of JSON is row 1. Names are compared without case, blanks, `-`
and `_`; the first spelling is kept for messages.
"""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import chain

from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import MOST, number

# In order of preference: an instant in UTC decides where a row has its local time too.
STARTS = (
    *("hour utc", "time utc", "start utc", "start", "valid from", "delivery start", "interval start", "starts at"),
    *("start timestamp", "time start", "ts start", "from", "start time", "time", "timestamp", "datetime", "date time"),
    *(
        "unix seconds",
        "start date",
        "period from",
        "mtu (utc)",
        "mtu (cet/cest)",
        "mtu",
        "von",
        "fra",
        "van",
        "desde",
        "tid",
        "datum",
    ),
)

ENDS = (
    "end",
    "end utc",
    "valid to",
    "delivery end",
    "interval end",
    "end timestamp",
    "time end",
    "ts end",
    "to",
    "end time",
    "period to",
    "bis",
    "til",
    "tot",
    "hasta",
)
_MARKETS = ("eur", "gbp", "usd", "chf", "sek", "nok", "dkk", "pln", "czk", "huf")  # currencies in names of columns
WITH_VAT = ("value inc vat", "price inc vat", "rate inc vat", "unit rate inc vat")
WITHOUT_VAT = ("value exc vat", "price exc vat", "rate exc vat", "unit rate exc vat")
PRICES = ("price", "unit rate", "rate", "value", "price per kwh", "unit price", "market price")
PRICE_WORDS = re.compile(r"price|prei[sz]|prijs|prix|precio|pris|cena|rate|spot|tari|kwh|mwh")

Row = tuple[int, Mapping[str, object]]  # row number, and values by simplified name


def simple(name: str) -> str:
    """Return a column's name for comparison."""
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")


_STARTS = tuple(map(simple, STARTS))


def start_column(names: Collection[str]) -> str | None:
    """Return the column of `names` (simplified) that tells the start, or None."""
    return next((start for start in _STARTS if start in names), None)


def price_rows(text: str) -> tuple[list[Row], dict[str, str]]:
    """Parse a price file to its rows, and the columns' names as written by simplified name.

    Raises ConfigurationError.
    """
    spelling: dict[str, str] = {}
    text = text.lstrip("\ufeff \t\r\n")
    found = list(_json_rows(text, spelling) if text[:1] in ("[", "{") else map(_with_end, _csv_rows(text, spelling)))
    spelling.setdefault("end", "end")
    spelling.setdefault("endutc", "end utc")
    if not found:
        raise ConfigurationError("the file has no prices")
    return found, spelling


def _csv_rows(text: str, spelling: dict[str, str]) -> Iterator[Row]:
    headers = text.partition("\n")[0]
    delimiter = max(",;\t", key=headers.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names: list[str] = []
    try:
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if not names:
                names = _headers(cells, spelling)
                continue
            values = (cell.strip() if delimiter == "," else _with_point(cell.strip()) for cell in cells)
            yield reader.line_num, dict(zip(names, values, strict=False))
    except csv.Error as error:
        raise ConfigurationError(f"row {reader.line_num}: {error}") from None


_MTU = re.compile(r"([0-9]{2})[./]([0-9]{2})[./]([0-9]{4}) ([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)")


def _with_end(row: Row) -> Row:
    """Split a market time unit of ENTSO-E, `10.11.2026 00:00 - 10.11.2026 01:00` with the day first, into its ends."""
    number, fields = row
    start = start_column(fields) or ""
    parts = [_MTU.match(one.strip()) for one in str(fields.get(start)).split(" - ")]
    if len(parts) != 2 or None in parts:
        return row
    first, last = (f"{one[3]}-{one[2]}-{one[1]}T{one[4]}" for one in parts if one)
    return number, {**fields, start: first, "endutc" if "utc" in start else "end": last}


def _headers(cells: Sequence[str], spelling: dict[str, str]) -> list[str]:
    names = [_named(cell, spelling) for cell in cells]
    if start_column(names) is None:
        raise ConfigurationError(f"the first line names no column for the start, like {', '.join(STARTS[3:5])}")
    return names


def _named(name: str, spelling: dict[str, str]) -> str:
    spelling.setdefault(simple(name), name.strip())
    return simple(name)


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def _json_rows(text: str, spelling: dict[str, str]) -> Iterator[Row]:
    try:
        content = json.loads(text, parse_float=Decimal, parse_constant=str)
        objects = list(_objects(content, {}))
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise ConfigurationError(f"the file is not JSON: {error}") from None
    for row, fields in enumerate(objects, 1):
        yield row, {_named(key, spelling): value for key, value in fields.items()}


def _objects(content: object, around: dict[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield the rows in decoded JSON: every item of a list in which one tells a start, and columns turned into rows.

    Each has the scalars of the objects around it.
    """
    if type(content) is list:
        if any(type(item) is dict and start_column(list(map(simple, item))) for item in content):
            yield from (around | _flat(item) for item in content)
        else:
            yield from chain.from_iterable(_objects(item, around) for item in content)
    elif type(content) is dict:
        inside = around | {key: value for key, value in content.items() if type(value) not in (list, dict)}
        if columns := _columns(content):
            yield from (
                inside | dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
            )
        else:
            yield from chain.from_iterable(_objects(value, inside) for value in content.values())


def _flat(item: object) -> dict[str, object]:
    """Return the scalars of an object and of the objects in it; nothing of what is no object."""
    fields = item if type(item) is dict else {}
    nested = (value.items() for value in fields.values() if type(value) is dict)
    return {key: value for key, value in fields.items() if type(value) not in (list, dict)} | dict(
        chain.from_iterable(nested)
    )


def _columns(content: Mapping[str, object]) -> dict[str, list[object]]:
    """Return the lists of an object that are columns: as long as the one that tells the start."""
    lists = {key: value for key, value in content.items() if type(value) is list}
    names = {simple(key): key for key in lists}
    start = start_column(list(names))
    if start is None or any(type(item) is dict for item in lists[names[start]]):
        return {}
    return {key: value for key, value in lists.items() if len(value) == len(lists[names[start]])}


# The column of the price


def price_column(rows: Sequence[Row], spelling: Mapping[str, str], said: str, vat_included: bool, currency: str) -> str:
    """Return the simplified name of the price's column: the one that is said, or the only one that can be it.

    Of columns that name currencies, that of the tariff counts. Raises ConfigurationError.
    """
    names = list(dict.fromkeys(name for _, fields in rows for name in fields))
    if said:
        if simple(said) not in names:
            columns = ", ".join(spelling[name] for name in names)
            raise ConfigurationError(f"there is no column {shown(said)}; the columns are {columns}")
        return simple(said)
    candidates = _candidates(rows, names, vat_included)
    if len(candidates) > 1 and currency:
        others = [one for one in _MARKETS if one != currency.lower()]
        candidates = [name for name in candidates if not any(one in name for one in others)] or candidates
    if not candidates:
        columns = ", ".join((*(WITH_VAT if vat_included else WITHOUT_VAT)[:1], *PRICES[:3]))
        raise ConfigurationError(f"no column is a price, like {columns}; name it with --column")
    if len(candidates) > 1:
        found = ", ".join(spelling[name] for name in candidates)
        raise ConfigurationError(f"the price can be {found}: say which with --column")
    return candidates[0]


def _candidates(rows: Sequence[Row], names: Sequence[str], vat_included: bool) -> list[str]:
    """Return the columns that can be the price: by VAT, by a usual name, by a word in the name, or by their numbers."""
    for known in (WITH_VAT if vat_included else WITHOUT_VAT, PRICES):
        if found := [name for name in map(simple, known) if name in names]:
            return found[:1]
    times = {start_column(names), *map(simple, ENDS)}
    others = set(map(simple, WITHOUT_VAT if vat_included else WITH_VAT))
    figures = [name for name in names if name not in times | others and _is_figures(rows, name)]
    return [name for name in figures if PRICE_WORDS.search(name)] or figures


def _is_figures(rows: Sequence[Row], name: str) -> bool:
    """Return whether a column has figures only, and at least one."""
    values = [value for _, fields in rows if (value := fields.get(name)) not in (None, "")]
    return bool(values) and all(map(is_figure, values))


def is_figure(value: object) -> bool:
    try:
        return figure(value).is_finite()
    except ConfigurationError:
        return False


def figure(value: object) -> Decimal:
    """Parse a price in the file's unit. Raises ConfigurationError."""
    return number(value, "the price", -MOST * 1000, MOST * 1000)
