"""A home in which everything has happened once: each collection and each table of a store tells of it."""

import io
import re
import sqlite3
import time
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, HALF_HOUR, HOUR
from aggregator.core.readings import Interval, Reading
from aggregator.core.status import Status
from aggregator.demo.feed import mark_as_demo
from aggregator.erasure.erasure_requests import ask_for_erasure
from aggregator.intake.claims import new_code
from aggregator.intake.device_status import note_look, put_statuses
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.intake.refusals import Batch, put_refusals
from aggregator.intake.tokens import new_token
from aggregator.store import Store
from aggregator.store.collections import AUDIT_GRANTS, COLLECTIONS, SPOOL, Collection
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.dynamodb.tables import tables
from aggregator.store.port import READINGS
from aggregator.support import actions
from aggregator.support.audit import Audit, Who
from aggregator.support.fleet import take_census
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.pricing import change_tariff, note_change
from aggregator.waterfall.worker import drain
from dashboard.accounts.accounts import Throttle
from dashboard.accounts.api_keys import SCOPES, ApiKeys
from dashboard.accounts.household_export import followed
from dashboard.accounts.oidc import Person, user_of
from dashboard.accounts.sessions import Sessions
from dashboard.accounts.users import HOUSEHOLD, User
from dashboard.pages.history.import_jobs import ImportJobs
from tests.aggregator.intake.imports.files import bring
from tests.dashboard.people import accounts_on

CAD, HOME, EMAIL, RATE = "cad-1", "MARKhousehold", "markmail@example.org", "0.424242"
METERS = (CAD, f"{CAD}~1", f"{CAD}~gas")
MARKS = (
    *(HOME, EMAIL, RATE, "MARKname", "MARKhome", "AB1MARK", "MARKpoint", "MARKreason", "MARKpayload", "MARKtariff"),
    *("MARKmeter", "MARKfile", "MARKkey", "MARKsubject"),
)
STAFF = Who("anna", "anna@example.org", "support", "Anna")
SECRETS = ["a secret that is long enough for the chain"]


def plant(store: Store, now: int) -> User:
    """Let everything happen in a home by `now` (UTC seconds); return one of its people."""
    audit = Audit(store, SECRETS)
    home = Device(CAD, household=HOME, name="MARKhome", postcode="AB1MARK", meter_point="MARKpoint")
    actions.record_device(audit, STAFF, None, home, "a new home", now)
    for device in (home, *map(Device, METERS[1:])):
        store.put_device(device)
    _measure(store, now)
    _import(store, now)
    _send(store, now)
    ann = _sign_in(store, now)
    actions.look_up(audit, STAFF, CAD, "MARKreason called", now)
    actions.add_note(audit, STAFF, home, "MARKreason is a note", now)
    who = Who(ann.user_id, EMAIL, "household", "MARKname")
    for one in (Who("", EMAIL, "household", "MARKname"), who):  # before there is an account, and of it
        actions.record_account(audit, STAFF, "a new account", one, now, role="household", household=HOME)
    actions.record_import(audit, who, CAD, "MARKreason to import", now, file="MARKfile.csv")
    actions.count_search(audit, who, now)
    take_census(store, now, store.backlog())
    mark_as_demo(store)
    ask_for_erasure(store, HOME, now)
    return ann


def _measure(store: Store, now: int) -> None:
    """Send readings with an hour that is missing and an hour that comes late, and what else is told of meters."""
    since = now // HALF_HOUR * HALF_HOUR - 6 * HOUR
    for meter in METERS:
        sent = [Reading(meter, at, 500, 777_000 + at - since, None, "MARKmeter") for at in range(since, now, 60)]
        sent = [one for one in sent if not since + HOUR < one.at < since + 2 * HOUR]
        late = [one for one in sent if since + 3 * HOUR < one.at < since + 4 * HOUR]
        for part in ([one for one in sent if one not in late], late):
            ingest(store, part, now, "Europe/London")
            drain(store)
        store.pack(now + 60, 4)
        told = Interval(meter, since - HALF_HOUR, since, 7, None, "MARKname")
        ingest_intervals(store, [told], now, "Europe/London")
        store.put_live([Live(meter, now, now, 500, 900_000, None, "MARKmeter")])
        store.put_prices(meter, Series({since: Decimal(RATE)}, {}))
        store.quarantine(READINGS, meter, [str(since)], "MARKreason")
    tariff = tariff_from_json({"currency": "GBP", "versions": [{"from": "2020-01-01", "import": RATE}]})
    change_tariff(store, store.device(CAD) or Device(CAD), tariff)
    note_change(store, Device(CAD, household=HOME, tariff="MARKtariff"), tariff, now)
    drain(store)


def _import(store: Store, now: int) -> None:
    """Import a file, and upload another one."""
    start = now // HALF_HOUR * HALF_HOUR - 9 * DAY_S
    rows = "".join(f"{at},{at + HALF_HOUR},5\n" for at in range(start, start + HOUR, HALF_HOUR))
    bring(store, f"start,end,import_wh\n{rows}", "Europe/London", device_id=CAD, now=now, figure_kind="energy")
    device, jobs = store.device(CAD) or Device(CAD), ImportJobs(store, lambda: now)
    assert jobs.begin(device, "MARKname", "MARKfile.csv", io.BytesIO(b""))
    while (job := jobs.find(device)) and job.is_open:
        time.sleep(0.01)


def _send(store: Store, now: int) -> None:
    """Let the devices tell of themselves, send what is refused, and get what they need to send and to be claimed."""
    for meter in METERS:
        put_statuses(store, [Status(meter, now - 60, -61, 180, "v2.0.2", "IHD-02", True)], now)
        note_look(store, meter, now)
        new_token(store, meter, now)
        store.put_record(SPOOL.of(), f"{meter} {1:020d}", orjson.dumps(["glow/x", now, "MARKpayload"]).decode())
    new_code(store, Device(CAD), now)
    batch = Batch()
    batch.add(b"MARKpayload", Refused("bad_time", "MARKpayload"), now, CAD)
    batch.add(b'{"device_id": "cad-1", "at": MARKpayload', Refused("malformed_json", "it is cut"), now, "cad-9")
    batch.add(b"attic/power {}", Refused("unknown_topic", "'attic/power' belongs to no known format"), now)
    put_refusals(store, batch, now)


def _sign_in(store: Store, now: int) -> User:
    """Invite a person, who signs in by a provider and by password, makes a key and downloads everything."""
    accounts, audit = accounts_on(store, lambda: now), Audit(store, SECRETS)  # type: ignore[arg-type] # a clock of one time
    invited = accounts.add(EMAIL, household=HOME, name="MARKname")
    accounts.invite(invited)
    ann = user_of(store, accounts, Person("https://id.example.org MARKsubject", HOUSEHOLD, EMAIL))
    assert ann
    assert ann.user_id == invited.user_id
    Throttle(store, lambda: now).attempt(EMAIL, "192.0.2.7")
    Sessions(store, accounts.user, lambda: now).begin(ann)
    keys = ApiKeys(store, accounts.user, audit, lambda: now)
    holder = keys.holder(keys.make(ann, "MARKkey", SCOPES))
    assert holder
    keys.note_use(holder, Device(CAD, household=HOME))
    assert [*followed(store, ann.user_id, "1", lambda _: [b"PK"])] == [b"PK"]
    store.put_record(AUDIT_GRANTS.of(ann.user_id), CAD, str(now), expires=AUDIT_GRANTS.expires(now))
    return ann


def traces(ann: User) -> tuple[str, ...]:
    """Return all by which a store knows the home and this person of it, but for its devices."""
    return (*MARKS, ann.user_id, sha256(EMAIL.encode()).hexdigest())


# What a store holds

Rows = Iterator[tuple[str, str, str]]  # table, collection of a record, the raw row


def raw_rows(store: Store, path: Path) -> Rows:
    """Yield every row of a SQLite file, or every item of a DynamoDB store."""
    if isinstance(store, DynamoStore):
        for table in table_names(store, path):
            for item in _items(store, table):
                yield table, item["k"]["S"].partition("#")[0] if table == "records" else "", repr(item)
        return
    with sqlite3.connect(path) as database:
        for name in table_names(store, path):
            for row in database.execute(f"SELECT * FROM {name}"):
                yield name, row[0] if name == "records" else "", repr(row)


def table_names(store: Store, path: Path) -> list[str]:
    """Return the tables of a store, empty ones too."""
    if isinstance(store, DynamoStore):
        return [table.name for table in tables()]
    with sqlite3.connect(path) as database:
        return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _items(store: DynamoStore, table: str) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {}
    while True:
        answer = store._client.call("scan", TableName=f"{store._prefix}-{table}", **start)
        yield from answer["Items"]
        if "LastEvaluatedKey" not in answer:
            return
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def row_of(name: str) -> Collection | None:
    """Return the row that describes the collection with this name."""
    return next((row for row in COLLECTIONS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", row.name), name)), None)


def places_of(store: Store, path: Path, names: tuple[str, ...]) -> set[str]:
    """Return the tables and the rows of collections that hold one of some names, in any case."""
    found = set()
    for table, name, content in raw_rows(store, path):
        if any(one.lower() in content.lower() for one in names):
            row = row_of(name)
            found.add(row.name if row else table)
    return found
