"""Device formats: one pure module each, from bytes to readings and statuses.

May import core only. Begin with `FORMATS` below: a new format is one module and one row. A message's format is named,
or follows from its MQTT topic.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import check_device_id
from aggregator.intake.formats import canonical, dsmr, glow, shelly, tasmota
from aggregator.intake.formats.message import Content, Origin, Parse, Unread


class Format(NamedTuple):
    """A format: name, parser, and topics; the group `device` of a topic is the sender."""

    name: str
    parse: Parse
    topics: tuple[str, ...] = ()  # regular expressions; empty where users choose the topics
    has_rules: bool = False  # its messages are read by the DeviceRules of the sender


_ID = r"(?P<device>[^/]+)"
_SHELLY = r"(?P<part>events/rpc|status(?:/em1?(?:data)?:\d)?)"
_GLOW = r"(?P<device>[0-9A-Fa-f]{12})/(?P<part>STATE|SENSOR/(?:electricity|gas)meter)"
FORMATS = {
    one.name: one
    for one in (
        Format("json", canonical.parse_canonical, (rf"wattfall/{_ID}/readings",)),
        Format("block", canonical.parse_block, (rf"wattfall/{_ID}/block",)),
        Format("glow-hex", glow.parse_glow_hex, (rf"SMART/HILD/{_ID}",)),
        Format("glow", glow.parse_glow, (rf"{_GLOW}",)),
        Format(
            "tasmota",
            tasmota.parse_tasmota,
            (rf"tele/{_ID}/SENSOR", rf"{_ID}/tele/SENSOR"),
            has_rules=True,
        ),
        Format(
            "shelly",
            shelly.parse_shelly,
            (rf"shellies/{_ID}/info", rf"{_ID}/{_SHELLY}"),
            has_rules=True,
        ),
        Format("dsmr", dsmr.parse_dsmr, has_rules=True),
    )
}
_TOPICS = [(one, re.compile(topics)) for one in FORMATS.values() for topics in one.topics]
EVERYTHING = ("#",)


class Topic(NamedTuple):
    """The format, device and part that a topic names."""

    format: Format
    device_id: str
    part: str


def parse_topic(topic: str, named: str = "", filters: tuple[str, ...] = EVERYTHING) -> Topic:
    """Parse a topic that one of the subscription's filters let in. Raises Refused.

    The device is at the filter's first `+`, or before it: brokers restrict what a user may publish by the first levels,
    so no open level may come before the device. Where `#` comes first, the format says where its device is. Of a
    `named` format also other topics are taken, with the device at the first `+`, or as the last word.
    """
    return _known_topic(topic, named, filters) if len(topic) <= _USUAL else _topic(topic, named, filters)


def _topic(topic: str, named: str, filters: tuple[str, ...]) -> Topic:
    levels = topic.split("/")
    for wanted in (one.split("/") for one in filters):
        found = _within(levels, named, wanted) if _lets_in(wanted, levels) else None
        if found:
            return found
    raise Refused("unknown_topic", f"{shown(topic)} belongs to no known format, or has its device at another level")


def _lets_in(wanted: list[str], levels: list[str]) -> bool:
    fixed = wanted[:-1] if wanted[-1] == "#" else wanted
    is_long = len(levels) >= len(fixed) if wanted[-1] == "#" else len(levels) == len(fixed)
    return is_long and all(one in ("+", level) for one, level in zip(fixed, levels, strict=False))


def _within(levels: list[str], named: str, wanted: list[str]) -> Topic | None:
    """Return what a topic names within a filter; only levels that the filter fixes may come before a format's own."""
    first_open = next((at for at, one in enumerate(wanted) if one in ("+", "#")), len(wanted))
    is_at_plus = first_open < len(wanted) and wanted[first_open] == "+"
    for fixed in range(first_open + 1):
        rest = "/".join(levels[fixed:])
        for one, pattern in _TOPICS:
            found = pattern.fullmatch(rest) if named in ("", one.name) else None
            if found and (not is_at_plus or fixed + rest.count("/", 0, found.start("device")) <= first_open):
                return Topic(one, check_device_id(found["device"]), found.groupdict().get("part") or "")
    last = first_open if is_at_plus else len(levels) - 1
    return Topic(FORMATS[named], check_device_id(levels[last]), "") if named and last <= first_open else None


_USUAL = 128  # characters; longer topics could fill the memory
_known_topic = lru_cache(maxsize=1 << 17)(_topic)  # more than the devices of a fleet


def read_whole(one: Format, payload: bytes, origin: Origin) -> Content:
    """Parse a message; an unreadable message becomes one refused item. Never raises."""
    try:
        return one.parse(payload, origin)
    except Refused as why:
        return Content(refused=[Unread(why, payload)])
    except Exception as error:  # a bug in a parser must not redeliver the message forever
        return Content(refused=[Unread(Refused("our_fault", repr(error)[:120]), payload)])
