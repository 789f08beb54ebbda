"""The forms of the staff's actions: note, rebuild, exchange, bundle; `aggregator.support.actions` acts and audits.

Each form says what will happen and asks why.
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
from dashboard.pages.support.support_request import Answered, SupportDesk, answered, clock, day_of_text, staff, who
from dashboard.text.language import Language, text
from dashboard.web.responses import render, requested

MOST_DAYS = RECORD_DAYS  # computed at once while somebody waits: half a second on SQLite
NOT_A_DAY = text("Write both days like 2026-11-17.")
WRONG_ORDER = text("The first day comes after the last.")
TOO_MANY = text("These are more than {days} days. Take fewer, or ask whoever runs Wattfall for `wattfall rebuild`.")
STILL_TO_COME = text("This day is still to come.")
NOT_A_TIME = text("Write the day and the time, like 2026-11-17 14:02.")
CANNOT = text("This cannot be done: {fault}")
Faults = dict[str, str]  # control -> what is wrong with it
FormView = Callable[[SupportDesk, Device], Answer]


def add_routes(page: Blueprint, desk: SupportDesk) -> None:
    """Add the addresses to the desk's."""
    views: dict[str, tuple[FormView, FormView]] = {
        "note": (_note_form, _note),
        "rebuild": (_rebuild_form, _rebuild),
        "exchange": (_exchange_form, _exchange),
        "bundle": (_bundle_form, _bundle),
    }
    for name, (form, act) in views.items():
        address = f"/desk/device/<device_id>/{name}"
        page.add_url_rule(address, name, partial(_answer, desk, form), methods=["GET"])
        page.add_url_rule(address, f"{name}-done", partial(_answer, desk, act), methods=["POST"])


def _answer(desk: SupportDesk, view: FormView, device_id: str) -> Answer:
    """A view of a device; the question why to whoever has not looked it up."""
    device = desk.device(device_id)
    return view(desk, device) if device else redirect(device_url(device_id), 303)


def _done(device: Device, what: str) -> Answer:
    return redirect(f"{device_url(device.device_id)}?done={what}", 303)


def _page(template: str, device: Device, faults: Faults | None = None, **context: object) -> Response:
    given = context.pop("given", Answered("", "", "", ""))
    code = 422 if faults else 200
    return render(
        template, code, typed="", device=device, hit=search_result(device), given=given, faults=faults or {}, **context
    )


def _reason(lang: Language) -> tuple[Answered, Faults]:
    given = answered(request.form)
    return given, {"reason": lang.say(given.fault)} if given.fault else {}


# a note


def _note_form(_: SupportDesk, device: Device, wrong: Faults | None = None, **context: object) -> Response:
    return _page("support_note.html", device, wrong, longest=LONGEST_REASON, **context)


def _note(desk: SupportDesk, device: Device) -> Answer:
    given, wrong = _reason(requested())
    if wrong:
        return _note_form(desk, device, wrong, given=given)
    actions.add_note(desk.store, who(staff()), device, given.reason, clock())
    return _done(device, "note")


# days computed again


def _rebuild_form(desk: SupportDesk, device: Device) -> Response:
    today = _today(desk, device)
    first = day_of_text(request.args.get("first", "")) or today
    last = day_of_text(request.args.get("last", "")) or first
    return _page("support_rebuild.html", device, first=first, last=last, today=today, most=MOST_DAYS)


def _rebuild(desk: SupportDesk, device: Device) -> Answer:
    lang, today = requested(), _today(desk, device)
    given, wrong = _reason(lang)
    first, last = request.form.get("first", "")[:10], request.form.get("last", "")[:10]
    wrong |= days_faults(first, last, today, lang)
    if wrong:
        days = {"first": first, "last": last, "today": today}
        return _page("support_rebuild.html", device, wrong, given=given, most=MOST_DAYS, **days)
    computed = actions.rebuild(desk.store, who(staff()), device, first, last, given.reason, clock())
    return _done(device, "rebuild" if computed else "nothing")


def _today(desk: SupportDesk, device: Device) -> str:
    return periods.day_of(desk.data.now(), device.timezone)


def days_faults(first: str, last: str, today: str, lang: Language) -> Faults:
    """What is wrong with a range of days to compute again."""
    wrong = {name: lang.say(NOT_A_DAY) for name, day in (("first", first), ("last", last)) if not day_of_text(day)}
    if wrong:
        return wrong
    if last > today:
        return {"last": lang.say(STILL_TO_COME)}
    if first > last:
        return {"first": lang.say(WRONG_ORDER)}
    return {"first": lang.say(TOO_MANY, days=MOST_DAYS)} if periods.shift("day", first, MOST_DAYS - 1) < last else {}


# an exchange of the meter


def _exchange_form(desk: SupportDesk, device: Device) -> Response:
    at = _seconds(request.args.get("at", ""))
    typed = "" if at is None else periods.local(at, device.timezone).format("YYYY-MM-DDTHH:mm:ss")
    return _exchange_page(desk, device, {}, typed=typed)


def _exchange_page(desk: SupportDesk, device: Device, wrong: Faults, **context: object) -> Response:
    lang, now, zone = requested(), desk.data.now(), device.timezone
    marked = [
        (mark.at, support_words.to_the_second(mark.at, now, zone, lang), mark.is_exchange)
        for mark in parse_overrides(device.exchange_overrides)
    ]
    context = {"typed": "", "kind": "exchange", **context}
    return _page(
        "support_exchange.html",
        device,
        wrong,
        marked=marked[::-1],
        steps=data_quality.data_quality(diagnose(desk.store, device, now), lang).steps,
        zone_said=support_words.zone_said(now, zone, lang),
        time=context.pop("typed"),
        **context,
    )


def _exchange(desk: SupportDesk, device: Device) -> Answer:
    lang, form = requested(), request.form
    given, wrong = _reason(lang)
    kind, undone = form.get("kind", "exchange"), form.get("undo", "")
    typed = form.get("time", "")[:25]
    at = _seconds(undone) if undone else _instant(typed, device.timezone)
    if at is None:
        wrong["time"] = lang.say(NOT_A_TIME)
    elif not undone and at > desk.data.now():
        wrong["time"] = lang.say(STILL_TO_COME)
    if at is not None and not wrong:
        fault = _change_marks(desk, device, at, "undo" if undone else kind, given.reason)
        if not fault:
            return _done(device, "exchange")
        wrong["time"] = lang.say(CANNOT, fault=fault)
    return _exchange_page(desk, device, wrong, typed=typed, kind=kind, given=given)


def _change_marks(desk: SupportDesk, device: Device, at: int, kind: str, reason: str) -> str:
    """Mark an exchange, or `none`, or `undo` the mark; return the fault, empty where it is done."""
    try:
        if kind == "undo":
            actions.unmark_exchange(desk.store, who(staff()), device, at, reason, clock())
        else:
            is_exchange = kind != "none"
            actions.mark_exchange(desk.store, who(staff()), device, at, reason, clock(), is_exchange=is_exchange)
    except ConfigurationError as fault:
        return str(fault)
    return ""


def _seconds(text: str) -> int | None:
    """UTC seconds in an address or a form; None where they are none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None


def _instant(typed: str, zone: str) -> int | None:
    """A local time as somebody typed it; of an hour that comes twice, the first."""
    try:
        local = datetime.fromisoformat(typed.strip())
    except ValueError:
        return None
    if local.tzinfo or not 2000 <= local.year < 2200:
        return None
    return int(local.replace(tzinfo=ZoneInfo(zone)).timestamp())


# the bundle


def _bundle_form(_: SupportDesk, device: Device) -> Response:
    return _page("support_bundle.html", device)


def _bundle(desk: SupportDesk, device: Device) -> Response:
    given, wrong = _reason(requested())
    if wrong:
        return _page("support_bundle.html", device, wrong, given=given)
    now = clock()
    answer = make_response(actions.export_bundle(desk.store, who(staff()), device, given.reason, now))
    answer.mimetype = "application/zip"
    answer.headers["Content-Disposition"] = f'attachment; filename="{file_name(device, now)}"'
    answer.headers["Cache-Control"] = "no-store, private"
    return answer
