"""Records: small texts on collections, on every store."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.store import Store
from aggregator.store.collections import SESSIONS, TOKENS, record_pages, update_record
from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient, DynamoClient
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.port import name_once
from aggregator.store.stored_records import DAMAGED, LAST_KEY, MAX_BODY, PARTITIONS, SPREAD, Record, partitions
from tests.contract.conftest import MEMORY, Another, Clock, in_memory, store_on
from tests.contract.dynamo_clients import Answer, Passing
from tests.copies import damage_record

WRITERS = 8


def keys(records: list[Record]) -> list[str]:
    return [record.key for record in records]


def fill(store: Store, *wanted: str, collection: str = "notes") -> None:
    for key in wanted:
        store.put_record(collection, key, f'"{key}"')


def test_a_record_is_kept_replaced_and_dropped(either: Store) -> None:
    assert either.record("accounts", "ann") is None
    assert either.put_record("accounts", "ann", '{"role": "support"}')
    assert either.put_record("accounts", "ann", '{"role": "admin", "name": "Ann \u00c5 \U0001f50c"}')
    assert either.record("accounts", "ann") == '{"role": "admin", "name": "Ann \u00c5 \U0001f50c"}'
    assert either.record("sessions", "ann") is None
    for _ in range(2):
        either.drop_record("accounts", "ann")
        assert either.record("accounts", "ann") is None


def test_another_process_sees_a_record_at_once(another: Another) -> None:
    reader, writer = another(), another()
    assert reader.record("accounts", "ann") is None
    writer.put_record("accounts", "ann", "1")
    assert reader.record("accounts", "ann") == "1"
    assert reader.records("accounts") == [("ann", "1")]
    writer.drop_record("accounts", "ann")
    assert reader.record("accounts", "ann") is None


@pytest.mark.parametrize("name", ["notes", TOKENS.of()])
def test_records_come_in_order_of_their_keys_from_one_to_another(either: Store, name: str) -> None:
    fill(either, "b", "a", "B", "z", "\u00e9", "a b", "\U0001f50c", "10", "9", collection=name)
    fill(either, "c", collection="other")
    everything = ["10", "9", "B", "a", "a b", "b", "z", "\u00e9", "\U0001f50c"]
    assert keys(either.records(name)) == everything
    assert keys(either.records(name, newest_first=True)) == everything[::-1]
    assert keys(either.records(name, "9", "b")) == ["9", "B", "a", "a b", "b"]
    assert keys(either.records(name, "a", "a")) == ["a"]
    assert keys(either.records(name, last="B")) == ["10", "9", "B"]
    assert keys(either.records(name, "aa")) == ["b", "z", "\u00e9", "\U0001f50c"]
    for first, last in (("b", "a"), ("", ""), ("c", "d")):
        assert either.records(name, first, last) == []
    assert either.records("nothing") == []


@pytest.mark.parametrize("limit", [0, 1, 3, 7, 8])
def test_a_range_of_records_is_limited(either: Store, limit: int) -> None:
    fill(either, *"abcdefg")
    assert keys(either.records("notes", limit=limit)) == list("abcdefg")[:limit]
    assert keys(either.records("notes", limit=limit, newest_first=True)) == list("gfedcba")[:limit]


def test_dynamodb_spreads_the_tokens_of_a_fleet_over_partitions(client: AwsDynamoClient, prefix: str) -> None:
    store = DynamoStore(client, prefix)
    fill(store, *(f"cad-{number:04d}" for number in range(200)), collection=TOKENS.of())
    found = {item["k"]["S"] for item in client.call("scan", TableName=f"{prefix}-records")["Items"]}
    assert found <= set(partitions(TOKENS.of()))
    assert len(found) > PARTITIONS * 3 // 4
    assert len(store.records(TOKENS.of())) == 200
    assert {TOKENS.of(), SESSIONS.of()} == set(SPREAD)
    store.close()


class Queried(Passing):
    """Notes how many items each query read."""

    def __init__(self, client: DynamoClient) -> None:
        super().__init__(client)
        self.read: list[int] = []

    def call(self, operation: str, **request: Any) -> Answer:  # noqa: ANN401 - as boto3 takes it
        answer = super().call(operation, **request)
        if operation == "query":
            self.read.append(len(answer["Items"]))
        return answer


def test_a_walk_over_the_tokens_of_a_fleet_reads_each_little_more_than_once() -> None:
    client = Queried(in_memory())
    store, names = store_on(client, MEMORY), [f"cad-{number:04d}" for number in range(6400)]
    fill(store, *names, collection=TOKENS.of())
    assert [keys(page) for page in record_pages(store, TOKENS.of())] == [names[:5000], names[5000:]]
    assert len(client.read) < 3 * PARTITIONS
    assert sum(client.read) < 1.25 * len(names)
    client.read.clear()
    assert keys(store.records(TOKENS.of(), limit=500)) == names[:500]
    assert sum(client.read) < 1100


def test_the_last_key_is_the_last(either: Store) -> None:
    fill(either, LAST_KEY, "\U0010ffff", "a")
    assert keys(either.records("notes")) == ["a", "\U0010ffff", LAST_KEY]


# compare and set


def test_compare_and_set_writes_only_over_the_expected_body(either: Store) -> None:
    assert not either.put_record("accounts", "ann", "1", was="0")
    assert either.record("accounts", "ann") is None
    assert either.put_record("accounts", "ann", "1", was=None)
    assert not either.put_record("accounts", "ann", "2", was=None)
    assert not either.put_record("accounts", "ann", "2", was="0")
    assert either.record("accounts", "ann") == "1"
    assert either.put_record("accounts", "ann", "2", was="1")
    assert not either.put_record("accounts", "ann", "2", was="1")
    assert either.record("accounts", "ann") == "2"


def at_once(another: Another, write: Callable[[Store, int], bool]) -> list[bool]:
    """Return the result of each of several writers, each on a store of its own."""
    stores, ready = [another() for _ in range(WRITERS)], threading.Barrier(WRITERS)

    def one(number: int) -> bool:
        ready.wait()
        return write(stores[number], number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


@pytest.mark.parametrize("was", [None, "before"])
def test_one_of_competing_writers_wins(another: Another, was: str | None) -> None:
    store = another()
    if was:
        store.put_record("invitations", "x", was)
    won = at_once(another, lambda one, number: one.put_record("invitations", "x", str(number), was=was))
    assert won.count(True) == 1
    assert store.record("invitations", "x") == str(won.index(True))


def test_one_of_equal_concurrent_writers_wins(another: Another) -> None:
    """An invitation is used once, although all who use it write the same."""
    store = another()
    store.put_record("invitations", "x", "open")
    assert at_once(another, lambda one, _: one.put_record("invitations", "x", "used", was="open")).count(True) == 1


def test_a_count_by_compare_and_set_loses_nothing(another: Another) -> None:
    store = another()

    def add(one: Store, _: int) -> bool:
        for _ in range(5):
            update_record(one, "attempts", "ann", lambda body: str(int(body or 0) + 1))
        return True

    at_once(another, add)
    assert store.record("attempts", "ann") == str(5 * WRITERS)


def test_a_record_can_be_written_inside_a_transaction(either: Store) -> None:
    with either.transaction():
        assert either.put_record("notes", "a", "1", was=None)
        assert either.record("notes", "a") == "1"
        assert not either.put_record("notes", "a", "2", was=None)
    assert either.record("notes", "a") == "1"


class Twice(Passing):
    """Sends each write of a record twice, as AWS's client does when the answer to the first is lost."""

    def call(self, operation: str, **request: object) -> Answer:
        if operation == "put_item":
            super().call(operation, **request)
        return super().call(operation, **request)


def test_a_writer_recognizes_its_own_write_after_a_lost_answer(client: AwsDynamoClient, prefix: str) -> None:
    store = DynamoStore(Twice(client), prefix)
    assert store.put_record("invitations", "x", "open", was=None)
    assert store.put_record("invitations", "x", "used", was="open")
    assert not store.put_record("invitations", "x", "used", was="open")
    store.close()


# expiry


def test_an_expired_record_is_gone_before_it_is_swept(either: Store, clock: Clock) -> None:
    now = int(clock.now)
    either.put_record("sessions", "a", "1", expires=now + 60)
    either.put_record("sessions", "b", "2", expires=now + 61)
    either.put_record("sessions", "c", "3")
    assert keys(either.records("sessions")) == ["a", "b", "c"]
    clock.now += 60
    assert [either.record("sessions", key) for key in "abc"] == [None, "2", "3"]
    assert keys(either.records("sessions", limit=1)) == ["b"]
    assert keys(either.records("sessions", newest_first=True)) == ["c", "b"]


def test_an_expired_record_compares_as_absent(either: Store, clock: Clock) -> None:
    either.put_record("sessions", "a", "1", expires=int(clock.now) + 60)
    assert not either.put_record("sessions", "a", "2", was=None)
    clock.now += 60
    assert not either.put_record("sessions", "a", "2", was="1")
    assert either.put_record("sessions", "a", "2", was=None, expires=int(clock.now) + 60)
    assert either.put_record("sessions", "a", "3", was="2")
    clock.now += 60
    assert either.record("sessions", "a") == "3"


def test_a_sweep_removes_nothing_that_is_still_there(either: Store, clock: Clock) -> None:
    for number in range(4):
        either.put_record("sessions", str(number), "{}", expires=number and int(clock.now) + 10 * number)
    either.expire_records(int(clock.now) + 20)
    assert keys(either.records("sessions")) in (["0", "3"], ["0", "1", "2", "3"])
    clock.now += 20
    assert keys(either.records("sessions")) == ["0", "3"]


# damage


@pytest.mark.parametrize("name", ["notes", TOKENS.of()])
def test_a_damaged_record_is_named_once_and_never_shown(
    either: Store, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    for key in "abc":
        either.put_record(name, key, f'{{"{key}": 7}}', was=None)
    assert not any(either.damaged_records())
    damage_record(either, name, "b")
    name_once.cache_clear()
    assert either.record(name, "b") == DAMAGED
    for order in (1, -1):
        assert keys(either.records(name, limit=2, newest_first=order < 0)) == ["a", "c"][::order]
    assert either.records(name, "b", "c", with_damaged=True) == [("b", DAMAGED), ("c", '{"c": 7}')]
    (line,) = filter(None, either.damaged_records())
    assert "is damaged" in line
    assert caplog.messages.count(line) == 1


def test_nothing_but_what_means_to_replaces_a_damaged_record(either: Store) -> None:
    either.put_record("notes", "a", "7")
    damage_record(either, "notes", "a")
    for was in (None, "7"):
        assert not either.put_record("notes", "a", "8", was=was)
    assert either.put_record("notes", "a", "8", was=DAMAGED)
    assert either.record("notes", "a") == "8"
    assert not either.put_record("notes", "a", "9", was=DAMAGED)
    assert not either.put_record("notes", "b", "9", was=DAMAGED)


def test_a_count_whose_record_is_damaged_begins_anew(either: Store) -> None:
    either.put_record("notes", "a", "7")
    damage_record(either, "notes", "a")
    assert update_record(either, "notes", "a", lambda body: str(int(body or 0) + 1)).body == "1"
    assert either.record("notes", "a") == "1"


# what cannot be kept


@pytest.mark.parametrize(
    ("collection", "key"),
    [
        ("", "a"),
        ("notes", ""),
        ("n" * 257, "a"),
        ("notes", "k" * 1025),
        ("notes", "\u00e9" * 513),
        ("\U0001f50c" * 65, "a"),
        ("notes", "lone \ud800"),
        ("\udfff", "a"),
        ("find ca", "cad a"),
    ],
)
def test_an_invalid_key_is_a_configuration_error(either: Store, collection: str, key: str) -> None:
    for ask in (
        lambda: either.put_record(collection, key, "1"),
        lambda: either.put_record(collection, key, "1", was=None),
        lambda: either.record(collection, key),
        lambda: either.drop_record(collection, key),
    ):
        with pytest.raises(ConfigurationError) as raised:
            ask()
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 200


@pytest.mark.parametrize("bound", ["k" * 1025, "lone \ud800"])
def test_an_invalid_range_is_a_configuration_error(either: Store, bound: str) -> None:
    with pytest.raises(ConfigurationError):
        either.records("notes", bound)
    with pytest.raises(ConfigurationError):
        either.records("notes", last=bound)


def test_the_largest_body_is_stored_and_a_larger_one_refused(either: Store) -> None:
    with pytest.raises(ConfigurationError, match="body"):
        either.put_record("notes", "a", "x" * (MAX_BODY + 1))
    with pytest.raises(ConfigurationError, match="body"):
        either.put_record("notes", "a", "\ud83d")
    assert either.put_record("notes", "a", "\u00e9" * (MAX_BODY // 2), was=None)
    assert either.record("notes", "a") == "\u00e9" * (MAX_BODY // 2)


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE records; --", "%_*?[a]", "a\x00b", "\n\r\t", " ", "\u202egnp", "\ufffe", "\U0010fffe" * 60]
)
def test_strange_texts_are_kept_as_they_are(either: Store, text: str) -> None:
    assert either.put_record(text, text, text, was=None)
    assert either.put_record(text, text, text + "!", was=text)
    assert either.record(text, text) == text + "!"
    assert either.records(text, text, text) == [(text, text + "!")]
    assert either.record(text, text + "x") is None


def test_a_collection_of_many_pages_is_read_whole(either: Store) -> None:
    body = "x" * 200_000
    for number in range(12):
        either.put_record("snapshots", f"{number:02d}", body)
    assert keys(either.records("snapshots")) == [f"{number:02d}" for number in range(12)]
    assert keys(either.records("snapshots", "03", limit=7)) == [f"{number:02d}" for number in range(3, 10)]
