from aggregator.core.documents import EMPTY, Device, Document, Part
from aggregator.store.port import Store
from dashboard.charts import chart_model
from dashboard.charts.chart_model import Chart
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH
from tests.dashboard import homes
from tests.dashboard.homes import LONDON, NOW, Energy, instant


def draw(
    store: Store, level: str, period: str, zone: str = LONDON, energy: Energy = homes.curve, first: str = ""
) -> Chart:
    """Return the chart of a period in a freshly filled home."""
    device = Device("cad-1", zone)
    day = {"day": period, "month": f"{period}-01", "year": f"{period}-01-01"}[level]
    homes.fill(store, device, first or day, NOW, energy)
    document = store.document(level, "cad-1", period)
    return chart_model.chart_of(
        View("household", "cad-1", level, period), document, zone, NOW, "2000-01-01"[: len(period)], ENGLISH
    )


def test_an_autumn_day_has_25_hours_with_distinct_names(store: Store) -> None:
    chart = draw(store, "day", "2026-10-25")
    names = [column.label.name for column in chart.columns]
    assert len(names) == 25
    assert names[:4] == ["00:00–01:00", "01:00–02:00 BST", "01:00–02:00 GMT", "02:00–03:00"]
    assert (chart.shift_s, chart.shift_at) == (3600, 2)
    assert len({column.label.name for column in chart.columns}) == 25


def test_a_spring_day_has_23_hours(store: Store) -> None:
    chart = draw(store, "day", "2026-03-29")
    assert [column.label.name for column in chart.columns][:3] == ["00:00–01:00", "02:00–03:00", "03:00–04:00"]
    assert (len(chart.columns), chart.shift_s, chart.shift_at) == (23, -3600, 1)


def test_a_24_5_hour_day_ends_with_a_short_column(store: Store) -> None:
    chart = draw(store, "day", "2026-04-05", "Australia/Lord_Howe")
    assert [column.label.name for column in chart.columns][-1] == "23:30–00:00"
    assert [column.label.name for column in chart.columns][1:3] == ["01:00–02:00 UTC+11", "01:30–02:30 UTC+10:30"]


def test_an_hour_has_its_half_hours(store: Store) -> None:
    column = draw(store, "day", "2026-11-22").columns[7]
    assert [name for name, _ in column.halves] == ["07:00", "07:30"]
    assert sum(part.import_wh or 0 for _, part in column.halves) == column.part.import_wh


def test_the_future_is_not_missing(store: Store) -> None:
    chart = draw(store, "day", "2026-11-23")
    assert [column.when for column in chart.columns][13:16] == ["past", "now", "future"]
    assert chart.missing_s == 0
    assert not any(column.has_content for column in chart.columns[15:])


def test_the_last_minutes_are_not_missing_yet() -> None:
    hour = instant("2026-11-23T14:00:00+00:00")
    document = Document("day", "cad-1", "2026-11-23", LONDON, {"h14": Part(100, None, covered_s=600)})
    view = View("household", "cad-1", "day", "2026-11-23")
    waiting = chart_model.chart_of(view, document, LONDON, hour + 600 + chart_model.SETTLING_S, None, ENGLISH).columns[
        14
    ]
    assert waiting.missing_s == 0
    assert (
        chart_model.chart_of(view, document, LONDON, hour + 3000, None, ENGLISH).columns[14].missing_s
        == 3000 - chart_model.SETTLING_S - 600
    )


def test_time_after_the_newest_reading_of_a_sending_device_is_not_missing() -> None:
    hour = instant("2026-11-23T14:00:00+00:00")
    document = Document("day", "cad-1", "2026-11-23", LONDON, {"h14": Part(100, None, covered_s=600)})
    view = View("household", "cad-1", "day", "2026-11-23")
    settled = [
        chart_model.chart_of(view, document, LONDON, hour + 2700, None, ENGLISH, settled=at).columns[14].missing_s
        for at in (hour + 600, hour + 1800)
    ]
    assert settled == [0, 1200]


def test_missing_estimated_and_zero_columns_differ(store: Store) -> None:
    gap = homes.outage("2026-11-22T02:00:00+00:00", "2026-11-22T06:00:00+00:00", "2026-11-22T04:00:00+00:00")
    columns = draw(store, "day", "2026-11-22", energy=gap).columns
    assert [column.is_gap for column in columns[1:7]] == [False, False, False, True, True, False]
    assert columns[2].part.estimated_s == 3600
    assert columns[2].missing_s == 0
    nothing = draw(store, "day", "2026-11-21", energy=lambda _: homes.measured(0)).columns[3]
    assert nothing.part.import_wh == 0
    assert nothing.has_content
    assert not nothing.is_gap


def test_nothing_is_missing_before_the_first_reading() -> None:
    document = Document("day", "cad-1", "2026-11-20", LONDON, {"h09": Part(100, None, covered_s=600)})
    chart = chart_model.chart_of(
        View("household", "cad-1", "day", "2026-11-20"), document, LONDON, NOW, "2026-11-20", ENGLISH
    )
    assert [column.when for column in chart.columns][8:10] == ["before", "past"]
    assert [column.missing_s for column in chart.columns][8:11] == [0, 0, 3600]


def test_a_chart_knows_the_column_of_the_first_reading() -> None:
    document = Document("day", "cad-1", "2026-11-20", LONDON, {"h09": Part(100, None, covered_s=600)})
    view = View("household", "cad-1", "day", "2026-11-20")
    assert chart_model.chart_of(view, document, LONDON, NOW, "2026-11-20", ENGLISH).began == 9
    assert chart_model.chart_of(view, document, LONDON, NOW, "2026-11-19", ENGLISH).began is None


def test_a_partial_column_differs_from_a_gap() -> None:
    parts = {"h03": Part(100, None, covered_s=1740), "h04": Part(100, None, covered_s=3300)}
    document = Document("day", "cad-1", "2026-11-20", LONDON, parts)
    columns = chart_model.chart_of(
        View("household", "cad-1", "day", "2026-11-20"), document, LONDON, NOW, None, ENGLISH
    ).columns
    assert [column.is_partial for column in columns[2:5]] == [False, True, False]
    assert [column.is_gap for column in columns[2:5]] == [True, False, False]


def test_a_column_leads_to_the_chart_below_it(store: Store) -> None:
    month = draw(store, "month", "2026-11")
    assert month.columns[4].below == View("household", "cad-1", "day", "2026-11-05")
    assert month.columns[24].below is None
    year = chart_model.chart_of(View("household", "cad-1", "year", "2026"), None, LONDON, NOW, None, ENGLISH)
    assert year.columns[0].below == View("household", "cad-1", "month", "2026-01")


def test_an_estimated_column_is_no_peak(store: Store) -> None:
    plain = draw(store, "day", "2026-11-22")
    assert plain.columns[plain.peak or 0].label.name == "18:00–19:00"
    spread = {"h03": Part(900, 0, estimated_import_wh=900, estimated_s=3600), "h04": Part(200, 0, covered_s=3600)}
    document = Document("day", "cad-1", "2026-11-22", LONDON, spread)
    assert chart_model.chart_of(plain.view, document, LONDON, NOW, None, ENGLISH).peak is None


def test_a_skipped_date_has_no_columns() -> None:
    view = View("household", "cad-1", "day", "2011-12-30")
    chart = chart_model.chart_of(view, None, "Pacific/Apia", NOW, None, ENGLISH)
    assert chart.columns == ()
    assert chart.total == EMPTY


def test_a_chart_keeps_the_zone_of_its_document() -> None:
    document = Document("day", "cad-1", "2026-10-25", LONDON, {"h01": Part(1, None)})
    assert (
        len(
            chart_model.chart_of(
                View("household", "cad-1", "day", "2026-10-25"), document, "UTC", NOW, None, ENGLISH
            ).columns
        )
        == 25
    )
