"""DSMR P1: telegrams of versions 4 and 5, from meters in the Netherlands, Belgium and other countries. Pure.

A telegram runs from `/` to `!`, followed by the checksum of this text. Earlier versions have neither a checksum nor a
time and are refused. Local time carries its season, `W` or `S`, so it means one instant; a clock months behind is
believed. The telegrams of a clock that was never set are refused, or are of their arrival, as the device's setting
`stamp_on_arrival` says. The register is the meter's total, or else the sum of its tariffs; the meter itself nets its
phases. Figures with units are kW, W, kWh or Wh.

Gas (a meter of type 003 at one of four channels) is a second meter, `ID~gas`, with a register in m³ and a time of its
own; a new meter's channel counts once it is the newest. `parse_dsmr` raises Refused.
"""

import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from operator import attrgetter

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import GAS, Reading, check_device_id, check_meter_id, is_device_id
from aggregator.intake.formats.message import (
    CLOCKS_SET,
    Content,
    Origin,
    check_clock,
    content_of,
    energy_wh,
    power_w,
    register_wh,
    summed,
)

LONGEST_TELEGRAM = 16_384  # bytes; one has 800 to 2,000, with the longest text 3,000
_BETWEEN = b" \t\r\n\0"  # allowed between telegrams
_LINE = re.compile(rb"^(0-0:1\.0\.0|0-0:96\.1\.1|1-0:[12]\.[78]\.[0-4])\(([^()\r\n]{0,64})\)[ \t]*\r?$", re.MULTILINE)
_CHANNEL = re.compile(rb"^0-([1-4]):(24\.1\.0|96\.1\.[01])\(([^()\r\n]{0,64})\)[ \t]*\r?$", re.MULTILINE)
_VOLUME = re.compile(rb"^0-([1-4]):24\.2\.[13]\(([0-9]{12}[WS])\)\(([0-9.]{1,12})\*m3\)[ \t]*\r?$", re.MULTILINE)
_GAS_METER = "003"
_CHECKSUM = re.compile(rb"[0-9A-Fa-f]{4}")
_TIME = re.compile(r"([0-9]{6})([0-9]{6})([WS])")
_OFFSETS = {"W": "+01:00", "S": "+02:00"}
_WATTS, _WATT_HOURS = {"kW": 1000, "W": 1}, {"kWh": 1000, "Wh": 1}
_LITRES = 1000  # in a m³
_TARIFFS = (1, 2, 3, 4)

_Objects = dict[str, str]  # values by OBIS code


def parse_dsmr(payload: bytes, origin: Origin) -> Content:
    """Parse one telegram. Raises Refused."""
    device_id = check_device_id(origin.device_id)
    telegram = _checked(payload)
    objects = {code.decode(): value.decode("latin-1") for code, value in _LINE.findall(telegram)}
    reading = Reading(
        device_id,
        _at(objects.get("0-0:1.0.0", ""), origin),
        _power(objects),
        register_wh(_register(objects, "1-0:1.8.")),
        _register(objects, "1-0:2.8."),
        _meter_id(objects.get("0-0:96.1.1", "")),
    )
    return content_of([reading, *_gas(telegram, device_id, origin)])


def _gas(telegram: bytes, device_id: str, origin: Origin) -> Iterator[Reading]:
    """Yield the newest reading of a gas meter, if a channel has one whose time can be believed."""
    channels: dict[bytes, _Objects] = defaultdict(dict)
    for channel, code, value in _CHANNEL.findall(telegram):
        channels[channel][code.decode()] = value.decode("latin-1")
    found: list[Reading] = []
    for channel, time, volume in _VOLUME.findall(telegram):
        about = channels[channel]
        if about.get("24.1.0") == _GAS_METER and is_device_id(f"{device_id}{GAS}"):
            meter_id = _meter_id(about.get("96.1.0", "")) or _meter_id(about.get("96.1.1", ""))
            litres = register_wh(volume.decode(), _LITRES)
            with suppress(Refused):
                at = _at(time.decode(), origin)
                found.append(Reading(f"{device_id}{GAS}", at, None, None, None, meter_id, litres))
    yield from sorted(found, key=attrgetter("at"))[-1:]


def telegrams(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Cut lines, with their ends, into telegrams; memory is bounded if lines are.

    An incomplete telegram, or text between telegrams, is a separate piece, which `parse_dsmr` refuses. A piece that is
    too long is cut.
    """
    piece, size = list[bytes](), 0
    for line in lines:
        if piece and line.lstrip(_BETWEEN).startswith(b"/"):
            yield b"".join(piece)
            piece, size = [], 0
        if size <= LONGEST_TELEGRAM and (piece or line.strip(_BETWEEN)):
            piece.append(line[: LONGEST_TELEGRAM + 1])
            size += len(piece[-1])
        if piece and line.startswith(b"!"):
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)


def crc16(content: bytes) -> int:
    """Return the checksum of a telegram: CRC-16/ARC."""
    crc, words = 0, _words()
    for word in struct.unpack(f"<{len(content) // 2}H", content[: len(content) & ~1]):
        crc = words[crc ^ word]
    return _shifted(crc ^ content[-1], 8) if len(content) & 1 else crc


@lru_cache
def _words() -> list[int]:
    """Return the checksum table for two bytes at a time: a third of the time of single bytes."""
    words = [0]
    for bit in range(16):
        shifted = _shifted(1 << bit, 16)
        words += [shifted ^ word for word in words]
    return words


def _shifted(crc: int, bits: int) -> int:
    for _ in range(bits):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _checked(payload: bytes) -> bytes:
    """Return a telegram up to its `!`. Raises Refused where it is incomplete or damaged."""
    if len(payload) > LONGEST_TELEGRAM:
        raise Refused("message_too_long", f"{len(payload)} bytes, at most {LONGEST_TELEGRAM}")
    content, end, checksum = payload.strip(_BETWEEN).partition(b"!")
    if not content.startswith(b"/") or not end:
        raise Refused("wrong_format", "it does not run from / to !")
    if not _CHECKSUM.fullmatch(checksum):
        raise Refused("wrong_format", f"after ! it has {shown(checksum)}, not a checksum alone")
    content += end
    if b"\r" not in content:  # a text file has lost them
        content = content.replace(b"\n", b"\r\n")
    if (computed := crc16(content)) != int(checksum, 16):
        raise Refused("bad_checksum", f"it is {computed:04X}, not {checksum.decode()}")
    return content


def _at(written: str, origin: Origin) -> int:
    if not (match := _TIME.fullmatch(written)):
        raise Refused("bad_time", f"the time is {shown(written)}")
    day, clock, season = match.groups()
    try:
        moment = datetime.fromisoformat(f"20{day}T{clock}{_OFFSETS[season]}")
    except ValueError:
        raise Refused("bad_time", f"the time is {shown(written)}") from None
    at = int(moment.timestamp())
    return origin.now if at < CLOCKS_SET and origin.rules.stamp_on_arrival else check_clock(at, origin.latest)


def _power(objects: _Objects) -> int | None:
    taken, given = (power_w(*_figure(objects, f"1-0:{direction}.7.0", _WATTS)) for direction in (1, 2))
    return None if taken is None or given is None else taken - given


def _register(objects: _Objects, code: str) -> int | None:
    """Return the total of a register, or the sum of its tariffs; a meter with tariffs has at least the first two."""
    if f"{code}0" in objects:
        return energy_wh(*_figure(objects, f"{code}0", _WATT_HOURS))
    tariffs = [f"{code}{tariff}" for tariff in _TARIFFS if tariff <= 2 or f"{code}{tariff}" in objects]
    return energy_wh(summed([energy_wh(*_figure(objects, tariff, _WATT_HOURS)) for tariff in tariffs]))


def _figure(objects: _Objects, code: str, units: dict[str, int]) -> tuple[str, int | None]:
    """Return a figure and the size of its unit in W or Wh."""
    figure, _, unit = objects.get(code, "").partition("*")
    return figure, units.get(unit)


def _meter_id(written: str) -> str | None:
    try:
        return check_meter_id(bytes.fromhex(written).decode("ascii").strip(" \0"))
    except (ValueError, Refused):
        return None
