"""A home with three occupancies: each viewer sees exactly the days of their own, by every door.

The meter counts 100 Wh in each half hour of 5 to 9 November (4,800 Wh a day) for acacia, 200 Wh while the home is empty
from the 10th, and 300 Wh from the 15th, when willow moves in, to the 20th. It is the 23rd.
"""

import csv
import io
import json
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from click.testing import CliRunner
from dash import Dash
from flask import Flask
from flask.testing import FlaskClient

from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError
from aggregator.core.live import Live
from aggregator.core.periods import iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.erasure.erasing import erasing
from aggregator.erasure.erasure_plan import make_plan
from aggregator.intake.ingest import ingest
from aggregator.settings import load
from aggregator.store.occupancies import moved, seen_by
from aggregator.store.port import Store
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.levels import move
from aggregator.waterfall.pricing import change_tariff, note_change, shown
from aggregator.waterfall.worker import drain
from dashboard.accounts.access import visible_device
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.accounts.household_export import Told, export, followed
from dashboard.accounts.users import ADMIN, SUPPORT, User
from dashboard.app import create_app
from dashboard.charts.view import View
from dashboard.commands.main import main
from dashboard.pages.household.page_callbacks import show_page
from dashboard.pages.household.slots import Slots
from dashboard.text.language import ENGLISH
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard import homes
from tests.dashboard.people import SECRET, Clock, accounts_on, browser, somebody
from tests.servers import free_port, running_redis

CAD, GAS = "cad-1", "cad-1~gas"
DAYS = [f"2026-11-{day:02d}" for day in range(5, 21)]
EMPTY_SINCE, WILLOW_SINCE = "2026-11-10", "2026-11-15"
EVERY_WH = {**dict.fromkeys(DAYS[:5], 100), **dict.fromkeys(DAYS[5:10], 200), **dict.fromkeys(DAYS[10:], 300)}
WH = {day: 48 * half for day, half in EVERY_WH.items()}
ACACIA = {day: WH[day] for day in DAYS if day < EMPTY_SINCE}
WILLOW = {day: WH[day] for day in DAYS if day >= WILLOW_SINCE}
HALF_HOUR = 1800


def start_of(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def tariff(rate: str, standing_charge: str) -> Any:  # noqa: ANN401 - JSON
    version = {"from": "2026-01-01", "import": rate, "standing_charge": standing_charge}
    return tariff_from_json({"currency": "GBP", "versions": [version]})


def device(store: Store) -> Device:
    found = store.device(CAD)
    assert found
    return found


class Home(NamedTuple):
    app: Dash
    store: Store


@pytest.fixture
def home(store: Store) -> Home:
    store.put_device(Device(CAD, household="acacia", name="Villa Acacia", postcode="AB1 2CD"))
    store.put_device(Device(GAS))
    register, readings = 0, []
    for day in DAYS:
        for half in range(48):
            readings.append(Reading(CAD, start_of(day) + half * HALF_HOUR, None, register, None))
            register += EVERY_WH[day]
    readings.append(Reading(CAD, start_of("2026-11-21"), None, register, None))
    for one in (readings, [one._replace(device_id=GAS) for one in readings]):
        ingest(store, one, homes.NOW, "Europe/London")
    store.put_live([Live(CAD, homes.NOW - 5, homes.NOW - 5, 612, register, None, None)])
    change_tariff(store, device(store), tariff("0.10", "1.00"))
    drain(store)
    move(store, device(store), "", EMPTY_SINCE)
    move(store, device(store), "willow", WILLOW_SINCE)
    change_tariff(store, device(store), tariff("0.20", "2.00"))
    drain(store)
    return Home(create_app(load({"WATTFALL_SECRET": SECRET}), store, lambda: homes.NOW), store)


# Viewers


def of(household: str) -> Callable[[Home], User]:
    return lambda home: somebody(home.store, f"{household or 'nobody'}@example.org", household=household)


def support_with_a_reason(home: Home) -> User:
    desk = somebody(home.store, "desk@example.org", SUPPORT)
    for one in (CAD, GAS):
        actions.look_up(
            Audit(home.store, []), Who(desk.user_id, desk.email, desk.role), one, "the customer called", Clock().at
        )
    return desk


def support_without_a_reason(home: Home) -> User:
    return somebody(home.store, "other@example.org", SUPPORT)


def admin(home: Home) -> User:
    return somebody(home.store, "admin@example.org", ADMIN)


def a_person_in_both(home: Home) -> User:
    """Somebody who lived there with acacia, and moved into willow."""
    user = somebody(home.store, "both@example.org", household="acacia")
    moved = accounts_on(home.store).change(user, lambda one: replace(one, household="willow"))
    assert moved
    return moved


VIEWERS = [
    pytest.param(a_person_in_both, WILLOW, id="a person in both households"),
    pytest.param(of("acacia"), ACACIA, id="former household"),
    pytest.param(of("willow"), WILLOW, id="present household"),
    pytest.param(of("birch"), {}, id="future household"),
    pytest.param(of(""), {}, id="no household"),
    pytest.param(support_with_a_reason, WH, id="support with a reason"),
    pytest.param(support_without_a_reason, {}, id="support without a reason"),
    pytest.param(admin, {}, id="account manager"),
]


def client_of(home: Home, user: User) -> FlaskClient:
    return browser(home.app.server, home.store, user)


def program_of(home: Home, user: User) -> FlaskClient:
    """A program with a key of a person, and without a session."""
    keys = ApiKeys(home.store, accounts_on(home.store).user, Audit(home.store, []), Clock())
    client = browser(home.app.server, home.store)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys.make(user, 'A script', SCOPES)}"
    return client


def total_of(client: FlaskClient, device_id: str, level: str, period: str) -> int | None:
    answer = client.get(f"/api/v1/devices/{device_id}/{level}/{period}")
    if answer.status_code == 404:
        return None
    assert answer.status_code == 200
    wh = answer.get_json()["import_wh"]
    assert wh is None or isinstance(wh, int)
    return wh


# Energy


@pytest.mark.parametrize("device_id", [CAD, GAS])
@pytest.mark.parametrize(("come", "own"), VIEWERS)
def test_each_viewer_sees_exactly_their_own_days(
    home: Home, device_id: str, come: Callable[[Home], User], own: dict[str, int]
) -> None:
    assert_exactly(client_of(home, come(home)), device_id, own)


@pytest.mark.parametrize("device_id", [CAD, GAS])
@pytest.mark.parametrize(
    ("come", "own"),
    [
        pytest.param(of("acacia"), ACACIA, id="former household"),
        pytest.param(of("willow"), WILLOW, id="present household"),
        pytest.param(of("birch"), {}, id="future household"),
        pytest.param(a_person_in_both, WILLOW, id="a person in both households"),
    ],
)
def test_a_key_reads_exactly_the_days_of_its_household(
    home: Home, device_id: str, come: Callable[[Home], User], own: dict[str, int]
) -> None:
    assert_exactly(program_of(home, come(home)), device_id, own)


def assert_exactly(client: FlaskClient, device_id: str, own: dict[str, int]) -> None:
    """Every address tells these days, and no others."""
    assert {day: wh for day in DAYS if (wh := total_of(client, device_id, "day", day))} == own
    for level, period in (("month", "2026-11"), ("year", "2026")):
        assert total_of(client, device_id, level, period) == (sum(own.values()) or None)
    tables = [
        client.get(f"/api/v1/devices/{device_id}/month/2026-11.csv", buffered=True),
        client.get(f"/api/v1/devices/{device_id}/days.csv?from=2026-10-20&to=2026-12-05", buffered=True),
    ]
    days = client.get(f"/api/v1/devices/{device_id}/days?from=2026-10-20&to=2026-12-05")
    for rows in tables:
        if own:
            counted = [float(row["import_kwh"]) for row in csv.DictReader(io.StringIO(rows.text)) if row["import_kwh"]]
            assert counted == [wh / 1000 for wh in own.values()]
        else:
            assert rows.status_code == 404
    if own:
        listed = days.get_json()["days"]
        assert (listed[0]["day"], listed[-1]["day"]) == ("2026-10-20", "2026-12-05")
        assert {one["day"]: one["import_wh"] for one in listed if one["import_wh"] is not None} == own
    else:
        assert days.status_code == 404


def test_the_present_household_alone_sees_the_power_now(home: Home) -> None:
    answers = {
        household: client_of(home, of(household)(home)).get(f"/api/v1/devices/{CAD}/live")
        for household in ("acacia", "willow")
    }
    assert answers["willow"].get_json()["power_w"] == 612
    assert answers["acacia"].status_code in (204, 404) or answers["acacia"].get_json()["power_w"] is None
    assert "612" not in answers["acacia"].text


def test_power_readings_and_usage_before_the_own_first_day_are_not_told(home: Home) -> None:
    """Ten minutes after willow has moved in; the last power is of the time before."""
    since = start_of(WILLOW_SINCE)
    home.store.drop_live(CAD)
    home.store.put_live([Live(CAD, since, since, 612, 5, None, None, power_at=since - 60)])
    data = CachedReads(home.store, open_cache(Flask("one"), ""), lambda: since + 600)
    whole, own = device(home.store), visible_device(home.store, of("willow")(home), CAD, homes.NOW)
    assert own
    told = [
        (
            (live.power_w, live.import_wh is not None) if (live := data.live(one)) else None,
            [reading.at - since for reading in data.readings(one, since - HALF_HOUR, since)],
            data.usage_profile(one).base_before_w,
            data.extent(one, "day"),
        )
        for one in (whole, own)
    ]
    assert told == [
        ((612, True), [-HALF_HOUR, 0], 200, ("2026-11-05", "2026-11-20")),
        ((None, True), [0], None, (WILLOW_SINCE, "2026-11-20")),
    ]


def test_a_device_that_was_last_heard_of_before_a_move_tells_no_power(home: Home) -> None:
    move(home.store, device(home.store), "birch", "2026-11-23")
    client = client_of(home, of("birch")(home))
    assert client.get(f"/api/v1/devices/{CAD}/live").get_json()["power_w"] == 612  # of today
    move(home.store, device(home.store), "rowan", "2026-11-24")
    assert "612" not in client_of(home, of("rowan")(home)).get(f"/api/v1/devices/{CAD}/live").text


def test_two_households_read_one_month_through_one_cache_in_one_second(home: Home) -> None:
    data = CachedReads(home.store, open_cache(Flask("one"), ""), lambda: homes.NOW)
    people = [of(household)(home) for household in ("acacia", "willow")]
    seen = [visible for user in people if (visible := visible_device(home.store, user, CAD, homes.NOW))]
    for _ in range(2):
        totals = [data.document(one, "month", "2026-11").total.import_wh for one in seen]
        assert totals == [sum(ACACIA.values()), sum(WILLOW.values())]


def test_two_households_read_one_month_through_one_redis_in_one_second(home: Home, tmp_path: Path) -> None:
    port = free_port()
    with running_redis(port, tmp_path):
        environ = {"WATTFALL_SECRET": SECRET, "WATTFALL_CACHE": f"redis://127.0.0.1:{port}"}
        processes = [create_app(load(environ), home.store, lambda: homes.NOW).server for _ in range(2)]
        people = [of(household)(home) for household in ("acacia", "willow")]
        clients = [browser(server, home.store, user) for _ in range(2) for server in processes for user in people]
        totals = [total_of(client, CAD, "month", "2026-11") for client in clients]
        keys = redis.Redis(port=port).keys()
    assert totals == [sum(ACACIA.values()), sum(WILLOW.values())] * 4
    assert keys  # they did meet there


def test_no_process_shows_what_it_has_cached_of_an_erased_household(home: Home) -> None:
    servers = [create_app(load({"WATTFALL_SECRET": SECRET}), home.store, lambda: homes.NOW).server for _ in range(2)]
    people = of("acacia")(home), support_with_a_reason(home)
    acacia, desk = ([browser(server, home.store, one) for server in servers] for one in people)
    asked = [("day", DAYS[0]), ("month", "2026-11"), ("year", "2026")]
    warm = [[total_of(client, CAD, *one) for one in asked] for client in acacia]
    assert warm == [[WH[DAYS[0]], sum(ACACIA.values()), sum(ACACIA.values())]] * 2
    assert [total_of(client, CAD, "month", "2026-11") for client in desk] == [sum(WH.values())] * 2
    steps = erasing(home.store, Audit(home.store, []), make_plan(home.store, "acacia"), homes.NOW)
    next(steps)  # the registry has forgotten the household; its readings and documents are still there
    assert [[total_of(client, CAD, *one) for one in asked] for client in acacia] == [[None] * 3] * 2
    for _ in steps:
        pass
    left = sum(WH.values()) - sum(ACACIA.values())
    assert [[total_of(client, CAD, *one) for one in asked] for client in desk] == [[None, left, left]] * 2


# The page


def page_of(home: Home, household: str, level: str, period: str) -> Slots:
    data = CachedReads(home.store, open_cache(Flask("one"), ""), lambda: homes.NOW)
    view = View("household", CAD, level, period)
    return show_page(data, of(household)(home), view, {}, ENGLISH)


def test_a_former_household_misses_nothing_after_its_last_day(home: Home) -> None:
    month = page_of(home, "acacia", "month", "2026-11")
    assert month["total.children"] == "24.0 kWh"  # not so far
    assert month["outages.hidden"]
    words = repr(month)
    assert not [word for word in ("missing", "on course", "no data") if word in words]


@pytest.mark.parametrize(
    ("level", "period", "name"),
    [
        ("day", "2026-11-15", "Sunday 15 November 2026"),
        ("day", "", "Monday 23 November 2026"),
        ("month", "2026-12", "December 2026"),
    ],
)
def test_a_period_after_the_last_day_says_so(home: Home, level: str, period: str, name: str) -> None:
    heading, sentence, way_back = page_of(home, "acacia", level, period)["nothing.children"]
    assert heading.children == "After you moved out"
    assert sentence.children == f"{name} is after your last day here, so nothing of it is shown."
    assert way_back.href.endswith({"day": "/day/2026-11-09", "month": "/month/2026-11"}[level])


def test_the_page_ends_with_the_last_day_of_a_former_household(home: Home) -> None:
    assert page_of(home, "acacia", "day", "2026-11-09")["next.href"] is None


@pytest.mark.parametrize(
    ("period", "name"), [("2026-11-14", "Saturday 14 November 2026"), ("2024-01-01", "Monday 1 January 2024")]
)
def test_a_day_before_the_household_moved_in_says_so(home: Home, period: str, name: str) -> None:
    heading, sentence, _ = page_of(home, "willow", "day", period)["nothing.children"]
    assert heading.children == "Before you moved in"
    assert sentence.children == f"{name} is before your first day here, so nothing of it is shown."


@pytest.mark.parametrize(
    ("household", "inside", "outside", "words"),
    [("willow", 15, 14, "before you moved in"), ("acacia", 9, 10, "after you moved out")],
)
def test_the_hours_of_a_month_outside_a_stay_say_so(
    home: Home, household: str, inside: int, outside: int, words: str
) -> None:
    head, body = page_of(home, household, "month", "2026-11")["heat.children"]["props"]["children"]
    days = head["props"]["children"]["props"]["children"]
    links = [day["props"]["children"]["props"].get("href") for day in days[1:]]
    assert (links[inside - 1], links[outside - 1]) == (f"/d/{CAD}/day/2026-11-{inside:02d}", None)
    assert words in str(body)


# Money


def test_each_household_pays_its_own_tariff_for_its_own_days(home: Home) -> None:
    def costs(user: User) -> list[str | None]:
        content = client_of(home, user).get(f"/api/v1/devices/{CAD}/month/2026-11").get_json()
        return [content["cost"], content["standing_charge"], content["unpriced_wh"]]

    assert costs(of("acacia")(home)) == ["2.40", "5.00", 0]  # 24 kWh at 0.10; 5 days at 1.00
    assert costs(of("willow")(home)) == ["17.28", "18.00", 0]  # 86.4 kWh at 0.20; 15 to 23 November at 2.00
    assert costs(support_with_a_reason(home)) == ["19.68", "23.00", 0]  # the empty home has no tariff
    year = shown(home.store, device(home.store), "year", "2026", homes.NOW)
    assert year.total.cost.standing_charge == 23 * 10**13


def test_a_new_tariff_prices_no_day_of_the_household_before(home: Home) -> None:
    assert change_tariff(home.store, device(home.store), tariff("0.50", "0")) == len(WILLOW)
    drain(home.store)
    content = client_of(home, of("acacia")(home)).get(f"/api/v1/devices/{CAD}/month/2026-11").get_json()
    assert content["cost"] == "2.40"


def test_a_former_household_is_told_no_half_hourly_price_of_later_days(home: Home) -> None:
    half_hourly = replace(device(home.store), tariff=homes.HALF_HOURLY)
    home.store.put_device(moved(half_hourly, "birch", "2026-11-19"))
    home.store.put_prices(CAD, homes.half_hourly_prices("2026-11-18", 2))
    data = CachedReads(home.store, open_cache(Flask("one"), ""), lambda: homes.NOW)
    own = visible_device(home.store, of("willow")(home), CAD, homes.NOW)
    assert own
    assert [len(data.rates(own, day)) for day in ("2026-11-18", "2026-11-19")] == [48, 0]


def test_each_household_reads_whether_its_own_days_have_the_new_costs(home: Home) -> None:
    new = tariff("0.50", "0")
    note_change(home.store, device(home.store), new, home.store.now())
    change_tariff(home.store, device(home.store), new)
    charts = [("day", DAYS[-1]), ("month", "2026-11")]
    for household, told in (("acacia", [True] * 2), ("willow", [False] * 2), ("willow", [True] * 2)):
        own = seen_by(device(home.store), household)
        assert own
        data = CachedReads(home.store, open_cache(Flask("one"), ""), lambda: homes.NOW)
        assert [data.is_repriced(own, *chart) for chart in charts] == told
        if household == "willow":
            drain(home.store)


def test_one_device_has_one_currency(home: Home) -> None:
    euro = tariff_from_json({"currency": "EUR", "versions": [{"from": "2026-01-01", "import": "0.3"}]})
    with pytest.raises(ConfigurationError, match="the days of the household before are in GBP"):
        change_tariff(home.store, device(home.store), euro)


def test_only_the_present_household_changes_the_tariff(home: Home) -> None:
    status = {
        household: client_of(home, of(household)(home)).get(f"/d/{CAD}/tariff").status_code
        for household in ("acacia", "willow")
    }
    assert (status["willow"], status["acacia"] in (403, 404)) == (200, True)


# People


def test_each_household_reads_who_looked_in_its_own_time(home: Home) -> None:
    for day, reason in (("2026-11-07", "no data in acacia"), ("2026-11-17", "tariff of willow")):
        actions.look_up(
            Audit(home.store, []), Who("u9", "desk@example.org", SUPPORT), CAD, reason, start_of(day) + 3600
        )
    for household, own, other in (
        ("acacia", "no data in acacia", "tariff of willow"),
        ("willow", "tariff of willow", "no data in acacia"),
    ):
        page = client_of(home, of(household)(home)).get("/who-looked").text
        assert own in page
        assert other not in page


def moved_later(home: Home, device_id: str = CAD) -> Audit:
    """Let staff look at willow's home on the day on which birch moves in, before the move is written down."""
    audit, who, looked = (
        Audit(home.store, []),
        Who("u9", "desk@example.org", SUPPORT),
        start_of("2026-11-18") + 8 * 3600,
    )
    actions.look_up(audit, who, device_id, "willow called", looked)
    before = device(home.store)
    actions.record_device(audit, who, before, moved(before, "birch", "2026-11-18"), "moved", looked + 3600)
    move(home.store, before, "birch", "2026-11-18")
    return audit


@pytest.mark.parametrize("device_id", [CAD, GAS])
def test_a_look_before_a_move_is_written_down_tells_of_the_former_household(home: Home, device_id: str) -> None:
    moved_later(home, device_id)
    people = of("willow")(home), somebody(home.store, "bea@example.org", household="birch")
    assert ["willow called" in client_of(home, one).get("/who-looked").text for one in people] == [True, False]


def test_an_erasure_takes_the_reason_of_a_look_before_the_move_was_written_down(home: Home) -> None:
    audit = moved_later(home)
    for _ in erasing(home.store, audit, make_plan(home.store, "willow"), homes.NOW):
        pass
    assert [one.reason for one in audit.entries(device_id=CAD) if one.action == "look-up"] == [""]


def test_a_household_sees_its_own_name_of_the_home(home: Home) -> None:
    assert device(home.store).name == ""
    former = visible_device(home.store, of("acacia")(home), CAD, homes.NOW)
    assert former
    assert (former.name, former.postcode) == ("Villa Acacia", "AB1 2CD")


def test_a_household_that_comes_back_sees_its_newest_time(home: Home) -> None:
    move(home.store, device(home.store), "acacia", "2026-11-19")
    drain(home.store)
    client = client_of(home, of("acacia")(home))
    assert total_of(client, CAD, "month", "2026-11") == 2 * 48 * 300
    assert total_of(client_of(home, of("willow")(home)), CAD, "month", "2026-11") == 4 * 48 * 300


@pytest.mark.parametrize(
    ("household", "first", "fault"),
    [
        ("willow", "2026-11-20", "belongs to willow already"),
        ("birch", WILLOW_SINCE, "belongs to willow since 2026-11-15; name a later day"),
        ("birch", "2026-11-01", "belongs to willow since 2026-11-15; name a later day"),
    ],
)
def test_a_move_follows_the_last_one(home: Home, household: str, first: str, fault: str) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        move(home.store, device(home.store), household, first)


# Everything of a household


def everything(answer: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(answer)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize(("household", "own"), [("acacia", ACACIA), ("willow", WILLOW)])
def test_everything_of_a_household_is_of_its_own_days(home: Home, household: str, own: dict[str, int]) -> None:
    prices = {start_of(day) + at: Decimal("0.25") for day in DAYS for at in range(0, 86_400, HALF_HOUR)}
    home.store.put_prices(CAD, Series(prices))
    for day in ("2026-11-07", "2026-11-17"):
        who = Who("u9", "desk@example.org", SUPPORT)
        actions.look_up(Audit(home.store, []), who, CAD, f"=1+1 asked on {day}", start_of(day) + 3600)
    answer = client_of(home, of(household)(home)).get("/account/everything.zip")
    assert answer.mimetype == "application/zip"
    files = everything(answer.data)
    assert sorted({name.partition("/")[0] for name in files}) == ["README.txt", "account.json", CAD, GAS]
    for device_id in (CAD, GAS):
        readings = list(csv.DictReader(io.StringIO(files[f"{device_id}/readings.csv"])))
        assert len(readings) == 48 * len(own) + (household == "willow")  # the last one begins a day after
        assert {row["at"][:10] for row in readings} - {"2026-11-21"} == set(own)
        days = [json.loads(line) for line in files[f"{device_id}/days.jsonl"].splitlines()]
        assert {day["period"]: day["import_wh"] for day in days} == own
        for level in ("months", "years"):
            (whole,) = [json.loads(line) for line in files[f"{device_id}/{level}.jsonl"].splitlines()]
            assert whole["import_wh"] == sum(own.values())
    priced = list(csv.DictReader(io.StringIO(files[f"{CAD}/prices.csv"])))
    assert [row["start"] for row in priced] == [iso_utc(at) for at in prices if iso_utc(at)[:10] in own]
    assert {(row["import_price"], row["export_price"]) for row in priced} == {("0.25", "")}
    told = json.loads(files[f"{CAD}/home.json"])
    assert (told["from"], told["to"]) == ((None, "2026-11-09") if household == "acacia" else (WILLOW_SINCE, None))
    assert told["tariff"]["versions"][0]["import"] == ("0.1" if household == "acacia" else "0.2")
    assert [one["email"] for one in json.loads(files["account.json"])] == [f"{household}@example.org"]
    looked = csv.DictReader(io.StringIO(files[f"{CAD}/who-looked.csv"]))
    day = "2026-11-07" if household == "acacia" else "2026-11-17"
    assert [row["reason"] for row in looked] == [f"'=1+1 asked on {day}"], "no spreadsheet computes it"


@pytest.mark.parametrize(("household", "edge", "own"), [("acacia", EMPTY_SINCE, -9), ("willow", WILLOW_SINCE, 1)])
def test_an_interval_across_a_move_is_in_nobodys_download(home: Home, household: str, edge: str, own: int) -> None:
    hours = {begins: start_of(edge) + begins * 3600 for begins in (-9, -1, 1)}
    home.store.write_intervals([Interval(CAD, at, at + 7200, 600, None) for at in hours.values()], homes.NOW)
    files = everything(client_of(home, of(household)(home)).get("/account/everything.zip").data)
    known = list(csv.DictReader(io.StringIO(files[f"{CAD}/intervals.csv"])))
    assert [row["start"] for row in known] == [iso_utc(hours[own])]


def test_an_open_month_is_in_everything(home: Home) -> None:
    home.store.put_device(Device("cad-2", household="willow"))
    parts = {name: Part(700, None, covered_s=1800) for name in ("h10", "s20")}
    home.store.merge_parts("day", "cad-2", "2026-11-23", "Europe/London", parts)  # not carried into its month yet
    files = everything(b"".join(export(home.store, Audit(home.store, []), "willow", [], homes.NOW, ENGLISH)))
    for level in ("days", "months", "years"):
        assert json.loads(files[f"cad-2/{level}.jsonl"])["import_wh"] == 700


def test_the_page_is_told_how_much_of_its_download_is_written(home: Home) -> None:
    acacia = of("acacia")(home)
    client = client_of(home, acacia)

    def told() -> object:
        return client.get("/account/everything?of=7").json

    def quarters(tell: Told) -> Iterator[bytes]:
        for done in range(1, 5):
            tell(done, 4)
            yield b""

    pieces = followed(home.store, acacia.user_id, "7", quarters)
    assert (told(), next(pieces), told()) == ({}, b"", {"percent": 25})
    pieces.close()
    assert told() == {"percent": None}, "broken off"
    everything(client.get("/account/everything.zip?of=7").data)
    assert told() == {"percent": 100}


def test_a_download_counts_the_days_of_readings_intervals_and_charts(home: Home) -> None:
    told: list[tuple[int, int]] = []
    for _ in export(home.store, Audit(home.store, []), "acacia", [], homes.NOW, ENGLISH, lambda *one: told.append(one)):
        pass
    whole = 2 * 3 * len(ACACIA)
    assert (told[0], told[-1], told) == ((0, whole), (whole, whole), sorted(told))
    assert {done for done, _ in told} >= {5, 10, 11, 12}, "each day's chart"


def test_only_a_household_downloads_everything(home: Home) -> None:
    for come in (support_with_a_reason, admin, of("")):
        assert client_of(home, come(home)).get("/account/everything.zip").status_code == 404
    assert everything(client_of(home, of("birch")(home)).get("/account/everything.zip").data).keys() == {
        *("README.txt", "account.json")
    }


def test_an_operator_exports_a_household_and_leaves_entries(home: Home, tmp_path: Path) -> None:
    acacia = of("acacia")(home)
    target, arguments = tmp_path / "acacia.zip", ("household", "export", "acacia")
    (file,) = tmp_path.glob("*.db")
    environ = {"WATTFALL_STORE": f"sqlite:///{file}"}
    done = CliRunner().invoke(main, [*arguments, str(target)], env=environ)
    assert (done.exit_code, done.stdout) == (0, f"{target} holds acacia: devices 2, accounts 1\n")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "Everything that Wattfall keeps" in everything(target.read_bytes())["README.txt"]
    assert everything(target.read_bytes())[f"{CAD}/days.jsonl"].count("\n") == len(ACACIA)
    entries = [one for one in Audit(home.store, []).entries() if one.action == "household export"]
    assert [(one.device_id, one.details) for one in entries] == [(one, {"household": "acacia"}) for one in (GAS, CAD)]
    people = (acacia, of("willow")(home))
    pages = [client_of(home, one).get("/who-looked").text for one in people]
    assert ["Exported everything kept of a household" in page for page in pages] == [True, False]
    again = CliRunner().invoke(main, [*arguments, str(target)], env=environ)
    assert (again.exit_code, again.stderr) == (2, f"wattfall: {target} cannot be made: File exists\n")
    of("birch")(home)  # an account without a device
    alone = CliRunner().invoke(main, ["household", "export", "birch", str(tmp_path / "birch.zip")], env=environ)
    assert alone.exit_code == 0
    newest = next(iter(Audit(home.store, []).entries()))
    assert (newest.action, newest.device_id, newest.details) == ("household export", "", {"household": "birch"})
    nobody = CliRunner().invoke(main, ["household", "export", "nobody", str(tmp_path / "x.zip")], env=environ)
    assert (nobody.exit_code, "nothing is kept of a household 'nobody'" in nobody.stderr) == (2, True)
