"""What every source has in common: where a message comes from, what is in it, and how a vendor's figures are read.

A source is a function `(payload, origin) -> Content` that raises nothing but Refused, whatever the bytes. Vendors' JSON
is read with patience, one field at a time: a field that is missing, no number, beyond any meter's bounds, or a sentinel
is absent, which is never zero, and the others count.

Local time without an offset, as some devices and most files give it.

The body of a request: inflated within measure, whatever it was told to be. Pure.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import AHEAD_S, EARLIEST, Reading
from aggregator.core.status import Counters, Status

LONGEST = 262_144  # bytes of a message; a Glow has 700, a DSMR telegram 1,500, half an hour of readings 27,000
LEAST_W, MOST_W = -50_000, 200_000  # what a home's meter can show; NO_POWER lies far below
MOST_WH = 10**12  # a thousand million kWh; NO_REGISTER lies far above
# These devices are younger: a clock that shows an earlier time counts from 1970 or 2000, and was never set.
CLOCKS_SET = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp())
_LONGEST_NUMBER = 40  # characters
_LONGEST_TEXT = 64  # characters


class Origin(NamedTuple):
    """Where a message comes from, and when."""

    device_id: str  # the device whose topic or token it came with; empty from somebody trusted, who names it within
    now: int  # when it came in, UTC seconds
    zone: str = "UTC"  # the device's time zone, for those that send local time
    part: str = ""  # what the topic says beyond the device, such as `SENSOR/gasmeter`
    lag_s: int = 0  # by which the clock of `now` may be behind, where nobody sets it

    @property
    def latest(self) -> int:
        """What may be now at most, UTC seconds."""
        return self.now + self.lag_s


class Unread(NamedTuple):
    """A part of a message that cannot be used."""

    why: Refused
    payload: bytes  # what it was
    item: int = 0  # its place in the message, from 0


@dataclass(slots=True)
class Content:
    """What is in one message."""

    readings: list[Reading] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    refused: list[Unread] = field(default_factory=list)


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
        raise Refused("message_too_long", f"{len(payload)} bytes, at most {LONGEST}")


def _lenient(payload: bytes, error: Exception) -> object:
    """What only Python's own parser reads: NaN, Infinity, integers beyond 64 bits, lone surrogates."""
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
    """A power in W, rounded, from a figure of `unit` W (1000 for kW).

    None where the figure is absent, its unit is none of power, or it cannot be a home's.
    """
    found = number(value)
    if found is None or unit is None:
        return None
    watts = round(found * unit)
    return watts if LEAST_W <= watts <= MOST_W else None


def energy_wh(value: object, unit: int | None = 1) -> int | None:
    """A register or an energy in Wh, rounded, from a figure of `unit` Wh (1000 for kWh).

    None where the figure is absent, its unit is none of energy, or it cannot be a home's.
    """
    found = number(value)
    if found is None or unit is None or found < 0:
        return None
    wh = round(found * unit)
    return wh if wh <= MOST_WH else None


def register_wh(value: object, unit: int | None = 1) -> int | None:
    """A register that counts what a home takes: as `energy_wh`, but 0 is a passing fault, and so absent."""
    return energy_wh(value, unit) or None


def summed(figures: Sequence[int | None]) -> int | None:
    """The sum of the figures of several phases or tariffs; None where one of them is absent, or there are none."""
    present = [figure for figure in figures if figure is not None]
    return sum(present) if present and len(present) == len(figures) else None


def whole(value: object, least: int, most: int) -> int | None:
    """A whole number from `least` to `most`; None for anything else."""
    found = number(value)
    return int(found) if found is not None and found == int(found) and least <= found <= most else None


def text(value: object) -> str | None:
    """The printable text that a device gives as its name or version, cut to what is kept; None for anything else."""
    found = value[:_LONGEST_TEXT].strip() if isinstance(value, str) else ""
    return found if found and found.isprintable() else None


def instant_of(seconds: object, now: int) -> int:
    """An instant from epoch seconds as a device counts them. Raises Refused."""
    found = number(seconds)
    if found is None:
        raise Refused("bad_time", f"the time is {shown(seconds)}")
    return check_clock(int(found), now)


def check_clock(at: int, now: int) -> int:
    """An instant (UTC seconds) by a device's clock, if it can be one as of `now`. Raises Refused."""
    if at < CLOCKS_SET:
        raise Refused("clock_not_set", f"the time is {at} seconds since 1970")
    return check_instant_of(at, now)


def check_instant_of(at: int, now: int) -> int:
    """An instant (UTC seconds) that can be one as of `now`. Raises Refused."""
    if at < EARLIEST:
        raise Refused("before_2000", f"the time is {at} seconds since 1970")
    if at > now + AHEAD_S:
        raise Refused("in_the_future", f"the time is {at - now} s ahead of the clock")
    return at


def joined(value: object) -> bool | None:
    """Whether the status of a Zigbee network says that the device is in it; None where it says nothing."""
    said = text(value)
    return None if said is None else said == "joined"


def counters_of(at: int, figures: Sequence[int | None]) -> Counters | None:
    """The meter's own counters of the day, the week and the month; None where there are none."""
    return Counters(at, *figures) if any(figure is not None for figure in figures) else None


def content_of(readings: Iterable[Reading], statuses: Iterable[Status] = ()) -> Content:
    """What is in a message, less what says nothing. Raises Refused where nothing is left."""
    content = Content(
        [reading for reading in readings if any(figure is not None for figure in reading[2:5])],
        [status for status in statuses if any(said is not None for said in status[2:])],
    )
    if not content.readings and not content.statuses:
        raise Refused("no_values", "it has no figure that can be used")
    return content


# local time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SECOND = timedelta(seconds=1)


def instants(naive: datetime, zone: str) -> tuple[int, ...]:
    """The instants (UTC seconds, ascending) that a local time can mean.

    There is one, as a rule; none where the clocks were put forward over it, and two where they were put back.
    """
    clock = ZoneInfo(zone)
    before = naive.replace(tzinfo=clock, fold=0).utcoffset()
    after = naive.replace(tzinfo=clock, fold=1).utcoffset()
    assert before is not None
    assert after is not None
    if before < after:
        return ()
    elapsed = naive - _EPOCH
    first = (elapsed - before) // _SECOND
    return (first,) if before == after else (first, (elapsed - after) // _SECOND)


# bodies

LARGEST = 1 << 20  # bytes, as it comes and inflated
ENCODINGS = ("", "identity", "gzip")
_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Refused):
    """More than one message may hold."""

    def __init__(self, detail: str) -> None:
        super().__init__("message_too_long", detail)


def inflated(body: bytes, encoding: str) -> bytes:
    """A body without its Content-Encoding. Raises Refused where it has not what it was said to have."""
    if encoding not in ENCODINGS:
        raise Refused("wrong_format", f"Content-Encoding is {encoding[:40]!r}; Wattfall reads gzip")
    if encoding != "gzip":
        return body
    inflate = zlib.decompressobj(_GZIP)
    try:
        found = inflate.decompress(body, LARGEST + 1)
    except zlib.error as error:
        raise Refused("wrong_format", f"this is no gzip: {error}") from error
    if len(found) > LARGEST:
        raise TooLarge(f"inflated it is more than {LARGEST} bytes")
    if not inflate.eof or inflate.unused_data:
        raise Refused("wrong_format", "the gzip is cut off, or goes on after its end")
    return found
