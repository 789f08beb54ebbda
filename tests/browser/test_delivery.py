"""The requests of a real browser up to the first chart."""

import json

from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import DESK, Open, Screen, bars, reader, sign_in

LIMIT = 850_000  # bytes
ASKED = """() => performance.getEntriesByType("resource").map((entry) => [entry.name, entry.encodedBodySize])"""


def test_the_first_chart_loads_at_most_850_kb(visit: Open) -> None:
    page = visit("/d/cad-1/month/2026-10")
    page.wait_for_selector(".barlayer path")
    asked: list[tuple[str, int]] = page.evaluate(ASKED)
    assert [name for name, _ in asked if "package_data/plotly" in name] == []
    assert len([name for name, _ in asked if "plotly-basic" in name]) == 1
    assert 300_000 < sum(size for _, size in asked) < LIMIT


def test_numbers_appear_before_the_chart_library_without_a_shift(chromium: Browser, address: str) -> None:
    context = reader(chromium, "en-GB")
    held: list[Route] = []
    context.route("**/plotly-basic*", lambda route: held.append(route))
    screen = Screen(context)
    page = screen.open(f"{address}/d/cad-1/day/2026-11-22", DESK, "light")
    expect(page.locator("#total")).to_contain_text("kWh")
    expect(page.locator(".column")).to_have_count(24)
    before = page.locator("#figure").bounding_box()
    for route in held:
        route.continue_()
    assert bars(page) == 24
    assert page.locator("#figure").bounding_box() == before
    assert screen.leave() == []
    context.close()


def test_the_page_is_requested_once(chromium: Browser, address: str) -> None:
    context = reader(chromium, "en-GB")
    asked: list[str] = []
    context.on("request", lambda sent: asked.append(sent.post_data or "") if "_dash-update" in sent.url else None)
    sign_in(context, address)
    page = context.new_page()
    page.goto(f"{address}/d/cad-1/day/2026-11-22?unit=money", wait_until="commit")
    assert bars(page) == 24
    (question,) = (json.loads(body) for body in asked if "chart-region.values" in body)
    assert question["inputs"][1]["value"] == "?unit=money"
    context.close()


def test_a_failed_chart_library_is_requested_again(chromium: Browser, address: str) -> None:
    context = reader(chromium, "en-GB")
    context.route("**/plotly-basic*", lambda route: route.abort(), times=2)  # the preload, and the load on demand
    screen = Screen(context)
    page = screen.open(f"{address}/d/cad-1/day/2026-11-22", DESK, "light")
    assert bars(page) == 24
    assert [said for said in screen.leave() if "ERR_FAILED" not in said] == []
    context.close()


def test_the_preloaded_library_runs_on_pages_without_a_chart(visit: Open) -> None:
    page = visit("/", ready="#home a")
    page.wait_for_function("() => Object.getOwnPropertyDescriptor(window, 'Plotly').value")
