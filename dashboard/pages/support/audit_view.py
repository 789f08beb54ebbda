"""The audit in words and its pages: all entries for staff, and the looks at its own devices for a household."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from flask import Blueprint, Response, abort, request

from aggregator.core.errors import ConfigurationError
from aggregator.support import actions
from aggregator.support.audit import Entry, Seen
from aggregator.support.audit_entry import KEY
from dashboard.accounts import access
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT
from dashboard.pages.support import support_words
from dashboard.pages.support.support_request import SupportServices, clock, day_argument, page_argument, staff
from dashboard.text import words
from dashboard.text.language import Language, text
from dashboard.web.responses import reader_language, render

ACTIONS = {
    "look-up": text("Looked at the device"),
    "search": text("Searched for devices"),
    "note": text("Wrote a note"),
    "rebuild": text("Had days computed again"),
    "exchange": text("Marked an exchange of the meter"),
    "export": text("Took a diagnostic bundle"),
    "household export": text("Exported everything kept of a household"),
    "tariff": text("Changed the tariff"),
    "account": text("Changed an account"),
    "device": text("Changed the device’s entry"),
    "provision": text("Added devices and people"),
    "forget": text("Had a person forgotten"),
    "erase": text("Erased a household’s data"),
    "read": text("Read the data"),
    "import": text("Imported a file, or took an import back"),
}
EXCHANGE_LABELS = {
    actions.EXCHANGED: text("exchange"),
    actions.NOT_EXCHANGED: text("no exchange"),
    actions.TAKEN_BACK: text("undone"),
}
EXCHANGES_SAID = {
    actions.EXCHANGED: text("Noted: the meter was exchanged on {time}"),
    actions.NOT_EXCHANGED: text("Noted: the meter was not exchanged on {time}"),
    actions.TAKEN_BACK: text("Took back the note of an exchange on {time}"),
}
FROM_DAY, TO_DAY = text("from {day}"), text("up to {day}")
BY = {
    SUPPORT: text("Support desk"),
    ADMIN: text("Manages accounts"),
    HOUSEHOLD: text("Household"),
    KEY: text("API key"),
}


class AuditRow(NamedTuple):
    """An entry for staff."""

    time: str
    who: str
    person: str  # the search key of the person: the e-mail address, or else the user id
    action: str
    details: str
    device_id: str
    reason: str


class SeenRow(NamedTuple):
    """An entry for the household."""

    time: str
    home: str
    by: str
    action: str
    reason: str


def row(entry: Entry, now: int, zone: str, device_zone: str, lang: Language) -> AuditRow:
    """Return an entry for staff; its time is in `zone`, its details in the device's zone."""
    who = entry.who
    return AuditRow(
        support_words.instant(entry.at, now, zone, lang),
        who.name or who.email or who.user_id,
        who.email or who.user_id,
        action_label(entry.action, lang),
        details_label(entry, now, device_zone, lang),
        entry.device_id,
        support_words.reason_label(entry.reason, lang),
    )


def seen_row(seen: Seen, home: str, now: int, zone: str, lang: Language) -> SeenRow:
    """Return an entry for the household of its device; of an exchange it says when that was."""
    role, comma, name = seen.by.partition(", ")
    by = f"{lang.say(BY.get(role, role))}{comma}{name}"
    reason = support_words.reason_label(seen.reason, lang)
    action = action_label(seen.action, lang)
    if seen.details.get("is") in EXCHANGES_SAID:
        time = words.date_and_time(_instant(seen.details), zone, lang)
        action = lang.say(EXCHANGES_SAID[seen.details["is"]], time=time)
    return SeenRow(support_words.instant(seen.at, now, zone, lang), home, by, action, reason)


def _instant(details: Mapping[str, str]) -> int:
    return int(datetime.fromisoformat(details["at"]).timestamp())


def action_label(action: str, lang: Language) -> str:
    """Return an action in words; an unknown one unchanged."""
    return lang.say(ACTIONS[action]) if action in ACTIONS else action


def details_label(entry: Entry, now: int, zone: str, lang: Language) -> str:
    """Return the details of `aggregator.support.actions` in words, in the time of a zone; other details unchanged."""
    details = entry.details
    if details.get("is") in EXCHANGE_LABELS and details.get("at"):
        time = support_words.with_zone(_instant(details), now, zone, lang)
        return f"{time} · {lang.say(EXCHANGE_LABELS[details['is']])}"
    if entry.action == "rebuild":
        return _days_label(details.get("from", ""), details.get("to", ""), lang)
    return " · ".join(details.values())


def _days_label(first: str, last: str, lang: Language) -> str:
    if first and last:
        return " – ".join(dict.fromkeys(support_words.short_day(day, lang) for day in (first, last)))
    if first or last:
        return lang.say(FROM_DAY if first else TO_DAY, day=support_words.short_day(first or last, lang))
    return ""


# The audit pages

PAGE = 50  # entries
MOST_PAGES = 20  # the filter by day reaches older entries
MOST_LOOKS = 1000  # entries of each device for its household
LONGEST = 254  # characters of a filter; the longest e-mail address


def add_routes(page: Blueprint, support: SupportServices) -> None:
    """Add the addresses of the audit."""

    @page.get("/desk/audit")
    def entries() -> Response:
        return _audit(support)

    @page.get("/who-looked")
    def who_looked() -> Response:
        return _who_looked(support)


def _audit(support: SupportServices) -> Response:
    staff()
    lang, page, now = reader_language(), min(page_argument(), MOST_PAGES), clock()
    wanted = {name: request.args.get(name, "").strip()[:LONGEST] for name in ("device", "person")}
    days = {name: day_argument(name) for name in ("first", "last")}
    matching = _entries(support, wanted, days, page * PAGE + 1)
    listed = matching[(page - 1) * PAGE : page * PAGE]
    zones = _zones(support, listed)
    return render(
        "support_audit.html",
        rows=[
            row(entry, now, support_words.UTC, zones.get(entry.device_id, support_words.UTC), lang) for entry in listed
        ],
        wanted=wanted | days,
        query={name: value for name, value in (wanted | days).items() if value},
        page=page,
        is_last=len(matching) <= page * PAGE or page == MOST_PAGES,
        is_cut=page == MOST_PAGES and len(matching) > page * PAGE,
    )


def _entries(support: SupportServices, wanted: dict[str, str], days: dict[str, str], limit: int) -> list[Entry]:
    """Return the newest matching entries; none for an invalid filter."""
    try:
        return support.audit.entries(
            device_id=wanted["device"],
            person=wanted["person"],
            first_day=days["first"] or None,
            last_day=days["last"] or None,
            limit=limit,
        )
    except ConfigurationError:
        return []


def _zones(support: SupportServices, entries: Sequence[Entry]) -> dict[str, str]:
    """Return the time zones of the devices with an instant in their entries, by device id."""
    devices = (support.store.device(one) for one in {entry.device_id for entry in entries if "at" in entry.details})
    return {device.device_id: device.timezone for device in devices if device}


def _who_looked(support: SupportServices) -> Response:
    user = access.viewer()
    if user is None or user.role != HOUSEHOLD:
        abort(404)
    lang, now = reader_language(), clock()
    devices = [
        device
        for device_id in support.store.household_devices(user.household)
        if (device := support.data.device(user, device_id))
    ]
    seen = [(one, device) for device in devices for one in islice(support.audit.seen_by_staff(device), MOST_LOOKS)]
    seen.sort(key=lambda pair: pair[0].at, reverse=True)
    return render(
        "who_looked.html",
        most=MOST_LOOKS,
        rows=[seen_row(one, support_words.home_name(device), now, device.timezone, lang) for one, device in seen],
    )
