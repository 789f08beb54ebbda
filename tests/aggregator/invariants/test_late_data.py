"""Invariant 5: late data counts, and touches what is near it; see `test_expired` for history beyond the retention."""

from hypothesis import given
from hypothesis import strategies as st

from tests.aggregator.invariants.reference import pieces
from tests.aggregator.invariants.series import Series, clean
from tests.aggregator.invariants.stores import (
    documents,
    half_hours,
    outcome,
    take_in,
)
from tests.budgets import examples
from tests.copies import fresh_store


@examples(48)
@given(clean(kinds=("i", "ie")), st.data())
def test_late_data_changes_exactly_the_parts_it_touches(series: Series, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(series.readings) - 1), label="late")
    late = series.readings[position]
    others = [reading for reading in series.readings if reading is not late]
    touched = set()
    for channel in ("import_wh", "export_wh"):
        known = [reading.at for reading in series.readings if getattr(reading, channel) is not None]
        if late.at in known:
            place = known.index(late.at)  # it decides which of the four steps on each side of its own are gaps
            ends = known[max(place - 5, 0)], known[min(place + 5, len(known) - 1)]
            touched |= {key for key, _, _ in pieces(*ends, series.zone)}
    with fresh_store() as store:
        take_in(store, others, series.zone)
        before = half_hours(documents(store))
        take_in(store, [late], series.zone)
        after = half_hours(documents(store))
        assert documents(store) == outcome(series)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert changed <= touched
