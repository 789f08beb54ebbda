"""Keys of the API, from the page that makes them to the list of who looked."""

import re

import pytest
from flask.testing import FlaskClient

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.intake import tokens
from aggregator.store.port import Store
from aggregator.support.audit import Audit, Who
from dashboard.accounts.api_keys import CHARTS, LIVE, MOST, NOTE_S, SCOPES, ApiKeys
from dashboard.accounts.users import ADMIN, SUPPORT, User
from tests.copies import Copy
from tests.dashboard import homes
from tests.dashboard.forms import Page
from tests.dashboard.people import Clock, accounts_on, browser, dashboard, somebody, token_in

KEY = re.compile(r"wattfall-key\.[\w.-]+")


def one_home(store: Store) -> None:
    homes.furnish_one(store, Device("cad-1", household="acacia", name="12 Acacia Road"), "2026-11-21")


@pytest.fixture
def store(copy: Copy) -> Store:
    return copy(one_home)


@pytest.fixture
def ann(store: Store) -> User:
    return somebody(store, household="acacia")


def keys_of(store: Store, clock: Clock | None = None) -> ApiKeys:
    return ApiKeys(store, accounts_on(store).user, Audit(store, []), clock or Clock())


def program(store: Store, key: str) -> FlaskClient:
    client: FlaskClient = dashboard(store).server.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return client


def submit(client: FlaskClient, path: str, **fields: object) -> str:
    form = {"csrf": token_in(client.get("/account/keys").text), **fields}
    return client.post(path, data=form, follow_redirects=True).text


# The page


def test_a_key_is_shown_once_and_is_not_in_the_store(store: Store, ann: User) -> None:
    client = browser(dashboard(store).server, store, ann)
    page = submit(client, "/account/keys", name="Home Assistant", scope=[CHARTS, LIVE])
    (key,) = KEY.findall(page)
    assert "Home Assistant" in page
    assert program(store, key).get("/api/v1/devices").get_json()["devices"][0]["device_id"] == "cad-1"
    later = client.get("/account/keys").text
    assert "Home Assistant" in later
    assert not KEY.search(later)
    assert key.rpartition(".")[2] not in str(store.record("api/keys", ann.user_id))


def test_a_revoked_key_ends_at_once_in_every_process(store: Store, ann: User) -> None:
    key, other = (keys_of(store).make(ann, name, SCOPES) for name in ("Kitchen display", "A script"))
    process, another = program(store, key), program(store, key)
    assert [one.get("/api/v1/devices").status_code for one in (process, another)] == [200, 200]
    client = browser(dashboard(store).server, store, ann)
    first = keys_of(store).of(ann)[0].key.key_id
    page = submit(client, f"/account/keys/{first}/revoke")
    assert ("Kitchen display" in Page(page).words, "A script" in page) == (False, True)
    assert [one.get("/api/v1/devices").status_code for one in (process, another)] == [401, 401]
    assert program(store, other).get("/api/v1/devices").status_code == 200


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"name": "", "scope": [LIVE]}, "Give the key a name"),
        ({"name": "x" * 81, "scope": [LIVE]}, "Give the key a name"),
        ({"name": "a\nb", "scope": [LIVE]}, "Give the key a name"),
        ({"name": "A script"}, "Choose what the key may read."),
        ({"name": "A script", "scope": ["everything"]}, "Choose what the key may read."),
    ],
)
def test_a_faulty_form_makes_no_key(store: Store, ann: User, fields: dict[str, object], fault: str) -> None:
    page = submit(browser(dashboard(store).server, store, ann), "/account/keys", **fields)
    assert fault in page
    assert keys_of(store).of(ann) == []


def test_a_person_has_a_bounded_number_of_keys(store: Store, ann: User) -> None:
    for number in range(MOST):
        keys_of(store).make(ann, f"program {number}", SCOPES)
    page = submit(browser(dashboard(store).server, store, ann), "/account/keys", name="one more", scope=[LIVE])
    assert "as many keys as one person may have" in page
    with pytest.raises(ConfigurationError, match="at most"):
        keys_of(store).make(ann, "one more", SCOPES)


@pytest.mark.parametrize("role", [SUPPORT, ADMIN])
def test_only_a_household_has_keys(store: Store, role: str) -> None:
    user = somebody(store, "desk@example.org", role)
    assert browser(dashboard(store).server, store, user).get("/account/keys").status_code == 404
    with pytest.raises(ConfigurationError, match="only a household has keys"):
        keys_of(store).make(user, "A script", SCOPES)


def test_another_site_makes_no_key(store: Store, ann: User) -> None:
    client = browser(dashboard(store).server, store, ann)
    client.environ_base["HTTP_ORIGIN"] = "https://evil.example"
    assert client.post("/account/keys", data={"name": "evil", "scope": LIVE}).status_code == 403
    assert keys_of(store).of(ann) == []


# What a key may


@pytest.mark.parametrize(("scope", "statuses"), [(CHARTS, [200, 200, 403]), (LIVE, [403, 403, 200])])
def test_a_key_reads_what_its_scope_has(store: Store, ann: User, scope: str, statuses: list[int]) -> None:
    client = program(store, keys_of(store).make(ann, "A script", [scope]))
    addresses = ("day/2026-11-22", "days?from=2026-11-22&to=2026-11-22", "live")
    assert [client.get(f"/api/v1/devices/cad-1/{one}").status_code for one in addresses] == statuses


@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wattfall-key.ann.wrong"}, {"Authorization": "Basic x"}])
def test_an_address_that_sends_no_valid_key_waits_and_known_keys_go_on(
    store: Store, ann: User, monkeypatch: pytest.MonkeyPatch, sent: dict[str, str]
) -> None:
    monkeypatch.setattr(tokens, "FULL", 5.0)
    monkeypatch.setattr(tokens, "REFILL_S", 0.001)
    client = dashboard(store).server.test_client()
    known = {"Authorization": f"Bearer {keys_of(store).make(ann, 'A script', SCOPES)}"}
    assert client.get("/api/v1/devices", headers=known).status_code == 200
    answers = [client.get("/api/v1/devices", headers=sent) for _ in range(6)]
    assert [one.status_code for one in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    with monkeypatch.context() as patch:
        patch.setattr(ApiKeys, "holder", lambda *_: pytest.fail("the store was read"))
        assert client.get("/api/v1/devices", headers=sent).status_code == 429
    assert client.get("/api/v1/devices", headers=known).status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.get("/api/v1/devices", headers=sent, environ_overrides=elsewhere).status_code == 401


def test_a_key_that_asks_too_often_waits(store: Store, ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FULL", 5.0)
    monkeypatch.setattr(tokens, "REFILL_S", 0.001)
    app = dashboard(store)
    client = app.server.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys_of(store).make(ann, 'A script', SCOPES)}"
    answers = [client.get("/api/v1/devices/nobody/live") for _ in range(7)]
    assert [one.status_code for one in answers] == [404] * 5 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert answers[-1].get_json()["title"] == "Too Many Requests"
    page = browser(app.server, store, ann).get("/account")
    assert page.status_code == 200  # the person's pages go on


def test_an_answer_is_asked_for_again_by_its_etag(store: Store, ann: User) -> None:
    client = program(store, keys_of(store).make(ann, "A script", SCOPES))
    first = client.get("/api/v1/devices/cad-1/month/2026-11")
    again = client.get("/api/v1/devices/cad-1/month/2026-11", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "private, no-cache"
    assert not [name for name, _ in first.headers if name.startswith("Access-Control-")]


def test_a_moved_home_is_hidden_from_who_knows_its_etag(store: Store, ann: User) -> None:
    client = program(store, keys_of(store).make(ann, "A script", SCOPES))
    mark = client.get("/api/v1/devices/cad-1/day/2026-11-22").headers["ETag"]
    store.put_device(Device("cad-1", household="willow"))
    again = client.get("/api/v1/devices/cad-1/day/2026-11-22", headers={"If-None-Match": mark})
    assert again.status_code == 404


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer ", "Basic abc", "Bearer wattfall-key", "Bearer wattfall-key..", "Bearer é"]
)
def test_without_a_key_the_answer_names_the_mend(store: Store, sent: str) -> None:
    answer = dashboard(store).server.test_client().get("/api/v1/devices", headers={"Authorization": sent})
    assert (answer.status_code, answer.mimetype) == (401, "application/problem+json")
    assert "a household makes keys at /account/keys" in answer.get_json()["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="wattfall"'


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/api/v1/nothing", 404), ("POST", "/api/v1/devices", 405)]
)
def test_every_fault_of_the_api_is_a_problem(store: Store, ann: User, method: str, path: str, status: int) -> None:
    answer = program(store, keys_of(store).make(ann, "A script", SCOPES)).open(path, method=method)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["status"] == status


# Who looked


def test_the_use_of_a_key_is_one_line_a_day_for_the_household(store: Store, ann: User) -> None:
    clock = Clock()
    keys = keys_of(store, clock)
    holder = keys.holder(keys.make(ann, "Home Assistant", SCOPES))
    assert holder
    device = Device("cad-1", household="acacia")
    for _ in range(200):  # more than a day, every ten minutes
        for _ in range(2):
            keys.note_use(holder, device)
        keys_of(store, clock).note_use(holder, device)  # another process
        clock.at += 2 * NOTE_S
    entries = [one for one in Audit(store, []).entries(device_id="cad-1") if one.action == "read"]
    assert (
        len(entries)
        == len({one.at // DAY_S for one in entries})
        == len({(clock.at - n * 600) // DAY_S for n in range(1, 201)})
    )
    assert keys.of(ann)[0].last_used == clock.at - 2 * NOTE_S
    page = Page(browser(dashboard(store).server, store, ann).get("/who-looked").text).words
    assert "Read the data · 12 Acacia Road · API key, Home Assistant" in page


def test_a_key_that_is_forgotten_with_its_person_leaves_no_name(store: Store, ann: User) -> None:
    keys = keys_of(store)
    holder = keys.holder(keys.make(ann, "Phone of Ann", SCOPES))
    assert holder
    keys.note_use(holder, Device("cad-1", household="acacia"))
    audit = Audit(store, [])
    assert next(audit.seen_by_staff(Device("cad-1"))).by == "key, Phone of Ann"
    audit.forget(Who("op", "op@example.org", SUPPORT), ann.user_id, "asked for it", Clock().at)
    assert "Ann" not in next(audit.seen_by_staff(Device("cad-1"))).by
