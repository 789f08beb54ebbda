"""Invariant 2: repeated evidence and change records change nothing; see `test_expired` for replays after sweeps."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.waterfall.worker import drain, settle_once
from tests.aggregator.invariants.series import (
    HOME,
    NOW,
    Evidence,
    Series,
    batchings,
    consistent,
    evidence,
    messy,
)
from tests.aggregator.invariants.stores import (
    KINDS,
    documents,
    outcome_of,
    replay,
    send,
    store_of,
    stores,
    take_in,
    take_in_evidence,
    waiting,
)
from tests.budgets import examples

Deliver = Callable[[Sequence[Any]], list[list[Any]]]
Keys = list[tuple[str, str]]


def dirty(store: Store, data: st.DataObject) -> Keys:
    """Draw keys of change records: of blocks, of documents, and of what does not exist."""
    keys = [*documents(store), *(("readings", str(start)) for start in store.block_starts(HOME, 0, 1000))]
    keys += [("readings", "0"), ("day", "2001-02-03"), ("month", "2001-02")]
    return data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=12), label="replayed")


@examples(24)
@given(messy(), batchings(), KINDS, st.data())
def test_idempotence_of_readings_and_change_records(
    series: Series, deliver: Deliver, kind: str, data: st.DataObject
) -> None:
    with store_of(kind) as store:
        take_in(store, series.readings, series.zone)
        before = documents(store)
        for batch in deliver(series.readings):
            written = ingest(store, batch, NOW + 60, series.zone)
            assert (written.accepted, written.unchanged) == (0, len(batch))
            assert waiting(store) == 0
        replay(store, dirty(store, data))
        assert documents(store) == before


@examples(16)
@given(consistent(), batchings(), KINDS)
def test_idempotence_of_messages_that_come_again(case: tuple[str, list[Evidence]], deliver: Deliver, kind: str) -> None:
    zone, some = case
    with store_of(kind) as store:
        send(store, some, NOW, zone, is_history=True)
        before = documents(store)
        for number, batch in enumerate(deliver(some)):
            assert send(store, batch, NOW + number * 600, zone, is_history=False).accepted == 0
            assert waiting(store) == 0
        assert documents(store) == before


@examples(24)
@given(evidence(), batchings(), KINDS, st.data())
def test_idempotence_of_any_evidence(
    case: tuple[str, list[Evidence]], deliver: Deliver, kind: str, data: st.DataObject
) -> None:
    """Parts of instants, intervals, faults and exchanges again, and change records of any block and document."""
    zone, some = case
    with store_of(kind) as store:
        take_in_evidence(store, some, zone)
        before = documents(store)
        for batch in deliver(some):
            take_in_evidence(store, batch, zone)
        replay(store, dirty(store, data))
        assert documents(store) == before


@examples(16)
@given(evidence(), batchings(), KINDS, st.data())
def test_idempotence_of_two_workers_side_by_side(
    case: tuple[str, list[Evidence]], deliver: Deliver, kind: str, data: st.DataObject
) -> None:
    """Both propagate the same change records at once, again and again, while evidence comes in."""
    zone, some = case
    with stores(kind, 2) as both, ThreadPoolExecutor(2) as pool:
        parts = [one for batch in deliver(some) for one in batch]
        for number in range(4):
            take_in_evidence(both[0], parts[number::4], zone)
            replayed = dirty(both[0], data)
            for store in both:
                for table, key in replayed:
                    store.mark(table, HOME, [key])
            list(pool.map(settle_once, both))
        for store in both:
            drain(store)
            replay(store, dirty(store, data))
            assert documents(store) == outcome_of(some, zone)


def test_idempotence_settling_leaves_no_change_records() -> None:
    with store_of("sqlite") as store:
        take_in(store, [Reading(HOME, NOW - 3000 + n * 60, 100, n, None) for n in range(9)], "Europe/London")
        assert store.backlog() == (0, None)
