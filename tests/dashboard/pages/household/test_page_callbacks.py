"""Pages follow each other in one frame: an answer's values join those of the page before."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest

from aggregator.core.documents import Device
from aggregator.store.port import Store
from aggregator.support.audit import grant
from aggregator.waterfall.levels import move
from dashboard.accounts.users import SUPPORT, User
from dashboard.charts.view import View
from dashboard.pages.household import page
from dashboard.pages.household.page_callbacks import show_live, show_page
from dashboard.text.language import ENGLISH
from dashboard.text.words import plain
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard import homes
from tests.dashboard.homes import HOUSEHOLD, NOW
from tests.dashboard.people import MEMBER, dashboard

DES = User("des", name="Des", role=SUPPORT)
STRANGER = User("stranger", household="oak")
WILLOW = User("willow", household="willow")
PAGES = [
    (MEMBER, "/", ""),
    (MEMBER, "/d/unknown", ""),
    (MEMBER, "/d/cad-1/day/2026-11-22", "#tariff-changed"),
    (MEMBER, "/d/cad-1/month/2026-11?unit=money&compare=previous", ""),
    (MEMBER, "/d/cad-1/year/2026?unit=money", ""),
    (MEMBER, "/d/cad-1/day/2020-01-01", ""),
    (MEMBER, "/d/cad-1~gas", ""),
    (MEMBER, "/d/cad-left/month/2026-11", ""),
    (MEMBER, "/d/cad-new/month/2026-11", ""),
    (DES, "/d/cad-1/month/2026-11", ""),
    (STRANGER, "/", ""),
    (WILLOW, "/d/cad-left", ""),
]


@pytest.fixture
def data(store: Store) -> CachedReads:
    app = dashboard(store)
    homes.furnish_one(store, Device("cad-1", tariff=homes.NIGHT), "2026-10-28")
    homes.furnish_one(store, Device("cad-left", tariff=homes.NIGHT), "2026-11-10", homes.sunny)
    for name, kind in (("cad-1~gas", "gas"), ("cad-new", "electricity")):
        store.put_device(Device(name, household=HOUSEHOLD, kind=kind))
    left = store.device("cad-left")
    assert left
    move(store, left, "willow", "2026-11-20")
    grant(store, DES.user_id, "cad-1", NOW + 3600)
    return CachedReads(store, open_cache(app.server, ""), lambda: NOW)


def answer(data: CachedReads, viewer: User, address: str, said: str) -> dict[str, Any]:
    """Return the values of a page and of its first poll."""
    path, _, query = address.partition("?")
    slots = {**show_page(data, viewer, View.from_url(path, query), None, ENGLISH, said)}
    return slots | {**show_live(data, viewer, slots["shown.data"], None, ENGLISH)}


def seen(values: Mapping[str, Any]) -> object:
    """Return what the regions and the figures show of some values, without hidden elements."""
    properties: dict[str, dict[str, Any]] = {}
    for slot, value in values.items():
        name, _, prop = slot.partition(".")
        properties.setdefault(name, {})[prop] = plain(value)

    def built(part: object) -> object:
        if isinstance(part, list):
            return [built(one) for one in part]
        if not isinstance(part, dict):
            return part
        props = part["props"] | properties.get(part["props"].get("id"), {})
        return None if props.get("hidden") else [part["type"], {**props, "children": built(props.get("children"))}]

    regions = page.TREES if values["home.hidden"] else ("top-region", "home-region")
    return {name: built(plain(page.TREES[name](ENGLISH))) for name in regions}


def test_nothing_of_the_page_before_stays(data: CachedReads) -> None:
    answers = {where: answer(data, *where) for where in PAGES}
    for before, after in permutations(PAGES, 2):
        assert seen(answers[before] | answers[after]) == seen(answers[after]), (before, after)


def test_who_has_left_is_told_so_and_not_sent_to_the_support_desk(data: CachedReads) -> None:
    slots = answer(data, MEMBER, "/d/cad-left", "")
    assert slots["visiting.hidden"] is False
    assert "You do not live here any more" in repr(slots["visiting.children"])
    assert "/desk/" not in repr(slots["visiting.children"])
    assert (slots["tariff.hidden"], slots["history.hidden"]) == (True, True)
