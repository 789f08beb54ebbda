"""The support desk's records, on every store."""

import time
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import day_of
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake import device_status, refusals
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.support import actions, audit, fleet
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_check import AuditCheck, parse_head
from aggregator.support.diagnostics import diagnose
from aggregator.waterfall.worker import drain
from tests.contract.conftest import Clock

NOW = int(time.time())  # records expire by the stores' own clocks
TODAY = day_of(NOW, "UTC")
START = NOW // 1800 * 1800 - 7200
ANNA = Who("u-1", "anna@example.com", "support", "Anna Kay")
BEN = Who("u-2", "ben@example.com", "support")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def store(either: Store) -> Store:
    return either


def numbers(found: list[audit.Entry]) -> list[int]:
    return [entry.number for entry in found]


def test_the_audit_is_complete_by_device_person_and_day(store: Store) -> None:
    actions.look_up(Audit(store, []), ANNA, "a", "customer called", NOW)
    Audit(store, []).append(BEN, "rebuild", "a", "hole in Tuesday", NOW + 86_400, {"from": "2026-11-17"})
    actions.look_up(Audit(store, []), ANNA, "b", "customer called", NOW + 86_400)

    assert numbers(Audit(store, []).entries()) == [3, 2, 1]
    assert numbers(Audit(store, []).entries(device_id="a")) == [2, 1]
    assert numbers(Audit(store, []).entries(person="anna@example.com")) == [3, 1]
    assert numbers(Audit(store, []).entries(last_day=TODAY)) == [1]
    assert audit.granted(store, "u-1", "a", NOW)
    assert not audit.granted(store, "u-2", "a", NOW)
    assert list(AuditCheck(Audit(store, [])).faults()) == []
    store.drop_record("audit", f"{2:012d}")
    assert "entries after 1 missing, up to 2" in list(AuditCheck(Audit(store, [])).faults())


def test_a_signed_audit_outlives_a_person_and_tells_a_forged_end(store: Store) -> None:
    signed = Audit(store, ["s" * 40])
    for who in (ANNA, BEN, ANNA):
        signed.append(who, "note", "a", "because", NOW)
    head = signed.head()
    assert signed.forget(BEN, "anna@example.com", "she left", NOW) == 1
    assert [one.who.email for one in signed.entries(device_id="a")] == ["", BEN.email, ""]
    assert list(AuditCheck(signed, head).faults()) == []
    store.drop_record("audit", f"{4:012d}")
    store.put_record("audit/head", "head", orjson.dumps([*head]).decode())
    cut = AuditCheck(signed, parse_head(f"4:{head.hash}")).faults()
    assert "the audit ends at entry 3, and had 4 when the head was noted" in list(cut)


def test_concurrent_writers_make_one_chain(store: Store) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: Audit(store, []).append(ANNA, "note", f"d{n % 2}", "because", NOW), range(9)))
    assert numbers(Audit(store, []).entries()) == [*range(9, 0, -1)]
    assert list(AuditCheck(Audit(store, [])).faults()) == []


def test_refusals_are_counted_and_stored(store: Store) -> None:
    store.put_device(Device("a"))
    for _ in range(2):
        batch = refusals.Batch()
        batch.add(b'{"device_id": "a"}', Refused("bad_time", "at is missing"), NOW)
        batch.add(b'{"device_id": "unknown"}', Refused("bad_time", "at is missing"), NOW)
        refusals.put_refusals(store, batch, NOW)

    assert refusals.load_refusals(store, "a").days == {TODAY: {"bad_time": 2}}
    assert [message.number for message in refusals.load_refusals(store, "a").messages] == [1, 0]
    assert refusals.load_total(store, TODAY).devices == {"a": 2, refusals.UNKNOWN: 2}


def test_two_concurrent_counters_lose_nothing(store: Store) -> None:
    store.put_device(Device("a"))

    def count(_: int) -> None:
        batch = refusals.Batch()
        batch.add(b'{"device_id": "a"}', Refused("bad_time", "at is missing"), NOW)
        refusals.put_refusals(store, batch, NOW)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(count, range(6)))
    assert refusals.load_refusals(store, "a").days == {TODAY: {"bad_time": 6}}


def test_statuses_are_kept_by_key_and_hour(store: Store) -> None:
    device_status.put_statuses(store, [Status("a", NOW - 60, -70, None, "v2", None, None)], NOW)
    device_status.put_statuses(store, [Status("a", NOW, None, 96, None, None, joined=True)], NOW)
    found = device_status.known_status(store, "a")
    assert found
    assert found.status == ("a", NOW, -70, 96, "v2", None, True, None)
    assert device_status.signal_hours(store, "a", NOW - 3600, NOW)[0].rssi_dbm == -70


def test_the_fleet_is_counted(store: Store) -> None:
    ingest(store, [Reading("a", NOW, 1, None, None)], NOW, "UTC")
    store.put_device(Device("b"))
    device_status.put_statuses(store, [Status("a", NOW, None, None, "v2", None, None)], NOW)
    fleet.take_census(store, NOW, store.backlog())

    found = fleet.summary(store)
    assert found
    assert (found.devices, found.states["sending"], found.states["never"], found.firmwares) == (2, 1, 1, {"v2": 1})
    assert fleet.listed_devices(store, "state", "never") == ["b"]


def test_exchange_overrides_are_stored_and_used(store: Store) -> None:
    readings = [Reading("a", START + 600 * n, None, 1000 + 100 * n, None) for n in range(12)]
    ingest(store, readings, NOW, "UTC")
    drain(store)
    device = store.device("a")
    assert device
    marked = actions.mark_exchange(Audit(store, []), ANNA, device, START + 1800, "new meter", NOW, is_exchange=True)
    drain(store)
    assert store.device("a") == marked
    told = diagnose(store, marked, NOW)
    assert [(step.kind, step.at) for step in told.steps] == [("exchange", START + 1800)]
    assert {level.is_right for level in told.levels} == {True}

    actions.unmark_exchange(Audit(store, []), ANNA, marked, START + 1800, "wrong home", NOW)
    drain(store)
    assert store.device("a") == device
    assert diagnose(store, device, NOW).steps == []
