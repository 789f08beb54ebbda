"""DynamoDB items of documents and half-hourly prices, and the update requests for documents. Pure.

**Documents.** Each part of a document is one attribute: a list of varints (7 bits a byte, lowest first) without
trailing zeros. Its fields are import + 1, export + 1 (0 is no data), time covered, costs of import and export,
seconds estimated, estimated import and export, unpriced import and export, estimated costs of import
and export, import, export and seconds from intervals, volume + 1, and 1 if the energy is made from the volume. Energy
is Wh, volume is litres. Money is in units of `core.money`: 0 for none, else 1 + 14 * (m, its sign in the lowest bit)
+ k for the amount m * 10^k with the largest k.
Time covered is a byte of 31 * code + check value: code 0 is none, 1 half an hour, 2 an hour, 3 the seconds that follow.
The check value makes the whole, as a number, divisible by 31: a flipped bit is noticed.

An item carries the form of its document, `v` (absent: 1). A function of an older version leaves a newer form as it is
and quarantines its key. A release first reads a new form, and the next one writes it: both can work side by side.

**Prices.** One item holds a device's prices of a UTC day, one attribute per half hour and direction.

**Updates.** A document update replaces parts on the condition that they equal the parts read.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from aggregator.core import periods
from aggregator.core.documents import Document, Part
from aggregator.core.errors import Damaged
from aggregator.core.money import NOTHING, UNIT_PLACES, Cost
from aggregator.core.periods import DAY_S, HALF_HOUR
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.items import Item, Value
from aggregator.tariffs.rates import Series

FORM = 1  # of the documents that this version writes, and the newest that it reads
_FIELDS = 17
_COVERED = (0, 1800, 3600)  # seconds with a code of their own
_CHECK = 31  # no power of 2 is divisible by it, and 256 * 4 leaves 1


def pack_part(part: Part) -> bytes:
    """Encode a part as an attribute value."""
    cost = part.cost
    energy = b"".join(_varint(0 if wh is None else wh + 1) for wh in (part.import_wh, part.export_wh))
    is_usual = part.covered_s in _COVERED
    code = _COVERED.index(part.covered_s) if is_usual else len(_COVERED)
    numbers = (
        *(() if is_usual else (part.covered_s,)),
        _money_code(cost.import_cost),
        _money_code(cost.export_earnings),
        part.estimated_s,
        part.estimated_import_wh,
        part.estimated_export_wh,
        cost.unpriced_import_wh,
        cost.unpriced_export_wh,
        _money_code(cost.estimated_import_cost or None),
        _money_code(cost.estimated_export_earnings or None),
        part.interval_import_wh,
        part.interval_export_wh,
        part.interval_s,
        0 if part.volume_l is None else part.volume_l + 1,
        int(part.is_converted),
    )
    rest = b"".join(map(_varint, numbers))
    check = -int.from_bytes(energy + bytes([_CHECK * code]) + rest, "little") * 4 ** len(energy) % _CHECK
    return (energy + bytes([_CHECK * code + check]) + rest).rstrip(b"\0")


def unpack_part(value: bytes) -> Part:
    """Decode a part from its attribute value. Raises ValueError if it does not fit its check value."""
    if int.from_bytes(value, "little") % _CHECK:
        raise ValueError("it does not fit its check value")
    imported, exported, coded, *others = [*_varints(value), *[0] * _FIELDS]
    code = coded // _CHECK
    covered = _COVERED[code] if code < len(_COVERED) else others.pop(0)
    paid, earned, estimated, *more = others[: _FIELDS - 3]
    estimated_import, estimated_export, unpriced_import, unpriced_export, *rest = more
    guessed, (interval_import, interval_export, interval_s, volume, is_converted) = rest[:2], rest[2:]
    cost = Cost(
        _money(paid),
        _money(earned),
        None,
        unpriced_import,
        unpriced_export,
        *(_money(code) or 0 for code in guessed),
    )
    return Part(
        imported - 1 if imported else None,
        exported - 1 if exported else None,
        estimated_import,
        estimated_export,
        covered,
        estimated,
        interval_import,
        interval_export,
        interval_s,
        NOTHING if cost == NOTHING else cost,
        volume - 1 if volume else None,
        bool(is_converted),
    )


def _named_part(name: str, value: bytes) -> Part:
    try:
        return unpack_part(value)
    except ValueError as error:
        raise ValueError(f"the part {name}: {error}") from error


def _check_form(item: Item | None) -> None:
    form = int(item["v"]["N"]) if item and "v" in item else FORM
    if item and form > FORM:
        fault = f"the document {item['d']['S']} {item['p']['S']} is in form {form}, of a newer version; this one reads"
        raise Damaged(f"{fault} {FORM} and leaves it as it is; `wattfall rebuild` of that version makes it right")


def unpack_document(level: str, item: Item | None) -> Document | None:
    """Decode a document; None for a missing item or one without parts. Raises Damaged for one of a newer version."""
    _check_form(item)
    parts = (
        {name: _named_part(name, value["B"]) for name, value in sorted(item.items()) if "B" in value} if item else {}
    )
    if not item or not parts:
        return None
    currency = item["c"]["S"] if "c" in item else ""
    changed_at, created_at = (int(item[name]["N"]) for name in "tu")
    return Document(level, item["d"]["S"], item["p"]["S"], item["z"]["S"], parts, currency, changed_at, created_at)


def _money_code(units: int | None) -> int:
    if units is None:
        return 0
    power = 0
    while units and power < UNIT_PLACES and units % 10 == 0:
        units, power = units // 10, power + 1
    return 1 + (2 * abs(units) + (units < 0)) * (UNIT_PLACES + 1) + power


def _money(code: int) -> int | None:
    if code == 0:
        return None
    signed, power = divmod(code - 1, UNIT_PLACES + 1)
    return int((signed >> 1) * (-1 if signed & 1 else 1) * 10**power)


def _varint(value: int) -> bytes:
    # The last byte holds the highest bits and is never 0, so stripping trailing zeros is safe.
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)


def _varints(packed: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0


# Price items
_LAST_DAY = "9999-12-31"
_LATEST = 253_402_300_799  # the last second of that day


def span(first: int, last: int) -> tuple[str, str]:
    """Return the UTC days of the half hours that start from `first` to `last` (UTC seconds)."""
    return _day(max(first, 0)), _day(last) if last < _LATEST else _LAST_DAY


def updates(series: Series) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each UTC day with the arguments of its update."""
    days: dict[str, dict[str, Value]] = defaultdict(dict)
    for letter, prices in (("i", series.import_prices), ("e", series.export_prices)):
        for start, price in prices.items():
            name = f"{letter}{start % DAY_S // HALF_HOUR:02d}"
            days[_day(start)] |= {name: {"N": f"{price:f}"}, f"k{name}": _price_check(_day(start), name, price)}
    for day, values in sorted(days.items()):
        yield (
            day,
            {
                "UpdateExpression": "SET " + ", ".join(f"{name} = :{name}" for name in values),
                "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
            },
        )


def unpack_prices(item: Item, first: int, last: int) -> Series:
    """Decode the prices of a day's half hours that start from `first` to `last`. Raises ValueError."""
    found: Mapping[str, dict[int, Decimal]] = {"i": {}, "e": {}}
    day = item["p"]["S"]
    for name in sorted(price_names(item, first, last + 1)):
        if name[0] != "k":
            price = Decimal(item[name]["N"])
            items.compare(item, f"k{name}", *_price_values(day, name, price))
            found[name[0]][periods.day_start(day, "UTC") + int(name[1:]) * HALF_HOUR] = price
    return Series(found["i"], found["e"])


def _price_check(day: str, name: str, price: Decimal) -> Value:
    return items.check_value(*_price_values(day, name, price))


def _price_values(day: str, name: str, price: Decimal) -> tuple[str, str, str]:
    return day, name, f"{price.normalize():f}"  # DynamoDB drops zeros at the end


def price_names(item: Item, start: int, end: int) -> list[str]:
    """Return the names of a day's prices, and of their check values, that start from `start` to before `end`."""
    midnight = periods.day_start(item["p"]["S"], "UTC")
    prices = [name for name in item if len(name) > 1]
    return [name for name in prices if start <= midnight + int(name[-2:]) * HALF_HOUR < end]


def _day(at: int) -> str:
    return periods.local(at, "UTC").to_date_string()


# Document updates

Request = tuple[str, dict[str, Any]]  # operation and arguments


def merge_request(
    stored: Item | None,
    timezone: str,
    currency: str,
    parts: Mapping[str, Part | None],
    now: int,
    *,
    is_open: bool | None,
) -> Request | None:
    """Return the request that gives `stored` these parts (None removes one); None when nothing changes.

    The time of change (`now`, UTC seconds) and the form are written with a change and never alone. `is_open` says that
    the period goes on (None at a level that feeds no other); a document that was closed stays so. Raises Damaged for a
    document of a newer version.
    """
    _check_form(stored)
    before = stored or {}
    wanted: dict[str, Value | None] = {name: part and {"B": pack_part(part)} for name, part in parts.items()}
    after = before | wanted
    if not any(value and "B" in value for value in after.values()):
        return ("delete_item", _condition(before, [name for name in before if name not in "dp"])) if before else None
    wanted |= {"z": items.text(timezone), "c": items.text(currency) if currency else None}
    if is_open is not None:
        wanted[items.OPEN] = (
            items.IS_OPEN if is_open and before.get(items.OPEN, items.IS_OPEN) == items.IS_OPEN else items.IS_OVER
        )
    changed = {name: value for name, value in wanted.items() if value != before.get(name)}
    if not changed:
        return None
    sets = {name: value for name, value in changed.items() if value is not None}
    sets |= dict.fromkeys(("t",) if "u" in before else ("t", "u"), items.number(now))
    gone = [f"#{name}" for name in changed if name not in sets]
    request = _condition(before, [*changed, "v"])
    sets |= {"v": items.number(FORM)} if before.get("v") != items.number(FORM) else {}
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
    values = request.get("ExpressionAttributeValues", {}) | {f":{name}": value for name, value in sets.items()}
    return "update_item", request | {
        "UpdateExpression": expression + (f" REMOVE {', '.join(gone)}" if gone else ""),
        "ExpressionAttributeNames": request["ExpressionAttributeNames"] | {f"#{name}": name for name in sets},
        "ExpressionAttributeValues": values,
    }


def _condition(before: Item, names: list[str]) -> dict[str, Any]:
    """Return the condition that the attributes have not changed since `before`."""
    clauses = [f"#{name} = :was_{name}" if name in before else f"attribute_not_exists(#{name})" for name in names]
    values: dict[str, Value] = {f":was_{name}": before[name] for name in names if name in before}
    request: dict[str, Any] = {
        "ConditionExpression": " AND ".join(clauses),
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
    }
    return request | ({"ExpressionAttributeValues": values} if values else {})
