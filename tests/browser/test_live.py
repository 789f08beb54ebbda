"""Live updates: the age, the polls, the last hour."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.store.port import Store
from tests.browser.conftest import DESK, PHONE, Open, Screen, serve
from tests.copies import Copy
from tests.dashboard import homes
from tests.dashboard.homes import NOW

QUICK_MS = 400  # between polls
NEVER_MS = 3_600_000
HOME, SUNNY, GAPPY = "cad-1", "cad-solar", "cad-gappy"
DRAWN = "#hour-frame .trace:first-child .js-line[d*=L]"
HIGHEST, LOWEST = "#hour-frame .textpoint text >> nth=0", "#hour-frame .textpoint text >> nth=1"
POINTS = "document.querySelector('#hour-frame .js-plotly-plot').data[0].x.length"
WATCH_SHIFTS = """() => {
    window.shifts = [];
    const moved = (entry) => entry.sources.map(({ node }) => node?.id || node?.parentNode?.id);
    new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map(moved)))
        .observe({ type: "layout-shift", buffered: false });
}"""
PLACES = """() => [...document.querySelectorAll(".tile, .tile > *, .panel")].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [x, y, width, height];
})"""
POSTS = "**/_dash-update-component*"
HIDE = """isHidden => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class Clock:
    """A running clock that starts at NOW."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> int:
        return NOW + int(time.monotonic() - self._began)


class Living:
    """Sending homes, and the address of their server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = Clock()
        self.address = ""
        self._newest: dict[str, int] = {}

    def send(self, device_id: str, power_w: int, at: int | None = None) -> None:
        """Send a reading of now, or of another moment."""
        moment = max(self.now(), self._newest.get(device_id, 0) + 1) if at is None else at
        self._newest[device_id] = moment
        block = (device_id, moment - moment % 1800)
        self.store.write_readings({block: {moment: Reading(device_id, moment, power_w, None, None)}}, moment)
        self.store.put_live([Live(device_id, moment, moment, power_w, None, None, None)])


def an_hour(store: Store) -> None:
    """Write three homes with a reading each minute, and one that has not begun."""
    home = Living(store)
    with store.transaction():
        homes.fill(store, Device(HOME, tariff=homes.NIGHT), "2026-11-14", NOW)
        homes.fill(store, Device(SUNNY, tariff=homes.SOLAR), "2026-11-14", NOW, homes.sunny)
        for device in (GAPPY, "cad-new"):
            store.put_device(Device(device, household=homes.HOUSEHOLD))
        for age in range(3540, 0, -60):
            home.send(HOME, 148 if age > 600 else 3140, NOW - age)
            home.send(SUNNY, 300 - (3540 - age) // 3, NOW - age)
            if not 1200 < age < 1800:
                home.send(GAPPY, 500, NOW - age)


@pytest.fixture
def living(copy: Copy) -> Iterator[Living]:
    home = Living(copy(an_hour))
    for address in serve(home.store, QUICK_MS, home.now):
        home.address = address
        yield home


def asked_by(page: Page) -> list[str]:
    """Return the future requests to a callback: `poll` or `page`."""
    asked: list[str] = []

    def note(body: str | None) -> None:
        if body and '"changedPropIds"' in body:
            asked.append("poll" if "hero-region.values" in body else "page")

    page.on("request", lambda sent: note(sent.post_data) if "/_dash-update-component" in sent.url else None)
    return asked


def test_the_number_and_its_age_follow_the_readings(living: Living, visit: Open) -> None:
    living.send(HOME, 612)
    page = visit(f"/d/{HOME}", living.address)
    expect(page.locator("#power-number")).to_have_text("612")
    age = page.locator("#power-age")
    expect(age).to_have_text(re.compile(r"^\d+ s ago$"))
    expect(age).not_to_have_text(age.text_content() or "")
    living.send(HOME, 987)
    expect(page.locator("#power-number")).to_have_text("987")


def test_the_age_is_there_with_the_power(store: Store, visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.pages.household.page.BEAT_MS", NEVER_MS)
    for address in serve(store, NEVER_MS):
        page = visit("/d/cad-1", at=address)
        expect(page.locator("#power-age")).to_have_text(re.compile(r"^\d+ s ago$"))


def test_the_age_of_a_half_hourly_device_ticks_in_hours(living: Living, visit: Open) -> None:
    for age in (3965 + 3600, 3965 + 1800, 3965):
        living.send("cad-new", 300, living.now() - age)
    page = visit("/d/cad-new", living.address)
    expect(page.locator("#hero")).to_have_attribute("data-state", "sending")
    age_said = page.locator("#power-age")
    expect(age_said).to_have_text("1 h 6 min ago")


def test_the_last_hour_grows_without_a_redraw(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    page.wait_for_selector(DRAWN, state="attached")
    page.evaluate("document.querySelector('#hour-frame .main-svg').isOld = true")
    before = page.evaluate(POINTS)
    living.send(HOME, 4400)
    expect(page.locator(HIGHEST)).to_have_text("4.40 kW")
    assert page.evaluate(POINTS) == before + 1
    assert page.evaluate("document.querySelector('#hour-frame .main-svg').isOld")


def test_the_last_hour_has_a_summary(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    graph = page.get_by_role("img", name="Power in the last hour: between 148 W and 3.14 kW")
    expect(graph).to_be_visible()
    page.goto(f"{living.address}/d/{SUNNY}")
    expect(page.get_by_role("img", name="between 860 W exporting and 300 W")).to_be_visible()
    page.goto(f"{living.address}/d/cad-new")
    expect(page.get_by_role("img", name="No power in the last hour")).to_have_count(1)


def test_no_line_is_drawn_across_a_gap(living: Living, visit: Open) -> None:
    page = visit(f"/d/{GAPPY}", living.address)
    expect(page.locator(DRAWN)).to_have_count(2)


def test_a_point_of_the_last_hour_can_be_read_out(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    page.wait_for_selector(DRAWN, state="attached")
    label = page.locator("#hour-frame .hovertext")
    page.locator("#hour-frame").hover(position={"x": 3, "y": 40})
    expect(label).to_contain_text("148 W")
    expect(label).to_contain_text("13:2")
    page.mouse.move(5, 5)
    expect(label).to_have_count(0)
    page.locator("#hour-frame").focus()
    said = page.locator("#hour-said")
    page.keyboard.press("End")
    expect(said).to_have_text("14:19:04  3.14 kW")
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text("14:18:04  3.14 kW")
    expect(label).to_contain_text("14:18:04")
    page.keyboard.press("Escape")
    expect(label).to_have_count(0)


def test_another_home_shows_its_own_last_hour(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    page.wait_for_selector(DRAWN, state="attached")
    page.evaluate(f"wattfall.go('/d/{SUNNY}')")
    expect(page.locator(LOWEST)).to_have_text("−860 W")
    page.go_back()
    expect(page.locator(HIGHEST)).to_have_text("3.14 kW")


def test_a_page_asks_once_when_it_opens(visit: Open, address: str) -> None:
    page = visit("/")
    asked = asked_by(page)
    page.goto(f"{address}/d/{HOME}")
    expect(page.locator("#power-number")).to_have_text("612")
    page.wait_for_timeout(1500)
    assert sorted(asked) == ["page", "poll"]


def test_a_hidden_tab_rests_and_polls_at_once_when_shown(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    expect(page.locator("#power-number")).not_to_be_empty()
    page.evaluate(HIDE, True)
    page.wait_for_timeout(QUICK_MS)
    asked = asked_by(page)
    page.wait_for_timeout(5 * QUICK_MS)
    assert asked == []
    living.send(HOME, 777)
    page.evaluate(HIDE, False)
    expect(page.locator("#power-number")).to_have_text("777")
    assert sorted(asked) == ["page", "poll"]


def test_readings_missed_while_the_tab_was_hidden_are_drawn(living: Living, visit: Open) -> None:
    page = visit(f"/d/{GAPPY}", living.address)
    page.wait_for_selector(DRAWN, state="attached")
    page.evaluate(HIDE, True)
    for age in (40, 30, 20):
        living.send(GAPPY, 2000 + age, living.now() - age)
    living.send(GAPPY, 900)
    page.evaluate(HIDE, False)
    expect(page.locator(HIGHEST)).to_have_text("2.04 kW")
    expect(page.locator("#power-number")).to_have_text("900")


def test_the_page_reports_an_unreachable_server_and_recovers(living: Living, screen: Screen) -> None:
    page = screen.open(f"{living.address}/d/{HOME}", PHONE, "light")
    expect(page.locator("#power-number")).not_to_be_empty()
    banner = page.get_by_text("Wattfall cannot be reached. What you see is from")
    page.route(POSTS, lambda route: route.abort())
    expect(banner).to_be_visible()
    page.unroute(POSTS)
    living.send(HOME, 888)
    expect(page.locator("#power-number")).to_have_text("888")
    expect(banner).to_be_hidden()
    messages = screen.leave()
    assert messages
    assert [
        one for one in messages if not re.search("ERR_FAILED|Failed to fetch|the server did not respond", one)
    ] == []


def test_a_click_without_an_answer_is_said_and_the_address_stays(screen: Screen, address: str) -> None:
    page = screen.open(f"{address}/d/cad-1/day/2026-11-22", DESK, "light")
    expect(page.get_by_role("heading", name="Sunday 22 November 2026")).to_be_visible()
    page.route(POSTS, lambda route: route.abort())
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_text("Wattfall cannot be reached. What you see is from")).to_be_visible(timeout=3000)
    assert page.url.endswith("/d/cad-1/day/2026-11-22")
    page.unroute(POSTS)
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("heading", name="Saturday 21 November 2026")).to_be_visible()
    expect(page).to_have_url(re.compile("/day/2026-11-21$"))
    expect(page.get_by_text("Wattfall cannot be reached")).to_be_hidden()
    assert screen.leave()


def test_the_lowest_power_is_named_below_its_line(living: Living, visit: Open) -> None:
    page = visit(f"/d/{HOME}", living.address)
    page.wait_for_selector(DRAWN, state="attached")
    dot, label = page.locator("#hour-frame .point").nth(1).bounding_box(), page.locator(LOWEST).bounding_box()
    assert dot is not None
    assert label is not None
    assert label["y"] + label["height"] / 4 >= dot["y"] + dot["height"] / 2


def test_the_power_since_a_press_follows_the_polls_until_a_second_press(living: Living, visit: Open) -> None:
    living.send(HOME, 612)
    page = visit(f"/d/{HOME}", living.address)
    expect(page.locator("#power-number")).to_have_text("612")
    page.get_by_role("button", name="Compare with now").click()
    since = page.get_by_role("status").filter(has_text="since you pressed")
    expect(since).to_have_text("0 W since you pressed")
    living.send(HOME, 2512)
    expect(since).to_have_text("+1.90 kW since you pressed")
    living.send(HOME, 600)
    expect(since).to_have_text("−12 W since you pressed")
    page.evaluate(f"wattfall.go('/d/{SUNNY}')")
    expect(page.locator("#since-said")).to_be_empty()
    page.evaluate(f"wattfall.go('/d/{HOME}')")
    expect(page.locator("#power-number")).to_have_text("600")
    page.get_by_role("button", name="Compare with now").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#since-said")).to_be_empty()


def test_nothing_moves_while_the_page_polls(living: Living, visit: Open) -> None:
    living.send(HOME, 612)
    page = visit(f"/d/{HOME}", living.address)
    page.wait_for_selector(".barlayer path")
    page.wait_for_timeout(500)
    page.evaluate(WATCH_SHIFTS)
    asked, before = asked_by(page), page.evaluate(PLACES)
    for watts in (613, 245, 987):
        living.send(HOME, watts)
        expect(page.locator("#power-number")).to_have_text(str(watts))
    assert asked.count("poll") >= 3
    assert page.evaluate("window.shifts") == []
    for watts, shown in ((12_345, "12.3"), (-640, "640"), (8, "8")):  # only the unit moves, with its number
        living.send(HOME, watts)
        expect(page.locator("#power-number")).to_contain_text(shown)
    assert page.evaluate(PLACES) == before
