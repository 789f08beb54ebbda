"""Layout stability: nothing jumps while a page loads or polls."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from aggregator.core.documents import GAS, Device
from aggregator.core.live import Live
from aggregator.core.status import Status
from aggregator.intake.device_status import put_statuses
from aggregator.store import open_store
from aggregator.store.port import Store
from tests.browser.conftest import DESK, PHONE, QUICK_MS, Open, bars, serve
from tests.browser.test_accessibility import WRITTEN
from tests.browser.test_phone import SMALLEST
from tests.dashboard import homes

GAS_METER = Device("gas", kind=GAS)
MOST = 0.01  # the sum of layout shifts; Google calls 0.1 good
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
    """Return the layout shifts since the page opened: their sizes and their elements."""
    page.evaluate(WATCH)
    page.wait_for_timeout(100)
    found: list[list[object]] = page.evaluate("window.shifts")
    return found


@pytest.fixture(scope="module")
def polled(store: Store) -> Iterator[str]:
    """The address of a server with the same homes and frequent polls."""
    yield from serve(store, QUICK_MS)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(
    "path",
    ["/", "/d/cad-1?compare=week", "/d/cad-solar/month?unit=money", "/d/cad-1/year", "/d/cad-silent", "/d/cad-new"],
)
def test_nothing_jumps_while_a_page_loads_and_polls(polled: str, visit: Open, path: str, size: ViewportSize) -> None:
    page = visit(path, at=polled, viewport=size, ready="h1:visible")
    if "cad" in path and "new" not in path:
        bars(page)
    page.wait_for_timeout(3 * QUICK_MS)
    moved = shifts(page)
    assert sum(float(str(value)) for value, *_ in moved) < MOST, moved


@pytest.mark.parametrize("size", [DESK, SMALLEST], ids=["desk", "smallest"])
def test_nothing_jumps_on_the_pages_without_a_chart(polled: str, visit: Open, size: ViewportSize) -> None:
    moved = {}
    for path in ("/d/cad-1/tariff", "/d/nobody", "/lost", *WRITTEN):
        page = visit(path, at=polled, viewport=size)
        moved[path] = shifts(page)
    assert {path: by for path, by in moved.items() if sum(float(str(value)) for value, *_ in by) >= MOST} == {}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose homes differ only in the age of their newest reading."""
    opened = open_store(f"sqlite:///{tmp_path_factory.mktemp('states')}/homes.db")
    for name, age in (("fresh", 4), ("late", 540), ("silent", 4000)):
        homes.fill(opened, Device(name), "2026-11-16", homes.NOW)
        opened.put_live([homes.live(name, 1304, age)])
        put_statuses(opened, [Status(name, homes.NOW, -90, 96, None, None, True)], homes.NOW)
    homes.fill(opened, GAS_METER, "2026-11-16", homes.NOW)
    opened.put_live([Live(GAS_METER.device_id, homes.NOW - 600, homes.NOW - 590, None, 5_000_000, None, None)])
    yield from serve(opened)
    opened.close()


@pytest.mark.parametrize("size", [DESK, SMALLEST], ids=["desk", "smallest"])
def test_nothing_jumps_while_a_gas_meter_loads(states: str, visit: Open, size: ViewportSize) -> None:
    page = visit("/d/gas", at=states, viewport=size, ready="#hero[data-level]")
    bars(page)
    moved = shifts(page)
    assert sum(float(str(value)) for value, *_ in moved) < MOST, moved


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_device_becoming_late_and_silent_moves_nothing(states: str, visit: Open, size: ViewportSize) -> None:
    heights = []
    for name in ("fresh", "late", "silent"):
        page = visit(f"/d/{name}", at=states, viewport=size, ready="h1:visible")
        expect(page.locator("#power-signal")).to_have_text(" · weak signal to the meter", use_inner_text=False)
        assert page.locator("#power-signal").is_visible() == (name != "silent")
        heights.append(page.evaluate("document.getElementById('hero').getBoundingClientRect().height"))
    assert max(heights) - min(heights) < 1, heights
