"""Data quality in words: gaps, refused messages, register steps, surplus intervals, registers against charts. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aggregator.core import periods
from aggregator.core.readings import Reading
from aggregator.core.registers import ExchangeOverride, parse_overrides
from aggregator.intake.refusals import Message, Refusals
from aggregator.support.anomalies import Gap, Kind, RegisterStep, Surplus
from aggregator.support.diagnostics import RECENT_DAYS, Closure, Diagnostics
from dashboard.pages.support import support_words
from dashboard.pages.support.health_view import Verdict
from dashboard.text.language import Language, text
from dashboard.text.words import Amount, duration, energy, volume

KINDS: Mapping[Kind, str] = {
    "open": text("goes on"),
    "filled": text("filled: its readings came in later; of its times only the half hours are known"),
    "estimated": text("not filled; its energy is spread over it, marked as estimated"),
    "missing": text("not filled; nothing is known of it"),
    "supplied": text("the supplier’s figures tell its energy"),
    "bridged": text("not filled; the registers before and after tell its energy"),
}
MARKS = {True: text("marked as an exchange"), False: text("marked as no exchange")}
FAULT_S = 300  # a shorter fault is a glitch
VOLUME = "volume_l"
CHANNELS = {"import_wh": text("import"), "export_wh": text("export"), VOLUME: text("volume")}
REASONS = {
    "malformed_json": text("not JSON, or cut off"),
    "line_too_long": text("too long"),
    "not_an_object": text("JSON, but not an object"),
    "bad_device_id": text("no usable device id"),
    "bad_time": text("no usable time"),
    "no_offset": text("a time without its offset from UTC"),
    "before_2000": text("a time before 2000, as of a clock that was never set"),
    "in_the_future": text("a time in the future"),
    "too_old": text("a time before the retention, which only an import may bring"),
    "too_many": text("sent faster than it can be stored, for long"),
    "contradicts_neighbours": text("a late register that contradicts those around it, as of a wrong clock"),
    "erased": text("the data of this time were erased for the household that lived there"),
    "not_your_days": text("a time when others lived there"),
    "server_clock": text("the server’s clock is behind those of most devices; their messages wait"),
    "not_a_number": text("a figure that is no number"),
    "not_whole": text("a figure that is not whole"),
    "out_of_range": text("a figure larger than any meter’s"),
    "negative_register": text("a register below zero"),
    "bad_meter_id": text("no usable meter id"),
    "no_values": text("neither power nor register, as when a meter gives no value"),
    "bad_status": text("a status that cannot be"),
    "message_too_long": text("too long for a message"),
    "unknown_topic": text("came over a topic that is not known"),
    "wrong_format": text("not of the format as which it came"),
    "bad_checksum": text("a telegram whose checksum is wrong"),
    "clock_not_set": text("a clock that was never set"),
    "bad_block": text("a block of half an hour that cannot be read"),
    "bad_row": text("a row of a file that lacks what its columns promise"),
    "bad_interval": text("an interval that is empty or too long, or whose source is no text"),
    "ambiguous_time": text("a local time that came twice when the clocks were put back"),
    "no_such_time": text("a local time that was left out when the clocks were put forward"),
    "our_fault": text("could not be taken in, by a fault of Wattfall’s own"),
    "contradiction": text("another figure for the same time was there already"),
}


class GapRow(NamedTuple):
    """One gap."""

    start: str
    end: str
    length: str
    became: str
    first_day: str  # local days that it touches
    last_day: str
    is_open: bool


class StepRow(NamedTuple):
    """A step of a register, and its classification."""

    at: int  # UTC seconds
    time: str
    what: str
    mark: str  # the exchange override; empty without one


class ClosureRow(NamedTuple):
    """A register against the sum of the charts."""

    sentence: str
    is_exact: bool


class RefusedMessage(NamedTuple):
    """A refused message: its time, the reason, its content."""

    time: str
    reason: str
    detail: str
    raw: str
    pretty: str


class ReadingRow(NamedTuple):
    """A stored reading."""

    time: str
    power: str
    imported: str
    exported: str
    meter: str


@dataclass(frozen=True, slots=True)
class DataQuality:
    """The quality of a device's data."""

    answer: Verdict
    gaps: Sequence[GapRow]
    steps: Sequence[StepRow]
    surplus: Sequence[str]
    closures: Sequence[ClosureRow]
    refused: str
    by_reason: Sequence[tuple[str, str, str]]  # reason, messages today, messages of all days
    messages: Sequence[RefusedMessage]
    readings: Sequence[ReadingRow]


def data_quality(diagnostics: Diagnostics, lang: Language) -> DataQuality:
    """Return the quality of a device's data as the page shows it."""
    now, zone = diagnostics.now, diagnostics.device.timezone
    exchange_overrides = parse_overrides(diagnostics.device.exchange_overrides)
    today, all_days = _refused_counts(diagnostics.refusals, now)
    return DataQuality(
        _answer(diagnostics, lang),
        [gap_row(gap, now, zone, lang) for gap in diagnostics.gaps],
        [_step_row(step, exchange_overrides, now, zone, lang) for step in diagnostics.steps],
        [_surplus_words(surplus, now, zone, lang) for surplus in diagnostics.surplus],
        [_closure_row(closure, now, zone, lang) for closure in diagnostics.closures],
        refused_words(today, all_days, lang),
        [
            (reason_words(reason, lang), lang.number(today[reason]), lang.number(count))
            for reason, count in all_days.most_common()
        ],
        [_message(message, now, zone, lang) for message in diagnostics.refusals.messages],
        [_reading_row(reading, now, zone, lang) for reading in diagnostics.last_readings],
    )


def _answer(diagnostics: Diagnostics, lang: Language) -> Verdict:
    """Return the worst finding and its size."""
    since = diagnostics.now - RECENT_DAYS * periods.DAY_S
    recent = [gap for gap in diagnostics.gaps if gap.end > since and gap.kind != "filled"]
    refused, _ = _refused_counts(diagnostics.refusals, diagnostics.now)
    wrong = [closure for closure in diagnostics.closures if not closure.is_exact]
    if not (diagnostics.last_readings or diagnostics.gaps or diagnostics.refusals.days):
        return Verdict("unknown", lang.say("Not known"), lang.say("There are no readings to look at."))
    faults = [
        lang.count("{number} gap in 7 days", "{number} gaps in 7 days", len(recent)) if recent else "",
        lang.count("{number} message refused today", "{number} messages refused today", refused.total())
        if refused
        else "",
        lang.count("{number} strange step", "{number} strange steps", len(diagnostics.steps))
        if diagnostics.steps
        else "",
        lang.count(
            "{number} gap with too much from the supplier",
            "{number} gaps with too much from the supplier",
            len(diagnostics.surplus),
        )
        if diagnostics.surplus
        else "",
        lang.say("the charts do not add up to the register") if wrong else "",
    ]
    summary = " · ".join(filter(None, faults))
    if wrong:
        return Verdict("bad", lang.say("No"), summary)
    if summary:
        return Verdict("warn", lang.say("With faults"), summary)
    return Verdict("good", lang.say("Yes"), lang.say("No gap in 7 days, nothing refused today, no strange step."))


def gap_row(gap: Gap, now: int, zone: str, lang: Language) -> GapRow:
    """Return a gap with its start, end, length and treatment."""
    start, end = support_words.span(periods.Window(gap.start, gap.end), now, zone, lang)
    first, last = periods.day_of(gap.start, zone), periods.day_of(gap.end - 1, zone)
    is_open, became = gap.kind == "open", lang.say(KINDS[gap.kind])
    if gap.channel:
        became = lang.say("{channel} alone: {became}", channel=lang.say(CHANNELS[gap.channel]), became=became)
    return GapRow(start, "" if is_open else end, duration(gap.seconds, lang), became, first, last, is_open)


def _step_row(
    step: RegisterStep, exchange_overrides: Sequence[ExchangeOverride], now: int, zone: str, lang: Language
) -> StepRow:
    is_exchange = dict(exchange_overrides).get(step.at)
    mark = "" if is_exchange is None else lang.say(MARKS[is_exchange])
    time = support_words.to_the_second(step.at, now, zone, lang)
    return StepRow(step.at, time, _step_words(step, now, zone, lang), mark)


def _step_words(step: RegisterStep, now: int, zone: str, lang: Language) -> str:
    values = {
        "channel": lang.say(CHANNELS[step.channel]),
        "before": _amount(step.channel, step.before_wh, lang),
        "after": _amount(step.channel, step.after_wh, lang),
    }
    if step.kind == "exchange":
        return lang.say("The meter was exchanged: {channel} went from {before} to {after}.", **values)
    if step.kind == "rollover":
        return lang.say("The register rolled over: {channel} went from {before} to {after}.", **values)
    if step.kind == "undecided":
        return lang.say("Not decided yet: {channel} went from {before} to {after}.", **values)
    if step.until is None or step.until - step.at < FAULT_S:
        return lang.count(
            "A glitch: {channel} went from {before} to {after} and back; {number} reading dropped.",
            "A glitch: {channel} went from {before} to {after} and back; {number} readings dropped.",
            step.readings,
            **values,
        )
    return lang.say(
        "A fault of {duration}, until {end}: {channel} went from {before} to {after} and back; "
        "{number} readings dropped.",
        **values,
        duration=duration(step.until - step.at, lang),
        end=support_words.instant(step.until, now, zone, lang),
        number=lang.number(step.readings),
    )


def _surplus_words(surplus: Surplus, now: int, zone: str, lang: Language) -> str:
    start, end = support_words.span(periods.Window(surplus.start, surplus.end), now, zone, lang)
    return lang.say(
        "{start} to {end}: the supplier’s figures for {channel} add up to {intervals}, but the register rose by "
        "{register}. They do not count in this gap.",
        start=start,
        end=end,
        channel=lang.say(CHANNELS[surplus.channel]),
        intervals=_amount(surplus.channel, surplus.intervals_wh, lang),
        register=_amount(surplus.channel, surplus.register_wh, lang),
    )


def _amount(channel: str, value: int, lang: Language) -> Amount:
    return volume(value, lang) if channel == VOLUME else energy(value, lang)


def _closure_row(closure: Closure, now: int, zone: str, lang: Language) -> ClosureRow:
    start, end = support_words.span(closure.span, now, zone, lang)
    unit = "l" if closure.channel == VOLUME else "Wh"
    values = {
        "channel": lang.say(CHANNELS[closure.channel]).capitalize(),
        "start": start,
        "end": end,
        "register": f"{lang.number(closure.register_wh)} {unit}",
        "sum": f"{lang.number(closure.documents_wh)} {unit}",
    }
    if closure.is_exact:
        said = lang.say("{channel} from {start} to {end}: register and charts both {register}", **values)
    else:
        said = lang.say(
            "{channel} from {start} to {end}: the register rose by {register}, the charts add up to {sum}", **values
        )
    return ClosureRow(said, closure.is_exact)


# Refused messages


def reason_words(reason: str, lang: Language) -> str:
    """Return a reason of refusal in words."""
    return lang.say(REASONS[reason]) if reason in REASONS else reason


def refused_words(today: Counter[str], all_days: Counter[str], lang: Language) -> str:
    """Return the number of refused messages in words."""
    if not all_days:
        return lang.say("Nothing was refused in the last {days} days.", days=periods.RECORD_DAYS)
    return lang.say(
        "{today} today, {all} in the last {days} days",
        days=periods.RECORD_DAYS,
        today=lang.number(today.total()),
        all=lang.number(all_days.total()),
    )


def _refused_counts(refusals: Refusals, now: int) -> tuple[Counter[str], Counter[str]]:
    """Return the counts by reason: of the current UTC day, and of all days."""
    all_days = Counter[str]()
    for counts in refusals.days.values():
        all_days.update(counts)
    return Counter(refusals.days.get(periods.day_of(now, "UTC"), {})), all_days


def _message(message: Message, now: int, zone: str, lang: Language) -> RefusedMessage:
    return RefusedMessage(
        support_words.to_the_second(message.at, now, zone, lang),
        reason_words(message.reason, lang),
        support_words.visible(message.detail),
        support_words.visible(message.payload),
        support_words.pretty(message.payload),
    )


def _reading_row(reading: Reading, now: int, zone: str, lang: Language) -> ReadingRow:
    return ReadingRow(
        support_words.to_the_second(reading.at, now, zone, lang),
        _figure(reading.power_w, "W", lang),
        _figure(reading.volume_l, "l", lang) if reading.import_wh is None else _figure(reading.import_wh, "Wh", lang),
        _figure(reading.export_wh, "Wh", lang),
        reading.meter_id or "–",
    )


def _figure(value: int | None, unit: str, lang: Language) -> str:
    return "–" if value is None else f"{lang.number(value)} {unit}"
