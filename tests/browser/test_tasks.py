"""What people come to find out, as few clicks as it takes; the other tasks have tests of their own.

Tariff and undo: test_tariff.py. Keyboard: test_accessibility.py. Tap, swipe, picker: test_phone.py, test_picker.py. The
desk: test_support.py. A dead connection: test_live.py. Print: test_taken_away.py. A first
hour: test_way_in.py.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Open, settled, sign_in


def facts(page: Page) -> dict[str, str]:
    """Return the figures under the chart by their names."""
    page.wait_for_selector("#facts dd")
    names, values = page.locator("#facts dt").all_inner_texts(), page.locator("#facts dd").all_inner_texts()
    return dict(zip(names, values, strict=True))


def test_from_home_to_the_cost_of_yesterday_in_three_clicks(visit: Open) -> None:
    page = visit("/")
    page.get_by_role("link", name=re.compile("cad-1")).click()
    expect(page.locator("#power-number")).to_have_text("612")
    expect(page.locator("#so-what")).to_contain_text(re.compile("Yesterday £[0-9.]+"))
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    page.get_by_role("link", name="£", exact=True).click()
    expect(page.locator("#remarks")).to_contain_text("standing charge")


def test_a_month_beside_the_one_of_a_year_ago_in_three_clicks(visit: Open) -> None:
    page = visit("/d/cad-1")
    page.get_by_role("link", name="Month", exact=True).click()
    page.locator("summary", has_text="Compare").click()
    page.get_by_role("link", name="a year ago").click()
    expect(page.locator("#remarks")).to_contain_text(re.compile("November 2025"))


def test_the_highest_hour_of_last_week_is_told_and_opens_in_one_click(visit: Open) -> None:
    page = visit("/d/cad-1")
    said = facts(page)["Highest hour of last week"]
    found = re.fullmatch(r"[0-9.]+ kWh, (\w+ \d+ November), (\d\d:00–\d\d:00)", said)
    assert found
    page.get_by_role("link", name=said).click()
    expect(page.get_by_role("heading", name=found[1])).to_be_visible()
    expect(page.locator("#remarks")).to_contain_text(f"busiest {found[2]}")


def test_a_month_of_export_has_what_was_earned_and_says_what_is_unknown(visit: Open) -> None:
    page = visit("/d/cad-solar/month/2026-06")
    expect(page.locator("#total")).to_contain_text(re.compile("imported and [0-9.]+ kWh exported"))
    assert any("not known" in value for value in facts(page).values())
    page.get_by_role("link", name="£", exact=True).click()
    expect(page.locator("#remarks")).to_contain_text(re.compile("£[0-9.]+ earned"))


def test_an_outage_is_one_click_from_the_headline(visit: Open) -> None:
    page = visit("/d/cad-patchy/month/2026-11")
    page.locator("#outages summary").click()
    first = page.locator("#outages li").first
    expect(first).to_contain_text(re.compile(r"\d\d:\d\d–\d\d:\d\d"))
    first.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/day/2026-11-"))


@pytest.mark.parametrize(("name", "suffix"), [("CSV, half hours", ".csv"), ("Picture (PNG)", ".png")])
def test_a_year_as_a_file_takes_three_clicks(visit: Open, tmp_path: Path, name: str, suffix: str) -> None:
    page = visit("/d/cad-1")
    page.get_by_role("link", name="Year", exact=True).click()
    expect(page.get_by_role("heading", name="2026", exact=True)).to_be_visible()
    page.locator("summary", has_text="Download").click()
    with page.expect_download() as started:
        page.get_by_role("link", name=name).click()
    started.value.save_as(tmp_path / "file")
    assert started.value.suggested_filename.endswith(suffix)
    assert (tmp_path / "file").stat().st_size > 10_000


def test_what_another_tariff_would_have_cost_takes_one_price(visit: Open) -> None:
    page = visit("/d/cad-1", ready="#tariff[href]")
    page.get_by_role("link", name="Tariff", exact=True).click()
    page.get_by_role("link", name="What would another tariff have cost?").click()
    page.get_by_label("The same at all times").first.check()
    page.locator("#v0-import-rate").fill("24.5")
    page.get_by_role("button", name="Next: see the cost").last.click()
    expect(page.get_by_text("24 November 2025 to 23 November 2026, 365 days")).to_be_visible()
    expect(page.locator(".totals")).to_contain_text(re.compile(r"Difference\s*£[0-9.]+ (more|less)"))
    expect(page.get_by_role("button", name="Change the tariff")).to_have_count(0)


def test_when_a_month_is_used_is_told_in_one_click(visit: Open) -> None:
    page = visit("/d/cad-1")
    page.get_by_role("link", name="Month", exact=True).click()
    expect(page.locator("#more-words")).to_have_text(re.compile(r"Mostly between \d\d:00 and \d\d:00 \(\d+ %\)"))


def test_several_homes_are_told_apart_at_one_glance(visit: Open) -> None:
    page = visit("/")
    expect(page.locator(".roll-call")).to_have_text(
        re.compile(r"\d sending · 1 late · 1 silent · 1 waiting for a first")
    )
    for name, said in (("cad-1 ", "612 W"), ("cad-silent", "No reading since 11:30"), ("cad-new", "no reading yet")):
        expect(page.get_by_role("link", name=re.compile(f"^{name}"))).to_contain_text(said)
    page.get_by_role("link", name=re.compile("cad-silent")).click()
    expect(page.locator("#hero")).to_contain_text("No reading since 11:30, the device may be offline")


def test_a_browser_in_another_time_zone_shows_the_days_of_the_home(
    chromium: Browser, visit: Open, address: str
) -> None:
    here = visit("/d/cad-1")
    settled(here)
    said = here.locator("#chart-region").inner_text()
    with chromium.new_context(
        locale="en-GB", timezone_id="America/Los_Angeles", viewport=here.viewport_size
    ) as context:
        sign_in(context, address)
        page = context.new_page()
        page.goto(f"{address}/d/cad-1")
        settled(page)
        expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
        assert page.locator("#chart-region").inner_text() == said
