"""The tariff commands: their output, streams and exit codes."""

import json
import os
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aggregator.core.documents import Device
from aggregator.store import open_store
from dashboard.commands.main import main

AUTUMN = datetime(2026, 10, 24, 23, tzinfo=UTC)  # midnight in London; the day has 25 hours
ECONOMY_7 = {
    "currency": "GBP",
    "versions": [
        {
            "from": "2026-10-01",
            "import": [
                {"name": "night", "from": "00:30", "to": "07:30", "rate": 0.0850},
                {"name": "day", "from": "07:30", "to": "00:30", "rate": 0.3012},
            ],
            "export": 0.15,
            "standing_charge": 0.5310,
        }
    ],
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home with 1 kWh import and 20 Wh export an hour, for a day of 25 hours."""
    monkeypatch.setenv("WATTFALL_STORE", f"sqlite:///{tmp_path / 'money.db'}")
    lines = [
        json.dumps(
            {
                "device_id": "cad-1",
                "at": (AUTUMN + timedelta(minutes=30 * number)).isoformat(),
                "import_wh": number * 500,
                "export_wh": number * 10,
            }
        )
        for number in range(51)
    ]
    wattfall("ingest", text="\n".join(lines))


def wattfall(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=text)


def day() -> dict[str, object]:
    content = json.loads(wattfall("show", "day", "cad-1", "2026-10-25", "--json").stdout)
    assert isinstance(content, dict)
    return content


def amounts(content: dict[str, object]) -> list[object]:
    return [content[name] for name in ("currency", "cost", "export_earnings", "standing_charge", "unpriced_wh")]


def test_a_night_rate_counts_twice_in_the_repeated_hour() -> None:
    result = wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))

    assert result.stdout == "cad-1: 1 days priced again\n"
    # 00:30-07:30 on the clock are 8 hours: 8 x 0.0850 = 0.6800; 17 x 0.3012 = 5.1204; 0.5 kWh x 0.15 = 0.075
    assert amounts(day()) == ["GBP", "5.8004", "0.075", "0.531", 0]
    table = wattfall("show", "day", "cad-1", "2026-10-25").stdout.splitlines()
    assert table[1].split()[-2:] == ["to", "pay"]
    assert table[-1].split()[-2:] == ["6.26", "GBP"]


def test_unset_removes_costs_and_keeps_energy() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    assert wattfall("tariff", "unset", "cad-1").exit_code == 0

    assert amounts(day()) == [None, None, None, None, 0]
    assert day()["import_wh"] == 25_000
    assert wattfall("verify").exit_code == 0


def test_show_prints_the_json_that_set_accepts() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    shown = wattfall("tariff", "show", "cad-1").stdout
    before = day()
    wattfall("tariff", "unset", "cad-1")
    wattfall("tariff", "set", "cad-1", text=shown)

    assert day() == before


def test_imported_prices_may_be_unordered_and_holes_are_named() -> None:
    tariff = {"currency": "GBP", "versions": [{"from": "2026-01-01", "import": "half-hourly"}]}
    wattfall("tariff", "set", "cad-1", text=json.dumps(tariff))
    rows = [
        f"{(AUTUMN + timedelta(minutes=30 * number)).isoformat()},20" for number in range(50) if number not in (4, 5)
    ]
    result = wattfall("tariff", "import", "cad-1", "--per", "100", text="start,price\n" + "\n".join(reversed(rows)))

    assert result.exit_code == 0
    assert "no price from 2026-10-25T01:00:00Z to 2026-10-25T02:00:00Z" in result.stdout
    assert amounts(day()) == ["GBP", "4.80", "0.00", "0.00", 1000]


BY_HALF_HOUR = {"currency": "GBP", "versions": [{"from": "2026-01-01", "import": "half-hourly"}]}


def test_an_hourly_price_holds_for_the_whole_hour() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(BY_HALF_HOUR))
    rows = [f"2026-10-25T{hour}:00:00+01:00,{price}" for hour, price in ((10, 0.2), (11, 0.4), (12, 0.1))]
    assert wattfall("tariff", "import", "cad-1", text="\n".join(["start,price", *rows])).exit_code == 0
    assert amounts(day()) == ["GBP", "0.70", "0.00", "0.00", 22_000]  # 1 kWh in each hour; 22 hours have no price


def test_payment_methods_are_asked_for_and_an_open_end_holds_on() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(BY_HALF_HOUR))
    rows = [
        {"value_inc_vat": price, "valid_from": "2026-10-01T23:00:00Z", "valid_to": None, "payment_method": name}
        for name, price in (("DIRECT_DEBIT", 26.25), ("NON_DIRECT_DEBIT", 28.35))
    ]
    text = json.dumps({"results": rows})
    asked = wattfall("tariff", "import", "cad-1", text=text)
    assert (asked.exit_code, amounts(day())[-1]) == (2, 25_000)
    assert "say with --payment-method which: DIRECT_DEBIT or NON_DIRECT_DEBIT" in asked.stderr

    taken = wattfall("tariff", "import", "cad-1", "--payment-method", "DIRECT_DEBIT", text=text)
    assert "the file's prices are in hundredths of the currency (pence, cents) per kWh" in taken.stdout
    assert "the last price has no end: it holds to " in taken.stdout
    assert amounts(day()) == ["GBP", "6.5625", "0.00", "0.00", 0]  # 25 kWh at 26.25 p


def test_a_file_in_pence_is_not_taken_for_pounds() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(BY_HALF_HOUR))
    result = wattfall("tariff", "import", "cad-1", text="start,price\n2026-10-25T10:00Z,24.5\n2026-10-25T11:00Z,31\n")
    assert (result.exit_code, amounts(day())[-1]) == (2, 25_000)
    assert result.stderr.count("\n") == 1
    assert "say --per 100 for pence" in result.stderr


def test_reprice_of_correct_days_changes_nothing() -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    before = day()

    assert wattfall("reprice", "cad-1").stdout == "cad-1: 1 days priced again\n"
    assert day() == before


def test_compare_shows_the_cost_on_other_tariffs(tmp_path: Path) -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    flat = tmp_path / "flat.json"
    flat.write_text('{"currency": "GBP", "versions": [{"from": "2026-01-01", "import": 0.2450}]}')
    content = json.loads(wattfall("tariff", "compare", "cad-1", str(flat), "--to", "2026-10-25", "--json").stdout)

    assert content["days"] == 1
    assert [content["tariffs"][name]["to_pay"] for name in ("present", "flat")] == ["6.2564", "6.125"]
    table = wattfall("tariff", "compare", "cad-1", str(flat)).stdout.splitlines()
    assert table[2].split()[:3] == ["flat", "6.12", "GBP"]  # the cheapest first, rounded half to even


def test_days_without_data_owe_their_standing_charge(tmp_path: Path) -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    shown = [json.loads(wattfall("show", "day", "cad-1", f"2026-10-{day}", "--json").stdout) for day in (24, 25, 26)]
    assert [content["standing_charge"] for content in shown] == [None, "0.531", "0.531"]
    assert amounts(shown[2]) == ["GBP", None, None, "0.531", 0]
    assert wattfall("show", "day", "cad-1", "2026-10-26").stdout.splitlines()[-1].split()[-2:] == ["0.53", "GBP"]
    free = tmp_path / "free.json"
    free.write_text('{"currency": "GBP", "versions": [{"from": "2026-10-01", "import": 0, "standing_charge": 1}]}')
    asked = ["tariff", "compare", "cad-1", str(free), "--from", "2026-10-01", "--to", "2026-10-28", "--json"]
    content = json.loads(wattfall(*asked).stdout)
    assert content["days"] == 4  # from the first with data, the 25th
    assert [content["tariffs"][name]["standing_charge"] for name in ("present", "free")] == ["2.124", "4.00"]


def test_compare_prices_each_day_in_its_own_zone(tmp_path: Path) -> None:
    wattfall("tariff", "set", "cad-1", text=json.dumps(ECONOMY_7))
    before = json.loads(wattfall("show", "month", "cad-1", "2026-10", "--json").stdout)
    with closing(open_store(os.environ["WATTFALL_STORE"])) as store:
        store.put_device(replace(store.device("cad-1") or Device("cad-1"), timezone="Asia/Kathmandu"))
    same = tmp_path / "present.json"
    same.write_text(json.dumps(ECONOMY_7))
    content = json.loads(wattfall("tariff", "compare", "cad-1", str(same), "--json").stdout)
    assert [content["tariffs"][name]["cost"] for name in ("present", str(same))] == [before["cost"]] * 2


@pytest.mark.parametrize("command", ["set", "import"])
def test_a_binary_file_is_one_line_with_exit_code_2(command: str, tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"start,price\xff")
    result = wattfall("tariff", command, "cad-1", str(binary))

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert f"{binary} cannot be read" in result.stderr


def test_compare_shows_no_total_for_unpriced_energy(tmp_path: Path) -> None:
    for name, rate in (("flat", 0.2450), ("agile", "half-hourly")):
        tariff = {"currency": "GBP", "versions": [{"from": "2026-01-01", "import": rate}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(tariff))
    files = [str(tmp_path / "agile.json"), str(tmp_path / "flat.json")]
    content = json.loads(wattfall("tariff", "compare", "cad-1", *files, "--json").stdout)["tariffs"]

    assert (content["agile"]["to_pay"], content["agile"]["unpriced_wh"]) == (None, 25_000)
    table = wattfall("tariff", "compare", "cad-1", *files).stdout.splitlines()
    assert [line.split()[0] for line in table[2:]] == ["flat", "agile"]


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["tariff", "set", "nobody"], "{}", "there is no device 'nobody'"),
        (
            ["tariff", "set", "cad-1"],
            "{",
            "the tariff is not JSON: Expecting property name enclosed in double quotes: line 1 column 2",
        ),
        (["tariff", "set", "cad-1"], '{"currency": "GBP", "versions": []}', "versions is []"),
        (["tariff", "show", "cad-1"], "", "cad-1 has no tariff; set one with `wattfall tariff set`"),
        (["tariff", "import", "cad-1"], "start,price\nsoon,1\n", "row 2"),
        (["tariff", "compare", "cad-1", "/nowhere.json"], "", "/nowhere.json cannot be read"),
        (["reprice", "nobody"], "", "there is no device 'nobody'"),
    ],
)
def test_an_error_is_one_line_with_exit_code_2(arguments: list[str], text: str, message: str) -> None:
    result = wattfall(*arguments, text=text)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
