"""What every source has in common: where a message comes from, what is in it, and how a vendor's figures are read.

A source is a function `(payload, origin) -> Content` that raises nothing but Refused, whatever the bytes. Vendors' JSON
is read with patience, one field at a time: a field that is missing, no number, beyond any meter's bounds, or a sentinel
is absent, which is never zero, and the others count.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

import orjson

from aggregator.errors import Refused, shown
from aggregator.readings import AHEAD_S, EARLIEST, NO_REGISTER, Reading
from aggregator.status import Status

LONGEST = 262_144  # bytes of a message; a Glow has 700, a DSMR telegram 1,500, half an hour of readings 27,000
LEAST_W, MOST_W = -50_000, 200_000  # what a home's meter can show
MOST_WH = 10**12  # a thousand million kWh
NO_POWER_KW = Decimal("-8388.608")  # -2^23 W: the meter gave no valid value
_LONGEST_NUMBER = 40  # characters


class Origin(NamedTuple):
    """Where a message comes from, and when."""

    device_id: str  # the device whose topic or token it came with; empty from somebody trusted, who names it within
    now: int  # when it came in, UTC seconds
    zone: str = "UTC"  # the device's time zone, for those that send local time
    part: str = ""  # what the topic says beyond the device, such as `SENSOR/gasmeter`


@dataclass(slots=True)
class Content:
    """What is in one message."""

    readings: list[Reading] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    refused: list[tuple[Refused, bytes]] = field(default_factory=list)  # why, and what it was
    items: int = 1  # how many readings and statuses it tried to be


Read = Callable[[bytes, Origin], Content]


def decoded(payload: bytes) -> object:
    """What is in a message of JSON. Raises Refused."""
    check_size(payload)
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return _lenient(payload, error)


def check_size(payload: bytes) -> None:
    """Raise Refused for a message that is longer than any can be."""
    if len(payload) > LONGEST:
        raise Refused("line_too_long", f"{len(payload)} bytes, at most {LONGEST}")


def _lenient(payload: bytes, error: Exception) -> object:
    """What only Python's own parser reads: NaN, Infinity, 1e999, doubled keys."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused("malformed_json", str(error)[:120]) from None


def table(value: object, *path: str) -> dict[str, object]:
    """The object at a path of keys within a decoded message; an empty one where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def number(value: object) -> Decimal | None:
    """A finite number, also one in quotes; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        text = value.strip() if isinstance(value, str) else repr(value)
        if len(text) > _LONGEST_NUMBER:
            return None
        found = Decimal(text)
    except (InvalidOperation, ValueError):  # repr of an integer of thousands of digits
        return None
    return found if found.is_finite() and found.adjusted() < 20 else None


def power_w(value: object, unit: int = 1) -> int | None:
    """A power in W, rounded, from a figure of `unit` W (1000 for kW); None where it is absent or cannot be a home's."""
    found = number(value)
    if found is None or found * unit == NO_POWER_KW * 1000:
        return None
    watts = round(found * unit)
    return watts if LEAST_W <= watts <= MOST_W else None


def energy_wh(value: object, unit: int = 1) -> int | None:
    """A register or an energy in Wh, rounded, from a figure of `unit` Wh (1000 for kWh); None where it is absent."""
    found = number(value)
    if found is None or found < 0 or found == NO_REGISTER:
        return None
    wh = round(found * unit)
    return wh if wh <= MOST_WH and wh != NO_REGISTER else None


def register_wh(value: object, unit: int = 1) -> int | None:
    """A register that counts what a home takes: as `energy_wh`, but 0 is a passing fault, and so absent."""
    return energy_wh(value, unit) or None


def instant_of(seconds: object, now: int) -> int:
    """An instant from epoch seconds as a device counts them. Raises Refused."""
    found = number(seconds)
    if found is None:
        raise Refused("bad_time", f"the time is {shown(seconds)}")
    return check_instant_of(int(found), now)


def check_instant_of(at: int, now: int) -> int:
    """An instant (UTC seconds) that can be one as of `now`. Raises Refused."""
    if at < EARLIEST:
        raise Refused("before_2000", f"the time is {at} seconds since 1970")
    if at > now + AHEAD_S:
        raise Refused("in_the_future", f"the time is {at - now} s ahead of the clock")
    return at


def one_reading(reading: Reading) -> Content:
    """A message that is one reading. Raises Refused where it has no figure."""
    if reading.power_w is None and reading.import_wh is None and reading.export_wh is None:
        raise Refused("no_values", "neither power nor a register has a value that can be used")
    return Content([reading])
