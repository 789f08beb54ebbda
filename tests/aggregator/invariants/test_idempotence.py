"""Invariant 2: repeated evidence and change records change nothing."""

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.waterfall import verify
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import (
    HALF_HOUR,
    HOME,
    NOW,
    Evidence,
    Series,
    batchings,
    clean,
    every,
    evidence,
    messy,
    utc,
)
from tests.aggregator.invariants.stores import documents, expire_before, take_in, take_in_evidence, waiting
from tests.budgets import examples
from tests.copies import fresh_store


def compute_first_again(store: Store, count: int) -> None:
    """Mark the first blocks of readings dirty without a change."""
    store.mark("readings", HOME, [str(start) for start in store.block_starts(HOME, 0, count)])
    drain(store)


@examples(60)
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


@examples(60)
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


@examples(40)
@given(clean(), st.data())
def test_idempotence_with_expired_readings(series: Series, data: st.DataObject) -> None:
    retention_cutoff = data.draw(st.sampled_from([reading.at for reading in series.readings])) + 1
    with fresh_store() as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        expire_before(store, retention_cutoff)
        assert list(verify.differences(store, Device(HOME, series.zone))) == []
        keys = [str(start) for start in store.block_starts(HOME, 0, 1000)]
        store.mark("readings", HOME, data.draw(st.lists(st.sampled_from(keys), min_size=1), label="replayed"))
        drain(store)
        assert documents(store) == before


def test_idempotence_with_a_rare_register_and_expired_readings() -> None:
    """Import every minute, export once a day: the readings left by the sweep give the same documents."""
    readings = [
        reading._replace(export_wh=reading.export_wh if n % 1440 == 100 else None)
        for n, reading in enumerate(every(60, 1440 * 4))
    ]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[1440 * 2].at)
        assert list(verify.differences(store, Device(HOME, "UTC"))) == []
        compute_first_again(store, 3)
        assert documents(store) == before


def test_idempotence_when_a_sweep_leaves_a_glitch_last() -> None:
    readings = every(HALF_HOUR, 48)
    readings[20] = readings[20]._replace(import_wh=0)
    readings = [reading._replace(import_wh=(reading.import_wh or 0) % 10**6) for reading in readings]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[20].at + 1)
        compute_first_again(store, 3)
        assert documents(store) == before


def test_idempotence_of_an_outage_in_a_partly_expired_half_hour() -> None:
    seconds = (-6, -5, 115, 235, 355, 475, 2276)  # the outage ends beyond the retention_cutoff
    readings = [Reading(HOME, utc("2026-03-29T01:00") + after, None, after + 100, None) for after in seconds]
    with fresh_store() as store:
        take_in(store, readings, "UTC")
        before = documents(store)
        expire_before(store, readings[2].at + 1)
        compute_first_again(store, 100)
        assert documents(store) == before
