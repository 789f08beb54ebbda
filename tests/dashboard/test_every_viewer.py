"""Every viewer at every address and callback of a home with three occupancies: each sees its own marks only.

Each household used another power, constant, paid another tariff, and has a name and a look of staff of its own. It is
the 23rd of November. One Redis is between the viewers, who ask one after the other: what is kept for one is never
another's. `tries` knows every address and callback; a new one is asked here by itself.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import pytest
from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core import periods
from aggregator.core.documents import Device, Part
from aggregator.core.live import Live
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import Reading
from aggregator.settings import load
from aggregator.store.occupancies import occupancies
from aggregator.store.port import Store
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.tariffs.tariff import tariff_from_text
from aggregator.waterfall.levels import move
from aggregator.waterfall.pricing import tariff_to_text
from aggregator.waterfall.worker import drain
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.accounts.users import ADMIN, HOUSEHOLD, SUPPORT, User
from dashboard.app import create_app
from tests.copies import Copy, Originals
from tests.dashboard import homes
from tests.dashboard.people import SECRET, Clock, accounts_on, browser, somebody, token_in
from tests.dashboard.test_every_route import CALLBACKS, ROUTES, Place, Try, tries
from tests.servers import free_port, running_redis

CAD, GAS = HOME = ("cad-1", "cad-1~gas")
FIRST, TODAY = "2026-10-01", "2026-11-23"


class Stay(NamedTuple):
    """The marks of an occupancy; no figure of one is that of another."""

    household: str
    first: str
    last: str
    wh: tuple[int, int]  # in each half hour, of electricity and of gas
    rate: str
    charge: str
    name: str
    postcode: str
    reason: str


STAYS = (
    Stay("acacia", FIRST, "2026-10-14", (7331, 2909), "0.4711", "0.8317", "Villa Geheim", "QX1 1AA", "Akaziendaten"),
    Stay("birch", "2026-10-15", "2026-10-24", (5417, 1873), "0.3923", "0.6143", "Birkenruh", "QY2 2BB", "Birkendaten"),
    Stay("willow", "2026-10-25", TODAY, (3613, 1237), "0.2749", "0.5279", "Weidenhof", "QZ3 3CC", "Weidendaten"),
)
POWER_W = 31_337  # of today
PLACES = [  # both sides of each move, what is next to it, and what is shared
    Place("day", "2026-10-14", "/day/2026-10-14", "compare=previous", FIRST, TODAY),
    Place("day", "2026-10-15", "/day/2026-10-15", "unit=money&compare=previous", FIRST, TODAY),
    Place("day", "2026-10-25", "/day/2026-10-25", "compare=week", FIRST, TODAY),
    Place("day", TODAY, "", "compare=previous", FIRST, TODAY),
    Place("month", "2026-10", "/month/2026-10", "", FIRST, TODAY),
    Place("month", "2026-11", "/month/2026-11", "unit=money&compare=previous", FIRST, TODAY),
    Place("year", "2026", "/year/2026", "compare=previous", FIRST, TODAY),
]


def furnish(store: Store) -> None:
    """Fill a store with the home."""
    for one in HOME:
        store.put_device(Device(one, kind="gas" if one == GAS else "electricity"))
    for stay in STAYS:
        cad = device(store)
        if stay is not STAYS[0]:
            move(store, cad, stay.household, stay.first)
            cad = device(store)
        tariff = homes.tariff(stay.rate).replace("0.5310", stay.charge)
        cad = replace(cad, name=stay.name, postcode=stay.postcode, household=stay.household, tariff=tariff)
        store.put_device(cad)
        if stay is not STAYS[-1]:
            _price_and_take_back(store, stay, tariff)
        for day in days_of(stay):
            for one, wh in zip(HOME, stay.wh, strict=True):
                part = Part(wh, 0, covered_s=HALF_HOUR)
                homes.fill_day(store, device(store, one), day, homes.NOW, lambda _, part=part: part)  # type: ignore[misc]
        who, at = Who("u9", "desk@example.org", SUPPORT), periods.day_start(stay.first, "Europe/London") + 600
        for one in HOME:
            actions.look_up(Audit(store, []), who, one, stay.reason, at)
    for stay in STAYS:
        actions.record_erasure(Audit(store, []), who, stay.household, HOME, stay.reason, homes.NOW)
    drain(store)
    store.put_live([Live(CAD, homes.NOW - 5, homes.NOW - 5, POWER_W, 1, None, None)])
    for at in (homes.NOW - 605, homes.NOW - 5):
        blocks = {(CAD, periods.block_start(at)): {at: Reading(CAD, at, POWER_W, None, None)}}
        store.write_readings(blocks, homes.NOW)


def _price_and_take_back(store: Store, stay: Stay, tariff: str) -> None:
    """Let a household price its gas on the page, and remove the prices again: the page offers them back."""
    server = create_app(load({"WATTFALL_SECRET": SECRET}), store, lambda: homes.NOW).server
    client = browser(server, store, somebody(store, f"{stay.household}@example.org", HOUSEHOLD, stay.household))
    address = f"/d/{GAS}/tariff"
    for text in (tariff_to_text(tariff_from_text(tariff)), ""):
        page = client.get(address).text
        against = page.split('name="made-against" value="')[1].split('"')[0]
        sent = {"csrf": token_in(page), "action": "confirm", "tariff": text, "made-against": against}
        assert client.post(address, data=sent).status_code == 303
    assert stay.rate in client.get(address).text


def device(store: Store, device_id: str = CAD) -> Device:
    found = store.device(device_id)
    assert found
    return found


def days_of(stay: Stay) -> list[str]:
    days = [stay.first]
    while days[-1] < stay.last:
        days.append(periods.shift("day", days[-1], 1))
    return days


# Marks


def energy(wh: int) -> set[str]:
    """Return an energy as answers, files and pages write it, where its digits tell it from other numbers."""
    kwh = {f"{wh / 1000:,.{places}f}" for places in (1, 2, 3)} | {f"{wh / 1000:.{places}f}" for places in (1, 2, 3)}
    return {text for text in {str(wh), f"{wh:,}", str(wh / 1000)} | kwh if sum(map(str.isdigit, text)) >= 4}


def money(amount: Decimal) -> set[str]:
    return {f"{amount:.2f}", f"{amount:,.2f}", f"{amount.normalize():f}", f"{amount * 100:.2f}"}


def halves_of(stay: Stay) -> int:
    return len(days_of(stay)) * 48 - 19 * (stay.last == TODAY)  # it is 14:20


def figures(stay: Stay) -> set[str]:
    """Return the energy, the money and the power of a stay: of all of it, a day, an hour and half an hour."""
    times, rate = (halves_of(stay), 48, 2, 1), Decimal(stay.rate)
    found = set().union(*(energy(wh * count) for wh in stay.wh for count in times))
    found |= set().union(*(money(stay.wh[0] * count * rate / 1000) for count in times[:2]))
    found |= {stay.rate, stay.charge, f"{rate * 100:.2f}", f"{Decimal(stay.charge) * 100:.2f}"}
    return found | (energy(POWER_W) if stay.last == TODAY else set())


def together() -> set[str]:
    """Return what households used together, in October and in the year."""
    found = set[str]()
    for place in range(2):
        acacia, birch, willow = (48 * stay.wh[place] for stay in STAYS)
        october = 14 * acacia + 10 * birch + 7 * willow
        year = october + STAYS[2].wh[place] * (halves_of(STAYS[2]) - 7 * 48)
        found |= set().union(*map(energy, (14 * acacia + 10 * birch, 10 * birch + 7 * willow, october, year)))
    return found


FIGURES = {stay.household: figures(stay) for stay in STAYS}
LABELS = {stay.household: (stay.household, stay.name, stay.postcode, stay.reason) for stay in STAYS}
TOGETHER = together()


@lru_cache(maxsize=1)
def numbers(told: str) -> set[str]:
    return {*re.findall(r"\d+(?:\.\d+)?", told), *re.findall(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", told)}


def content(answer: TestResponse) -> str:
    """Return all that an answer tells, also inside of an archive."""
    if answer.mimetype != "application/zip":
        answer.headers.remove("Set-Cookie")  # chance, which may have any digits
        return f"{answer.headers} {answer.get_data().decode(errors='replace')}"
    with zipfile.ZipFile(io.BytesIO(answer.get_data())) as archive:
        return " ".join(f"{name} {archive.read(name).decode()}" for name in archive.namelist())


# Viewers


class World(NamedTuple):
    app: Dash
    store: Store


class Viewer(NamedTuple):
    """Who asks: what may be told, and with what."""

    household: str  # whose marks are told; empty: nobody's, `*`: of all
    knows_labels: bool
    come: Callable[[World], FlaskClient]
    has_key: bool = False


def person(role: str, household: str, email: str, *former: str) -> Callable[[World], User]:
    def come(world: World) -> User:
        accounts = accounts_on(world.store)
        user = accounts.find(email) or somebody(world.store, email, role, *(former or (household,)))
        moved = accounts.change(user, lambda one: replace(one, household=household))
        assert moved
        return moved

    return come


def session(of: Callable[[World], User], *looked_up: str) -> Callable[[World], FlaskClient]:
    def come(world: World) -> FlaskClient:
        user = of(world)
        for one in looked_up:
            who = Who(user.user_id, user.email, user.role)
            actions.look_up(Audit(world.store, []), who, one, "they called", Clock().at)
        return browser(world.app.server, world.store, user)

    return come


def key(of: Callable[[World], User]) -> Callable[[World], FlaskClient]:
    def come(world: World) -> FlaskClient:
        keys = ApiKeys(world.store, accounts_on(world.store).user, Audit(world.store, []), Clock())
        client = browser(world.app.server, world.store)
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {keys.make(of(world), 'A script', SCOPES)}"
        return client

    return come


HOUSEHOLDS = {
    "former household": person(HOUSEHOLD, "acacia", "former@example.org"),
    "household between": person(HOUSEHOLD, "birch", "between@example.org"),
    "present household": person(HOUSEHOLD, "willow", "present@example.org"),
    "person in two households": person(HOUSEHOLD, "willow", "both@example.org", "acacia"),
    "future household": person(HOUSEHOLD, "rowan", "future@example.org"),
    "stranger": person(HOUSEHOLD, "", "stranger@example.org"),
}
TELLS = dict(zip(HOUSEHOLDS, ("acacia", "birch", "willow", "willow", "", ""), strict=True))
VIEWERS = {
    **{name: Viewer(TELLS[name], False, session(of)) for name, of in HOUSEHOLDS.items()},
    **{
        f"key of {name}": Viewer(TELLS[name], False, key(of), True)
        for name, of in HOUSEHOLDS.items()
        if name != "stranger"
    },
    "support with a reason": Viewer("*", True, session(person(SUPPORT, "", "desk@example.org"), *HOME)),
    "support without a reason": Viewer("", True, session(person(SUPPORT, "", "other@example.org"))),
    "account manager": Viewer("", True, session(person(ADMIN, "", "admin@example.org"))),
    "signed out": Viewer("", False, lambda world: browser(world.app.server, world.store)),
}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with running_redis(port, tmp_path_factory.mktemp("redis")):
        yield f"redis://127.0.0.1:{port}"


def world_on(store: Store, redis_url: str) -> World:
    environ = {"WATTFALL_SECRET": SECRET, "WATTFALL_CACHE": redis_url}
    app = create_app(load(environ), store, lambda: homes.NOW)
    with app.server.test_request_context():
        app.index()  # type: ignore[no-untyped-call] # Dash adds addresses with the first page
    return World(app, store)


class Asked(NamedTuple):
    world: World
    clients: dict[str, FlaskClient]
    tries: dict[str, list[Try]]  # by address or callback; one a place


@pytest.fixture(scope="module")
def asked(originals: Originals, tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Asked]:
    """The viewers at a home that all only read, and every request of each place."""
    with originals.opened(furnish, tmp_path_factory.mktemp("viewers") / "home.db") as store:
        world = world_on(store, redis_url)
        every: dict[str, list[Try]] = {}
        for place in PLACES:
            for one in tries(world.app, place):
                if place is PLACES[0] or "<period>" in one.what or one.what in CALLBACKS:
                    every.setdefault(one.what, []).append(one)
        yield Asked(world, {name: viewer.come(world) for name, viewer in VIEWERS.items()}, every)


def wrong(name: str, told: str) -> list[str]:
    """Return the marks in an answer that are not a viewer's."""
    viewer = VIEWERS[name]
    others = [stay.household for stay in STAYS if viewer.household not in ("*", stay.household)]
    figures = TOGETHER.union(*(FIGURES[one] for one in others)) if others else set[str]()
    labels = [] if viewer.knows_labels else [label for one in others for label in LABELS[one] if label in told]
    return [*(figures & numbers(told)), *labels]


READS = [name for name in ROUTES if name.startswith("GET")]
EVERYTHING = "GET /account/everything.zip"
TELLING = {name for name in READS if "<period>" in name or "<device_id>/days" in name} | {
    EVERYTHING,
    next(iter(CALLBACKS)),
}


def is_told(what: str, viewer: Viewer) -> bool:
    """Whether a viewer of days reads their figures there: a key those of the API, support no household's archive."""
    if viewer.household == "*":
        return what != EVERYTHING
    return bool(viewer.household) and ("/api/v1/" in what or not viewer.has_key)


@pytest.mark.parametrize("what", [*READS, *CALLBACKS])
def test_each_viewer_is_told_the_marks_of_its_own_days_only(asked: Asked, what: str) -> None:
    found: dict[str, set[str]] = {name: set() for name in VIEWERS}
    for one in asked.tries[what]:
        for device_id in HOME if "device" in what or what in CALLBACKS else HOME[:1]:
            for name, client in asked.clients.items():
                answer = one.ask(client, device_id)
                assert answer.status_code != 429
                told = content(answer)
                assert (name, wrong(name, told)) == (name, [])
                found[name] |= numbers(told)
    for name, viewer in VIEWERS.items() if what in TELLING else ():
        own = [stay.household for stay in STAYS if viewer.household in ("*", stay.household)]
        assert [bool(FIGURES[one] & found[name]) for one in own] == [is_told(what, viewer)] * len(own), name


@pytest.mark.parametrize("what", ["GET /api/v1/devices/<device_id>/live", "tick.data"])
def test_the_power_of_now_is_told_to_the_present_household_and_support(asked: Asked, what: str) -> None:
    found = {
        name: any(energy(POWER_W) & numbers(content(one.ask(client, CAD))) for one in asked.tries[what])
        for name, client in asked.clients.items()
    }
    present = {name for name, viewer in VIEWERS.items() if viewer.household in ("willow", "*")}
    assert {name for name, is_seen in found.items() if is_seen} == {
        name for name in present if is_told(what, VIEWERS[name])
    }


def test_each_household_is_told_who_looked_in_its_own_time(asked: Asked) -> None:
    pages = {name: content(client.get("/who-looked")) for name, client in asked.clients.items()}
    for stay in STAYS:
        own = {name for name, viewer in VIEWERS.items() if viewer.household == stay.household and not viewer.has_key}
        assert {name for name, page in pages.items() if stay.reason in page} == own


@pytest.mark.parametrize("name", [*HOUSEHOLDS][:3])
def test_what_a_viewer_sends_is_answered_with_its_own_marks_only(copy: Copy, redis_url: str, name: str) -> None:
    world = world_on(copy(furnish), redis_url)
    client = VIEWERS[name].come(world)
    before = occupancies(device(world.store))
    for one in tries(world.app, PLACES[0]):
        if one.what.startswith("POST"):
            assert (one.what, wrong(name, content(one.ask(client, CAD)))) == (one.what, [])
    assert occupancies(device(world.store)) == before
