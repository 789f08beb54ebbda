"""The search index on DynamoDB: it takes several calls, and any of them may be the last."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from aggregator.commands.aws_commands import tables_group
from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.settings import load
from aggregator.store import search
from aggregator.store.dynamodb import items
from aggregator.store.dynamodb.device_index import Index, _collection
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.read_view import Reader
from aggregator.store.port import Store
from tests.contract.conftest import Tables, store_on
from tests.contract.dynamo_clients import Answer, Passing

OLD = Device("cad-0042", household="h1", name="12 Acacia Road", meter_point="1012345678901")
NEW = replace(OLD, household="h2", name="7 Oak Hill", serial="S-1")
LATER = replace(OLD, name="3 Elm Street", meter_point="")
CALLS = ("get_item", "update_item", "batch_write_item", "update_item")


class Breaking(Passing):
    """Fails at its nth call; before it is made, or after (the answer gets lost)."""

    def __init__(self, client: DynamoClient, at: int, *, is_after: bool) -> None:
        super().__init__(client)
        self.left, self.is_after = at, is_after
        self.calls: list[str] = []

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        self.calls.append(operation)
        self.left -= 1
        if self.left == -1 and not self.is_after:
            raise StoreAway("the network is gone")
        answer = super().call(operation, **request)
        if self.left == -1:
            raise StoreAway("the answer is lost")
        return answer


def index(client: DynamoClient, prefix: str) -> dict[str, str]:
    """Return the neighbours of each term."""
    found = client.call("scan", TableName=f"{prefix}-records")["Items"]
    return {item["s"]["S"]: item["v"]["S"] if "v" in item else "" for item in found}


def in_step(device: Device) -> dict[str, str]:
    own = search.terms(device)
    beside = {term: "" if term.startswith("=") else search.neighbours(own) for term in own}
    return {f"{term} {device.device_id}": text for term, text in beside.items()}


def can_be_found(store: Store, device: Device) -> bool:
    backwards = " ".join(device.name.split()[::-1])
    texts = (device.name, backwards, device.meter_point or "cad", device.device_id)
    found = [store.find_devices(text, 2) for text in texts]
    return [*found, store.household_devices(device.household)] == [[device.device_id]] * 5


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("at", range(len(CALLS)))
@pytest.mark.parametrize("last", [OLD, NEW, LATER])
def test_the_next_put_repairs_an_interrupted_one(
    client: AwsDynamoClient, prefix: str, at: int, last: Device, *, is_after: bool
) -> None:
    store = store_on(client, prefix)
    store.put_device(OLD)
    breaking = Breaking(client, at, is_after=is_after)
    broken = store_on(breaking, prefix)
    with pytest.raises(StoreAway):
        broken.put_device(NEW)
    assert tuple(breaking.calls) == CALLS[: at + 1]
    present = store.device(OLD.device_id)
    assert present in (OLD, NEW)
    for text in ("oak", "acacia", "s1"):  # never by what it is not, whatever the index says
        assert store.find_devices(text, 9) in ([], [OLD.device_id] if text in "".join(search.terms(present)) else [])
    store.put_device(last)
    assert index(client, prefix) == in_step(last)
    assert can_be_found(store, last)
    for one in (store, broken):
        one.close()


class Watched(Passing):
    """Notes what is called."""

    def __init__(self, client: DynamoClient) -> None:
        super().__init__(client)
        self.calls: list[str] = []

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        self.calls.append(operation)
        return super().call(operation, **request)


def test_a_put_with_equal_terms_writes_no_index_item(client: AwsDynamoClient, prefix: str) -> None:
    watched = Watched(client)
    store = store_on(watched, prefix)
    store.put_device(OLD)
    watched.calls.clear()
    store.put_device(replace(OLD, registers=("import_wh",), max_power_w=9))
    assert watched.calls == ["get_item", "update_item"]
    store.close()


class Throttled(Passing):
    """Leaves all but one of a batch undone, as DynamoDB does when it is busy."""

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation == "batch_write_item":
            ((table, wanted),) = request["RequestItems"].items()
            answer = super().call(operation, RequestItems={table: wanted[:5]})
            return answer | {"UnprocessedItems": {table: wanted[5:]} if wanted[5:] else {}}
        if operation == "batch_get_item":
            ((table, asked),) = request["RequestItems"].items()
            answer = super().call(operation, RequestItems={table: asked | {"Keys": asked["Keys"][:2]}})
            rest = asked | {"Keys": asked["Keys"][2:]}
            return answer | {"UnprocessedKeys": {table: rest} if rest["Keys"] else {}}
        return super().call(operation, **request)


def test_search_finds_a_rare_word_among_common_ones(
    client: AwsDynamoClient, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.store.dynamodb.device_index._PAGES_OF_WORDS", (2, 4))
    store = store_on(client, prefix)
    for number in range(9):
        store.put_device(Device(f"cad-{number}", name="Park Road"))
    store.put_device(Device("zzz", name="Park Lane by the Road"))
    assert store.find_devices("road lane park", 9) == ["zzz"]
    assert len(store.find_devices("road park", 5)) == 5
    assert store.find_devices("road street", 5) == []
    store.close()


def test_unprocessed_items_of_a_batch_are_retried(client: AwsDynamoClient, prefix: str) -> None:
    store = store_on(Throttled(client), prefix)
    for number in range(4):
        store.put_device(replace(OLD, device_id=f"cad-{number}"))
    assert store.find_devices("acacia", 9) == [f"cad-{number}" for number in range(4)]
    store.close()


class Refusing(Passing):
    """Does nothing of a batch, however often."""

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        if operation == "batch_write_item":
            return {"UnprocessedItems": request["RequestItems"]}
        return super().call(operation, **request)


def test_a_table_that_stays_throttled_is_store_away(
    client: AwsDynamoClient, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.store.dynamodb.dynamo_client.PAUSE_S", 0.0)
    store = store_on(Refusing(client), prefix)
    with pytest.raises(StoreAway, match="too busy"):
        store.put_device(OLD)
    store.close()


def test_tables_create_upgrades_a_former_version(client: AwsDynamoClient, tables: Tables) -> None:
    with tables() as prefix:
        store = store_on(client, prefix)
        store.put_device(OLD)
        former = {"d": items.text("cad-7"), "z": items.text("UTC"), "w": items.number(9), "r": {"SS": ["import_wh"]}}
        horizon_only = {"d": items.text("gone"), "h": items.number(1)}
        for item in (former, horizon_only):
            client.call("put_item", TableName=f"{prefix}-devices", Item=item)
        client.call("delete_table", TableName=f"{prefix}-records")

        settings = load({"WATTFALL_STORE": f"dynamodb://{prefix}?region={client.region}"})
        made = CliRunner().invoke(tables_group, ["create"], obj=settings)
        assert made.output.splitlines() == [
            f"{prefix}-records created",
            f"{prefix} in {client.region}: 1 tables created",
            "1 devices of an earlier version added to the search index",
        ]
        assert store.find_devices("cad7", 9) == ["cad-7"]
        assert store.device("cad-7") == Device("cad-7", "UTC", 9, ("import_wh",))
        again = CliRunner().invoke(tables_group, ["create"], obj=settings)
        assert again.output == f"{prefix} in {client.region}: 0 tables created\n"
        store.close()


def test_terms_of_a_former_version_are_found_and_upgraded(client: AwsDynamoClient, prefix: str) -> None:
    store = store_on(client, prefix)
    store.put_device(OLD)
    own = {"d": items.text(OLD.device_id)}
    expression = {"UpdateExpression": "SET f = :f", "ExpressionAttributeValues": {":f": items.number(1)}}
    client.call("update_item", TableName=f"{prefix}-devices", Key=own, **expression)
    for term in search.terms(OLD):
        bare = {"k": items.text(_collection(term)), "s": items.text(f"{term} {OLD.device_id}")}
        client.call("put_item", TableName=f"{prefix}-records", Item=bare)
    assert store.find_devices("road 8901", 9) == [OLD.device_id]
    assert store.find_devices("road 8902", 9) == []
    assert Index(client, prefix, Reader(client, prefix)).put_missing() == 1
    assert index(client, prefix) == in_step(OLD)
    store.close()


def test_a_search_is_a_few_queries_and_never_a_scan(client: AwsDynamoClient, prefix: str) -> None:
    writer = store_on(client, prefix)
    for number in range(30):
        writer.put_device(Device(f"cad-{number:04d}", name=f"{number} Park Road", household="h1"))
    watched = Watched(client)
    reader = DynamoStore(watched, prefix)
    assert len(reader.find_devices("cad", 10)) == 10
    assert watched.calls == ["query", "batch_get_item"]
    watched.calls.clear()
    assert reader.find_devices("0007", 10) == ["cad-0007"]
    assert watched.calls == ["query", "query", "batch_get_item"]
    watched.calls.clear()
    assert len(reader.find_devices("road park", 10)) == 10
    assert Counter(watched.calls) == {"query": 6, "batch_get_item": 1}
    watched.calls.clear()
    assert reader.find_devices("road 0007", 10) == ["cad-0007"]
    assert Counter(watched.calls) == {"query": 7, "batch_get_item": 1}
    watched.calls.clear()
    assert reader.find_devices("road 7777", 10) == []
    assert Counter(watched.calls) == {"query": 7}
    watched.calls.clear()
    assert len(reader.household_devices("h1")) == 30
    assert watched.calls == ["query", *["batch_get_item"] * 4]  # 30 devices and 300 possible second meters, 100 a call
    for store in (reader, writer):
        store.close()
