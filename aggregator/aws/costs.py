"""The monthly cost of the template on AWS: requests, units and dollars, by step. Pure.

Windows come from the template's parameters, item sizes from `store.dynamodb.items`, times of functions from
`tests.bench.cloud`. Devices send by Basic Ingest, without a charge for messages. A month has 30 days. Logs cost nothing
while nothing fails: the functions log no line for a call (SystemLogLevel). Nor does encryption without KmsEncryption.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from aggregator.core.documents import Device, Part
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.money import Cost
from aggregator.core.periods import DAY_S, HALF_HOUR, RETENTION_DAYS
from aggregator.core.readings import Reading
from aggregator.intake.edge.edge import ASK_S, WATCHED_S
from aggregator.store.dynamodb import document_items, items
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
    "request": 1.00e-6,  # API Gateway: of an HTTP API
    "shard-hour": 0.015,  # Kinesis, provisioned
    "put unit": 0.014e-6,  # 25 KB
    "stream-hour": 0.04,  # Kinesis on demand
    "GB in": 0.08,  # each record as whole KB
    "GB out": 0.04,  # to each of two functions
    "invocation": 0.20e-6,  # Lambda
    "GB-second": 13.3334e-6,  # on arm64
    "alarm": 0.10,  # CloudWatch
    "secret": 0.40,  # Secrets Manager
    "key request": 3.00e-6,  # KMS
    "instance-hour": 0.0168,  # t4g.small
    "balancer-hour": 0.0225,
}
MONTH_S = 30 * DAY_S
MEMORY_GB = 1769 / 1024
INGEST_S, DAY_STEP_S, HIGHER_STEP_S = 0.004, 0.0125, 0.005  # of a core, a device and step; `tests.bench.cloud`
COUNT_S = 60e-6  # of a core, a device in a census; `tests.bench.cloud`
HTTP_S, HTTP_BLOCK_S = 0.020, 0.045  # of a core that waits for its 4 and 8 calls of 4 ms; `tests.bench.cloud`
HTTP_ASK_S = 0.010  # for its 2 calls
CLOSINGS = 3  # writes of a day after its end: its last half hour, and what comes late
WATCHED = 0.02  # of the devices, at any time
NEAR = 2  # half hours that a step reads near the end of a device's readings
ITEM_OVERHEAD = 100  # bytes that AWS adds to each item it stores
CENSUSES, CLOSING_SCANS = MONTH_S / 300, MONTH_S / 1800  # scans of the live states
TARIFF_BYTES = 400  # of a night rate, in the registry
CALLERS, KEY_S = 12, 300  # roles that read and write tables; how long a key is remembered for one

_DEVICE, _REGISTER = "cad-0123456789ab", "import_wh 1234567890"
_READING = Reading(_DEVICE, 0, 431, 12_345_678, None, None)
_PART = Part(412, None, 0, 0, 1800, 0)
_PRICED = _PART._replace(cost=Cost(1_234_567_000, None))


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet and its sending pattern, and the template's parameters."""

    devices: int
    interval_s: int  # between readings
    window_s: int  # readings of this time are written together
    is_edge: bool = False  # half-hour blocks from the device
    is_priced: bool = False  # with a tariff
    waterfall_s: int = 60  # half hours changed in this time are carried to their day together
    shards: int = 0  # of the coalescing stream; 0: on demand
    alarms: int = 0
    statuses: float = 0  # changed statuses of a device an hour
    has_web: bool = False  # two instances behind a balancer
    has_kms: bool = False  # KmsEncryption
    is_http: bool = False  # by the HTTP API; an edge then sends live readings while somebody looks


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
    (batches, lives, asks), closings = _requests(plan), CLOSINGS * MONTH_S / DAY_S
    known = sum(read_units(size, is_consistent=True) for size in (device_size(plan), live_size()))
    steps = [
        _readings(plan),
        _table("ingest", "live", plan, batches, live_size(), HTTP_READS if plan.is_http else known),
        _table("http", "live", plan, lives, live_size(), HTTP_READS),
        _priced("ask", "records", asks * plan.devices, 0, asks * plan.devices * ASK_READS),
        _table("watched", "live", plan, _watched(plan), live_size(), 0),
        _table("days", "days", plan, _updates(plan), day_size(plan), _day_reads(plan)),
        _table("months", "months", plan, closings, month_size(), _document_reads(plan, day_size(plan))),
        _table("years", "years", plan, CLOSINGS, year_size(), _document_reads(plan, month_size())),
        _table("statuses", "records", plan, plan.statuses * MONTH_S / 3600, 300, 3),
        _scans(plan),
    ]
    way_in = [_http(plan)] if plan.is_http else [_incoming(plan), _stream(plan)]
    services = [_storage(plan), *way_in, _functions(plan, steps), *_fixed(plan)]
    return [row for row in (*steps, *services) if row.dollars]


def total(some: Iterable[CostRow], name: str, devices: int = 1) -> CostRow:
    """Sum rows, divided by `devices`; requests are not added, since they differ in kind."""
    figures = list(some)
    writes = sum(row.write_units for row in figures) / devices
    reads = sum(row.read_units for row in figures) / devices
    return CostRow(name, "", 0, writes, reads, sum(row.dollars for row in figures) / devices)


def is_table(row: CostRow) -> bool:
    """Whether a row is a DynamoDB table."""
    return row.write_units + row.read_units > 0 or row.place == "storage"


# Sizes of full items, bytes


def live_size() -> int:
    """Return the size of a live state with all its arrivals."""
    from aggregator.store.dynamodb.live_and_records import pack_live  # boto3 takes a while to load

    at = 1_790_000_011
    before = (Arrival(at, at + 1),) * REMEMBERED
    return item_size(pack_live(Live(_DEVICE, at, at + 1, 431, 12_345_678, None, None, before)))


def device_size(plan: Plan) -> int:
    """Return the size of a registry entry."""
    item: Item = {"d": text(_DEVICE), "z": text(Device("").timezone), "w": number(100_000), "r": {"SS": [_REGISTER]}}
    return item_size(item) + TARIFF_BYTES * plan.is_priced


def block_size(readings: int) -> int:
    """Return the size of a half hour with this many readings."""
    key: Item = {"d": text(_DEVICE), "b": number(1_790_001_000), "x": number(1_793_000_000)}
    return item_size(key) + readings * (2 + len(items.pack_reading(_READING, {})))


def day_size(plan: Plan) -> int:
    """Return the size of a 24-hour day."""
    names = [f"h{hour:02}" for hour in range(24)] + [f"s{half:02}" for half in range(48)]
    return _document_size(names, "2026-11-23", _PRICED if plan.is_priced else _PART)


def month_size() -> int:
    """Return the size of a 31-day month."""
    return _document_size([f"d{day:02}" for day in range(1, 32)], "2026-11", _PRICED)


def year_size() -> int:
    """Return the size of a year."""
    return _document_size([f"m{month:02}" for month in range(1, 13)], "2026", _PRICED)


def _document_size(names: list[str], period: str, part: Part) -> int:
    key: Item = {"d": text(_DEVICE), "p": text(period), "z": text("Europe/London"), "o": items.IS_OPEN}
    times: Item = {"t": number(1_790_001_000), "u": number(1_790_001_000), "c": text("GBP"), "v": number(1)}
    return item_size(key | times | {name: {"B": document_items.pack_part(part)} for name in names})


# Frequencies, per device and month


def _batches(plan: Plan) -> float:
    return MONTH_S / (HALF_HOUR if plan.is_edge else max(0 if plan.is_http else plan.window_s, plan.interval_s))


def _watched(plan: Plan) -> float:
    return 0 if plan.is_edge or plan.is_http else WATCHED * MONTH_S / plan.interval_s


def requests_s(plan: Plan) -> float:
    """Return the requests over HTTP of a device, a second."""
    return sum(_requests(plan)) / MONTH_S if plan.is_http else 0


def request_s(plan: Plan) -> float:
    """Return the mean time of a request over HTTP."""
    times = (HTTP_BLOCK_S if plan.is_edge else HTTP_S, HTTP_S, HTTP_ASK_S)
    return sum(requests * time for requests, time in zip(_requests(plan), times, strict=True)) / sum(_requests(plan))


def _requests(plan: Plan) -> tuple[float, float, float]:
    """Return the batches, live readings and questions for a viewer over HTTP."""
    is_asking = plan.is_http and plan.is_edge
    return _batches(plan), is_asking * WATCHED * MONTH_S / WATCHED_S, is_asking * MONTH_S / ASK_S


def _updates(plan: Plan) -> float:
    return min(_batches(plan), MONTH_S / max(plan.waterfall_s, 1))


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


HTTP_READS, ASK_READS = 4, 2  # read units of a request: the token, the viewer; the device, its live state


def _twice(size: int) -> float:
    """Return the units of an eventually consistent read and the consistent re-read after the write."""
    return read_units(size, is_consistent=False) + read_units(size, is_consistent=True)


def _day_reads(plan: Plan) -> float:
    blocks = _twice(NEAR * block_size(HALF_HOUR // plan.interval_s)) + read_units(0, is_consistent=False)
    prices = read_units(2 * price_size(), is_consistent=True) if plan.is_priced else 0
    return _twice(device_size(plan)) + blocks + _twice(day_size(plan)) + prices


def _document_reads(plan: Plan, child_size: int) -> float:
    return _twice(device_size(plan)) + _twice(child_size) + read_units(month_size(), is_consistent=False)


def price_size() -> int:
    """Return the size of a day of half-hourly prices."""
    key: Item = {"d": text(_DEVICE), "p": text("2026-11-23")}
    return item_size(key | {f"i{half:02}": {"N": "0.1234"} for half in range(48)})


def _scans(plan: Plan) -> CostRow:
    """Return the cost of reading every live state, for the census and for closing."""
    units = (CENSUSES + CLOSING_SCANS) * plan.devices * live_size() / items.READ_UNIT / 2
    return _priced("fleet, closing", "live", CENSUSES + CLOSING_SCANS, 0, units)


def _storage(plan: Plan) -> CostRow:
    """Return the cost of the storage after a year."""
    half_hours = RETENTION_DAYS * DAY_S / HALF_HOUR * (block_size(HALF_HOUR // plan.interval_s) + ITEM_OVERHEAD)
    documents = 365 * (day_size(plan) + ITEM_OVERHEAD) + 12 * (month_size() + ITEM_OVERHEAD)
    documents += 365 * (price_size() + ITEM_OVERHEAD) * plan.is_priced
    dollars = plan.devices * (half_hours + documents) / 2**30 * PRICES["GB-month"]
    return CostRow("kept after a year", "storage", 0, 0, 0, dollars)


def _incoming(plan: Plan) -> CostRow:
    """Return the cost of IoT Core: a rule per 5 KB, with one action to the stream."""
    messages = MONTH_S / (HALF_HOUR if plan.is_edge else plan.interval_s) * plan.devices
    dollars = messages * (PRICES["rule"] + PRICES["action"]) + plan.devices * MONTH_S / 60 * PRICES["minute"]
    return CostRow("come in", "IoT Core", messages, 0, 0, dollars)


def _http(plan: Plan) -> CostRow:
    """Return the cost of the HTTP API: a request for each reading, or an edge's half hours, live readings and asks."""
    requests = requests_s(plan) * MONTH_S * plan.devices
    return CostRow("come in", "API Gateway", requests, 0, 0, requests * PRICES["request"])


def _stream(plan: Plan) -> CostRow:
    records = plan.devices * MONTH_S / (HALF_HOUR if plan.is_edge else plan.interval_s)
    hours = MONTH_S / 3600
    if plan.shards:
        dollars = plan.shards * hours * PRICES["shard-hour"] + records * PRICES["put unit"]
    else:
        dollars = hours * PRICES["stream-hour"] + records * 2**10 / 2**30 * (PRICES["GB in"] + 2 * PRICES["GB out"])
    return CostRow("coalesce", "Kinesis", records, 0, 0, dollars)


def _functions(plan: Plan, steps: Iterable[CostRow]) -> CostRow:
    """Return the cost of Lambda: ten calls a shard and window, or one a request, and the measured time of each step."""
    requests = {row.step: row.requests for row in steps if row.step != "ingest" or row.place == "live"}
    http = requests_s(plan) * MONTH_S * plan.devices
    seconds = (http * request_s(plan) if http else requests["ingest"] * INGEST_S) + CENSUSES * plan.devices * COUNT_S
    seconds += requests["days"] * DAY_STEP_S + (requests["months"] + requests["years"]) * HIGHER_STEP_S
    shards = plan.shards or max(4, ceil(plan.devices / (HALF_HOUR if plan.is_edge else plan.interval_s) / 1000))
    most = 10 * shards * MONTH_S
    calls = min(requests["days"], most / max(plan.waterfall_s, 1)) + CENSUSES + CLOSING_SCANS
    calls += http or min(requests["ingest"], most / max(plan.window_s, 1)) + shards * MONTH_S / 3
    dollars = calls * PRICES["invocation"] + seconds * MEMORY_GB * PRICES["GB-second"]
    return CostRow("carry", "Lambda", calls, 0, 0, dollars)


def _fixed(plan: Plan) -> Iterator[CostRow]:
    """Yield what costs as much however little is sent; of KMS the most, once in KEY_S a caller and table or shard."""
    from aggregator.store.dynamodb.tables import tables  # boto3 takes a while to load

    yield CostRow("alarms, secret", "CloudWatch", 0, 0, 0, plan.alarms * PRICES["alarm"] + PRICES["secret"])
    requests = plan.has_kms * (len(tables()) * CALLERS + 3 * plan.shards) * MONTH_S / KEY_S
    yield CostRow("keys", "KMS", requests, 0, 0, requests * PRICES["key request"])
    dollars = (2 * PRICES["instance-hour"] + PRICES["balancer-hour"]) * MONTH_S / 3600
    yield CostRow("web", "EC2", 0, 0, 0, dollars * plan.has_web)


def _priced(step: str, table: str, requests: float, writes: float, reads: float) -> CostRow:
    return CostRow(step, table, requests, writes, reads, writes * PRICES["write unit"] + reads * PRICES["read unit"])


def plan_of(parameters: Mapping[str, float], alarms: int, **more: int | float) -> Plan:
    """Return a plan with the template's parameters, and what the caller wants otherwise."""
    own = {"window_s": parameters["IngestWindow"], "waterfall_s": parameters["WaterfallWindow"], "alarms": alarms}
    return Plan(**{"shards": parameters["Shards"], **own, **more})  # type: ignore[arg-type]
