"""`wattfall import`: its output, streams and exit codes."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.store import open_store
from dashboard.commands.main import main

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("WATTFALL_STORE", url)
    return url


def wattfall(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def last_line(result: Result) -> dict[str, object]:
    outcome = json.loads(result.stdout.splitlines()[-1])
    assert isinstance(outcome, dict)
    return outcome


def shown(level: str, period: str) -> dict[str, object]:
    document = json.loads(wattfall("show", level, "home", period, "--json").stdout)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def octopus(tmp_path: Path) -> Path:
    """A day of half hours in Octopus Energy's CSV, newest first, that rise and fall."""
    first = datetime(2026, 2, 1, tzinfo=UTC)
    lines = ["Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End"]
    for place in range(47, -1, -1):
        start, end = (first + timedelta(minutes=30 * (place + more)) for more in (0, 1))
        lines.append(f"0.{place * 29 % 48:03}1, 1.2, {start.isoformat()}, {end.isoformat()}")
    path = tmp_path / "octopus.csv"
    path.write_text("\n".join(lines))
    return path


def test_an_octopus_day_is_imported_and_counted(octopus: Path) -> None:
    result = wattfall("import", str(octopus), "--device", "home")
    wh = round(sum(Decimal(f"0.{place:03}1") for place in range(48)) * 1000)

    assert result.exit_code == 0
    assert last_line(result) == {
        "accepted": 48,
        "known": 0,
        "differs": 0,
        "duplicates": 0,
        "rejected": 0,
        "reasons": {},
        "from": "2026-02-01T00:00:00+00:00",
        "to": "2026-02-02T00:00:00+00:00",
        "import_wh": wh,
        "export_wh": None,
        "holes": 0,
        "hole_s": 0,
        "id": "home/1",
    }
    assert f"48 taken in: {wh / 1000:.3f} kWh of import" in result.stdout.splitlines()
    assert "format: Octopus Energy CSV" in result.stdout.splitlines()
    day = shown("day", "2026-02-01")
    assert (day["import_wh"], day["interval_wh"], day["estimated_wh"], day["coverage"]) == (wh, wh, 0, 0.0)
    assert wattfall("device", "list").stdout == "home\tEurope/London\t100000 W\n"
    assert wattfall("verify").exit_code == 0


def test_the_same_day_as_json_is_known(octopus: Path, tmp_path: Path) -> None:
    wattfall("import", str(octopus), "--device", "home")
    rows = [line.split(", ") for line in octopus.read_text().splitlines()[1:]]
    results = [{"consumption": float(kwh), "interval_start": start, "interval_end": end} for kwh, _, start, end in rows]
    path = tmp_path / "octopus.json"
    path.write_text(json.dumps({"count": 48, "results": results}))
    result = wattfall("import", str(path), "--device", "home")

    assert result.exit_code == 0
    assert (last_line(result)["accepted"], last_line(result)["known"], last_line(result)["differs"]) == (0, 48, 0)


@pytest.mark.parametrize("column", ["time", "interval end"])
def test_one_row_suffices_with_a_named_interval(column: str, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"{column},Elec\n2026-02-01 13:00,2\n")
    field = "end" if "end" in column else "time"
    options = [
        "--columns",
        f"{field}={column},import_kwh=Elec",
        "--interval",
        "1h",
        "--time",
        field.replace("time", "start"),
    ]
    result = wattfall("import", str(path), "--device", "home", *options)

    assert last_line(result)["import_wh"] == 2000
    hours = shown("day", "2026-02-01")["parts"]
    assert isinstance(hours, list)
    assert [place for place, hour in enumerate(hours) if hour["import_wh"]] == [12 if field == "end" else 13]


def test_a_dry_run_creates_no_device(octopus: Path) -> None:
    result = wattfall("import", str(octopus), "--device", "home", "--dry-run")

    assert result.exit_code == 0
    assert "48 would be taken in: 1.133 kWh of import" in result.stdout.splitlines()
    assert wattfall("device", "list").stdout == ""


def recorded(name: str, tmp_path: Path, lines: int) -> Path:
    """The beginning of a recorded file."""
    path = tmp_path / name
    path.write_bytes(b"".join(gzip.decompress((DATA / f"{name}.gz").read_bytes()).splitlines(keepends=True)[:lines]))
    return path


def test_half_a_year_of_local_hours_is_imported(tmp_path: Path) -> None:
    """A real file: a spring day has 23 rows, and the repeated autumn hour is one row."""
    path = recorded("uk_home_hourly.csv", tmp_path, 5000)
    result = wattfall("import", str(path), "--device", "home", "--timezone", "Europe/London", "--time", "start")
    outcome, autumn = last_line(result), "2021-10-31 01:00:00"
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    energies = Counter[str]()
    for at, kwh, _ in rows:
        energies[at[:7]] += 0 if at == autumn else round(Decimal(kwh) * 1000)

    assert (outcome["accepted"], outcome["reasons"], outcome["holes"]) == (len(rows) - 1, {"ambiguous_time": 1}, 1)
    assert outcome["import_wh"] == energies.total()
    assert result.stderr.splitlines()[-1] == (
        f"line 722: ambiguous_time: {autumn} occurred twice in Europe/London,"
        " and the order of the rows does not decide which one it is"
    )
    assert {month: shown("month", month)["import_wh"] for month in energies} == energies
    spring = shown("day", "2022-03-27")
    assert (len(spring["parts"]), spring["interval_wh"]) == (23, spring["import_wh"])  # type: ignore[arg-type]
    assert "ambiguous_time  1" in wattfall("refused", "home").stdout


@pytest.mark.parametrize(
    ("zone", "home"), [("UTC", "Europe/London"), ("Etc/GMT-1", "Europe/London"), ("Asia/Tokyo", "Asia/Tokyo")]
)
def test_a_file_of_a_constant_offset_says_nothing_of_where_the_home_is(tmp_path: Path, zone: str, home: str) -> None:
    path = tmp_path / "utc.csv"
    path.write_text("time,kWh\n" + "".join(f"2026-07-01 {hour:02d}:00,1\n" for hour in range(23)))
    wattfall("import", str(path), "--device", "home", "--timezone", zone, "--time", "start", "--yes")
    assert wattfall("device", "list").stdout.split("\t")[1] == home


def test_power_per_minute_is_held_between_rows(tmp_path: Path) -> None:
    path = recorded("uci_household_1min.txt", tmp_path, 3000)
    result = wattfall("import", str(path), "--device", "home", "--timezone", "Europe/Paris")
    rows = [line.split(";") for line in path.read_text().splitlines()[1:]]
    watts = [round(Decimal(row[2]) * 1000) for row in rows if row[0] == "17/12/2006"]
    day = shown("day", "2006-12-17")

    assert (last_line(result)["accepted"], last_line(result)["rejected"]) == (len(rows), 0)
    assert (len(watts), day["coverage"]) == (1440, 1.0)
    assert abs(int(str(day["import_wh"])) - sum(watts) / 60) <= 24  # each half hour is rounded


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a,b\n1,2\n", [], "no row of the file looks like a header followed by times and numbers"),
        ("a,b\n2026-02-01,2\n", ["--columns", "time=a,import_kwh=c"], "the columns 'a', 'b', not 'c'; name them with"),
        ("a,b\n2026-02-01,2\n", ["--columns", "when=a"], "--columns has 'when=a'"),
        ("time,kWh\n2026-02-01 10:00,2\n", [], "say which with --time start or --time end"),
        ("time,kWh\n2026-02-01,2\n", ["--interval", "soon"], "'soon' is not an interval; write it like 30m"),
        ("time,kWh\n2026-02-01,2\n", ["--timezone", "Mars/Olympus"], "'Mars/Olympus' is not an IANA time zone"),
        ("time,kWh\n2026-02-01,2\n", ["--device", "../etc"], "device_id is '../etc'"),
        ("time,kWh\n2026-02-01,2\n", ["--where", "Meter=1"], "--where has 'Meter=1'"),
        ("{", [], "the file begins like JSON but is invalid"),
        ("", [], "the file is empty"),
        ("time,kWh\n", ["--unit", "joule"], "'joule' is not one of"),
    ],
)
def test_an_error_is_one_line_on_stderr_with_exit_code_2(
    text: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    result = wattfall("import", str(path), "--device", "home", *arguments)

    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("wattfall: ")
    assert message in line
    assert wattfall("device", "list").stdout == ""


def test_oversized_json_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "octopus.json"
    path.write_text('{"results": [' + " " * (17 << 20) + "]}")
    result = wattfall("import", str(path), "--device", "home")

    assert result.exit_code == 2
    assert "the JSON is larger than 16 MB; request shorter periods, one file each" in result.stderr


def test_import_requires_a_device_and_a_file(octopus: Path) -> None:
    assert "Missing option '--device'" in wattfall("import", str(octopus)).stderr
    assert "'/nowhere/x.csv' does not exist" in wattfall("import", "/nowhere/x.csv").stderr


def test_an_import_is_listed_and_taken_back(octopus: Path) -> None:
    wattfall("import", str(octopus), "--device", "home")
    (line,) = wattfall("import", "--list", "--device", "home").stdout.splitlines()
    name, at, by, *facts = line.split("\t")
    assert (name, by.startswith("operator "), len(at)) == ("home/1", True, 20)
    span = "2026-02-01T00:00:00+00:00 to 2026-02-02T00:00:00+00:00"
    assert facts == ["octopus.csv", "48 rows", span, "1.133 kWh import", "taken"]

    undone = wattfall("import", "--undo", "home/1")
    assert (undone.exit_code, undone.stdout) == (0, "home/1 is taken back: 48 rows of octopus.csv\n")
    assert shown("day", "2026-02-01")["import_wh"] is None
    assert "\tundone " in wattfall("import", "--list", "--device", "home").stdout
    assert wattfall("verify").exit_code == 0
    again = wattfall("import", "--undo", "home/1")
    assert (again.exit_code, again.stderr.startswith("wattfall: home/1 was taken back already, on 20")) == (2, True)
    entries = [json.loads(line) for line in wattfall("audit", "--json", "--device", "home").stdout.splitlines()]
    assert [(one["action"], one["reason"], one["details"]) for one in entries] == [
        ("import", "history imported from the command line: octopus.csv", {}),
        ("import", "history imported from the command line", {"undone": "home/1"}),
    ]


def test_a_correction_shows_the_days_that_it_changes(octopus: Path, tmp_path: Path) -> None:
    wattfall("import", str(octopus), "--device", "home")
    other = tmp_path / "other.csv"
    other.write_text(octopus.read_text().replace("0.0471", "0.1471").replace("0.0461", "0.0961"))
    stays = wattfall("import", str(other), "--device", "home", "--dry-run")
    report = wattfall("import", str(other), "--device", "home", "--replace")

    assert "2 differ from what is stored, which stays" in stays.stdout.splitlines()
    said = report.stdout.splitlines()
    assert "  2026-02-01: 0.093 kWh import becomes 0.243 kWh import (2 rows)" in said
    assert "2 rows replace what is stored, on 1 days" in said
    assert "2 differ from what is stored, which they replace" in said
    assert shown("day", "2026-02-01")["import_wh"] == 1133 + 150
    wattfall("import", "--undo", "home/2")
    assert shown("day", "2026-02-01")["import_wh"] == 1133


def test_a_file_of_mostly_refused_rows_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("start,kWh\n" + "".join(f"2026-02-01 0{hour}:00,{'x' if hour > 6 else 1}\n" for hour in range(10)))
    result = wattfall("import", str(path), "--device", "home")

    assert result.exit_code == 1
    assert "nothing is taken: 3 of 10 rows would be refused, 3 as not_a_number; see --allow refused" in result.stderr
    assert wattfall("device", "list").stdout == ""
    assert last_line(wattfall("import", str(path), "--device", "home", "--allow", "refused"))["accepted"] == 7


def test_ctrl_c_stops_between_batches_and_a_rerun_resumes(tmp_path: Path) -> None:
    path, url = tmp_path / "long.csv", f"sqlite:///{tmp_path / 'long.db'}"
    first = datetime(2020, 1, 1, tzinfo=UTC)
    rows = (
        f"{(first + timedelta(minutes=30 * place)).isoformat()},0.{place * 499 % 1000:03}\n" for place in range(40_000)
    )
    path.write_text("time,kWh\n" + "".join(rows))
    command = [
        sys.executable,
        "-m",
        "dashboard.commands.main",
        "import",
        str(path),
        "--device",
        "home",
    ]
    environ = os.environ | {"WATTFALL_STORE": url}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with closing(open_store(url)) as store:
            while process.poll() is None and not store.periods("year", "home"):
                time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert process.returncode == 130
    assert "stopped; the same command resumes" in errors
    with closing(open_store(url)) as store:
        assert store.backlog().waiting == 0
    outcome = last_line(wattfall(*command[3:], "--store", url, "--dry-run"))
    rest, done = (int(str(outcome[key])) for key in ("accepted", "known"))
    assert min(rest, done) > 0
    assert rest + done == 40_000


def on_a_terminal(answer: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command on a terminal, type an answer; return its exit code, stdout and stderr."""
    terminal, its_end = pty.openpty()
    try:
        os.write(terminal, answer.encode())
        command = [sys.executable, "-m", "dashboard.commands.main", *arguments]
        done = subprocess.run(command, stdin=its_end, capture_output=True, text=True, check=False)
    finally:
        os.close(terminal)
        os.close(its_end)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def ambiguous(tmp_path: Path) -> Path:
    """A day that may be 1 February or 2 January."""
    path = tmp_path / "day.csv"
    path.write_text("Start;Import (Wh)\n" + "".join(f"01/02/2026 {hour:02}:00;{200 + hour}\n" for hour in range(24)))
    return path


def test_a_person_is_asked_and_the_answer_counts(ambiguous: Path) -> None:
    code, out, err = on_a_terminal("month-first\n", "import", str(ambiguous), "--device", "home", "--timezone", "UTC")

    assert (code, json.loads(out.splitlines()[-1])["from"]) == (0, "2026-01-02T00:00:00+00:00")
    assert "01/02/2026 00:00 may be day-first or month-first" in err


def test_yes_asks_nothing_and_decides_nothing(ambiguous: Path) -> None:
    code, _, err = on_a_terminal("", "import", str(ambiguous), "--device", "home", "--timezone", "UTC", "--yes")

    assert (code, err.count("\n")) == (2, 1)
    assert "say which with --dates day-first or --dates month-first" in err
    assert wattfall("show", "live", "home").exit_code == 2
