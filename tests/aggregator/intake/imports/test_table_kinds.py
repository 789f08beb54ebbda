"""Kinds of tables that real providers write: what stands above, beside and below the figures says what they are."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports.understanding import Energy
from tests.aggregator.intake.imports.files import understood
from tests.aggregator.intake.imports.test_providers import workbook
from tests.aggregator.intake.imports.test_variations import HOURS, WH, asked, rows, total

GIVEN = [place * 53 % 91 for place in range(96)]
BOTH = (sum(WH), sum(GIVEN))
TIMES = [f"{at:%Y-%m-%d %H:%M}" for at in HOURS]


def table(header: str, line: str) -> str:
    """A row an hour: `{t}` its time, `{u}` and `{g}` what the home uses and gives, Wh; `{a}` and `{b}` add up to `{u}`.

    `{r}` is a register. Of two tariffs, `{x}` and `{y}`, the energy is in the one of the hour, and the other is blank.
    """
    found = [header]
    for k, (t, u, g) in enumerate(zip(TIMES, WH, GIVEN, strict=True)):
        x, y = (u, "") if k % 24 < 12 else ("", u)
        found.append(line.format(t=t, u=u, g=g, n=u - g, a=u // 3, b=u - u // 3, x=x, y=y, r=10_000 + 7 * k))
    return "\n".join(found)


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Time;HP;HC;Export Wh", "{t};{a};{b};{g}"),
        ("Time;Energy (Wh);Export (Wh)", "{t};{u};{g}"),
        ("Time;afname dal Wh;afname normaal Wh;invoeding Wh;afname minus invoeding Wh totaal", "{t};{a};{b};{g};{n}"),
        (";Strom [Wh];;Gas [m3];Einspeisung [Wh]\nTime;Verbrauch HT;Verbrauch NT;Verbrauch;", "{t};{a};{b};7;{g}"),
        ("Time;Vom Netz bezogen;Ins Netz eingespeist\n[dd.MM.yyyy HH:mm];[Wh];[Wh]", "{t};{u};{g}"),
        ("Type;Start;Import (Wh);Export (Wh)", "Electric usage;{t};{u};{g}"),
        ("Time;Bezug HT (Wh);Bezug NT (Wh);Rücklieferung (Wh)", "{t};{x};{y};{g}"),
    ],
)
def test_every_figure_of_the_grid_counts_once(header: str, line: str) -> None:
    assert total(understood(table(header, line))) == BOTH


@pytest.mark.parametrize(
    ("header", "line", "option"),
    [
        ("Time;Usage (Wh);Usage (Wh)", "{t};{u};{a}", "--columns"),
        ("Time;Import (Wh);Zorkmid (Wh)", "{t};{u};{g}", "--columns"),
        ("Time;Import (Wh);Net (Wh)", "{t};{u};{n}", "--columns"),
        ("Time;Circuit;Wh", "{t};Total usage;{u}\n{t};Dryer;{a}", "--where"),
        ("Time;Con/Gen;Wh", "{t};Consumption;{u}\n{t};Generation;{g}", "--where"),
        ("Start UTC;Usage;Unit", "{t};0.5;m3", "--device"),
        ("Time;Import (kWh);Export reading (kWh)", "{t};{u};{g}", "--columns"),
        ("Time;Import register (kWh);Export (kWh)", "{t};{r};{g}", "--columns"),
        ("Time;Energy received (Wh)", "{t};{u}", "--direction"),
        (";Data export;Home\nTime;Energy (Wh);Cost", "{t};{u};1", "--direction"),
        ("Report;Energy data export\nTime;Energy (Wh)", "{t};{u}", "--direction"),
        ("Time;Type;Wh", "{t};Received;{u}", "--columns"),
        ("Time;Import (Wh);Part", "{t};{u};Export 1", "--columns"),
        ("Time;Import (Wh);Export (Wh);Note", "{t};{u};{g};export price", "--columns"),
        ("Time;Energy (Wh);Unit", "{t};{u};kWh", "--columns"),
    ],
)
def test_a_figure_that_may_be_more_than_one_thing_is_asked_about(header: str, line: str, option: str) -> None:
    assert asked(understood(table(header, line), edge="start"))[:1] == [option]


def test_generation_that_is_named_export_is_taken() -> None:
    text = table("Time;Con/Gen;Wh", "{t};Consumption;{u}\n{t};Generation;{g}")
    assert total(understood(text, where=("Con/Gen=Generation",), direction="export")) == (0, sum(GIVEN))


def test_a_time_of_two_times_is_an_interval_and_a_second_table_is_refused() -> None:
    pairs = [f"{at:%Y-%m-%d %H:%M:%S} to {at + timedelta(hours=1):%Y-%m-%d %H:%M:%S}" for at in HOURS]
    parts = ["Usage information,,"]
    for way, figures in (("Delivered", WH), ("Received", GIVEN)):
        parts.append(f"Energy {way} time period,Usage {way} (Real energy in kilowatt-hours),Reading quality")
        parts += [f"{pair},{wh / 1000}," for pair, wh in zip(pairs, figures, strict=True)] + [",,"]
    assert total(understood("\n".join(parts[:98]))) == (sum(WH), 0)
    with pytest.raises(ConfigurationError, match="line 100 begins another table"):
        understood("\n".join(parts))


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ("Time;Import (Wh);Export (Wh);Note", 0),
        ("Notice;;;Grid export disabled for maintenance", 1),
        ("Info;Gas meter replaced;;", 1),
        ("export;paused;paused;maintenance", 1),
        ("Contract changed;feed-in 8 ct;;", 1),
    ],
)
def test_a_row_of_text_says_nothing_of_the_rows_below(row: str, refused: int) -> None:
    lines = table("Time;Import (Wh);Export (Wh);Note", "{t};{u};{g};").split("\n")
    found = understood("\n".join([*lines[:49], row, *lines[49:]]))
    assert (total(found), sum(dict(found.reasons).values())) == (BOTH, refused)


def test_a_blank_last_column_may_be_left_out() -> None:
    lines = table("Time;Import (Wh);Note", "{t};{u};estimated").split("\n")
    lines[4::2] = [line.rpartition(";")[0] for line in lines[4::2]]
    assert total(understood("\n".join(lines))) == (sum(WH), 0)


def test_seconds_of_other_times_than_the_rows_are_asked_about() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M};{int(at.timestamp()) + 25_513};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    assert asked(understood("\n".join(["Time;Uploaded;Import (Wh)", *lines]), edge="start")) == ["--columns"]


@pytest.mark.parametrize(("text", "found"), [("Export", BOTH), ("Gas", (sum(WH), 0))])
def test_a_text_that_comes_late_in_a_file_counts_from_there_on(text: str, found: tuple[int, int]) -> None:
    """The first 2,400 rows are of electricity."""
    at = [HOURS[0] - timedelta(days=200) + timedelta(hours=k) for k in range(2400)]
    parts = [f"{one:%Y-%m-%dT%H:%M}Z,{WH[k % 96]},Elektriciteit" for k, one in enumerate(at)]
    parts += [f"{one:%Y-%m-%dT%H:%M}Z,{GIVEN[k % 96]},{text}" for k, one in enumerate(at)]
    used, given = total(understood("\n".join(["Datum,Wh,Type", *parts]), edge="start"))
    assert (used, given) == (found[0] * 25, found[1] * 25)


@pytest.mark.parametrize("text", ["export limited", "gas boiler off", "solar maintenance", "1 kWh"])
@pytest.mark.parametrize("name", ["Import (Wh)", "Usage (Wh)"])
def test_a_note_that_comes_late_is_asked_about(name: str, text: str) -> None:
    at = [HOURS[0] - timedelta(days=200) + timedelta(hours=k) for k in range(2400)]
    parts = [f"{one:%Y-%m-%dT%H:%M}Z,{WH[k % 96]},{'ok' if k < 2300 else text}" for k, one in enumerate(at)]
    content = "\n".join([f"Time,{name},Status", *parts])
    (doubt,) = understood(content, edge="start").doubts
    assert total(understood(content, edge="start", columns=doubt.values[0])) == (sum(WH) * 25, 0)


def test_a_long_file_from_midnight_to_midnight_is_asked_about() -> None:
    at = [HOURS[0] - timedelta(days=100) + timedelta(hours=k) for k in range(2401)]
    parts = [f"{one:%Y-%m-%d %H:%M};{WH[k % 96]}" for k, one in enumerate(at)]
    assert asked(understood("\n".join(["Time;Import (Wh)", *parts]))) == ["--time"]
    assert asked(understood("\n".join(["Time;Import (Wh)", *parts[:-1]]))) == []


def test_a_year_at_the_end_does_not_make_the_unit_that_of_a_year() -> None:
    days = [f"{datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=k):%Y-%m-%d}" for k in range(366)]
    parts = [f"{one};{other};{9 + k % 7},12300" for k, (one, other) in enumerate(pairwise(days))]
    found = understood("\n".join(["From;To;Verbruik", *parts, f"{days[0]};2026-01-01;4.423,89500"]))
    assert (found.doubts, found.brakes, dict(found.reasons)) == ((), (), {"bad_interval": 1})
    assert (found.largest or ("", Energy()))[1].import_wh == 15_123


def test_the_instants_beside_local_times_are_taken() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M:%S};{int(at.timestamp())};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    found = understood("\n".join(["Time;Unix;Import (Wh)", *lines]), "Europe/London", edge="start")
    assert total(found) == (sum(WH), 0)
    assert found.start == int(HOURS[0].timestamp())


def test_a_site_of_solaredge_is_asked_for_its_direction() -> None:
    values = [
        {"date": f"{at:%Y-%m-%d %H:%M:%S} CEST+0200", "value": float(wh)} for at, wh in zip(HOURS, WH, strict=True)
    ]
    text = json.dumps({"energy": {"timeUnit": "QUARTER_OF_AN_HOUR", "unit": "Wh", "values": values}})
    assert asked(understood(text, edge="start")) == ["--direction"]
    assert total(understood(text, direction="export", edge="start")) == (0, sum(WH))


def test_a_meter_at_rest_is_asked_about() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M},132.123,{0.15 + k / 100:.3f}" for k, at in enumerate(HOURS)]
    assert total(understood("\n".join(["time,Import kWh,Export kWh", *lines]), figure_kind="register")) == (0, 950)
    assert asked(understood("\n".join(["time,Import kWh,Export kWh", *lines])))[0] == "--kind"


def test_reads_of_a_meter_every_few_months_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="NEM13 has a read of a meter every few months"):
        understood("100,NEM13,202605011200,MDP1,Retail\n250,1234567890,1141,01,11,11,MET1,E,000021.2,20260101\n900\n")


def test_a_unit_may_be_written_to_the_name() -> None:
    lines = [f"{line};1" for line in rows("%Y-%m-%d %H:%M")]
    assert total(understood("\n".join(["Time;consumptionKWh;contractedKVA", *lines]))) == (sum(WH), 0)


@pytest.mark.parametrize(
    "header",
    [
        "Startdatum;Enddatum;Wert kWh",
        "Beginn der Messreihe;Ende der Messreihe;Messwert in kWh",
        "Datum und Uhrzeit;Enduhrzeit;Lastgänge (306,499 kWh)",
        "Datum von;Datum bis;Restverbrauch (kWh)",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16-le"])
def test_a_day_of_a_grid_company_is_taken(header: str, encoding: str) -> None:
    """Its dates have points and its figures commas: the day is first."""
    spans = [(at, at + timedelta(hours=1), wh) for at, wh in zip(HOURS[:24], WH, strict=False)]
    lines = [f"{at:%d.%m.%Y %H:%M};{end:%d.%m.%Y %H:%M};0,{wh:03}" for at, end, wh in spans]
    assert total(understood("\n".join(["Zählpunkt;AT001", header, *lines]).encode(encoding))) == (sum(WH[:24]), 0)


def test_a_month_that_is_named_needs_no_order() -> None:
    at = [HOURS[0] - timedelta(days=100) + timedelta(hours=k) for k in range(2400)]
    parts = [f"{one:%d/%b/%Y %H:%M},{WH[k % 96]}" for k, one in enumerate(at)]
    assert total(understood("\n".join(["Time,Import (Wh)", *parts]))) == (sum(WH) * 25, 0)


def test_rows_without_a_figure_may_come_first() -> None:
    at = [HOURS[0] - timedelta(days=100) + timedelta(hours=k) for k in range(2400)]
    parts = [f"{one:%d.%m.%Y;%H:%M};{one + timedelta(hours=1):%H:%M};" for one in at]
    parts += [f"{one:%d.%m.%Y;%H:%M};{one + timedelta(hours=1):%H:%M};{wh}" for one, wh in zip(HOURS, WH, strict=True)]
    found = understood("\n".join(["Datum;Zeit von;Zeit bis;Verbrauch [Wh]", *parts]))
    assert (total(found), dict(found.reasons)) == ((sum(WH), 0), {"no_values": 2400})


def test_what_was_asked_of_the_portal_is_no_table() -> None:
    before = ["Meter;Code;Exportiere ab;Exportiere bis", "AT001;1.9.0;12.05.2026;16.05.2026"]
    assert total(understood("\n".join([*before, table("Start;Zeit;Verbrauch (Wh);Status", "{t};;{u};ok")]))) == (
        sum(WH),
        0,
    )
    alone = ["AT001;;", "Wirkenergie;;", "Wh;;"]
    assert total(understood("\n".join([*alone, table("TIME;VALUE", "{t};{u}")]))) == (sum(WH), 0)


def test_a_delivery_is_asked_for_its_direction() -> None:
    assert asked(understood(table("Time;Code;Verbrauch (Wh)", "{t};Lastprofil Lieferung;{u}"))) == ["--columns"]
    assert total(understood(table("Time;Bezug (Wh);Lieferung (Wh)", "{t};{u};{g}"))) == BOTH


def test_the_number_of_an_interval_is_no_figure() -> None:
    lines = [f"{at:%Y-%m-%d};{at.hour + 1};{at:%H:%M};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    assert total(understood("\n".join(["Date;Interval;Start Time;Value Wh", *lines]))) == (sum(WH), 0)


def test_two_times_may_stand_in_one_cell_of_a_sheet() -> None:
    times = [f"{at:%d.%m.%Y %H:%M} - {at + timedelta(hours=1):%d.%m.%Y %H:%M}" for at in HOURS]
    rows_of = [("Datum", "Verbrauch (Wh)"), *zip(times, map(str, WH), strict=True)]
    assert total(understood(workbook(rows_of))) == (sum(WH), 0)


@pytest.mark.parametrize(("zero", "brakes"), [("0", []), ("51", ["clock"])])
def test_zeros_in_the_skipped_hour_are_of_a_local_clock(zero: str, brakes: list[str]) -> None:
    """A portal writes 24 hours of each day; with energy in that hour the clock is another one."""
    first = datetime(2026, 3, 20, tzinfo=UTC)
    at = [first + timedelta(hours=k) for k in range(24 * 20)]
    parts = [f"{one:%Y-%m-%d %H:%M},{zero if (one.day, one.hour) == (29, 2) else 300}" for one in at]
    found = understood("\n".join(["Time,Import (Wh)", *parts]), "Europe/Berlin")
    assert [one.name for one in found.brakes] == brakes
    assert dict(found.reasons) == {"no_such_time" if brakes else "no_values": 1}


@pytest.mark.parametrize(
    "name",
    [
        "Netzeinspeisung",
        "PV-Einspeisung",
        "A-",
        "-A",
        "Wirkenergie A-",
        "Terug geleverd",
        "Levering til net",
        "Produktion till nät",
        "To the grid",
        "Injeção na rede",
        "Excess solar",
        "Salg",
    ],
)
@pytest.mark.parametrize("unit", ["Wh", "W"])
def test_what_goes_to_the_grid_is_export_alone_and_beside_the_import(name: str, unit: str) -> None:
    beside = table(f"Time;Netzbezug ({unit});{name} ({unit})", "{t};{u};{g}")
    assert total(understood(beside)) == BOTH
    if name != "Excess solar":  # asked about, as panels made it
        assert total(understood(table(f"Time;{name} ({unit})", "{t};{g}"))) == (0, sum(GIVEN))


@pytest.mark.parametrize("name", ["A+", "+A", "Strombezug", "Fra nettet", "Kjøp", "From the grid"])
def test_what_comes_from_the_grid_is_import(name: str) -> None:
    assert total(understood(table(f"Time;{name} (Wh);A- (Wh)", "{t};{u};{g}"))) == BOTH


def test_a_power_whose_direction_no_word_tells_is_asked_about() -> None:
    found = understood(table("Time;Netzbezug (W);Zorkmid (W)", "{t};{u};{g}"))
    assert asked(found) == ["--columns"]
    assert found.doubts[0].values[1] == "import_power_w=Netzbezug (W),export_power_w=Zorkmid (W)"


def test_hours_in_utc_from_a_local_midnight_are_by_their_start() -> None:
    lines = [f"{at - timedelta(hours=1):%Y-%m-%d %H:%M},{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    assert total(understood("\n".join(["Time (UTC),Import (Wh)", *lines]), "Europe/London")) == (sum(WH), 0)
