"""What the address says: one value, read from a URL and written to one. No address is an error."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, unquote, urlencode

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.readings import check_device_id

LONGEST_PATH = 512
YEARS = range(2000, 2200)
ENERGY, MONEY = "energy", "money"
COMPARISONS = {  # what a period of each level can be compared with
    "day": ("week", "previous", "year"),
    "month": ("previous", "year"),
    "year": ("previous",),
}
WEEK, YEAR_OF_WEEKS = 7, 364  # days; a year ago by weekday


@dataclass(frozen=True, slots=True)
class View:
    """A page: `home`, `household` (one device's chart) or `lost` (an address that leads nowhere)."""

    page: str = "home"
    device_id: str = ""
    level: str = "day"
    period: str = ""  # empty: whichever is current
    unit: str = ENERGY  # or money
    compare: str = ""  # week, previous, year; empty: with nothing
    has_charge: bool = True  # whether money includes the standing charge

    @classmethod
    def from_url(cls, path: object, search: object = "") -> "View":
        """The view of a path and its query. What makes no sense falls back to the nearest that does."""
        if not isinstance(path, str) or len(path) > LONGEST_PATH:
            return cls("lost")
        segments = [unquote(segment) for segment in path.split("/") if segment]
        if not segments:
            return cls()
        if segments[0] != "d" or len(segments) < 2 or not _is_device_id(segments[1]):
            return cls("lost")
        level, period = (*segments[2:4], "", "")[:2]
        if level not in periods.LEVELS:
            level, period = "day", ""
        found = cls("household", segments[1], level, period if _exists(level, period) else "")
        return _with_query(found, search)

    def to_url(self) -> str:
        """The path and the query of this view."""
        if self.page != "household":
            return "/"
        return self.path + self.query

    @property
    def path(self) -> str:
        """The address without its query."""
        steps = ["/d", quote(self.device_id, safe=":")]
        if self.period or self.level != "day":
            steps.append(self.level)
        return "/".join([*steps, self.period] if self.period else steps)

    @property
    def query(self) -> str:
        """How the period is shown, as far as that is not the usual way."""
        fields = {"unit": self.unit if self.unit != ENERGY else "", "compare": self.compare}
        fields["charge"] = "" if self.has_charge else "no"
        given = {name: value for name, value in fields.items() if value}
        return f"?{urlencode(given)}" if given else ""

    def at(self, now: int, zone: str) -> "View":
        """The same view with its period written out."""
        return self if self.period else replace(self, period=periods.period_of(self.level, now, zone))

    def to(self, level: str, period: str = "") -> "View":
        """The same device, shown in the same way, in another period; the current one when none is given."""
        compare = self.compare if self.compare in COMPARISONS[level] else ""
        return replace(self, level=level, period=period, compare=compare)

    def shown(self, **changes: object) -> "View":
        """The same period shown in another way."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def compared(self) -> str:
        """The period with which this one is compared; empty with none. The period must be written out."""
        if not self.compare:
            return ""
        if self.level == "day":
            days = {"week": WEEK, "previous": 1, "year": YEAR_OF_WEEKS}[self.compare]
            return periods.shift("day", self.period, -days)
        return periods.shift(self.level, self.period, -12 if (self.level, self.compare) == ("month", "year") else -1)


def _with_query(view: View, search: object) -> View:
    if not isinstance(search, str) or len(search) > LONGEST_PATH:
        return view
    try:
        fields = parse_qs(search.removeprefix("?"), max_num_fields=20)
    except ValueError:
        return view
    first = {name: values[0] for name, values in fields.items()}
    compare = first.get("compare", "")
    return replace(
        view,
        unit=MONEY if first.get("unit") == MONEY else ENERGY,
        compare=compare if compare in COMPARISONS[view.level] else "",
        has_charge=first.get("charge") != "no",
    )


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
