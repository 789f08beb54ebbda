"""On AWS, statuses, refusals and the census are recorded for the support desk and stop no batch."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from aggregator.aws.dead_letters import DeadLetter
from aggregator.aws.lambdas import Functions
from aggregator.core.documents import Device
from aggregator.core.errors import StoreAway
from aggregator.core.periods import day_of, iso_utc
from aggregator.intake import device_status, refusals
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.support import fleet

NOW = int(time.time())  # records expire by the store's own clock
TODAY = day_of(NOW, "UTC")


class Away(SqliteStore):
    """A store that fails to write records for a while."""

    is_away = False

    def put_record(self, *place: Any, **more: Any) -> bool:  # noqa: ANN401 - handed on
        if self.is_away:
            raise StoreAway("too many requests")
        return super().put_record(*place, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Away]:
    made = Away(str(tmp_path / "desk.db"))
    made.put_device(Device("cad-1"))
    yield made
    made.close()


def arrive(store: Away, *payloads: bytes) -> tuple[list[Any], list[DeadLetter]]:
    """Return the function's answer to messages of one device, and its dead letters."""
    letters: list[DeadLetter] = []
    records = [
        {
            "kinesis": {
                "data": base64.b64encode(payload).decode(),
                "partitionKey": "cad-1",
                "sequenceNumber": str(number),
            }
        }
        for number, payload in enumerate(payloads)
    ]
    answer = Functions(store, "UTC", letters.extend, clock=lambda: NOW).ingest({"Records": records})
    return answer["batchItemFailures"], letters


def message(device_id: str = "cad-1", **fields: object) -> bytes:
    return orjson.dumps({"device_id": device_id, "at": iso_utc(NOW), **fields})


def test_a_status_is_stored_and_not_a_dead_letter(store: Away) -> None:
    assert arrive(store, message(power_w=5), message(rssi_dbm=-71, lqi=96)) == ([], [])
    known = device_status.known_status(store, "cad-1")
    assert known
    assert (known.status.rssi_dbm, known.status.lqi) == (-71, 96)
    assert store.live("cad-1")


def test_a_foreign_status_is_refused_under_its_topics_device(store: Away) -> None:
    store.put_device(Device("victim"))
    assert arrive(store, message("victim", lqi=1), message("victim", power_w=1)) == ([], [])
    assert device_status.known_status(store, "victim") is None
    assert refusals.load_refusals(store, "victim").days == {}
    assert refusals.load_refusals(store, "cad-1").days == {TODAY: {"bad_device_id": 2}}


def test_refusals_are_recorded_beside_accepted_readings(store: Away) -> None:
    batch = orjson.dumps({"readings": [{"device_id": "cad-1", "at": iso_utc(NOW), "power_w": w} for w in (1, "x")]})
    arrive(store, batch, b"{")
    assert refusals.load_refusals(store, "cad-1").days == {TODAY: {"not_a_number": 1, "malformed_json": 1}}
    assert store.live("cad-1")


def test_failing_to_record_refusals_does_not_retry_the_batch(store: Away) -> None:
    store.is_away = True
    failures, letters = arrive(store, message(power_w=5), b"{")
    assert failures == []
    assert letters == []
    assert store.live("cad-1")


def test_the_fleet_is_counted_without_lag(store: Away) -> None:
    arrive(store, message(power_w=5))
    Functions(store, "UTC", lambda _: None, clock=lambda: NOW).fleet()
    found = fleet.summary(store)
    assert found
    assert (found.states["sending"], found.waiting) == (1, None)
