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
    NOW,
    Evidence,
    Series,
    batchings,
    consistent,
    evidence,
    messy,
    utc,
)
from tests.aggregator.invariants.stores import (
    KINDS,
    documents,
    outcome,
    outcome_of,
    send,
    store_of,
    take_in,
    take_in_evidence,
    total,
)
from tests.budgets import examples

Deliver = Callable[[Sequence[Any]], list[list[Any]]]


def check_delivery(store: Store, zone: str, some: Sequence[Evidence], deliver: Deliver) -> None:
    """Check that a delivery gives the documents of all evidence at once."""
    for batch in deliver(some):
        take_in_evidence(store, batch, zone)
    check_whole(store, zone, some)


def check_whole(store: Store, zone: str, some: Sequence[Evidence]) -> None:
    """Check that a store has the documents of all evidence at once."""
    assert documents(store) == outcome_of(some, zone)
    device = store.device(HOME)
    assert device is not None
    assert list(verify.differences(store, device)) == []


@examples(40)
@given(consistent(), batchings(), KINDS, st.sampled_from(["live", "late", "later"]), st.booleans())
def test_order_independence_of_messages_that_do_not_contradict_each_other(
    case: tuple[str, list[Evidence]], deliver: Deliver, kind: str, comes: str, is_history: bool
) -> None:
    """Every message is taken, as a device sends it or an edge brings it: at once, late, or later and later."""
    (zone, some), now = case, 0 if comes == "live" else NOW
    with store_of(kind) as store:
        for batch in deliver(some):
            now += 600 if comes == "later" else 0
            now = max([now, *(one.at if isinstance(one, Reading) else one.end for one in batch)])
            assert not send(store, batch, now, zone, is_history=is_history).reasons
        check_whole(store, zone, some)


@examples(80)
@given(messy(), batchings())
def test_order_independence_of_any_readings(series: Series, deliver: Deliver) -> None:
    with store_of("sqlite") as store:
        check_delivery(store, series.zone, series.readings, deliver)


@examples(100)
@given(evidence(), batchings(), KINDS)
def test_order_independence_of_any_evidence(case: tuple[str, list[Evidence]], deliver: Deliver, kind: str) -> None:
    """Parts of instants, faults, exchanges, rollovers, and intervals beside the registers."""
    with store_of(kind) as store:
        check_delivery(store, *case, deliver)


@examples(24)
@given(evidence(), batchings(), st.data())
def test_order_independence_with_replayed_records(
    case: tuple[str, list[Evidence]], deliver: Deliver, data: st.DataObject
) -> None:
    zone, some = case
    with store_of("sqlite") as store:
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
    with store_of("sqlite") as store:
        for reading in series.readings:
            take_in(store, [reading], series.zone)
        assert total(documents(store)).import_wh == 24_000
        assert documents(store) == outcome(series)


def test_order_independence_with_implausible_power() -> None:
    at = utc("2026-06-01T00:30")
    readings = [Reading(HOME, at + n * HOUR, power, None, None) for n, power in enumerate([7200, 150_000, 7200])]
    with store_of("sqlite") as store:
        for reading in readings:
            take_in(store, [reading], "UTC")
        assert documents(store) == outcome(Series("UTC", readings))
