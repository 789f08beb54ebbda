"""Invariant 4: unmeasured energy is in no document."""

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.readings import Interval, Reading
from tests.aggregator.invariants.reference import pieces, usual_step
from tests.aggregator.invariants.series import HOME, Evidence, Series, clean, evidence, messy, starts
from tests.aggregator.invariants.stores import KINDS, half_hours, outcome, outcome_of
from tests.budgets import examples


@examples(24)
@given(messy() | evidence(), KINDS)
def test_nothing_from_nothing_outside_the_evidence(series: Series | tuple[str, list[Evidence]], kind: str) -> None:
    """A half hour without a step between readings, held power or an interval does not exist."""
    zone, some = series
    found = outcome_of(some, zone, kind)
    ats = sorted(one.at for one in some if isinstance(one, Reading))
    spans = [*pairwise(ats), *((one.start, one.end) for one in some if isinstance(one, Interval))]
    touched = {key for start, end in spans for key, _, _ in pieces(start, end, zone)}
    assert set(half_hours(found)) <= touched
    for _, parts in found.values():
        assert all(not part.is_empty for part in parts.values())
        assert parts


@given(
    starts(), st.sampled_from([{"import_wh": 5}, {"export_wh": 0}, {"power_w": 300}, {"import_wh": 0, "power_w": 0}])
)
@examples(8)
def test_nothing_from_nothing_one_reading_makes_no_document(start: tuple[str, int], values: dict[str, int]) -> None:
    reading = Reading(HOME, start[1], None, None, None)._replace(**values)  # type: ignore[arg-type]
    assert outcome(Series(start[0], [reading])) == {}


@examples(24)
@given(clean(kinds=("p",)))
def test_nothing_from_nothing_power_is_held_five_minutes_into_an_outage(series: Series) -> None:
    held: dict[tuple[str, int], int] = defaultdict(int)
    watt_seconds: dict[tuple[str, int], int] = defaultdict(int)
    ats = [one.at for one in series.readings]
    for place, (one, other) in enumerate(pairwise(series.readings)):
        is_gap = other.at - one.at > max(300, 3 * usual_step(ats, place))
        for key, start, end in pieces(one.at, min(other.at, one.at + 300) if is_gap else other.at, series.zone):
            held[key] += end - start
            watt_seconds[key] += (one.power_w or 0) * (end - start)
    found = half_hours(outcome(series))
    assert {key: part.covered_s for key, part in found.items()} == held
    assert all(abs((found[key].import_wh or 0) * 3600 - watt_seconds[key]) <= 1800 for key in held)
    assert all(part.estimated_s == 0 and part.export_wh == 0 for part in found.values())
