"""The pages of account managers: devices, households, people, and the upload of a file."""

import ast
import inspect
import io
import re
import time
from dataclasses import replace
from types import ModuleType

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.intake.claims import find_code
from aggregator.store import occupancies
from aggregator.store.port import Store
from aggregator.support.actions import make_code
from aggregator.support.audit import Audit, Who
from dashboard.accounts import provision_rows, provisioning, users
from dashboard.accounts.users import ADMIN, User
from dashboard.pages.admin import admin_pages
from tests.dashboard.forms import Page
from tests.dashboard.people import PASSWORD, SECRET, accounts_on, browser, dashboard, somebody

CSV = "device,household,email\ncad-1,acacia,ann@example.org\ncad-2,oak,nobody\n"


@pytest.fixture
def manager(store: Store) -> User:
    return somebody(store, "max@example.org", ADMIN)


@pytest.fixture
def client(store: Store, manager: User) -> FlaskClient:
    return browser(dashboard(store).server, store, manager)


def post(client: FlaskClient, address: str, **fields: str) -> TestResponse:
    page = Page(client.get("/admin/upload").text)
    return client.post(address, data={"csrf": page.sent["csrf"], **fields})


def upload(client: FlaskClient, content: bytes) -> TestResponse:
    token = Page(client.get("/admin/upload").text).sent["csrf"]
    return client.post("/admin/upload", data={"csrf": token, "file": (io.BytesIO(content), "homes.csv")})


def link_in(answer: TestResponse) -> str:
    (found,) = Page(answer.text).having(readonly="", type="text")
    return found["value"].rpartition("/")[2]


def test_the_start_page_leads_a_manager_to_homes_and_people(client: FlaskClient, store: Store) -> None:
    store.put_device(Device("cad-1", household="acacia", name="12 Acacia Road"))
    somebody(store, "ann@example.org", household="acacia")
    assert client.get("/").location == "/admin"
    words = Page(client.get("/admin").text).words
    assert "12 Acacia Road" in words
    assert "ann@example.org" in words
    found = Page(client.get("/admin?q=ANN").text).words
    assert "ann@example.org" in found
    assert "max@example.org" not in found
    assert "12 Acacia Road" in Page(client.get("/admin?q=acacia").text).words


def test_a_device_is_added_and_moved_in_forms(client: FlaskClient, store: Store) -> None:
    added = post(client, "/admin/device", device="cad-1", kind="gas", timezone="Europe/Berlin", household="acacia")
    assert added.location == "/admin/device?id=cad-1&done=made"
    page = Page(client.get(added.location).text)
    assert "Added." in page.words
    refused = post(client, "/admin/device", known="yes", device="cad-1", household="oak")
    assert refused.status_code == 422
    assert "fill in `from`, the first day of oak" in Page(refused.text).words
    moved = post(client, "/admin/device", known="yes", device="cad-1", household="oak", **{"from": "2026-03-01"})
    assert moved.location == "/admin/device?id=cad-1&done=moved"
    assert "oak since 2026-03-01" in Page(client.get(moved.location).text).words
    device = store.device("cad-1")
    assert device
    assert (device.kind, device.household, device.timezone) == ("gas", "oak", "Europe/Berlin")


def test_a_new_person_gets_a_link_that_is_shown_once(client: FlaskClient, store: Store) -> None:
    answer = post(client, "/admin/person", email="ann@example.org", person="Ann", household="acacia", role="household")
    user = accounts_on(store).accept(link_in(answer), PASSWORD)
    assert user
    assert (user.name, user.household) == ("Ann", "acacia")
    assert not Page(client.get("/admin/person?email=ann@example.org").text).having(readonly="")


def test_access_is_ended_and_given_again(client: FlaskClient, store: Store) -> None:
    ann = somebody(store, "ann@example.org", household="acacia")
    post(client, "/admin/person", email=ann.email, action="disable")
    assert replace(accounts_on(store).user(ann.user_id) or ann, session_epoch=0).is_disabled
    assert post(client, "/admin/person", email=ann.email, action="invite").status_code == 400
    post(client, "/admin/person", email=ann.email, action="enable")
    assert accounts_on(store).invited(link_in(post(client, "/admin/person", email=ann.email, action="invite")))
    epoch = (accounts_on(store).user(ann.user_id) or ann).session_epoch
    post(client, "/admin/person", email=ann.email, action="sign-out")
    assert (accounts_on(store).user(ann.user_id) or ann).session_epoch == epoch + 1


@pytest.mark.parametrize("email", ["a+b@example.org", "a&b=c#d%e@example.org"])
def test_an_address_with_any_sign_comes_back_to_its_person(client: FlaskClient, store: Store, email: str) -> None:
    somebody(store, email, household="acacia")
    for fields in ({"action": "disable"}, {"action": "enable"}, {"person": "Ann"}):
        answer = post(client, "/admin/person", known="yes", email=email, **fields)
        assert answer.status_code == 303
        page = client.get(answer.location)
        assert page.status_code == 200
        assert email in Page(page.text).words


def test_managers_cannot_disable_themselves(client: FlaskClient, store: Store, manager: User) -> None:
    assert post(client, "/admin/person", email=manager.email, action="disable").status_code == 422
    assert accounts_on(store).user(manager.user_id) == manager


def test_managers_change_their_own_role_in_no_form(client: FlaskClient, store: Store, manager: User) -> None:
    for sent in (
        post(client, "/admin/person", known="yes", email="Max@example.org", role="household", household="acacia"),
        post(client, "/admin/person", email=manager.email, role="support"),
    ):
        assert sent.status_code == 422
        assert "is your own account; another account manager changes its role" in Page(sent.text).words
    assert accounts_on(store).user(manager.user_id) == manager
    post(client, "/admin/person", known="yes", email=manager.email, role="admin", person="Maxine")
    assert (accounts_on(store).user(manager.user_id) or manager).name == "Maxine"


def test_an_upload_tells_and_changes_nothing_of_the_managers_own_role(
    client: FlaskClient, store: Store, manager: User
) -> None:
    rows = "email,person,role,household\nmax@example.org,Maxine,,\nmax@example.org,,household,acacia\n"
    fault = "Line 3 max@example.org is your own account"
    assert fault in Page(upload(client, rows.encode()).text).words
    assert fault in Page(post(client, "/admin/upload", action="confirm", rows=rows).text).words
    user = accounts_on(store).user(manager.user_id)
    assert user
    assert (user.name, user.role, user.household) == ("Maxine", ADMIN, "")


def test_everything_a_manager_does_is_audited_under_their_name(client: FlaskClient, store: Store) -> None:
    post(client, "/admin/person", email="ann@example.org", household="acacia")
    post(client, "/admin/person", email="ann@example.org", action="sign-out")
    post(client, "/admin/device", device="cad-1", household="acacia")
    post(client, "/admin/device", known="yes", device="cad-1", serial="WF1")
    found = [(one.who.email, one.action, one.device_id) for one in reversed(Audit(store, [SECRET]).entries())]
    assert found == [
        ("max@example.org", "provision", ""),
        ("max@example.org", "account", ""),
        ("max@example.org", "provision", ""),
        ("max@example.org", "device", "cad-1"),
    ]


def test_a_file_is_reported_first_and_carried_out_when_confirmed(client: FlaskClient, store: Store) -> None:
    shown = Page(upload(client, CSV.encode("utf-8-sig")).text)
    assert "What this file would do" in shown.words
    assert "Line 3 'nobody' is not an e-mail address" in shown.words
    assert list(store.devices()) == []
    done = post(client, "/admin/upload", action="confirm", rows=CSV)
    assert "Done" in Page(done.text).words
    assert [one.device_id for one in store.devices()] == ["cad-1"]
    token = done.text.partition("/invitation/")[2].partition("\n")[0]
    assert accounts_on(store).accept(token, PASSWORD)
    again = Page(post(client, "/admin/upload", action="confirm", rows=CSV).text).words
    assert "Nothing has been changed: all of this was so already." in again


def test_listed_devices_get_codes_that_are_shown_once(client: FlaskClient, store: Store) -> None:
    store.put_device(Device("cad-1"))
    store.put_device(Device("cad-2", household="acacia"))
    page = Page(codes(client, "cad-1\n\ncad-2, cad-3\ncad-1;cad-4 12 Acacia Road\n").text)
    rows = [line.partition(",") for line in page.words.split() if line.count("-") == 3]
    assert [device_id for device_id, _, _ in rows] == ["cad-1", "cad-3"]
    claims = [find_code(store, code, int(time.time())) for _, _, code in rows]
    assert [one and one.device_id for one in claims] == ["cad-1", "cad-3"]
    assert "2 rows are refused Line 3 cad-2 belongs to acacia" in page.words
    assert "Line 4 'cad-4 12 Acacia Road' is no device id" in page.words
    assert [one.device_id for one in store.devices()] == ["cad-1", "cad-2", "cad-3"]
    assert [(one.who.email, one.device_id) for one in Audit(store, [SECRET]).entries()] == [
        ("max@example.org", "cad-3"),
        ("max@example.org", "cad-1"),
    ]
    for devices, fault in (("", "Name the devices."), (",".join(map(str, range(1001))), "`wattfall device code`")):
        answer = codes(client, devices)
        assert answer.status_code == 422
        assert fault in Page(answer.text).words


def codes(client: FlaskClient, devices: str, **fields: str) -> TestResponse:
    """Send the form of codes as the page has it."""
    sent = Page(client.get("/admin/upload").text).sent
    return client.post("/admin/upload", data={**sent, "action": "codes", "devices": devices, **fields})


def made(answer: TestResponse) -> list[str]:
    return [line.partition(",")[2] for line in Page(answer.text).words.split() if line.count("-") == 3]


def test_a_form_of_codes_that_is_sent_again_voids_none(client: FlaskClient, store: Store) -> None:
    opened = str(int(time.time()) - 60)
    (code,) = made(codes(client, "cad-1", opened=opened))
    again = codes(client, "cad-1", opened=opened)
    assert "cad-1 has got a code since this page was opened" in Page(again.text).words
    assert find_code(store, code, int(time.time()))
    (newer,) = made(codes(client, "cad-1", opened=str(int(time.time()) + 60)))
    assert find_code(store, newer, int(time.time()))
    assert not find_code(store, code, int(time.time()))


def test_codes_are_shown_when_the_store_goes_away_meanwhile(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_two(audit: Audit, who: Who, device_id: str, zone: str, now: int) -> str:
        if device_id == "cad-3":
            raise StoreAway("busy")
        return make_code(audit, who, device_id, zone, now)

    monkeypatch.setattr(admin_pages, "make_code", make_two)
    answer = codes(client, "cad-1\ncad-2\ncad-3\ncad-4")
    assert [find_code(store, code, int(time.time())) is not None for code in made(answer)] == [True, True]
    page = Page(answer.text)
    assert "2 devices have no code yet; send them again" in page.words
    assert "cad-3 cad-4" in page.words


def test_a_german_manager_reads_refusals_in_german(client: FlaskClient, store: Store) -> None:
    store.put_device(Device("cad-2", household="acacia"))
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
    words = Page(codes(client, "cad-2\ncad 3").text).words
    assert "cad-2 gehört acacia" in words
    assert "'cad 3' ist keine Kennung eines Geräts" in words


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "Choose a file."),
        ("device,name\ncad-1,Straße\n".encode("latin-1"), "Save it as CSV in UTF-8."),
        (b"colour\nred\n", "line 1 names the column 'colour'"),
        (b"device\n" + b"cad-1\n" * 1001, "These are more than 1000 rows."),
    ],
)
def test_a_file_that_cannot_be_taken_is_answered_with_the_reason(
    client: FlaskClient, content: bytes, fault: str
) -> None:
    answer = upload(client, content)
    assert answer.status_code == 422
    assert fault in Page(answer.text).words


REFUSED = """device,household,from,timezone,kind,role,email
cad 1,,,,,,
cad-1~gas,oak,,,,,
cad-9,oak,2126-01-01,,,,
cad-9,,,Mars/Olympus,,,
cad-9,,,,steam,,
cad-9,oak,soon,,,,
,,,,,,nobody
,oak,,,,king,ann@example.org
,oak,,,,support,ann@example.org
"""


def test_each_refused_row_says_why_in_the_managers_language(client: FlaskClient) -> None:
    english = re.findall(r"<span>(.*?)</span></li>", upload(client, REFUSED.encode()).text)
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
    german = re.findall(r"<span>(.*?)</span></li>", upload(client, REFUSED.encode()).text)
    assert len(english) == len(german) == REFUSED.count("\n") - 1
    assert [one for one in german if one in english] == []
    assert german[0].startswith("Die Kennung des Geräts ist ")


@pytest.mark.parametrize("module", [occupancies, provision_rows, provisioning, users])
def test_no_refusal_of_a_row_is_bare_english(module: ModuleType) -> None:
    calls = [one for one in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(one, ast.Call)]
    named = [one for one in calls if ast.unparse(one.func) in ("ConfigurationError", "Refusal")]
    assert [ast.unparse(one) for one in named if any(isinstance(text, ast.JoinedStr) for text in one.args)] == []
