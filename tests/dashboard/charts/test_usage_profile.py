import pytest

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part
from aggregator.core.periods import DAY_S, HALF_HOUR
from dashboard.charts.usage_profile import USUAL, HalfHourProfile, UsageProfile, always_on, measured, usage_profile_of
from tests.dashboard.homes import LONDON, NOW, Energy, curve, instant
from tests.dashboard.homes import measured as half_hour

DAY = "2026-11-22"


def charts(energy: Energy, days: int = 8, until: int = NOW) -> list[Document]:
    """Return the last day charts of a home, today's up to now."""
    today = periods.day_of(until, LONDON)
    return [chart(periods.shift("day", today, -back), energy, until) for back in reversed(range(days))]


def chart(day: str, energy: Energy, until: int = NOW) -> Document:
    halves = periods.half_hours(day, LONDON)
    return Document("day", "cad-1", day, LONDON, {name: energy(at) for name, at, _ in halves if at < until})


def a_day_of(*powers: int, export_w: int = 0) -> list[HalfHourProfile]:
    """Return a day of half hours that repeat these powers."""
    start = instant("2026-11-22T00:00:00+00:00")
    return [
        HalfHourProfile(start + place * HALF_HOUR, powers[place % len(powers)], export_w, place // 2)
        for place in range(48)
    ]


@pytest.mark.parametrize(
    ("watts", "level"),
    [(None, "unknown"), (-1, "exporting"), (0, "low"), (499, "low"), (500, "medium"), (2000, "high")],
)
def test_unknown_homes_use_the_levels_of_an_in_home_display(watts: int | None, level: str) -> None:
    assert usage_profile_of([], NOW) == USUAL
    assert USUAL.level(watts) == level


@pytest.mark.parametrize(
    ("watts", "percent"), [(0, 0), (250, 100 / 6), (500, 100 / 3), (2000, 200 / 3), (-2000, 200 / 3), (99_999, 100)]
)
def test_each_level_has_a_third_of_the_scale(watts: int, percent: float) -> None:
    assert USUAL.place(watts) == pytest.approx(percent)


def test_the_same_power_is_high_in_a_flat_and_low_elsewhere() -> None:
    flat = usage_profile_of(charts(lambda _: half_hour(60)), NOW)
    house = usage_profile_of(charts(lambda at: half_hour(1000 + at // HALF_HOUR % 10 * 300)), NOW)
    assert flat.is_own
    assert house.is_own
    assert (flat.level(900), house.level(900)) == ("high", "low")


def test_two_fifths_of_half_hours_are_low_one_seventh_high() -> None:
    halves = list(measured(charts(curve)))
    habits = usage_profile_of(charts(curve), NOW)
    levels = [habits.level(half.import_w) for half in halves]
    assert levels.count("low") / len(levels) == pytest.approx(0.40, abs=0.08)
    assert levels.count("high") / len(levels) == pytest.approx(0.15, abs=0.05)


def test_a_lamp_is_not_high_in_a_quiet_home() -> None:
    lamp = UsageProfile(100, 200, is_own=True, base_w=20, base_before_w=20)
    assert usage_profile_of(charts(lambda _: half_hour(10)), NOW) == lamp


def test_less_than_a_day_of_half_hours_gives_no_levels() -> None:
    noon = instant("2026-11-23T12:00:00+00:00")
    assert not usage_profile_of(charts(curve, days=1, until=noon), noon).is_own
    assert usage_profile_of(charts(curve, days=3, until=noon), noon).is_own


def test_estimated_and_half_measured_half_hours_do_not_count() -> None:
    def energy(at: int) -> Part:
        hour = at % DAY_S // 3600
        if hour < 8:
            return Part(2000, None, covered_s=900, estimated_import_wh=900, estimated_s=900)
        return Part(2000, None, covered_s=900) if hour < 16 else half_hour(100) if hour < 20 else EMPTY

    assert [half.import_w for half in measured([chart(DAY, energy)])] == [200] * 8


def test_half_hours_with_export_do_not_count() -> None:
    def energy(at: int) -> Part:
        return half_hour(0, 800) if 8 <= at % DAY_S // 3600 < 18 else half_hour(400, 0)

    assert usage_profile_of(charts(energy), NOW).medium_w == 800


def test_a_mean_counts_the_seconds_measured() -> None:
    assert [half.import_w for half in measured([chart(DAY, lambda _: Part(90, None, covered_s=1620))])] == [200] * 48


def test_always_on_is_the_mean_of_the_lowest_tenth() -> None:
    assert always_on(a_day_of(100, 120, 140, *[900] * 21)) == 116  # of 100, 100, 120, 120, 140


def test_always_on_needs_half_a_day() -> None:
    assert always_on(a_day_of(150)[:23]) is None
    assert always_on(a_day_of(150)[:24]) == 150


def test_the_base_load_of_a_home_with_panels_uses_nights() -> None:
    def energy(at: int) -> Part:
        return half_hour(0, 800) if 8 <= at % DAY_S // 3600 < 18 else half_hour(90, 0)

    assert usage_profile_of(charts(energy), NOW).base_w == 180


def test_a_home_with_panels_needs_a_night_for_its_base_load() -> None:
    noon = [half for half in a_day_of(0, export_w=700) if 5 <= half.hour < 23]
    assert len(noon) == 36
    assert always_on(noon) is None


def test_the_base_load_ignores_last_week() -> None:
    heated_until = instant("2026-11-20T00:00:00+00:00")
    assert usage_profile_of(charts(lambda at: half_hour(500 if at < heated_until else 70)), NOW).base_w == 140
