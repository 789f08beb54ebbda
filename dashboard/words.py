"""Numbers, times and periods as people read them. British English; units with a space."""

from typing import NamedTuple

from pendulum import DateTime, from_format

from aggregator import periods

MINUTE = 60  # seconds
_NAMES = {"day": "dddd D MMMM YYYY", "month": "MMMM YYYY", "year": "YYYY"}
_FORMATS = {"day": "YYYY-MM-DD", "month": "YYYY-MM", "year": "YYYY"}


class Amount(NamedTuple):
    """A number and its unit, apart so that they can be drawn apart."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}"


def power(power_w: int) -> Amount:
    """W below 1 kW, else kW with two decimals. The direction is said beside it, so the sign is dropped."""
    watts = abs(power_w)
    return Amount(str(watts), "W") if watts < 1000 else Amount(f"{watts / 1000:,.2f}", "kW")


def energy(wh: int) -> Amount:
    """As many decimals as the size deserves; a few Wh stay Wh rather than become 0.00 kWh."""
    if 0 < abs(wh) < 10:
        return Amount(str(wh), "Wh")
    decimals = 0 if not wh or abs(wh) >= 99_950 else 1 if abs(wh) >= 9_995 else 2
    return Amount(f"{wh / 1000:,.{decimals}f}", "kWh")


def duration(seconds: int) -> str:
    """`2 h 10 min`; at most two units, rounded down."""
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < periods.HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < 2 * periods.DAY_S:
        return _two(seconds // periods.HOUR, "h", seconds % periods.HOUR // MINUTE, "min")
    return _two(seconds // periods.DAY_S, "days", seconds % periods.DAY_S // periods.HOUR, "h")


def ago(seconds: int) -> str:
    """How long since; assets/wattfall.js says the same while it ticks."""
    return f"{duration(max(0, seconds))} ago"


def since(at: int, now: int, zone: str) -> str:
    """The local time of an instant, with the date unless it is today."""
    local = periods.local(at, zone)
    clock = local.format("HH:mm")
    if periods.day_of(at, zone) == periods.day_of(now, zone):
        return clock
    this_year = local.year == periods.local(now, zone).year
    return f"{clock} on {local.format('dddd D MMMM' if this_year else 'D MMMM YYYY')}"


def period_name(level: str, period: str) -> str:
    """`Monday 23 November 2026`, `November 2026`, `2026`."""
    return written(level, period, _NAMES[level])


def written(level: str, period: str, how: str) -> str:
    """A period in one of pendulum's formats."""
    return moment(level, period).format(how)


def moment(level: str, period: str) -> DateTime:
    """The calendar date on which a period begins; of no zone in particular."""
    return from_format(period, _FORMATS[level])


def zone_name(at: DateTime) -> str:
    """`BST`, or `UTC+10:30` where the zone has no letters of its own."""
    name = at.tzname() or ""
    return name if name[:1].isalpha() else f"UTC{at.format('Z').replace(':00', '')}"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")
