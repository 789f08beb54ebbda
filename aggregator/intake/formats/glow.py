"""Glow: the two MQTT formats of Hildebrand's UK in-home displays and sticks, local MQTT and hex. Pure.

**Local MQTT.** `SENSOR/electricitymeter` gives a reading, and a status with the meter's own counters.
`SENSOR/gasmeter` gives the same for a second meter, `ID~gas`, in kWh as converted by the display, and its volume.
`STATE` gives a status. `cumulative` is the register, `cumulativevol` that of the volume. `day`, `week` and `month` are
counters, never energy; prices and meter points are ignored.

**Hex.** Older devices publish the Zigbee attributes of all meters over `SMART/HILD/ID` in one message.

| path | meaning |
|---|---|
| `elecMtr.0702.00.00`, `.01` | registers of import and export |
| `elecMtr.0702.03.00` | their unit: 00 is kWh, 01 is m³ |
| `elecMtr.0702.03.01`, `.02` | multiplier and divisor of all figures |
| `elecMtr.0702.04.00` | power, signed |
| `elecMtr.0702.04.01`, `.30`, `.40` | the meter's own counters of the day, the week, the month |
| `gasMtr.0702` | the same for the meter `ID~gas`; its register usually counts m³ |
| `gasMtr.0702.0C.01`, `.30`, `.40` | its counters, in the unit of `03.12` |
| `pan` | `rssi`, a signed byte, `lqi`, 0 to 255, and `status` |
| `gmtime`, `time` | the time in epoch seconds, as a number and in hex |

All ones mean "invalid", and any block may be missing. An `ets` of 2000-01-01 means that a clock was never set. Some
devices always send it beside a correct `gmtime`. It therefore refuses only a `gmtime` far from the time of arrival.
"""

import re

from aggregator.core.errors import Refused, shown
from aggregator.core.periods import DAY_S
from aggregator.core.readings import GAS, Reading, check_device_id, check_instant
from aggregator.core.status import Counters, Status
from aggregator.intake.formats.message import (
    Content,
    Origin,
    check_clock,
    content_of,
    counters_of,
    decoded,
    energy_wh,
    instant_of,
    joined,
    power_w,
    register_wh,
    table,
    text,
    whole,
)

_METERS = ("electricitymeter", "gasmeter")
_STATE = ("han", "software", "hardware")
_BLOCKS = (("power",), ("energy", "import"), ("energy", "export"))
_WATTS = {"kw": 1000, "w": 1}
_WATT_HOURS = {"kwh": 1000, "wh": 1}
_LITRES = {"m3": 1000, "m³": 1000}


def parse_glow(payload: bytes, origin: Origin) -> Content:
    """Parse a message of Glow local MQTT. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    kind = _kind(message)
    if origin.part and origin.part.rpartition("/")[2] != kind:
        raise Refused("wrong_format", f"the topic says {shown(origin.part)}, the message is {kind}")
    if kind == "STATE":
        return _state(message, device_id, origin.latest)
    return _meter(table(message, kind), device_id + (GAS if kind == "gasmeter" else ""), origin.latest)


def _kind(message: dict[str, object]) -> str:
    """Return the last word of the topic of such a message."""
    meters = [meter for meter in _METERS if meter in message]
    if len(meters) == 1:
        return meters[0]
    if not meters and any(key in message for key in _STATE):
        return "STATE"
    raise Refused("wrong_format", "it has neither one meter nor a state")


def _state(message: dict[str, object], device_id: str, now: int) -> Content:
    network = table(message, "han")
    status = Status(
        device_id,
        _at(message, now),
        whole(network.get("rssi"), -128, 20),
        whole(network.get("lqi"), 0, 255),
        text(message.get("software")),
        text(message.get("hardware")),
        joined(network.get("status")),
    )
    if not any(said is not None for said in status[2:]):
        raise Refused("bad_status", "it has no usable status value")
    return Content(statuses=[status])


def _meter(meter: dict[str, object], device_id: str, now: int) -> Content:
    check_device_id(device_id)
    at = _at(meter, now)
    power, imported, exported = (table(meter, *path) for path in _BLOCKS)
    unit = _unit(imported, _WATT_HOURS)
    reading = Reading(
        device_id,
        at,
        power_w(power.get("value"), _unit(power, _WATTS)),
        register_wh(imported.get("cumulative"), unit),
        energy_wh(exported.get("cumulative"), _unit(exported, _WATT_HOURS)),
        volume_l=register_wh(imported.get("cumulativevol"), _unit(imported, _LITRES, "cumulativevolunits")),
    )
    counters = counters_of(at, [energy_wh(imported.get(period), unit) for period in ("day", "week", "month")])
    return content_of([reading], [Status(device_id, at, None, None, None, None, None, counters)])


def _at(message: dict[str, object], now: int) -> int:
    return check_clock(check_instant(message.get("timestamp"), now), now)


def _unit(block: dict[str, object], units: dict[str, int], key: str = "units") -> int | None:
    """Return a block's unit in W, Wh or litres: the vendor's default where missing, None where unknown."""
    named = block.get(key)
    if named is None:
        return next(iter(units.values()))
    return units.get(named.strip().lower()) if isinstance(named, str) else None


# Glow hex
_NEVER_SET = "2000-01-01"
_KWH, _M3 = "00", "01"
_PERIODS = ("01", "30", "40")
_HEX = re.compile(r"[0-9A-Fa-f]{1,12}")
_DEMAND = re.compile(r"(?:|00|FF)([0-9A-F]{6})")
_HEX_TIME = 8  # digits; a number of seconds has 10

_Meter = dict[str, object]
_Scale = tuple[int, int] | None  # multiplier and divisor; None where they or the unit are unknown


def parse_glow_hex(payload: bytes, origin: Origin) -> Content:
    """Parse a message of hex Zigbee attributes. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    if not message.keys() & {"elecMtr", "gasMtr", "pan"}:
        raise Refused("wrong_format", "it has neither a meter nor a network")
    at = _hex_at(message, origin)
    electricity, gas = table(message, "elecMtr", "0702"), table(message, "gasMtr", "0702")
    readings = [_electricity(electricity, device_id, at)]
    statuses = [_status(message, device_id, at, _counters(table(electricity, "04"), _scale(electricity), at))]
    if gas:
        gas_id = check_device_id(device_id + GAS)
        counters = _counters(table(gas, "0C"), _scale(gas, "12"), at)
        readings.append(_gas(gas, gas_id, at))
        statuses.append(Status(gas_id, at, None, None, None, None, None, counters))
    return content_of(readings, statuses)


def _electricity(meter: _Meter, device_id: str, at: int) -> Reading:
    registers, scale = table(meter, "00"), _scale(meter)
    return Reading(
        device_id,
        at,
        power_w(_scaled(_signed(table(meter, "04").get("00")), scale)),
        register_wh(_scaled(_unsigned(registers.get("00")), scale)),
        energy_wh(_scaled(_unsigned(registers.get("01")), scale)),
    )


def _gas(meter: _Meter, device_id: str, at: int) -> Reading:
    register = _unsigned(table(meter, "00").get("00"))
    energy, volume = (register_wh(_scaled(register, _scale(meter, "00", unit))) for unit in (_KWH, _M3))
    return Reading(device_id, at, None, energy, None, volume_l=volume)


def _counters(block: _Meter, scale: _Scale, at: int) -> Counters | None:
    return counters_of(at, [energy_wh(_scaled(_unsigned(block.get(period)), scale)) for period in _PERIODS])


def _status(message: _Meter, device_id: str, at: int, counters: Counters | None) -> Status:
    network = table(message, "pan")
    rssi = _number(network.get("rssi"))
    return Status(
        device_id,
        at,
        whole(rssi - 256 if rssi is not None and rssi > 127 else rssi, -128, 20),
        whole(_number(network.get("lqi")), 0, 255),
        None,
        text(message.get("hversion")),
        joined(network.get("status")),
        counters,
    )


def _hex_at(message: _Meter, origin: Origin) -> int:
    gmtime, ets = message.get("gmtime"), message.get("ets")
    is_hex = isinstance(gmtime, str) and len(gmtime) == _HEX_TIME
    seconds = _number(gmtime) if is_hex else whole(gmtime, 0, 2**40)
    if seconds is None:
        seconds = _number(message.get("time"))
    if isinstance(ets, str) and ets.startswith(_NEVER_SET) and (seconds is None or abs(seconds - origin.now) > DAY_S):
        raise Refused("clock_not_set", f"ets is {_NEVER_SET}, and gmtime is missing or far from the time of arrival")
    return instant_of(seconds, origin.latest)


def _number(value: object) -> int | None:
    return int(value, 16) if isinstance(value, str) and _HEX.fullmatch(value) else None


def _unsigned(value: object) -> int | None:
    """Parse an unsigned attribute; None where it is all ones."""
    found = _number(value)
    return None if found is None or found == 16 ** len(str(value)) - 1 else found


def _signed(value: object) -> int | None:
    """Parse a power of 24 bits: 6 digits, or 8 with sign extension or leading zeros."""
    digits = _DEMAND.fullmatch(value.upper()) if isinstance(value, str) else None
    if not digits:
        return None
    found = int(digits[1], 16)
    if found == 2**23:  # no valid value
        return None
    is_negative = found >= 2**23
    if len(digits[0]) == 8 and digits[0].startswith("FF") and not is_negative:
        return None
    return found - 2**24 if is_negative else found


def _scale(meter: _Meter, unit: str = "", wanted: str = _KWH) -> _Scale:
    """Return the factors from figures to kWh or m³, or None for another unit; kWh is electricity's default."""
    formatting = table(meter, "03")
    named = formatting.get(unit) if unit else formatting.get("00", _KWH)
    multiplier, divisor = _unsigned(formatting.get("01")), _unsigned(formatting.get("02"))
    return (multiplier, divisor) if named == wanted and multiplier and divisor else None


def _scaled(figure: int | None, scale: _Scale) -> int | None:
    """Convert a figure to W, Wh or litres, rounded."""
    if figure is None or scale is None:
        return None
    multiplier, divisor = scale
    return (figure * 1000 * multiplier * 2 + divisor) // (2 * divisor)
