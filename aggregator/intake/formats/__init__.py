"""Device formats: one pure module each, from bytes to readings and statuses.

May import core only. Begin with `FORMATS` below: a new format is one module and one row. A message's format is named,
or follows from its MQTT topic.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from aggregator.core.errors import Refused, shown
from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading, check_device_id, check_instant, sender_of
from aggregator.intake.formats import canonical, dsmr, glow, shelly, tasmota
from aggregator.intake.formats.message import Content, DeviceRules, Origin, Parse, Unread


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
EXAMPLES = {  # a topic of each format, for those whose topic none takes
    "json": "wattfall/ID/readings",
    "glow": "glow/0123456789AB/SENSOR/electricitymeter, with 12 hexadecimal digits",
    "glow-hex": "SMART/HILD/ID",
    "tasmota": "tele/ID/SENSOR",
    "shelly": "shellies/ID/info or ID/events/rpc",
}
_TOPICS = [(one, re.compile(topics)) for one in FORMATS.values() for topics in one.topics]
EVERYTHING = ("#",)


class Topic(NamedTuple):
    """The format, device and part that a topic names."""

    format: Format
    device_id: str
    part: str


LONGEST_KIND = 128  # characters of a topic that count for its kind


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
    raise Refused("unknown_topic", f"{shown(topic)} belongs to no known format{_nearest(levels)}")


def topic_kind(topic: str) -> str:
    """Return a topic with `+` in place of each level that has a digit: one kind differs in its ids alone."""
    return "/".join("+" if any(map(str.isdigit, one)) else one for one in topic[:LONGEST_KIND].split("/"))


def _nearest(levels: Sequence[str]) -> str:
    """Return the example that shares most levels with a topic, as the end of a sentence; all of them if none does."""
    words = {name: set(re.split(r"[/ ,]+", example)) for name, example in EXAMPLES.items()}
    name = max(words, key=lambda one: len(words[one] & set(levels)))
    if words[name] & set(levels):
        return f"; {name} has {EXAMPLES[name]}"
    return f"; known are {'; '.join(EXAMPLES.values())}; --format names the format of other topics"


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


# Messages that were written to a file

Logged = tuple[
    int, bytes, Reading | Refused
]  # the number of a line, its text, and a reading in it or why there is none


def split_message(line: bytes, now: int) -> tuple[int, str, bytes]:
    """Return the arrival (UTC seconds; `now` where none is written), the topic and the payload of a line of a log."""
    first, _, rest = line.partition(b" ")
    text = first.decode(errors="replace")
    try:
        at = int(text) if text.isdecimal() and len(text) == len("1774359000") else check_instant(text, now)
    except Refused:
        return now, text, rest.strip()
    topic, _, payload = rest.strip().partition(b" ")
    return at, topic.decode(errors="replace"), payload.strip()


def is_log(lines: Sequence[str]) -> bool:
    """Whether most lines are a topic with a payload."""
    found = 0
    for line in lines[:50]:
        _, topic, payload = split_message(line.strip().encode(errors="replace"), FOR_EVER)
        found += "/" in topic and payload[:1] in (b"{", b"[", b"/") and "," not in topic
    return found * 2 > len(lines[:50])


def logged_messages(lines: Iterable[bytes], origin: Origin) -> Iterator[Logged]:
    """Yield the readings in a log with a topic and a payload on each line; local times are of the zone of `origin`."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            at, topic, payload = split_message(line.strip(), origin.now)
            try:
                found = parse_topic(topic)
            except Refused as why:
                yield number, line, why
                continue
            rules = DeviceRules(origin.rules.zone) if found.format.has_rules else DeviceRules()
            content = read_whole(found.format, payload, Origin(found.device_id, at, rules, found.part))
            for one in content.readings:  # one of this moment has neither a time of its own nor one of arrival
                yield number, line, Refused("bad_time", "the message has no time") if one.at == origin.now else one
            yield from ((number, line, unread.why) for unread in content.refused)


def logged_telegrams(lines: Iterable[bytes], origin: Origin) -> Iterator[Logged]:
    """Yield the readings of DSMR telegrams, with the number of their last line."""
    number = 0

    def counted() -> Iterator[bytes]:
        nonlocal number
        for number, line in enumerate(lines, 1):  # noqa: B007 - it is the number of the last line that was read
            yield line

    sender = origin._replace(device_id=sender_of(origin.device_id))
    for telegram in dsmr.telegrams(counted()):
        content = read_whole(FORMATS["dsmr"], telegram, sender)
        yield from ((number, telegram, one) for one in content.readings)
        yield from ((number, telegram, unread.why) for unread in content.refused)
