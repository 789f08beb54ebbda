"""What a device says about itself: signal, firmware, hardware, the meter's own counters. Pure."""

from typing import Literal, NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import MAX_REGISTER, check_device_id, check_instant

COUNTERS = ("meter_day_wh", "meter_week_wh", "meter_month_wh")


KEYS = ("rssi_dbm", "lqi", "firmware", "hardware", "joined", *COUNTERS)


_LONGEST = 64  # characters of firmware and hardware


class Counters(NamedTuple):
    """What the meter itself says it has counted of import. None is not said."""

    at: int  # UTC seconds
    day_wh: int | None
    week_wh: int | None
    month_wh: int | None


class Status(NamedTuple):
    """What a device said about itself at one instant. None is not said."""

    device_id: str
    at: int  # UTC seconds
    rssi_dbm: int | None  # signal strength, dBm
    lqi: int | None  # link quality, 0-255; not a percentage
    firmware: str | None
    hardware: str | None
    joined: bool | None  # to the meter's home area network
    counters: Counters | None = None


def is_status(message: object) -> bool:
    """Whether a message that has no figures says something about the device."""
    return isinstance(message, dict) and any(message.get(key) is not None for key in KEYS)


def parse_status(message: object, now: int) -> Status:
    """A decoded message as a Status; `now` in UTC seconds. Raises Refused."""
    if not isinstance(message, dict):
        raise Refused("not_an_object", f"got {shown(message)}")
    joined = message.get("joined")
    if joined is not None and type(joined) is not bool:
        raise Refused("bad_status", f"joined is {shown(joined)}, not true or false")
    at = check_instant(message.get("at"), now)
    counted = [_number(key, message.get(key), 0, MAX_REGISTER) for key in COUNTERS]
    return Status(
        check_device_id(message.get("device_id")),
        at,
        _number("rssi_dbm", message.get("rssi_dbm"), -128, 20),
        _number("lqi", message.get("lqi"), 0, 255),
        _text("firmware", message.get("firmware")),
        _text("hardware", message.get("hardware")),
        joined,
        Counters(at, *counted) if any(one is not None for one in counted) else None,
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
        raise Refused("bad_status", f"{name} is {shown(value)}, not a text of up to {_LONGEST} printable characters")
    return value


Strength = Literal["good", "fair", "weak"]


# -85 dBm is what IEEE 802.15.4 asks of a receiver at 2.4 GHz: below it messages are lost; 10 dB above it there is room
# for a door that is shut. LQI goes from 0 to 255 and is no percentage. How it is measured is each maker's own; these
# limits are those of Schneider Electric's guide to its Zigbee gateways. The figures stand beside the word at the desk.
WEAK_DBM, FAIR_DBM = -85, -75
WEAK_LQI, FAIR_LQI = 30, 60


WEAK_LQI, FAIR_LQI = 30, 60


def signal_strength(status: Status) -> Strength | None:
    """The worse of both figures; one that is not known counts for nothing, and neither for nothing at all."""
    if status.rssi_dbm is None and status.lqi is None:
        return None
    rssi = 0 if status.rssi_dbm is None else status.rssi_dbm
    lqi = 255 if status.lqi is None else status.lqi
    if rssi < WEAK_DBM or lqi < WEAK_LQI:
        return "weak"
    return "fair" if rssi < FAIR_DBM or lqi < FAIR_LQI else "good"
