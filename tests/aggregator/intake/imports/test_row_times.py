"""Times of rows, and the length of their intervals."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.intake.imports.row_times import (
    Time,
    days_after,
    end_of,
    interval_of,
    is_month_first,
    read_time,
    usual_step,
)

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
    ],
)
def test_common_time_notations_are_parsed(text: str, time: Time) -> None:
    assert read_time(text) == time


def test_the_month_may_come_first() -> None:
    assert read_time("03/24/2026 13:30", is_month_first=True) == local("2026-03-24T13:30")
    assert is_month_first(["03/04/2026 00:00", "2026-01-01", "03/13/2026 00:00"])
    assert not is_month_first(["13/03/2026", "03/04/2026"])
    assert not is_month_first(["03/04/2026"])


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


def test_the_usual_step_is_the_most_common_in_either_direction() -> None:
    times = [local("2026-02-01T02:00"), local("2026-02-01T01:30"), local("2026-02-01T01:00"), local("2026-01-01T00:30")]

    assert usual_step(times) == HALF_HOUR
    assert usual_step([60, 0, 0, 120, 180]) == 60
    assert usual_step(times[:1]) is None


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
