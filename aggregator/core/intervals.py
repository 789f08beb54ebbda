"""Intervals: energy of a span of time, as suppliers, exports and load curves state it, and their validation. Pure.

The canonical message is a JSON object on one line::

    {"device_id": "home-1", "start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:30:00Z", "import_wh": 214}

At least one of `import_wh`, `export_wh` and `volume_l` (litres of gas) is present; `source` is optional text. An
interval has whole seconds and is up to LONGEST_S long. An interval is stored as what it is; `core.energy` decides what
of it counts.
"""

from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import check_device_id, check_instant, check_meter_id, check_register

LONGEST_S = 90_000  # the 25-hour day in autumn


class Interval(NamedTuple):
    """One device's energy in a span. None is unknown, never zero."""

    device_id: str
    start: int  # UTC seconds
    end: int  # UTC seconds, after `start`
    import_wh: int | None  # Wh taken from the grid in the span
    export_wh: int | None  # Wh given to the grid in the span
    source: str | None = None  # who states it
    volume_l: int | None = None  # litres of gas in the span


def merged_interval(known: Interval, new: Interval) -> Interval:
    """Return two statements about one span as one: an absent value never erases a known one; the new value counts."""
    return Interval(*(old if value is None else value for old, value in zip(known, new, strict=True)))  # type: ignore[arg-type] # field by field


def is_interval(message: object) -> bool:
    """Whether a decoded message is an interval rather than a reading."""
    return isinstance(message, dict) and "at" not in message and ("start" in message or "end" in message)


def parse_interval(message: object, now: int) -> Interval:
    """Parse a decoded message; `now` is in UTC seconds. Raises Refused."""
    if not isinstance(message, dict):
        raise Refused("not_an_object", f"got {shown(message)}")
    device_id = check_device_id(message.get("device_id"))
    start, end = _instant(message, "start", now), _instant(message, "end", now)
    if not 0 < end - start <= LONGEST_S:
        raise Refused("bad_interval", f"the interval lasts {end - start} s, not 1 to {LONGEST_S} s")
    imported, exported, volume = (
        None if message.get(name) is None else check_register(name, message[name])
        for name in ("import_wh", "export_wh", "volume_l")
    )
    if imported is None and exported is None and volume is None:
        raise Refused("no_values", "neither import_wh, export_wh nor volume_l has a value")
    return Interval(device_id, start, end, imported, exported, _source(message.get("source")), volume)


def _instant(message: dict[str, object], name: str, now: int) -> int:
    try:
        return check_instant(message.get(name), now)
    except Refused as why:
        raise Refused(why.reason, f"{name}: {why.detail}") from None


def _source(value: object) -> str | None:
    try:
        return None if value is None else check_meter_id(value)
    except Refused:
        raise Refused("bad_interval", f"source is {shown(value)}, not text of up to 64 characters") from None
