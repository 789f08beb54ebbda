"""Support in a real browser: a customer reports a gap on Tuesday."""

import re
from collections.abc import Callable, Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from aggregator.store.port import Store
from dashboard.accounts.users import HOUSEHOLD, SUPPORT
from tests.browser.conftest import DESK, PATIENCE_MS, PHONE, Scheme, is_of_the_page
from tests.browser.support_home import HOME, LOST, TUESDAY, furnish
from tests.browser.test_accessibility import violations
from tests.copies import Copy
from tests.dashboard.people import PASSWORD, dashboard, somebody
from tests.servers import served

STAFF = "pat@desk.example"
TICKET = "ticket 4711, hole on Tuesday"

SignIn = Callable[..., Page]


def furnish_with_people(store: Store) -> None:
    furnish(store)
    somebody(store, STAFF, SUPPORT)
    somebody(store, "ann@example.org", HOUSEHOLD, HOME.household)


@pytest.fixture
def support(copy: Copy) -> Iterator[tuple[Store, str]]:
    """A store with staff and a household, and its server's address."""
    store = copy(furnish_with_people)
    with served(dashboard(store).server) as address:
        yield store, address


def set_up_second_factor(page: Page) -> None:
    """Give a member of staff an authenticator app."""
    app = pyotp.TOTP(page.locator(".key code").inner_text().replace(" ", ""))
    page.get_by_label("Code", exact=True).fill(app.now())
    page.get_by_role("button", name="Switch the second step on").click()
    page.get_by_role("link", name="I have kept them").click()


@pytest.fixture
def sign_in(chromium: Browser, support: tuple[Store, str]) -> Iterator[SignIn]:
    """Sign a user in, in a separate browser; at the end every console must be empty."""
    messages: list[str] = []
    contexts = []

    def signed_in(email: str, viewport: ViewportSize = DESK, scheme: Scheme = "light") -> Page:
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, locale="en-GB", base_url=support[1])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: messages.append(message.text) if is_of_the_page(message.text) else None)
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto("/sign-in")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        if email == STAFF:
            set_up_second_factor(page)
        page.wait_for_url(lambda url: "/sign-in" not in url)
        return page

    yield signed_in
    for context in contexts:
        context.close()
    assert [line for line in messages if not re.search("status of (401|422)", line)] == []  # the browser reports these


@pytest.fixture
def pat(sign_in: SignIn) -> Page:
    return sign_in(STAFF)


def look_up(page: Page, device_id: str = HOME.device_id) -> None:
    """Open a device with a reason."""
    page.goto(f"/desk/device/{device_id}")
    page.get_by_label("In your words, or the number of the ticket").fill(TICKET)
    page.get_by_role("button", name="Look up the device").click()
    expect(page.get_by_role("heading", name="Is it sending?")).to_be_visible()


def section(page: Page, name: str) -> str:
    """Return the text of one question and its answer."""
    return page.get_by_role("region", name=name).inner_text()


def test_support_solves_the_case_of_a_gap_on_tuesday(pat: Page, sign_in: SignIn, support: tuple[Store, str]) -> None:
    page, store = pat, support[0]
    page.goto("/desk")
    page.get_by_role("combobox").press_sequentially("5678")
    page.get_by_role("option", name=re.compile("12 Acacia Road")).click()

    expect(page.get_by_role("heading", name="Why do you look?")).to_be_visible()
    page.get_by_label("The customer reports missing data").check()
    page.get_by_label("In your words, or the number of the ticket").fill(TICKET)
    page.get_by_role("button", name="Look up the device").click()

    assert "Sending" in section(page, "Is it sending?")
    gap = page.get_by_role("row").filter(has_text="08:15 on Tuesday 17 November")
    expect(gap).to_contain_text("13:10")
    expect(gap).to_contain_text("4 h 55 min")
    expect(gap).to_contain_text("marked as estimated")
    expect(page.get_by_text(re.compile("the charts add up to"))).to_be_visible()

    gap.get_by_role("link", name=re.compile("compute")).click()
    expect(page.get_by_label("First day")).to_have_value(TUESDAY)
    page.get_by_label("Why?").fill("the chart lacks an hour whose readings are there")
    page.get_by_role("button", name="Compute them again").click()
    expect(page.get_by_role("status").filter(has_text="computed again")).to_be_visible()
    expect(page.get_by_text(re.compile("register and charts both"))).to_be_visible()
    document = store.document("day", HOME.device_id, TUESDAY)
    assert document
    assert set(LOST) <= set(document.parts)

    page.get_by_role("link", name="Audit").click()
    page.get_by_label("Device id").fill(HOME.device_id)
    page.get_by_role("button", name="Show", exact=True).click()
    actions = page.locator("tbody tr td:nth-child(3)")
    expect(actions).to_have_text(["Had days computed again Tue 17 Nov", "Looked at the device"])

    ann = sign_in("ann@example.org")
    ann.goto("/who-looked")
    expect(ann.get_by_text(TICKET)).to_be_visible()
    expect(ann.get_by_text("Had days computed again")).to_be_visible()
    expect(ann.get_by_text("Support desk, Pat").first).to_be_visible()


def test_the_case_is_solved_by_keyboard_alone(pat: Page) -> None:
    page = pat
    page.goto("/desk")
    page.keyboard.press("/")
    page.keyboard.type("acacia")
    field = page.get_by_role("combobox")
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    chosen = page.get_by_role("option", selected=True)
    expect(chosen).to_contain_text("•••• •••• 5678")
    expect(field).to_have_attribute("aria-activedescendant", str(chosen.get_attribute("id")))
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Why do you look?")).to_be_visible()
    tab_to(page, "The customer reports missing data")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Is it sending?")).to_be_visible()

    tab_to(page, "compute again: 2026-11-17")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Compute days again")).to_be_visible()
    tab_to(page, "Why?")
    page.keyboard.type("a lost hour")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="computed again")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox")).to_be_focused()


NAME_OF_FOCUSED = """() => {
    const now = document.activeElement;
    return now.getAttribute("aria-label") || (now.labels && now.labels[0]?.innerText.trim()) || now.innerText?.trim();
}"""


def tab_to(page: Page, name: str, most: int = 60) -> None:
    """Press the Tab key until an element with that name has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(NAME_OF_FOCUSED) == name:
            return
    raise AssertionError(f"the Tab key does not lead to {name}")


def test_a_search_updates_while_typing_and_escape_closes_it(pat: Page) -> None:
    page = pat
    page.goto("/desk")
    field, options = page.get_by_role("combobox"), page.get_by_role("option")
    field.press_sequentially("cad-")
    expect(options).to_have_count(2)
    expect(page.locator("#find-said")).to_have_text("2 devices found")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(field).to_have_attribute("aria-expanded", "false")
    field.fill("zz9nobody")
    expect(page.locator(".nothing")).to_be_visible()


def test_a_search_after_sign_out_leads_to_the_sign_in_page(pat: Page) -> None:
    pat.goto("/desk")
    pat.context.clear_cookies()
    pat.get_by_role("combobox").press_sequentially("2200")
    expect(pat).to_have_url(re.compile(r"/sign-in\?next=/desk$"))


def test_support_works_without_scripts(chromium: Browser, support: tuple[Store, str], pat: Page) -> None:
    plain = chromium.new_context(
        java_script_enabled=False, base_url=support[1], storage_state=pat.context.storage_state(), locale="en-GB"
    )
    page = plain.new_page()
    page.goto("/desk")
    page.get_by_role("searchbox").fill("5678")
    page.get_by_role("searchbox").press("Enter")  # the sole hit opens
    page.get_by_label("The customer reports missing data").check()
    page.get_by_role("button", name="Look up the device").click()
    expect(page.get_by_role("heading", name="Is the data right?")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Copy"))).to_have_count(0)
    plain.close()


def test_a_refused_message_is_copied_raw_and_never_run(pat: Page) -> None:
    pat.context.grant_permissions(["clipboard-read", "clipboard-write"])
    look_up(pat)
    pat.get_by_text("The last message").click()
    pat.get_by_role("button", name="Copy message 1", exact=True).click()
    expect(pat.get_by_role("button", name="Copy message 1", exact=True)).to_have_text("Copied")
    assert "<script>alert(1)</script>\\x07" in pat.evaluate("navigator.clipboard.readText()")


PAGES = {
    "start": "/desk",
    "results": "/desk?q=2200",
    "no result": "/desk?q=nobody9",
    "list": "/desk/fleet/silent",
    "needs somebody": "/desk/attention",
    "why": "/desk/device/cad-quiet",
    "device": "/desk/device/cad-tuesday",
    "note": "/desk/device/cad-tuesday/note",
    "rebuild": "/desk/device/cad-tuesday/rebuild?first=2026-11-17",
    "exchange": "/desk/device/cad-tuesday/exchange",
    "bundle": "/desk/device/cad-tuesday/bundle",
    "audit": "/desk/audit",
}


def test_axe_finds_nothing_on_any_support_page(pat: Page) -> None:
    look_up(pat)
    found = {}
    for name, path in PAGES.items():
        pat.set_viewport_size(DESK)
        pat.goto(path)
        assert name != "start" or pat.locator(".trends svg").count()
        pat.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found[name] = violations(pat)
    assert {name: what for name, what in found.items() if what} == {}


def test_axe_finds_nothing_during_a_search_or_form_fault(pat: Page) -> None:
    pat.goto("/desk")
    pat.get_by_role("combobox").press_sequentially("cad-")
    expect(pat.get_by_role("option")).to_have_count(2)
    pat.keyboard.press("ArrowDown")
    expect(pat.get_by_role("option", selected=True)).to_be_visible()
    assert violations(pat) == {}
    pat.goto("/desk/device/cad-quiet")
    pat.get_by_role("button", name="Look up the device").click()
    expect(pat.locator("#reason-fault")).to_be_visible()
    assert violations(pat) == {}


def test_axe_finds_nothing_on_the_households_audit_page(pat: Page, sign_in: SignIn) -> None:
    look_up(pat)
    ann = sign_in("ann@example.org")
    ann.goto("/who-looked")
    expect(ann.get_by_text(TICKET)).to_be_visible()
    assert violations(ann) == {}


NARROW = ViewportSize(width=320, height=640)


def test_support_pages_fit_a_phone(sign_in: SignIn) -> None:
    page = sign_in(STAFF, PHONE)
    look_up(page)
    wide, clipped, small = {}, {}, {}
    for size in (PHONE, NARROW):
        page.set_viewport_size(size)
        for name, path in PAGES.items():
            page.goto(path)
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            wide[name, size["width"]] = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            clipped[name, size["width"]] = page.evaluate(
                """() => [...document.querySelectorAll(".scroll")]
                .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.getAttribute("aria-label"))"""
            )
            small[name, size["width"]] = page.evaluate(
                """() => [...document.querySelectorAll("a, button, summary, input:not([type=radio]), textarea")]
                .filter((one) => one.checkVisibility() && !one.matches(".skip, .unseen, [type=hidden]"))
                .filter((one) => { const { width, height } = one.getBoundingClientRect();
                                   return Math.min(width, height) < 24; })
                .map((one) => one.outerHTML.slice(0, 120))"""
            )
    assert {where: by for where, by in wide.items() if by > 0} == {}
    assert {where: what for where, what in clipped.items() if what} == {}
    assert {where: what for where, what in small.items() if what} == {}
