"""The data commands: output, streams and exit codes are a contract."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.core.documents import Part
from aggregator.core.readings import REASONS
from aggregator.intake.formats.message import DeviceRules
from aggregator.intake.ingest import rules_in
from aggregator.store import open_store
from aggregator.waterfall.worker import drain
from dashboard.commands.main import main

MORNING = datetime(2026, 6, 1, 8, tzinfo=UTC)


def reading(device_id: str = "cad-1", minutes: int = 0, **fields: object) -> str:
    at = (MORNING + timedelta(minutes=minutes)).isoformat()
    return json.dumps({"device_id": device_id, "at": at, **fields})


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("WATTFALL_STORE", url)
    return url


def wattfall(*arguments: str, text: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=text)


def last_line(result: Result) -> dict[str, object]:
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(outcome, dict)
    return outcome


def test_ingest_counts_readings_on_the_last_line() -> None:
    text = "\n".join([reading(minutes=minutes, import_wh=minutes) for minutes in range(5)])

    assert last_line(wattfall("ingest", text=text)) == {"accepted": 5, "unchanged": 0, "rejected": 0, "reasons": {}}
    again = wattfall("ingest", "-", text=text)
    assert last_line(again) == {"accepted": 0, "unchanged": 5, "rejected": 0, "reasons": {}}
    assert again.exit_code == 0


def test_ingest_names_refused_lines_and_accepts_the_rest() -> None:
    good = reading(import_wh=1)
    lines = [good, "{", "[]", reading(import_wh=-5), reading(power_w="x"), "", reading(minutes=1, import_wh=2)]
    result = wattfall("ingest", text="\n".join(lines))

    assert last_line(result) == {
        "accepted": 2,
        "unchanged": 0,
        "rejected": 4,
        "reasons": {"malformed_json": 1, "negative_register": 1, "not_a_number": 1, "not_an_object": 1},
    }
    named = [line.split(": ")[:2] for line in result.stderr.splitlines()]
    assert named == [
        ["line 2", "malformed_json"],
        ["line 3", "not_an_object"],
        ["line 4", "negative_register"],
        ["line 5", "not_a_number"],
    ]
    assert result.exit_code == 0
    assert {reason for _, reason in named} <= set(REASONS)


@pytest.mark.parametrize("text", ["", "\n\n", "{}\n", b"\x00\xff\xfe binary \x80\n"])
def test_ingest_without_valid_readings_exits_with_1(text: str | bytes) -> None:
    result = wattfall("ingest", text=text)

    assert result.exit_code == 1
    assert last_line(result)["accepted"] == 0


def test_an_oversized_line_is_one_refusal() -> None:
    result = wattfall(
        "ingest", text=reading(import_wh=1) + "\n" + "x" * 2_000_000 + "\n" + reading(minutes=1, power_w=5)
    )

    assert last_line(result) == {"accepted": 2, "unchanged": 0, "rejected": 1, "reasons": {"line_too_long": 1}}


def test_an_unknown_device_registers_itself_in_london() -> None:
    wattfall("ingest", text=reading("new-1", power_w=5))

    assert wattfall("device", "list").stdout == "new-1\tEurope/London\t100000 W\n"


def test_show_day_json_has_all_hours_and_half_hours_with_offsets() -> None:
    text = "\n".join([reading(minutes=minutes, import_wh=1000 + minutes * 10) for minutes in range(61)])
    wattfall("ingest", text=text)
    day = json.loads(wattfall("show", "day", "cad-1", "2026-06-01", "--json").stdout)

    assert set(day) == {
        *("device_id", "level", "period", "timezone", "import_wh", "export_wh", "estimated_wh", "interval_wh"),
        *("coverage", "parts", "half_hours", "currency", "cost", "export_earnings", "standing_charge", "unpriced_wh"),
    }
    assert (day["import_wh"], day["export_wh"], day["estimated_wh"], day["coverage"]) == (600, None, 0, 0.0417)
    assert len(day["parts"]) == 24
    assert len(day["half_hours"]) == 48
    assert day["parts"][9] == {
        "start": "2026-06-01T09:00:00+01:00",
        "end": "2026-06-01T10:00:00+01:00",
        "import_wh": 600,
        "export_wh": None,
        "estimated_wh": 0,
        "interval_wh": 0,
        "coverage": 1.0,
        "cost": None,
        "export_earnings": None,
        "standing_charge": None,
        "unpriced_wh": 0,
    }
    assert day["parts"][8]["import_wh"] is None
    assert day["parts"][8]["estimated_wh"] is None
    assert day["parts"][8]["coverage"] == 0


@pytest.mark.parametrize(("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23)])
def test_show_day_has_23_or_25_hours_at_clock_changes(day: str, hours: int) -> None:
    wattfall("device", "set", "cad-1")
    parts = json.loads(wattfall("show", "day", "cad-1", day, "--json").stdout)["parts"]

    assert len(parts) == hours
    assert len({part["start"] for part in parts}) == hours


def test_show_month_has_days_and_show_year_has_months() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, import_wh=minutes) for minutes in (0, 4)]))
    month = json.loads(wattfall("show", "month", "cad-1", "2026-06", "--json").stdout)
    year = json.loads(wattfall("show", "year", "cad-1", "2026", "--json").stdout)

    assert [len(month["parts"]), len(year["parts"])] == [30, 12]
    assert month["parts"][0]["import_wh"] == year["parts"][5]["import_wh"] == 4
    assert year["parts"][6]["import_wh"] is None


def test_show_live_is_the_newest_reading() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=2, power_w=612), reading(minutes=1, power_w=100)]))
    live = json.loads(wattfall("show", "live", "cad-1", "--json").stdout)

    assert (live["power_w"], live["at"]) == (612, "2026-06-01T08:02:00Z")
    assert "612 W" in wattfall("show", "live", "cad-1").stdout


def test_show_live_says_the_age_of_an_older_power() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=1, power_w=1200), reading(minutes=2, import_wh=5100)]))
    shown = wattfall("show", "live", "cad-1").stdout
    assert "power            1,200 W, 60 s before the reading" in shown
    assert shown.splitlines()[5] == "import register  5,100 Wh"


def test_show_prints_a_table_for_people() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, import_wh=minutes * 100) for minutes in range(61)]))
    lines = wattfall("show", "day", "cad-1", "2026-06-01").stdout.splitlines()

    assert lines[0] == "cad-1 · 2026-06-01 · Europe/London"
    assert lines[11].split() == ["09:00", "6.000", "-", "0.000", "0.000", "100%"]
    assert lines[-1].split() == ["total", "6.000", "-", "0.000", "0.000", "4%"]


def test_a_device_of_intervals_alone_is_shown_and_verified() -> None:
    spans = [(f"2026-06-01T{9 + place // 2:02}:{place % 2 * 30:02}:00Z", 100 + place) for place in range(5)]
    items = [
        {"device_id": "cad-1", "start": start, "end": end, "import_wh": wh, "export_wh": 7, "source": "supplier"}
        for (start, wh), (end, _) in pairwise(spans)
    ]
    result = wattfall("ingest", text="\n".join(map(json.dumps, items)))

    assert json.loads(result.stdout) == {"accepted": 4, "unchanged": 0, "rejected": 0, "reasons": {}}
    lines = wattfall("show", "day", "cad-1", "2026-06-01").stdout.splitlines()
    assert lines[12].split() == ["10:00", "0.201", "0.014", "0.000", "0.215", "0%"]
    assert lines[-1].split() == ["total", "0.406", "0.028", "0.000", "0.434", "0%"]
    assert wattfall("verify").exit_code == 0


def test_rezoning_a_device_recomputes_its_days() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, import_wh=minutes) for minutes in range(0, 1440, 4)]))
    result = wattfall("device", "set", "cad-1", "--timezone", "Asia/Kathmandu")

    assert result.stdout == "cad-1\tAsia/Kathmandu\t100000 W\n"
    day = json.loads(wattfall("show", "day", "cad-1", "2026-06-01", "--json").stdout)
    assert day["parts"][0]["start"] == "2026-06-01T00:00:00+05:45"
    assert day["import_wh"] == 615  # from 08:00 to 18:15 UTC, where the day ends in Kathmandu
    assert wattfall("verify").exit_code == 0


def test_a_device_says_how_its_messages_are_read(url: str) -> None:
    wattfall("device", "set", "cad-1", "--netting", "sum", "--stamp-on-arrival", "on", "--total-is-import", "on")
    kept = wattfall("device", "set", "cad-1", "--name", "12 Acacia Road")
    assert kept.stdout.split("\t")[3:] == [
        *("name 12 Acacia Road", "netting sum", "total is import", "stamped on arrival\n"),
    ]
    with closing(open_store(url)) as store:
        assert rules_in(store, "UTC")("cad-1") == DeviceRules(
            "Europe/London", "sum", stamp_on_arrival=True, is_total_import=True
        )
        assert rules_in(store, "UTC")("nobody") == DeviceRules("UTC")
    usual = ("--netting", "phase", "--stamp-on-arrival", "off", "--total-is-import", "off")
    changed = wattfall("device", "set", "cad-1", *usual)
    assert changed.stdout == "cad-1\tEurope/London\t100000 W\tname 12 Acacia Road\n"


def test_netting_is_explained_where_it_is_set() -> None:
    said = " ".join(wattfall("device", "set", "--help").stdout.split())
    assert "in Germany, the Netherlands and Belgium" in said
    assert "the power of all phases tells the energy" in said


def test_the_first_token_of_a_device_adds_it() -> None:
    wattfall("ingest", text=reading(import_wh=1))
    first, second = wattfall("device", "token", "cad-2"), wattfall("device", "token", "cad-2")
    assert (first.stderr, second.stderr) == ("cad-2 is new, and was added\n", "")
    assert first.stdout.startswith("wattfall.cad-2.")
    assert wattfall("device", "list").stdout.splitlines()[-1].startswith("cad-2\t")
    assert "there is no device 'cad-3'" in wattfall("device", "token", "cad-3", "--revoke").stderr


def test_device_labels_are_set_kept_and_removed() -> None:
    labels = ["--household", "h1", "--name", "12 Acacia Road", "--serial", "S-9", "--postcode", "SW1A 1AA"]
    wattfall("device", "set", "cad-1", *labels, "--meter-point", "1012345674321")
    result = wattfall("device", "set", "cad-1", "--serial", "")
    listed = ["household h1", "name 12 Acacia Road", "meter point •••• •••• 4321", "postcode SW1A 1AA"]

    assert result.stdout == "\t".join(["cad-1", "Europe/London", "100000 W", *listed]) + "\n"
    assert wattfall("device", "list").stdout == result.stdout


def test_a_home_changes_hands_from_a_day_on() -> None:
    wattfall("ingest", text=reading(import_wh=1))
    wattfall("device", "set", "cad-1", "--household", "acacia")
    moved = wattfall("device", "move", "cad-1", "--to", "willow", "--from", "2026-06-10")
    assert moved.stdout == "cad-1\tEurope/London\t100000 W\thousehold willow\n"
    assert "device moved: 2026-06-10" in wattfall("audit", "--json").stdout
    emptied = wattfall("device", "move", "cad-1", "--to", "-", "--from", "2026-06-20")
    assert emptied.stdout == "cad-1\tEurope/London\t100000 W\n"


def test_a_mistaken_move_is_taken_back() -> None:
    wattfall("ingest", text=reading(import_wh=1))
    wattfall("device", "set", "cad-1", "--household", "acacia", "--name", "Villa")
    wattfall("device", "move", "cad-1", "--to", "willow", "--from", "2026-06-10")
    back = wattfall("device", "move", "cad-1", "--undo", "--from", "2026-06-10")
    assert back.stdout == "cad-1\tEurope/London\t100000 W\thousehold acacia\tname Villa\n"
    assert "device moved back: 2026-06-10" in wattfall("audit", "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("move", "cad-1", "--undo", "--from", "2026-06-10"), "the newest move of cad-1 is not of 2026-06-10"),
        (("move", "cad-1", "--undo", "--to", "-", "--from", "2026-06-10"), "(--to), or take a move back (--undo)"),
        (("move", "cad-1", "--from", "2026-06-10"), "(--to), or take a move back (--undo)"),
        (("set", "cad-1", "--household", "willow"), "`wattfall device move cad-1 --to ID --from DAY` gives it"),
        (("set", "cad-1", "--household", ""), "`wattfall device move cad-1 --to ID --from DAY` gives it"),
        (("move", "cad-1", "--to", "acacia", "--from", "2026-06-10"), "cad-1 belongs to acacia already"),
        (("move", "cad-1", "--to", "willow", "--from", "2190-06-10"), "2190-06-10 is still to come"),
        (("move", "cad-1", "--to", "willow", "--from", "June"), "is not a day"),
        (("move", "cad-1~gas", "--to", "willow", "--from", "2026-06-10"), "use `wattfall device move cad-1`"),
        (("move", "cad-9", "--to", "willow", "--from", "2026-06-10"), "there is no device 'cad-9'"),
        (("move", "cad-1", "--to", " x", "--from", "2026-06-10"), "household is ' x'"),
    ],
)
def test_no_household_gets_the_past_of_another_one(arguments: tuple[str, ...], fault: str) -> None:
    wattfall("ingest", text=reading(import_wh=1) + "\n" + reading("cad-1~gas", import_wh=1))
    wattfall("device", "set", "cad-1", "--household", "acacia")
    refused = wattfall("device", *arguments)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert fault in refused.stderr


def test_a_device_of_another_kind_names_it_where_devices_are_listed() -> None:
    assert wattfall("device", "set", "roof", "--kind", "generation").stdout == (
        "roof\tEurope/London\t100000 W\tgeneration\n"
    )
    assert wattfall("device", "set", "roof", "--kind", "electricity").stdout == "roof\tEurope/London\t100000 W\n"


def test_a_named_gas_meter_is_gas_before_its_first_reading() -> None:
    result = wattfall("device", "set", "cad-1~gas", "--name", "Cellar")
    assert result.stdout == "cad-1~gas\tEurope/London\t10000000 W\tgas\tname Cellar\n"


def test_a_gas_meter_registers_itself_as_gas(url: str) -> None:
    second = [reading(device_id=f"cad-1~{meter}", import_wh=1) for meter in ("gas", "1")]
    wattfall("ingest", text="\n".join([reading(import_wh=1), *second]))
    with closing(open_store(url)) as store:
        kinds = [(device.device_id, device.kind) for device in store.devices()]
    assert kinds == [("cad-1", "electricity"), ("cad-1~1", "electricity"), ("cad-1~gas", "gas")]


def test_verify_of_an_empty_store_is_no_success(url: str) -> None:
    open_store(url).close()
    result = wattfall("verify")
    assert result.exit_code == 1
    assert result.stdout == "0 devices, 0 differences\nthere is nothing to verify: the store is empty\n"


def test_verify_counts_waiting_keys_apart_from_differences(url: str) -> None:
    wattfall("ingest", text="\n".join(reading(minutes=minutes, import_wh=minutes) for minutes in range(0, 90, 5)))
    with closing(open_store(url)) as store:
        drain(store)
        store.mark("month", "cad-1", ["2026-06"])
    result = wattfall("verify")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "1 devices, 0 differences")
    assert result.stdout.splitlines()[1].startswith("1 keys wait to be settled")


def test_a_calorific_value_reprices_gas_from_its_day() -> None:
    lines = [reading("cad-1~gas", minutes, volume_l=10_000 + 25 * minutes) for minutes in range(0, 61, 30)]
    wattfall("ingest", text="\n".join(lines))
    shown = ("show", "day", "cad-1~gas", "2026-06-01")
    assert json.loads(wattfall(*shown, "--json").stdout)["import_wh"] == 16_831  # 1.5 x 1.02264 x 39.5 / 3.6 kWh
    result = wattfall("device", "set", "cad-1~gas", "--calorific-value", "39.4", "--from", "2026-06-01")
    assert result.stdout.endswith("gas\tm³ x 1.02264 x 39.5 MJ/m³, 39.4 MJ/m³ from 2026-06-01\n")
    table = wattfall(*shown).stdout.splitlines()
    assert table[1].split()[-1] == "m³"
    assert table[-1].split()[1::5] == ["16.788", "1.500"]
    wattfall("device", "set", "cad-1~gas", "--volume-factor", "1")
    assert json.loads(wattfall(*shown, "--json").stdout)["import_wh"] == 16_417
    assert wattfall("verify").exit_code == 0


def test_a_new_name_recomputes_nothing(url: str) -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, import_wh=minutes) for minutes in range(30)]))
    with closing(open_store(url)) as store:
        store.merge_parts("day", "cad-1", "2026-06-01", "Europe/London", {"h09": Part(7, None)})
    wattfall("device", "set", "cad-1", "--name", "12 Acacia Road")
    with closing(open_store(url)) as store:
        kept = store.document("day", "cad-1", "2026-06-01")
        assert store.find_devices("acacia", 9) == ["cad-1"]

    assert kept is not None
    assert kept.part("h09") == Part(7, None)


def test_a_lower_power_limit_applies_to_stored_readings() -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, power_w=6000) for minutes in range(11)]))
    before = json.loads(wattfall("show", "day", "cad-1", "2026-06-01", "--json").stdout)
    wattfall("device", "set", "cad-1", "--max-power-w", "5000")
    after = json.loads(wattfall("show", "day", "cad-1", "2026-06-01", "--json").stdout)

    assert (before["import_wh"], after["import_wh"]) == (1000, None)


def test_verify_lists_differences_and_rebuild_repairs_them(url: str) -> None:
    wattfall("ingest", text="\n".join([reading(minutes=minutes, import_wh=minutes) for minutes in range(30)]))
    assert wattfall("verify", "cad-1").stdout == "1 devices, 0 differences\n"
    store = open_store(url)
    store.merge_parts("day", "cad-1", "2026-06-01", "Europe/London", {"s18": Part(999, None)})
    store.settle(store.changes("day", 10))

    broken = wattfall("verify")
    assert broken.exit_code == 1
    assert "cad-1 day 2026-06-01 s18: stored import 999 Wh" in broken.stdout
    assert wattfall("rebuild", "cad-1", "--from", "2026-06-01", "--to", "2026-06-01").exit_code == 0
    assert wattfall("verify").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "day", "nobody"], "there is no device 'nobody'; `wattfall device list` lists the devices"),
        (["verify", "nobody"], "there is no device 'nobody'"),
        (["rebuild", "nobody"], "there is no device 'nobody'"),
        (
            ["rebuild", "cad-1", "--from", "2026-06-02", "--to", "2026-06-01"],
            "--from 2026-06-02 is after --to 2026-06-01",
        ),
        (["device", "set", "../etc"], "device_id is '../etc'; use up to 64 letters and digits, like cad-1"),
        (["units", "--to", "https://energy.example.org"], "an edge reads from a broker; name it with --mqtt"),
        (["device", "set", "cad-1", "--timezone", "Mars/Olympus"], "'Mars/Olympus' is not an IANA time zone"),
        (["device", "set", "cad-1", "--max-power-w", "0"], "0 is not in the range"),
        (["device", "set", "cad-1", "--netting", "none"], "'none' is not one of 'phase', 'sum'"),
        (["device", "set", "cad-1", "--stamp-on-arrival", "maybe"], "'maybe' is not a valid boolean"),
        (["device", "set", "cad-1", "--name", "x" * 81], "it has up to 80 printable characters"),
        (["device", "set", "cad-1", "--meter-point", "1\n2"], "meter_point is '1\\n2'"),
        (["device", "set", "cad-1", "--calorific-value", "39"], "cad-1 is of kind electricity, and only gas in m³"),
        (["device", "set", "g", "--kind", "gas", "--calorific-value", "0"], "the calorific value is '0'"),
        (["device", "set", "g", "--kind", "gas", "--volume-factor", "x"], "the volume factor is 'x'"),
        (["device", "set", "g", "--kind", "gas", "--volume-factor", "0"], "it must be between 0.1 and 2"),
        (["device", "set", "g", "--kind", "gas", "--from", "2026-06-01"], "--from is the first day of a --calorific"),
        (["device", "set", "cad-1~gas", "--household", "h1"], "cad-1~gas has the household of cad-1, which reads it"),
        (["device", "set", "cad-1~gas", "--household", ""], "use `wattfall device set cad-1`"),
        (["device", "set", "cad-1~gas", "--postcode", "N1"], "cad-1~gas has the postcode of cad-1"),
        (["ingest", "/nowhere/file.jsonl"], "/nowhere/file.jsonl"),
        (["ingest", "--store", "mysql://x"], "'mysql://x' is not a store; write it like sqlite:///"),
        (["show", "week", "cad-1"], "'week' is not one of"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_exit_code_2(url: str, arguments: list[str], message: str) -> None:
    open_store(url).close()
    result = wattfall(*arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith("wattfall: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("group", [[], ["device"]])
def test_a_group_without_a_command_prints_its_help(group: list[str]) -> None:
    said = wattfall(*group)
    assert (said.exit_code, said.stderr.splitlines()[1]) == (2, "")
    assert "\nCommands:\n" in said.stderr


def test_an_invalid_period_is_named() -> None:
    wattfall("device", "set", "cad-1")
    result = wattfall("show", "day", "cad-1", "2026-02-30")

    assert (result.exit_code, result.stderr) == (2, "wattfall: '2026-02-30' is not a day; write it like 2026-11-23\n")


def test_a_wrong_setting_fails_at_start_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTFALL_RETENTION_DAYS", "soon")
    result = wattfall("device", "list")

    assert result.exit_code == 2
    assert result.stderr == "wattfall: WATTFALL_RETENTION_DAYS: 'soon' is not a whole number from 2 to 3650\n"


def test_a_file_other_than_a_store_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all, " * 100)
    result = wattfall("device", "list", "--store", f"sqlite:///{path}")

    assert result.exit_code == 2
    assert result.stderr == f"wattfall: {path} is not a Wattfall store; name another file\n"


def test_an_open_pipe_is_ingested_before_it_closes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'pipe.db'}"
    environ = os.environ | {"WATTFALL_STORE": url}
    command = [sys.executable, "-m", "dashboard.commands.main"]
    with subprocess.Popen(
        [*command, "ingest"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(reading(power_w=5) + "\nnonsense\n")
        process.stdin.flush()
        assert process.stderr.readline().startswith("line 2: malformed_json")
        process.stdin.write(reading(minutes=1, power_w=5))
        process.stdin.close()
        assert json.loads(process.stdout.read() if process.stdout else "")["accepted"] == 2
