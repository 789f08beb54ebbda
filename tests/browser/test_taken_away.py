import re
from pathlib import Path
from struct import unpack

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESK, PHONE, Open


def menu(page: Page) -> None:
    page.wait_for_selector(".graph .barlayer .point")
    page.get_by_text("Download", exact=True).click()


def on_paper(page: Page) -> None:
    """Do the browser's work before a print, without the dialogue."""
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")


def on_screen(page: Page) -> None:
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")


def test_a_picture_is_a_large_named_png(visit: Open, tmp_path: Path) -> None:
    page = visit("/d/cad-solar/month/2026-11", color_scheme="dark")
    menu(page)
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("PNG")).click()
    download.value.save_as(tmp_path / "picture.png")
    content = (tmp_path / "picture.png").read_bytes()
    assert download.value.suggested_filename == "wattfall-cad-solar-2026-11.png"
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert unpack(">II", content[16:24]) == (3200, 1800)
    assert page.url.endswith("/d/cad-solar/month/2026-11")


def test_a_table_downloads_without_leaving_the_page(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    menu(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV, days").click()
    assert download.value.suggested_filename == "wattfall-cad-1-2026-10.csv"
    assert Path(download.value.path()).read_text().count("\n") == 32
    expect(page.get_by_role("heading", name="October 2026")).to_be_visible()


@pytest.mark.parametrize("viewport", [DESK, PHONE])
def test_a_print_has_chart_numbers_and_origin_without_controls(visit: Open, viewport: object) -> None:
    page = visit("/d/cad-1/month/2026-10", viewport=viewport, color_scheme="dark")
    page.wait_for_selector(".graph .barlayer .point")
    on_paper(page)
    expect(page.locator("#table tbody tr")).to_have_count(31)
    expect(page.locator("#table")).to_be_visible()
    for control in ("#previous", "#to-day", "#downloads", "#compare", "#theme"):
        expect(page.locator(control)).to_be_hidden()
    chart, plot = page.locator(".plot .graph .main-svg").first.bounding_box(), page.locator(".plot").bounding_box()
    assert chart is not None
    assert plot is not None
    assert (chart["width"], chart["height"]) == (plot["width"], plot["height"]) == (680, 250)
    where = page.evaluate("getComputedStyle(document.body, '::after').content")
    assert "/d/cad-1/month/2026-10 · " in where
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    for of_today in (".hero", "#so-what", ".small"):
        expect(page.locator(of_today)).to_be_hidden()
    on_screen(page)
    expect(page.locator("#table")).to_be_hidden()
    expect(page.locator("#previous")).to_be_visible()


def test_a_print_of_today_has_its_tiles_without_the_power_of_the_moment(visit: Open) -> None:
    page = visit("/d/cad-1")
    page.wait_for_selector("#facts dd")
    on_paper(page)
    expect(page.locator("#today-tile")).to_be_visible()
    expect(page.locator(".hero")).to_be_hidden()
    on_screen(page)
    expect(page.locator(".hero")).to_be_visible()


def test_after_printing_the_chart_fits_the_screen_again(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    page.wait_for_selector(".graph .barlayer .point")
    svg = page.locator(".plot .graph .main-svg").first
    width, height = svg.get_attribute("width"), svg.get_attribute("height")
    on_paper(page)
    expect(svg).to_have_attribute("width", "680")
    on_screen(page)
    expect(svg).to_have_attribute("width", str(width))
    expect(svg).to_have_attribute("height", str(height))


def test_the_account_page_says_when_everything_is_written(visit: Open) -> None:
    page = visit("/account")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
        expect(page.get_by_role("progressbar")).to_be_visible()
    assert download.value.suggested_filename.endswith(".zip")
    expect(page.get_by_role("status")).to_have_text("Everything is written.")
