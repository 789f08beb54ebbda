"""Device status: signal, firmware, hardware and the meter's own counters, and its validation. Pure.

A status is a JSON object with `device_id`, `at` and at least one of `KEYS`: `rssi_dbm` in dBm, `lqi` from 0 to 255,
counters in Wh. Invalid values raise Refused with the reason `bad_status`.
"""

from typing import Literal, NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import MAX_REGISTER, check_device_id, check_instant

COUNTERS = ("meter_day_wh", "meter_week_wh", "meter_month_wh")
KEYS = ("rssi_dbm", "lqi", "firmware", "hardware", "joined", *COUNTERS)
_LONGEST = 64  # characters of firmware and hardware


class Counters(NamedTuple):
    """The meter's own import counters of this day, week and month. None is absent."""

    at: int  # UTC seconds
    day_wh: int | None
    week_wh: int | None
    month_wh: int | None


class Status(NamedTuple):
    """One device's report about itself at one instant. None is absent."""

    device_id: str
    at: int  # UTC seconds
    rssi_dbm: int | None  # signal strength, dBm
    lqi: int | None  # link quality, 0-255; not a percentage
    firmware: str | None
    hardware: str | None
    joined: bool | None  # to the meter's home area network
    counters: Counters | None = None


def is_status(message: object) -> bool:
    """Whether a message without measurements is a status."""
    return isinstance(message, dict) and any(message.get(key) is not None for key in KEYS)


def parse_status(message: object, now: int) -> Status:
    """Parse a decoded message; `now` is in UTC seconds. Raises Refused."""
    if not isinstance(message, dict):
        raise Refused("not_an_object", f"got {shown(message)}")
    joined = message.get("joined")
    if joined is not None and type(joined) is not bool:
        raise Refused("bad_status", f"joined is {shown(joined)}, not true or false")
    at = check_instant(message.get("at"), now)
    figures = [_number(key, message.get(key), 0, MAX_REGISTER) for key in COUNTERS]
    return Status(
        check_device_id(message.get("device_id")),
        at,
        _number("rssi_dbm", message.get("rssi_dbm"), -128, 20),
        _number("lqi", message.get("lqi"), 0, 255),
        _text("firmware", message.get("firmware")),
        _text("hardware", message.get("hardware")),
        joined,
        Counters(at, *figures) if any(figure is not None for figure in figures) else None,
    )


def _number(name: str, value: object, least: int, most: int) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise Refused("bad_status", f"{name} is {shown(value)}, not a whole number from {least} to {most}")
    return value


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if type(value) is not str or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise Refused("bad_status", f"{name} is {shown(value)}, not text of up to {_LONGEST} printable characters")
    return value


Strength = Literal["good", "fair", "weak"]


# IEEE 802.15.4 requires a receiver at 2.4 GHz to work at -85 dBm: messages are lost below it. 10 dB more leave a margin
# for a closed door. LQI runs from 0 to 255 and is not a percentage; each vendor measures it differently. The LQI limits
# come from Schneider Electric's guide to its Zigbee gateways. The support desk shows the figures beside the word.
WEAK_DBM, FAIR_DBM = -85, -75
WEAK_LQI, FAIR_LQI = 30, 60


def signal_strength(status: Status) -> Strength | None:
    """Return the worse rating of RSSI and LQI; an unknown figure does not count. None if both are unknown."""
    if status.rssi_dbm is None and status.lqi is None:
        return None
    rssi = 0 if status.rssi_dbm is None else status.rssi_dbm
    lqi = 255 if status.lqi is None else status.lqi
    if rssi < WEAK_DBM or lqi < WEAK_LQI:
        return "weak"
    return "fair" if rssi < FAIR_DBM or lqi < FAIR_LQI else "good"
