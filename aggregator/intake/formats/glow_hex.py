"""The older Glow over `SMART/HILD/ID`: Zigbee attributes of the meters, in hex, all in one message. Pure.

| path | what |
|---|---|
| `elecMtr.0702.00.00`, `.01` | the registers of import and export |
| `elecMtr.0702.03.00` | their unit: 00 is kWh, 01 is m³ |
| `elecMtr.0702.03.01`, `.02` | what to multiply and divide figures by |
| `elecMtr.0702.04.00` | power, signed |
| `elecMtr.0702.04.01`, `.30`, `.40` | the meter's own counters of the day, the week, the month |
| `gasMtr.0702` | the same of the meter `ID~gas`; its register counts m³, as a rule, which are no energy |
| `gasMtr.0702.0C.01`, `.30`, `.40` | its counters, in the unit of `03.12` |
| `pan` | `rssi`, a signed byte, `lqi`, 0 to 255, and `status` |
| `gmtime`, `time` | the time, as a number and in hex |

All ones are "invalid", and any block may be missing. An `ets` of 2000-01-01 says that a clock was never set. Some
devices send it all their lives beside a `gmtime` that is right, so it makes only a `gmtime` doubtful that is far from
the time at which the message came.
"""

import re

from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S
from aggregator.core.readings import GAS, Reading, check_device_id
from aggregator.intake.formats.message import (
    Content,
    Origin,
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
from aggregator.intake.status import Counters, Status

_NEVER_SET = "2000-01-01"
_KWH = "00"
_PERIODS = ("01", "30", "40")
_HEX = re.compile(r"[0-9A-Fa-f]{1,12}")
_DEMAND = re.compile(r"(?:|00|FF)([0-9A-F]{6})")
_HEX_TIME = 8  # digits; a number of seconds has 10

_Meter = dict[str, object]
_Scale = tuple[int, int] | None  # multiplier and divisor; None where they, or the unit, are not known


def read(payload: bytes, origin: Origin) -> Content:
    """What is in a message. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    if not message.keys() & {"elecMtr", "gasMtr", "pan"}:
        raise Refused("wrong_format", "it has neither a meter nor a network")
    at = _at(message, origin)
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
    return Reading(device_id, at, None, register_wh(_scaled(register, _scale(meter, "00"))), None)


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


def _at(message: _Meter, origin: Origin) -> int:
    said, ets = message.get("gmtime"), message.get("ets")
    is_hex = isinstance(said, str) and len(said) == _HEX_TIME
    seconds = _number(said) if is_hex else whole(said, 0, 2**40)
    if seconds is None:
        seconds = _number(message.get("time"))
    if isinstance(ets, str) and ets.startswith(_NEVER_SET) and (seconds is None or abs(seconds - origin.now) > DAY_S):
        raise Refused("clock_not_set", f"ets is {_NEVER_SET}, and gmtime is no better")
    return instant_of(seconds, origin.latest)


def _number(value: object) -> int | None:
    return int(value, 16) if isinstance(value, str) and _HEX.fullmatch(value) else None


def _unsigned(value: object) -> int | None:
    """An attribute without a sign; None where it is all ones."""
    found = _number(value)
    return None if found is None or found == 16 ** len(str(value)) - 1 else found


def _signed(value: object) -> int | None:
    """A power of 24 bits, which comes in 6 digits, or in 8: with its sign before it, or with zeros."""
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


def _scale(meter: _Meter, unit: str = "") -> _Scale:
    """How figures become kWh, where an attribute says that this is their unit; electricity need not say it."""
    formatting = table(meter, "03")
    named = formatting.get(unit) if unit else formatting.get("00", _KWH)
    multiplier, divisor = _unsigned(formatting.get("01")), _unsigned(formatting.get("02"))
    return (multiplier, divisor) if named == _KWH and multiplier and divisor else None


def _scaled(figure: int | None, scale: _Scale) -> int | None:
    """A figure in W or Wh, rounded."""
    if figure is None or scale is None:
        return None
    multiplier, divisor = scale
    return (figure * 1000 * multiplier * 2 + divisor) // (2 * divisor)
