"""Markers of a household are planted everywhere; after its erasure the raw bytes of the store hold none of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Status
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_requests import AGAIN_S, ask_for_erasure, begin, carry_out, due_erasures
from aggregator.intake.device_status import note_look, put_statuses
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.intake.refusals import Batch, put_refusals
from aggregator.intake.tokens import new_token
from aggregator.store import Store, open_store
from aggregator.store.collections import ERASURES, SPOOL, TARIFF_BEFORE
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.tables import tables
from aggregator.store.occupancies import moved
from aggregator.store.port import READINGS
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_check import AuditCheck
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.pricing import change_tariff
from aggregator.waterfall.worker import drain
from dashboard.accounts.accounts import Throttle
from dashboard.accounts.sessions import Sessions
from tests.budgets import scaled
from tests.contract import erasing_until_killed
from tests.contract.conftest import Clock, Tables
from tests.dashboard.people import accounts_on

CAD, HOUSEHOLD, EMAIL = "cad-1", "MARKhousehold", "markmail@example.org"
MARKS = (HOUSEHOLD, EMAIL, "MARKname", "MARKhome", "AB1MARK", "MARKpoint", "MARKreason", "MARKpayload", "MARKtariff")
NOW = 1_795_000_200
STAFF = Who("anna", "anna@example.org", "support", "Anna")
SECRETS = ["a secret that is long enough for the chain"]


def plant(store: Store, now: int = NOW) -> None:
    audit = Audit(store, SECRETS)
    home = Device(CAD, household=HOUSEHOLD, name="MARKhome", postcode="AB1MARK", meter_point="MARKpoint")
    actions.record_device(audit, STAFF, None, home, "a new home", now)
    store.put_device(home)
    readings = [Reading(CAD, now - 7200 + at, 500, 777_000 + at, None) for at in range(0, 7200, 60)]
    ingest(store, readings, now, "Europe/London")
    ingest_intervals(store, [Interval(CAD, now - 9000, now - 7200, 7, None, "MARKname")], now, "Europe/London")
    version = {"from": "2020-01-01", "import": "0.25"}
    change_tariff(store, store.device(CAD) or home, tariff_from_json({"currency": "GBP", "versions": [version]}))
    drain(store)
    put_statuses(store, [Status(CAD, now - 60, -60, None, "MARKname", None, True)], now)
    note_look(store, CAD, now)
    new_token(store, CAD, now)
    batch = Batch()
    batch.add(b"MARKpayload", Refused("bad_time", "MARKpayload"), now, CAD)
    put_refusals(store, batch, now)
    store.put_record(SPOOL.of(), f"{CAD} {1:020d}", json.dumps(["glow/x", now, "MARKpayload"]))
    store.put_record(TARIFF_BEFORE.of(), CAD, '["MARKtariff", ""]')
    store.quarantine(READINGS, CAD, [str(now // 1800 * 1800)], "MARKreason")
    accounts = accounts_on(store, lambda: now)  # type: ignore[arg-type]
    user = accounts.add(EMAIL, household=HOUSEHOLD, name="MARKname")
    accounts.invite(user)
    Throttle(store, lambda: now).attempt(EMAIL, "192.0.2.7")
    Sessions(store, accounts.user, lambda: now).begin(user)
    actions.look_up(audit, STAFF, CAD, "MARKreason called", now)
    actions.add_note(audit, STAFF, home, "MARKreason is a note", now)
    actions.record_account(audit, STAFF, "a new account", Who(user.user_id, EMAIL, "household", "MARKname"), now)
    ask_for_erasure(store, HOUSEHOLD, now)


Raw = Callable[[], bytes]


@pytest.fixture
def raw(either: Store, tmp_path: Path, clock: Clock) -> Raw:
    """What the store holds, byte for byte."""
    clock.now = NOW

    return partial(bytes_of, either, tmp_path)


def bytes_of(store: Store, folder: Path) -> bytes:
    """Every item of a DynamoDB store, else the file of a SQLite store in a folder, with its log."""
    if not isinstance(store, DynamoStore):
        return b"".join(path.read_bytes() for path in folder.glob("wattfall.db*") if not path.name.endswith("-shm"))
    found: list[Any] = []
    for table in tables():
        start: dict[str, Any] = {}
        while True:
            answer = store._client.call("scan", TableName=f"{store._prefix}-{table.name}", **start)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    return repr(found).encode()


def found(raw: Raw) -> list[str]:
    content = raw().lower()
    return [mark for mark in MARKS if mark.lower().encode() in content]


def test_no_byte_of_a_household_is_left(either: Store, raw: Raw) -> None:
    plant(either)
    assert found(raw) == list(MARKS)
    audit = Audit(either, SECRETS)
    head = audit.complete_head()
    for _ in due_erasures(either, audit, NOW + 8 * 86_400, OutsideStore()):
        pass
    drain(either)
    assert found(raw) == []
    assert either.readings(CAD, 0, NOW) == []
    assert either.live(CAD) is None
    assert [*AuditCheck(audit).faults()] == []
    assert audit.complete_head().number > head.number
    assert {one.action for one in audit.entries()} >= {"look-up", "note", "erase", "device", "account"}
    (left,) = either.records(ERASURES.of())
    assert HOUSEHOLD not in left.key + left.body
    for _ in due_erasures(either, audit, NOW + 8 * 86_400 + AGAIN_S, OutsideStore()):
        pass
    assert either.records(ERASURES.of()) == []


def test_the_proof_names_what_is_left(either: Store, clock: Clock) -> None:
    clock.now = NOW
    plant(either)
    audit = Audit(either, SECRETS)
    plan = begin(either, audit, HOUSEHOLD, STAFF, "they asked for it", NOW)
    steps = carry_out(either, audit, plan, NOW, OutsideStore())
    lines = []
    for number, line in enumerate(steps):
        lines.append(line)
        if number == 0:  # somebody writes into another collection meanwhile
            either.put_record(SPOOL.of(), "other 1", json.dumps(["topic", NOW, EMAIL]))
    assert [one for one in lines if one] == ["the record other 1 of spool"]


def test_live_readings_of_the_next_household_stay_in_the_last_look(either: Store, clock: Clock) -> None:
    clock.now = NOW
    plant(either)
    audit = Audit(either, SECRETS)
    due = NOW + 8 * 86_400
    clock.now = due
    for _ in due_erasures(either, audit, due, OutsideStore()):
        pass
    device = either.device(CAD)
    assert device
    either.put_device(replace(moved(device, "rowan", "2026-11-25"), name="Rowan"))
    ingest(either, [Reading(CAD, due + 60, 5, 9, None)], due + 60, "Europe/London")
    either.put_live([Live(CAD, due + 120, due + 120, 5, 9, None, None)])
    for _ in due_erasures(either, audit, due + AGAIN_S, OutsideStore()):
        pass
    assert [one.import_wh for one in either.readings(CAD, 0, due + 3600)] == [9]
    assert either.household_devices("rowan") == [CAD]
    assert either.records(ERASURES.of()) == []


# Killed


def erased_until(call: int, url: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Erase the household by a process that is killed at a call, or ends by itself."""
    command = ["household", "erase", HOUSEHOLD, "--confirm", HOUSEHOLD, "--store", url]
    return subprocess.run(
        [sys.executable, "-m", erasing_until_killed.__name__, str(call), *command],
        env=os.environ | environ | {"WATTFALL_SECRET": SECRETS[0]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["sqlite", "dynamodb"])
def test_an_erasure_killed_at_random_points_finishes_when_run_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, tables: Tables
) -> None:
    environ = request.getfixturevalue("environ") if kind == "dynamodb" else {}
    chance, now = random.Random(19), int(time.time())
    with tables() as whole, tables() as killed:
        urls = [
            f"dynamodb://{one}?region=eu-west-2" if environ else f"sqlite:///{tmp_path}/{one}/wattfall.db"
            for one in (whole, killed)
        ]
        for name, url in ((whole, urls[0]), (killed, urls[1])):
            (tmp_path / name).mkdir()
            with closing(open_store(url)) as store:
                plant(store, now)
        calls = int(erased_until(0, urls[0], environ).stdout.splitlines()[-1])
        points = [calls // 4, *sorted(chance.randrange(1, calls) for _ in range(scaled(5, 1)))]
        ends = [erased_until(point, urls[1], environ).returncode for point in points]
        assert ends[0] == -signal.SIGKILL  # the number of calls varies a little with the threads
        assert {*ends} <= {-signal.SIGKILL, 0}
        done = erased_until(0, urls[1], environ)
        assert done.returncode == 0, done.stderr
        with closing(open_store(urls[1])) as store:
            assert found(partial(bytes_of, store, tmp_path / killed)) == []
            assert [*AuditCheck(Audit(store, SECRETS)).faults()] == []
