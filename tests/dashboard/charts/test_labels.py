from aggregator.core import periods
from dashboard.charts.view import Label, View, labels
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON


def named(level: str, period: str, zone: str = LONDON) -> list[Label]:
    return labels(View("household", "cad-1", level, period), periods.slots(level, period, zone), zone, ENGLISH)


def test_every_third_hour_is_kept_on_a_narrow_screen() -> None:
    hours = named("day", "2026-11-22")
    assert [hour.tick for hour in hours][:4] == ["00", "01", "02", "03"]
    assert [hour.tick for hour in hours if hour.is_major] == ["00", "03", "06", "09", "12", "15", "18", "21"]
    assert not any(hour.note for hour in hours)


def test_a_repeated_hour_names_its_zones() -> None:
    hours = named("day", "2026-10-25")
    assert [(hour.tick, hour.note) for hour in hours[:4]] == [("00", ""), ("01", "BST"), ("01", "GMT"), ("02", "")]
    assert [hour.tick for hour in hours if hour.is_major] == ["00", "03", "06", "09", "12", "15", "18", "21"]


def test_the_days_of_a_month_are_numbered_and_its_mondays_named() -> None:
    days = named("month", "2026-11")
    assert days[22] == Label("Monday 23 November", "23", "Mon", is_major=True)
    assert days[23] == Label("Tuesday 24 November", "24")


def test_a_year_keeps_every_other_month_on_a_narrow_screen() -> None:
    months = named("year", "2026")
    assert months[1] == Label("February", "Feb")
    assert [month.tick for month in months if month.is_major] == ["Jan", "Mar", "May", "Jul", "Sept", "Nov"]
