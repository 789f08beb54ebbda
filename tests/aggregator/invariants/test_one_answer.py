"""Invariant 8: one answer to what is estimated; `dashboard/test_one_state` asks whether a device sends."""

import pytest
from hypothesis import given

from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.readings import Reading
from aggregator.core.registers import MAX_GAP_S
from aggregator.support.anomalies import gaps_of, kind_of
from aggregator.support.device_state import coverage_strip
from tests.aggregator.invariants.reference import pieces
from tests.aggregator.invariants.series import HOME, NOW, Evidence, Points, consistent, meters
from tests.aggregator.invariants.stores import documents, half_hours, store_of, take_in
from tests.budgets import examples


@examples(40)
@given(meters())
def test_one_answer_to_what_is_a_gap(case: tuple[str, Points]) -> None:
    """The half hours that the charts call estimated are those in the desk's gaps, and its strip shows their time."""
    zone, points = case
    readings = [Reading(HOME, at, None, wh, None) for at, wh in points]
    with store_of("sqlite") as store:
        take_in(store, readings, zone)
        found = half_hours(documents(store))
        days = {day: document for day in store.periods("day", HOME) if (document := store.document("day", HOME, day))}
    gaps = [gap for gap, _ in gaps_of(readings, Device(HOME, zone)) if kind_of(gap, days, zone) == "estimated"]
    told = {key for gap in gaps for key, _, _ in pieces(*gap, zone)}
    assert {key for key, part in found.items() if part.estimated_s} == told
    for day in coverage_strip(list(days), days, zone, NOW):
        span = periods.window("day", day.day, zone)
        estimated_s = sum(part.estimated_s for (name, _), part in found.items() if name == day.day)
        assert day.estimated == pytest.approx(estimated_s / (span.end - span.start))


@examples(40)
@given(consistent())
def test_every_estimated_half_hour_lies_in_a_gap_of_the_desk(case: tuple[str, list[Evidence]]) -> None:
    """A gap without any reading stands for those of its registers, which may begin and end a little beside it."""
    zone, parts = case
    with store_of("sqlite") as store:
        take_in(store, [one for one in parts if isinstance(one, Reading)], zone)
        found, readings = half_hours(documents(store)), store.readings(HOME, 0, NOW)
        days = {day: document for day in store.periods("day", HOME) if (document := store.document("day", HOME, day))}
    gaps = [gap for gap, _ in gaps_of(readings, Device(HOME, zone)) if kind_of(gap, days, zone) == "estimated"]
    told = {key for gap in gaps for key, _, _ in pieces(gap.start - MAX_GAP_S, gap.end + MAX_GAP_S, zone)}
    estimated = [key for key, part in found.items() if part.estimated_s + part.estimated_wh]
    assert set(estimated) <= told
