"""A request to the support pages: its user, its device, its form. An unauthorized page looks like a missing one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flask import abort, request

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.readings import check_device_id
from aggregator.store.port import Store
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_entry import LONGEST_REASON, check_reason
from dashboard.accounts import access
from dashboard.accounts.users import User
from dashboard.pages.support import support_words
from dashboard.text.language import text
from dashboard.web.cached_reads import CachedReads

NO_REASON = text("Say in a few words why; 3 to 500 characters.")


class Answered(NamedTuple):
    """The reason in a form: a suggestion, further words, or both."""

    suggested: str
    typed: str
    reason: str  # in the form of the audit; empty for a faulty one
    fault: str  # a sentence to translate; empty for a valid reason


@dataclass(frozen=True, slots=True)
class SupportServices:
    """The collaborators of the support pages."""

    audit: Audit
    data: CachedReads

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.audit.store

    def device(self, device_id: str) -> Device | None:
        """Return a device that the user has looked up, else None. Aborts with 404 for an unknown device."""
        self.registered(device_id)
        return self.data.device(access.viewer(), device_id)

    def registered(self, device_id: str) -> Device:
        """Return a device before its look-up; staff may see its labels only. Aborts with 404 for an unknown device."""
        staff()
        try:
            device = self.store.device(check_device_id(device_id))
        except Refused:
            device = None
        if device is None:
            abort(404)
        return device


def staff() -> User:
    """Return the signed-in staff member. Aborts with 404 for everybody else, as at a missing page."""
    user = access.viewer()
    if user is None or not access.is_staff(user):
        abort(404)
    return user


def who(user: User) -> Who:
    """Return a user in the form of the audit."""
    return Who(user.user_id, user.email, user.role, user.name)


def clock() -> int:
    """Return the real time in UTC seconds, which dates audit entries and ends grants."""
    return int(time.time())


def answered(form: Mapping[str, str]) -> Answered:
    """Return the reason in a form, or its fault."""
    suggested = form.get("suggested", "")
    known = suggested if suggested in support_words.SUGGESTIONS else ""
    typed = form.get("reason", "")[: LONGEST_REASON + 1]
    try:
        return Answered(known, typed, check_reason(support_words.whole(known, typed)), "")
    except ConfigurationError:
        return Answered(known, typed, "", NO_REASON)


def page_argument() -> int:
    """Return the page number of a list, from 1 on; 1 for an invalid one."""
    page = request.args.get("page", "")
    return int(page) if page.isascii() and page.isdigit() and 0 < int(page[:4]) <= 999 and len(page) < 4 else 1


def day_argument(name: str) -> str:
    """Return a day of the query; empty for an invalid one."""
    return day_of_text(request.args.get(name, ""))


def day_of_text(typed: str) -> str:
    """Return a typed day; empty for an invalid one."""
    try:
        return periods.check_period("day", typed)
    except ConfigurationError:
        return ""
