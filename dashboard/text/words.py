"""Numbers, times and periods for readers, in their language; units follow a space. Pure.

Also `attributes`: HTML attributes with hyphens, which Python keywords cannot spell.
"""

from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from pendulum import DateTime, from_format

from aggregator.core import periods
from dashboard.text.language import Language, text

MINUTE = 60  # seconds
WEEKDAY_AND_DATE = text("EEEE d MMMM")
_NAMES = {"day": text("EEEE d MMMM y"), "month": text("MMMM y"), "year": "y"}
_FORMATS = {"day": "YYYY-MM-DD", "month": "YYYY-MM", "year": "YYYY"}


class Amount(NamedTuple):
    """A number and its unit, separate so that a page can style them separately."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".rstrip()


def power(power_w: int, lang: Language) -> Amount:
    """Return W below 1 kW, else kW with two decimals. Drops the sign; the page names the direction."""
    watts = abs(power_w)
    return Amount(str(watts), "W") if watts < 1000 else Amount(lang.number(Decimal(watts) / 1000, 2), "kW")


def energy(wh: int, lang: Language) -> Amount:
    """Return kWh with two decimals or fewer, by size; below 10 Wh in Wh, never 0.00 kWh."""
    if 0 < abs(wh) < 10:
        return Amount(lang.number(wh), "Wh")
    decimals = 0 if not wh or abs(wh) >= 99_950 else 1 if abs(wh) >= 9_995 else 2
    return Amount(lang.number(Decimal(wh) / 1000, decimals), "kWh")


def duration(seconds: int, lang: Language) -> str:
    """Return `2 h 10 min`: at most two units, rounded down."""
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < periods.HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < 2 * periods.DAY_S:
        return _two(f"{seconds // periods.HOUR} h", seconds % periods.HOUR // MINUTE, "min")
    days = lang.count("{number} day", "{number} days", seconds // periods.DAY_S)
    return _two(days, seconds % periods.DAY_S // periods.HOUR, "h")


def ago(seconds: int, lang: Language) -> str:
    """Return the age; assets/wattfall.js writes the same while it ticks."""
    return lang.say("{duration} ago", duration=duration(max(0, seconds), lang))


def since(at: int, now: int, zone: str, lang: Language) -> str:
    """Return the local time of an instant, with its date unless that is today."""
    local = periods.local(at, zone)
    clock = local.format("HH:mm")
    if periods.day_of(at, zone) == periods.day_of(now, zone):
        return clock
    this_year = local.year == periods.local(now, zone).year
    day = lang.date(local, WEEKDAY_AND_DATE if this_year else text("d MMMM y"))
    return lang.say("{time} on {day}", time=clock, day=day)


def period_name(level: str, period: str, lang: Language) -> str:
    """Return `Monday 23 November 2026`, `November 2026` or `2026`."""
    return format_period(level, period, _NAMES[level], lang)


def format_period(level: str, period: str, pattern: str, lang: Language) -> str:
    """Return a period in a CLDR date pattern."""
    return lang.date(moment(level, period), pattern)


def moment(level: str, period: str) -> date:
    """Return the first calendar date of a period."""
    return from_format(period, _FORMATS[level]).date()


def percent(part: int, whole: int, lang: Language) -> str:
    """Return the share of `part` in `whole`, in whole percent and never 0: `12 %`, `under 1 %`."""
    share = abs(part) * 100 / abs(whole)
    return lang.say("under 1 %") if share < 1 else f"{lang.number(round(share))} %"


def zone_name(at: DateTime) -> str:
    """Return `BST`, or `UTC+10:30` if the zone has no letters."""
    name = at.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{at.format('Z').replace(':00', '')}"


def _two(large: str, small: int, unit: str) -> str:
    return large + (f" {small} {unit}" if small else "")


# HTML attributes


def attributes(**named: object) -> dict[str, Any]:
    """Return keyword arguments with hyphens: `aria_label` as `aria-label`."""
    return {name.replace("_", "-"): value for name, value in named.items()}
