"""The fleet's counts, from a census that delays no other work."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.periods import day_of
from aggregator.core.status import Status
from aggregator.intake import device_status, refusals
from aggregator.store import Store, open_store
from aggregator.store.collections import REFUSED, REFUSED_DAYS, REFUSED_STATE, STATUS
from aggregator.store.port import Backlog
from aggregator.support import fleet
from aggregator.support.fleet import (
    MOST_FIRMWARES,
    MOST_LISTED,
    OTHERS,
    census,
    history,
    listed_devices,
    summary,
    take_census,
)
from aggregator.waterfall.worker import run_worker

NOW = int(time.time())  # records expire by the store's own clock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/fleet.db")
    yield opened
    opened.close()


def receive(store: Store, device_id: str, seconds_ago: int) -> None:
    store.put_device(Device(device_id))
    store.put_live([Live(device_id, NOW - seconds_ago - 5, NOW - seconds_ago, 1, None, None, None)])


def test_before_the_first_census_there_is_no_summary(store: Store) -> None:
    assert summary(store) is None
    assert listed_devices(store, "state", "late") == []
    take_census(store, NOW, Backlog(0, None))
    found = summary(store)
    assert found
    assert (found.devices, found.waiting, set(found.states.values())) == (0, 0, {0})


def test_silent_devices_are_counted_by_duration(store: Store) -> None:
    ages = [0, 60, 61, 600, 601, 3601, 86_401, 7 * 86_400 + 1, 30 * 86_400 + 1]
    for number, age in enumerate(ages):
        receive(store, f"d{number}", age)
    store.put_device(Device("unheard"))
    store.put_device(Device("supplied", longest_interval_s=1800))
    take_census(store, NOW, Backlog(7, NOW - 3))

    found = summary(store)
    assert found
    assert found.states == {
        "sending": 2,
        "late": 2,
        "silent_10_minutes": 1,
        "silent_1_hour": 1,
        "silent_1_day": 1,
        "silent_7_days": 1,
        "silent_30_days": 1,
        "supplied": 1,
        "never": 1,
    }
    assert (found.at, found.devices, found.waiting, found.waiting_since) == (NOW, 11, 7, NOW - 3)
    assert listed_devices(store, "state", "late") == ["d3", "d2"]  # the longest without an arrival first
    assert listed_devices(store, "state", "silent_30_days") == ["d8"]
    assert listed_devices(store, "state", "never") == ["unheard"]


def test_areas_count_those_that_do_not_send(store: Store) -> None:
    """Of three in SW two are silent, of one in 10 none; an unheard device does not count."""
    for device_id, postcode, age in (("a", "SW1A 1AA", 0), ("b", "sw2 1AA", 900), ("c", "SW9", 900), ("d", "10115", 0)):
        store.put_device(Device(device_id, postcode=postcode))
        store.put_live([Live(device_id, NOW - age, NOW - age, 1, None, None, None)])
    store.put_device(Device("e", postcode="SW1A 1AA"))
    receive(store, "f", 900)
    take_census(store, NOW, None)
    found = summary(store)
    assert found
    assert {area: tuple(counts) for area, counts in found.areas.items()} == {"SW": (3, 2), "10": (1, 0)}


def test_a_weak_signal_of_the_last_day_is_counted(store: Store) -> None:
    for device_id, rssi_dbm, at in (("weak", -95, NOW), ("good", -50, NOW), ("old", -95, NOW - 2 * 86_400)):
        device_status.put_statuses(store, [Status(device_id, at, rssi_dbm, None, None, None, None)], at)
    take_census(store, NOW, None)
    found = summary(store)
    assert found
    assert (found.weak, listed_devices(store, "signal", "weak")) == (1, ["weak"])


def test_the_last_census_of_each_day_stays(store: Store) -> None:
    for days_ago, devices in ((40, 1), (1, 1), (0, 2), (0, 3)):
        for number in range(devices):
            receive(store, f"d{number}", 0)
        take_census(store, NOW - days_ago * 86_400, None)
    assert [(one.at, one.devices) for one in history(store, NOW)] == [(NOW - 86_400, 1), (NOW, 3)]


def test_lists_are_bounded_and_counts_are_complete(store: Store) -> None:
    with store.transaction():
        for number in range(MOST_LISTED + 700):
            receive(store, f"d{number:04d}", 0)
    take_census(store, NOW, None)

    found = summary(store)
    assert found
    assert (found.states["sending"], found.waiting) == (MOST_LISTED + 700, None)
    assert listed_devices(store, "state", "sending") == [f"d{number:04d}" for number in range(MOST_LISTED)]


def test_rare_firmwares_are_counted_together(store: Store) -> None:
    names = ["v2", "v2", "v1", *(f"odd-{number:02d}" for number in range(MOST_FIRMWARES))]
    said = [Status(f"d{number:02d}", NOW, None, None, name, None, None) for number, name in enumerate(names)]
    device_status.put_statuses(store, said, NOW)
    take_census(store, NOW, None)

    found = summary(store)
    assert found
    assert next(iter(found.firmwares.items())) == ("v2", 2)
    assert found.firmwares[OTHERS] == 2
    assert sum(found.firmwares.values()) == len(names)
    assert listed_devices(store, "firmware", "v2") == ["d00", "d01"]


def test_refused_messages_of_today_are_counted_with_their_devices(store: Store) -> None:
    receive(store, "d1", 0)
    batch = refusals.Batch()
    for _ in range(3):
        batch.add(b'{"device_id": "d1"}', Refused("bad_time", "at is missing"), NOW)
    refusals.put_refusals(store, batch, NOW)
    take_census(store, NOW, None)

    found = summary(store)
    assert found
    assert (found.refused, found.refused_devices) == ({"bad_time": 3}, 1)
    assert listed_devices(store, "refused", "today") == ["d1"]


@pytest.mark.parametrize("body", ["{", "[1.2]", "7"])
def test_a_damaged_record_is_named_once_and_begins_anew(
    store: Store, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    device_id = f"d{ord(body[0])}"  # each damage is named once in a process
    receive(store, device_id, 0)
    device_status.put_statuses(store, [Status("other", NOW, -60, None, "v1", None, None)], NOW)
    batch, today = refusals.Batch(), day_of(NOW, "UTC")
    batch.add(f'{{"device_id": "{device_id}"}}'.encode(), Refused("bad_time", "at is missing"), NOW)
    for collection, key in (
        (STATUS.of(STATUS.shard_of(device_id)), device_id),
        (REFUSED_STATE.of(), device_id),
        (REFUSED.of(device_id), today),
        (REFUSED_DAYS.of(today), REFUSED_DAYS.shard_of(device_id)),
    ):
        store.put_record(collection, key, body)
    for _ in range(2):
        take_census(store, NOW, None)
    found = summary(store)
    assert found
    assert (found.firmwares, found.refused) == ({"v1": 1}, {})
    assert sum(f"the status of {device_id} is damaged" in line for line in caplog.messages) == 1
    device_status.put_statuses(store, [Status(device_id, NOW, -60, None, "v1", None, None)], NOW)
    refusals.put_refusals(store, batch, NOW)
    take_census(store, NOW, None)
    found = summary(store)
    assert found
    assert (found.firmwares, found.refused) == ({"v1": 2}, {"bad_time": 1})


def wait(store: Store, *devices: str) -> None:
    for device_id in devices:
        store.mark("readings", device_id, [str(NOW // 1800 * 1800)])


def test_waiting_devices_are_listed_longest_wait_first(store: Store) -> None:
    wait(store, "zoe", "ann", "bob")
    store.mark("month", "cat", ["2026-11"])
    store.mark("readings", "zoe", ["0"])
    take_census(store, NOW, store.backlog())
    found = summary(store)
    assert found
    assert (found.waiting, found.waiting_devices) == (5, 4)
    assert listed_devices(store, "waterfall", "waiting") == ["zoe", "ann", "bob", "cat"]

    store.settle(store.changes("readings", 9))
    take_census(store, NOW, store.backlog())
    assert listed_devices(store, "waterfall", "waiting") == ["cat"]
    store.settle(store.changes("month", 9))
    take_census(store, NOW, store.backlog())
    assert listed_devices(store, "waterfall", "waiting") == []


def test_the_list_of_waiting_devices_is_bounded(store: Store) -> None:
    wait(store, *(f"d{number:03d}" for number in range(MOST_LISTED + 9)))
    take_census(store, NOW, store.backlog())
    listed = listed_devices(store, "waterfall", "waiting")
    assert listed == [f"d{number:03d}" for number in range(MOST_LISTED)]


def test_an_unknown_lag_lists_no_waiting_devices(store: Store) -> None:
    wait(store, "ann")
    take_census(store, NOW, None)
    found = summary(store)
    assert found
    assert (found.waiting, found.waiting_devices, listed_devices(store, "waterfall", "waiting")) == (None, 0, [])


def test_a_census_of_an_older_version_is_read(store: Store) -> None:
    take_census(store, NOW, None)
    body = orjson.loads(store.record("fleet", "summary") or "")
    del body["waiting_devices"]
    store.put_record("fleet", "summary", orjson.dumps(body).decode())
    assert summary(store)


def test_a_census_is_visible_only_when_complete(store: Store) -> None:
    receive(store, "d1", 0)
    going = census(store, NOW, None)
    next(going)
    assert summary(store) is None
    for _ in going:
        pass
    assert summary(store)


class Passes(threading.Event):
    """An event that is set after a number of checks, without waits."""

    left = 3

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, timeout: float | None = None) -> bool:
        return timeout is None


def test_the_worker_takes_the_census(store: Store) -> None:
    receive(store, "d1", 0)
    run_worker(store, 35, Passes(), clock=lambda: NOW, census=lambda now: fleet.census(store, now, store.backlog()))
    found = summary(store)
    assert found
    assert found.states["sending"] == 1
    assert set(fleet.STATES) == set(found.states)
