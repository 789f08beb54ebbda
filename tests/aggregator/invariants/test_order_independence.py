"""Invariant 3: any order and batching of evidence gives the same documents."""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.readings import Reading
from aggregator.store import Store
from aggregator.waterfall import verify
from tests.aggregator.invariants.series import (
    DAY,
    HALF_HOUR,
    HOME,
    HOUR,
    Evidence,
    Series,
    batchings,
    evidence,
    messy,
    utc,
)
from tests.aggregator.invariants.stores import (
    documents,
    memory_store,
    outcome,
    outcome_of,
    take_in,
    take_in_evidence,
    total,
)
from tests.budgets import examples
from tests.copies import fresh_store

Deliver = Callable[[Sequence[Any]], list[list[Any]]]


def check_delivery(store: Store, zone: str, some: Sequence[Evidence], deliver: Deliver) -> None:
    """Check that a delivery gives the documents of all evidence at once."""
    for batch in deliver(some):
        take_in_evidence(store, batch, zone)
    assert documents(store) == outcome_of(some, zone)
    device = store.device(HOME)
    assert device is not None
    assert list(verify.differences(store, device)) == []


@examples(100)
@given(messy(), batchings())
def test_order_independence_of_any_readings(series: Series, deliver: Deliver) -> None:
    with fresh_store() as store:
        check_delivery(store, series.zone, series.readings, deliver)


@examples(160)
@given(evidence(), batchings())
def test_order_independence_of_any_evidence(case: tuple[str, list[Evidence]], deliver: Deliver) -> None:
    """Parts of instants, faults, exchanges, rollovers, and intervals beside the registers."""
    with fresh_store() as store:
        check_delivery(store, *case, deliver)


@examples(10)
@given(evidence(), batchings())
def test_order_independence_on_dynamodb(case: tuple[str, list[Evidence]], deliver: Deliver) -> None:
    with memory_store() as store:
        check_delivery(store, *case, deliver)


@examples(24)
@given(evidence(), batchings(), st.data())
def test_order_independence_with_replayed_records(
    case: tuple[str, list[Evidence]], deliver: Deliver, data: st.DataObject
) -> None:
    zone, some = case
    with fresh_store() as store:
        for batch in deliver(some):
            take_in_evidence(store, batch, zone)
            if data.draw(st.booleans(), label="replay"):
                one = data.draw(st.sampled_from(batch))
                at = one.at if isinstance(one, Reading) else one.start
                store.mark("readings", HOME, [str(at - at % HALF_HOUR)])
        take_in_evidence(store, [], zone)
        assert documents(store) == outcome_of(some, zone)


def test_order_independence_of_a_daily_register_among_power_readings() -> None:
    start = utc("2026-06-01T00:00")
    readings = [Reading(HOME, start + n * 600, 500, None, None) for n in range(1, 6 * 24 * 2)]
    readings += [Reading(HOME, start + day * DAY + 300, None, 10**6 + 12_000 * day, None) for day in range(3)]
    series = Series("UTC", sorted(readings, key=lambda reading: reading.at))
    with fresh_store() as store:
        for reading in series.readings:
            take_in(store, [reading], series.zone)
        assert total(documents(store)).import_wh == 24_000
        assert documents(store) == outcome(series)


def test_order_independence_with_implausible_power() -> None:
    at = utc("2026-06-01T00:30")
    readings = [Reading(HOME, at + n * HOUR, power, None, None) for n, power in enumerate([7200, 150_000, 7200])]
    with fresh_store() as store:
        for reading in readings:
            take_in(store, [reading], "UTC")
        assert documents(store) == outcome(Series("UTC", readings))
