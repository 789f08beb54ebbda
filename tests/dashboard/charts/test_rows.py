from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from aggregator.core.money import Cost, money_text
from aggregator.core.periods import FOR_EVER, HALF_HOUR, LEVELS
from dashboard.charts import pictures
from tests.dashboard.homes import LONDON, NOW, instant

HOUR = Part(1234, 56, 100, 4, 3000, 100, 20, 1, 500)
AUTUMN, SPRING = "2026-10-25", "2026-03-29"


def document(level: str, period: str, parts: Mapping[str, Part], zone: str = LONDON, currency: str = "") -> Document:
    return Document(level, "cad-1", period, zone, parts, currency)


def table(one: Document, by: str, now: int = FOR_EVER, *, is_priced: bool = False) -> list[dict[str, str]]:
    """Return the rows by their column names."""
    names = pictures.header(by, is_priced=is_priced)
    return [dict(zip(names, row, strict=True)) for row in pictures.rows(one, by, now, is_priced=is_priced)]


def spans(rows: list[dict[str, str]]) -> list[timedelta]:
    return [datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"]) for row in rows]


def test_energy_is_exact_kwh_with_estimate_and_coverage() -> None:
    assert table(document("day", "2026-11-22", {"h07": HOUR}), "hour")[7] == {
        "start": "2026-11-22T07:00:00+00:00",
        "end": "2026-11-22T08:00:00+00:00",
        "import_kwh": "1.234",
        "export_kwh": "0.056",
        "estimated_kwh": "0.104",
        "interval_kwh": "0.021",
        "coverage": "0.8333",
    }


def test_gas_has_a_column_of_cubic_metres() -> None:
    gas = document("day", "2026-11-22", {"h07": HOUR._replace(volume_l=1050)})
    rows = [*pictures.rows(gas, "hour", FOR_EVER, is_priced=False, is_gas=True)]
    place = pictures.header("hour", is_priced=False, is_gas=True).index("volume_m3")
    assert [row[place] for row in rows[6:9]] == ["", "1.050", ""]


def test_unknown_is_empty_and_nothing_is_zero() -> None:
    found = table(document("day", "2026-11-22", {"h00": Part(0, None, covered_s=3600)}), "hour")
    assert list(found[0].values())[2:] == ["0.000", "", "0.000", "0.000", "1.0000"]
    assert list(found[1].values())[2:] == ["", "", "", "", "0.0000"]


@pytest.mark.parametrize(
    ("day", "zone", "hours", "half_hours", "last"),
    [
        (AUTUMN, LONDON, 25, 50, timedelta(hours=1)),
        (SPRING, LONDON, 23, 46, timedelta(hours=1)),
        ("2026-04-05", "Australia/Lord_Howe", 25, 49, timedelta(minutes=30)),  # 24.5 hours
        ("2026-10-04", "Australia/Lord_Howe", 24, 47, timedelta(minutes=30)),  # 23.5 hours
    ],
)
def test_a_days_rows_follow_its_clock_changes(
    day: str, zone: str, hours: int, half_hours: int, last: timedelta
) -> None:
    empty = document("day", day, {}, zone)
    by_hour, by_half_hour = table(empty, "hour"), table(empty, "half-hour")
    assert (len(by_hour), len(by_half_hour)) == (hours, half_hours)
    assert spans(by_hour) == [timedelta(hours=1)] * (hours - 1) + [last]
    assert set(spans(by_half_hour)) == {timedelta(minutes=30)}


def test_a_repeated_hour_has_distinct_offsets() -> None:
    starts = [row["start"] for row in table(document("day", AUTUMN, {}), "hour")]
    assert starts[1:3] == ["2026-10-25T01:00:00+01:00", "2026-10-25T01:00:00+00:00"]


def test_a_skipped_date_has_no_row() -> None:
    found = table(document("month", "2011-12", {}, "Pacific/Apia"), "day")
    assert [row["start"][:10] for row in found][-2:] == ["2011-12-29", "2011-12-31"]
    assert len(found) == 30


def test_only_begun_intervals_have_rows() -> None:
    open_day = document("day", "2026-11-23", {"h14": HOUR})
    assert table(open_day, "hour", NOW)[-1]["start"] == "2026-11-23T14:00:00+00:00"
    assert len(table(open_day, "half-hour", NOW)) == 29
    assert len(table(document("month", "2026-11", {}), "day", NOW)) == 23
    assert table(document("month", "2026-12", {}), "day", NOW) == []
    assert len(table(open_day, "hour", instant("2026-11-23T15:00:00+00:00"))) == 16


COST = Cost(643_125 * 10**6, -5, 531 * 10**10, 3, 4, 10**13, 0)


def test_money_is_exact_with_separate_earnings() -> None:
    month = document("month", "2026-11", {"d01": HOUR._replace(cost=COST)}, currency="GBP")
    assert list(table(month, "day", is_priced=True)[0].items())[7:] == [
        ("import_cost", "0.0643125"),
        ("export_earnings", "-0.0000000000005"),
        ("standing_charge", "0.531"),
        ("unpriced_kwh", "0.007"),
        ("currency", "GBP"),
    ]


def test_a_part_of_a_day_has_no_standing_charge() -> None:
    charged = [by for by in pictures.intervals("year") if "standing_charge" in pictures.header(by, is_priced=True)]
    assert charged == ["day", "month"]
    priced = {"h00": HOUR._replace(cost=COST)}
    day = table(document("day", "2026-11-22", priced, currency="JPY"), "hour", is_priced=True)
    assert list(day[0].values())[7:] == ["0.0643125", "-0.0000000000005", "0.007", "JPY"]


def test_a_day_without_data_has_a_standing_charge_and_no_energy() -> None:
    charged = EMPTY._replace(cost=Cost(None, None, 531 * 10**10))
    row = table(document("month", "2026-11", {"d02": charged}, currency="GBP"), "day", is_priced=True)[1]
    known = {name: cell for name, cell in row.items() if cell and name not in ("start", "end")}
    assert known == {"coverage": "0.0000", "standing_charge": "0.531", "currency": "GBP"}


def test_unpriced_energy_has_an_empty_cost() -> None:
    unpriced = HOUR._replace(cost=Cost(None, None, None, 1234, 56))
    found = table(document("day", "2026-11-22", {"h00": unpriced, "h01": HOUR}), "hour", is_priced=True)
    assert list(found[0].values())[7:] == ["", "", "1.290", ""]
    assert list(found[1].values())[7:] == ["", "", "", ""]


def test_a_home_without_a_tariff_has_no_columns_of_money() -> None:
    assert pictures.header("day", is_priced=False)[-1] == "coverage"


wh = st.none() | st.integers(0, 10**7)
costs = st.builds(Cost, wh, wh, unpriced_import_wh=st.integers(0, 10**6))
halves = st.builds(Part, wh, wh, covered_s=st.integers(0, HALF_HOUR), cost=costs)


@st.composite
def days(draw: st.DrawFn) -> Document:
    day, zone = draw(st.sampled_from([(AUTUMN, LONDON), (SPRING, LONDON), ("2026-04-05", "Australia/Lord_Howe")]))
    names = [slot.name for slot in periods.half_hours(day, zone)]
    parts = draw(st.dictionaries(st.sampled_from(names), halves))
    by_hour: dict[str, list[Part]] = {}
    for name, part in parts.items():
        by_hour.setdefault(periods.hour_of_half(name), []).append(part)
    return document("day", day, {**parts, **{name: add(inside) for name, inside in by_hour.items()}}, zone, "AUD")


@given(days())
def test_the_rows_of_a_day_add_up_to_it(day: Document) -> None:
    total = day.total
    for by in ("hour", "half-hour"):
        found = table(day, by, is_priced=True)
        for column, expected in (("import_kwh", total.import_wh), ("export_kwh", total.export_wh)):
            known = [Decimal(row[column]) for row in found if row[column]]
            assert (sum(known) * 1000 if known else None) == expected
        known = [Decimal(row["import_cost"]) for row in found if row["import_cost"]]
        cost = total.cost.import_cost
        assert (sum(known) if known else None) == (None if cost is None else Decimal(money_text(cost)))


@given(
    st.integers(2000, 2199),
    st.integers(1, 12),
    st.sampled_from(sorted(pictures.intervals("year"))),
    st.sampled_from(list(LEVELS)),
)
def test_document_ranges_cover_a_period_in_short_pieces(year: int, month: int, by: str, level: str) -> None:
    period = {"day": f"{year}-{month:02d}-28", "month": f"{year}-{month:02d}", "year": f"{year}"}[level]
    if by not in pictures.intervals(level):
        return
    held_by, found = pictures.held_by(level, by), list[list[str]]()
    for first, last in pictures.document_ranges(level, period, by):
        found.append([first])
        while found[-1][-1] < last:
            found[-1].append(periods.shift(held_by, found[-1][-1], 1))
    assert max(map(len, found)) <= 31
    whole = [one for stretch in found for one in stretch]
    windows = [periods.window(held_by, one, LONDON) for one in whole]
    assert all(before.end == after.start for before, after in pairwise(windows))
    assert (windows[0].start, windows[-1].end) == periods.window(level, period, LONDON)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("day", ["half-hour", "hour"]),
        ("month", ["half-hour", "hour", "day"]),
        ("year", ["half-hour", "hour", "day", "month"]),
    ],
)
def test_a_period_has_its_charts_interval_or_finer_ones(level: str, expected: list[str]) -> None:
    assert pictures.intervals(level) == expected
    assert pictures.shown_by(level) == expected[-1]
