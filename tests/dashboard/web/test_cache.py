"""The cache: lifetimes of answers, sharing between viewers and processes, and outages."""

import logging
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import msgspec
import pytest
import redis
from flask import Flask
from flask_caching.backends.base import BaseCache

from aggregator.core import periods
from aggregator.core.documents import Device, Document
from aggregator.core.errors import StoreAway
from aggregator.core.periods import FOR_EVER, Window
from aggregator.core.status import Status
from aggregator.erasure.erasure_plan import ErasedStay, ErasurePlan, Resident, without_household
from aggregator.erasure.erasure_rules import cache_key, forget_cached
from aggregator.intake.device_status import put_statuses
from aggregator.store.port import Store
from aggregator.tariffs.tariff import tariff_from_text
from aggregator.waterfall.pricing import change_tariff, note_change, tariff_to_text
from aggregator.waterfall.worker import drain
from dashboard.web.cache import KINDS, REDIS_PAUSE_S, SWEEP_S, Cache, MemoryCache, open_cache, schema, weigh
from dashboard.web.cached_reads import CLOSED_S, GAPS_S, LIVE_S, OPEN_S, CachedReads
from tests.dashboard import homes
from tests.dashboard.people import MEMBER, at_home, dashboard
from tests.servers import free_port, running_redis

POLL_S = 10
ROOT = Path(__file__).parents[3]
LONG_AGO = 2 * CLOSED_S


class Clock:
    def __init__(self) -> None:
        self.at = homes.NOW

    def __call__(self) -> int:
        return self.at


class Ledger(BaseCache):
    """A cache that keeps everything and records the lifetimes."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Any] = {}
        self.seconds: dict[str, int] = {}
        self.fault: Exception | None = None
        self.asked = 0

    def get(self, key: str) -> object:
        self._answer()
        return self.held.get(key)

    def set(self, key: str, value: object, timeout: Any = None) -> bool:  # noqa: ANN401 - as the base has it
        self._answer()
        self.held[key], self.seconds[key] = value, timeout
        return True

    def _answer(self) -> None:
        self.asked += 1
        if self.fault:
            raise self.fault


class Counting:
    """A store that counts its reads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: object, **options: object) -> object:
            self.asked[name] += 1
            return getattr(self._store, name)(*arguments, **options)

        return ask


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def data(furnished: Store, clock: Clock, ledger: Ledger) -> CachedReads:
    return CachedReads(furnished, Cache(ledger), clock)


def known(data: CachedReads, device_id: str, clock: Clock) -> Device:
    """A device with an old tariff."""
    device = data.device(MEMBER, device_id)
    assert device
    data.document(device, "year", "2025")
    clock.at += LONG_AGO
    return device


def stays(ledger: Ledger, kind: str, *rest: object) -> int:
    """Return the lifetime of the last cached answer of a kind, seconds."""
    keys = [key for key in ledger.seconds if key.startswith(f"('{kind}'") and all(repr(part) in key for part in rest)]
    return ledger.seconds[keys[-1]]


# Lifetimes


def test_the_live_state_is_a_second_old_at_most(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    data.live(known(data, "cad-1", clock))
    assert stays(ledger, "live") == LIVE_S == 1


@pytest.mark.parametrize(("level", "period"), [("day", "2026-11-23"), ("month", "2026-11"), ("year", "2026")])
def test_an_open_period_is_cached_for_less_than_a_poll(
    data: CachedReads, clock: Clock, ledger: Ledger, level: str, period: str
) -> None:
    assert data.document(known(data, "cad-1", clock), level, period)
    assert stays(ledger, "document", level, period) == OPEN_S < POLL_S


@pytest.mark.parametrize(("level", "period"), [("day", "2026-11-22"), ("month", "2026-10")])
def test_a_complete_closed_period_is_cached_for_long(
    data: CachedReads, clock: Clock, ledger: Ledger, level: str, period: str
) -> None:
    assert data.document(known(data, "cad-1", clock), level, period)
    assert stays(ledger, "document", level, period) == CLOSED_S >= 3600


def test_a_closed_period_with_gaps_is_cached_briefly(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    device = known(data, "cad-patchy", clock)
    clock.at += periods.DAY_S
    assert data.document(device, "day", "2026-11-23")
    assert stays(ledger, "document", "2026-11-23") == GAPS_S


def test_a_missing_period_is_cached_briefly(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    assert data.energy(known(data, "cad-1", clock), "day", "2024-05-05") is None
    assert stays(ledger, "document", "2024-05-05") == OPEN_S


def test_a_range_is_cached_as_long_as_its_last_period(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    device = known(data, "cad-1", clock)
    assert [bool(day.parts) for day in data.documents(device, "day", "2026-11-01", "2026-11-30")].count(True) == 23
    assert stays(ledger, "documents", "2026-11-30") == OPEN_S
    assert len(data.documents(device, "day", "2026-10-01", "2026-10-31")) == 31
    assert stays(ledger, "documents", "2026-10-31") == GAPS_S


def test_every_period_of_a_range_is_shown_and_owes_its_charge(data: CachedReads, clock: Clock) -> None:
    device = known(data, "cad-silent", clock)
    charged = replace(device, tariff=homes.SOLAR, timezone="Asia/Kathmandu")
    found = data.documents(charged, "month", "2026-08", "2026-11")
    assert [(one.period, bool(one.parts)) for one in found] == [
        ("2026-08", False),
        ("2026-09", False),
        ("2026-10", True),
        ("2026-11", True),
    ]
    assert found == data.uncached(charged, "month", "2026-08", "2026-11")
    assert [data.document(charged, "month", one.period) for one in found] == found


def test_the_levels_share_the_first_and_last_day_with_data(furnished: Store, clock: Clock, ledger: Ledger) -> None:
    counting = Counting(furnished)
    data = CachedReads(counting, Cache(ledger), clock)  # type: ignore[arg-type] # it answers what the store answers
    device = data.device(MEMBER, "cad-lord-howe")
    assert device
    assert data.extent(device, "month") == ("2026-09", "2026-11")
    assert data.extent(device, "year") == ("2026", "2026")
    assert data.extent(device, "day") == ("2026-09-01", "2026-11-24")
    assert (counting.asked["extent"], stays(ledger, "extent")) == (1, OPEN_S)


def test_a_month_and_its_day_chart_are_of_one_moment(furnished: Store, clock: Clock, ledger: Ledger) -> None:
    """The day is cached already, and has changed since."""
    data = CachedReads(furnished, Cache(ledger), clock)
    device = data.device(MEMBER, "cad-1")
    assert device
    before = data.document(device, "day", "2026-11-23").total
    homes.fill_day(furnished, device, "2026-11-23", homes.NOW + 3600, homes.curve)
    assert data.document(device, "month", "2026-11").part("d23") == before
    (key,) = (key for key in ledger.held if key.startswith("('document'") and "2026-11-23" in key)
    del ledger.held[key]  # as after OPEN_S
    assert (data.document(device, "month", "2026-11").part("d23").import_wh or 0) > (before.import_wh or 0)


def test_a_new_tariff_invalidates_every_chart(furnished: Store, clock: Clock, ledger: Ledger) -> None:
    counting = Counting(furnished)
    data = CachedReads(counting, Cache(ledger), clock)  # type: ignore[arg-type] # it answers what the store answers
    device = known(data, "cad-1", clock)
    for one in (device, device, replace(device, tariff="{}"), replace(device, timezone="UTC")):
        data.energy(one, "day", "2026-11-22")
    assert counting.asked["document"] == 1 + 3  # the year of `known`, and each state of the device once


def test_a_chart_is_cached_no_longer_than_its_tariffs_age(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    device = replace(known(data, "cad-1", clock), tariff="{}")
    data.energy(device, "month", "2026-10")
    assert stays(ledger, "document", "2026-10") == OPEN_S  # the worker may not have priced it yet
    clock.at += 100
    data.energy(device, "month", "2026-09")
    assert stays(ledger, "document", "2026-09") == 100
    clock.at += CLOSED_S
    data.energy(device, "month", "2026-08")
    assert stays(ledger, "document", "2026-08") == CLOSED_S


def test_a_restored_tariff_restores_no_old_chart(data: CachedReads, clock: Clock, ledger: Ledger) -> None:
    device = known(data, "cad-1", clock)
    for one in (device, replace(device, tariff="{}"), device):
        clock.at += 1
        data.energy(one, "day", "2026-11-22")
    assert sum("2026-11-22" in key for key in ledger.held) == 3


def test_costs_follow_a_tariff_once_every_part_has_it(furnished: Store, data: CachedReads, clock: Clock) -> None:
    device = known(data, "cad-1", clock)
    solar = tariff_from_text(homes.SOLAR)
    note_change(furnished, device, solar, int(time.time()))
    views = (("day", "2026-11-22"), ("month", "2026-11"), ("year", "2026"))
    with furnished.transaction():
        change_tariff(furnished, device, solar)
        changed = replace(device, tariff=tariff_to_text(solar))
        assert [data.is_repriced(changed, *view) for view in views[:2]] == [False, False]
    drain(furnished)
    fresh = CachedReads(furnished, Cache(Ledger()), clock)
    assert [fresh.is_repriced(changed, *view) for view in views] == [True, True, True]


# Sharing


def test_a_cached_chart_is_hidden_after_access_ends(furnished: Store) -> None:

    class Registry(Counting):
        is_known = True

        def device(self, device_id: str) -> Device | None:
            return furnished.device(device_id) if self.is_known else None

    registry = Registry(furnished)
    client = at_home(registry)  # type: ignore[arg-type]
    address = "/api/v1/devices/cad-1/day/2026-11-22"
    assert client.get(address).status_code == 200
    registry.is_known = False
    assert client.get(address).status_code == 404
    assert registry.asked["document"] == 1


def test_no_device_id_reaches_anothers_cache_entry(store: Store, clock: Clock) -> None:
    cache = open_cache(Flask("one"), "")
    data = CachedReads(store, cache, clock)
    for name in ("a", "a 2026", "a', '2026", "A"):
        store.put_device(Device(name, household=homes.HOUSEHOLD))
        store.put_live([homes.live(name, len(name))])
    for _ in range(2):
        for name in ("a", "a 2026", "a', '2026", "A"):
            live = data.live(Device(name))
            assert live
            assert live.device_id == name


def test_many_viewers_of_a_device_share_one_read() -> None:
    kept, begun, released, reads = Cache(Ledger()), Event(), Event(), Counter[str]()

    def read() -> str:
        reads["all"] += 1
        begun.set()
        assert released.wait(10)
        return "chart"

    answers: list[str] = []
    viewers = [Thread(target=lambda: answers.append(kept.fetch("key", read, lambda _: 9))) for _ in range(8)]
    viewers[0].start()
    assert begun.wait(10)
    for viewer in viewers[1:]:
        viewer.start()
    time.sleep(0.1)  # all others ask during the first read
    released.set()
    for viewer in viewers:
        viewer.join()
    assert answers == ["chart"] * 8
    assert reads["all"] == 1


def test_a_failed_read_is_not_cached() -> None:
    kept = Cache(Ledger())

    def fail() -> str:
        raise StoreAway("the store is busy")

    with pytest.raises(StoreAway):
        kept.fetch("key", fail, lambda _: 9)
    assert kept.fetch("key", lambda: "chart", lambda _: 9) == "chart"


# An unreachable cache


def test_an_unreachable_cache_is_logged_once_and_retried_after_a_pause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger, now = Ledger(), [1000.0]
    kept = Cache(ledger, (OSError,), lambda: now[0])
    ledger.fault = ConnectionRefusedError("nobody listens")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert kept.fetch("key", lambda: "from the store", lambda _: 9) == "from the store"
        assert ledger.asked == 1
        now[0] += REDIS_PAUSE_S
        assert kept.get("key") is None
        assert ledger.asked == 2
        ledger.fault = None
        now[0] += REDIS_PAUSE_S
        kept.set("key", "kept", 9)
        assert kept.get("key") == "kept"
    assert [record.message for record in caplog.records] == [
        "the cache is unreachable, reading from the store: nobody listens",
        "the cache is reachable again",
    ]


def test_a_programming_error_does_not_count_as_an_unreachable_cache() -> None:
    ledger = Ledger()
    ledger.fault = KeyError("a bug")
    with pytest.raises(KeyError):
        Cache(ledger, (OSError,)).get("key")


# Redis


@pytest.fixture
def port() -> int:
    return free_port()


def documents_of(store: Store, url: str) -> tuple[Document | None, Counter[str]]:
    """Return a chart as a process with that cache reads it, and its reads of the store."""
    counting = Counting(store)
    data = CachedReads(counting, open_cache(Flask("one"), url), lambda: homes.NOW)  # type: ignore[arg-type]
    device = data.device(MEMBER, "cad-1")
    assert device
    data.live(device)
    return data.energy(device, "day", "2026-11-22"), counting.asked


def test_processes_share_cached_reads(furnished: Store, port: int, tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{port}"
    with running_redis(port, tmp_path):
        arguments = ["-m", "tests.dashboard.cache_reader", f"sqlite:///{tmp_path}/homes.db", url]
        other = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
        document, asked = documents_of(furnished, url)
        with redis.Redis(port=port) as client:
            keys = {key.decode() for key in client.scan_iter()}
    assert document == furnished.document("day", "cad-1", "2026-11-22")
    assert document
    assert int(other.stdout) == document.total.import_wh
    assert asked["document"] == 0
    assert asked["device"] == 1  # each process checks access every time
    assert {key.split("(")[0] for key in keys} == {f"wattfall {version('wattfall')} {schema()} "}


def every_read(data: CachedReads, device: Device) -> list[object]:
    """Return the answer to every cached read."""
    data.note_look(device)
    return [
        data.is_repriced(device, "day", "2026-11-22"),
        data.live(device),
        data.known_status(device),
        data.readings(device, homes.NOW - 7200, homes.NOW),
        data.usage_profile(device),
        data.document(device, "day", "2026-11-22"),
        data.energy(device, "day", "2024-05-05"),
        data.usual_day(device, "2026-11-22"),
        data.documents(device, "month", "2026-09", "2026-11"),
        data.rates(device, "2026-11-22"),
        data.rate(device),
        data.extent(device, "month"),
    ]


@pytest.fixture
def shared(port: int, tmp_path: Path) -> Iterator[tuple["redis.Redis", Cache]]:
    """Return a client of an empty Redis, and a cache that uses it."""
    with running_redis(port, tmp_path), redis.Redis(port=port) as client:
        yield client, open_cache(Flask("one"), f"redis://127.0.0.1:{port}")


def test_every_kind_of_value_comes_back_from_redis(furnished: Store, shared: tuple["redis.Redis", Cache]) -> None:
    client, cache = shared
    furnished.put_prices("cad-1", homes.half_hourly_prices("2026-11-20", 7))
    device = furnished.device("cad-1")
    assert device
    tariff = tariff_from_text(homes.HALF_HOURLY)
    priced = replace(device, tariff=tariff_to_text(tariff))
    note_change(furnished, device, tariff, int(time.time()))
    put_statuses(furnished, [Status("cad-1", homes.NOW, -70, 9, "1.2", None, True)], homes.NOW)
    expected = every_read(CachedReads(furnished, Cache(Ledger()), lambda: homes.NOW), priced)
    for _ in range(2):
        assert every_read(CachedReads(furnished, cache, lambda: homes.NOW), priced) == expected
    assert {key.decode().split("'")[1] for key in client.scan_iter()} == set(KINDS)


class Exploit:
    """A value that runs a command when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


ANN = Resident("u-1", "ann@example.org")
ERASED = ErasurePlan("acacia", tuple(ErasedStay(one, 0, FOR_EVER) for one in ("cad-1", "cad-1~gas")), (ANN,))


def test_an_erasure_deletes_the_answers_about_its_devices_alone(
    furnished: Store, shared: tuple["redis.Redis", Cache], port: int
) -> None:
    client, cache = shared
    for device_id in ("cad-1", "cad-1~gas", "cad-10"):
        cache.set(cache_key("extent", Device(device_id)), (("2026-11-01", "2026-11-23"),), 60)
    client.set("wattfall 0.1 an-older-version ('extent', 'cad-1', None, '')", b"x")
    client.set("another program's ('extent', 'cad-1', None, '')", b"x")
    assert [one for one in forget_cached(f"redis://127.0.0.1:{port}", furnished, ERASED) if one] == []
    assert sorted(key.decode().partition("'")[0] for key in client.scan_iter()) == [
        "another program",
        f"wattfall {version('wattfall')} {schema()} (",
    ]


def test_the_scan_of_the_cache_names_old_answers_and_people(
    furnished: Store, shared: tuple["redis.Redis", Cache], port: int
) -> None:
    """Pages cache answers between the deletion and the scan."""
    _, cache = shared
    device = furnished.device("cad-1")
    assert device
    erased = without_household(device, [Window(0, FOR_EVER)], homes.NOW)
    furnished.put_device(erased)
    steps = forget_cached(f"redis://127.0.0.1:{port}", furnished, ERASED)
    assert next(steps) == ""
    for one in (device, erased):
        cache.set(cache_key("look", one), (True,), 60)
    cache.set(cache_key("known", Device("cad-2")), (ANN.email,), 60)
    left = [one.partition(" (")[2] for one in steps if one]
    assert sorted(left) == [cache_key("known", Device("cad-2"))[1:], cache_key("look", device)[1:]]


def test_a_cache_that_cannot_be_reached_counts_as_left(furnished: Store) -> None:
    (line,) = forget_cached(f"redis://:a-password@127.0.0.1:{free_port()}", furnished, ERASED)
    assert line.startswith("the cache, which was not scanned: WATTFALL_CACHE cannot be reached")
    assert "a-password" not in line
    assert [*forget_cached("", furnished, ERASED)] == []


def test_foreign_values_in_redis_are_misses_and_run_nothing(
    furnished: Store, shared: tuple["redis.Redis", Cache], tmp_path: Path
) -> None:
    client, cache = shared
    data, exploited = CachedReads(furnished, cache, lambda: homes.NOW), tmp_path / "exploited"
    device = furnished.device("cad-1")
    assert device
    expected = every_read(data, device)
    keys = list(client.scan_iter())
    pickled = pickle.dumps(Exploit(exploited))
    for foreign in (b"!" + pickled, pickled, b"", b"\xc1", msgspec.msgpack.encode(("text",)), b"\x91" * 100_000, None):
        for key in keys:
            client.delete(key)
            client.rpush(key, "an element") if foreign is None else client.set(key, foreign)
        assert every_read(data, device) == expected
        assert all(client.type(key) == b"string" and client.get(key) != foreign for key in keys)
    assert not exploited.exists()


def test_other_types_have_another_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    class Renamed(NamedTuple):
        import_rate: int | None
        paid_rate: int | None

    before = schema()
    assert schema() == before
    monkeypatch.setitem(KINDS, "rate", tuple[Renamed])
    assert schema() != before


def test_pages_survive_a_redis_outage_and_use_it_again_afterwards(
    furnished: Store, port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.web.cache.REDIS_PAUSE_S", 0)
    counting = Counting(furnished)
    app = dashboard(counting, WATTFALL_CACHE=f"redis://127.0.0.1:{port}")  # type: ignore[arg-type]
    client = at_home(counting, app)  # type: ignore[arg-type]

    def reads() -> int:
        counting.asked.clear()
        assert client.get("/api/v1/devices/cad-1/day/2026-11-22").get_json()["import_wh"]
        return counting.asked["document"]

    assert [reads(), reads()] == [1, 1]  # the chart does not exist yet
    with running_redis(port, tmp_path):
        assert [reads(), reads()] == [1, 0]
    assert [reads(), reads()] == [1, 1]
    with running_redis(port, tmp_path):
        assert [reads(), reads()] == [1, 0]
    said = [record.message.partition(",")[0] for record in caplog.records if record.name == "dashboard.web.cache"]
    assert said == ["the cache is unreachable", "the cache is reachable again"] * 2


def test_a_full_cache_drops_its_oldest_entries() -> None:
    memory = MemoryCache(threshold=3)
    for key in "abcde":
        memory.set(key, (key,), 60)
    assert [memory.get(key) for key in "abcde"] == [None, None, ("c",), ("d",), ("e",)]
    memory.set("c", ("again",), 60)
    memory.set("f", ("f",), 60)
    assert [memory.get(key) for key in "cdef"] == [("again",), None, ("e",), ("f",)]


def test_a_charts_weight_is_its_number_of_parts() -> None:
    day = Document(
        "day", "cad-1", "2026-11-22", homes.LONDON, {f"s{half:02d}": homes.measured(9) for half in range(48)}
    )
    assert weigh((day,)) == 49
    assert weigh(([day, day],)) == 98
    assert (weigh(None), weigh((None,)), weigh(())) == (1, 1, 1)


def test_entries_in_memory_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryCache(threshold=100)
    memory.set("a", (1,), 10)
    later = time.time() + 11
    monkeypatch.setattr("cachelib.simple.time", lambda: later)
    assert memory.get("a") is None


def test_memory_frees_expired_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = MemoryCache(threshold=3)
    memory.set("short", (1,), 10)
    memory.set("long", (2,), 2 * SWEEP_S)
    later = time.time() + SWEEP_S
    monkeypatch.setattr(time, "time", lambda: later)
    memory.set("new", (3,), 10)
    assert [*memory._cache] == ["long", "new"]
    memory.set("newer", (4,), 10)
    assert [*memory._cache] == ["long", "new", "newer"], "the freed place is used"
