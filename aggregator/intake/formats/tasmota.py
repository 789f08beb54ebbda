"""Tasmota: the `ENERGY` object, or a smart meter, of `tele/TOPIC/SENSOR`. Pure.

`Time` is local without an offset: in the repeated hour it means the instant nearest to the time of arrival. For about
20 seconds after a start every figure is 0 and false; such a message is refused. `parse_tasmota` raises Refused.

**`ENERGY`.** `Total` and `ExportActive` are registers in kWh, and `Power` is W; each is an array for several phases.
Where Tasmota itself counts the energy that is given (Shelly EM and 3EM), `Total` is *net*: it runs backwards meanwhile,
also below zero (xdrv_03_energy.ino, `EnergyUpdateToday`: an amount below zero is added to the total, and its absolute
value to `export_active`; issue 17178 of arendst/Tasmota). Import is then `Total` + `ExportActive`. One message cannot
show that `Total` is net, and all messages of a device must be read alike. So it is net wherever there is
`ExportActive`, unless a key shows a meter on the rail (Eastron) that counts import by itself, or the device's setting
`is_total_import` says so (such meters without a key, as DDSU666, and a Tasmota with SetOption162).

Both figures are rounded by the device, so their sum falls by a few Wh now and then: by up to 1 for each figure but one,
and by up to 1 for each phase where an old firmware counts whole Wh given. Such a dip is no fault.

**Netting.** Tasmota counts each phase for itself. With netting `sum` the registers of a device with several phases are
ignored, and the power of all phases tells the energy (see `shelly`).

**Smart meters** are read by a script; its author chooses the names of the object and of the figures. The object is
`SML` or `SmartMeter`, or else the only one with a register. Registers are kWh, power is W. The names below are those
of tasmota.github.io/docs/Smart-Meter-Interface, docs.evcc.io and github.com/ottelo9/tasmota-sml-script, and OBIS codes;
case and punctuation do not matter. Such a meter counts import and export and nets the phases itself.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import MAX_TIME, Reading, check_device_id, check_instant
from aggregator.intake.formats.message import (
    Content,
    Origin,
    check_clock,
    content_of,
    decoded,
    instants,
    power_w,
    summed,
    summed_wh,
    table,
)

_KWH = 1000
_MOST_PHASES = 8
_SHORTEST_TIME = len("2026-02-01T08:10:20")
_OWN_IMPORT = ("ImportActive", "ImportPower", "ImportReactive", "PhaseAngle")  # of meters that count import themselves
# The names of a smart meter's figures, in order of preference, in lower case without punctuation.
_IMPORTS = (
    *("180", "totalin", "ein", "importactive", "kwhin", "energyin", "energyimport", "energyimported", "enrgimp"),
    *("counterpos", "totalkwh"),
)
_TOTAL = "total"  # import too; beside power only, since water meters have a total as well
_EXPORTS = (
    *("280", "totalout", "eout", "exportactive", "kwhout", "energyout", "energyexport", "energyexported", "enrgexp"),
    *("counterneg", "exporttotalkwh"),
)
_POWERS = ("1670", "powercurr", "powercur", "currw", "power")
_TAKEN, _GIVEN = "170", "270"  # power by direction, where none has a sign
_TARIFFS = "1234"  # the last digit of 1.8.1 to 1.8.4, where there is no total
_METERS = ("SML", "SmartMeter")
_PUNCTUATION = re.compile(r"[\W_]+")

_Found = tuple[int | None, int | None, int | None]  # power, import and export in W and Wh


def parse_tasmota(payload: bytes, origin: Origin) -> Content:
    """Parse a message. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    message = table(decoded(payload))
    energy = message.get("ENERGY")
    if isinstance(energy, dict) and (energy.keys() & {"Total", "ExportActive"} or not _is_meter(_figures(energy))):
        (power, imported, exported), phases = _energy(energy, is_net=not origin.rules.is_total_import)
    else:
        (power, imported, exported), phases = _meter(message), 1
    if imported == 0 and not power and not exported:
        raise Refused("no_values", "the device has just started: every figure is 0")
    if phases > 1 and origin.rules.netting == "sum":
        imported = exported = None
    return content_of([Reading(device_id, _at(message.get("Time"), origin), power, imported or None, exported)])


def _energy(energy: dict[str, object], *, is_net: bool) -> tuple[_Found, int]:
    """Return the figures and the number of phases."""
    totals, exports, powers = (_phases(energy.get(key)) for key in ("Total", "ExportActive", "Power"))
    power = power_w(summed([power_w(one) for one in powers]))
    is_net = is_net and "ExportActive" in energy and not any(key in energy for key in _OWN_IMPORT)
    imports = _phases(energy["ImportActive"]) if "ImportActive" in energy else totals
    imported = summed_wh([*imports, *exports] if is_net else imports, _KWH)
    return (power, imported, summed_wh(exports, _KWH)), max(map(len, (totals, exports, powers)))


def _phases(figure: object) -> list[object]:
    phases = figure if isinstance(figure, list) else [figure]
    return phases if 0 < len(phases) <= _MOST_PHASES else [None]


def _meter(message: dict[str, object]) -> _Found:
    """Return the figures of the smart meter in a message. Raises Refused unless there is one."""
    groups = {name: _figures(one) for name, one in message.items() if isinstance(one, dict)}
    named = [name for name in _METERS if name in groups] or [name for name in groups if _is_meter(groups[name])]
    if not named:
        raise Refused("wrong_format", f"it has neither ENERGY nor a smart meter, but {shown(', '.join(message))}")
    if len(named) > 1:
        raise Refused("wrong_format", f"it has several smart meters: {shown(', '.join(named))}")
    figures = groups[named[0]]
    imported = _register_wh(figures, (*_IMPORTS, _TOTAL), "18")
    # Before its first telegram every register is 0.
    exported = None if imported == 0 else _register_wh(figures, _EXPORTS, "28")
    return _meter_power_w(figures), imported, exported


def _figures(group: dict[str, object]) -> dict[str, object]:
    return {_PUNCTUATION.sub("", name).lower(): figure for name, figure in group.items()}


def _is_meter(figures: dict[str, object]) -> bool:
    is_total = _TOTAL in figures and any(name in figures for name in (*_POWERS, _TAKEN))
    return is_total or any(name in figures for name in (*_IMPORTS, *_EXPORTS, "181", "281"))


def _register_wh(figures: dict[str, object], names: Sequence[str], code: str) -> int | None:
    """Return the register of the first name; without any, the sum of the tariffs of an OBIS code."""
    totals = [figures[name] for name in names if name in figures]
    tariffs = [figures[code + tariff] for tariff in _TARIFFS if code + tariff in figures]
    return summed_wh(totals[:1] or tariffs, _KWH)


def _meter_power_w(figures: dict[str, object]) -> int | None:
    powers = [power_w(figures[name]) for name in _POWERS if name in figures]
    if powers:
        return powers[0]
    taken = power_w(figures.get(_TAKEN))
    given = power_w(figures.get(_GIVEN, 0))
    return None if taken is None or given is None else taken - given


def _at(written: object, origin: Origin) -> int:
    if not isinstance(written, str) or not _SHORTEST_TIME <= len(written) <= MAX_TIME:
        raise Refused("bad_time", f"Time is {shown(written)}")
    try:
        local = datetime.fromisoformat(written)
    except ValueError:
        raise Refused("bad_time", f"Time is {shown(written)}") from None
    if local.tzinfo:
        return check_clock(check_instant(written, origin.latest), origin.latest)
    meant = instants(local, origin.rules.zone)
    if not meant:
        raise Refused("no_such_time", f"Time is {shown(written)}, which the clocks of {origin.rules.zone} skip")
    return check_clock(min(meant, key=lambda at: abs(at - origin.now)), origin.latest)
