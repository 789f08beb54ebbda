"""Glow's Zigbee attributes in hex: one test for each quirk."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading
from aggregator.core.status import Counters, Status
from aggregator.intake.formats import glow
from aggregator.intake.formats.message import Content, Origin
from tests.aggregator.intake.formats.messages import AT, GLOW, HEX, NOW, but, put, utc

REGISTERS, FORMAT, DEMAND = "elecMtr 0702 00", "elecMtr 0702 03", "elecMtr 0702 04 00"
YEAR_S = 365 * 86_400


GAS = Reading(f"{GLOW}~gas", AT, None, None, None, None, 1_837_118)


def read(message: object, now: int = NOW, device_id: str = GLOW) -> Content:
    return glow.parse_glow_hex(json.dumps(message).encode(), Origin(device_id, now))


def reading(path: str, value: object) -> Reading:
    """Parse the electricity reading with one attribute changed."""
    found = read(put(HEX, path, value)).readings[0]
    assert found.device_id == GLOW
    return found


def power(digits: object) -> int | None:
    return reading(DEMAND, digits).power_w


def status(path: str, value: object) -> Status:
    return read(put(HEX, path, value)).statuses[0]


def refusal(message: object, now: int = NOW) -> str:
    with pytest.raises(Refused) as refused:
        read(message, now)
    return refused.value.reason


def test_a_message_gives_a_reading_and_a_status() -> None:
    content = read(HEX)
    assert content.readings[:1] == [Reading(GLOW, AT, 612, 4_120_349, 12_004)]
    counters = Counters(AT, 1204, 40_113, 1204)
    assert content.statuses[0] == Status(GLOW, AT, -71, 96, None, "GLOW-IHD-01-1v4-SMETS2", True, counters)


def test_gas_in_cubic_metres_is_a_register_in_litres() -> None:
    content = read(HEX)
    assert content.readings[1:] == [GAS]
    gas = Status(f"{GLOW}~gas", AT, None, None, None, None, None, Counters(AT, 17_326, 17_326, 383_157))
    assert content.statuses[1:] == [gas]
    assert len(read(put(HEX, "gasMtr 0702 03 12", "01")).statuses) == 1


def test_gas_in_kwh_is_a_reading_of_a_second_meter() -> None:
    assert read(put(HEX, "gasMtr 0702 03 00", "00")).readings[1] == Reading(f"{GLOW}~gas", AT, None, 1_837_118, None)
    assert len(read(put(HEX, "gasMtr 0702 03 00", ...)).readings) == 1


@pytest.mark.parametrize(
    ("digits", "watts"),
    [
        ("000264", 612),
        ("FFFFFF", -1),
        ("fff6db", -2341),
        ("FF3CB0", -50_000),
        ("00000264", 612),
        ("FFFFFFFF", -1),
        ("FFFFF6DB", -2341),
        ("00FFF6DB", -2341),
        ("000000", 0),
    ],
)
def test_power_is_signed_in_6_digits_and_in_8(digits: str, watts: int) -> None:
    assert power(digits) == watts


@given(st.integers(-50_000, 200_000))
def test_power_is_equal_in_6_and_8_digits(watts: int) -> None:
    assert power(f"{watts & 0xFFFFFF:06X}") == power(f"{watts & 0xFFFFFFFF:08X}") == watts


@pytest.mark.parametrize(
    "digits",
    [
        "800000",
        "FF800000",
        "FF000264",
        "01000264",
        "7FFFFF",
        "264",
        "00264",
        "",
        "n/a",
        "0x0264",
        612,
        None,
        ["000264"],
    ],
)
def test_an_invalid_power_is_absent_and_registers_stay(digits: object) -> None:
    assert reading(DEMAND, digits)[2:5] == (None, 4_120_349, 12_004)


@pytest.mark.parametrize("ones", ["FFFFFFFFFFFF", "ffffffffffff", "FFFFFFFF"])
def test_a_register_of_all_ones_is_absent(ones: str) -> None:
    assert reading(f"{REGISTERS} 00", ones)[2:5] == (612, None, 12_004)
    assert reading(f"{REGISTERS} 01", ones)[2:5] == (612, 4_120_349, None)


def test_zero_import_is_absent_but_zero_export_counts() -> None:
    assert reading(f"{REGISTERS} 00", "000000000000").import_wh is None
    assert reading(f"{REGISTERS} 01", "000000000000").export_wh == 0


@pytest.mark.parametrize("bad", ["n/a", "", None, 4120317, [], {}, "0x12", "１２", "F" * 13, "-1"])
def test_one_bad_attribute_leaves_the_others(bad: object) -> None:
    assert reading(f"{REGISTERS} 00", bad)[2:5] == (612, None, 12_004)
    assert status("elecMtr 0702 04 30", bad).counters == Counters(AT, 1204, None, 1204)


@pytest.mark.parametrize(
    ("multiplier", "divisor", "import_wh"),
    [
        ("000001", "0003E8", 4_120_349),
        ("00000A", "002710", 4_120_349),
        ("000001", "000064", 41_203_490),
        ("000001", "0007D0", 2_060_175),
    ],
)
def test_figures_use_the_meters_multiplier_and_divisor(multiplier: str, divisor: str, import_wh: int) -> None:
    message = put(put(HEX, f"{FORMAT} 01", multiplier), f"{FORMAT} 02", divisor)
    assert read(message).readings[0].import_wh == import_wh


@pytest.mark.parametrize("scale", ["000000", "00000000", "FFFFFF", "n/a", None, ...])
@pytest.mark.parametrize("attribute", [f"{FORMAT} 01", f"{FORMAT} 02"])
def test_figures_without_multiplier_or_divisor_are_absent(attribute: str, scale: object) -> None:
    content = read(put(HEX, attribute, scale))
    assert content.readings == [GAS]
    assert content.statuses[0] == Status(GLOW, AT, -71, 96, None, "GLOW-IHD-01-1v4-SMETS2", True, None)


def test_figures_of_another_unit_are_absent() -> None:
    assert read(put(HEX, f"{FORMAT} 00", "01")).readings == [GAS]
    assert read(put(HEX, "gasMtr 0702 03 00", "02")).readings == read(HEX).readings[:1]
    assert read(put(HEX, f"{FORMAT} 00", ...)).readings == read(HEX).readings


def test_blocks_may_be_absent() -> None:
    assert reading("elecMtr 0702 04", ...)[2:5] == (None, 4_120_349, 12_004)
    assert reading("elecMtr 0702 00", ...)[2:5] == (612, None, None)
    assert [one.device_id for one in read(put(HEX, "gasMtr 0702 0C", ...)).statuses] == [GLOW]
    assert read(put(HEX, "gasMtr", ...)).readings == read(HEX).readings[:1]
    assert read(put(HEX, "elecMtr", ...)).readings == [GAS]
    assert read(put(HEX, "pan", ...)).statuses[0][2:7] == (None, None, None, "GLOW-IHD-01-1v4-SMETS2", None)


@pytest.mark.parametrize(
    ("byte", "dbm"), [("B9", -71), ("80", -128), ("14", 20), ("7F", None), ("n/a", None), (5, None)]
)
def test_signal_strength_is_a_signed_byte(byte: object, dbm: int | None) -> None:
    assert status("pan rssi", byte).rssi_dbm == dbm


@pytest.mark.parametrize(("byte", "lqi"), [("60", 96), ("FF", 255), ("00", 0), ("100", None), ("", None), (None, None)])
def test_link_quality_goes_to_255(byte: object, lqi: int | None) -> None:
    assert status("pan lqi", byte).lqi == lqi


def test_the_time_is_a_number_text_or_hex() -> None:
    for gmtime in (AT, str(AT), "697EFC5C", ..., None, "n/a"):
        assert read(put(HEX, "gmtime", gmtime)).readings[0].at == AT
    assert read(put(HEX, "gmtime", "69765456")).readings[0].at == utc("2026-01-25T17:35:18")


@pytest.mark.parametrize("gmtime", [0, 37, 946_684_800 + 37, None, "n/a", NOW - 2 * YEAR_S])
def test_a_clock_that_was_never_set_is_refused(gmtime: object) -> None:
    message = but(HEX, ets="2000-01-01 00:00:00", gmtime=gmtime, time=...)
    assert refusal(message) == "clock_not_set"


def test_an_unset_event_time_does_not_lose_a_correctly_timed_reading() -> None:
    assert read(put(HEX, "ets", "2000-01-01 00:00:00")).readings == read(HEX).readings


@pytest.mark.parametrize(
    ("gmtime", "reason"),
    [
        (0, "clock_not_set"),
        (946_684_800, "clock_not_set"),
        (NOW + 900, "in_the_future"),
        (None, "bad_time"),
        ([], "bad_time"),
    ],
)
def test_a_message_with_an_impossible_time_is_refused(gmtime: object, reason: str) -> None:
    assert refusal(but(HEX, gmtime=gmtime, time=...)) == reason


@pytest.mark.parametrize("message", [{}, [], 7, {"gmtime": AT}])
def test_a_message_without_a_meter_is_refused(message: object) -> None:
    assert refusal(message) == "wrong_format"


def test_a_message_without_a_figure_is_refused() -> None:
    assert refusal({"gmtime": AT, "elecMtr": {"0702": 5}, "pan": {}}) == "no_values"
