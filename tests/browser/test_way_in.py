"""The way in: from `wattfall up` to the own meter on the page, and the pages of staff and account managers."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from aggregator.core.documents import Device
from aggregator.store.port import Store
from dashboard.accounts.users import ADMIN
from dashboard.app import POLL_MS
from tests.aggregator.intake.brokers import Publisher, broker_in
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_accessibility import violations
from tests.copies import Copy, nothing
from tests.dashboard.commands.test_up import DISPLAY, eventually, running
from tests.dashboard.people import PASSWORD, dashboard, somebody
from tests.servers import free_port, served

EMAIL = "max@example.org"
MAIL = {
    "WATTFALL_SMTP": "smtp://127.0.0.1:9",
    "WATTFALL_MAIL_FROM": "wattfall@example.org",
    "WATTFALL_URL": "http://localhost",
}


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A visitor without a session."""
    with closing(chromium.new_context(locale="en-GB")) as context:
        opened = context.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        yield opened


@pytest.fixture
def store(copy: Copy) -> Store:
    return copy(nothing)


@pytest.fixture
def place(store: Store) -> Iterator[str]:
    """The address of an installation with a mail server, a home and an account manager."""
    store.put_device(Device("cad-1", household="acacia", name="12 Acacia Road"))
    somebody(store, EMAIL, ADMIN)
    somebody(store, "ann@example.org", household="acacia")
    with served(dashboard(store, lambda: int(time.time()), POLL_MS, **MAIL).server) as address:
        yield address


def give_password(page: Page, place: str) -> None:
    page.goto(f"{place}/sign-in")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def set_up(page: Page) -> None:
    app = pyotp.TOTP(page.locator(".key code").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill(app.now())
    page.get_by_role("button", name="Switch the second step on").click()


def glow_message(power_kw: float) -> bytes:
    """Return a message of this moment."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"electricitymeter": {"timestamp": at, "power": {"value": power_kw, "units": "kW"}}}).encode()


def test_one_command_and_its_link_lead_a_newcomer_to_their_own_meter(page: Page, tmp_path: Path) -> None:
    with broker_in(tmp_path) as broker, closing(Publisher(broker.port)) as publisher:
        options = ["--email", "ann@example.org", "--mqtt", broker.url, "--topic", "glow/+/#"]
        with running(tmp_path / "home", "--port", str(free_port()), *options) as (lines, _):
            page.goto(lines[-1])
            for label in ("Password", "The same again"):
                page.get_by_label(label).fill("several words in a row")
            page.get_by_role("button", name="Keep it and sign in").click()
            page.get_by_role("link", name="Not now").click()
            expect(page.get_by_role("heading", name="Your first reading has not arrived yet")).to_be_visible()
            power = page.locator("#power-number")

            def seen() -> object:  # a meter speaks every few seconds, also before anybody listens
                publisher.publish(f"glow/{DISPLAY}/SENSOR/electricitymeter", glow_message(0.431))
                page.wait_for_timeout(500)
                return power.text_content()

            eventually(seen)
            expect(power).to_have_text("431")


def test_a_manager_signs_in_with_an_app_and_axe_finds_nothing_on_the_way(page: Page, place: str) -> None:
    found = {}
    page.goto(f"{place}/sign-in/forgotten")
    found["forgotten"] = violations(page)
    give_password(page, place)
    page.wait_for_url("**/sign-in/second-factor")
    found["set-up"] = violations(page)
    set_up(page)
    expect(page.locator(".codes li")).to_have_count(8)
    found["recovery codes"] = violations(page)
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url("**/admin")
    for path in ("/admin", "/admin/device", "/admin/device?id=cad-1", "/admin/person", "/account/second-factor"):
        page.goto(place + path)
        found[path] = violations(page)
    page.context.clear_cookies()
    give_password(page, place)
    page.wait_for_url("**/sign-in/code")
    found["code"] = violations(page)
    assert {name: what for name, what in found.items() if what} == {}


def test_a_manager_uploads_a_file_and_finds_its_home(page: Page, place: str) -> None:
    give_password(page, place)
    set_up(page)
    page.goto(f"{place}/admin/upload")
    assert violations(page) == {}
    content = b"device,household,email\ncad-9,oak,bob@example.org\ncad-1,oak,\n"
    page.set_input_files("#file", files=[FilePayload(name="homes.csv", mimeType="text/csv", buffer=content)])
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.get_by_text("cad-1 belongs to acacia")).to_be_visible()
    assert violations(page) == {}
    page.get_by_role("button", name="Carry it out").click()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    page.goto(f"{place}/admin?q=oak")
    expect(page.get_by_role("link", name="cad-9")).to_be_visible()


def test_every_field_of_a_device_is_seen_on_a_phone(page: Page, place: str) -> None:
    give_password(page, place)
    set_up(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{place}/admin/device?id=cad-1")
    for label in ("Time zone", "Household", "First day there", "Name of the home", "Postcode"):
        expect(page.get_by_label(label, exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
