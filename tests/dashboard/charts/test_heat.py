from typing import Any

import pytest

from aggregator.core.documents import EMPTY, Device, Part
from aggregator.store.port import Store
from dashboard.charts import grids, heat
from dashboard.charts.chart_model import BEFORE, FUTURE, NOW, PAST, Measure
from dashboard.charts.heat import NEVER, Cell, HeatMap
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard import homes
from tests.dashboard.homes import LONDON, Energy, instant, measured

STILL = homes.NOW


def flat(_at: int) -> Part:
    return measured(100)


def month(
    store: Store,
    period: str,
    energy: Energy = flat,
    zone: str = LONDON,
    *,
    first: str = "",
    until: int = STILL,
    now: int = STILL,
    tariff: str = "",
    measure: Measure | None = None,
) -> HeatMap:
    """Return the heat map of a month in a freshly filled home."""
    device = Device("cad-1", zone, tariff=tariff)
    homes.fill(store, device, first or f"{period}-01", until, energy)
    documents = store.documents("day", "cad-1", f"{period}-01", f"{period}-31")
    return heat.heat_map(
        View("household", "cad-1", "month", period), documents, zone, now, first or f"{period}-01", measure or Measure()
    )


def rows(chart: HeatMap) -> list[Any]:
    """Return the rows of the grid; the first one has the days."""
    head, body = grids.heat_grid(chart, ENGLISH)["props"]["children"]
    return [row["props"]["children"] for part in (head, body) for row in children(part)]


def children(part: dict[str, Any]) -> list[Any]:
    inside = part["props"]["children"]
    return inside if isinstance(inside, list) else [inside]


def days(chart: HeatMap) -> list[str | None]:
    """Return the links of the days."""
    return [children(head)[0]["props"].get("href") for head in rows(chart)[0][1:]]


def cell(chart: HeatMap, day: int, hour: int) -> list[str]:
    """Return the classes and the words of a cell."""
    props = rows(chart)[hour + 1][day]["props"]
    return [props["className"], props["aria-label"]]


def test_each_hour_of_a_day_stands_in_its_row(store: Store) -> None:
    chart = month(store, "2026-11", homes.curve)
    day = store.document("day", "cad-1", "2026-11-05")
    assert day is not None
    assert [one.part for one in chart.columns[4]] == [day.part(f"h{hour:02d}") for hour in range(24)]
    assert sum(one.part.import_wh or 0 for one in chart.columns[4]) == day.total.import_wh


def test_a_repeated_hour_shows_both_runs_and_their_mean(store: Store) -> None:
    twice = instant("2026-10-25T00:00:00+00:00")
    chart = month(store, "2026-10", lambda at: measured(300 if twice <= at < twice + 3600 else 100))
    found = chart.columns[24][1]
    assert found.seconds == 7200
    assert heat.flow(chart.measure, found) == (False, (600 + 200) // 2)
    assert cell(chart, 25, 1)[1] == "0.60 kWh BST · 0.20 kWh GMT"


def test_a_skipped_hour_is_marked_never(store: Store) -> None:
    chart = month(store, "2026-03")
    assert [one.when for one in chart.columns[28][:3]] == [PAST, NEVER, PAST]
    assert cell(chart, 29, 1) == ["n", "no such hour: the clocks went forward"]
    assert cell(chart, 29, 2) == cell(chart, 28, 2)


def test_lord_howes_half_hour_shifts_are_compared_per_hour(store: Store) -> None:
    autumn = month(store, "2026-04", zone="Australia/Lord_Howe")
    assert autumn.columns[4][1].seconds == 5400
    assert cell(autumn, 5, 1)[1] == "0.20 kWh UTC+11 · 0.10 kWh UTC+10:30 (30 min)"
    assert cell(autumn, 5, 1)[0] == cell(autumn, 4, 1)[0]
    spring = month(store, "2026-10", zone="Australia/Lord_Howe")
    assert spring.columns[3][2].seconds == 1800
    assert cell(spring, 4, 2)[1] == "0.10 kWh UTC+11 (30 min)"
    assert cell(spring, 4, 2)[0] == cell(spring, 3, 2)[0]


@pytest.mark.parametrize(
    "zone", ["Europe/London", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns", "Asia/Beirut"]
)
def test_no_time_zone_loses_energy_between_rows(store: Store, zone: str) -> None:
    for period in ("2026-03", "2026-04", "2026-09", "2026-10", "2026-11"):
        chart = month(store, period, homes.curve, zone)
        whole = store.document("month", "cad-1", period)
        assert whole is not None
        assert sum(one.part.import_wh or 0 for one in chart.cells()) == whole.total.import_wh


def test_future_hours_are_empty_and_the_current_one_not_missing(store: Store) -> None:
    chart = month(store, "2026-11")
    assert [one.when for one in chart.columns[22][13:16]] == [PAST, NOW, FUTURE]
    assert cell(chart, 23, 15) == ["", "still to come"]
    assert chart.columns[22][14].missing_s == 0
    assert days(chart)[22:24] == ["/d/cad-1/day/2026-11-23", None]


def test_an_outage_is_hatched_if_estimated_else_dotted(store: Store) -> None:
    gap = homes.outage("2026-11-20T02:00:00+00:00", "2026-11-20T10:00:00+00:00", "2026-11-20T06:00:00+00:00")
    chart = month(store, "2026-11", gap)
    assert cell(chart, 20, 3)[0].endswith(" q")
    assert cell(chart, 20, 3)[1] == "0.60 kWh · 1 h estimated"
    assert cell(chart, 20, 7) == ["g", "no data"]


def test_a_half_known_hour_is_marked_partial(store: Store) -> None:
    lost = instant("2026-11-20T07:30:00+00:00")
    chart = month(store, "2026-11", lambda at: EMPTY if at == lost else measured(100))
    assert cell(chart, 20, 7)[0].endswith(" p")
    assert cell(chart, 20, 7)[1] == "0.10 kWh · 30 min missing"


def test_before_the_first_reading_nothing_is_missing(store: Store) -> None:
    begun = instant("2026-11-05T08:30:00+00:00")
    chart = month(store, "2026-11", lambda at: EMPTY if at < begun else measured(100), first="2026-11-05")
    assert [one.when for one in chart.columns[4][7:9]] == [BEFORE, PAST]
    assert not any(one.missing_s for one in chart.cells())
    assert cell(chart, 4, 3) == ["", "before the first reading"]
    assert days(chart)[3:5] == [None, "/d/cad-1/day/2026-11-05"]


def test_one_night_of_charging_leaves_the_other_hours_their_colours(store: Store) -> None:
    night = instant("2026-11-10T01:00:00+00:00")
    chart = month(store, "2026-11", lambda at: measured(3500 if night <= at < night + 10_800 else 100))
    assert chart.step(chart.columns[9][2]) == (False, heat.STEPS)
    gives, step = chart.step(chart.columns[9][12])
    assert (gives, step >= 2) == (False, True)
    assert chart.step(Cell(PAST, measured(0))) == (False, 0)


def test_an_hour_of_net_export_has_the_other_hue(store: Store) -> None:
    chart = month(store, "2026-07", homes.sunny)
    assert cell(chart, 5, 12)[0].startswith("e")
    assert cell(chart, 5, 22)[0].startswith("i")
    assert "exported" in cell(chart, 5, 12)[1]
    assert len(grids.legend(chart, ENGLISH)) == 2


def test_a_negative_price_counts_as_export(store: Store) -> None:
    chart = month(store, "2026-11", tariff=homes.NIGHT, measure=Measure("GBP"))
    assert cell(chart, 5, 3)[1] == "£0.02"
    assert cell(chart, 5, 12)[1] == "£0.06"
    assert int(cell(chart, 5, 12)[0][1:]) > int(cell(chart, 5, 3)[0][1:])
    paid = Part(100, 0, covered_s=1800, cost=chart.columns[4][3].part.cost._replace(import_cost=-5))
    assert heat.flow(chart.measure, Cell(PAST, paid)) == (True, 5)


def test_the_sentence_names_the_busiest_hours_and_the_nights_share(store: Store) -> None:
    def evening(at: int) -> Part:
        return measured(600 if 17 <= at % 86_400 // 3600 < 21 else 100)

    chart = month(store, "2026-11", evening)
    assert (
        grids.busiest_hours_words(chart, ENGLISH)
        == "Mostly between 17:00 and 21:00 (55 %) · nights, 00:00–06:00, take 14 %"
    )


def test_in_money_the_dearest_hours_and_nights_are_named(store: Store) -> None:
    def evening(at: int) -> Part:
        return measured(600 if 17 <= at % 86_400 // 3600 < 21 else 100)

    chart = month(store, "2026-11", evening, tariff=homes.NIGHT, measure=Measure("GBP"))
    said = grids.busiest_hours_words(chart, ENGLISH)
    assert said == "Dearest between 17:00 and 21:00 (59 %) · nights, 00:00–06:00, cost 6 %"


def test_busiest_hours_may_span_midnight(store: Store) -> None:
    late = month(store, "2026-11", lambda at: measured(600 if at % 86_400 // 3600 in (22, 23, 0, 1) else 100))
    assert grids.busiest_hours_words(late, ENGLISH).startswith("Mostly between 22:00 and 02:00 (55 %)")


def test_an_even_home_is_described_as_even(store: Store) -> None:
    assert grids.busiest_hours_words(month(store, "2026-11"), ENGLISH).startswith("Spread evenly over the day")


def test_one_day_gives_no_busiest_hours(store: Store) -> None:
    assert grids.busiest_hours_words(month(store, "2026-11", first="2026-11-23"), ENGLISH) == ""


def test_a_gap_does_not_lower_an_hours_average(store: Store) -> None:
    gap = homes.outage("2026-11-03T17:00:00+00:00", "2026-11-20T21:00:00+00:00", "2026-11-03T17:00:00+00:00")
    assert grids.busiest_hours_words(month(store, "2026-11", gap), ENGLISH).startswith("Mostly between 17:00 and 21:00")
