"""One's own account: who is signed in, a new password, signing out; and the invitation that sets the first password."""

from flask import Blueprint, Flask, Response, redirect, request
from werkzeug.wrappers import Response as Answer

from dashboard.accounts.sessions import sign_in, sign_out, signed_in
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User, password_fault
from dashboard.pages.account.demo_visits import PREFIX
from dashboard.pages.account.sign_in_page import Doors, too_soon
from dashboard.text.language import text
from dashboard.text.languages import requested
from dashboard.web.render import notice, written

ROLES = {HOUSEHOLD: text("Household"), SUPPORT: text("Support desk"), ADMIN: text("Manages accounts")}
OVER = text("This invitation cannot be used any more")
OVER_SENTENCE = text("It has been used, or it is too old. Ask whoever sent it for a new one.")
NOT_THE_SAME = text("This is not the same as the first. Type it twice alike.")
NOT_THE_OLD = text("This is not your present password.")
Faults = dict[str, str]  # control -> what is wrong with it


def register(server: Flask, doors: Doors) -> None:
    """Add the addresses to a server."""
    page = Blueprint("account", __name__)

    @page.get("/account")
    def account() -> Response:
        return _account(_me())

    @page.post("/account/password")
    def change_password() -> Response | Answer:
        return _change_password(doors, _me())

    @page.post("/sign-out")
    def leave() -> Answer:
        sign_out(doors.sessions)
        return redirect("/sign-in", 303)

    @page.post("/sign-out-everywhere")
    def leave_everywhere() -> Answer:
        doors.accounts.end_sessions(_me())
        sign_out(doors.sessions)
        return redirect("/sign-in", 303)

    @page.get("/invitation/<token>")
    def invitation(token: str) -> Response:
        user = doors.accounts.invited(token)
        return _invitation(user, {}) if user else _over()

    @page.post("/invitation/<token>")
    def accept(token: str) -> Response | Answer:
        return _accept(doors, token)

    server.register_blueprint(page)


def _me() -> User:
    user = signed_in()
    assert user, "the gate lets nobody else in"
    return user


def _account(user: User, faults: Faults | None = None, status: int = 200) -> Response:
    role = requested().say(ROLES[user.role])
    is_demo = user.user_id.startswith(PREFIX)  # whoever visits is the same; nobody shall sign out all of them
    done = request.args.get("done") == "password"
    return written("account.html", status, user=user, role=role, faults=faults or {}, done=done, is_demo=is_demo)


def _change_password(doors: Doors, user: User) -> Response | Answer:
    wait_s = doors.throttle.attempt(user.user_id, request.remote_addr or "")
    if wait_s:
        return _account(user, {"old": too_soon(wait_s)}, 429)
    if not doors.accounts.is_password(user, request.form.get("old", "")):
        return _account(user, {"old": requested().say(NOT_THE_OLD)}, 403)
    doors.throttle.forgive(user.user_id, request.remote_addr or "")
    faults = _faults(user)
    if faults:
        return _account(user, faults, 422)
    changed = doors.accounts.set_password(user, request.form["password"])
    if changed is None:
        return redirect("/account", 303)  # overtaken: signed out, or let in no more
    sign_in(doors.sessions, changed)  # everybody else who was signed in as them is not any more
    return redirect("/account?done=password", 303)


def _faults(user: User) -> Faults:
    """What is wrong with the new password of a form."""
    lang, password = requested(), request.form.get("password", "")
    fault = password_fault(password, user.email)
    if fault:
        return {"password": lang.say(fault)}
    return {} if password == request.form.get("again", "") else {"again": lang.say(NOT_THE_SAME)}


def _invitation(user: User, faults: Faults) -> Response:
    return written("invitation.html", 422 if faults else 200, user=user, faults=faults)


def _accept(doors: Doors, token: str) -> Response | Answer:
    user = doors.accounts.invited(token)
    if user is None:
        return _over()
    faults = _faults(user)
    if faults:
        return _invitation(user, faults)
    changed = doors.accounts.accept(token, request.form["password"])
    if changed is None:
        return _over()
    sign_in(doors.sessions, changed)
    return redirect("/", 303)


def _over() -> Response:
    return notice(404, OVER, OVER_SENTENCE, "/sign-in", text("Sign in"))
