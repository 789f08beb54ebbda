"""A device that sends steadily is carried from what the worker remembers, and comes out as from all its evidence."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device, Document
from aggregator.core.periods import HALF_HOUR, HOUR, LEVELS, day_start
from aggregator.core.readings import Interval, Reading
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.store.port import Store
from aggregator.store.sqlite.sqlite_store import SqliteStore
from aggregator.waterfall import levels
from aggregator.waterfall.levels import propagate
from aggregator.waterfall.worker import Agenda, drain, settle_once

ZONE = "Europe/London"
MIDNIGHT = day_start("2026-10-25", ZONE)  # the autumn change of the clocks follows at 01:00 UTC
TARIFF = """{"currency": "GBP", "versions": [{"from": "2020-01-01", "import": [
    {"name": "night", "from": "00:30", "to": "07:30", "rate": "0.0850"},
    {"name": "day", "from": "07:30", "to": "00:30", "rate": "0.3012"}]}]}"""


class Sent(NamedTuple):
    """The next reading of a device: the seconds and the energy since the one before, and what it tells."""

    seconds: int
    wh: int
    fields: frozenset[str]
    meter_id: str | None
    repeats: int


BOTH = frozenset({"import_wh", "export_wh"})
ONCE, NO_ID = st.just(1), st.none()
TEN = st.just(10)
STEADY = st.builds(Sent, TEN, st.integers(0, 5), st.just(BOTH), NO_ID, st.integers(1, 240))
STRANGE = st.one_of(
    st.builds(Sent, st.sampled_from([1, 10, 290, 301, 1200, 4000]), st.integers(0, 40), st.just(BOTH), NO_ID, ONCE),
    st.builds(Sent, TEN, st.sampled_from([-9, -8, -1, 280, 5000, -400_000]), st.just(BOTH), NO_ID, ONCE),
    st.builds(Sent, TEN, ONCE, st.sampled_from([frozenset[str](), frozenset({"import_wh"})]), NO_ID, ONCE),
    st.builds(Sent, TEN, ONCE, st.just(BOTH), st.sampled_from(["m-1", "m-2"]), st.integers(1, 40)),
)


def readings_of(steps: Sequence[Sent], at: int) -> list[Reading]:
    """Return a device's readings; a fall of the register lasts for one reading."""
    found, wh = [], 400_000
    for step in steps:
        for _ in range(step.repeats):
            at, shown = at + step.seconds, wh + step.wh
            wh = max(wh, shown)
            imported = shown if "import_wh" in step.fields else None
            exported = 7000 + wh // 9 if "export_wh" in step.fields else None
            found.append(Reading("d", at, 300, imported, exported, step.meter_id))
    return found


def documents_of(store: Store) -> list[Document]:
    return [found for level in LEVELS for found in store.documents(level, "d", "", "9")]


@given(
    st.lists(st.one_of(STEADY, STEADY, STEADY, STEADY, STRANGE), min_size=3, max_size=9),
    st.integers(-2 * HALF_HOUR, 600),
    st.lists(st.integers(1, 90), min_size=1, max_size=8),
    st.sampled_from(["", TARIFF]),
    st.sampled_from(["Europe/London", "Asia/Kathmandu"]),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_any_batches_come_out_as_all_at_once(
    steps: list[Sent], since_midnight: int, sizes: list[int], tariff: str, zone: str, has_two: bool, chance: Random
) -> None:
    readings = readings_of(steps, MIDNIGHT + since_midnight)
    late = chance.sample(readings, 3)  # sent at the end
    order = [one for one in readings if one not in late] + late
    now, device = readings[-1].at + 5, Device("d", zone, tariff=tariff)
    with tempfile.TemporaryDirectory() as folder, closing(SqliteStore(f"{folder}/a.db", lambda: now)) as store:
        store.put_device(device)
        with closing(SqliteStore(f"{folder}/a.db", lambda: now)) as other:  # a second worker, by mistake
            agendas, batches = (Agenda(store), Agenda(other)), cycle(sizes)
            while order:
                size = next(batches)
                batch, order = order[:size], order[size:]
                ingest(store, batch, now, zone)
                agenda = agendas[has_two and chance.random() < 0.5]
                while settle_once(agenda.store, agenda):
                    store.pack(now, 10)
        with closing(SqliteStore(f"{folder}/whole.db", lambda: now)) as whole:
            whole.put_device(device)
            ingest(whole, readings, now, zone)
            drain(whole)
            assert documents_of(store) == documents_of(whole)


# What makes and ends a run


START = MIDNIGHT + 12 * HOUR


class Bench:
    """A store with a device that has sent for ten minutes, and what its worker remembers."""

    def __init__(self, store: Store) -> None:
        self.store, self.agenda, self.at = store, Agenda(store), START - 10
        self.send(59)
        self.send(1)

    def send(self, count: int, **fields: int) -> None:
        """Send readings, one a step, and carry them."""
        found = []
        for _ in range(count):
            self.at += 10
            values = {"import_wh": 400_000 + (self.at - START) // 10, **fields}
            found.append(Reading("d", self.at, 360, values["import_wh"], None, volume_l=values.get("volume_l")))
        self.carry(found)

    def carry(self, readings: Sequence[Reading]) -> None:
        ingest(self.store, readings, NOW, ZONE)
        while settle_once(self.store, self.agenda):
            continue

    @property
    def newest(self) -> int | None:
        """The newest reading that the worker remembers; None without a run."""
        run = self.agenda.work.runs.get("d")
        return run.last.at if run else None


NOW = START + HOUR


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(SqliteStore(f"{tmp_path}/a.db", lambda: NOW)) as store:
        store.put_device(Device("d", ZONE))
        yield Bench(store)


def test_a_steady_device_is_carried_from_two_reads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench.newest == bench.at
    monkeypatch.setattr(levels, "RecomputeWindow", None)  # nothing else reads the evidence
    bench.send(7)
    assert bench.newest == bench.at == START + 660
    total = documents_of(bench.store)[0].total
    assert (total.import_wh, total.covered_s) == (66, 660)  # from the first reading, 10 s and 1 Wh a step


@pytest.mark.parametrize(
    "reading",
    [
        Reading("d", START + 610, 360, 399_000, None),  # falls
        Reading("d", START + 610, 360, None, None),  # has no register
        Reading("d", START + 610, 360, 400_061, 7),  # has a further register
        Reading("d", START + 610, 360, 400_061, None, "other"),
        Reading("d", START + 911, 360, 400_091, None),  # after a gap
        Reading("d", START + 305, 360, 400_030, None),  # late
        Reading("d", START + 300, 360, 400_031, None),  # says otherwise than before
    ],
)
def test_anything_else_is_judged_with_all_evidence(bench: Bench, reading: Reading) -> None:
    bench.carry([reading])
    assert bench.newest != reading.at


def test_an_interval_or_a_statement_of_an_exchange_ends_the_run(bench: Bench) -> None:
    ingest_intervals(bench.store, [Interval("d", START - HOUR, START, 500, None)], NOW, ZONE)
    bench.send(1)
    assert bench.newest is None


def test_another_document_than_remembered_ends_the_run(bench: Bench) -> None:
    (day,) = [one for one in documents_of(bench.store) if one.level == "day"]
    half = max(name for name in day.parts if name[0] == "s")
    bench.store.merge_parts("day", "d", day.period, ZONE, {half: day.parts[half]._replace(import_wh=1)})
    bench.send(1)
    assert documents_of(bench.store)[0].part(half).import_wh == 60


def test_readings_that_an_earlier_change_has_carried_are_not_carried_twice(bench: Bench) -> None:
    """In Kathmandu a half hour of the home lies in two blocks, and the change of the first carries both."""
    bench.store.put_device(Device("k", "Asia/Kathmandu"))
    sent = [Reading("k", START + at, 360, 400_000 + at // 10, None) for at in range(0, 6010, 10)]
    bench.carry(sent[:360])
    ingest(bench.store, sent[360:], NOW, ZONE)
    first, second = bench.store.changes("readings", 10)
    for change in (first._replace(first=0), second):  # the first with all evidence
        propagate(bench.store, levels.Step("day", "readings"), [change], bench.agenda.work)
    day = bench.store.document("day", "k", "2026-10-25")
    assert day is not None
    assert day.total.import_wh == 600


def test_a_late_reading_that_arrives_while_a_pass_runs_is_not_missed(bench: Bench) -> None:
    """The pass has read the change before; the record then has an earlier instant, and stays."""
    ingest(bench.store, [Reading("d", START + 610, 360, 400_061, None)], NOW, ZONE)
    seen = bench.store.changes("readings", 10)
    ingest(bench.store, [Reading("d", START + 305, 360, 400_031, None)], NOW, ZONE)
    bench.store.settle(seen)
    assert [change.first for change in bench.store.changes("readings", 10)] == [START + 305]
