"""The forms of the support actions: note, rebuild, exchange, bundle. Each explains its action and asks for a reason.

`aggregator.support.actions` carries an action out and writes its audit entry.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, make_response, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import RECORD_DAYS
from aggregator.core.registers import parse_overrides
from aggregator.support import actions
from aggregator.support.audit_entry import LONGEST_REASON
from aggregator.support.bundle import file_name
from aggregator.support.diagnostics import diagnose
from dashboard.pages.support import data_quality, support_words
from dashboard.pages.support.search_results import device_url, search_result
from dashboard.pages.support.support_request import Answered, SupportServices, answered, clock, day_of_text, staff, who
from dashboard.text.language import Language, text
from dashboard.web.responses import reader_language, render

MOST_DAYS = RECORD_DAYS  # in one request; they take half a second on SQLite
NOT_A_DAY = text("Write both days like 2026-11-17.")
WRONG_ORDER = text("The first day comes after the last.")
TOO_MANY = text("These are more than {days} days. Take fewer, or ask whoever runs Wattfall for `wattfall rebuild`.")
STILL_TO_COME = text("This day is still to come.")
NOT_A_TIME = text("Write the day and the time, like 2026-11-17 14:02.")
CANNOT = text("This cannot be done: {fault}")
Faults = dict[str, str]  # control -> its fault
FormView = Callable[[SupportServices, Device], Answer]


def add_routes(page: Blueprint, support: SupportServices) -> None:
    """Add the addresses of the forms to the blueprint of support."""
    views: dict[str, tuple[FormView, FormView]] = {
        "note": (_note_form, _note),
        "rebuild": (_rebuild_form, _rebuild),
        "exchange": (_exchange_form, _exchange),
        "bundle": (_bundle_form, _bundle),
    }
    for name, (form, act) in views.items():
        address = f"/desk/device/<device_id>/{name}"
        page.add_url_rule(address, name, partial(_answer, support, form), methods=["GET"])
        page.add_url_rule(address, f"{name}-done", partial(_answer, support, act), methods=["POST"])


def _answer(support: SupportServices, view: FormView, device_id: str) -> Answer:
    """Return a view of a device; without a look-up, a redirect to the form that asks for a reason."""
    device = support.device(device_id)
    return view(support, device) if device else redirect(device_url(device_id), 303)


def _done(device: Device, action: str) -> Answer:
    return redirect(f"{device_url(device.device_id)}?done={action}", 303)


def _page(template: str, device: Device, faults: Faults | None = None, **context: object) -> Response:
    given = context.pop("given", Answered("", "", "", ""))
    code = 422 if faults else 200
    return render(template, code, device=device, hit=search_result(device), given=given, faults=faults or {}, **context)


def _reason(lang: Language) -> tuple[Answered, Faults]:
    given = answered(request.form)
    return given, {"reason": lang.say(given.fault)} if given.fault else {}


# Note


def _note_form(_: SupportServices, device: Device, faults: Faults | None = None, **context: object) -> Response:
    return _page("support_note.html", device, faults, longest=LONGEST_REASON, **context)


def _note(support: SupportServices, device: Device) -> Answer:
    given, faults = _reason(reader_language())
    if faults:
        return _note_form(support, device, faults, given=given)
    actions.add_note(support.audit, who(staff()), device, given.reason, clock())
    return _done(device, "note")


# Rebuild


def _rebuild_form(support: SupportServices, device: Device) -> Response:
    today = _today(support, device)
    first = day_of_text(request.args.get("first", "")) or today
    last = day_of_text(request.args.get("last", "")) or first
    return _page("support_rebuild.html", device, first=first, last=last, today=today, most=MOST_DAYS)


def _rebuild(support: SupportServices, device: Device) -> Answer:
    lang, today = reader_language(), _today(support, device)
    given, faults = _reason(lang)
    first, last = request.form.get("first", "")[:10], request.form.get("last", "")[:10]
    faults |= days_faults(first, last, today, lang)
    if faults:
        days = {"first": first, "last": last, "today": today}
        return _page("support_rebuild.html", device, faults, given=given, most=MOST_DAYS, **days)
    computed = actions.rebuild(support.audit, who(staff()), device, first, last, given.reason, clock())
    return _done(device, "rebuild" if computed else "nothing")


def _today(support: SupportServices, device: Device) -> str:
    return periods.day_of(support.data.now(), device.timezone)


def days_faults(first: str, last: str, today: str, lang: Language) -> Faults:
    """Return the faults of a range of days to rebuild, by control; empty for a valid one."""
    faults = {name: lang.say(NOT_A_DAY) for name, day in (("first", first), ("last", last)) if not day_of_text(day)}
    if faults:
        return faults
    if last > today:
        return {"last": lang.say(STILL_TO_COME)}
    if first > last:
        return {"first": lang.say(WRONG_ORDER)}
    return {"first": lang.say(TOO_MANY, days=MOST_DAYS)} if periods.shift("day", first, MOST_DAYS - 1) < last else {}


# Meter exchange


def _exchange_form(support: SupportServices, device: Device) -> Response:
    at = _seconds(request.args.get("at", ""))
    time = "" if at is None else periods.local(at, device.timezone).format("YYYY-MM-DDTHH:mm:ss")
    return _exchange_page(support, device, {}, time)


def _exchange_page(
    support: SupportServices, device: Device, faults: Faults, time: str, kind: str = "exchange", **context: object
) -> Response:
    lang, now, zone = reader_language(), support.data.now(), device.timezone
    overrides = [
        (one.at, support_words.to_the_second(one.at, now, zone, lang), one.is_exchange)
        for one in parse_overrides(device.exchange_overrides)
    ]
    return _page(
        "support_exchange.html",
        device,
        faults,
        marked=overrides[::-1],
        steps=data_quality.data_quality(diagnose(support.store, device, now), lang).steps,
        zone_label=support_words.zone_label(now, zone, lang),
        time=time,
        kind=kind,
        **context,
    )


def _exchange(support: SupportServices, device: Device) -> Answer:
    lang, form = reader_language(), request.form
    given, faults = _reason(lang)
    kind, undone = form.get("kind", "exchange"), form.get("undo", "")
    typed = form.get("time", "")[:25]
    at = _seconds(undone) if undone else _instant(typed, device.timezone)
    if at is None:
        faults["time"] = lang.say(NOT_A_TIME)
    elif not undone and at > support.data.now():
        faults["time"] = lang.say(STILL_TO_COME)
    if at is not None and not faults:
        fault = _change_override(support, device, at, "undo" if undone else kind, given.reason)
        if not fault:
            return _done(device, "exchange")
        faults["time"] = lang.say(CANNOT, fault=fault)
    return _exchange_page(support, device, faults, typed, kind, given=given)


def _change_override(support: SupportServices, device: Device, at: int, kind: str, reason: str) -> str:
    """Mark an `exchange` or its absence (`none`), or `undo` the mark; return the fault, or an empty string."""
    try:
        if kind == "undo":
            actions.unmark_exchange(support.audit, who(staff()), device, at, reason, clock())
        else:
            is_exchange = kind != "none"
            actions.mark_exchange(support.audit, who(staff()), device, at, reason, clock(), is_exchange=is_exchange)
    except ConfigurationError as fault:
        return str(fault)
    return ""


def _seconds(text: str) -> int | None:
    """Return the UTC seconds of a field; None for invalid text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None


def _instant(typed: str, zone: str) -> int | None:
    """Return the UTC seconds of a typed local time, the earlier one in a repeated hour; None for invalid text."""
    try:
        local = datetime.fromisoformat(typed.strip())
    except ValueError:
        return None
    if local.tzinfo or not 2000 <= local.year < 2200:
        return None
    return int(local.replace(tzinfo=ZoneInfo(zone)).timestamp())


# Diagnostic bundle


def _bundle_form(_: SupportServices, device: Device) -> Response:
    return _page("support_bundle.html", device)


def _bundle(support: SupportServices, device: Device) -> Response:
    given, faults = _reason(reader_language())
    if faults:
        return _page("support_bundle.html", device, faults, given=given)
    now = clock()
    answer = make_response(actions.export_bundle(support.audit, who(staff()), device, given.reason, now))
    answer.mimetype = "application/zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name(device, now)}"'
    answer.headers["Cache-Control"] = "no-store, private"
    return answer
