"""The demo's households: plausible loads, and registers that are the integral of power."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.readings import Reading
from aggregator.demo.households import ARCHETYPES, Household, households
from aggregator.demo.simulator import FITTED, TICK_S, arrivals, history, reading

HALF_HOUR = 1800
HOUR = 3600
DAY = 86_400
LONDON = "Europe/London"

FAMILY, SOLAR, EV, FLAKY, FLAT, BERLIN = households(len(ARCHETYPES), 1)


def midnight(day: str, zone: str = LONDON) -> int:
    return periods.day_start(day, zone)


def ticks(household: Household, start: int, end: int) -> list[Reading]:
    return list(history(household, start, end, TICK_S))


def energy(household: Household, first: str, last: str) -> int:
    """Return the Wh imported from the start of one day to the start of another."""
    return imported(household, midnight(first), midnight(last))


def imported(household: Household, start: int, end: int) -> int:
    return (reading(household, end).import_wh or 0) - (reading(household, start).import_wh or 0)


def exported(household: Household, start: int, end: int) -> int:
    return (reading(household, end).export_wh or 0) - (reading(household, start).export_wh or 0)


def mean_energy(household: Household, weekend: bool, from_h: int, to_h: int) -> float:
    """Return the mean Wh imported between two hours on winter's weekdays or weekends."""
    days = [midnight(periods.shift("day", "2024-01-08", number)) for number in range(56)]
    chosen = [day for number, day in enumerate(days) if (number % 7 >= 5) is weekend]  # 8 January was a Monday
    return sum(imported(household, day + from_h * HOUR, day + to_h * HOUR) for day in chosen) / len(chosen)


class TestSameSeed:
    def test_the_same_seed_gives_the_same_readings(self) -> None:
        again = households(4, 1)[0]
        start = midnight("2024-03-01")
        assert ticks(again, start, start + HOUR) == ticks(FAMILY, start, start + HOUR)

    def test_another_seed_changes_readings_not_devices(self) -> None:
        other = households(1, 2)[0]
        start = midnight("2024-03-01")
        assert other.device_id == FAMILY.device_id
        assert [r.power_w for r in ticks(other, start, start + HOUR)] != [
            r.power_w for r in ticks(FAMILY, start, start + HOUR)
        ]

    def test_a_restarted_process_continues_the_same_figures(self) -> None:
        code = "from aggregator.demo.simulator import *; print(*[reading(h, 1710000000)[:5] for h in households(3, 1)])"
        shown = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": "4711"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown.strip() == " ".join(str(reading(h, 1_710_000_000)[:5]) for h in (FAMILY, SOLAR, EV))

    def test_half_hours_ticks_and_single_readings_agree(self) -> None:
        start = midnight("2024-05-04")
        by_tick = {r.at: r for r in ticks(SOLAR, start, start + DAY)}
        half_hourly = list(history(SOLAR, start, start + DAY, HALF_HOUR))
        assert len(half_hourly) == 48
        assert half_hourly == [by_tick[r.at]._replace(power_w=None) for r in half_hourly]
        assert all(reading(SOLAR, r.at) == by_tick[r.at] for r in half_hourly)


class TestTable:
    def test_the_first_four_homes_are_family_solar_ev_and_flaky(self) -> None:
        assert [h.device_id for h in households(4, 1)] == ["demo-family", "demo-solar", "demo-ev", "demo-flaky"]
        assert [h.flaky for h in households(4, 1)] == [False, False, False, True]

    def test_further_homes_repeat_with_numbers_and_their_own_habits(self) -> None:
        crowd = households(2 * len(ARCHETYPES), 1)
        twin = crowd[len(ARCHETYPES)]
        assert twin.device_id == "demo-family-2"
        assert len({h.device_id for h in crowd}) == len({h.meter_id for h in crowd}) == len(crowd)
        assert energy(twin, "2024-02-01", "2024-02-02") != energy(FAMILY, "2024-02-01", "2024-02-02")

    def test_a_smaller_count_gives_the_same_first_homes(self) -> None:
        assert households(2, 1) == households(9, 1)[:2]

    def test_zero_households_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="0 households"):
            households(0, 1)


class TestRegisters:
    @pytest.mark.parametrize("household", [FAMILY, SOLAR, BERLIN], ids=lambda h: h.device_id)
    def test_the_register_is_the_integral_of_the_power(self, household: Household) -> None:
        """Over a day the sum of ticks differs from the registers by less than one Wh."""
        start = midnight("2024-04-20")
        day = ticks(household, start, start + DAY)
        taken = given = 0
        for tick in day:
            assert abs((tick.import_wh or 0) - (day[0].import_wh or 0) - taken / 3600) < 1
            assert abs((tick.export_wh or 0) - (day[0].export_wh or 0) - given / 3600) < 1
            taken += TICK_S * max(tick.power_w or 0, 0)
            given += TICK_S * max(-(tick.power_w or 0), 0)

    def test_registers_never_fall_from_second_to_second(self) -> None:
        start = midnight("2024-04-20") + 11 * HOUR
        seconds = [reading(SOLAR, at) for at in range(start, start + 120)]
        assert all(a.import_wh <= b.import_wh and a.export_wh <= b.export_wh for a, b in pairwise(seconds))  # type: ignore[operator]

    @pytest.mark.parametrize("household", [FAMILY, SOLAR, EV, FLAKY], ids=lambda h: h.device_id)
    def test_registers_never_fall_over_months(self, household: Household) -> None:
        months = list(history(household, midnight("2024-01-30"), midnight("2024-04-05"), HALF_HOUR))
        assert all(a.import_wh <= b.import_wh and a.export_wh <= b.export_wh for a, b in pairwise(months))  # type: ignore[operator]

    def test_power_varies_from_tick_to_tick(self) -> None:
        start = midnight("2024-03-05") + 12 * HOUR
        powers = [r.power_w for r in ticks(FAMILY, start, start + HOUR)]
        assert sum(a != b for a, b in pairwise(powers)) > len(powers) / 2

    def test_a_home_without_panels_never_exports(self) -> None:
        june = list(history(FAMILY, midnight("2024-06-01"), midnight("2024-06-08"), HALF_HOUR))
        assert {r.export_wh for r in june} == {0}

    def test_half_hourly_history_has_no_power(self) -> None:
        start = midnight("2024-06-01")
        assert {r.power_w for r in history(FAMILY, start, start + DAY, HALF_HOUR)} == {None}

    def test_no_reading_precedes_the_meters_fitting(self) -> None:
        fitted = midnight(FITTED)
        assert next(history(FAMILY, fitted - DAY, fitted + DAY, HALF_HOUR)).at == fitted
        assert arrivals(FAMILY, fitted - DAY, fitted - 1) == []


class TestHabits:
    def test_solar_exports_around_noon_in_june_and_never_at_night(self) -> None:
        days = [midnight(f"2024-06-{date:02d}") for date in range(1, 15)]
        assert sum(exported(SOLAR, day + 11 * HOUR, day + 15 * HOUR) for day in days) > 14 * 2000
        assert all(exported(SOLAR, day + 22 * HOUR, day + 27 * HOUR) == 0 for day in days)

    def test_panels_give_more_in_june_than_in_december(self) -> None:
        june = exported(SOLAR, midnight("2024-06-01"), midnight("2024-06-29"))
        december = exported(SOLAR, midnight("2024-12-01"), midnight("2024-12-29"))
        assert june > 5 * december

    def test_the_car_charges_at_night_on_some_days(self) -> None:
        nights = [midnight(f"2024-03-{date:02d}") for date in range(1, 29)]
        charged = [imported(EV, night + HOUR, night + 2 * HOUR) > 6000 for night in nights]
        assert 6 < sum(charged) < 22
        assert all(imported(FAMILY, night + HOUR, night + 2 * HOUR) < 1000 for night in nights)

    def test_people_get_up_later_at_the_weekend(self) -> None:
        mornings = {weekend: mean_energy(FLAKY, weekend, 6, 8) for weekend in (False, True)}
        assert mornings[False] > 1.5 * mornings[True]

    def test_more_is_used_in_the_daytime_at_the_weekend(self) -> None:
        middays = {weekend: mean_energy(FAMILY, weekend, 9, 17) for weekend in (False, True)}
        assert middays[True] > 1.3 * middays[False]

    @pytest.mark.parametrize("household", [FAMILY, SOLAR, EV, FLAT, BERLIN], ids=lambda h: h.device_id)
    def test_winter_takes_more_than_summer(self, household: Household) -> None:
        assert energy(household, "2024-01-02", "2024-02-27") > 1.1 * energy(household, "2024-05-14", "2024-07-09")

    def test_a_week_in_summer_is_spent_away(self) -> None:
        weeks = [
            energy(FAMILY, first, periods.shift("day", first, 7))
            for first in (periods.shift("day", "2024-07-01", 7 * week) for week in range(9))
        ]
        assert sum(week < 35_000 for week in weeks) == 1

    @pytest.mark.parametrize(
        ("household", "least", "most"),
        [(FAMILY, 8, 12), (EV, 15, 25), (FLAT, 4, 8), (FLAKY, 5, 9)],
        ids=lambda value: value.device_id if isinstance(value, Household) else str(value),
    )
    def test_annual_energy_is_typical_of_a_british_home(self, household: Household, least: int, most: int) -> None:
        assert least * 1000 < energy(household, "2024-01-01", "2025-01-01") / 366 < most * 1000

    def test_power_stays_between_standby_and_fuse(self) -> None:
        start = midnight("2024-02-05")
        powers = sorted(r.power_w or 0 for r in ticks(FAMILY, start, start + 7 * DAY))
        assert 70 < powers[len(powers) // 20] < 250
        assert powers[0] > 0
        assert 2500 < powers[-1] < 20_000


class TestClockChanges:
    @pytest.mark.parametrize(("day", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
    def test_days_of_23_and_25_hours_are_complete(self, day: str, hours: int) -> None:
        start, end = periods.window("day", day, LONDON)
        readings = ticks(FAMILY, start, end)
        assert len(readings) == hours * 360
        assert min(r.power_w or 0 for r in readings) > 60
        assert abs(sum(r.power_w or 0 for r in readings) * TICK_S / 3600 - imported(FAMILY, start, end)) < 1

    def test_sun_and_breakfast_shift_with_the_clock_change(self) -> None:
        change, following = (midnight(day) for day in ("2024-03-31", "2024-04-01"))
        assert exported(SOLAR, change, change + 5 * HOUR) == 0
        assert exported(SOLAR, change + 20 * HOUR, following) == 0

    def test_another_time_zone_has_its_own_midnight(self) -> None:
        start = midnight("2024-06-01", BERLIN.timezone)
        assert start == midnight("2024-06-01") - HOUR
        assert len(ticks(BERLIN, start, start + DAY)) == 8640


class TestConnection:
    START = midnight("2024-02-01")
    END = midnight("2024-03-15")  # long enough for several outages of every kind

    def test_a_good_connection_delivers_every_tick_once_immediately(self) -> None:
        received = arrivals(FAMILY, self.START, self.START + HOUR)
        assert [r.at for r in received] == list(range(self.START + TICK_S, self.START + HOUR + 1, TICK_S))

    def test_a_flaky_connection_loses_some_readings(self) -> None:
        half_hours = [r.at for r in history(FLAKY, self.START, self.END, HALF_HOUR)]
        missing = (self.END - self.START) // HALF_HOUR - len(half_hours)
        assert 20 < missing < 400
        assert max(b - a for a, b in pairwise(half_hours)) >= 3 * HOUR
        sound = replace(FLAKY, flaky=False)
        assert len(list(history(sound, self.START, self.END, HALF_HOUR))) == missing + len(half_hours)

    def test_late_and_repeated_arrivals_are_correct(self) -> None:
        sound = replace(FLAKY, flaky=False)
        assert all(r == reading(sound, r.at) for r in arrivals(FLAKY, self.START, self.START + DAY))

    def test_a_flaky_connection_repeats_delays_and_reorders(self) -> None:
        received = [r.at for r in arrivals(FLAKY, self.START, self.START + 7 * DAY)]
        assert len(received) > len(set(received))
        assert received != sorted(received)

    def test_buffered_readings_arrive_in_a_burst_after_an_outage(self) -> None:
        received = [r.at for r in arrivals(FLAKY, self.START, self.START + 14 * DAY)]
        newest = accumulate(received, max)
        late = [at for at, latest in zip(received, newest, strict=True) if latest - at > 120]
        assert len(late) > 20
        assert late != sorted(late)

    def test_during_an_outage_nothing_arrives(self) -> None:
        half_hours = [r.at for r in history(FLAKY, self.START, self.END, HALF_HOUR)]
        gap, last = max((following - at, at) for at, following in pairwise(half_hours))
        assert arrivals(FLAKY, last + HALF_HOUR, last + gap - HALF_HOUR) == []

    def test_live_readings_equal_history(self) -> None:
        end = self.START + 7 * DAY
        received = arrivals(FLAKY, self.START - 1, end + DAY)
        assert sorted({r for r in received if self.START <= r.at < end}) == ticks(FLAKY, self.START, end)

    @pytest.mark.parametrize("household", [FAMILY, FLAKY], ids=lambda h: h.device_id)
    @pytest.mark.parametrize("step", [7, 10, 3700])
    def test_frequent_and_single_polls_find_the_same_arrivals(self, household: Household, step: int) -> None:
        start, end = self.START + 6 * HOUR, self.START + 18 * HOUR if step > 60 else self.START + 7 * HOUR
        looks = [*range(start, end, step), end]
        pieces = [r for since, until in pairwise(looks) for r in arrivals(household, since, until)]
        assert pieces == arrivals(household, start, end)

    @pytest.mark.parametrize("household", [FAMILY, FLAKY], ids=lambda h: h.device_id)
    def test_history_in_two_calls_equals_one_call(self, household: Household) -> None:
        middle = self.START + 20 * DAY + 13
        parts = [
            *history(household, self.START, middle, HALF_HOUR),
            *history(household, middle, self.END, HALF_HOUR),
        ]
        assert parts == list(history(household, self.START, self.END, HALF_HOUR))
