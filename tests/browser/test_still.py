"""Nothing jumps: not while a page fills itself, and not while it goes on."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize

from aggregator.store.base import Store
from tests.browser.conftest import DESK, PHONE, QUICK_MS, Open, bars, serve

MOST = 0.02  # the sum of layout shifts; 0.1 is what Google calls good
WATCH = """() => {
    window.shifts = [];
    const place = ({ node }) => node?.id || node?.className || node?.parentNode?.id || node?.nodeName;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries().filter((one) => !one.hadRecentInput)) {
            window.shifts.push([entry.value, ...entry.sources.map(place)]);
        }
    }).observe({ type: "layout-shift", buffered: true });
}"""


def shifts(page: Page) -> list[list[object]]:
    """What has moved since the page was opened: by how much, and which parts."""
    page.evaluate(WATCH)
    page.wait_for_timeout(100)
    found: list[list[object]] = page.evaluate("window.shifts")
    return found


@pytest.fixture(scope="module")
def polled(store: Store) -> Iterator[str]:
    """The address of a server of the same homes whose pages ask often."""
    yield from serve(store, QUICK_MS)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(
    "path",
    ["/", "/d/cad-1?compare=week", "/d/cad-solar/month?unit=money", "/d/cad-1/year", "/d/cad-silent", "/d/cad-new"],
)
def test_nothing_jumps_while_a_page_fills_itself_and_polls(
    polled: str, visit: Open, path: str, size: ViewportSize
) -> None:
    page = visit(path, at=polled, viewport=size, ready="h1:visible")
    if "cad" in path and "new" not in path:
        bars(page)
    page.wait_for_timeout(3 * QUICK_MS)
    moved = shifts(page)
    assert sum(float(str(value)) for value, *_ in moved) < MOST, moved
