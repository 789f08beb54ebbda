"""The light and dark schemes: chosen by the system or the user, on the whole page, from the first paint on."""

from playwright.sync_api import Page, expect

from aggregator.store.port import Store
from tests.browser.conftest import Open, bars

NOTE_THEME = """new MutationObserver(() => { window.themedAt ??= performance.now(); })
    .observe(document, { attributes: true, attributeFilter: ["data-theme"], subtree: true });"""
FIRST_PAINT = """() => new Promise((found) => {
    new PerformanceObserver((list) => found(list.getEntries()[0].startTime)).observe({ type: "paint", buffered: true });
})"""
PAGE_COLOUR = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(245, 247, 248)", "rgb(11, 19, 24)"


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


def test_a_chosen_scheme_is_kept(empty_home: tuple[Store, str], visit: Open) -> None:
    page = visit("/", at=empty_home[1])
    page.get_by_role("button", name="Light or dark: as the system").click()
    page.get_by_role("button", name="Light or dark: light").click()
    expect(page.get_by_role("button", name="Light or dark: dark")).to_be_focused()
    assert page.evaluate(PAGE_COLOUR) == DARK
    page.reload()
    expect(page.get_by_role("button", name="Light or dark: dark")).to_be_visible()
    assert page.evaluate(PAGE_COLOUR) == DARK
    page.get_by_role("button", name="Light or dark: dark").click()
    assert page.evaluate(PAGE_COLOUR) == LIGHT
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(PAGE_COLOUR) == DARK


def test_a_chosen_scheme_applies_before_the_first_paint(empty_home: tuple[Store, str], visit: Open) -> None:
    address = empty_home[1]
    visit("/", at=address).evaluate("localStorage.setItem('theme', 'dark')")
    page: Page = visit("/", at=address).context.new_page()
    page.add_init_script(NOTE_THEME)
    page.goto(address)
    painted = page.evaluate(FIRST_PAINT)
    themed = page.evaluate("[window.themedAt, document.documentElement.dataset.theme]")
    page.close()
    assert themed[1] == "dark"
    assert 0 < themed[0] < painted
