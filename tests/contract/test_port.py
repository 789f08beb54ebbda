"""The port's contract: the same suite for every store."""

from decimal import Decimal

import pytest

from aggregator.core.documents import Device, Document, Part
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.money import Cost
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.port import Written
from aggregator.tariffs.rates import Series

HOME, OTHER, START = "home", "other", 1_795_000_200 // 1800 * 1800
NOW = START + 7200
PART, MORE = Part(250, 3, 10, 1, 1500, 300), Part(0, None, 0, 0, 1800, 0)


@pytest.fixture
def store(either: Store) -> Store:
    return either


def reading(at: int, wh: int | None = 1000, device_id: str = HOME, meter: str | None = None) -> Reading:
    return Reading(device_id, at, -7, wh, None, meter)


def write(store: Store, *readings: Reading) -> Written:
    blocks: dict[tuple[str, int], dict[int, Reading]] = {}
    for one in readings:
        blocks.setdefault((one.device_id, one.at - one.at % 1800), {})[one.at] = one
    return store.write_readings(blocks, NOW)


def dirty(store: Store, table: str) -> list[tuple[str, str]]:
    return [(change.device_id, change.key) for change in store.changes(table, 100)]


# registry and live state


def test_a_device_is_kept_and_replaced(store: Store) -> None:
    assert store.device(HOME) is None
    store.put_device(Device(HOME))
    store.put_device(Device(HOME, "Asia/Kathmandu", 5000, ("import_wh",), "{}"))
    assert store.device(HOME) == Device(HOME, "Asia/Kathmandu", 5000, ("import_wh",), "{}")
    store.put_device(Device(HOME, registers=("import_wh",)))
    assert store.device(HOME) == Device(HOME, registers=("import_wh",))


def test_a_device_keeps_its_kind_netting_and_clock(store: Store) -> None:
    settings = Device(HOME, kind="gas", netting="sum", stamp_on_arrival=True, exchange_overrides="x")
    for device in (settings, Device(HOME), settings):
        store.put_device(device)
        assert store.device(HOME) == device
        assert list(store.devices()) == [device]


def test_devices_are_listed_by_id_page_by_page(store: Store) -> None:
    ids = [f"home-{number}" for number in (3, 1, 2, 5, 4)]
    for device_id in ids:
        store.put_device(Device(device_id))
    assert [device.device_id for device in store.devices(limit=2)] == sorted(ids)[:2]
    assert [device.device_id for device in store.devices("home-2", limit=2)] == ["home-3", "home-4"]
    assert list(store.devices("home-5")) == []


def test_an_older_or_repeated_live_state_changes_no_known_value(store: Store) -> None:
    old, new = Live(HOME, 10, 12, 5, 1, None, None), Live(HOME, 20, 21, None, None, 3, "m")
    assert store.live(HOME) is None
    for state in (old, new, old, new):
        store.put_live([state])
    both = new._replace(power_w=5, import_wh=1, power_at=10, import_at=10, arrivals=(Arrival(10, 12),))
    assert store.live(HOME) == both
    store.put_live([new._replace(power_w=9)])
    assert store.live(HOME) == both._replace(power_w=9, power_at=None)


def arrived(number: int) -> Live:
    """A live state of one of a row of readings."""
    return Live(HOME, START + 10 * number, START + 10 * number + 2, number, number, None, None)


def times(*numbers: int) -> tuple[Arrival, ...]:
    return tuple(Arrival(*arrived(number)[1:3]) for number in numbers)


def test_a_live_state_remembers_the_arrivals_before_it_in_order(store: Store) -> None:
    for number in range(REMEMBERED + 4):
        store.put_live([arrived(number), arrived(number)._replace(device_id=OTHER)])
        expected = arrived(number)._replace(arrivals=times(*range(max(0, number - REMEMBERED), number)))
        assert store.live(HOME) == expected
    assert sorted(store.lives()) == sorted([expected, expected._replace(device_id=OTHER)])


def test_a_reading_that_is_repeated_or_older_is_no_arrival(store: Store) -> None:
    for number in (1, 1, 3, 2, 3, 1, 4):
        store.put_live([arrived(number)])
    assert store.live(HOME) == arrived(4)._replace(arrivals=times(1, 3))


def test_the_readings_of_one_batch_are_one_arrival(store: Store) -> None:
    for first in (START, START + 60):
        ingest(store, [reading(first + after) for after in range(0, 60, 10)], first + 61, "UTC")
    live = store.live(HOME)
    assert live
    assert (live.at, live.received_at, live.arrivals) == (START + 110, START + 121, (Arrival(START + 50, START + 61),))


# readings


def test_readings_come_back_by_time_from_the_blocks_asked_for(store: Store) -> None:
    sent = [reading(START + 1800 * block + after, meter="m") for block in range(4) for after in (0, 10, 1799)]
    assert write(store, *reversed(sent), reading(START, device_id=OTHER)) == (13, 0)
    assert store.readings(HOME, START + 1800, START + 3600) == sent[3:9]
    assert store.readings(HOME, START, START + 5400) == sent
    assert store.readings("nobody", 0, 2**40) == []


def test_readings_merge_whatever_the_batches(store: Store) -> None:
    first, second = [reading(START + 20), reading(START)], [reading(START + 10), reading(START + 20)]
    assert write(store, *first) == (2, 0)
    assert write(store, *second) == (1, 1)
    assert [one.at - START for one in store.readings(HOME, START, START)] == [0, 10, 20]


def test_a_different_reading_of_the_same_instant_replaces(store: Store) -> None:
    write(store, reading(START, 5))
    assert write(store, reading(START, 6)) == (1, 0)
    assert store.readings(HOME, START, START) == [reading(START, 6)]


def test_block_starts_go_outwards_from_an_instant(store: Store) -> None:
    starts = [START + 1800 * number for number in (0, 1, 2, 5, 9)]
    write(store, *(reading(start + 7) for start in starts), reading(START + 5400, device_id=OTHER))
    assert store.block_starts(HOME, starts[2], -2) == [starts[1], starts[0]]
    assert store.block_starts(HOME, starts[2], 1) == [starts[3]]
    assert store.block_starts(HOME, starts[2] + 1, 9) == starts[3:]
    assert store.block_starts(HOME, -1, 9) == starts
    assert store.block_starts(HOME, starts[0], -9) == []


# documents


def test_parts_are_merged_into_their_document(store: Store) -> None:
    assert store.document("day", HOME, "2026-11-23") is None
    assert store.merge_parts("day", HOME, "2026-11-23", "Europe/London", {"h00": PART, "s00": PART})
    assert store.merge_parts("day", HOME, "2026-11-23", "Europe/London", {"h00": MORE, "s00": None, "h01": PART})
    expected = Document("day", HOME, "2026-11-23", "Europe/London", {"h00": MORE, "h01": PART})
    assert store.document("day", HOME, "2026-11-23") == expected


def test_merging_the_same_again_is_no_change(store: Store) -> None:
    for is_first in (True, False):
        assert store.merge_parts("month", HOME, "2026-11", "UTC", {"d01": PART, "d02": None}) is is_first
    assert store.merge_parts("month", HOME, "2026-11", "Asia/Tokyo", {"d01": PART})
    assert not store.merge_parts("year", HOME, "2026", "UTC", {"m01": None})


def test_a_document_is_gone_with_its_last_part(store: Store) -> None:
    store.merge_parts("year", HOME, "2026", "UTC", {"m01": PART})
    assert store.merge_parts("year", HOME, "2026", "UTC", {"m01": None})
    assert store.document("year", HOME, "2026") is None
    assert store.periods("year", HOME) == []


def test_extent_and_periods_name_the_stored_documents(store: Store) -> None:
    assert store.extent("day", HOME) is None
    for day in ("2026-11-23", "2025-01-01", "2026-02-28"):
        store.merge_parts("day", HOME, day, "UTC", {"h00": PART})
    store.merge_parts("day", OTHER, "2030-01-01", "UTC", {"h00": PART})
    assert store.extent("day", HOME) == ("2025-01-01", "2026-11-23")
    assert store.periods("day", HOME) == ["2025-01-01", "2026-02-28", "2026-11-23"]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("2026-11-01", "2026-11-30", ["2026-11-01", "2026-11-09", "2026-11-30"]),
        ("2026-11-02", "2026-11-29", ["2026-11-09"]),
        ("1970-01-01", "2199-12-31", ["2026-10-31", "2026-11-01", "2026-11-09", "2026-11-30", "2026-12-01"]),
        ("2026-11-10", "2026-11-29", []),
        ("2026-11-30", "2026-11-01", []),
    ],
)
def test_documents_from_one_period_to_another_come_in_order(
    store: Store, first: str, last: str, expected: list[str]
) -> None:
    for day in ("2026-11-30", "2026-10-31", "2026-12-01", "2026-11-09", "2026-11-01"):
        store.merge_parts("day", HOME, day, "UTC", {"h00": PART, "s00": MORE}, "GBP")
    store.merge_parts("day", OTHER, "2026-11-08", "UTC", {"h00": PART})
    store.merge_parts("month", HOME, "2026-11", "UTC", {"d01": PART})
    found = store.documents("day", HOME, first, last)
    assert [document.period for document in found] == expected
    assert found == [store.document("day", HOME, period) for period in expected]


@pytest.mark.parametrize(("level", "period", "part"), [("month", "2026-11", "d01"), ("year", "2026", "m01")])
def test_a_range_of_one_period_is_its_document(store: Store, level: str, period: str, part: str) -> None:
    store.merge_parts(level, HOME, period, "Europe/London", {part: PART})
    document = store.document(level, HOME, period)
    assert document is not None
    assert store.documents(level, HOME, period, period) == [document]
    assert store.documents(level, "nobody", period, period) == []


def test_a_document_keeps_its_costs_and_their_currency(store: Store) -> None:
    priced = PART._replace(cost=Cost(643_125 * 10**6, -5, None, 3, 4, 10**13, 0))
    parts = {"h00": priced, "h01": PART}
    assert store.merge_parts("day", HOME, "2026-11-23", "UTC", parts, "GBP")
    assert not store.merge_parts("day", HOME, "2026-11-23", "UTC", parts, "GBP")
    assert store.document("day", HOME, "2026-11-23") == Document("day", HOME, "2026-11-23", "UTC", parts, "GBP")
    assert store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h01": None})
    assert store.document("day", HOME, "2026-11-23") == Document("day", HOME, "2026-11-23", "UTC", {"h00": priced})


def test_a_document_keeps_no_standing_charge(store: Store) -> None:
    charged = PART._replace(cost=Cost(10**12, None, 10**12))
    assert store.merge_parts("month", HOME, "2026-11", "UTC", {"d23": charged}, "GBP")
    kept = PART._replace(cost=Cost(10**12, None))
    assert store.document("month", HOME, "2026-11") == Document("month", HOME, "2026-11", "UTC", {"d23": kept}, "GBP")


def test_prices_are_added_and_replaced(store: Store) -> None:
    def series(*prices: str) -> dict[int, Decimal]:
        return {START + 1800 * number: Decimal(price) for number, price in enumerate(prices) if price}

    assert store.prices(HOME, 0, 2**40) == Series()
    store.put_prices(HOME, Series(series("0.10", "-0.0210", "0.3"), series("0.05")))
    store.put_prices(HOME, Series(series("", "0.2"), {START + 86_400: Decimal(1)}))
    assert store.prices(HOME, START, START + 1800) == Series(series("0.10", "0.2"), series("0.05"))
    everything = Series(series("0.10", "0.2", "0.3"), series("0.05") | {START + 86_400: Decimal(1)})
    assert store.prices(HOME, 0, 2**40) == everything


# change feed


def test_a_changed_key_is_dirty_until_it_is_settled(store: Store) -> None:
    write(store, reading(START), reading(START + 1800))
    assert sorted(dirty(store, "readings")) == [(HOME, str(START)), (HOME, str(START + 1800))]
    assert store.backlog().waiting == 2
    store.settle(store.changes("readings", 1))
    assert len(dirty(store, "readings")) == 1
    store.settle(store.changes("readings", 100))
    assert store.backlog() == (0, None)


def test_an_unchanged_key_is_not_dirty(store: Store) -> None:
    write(store, reading(START))
    store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": PART})
    assert dirty(store, "day") == [(HOME, "2026-11-23")]
    for table in ("readings", "day"):
        store.settle(store.changes(table, 100))
    write(store, reading(START))
    store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": PART})
    assert store.backlog() == (0, None)


def test_a_key_dirtied_before_its_propagation_is_propagated_whole(store: Store) -> None:
    write(store, reading(START))
    changes = store.changes("readings", 100)
    write(store, reading(START + 10))
    with store.transaction():
        assert [one.at for one in store.readings(HOME, START, START)] == [START, START + 10]
        store.settle(changes)


def test_a_key_dirtied_after_its_propagation_is_dirty_again(store: Store) -> None:
    write(store, reading(START))
    with store.transaction():
        store.settle(store.changes("readings", 100))
    write(store, reading(START + 10))
    write(store, reading(START + 20))
    assert dirty(store, "readings") == [(HOME, str(START))]


def test_keys_can_be_made_dirty_by_hand(store: Store) -> None:
    store.mark("month", HOME, ["2026-11", "2026-10"])
    assert sorted(dirty(store, "month")) == [(HOME, "2026-10"), (HOME, "2026-11")]


def test_a_step_ends_with_its_transaction(store: Store) -> None:
    def work() -> None:
        store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": PART})

    with store.transaction():
        store.step(work)
    document = store.document("day", HOME, "2026-11-23")
    assert document is not None
    assert document.parts == {"h00": PART}


def test_a_failing_step_fails_its_transaction(store: Store) -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), store.transaction():
        store.step(work)
