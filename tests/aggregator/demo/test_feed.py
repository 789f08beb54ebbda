"""The demo feed: a history without holes over any number of restarts."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.core import periods
from aggregator.core.documents import Part, add
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import FOR_EVER
from aggregator.core.readings import Reading
from aggregator.demo.feed import check_is_demo, expected, fill, run_simulator
from aggregator.demo.simulator import TICK_S, Household, households, reading
from aggregator.intake.ingest import Outcome, ingest, ingest_lines
from aggregator.store import Store, open_store
from aggregator.store.port import Blocks, Written
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall.worker import drain

NOW = 1_795_000_205  # 2026-11-18, between two ticks and two half hours
DAY, HOUR = 86_400, 3600
HOMES = households(4, 1)
STEADY, FLAKY = HOMES[0], HOMES[3]


class Ticks(threading.Event):
    """A clock that advances only during waits, and ends after a number of waits."""

    def __init__(self, now: float, waits: int) -> None:
        super().__init__()
        self.now, self.left = now, waits

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        self.left -= 1
        return self.left < 0

    def clock(self) -> float:
        return self.now


class NotingStore:
    """A store that records the results of written readings."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.written: list[Written] = []

    def write_readings(self, blocks: Blocks, now: int) -> Written:
        self.written.append(self._store.write_readings(blocks, now))
        return self.written[-1]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the rest of the store as it is
        return getattr(self._store, name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/demo.db")
    yield opened
    opened.close()


def fill_up(store: Store, home: Household, now: int, days: int = 1) -> int:
    sizes: list[int] = []
    fill(store, [home], days, now, sizes.append)
    drain(store)
    return sum(sizes)


def between(store: Store, home: Household, start: int, end: int) -> Part:
    """Return the sum of the half hours from `start` to `end`."""
    found = []
    for day in periods.days_of(periods.Window(start, end), home.timezone):
        document = store.document("day", home.device_id, day)
        halves = periods.half_hours(day, home.timezone)
        found += [document.part(slot.name) for slot in halves if document and start <= slot.start < end]
    return add(found)


def test_an_empty_store_is_filled_up_to_now(store: Store) -> None:
    assert fill_up(store, STEADY, NOW, days=1) == expected([STEADY], 1)
    live = store.live(STEADY.device_id)
    assert live is not None
    assert NOW - TICK_S <= live.at <= NOW
    device = store.device(STEADY.device_id)
    assert device is not None
    assert device.timezone == STEADY.timezone


def test_older_history_is_half_hourly_and_measured(store: Store) -> None:
    assert fill_up(store, STEADY, NOW, days=5) == pytest.approx(expected([STEADY], 5), abs=2)
    end = NOW - NOW % 1800
    whole = between(store, STEADY, end - 4 * DAY, end)
    assert (whole.covered_s, whole.estimated_s) == (4 * DAY, 0)
    assert len(store.readings(STEADY.device_id, 0, NOW - 3 * DAY)) < 2 * 48 + 2


def test_filled_history_equals_the_meter(store: Store) -> None:
    fill_up(store, STEADY, NOW)
    start, end = NOW - NOW % 1800 - 12 * HOUR, NOW - NOW % 1800
    used = (reading(STEADY, end).import_wh or 0) - (reading(STEADY, start).import_wh or 0)
    assert used > 0
    assert between(store, STEADY, start, end).import_wh == used


@pytest.mark.parametrize("pause_s", [25, 3 * HOUR, 4 * DAY])
def test_a_restart_continues_without_a_hole(store: Store, pause_s: int) -> None:
    fill_up(store, STEADY, NOW)
    fill_up(store, STEADY, NOW + pause_s)
    start, end = NOW - NOW % 1800 - 2 * HOUR, NOW + pause_s - (NOW + pause_s) % 1800
    whole = between(store, STEADY, start, end)
    assert (whole.covered_s, whole.estimated_s) == (end - start, 0)
    live = store.live(STEADY.device_id)
    assert live is not None
    assert NOW + pause_s - TICK_S <= live.at <= NOW + pause_s


def test_a_second_start_adds_nothing(store: Store) -> None:
    fill_up(store, STEADY, NOW)
    assert fill_up(store, STEADY, NOW) == 0
    assert store.backlog() == (0, None)


def test_the_simulator_continues_after_the_history(store: Store) -> None:
    fill_up(store, STEADY, NOW)
    ticks, noting = Ticks(NOW, 30), NotingStore(store)
    run_simulator(noting, [STEADY], NOW - 1, ticks, ticks.clock)
    assert noting.written == [(1, 0)] * 30
    sent = [one.at for one in store.readings(STEADY.device_id, 0, FOR_EVER) if one.at > NOW - 60]
    assert sent == list(range(NOW - 60 + 5, NOW + 300, TICK_S))


def test_messages_of_a_stream_hold_what_goes_into_a_store(store: Store, tmp_path: Path) -> None:
    direct = SqliteStore(str(tmp_path / "direct.db"))
    ticks, sent = Ticks(NOW, 1), list[bytes]()
    run_simulator(direct, [FLAKY], NOW - DAY, ticks, ticks.clock)
    ticks = Ticks(NOW, 1)
    run_simulator(store, [FLAKY], NOW - DAY, ticks, ticks.clock, lambda _, messages: sent.extend(messages))
    assert store.readings(FLAKY.device_id, 0, FOR_EVER) == []
    outcome = Outcome()
    ingest_lines(store, sent, 1, int(ticks.now), FLAKY.timezone, outcome, lambda *_: None)
    assert store.readings(FLAKY.device_id, 0, FOR_EVER) == direct.readings(FLAKY.device_id, 0, FOR_EVER) != []
    assert outcome.statuses > 10
    assert outcome.rejected > 0
    direct.close()


def test_a_suspended_computer_sends_missed_readings(store: Store) -> None:
    ticks = Ticks(NOW, 1)
    run_simulator(store, [STEADY], NOW - HOUR, ticks, ticks.clock)
    sent = [one.at for one in store.readings(STEADY.device_id, 0, FOR_EVER)]
    assert sent == list(range(NOW - HOUR + 5, NOW + TICK_S, TICK_S))


def test_the_simulator_stops_on_request(store: Store) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=run_simulator, args=(store, [STEADY], NOW, stop))
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_flaky_homes_gaps_are_estimated_without_energy_loss(store: Store) -> None:
    fill_up(store, FLAKY, NOW, days=2)
    sent = store.readings(FLAKY.device_id, 0, FOR_EVER)
    days = [store.document("day", FLAKY.device_id, day) for day in store.periods("day", FLAKY.device_id)]
    total = add(day.total for day in days if day)
    assert total.import_wh == (sent[-1].import_wh or 0) - (sent[0].import_wh or 0)


def test_a_store_with_real_devices_is_refused(store: Store) -> None:
    ingest(store, [Reading("cad-1", NOW, 5, None, None)], NOW, "UTC")
    with pytest.raises(ConfigurationError, match="the store holds cad-1, which is not a demo household; name another"):
        check_is_demo(store, HOMES)


def test_a_store_with_other_demo_households_is_accepted(store: Store) -> None:
    check_is_demo(store, HOMES)
    ingest(store, [Reading(home.device_id, NOW, 5, None, None) for home in households(12, 1)], NOW, "UTC")
    check_is_demo(store, HOMES)
