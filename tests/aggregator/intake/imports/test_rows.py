"""Rows: a bad figure costs itself, a bad row is refused by name, absent is never zero, energy is exact."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.readings import MAX_LINE, REASONS
from aggregator.intake.imports.rows import MICRO, FileRow, Layout, RowReader
from aggregator.intake.imports.vocabulary import Figure, Roles
from aggregator.intake.tables.notation import read_figure
from aggregator.intake.tables.text_tables import cells, encoding_of

_TWO = Roles(
    0,
    None,
    None,
    None,
    "start",
    0,
    (Figure((1,), "import", "energy", "kWh", "i"), Figure((2,), "export", "energy", "kWh", "x")),
    (),
    (),
)
ENERGY = Layout(_TWO)
REGISTERS = Layout(
    _TWO._replace(
        figures=(
            Figure((1,), "import", "register", "kWh", "i"),
            Figure((2,), "export", "register", "Wh", "x"),
            Figure((3,), "net", "power", "kW", "p"),
        )
    ),
    kind="register",
    is_instant=True,
    decimal=",",
)
AT = "2026-02-01T00:00:00Z"


def row_of(text: str, layout: Layout = ENERGY) -> FileRow:
    found = RowReader(layout).row_of((7, text, cells(text, "," if layout is ENERGY else ";")))
    assert found is not None
    return found


def figures(row: FileRow) -> tuple[int | None, ...]:
    return row.imported, row.exported, row.power_w


def reason(text: str, layout: Layout = ENERGY) -> str:
    try:
        found = row_of(text, layout)
        assert not found.has_values
        assert found.bad is not None
        refused = found.bad
    except Refused as why:
        refused = why
    assert refused.reason in REASONS
    return refused.reason


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Datum;Zählerstand (kWh)\n", "cp1252"),
        ("Date de relevé;Énergie soutirée (kWh)\n", "cp1252"),
        ("Datum;Spotřeba (kWh);Měřidlo číslo\n", "cp1250"),
        ("Дата;Потребление (кВтч)\n", "cp1251"),
        ("Datum;Zählerstand (kWh);Gerät für Küche\n", "cp850"),
        ("日時;使用電力量(kWh)\n", "cp932"),
    ],
)
def test_few_letters_above_many_figures_tell_the_encoding(text: str, encoding: str) -> None:
    content = (text + "01.09.2026;12000,5\n" * 300).encode(encoding)

    assert content.decode(encoding_of(content)).startswith(text)


def test_a_row_of_an_interval_has_exact_energies() -> None:
    row = row_of(f'"{AT}", "0.0631", 0')

    assert row.time == int(datetime.fromisoformat(AT).timestamp())
    assert (row.line, figures(row)) == (7, (63_100_000, 0, None))


def test_a_row_of_an_instant_has_registers_and_power() -> None:
    assert figures(row_of(f"{AT};4120,317;12004;-0,612", REGISTERS)) == (4_120_317, 12_004, -612)


@pytest.mark.parametrize("absent", ["", "NA", "n/a", "?", "-", "null", "NaN", "unavailable"])
def test_an_absent_figure_is_not_zero(absent: str) -> None:
    assert figures(row_of(f"{AT},{absent},0.5"))[:2] == (None, 500 * MICRO)
    assert reason(f"{AT},{absent},{absent}") == "no_values"


def test_a_bad_figure_costs_only_itself() -> None:
    row = row_of(f"{AT},one,0.5")

    assert figures(row)[:2] == (None, 500 * MICRO)
    assert row.bad is not None
    assert (row.bad.reason, row.bad.detail) == ("not_a_number", "a figure is 'one'")


def test_a_negative_export_is_an_export() -> None:
    assert figures(row_of(f"{AT},1,-0.5"))[:2] == (1000 * MICRO, 500 * MICRO)


@pytest.mark.parametrize(("text", "kwh"), [("1,234.5", "1234.5"), ("12 345.0", "12345"), ("1'000.5", "1000.5")])
def test_thousands_may_be_separated(text: str, kwh: str) -> None:
    assert read_figure(text, ".") == Decimal(kwh)
    assert read_figure("1.234,5", ",") == Decimal("1234.5")
    assert read_figure("1.234", ",") == Decimal(1234)


@pytest.mark.parametrize("text", ["0.123", "12.5", "1.23"])
def test_a_point_is_no_decimal_sign_where_the_comma_is_one(text: str) -> None:
    with pytest.raises(Refused):
        read_figure(text, ",")


def test_sentinel_figures_are_absent() -> None:
    assert figures(row_of(f"{AT};1;281474976710655;-8388,608", REGISTERS)) == (1000, None, None)


@pytest.mark.parametrize(
    ("text", "layout", "expected"),
    [
        ("yesterday,1,1", ENERGY, "bad_time"),
        (f"{AT},one,two", ENERGY, "not_a_number"),
        (f"{AT},1e999,", ENERGY, "not_a_number"),
        (f"{AT},{'9' * 500},", ENERGY, "not_a_number"),
        (f'{AT},"0,5",', ENERGY, "not_a_number"),
        (f"{AT},-0.001,", ENERGY, "out_of_range"),
        (f"{AT},1e12,", ENERGY, "out_of_range"),
        (f"{AT},1", ENERGY, "bad_row"),
        (f'{AT},"1', ENERGY, "bad_row"),
        (f"{AT};-1;;", REGISTERS, "negative_register"),
        (f"{AT};1e10;;", REGISTERS, "out_of_range"),
        (f"{AT};;;1e5", REGISTERS, "out_of_range"),
        ("x" * (MAX_LINE + 1), ENERGY, "line_too_long"),
    ],
)
def test_an_unusable_row_is_refused_by_name(text: str, layout: Layout, expected: str) -> None:
    assert reason(text, layout) == expected


@given(st.text(max_size=200), st.sampled_from([ENERGY, REGISTERS]))
def test_any_line_gives_a_row_or_a_named_refusal(line: str, layout: Layout) -> None:
    named = ""
    try:
        row_of(line, layout)
    except Refused as refused:
        named = refused.reason
    assert named in {"", *REASONS}


@given(st.decimals(min_value=0, max_value=10_000, places=9))
def test_an_energy_is_exact_to_a_thousandth_of_a_mwh(kwh: Decimal) -> None:
    row = row_of(f"{AT},{kwh},")

    assert row.imported is not None
    assert Decimal(row.imported) / (1000 * MICRO) == kwh
