from typing import Any, get_args

import pytest

from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, HOUR
from aggregator.intake.device_status import KnownStatus
from aggregator.store.port import Backlog
from aggregator.support.device_state import Covered, Judgement, Reason, State
from aggregator.support.diagnostics import LevelState
from dashboard.pages.support import health_view
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import NOW, instant
from tests.dashboard.support_desks import SAID, WELL, evidence


def last_heard(at: int, behind: int = 0) -> Live:
    return Live("cad-1", at - behind, at, 612, None, None, None)


def sending(state: State, reason: Reason | None, since: int | None, live: Live | None) -> health_view.Verdict:
    return health_view.sending(evidence(judgement=Judgement(state, reason, since, 10), live=live), ENGLISH).answer


def test_a_sending_device_shows_the_end_of_its_last_gap() -> None:
    since = instant("2026-11-17T13:10:00+00:00")
    assert sending("sending", "on_time", since, WELL.live) == (
        "good",
        "Sending",
        "A reading is expected every 10 s, and they come without a gap since 13:10 on Tuesday 17 November.",
    )


def test_a_device_without_a_known_gap_shows_no_date() -> None:
    answer = sending("sending", "on_time", None, WELL.live)
    assert answer.sentence == "A reading is expected every 10 s, and none is overdue."


def test_a_clock_that_is_behind_is_a_warning() -> None:
    answer = sending("sending", "clock_behind", None, last_heard(NOW - 4, 75 * 60))
    assert (answer.tone, answer.short) == ("warn", "Sending")
    assert "1 h 15 min behind" in answer.sentence


def test_a_late_device_shows_the_time_and_the_usual_interval() -> None:
    answer = sending("late", "overdue", NOW - 90, last_heard(NOW - 90))
    assert answer == (
        "warn",
        "Late since 14:18",
        "For 1 min no reading has come; one is expected every 10 s.",
    )


def test_a_silent_device_shows_the_time_and_the_reason() -> None:
    answer = sending("silent", "nothing_comes", NOW - 2 * HOUR, last_heard(NOW - 2 * HOUR))
    assert (answer.tone, answer.short) == ("bad", "Silent since 12:20")
    assert answer.sentence.startswith("For 2 h no reading has come; one is expected every 10 s. Nothing at all comes")


def test_a_time_before_a_clock_change_names_its_zone() -> None:
    answer = sending("silent", "nothing_comes", NOW - 40 * DAY_S, last_heard(NOW - 40 * DAY_S))
    assert answer.short == "Silent since 15:20 on Wednesday 14 October (BST)"


@pytest.mark.parametrize("reason", sorted(health_view.WHY))
def test_each_reason_of_silence_is_explained(reason: Reason) -> None:
    assert health_view.WHY[reason] in sending("silent", reason, NOW - HOUR, last_heard(NOW - HOUR)).sentence


def test_every_reason_has_words() -> None:
    assert {*health_view.WHY, "on_time", "overdue", "clock_behind"} == set(get_args(Reason))
    assert set(health_view.STATES) == set(health_view.TONES) == set(get_args(State))


def test_a_device_without_any_reading_is_unknown_not_bad() -> None:
    assert sending("never", None, None, None) == (
        "unknown",
        "Never heard",
        "No reading has ever come from this device.",
    )
    assert "refused" in sending("never", "only_refused", None, None).sentence


def test_a_supplied_device_says_since_when_its_energy_is_known() -> None:
    since = NOW - 40 * DAY_S
    assert sending("supplied", None, since, None) == (
        "good",
        "Supplied",
        "Its energy comes from the supplier, since Wednesday 14 October 2026.",
    )
    assert "refused" in sending("supplied", "only_refused", since, None).sentence
    supplied = evidence(live=None, strip=[Covered("2026-11-21", 0, 0, 0, 1), Covered("2026-11-22", 0, 0, 1)])
    facts = health_view.sending(supplied, ENGLISH).facts
    assert facts == [("Last reading", "never", ""), ("Newest data of the supplier", "Saturday 21 November 2026", "")]


def test_the_last_reading_is_shown_to_the_second() -> None:
    facts = health_view.sending(WELL, ENGLISH).facts
    assert facts == [("Last reading", "4 s ago", "14:20:00"), ("Expected", "every 10 s", ""), ("Power", "612 W", "")]


def test_an_older_power_is_shown_with_its_age() -> None:
    in_turn = last_heard(NOW - 4)._replace(power_at=NOW - 7)
    facts = health_view.sending(evidence(live=in_turn), ENGLISH).facts
    assert facts[-1] == ("Power", "612 W", "3 s before the last reading")
    unknown = health_view.sending(evidence(live=in_turn._replace(power_w=None, power_at=None)), ENGLISH).facts
    assert unknown[-1] == ("Power", "not reported", "")


def test_a_meters_clock_is_shown_if_it_differs() -> None:
    facts = health_view.sending(evidence(live=last_heard(NOW - 4, 3600)), ENGLISH).facts
    assert facts[-1] == ("Its own clock then", "13:20:00", "")


# The signal


def signal_of(**different: Any) -> health_view.SignalView:  # noqa: ANN401 - any of its fields
    known = KnownStatus(SAID._replace(**different), NOW - 8, {"v2.0.2": (NOW - 5 * DAY_S, NOW), "v1.8.13": (1, 2)})
    return health_view.signal(evidence(known=known), [], ENGLISH)


@pytest.mark.parametrize(
    ("rssi", "lqi", "tone", "short"),
    [
        (-61, 180, "good", "Good"),
        (-76, 180, "warn", "Fair"),
        (-61, 59, "warn", "Fair"),
        (-86, 180, "bad", "Weak"),
        (-61, 29, "bad", "Weak"),
        (None, 180, "good", "Good"),
        (-90, None, "bad", "Weak"),
        (None, None, "unknown", "Not known"),
    ],
)
def test_a_signal_is_as_good_as_its_weaker_figure(rssi: int | None, lqi: int | None, tone: str, short: str) -> None:
    answer = signal_of(rssi_dbm=rssi, lqi=lqi).answer
    assert (answer.tone, answer.short) == (tone, short)


def test_a_device_outside_the_meters_network_is_bad() -> None:
    assert signal_of(joined=False).answer[:2] == ("bad", "Not joined")


def test_link_quality_is_no_percentage() -> None:
    assert ("Link quality (LQI)", "180 of 255", "") in signal_of().facts


def test_firmware_has_its_first_time_and_predecessor() -> None:
    note = next(fact.note for fact in signal_of().facts if fact.name == "Firmware")
    assert note == "seen since 14:20 on Wednesday 18 November, before that v1.8.13"


def test_a_device_without_a_status_has_an_unknown_signal() -> None:
    view = health_view.signal(evidence(known=None), [], ENGLISH)
    assert view.answer.tone == "unknown"
    assert (view.facts, view.rssi, view.lqi) == ([], None, None)


# The charts


def charts(behind: int, waiting: int, *, is_right: bool = False) -> health_view.ChartsView:
    levels = [LevelState("day", "2026-11-23", behind, is_right), LevelState("month", "2026-11", 0, True)]
    backlog = Backlog(waiting, NOW - 90 if waiting else None)
    return health_view.charts(evidence(levels=levels, backlog=backlog), ENGLISH)


def test_charts_that_agree_with_the_readings_are_good() -> None:
    view = charts(0, 0, is_right=True)
    assert view.answer[:2] == ("good", "Yes")
    assert view.waiting == "Nothing waits in the waterfall."
    assert view.levels[0] == ("Monday 23 November 2026", "up to date", "")


def test_each_chart_shows_its_last_change_if_known() -> None:
    day = LevelState("day", "2026-11-23", 0, True, NOW - 2)
    month = LevelState("month", "2026-11", 600, False, NOW - 7200)
    levels = health_view.charts(evidence(levels=[day, month, LevelState("year", "2026", 0, False)]), ENGLISH).levels
    assert [fact.note for fact in levels] == ["changed 2 s ago", "changed 2 h ago", ""]


def test_a_late_chart_is_only_a_warning_while_changes_wait() -> None:
    view = charts(600, 12)
    assert view.answer[:2] == ("warn", "Behind")
    assert view.levels[0].value == "10 min behind"
    assert view.waiting == "12 changes wait in the waterfall, of all devices; the oldest for 1 min."


def test_a_change_during_the_read_has_waited_zero_seconds() -> None:
    view = health_view.charts(evidence(backlog=Backlog(1, NOW + 1)), ENGLISH)
    assert view.waiting == "1 change waits in the waterfall, of all devices; the oldest for 0 s."


def test_a_wrong_chart_without_waiting_changes_is_bad() -> None:
    view = charts(0, 0)
    assert view.answer[:2] == ("bad", "Wrong")
    assert view.levels[0].value == "not what its readings tell"


def test_quarantined_changes_take_precedence() -> None:
    view = health_view.charts(evidence(aside=["day 2026-11-17: damaged"]), ENGLISH)
    assert view.answer[:2] == ("bad", "Put aside")
    assert view.aside == ["day 2026-11-17: damaged"]


def test_without_readings_the_charts_are_unknown() -> None:
    assert health_view.charts(evidence(levels=[]), ENGLISH).answer.tone == "unknown"
