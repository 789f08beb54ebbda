"""A device's health in words: is it sending, is its signal good, did its readings reach the charts? Pure.

Each question has a `Verdict`: a word or two, and a sentence with the reason and the time. data_quality.py answers
whether the data is right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from aggregator.core import periods
from aggregator.core.live import Live
from aggregator.core.status import Strength, signal_strength
from aggregator.intake.device_status import KEPT_DAYS, KnownStatus, Signal
from aggregator.store.port import Backlog
from aggregator.support.device_state import Reason, State
from aggregator.support.diagnostics import Diagnostics, LevelState
from dashboard.pages.support import sparklines, support_words
from dashboard.pages.support.sparklines import Line, Sparkline
from dashboard.text.language import Language, text
from dashboard.text.words import ago, duration, period_name

Tone = Literal["good", "warn", "bad", "unknown"]
TONES: Mapping[State, Tone] = {
    "sending": "good",
    "late": "warn",
    "silent": "bad",
    "supplied": "good",
    "never": "unknown",
}
STATES: Mapping[State, str] = {
    "sending": text("Sending"),
    "late": text("Late"),
    "silent": text("Silent"),
    "supplied": text("Supplied"),
    "never": text("Never heard"),
}
WHY: Mapping[Reason, str] = {
    "nothing_comes": text("Nothing at all comes from it: its power or its connection to the internet is gone."),
    "only_refused": text("Messages still come, but all of them are refused; see below why."),
    "only_statuses": text("It still says that it is there, but sends no readings: it hears nothing from the meter."),
    "not_joined": text("It says that it has not joined the meter’s network, so it has nothing to send."),
}
STRENGTHS: Mapping[Strength, tuple[Tone, str, str]] = {  # its tone, a word, and a sentence
    "good": ("good", text("Good"), text("Strong enough for every message.")),
    "fair": ("warn", text("Fair"), text("Messages may be lost now and then.")),
    "weak": ("bad", text("Weak"), text("Messages will be lost. Moving it closer to the meter helps.")),
}
DAY_WITH_YEAR = text("d MMMM y")


class Verdict(NamedTuple):
    """The answer to a question: its tone, a word or two, and a sentence."""

    tone: Tone
    short: str
    sentence: str


class Fact(NamedTuple):
    """A named value, with a note."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sending:
    """Whether a device sends: the answer with its facts and sparklines."""

    answer: Verdict
    facts: Sequence[Fact]
    day: Sparkline
    week: Sparkline
    coverage: Sparkline


@dataclass(frozen=True, slots=True)
class SignalView:
    """Whether the signal is good: the answer with its facts and lines."""

    answer: Verdict
    facts: Sequence[Fact]
    rssi: Line | None
    lqi: Line | None


@dataclass(frozen=True, slots=True)
class ChartsView:
    """Whether the readings reached the charts: the answer with the state of each level."""

    answer: Verdict
    levels: Sequence[Fact]
    waiting: str
    aside: Sequence[str]


# Is it sending?


def sending(diagnostics: Diagnostics, lang: Language) -> Sending:
    """Return whether a device sends, and the number of its recent readings."""
    now, zone = diagnostics.now, diagnostics.device.timezone
    return Sending(
        Verdict(_tone(diagnostics), _state_label(diagnostics, lang), _sending_sentence(diagnostics, lang)),
        _sending_facts(diagnostics, lang),
        sparklines.hours_sparkline(diagnostics.hours[-24:], now, zone, lang),
        sparklines.hours_sparkline(diagnostics.hours, now, zone, lang),
        sparklines.coverage(diagnostics.strip, lang),
    )


def _tone(diagnostics: Diagnostics) -> Tone:
    judgement = diagnostics.judgement
    return "warn" if judgement.reason == "clock_behind" else TONES[judgement.state]


def _state_label(diagnostics: Diagnostics, lang: Language) -> str:
    judgement = diagnostics.judgement
    state = lang.say(STATES[judgement.state])
    if judgement.state in ("sending", "supplied", "never") or judgement.since is None:
        return state
    since = support_words.instant(judgement.since, diagnostics.now, diagnostics.device.timezone, lang)
    return lang.say("{state} since {time}", state=state, time=since)


def _sending_sentence(diagnostics: Diagnostics, lang: Language) -> str:
    state, reason, since, interval = diagnostics.judgement
    now, zone, live = diagnostics.now, diagnostics.device.timezone, diagnostics.live
    if live is None:
        if state == "supplied" and since is not None:
            day = period_name("day", periods.day_of(since, zone), lang)
            return lang.say("Its energy comes from the supplier, since {day}.", day=day) + _why(reason, lang)
        return lang.say("No reading has ever come from this device.") + _why(reason, lang)
    every = support_words.every(interval, lang)
    if reason == "clock_behind":
        behind = duration(live.received_at - live.at, lang)
        return lang.say("Readings come, but the meter’s clock is {duration} behind.", duration=behind)
    if state == "sending":
        if since is None:
            return lang.say("A reading is expected {every}, and none is overdue.", every=every)
        begun = support_words.instant(since, now, zone, lang)
        return lang.say(
            "A reading is expected {every}, and they come without a gap since {time}.", every=every, time=begun
        )
    missed = lang.say(
        "For {duration} no reading has come; one is expected {every}.",
        duration=duration(now - live.received_at, lang),
        every=every,
    )
    return missed + _why(reason, lang)


def _why(reason: Reason | None, lang: Language) -> str:
    """Return the explanation of a reason as a further sentence; empty without one."""
    return f" {lang.say(WHY[reason])}" if reason is not None and reason in WHY else ""


def _sending_facts(diagnostics: Diagnostics, lang: Language) -> list[Fact]:
    now, zone, live = diagnostics.now, diagnostics.device.timezone, diagnostics.live
    expected = Fact(lang.say("Expected"), support_words.every(diagnostics.judgement.interval_s, lang))
    if live is None:
        newest = next((one.day for one in reversed(diagnostics.strip) if one.supplied), None)
        reach = [Fact(lang.say("Newest data of the supplier"), period_name("day", newest, lang))] if newest else []
        return [Fact(lang.say("Last reading"), lang.say("never")), *reach]
    came = support_words.to_the_second(live.received_at, now, zone, lang)
    facts = [Fact(lang.say("Last reading"), ago(now - live.received_at, lang), came), expected, _power(live, lang)]
    if abs(live.received_at - live.at) >= periods.HOUR // 60:
        facts.append(Fact(lang.say("Its own clock then"), support_words.to_the_second(live.at, now, zone, lang)))
    return facts


def _power(live: Live, lang: Language) -> Fact:
    if live.power_w is None:
        return Fact(lang.say("Power"), lang.say("not reported"))
    value = f"{lang.number(live.power_w)} W"
    if live.power_at is None:
        return Fact(lang.say("Power"), value)
    age = duration(live.at - live.power_at, lang)
    return Fact(lang.say("Power"), value, lang.say("{duration} before the last reading", duration=age))


# Is the signal good?


def signal(diagnostics: Diagnostics, signals: Sequence[Signal], lang: Language) -> SignalView:
    """Return the device's own statuses: the newest one, and the signal over time."""
    known, now = diagnostics.known, diagnostics.now
    if known is None:
        sentence = lang.say("This device has said nothing about itself. Not every kind does.")
        return SignalView(Verdict("unknown", lang.say("Not known"), sentence), [], None, None)
    span = periods.Window(now - KEPT_DAYS * periods.DAY_S, now)
    facts = _signal_facts(known, now, diagnostics.device.timezone, lang)
    lines = sparklines.rssi_line(signals, span, lang), sparklines.lqi_line(signals, span, lang)
    return SignalView(_signal_answer(known, now, lang), facts, *lines)


def _signal_answer(known: KnownStatus, now: int, lang: Language) -> Verdict:
    status = known.status
    age = lang.say("It said so {ago}.", ago=ago(now - known.received_at, lang))
    if status.joined is False:
        return Verdict("bad", lang.say("Not joined"), lang.say("It has not joined the meter’s network.") + f" {age}")
    strong = signal_strength(status)
    if strong is None:
        return Verdict("unknown", lang.say("Not known"), lang.say("It has said nothing about its signal."))
    tone, short, sentence = STRENGTHS[strong]
    return Verdict(tone, lang.say(short), f"{lang.say(sentence)} {age}")


def _signal_facts(known: KnownStatus, now: int, zone: str, lang: Language) -> list[Fact]:
    status, unknown = known.status, lang.say("not known")
    rssi = unknown if status.rssi_dbm is None else f"{lang.number(status.rssi_dbm)} dBm"
    lqi = unknown if status.lqi is None else lang.say("{lqi} of 255", lqi=status.lqi)
    joined = {True: lang.say("yes"), False: lang.say("no"), None: unknown}[status.joined]
    return [
        Fact(lang.say("Signal (RSSI)"), rssi),
        Fact(lang.say("Link quality (LQI)"), lqi),
        Fact(lang.say("Firmware"), status.firmware or unknown, _firmware_note(known, now, zone, lang)),
        Fact(lang.say("Hardware"), status.hardware or unknown),
        Fact(lang.say("Joined the meter’s network"), joined),
    ]


def _firmware_note(known: KnownStatus, now: int, zone: str, lang: Language) -> str:
    """Return the first time of the current firmware, and the previous firmware."""
    name = known.status.firmware
    if name is None or name not in known.firmwares:
        return ""
    since = support_words.instant(known.firmwares[name][0], now, zone, lang)
    before = [other for other in known.firmwares if other != name]
    if not before:
        return lang.say("seen since {time}", time=since)
    return lang.say("seen since {time}, before that {firmware}", time=since, firmware=before[0])


# Did it reach the charts?


def charts(diagnostics: Diagnostics, lang: Language) -> ChartsView:
    """Return the state of each level of the charts."""
    levels = [_level(level, diagnostics.now, lang) for level in diagnostics.levels]
    waiting = _waiting(diagnostics.backlog, diagnostics.now, lang)
    return ChartsView(_charts_answer(diagnostics, lang), levels, waiting, diagnostics.aside)


def _charts_answer(diagnostics: Diagnostics, lang: Language) -> Verdict:
    if diagnostics.aside:
        sentence = lang.say(
            "Something could not be carried on and was put aside; `wattfall rebuild` of all days clears it."
        )
        return Verdict("bad", lang.say("Put aside"), sentence)
    if not diagnostics.levels:
        return Verdict("unknown", lang.say("Nothing to carry"), lang.say("There are no recent readings."))
    if all(level.is_right for level in diagnostics.levels):
        return Verdict("good", lang.say("Yes"), lang.say("Every chart holds what its readings tell, up to the last."))
    waits = diagnostics.backlog.waiting > 0
    sentence = (
        lang.say("A chart is behind, and the waterfall is at work; look again in a minute.")
        if waits
        else lang.say("A chart is not what its readings tell, and nothing waits. Rebuild the day.")
    )
    return Verdict("warn" if waits else "bad", lang.say("Behind") if waits else lang.say("Wrong"), sentence)


def _level(level: LevelState, now: int, lang: Language) -> Fact:
    name = period_name(level.level, level.period, lang)
    changed = level.changed_at
    note = "" if changed is None else lang.say("changed {ago}", ago=ago(now - changed, lang))
    if level.is_right:
        return Fact(name, lang.say("up to date"), note)
    if level.behind_s:
        return Fact(name, lang.say("{duration} behind", duration=duration(level.behind_s, lang)), note)
    return Fact(name, lang.say("not what its readings tell"), note)


def _waiting(backlog: Backlog, now: int, lang: Language) -> str:
    if not backlog.waiting:
        return lang.say("Nothing waits in the waterfall.")
    changes = lang.count(
        "{number} change waits in the waterfall, of all devices",
        "{number} changes wait in the waterfall, of all devices",
        backlog.waiting,
    )
    if backlog.since is None:
        return f"{changes}."
    # A change that arrives during this read is newer than `now`.
    waited = duration(max(0, now - backlog.since), lang)
    return lang.say("{changes}; the oldest for {duration}.", changes=changes, duration=waited)
