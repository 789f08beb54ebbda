"""The whole dashboard for a reader with a German browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.conftest import DESK, PHONE, Open, Screen, bars, reader, settled

SMALLEST = ViewportSize(width=320, height=640)
PATHS = (
    "/",
    "/d/cad-1?compare=week",
    "/d/cad-solar?unit=money",
    "/d/cad-agile/day/2026-11-24",
    "/d/cad-silent",
    "/d/cad-patchy/month",
    "/d/cad-solar/month?unit=money&compare=previous",
    "/d/cad-1/year?compare=previous",
    "/d/cad-new",
    "/d/nobody",
    "/d/cad-1/tariff",
)
CUT_OFF = """() => [...document.querySelectorAll(":is(.tile, .panel, .top) *")]
    .filter((one) => one.checkVisibility() && !one.closest(".small, .unseen, .rest, .scale, .heat, svg, .columns"))
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => one.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def german_screen(chromium: Browser) -> Iterator[Screen]:
    context = reader(chromium, "de-DE")
    yield Screen(context)
    context.close()


@pytest.fixture
def besuche(german_screen: Screen, address: str) -> Iterator[Open]:
    def opened(path: str, viewport: ViewportSize = DESK) -> Page:
        return german_screen.open(address + path, viewport, "light")

    yield opened
    assert german_screen.leave() == []


def test_a_german_browser_shows_german_words_numbers_and_dates(besuche: Open) -> None:
    page = besuche("/d/cad-1/day/2026-11-22?unit=money&compare=week")
    bars(page)
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", name="Sonntag, 22. November 2026")).to_be_visible()
    expect(page.locator("#total")).to_have_text(re.compile(r"^\d+,\d\d\s£$"))
    expect(page.locator("#remarks")).to_contain_text("Grundpreis")
    expect(page.locator("#remarks")).to_contain_text(re.compile(r"(mehr|weniger) als Sonntag, 15\. November"))
    expect(page.locator("#power-age")).to_have_text(re.compile(r"^vor \d+ s$"))
    page.get_by_role("link", name="Monat", exact=True).click()
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    expect(page.get_by_role("grid", name="Stunden nach Tagen, November 2026")).to_be_visible()


def test_the_german_calendar_starts_its_weeks_on_monday(besuche: Open) -> None:
    page = besuche("/d/cad-1/day/2026-11-22")
    bars(page)
    page.locator("#pick").click()
    expect(page.locator("#choice thead th").first).to_have_attribute("abbr", "Montag")
    page.locator("#choice").get_by_role("link", name="Samstag, 21. November 2026").click()
    expect(page.get_by_role("heading", name="Samstag, 21. November 2026")).to_be_visible()


def test_the_tariff_form_is_german(besuche: Open) -> None:
    page = besuche("/d/cad-1/tariff")
    expect(page.get_by_label("Grundpreis").first).to_have_value("53,1")


def test_every_word_fits_on_a_phone(besuche: Open) -> None:
    for path in PATHS:
        page = besuche(path)
        settled(page)
        for viewport in (PHONE, SMALLEST):
            page.set_viewport_size(viewport)
            # a function, read once: a bare expression is evaluated at each frame, which the policy forbids
            page.wait_for_function("() => innerWidth === document.documentElement.scrollWidth")
            assert page.evaluate(CUT_OFF) == [], path
