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
_PREFIX = "[a-z][a-z0-9-]{1,30}"  # `wattfall`, or that of a deployment
_SHELLY = r"(?P<part>events/rpc|status(?:/em1?(?:data)?:\d)?)"
_GLOW = r"(?P<device>[0-9A-Fa-f]{12})/(?P<part>STATE|SENSOR/(?:electricity|gas)meter)"
FORMATS = {
    one.name: one
    for one in (
        Format("json", canonical.parse_canonical, (rf"{_PREFIX}/{_ID}/readings",)),
        Format("block", canonical.parse_block),
        Format("glow-hex", glow.parse_glow_hex, (rf"SMART/HILD/{_ID}",)),
        Format("glow", glow.parse_glow, (rf"(?:.+/)?{_GLOW}",)),
        Format(
            "tasmota",
            tasmota.parse_tasmota,
            (rf"(?:.+/)?tele/{_ID}/SENSOR", rf"(?:.+/)?{_ID}/tele/SENSOR"),
            has_rules=True,
        ),
        Format(
            "shelly",
            shelly.parse_shelly,
            (rf"shellies/{_ID}/info", rf"(?:.+/)?{_ID}/{_SHELLY}"),
            has_rules=True,
        ),
        Format("dsmr", dsmr.parse_dsmr, has_rules=True),
    )
}
_TOPICS = [
    (one, re.compile(topics))
    for one in FORMATS.values()
    for topics in (*one.topics, rf"{_PREFIX}/{_ID}/{one.name}")  # a device whose topic can be chosen names its format
]
_LAST = re.compile(rf"(?:.*/)?{_ID}")


class Topic(NamedTuple):
    """The format, device and part that a topic names."""

    format: Format
    device_id: str
    part: str


def parse_topic(topic: str, named: str = "") -> Topic:
    """Parse a topic; with a `named` format, the last word of any other topic is the device. Raises Refused."""
    return _known_topic(topic, named) if len(topic) <= _USUAL else _topic(topic, named)


def _topic(topic: str, named: str) -> Topic:
    for one, pattern in _TOPICS:
        if named in ("", one.name) and (found := pattern.fullmatch(topic)):
            return Topic(one, check_device_id(found["device"]), found.groupdict().get("part") or "")
    found = _LAST.fullmatch(topic) if named else None
    if not found:
        raise Refused("unknown_topic", f"{shown(topic)} belongs to no known format")
    return Topic(FORMATS[named], check_device_id(found["device"]), "")


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
