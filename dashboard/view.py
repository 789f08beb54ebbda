"""What the address says: one value, read from a URL and written to one. No address is an error."""

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from aggregator import periods
from aggregator.errors import ConfigurationError, Refused
from aggregator.readings import check_device_id

LONGEST_PATH = 512
YEARS = range(2000, 2200)


@dataclass(frozen=True, slots=True)
class View:
    """A page: `home`, `household` (one device's chart) or `lost` (an address that leads nowhere)."""

    page: str = "home"
    device_id: str = ""
    level: str = "day"
    period: str = ""  # empty: whichever is current

    @classmethod
    def from_url(cls, path: object) -> "View":
        """The view of a path. What makes no sense falls back to the nearest that does."""
        if not isinstance(path, str) or len(path) > LONGEST_PATH:
            return cls("lost")
        segments = [unquote(segment) for segment in path.split("/") if segment]
        if not segments:
            return cls()
        if segments[0] != "d" or len(segments) < 2 or not _is_device_id(segments[1]):
            return cls("lost")
        level, period = (*segments[2:4], "", "")[:2]
        if level not in periods.LEVELS:
            return cls("household", segments[1])
        return cls("household", segments[1], level, period if _exists(level, period) else "")

    def to_url(self) -> str:
        """The path of this view."""
        if self.page != "household":
            return "/"
        steps = ["/d", quote(self.device_id, safe=":")]
        if self.period or self.level != "day":
            steps.append(self.level)
        return "/".join([*steps, self.period] if self.period else steps)

    def at(self, now: int, zone: str) -> "View":
        """The same view with its period written out."""
        return self if self.period else replace(self, period=periods.period_of(self.level, now, zone))

    def to(self, level: str, period: str = "") -> "View":
        """The same device in another period; the current one when none is given."""
        return View("household", self.device_id, level, period)


def _is_device_id(text: str) -> bool:
    try:
        return bool(check_device_id(text))
    except Refused:
        return False


def _exists(level: str, period: str) -> bool:
    try:
        return period.isascii() and int(periods.check_period(level, period)[:4]) in YEARS
    except ConfigurationError:
        return False
