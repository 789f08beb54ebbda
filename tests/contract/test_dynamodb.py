"""DynamoDB alone: conditions in place of transactions, units, items and their encoding."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aggregator.commands.aws_commands import tables_group
from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError, Damaged, StoreAway, StoreUnusable
from aggregator.core.live import Arrival, Live
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.settings import load
from aggregator.store import open_store, pages
from aggregator.store.dynamodb import items, tables
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.items import meter_tags
from aggregator.store.dynamodb.tables import create_tables, delete_tables, describe_tables
from aggregator.store.dynamodb.tables import tables as all_tables
from aggregator.tariffs.rates import Series
from aggregator.waterfall.worker import drain
from tests.contract.conftest import store_on
from tests.contract.dynamo_clients import Answer, Counting, Interleaving, Passing
from tests.contract.memory_client import MemoryClient

HOME, START, NOW = "home", 1_795_000_200, 1_795_010_000
START -= START % 1800
FULL = Part(250, 3, 0, 0, 1800, 0)


def reading(after: int, wh: int, meter: str | None = None) -> Reading:
    return Reading(HOME, START + after, 431, wh, 0, meter)


def readings_of(store: DynamoStore) -> list[Reading]:
    return store.readings(HOME, START, START)


# Two at once


def test_the_last_writer_has_read_the_current_inputs(client: AwsDynamoClient, prefix: str) -> None:
    """One worker reads a half hour; before it writes the day, readings come in and another worker carries them."""
    other = store_on(client, prefix)

    def meanwhile() -> None:
        ingest(other, [reading(1200, 1500)], NOW, "UTC")
        drain(other)

    slow = store_on(Interleaving(client, "days", meanwhile), prefix)
    ingest(slow, [reading(0, 1000), reading(600, 1100)], NOW, "UTC")
    drain(slow)
    day = slow.document("day", HOME, slow.periods("day", HOME)[0])
    assert day is not None
    assert day.total.import_wh == 500
    for store in (slow, other):
        store.close()


def test_a_late_equal_write_does_not_undo_newer_parts(client: AwsDynamoClient, prefix: str) -> None:
    """The parent looks untouched (A, B, A), so no condition can tell; the child that is read again does."""
    other = store_on(client, prefix)
    ingest(other, [reading(0, 1000), reading(600, 1100)], NOW, "UTC")
    drain(other)

    def meanwhile() -> None:
        ingest(other, [reading(600, 1100)], NOW, "UTC")
        drain(other)

    slow = store_on(Interleaving(client, "days", meanwhile), prefix)
    ingest(slow, [reading(600, 1300)], NOW, "UTC")
    drain(slow)
    day = slow.document("day", HOME, slow.periods("day", HOME)[0])
    assert day is not None
    assert day.total.import_wh == 100
    for store in (slow, other):
        store.close()


def test_parts_of_one_document_written_at_once_are_all_kept(store: DynamoStore) -> None:
    names = [f"d{number:02d}" for number in range(1, 29)]
    threads = [
        threading.Thread(target=store.merge_parts, args=("month", HOME, "2026-11", "UTC", {name: FULL}))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = store.document("month", HOME, "2026-11")
    assert document is not None
    assert sorted(document.parts) == names


def test_two_concurrent_widenings_of_a_device_both_count(store: DynamoStore) -> None:
    store.put_device(Device(HOME, registers=("import_wh",)))
    store.put_device(Device(HOME, registers=("export_wh",)))
    assert store.device(HOME) == Device(HOME, registers=("export_wh", "import_wh"))


# Items


def test_meters_whose_ids_want_the_same_byte_are_told_apart(store: DynamoStore) -> None:
    one = "meter-0"
    other = next(name for name in map("meter-{}".format, range(1, 5000)) if meter_tags([name], {}) == {name: _tag(one)})
    first, second = [reading(0, 1, one), reading(10, 2, one)], [reading(20, 3, other), reading(30, 4, one)]
    ingest(store, first, NOW, "UTC")
    ingest(store, second, NOW, "UTC")
    assert readings_of(store) == [*first, *second]
    assert ingest(store, [*first, *second], NOW, "UTC") == (0, 4)


def _tag(meter: str) -> int:
    return meter_tags([meter], {})[meter]


def test_a_half_hour_holds_a_reading_each_second_and_many_meters(store: DynamoStore) -> None:
    sent = [reading(after, after, f"meter-{after % 40}") for after in range(0, 1800, 3)]
    assert ingest(store, sent, NOW, "UTC") == (600, 0)
    assert readings_of(store) == sent
    assert ingest(store, sent, NOW, "UTC") == (0, 600)


def test_a_document_without_parts_is_none(client: AwsDynamoClient, store: DynamoStore, prefix: str) -> None:
    assert store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": FULL, "s00": FULL})
    assert store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": None, "s00": None})
    assert not store.merge_parts("day", HOME, "2026-11-23", "UTC", {"h00": None})
    assert store.document("day", HOME, "2026-11-23") is None
    assert store.extent("day", HOME) is None
    assert client.call("scan", TableName=f"{prefix}-days")["Items"] == []


# What it costs


def test_a_newer_live_state_is_one_write_without_a_read(client: AwsDynamoClient, prefix: str) -> None:
    counting = Counting(client)
    store = store_on(counting, prefix)
    for number in range(3):
        store.put_live([Live(HOME, START + number, START + number, None if number % 2 else number, number, None, "m")])
    assert (counting.writes, counting.reads) == ({"live": 3}, {})
    assert store.live(HOME) == Live(
        *(HOME, START + 2, START + 2, 2, 2, None, "m", (Arrival(START, START), Arrival(START + 1, START + 1)))
    )
    store.close()


def test_new_readings_are_one_write_without_a_read_and_old_ones_no_write(client: AwsDynamoClient, prefix: str) -> None:
    counting = Counting(client)
    store = store_on(counting, prefix)
    blocks = {(HOME, START): {START + after: reading(after, 1000, "meter") for after in range(0, 60, 10)}}
    assert store.write_readings(blocks, NOW) == (6, 0)
    assert (counting.writes, counting.reads) == ({"readings": 1}, {})
    later = {(HOME, START): {START + 60: reading(60, 1001, "meter")}}
    assert store.write_readings(later, NOW) == (1, 0)
    assert (counting.writes, counting.reads) == ({"readings": 2}, {})
    assert store.write_readings(blocks, NOW) == (0, 6)
    assert (counting.writes, counting.reads) == ({"readings": 3}, {})  # the third failed, and told what was there
    store.close()


def test_writing_what_is_there_already_costs_no_write(client: AwsDynamoClient, prefix: str) -> None:
    counting = Counting(client)
    store = store_on(counting, prefix)
    parts = {"h00": FULL, "s00": FULL}
    assert store.merge_parts("day", HOME, "2026-11-23", "UTC", parts)
    assert not store.merge_parts("day", HOME, "2026-11-23", "UTC", parts)
    assert counting.writes == {"days": 1}
    store.close()


# Faults, and what is said about them


@contextmanager
def answering(status: int, code: str) -> Iterator[str]:
    """An endpoint with one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def far_door(monkeypatch: pytest.MonkeyPatch, url: str) -> DynamoClient:
    for name, value in {
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }.items():
        monkeypatch.setenv(name, value)
    return AwsDynamoClient("eu-west-2", attempts=1)


@pytest.mark.parametrize(
    ("status", "code", "error", "mend"),
    [
        (400, "ProvisionedThroughputExceededException", StoreAway, "too busy"),
        (400, "ThrottlingException", StoreAway, "too busy"),
        (503, "ServiceUnavailable", StoreAway, "too busy"),
        (500, "InternalServerError", StoreAway, "too busy"),
        (400, "ExpiredTokenException", StoreUnusable, "sign in again"),
        (400, "UnrecognizedClientException", StoreUnusable, "check AWS_ACCESS_KEY_ID"),
        (400, "AccessDeniedException", StoreUnusable, "rights"),
        (400, "ResourceNotFoundException", StoreUnusable, "wattfall tables create"),
    ],
)
def test_a_refusal_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, error: type[Exception], mend: str
) -> None:
    with answering(status, code) as url:
        store = DynamoStore(far_door(monkeypatch, url), "wattfall")
        with pytest.raises(error, match=mend):
            store.document("day", HOME, "2026-11-23")
        store.close()


def test_an_unreachable_endpoint_is_store_away(monkeypatch: pytest.MonkeyPatch) -> None:
    store = DynamoStore(far_door(monkeypatch, "http://127.0.0.1:9"), "wattfall")
    with pytest.raises(StoreAway, match="check the network and the region"):
        store.live(HOME)
    store.close()


def test_missing_credentials_or_region_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(StoreUnusable, match="region"):
        open_store("dynamodb://wattfall")
    store = open_store("dynamodb://wattfall?region=eu-west-2")
    with pytest.raises(StoreUnusable, match="AWS_ACCESS_KEY_ID"):
        store.live(HOME)
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "dynamodb://",
        "dynamodb://a/b",
        "dynamodb://a?retention=1",
        "dynamodb://a?retention=x",
        "dynamodb://a?pace=-1",
        "dynamodb://a?regoin=eu-west-2",
        "dynamodb://a?region=",
        "postgres://a",
    ],
)
def test_an_invalid_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_store(url)


# Ranges


class Paging(Passing):
    """Answers two items at a time, as DynamoDB does with a megabyte."""

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        return super().call(operation, **request | ({"Limit": 2} if operation == "query" else {}))


def test_a_range_of_several_pages_is_whole_and_in_order(client: AwsDynamoClient, prefix: str) -> None:
    store = DynamoStore(Paging(client), prefix)
    days = [f"2026-11-{number:02d}" for number in range(1, 8)]
    for day in days:
        store.merge_parts("day", HOME, day, "UTC", {"h00": FULL})
    assert [one.period for one in store.documents("day", HOME, days[0], days[-1])] == days
    store.close()


# Tables


def test_tables_are_made_once_described_and_removed(client: AwsDynamoClient, prefix: str) -> None:
    assert list(create_tables(client, prefix)) == []
    assert dict(describe_tables(client, prefix))[f"{prefix}-readings"].endswith("stream")
    assert len(list(delete_tables(client, prefix))) == len(all_tables())
    with pytest.raises(StoreUnusable, match="tables create"):
        list(describe_tables(client, prefix))


def test_a_damaged_item_is_quarantined_and_stops_no_other(
    client: AwsDynamoClient, store: DynamoStore, prefix: str
) -> None:
    for device_id in (HOME, "other"):
        ingest(store, [reading(after, 9)._replace(device_id=device_id) for after in (0, 60)], NOW, "UTC")
    wrong = items.block_key(HOME, START) | {"00": {"B": b"\xff"}}
    client.call("put_item", TableName=f"{prefix}-readings", Item=wrong)
    drain(store)
    assert store.extent("day", "other")
    (line,) = store.quarantined(HOME)
    assert line.startswith(f"readings {START}: ")


def test_a_damaged_device_or_live_state_is_named_and_left_out_of_walks(
    client: AwsDynamoClient, store: DynamoStore, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    for device_id in ("d", "e", "f"):
        ingest(store, [reading(0, 9)._replace(device_id=device_id)], NOW, "UTC")
    client.call("put_item", TableName=f"{prefix}-devices", Item={"d": {"S": "e"}, "z": {"S": "UTC"}})
    client.call("put_item", TableName=f"{prefix}-live", Item={"d": {"S": "f"}})
    for walk in (store.devices, store.stored_devices):
        told: list[str] = []
        assert {device.device_id for page in pages(partial(walk, leave_out=told.append)) for device in page} == {*"df"}
        assert "cannot be read" in told[0]
        with pytest.raises(Damaged):
            walk()
    assert {live.device_id for page in pages(store.lives) for live in page} == {*"de"}
    assert "{'d': {'S': 'f'}} cannot be read" in caplog.text


@pytest.mark.parametrize("left", [None, {"p": {"N": "999"}}], ids=["gone", "damaged"])
def test_a_live_state_that_vanishes_before_a_merge_is_written_anew(
    client: AwsDynamoClient, prefix: str, caplog: pytest.LogCaptureFixture, left: dict[str, Any] | None
) -> None:
    place = {"TableName": f"{prefix}-live", "Key": {"d": items.text(HOME)}}

    def vanish() -> None:
        stored = client.call("get_item", **place)["Item"]
        client.call("delete_item", **place)
        if left:
            client.call("put_item", TableName=place["TableName"], Item=stored | left)

    slow = Interleaving(client, "live", lambda: setattr(slow, "meanwhile", vanish))  # before its second write
    older = Live(HOME, NOW - 5, NOW, 7, 8, 9, None)
    with closing(store_on(client, prefix)) as other, closing(store_on(slow, prefix)) as store:
        other.put_live([Live(HOME, NOW, NOW, 1, None, 3, "m")])
        store.put_live([older])
        assert other.live(HOME) == older
    assert ("begins anew" in caplog.text) is bool(left)


@pytest.mark.parametrize(
    ("table", "name"),
    [("devices", name) for name in ("z", "w", "r", "t", "lh", "ln", "g", "y", "h")]
    + [("live", name) for name in ("t", "r", "p", "pt", "i", "it", "e", "m", "t1", "r1")]
    + [("prices", name) for name in ("i00", "e01")],
)
def test_a_changed_value_of_an_item_is_named(
    client: AwsDynamoClient, store: DynamoStore, prefix: str, table: str, name: str
) -> None:
    registers = ("export_wh", "import_wh")
    device = Device(HOME, "UTC", 1, registers, "{}", "a", "A", kind="gas", occupied_from="2026-01-01")
    for live in (Live(HOME, NOW, NOW, 1, 2, 3, "m"), Live(HOME, NOW + 9, NOW + 9, None, 5, 6, None)):
        store.put_device(device)
        store.put_live([live])
    store.put_retention_cutoff(HOME, NOW + 9 * DAY_S)
    prices = {at: Decimal("0.2150") for at in (NOW // DAY_S * DAY_S, NOW // DAY_S * DAY_S + 1800)}
    store.put_prices(HOME, Series(prices, prices))

    def read() -> None:
        assert store.device(HOME) == device
        assert store.live(HOME)
        assert store.prices(HOME, 0, NOW) == Series(prices, prices)
        assert store.retention_cutoff(HOME) == NOW + 9 * DAY_S

    read()
    key = {"d": items.text(HOME)} | ({"p": items.text("2026-11-18")} if table == "prices" else {})
    stored = client.call("get_item", TableName=f"{prefix}-{table}", Key=key)["Item"]
    ((kind, value),) = stored[name].items()
    changed = [f"{value[0]}1", *value[1:]] if isinstance(value, list) else f"{value}1"
    wrong = stored | {name: {kind: changed}}
    client.call("put_item", TableName=f"{prefix}-{table}", Item=wrong)
    with pytest.raises(Damaged, match="differs from its check value"):
        read()
    if table == "live":
        store.put_live([Live(HOME, NOW - 5, NOW, 1, 2, 3, None)])  # an older one, which is merged
        store.put_live([Live(HOME, NOW + 20, NOW + 20, 1, 2, 3, "m")])
    store.put_device(device)
    store.put_prices(HOME, Series(prices, prices))
    if name not in ("h", "r"):  # these only grow
        read()


def test_tables_that_are_being_restored_are_waited_for_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    class RestoringClient(MemoryClient):
        """It has restored its tables after a few looks."""

        looks = 0

        def call(self, operation: str, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - as boto3 takes it
            answer = super().call(operation, **request)
            if operation == "describe_table":
                self.looks += 1
                if self.looks < 5:
                    answer["Table"] |= {"TableStatus": "CREATING", "RestoreSummary": {"RestoreInProgress": True}}
            return answer

    monkeypatch.setattr(tables, "PATIENCE_S", -1)
    monkeypatch.setattr(tables, "PAUSE_S", 0)
    assert len(list(create_tables(MemoryClient(), "drill"))) == len(all_tables())
    assert len(list(create_tables(RestoringClient(), "drill"))) == len(all_tables())


def test_the_commands_make_describe_and_remove_the_tables(client: AwsDynamoClient) -> None:
    url = f"dynamodb://cli?region={client.region}"
    runner, settings = CliRunner(), load({"WATTFALL_STORE": url})

    def run(*arguments: str, typed: str = "") -> Result:
        return runner.invoke(tables_group, arguments, obj=settings, input=typed)

    assert isinstance(run("describe").exception, StoreUnusable)
    assert f"{len(all_tables())} tables created" in run("create").output
    assert "cli-readings\tactive, 0 items, 0 bytes, stream" in run("describe").output
    assert isinstance(run("delete", typed="no\n").exception, ConfigurationError)
    assert "cli-years removed" in run("delete", typed="cli\n").output
    assert isinstance(run("describe").exception, StoreUnusable)
