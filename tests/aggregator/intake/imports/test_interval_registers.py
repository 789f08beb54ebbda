"""Synthetic registers: exact energy, in segments with no energy across their ends."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.energy import half_hour_parts
from aggregator.core.readings import Reading
from aggregator.core.registers import is_made
from aggregator.intake.imports.interval_registers import (
    FIRST_WH,
    MICRO,
    Beside,
    Exact,
    Interval,
    Segment,
    in_whole_wh,
    run_on,
    segment_of,
)

HALF_HOUR = 1800
AT = 1_769_904_000  # 2026-02-01T00:00:00Z
FREE = Beside(start=False, end=False)


def interval(place: int = 0, import_wh: int | None = 500, export_wh: int | None = None) -> Interval:
    return Interval(AT + place * HALF_HOUR, AT + (place + 1) * HALF_HOUR, place + 2, import_wh, export_wh)


def run(*intervals: Interval) -> list[Reading]:
    segment, found = None, list[Reading]()
    for one in intervals:
        segment, readings = run_on("d", one, segment, [], FREE)
        found += readings
    return found


def test_a_segment_has_its_own_distant_register() -> None:
    readings = run(interval(0, 500), interval(1, 40))

    assert [(one.at - AT, one.import_wh) for one in readings] == [
        (0, FIRST_WH),
        (900, FIRST_WH + 250),
        (1800, FIRST_WH + 500),
        (3600, FIRST_WH + 540),
    ]
    assert {one.meter_id for one in readings} == {"interval:2026-02-01T00:00:00Z"}
    assert {(one.power_w, one.export_wh) for one in readings} == {(None, None)}
    assert all(is_made(one.meter_id) for one in readings)


def test_a_direction_missing_in_the_file_stays_unknown() -> None:
    assert {one.export_wh is None for one in run(interval(0, 5, None))} == {True}
    assert {one.import_wh is None for one in run(interval(0, None, 5))} == {True}
    assert [one.export_wh for one in run(interval(0, 5, 6))] == [FIRST_WH, FIRST_WH + 3, FIRST_WH + 6]


def test_a_segment_continues_only_contiguously_in_the_same_directions() -> None:
    segment, _ = run_on("d", interval(), None, [], FREE)

    assert segment.runs_on_with(interval(1))
    assert not segment.runs_on_with(interval(2))
    assert not segment.runs_on_with(interval(1, 500, 5))
    assert not segment.runs_on_with(interval(1, None, 5))


def test_only_a_stored_synthetic_register_is_continued() -> None:
    made = run(interval())[-1]

    assert segment_of(made) == Segment("interval:2026-02-01T00:00:00Z", AT + HALF_HOUR, FIRST_WH + 500, None)
    assert segment_of(Reading("d", AT, None, 5, None)) is None
    assert segment_of(Reading("d", AT, None, 5, None, "E0012")) is None


def test_own_readings_at_the_ends_cost_no_energy() -> None:
    _, readings = run_on("d", interval(), None, [], Beside(start=True, end=True))

    assert [(one.at - AT, one.import_wh) for one in readings] == [
        (1, FIRST_WH),
        (900, FIRST_WH + 250),
        (1799, FIRST_WH + 500),
    ]


def test_an_hour_spreads_evenly_over_its_half_hours() -> None:
    hour = Interval(AT, AT + 2 * HALF_HOUR, 2, 501, None)
    _, readings = run_on("d", hour, None, [AT + HALF_HOUR], FREE)
    parts = half_hour_parts(readings, [AT, AT + HALF_HOUR, AT + 2 * HALF_HOUR], 100_000)

    assert [(part.import_wh, part.estimated_wh, part.covered_s) for part in parts] == [(250, 0, 1800), (251, 0, 1800)]


@pytest.mark.parametrize("first_wh", [0, 1_234_567, 10**9, FIRST_WH - 10**9])
def test_no_energy_lies_between_real_and_synthetic_registers(first_wh: int) -> None:
    own = [Reading("d", AT + at, None, first_wh + at // 10, None) for at in range(0, 600, 10)]
    later = [reading._replace(at=reading.at + 4 * HALF_HOUR) for reading in own]
    readings = [*own, *run(interval(1), interval(2)), *later]
    edges = [AT + place * HALF_HOUR for place in range(6)]

    assert [part.import_wh for part in half_hour_parts(readings, edges, 100_000)] == [59, 500, 500, None, 59]


ENERGIES = st.lists(st.none() | st.integers(0, 3 * MICRO) | st.just(500_000), min_size=1, max_size=300)


@given(ENERGIES, ENERGIES)
def test_intervals_add_up_to_the_nearest_wh(imports: list[int | None], exports: list[int | None]) -> None:
    rows = [
        Exact(place, place + 1, place, imported, exported)
        for place, (imported, exported) in enumerate(zip(imports, exports, strict=False))
    ]
    found = list(in_whole_wh(rows))

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


@given(st.lists(st.tuples(st.integers(0, 50_000), st.booleans()), min_size=1, max_size=60))
def test_half_hours_keep_their_energy_and_holes_have_none(rows: list[tuple[int, bool]]) -> None:
    kept = {place: wh for place, (wh, is_kept) in enumerate(rows) if is_kept}
    segment, readings = None, list[Reading]()
    for place, wh in kept.items():
        one = interval(place, wh)
        segment, more = run_on(
            "d", one, segment if segment and segment.runs_on_with(one) else None, [], _beside(readings, one)
        )
        readings += more
    edges = [AT + place * HALF_HOUR for place in range(len(rows) + 1)]
    parts = half_hour_parts(readings, edges, 100_000)

    assert [part.import_wh for part in parts] == [kept.get(place) for place in range(len(rows))]
    assert sum(part.estimated_wh for part in parts) == 0
    assert all(one.at < other.at for one, other in pairwise(readings))


def _beside(readings: list[Reading], one: Interval) -> Beside:
    is_other = any(reading.at == one.start for reading in readings)
    return Beside(start=is_other, end=False)
