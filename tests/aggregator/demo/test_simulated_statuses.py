"""The demo's devices send statuses and faults for the support desk."""

import time
from pathlib import Path

import pytest

from aggregator.core import status
from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S
from aggregator.core.readings import parse_line
from aggregator.demo import feed
from aggregator.demo.feed import faults, fill
from aggregator.demo.simulator import households, is_cut_off
from aggregator.intake import device_status, refusals
from aggregator.store import open_store

NOW = 1_795_000_205
HOMES = households(6, 1)
STEADY, FLAKY = HOMES[0], HOMES[3]


def test_each_device_has_one_repeatable_status_an_hour() -> None:
    for home in HOMES[:3]:
        whole = list(feed.statuses(home, NOW - DAY_S, NOW))
        assert len(whole) == 24
        pieces = [one for start in range(NOW - DAY_S, NOW, 10) for one in feed.statuses(home, start, start + 10)]
        assert pieces == whole


def test_the_flaky_home_has_poor_signal_and_is_silent_offline() -> None:
    said = list(feed.statuses(FLAKY, NOW - 35 * DAY_S, NOW))
    good = list(feed.statuses(STEADY, NOW - 35 * DAY_S, NOW))
    assert max(one.rssi_dbm or 0 for one in said) < min(one.rssi_dbm or 0 for one in good)
    assert max(one.lqi or 0 for one in said) < min(one.lqi or 0 for one in good)
    assert not any(is_cut_off(FLAKY, one.at) for one in said)
    assert len(said) < len(good)
    assert {one.joined for one in said} == {True, False}
    assert {one.joined for one in good} == {True}


def test_every_home_gets_a_new_firmware_now_and_then() -> None:
    for home in HOMES:
        names = [one.firmware for one in feed.statuses(home, NOW - 60 * DAY_S, NOW)]
        assert len(set(names)) > 1
        assert names == sorted(names, key=str)


def test_simulated_statuses_are_valid() -> None:
    for home in HOMES:
        for one in feed.statuses(home, NOW - 3 * DAY_S, NOW):
            message = one._asdict() | {"at": "2026-11-18T10:00:00Z"}
            assert status.parse_status(message, NOW)[2:] == one[2:]


def test_a_new_demo_has_five_weeks_of_statuses(tmp_path: Path) -> None:
    now = int(time.time())  # records expire by the store's own clock
    store = open_store(f"sqlite:///{tmp_path}/demo.db")
    fill(store, [FLAKY], 40, now, lambda _: None)
    known = device_status.known_status(store, FLAKY.device_id)
    assert known
    assert now - known.status.at < DAY_S
    assert len(device_status.signal_hours(store, FLAKY.device_id, 0, now)) > 500
    refused = refusals.load_refusals(store, FLAKY.device_id)
    assert sum(sum(counts.values()) for counts in refused.days.values()) == len(
        list(faults(FLAKY, now - 7 * DAY_S, now))
    )
    assert len({message.reason for message in refused.messages}) > 2
    store.close()


def test_only_the_flaky_home_sends_faults_and_all_are_refused() -> None:
    for home in HOMES:
        for at, line in faults(home, NOW - 30 * DAY_S, NOW):
            with pytest.raises(Refused):
                parse_line(line, at)
            assert refusals.named_device(line) == home.device_id == FLAKY.device_id
    assert 60 < len(list(faults(FLAKY, NOW - 30 * DAY_S, NOW))) < 300
