"""Looks: an edge and the worker learn of the viewers of a device."""

import time
from typing import cast

from aggregator.core.documents import Device
from aggregator.intake import device_status
from aggregator.settings import load
from aggregator.store.port import Store
from dashboard.app import create_app
from dashboard.pages.household.page_callbacks import show_live
from dashboard.text.language import ENGLISH
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.dashboard.pages.household.test_poll import Counted
from tests.dashboard.people import MEMBER, SECRET


def data_on(store: Store) -> CachedReads:
    server = create_app(load({"WATTFALL_SECRET": SECRET}), store).server
    return CachedReads(store, open_cache(server, ""), lambda: int(time.time()))


def test_only_an_authorized_viewer_counts_as_a_look(store: Store) -> None:
    for device_id, household in (("cad-1", MEMBER.household), ("cad-2", "others")):
        store.put_device(Device(device_id, household=household))
        show_live(data_on(store), MEMBER, {"device": device_id}, None, ENGLISH)
    assert [device_status.is_watched(store, device_id) for device_id in ("cad-1", "cad-2")] == [True, False]


def test_many_viewers_share_one_note(store: Store) -> None:
    device = Device("cad-1", household=MEMBER.household)
    store.put_device(device)
    counted = Counted(store)
    data = data_on(cast(Store, counted))
    for _ in range(50):
        data.note_look(device)
    assert counted.asked["put_record"] == 1
