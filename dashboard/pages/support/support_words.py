"""Words of the support pages: times in the device's zone, foreign payloads, and reasons of a look-up. Pure.

Times carry their zone where the clocks have changed. Payloads show invisible characters, and those that change the
display of others, as escapes; the template escapes `<` and `&`. Suggested reasons are stored in English and translated
for each reader.
"""

import orjson

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.periods import Window
from dashboard.accounts.api_keys import USED
from dashboard.text.language import Language, text
from dashboard.text.words import WEEKDAY_AND_DATE, duration, format_period, since, zone_name

UTC = "UTC"
SHORT_DAY, TINY_DAY = text("EEE d MMM"), text("EEE d")


def instant(at: int, now: int, zone: str, lang: Language) -> str:
    """Return `14:02` or `14:02 on Tuesday 17 November`; with the zone if the clocks have changed since."""
    time = since(at, now, zone, lang)
    then, today = periods.local(at, zone), periods.local(now, zone)
    if then.utcoffset() == today.utcoffset():
        return time
    return lang.say("{time} ({zone})", time=time, zone=zone_name(then))


def to_the_second(at: int, now: int, zone: str, lang: Language) -> str:
    """Like `instant`, with seconds, for recent events."""
    local = periods.local(at, zone)
    return instant(at, now, zone, lang).replace(local.format("HH:mm"), local.format("HH:mm:ss"), 1)


def with_zone(at: int, now: int, zone: str, lang: Language) -> str:
    """`14:02:07 on Tuesday 17 November (GMT)`: the zone always, for a page whose times are of another one."""
    local = periods.local(at, zone)
    said = since(at, now, zone, lang).replace(local.format("HH:mm"), local.format("HH:mm:ss"), 1)
    return lang.say("{time} ({zone})", time=said, zone=zone_name(local))


def span(window: Window, now: int, zone: str, lang: Language) -> tuple[str, str]:
    """Return the start and end of a span; the end without its date if both are on one day."""
    begin, end = instant(window.start, now, zone, lang), instant(window.end, now, zone, lang)
    is_one_day = periods.day_of(window.start, zone) == periods.day_of(window.end, zone)
    return begin, periods.local(window.end, zone).format("HH:mm") if is_one_day else end


def short_day(day: str, lang: Language) -> str:
    """Return `Tue 17 Nov`."""
    return format_period("day", day, SHORT_DAY, lang)


def long_day(day: str, lang: Language) -> str:
    """Return `Tuesday 17 November`."""
    return format_period("day", day, WEEKDAY_AND_DATE, lang)


def share(part: float, lang: Language) -> str:
    """Return a share in whole percent; 100 % means all and 0 % means none."""
    percent = 100 if part >= 1 else 0 if part <= 0 else min(max(round(part * 100), 1), 99)
    return f"{lang.number(percent)} %"


def every(interval_s: int, lang: Language) -> str:
    """Return `every 10 s`."""
    return lang.say("every {duration}", duration=duration(interval_s, lang))


def zone_label(now: int, zone: str, lang: Language) -> str:
    """Return the name of the clock behind all times of a page."""
    name = zone_name(periods.local(now, zone))
    return lang.say("All times are those of {zone}, now {letters}.", zone=zone.replace("_", " "), letters=name)


def home_name(device: Device) -> str:
    """Return the name of a device's home, or else its id."""
    return device.name or device.device_id


# Payloads

LONGEST_PRETTY = 16_384  # characters; 2 KB of brackets would indent to a megabyte


def visible(payload: str) -> str:
    """Return a payload unchanged but for invisible characters, which become escapes; line ends stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in payload)


def pretty(payload: str) -> str:
    """Return indented JSON; empty if the payload is no JSON or too long."""
    try:
        set_out = orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return ""
    return visible(set_out) if len(set_out) <= LONGEST_PRETTY else ""


def _escaped(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Reasons

SUGGESTIONS = (
    text("The customer reports missing data"),
    text("The customer asks about a figure"),
    text("The device is silent or late"),
    text("Messages of the device are refused"),
    text("The meter was exchanged"),
)
WRITTEN = (  # by commands and pages; a household reads them
    text("changed on the admin page"),
    text("claim code made"),
    text("claimed with a code"),
    text("device moved"),
    text("device moved back"),
    text("device set from the command line"),
    text("device token made"),
    text("device token revoked"),
    text("everything of the household"),
    text("history imported from the command line"),
    text("on the page of the household"),
    text("prices imported from the command line"),
    text("rebuild from the command line"),
    text("tariff removed from the command line"),
    text("tariff set from the command line"),
    text("the household asked for it"),
)
_AND = ": "


def whole(suggested: str, typed: str) -> str:
    """Return the stored reason: a suggestion, more words, or both."""
    return _AND.join(filter(None, (suggested, typed.strip())))


def reason_label(reason: str, lang: Language) -> str:
    """Return a stored reason; a suggestion, and what a command or a page wrote, is translated."""
    suggested, _, typed = reason.partition(_AND)
    return whole(lang.say(suggested), typed) if suggested in (*SUGGESTIONS, *WRITTEN, USED) else reason
