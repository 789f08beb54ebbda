"""Instants, spans and shares as the desk says them: in the device's own time, with its zone where in doubt. Pure.

What somebody else has sent, so that it can be looked at without harm: as it came, and set out. Pure.

Characters that cannot be seen, or that change how others are drawn, are written as escapes. What is a page's own
business, `<` and `&`, is the template's to escape.

Why somebody looks: the reasons the desk suggests, kept in English and said in the reader's language. Pure.
"""

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.periods import Window
from dashboard.text.language import Language, text
from dashboard.text.words import WEEKDAY_AND_DATE, duration, since, written, zone_name

UTC = "UTC"
SHORT_DAY, TINY_DAY = text("EEE d MMM"), text("EEE d")


def instant(at: int, now: int, zone: str, lang: Language) -> str:
    """`14:02`, `14:02 on Tuesday 17 November`; with the zone where the clocks have changed since."""
    said = since(at, now, zone, lang)
    then, today = periods.local(at, zone), periods.local(now, zone)
    if then.utcoffset() == today.utcoffset():
        return said
    return lang.say("{time} ({zone})", time=said, zone=zone_name(then))


def to_the_second(at: int, now: int, zone: str, lang: Language) -> str:
    """The same, with seconds, for what came just now."""
    local = periods.local(at, zone)
    return instant(at, now, zone, lang).replace(local.format("HH:mm"), local.format("HH:mm:ss"), 1)


def with_zone(at: int, now: int, zone: str, lang: Language) -> str:
    """`14:02:07 on Tuesday 17 November (GMT)`: the zone always, for a page whose times are of another one."""
    local = periods.local(at, zone)
    said = since(at, now, zone, lang).replace(local.format("HH:mm"), local.format("HH:mm:ss"), 1)
    return lang.say("{time} ({zone})", time=said, zone=zone_name(local))


def span(window: Window, now: int, zone: str, lang: Language) -> tuple[str, str]:
    """The beginning and the end of a span; the end without its date where both are of one day."""
    begin, end = instant(window.start, now, zone, lang), instant(window.end, now, zone, lang)
    is_one_day = periods.day_of(window.start, zone) == periods.day_of(window.end, zone)
    return begin, periods.local(window.end, zone).format("HH:mm") if is_one_day else end


def short_day(day: str, lang: Language) -> str:
    """`Tue 17 Nov`."""
    return written("day", day, SHORT_DAY, lang)


def long_day(day: str, lang: Language) -> str:
    """`Tuesday 17 November`."""
    return written("day", day, WEEKDAY_AND_DATE, lang)


def share(part: float, lang: Language) -> str:
    """A share in whole percent, but 100 % only for all of it, and 0 % only for none."""
    percent = 100 if part >= 1 else 0 if part <= 0 else min(max(round(part * 100), 1), 99)
    return f"{lang.number(percent)} %"


def every(interval_s: int, lang: Language) -> str:
    """`every 10 s`."""
    return lang.say("every {duration}", duration=duration(interval_s, lang))


def zone_said(now: int, zone: str, lang: Language) -> str:
    """Whose clock all times on a page are."""
    name = zone_name(periods.local(now, zone))
    return lang.say("All times are those of {zone}, now {letters}.", zone=zone.replace("_", " "), letters=name)


def home_name(device: Device) -> str:
    """What to call a device's home: by its name, or else by its id."""
    return device.name or device.device_id


# payloads

LONGEST_PRETTY = 16_384  # characters; two kilobytes of brackets set out would be a megabyte


def shown(payload: str) -> str:
    """A payload as it came, every character of it visible; line ends stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in payload)


def pretty(payload: str) -> str:
    """A payload set out over lines if it is JSON; empty if it is not, or would be too long."""
    try:
        set_out = orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return ""
    return shown(set_out) if len(set_out) <= LONGEST_PRETTY else ""


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# reasons

SUGGESTIONS = (
    text("The customer reports missing data"),
    text("The customer asks about a figure"),
    text("The device is silent or late"),
    text("Messages of the device are refused"),
    text("The meter was exchanged"),
)
_AND = ": "


def whole(suggested: str, typed: str) -> str:
    """A suggestion with more words, or either, as it is written down."""
    return _AND.join(filter(None, (suggested, typed.strip())))


def reason_label(reason: str, lang: Language) -> str:
    """A reason as it was written down; what the desk had suggested in the language of who reads it."""
    suggested, _, typed = reason.partition(_AND)
    return whole(lang.say(suggested), typed) if suggested in SUGGESTIONS else reason
