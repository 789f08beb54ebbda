"""The order of the rows resolves the repeated hour, or its rows are refused."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.intake.formats import message
from aggregator.intake.tables.notation import Time
from aggregator.intake.tables.row_times import MOST, in_utc

AUTUMN = datetime(2026, 10, 25, tzinfo=UTC)  # in London the clocks go back at 01:00 UTC
SPRING = datetime(2026, 3, 29, tzinfo=UTC)


class Row(NamedTuple):
    time: Time
    series: int = 0


def told(times: Iterable[Time], zone: str = "Europe/London") -> list[int | str]:
    found = [at for _, at in in_utc(map(Row, times), zone)]
    return [at.reason if isinstance(at, Refused) else at for at in found]


def clocks(start: datetime, minutes: int, count: int, zone: str = "Europe/London") -> tuple[list[Time], list[int]]:
    """Local clock times from an instant on, with their instants."""
    instants = [start + timedelta(minutes=minutes * number) for number in range(count)]
    shown: list[Time] = [at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for at in instants]
    return shown, [int(at.timestamp()) for at in instants]


@pytest.mark.parametrize("minutes", [1, 15, 30, 60])
def test_ordered_rows_resolve_both_passes_of_the_hour(minutes: int) -> None:
    times, instants = clocks(AUTUMN - timedelta(hours=3), minutes, 8 * 60 // minutes)

    assert told(times) == instants
    assert told(times[::-1]) == instants[::-1]


def test_a_file_may_begin_or_end_in_the_repeated_hour() -> None:
    times, instants = clocks(AUTUMN, 30, 6)

    assert told(times) == instants
    assert told(times[1:]) == instants[1:]
    assert told(times[1:3]) == instants[1:3]
    assert told(times[::-1]) == instants[::-1]


def test_a_hole_in_one_pass_does_not_matter() -> None:
    times, instants = clocks(AUTUMN - timedelta(hours=1), 15, 16)
    kept = [place for place in range(16) if place not in (5, 9, 10)]

    assert told([times[place] for place in kept]) == [instants[place] for place in kept]


def test_a_repeated_hour_present_once_refuses_only_its_rows() -> None:
    times, instants = clocks(AUTUMN - timedelta(hours=2), 60, 8)
    merged = [time for place, time in enumerate(times) if place != 3]

    assert told(merged) == [*instants[:2], "ambiguous_time", *instants[4:]]


def test_the_repeated_hour_alone_is_refused() -> None:
    assert told([datetime(2026, 10, 25, 1), datetime(2026, 10, 25, 1)]) == ["ambiguous_time"] * 2  # noqa: DTZ001 - local


def test_unordered_rows_lose_only_the_repeated_hour() -> None:
    times, instants = clocks(AUTUMN - timedelta(hours=2), 30, 16)
    mixed = [3, 1, *range(4, 8), 0, 2, *range(8, 16)]

    assert told([times[place] for place in mixed]) == [
        "ambiguous_time" if place in (4, 5, 6, 7) else instants[place] for place in mixed
    ]


def test_the_skipped_spring_hour_is_refused() -> None:
    times, instants = clocks(SPRING - timedelta(hours=1), 30, 8)
    missing = datetime(2026, 3, 29, 1, 30)  # noqa: DTZ001 - local

    assert told([*times[:4], missing, *times[4:]]) == [*instants[:4], "no_such_time", *instants[4:]]


def test_interleaved_passes_are_told_by_their_pairs() -> None:
    """00:30, then 01:00 twice, 01:30 twice, 02:00: the first of a pair is of the first pass."""
    times = [datetime(2026, 10, 25, *at) for at in ((0, 30), (1, 0), (1, 0), (1, 30), (1, 30), (2, 0))]  # noqa: DTZ001
    first, half = int(AUTUMN.timestamp()) - 1800, 1800
    instants = [first, first + half, first + 3 * half, first + 2 * half, first + 4 * half, first + 5 * half]

    assert told(times) == instants
    assert told(times[::-1]) == instants[::-1]


def test_each_series_has_an_order_of_its_own() -> None:
    """Import of a day, then export of the same day; and both by turns."""
    times, instants = clocks(AUTUMN - timedelta(hours=2), 30, 12)
    by_turns = [Row(time, series) for time in times for series in (1, 2)]
    after = [Row(time, series) for series in (1, 2) for time in times]

    for rows in (by_turns, after):
        found = [at for _, at in in_utc(rows, "Europe/London") if isinstance(at, int)]
        assert sorted(found) == sorted([*instants, *instants])


def test_too_many_rows_of_one_hour_are_refused() -> None:
    times, _ = clocks(AUTUMN, 0, MOST + 2)

    assert told(times) == ["ambiguous_time"] * (MOST + 2)


def test_instants_stay_unchanged() -> None:
    assert told([5, 3, 9]) == [5, 3, 9]


@given(
    st.sampled_from(["Europe/London", "Europe/Paris", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]),
    st.integers(0, 365 * 24),
    st.sampled_from([10, 30, 60]),
    st.booleans(),
)
def test_ordered_clock_times_resolve_in_every_zone(zone: str, hours: int, minutes: int, is_down: bool) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    times, instants = clocks(start, minutes, 8 * 60 // minutes, zone)
    if is_down:
        times, instants = times[::-1], instants[::-1]

    if any(len(meant(time, zone)) == 2 for time in (times[0], times[-1])):  # the hour may be there once
        assert all(at in (known, "ambiguous_time") for at, known in zip(told(times, zone), instants, strict=True))
    else:
        assert told(times, zone) == instants


def meant(time: Time, zone: str) -> tuple[int, ...]:
    assert isinstance(time, datetime)
    return message.instants(time, zone)
