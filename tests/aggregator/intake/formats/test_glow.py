"""Glow local MQTT: one test for each quirk known from the field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import Refused
from aggregator.core.readings import NO_REGISTER, Reading
from aggregator.core.status import Counters, Status
from aggregator.intake.formats import glow
from aggregator.intake.formats.message import Content, Origin
from tests.aggregator.intake.formats.messages import AT, ELECTRICITY, GAS, GLOW, NOW, STATE, but

METER, GAS_METER = "electricitymeter__", "gasmeter__energy__import__"
IMPORT, EXPORT, POWER = f"{METER}energy__import__", f"{METER}energy__export__", f"{METER}power__"


def read(message: object, part: str = "", device_id: str = GLOW, now: int = NOW) -> Content:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return glow.parse_glow(payload, Origin(device_id, now, part=part))


def reading(**changes: object) -> Reading:
    """Parse the electricity message with some keys changed."""
    (found,) = read(but(ELECTRICITY, **changes)).readings
    return found


def state(**changes: object) -> Status:
    content = read(but(STATE, **changes), "STATE")
    assert content.readings == []
    return content.statuses[0]


def refusal(message: object, part: str = "", device_id: str = GLOW) -> str:
    with pytest.raises(Refused) as refused:
        read(message, part, device_id)
    return refused.value.reason


def test_an_electricity_message_gives_a_reading_and_counters() -> None:
    content = read(ELECTRICITY, "SENSOR/electricitymeter")
    assert content.readings == [Reading(GLOW, AT, 612, 4_120_317, 12_004, None)]
    counters = Counters(AT, 1204, 40_113, 1204)
    assert content.statuses == [Status(GLOW, AT, None, None, None, None, None, counters)]


def test_a_gas_message_is_a_second_meter_without_power() -> None:
    content = read(GAS, "SENSOR/gasmeter")
    assert content.readings == [Reading(f"{GLOW}~gas", AT, None, 20_411_080, None, None, 1_837_102)]
    assert content.statuses == [
        Status(f"{GLOW}~gas", AT, None, None, None, None, None, Counters(AT, 17_326, 17_326, 383_157))
    ]


def test_a_state_is_a_status() -> None:
    assert state() == Status(GLOW, AT, -71, 96, "v2.0.2", "GLOW-IHD-02-1v4-SMETS2", True)
    assert state(han__status="joining").joined is False


@given(st.integers(1, 10**9))
def test_a_three_decimal_register_is_exact_to_the_wh(wh: int) -> None:
    assert reading(**{f"{IMPORT}cumulative": wh / 1000, f"{EXPORT}cumulative": f"{wh / 1000}"})[3:5] == (wh, wh)


def test_power_is_negative_when_exporting() -> None:
    assert reading(**{f"{POWER}value": -2.3405}).power_w == -2340


def test_period_counters_are_never_energy() -> None:
    counted = read(but(ELECTRICITY, **{f"{IMPORT}day": 9.0, f"{IMPORT}week": 9.0, f"{IMPORT}month": 9.0}))
    assert counted.readings == read(ELECTRICITY).readings
    without = read(but(ELECTRICITY, **{f"{IMPORT}day": ..., f"{IMPORT}week": ..., f"{IMPORT}month": ...}))
    assert (without.readings, without.statuses) == (counted.readings, [])


def test_counters_alone_are_a_status() -> None:
    content = read(but(GAS, **{f"{GAS_METER}cumulative": 0, f"{GAS_METER}cumulativevol": 0}))
    assert content.readings == []
    assert content.statuses[0].counters == Counters(AT, 17_326, 17_326, 383_157)


def test_the_power_sentinel_is_absent_and_registers_stay() -> None:
    assert reading(**{f"{POWER}value": -8388.608})[2:5] == (None, 4_120_317, 12_004)
    assert reading(**{f"{POWER}value": -8388608, f"{POWER}units": "W"}).power_w is None


@pytest.mark.parametrize("ones", [NO_REGISTER, 281474976710.655, str(NO_REGISTER), "281474976710.655"])
def test_a_register_of_all_ones_is_absent(ones: object) -> None:
    assert reading(**{f"{IMPORT}cumulative": ones})[2:5] == (612, None, 12_004)
    assert reading(**{f"{EXPORT}cumulative": ones})[2:5] == (612, 4_120_317, None)


def test_a_register_of_all_ones_in_wh_is_absent() -> None:
    assert reading(**{f"{IMPORT}cumulative": NO_REGISTER, f"{IMPORT}units": "Wh"}).import_wh is None


def test_an_import_of_0_for_one_message_is_absent() -> None:
    assert reading(**{f"{IMPORT}cumulative": 0})[2:5] == (612, None, 12_004)
    assert reading(**{f"{IMPORT}cumulative": 0.0}).import_wh is None


def test_prices_of_0_change_nothing() -> None:
    assert read(but(ELECTRICITY, **{f"{IMPORT}price": {"unitrate": 0, "standingcharge": 0}})) == read(ELECTRICITY)


def test_zero_power_export_and_day_counter_count() -> None:
    content = read(but(ELECTRICITY, **{f"{POWER}value": 0, f"{EXPORT}cumulative": 0, f"{IMPORT}day": 0}))
    assert content.readings[0][2:5] == (0, 4_120_317, 0)
    assert content.statuses[0].counters == Counters(AT, 0, 40_113, 1204)


@pytest.mark.parametrize("mpan", ["read pending", "not available", "EMPTY", "---", "1100000000000", 1100000000000])
def test_an_unknown_meter_point_does_not_matter(mpan: object) -> None:
    assert read(but(ELECTRICITY, **{f"{IMPORT}mpan": mpan, f"{IMPORT}supplier": "---"})) == read(ELECTRICITY)
    assert reading(**{f"{IMPORT}mpan": mpan}).meter_id is None


def test_fields_missing_in_a_firmware_are_absent() -> None:
    assert reading(electricitymeter__power=...)[2:5] == (None, 4_120_317, 12_004)
    assert reading(electricitymeter__energy__export=...)[2:5] == (612, 4_120_317, None)
    assert reading(electricitymeter__energy=...)[2:5] == (612, None, None)


def test_a_gas_meter_of_an_older_firmware_has_power_and_export() -> None:
    older = but(GAS, gasmeter__power={"value": 0, "units": "kW"}, gasmeter__energy__export={"cumulative": 0})
    assert read(older).readings == [Reading(f"{GLOW}~gas", AT, 0, 20_411_080, 0, None, 1_837_102)]


def test_gas_may_come_in_cubic_metres_alone() -> None:
    (found,) = read(but(GAS, **{f"{GAS_METER}cumulative": ...})).readings
    assert found == Reading(f"{GLOW}~gas", AT, None, None, None, None, 1_837_102)
    assert read(but(GAS, **{f"{GAS_METER}cumulativevolunits": "ft3"})).readings[0].volume_l is None


def test_fields_added_by_a_firmware_are_ignored() -> None:
    added = {f"{GAS_METER}dayvol": 5, f"{GAS_METER}dayweekmonthvolunits": "kWh", "gasmeter__new": [1], "new": {}}
    assert read(but(GAS, **added)) == read(GAS)


def test_a_repeated_timestamp_gives_the_same_reading() -> None:
    assert read(ELECTRICITY, now=NOW + 6) == read(ELECTRICITY)


def test_a_late_message_keeps_the_meters_time() -> None:
    assert read(ELECTRICITY, now=NOW + 900).readings[0].at == AT


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        ("n/a", "bad_time"),
        (None, "bad_time"),
        (1769929820, "bad_time"),
        ("2026-02-01T07:10:20", "no_offset"),
        ("2026-02-01T07:30:00Z", "in_the_future"),
        ("1970-01-01T00:00:20Z", "before_2000"),
        ("2000-01-01T00:00:20Z", "clock_not_set"),
    ],
)
def test_a_message_with_an_impossible_time_is_refused(timestamp: object, reason: str) -> None:
    assert refusal(but(ELECTRICITY, electricitymeter__timestamp=timestamp)) == reason
    assert refusal(but(STATE, timestamp=timestamp)) == reason


def test_link_quality_goes_to_255_not_a_percentage() -> None:
    assert [state(han__lqi=lqi).lqi for lqi in (0, 255, 256, -1, "96", 96.5)] == [0, 255, None, None, 96, None]


def test_an_impossible_signal_strength_is_absent() -> None:
    assert [state(han__rssi=rssi).rssi_dbm for rssi in (-128, 20, 21, -129, "n/a")] == [-128, 20, None, None, None]


def test_numbers_in_quotes_are_numbers() -> None:
    quoted = {f"{IMPORT}cumulative": " 4120.317 ", f"{EXPORT}cumulative": "12.004", f"{POWER}value": "0.612"}
    assert read(but(ELECTRICITY, **quoted)) == read(ELECTRICITY)


@pytest.mark.parametrize("bad", ["n/a", None, [0.612], {"value": 1}, 1e308, True, "", "1e999", "NaN", -1e99])
@pytest.mark.parametrize("field", [f"{IMPORT}cumulative", f"{EXPORT}cumulative", f"{POWER}value", f"{IMPORT}day"])
def test_one_bad_field_leaves_the_others(field: str, bad: object) -> None:
    good, spoiled = read(ELECTRICITY), read(but(ELECTRICITY, **{field: bad}))
    before = [*good.readings[0], *(good.statuses[0].counters or ())]
    after = [*spoiled.readings[0], *(spoiled.statuses[0].counters or ())]
    assert [new for old, new in zip(before, after, strict=True) if new != old] == [None]


def test_an_array_in_place_of_an_object_loses_only_itself() -> None:
    assert reading(electricitymeter__energy__import=[1])[2:5] == (612, None, 12_004)
    assert reading(electricitymeter__power=[0.6])[2:5] == (None, 4_120_317, 12_004)


def test_truncated_json_is_refused() -> None:
    whole = json.dumps(ELECTRICITY).encode()
    assert {refusal(whole[:length]) for length in range(len(whole))} == {"malformed_json"}


@pytest.mark.parametrize(
    ("kw", "power_w"), [(200, 200_000), (200.001, None), (-50, -50_000), (-50.001, None), (0.0004, 0)]
)
def test_a_power_beyond_any_home_is_absent(kw: float, power_w: int | None) -> None:
    assert reading(**{f"{POWER}value": kw}).power_w == power_w


@pytest.mark.parametrize(("kwh", "wh"), [(1e9, 10**12), (1.1e9, None), (-0.001, None)])
def test_a_register_beyond_any_meter_is_absent(kwh: float, wh: int | None) -> None:
    assert reading(**{f"{EXPORT}cumulative": kwh}).export_wh == wh


def test_register_and_power_use_their_named_unit() -> None:
    watts = {f"{POWER}value": 612, f"{POWER}units": "W", f"{IMPORT}cumulative": 4120317, f"{IMPORT}units": "Wh"}
    assert reading(**watts)[2:5] == (612, 4_120_317, 12_004)
    assert reading(**{f"{POWER}units": ..., f"{IMPORT}units": None, f"{EXPORT}units": " KWH"}) == reading()


@pytest.mark.parametrize("unit", ["m3", "MWh", "", 5, ["kWh"]])
def test_a_register_in_an_unknown_unit_is_absent(unit: object) -> None:
    assert reading(**{f"{EXPORT}units": unit})[2:5] == (612, 4_120_317, None)
    assert reading(**{f"{POWER}units": unit})[2:5] == (None, 4_120_317, 12_004)


def test_a_message_without_any_figure_is_refused() -> None:
    assert refusal({"electricitymeter": {"timestamp": "2026-02-01T07:10:20Z"}}) == "no_values"
    assert refusal({"gasmeter": {"timestamp": "2026-02-01T07:10:20Z", "energy": []}}) == "no_values"


@pytest.mark.parametrize("message", [{}, [], None, 5, ELECTRICITY | GAS, {"timestamp": "2026-02-01T07:10:20Z"}])
def test_a_message_with_no_meter_or_two_is_refused(message: object) -> None:
    assert refusal(message) == "wrong_format"


def test_a_message_over_a_wrong_topic_is_refused() -> None:
    assert refusal(ELECTRICITY, "SENSOR/gasmeter") == "wrong_format"
    assert refusal(GAS, "SENSOR/electricitymeter") == "wrong_format"
    assert refusal(STATE, "SENSOR/gasmeter") == "wrong_format"
    assert refusal(ELECTRICITY, "STATE") == "wrong_format"


def test_bad_fields_of_a_state_are_absent() -> None:
    assert state(software=17, hardware="tab\there")[4:6] == (None, None)
    assert state(han=[])[2:] == (None, None, "v2.0.2", "GLOW-IHD-02-1v4-SMETS2", None, None)


def test_an_overlong_version_is_cut() -> None:
    assert state(software=" v" + "9" * 100).firmware == "v" + "9" * 62


def test_an_empty_state_is_refused() -> None:
    assert refusal({"timestamp": "2026-02-01T07:10:20Z", "han": {}, "software": None}) == "bad_status"


def test_the_topic_names_the_device() -> None:
    assert read(ELECTRICITY, device_id="a1b2c3d4e5f6").readings[0].device_id == "a1b2c3d4e5f6"
    for device_id in ("", "../etc", "a b", "d" * 65):
        assert refusal(ELECTRICITY, device_id=device_id) == "bad_device_id"


def test_a_gas_meter_with_an_overlong_id_is_refused() -> None:
    assert refusal(GAS, device_id="d" * 62) == "bad_device_id"
