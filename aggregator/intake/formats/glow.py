"""Glow local MQTT: what a UK in-home display or stick of Hildebrand publishes for two meters and itself. Pure.

`SENSOR/electricitymeter` is a reading, and a status with the meter's own counters; `SENSOR/gasmeter` is the same of a
meter of its own, `ID~gas`, in kWh as the display converts them; `STATE` is a status. `cumulative` is the meter's
register. The figures of `day`, `week` and `month` are never energy, and prices and meter points are left alone.
"""

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import GAS, Reading, check_device_id, check_instant
from aggregator.intake.formats.message import (
    Content,
    Origin,
    check_clock,
    content_of,
    counters_of,
    decoded,
    energy_wh,
    joined,
    power_w,
    register_wh,
    table,
    text,
    whole,
)
from aggregator.intake.status import Status

_METERS = ("electricitymeter", "gasmeter")
_STATE = ("han", "software", "hardware")
_BLOCKS = (("power",), ("energy", "import"), ("energy", "export"))
_WATTS = {"kw": 1000, "w": 1}
_WATT_HOURS = {"kwh": 1000, "wh": 1}


def read(payload: bytes, origin: Origin) -> Content:
    """What is in a message. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    kind = _kind(message)
    if origin.part and origin.part.rpartition("/")[2] != kind:
        raise Refused("wrong_format", f"the topic says {shown(origin.part)}, the message is {kind}")
    if kind == "STATE":
        return _state(message, device_id, origin.latest)
    return _meter(table(message, kind), device_id + (GAS if kind == "gasmeter" else ""), origin.latest)


def _kind(message: dict[str, object]) -> str:
    """The last word of the topic over which such a message comes."""
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
        raise Refused("bad_status", "nothing that it says of itself can be used")
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
    )
    counters = counters_of(at, [energy_wh(imported.get(period), unit) for period in ("day", "week", "month")])
    return content_of([reading], [Status(device_id, at, None, None, None, None, None, counters)])


def _at(message: dict[str, object], now: int) -> int:
    return check_clock(check_instant(message.get("timestamp"), now), now)


def _unit(block: dict[str, object], units: dict[str, int]) -> int | None:
    """How many W or Wh its unit is; that of the vendor where it is missing, None where it is another."""
    named = block.get("units")
    if named is None:
        return next(iter(units.values()))
    return units.get(named.strip().lower()) if isinstance(named, str) else None
