"""Periods: the days of every zone are contiguous; unusual days are named."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import Level
from tests.budgets import examples

ZONES = sorted(zone for zone in available_timezones() if zone not in ("localtime", "Factory"))
INSTANTS = st.integers(946_684_800, 2_208_988_800)  # 2000 to 2040


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@st.composite
def places(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and an instant, often within a day of a clock change."""
    zone, at = draw(st.sampled_from(ZONES)), draw(INSTANTS)
    if draw(st.integers(0, 3)):
        clock = ZoneInfo(zone)
        low, high = at, at + 200 * 86_400
        offset = datetime.fromtimestamp(low, clock).utcoffset()
        if datetime.fromtimestamp(high, clock).utcoffset() != offset:
            while high - low > 1:
                middle = (low + high) // 2
                same = datetime.fromtimestamp(middle, clock).utcoffset() == offset
                low, high = (middle, high) if same else (low, middle)
            at = high + draw(st.sampled_from([-86_400, -3600, -61, -60, -1, 0, 1, 59, 60, 1800, 3600, 7200, 86_400]))
    return zone, at


@examples(400)
@given(places())
def test_an_instant_lies_in_exactly_one_window(place: tuple[str, int]) -> None:
    zone, at = place
    for level in periods.LEVELS:
        period = periods.period_of(level, at, zone)
        start, end = periods.window(level, period, zone)
        assert start <= at < end
        assert periods.window(level, periods.shift(level, period, 1), zone).start == end
        assert periods.window(level, periods.shift(level, period, -1), zone).end == start
        assert periods.check_period(level, period) == period
        assert periods.shift(level, periods.shift(level, period, 7), -7) == period


@examples(400)
@given(places())
def test_the_parts_of_a_period_fill_it_without_gaps(place: tuple[str, int]) -> None:
    zone, at = place
    for level in periods.LEVELS:
        period = periods.period_of(level, at, zone)
        window = periods.window(level, period, zone)
        kinds = [periods.slots(level, period, zone)]
        kinds += [periods.half_hours(period, zone)] if level == "day" else []
        for slots in kinds:
            assert (slots[0].start, slots[-1].end) == window
            assert all(one.end == other.start for one, other in pairwise(slots))
            assert len({slot.name for slot in slots}) == len(slots)
            assert [slot.name for slot in slots] == sorted(slot.name for slot in slots)


@examples(400)
@given(places())
def test_an_hour_contains_its_half_hours(place: tuple[str, int]) -> None:
    zone, at = place
    day = periods.day_of(at, zone)
    hour = periods.hour_window(at, zone)
    assert hour.start <= at < hour.end
    named = {slot.name: slot for slot in periods.slots("day", day, zone)}
    inside = [slot for slot in periods.half_hours(day, zone) if hour.start <= slot.start < hour.end]
    assert {periods.hour_of_half(slot.name) for slot in inside} == {
        name for name, slot in named.items() if (slot.start, slot.end) == hour
    }
    start = periods.window("day", day, zone).start
    assert datetime.fromtimestamp(start, ZoneInfo(zone)).date().isoformat() == day
    assert datetime.fromtimestamp(start - 1, ZoneInfo(zone)).date().isoformat() < day


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Pacific/Apia", "2011-12-30", 0),  # skipped: the date line moved
        ("Antarctica/Casey", "2020-10-04", 21),
        ("Antarctica/Troll", "2026-03-29", 22),
        ("Antarctica/Troll", "2025-10-26", 26),
        ("Europe/London", "2026-03-29", 23),
        ("Europe/London", "2025-10-26", 25),
        ("Europe/London", "2026-06-01", 24),
        ("Australia/Lord_Howe", "2025-10-05", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Kathmandu", "2026-03-29", 24),
        ("America/St_Johns", "2010-11-07", 25),  # back at 00:01: the evening before comes again, after midnight
        ("America/St_Johns", "2010-11-06", 24),
        ("America/Havana", "2026-03-08", 23),  # no midnight
        ("America/Havana", "2025-11-02", 25),  # two midnights
        ("Asia/Pyongyang", "2018-05-04", 23.5),
        ("America/Caracas", "2007-12-09", 24.5),
    ],
)
def test_unusual_local_days_have_their_historical_length(zone: str, day: str, hours: float) -> None:
    start, end = periods.window("day", day, zone)
    assert (end - start) / 3600 == hours
    assert len(periods.half_hours(day, zone)) == hours * 2
    assert len(periods.slots("day", day, zone)) == -(-hours // 1)


@given(places())
def test_local_time_text_round_trips_to_its_instant(place: tuple[str, int]) -> None:
    zone, at = place
    text = periods.iso_local(at, zone)
    assert int(datetime.fromisoformat(text).timestamp()) == at
    assert text == periods.local(at, zone).isoformat()


def test_half_hours_count_from_local_midnight_in_quarter_hour_zones() -> None:
    assert periods.half_hours("2026-03-29", "Asia/Kathmandu")[0] == (
        "s00",
        utc("2026-03-28T18:15"),
        utc("2026-03-28T18:45"),
    )
    assert periods.block_start(utc("2026-03-28T18:15")) == utc("2026-03-28T18:00")


def test_both_repeated_autumn_hours_have_their_own_name() -> None:
    slots = periods.slots("day", "2025-10-26", "Europe/London")
    assert [slot.name for slot in slots if periods.local(slot.start, "Europe/London").hour == 1] == ["h01", "h02"]


@pytest.mark.parametrize(
    ("level", "text"),
    [
        ("day", "2026-02-30"),
        ("day", "2026-2-3"),
        ("day", "2026-02-03\n"),
        ("day", "today"),
        ("day", "2026-02"),
        ("month", "2026-13"),
        ("month", "2026"),
        ("year", "0000"),
        ("year", "26"),
        ("year", "٢٠٢٦"),
        ("year", ""),
    ],
)
def test_an_invalid_period_is_refused_with_an_example(level: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match="write it like 2026"):
        periods.check_period(level, text)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "europe/london", "London"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not an IANA time zone"):
        periods.check_timezone(name)


def week_of(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


WEEK = Level(
    "week",
    "weeks",
    "day",
    "d",
    of_day=lambda day: week_of(date.fromisoformat(day)),
    first_day=lambda week: date.fromisoformat(f"{week}-1").isoformat(),
    shift=lambda week, by: week_of(date.fromisoformat(f"{week}-1") + timedelta(weeks=by)),
    part_of=lambda day: str(date.fromisoformat(day).isoweekday()),
)


def test_a_week_across_two_years_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(periods.LEVELS, "week", WEEK)
    days = periods.children("week", "2026-W53")
    assert [*days] == ["d1", "d2", "d3", "d4", "d5", "d6", "d7"]
    assert (days["d1"], days["d7"]) == ("2026-12-28", "2027-01-03")
    assert {periods.containing("week", "day", day) for day in days.values()} == {"2026-W53"}
    assert periods.part_in("week", "2027-01-03") == "d7"
    assert periods.shift("week", "2026-W53", 1) == "2027-W01"
    assert periods.window("week", "2026-W53", "UTC").end == periods.day_start("2027-01-04", "UTC")
    with pytest.raises(ConfigurationError, match="write it like 2026-W48"):
        periods.check_period("week", "2025-W53")
