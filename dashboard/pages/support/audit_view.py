"""Entries of the audit in words: for the desk, and for the home that they are about. Pure.

Who looked at what: for staff over all devices, for a household over its own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from flask import Blueprint, Response, abort, request

from aggregator.core.errors import ConfigurationError
from aggregator.support import actions, audit
from aggregator.support.audit import Entry, Seen
from dashboard.accounts import access
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT
from dashboard.pages.support import support_words
from dashboard.pages.support.search_results import device_url
from dashboard.pages.support.support_request import SupportDesk, clock, day_asked, page_asked, staff
from dashboard.text.language import Language, text
from dashboard.web.responses import render, requested

ACTIONS = {
    "look-up": text("Looked at the device"),
    "note": text("Wrote a note"),
    "rebuild": text("Had days computed again"),
    "exchange": text("Marked an exchange of the meter"),
    "export": text("Took a diagnostic bundle"),
    "tariff": text("Changed the tariff"),
    "account": text("Changed an account"),
    "device": text("Changed the device’s entry"),
}
SAID = {
    actions.EXCHANGED: text("exchange"),
    actions.NOT_EXCHANGED: text("no exchange"),
    actions.TAKEN_BACK: text("undone"),
}
FROM_DAY, TO_DAY = text("from {day}"), text("up to {day}")
BY = {SUPPORT: text("Support desk"), ADMIN: text("Manages accounts"), HOUSEHOLD: text("Household")}


class AuditRow(NamedTuple):
    """An entry as staff reads it."""

    time: str
    who: str
    person: str  # what the audit finds them by
    action: str
    details: str
    device_id: str
    device_url: str
    reason: str


class SeenRow(NamedTuple):
    """An entry as the home reads it."""

    time: str
    home: str
    by: str
    action: str
    reason: str


def row(entry: Entry, now: int, zone: str, device_zone: str, lang: Language) -> AuditRow:
    """An entry at the time of a zone; its details are at the device's time."""
    who = entry.who
    return AuditRow(
        support_words.instant(entry.at, now, zone, lang),
        who.name or who.email or who.user_id,
        who.email or who.user_id,
        action_said(entry.action, lang),
        details_said(entry, now, device_zone, lang),
        entry.device_id,
        device_url(entry.device_id) if entry.device_id else "",
        support_words.reason_label(entry.reason, lang),
    )


def seen_row(seen: Seen, home: str, now: int, zone: str, lang: Language) -> SeenRow:
    """An entry for the home that it is about."""
    role, comma, name = seen.by.partition(", ")
    by = f"{lang.say(BY.get(role, role))}{comma}{name}"
    reason = support_words.reason_label(seen.reason, lang)
    return SeenRow(support_words.instant(seen.at, now, zone, lang), home, by, action_said(seen.action, lang), reason)


def action_said(action: str, lang: Language) -> str:
    """What somebody did."""
    return lang.say(ACTIONS[action]) if action in ACTIONS else action


def details_said(entry: Entry, now: int, zone: str, lang: Language) -> str:
    """The details that `aggregator.support.actions` writes, at the time of a zone; others as they stand."""
    details = entry.details
    if details.get("is") in SAID and details.get("at"):
        at = int(datetime.fromisoformat(details["at"]).timestamp())
        return f"{support_words.with_zone(at, now, zone, lang)} · {lang.say(SAID[details['is']])}"
    if entry.action == "rebuild":
        return _days_said(details.get("from", ""), details.get("to", ""), lang)
    return " · ".join(details.values())


def _days_said(first: str, last: str, lang: Language) -> str:
    if first and last:
        return " – ".join(dict.fromkeys(support_words.short_day(day, lang) for day in (first, last)))
    if first or last:
        return lang.say(FROM_DAY if first else TO_DAY, day=support_words.short_day(first or last, lang))
    return ""


# audit pages

PAGE = 50  # entries
MOST_PAGES = 20  # further back a day leads
SHOWN_TO_HOME = 100  # entries of each device
LONGEST = 254  # characters of a filter, as of an e-mail address


def add_routes(page: Blueprint, desk: SupportDesk) -> None:
    """Add the addresses."""

    @page.get("/desk/audit")
    def entries() -> Response:
        return _audit(desk)

    @page.get("/who-looked")
    def who_looked() -> Response:
        return _who_looked(desk)


def _audit(desk: SupportDesk) -> Response:
    staff()
    lang, page, now = requested(), min(page_asked(), MOST_PAGES), clock()
    wanted = {name: request.args.get(name, "").strip()[:LONGEST] for name in ("device", "person")}
    days = {name: day_asked(name) for name in ("first", "last")}
    found = _entries(desk, wanted, days, page * PAGE + 1)
    shown = found[(page - 1) * PAGE : page * PAGE]
    zones = _zones(desk, shown)
    return render(
        "support_audit.html",
        typed="",
        rows=[
            row(entry, now, support_words.UTC, zones.get(entry.device_id, support_words.UTC), lang) for entry in shown
        ],
        wanted=wanted | days,
        query={name: value for name, value in (wanted | days).items() if value},
        page=page,
        is_last=len(found) <= page * PAGE or page == MOST_PAGES,
        is_cut=page == MOST_PAGES and len(found) > page * PAGE,
    )


def _entries(desk: SupportDesk, wanted: dict[str, str], days: dict[str, str], limit: int) -> list[Entry]:
    """The newest entries that are wanted; none where nothing of that name can be."""
    try:
        return audit.entries(
            desk.store,
            device_id=wanted["device"],
            person=wanted["person"],
            first_day=days["first"] or None,
            last_day=days["last"] or None,
            limit=limit,
        )
    except ConfigurationError:
        return []


def _zones(desk: SupportDesk, entries: Sequence[Entry]) -> dict[str, str]:
    """The time zones of the devices whose entries hold an instant, by device id."""
    devices = (desk.store.device(one) for one in {entry.device_id for entry in entries if "at" in entry.details})
    return {device.device_id: device.timezone for device in devices if device}


def _who_looked(desk: SupportDesk) -> Response:
    user = access.viewer()
    if user is None or user.role != HOUSEHOLD:
        abort(404)
    lang, now = requested(), clock()
    devices = [
        device
        for device_id in desk.store.household_devices(user.household)
        if (device := desk.data.device(user, device_id))
    ]
    seen = [
        (one, device) for device in devices for one in audit.seen_by_staff(desk.store, device.device_id, SHOWN_TO_HOME)
    ]
    seen.sort(key=lambda pair: pair[0].at, reverse=True)
    return render(
        "who_looked.html",
        rows=[seen_row(one, support_words.home_name(device), now, device.timezone, lang) for one, device in seen],
        has_several=len(devices) > 1,
    )
