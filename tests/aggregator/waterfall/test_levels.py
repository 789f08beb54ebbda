"""The steps of the waterfall: they replace parts, read one document per chart, and isolate damage."""

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from aggregator.core.documents import Document, Part
from aggregator.core.errors import Damaged
from aggregator.core.periods import FOR_EVER, HALF_HOUR, HOUR
from aggregator.core.readings import Reading
from aggregator.intake.ingest import ingest
from aggregator.store import Store, open_store
from aggregator.store.port import Change
from aggregator.waterfall.levels import APART, IN_BULK, TOGETHER, Step, Work, clusters, pieces, propagate, steps
from aggregator.waterfall.verify import differences, rezone
from aggregator.waterfall.worker import drain, settle_once
from dashboard.web.cache import open_cache
from dashboard.web.cached_reads import CachedReads

START = 1_790_812_800  # 2026-10-01T00:00:00Z
DAY = 86_400
DIRTY = {"readings": str(START), "prices": "2026-10-01", "day": "2026-10-01", "month": "2026-10"}  # a key each


class CountingStore:
    """A store that counts every call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of the store
        self.calls[name] += 1
        return getattr(self._store, name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/wattfall.db")
    yield opened
    opened.close()


def history(device_id: str, hours: int, wh: int = 10) -> list[Reading]:
    """Return readings of a register that rises by `wh` every half hour."""
    return [Reading(device_id, START + HALF_HOUR * n, None, wh * n, None) for n in range(2 * hours + 1)]


def send(store: Store, readings: Sequence[Reading], zone: str = "UTC") -> None:
    ingest(store, readings, START + 400 * DAY, zone)


def load_document(store: Store, level: str, period: str, device_id: str = "d") -> Document:
    document = store.document(level, device_id, period)
    assert document is not None
    return document


def totals(store: Store, device_id: str = "d") -> list[int | None]:
    """Return the import of the first day, its month and its year."""
    periods = [("day", "2026-10-01"), ("month", "2026-10"), ("year", "2026")]
    return [load_document(store, level, period, device_id).total.import_wh for level, period in periods]


# A step replaces


def test_each_level_is_propagated_to_the_next(store: Store) -> None:
    send(store, history("d", 48))
    assert drain(store) == 97 + 2 + 1  # blocks, days, months
    assert totals(store) == [480, 960, 960]
    assert store.backlog() == (0, None)


def test_a_repeated_step_replaces_and_never_adds(store: Store) -> None:
    send(store, history("d", 24))
    drain(store)
    before = [
        load_document(store, "day", "2026-10-01"),
        load_document(store, "month", "2026-10"),
        load_document(store, "year", "2026"),
    ]
    for step in steps():
        for _ in range(3):
            propagate(store, step, [Change(0, step.feed, "d", DIRTY[step.feed])] * 2)
    assert store.backlog() == (0, None)
    assert before == [load_document(store, one.level, one.period) for one in before]


def test_a_smaller_total_replaces_a_larger_one(store: Store) -> None:
    send(store, history("d", 24))
    drain(store)
    send(store, history("d", 24, wh=7))
    drain(store)
    assert totals(store) == [7 * 48] * 3


def test_a_needless_step_changes_nothing(store: Store) -> None:
    send(store, history("d", 2))
    drain(store)
    for step in steps():
        key = {**DIRTY, "readings": "1000000800", "day": "2001-09-09", "month": "2001-09"}[step.feed]
        propagate(store, step, [Change(0, step.feed, "d", key), Change(0, step.feed, "nobody", key)])
    assert store.backlog() == (0, None)
    assert store.extent("year", "d") == ("2026", "2026")
    assert store.extent("year", "nobody") is None


def test_a_part_removed_from_a_child_leaves_its_parents(store: Store) -> None:
    store.merge_parts("day", "d", "2026-10-01", "UTC", {"h00": Part(5, None, covered_s=3600)})
    drain(store)
    assert load_document(store, "year", "2026").parts == {"m10": Part(5, None, covered_s=3600)}
    store.merge_parts("day", "d", "2026-10-01", "UTC", {"h00": None})
    drain(store)
    assert [store.document("month", "d", "2026-10"), store.document("year", "d", "2026")] == [None, None]


def test_a_pass_propagates_a_dirty_document_once(store: Store) -> None:
    send(store, [Reading("d", START + n, None, n, None) for n in range(HALF_HOUR)])
    counting = CountingStore(store)
    assert settle_once(counting) == 1 + 1 + 1
    assert counting.calls["step"] == 3


def test_readings_of_many_days_are_computed_together(store: Store) -> None:
    send(store, history("d", 24 * 20))
    counting = CountingStore(store)
    drain(counting)
    assert counting.calls["readings"] < 200  # of 961 blocks


def test_rare_readings_are_computed_together(store: Store) -> None:
    send(store, [Reading("d", START + 30 * DAY * n, None, 9000 * n, None) for n in range(12)])
    counting = CountingStore(store)
    drain(counting)
    assert counting.calls["merge_parts"] < 3 * 30 * 11  # each day about once, and once into its month
    assert sum(load_document(store, "year", year).total.import_wh or 0 for year in ("2026", "2027")) == 9000 * 11


class RecordingStore(CountingStore):
    """A store that records how long the spans are whose readings are asked for, in blocks."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.spans: list[int] = []

    def readings(self, device_id: str, first: int, last: int) -> list[Reading]:
        self.spans.append((last - first) // HALF_HOUR)
        return self._store.readings(device_id, first, last)


def test_a_long_dense_history_is_computed_in_short_spans(store: Store) -> None:
    send(store, history("d", 24 * 30))
    recording = RecordingStore(store)
    drain(recording)
    assert max(recording.spans) < 2 * IN_BULK
    recording.spans.clear()
    keys = [str(START + HALF_HOUR * number) for number in range(48 * 30)]
    propagate(recording, Step("day", "readings"), [Change(0, "readings", "d", key) for key in keys])
    assert max(recording.spans) < 2 * IN_BULK


# Clusters of blocks


def blocks(*numbers: int) -> list[int]:
    return [START + HALF_HOUR * number for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "spans"),
    [
        ([5], [(5, 5)]),
        ([0, 1, 2, 3], [(0, 3)]),
        ([0, APART], [(0, APART)]),
        ([0, APART + 1], [(0, 0), (APART + 1, APART + 1)]),
        ([0, 1, 100, 101, 300], [(0, 1), (100, 101), (300, 300)]),
        (list(range(TOGETHER)), [(0, TOGETHER - 1)]),
        (list(range(TOGETHER + 1)), [(0, TOGETHER - 1), (TOGETHER, TOGETHER)]),
    ],
)
def test_neighbouring_blocks_form_one_cluster_up_to_a_size(numbers: list[int], spans: list[tuple[int, int]]) -> None:
    assert list(clusters(blocks(*numbers))) == [tuple(blocks(*span)) for span in spans]


def test_devices_take_turns_and_the_watched_then_the_smallest_come_first() -> None:
    many = [Change(number, "readings", "many", str(START + HALF_HOUR * number)) for number in range(3 * TOGETHER)]
    one = Change(9999, "readings", "one", str(START))
    turns = [(piece[0].device_id, len(piece)) for piece in pieces([*many, one], Work())]
    assert turns == [("one", 1), *[("many", TOGETHER)] * 3]
    seen = [piece[0].device_id for piece in pieces([*many, one], Work(), {"many"})]
    assert seen == ["many", "one", "many", "many"]
    days = [Change(number, "day", "many", f"2026-10-{number:02d}") for number in range(1, 31)]
    assert [len(piece) for piece in pieces(days, Work())] == [20, 10]


def test_the_meters_of_a_sender_share_its_turns() -> None:
    meters = [Change(number, "readings", f"many~{number}", str(START)) for number in range(1, 4)]
    other = [Change(10 + number, "readings", "other", str(START + day)) for number, day in enumerate((0, 86_400))]
    turns = [piece[0].device_id for piece in pieces([*meters, *other], Work())]
    assert turns == ["many~1", "other", "many~2", "other", "many~3"]


# One chart, one document


@pytest.mark.parametrize(
    ("level", "period", "reads"), [("day", "2026-10-14", 1), ("month", "2026-10", 1), ("year", "2026", 3)]
)
def test_a_chart_reads_one_document_and_its_open_parts(store: Store, level: str, period: str, reads: int) -> None:
    for number in range(5):
        send(store, history(f"d{number}", 24 * 40))
    drain(store)
    counting = CountingStore(store)
    data = CachedReads(counting, open_cache(Flask("t"), ""), lambda: START + 60 * DAY + 12 * HOUR)
    device = store.device("d3")
    assert device is not None
    counting.calls.clear()
    document = data.document(device, level, period)
    assert document is not None
    assert document.total.import_wh
    assert counting.calls == {"document": reads}
    assert data.document(device, level, period) == document
    assert counting.calls == {"document": reads}


# Damage


def damage(path: Path, table: str, device_id: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET body = x'00ff' WHERE device_id = ?", (device_id,))
    database.close()


def test_a_damaged_block_is_quarantined_and_other_devices_go_on(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for device_id in ("a", "b", "c"):
        send(store, history(device_id, 24))
    assert store.pack(FOR_EVER, 1000) == 3 * 49
    damage(tmp_path / "wattfall.db", "readings", "b")
    with caplog.at_level(logging.ERROR):
        drain(store)
    assert store.backlog() == (0, None)
    assert totals(store, "a") == totals(store, "c") == [480] * 3
    assert store.document("day", "b", "2026-10-01") is None
    assert len(store.quarantined("b")) == 49
    assert store.quarantined("b")[0].startswith(f"readings {START}: {tmp_path}/wattfall.db is damaged: b, {START}: ")
    assert (store.quarantined("a"), store.quarantined("c")) == ([], [])
    assert {line.count("quarantined") for line in caplog.messages} == {1}


def test_verify_names_quarantined_keys(store: Store, tmp_path: Path) -> None:
    send(store, history("b", 1))
    drain(store)
    damage(tmp_path / "wattfall.db", "days", "b")
    store.mark("day", "b", ["2026-10-01"])
    drain(store)
    device = store.device("b")
    assert device is not None
    assert "b: quarantined: day 2026-10-01: " in next(differences(store, device))


@pytest.mark.parametrize("table", ["days", "months", "years"])
@pytest.mark.parametrize("step", steps())
def test_a_damaged_document_stops_its_own_device_only(store: Store, tmp_path: Path, table: str, step: Step) -> None:
    for device_id in ("a", "b"):
        send(store, history(device_id, 2))
    drain(store)
    damage(tmp_path / "wattfall.db", table, "a")
    for device_id in ("a", "b"):
        store.mark(step.feed, device_id, [DIRTY[step.feed]])
        send(store, history(device_id, 2, wh=11))
    drain(store)
    assert store.quarantined("a") != []
    assert store.quarantined("b") == []
    assert totals(store, "b") == [44] * 3
    with pytest.raises(Damaged):
        totals(store, "a")


# Time zones


def test_a_changed_time_zone_recomputes_the_days(store: Store) -> None:
    send(store, history("d", 48))
    drain(store)
    assert [load_document(store, "day", day).total.import_wh for day in store.periods("day", "d")] == [480, 480]
    device = store.device("d")
    assert device is not None
    rezone(store, device, "Asia/Kathmandu")
    drain(store)
    days = {day: load_document(store, "day", day) for day in store.periods("day", "d")}
    assert {day: document.total.import_wh for day, document in days.items()} == {
        "2026-10-01": 365,  # begins in the half hour of 18:15 UTC the day before; ends at 18:15 UTC
        "2026-10-02": 480,
        "2026-10-03": 115,
    }
    assert {document.timezone for document in days.values()} == {"Asia/Kathmandu"}
    assert totals(store)[1:] == [960, 960]
    moved = store.device("d")
    assert moved is not None
    assert list(differences(store, moved)) == []


def test_an_expired_document_keeps_its_time_zone(store: Store) -> None:
    """A day with expired readings keeps its zone, and its month shows the difference."""
    store.merge_parts("day", "d", "2026-10-01", "Asia/Tokyo", {"h00": Part(5, None, covered_s=HOUR)})
    drain(store)
    assert load_document(store, "month", "2026-10").timezone == "Asia/Tokyo"
