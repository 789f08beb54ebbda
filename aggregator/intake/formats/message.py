"""Shared by all formats: the origin and content of a message, vendors' figures, local time, request bodies. Pure.

A parser is a function `(payload, origin) -> Content` that raises only Refused, whatever the bytes. Vendors' JSON is
parsed field by field. A field is absent, never zero, where it is missing, not a number, out of range or a sentinel;
the other fields count. Power is W, energy Wh. Time is UTC seconds, rounded down: messages of one second tell of one
instant, and the store merges them.

`instants` resolves a local time without an offset, as in some devices and most files. `inflated` decompresses a request
body within a size limit.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

from aggregator.core.errors import Refused, shown
from aggregator.core.periods import block_start
from aggregator.core.readings import AHEAD_S, EARLIEST, Interval, Reading
from aggregator.core.status import Counters, Status

LONGEST = 262_144  # bytes of a message; a Glow has 700, a DSMR telegram 1,500, half an hour of readings 27,000
LEAST_W, MOST_W = -50_000, 200_000  # the range of a home's meter; NO_POWER is far below
MOST_WH = 10**12  # a thousand million kWh; NO_REGISTER is far above
# The devices are newer: an earlier time comes from a clock that started at 1970 or 2000 and was never set.
CLOCKS_SET = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp())
_LONGEST_NUMBER = 40  # characters
_LONGEST_TEXT = 64  # characters


class DeviceRules(NamedTuple):
    """What a device's registry entry says about how its messages are read; see `wattfall device set`."""

    zone: str = "UTC"  # its time zone, for formats with local time
    netting: str = "phase"  # one of documents.NETTINGS, for formats with phases
    stamp_on_arrival: bool = False  # a telegram whose clock was never set is of its arrival
    is_total_import: bool = False  # Tasmota's `Total` is not net, although there is `ExportActive`


class Origin(NamedTuple):
    """The sender of a message, and its time of arrival."""

    device_id: str  # the device of the topic or token; empty for a trusted sender, who names the device in the message
    now: int  # time of arrival, UTC seconds
    rules: DeviceRules = DeviceRules()
    part: str = ""  # the rest of the topic, such as `SENSOR/gasmeter`
    lag_s: int = 0  # how far the clock of `now` may be behind, where it is not synchronized

    @property
    def latest(self) -> int:
        """The latest possible present, UTC seconds."""
        return self.now + self.lag_s


class Unread(NamedTuple):
    """A refused part of a message."""

    why: Refused
    payload: bytes  # its bytes
    item: int = 0  # its place in the message, from 0


@dataclass(slots=True)
class Content:
    """The readings, statuses, refused parts and intervals of one message."""

    readings: list[Reading] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    refused: list[Unread] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)

    @property
    def half_hours(self) -> int:
        """The number of half hours in which its readings lie and its intervals start."""
        starts = {(one.device_id, block_start(one.at)) for one in self.readings}
        return len(starts | {(one.device_id, block_start(one.start)) for one in self.intervals})


Parse = Callable[[bytes, Origin], Content]


def decoded(payload: bytes) -> object:
    """Decode a JSON message. Raises Refused."""
    check_size(payload)
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return _lenient(payload, error)


def check_size(payload: bytes) -> None:
    """Raise Refused for a message longer than LONGEST."""
    if len(payload) > LONGEST:
        raise Refused("message_too_long", f"{len(payload)} bytes, at most {LONGEST}")


def _lenient(payload: bytes, error: Exception) -> object:
    """Parse what only Python's parser accepts: NaN, Infinity, integers beyond 64 bits, lone surrogates."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused("malformed_json", str(error)[:120]) from None


def table(value: object, *path: str) -> dict[str, object]:
    """Return the object at a path of keys in a decoded message; an empty one where it is missing."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def number(value: object) -> Decimal | None:
    """Return a finite number, also from text; None for anything else."""
    if not isinstance(value, int | float | str):
        return None
    try:
        written = value.strip() if isinstance(value, str) else repr(value)
        if len(written) > _LONGEST_NUMBER:
            return None
        found = Decimal(written)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found.adjusted() < 20 else None


def power_w(value: object, unit: int | None = 1) -> int | None:
    """Return a power in W, rounded, from a figure in units of `unit` W (1000 for kW).

    None where the figure is absent, `unit` is None, or the power is out of a home's range.
    """
    found = number(value)
    if found is None or unit is None:
        return None
    watts = round(found * unit)
    return watts if LEAST_W <= watts <= MOST_W else None


def energy_wh(value: object, unit: int | None = 1) -> int | None:
    """Return a register or an energy in Wh, rounded, from a figure in units of `unit` Wh (1000 for kWh).

    A volume in litres likewise, from units of `unit` litres. None where the figure is absent, `unit` is None, or the
    energy is out of a home's range.
    """
    found = number(value)
    return None if found is None or unit is None else _whole_wh(found * unit)


def _whole_wh(energy: Decimal) -> int | None:
    wh = round(energy) if energy >= 0 else -1
    return wh if 0 <= wh <= MOST_WH else None


def register_wh(value: object, unit: int | None = 1) -> int | None:
    """Return an import register like `energy_wh`; 0 is a transient fault and therefore absent."""
    return energy_wh(value, unit) or None


def summed_wh(figures: Sequence[object], unit: int = 1) -> int | None:
    """Return the sum of registers in Wh, rounded once, from figures in units of `unit` Wh (1000 for kWh).

    A figure may be below zero, as of a phase that counts backwards while it gives energy; the sum may not. None where
    a figure is absent, there are none, or the sum is out of a home's range: a part of a sum is not a register.
    """
    present = [found for figure in figures if (found := number(figure)) is not None]
    return _whole_wh(sum(present, Decimal()) * unit) if present and len(present) == len(figures) else None


def summed(figures: Sequence[int | None]) -> int | None:
    """Sum the figures of phases or tariffs; None where one is absent or there are none."""
    present = [figure for figure in figures if figure is not None]
    return sum(present) if present and len(present) == len(figures) else None


def whole(value: object, least: int, most: int) -> int | None:
    """Return a whole number from `least` to `most`; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and least <= found <= most else None


def text(value: object) -> str | None:
    """Return a printable name or version, cut to 64 characters; None for anything else."""
    found = value[:_LONGEST_TEXT].strip() if isinstance(value, str) else ""
    return found if found and found.isprintable() else None


def instant_of(seconds: object, now: int) -> int:
    """Parse a device's epoch seconds. Raises Refused."""
    found = number(seconds)
    if found is None:
        raise Refused("bad_time", f"the time is {shown(seconds)}")
    return check_clock(int(found), now)


def check_clock(at: int, now: int) -> int:
    """Return an instant (UTC seconds) of a device's clock that was set and is not ahead of `now`. Raises Refused."""
    if at < CLOCKS_SET:
        raise Refused("clock_not_set", f"the time is {at} seconds since 1970")
    return check_instant_of(at, now)


def check_instant_of(at: int, now: int) -> int:
    """Return an instant (UTC seconds) from 2000 to `now` and its tolerance. Raises Refused."""
    if at < EARLIEST:
        raise Refused("before_2000", f"the time is {at} seconds since 1970")
    if at > now + AHEAD_S:
        raise Refused("in_the_future", f"the time is {at - now} s ahead of the clock")
    return at


def joined(value: object) -> bool | None:
    """Whether a Zigbee network status says that the device has joined; None where it is absent."""
    status = text(value)
    return None if status is None else status == "joined"


def counters_of(at: int, figures: Sequence[int | None]) -> Counters | None:
    """Return the meter's own counters of day, week and month; None where all are absent."""
    return Counters(at, *figures) if any(figure is not None for figure in figures) else None


def content_of(readings: Iterable[Reading], statuses: Iterable[Status] = ()) -> Content:
    """Return the content of a message without empty readings and statuses. Raises Refused where nothing is left."""
    content = Content(
        [reading for reading in readings if any(figure is not None for figure in (*reading[2:5], reading.volume_l))],
        [status for status in statuses if any(value is not None for value in status[2:])],
    )
    if not content.readings and not content.statuses:
        raise Refused("no_values", "it has no usable figure")
    return content


# Local time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SECOND = timedelta(seconds=1)


def instants(naive: datetime, zone: str) -> tuple[int, ...]:
    """Return the instants (UTC seconds, ascending) that a local time can mean.

    Usually there is one; none in the hour skipped in spring, and two in the hour repeated in autumn.
    """
    steady = _steady_offset(naive.year, naive.month, naive.day, naive.hour, zone)
    if steady is not None:
        return ((naive - _EPOCH - steady) // _SECOND,)
    before, after = _offsets(naive, zone)
    if before < after:
        return ()
    elapsed = naive - _EPOCH
    first = (elapsed - before) // _SECOND
    return (first,) if before == after else (first, (elapsed - after) // _SECOND)


def _offsets(naive: datetime, zone: str) -> tuple[timedelta, timedelta]:
    """Return the offsets from UTC that a local time can have; in a skipped hour the first is the smaller one."""
    clock = ZoneInfo(zone)
    before = naive.replace(tzinfo=clock, fold=0).utcoffset()
    after = naive.replace(tzinfo=clock, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    return before, after


@lru_cache(maxsize=4096)
def _steady_offset(year: int, month: int, day: int, hour: int, zone: str) -> timedelta | None:
    """Return the offset of a local hour; None where it changes within it, or the hour is skipped or repeated."""
    first = datetime(year, month, day, hour)  # noqa: DTZ001 - local
    told = {*_offsets(first, zone), *_offsets(first + timedelta(minutes=59, seconds=59), zone)}
    return told.pop() if len(told) == 1 else None


# Request bodies

LARGEST = 1 << 20  # bytes, compressed and inflated
ENCODINGS = ("", "identity", "gzip")
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Refused):
    """A body exceeds the size limit of a message."""

    def __init__(self, detail: str) -> None:
        super().__init__("message_too_long", detail)


def inflated(body: bytes, encoding: str) -> bytes:
    """Decompress a body by its Content-Encoding. Raises Refused where the body does not match it."""
    if encoding not in ENCODINGS:
        raise Refused("wrong_format", f"Content-Encoding is {encoding[:40]!r}; Wattfall reads gzip")
    if encoding != "gzip":
        return body
    inflate = zlib.decompressobj(_GZIP)
    try:
        found = inflate.decompress(body, LARGEST + 1)
    except zlib.error as error:
        raise Refused("wrong_format", f"the body is not gzip: {error}") from error
    if len(found) > LARGEST:
        raise TooLarge(f"inflated, it exceeds {LARGEST} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Refused("wrong_format", "the gzip is truncated or continues after its end")
    return found
