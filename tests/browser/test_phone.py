"""The page on a phone: everything fits its width, is large enough to touch, and can be read before it is opened."""

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import DESK, PHONE, Open, bars

SMALLEST = ViewportSize(width=320, height=640)


def test_a_phone_shows_every_page_without_scrolling_sideways(visit: Open) -> None:
    page = visit("/", viewport=PHONE)
    for path in ("/", "/d/cad-1", "/d/cad-solar/month", "/d/cad-patchy", "/d/cad-1/year", "/d/cad-new", "/d/nobody"):
        page.evaluate("path => dash_clientside.set_props('url', {pathname: path})", path)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_the_smallest_phone_still_has_the_whole_navigation(visit: Open) -> None:
    page = visit("/d/cad-1/month", viewport=SMALLEST)
    following = page.locator("#next").bounding_box()
    assert following is not None
    assert following["x"] + following["width"] <= 320


OUTSIDE = """([place, frame]) => [...document.querySelectorAll(place)]
    .filter((one) => one.getBoundingClientRect().width)
    .filter((one) => {
        const [box, around] = [one, one.closest(frame)].map((part) => part.getBoundingClientRect());
        return box.left < around.left - 1 || box.right > around.right + 1 || one.scrollWidth > one.clientWidth + 1;
    }).map((one) => one.textContent)"""


@pytest.mark.parametrize("size", [PHONE, SMALLEST], ids=["phone", "smallest"])
@pytest.mark.parametrize("level", ["month", "year"])
def test_a_phone_says_this_month_and_this_year_in_full(visit: Open, size: ViewportSize, level: str) -> None:
    page = visit(f"/d/cad-1/{level}/2026{'-06' if level == 'month' else ''}", viewport=size)
    expect(page.locator("#current")).to_have_text(f"This {level}")
    assert page.evaluate(OUTSIDE, ["#current", ".steps"]) == []


@pytest.mark.parametrize("size", [PHONE, SMALLEST], ids=["phone", "smallest"])
def test_the_powers_of_the_last_hour_are_whole_or_left_out(visit: Open, size: ViewportSize) -> None:
    page = visit("/d/cad-1", viewport=size)
    page.wait_for_selector("#hour-frame .textpoint", state="attached")
    assert page.locator("#hour-frame .textpoint").first.is_visible() == (size == PHONE)
    assert page.evaluate(OUTSIDE, ["#hour-frame .textpoint text", "#hour-frame"]) == []


def test_a_phone_shows_the_whole_name_of_a_home(visit: Open) -> None:
    page = visit("/d/cad-1", viewport=PHONE)
    page.locator(".place a").evaluate("one => { one.textContent = '60 Acacia Road'; }")
    assert page.locator(".place h1").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_a_first_tap_shows_the_card_and_a_second_opens_it(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11", viewport=PHONE)
    bars(page)
    column = page.locator(".column").nth(9)
    column.tap()
    expect(column.locator(".card")).to_have_css("opacity", "1")
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    column.tap()
    expect(page.get_by_role("heading", name="Tuesday 10 November 2026")).to_be_visible()
    navigation = page.get_by_role("navigation", name="Period").bounding_box()
    assert navigation is not None
    assert round(navigation["y"] + navigation["height"]) == 844


def test_a_phone_shows_the_whole_chart_and_its_navigation_at_once(visit: Open) -> None:
    page = visit("/d/cad-1", viewport=PHONE)
    bars(page)
    plot, navigation = (page.locator(place).bounding_box() for place in (".plot", ".navigation"))
    assert plot is not None
    assert navigation is not None
    assert plot["y"] + plot["height"] <= navigation["y"]
    assert page.locator("#hour-frame").evaluate("graph => graph.offsetHeight") <= 80


def test_a_tapped_card_leaves_the_headline_free(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11", viewport=PHONE)
    bars(page)
    column = page.locator(".column").nth(14)
    column.tap()
    card, headline = column.locator(".card").bounding_box(), page.locator("figcaption").bounding_box()
    assert card is not None
    assert headline is not None
    assert card["y"] >= headline["y"] + headline["height"]


def test_the_last_days_name_is_not_cut(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11", viewport=PHONE)
    bars(page)
    tick, plot = page.locator(".tick.major").last.bounding_box(), page.locator(".plot").bounding_box()
    assert tick is not None
    assert plot is not None
    assert tick["x"] + tick["width"] <= plot["x"] + plot["width"]


def test_a_phone_names_only_some_columns(visit: Open) -> None:
    shown = []
    for viewport in (DESK, PHONE):
        page = visit("/d/cad-1/month/2026-11", viewport=viewport)
        shown.append(page.locator(".tick:visible").all_inner_texts())
    assert len(shown[0]) == 30
    assert [text.split() for text in shown[1]] == [[day, "Mon"] for day in ("2", "9", "16", "23", "30")]
