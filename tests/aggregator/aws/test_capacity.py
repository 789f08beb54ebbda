"""What the template carries, by sums that are written down here."""

import math
from collections import Counter
from dataclasses import replace
from hashlib import md5

import pytest

from aggregator.aws.capacity import (
    FULLEST,
    SHARD_RECORDS,
    catch_up_s,
    days_limit,
    first_devices,
    first_limit,
    ingest_limit,
    lag_s,
    limits,
    recommended,
)
from aggregator.aws.costs import Plan, plan_of
from aggregator.aws.deployment import parameters

OWN = parameters()
EVERY_10_S = Plan(100_000, 10, 60)


def test_the_functions_carry_a_core_for_each_batch_of_a_shard() -> None:
    days = days_limit(EVERY_10_S, OWN)
    assert days.load == pytest.approx(100_000 / 60)
    assert days.capacity == pytest.approx(40 / 0.0125)  # 4 partitions, 10 batches each
    ingest = ingest_limit(EVERY_10_S, OWN)
    assert ingest.capacity == pytest.approx(100 / 0.004)  # 10,000 records a second: 10 shards
    assert ingest_limit(EVERY_10_S, OWN | {"IngestConcurrency": 20}).capacity == pytest.approx(20 / 0.004)


def test_the_defaults_keep_up_with_150_000_devices() -> None:
    plan = plan_of(OWN, 0, devices=150_000, interval_s=10)
    assert first_devices(plan, OWN) >= 1.15 * plan.devices
    assert lag_s(plan, OWN) < 300
    assert catch_up_s(plan, OWN) < 4 * 3600


def test_by_md5_every_shard_of_the_defaults_has_room_at_150_000_devices() -> None:
    """A shard has an equal part of the hashes of the partition key."""
    shards = int(OWN["Shards"])
    hashes = (md5(f"cad-{number:012x}".encode(), usedforsecurity=False).digest() for number in range(150_000))
    devices = Counter(int.from_bytes(one[:8]) * shards >> 64 for one in hashes)
    assert max(devices.values()) / 10 < 0.85 * SHARD_RECORDS
    assert max(devices.values()) < FULLEST * 150_000 / shards


def test_an_hours_outage_at_100_000_devices_is_caught_up_in_two_hours() -> None:
    share = (100_000 / 60) / 3200
    assert catch_up_s(EVERY_10_S, OWN) == pytest.approx(3600 * share / (1 - share))
    assert catch_up_s(EVERY_10_S, OWN) < 2 * 3600


def test_the_quota_of_a_table_delays_who_catches_up() -> None:
    wanted = OWN | {"IngestConcurrency": 10_000, "DaysConcurrency": 10_000}
    fleet = Plan(1_700_000, 10, 60)  # 34 of 36 parts of the quota
    assert max(ingest_limit(fleet, wanted).share, days_limit(fleet, wanted).share) < 34 / 36
    assert catch_up_s(fleet, wanted) == pytest.approx(3600 * 34 / 2)
    assert catch_up_s(Plan(1_900_000, 10, 60), wanted) == math.inf


def test_what_falls_behind_never_catches_up() -> None:
    late = Plan(600_000, 10, 60)
    assert days_limit(late, OWN).share > 1
    assert catch_up_s(late, OWN) == lag_s(late, OWN) == math.inf


def test_the_first_limit_is_the_one_that_is_used_most() -> None:
    found = limits(Plan(20_000, 10, 60, shards=1), OWN)
    assert (found[0].name, found[0].raised_by) == ("Kinesis: records a second", "Shards")
    assert found[0].share == pytest.approx(2.0)
    assert {one.name: one for one in limits(Plan(20_000, 10, 60, shards=2), OWN)}[found[0].name].share > 1
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert first_devices(Plan(1, 10, 60, shards=1), OWN) == 10_000


def test_a_small_fleet_is_told_of_the_limit_that_it_hits_as_it_grows() -> None:
    small = Plan(10, 10, 60)
    limit = first_limit(small, OWN)
    assert limit.load < 1
    assert limits(replace(small, devices=first_devices(small, OWN) + 1), OWN)[0].name == limit.name
    assert limits(small, OWN)[0].name == "Lambda: calls at once, reserved"


def test_http_has_limits_of_its_own() -> None:
    plan = Plan(10_000, 10, 60, is_http=True)
    found = {one.name: one for one in limits(plan, OWN)}
    assert found["http: requests a second"].share == pytest.approx(1000 * 0.020 / OWN["HttpConcurrency"])
    assert found["API Gateway: requests a second"].share == pytest.approx(1000 / 5000)
    assert not any(name.startswith(("IoT", "Kinesis", "ingest")) for name in found)
    assert recommended(plan)["HttpConcurrency"] == 40


@pytest.mark.parametrize("devices", [1_000_000, 10_000_000])
def test_the_recommended_parameters_carry_the_fleet(devices: int) -> None:
    wanted = recommended(Plan(devices, 10, 60))
    plan = Plan(devices, 10, 60, shards=wanted["Shards"])
    assert wanted["Shards"] == devices / 10 / 1000 * 2
    assert ingest_limit(plan, OWN | wanted).share <= 1
    assert days_limit(plan, OWN | wanted).share <= 1
    exceeded = {one.raised_by for one in limits(plan, OWN | wanted) if one.share > 1}
    assert exceeded == {"quota of AWS", "a warmer table"}, "only AWS itself can raise what is left"
