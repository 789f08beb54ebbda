"""Sparklines: many small bars or a line in little space, each with a summary in words. Pure.

All lengths are percent of the space; bars start at its bottom left.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from typing import Literal, NamedTuple

from pendulum import DateTime

from aggregator.core import periods
from aggregator.core.periods import HOUR, Window
from aggregator.intake.device_status import Signal
from aggregator.support.device_state import Covered, Hour
from dashboard.pages.support import support_words
from dashboard.text.language import Language, text

FULL = 100.0  # percent
LEAST = 4.0  # percent of the height; keeps a small bar visible
AIR, MOST_WITH_AIR = 0.18, 60  # gap as a share of a bar's width, up to this number of bars
WHOLE = 0.95  # share of the expected readings; no clock is exact enough for all of them
DAY_WHOLE = 0.995
NOTHING = 1e-6  # of a day, a tenth of a second
LAST_TICK = 93.0  # percent; a label further right would be cut off
BREAK_S = 3 * HOUR  # between two points; a longer pause breaks the line
RSSI_RANGE, LQI_RANGE = (-100, -30), (0, 255)

Kind = Literal["whole", "some", "none", "measured", "supplied", "estimated", "missing"]


class Bar(NamedTuple):
    """A bar by its bottom left corner, and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    kind: Kind
    title: str


class Tick(NamedTuple):
    """A label under a sparkline; `left` is its start."""

    left: float  # percent
    label: str


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Bars with their labels and a summary."""

    summary: str
    bars: Sequence[Bar]
    ticks: Sequence[Tick]


@dataclass(frozen=True, slots=True)
class Line:
    """A line, in pieces where there is a gap, each as points of an SVG of 100 by 100; and the same in words."""

    summary: str
    pieces: Sequence[str]


def hours_sparkline(hours: Sequence[Hour], now: int, zone: str, lang: Language) -> Sparkline:
    """Return the received readings of each hour against the expected ones."""
    wide = FULL / len(hours)
    drawn = wide * (1 - AIR) if len(hours) <= MOST_WITH_AIR else wide
    starts = [periods.local(hour.start, zone) for hour in hours]
    ends = [*starts[1:], periods.local(hours[-1].start + HOUR, zone)]
    bars = [
        _hour_bar(place * wide, drawn, hour, f"{_day_and_clock(start, lang)}–{_clock(end)}", lang)
        for place, (hour, start, end) in enumerate(zip(hours, starts, ends, strict=True))
    ]
    return Sparkline(_hours_words(hours, now, zone, lang), bars, list(_hour_ticks(starts, wide, lang)))


def _hour_bar(x: float, wide: float, hour: Hour, time: str, lang: Language) -> Bar:
    part = min(hour.readings / hour.expected, 1.0) if hour.expected else 1.0
    kind: Kind = "none" if hour.expected and not hour.readings else "whole" if part >= WHOLE else "some"
    high = FULL if kind == "none" else max(part * FULL, LEAST)
    title = lang.say(
        "{time}: {readings} of {expected} readings",
        time=time,
        readings=lang.number(hour.readings),
        expected=lang.number(hour.expected),
    )
    return Bar(x, 0.0, wide, high, kind, title)


def _day_and_clock(at: DateTime, lang: Language) -> str:
    return f"{lang.date(at, support_words.SHORT_DAY)}, {_clock(at)}"


def _clock(at: DateTime) -> str:
    return f"{at.hour:02d}:{at.minute:02d}"


def _hours_words(hours: Sequence[Hour], now: int, zone: str, lang: Language) -> str:
    came = lang.say(
        "{readings} of {expected} readings",
        readings=lang.number(sum(hour.readings for hour in hours)),
        expected=lang.number(sum(hour.expected for hour in hours)),
    )
    empty = [hour for hour in hours if hour.expected and not hour.readings]
    if not empty:
        return lang.say("{came}; some in every hour.", came=came)
    if not any(hour.readings for hour in hours):
        return lang.say("No reading in any hour.")
    return lang.say(
        "{came}; {hours}, the last from {start}.",
        came=came,
        hours=lang.count("none in {number} hour", "none in {number} hours", len(empty)),
        start=support_words.instant(empty[-1].start, now, zone, lang),
    )


def _hour_ticks(starts: Sequence[DateTime], wide: float, lang: Language) -> Iterator[Tick]:
    """Yield the days for many hours, else every sixth hour."""
    is_long = len(starts) > MOST_WITH_AIR
    for place, start in enumerate(starts):
        left = place * wide
        if left <= LAST_TICK and start.hour % (24 if is_long else 6) == 0:
            yield Tick(left, lang.date(start, support_words.TINY_DAY) if is_long else _clock(start))


def coverage(days: Sequence[Covered], lang: Language) -> Sparkline:
    """Return the measured, supplied, estimated and missing share of each day."""
    wide = FULL / len(days)
    bars = [bar for place, day in enumerate(days) for bar in _day_bars(place * wide, wide, day, lang)]
    ticks = [
        Tick(place * wide, support_words.short_day(day.day, lang))
        for place, day in enumerate(days)
        if place % 7 == 0 and place * wide <= LAST_TICK
    ]
    return Sparkline(_coverage_words(days, lang), bars, ticks)


def _day_bars(x: float, wide: float, day: Covered, lang: Language) -> Iterator[Bar]:
    """Yield the measured bar, above it the supplied and the estimated one, and the missing one at the top."""
    title, bottom = f"{support_words.short_day(day.day, lang)}: {shares(day, lang)}", 0.0
    for kind, part in _parts(day).items():
        yield Bar(x, bottom, wide * (1 - AIR), part * FULL, kind, title)
        bottom += part * FULL


def _parts(day: Covered) -> dict[Kind, float]:
    """Return the shares of a day above NOTHING."""
    kinds: tuple[Kind, ...] = ("measured", "supplied", "estimated", "missing")
    return {kind: part for kind in kinds if (part := getattr(day, kind)) > NOTHING}


_SHARES: Mapping[Kind, str] = {
    "measured": text("{share} measured"),
    "supplied": text("{share} from the supplier"),
    "estimated": text("{share} estimated"),
    "missing": text("{share} missing"),
}


def shares(day: Covered, lang: Language) -> str:
    """Return `79 % measured, 21 % estimated`."""
    parts = _parts(day).items()
    return ", ".join(lang.say(_SHARES[kind], share=support_words.share(part, lang)) for kind, part in parts)


def _coverage_words(days: Sequence[Covered], lang: Language) -> str:
    """Return the number of complete days since the first with data, and the worst day."""
    known = list(dropwhile(lambda day: day.missing > 1 - NOTHING, days))
    if not known:
        return lang.say("No data on any day.")
    whole = sum(day.measured >= DAY_WHOLE for day in known)
    said = lang.count(
        "{whole} of {number} day measured whole",
        "{whole} of {number} days measured whole",
        len(known),
        whole=lang.number(whole),
    )
    if len(known) < len(days):
        said = lang.say("{said} since {day}", said=said, day=support_words.long_day(known[0].day, lang))
    worst = min(known, key=lambda day: day.measured)
    if worst.measured >= DAY_WHOLE:
        return f"{said}."
    return lang.say(
        "{said}; least on {day}: {shares}.",
        said=said,
        day=support_words.long_day(worst.day, lang),
        shares=shares(worst, lang),
    )


# The signal


def rssi_line(signals: Sequence[Signal], span: Window, lang: Language) -> Line | None:
    """Return the signal strength over time; None without data."""
    points = [(one.at, one.rssi_dbm) for one in signals if one.rssi_dbm is not None]
    return _line(points, span, RSSI_RANGE, text("from {least} to {most} dBm"), lang)


def lqi_line(signals: Sequence[Signal], span: Window, lang: Language) -> Line | None:
    """Return the link quality over time, 0 to 255; None without data."""
    points = [(one.at, one.lqi) for one in signals if one.lqi is not None]
    return _line(points, span, LQI_RANGE, text("from {least} to {most} of 255"), lang)


def count_line(points: Sequence[tuple[int, int]], span: Window, lang: Language) -> Line:
    """Return a count of each day over time, from 0 up."""
    values = [value for _, value in points]
    summary = lang.say("from {least} to {most}", least=lang.number(min(values)), most=lang.number(max(values)))
    return Line(summary, [_polyline(points, span, (0, max(1, *values)))])


def _line(
    points: Sequence[tuple[int, int]], span: Window, scale: tuple[int, int], sentence: str, lang: Language
) -> Line | None:
    if not points:
        return None
    values = [value for _, value in points]
    summary = lang.say(sentence, least=lang.number(min(values)), most=lang.number(max(values)))
    return Line(summary, [_polyline(piece, span, scale) for piece in _pieces(points)])


def _pieces(points: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    """Yield runs of points without a gap; a single point becomes a short line."""
    begin = 0
    for place, ((before, _), (after, _)) in enumerate(pairwise(points), 1):
        if after - before > BREAK_S:
            yield points[begin:place]
            begin = place
    yield points[begin:]


def _polyline(points: Iterable[tuple[int, int]], span: Window, scale: tuple[int, int]) -> str:
    low, high = scale
    drawn = [
        (
            (at - span.start) / (span.end - span.start) * FULL,
            FULL - (min(max(value, low), high) - low) / (high - low) * FULL,
        )
        for at, value in points
    ]
    if len(drawn) == 1:
        drawn.append((drawn[0][0] + 0.3, drawn[0][1]))
    return " ".join(f"{x:.2f},{y:.1f}" for x, y in drawn)
