"""The meter's own counters beside the charts, in words. Pure.

A difference is no fault of anybody: energy comes from the register alone, and meters count days in ways of their own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aggregator.core import periods
from aggregator.support.diagnostics import Evidence
from aggregator.support.meter_counters import Counted, Span
from dashboard.pages.support import support_words
from dashboard.text.language import Language, text
from dashboard.text.words import duration, energy

NEAR_WH = 50  # a meter's midnight may be a minute off ours, in which a kettle draws so much
LACKS_S = 300  # what a chart may lack of its time without a word
NAMES: Mapping[Span, str] = {
    "day": text("Day"),
    "week": text("Week, since Monday"),
    "month": text("Month"),
}


class CountedRow(NamedTuple):
    """A counter beside the charts."""

    name: str
    meter: str
    charts: str
    said: str


@dataclass(frozen=True, slots=True)
class CountersView:
    """The counters that a device sends, or that it sends none."""

    sentence: str
    rows: Sequence[CountedRow]


def counters(evidence: Evidence, lang: Language) -> CountersView:
    """What the meter has counted itself."""
    now, zone = evidence.now, evidence.device.timezone
    told = evidence.known.status.counters if evidence.known else None
    if told is None:
        return CountersView(lang.say("This device sends none."), [])
    time = support_words.to_the_second(told.at, now, zone, lang)
    if not evidence.counted:
        return CountersView(lang.say("It last sent them at {time}, too long ago to be compared.", time=time), [])
    sentence = lang.say(
        "Import as the meter counted it itself, up to {time}. Only for comparison: the charts follow the register,"
        " and some meters begin these counters anew at midnight UTC.",
        time=time,
    )
    return CountersView(sentence, [_row(one, zone, lang) for one in evidence.counted])


def _row(counted: Counted, zone: str, lang: Language) -> CountedRow:
    charts = "–" if counted.charts_wh is None else _wh(counted.charts_wh, lang)
    return CountedRow(lang.say(NAMES[counted.span]), _wh(counted.meter_wh, lang), charts, compared(counted, zone, lang))


def compared(counted: Counted, zone: str, lang: Language) -> str:
    """How a counter differs from the charts, and what may be behind that."""
    if counted.charts_wh is None:
        return lang.say("there is no chart to compare it with")
    more_wh = counted.meter_wh - counted.charts_wh
    amount = energy(abs(more_wh), lang)
    if not more_wh:
        return lang.say("the same")
    if abs(more_wh) <= NEAR_WH:
        return lang.say("the same but for {amount}", amount=amount)
    said = lang.say("{amount} more", amount=amount) if more_wh > 0 else lang.say("{amount} less", amount=amount)
    return f"{said}; {_why(counted, zone, lang)}"


def _why(counted: Counted, zone: str, lang: Language) -> str:
    is_of_utc = counted.utc_charts_wh is not None and abs(counted.meter_wh - counted.utc_charts_wh) <= NEAR_WH
    if is_of_utc and counted.utc_start != counted.start:
        clock = periods.local(counted.utc_start, zone).format("HH:mm")
        return lang.say("that fits a counter that begins anew at midnight UTC, {time} here", time=clock)
    if counted.unknown_s > LACKS_S and counted.charts_wh is not None and counted.meter_wh > counted.charts_wh:
        return lang.say("the charts know nothing of {duration}", duration=duration(counted.unknown_s, lang))
    return lang.say("meters begin these counters in ways of their own")


def _wh(wh: int, lang: Language) -> str:
    return f"{lang.number(wh)} Wh"
