"""The embedded store derives a live state from few of the newest readings, and from all it would be the same.

A damaged one costs no other device.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import REMEMBERED, Live, continued_live, look_back
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import pages
from aggregator.store.sqlite import sqlite_live
from aggregator.store.sqlite.sqlite_live import _live
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support.fleet import summary, take_census
from aggregator.waterfall.retention import sweep
from tests.budgets import examples
from tests.copies import fresh_store

HOME, START, WRITTEN = "home", 1_795_000_000, 1_795_000_100
MAX_POWER_W = 2000
Drawn = tuple[int | None, int | None, int | None, str | None, int]  # power, registers, meter, wait for the next message
FIELDS = st.tuples(
    st.none() | st.integers(0, 3) | st.just(MAX_POWER_W + 1),
    *[st.none() | st.integers(0, 3)] * 2,
    st.none() | st.sampled_from("ab"),
    st.integers(0, 2),
).filter(lambda drawn: any(value is not None for value in drawn[:3]))


def from_all(store: SqliteStore) -> Live:
    """The live state of everything in `recent` behind the row."""
    row = store._one("SELECT * FROM live WHERE device_id = ?", HOME)
    query = "SELECT device_id, at, power_w, import_wh, export_wh, meter_id, volume_l, written FROM recent WHERE at > ?"
    found = store._all(f"{query} ORDER BY at", look_back(_live(HOME, row)))
    arrived = [(Reading(*values), written) for *values, written in found]
    return continued_live(_live(HOME, row), arrived, Device(HOME, max_power_w=MAX_POWER_W))


@examples(150)
@given(st.lists(FIELDS, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=5))
def test_a_live_state_of_few_readings_is_that_of_all(drawn: Sequence[Drawn], completed: Sequence[int]) -> None:
    with fresh_store() as store:
        store.put_device(Device(HOME, max_power_w=MAX_POWER_W))
        store.put_live([Live(HOME, START, WRITTEN, 1, 2, None, None)])
        written = WRITTEN
        for number, (power, imported, exported, meter, wait) in enumerate(drawn):
            written += wait
            at = START + number
            store.write_readings(
                {(HOME, at - at % 1800): {at: Reading(HOME, at, power, imported, exported, meter)}}, written
            )
        for place in completed:  # a part of an instant that comes in later
            at = START + place
            store.write_readings({(HOME, at - at % 1800): {at: Reading(HOME, at, 3, None, 3, "b")}}, written + 1)
        assert isinstance(store, SqliteStore)
        assert store.live(HOME) == from_all(store)


def test_a_live_state_reads_no_more_than_the_arrivals_that_it_remembers(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "wattfall.db"))
    store.put_live([Live(HOME, START, START, 1, 2, None, None)])
    for at in range(START + 1, START + 100):
        store.write_readings({(HOME, at - at % 1800): {at: Reading(HOME, at, 1, 2, None)}}, at)
    with patch.object(sqlite_live, "_arrived", wraps=sqlite_live._arrived) as decoded:
        assert store.live(HOME) == from_all(store)
    assert decoded.call_count == REMEMBERED + 1


DAMAGES = ["power_w = power_w + 1", "meter_id = CAST(x'ff41' AS TEXT)", "device_id = CAST(x'ff41' AS TEXT)"]


@pytest.fixture(params=DAMAGES, ids=["another power", "no text", "another device"])
def damaged(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    """Three devices with readings, of which the second has a damaged live state."""
    with closing(SqliteStore(str(tmp_path / "wattfall.db"))) as store:
        for name in "abc":
            store.put_device(Device(name, timezone="UTC"))
            ingest(store, [Reading(name, START + 60 * n, 100, 1000 + n, None, "m") for n in range(5)], START, "UTC")
            store.put_live([Live(name, START + 240, START, 100, 1004, None, "m")])
        store._run(f"UPDATE live SET {request.param} WHERE device_id = 'b'")
        yield store


def test_a_damaged_live_state_is_named_and_costs_no_other_device(
    damaged: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    assert [one.device_id for page in pages(partial(damaged.lives, limit=1)) for one in page] == ["a", "c"]
    assert [one.device_id for one in damaged.lives()] == ["a", "c"]
    assert "is left out: " in caplog.text
    damaged.put_record("notes", "old", "x", expires=START + 1)
    sweep(damaged, 35, START + DAY_S)
    assert damaged._one("SELECT count(*) FROM records WHERE key = 'old'") == (0,)
    take_census(damaged, START + 300, None)
    counted = summary(damaged)
    assert counted
    assert counted.devices == 3


def test_a_damaged_live_state_blocks_no_packing(damaged: SqliteStore) -> None:
    assert damaged.pack(START + DAY_S, 10) == 3
    assert [len(damaged.readings(name, 0, START + DAY_S)) for name in "abc"] == [5, 5, 5]
    ingest(damaged, [Reading("b", START - 4000, None, 990, None)], START, "UTC")
