"""Chunks: parts of an instant become one reading; a late reading that contradicts its neighbours is put aside."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR, HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.formats.message import Content
from aggregator.intake.ingest import Outcome, Received, ingest, ingest_lines, show_live, take_in
from aggregator.intake.refusals import load_refusals
from aggregator.store import Store, open_store
from aggregator.waterfall.worker import drain
from tests.budgets import examples
from tests.copies import fresh_store

DAY = 1_795_824_000  # 2026-11-28T00:00:00Z
NOW = DAY + 86_400
ASIDE = "contradicts_neighbours"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/chunk.db")
    yield opened
    opened.close()


def line(at: int, device_id: str = "d", **fields: object) -> bytes:
    return orjson.dumps({"device_id": device_id, "at": iso_utc(at), **fields})


def send(store: Store, lines: Sequence[bytes], size: int = 10_000) -> Outcome:
    """Ingest lines in chunks of a size, and settle."""
    outcome = Outcome()
    for first in range(0, len(lines), size):
        ingest_lines(store, lines[first : first + size], 1, NOW, "UTC", outcome, lambda *_: None)
    drain(store)
    return outcome


def live(store: Store, device_id: str = "d") -> Live:
    found = store.live(device_id)
    assert found is not None
    return found


def imported(store: Store, device_id: str = "d") -> int | None:
    document = store.document("day", device_id, "2026-11-28")
    return document.total.import_wh if document else None


# Parts of an instant


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_parts_of_an_instant_are_one_reading_in_any_order(store: Store, size: int) -> None:
    lines = []
    for at in range(DAY, DAY + 601, 60):
        lines += [line(at, import_wh=1000 + (at - DAY) // 12), line(at, export_wh=70), line(at, power_w=300)]
    random.Random(size).shuffle(lines)
    assert send(store, lines, size) == Outcome(accepted=33)
    document = store.document("day", "d", "2026-11-28")
    assert document is not None
    assert (document.total.import_wh, document.total.export_wh) == (50, 0)
    state = live(store)
    assert (state.power_w, state.import_wh, state.export_wh) == (300, 1050, 70)
    assert send(store, lines, size) == Outcome(unchanged=33)


def test_each_field_of_the_live_state_keeps_its_own_instant(store: Store) -> None:
    lines = [line(DAY + 10 * number, power_w=1200) for number in range(31)]
    send(store, [*lines, line(DAY + 303, import_wh=5100)])
    state = live(store)
    assert (state.at, state.power_w, state.power_at, state.import_wh) == (DAY + 303, 1200, DAY + 300, 5100)


def test_an_implausible_power_leaves_the_last_plausible_one(store: Store) -> None:
    send(store, [line(DAY, power_w=400), line(DAY + 10, power_w=900_000, import_wh=7)])
    state = live(store)
    assert (state.at, state.power_w, state.power_at, state.import_wh) == (DAY + 10, 400, DAY, 7)


def test_live_readings_alone_are_merged_by_field_too(store: Store) -> None:
    readings = [Reading("d", DAY, 500, None, None), Reading("d", DAY, None, 7, None), Reading("d", DAY + 9, None, 8, 1)]
    show_live(store, Content(readings), NOW, "UTC")
    state = live(store)
    assert (state.power_w, state.power_at, state.import_wh, state.export_wh) == (500, DAY, 8, 1)
    assert store.readings("d", 0, FOR_EVER) == []


PARTS = st.builds(
    Reading,
    st.sampled_from(["d", "e"]),
    st.integers(0, 5).map(lambda number: DAY + 20 * number),
    st.sampled_from([None, 0, 300]),
    st.sampled_from([None, 1000, 1001]),
    st.sampled_from([None, 70]),
    st.sampled_from([None, None, "m"]),
    st.none(),
).filter(lambda reading: any(value is not None for value in reading[2:5]))


@examples(80)
@given(st.lists(PARTS, min_size=1, max_size=20), st.lists(PARTS, max_size=6))
def test_a_chunk_counts_and_stores_like_single_readings(parts: list[Reading], before: list[Reading]) -> None:
    found = []
    for size in (1, len(parts)):
        with fresh_store() as store:
            ingest(store, before, NOW, "UTC")
            written = [ingest(store, parts[at : at + size], NOW, "UTC") for at in range(0, len(parts), size)]
            counts = sum(one.accepted for one in written), sum(one.unchanged for one in written)
            lives = [one._replace(arrivals=()) for one in store.lives()]
            found.append((counts, [store.readings(one, 0, FOR_EVER) for one in "de"], lives))
    assert found[0] == found[1]


# Wrong clocks


def hours(first: float, last: float, behind_s: int = 0, step_s: int = 10, device_id: str = "d") -> list[bytes]:
    """Return the lines of a constant 1 kW from one hour of the day to another, of a clock that is behind."""
    seconds = range(int(first * HOUR), int(last * HOUR), step_s)
    return [line(DAY + at - behind_s, device_id, import_wh=900_000 + at * 1000 // HOUR) for at in seconds]


@pytest.mark.parametrize("size", [1, 100, 10_000])
def test_an_hour_of_a_wrong_clock_is_put_aside(store: Store, size: int) -> None:
    wrong = hours(7.5, 8.5, behind_s=3 * HOUR, step_s=60)
    lines = [*hours(4, 7.5, step_s=60), *wrong, *hours(8.5, 10, step_s=60)]
    outcome = send(store, lines, size)
    assert outcome == Outcome(accepted=300, reasons=type(outcome.reasons)({ASIDE: 60}))
    expected = {DAY + at: 900_000 + at * 1000 // HOUR for at in range(4 * HOUR, 10 * HOUR, 60)}
    stored = {one.at: one.import_wh for one in store.readings("d", 0, FOR_EVER)}
    assert stored == {at: wh for at, wh in expected.items() if not 7.5 * HOUR <= at - DAY < 8.5 * HOUR}
    assert load_refusals(store, "d").messages[0].reason == ASIDE
    assert imported(store) == 6000 - 17  # to the last minute


@pytest.mark.parametrize("by", [2 * HOUR, 24 * HOUR])
def test_a_clock_put_back_to_before_the_first_reading_is_put_aside(store: Store, by: int) -> None:
    """1 kW; 90 minutes are known when the clock is put back for half an hour, to where nothing contradicts it."""
    at, count, wrong = DAY + 12 * HOUR, 360, range(90, 120)
    lines = [line(at + 60 * n - by * (n in wrong), import_wh=900_000 + 1000 * n // 60) for n in range(count)]
    outcome = send(store, lines, 10)
    assert outcome.reasons == {ASIDE: 30}
    assert imported(store) == 1000 * (count - 1) // 60


def test_a_clock_put_back_behind_imported_history_is_put_aside(store: Store) -> None:
    at, count, wrong = DAY + 12 * HOUR, 360, range(90, 120)
    history = [Reading("d", at - number * HALF_HOUR, None, 7_000_000 - number, None) for number in range(4, 40)]
    store.write_layer(-1, history, NOW)
    lines = [line(at + 60 * n - DAY_S * (n in wrong), import_wh=900_000 + 1000 * n // 60) for n in range(count)]
    assert send(store, lines, 10).reasons == {ASIDE: 30}


def test_what_a_device_sends_late_is_taken_whatever_was_imported(store: Store) -> None:
    """A file of the wrong meter fills an outage; then the device sends the second half of its buffer."""
    send(store, [*hours(2, 4, step_s=60), *hours(10, 12, step_s=60)])
    wrong = [Reading("d", DAY + at, None, 7_000_000 + at // 30, None) for at in range(4 * HOUR, 10 * HOUR, 60)]
    store.write_layer(-1, wrong, NOW)
    assert send(store, hours(7, 10, step_s=60), 30) == Outcome(accepted=180)
    assert send(store, hours(7, 10, step_s=60), 30) == Outcome(unchanged=180)


def test_parts_of_an_instant_count_by_themselves_beside_an_import(store: Store) -> None:
    store.write_layer(-1, [Reading("d", DAY, 300, 1000, None)], NOW)
    parts = [line(DAY, import_wh=1000), line(DAY, power_w=300)]
    assert send(store, parts) == Outcome(accepted=2)


def test_the_history_of_a_larger_meter_before_the_first_reading_is_taken(store: Store) -> None:
    new = [line(DAY + 12 * HOUR + 60 * n, import_wh=17 * n) for n in range(60)]
    old = [line(DAY + 10 * HOUR + 60 * n, import_wh=50_000_000 + 17 * n) for n in range(60)]
    assert send(store, new + old, 60).reasons == {}
    assert imported(store) == 2 * 17 * 59


def test_a_wrong_clock_that_tells_of_an_outage_is_put_aside(store: Store) -> None:
    """An outage from 7:30 to 8:30; later the clock is 90 minutes behind, so that it tells of 7:47 to 8:20."""
    wrong = hours(9.28, 9.83, behind_s=HOUR + HOUR // 2)
    outcome = send(store, [*hours(4, 7.5), *hours(8.5, 9.28), *wrong, *hours(9.83, 10)])
    assert outcome.reasons == {ASIDE: len(wrong)}
    assert imported(store) == 6000 - 1  # to the last reading, at 9:59:58


def test_true_readings_after_a_restored_backup_are_taken_late(store: Store) -> None:
    """A register shows 10 kWh less until 8:00; the readings from 8:00 to 8:07 come last."""
    whs = {DAY + 60 * minute: 10**6 + 50 * minute - (10_000 if 240 <= minute < 480 else 0) for minute in range(720)}
    late = range(DAY + 8 * HOUR, DAY + 8 * HOUR + 420, 60)
    lines = [line(at, import_wh=wh) for at, wh in whs.items() if at not in late]
    assert send(store, [*lines, *(line(at, import_wh=whs[at]) for at in late)]).reasons == {}
    assert imported(store) == 719 * 50


def test_readings_of_an_outage_are_taken_late_in_any_order(store: Store) -> None:
    missed = hours(7.5, 8.5)
    late = random.Random(1).sample(missed, len(missed))
    assert send(store, [*hours(4, 7.5), *hours(8.5, 10), *late]) == Outcome(accepted=6 * 360)
    assert imported(store) == 6000 - 3


def test_late_readings_of_a_meter_before_its_exchange_are_taken(store: Store) -> None:
    new = [line(DAY + at, import_wh=5000 + at // 4) for at in range(12 * HOUR, 14 * HOUR, 60)]
    assert send(store, [*hours(9, 10, step_s=60), *new, *hours(10, 11, step_s=60)]) == Outcome(accepted=240)


def test_true_readings_are_taken_after_a_clock_that_was_ahead(store: Store) -> None:
    lines = [*hours(4, 5), *hours(5, 6, behind_s=-HOUR), *hours(6, 8)]
    assert send(store, lines).reasons == {}
    stored = {one.at: one.import_wh for one in store.readings("d", DAY + 6 * HOUR, FOR_EVER)}
    assert stored == {DAY + at: 900_000 + at * 1000 // HOUR for at in range(6 * HOUR, 8 * HOUR, 10)}


def test_readings_of_another_meter_are_taken(store: Store) -> None:
    send(store, [line(DAY + at, import_wh=9000 + at // 4, meter_id="old") for at in range(4 * HOUR, 6 * HOUR, 10)])
    late = [line(DAY + 5 * HOUR + 5, import_wh=17, meter_id="new")]
    assert send(store, [line(DAY + 7 * HOUR, import_wh=40, meter_id="new"), *late]).accepted == 2


def test_a_reading_beside_a_persons_statement_is_taken(store: Store) -> None:
    store.put_device(Device("d", "UTC", exchange_overrides=f"{DAY + 5 * HOUR}+"))
    send(store, hours(4, 6))
    assert send(store, [line(DAY + 5 * HOUR, import_wh=17)]).accepted == 1
    assert send(store, [line(DAY + 5 * HOUR + 1200, import_wh=17)]).reasons == {ASIDE: 1}


@pytest.mark.parametrize(("first", "late"), [(4.99, 5.0), (4, 7.1)])
def test_a_reading_with_few_neighbours_is_taken(store: Store, first: float, late: float) -> None:
    send(store, [*hours(first, 5), line(DAY + 10 * HOUR, import_wh=910_000)])
    assert send(store, [line(int(DAY + late * HOUR), import_wh=17)]).accepted == 1


def test_a_device_that_was_put_back_far_is_put_aside_when_it_sends(store: Store) -> None:
    """Nothing is known before its wrong time, but its register goes on from the newest one."""

    def say(at: int, wh: int, now: int) -> Outcome:
        content = Content([Reading("d", at, None, wh, None)])
        return take_in(store, [Received("d", content)], now, "UTC")

    for number in range(5):
        assert say(DAY + 300 * number, 5000 + 30 * number, DAY + 300 * number).accepted == 1
    assert say(DAY - 9 * HOUR, 5150, DAY + 1500).reasons == {ASIDE: 1}
    assert say(DAY - 9 * HOUR + 300, 5180, DAY + 1800).reasons == {ASIDE: 1}
    assert say(DAY + 2100, 5210, DAY + 2100).accepted == 1
    assert say(DAY - 9 * HOUR, 4000, DAY + 2100).accepted == 1  # history


def test_a_late_register_is_compared_with_the_newest_one_of_its_own_field(store: Store) -> None:
    """The newest reading has no import register; the late one goes on from the newest import, in order."""

    def say(now: int, *readings: Reading) -> Outcome:
        return take_in(store, [Received("d", Content([*readings]))], now, "UTC")

    say(DAY + 20, Reading("d", DAY + 10, None, 1000, None))
    say(DAY + 60, Reading("d", DAY + 50, 300, None, 70))
    assert say(DAY + 100, Reading("d", DAY + 20, None, 1001, None)).reasons == {}


def test_a_gas_meter_that_was_put_back_far_is_put_aside_when_it_sends(store: Store) -> None:
    def say(at: int, litres: int, now: int) -> Outcome:
        content = Content([Reading("d~gas", at, None, None, None, None, litres)])
        return take_in(store, [Received("d", content)], now, "UTC")

    for number in range(5):
        assert say(DAY + 300 * number, 5000 + 30 * number, DAY + 300 * number).accepted == 1
    assert say(DAY - 9 * HOUR, 5150, DAY + 1500).reasons == {ASIDE: 1}


def test_history_in_any_order_is_never_put_aside() -> None:
    lines = hours(0, 6, step_s=60)
    for seed in range(4):
        with fresh_store() as store:
            shuffled = random.Random(seed).sample(lines, len(lines))
            assert send(store, shuffled, 50) == Outcome(accepted=360)
            assert imported(store) == 5983


def test_many_half_hours_are_written_in_pieces(store: Store) -> None:
    readings = [Reading("d", DAY - HALF_HOUR * number, None, 10**6 - 300 * number, None) for number in range(700)]
    assert ingest(store, readings, NOW, "UTC") == (700, 0)
    assert len(store.readings("d", 0, FOR_EVER)) == 700
    assert live(store).at == DAY
