"""What the charts and tiles say in words. Pure; one place to translate."""

from collections import Counter
from collections.abc import Iterable

from aggregator.documents import Live, Part
from dashboard import words
from dashboard.charts import BEFORE, FUTURE, NOW, Chart, Column

LATE_S, SILENT_S = 60, 600
LOW_W, MEDIUM_W = 500, 2000  # as on an in-home display: below, below, and above
CURRENT = {"day": ("Today", "Today"), "month": ("This month", "Now"), "year": ("This year", "Now")}  # wide and narrow
_ROLL_CALL = {"fresh": "sending", "late": "late", "silent": "silent", "none": "waiting for a first reading"}
_BUSIEST = {"day": "busiest {}", "month": "most on {}", "year": "most in {}"}
_MOST_IMPORTED = {"day": "most imported {}", "month": "most imported on {}", "year": "most imported in {}"}
_BEGAN = {"day": "first reading after {}", "month": "first reading on {}", "year": "first reading in {}"}
_THIS = {"day": "This day", "month": "This month", "year": "This year"}


def freshness(live: Live | None, now: int) -> str:
    """`none`, `fresh`, `late` or `silent`."""
    if live is None:
        return "none"
    age = now - live.at
    return "fresh" if age < LATE_S else "late" if age < SILENT_S else "silent"


def level(power_w: int | None) -> str:
    """`low`, `medium`, `high`, `exporting`, or `unknown`."""
    if power_w is None:
        return "unknown"
    if power_w < 0:
        return "exporting"
    return "low" if power_w < LOW_W else "medium" if power_w < MEDIUM_W else "high"


def roll_call(states: Iterable[Live | None], now: int) -> str:
    """`3 sending · 1 late`: how many devices are how."""
    counts = Counter(freshness(live, now) for live in states)
    return " · ".join(f"{counts[state]} {word}" for state, word in _ROLL_CALL.items() if counts[state])


def total(chart: Chart) -> str:
    """The energy of a chart: `8.4 kWh so far`, `8.40 kWh imported, 3.10 kWh exported`."""
    so_far = " so far" if chart.when == NOW else ""
    return " and ".join(energies(chart.total)) + so_far


def energies(part: Part) -> list[str]:
    """The energy of a part, each direction that is known; export only where there is some."""
    imported, exported = part.import_wh, part.export_wh
    if not exported:
        return [] if imported is None else [str(words.energy(imported))]
    said = [] if imported is None else [f"{words.energy(imported)} imported"]
    return [*said, f"{words.energy(exported)} exported"]


def remarks(chart: Chart) -> list[str]:
    """What else is worth saying of a chart that has data."""
    return [*_began(chart), *_peak(chart), *_shift(chart.shift_s), *_quality(chart)]


def summary(chart: Chart) -> str:
    """The chart in one line, for those who do not see it."""
    return " · ".join([total(chart), *remarks(chart)])


def notes(part: Part, missing_s: int) -> list[str]:
    """How far a figure is to be trusted; nothing when it is measured throughout."""
    said = [f"{words.duration(part.estimated_s)} estimated"] if part.estimated_s else []
    if part.is_empty and missing_s:
        return ["no data"]
    return [*said, f"{words.duration(missing_s)} missing"] if missing_s else said


def nothing(chart: Chart, first: str | None) -> tuple[str, str]:
    """A heading and a sentence for a chart without data."""
    name = words.period_name(chart.view.level, chart.view.period)
    if first is None:
        return "Nothing to draw yet", "The chart begins with the first reading."
    began = words.period_name(chart.view.level, first)
    if chart.when == FUTURE:
        return f"{_THIS[chart.view.level]} is still to come", "There is nothing to show yet."
    if chart.when == BEFORE:
        preposition = "on" if chart.view.level == "day" else "in"
        return "Before the first reading", f"The readings of this device begin {preposition} {began}."
    if not chart.columns:
        return "A day that never was", f"The clocks of this time zone skipped {name}."
    return "No data", f"No reading of {name} has come in."


def hour_count(shift_s: int) -> str:
    """`25 hours`, `24.5 hours`: the length of a day."""
    return f"{24 + shift_s / 3600:g} hours"


def column_lines(column: Column) -> list[str]:
    """What the card over a column says below its name."""
    halves = [f"{name}  {words.energy(half.import_wh)}" for name, half in column.halves if half.import_wh is not None]
    return [
        *energies(column.part),
        *notes(column.part, column.missing_s),
        *(halves if len(halves) > 1 else []),
    ]


def _began(chart: Chart) -> list[str]:
    if chart.began is None:
        return []
    name = chart.columns[chart.began].label.name
    return [_BEGAN[chart.view.level].format(name.partition("–")[0])]


def _peak(chart: Chart) -> list[str]:
    if chart.peak is None:
        return []
    said = _MOST_IMPORTED if chart.total.export_wh else _BUSIEST
    return [said[chart.view.level].format(chart.columns[chart.peak].label.name)]


def _shift(seconds: int) -> list[str]:
    if not seconds:
        return []
    return [f"{hour_count(seconds)}: the clocks went {'back' if seconds > 0 else 'forward'}"]


def _quality(chart: Chart) -> list[str]:
    estimated, missing = chart.total.estimated_s, chart.missing_s
    if not estimated and not missing:
        return ["every reading present"]
    said = [f"{words.duration(estimated)} estimated after an outage"] if estimated else []
    return [*said, f"{words.duration(missing)} missing"] if missing else said
