"""The formats by name, and by the topic that their messages come over. Pure."""

import re
from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import check_device_id
from aggregator.intake.formats import block, canonical, dsmr, glow, glow_hex, shelly, tasmota
from aggregator.intake.formats.message import Content, Origin, Read, Unread


class Format(NamedTuple):
    """A format: its name, what reads it, and the topics of its messages, whose `device` is the one that sends."""

    name: str
    read: Read
    topics: tuple[str, ...] = ()  # regular expressions; none where others choose the topics
    is_local: bool = False  # it has times without an offset, for which the device's time zone is needed


_ID = r"(?P<device>[^/]+)"
_SHELLY = r"(?P<part>events/rpc|status(?:/em1?(?:data)?:\d)?)"
_GLOW = r"(?P<device>[0-9A-Fa-f]{12})/(?P<part>STATE|SENSOR/(?:electricity|gas)meter)"
FORMATS = {
    one.name: one
    for one in (
        Format("json", canonical.read, (rf"wattfall/{_ID}/readings",)),
        Format("block", block.read, (rf"wattfall/{_ID}/block",)),
        Format("glow-hex", glow_hex.read, (rf"SMART/HILD/{_ID}",)),
        Format("glow", glow.read, (rf"(?:.+/)?{_GLOW}",)),
        Format("tasmota", tasmota.read, (rf"(?:.+/)?tele/{_ID}/SENSOR", rf"(?:.+/)?{_ID}/tele/SENSOR"), is_local=True),
        Format("shelly", shelly.read, (rf"shellies/{_ID}/info", rf"(?:.+/)?{_ID}/{_SHELLY}")),
        Format("dsmr", dsmr.read),
    )
}
_TOPICS = [(one, re.compile(topics)) for one in FORMATS.values() for topics in one.topics]
_LAST = re.compile(rf"(?:.*/)?{_ID}")


class Topic(NamedTuple):
    """What a topic says of its messages."""

    format: Format
    device_id: str
    part: str


def of_topic(topic: str, named: str = "") -> Topic:
    """What a topic says; where a format is `named`, another topic's last word is the device. Raises Refused."""
    for one, pattern in _TOPICS:
        if named in ("", one.name) and (found := pattern.fullmatch(topic)):
            return Topic(one, check_device_id(found["device"]), found.groupdict().get("part") or "")
    found = _LAST.fullmatch(topic) if named else None
    if not found:
        raise Refused("unknown_topic", f"{shown(topic)} is of no format that is known")
    return Topic(FORMATS[named], check_device_id(found["device"]), "")


def read_whole(one: Format, payload: bytes, origin: Origin) -> Content:
    """What is in a message; one that cannot be read at all is the only thing refused in it."""
    try:
        return one.read(payload, origin)
    except Refused as why:
        return Content(refused=[Unread(why, payload)])
    except Exception as error:  # a source's own fault must not come again with the message for ever
        return Content(refused=[Unread(Refused("our_fault", repr(error)[:120]), payload)])
