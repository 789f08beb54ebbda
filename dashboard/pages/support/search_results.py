"""Search results, the fleet in numbers, and the meter's own counters beside the charts; all for support. Pure.

A difference between counters and charts is no fault: charts use the register alone, and meters count days differently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.store.search import masked
from aggregator.support.anomalies import CounterComparison, Span
from aggregator.support.device_state import is_supplied
from aggregator.support.diagnostics import Diagnostics
from aggregator.support.fleet import MOST_LISTED, MOST_WAITING, OTHERS, STATES, Summary
from dashboard.pages.support import support_words
from dashboard.pages.support.data_quality import reason_words
from dashboard.pages.support.health_view import Tone
from dashboard.text.language import Language, text
from dashboard.text.words import ago, duration, energy

STATE_NAMES: Mapping[str, str] = {
    "sending": text("Sending"),
    "late": text("Late"),
    "silent_10_minutes": text("10 min to 1 h"),
    "silent_1_hour": text("1 h to 1 day"),
    "silent_1_day": text("1 to 7 days"),
    "silent_7_days": text("7 to 30 days"),
    "silent_30_days": text("over 30 days"),
    "supplied": text("From the supplier"),
    "never": text("Never heard"),
}
SILENT = tuple(state for state in STATES if state.startswith("silent"))
REFUSED, FIRMWARE, ALL_SILENT, WAITING = "refused", "firmware", "silent", "waiting"
LAG_WARN_S, LAG_BAD_S = 90, 600  # in a large fleet the worker waits for 45 s on purpose


class SearchResult(NamedTuple):
    """A device in a list, with the details that identify it."""

    url: str
    name: str
    device_id: str
    details: Sequence[str]  # serial, meter point (masked), household, postcode; only the known ones
    heard: str = ""  # age of the last reading; empty if not shown


class Count(NamedTuple):
    """A number of devices, and the address of their list."""

    name: str
    number: str
    url: str
    share: float  # of all devices, percent


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices in numbers."""

    devices: int
    sending: Count
    late: Count
    silent: Count  # all silent devices
    silences: Sequence[Count]
    supplied: Count
    never: Count
    firmwares: Sequence[Count]
    refused: str  # messages today
    refused_devices: Count
    reasons: Sequence[tuple[str, str]]
    lag: str
    lag_tone: Tone
    waiting: Count  # devices with changes that the charts lack


def device_url(device_id: str) -> str:
    """Return the address of a device's support page."""
    return f"/desk/device/{quote(device_id)}"


def search_result(
    device: Device, live: Live | None = None, now: int | None = None, lang: Language | None = None
) -> SearchResult:
    """Return a device as a list shows it."""
    details = [device.serial, masked(device.meter_point), device.household, device.postcode]
    heard = ""
    if lang and now is not None:
        never = lang.say("from the supplier") if is_supplied(device, live) else lang.say("never")
        heard = ago(now - live.received_at, lang) if live else never
    name = device.name or device.device_id
    return SearchResult(device_url(device.device_id), name, device.device_id, [one for one in details if one], heard)


def fleet_view(summary: Summary, lang: Language) -> Fleet:
    """Return a census as the page shows it."""

    def count(state: str) -> Count:
        number = summary.states.get(state, 0)
        return Count(lang.say(STATE_NAMES[state]), lang.number(number), f"/desk/fleet/{state}", _share(number, summary))

    lag, tone = _lag(summary, lang)
    return Fleet(
        summary.devices,
        count("sending"),
        count("late"),
        _silent(summary, lang),
        [count(state) for state in SILENT if summary.states.get(state)],
        count("supplied"),
        count("never"),
        [_firmware(name, number, summary, lang) for name, number in summary.firmwares.items()],
        lang.number(sum(summary.refused.values())),
        Count(
            _from_devices(summary.refused_devices, lang),
            lang.number(summary.refused_devices),
            f"/desk/fleet/{REFUSED}",
            0.0,
        ),
        [(reason_words(reason, lang), lang.number(number)) for reason, number in _most(summary.refused)],
        lag,
        tone,
        _waiting(summary, lang),
    )


def _silent(summary: Summary, lang: Language) -> Count:
    number = sum(summary.states.get(state, 0) for state in SILENT)
    return Count(lang.say("Silent"), lang.number(number), f"/desk/fleet/{ALL_SILENT}", _share(number, summary))


def _from_devices(number: int, lang: Language) -> str:
    return lang.count("from {number} device", "from {number} devices", number)


def _waiting(summary: Summary, lang: Language) -> Count:
    number = summary.waiting_devices
    is_more = number >= MOST_LISTED or (summary.waiting is not None and summary.waiting > MOST_WAITING)
    label = lang.count("of {number} device", "of {number} devices", number)
    name = lang.say("{devices} or more", devices=label) if is_more else label
    return Count(name, lang.number(number), f"/desk/fleet/{WAITING}", _share(number, summary))


def _share(number: int, summary: Summary) -> float:
    return round(100 * number / summary.devices, 2) if summary.devices else 0.0


def _firmware(name: str, number: int, summary: Summary, lang: Language) -> Count:
    label = lang.say("others") if name == OTHERS else name
    url = f"/desk/fleet/{FIRMWARE}?name={quote(name, safe='')}"
    return Count(label, lang.number(number), url, _share(number, summary))


def _most(refused: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(refused.items(), key=lambda one: (-one[1], one[0]))


def _lag(summary: Summary, lang: Language) -> tuple[str, Tone]:
    """Return the age of the oldest change that the charts lack."""
    if summary.waiting is None:
        return lang.say("not known"), "unknown"
    if summary.waiting_since is None:
        return lang.say("up to date"), "good"
    behind_s = max(summary.at - summary.waiting_since, 0)
    tone: Tone = "bad" if behind_s > LAG_BAD_S else "warn" if behind_s > LAG_WARN_S else "good"
    return lang.say("{duration} behind", duration=duration(behind_s, lang)), tone


def list_title(group: str, name: str, lang: Language) -> str:
    """Return the title of a group's list."""
    if group == FIRMWARE:
        return lang.say("Devices with firmware {firmware}", firmware=lang.say("others") if name == OTHERS else name)
    if group == REFUSED:
        return lang.say("Devices with refused messages today")
    if group == WAITING:
        return lang.say("Devices with changes that are not in the charts yet, who waits longest first")
    if group == ALL_SILENT:
        return lang.say("Silent devices")
    if group in SILENT:
        return lang.say("Devices silent for {span}", span=lang.say(STATE_NAMES[group]))
    return lang.say("Devices: {state}", state=lang.say(STATE_NAMES[group]))


def listed_words(total: int, first: int, last: int, lang: Language) -> str:
    """Return the range of the listed devices; a list has a maximum length."""
    listed = lang.say("{first} to {last} of {total}", first=first, last=last, total=lang.number(total))
    return lang.say("{shown}; no more than these are listed", shown=listed) if total >= MOST_LISTED else listed


# The meter's counters

NEAR_WH = 50  # a meter's midnight may be a minute off; a kettle uses this much in that time
LACKS_S = 300  # gaps of a chart up to this length go unmentioned
NAMES: Mapping[Span, str] = {
    "day": text("Day"),
    "week": text("Week, since Monday"),
    "month": text("Month"),
}


class CounterRow(NamedTuple):
    """A counter beside the charts."""

    name: str
    meter: str
    charts: str
    remark: str


@dataclass(frozen=True, slots=True)
class CountersView:
    """The counters of a device; it may send none."""

    sentence: str
    rows: Sequence[CounterRow]


def counters(diagnostics: Diagnostics, lang: Language) -> CountersView:
    """Return the meter's own counters as the page shows them."""
    now, zone = diagnostics.now, diagnostics.device.timezone
    sent = diagnostics.known.status.counters if diagnostics.known else None
    if sent is None:
        return CountersView(lang.say("This device sends none."), [])
    time = support_words.to_the_second(sent.at, now, zone, lang)
    if not diagnostics.counted:
        return CountersView(lang.say("It last sent them at {time}, too long ago to be compared.", time=time), [])
    sentence = lang.say(
        "Import as the meter counted it itself, up to {time}. Only for comparison: the charts follow the register,"
        " and some meters begin these counters anew at midnight UTC.",
        time=time,
    )
    return CountersView(sentence, [_row(one, zone, lang) for one in diagnostics.counted])


def _row(counted: CounterComparison, zone: str, lang: Language) -> CounterRow:
    charts = "–" if counted.charts_wh is None else _wh(counted.charts_wh, lang)
    return CounterRow(lang.say(NAMES[counted.span]), _wh(counted.meter_wh, lang), charts, compared(counted, zone, lang))


def compared(counted: CounterComparison, zone: str, lang: Language) -> str:
    """Return the difference between a counter and the charts, and its likely reason."""
    if counted.charts_wh is None:
        return lang.say("there is no chart to compare it with")
    more_wh = counted.meter_wh - counted.charts_wh
    amount = energy(abs(more_wh), lang)
    if not more_wh:
        return lang.say("the same")
    if abs(more_wh) <= NEAR_WH:
        return lang.say("the same but for {amount}", amount=amount)
    difference = lang.say("{amount} more", amount=amount) if more_wh > 0 else lang.say("{amount} less", amount=amount)
    return f"{difference}; {_why(counted, zone, lang)}"


def _why(counted: CounterComparison, zone: str, lang: Language) -> str:
    is_of_utc = counted.utc_charts_wh is not None and abs(counted.meter_wh - counted.utc_charts_wh) <= NEAR_WH
    if is_of_utc and counted.utc_start != counted.start:
        clock = periods.local(counted.utc_start, zone).format("HH:mm")
        return lang.say("that fits a counter that begins anew at midnight UTC, {time} here", time=clock)
    if counted.unknown_s > LACKS_S and counted.charts_wh is not None and counted.meter_wh > counted.charts_wh:
        return lang.say("the charts know nothing of {duration}", duration=duration(counted.unknown_s, lang))
    return lang.say("meters begin these counters in ways of their own")


def _wh(wh: int, lang: Language) -> str:
    return f"{lang.number(wh)} Wh"
