"""Sign-in, a look and sign-out, as a person does it."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect

from aggregator.store.port import Store
from dashboard.accounts.accounts import Accounts
from tests.browser.conftest import PATIENCE_MS, PHONE, QUICK_MS, serve
from tests.browser.test_accessibility import AXE
from tests.dashboard import homes
from tests.dashboard.people import PASSWORD, accounts_on, somebody

EMAIL = "bea@example.org"


@pytest.fixture(scope="module")
def place(store: Store) -> Iterator[str]:
    somebody(store, EMAIL, household=homes.HOUSEHOLD)
    yield from serve(store, QUICK_MS)


@pytest.fixture(scope="module")
def stranger(chromium: Browser) -> Iterator[BrowserContext]:
    """A visitor without a session."""
    context = chromium.new_context(viewport=PHONE, locale="en-GB")
    yield context
    context.close()


@pytest.fixture
def page(stranger: BrowserContext) -> Iterator[Page]:
    stranger.clear_cookies()
    opened = stranger.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


def come_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def violations(page: Page) -> object:
    page.evaluate(AXE_SCRIPT)
    return page.evaluate(AXE)


def test_a_link_leads_through_sign_in_to_its_chart(page: Page, place: str) -> None:
    come_in(page, f"{place}/d/cad-1/month/2026-10?unit=money")
    expect(page.get_by_role("heading", name="October 2026")).to_be_visible()
    assert page.url == f"{place}/d/cad-1/month/2026-10?unit=money"


def test_a_wrong_password_keeps_the_typed_address(page: Page, place: str) -> None:
    page.goto(f"{place}/sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill("not this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(page.get_by_label("E-mail address")).to_have_value(EMAIL)
    assert violations(page) == []


def test_a_session_ended_elsewhere_hides_energy_and_links_to_sign_in(page: Page, place: str, store: Store) -> None:
    come_in(page, f"{place}/d/cad-1/day/2026-11-22")
    expect(page.locator("#power-number")).to_have_text("612")
    user = accounts_on(store).find(EMAIL)
    assert user
    Accounts.end_sessions(accounts_on(store), user)
    expect(page.get_by_role("heading", name="You have been signed out")).to_be_visible()
    expect(page.locator("#power-number")).to_be_hidden()
    expect(page.get_by_text("cad-1")).to_be_hidden()
    assert violations(page) == []
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("Password")).to_be_visible()
    assert page.url.endswith("/sign-in?next=%2Fd%2Fcad-1%2Fday%2F2026-11-22")


def test_the_back_button_shows_nothing_after_sign_out(page: Page, place: str) -> None:
    come_in(page, f"{place}/d/cad-1")
    page.get_by_role("link", name="Your account").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_text(EMAIL)).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.wait_for_url(re.compile("/sign-in$"))
    page.go_back()
    expect(page.get_by_label("Password")).to_be_visible()
    page.goto(f"{place}/d/cad-1")
    expect(page.get_by_label("Password")).to_be_visible()


def test_an_invitation_is_accepted_by_keyboard(page: Page, place: str, store: Store) -> None:
    accounts = accounts_on(store)
    token = accounts.invite(accounts.add(f"guest-{id(page)}@example.org", household=homes.HOUSEHOLD))
    page.goto(f"{place}/invitation/{token}")
    assert violations(page) == []
    page.get_by_label("Password").focus()
    page.keyboard.type("several words in a row")
    page.keyboard.press("Tab")
    page.keyboard.type("several words in a row")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()
