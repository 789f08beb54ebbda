import csv
import io
from dataclasses import replace

from aggregator.core.periods import DAY_S
from aggregator.support.fleet import Summary, Trouble, Wanted
from dashboard.pages.support import attention_view
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import NOW
from tests.dashboard.support_desks import DEVICE

SILENT = Trouble(DEVICE, "silent", NOW - 3 * 3600, "not_joined", 0, "v2.0.2")
REFUSED = Trouble(replace(DEVICE, device_id="cad-2", serial="=1+1"), "refused", NOW - 60, "bad_time", 3, "")
COUNTS = Summary(NOW, 100, {"sending": 90, "late": 2, "silent_1_hour": 3}, {"v2": 60, "v1": 40}, {}, 4, 0, None)


def test_a_row_says_since_when_why_and_how_many() -> None:
    row = attention_view.trouble_row(SILENT, NOW, ENGLISH)
    assert (row.hit.name, row.problem, row.since) == ("12 Acacia Road", "Silent", "11:20 (3 h)")
    assert row.why == "It says that it has not joined the meter’s network, so it has nothing to send."
    row = attention_view.trouble_row(REFUSED, NOW, ENGLISH)
    assert (row.problem, row.why, row.many) == ("Refused messages", "no usable time", "3 messages today")


def test_the_csv_has_no_name_of_a_home_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(attention_view.csv_text([SILENT, REFUSED], ENGLISH))))
    assert [(row["device_id"], row["problem"], row["since"], row["messages"]) for row in rows] == [
        ("cad-1", "silent", "2026-11-23T11:20:04Z", ""),
        ("cad-2", "refused", "2026-11-23T14:19:04Z", "3"),
    ]
    assert rows[1]["serial"] == "'=1+1"
    assert DEVICE.name not in str(rows)


def test_chips_filter_and_are_taken_off_again() -> None:
    chips = attention_view.chips(COUNTS, Wanted("silent", "SW"), ENGLISH)
    assert [(chip.name, chip.number, chip.is_chosen) for chip in chips] == [
        ("Silent", "3", True),
        ("Charts behind", "0", False),
        ("Refused messages", "4", False),
        ("Weak signal", "0", False),
    ]
    assert [chip.url for chip in chips[:2]] == ["/desk/attention?area=SW", "/desk/attention?problem=behind&area=SW"]


def test_trends_follow_states_firmwares_and_areas() -> None:
    before = replace(COUNTS, at=NOW - DAY_S, states={"sending": 95, "silent_1_day": 5}, areas={"SW": (10, 1)})
    newest = replace(COUNTS, areas={"SW": (10, 4), "10": (5, 0)})
    states, firmwares, areas = attention_view.trends([before, newest], ENGLISH)
    assert [(one.name, one.number, one.line.summary) for one in states.rows] == [
        ("Sending", "90", "from 90 to 95"),
        ("Late", "2", "from 0 to 2"),
        ("Silent", "3", "from 3 to 5"),
    ]
    assert [(one.name, one.number) for one in firmwares.rows] == [("v2", "60"), ("v1", "40")]
    assert [(one.name, one.number, one.url) for one in areas.rows] == [
        ("SW", "4", "/desk/attention?area=SW"),
        ("10", "0", "/desk/attention?area=10"),
    ]


def test_a_single_day_is_no_trend() -> None:
    assert attention_view.trends([COUNTS], ENGLISH) == []
