"""The monthly cost of the template on AWS: requests, units and dollars, by step. Pure.

Item sizes come from `store.dynamodb.items`, windows from the template's defaults. Devices send by Basic Ingest, without
a charge for messages. A month has 30 days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from aggregator.core.documents import Device, Part
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.periods import DAY_S, HALF_HOUR, RETENTION_DAYS
from aggregator.core.readings import Reading
from aggregator.store.dynamodb import document_items, items, live_items
from aggregator.store.dynamodb.items import Item, item_size, number, read_units, text, write_units

REGION = "us-east-1"
PRICES_OF = "2026-10"  # AWS's public price lists; London is about a fifth dearer
PRICES = {  # dollars
    "write unit": 0.625e-6,  # DynamoDB on demand, 1 KB
    "read unit": 0.125e-6,  # 4 KB
    "GB-month": 0.25 + 0.20,  # storage and point-in-time recovery
    "rule": 0.15e-6,  # IoT Core: a triggered rule, per 5 KB
    "action": 0.15e-6,  # IoT Core: an action of a rule
    "minute": 0.08e-6,  # IoT Core: connection
    "shard-hour": 0.015,  # Kinesis
    "put unit": 0.014e-6,  # 25 KB
    "invocation": 0.20e-6,  # Lambda
    "GB-second": 13.3334e-6,  # on arm64
}
MONTH_S = 30 * DAY_S
WATERFALL_WINDOW_S = 60  # the template's defaults
HIGHER_WINDOW_S = 300
BATCH = 10_000  # records; Lambda's maximum, so a window is complete only while a shard has fewer
SHARD_RATE = 1000  # write units a second of one shard of a table's stream
MEMORY_GB = 1769 / 1024
CALL_S = 0.005  # function time per call to DynamoDB; an assumption
MESSAGE = 150  # bytes of a reading as JSON; a batched one omits the device and needs about 90
BATCHED = 90
NEAR = 2  # half hours that a step reads near the end of a device's readings
ITEM_OVERHEAD = 100  # bytes that AWS adds to each item it stores

_DEVICE = "cad-0123456789ab"
_READING = Reading(_DEVICE, 0, 431, 12_345_678, None, None)
_PART = Part(412, None, 0, 0, 1800, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet and its sending pattern."""

    devices: int
    interval_s: int  # between readings
    window_s: int  # readings of this time are written together
    is_edge: bool = False  # half-hour batches at the device, without live state in between


class CostRow(NamedTuple):
    """The monthly cost of one step at one table or service."""

    step: str
    place: str  # a table or a service
    requests: float
    write_units: float
    read_units: float
    dollars: float


def rows(plan: Plan) -> list[CostRow]:
    """Return the cost of every step, tables first."""
    batches = _batches(plan)
    live = _table("live", "live", plan, MONTH_S / plan.interval_s, live_size(), device_reads())
    steps = [
        *([] if plan.is_edge else [live]),
        _readings(plan),
        _table("ingest", "live", plan, batches, live_size(), device_reads()),
        _table("days", "days", plan, _updates(plan, WATERFALL_WINDOW_S), day_size(), _day_reads(plan)),
        _table("months", "months", plan, _updates(plan, HIGHER_WINDOW_S), month_size(), _document_reads(day_size())),
        _table("years", "years", plan, _updates(plan, HIGHER_WINDOW_S), year_size(), _document_reads(month_size())),
    ]
    return [*steps, _storage(plan), _incoming(plan), _stream(plan), _functions(plan, steps)]


def total(some: Iterable[CostRow], name: str, devices: int = 1) -> CostRow:
    """Sum rows, divided by `devices`; requests are not added, since they differ in kind."""
    figures = list(some)
    writes = sum(row.write_units for row in figures) / devices
    reads = sum(row.read_units for row in figures) / devices
    return CostRow(name, "", 0, writes, reads, sum(row.dollars for row in figures) / devices)


def is_table(row: CostRow) -> bool:
    """Whether a row is a DynamoDB table."""
    return row.write_units > 0 or row.place == "storage"


# Sizes of full items, bytes


def live_size() -> int:
    """Return the size of a live state with all its arrivals."""
    at = 1_790_000_011
    before = (Arrival(at, at + 1),) * REMEMBERED
    return item_size(live_items.pack_live(Live(_DEVICE, at, at + 1, 431, 12_345_678, None, None, before)))


def device_size() -> int:
    """Return the size of a registry entry."""
    return item_size(
        {"d": text(_DEVICE), "z": text(Device("").timezone), "w": number(100_000), "r": {"SS": ["import_wh"]}}
    )


def block_size(readings: int) -> int:
    """Return the size of a half hour with this many readings."""
    key: Item = {"d": text(_DEVICE), "b": number(1_790_001_000), "x": number(1_793_000_000)}
    return item_size(key) + readings * (2 + len(items.pack_reading(_READING, {})))


def day_size() -> int:
    """Return the size of a 24-hour day."""
    return _document_size([f"h{hour:02}" for hour in range(24)] + [f"s{half:02}" for half in range(48)], "2026-11-23")


def month_size() -> int:
    """Return the size of a 31-day month."""
    return _document_size([f"d{day:02}" for day in range(1, 32)], "2026-11")


def year_size() -> int:
    """Return the size of a year."""
    return _document_size([f"m{month:02}" for month in range(1, 13)], "2026")


def _document_size(parts: list[str], period: str) -> int:
    key: Item = {"d": text(_DEVICE), "p": text(period), "z": text("Europe/London"), "t": number(1_790_001_000)}
    return item_size(key | {name: {"B": document_items.pack_part(_PART)} for name in parts})


# Frequencies, per device and month


def _batches(plan: Plan) -> float:
    return MONTH_S / (HALF_HOUR if plan.is_edge else max(plan.window_s, plan.interval_s))


def _updates(plan: Plan, window_s: int) -> float:
    return min(_batches(plan), MONTH_S / window_s)


# rows


def _table(step: str, table: str, plan: Plan, writes: float, size: int, reads: float) -> CostRow:
    """Return the cost of a step that writes one item and reads `reads` units each time."""
    requests = writes * plan.devices
    return _priced(step, table, requests, requests * write_units(size), requests * reads)


def _readings(plan: Plan) -> CostRow:
    """Return the cost of half-hour blocks: each batch is charged as a write of the whole item so far."""
    in_half_hour = max(1, HALF_HOUR // plan.interval_s)
    writes = max(1, round(HALF_HOUR * _batches(plan) / MONTH_S))
    units = sum(write_units(block_size(ceil(in_half_hour * count / writes))) for count in range(1, writes + 1))
    half_hours = MONTH_S / HALF_HOUR * plan.devices
    return _priced("ingest", "readings", half_hours * writes, half_hours * units, 0)


def device_reads() -> float:
    """Return the read units of a registry read by a function that has written before."""
    return read_units(device_size(), is_consistent=True)


def _twice(size: int) -> float:
    """Return the units of an eventually consistent read and the consistent re-read after the write."""
    return read_units(size, is_consistent=False) + read_units(size, is_consistent=True)


def _day_reads(plan: Plan) -> float:
    blocks = _twice(NEAR * block_size(HALF_HOUR // plan.interval_s)) + read_units(0, is_consistent=False)
    return _twice(device_size()) + blocks + _twice(day_size())


def _document_reads(child_size: int) -> float:
    return _twice(device_size()) + _twice(child_size) + read_units(month_size(), is_consistent=False)


def _storage(plan: Plan) -> CostRow:
    """Return the cost of the storage after a year."""
    half_hours = RETENTION_DAYS * DAY_S / HALF_HOUR * (block_size(HALF_HOUR // plan.interval_s) + ITEM_OVERHEAD)
    documents = 365 * (day_size() + ITEM_OVERHEAD) + 12 * (month_size() + ITEM_OVERHEAD)
    dollars = plan.devices * (half_hours + documents) / 2**30 * PRICES["GB-month"]
    return CostRow("kept after a year", "storage", 0, 0, 0, dollars)


def _incoming(plan: Plan) -> CostRow:
    """Return the cost of IoT Core: a rule per 5 KB, with one action to the stream and one to the live state."""
    if plan.is_edge:
        messages, size, actions = MONTH_S / HALF_HOUR, HALF_HOUR // plan.interval_s * BATCHED, 1
    else:
        messages, size, actions = MONTH_S / plan.interval_s, MESSAGE, 2
    metered = messages * ceil(size / 5120) * plan.devices
    dollars = metered * (PRICES["rule"] + actions * PRICES["action"])
    dollars += plan.devices * MONTH_S / 60 * PRICES["minute"]
    return CostRow("come in", "IoT Core", messages * plan.devices, 0, 0, dollars)


def _stream(plan: Plan) -> CostRow:
    records = plan.devices * MONTH_S / (HALF_HOUR if plan.is_edge else plan.interval_s)
    dollars = shards(plan) * MONTH_S / 3600 * PRICES["shard-hour"] + records * PRICES["put unit"]
    return CostRow("coalesce", "Kinesis", records, 0, 0, dollars)


def shards(plan: Plan) -> int:
    """Return the shards of the coalescing stream for which a window's readings fit into a batch."""
    if plan.is_edge:
        return max(1, ceil(plan.devices * HALF_HOUR // plan.interval_s * BATCHED / HALF_HOUR / 2**20))
    return max(1, ceil(plan.devices * max(plan.window_s, plan.interval_s) / plan.interval_s / BATCH))


def _functions(plan: Plan, steps: Iterable[CostRow]) -> CostRow:
    """Return the cost of Lambda: an invocation per live reading and per shard window, and time per call."""
    invocations, calls = 0.0, 0.0
    for row in steps:
        calls += row.requests * 3
        if row.step == "live":
            invocations += row.requests
        elif row.place != "live":
            parallel = shards(plan) if row.step == "ingest" else ceil(row.write_units / MONTH_S / SHARD_RATE)
            window = {"ingest": plan.window_s, "days": WATERFALL_WINDOW_S}.get(row.step, HIGHER_WINDOW_S)
            invocations += min(row.requests, parallel * MONTH_S / max(window, 1))
    dollars = invocations * PRICES["invocation"] + calls * CALL_S * MEMORY_GB * PRICES["GB-second"]
    return CostRow("carry", "Lambda", invocations, 0, 0, dollars)


def _priced(step: str, table: str, requests: float, writes: float, reads: float) -> CostRow:
    dollars = writes * PRICES["write unit"] + reads * PRICES["read unit"]
    return CostRow(step, table, requests, writes, reads, dollars)
