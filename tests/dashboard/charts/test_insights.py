from collections.abc import Mapping

import pytest

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.money import Cost
from aggregator.core.periods import HALF_HOUR, HOUR
from dashboard.charts import insights
from dashboard.charts.chart_model import Chart, Measure, Other, chart_of
from dashboard.charts.insights import Told
from dashboard.charts.usage_profile import so_far, usual_day, weekdays_before
from dashboard.charts.view import View
from dashboard.text.language import ENGLISH, languages
from tests.dashboard.homes import LONDON, instant

MONDAY, SUNDAY = "2026-11-23", "2026-11-22"
POUND = 10**13


def day(period: str, wh: int, pounds: int = 0, changes: Mapping[int, int] = {}) -> Document:
    """Return a whole day: an hour has `wh`, or its own amount in `changes`; a half hour has half of it."""
    parts = {}
    for hour in range(24):
        amount = changes.get(hour, wh)
        cost = Cost(pounds * POUND // 24, None) if pounds else Cost(None, None)
        parts[f"h{hour:02d}"] = Part(amount, None, covered_s=HOUR, cost=cost)
        for half in (2 * hour, 2 * hour + 1):
            parts[f"s{half:02d}"] = Part(amount // 2, None, covered_s=HALF_HOUR)
    return Document("day", "cad-1", period, LONDON, parts)


def usual(period: str, wh: int, elapsed_s: int = 24 * HOUR, pounds: int = 0) -> Other:
    found = usual_day(day(period, 0), [day(one, wh, pounds) for one in weekdays_before(period)])
    assert found is not None
    now = periods.day_start(period, LONDON) + elapsed_s
    comparable = found.total if elapsed_s == 24 * HOUR else so_far({"day": found}, "day", now, LONDON)
    return Other(period, "a usual day", found, comparable, is_usual=True)


def until(document: Document, hours: int) -> Document:
    kept = {name: part for name, part in document.parts.items() if int(name[1:]) < hours * (1 + (name[0] == "s"))}
    return Document("day", "cad-1", document.period, LONDON, kept)


NOTHING = Told(Document("day", "cad-1", SUNDAY, LONDON, {}), 24 * HOUR, None)


# The usual weekday


def test_a_usual_day_is_the_median_of_the_same_weekdays_before() -> None:
    """By hand: of 100, 200, 300 and 9000 Wh the lower median is 200."""
    assert weekdays_before(MONDAY) == ["2026-11-16", "2026-11-09", "2026-11-02", "2026-10-26"]
    before = [day(one, wh) for one, wh in zip(weekdays_before(MONDAY), (100, 9000, 200, 300), strict=True)]
    found = usual_day(day(MONDAY, 0), before)
    assert found is not None
    assert found.total.import_wh == 24 * 200
    assert found.part("s47").import_wh == 100


def test_two_known_weeks_are_no_usual_day() -> None:
    assert usual_day(day(MONDAY, 0), [day(one, 100) for one in weekdays_before(MONDAY)[:2]]) is None


def test_an_estimated_hour_is_no_evidence_of_what_is_usual() -> None:
    estimated = Part(5000, None, 5000, 0, 0, HOUR)
    before = [day(one, 100) for one in weekdays_before(MONDAY)]
    broken = [Document("day", "cad-1", one.period, LONDON, {**one.parts, "h05": estimated}) for one in before[:2]]
    assert usual_day(day(MONDAY, 0), [*broken, *before[2:]]) is None


def test_a_day_of_25_hours_is_no_usual_sunday() -> None:
    sundays = weekdays_before("2026-11-15")
    assert "2026-10-25" in sundays
    assert usual_day(day("2026-11-15", 0), [day(one, 100) for one in sundays]) is not None
    assert usual_day(day("2026-11-15", 0), [day(one, 100) for one in sundays if one != "2026-11-01"]) is None


# The sentence on top


@pytest.mark.parametrize(
    ("wh", "sentence"),
    [
        (105, "A normal Monday so far."),
        (150, "More than on a usual Monday so far: 1.50 kWh, usually 1.00 kWh by now."),
        (50, "Less than on a usual Monday so far: 0.50 kWh, usually 1.00 kWh by now."),
    ],
)
def test_today_is_compared_with_a_usual_weekday_by_now(wh: int, sentence: str) -> None:
    today = Told(until(day(MONDAY, wh), 10), 10 * HOUR, usual(MONDAY, 100, 10 * HOUR))
    assert insights.so_what(today, NOTHING, Measure(), ENGLISH) == sentence


def test_yesterday_has_its_money_and_its_busiest_hours() -> None:
    """By hand: 4 pounds against 3; the hours from 16 to 19 take 3 of 5.1 kWh."""
    dear = day(SUNDAY, 100, 4, {16: 1000, 17: 1000, 18: 1000})
    yesterday = Told(dear, 24 * HOUR, usual(SUNDAY, 100, pounds=3))
    today = Told(until(day(MONDAY, 100), 1), HOUR, None)
    said = insights.so_what(today, yesterday, Measure("GBP"), ENGLISH)
    assert said == "Yesterday £4.00, above a usual Sunday, mostly 16:00–19:00."
    german = insights.so_what(today, yesterday, Measure("GBP"), languages()["de"])
    assert german == "Gestern 4,00\u00a0£, mehr als an einem üblichen Sonntag, vor allem von 16:00 bis 19:00 Uhr."


def test_an_even_day_without_a_usual_one_has_its_energy_alone() -> None:
    assert (
        insights.so_what(NOTHING, Told(day(SUNDAY, 500), 24 * HOUR, None), Measure(), ENGLISH) == "Yesterday 12.0 kWh."
    )


def test_what_is_not_known_is_not_said() -> None:
    half_known = Told(until(day(SUNDAY, 500), 12), 24 * HOUR, usual(SUNDAY, 100))
    assert insights.so_what(NOTHING, half_known, Measure(), ENGLISH) == ""
    early = Told(until(day(MONDAY, 500), 1), HOUR, usual(MONDAY, 100, HOUR))
    assert insights.so_what(early, NOTHING, Measure(), ENGLISH) == ""


# The highest hour


def test_the_highest_hour_of_some_days_leads_to_its_day() -> None:
    days = [day(SUNDAY, 100, changes={7: 900}), day(MONDAY, 100, changes={18: 2870})]
    view = View("household", "cad-1", "month", "2026-11", unit="money")
    assert insights.highest_hour("Highest hour", days, view, ENGLISH) == (
        ("Highest hour", "2.87 kWh, Monday 23 November, 18:00–19:00", "/d/cad-1/day/2026-11-23?unit=money"),
    )


def test_an_estimated_hour_is_no_highest_one() -> None:
    estimated = day(MONDAY, 100, changes={18: 2870})
    parts = {**estimated.parts, "h18": Part(2870, None, estimated_import_wh=2870, estimated_s=HOUR)}
    days = [Document("day", "cad-1", MONDAY, LONDON, parts)]
    ((_, said, _),) = insights.highest_hour("", days, View("household", "cad-1"), ENGLISH)
    assert said.startswith("0.10 kWh, Monday 23 November, 00:00")
    assert insights.highest_hour("", [], View("household", "cad-1"), ENGLISH) == ()


def test_the_week_before_is_a_calendar_week() -> None:
    for one in (MONDAY, "2026-11-29"):
        assert insights.week_before(one, ENGLISH) == ("2026-11-16", "2026-11-22")
    assert insights.week_before(SUNDAY, ENGLISH) == ("2026-11-09", "2026-11-15")


# Times without readings


def outages(parts: Mapping[str, Part], first: str | None = "2026-01-01", until_hour: int = 24) -> list[tuple[str, str]]:
    whole = day("2026-11-24", 500)
    document = Document("day", "cad-1", "2026-11-24", LONDON, {**whole.parts, **parts})
    settled = instant("2026-11-24T00:00:00+00:00") + until_hour * HOUR
    view = View("household", "cad-1", "month", "2026-11")
    found = insights.outages([document], first, settled, view, ENGLISH)
    assert {one.url for one in found} <= {"/d/cad-1/day/2026-11-24"}
    return [(one.name, one.what) for one in found]


def test_an_outage_has_its_minutes_and_what_is_estimated() -> None:
    """24 November as found: from 08:10 to 08:50, 0.3 kWh estimated."""
    lacking = Part(250, None, estimated_import_wh=150, covered_s=600, estimated_s=1200)
    assert outages({"s16": lacking, "s17": lacking}) == [("Tue 24 Nov 08:10–08:50", "0.30 kWh estimated")]


def test_an_outage_within_a_half_hour_has_its_length_alone() -> None:
    lacking = Part(250, None, estimated_import_wh=80, covered_s=1200, estimated_s=600)
    assert outages({"s16": lacking}) == [("Tue 24 Nov 08:00–08:30", "10 min missing, 80 Wh estimated")]


def test_what_is_estimated_and_what_is_not_known_are_two_times() -> None:
    """23 November as found: readings end at 02:00 and begin again at 10:00; the energy up to 06:00 is estimated."""
    estimated, empty = Part(300, 0, estimated_import_wh=300, estimated_s=HALF_HOUR), Part(None, None)
    parts = {f"s{half:02d}": estimated if half < 12 else empty for half in range(4, 20)}
    assert outages(parts) == [
        ("Tue 24 Nov 02:00–06:00", "2.40 kWh estimated"),
        ("Tue 24 Nov 06:00–10:00", "nothing is known"),
    ]


def test_a_time_of_which_nothing_is_known_reaches_to_midnight() -> None:
    empty = Part(None, None)
    assert outages({"s45": empty, "s46": empty, "s47": empty}) == [("Tue 24 Nov 22:30–24:00", "nothing is known")]


def test_nothing_is_missing_before_the_first_reading_and_after_the_newest() -> None:
    empty, begun = Part(None, None), Part(100, None, covered_s=600)
    parts = {f"s{half:02d}": empty for half in range(20)} | {"s20": begun}
    assert outages(parts, first="2026-11-24") == []
    assert outages({f"s{half:02d}": empty for half in range(20, 48)}, until_hour=10) == []


def test_what_the_supplier_tells_is_no_outage() -> None:
    assert outages({"s16": Part(250, None, interval_import_wh=250, interval_s=1800)}) == []


# Exchanges


def test_an_exchange_is_told_in_the_chart_of_its_time_alone() -> None:
    at = instant("2026-11-20T10:30:00+00:00")
    device = Device("cad-1", LONDON, exchange_overrides=f"{at}+ {at + 86_400}-")
    told = [
        insights.exchanges(device, View("household", "cad-1", level, period), ENGLISH)
        for level, period in (("day", "2026-11-20"), ("month", "2026-11"), ("day", "2026-11-19"))
    ]
    assert told == [("20 November, 10:30",), ("20 November, 10:30",), ()]


# The other meters of a home


def electricity(import_wh: int, export_wh: int | None = None, pence: int = 0, known_s: int = 86_400) -> Part:
    cost = Cost(pence * POUND // 100, None, 53 * POUND // 100) if pence else Cost(None, None)
    return Part(import_wh, export_wh, covered_s=known_s, cost=cost)


def priced_chart(total: Part) -> Chart:
    document = Document("month", "cad-1", "2026-10", LONDON, {"d01": total}, "GBP")
    now = instant("2026-11-23T12:00:00+00:00")
    return chart_of(View("household", "cad-1", "month", "2026-10"), document, LONDON, now, None, ENGLISH, "GBP")


def test_gas_beside_electricity_has_its_volume_and_one_sum() -> None:
    """By hand: 2.00 + 0.53 for electricity, 1.10 + 0.53 for gas, together 4.16 pounds."""
    gas = electricity(12_300, pence=110)._replace(volume_l=1100)
    chart = priced_chart(electricity(9000, pence=200))
    assert insights.gas_facts(chart, gas, "GBP", ENGLISH) == [
        ("Gas", "12.3 kWh, 1.10 m³, £1.63"),
        ("Electricity and gas", "£4.16"),
    ]


def test_gas_without_a_price_or_in_another_currency_has_no_sum() -> None:
    chart = priced_chart(electricity(9000, pence=200))
    assert insights.gas_facts(chart, electricity(12_300), "", ENGLISH) == [("Gas", "12.3 kWh")]
    foreign = insights.gas_facts(chart, electricity(12_300, pence=110), "EUR", ENGLISH)
    assert [name for name, _ in foreign] == ["Gas"]
    assert insights.gas_facts(chart, Part(None, None), "GBP", ENGLISH) == []


def test_self_use_and_self_sufficiency_are_exact() -> None:
    """By hand: of 20 kWh made 12 were exported, 8 used; with 2 imported the home used 10, of which 8 are 80 %."""
    facts = insights.solar_facts(electricity(2000, 12_000), electricity(20_000), ENGLISH)
    assert facts == [
        ("Made by the panels", "20.0 kWh"),
        ("Used at home", "8.00 kWh, 40 %"),
        ("Self-sufficiency", "80 %"),
    ]


def test_self_use_is_never_negative() -> None:
    facts = dict(insights.solar_facts(electricity(2000, 12_010), electricity(12_000), ENGLISH))
    assert (facts["Used at home"], facts["Self-sufficiency"]) == ("0 kWh, 0 %", "0 %")


def test_self_use_is_not_told_where_a_meter_lacks_time() -> None:
    facts = insights.solar_facts(electricity(2000, 12_000), electricity(20_000, known_s=40_000), ENGLISH)
    assert facts == [("Made by the panels", "20.0 kWh")]


def test_without_a_meter_of_the_panels_their_energy_is_said_to_be_unknown() -> None:
    unknown = ("Made by the panels", "not known without a meter of its own")
    assert insights.solar_facts(electricity(2000, 12_000), None, ENGLISH) == [unknown]
    assert insights.solar_facts(electricity(2000), None, ENGLISH) == []
