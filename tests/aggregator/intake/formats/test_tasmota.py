"""Tasmota: local time, zeros after a start, several phases."""

import json

import pytest

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading
from aggregator.intake.formats import tasmota
from aggregator.intake.formats.message import Content, Origin
from tests.aggregator.intake.formats.messages import AT, NOW, TASMOTA, but, utc

AMSTERDAM = "Europe/Amsterdam"


def read(message: object, now: int = NOW, zone: str = AMSTERDAM) -> Content:
    return tasmota.parse_tasmota(json.dumps(message).encode(), Origin("plug-1", now, zone))


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
    assert read(TASMOTA) == Content([Reading("plug-1", AT, 431, 2_017_118, 12_500)])


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
    assert phases[2:5] == (174, 1_500_501, 12_500)


@pytest.mark.parametrize("phases", [[200, None], [200, "n/a"], [], [[200]], [1e308, 1], {"1": 200}, [1] * 9])
def test_a_sum_with_a_missing_phase_is_absent(phases: object) -> None:
    assert reading(Power=phases)[2:5] == (None, 2_017_118, 12_500)
    assert reading(Total=phases)[2:5] == (431, None, 12_500)
    assert reading(ExportActive=phases)[2:5] == (431, 2_017_118, None)


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
    assert reading(Total=0)[2:5] == (431, None, 12_500)
    assert reading(Power=0)[2:5] == (0, 2_017_118, 12_500)


def test_tariff_totals_are_not_counted_again() -> None:
    assert reading(TotalTariff=[5, 5]) == reading(TotalTariff=...) == reading()


@pytest.mark.parametrize("message", [{}, [], "ENERGY", {"Time": "2026-02-01T08:10:20", "DS18B20": {}}, {"ENERGY": [1]}])
def test_a_message_without_energy_is_refused(message: object) -> None:
    assert refusal(message) == "wrong_format"


def test_energy_without_a_figure_is_refused() -> None:
    assert refusal(but(TASMOTA, ENERGY={"Voltage": 230})) == "no_values"
