"""Invariant 7: a fault leaves no trace; a rollover is counted; an exchange stays an exchange."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.faults import FAULT_S, judge
from aggregator.core.readings import Reading
from aggregator.core.registers import DECIDE_S, ROUNDING_WH, register_of
from aggregator.store import Store
from aggregator.waterfall import verify
from tests.aggregator.invariants.series import (
    DAY,
    HOME,
    HOUR,
    SHOWN,
    Clocked,
    Points,
    batchings,
    faulty,
    meters,
    stretches,
    utc,
    wrong_clocks,
)
from tests.aggregator.invariants.stores import (
    check_levels_sum,
    documents,
    outcome_of,
    store_of,
    take_in,
    take_in_evidence,
    total,
)
from tests.budgets import examples
from tests.copies import fresh_store

CHANNEL = st.sampled_from(["import_wh", "export_wh"])
Deliver = Callable[[Sequence[Any]], list[list[Any]]]
START = utc("2026-03-02T00:00")
POWER_W = Device(HOME).max_power_w


def readings_of(points: Points, meter: str | None = None, channel: str = "import_wh") -> list[Reading]:
    is_import = channel == "import_wh"
    return [Reading(HOME, at, None, wh if is_import else None, None if is_import else wh, meter) for at, wh in points]


def steady(hours: int, step: int, first_wh: int = 7_000_000, at: int = START, watts: int = 500) -> Points:
    return [(at + n, first_wh + n * watts // HOUR) for n in range(0, hours * HOUR + 1, step)]


def pieces(readings: list[Reading]) -> int:
    return len(judge(register_of(readings, "import_wh"), POWER_W).pieces)


def cannot_be(good: tuple[int, int], shown: tuple[int, int]) -> bool:
    """Whether a register cannot show this after a good reading, rounding aside."""
    rise, seconds = shown[1] - good[1], shown[0] - good[0]
    return rise < -ROUNDING_WH or (rise - 1) * HOUR > POWER_W * seconds


@examples(120)
@given(
    meters(),
    st.data(),
    st.sampled_from(["zeros", "restored", "frozen", "high"]),
    st.sampled_from([12, 50, 500, 20_000]),
)
def test_a_stretch_that_a_register_cannot_show_leaves_no_trace(
    case: tuple[str, Points], data: st.DataObject, shows: str, back: int
) -> None:
    zone, points = case
    first, after = data.draw(stretches(points))
    shown = faulty(points, first, after, shows, back, 0)
    assume(points[0][1] > 100_000 and settled(points, after))
    assume(all(cannot_be(points[first - 1], one) for one in shown[first:after]))
    right = outcome_of(readings_of(points[:first] + points[after:]), zone)
    assert outcome_of(readings_of(shown), zone) == right
    check_levels_sum(right)
    assert total(right).import_wh == points[-1][1] - points[0][1]


def settled(points: Points, after: int) -> bool:
    """Whether a register goes on for long enough after a place for its readings to be believed."""
    return after < len(points) and any(at >= points[after][0] + DECIDE_S for at, _ in points[after + 2 :])


def check_sum(store: Store, readings: Sequence[Reading], zone: str, deliver: Deliver, right_wh: int) -> None:
    """Check that a delivery gives the sum of the register, and the documents of all readings at once."""
    for batch in deliver(readings):
        take_in_evidence(store, batch, zone)
    found = documents(store)
    part = total(found)
    assert (part.import_wh, part.export_wh) in ((right_wh, None), (None, right_wh))
    check_levels_sum(found)
    assert found == outcome_of(readings, zone)


@st.composite
def faults(draw: st.DrawFn) -> tuple[str, list[Reading], int]:
    """A zone, the import or export of one meter with a fault, and its energy.

    The fault begins at the second reading or later, and is over for long enough to tell. It shows for at most six days
    what a register cannot show, or repeats or rounds it, or for 20 readings garbage, or for two anything at all.
    """
    zone, points = draw(meters())
    shows, back, seed = draw(st.sampled_from(SHOWN)), draw(st.sampled_from([12, 500, 20_000])), draw(st.integers(0, 99))
    first, after = draw(stretches(points))
    after = min(after, first + {"garbage": 20, "chance": 2}.get(shows, len(points)))
    shown = faulty(points, first, after, shows, back, seed)
    assume(points[0][1] > 100_000 and settled(points, after))
    assume(all(not 0 < points[0][1] - wh <= ROUNDING_WH for _, wh in shown))  # the first reading is lowered by rounding
    return zone, readings_of(shown, channel=draw(CHANNEL)), points[-1][1] - points[0][1]


@examples(48)
@given(faults(), batchings())
def test_a_fault_keeps_the_sum_of_the_register(case: tuple[str, list[Reading], int], deliver: Deliver) -> None:
    zone, readings, right_wh = case
    with fresh_store() as store:
        check_sum(store, readings, zone, deliver, right_wh)


@examples(8)
@given(faults(), batchings())
def test_a_fault_keeps_the_sum_on_dynamodb(case: tuple[str, list[Reading], int], deliver: Deliver) -> None:
    zone, readings, right_wh = case
    with store_of("memory") as store:
        check_sum(store, readings, zone, deliver, right_wh)


def check_clock(store: Store, case: Clocked, channel: str) -> None:
    """Check the sum of readings that contradict each other, in the order in which they are sent."""
    readings = readings_of(case.sent, channel=channel)
    for first in range(0, len(readings), 50):
        take_in(store, readings[first : first + 50], case.zone)
    found, device = documents(store), store.device(HOME)
    part = total(found)
    assert (part.import_wh, part.export_wh) in ((case.energy_wh, None), (None, case.energy_wh))
    check_levels_sum(found)
    assert device is not None
    assert list(verify.differences(store, device)) == []


@examples(40)
@given(wrong_clocks(), CHANNEL)
def test_a_wrong_clock_keeps_the_sum_of_the_register(case: Clocked, channel: str) -> None:
    with fresh_store() as store:
        check_clock(store, case, channel)


@examples(8)
@given(wrong_clocks(), CHANNEL)
def test_a_wrong_clock_keeps_the_sum_on_dynamodb(case: Clocked, channel: str) -> None:
    with store_of("memory") as store:
        check_clock(store, case, channel)


LARGEST = [10**7, 10**8, 10**12, 2**24, 2**31, 2**32, 2**16 * 1000]  # Wh, of registers
JUST_BELOW_WH = 100_000


@examples(24)
@given(meters(), st.data(), st.sampled_from(LARGEST), batchings())
def test_a_rollover_keeps_the_sum(
    case: tuple[str, Points], data: st.DataObject, modulus: int, deliver: Deliver
) -> None:
    """A register that has risen begins again at any reading within a quarter of an hour of the one before."""
    zone, points = case
    rises = [n for n in range(4, len(points)) if points[0][1] < points[n - 1][1] < points[n][1]]
    near = [n for n in rises if points[n][0] - points[n - 1][0] <= 900 and settled(points, n)]
    assume(near)
    place = data.draw(st.sampled_from(near))
    rolled = [(at, (wh - points[place][1]) % modulus) for at, wh in points]
    readings = readings_of(rolled, channel=data.draw(CHANNEL))
    with fresh_store() as store:
        check_sum(store, readings, zone, deliver, points[-1][1] - points[0][1])


@examples(24)
@given(meters(), st.data(), st.booleans(), batchings())
def test_an_exchange_keeps_the_sum_of_both_meters(
    case: tuple[str, Points], data: st.DataObject, has_ids: bool, deliver: Deliver
) -> None:
    """With ids the registers may be any; without, the new one stays below half of a large one, or is far above it.

    Without ids, a register that begins again just below its largest number has rolled over.
    """
    zone, points = case
    place = data.draw(st.integers(1, len(points) - 1))
    last_wh, used_wh = points[place - 1][1], points[-1][1] - points[place][1]
    new_wh = data.draw(st.sampled_from([0, 7, 5000, last_wh // 3, last_wh + 5, last_wh + 10**7]))
    assume(settled(points, place))
    assume(has_ids or not any(0 < largest - last_wh < JUST_BELOW_WH for largest in LARGEST))
    assume(has_ids or (last_wh > 100_000 and (new_wh == last_wh + 10**7 or 2 * (new_wh + used_wh) < last_wh)))
    new = [(at, wh - points[place][1] + new_wh) for at, wh in points[place:]]
    ids, channel = ("a", "b") if has_ids else (None, None), data.draw(CHANNEL)
    readings = readings_of(points[:place], ids[0], channel) + readings_of(new, ids[1], channel)
    with fresh_store() as store:
        check_sum(store, readings, zone, deliver, last_wh - points[0][1] + used_wh)


@pytest.mark.parametrize(("hours", "is_fault"), [(6 * 24 + 22, True), (7 * 24 + 2, False)])
@pytest.mark.parametrize("step", [1800, 3600])
def test_a_stretch_of_less_than_seven_days_is_no_exchange(step: int, hours: int, *, is_fault: bool) -> None:
    """A backup is restored, 2000 kWh too low, and mended days later; readings come in one by one."""
    points = steady(24 * 10, step)
    first = 24 * HOUR // step
    after = first + hours * HOUR // step
    shown = readings_of(faulty(points, first, after, "restored", 2_000_000, 0))
    right = outcome_of(readings_of(points[:first] + points[after:]), "UTC")
    with fresh_store() as store:
        for n in range(0, len(shown), 24):
            take_in_evidence(store, shown[n : n + 24], "UTC")
        assert (documents(store) == right) is is_fault
    assert pieces(shown) == (1 if is_fault else 3)
    assert FAULT_S == 7 * DAY


@pytest.mark.parametrize("modulus", [10**8, 10**9, 2**32, 2**24 * 10])
@pytest.mark.parametrize(("step", "outage_h"), [(60, 0), (60, 1), (60, 7), (10, 0), (3600, 0), (1800, 12)])
def test_a_rollover_counts_what_the_home_used(modulus: int, step: int, outage_h: int) -> None:
    points = [one for one in steady(24, step, 0, watts=2000) if not 2 * HOUR < one[0] - START < (2 + outage_h) * HOUR]
    readings = readings_of([(at, (wh + modulus - 5000) % modulus) for at, wh in points])
    found = outcome_of(readings, "UTC")
    assert total(found).import_wh == 48_000
    judged = judge(register_of(readings, "import_wh"), POWER_W)
    assert [one.modulus_wh for one in judged.rollovers] == [modulus]
    assert len(judged.pieces) == 1


@pytest.mark.parametrize("new_wh", [0, 6_500_000, 60_500_000])
@pytest.mark.parametrize("has_id", [True, False])
@pytest.mark.parametrize("outage_s", [30, 2 * HOUR])
@pytest.mark.parametrize("zeros", [None, (300, 340), (330, 361), (500, 540)])
def test_an_exchange_stays_an_exchange(
    new_wh: int, *, has_id: bool, outage_s: int, zeros: tuple[int, int] | None
) -> None:
    """6 kWh on the old meter, 3 kWh on the new one; twenty minutes of zeros before, until, or after the exchange."""
    old, new = steady(3, 30, watts=2000), steady(3, 30, new_wh, START + 3 * HOUR + outage_s, 1000)
    points = faulty(old + new, *zeros, "zeros", 0, 0) if zeros else old + new
    ids = ("a", "b") if has_id else (None, None)
    readings = readings_of(points[: len(old)], ids[0]) + readings_of(points[len(old) :], ids[1])
    lost = 2000 * 30 * (360 - 329) // HOUR + 1 if zeros and zeros[1] == 361 else 0  # nothing tells what the zeros hid
    assert total(outcome_of(readings, "UTC")).import_wh == 9000 - lost
    assert pieces(readings) == 2
