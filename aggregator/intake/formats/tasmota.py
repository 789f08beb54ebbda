"""Tasmota: the `ENERGY` object of `tele/TOPIC/SENSOR`. Pure.

`Total` and `ExportActive` are registers in kWh, and `Power` is W; each is an array for several phases. `Time` is local
without an offset: in the repeated hour it means the instant nearest to the time of arrival. For about 20 seconds after
a start every figure is 0 and false; such a message is refused. `parse_tasmota` raises Refused.
"""

from datetime import datetime

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import MAX_TIME, Reading, check_device_id, check_instant
from aggregator.intake.formats.message import (
    Content,
    Origin,
    check_clock,
    content_of,
    decoded,
    energy_wh,
    instants,
    power_w,
    register_wh,
    summed,
    table,
)

_KWH = 1000
_MOST_PHASES = 8
_SHORTEST_TIME = len("2026-02-01T08:10:20")


def parse_tasmota(payload: bytes, origin: Origin) -> Content:
    """Parse a message. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    energy = message.get("ENERGY")
    if not isinstance(energy, dict):
        raise Refused("wrong_format", "it has no ENERGY")
    imported, exported = (
        energy_wh(summed([energy_wh(one, _KWH) for one in _phases(energy.get(key))]))
        for key in ("Total", "ExportActive")
    )
    power = power_w(summed([power_w(one) for one in _phases(energy.get("Power"))]))
    if imported == 0 and not power and not exported:
        raise Refused("no_values", "the device has just started: every figure is 0")
    return content_of([Reading(device_id, _at(message.get("Time"), origin), power, register_wh(imported), exported)])


def _phases(figure: object) -> list[object]:
    phases = figure if isinstance(figure, list) else [figure]
    return phases if len(phases) <= _MOST_PHASES else []


def _at(written: object, origin: Origin) -> int:
    if not isinstance(written, str) or not _SHORTEST_TIME <= len(written) <= MAX_TIME:
        raise Refused("bad_time", f"Time is {shown(written)}")
    try:
        local = datetime.fromisoformat(written)
    except ValueError:
        raise Refused("bad_time", f"Time is {shown(written)}") from None
    if local.tzinfo:
        return check_clock(check_instant(written, origin.latest), origin.latest)
    meant = instants(local, origin.zone)
    if not meant:
        raise Refused("no_such_time", f"Time is {shown(written)}, which the clocks of {origin.zone} skip")
    return check_clock(min(meant, key=lambda at: abs(at - origin.now)), origin.latest)
