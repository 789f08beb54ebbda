"""Deletions for good: evidence of a span, live states, prices, quarantined keys; on every store."""

from decimal import Decimal

import pytest

from aggregator.core.blocks import MANY
from aggregator.core.live import Live
from aggregator.core.periods import DAY_S, FOR_EVER, HALF_HOUR
from aggregator.core.readings import Interval, Reading
from aggregator.store import Store
from aggregator.store.port import READINGS
from aggregator.tariffs.rates import Series
from tests.contract.test_evidence import write

HOME, OTHER = "home", "other"
START = 1_795_000_200 // DAY_S * DAY_S
KATHMANDU = START + 15 * 60  # a local midnight within a half hour of UTC
NOW = START + 3 * DAY_S


def readings(device_id: str = HOME, step_s: int = 600) -> list[Reading]:
    ats = range(START - 7200, START + DAY_S + 7200, step_s)
    return [Reading(device_id, at, 100, at - START + 7200, None, "meter") for at in ats]


def instants(store: Store, device_id: str = HOME) -> list[int]:
    return [one.at for one in store.readings(device_id, 0, FOR_EVER)]


@pytest.mark.parametrize("start", [START, KATHMANDU])
@pytest.mark.parametrize("step_s", [600, HALF_HOUR // MANY])
def test_a_span_loses_its_readings_and_its_neighbours_none(either: Store, start: int, step_s: int) -> None:
    own, end = readings(step_s=step_s), start + DAY_S
    write(either, own)
    write(either, readings(OTHER))
    either.erase_evidence(HOME, start, end)
    either.erase_evidence(HOME, start, end)  # a repeated one changes nothing
    assert either.readings(HOME, 0, FOR_EVER) == [one for one in own if not start <= one.at < end]
    assert either.readings(OTHER, 0, FOR_EVER) == readings(OTHER)


def test_packed_and_late_readings_of_a_half_hour_go_together(either: Store) -> None:
    write(either, readings())
    either.pack(NOW, 1000)
    write(either, [Reading(HOME, START + 5, 7, None, None), Reading(HOME, START - 5, 7, None, None)])
    either.erase_evidence(HOME, START, START + DAY_S)
    assert [at for at in instants(either) if START <= at < START + DAY_S] == []
    assert START - 5 in instants(either)


def test_intervals_that_overlap_the_span_go(either: Store) -> None:
    spans = [(-DAY_S, 0), (-3600, 1), (0, HALF_HOUR), (DAY_S - 1, DAY_S + 5), (DAY_S, DAY_S + HALF_HOUR)]
    known = [Interval(HOME, START + first, START + last, 5, None, "file") for first, last in spans]
    either.write_intervals(known, NOW)
    either.erase_evidence(HOME, START, START + DAY_S)
    assert either.intervals(HOME, 0, FOR_EVER) == [known[0], known[-1]]


def test_an_erased_half_hour_takes_new_evidence(either: Store) -> None:
    write(either, readings())
    either.erase_evidence(HOME, START, START + DAY_S)
    (new,) = boundary = [Reading(HOME, START, None, 7200, None)]
    write(either, boundary)
    assert either.readings(HOME, START, START) == [new]


def test_a_dropped_live_state_comes_back_with_the_next_reading(either: Store) -> None:
    either.put_live([Live(HOME, START, START, 5, 7, None, None), Live(OTHER, START, START, 6, 8, None, None)])
    either.drop_live(HOME)
    other = either.live(OTHER)
    assert (either.live(HOME), other and other.power_w, either.newest_at(HOME)) == (None, 6, 0)
    either.put_live([Live(HOME, START + 5, START + 5, 9, 7, None, None)])
    live = either.live(HOME)
    assert live
    assert (live.power_w, live.arrivals) == (9, ())


def test_prices_of_a_span_go(either: Store) -> None:
    starts = range(START - HALF_HOUR, START + DAY_S + HALF_HOUR, HALF_HOUR)
    series = Series({at: Decimal(1) for at in starts}, {at: Decimal(2) for at in starts})
    either.put_prices(HOME, series)
    either.drop_prices(HOME, START, START + DAY_S)
    left = either.prices(HOME, 0, FOR_EVER)
    assert [*left.import_prices] == [*left.export_prices] == [START - HALF_HOUR, START + DAY_S]


def test_some_quarantined_keys_go_and_the_others_stay(either: Store) -> None:
    either.quarantine(READINGS, HOME, ["1800", "3600"], "damaged")
    either.quarantine("day", HOME, ["2026-11-23"], "damaged")
    either.clear_quarantine(HOME, [(READINGS, "3600"), ("day", "2026-11-23")])
    assert either.quarantined(HOME) == ["readings 1800: damaged"]
    either.clear_quarantine(HOME, [(READINGS, "1800")])
    assert either.quarantined(HOME) == []


def test_evidence_of_imports_in_the_span_goes_too(either: Store) -> None:
    for layer in (-1, 2):
        either.write_layer(layer, readings(step_s=600), NOW)
        spans = [(-DAY_S, 0), (-3600, 1), (DAY_S - 1, DAY_S + 5), (DAY_S, DAY_S + HALF_HOUR)]
        either.write_layer(
            layer, [Interval(HOME, KATHMANDU + one, KATHMANDU + two, 5, None) for one, two in spans], NOW
        )
    either.erase_evidence(HOME, KATHMANDU, KATHMANDU + DAY_S)
    kept = [one for one in readings(step_s=600) if not KATHMANDU <= one.at < KATHMANDU + DAY_S]
    for left in (kept, kept, []):
        assert either.readings(HOME, 0, FOR_EVER) == left
        starts = [one.start - KATHMANDU for one in either.intervals(HOME, 0, FOR_EVER)]
        assert starts == ([-DAY_S, DAY_S] if left else [])
        layer = 2 if either.layer_starts(HOME, 2, 0, FOR_EVER, 1) else -1
        either.drop_layer(HOME, layer, either.layer_starts(HOME, layer, 0, FOR_EVER, 1000))
