"""Retention: evidence is deleted some time after it came in, and its documents stay."""

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest

from aggregator.core.documents import Document
from aggregator.core.periods import FOR_EVER, HALF_HOUR, HOUR, LEVELS
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.retention import MARGIN_DAYS, sweep
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.contract.conftest import Clock

NOW = 1_790_812_800  # 2026-10-01T00:00:00Z
DAY = 86_400
KEPT_DAYS = 3
STAY_DAYS = KEPT_DAYS + MARGIN_DAYS


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(f"{tmp_path}/wattfall.db", Clock(NOW))
    yield opened
    opened.close()


def history(device_id: str = "d", days: int = 10) -> list[Reading]:
    """Return readings up to NOW, 15 minutes apart; the register rises by 10 Wh each time."""
    return [Reading(device_id, NOW - days * DAY + 900 * n, None, 10 * n, None) for n in range(days * 96 + 1)]


def settle(store: SqliteStore, readings: Sequence[Reading], received: int) -> None:
    set_clock(store, received)
    ingest(store, readings, received, "UTC")
    drain(store)


def set_clock(store: SqliteStore, now: int) -> None:
    assert isinstance(store._clock, Clock)
    store._clock.now = now


def settle_daily(store: SqliteStore, readings: Sequence[Reading]) -> None:
    """Let readings come in at the end of their days."""
    for day, some in groupby(readings, key=lambda one: one.at // DAY):
        settle(store, list(some), (day + 1) * DAY)


def sweep_at(store: SqliteStore, now: int, days: int = KEPT_DAYS) -> int:
    set_clock(store, now)
    return sweep(store, days, now)


def report(store: SqliteStore, at: int) -> None:
    """Let two other devices report the present."""
    settle(store, [Reading(one, at, 300, None, None) for one in ("other-1", "other-2")], at)


def charts(store: SqliteStore, device_id: str = "d") -> list[Document | None]:
    return [store.document(level, device_id, one) for level in LEVELS for one in store.periods(level, device_id)]


def oldest(store: SqliteStore, device_id: str = "d") -> int:
    return store.readings(device_id, 0, FOR_EVER)[0].at


def test_a_sweep_deletes_readings_and_keeps_documents(store: SqliteStore) -> None:
    settle_daily(store, history())
    before = charts(store)
    assert sweep_at(store, NOW) == (10 - STAY_DAYS - 1) * 48
    assert oldest(store) == NOW - (STAY_DAYS + 1) * DAY  # which came in a day later
    assert store.backlog() == (0, None)
    assert charts(store) == before
    device = store.device("d")
    assert device is not None
    assert list(differences(store, device)) == []


def test_evidence_stays_for_the_retention_after_it_came_in(store: SqliteStore) -> None:
    """Whatever time it tells of: ten days come in at once."""
    settle(store, history(), NOW)
    report(store, NOW + STAY_DAYS * DAY)
    assert sweep_at(store, NOW + STAY_DAYS * DAY) == 0
    assert oldest(store) == NOW - 10 * DAY
    report(store, NOW + STAY_DAYS * DAY + 1)
    assert sweep_at(store, NOW + STAY_DAYS * DAY + 1) > 470
    assert oldest(store) >= NOW - HOUR  # the last anchored run


def test_a_second_sweep_finds_nothing_to_do(store: SqliteStore) -> None:
    settle_daily(store, history())
    assert sweep_at(store, NOW) > 0
    assert sweep_at(store, NOW) == 0


def test_readings_not_yet_propagated_are_not_swept(store: SqliteStore) -> None:
    ingest(store, history(), NOW - 30 * DAY, "UTC")
    assert sweep_at(store, NOW) == 0
    drain(store)
    assert sweep_at(store, NOW) > 0


def test_a_clock_a_year_ahead_deletes_nothing(store: SqliteStore) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW)
    assert sweep_at(store, NOW + 365 * DAY, 10) == 0
    settle(store, [Reading("a", NOW + 365 * DAY, 300, None, None)], NOW + 365 * DAY)  # of a wrong clock, too
    settle(store, [Reading(one, NOW + 60, 300, None, None) for one in "bc"], NOW + 365 * DAY)
    assert sweep_at(store, NOW + 365 * DAY, 10) == 0


def test_silent_devices_do_not_hold_the_retention_back(store: SqliteStore) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW - STAY_DAYS * DAY - 1)
    report(store, NOW + 5 * DAY)
    assert sweep_at(store, NOW + 5 * DAY) > 3 * 7 * 48


def test_every_device_is_swept_however_many_there_are(store: SqliteStore) -> None:
    ids = [f"d{number:04d}" for number in range(1003)]  # more than a page
    old = [Reading(one, NOW - 9 * DAY + HALF_HOUR * n, None, n, None) for one in ids for n in range(6)]
    ingest(store, old, NOW - 8 * DAY, "UTC")
    report(store, NOW)
    sweep_at(store, NOW)
    assert {len(store.readings(one, 0, FOR_EVER)) for one in ids} == {4}


def test_a_damaged_block_does_not_stop_sweeping_other_devices(store: SqliteStore, tmp_path: Path) -> None:
    for device_id in ("a", "b", "c"):
        settle(store, history(device_id), NOW - STAY_DAYS * DAY - 1)
    store.pack(NOW, 10_000)
    with sqlite3.connect(tmp_path / "wattfall.db") as database:
        database.execute("UPDATE readings SET body = x'00ff' WHERE device_id = 'b'")
    database.close()
    sweep_at(store, NOW)
    assert oldest(store, "a") == oldest(store, "c") > NOW - STAY_DAYS * DAY


def test_a_reading_after_the_cutoff_is_judged_the_same(store: SqliteStore) -> None:
    """A glitch right after the cutoff: the retained run before it identifies it."""
    cut = NOW - STAY_DAYS * DAY - 1
    settle(store, [one for one in history() if one.at <= cut], cut)
    report(store, NOW)
    sweep_at(store, NOW)
    assert len(store.readings("d", 0, FOR_EVER)) < 10
    before = charts(store)
    settle(store, [Reading("d", cut + 60, None, 0, None)], NOW)
    assert charts(store) == before


def test_older_history_fills_missing_time_and_changes_no_expired_day(store: SqliteStore) -> None:
    settle_daily(store, history())
    sweep_at(store, NOW)
    before = charts(store)
    early = [Reading("d", NOW - 20 * DAY + HALF_HOUR * n, None, n, None) for n in range(48)]
    settle(store, early, NOW)
    assert store.periods("day", "d")[0] == "2026-09-11"
    assert [document for document in charts(store) if document and document.level == "day"][1:] == [
        document for document in before if document and document.level == "day"
    ]
