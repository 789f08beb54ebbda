"""What needs somebody now: from the last census, judged again."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.periods import HOUR
from aggregator.core.status import Status
from aggregator.intake import device_status, refusals
from aggregator.store import Store, open_store
from aggregator.store.port import Backlog
from aggregator.support.fleet import Wanted, take_census, troubles

NOW = int(time.time()) // HOUR * HOUR + 600  # records expire by the store's own clock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/fleet.db")
    yield opened
    opened.close()


def receive(store: Store, device_id: str, seconds_ago: int, postcode: str = "") -> None:
    store.put_device(Device(device_id, postcode=postcode))
    store.put_live([Live(device_id, NOW - seconds_ago, NOW - seconds_ago, 1, None, None, None)])


def say(store: Store, device_id: str, rssi_dbm: int, at: int, firmware: str = "v2", joined: bool | None = None) -> None:
    device_status.put_statuses(store, [Status(device_id, at, rssi_dbm, None, firmware, None, joined)], at)


def refuse(store: Store, device_id: str, *reasons: str) -> None:
    batch = refusals.Batch()
    for reason in reasons:
        batch.add(b"{}", Refused(reason, "it"), NOW, device_id)
    refusals.put_refusals(store, batch, NOW)


EVERY = Wanted()


def found(store: Store, wanted: Wanted = EVERY) -> list[tuple[object, ...]]:
    listed = troubles(store, NOW, wanted)
    return [(one.device.device_id, one.problem, one.since, one.reason, one.messages) for one in listed]


def test_the_worst_comes_first_with_since_when_why_and_how_many(store: Store) -> None:
    for device_id, age in (("long", 9 * 86_400), ("short", 900), ("fine", 0), ("weak", 0), ("faulty", 0)):
        receive(store, device_id, age)
    say(store, "short", -50, NOW - 60, joined=False)
    for hours_ago, rssi_dbm in ((9, -95), (6, -50), (3, -95), (0, -91)):
        say(store, "weak", rssi_dbm, NOW - hours_ago * HOUR)
    refuse(store, "faulty", "bad_time", "bad_time", "malformed_json")
    take_census(store, NOW, Backlog(0, None))
    assert found(store) == [
        ("long", "silent", NOW - 9 * 86_400, "nothing_comes", 0),
        ("short", "silent", NOW - 900, "not_joined", 0),
        ("faulty", "refused", NOW, "bad_time", 3),
        ("weak", "weak", NOW - 3 * HOUR, "", 0),
    ]


def test_a_device_that_is_back_is_left_out(store: Store) -> None:
    receive(store, "back", 900)
    take_census(store, NOW - 60, Backlog(0, None))
    receive(store, "back", 0)
    assert found(store) == []


def test_a_device_with_two_problems_is_listed_once(store: Store) -> None:
    receive(store, "both", 900)
    refuse(store, "both", "bad_time")
    take_census(store, NOW, Backlog(0, None))
    assert [row[:4] for row in found(store)] == [("both", "silent", NOW - 900, "only_refused")]


def test_the_list_is_filtered_by_problem_area_and_firmware(store: Store) -> None:
    for device_id, postcode, firmware in (("a", "SW1A 1AA", "v1"), ("b", "SW2 1AA", "v2"), ("c", "10115", "v2")):
        receive(store, device_id, 900, postcode)
        say(store, device_id, -95, NOW - 60, firmware)
    take_census(store, NOW, Backlog(0, None))
    for wanted, devices in (
        (Wanted(area="SW"), ["a", "b"]),
        (Wanted(firmware="v2"), ["b", "c"]),
        (Wanted("silent", "SW", "v2"), ["b"]),
        (Wanted("refused"), []),
    ):
        assert [row[0] for row in found(store, wanted)] == devices
    assert {row[1] for row in found(store, Wanted("weak"))} == {"weak"}


def test_charts_are_behind_only_after_a_while(store: Store) -> None:
    receive(store, "slow", 0)
    store.mark("readings", "slow", [str(NOW // 1800 * 1800)])
    take_census(store, NOW, Backlog(1, NOW - 30))
    assert found(store) == []
    take_census(store, NOW, Backlog(1, NOW - 3000))
    assert found(store) == [("slow", "behind", None, "", 0)]
