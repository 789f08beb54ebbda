import pytest

from aggregator.core.documents import Device
from aggregator.core.readings import Reading
from dashboard.pages.household import live_tile
from tests.dashboard.homes import NOW, live

HOME = Device("cad-1", max_power_w=20_000)


def reading(at: int, power_w: int | None) -> Reading:
    return Reading("cad-1", at, power_w, None, None)


@pytest.mark.parametrize(
    "known", [None, "cad-1", [], ["cad-1"], ["cad-2", 7], ["cad-1", "7"], {"cad-1": 7}, ["cad-1", 7, 8], [["cad-1"], 7]]
)
def test_an_invalid_browser_state_counts_as_none(known: object) -> None:
    assert live_tile.newest_held(known, "cad-1") is None


def test_a_browser_gets_only_new_points() -> None:
    assert live_tile.newest_held(["cad-1", NOW - 14], "cad-1") == NOW - 14
    news = live_tile.news(HOME, NOW - 14, live("cad-1", 612), [], NOW)
    assert news == {"device": "cad-1", "now": NOW, "newest": NOW - 4, "points": [(NOW - 4, 612)]}


def test_no_point_is_sent_twice() -> None:
    assert live_tile.news(HOME, NOW - 4, live("cad-1", 612), [], NOW) is None
    assert live_tile.news(HOME, 0, None, [], NOW) is None


def test_a_poll_reads_no_history_while_it_keeps_up() -> None:
    assert live_tile.since(NOW - 14, live("cad-1", 612), NOW) is None
    assert live_tile.since(NOW - 34, live("cad-1", 612), NOW) is None
    assert live_tile.since(NOW - 4, live("cad-1", 612), NOW) is None
    assert live_tile.since(None, None, NOW) is None


def test_after_an_absence_only_missed_readings_are_read() -> None:
    assert live_tile.since(NOW - 300, live("cad-1", 612), NOW) == NOW - 299
    assert live_tile.since(NOW - 90_000, live("cad-1", 612), NOW) == NOW - 3600
    assert live_tile.since(None, live("cad-1", 612), NOW) == NOW - 3600


def test_another_device_replaces_the_whole_hour() -> None:
    stored = [reading(at, 100) for at in range(NOW - 5400, NOW - 4, 10)]
    news = live_tile.news(HOME, None, live("cad-1", 612), stored, NOW)
    assert news is not None
    assert (news["whole"], news["zone"], len(news["points"])) == (True, "Europe/London", 361)
    assert news["points"][0][0] >= NOW - 3600
    assert news["points"][-1] == (NOW - 4, 612)


def test_a_home_without_a_reading_empties_the_graph() -> None:
    news = live_tile.news(HOME, None, None, [], NOW)
    assert news is not None
    assert (news["whole"], news["newest"], news["points"]) == (True, 0, [])


def test_a_reading_without_power_is_not_read_again() -> None:
    news = live_tile.news(HOME, 0, live("cad-1", None), [], NOW)
    assert news is not None
    assert (news["newest"], news["points"]) == (NOW - 4, [])


def test_a_power_is_drawn_at_its_own_instant() -> None:
    in_turn = live("cad-1", 1200)._replace(power_at=NOW - 7)
    news = live_tile.news(HOME, NOW - 14, in_turn, [], NOW)
    assert news is not None
    assert (news["newest"], news["points"]) == (NOW - 4, [(NOW - 7, 1200)])


def test_unknown_and_impossible_power_is_left_out() -> None:
    readings = [reading(NOW - 50, None), reading(NOW - 40, 25_000), reading(NOW - 30, -20_000), reading(NOW - 20, 0)]
    assert live_tile.points(readings, NOW - 3600, HOME.max_power_w) == [(NOW - 30, -20_000), (NOW - 20, 0)]


def test_readings_each_second_are_drawn_every_ten_seconds() -> None:
    start = NOW - NOW % 10
    readings = [reading(start + second, second) for second in range(25)]
    assert live_tile.points(readings, start, 20_000) == [(start + 9, 9), (start + 19, 19), (start + 24, 24)]


def test_points_are_sorted_by_time() -> None:
    readings = [reading(NOW - 4, 3), reading(NOW - 40, 1), reading(NOW - 20, 2)]
    assert [watts for _, watts in live_tile.points(readings, NOW - 3600, 20_000)] == [1, 2, 3]
