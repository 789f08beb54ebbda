"""Device formats: one pure module for each, from bytes to readings and statuses.

May import core only. Begin with `FORMATS` below: a new format is one module and one row there.
A format is told by its name or by the topic that its messages come over.
"""

import re
from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.readings import check_device_id
from aggregator.intake.formats import canonical, dsmr, glow, shelly, tasmota
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
        Format("json", canonical.parse_canonical, (rf"wattfall/{_ID}/readings",)),
        Format("block", canonical.parse_block, (rf"wattfall/{_ID}/block",)),
        Format("glow-hex", glow.parse_glow_hex, (rf"SMART/HILD/{_ID}",)),
        Format("glow", glow.parse_glow, (rf"(?:.+/)?{_GLOW}",)),
        Format(
            "tasmota",
            tasmota.parse_tasmota,
            (rf"(?:.+/)?tele/{_ID}/SENSOR", rf"(?:.+/)?{_ID}/tele/SENSOR"),
            is_local=True,
        ),
        Format("shelly", shelly.parse_shelly, (rf"shellies/{_ID}/info", rf"(?:.+/)?{_ID}/{_SHELLY}")),
        Format("dsmr", dsmr.parse_dsmr),
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
