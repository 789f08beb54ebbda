from dataclasses import replace

import pytest

from aggregator.core import periods
from aggregator.core.documents import EMPTY, Document, Part, add
from aggregator.core.money import NOTHING, Cost
from aggregator.core.periods import DAY_S
from aggregator.tariffs.rates import Rate
from dashboard.charts.usage_profile import UsageProfile
from dashboard.pages.household import tiles
from dashboard.pages.household.slots import Slots
from dashboard.text.language import ENGLISH
from tests.dashboard.homes import LONDON, NOW

TODAY, MONTH = "2026-11-23", "2026-11"
POUND, PENCE = 10**13, 10**8  # in units; and a penny per kWh, in units per Wh
BY_NOW_S = NOW - periods.day_start(TODAY, LONDON)


def part(wh: int, cost: Cost = NOTHING, export_wh: int | None = None, known_s: int = BY_NOW_S) -> Part:
    return Part(wh, export_wh, covered_s=known_s, cost=cost)


def period(
    level: str, parts: dict[str, Part], comparable: Part = EMPTY, currency: str = "", **rest: bool
) -> tiles.Period:
    name = TODAY if level == "day" else MONTH
    document = Document(level, "cad-1", name, LONDON, parts, currency)
    return tiles.Period(
        periods.window(level, name, LONDON), NOW, document, comparable, currency, rest.get("is_money", False)
    )


def day(mine: Part | None, comparable: Part = EMPTY, currency: str = "", is_money: bool = False) -> Slots:
    this_day = period("day", {"h00": mine} if mine else {}, comparable, currency, is_money=is_money)
    return tiles.today(this_day, TODAY, LONDON, ENGLISH)


def month(parts: dict[str, Part], comparable: Part = EMPTY, currency: str = "", is_money: bool = False) -> Slots:
    return tiles.month(period("month", parts, comparable, currency, is_money=is_money), MONTH, ENGLISH)


def days(count: int, one: Part) -> dict[str, Part]:
    """Return the first days of a month, all alike."""
    return {f"d{number:02d}": one for number in range(1, count + 1)}


def visible_text(children: object) -> str:
    """Return the visible text of a component."""
    if isinstance(children, str):
        return children
    inner = children if isinstance(children, list) else getattr(children, "children", "")
    return visible_text(inner) if isinstance(inner, str) else "|".join(map(visible_text, inner))


def note(slots: Slots, name: str) -> str:
    return visible_text(slots[f"{name}-note.children"])


def also(slots: Slots, name: str) -> str:
    return visible_text(slots[f"{name}-also.children"])


def test_gas_has_its_cubic_metres_beside_the_energy() -> None:
    gas = part(16_831)._replace(volume_l=1500)
    assert also(day(gas), "today") == "1.50 m³"
    assert also(month(days(3, gas)), "month") == "4.50 m³"


def test_today_is_compared_with_the_same_time_last_week() -> None:
    assert note(day(part(8800), part(10_000)), "today") == "▼| 12 % less than last Monday by 14:20"
    assert note(day(part(11_200), part(10_000)), "today") == "▲| 12 % more than last Monday by 14:20"
    assert note(day(part(10_000), part(10_000)), "today") == "the same as last Monday by 14:20"


@pytest.mark.parametrize("comparable", [EMPTY, part(5000, known_s=BY_NOW_S // 2)])
def test_a_day_is_not_compared_with_a_day_with_gaps(comparable: Part) -> None:
    assert note(day(part(8800), comparable), "today") == "Monday 23 November"


def test_energy_shows_its_cost_and_cost_its_energy() -> None:
    cost = Cost(2 * POUND, None, POUND // 2)
    slots = day(part(8400, cost), currency="GBP")
    assert (slots["today-number.children"], also(slots, "today")) == ("8.40", "£2.00 + £0.50 standing")
    slots = day(part(8400, cost), currency="GBP", is_money=True)
    assert (slots["today-number.children"], also(slots, "today")) == ("£2.50", "8.40 kWh")


def test_exported_and_unpriced_energy_are_shown() -> None:
    assert also(day(part(100, export_wh=1830)), "today") == "1.83 kWh exported"
    unpriced = Cost(POUND, None, None, unpriced_import_wh=1200)
    assert also(day(part(8400, unpriced), currency="GBP"), "today") == "£1.00|1.20 kWh without a price"


def test_a_balance_is_compared_as_an_amount_not_in_percent() -> None:
    mine, other = part(900, Cost(2 * POUND, POUND)), part(900, Cost(2 * POUND, 2 * POUND - 1))
    assert note(day(mine, other, "GBP", is_money=True), "today") == "▲| £1.00 more than last Monday by 14:20"


def test_unknown_energy_is_not_zero() -> None:
    assert day(None)["today-without.children"] == "no data yet"
    assert day(part(0))["today-number.children"] == "0"


def test_a_months_forecast_uses_its_complete_days() -> None:
    slots = month(days(22, part(8000, known_s=DAY_S)) | {"d23": part(5000)})
    rest_s = periods.window("month", MONTH, LONDON).end - NOW
    assert (
        note(slots, "month")
        == f"on course for {round((22 * 8 + 5) + 8 * rest_s / DAY_S)} kWh"
        == "on course for 240 kWh"
    )


def test_a_months_forecast_counts_each_standing_charge_once() -> None:
    one = part(8000, Cost(0, None, POUND), known_s=DAY_S)
    course = tiles.on_course(period("month", days(23, one), currency="GBP", is_money=True))
    assert course == 30 * POUND


def test_two_days_are_too_few_for_a_forecast() -> None:
    assert note(month(days(2, part(8000, known_s=DAY_S))), "month") == "November"
    assert note(month(days(5, part(8000, known_s=DAY_S // 2))), "month") == "November"


def test_a_month_is_compared_with_the_same_days_of_the_last() -> None:
    parts = days(22, part(8000, known_s=DAY_S)) | {"d23": part(5000)}
    comparable = add([part(200_000, known_s=22 * DAY_S + BY_NOW_S)])
    assert note(month(parts, comparable), "month") == "▼| 10 % less than October by the same day|on course for 240 kWh"


def test_a_forecast_of_money_has_no_hundredths() -> None:
    one = part(8000, Cost(2 * POUND + POUND // 3, None, None), known_s=DAY_S)
    assert note(month(days(22, one), currency="GBP", is_money=True), "month").endswith("on course for £69")


def test_the_base_loads_cost_uses_the_days_prices() -> None:
    night, peak = Rate(10 * PENCE, 0), Rate(40 * PENCE, 0)
    slots = tiles.base(UsageProfile(base_w=148), (night,) * 24 + (peak,) * 24, "GBP", ENGLISH)
    assert (slots["base-number.children"], slots["base-unit.children"]) == ("148", " W")
    assert slots["base-also.children"] == "£0.89 a day, £324 a year"  # 3.552 kWh at 25 p, 365 times


@pytest.mark.parametrize(
    ("before_w", "trend"),
    [(None, ""), (140, ""), (120, "|28 W more than before"), (200, "|52 W less than before")],
)
def test_the_base_load_has_its_trend(before_w: int | None, trend: str) -> None:
    slots = tiles.base(UsageProfile(base_w=148, base_before_w=before_w), (), "", ENGLISH)
    assert note(slots, "base") == f"lowest of the last two days{trend}"


def test_the_base_load_without_a_price_is_energy() -> None:
    assert tiles.base(UsageProfile(base_w=148), (), "", ENGLISH)["base-also.children"] == "3.55 kWh a day"
    assert (
        tiles.base(UsageProfile(base_w=148), (Rate(None, None),) * 48, "GBP", ENGLISH)["base-also.children"]
        == "3.55 kWh a day"
    )


def test_an_unknown_base_load_is_not_guessed() -> None:
    slots = tiles.base(UsageProfile(), (), "", ENGLISH)
    assert (slots["base-number.children"], slots["base-without.children"]) == ("", "not known yet")
    assert note(slots, "base") == "needs half a day of readings"


def test_a_silent_home_is_compared_and_forecast_without_counting_a_charge_twice() -> None:
    one, owed = part(8000, Cost(2 * POUND, None, POUND), known_s=DAY_S), EMPTY._replace(cost=Cost(None, None, POUND))
    silent_since = periods.day_start("2026-11-20", LONDON) - 1
    parts = days(19, one) | dict.fromkeys(("d20", "d21", "d22", "d23"), owed)
    comparable = add([one] * 19)
    month = period("month", parts, comparable, "GBP", is_money=True)
    silent = replace(month, until=silent_since)
    assert silent.measure.net(silent.total) == (19 * 3 + 4) * POUND
    assert tiles.against(silent, "October", ENGLISH) == "the same as October"
    # 19 days of energy and 11 more, 30 standing charges; the last second of the 19th is to come
    assert tiles.on_course(silent) == pytest.approx((30 * 2 + 30) * POUND, abs=POUND // 1000)
