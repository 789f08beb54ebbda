"""Evidence: readings of an instant, intervals of a span, and the rules that make them valid. Pure.

**Readings.** The canonical message is a JSON object on one line::

    {"device_id": "cad-1", "at": "2026-03-29T00:59:50Z", "power_w": 431, "import_wh": 1234567, "export_wh": 0}

Power is W, negative when exporting; registers are cumulative Wh; `volume_l` is the register of a gas meter that counts
m³, in whole litres. `at` carries any UTC offset. At least one of power and the registers is present. `meter_id` is
optional, and unknown keys are ignored. A device with a second meter names it `cad-1~gas`, `cad-1~solar` (what panels
make is its import), or `cad-1~1` to `cad-1~9`. A message that breaks a rule raises Refused with a key of `REASONS`.

**Intervals.** The canonical message is a JSON object on one line::

    {"device_id": "home-1", "start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:30:00Z", "import_wh": 214}

At least one of `import_wh`, `export_wh` and `volume_l` (litres of gas) is present; `source` is optional text. An
interval lasts up to LONGEST_INTERVAL_S; `core.timeline` decides what of it counts. Messages of one span, of any source,
are merged like readings of one instant: the value received last counts.
"""

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson

from aggregator.core.errors import Phrase, Refused, shown

EARLIEST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
AHEAD_S = 600  # a device's clock may run this much ahead
MAX_TIME = 40  # characters of an ISO date and time
MAX_LINE = 65_536  # bytes; a reading needs about 150
MAX_POWER = 10_000_000  # W; no meter shows more
MAX_REGISTER = 10**12  # Wh or litres; a thousand million kWh or m³

NO_POWER = -8_388_608  # Glow: the meter gave no valid value (-2^23)
NO_REGISTER = 0xFFFF_FFFF_FFFF  # Zigbee: all ones is "invalid"
NO_METER = {"", "---", "empty", "not available", "read pending"}

REASONS = {
    "malformed_json": "the line is not JSON",
    "line_too_long": f"the line is longer than {MAX_LINE} bytes",
    "not_an_object": "the line is JSON, but not an object",
    "bad_device_id": "device_id is missing, not 1 to 64 letters, digits and . _ : -, or not the sender's",
    "bad_time": "at is missing or is not a date and time",
    "no_offset": "at has no UTC offset",
    "before_2000": "at is before the year 2000",
    "in_the_future": "at is more than 10 minutes ahead of the clock",
    "too_old": "at is older than the retention; only an edge, an import or `wattfall ingest` brings history",
    "too_many": "so many messages of this sender wait already that no more are kept",
    "contradicts_neighbours": "a late register contradicts the readings before and after it, as of a wrong clock",
    "server_clock": "the clock of the server is behind those of most devices; their messages wait until it is set",
    "not_a_number": "a figure is not a number",
    "not_whole": "a figure is not a whole number of W, Wh or litres",
    "out_of_range": "a figure exceeds the range of every meter",
    "negative_register": "a register is below zero",
    "bad_meter_id": "meter_id is not text of up to 64 printable characters",
    "no_values": "neither power nor a register is present",
    "bad_status": "a status value of the device is out of range or of the wrong type",
    "message_too_long": "the message exceeds the size limit of its format",
    "unknown_topic": "no supported format uses this topic",
    "wrong_format": "the message does not match its declared format",
    "bad_checksum": "the checksum of the telegram is wrong",
    "clock_not_set": "the clock of the device was never set",
    "bad_block": "the half-hour block cannot be decoded",
    "bad_row": "a row of the file lacks a value that its columns require",
    "bad_interval": "an interval is empty, longer than 25 hours, or its source is not text",
    "ambiguous_time": "a local time occurred twice when the clocks went back, and nothing says which one it is",
    "no_such_time": "a local time does not exist, because the clocks went forward",
    "erased": "the data of this time were erased for the household that lived there",
    "not_your_days": "another household lived there at this time",
    "our_fault": "Wattfall failed to process it, through a fault of its own",
    "contradiction": "another row gives another figure for the same time",
}

GAS, SOLAR = "~gas", "~solar"  # suffixes of the ids of a device's gas meter, and of the meter of its panels
SECOND_METERS = (GAS, SOLAR, *(f"~{number}" for number in range(1, 10)))  # suffixes of ids

_DEVICE_ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._:-]{{0,63}}(?:{'|'.join(SECOND_METERS)})?")


class Reading(NamedTuple):
    """One device's measurements at one instant. None is unknown, never zero."""

    device_id: str
    at: int  # UTC seconds
    power_w: int | None  # W, negative when exporting
    import_wh: int | None  # cumulative register, Wh
    export_wh: int | None  # cumulative register, Wh
    meter_id: str | None = None  # changes when the meter is exchanged
    volume_l: int | None = None  # cumulative register of a gas meter, litres


def merged(known: Reading, new: Reading) -> Reading:
    """Return two readings of one instant as one: an absent value never erases a known one; the new value counts."""
    return Reading(*(old if value is None else value for old, value in zip(known, new, strict=True)))  # type: ignore[arg-type] # field by field


class _Plain(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A reading without anything that needs a second look; see `plain_reading`."""

    at: str
    device_id: str | msgspec.UnsetType = msgspec.UNSET
    power_w: Annotated[int, msgspec.Meta(ge=-MAX_POWER, le=MAX_POWER)] | None = None
    import_wh: Annotated[int, msgspec.Meta(ge=0, le=MAX_REGISTER)] | None = None
    export_wh: Annotated[int, msgspec.Meta(ge=0, le=MAX_REGISTER)] | None = None
    meter_id: str | None = None
    volume_l: Annotated[int, msgspec.Meta(ge=0, le=MAX_REGISTER)] | None = None


_decode_one = msgspec.json.Decoder(_Plain).decode
_decode_many = msgspec.json.Decoder(list[_Plain]).decode


def plain_readings(payload: bytes, now: int, sender: str = "") -> list[Reading] | None:
    """Return the readings of one JSON text, a reading or an array of them, decoded in one compiled step.

    None for any other text: one that `parse` refuses, or reads with a second look. Without a `device_id` the readings
    are of the `sender`; no others may be, unless it is empty. `now` is in UTC seconds.
    """
    if len(payload) > MAX_LINE:
        return None
    try:
        many = _decode_many(payload) if payload[:1] == b"[" else [_decode_one(payload)]
        return [_plain(one, now, sender) for one in many]
    except (msgspec.MsgspecError, Refused):
        return None


def _plain(one: _Plain, now: int, sender: str) -> Reading:
    device_id = one.device_id if isinstance(one.device_id, str) else sender
    power, meter = one.power_w, one.meter_id
    if power == NO_POWER:
        power = None
    if power is None and one.import_wh is None and one.export_wh is None and one.volume_l is None:
        raise Refused("no_values", "it may be a status")
    check_device_id(device_id)
    if device_id is not sender:
        check_owner(sender, device_id)
    meter = None if meter is None else check_meter_id(meter)
    return Reading(device_id, check_instant(one.at, now), power, one.import_wh, one.export_wh, meter, one.volume_l)


def parse_line(line: bytes, now: int) -> Reading:
    """Parse one line of JSON; `now` is in UTC seconds. Raises Refused."""
    if line[:1] != b"[" and (plain := plain_readings(line, now)):
        return plain[0]
    if len(line) > MAX_LINE:
        raise Refused("line_too_long", f"{len(line)} bytes, at most {MAX_LINE}")
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        message = _lenient(line, error)
    return parse(message, now)


def parse(message: object, now: int) -> Reading:
    """Parse a decoded message; `now` is in UTC seconds. Raises Refused."""
    if type(message) is not dict:
        raise Refused("not_an_object", f"got {shown(message)}")
    get = message.get
    device_id = check_device_id(get("device_id"))
    at = check_instant(get("at"), now)
    power = get("power_w")
    if power is not None:
        power = None if power == NO_POWER else _whole("power_w", power, -MAX_POWER, MAX_POWER)
    imported, exported, volume = get("import_wh"), get("export_wh"), get("volume_l")
    if imported is not None:
        imported = check_register("import_wh", imported)
    if exported is not None:
        exported = check_register("export_wh", exported)
    if volume is not None:
        volume = check_register("volume_l", volume)
    if power is None and imported is None and exported is None and volume is None:
        raise Refused("no_values", "neither power_w, import_wh, export_wh nor volume_l has a value")
    meter = get("meter_id")
    return Reading(device_id, at, power, imported, exported, meter if meter is None else check_meter_id(meter), volume)


def check_device_id(value: object) -> str:
    """Return `value` if it is a device id (safe in a URL and a file name). Raises Refused."""
    if type(value) is not str or not is_device_id(value):
        raise Refused("bad_device_id", Phrase("device_id is {value}", value=shown(value)))
    return value


def sender_of(device_id: str) -> str:
    """Return the device that sends a meter's readings: `cad-1` for its second meter `cad-1~gas`."""
    return device_id.partition("~")[0]


def check_owner(owner: str, device_id: str) -> None:
    """Raise Refused where a device sends under another's id; `owner` is empty for a trusted sender."""
    if owner and owner not in (device_id, sender_of(device_id)):
        raise Refused("bad_device_id", f"a reading of {device_id} was sent by {owner[:64]!r}")


def is_device_id(text: str) -> bool:
    """Whether a text can name a device."""
    return len(text) <= 64 and _has_id_letters(text)


@lru_cache(maxsize=65536)
def _has_id_letters(text: str) -> bool:
    return _DEVICE_ID.fullmatch(text) is not None


def check_instant(text: object, now: int) -> int:
    """The instant (UTC seconds) of `at`, if it can be one as of `now`. Raises Refused."""
    if type(text) is not str or len(text) > MAX_TIME:
        raise Refused("bad_time", f"at is {shown(text)}")
    if (at := _instant(text)) > now + AHEAD_S:
        raise Refused("in_the_future", f"at {text!r} is {at - now} s ahead of the clock")
    return at


@lru_cache(maxsize=65536)
def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Refused("no_offset", f"at {text!r} needs an offset, like 2026-11-23T10:00:00Z")
        at = int(moment.timestamp() // 1)
    except (ValueError, OverflowError):
        raise Refused("bad_time", f"at is {shown(text)}") from None
    if at < EARLIEST:
        raise Refused("before_2000", f"at is {text!r}")
    return at


def check_register(name: str, value: Any) -> int | None:  # noqa: ANN401 - whatever JSON held
    """Return a register, an energy in Wh or a volume in litres; None for the invalid one's sentinel. Raises Refused."""
    if value == NO_REGISTER:
        return None
    if type(value) is int and 0 <= value <= MAX_REGISTER:
        return value
    number = _whole(name, value, -MAX_REGISTER, MAX_REGISTER)
    if number < 0:
        raise Refused("negative_register", f"{name} is {number}")
    return number


def _whole(name: str, value: Any, least: int, most: int) -> int:  # noqa: ANN401 - whatever JSON held
    if type(value) is not int:
        if type(value) is not float or value != value:
            raise Refused("not_a_number", f"{name} is {shown(value)}")
        if not value.is_integer() and abs(value) <= most:
            raise Refused("not_whole", f"{name} is {value}")
    if not least <= value <= most:
        raise Refused("out_of_range", f"{name} is {shown(value)}")
    return int(value)


def check_meter_id(value: object) -> str | None:
    """Return `value` if it is a meter id, None for a placeholder. Raises Refused."""
    if type(value) is not str or len(value) > 64 or not value.isprintable():  # a lone surrogate cannot be stored
        raise Refused("bad_meter_id", f"meter_id is {shown(value)}")
    return None if value.strip().lower() in NO_METER else value


def _lenient(line: bytes, error: Exception) -> object:
    """Parse NaN and Infinity with Python's parser, so that the refusal names the figure."""
    try:
        return json.loads(line.decode())
    except (ValueError, RecursionError):
        raise Refused("malformed_json", str(error)[:120]) from None


LONGEST_INTERVAL_S = 90_000  # the 25-hour day in autumn


class Interval(NamedTuple):
    """One device's energy in a span. None is unknown, never zero."""

    device_id: str
    start: int  # UTC seconds
    end: int  # UTC seconds, after `start`
    import_wh: int | None  # Wh taken from the grid in the span
    export_wh: int | None  # Wh given to the grid in the span
    source: str | None = None  # who states it
    volume_l: int | None = None  # litres of gas in the span


def is_interval(message: object) -> bool:
    """Whether a decoded message is an interval rather than a reading."""
    return isinstance(message, dict) and "at" not in message and ("start" in message or "end" in message)


def parse_interval(message: object, now: int) -> Interval:
    """Parse a decoded message; `now` is in UTC seconds. Raises Refused."""
    if not isinstance(message, dict):
        raise Refused("not_an_object", f"got {shown(message)}")
    device_id = check_device_id(message.get("device_id"))
    start, end = _bound(message, "start", now), _bound(message, "end", now)
    if not 0 < end - start <= LONGEST_INTERVAL_S:
        raise Refused("bad_interval", f"the interval lasts {end - start} s, not 1 to {LONGEST_INTERVAL_S} s")
    imported, exported, volume = (
        None if message.get(name) is None else check_register(name, message[name])
        for name in ("import_wh", "export_wh", "volume_l")
    )
    if imported is None and exported is None and volume is None:
        raise Refused("no_values", "neither import_wh, export_wh nor volume_l has a value")
    return Interval(device_id, start, end, imported, exported, _source(message.get("source")), volume)


def _bound(message: dict[str, object], name: str, now: int) -> int:
    try:
        return check_instant(message.get(name), now)
    except Refused as why:
        raise Refused(why.reason, f"{name}: {why.detail}") from None


def _source(value: object) -> str | None:
    try:
        return None if value is None else check_meter_id(value)
    except Refused:
        raise Refused("bad_interval", f"source is {shown(value)}, not text of up to 64 characters") from None
