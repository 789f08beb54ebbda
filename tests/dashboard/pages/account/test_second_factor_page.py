"""The second factor in a browser: at sign-in, in the account, at an identity provider, and in the demo."""

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.demo.feed import mark_as_demo
from aggregator.settings import load
from aggregator.store.port import Store
from dashboard.accounts.accounts import ACCOUNT
from dashboard.accounts.oidc import has_second_factor
from dashboard.accounts.second_factor import STEP_S
from dashboard.accounts.users import ADMIN, SUPPORT, Passwords
from dashboard.pages.account import account_page
from tests.dashboard.forms import Page
from tests.dashboard.people import PASSWORD, QUICK, SECRET, Clock, accounts_on, browser, somebody, token_in

EMAIL = "des@example.org"


class Site:
    """A server, a browser, and the app on somebody's phone."""

    def __init__(self, store: Store) -> None:
        self.server, self.store = Flask("dashboard"), store
        settings, clock = load({"WATTFALL_SECRET": SECRET}), Clock()
        self.services = account_page.install(self.server, settings, store, Passwords(QUICK), clock)
        self.client: FlaskClient = browser(self.server, store)
        self.app = pyotp.TOTP(pyotp.random_base32())
        self.step = clock() // STEP_S - 1

    def post(self, address: str, **fields: str) -> TestResponse:
        page = self.client.get("/sign-in", follow_redirects=True).text
        return self.client.post(address, data={"csrf": token_in(page), **fields})

    def sign_in(self, wanted: str = "/account") -> TestResponse:
        return self.post("/sign-in", email=EMAIL, password=PASSWORD, next=wanted)

    def code(self) -> str:
        """Return a code that has not been used yet."""
        self.step += 1
        return self.app.generate_otp(self.step)

    def set_up(self, address: str = "/sign-in/second-factor") -> list[str]:
        """Set the app up from a page; return the recovery codes."""
        page = self.client.get(address).text
        self.app = pyotp.TOTP(page.partition('<p class="key"><code>')[2].partition("<")[0].replace(" ", ""))
        codes = self.client.post(address, data={"csrf": token_in(page), "code": self.code()}).text
        return [one.partition("<")[0] for one in codes.split("<li><code>")[1:]]

    def is_signed_in(self) -> bool:
        return self.client.get("/account").status_code == 200


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store)


@pytest.mark.parametrize("role", [SUPPORT, ADMIN])
def test_staff_set_up_a_second_factor_before_they_are_signed_in(site: Site, store: Store, role: str) -> None:
    somebody(store, EMAIL, role)
    assert site.sign_in("/account?x=1").location == "/sign-in/second-factor"
    assert not site.is_signed_in()
    assert len(site.set_up()) == 8
    assert site.is_signed_in()


def test_after_the_password_comes_the_code(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    site.set_up()
    site.client = browser(site.server, store)
    assert site.sign_in("/account?x=1").location == "/sign-in/code"
    assert site.client.get("/sign-in/second-factor").location == "/sign-in"
    assert not site.is_signed_in()
    wrong = site.post("/sign-in/code", code="000000")
    assert wrong.status_code == 403
    assert site.post("/sign-in/code", code=site.code()).location == "/account?x=1"
    assert site.is_signed_in()


def test_a_recovery_code_signs_in_once(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    code = site.set_up()[0]
    for is_first in (True, False):
        site.client = browser(site.server, store)
        site.sign_in()
        site.post("/sign-in/code", code=code)
        assert site.is_signed_in() is is_first


def test_guesses_of_a_code_must_wait(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    site.set_up()
    site.client = browser(site.server, store)
    site.sign_in()
    for _ in range(ACCOUNT.free):
        site.post("/sign-in/code", code="000000")
    answer = site.post("/sign-in/code", code=site.code())
    assert "too many attempts" in Page(answer.text).words
    assert not site.is_signed_in()


def test_a_code_without_a_password_leads_nowhere(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    for address in ("/sign-in/code", "/sign-in/second-factor"):
        assert site.client.get(address).location == "/sign-in"
        assert site.post(address, code="123456").location == "/sign-in"


def test_the_way_from_the_password_ends_with_the_sessions_and_after_ten_minutes(site: Site, store: Store) -> None:
    user = somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    with site.client.session_transaction() as kept:
        kept["pending"] = {**kept["pending"], "at": kept["pending"]["at"] - 601}
    assert site.client.get("/sign-in/second-factor").location == "/sign-in"
    site.sign_in()
    accounts_on(store).end_sessions(user)
    assert site.client.get("/sign-in/second-factor").location == "/sign-in"


def test_an_invitation_of_staff_leads_to_the_second_factor(site: Site, store: Store) -> None:
    accounts = accounts_on(store)
    link = f"/invitation/{accounts.invite(accounts.add(EMAIL, SUPPORT))}"
    token = token_in(site.client.get(link).text)
    answer = site.client.post(link, data={"csrf": token, "password": PASSWORD, "again": PASSWORD})
    assert answer.location == "/sign-in/second-factor"
    assert not site.is_signed_in()


def test_a_household_may_switch_it_on_and_off(site: Site, store: Store) -> None:
    somebody(store, EMAIL, household="acacia")
    site.sign_in()
    assert site.is_signed_in()
    site.set_up("/account/second-factor")
    assert "8 recovery codes are left" in Page(site.client.get("/account/second-factor").text).words

    def change(code: str, action: str) -> int:
        token = token_in(site.client.get("/account/second-factor").text)
        sent = {"csrf": token, "code": code, "action": action}
        return site.client.post("/account/second-factor", data=sent).status_code

    assert change("000000", "remove") == 403
    assert change(site.code(), "remove") == 303
    assert site.is_signed_in()
    user = accounts_on(store).find(EMAIL)
    assert user
    assert user.second_factor == ""


def test_setting_it_up_and_renewing_it_end_the_other_sessions(site: Site, store: Store) -> None:
    user = somebody(store, EMAIL, household="acacia")
    site.sign_in()
    thief = browser(site.server, store, user)
    assert thief.get("/account").status_code == 200
    recovery = site.set_up("/account/second-factor")
    assert thief.get("/account").status_code == 303
    assert site.is_signed_in()
    thief = browser(site.server, store, accounts_on(store).user(user.user_id))
    token = token_in(site.client.get("/account/second-factor").text)
    site.client.post("/account/second-factor", data={"csrf": token, "code": recovery[0], "action": "renew"})
    site.step -= 1
    site.set_up("/account/second-factor")
    assert thief.get("/account").status_code == 303
    assert "8 recovery codes are left" in Page(site.client.get("/account/second-factor").text).words


def test_staff_replace_it_and_cannot_switch_it_off(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    recovery = site.set_up()
    former = site.app
    token = token_in(site.client.get("/account/second-factor").text)
    sent = {"csrf": token, "code": recovery[0], "action": "remove"}
    assert site.client.post("/account/second-factor", data=sent).location == "/account/second-factor"
    site.step -= 1
    site.set_up("/account/second-factor")
    assert site.app.secret != former.secret
    user = accounts_on(store).find(EMAIL)
    assert user
    assert not site.services.factors.accept(user, former.generate_otp(site.step + 1))
    assert site.services.factors.accept(user, site.code())


def test_the_picture_shows_the_key_and_scripts_nothing(site: Site, store: Store) -> None:
    somebody(store, EMAIL, SUPPORT)
    site.sign_in()
    page = Page(site.client.get("/sign-in/second-factor").text)
    (picture,) = page.having(role="img")
    assert picture["aria-label"] == "QR code of the key"
    assert [tag for tag, _ in page.tags].count("svg") == 1


def test_a_new_role_ends_the_sessions_that_had_no_second_factor(site: Site, store: Store) -> None:
    user = somebody(store, EMAIL, household="acacia")
    site.sign_in()
    assert site.is_signed_in()
    accounts_on(store).change(user, lambda one: one.with_role(SUPPORT))
    assert not site.is_signed_in()


def test_visitors_of_the_demo_have_no_password_and_no_second_factor(site: Site, store: Store) -> None:
    store.put_device(Device("demo-1", household="acacia"))
    mark_as_demo(store)
    assert site.post("/sign-in/demo", choice="support", next="/account").location == "/account"
    assert site.is_signed_in()


@pytest.mark.parametrize(
    ("claims", "is_strong"),
    [
        ({}, False),
        ({"amr": ["pwd"]}, False),
        ({"amr": "mfa"}, False),
        ({"amr": ["otp"]}, False),
        ({"amr": ["pwd", "otp"]}, True),
        ({"amr": ["mfa"]}, True),
        ({"acr": "gold"}, True),
        ({"acr": "silver"}, False),
        ({"acr": ["gold"]}, False),
    ],
)
def test_a_provider_tells_whether_there_was_a_second_factor(claims: dict[str, object], *, is_strong: bool) -> None:
    assert has_second_factor(claims, ("gold",)) is is_strong
