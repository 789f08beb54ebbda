from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from dashboard.charts.usage_profile import chain_of, so_far
from tests.dashboard.homes import LONDON, NOW, instant, measured

MIDNIGHT = instant("2026-11-23T00:00:00+00:00")


def day(period: str, wh: int = 300) -> Document:
    """Return a day of equal half hours."""
    parts = {half.name: measured(wh) for half in periods.half_hours(period, LONDON)}
    return Document("day", "cad-1", period, LONDON, parts)


def test_a_day_is_compared_up_to_the_same_moment() -> None:
    chain = {"day": day("2026-11-16")}
    assert so_far(chain, "day", MIDNIGHT, LONDON) == EMPTY
    assert so_far(chain, "day", MIDNIGHT + 3600 + 600, LONDON).import_wh == 2 * 300 + 100
    assert so_far(chain, "day", MIDNIGHT + 3600 + 600, LONDON).covered_s == 3600 + 600


def test_the_standing_charge_of_a_day_counts_from_its_first_minute() -> None:
    charged = Document("day", "cad-1", "2026-11-16", LONDON, {}, standing_charge=53)
    assert so_far({"day": charged}, "day", MIDNIGHT + 60, LONDON).cost.standing_charge == 53


def test_a_month_is_compared_by_past_days_and_today_so_far() -> None:
    assert chain_of("month", "2026-10", NOW, LONDON) == {"month": "2026-10", "day": "2026-10-23"}
    month = Document(
        "month", "cad-1", "2026-10", LONDON, {f"d{number:02d}": Part(1000, None) for number in range(1, 32)}
    )
    chain = {"month": month, "day": day("2026-10-23")}
    assert so_far(chain, "month", MIDNIGHT + 3600, LONDON).import_wh == 22 * 1000 + 2 * 300


def test_a_year_is_compared_down_to_the_hour() -> None:
    assert chain_of("year", "2025", NOW, LONDON) == {"year": "2025", "month": "2025-11", "day": "2025-11-23"}


def test_a_missing_day_ends_the_comparison_with_the_month() -> None:
    on_the_30th = instant("2026-03-30T12:00:00+00:00")
    assert chain_of("month", "2026-02", on_the_30th, LONDON) == {"month": "2026-02"}
    month = Document("month", "cad-1", "2026-02", LONDON, {f"d{number:02d}": Part(10, None) for number in range(1, 29)})
    assert so_far({"month": month}, "month", on_the_30th, LONDON).import_wh == 280


def test_an_autumn_day_is_compared_by_its_hours_since_midnight() -> None:
    chain = {"day": day("2026-10-25")}
    assert so_far(chain, "day", MIDNIGHT + 86_399, LONDON).import_wh == 48 * 300 - 1


def test_unknown_parts_are_not_zero() -> None:
    assert so_far({"day": None}, "day", NOW, LONDON) == EMPTY
    assert so_far({}, "month", NOW, LONDON).import_wh is None


@given(st.integers(0, 86_399), st.integers(0, 86_399))
def test_more_time_is_never_less_energy(first: int, second: int) -> None:
    chain = {"day": day("2026-11-16", 317)}
    earlier, later = sorted((first, second))
    sums = [so_far(chain, "day", MIDNIGHT + elapsed, LONDON).import_wh or 0 for elapsed in (earlier, later)]
    assert sums[0] <= sums[1] <= (add(chain["day"].parts.values()).import_wh or 0)
