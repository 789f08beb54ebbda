"""Entries of the audit in words: for the desk, and for the home that they are about. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from aggregator.support.audit import Entry, Seen
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT
from dashboard.pages.support import reasons, support_words
from dashboard.pages.support.search_results import device_url
from dashboard.text.language import Language, text

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
# The audit keeps these words of dashboard/pages/support/action_pages.py in English, whoever is to read them.
SAID = {"exchange": text("exchange"), "no exchange": text("no exchange"), "undone": text("undone")}
BY = {SUPPORT: text("Support desk"), ADMIN: text("Manages accounts"), HOUSEHOLD: text("Household")}


class Row(NamedTuple):
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


def row(entry: Entry, now: int, zone: str, lang: Language) -> Row:
    """An entry at the time of a zone."""
    who = entry.who
    return Row(
        support_words.instant(entry.at, now, zone, lang),
        who.name or who.email or who.user_id,
        who.email or who.user_id,
        action_said(entry.action, lang),
        details_said(entry.details, lang),
        entry.device_id,
        device_url(entry.device_id) if entry.device_id else "",
        reasons.said(entry.reason, lang),
    )


def seen_row(seen: Seen, home: str, now: int, zone: str, lang: Language) -> SeenRow:
    """An entry for the home that it is about."""
    role, comma, name = seen.by.partition(", ")
    by = f"{lang.say(BY.get(role, role))}{comma}{name}"
    reason = reasons.said(seen.reason, lang)
    return SeenRow(support_words.instant(seen.at, now, zone, lang), home, by, action_said(seen.action, lang), reason)


def action_said(action: str, lang: Language) -> str:
    """What somebody did."""
    return lang.say(ACTIONS[action]) if action in ACTIONS else action


def details_said(details: Mapping[str, str], lang: Language) -> str:
    """What it was done to: days, or whatever else is written there."""
    first, last = details.get("first", ""), details.get("last", "")
    if first and last:
        days = dict.fromkeys(support_words.short_day(day, lang) for day in (first, last))
        return " – ".join(days)
    said = details.get("said", "")
    values = {**details, "said": lang.say(SAID[said])} if said in SAID else details
    return " · ".join(values.values())
