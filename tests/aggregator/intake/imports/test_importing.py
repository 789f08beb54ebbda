"""Imports: exact in any order and any number of times; an import only adds."""

import io
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.documents import Device, Document, Part
from aggregator.core.readings import Interval, Reading
from aggregator.intake.formats.dsmr import crc16
from aggregator.intake.imports import import_plan, importing, recognise
from aggregator.intake.imports.import_plan import SortedRows
from aggregator.intake.imports.import_report import summary
from aggregator.intake.ingest import ingest
from aggregator.intake.tables import structured, text_tables
from aggregator.store import Store, open_store
from aggregator.waterfall.retention import sweep
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain
from tests.aggregator.intake.imports.files import NOW, bring
from tests.budgets import examples

HALF_HOUR, HOUR, DAY = 1800, 3600, 86_400
AT = NOW - NOW % DAY - 10 * DAY  # a midnight
FAST = Path("/dev/shm")  # a disk in memory
Rows = Sequence[tuple[int, int, int]]  # start, end, Wh


@contextmanager
def new_store() -> Iterator[Store]:
    with (
        tempfile.TemporaryDirectory(dir=FAST if FAST.is_dir() else None) as folder,
        closing(open_store(f"sqlite:///{folder}/wattfall.db")) as store,
    ):
        yield store


@pytest.fixture
def store() -> Iterator[Store]:
    with new_store() as opened:
        yield opened


def csv_of(rows: Rows) -> str:
    return "start,end,import_wh\n" + "".join(f"{start},{end},{wh}\n" for start, end, wh in rows)


def half_hours_from(first: int, energies: Sequence[int | None]) -> list[tuple[int, int, int]]:
    spans = ((first + place * HALF_HOUR, wh) for place, wh in enumerate(energies))
    return [(start, start + HALF_HOUR, wh) for start, wh in spans if wh is not None]


def documents(store: Store) -> list[Document | None]:
    return [store.document(level, "d", one) for level in periods.LEVELS for one in store.periods(level, "d")]


def halves(store: Store) -> dict[int, Part]:
    found = {}
    for document in store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY):
        for slot in periods.half_hours(document.period, document.timezone):
            if slot.name in document.parts:
                found[slot.start] = document.parts[slot.name]
    return found


def total(store: Store) -> int:
    years = store.documents("year", "d", "1970", "2199")
    return sum(year.total.import_wh or 0 for year in years)


def is_right(store: Store) -> bool:
    device = store.device("d")
    return device is not None and list(differences(store, device)) == []


def is_supplied(part: Part) -> bool:
    """Whether all of a half hour's time and energy is from intervals."""
    return part.interval_s == part.known_s == HALF_HOUR and part.interval_wh == part.import_wh and not part.export_wh


ENERGIES = st.lists(st.none() | st.integers(0, 40_000), min_size=1, max_size=120).filter(any)
ZONES = st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe"])


@examples(60)
@given(ENERGIES, ZONES, st.randoms(use_true_random=False), st.sampled_from([1, 7, 10_000]))
def test_half_hours_are_exact_in_any_order_and_batching(
    energies: list[int | None], zone: str, random: Random, batch: int
) -> None:
    rows = half_hours_from(AT, energies)
    shuffled = random.sample(rows, len(rows))
    with new_store() as one, new_store() as other, patch.object(importing, "BATCH", batch):
        report = bring(one, csv_of(rows), zone)
        bring(other, csv_of(shuffled), zone)

        assert {start: part.import_wh for start, part in halves(one).items()} == {start: wh for start, _, wh in rows}
        assert all(is_supplied(part) for part in halves(one).values())
        assert documents(one) == documents(other)
        assert report.import_wh == total(one) or not rows
        assert not rows or is_right(one)


@examples(40)
@given(ENERGIES, ZONES)
def test_importing_again_changes_nothing(energies: list[int | None], zone: str) -> None:
    rows = csv_of(half_hours_from(AT, energies))
    with new_store() as store:
        first = bring(store, rows, zone)
        before = documents(store)
        again = bring(store, rows, zone)

        assert documents(store) == before
        assert store.backlog().waiting == 0
        assert (again.accepted, again.known, again.differs) == (0, first.accepted, 0)


class Stopped(Exception):
    """Ctrl-C."""


@examples(40)
@given(
    st.lists(st.decimals(min_value=0, max_value=1, places=5), min_size=1, max_size=60),
    st.integers(0, 140),
    st.sampled_from([60, 900, 1800, 3600]),
)
def test_a_stopped_import_resumes_to_the_same_result(energies: list[object], after: int, step: int) -> None:
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        if done > after + len(content):
            raise Stopped

    placed = [*enumerate(energies), (200, "0.00004"), (201, "0.00004")]
    content = "start,end,kwh\n"
    content += "".join(f"{AT + place * step},{AT + (place + 1) * step},{kwh}\n" for place, kwh in placed)
    with new_store() as one, new_store() as other, patch.multiple(importing, BATCH=5, _A_STEP=1):
        assert bring(one, content).accepted == len(placed)
        for _ in range(2):
            try:
                bring(other, content, progress=progress)
            except Stopped:
                done = -(10**9)
        bring(other, content)

        assert documents(one) == documents(other)
        assert is_right(other)


@examples(40)
@given(st.lists(st.decimals(min_value=0, max_value=3, places=6), min_size=2, max_size=200))
def test_the_total_is_exact_to_the_wh_for_any_decimals(energies: list[object]) -> None:
    rows = [f"{AT + place * HALF_HOUR},{kwh}\n" for place, kwh in enumerate(energies)]
    exact = sum(round(float(str(kwh)) * 10**6) for kwh in energies)
    with new_store() as store:
        report = bring(store, "time,import_kwh\n" + "".join(rows), columns="time=time,import_kwh=import_kwh")

        assert total(store) == report.import_wh
        assert abs(total(store) * 1000 - exact) <= 500


@examples(30)
@given(st.lists(st.none() | st.integers(0, 40_000), min_size=1, max_size=80).filter(any), ZONES)
def test_an_hourly_row_is_split_into_half_hours(energies: list[int | None], zone: str) -> None:
    midnight = periods.day_start(periods.day_of(AT, zone), zone)
    rows = [
        (midnight + place * HOUR, midnight + (place + 1) * HOUR, wh)
        for place, wh in enumerate(energies)
        if wh is not None
    ]
    with new_store() as store:
        bring(store, csv_of(rows), zone)
        found = halves(store)

        assert len(found) == 2 * len(rows)
        for start, _, wh in rows:
            shares = [found[start].import_wh or 0, found[start + HALF_HOUR].import_wh or 0]
            assert (sum(shares), shares[0]) == (wh, wh // 2)
        assert all(is_supplied(part) for part in found.values())


def test_a_daily_row_fills_a_local_day_of_any_length(store: Store) -> None:
    rows = "date,import_kwh\n24/10/2026,4.801\n25/10/2026,5.001\n26/10/2026,0.048\n"
    report = bring(store, rows, "Europe/London")
    days = {one.period: one.total for one in store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY)}

    assert report.accepted == 3
    assert {day: (one.import_wh, one.interval_wh, one.interval_s) for day, one in days.items()} == {
        "2026-10-24": (4801, 4801, DAY),
        "2026-10-25": (5001, 5001, 25 * HOUR),
        "2026-10-26": (48, 48, DAY),
    }
    assert is_right(store)


def test_quarter_hours_and_minutes_are_summed(store: Store) -> None:
    quarters = [(AT + place * 900, AT + (place + 1) * 900, 100 + place) for place in range(8)]
    minutes = [(AT + DAY + place * 60, AT + DAY + (place + 1) * 60, place) for place in range(60)]
    bring(store, csv_of([*quarters, *minutes]))

    assert {start: part.import_wh for start, part in halves(store).items()} == {
        **{AT + place * HALF_HOUR: 2 * 100 + 1 + 4 * place for place in range(4)},
        AT + DAY: sum(range(30)),
        AT + DAY + HALF_HOUR: sum(range(30, 60)),
    }


def test_the_next_file_continues_within_a_half_hour(store: Store) -> None:
    quarters = [(AT + place * 900, AT + (place + 1) * 900, 100) for place in range(6)]
    bring(store, csv_of(quarters[:3]))
    report = bring(store, csv_of(quarters))

    assert (report.accepted, report.known) == (3, 3)
    assert [part.import_wh for part in halves(store).values()] == [200, 200, 200]


def test_adjacent_files_join_without_a_hole(store: Store) -> None:
    energies = list(range(100, 112))
    rows = half_hours_from(AT, energies)
    for some in (rows[4:8], rows[8:], rows[:4], rows):
        bring(store, csv_of(some))

    assert [part.import_wh for part in halves(store).values()] == energies
    assert store.intervals("d", AT, NOW) == [Interval("d", *row, None, "csv") for row in rows]
    assert store.readings("d", AT, NOW) == []
    assert is_right(store)


def test_rows_of_any_whole_seconds_keep_their_energy(store: Store) -> None:
    ends = [0, 7, 100, 1777, 1801, 5000, 5001]
    rows = [(AT + start, AT + end, 2) for start, end in pairwise(ends)]
    report = bring(store, csv_of(rows))

    assert (report.accepted, report.import_wh, total(store)) == (6, 12, 12)
    assert [part.interval_s for part in halves(store).values()] == [1800, 1800, 1401]


def test_a_row_of_more_than_25_hours_is_refused_by_name(store: Store) -> None:
    rows = [(AT, AT + 25 * HOUR, 500), (AT + 30 * HOUR, AT + 55 * HOUR + 1, 500), (AT + 60 * HOUR, AT + 60 * HOUR, 5)]
    report = bring(store, csv_of(rows))

    assert (report.accepted, report.refusals.reasons) == (1, {"bad_interval": 2})
    assert report.refusals.named[0] == "line 3: bad_interval: the interval lasts 90001 s"


EXPORT_AND_IMPORT = {
    "import": ("import_kwh", [0.2 + place % 48 / 1000 for place in range(48)]),
    "export": ("export_kwh", [0.05 + place % 48 / 1000 for place in range(48)]),
}


@pytest.mark.parametrize("order", [("import", "export"), ("export", "import")])
def test_import_and_export_files_of_the_same_spans_both_count(store: Store, order: tuple[str, str]) -> None:
    """48 half hours of 0.2 kWh and of 0.05 kWh, each a Wh more than the one before: 10,728 and 3,528 Wh."""
    reports = []
    for name in (*order, *order):
        column, energies = EXPORT_AND_IMPORT[name]
        rows = [f"{AT + place * HALF_HOUR},{kwh:.3f}\n" for place, kwh in enumerate(energies)]
        reports.append(bring(store, f"start,{column}\n" + "".join(rows)))

    assert [(one.accepted, one.known, one.differs) for one in reports] == [(48, 0, 0)] * 2 + [(0, 48, 0)] * 2
    (day,) = store.documents("day", "d", periods.FIRST_DAY, periods.LAST_DAY)
    assert (day.total.import_wh, day.total.export_wh) == (10_728, 3_528)
    assert (day.total.interval_wh, day.total.interval_s) == (14_256, DAY)
    assert is_right(store)


# The device's own readings


@st.composite
def own_readings(draw: st.DrawFn, shortest_s: int = 0) -> list[Reading]:
    """A device's own readings: some stretches, with or without a meter id."""
    at, wh = AT + draw(st.integers(0, 40)) * 900 + draw(st.sampled_from([0, 1, 7, 600, 890])), 1_234_567
    found: list[Reading] = []
    for _ in range(draw(st.integers(0, 3))):
        step, meter = draw(st.sampled_from([10, 60])), draw(st.sampled_from([None, "m1", "m2"]))
        power, export = draw(st.sampled_from([None, 431])), draw(st.sampled_from([None, 12]))
        for _ in range(draw(st.integers(shortest_s // step + 1, 2400 // step))):
            found.append(Reading("d", at, power, wh, export, meter))
            at, wh = at + step, wh + step // 10
        at += draw(st.sampled_from([0, 100, 1800, 5 * HOUR]))
        wh = draw(st.sampled_from([wh, 0, 9_000_000]))
    return found


@examples(60)
@given(own_readings(), ENERGIES, st.integers(-20, 20), st.sampled_from(["UTC", "Asia/Kathmandu"]))
def test_an_import_keeps_what_the_device_measured(
    own: list[Reading], energies: list[int | None], first: int, zone: str
) -> None:
    rows = half_hours_from(AT + first * HALF_HOUR, energies)
    with new_store() as store:
        store.put_device(Device("d", zone))
        ingest(store, own, NOW, zone)
        drain(store)
        before, live, readings = halves(store), store.live("d"), store.readings("d", 0, NOW)
        report = bring(store, csv_of(rows), zone)
        after = halves(store)

        for start, part in before.items():
            assert after[start].covered_s >= part.covered_s or part.import_wh is None
            if part.covered_s == HALF_HOUR and part.import_wh is not None:
                assert after[start] == part
        assert (store.live("d"), store.readings("d", 0, NOW)) == (live, readings)
        assert (report.accepted, report.differs) == (len(rows), 0)
        assert is_right(store)
        settled = documents(store)
        assert bring(store, csv_of(rows), zone).known == len(rows)
        assert documents(store) == settled


@pytest.mark.parametrize("power_w", [0, 430])
def test_an_interval_counts_before_held_power(store: Store, power_w: int) -> None:
    own = [Reading("d", AT + HALF_HOUR + at, power_w, None, None) for at in range(0, HALF_HOUR + 10, 10)]
    ingest(store, own, NOW, "UTC")
    drain(store)
    assert halves(store)[AT + HALF_HOUR].import_wh == power_w // 2
    bring(store, csv_of(half_hours_from(AT, [100] * 4)))

    assert [part.import_wh for part in halves(store).values()] == [100, 100, 100, 100]


def test_one_own_reading_keeps_no_interval_out(store: Store) -> None:
    ingest(store, [Reading("d", AT + HALF_HOUR + 60, None, 5000, None)], NOW, "UTC")
    report = bring(store, csv_of(half_hours_from(AT, [100] * 4)))

    assert (report.accepted, report.known) == (4, 0)
    assert [part.import_wh for part in halves(store).values()] == [100, 100, 100, 100]


def test_an_interval_gives_its_rest_to_the_time_without_readings(store: Store) -> None:
    own = [Reading("d", AT + at, None, 5000 + at // 10, None) for at in range(0, 901, 10)]  # 90 Wh in a quarter
    ingest(store, own, NOW, "UTC")
    bring(store, csv_of(half_hours_from(AT, [100, 200])))
    first, second = halves(store).values()

    assert (first.import_wh, first.interval_wh, first.covered_s, first.interval_s) == (100, 10, 900, 900)
    assert (second.import_wh, second.interval_wh, second.interval_s) == (200, 200, HALF_HOUR)


def test_a_differing_row_of_a_known_span_changes_nothing(store: Store) -> None:
    bring(store, csv_of(half_hours_from(AT, [100, 200, 300])))
    settled = documents(store)
    report = bring(store, csv_of(half_hours_from(AT, [100, 250, 300])))

    assert (report.accepted, report.known, report.differs) == (0, 3, 1)
    assert "1 differ from what is stored, which stays" in summary(report, "UTC", is_dry=False)
    assert documents(store) == settled


def test_finer_rows_of_known_time_count_before_coarser_ones(store: Store) -> None:
    half_hours = csv_of(half_hours_from(AT, [100, 200, 300]))
    quarters = csv_of([(AT + place * 900, AT + (place + 1) * 900, 50 + 20 * (place > 3)) for place in range(6)])
    with new_store() as other:
        for one in (half_hours, quarters):
            assert bring(store, one).known == 0
        for one in (quarters, half_hours):
            assert bring(other, one).known == 0

        assert [part.import_wh for part in halves(store).values()] == [100, 100, 140]
        assert documents(other) == documents(store)


def test_energy_beyond_maximum_power_is_refused_and_leaves_a_hole(store: Store) -> None:
    report = bring(store, csv_of(half_hours_from(AT, [100, 60_000, 100])))

    assert (report.accepted, report.refusals.reasons, report.holes, report.hole_s) == (
        2,
        {"out_of_range": 1},
        1,
        HALF_HOUR,
    )
    assert "60000 Wh in 1800 s exceeds this home's maximum power of 100000 W" in report.refusals.named[0]
    assert [start - AT for start in halves(store)] == [0, 2 * HALF_HOUR]


# Before the retention


def old_rows(count: int = 120) -> list[tuple[int, int, int]]:
    return half_hours_from(AT - 100 * DAY, [100 + place % 7 for place in range(count)])


@pytest.mark.parametrize("cut", [1, 60, 119])
def test_history_before_the_retention_survives_sweeps_between_batches(store: Store, cut: int) -> None:
    rows = old_rows()
    own = [Reading("d", AT + at, None, 7_000_000 + at // 10, None) for at in range(0, 4 * HOUR, 60)]
    ingest(store, own, NOW, "UTC")
    bring(store, csv_of(rows[:cut]))
    sweep(store, 35, NOW + 2 * DAY)
    bring(store, csv_of(rows))
    sweep(store, 35, NOW + 4 * DAY)
    swept = documents(store)
    again = bring(store, csv_of(rows))

    found = halves(store)
    assert {start: found[start].import_wh for start, _, _ in rows} == {start: wh for start, _, wh in rows}
    assert found[AT + HOUR].import_wh == 180
    assert again.differs == 0
    assert documents(store) == swept
    assert is_right(store)


def test_a_sweep_between_batches_changes_nothing(store: Store) -> None:
    def swept(_: int) -> None:
        sweep(store, 35, NOW + 3 * DAY)

    rows = csv_of(old_rows())
    with new_store() as other, patch.multiple(importing, BATCH=50, _A_STEP=1):
        bring(other, rows)
        bring(store, rows, progress=swept)

        assert documents(store) == documents(other)


# Registers and power


def test_file_registers_become_readings(store: Store) -> None:
    rows = [f"{AT + place * 900};4120,{place:03}\n" for place in range(9)]
    report = bring(store, "time;register_kwh\n" + "".join(reversed(rows)) + rows[3])

    assert (report.accepted, report.duplicates, report.holes) == (9, 1, 0)
    assert store.readings("d", AT, AT) == [
        Reading("d", AT, None, 4_120_000, None),
        Reading("d", AT + 900, None, 4_120_001, None),
    ]
    assert store.live("d") is None
    assert bring(store, "time;register_kwh\n" + "".join(rows)).known == 9


def test_the_devices_own_reading_is_never_replaced(store: Store) -> None:
    own = Reading("d", AT, 431, 4_120_000, None, "m1")
    ingest(store, [own], NOW, "UTC")
    report = bring(store, f"time,register_kwh\n{AT},4120\n{AT + 60},4121\n")

    assert (report.accepted, report.known, report.differs) == (1, 1, 0)
    assert store.readings("d", AT, AT)[0] == own
    assert bring(store, f"time,register_kwh\n{AT},4120.5\n").differs == 1
    assert store.readings("d", AT, AT)[0] == own


def test_a_file_fills_in_the_fields_that_a_reading_lacks(store: Store) -> None:
    ingest(store, [Reading("d", AT, 431, None, 7, "m1")], NOW, "UTC")
    report = bring(store, f"time,import_register_wh,power_w\n{AT},5000,9\n")

    assert (report.accepted, report.differs) == (1, 1)
    assert store.readings("d", AT, AT) == [Reading("d", AT, 431, 5000, 7, "m1")]


def telegram(clock: str, wh: int) -> bytes:
    body = f"/KFM5KAIFA-METER\r\n\r\n0-0:1.0.0({clock}S)\r\n1-0:1.8.1({wh / 1000:010.3f}*kWh)\r\n"
    body += "1-0:1.8.2(000000.000*kWh)\r\n1-0:1.7.0(00.431*kW)\r\n1-0:2.7.0(00.000*kW)\r\n!"
    return f"{body}{crc16(body.encode()):04X}\r\n".encode()


def test_dsmr_telegrams_become_readings(store: Store) -> None:
    bad = telegram("260701120020", 5).replace(b"KAIFA", b"KAIFB")
    content = telegram("260701120000", 4_120_000) + bad + telegram("260701120010", 4_120_001)
    report = bring(store, content)
    noon = int(datetime(2026, 7, 1, 10, tzinfo=UTC).timestamp())

    assert (report.accepted, dict(report.refusals.reasons)) == (2, {"bad_checksum": 1})
    assert report.refusals.named == [f"line 16: {report.refusals.named[0].partition(': ')[2]}"]
    assert [(one.at - noon, one.power_w, one.import_wh) for one in store.readings("d", noon, noon)] == [
        (0, 431, 4_120_000),
        (10, 431, 4_120_001),
    ]


# The report


def test_a_dry_run_reports_the_same_and_writes_nothing(store: Store) -> None:
    ingest(store, [Reading("d", AT + at, None, at, None) for at in range(0, HALF_HOUR, 60)], NOW, "UTC")
    drain(store)
    before = store.readings("d", 0, NOW), documents(store), store.device("d")
    rows = csv_of(half_hours_from(AT, [100, 200, None, 300, 60_000]))
    dry = bring(store, rows, is_dry=True)

    assert (store.readings("d", 0, NOW), documents(store), store.device("d")) == before
    assert store.records("refused/d") == []
    assert bring(store, rows).as_json("UTC") == dry.as_json("UTC") | {"id": "d/1"}
    assert (dry.accepted, dry.known, dry.rejected) == (3, 0, 1)


def test_the_report_counts_every_row_once(store: Store) -> None:
    rows = half_hours_from(AT, [100, 200, 300, None, None, 400, 500])
    content = csv_of([*rows, rows[0], (rows[1][0], rows[1][1], 9), (AT + 1, AT + 1, 5)]) + "yesterday,today,5\n"
    report = bring(store, content)

    assert (report.rows, report.accepted, report.duplicates, report.rejected) == (9, 4, 1, 4)
    assert report.refusals.reasons == {"contradiction": 2, "bad_interval": 1, "bad_time": 1}
    assert (report.import_wh, report.export_wh, report.holes, report.hole_s) == (1300, None, 2, 3 * HALF_HOUR)
    assert list(summary(report, "UTC", is_dry=False)) == [
        "9 rows, from 2027-01-05T00:00:00+00:00 to 2027-01-05T03:30:00+00:00",
        "4 taken in: 1.300 kWh of import",
        "0 known already; 1 duplicates",
        "4 refused: 1 bad_interval, 1 bad_time, 2 contradiction",
        "2 holes of 1.5 h together",
        "this is import d/1; `wattfall import --undo d/1` takes it back",
    ]


def test_many_refused_rows_are_counted_and_the_first_named(store: Store) -> None:
    content = csv_of(half_hours_from(AT, [1] * 80)) + "yesterday,today,5\n" * 50
    report = bring(store, content)
    named = list(report.refusals.lines())

    assert named[0] == "line 82: bad_time: the time is 'yesterday'"
    assert (len(named), named[-1]) == (21, "bad_time: 30 more")
    (day,) = store.records("refused/d")
    assert day.body == '{"bad_time":50}'
    assert len(store.records("refused/d/messages")) == 20


def test_a_file_may_use_another_zone_than_the_device(store: Store) -> None:
    store.put_device(Device("d", "Europe/London"))
    bring(store, "time,kWh\n2026-07-01 00:00,1\n2026-07-01 00:30,1\n", "Europe/Paris")

    midnight = int(datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Paris")).timestamp())
    assert [*halves(store)] == [midnight, midnight + HALF_HOUR]
    device = store.device("d")
    assert device is not None
    assert device.timezone == "Europe/London"


def test_a_file_with_end_times_holds_intervals(store: Store) -> None:
    bring(store, "interval end,kWh\n2026-07-01 00:30,1\n2026-07-01 01:00,2\n")
    first = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp())

    assert {start: part.import_wh for start, part in halves(store).items()} == {first: 1000, first + HALF_HOUR: 2000}


def test_import_memory_is_constant() -> None:
    small = patch.multiple(recognise, SAMPLE_ROWS=50, SortedRows=partial(SortedRows, piece=200))
    sizes = (
        patch.multiple(text_tables, SAMPLE=4096),
        patch.multiple(structured, _HEAD=4096),
        patch.object(importing, "BATCH", 200),
    )
    with small, sizes[0], sizes[1], sizes[2], patch.multiple(import_plan, MERGED=4, _LINE=5):
        peak(4000)  # the days that it touches are in caches then
        assert peak(4000) < 1.5 * peak(500)


def peak(count: int) -> int:
    """Return the peak memory, in bytes, of importing so many unordered rows."""
    random = Random(7)
    places = random.sample(range(count), count)
    rows = [f"{AT - place * 60},0.{random.randrange(1000):03}\n".encode() for place in places]
    stream = io.BytesIO(b"time,import_kwh\n" + b"".join(rows))
    with new_store() as store:
        tracemalloc.start()
        report = bring(store, stream, columns="time=time,import_kwh=import_kwh", edge="start", step_s=60, is_dry=True)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert report.accepted == count
    return size
