import re

import pytest
from playwright.sync_api import Page, ViewportSize, expect

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


def written(weekday: str, date: str) -> re.Pattern[str]:
    """Return a date in the browser's format: some releases put a comma after the weekday."""
    return re.compile(f"^{weekday},? {date}$")


def opened(page: Page, label: str) -> Page:
    page.get_by_role("button", name=label).click()
    expect(page.get_by_role("dialog", name=label)).to_be_visible()
    return page


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_a_day_is_chosen_from_a_fully_visible_calendar(visit: Open, viewport: ViewportSize) -> None:
    page = opened(visit("/d/cad-1?unit=money", viewport=viewport), "Choose a day")
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= viewport["width"]
    assert box["y"] + box["height"] <= viewport["height"]
    page.get_by_role("button", name="Earlier", exact=True).click()
    page.get_by_role("gridcell", name=written("Wednesday", "7 October 2026")).click()
    expect(page).to_have_url(re.compile(r"/d/cad-1/day/2026-10-07\?unit=money$"))
    expect(page.get_by_role("heading", name="Wednesday 7 October 2026")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_the_calendar_covers_the_range_of_the_data(visit: Open) -> None:
    page = opened(visit("/d/cad-solar/day/2026-06-10"), "Choose a day")
    expect(page.get_by_role("gridcell", name=written("Tuesday", "2 June 2026"))).to_have_attribute(
        "aria-disabled", "true"
    )
    expect(page.get_by_role("gridcell", name=written("Wednesday", "3 June 2026"))).not_to_have_attribute(
        "aria-disabled", "true"
    )
    expect(page.get_by_role("button", name="Earlier", exact=True)).to_be_disabled()
    page.get_by_role("gridcell", name=written("Tuesday", "2 June 2026")).click(force=True)
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("PageUp")
    expect(page.get_by_role("gridcell", name=written("Wednesday", "3 June 2026"))).to_be_focused()


def test_calendar_keys_move_by_day_week_and_month(visit: Open) -> None:
    page = opened(visit("/d/cad-1/day/2026-10-31"), "Choose a day")
    for key, name in {
        "ArrowLeft": "Friday 30 October 2026",
        "ArrowUp": "Friday 23 October 2026",
        "Home": "Monday 19 October 2026",
        "End": "Sunday 25 October 2026",
        "PageUp": "Friday 25 September 2026",
        "ArrowDown": "Friday 2 October 2026",
        "ArrowRight": "Saturday 3 October 2026",
    }.items():
        page.keyboard.press(key)
        expect(page.get_by_role("gridcell", name=written(*name.split(" ", 1)))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Saturday 3 October 2026")).to_be_visible()


def test_escape_closes_the_calendar_and_returns_the_focus(visit: Open) -> None:
    page = opened(visit("/d/cad-1"), "Choose a day")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("gridcell", name=written("Monday", "23 November 2026"))).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Choose a day")).to_be_focused()


def test_months_and_years_are_chosen_in_the_same_way(visit: Open) -> None:
    page = opened(visit("/d/cad-1/month"), "Choose a month")
    page.get_by_role("button", name="A year earlier").click()
    expect(page.get_by_role("gridcell", name="September 2025")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("gridcell", name="October 2025").click()
    expect(page.get_by_role("heading", name="October 2025", exact=True)).to_be_visible()
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.get_by_role("heading", name="2025", exact=True)).to_be_visible()
    opened(page, "Choose a year").get_by_role("gridcell", name="2026").click()
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


def test_a_link_rebuilt_during_a_click_still_works(visit: Open) -> None:
    page = visit("/d/cad-solar/day/2026-10-07")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="2026").hover()
    page.mouse.down()
    page.evaluate("wattfall.go('/d/cad-solar/month/2026-10')")
    expect(page.get_by_role("heading", name="October 2026", exact=True)).to_be_visible()
    page.mouse.up()
    expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"/year/2026$"))


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
