"""WCAG 2.2 AA: axe-core on every page and state, and the rules that axe-core cannot check."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, ViewportSize, expect

from aggregator.store.port import Store
from tests.browser.conftest import DESK, PHONE, Open, Scheme, bars, settled

NARROW = ViewportSize(width=320, height=256)  # 1280 x 1024 at 400 %
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
ALIKE = [".heat tbody tr:nth-child(n+4)", ".column:nth-child(n+6)", "#table tbody tr:nth-child(n+4)"]
AXE = f"""async () => {{
    const found = await axe.run({{ exclude: {ALIKE} }}, {{ resultTypes: ["violations"], runOnly: {TAGS} }});
    return found.violations.flatMap(({{ id, nodes }}) => nodes.map(({{ target, html }}) => [id, ...target, html]));
}}"""


@dataclass(frozen=True, slots=True)
class State:
    """A page in a state, and the way to reach it."""

    path: str
    reach: Callable[[Page], None] = lambda _: None


WIDE = ViewportSize(width=1920, height=1080)


def open_table(page: Page) -> None:
    page.locator("#numbers summary").click()


def open_menu(page: Page, name: str) -> None:
    page.locator(f"#{name} summary").click()
    expect(page.locator(f"#{name} ul")).to_be_visible()


def open_picker(page: Page) -> None:
    page.locator("#pick").click()
    expect(page.locator("#choice")).to_be_visible()


def fill_tariff(page: Page, price: str, then: str) -> None:
    page.locator("#v0-import-rate").fill(price)
    page.locator(".actions .main").click()
    page.wait_for_selector(then)


STATES = {
    "devices": State("/"),
    "lost": State("/somewhere/else"),
    "unknown device": State("/d/nobody"),
    "new device": State("/d/cad-new"),
    "silent": State("/d/cad-silent"),
    "patchy": State("/d/cad-patchy", open_table),
    "without a reading of power": State("/d/cad-lord-howe"),
    "day": State("/d/cad-solar/day/2026-11-22?compare=week", open_table),
    "day in money": State("/d/cad-agile?unit=money&compare=week"),
    "tomorrow": State("/d/cad-agile/day/2026-11-24?unit=money"),
    "still to come": State("/d/cad-1/day/2026-12-24"),
    "month": State("/d/cad-solar/month?compare=previous", open_table),
    "month in money": State("/d/cad-1/month?unit=money&compare=year"),
    "year": State("/d/cad-1/year?compare=previous", open_table),
    "year in money": State("/d/cad-solar/year?unit=money", lambda page: page.locator("#running summary").click()),
    "power since a press": State("/d/cad-1", lambda page: page.locator("#since").click()),
    "times without readings": State("/d/cad-patchy/month", lambda page: page.locator("#outages summary").click()),
    "comparisons": State("/d/cad-1", lambda page: open_menu(page, "compare")),
    "files": State("/d/cad-1", lambda page: open_menu(page, "downloads")),
    "choice of a day": State("/d/cad-1", open_picker),
    "choice of a month": State("/d/cad-solar/month/2026-07", open_picker),
    "no tariff": State("/d/cad-patchy/tariff"),
    "tariff by time of day": State("/d/cad-1/tariff"),
    "tariff with a fault": State("/d/cad-patchy/tariff", lambda page: fill_tariff(page, "x", ".summary")),
    "another tariff": State("/d/cad-1/tariff", lambda page: page.locator("a[href*='try=1']").click()),
    "tariff before it is changed": State("/d/cad-patchy/tariff", lambda page: fill_tariff(page, "20", ".preview")),
}

WRITTEN = [
    "/account",
    "/account/keys",
    "/account/claim",
    "/account/second-factor",
    "/who-looked",
    "/d/cad-1/history",
    "/api",
]
STATES |= {path: State(path) for path in WRITTEN}


def violations(page: Page) -> dict[str, object]:
    """Return axe-core's findings by window size and scheme."""
    found = {}
    page.evaluate(AXE_SCRIPT)
    schemes: tuple[tuple[ViewportSize, Scheme], ...]
    schemes = ((DESK, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark"))
    for size, scheme in schemes:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found[f"{size['width']} {scheme}"] = page.evaluate(AXE)
    return {where: what for where, what in found.items() if what}


@pytest.fixture
def calm(visit: Open) -> Open:
    """Pages without animation, so that no colour is measured in transition."""

    def opened(path: str, **how: object) -> Page:
        page = visit(path, **how)
        page.emulate_media(reduced_motion="reduce")
        return page

    return opened


@pytest.mark.parametrize("state", STATES.values(), ids=list(STATES))
def test_axe_finds_nothing(calm: Open, state: State) -> None:
    page = calm(state.path, ready="h1:visible")
    settled(page)
    state.reach(page)
    assert violations(page) == {}


def test_axe_finds_nothing_on_a_first_visit(empty_home: tuple[Store, str], calm: Open) -> None:
    assert violations(calm("/", at=empty_home[1])) == {}


FOCUSED = """() => {
    const now = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(now);
    const box = now.getBoundingClientRect();
    const bar = document.querySelector(".navigation").getBoundingClientRect();
    const isUnder = getComputedStyle(document.querySelector(".navigation")).position === "fixed"
        && !now.closest(".navigation") && box.top >= bar.top && box.left < bar.right;
    return {
        name: now.id || now.closest("[id]").id,
        isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.bottom > 0 && !isUnder,
    };
}"""
STOPS = [
    "place",
    "unit-energy",
    "unit-money",
    "theme",
    "account",
    "since",
    "hour-frame",
    "to-day",
    "to-month",
    "to-year",
    "previous",
    "current",
    "tariff",
    "history",
    "compare",
    "downloads",
    "crumbs",
    "crumbs",
    "pick",
    "columns",
    "facts",
    "numbers",
]


def stops(page: Page, many: int) -> list[dict[str, object]]:
    """Return the next stops of the Tab key."""
    found = []
    for _ in range(many):
        page.keyboard.press("Tab")
        found.append(page.evaluate(FOCUSED))
    return found


@pytest.mark.parametrize("size", [DESK, PHONE, NARROW], ids=["desk", "phone", "zoomed"])
def test_the_tab_key_follows_reading_order_with_visible_stops(calm: Open, size: ViewportSize) -> None:
    page = calm("/d/cad-1", viewport=size)
    bars(page)
    page.locator(".brand").focus()
    found = stops(page, len(STOPS) + (size != DESK))
    assert [stop["name"] for stop in found if stop["name"] != "tiles"] == STOPS
    assert [stop["name"] for stop in found if not stop["isSeen"]] == []


BEYOND = """() => [...document.querySelectorAll("h1, h2, figcaption, li, .facts dd, summary, .step, .tab")]
    .filter((one) => one.checkVisibility() && !one.closest(".small"))
    .filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML)"""


@pytest.mark.parametrize(
    "path",
    ["/", "/d/cad-1?unit=money&compare=week", "/d/cad-1/month", "/d/cad-1/year", "/d/cad-1/tariff", "/lost", *WRITTEN],
)
def test_a_400_percent_zoom_needs_no_sideways_scrolling(calm: Open, path: str) -> None:
    page = calm(path, viewport=NARROW)
    settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert page.evaluate(BEYOND) == []


CUT_OFF = """() => [...document.querySelectorAll(".tile *, .panel :is(h1, h2, p, a, summary, dd, dt, li, strong)")]
    .filter((one) => one.checkVisibility() && getComputedStyle(one).overflowX === "hidden")
    .filter((one) => one.scrollWidth > one.clientWidth + 1 && !one.closest(".rest, .unseen, .heat"))
    .map((one) => one.outerHTML)"""


def test_wider_text_spacing_cuts_nothing_off(calm: Open) -> None:
    page = calm("/d/cad-1/month?unit=money&compare=previous", viewport=PHONE)
    bars(page)
    page.add_style_tag(
        content="* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }"
        "p { margin-bottom: 2em !important; }"
    )
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate(CUT_OFF) == []


TOO_SMALL = """() => [...document.querySelectorAll("a, button, summary, input, select")]
    .filter((one) => one.checkVisibility() && !one.matches(".column, .skip, .unseen, .heat a, [type=radio]"))
    .filter((one) => Math.min(one.getBoundingClientRect().width, one.getBoundingClientRect().height) < 24)
    .map((one) => one.outerHTML)"""


@pytest.mark.parametrize(
    "path", ["/", "/d/cad-1/day/2026-11-22?unit=money", "/d/cad-1/month", "/d/cad-solar/year", "/d/cad-1/tariff"]
)
def test_every_touch_target_is_large_enough(calm: Open, path: str) -> None:
    """Columns and cells are exempt: the table has the same links (WCAG 2.5.8, equivalent)."""
    page = calm(path, viewport=PHONE)
    settled(page)
    for summary in page.locator(".numbers summary:visible").all():
        summary.click()
    assert page.evaluate(TOO_SMALL) == []


def test_reduced_motion_stops_all_animation(calm: Open) -> None:
    page = calm("/d/cad-1/day/2026-11-22")
    bars(page)
    page.evaluate("wattfall.go('/d/cad-1/day/2026-11-21')")
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
    slow = page.evaluate(
        """() => [...document.querySelectorAll("*")]
        .filter((one) => getComputedStyle(one).transitionDuration.split(", ").some((time) => parseFloat(time) > 0))
        .map((one) => one.outerHTML.slice(0, 99))"""
    )
    assert slow == []


COLOURS = """() => {
    const colour = (place, property) => getComputedStyle(document.querySelector(place))[property];
    return {
        page: colour("body", "backgroundColor"),
        bar: colour(".graph .barlayer .point path", "fill"),
        point: colour(".last-hour .point", "fill"),
        cell: colour(".heat .i6", "backgroundColor"),
        swatch: getComputedStyle(document.querySelector(".legend .imported"), "::before").backgroundColor,
        chosen: colour(".tab[aria-current]", "borderTopColor"),
    };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_marks_stay_visible_in_high_contrast_mode(calm: Open, scheme: str) -> None:
    page = calm("/d/cad-solar/month/2026-11", color_scheme=scheme)
    page.wait_for_selector(".last-hour .point", state="attached")
    bars(page)
    page.emulate_media(forced_colors="active")
    colours = page.evaluate(COLOURS)
    ground = colours.pop("page")
    assert [place for place, colour in colours.items() if colour in (ground, "rgba(0, 0, 0, 0)", "none")] == []
    page.emulate_media(forced_colors="none")


@pytest.mark.parametrize("level", ["day", "month", "year"])
def test_each_chart_has_a_summary_and_a_table(calm: Open, level: str) -> None:
    page = calm(f"/d/cad-1/{level}")
    bars(page)
    expect(page.get_by_role("img", name=re.compile("^Bar chart, .*2026: .*kWh"))).to_be_visible()
    open_table(page)
    rows = {"day": 15, "month": 23, "year": 11}[level]
    expect(page.locator("#table tbody tr")).to_have_count(rows)
    expect(page.locator("#table").get_by_role("table", name="Numbers of")).to_be_visible()
