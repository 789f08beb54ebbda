"""Tasmota: local time, zeros after a start, net totals, several phases, smart meters."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import NETTINGS
from aggregator.core.errors import Refused
from aggregator.core.readings import Reading
from aggregator.intake.formats import tasmota
from aggregator.intake.formats.message import Content, DeviceRules, Origin
from tests.aggregator.intake.formats.messages import AT, NOW, SML, TASMOTA, but, utc
from tests.budgets import examples

AMSTERDAM = "Europe/Amsterdam"


def read(message: object, now: int = NOW, zone: str = AMSTERDAM, netting: str = "phase") -> Content:
    return tasmota.parse_tasmota(json.dumps(message).encode(), Origin("plug-1", now, DeviceRules(zone, netting)))


def reading(**changes: object) -> Reading:
    (found,) = read(but(TASMOTA, **{f"ENERGY__{key}": value for key, value in changes.items()})).readings
    return found


def at(time: object, now: str = "2026-12-01T00:00:00", zone: str = AMSTERDAM) -> int:
    return read(but(TASMOTA, Time=time), utc(now), zone).readings[0].at


def refusal(message: object, now: int = NOW) -> str:
    with pytest.raises(Refused) as refused:
        read(message, now)
    return refused.value.reason


def test_a_message_is_a_reading() -> None:
    assert read(TASMOTA) == Content([Reading("plug-1", AT, 431, 2_017_118 + 12_500, 12_500)])


def test_time_is_local_to_the_device() -> None:
    assert at("2026-07-01T12:00:00") == utc("2026-07-01T10:00:00")
    assert at("2026-07-01T12:00:00", zone="Asia/Kathmandu") == utc("2026-07-01T06:15:00")


def test_a_time_with_an_offset_uses_it() -> None:
    assert at("2026-07-01T12:00:00+00:00") == at("2026-07-01T12:00:00Z") == utc("2026-07-01T12:00:00")


@pytest.mark.parametrize(
    ("came", "meant"),
    [
        ("2026-10-25T00:30:07", "2026-10-25T00:30:00"),
        ("2026-10-25T01:30:07", "2026-10-25T01:30:00"),
        ("2026-10-25T00:59:00", "2026-10-25T00:30:00"),
        ("2026-10-25T09:00:00", "2026-10-25T01:30:00"),
    ],
)
def test_a_repeated_hour_resolves_to_the_instant_nearest_arrival(came: str, meant: str) -> None:
    assert at("2026-10-25T02:30:00", came) == utc(meant)


def test_a_skipped_local_time_is_refused() -> None:
    assert refusal(but(TASMOTA, Time="2026-03-29T02:30:00"), utc("2026-03-29T01:30:00")) == "no_such_time"


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("1970-01-01T00:00:20", "clock_not_set"),
        ("1970-01-01T00:00:20Z", "before_2000"),
        ("2026-02-01T09:10:20", "in_the_future"),
        ("2026-02-30T08:10:20", "bad_time"),
        ("2026-02-01", "bad_time"),
        ("n/a", "bad_time"),
        (AT, "bad_time"),
        (None, "bad_time"),
        (["2026-02-01T08:10:20"], "bad_time"),
        ("2026-02-01T08:10:20" + "0" * 100, "bad_time"),
        ("2026-02-01T08:10:\ud800\ud800", "bad_time"),
    ],
)
def test_a_message_with_an_impossible_time_is_refused(time: object, reason: str) -> None:
    assert refusal(but(TASMOTA, Time=time)) == reason


def test_phases_are_added_up() -> None:
    phases = reading(Total=[1000.001, 500.5, 0], ExportActive=[12.0, 0.5, 0.0], Power=[200, -31, 4.6])
    assert phases[2:5] == (174, 1_500_501 + 12_500, 12_500)
    assert reading(Total=[1000.001, 500.5, 0], ExportActive=...)[2:5] == (431, 1_500_501, None)


@pytest.mark.parametrize("phases", [[200, None], [200, "n/a"], [], [[200]], [1e308, 1], {"1": 200}, [1] * 9])
def test_a_sum_with_a_missing_phase_is_absent(phases: object) -> None:
    assert reading(Power=phases)[2:5] == (None, 2_029_618, 12_500)
    assert reading(Total=phases)[2:5] == (431, None, 12_500)
    assert reading(ExportActive=phases)[2:5] == (431, None, None)


def test_a_device_without_export_counter_has_no_export() -> None:
    assert reading(ExportActive=...).export_wh is None
    assert reading(ExportActive=0).export_wh == 0


def test_zeros_after_a_start_are_refused() -> None:
    zeros = but(
        TASMOTA, ENERGY={"Total": 0.0, "Yesterday": 0, "Today": 0, "ExportActive": 0.0, "Power": 0, "Voltage": 0}
    )
    assert refusal(zeros) == "no_values"
    assert refusal(but(TASMOTA, ENERGY={"Total": [0, 0, 0], "Power": [0, 0, 0]})) == "no_values"


def test_a_zero_total_is_absent_but_zero_power_counts() -> None:
    assert reading(Total=0, ExportActive=...)[2:5] == (431, None, None)
    assert reading(Power=0)[2:5] == (0, 2_029_618, 12_500)


def test_tariff_totals_are_not_counted_again() -> None:
    assert reading(TotalTariff=[5, 5]) == reading(TotalTariff=...) == reading()


@pytest.mark.parametrize("message", [{}, [], "ENERGY", {"Time": "2026-02-01T08:10:20", "DS18B20": {}}, {"ENERGY": [1]}])
def test_a_message_without_energy_is_refused(message: object) -> None:
    assert refusal(message) == "wrong_format"


def test_energy_without_a_figure_is_refused() -> None:
    assert refusal(but(TASMOTA, ENERGY={"Voltage": 230})) == "no_values"


# Net totals


def test_import_of_a_net_total_is_its_change_plus_the_change_of_export() -> None:
    home = {"Total": 100.0, "ExportActive": 50.0, "Power": 1000}
    taken = reading(**home | {"Total": 100.7})
    given = reading(**home | {"Total": 99.8, "ExportActive": 50.9, "Power": -1000})
    assert (taken.import_wh, taken.export_wh) == (150_700, 50_000)
    assert (given.import_wh, given.export_wh) == (150_700, 50_900)


def test_two_hours_of_a_net_total_are_exact() -> None:
    """Four minutes of +1 kW and four of -1 kW by turns: each direction has 1000 Wh in the two hours."""
    found = [reading(Total=milli(100, net), ExportActive=milli(50, given)) for net, given in two_hours()]
    imports, exports = [one.import_wh or 0 for one in found], [one.export_wh or 0 for one in found]
    assert imports[-1] - imports[0] == 1000
    assert exports[-1] - exports[0] == 1000
    dips = [max(imports[: place + 1]) - wh for place, wh in enumerate(imports)]
    assert max(dips) == 1  # both figures are rounded by the device


def two_hours() -> list[tuple[float, float]]:
    """Return net and given energy, Wh, every 10 s."""
    net, given, rows = 0.0, 0.0, []
    for step in range(721):
        rows.append((net, given))
        change = 10_000 / 3600 * (1 if step // 24 % 2 == 0 else -1)
        net, given = net + change, given + max(-change, 0)
    return rows


def milli(kwh: int, wh: float) -> float:
    return round(kwh + wh / 1000, 3)


def test_a_net_total_may_be_zero_or_below() -> None:
    assert reading(Total=0)[2:5] == (431, 12_500, 12_500)
    assert reading(Total=-4.25)[2:5] == (431, 8_250, 12_500)
    assert reading(Total=-13)[2:5] == (431, None, 12_500)


def test_a_phase_below_zero_counts_with_the_others() -> None:
    assert reading(Total=[1000.001, -300.5, 7], ExportActive=[0, 310.5, 0])[2:5] == (431, 1_017_001, 310_500)
    assert reading(Total=[1000.001, -300.5, 7], ExportActive=...)[2:5] == (431, 706_501, None)
    assert reading(Power=[1000, -1500.4, 0]).power_w == -500


def test_a_total_for_all_phases_goes_with_export_for_each() -> None:
    """The message of a Shelly 3EM with Tasmota, as in issue 17178 of arendst/Tasmota."""
    energy = {"Total": 0.00627, "ExportActive": [0.02465, 0.00001, 0.00001], "Power": [-0.2, 0.0, 0.0]}
    assert reading(**energy)[2:5] == (0, 31, 25)


def test_sums_are_rounded_once() -> None:
    assert reading(Total=[1.0004, 1.0004, 1.0004], ExportActive=...).import_wh == 3001


@pytest.mark.parametrize(
    "own", [{"ImportActive": 2017.118}, {"ImportPower": 431}, {"ImportReactive": 3}, {"PhaseAngle": 12}]
)
def test_the_total_of_a_meter_that_counts_import_is_not_net(own: dict[str, float]) -> None:
    assert reading(**own)[2:5] == (431, 2_017_118, 12_500)


def test_a_total_that_a_device_counts_for_import_alone_is_not_net() -> None:
    origin = Origin("plug-1", NOW, DeviceRules(AMSTERDAM, is_total_import=True))
    (found,) = tasmota.parse_tasmota(json.dumps(TASMOTA).encode(), origin).readings
    assert found[2:5] == (431, 2_017_118, 12_500)


# Netting


def test_with_netting_sum_the_registers_of_phases_are_ignored() -> None:
    phases = but(TASMOTA, ENERGY={"Total": 7.5, "ExportActive": [1, 2, 3], "Power": [200, -31, 4.6]})
    assert read(phases).readings[0][2:5] == (174, 13_500, 6000)
    assert read(phases, netting="sum").readings[0][2:5] == (174, None, None)


def test_zeros_after_a_start_are_refused_with_any_netting() -> None:
    zeros = but(TASMOTA, ENERGY={"Total": [0, 0, 0], "ExportActive": [0, 0, 0], "Power": [0, 0, 0]})
    for netting in NETTINGS:
        with pytest.raises(Refused, match="no_values"):
            read(zeros, netting=netting)


def test_netting_changes_nothing_for_one_phase() -> None:
    assert read(TASMOTA, netting="sum") == read(TASMOTA)
    assert read(SML, netting="sum") == read(SML)


# Smart meters


def meter(**figures: object) -> tuple[int | None, ...]:
    """Return power, import and export of a smart meter with these figures."""
    return read({"Time": "2026-02-01T08:10:20", "SML": figures}).readings[0][2:5]


def test_a_smart_meter_is_a_reading_in_local_time() -> None:
    assert read(SML) == Content([Reading("plug-1", AT, -431, 9_121_318, 12_004)])
    assert at("2026-07-01T12:00:00") == utc("2026-07-01T10:00:00")


@pytest.mark.parametrize(
    "names",
    [
        ("Total_in", "Total_out", "Power_curr"),
        ("total_in", "total_out", "Power_cur"),
        ("E_in", "E_out", "Power"),
        ("ImportActive", "ExportActive", "Power"),
        ("1_8_0", "2_8_0", "16_7_0"),
        ("1.8.0", "2-8-0", "16.7.0"),
        ("Total", "TotalOut", "Power"),
        ("energy_imported", "energy_exported", "curr_w"),
    ],
)
def test_the_usual_names_of_figures_are_known(names: tuple[str, str, str]) -> None:
    assert meter(**dict(zip(names, (9121.3184, 12.0041, -431.4), strict=True))) == (-431, 9_121_318, 12_004)


@pytest.mark.parametrize("name", ["SML", "SmartMeter", "MT174", "Strom", ""])
def test_the_object_of_a_smart_meter_may_have_any_name(name: str) -> None:
    message = {"Time": SML["Time"], name: SML["SML"], "DS18B20": {"Temperature": 20.1}, "TempUnit": "C"}
    assert read(message) == read(SML)


def test_a_smart_meter_named_energy_is_read() -> None:
    assert read({"Time": SML["Time"], "ENERGY": SML["SML"]}) == read(SML)
    assert read(but(TASMOTA, ENERGY={"Total": 9121.3184, "Power": -431})).readings[0][2:5] == (-431, 9_121_318, None)


def test_sml_is_preferred_to_other_objects() -> None:
    assert read(SML | {"Solar": {"E_out": 12.5, "Power": 300}}) == read(SML)


def test_tariffs_of_a_smart_meter_are_summed_without_a_total() -> None:
    tariffs = {"1_8_1": 4120.317, "1_8_2": 5001.001, "2_8_1": 12, "2_8_2": 0.004}
    assert meter(**tariffs) == (None, 9_121_318, 12_004)
    assert meter(**tariffs, **{"1_8_0": 9121.5}) == (None, 9_121_500, 12_004)
    assert meter(**tariffs | {"1_8_2": "n/a"}) == (None, None, 12_004)


def test_power_by_direction_has_a_sign() -> None:
    assert meter(**{"1_8_0": 5, "1_7_0": 0, "2_7_0": 431}) == (-431, 5000, None)
    assert meter(**{"1_8_0": 5, "1_7_0": 431}) == (431, 5000, None)


def test_zeros_before_the_first_telegram_are_not_registers() -> None:
    assert refusal(but(SML, SML={"Total_in": 0, "Total_out": 0, "Power_curr": 0})) == "no_values"
    assert meter(Total_in=0, Total_out=0, Power_curr=12) == (12, None, None)
    assert meter(Total_out=0, Power_curr=12) == (12, None, 0)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ({"Water": {"Total": 12.5}}, "Time, Water"),
        ({"Meter1": {"Total_in": 1}, "Meter2": {"Total_in": 2}}, "Meter1, Meter2"),
        ({"Solar": {"Power": 300}}, "Time, Solar"),
    ],
)
def test_what_is_not_one_meter_is_refused_by_name(others: dict[str, object], named: str) -> None:
    with pytest.raises(Refused, match=named) as refused:
        read({"Time": SML["Time"]} | others)
    assert refused.value.reason == "wrong_format"


# One bad figure

BAD: st.SearchStrategy[Any] = st.sampled_from([None, "n/a", True, [], {}, [[1]], 1e308, "", [5, None], ["n/a", 5]])


@examples(100)
@given(st.sampled_from(["Total_in", "Total_out", "Power_curr"]), BAD)
def test_one_bad_figure_of_a_smart_meter_leaves_the_others(name: str, bad: object) -> None:
    good = dict(zip(("Power_curr", "Total_in", "Total_out"), read(SML).readings[0][2:5], strict=True))
    assert meter(**SML["SML"] | {name: bad}) == tuple((good | {name: None}).values())


@examples(100)
@given(st.sampled_from([("Power", 2), ("Total", 3), ("ExportActive", 4)]), st.integers(0, 2), BAD)
def test_one_bad_phase_leaves_the_other_figures(figure: tuple[str, int], phase: int, bad: object) -> None:
    """Only import depends on two figures, Total and ExportActive."""
    energy: dict[str, list[Any]] = {"Total": [1000, -20.5, 3], "ExportActive": [0, 30, 1], "Power": [431, -2000, 5]}
    good, (name, field) = [-1564, 1_013_500, 31_000], figure
    energy[name][phase] = bad
    expected = [None if place == field or (place, field) == (3, 4) else wh for place, wh in enumerate(good, 2)]
    assert list(reading(**energy)[2:5]) == expected
