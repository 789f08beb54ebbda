"""What needs somebody now, as rows and as CSV, and the fleet's last weeks as small trends; all for support. Pure."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import NamedTuple
from urllib.parse import urlencode

from aggregator.core.periods import RECORD_DAYS, Window, iso_utc
from aggregator.intake.formats import FORMATS
from aggregator.intake.refusals import UnknownTopic
from aggregator.support.fleet import OTHERS, PROBLEMS, STATES, Summary, Trouble, Wanted
from dashboard.pages.support import sparklines, support_words
from dashboard.pages.support.data_quality import reason_words
from dashboard.pages.support.health_view import STRENGTHS, WHY, Tone
from dashboard.pages.support.search_results import SILENT, SearchResult, search_result
from dashboard.pages.support.sparklines import Line
from dashboard.text.language import Language, text
from dashboard.text.words import cell, duration

PROBLEM_NAMES: Mapping[str, str] = {
    "silent": text("Silent"),
    "behind": text("Charts behind"),
    "refused": text("Refused messages"),
    "weak": text("Weak signal"),
}
TONES: Mapping[str, Tone] = {"silent": "bad", "behind": "bad", "refused": "warn", "weak": "warn"}
LIST_URL = "/desk/attention"
MOST_TRENDS = 6  # firmwares, and areas
CSV_HEADER = ("device_id", "serial", "postcode", "firmware", "problem", "since", "why", "messages")


class TroubleRow(NamedTuple):
    """A device that needs somebody, as a row of the list."""

    hit: SearchResult
    problem: str
    tone: Tone
    since: str  # `14:02 (3 h 5 min)`; empty if unknown
    why: str
    many: str  # refused messages; empty for other problems


class Chip(NamedTuple):
    """A filter of the list: its name, its number, and its address."""

    name: str
    number: str
    url: str
    is_chosen: bool


class Trend(NamedTuple):
    """One count over the last weeks."""

    name: str
    number: str
    line: Line
    url: str  # of its devices


@dataclass(frozen=True, slots=True)
class Trends:
    """The trends of one heading."""

    heading: str
    rows: Sequence[Trend]


def trouble_row(trouble: Trouble, now: int, lang: Language) -> TroubleRow:
    """Return a device that needs somebody, as the list shows it; times are in the device's zone."""
    zone, since = trouble.device.timezone, ""
    if trouble.since is not None:
        time = support_words.instant(trouble.since, now, zone, lang)
        since = f"{time} ({duration(max(0, now - trouble.since), lang)})"
    many = lang.count("{number} message today", "{number} messages today", trouble.messages) if trouble.messages else ""
    name = lang.say(PROBLEM_NAMES[trouble.problem])
    return TroubleRow(search_result(trouble.device), name, TONES[trouble.problem], since, _why(trouble, lang), many)


def _why(trouble: Trouble, lang: Language) -> str:
    if trouble.problem == "behind":
        return lang.say("Its newest readings are not in the charts yet.")
    if trouble.problem == "weak":
        return lang.say(STRENGTHS["weak"][2])
    if trouble.problem == "refused":
        return reason_words(trouble.reason, lang)
    return lang.say(WHY[trouble.reason]) if trouble.reason in WHY else ""  # type: ignore[index] # one of the keys


def csv_text(troubles: Iterable[Trouble], lang: Language) -> str:
    """Return the devices as CSV: their labels but for name and household, UTC times, and reasons in words."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(CSV_HEADER)
    for one in troubles:
        device, since = one.device, "" if one.since is None else iso_utc(one.since)
        labels = device.device_id, device.serial, device.postcode, one.firmware
        row = [*labels, one.problem, since, _why(one, lang), str(one.messages or "")]
        table.writerow(map(cell, row))
    return out.getvalue()


def list_url(wanted: Wanted, path: str = LIST_URL) -> str:
    """Return the address of the list of wanted devices."""
    fields = {"problem": wanted.problem, "area": wanted.area, "firmware": wanted.firmware}
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path


def chips(summary: Summary, wanted: Wanted, lang: Language) -> list[Chip]:
    """Return a filter for each problem, with the number of the last census."""
    numbers = {
        "silent": sum(summary.states.get(state, 0) for state in SILENT),
        "behind": summary.waiting_devices if summary.is_behind else 0,
        "refused": summary.refused_devices,
        "weak": summary.weak,
    }
    return [
        Chip(
            lang.say(PROBLEM_NAMES[problem]),
            lang.number(numbers[problem]),
            list_url(Wanted("" if wanted.problem == problem else problem, wanted.area, wanted.firmware)),
            wanted.problem == problem,
        )
        for problem in PROBLEMS
    ]


# Trends


def trends(days: Sequence[Summary], lang: Language) -> list[Trends]:
    """Return the devices of each state, of the most frequent firmwares, and those not sending of the worst areas."""
    if len(days) < 2:
        return []
    newest = days[-1]
    by_state: dict[str, Callable[[Summary], int]] = {
        text("Sending"): lambda one: one.states.get("sending", 0),
        text("Late"): lambda one: one.states.get("late", 0),
        text("Silent"): lambda one: sum(one.states.get(state, 0) for state in SILENT),
    }
    urls = (f"/desk/fleet/{STATES[0]}", f"/desk/fleet/{STATES[1]}", "/desk/fleet/silent")
    states = [
        _trend(lang.say(name), count, url, days, lang)
        for (name, count), url in zip(by_state.items(), urls, strict=True)
    ]
    firmwares = [
        _trend(name, lambda one, name=name: one.firmwares.get(name, 0), _firmware_url(name), days, lang)  # type: ignore[misc]
        for name in list(newest.firmwares)[:MOST_TRENDS]
        if name != OTHERS
    ]
    areas = [
        _trend(name, lambda one, name=name: one.areas.get(name, (0, 0))[1], _area_url(name), days, lang)  # type: ignore[misc]
        for name in list(newest.areas)[:MOST_TRENDS]
    ]
    found = (
        (lang.say("By state"), states),
        (lang.say("By firmware"), firmwares),
        (lang.say("Late or silent, by area"), areas),
    )
    return [Trends(heading, rows) for heading, rows in found if rows]


def _trend(name: str, count: Callable[[Summary], int], url: str, days: Sequence[Summary], lang: Language) -> Trend:
    end = days[-1].at
    span = Window(end - (RECORD_DAYS - 1) * 86_400, end)
    points = [(one.at, count(one)) for one in days]
    return Trend(name, lang.number(points[-1][1]), sparklines.count_line(points, span, lang), url)


def _firmware_url(name: str) -> str:
    return f"/desk/fleet/firmware?{urlencode({'name': name})}"


def _area_url(area: str) -> str:
    return list_url(Wanted(area=area))


class DroppedRow(NamedTuple):
    """A kind of topic whose messages are dropped."""

    kind: str
    messages: str
    first: str
    last: str
    expected: str
    command: str  # which takes them


def dropped_row(one: UnknownTopic, now: int, lang: Language) -> DroppedRow:
    """Return a kind of unknown topic in words."""
    return DroppedRow(
        one.kind,
        lang.count("{number} message", "{number} messages", one.messages),
        support_words.to_the_second(one.first, now, support_words.UTC, lang),
        support_words.to_the_second(one.last, now, support_words.UTC, lang),
        one.detail,
        f"wattfall worker --mqtt URL --topic {quote(one.kind)} --format {'|'.join(FORMATS)}",
    )
