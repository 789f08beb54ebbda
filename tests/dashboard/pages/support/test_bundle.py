import re
from dataclasses import replace

import orjson

from aggregator.core.periods import HOUR, Window
from aggregator.core.readings import Reading
from aggregator.core.status import Counters
from aggregator.intake.device_status import KnownStatus, Signal
from aggregator.intake.refusals import Message, Refusals
from aggregator.support.anomalies import Counted, Gap, RegisterStep
from aggregator.support.diagnostics import Closure, LevelState
from dashboard.pages.support.bundle import bundle, file_name
from tests.dashboard.homes import NOW
from tests.dashboard.support_desks import DEVICE, SAID, evidence

FULL = evidence(
    device=replace(DEVICE, tariff='{"currency": "GBP", "versions": []}', exchange_overrides=f"{NOW - HOUR}+"),
    gaps=[Gap(NOW - HOUR, NOW - 600, "missing")],
    steps=[RegisterStep(NOW - HOUR, "import_wh", "glitch", 10, 2)],
    closures=[Closure("import_wh", Window(NOW - HOUR, NOW), 10, 9)],
    refusals=Refusals(
        {"2026-11-23": {"bad_time": 1}}, [Message(0, NOW - 60, "bad_time", "at is 'x'", '{"at":"x\\x00"}')]
    ),
    last_readings=[Reading("cad-1", NOW - 4, 612, 1_234_567, None, "19M0001")],
    aside=["day 2026-11-17: damaged"],
)
SIGNALS = [Signal(NOW - HOUR, -61, 180, True)]


def test_a_bundle_holds_the_evidence_with_times_that_all_can_read() -> None:
    found = orjson.loads(bundle(FULL, SIGNALS))
    assert found["made_at"] == "2026-11-23T14:20:04Z"
    assert found["device"]["exchange_overrides"] == [{"at": "2026-11-23T13:20:04Z", "is_exchange": True}]
    assert found["sending"]["state"] == "sending"
    assert len(found["sending"]["hours"]) == 168
    assert found["signal"]["hours"][0] == {"at": "2026-11-23T13:20:04Z", "rssi_dbm": -61, "lqi": 180, "joined": True}
    assert found["data"]["gaps"] == [
        {"start": "2026-11-23T13:20:04Z", "end": "2026-11-23T14:10:04Z", "kind": "missing"}
    ]
    assert found["data"]["closures"][0]["is_exact"] is False
    assert found["data"]["refused"]["messages"][0]["payload"] == '{"at":"x\\x00"}'
    assert found["data"]["last_readings"][0]["at"] == "2026-11-23T14:20:00Z"
    assert found["charts"]["aside"] == ["day 2026-11-17: damaged"]


def test_a_bundle_holds_the_meters_own_counters_and_when_each_chart_changed() -> None:
    told = KnownStatus(SAID._replace(counters=Counters(NOW - 8, 1_204, None, None)), NOW - 8, {})
    counted = Counted("day", NOW - 8, NOW - HOUR, 1_204, 1_200, NOW, None, 0)
    levels = [LevelState("day", "2026-11-23", 0, True, NOW - 2)]
    found = orjson.loads(bundle(evidence(known=told, counted=[counted], levels=levels), []))
    counters = {"at": "2026-11-23T14:19:56Z", "day_wh": 1_204, "week_wh": None, "month_wh": None}
    assert found["signal"]["last"]["counters"] == counters
    assert found["data"]["counters"][0]["meter_wh"] == 1_204
    assert found["data"]["counters"][0]["utc_start"] == "2026-11-23T14:20:04Z"
    assert found["charts"]["levels"][0]["changed_at"] == "2026-11-23T14:20:02Z"


def test_a_bundle_says_nothing_by_which_a_home_is_found_and_no_tariff() -> None:
    text = bundle(FULL, SIGNALS).decode()
    secrets = (DEVICE.name, DEVICE.postcode, DEVICE.meter_point, DEVICE.household, "tariff", "GBP")
    assert [secret for secret in secrets if secret in text] == []


def test_a_bundle_has_no_meter_point_either_that_the_device_itself_has_sent() -> None:
    sent = f'{{"device_id": "cad-1", "at": 1, "mpan": "{DEVICE.meter_point}", "MPRN": 7700000009876}}'
    message = Message(0, NOW - 60, "bad_time", f"at is '{DEVICE.meter_point}'", sent)
    text = bundle(evidence(refusals=Refusals({}, [message])), []).decode()
    assert "bad_time" in text
    assert DEVICE.meter_point not in text
    assert "7700000009876" not in text


def test_a_device_of_which_nothing_is_known_has_a_bundle_too() -> None:
    found = orjson.loads(bundle(evidence(known=None, live=None, hours=[], strip=[], levels=[]), []))
    assert found["signal"] is None
    assert found["data"]["newest"] is None


def test_a_bundle_can_be_saved_everywhere() -> None:
    name = file_name(evidence(device=replace(DEVICE, device_id="70:B3:D5:1F")))
    assert name == "wattfall-70-B3-D5-1F-20261123T142004Z.json"
    assert re.fullmatch(r"[\w.-]+", name)
