"""What is shown of open periods, while the worker carries a part only when its time is over."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.periods import DAY_S, HOUR, LEVELS
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store.port import READINGS, Change, Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.tariffs.tariff import tariff_from_json
from aggregator.waterfall.levels import propagate, steps
from aggregator.waterfall.pricing import current, shown, tariff_to_text
from aggregator.waterfall.verify import differences, rezone
from aggregator.waterfall.worker import drain
from tests import quarter
from tests.contract.conftest import Clock
from tests.dashboard.homes import instant

STEP_S, STEP_WH = 900, 150  # between readings of a home that draws 600 W
BASE = instant("2026-01-01T00:00:00Z")
LATE_S = 2700  # from the end of a part to its carrying


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A store with a level more than the product has."""
    with quarter.added(), closing(SqliteStore(f"{tmp_path}/wattfall.db", clock)) as opened:
        yield opened


def read_on(store: Store, zone: str, first: int, last: int, device_id: str = "d") -> Device:
    """Take in a reading every STEP_S, and carry them into the days alone."""
    ats = range(first, last + 1, STEP_S)
    ingest(store, [Reading(device_id, at, None, (at - BASE) // STEP_S * STEP_WH, None) for at in ats], last, zone)
    carry(store, READINGS)
    return known(store, device_id)


def known(store: Store, device_id: str = "d") -> Device:
    device = store.device(device_id)
    assert device is not None
    return device


def carry(store: Store, feed: str, over: int | None = None) -> None:
    """Propagate the changes of a feed; of a level only those of periods that are over at an instant."""
    found: list[Change] = [
        one
        for one in store.changes(feed, 10_000)
        if over is None or periods.window(feed, one.key, known(store).timezone).end <= over
    ]
    with store.transaction():
        for step in steps():
            if step.feed == feed:
                propagate(store, step, found)
        store.settle(found)


def energy(store: Store, level: str, period: str, now: int) -> int:
    return shown(store, known(store), level, period, now).total.import_wh or 0


def risen(zone: str, level: str, period: str, first: int, now: int) -> int:
    """The rise of the register in a period, from the first reading to the last."""
    window = periods.window(level, period, zone)
    return max(min(now, window.end) - max(first, window.start), 0) // STEP_S * STEP_WH


@pytest.mark.parametrize(
    ("zone", "first_day"),
    [
        ("Europe/London", "2026-11-23"),
        ("Europe/London", "2026-03-28"),  # before a day of 23 hours
        ("Europe/London", "2026-10-24"),  # before a day of 25 hours
        ("Asia/Kathmandu", "2026-11-29"),  # UTC+05:45
        ("Pacific/Kiritimati", "2026-12-30"),  # UTC+14:00; the next day is the last of the year
        ("America/St_Johns", "2026-12-31"),  # UTC-03:30
    ],
)
def test_no_chart_is_behind_the_day_chart_across_midnights(store: Store, zone: str, first_day: str) -> None:
    first = periods.day_start(first_day, zone) + 20 * HOUR
    for now in range(first, first + 34 * HOUR, STEP_S):
        device = read_on(store, zone, now, now)
        for feed in periods.feed_levels():
            carry(store, feed, over=now - LATE_S)
        assert list(differences(store, device, now)) == []
        for level, at in product(LEVELS, (first, now)):
            period = periods.period_of(level, at, zone)
            assert energy(store, level, period, now) == risen(zone, level, period, first, now)
    assert "month" in {line.split()[1] for line in differences(store, device)}  # the open part


def counted(store: Store, level: str, period: str, now: int) -> Counter[str]:
    """The levels of the documents that one chart reads."""
    asked: Counter[str] = Counter()

    def read(level: str, period: str) -> Document | None:
        asked[level] += 1
        return store.document(level, "d", period)

    assert current(read, known(store), level, period, now)
    return asked


def test_a_current_month_costs_two_reads_and_an_old_one_costs_one(store: Store) -> None:
    first, now = instant("2026-10-30T00:00:00Z"), instant("2026-11-23T14:00:00Z")
    read_on(store, "Europe/London", first, first + 2 * HOUR)
    read_on(store, "Europe/London", now - 2 * HOUR, now)
    drain(store)
    assert counted(store, "day", "2026-11-23", now) == {"day": 1}
    assert counted(store, "month", "2026-11", now) == {"month": 1, "day": 1}
    assert counted(store, "year", "2026", now) == {"year": 1, "month": 1, "day": 1}
    assert counted(store, "month", "2026-10", now) == {"month": 1}
    assert counted(store, "month", "2026-11", instant("2026-11-24T00:59:00Z")) == {"month": 1, "day": 2}
    assert counted(store, "month", "2026-11", instant("2026-11-24T01:01:00Z")) == {"month": 1, "day": 1}
    assert counted(store, "month", "2026-11", instant("2026-12-01T01:01:00Z")) == {"month": 1}


def test_a_device_in_two_zones_has_one_total(store: Store, clock: Clock) -> None:
    """Its first day has expired, and stays in its zone."""
    first, moved = instant("2026-11-29T00:00:00Z"), instant("2026-11-30T12:00:00Z")
    for clock.now in (first + 12 * HOUR, moved):
        read_on(store, "Europe/London", first, int(clock.now))
        drain(store)
    store.put_retention_cutoff("d", instant("2026-11-30T00:00:00Z"))
    rezone(store, known(store), "Asia/Tokyo")
    carry(store, READINGS)
    for now in range(moved, moved + 8 * HOUR, STEP_S):  # midnight of Tokyo is 15:00 UTC
        device = read_on(store, "Asia/Tokyo", now, now)
        for feed in periods.feed_levels():
            carry(store, feed, over=now - LATE_S)
        days = [store.document("day", "d", f"2026-{day}") for day in ("11-29", "11-30", "12-01")]
        assert energy(store, "year", "2026", now) == sum(day.total.import_wh or 0 for day in days if day)
        assert energy(store, "month", "2026-11", now) == sum(day.total.import_wh or 0 for day in days[:2] if day)
    assert [day.timezone for day in days if day] == ["Europe/London", "Asia/Tokyo", "Asia/Tokyo"]
    assert shown(store, device, "month", "2026-12", now).timezone == "Asia/Tokyo"
    assert shown(store, device, "month", "2026-12", now).total.import_wh == 5 * 4 * STEP_WH - STEP_WH


def test_late_data_of_a_closed_day_waits_for_the_worker(store: Store) -> None:
    first, now = instant("2026-11-20T00:00:00Z"), instant("2026-11-23T14:00:00Z")
    read_on(store, "UTC", first, first + 8 * HOUR)
    read_on(store, "UTC", now - 2 * HOUR, now - HOUR)
    drain(store)
    before = energy(store, "month", "2026-11", now)
    read_on(store, "UTC", first + 8 * HOUR, first + 10 * HOUR)
    read_on(store, "UTC", now - HOUR, now)
    assert energy(store, "month", "2026-11", now) == before + 600
    assert [line.split()[3] for line in differences(store, known(store), now)] == ["d20:"]
    drain(store)
    assert energy(store, "month", "2026-11", now) == (now - first) // STEP_S * STEP_WH


def test_a_part_whose_day_is_gone_is_not_shown(store: Store) -> None:
    first, now = instant("2026-11-22T00:00:00Z"), instant("2026-11-23T14:00:00Z")
    device = read_on(store, "UTC", first, now)
    drain(store)
    day = store.document("day", "d", "2026-11-23")
    assert day is not None
    store.merge_parts("day", "d", "2026-11-23", "UTC", dict.fromkeys(day.parts))
    assert [*shown(store, device, "month", "2026-11", now).parts] == ["d22"]
    assert energy(store, "year", "2026", now) == DAY_S // STEP_S * STEP_WH


def test_verify_names_a_wrong_part_once_it_is_over(store: Store) -> None:
    first, now = instant("2026-11-21T00:00:00Z"), instant("2026-11-23T14:00:00Z")
    device = read_on(store, "UTC", first, now)
    drain(store)
    for name in ("d22", "d23"):
        store.merge_parts("month", "d", "2026-11", "UTC", {name: Part(999, None)})
    found = [line.split(": stored ")[0] for line in differences(store, device, now)]
    assert found == ["d month 2026-11 d22"]
    later = [line.split(": stored ")[0] for line in differences(store, device, instant("2026-11-24T01:01:00Z"))]
    assert later == ["d month 2026-11 d22", "d month 2026-11 d23"]


def test_an_open_month_has_the_costs_of_its_open_day(store: Store) -> None:
    first, now = instant("2026-11-30T00:00:00Z"), instant("2026-12-01T12:00:00Z")
    version = {"from": "2020-01-01", "standing_charge": "0.50", "import": "0.25"}
    tariff = tariff_to_text(tariff_from_json({"currency": "GBP", "versions": [version]}))
    store.put_device(Device("d", "UTC", tariff=tariff))
    read_on(store, "UTC", first, first + DAY_S)
    drain(store)
    device = read_on(store, "UTC", first + DAY_S, now)
    month = shown(store, device, "month", "2026-12", now)
    assert (month.currency, month.total.cost) == ("GBP", shown(store, device, "day", "2026-12-01", now).total.cost)
    assert month.total.cost.to_pay == (7.2 * 0.25 + 0.5) * 10**13
    assert shown(store, device, "year", "2026", now).total.cost.to_pay == (21.6 * 0.25 + 2 * 0.5) * 10**13
