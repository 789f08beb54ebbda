"""The template, deployed into an emulator: readings in at one end, charts out at the other."""

import base64
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
from click.testing import CliRunner

from aggregator.aws.dead_letters import client
from aggregator.aws.deployment import Endpoint, deploy, emulator
from aggregator.aws.schedules import letters_about
from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.readings import Reading
from aggregator.demo.simulator import TICK_S, households
from aggregator.demo.simulator import history as simulated
from aggregator.erasure.erasure_plan import ErasedStay, ErasurePlan
from aggregator.erasure.erasure_requests import ask_for_erasure, overdue
from aggregator.intake.device_status import note_look
from aggregator.intake.edge.ingest_client import JSON, HttpIngestClient, SendResult
from aggregator.intake.formats.canonical import BLOCK, encode_block
from aggregator.intake.ingest import ingest
from aggregator.intake.refusals import load_refusals
from aggregator.intake.tokens import new_token
from aggregator.store import Store, open_store
from aggregator.store.port import READINGS
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support.audit import Audit
from aggregator.support.audit_check import AuditCheck
from aggregator.tariffs.rates import Series
from aggregator.waterfall.levels import move
from aggregator.waterfall.pricing import current
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main
from tests.budgets import scaled
from tests.contract import test_ways_in as ways
from tests.dashboard.people import accounts_on

ROOT = Path(__file__).parents[2]
PREFIX = "wattfall-test"
ZONE = "Europe/London"
PATIENCE_S = 60
RECORDS = 500  # in one call to Kinesis
KEPT_DAYS = 3650  # the most: some messages are of 2026


@dataclass
class Cloud:
    """The stack, and the ways in and out of it."""

    endpoint: Endpoint
    outputs: dict[str, str]
    store: Store

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 has no types
        return client(service, **self.endpoint.options)

    def send(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Messages of devices, as the rules put them into the coalescing stream."""
        kinesis, rest = self.client("kinesis"), iter(messages)
        while some := list(islice(rest, RECORDS)):
            records = [{"PartitionKey": device_id, "Data": payload} for device_id, payload in some]
            assert kinesis.put_records(StreamName=self.outputs["Incoming"], Records=records)["FailedRecordCount"] == 0

    def stream_records(self, table: str) -> int:
        """Return the number of change records of a table."""
        streams = self.client("dynamodbstreams")
        arn = self.client("dynamodb").describe_table(TableName=f"{PREFIX}-{table}")["Table"]["LatestStreamArn"]
        count = 0
        for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
            place = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = streams.get_shard_iterator(**place)["ShardIterator"]
            while found := (answer := streams.get_records(ShardIterator=iterator))["Records"]:
                count, iterator = count + len(found), answer["NextShardIterator"]
        return count


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with emulator() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in endpoint.environ.items():
            patch.setenv(name, value)
        outputs = deploy(endpoint, PREFIX, RetentionDays=str(KEPT_DAYS))
        secrets = client("secretsmanager", **endpoint.options)
        patch.setenv("WATTFALL_SECRET", secrets.get_secret_value(SecretId=outputs["Secret"])["SecretString"])
        patch.setenv("WATTFALL_RETENTION_DAYS", str(KEPT_DAYS))
        store = open_store(f"dynamodb://{PREFIX}?region={endpoint.region}&retention={KEPT_DAYS}")
        yield Cloud(endpoint, outputs, store)
        store.close()


@pytest.fixture(scope="module")
def day() -> dict[str, list[Reading]]:
    """Yesterday's readings, every 10 s, of three households; of its first hours where less is to be tried."""
    start = periods.day_start(periods.period_of("day", int(time.time()) - 86_400, ZONE), ZONE)
    end = start + scaled(24) * 3600
    return {home.device_id: list(simulated(home, start, end, TICK_S)) for home in households(3, 1)}


def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.25)


def as_message(reading: Reading) -> dict[str, object]:
    return reading._asdict() | {"at": periods.local(reading.at, "UTC").isoformat()}


def messages(day: dict[str, list[Reading]]) -> list[tuple[str, bytes]]:
    """Return single readings, minutes and half hours as devices send them, some twice, in any order."""
    made = []
    for size, (device_id, readings) in zip((1, 6, 180), day.items(), strict=True):
        for at in range(0, len(readings), size):
            some = [as_message(reading) for reading in readings[at : at + size]]
            content = some[0] if size == 1 else {"readings": some}
            made.append((device_id, orjson.dumps(content)))
    chance = random.Random(3)
    made += chance.sample(made, len(made) // 5)
    chance.shuffle(made)
    return made


def charts(store: Store, devices: Iterable[str], at: int) -> list[Document | None]:
    """Return the day, month and year of an instant as they are shown: open parts are read from their own documents."""
    now = int(time.time())
    return [
        current(
            partial(_document, store, device_id),
            Device(device_id, ZONE),
            level,
            periods.period_of(level, at, ZONE),
            now,
        )
        for device_id in devices
        for level in periods.LEVELS
    ]


def _document(store: Store, device_id: str, level: str, period: str) -> Document | None:
    return store.document(level, device_id, period)


def embedded(folder: Path, readings: Sequence[Reading]) -> SqliteStore:
    """SQLite with the same readings."""
    store = SqliteStore(str(folder / "same.db"))
    ingest(store, readings, int(time.time()), ZONE)
    drain(store)
    return store


def test_a_day_of_readings_makes_the_charts_that_sqlite_makes(
    cloud: Cloud, day: dict[str, list[Reading]], tmp_path: Path
) -> None:
    sent = [reading for readings in day.values() for reading in readings]
    at = sent[0].at
    expected = charts(embedded(tmp_path, sent), day, at)
    cloud.send(messages(day))
    until(lambda: charts(cloud.store, day, at) == expected)
    found = charts(cloud.store, day, at)
    assert len(found) == 9
    assert found == expected
    for device_id, readings in day.items():
        assert cloud.store.readings(device_id, readings[0].at, readings[-1].at) == readings

    asked = cloud.client("lambda").invoke(FunctionName=f"{PREFIX}-verify", Payload=b"{}")
    assert orjson.loads(asked["Payload"].read()) == {"differences": []}, "of a sample, with the rights of its role"

    before = [cloud.stream_records(table) for table in ("readings", "days", "months")]
    cloud.send(messages(day))
    marker = [as_message(Reading("marker", readings[0].at + at, 100, None, None)) for at in (0, 60)]
    cloud.send([("marker", orjson.dumps({"readings": marker}))])  # comes after all that was sent again
    until(lambda: cloud.store.periods("month", "marker"))
    after = [cloud.stream_records(table) for table in ("readings", "days", "months")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1], "of the marker alone"


def by_rule(topic: str, payload: bytes) -> tuple[str, bytes]:
    """Return what a rule of IoT Core puts into the stream; the emulator's rules cannot."""
    device_id = topic.split("/")[topic.startswith(PREFIX)]
    return device_id, orjson.dumps({"data": base64.b64encode(payload).decode(), "topic": topic})


def test_a_device_is_live_over_its_own_topic_alone(cloud: Cloud) -> None:
    now = int(time.time())
    block = encode_block([Reading("cad-edge", now - 60, 300, None, None)])
    shelly = orjson.dumps({"src": "em", "method": "NotifyStatus", "params": {"ts": now, "em1:0": {"act_power": 7}}})
    sent = (
        (f"{PREFIX}/cad-live/readings", orjson.dumps(as_message(Reading("cad-live", now, 431, 1000, None)))),
        (f"{PREFIX}/cad-live/readings", orjson.dumps(as_message(Reading("cad-other", now, 431, 1000, None)))),
        (f"{PREFIX}/cad-edge/block", block),
        ("shelly-live/events/rpc", shelly),
    )
    cloud.send(by_rule(topic, payload) for topic, payload in sent)
    shown = {"cad-live": 431, "cad-edge": 300, "shelly-live": 7}
    until(lambda: all(cloud.store.live(device_id) for device_id in shown))
    assert {one: (live := cloud.store.live(one)) and live.power_w for one in shown} == shown
    assert cloud.store.live("cad-other") is None
    until(lambda: load_refusals(cloud.store, "cad-live").days)
    assert [*load_refusals(cloud.store, "cad-live").days.values()] == [{"bad_device_id": 1}]


def test_every_format_through_every_way_in_is_what_sqlite_holds(cloud: Cloud, tmp_path: Path) -> None:
    """Twice and in any order; some messages come as dead letters that are replayed."""
    expected, chance, queue = ways.on_sqlite(tmp_path), random.Random(1), cloud.outputs["DeadLetters"]
    sent = ways.events(cloud.store)
    for device_id in ways.EVERYBODY:
        cloud.store.put_device(Device(device_id, ways.ZONE))
    chance.shuffle(sent)
    by_rule = [event for way, event in sent if way == "rule"]
    lost, came = by_rule[:4], by_rule[4:] + by_rule[6:]

    def found() -> dict[str, object]:
        return {key: one for key, one in ways.content(cloud.store).items() if ways.sender(key) in ways.EVERYBODY}

    cloud.send((one["partitionKey"], base64.b64decode(one["data"])) for one in came)
    for event in [event for way, event in sent if way == "http"] * 2:
        answer = requests.post(
            f"{url_of(cloud)}/ingest",
            base64.b64decode(event["body"]),
            params=event["queryStringParameters"],
            headers=event["headers"],
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 202, answer.text
    for one in lost:
        message = orjson.loads(base64.b64decode(one["data"]))
        letter = {"topic": message["topic"], "base64OriginalPayload": message["data"], "failures": []}
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=orjson.dumps(letter).decode())
    done = CliRunner().invoke(main, ["replay", "--queue", queue, "--store", cloud.outputs["Store"]])
    assert orjson.loads(done.stdout) == {"replayed": len(lost), "failed": 0}
    until(lambda: found() == expected)
    assert found() == expected


def url_of(cloud: Cloud) -> str:
    """Return the address of the HTTP API, as the emulator has it."""
    api = cloud.outputs["Url"].partition("//")[2].partition(".")[0]
    return f"{cloud.endpoint.url}/_aws/execute-api/{api}/$default"


def test_an_edge_sends_half_hours_and_the_live_state_over_http(cloud: Cloud) -> None:
    url = url_of(cloud)
    now = int(time.time())
    start = now // 1800 * 1800 - 3600
    readings = [Reading("cad-http", start + 10 * n, 200 + n, 1000 + n, None) for n in range(180)]
    client = HttpIngestClient(url, new_token(cloud.store, "cad-http", now))
    assert client.send(encode_block(readings), BLOCK).result is SendResult.KEPT
    assert cloud.store.readings("cad-http", start, start) == readings
    live = Reading("cad-http", now, 431, 2000, None)
    note_look(cloud.store, "cad-http", now)
    answer = client.send(orjson.dumps(as_message(live)), JSON, is_live=True)
    assert (answer.result, answer.is_watched) == (SendResult.KEPT, True)
    kept = cloud.store.live("cad-http")
    assert kept
    assert kept.power_w == 431
    assert client.send(b"{", JSON).result is SendResult.REFUSED
    stranger = HttpIngestClient(url, "wattfall.cad-http.forged")
    assert stranger.send(orjson.dumps(as_message(live)), JSON).result is SendResult.NO_ENTRY
    until(lambda: charts(cloud.store, ["cad-http"], start)[0])
    assert charts(cloud.store, ["cad-http"], start)[0]
    client.close()
    stranger.close()


def recovery_drill(cloud: Cloud) -> list[list[list[str]]]:
    """Return the commands of the README's drill and of its way to serve the tables, as a shell expands them."""
    section = (
        (ROOT / "aggregator/README.md").read_text().partition("**Recovery.**")[2].partition("\nAfter an upgrade")[0]
    )
    names = {".venv/bin/wattfall": "wattfall", "wattfall-$": f"{PREFIX}-$", "eu-west-2": cloud.endpoint.region}
    for named, here in names.items():
        section = section.replace(named, here)
    shown = 'aws() { echo "aws $*"; }; wattfall() { echo "wattfall $*"; }\n'
    blocks = [block.partition("```")[0] for block in section.split("```sh\n")[1:]]
    runs = [subprocess.run(["bash", "-euc", shown + one], capture_output=True, text=True, check=True) for one in blocks]
    return [[line.split() for line in run.stdout.splitlines()] for run in runs]


def call_aws(cloud: Cloud, command: Sequence[str]) -> None:
    """Call what a command of the AWS command line does."""
    _, service, operation, *options = command
    given: dict[str, object] = {}
    for name, value in zip(options[::2], options[1::2], strict=True):
        key, _, flag = value.partition("=")
        given[name.strip("-").title().replace("-", "")] = {key: flag == "true"} if flag else value
    getattr(cloud.client(service), operation.replace("-", "_"))(**given)


def follows(store: Store, device: Device) -> bool:
    """Carry what the streams tell; return whether the charts of a device follow its readings."""
    store.follow()
    drain(store)
    return not list(differences(store, device))


def test_the_recovery_drill_of_the_readme_restores_tables_that_serve(cloud: Cloud) -> None:
    """As far as the emulator goes: it copies the present, whatever the instant."""
    noon = int(time.time()) // 86_400 * 86_400 - 43_200
    ingest(cloud.store, [Reading("drill", noon + 60 * at, None, 10 * at, None) for at in range(120)], noon, ZONE)
    device = cloud.store.device("drill")
    assert device
    until(lambda: not list(differences(cloud.store, device)))
    (*restore, create, verify, delete), serve = recovery_drill(cloud)
    for command in restore:
        call_aws(cloud, command)
    made = CliRunner().invoke(main, create[1:])
    assert made.stdout.splitlines()[0] == "drill-checkpoints created"
    verified = CliRunner().invoke(main, verify[1:])
    assert verified.stdout.endswith(" devices, 0 differences\n")

    for command in serve:
        call_aws(cloud, command)
    with closing(open_store(create[-1])) as restored:
        assert charts(restored, ["drill"], noon) == charts(cloud.store, ["drill"], noon)
        ingest(restored, [Reading("drill", noon + 7260, None, 1300, None)], noon + 7260, ZONE)
        assert list(differences(restored, device))
        until(lambda: follows(restored, device))
        assert follows(restored, device)
    assert CliRunner().invoke(main, delete[1:], input="drill\n").exit_code == 0


def test_replay_takes_back_queue_and_bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.aws.dead_letters.HIDDEN_S", 0)  # what failed is given again at once
    now, queue = int(time.time()), cloud.outputs["DeadLetters"]
    lost = [Reading("cad-lost", now - 10 * at, 100 + at, None, None) for at in range(3)]
    payloads = [base64.b64encode(orjson.dumps(as_message(one))).decode() for one in lost]
    iot = {"topic": f"{PREFIX}/cad-lost/readings", "base64OriginalPayload": payloads[0], "failures": []}
    letter, batch = (
        {"kinesis": {"data": data, "partitionKey": "cad-lost", "sequenceNumber": "1"}} for data in payloads[1:]
    )
    place = {"bucket": {"name": cloud.outputs["DeadBatches"]}, "object": {"key": "aws/lambda/1/batch"}}
    content = orjson.dumps({"payload": orjson.dumps({"Records": [batch]}).decode()})
    cloud.client("s3").put_object(Bucket=place["bucket"]["name"], Key=place["object"]["key"], Body=content)
    note = {"source": "aws.s3", "detail": place}
    bad = {"function": "ingest", "reason": "", "payload": "{"}
    for body in (iot, {"function": "ingest", "reason": "", "payload": orjson.dumps(letter).decode()}, note, bad):
        cloud.client("sqs").send_message(QueueUrl=queue, MessageBody=orjson.dumps(body).decode())
    url = f"dynamodb://{PREFIX}?region={cloud.endpoint.region}"
    done = CliRunner().invoke(main, ["replay", "--queue", queue, "--store", url])
    assert done.exit_code == 1
    assert "malformed_json" in done.stderr
    counts = orjson.loads(done.stdout)
    assert counts["failed"] == 1
    assert counts["replayed"] >= 3  # the emulator's bucket may have told of its batch as well
    assert [one.power_w for one in cloud.store.readings("cad-lost", 0, 2**40)] == [102, 101, 100]
    assert "Contents" not in cloud.client("s3").list_objects_v2(Bucket=place["bucket"]["name"])
    cloud.client("sqs").purge_queue(QueueUrl=queue)


def dead_letters(cloud: Cloud, device_id: str) -> list[str]:
    """Bodies that name a device: a letter, an error of IoT Core, a batch in the bucket, and one that is torn."""
    data = base64.b64encode(orjson.dumps({"device_id": device_id})).decode()
    record = {"kinesis": {"data": data, "partitionKey": "gateway", "sequenceNumber": "1"}}
    place = {"bucket": {"name": cloud.outputs["DeadBatches"]}, "object": {"key": f"aws/lambda/1/{device_id}"}}
    content = orjson.dumps({"payload": {"Records": [record]}})
    cloud.client("s3").put_object(Bucket=place["bucket"]["name"], Key=place["object"]["key"], Body=content)
    bodies = (
        {"function": "ingest", "reason": "", "payload": orjson.dumps(record).decode()},
        {"topic": f"glow/{device_id}/SENSOR", "base64OriginalPayload": data, "failures": []},
        {"source": "aws.s3", "detail": place},
        {"function": "ingest", "reason": "", "payload": "{"},
    )
    return [orjson.dumps(one).decode() for one in bodies]


def test_an_erasure_is_not_done_while_a_dead_letter_may_tell_of_it(cloud: Cloud) -> None:
    queue, store, now = cloud.outputs["DeadLetters"], cloud.store, int(time.time())
    sqs, where = cloud.client("sqs"), f"dynamodb://{PREFIX}?region={cloud.endpoint.region}"
    plan = ErasurePlan("lost", (ErasedStay("cad-lost", 0, 2**40),), ())
    others = [dead_letters(cloud, "cad-lost2")[at] for at in range(3)]
    store.put_device(Device("cad-lost", household="lost"))
    ask_for_erasure(store, "lost", now - 8 * 86_400)

    def waiting_about(*bodies: str) -> list[str]:
        sqs.purge_queue(QueueUrl=queue)
        for body in bodies:
            sqs.send_message(QueueUrl=queue, MessageBody=body)
        found = [[one for one in letters_about(queue, store, plan) if one] for _ in range(2)]
        assert found[0] == found[1], "a scan takes nothing away"
        return found[0]

    assert waiting_about(*others) == []
    for body in dead_letters(cloud, "cad-lost"):
        assert [one.partition(",")[0] for one in waiting_about(*others, body)] == ["1 dead letters"]
    for is_left in (True, False):
        cloud.client("lambda").invoke(FunctionName=f"{PREFIX}-erasing", Payload=b"{}")
        assert overdue(store, int(time.time())) == ["lost"] * is_left
        assert not store.household_devices("lost")
        arguments = ["household", "erase", "lost", "--confirm", "lost", "--store", where, "--dead-letters", queue]
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, "left: 1 dead letters" in result.stdout) == (int(is_left), is_left)
        sqs.purge_queue(QueueUrl=queue)
    assert "erased; a scan of every table and collection and of the dead letters finds nothing" in result.stdout
    sqs.send_message(QueueUrl=queue, MessageBody=others[0])
    sqs.receive_message(QueueUrl=queue)
    assert [one for one in letters_about(queue, store, plan) if one] == [
        "1 dead letters that this scan did not get; run it again later"
    ]
    sqs.purge_queue(QueueUrl=queue)


def test_a_household_that_is_due_is_erased_with_the_rights_of_a_function(cloud: Cloud) -> None:
    now, store = int(time.time()), cloud.store
    home = Device("cad-left", household="before", name="Villa")
    store.put_device(home)
    noon = now // 86_400 * 86_400 - 43_200
    earlier, day = periods.day_of(noon - 86_400, ZONE), periods.day_of(noon, ZONE)
    readings = [Reading("cad-left", noon + 600 * at, 500, 100 * at + 20_000, None) for at in range(-200, 12)]
    ingest(store, readings, now, ZONE)
    move(store, home, "leaving", day)
    store.put_prices("cad-left", Series({noon // 1800 * 1800: Decimal(1)}, {}))
    store.quarantine(READINGS, "cad-left", [str(noon // 1800 * 1800)], "damaged")
    accounts_on(store).add("ann@example.org", household="leaving")
    until(lambda: day in store.periods("day", "cad-left"))
    ask_for_erasure(store, "leaving", now - 8 * 86_400)
    answer = cloud.client("lambda").invoke(FunctionName=f"{PREFIX}-erasing", Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    assert overdue(store, now) == store.household_devices("leaving") == []
    assert not [*accounts_on(store).everybody()]
    midnight = periods.day_start(day, ZONE)
    assert [one.at for one in store.readings("cad-left", midnight, 2**40)] == [midnight]
    assert [*AuditCheck(Audit(store, [os.environ["WATTFALL_SECRET"]])).faults()] == []
    assert [*AuditCheck(Audit(store, [])).faults()] != [], "the entries are signed"
    assert earlier in store.periods("day", "cad-left")
    assert day not in store.periods("day", "cad-left")
