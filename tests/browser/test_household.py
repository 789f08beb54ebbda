import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Open, bars


def test_links_lead_from_devices_to_a_day_and_back(visit: Open) -> None:
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
    expect(page.get_by_role("heading", name="2025", exact=True)).to_be_visible()
    page.get_by_role("link", name="This year").click()
    expect(page).to_have_url(re.compile("/d/cad-1/year$"))


def test_the_address_restores_the_same_page(visit: Open) -> None:
    path = "/d/cad-solar/month/2026-07?unit=money&compare=previous&charge=no"
    page = visit(path)
    expect(page.locator("#total")).to_contain_text("£")
    shown = [page.locator(place).inner_text() for place in ("#total", "#remarks", "#legend", "#facts", "#heading")]
    page.reload()
    for place, words in zip(("#total", "#remarks", "#legend", "#facts", "#heading"), shown, strict=True):
        expect(page.locator(place)).to_have_text(re.compile(".*".join(map(re.escape, words.split()))))
    assert page.url.endswith(path)


def test_the_whole_column_is_the_click_target(visit: Open) -> None:
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


def test_hovering_a_column_shows_its_energy_and_half_hours(visit: Open) -> None:
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
    page.locator("#numbers summary").click()
    expect(page.get_by_role("row")).to_have_count(26)
    expect(page.get_by_role("rowheader", name="01:00–02:00 GMT")).to_be_visible()


def test_a_silent_device_is_dimmed_with_its_last_time(visit: Open) -> None:
    page = visit("/d/cad-silent")
    expect(page.locator(".hero")).to_contain_text("No reading since 11:30, the device may be offline")
    expect(page.locator(".hero")).to_contain_text("last known")
    expect(page.locator("figcaption")).to_contain_text("2 h 45 min missing")
    expect(page.locator(".gap")).to_have_text(["no data"])
    assert page.locator(".legend li").all_inner_texts() == [
        "data missing",  # of the hour in which it fell silent
        "a usual Monday",
    ]


def test_an_outage_is_hatched_and_named(visit: Open) -> None:
    page = visit("/d/cad-patchy")
    page.wait_for_selector(".graph pattern path", state="attached")
    expect(page.locator("figcaption")).to_contain_text(
        "the energy of 4 h is estimated: no readings arrived · 4 h missing"
    )
    assert page.locator(".legend li").all_inner_texts() == ["estimated", "a usual Monday"]
    expect(page.locator(".gap")).to_have_text(["no data"])
    page.get_by_text("2 times without readings").click()
    expect(page.locator("#outages-list li")).to_have_text(
        ["Mon 23 Nov 02:00–06:00 2.40 kWh estimated", "Mon 23 Nov 06:00–10:00 nothing is known"]
    )


def test_one_sentence_on_top_says_how_today_compares_and_what_yesterday_cost(visit: Open) -> None:
    page = visit("/d/cad-1")
    said = r"^More than on a usual Monday so far: .* Yesterday £3\.46, like a usual Sunday, mostly 17:00–20:00\.$"
    expect(page.locator("#so-what")).to_have_text(re.compile(said))


def test_a_step_in_time_keeps_drawing_focus_and_scroll(visit: Open) -> None:
    page = visit("/d/cad-1/day/2026-11-22", viewport=PHONE)
    bars(page)
    page.locator("#numbers summary").click()
    page.evaluate("window.scrollTo(0, 120); document.querySelector('.graph svg').marked = true")
    page.evaluate("document.querySelector('#today-note span').marked = true")
    before = page.evaluate("window.scrollY")
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    assert page.evaluate("window.scrollY") == before
    assert page.evaluate("document.querySelector('.graph svg').marked") is True
    assert page.evaluate("document.querySelector('#today-note span').marked") is True
    assert page.evaluate("document.querySelector('.numbers').open") is True
    expect(page.get_by_role("link", name="Previous")).to_be_focused()


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
def test_an_empty_period_is_explained(visit: Open, path: str, words: str) -> None:
    expect(visit(path).get_by_role("heading", name=words)).to_be_visible()


def test_tomorrow_shows_its_prices(visit: Open) -> None:
    page = visit("/d/cad-agile")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", name="Tuesday 24 November 2026")).to_be_visible()
    expect(page.locator(".plot .graph .scatterlayer .trace").first).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text("cheapest 01:00–02:00")
    expect(page.locator("#legend")).to_have_text("price of a kWh")
    assert page.locator(".graph .barlayer .point path:not([d='M0,0Z'])").count() == 0
    page.locator(".column").nth(17).hover()
    expect(page.locator(".column").nth(17).locator(".card")).to_contain_text(re.compile(r"17:00–18:00.*p", re.DOTALL))
    expect(page.get_by_role("link", name="Next")).to_have_attribute("aria-disabled", "true")


def test_a_device_without_a_tariff_links_to_the_form(visit: Open) -> None:
    page = visit("/d/cad-patchy/month?unit=money")
    expect(page.locator("#total")).to_contain_text("kWh")
    expect(page.locator("#units")).to_be_hidden()
    expect(page.locator("#charge")).to_be_hidden()
    assert "£" not in page.locator("#main").inner_text()
    page.get_by_role("link", name="Add your tariff").click()
    expect(page.get_by_role("heading", name="What does your electricity cost?")).to_be_visible()
