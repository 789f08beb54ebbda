"""A household takes a meter: the code, the proof, the move; and what a stranger learns on the way."""

import time
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.intake import claims
from aggregator.intake.ingest import ingest
from aggregator.store.port import Store
from aggregator.support.audit import Audit
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.users import ADMIN, SUPPORT, User
from dashboard.pages.account import claim_page
from tests.dashboard.forms import Page
from tests.dashboard.people import accounts_on, browser, dashboard, somebody, token_in

CAD = "cad-1"
WRONG = "This code is not valid."


@pytest.fixture
def code(store: Store) -> str:
    store.put_device(Device(CAD, meter_point="1200012345678"))
    return claims.new_code(store, Device(CAD), int(time.time()))


@pytest.fixture
def ann(store: Store) -> User:
    return somebody(store, household="acacia")


@pytest.fixture
def client(store: Store, ann: User) -> FlaskClient:
    return browser(dashboard(store).server, store, ann)


def submit(client: FlaskClient, path: str = "", **fields: str) -> str:
    form = {"csrf": token_in(client.get("/account").text), **fields}
    return Page(client.post(f"/account/claim{path}", data=form, follow_redirects=True).text).words


def household_of(store: Store) -> str:
    device = store.device(CAD)
    assert device
    return device.household


def test_a_kettle_gives_the_meter_to_the_household(store: Store, client: FlaskClient, ann: User, code: str) -> None:
    now = int(time.time())
    store.put_live([Live(CAD, now, now, 212, None, None, None)])
    assert "Switch on the kettle" in submit(client, code=code)
    waiting = client.get("/account/claim")
    assert waiting.headers["Refresh"] == "4"
    assert "212" not in Page(waiting.text).words  # the power is nobody's business yet
    assert "Switch on the kettle" in submit(client, "/take")
    hashed = claims.find_code(store, code, now)
    assert hashed
    began = now - 100  # the window began before the readings
    store.put_record("claims", hashed.hashed, hashed._replace(began=began).body, expires=hashed.until)
    ingest(store, [Reading(CAD, began + 10 * n, w, None, None) for n, w in enumerate((200, 2300, 210), 1)], now, "UTC")
    assert "It was you." in Page(client.get("/account/claim").text).words
    assert household_of(store) == ""
    submit(client, "/take")
    assert household_of(store) == "acacia"
    (entry,) = Audit(store, []).entries(device_id=CAD)
    assert (entry.who.user_id, entry.reason) == (ann.user_id, "claimed with a code")
    assert entry.details["to household"] == "acacia"
    assert WRONG in submit(client, code=code)


def test_the_meters_number_gives_it_where_no_power_comes(store: Store, client: FlaskClient, code: str) -> None:
    assert "last four digits" in submit(client, code=code)
    assert "These are not the last four digits" in submit(client, "/number", digits="0000")
    assert "It was you." in submit(client, "/number", digits="5678")
    submit(client, "/take")
    assert household_of(store) == "acacia"


def test_the_number_proves_nothing_where_live_power_comes(store: Store, client: FlaskClient, code: str) -> None:
    now = int(time.time())
    store.put_live([Live(CAD, now, now, 212, None, None, None)])
    submit(client, code=code)
    assert "Switch on the kettle" in submit(client, "/number", digits="5678")


def test_somebody_without_a_household_gets_one_with_the_meter(store: Store, code: str) -> None:
    new = somebody(store, "new@example.org")
    client = browser(dashboard(store).server, store, new)
    submit(client, code=code)
    submit(client, "/number", digits="5678")
    submit(client, "/take")
    household = household_of(store)
    assert household.startswith("home-")
    assert [one["device_id"] for one in _signed_in(store, new).get("/api/v1/devices").get_json()["devices"]] == [CAD]


def _signed_in(store: Store, user: User) -> FlaskClient:
    found = accounts_on(store).user(user.user_id)
    return browser(dashboard(store).server, store, found)


def test_an_account_that_cannot_be_stored_takes_no_meter(
    store: Store, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(dashboard(store).server, store, somebody(store, "new@example.org"))
    submit(client, code=code)
    submit(client, "/number", digits="5678")

    def away(*_: object) -> None:
        raise StoreAway("another writes")

    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "change", away)
        submit(client, "/take")
    assert household_of(store) == ""
    submit(client, "/take")
    assert household_of(store).startswith("home-")


def test_a_claim_that_was_cut_off_ends_with_a_second_click(
    store: Store, client: FlaskClient, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(client, code=code)
    submit(client, "/number", digits="5678")

    def away(*_: object) -> None:
        raise StoreAway("another writes")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "drop_record", away)
        submit(client, "/take")
    assert "This meter belongs" not in submit(client, "/take")
    assert household_of(store) == "acacia"
    assert store.record("claims/newest", CAD) is None


def test_two_claims_of_a_person_at_once_end_in_one_household(
    store: Store, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = Device("cad-2", meter_point="1200012345678")
    store.put_device(second)
    new = somebody(store, "new@example.org")
    first, other = (browser(dashboard(store).server, store, new) for _ in range(2))  # in a process each
    for client, typed in ((first, code), (other, claims.new_code(store, second, int(time.time())))):
        submit(client, code=typed)
        submit(client, "/number", digits="5678")
    with monkeypatch.context() as patch:

        def meanwhile(_: int) -> str:
            patch.undo()
            submit(other, "/take")
            return "abcd1234"

        patch.setattr(claim_page, "secrets", SimpleNamespace(token_hex=meanwhile))
        submit(first, "/take")
    user = accounts_on(store).user(new.user_id)
    assert user
    assert user.household
    assert {one.device_id: one.household for one in store.devices()} == dict.fromkeys((CAD, "cad-2"), user.household)


def test_wrong_old_and_used_codes_get_the_same_answer(store: Store, client: FlaskClient, code: str) -> None:
    newer = claims.new_code(store, Device(CAD), int(time.time()))
    answers = {submit(client, code=typed) for typed in ("K7QF-3MZP-9XWD", code, "nonsense")}
    assert len(answers) == 1
    assert WRONG in answers.pop()
    assert "last four digits" in submit(client, code=newer)


def test_guesses_wait(client: FlaskClient, code: str) -> None:
    for _ in range(5):
        assert WRONG in submit(client, code="K7QF-3MZP-9XWD")
    assert "too many attempts" in submit(client, code=code)


def test_a_meter_with_a_household_is_refused_in_a_plain_word(store: Store, client: FlaskClient, code: str) -> None:
    store.put_device(Device(CAD, household="willow"))
    assert "This meter belongs to a household." in submit(client, code=code)
    assert household_of(store) == "willow"


def test_a_meter_that_is_given_away_meanwhile_stays_there(store: Store, client: FlaskClient, code: str) -> None:
    submit(client, code=code)
    submit(client, "/number", digits="5678")
    store.put_device(Device(CAD, household="willow"))
    assert "This meter belongs to a household." in submit(client, "/take")
    assert household_of(store) == "willow"


def test_nobody_goes_on_with_the_claim_of_another(store: Store, client: FlaskClient, code: str) -> None:
    submit(client, code=code)
    other = browser(dashboard(store).server, store, somebody(store, "eve@example.org", household="willow"))
    with client.session_transaction() as mine, other.session_transaction() as theirs:
        theirs["claim"] = mine["claim"]
    submit(other, "/number", digits="5678")
    submit(other, "/take")
    assert household_of(store) == ""


@pytest.mark.parametrize("role", [SUPPORT, ADMIN])
def test_staff_claim_nothing(store: Store, code: str, role: str) -> None:
    client = browser(dashboard(store).server, store, somebody(store, "desk@example.org", role))
    assert client.get("/account/claim").status_code == 404
    assert "There is no page" in submit(client, code=code)
