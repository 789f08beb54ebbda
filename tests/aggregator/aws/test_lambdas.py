import base64
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from aggregator.aws import dead_letters, lambdas
from aggregator.aws.dead_letters import DeadLetter, bundles
from aggregator.aws.lambdas import Answer, Functions, level_steps
from aggregator.core.documents import Device, Document
from aggregator.core.errors import StoreAway, StoreUnusable
from aggregator.core.periods import LEVELS, iso_utc
from aggregator.core.readings import Interval, Reading
from aggregator.intake.device_status import note_look
from aggregator.intake.formats import FORMATS
from aggregator.intake.formats.canonical import encode_block
from aggregator.intake.ingest import ingest
from aggregator.intake.refusals import load_refusals
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.formats import messages
from tests.aggregator.intake.formats.messages import AT, GLOW

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
    change = {"Keys": keys, "SequenceNumber": f"seq-{number}"} | images
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
    batch = orjson.dumps({"readings": [as_message(first), as_message(second)]})
    assert stack.ingest(batch, b"\n".join(map(line, rest))) == []
    assert stack.store.readings("cad-1", MIDNIGHT, MIDNIGHT) == [first, second, *rest]
    assert not stack.letters


def wrapped(topic: str, payload: bytes) -> bytes:
    """Return a message as a rule of IoT Core passes it on."""
    return orjson.dumps({"data": base64.b64encode(payload).decode(), "topic": topic})


def refused(stack: Stack, device_id: str = "cad-1") -> dict[str, int]:
    return {reason: n for day in load_refusals(stack.store, device_id).days.values() for reason, n in day.items()}


def test_a_refused_message_is_counted_and_is_no_dead_letter(stack: Stack) -> None:
    good = readings(count=2)
    assert stack.ingest(b"{nonsense", line(good[0]), b'{"device_id": "cad-1"}', b"\xff", line(good[1])) == []
    assert stack.letters == []
    assert refused(stack) == {"malformed_json": 2, "bad_time": 1}
    assert stack.store.readings("cad-1", MIDNIGHT, MIDNIGHT) == good


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["by a rule", "by a gateway"])
def test_a_device_cannot_write_as_another(stack: Stack, *, is_wrapped: bool) -> None:
    for more in ({"topic_device": "victim"}, {}):
        forged = line(readings("victim", 1)[0], **more)
        stack.ingest(wrapped("wattfall/attacker/readings", forged) if is_wrapped else forged, partition="attacker")
    assert stack.store.devices() == []
    assert stack.store.live("victim") is None
    assert refused(stack, "-") == {"bad_device_id": 2}


@pytest.mark.parametrize("topic", ["wattfall/victim/readings", "wattfall/victim/json", "tele/victim/SENSOR"])
def test_the_partition_key_decides_who_sent_a_message(stack: Stack, topic: str) -> None:
    note_look(stack.store, "attacker", int(stack.store.now()))
    tasmota = orjson.dumps({"Time": "2026-11-23T00:02:00", "ENERGY": {"Power": 302}})
    forged = wrapped(topic, tasmota if "tele" in topic else line(readings("victim", 1)[0]))
    stack.ingest(forged, partition="attacker")
    stack.functions.watched({"Records": [message(0, forged, "attacker")]})
    assert stack.store.devices() == []
    assert stack.store.live("victim") is None
    assert refused(stack, "-") == {"bad_device_id": 1}


BLOCKED = encode_block([Reading(GLOW, AT, 300, 4_120_317, None)])
STATED = [{"at": iso_utc(AT), "power_w": 300}, {"start": iso_utc(AT - 3600), "end": iso_utc(AT - 1800), "import_wh": 9}]
OWN = {  # what devices send under topics of their formats
    f"glow/{GLOW}/SENSOR/electricitymeter": messages.ELECTRICITY,
    f"glow/{GLOW}/STATE": messages.STATE,
    f"SMART/HILD/{GLOW}": messages.HEX,
    f"tele/{GLOW}/SENSOR": messages.TASMOTA,
    f"{GLOW}/events/rpc": messages.NOTIFIED,
}
NAMED = {  # the same, and the other formats, under the prefix
    "readings": STATED,
    "json": STATED,
    "block": BLOCKED,
    "glow": messages.ELECTRICITY,
    "glow-hex": messages.HEX,
    "tasmota": messages.SML,
    "shelly": messages.TRIPHASE,
    "dsmr": messages.sealed(messages.TELEGRAM),
}


BY_TOPIC = OWN | {f"wattfall/{GLOW}/{name}": content for name, content in NAMED.items()}


@pytest.mark.parametrize(("topic", "content"), BY_TOPIC.items(), ids=BY_TOPIC)
def test_a_message_of_every_format_comes_in_by_its_topic(stack: Stack, topic: str, content: object) -> None:
    stack.functions = Functions(stack.store, "Europe/Amsterdam", stack.letters.extend, clock=lambda: messages.NOW)
    stack.ingest(wrapped(topic, content if isinstance(content, bytes) else orjson.dumps(content)), partition=GLOW)
    assert refused(stack, GLOW) == refused(stack, "-") == {}
    devices = {one.device_id.partition("~")[0] for one in stack.store.devices()}
    assert devices == {GLOW}
    assert FORMATS.keys() <= NAMED.keys()


def test_a_message_of_an_unknown_format_is_refused(stack: Stack) -> None:
    stack.ingest(*(wrapped(topic, b"{}") for topic in ("wattfall/cad-1/unheard-of", "glow/cad-1/tele/cad-2/SENSOR")))
    assert refused(stack, "-") == {"unknown_topic": 2}


def test_an_interval_has_no_live_state(stack: Stack) -> None:
    span = {"start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:30:00Z", "import_wh": 214}
    assert stack.ingest(orjson.dumps(span), orjson.dumps({**span, "end": span["start"]})) == []
    start = MIDNIGHT + 10 * 3600
    assert stack.store.intervals("cad-1", start, start) == [Interval("cad-1", start, start + 1800, 214, None)]
    assert stack.store.live("cad-1") is None
    assert refused(stack) == {"bad_interval": 1}


def test_the_live_state_is_written_once_a_window(stack: Stack) -> None:
    sent = readings(count=6)
    assert stack.ingest(*map(line, reversed(sent))) == []
    live = stack.store.live("cad-1")
    assert live
    assert (live.at, live.power_w, live.received_at) == (sent[-1].at, 500, NOW)
    assert live.arrivals == ()  # one arrival


def test_a_watched_device_is_live_before_its_window_ends(stack: Stack) -> None:
    note_look(stack.store, "cad-1", int(stack.store.now()))
    first, second = readings(count=2)
    batch = [message(0, line(second)), message(1, line(first))]
    batch += [message(2, line(readings("cad-2", 1)[0]), "cad-2"), message(3, b"{")]
    stack.functions.watched({"Records": batch})
    live = stack.store.live("cad-1")
    assert live
    assert (live.at, live.power_w) == (second.at, 500)
    assert stack.store.live("cad-2") is None
    assert stack.store.changes("readings", 10) == []


def test_an_implausible_power_is_not_shown_live(stack: Stack) -> None:
    stack.store.put_device(Device("cad-1", ZONE, max_power_w=400))
    stack.ingest(line(readings(count=1)[0]))
    live = stack.store.live("cad-1")
    assert live
    assert live.power_w is None
    assert live.import_wh == 1000


def test_a_store_failure_stops_at_the_first_unfinished_record(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambdas, "ROUND", 1)
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


def test_a_call_that_runs_out_of_time_answers_how_far_it_came(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambdas, "ROUND", 1)
    for name in ("a", "b", "c"):
        ingest(stack.store, readings(name), NOW, ZONE)
    batch = {"Records": [record("readings", name, str(MIDNIGHT), n) for n, name in enumerate("aabc")]}
    left = iter([100, 60, 45, 15])  # the second round might take 40 s again, and 10 s are for the answer
    assert failed(stack.functions.propagate(DAYS, batch, lambda: next(left))) == ["seq-2"]
    left = iter([100, 60, 51, 41, 5])
    assert failed(stack.functions.propagate(DAYS, batch, lambda: next(left))) == ["seq-3"]
    assert stack.store.document("day", "b", "2026-11-23")
    left = iter([5, 1])  # however late it is, a call does something
    assert failed(stack.functions.propagate(DAYS, {"Records": batch["Records"][3:]}, lambda: next(left))) == []


def test_a_retried_batch_repeats_no_dead_letter(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lambdas, "ROUND", 2)
    for name in ("a", "b", "c"):
        ingest(stack.store, readings(name), NOW, ZONE)
    batch = [record("readings", name, str(MIDNIGHT), n) for n, name in enumerate("acbc")]
    faults = {"a": ValueError("damaged"), "c": ValueError("damaged"), "b": StoreAway("away")}
    for _ in range(3):
        with failing(stack, lambda _, device_id: faults.get(device_id)):
            again = failed(stack.functions.propagate(DAYS, {"Records": batch}))
        batch = [one for one in batch if one["dynamodb"]["SequenceNumber"] >= (again or ["seq-9"])[0]]
    assert again == ["seq-2"]
    del faults["b"]
    with failing(stack, lambda _, device_id: faults.get(device_id)):
        assert failed(stack.functions.propagate(DAYS, {"Records": batch})) == []
    places = [orjson.loads(letter.payload)["dynamodb"]["SequenceNumber"] for letter in stack.letters]
    assert places == ["seq-0", "seq-1", "seq-3"]


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
    letter = DeadLetter("days", "ValueError('damaged')", orjson.dumps(batch[1]).decode())
    assert stack.letters == [letter]
    assert stack.store.document("day", "a", "2026-11-23")
    assert stack.store.document("day", "c", "2026-11-23")


def test_only_the_faulty_record_of_a_device_is_quarantined(stack: Stack) -> None:
    ingest(stack.store, readings(), NOW, ZONE)
    batch = [
        record("readings", "cad-1", key, n) for n, key in enumerate((str(MIDNIGHT), "never", str(MIDNIGHT + 3600)))
    ]
    assert failed(stack.functions.propagate(DAYS, {"Records": batch})) == []
    assert [orjson.loads(letter.payload) for letter in stack.letters] == [batch[1]]
    day = stack.store.document("day", "cad-1", "2026-11-23")
    assert day
    assert {"h00", "h01"} <= set(day.parts)


def test_expiries_and_documents_that_are_not_over_are_ignored(stack: Stack) -> None:
    ingest(stack.store, readings(), NOW, ZONE)
    expiry = record("readings", "cad-1", str(MIDNIGHT), 1)
    expiry |= {"eventName": "REMOVE", "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    assert failed(stack.functions.propagate(DAYS, {"Records": [expiry]})) == []
    assert stack.store.periods("day", "cad-1") == []
    stack.carry_all()
    going_on = record("day", "cad-2", "2026-11-23", 2, NewImage={"o": {"N": "1"}})
    stack.functions.propagate(STEPS[1], {"Records": [going_on]})
    assert stack.store.periods("month", "cad-2") == []


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
    big = "y" * (dead_letters.BYTES // 2)
    assert list(bundles(["x", "x", big, big, big * 3, "x"])) == [f"x\nx\n{big}", big, big * 3, "x"]
    assert list(bundles([])) == []
