"""The household's tariff in a real browser; each test has its own home, because tariffs change every chart."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from aggregator.core.documents import Device
from aggregator.store.port import Store
from aggregator.waterfall.worker import drain
from dashboard.text.language import ENGLISH
from tests.browser.conftest import DESK, PHONE, Open, serve
from tests.copies import Copy
from tests.dashboard import homes

QUICK_MS = 200  # between polls
NEXT, CHANGE = "Next: see what changes", "Change the tariff"


def november(store: Store) -> None:
    homes.fill(store, Device("cad-1"), "2026-11-01", homes.NOW)


@pytest.fixture
def home(copy: Copy) -> Iterator[tuple[Store, str]]:
    store = copy(november)
    for address in serve(store, QUICK_MS):
        yield store, address


def import_cost(store: Store) -> int | None:
    document = store.document("month", "cad-1", "2026-11")
    assert document
    return document.total.cost.import_cost


def test_a_confirmed_first_tariff_prices_the_past(home: tuple[Store, str], visit: Open) -> None:
    store, address = home
    page = visit("/d/cad-1/tariff", address)
    page.get_by_label("Price", exact=True).first.fill("20")
    page.get_by_label("Standing charge").fill("50")
    page.get_by_role("button", name=NEXT).last.click()
    expect(page.get_by_text("1 November 2026 to 23 November 2026, 23 days")).to_be_visible()
    expect(page.get_by_text("20 p per kWh · 50 p a day")).to_be_visible()
    assert import_cost(store) is None
    page.get_by_role("button", name=CHANGE).click()
    expect(page.locator("#said")).to_contain_text("The tariff has been changed.")
    page.wait_for_url("**/d/cad-1/month?unit=money")
    drain(store)
    month = store.document("month", "cad-1", "2026-11")
    assert month
    assert import_cost(store) == (month.total.import_wh or 0) * 2_000_000_000
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page).to_have_url(re.compile(r"/d/cad-1/year/2026\?unit=money$"))
    expect(page.locator("#said")).to_be_hidden()
    page.go_back()
    cost = ENGLISH.money(month.total.cost.to_pay or 0, "GBP")
    expect(page.locator("figcaption")).to_contain_text(cost, timeout=20_000)


def test_a_change_is_undone_from_its_notice(home: tuple[Store, str], visit: Open) -> None:
    store, address = home
    page = visit("/d/cad-1/tariff", address)
    page.get_by_label("Price", exact=True).first.fill("20")
    page.get_by_role("button", name=NEXT).last.click()
    page.get_by_role("button", name=CHANGE).click()
    page.locator("#said").get_by_role("link", name="Undo").click()
    page.get_by_role("button", name="Undo the change").click()
    expect(page.locator("#said")).to_contain_text("There is no tariff any more.")
    device = store.device("cad-1")
    assert device
    assert device.tariff == ""


def test_the_tariff_is_corrected_and_changed_by_keyboard(home: tuple[Store, str], visit: Open) -> None:
    store, address = home
    page = visit("/d/cad-1/tariff", address)
    page.get_by_label("Price", exact=True).first.focus()
    page.keyboard.type("twenty")
    page.keyboard.press("Enter")
    expect(page.locator(".summary")).to_be_focused()
    expect(page).to_have_title("Please check: What does your electricity cost? · Wattfall")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    price = page.locator("#v0-import-rate")
    expect(price).to_be_focused()
    expect(price).to_have_attribute("aria-invalid", "true")
    expect(price).to_have_accessible_description("“twenty” is not a number. Write it like 24.5. pence per kWh")
    page.keyboard.press("Control+a")
    page.keyboard.type("20")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="This is what changes")).to_be_visible()
    tab_to(page, CHANGE)
    page.keyboard.press("Enter")
    page.wait_for_url("**/d/cad-1/month?unit=money")
    drain(store)
    assert import_cost(store)


def test_adding_rows_loses_nothing_and_focuses_the_new_row(home: tuple[Store, str], visit: Open) -> None:
    page = visit("/d/cad-1/tariff", home[1])
    rows = page.locator("#v0-import-0-rate")
    expect(rows).to_be_hidden()
    page.get_by_label("By time of day").first.check()
    rows.fill("8.5")
    page.get_by_role("button", name="Add a row").first.click()
    expect(page.locator("#v0-import-2-name")).to_be_focused()
    expect(page.locator("#v0-import-0-rate")).to_have_value("8.5")
    page.get_by_role("button", name="Remove row 3").click()
    page.locator("#v0-import-1-rate").fill("28.9")
    page.locator("#v0-import-1-from").select_option("07:30")
    page.get_by_role("button", name=NEXT).last.click()
    expect(page.locator(".summary")).to_contain_text("There is no price from 07:00 to 07:30.")
    page.locator("#v0-import-1-from").select_option("07:00")
    page.get_by_role("button", name=NEXT).last.click()
    expect(page.get_by_text("8.5 p to 28.9 p per kWh, by time of day")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_form_fits_a_phone(home: tuple[Store, str], visit: Open, viewport: object, scheme: object) -> None:
    page = visit("/d/cad-1/tariff", home[1], viewport=viewport, color_scheme=scheme)
    page.get_by_label("By time of day").first.check()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sizes = page.evaluate(
        """[...document.querySelectorAll("form :is(input, select, button, a, summary, .option):not(.unseen)")]
        .filter((one) => one.checkVisibility() && one.type !== "hidden" && one.type !== "radio")
        .map((one) => one.getBoundingClientRect()).map((box) => Math.min(box.width, box.height))"""
    )
    assert len(sizes) > 15
    assert min(sizes) >= 24


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the named button has the focus."""
    button = page.get_by_role("button", name=name)
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {name}")
