"""The poll of every open page, every ten seconds: its content, its size, its reads."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import brotli
import pytest
from flask_caching.backends.base import BaseCache
from plotly.utils import PlotlyJSONEncoder

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake import device_status
from aggregator.store.port import Store
from dashboard.pages.household.page_callbacks import show_live
from dashboard.pages.household.slots import LIVE, Slots
from dashboard.text.language import ENGLISH
from dashboard.web.cache import Cache
from dashboard.web.cached_reads import USAGE_S, CachedReads
from tests.copies import Copy
from tests.dashboard import homes
from tests.dashboard.answers import by_place, named
from tests.dashboard.homes import NOW, instant
from tests.dashboard.people import MEMBER, at_home

MOST_BYTES = 1000
NEWEST = {"cad-1": 612, "cad-solar": -1240, "cad-agile": 1304, "cad-lord-howe": None}
TICK = 1_795_443_604_123


class Counted:
    """A store that counts its reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: object, **named: object) -> object:
            self.asked[name] += 1
            return getattr(self._store, name)(*arguments, **named)

        return ask


class Expiring(BaseCache):
    """A cache with the test's clock."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._held: dict[str, tuple[int, object]] = {}

    def get(self, key: str) -> object:
        until, value = self._held.get(key, (0, None))
        return value if self._clock() < until else None

    def set(self, key: str, value: object, timeout: Any = None) -> bool:  # noqa: ANN401 - as the base has it
        self._held[key] = (self._clock() + timeout, value)
        return True


def test_the_signal_is_read_once_a_minute(store: Store) -> None:
    homes.furnish(store)
    device_status.put_statuses(store, [Status("cad-1", NOW - 60, -71, 96, None, None, True)], NOW)
    page = Page(store)
    for after, reads in ((0, 1), (30, 0), (60, 1)):
        assert page.poll(after=after)["power-signal.children"] == " · good signal to the meter"
        assert page.store.asked["record"] == reads


class Page:
    """An open page that keeps its note of the last hour."""

    def __init__(self, store: Store, at: int = NOW) -> None:
        self.store = Counted(store)
        self.now = at
        self._data = CachedReads(self.store, Cache(Expiring(lambda: self.now)), lambda: self.now)  # type: ignore[arg-type]
        self.known: object = None

    def poll(self, device: str = "cad-1", after: int = 0) -> Slots:
        self.now += after
        self.store.asked.clear()
        slots = show_live(self._data, MEMBER, {"device": device}, self.known, ENGLISH)
        self.known = slots.get("live.data", self.known)
        return slots

    def points(self, device: str = "cad-1", after: int = 0) -> list[tuple[int, int]]:
        """Return the points of import in a poll's answer."""
        return drawn(json.loads(json.dumps(self.poll(device, after)["hour-picture.figure"], cls=PlotlyJSONEncoder)))


def drawn(figure: Any) -> list[tuple[int, int]]:  # noqa: ANN401 - JSON
    """Return the points of a whole figure, or those that its changes bring."""
    if "data" in figure:
        return list(zip(figure["data"][0]["x"], figure["data"][0]["y"], strict=True))
    changed = {tuple(one["location"]): one["params"]["value"] for one in figure["operations"]}
    return list(zip(changed.get(("data", 0, "x"), []), changed.get(("data", 0, "y"), []), strict=True))


def answer_to(store: Store, device: str, known: object) -> tuple[int, dict[str, Any]]:
    """Return the bytes of an answer, and the answer."""
    state = {"shown.data": {"device": device}, "live.data": known}
    answer = at_home(store).post(
        "/_dash-update-component",
        json={
            "output": f"..{'...'.join(LIVE)}..",
            "outputs": list(map(named, LIVE)),
            "inputs": [named("tick.data") | {"value": TICK}],
            "state": [named(slot) | {"value": value} for slot, value in state.items()],
            "changedPropIds": ["tick.data"],
        },
        headers={"Accept-Encoding": "br"},
    )
    assert answer.status_code == 200
    content = brotli.decompress(answer.data) if answer.headers.get("Content-Encoding") else answer.data
    return len(answer.data), by_place(json.loads(content))["response"]


def test_the_former_household_no_longer_sees_the_gas_live(store: Store) -> None:
    store.put_device(Device("cad-1", household=homes.HOUSEHOLD))
    store.put_device(Device("cad-1~gas"))
    send(store, "cad-1~gas", NOW - 4, 612)
    page = Page(store)
    assert page.points("cad-1~gas") == [(NOW - 4, 612)]
    store.put_device(Device("cad-1", household="willow"))
    assert page.poll("cad-1~gas", after=1) == {}
    assert page.store.asked["live"] == 0


def send(store: Store, device_id: str, at: int, power_w: int) -> None:
    """Store a reading like ingest does."""
    block = (device_id, at - at % 1800)
    store.write_readings({block: {at: Reading(device_id, at, power_w, None, None)}}, at)
    store.put_live([Live(device_id, at, at, power_w, None, None, None)])


def three_homes(store: Store) -> None:
    begun = "2026-11-21"
    with store.transaction():
        homes.fill(store, Device("cad-1", tariff=homes.NIGHT), begun, NOW)
        homes.fill(store, Device("cad-solar", tariff=homes.SOLAR), begun, NOW, homes.sunny)
        homes.fill(store, Device("cad-agile", tariff=homes.HALF_HOURLY), begun, NOW)
        store.put_device(Device("cad-new", household=homes.HOUSEHOLD))
        store.put_device(Device("cad-lord-howe", "Australia/Lord_Howe", household=homes.HOUSEHOLD))
        store.put_prices("cad-agile", homes.half_hourly_prices(begun, 3))
        store.put_live([homes.live(name, watts) for name, watts in NEWEST.items()])
        for age in range(1800, 0, -10):
            send(store, "cad-1", NOW - age, 500 + age % 100)


@pytest.fixture
def home(copy: Copy) -> Store:
    return copy(three_homes)


@pytest.mark.parametrize("device", [*NEWEST, "cad-new"])
def test_a_poll_is_below_a_kilobyte(home: Store, device: str) -> None:
    send(home, device, NOW - 1, 12_345)
    note = [device, NOW - 11, NOW - 600, [NOW - 11, -1_200], [NOW - 900, 12_000], [NOW - 300, -1_900]]
    size, answer = answer_to(home, device, {"hour": note})
    assert drawn(answer["hour-picture"]["figure"])[-1] == (NOW - 1, 12_345)
    assert 100 < size < MOST_BYTES


def test_every_polled_slot_exists_on_the_page(home: Store) -> None:
    layout = at_home(home).get("/_dash-layout").text
    for device in NEWEST:
        _, answer = answer_to(home, device, None)
        assert [name for name in answer if f'"id":"{name}"' not in layout] == []


def test_the_first_answer_has_the_last_hour_later_ones_news(home: Store) -> None:
    page = Page(home)
    assert len(page.points()) == 181  # with the newest
    assert page.points() == []
    send(home, "cad-1", NOW + 9, 612)
    assert page.points(after=10) == [(NOW + 9, 612)]


def test_a_poll_reads_the_device_and_its_live_state_only(home: Store) -> None:
    page = Page(home)
    page.poll()
    for _ in range(3):
        send(home, "cad-1", page.now + 9, 612)
        page.poll(after=10)
        assert page.store.asked == {"device": 1, "live": 1}


def test_viewers_of_a_device_share_its_reads(home: Store) -> None:
    page = Page(home)
    page.poll()
    page.known = None  # another browser
    assert len(page.points()) == 181  # with the newest
    assert page.store.asked == {"device": 1}


def test_a_returning_browser_gets_the_missed_readings(home: Store) -> None:
    page = Page(home)
    page.poll()
    for seconds in range(9, 300, 10):
        send(home, "cad-1", NOW + seconds, seconds)
    missed = page.points(after=300)
    assert missed
    assert missed[0] == (NOW + 9, 9)
    assert missed[-1] == (NOW + 299, 299)


def test_another_device_brings_its_own_hour(home: Store) -> None:
    page = Page(home)
    page.poll()
    figure = page.poll("cad-solar")["hour-picture.figure"]
    assert [(one["x"], one["y"]) for one in figure["data"][:2]] == [
        ([NOW - 4], [0]),
        ([NOW - 4, NOW - 4], [0, -1240]),
    ]


def test_a_device_without_power_is_not_reread_at_each_poll(home: Store) -> None:
    page = Page(home)
    page.poll("cad-lord-howe")
    page.poll("cad-lord-howe", after=10)
    assert page.store.asked == {"device": 1, "live": 1}


def test_the_cost_follows_the_price_of_the_half_hour(home: Store) -> None:
    page = Page(home, instant("2026-11-24T05:29:50+00:00"))
    send(home, "cad-1", page.now, 1000)
    assert page.poll()["power-cost.children"] == "8.5 p an hour at this power"
    assert page.poll(after=15)["power-cost.children"] == "28.9 p an hour at this power"


def test_a_new_tariff_is_charged_at_the_next_poll(home: Store) -> None:
    page = Page(home)
    send(home, "cad-1", NOW - 1, 1000)
    assert page.poll()["power-cost.children"] == "28.9 p an hour at this power"
    home.put_device(Device("cad-1", tariff=homes.SOLAR, household=homes.HOUSEHOLD))
    assert page.poll(after=10)["power-cost.children"] == "24.5 p an hour at this power"


def test_half_hours_at_a_quarter_past_have_their_own_price(home: Store) -> None:
    home.put_device(
        Device("cad-himalaya", "Asia/Kathmandu", tariff=homes.NIGHT, household=homes.HOUSEHOLD)
    )  # UTC+05:45
    page = Page(home, instant("2026-11-23T05:29:50+05:45"))
    send(home, "cad-himalaya", page.now, 1000)
    assert page.poll("cad-himalaya")["power-cost.children"] == "8.5 p an hour at this power"
    assert page.poll("cad-himalaya", after=15)["power-cost.children"] == "28.9 p an hour at this power"


def test_the_usage_profile_is_computed_once_an_hour(home: Store) -> None:
    page = Page(home)
    page.poll()
    assert page.store.asked["documents"] == 1
    page.poll(after=USAGE_S - 1)
    assert page.store.asked["documents"] == 0
    page.poll(after=2)
    assert page.store.asked["documents"] == 1


def test_a_new_home_has_its_own_levels_after_one_day(home: Store) -> None:
    device = Device("cad-fresh")
    homes.fill(home, device, "2026-11-22", instant("2026-11-22T22:00:00+00:00"))
    page = Page(home, instant("2026-11-22T22:00:00+00:00"))
    send(home, "cad-fresh", page.now, 700)
    assert page.poll("cad-fresh")["power-badge.children"] == "medium"
    homes.fill(home, device, "2026-11-22", NOW, lambda _: homes.measured(40))
    page.now = NOW
    send(home, "cad-fresh", NOW, 700)
    assert page.poll("cad-fresh")["power-badge.children"] == "high"


def test_hours_are_in_the_homes_time_zone(home: Store) -> None:
    figure = Page(home).poll("cad-lord-howe")["hour-picture.figure"]
    assert figure["data"][0]["text"] == []
    send(home, "cad-lord-howe", NOW - 1, 100)
    figure = Page(home).poll("cad-lord-howe")["hour-picture.figure"]
    assert figure["data"][0]["text"] == ["01:20:03  100 W"]
