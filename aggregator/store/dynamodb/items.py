"""The items that DynamoDB holds, byte for byte. Pure: no network, no clock.

| table | key | attributes | bytes | write units |
|---|---|---|---|---|
| `readings` | `d` device, `b` start of the UTC half hour | one a reading, see below; `x` expiry (TTL), `m..` meter ids | 46 + 9 a reading (13 with export) | 2 a full half hour at 10 s (3) |
| `days` | `d` device, `p` `2026-11-23` | `h00`.. and `s00`.. parts; `z` time zone, `c` currency, `t` last change | about 600, 900 with a tariff | 1 |
| `months` | `d` device, `p` `2026-11` | `d01`.. parts; `z`, `c`, `t` | about 400 | 1 |
| `years` | `d` device, `p` `2026` | `m01`.. parts; `z`, `c`, `t` | about 200 | 1 |
| `prices` | `d` device, `p` UTC day | `i00`.. and `e00`.. prices of import and export by half hour | about 300 | 1 |
| `live` | `d` device | `t` at, `r` received, `p` W, `i` and `e` Wh, `m` meter; `t1`.. and `r1`.. of the arrivals before | about 180 | 1 |
| `devices` | `d` device | `z` time zone, `w` maximum W, `r` registers, `t` tariff, `h` retention_cutoff, `l..` labels, `f` and `o` (see `index`) | about 100 | 1 |
| `checkpoints` | `s` a shard, a stream or what was put aside | see `leases` | about 200 | 1 |
| `records` | `k` collection, `s` key | `b` body, `x` expiry (TTL), `w` which write | its body's | 1 a KB |
| `records` | `k` `find ` + how a term begins, `s` term and device | `v` the other terms of the device | about 150 | 1 |

**A reading** is one attribute, so that writing it twice, or in any order, gives the same item without a read. Its name
is its offset in the half hour, two digits to the base 62; its value a head byte, then power, import and export, each
in as few bytes as it needs, then one byte (a second meter with that byte takes another, the 257th in one half hour two
bytes) for the meter, if it is known. The head says how long each is: `49 * power + 7 * import + export`; power 0 is
unknown, 1-4 that many bytes; a register 0 is unknown, 1 is a zero, 2-6 are 1-5 bytes. The meter's byte leads to the
attribute `m` + two hex digits, which holds its id.

**A part** is a list of varints, see `parts`; sizes follow AWS's rules, see `values`.

The values of DynamoDB's items, and their sizes by AWS's rules. Pure.

Names and texts count in UTF-8 bytes, binary as it is, a number one byte for each two digits and one more. A write unit
is 1 KB of the whole item, a read unit 4 KB; an eventually consistent read costs half.
"""  # noqa: E501 - a table

import zlib
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from aggregator.core.documents import REMEMBERED, Arrival, Device, Live
from aggregator.core.periods import DAY_S, LEVELS
from aggregator.core.readings import Reading
from aggregator.store.port import READINGS

Value = dict[str, Any]  # {"S": text} | {"N": digits} | {"B": bytes} | {"SS": texts}
Item = dict[str, Value]

WRITE_UNIT = 1024  # bytes
READ_UNIT = 4096  # bytes


def text(value: str) -> Value:
    """A text attribute."""
    return {"S": value}


def number(value: int) -> Value:
    """A number attribute."""
    return {"N": str(value)}


def value_size(value: Value) -> int:
    """The bytes of an attribute's value."""
    ((kind, content),) = value.items()
    if kind == "N":
        digits = str(content)
        return (len(digits.lstrip("-").strip("0")) + 1) // 2 + 1 + digits.startswith("-")
    if kind == "SS":
        return sum(len(str(one).encode()) for one in content)
    return len(str(content).encode() if kind == "S" else bytes(content))


def item_size(item: Item) -> int:
    """The bytes of an item."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def write_units(size: int) -> int:
    """The write units of writing an item of `size` bytes: the larger of before and after."""
    return max(1, -(-size // WRITE_UNIT))


def read_units(size: int, *, is_consistent: bool) -> float:
    """The read units of reading `size` bytes."""
    return max(1, -(-size // READ_UNIT)) * (1.0 if is_consistent else 0.5)


# items

TTL_MARGIN_DAYS = 7  # readings stay so much longer than the retention, to judge those that are still computed from
LATE_DAYS = 2  # and at least so long after they came in

_MOST = 49 * 4 + 7 * 6 + 6  # the largest head byte
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

LABEL_NAMES = {"household": "lh", "name": "ln", "serial": "ls", "meter_point": "lm", "postcode": "lp"}


# keys


def table_of(feed: str) -> str:
    """The table of a level, or of the readings."""
    return READINGS if feed == READINGS else LEVELS[feed].table


def range_key(table: str) -> str:
    """The range key of the table of readings, or of a level's."""
    return "b" if table == READINGS else "p"


def document_key(device_id: str, period: str) -> Item:
    """The key of a document."""
    return {"d": text(device_id), "p": text(period)}


def block_key(device_id: str, start: int) -> Item:
    """The key of a half hour of readings."""
    return {"d": text(device_id), "b": number(start)}


def expiry(start: int, now: int, retention_days: int) -> int:
    """When a half hour of readings may go (UTC seconds): past its retention, but not in the days after it came in.

    The second date is for history that comes in late; it is rounded up, so that sending it again the same day
    changes nothing.
    """
    return max(start + (retention_days + TTL_MARGIN_DAYS) * DAY_S, (now // DAY_S + 1 + LATE_DAYS) * DAY_S)


# readings


def reading_name(offset: int) -> str:
    """The attribute of a reading, by its seconds into the half hour."""
    return _DIGITS[offset // 62] + _DIGITS[offset % 62]


def meter_name(tag: int) -> str:
    """The attribute with the id of the meter that a reading's last byte names."""
    return f"m{tag:02x}"


def meter_tags(meters: Iterable[str], taken: Item) -> dict[str, int]:
    """A byte for each meter: of its checksum, or the next one where another meter has it in `taken`, the item."""
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
    """The value of a reading's attribute."""
    power = b"" if reading.power_w is None else _signed(reading.power_w)
    imported, exported = _register(reading.import_wh), _register(reading.export_wh)
    head = 49 * len(power) + 7 * _code(reading.import_wh, imported) + _code(reading.export_wh, exported)
    meter = b"" if reading.meter_id is None else _tag(tags[reading.meter_id])
    return bytes([head]) + power + imported + exported + meter


def unpack_reading(device_id: str, at: int, value: bytes, item: Item) -> Reading:
    """A reading from its attribute, and the item for its meter's id."""
    power_size, codes = divmod(value[0], 49)
    import_code, export_code = divmod(codes, 7)
    power_end = 1 + power_size
    import_end = power_end + max(import_code - 1, 0)
    export_end = import_end + max(export_code - 1, 0)
    if value[0] > _MOST or not 0 <= len(value) - export_end <= 2:
        raise ValueError(f"a reading of {len(value)} bytes begins with {value[0]}")
    meter = item[meter_name(int.from_bytes(value[export_end:], "little"))]["S"] if len(value) > export_end else None
    return Reading(
        device_id,
        at,
        int.from_bytes(value[1:power_end], "little", signed=True) if power_size else None,
        int.from_bytes(value[power_end:import_end], "little") if import_code else None,
        int.from_bytes(value[import_end:export_end], "little") if export_code else None,
        meter,
    )


def unpack_block(item: Item) -> list[Reading]:
    """The readings of a half hour, by time."""
    device_id, start = item["d"]["S"], int(item["b"]["N"])
    offsets = {name: _DIGITS.index(name[0]) * 62 + _DIGITS.index(name[1]) for name in sorted(item) if len(name) == 2}
    return [unpack_reading(device_id, start + offset, item[name]["B"], item) for name, offset in offsets.items()]


def _signed(value: int) -> bytes:
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "little", signed=True)


def _register(value: int | None) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "little") if value else b""


def _tag(tag: int) -> bytes:
    return tag.to_bytes(1 if tag < 0x100 else 2, "little")


def _code(value: int | None, packed: bytes) -> int:
    return 0 if value is None else len(packed) + 1


# live state and registry


_NO_ARRIVAL = number(0)  # before the first one


def pack_live(live: Live) -> Item:
    """The item of a live state. Its arrivals are counted back: `t1` and `r1` are the last one before it."""
    item = {"d": text(live.device_id)} | {name: value for name, value in _newest(live).items() if value}
    for back, (at, received_at) in enumerate(reversed(live.arrivals), 1):
        item |= {f"t{back}": number(at), f"r{back}": number(received_at)}
    return item


def live_update(live: Live) -> dict[str, Any]:
    """The arguments of `update_item` that overwrite an older live state, which becomes the last arrival before it.

    Each arrival moves back by one in the write itself, so nobody has to read before. A failed condition means that
    the stored state is as new.
    """
    newest = _newest(live)
    known = [name for name, value in newest.items() if value]
    unknown = [name for name, value in newest.items() if not value]
    moved = [
        f"#{name}{back} = if_not_exists(#{name}{back - 1 or ''}, :none)"
        for back in range(REMEMBERED, 0, -1)
        for name in "tr"
    ]
    expression = "SET " + ", ".join([*moved, *(f"#{name} = :{name}" for name in known)])
    if unknown:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in unknown)
    names = [*newest, *(f"{name}{back}" for back in range(1, REMEMBERED + 1) for name in "tr")]
    return {
        "Key": {"d": text(live.device_id)},
        "UpdateExpression": expression,
        "ConditionExpression": "attribute_not_exists(d) OR #t < :t",
        "ExpressionAttributeNames": {f"#{name}": name for name in names},
        "ExpressionAttributeValues": {":none": _NO_ARRIVAL}
        | {f":{name}": value for name, value in newest.items() if value},
    }


def _newest(live: Live) -> dict[str, Value | None]:
    """The attributes of the newest reading; None where a value is unknown."""
    numbers = {"t": live.at, "r": live.received_at, "p": live.power_w, "i": live.import_wh, "e": live.export_wh}
    found = {name: None if value is None else number(value) for name, value in numbers.items()}
    return found | {"m": None if live.meter_id is None else text(live.meter_id)}


def unpack_live(item: Item) -> Live:
    """A live state from its item."""
    at, received_at, power, imported, exported = (int(item[name]["N"]) if name in item else None for name in "trpie")
    meter = item["m"]["S"] if "m" in item else None
    assert at is not None
    assert received_at is not None
    return Live(item["d"]["S"], at, received_at, power, imported, exported, meter, _arrivals(item))


def _arrivals(item: Item) -> tuple[Arrival, ...]:
    """The arrivals before the newest one; none where a former version wrote the item."""
    backwards = [name for back in range(REMEMBERED, 0, -1) if item.get(name := f"t{back}", _NO_ARRIVAL) != _NO_ARRIVAL]
    return tuple(Arrival(int(item[name]["N"]), int(item[f"r{name[1:]}"]["N"])) for name in backwards)


def unpack_device(item: Item) -> Device:
    """A device from its item."""
    registers = tuple(sorted(item["r"]["SS"])) if "r" in item else ()
    tariff = item["t"]["S"] if "t" in item else ""
    labels = {field: item[name]["S"] for field, name in LABEL_NAMES.items() if name in item}
    overrides = item["k"]["S"] if "k" in item else ""
    return Device(
        item["d"]["S"], item["z"]["S"], int(item["w"]["N"]), registers, tariff, **labels, exchange_overrides=overrides
    )


# change records


def changed_key(table: str, record: Mapping[str, Any]) -> tuple[str, str] | None:
    """The device and the key that a change record of `table` makes dirty; None where it makes none.

    None for what changed nothing but the expiry, and for what the TTL service removed. Takes a record as GetRecords
    returns it, or as Lambda gets it.
    """
    identity = {name.lower(): value for name, value in (record.get("userIdentity") or {}).items()}
    if record["eventName"] == "REMOVE" and identity.get("principalid") == "dynamodb.amazonaws.com":
        return None
    change = record["dynamodb"]
    old, new = (
        {name: value for name, value in change[image].items() if name != "x"} if image in change else None
        for image in ("OldImage", "NewImage")
    )
    if old is not None and old == new:
        return None
    (key,) = change["Keys"][range_key(table)].values()
    return change["Keys"]["d"]["S"], key
