"""Invariant 1: no level loses or adds energy, to the Wh."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import periods
from aggregator.core.readings import Reading
from tests.aggregator.invariants.reference import reference, register_span
from tests.aggregator.invariants.series import (
    DAY,
    HALF_HOUR,
    HOME,
    Evidence,
    Points,
    Series,
    clean,
    every,
    evidence,
    intervals_near,
    messy,
    meters,
    starts,
)
from tests.aggregator.invariants.stores import KINDS, check_levels_sum, half_hours, outcome, outcome_of, total
from tests.budgets import examples


@examples(48)
@given(clean(), KINDS)
def test_exact_closure_of_a_clean_series_at_every_level(series: Series, kind: str) -> None:
    found = outcome(series, kind)
    check_levels_sum(found)
    for level in periods.LEVELS:
        whole = total(found, level)
        assert whole.import_wh == register_span(series, "import_wh")
        assert whole.export_wh == register_span(series, "export_wh")
    assert half_hours(found) == reference(series)


@examples(80)
@given(clean(kinds=("i", "ie", "e")), KINDS, st.data())
def test_exact_closure_of_intervals_beside_registers(series: Series, kind: str, data: st.DataObject) -> None:
    intervals = data.draw(intervals_near(series.readings[0].at, series.readings[-1].at))
    found = outcome_of([*series.readings, *intervals], series.zone, kind)
    assert half_hours(found) == reference(series, intervals)
    check_levels_sum(found)


@examples(24)
@given(starts(), KINDS, st.data())
def test_exact_closure_of_intervals_alone(start: tuple[str, int], kind: str, data: st.DataObject) -> None:
    zone, at = start
    intervals = data.draw(intervals_near(at, at + DAY))
    assert half_hours(outcome_of(intervals, zone, kind)) == reference(Series(zone, []), intervals)


@examples(40)
@given(meters(), KINDS)
def test_exact_closure_of_any_rhythm(case: tuple[str, Points], kind: str) -> None:
    zone, points = case
    series = Series(zone, [Reading(HOME, at, None, wh, None) for at, wh in points])
    found = outcome(series, kind)
    check_levels_sum(found)
    assert half_hours(found) == reference(series)
    assert total(found).import_wh == points[-1][1] - points[0][1]


@examples(24)
@given(evidence(), KINDS)
def test_exact_closure_of_the_levels_for_any_evidence(case: tuple[str, list[Evidence]], kind: str) -> None:
    check_levels_sum(outcome_of(case[1], case[0], kind))


@examples(48)
@given(messy(), KINDS)
def test_exact_closure_of_the_levels_for_any_readings(series: Series, kind: str) -> None:
    found = outcome(series, kind)
    check_levels_sum(found)
    for (day, number), part in half_hours(found).items():
        slot = periods.half_hours(day, series.zone)[number]
        assert 0 < part.covered_s + part.estimated_s <= slot.end - slot.start
        assert (part.import_wh or 0) >= part.estimated_import_wh >= 0
        assert (part.export_wh or 0) >= part.estimated_export_wh >= 0


@examples(24)
@given(clean(kinds=("i", "ie")), st.data())
def test_exact_closure_a_glitch_leaves_no_trace(series: Series, data: st.DataObject) -> None:
    with_glitch: list[Reading] = list(series.readings)
    position = data.draw(st.integers(1, len(with_glitch)), label="before which reading")
    before = series.readings[position - 1]
    after = series.readings[position] if position < len(with_glitch) else None
    room = (after.at if after else before.at + 20) - before.at
    if room > 1:
        at = before.at + data.draw(st.integers(1, room - 1), label="seconds after the one before")
        low = (before.import_wh or 0) - data.draw(st.sampled_from([20, 1000]))  # less may be rounding
        wrong = low if low >= 0 and data.draw(st.booleans(), label="low") else 10**11
        with_glitch.insert(position, Reading(HOME, at, None, wrong, None))
    assert outcome(Series(series.zone, with_glitch)) == outcome(series)


@examples(24)
@given(starts(), st.sampled_from([10, 60, 300, 1800]), st.booleans(), st.sampled_from([0, 7, 10**9]), st.integers(3, 9))
def test_exact_closure_across_a_meter_exchange(
    start: tuple[str, int], step: int, has_id: bool, new: int, count: int
) -> None:
    zone, at = start
    ids = ("old", "new") if has_id else (None, None)
    old = [Reading(HOME, at + n * step, None, 500_000 + 40 * n, None, ids[0]) for n in range(count)]
    later = at + (count + 1) * step
    new_meter = [
        Reading(HOME, later + n * step, None, new + 25 * n, None, ids[1]) for n in range(max(3, 300 // step + 1))
    ]
    found = outcome(Series(zone, old + new_meter))
    check_levels_sum(found)
    assert total(found).import_wh == 40 * (count - 1) + 25 * (len(new_meter) - 1)
    assert sum(p.covered_s + p.estimated_s for p in half_hours(found).values()) == step * (count + len(new_meter) - 2)


@pytest.mark.parametrize("wrong", [0, 10**11])
def test_exact_closure_with_two_wrong_half_hourly_readings(wrong: int) -> None:
    readings = every(HALF_HOUR, 12)
    broken = [reading._replace(import_wh=wrong) if n in (5, 6) else reading for n, reading in enumerate(readings)]
    whole = total(outcome(Series("UTC", broken)))
    assert whole.import_wh == (readings[-1].import_wh or 0) - (readings[0].import_wh or 0)
