"""Invariant 5: late data counts, history can be filled in, and expired parts stay unchanged."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Device
from aggregator.core.readings import Reading
from tests.aggregator.invariants.reference import pieces, slot_of
from tests.aggregator.invariants.series import DAY, HALF_HOUR, HOME, Series, batchings, clean, every, messy, utc
from tests.aggregator.invariants.stores import (
    check_levels_sum,
    documents,
    expire_before,
    half_hours,
    is_better_known,
    outcome,
    take_in,
)
from tests.budgets import examples
from tests.copies import fresh_store


@examples(120)
@given(clean(kinds=("i", "ie")), st.data())
def test_late_data_changes_exactly_the_parts_it_touches(series: Series, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(series.readings) - 1), label="late")
    late = series.readings[position]
    others = [reading for reading in series.readings if reading is not late]
    touched = set()
    for channel in ("import_wh", "export_wh"):
        known = [reading.at for reading in series.readings if getattr(reading, channel) is not None]
        if late.at in known:
            place = known.index(late.at)
            ends = known[max(place - 1, 0)], known[min(place + 1, len(known) - 1)]
            touched |= {key for key, _, _ in pieces(*ends, series.zone)}
    with fresh_store() as store:
        take_in(store, others, series.zone)
        before = half_hours(documents(store))
        take_in(store, [late], series.zone)
        after = half_hours(documents(store))
        assert documents(store) == outcome(series)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= touched


@examples(100)
@given(messy(), st.data())
def test_late_data_beyond_retention_makes_no_part_worse(series: Series, data: st.DataObject) -> None:
    readings = series.readings
    retention_cutoff = data.draw(st.sampled_from([reading.at for reading in readings])) + 1
    again = data.draw(st.lists(st.sampled_from(readings), min_size=1, max_size=6), label="imported again")
    forget = data.draw(st.sampled_from(["", "export_wh", "import_wh"]), label="without")
    if forget == "export_wh":
        again = [reading._replace(power_w=1, export_wh=None) for reading in again]
    elif forget == "import_wh":
        again = [reading._replace(power_w=1, import_wh=None) for reading in again]
    with fresh_store() as store:
        take_in(store, readings, series.zone)
        before = documents(store)
        expire_before(store, retention_cutoff)
        limit = store.retention_cutoff(HOME)
        take_in(store, again, series.zone)
        after = documents(store)
    old, new = half_hours(before), half_hours(after)
    protected = {key for key in old if periods.half_hours(key[0], series.zone)[key[1]].start < limit}
    pairs = {key: (old[key], new.get(key, EMPTY)) for key in protected}
    worse = {key: pair for key, pair in pairs.items() if not is_better_known(*pair)}
    assert worse == {}
    check_levels_sum(after)


@examples(100)
@given(clean(kinds=("i", "ie")), st.data())
def test_repeated_readings_damage_no_expired_part(series: Series, data: st.DataObject) -> None:
    """Any expired readings may come again; the known energy of their time stays the same."""
    retention_cutoff = data.draw(st.sampled_from([reading.at for reading in series.readings])) + 1
    again = data.draw(st.lists(st.sampled_from(series.readings), min_size=1, max_size=6), label="imported again")
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        expire_before(store, retention_cutoff)
        take_in(store, again, series.zone)
        assert documents(store) == before


@examples(60)
@given(clean(kinds=("ie",)), st.data(), batchings())
def test_late_history_before_expired_readings_is_filled_in(
    series: Series, data: st.DataObject, deliver: Callable[[Sequence[Reading]], list[list[Reading]]]
) -> None:
    """A device is in use for long; then older history is imported in any order while a worker runs."""
    cut = data.draw(st.integers(1, len(series.readings)), label="history ends before")
    history, live = series.readings[:cut], series.readings[cut:]
    with fresh_store() as store:
        if live:
            take_in(store, live, series.zone)
            expire_before(store, live[-1].at + 1)
        for batch in deliver(history):
            take_in(store, batch, series.zone)
        after = half_hours(documents(store))
    expected = half_hours(outcome(Series(series.zone, history)))
    seam = slot_of(history[-2 if cut > 1 else -1].at, series.zone)[:2]  # there the gap to what has expired may show
    for key in (key for key in expected if key < seam):
        wanted, found = expected[key], after[key]
        assert found.covered_s == wanted.covered_s
        if not wanted.estimated_s:  # of estimates the first one stays, or none where something was measured once
            assert found == wanted


def test_late_import_only_data_leaves_expired_export_unchanged() -> None:
    readings = every(HALF_HOUR, 48 * 4)
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[-48].at)
        take_in(store, [reading._replace(export_wh=None) for reading in readings[:48]], "UTC")
        assert documents(store) == before


def test_late_older_history_leaves_an_expired_outage_unchanged() -> None:
    """A 10 h outage was spread over its time; older history changes nothing."""
    at = utc("2026-03-02T00:00")
    live = [Reading(HOME, at + n * 60, None, 10**6 + n * 50, None) for n in range(60 * 48) if not 600 < n < 1200]
    history = [Reading(HOME, at - 10 * DAY + n * HALF_HOUR, None, n, None) for n in range(48)]
    with fresh_store() as store:
        take_in(store, live, "UTC")
        before = documents(store)
        expire_before(store, live[-100].at)
        take_in(store, history, "UTC")
        after = documents(store)
    assert {key: after[key] for key in before if key[0] == "day"} == {
        key: document for key, document in before.items() if key[0] == "day"
    }


@pytest.mark.parametrize("batch", [1, 7, 20])
def test_late_history_off_boundaries_may_come_in_pieces(batch: int) -> None:
    readings = every(HALF_HOUR, 60, "2026-03-02T00:05")  # each step crosses a boundary, so all of it is estimated
    with fresh_store() as store:
        store.put_device(Device(HOME, "UTC"))
        store.put_retention_cutoff(HOME, utc("2026-06-01T00:00"))
        for first in range(0, len(readings), batch):
            take_in(store, readings[first : first + batch], "UTC")
        assert documents(store) == outcome(Series("UTC", readings))
