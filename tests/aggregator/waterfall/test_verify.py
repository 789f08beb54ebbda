"""Verify and rebuild: every kind of difference is found, named and repaired."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core import energy
from aggregator.core.documents import Device, Document, Part
from aggregator.core.errors import Damaged
from aggregator.core.live import Live
from aggregator.core.periods import HALF_HOUR, LEVELS
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.collections import ESTIMATED_GAPS
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.stored_half_hours import is_old
from aggregator.waterfall.verify import differences, rebuild, rezone
from aggregator.waterfall.worker import drain
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, Clock, in_memory
from tests.copies import damage_record, quick_disk

START = 1_790_812_800  # 2026-10-01T00:00:00Z
DAY = 86_400
WRONG = Part(999, None, covered_s=1800)
PARTS_OF = energy.parts_of


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """Return a store with a device whose register rises by 10 Wh every half hour for three days."""
    opened = SqliteStore(f"{tmp_path}/wattfall.db", clock)
    for n in range(145):  # each as it comes in
        clock.now = START + HALF_HOUR * n
        ingest(opened, [Reading("d", START + HALF_HOUR * n, None, 100_000 + 10 * n, None)], int(clock.now), "UTC")
        if n % 24 == 0:
            drain(opened)
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


@pytest.fixture
def swept(store: Store, clock: Clock) -> Store:
    """Return the store after the first two days have expired."""
    clock.now = START + 8 * DAY
    store.put_live([Live("other", int(clock.now), int(clock.now), 1, None, None, None)])
    store.put_live([Live("another", int(clock.now), int(clock.now), 1, None, None, None)])
    assert sweep(store, 4, int(clock.now)) > 0
    return store


def test_expired_days_are_neither_verified_nor_rebuilt(swept: Store) -> None:
    before = documents(swept)
    cutoff = swept.retention_cutoff("d")
    assert [is_old(swept.document("day", "d", f"2026-10-0{n}"), cutoff) for n in (1, 2, 3)] == [True] * 3
    assert faults(swept) == []
    assert rebuild(swept, device(swept), None, None) == 1  # of four days
    drain(swept)
    assert documents(swept) == before
    assert faults(swept) == []


def test_a_rezoned_device_keeps_its_expired_days(swept: Store) -> None:
    before = swept.document("day", "d", "2026-10-01")
    rezone(swept, device(swept), "Asia/Kathmandu")
    drain(swept)
    assert swept.document("day", "d", "2026-10-01") == before
    assert faults(swept) == []


def documents(store: Store) -> list[Document | None]:
    return [store.document(level, "d", one) for level in LEVELS for one in store.periods(level, "d")]


# Faults of the rules


def test_a_day_that_does_not_follow_its_register_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that counts each half hour twice: what is stored fits what is computed, and not the register."""

    def doubled(*arguments: Any) -> list[Part]:  # noqa: ANN401 - those of `parts_of`
        return [part._replace(import_wh=part.import_wh and 2 * part.import_wh) for part in PARTS_OF(*arguments)]

    monkeypatch.setattr(energy, "parts_of", doubled)
    rebuild(store, device(store), None, None)
    drain(store)
    assert faults(store) == [f"d day 2026-10-0{n} import: stored 960, but the register rose by 480" for n in (1, 2, 3)]


QUARTER = 900
SPARSE = st.lists(st.integers(0, 24), min_size=3, max_size=5, unique=True)  # quarters of an hour, in order of arrival


@examples(80)
@example([5, 6, 17], 450, 100, 2)
@example([20, 17, 0], 300, 7, 1)
@given(SPARSE, st.sampled_from([0, 300, 450, 900]), st.sampled_from([7, 100, 333]), st.integers(1, 2))
def test_sparse_readings_in_any_order_add_up(quarters: list[int], offset: int, rise: int, together: int) -> None:
    """A step of 15 minutes may be a gap at first, and none beside longer steps."""
    start = START + 20 * 3600 + offset
    now = start + 30 * QUARTER
    with (
        TemporaryDirectory(dir=quick_disk()) as folder,
        closing(SqliteStore(f"{folder}/sparse.db", lambda: now)) as store,
    ):
        for first in range(0, len(quarters), together):
            some = quarters[first : first + together]
            sent = [Reading("d", start + QUARTER * one, None, 100_000 + rise * one, None) for one in some]
            ingest(store, sent, now, "UTC")
            drain(store)
        assert faults(store) == []
        days = [store.document("day", "d", day) for day in store.periods("day", "d")]
        stored = sum(document.total.import_wh or 0 for document in days if document)
        assert stored == rise * (max(quarters) - min(quarters))


def test_a_first_piece_that_grows_backwards_changes_its_own_end(tmp_path: Path, clock: Clock) -> None:
    """An hour's readings before an outage of 11 h and a lower register may be of a later time; a day of them is not."""
    old = [(START + 60 * n, 976_000 + 20 * n) for n in range(1200)]
    new = [(START + 60 * n, 990_000 + 20 * (n - 1860)) for n in range(1860, 2400)]
    clock.now = START + 2 * DAY
    with closing(SqliteStore(f"{tmp_path}/back.db", clock)) as store:
        for first in range(0, len([*old, *new]), 60):
            part = [*old, *new][::-1][first : first + 60]
            ingest(store, [Reading("d", at, None, wh, None) for at, wh in part], int(clock.now), "UTC")
            drain(store)
        assert faults(store) == []
        days = [store.document("day", "d", day) for day in ("2026-10-01", "2026-10-02")]
        assert [day and day.total.import_wh for day in days] == [20 * 1199, 20 * 539]


def test_an_expired_gap_that_does_not_add_up_is_found(tmp_path: Path, clock: Clock) -> None:
    store = SqliteStore(f"{tmp_path}/gap.db", clock)
    clock.now = START + 2 * DAY
    readings = [Reading("d", START + 60 * n, None, 100_000 + n, None) for n in range(1200) if not 100 < n < 700]
    ingest(store, readings, int(clock.now), "UTC")
    drain(store)
    store.put_live([Live(f"other-{n}", START + 20 * DAY, START + 20 * DAY, 1, None, None, None) for n in range(2)])
    clock.now = START + 20 * DAY
    assert sweep(store, 4, int(clock.now)) > 0
    assert faults(store) == []
    half = store.document("day", "d", "2026-10-01")
    assert half is not None
    changed = half.part("s10")._replace(import_wh=31, estimated_import_wh=31)
    hour = half.part("h05")._replace(import_wh=61, estimated_import_wh=61)
    store.merge_parts("day", "d", "2026-10-01", "UTC", {"s10": changed, "h05": hour})
    drain(store)
    assert faults(store) == [
        "d gap 2026-10-01T01:40:00Z to 2026-10-01T11:40:00Z import: stored 631, but the register tells 630"
    ]
    store.close()


@pytest.mark.parametrize("level", LEVELS)
def test_a_flipped_bit_is_named_and_never_shown(store: Store, tmp_path: Path, level: str) -> None:
    chance = random.Random(level)
    period = store.periods(level, "d")[0]
    before = store.document(level, "d", period)
    table = LEVELS[level].table
    with closing(sqlite3.connect(tmp_path / "wattfall.db", isolation_level=None)) as database:
        place = (f"WHERE device_id = 'd' AND period = '{period}'",)
        (body,) = database.execute(f"SELECT body FROM {table} {place[0]}").fetchone()
        for _ in range(100):
            wrong = bytearray(body)
            wrong[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            database.execute(f"UPDATE {table} SET body = ? {place[0]}", (bytes(wrong),))
            with pytest.raises(Damaged, match=f"{level}, d, {period}"):
                store.document(level, "d", period)
        assert any(f"{level}, d, {period}" in line for line in faults(store))
        database.execute(f"UPDATE {table} SET body = ? {place[0]}", (body,))
    assert store.document(level, "d", period) == before


def test_a_damaged_gap_is_named(store: Store) -> None:
    lost = [Reading("d", START + 200 * HALF_HOUR + 60 * n, None, 200_000 + n, None) for n in range(600) if n % 400 < 90]
    ingest(store, lost, START + 300 * HALF_HOUR, "UTC")
    drain(store)
    assert faults(store) == []
    collection = ESTIMATED_GAPS.of("d")
    record, *_ = store.records(collection, "", "~", 2)
    damage_record(store, collection, record.key)
    assert any("a gap of d cannot be read" in line for line in faults(store))
    store.put_record(collection, record.key, record.body, expires=0)
    assert faults(store) == []


def test_a_gap_that_shares_its_half_hour_with_one_beyond_the_recomputed_hours_adds_up(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of recorded gaps is followed only so far; the end of the recomputed hours may lie in one of them."""
    monkeypatch.setattr("aggregator.waterfall.levels.WIDENINGS", 0)
    clock.now = START + 8 * DAY
    with closing(SqliteStore(f"{tmp_path}/chain.db", clock)) as store:
        for minutes in ([*range(125), 156, *range(191, 300)], range(157, 191), range(125, 140), range(140, 156)):
            readings = [Reading("d", START + 60 * at, None, 100_000 + 30 * at, None) for at in minutes]
            ingest(store, readings, int(clock.now), "UTC")
            drain(store)
            assert list(differences(store, device(store))) == []


def test_a_live_register_that_was_changed_is_named(clock: Clock) -> None:
    store = DynamoStore(in_memory(), MEMORY, KEEP, 0, clock)
    ingest(store, [Reading("d", START, None, 101_440, None)], START, "UTC")
    assert faults(store) == []
    store.put_live([Live("d", START, START, None, 102_440, None, None)])
    assert faults(store) == ["d live import_wh: stored 102440, but the reading says 101440"]
    store.close()


@pytest.mark.parametrize("table", ["recent", "intervals"])
def test_evidence_of_another_type_is_named(table: str, store: Store, tmp_path: Path) -> None:
    ingest(store, [Reading("d", START + at, None, 1000 + at, None) for at in (10, 20)], START + 30, "UTC")
    store.write_intervals([Interval("d", START, START + 1800, 100, None)], START + 30)
    drain(store)
    assert faults(store) == []
    with closing(sqlite3.connect(tmp_path / "wattfall.db")) as database:
        assert database.execute(f"UPDATE {table} SET import_wh = 'much'").rowcount > 0
        database.commit()
    assert [line for line in faults(store) if "a row differs from its check value" in line] != []


def test_a_live_state_of_another_type_is_named(store: Store, tmp_path: Path) -> None:
    store.put_live([Live("d", START, START, 5, None, None, None)])
    with closing(sqlite3.connect(tmp_path / "wattfall.db")) as database:
        assert database.execute("UPDATE live SET power_w = 'much'").rowcount == 1
        database.commit()
    assert [line for line in faults(store) if "a row differs from its check value" in line] != []
