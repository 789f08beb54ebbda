"""One request to the desk: who asks, for which device, and what its forms hold. What is not theirs is not there."""

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
from aggregator.support.audit import Who
from aggregator.support.audit_entry import LONGEST_REASON, check_reason
from dashboard.accounts import access
from dashboard.accounts.users import User
from dashboard.pages.support import support_words
from dashboard.text.language import text
from dashboard.web.cached_reads import CachedReads

NO_REASON = text("Say in a few words why; 3 to 500 characters.")


class Answered(NamedTuple):
    """A reason as somebody gave it: one of the suggestions, more words, or both."""

    suggested: str
    typed: str
    reason: str  # as it is written down; empty where it is none
    fault: str  # what is wrong with it, as a sentence to be said


@dataclass(frozen=True, slots=True)
class SupportDesk:
    """What the pages of the desk work with."""

    store: Store
    data: CachedReads

    def device(self, device_id: str) -> Device | None:
        """A device that whoever asks has looked up; None while they have not. Aborts where there is none."""
        self.registered(device_id)
        return self.data.device(access.viewer(), device_id)

    def registered(self, device_id: str) -> Device:
        """What staff may know of a device before looking it up: its labels. Aborts where there is none."""
        staff()
        try:
            device = self.store.device(check_device_id(device_id))
        except Refused:
            device = None
        if device is None:
            abort(404)
        return device


def staff() -> User:
    """Who of the support desk asks. Aborts for everybody else as if there were no desk."""
    user = access.viewer()
    if user is None or not access.is_staff(user):
        abort(404)
    return user


def who(user: User) -> Who:
    """Somebody as the audit names them."""
    return Who(user.user_id, user.email, user.role, user.name)


def clock() -> int:
    """What people do is written down by the real time, which also ends what they were granted."""
    return int(time.time())


def answered(form: Mapping[str, str]) -> Answered:
    """The reason in a form."""
    suggested = form.get("suggested", "")
    known = suggested if suggested in support_words.SUGGESTIONS else ""
    typed = form.get("reason", "")[: LONGEST_REASON + 1]
    try:
        return Answered(known, typed, check_reason(support_words.whole(known, typed)), "")
    except ConfigurationError:
        return Answered(known, typed, "", NO_REASON)


def page_asked() -> int:
    """Which page of a list, from 1 on; whatever else stands there is the first."""
    page = request.args.get("page", "")
    return int(page) if page.isascii() and page.isdigit() and 0 < int(page[:4]) <= 999 and len(page) < 4 else 1


def day_asked(name: str) -> str:
    """A day of the query; empty where it is none."""
    return day_of_text(request.args.get(name, ""))


def day_of_text(typed: str) -> str:
    """A day as somebody typed it; empty where it is none."""
    try:
        return periods.check_period("day", typed)
    except ConfigurationError:
        return ""
