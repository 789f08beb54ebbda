"""Other views of a period: beside another one, in money, with and without the standing charge."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Open, bars

OUTLINES = ".graph .barlayer .point path[style*='stroke: rgb(107, 125, 134)']"


def choose(page: Page, name: str) -> None:
    """Choose a comparison in the menu."""
    page.locator("#compare summary").click()
    page.locator("#compare").get_by_role("link", name=name).click()


def total(page: Page) -> str:
    return page.locator("#total").inner_text()


def test_a_compared_day_is_outlined_with_the_difference(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    bars(page)
    assert page.locator(OUTLINES).count() == 0
    choose(page, "last week")
    expect(page.locator("figcaption")).to_contain_text(re.compile(r"\d+ % (more|less) than Sunday 15 November"))
    expect(page.locator("#legend .other")).to_have_text("Sunday 15 November")
    assert page.locator(OUTLINES).count() == 24
    page.locator(".column").nth(18).hover()
    expect(page.locator(".column").nth(18).locator(".card")).to_contain_text("Sunday 15 November")
    choose(page, "usual day")
    expect(page.locator("#legend .other")).to_have_count(0)
    expect(page.locator(OUTLINES)).to_have_count(0)
    assert page.url.endswith("/d/cad-1/day/2026-11-22")


def test_an_open_day_is_compared_with_the_same_hours(visit: Open) -> None:
    page = visit("/d/cad-1?compare=week")
    expect(page.locator("#remarks")).to_contain_text("than Monday 16 November by the same time")
    assert page.locator(OUTLINES).count() == 24


def test_navigation_in_time_keeps_the_comparison(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11")
    choose(page, "the month before")
    expect(page.locator("#legend .other")).to_have_text("October")
    page.get_by_role("link", name="Previous").click()
    expect(page.locator("#legend .other")).to_have_text("September")
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.locator("#legend .other")).to_have_text("2025")
    page.go_back()
    expect(page.locator("#legend .other")).to_have_text("September")
    assert page.url.endswith("/d/cad-1/month/2026-10?compare=previous")


def test_a_comparison_unknown_to_a_level_is_dropped(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22?compare=week")
    page.get_by_role("link", name="Month", exact=True).click()
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    assert page.url.endswith("/d/cad-1/month/2026-11")


def test_the_menu_works_by_keyboard(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    summary, menu = page.locator("#compare summary"), page.locator("#compare ul")
    summary.focus()
    page.keyboard.press("Enter")
    expect(menu).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#compare").get_by_role("link", name="last week")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#legend .other")).to_have_text("Sunday 15 November")
    expect(menu).to_be_hidden()
    expect(page.locator("#compare summary")).to_be_focused()


def test_a_click_elsewhere_closes_the_menu(visit: Open) -> None:
    page = visit("/d/cad-1/month", viewport=PHONE)
    page.locator("#downloads summary").click()
    menu = page.locator("#downloads ul")
    expect(menu).to_be_visible()
    box = menu.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    page.mouse.click(20, 20)
    expect(menu).to_be_hidden()


def test_every_number_turns_into_money_and_back(visit: Open) -> None:
    page = visit("/d/cad-1/month")
    expect(page.locator("#total")).to_contain_text("kWh")
    page.get_by_role("link", name="£", exact=True).click()
    expect(page.locator("#total")).to_contain_text("£")
    for place in ("#today-number", "#month-number", "#facts"):
        expect(page.locator(place)).to_contain_text("£")
    page.locator(".column").nth(4).click()
    expect(page.get_by_role("heading", name="Thursday 5 November 2026")).to_be_visible()
    expect(page.locator("#total")).to_contain_text("£")
    page.get_by_role("link", name="kWh", exact=True).click()
    expect(page.locator("#total")).to_contain_text("kWh")
    assert page.url.endswith("/d/cad-1/day/2026-11-05")


def test_the_standing_charge_can_be_excluded_and_included(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10?unit=money")
    charge = page.locator("#charge")
    expect(charge).to_have_text("without standing charge")
    expect(page.locator("#legend .charge")).to_be_visible()
    with_it = total(page)
    charge.click()
    expect(charge).to_have_text("with standing charge")
    expect(page.locator("#legend .charge")).to_have_count(0)
    without = total(page)
    amounts = [float(re.findall(r"£([\d.]+)", words)[0]) for words in (with_it, without)]
    assert round(amounts[0] - amounts[1], 2) == round(31 * 0.5310, 2)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    assert page.url.endswith("/d/cad-1/month/2026-11?unit=money&charge=no")
    charge.click()
    expect(page.locator("#legend .charge")).to_be_visible()
