"""Markers of a household are planted everywhere; after its erasure the raw bytes of the store hold none of them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import redis
from flask import Flask

from aggregator.core.live import Live
from aggregator.core.periods import HOUR, LEVELS, period_of
from aggregator.core.readings import Reading
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_requests import AGAIN_S, begin, carry_out, due_erasures
from aggregator.erasure.erasure_rules import FREE, TABLES, forget_cached
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.store.collections import COLLECTIONS, ERASURES, SPOOL
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.occupancies import moved
from aggregator.support.audit import Audit
from aggregator.support.audit_check import AuditCheck
from aggregator.waterfall.worker import drain
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads
from tests.budgets import scaled
from tests.contract import erasing_until_killed
from tests.contract.conftest import Clock, Tables
from tests.planted import CAD, EMAIL, HOME, SECRETS, STAFF, places_of, plant, raw_rows, table_names, traces
from tests.servers import free_port, running_redis

NOW = int(time.time())  # of the records that expire by the real time
DUE = NOW + 8 * 86_400
# What tells of the devices afterwards: their ids, without a figure or a name.
LEFT = {
    "devices": "the erased times",
    "device_terms": "ids of devices, to be searched for",
    "records": "ids of devices, to be searched for",
    "horizons": "until when readings have expired",
    "checkpoints": "until when readings have expired",
    "audit": "entries about the device, by pseudonyms",
    "audit/device/{device}": "entries about the device, by pseudonyms",
    "audit/person/{pseudonym}": "entries about the device, by pseudonyms",
    "audit/grants/{user}": "what support may see",
    "imports/{device}": "the number of an import that is erased",
    "fleet/devices": "ids of devices, for a day",
    "erasures": "the last look",
}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[tuple[str, "redis.Redis"]]:
    """The address of a Redis, and a client of it."""
    port = free_port()
    with running_redis(port, tmp_path), redis.Redis(port=port) as client:
        yield f"redis://127.0.0.1:{port}", client


@pytest.fixture
def place(tmp_path: Path, clock: Clock) -> Path:
    """Where a SQLite store is."""
    clock.now = NOW
    return tmp_path / "wattfall.db"


def bytes_of(store: Store, path: Path) -> bytes:
    """Return every item of a DynamoDB store, else the file of a SQLite store with its log, byte for byte."""
    if isinstance(store, DynamoStore):
        return "".join(content for *_, content in raw_rows(store, path)).encode()
    return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*") if one.suffix in (".db", ".db-wal"))


def found(content: bytes, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.lower().encode() in content.lower()]


def erase_due(store: Store, now: int, outside: OutsideStore) -> None:
    for _ in due_erasures(store, Audit(store, SECRETS), now, outside):
        pass


def look_at_home(store: Store, url: str) -> None:
    """Let two web processes cache what a page shows of the home."""
    for cache in (open_cache(Flask("one"), url), open_cache(Flask("other"), url)):
        data, device = CachedReads(store, cache, lambda: NOW), store.device(CAD)
        assert device
        for level in LEVELS:
            assert data.document(device, level, period_of(level, NOW - HOUR, device.timezone)).total.import_wh
        assert data.live(device)
        assert data.known_status(device)


def test_no_byte_of_a_household_is_left(either: Store, place: Path, cache: tuple[str, "redis.Redis"]) -> None:
    url, client = cache
    ann = plant(either, NOW)
    look_at_home(either, url)
    names, about = traces(ann), (*traces(ann), CAD)
    assert found(bytes_of(either, place), names) == [*names]
    not_free = [one for one in table_names(either, place) if not TABLES[one].startswith("free")]
    wanted = {row.name for row in COLLECTIONS if row not in FREE} | {*not_free} - {"records"}
    assert wanted - places_of(either, place, about) == set(), "each collection and table has a marker"
    audit = Audit(either, SECRETS)
    head = audit.complete_head()
    erase_due(either, DUE, OutsideStore(copies=(partial(forget_cached, url),)))
    drain(either)
    assert found(bytes_of(either, place), names) == []
    assert places_of(either, place, about) <= {*LEFT}
    assert client.keys() == []
    assert either.readings(CAD, 0, DUE) == []
    assert either.live(CAD) is None
    assert [*AuditCheck(audit).faults()] == []
    assert audit.complete_head().number > head.number
    assert {one.action for one in audit.entries()} >= {"look-up", "note", "erase", "device", "account"}
    erase_due(either, DUE + AGAIN_S, OutsideStore())
    assert either.records(ERASURES.of()) == []


@pytest.mark.usefixtures("place")
def test_the_proof_names_what_is_left(either: Store) -> None:
    plant(either, NOW)
    audit = Audit(either, SECRETS)
    plan = begin(either, audit, HOME, STAFF, "they asked for it", NOW)
    lines = []
    for number, line in enumerate(carry_out(either, audit, plan, NOW, OutsideStore())):
        lines.append(line)
        if number == 0:  # somebody writes into another collection meanwhile
            either.put_record(SPOOL.of(), "other 1", json.dumps(["topic", NOW, EMAIL]))
    assert [one for one in lines if one] == ["the record other 1 of spool"]


@pytest.mark.usefixtures("place")
def test_live_readings_of_the_next_household_stay_in_the_last_look(either: Store, clock: Clock) -> None:
    plant(either, NOW)
    clock.now = DUE
    erase_due(either, DUE, OutsideStore())
    device = either.device(CAD)
    assert device
    day = period_of("day", DUE, device.timezone)
    either.put_device(replace(moved(device, "rowan", day), name="Rowan"))
    ingest(either, [Reading(CAD, DUE + 60, 5, 9, None)], DUE + 60, "Europe/London")
    either.put_live([Live(CAD, DUE + 120, DUE + 120, 5, 9, None, None)])
    erase_due(either, DUE + AGAIN_S, OutsideStore())
    assert [one.import_wh for one in either.readings(CAD, 0, DUE + 3600)] == [9]
    assert either.household_devices("rowan")[0] == CAD
    assert either.records(ERASURES.of()) == []


# Killed


def erased_until(call: int, url: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Erase the household by a process that is killed at a call, or ends by itself."""
    command = ["household", "erase", HOME, "--confirm", HOME, "--store", url]
    return subprocess.run(
        [sys.executable, "-m", erasing_until_killed.__name__, str(call), *command],
        env=os.environ | environ | {"WATTFALL_SECRET": SECRETS[0]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["sqlite", "dynamodb"])
def test_an_erasure_killed_at_random_points_finishes_when_run_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, tables: Tables, cache: tuple[str, "redis.Redis"]
) -> None:
    environ = request.getfixturevalue("environ") if kind == "dynamodb" else {}
    chance, (url_of_cache, client) = random.Random(19), cache
    environ |= {"WATTFALL_CACHE": url_of_cache}
    with tables() as whole, tables() as killed:
        urls = [
            f"dynamodb://{one}?region=eu-west-2" if kind == "dynamodb" else f"sqlite:///{tmp_path}/{one}/wattfall.db"
            for one in (whole, killed)
        ]
        for name, url in ((whole, urls[0]), (killed, urls[1])):
            (tmp_path / name).mkdir()
            with closing(open_store(url)) as store:
                ann = plant(store, NOW)
                look_at_home(store, url_of_cache)
        calls = int(erased_until(0, urls[0], environ).stdout.splitlines()[-1])
        with closing(open_store(urls[1])) as store:
            look_at_home(store, url_of_cache)
        points = [calls // 4, *sorted(chance.randrange(1, calls) for _ in range(scaled(3, 1)))]
        ends = [erased_until(point, urls[1], environ).returncode for point in points]
        assert ends[0] == -signal.SIGKILL  # the number of calls varies a little with the threads
        assert {*ends} <= {-signal.SIGKILL, 0}
        done = erased_until(0, urls[1], environ)
        assert done.returncode == 0, done.stderr
        assert client.keys() == []
        with closing(open_store(urls[1])) as store:
            assert found(bytes_of(store, tmp_path / killed / "wattfall.db"), traces(ann)) == []
            assert [*AuditCheck(Audit(store, SECRETS)).faults()] == []
