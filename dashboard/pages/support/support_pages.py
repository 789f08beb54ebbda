"""The pages of support under /desk: search, fleet, and one device."""

from dataclasses import asdict
from functools import partial
from itertools import islice

from flask import Blueprint, Flask, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.core.documents import Device
from aggregator.core.periods import DAY_S, HOUR
from aggregator.intake import device_status, refusals
from aggregator.support import actions, fleet
from aggregator.support.audit import GRANT_HOURS, Audit, withdraw
from aggregator.support.diagnostics import diagnose
from aggregator.support.fleet import Wanted
from dashboard.accounts import access
from dashboard.accounts.users import User
from dashboard.charts.view import View
from dashboard.pages.support import (
    action_pages,
    attention_view,
    audit_view,
    data_quality,
    health_view,
    search_results,
    support_words,
)
from dashboard.pages.support.search_results import (
    ALL_SILENT,
    FIRMWARE,
    REFUSED,
    SILENT,
    WAITING,
    SearchResult,
    device_url,
    fleet_view,
    list_title,
    listed_words,
    search_result,
)
from dashboard.pages.support.support_request import (
    Answered,
    SupportServices,
    answered,
    clock,
    page_argument,
    staff,
    who,
)
from dashboard.web.cached_reads import CachedReads
from dashboard.web.responses import reader_language, render

WORST = 8  # devices that need somebody, on the first page
SHOWN = 12  # devices in a search while the user types
LONGEST_NAME = 64  # characters of a firmware
PAGE = 50  # devices on a page of a list or search
HISTORY = 30  # audit entries on a device's page
NOTHING_YET = Answered("", "", "", "")


def add_routes(server: Flask, data: CachedReads, audit: Audit) -> None:
    """Add the routes to a server."""
    page = Blueprint("desk", __name__)
    support = SupportServices(audit, data)

    @page.get("/desk")
    def start() -> Response | Answer:
        return _start(support)

    @page.get("/desk/search.json")
    def search() -> Response:
        staff()
        hits = _hits(support, request.args.get("q", ""), SHOWN)
        said = reader_language().count("{number} device found", "{number} devices found", len(hits))
        return jsonify(said=said, found=[hit._asdict() for hit in hits])

    @page.get("/desk/fleet/<group>")
    def listed(group: str) -> Response:
        return _listed(support, group)

    @page.get("/desk/device/<device_id>")
    def device(device_id: str) -> Response:
        return _device(support, device_id)

    @page.post("/desk/device/<device_id>")
    def look_up(device_id: str) -> Response | Answer:
        return _look_up(support, device_id)

    @page.post("/desk/device/<device_id>/leave")
    def leave(device_id: str) -> Answer:
        support.registered(device_id)
        withdraw(support.store, staff().user_id, device_id)
        return redirect("/desk", 303)

    @page.before_app_request
    def redirect_staff() -> Answer | None:
        """Redirect staff from the start page, which is empty for them."""
        is_start = request.path == "/" and request.method == "GET"
        return redirect("/desk", 303) if is_start and access.is_staff(access.viewer()) else None

    page.add_url_rule(attention_view.LIST_URL, "attention", partial(_attention, support))
    page.add_url_rule(f"{attention_view.LIST_URL}.csv", "attention_csv", partial(_attention_csv, support))
    action_pages.add_routes(page, support)
    audit_view.add_routes(page, support)
    server.register_blueprint(page)


# Search and fleet


def _start(support: SupportServices) -> Response | Answer:
    staff()
    lang, now = reader_language(), clock()
    typed = request.args.get("q", "")
    hits = _hits(support, typed, PAGE) if typed.strip() else None
    if hits and len(hits) == 1:
        return redirect(hits[0].url, 303)
    summary = fleet.summary(support.store)
    worst = islice(fleet.troubles(support.store, support.data.now(), Wanted()), WORST) if summary and not hits else ()
    return render(
        "support_start.html",
        typed=typed,
        hits=hits,
        most=PAGE,
        worst=[attention_view.trouble_row(one, support.data.now(), lang) for one in worst],
        chips=attention_view.chips(summary, Wanted(), lang) if summary else [],
        dropped=[attention_view.dropped_row(one, now, lang) for one in refusals.unknown_topics(support.store)],
        trends=attention_view.trends(fleet.history(support.store, now), lang),
        kept_days=device_status.KEPT_DAYS,
        fleet=fleet_view(summary, lang) if summary else None,
        taken=support_words.to_the_second(summary.at, now, support_words.UTC, lang) if summary else "",
    )


def _hits(support: SupportServices, typed: str, most: int) -> list[SearchResult]:
    actions.count_search(support.audit, who(staff()), clock())
    devices = (support.store.device(device_id) for device_id in support.store.find_devices(typed, most))
    return [search_result(device) for device in devices if device]


def _attention(support: SupportServices) -> Response:
    staff()
    lang, page, wanted, now = reader_language(), page_argument(), _wanted(), support.data.now()
    first = (page - 1) * PAGE
    found = list(islice(fleet.troubles(support.store, now, wanted), first, first + PAGE + 1))
    summary = fleet.summary(support.store)
    return render(
        "support_attention.html",
        rows=[attention_view.trouble_row(one, now, lang) for one in found[:PAGE]],
        chips=attention_view.chips(summary, wanted, lang) if summary else [],
        taken=support_words.to_the_second(summary.at, now, support_words.UTC, lang) if summary else "",
        wanted=wanted,
        csv_url=attention_view.list_url(wanted, f"{attention_view.LIST_URL}.csv"),
        page=page,
        is_last=len(found) <= PAGE,
        query={name: value for name, value in asdict(wanted).items() if value},
    )


def _attention_csv(support: SupportServices) -> Response:
    staff()
    found = fleet.troubles(support.store, support.data.now(), _wanted())
    headers = {"Content-Disposition": 'attachment; filename="wattfall-attention.csv"', "Cache-Control": "no-store"}
    return Response(attention_view.csv_text(found, reader_language()), mimetype="text/csv", headers=headers)


def _wanted() -> Wanted:
    """Return the filter of a request; a field that is too long or unknown wants all."""
    given = {name: request.args.get(name, "").strip()[:LONGEST_NAME] for name in ("problem", "area", "firmware")}
    problem = given["problem"] if given["problem"] in fleet.PROBLEMS else ""
    return Wanted(problem, fleet.area_of(given["area"] + "0") or given["area"], given["firmware"])


def _listed(support: SupportServices, group: str) -> Response:
    staff()
    lang, page, name = reader_language(), page_argument(), request.args.get("name", "")[:LONGEST_NAME]
    ids = [one for kind, key in _counts(group, name) for one in fleet.listed_devices(support.store, kind, key)]
    first = (page - 1) * PAGE
    devices = (support.store.device(device_id) for device_id in ids[first : first + PAGE])
    now = support.data.now()
    summary = fleet.summary(support.store)
    return render(
        "support_list.html",
        heading=list_title(group, name, lang),
        hits=[search_result(device, support.store.live(device.device_id), now, lang) for device in devices if device],
        said=listed_words(len(ids), first + 1, min(first + PAGE, len(ids)), lang),
        taken=support_words.to_the_second(summary.at, clock(), support_words.UTC, lang) if summary else "",
        page=page,
        is_last=first + PAGE >= len(ids),
        query={"name": name} if group == FIRMWARE else {},
    )


def _counts(group: str, name: str) -> list[tuple[str, str]]:
    """Return the census counts of a group. Aborts for an unknown group."""
    counts = {
        **{state: [("state", state)] for state in fleet.STATES},
        ALL_SILENT: [("state", state) for state in SILENT],
        FIRMWARE: [("firmware", name)],
        REFUSED: [("refused", "today")],
        WAITING: [("waterfall", "waiting")],
    }
    return counts[group] if group in counts else abort(404)


# One device


def _device(support: SupportServices, device_id: str) -> Response:
    device = support.device(device_id)
    return (
        _device_page(support, device, staff()) if device else _reason_form(support.registered(device_id), NOTHING_YET)
    )


def _look_up(support: SupportServices, device_id: str) -> Response | Answer:
    device, user = support.registered(device_id), staff()
    given = answered(request.form)
    if given.fault:
        return _reason_form(device, given, 422)
    actions.look_up(support.audit, who(user), device_id, given.reason, clock())
    return redirect(device_url(device_id), 303)


def _reason_form(device: Device, given: Answered, code: int = 200) -> Response:
    """Return the form that asks for a reason before a device is shown."""
    return render(
        "support_look_up.html",
        code,
        hit=search_result(device),
        given=given,
        suggestions=support_words.SUGGESTIONS,
        hours=GRANT_HOURS,
    )


def _device_page(support: SupportServices, device: Device, user: User) -> Response:
    lang, zone, now = reader_language(), device.timezone, support.data.now()
    since = now - device_status.KEPT_DAYS * DAY_S
    signals = support.store.begin(partial(device_status.signal_hours, support.store, device.device_id, since, now))
    history = support.store.begin(partial(support.audit.entries, device_id=device.device_id, limit=HISTORY))
    known, entries = diagnose(support.store, device, now), history()
    mine = next((one for one in entries if one.action == "look-up" and one.who.user_id == user.user_id), None)
    return render(
        "support_device.html",
        kept_days=device_status.KEPT_DAYS,
        device=device,
        hit=search_result(device),
        sending=health_view.sending(known, lang),
        signal=health_view.signal(known, signals(), lang),
        data=data_quality.data_quality(known, lang),
        counters=search_results.counters(known, lang),
        charts=health_view.charts(known, lang),
        made=support_words.to_the_second(now, now, zone, lang),
        zone_label=support_words.zone_label(now, zone, lang),
        reason=support_words.reason_label(mine.reason, lang) if mine else "",
        until=support_words.instant(mine.at + GRANT_HOURS * HOUR, clock(), zone, lang) if mine else "",
        history=[audit_view.row(entry, clock(), zone, zone, lang) for entry in entries],
        history_size=HISTORY,
        chart=View("household", device.device_id).to_url(),
        history_url=f"{View('household', device.device_id).to_url()}/history",
        done=request.args.get("done", ""),
    )
