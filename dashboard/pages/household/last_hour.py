"""The last hour of power as assets/hour.js draws it: all of it at first, afterwards only what is new. Pure."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from aggregator.core.documents import Device, Live
from aggregator.core.periods import HOUR
from aggregator.core.power import is_plausible
from aggregator.core.readings import Reading

STEP_S = 10  # one point in so many seconds
NEAR_S = 30  # from further away a browser has missed readings, not just waited for one

Point = tuple[int, int]  # UTC seconds, W


def newest_held(known: object, device_id: str) -> int | None:
    """The newest instant that a browser says it holds of a device; None where it holds another's, or nothing."""
    match known:
        case [str(device), int(newest)] if device == device_id:
            return newest
    return None


def since(held: int | None, live: Live | None, now: int) -> int | None:
    """From which instant on stored readings are to be read for the next answer; None if none are."""
    if live is None or (held is not None and live.at - held <= NEAR_S):
        return None
    return max(now - HOUR, -1 if held is None else held + 1)


def points(readings: Iterable[Reading | Live], first: int, max_power_w: int) -> list[Point]:
    """The powers from `first` on, by time, one in STEP_S: the last, which is what the number beside them showed."""
    kept: dict[int, Point] = {}
    for reading in readings:
        if reading.at >= first and is_plausible(reading.power_w, max_power_w):
            kept[reading.at // STEP_S] = (reading.at, reading.power_w or 0)
    return sorted(kept.values())


def news(
    device: Device, held: int | None, live: Live | None, readings: Iterable[Reading], now: int
) -> dict[str, Any] | None:
    """What a browser that holds a device up to `held` is to be told, given the readings from `since`; None: nothing.

    `whole` replaces what it holds. `newest` is told also where that reading has no power: it is not asked for again.
    """
    if held is not None and (live is None or live.at <= held):
        return None
    recent: Iterable[Reading | Live] = chain(readings, [live] if live else [])
    first = now - HOUR if held is None else max(now - HOUR, held + 1)
    told: dict[str, Any] = {
        "device": device.device_id,
        "now": now,
        "newest": live.at if live else 0,
        "points": points(recent, first, device.max_power_w),
    }
    return told | {"whole": True, "zone": device.timezone} if held is None else told
