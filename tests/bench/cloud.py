"""How many devices a second one batch of each function carries, with calls to DynamoDB of 4 ms.

Run by hand: `python -m tests.bench.cloud`. Each function works through one batch, with real boto3, on one core (what
Lambda gives at 1,769 MB); tables in the memory of a server on the other core answer each call after 4 ms. The CPU time
a device is what counts under load; the time of the clock says whether calls wait side by side. AWS's own network and
TLS are not in it. Then a day of queues is simulated with these rates, for fleets from 10,000 to 10 million devices.
"""

import asyncio
import base64
import gc
import multiprocessing
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import orjson

from aggregator.aws.capacity import days_limit, first_limit, ingest_limit, recommended
from aggregator.aws.costs import Plan
from aggregator.aws.deployment import parameters
from aggregator.aws.lambdas import Functions, answer_to, level_steps
from aggregator.core.documents import Device
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.periods import DAY_S, HALF_HOUR, iso_utc
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake.device_status import put_statuses
from aggregator.intake.edge.edge import JITTER_S
from aggregator.intake.formats.canonical import BLOCK, encode_block
from aggregator.intake.ingest import ingest
from aggregator.intake.ingest_endpoint import IngestEndpoint
from aggregator.intake.tokens import new_token
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, ConditionFailed, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import table_of
from aggregator.store.dynamodb.live_and_records import pack_live
from aggregator.waterfall.worker import drain
from tests.bench.fleet import device_item
from tests.bench.search import home
from tests.contract.conftest import MEMORY, in_memory

CALL_S = 0.004  # of a call to DynamoDB
DEVICES = 200
COUNTED = 20_000  # in a census
TICK_S = 10
WINDOW_S = 60
NOON = 1_795_392_000 + DAY_S // 2  # 2026-11-23T12:00:00Z, in a half hour that has begun
BEFORE_S = 2 * 3600  # of history, which a step looks at


class Measured(NamedTuple):
    """What one batch took."""

    name: str
    devices: int
    calls: float  # a device
    cpu_ms: float  # a device
    clock_ms: float  # a device

    @property
    def per_second(self) -> float:
        """Devices a second of one core, which no other process slows down."""
        return 1000 / self.cpu_ms


# The server


def serve(listening: socket.socket, client: DynamoClient) -> None:
    """Answer calls as the client does, CALL_S later each."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            named = {name.lower(): value for name, value in fields.items()}
            body = orjson.loads(await reader.readexactly(int(named[b"content-length"])))
            status, answer = answered(client, named[b"x-amz-target"].decode().rsplit(".", 1)[1], body)
            found = orjson.dumps(sent(answer))
            await asyncio.sleep(CALL_S)
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (status, len(found)) + found)

    async def run() -> None:
        async with await asyncio.start_server(talk, sock=listening) as server:
            await server.serve_forever()

    asyncio.run(run())


def answered(client: DynamoClient, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer of a call."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).lower()
    try:
        return 200, client.call(name, **received(body))
    except ConditionFailed as failed:
        kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
        return 400, {"__type": kind, "message": "failed"} | ({"Item": failed.item} if failed.item else {})


def sent(value: Any) -> Any:  # noqa: ANN401 - any part of an answer
    """Return an answer as it is sent: bytes in base64."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, dict):
        return {name: sent(one) for name, one in value.items()}
    return [sent(one) for one in value] if isinstance(value, list | tuple) else value


def received(value: Any) -> Any:  # noqa: ANN401 - any part of a request
    """Return a request as a client is called: bytes in place of base64."""
    if isinstance(value, dict):
        if value.keys() == {"B"} and isinstance(value["B"], str):
            return {"B": base64.b64decode(value["B"])}
        return {name: received(one) for name, one in value.items()}
    return [received(one) for one in value] if isinstance(value, list) else value


@contextmanager
def served(client: DynamoClient) -> Iterator[DynamoClient]:
    """Yield a client of a server with a copy of a client's tables; this process keeps to one core meanwhile."""
    cores = os.sched_getaffinity(0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = multiprocessing.get_context("fork").Process(target=serve, args=(listening, client))
        process.start()
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            os.sched_setaffinity(0, {min(cores)})
            yield AwsDynamoClient("eu-west-2")
        finally:
            os.sched_setaffinity(0, cores)
            process.kill()
            process.join()


class Counted:
    """A client that counts the calls."""

    def __init__(self, client: DynamoClient) -> None:
        self.client, self.region, self.calls = client, client.region, Counter[str]()

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        self.calls[operation] += 1
        return self.client.call(operation, **request)


# The batches


def readings(device_id: str, first: int, last: int) -> list[Reading]:
    """Return a home of some 800 W."""
    return [
        Reading(device_id, at, 350 + at * 7919 % 900, 23_456_789 + at % 10_000_000 // 9, None)
        for at in range(first, last, TICK_S)
    ]


def message(number: int, reading: Reading) -> dict[str, Any]:
    """Return a record of the coalescing stream."""
    payload = orjson.dumps(reading._asdict() | {"at": iso_utc(reading.at)})
    source = {"data": base64.b64encode(payload).decode(), "partitionKey": reading.device_id}
    return {"kinesis": source | {"sequenceNumber": str(number)}}


def fleet() -> DynamoClient:
    """Return tables of devices with some hours behind them, in memory."""
    client = in_memory()
    store = DynamoStore(client, MEMORY, clock=lambda: NOON)
    ids = [f"cad-{number:012d}" for number in range(DEVICES)]
    for device_id in ids:
        store.put_device(Device(device_id, "Europe/London", registers=("import_wh",)))
        ingest(store, readings(device_id, NOON - BEFORE_S, NOON + 600), NOON + 600, "UTC")
    drain(store)
    store.close()
    return client


def window() -> dict[str, Any]:
    """Return the batch of one window: each device's readings of a minute, one message each."""
    first = NOON + 600
    ids = [f"cad-{number:012d}" for number in range(DEVICES)]
    sent = [one for device_id in ids for one in readings(device_id, first, first + WINDOW_S)]
    sent.sort(key=lambda one: one.at)
    return {"Records": [message(number, one) for number, one in enumerate(sent)]}


def changed(client: DynamoClient, table: str, is_past: int) -> list[dict[str, Any]]:
    """Return the change records of a table from a place on."""
    arn = f"arn:{MEMORY}-{table}/stream/1"
    iterator, found = f"{arn}|{is_past}", list[dict[str, Any]]()
    while page := (answer := client.call("get_records", ShardIterator=iterator))["Records"]:
        found += page
        iterator = answer["NextShardIterator"]
    return found


def closed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a change record of a period that is over: months and years are not called while it goes on."""
    image = {name: value for name, value in record["dynamodb"].get("NewImage", {}).items() if name != "o"}
    return record | {"dynamodb": record["dynamodb"] | {"NewImage": image}}


Work = Callable[[Functions], object]


def measure(name: str, client: DynamoClient, work: Work) -> Measured:
    """Measure a function on a copy of the tables, and let it change them."""
    with served(client) as remote:
        counted = Counted(remote)
        store = DynamoStore(counted, MEMORY, clock=lambda: NOON + 700)
        store.device("cad-000000000000")  # imports and the first connection are of a cold start
        counted.calls.clear()
        began, cpu = time.perf_counter(), time.process_time()
        work(functions(store))
        took, used = time.perf_counter() - began, time.process_time() - cpu
        store.close()
    store = DynamoStore(client, MEMORY, clock=lambda: NOON + 700)
    work(functions(store))
    store.close()
    return Measured(name, DEVICES, counted.calls.total() / DEVICES, used / DEVICES * 1000, took / DEVICES * 1000)


def functions(store: DynamoStore) -> Functions:
    """Return the functions on a store, at the time of the batch."""
    return Functions(store, "Europe/London", lambda _: None, clock=lambda: NOON + 700)


def requests(client: DynamoClient) -> list[dict[str, Any]]:
    """Return an edge's live reading, question and half hour of each device, as API Gateway passes them on."""
    store = DynamoStore(client, MEMORY, clock=lambda: NOON)
    made = list[dict[str, Any]]()
    for number in range(DEVICES):
        device_id = f"cad-{number:012d}"
        headers = {"authorization": f"Bearer {new_token(store, device_id, NOON)}"}
        (one,) = readings(device_id, NOON + 690, NOON + 700)
        live = {"headers": headers, "queryStringParameters": {"live": ""}}
        made.append(live | {"body": orjson.dumps([one._asdict() | {"at": iso_utc(one.at)}]).decode()})
        made.append(live | {"body": "[]"})
        block = encode_block(readings(device_id, NOON - HALF_HOUR, NOON))
        sent = {"body": base64.b64encode(block).decode(), "isBase64Encoded": True}
        made.append({"headers": headers | {"content-type": BLOCK}} | sent)
    store.close()
    return made


def post_all(own: Functions, events: list[dict[str, Any]]) -> None:
    """Answer requests over HTTP, one after the other, as one instance of the function does."""
    endpoint = IngestEndpoint(own.store, "Europe/London", clock=own.clock)
    for event in events:
        answer = answer_to(endpoint, event)
        assert answer["statusCode"] == 202, answer


def measured() -> Iterator[Measured]:
    """Yield what each function takes for one batch of a window, and for a request over HTTP."""
    client = fleet()
    asked = requests(client)
    for name, some in (("http live", asked[::3]), ("http ask", asked[1::3]), ("http block", asked[2::3])):
        yield measure(name, client, lambda own, some=some: post_all(own, some))  # type: ignore[misc]
    event = window()
    before = {step: len(changed(client, table_of(step.feed), 0)) for step in level_steps().values()}
    yield measure("ingest", client, lambda own: own.ingest(event))
    for name, step in level_steps().items():
        records = {"Records": [closed(one) for one in changed(client, table_of(step.feed), before[step])]}
        yield measure(name, client, lambda own, step=step, records=records: own.propagate(step, records))  # type: ignore[misc]


# A day of queues


class Queue:
    """Work of a function that waits, in devices, with the time at which it came in."""

    def __init__(self, capacity: float) -> None:
        self.capacity, self.waiting, self.longest_s = capacity, 0.0, 0.0

    def pass_on(self, arrived: float) -> float:
        """Take in what arrived in a second, and return what is done in it."""
        self.waiting += arrived
        done = min(self.waiting, self.capacity)
        self.waiting -= done
        self.longest_s = max(self.longest_s, self.waiting / self.capacity)
        return done


def simulated(plan: Plan, own: Mapping[str, float]) -> tuple[float, float, float]:
    """Run a day of 25 hours (the clock is put back), with an hour's outage of both functions from 10 to 11.

    Half of an edge's blocks come in the JITTER_S after each half hour; after the outage everybody's come at once. At
    midnight each day is written once more, and closed. Return the longest lags in `ingest` and `days`, and when both
    have caught up (seconds after the outage).
    """
    ingest, days = Queue(ingest_limit(plan, own).capacity), Queue(days_limit(plan, own).capacity)
    every = HALF_HOUR if plan.is_edge else max(plan.window_s, plan.interval_s)
    caught_up = 0.0
    for second in range(25 * 3600):
        into = second % HALF_HOUR
        arrived = (plan.devices / JITTER_S if into < JITTER_S else 0) if plan.is_edge else plan.devices / every
        is_out = 10 * 3600 <= second < 11 * 3600
        if is_out:
            ingest.waiting += arrived
            continue
        done = ingest.pass_on(arrived) * min(1.0, every / max(every, plan.waterfall_s))
        days.pass_on(done + (plan.devices / every if 23 * 3600 < second < 23 * 3600 + every else 0))
        if second >= 11 * 3600 and not caught_up and ingest.waiting + days.waiting < plan.devices / every:
            caught_up = second - 11 * 3600
    return ingest.longest_s, days.longest_s, caught_up if days.waiting < plan.devices / every else inf


def census_s() -> float:
    """Return the CPU time of a census of COUNTED devices, each with a live state and a status, seconds."""
    client, homes = in_memory(), [home(number) for number in range(COUNTED)]
    arrivals = tuple(Arrival(NOON - back * TICK_S, NOON - back * TICK_S + 1) for back in range(REMEMBERED, 0, -1))
    with closing(DynamoStore(client, MEMORY, clock=lambda: NOON)) as store:
        for device in homes:
            item = device_item(device)
            client.call("put_item", TableName=f"{MEMORY}-devices", Item=item)
            live = Live(device.device_id, NOON, NOON + 1, 431, 23_456_789, None, None, arrivals)
            client.call("put_item", TableName=f"{MEMORY}-live", Item=pack_live(live))
        put_statuses(store, [Status(one.device_id, NOON, -60, 200, "v2.0.1", "h1", True) for one in homes], NOON)
    with served(client) as remote, closing(DynamoStore(remote, MEMORY, clock=lambda: NOON)) as store:
        store.device(homes[0].device_id)  # imports and the first connection are of a cold start
        gc.freeze()
        began = time.process_time()
        functions(store).fleet()
        return time.process_time() - began


def print_days() -> None:
    """Print what a day does to fleets, with the template's defaults and with the parameters that `costs` recommends."""
    print(f"\n{'devices':>12}{'sends':>12}{'parameters':>14}{'ingest':>9}{'days':>9}{'caught up':>11}   first limit")
    for devices in (10_000, 100_000, 150_000, 1_000_000, 10_000_000):
        for plan in (Plan(devices, 10, 60), Plan(devices, 10, 60, is_edge=True)):
            wanted = recommended(plan)
            chosen = {"defaults": (replace(plan, shards=int(parameters()["Shards"])), parameters())}
            chosen["recommended"] = (replace(plan, shards=wanted["Shards"]), parameters() | wanted)
            for name, (one, own) in chosen.items():
                lags = "".join(f"{lag / 60:7.1f} m" for lag in simulated(one, own))
                limit = first_limit(one, own)
                sends = "half hours" if plan.is_edge else "every 10 s"
                print(f"{devices:12,}{sends:>12}{name:>14}{lags}   {limit.name}: {limit.share:.0%}")


def main() -> None:
    """Print the table."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    print(f"{'function':10}{'calls':>8}{'CPU ms':>8}{'ms':>8}{'devices/s':>11}{'at 10 batches a shard':>23}")
    for one in measured():
        figures = f"{one.name:10}{one.calls:8.2f}{one.cpu_ms:8.2f}{one.clock_ms:8.2f}"
        print(f"{figures}{one.per_second:11.0f}{one.per_second * 10:23.0f}")
    print(f"census of a million devices: {census_s() / COUNTED * 1e6:.0f} s")
    print_days()


if __name__ == "__main__":
    main()
