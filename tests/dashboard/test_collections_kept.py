"""A store in which everything has happened once: the table explains each collection in it, and names no other."""

import io
import re
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.demo.feed import mark_as_demo
from aggregator.erasure.erasure_requests import ask_for_erasure
from aggregator.erasure.erasure_rules import FREE
from aggregator.intake.claims import new_code
from aggregator.intake.device_status import note_look, put_statuses
from aggregator.intake.ingest import ingest
from aggregator.intake.refusals import Batch, put_refusals
from aggregator.intake.tokens import new_token
from aggregator.store import Store, open_store
from aggregator.store.collections import (
    COLLECTIONS,
    FOR_EVER,
    SPOOL,
    TARIFF_BEFORE,
    Collection,
)
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.support.fleet import take_census
from aggregator.waterfall.worker import drain
from dashboard.accounts.accounts import Throttle
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.accounts.household_export import followed
from dashboard.accounts.oidc import Person, user_of
from dashboard.accounts.sessions import Sessions
from dashboard.accounts.users import HOUSEHOLD, SUPPORT, User
from dashboard.pages.history.import_jobs import ImportJobs
from tests.aggregator.intake.imports.files import bring
from tests.dashboard.people import accounts_on, somebody

Row = tuple[str, str, int, str]  # collection, key, expiry, body
NOW = int(time.time())
DEVICE, ANNA = "cad-furnished", "anna@example.org"


def sent(store: Store) -> None:
    """A day's readings with an hour that is missing, then those of another one; a message that waits."""
    store.put_device(Device(DEVICE))
    since = NOW // HALF_HOUR * HALF_HOUR - DAY_S
    readings = [Reading(DEVICE, at, 500, 1_000_000 + (at - since) // 10, None, None) for at in range(since, NOW, 60)]
    readings = [one for one in readings if not since + 8 * HOUR < one.at < since + 9 * HOUR]
    late = [one for one in readings if since + 4 * HOUR < one.at < since + 5 * HOUR]
    for part in ([one for one in readings if one not in late], late):
        ingest(store, part, NOW, "UTC")
        drain(store)
    store.put_record(SPOOL.of(), f"{DEVICE} {1:020d}", "{}")
    store.put_record(TARIFF_BEFORE.of(), DEVICE, '["", ""]', expires=TARIFF_BEFORE.expires(NOW))
    put_statuses(store, [Status(DEVICE, NOW - 60, -61, 180, "v2.0.2", "IHD-02", True)], NOW)
    note_look(store, DEVICE, NOW)
    batch = Batch()
    batch.add(b"{}", Refused("bad_time", "at is 'x'"), NOW, DEVICE)
    batch.add(b"attic/power {}", Refused("unknown_topic", "'attic/power' belongs to no known format"), NOW)
    put_refusals(store, batch, NOW)
    new_token(store, DEVICE, NOW)
    new_code(store, Device(DEVICE), NOW)
    bring(store, "start,end,import_wh\n1790000000,1790001800,5\n", device_id=DEVICE, now=NOW, figure_kind="energy")
    jobs = ImportJobs(store, lambda: NOW)
    assert jobs.begin(Device(DEVICE), "household Ann", "meter.csv", io.BytesIO(b""))
    while (job := jobs.find(Device(DEVICE))) and job.is_open:
        time.sleep(0.01)


def signed_in(store: Store) -> User:
    """Somebody of the staff, by an invitation and by a provider."""
    anna, accounts = somebody(store, ANNA, SUPPORT), accounts_on(store)
    accounts.invite(anna)
    user_of(store, accounts, Person("https://id.example.org 1", SUPPORT, "ben@example.org"))
    Throttle(store, lambda: NOW).attempt(ANNA, "192.0.2.7")
    Sessions(store, accounts.user, lambda: NOW).begin(anna)
    with_a_key(store, replace(anna, role=HOUSEHOLD, household="acacia"))
    assert [*followed(store, anna.user_id, "1", lambda _: [b"PK"])] == [b"PK"]
    return anna


def with_a_key(store: Store, member: User) -> None:
    """A program of a household reads the device."""
    keys = ApiKeys(store, lambda _: member, Audit(store, []), lambda: NOW)
    holder = keys.holder(keys.make(member, "A script", SCOPES))
    assert holder
    keys.note_use(holder, Device(DEVICE, household="acacia"))


@pytest.fixture(scope="module")
def anna_and_rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[User, list[Row]]:
    """Somebody, and all records of the store."""
    path = Path(tmp_path_factory.mktemp("furnished")) / "all.db"
    store = open_store(f"sqlite:///{path}")
    sent(store)
    anna = signed_in(store)
    who = Who(anna.user_id, anna.email, SUPPORT, "Anna")
    actions.look_up(Audit(store, []), who, DEVICE, "the customer called", NOW)
    actions.count_search(Audit(store, []), who, NOW)
    take_census(store, NOW, store.backlog())
    mark_as_demo(store)
    ask_for_erasure(store, "acacia", NOW)
    store.close()
    with sqlite3.connect(path) as database:
        return anna, database.execute("SELECT shelf, key, expires, body FROM records").fetchall()


def row_of(name: str) -> Collection | None:
    """Return the row that describes the collection with this name."""
    return next((row for row in COLLECTIONS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", row.name), name)), None)


def test_stored_collections_and_rows_match(
    anna_and_rows: tuple[User, list[Row]],
) -> None:
    rows = anna_and_rows[1]
    assert [name for name, *_ in rows if row_of(name) is None] == []
    assert [row.name for row in COLLECTIONS if row not in {row_of(name) for name, *_ in rows}] == []


def test_a_record_lives_as_long_as_its_row_says(anna_and_rows: tuple[User, list[Row]]) -> None:
    for name, key, expires, _ in anna_and_rows[1]:
        row = row_of(name)
        assert row
        assert bool(expires) is (row.lifetime_s != FOR_EVER), name
        assert expires <= row.expires(int(time.time())), (name, key)


def test_a_collection_that_an_erasure_leaves_names_no_person(anna_and_rows: tuple[User, list[Row]]) -> None:
    anna, rows = anna_and_rows
    free = [record for record in rows if row_of(record[0]) in FREE]
    assert free
    assert [record for record in free if anna.user_id in str(record) or ANNA in str(record)] == []
