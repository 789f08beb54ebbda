import re

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import DESK, PHONE, Open


def cell(page: Page, day: int, hour: int) -> Locator:
    return page.locator("#heat tbody tr").nth(hour).get_by_role("gridcell").nth(day - 1)


def card(element: Locator) -> str:
    """Return the text of a cell's card, which its style makes of two attributes."""
    shown: str = element.evaluate("""cell => {
        const { content, position } = getComputedStyle(cell, "::after");
        return position === "absolute" && content !== "none" ? `${cell.dataset.at} · ${cell.ariaLabel}` : "";
    }""")
    return shown


def middle(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2


def test_only_a_month_has_a_heat_map(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    expect(page.get_by_role("grid", name="Hours by days, October 2026").get_by_role("gridcell")).to_have_count(24 * 31)
    expect(page.locator("#more-words")).to_contain_text("Mostly between 18:00 and 22:00")
    page.get_by_role("link", name="Day", exact=True).click()
    expect(page.locator("#more")).to_be_hidden()
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.locator("#heat")).to_be_hidden()
    expect(
        page.get_by_role("img", name=re.compile("Line chart, Running total of import: 3,062 kWh so far"))
    ).to_be_visible()


def test_a_month_without_data_has_no_heat_map(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    expect(page.locator("#more")).to_be_visible()
    page.evaluate("window.wattfall.go('/d/cad-1/month/2025-09')")
    expect(page.get_by_role("heading", name="September 2025", exact=True)).to_be_visible()
    expect(page.locator("#more")).to_be_hidden()


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_each_day_stands_under_its_bar(visit: Open, viewport: ViewportSize) -> None:
    page = visit("/d/cad-1/month/2026-10", viewport=viewport)
    for day in (1, 16, 31):
        assert middle(cell(page, day, 12)) == pytest.approx(middle(page.locator(".column").nth(day - 1)), abs=1)


def test_the_grid_is_one_tab_stop_with_arrow_keys(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    expect(page.locator("#heat [tabindex='0']")).to_have_count(1)
    page.locator("#heat [tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "End", "ArrowLeft"):
        page.keyboard.press(key)
    expect(cell(page, 30, 2)).to_be_focused()
    assert card(cell(page, 30, 2)).startswith("Friday 30 October, 02:00–03:00 · ")
    expect(page).to_have_url(re.compile("month/2026-10$"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Friday 30 October 2026")).to_be_visible()


def test_clicking_a_cell_or_a_days_name_opens_the_day(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10?unit=money")
    cell(page, 25, 1).hover()
    assert re.search("£.* BST · £.* GMT", card(cell(page, 25, 1)))
    cell(page, 25, 1).click()
    expect(page).to_have_url(re.compile(r"day/2026-10-25\?unit=money$"))
    page.go_back()
    page.locator("#heat thead").get_by_role("link", name="Saturday 10 October").click()
    expect(page.get_by_role("heading", name="Saturday 10 October 2026")).to_be_visible()


def test_a_first_tap_reads_a_cell_and_a_second_opens_it(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10", viewport=PHONE)
    cell(page, 12, 8).tap()
    assert card(cell(page, 12, 8)).startswith("Monday 12 October, 08:00–09:00 · ")
    assert page.url.endswith("/month/2026-10")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    cell(page, 12, 8).tap()
    expect(page.get_by_role("heading", name="Monday 12 October 2026")).to_be_visible()


def test_a_cell_keeps_the_focus_when_the_numbers_change(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    cell(page, 12, 8).focus()
    page.get_by_role("link", name="£", exact=True).evaluate("link => link.click()")
    expect(cell(page, 12, 8)).to_have_attribute("aria-label", re.compile("£"))
    expect(cell(page, 12, 8)).to_be_focused()


def test_estimated_missing_and_future_cells_differ(visit: Open) -> None:
    page = visit("/d/cad-patchy/month")
    expect(cell(page, 23, 3)).to_have_attribute("aria-label", "0.60 kWh · 1 h estimated")
    expect(cell(page, 23, 7)).to_have_attribute("aria-label", "no data")
    expect(cell(page, 24, 7)).to_have_attribute("aria-label", "still to come")
    looks = [cell(page, 23, hour).evaluate("cell => getComputedStyle(cell).backgroundImage") for hour in (3, 7, 12, 20)]
    assert [look.partition("(")[0] for look in looks] == [
        "repeating-linear-gradient",
        "radial-gradient",
        "none",
        "none",
    ]


def test_a_year_has_a_running_total_beside_the_last(visit: Open) -> None:
    page = visit("/d/cad-1/year")
    expect(page.locator("#more-words")).to_contain_text("41 days known of both")
    expect(page.locator("#running-picture .scatterlayer .trace")).to_have_count(2)
    page.locator("#running summary").click()
    expect(page.locator("#running-table tbody tr")).to_have_count(12)
    page.locator("#running-table").get_by_role("link", name="October").click()
    expect(page.get_by_role("heading", name="October 2026", exact=True)).to_be_visible()
