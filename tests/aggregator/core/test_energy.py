"""Energy from readings: faults of meters and connections never add energy that nobody used."""

from collections.abc import Sequence

import pytest

from aggregator.core.documents import EMPTY, Device, Part, add
from aggregator.core.energy import Evidence, half_hour_parts
from aggregator.core.readings import Reading
from aggregator.core.registers import DECIDE_S, LONGEST_S

START = 1_800_000_000  # the start of a half hour
DAY = 86_400


def imported(*points: tuple[int, int], meter: str | None = None) -> list[Reading]:
    """Import registers in Wh, by seconds after START."""
    return [Reading("d", START + after, None, wh, None, meter) for after, wh in points]


def power(*points: tuple[int, int]) -> list[Reading]:
    """Readings of power in W alone, by seconds after START."""
    return [Reading("d", START + after, watts, None, None) for after, watts in points]


def halves(readings: Sequence[Reading], count: int = 1, max_power_w: int = 100_000) -> list[Part]:
    """The energy of the first half hours after START."""
    edges = [START + 1800 * number for number in range(count + 1)]
    return half_hour_parts(Evidence(readings), edges, Device("d", max_power_w=max_power_w))


# Impossible steps


def test_a_momentary_zero_is_dropped() -> None:
    readings = imported((0, 1000), (60, 1001), (120, 0), (180, 1003), (240, 1004))
    assert halves(readings) == [Part(4, None, covered_s=240)]


def test_zeros_are_dropped_once_the_register_returns() -> None:
    readings = imported((0, 1000), *((60 * n, 0) for n in range(1, 6)), (360, 1006), (420, 1007))
    assert halves(readings) == [Part(7, None, covered_s=420)]


def test_a_spike_is_dropped() -> None:
    readings = imported((0, 1000), (60, 1001), (120, 999_999_999), (180, 1003), (240, 1004))
    assert halves(readings) == [Part(4, None, covered_s=240)]


def test_a_spike_as_first_reading_adds_no_energy() -> None:
    readings = imported((0, 888_888_888), *((60 * n, 1000 + n) for n in range(1, 8)))
    assert halves(readings) == [Part(6, None, covered_s=360)]


def test_a_spike_as_the_newest_reading_is_not_believed() -> None:
    assert halves(imported((0, 1000), (60, 1001), (120, 999_999_999))) == [Part(1, None, covered_s=60)]


def test_the_interval_around_a_dropped_reading_is_one_gap() -> None:
    """1500 and 2100 s after START: over the boundary, and longer than three usual steps."""
    steady = [(60 * n, 1000 + n) for n in (*range(26), *range(35, 61))]
    readings = imported(*steady[:26], (1800, 0), *steady[26:])
    assert halves(readings, 2) == [
        Part(30, None, estimated_import_wh=5, covered_s=1500, estimated_s=300),
        Part(30, None, estimated_import_wh=5, covered_s=1500, estimated_s=300),
    ]


def test_a_meter_exchange_adds_no_energy_across_the_seam() -> None:
    old = imported((0, 50_000), (60, 50_010))
    new = imported(*((120 + 60 * n, 3 + n) for n in range(8)))
    assert halves(old + new) == [Part(10 + 7, None, covered_s=60 + 420)]


def test_a_new_meter_id_is_an_exchange_at_once() -> None:
    """The new meter's register alone would look like normal use."""
    old = imported((0, 50_000), (60, 50_010), meter="old")
    new = imported((120, 50_020), (180, 50_030), meter="new")
    assert halves(old + new) == [Part(10 + 10, None, covered_s=60 + 60)]


def test_readings_without_meter_id_join_the_meter_they_fit() -> None:
    readings = [*imported((0, 1000), meter="a"), *imported((60, 1001)), *imported((120, 1002), meter="a")]
    assert halves(readings) == [Part(2, None, covered_s=120)]


def test_an_exchange_to_a_higher_register_adds_no_energy() -> None:
    old = imported((0, 10), (60, 20))
    new = imported(*((120 + 60 * n, 7_000_000 + n) for n in range(8)))
    assert halves(old + new) == [Part(10 + 7, None, covered_s=60 + 420)]


def test_an_impossible_step_is_undecided_for_five_minutes() -> None:
    believed = imported((0, 50_000), (60, 50_010))
    new = imported((120, 0), (180, 1), (240, 2), (120 + DECIDE_S - 1, 3))
    assert halves(believed + new) == [Part(10, None, covered_s=60)]
    assert halves(believed + new + imported((120 + DECIDE_S, 4))) == [Part(10 + 4, None, covered_s=60 + DECIDE_S)]


def test_an_impossible_step_is_undecided_until_two_readings_follow() -> None:
    believed = imported((0, 50_000), (60, 50_010))
    assert halves(believed + imported((120, 0), (1000, 1))) == [Part(10, None, covered_s=60)]
    assert halves(believed + imported((120, 0), (1000, 1), (1060, 2))) == [Part(10 + 2, None, covered_s=60 + 940)]


def test_an_impossible_reading_with_inconsistent_followers_is_dropped() -> None:
    noise = imported((120, 0), (180, 900_000), (240, 5), (300, 700_000), (360, 9), (420, 800_000), (480, 3))
    good = imported((540, 50_090), (600, 50_100))
    readings = imported((0, 50_000), (60, 50_010)) + noise + good
    assert halves(readings) == [Part(100, None, covered_s=600)]


def test_a_register_that_rises_faster_than_the_maximum_power_is_quarantined() -> None:
    readings = imported(*((60 * n, 1001 * n) for n in range(20)))  # 60 kW
    assert halves(readings) == [Part(19_019, None, covered_s=1140)]
    assert halves(readings, max_power_w=50_000) == [EMPTY]


def test_a_register_of_whole_kwh_may_count_one_at_once() -> None:
    readings = imported(*((10 * n, 189_000 + 1000 * (n // 60)) for n in range(180)))  # 6 kW, and 360 kW for 10 s
    assert halves(readings) == [Part(2000, None, covered_s=1790)]
    assert halves(imported((0, 189_000), (10, 191_000))) == [EMPTY]


@pytest.mark.parametrize(("rise", "counts"), [(84, True), (85, False)])
def test_one_watt_hour_beyond_the_maximum_power_may_be_rounding(rise: int, *, counts: bool) -> None:
    """5 kW for a minute are 83.3 Wh."""
    readings = imported((0, 1000), (60, 1000 + rise))
    assert (halves(readings, max_power_w=5000) == [Part(rise, None, covered_s=60)]) is counts


def test_import_and_export_are_judged_independently() -> None:
    pairs = [(1000, 500), (1001, 0), (0, 502), (1003, 503), (1004, 504)]
    readings = [Reading("d", START + 60 * n, None, *pair) for n, pair in enumerate(pairs)]
    assert halves(readings) == [Part(4, 4, covered_s=240)]


def test_an_exchange_of_one_register_leaves_the_other_unchanged() -> None:
    imports = [50_000, 50_010, 0, 1, 2, 3, 4, 5, 6]
    readings = [Reading("d", START + 60 * n, None, wh, n) for n, wh in enumerate(imports)]
    assert halves(readings) == [Part(10 + 6, 8, covered_s=60 + 360)]


# Time between readings


def test_an_outage_is_spread_evenly_and_marked_estimated() -> None:
    readings = imported((0, 1000), (900, 1100), (4500, 4700), (5400, 4800))
    assert halves(readings, 3) == [
        Part(1000, None, estimated_import_wh=900, covered_s=900, estimated_s=900),
        Part(1800, None, estimated_import_wh=1800, covered_s=0, estimated_s=1800),
        Part(1000, None, estimated_import_wh=900, covered_s=900, estimated_s=900),
    ]


def test_an_indivisible_outage_loses_no_watt_hour() -> None:
    parts = halves(imported((7, 1000), (5391, 1100)), 3)
    assert [part.import_wh for part in parts] == [33, 33, 34]
    assert add(parts) == Part(100, None, estimated_import_wh=100, covered_s=0, estimated_s=5384)


def test_a_step_over_five_minutes_across_a_boundary_is_estimated() -> None:
    assert add(halves(imported((1650, 0), (1950, 10)), 2)) == Part(10, None, covered_s=300)
    assert add(halves(imported((1650, 0), (1951, 10)), 2)) == Part(10, None, 10, 0, covered_s=0, estimated_s=301)


def test_a_gap_inside_one_half_hour_stays_exact() -> None:
    assert halves(imported((1, 1000), (1799, 1007))) == [Part(7, None, covered_s=1798)]


def test_half_hourly_history_on_boundaries_is_measured() -> None:
    readings = imported((0, 1000), (1800, 1250), (3600, 1600))
    assert halves(readings, 2) == [Part(250, None, covered_s=1800), Part(350, None, covered_s=1800)]


def test_half_hourly_history_off_boundaries_is_measured() -> None:
    """A gap is longer than the device's own rhythm: a gas meter reports every half hour."""
    parts = halves(imported((-60, 10_000), (1740, 10_250), (3540, 10_600)))
    assert parts == [Part(242 + 11, None, covered_s=1800)]


def test_energy_across_an_hour_boundary_is_not_lost() -> None:
    readings = imported((3500, 1000), (3590, 1010), (3610, 1030), (3700, 1040))
    parts = halves(readings, 4)
    assert parts[1] == Part(20, None, covered_s=100)
    assert parts[2] == Part(20, None, covered_s=100)
    assert add(parts).import_wh == 1040 - 1000


def test_no_energy_is_known_outside_the_readings() -> None:
    assert halves(imported((1900, 5), (1960, 6)), 3) == [EMPTY, Part(1, None, covered_s=60), EMPTY]


def test_a_single_reading_gives_no_energy() -> None:
    assert halves([]) == halves(imported((60, 1000))) == halves(power((60, 500))) == [EMPTY]
    assert halves([Reading("d", START, 500, 1000, 20)]) == [EMPTY]


def test_a_constant_register_is_zero_not_missing() -> None:
    assert halves(imported((0, 1000), (1800, 1000))) == [Part(0, None, covered_s=1800)]


def test_no_energy_is_spread_over_more_than_400_days() -> None:
    longest = imported((0, 0), (LONGEST_S, 9600))
    assert halves(longest) == [Part(0, None, covered_s=0, estimated_s=1800)]
    assert add(halves(longest, 48)).import_wh == 24
    assert halves(imported((0, 0), (LONGEST_S + 1, 9600)), 48) == [EMPTY] * 48
    assert LONGEST_S == 400 * DAY


# Power without a register


def test_power_alone_is_held_to_the_next_reading() -> None:
    assert halves(power((0, 3600), (100, 7200), (200, 0))) == [Part(100 + 200, 0, covered_s=200)]


def test_power_alone_is_held_for_at_most_five_minutes() -> None:
    assert halves(power((0, 3600), (300, 0))) == [Part(300, 0, covered_s=300)]
    assert halves(power((0, 3600), (1500, 0))) == [Part(300, 0, covered_s=300)]


def test_held_power_is_divided_at_a_boundary() -> None:
    assert halves(power((1700, 3600), (1850, 0)), 2) == [Part(100, 0, covered_s=100), Part(50, 0, covered_s=50)]


def test_negative_power_is_export() -> None:
    assert halves(power((0, -1200), (300, 1200), (600, 0))) == [Part(100, 100, covered_s=600)]


def test_a_missing_power_is_not_held() -> None:
    readings = [*power((0, 3600)), Reading("d", START + 60, None, None, None), *power((120, 0))]
    assert halves(readings) == [Part(60, 0, covered_s=60)]


@pytest.mark.parametrize("watts", [100_001, -100_001, 10_000_000])
def test_implausible_power_ends_the_hold_uncounted(watts: int) -> None:
    assert halves(power((0, 3600), (60, watts), (120, 3600), (180, 0))) == [Part(120, 0, covered_s=120)]


def test_implausible_power_leaves_the_register_unchanged() -> None:
    readings = [Reading("d", START + 60 * n, 9_999_999, 1000 + n, None) for n in range(4)]
    assert halves(readings) == [Part(3, None, covered_s=180)]


def test_power_between_two_register_readings_is_not_counted_twice() -> None:
    readings = [*imported((0, 1000)), *power((60, 99_000)), *imported((120, 1002))]
    assert halves(readings) == [Part(2, None, covered_s=120)]


def test_power_counts_after_a_register_goes_silent() -> None:
    readings = [*imported((0, 1000), (60, 1002)), *power((60 + 60, 3600), (180, 0))]
    assert halves(readings) == [Part(2 + 60, 0, covered_s=60 + 60)]
