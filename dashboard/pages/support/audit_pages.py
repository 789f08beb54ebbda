"""Who looked at what: for staff over all devices, for a household over its own."""

from flask import Blueprint, Response, abort, request

from aggregator.core.errors import ConfigurationError
from aggregator.support import audit
from aggregator.support.audit import Entry
from dashboard.accounts import access
from dashboard.accounts.users import HOUSEHOLD
from dashboard.pages.support import audit_view, support_words
from dashboard.pages.support.support_request import Desk, clock, day_asked, page_asked, staff
from dashboard.text.languages import requested
from dashboard.web.render import written

PAGE = 50  # entries
MOST_PAGES = 20  # further back a day leads
SHOWN_TO_HOME = 100  # entries of each device
LONGEST = 254  # characters of a filter, as of an e-mail address


def register(page: Blueprint, desk: Desk) -> None:
    """Add the addresses."""

    @page.get("/desk/audit")
    def entries() -> Response:
        return _audit(desk)

    @page.get("/who-looked")
    def who_looked() -> Response:
        return _who_looked(desk)


def _audit(desk: Desk) -> Response:
    staff()
    lang, page, now = requested(), min(page_asked(), MOST_PAGES), clock()
    wanted = {name: request.args.get(name, "").strip()[:LONGEST] for name in ("device", "person")}
    days = {name: day_asked(name) for name in ("first", "last")}
    found = _entries(desk, wanted, days, page * PAGE + 1)
    shown = found[(page - 1) * PAGE : page * PAGE]
    return written(
        "desk_audit.html",
        typed="",
        rows=[audit_view.row(entry, now, support_words.UTC, lang) for entry in shown],
        wanted=wanted | days,
        query={name: value for name, value in (wanted | days).items() if value},
        page=page,
        is_last=len(found) <= page * PAGE or page == MOST_PAGES,
        is_cut=page == MOST_PAGES and len(found) > page * PAGE,
    )


def _entries(desk: Desk, wanted: dict[str, str], days: dict[str, str], limit: int) -> list[Entry]:
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


def _who_looked(desk: Desk) -> Response:
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
    return written(
        "who_looked.html",
        rows=[
            audit_view.seen_row(one, support_words.home_name(device), now, device.timezone, lang)
            for one, device in seen
        ],
        has_several=len(devices) > 1,
    )
