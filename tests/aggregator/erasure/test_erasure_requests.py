"""Erasures that meet damaged rows, unreadable records, nothing to erase, or a crash: each ends, or is named."""

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from aggregator.aws.schedules import erase_due
from aggregator.commands.process_commands import _census
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.core.readings import Interval, Reading
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_requests import (
    AGAIN_S,
    ask_for_erasure,
    begin,
    carry_out,
    due_erasures,
    overdue,
    take_back,
)
from aggregator.intake.ingest import ingest
from aggregator.store.collections import CLAIMS, ERASURES, ESTIMATED_GAPS, SIGNAL, SPOOL, USERS
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.store.stored_records import DAMAGED
from aggregator.support.audit import Audit, Who
from aggregator.waterfall.worker import drain, run_worker
from dashboard.commands.main import main
from tests.copies import damage_record

START = 1_760_000_000 // DAY_S * DAY_S
DUE = START + 8 * DAY_S
STAFF = Who("anna", "anna@example.org", "support", "Anna")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """The homes a and b, each with readings, an outage, an import and a live state; both asked for an erasure."""
    with closing(SqliteStore(str(tmp_path / "wattfall.db"), clock=lambda: DUE)) as opened:
        for name in "ab":
            opened.put_device(replace(Device(name, timezone="UTC"), household=f"home-{name}"))
            sent = [Reading(name, START + 60 * at, 100, 1000 + at, None) for at in range(600) if at % 400 < 90]
            ingest(opened, sent, START + 36_000, "UTC")
            opened.write_layer(-1, [Interval(name, START - 7200, START - 5400, 10, None, "file")], START)
            ask_for_erasure(opened, f"home-{name}", START)
        drain(opened)
        yield opened


def erase_all(store: SqliteStore, now: int = DUE) -> None:
    for _ in due_erasures(store, Audit(store, []), now, OutsideStore()):
        pass


def change(store: SqliteStore, statement: str) -> None:
    with closing(sqlite3.connect(store._path)) as database, database:
        assert database.execute(statement).rowcount > 0


@pytest.mark.parametrize(
    "damage",
    [
        "layers SET written = written + 1 WHERE device_id = 'a'",
        "live SET power_w = power_w + 1 WHERE device_id = 'a'",
        "recent SET power_w = power_w + 1 WHERE device_id = 'a'",
        f"records SET body = replace(body, '1', '2') WHERE shelf = '{ESTIMATED_GAPS.of('a')}'",
    ],
    ids=["import", "live state", "reading", "gap"],
)
def test_damaged_rows_of_the_erased_time_are_erased(store: SqliteStore, damage: str) -> None:
    change(store, f"UPDATE {damage}")
    erase_all(store)
    assert overdue(store, DUE) == []
    assert store.household_devices("home-a") == []
    assert not store.readings("a", 0, DUE)
    assert not store.intervals("a", 0, DUE)


def test_a_damaged_record_is_erased_and_a_damaged_account_is_left_by_name(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose record it was cannot be read; only an account may keep somebody else out."""
    places = ((SIGNAL.of("a"), "2026-01-01"), (CLAIMS.of(), "0f"), (SPOOL.of(), "a 1"), (USERS.of(), "ann"))
    for collection, key in places:
        store.put_record(collection, key, "[7]")
        damage_record(store, collection, key)
    erase_all(store)
    assert [store.record(*place) for place in places] == [None, None, None, DAMAGED]
    assert "an erasure has left the record ann of users" in caplog.text


def test_an_erasure_that_cannot_go_on_is_named_and_the_others_end(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.put_record(SIGNAL.of("a"), "2026-01", "{")
    erase_all(store)
    assert "the erasure home-a waits: the record 2026-01 about a cannot be read" in caplog.text
    assert overdue(store, DUE) == ["home-a"]
    assert store.household_devices("home-b") == []


@pytest.mark.parametrize(
    "body",
    ["{", "[1]", json.dumps(["again", 0, '{"household": "", "stays": [["a", 0, 9, [["a", 5]]]], "people": []}'])],
)
def test_an_unreadable_record_ends_neither_the_worker_nor_the_function(
    store: SqliteStore, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.put_record(ERASURES.of(), "again 00ff", body)
    stop, passes = threading.Event(), list[int]()

    def take_in(_wait_s: float) -> int:
        passes.append(1)
        if overdue(store, DUE) == ["again 00ff"] or len(passes) > 1000:
            stop.set()
        return 0

    run_worker(store, 35, stop, lambda: DUE, take_in, _census(store, Audit(store, []), OutsideStore()))
    assert "the erasure again 00ff waits: the record of an erasure cannot be read" in caplog.text
    assert overdue(store, DUE) == ["again 00ff"]
    with pytest.raises(ConfigurationError, match="a day late: 1"):
        erase_due(store, Audit(store, []), DUE, OutsideStore(), lambda: 60.0)


def test_an_erasure_of_a_household_that_is_empty_by_its_day_is_done(store: SqliteStore) -> None:
    ask_for_erasure(store, "gone", START)
    erase_all(store)
    assert overdue(store, DUE) == []
    assert "gone" not in str(store.records(ERASURES.of()))


def test_an_erasure_that_died_before_the_scrub_ends_when_repeated(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_: SqliteStore) -> Iterator[None]:
        raise SystemExit("killed")

    plan = begin(store, Audit(store, []), "home-a", STAFF, "they asked for it", DUE)
    monkeypatch.setattr(SqliteStore, "scrub", dies)
    with pytest.raises(SystemExit):
        [*carry_out(store, Audit(store, []), plan, DUE, OutsideStore())]
    monkeypatch.undo()
    assert store.record(ERASURES.of(), "home-a") is None
    store.put_record("notes", "large", "x" * 100_000)
    store.drop_record("notes", "large")
    assert store._one("PRAGMA freelist_count") > (0,)
    command = ["household", "erase", "home-a", "--confirm", "home-a", "--store", f"sqlite:///{store._path}"]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, "finds nothing" in done.output) == (0, True), done.output
    assert store._one("PRAGMA freelist_count") == (0,)
    assert take_back(store, "home-b")
    erase_all(store, int(time.time()) + AGAIN_S)
    assert CliRunner().invoke(main, command).exit_code == 2, "nothing is kept of it, or awaits a last look"
