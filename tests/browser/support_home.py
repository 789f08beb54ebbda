"""Two homes for the support tests: one with a gap on Tuesday, one silent."""

import time

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.periods import DAY_S, HOUR
from aggregator.core.readings import Reading
from aggregator.core.status import Counters, Status
from aggregator.intake import refusals
from aggregator.intake.device_status import put_statuses
from aggregator.intake.ingest import ingest
from aggregator.store.port import Store
from aggregator.support.fleet import take_census
from aggregator.waterfall.worker import drain
from tests.dashboard.homes import LONDON, NOW, instant

HOME = Device(
    "cad-tuesday",
    household="acacia",
    name="12 Acacia Road",
    serial="WF0012",
    meter_point="2200012345678",
    postcode="ZZ99 1AC",
)
QUIET = Device("cad-quiet", name="4 Harbour View", meter_point="2200099990001")
TUESDAY, HOLE = "2026-11-17", (instant("2026-11-17T08:15:00+00:00"), instant("2026-11-17T13:10:00+00:00"))
LOST = ("h18", "s36", "s37")  # of the chart, though the readings exist
HOSTILE = b'{"device_id":"cad-tuesday","at":"<script>alert(1)</script>\x07"}'
STEP_S = 60


def furnish(store: Store) -> None:
    """Write a week of readings each minute without some hours of Tuesday, and a silent home."""
    for device in (HOME, QUIET):
        store.put_device(device)
    ats = range(NOW // STEP_S * STEP_S - 8 * DAY_S, NOW, STEP_S)
    known = [at for at in ats if not HOLE[0] < at < HOLE[1]]
    readings = [Reading(HOME.device_id, at, 612, 1_000_000 + (at - ats[0]) // 6, None, "19M0001") for at in known]
    ingest(store, readings, NOW - 4, LONDON)
    silent = [one._replace(device_id=QUIET.device_id) for one in readings if one.at < NOW - 2 * HOUR]
    ingest(store, silent, NOW - 2 * HOUR, LONDON)
    drain(store)
    store.merge_parts("day", HOME.device_id, TUESDAY, LONDON, dict.fromkeys(LOST))
    hours = range(NOW - 8 * DAY_S, NOW, HOUR)
    put_statuses(
        store, [Status(HOME.device_id, at, -61 - at // HOUR % 9, 180, "v2.0.2", "IHD-02", True) for at in hours], NOW
    )
    told = Counters(NOW - 64, 8_100, 8_590, None)
    put_statuses(store, [Status(HOME.device_id, NOW - 64, None, None, None, None, None, told)], NOW - 64)
    batch = refusals.Batch()
    batch.add(HOSTILE, Refused("bad_time", "at is '<script>'"), NOW)
    refusals.put_refusals(store, batch, int(time.time()))  # messages expire by the real time
    for at in (NOW - DAY_S, NOW - HOUR, NOW):
        take_census(store, at, store.backlog())
