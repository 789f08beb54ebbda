"""A local time without an offset: once, never, or twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.intake.formats.message import instants
from tests.budgets import examples

ZONES = sorted(zone for zone in available_timezones() if zone not in ("localtime", "Factory"))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        ("2026-07-01T12:00:00", "Europe/London", ["2026-07-01T11:00:00"]),
        ("2026-01-01T12:00:00", "Europe/Amsterdam", ["2026-01-01T11:00:00"]),
        ("2026-03-29T01:30:00", "Europe/London", []),
        ("2026-03-29T02:00:00", "Europe/London", ["2026-03-29T01:00:00"]),
        ("2026-10-25T00:59:59", "Europe/London", ["2026-10-24T23:59:59"]),
        ("2026-10-25T01:00:00", "Europe/London", ["2026-10-25T00:00:00", "2026-10-25T01:00:00"]),
        ("2026-10-25T02:00:00", "Europe/London", ["2026-10-25T02:00:00"]),
        ("2026-04-05T01:45:00", "Australia/Lord_Howe", ["2026-04-04T14:45:00", "2026-04-04T15:15:00"]),
        ("2011-12-30T12:00:00", "Pacific/Apia", []),
        ("2026-01-01T12:00:00.9", "Asia/Kathmandu", ["2026-01-01T06:15:00"]),
        ("0001-01-01T00:00:00", "UTC", ["0001-01-01T00:00:00"]),
        ("9999-12-31T23:59:59", "UTC", ["9999-12-31T23:59:59"]),
    ],
)
def test_a_local_time_has_none_one_or_two_instants(local: str, zone: str, expected: list[str]) -> None:
    assert instants(datetime.fromisoformat(local), zone) == tuple(map(utc, expected))


@examples(300)
@given(st.sampled_from(ZONES), st.integers(946_684_800, 2_208_988_800))
@example("Europe/London", 1_792_890_000)
@example("Europe/London", 1_792_893_600)
def test_a_local_time_includes_its_own_instant(zone: str, at: int) -> None:
    local = datetime.fromtimestamp(at, ZoneInfo(zone)).replace(tzinfo=None)
    assert at in instants(local, zone)


@examples(300)
@given(st.sampled_from(ZONES), st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001 - local
def test_all_instants_of_a_local_time_are_found(zone: str, local: datetime) -> None:
    local = local.replace(microsecond=0)
    found = instants(local, zone)
    clock = ZoneInfo(zone)
    assert [datetime.fromtimestamp(at, clock).replace(tzinfo=None) for at in found] == [local] * len(found)
    near = {int((local.replace(tzinfo=clock, fold=fold)).timestamp()) for fold in (0, 1)}
    meant = sorted(at for at in near if datetime.fromtimestamp(at, clock).replace(tzinfo=None) == local)
    assert found == tuple(meant)
    assert timedelta(0) <= timedelta(seconds=max(found, default=0) - min(found, default=0)) < timedelta(days=1.1)
