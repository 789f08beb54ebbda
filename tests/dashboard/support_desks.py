"""Helpers for support tests: diagnostics of a healthy device, and a server with two homes and a staff member."""

from dataclasses import replace
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.periods import HOUR
from aggregator.core.readings import Reading
from aggregator.core.status import Status
from aggregator.intake.device_status import KnownStatus
from aggregator.intake.ingest import ingest
from aggregator.intake.refusals import Refusals
from aggregator.settings import load
from aggregator.store.port import Backlog, Store
from aggregator.support.audit import Audit
from aggregator.support.device_state import Covered, Hour, Judgement
from aggregator.support.diagnostics import Diagnostics, LevelState
from aggregator.waterfall.worker import drain
from dashboard.accounts.users import SUPPORT
from dashboard.app import create_app
from tests.dashboard.homes import NOW
from tests.dashboard.people import SECRET, Clock, browser, somebody, token_in

DEVICE = Device(
    "cad-1",
    household="hh-1",
    name="12 Acacia Road",
    serial="WF123",
    meter_point="2200012345678",
    postcode="SW1A 1AA",
)
JUDGED = Judgement("sending", "on_time", None, 10)
SAID = Status("cad-1", NOW - 8, -61, 180, "v2.0.2", "GLOW-IHD-02", True)
WELL = Diagnostics(
    DEVICE,
    NOW,
    Live("cad-1", NOW - 4, NOW - 4, 612, 1_234_567, None, None),
    JUDGED,
    [Hour(NOW - NOW % HOUR - back * HOUR, 360, 360) for back in range(167, -1, -1)],
    [Covered(f"2026-11-{day:02d}", 1.0, 0.0, 0.0) for day in range(1, 24)],
    KnownStatus(SAID, NOW - 8, {"v2.0.2": (NOW - 99 * HOUR, NOW)}),
    [],
    [],
    [],
    [],
    [],
    Refusals({}, []),
    [],
    [
        LevelState("day", "2026-11-23", 0, True),
        LevelState("month", "2026-11", 0, True),
        LevelState("year", "2026", 0, True),
    ],
    Backlog(0, None),
    [],
)


def evidence(**different: Any) -> Diagnostics:  # noqa: ANN401 - any of its fields
    return replace(WELL, **different)


# A server with support pages

OTHER = replace(DEVICE, device_id="cad-2", household="hh-2", name="4 Harbour View", meter_point="2200099990001")
PAGE = "/desk/device/cad-1"
FORMS = ("note", "rebuild", "exchange", "bundle")


def server_on(store: Store, clock: Clock) -> Flask:
    """Return a server with two homes."""
    store.put_device(DEVICE)
    store.put_device(OTHER)
    made: Flask = create_app(load({"WATTFALL_SECRET": SECRET}), store, clock).server
    return made


def staff_on(server: Flask, store: Store, email: str = "pat@desk.example") -> FlaskClient:
    """Return the browser of a staff member."""
    return browser(server, store, somebody(store, email, SUPPORT))


def sent(store: Store, now: int, hours: int = 3, device_id: str = "cad-1") -> None:
    """Return readings every 10 s up to now."""
    first = now - hours * 3600
    readings = [Reading(device_id, at, 360, (at - first) // 10, None, None) for at in range(first, now, 10)]
    ingest(store, readings, now, "Europe/London")
    drain(store)


def post(client: FlaskClient, address: str, **fields: str) -> TestResponse:
    """Send the form at an address."""
    return client.post(address, data={"csrf": token_in(client.get(address).text), **fields})


def look_up(client: FlaskClient, reason: str = "ticket 4711") -> TestResponse:
    return post(client, PAGE, suggested="", reason=reason)


def audited_actions(store: Store) -> list[str]:
    return [entry.action for entry in Audit(store, []).entries(device_id="cad-1")]
