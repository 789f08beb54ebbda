import pytest

from aggregator.core.status import Counters
from aggregator.intake.device_status import KnownStatus
from aggregator.support.anomalies import CounterComparison
from aggregator.support.diagnostics import Diagnostics
from dashboard.pages.support import search_results
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW, instant
from tests.dashboard.support_desks import SAID, WELL, evidence

START = instant("2026-11-23T00:00:00+00:00")
SUMMER = instant("2026-07-15T00:00:00+01:00")


def one(
    meter: int = 9_000,
    charts: int | None = 9_000,
    utc: int | None = 9_000,
    starts: tuple[int, int] = (START, START),
    unknown_s: int = 0,
) -> CounterComparison:
    return CounterComparison("day", NOW - 4, starts[0], meter, charts, starts[1], utc, unknown_s)


def with_counters(*rows: CounterComparison) -> Diagnostics:
    known = KnownStatus(SAID._replace(counters=Counters(NOW - 4, 9_000, None, None)), NOW - 4, {})
    return evidence(known=known, counted=list(rows))


@pytest.mark.parametrize(
    ("counter", "expected"),
    [
        (one(), "the same"),
        (one(9_050), "the same but for 50 Wh"),
        (one(8_950), "the same but for 50 Wh"),
        (one(9_051), "51 Wh more; meters begin these counters in ways of their own"),
        (one(4_000), "5.00 kWh less; meters begin these counters in ways of their own"),
        (one(charts=None, utc=None), "there is no chart to compare it with"),
        (
            one(8_700, 9_000, 8_740, (SUMMER, SUMMER + 3600)),
            "0.30 kWh less; that fits a counter that begins anew at midnight UTC, 01:00 here",
        ),
        (
            one(8_600, 9_000, 8_740, (SUMMER, SUMMER + 3600)),
            "0.40 kWh less; meters begin these counters in ways of their own",
        ),
        (one(20_000, 9_000, 9_000, unknown_s=7200), "11.0 kWh more; the charts know nothing of 2 h"),
        (
            one(8_000, 9_000, 9_000, unknown_s=7200),
            "1.00 kWh less; meters begin these counters in ways of their own",
        ),
        (one(20_000, unknown_s=300), "11.0 kWh more; meters begin these counters in ways of their own"),
    ],
)
def test_a_difference_comes_with_its_likely_reason(counter: CounterComparison, expected: str) -> None:
    assert search_results.compared(counter, LONDON, ENGLISH) == expected


def test_utc_goes_unmentioned_if_both_midnights_coincide() -> None:
    assert "UTC" not in search_results.compared(one(8_000, 9_000, 8_000), LONDON, ENGLISH)


def test_each_counter_is_a_row_with_one_common_time() -> None:
    view = search_results.counters(with_counters(one(), one(1_204, None, None)._replace(span="week")), ENGLISH)
    assert view.sentence.startswith("Import as the meter counted it itself, up to 14:20:00.")
    assert view.rows == [
        ("Day", "9,000 Wh", "9,000 Wh", "the same"),
        ("Week, since Monday", "1,204 Wh", "–", "there is no chart to compare it with"),
    ]


def test_missing_counters_are_mentioned() -> None:
    assert search_results.counters(WELL, ENGLISH) == search_results.CountersView("This device sends none.", [])
    assert search_results.counters(evidence(known=None), ENGLISH).rows == []


def test_old_counters_are_not_compared() -> None:
    view = search_results.counters(with_counters(), ENGLISH)
    assert view.sentence == "It last sent them at 14:20:00, too long ago to be compared."
