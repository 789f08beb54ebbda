"""The format of DynamoDB items, and their sizes in bytes and in write and read units. Pure.

| table | key | attributes | bytes | write units |
|---|---|---|---|---|
| `readings` | `d` device, `b` start of the UTC half hour | one per reading and per interval, see below; `x` expiry (TTL), `m..` meter ids and sources | 46 + 9 a reading (13 with export) | 2 a full half hour at 10 s (3) |
| `days` | `d` device, `p` `2026-11-23` | `h00`.. and `s00`.. parts; `z` time zone, `c` currency, `u` first and `t` last change, `v` form, `o` 1 while the day goes on, else 0 | about 600, 900 with a tariff | 1 |
| `months` | `d` device, `p` `2026-11` | `d01`.. parts; `z`, `c`, `u`, `t`, `v`, `o` | about 400 | 1 |
| `years` | `d` device, `p` `2026` | `m01`.. parts; `z`, `c`, `u`, `t`, `v` | about 200 | 1 |
| `prices` | `d` device, `p` UTC day | `i00`.. and `e00`.. prices of import and export by half hour | about 800, twice that with export | 1 (2) |
| `live` | `d` device | `t` at, `r` received, `p` W, `i` and `e` Wh, `pt`, `it` and `et` their instants, `m` meter; `t1`.. and `r1`.. of the arrivals before | about 300 | 1 |
| `devices` | `d` device | `z` time zone, `w` maximum W, `r` registers, each with its check value, `t` tariff, `h` retention_cutoff, `k` exchange overrides, `g` kind, `n` netting, `c` conversion of gas, `v` longest interval, `a` stamp on arrival, `u` total is import, `y` occupied from, `q` former occupancies, `e` erased times, `l..` labels, `f` and `o` (see `device_index`) | about 100 | 1 |
| `checkpoints` | `s` a shard, a stream or a quarantine | see `checkpoints` | about 200 | 1 |
| `records` | `k` collection, `s` key | `b` body, `x` expiry (TTL), `w` id of the write | its body's | 1 a KB |
| `records` | `k` `find ` + beginning of a term, `s` term and device | `v` the other terms of the device | about 150 | 1 |

**A reading** is one attribute, so readings in any order give the same item. Its name is its
offset in the half hour, two digits to the base 62. Its value is a head byte; power (W), import and export (Wh), each in
as few bytes as possible; and one byte for the meter, if known (a second meter with the same byte takes another one, the
257th in one half hour two bytes). The head gives the lengths: `49 * power + 7 * import + export`. Power 0 is unknown,
1-4 is the number of bytes; a register 0 is unknown, 1 is zero, 2-6 is 1-5 bytes. The meter's byte names the attribute
`m` + two hex digits, which holds the meter id. A volume (l) comes first: the byte 255, its number of bytes, itself.

**An interval** is an attribute of the block in which it starts: its value is that of a reading without power, its
source in place of the meter; its name is that of a reading at its start, and its length in three digits to the base 62.

**A layer** of an import (`store.layers`) has attributes of its own, whose names begin with it: `i3_`, or `c3_` of a
correction.

**A part** is a list of varints, see `document_items`.

**Check values.** A document, and each part of it, tells by itself whether it is intact. Beside other attributes stands
the CRC-32 of their values, written with them: `kb` of a record, `kz` of a device, `kh` of its retention cutoff, `ki00` of a
price; of a live state `kp`, `ki`, `ke` of a value and its instant, `km` of the meter, `kt`, `kt1`.. of an arrival.

**Sizes** follow AWS's rules. Names and texts count in UTF-8 bytes, binary values in bytes, numbers one byte per two digits
and one more. A write unit is 1 KB of the whole item, a read unit 4 KB; an eventually consistent read costs half. Damaged
values raise ValueError.
"""  # noqa: E501 - a table

import zlib
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from aggregator.core.periods import DAY_S, HALF_HOUR, LEVELS
from aggregator.core.readings import Interval, Reading
from aggregator.store.layers import OWN, overlaid
from aggregator.store.port import READINGS
from aggregator.store.stored_records import DIFFERS, crc_of, packed

Value = dict[str, Any]  # {"S": text} | {"N": digits} | {"B": bytes} | {"SS": texts}
Item = dict[str, Value]

OPEN = "o"  # the attribute of a document that says whether its period goes on
IS_OPEN, IS_OVER = {"N": "1"}, {"N": "0"}
WRITE_UNIT = 1024  # bytes
READ_UNIT = 4096  # bytes


def text(value: str) -> Value:
    """Return a text attribute."""
    return {"S": value}


def number(value: int) -> Value:
    """Return a number attribute."""
    return {"N": str(value)}


def check_value(*values: object) -> Value:
    """Return the attribute that is the check value of values."""
    return number(crc_of(*values))


def compare(item: Item, name: str, *values: object) -> None:
    """Raise ValueError where an item has a check value that is not that of these values; older items have none."""
    if name in item and item[name]["N"] not in ("0", str(zlib.crc32(packed(values)))):
        raise ValueError(DIFFERS)


def native(value: Value) -> int | str:
    """Return the value of a text or a whole number."""
    return int(value["N"]) if "N" in value else str(value["S"])


def value_size(value: Value) -> int:
    """Return the size of an attribute's value in bytes."""
    ((kind, content),) = value.items()
    if kind == "N":
        digits = str(content)
        return (len(digits.lstrip("-").strip("0")) + 1) // 2 + 1 + digits.startswith("-")
    if kind == "SS":
        return sum(len(str(one).encode()) for one in content)
    return len(str(content).encode() if kind == "S" else bytes(content))


def item_size(item: Item) -> int:
    """Return the size of an item in bytes."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def write_units(size: int) -> int:
    """Return the write units for an item of `size` bytes, the larger of before and after."""
    return max(1, -(-size // WRITE_UNIT))


def read_units(size: int, *, is_consistent: bool) -> float:
    """Return the read units for `size` bytes."""
    return max(1, -(-size // READ_UNIT)) * (1.0 if is_consistent else 0.5)


TTL_MARGIN_DAYS = 7  # readings stay longer than the retention by this, as anchors of later ones

_MOST = 49 * 4 + 7 * 6 + 6  # the largest head byte
_VOLUME = 255  # in place of the head byte: a volume comes first
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def table_of(feed: str) -> str:
    """The table of a level, or of the readings."""
    return READINGS if feed == READINGS else LEVELS[feed].table


def range_key(table: str) -> str:
    """The range key of the table of readings, or of a level's."""
    return "b" if table == READINGS else "p"


def document_key(device_id: str, period: str) -> Item:
    """Return the key of a document."""
    return {"d": text(device_id), "p": text(period)}


def block_key(device_id: str, start: int) -> Item:
    """Return the key of a half-hour block."""
    return {"d": text(device_id), "b": number(start)}


def expiry(now: int, retention_days: int) -> int:
    """Return the expiry of evidence that comes in at `now` (UTC seconds), whatever time it tells of.

    It is rounded up to the day, so that it seldom changes.
    """
    return (now // DAY_S + 1 + retention_days + TTL_MARGIN_DAYS) * DAY_S


def reading_name(offset: int) -> str:
    """Return the attribute name of a reading, from its seconds into the half hour."""
    return _DIGITS[offset // 62] + _DIGITS[offset % 62]


_OFFSETS = {reading_name(offset): offset for offset in range(HALF_HOUR)}


def interval_name(interval: Interval) -> str:
    """Return the attribute name of an interval, five characters; no meter's name begins with such a digit."""
    length = interval.end - interval.start
    return reading_name(interval.start % HALF_HOUR) + _DIGITS[length // 62**2] + reading_name(length % 62**2)


def meter_name(tag: int) -> str:
    """Return the attribute name of a meter id, from the last byte of a reading."""
    return f"m{tag:02x}"


def meter_tags(meters: Iterable[str], taken: Item) -> dict[str, int]:
    """Return a byte for each meter: from its checksum, or the next one where `taken` has it for another meter."""
    tags: dict[str, int] = {}
    for meter in sorted(meters):
        first = zlib.crc32(meter.encode()) & 0xFF
        tags[meter] = next(
            tag
            for tag in chain(range(first, 0x100), range(first), range(0x100, 0x10000))
            if tag not in tags.values() and taken.get(meter_name(tag), text(meter)) == text(meter)
        )
    return tags


def pack_reading(reading: Reading, tags: Mapping[str, int]) -> bytes:
    """Encode a reading as an attribute value."""
    power = b"" if reading.power_w is None else _signed(reading.power_w)
    imported, exported = _register(reading.import_wh), _register(reading.export_wh)
    head = 49 * len(power) + 7 * _code(reading.import_wh, imported) + _code(reading.export_wh, exported)
    tag = 0 if reading.meter_id is None else tags[reading.meter_id]
    meter = b"" if reading.meter_id is None else tag.to_bytes(1 if tag < 0x100 else 2, "little")
    return _volume(reading.volume_l) + bytes([head]) + power + imported + exported + meter


def unpack_reading(device_id: str, at: int, value: bytes, item: Item) -> Reading:
    """Decode a reading from its attribute; `item` holds its meter id. Raises ValueError."""
    head, size = value[0], len(value)
    if head == _VOLUME:
        end = 2 + value[1]
        volume_l = int.from_bytes(value[2:end], "little")
        return unpack_reading(device_id, at, value[end:], item)._replace(volume_l=volume_l)
    power_size, import_code, export_code = head // 49, head // 7 % 7, head % 7
    power_end = 1 + power_size
    import_end = power_end + (import_code - 1 if import_code else 0)
    export_end = import_end + (export_code - 1 if export_code else 0)
    if head > _MOST or not 0 <= size - export_end <= 2:
        raise ValueError(f"a reading of {size} bytes has the wrong head byte {head}")
    number_of = int.from_bytes
    return Reading(
        device_id,
        at,
        number_of(value[1:power_end], "little", signed=True) if power_size else None,
        number_of(value[power_end:import_end], "little") if import_code else None,
        number_of(value[import_end:export_end], "little") if export_code else None,
        item[meter_name(number_of(value[export_end:], "little"))]["S"] if size > export_end else None,
    )


def layer_prefix(layer: int) -> str:
    """Return the beginning of the names of a layer's attributes; empty for the device's own evidence."""
    return f"{'c' if layer > OWN else 'i'}{abs(layer)}_" if layer != OWN else ""


def _layers(item: Item) -> dict[int, list[str]]:
    """Return the names of a block's evidence by layer, without their prefixes, in order."""
    found: dict[int, list[str]] = {OWN: []}
    for name in sorted(item):
        prefix, _, short = name.rpartition("_")
        if len(short) in (2, 5) and short[0] != "m":
            layer = int(prefix[1:]) * (1 if prefix[0] == "c" else -1) if prefix else OWN
            found.setdefault(layer, []).append(short)
    return found


def unpack_block(item: Item) -> list[Reading]:
    """Decode the readings of a block, by time."""
    device_id, start = item["d"]["S"], int(item["b"]["N"])
    layers = [
        (layer, _readings(device_id, start, [name for name in names if len(name) == 2], layer_prefix(layer), item))
        for layer, names in _layers(item).items()
    ]
    return layers[0][1] if len(layers) == 1 else overlaid(layers)


def unpack_layer(layer: int, item: Item) -> list[Reading]:
    """Decode the readings of a layer of a block, by time."""
    names = [name for name in _layers(item).get(layer, []) if len(name) == 2]
    return _readings(item["d"]["S"], int(item["b"]["N"]), names, layer_prefix(layer), item)


def _readings(device_id: str, start: int, names: Iterable[str], prefix: str, item: Item) -> list[Reading]:
    return [unpack_reading(device_id, start + _OFFSETS[name], item[prefix + name]["B"], item) for name in names]


def as_reading(interval: Interval) -> Reading:
    """Return the reading as which an interval is encoded."""
    return Reading(interval.device_id, interval.start, None, *interval[3:])


def unpack_intervals(item: Item) -> list[Interval]:
    """Decode the intervals of a block, by start and end."""
    layers = [
        (layer, [_interval(name, layer_prefix(layer) + name, item) for name in names if len(name) == 5])
        for layer, names in _layers(item).items()
    ]
    return layers[0][1] if len(layers) == 1 else overlaid(layers)


def _interval(name: str, full_name: str, item: Item) -> Interval:
    start = int(item["b"]["N"]) + _OFFSETS[name[:2]]
    values = unpack_reading("", 0, item[full_name]["B"], item)[3:]
    return Interval(item["d"]["S"], start, start + _number(name[2:]), *values)


def names_in(item: Item, start: int, end: int) -> list[str]:
    """Return the names of a block's readings from `start` to before `end` (UTC seconds), and of intervals across."""
    found: list[str] = []
    for layer, names in _layers(item).items():
        for name in names:
            at = int(item["b"]["N"]) + _OFFSETS[name[:2]]
            until = at + _number(name[2:]) if len(name) == 5 else at + 1
            if at < end and start < until:
                found.append(layer_prefix(layer) + name)
    return found


def _number(digits: str) -> int:
    return sum(_DIGITS.index(digit) * 62**place for place, digit in enumerate(reversed(digits)))


def _signed(value: int) -> bytes:
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "little", signed=True)


def _register(value: int | None) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "little") if value else b""


def _volume(value: int | None) -> bytes:
    packed = _register(value)
    return b"" if value is None else bytes([_VOLUME, len(packed)]) + packed


def _code(value: int | None, packed: bytes) -> int:
    return 0 if value is None else len(packed) + 1


# Change records


def changed_key(table: str, record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the device and key that a change record of `table` makes dirty; None for a deletion by TTL.

    A write that changes nothing leaves no record. The record is as from GetRecords or as Lambda gets it.
    """
    identity = {name.lower(): value for name, value in (record.get("userIdentity") or {}).items()}
    if record["eventName"] == "REMOVE" and identity.get("principalid") == "dynamodb.amazonaws.com":
        return None
    keys = record["dynamodb"]["Keys"]
    (key,) = keys[range_key(table)].values()
    return keys["d"]["S"], key


def is_open(record: Mapping[str, Any]) -> bool:
    """Whether a change record is of a document whose period was not over."""
    return bool(record["dynamodb"].get("NewImage", {}).get(OPEN) == IS_OPEN)
