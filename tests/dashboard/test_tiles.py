import pytest

from aggregator.documents import Document, Live, Part
from dashboard import tiles
from dashboard.slots import Slots
from tests.dashboard.homes import LONDON, NOW, instant, live


def power(state: Live | None) -> Slots:
    return tiles.power(state, NOW, LONDON)


@pytest.mark.parametrize(("watts", "word"), [(120, "low"), (612, "medium"), (2875, "high"), (-5, "exporting")])
def test_the_level_is_a_word_and_not_only_a_colour(watts: int, word: str) -> None:
    slots = power(live("cad-1", watts))
    assert slots["power-badge.children"] == slots["hero.data-level"] == word


def test_export_is_said_and_has_no_minus() -> None:
    slots = power(live("cad-1", -1240))
    assert (slots["power-number.children"], slots["power-unit.children"]) == ("1.24", " kW")


def test_power_that_a_device_does_not_report_is_said_and_is_not_zero() -> None:
    slots = power(live("cad-1", None))
    assert (slots["power-number.children"], slots["power-without.children"]) == ("", "power not reported")
    assert slots["power-badge.children"] == ""
    assert power(live("cad-1", 0))["power-number.children"] == "0"


def test_a_silent_device_shows_its_last_power_as_last_known() -> None:
    slots = power(Live("cad-1", instant("2026-11-23T14:02:00+00:00"), 0, 433, None, None, None))
    assert (slots["power-number.children"], slots["power-badge.children"]) == ("433", "last known")
    assert slots["power-note.children"] == "No reading since 14:02, the device may be offline"
    assert slots["power-age.data-age"] is None


def test_a_late_reading_is_called_late_and_its_age_can_tick() -> None:
    slots = power(live("cad-1", 433, age=75))
    assert (slots["power-age.children"], slots["power-note.children"]) == ("1 min ago", " · late")
    assert slots["power-age.data-age"] == 75


def test_a_device_without_a_reading_waits_for_it() -> None:
    slots = power(None)
    assert slots["power-without.children"] == "no reading yet"
    assert slots["power-note.children"] == "Waiting for the first reading"


@pytest.mark.parametrize(
    ("watts", "percent"), [(0, 0), (250, 100 / 6), (500, 100 / 3), (2000, 200 / 3), (-2000, 200 / 3), (99_999, 100)]
)
def test_each_level_has_a_third_of_the_scale(watts: int, percent: float) -> None:
    assert tiles.place(watts) == pytest.approx(percent)


def test_energy_that_is_unknown_is_not_zero() -> None:
    assert tiles.energy("today", None, "Monday")["today-without.children"] == "no data yet"
    zero = Document("day", "cad-1", "2026-11-23", LONDON, {"h00": Part(0, None, covered_s=3600)})
    assert tiles.energy("today", zero, "Monday")["today-number.children"] == "0"


def test_export_takes_the_place_of_the_note() -> None:
    both = Document("day", "cad-1", "2026-11-23", LONDON, {"h00": Part(100, 1830, covered_s=3600)})
    assert tiles.energy("today", both, "Monday")["today-note.children"] == "1.83 kWh exported"


def test_the_daily_average_counts_known_time_only() -> None:
    parts = {"d01": Part(10_000, None, covered_s=86_400), "d09": Part(5_000, None, covered_s=43_200)}
    assert tiles.month_note(Document("month", "cad-1", "2026-11", LONDON, parts), "2026-11") == "10.0 kWh a day"
    assert tiles.month_note(None, "2026-11") == "November"
