"""The plan of an import: exact whole Wh, and only what is not known yet."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Device
from aggregator.core.errors import Refused
from aggregator.core.readings import Interval, Reading
from aggregator.intake.imports.import_plan import MICRO, Exact, ImportPlan, Planned, compared, in_whole_wh
from aggregator.intake.ingest import ingest, ingest_intervals
from aggregator.store import Store, open_store

HALF_HOUR = 1800
AT = 1_769_904_000  # 2026-02-01T00:00:00Z


def interval(import_wh: int | None = None, export_wh: int | None = None, source: str | None = "csv") -> Interval:
    return Interval("d", AT, AT + HALF_HOUR, import_wh, export_wh, source)


def reading(power_w: int | None, import_wh: int | None, meter_id: str | None = None) -> Reading:
    return Reading("d", AT, power_w, import_wh, None, meter_id)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/plan.db")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("known", "row", "planned"),
    [
        (interval(5), interval(5), Planned(None, False)),
        (interval(5), interval(5, source="octopus"), Planned(None, False)),
        (interval(5), interval(6), Planned(None, False)),  # two files round differently
        (interval(5), interval(7), Planned(None, True)),
        (interval(5, 2), interval(None, 9), Planned(None, True)),
        (interval(5), interval(None, 2), Planned(interval(None, 2), False)),
        (interval(None, 2), interval(5), Planned(interval(5), False)),
        (interval(5), interval(7, 2), Planned(interval(None, 2), True)),
        (interval(0), interval(0, 0), Planned(interval(None, 0), False)),
    ],
)
def test_import_and_export_of_a_span_are_filled_in_independently(
    known: Interval, row: Interval, planned: Planned
) -> None:
    assert compared(known, row)[:2] == planned[:2]


@pytest.mark.parametrize(
    ("known", "row", "planned"),
    [
        (reading(431, 5000, "m1"), reading(None, 5000), Planned(None, False)),
        (reading(431, 5000), reading(None, 5001), Planned(None, True)),  # registers are whole Wh in both
        (reading(431, None), reading(None, 5000), Planned(reading(None, 5000), False)),
        (reading(431, None), reading(7, 5000), Planned(reading(None, 5000), True)),
        (reading(None, 5000, "m1"), reading(None, 5000, "m2"), Planned(None, True)),
    ],
)
def test_fields_of_a_reading_are_filled_in_independently(known: Reading, row: Reading, planned: Planned) -> None:
    assert compared(known, row)[:2] == planned[:2]


def test_only_the_same_span_or_instant_is_known(store: Store) -> None:
    ingest(store, [reading(None, 5000)], AT, "UTC")
    ingest_intervals(store, [interval(5)], AT, "UTC")
    plan, longer = ImportPlan(store, Device("d")), Interval("d", AT, AT + 3600, 9, None)

    assert plan.plan(interval(5)).added is None
    assert plan.plan(longer) == Planned(longer, False)
    readings, later = ImportPlan(store, Device("d")), reading(None, 5001)._replace(at=AT + 1)
    assert readings.plan(reading(None, 5000)).added is None
    assert readings.plan(later) == Planned(later, False)


def test_energy_beyond_maximum_power_is_refused(store: Store) -> None:
    plan = ImportPlan(store, Device("d", max_power_w=10_000))

    assert plan.plan(interval(5001, 5001)).added  # 5000 Wh in half an hour, and 1 Wh of rounding
    for beyond in (interval(5002), interval(None, 5002)):
        with pytest.raises(Refused, match="out_of_range: 5002 Wh in 1800 s exceeds"):
            plan.plan(beyond)


ENERGIES = st.lists(st.none() | st.integers(0, 3 * MICRO) | st.just(500_000), min_size=1, max_size=300)


@given(ENERGIES, ENERGIES)
def test_intervals_add_up_to_the_nearest_wh(imports: list[int | None], exports: list[int | None]) -> None:
    rows = [
        Exact(place, place + 1, place + 2, imported, exported)
        for place, (imported, exported) in enumerate(zip(imports, exports, strict=False))
    ]
    numbered = list(in_whole_wh(rows, "d", "csv"))
    found = [one for _, one in numbered]

    assert [line for line, _ in numbered] == [row.line for row in rows]
    assert {(one.device_id, one.source) for one in found} == {("d", "csv")}
    for exact, whole in (
        ([row.import_uwh for row in rows], [row.import_wh for row in found]),
        ([row.export_uwh for row in rows], [row.export_wh for row in found]),
    ):
        assert [wh is None for wh in whole] == [uwh is None for uwh in exact]
        assert abs(sum(wh or 0 for wh in whole) * MICRO - sum(uwh or 0 for uwh in exact)) <= MICRO // 2
        assert all(
            abs(wh * MICRO - uwh) <= MICRO
            for wh, uwh in zip(whole, exact, strict=True)
            if wh is not None and uwh is not None
        )
        assert all(wh is None or wh >= 0 for wh in whole)
