from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from aggregator.core.documents import Device
from aggregator.core.live import Live
from aggregator.core.readings import Reading
from dashboard.pages.household import last_hour
from dashboard.pages.household.last_hour import GAP_S, PEAK_S, REDRAW_S, Held, Point
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, live

HOME = Device("cad-1", max_power_w=20_000)
HELD = Held(NOW - 14, NOW - 100, (NOW - 14, 300), (NOW - 600, 900), (NOW - 3590, 100))


def reading(at: int, power_w: int | None) -> Reading:
    return Reading("cad-1", at, power_w, None, None)


def whole(new: list[Point]) -> Any:  # noqa: ANN401 - a figure
    after = last_hour.holds(None, live("cad-1", 612), new, NOW)
    return last_hour.figure(LONDON, None, new, after, NOW, ENGLISH)


def changes(known: Held, new: list[Point]) -> dict[str, Any]:
    """Return the changes of a figure by place: `data.0.x`."""
    after = last_hour.holds(known, live("cad-1", 612), new, NOW)
    patch = last_hour.figure(LONDON, known, new, after, NOW, ENGLISH)
    return {".".join(map(str, one["location"])): one["params"]["value"] for one in patch["operations"]}


@pytest.mark.parametrize(
    "known",
    [None, "cad-1", [], ["cad-1", 7], ["cad-2", NOW, NOW, None, None, None], ["cad-1", "7", NOW, None, None, None]],
)
def test_an_invalid_note_of_a_browser_counts_as_none(known: object) -> None:
    assert last_hour.held(known, "cad-1", NOW) is None


def test_a_browser_is_known_by_its_note() -> None:
    assert last_hour.held([*HELD.note("cad-1")], "cad-1", NOW) is not None
    note: list[object] = ["cad-1", NOW - 14, NOW - 100, [NOW - 14, 300], [NOW - 600, 900], [NOW - 3590, 100]]
    assert last_hour.held(note, "cad-1", NOW) == HELD
    assert last_hour.held([*note[:3], [1], {}, "x"], "cad-1", NOW) == Held(NOW - 14, NOW - 100)


def test_the_whole_is_sent_again_after_a_quarter_of_an_hour() -> None:
    note: list[object] = ["cad-1", NOW - 14, NOW - REDRAW_S, None, None, None]
    assert last_hour.held(note, "cad-1", NOW - 1) is not None
    assert last_hour.held(note, "cad-1", NOW) is None
    assert last_hour.held(["cad-1", NOW, NOW + 10**9, None, None, None], "cad-1", NOW) is None


def test_a_browser_gets_only_new_points() -> None:
    assert last_hour.news(HOME, HELD, live("cad-1", 612), [], NOW) == [(NOW - 4, 612)]
    assert last_hour.news(HOME, replace(HELD, newest=NOW - 4), live("cad-1", 612), [], NOW) == []
    assert last_hour.news(HOME, HELD, None, [], NOW) == []


def test_a_poll_reads_no_history_while_it_keeps_up() -> None:
    for newest in (NOW - 14, NOW - 34, NOW - 4):
        assert last_hour.since(replace(HELD, newest=newest), live("cad-1", 612), NOW) is None
    assert last_hour.since(None, None, NOW) is None


def test_after_an_absence_only_missed_readings_are_read() -> None:
    assert last_hour.since(replace(HELD, newest=NOW - 300), live("cad-1", 612), NOW) == NOW - 299
    assert last_hour.since(replace(HELD, newest=NOW - 90_000), live("cad-1", 612), NOW) == NOW - 3600
    assert last_hour.since(None, live("cad-1", 612), NOW) == NOW - 3600


def test_another_device_gets_its_whole_hour() -> None:
    stored = [reading(at, 100) for at in range(NOW - 5400, NOW - 4, 10)]
    new = last_hour.news(HOME, None, live("cad-1", 612), stored, NOW)
    assert (len(new), new[0][0] >= NOW - 3600, new[-1]) == (361, True, (NOW - 4, 612))


def test_a_reading_without_power_is_not_read_again() -> None:
    silent: Live = live("cad-1", None)
    assert last_hour.news(HOME, replace(HELD, newest=0), silent, [], NOW) == []
    assert last_hour.holds(HELD, silent, [], NOW).newest == NOW - 4


def test_a_power_is_drawn_at_its_own_instant() -> None:
    in_turn = live("cad-1", 1200)._replace(power_at=NOW - 7)
    assert last_hour.news(HOME, HELD, in_turn, [], NOW) == [(NOW - 7, 1200)]


def test_unknown_and_impossible_power_is_left_out() -> None:
    readings = [reading(NOW - 50, None), reading(NOW - 40, 25_000), reading(NOW - 30, -20_000), reading(NOW - 20, 0)]
    assert last_hour.points(readings, NOW - 3600, HOME.max_power_w) == [(NOW - 30, -20_000), (NOW - 20, 0)]


def test_readings_each_second_are_drawn_every_ten_seconds() -> None:
    start = NOW - NOW % 10
    readings = [reading(start + second, second) for second in range(25)]
    assert last_hour.points(readings, start, 20_000) == [(start + 9, 9), (start + 19, 19), (start + 24, 24)]


def test_points_are_sorted_by_time() -> None:
    readings = [reading(NOW - 4, 3), reading(NOW - 40, 1), reading(NOW - 20, 2)]
    assert [watts for _, watts in last_hour.points(readings, NOW - 3600, 20_000)] == [1, 2, 3]


def test_a_peak_that_has_left_the_hour_cuts_nothing_off() -> None:
    """Other points between both ends are still drawn, and their height is not in the note."""
    known = replace(HELD, high=(NOW - 3601, 900))
    assert "layout.yaxis.range" not in changes(known, [(NOW - 4, 612)])
    note = known.note("cad-1")
    note[2:] = [NOW, *([*point] for point in (known.last, known.high, known.low) if point)]
    assert last_hour.held(note, "cad-1", NOW + PEAK_S - 1) is not None
    assert last_hour.held(note, "cad-1", NOW + PEAK_S) is None


# The figure


def test_import_is_above_zero_and_export_below() -> None:
    figure = whole([(NOW - 30, 500), (NOW - 20, -800), (NOW - 10, -900), (NOW - 4, 200)])
    assert figure["data"][0]["y"] == [500, 0, 0, 200]
    assert figure["data"][1]["y"] == [0, -800, -900, 0, None]
    assert figure["data"][0]["text"][1] == "14:19:44  800 W exporting"
    assert figure["layout"]["yaxis"]["range"] == [-900, 500]
    go.Figure(figure)  # plotly takes every value


def test_no_line_is_drawn_across_a_gap() -> None:
    figure = whole([(NOW - 1000, 500), (NOW - 1000 + GAP_S, 400), (NOW - 4, 300)])
    assert figure["data"][0]["y"] == [500, 400, 0, None, 0, 300]


def test_the_highest_and_the_lowest_point_are_named_inside() -> None:
    marks = whole([(NOW - 3500, 77), (NOW - 1800, 3140), (NOW - 4, 612)])["data"][2]
    assert marks["text"] == ["3.14 kW", "77 W"]
    assert marks["textposition"] == ["top center", "bottom right"]


def test_close_peaks_share_one_name() -> None:
    assert whole([(NOW - 60, 600), (NOW - 4, 612)])["data"][2]["text"] == ["612 W"]


def test_a_poll_brings_the_changes_alone() -> None:
    changed = changes(HELD, [(NOW - 4, 612)])
    assert changed["layout.xaxis.range"] == [NOW - 3600, NOW]
    assert changed["data.0.x"] == [NOW - 4]
    assert changed["data.0.text"] == ["14:20:00  612 W"]
    assert "data.1.x" not in changed
    assert "data.2" not in changed


def test_a_poll_with_a_new_peak_names_it() -> None:
    changed = changes(HELD, [(NOW - 4, 4400)])
    assert changed["data.2"]["text"] == ["4.40 kW", "100 W"]
    assert changed["layout.yaxis.range"] == [0, 4400]


def test_without_news_the_hour_only_slides() -> None:
    assert [*changes(HELD, [])] == ["layout.xaxis.range"]


def test_a_home_without_a_reading_has_an_empty_hour() -> None:
    after = last_hour.holds(None, None, [], NOW)
    assert last_hour.summary(after, ENGLISH) == "No power in the last hour"
    go.Figure(last_hour.figure(LONDON, None, [], after, NOW, ENGLISH))
