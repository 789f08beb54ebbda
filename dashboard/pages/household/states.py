"""How a device is doing, by its newest reading. Pure."""

from collections import Counter
from collections.abc import Iterable

from aggregator.core.documents import Live
from dashboard.text.language import Language, text

LATE_S, SILENT_S = 60, 600
_ROLL_CALL = {
    "fresh": text("{count} sending"),
    "late": text("{count} late"),
    "silent": text("{count} silent"),
    "none": text("{count} waiting for a first reading"),
}


def freshness(live: Live | None, now: int) -> str:
    """`none`, `fresh`, `late` or `silent`."""
    if live is None:
        return "none"
    age = now - live.at
    return "fresh" if age < LATE_S else "late" if age < SILENT_S else "silent"


def roll_call(states: Iterable[Live | None], now: int, lang: Language) -> str:
    """`3 sending · 1 late`: how many devices are how."""
    counts = Counter(freshness(live, now) for live in states)
    return " · ".join(lang.say(words, count=counts[state]) for state, words in _ROLL_CALL.items() if counts[state])
