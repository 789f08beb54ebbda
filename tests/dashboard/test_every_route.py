"""Access to every route and callback of the running app, tried by everybody who may not see a home.

A new route fails here until it is classified, and then until it obeys its class.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from aggregator.core.documents import Device, Part
from aggregator.core.periods import HALF_HOUR
from aggregator.settings import load
from aggregator.store.port import Store
from aggregator.support import actions, audit
from aggregator.support.audit import Audit, Who
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.accounts.sessions import LIFETIMES, Sessions
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User
from dashboard.app import create_app
from dashboard.web.responses import CALLBACKS as CALLBACK_PATH
from tests.dashboard import homes
from tests.dashboard.people import SECRET, Clock, accounts_on, browser, somebody, token_in

PUBLIC = "public"  # everybody
SIGNED_IN = "signed in"  # signed-in users; the same for all, or about themselves
OWN = "own"  # the viewers of one home
DESK = "desk"  # support: finds every home by its labels, and sees energy only after a look-up
MANAGERS = "managers"  # account managers: the registry and the accounts, and no energy
ROUTES = {
    "GET /assets/<path:filename>": PUBLIC,
    "GET /assets/page.css": PUBLIC,
    "GET /assets/page.js": PUBLIC,
    "GET /_dash-component-suites/<string:package_name>/<path:fingerprinted_path>": PUBLIC,
    "GET /_favicon.ico": PUBLIC,
    "GET /health": PUBLIC,
    "GET /ready": PUBLIC,
    "GET /metrics": PUBLIC,  # needs a token, which nobody here has
    "GET /sign-in": PUBLIC,
    "POST /sign-in": PUBLIC,
    "POST /sign-in/demo": PUBLIC,
    "GET /sign-in/code": PUBLIC,  # needs a right password before, in the same browser
    "POST /sign-in/code": PUBLIC,
    "GET /sign-in/second-factor": PUBLIC,
    "POST /sign-in/second-factor": PUBLIC,
    "GET /account/second-factor": SIGNED_IN,
    "POST /account/second-factor": SIGNED_IN,
    "GET /invitation/<token>": PUBLIC,
    "POST /invitation/<token>": PUBLIC,
    "POST /ingest": PUBLIC,  # needs a device's token, which nobody here has, and reveals nothing of a home
    "GET /static/<path:filename>": SIGNED_IN,
    "GET /": SIGNED_IN,
    "GET /<path:path>": SIGNED_IN,
    "GET /_dash-layout": SIGNED_IN,
    "GET /_dash-dependencies": SIGNED_IN,
    "GET /_reload-hash": SIGNED_IN,
    "GET /account": SIGNED_IN,
    "GET /account/everything": SIGNED_IN,
    "GET /account/everything.zip": SIGNED_IN,
    "GET /account/claim": SIGNED_IN,
    "POST /account/claim": SIGNED_IN,
    "POST /account/claim/again": SIGNED_IN,
    "POST /account/claim/number": SIGNED_IN,
    "POST /account/claim/take": SIGNED_IN,
    "POST /account/erase": SIGNED_IN,
    "POST /account/keep": SIGNED_IN,
    "GET /account/keys": SIGNED_IN,
    "POST /account/keys": SIGNED_IN,
    "POST /account/keys/<key_id>/revoke": SIGNED_IN,
    "POST /account/password": SIGNED_IN,
    "POST /sign-out": SIGNED_IN,
    "POST /sign-out-everywhere": SIGNED_IN,
    "POST /_dash-update-component": OWN,
    "GET /api": PUBLIC,
    "GET /api/v1/openapi.json": PUBLIC,
    "GET /api/<path:_>": SIGNED_IN,
    "GET /api/v1/devices": SIGNED_IN,
    "GET /api/v1/devices/<device_id>/days": OWN,
    "GET /api/v1/devices/<device_id>/days.csv": OWN,
    "GET /api/v1/devices/<device_id>/live": OWN,
    "GET /api/v1/devices/<device_id>/<level>/<period>": OWN,
    "GET /api/v1/devices/<device_id>/<level>/<period>.csv": OWN,
    "GET /d/<device_id>/<level>/<period>/picture.json": OWN,
    "GET /d/<device_id>/history": OWN,
    "POST /d/<device_id>/history": OWN,
    "POST /d/<device_id>/history/file": OWN,
    "GET /d/<device_id>/tariff": OWN,
    "POST /d/<device_id>/tariff": OWN,
    "GET /who-looked": SIGNED_IN,
    "GET /desk": DESK,
    "GET /desk/search.json": DESK,
    "GET /desk/attention": DESK,
    "GET /desk/attention.csv": DESK,
    "GET /desk/fleet/<group>": DESK,
    "GET /desk/audit": DESK,
    "GET /desk/device/<device_id>": DESK,
    "POST /desk/device/<device_id>": DESK,
    "POST /desk/device/<device_id>/leave": DESK,
    "GET /desk/device/<device_id>/note": DESK,
    "POST /desk/device/<device_id>/note": DESK,
    "GET /desk/device/<device_id>/rebuild": DESK,
    "POST /desk/device/<device_id>/rebuild": DESK,
    "GET /desk/device/<device_id>/exchange": DESK,
    "POST /desk/device/<device_id>/exchange": DESK,
    "GET /desk/device/<device_id>/bundle": DESK,
    "POST /desk/device/<device_id>/bundle": DESK,
    "GET /admin": MANAGERS,
    "GET /admin/device": MANAGERS,
    "POST /admin/device": MANAGERS,
    "GET /admin/person": MANAGERS,
    "POST /admin/person": MANAGERS,
    "GET /admin/upload": MANAGERS,
    "POST /admin/upload": MANAGERS,
}
CALLBACKS = {  # by their inputs
    "url.pathname url.search wanted.data refresh.data": OWN,
    "tick.data": OWN,
}
STAMP = re.compile(r"\?m=[\d.]+|m\d{10}")  # a file's time stamp, which may look like a figure
# inputs of callbacks that run in the browser only
IN_THE_BROWSER = {"since.n_clicks live.data", "beat.n_intervals", "shown.data", "words.data"}

THEIRS, GHOST = "cad-their", "cad-ghost"  # another household's home, and a missing one; equally long
DAY = "2026-11-22"
NAME = "Villa Geheimnis"
POWER_W, HALF_HOUR_WH = 31_337, 7_331  # constant
ENERGY = ("31337", "31,337", "31.3", "7331", "7,331", "7.33", "14.66", "351.8", "351888", "166.3", "0.4711", "47.1")
LABELS = ("willow", NAME)


class Home(NamedTuple):
    app: Dash
    store: Store
    owner: User


@pytest.fixture
def home(store: Store) -> Home:
    """An app on two homes of two households; every fact about one of them is recognizable."""
    homes.furnish_one(store, Device("cad-own", household="acacia"), DAY)
    device = Device(
        THEIRS,
        household="willow",
        name=NAME,
        serial="willow-serial",
        meter_point="willow-meter",
        postcode="willow-code",
        tariff=homes.tariff("0.4711"),
    )
    homes.furnish_one(store, device, DAY, lambda _: Part(HALF_HOUR_WH, 0, covered_s=HALF_HOUR), POWER_W)
    app = create_app(load({"WATTFALL_SECRET": SECRET}), store, lambda: homes.NOW)
    with app.server.test_request_context():
        app.index()  # type: ignore[no-untyped-call] # Dash adds addresses with the first page
    return Home(app, store, somebody(store, "owner@example.org", household="willow"))


# Visitors


def signed_out(home: Home) -> FlaskClient:
    return browser(home.app.server, home.store)


def of_another_household(home: Home) -> FlaskClient:
    return browser(home.app.server, home.store, somebody(home.store, household="acacia"))


def of_no_household(home: Home) -> FlaskClient:
    return browser(home.app.server, home.store, somebody(home.store))


def disabled(home: Home) -> FlaskClient:
    client = browser(home.app.server, home.store, home.owner)
    Accounts.disable(accounts_on(home.store), home.owner)
    return client


def signed_out_elsewhere(home: Home) -> FlaskClient:
    client = browser(home.app.server, home.store, home.owner)
    Accounts.end_sessions(accounts_on(home.store), home.owner)
    return client


def too_long_away(home: Home) -> FlaskClient:
    clock = Clock()
    clock.at -= LIFETIMES[HOUSEHOLD].longest_s
    client = browser(home.app.server, home.store)
    token = Sessions(home.store, lambda _: home.owner, clock).begin(home.owner)
    with client.session_transaction() as kept:
        kept["_user_id"] = token
    return client


def moved_out(home: Home) -> FlaskClient:
    client = browser(home.app.server, home.store, home.owner)
    accounts_on(home.store).change(home.owner, lambda one: replace(one, household="acacia"))
    return client


def of_the_desk_without_a_look_up(home: Home) -> FlaskClient:
    desk = somebody(home.store, "desk@example.org", SUPPORT)
    actions.look_up(Audit(home.store, []), who(desk), "cad-own", "the customer called", Clock().at)
    return browser(home.app.server, home.store, desk)


def of_the_desk_after_their_look_up(home: Home) -> FlaskClient:
    desk = somebody(home.store, "desk@example.org", SUPPORT)
    actions.look_up(
        Audit(home.store, []), who(desk), THEIRS, "the customer called", Clock().at - audit.GRANT_HOURS * 3600
    )
    return browser(home.app.server, home.store, desk)


def who_manages_accounts(home: Home) -> FlaskClient:
    return browser(home.app.server, home.store, somebody(home.store, "admin@example.org", ADMIN))


def forged_visitor_of_a_demo(home: Home) -> FlaskClient:
    return browser(home.app.server, home.store, User("demo/willow", household="willow"))


def who(user: User) -> Who:
    return Who(user.user_id, user.email, user.role, user.name)


OF_THE_DESK: list[Callable[[Home], FlaskClient]] = [of_the_desk_without_a_look_up, of_the_desk_after_their_look_up]
NOT_OF_THE_DESK: list[Callable[[Home], FlaskClient]] = [of_another_household, of_no_household, who_manages_accounts]
STRANGERS: list[Callable[[Home], FlaskClient]] = [
    *(of_another_household, of_no_household, moved_out, who_manages_accounts, *OF_THE_DESK)
]
OUTSIDERS: list[Callable[[Home], FlaskClient]] = [
    *(signed_out, disabled, signed_out_elsewhere, too_long_away, forged_visitor_of_a_demo),
]


# Their requests


class Place(NamedTuple):
    """The period of a home that the requests are about, and what they ask of it."""

    level: str = "day"
    period: str = DAY
    path: str = ""  # after the device's, of the page
    search: str = "unit=money"
    first: str = DAY
    last: str = DAY


HERE = Place()


class Try(NamedTuple):
    """One request about a home; `ask` sends it."""

    what: str
    kind: str
    ask: Callable[[FlaskClient, str], TestResponse]


def tries(app: Dash, at: Place = HERE) -> Iterator[Try]:
    """Return every request that the app knows, those that end a session last."""
    for rule in sorted(app.server.url_map.iter_rules(), key=lambda rule: "sign-out" in rule.rule):
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            name = f"{method} {rule.rule}"
            if rule.rule == CALLBACK_PATH:
                yield from callbacks(app, at)
            else:
                yield Try(name, ROUTES[name], sender(app, method, rule, at))


def sender(app: Dash, method: str, rule: Rule, at: Place) -> Callable[[FlaskClient, str], TestResponse]:
    def ask(client: FlaskClient, device_id: str) -> TestResponse:
        known = {"device_id": device_id, "level": at.level, "period": at.period, "path": f"d/{device_id}{at.path}"}
        known["token"] = device_id
        values = {name: known.get(name, "nothing") for name in rule.arguments}
        address = app.server.url_map.bind("localhost").build(rule.endpoint, values, method)
        if method == "GET":
            asked = {"unit": "money", "next": f"/d/{device_id}", "q": device_id, "from": at.first, "to": at.last}
            return client.get(address, query_string=asked, buffered=True)  # an open stream counts as one at work
        token = token_in(client.get("/account", follow_redirects=True).text)
        confirmed = {"action": "confirm", "tariff": "", "made-against": "another tariff"}
        own = sha256(f"{token} {address}".encode()).hexdigest()[:32]  # the token of a file, which stands in its address
        sent = {"csrf": token, "choice": "willow", "device": device_id, **confirmed}
        return client.post(address, query_string={"csrf": own} if address.endswith("/file") else {}, data=sent)

    return ask


def callbacks(app: Dash, at: Place) -> Iterator[Try]:
    for output, callback in app.callback_map.items():
        inputs = " ".join(named(one) for one in callback["inputs"])
        if inputs not in IN_THE_BROWSER:
            yield Try(inputs, CALLBACKS[inputs], caller(output, callback, at))


def named(slot: Mapping[str, Any]) -> str:
    return f"{slot['id']}.{slot['property']}"


def caller(output: str, callback: Mapping[str, Any], at: Place) -> Callable[[FlaskClient, str], TestResponse]:
    """A callback with a forged payload; every value is about the device."""

    def ask(client: FlaskClient, device_id: str) -> TestResponse:
        forged: dict[str, object] = {
            "pathname": f"/d/{device_id}{at.path}",
            "search": f"?{at.search}&device_id={device_id}",
            "shown": {"device": device_id},
        }

        def value(one: Mapping[str, Any]) -> dict[str, Any]:
            return {**one, "value": forged.get(one["id"], forged.get(one["property"], device_id))}

        outputs = [slot.split(".") for slot in output.strip(".").split("...")]
        payload = {
            "output": output,
            "outputs": [{"id": slot, "property": prop} for slot, prop in outputs],
            "inputs": [value(one) for one in callback["inputs"]],
            "state": [value(one) for one in callback["state"]],
            "changedPropIds": [named(one) for one in callback["inputs"]],
        }
        return client.post(CALLBACK_PATH, json=payload)

    return ask


def told(answer: TestResponse) -> str:
    """Return everything in an answer: its text, raw and unescaped, and its headers."""
    content = STAMP.sub("", answer.get_data().decode(errors="replace"))
    plain = json.dumps(json.loads(content), ensure_ascii=False) if answer.is_json else content
    return f"{answer.status} {answer.headers} {content} {plain}"


def traces(answer: TestResponse) -> list[str]:
    return [trace for trace in (*ENERGY, *LABELS) if trace in told(answer)]


def test_every_address_and_every_callback_is_classified(home: Home) -> None:
    rules = home.app.server.url_map.iter_rules()
    found = {f"{method} {rule.rule}" for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert found == ROUTES.keys()
    inputs = {" ".join(named(one) for one in callback["inputs"]) for callback in home.app.callback_map.values()}
    assert inputs == CALLBACKS.keys() | IN_THE_BROWSER


def test_residents_see_their_home_through_every_route(home: Home) -> None:
    for one in tries(home.app):
        client = browser(home.app.server, home.store, home.owner)
        answer = one.ask(client, THEIRS)
        assert one.kind != OWN or traces(answer), one.what


@pytest.mark.parametrize("come", STRANGERS + OUTSIDERS)
def test_nobody_else_sees_or_changes_a_byte_of_a_home(home: Home, come: Callable[[Home], FlaskClient]) -> None:
    before = home.store.device(THEIRS)
    client = come(home)
    refused = drop_tariff(home, client)
    assert refused.status_code == 404 or refused.location.startswith("/sign-in")
    for one in tries(home.app):
        answer = one.ask(client, THEIRS)
        is_manager = one.kind == MANAGERS and come is who_manages_accounts
        may_know = LABELS if is_manager or (one.kind == DESK and come in OF_THE_DESK) else ()
        assert (one.what, [trace for trace in traces(answer) if trace not in may_know]) == (one.what, [])
        if come in OUTSIDERS and one.kind != PUBLIC:  # they get no further than the door
            is_led = answer.status_code == 303 and answer.location.startswith("/sign-in")
            assert is_led or answer.status_code == 401, one.what
        if come in STRANGERS and (one.kind == OWN or (one.kind == DESK and come not in OF_THE_DESK)):
            assert_as_if_there_were_none(one, answer, client)
        if (one.kind == DESK and come in NOT_OF_THE_DESK) or (
            one.kind == MANAGERS and come in STRANGERS and not is_manager
        ):
            assert answer.status_code == 404, one.what
    assert home.store.device(THEIRS) == before


def assert_as_if_there_were_none(one: Try, theirs: TestResponse, client: FlaskClient) -> None:
    """An unauthorized home looks like a missing one."""
    ghost = one.ask(client, GHOST)
    assert theirs.status == ghost.status, one.what
    assert theirs.get_data() == ghost.get_data().replace(GHOST.encode(), THEIRS.encode()), one.what
    assert str(theirs.headers) == str(ghost.headers).replace(GHOST, THEIRS), one.what


def test_residents_change_their_home(home: Home) -> None:
    drop_tariff(home, browser(home.app.server, home.store, home.owner))
    device = home.store.device(THEIRS)
    assert device
    assert device.tariff == ""


def drop_tariff(home: Home, client: FlaskClient) -> TestResponse:
    device = home.store.device(THEIRS)
    assert device
    mark = sha256(device.tariff.encode()).hexdigest()[:16]  # as in the form
    token = token_in(client.get("/account", follow_redirects=True).text)
    fields = {"csrf": token, "action": "confirm", "tariff": "", "made-against": mark}
    return client.post(f"/d/{THEIRS}/tariff", data=fields)


def test_support_sees_a_looked_up_home_and_changes_nothing(home: Home) -> None:
    desk = somebody(home.store, "desk@example.org", SUPPORT)
    actions.look_up(Audit(home.store, []), who(desk), THEIRS, "the customer called", Clock().at)
    client = browser(home.app.server, home.store, desk)
    for one in tries(home.app):
        if one.kind == OWN and "tariff" not in one.what:
            assert traces(one.ask(client, THEIRS)), one.what
    assert client.get(f"/d/{THEIRS}/tariff").status_code == 403


def test_the_cache_leaks_nothing_between_households(home: Home) -> None:
    owner = browser(home.app.server, home.store, home.owner)
    stranger = of_another_household(home)
    for one in tries(home.app):
        if one.kind == OWN:
            assert traces(one.ask(owner, THEIRS)), one.what
            assert traces(one.ask(stranger, THEIRS)) == [], one.what
            assert traces(one.ask(owner, THEIRS)), one.what


# API keys


def keys_on(home: Home) -> ApiKeys:
    return ApiKeys(home.store, accounts_on(home.store).user, Audit(home.store, []), Clock())


def with_key(home: Home, key: str, user: User | None = None) -> FlaskClient:
    client = browser(home.app.server, home.store, user)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


def key_of_the_owner(home: Home) -> str:
    return keys_on(home).make(home.owner, "Home Assistant", SCOPES)


def key_of_another_household(home: Home) -> str:
    other = somebody(home.store, "other@example.org", household="acacia")
    return keys_on(home).make(other, "Home Assistant", SCOPES)


def revoked_key(home: Home) -> str:
    key = key_of_the_owner(home)
    (use,) = keys_on(home).of(home.owner)
    keys_on(home).revoke(home.owner, use.key.key_id)
    return key


def key_of_somebody_who_moved_out(home: Home) -> str:
    key = key_of_the_owner(home)
    accounts_on(home.store).change(home.owner, lambda one: replace(one, household="acacia"))
    return key


def key_of_a_disabled_account(home: Home) -> str:
    key = key_of_the_owner(home)
    accounts_on(home.store).disable(home.owner)
    return key


def altered_key(home: Home) -> str:
    return key_of_the_owner(home)[:-1] + "~"


@pytest.mark.parametrize(
    "make",
    [
        *(key_of_another_household, revoked_key, key_of_somebody_who_moved_out),
        *(key_of_a_disabled_account, altered_key),
    ],
)
def test_no_key_but_the_owners_reads_a_byte_of_a_home(home: Home, make: Callable[[Home], str]) -> None:
    client = with_key(home, make(home))
    for one in tries(home.app):
        answer = one.ask(client, THEIRS)
        assert (one.what, traces(answer)) == (one.what, [])
        if "/api/v1/devices" in one.what:
            if make is key_of_another_household and one.kind == OWN:
                assert_as_if_there_were_none(one, answer, client)
            elif make is not key_of_another_household:
                assert answer.status_code == 401, one.what


def test_the_owners_key_reads_the_api_and_opens_nothing_else(home: Home) -> None:
    client = with_key(home, key_of_the_owner(home))
    for one in tries(home.app):
        answer = one.ask(client, THEIRS)
        is_api = one.what.startswith("GET /api/v1/devices")
        assert bool(traces(answer)) is is_api, one.what
        if one.kind != PUBLIC and "/api/" not in one.what:
            assert answer.status_code == 401 or answer.location.startswith("/sign-in"), one.what


def test_a_wrong_key_counts_more_than_the_session_beside_it(home: Home) -> None:
    client = with_key(home, altered_key(home), home.owner)
    assert client.get(f"/api/v1/devices/{THEIRS}/live").status_code == 401
    other = with_key(home, key_of_another_household(home), home.owner)
    assert other.get(f"/api/v1/devices/{THEIRS}/live").status_code == 404
