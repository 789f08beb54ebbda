"""Times of rows, and the length of their intervals."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.intake.tables.notation import Time, interval_of, read_clock, read_time
from aggregator.intake.tables.row_times import days_after, end_of, lengths

HALF_HOUR, HOUR, DAY = 1800, 3600, 86_400


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-24T13:30:00Z", utc("2026-03-24T13:30")),
        (" 2026-03-24 13:30:00+0100 ", utc("2026-03-24T12:30")),
        ("2026-03-24T13:30:00.999+01:00", utc("2026-03-24T12:30")),
        ("2026-03-24 13:30", local("2026-03-24T13:30")),
        ("2026-03-24", local("2026-03-24")),
        ("24/03/2026 13:30", local("2026-03-24T13:30")),
        ("24-03-2026 13:30:05", local("2026-03-24T13:30:05")),
        ("24.3.2026 9:05", local("2026-03-24T09:05")),
        ("24/03/2026", local("2026-03-24")),
        ("24/03/2026 1:30 PM", local("2026-03-24T13:30")),
        ("24/03/2026 12:15 a.m.", local("2026-03-24T00:15")),
        ("1774359000", 1_774_359_000),
        ("1774359000.7", 1_774_359_000),
        ("1774359000123", 1_774_359_000),
        ("1774359000123456789", 1_774_359_000),
        ("2026-03-24 13.30", local("2026-03-24T13:30")),
        ("2026-03-24 24:00", local("2026-03-25T00:00")),
        ("2026/03/24", local("2026-03-24")),
        ("20260324", local("2026-03-24")),
        ("20260324 1330", local("2026-03-24T13:30")),
        ("2026-03-24 13:30:00.0000000", local("2026-03-24T13:30")),
        ("24-Mar-2026 13:30", local("2026-03-24T13:30")),
        ("Tue 24 March 2026 01:30 PM", local("2026-03-24T13:30")),
        ("24 août 2026", local("2026-08-24")),
        ("24/03/26 13:30", local("2026-03-24T13:30")),
        ("24/03/2026 13:30 CET", utc("2026-03-24T12:30")),
        ("2026-03-24 13:30:00 +01:00", utc("2026-03-24T12:30")),
    ],
)
def test_common_time_notations_are_parsed(text: str, time: Time) -> None:
    assert read_time(text) == time


def test_the_order_of_day_and_month_is_an_argument() -> None:
    assert read_time("03/24/2026 13:30", "mdy") == local("2026-03-24T13:30")
    assert read_time("03/04/2026", "mdy") == local("2026-03-04")
    assert read_time("26-03-04", "ymd") == local("2026-03-04")


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:30", 1800), ("00.30", 1800), ("1:30 pm", 48_600), ("24:00", 86_400), ("12 AM", 0)]
)
def test_a_time_of_day_is_parsed(text: str, seconds: int) -> None:
    assert read_clock(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "31/02/2026",
        "03/24/2026",
        "24/03-2026",
        "2026-03-24T25:00",
        "24/03/2026 13:00 pm",
        "9" * 400,
        "12",
    ],
)
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read_time(text)
    assert refused.value.reason == "bad_time"


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    reason = ""
    try:
        read_time(text)
    except Refused as refused:
        reason = refused.reason
    assert reason in ("", "bad_time")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("1h", 3600), ("15 min", 900), ("1d", 86_400), ("60s", 60)]
)
def test_an_interval_option_is_parsed(text: str, seconds: int) -> None:
    assert interval_of(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "0.5h", "2d", "0m", "-1h", "1w"])
def test_a_named_interval_lasts_up_to_a_day(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write it like 30m, 1h or 1d"):
        interval_of(text)


def lengths_of(ats: list[int], *, is_by_end: bool = False) -> list[int]:
    return [length for _, length in lengths([(at, 0) for at in ats], is_by_end=is_by_end)]


def test_a_row_lasts_until_the_next_and_not_over_a_hole() -> None:
    hours = [at * HOUR for at in range(10)]

    assert lengths_of(hours) == [HOUR] * 10
    assert lengths_of([*hours[:4], *hours[6:]]) == [HOUR] * 8
    assert lengths_of([*hours[:4], *hours[6:]], is_by_end=True) == [HOUR] * 8
    assert lengths_of([0]) == [0]


def test_the_step_may_change_within_a_file() -> None:
    """Ten hours, then eight quarters; and the other way round."""
    starts = [*(at * HOUR for at in range(10)), *(10 * HOUR + at * 900 for at in range(8))]
    ends = [*(at * HOUR for at in range(1, 11)), *(10 * HOUR + at * 900 for at in range(1, 9))]
    back = [*(at * 900 for at in range(8)), *(2 * HOUR + at * HOUR for at in range(10))]

    assert lengths_of(starts) == [HOUR] * 10 + [900] * 8
    assert lengths_of(ends, is_by_end=True) == [HOUR] * 10 + [900] * 8
    assert lengths_of(back) == [900] * 8 + [HOUR] * 10


@pytest.mark.parametrize(
    ("start", "at", "end", "seconds"),
    [
        ("2026-02-01T00:30", "2026-02-01T00:30", "2026-02-01T01:00", HALF_HOUR),
        ("2026-03-29T00:30", "2026-03-29T00:30", "2026-03-29T02:00", HALF_HOUR),  # the clock jumped at 1
        ("2026-03-29T00:30", "2026-03-29T00:30", "2026-03-29T01:00", HALF_HOUR),  # or the file did not mind
        ("2026-10-25T00:30", "2026-10-24T23:30", "2026-10-25T01:00", HALF_HOUR),
        ("2026-10-25T01:30", "2026-10-25T00:30", "2026-10-25T01:00", HALF_HOUR),  # the clock went back
        ("2026-10-25T01:30", "2026-10-25T00:30", "2026-10-25T02:00", HALF_HOUR),  # or the file did not mind
        ("2026-10-25T01:30", "2026-10-25T01:30", "2026-10-25T02:00", HALF_HOUR),
        ("2026-10-25T00:00", "2026-10-24T23:00", "2026-10-26T00:00", 25 * HOUR),
        ("2026-03-29T00:00", "2026-03-29T00:00", "2026-03-30T00:00", 23 * HOUR),
    ],
)
def test_a_local_interval_has_its_elapsed_length(start: str, at: str, end: str, seconds: int) -> None:
    assert end_of(utc(at), local(start), local(end), 0, "Europe/London") - utc(at) == seconds


def test_an_interval_without_end_lasts_the_named_length() -> None:
    midnight = utc("2026-10-24T23:00")

    assert end_of(midnight, midnight, None, HALF_HOUR, "Europe/London") - midnight == HALF_HOUR
    assert end_of(midnight, midnight, None, DAY, "Europe/London") - midnight == 25 * HOUR
    assert days_after(midnight + 25 * HOUR, -1, "Europe/London") == midnight


@pytest.mark.parametrize("end", [-60, 0, 25 * HOUR + 1])
def test_an_empty_or_overlong_interval_is_refused(end: int) -> None:
    with pytest.raises(Refused) as refused:
        end_of(utc("2026-02-01"), utc("2026-02-01"), utc("2026-02-01") + end, 0, "UTC")
    assert refused.value.reason == "bad_interval"
