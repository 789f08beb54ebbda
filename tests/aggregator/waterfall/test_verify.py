"""Verify and rebuild: every kind of difference is found, named and repaired."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.core.documents import Device, Part
from aggregator.core.periods import HALF_HOUR, day_start
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.verify import differences, rebuild, rezone
from aggregator.waterfall.worker import drain

START = 1_790_812_800  # 2026-10-01T00:00:00Z
DAY = 86_400
WRONG = Part(999, None, covered_s=1800)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return a store with a device whose register rises by 10 Wh every half hour for three days."""
    opened = open_store(f"sqlite:///{tmp_path}/wattfall.db")
    ingest(opened, [Reading("d", START + HALF_HOUR * n, None, 10 * n, None) for n in range(145)], START, "UTC")
    drain(opened)
    yield opened
    opened.close()


def device(store: Store) -> Device:
    known = store.device("d")
    assert known is not None
    return known


def faults(store: Store) -> list[str]:
    return list(differences(store, device(store)))


def falsify(store: Store, level: str, period: str, name: str, part: Part | None) -> None:
    """Change a document without the waterfall."""
    store.merge_parts(level, "d", period, "UTC", {name: part})
    for table in ("readings", "day", "month"):
        store.settle(store.changes(table, 1000))


def test_a_settled_store_has_no_difference(store: Store) -> None:
    assert faults(store) == []


def test_an_unsettled_store_is_reported(store: Store) -> None:
    store.mark("month", "d", ["2026-10"])
    assert faults(store) == ["d: the waterfall has not settled; let a worker finish first"]


@pytest.mark.parametrize(
    ("level", "period", "name"),
    [
        ("day", "2026-10-02", "s07"),
        ("day", "2026-10-02", "h07"),
        ("day", "2026-10-09", "s00"),  # a day without readings
        ("month", "2026-10", "d02"),
        ("month", "2026-10", "d20"),
        ("month", "2025-10", "d01"),
        ("year", "2026", "m10"),
        ("year", "2026", "m02"),
        ("year", "2020", "m02"),
    ],
)
@pytest.mark.parametrize("part", [WRONG, None])
def test_verify_names_wrong_and_missing_parts(
    store: Store, level: str, period: str, name: str, part: Part | None
) -> None:
    document = store.document(level, "d", period)
    is_there = bool(document and name in document.parts)
    falsify(store, level, period, name, part)
    named = [line for line in faults(store) if line.startswith(f"d {level} {period} {name}: stored ")]
    assert len(named) == (1 if part or is_there else 0)
    for line in named:
        assert ("import 999 Wh" if part else "stored no data") in line
        assert ("should be no data" not in line) == is_there


def test_a_rebuild_repairs_a_wrong_day_and_its_parents(store: Store) -> None:
    for day in ("2026-10-01", "2026-10-02"):
        falsify(store, "day", day, "s07", WRONG)
    falsify(store, "month", "2026-10", "d02", WRONG)
    assert rebuild(store, device(store), None, None) == 4  # the last reading begins a fourth day
    store.mark("day", "d", ["2026-10-02"])
    drain(store)
    assert faults(store) == []


def test_a_rebuild_clears_the_quarantine(store: Store) -> None:
    store.quarantine("readings", "d", [str(START)], "damaged, and restored since")
    rebuild(store, device(store), None, None)
    drain(store)
    assert faults(store) == []


@pytest.mark.parametrize(("level", "period", "name"), [("month", "2026-10", "d02"), ("year", "2026", "m10")])
def test_a_rebuild_repairs_wrong_totals_above_correct_days(store: Store, level: str, period: str, name: str) -> None:
    falsify(store, level, period, name, WRONG)
    rebuild(store, device(store), None, None)
    drain(store)
    assert faults(store) == []


def test_a_rebuild_touches_only_the_days_asked_for(store: Store) -> None:
    for day in ("2026-10-01", "2026-10-02", "2026-10-03"):
        falsify(store, "day", day, "s07", WRONG)
    assert rebuild(store, device(store), "2026-10-02", "2026-10-02") == 1
    drain(store)
    assert {line.split(" ")[2] for line in faults(store) if " day " in line} == {"2026-10-01", "2026-10-03"}


def test_a_rebuild_of_nothing_changes_nothing(store: Store) -> None:
    before = faults(store)
    assert rebuild(store, device(store), None, None) > 0
    drain(store)
    assert (faults(store), store.backlog()) == (before, (0, None))
    assert rebuild(store, Device("nobody"), None, None) == 0


def test_expired_days_are_neither_verified_nor_rebuilt(store: Store) -> None:
    before = store.document("day", "d", "2026-10-01")
    sweep(store, 2, START + 4 * DAY)
    assert store.retention_cutoff("d") > START + DAY
    assert faults(store) == []
    assert rebuild(store, device(store), None, None) == 2  # of four days
    drain(store)
    assert store.document("day", "d", "2026-10-01") == before
    assert faults(store) == []


def test_a_rezoned_device_keeps_its_expired_days(store: Store) -> None:
    before = store.document("day", "d", "2026-10-01")
    sweep(store, 2, START + 4 * DAY)
    rezone(store, device(store), "Asia/Kathmandu")
    drain(store)
    moved = store.document("day", "d", "2026-10-03")
    assert store.document("day", "d", "2026-10-01") == before
    assert moved is not None
    assert moved.timezone == "Asia/Kathmandu"
    assert day_start("2026-10-03", "Asia/Kathmandu") == START + 2 * DAY - 5 * 3600 - 2700
    assert faults(store) == []
