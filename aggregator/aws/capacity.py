"""What the template on AWS carries: the first limit that a fleet hits, the lag, and how an outage is caught up. Pure.

Every limit is a rate that grows with the fleet, beside what AWS or a parameter of the template allows. AWS's quotas are
those of us-east-1 as documented in 2026-10; most are raised on request. Rates of functions follow from the measured
time of a core for each device (`costs`), one core a call.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil, inf
from typing import NamedTuple

from aggregator.aws.costs import DAY_STEP_S, INGEST_S, Plan, request_s, requests_s, rows
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR

MONTH_S = 30 * DAY_S
BATCHES = 10  # of a shard at once (ParallelizationFactor)
SHARD_RECORDS = 1000  # a second, into a shard of the coalescing stream
FULLEST = 1.04  # of several shards with 10,000 devices each, by the MD5 of their ids, beside the mean
ON_DEMAND_RECORDS = 200_000  # a second, into a stream on demand; it doubles within 15 minutes
PARTITION_UNITS = 1000  # write units a second of a partition of a table, which is a shard of its stream
NEW_TABLE_UNITS, TABLE_UNITS = 4_000, 40_000  # write units a second: of a new table; of any, by default
PUBLISHES, CONNECTIONS = 20_000, 500_000  # IoT Core: messages a second, devices
REQUESTS = 5_000  # a second, to the HTTP API: the throttle of the template
CALLS, UNRESERVED = 1_000, 100  # of Lambda at once, in an account; what no function may reserve
FIXED_CALLS = 69  # reserved in the template by `watched`, `fleet`, `closing`, `erasing` and `verify`
RESERVED = {
    "IngestConcurrency": 1,
    "DaysConcurrency": 1,
    "HigherConcurrency": 2,
    "HttpConcurrency": 1,
}  # functions each
SPARE = 2.0  # parameters are recommended with so much room


class CapacityLimit(NamedTuple):
    """A limit, its load, and where to raise it."""

    name: str
    load: float
    capacity: float
    raised_by: str

    @property
    def share(self) -> float:
        """Return how much of the limit is used; above 1 it is exceeded."""
        return self.load / self.capacity


def limits(plan: Plan, parameters: Mapping[str, float]) -> list[CapacityLimit]:
    """Return every limit, the first to be hit first."""
    return sorted(_limits(plan, parameters), key=lambda limit: -limit.share)


def _limits(plan: Plan, parameters: Mapping[str, float]) -> Iterator[CapacityLimit]:
    yield from _http_limits(plan) if plan.is_http else _stream_limits(plan)
    reserved = FIXED_CALLS + sum(parameters[name] * functions for name, functions in RESERVED.items())
    yield CapacityLimit("Lambda: calls at once, reserved", reserved, CALLS - UNRESERVED, "quota of AWS")
    yield ingest_limit(plan, parameters)
    yield days_limit(plan, parameters)
    for table, units in _table_units(plan).items():
        yield CapacityLimit(
            f"DynamoDB: write units a second of a new table {table}", units, NEW_TABLE_UNITS, "a warmer table"
        )
        yield CapacityLimit(f"DynamoDB: write units a second of the table {table}", units, TABLE_UNITS, "quota of AWS")


def _table_units(plan: Plan) -> dict[str, float]:
    """Return the write units a second of the tables that each window writes."""
    written = rows(plan)
    return {
        table: sum(row.write_units for row in written if row.place == table) / MONTH_S
        for table in ("readings", "live", "days")
    }


def _stream_limits(plan: Plan) -> Iterator[CapacityLimit]:
    messages = plan.devices / (HALF_HOUR if plan.is_edge else plan.interval_s)
    yield CapacityLimit("IoT Core: messages a second", messages, PUBLISHES, "quota of AWS")
    yield CapacityLimit("IoT Core: connections", plan.devices, CONNECTIONS, "quota of AWS")
    fullest = FULLEST if plan.shards > 1 else 1
    accepted = plan.shards * SHARD_RECORDS / fullest or ON_DEMAND_RECORDS
    yield CapacityLimit("Kinesis: records a second", messages, accepted, "Shards" if plan.shards else "quota of AWS")


def _http_limits(plan: Plan) -> Iterator[CapacityLimit]:
    yield CapacityLimit(
        "API Gateway: requests a second", plan.devices * requests_s(plan), REQUESTS, "ThrottlingRateLimit"
    )


def ingest_limit(plan: Plan, parameters: Mapping[str, float]) -> CapacityLimit:
    """Return the limit of the function `ingest` or `http`: devices a second."""
    if plan.is_http:
        load, capacity = plan.devices * requests_s(plan), parameters["HttpConcurrency"] / request_s(plan)
        return CapacityLimit("http: requests a second", load, capacity, "HttpConcurrency")
    shards = plan.shards or max(4, ceil(plan.devices / plan.interval_s / SHARD_RECORDS))
    cores = min(parameters["IngestConcurrency"], BATCHES * shards)
    load = plan.devices / (HALF_HOUR if plan.is_edge else max(plan.window_s, plan.interval_s))
    return CapacityLimit("ingest: devices a second", load, cores / INGEST_S, "IngestConcurrency")


def days_limit(plan: Plan, parameters: Mapping[str, float]) -> CapacityLimit:
    """Return the limit of the function `days`: devices a second, with the shards that the table's writes make."""
    units = sum(row.write_units for row in rows(plan) if row.place == "readings") / MONTH_S
    shards = max(NEW_TABLE_UNITS // PARTITION_UNITS, ceil(units / PARTITION_UNITS))
    cores = min(parameters["DaysConcurrency"], BATCHES * shards)
    every = HALF_HOUR if plan.is_edge else max(plan.window_s, plan.waterfall_s, plan.interval_s)
    return CapacityLimit("days: devices a second", plan.devices / every, cores / DAY_STEP_S, "DaysConcurrency")


def first_limit(plan: Plan, parameters: Mapping[str, float]) -> CapacityLimit:
    """Return the limit that the fleet hits first as it grows, with its load at the plan's number of devices."""
    hit = limits(replace(plan, devices=first_devices(plan, parameters) + 1), parameters)[0]
    return next(limit for limit in limits(plan, parameters) if limit.name == hit.name)


def first_devices(plan: Plan, parameters: Mapping[str, float]) -> int:
    """Return the number of devices at which the first limit is hit, by halving."""
    low, high = 0, 1 << 30
    while high - low > 1:
        middle = (low + high) // 2
        if limits(replace(plan, devices=middle), parameters)[0].share > 1:
            high = middle
        else:
            low = middle
    return low


def lag_s(plan: Plan, parameters: Mapping[str, float]) -> float:
    """Return the longest time from a reading to its day: both windows, and batches; inf where one falls behind."""
    functions = ingest_limit(plan, parameters), days_limit(plan, parameters)
    if max(limit.share for limit in functions) >= 1:
        return inf
    windows = (HALF_HOUR if plan.is_edge else plan.window_s, plan.waterfall_s)
    return sum(window * (1 + limit.share) for window, limit in zip(windows, functions, strict=True))


def catch_up_s(plan: Plan, parameters: Mapping[str, float]) -> float:
    """Return the time to catch up after an hour of outage, if no changes of a device fell together; inf for never.

    A table on demand takes twice what it has taken before, within its quota.
    """
    functions = ingest_limit(plan, parameters), days_limit(plan, parameters)
    tables = (units / min(TABLE_UNITS, max(NEW_TABLE_UNITS, 2 * units)) for units in _table_units(plan).values())
    share = max(*(limit.share for limit in functions), *tables)
    return HOUR * share / (1 - share) if share < 1 else inf


def recommended(plan: Plan) -> dict[str, int]:
    """Return the parameters that carry a fleet with SPARE room."""
    messages = plan.devices / (HALF_HOUR if plan.is_edge else plan.interval_s)
    every = HALF_HOUR if plan.is_edge else max(plan.window_s, plan.interval_s)
    ingest = plan.devices / every * INGEST_S
    days = plan.devices / max(every, plan.waterfall_s) * DAY_STEP_S
    http = plan.devices * requests_s(plan) * request_s(plan)
    return {
        "Shards": ceil(max(messages / SHARD_RECORDS, ingest / BATCHES) * SPARE),
        "IngestConcurrency": ceil(ingest * SPARE),
        "DaysConcurrency": ceil(days * SPARE),
        **({"HttpConcurrency": ceil(http * SPARE)} if plan.is_http else {}),
    }
