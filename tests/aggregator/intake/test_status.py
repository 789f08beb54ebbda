"""Device statuses are stored beside readings and do not affect them."""

import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import status
from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.status import Counters, Status, parse_status
from aggregator.intake import device_status
from aggregator.intake.device_status import KEPT_DAYS, STEP_S, known_status, put_statuses, signal_hours
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.store import Store, open_store

NOW = int(time.time()) // 3600 * 3600 + 1800  # records expire by the store's own clock
DAY = 86_400
SAID = {"rssi_dbm": -71, "lqi": 96, "firmware": "v2.0.2", "hardware": "GLOW-IHD-02", "joined": True}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/status.db")
    yield opened
    opened.close()


def message(**fields: object) -> dict[str, object]:
    return {"device_id": "cad-1", "at": iso_utc(NOW), **fields}


def said(at: int = NOW, rssi: int | None = None, firmware: str | None = None, joined: bool | None = None) -> Status:
    return Status("cad-1", at, rssi, None, firmware, None, joined)


def take_in(store: Store, *messages: object) -> Outcome:
    outcome = Outcome()
    lines = [one if isinstance(one, bytes) else orjson.dumps(one) for one in messages]
    ingest_lines(store, lines, 1, NOW, "Europe/Berlin", outcome, lambda *_: None)
    return outcome


def test_a_status_line_is_neither_a_reading_nor_refused(store: Store) -> None:
    outcome = take_in(store, message(power_w=5), message(**SAID), message())

    assert outcome.as_json() == {
        "accepted": 1,
        "unchanged": 0,
        "statuses": 1,
        "rejected": 1,
        "reasons": {"no_values": 1},
    }
    found = known_status(store, "cad-1")
    assert found
    assert found.status == Status("cad-1", NOW, -71, 96, "v2.0.2", "GLOW-IHD-02", joined=True)
    assert (found.received_at, found.firmwares) == (NOW, {"v2.0.2": (NOW, NOW)})


def test_an_outcome_without_statuses_is_unchanged() -> None:
    assert Outcome().as_json() == {"accepted": 0, "unchanged": 0, "rejected": 0, "reasons": {}}


def test_a_status_before_any_reading_registers_the_device(store: Store) -> None:
    take_in(store, message(lqi=0))
    device = store.device("cad-1")
    assert device
    assert device.timezone == "Europe/Berlin"
    assert store.live("cad-1") is None


def test_meter_counters_are_stored_with_their_time(store: Store) -> None:
    take_in(store, message(**SAID, meter_day_wh=1204, meter_month_wh=0))
    put_statuses(store, [Status("cad-1", NOW + 10, *SAID.values(), Counters(NOW + 10, 1210, None, 0))], NOW + 10)  # type: ignore[call-arg, arg-type]
    found = known_status(store, "cad-1")
    assert found
    assert (found.received_at, found.status.counters) == (NOW, Counters(NOW, 1204, None, 0))
    put_statuses(
        store, [Status("cad-1", NOW + STEP_S, None, None, None, None, None, Counters(NOW + STEP_S, 1300, None, 0))], 0
    )
    found = known_status(store, "cad-1")
    assert found
    assert found.status == Status("cad-1", NOW + STEP_S, *SAID.values(), Counters(NOW + STEP_S, 1300, None, 0))  # type: ignore[call-arg, arg-type]


def test_counters_alone_give_no_hourly_signal(store: Store) -> None:
    take_in(store, message(meter_day_wh=1), message(rssi_dbm=-71))
    assert [one.rssi_dbm for one in signal_hours(store, "cad-1", NOW - 3600, NOW)] == [-71]


def test_absent_figures_leave_a_valid_status(store: Store) -> None:
    assert take_in(store, message(power_w=None, import_wh=0xFFFF_FFFF_FFFF, rssi_dbm=-60)).statuses == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rssi_dbm", "-71"),
        ("rssi_dbm", -129),
        ("rssi_dbm", 21),
        ("rssi_dbm", True),
        ("rssi_dbm", -71.5),
        ("lqi", 256),
        ("lqi", -1),
        ("firmware", ""),
        ("firmware", "x" * 65),
        ("firmware", "v2\n"),
        ("hardware", ["GLOW"]),
        ("joined", "joined"),
        ("joined", 1),
    ],
)
def test_impossible_status_values_are_refused_by_name(store: Store, key: str, value: object) -> None:
    with pytest.raises(Refused, match=f"bad_status: {key} is"):
        parse_status(message(**{key: value}), NOW)
    assert take_in(store, message(**{key: value})).reasons == {"bad_status": 1}
    assert known_status(store, "cad-1") is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_anything_is_a_status_or_refused(value: object) -> None:
    outcomes = set()
    for key in (*status.KEYS, "at", "device_id"):
        try:
            parse_status(message() | {key: value}, NOW)
        except Refused as refused:
            outcomes.add(refused.reason)
    assert outcomes <= {"bad_status", "bad_time", "bad_device_id", "no_offset", "before_2000", "in_the_future"}


def test_the_latest_value_of_each_key_counts_in_any_order(store: Store) -> None:
    put_statuses(store, [said(NOW, rssi=-80), said(NOW - 600, rssi=-60, firmware="v1")], NOW)
    put_statuses(store, [said(NOW - 1200, firmware="v0", joined=False)], NOW)

    found = known_status(store, "cad-1")
    assert found
    assert (found.status.at, found.status.rssi_dbm, found.status.firmware) == (NOW, -80, "v1")
    assert list(found.firmwares) == ["v1", "v0"]


def test_a_repeated_status_within_a_minute_is_not_written(store: Store) -> None:
    put_statuses(store, [said(NOW, rssi=-70)], NOW)
    before = known_status(store, "cad-1")
    put_statuses(store, [said(NOW + STEP_S - 1, rssi=-70)], NOW + STEP_S)
    assert known_status(store, "cad-1") == before
    put_statuses(store, [said(NOW + STEP_S, rssi=-70)], NOW + STEP_S)
    assert known_status(store, "cad-1") != before


def test_a_firmware_records_first_and_last_seen(store: Store) -> None:
    for day, name in enumerate(["v1", "v1", "v2", "v2", "v2"]):
        put_statuses(store, [said(NOW - (10 - day) * DAY, firmware=name)], NOW)

    found = known_status(store, "cad-1")
    assert found
    assert found.firmwares == {"v2": (NOW - 8 * DAY, NOW - 6 * DAY), "v1": (NOW - 10 * DAY, NOW - 9 * DAY)}


def test_one_status_an_hour_is_kept_in_any_order(store: Store) -> None:
    minutes = [(-160, -90), (-100, -70), (-95, -60), (-20, -50), (-1, -40)]
    for after, rssi in reversed(minutes):
        put_statuses(store, [said(NOW + after * 60, rssi=rssi)], NOW)

    assert [(one.at, one.rssi_dbm) for one in signal_hours(store, "cad-1", NOW - DAY, NOW)] == [
        (NOW - 160 * 60, -90),
        (NOW - 100 * 60, -70),
        (NOW - 20 * 60, -50),
    ]
    assert signal_hours(store, "cad-1", NOW - 120 * 60, NOW - 60 * 60) == [(NOW - 100 * 60, -70, None, None)]


def test_hourly_statuses_expire_after_35_days(store: Store) -> None:
    put_statuses(store, [said(NOW - KEPT_DAYS * DAY, rssi=-90), said(NOW - (KEPT_DAYS - 1) * DAY, rssi=-80)], NOW)
    assert [one.rssi_dbm for one in signal_hours(store, "cad-1", 0, NOW)] == [-80]


def test_every_device_is_in_one_shard(store: Store) -> None:
    put_statuses(store, [said()._replace(device_id=f"d{number}") for number in range(300)], NOW)
    found = [
        one.status.device_id
        for shard in range(device_status.SHARDS)
        for one in device_status.shard_statuses(store, shard)
    ]
    assert sorted(found) == sorted(f"d{number}" for number in range(300))
