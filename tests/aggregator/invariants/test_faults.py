"""Invariant 7: a fault leaves no trace; a rollover is counted; an exchange stays an exchange."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.faults import FAULT_S, judge
from aggregator.core.readings import Reading
from aggregator.core.registers import ROUNDING_WH, register_of
from tests.aggregator.invariants.series import DAY, HOME, HOUR, Points, faulty, meters, stretches, utc
from tests.aggregator.invariants.stores import check_levels_sum, documents, outcome_of, take_in_evidence, total
from tests.budgets import examples
from tests.copies import fresh_store

START = utc("2026-03-02T00:00")
POWER_W = Device(HOME).max_power_w


def readings_of(points: Points, meter: str | None = None) -> list[Reading]:
    return [Reading(HOME, at, None, wh, None, meter) for at, wh in points]


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
    settled = (
        next((at for at, _ in points[after + 2 :] if at >= points[after][0] + 300), None)
        if after < len(points)
        else None
    )
    assume(points[0][1] > 100_000 and settled is not None)
    assume(all(cannot_be(points[first - 1], one) for one in shown[first:after]))
    right = outcome_of(readings_of(points[:first] + points[after:]), zone)
    assert outcome_of(readings_of(shown), zone) == right
    check_levels_sum(right)
    assert total(right).import_wh == points[-1][1] - points[0][1]


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
