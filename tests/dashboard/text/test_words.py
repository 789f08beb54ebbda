import pytest

from aggregator.core.periods import LEVELS, local
from dashboard.text import words
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, instant


@pytest.mark.parametrize(
    ("power_w", "text"), [(0, "0 W"), (612, "612 W"), (999, "999 W"), (1000, "1.00 kW"), (-1240, "1.24 kW")]
)
def test_power_is_watts_below_a_kilowatt(power_w: int, text: str) -> None:
    assert str(words.power(power_w, ENGLISH)) == text


@pytest.mark.parametrize(
    ("wh", "text"),
    [
        (0, "0 kWh"),
        (7, "7 Wh"),
        (840, "0.84 kWh"),
        (8_400, "8.40 kWh"),
        (9_994, "9.99 kWh"),
        (9_995, "10.0 kWh"),
        (45_670, "45.7 kWh"),
        (99_949, "99.9 kWh"),
        (99_950, "100 kWh"),
        (3_062_400, "3,062 kWh"),
    ],
)
def test_energy_has_decimals_by_its_size(wh: int, text: str) -> None:
    assert str(words.energy(wh, ENGLISH)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (50, "50 s"),
        (600, "10 min"),
        (3600, "1 h"),
        (7800, "2 h 10 min"),
        (47 * 3600, "47 h"),
        (50 * 3600, "2 days 2 h"),
        (25 * 3600 + 86_400, "2 days 1 h"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: int, text: str) -> None:
    assert words.duration(seconds, ENGLISH) == text


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0 s ago"), (4, "4 s ago"), (59, "59 s ago"), (119, "1 min ago")])
def test_an_age_is_seconds_and_then_minutes(seconds: int, text: str) -> None:
    assert words.ago(seconds, ENGLISH) == text


@pytest.mark.parametrize(
    ("at", "text"),
    [
        ("2026-11-23T14:02:00+00:00", "14:02"),
        ("2026-11-22T14:02:00+00:00", "14:02 on Sunday 22 November"),
        ("2025-07-01T14:02:00+00:00", "15:02 on 1 July 2025"),
    ],
)
def test_an_instant_is_local_and_dated_unless_it_is_today(at: str, text: str) -> None:
    assert words.since(instant(at), NOW, LONDON, ENGLISH) == text


def test_periods_are_named_in_full() -> None:
    names = [
        words.period_name(*pair, ENGLISH) for pair in (("day", "2026-11-23"), ("month", "2026-11"), ("year", "2026"))
    ]
    assert names == ["Monday 23 November 2026", "November 2026", "2026"]


def test_a_zone_without_letters_is_named_by_its_offset() -> None:
    assert words.zone_name(local(NOW, "Australia/Lord_Howe")) == "UTC+11"
    assert words.zone_name(local(NOW, "Asia/Kathmandu")) == "UTC+05:45"
    assert words.zone_name(local(NOW, LONDON)) == "GMT"


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(12, 100, "12 %"), (-12, 100, "12 %"), (4, 1000, "under 1 %"), (300, 200, "150 %")]
)
def test_a_share_is_whole_percent_and_never_zero(part: int, whole: int, text: str) -> None:
    assert words.percent(part, whole, ENGLISH) == text


def test_every_level_has_its_words_and_every_part_a_name() -> None:
    assert words.LEVEL_WORDS.keys() == LEVELS.keys()
    assert all(words.LEVEL_WORDS[row.child].columns for row in LEVELS.values() if row.child)
