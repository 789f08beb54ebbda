"""API keys at `/account/keys`: a household makes them, sees when each was used last, and revokes them.

A new key is in the answer to its form alone, so that neither an address nor a session ever holds it.
"""

from flask import Blueprint, Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as Answer

from aggregator.core.errors import ConfigurationError
from aggregator.support.audit import Who
from dashboard.accounts.api_keys import CHARTS, LIVE, MOST, ApiKeys
from dashboard.accounts.sessions import signed_in
from dashboard.accounts.users import HOUSEHOLD, LONGEST_NAME, User
from dashboard.api.openapi import SCOPE_SAID
from dashboard.pages.account.sign_in_page import AuthServices
from dashboard.text.language import text
from dashboard.text.words import since
from dashboard.web.responses import reader_language, render

SCOPES = {
    CHARTS: text("charts: days, months and years, and tables of them"),
    LIVE: text("the power now"),
}
NO_NAME = text("Give the key a name of up to 80 characters, by which you know the program again.")
NOTHING = text("Choose what the key may read.")
TOO_MANY = text("You have as many keys as one person may have. Revoke one first.")
Faults = dict[str, str]  # control -> its fault


def add_routes(server: Flask, services: AuthServices) -> None:
    """Add the routes to a server."""
    page = Blueprint("keys", __name__, url_prefix="/account/keys")

    @page.get("")
    def keys() -> Response:
        return _page(services.keys, _member())

    @page.post("")
    def make() -> Response:
        return _make(services, _member())

    @page.post("/<key_id>/revoke")
    def revoke(key_id: str) -> Answer:
        user = _member()
        _record(services, user, "API key revoked")
        services.keys.revoke(user, key_id)
        return redirect("/account/keys", 303)

    server.register_blueprint(page)


def _member() -> User:
    """Return the member of a household who asks. Aborts with 404 for everybody else, as at a missing page."""
    user = signed_in()
    if user is None or user.role != HOUSEHOLD or not user.household:
        abort(404)
    return user


def _make(services: AuthServices, user: User) -> Response:
    name, scopes = request.form.get("name", "").strip(), request.form.getlist("scope")
    faults = _faults(services.keys, user, name, scopes)
    if faults:
        return _page(services.keys, user, faults, name=name, scopes=scopes, status=422)
    _record(services, user, "API key made")
    try:
        key = services.keys.make(user, name, scopes)
    except ConfigurationError:  # another request made the last one meanwhile
        return _page(services.keys, user, {"name": TOO_MANY}, name=name, scopes=scopes, status=422)
    return _page(services.keys, user, made=key)


def _faults(keys: ApiKeys, user: User, name: str, scopes: list[str]) -> Faults:
    faults: Faults = {}
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        faults["name"] = NO_NAME
    elif len(keys.of(user)) >= MOST:
        faults["name"] = TOO_MANY
    if not set(scopes) & SCOPES.keys():
        faults["scope"] = NOTHING
    return faults


def _record(services: AuthServices, user: User, reason: str) -> None:
    """Write down what a person is about to do with a key; the demo's visitors are nobody in particular."""
    if not user.is_visitor:
        who = Who(user.user_id, user.email, user.role, user.name)
        services.audit.append(who, "account", "", reason, services.keys.clock())


def _page(
    keys: ApiKeys,
    user: User,
    faults: Faults | None = None,
    *,
    name: str = "",
    scopes: list[str] | None = None,
    made: str = "",
    status: int = 200,
) -> Response:
    lang, now, zone = reader_language(), keys.clock(), _zone(keys, user)
    listed = [
        {
            "id": use.key.key_id,
            "name": use.key.name,
            "may": "; ".join(lang.say(SCOPE_SAID[scope]) for scope in use.key.scopes),
            "made": since(use.key.made_at, now, zone, lang),
            "used": since(use.last_used, now, zone, lang) if use.last_used else "",
        }
        for use in keys.of(user)
    ]
    said = {control: lang.say(fault) for control, fault in (faults or {}).items()}
    chosen = [CHARTS, LIVE] if scopes is None else scopes
    return render(
        "account_keys.html", status, keys=listed, faults=said, name=name, scopes=SCOPES, chosen=chosen, made=made
    )


def _zone(keys: ApiKeys, user: User) -> str:
    """Return the time zone of a household's first device."""
    devices = keys.store.household_devices(user.household)
    device = keys.store.device(devices[0]) if devices else None
    return device.timezone if device else "UTC"
