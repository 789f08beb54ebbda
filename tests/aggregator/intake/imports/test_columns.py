"""Columns: their roles by content and name, or as they are named; an error names the remedy."""

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports.columns import roles_of, with_named
from aggregator.intake.imports.understanding import Doubt, named_columns
from aggregator.intake.imports.vocabulary import Roles, typed

CELLS = {"time": "2026-02-01 00:{:02}", "date": "2026-02-{:02}", "clock": "00:{:02}", "number": "0.{:03}", "text": "A"}


def columns_of(types: str) -> list[list[str]]:
    """Rows of cells of these types."""
    names = types.split()
    return [[CELLS[name].format(place) for name in names] for place in range(1, 9)]


def roles(header: str, types: str, columns: str = "") -> tuple[Roles, list[Doubt]]:
    names = [name.strip() for name in header.split(",")]
    found = typed(names, columns_of(types))
    return with_named(found, named_columns(columns)) if columns else roles_of(found)


def figures(found: Roles) -> dict[tuple[int, ...], tuple[str, str, str]]:
    return {one.places: (one.channel, one.kind, one.unit) for one in found.figures}


@pytest.mark.parametrize(
    ("header", "types", "times", "expected"),
    [
        ("local_time,elec_import_kwh,gas_m3", "time number number", (0, None, None, ""), {(1,): ("import", "", "kWh")}),
        (
            "Date,Time,Global_active_power,Voltage",
            "date clock number number",
            (0, 1, None, ""),
            {(2,): ("", "power", "")},
        ),
        (
            "Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End",
            "number number time time",
            (2, None, 3, "start"),
            {(0,): ("import", "", "kWh")},
        ),
        (
            "Timestamp,Usage (Wh),Export (Wh)",
            "time number number",
            (0, None, None, ""),
            {(1,): ("import", "", "Wh"), (2,): ("export", "", "Wh")},
        ),
        ("Datum,Uhrzeit,Verbrauch (kWh)", "date clock number", (0, 1, None, ""), {(2,): ("import", "", "kWh")}),
        ("Interval End,kWh", "time number", (0, None, None, "end"), {(1,): ("", "", "kWh")}),
        (
            "date,register_kwh,power_w",
            "time number number",
            (0, None, None, ""),
            {(1,): ("", "register", "kWh"), (2,): ("", "power", "W")},
        ),
        ("time,kWh,Wh", "time number number", (0, None, None, ""), {(2,): ("", "", "Wh")}),
        ("start,end,power kW", "time time number", (0, None, 1, "start"), {(2,): ("", "power", "kW")}),
        (
            "time,Import T1 kWh,Import T2 kWh,Export T1 kWh,Export T2 kWh",
            "time number number number number",
            (0, None, None, ""),
            {(1, 2): ("import", "", "kWh"), (3, 4): ("export", "", "kWh")},
        ),
        (
            "Date/Time,Energy Produced (Wh),Energy Consumed (Wh),Exported to Grid (Wh),Imported from Grid (Wh)",
            "time number number number number",
            (0, None, None, ""),
            {(3,): ("export", "", "Wh"), (4,): ("import", "", "Wh")},
        ),
    ],
)
def test_roles_follow_from_content_and_names(
    header: str, types: str, times: tuple[object, ...], expected: dict[tuple[int, ...], tuple[str, str, str]]
) -> None:
    found, doubts = roles(header, types)

    assert (found.time, found.clock, found.end, found.edge) == times
    assert figures(found) == expected
    assert doubts == []


def test_what_two_columns_could_be_is_a_doubt() -> None:
    _, (doubt,) = roles("time,Import attic kWh,Import kitchen kWh", "time number number")

    assert doubt.option == "--columns"
    assert doubt.values == ("import_kwh=Import attic kWh", "import_kwh=Import kitchen kWh")


@pytest.mark.parametrize(
    ("header", "types"), [("time,price", "time number"), ("import_kwh,export_kwh", "number number")]
)
def test_a_table_needs_a_time_and_a_figure(header: str, types: str) -> None:
    with pytest.raises(
        ConfigurationError, match="among them; name them with --columns, like time=Date,import_kwh=Elec"
    ):
        roles(header, types)


def test_named_columns_take_precedence_and_may_be_sums() -> None:
    named = named_columns("time=When, import_kwh = Consumption (kWh), all day, export_kwh=A+b")

    assert named == {"time": "When", "import_kwh": "Consumption (kWh), all day", "export_kwh": "A+b"}
    found, _ = roles(
        "kWh,time,WHEN,consumption (kwh) all day,a,b",
        "number time time number number number",
        "time=When,import_kwh=Consumption (kWh) all day,export_kwh=a + b",
    )
    assert found.time == 2
    assert figures(found) == {(3,): ("import", "energy", "kWh"), (4, 5): ("export", "energy", "kWh")}


def test_an_unknown_name_lists_the_columns() -> None:
    with pytest.raises(ConfigurationError, match="the file has the columns 'time', 'kWh', not 'Elec'; name them with"):
        roles("time,kWh", "time number", "time=time,import_kwh=Elec")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Date", "--columns has 'Date'; write it like time=Date,import_kwh=Elec"),
        ("time=", "--columns has 'time='"),
        ("time=a,time=b,import_kwh=c", "--columns has 'time=b'"),
        ("time=a,import_kwh=b,import_wh=c", "--columns names one figure in two units"),
        ("time=a,power_kw=b,power_w=c", "--columns names one figure in two units"),
        ("time=a,import_kwh=b,power_w=c", "--columns names both interval energies and registers or power"),
    ],
)
def test_impossible_columns_are_refused_with_a_remedy(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        named_columns(text)
    assert message in str(error.value)
