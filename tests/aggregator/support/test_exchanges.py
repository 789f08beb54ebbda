"""Exchange marks have the same effect before and after the readings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading
from aggregator.core.registers import ExchangeOverride, overridden_between, overrides_text, parse_overrides
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.support import actions
from aggregator.support.actions import MOST
from aggregator.support.audit import Audit, Who
from aggregator.waterfall import verify
from aggregator.waterfall.worker import drain
from tests.aggregator.invariants.reference import register_span
from tests.aggregator.invariants.series import HOME, HOUR, NOW, Series, batchings, clean, messy
from tests.aggregator.invariants.stores import Documents, check_levels_sum, documents, outcome, take_in, total
from tests.copies import fresh_store

START = 1_774_742_400  # 2026-03-29T00:00:00Z, the night in which London's clocks go forward
ANNA = Who("u-1", "anna@example.com", "support", "Anna Kay")
MARKS = st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=3)


@pytest.fixture
def store() -> Iterator[Store]:
    with fresh_store() as made:
        yield made


def home(store: Store) -> Device:
    device = store.device(HOME)
    assert device
    return device


def readings(*whs: int, step: int = 600, start: int = START) -> list[Reading]:
    return [Reading(HOME, start + number * step, None, wh, None) for number, wh in enumerate(whs)]


def mark(store: Store, device: Device, at: int, *, is_exchange: bool) -> Device:
    return actions.mark_exchange(
        Audit(store, []), ANNA, device, at, "the engineer called", NOW, is_exchange=is_exchange
    )


def unmark(store: Store, device: Device, at: int) -> Device:
    return actions.unmark_exchange(Audit(store, []), ANNA, device, at, "the wrong home", NOW)


def mark_and_drain(store: Store, at: int, *, is_exchange: bool) -> None:
    mark(store, home(store), at, is_exchange=is_exchange)
    drain(store)


def imported(store: Store) -> int | None:
    return total(documents(store)).import_wh


def instant(series: Series, place: int) -> int:
    """Return an instant at, between or around the readings of a series."""
    reading = series.readings[place % len(series.readings)]
    return reading.at + (0, 1, -7)[place % 3]


def with_marks(series: Series, exchange_overrides: Sequence[ExchangeOverride]) -> Documents:
    """Return the documents of a series with overrides set before the first reading."""
    with fresh_store() as store:
        store.put_device(Device(HOME, series.zone, exchange_overrides=overrides_text(tuple(exchange_overrides))))
        take_in(store, series.readings, series.zone)
        return documents(store)


# An exchange that the readings do not show


def test_an_exchange_invisible_in_the_readings_can_be_marked(store: Store) -> None:
    take_in(store, readings(1000, 1100, 1200, 1900, 2000, 2100), "Europe/London")
    assert imported(store) == 1100

    mark_and_drain(store, START + 1800, is_exchange=True)
    assert imported(store) == 200 + 200
    assert list(verify.differences(store, home(store))) == []


def test_a_mark_keeps_the_current_household_of_the_device(store: Store) -> None:
    take_in(store, readings(1000, 1100, 1200, 1900), "Europe/London")
    opened = home(store)
    store.put_device(replace(opened, household="willow"))
    marked = mark(store, opened, START + 1800, is_exchange=True)
    assert marked.household == home(store).household == "willow"
    assert home(store).exchange_overrides == marked.exchange_overrides != ""


def test_removing_a_mark_restores_the_documents(store: Store) -> None:
    take_in(store, readings(1000, 1100, 1200, 1900, 2000, 2100), "Europe/London")
    before = documents(store)
    mark_and_drain(store, START + 1800, is_exchange=True)
    unmark(store, home(store), START + 1800)
    drain(store)

    assert documents(store) == before
    assert home(store).exchange_overrides == ""


def test_a_steep_rise_can_be_marked_as_no_exchange(store: Store) -> None:
    """The device had a wrong maximum, or was offline while two cars were charged."""
    take_in(store, readings(1000, 1100, 1200, 900_000, 900_100, 900_200), "Europe/London")
    assert imported(store) == 200 + 200

    mark_and_drain(store, START + 1800, is_exchange=False)
    assert imported(store) == 899_200
    assert list(verify.differences(store, home(store))) == []


def test_a_new_id_of_the_same_meter_can_be_marked(store: Store) -> None:
    old, new = readings(1000, 1100), readings(1200, 1300, start=START + 1200)
    renamed = [reading._replace(meter_id="B") for reading in new]
    take_in(store, [*(reading._replace(meter_id="A") for reading in old), *renamed], "Europe/London")
    assert imported(store) == 200

    mark_and_drain(store, START + 1200, is_exchange=False)
    assert imported(store) == 300


def test_a_falling_register_cannot_be_marked_as_no_exchange(store: Store) -> None:
    take_in(store, readings(1000, 1100, 5, 105, 205, 305), "Europe/London")
    with pytest.raises(ConfigurationError, match="went down from 1100 to 5 at 2026-03-29T00:20:00Z"):
        mark(store, home(store), START + 1200, is_exchange=False)
    assert imported(store) == 100 + 300


def test_a_marked_exchange_ends_the_estimate_of_an_outage(store: Store) -> None:
    take_in(store, [*readings(1000, 1100), *readings(9000, 9100, start=START + 50 * HOUR)], "Europe/London")
    assert total(documents(store)).estimated_wh > 7000

    mark_and_drain(store, START + 20 * HOUR, is_exchange=True)
    assert total(documents(store)).estimated_wh == 0
    assert imported(store) == 200
    mark_and_drain(store, START + 20 * HOUR, is_exchange=False)
    assert imported(store) == 8100


def test_a_repeated_mark_changes_nothing(store: Store) -> None:
    take_in(store, readings(1000, 1100, 1200, 1300), "Europe/London")
    mark_and_drain(store, START + 900, is_exchange=True)
    mark(store, home(store), START + 900, is_exchange=True)
    assert store.backlog().waiting == 0
    assert home(store).exchange_overrides == f"{START + 900}+"


def test_expired_readings_cannot_be_marked(store: Store) -> None:
    take_in(store, readings(*range(1000, 9000, 100)), "Europe/London")
    store.put_retention_cutoff(home(store).device_id, FOR_EVER)
    with pytest.raises(ConfigurationError, match="have expired"):
        mark(store, home(store), START + 600, is_exchange=True)
    assert home(store).exchange_overrides == ""


def test_marks_are_limited_and_only_existing_ones_can_be_removed(store: Store) -> None:
    take_in(store, readings(*range(1000, 9000, 100)), "Europe/London")
    for number in range(MOST):
        mark(store, home(store), START + number, is_exchange=True)
    with pytest.raises(ConfigurationError, match="20 marked instants"):
        mark(store, home(store), START + MOST, is_exchange=True)
    mark(store, home(store), START, is_exchange=False)
    with pytest.raises(ConfigurationError, match="nothing is marked"):
        unmark(store, home(store), START + 999)


# Invariants with exchange overrides


@given(messy(), batchings(), MARKS)
def test_marks_and_readings_in_any_order_give_the_same_documents(
    series: Series, deliver: Callable[[Sequence[Reading]], list[list[Reading]]], places: list[tuple[int, bool]]
) -> None:
    wanted = {instant(series, place): is_exchange for place, is_exchange in places}
    exchange_overrides = [ExchangeOverride(at, is_exchange) for at, is_exchange in wanted.items()]
    with fresh_store() as store:
        store.put_device(Device(HOME, series.zone))
        waiting = list(exchange_overrides)
        for batch in deliver(series.readings):
            ingest(store, batch, NOW, series.zone)
            drain(store)
            if waiting:
                _mark_if_possible(store, waiting.pop())
        for one in [*waiting, *exchange_overrides]:
            _mark_if_possible(store, one)
        marks = parse_overrides(home(store).exchange_overrides)
        assert documents(store) == with_marks(series, marks)
        assert list(verify.differences(store, home(store))) == []
        for one in marks:
            unmark(store, home(store), one.at)
            drain(store)
        assert documents(store) == outcome(series)


def _mark_if_possible(store: Store, one: ExchangeOverride) -> None:
    with suppress(ConfigurationError):  # no meter runs backwards
        mark(store, home(store), one.at, is_exchange=one.is_exchange)
    drain(store)


@given(clean(kinds=("i",)), st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_only_energy_across_marked_exchanges_is_left_out(series: Series, places: list[int]) -> None:
    at = sorted({instant(series, place) for place in places})
    found = with_marks(series, [ExchangeOverride(one, is_exchange=True) for one in at])
    seams = 0
    for one, other in zip(series.readings, series.readings[1:], strict=False):
        if any(one.at < seam <= other.at for seam in at):
            seams += (other.import_wh or 0) - (one.import_wh or 0)
    check_levels_sum(found)
    assert (total(found).import_wh or 0) == (register_span(series, "import_wh") or 0) - seams


@given(clean(), st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_marking_no_exchange_in_a_plain_series_changes_nothing(series: Series, places: list[int]) -> None:
    exchange_overrides = [ExchangeOverride(instant(series, place), is_exchange=False) for place in places]
    assert with_marks(series, exchange_overrides) == outcome(series)


# Their text


@given(st.dictionaries(st.integers(0, 2**33), st.booleans()))
def test_marks_survive_a_round_trip(marks: dict[int, bool]) -> None:
    exchange_overrides = tuple(ExchangeOverride(*one) for one in sorted(marks.items()))
    assert parse_overrides(overrides_text(exchange_overrides)) == exchange_overrides
    assert parse_overrides(overrides_text(exchange_overrides[::-1])) == exchange_overrides


def test_a_mark_separates_earlier_from_later_readings() -> None:
    exchange_overrides = (ExchangeOverride(100, is_exchange=True), ExchangeOverride(200, is_exchange=False))
    assert [overridden_between(exchange_overrides, *span) for span in ((90, 100), (100, 110), (0, 99))] == [
        True,
        None,
        None,
    ]
    assert [overridden_between(exchange_overrides, *span) for span in ((110, 200), (90, 300))] == [False, True]
    assert replace(Device(HOME), exchange_overrides="100+ 200-").exchange_overrides == overrides_text(
        exchange_overrides
    )
