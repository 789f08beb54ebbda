"""Documents as items of DynamoDB: each part of a chart is one attribute. Pure.

A part is a list of varints (7 bits a byte, lowest first), zeros at the end left out: import + 1, export + 1 (0 is no
data), time covered, costs of import and export, seconds estimated, estimated import and export, standing charge,
import and export without a price, estimated costs of import and export. Energy in Wh; an amount of money in units of
`money` is 0 for none, or else 1 + 14 * (m, its sign in the lowest bit) + k, where it is m * 10^k, with the largest k.
The time covered is 0, 1 for half an hour, 2 for an hour, or else the seconds + 2.
"""

from collections.abc import Iterator

from aggregator.core.documents import Document, Part
from aggregator.core.money import NOTHING, UNIT_PLACES, Cost
from aggregator.store.dynamodb.values import Item

_FIELDS = 13
_COVERED = (0, 1800, 3600)  # seconds that have a code of their own


def pack_part(part: Part) -> bytes:
    """The value of a part's attribute."""
    cost = part.cost
    numbers = (
        0 if part.import_wh is None else part.import_wh + 1,
        0 if part.export_wh is None else part.export_wh + 1,
        _COVERED.index(part.covered_s) if part.covered_s in _COVERED else part.covered_s + 2,
        _money_code(cost.import_cost),
        _money_code(cost.export_earnings),
        part.estimated_s,
        part.estimated_import_wh,
        part.estimated_export_wh,
        _money_code(cost.standing_charge),
        cost.unpriced_import_wh,
        cost.unpriced_export_wh,
        _money_code(cost.estimated_import_cost or None),
        _money_code(cost.estimated_export_earnings or None),
    )
    return b"".join(map(_varint, numbers)).rstrip(b"\0")


def unpack_part(value: bytes) -> Part:
    """A part from its attribute."""
    imported, exported, covered, paid, earned, estimated, *more = [*_varints(value), *[0] * _FIELDS][:_FIELDS]
    estimated_import, estimated_export, standing, unpriced_import, unpriced_export, *guessed = more
    cost = Cost(
        _money(paid),
        _money(earned),
        _money(standing),
        unpriced_import,
        unpriced_export,
        *(_money(code) or 0 for code in guessed),
    )
    return Part(
        imported - 1 if imported else None,
        exported - 1 if exported else None,
        estimated_import,
        estimated_export,
        _COVERED[covered] if covered < len(_COVERED) else covered - 2,
        estimated,
        NOTHING if cost == NOTHING else cost,
    )


def unpack_document(level: str, item: Item | None) -> Document | None:
    """A document from its item; None where there is none, or nothing in it."""
    parts = {name: unpack_part(value["B"]) for name, value in sorted(item.items()) if "B" in value} if item else {}
    if not item or not parts:
        return None
    currency = item["c"]["S"] if "c" in item else ""
    changed_at = int(item["t"]["N"]) if "t" in item else None  # a former version did not know when
    return Document(level, item["d"]["S"], item["p"]["S"], item["z"]["S"], parts, currency, changed_at)


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
    # A number that ends in zero bits (128) has no zero byte at its end: the last byte is its highest, never 0.
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
