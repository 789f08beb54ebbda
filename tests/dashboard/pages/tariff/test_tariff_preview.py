from decimal import Decimal

import pytest

from aggregator.core.documents import Device
from aggregator.core.money import NOTHING
from aggregator.store.port import Store
from aggregator.tariffs.rates import Series, energy_cost, standing_charge
from aggregator.tariffs.tariff import Tariff, tariff_from_json
from aggregator.waterfall.pricing import add_prices, tariff_to_text
from dashboard.pages.tariff.tariff_preview import preview
from tests.dashboard import homes
from tests.dashboard.homes import NOW


def tariff(rate: object, day: str = "2015-01-01", currency: str = "GBP", **rest: object) -> Tariff:
    version = {"from": day, "import": rate, "standing_charge": "0.5", **rest}
    return tariff_from_json({"currency": currency, "versions": [version]})


def home(store: Store, old: Tariff | None, first: str = "2026-10-30") -> Device:
    device = Device("cad-1", tariff=tariff_to_text(old) if old else "")
    homes.fill(store, device, first, NOW, homes.sunny)
    return device


def test_the_previews_costs_equal_the_bills(store: Store) -> None:
    old, new = tariff("0.2"), tariff("0.3", "2026-11-10", export="0.1")
    device = home(store, old)
    days = store.documents("day", "cad-1", "2026-10-30", "2026-11-23")
    whole = ("2026-10-30", "2026-11-23")
    costs = [
        energy_cost(days, one)._replace(standing_charge=standing_charge(one, whole, whole, device.timezone))
        for one in (old, new)
    ]
    found = preview(store, device, new, NOW)
    assert found.spans == [("2026-10-30", "2026-11-23")]
    assert found.day_count == 25
    assert (found.total.before, found.total.after) == tuple(costs)
    assert sorted(found.months) == ["2026-10", "2026-11"]
    assert found.total.difference is None  # costs before the new tariff are unknown


def test_only_changed_days_are_counted(store: Store) -> None:
    weekends = [{"days": "weekdays", "rate": "0.2"}, {"days": "weekends", "rate": "0.1"}]
    found = preview(store, home(store, tariff("0.2")), tariff(weekends), NOW)
    assert found.spans[0] == ("2026-10-31", "2026-11-01")
    assert found.day_count == 8
    assert found.total.before.standing_charge == 8 * 5 * 10**12


def test_a_first_tariff_prices_the_past(store: Store) -> None:
    found = preview(store, home(store, None), tariff("0.2"), NOW)
    assert found.total.before.to_pay is None
    assert found.total.before.unpriced_import_wh > 0
    assert found.total.after.unpriced_wh == 0


def test_two_currencies_are_two_costs(store: Store) -> None:
    found = preview(store, home(store, tariff("0.2")), tariff("0.2", currency="EUR"), NOW)
    assert found.total.before == found.total.after
    assert found.day_count == 25


def test_half_hourly_prices_are_read_only_for_their_days(store: Store) -> None:
    device = home(store, tariff("0.2"))
    start = homes.instant("2026-10-30T00:00:00+01:00")
    add_prices(store, device, Series({at: Decimal("0.3") for at in range(start, NOW, 1800)}))
    found = preview(store, device, tariff("half-hourly"), NOW)
    assert found.total.after.unpriced_wh == 0
    assert found.total.after.import_cost == found.total.before.import_cost * 3 // 2  # type: ignore[operator]


def test_no_price_is_read_without_a_half_hourly_day(store: Store) -> None:
    device = home(store, tariff("0.2"))
    later = tariff_from_json(
        {
            "currency": "GBP",
            "versions": [{"from": "2015-01-01", "import": "0.3"}, {"from": "2027-01-01", "import": "half-hourly"}],
        }
    )

    class Counting:
        asked = 0

        def __getattr__(self, name: str) -> object:
            Counting.asked += name == "prices"
            return getattr(store, name)

    found = preview(Counting(), device, later, NOW)  # type: ignore[arg-type]
    assert found.day_count == 25
    assert Counting.asked == 0


@pytest.fixture
def long_ago(store: Store) -> Device:
    device = home(store, tariff("0.2"))
    parts = {"s20": homes.measured(500), "h10": homes.measured(500)}
    store.merge_parts("day", "cad-1", "2019-05-01", device.timezone, parts)
    return device


def test_a_long_past_is_compared_for_the_last_years_only(store: Store, long_ago: Device) -> None:
    found = preview(store, long_ago, tariff("0.3"), NOW)
    assert found.spans == [("2019-05-01", "2026-11-23")]
    assert found.since == "2021-11-01"
    assert (min(found.months), max(found.months), len(found.months)) == ("2021-11", "2026-11", 61)
    quiet = found.months["2022-02"]  # supply goes on without data
    assert quiet.before == quiet.after == NOTHING._replace(standing_charge=28 * 5 * 10**12)


def test_a_past_older_than_the_comparison_still_changes(store: Store, long_ago: Device) -> None:
    ended = tariff_from_json(
        {
            "currency": "GBP",
            "versions": [
                {"from": "2015-01-01", "import": "0.3", "standing_charge": "0.5"},
                {"from": "2020-01-01", "import": "0.2", "standing_charge": "0.5"},
            ],
        }
    )
    found = preview(store, long_ago, ended, NOW)
    assert (found.spans, found.months) == ([("2019-05-01", "2019-12-31")], {})


def test_without_data_or_difference_nothing_changes(store: Store) -> None:
    store.put_device(Device("cad-2"))
    assert preview(store, Device("cad-2"), tariff("0.2"), NOW).spans == []
    assert preview(store, home(store, tariff("0.2")), tariff("0.2"), NOW).spans == []
