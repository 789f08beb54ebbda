import base64
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from aggregator.aws import lambdas
from aggregator.aws.lambdas import Answer, DeadLetter, Functions, bundles, level_steps
from aggregator.core.documents import Device, Document
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import LEVELS
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain

MIDNIGHT = 1_795_392_000  # 2026-11-23T00:00:00Z
NOW = MIDNIGHT + 86_400
ZONE = "Europe/London"
STEPS = tuple(level_steps().values())
DAYS = STEPS[0]
KEYS = {"readings": "b", "day": "p", "month": "p"}


class Failing(SqliteStore):
    """A store whose document writes fail on demand."""

    fails: Callable[[str, str], Exception | None] = staticmethod(lambda *_: None)

    def merge_parts(self, level: str, device_id: str, period: str, *rest: Any) -> bool:  # noqa: ANN401 - handed on
        error = self.fails(level, device_id)
        if error:
            raise error
        return super().merge_parts(level, device_id, period, *rest)


class Stack:
    """The functions on a store, and their dead letters."""

    def __init__(self, store: Failing) -> None:
        self.store, self.letters = store, list[DeadLetter]()
        self.functions = Functions(store, ZONE, self.letters.extend, clock=lambda: NOW)

    def ingest(self, *payloads: bytes, partition: str = "cad-1") -> list[str]:
        answer = self.functions.ingest({"Records": [message(at, one, partition) for at, one in enumerate(payloads)]})
        return failed(answer)

    def carry_all(self) -> list[dict[str, Any]]:
        """Propagate every level's change records like event source mappings; return the records."""
        records = []
        for step in STEPS:
            changes = self.store.changes(step.feed, 10_000)
            batch = [record(step.feed, change.device_id, change.key, n) for n, change in enumerate(changes)]
            assert failed(self.functions.propagate(step, {"Records": batch})) == []
            self.store.settle(changes)
            records += batch
        return records


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(Failing(str(tmp_path / "stack.db")))


@contextmanager
def failing(stack: Stack, fails: Callable[[str, str], Exception | None]) -> Iterator[None]:
    stack.store.fails = fails
    yield
    stack.store.fails = lambda *_: None


def message(number: int, payload: bytes, partition: str = "cad-1") -> dict[str, Any]:
    source = {"data": base64.b64encode(payload).decode(), "partitionKey": partition, "sequenceNumber": f"in-{number}"}
    return {"kinesis": source}


def record(table: str, device_id: str, key: str, number: int, **images: object) -> dict[str, Any]:
    keys = {"d": {"S": device_id}, KEYS[table]: {"N" if table == "readings" else "S": key}}
    change = {"Keys": keys, "SequenceNumber": f"seq-{number}", "NewImage": {"n": {"N": "1"}}} | images
    return {"eventName": "MODIFY", "dynamodb": change}


def failed(answer: Answer) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def readings(device_id: str = "cad-1", count: int = 3 * 360) -> list[Reading]:
    return [Reading(device_id, MIDNIGHT + 10 * n, 500, 1000 + n, None) for n in range(count)]


def line(reading: Reading, **more: object) -> bytes:
    return orjson.dumps(as_message(reading) | more)


def as_message(reading: Reading) -> dict[str, object]:
    at = f"2026-11-23T{(reading.at - MIDNIGHT) // 3600:02}:{reading.at // 60 % 60:02}:{reading.at % 60:02}Z"
    return {"device_id": reading.device_id, "at": at, "power_w": reading.power_w, "import_wh": reading.import_wh}


def documents(store: SqliteStore, device_id: str = "cad-1") -> list[Document | None]:
    return [store.document(level, device_id, period) for level in LEVELS for period in store.periods(level, device_id)]


def by_the_worker(tmp_path: Path, sent: Sequence[Reading]) -> list[Document | None]:
    store = SqliteStore(str(tmp_path / "worker.db"))
    ingest(store, sent, NOW, ZONE)
    drain(store)
    return documents(store)


def test_functions_and_worker_make_the_same_documents(stack: Stack, tmp_path: Path) -> None:
    sent = readings()
    assert stack.ingest(*map(line, sent)) == []
    stack.carry_all()
    assert documents(stack.store) == by_the_worker(tmp_path, sent)
    assert len(documents(stack.store)) == 3


def test_batches_and_lines_are_messages_too(stack: Stack) -> None:
    first, second, *rest = readings(count=10)
    batch = orjson.dumps({"readings": [as_message(first), as_message(second)], "topic_device": "cad-1"})
    assert stack.ingest(batch, b"\n".join(map(line, rest))) == []
    assert stack.store.readings("cad-1", MIDNIGHT, MIDNIGHT) == [first, second, *rest]
    assert not stack.letters


def test_an_unreadable_message_is_quarantined_with_its_payload(stack: Stack) -> None:
    good = readings(count=2)
    assert stack.ingest(b"{nonsense", line(good[0]), b'{"device_id": "cad-1"}', b"\xff", line(good[1])) == []
    assert [letter.payload for letter in stack.letters] == ["{nonsense", '{"device_id": "cad-1"}', "\\xff"]
    assert stack.letters[0].reason.startswith("malformed_json")
    assert stack.store.readings("cad-1", MIDNIGHT, MIDNIGHT) == good


def test_a_device_cannot_write_as_another(stack: Stack) -> None:
    (reading,) = readings(count=1)
    stack.ingest(line(reading, topic_device="cad-1"), line(reading), partition="cad-2")
    stack.functions.live(as_message(reading) | {"topic_device": "cad-2"})
    stack.functions.live(as_message(reading))
    assert stack.store.devices() == []
    assert stack.store.live("cad-1") is None
    assert "was sent by 'cad-2'" in stack.letters[0].reason


def test_live_state_is_immediate_and_only_from_newer_readings(stack: Stack) -> None:
    old, new = readings(count=2)
    for reading in (new, old):
        stack.functions.live(as_message(reading) | {"topic_device": "cad-1"})
    live = stack.store.live("cad-1")
    assert live
    assert (live.at, live.power_w, live.received_at) == (new.at, 500, NOW)
    assert stack.store.changes("readings", 10) == []


def test_intervals_are_stored_and_have_no_live_state(stack: Stack) -> None:
    span = {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:30:00Z", "import_wh": 214}
    stack.functions.live({**span, "topic_device": "cad-1"})
    empty = {**span, "device_id": "cad-1", "end": span["start"]}
    assert stack.ingest(orjson.dumps({**span, "topic_device": "cad-1"}), orjson.dumps(empty)) == []
    start = MIDNIGHT + 10 * 3600
    assert stack.store.intervals("cad-1", start, start) == [Interval("cad-1", start, start + 1800, 214, None)]
    assert stack.store.live("cad-1") is None
    assert [letter.reason.partition(":")[0] for letter in stack.letters] == ["bad_interval"]


def test_an_implausible_power_is_not_shown_live(stack: Stack) -> None:
    stack.store.put_device(Device("cad-1", ZONE, max_power_w=400))
    stack.functions.live(as_message(readings(count=1)[0]) | {"topic_device": "cad-1"})
    live = stack.store.live("cad-1")
    assert live
    assert live.power_w is None
    assert live.import_wh == 1000


def test_a_refused_live_reading_raises_no_error(stack: Stack) -> None:
    stack.functions.live({"device_id": "cad-1", "topic_device": "cad-1"})
    assert stack.letters == []  # `ingest` gets it too, and quarantines it


def test_a_store_failure_stops_at_the_first_unfinished_record(stack: Stack) -> None:
    for name in ("a", "b", "c"):
        ingest(stack.store, readings(name), NOW, ZONE)
    start = str(MIDNIGHT)
    batch = [record("readings", name, start, n) for n, name in enumerate("abacb")]
    tried = []

    def away(_: str, device_id: str) -> Exception | None:
        tried.append(device_id)
        return StoreAway("away") if device_id == "b" else None

    with failing(stack, away):
        assert failed(stack.functions.propagate(DAYS, {"Records": batch})) == ["seq-1"]
    assert tried == ["a", "b"]
    assert stack.store.document("day", "a", "2026-11-23")
    assert not stack.letters


def test_an_unusable_store_quarantines_nothing(stack: Stack) -> None:
    ingest(stack.store, readings(), NOW, ZONE)
    batch = {"Records": [record("readings", "cad-1", str(MIDNIGHT), 0)]}
    with failing(stack, lambda *_: StoreUnusable("no rights")):
        assert failed(stack.functions.propagate(DAYS, batch)) == ["seq-0"]
    assert not stack.letters


def test_a_hopeless_record_is_quarantined_alone(stack: Stack) -> None:
    for name in ("a", "b", "c"):
        ingest(stack.store, readings(name), NOW, ZONE)
    batch = [record("readings", name, str(MIDNIGHT), n) for n, name in enumerate("abc")]
    with failing(stack, lambda _, device_id: ValueError("damaged") if device_id == "b" else None):
        assert failed(stack.functions.propagate(DAYS, {"Records": batch})) == []
    assert stack.letters == [DeadLetter("day", "ValueError('damaged')", f"readings b {MIDNIGHT}")]
    assert stack.store.document("day", "a", "2026-11-23")
    assert stack.store.document("day", "c", "2026-11-23")


def test_only_the_faulty_record_of_a_device_is_quarantined(stack: Stack) -> None:
    ingest(stack.store, readings(), NOW, ZONE)
    batch = [
        record("readings", "cad-1", key, n) for n, key in enumerate((str(MIDNIGHT), "never", str(MIDNIGHT + 3600)))
    ]
    assert failed(stack.functions.propagate(DAYS, {"Records": batch})) == []
    assert [letter.payload for letter in stack.letters] == ["readings cad-1 never"]
    day = stack.store.document("day", "cad-1", "2026-11-23")
    assert day
    assert {"h00", "h01"} <= set(day.parts)


def test_unchanged_records_and_expiries_are_ignored(stack: Stack) -> None:
    ingest(stack.store, readings(), NOW, ZONE)
    image = {"d": {"S": "cad-1"}, "v": {"B": "AAAA"}}
    same = record("readings", "cad-1", str(MIDNIGHT), 0, OldImage=image, NewImage=dict(image))
    expiry = record("readings", "cad-1", str(MIDNIGHT), 1, OldImage=image)
    del expiry["dynamodb"]["NewImage"]
    expiry |= {"eventName": "REMOVE", "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    assert failed(stack.functions.propagate(DAYS, {"Records": [same, expiry]})) == []
    assert stack.store.periods("day", "cad-1") == []


def test_repeated_records_change_nothing(stack: Stack) -> None:
    stack.ingest(*map(line, readings()))
    records = stack.carry_all()
    before = documents(stack.store)
    for step, table in zip(STEPS, ("readings", "day", "month"), strict=True):
        again = [one for one in records if KEYS[table] in one["dynamodb"]["Keys"] and _is_of(one, table)]
        assert again
        stack.functions.propagate(step, {"Records": again * 2})
    assert documents(stack.store) == before
    assert [stack.store.changes(table, 10) for table in KEYS] == [[], [], []]


def _is_of(one: dict[str, Any], table: str) -> bool:
    ((_, key),) = one["dynamodb"]["Keys"][KEYS[table]].items()
    return len(key) == {"readings": 10, "day": 10, "month": 7}[table] and (table == "readings") == key.isdigit()


def test_any_single_failures_and_batching_give_the_same_documents(stack: Stack, tmp_path: Path) -> None:
    sent, chance = readings(), random.Random(7)
    payloads = list(map(line, sent)) * 2
    chance.shuffle(payloads)
    while payloads:
        size = chance.randint(1, 400)
        stack.ingest(*payloads[:size])
        payloads = payloads[size:]
        _carry_with_failures(stack, chance)
    assert documents(stack.store) == by_the_worker(tmp_path, sent)
    assert not stack.letters


def _carry_with_failures(stack: Stack, chance: random.Random) -> None:
    """Retry from the first failure like an event source mapping; each attempt fails at a random write or not at all."""
    for step in STEPS:
        changes = stack.store.changes(step.feed, 10_000)
        batch = [record(step.feed, change.device_id, change.key, n) for n, change in enumerate(changes)]
        while batch:
            with failing(stack, lambda *_: StoreAway("away") if chance.random() < 0.4 else None):
                again = failed(stack.functions.propagate(step, {"Records": batch}))
            first = [n for n, one in enumerate(batch) if one["dynamodb"]["SequenceNumber"] in again]
            batch = batch[first[0] :] if first else []
        stack.store.settle(changes)


def test_dead_letters_fit_the_queues_message_size() -> None:
    big = "y" * (lambdas.BYTES // 2)
    assert list(bundles(["x", "x", big, big, big * 3, "x"])) == [f"x\nx\n{big}", big, big * 3, "x"]
    assert list(bundles([])) == []
