"""Shelly energy meters: status and notifications of all generations. Pure.

Generation 1 has `emeters`. Later generations have components: `em1:N` and `em1data:N` for a clamp, `em:0` and
`emdata:0` for three phases. Clamp 0 is the device, and clamp N is a separate meter, `ID~N`. Three `emeters` are the
phases of one home. Figures are W and Wh. A message without a valid time gets its time of arrival, since a Shelly delays
no message. `parse_shelly` raises Refused.

**Netting.** A three-phase Shelly counts each phase for itself: its registers of import and export are sums over the
phases (`total_act` and `total_act_ret` too). A home that takes 1 kWh on one phase and gives 1 kWh on another has then
1 kWh of both; a meter that nets the phases shows 0. The registers cannot be netted afterwards, so with netting `sum`
they are ignored, and the power of all phases tells the energy.
"""

import re
from collections.abc import Sequence

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading, check_device_id
from aggregator.intake.formats.message import (
    CLOCKS_SET,
    Content,
    Origin,
    check_instant_of,
    content_of,
    decoded,
    number,
    power_w,
    summed,
    summed_wh,
    table,
)

_PHASES = 3
_STATUS = "status/"
_COMPONENT = re.compile(r"(em1?(?:data)?):([0-9])")
_KEYS = {  # the keys of power, import and export in each component
    "em1": ("act_power", None, None),
    "em1data": (None, "total_act_energy", "total_act_ret_energy"),
    "em": ("total_act_power", None, None),
    "emdata": (None, "total_act", "total_act_ret"),
}
_EMETER: tuple[str | None, ...] = ("power", "total", "total_returned")
_PHASE_REGISTERS = "emdata:0"

_Figures = Sequence[object]  # power, import and export


def parse_shelly(payload: bytes, origin: Origin) -> Content:
    """Parse a message; a message without a meter has empty content. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    emeters = message.get("emeters")
    is_netted = origin.rules.netting == "sum"
    if isinstance(emeters, list):
        meters, seconds = _emeters(emeters, is_netted=is_netted), message.get("unixtime")
    else:
        components, seconds = _components(message, origin.part)
        meters = _clamps(
            {name: components[name] for name in components if not (is_netted and name == _PHASE_REGISTERS)}
        )
        if not meters and components is message:
            raise Refused("wrong_format", "it has no energy meter")
    at = _at(seconds, origin)
    readings = [_reading(_meter_of(device_id, channel), at, meters[channel]) for channel in sorted(meters)]
    used = [reading for reading in readings if reading.device_id == device_id or not _is_unused(reading)]
    return content_of(used) if used else Content()


def _emeters(emeters: list[object], *, is_netted: bool) -> dict[int, list[_Figures]]:
    """Return the meters of generation 1 by channel, each with its phases."""
    if not 1 <= len(emeters) <= _PHASES:
        raise Refused("wrong_format", f"it has {len(emeters)} emeters")
    statuses = [table(emeter) for emeter in emeters]
    is_triphase = len(emeters) == _PHASES
    keys = (*_EMETER[:1], None, None) if is_triphase and is_netted else _EMETER
    phases = [_figures({} if one.get("is_valid") is False else one, keys) for one in statuses]
    return {0: phases} if is_triphase else {channel: [phase] for channel, phase in enumerate(phases)}


def _components(message: dict[str, object], part: str) -> tuple[dict[str, object], object]:
    """Return the components of a message and its time; a full status is its own table of components."""
    if part.startswith(_STATUS):
        return {part.removeprefix(_STATUS): message}, None
    if "method" in message:
        params = table(message, "params")
        return params, params.get("ts")
    return message, table(message, "sys").get("unixtime")


def _clamps(components: dict[str, object]) -> dict[int, list[_Figures]]:
    """Return the meters of later generations by channel, joined from separate power and register components."""
    meters: dict[int, list[_Figures]] = {}
    for name, status in components.items():
        if match := _COMPONENT.fullmatch(name):
            channel, figures = int(match[2]), _figures(table(status), _KEYS[match[1]])
            known = meters[channel][0] if channel in meters else (None, None, None)
            meters[channel] = [[old if new is None else new for old, new in zip(known, figures, strict=True)]]
    return meters


def _figures(status: dict[str, object], keys: Sequence[str | None]) -> _Figures:
    return [None if key is None else status.get(key) for key in keys]


def _reading(device_id: str, at: int, phases: Sequence[_Figures]) -> Reading:
    powers, imports, exports = zip(*phases, strict=True)
    return Reading(
        device_id,
        at,
        power_w(summed([power_w(one) for one in powers])),
        summed_wh(imports) or None,  # 0 is a transient fault
        summed_wh(exports),
    )


def _meter_of(device_id: str, channel: int) -> str:
    return check_device_id(f"{device_id}~{channel}") if channel else device_id


def _is_unused(reading: Reading) -> bool:
    """Whether all figures are zero, as for a disconnected clamp."""
    figures = reading[2:5]
    return 0 in figures and not any(figures)


def _at(seconds: object, origin: Origin) -> int:
    sent_at = number(seconds)
    return origin.now if sent_at is None or sent_at < CLOCKS_SET else check_instant_of(int(sent_at), origin.latest)
