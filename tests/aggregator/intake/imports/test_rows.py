"""CSV rows: a bad figure costs one row, absent is never zero, energy is exact."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.readings import MAX_LINE, REASONS
from aggregator.intake.imports.rows import MICRO, FileRow, Layout, layout_of, named_columns, row_of

ENERGY = Layout(",", {"time": 0, "import_kwh": 1, "export_kwh": 2}, 1, is_month_first=False, step_s=1800)
REGISTERS = Layout(
    ";",
    {"time": 0, "import_register_kwh": 1, "export_register_wh": 2, "power_kw": 3},
    1,
    is_month_first=False,
    step_s=60,
)
AT = "2026-02-01T00:00:00Z"


def lines(text: str) -> list[bytes]:
    return text.encode().split(b"\n")


def figures(row: FileRow) -> tuple[int | None, ...]:
    return tuple(row[4:])


def reason(text: str, layout: Layout = ENERGY) -> str:
    with pytest.raises(Refused) as refused:
        row_of(text.encode(), 7, layout)
    assert refused.value.reason in REASONS
    return refused.value.reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_beginning_of_a_file_gives_its_layout(delimiter: str) -> None:
    rows = [("time", "import_kwh"), ("2026-02-01 00:00", "0.1"), ("2026-02-01 00:15", "0.2")]
    layout = layout_of([delimiter.join(row).encode() for row in rows], {})

    assert layout == Layout(delimiter, {"time": 0, "import_kwh": 1}, 1, is_month_first=False, step_s=900)
    assert layout.is_intervals
    assert not layout.is_by_end


def test_lines_before_the_header_are_skipped() -> None:
    layout = layout_of(lines("My meter;;\n\nMPAN;11000;\nDate;Time;kWh\n03/13/2026;00:00;1\n03/13/2026;01:00;1"), {})

    assert (layout.header, layout.is_month_first, layout.step_s) == (4, True, 3600)


def test_end_times_and_instants_are_distinguished() -> None:
    assert layout_of(lines("end,kWh\n2026-02-01,1"), {}).is_by_end
    layout = layout_of(lines("time,power_w\n2026-02-01,1\nnonsense,2\nshort"), {})
    assert (layout.is_intervals, layout.is_by_end, layout.step_s) == (False, False, None)


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a;b;c\n1;2;3", "", "the file has the columns 'a', 'b', 'c'; name them with --columns, like time="),
        ("a,b\n1,2", "time=a,import_kwh=Elec", "the file has the columns 'a', 'b', not 'a' and 'Elec'; name them"),
        (",".join(f"c{number}" for number in range(15)), "", "'c11' and 3 more; name them"),
        ("", "", "the file is empty"),
        ("\n \n", "", "the file is empty"),
    ],
)
def test_an_unknown_layout_is_one_line_with_its_columns(text: str, columns: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        layout_of(lines(text), named_columns(columns) if columns else {})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_utf_16_file_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigurationError, match="save it as UTF-8"):
        layout_of(["time,kWh".encode("utf-16")], {})


def test_a_row_of_an_interval_has_exact_energies() -> None:
    row = row_of(f'"{AT}", "0.0631", 0'.encode(), 7, ENERGY)

    assert row.time == int(datetime.fromisoformat(AT).timestamp())
    assert (row.line, figures(row)) == (7, (63_100_000, 0, None, None, None))


def test_a_row_of_an_instant_has_registers_and_power() -> None:
    row = row_of(f"{AT};4120,317;12004;-0,612".encode(), 2, REGISTERS)

    assert figures(row) == (None, None, 4_120_317, 12_004, -612)


@pytest.mark.parametrize("absent", ["", "NA", "n/a", "?", "-", "null", "NaN"])
def test_an_absent_figure_is_not_zero(absent: str) -> None:
    assert figures(row_of(f"{AT},{absent},0.5".encode(), 2, ENERGY))[:2] == (None, 500 * MICRO)
    assert reason(f"{AT},{absent},{absent}") == "no_values"


def test_sentinel_figures_are_absent() -> None:
    assert figures(row_of(f"{AT};1;281474976710655;-8388,608".encode(), 2, REGISTERS)) == (None, None, 1000, None, None)


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        ("yesterday,1,1", ENERGY, "bad_time"),
        (f"{AT},one,1", ENERGY, "not_a_number"),
        (f"{AT},1e999,1", ENERGY, "not_a_number"),
        (f"{AT},{'9' * 500},1", ENERGY, "not_a_number"),
        (f'{AT},"0,5",1', ENERGY, "not_a_number"),
        (f"{AT},-0.001,1", ENERGY, "out_of_range"),
        (f"{AT},1e12,1", ENERGY, "out_of_range"),
        (f"{AT},1", ENERGY, "bad_row"),
        (f'{AT},"1', ENERGY, "bad_row"),
        (f"{AT};-1;1;1", REGISTERS, "negative_register"),
        (f"{AT};1e10;1;1", REGISTERS, "out_of_range"),
        (f"{AT};1;1;1e5", REGISTERS, "out_of_range"),
        ("x" * (MAX_LINE + 1), ENERGY, "line_too_long"),
    ],
)
def test_an_unusable_row_is_refused_by_name(text: str, layout: Layout, expected: str) -> None:
    assert reason(text, layout) == expected


def test_windows_1252_text_is_decoded() -> None:
    header = "Zeit;Verbrauch;Zähler".encode("cp1252")
    assert layout_of([header, b"2026-02-01;1,5;x"], named_columns("time=Zeit,import_kwh=Zähler"))


@given(st.binary(max_size=200), st.sampled_from([ENERGY, REGISTERS]))
def test_any_line_gives_a_row_or_a_named_refusal(line: bytes, layout: Layout) -> None:
    named = ""
    try:
        row_of(line, 1, layout)
    except Refused as refused:
        named = refused.reason
    assert named in {"", *REASONS}


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_any_file_beginning_gives_a_layout_or_configuration_error(beginning: list[bytes]) -> None:
    said = ""
    try:
        layout_of(beginning, {})
    except ConfigurationError as error:
        said = str(error)
    assert "\n" not in said


@given(st.decimals(min_value=0, max_value=10_000, places=9))
def test_an_energy_is_exact_to_a_thousandth_of_a_mwh(kwh: Decimal) -> None:
    row = row_of(f"{AT},{kwh},".encode(), 1, ENERGY)

    assert row.import_uwh is not None
    assert Decimal(row.import_uwh) / (1000 * MICRO) == kwh
