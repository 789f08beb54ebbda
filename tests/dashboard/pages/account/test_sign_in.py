"""Sign-in and sign-out like browsers do it, with forms and cookies."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, StoreAway
from aggregator.demo.feed import mark_as_demo
from aggregator.settings import load
from aggregator.store.collections import SESSIONS
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from dashboard.accounts.accounts import ACCOUNT, VISITS, Accounts
from dashboard.accounts.sessions import LIFETIMES, Sessions
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, Busy, Passwords
from dashboard.pages.account import account_page
from tests.dashboard.forms import Page
from tests.dashboard.people import PASSWORD, QUICK, SECRET, accounts_on, browser, somebody, token_in
from tests.dashboard.web.test_safe_redirect import EVIL

EMAIL = "ann@example.org"
ENVIRON = {"WATTFALL_SECRET": SECRET}


@pytest.fixture
def server(store: Store) -> Flask:
    return server_on(store)


def server_on(store: Store, **environ: str) -> Flask:
    made = Flask("dashboard")
    account_page.install(made, load(ENVIRON | environ), store, Passwords(QUICK))
    made.get("/d/<path:device_id>", endpoint="device")(lambda device_id: f"the page of {device_id}")

    @made.get("/fault")
    def fault() -> str:
        raise ZeroDivisionError("a secret of /dashboard/fault.py")

    return made


@pytest.fixture
def client(server: Flask, store: Store) -> FlaskClient:
    return browser(server, store)


def sign_in(client: FlaskClient, password: str = PASSWORD, email: str = EMAIL, wanted: object = "/") -> TestResponse:
    token = token_in(client.get("/sign-in").text)
    return client.post("/sign-in", data={"email": email, "password": password, "next": wanted, "csrf": token})


def submit(client: FlaskClient, address: str, page: str = "/account", **fields: str) -> TestResponse:
    """Send a form with the token of a page."""
    return client.post(address, data={"csrf": token_in(client.get(page).text), **fields})


def is_signed_in(client: FlaskClient) -> bool:
    return client.get("/account").status_code == 200


def cookie_of(answer: TestResponse) -> str:
    return answer.headers["Set-Cookie"]


# Sign-in and sign-out


def test_the_right_password_signs_in(client: FlaskClient, store: Store) -> None:
    somebody(store)
    answer = sign_in(client, wanted="/d/cad-1?unit=money")
    assert (answer.status_code, answer.location) == (303, "/d/cad-1?unit=money")
    assert client.get("/d/cad-1").text == "the page of cad-1"
    assert "ann@example.org" in client.get("/account").text


def test_a_page_redirects_to_sign_in_and_back(client: FlaskClient, store: Store) -> None:
    somebody(store)
    away = client.get("/d/cad-1/?unit=money&compare=year")
    assert (away.status_code, away.location) == (303, "/sign-in?next=/d/cad-1/%3Funit%3Dmoney%26compare%3Dyear")
    wanted = Page(client.get(away.location).text).sent["next"]
    assert sign_in(client, wanted=wanted).location == "/d/cad-1/?unit=money&compare=year"


def test_a_signed_in_user_skips_the_form(client: FlaskClient, store: Store) -> None:
    somebody(store)
    sign_in(client)
    answer = client.get("/sign-in?next=/d/cad-1")
    assert (answer.status_code, answer.location) == (303, "/d/cad-1")


def test_signing_out_ends_the_session_for_every_copy_of_its_cookie(
    server: Flask, client: FlaskClient, store: Store
) -> None:
    somebody(store)
    stolen = browser(server, store)
    kept = cookie_of(sign_in(client)).partition(";")[0]
    stolen.set_cookie(*kept.split("=", 1))
    assert is_signed_in(stolen)
    assert submit(client, "/sign-out").location == "/sign-in"
    assert not is_signed_in(client)
    assert not is_signed_in(stolen)


def test_signing_out_everywhere_ends_every_session(server: Flask, store: Store) -> None:
    somebody(store)
    phone, laptop = browser(server, store), browser(server, store)
    sign_in(phone)
    sign_in(laptop)
    submit(phone, "/sign-out-everywhere")
    assert (is_signed_in(phone), is_signed_in(laptop)) == (False, False)


def test_signing_out_keeps_the_sessions_of_other_browsers(server: Flask, store: Store) -> None:
    somebody(store)
    phone, laptop = browser(server, store), browser(server, store)
    sign_in(phone)
    sign_in(laptop)
    submit(phone, "/sign-out")
    assert is_signed_in(laptop)


def test_a_disabled_account_is_signed_out_at_the_next_click(client: FlaskClient, store: Store) -> None:
    user = somebody(store)
    sign_in(client)
    Accounts.disable(accounts_on(store), user)
    assert not is_signed_in(client)
    assert sign_in(client).status_code == 403


def test_signed_out_programs_get_401_and_people_a_redirect(client: FlaskClient) -> None:
    for address in ("/_dash-layout", "/_dash-dependencies", "/d/cad-1/day/2026-11-22/picture.json"):
        answer = client.get(address)
        assert (answer.status_code, answer.mimetype) == (401, "text/plain"), address
        assert "no-store" in answer.headers["Cache-Control"]
    assert client.post("/_dash-update-component", json={}).status_code == 401


def test_a_form_after_the_sessions_end_redirects_to_sign_in(client: FlaskClient) -> None:
    assert submit(client, "/account/password", "/sign-in").location == "/sign-in"


# Wrong passwords


def test_a_wrong_password_and_an_unknown_account_get_the_same_answer(client: FlaskClient, store: Store) -> None:
    somebody(store)
    accounts_on(store).add("new@example.org")
    disabled = somebody(store, "off@example.org")
    Accounts.disable(accounts_on(store), disabled)
    answers = [
        sign_in(client, password, email)
        for email, password in [
            *((EMAIL, "wrong"), ("nobody@example.org", "wrong"), ("new@example.org", "wrong")),
            *(("off@example.org", PASSWORD), ("not an address", "wrong"), (EMAIL, ""), (EMAIL, "x" * 5000)),
        ]
    ]
    assert {answer.status_code for answer in answers} == {403}
    texts = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(texts) == 1
    assert "do not belong together" in texts.pop()


def test_too_many_attempts_get_the_wait_even_for_unknown_accounts(server: Flask, store: Store) -> None:
    somebody(store)
    for email in (EMAIL, "nobody@example.org"):
        client = browser(server, store)
        answers = [sign_in(client, "wrong", email) for _ in range(ACCOUNT.free + 1)]
        assert [answer.status_code for answer in answers] == [403] * ACCOUNT.free + [429]
        assert int(answers[-1].headers["Retry-After"]) in range(1, 31)
        assert "Try again in 1 minute." in answers[-1].text
    assert sign_in(browser(server, store)).status_code == 429


def test_the_throttle_trusts_forwarded_addresses_only_behind_a_proxy(store: Store) -> None:
    somebody(store)

    def statuses(server: Flask) -> set[int]:
        client = browser(server, store)
        forged = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(40)]
        token = token_in(client.get("/sign-in").text)
        fields = {"password": "wrong", "csrf": token}
        return {
            client.post("/sign-in", data={"email": f"{number}@b.org", **fields}, headers=headers).status_code
            for number, headers in enumerate(forged)
        }

    assert statuses(server_on(store, WATTFALL_PROXIES="1")) == {403}
    assert statuses(server_on(store)) == {403, 429}


# Cookies


def test_signing_in_always_starts_a_new_session(server: Flask, store: Store) -> None:
    somebody(store)
    somebody(store, "eve@example.org")
    eve, ann = browser(server, store), browser(server, store)
    planted = cookie_of(sign_in(eve, email="eve@example.org")).partition(";")[0]
    ann.set_cookie(*planted.split("=", 1))
    submit(ann, "/sign-out")  # otherwise the planted session would continue
    before = token_in(ann.get("/sign-in").text)
    sign_in(ann)
    assert not is_signed_in(eve)
    assert token_in(ann.get("/account").text) != before
    assert "eve@" not in ann.get("/account").text


def test_signing_in_again_ends_the_previous_session(server: Flask, store: Store) -> None:
    somebody(store)
    ann, thief = browser(server, store), browser(server, store)
    stolen = cookie_of(sign_in(ann)).partition(";")[0]
    thief.set_cookie(*stolen.split("=", 1))
    assert is_signed_in(thief)
    post = {"email": EMAIL, "password": PASSWORD, "csrf": token_in(ann.get("/account").text)}
    assert ann.post("/sign-in", data=post).status_code == 303
    assert is_signed_in(ann)
    assert not is_signed_in(thief)


def test_a_planted_session_gains_nothing_by_a_sign_in(server: Flask, store: Store) -> None:
    somebody(store)
    eve, ann = browser(server, store), browser(server, store)
    planted = cookie_of(eve.get("/sign-in")).partition(";")[0]
    ann.set_cookie(*planted.split("=", 1))
    fresh = cookie_of(sign_in(ann)).partition(";")[0]
    assert fresh != planted
    assert is_signed_in(ann)
    assert not is_signed_in(eve)


@pytest.mark.parametrize(
    ("url", "name", "is_secure"),
    [("", "wattfall=", False), ("http://localhost:8050", "wattfall=", False), ("https://e.example", "__Host-", True)],
)
def test_the_cookie_is_for_this_site_and_no_script(store: Store, url: str, name: str, is_secure: bool) -> None:
    cookie = cookie_of(browser(server_on(store, WATTFALL_URL=url), store).get("/sign-in"))
    assert cookie.startswith(name)
    assert "; HttpOnly; Path=/; SameSite=Lax" in cookie
    assert ("; Secure" in cookie) == is_secure
    assert "Domain" not in cookie


@pytest.mark.parametrize(("scheme", "is_secure"), [("http", False), ("https", True)])
def test_a_cookie_set_over_https_is_secure(store: Store, scheme: str, is_secure: bool) -> None:
    client = browser(server_on(store, WATTFALL_PROXIES="1"), store)
    answer = client.get("/sign-in", headers={"X-Forwarded-Proto": scheme})
    assert ("Secure" in cookie_of(answer)) == is_secure


def test_only_staff_sessions_end_with_the_browser(server: Flask, store: Store) -> None:
    lasting = []
    for role in ("household", SUPPORT, ADMIN):
        somebody(store, f"{role}@example.org", role)
        lasting.append("Expires=" in cookie_of(sign_in(browser(server, store), email=f"{role}@example.org")))
    assert lasting == [True, False, False]


def test_a_cookie_with_a_wrong_signature_is_ignored(server: Flask, store: Store) -> None:
    user = somebody(store)
    other = Flask("dashboard")
    account_page.install(other, load({"WATTFALL_SECRET": "another" * 8}), store, Passwords(QUICK))
    forger, victim = browser(other, store, user), browser(server, store)
    cookie = forger.get_cookie("wattfall")
    assert cookie
    victim.set_cookie("wattfall", cookie.value)
    assert is_signed_in(forger)
    assert not is_signed_in(victim)


def test_personal_pages_are_not_stored_and_polls_set_no_cookie(client: FlaskClient, store: Store) -> None:
    somebody(store)
    sign_in(client)
    assert client.get("/account").headers["Cache-Control"] == "no-store, private"
    assert "Set-Cookie" not in client.get("/d/cad-1").headers


# Foreign forms


@pytest.mark.parametrize("token", ["", "wrong", "ü", "x" * 5000])
@pytest.mark.parametrize("address", ["/sign-in", "/sign-out", "/sign-out-everywhere", "/account/password"])
def test_a_form_without_the_token_changes_nothing(client: FlaskClient, store: Store, address: str, token: str) -> None:
    somebody(store)
    if address != "/sign-in":
        sign_in(client)
    client.get("/sign-in")
    answer = client.post(address, data={"csrf": token, "email": EMAIL, "password": PASSWORD, "old": PASSWORD})
    assert answer.status_code == 403
    assert "Nothing has been changed" in answer.text
    assert is_signed_in(client) == (address != "/sign-in")


def test_another_sessions_token_is_refused(server: Flask, store: Store) -> None:
    somebody(store)
    somebody(store, "eve@example.org")
    eve, ann = browser(server, store), browser(server, store)
    sign_in(eve, email="eve@example.org")
    sign_in(ann)
    assert ann.post("/sign-out", data={"csrf": token_in(eve.get("/account").text)}).status_code == 403
    assert is_signed_in(ann)


def test_a_token_from_before_the_sign_in_is_refused(client: FlaskClient, store: Store) -> None:
    somebody(store)
    before = token_in(client.get("/sign-in").text)
    sign_in(client)
    assert client.post("/sign-out", data={"csrf": before}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
        {"Origin": "null", "Host": "not a host"},
        {"Origin": "", "Host": "not a host"},
    ],
)
@pytest.mark.parametrize("address", ["/sign-in", "/_dash-update-component", "/nothing/there"])
def test_a_foreign_form_is_refused_even_with_a_token(
    client: FlaskClient, store: Store, address: str, headers: dict[str, str]
) -> None:
    somebody(store)
    token = token_in(client.get("/sign-in").text)
    fields = {"email": EMAIL, "password": PASSWORD, "csrf": token}
    assert client.post(address, data=fields, headers=headers).status_code == 403
    assert not is_signed_in(client)


@pytest.mark.parametrize("path", ["/\\evil.example/x", "/\t/evil.example"])
def test_a_refusal_links_to_no_other_site(client: FlaskClient, path: str) -> None:
    answer = client.post("/", environ_overrides={"PATH_INFO": path}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert "Nothing has been changed" in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize("address", ["/healthy", "/health/", "/health/d/cad-1", "/_favicon.icon"])
def test_a_lookalike_of_a_public_address_needs_a_session(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 401 or answer.location.startswith("/sign-in")


def test_the_public_address_counts_as_ours_behind_a_proxy(store: Store) -> None:
    somebody(store)
    client = browser(server_on(store, WATTFALL_URL="http://localhost:9000"), store)
    token = token_in(client.get("/sign-in").text)
    fields = {"email": EMAIL, "password": PASSWORD, "csrf": token}
    assert client.post("/sign-in", data=fields, headers={"Origin": "http://localhost:9000"}).status_code == 303
    assert client.post("/sign-in", data=fields, headers={"Origin": "http://localhost:9001"}).status_code == 403


# Addresses and headers


@pytest.mark.parametrize("address", [one for one in EVIL if isinstance(one, str)])
def test_sign_in_redirects_to_no_other_site(client: FlaskClient, store: Store, address: str) -> None:
    somebody(store)
    page = Page(client.get(f"/sign-in?next={quote(address)}").text)
    assert page.sent["next"] == "/"
    answer = sign_in(client, wanted=address)
    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get(f"/sign-in?next={quote(address)}").location == "/"


@pytest.mark.parametrize("address", ["/d/a%0d%0aSet-Cookie:%20x=y", "/%2f%2fevil.example", "/d/%5cevil"])
def test_line_ends_in_an_address_forge_no_header(client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in")
    assert set(answer.headers.keys()) <= {"Content-Type", "Content-Length", "Location", "Vary", "Set-Cookie"}
    assert "x=y" not in answer.headers.get("Set-Cookie", "")


def test_typed_text_comes_back_escaped(client: FlaskClient) -> None:
    answer = sign_in(client, "wrong", '"><script>alert(1)</script>')
    assert "<script>alert" not in answer.text
    assert Page(answer.text).sent["email"] == '"><script>alert(1)</script>'


# Passwords


def test_a_new_password_ends_every_other_session_and_keeps_this_one(server: Flask, store: Store) -> None:
    somebody(store)
    phone, laptop = browser(server, store), browser(server, store)
    sign_in(phone)
    sign_in(laptop)
    new = "entirely new and quite long"
    answer = submit(phone, "/account/password", old=PASSWORD, password=new, again=new)
    assert answer.location == "/account?done=password"
    assert "Your password has been changed" in phone.get(answer.location).text
    assert not is_signed_in(laptop)
    assert sign_in(laptop).status_code == 403
    assert sign_in(laptop, new).status_code == 303


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"old": "wrong", "password": "x" * 20, "again": "x" * 20}, 403, "not your present password"),
        ({"old": PASSWORD, "password": "short", "again": "short"}, 422, "too short"),
        ({"old": PASSWORD, "password": "long enough indeed", "again": "long enough indeet"}, 422, "not the same"),
        ({}, 403, "not your present password"),
    ],
)
def test_a_faulty_form_changes_no_password(
    client: FlaskClient, store: Store, fields: dict[str, str], status: int, sentence: str
) -> None:
    somebody(store)
    sign_in(client)
    answer = submit(client, "/account/password", **fields)
    assert answer.status_code == status
    assert sentence in answer.text
    assert Page(answer.text).having(aria_invalid="true")
    assert accounts_on(store).check(EMAIL, PASSWORD)


def test_guesses_of_the_old_password_are_throttled(client: FlaskClient, store: Store) -> None:
    somebody(store)
    sign_in(client)
    answers = [submit(client, "/account/password", old="wrong").status_code for _ in range(ACCOUNT.free + 1)]
    assert answers == [403] * ACCOUNT.free + [429]


# Invitations


def test_an_invitation_signs_in_once(client: FlaskClient, store: Store) -> None:
    accounts = accounts_on(store)
    address = f"/invitation/{accounts.invite(accounts.add(EMAIL))}"
    page = client.get(address)
    assert "It is for the account of ann@example.org." in Page(page.text).words
    assert submit(client, address, address, password="short", again="short").status_code == 422
    assert submit(client, address, address, password=PASSWORD, again=PASSWORD).status_code == 303
    assert is_signed_in(client)
    assert accounts.check(EMAIL, PASSWORD)
    assert client.get(address).status_code == 404
    assert "cannot be used any more" in client.get(address).text


def test_unknown_and_expired_invitations_look_alike(client: FlaskClient, store: Store) -> None:
    accounts = accounts_on(store)
    used = accounts.invite(accounts.add(EMAIL))
    accounts.accept(used, PASSWORD)
    pages = [client.get(f"/invitation/{token}") for token in (used, "nothing", "x" * 300)]
    assert {page.status_code for page in pages} == {404}
    assert len({page.text for page in pages}) == 1


# The demo


@pytest.mark.parametrize("choice", ["acacia", "support", "nobody", ""])
def test_a_real_store_admits_no_visitor(client: FlaskClient, store: Store, choice: str) -> None:
    store.put_device(Device("demo-1", household="acacia"))
    assert submit(client, "/sign-in/demo", "/sign-in", choice=choice).status_code == 404
    assert "/sign-in/demo" not in client.get("/sign-in").text
    assert not is_signed_in(client)


def test_a_demo_visitor_is_a_household_or_support(server: Flask, store: Store) -> None:
    mark_as_demo(store)
    store.put_device(Device("demo-1", household="acacia", name="12 Acacia Road"))
    family, staff, stranger = (browser(server, store) for _ in range(3))
    assert "12 Acacia Road" in family.get("/sign-in").text
    assert submit(family, "/sign-in/demo", "/sign-in", choice="acacia", next="/d/demo-1").location == "/d/demo-1"
    assert submit(staff, "/sign-in/demo", "/sign-in", choice="support").status_code == 303
    assert "Support desk" in staff.get("/account").text
    assert "Household" in family.get("/account").text
    assert submit(stranger, "/sign-in/demo", "/sign-in", choice="willow").status_code == 404


def test_visitors_of_one_address_must_wait_after_a_few(server: Flask, store: Store) -> None:
    mark_as_demo(store)
    store.put_device(Device("demo-1", household="acacia"))
    visits = [submit(browser(server, store), "/sign-in/demo", "/sign-in", choice="acacia") for _ in range(VISITS.free)]
    assert {answer.status_code for answer in visits} == {303}
    refused = submit(browser(server, store), "/sign-in/demo", "/sign-in", choice="acacia")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
    assert len(store.records(SESSIONS.of())) == VISITS.free


def test_a_busy_answer_is_no_attempt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    server = server_on(store)
    somebody(store)

    def busy(*_: object) -> bool:
        raise Busy

    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "is_right", busy)
        assert {sign_in(browser(server, store)).status_code for _ in range(ACCOUNT.free + 1)} == {503}
    assert sign_in(browser(server, store)).status_code == 303


def test_visitors_are_signed_out_once_a_real_device_arrives(client: FlaskClient, store: Store) -> None:
    mark_as_demo(store)
    store.put_device(Device("demo-1", household="acacia"))
    submit(client, "/sign-in/demo", "/sign-in", choice="support")
    assert is_signed_in(client)
    store.put_device(Device("cad-1"))
    assert not is_signed_in(client)
    assert submit(client, "/sign-in/demo", "/sign-in", choice="support").status_code == 404


def test_a_demo_supports_accounts(client: FlaskClient, store: Store) -> None:
    mark_as_demo(store)
    somebody(store)
    assert sign_in(client).status_code == 303


# Errors


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [("get", "/fault", 500), ("get", "/nothing", 404), ("delete", "/sign-in", 405), ("get", "/_nothing", 404)],
)
def test_an_error_page_reveals_nothing_internal(
    server: Flask, store: Store, method: str, address: str, status: int
) -> None:
    client = browser(server, store, somebody(store))
    answer = getattr(client, method)(address)
    if method == "delete":  # has no token
        assert answer.status_code == 403
        return
    assert answer.status_code == status
    for word in ("Traceback", "ZeroDivision", "werkzeug", "Flask", "/dashboard/", ".py"):
        assert word.lower() not in answer.text.lower().replace("/dashboard", "", 0)


def test_too_large_a_form_is_refused_unread(client: FlaskClient) -> None:
    token = token_in(client.get("/sign-in").text)
    answer = client.post("/sign-in", data={"csrf": token, "email": "x" * 300_000})
    assert answer.status_code == 413
    assert "more than Wattfall takes at once" in answer.text


def test_a_form_of_too_many_fields_is_refused(client: FlaskClient) -> None:
    token = token_in(client.get("/sign-in").text)
    answer = client.post("/sign-in", data={"csrf": token, **{f"f{number}": "x" for number in range(5000)}})
    assert answer.status_code in (403, 413)


def test_an_unreachable_store_gets_an_error_page(
    client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody(store)
    sign_in(client)

    def away(*_: object) -> None:
        raise StoreAway("/secret/path is busy")

    monkeypatch.setattr(type(store), "record", away)
    answer = client.get("/d/cad-1")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "/secret/path" not in answer.text


def test_during_a_long_write_pages_answer_and_a_sign_in_gets_503(tmp_path: Path) -> None:
    path = str(tmp_path / "busy.db")
    other, store = SqliteStore(path), SqliteStore(path, busy_s=0.1)
    somebody(store)
    server = server_on(store)
    ann, visitor = browser(server, store), browser(server, store)
    sign_in(ann)
    later = Sessions(store, accounts_on(store).user, lambda: int(time.time()) + LIFETIMES[HOUSEHOLD].step_s)
    token = token_in(visitor.get("/sign-in").text)
    with other.transaction():
        assert ann.get("/d/cad-1").text == "the page of cad-1"
        assert visitor.get("/sign-in").status_code == 200
        with ann.session_transaction() as kept:
            assert later.user_of(kept["_user_id"])  # the note of this visit is left out
        answer = visitor.post("/sign-in", data={"email": EMAIL, "password": PASSWORD, "csrf": token})
        assert (answer.status_code, answer.headers["Retry-After"], answer.mimetype) == (503, "5", "text/html")
    assert sign_in(visitor).status_code == 303
    store.close()
    other.close()


def test_the_server_needs_a_secret(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="WATTFALL_SECRET is not set"):
        account_page.install(Flask("dashboard"), load({}), store, Passwords(QUICK))


def test_a_hundred_concurrent_sign_ins_succeed_or_get_a_retry(server: Flask, store: Store) -> None:
    somebody(store)

    def come(_: int) -> int:
        return sign_in(browser(server, store)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(come, range(24))) <= {303, 429, 503}
