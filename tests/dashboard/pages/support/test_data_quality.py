from typing import get_args

from aggregator.core.periods import DAY_S, HOUR, Window
from aggregator.core.readings import REASONS, Reading
from aggregator.intake.refusals import Message, Refusals
from aggregator.support.anomalies import Gap, Kind, RegisterStep, Surplus
from aggregator.support.diagnostics import Closure
from dashboard.pages.support import data_quality
from dashboard.pages.support.health_view import Verdict
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, instant
from tests.dashboard.support_desks import DEVICE, evidence

READING = Reading("cad-1", NOW - 4, 612, 1_234_567, None, "19M0001")
TUESDAY = Gap(instant("2026-11-17T08:13:50+00:00"), instant("2026-11-17T13:10:00+00:00"), "estimated")


def answer(**different: object) -> Verdict:
    return data_quality.data_quality(evidence(**{"last_readings": [READING], **different}), ENGLISH).answer


def test_faultless_data_is_good() -> None:
    assert answer()[:2] == ("good", "Yes")


def test_recent_faults_are_counted() -> None:
    step = RegisterStep(NOW - DAY_S, "import_wh", "glitch", 1_275_178, 17)
    refused = Refusals({"2026-11-23": {"bad_time": 3}}, [])
    verdict = answer(gaps=[TUESDAY], steps=[step], refusals=refused)
    assert verdict == ("warn", "With faults", "1 gap in 7 days · 3 messages refused today · 1 strange step")


def test_an_old_gap_is_listed_but_not_counted() -> None:
    old = Gap(NOW - 20 * DAY_S, NOW - 20 * DAY_S + HOUR, "missing")
    assert answer(gaps=[old]).tone == "good"


def test_a_filled_gap_is_no_fault() -> None:
    assert answer(gaps=[TUESDAY._replace(kind="filled")]).tone == "good"


def test_charts_that_differ_from_the_register_are_wrong() -> None:
    closure = Closure("import_wh", Window(NOW - DAY_S, NOW), 5_000, 4_990)
    assert answer(closures=[closure])[:2] == ("bad", "No")


def test_a_device_without_readings_is_not_judged() -> None:
    assert answer(last_readings=[]).tone == "unknown"


def test_a_gap_has_start_end_length_and_treatment() -> None:
    row = data_quality.gap_row(TUESDAY, NOW, LONDON, ENGLISH)
    assert row[:3] == ("08:13 on Tuesday 17 November", "13:10", "4 h 56 min")
    assert row.became.startswith("not filled; its energy is spread")
    assert (row.first_day, row.last_day) == ("2026-11-17", "2026-11-17")


def test_a_gap_of_one_register_names_it() -> None:
    row = data_quality.gap_row(TUESDAY._replace(channel="export_wh"), NOW, LONDON, ENGLISH)
    assert row.became == "export alone: not filled; its energy is spread over it, marked as estimated"


def test_a_gap_over_midnight_touches_both_days() -> None:
    gap = Gap(instant("2026-11-17T23:00:00+00:00"), instant("2026-11-18T00:30:00+00:00"), "missing")
    row = data_quality.gap_row(gap, NOW, LONDON, ENGLISH)
    assert row[:2] == ("23:00 on Tuesday 17 November", "00:30 on Wednesday 18 November")
    assert (row.first_day, row.last_day) == ("2026-11-17", "2026-11-18")


def test_a_gap_that_ends_at_midnight_touches_one_day() -> None:
    gap = Gap(instant("2026-11-17T23:00:00+00:00"), instant("2026-11-18T00:00:00+00:00"), "missing")
    assert data_quality.gap_row(gap, NOW, LONDON, ENGLISH).last_day == "2026-11-17"


def test_a_gap_in_a_repeated_hour_names_the_zone() -> None:
    gap = Gap(instant("2026-10-25T00:30:00+00:00"), instant("2026-10-25T01:45:00+00:00"), "missing")
    row = data_quality.gap_row(gap, NOW, LONDON, ENGLISH)
    assert (row.start, row.end, row.length) == ("01:30 on Sunday 25 October (BST)", "01:45", "1 h 15 min")


def test_an_open_gap_has_no_end() -> None:
    row = data_quality.gap_row(Gap(NOW - HOUR, NOW, "open"), NOW, LONDON, ENGLISH)
    assert (row.end, row.is_open, row.became) == ("", True, "goes on")


def test_every_kind_of_gap_and_every_reason_has_words() -> None:
    assert set(data_quality.KINDS) == set(get_args(Kind))
    assert set(data_quality.REASONS) == set(REASONS)


def test_an_unknown_reason_is_shown_unchanged() -> None:
    assert data_quality.reason_words("from_the_moon", ENGLISH) == "from_the_moon"


def steps(*register_steps: RegisterStep, exchange_overrides: str = "") -> list[data_quality.StepRow]:
    device = DEVICE if not exchange_overrides else type(DEVICE)("cad-1", exchange_overrides=exchange_overrides)
    return list(data_quality.data_quality(evidence(steps=list(register_steps), device=device), ENGLISH).steps)


def test_register_steps_show_their_classification() -> None:
    at = NOW - DAY_S
    found = steps(
        RegisterStep(at, "import_wh", "glitch", 1_275_178, 17, 2),
        RegisterStep(at, "import_wh", "exchange", 1_050_070, 12_000, 0),
        RegisterStep(at, "export_wh", "undecided", 5, 3),
    )
    assert [row.what for row in found] == [
        "A glitch: import went from 1,275 kWh to 17 Wh and back; 2 readings dropped.",
        "The meter was exchanged: import went from 1,050 kWh to 12.0 kWh.",
        "Not decided yet: export went from 5 Wh to 3 Wh.",
    ]
    assert found[0].time == "14:20:04 on Sunday 22 November"


def test_a_rollover_is_named() -> None:
    (row,) = steps(RegisterStep(NOW - DAY_S, "import_wh", "rollover", 99_999_900, 1_200, 0))
    assert row.what == "The register rolled over: import went from 100,000 kWh to 1.20 kWh."


def test_a_fault_of_hours_has_its_length_and_end() -> None:
    at = NOW - DAY_S
    (row,) = steps(RegisterStep(at, "import_wh", "glitch", 1_275_178, 0, 340, at + 5 * HOUR))
    assert row.what == (
        "A fault of 5 h, until 19:20 on Sunday 22 November: import went from 1,275 kWh to 0 kWh and back; "
        "340 readings dropped."
    )


def test_surplus_intervals_are_named_with_both_energies() -> None:
    gap = Surplus(instant("2026-11-17T08:00:00+00:00"), instant("2026-11-17T11:00:00+00:00"), "import_wh", 1_000, 4_500)
    found = data_quality.data_quality(evidence(surplus=[gap], last_readings=[READING]), ENGLISH)
    assert found.surplus == [
        "08:00 on Tuesday 17 November to 11:00: the supplier’s figures for import add up to 4.50 kWh, but the register "
        "rose by 1.00 kWh. They do not count in this gap."
    ]
    assert found.answer == ("warn", "With faults", "1 gap with too much from the supplier")


def test_an_exchange_override_is_shown_beside_its_step() -> None:
    at = NOW - DAY_S
    assert (
        steps(RegisterStep(at, "import_wh", "exchange", 9, 1), exchange_overrides=f"{at}+")[0].mark
        == "marked as an exchange"
    )
    assert (
        steps(RegisterStep(at, "import_wh", "exchange", 9, 1), exchange_overrides=f"{at}-")[0].mark
        == "marked as no exchange"
    )
    assert steps(RegisterStep(at, "import_wh", "exchange", 9, 1))[0].mark == ""


def test_register_and_charts_are_compared_to_the_wh() -> None:
    span = Window(instant("2026-11-17T00:00:00+00:00"), instant("2026-11-23T14:00:00+00:00"))
    same, other = Closure("import_wh", span, 55_537, 55_537), Closure("export_wh", span, 10, 9)
    rows = data_quality.data_quality(evidence(closures=[same, other]), ENGLISH).closures
    assert rows == [
        ("Import from 00:00 on Tuesday 17 November to 14:00: register and charts both 55,537 Wh", True),
        (
            "Export from 00:00 on Tuesday 17 November to 14:00: the register rose by 10 Wh, the charts add up to 9 Wh",
            False,
        ),
    ]


def test_refused_messages_are_counted_by_reason_today_and_in_all() -> None:
    days = {"2026-11-23": {"bad_time": 2}, "2026-11-22": {"bad_time": 1, "malformed_json": 1200}}
    found = data_quality.data_quality(evidence(refusals=Refusals(days, [])), ENGLISH)
    assert found.refused == "2 today, 1,203 in the last 35 days"
    assert found.by_reason == [("not JSON, or cut off", "0", "1,200"), ("no usable time", "2", "3")]


def test_a_refused_message_is_shown_indented_and_raw() -> None:
    message = Message(0, NOW - 60, "not_a_number", "power_w is '<b>'", '{"power_w":"<b>\x07"}')
    broken = Message(1, NOW, "malformed_json", "cut", '{"power_w":')
    cut, whole = data_quality.data_quality(evidence(refusals=Refusals({}, [broken, message])), ENGLISH).messages
    assert (cut.pretty, cut.raw) == ("", '{"power_w":')
    assert whole.raw == '{"power_w":"<b>\\x07"}'
    assert whole.time == "14:19:04"


def test_last_readings_show_unknown_fields_as_unknown() -> None:
    (row,) = data_quality.data_quality(evidence(last_readings=[READING]), ENGLISH).readings
    assert row == ("14:20:00", "612 W", "1,234,567 Wh", "–", "19M0001")
