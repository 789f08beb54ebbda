"""Columns: found by common names or named; an error names the remedy."""

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports.rows import named_columns, places_of


@pytest.mark.parametrize(
    ("header", "places"),
    [
        ("local_time,elec_import_kwh,gas_kwh", {"time": 0, "import_kwh": 1}),
        ("Date;Time;Global_active_power;Voltage", {"date": 0, "clock": 1, "power_kw": 2}),
        (
            "Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End",
            {"time": 2, "end": 3, "import_kwh": 0},
        ),
        ("Timestamp,Usage (Wh),Export (kWh)", {"time": 0, "import_wh": 1, "export_kwh": 2}),
        ("Datum;Uhrzeit;Verbrauch (kWh)", {"date": 0, "clock": 1, "import_kwh": 2}),
        ("Interval End,kWh", {"end": 0, "import_kwh": 1}),
        ("date,register_kwh,power_w", {"date": 0, "import_register_kwh": 1, "power_w": 2}),
        ("time,kWh,Wh", {"time": 0, "import_wh": 2}),
        ("start,end,power kW", {"time": 0, "power_kw": 2}),
    ],
)
def test_common_column_names_are_recognised(header: str, places: dict[str, int]) -> None:
    assert places_of(header.replace(";", ",").split(","), {}) == places


def test_interval_energy_takes_precedence_over_registers_and_power() -> None:
    assert places_of(["time", "register kWh", "power W", "consumption"], {}) == {"time": 0, "import_kwh": 3}


@pytest.mark.parametrize("header", ["time,gas_m3", "import_kwh,export_kwh", "a,b", ""])
def test_a_header_needs_a_time_and_a_figure(header: str) -> None:
    assert places_of(header.split(","), {}) is None


def test_named_columns_take_precedence_over_common_names() -> None:
    named = named_columns("time=When, import_kwh = Consumption (kWh), all day")

    assert named == {"time": "When", "import_kwh": "Consumption (kWh), all day"}
    header = ["kWh", "time", "WHEN", "consumption (kwh) all day"]
    assert places_of(header, named) == {"time": 2, "import_kwh": 3}
    assert places_of(["time", "kWh"], named) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Date", "--columns has 'Date'; write it like time=Date,import_kwh=Elec"),
        ("time=", "--columns has 'time='"),
        ("time=a,time=b,import_kwh=c", "--columns has 'time=b'"),
        ("import_kwh=a", "--columns needs time=, or date= (and clock=), or end= alone"),
        ("time=a,date=b,import_kwh=c", "--columns needs time="),
        ("clock=a,import_kwh=c", "--columns needs time="),
        ("time=a", "--columns names no figure; it needs one of import_kwh"),
        ("time=a,import_kwh=b,import_wh=c", "--columns names one figure in two units"),
        ("time=a,power_kw=b,power_w=c", "--columns names one figure in two units"),
        ("time=a,import_kwh=b,power_w=c", "--columns names both interval energies and registers or power"),
    ],
)
def test_impossible_columns_are_refused_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        named_columns(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "date=d,clock=c,power_w=p",
        "end=e,export_wh=x",
        "time=s,end=e,import_kwh=i,export_kwh=x",
        "date=d,end=e,import_wh=i",
    ],
)
def test_valid_column_options_are_accepted(text: str) -> None:
    assert len(named_columns(text)) == text.count("=")
