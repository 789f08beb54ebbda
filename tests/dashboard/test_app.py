import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.documents import Device, Document
from aggregator.core.errors import StoreAway
from aggregator.store.port import LeaveOut, Store
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from dashboard.accounts.users import SUPPORT, User
from dashboard.pages.household.slots import PAGE
from dashboard.text.words import LEVEL_WORDS
from tests.dashboard import homes
from tests.dashboard.answers import by_place, named
from tests.dashboard.people import at_home, browser, dashboard, somebody

Ask = Callable[..., Mapping[str, Any]]


def ask_of(store: Store, language: str = "en-GB", user: User | None = None) -> Ask:
    """Request the page at an address like a browser: as a resident, or as `user`."""
    client = browser(dashboard(store).server, store, user) if user else at_home(store)

    def ask(address: object, version: object = "") -> Mapping[str, Any]:
        path, _, search = address.partition("?") if isinstance(address, str) else (address, "", "")
        inputs = {
            "url.pathname": path,
            "url.search": f"?{search}" if search else "",
            "wanted.data": None,
            "refresh.data": None,
        }
        state = {"url.hash": "", "shown.data": {"version": version}}
        answer = client.post(
            "/_dash-update-component",
            json={
                "output": f"..{'...'.join(PAGE)}..",
                "outputs": list(map(named, PAGE)),
                "inputs": [named(slot) | {"value": value} for slot, value in inputs.items()],
                "state": [named(slot) | {"value": value} for slot, value in state.items()],
                "changedPropIds": ["url.pathname"],
            },
            headers={"Accept-Language": language},
        )
        assert answer.status_code == 200
        content: Mapping[str, Any] = json.loads(answer.data)
        return by_place(content)

    return ask


@pytest.fixture(scope="module")
def ask(homes_to_read: Store) -> Ask:
    return ask_of(homes_to_read)


def text(content: Mapping[str, Any], component: str = "") -> str:
    """Return the value sent to a component, or all values."""
    response = content["response"]
    return json.dumps(response[component] if component else response, ensure_ascii=False)


def test_the_start_page_shows_a_card_a_device(ask: Ask) -> None:
    home = text(ask("/"), "home")
    assert all(f"/d/{name}" in home for name in ("cad-1", "cad-solar", "cad-silent", "cad-new"))
    assert home.count(" today") == 6  # the energy of each device but the new one


def test_the_first_visit_explains_the_next_steps(store: Store) -> None:
    home = text(ask_of(store)("/"), "home")
    assert "Your first reading has not arrived yet" in home
    assert "/account/claim" in home
    assert "wattfall device set DEVICE --household acacia" in home


def test_a_device_page_has_tiles_chart_and_links(ask: Ask) -> None:
    shown = ask("/d/cad-1/day/2026-11-22")["response"]
    assert shown["shown"]["data"]["title"] == "Sunday 22 November 2026 · cad-1"
    assert shown["previous"]["href"] == "/d/cad-1/day/2026-11-21"
    assert shown["next"]["href"] == "/d/cad-1/day/2026-11-23"
    assert shown["to-month"]["href"] == "/d/cad-1/month/2026-11"
    assert (shown["to-day"]["aria-current"], shown["to-year"]["aria-current"]) == ("page", None)
    assert len(shown["columns"]["children"]) == 24


@pytest.mark.parametrize("level", ["day", "month", "year"])
def test_every_level_links_to_the_current_period(ask: Ask, level: str) -> None:
    shown = ask(f"/d/cad-1/{level}")["response"]
    assert shown["current"]["href"] == f"/d/cad-1{'' if level == 'day' else '/' + level}"
    assert shown["current"]["children"] == LEVEL_WORDS[level].current


@pytest.mark.parametrize(
    ("path", "to_day", "to_month", "to_year"),
    [
        ("/d/cad-1/year/2026", "/d/cad-1", "/d/cad-1/month", "/d/cad-1/year/2026"),
        ("/d/cad-1/year/2025", "/d/cad-1/day/2025-01-01", "/d/cad-1/month/2025-01", "/d/cad-1/year/2025"),
        ("/d/cad-1/month/2026-02", "/d/cad-1/day/2026-02-01", "/d/cad-1/month/2026-02", "/d/cad-1/year/2026"),
        ("/d/cad-1/day/2026-02-07", "/d/cad-1/day/2026-02-07", "/d/cad-1/month/2026-02", "/d/cad-1/year/2026"),
    ],
)
def test_the_levels_keep_the_viewed_time(ask: Ask, path: str, to_day: str, to_month: str, to_year: str) -> None:
    shown = ask(path)["response"]
    assert [shown[f"to-{level}"]["href"] for level in ("day", "month", "year")] == [to_day, to_month, to_year]


def test_months_link_to_days_and_years_to_months(ask: Ask) -> None:
    month, year = (ask(f"/d/cad-1/{period}")["response"]["columns"] for period in ("month/2026-11", "year/2026"))
    assert month["children"][4]["props"]["href"] == "/d/cad-1/day/2026-11-05"
    assert year["children"][1]["props"]["href"] == "/d/cad-1/month/2026-02"


def test_navigation_ends_at_the_first_and_the_current_period(ask: Ask) -> None:
    nowhere = {"href": None, "aria-current": None, "aria-disabled": "true"}.items()
    assert ask(f"/d/cad-1/day/{homes.FIRST_DAY}")["response"]["previous"].items() >= nowhere
    assert ask("/d/cad-1")["response"]["next"].items() >= nowhere


def test_a_period_without_data_explains_itself_and_links_back(ask: Ask) -> None:
    before = text(ask("/d/cad-1/day/2024-01-01"), "nothing")
    assert "Before the first reading" in before
    assert "Go to Tuesday 14 October 2025" in before
    future = text(ask("/d/cad-1/day/2026-12-24"), "nothing")
    assert "This day is still to come" in future
    assert "Go to Monday 23 November 2026" in future


@pytest.mark.parametrize("path", ["/d/nobody", "/d/nobody/day/2026-11-23"])
def test_an_unknown_device_gets_a_page_not_an_error(ask: Ask, path: str) -> None:
    assert "This device is not known here" in text(ask(path))


@pytest.mark.parametrize(
    "path",
    [
        None,
        17,
        ["/"],
        {"a": 1},
        "/d/",
        "/d/cad-1/day/2026-13-45",
        "/d/cad-1/century/20",
        "/d/cad-1/day/9999-12-31",
        "/d/cad-1/year/0000",
        "/d/%00/day",
        "/d/cad-1/day/" + "9" * 5000,
        "/../../etc/passwd",
        "/d/'; drop table days; --",
    ],
)
def test_a_hostile_address_is_a_page_and_no_error(ask: Ask, path: object) -> None:
    content = ask(path)
    assert content["response"]["alert"]["children"] == []
    assert content["response"]["shown"]["data"]["title"]


def ids_in(part: Any) -> set[str]:  # noqa: ANN401 - a layout is what it is
    """Return the ids of all components of a layout."""
    if isinstance(part, list):
        return set().union(*map(ids_in, part))
    if not isinstance(part, dict):
        return set()
    props = part.get("props", {})
    inside = ids_in(props.get("children")) | ids_in(props.get("content"))
    return ({props["id"]} if "id" in props else set()) | inside


@pytest.mark.parametrize(
    "address",
    [
        "/",
        "/nothing/there",
        "/d/cad-solar/day/2026-11-22?unit=money&compare=week",
        "/d/cad-1/month/2026-10?compare=year",
        "/d/cad-1/year?unit=money",
        "/d/cad-new",
    ],
)
def test_every_sent_slot_exists_on_the_page(homes_to_read: Store, ask: Ask, address: str) -> None:
    layout = json.loads(at_home(homes_to_read).get("/_dash-layout").data)
    assert ask(address)["response"].keys() - ids_in(layout) == set()


def test_an_unchanged_chart_is_not_sent_again(ask: Ask) -> None:
    version = ask("/d/cad-1")["response"]["shown"]["data"]["version"]
    again = ask("/d/cad-1", version)["response"]
    assert "picture" not in again
    assert "picture" in ask("/d/cad-1/day/2026-11-22", version)["response"]
    assert "picture" in ask("/d/cad-1?unit=money", version)["response"]
    assert "picture" in ask("/d/cad-1?compare=week", version)["response"]


def test_navigation_in_time_keeps_the_view_options(ask: Ask) -> None:
    shown = ask("/d/cad-1/month/2026-10?unit=money&compare=year&charge=no")["response"]
    ways = "?unit=money&compare=year&charge=no"
    assert shown["previous"]["href"] == f"/d/cad-1/month/2026-09{ways}"
    assert f"/d/cad-1/day/2026-10-05{ways}" in json.dumps(shown["columns"])
    assert shown["to-year"]["href"] == "/d/cad-1/year/2026?unit=money&charge=no"


def test_the_switch_between_energy_and_money_is_a_link(ask: Ask) -> None:
    energy = ask("/d/cad-1/month/2026-10")["response"]
    switch = {"href": "/d/cad-1/month/2026-10?unit=money", "aria-current": None, "children": "£"}
    assert energy["unit-money"].items() >= switch.items()
    assert energy["total"]["children"].endswith(" kWh")
    money = ask(energy["unit-money"]["href"])["response"]
    assert money["unit-money"]["aria-current"] == "true"
    assert money["unit-energy"]["href"] == "/d/cad-1/month/2026-10"
    assert money["total"]["children"].startswith("£")


def test_the_standing_charge_can_be_excluded_and_included(ask: Ask) -> None:
    whole = ask("/d/cad-1/month/2026-10?unit=money")["response"]
    assert whole["charge"]["children"] == "without standing charge"
    bare = ask(whole["charge"]["href"])["response"]
    assert (bare["charge"]["hidden"], bare["charge"]["children"]) == (False, "with standing charge")
    assert bare["charge"]["href"] == "/d/cad-1/month/2026-10?unit=money"
    amounts = [float(shown["total"]["children"].removeprefix("£")) for shown in (whole, bare)]
    assert amounts[0] - amounts[1] == pytest.approx(31 * 0.5310, abs=0.011)


def test_a_page_without_a_tariff_shows_energy_only(ask: Ask) -> None:
    shown = ask("/d/cad-patchy?unit=money")["response"]
    assert shown["units"]["hidden"] is True
    assert shown["charge"]["hidden"] is True
    assert "kWh" in shown["total"]["children"]
    assert shown["tariff"]["children"] == "Add your tariff"
    assert "£" not in json.dumps(shown, ensure_ascii=False)


def test_tomorrow_is_linked_once_its_prices_are_known(ask: Ask) -> None:
    assert ask("/d/cad-agile")["response"]["next"]["href"] == "/d/cad-agile/day/2026-11-24"
    tomorrow = ask("/d/cad-agile/day/2026-11-24")["response"]
    assert (tomorrow["figure"]["hidden"], tomorrow["nothing"]["hidden"]) == (False, True)
    assert "cheapest" in tomorrow["remarks"]["children"]
    assert tomorrow["next"]["href"] is None
    assert ask("/d/cad-1")["response"]["next"]["href"] is None


def test_support_sees_a_customers_page_marked_and_read_only(furnished: Store) -> None:
    desk = somebody(furnished, "des@example.org", SUPPORT)
    ask = ask_of(furnished, user=desk)
    assert ask("/d/cad-1")["response"]["home"]["hidden"] is False
    now = int(time.time())
    actions.look_up(Audit(furnished, []), Who(desk.user_id, desk.email, desk.role), "cad-1", "the customer called", now)
    shown = ask("/d/cad-1")["response"]
    assert (shown["home"]["hidden"], shown["visiting"]["hidden"]) == (True, False)
    assert "/desk/device/cad-1" in json.dumps(shown["visiting"])
    assert (shown["tariff"]["hidden"], shown["history"]["hidden"]) == (True, True)
    assert ask("/")["response"]["visiting"]["hidden"] is True


def test_a_households_own_page_has_no_support_mark(ask: Ask) -> None:
    shown = ask("/d/cad-1")["response"]
    assert shown["visiting"]["hidden"] is True
    assert (shown["tariff"]["href"], shown["tariff"]["hidden"]) == ("/d/cad-1/tariff", False)


def test_a_comparison_overlays_the_other_period_with_the_difference(ask: Ask) -> None:
    shown = ask("/d/cad-1/month/2026-11?compare=previous")["response"]
    assert "than October by the same time" in shown["remarks"]["children"]
    assert "October" in json.dumps(shown["legend"])
    assert "October, kWh" in json.dumps(shown["table"])


def test_a_german_browser_gets_a_german_page(furnished: Store) -> None:
    shown = ask_of(furnished, "de-DE,de;q=0.9")("/d/cad-1/month/2026-11?unit=money")["response"]
    assert shown["shown"]["data"]["title"] == "November 2026 · cad-1"
    assert shown["total"]["children"].endswith("£ bisher")
    assert shown["to-day"]["href"] == "/d/cad-1?unit=money"


def test_the_page_declares_its_language(store: Store) -> None:
    client = at_home(store)
    pages = [client.get("/", headers={"Accept-Language": language}).text for language in ("de", "en-US")]
    assert ['<html lang="de">' in pages[0], '<html lang="en-GB">' in pages[1]] == [True, True]
    layout = client.get("/_dash-layout", headers={"Accept-Language": "de"}).text
    assert json.loads(layout) != json.loads(client.get("/_dash-layout").text)


class CountingStore:
    """A store that counts its reads and can become unreachable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_away = False
        self.asked: Counter[object] = Counter()

    def document(
        self, level: str, device_id: str, period: str, names: Collection[str] | None = None
    ) -> Document | None:
        self._answer(("document", level, period))
        return self._store.document(level, device_id, period, names)

    def device(self, device_id: str) -> Device | None:
        self._answer("device")
        return self._store.device(device_id)

    def devices(self, after: str = "", limit: int = 1000, leave_out: LeaveOut | None = None) -> Sequence[Device]:
        return self._store.devices(after, limit, leave_out)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the store as it is
        return getattr(self._store, name)

    def _answer(self, question: object) -> None:
        if self.is_away:
            raise StoreAway("the store is busy")
        self.asked[question] += 1


METERS = 3  # the access checks of a page: its device, and the meters of gas and panels that may stand beside


def test_a_chart_is_one_read_of_one_document(furnished: Store) -> None:
    counting = CountingStore(furnished)
    ask = ask_of(counting)
    ask("/d/cad-1/month/2026-05")
    before = counting.asked.copy()
    ask("/d/cad-1/month/2026-06")
    assert counting.asked - before == {("document", "month", "2026-06"): 1, "device": METERS}
    before = counting.asked.copy()
    ask("/d/cad-1/month/2026-06")
    assert counting.asked - before == {"device": METERS}


def test_access_is_checked_at_every_read_and_never_cached(furnished: Store) -> None:
    counting = CountingStore(furnished)
    ask = ask_of(counting)
    for _ in range(3):
        ask("/d/cad-1")
    assert counting.asked["device"] == 3 * METERS


def test_an_unreachable_store_shows_one_alert_and_keeps_the_page(furnished: Store) -> None:
    counting = CountingStore(furnished)
    ask = ask_of(counting)
    counting.is_away = True
    content = ask("/d/cad-1")
    assert content.get("response", {}) == {}
    assert "out of reach" in json.dumps(content["sideUpdate"])
    counting.is_away = False
    assert ask("/d/cad-1")["response"]["alert"]["children"] == []


def test_two_apps_in_one_process_both_answer(furnished: Store) -> None:
    first, second = ask_of(furnished), ask_of(furnished)
    assert "cad-1" in text(first("/"), "home")
    assert "cad-1" in text(second("/"), "home")


def test_the_page_loads_nothing_from_other_sites(store: Store) -> None:
    answer = at_home(store).get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'self' 'sha256-" in policy
    assert '<html lang="en-GB">' in answer.text
    assert 'src="http' not in answer.text
    assert 'href="http' not in answer.text


def test_health_answers_and_private_data_is_not_cached(store: Store) -> None:
    client = at_home(store)
    assert client.get("/health").status_code == 200
    assert client.get("/_dash-layout").headers["Cache-Control"] == "no-store"
    assert client.get("/").headers["X-Content-Type-Options"] == "nosniff"


DAMAGED = [  # a statement that damages the home's data, and the addresses that would show it
    ("UPDATE days SET body = replace(body, '\"h05\":[', '\"h05\":[1') WHERE device_id = 'cad-1'", ("day/2026-11-22",)),
    ("UPDATE months SET body = substr(body, 1, 90) WHERE device_id = 'cad-1'", ("month/2026-11",)),
    ("UPDATE live SET power_w = 'much' WHERE device_id = 'cad-1'", ("day/2026-11-23",)),
    ("UPDATE devices SET body = replace(body, 'London', 'Londom') WHERE device_id = 'cad-1'", ("day/2026-11-23",)),
]


@pytest.mark.parametrize(("damage", "addresses"), DAMAGED)
def test_a_damaged_value_is_named_and_not_shown(
    furnished: Store, tmp_path: Path, damage: str, addresses: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(next(tmp_path.glob("*.db")))) as database:
        assert database.execute(damage).rowcount
        database.commit()
    ask, client = ask_of(furnished), at_home(furnished)
    for address in addresses:
        assert "What is stored here is damaged, so it is not shown." in json.dumps(ask(f"/d/cad-1/{address}"))
    csv = client.get(f"/api/v1/devices/cad-1/{addresses[0]}.csv")
    assert b"damaged" in csv.data if csv.status_code == 500 else csv.status_code == 200
    assert any("is damaged: " in message for message in caplog.messages)
    assert [record for record in caplog.records if record.exc_info] == []
