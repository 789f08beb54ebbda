"""The embedded store derives a live state from few of the newest readings, and from all it would be the same."""

from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import REMEMBERED, Live, continued_live, look_back
from aggregator.core.readings import Reading
from aggregator.store.sqlite import sqlite_live
from aggregator.store.sqlite.sqlite_live import _live
from aggregator.store.sqlite.sqlite_store import SqliteStore
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
