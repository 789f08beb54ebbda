"""The state of a device by the rhythm of its arrivals."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.periods import HOUR
from aggregator.support.device_state import State, arrival_state, by_hour, device_state, is_power_old, rhythm_s

NOW = 1_795_443_600
MIXED_S = (10, 60, 10, 60, 1800, 10, 60, 10)  # of a device with a viewer now and then


def live_state(steps: Iterable[int], age: int, behind: int = 2) -> Live:
    """Return a live state with these steps between arrivals, the last `age` seconds ago, with a slow clock."""
    came = [NOW - age]
    for step in reversed([*steps]):
        came.insert(0, came[0] - step)
    before = tuple(Arrival(at - behind, at) for at in came[:-1])
    return Live("cad-1", came[-1] - behind, came[-1], 612, None, None, None, before[-REMEMBERED:])


@pytest.mark.parametrize(
    ("rhythm", "last_sending", "last_late"),
    [
        pytest.param(10, 60, 600, id="10 s"),
        pytest.param(60, 180, 600, id="60 s"),
        pytest.param(300, 900, 1800, id="5 min"),
        pytest.param(1800, 5400, 10_800, id="gas, half-hourly"),
        pytest.param(2 * HOUR, 6 * HOUR, 12 * HOUR, id="2 h"),
        pytest.param(24 * HOUR, 6 * HOUR, 12 * HOUR, id="a step counts 2 h at most"),
    ],
)
def test_a_device_sends_while_it_keeps_its_rhythm(rhythm: int, last_sending: int, last_late: int) -> None:
    expected: dict[int, State] = {
        0: "sending",
        rhythm if rhythm <= 2 * HOUR else 0: "sending",
        last_sending: "sending",
        last_sending + 1: "late",
        last_late: "late",
        last_late + 1: "silent",
        40 * 24 * HOUR: "silent",
    }
    assert {age: arrival_state(live_state([rhythm] * REMEMBERED, age), NOW) for age in expected} == expected


def test_a_device_without_a_reading_has_never_sent_or_is_supplied() -> None:
    assert device_state(Device("cad-1"), None, NOW) == "never"
    assert device_state(Device("cad-1", longest_interval_s=1800), None, NOW) == "supplied"
    assert device_state(Device("cad-1", longest_interval_s=1800), live_state([10] * 8, 61), NOW) == "late"


def test_a_device_with_one_arrival_has_a_rhythm_of_ten_seconds() -> None:
    assert rhythm_s(live_state([], 0)) == 10
    assert rhythm_s(live_state([300], 0)) == 300
    assert [arrival_state(live_state([], age), NOW) for age in (60, 61, 600, 601)] == [
        "sending",
        "late",
        "late",
        "silent",
    ]


def test_the_rhythm_is_the_median_step() -> None:
    assert rhythm_s(live_state(MIXED_S, 0)) == 10
    assert rhythm_s(live_state([300, 300, 4000, 290, 310], 0)) == 300
    assert rhythm_s(live_state([10, 10, 60, 60, 60], 0)) == 60


def test_edge_blocks_with_jitter_have_a_rhythm_of_half_hours() -> None:
    blocks = [1800 + jitter for jitter in (-200, 100, 0, -30, 250, 30, -100, 0)]
    assert rhythm_s(live_state(blocks, 0)) == 1800
    assert arrival_state(live_state(blocks, 2100), NOW) == "sending"


def test_a_burst_of_edge_blocks_has_a_rhythm_of_half_hours() -> None:
    before = tuple(Arrival(NOW - 1800 * back, NOW - back) for back in range(REMEMBERED, 0, -1))
    live = Live("cad-1", NOW, NOW, 612, None, None, None, before)
    assert rhythm_s(live) == 1800
    assert arrival_state(live, NOW + 1800) == "sending"


def test_the_meters_clock_does_not_affect_the_state() -> None:
    for behind in (-HOUR, 0, 75, HOUR, 30 * 24 * HOUR):
        assert arrival_state(live_state([10] * 8, 20, behind), NOW) == "sending"
        assert arrival_state(live_state([10] * 8, 601, behind), NOW) == "silent"


@given(st.lists(st.integers(1, 10 * HOUR), max_size=REMEMBERED), st.integers(0, 10 * HOUR), st.integers(0, HOUR))
def test_a_silence_never_improves_the_state(steps: list[int], age: int, more: int) -> None:
    order: list[State] = ["sending", "late", "silent"]
    earlier, later = (order.index(arrival_state(live_state(steps, one), NOW)) for one in (age, age + more))
    assert earlier <= later


@given(st.lists(st.integers(1, 2 * HOUR), min_size=1, max_size=REMEMBERED))
def test_a_device_sends_when_its_next_reading_is_due(steps: list[int]) -> None:
    live = live_state(steps, 0)
    assert min(steps) <= rhythm_s(live) <= max(steps)
    assert arrival_state(live, NOW + rhythm_s(live)) == "sending"


def test_a_power_is_old_when_readings_without_it_outlast_three_steps() -> None:
    for rhythm, longest in ((10, 60), (1800, 5400)):
        live = live_state([rhythm] * REMEMBERED, 0)
        assert not is_power_old(live)
        assert not is_power_old(live._replace(power_at=live.at - longest))
        assert is_power_old(live._replace(power_at=live.at - longest - 1))


# Readings by hour

START = NOW // HOUR * HOUR


def expected(ats: list[int], hours: int, now: int) -> list[tuple[int, int]]:
    return [(one.readings, one.expected) for one in by_hour(ats, hours, now)]


@pytest.mark.parametrize("step", [1, 10, 301, 310, 420, 1800, 2 * HOUR, 5 * HOUR])
def test_a_device_in_its_rhythm_misses_nothing(step: int) -> None:
    ats = list(range(START - 24 * HOUR, START, step))
    assert sum(one for one, _ in expected(ats, 24, START - 1)) == len(ats)
    assert [one - whole for one, whole in expected(ats, 24, ats[-1])] == [0] * 24


def test_lost_readings_are_missing_in_their_hour() -> None:
    ats = [at for at in range(START - 2 * HOUR, START, 10) if not 200 <= at - START + HOUR < 230]
    assert expected(ats, 3, START) == [(360, 360), (357, 360), (0, 0)]


def test_a_slower_rhythm_for_hours_misses_nothing() -> None:
    ats = [*range(START - 9 * HOUR, START - 6 * HOUR, 10), *range(START - 6 * HOUR, START, 1800)]
    assert expected(ats, 9, START - 1) == [(360, 360)] * 3 + [(2, 2)] * 6


def test_an_outage_misses_readings_in_the_rhythm_around_it() -> None:
    ats = [*range(START - 6 * HOUR, START - 5 * HOUR, 60), *range(START - 3 * HOUR, START - 2 * HOUR + 1, 60)]
    assert expected(ats, 6, START - 1) == [(60, 60), (0, 60), (0, 60), (60, 60), (1, 60), (0, 60)]


def test_readings_before_the_first_and_of_a_silent_device_are_missing() -> None:
    assert expected([START - 120, START - 60], 2, START) == [(2, 60), (0, 0)]
    assert expected([], 2, START) == [(0, 360), (0, 0)]
    assert expected([START - 400 * 24 * HOUR], 2, START)[0] == (0, 360)
