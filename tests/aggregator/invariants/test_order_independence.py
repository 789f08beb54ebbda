"""Invariant 3: any order and batching of readings gives the same documents."""

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.waterfall import verify
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.series import DAY, HALF_HOUR, HOME, HOUR, NOW, Series, batchings, messy, utc
from tests.aggregator.invariants.stores import documents, outcome, take_in, total
from tests.budgets import examples
from tests.copies import fresh_store


@examples(250)
@given(messy(), batchings())
def test_order_independence_of_any_delivery(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]]
) -> None:
    with fresh_store() as store:
        for batch in deliver(series.readings):
            take_in(store, batch, series.zone)
        assert documents(store) == outcome(series)
        assert list(verify.differences(store, Device(HOME, series.zone))) == []


@examples(60)
@given(messy(), batchings(), st.data())
def test_order_independence_with_a_late_worker_and_replayed_records(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]], data: st.DataObject
) -> None:
    with fresh_store() as store:
        for batch in deliver(series.readings):
            ingest(store, batch, NOW, series.zone)
            if data.draw(st.booleans(), label="drain"):
                drain(store)
            if data.draw(st.booleans(), label="replay"):
                reading = data.draw(st.sampled_from(batch))
                store.mark("readings", HOME, [str(reading.at - reading.at % HALF_HOUR)])
        drain(store)
        assert documents(store) == outcome(series)


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
