"""Files as the world varies them: each is right, asked about or refused by name; none is silently wrong."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from aggregator.core.errors import ConfigurationError
from aggregator.intake.imports.understanding import Understanding
from tests.aggregator.intake.imports.files import understood
from tests.bench.imports import outcome
from tests.bench.imports_made import made

FIRST = datetime(2026, 5, 12, tzinfo=UTC)
HOURS = [FIRST + timedelta(hours=place) for place in range(96)]
WH = [200 + place * 37 % 300 for place in range(96)]


def total(found: Understanding) -> tuple[int, int]:
    """Import and export, where the file is certain."""
    assert (found.doubts, found.brakes) == ((), ())
    energies = [energy for _, energy in found.months]
    return sum(one.import_wh or 0 for one in energies), sum(one.export_wh or 0 for one in energies)


def asked(found: Understanding) -> list[str]:
    return [one.option for one in found.doubts]


def rows(form: str) -> list[str]:
    return [f"{at:{form}};{wh / 1000:.3f}".replace(";0.", ";0,") for at, wh in zip(HOURS, WH, strict=True)]


@pytest.mark.parametrize("number", range(30))
def test_a_file_at_random_is_never_silently_wrong(number: int) -> None:
    assert not outcome(made(Random(number))).startswith("SILENTLY")


@pytest.mark.parametrize("header", ["Year;Month;Day;Hour;Minute;kWh", "Jahr;Monat;Tag;Stunde;Minute;Bezug kWh"])
def test_a_time_may_be_spread_over_columns(header: str) -> None:
    lines = [f"{at.year};{at.month};{at.day};{at.hour};0;{wh / 1000}" for at, wh in zip(HOURS, WH, strict=True)]
    assert total(understood("\n".join([header, *lines]), edge="start")) == (sum(WH), 0)


@pytest.mark.parametrize("clock", ["%H%M", "%H.%M"])
def test_a_clock_may_have_no_colon(clock: str) -> None:
    lines = rows(f"%Y%m%d;{clock}")
    if "." in clock:
        lines = [f"{at:%Y%m%d;%H.%M};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    unit = "Wh" if "." in clock else "kWh"
    assert total(understood("\n".join([f"Date;Start Time;Import ({unit})", *lines]))) == (sum(WH), 0)


@pytest.mark.parametrize(
    ("header", "more"),
    [(["Time;Import", ";kWh"], []), (["Time;Import kWh"], ["Total;1234,5"]), (["Time;Import kWh"], ["", "a note"])],
)
def test_units_below_the_header_and_sums_at_the_end_are_no_rows(header: list[str], more: list[str]) -> None:
    assert total(understood("\n".join([*header, *rows("%d.%m.%Y %H:%M"), *more]), edge="start")) == (sum(WH), 0)


def test_an_export_in_another_language_is_an_export() -> None:
    assert total(understood("\n".join(["Von;Eksport (kWh)", *rows("%d.%m.%Y %H:%M")]))) == (0, sum(WH))


def test_a_direction_in_unknown_words_is_asked_for() -> None:
    assert asked(understood("\n".join(["Von;Zurück ins Dorf (kWh)", *rows("%d.%m.%Y %H:%M")]))) == ["--direction"]


def test_hours_that_end_at_their_clock_time_are_not_begun_by_it() -> None:
    ends = [f"{at + timedelta(hours=1):%Y-%m-%d;%H:%M};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    found = understood("\n".join(["Date;Time;Import (Wh)", *ends]))

    assert total(found) == (sum(WH), 0)
    assert found.start == int(FIRST.timestamp())


def test_numbered_hours_that_repeat_one_in_autumn_are_clock_times() -> None:
    """London, 25 October 2026: the hour from 01:00 is there twice, so number 2 ends at 02:00 of either clock."""
    first = datetime(2026, 10, 24, tzinfo=UTC) - timedelta(hours=1)
    labels = [
        f"{day};{hour:02}"
        for day, twice in (("2026-10-24", 0), ("2026-10-25", 2), ("2026-10-26", 0))
        for hour in sorted([*range(1, 25), *([twice] if twice else [])])
    ]
    lines = [f"{label};{200 + place * 37 % 100}" for place, label in enumerate(labels)]
    found = understood("\n".join(["Date;Hour;Import (Wh)", *lines]), "Europe/London")

    assert total(found) == (sum(200 + place * 37 % 100 for place in range(73)), 0)
    assert (found.start, found.end) == (int(first.timestamp()), int(first.timestamp()) + 73 * 3600)


def test_a_row_without_a_figure_still_orders_the_repeated_hour() -> None:
    """The first 01:00 has no figure: the second one must not take its place."""
    lines = [
        f"2026-10-25 {clock};{wh}"
        for clock, wh in (
            ("00:00", 1),
            ("00:30", 2),
            ("01:00", "n/a"),
            ("01:30", 4),
            ("01:00", 5),
            ("01:30", 6),
            ("02:00", 7),
            ("02:30", 8),
        )
    ]
    found = understood("\n".join(["Start;Import (Wh)", *lines]), "Europe/London", allowed=("implausible",))

    assert total(found) == (1 + 2 + 4 + 5 + 6 + 7 + 8, 0)
    assert found.reasons == (("no_values", 1),)


def test_an_autumn_day_of_24_numbered_hours_is_refused_by_name() -> None:
    """London, 25 October 2026 has 25 hours: which of them number 3 is cannot be known."""
    lines = [f"2026-10-{day};{hour};{200 + hour}" for day in (24, 25, 26) for hour in range(1, 25)]
    found = understood(
        "\n".join(["Date;Hour;Import (Wh)", *lines]), "Europe/London", is_zone_named=True, allowed=("refused",)
    )

    assert found.reasons == (("ambiguous_time", 24),)
    assert total(found) == (2 * sum(range(201, 225)), 0)


# What looks wrong


def brakes(found: Understanding) -> list[str]:
    return [one.name for one in found.brakes]


@pytest.mark.parametrize("unit", ["MJ", "therms", "CCF", "J"])
def test_a_unit_of_other_meters_is_refused_by_name(unit: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Usage .{unit}.*--columns"):
        understood("\n".join([f"Time;Usage ({unit})", *rows("%Y-%m-%d %H:%M")]))


def test_an_unknown_unit_is_asked_for() -> None:
    assert "--unit" in asked(understood("\n".join(["Time;Usage (zorkmids)", *rows("%Y-%m-%d %H:%M")])))


def test_gas_is_not_taken_for_electricity() -> None:
    with pytest.raises(ConfigurationError, match="no figure of energy"):
        understood("\n".join(["Time;Gas (kWh)", *rows("%Y-%m-%d %H:%M")]))
    lines = [f"{line};9,9" for line in rows("%Y-%m-%d %H:%M")]
    assert total(understood("\n".join(["Time;Electricity (kWh);Gas (kWh)", *lines]))) == (sum(WH), 0)


def test_two_meters_in_one_file_are_asked_about() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M};{serial};{wh}" for serial in ("A1", "B2") for at, wh in zip(HOURS, WH, strict=True)]
    found = understood("\n".join(["Time;Serial;Import (Wh)", *lines]))

    assert [one.values for one in found.doubts] == [("Serial=A1", "Serial=B2")]


def test_energy_goes_before_a_power_beside_it() -> None:
    lines = [f"{line};{wh * 3 / 1000}" for line, wh in zip(rows("%Y-%m-%d %H:%M"), WH, strict=True)]
    assert total(understood("\n".join(["Time;Energy (kWh);Demand (kW)", *lines]).replace(",", "."))) == (sum(WH), 0)


def test_a_counter_of_the_day_is_no_energy() -> None:
    """It rises all day and begins again at midnight."""
    lines = [f"{at:%Y-%m-%d %H:%M};{at.hour * 300}" for at in HOURS]
    assert brakes(understood("\n".join(["Start;Import (Wh)", *lines]))) == ["register"]


@pytest.mark.parametrize(("form", "days"), [("%U", 60), ("%m", 60), ("%Y", 300)])
def test_a_counter_of_a_week_month_or_year_is_no_energy(form: str, days: int) -> None:
    """Daily rows: 8.0 to 10.8 kWh since the first day of the period."""
    at = [datetime(2026, 1, 4, tzinfo=UTC) + timedelta(days=place) for place in range(days)]
    since = [
        sum(80 + other % 5 * 7 for other in range(k + 1) if f"{at[other]:{form}}" == f"{at[k]:{form}}")
        for k in range(days)
    ]
    lines = [f"{one:%Y-%m-%d},{tenths / 10}" for one, tenths in zip(at, since, strict=True)]
    assert brakes(understood("\n".join(["Date,Import (kWh)", *lines]), figure_kind="energy"))[:1] == ["register"]


def test_a_counter_of_export_beside_energy_is_no_energy() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M};{wh};{at.hour * 300}" for at, wh in zip(HOURS, WH, strict=True)]
    assert brakes(understood("\n".join(["Start;Import (Wh);Export (Wh)", *lines]))) == ["register"]


def test_an_export_beyond_any_homes_is_stopped() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M};{wh};{wh * 100}" for at, wh in zip(HOURS, WH, strict=True)]
    assert brakes(understood("\n".join(["Start;Import (Wh);Export (Wh)", *lines]))) == ["implausible"]


def test_a_file_an_hour_off_all_through_summer_is_stopped() -> None:
    """The home is known; the file writes UTC as if it were the local time of London, an hour behind."""
    stored = {int(at.timestamp()): wh for at, wh in zip(HOURS, WH, strict=True)}
    many = {at + day * 345_600: wh for day in range(3) for at, wh in stored.items()}
    lines = [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M};{wh}" for at, wh in many.items()]
    content = "\n".join(["Start;Import (Wh)", *lines])
    found = understood(content, "Europe/London", usage=lambda *_: many)

    assert [(one.name, one.option) for one in found.brakes] == [("clock", "--timezone, --time, or --allow clock")]
    assert "all through summer the file is 1 h early against what is known" in found.brakes[0].text
    assert brakes(understood(content, "UTC", usage=lambda *_: many)) == []


def statistics(unit: str, *names: str) -> str:
    """Of Home Assistant: 0.3 kWh an hour, a row a name."""
    at = [f"{one:%Y-%m-%dT%H:%M}+00:00" for one in HOURS]
    lines = [f"{name},{unit},{time},{5000 + 3 * k},{3 * k}" for k, time in enumerate(at) for name in names]
    return "\n".join(["statistic_id,unit,start,state,sum", *lines])


def test_the_name_of_a_statistic_tells_its_direction_and_unit() -> None:
    assert total(understood(statistics("kWh", "sensor.grid_export_total"))) == (0, 285_000)
    assert total(understood(statistics("kWh", "sensor.grid_import", "sensor.grid_export"))) == (285_000, 285_000)
    assert total(understood(statistics("MWh", "sensor.p1_import_tariff_1"), allowed=("implausible",)))[0] == 285_000_000


@pytest.mark.parametrize("name", ["sensor.xyz", "sensor.main_meter"])
def test_a_direction_that_a_statistics_name_leaves_open_is_asked_for(name: str) -> None:
    assert asked(understood(statistics("kWh", name))) == ["--direction"]
    assert total(understood(statistics("kWh", name), direction="export")) == (0, 285_000)
    history = [f"{name},{5000 + 3 * k},{at:%Y-%m-%dT%H:%M}+00:00" for k, at in enumerate(HOURS)]
    assert asked(understood("\n".join(["entity_id,state,last_changed", *history]))) == ["--direction"]


def test_a_statistic_of_generation_is_asked_about() -> None:
    assert asked(understood(statistics("kWh", "sensor.solar_production"))) == ["--columns"]


def test_grid_and_home_are_not_added_up() -> None:
    assert asked(understood(statistics("kWh", "sensor.grid_import", "sensor.house_consumption"))) == ["--where"]


def test_rows_of_one_time_in_two_units_are_not_added_up() -> None:
    lines = [f"{at:%Y-%m-%d %H:%M},{unit},import,{n}" for at in HOURS for unit, n in (("kWh", 0.2), ("Wh", 200))]
    assert asked(understood("\n".join(["Start,Unit,Direction,Value", *lines]))) == ["--where"]


def green_button(*flows: str, kind: str = "72") -> str:
    """300 Wh an hour, less 600 in every fourth; a reading type a flow."""
    parts = []
    for number, flow in enumerate(flows):
        link, type_link = f"/espi/UsagePoint/1/MeterReading/{number}", f"/espi/ReadingType/{number}"
        about = f"<flowDirection>{flow}</flowDirection>" if flow else ""
        readings = "".join(
            f"<IntervalReading><timePeriod><duration>3600</duration><start>{int(at.timestamp())}</start></timePeriod>"
            f"<value>{300 - 600 * (k % 4 == 0) * (flow == '4')}</value></IntervalReading>"
            for k, at in enumerate(HOURS)
        )
        parts += [
            f'<entry><link rel="self" href="{link}"/><link rel="related" href="{type_link}"/>'
            "<content><MeterReading/></content></entry>",
            f'<entry><link rel="self" href="{link}/IntervalBlock/1"/>'
            f"<content><IntervalBlock>{readings}</IntervalBlock></content></entry>",
            f'<entry><link rel="self" href="{type_link}"/><content><ReadingType>{about}<uom>{kind}</uom></ReadingType>'
            "</content></entry>",
        ]
    return f'<feed xmlns="http://www.w3.org/2005/Atom">{"".join(parts)}</feed>'


def test_the_flow_of_green_button_tells_the_direction() -> None:
    assert total(understood(green_button("1", "19"))) == (28_800, 28_800)
    assert total(understood(green_button("4"))) == (72 * 300, 24 * 300)


@pytest.mark.parametrize("flow", ["", "2", "20"])
def test_another_flow_of_green_button_is_asked_about(flow: str) -> None:
    assert asked(understood(green_button(flow))) == ["--direction"]
    assert total(understood(green_button(flow), direction="import")) == (28_800, 0)


def test_reactive_energy_of_green_button_is_not_taken() -> None:
    assert asked(understood(green_button("1", kind="73"))) == ["--columns"]


def test_a_blank_tariff_beside_a_value_counts_as_refused() -> None:
    """The other half of the file is not taken in silence."""
    lines = [f"{at:%Y-%m-%d %H:%M};0.3;{'' if k < 48 else '0.2'}" for k, at in enumerate(HOURS)]
    found = understood("\n".join(["Time;HP kWh;HC kWh", *lines]))
    assert (brakes(found), dict(found.reasons)) == (["refused"], {"not_a_number": 48})
    empty = [f"{at:%Y-%m-%d %H:%M};;" for at in HOURS[:48]]
    assert total(understood("\n".join(["Time;HP kWh;HC kWh", *empty, *lines[48:]]))) == (24_000, 0)


def test_a_file_from_midnight_to_midnight_is_asked_about() -> None:
    """Its rows may be of the hours before or after their times."""
    lines = [f"{at:%Y-%m-%d %H:%M};{wh}" for at, wh in zip(HOURS, WH, strict=True)]
    assert total(understood("\n".join(["Time;Import (Wh)", *lines]))) == (sum(WH), 0)
    more = [*lines, f"{HOURS[-1] + timedelta(hours=1):%Y-%m-%d %H:%M};250"]
    assert asked(understood("\n".join(["Time;Import (Wh)", *more]))) == ["--time"]


def test_consumption_beside_generation_is_asked_about() -> None:
    """A home with panels uses more than it imports."""
    lines = [
        f"{at:%Y-%m-%d %H:%M},{wh},{k % 24 * 9},{k * 5 % 7}" for k, (at, wh) in enumerate(zip(HOURS, WH, strict=True))
    ]
    text = "\n".join(["Time,Consumption (Wh),Production (Wh),Exported (Wh)", *lines])
    assert asked(understood(text)) == ["--columns"]
    answer = understood(text).doubts[0].values[0]
    assert total(understood(text, columns=answer)) == (sum(WH), sum(k * 5 % 7 for k in range(96)))
