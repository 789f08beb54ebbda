"""How many devices a second one batch of each function carries, with calls to DynamoDB of 4 ms.

Run by hand: `python -m tests.bench.cloud`. Each function works through one batch, with real boto3, on one core (what
Lambda gives at 1,769 MB); tables in the memory of a server on the other core answer each call after 4 ms. The CPU time
a device is what counts under load; the time of the clock says whether calls wait side by side. AWS's own network and
TLS are not in it.
"""

import asyncio
import base64
import multiprocessing
import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

from aggregator.aws.lambdas import Functions, level_steps
from aggregator.core.documents import Device
from aggregator.core.periods import DAY_S, iso_utc
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, ConditionFailed, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import table_of
from aggregator.waterfall.worker import drain
from tests.contract.conftest import MEMORY, in_memory

CALL_S = 0.004  # of a call to DynamoDB
DEVICES = 200
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
        """Devices a second of one core."""
        return 1000 / max(self.cpu_ms, self.clock_ms)


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


def measured() -> Iterator[Measured]:
    """Yield what each function takes for one batch of a window."""
    client = fleet()
    event = window()
    before = {step: len(changed(client, table_of(step.feed), 0)) for step in level_steps().values()}
    yield measure("ingest", client, lambda own: own.ingest(event))
    for name, step in level_steps().items():
        records = {"Records": changed(client, table_of(step.feed), before[step])}
        if records["Records"]:
            yield measure(name, client, lambda own, step=step, records=records: own.propagate(step, records))  # type: ignore[misc]


def main() -> None:
    """Print the table."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    print(f"{'function':10}{'calls':>8}{'CPU ms':>8}{'ms':>8}{'devices/s':>11}{'at 10 batches a shard':>23}")
    for one in measured():
        figures = f"{one.name:10}{one.calls:8.2f}{one.cpu_ms:8.2f}{one.clock_ms:8.2f}"
        print(f"{figures}{one.per_second:11.0f}{one.per_second * 10:23.0f}")


if __name__ == "__main__":
    main()
