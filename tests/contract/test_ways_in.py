"""Every format through every way in, twice and in any order, with calls that fail: what SQLite holds, item for item."""

import base64
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from aggregator.aws.lambdas import Functions, answer_to
from aggregator.core.documents import Document
from aggregator.core.errors import StoreAway
from aggregator.core.periods import FOR_EVER, LEVELS, day_start, period_of
from aggregator.intake.device_status import known_status
from aggregator.intake.edge.ingest_client import JSON, SendResult
from aggregator.intake.edge.publisher import MqttIngestClient, TlsFiles
from aggregator.intake.formats import FORMATS
from aggregator.intake.formats.canonical import BLOCK
from aggregator.intake.ingest_endpoint import IngestEndpoint
from aggregator.intake.tokens import Limits, new_token
from aggregator.store import Store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.pricing import current
from aggregator.waterfall.worker import drain
from tests.aggregator.aws.test_lambdas import NAMED, OWN
from tests.aggregator.intake.formats.messages import GLOW, NOW
from tests.contract.conftest import KEEP, MEMORY, in_memory
from tests.contract.dynamo_clients import WRITES, Passing
from tests.contract.test_functions import Stack

SENDERS = (GLOW, GLOW, "0123456789AC", "plug-1", "shelly-1")  # of the topics in OWN
BY_EDGE = {"block": BLOCK, "json": JSON}  # content types
EVERYBODY = {
    *SENDERS,
    *(f"edge-{name}" for name in BY_EDGE),
    *(f"cad-{name}" for name in NAMED),
    *(f"http-{name}" for name in FORMATS),
}
ZONE = "Europe/Amsterdam"


class Flaky(Passing):
    """Fails at every tenth write or so, before it is made or after."""

    def __init__(self, client: Any, seed: int) -> None:  # noqa: ANN401 - any client
        super().__init__(client)
        self.chance = Random(seed)

    def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
        fault = self.chance.random() if operation in WRITES else 1
        if fault < 0.05:
            raise StoreAway("the network is gone")
        answer = super().call(operation, **request)
        if fault < 0.1:
            raise StoreAway("the answer is lost")
        return answer


def payload(content: object) -> bytes:
    return content if isinstance(content, bytes) else orjson.dumps(content)


def by_rule(topic: str, content: bytes, sender: str) -> dict[str, Any]:
    """A message as a rule of IoT Core puts it into the stream."""
    data = orjson.dumps({"data": base64.b64encode(content).decode(), "topic": topic})
    return {"data": base64.b64encode(data).decode(), "partitionKey": sender, "sequenceNumber": "1"}


def by_http(token: str, name: str, content: bytes) -> dict[str, Any]:
    """A request as API Gateway passes it on."""
    sent = {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}
    return {"headers": {"authorization": f"Bearer {token}"}, "queryStringParameters": {"format": name}, **sent}


class Published:
    """The connection of an edge to a broker that takes everything."""

    is_lost = False

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []

    def publish(self, topic: str, body: bytes, _wait_s: float) -> None:
        self.taken.append((topic, body))


def by_edge(device_id: str, name: str) -> dict[str, Any]:
    """What an edge publishes, as the rule that its topic names puts it into the stream."""
    broker, rule = Published(), "$aws/rules/devices"
    edge = MqttIngestClient(f"mqtt://localhost/{device_id}", f"{rule}/wattfall", TlsFiles(), _connection=broker)  # type: ignore[arg-type]
    assert edge.send(of_device(NAMED[name], device_id), BY_EDGE[name]).result is SendResult.KEPT
    ((topic, body),) = broker.taken
    return by_rule(topic.removeprefix(f"{rule}/"), body, device_id)


def of_device(content: object, device_id: str) -> bytes:
    """A message, which names its device where its format does."""
    return payload(content).replace(GLOW.encode() + b" ", device_id.encode() + b" ")


def events(store: Store) -> list[tuple[str, dict[str, Any]]]:
    """Every format by its own topic, under the prefix and over HTTP, what an edge publishes, and what is no message."""
    own = {topic.replace(GLOW, sender): sender for topic, sender in zip(OWN, SENDERS, strict=True)}
    found = [
        by_rule(topic, payload(one), sender) for (topic, sender), one in zip(own.items(), OWN.values(), strict=True)
    ]
    for name, content in NAMED.items():
        found.append(by_rule(f"wattfall/cad-{name}/{name}", of_device(content, f"cad-{name}"), f"cad-{name}"))
    found += [by_edge(f"edge-{name}", name) for name in BY_EDGE]
    found += [by_rule(f"wattfall/cad-json/{name}", b"{nonsense", "cad-json") for name in ("json", "dsmr")]
    asked = [
        by_http(new_token(store, f"http-{name}", NOW), name, of_device(NAMED[name], f"http-{name}")) for name in FORMATS
    ]
    return [("rule", one) for one in found] + [("http", one) for one in asked]


def deliver(stack: Stack, sent: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Send each message until it is accepted or refused."""
    limits = Limits()
    for way, event in sent:
        if way == "rule":
            while stack.functions.ingest({"Records": [{"kinesis": event}]})["batchItemFailures"]:
                pass
        else:
            endpoint = IngestEndpoint(stack.store, ZONE, clock=lambda: NOW, limits=limits)
            while answer_to(endpoint, event)["statusCode"] >= 429:
                pass


def content(store: Store) -> dict[str, object]:
    """All that a store holds of its devices, by kind."""
    found: dict[str, object] = {}
    for device in store.devices():
        one = device.device_id
        live, known = store.live(one), known_status(store, one)
        found[f"{one} device"] = (device.registers, device.timezone, device.kind)
        found[f"{one} readings"] = store.readings(one, 0, FOR_EVER)
        found[f"{one} intervals"] = store.intervals(one, 0, FOR_EVER)
        found[f"{one} live"] = live and (live.at, live.power_w, live.import_wh, live.export_wh)
        found[f"{one} status"] = known and (known.status, known.firmwares)
        for day, level in product(store.periods("day", one), LEVELS):
            period = period_of(level, day_start(day, device.timezone), device.timezone)
            shown = current(partial(_document, store, one), device, level, period, NOW)
            found[f"{one} {level} {period}"] = shown and (shown.timezone, shown.parts, shown.currency)
    return found


def sender(key: str) -> str:
    """Return the device that sends a part of the content."""
    return key.split()[0].partition("~")[0]


def on_sqlite(path: Path) -> dict[str, object]:
    """What a store on SQLite holds after every message."""
    same = SqliteStore(str(path / "same.db"), lambda: NOW)
    own = Stack.__new__(Stack)
    own.store, own.functions = same, Functions(same, ZONE, lambda _: None, lambda: NOW, KEEP)  # type: ignore[assignment]
    deliver(own, events(same))
    drain(same)
    found = content(same)
    same.close()
    return found


def _document(store: Store, device_id: str, level: str, period: str) -> Document | None:
    return store.document(level, device_id, period)


@pytest.mark.parametrize("seed", range(3))
def test_every_format_through_every_way_is_what_sqlite_holds(tmp_path: Path, seed: int) -> None:
    client, chance = in_memory(), Random(seed)
    stack = Stack(Flaky(client, seed), MEMORY, ZONE, seed, mapped_by=client)
    plain = DynamoStore(client, MEMORY, KEEP, clock=lambda: NOW)
    stack.now = NOW
    sent = events(plain)
    again = sent + chance.sample(sent, len(sent) // 2)
    chance.shuffle(again)
    deliver(stack, again)
    stack.settle()
    before = content(plain)
    deliver(stack, sent)
    stack.settle()

    assert stack.letters == []
    assert before == content(plain) == on_sqlite(tmp_path)
    assert set(map(sender, before)) == EVERYBODY
    for store in (stack.store, plain):
        store.close()
