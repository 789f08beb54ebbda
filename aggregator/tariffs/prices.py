"""Prices from a file: of half hours, hours or any whole half hours, as suppliers and markets publish them. Pure.

What the file leaves open, a `PriceChoice` says; a choice that is missing raises ConfigurationError with the option that
makes it. Nothing is guessed:

- **Rows.** Where rows of one time differ by a column (payment method, area), the choice names its value.
- **Column.** A price with VAT goes before one without; of several currencies that of the tariff; else the choice.
- **Unit.** The unit of the file or of the column, or the shape of a known source, tell pence from pounds. Prices
  under `MOST_WHOLE` per kWh are in whole units of any currency, and prices over `LEAST_MARKET` of pounds, euros or
  dollars are per MWh; what lies between can be pence or per MWh.
- **Span.** A price holds from its start to its end; without an end column for the step of the file (its commonest
  distance of two starts), or to the next start before that. An empty end is open: the price holds to the next start,
  the last one up to `open_until`.

Times carry an offset, or are UTC by the name of their column, or seconds or milliseconds since 1970. They lie on a UTC
half hour: a file of quarter hours is refused. Half hours without a price are *holes*: they are reported, not refused.
Any other fault refuses the whole file; the message names up to `NAMED` bad rows. The order of the rows does not matter,
and a repeated price counts once.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median

from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import MOST, rounded
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR, Window, iso_utc
from aggregator.tariffs.price_rows import ENDS, Row, figure, is_figure, price_column, price_rows, simple, start_column
from aggregator.tariffs.tariff import CURRENCIES

UNITS = {  # units of the file in one of the currency per kWh, by what a column or a unit says
    1000: re.compile(r"mwh"),
    100: re.compile(r"pence|penny|cents?\b|\bct\b|\bc\b|\bp\b|[öøo]re\b|rappen|grosz"),
    1: re.compile(r"(gbp|eur|usd|chf|sek|nok|dkk|pln|[£€$]|\bkr)\W*(per|/)?\W*kwh"),
}
SOURCES = {  # columns that only one source has, and its unit
    ("valueincvat", "validfrom"): 100,  # Octopus Energy's API: pence per kWh
    ("startsat", "total"): 1,  # Tibber's API: currency per kWh
    ("deliverystart",): 1000,  # Nord Pool's data portal: currency per MWh
    ("hourutc", "pricearea"): 1000,  # Energi Data Service: currency per MWh
    ("geoid", "geoname", "value"): 1000,  # ESIOS: euros per MWh
}
MOST_WHOLE, LEAST_MARKET = Decimal("0.9"), 150  # median of the prices without their sign
HARD = ("GBP", "EUR", "USD", "CHF")  # currencies in which a kWh never costs 1.5
PER_TEXT = {1: "currency per kWh", 100: "hundredths of the currency (pence, cents) per kWh", 1000: "currency per MWh"}
MOST_S = 24 * 366 * DAY_S  # a price may hold for 24 years
NAMED = 10  # a message names this many bad rows

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=HALF_HOUR)
YEARS = range(2000, 2200)
_MS = 10**11  # numbers of milliseconds since 1970 are greater, numbers of seconds smaller
_QUARTERS = "is not on a half hour of UTC; prices of quarter hours cannot be taken yet, only of whole half hours"


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """What a person says of a price file, in place of the file."""

    per: int | None = None  # the file's units in one of the currency per kWh: a key of PER_TEXT
    vat_included: bool = True  # columns like `value_inc_vat`, else those like `value_exc_vat`
    column: str = ""  # of the price
    where: Mapping[str, str] = field(default_factory=dict)  # column and value of the rows that count
    currency: str = ""  # of the device's tariff; "" is unknown
    open_until: int | None = None  # UTC seconds, on a half hour


@dataclass(frozen=True, slots=True)
class PriceReport:
    """The content of a price file: counts, unit, span, holes and price range."""

    rows: int
    per: int
    duplicates: int  # half hours repeated at the same price
    rounded: int  # prices with more than 6 decimal places (float noise), rounded half to even
    span: Window  # from the first half hour to the end of the last, UTC seconds
    holes: tuple[Window, ...]  # within the span, without a price
    lowest: Decimal  # currency per kWh
    highest: Decimal
    is_open: bool  # whether the last price has no end of its own


@dataclass(frozen=True, slots=True)
class PriceFile:
    """Prices in currency per kWh by the start of their half hour (UTC seconds), in order of time."""

    prices: Mapping[int, Decimal]
    report: PriceReport


@dataclass(frozen=True, slots=True)
class _Entry:
    row: int
    start: int  # UTC seconds
    end: int | None  # as the row says it
    price: Decimal  # in the file's unit
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that count, by simplified name; `end` is "" where the file has none."""

    start: str
    end: str
    price: str
    spelling: Mapping[str, str]


def parse_prices(text: str, choice: PriceChoice = PriceChoice()) -> PriceFile:
    """Parse a price file. Raises ConfigurationError for the whole file, or for the choice that it needs."""
    every, spelling = price_rows(text)
    rows = _chosen(every, choice, spelling)
    names = set().union(*(fields for _, fields in rows))
    column = price_column(rows, spelling, choice.column, choice.vat_included, choice.currency)
    end = next((name for name in map(simple, ENDS) if name in names), "")
    columns = _Columns(start_column(names) or "", end, column, spelling)
    entries = _entries(rows, columns)
    per = choice.per or _unit(entries, spelling[columns.price], choice.currency)
    owners, duplicates = _owners(entries, _ends(entries, bool(end), choice.open_until), columns)
    if not owners:
        raise ConfigurationError("no price has an end; add a column `end`")
    prices = {start: rounded(owners[start].price, per) for start in sorted(owners)}
    if max(map(abs, prices.values())) > MOST:
        raise ConfigurationError(f"a price is over {MOST} of the currency per kWh; say the file's unit with --per")
    is_open = bool(end) and max(entries, key=lambda entry: entry.start).end is None
    return PriceFile(prices, _report(entries, per, duplicates, prices, is_open))


def _chosen(rows: Sequence[Row], choice: PriceChoice, spelling: Mapping[str, str]) -> list[Row]:
    """Return the rows that the choice names, without those that say another currency."""
    for name, value in choice.where.items():
        rows = [(row, fields) for row, fields in rows if _told(fields.get(simple(name))) == _told(value)]
        if not rows:
            raise ConfigurationError(f"no row has {value} in {name}; the columns are {', '.join(spelling.values())}")
    told = {str(fields.get("currency")).upper() for _, fields in rows} & CURRENCIES - {choice.currency}
    if choice.currency and told:
        raise ConfigurationError(f"the prices are in {' and '.join(sorted(told))}, the tariff is in {choice.currency}")
    return list(rows)


def _told(value: object) -> str:
    return str(value).strip().casefold()


# The unit


def _unit(entries: Sequence[_Entry], column: str, currency: str) -> int:
    """Return the file's units in one of the currency per kWh, or ask."""
    prices = [entry.price for entry in entries]
    usual = median(map(abs, prices))
    said = {f"{column} {entry.fields.get('unit', '')}".lower().replace("_", " ") for entry in entries}
    told = {next((per for per, words in UNITS.items() if words.search(text)), 0) for text in said}
    source = next((per for columns, per in SOURCES.items() if all(name in entries[0].fields for name in columns)), 0)
    if told != {0}:
        found = told.pop() if len(told) == 1 else 0
    elif source:
        found = source if source != 100 or usual > MOST_WHOLE else 0
    elif usual <= MOST_WHOLE:
        found = 1
    else:
        found = 1000 if usual >= LEAST_MARKET and currency in HARD else 0
    if not found:
        raise ConfigurationError(
            f"the prices are {min(prices):f} to {max(prices):f}, and the file does not say of what: say --per 100 for "
            "pence or cents per kWh, --per 1000 for currency per MWh, or --per 1 for currency per kWh"
        )
    return found


# Rows


def _entries(rows: Sequence[Row], columns: _Columns) -> list[_Entry]:
    found, faults = [], []
    for row, fields in rows:
        try:
            found.append(_entry(row, fields, columns))
        except ConfigurationError as error:
            faults.append(f"row {row}: {error}")
    _refuse(faults)
    return found


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        rest = f"\nand {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise ConfigurationError("\n".join(faults[:NAMED]) + rest)


def _entry(row: int, fields: Mapping[str, object], columns: _Columns) -> _Entry:
    start = _instant(fields.get(columns.start), "the start", is_utc="utc" in columns.start)
    end = None
    if fields.get(columns.end) not in (None, ""):
        end = _instant(fields[columns.end], "the end", is_utc="utc" in columns.end)
        if not start < end <= start + MOST_S:
            raise ConfigurationError(f"the end {shown(fields[columns.end])} is not in the 24 years after the start")
    if fields.get(columns.price) in (None, ""):
        raise ConfigurationError(f"the price is missing in the column {columns.spelling[columns.price]}")
    return _Entry(row, start, end, figure(fields[columns.price]), fields)


def _instant(value: object, what: str, is_utc: bool) -> int:
    """Parse an ISO time with an offset or a number since 1970, on a UTC half hour, to UTC seconds."""
    try:
        moment = _moment(value)
        if moment.tzinfo is None and not is_utc:
            raise ConfigurationError(f"{what} {shown(value)} has no UTC offset; write it like 2026-03-29T00:30:00Z")
        halves, rest = divmod(moment.replace(tzinfo=moment.tzinfo or UTC) - _EPOCH, _STEP)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f"{what} is {shown(value)}; it must be a time like 2026-03-29T00:30:00Z") from None
    if rest:
        raise ConfigurationError(f"{what} {shown(value)} {_QUARTERS}")
    if moment.year not in YEARS:
        raise ConfigurationError(f"{what} {shown(value)} is not in the years {YEARS[0]} to {YEARS[-1]}")
    return halves * HALF_HOUR


def _moment(value: object) -> datetime:
    if type(value) is str and not value.strip().isdecimal():
        return datetime.fromisoformat(value.strip())
    if type(value) not in (int, str):
        raise ValueError
    seconds = int(str(value))
    return datetime.fromtimestamp(seconds // 1000 if seconds > _MS else seconds, UTC)


# Spans


def _ends(entries: Sequence[_Entry], has_ends: bool, open_until: int | None) -> dict[int, int]:
    """Return the end of a price that says none, by its start, UTC seconds.

    A day is as long as the clock makes it: a step of a day may be an hour longer.
    """
    starts = sorted({entry.start for entry in entries})
    nexts = dict(pairwise(starts))
    if has_ends:
        return {**nexts, starts[-1]: open_until or starts[-1]}
    if not nexts:
        raise ConfigurationError("one price alone does not say how long it holds; add a column `end`")
    counts = Counter(nexts[start] - start for start in nexts)
    step = min(counts, key=lambda length: (-counts[length], length))
    longest = step + HOUR if step >= DAY_S else step
    follows = {start: nexts.get(start, start + step) for start in starts}
    return {start: end if end <= start + longest else start + step for start, end in follows.items()}


def _owners(entries: Sequence[_Entry], ends: Mapping[int, int], columns: _Columns) -> tuple[dict[int, _Entry], int]:
    """Return the row that gives each half hour its price, and the number of duplicates.

    Raises ConfigurationError where two rows give one half hour two prices.
    """
    owners: dict[int, _Entry] = {}
    faults: dict[int, str] = {}
    duplicates = 0
    for entry in entries:
        for start in range(entry.start, entry.end or ends[entry.start], HALF_HOUR):
            owner = owners.setdefault(start, entry)
            duplicates += owner is not entry
            if owner.price != entry.price:
                faults.setdefault(entry.row, _contradiction(start, owner, entry, columns))
    _refuse(list(faults.values()))
    return owners, duplicates


def _contradiction(start: int, one: _Entry, other: _Entry, columns: _Columns) -> str:
    """Say which two prices a half hour has, and the option that decides where a column of words tells them apart."""
    said = f"row {other.row}: {iso_utc(start)} has two prices, {one.price:f} in row {one.row} and {other.price:f} here"
    for name in one.fields:
        both = one.fields[name], other.fields.get(name)
        if name not in (columns.start, columns.end) and both[0] != both[1] and not any(map(is_figure, both)):
            option = "--payment-method" if name == "paymentmethod" else f"--where '{columns.spelling[name]}=...'"
            return f"{said}; say with {option} which: {both[0]} or {both[1]}"
    return said


def _report(
    entries: Sequence[_Entry], per: int, duplicates: int, prices: Mapping[int, Decimal], is_open: bool
) -> PriceReport:
    starts = list(prices)
    return PriceReport(
        len(entries),
        per,
        duplicates,
        sum(rounded(entry.price, per) * per != entry.price for entry in entries),
        Window(starts[0], starts[-1] + HALF_HOUR),
        tuple(Window(one + HALF_HOUR, other) for one, other in pairwise(starts) if other - one > HALF_HOUR),
        min(prices.values()),
        max(prices.values()),
        is_open,
    )
