"""Files that went wrong once: each gives its right value, or asks the question that decides. Values summed by hand."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aggregator.core import periods
from aggregator.core.documents import Part
from aggregator.core.errors import ConfigurationError
from aggregator.store import Store, open_store
from tests.aggregator.intake.imports.files import Option, bring, understood

DAY = datetime(2026, 11, 2)  # noqa: DTZ001 - local
Q = range(96)
HALF_HOURS = [DAY + timedelta(minutes=30 * place) for place in range(48)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/cases.db")) as opened:
        yield opened


def days(store: Store) -> dict[str, Part]:
    found = store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY)
    return {one.period: one.total for one in found}


def imports(store: Store) -> dict[str, int | None]:
    return {day: part.import_wh for day, part in days(store).items()}


def taken(store: Store, lines: list[str], zone: str = "Europe/London", columns: str = "", **options: Option) -> None:
    report = bring(store, "\n".join(lines), zone, columns, allowed=(), **options)
    assert report.rejected == 0


def test_a_load_curve_in_watts_ends_at_its_times(store: Store) -> None:
    """The mean of 400 to 870 W of 48 half hours: sum of 400 + 10 k, halved, is 15,240 Wh a day."""
    first = DAY + timedelta(minutes=30)
    rows = [f"{(first + timedelta(minutes=30 * k)).isoformat()}+01:00;{400 + 10 * (k % 48)}" for k in range(96)]
    taken(store, ["Horodate;Valeur", *rows], "Europe/Paris")

    assert imports(store) == {"2026-11-02": 15_240, "2026-11-03": 15_240}


def test_a_column_named_utc_is_of_utc(store: Store) -> None:
    start = datetime(2026, 7, 1)  # noqa: DTZ001 - local
    rows = [f"{start + timedelta(minutes=30 * k):%Y-%m-%d %H:%M},{0.1 + k * 29 % 48 / 1000:.3f}" for k in range(48)]
    taken(store, ["UTC time,kWh", *rows])

    assert sum(wh or 0 for wh in imports(store).values()) == 5_928
    assert imports(store)["2026-07-02"] == 100 + 38 + 100 + 19  # 46 and 47 times 29, modulo 48


def test_the_order_of_the_date_follows_from_contiguous_rows(store: Store) -> None:
    """0.10 to 0.195 kWh in 96 quarters is 14.16 kWh, on twelve days of May."""
    rows = [
        f"05/{day:02}/2026 {q // 4:02}:{q % 4 * 15:02},{0.1 + q / 1000:.3f}" for day in range(1, 13) for q in range(96)
    ]
    found = understood("\n".join(["Time,kWh", *rows]), "America/Chicago")

    assert ("dates", "month-first") in [one[:2] for one in found.choices]
    taken(store, ["Time,kWh", *rows], "America/Chicago")
    assert imports(store) == {f"2026-05-{day:02}": 14_160 for day in range(1, 13)}


def test_rows_of_hours_and_quarters_are_mixed(store: Store) -> None:
    hours = [f"2026-11-02 {hour:02}:00;1,0" for hour in range(10)]
    quarters = [f"2026-11-02 {10 + q // 4:02}:{q % 4 * 15:02};0,25" for q in range(8)]
    taken(store, ["start;kWh", *hours, *quarters])

    assert (days(store)["2026-11-02"].import_wh, days(store)["2026-11-02"].interval_s) == (12_000, 12 * 3600)


def octopus(base: float) -> list[str]:
    rows = [
        f"{base + k * 29 % 48 / 1000:.3f}, {at.isoformat()}+00:00, {(at + timedelta(minutes=30)).isoformat()}+00:00"
        for k, at in enumerate(HALF_HOURS)
    ]
    return ["Consumption (kWh), Start, End", *rows]


@pytest.mark.parametrize("order", [("", "export"), ("export", "")])
def test_an_export_file_may_look_like_consumption(store: Store, order: tuple[str, str]) -> None:
    for direction in order:
        taken(store, octopus(0.05 if direction else 0.2), direction=direction)

    assert (days(store)["2026-11-02"].import_wh, days(store)["2026-11-02"].export_wh) == (10_728, 3_528)


def test_a_register_is_told_by_its_look(store: Store) -> None:
    """23 steps of 0.028 kWh."""
    rows = [f"2026-11-02 {k // 4:02}:{k % 4 * 15:02},{1.529 + 0.028 * k:.3f},0.000" for k in range(24)]
    taken(store, ["time,Import kWh,Export kWh", *rows])

    assert (days(store)["2026-11-02"].import_wh, days(store)["2026-11-02"].export_wh) == (644, 0)


def test_a_unit_is_told_by_the_power_of_a_home(store: Store) -> None:
    """180, 95, 240, 310 by turns, twelve times: 9,900; as kWh it would be 360 kW."""
    rows = [f"{at.isoformat()}Z,{wh}" for at, wh in zip(HALF_HOURS, [180, 95, 240, 310] * 12, strict=True)]
    taken(store, ["timestamp,consumption", *rows])

    assert imports(store) == {"2026-11-02": 9_900}


def test_a_dot_may_separate_hours_and_minutes(store: Store) -> None:
    rows = [f"2026-11-02 {k // 2:02}.{k % 2 * 30:02};0,{5 + k % 3}" for k in range(48)]
    taken(store, ["Fra;kWh", *rows])

    assert (imports(store), days(store)["2026-11-02"].interval_s) == ({"2026-11-02": 28_800}, 86_400)


def test_two_tariffs_are_summed(store: Store) -> None:
    """T1 rises by 0.8 kWh and T2 by 1.4 kWh; the second export by 0.3 kWh."""
    rows = [
        "2026-11-10 06:00,1000.000,2000.000,10.000,20.000",
        "2026-11-10 06:30,1000.400,2000.000,10.000,20.000",
        "2026-11-10 07:00,1000.800,2000.000,10.000,20.000",
        "2026-11-10 07:30,1000.800,2000.700,10.000,20.100",
        "2026-11-10 08:00,1000.800,2001.400,10.000,20.300",
    ]
    taken(store, ["time,Import T1 kWh,Import T2 kWh,Export T1 kWh,Export T2 kWh", *rows])

    total = days(store)["2026-11-10"]
    assert (total.import_wh, total.export_wh, total.estimated_wh) == (2_200, 300, 0)


def test_a_preamble_and_a_clock_of_its_own(store: Store) -> None:
    rows = [f"2026-11-02,{at:%H:%M},0.5" for at in HALF_HOURS]
    taken(store, ["Account,123", "Address,made up", "", "Usage Date,Start Time,kWh", *rows])

    assert imports(store) == {"2026-11-02": 24_000}


def test_hours_are_numbered_to_25_in_autumn(store: Store) -> None:
    """101 to 125 Wh in any order: 2,825 Wh; the fourth hour is the second one at 02:00."""
    rows = [f"2026/10/25;{hour:02}:00;0,{101 + hour * 7 % 25}" for hour in range(1, 26)]
    taken(store, ["fecha;hora;consumo_kWh", *rows], "Europe/Madrid")
    (day,) = store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY)

    assert (day.total.import_wh, day.total.interval_s, len(day.parts)) == (2_825, 25 * 3600, 75)
    assert [day.parts[f"h{hour:02}"].import_wh for hour in (0, 2, 3, 24)] == [108, 122, 104, 101]


GAS = [
    {"consumption": c, "interval_start": f"2026-11-10T{start}:00Z", "interval_end": f"2026-11-10T{end}:00Z"}
    for c, start, end in ((0.5, "07:30", "08:00"), (1.0, "07:00", "07:30"))
]


def test_gas_without_a_unit_is_asked_about(store: Store) -> None:
    content = json.dumps({"count": 2, "next": None, "results": GAS})
    with pytest.raises(ConfigurationError, match="--unit: the figures may be in kWh or m3"):
        bring(store, content, device_id="d~gas", meter="gas")
    bring(store, content, device_id="d~gas", meter="gas", unit="m3")

    assert [one.volume_l for one in store.intervals("d~gas", 0, 2**40)] == [1000, 500]
