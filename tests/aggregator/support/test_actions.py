"""Staff actions write an audit entry first; exported bundles have no personal data."""

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device, Part
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import day_of, iso_utc
from aggregator.core.readings import Reading
from aggregator.core.status import Counters, Status
from aggregator.intake import device_status, refusals
from aggregator.intake.ingest import Outcome, ingest, ingest_lines
from aggregator.store import Store, open_store
from aggregator.support import actions, audit
from aggregator.support.audit import Audit, Who
from aggregator.support.bundle import KNOWN_FIELDS, bundle, file_name, structure, zipped
from aggregator.support.fleet import take_census
from aggregator.waterfall import verify
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main

NOW = int(time.time())
START = NOW // 1800 * 1800 - 86_400
ANNA = Who("u-1", "anna@example.com", "support", "Anna Kay")
TARIFF = '{"currency": "GBP", "versions": [{"from": "2026-04-01", "import": 0.25}]}'
HOME = Device(
    "cad-1",
    household="h-77",
    name="12 Acacia Road",
    serial="SN-4711",
    meter_point="1100000000123",
    postcode="SW1A 1AA",
    tariff=TARIFF,
)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'desk.db'}"
    monkeypatch.setenv("WATTFALL_STORE", url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    opened.put_device(HOME)
    opened.put_device(Device("neighbour", name="14 Acacia Road"))
    readings = [Reading("cad-1", START + 600 * n, None, 1000 + 100 * n, None, "m-1") for n in range(12)]
    ingest(opened, [*readings, Reading("neighbour", START, 777_777, None, None)], NOW, "Europe/London")
    drain(opened)
    yield opened
    opened.close()


def home(store: Store) -> Device:
    device = store.device("cad-1")
    assert device
    return device


def audited(store: Store) -> list[tuple[str, str, dict[str, str]]]:
    return [(entry.action, entry.reason, dict(entry.details)) for entry in Audit(store, []).entries(device_id="cad-1")]


def wattfall(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


# Actions


def test_a_note_is_an_audit_entry_whose_reason_is_its_text(store: Store) -> None:
    actions.add_note(Audit(store, []), ANNA, home(store), "  Router was off.\r\nAsked to restart. ", NOW)
    assert audited(store) == [("note", "Router was off. Asked to restart.", {})]
    assert Audit(store, []).entries(device_id="neighbour") == []


def test_a_look_up_grants_access_and_is_audited(store: Store) -> None:
    actions.look_up(Audit(store, []), ANNA, "cad-1", "customer called", NOW)
    assert audit.granted(store, ANNA.user_id, "cad-1", NOW)
    assert audited(store) == [("look-up", "customer called", {})]


def test_only_actions_and_api_keys_write_audit_entries() -> None:
    root = Path(audit.__file__).parents[2]
    paths = [path for package in ("aggregator", "dashboard") for path in (root / package).rglob("*.py")]
    writers = {path.name for path in paths if re.search(r"audit\.append\(|self\.append\(who", path.read_text())}
    assert writers == {"actions.py", "api_keys.py", "audit.py", "keys_page.py"}


def test_a_rebuild_repairs_days_and_is_audited(store: Store) -> None:
    day = day_of(START, "Europe/London")
    store.merge_parts("day", "cad-1", day, "Europe/London", {"h00": Part(9, 9)})
    assert list(verify.differences(store, home(store))) != []
    actions.rebuild(Audit(store, []), ANNA, home(store), day, None, "hole in Tuesday", NOW)
    drain(store)

    assert list(verify.differences(store, home(store))) == []
    assert audited(store) == [("rebuild", "hole in Tuesday", {"from": day})]


def test_marking_and_unmarking_an_exchange_are_audited(store: Store) -> None:
    at = START + 1800
    actions.mark_exchange(Audit(store, []), ANNA, home(store), at, "engineer was there", NOW, is_exchange=True)
    assert home(store).exchange_overrides == f"{at}+"
    actions.unmark_exchange(Audit(store, []), ANNA, home(store), at, "wrong home", NOW)

    assert home(store).exchange_overrides == ""
    assert [details["is"] for _, _, details in audited(store)] == ["taken back", "exchanged"]


def test_a_refused_exchange_is_not_audited(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="nothing is marked"):
        actions.unmark_exchange(Audit(store, []), ANNA, home(store), START + 1800, "wrong home", NOW)
    full = replace(home(store), exchange_overrides=" ".join(f"{START + at}+" for at in range(actions.MOST)))
    store.put_device(full)
    with pytest.raises(ConfigurationError, match="has 20 marked instants already"):
        actions.mark_exchange(Audit(store, []), ANNA, full, START + 1800, "engineer was there", NOW, is_exchange=True)
    assert audited(store) == []
    assert home(store) == full


@pytest.mark.parametrize("reason", ["", "x"])
def test_an_action_without_a_reason_does_nothing(store: Store, reason: str) -> None:
    device = home(store)
    with pytest.raises(ConfigurationError):
        actions.look_up(Audit(store, []), ANNA, "cad-1", reason, NOW)
    with pytest.raises(ConfigurationError):
        actions.add_note(Audit(store, []), ANNA, device, reason, NOW)
    with pytest.raises(ConfigurationError):
        actions.rebuild(Audit(store, []), ANNA, device, None, None, reason, NOW)
    with pytest.raises(ConfigurationError):
        actions.mark_exchange(Audit(store, []), ANNA, device, START, reason, NOW, is_exchange=True)
    with pytest.raises(ConfigurationError):
        actions.export_bundle(Audit(store, []), ANNA, device, reason, NOW)
    assert audited(store) == []
    assert home(store).exchange_overrides == ""


# The bundle


def test_a_bundle_has_no_personal_data_and_no_other_home(store: Store) -> None:
    bad = b'{"device_id": "cad-1", "at": 1, "mpan": "1100000000123", "x": {"MPRN" : 7700000009876}, "m": 1100000000123}'
    ingest_lines(store, [bad], 1, NOW, "Europe/London", Outcome(), lambda *_: None)
    actions.add_note(Audit(store, []), ANNA, home(store), "Mrs Kay was rude.", NOW)
    actions.look_up(Audit(store, []), ANNA, "cad-1", "customer called", NOW)
    device_status.put_statuses(store, [Status("cad-1", NOW, -71, 96, "v2.0.2", "IHD", joined=True)], NOW)

    content = actions.export_bundle(Audit(store, []), ANNA, home(store), "for the makers", NOW)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    text = "".join(files.values())
    for secret in ("h-77", "Acacia", "SW1A", "1100000000123", "7700000009876", "anna", "Anna", "Kay", "neighbour"):
        assert secret not in text
    assert "777777" not in text
    for shown in ("SN-4711", "0123", "v2.0.2", '"bad_time"', '"GBP"'):
        assert shown in text
    assert audited(store)[0] == ("export", "for the makers", {})


POINT = "2200012345678"
REFUSED = (
    b'{"ssid":"A Surname WiFi","name":"12 Acacia Road","e":"some@example.org","device_id":"cad-1","power_w":431}',
    f'{{"device_id":"cad-1","mpanCore":"{POINT}","point":{POINT},"Acacia":{{"at":"2026-11-30T05:17:00Z"}}}}'.encode(),
    f'{{"device_id":"cad-1","raw":"{{\\"mpan\\":\\"{POINT}\\"}}","import_wh":"Mr Surname","at":"{POINT}"}}'.encode(),
    f'{{"device_id":"cad-1","at":"2026-11-30T05:17:00Z","power_w":-17,"x":["Surname {POINT[:7]}'.encode(),  # cut off
    f"Ann Surname, DE000{POINT}".encode(),
    f"/ISK5\r\n1-0:1.8.1(000123.456*kWh)\n0-0:1.0.0(261130051700W)\n0-0:96.13.0(Surname)({POINT})\n!AB12".encode(),
)


def test_a_bundle_keeps_structure_and_known_figures_of_refused_messages(store: Store) -> None:
    batch = refusals.Batch()
    for payload in REFUSED:
        batch.add(payload, Refused("wrong_format", f"field is 'Ann Surname' {POINT}"), NOW, "cad-1")
        refusals.put_refusals(store, batch, NOW)
    store.put_device(replace(home(store), serial=f"MPAN {POINT}"))

    text = zipfile.ZipFile(io.BytesIO(zipped(bundle(store, home(store), NOW), NOW))).read("refused.json").decode()
    found = [one["payload"] for one in json.loads(text)["messages"]][::-1]
    assert found == [
        '{"field":"(14 characters)","field":"(14 characters)","field":"(16 characters)",'
        '"device_id":"cad-1","power_w":431}',
        '{"device_id":"cad-1","field":"(13 characters)","field":0,"field":{"at":"2026-11-30T05:17:00Z"}}',
        '{"device_id":"cad-1","field":"(28 characters)","import_wh":"(10 characters)","at":"(13 characters)"}',
        '{"device_id":"cad-1","at":"2026-11-30T05:17:00Z","power_w":-17,"field":["(15 characters)"',
        "(31 characters)",
        "(5 characters)\n1-0:1.8.1(000123.456*kWh)\n0-0:1.0.0(261130051700W)\n"
        "0-0:96.13.0((7 characters))((13 characters))\n(5 characters)",
    ]
    whole = "".join(map(repr, bundle(store, home(store), NOW).values()))
    assert [secret for secret in ("Surname", "Acacia", "example.org", POINT, POINT[:7]) if secret in whole] == []
    assert "•••• •••• 5678" in whole


@given(st.text(max_size=200), st.sampled_from(['{"a":', "[", ""]))
def test_no_word_of_any_payload_gets_through(text: str, before: str) -> None:
    left = structure(f"{before}{text}", "cad-1")
    words = set(re.findall(r"[^\W\d_]{2,}", left)) - {"field", "characters", "true", "false", "null"}
    assert {word for word in words if word.lower() not in KNOWN_FIELDS} == set()


def test_a_bundle_has_the_data_for_finding_a_fault(store: Store) -> None:
    counters = Counters(NOW - 8, 1_204, None, None)
    device_status.put_statuses(store, [Status("cad-1", NOW, -71, 96, "v2.0.2", "IHD", True, counters)], NOW)
    files = bundle(store, home(store), NOW)
    with zipfile.ZipFile(io.BytesIO(zipped(files, NOW))) as archive:
        assert archive.testzip() is None
        lines = archive.read("readings.jsonl").decode().splitlines()
        evidence = json.loads(archive.read("evidence.json"))
        status = json.loads(archive.read("status.json"))
        about = json.loads(archive.read("about.json"))
        days = [json.loads(line) for line in archive.read("days.jsonl").decode().splitlines()]
    assert len(lines) == 12
    assert json.loads(lines[0])["import_wh"] == 1000
    assert evidence["judgement"]["state"] == "sending"
    assert evidence["backlog"] == {"waiting": 0, "since": None}
    assert {"levels", "aside", "gaps", "steps", "closures", "counted", "hours", "strip"} < set(evidence)
    assert status["known"]["status"]["counters"]["day_wh"] == 1_204
    assert (about["format"], about["made_at"]) == (3, iso_utc(NOW))
    assert {day["device_id"] for day in days} == {"cad-1"}
    assert zipped(files, NOW) == zipped(bundle(store, home(store), NOW), NOW)


def test_the_bundle_of_a_silent_device_has_its_last_readings(store: Store) -> None:
    files = bundle(store, home(store), NOW + 5 * 86_400)
    assert files["readings.jsonl"] == []
    evidence = files["evidence.json"]
    assert isinstance(evidence, dict)
    assert evidence["last_readings"][0]["import_wh"] == 2100


def test_a_bundles_file_name_is_valid_everywhere() -> None:
    name = file_name(replace(HOME, device_id="70:B3:D5:1F"), NOW)
    assert name == f"wattfall-70-B3-D5-1F-{day_of(NOW, 'UTC')}.zip"
    assert re.fullmatch(r"[\w.-]+", name)


def test_a_device_that_never_sent_has_a_bundle(store: Store) -> None:
    store.put_device(Device("new"))
    device = store.device("new")
    assert device
    assert zipfile.ZipFile(io.BytesIO(zipped(bundle(store, device, NOW), NOW))).read("readings.jsonl") == b""


# The command line


def test_the_audit_command_lists_oldest_first_and_checks(store: Store) -> None:
    actions.look_up(Audit(store, []), ANNA, "cad-1", "customer called", NOW)
    actions.rebuild(Audit(store, []), ANNA, home(store), None, None, "hole in Tuesday", NOW)
    listed = wattfall("audit")
    assert listed.stdout.splitlines() == [
        f"{iso_utc(NOW)}\tsupport anna@example.com\tlook-up\tcad-1\tcustomer called",
        f"{iso_utc(NOW)}\tsupport anna@example.com\trebuild\tcad-1\thole in Tuesday",
    ]
    today = day_of(NOW, "UTC")
    found = wattfall("audit", "--json", "--device", "cad-1", "--person", "ANNA@example.com", "--from", today)
    assert [json.loads(line)["action"] for line in found.stdout.splitlines()] == ["look-up", "rebuild"]
    assert wattfall("audit", "--device", "neighbour").stdout == ""

    head = Audit(store, []).head()
    assert wattfall("audit", "--check").stdout == f"0 faults\nhead {head}\n"
    assert wattfall("audit", "--check", str(head)).exit_code == 0
    assert wattfall("audit", "--check", f"3:{head.hash}").stdout.startswith("the audit ends at entry 2, and had 3")
    store.drop_record("audit", f"{1:012d}")
    checked = wattfall("audit", "--check")
    assert (checked.exit_code, checked.stdout.splitlines()[0]) == (1, "entries after 0 missing, up to 1")


def test_device_and_tariff_commands_leave_entries_without_values(store: Store, tmp_path: Path) -> None:
    tariff = tmp_path / "tariff.json"
    tariff.write_text('{"currency": "GBP", "versions": [{"from": "2026-04-01", "import": 0.2450}]}')
    for arguments in (
        ("device", "set", "new", "--reason", "a new home"),
        ("device", "set", "cad-1", "--timezone", "Europe/Paris"),
        ("device", "set", "cad-1", "--timezone", "Europe/Paris"),
        ("device", "move", "cad-1", "--to", "h-9", "--from", "2026-11-10"),
        ("device", "token", "cad-1"),
        ("tariff", "set", "cad-1", str(tariff)),
        ("tariff", "unset", "cad-1"),
    ):
        assert wattfall(*arguments).exit_code == 0, arguments
    found = [(one.device_id, one.action, dict(one.details)) for one in Audit(store, []).entries()]
    went = {"to household": "h-9", "its first day": "2026-11-10"}
    assert found[::-1] == [
        ("new", "device", {"changed": "new"}),
        ("cad-1", "device", {"changed": "timezone"}),
        ("cad-1", "device", {"changed": "tariff, household, name, occupied_from, former", **went}),
        ("cad-1", "device", {"changed": "token"}),
        ("cad-1", "tariff", {}),
        ("cad-1", "tariff", {}),
    ]


def test_refused_messages_are_shown(store: Store) -> None:
    assert wattfall("refused", "cad-1").stdout == "nothing was refused\n"
    ingest_lines(store, [b'{"device_id": "cad-1", "at": 7}', b"\x1b[31m"], 1, NOW, "UTC", Outcome(), lambda *_: None)
    lines = wattfall("refused", "cad-1").stdout.splitlines()
    assert lines == [
        f"{day_of(NOW, 'UTC')}  bad_time  1",
        "",
        f"{iso_utc(NOW)} bad_time: at is 7",
        '  {"device_id": "cad-1", "at": 7}',
    ]
    assert "\x1b" not in wattfall("refused", "-").stdout, "a payload does not command the terminal"
    assert json.loads(wattfall("refused", "cad-1", "--json").stdout)["days"] == {day_of(NOW, "UTC"): {"bad_time": 1}}
    assert wattfall("refused", "cad-1", "--reason", "no_values").stdout == "nothing was refused\n"
    found = wattfall("refused", "cad-1", "--contains", "cad-1", "--from", day_of(NOW, "UTC"))
    assert found.stdout.splitlines() == lines


def test_inspect_prints_diagnostics(store: Store) -> None:
    ingest(store, [Reading("cad-1", START + 7200, None, 2200, None, "m-1")], int(time.time()), "Europe/London")
    drain(store)
    diagnostics = json.loads(wattfall("inspect", "cad-1").stdout)
    assert diagnostics["judgement"]["state"] == "sending"
    assert diagnostics["closures"][0]["register_wh"] == diagnostics["closures"][0]["documents_wh"]


def test_the_fleet_is_shown_after_a_census(store: Store) -> None:
    early = wattfall("fleet")
    assert (early.exit_code, early.stderr.count("\n")) == (2, 1)
    take_census(store, NOW, store.backlog())
    assert wattfall("fleet").stdout.splitlines()[:2] == [f"2 devices at {iso_utc(NOW)}", "sending            2"]
    assert json.loads(wattfall("fleet", "--json").stdout)["states"]["sending"] == 2


def test_an_exchange_is_marked_from_the_command_line(store: Store) -> None:
    at = iso_utc(START + 1800)
    assert wattfall("exchange", "cad-1", at, "--reason", "engineer").stdout == f"cad-1: {at} exchanged\n"
    assert wattfall("verify", "cad-1").exit_code == 0
    assert wattfall("exchange", "cad-1", at, "--not", "--reason", "no").exit_code == 2
    said = wattfall("exchange", "cad-1", at, "--not", "--reason", "none was there").stdout
    assert said == f"cad-1: {at} not exchanged\n"
    assert wattfall("exchange", "cad-1", at, "--undo", "--reason", "not sure").stdout == "cad-1: nothing is marked\n"
    assert [entry.who.role for entry in Audit(store, []).entries()] == ["operator"] * 3


def test_a_rebuild_from_the_command_line_leaves_an_audit_entry(store: Store) -> None:
    assert wattfall("rebuild", "cad-1").exit_code == 0
    day = day_of(START, "Europe/London")
    assert wattfall("rebuild", "cad-1", "--from", day, "--to", day, "--reason", "a hole").exit_code == 0
    assert audited(store) == [
        ("rebuild", "a hole", {"from": day, "to": day}),
        ("rebuild", "rebuild from the command line", {}),
    ]
    assert [entry.who.role for entry in Audit(store, []).entries()] == ["operator"] * 2
    assert wattfall("audit").stdout.splitlines()[1].endswith(f"\trebuild\tcad-1\ta hole\tfrom={day} to={day}")


def test_a_bundle_is_written_to_a_file(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "cad-1.zip"
    written = wattfall("bundle", "cad-1", str(target), "--reason", "for the makers")
    assert written.stdout == f"{target}: {target.stat().st_size} bytes\n"
    assert audited(store)[0][0] == "export"


@pytest.mark.parametrize(
    "arguments",
    [
        ("refused", "nobody"),
        ("inspect", "nobody"),
        ("audit", "--from", "yesterday"),
        ("exchange", "cad-1", "yesterday", "--reason", "because"),
        ("exchange", "cad-1", "2026-11-23T10:00:00", "--reason", "because"),
        ("exchange", "cad-1", "2026-11-23T10:00:00Z"),
        ("exchange", "cad-1", "2026-11-23T10:00:00Z", "--not", "--undo", "--reason", "because"),
        ("exchange", "cad-1", "2026-11-23T10:00:00Z", "--undo", "--reason", "because"),
        ("bundle", "cad-1", "/nowhere/at/all.zip", "--reason", "because"),
        ("bundle", "cad-1"),
        ("rebuild", "nobody"),
        ("rebuild", "cad-1", "--from", "yesterday"),
        ("rebuild", "cad-1", "--reason", ""),
    ],
)
def test_a_fault_gives_one_line_and_exit_code_2(store: Store, arguments: tuple[str, ...]) -> None:
    assert store
    result = wattfall(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert [one for one in audited(store) if one[0] != "export"] == []
    assert result.stderr.startswith("wattfall: ")
    assert result.stderr.count("\n") == 1
