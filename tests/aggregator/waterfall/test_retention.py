"""Retention: expired readings are deleted, and their documents stay."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aggregator.core.documents import Document
from aggregator.core.periods import FOR_EVER, HALF_HOUR, LEVELS
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain

NOW = 1_790_812_800  # 2026-10-01T00:00:00Z
DAY = 86_400
KEPT_DAYS = 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/wattfall.db")
    yield opened
    opened.close()


def history(device_id: str = "d", days: int = 10) -> list[Reading]:
    """Return readings up to NOW, 15 minutes apart; the register rises by 10 Wh each time."""
    return [Reading(device_id, NOW - days * DAY + 900 * n, None, 10 * n, None) for n in range(days * 96 + 1)]


def settle(store: Store, readings: Sequence[Reading], received: int) -> None:
    ingest(store, readings, received, "UTC")
    drain(store)


def report(store: Store, at: int) -> None:
    """Let two other devices report the present."""
    settle(store, [Reading(one, at, 300, None, None) for one in ("other-1", "other-2")], at)


def charts(store: Store, device_id: str = "d") -> list[Document | None]:
    return [store.document(level, device_id, one) for level in LEVELS for one in store.periods(level, device_id)]


def oldest(store: Store, device_id: str = "d") -> int:
    return store.readings(device_id, 0, FOR_EVER)[0].at


def test_a_sweep_deletes_readings_and_keeps_documents(store: Store) -> None:
    settle(store, history(), NOW - 2 * DAY)
    before = charts(store)
    removed = sweep(store, KEPT_DAYS, NOW)
    assert (10 - KEPT_DAYS) * 48 - 2 <= removed <= (10 - KEPT_DAYS) * 48
    assert NOW - KEPT_DAYS * DAY - 2 * HALF_HOUR <= oldest(store) <= NOW - KEPT_DAYS * DAY
    assert store.backlog() == (0, None)
    assert charts(store) == before
    device = store.device("d")
    assert device is not None
    assert list(differences(store, device)) == []


def test_a_second_sweep_finds_nothing_to_do(store: Store) -> None:
    settle(store, history(), NOW - 2 * DAY)
    sweep(store, KEPT_DAYS, NOW)
    assert sweep(store, KEPT_DAYS, NOW) == 0


def test_readings_received_in_the_last_day_are_not_swept(store: Store) -> None:
    settle(store, history(), NOW - DAY)
    assert sweep(store, KEPT_DAYS, NOW) == 0
    assert oldest(store) == NOW - 10 * DAY
    report(store, NOW + 1)
    assert sweep(store, KEPT_DAYS, NOW + 1) > 0


def test_readings_not_yet_propagated_are_not_swept(store: Store) -> None:
    ingest(store, history(), NOW - 30 * DAY, "UTC")
    assert sweep(store, KEPT_DAYS, NOW) == 0
    drain(store)
    assert sweep(store, KEPT_DAYS, NOW) > 0


def test_a_clock_a_year_ahead_deletes_nothing(store: Store) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW)
    assert sweep(store, 10, NOW + 365 * DAY) == 0
    settle(store, [Reading("a", NOW + 365 * DAY, 300, None, None)], NOW + 365 * DAY)  # of a wrong clock, too
    settle(store, [Reading(one, NOW + 60, 300, None, None) for one in "bc"], NOW + 365 * DAY)
    assert sweep(store, 10, NOW + 365 * DAY) == 0


def test_silent_devices_do_not_hold_the_retention_back(store: Store) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW - 2 * DAY)
    report(store, NOW + 5 * DAY)
    assert sweep(store, KEPT_DAYS, NOW + 5 * DAY) > 3 * 7 * 48


def test_every_device_is_swept_however_many_there_are(store: Store) -> None:
    for number in range(1003):
        old = [Reading(f"d{number:04d}", NOW - 9 * DAY + HALF_HOUR * n, None, n, None) for n in range(6)]
        ingest(store, old, NOW - 8 * DAY, "UTC")
    report(store, NOW)
    sweep(store, KEPT_DAYS, NOW)
    assert {len(store.readings(f"d{number:04d}", 0, FOR_EVER)) for number in range(1003)} == {3}


def test_a_damaged_block_does_not_stop_sweeping_other_devices(store: Store, tmp_path: Path) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW - 2 * DAY)
    store.pack(NOW, 10_000)
    with sqlite3.connect(tmp_path / "wattfall.db") as database:
        database.execute("UPDATE readings SET body = x'00ff' WHERE device_id = 'b'")
    database.close()
    sweep(store, KEPT_DAYS, NOW)
    assert oldest(store, "a") == oldest(store, "c") > NOW - 4 * DAY


def test_a_reading_after_the_cutoff_is_judged_the_same(store: Store) -> None:
    """A glitch right after the cutoff: the retained run before it identifies it."""
    cut = NOW - KEPT_DAYS * DAY
    settle(store, [one for one in history() if one.at <= cut], cut)
    report(store, NOW)
    sweep(store, KEPT_DAYS, NOW)
    assert len(store.readings("d", 0, FOR_EVER)) < 10
    before = charts(store)
    settle(store, [Reading("d", cut + 60, None, 0, None)], NOW)
    assert charts(store) == before


def test_late_readings_before_the_cutoff_fill_missing_time(store: Store) -> None:
    settle(store, history(), NOW - 2 * DAY)
    sweep(store, KEPT_DAYS, NOW)
    before = charts(store)
    early = [Reading("d", NOW - 20 * DAY + HALF_HOUR * n, None, n, None) for n in range(48)]
    settle(store, early, NOW)
    assert store.periods("day", "d")[0] == "2026-09-11"
    assert [document for document in charts(store) if document and document.level == "day"][1:] == [
        document for document in before if document and document.level == "day"
    ]
