"""Half-hourly prices from a file: CSV or JSON of `start, price`, as suppliers and markets publish them.

CSV has a line of headers; commas, semicolons or tabs between (with semicolons or tabs a price may have a decimal
comma)::

    start,price
    2026-03-29T00:00:00Z,0.1834
    2026-03-29T01:30:00+01:00,-0.0210

JSON is a list of objects with the same keys, or an object that holds such a list as `results`, `prices` or `rates`.
Other columns and keys are ignored. The order of the rows does not matter, and a repeated price counts once.

Times carry an offset and lie on a UTC half hour. A price holds for each half hour from `start` to the optional `end`.
Half hours without a price are *holes*: they are reported, not refused. Any other fault (two prices for one half hour,
a time without an offset) raises ConfigurationError for the whole file; the message names up to `NAMED` bad rows.
Rows are numbered as in a spreadsheet: the first row below the headers is row 2; the first object of a list is row 1.

A file does not say whether its prices are in pounds or pence: the caller does (`per`), and the report shows the range.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import pairwise

from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import MOST, number, rounded
from aggregator.core.periods import HALF_HOUR, Window, iso_utc

# In order of preference; comparison ignores case, blanks, - and _.
STARTS = ("start", "valid_from", "interval_start", "from", "start_time", "time", "timestamp", "datetime", "date_time")
ENDS = ("end", "valid_to", "interval_end", "to", "end_time")
PRICES = ("price", "unit_rate", "rate", "value", "price_per_kwh", "unit_price")
WITH_VAT = ("value_inc_vat", "price_inc_vat", "rate_inc_vat", "unit_rate_inc_vat")
WITHOUT_VAT = ("value_exc_vat", "price_exc_vat", "rate_exc_vat", "unit_rate_exc_vat")
LISTS = ("results", "prices", "rates")  # keys of the rows in JSON
MOST_HALVES = 7 * 48  # a row's price may hold for a week
NAMED = 10  # a message names this many bad rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=HALF_HOUR)
_YEARS = range(2000, 2200)

Row = tuple[int, Mapping[str, object]]  # row number, and fields by simplified name


@dataclass(frozen=True, slots=True)
class PriceReport:
    """The content of a price file: counts, span, holes and price range."""

    rows: int
    duplicates: int  # half hours repeated at the same price
    rounded: int  # prices with more than 6 decimal places (float noise), rounded half to even
    span: Window  # from the first half hour to the end of the last, UTC seconds
    holes: tuple[Window, ...]  # within the span, without a price
    lowest: Decimal  # currency per kWh
    highest: Decimal


@dataclass(frozen=True, slots=True)
class PriceFile:
    """Prices in currency per kWh by the start of their half hour (UTC seconds), in order of time."""

    prices: Mapping[int, Decimal]
    report: PriceReport


@dataclass(frozen=True, slots=True)
class _Entry:
    row: int
    start: int  # UTC seconds
    halves: int  # half hours of this price
    price: Decimal
    is_rounded: bool


def parse_prices(text: str, per: int = 1, vat_included: bool = True) -> PriceFile:
    """Parse a price file. Raises ConfigurationError for the whole file.

    `per` is the number of the file's units in one unit of currency per kWh: 100 for pence per kWh, 1000 for currency
    per MWh. `vat_included` chooses columns like `value_inc_vat` over columns like `value_exc_vat`.
    """
    rows = list(_json_rows(text) if text.lstrip("\ufeff \t\r\n")[:1] in ("[", "{") else _csv_rows(text))
    if not rows:
        raise ConfigurationError("the file has no prices")
    names = (*(WITH_VAT if vat_included else WITHOUT_VAT), *PRICES)
    faults: list[str] = []
    entries: list[_Entry] = []
    for row, fields in rows:
        try:
            entries.append(_entry(row, fields, names, per))
        except ConfigurationError as error:
            faults.append(f"row {row}: {error}")
    prices, duplicates = _merged(entries, faults)
    _refuse(faults)
    return PriceFile(prices, _report(entries, prices, duplicates))


def _json_rows(text: str) -> Iterator[Row]:
    try:
        content = json.loads(text.lstrip("\ufeff"), parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise ConfigurationError(f"the file is not JSON: {shown(str(error))}") from None
    if type(content) is dict:
        content = next((content[key] for key in LISTS if key in content), None)
    if type(content) is not list:
        raise ConfigurationError(f"the JSON must be a list of prices, or an object with one under {', '.join(LISTS)}")
    for row, item in enumerate(content, 1):
        yield row, {_simple(key): value for key, value in item.items()} if type(item) is dict else {}


def _csv_rows(text: str) -> Iterator[Row]:
    lines = text.removeprefix("\ufeff")
    headers = lines.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=headers.count)
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)
    names: list[str] | None = None
    try:
        for cells in reader:
            if not any(map(str.strip, cells)):
                continue
            if names is None:
                names = _headers(cells)
                continue
            values = (cell if delimiter == "," else _with_point(cell) for cell in cells)
            yield reader.line_num, dict(zip(names, values, strict=False))
    except csv.Error as error:
        raise ConfigurationError(f"row {reader.line_num}: {error}") from None


def _headers(cells: Sequence[str]) -> list[str]:
    names = [_simple(cell) for cell in cells]
    if not any(_simple(name) in names for name in STARTS):
        raise ConfigurationError(f"the first line names no column for the start, like {', '.join(STARTS[:3])}")
    return names


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell


def _simple(name: str) -> str:
    return name.strip().lower().replace("_", "").replace("-", "").replace(" ", "")


def _find(fields: Mapping[str, object], names: Sequence[str]) -> object:
    """Return the first present field of `names`, or None."""
    return next((fields[name] for name in map(_simple, names) if name in fields), None)


def _entry(row: int, fields: Mapping[str, object], names: Sequence[str], per: int) -> _Entry:
    start = _instant(_find(fields, STARTS), "the start")
    halves = _halves(start, fields)
    value = _find(fields, names)
    if value in (None, ""):
        raise ConfigurationError(f"the price is missing; its column may be named {', '.join(names)}")
    exact = number(value, "the price", -MOST * per, MOST * per)
    price = rounded(exact, per)
    return _Entry(row, start, halves, price, price * per != exact)


def _halves(start: int, fields: Mapping[str, object]) -> int:
    """Return the number of half hours for which a row's price holds."""
    if not any(_simple(name) in fields for name in ENDS):
        return 1
    end = _find(fields, ENDS)
    halves = (_instant(end, "the end") - start) // HALF_HOUR
    if not 0 < halves <= MOST_HALVES:
        raise ConfigurationError(f"the end {shown(end)} is not after the start, or more than a week after it")
    return halves


def _instant(value: object, what: str) -> int:
    """Parse an ISO time with an offset, on a UTC half hour, to UTC seconds."""
    if type(value) is not str:
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a time like 2026-03-29T00:30:00Z")
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            raise ConfigurationError(f"{what} {shown(value)} has no UTC offset; write it like 2026-03-29T00:30:00Z")
        halves, rest = divmod(moment - _EPOCH, _STEP)
    except (ValueError, OverflowError):
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a time like 2026-03-29T00:30:00Z") from None
    if rest:
        raise ConfigurationError(f"{what} {shown(value)} is not on a half hour of UTC")
    if moment.year not in _YEARS:
        raise ConfigurationError(f"{what} {shown(value)} is not in the years {_YEARS[0]} to {_YEARS[-1]}")
    return halves * HALF_HOUR


def _merged(entries: Sequence[_Entry], faults: list[str]) -> tuple[dict[int, Decimal], int]:
    """Return prices by half hour in order of time, and the number of duplicates; note contradictions in `faults`."""
    owners: dict[int, _Entry] = {}
    duplicates = 0
    for entry in entries:
        for start in range(entry.start, entry.start + entry.halves * HALF_HOUR, HALF_HOUR):
            owner = owners.setdefault(start, entry)
            if owner is entry:
                continue
            duplicates += 1
            if owner.price != entry.price:
                prices = f"{owner.price:f} in row {owner.row} and {entry.price:f} here"
                faults.append(f"row {entry.row}: {iso_utc(start)} has two prices, {prices}")
    return {start: owners[start].price for start in sorted(owners)}, duplicates


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        rest = f"\nand {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise ConfigurationError("\n".join(faults[:NAMED]) + rest)


def _report(entries: Sequence[_Entry], prices: Mapping[int, Decimal], duplicates: int) -> PriceReport:
    starts = list(prices)
    return PriceReport(
        len(entries),
        duplicates,
        sum(entry.is_rounded for entry in entries),
        Window(starts[0], starts[-1] + HALF_HOUR),
        tuple(Window(one + HALF_HOUR, other) for one, other in pairwise(starts) if other - one > HALF_HOUR),
        min(prices.values()),
        max(prices.values()),
    )
