"""Shelly energy meters of all generations: channels, phases, notifications, clocks."""

import json

import pytest

from aggregator.core.errors import Refused
from aggregator.core.readings import Reading, merged
from aggregator.intake.formats import shelly
from aggregator.intake.formats.message import Content, DeviceRules, Origin
from tests.aggregator.intake.formats.messages import (
    AT,
    CLAMPS,
    EMETERS,
    NOTIFIED,
    NOW,
    SHELLY,
    THREE_PHASES,
    TRIPHASE,
    but,
    put,
)

SECOND = f"{SHELLY}~1"


def read(message: object, part: str = "", device_id: str = SHELLY, netting: str = "phase") -> Content:
    rules = DeviceRules(netting=netting)
    content = shelly.parse_shelly(json.dumps(message).encode(), Origin(device_id, NOW, rules, part))
    assert content.statuses == []
    return content


def refusal(message: object, part: str = "", device_id: str = SHELLY) -> str:
    with pytest.raises(Refused) as refused:
        read(message, part, device_id)
    return refused.value.reason


def emeter(**changes: object) -> Reading:
    """Parse the first clamp of generation 1 with some keys changed."""
    first, second = EMETERS["emeters"]
    return read(but(EMETERS, emeters=[but(first, **changes), second])).readings[0]


def test_a_generation_1_status_gives_a_reading_per_clamp() -> None:
    assert read(EMETERS).readings == [
        Reading(SHELLY, AT, 99, 9189, 77),
        Reading(SECOND, AT, -620, 73, 294),
    ]


def test_three_emeters_are_the_phases_of_one_home() -> None:
    assert read(THREE_PHASES).readings == [Reading(SHELLY, AT, 213, 1_686_297 + 878_906 + 206_151, 428_958 + 4 + 0)]


def test_a_sum_with_a_missing_phase_is_absent() -> None:
    phases = THREE_PHASES["emeters"]
    without = but(THREE_PHASES, emeters=[*phases[:2], but(phases[2], total="n/a")])
    assert read(without).readings[0][2:5] == (213, None, 428_962)


def test_an_invalid_emeter_is_absent() -> None:
    phases = THREE_PHASES["emeters"]
    assert refusal(but(THREE_PHASES, emeters=[*phases[:2], but(phases[2], is_valid=False)])) == "no_values"
    first, second = EMETERS["emeters"]
    readings = read(but(EMETERS, emeters=[but(first, is_valid=False), second])).readings
    assert [one.device_id for one in readings] == [SECOND]
    assert emeter(is_valid=...) == emeter()


def test_a_zero_import_is_absent_but_zero_export_and_power_count() -> None:
    assert emeter(total=0.0)[2:5] == (99, None, 77)
    assert emeter(total_returned=0.0, power=0.0)[2:5] == (0, 9189, 0)


def test_a_disconnected_clamp_is_ignored() -> None:
    first, zeros = EMETERS["emeters"][0], {"power": 0.0, "is_valid": True, "total": 0.0, "total_returned": 0.0}
    assert [one.device_id for one in read(but(EMETERS, emeters=[first, zeros])).readings] == [SHELLY]
    assert read({"id": 1, "act_power": 0.0}, "status/em1:1") == Content()


def test_an_idle_clamp_with_a_register_is_a_meter() -> None:
    idle = {"power": 0.0, "is_valid": True, "total": 7.0, "total_returned": 0.0}
    assert read(but(EMETERS, emeters=[EMETERS["emeters"][0], idle])).readings[1] == Reading(SECOND, AT, 0, 7, 0)


def test_the_first_clamp_is_the_device_even_at_zero() -> None:
    assert emeter(power=0.0, total=0.0, total_returned=0.0)[2:5] == (0, None, 0)


@pytest.mark.parametrize("bad", ["n/a", None, [1], {}, 1e308, True])
def test_one_bad_field_leaves_the_others(bad: object) -> None:
    assert emeter(power=bad)[2:5] == (None, 9189, 77)
    assert emeter(total=bad)[2:5] == (99, None, 77)
    assert emeter(total_returned=bad)[2:5] == (99, 9189, None)
    assert len(read(but(EMETERS, emeters=[EMETERS["emeters"][0], bad])).readings) == 1


def test_a_generation_2_status_gives_a_reading_per_clamp() -> None:
    assert read(CLAMPS).readings == [
        Reading(SHELLY, AT, 951, 31_273, 12),
        Reading(SECOND, AT, -208, 2777, 402_118),
    ]


def test_three_generation_2_phases_are_one_home() -> None:
    assert read(TRIPHASE).readings == [Reading(SHELLY, AT, 9, 3_171_001, 5)]


def test_a_phase_below_zero_counts_with_the_others() -> None:
    """A phase that gives has a power below zero; a register below zero is of a counter that runs backwards."""
    phases = THREE_PHASES["emeters"]
    gives = but(phases[1], power=-1500.0, total=-900.5, total_returned=800.0)
    found = read(but(THREE_PHASES, emeters=[phases[0], gives, phases[2]])).readings
    assert found == [Reading(SHELLY, AT, 51 - 1500 + 7, 1_686_297 - 900 + 206_151, 428_958 + 800)]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("power", (None, 2_771_354, 428_962)),
        ("total", (213, None, 428_962)),
        ("total_returned", (213, 2_771_354, None)),
    ],
)
@pytest.mark.parametrize("phase", [0, 1, 2])
@pytest.mark.parametrize("bad", ["n/a", None, [1], {}, 1e308, True])
def test_one_bad_figure_of_a_phase_leaves_the_other_figures(
    field: str, expected: tuple[int | None, ...], phase: int, bad: object
) -> None:
    phases = list(THREE_PHASES["emeters"])
    phases[phase] = but(phases[phase], **{field: bad})
    assert read(but(THREE_PHASES, emeters=phases)).readings[0][2:5] == expected


def test_with_netting_sum_only_the_power_of_all_phases_counts() -> None:
    for message in (THREE_PHASES, TRIPHASE):
        (by_phase,), (netted,) = read(message).readings, read(message, netting="sum").readings
        assert None not in by_phase[2:5]
        assert netted == by_phase._replace(import_wh=None, export_wh=None)


def test_with_netting_sum_a_message_of_registers_is_empty() -> None:
    assert read(TRIPHASE["emdata:0"], "status/emdata:0", netting="sum") == Content()
    assert read(put(NOTIFIED, "params", {"ts": AT, "emdata:0": TRIPHASE["emdata:0"]}), netting="sum") == Content()


def test_netting_changes_nothing_for_clamps() -> None:
    for message in (EMETERS, CLAMPS, NOTIFIED):
        assert read(message, netting="sum") == read(message)


@pytest.mark.parametrize("registers_first", [True, False])
def test_messages_of_one_second_are_parts_of_one_instant(registers_first: bool) -> None:
    registers, power = {"emdata:0": {"total_act": 567.4, "total_act_ret": 10.0}}, {"em:0": {"total_act_power": 100.0}}
    order = [registers, power] if registers_first else [power, registers]
    parts = [
        read({"method": "NotifyStatus", "params": {"ts": ts} | part}, "events/rpc").readings[0]
        for ts, part in zip((AT + 0.1, AT + 0.9), order, strict=True)
    ]
    assert {one.at for one in parts} == {AT}
    assert merged(*parts) == Reading(SHELLY, AT, 100, 567, 10)


def test_power_and_registers_may_come_separately() -> None:
    assert read({"em1:0": CLAMPS["em1:0"], "sys": CLAMPS["sys"]}).readings == [Reading(SHELLY, AT, 951, None, None)]
    assert read({"em1data:0": CLAMPS["em1data:0"]}).readings == [Reading(SHELLY, NOW, None, 31_273, 12)]


def test_a_notification_keeps_its_own_time() -> None:
    assert read(NOTIFIED, "events/rpc").readings == [Reading(SHELLY, AT, None, 31_273, 12)]


def test_a_status_topic_names_the_clamp_and_uses_arrival_time() -> None:
    assert read(CLAMPS["em1data:1"], "status/em1data:1").readings == [Reading(SECOND, NOW, None, 2777, 402_118)]
    assert read(TRIPHASE["em:0"], "status/em:0").readings == [Reading(SHELLY, NOW, 9, None, None)]


@pytest.mark.parametrize("clock", [0, None, 37, 946_684_900, "n/a", ..., []])
def test_an_unset_clock_uses_the_arrival_time(clock: object) -> None:
    assert {one.at for one in read(but(EMETERS, unixtime=clock)).readings} == {NOW}
    assert {one.at for one in read(put(CLAMPS, "sys unixtime", clock)).readings} == {NOW}
    assert {one.at for one in read(put(NOTIFIED, "params ts", clock)).readings} == {NOW}


def test_a_message_from_the_future_is_refused() -> None:
    assert refusal(but(EMETERS, unixtime=NOW + 900)) == "in_the_future"
    assert refusal(but(EMETERS, unixtime=NOW * 1000)) == "in_the_future"


def test_a_message_about_other_components_is_empty_not_refused() -> None:
    events: list[object] = [{"ts": AT, "switch:0": {"output": True}}, {"events": [{"component": "em1:0"}]}, [], None]
    for params in events:
        assert read({"src": "shellyproem50-1", "method": "NotifyEvent", "params": params}, "events/rpc") == Content()
    assert read({"ssid": "home", "rssi": -50}, "status/wifi") == Content()


def test_a_meter_with_unusable_figures_is_refused() -> None:
    assert refusal({"id": 0, "act_power": "n/a"}, "status/em1:0") == "no_values"
    assert refusal({"id": 1, "act_power": None}, "status/em1:1") == "no_values"
    assert refusal([], "status/em1data:0") == "no_values"


@pytest.mark.parametrize(
    "message", [{}, [], 5, None, {"emeters": {}}, {"emeters": []}, {"emeters": [{}] * 4}, {"em3:0": {}}]
)
def test_a_message_without_a_meter_is_refused(message: object) -> None:
    assert refusal(message) == "wrong_format"


def test_a_device_with_overlong_meter_ids_is_refused() -> None:
    assert refusal(EMETERS, device_id="d" * 63) == "bad_device_id"
    assert refusal(EMETERS, device_id="") == "bad_device_id"
