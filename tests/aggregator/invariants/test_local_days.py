"""Invariant 6: local days have their length in the home's zone."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given

from aggregator.core.documents import Device, add, as_json
from aggregator.core.readings import Reading
from tests.aggregator.invariants.reference import first_instant
from tests.aggregator.invariants.series import HALF_HOUR, HOME, HOUR, Series, clean, utc
from tests.aggregator.invariants.stores import KINDS, outcome, take_in, total
from tests.budgets import examples
from tests.copies import fresh_store


@examples(24)
@given(clean(kinds=("i",)), KINDS)
def test_local_day_energy_is_between_local_midnights(series: Series, kind: str) -> None:
    """A day's energy is the register's difference between its two local midnights."""
    found = outcome(series, kind)
    known = [(reading.at, reading.import_wh or 0) for reading in series.readings]

    def register_at(at: int) -> int:
        for (one, low), (other, high) in pairwise(known):
            if one <= at <= other:
                return low + (high - low) * (at - one) // (other - one)
        return known[0][1] if at < known[0][0] else known[-1][1]

    for (level, period), (zone, parts) in found.items():
        assert zone == series.zone
        if level == "day":
            day = date.fromisoformat(period)
            start, end = first_instant(day, zone), first_instant(day + timedelta(days=1), zone)
            chart = add(part for name, part in parts.items() if name[0] == "h")
            assert chart.import_wh == register_at(end) - register_at(start)
            assert all(int(name[1:]) < -(-(end - start) // HOUR) for name in parts if name[0] == "h")
            assert all(int(name[1:]) < -(-(end - start) // HALF_HOUR) for name in parts if name[0] == "s")


@pytest.mark.parametrize(
    ("zone", "day", "hours", "last_hour_s"),
    [
        ("Europe/London", "2026-03-29", 23, HOUR),
        ("Europe/London", "2025-10-26", 25, HOUR),
        ("Australia/Lord_Howe", "2026-04-05", 25, HALF_HOUR),
        ("Australia/Lord_Howe", "2025-10-05", 24, HALF_HOUR),
        ("America/St_Johns", "2026-03-08", 23, HOUR),
        ("Asia/Kathmandu", "2026-03-29", 24, HOUR),
        ("Antarctica/Troll", "2026-03-29", 22, HOUR),
        ("Antarctica/Troll", "2025-10-26", 26, HOUR),
        ("America/Havana", "2026-03-08", 23, HOUR),
        ("America/Havana", "2025-11-02", 25, HOUR),
    ],
)
def test_local_days_are_local_where_the_clocks_change(zone: str, day: str, hours: int, last_hour_s: int) -> None:
    """1 Wh a second: each part shows its own length."""
    start = first_instant(date.fromisoformat(day), zone) - HOUR
    readings = [Reading(HOME, start + n * 900, None, n * 900, None) for n in range(4 * 30)]
    with fresh_store() as store:
        store.put_device(Device(HOME, zone, max_power_w=10_000))
        take_in(store, readings, zone)
        document = store.document("day", HOME, day)
        assert document is not None
        parts = as_json(document)["parts"]
        assert isinstance(parts, list)
        assert [part["import_wh"] for part in parts] == [HOUR] * (hours - 1) + [last_hour_s]
        assert all(part["coverage"] == 1 for part in parts)


def test_local_days_are_local_and_a_skipped_date_has_no_document() -> None:
    start = utc("2011-12-28T00:00")
    readings = [Reading(HOME, start + n * HALF_HOUR, None, n * 100, None) for n in range(48 * 6)]
    found = outcome(Series("Pacific/Apia", readings))
    days = [period for level, period in found if level == "day"]
    assert "2011-12-29" in days
    assert "2011-12-31" in days
    assert "2011-12-30" not in days
    assert "d30" not in found["month", "2011-12"][1]
    assert total(found).import_wh == 100 * (48 * 6 - 1)
