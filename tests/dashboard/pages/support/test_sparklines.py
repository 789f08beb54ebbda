from aggregator.core.periods import HOUR, Window
from aggregator.intake.device_status import Signal
from aggregator.support.device_state import Covered, Hour
from dashboard.pages.support import sparklines
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, instant

START = instant("2026-11-22T15:00:00+00:00")


def hours(*readings: int, expected: int = 360) -> list[Hour]:
    return [Hour(START + place * HOUR, count, expected) for place, count in enumerate(readings)]


def covered(day: int, measured: float, estimated: float = 0.0) -> Covered:
    return Covered(f"2026-11-{day:02d}", measured, estimated, 1 - measured - estimated)


def test_a_day_names_the_suppliers_share() -> None:
    day = Covered("2026-11-22", 0.5, 0.1, 0.0, 0.4)
    strip = sparklines.coverage([day], ENGLISH)
    assert [(bar.kind, round(bar.height)) for bar in strip.bars] == [
        ("measured", 50),
        ("supplied", 40),
        ("estimated", 10),
    ]
    assert sparklines.shares(day, ENGLISH) == "50 % measured, 40 % from the supplier, 10 % estimated"


def test_a_bars_height_is_the_share_of_received_readings() -> None:
    strip = sparklines.hours_sparkline(hours(360, 180, 0, 358), NOW, LONDON, ENGLISH)
    assert [(bar.kind, bar.height) for bar in strip.bars[:3]] == [("whole", 100), ("some", 50), ("none", 100)]
    assert strip.bars[3].kind == "whole"


def test_more_readings_than_expected_stay_within_the_sparkline() -> None:
    strip = sparklines.hours_sparkline(hours(720), NOW, LONDON, ENGLISH)
    assert (strip.bars[0].height, strip.bars[0].kind) == (100, "whole")


def test_a_new_hour_does_not_count_as_empty() -> None:
    strip = sparklines.hours_sparkline(hours(0, expected=0), NOW, LONDON, ENGLISH)
    assert strip.bars[0].kind == "whole"


def test_a_few_readings_give_a_visible_bar() -> None:
    assert sparklines.hours_sparkline(hours(1), NOW, LONDON, ENGLISH).bars[0].height == sparklines.LEAST


def test_an_hours_label_has_its_count_and_local_time() -> None:
    summer = [Hour(instant("2026-07-01T12:00:00+00:00"), 351, 360)]
    title = sparklines.hours_sparkline(summer, NOW, LONDON, ENGLISH).bars[0].title
    assert title == "Wed 1 Jul, 13:00–14:00: 351 of 360 readings"


def test_hours_are_summed_up_in_words() -> None:
    strip = sparklines.hours_sparkline(hours(360, 0, 0, 360), NOW, LONDON, ENGLISH)
    assert strip.summary == "720 of 1,440 readings; none in 2 hours, the last from 17:00 on Sunday 22 November."
    assert (
        sparklines.hours_sparkline(hours(360), NOW, LONDON, ENGLISH).summary
        == "360 of 360 readings; some in every hour."
    )


def test_hours_without_readings_are_mentioned() -> None:
    assert sparklines.hours_sparkline(hours(0, 0, 0), NOW, LONDON, ENGLISH).summary == "No reading in any hour."


def test_a_day_has_labels_six_hourly_and_a_week_daily() -> None:
    day = sparklines.hours_sparkline(hours(*[360] * 24), NOW, LONDON, ENGLISH)
    assert [tick.label for tick in day.ticks] == ["18:00", "00:00", "06:00", "12:00"]
    week = sparklines.hours_sparkline(hours(*[360] * 168), NOW, LONDON, ENGLISH)
    assert [tick.label for tick in week.ticks][:2] == ["Mon 23", "Tue 24"]
    assert all(tick.left <= sparklines.LAST_TICK for tick in (*day.ticks, *week.ticks))


def test_the_parts_of_a_day_stack_to_its_full_height() -> None:
    bars = sparklines.coverage([covered(17, 0.5, 0.25)], ENGLISH).bars
    assert [(bar.kind, bar.y, bar.height) for bar in bars] == [
        ("measured", 0, 50),
        ("estimated", 50, 25),
        ("missing", 75, 25),
    ]
    assert bars[0].title == "Tue 17 Nov: 50 % measured, 25 % estimated, 25 % missing"


def test_coverage_names_the_least_measured_day() -> None:
    strip = sparklines.coverage([covered(16, 1), covered(17, 0.79, 0.21), covered(18, 1)], ENGLISH)
    assert strip.summary == "2 of 3 days measured whole; least on Tuesday 17 November: 79 % measured, 21 % estimated."
    assert sparklines.coverage([covered(16, 1)], ENGLISH).summary == "1 of 1 day measured whole."


def test_days_before_the_first_data_do_not_count() -> None:
    strip = sparklines.coverage([covered(15, 0), covered(16, 0), covered(17, 1), covered(18, 1)], ENGLISH)
    assert strip.summary == "2 of 2 days measured whole since Tuesday 17 November."


def test_a_device_without_data_has_an_empty_sparkline() -> None:
    assert sparklines.coverage([covered(15, 0), covered(16, 0)], ENGLISH).summary == "No data on any day."


# The signal


SPAN = Window(START, START + 10 * HOUR)


def signals(*values: int | None, every: int = HOUR) -> list[Signal]:
    return [Signal(START + place * every, value, None, True) for place, value in enumerate(values)]


def test_a_line_rises_with_the_signal() -> None:
    line = sparklines.rssi_line(signals(-100, -65, -30), SPAN, ENGLISH)
    assert line
    assert line.pieces == ["0.00,100.0 10.00,50.0 20.00,0.0"]
    assert line.summary == "from −100 to −30 dBm"


def test_hours_without_data_break_the_line() -> None:
    line = sparklines.rssi_line(signals(-60, -60, every=4 * HOUR), SPAN, ENGLISH)
    assert line
    assert len(line.pieces) == 2


def test_an_unreported_figure_has_no_line() -> None:
    assert sparklines.lqi_line(signals(-60, -61), SPAN, ENGLISH) is None
    assert sparklines.rssi_line(signals(None), SPAN, ENGLISH) is None


def test_a_figure_beyond_the_scale_stays_within_the_drawing() -> None:
    line = sparklines.rssi_line(signals(-128, 20), SPAN, ENGLISH)
    assert line
    assert line.pieces == ["0.00,100.0 10.00,0.0"]
