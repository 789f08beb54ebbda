"""The forms of one device and of one person. A form is a row of a provisioning file, so both keep the same rules."""

import time
from dataclasses import dataclass
from urllib.parse import quote

from flask import Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.core.documents import ELECTRICITY, GAS, GENERATION, Device
from aggregator.core.periods import FIRST_DAY
from aggregator.core.readings import is_device_id
from aggregator.settings import Settings
from aggregator.store.occupancies import occupancies
from aggregator.store.port import Store
from aggregator.support.actions import record_account
from aggregator.support.audit import Audit
from dashboard.accounts import access
from dashboard.accounts.accounts import Accounts, link_of
from dashboard.accounts.mail import Mailer, invitation
from dashboard.accounts.provision_rows import Refusal, Row, row_of
from dashboard.accounts.provisioning import CHANGED, MADE, MOVED, UNCHANGED, ProvisionRun, Report, provision, who_is
from dashboard.accounts.second_factor import SecondFactors
from dashboard.accounts.users import ADMIN, HOUSEHOLD, LONGEST_EMAIL, SUPPORT, User
from dashboard.text.language import text
from dashboard.web.responses import reader_language, render

REASON = "changed on the admin page"
LONGEST = 200  # characters of a field
KINDS = {ELECTRICITY: text("electricity"), GAS: text("gas"), GENERATION: text("generation")}
ROLES = {HOUSEHOLD: text("Household"), SUPPORT: text("Support desk"), ADMIN: text("Manages accounts")}
DONE = {
    MADE: text("Added."),
    CHANGED: text("Changed."),
    MOVED: text("Moved. Each household sees its own days only."),
    UNCHANGED: text("Nothing has been changed: all of this was so already."),
    "mailed": text("A link to a password is on its way by mail."),
    "disable": text("Disabled, and signed out everywhere."),
    "enable": text("Enabled again."),
    "reset-second-factor": text("The second step was removed, and the person was signed out everywhere."),
    "sign-out": text("Signed out everywhere; open links do not work any more."),
}
CANNOT = text("This cannot be done: {fault}")
ONESELF = text("This is your own account. Ask another account manager.")
_DEVICE = ("device", "kind", "timezone", "serial", "meter_point", "household", "from", "name", "postcode")
_PERSON = ("email", "person", "role", "household")


@dataclass(frozen=True, slots=True)
class AdminServices:
    """The collaborators of the admin pages."""

    audit: Audit
    accounts: Accounts
    settings: Settings
    mailer: Mailer | None  # None without a mail server
    factors: SecondFactors

    @property
    def store(self) -> Store:
        """Return the store."""
        return self.audit.store

    def run(self) -> ProvisionRun:
        """Return a run of provisioning by the signed-in account manager."""
        who = who_is(manager())
        return ProvisionRun(self.audit, self.accounts, who, REASON, int(time.time()), self.settings.timezone)

    def delivered(self, user: User, token: str) -> str:
        """Mail the link of an invitation; without a mail server return it, to be shown."""
        if self.mailer and user.email:
            mail = invitation(self.settings, user, token)
            if self.mailer.put(lambda: mail):
                return ""
        return link_of(self.settings, token)


def manager() -> User:
    """Return the signed-in account manager. Aborts with 404 for everybody else, as at a missing page."""
    user = access.viewer()
    if user is None or not access.is_manager(user):
        abort(404)
    return user


def _given(names: tuple[str, ...]) -> dict[str, str]:
    return {name: request.form.get(name, "").strip()[:LONGEST] for name in names}


def _carried_out(admin: AdminServices, given: dict[str, str]) -> tuple[Report, str, list[tuple[User, str]]]:
    """Carry out a form; return the counts, the fault if it was refused, and a new person with a token."""
    refused, added = list[Refusal](), list[tuple[User, str]]()
    rows: list[Row | Refusal] = [row_of(1, given)]
    report = provision(admin.run(), rows, refused.append, lambda user, token: added.append((user, token)))
    return report, refused[0].reason if refused else "", added


# Devices


def device_form(admin: AdminServices) -> Response:
    """Return the form of a device; of a new one without an id."""
    device_id = request.args.get("id", "")[:LONGEST]
    if not device_id:
        return _device_page(None, {})
    device = admin.store.device(device_id) if is_device_id(device_id) else None
    return _device_page(device, {}) if device else abort(404)


def change_device(admin: AdminServices) -> Response | Answer:
    """Carry out the form of a device."""
    given = _given(_DEVICE)
    report, fault, _ = _carried_out(admin, given)
    if fault:
        device = admin.store.device(given["device"]) if is_device_id(given["device"]) else None
        return _device_page(device if request.form.get("known") else None, given, fault)
    return redirect(f"/admin/device?id={given['device']}&done={next(iter(report.devices))}", 303)


def _device_page(device: Device | None, given: dict[str, str], fault: str = "") -> Response:
    lang = reader_language()
    return render(
        "admin_device.html",
        422 if fault else 200,
        device=device,
        stays=[one for one in occupancies(device) if one.household or one.first != FIRST_DAY] if device else [],
        from_ever=FIRST_DAY,
        kinds=KINDS,
        given=dict.fromkeys(_DEVICE, "") | given,
        fault=lang.say(CANNOT, fault=lang.tell(fault)) if fault else "",
        done=lang.say(DONE.get(request.args.get("done", ""), "")),
    )


# People


def person_form(admin: AdminServices) -> Response:
    """Return the form of a person; of a new one without an address."""
    named = request.args.get("email", "")[:LONGEST_EMAIL]
    return _person_page(_known(admin, named) if named else None, {})


def _known(admin: AdminServices, named: str) -> User:
    """Return an account by address or id. Aborts with 404 for an unknown one."""
    return (admin.accounts.find(named) or admin.accounts.user(named) if named else None) or abort(404)


def change_person(admin: AdminServices) -> Response | Answer:
    """Carry out the form of a person, or one of the buttons below it."""
    action = request.form.get("action", "")
    if action:
        return _act(admin, _known(admin, request.form.get("email", "")[:LONGEST_EMAIL]), action)
    given = _given(_PERSON)
    report, fault, added = _carried_out(admin, given)
    if fault:
        known = admin.accounts.find(given["email"]) if request.form.get("known") else None
        return _person_page(known, given, fault)
    if added:
        return _invited(admin, *added[0])
    return _done(given["email"], next(iter(report.people)))


def _invited(admin: AdminServices, user: User, token: str) -> Response | Answer:
    link = admin.delivered(user, token)
    if link:
        return _person_page(user, {}, link=link)
    return _done(user.email, "mailed")


def _done(named: str, what: str) -> Answer:
    return redirect(f"/admin/person?email={quote(named, safe='')}&done={what}", 303)


def _act(admin: AdminServices, user: User, action: str) -> Response | Answer:
    me = manager()
    if user.user_id == me.user_id:
        return _person_page(user, {}, reader_language().say(ONESELF))
    changes = {
        "disable": admin.accounts.disable,
        "enable": admin.accounts.enable,
        "sign-out": admin.accounts.end_sessions,
        "reset-second-factor": admin.factors.remove,
    }
    if action not in changes and (action != "invite" or user.is_disabled):
        abort(400)
    record_account(admin.audit, who_is(me), f"admin page: {action}", who_is(user), int(time.time()))
    if action == "invite":
        return _invited(admin, user, admin.accounts.invite(user))
    changes[action](user)
    return _done(user.email or user.user_id, action)


def _person_page(user: User | None, given: dict[str, str], fault: str = "", link: str = "") -> Response:
    lang = reader_language()
    return render(
        "admin_person.html",
        422 if fault else 200,
        person=user,
        is_me=user is not None and user.user_id == manager().user_id,
        roles=ROLES,
        given=dict.fromkeys(_PERSON, "") | given,
        fault=lang.say(CANNOT, fault=lang.tell(fault)) if fault else "",
        link=link,
        done=lang.say(DONE.get(request.args.get("done", ""), "")),
    )
