"""Invariant 2: repeated evidence and change records change nothing."""

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import (
    HALF_HOUR,
    HOME,
    NOW,
    Evidence,
    Series,
    batchings,
    evidence,
    messy,
)
from tests.aggregator.invariants.stores import documents, take_in, take_in_evidence, waiting
from tests.budgets import examples
from tests.copies import fresh_store


@examples(24)
@given(messy(), batchings(), st.data())
def test_idempotence_of_readings_and_change_records(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]], data: st.DataObject
) -> None:
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        for batch in deliver(series.readings):
            written = ingest(store, batch, NOW + 60, series.zone)
            assert (written.accepted, written.unchanged) == (0, len(batch))
            assert waiting(store) == 0
        keys = [("readings", str(reading.at - reading.at % HALF_HOUR)) for reading in series.readings]
        keys += [*before, ("readings", "0"), ("day", "2001-02-03"), ("month", "2001-02")]
        for table, key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=12), label="replayed"):
            store.mark(table, HOME, [key])
        replayed = waiting(store)
        assert drain(store) == replayed, "a replay must die out where nothing changes"
        assert documents(store) == before
        assert waiting(store) == 0


@examples(24)
@given(evidence(), batchings(), st.data())
def test_idempotence_of_any_evidence(
    case: tuple[str, list[Evidence]], deliver: Callable[[Sequence[Evidence]], list[list[Evidence]]], data: st.DataObject
) -> None:
    """Parts of instants, intervals, faults and exchanges again, and change records of any block and document."""
    zone, some = case
    with fresh_store() as store:
        take_in_evidence(store, some, zone)
        before = documents(store)
        for batch in deliver(some):
            take_in_evidence(store, batch, zone)
        keys = [*before, *(("readings", str(start)) for start in store.block_starts(HOME, 0, 1000))]
        for table, key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=12), label="replayed"):
            store.mark(table, HOME, [key])
        replayed = waiting(store)
        assert drain(store) == replayed, "a replay must die out where nothing changes"
        assert documents(store) == before


def test_idempotence_settling_leaves_no_change_records() -> None:
    with fresh_store() as store:
        take_in(store, [Reading(HOME, NOW - 3000 + n * 60, 100, n, None) for n in range(9)], "Europe/London")
        assert store.backlog() == (0, None)
