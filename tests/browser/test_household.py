import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from aggregator.documents import Device
from aggregator.store import open_store
from aggregator.store.base import Store
from tests.browser.conftest import DESK, PHONE, Open, serve
from tests.dashboard import homes

QUICK_MS = 200  # between polls


def bars(page: Page) -> int:
    """How many bars of import are drawn."""
    page.wait_for_selector(".graph .barlayer .point")
    return page.locator(".graph .barlayer .point path:not([d='M0,0Z'])").count()


@pytest.fixture
def empty_home(tmp_path: Path) -> Iterator[tuple[Store, str]]:
    opened = open_store(f"sqlite:///{tmp_path}/empty.db")
    for address in serve(opened, QUICK_MS):
        yield opened, address
    opened.close()


def test_from_the_devices_to_a_day_and_down_from_a_month_and_back(visit: Open) -> None:
    page = visit("/")
    page.get_by_role("link", name=re.compile("cad-1")).click()
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
    expect(page).to_have_title("Monday 23 November 2026 · cad-1 · Wattfall")
    assert bars(page) == 15
    page.get_by_role("link", name="Month", exact=True).click()
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    page.locator(".column").nth(4).click()
    expect(page.get_by_role("heading", name="Thursday 5 November 2026")).to_be_visible()
    assert page.url.endswith("/d/cad-1/day/2026-11-05")
    assert bars(page) == 24
    page.go_back()
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()


def test_previous_next_and_today_walk_through_time(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
    expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible()
    page.get_by_role("link", name="Previous").click()
    page.get_by_role("link", name="This year").click()
    assert page.url.endswith("/d/cad-1/year")


def test_a_reload_and_a_shared_address_show_the_same(visit: Open) -> None:
    page = visit("/d/cad-solar/month/2026-07")
    total = page.locator("figcaption strong").inner_text()
    page.reload()
    expect(page.locator("figcaption strong")).to_have_text(total)
    assert "imported and" in total


def test_a_whole_column_is_the_target_however_short_its_bar(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11")
    page.wait_for_selector(".graph .barlayer .point")
    plot = page.locator(".columns").bounding_box()
    assert plot is not None
    page.mouse.click(plot["x"] + plot["width"] * 22.5 / 30, plot["y"] + 5)
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()


def test_the_columns_lie_exactly_over_the_bars(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    bars(page)
    for position in (0, 12, 23):
        bar = page.locator(".graph .barlayer .point path").nth(position).bounding_box()
        column = page.locator(".column").nth(position).bounding_box()
        assert bar is not None
        assert column is not None
        assert abs(bar["x"] + bar["width"] / 2 - column["x"] - column["width"] / 2) < 1.5


def test_hovering_a_column_tells_its_energy_and_half_hours(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    card = page.locator(".column").nth(7).locator(".card")
    expect(card).to_have_css("opacity", "0")
    page.locator(".column").nth(7).hover()
    expect(card).to_have_css("opacity", "1")
    assert card.inner_text().split()[0] == "07:00–08:00"
    assert "07:30" in card.inner_text()


def test_a_day_of_25_hours_has_two_of_one_hour(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-10-25")
    assert bars(page) == 25
    expect(page.locator("figcaption")).to_contain_text("25 hours: the clocks went back")
    names = page.locator(".column .card strong").all_inner_texts()
    assert names[1:3] == ["01:00–02:00 BST", "01:00–02:00 GMT"]
    page.get_by_text("Table").click()
    expect(page.get_by_role("row")).to_have_count(26)
    expect(page.get_by_role("rowheader", name="01:00–02:00 GMT")).to_be_visible()


def test_a_silent_device_is_dimmed_and_says_since_when(visit: Open) -> None:
    page = visit("/d/cad-silent")
    expect(page.locator(".hero")).to_contain_text("No reading since 11:30, the device may be offline")
    expect(page.locator(".hero")).to_contain_text("last known")
    expect(page.locator("figcaption")).to_contain_text("2 h 45 min missing")
    expect(page.locator(".gap")).to_have_text(["no data"])
    assert page.locator(".legend li").all_inner_texts() == ["data missing"]  # of the hour in which it fell silent


def test_an_outage_is_hatched_and_named(visit: Open) -> None:
    page = visit("/d/cad-patchy")
    page.wait_for_selector(".graph pattern path", state="attached")
    expect(page.locator("figcaption")).to_contain_text("4 h estimated after an outage · 4 h missing")
    assert page.locator(".legend li").all_inner_texts() == ["estimated"]
    expect(page.locator(".gap")).to_have_text(["no data"])


def test_the_age_ticks_between_polls(visit: Open) -> None:
    expect(visit("/d/cad-1").locator(".hero time")).to_have_text(re.compile("^[6-9] s ago$"), timeout=4000)


def hide(page: Page, is_hidden: bool) -> None:
    """Pretend that the tab was left or is looked at again."""
    page.evaluate(
        "is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_a_hidden_tab_rests_and_asks_at_once_when_it_is_looked_at_again(
    empty_home: tuple[Store, str], visit: Open
) -> None:
    page = visit("/", at=empty_home[1])
    asked: list[str] = []
    hide(page, True)
    page.wait_for_timeout(QUICK_MS)
    page.on("request", lambda sent: asked.append(sent.url))
    page.wait_for_timeout(3 * QUICK_MS)
    assert asked == []
    with page.expect_response(re.compile("_dash-update-component")):
        hide(page, False)


def test_a_step_in_time_keeps_the_drawing_the_focus_and_the_place_on_the_page(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22", viewport=PHONE)
    bars(page)
    page.get_by_text("Table").click()
    page.evaluate("window.scrollTo(0, 120); document.querySelector('.graph svg').marked = true")
    before = page.evaluate("window.scrollY")
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    assert page.evaluate("window.scrollY") == before
    assert page.evaluate("document.querySelector('.graph svg').marked") is True
    assert page.evaluate("document.querySelector('.numbers').open") is True
    expect(page.get_by_role("link", name="Previous")).to_be_focused()


def test_a_phone_shows_every_page_without_scrolling_sideways(visit: Open) -> None:
    page = visit("/", viewport=PHONE)
    for path in ("/", "/d/cad-1", "/d/cad-solar/month", "/d/cad-patchy", "/d/cad-1/year", "/d/cad-new", "/d/nobody"):
        page.evaluate("path => dash_clientside.set_props('url', {pathname: path})", path)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_the_smallest_phone_still_has_the_whole_navigation(visit: Open) -> None:
    page = visit("/d/cad-1/month", viewport=ViewportSize(width=320, height=640))
    following = page.locator("#next").bounding_box()
    assert following is not None
    assert following["x"] + following["width"] <= 320


def test_a_first_tap_on_a_phone_shows_the_card_and_a_second_goes_down_to_the_day(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11", viewport=PHONE)
    bars(page)
    column = page.locator(".column").nth(9)
    column.tap()
    expect(column.locator(".card")).to_have_css("opacity", "1")
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    column.tap()
    expect(page.get_by_role("heading", name="Tuesday 10 November 2026")).to_be_visible()
    navigation = page.get_by_role("navigation").bounding_box()
    assert navigation is not None
    assert round(navigation["y"] + navigation["height"]) == 844


def test_the_dark_scheme_reaches_into_the_chart(visit: Open) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page = visit("/d/cad-patchy", color_scheme=scheme)
        bars(page)
        read = "selector => getComputedStyle(document.querySelector(selector))"
        colours.append(
            [
                page.evaluate(f"({read})('.barlayer .point path').fill"),
                page.evaluate(f"({read})('.graph pattern path').stroke"),
                page.evaluate(f"({read})('.graph .ytick text').fill"),
            ]
        )
    assert colours[0][0] == "rgb(14, 116, 144)"
    assert all(light != dark for light, dark in zip(*colours, strict=True))


def test_everything_is_reached_by_keyboard(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-11")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.locator(".column[tabindex='0']").count() == 1
    page.locator(".column").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Monday 2 November 2026")).to_be_visible()


def test_a_wide_screen_names_every_column_and_a_phone_only_some(visit: Open) -> None:
    shown = []
    for viewport in (DESK, PHONE):
        page = visit("/d/cad-1/month/2026-11", viewport=viewport)
        shown.append(page.locator(".tick:visible").all_inner_texts())
    assert len(shown[0]) == 30
    assert [text.split() for text in shown[1]] == [[day, "Mon"] for day in ("2", "9", "16", "23", "30")]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/d/nobody", "This device is not known here"),
        ("/somewhere/else", "There is no page at this address"),
        ("/d/cad-1/day/2026-12-24", "This day is still to come"),
        ("/d/cad-1/day/2020-01-01", "Before the first reading"),
        ("/d/cad-new", "Nothing to draw yet"),
    ],
)
def test_where_there_is_nothing_there_are_words(visit: Open, path: str, words: str) -> None:
    expect(visit(path).get_by_role("heading", name=words)).to_be_visible()


def test_the_first_reading_appears_by_itself(empty_home: tuple[Store, str], visit: Open) -> None:
    store, address = empty_home
    page = visit("/", at=address)
    expect(page.get_by_role("heading", name="Your first reading has not arrived yet")).to_be_visible()
    store.put_device(Device("cad-9"))
    store.put_live([homes.live("cad-9", 431)])
    expect(page.get_by_role("link", name=re.compile("cad-9"))).to_contain_text("431")
    link = page.get_by_role("link", name=re.compile("cad-9"))
    link.focus()
    store.put_live([homes.live("cad-9", 987, age=1)])
    expect(link).to_contain_text("987")
    expect(link).to_be_focused()
