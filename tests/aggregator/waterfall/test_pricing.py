"""Pricing in the waterfall: new energy is priced, a tariff or price change prices again, and energy never changes."""

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.money import NOTHING, add_costs, money_text
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.tariffs.rates import Series
from aggregator.tariffs.tariff import Tariff, tariff_from_json
from aggregator.waterfall.pricing import add_prices, change_tariff, shown, tariff_to_text
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.budgets import examples
from tests.copies import fresh_store

HOME, LONDON = "home", "Europe/London"
START = 1_774_656_000  # 2026-03-28T00:00Z; the clocks go forward on the 29th
NOW = START + 40 * 86_400
HALF_HOUR = 1800

NIGHT = {"from": "00:30", "to": "07:30", "rate": "0.0850"}
DAY = {"from": "07:30", "to": "00:30", "rate": "0.3012"}
TARIFFS: list[dict[str, object]] = [
    {"import": "0.2450", "standing_charge": "0.5310"},
    {"import": [NIGHT, DAY], "export": "0.15", "standing_charge": "0.5310", "vat": "0.05", "vat_included": False},
    {"import": "half-hourly", "export": "half-hourly"},
    {"import": "half-hourly", "standing_charge": "-0.25", "vat": "0.2", "vat_included": False},
]


def tariff(fields: dict[str, object], since: str = "2026-01-01") -> Tariff:
    return tariff_from_json({"currency": "GBP", "versions": [{"from": since, **fields}]})


def readings(count: int, seed: int = 1) -> list[Reading]:
    """Half-hourly registers with a few holes, so that some energy is estimated."""
    chance, imported, exported, rows = random.Random(seed), 0, 0, []
    for number in range(count):
        if chance.random() > 0.1:
            rows.append(Reading(HOME, START + number * HALF_HOUR, None, imported, exported))
        imported += chance.randrange(900)
        exported += chance.randrange(200)
    return rows


def prices(count: int, seed: int = 2, share: float = 0.9) -> Series:
    """Half-hourly prices, some negative, some missing."""
    chance = random.Random(seed)
    starts = [START + number * HALF_HOUR for number in range(count) if chance.random() < share]
    return Series(
        {start: Decimal(chance.randrange(-500, 4000)) / 10_000 for start in starts},
        {start: Decimal(chance.randrange(1500)) / 10_000 for start in starts},
    )


def take_in(store: Store, rows: Sequence[Reading]) -> None:
    ingest(store, rows, NOW, LONDON)
    drain(store)


def documents(store: Store) -> dict[tuple[str, str], Document]:
    return {
        (level, period): document
        for level in periods.LEVELS
        for period in store.periods(level, HOME)
        if (document := store.document(level, HOME, period))
    }


def priced_afresh(rows: Sequence[Reading], new: Tariff | None, series: Series) -> dict[tuple[str, str], Document]:
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(new) if new else ""))
        store.put_prices(HOME, series)
        take_in(store, rows)
        return documents(store)


def known(store: Store) -> Device:
    device = store.device(HOME)
    assert device is not None
    return device


tariffs = st.sampled_from(TARIFFS).map(lambda fields: tariff(fields))


@examples(25)
@given(tariffs, st.none() | tariffs)
def test_repricing_equals_fresh_pricing(new: Tariff, old: Tariff | None) -> None:
    rows, series = readings(120), prices(120)
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(old) if old else ""))
        store.put_prices(HOME, series)
        take_in(store, rows)
        change_tariff(store, known(store), new)
        drain(store)
        found = documents(store)
        assert list(differences(store, known(store))) == []
    assert found == priced_afresh(rows, new, series)


@examples(20)
@given(tariffs, st.randoms(use_true_random=False))
def test_the_arrival_order_of_readings_and_prices_does_not_matter(new: Tariff, chance: random.Random) -> None:
    rows, series = readings(96), prices(96)
    arrivals: list[Reading | tuple[int, Decimal]] = [*rows, *series.import_prices.items()]
    chance.shuffle(arrivals)
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(new)))
        add_prices(store, known(store), Series(export_prices=series.export_prices))
        while arrivals:
            batch = [arrivals.pop() for _ in range(min(len(arrivals), chance.randint(1, 60)))]
            ingest(store, [one for one in batch if isinstance(one, Reading)], NOW, LONDON)
            add_prices(store, known(store), Series(dict(one for one in batch if not isinstance(one, Reading))))
            if chance.random() < 0.7:
                drain(store)
        drain(store)
        assert documents(store) == priced_afresh(rows, new, series)


@given(tariffs)
@examples(20)
def test_the_cost_of_a_period_sums_its_half_hours_exactly(new: Tariff) -> None:
    found = priced_afresh(readings(200), new, prices(200))
    halves = [
        part.cost
        for (level, _), document in found.items()
        if level == "day"
        for name, part in document.parts.items()
        if name[0] == "s"
    ]
    for level in periods.LEVELS:
        totals = [document.total.cost for (one, _), document in found.items() if one == level]
        assert add_costs(totals) == add_costs(halves)


@given(tariffs, tariffs)
@examples(15)
def test_a_change_of_tariff_never_changes_energy(one: Tariff, other: Tariff) -> None:
    rows, series = readings(100), prices(100)

    def energies(found: dict[tuple[str, str], Document]) -> dict[tuple[str, str], dict[str, Part]]:
        return {
            key: {name: part._replace(cost=NOTHING) for name, part in document.parts.items()}
            for key, document in found.items()
        }

    assert energies(priced_afresh(rows, one, series)) == energies(priced_afresh(rows, other, series))


def test_a_new_version_reprices_only_its_own_days() -> None:
    rows = readings(480)
    with fresh_store() as store:
        take_in(store, rows)
        first = tariff({"import": "0.20"})
        change_tariff(store, known(store), first)
        drain(store)
        before = documents(store)
        risen = tariff_from_json(
            {
                "currency": "GBP",
                "versions": [{"from": "2026-01-01", "import": "0.20"}, {"from": "2026-04-02", "import": "0.30"}],
            }
        )
        count = change_tariff(store, known(store), risen)
        drain(store)
        after = documents(store)
    changed = {period for level, period in after if level == "day" and after[level, period] != before[level, period]}
    assert changed == {period for level, period in after if level == "day" and period >= "2026-04-02"}
    assert count == len(changed)


def test_the_next_worker_completes_an_interrupted_tariff_change(tmp_path: Path) -> None:
    url, rows, new = f"sqlite:///{tmp_path / 'cut.db'}", readings(200), tariff(TARIFFS[1])
    store = open_store(url)
    take_in(store, rows)
    change_tariff(store, known(store), new)
    store.close()  # as if killed right after storing the tariff

    store = open_store(url)
    drain(store)
    assert documents(store) == priced_afresh(rows, new, Series())


def test_days_before_the_first_version_are_repriced_as_unpriced() -> None:
    rows, pounds = readings(200), tariff(TARIFFS[0], since="2026-03-30")
    euros = replace(pounds, currency="EUR")
    with fresh_store() as store:
        take_in(store, rows)
        for new in (pounds, euros, None):
            change_tariff(store, known(store), new)
            drain(store)
            assert list(differences(store, known(store))) == []
            assert documents(store) == priced_afresh(rows, new, Series())


def test_repricing_needs_no_readings() -> None:
    rows, new = readings(200), tariff(TARIFFS[1])
    with fresh_store() as store:
        take_in(store, rows)
        store.expire_readings(HOME, NOW, NOW + 1)
        assert store.readings(HOME, 0, NOW) == []
        change_tariff(store, known(store), new)
        drain(store)
        assert documents(store) == priced_afresh(rows, new, Series())


def test_energy_without_prices_has_unknown_cost_until_they_arrive() -> None:
    rows = [Reading(HOME, START + number * HALF_HOUR, None, number * 500, None) for number in range(49)]
    series = {START + number * HALF_HOUR: Decimal("0.20") for number in range(48)}
    late = {start: price for start, price in series.items() if start >= START + 44 * HALF_HOUR}
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(tariff({"import": "half-hourly"}))))
        add_prices(store, known(store), Series({start: price for start, price in series.items() if start not in late}))
        take_in(store, rows)
        day = store.document("day", HOME, "2026-03-28")
        assert day is not None
        assert (day.total.import_wh, day.total.cost.unpriced_wh) == (24_000, 2_000)
        assert money_text(day.total.cost.import_cost or 0) == "4.40"
        assert day.part("h23").cost.import_cost is None

        add_prices(store, known(store), Series(late))
        drain(store)
        day = store.document("day", HOME, "2026-03-28")
        assert day is not None
        assert (money_text(day.total.cost.import_cost or 0), day.total.cost.unpriced_wh) == ("4.80", 0)


def test_estimated_energy_gives_estimated_cost() -> None:
    rows = [Reading(HOME, START, None, 0, None), Reading(HOME, START + 2 * HALF_HOUR, None, 1000, None)]
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(tariff({"import": "0.30"}))))
        take_in(store, rows)
        day = store.document("day", HOME, "2026-03-28")
        assert day is not None
        assert day.total.cost.import_cost == day.total.cost.estimated_import_cost == 3 * 10**12


def test_no_tariff_gives_neither_cost_nor_currency() -> None:
    with fresh_store() as store:
        take_in(store, readings(50))
        change_tariff(store, known(store), tariff(TARIFFS[0]))
        drain(store)
        change_tariff(store, known(store), None)
        drain(store)
        found = documents(store)
        assert found == priced_afresh(readings(50), None, Series())
        assert {document.currency for document in found.values()} == {""}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_rezoned_device_keeps_its_tariff(share: float) -> None:
    from aggregator.waterfall.verify import rezone

    rows, series = readings(120), prices(120, share=share)
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(tariff(TARIFFS[3]))))
        store.put_prices(HOME, series)
        take_in(store, rows)
        rezone(store, known(store), "Asia/Kathmandu")
        drain(store)
        assert list(differences(store, known(store))) == []
        moved = documents(store)
        assert {document.timezone for document in moved.values()} == {"Asia/Kathmandu"}
        assert known(store) == replace(known(store), tariff=tariff_to_text(tariff(TARIFFS[3])))


def test_setting_the_same_tariff_completes_an_interrupted_change() -> None:
    rows, new = readings(100), tariff(TARIFFS[1])
    with fresh_store() as store:
        take_in(store, rows)
        change_tariff(store, known(store), new)
        store.settle(store.changes("prices", 100))  # as if the marks in memory were lost
        change_tariff(store, known(store), new)
        drain(store)
        assert documents(store) == priced_afresh(rows, new, Series())


def test_november_with_four_days_without_data_owes_28_days() -> None:
    first, now = 1_793_491_200, 1_793_491_200 + 28 * 86_400 - 1  # 2026-11-01T00:00Z and 2026-11-28T23:59:59Z
    silent = range(9 * 48, 13 * 48)  # half hours of the 10th to the 13th, after which a new meter counts
    rows = [
        Reading(HOME, first + number * HALF_HOUR, None, 100 * number, None, "old" if number < silent.start else "new")
        for number in range(27 * 48 + 1)
        if number not in silent
    ]
    with fresh_store() as store:
        store.put_device(Device(HOME, LONDON, tariff=tariff_to_text(tariff(TARIFFS[0]))))
        ingest(store, rows, now, LONDON)
        drain(store)
        found = [shown(store, known(store), *which, now) for which in (("month", "2026-11"), ("year", "2026"))]
        assert [money_text(one.total.cost.standing_charge or 0) for one in found] == ["14.868"] * 2  # 28 × 0.5310
        days = [shown(store, known(store), "day", f"2026-11-{number:02d}", now) for number in range(1, 31)]
        assert [day.total.cost.standing_charge for day in days] == [5310 * 10**9] * 28 + [None] * 2
        assert "2026-11-11" not in store.periods("day", HOME)
        assert shown(store, known(store), "month", "2026-10", now).total.cost == NOTHING

        dearer = tariff({"import": "0.2450", "standing_charge": "0.6"})
        assert change_tariff(store, known(store), dearer) == len(store.periods("day", HOME))
        drain(store)
        month = shown(store, known(store), "month", "2026-11", now)
        assert money_text(month.total.cost.standing_charge or 0) == "16.80"  # 28 × 0.6
        assert list(differences(store, known(store))) == []
