import re

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.browser.conftest import DESK, PHONE, Open

SWIPE = """([from, to, down]) => {
    const target = document.querySelector(".plot");
    const box = target.getBoundingClientRect();
    const touch = (x, y) => new Touch({ identifier: 1, target, clientX: box.left + x, clientY: box.top + 40 + y });
    const send = (type, touches, changedTouches) =>
        target.dispatchEvent(new TouchEvent(type, { bubbles: true, cancelable: true, touches, changedTouches }));
    send("touchstart", [touch(from, 0)], [touch(from, 0)]);
    send("touchend", [], [touch(to, down)]);
}"""


def opened(page: Page, label: str) -> Page:
    page.locator("#pick").click()
    expect(page.locator("#pick")).to_have_attribute("aria-label", label)
    expect(page.locator("#choice")).to_be_visible()
    return page


def choice(page: Page, name: str) -> Locator:
    return page.locator("#choice").get_by_role("link", name=name, exact=True)


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_a_day_is_chosen_from_a_fully_visible_calendar(visit: Open, viewport: ViewportSize) -> None:
    page = opened(visit("/d/cad-1?unit=money", viewport=viewport), "Choose a day")
    box = page.locator("#choice").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= viewport["width"]
    assert box["y"] + box["height"] <= viewport["height"]
    choice(page, "Earlier").click()
    expect(page.get_by_role("heading", name="Friday 23 October 2026")).to_be_visible()
    expect(choice(page, "Earlier")).to_be_focused()
    choice(page, "Wednesday 7 October 2026").click()
    expect(page).to_have_url(re.compile(r"/d/cad-1/day/2026-10-07\?unit=money$"))
    expect(page.get_by_role("heading", name="Wednesday 7 October 2026")).to_be_visible()
    expect(page.locator("#choice")).to_be_hidden()
    expect(page.locator("#pick")).to_be_focused()


def test_the_calendar_covers_the_range_of_the_data(visit: Open) -> None:
    page = opened(visit("/d/cad-solar/day/2026-06-10"), "Choose a day")
    expect(choice(page, "Wednesday 3 June 2026")).to_have_count(1)
    expect(choice(page, "Tuesday 2 June 2026")).to_have_count(0)
    expect(choice(page, "Earlier")).to_have_count(0)
    choice(page, "Later").click()
    expect(page.get_by_role("heading", name="Friday 10 July 2026")).to_be_visible()
    page.goto(page.url.replace("07-10", "07-01"))
    opened(page, "Choose a day")
    choice(page, "Earlier").click()
    expect(page.get_by_role("heading", name="Wednesday 3 June 2026")).to_be_visible()


def test_the_calendar_works_by_keyboard(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-10-31")
    page.locator("#pick").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(choice(page, "A year earlier")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#choice")).to_be_hidden()
    expect(page.locator("#pick")).to_be_focused()


def test_months_and_years_are_chosen_in_the_same_way(visit: Open) -> None:
    page = opened(visit("/d/cad-1/month"), "Choose a month")
    choice(page, "A year earlier").click()
    expect(page.get_by_role("heading", name="November 2025", exact=True)).to_be_visible()
    expect(choice(page, "September 2025")).to_have_count(0)
    choice(page, "October 2025").click()
    expect(page.get_by_role("heading", name="October 2025", exact=True)).to_be_visible()
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.get_by_role("heading", name="2025", exact=True)).to_be_visible()
    choice(opened(page, "Choose a year"), "2026").click()
    expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible()


def test_the_heading_links_up_and_is_read_in_full(visit: Open) -> None:
    page = visit("/d/cad-solar/day/2026-10-07?unit=money")
    crumbs = page.get_by_role("navigation", name="Breadcrumb")
    expect(page.get_by_role("heading", name="Wednesday 7 October 2026")).to_be_visible()
    crumbs.get_by_role("link", name="October").click()
    expect(page).to_have_url(re.compile(r"/month/2026-10\?unit=money$"))
    crumbs.get_by_role("link", name="2026").click()
    expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible()
    expect(page.locator("#crumbs")).to_be_hidden()


def test_a_link_changed_during_a_click_is_followed(visit: Open) -> None:
    page = visit("/d/cad-solar/day/2026-10-07")
    page.get_by_role("link", name="Previous").hover()
    page.mouse.down()
    page.evaluate("wattfall.go('/d/cad-solar/month/2026-10')")
    expect(page.get_by_role("heading", name="October 2026", exact=True)).to_be_visible()
    page.mouse.up()
    expect(page.get_by_role("heading", name="September 2026", exact=True)).to_be_visible()


def test_arrow_keys_move_in_time_and_letters_need_the_panel(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    page.keyboard.press("m")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    page.get_by_role("link", name="Day", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
    page.keyboard.press("ArrowRight")  # leads nowhere
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-keyshortcuts", "ArrowRight")


def test_arrow_keys_on_the_columns_do_not_leave_the_day(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    page.locator(".column").nth(3).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".column").nth(2)).to_be_focused()
    assert page.url.endswith("/month/2026-10")


def test_a_swipe_moves_in_time_and_scrolling_does_not(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22", viewport=PHONE)
    page.evaluate(SWIPE, [60, 260, 10])
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    page.evaluate(SWIPE, [260, 60, 10])
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    page.evaluate(SWIPE, [260, 160, 90])
    page.evaluate(SWIPE, [260, 230, 0])
    page.evaluate(SWIPE, [260, 60, 10])
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
