"""The start page of account managers, and what is done to many at once.

The upload of a provisioning file says first what it would do, then what it did. A list of devices is answered with the
codes by which households claim them.

The file travels with the page between the two steps, so nothing of it is kept.
"""

import csv
import io
import re
import time
from collections.abc import Iterable
from functools import partial
from itertools import islice

from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import ConfigurationError, Phrase, StoreAway, shown
from aggregator.core.readings import is_device_id
from aggregator.intake.claims import has_code_since
from aggregator.store.collections import CLAIMS, EMAILS
from aggregator.store.port import name_once
from aggregator.support.actions import make_code
from dashboard.accounts import access
from dashboard.accounts.provision_rows import COLUMNS, Refusal, Row, read_rows
from dashboard.accounts.provisioning import (
    CHANGED,
    MADE,
    MOVED,
    OUTCOMES,
    UNCHANGED,
    ProvisionRun,
    Report,
    provision,
    rehearsed,
)
from dashboard.accounts.users import User
from dashboard.pages.admin.admin_forms import (
    CANNOT,
    ROLES,
    AdminServices,
    change_device,
    change_person,
    device_form,
    manager,
    person_form,
)
from dashboard.text.language import text
from dashboard.text.words import cell
from dashboard.web.responses import reader_language, render

SHOWN = 50  # devices, and people, of a search
MOST_ROWS = 1000  # in an upload; `wattfall provision` takes any number
MOST_REFUSED = 100  # shown
NOT_UTF8 = text("The file is not UTF-8. Save it as CSV in UTF-8.")
NO_FILE = text("Choose a file.")
NO_DEVICE = text("Name the devices.")
NO_ID = text("{text} is no device id")
HAS_CODE = text(
    "{device} has got a code since this page was opened; to make another one, send it from the page as it is now"
)
LEFT = text("The store is out of reach for the moment. {number} devices have no code yet; send them again.")
TOO_MANY_CODES = text("These are more than {number} devices. `wattfall device code` takes any number.")
TOO_MANY = text("These are more than {number} rows. `wattfall provision` takes a file of any length.")
LABELS = {MADE: text("new"), CHANGED: text("changed"), MOVED: text("moved"), UNCHANGED: text("unchanged")}


def add_routes(server: Flask, admin: AdminServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("admin", __name__)
    page.add_url_rule("/admin", "start", partial(_start, admin))
    page.add_url_rule("/admin/device", "device", partial(device_form, admin))
    page.add_url_rule("/admin/device", "change_device", partial(change_device, admin), methods=["POST"])
    page.add_url_rule("/admin/person", "person", partial(person_form, admin))
    page.add_url_rule("/admin/person", "change_person", partial(change_person, admin), methods=["POST"])
    page.add_url_rule("/admin/upload", "upload", _upload_form)
    page.add_url_rule("/admin/upload", "uploaded", partial(_uploaded, admin), methods=["POST"])

    @page.before_request
    def admit_managers_only() -> None:
        manager()

    @page.before_app_request
    def redirect_managers() -> Answer | None:
        """Redirect account managers from the start page, which is empty for them."""
        is_start = request.path == "/" and request.method == "GET"
        return redirect("/admin", 303) if is_start and access.is_manager(access.viewer()) else None

    server.register_blueprint(page)


def _start(admin: AdminServices) -> Response:
    typed = request.args.get("q", "").strip()[:200]
    found = admin.store.find_devices(typed, SHOWN) if typed else []
    devices = [one for device_id in found if (one := admin.store.device(device_id))]
    return render(
        "admin_start.html",
        typed=typed,
        devices=devices if typed else list(admin.store.devices(limit=SHOWN, leave_out=name_once)),
        people=_people(admin, typed.lower()),
        roles=ROLES,
        most=SHOWN,
    )


def _people(admin: AdminServices, typed: str) -> list[User]:
    """Return the people whose address begins with the typed text."""
    found = admin.store.records(EMAILS.of(), typed, f"{typed}\U0010ffff", limit=SHOWN)
    return [user for record in found if (user := admin.accounts.user(record.body))]


# Upload


def _upload_form() -> Response:
    return _upload_page()


def _upload_page(fault: str = "", **context: object) -> Response:
    values: dict[str, object] = {"report": None, "rows": "", "refused": [], "links": "", "codes": "", "devices": ""}
    values |= {"is_dry": True, "codes_fault": "", "opened": int(time.time()), **context}
    return render(
        "admin_upload.html",
        422 if fault or values["codes_fault"] else 200,
        fault=fault,
        columns=COLUMNS,
        labels=LABELS,
        outcomes=OUTCOMES,
        most_rows=MOST_ROWS,
        most_refused=MOST_REFUSED,
        valid_days=CLAIMS.days,
        **values,
    )


def _uploaded(admin: AdminServices) -> Response:
    """Answer a file with what it would do; confirmed, carry it out. Answer a list of devices with their codes."""
    if request.form.get("action") == "codes":
        return _codes(admin)
    lang, is_dry = reader_language(), request.form.get("action") != "confirm"
    sent = request.files.get("file")
    try:
        rows = request.form.get("rows", "") if not is_dry else sent.read().decode("utf-8-sig") if sent else ""
    except UnicodeDecodeError:
        return _upload_page(lang.say(NOT_UTF8))
    if not rows.strip():
        return _upload_page(lang.say(NO_FILE))
    if rows.count("\n") > MOST_ROWS + 1:
        return _upload_page(lang.say(TOO_MANY, number=MOST_ROWS))
    try:
        report, refused, links = _carried_out(admin, rows, is_dry=is_dry)
    except ConfigurationError as error:
        return _upload_page(lang.say(CANNOT, fault=lang.tell(error.args[0])))
    return _upload_page(report=report, rows=rows, refused=refused, links=links, is_dry=is_dry)


def _codes(admin: AdminServices) -> Response:
    """Make a code to claim each listed device, and show the codes as CSV, once.

    A form that is sent again, as by a reload, voids no code that it made: `opened` is the instant (UTC seconds) at
    which it was shown.
    """
    lang, listed, opened = reader_language(), request.form.get("devices", ""), request.form.get("opened", 0, type=int)
    wanted = _listed(listed)
    if not 0 < len(wanted) <= MOST_ROWS:
        fault = lang.say(TOO_MANY_CODES if wanted else NO_DEVICE, number=MOST_ROWS)
        return _upload_page(codes_fault=fault, devices=listed)
    run, refused, codes, waiting = admin.run(), list[Refusal](), io.StringIO(), list(wanted)
    writer, fault = csv.writer(codes, lineterminator="\n"), ""
    try:
        for device_id, line in wanted.items():
            try:
                writer.writerow((device_id, _code(run, device_id, opened)))
            except ConfigurationError as why:
                refused.append(Refusal(line, str(lang.tell(why.args[0]))))
            waiting.remove(device_id)
    except StoreAway:
        fault = lang.say(LEFT, number=len(waiting))
    return _upload_page(codes_fault=fault, codes=codes.getvalue(), refused=refused, devices="\n".join(waiting))


def _listed(devices: str) -> dict[str, int]:
    """Return the texts between lines, commas and semicolons, each with its first line."""
    found: dict[str, int] = {}
    for line, row in enumerate(devices.splitlines(), 1):
        for one in filter(None, map(str.strip, re.split("[,;]", row))):
            found.setdefault(one, line)
    return found


def _code(run: ProvisionRun, device_id: str, opened: int) -> str:
    if not is_device_id(device_id):
        raise ConfigurationError(Phrase(NO_ID, text=shown(device_id)))
    if has_code_since(run.store, device_id, opened):
        raise ConfigurationError(Phrase(HAS_CODE, device=device_id))
    return make_code(run.audit, run.who, device_id, run.timezone, run.now)


def _carried_out(admin: AdminServices, text: str, *, is_dry: bool) -> tuple[Report, list[Refusal], str]:
    """Return the counts of a file, its refused rows, and the links of new people as CSV."""
    refused, links = list[Refusal](), io.StringIO()
    writer = csv.writer(links, lineterminator="\n")
    run, rows = admin.run(), _at_most(read_rows(io.StringIO(text, newline="").readline))

    def deliver(user: User, token: str) -> None:
        if link := admin.delivered(user, token):
            writer.writerow([cell(user.email), link])

    if is_dry:
        with rehearsed(run) as dry:
            return provision(dry, rows, refused.append, deliver), refused[:MOST_REFUSED], ""
    return provision(run, rows, refused.append, deliver), refused[:MOST_REFUSED], links.getvalue()


def _at_most(rows: Iterable[Row | Refusal]) -> Iterable[Row | Refusal]:
    return islice(rows, MOST_ROWS)
