"""Changes without a click, and answers that come late: the first reading, a hidden tab, an unreachable store."""

import re
import time
from collections.abc import Callable, Iterator
from typing import cast

import pytest
from playwright.sync_api import Page, Route, expect

from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.store.port import Store
from tests.browser.conftest import PATIENCE_MS, QUICK_MS, Open, bars, serve
from tests.copies import Copy, nothing
from tests.dashboard import homes


class Faraway:
    """A store that can become unreachable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_away = False

    def __getattr__(self, name: str) -> Callable[..., object]:
        ask: Callable[..., object] = getattr(self._store, name)

        def answer(*given: object, **named: object) -> object:
            if self.is_away:
                raise StoreAway("nobody answers")
            return ask(*given, **named)

        return answer


def ten_days(store: Store) -> None:
    homes.furnish_one(store, Device("cad-1"), "2026-11-14")


@pytest.fixture
def faraway(copy: Copy) -> Iterator[tuple[Faraway, str]]:
    store = Faraway(copy(ten_days))
    for address in serve(cast(Store, store), QUICK_MS):
        yield store, address


def test_the_page_survives_and_reports_a_store_outage(faraway: tuple[Faraway, str], visit: Open) -> None:
    store, address = faraway
    page = visit("/d/cad-1", at=address)
    drawn, total = bars(page), page.locator("#total").inner_text()
    expect(page.locator("#power-number")).to_have_text("612")
    store.is_away = True
    alert = page.get_by_role("alert").filter(has_text="The data is out of reach for the moment.")
    expect(alert).to_be_visible()
    page.wait_for_timeout(3 * QUICK_MS)
    expect(page.locator(".alert p")).to_have_count(1)
    assert (bars(page), page.locator("#total").inner_text()) == (drawn, total)
    expect(page.locator("#power-number")).to_have_text("612")
    page.get_by_role("link", name="Previous").click()
    page.wait_for_timeout(QUICK_MS)
    expect(page.get_by_role("heading", name="Monday 23 November 2026")).to_be_visible()
    store.is_away = False
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    expect(page.locator(".alert p")).to_have_count(0)


def test_a_page_opened_during_a_store_outage_loads_later(faraway: tuple[Faraway, str], visit: Open) -> None:
    store, address = faraway
    visit("/d/cad-1", at=address)
    store.is_away = True
    page = visit("/d/cad-1/month", at=address, ready=".alert p")
    expect(page.locator(".alert p")).to_have_count(1)
    store.is_away = False
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    expect(page.locator(".alert p")).to_have_count(0)


def test_the_first_reading_appears_by_itself(empty_home: tuple[Store, str], visit: Open) -> None:
    store, address = empty_home
    page = visit("/", at=address)
    expect(page.get_by_role("heading", name="Your first reading has not arrived yet")).to_be_visible()
    store.put_device(Device("cad-9", household=homes.HOUSEHOLD))
    store.put_live([homes.live("cad-9", 431)])
    expect(page.locator("#power-number")).to_have_text("431")  # of the household's only home
    store.put_device(Device("cad-8", household=homes.HOUSEHOLD))
    link = page.get_by_role("link", name=re.compile("cad-9"))
    expect(link).to_contain_text("431")
    link.focus()
    store.put_live([homes.live("cad-9", 987, age=1)])
    expect(link).to_contain_text("987")
    expect(link).to_be_focused()


@pytest.fixture
def waiting(copy: Copy) -> Iterator[str]:
    """The address of a server without a device. A page with readings would never poll it again."""
    yield from serve(copy(nothing), 100 * PATIENCE_MS)


def test_who_waits_for_the_first_reading_sees_it_within_seconds(waiting: str, visit: Open) -> None:
    page = visit("/", at=waiting)
    expect(page.get_by_role("heading", name="Your first reading has not arrived yet")).to_be_visible()
    with page.expect_request(re.compile("_dash-update-component"), timeout=PATIENCE_MS):
        pass


ASKED = """() => {
    const [began, asked] = [Date.now(), []];
    let at = began;
    Date.now = () => at;
    while (at < began + 3_600_000) {
        at += 1000;
        const [, refresh] = window.dash_clientside.live.beat(0, null, { poll: 10_000, unreachable: "" }, []);
        if (refresh === at) {
            asked.push(at);
            window.wattfall.answered({}, { data: {} });
        }
    }
    return asked.slice(1).map((one, place) => (one - asked[place]) / 1000);
}"""


def test_a_page_that_waits_for_ever_asks_ever_more_slowly(waiting: str, visit: Open) -> None:
    page = visit("/", at=waiting)
    expect(page.get_by_role("heading", name="Your first reading has not arrived yet")).to_be_visible()
    pauses = page.evaluate(ASKED)
    assert pauses[0] <= 3
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


POSTS = "**/_dash-update-component*"
TWICE = """() => {
    const say = (slot) => window.dash_clientside.set_props("top-region", {
        values: new window.dash_clientside.Patch().merge([], { [slot]: slot }).build(),
    });
    say("place.children");
    say("unit-energy.children");
}"""


def test_the_last_click_counts_also_where_its_answer_comes_first(visit: Open, address: str) -> None:
    page = visit("/d/cad-1/day/2026-11-22")
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    held: list[Route] = []
    page.route(POSTS, lambda route: held.append(route))
    for count, link in enumerate(("Previous", "Month"), 1):
        page.get_by_role("link", name=link).click()
        until = time.monotonic() + PATIENCE_MS / 1000
        while len(held) < count:
            assert time.monotonic() < until
            page.wait_for_timeout(QUICK_MS)
    for one in reversed(held):
        one.continue_()
        page.wait_for_timeout(QUICK_MS)
    expect(page.get_by_role("heading", name="November 2026", exact=True)).to_be_visible()
    expect(page).to_have_url(f"{address}/d/cad-1/month/2026-11")
    expect(page.get_by_role("link", name="Year")).to_have_attribute("href", "/d/cad-1/year/2026")


def test_two_answers_before_one_drawing_both_stay(visit: Open) -> None:
    page = visit("/d/cad-1")
    page.evaluate(TWICE)
    expect(page.locator("#unit-energy")).to_have_text("unit-energy.children")
    expect(page.locator("#place")).to_have_text("place.children")


def hide(page: Page, is_hidden: bool) -> None:
    """Pretend that the tab was hidden or shown."""
    page.evaluate(
        "is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_a_hidden_tab_rests_and_polls_at_once_when_shown(empty_home: tuple[Store, str], visit: Open) -> None:
    page = visit("/", at=empty_home[1])
    asked: list[str] = []
    hide(page, True)
    page.wait_for_timeout(QUICK_MS)
    page.on("request", lambda sent: asked.append(sent.url))
    page.wait_for_timeout(3 * QUICK_MS)
    assert asked == []
    with page.expect_response(re.compile("_dash-update-component")):
        hide(page, False)
