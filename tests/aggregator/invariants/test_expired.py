"""Invariants 1, 2, 3 and 5 beyond the retention: history is a whole when its evidence has been deleted."""

import json
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import EMPTY
from aggregator.core.readings import Interval, Reading
from aggregator.store.collections import ESTIMATED_GAPS
from aggregator.waterfall import verify
from tests.aggregator.invariants.past import (
    BEYOND,
    GONE,
    KINDS,
    WITHIN,
    Items,
    Past,
    Refill,
    imported,
    past,
    refills,
)
from tests.aggregator.invariants.series import (
    CLOCK_CHANGES,
    DAY,
    HALF_HOUR,
    HOME,
    HOUR,
    Series,
    clean,
    every,
    intervals_near,
    messy,
    utc,
)
from tests.aggregator.invariants.stores import Documents, check_levels_sum, half_hours, is_better_known, waiting
from tests.budgets import examples

kinds = pytest.mark.parametrize("kind", KINDS)
either = st.sampled_from(KINDS)


def check(home: Past, refill: Refill) -> None:
    """Check that everything adds up to the registers, and that `verify` says so."""
    if refill.is_gas:
        assert home.total("volume_l") == refill.import_wh
    else:
        assert (home.total("import_wh"), home.total("export_wh")) == (refill.import_wh, refill.export_wh)
    assert list(verify.differences(home.store, home.device)) == []


def refilled(home: Past, refill: Refill, slices: Sequence[Items]) -> Iterator[float]:
    """Live readings come in, and each slice after a sweep; yield the time after each slice and its pause."""
    home.take_in(refill.before, refill.before[-1].at + 60)
    home.take_in(refill.after, refill.ends)
    at = refill.ends + refill.lateness_s
    for items, pause in zip(slices, refill.pauses_s, strict=False):
        home.sweep(at)
        home.take_in(items, at)
        at += pause
        yield at


@examples(20)
@given(kind=either, refill=refills(BEYOND, may_contradict=True))
def test_the_sum_across_an_outage_never_changes_whatever_fills_it(kind: str, refill: Refill) -> None:
    with past(kind, refill.zone, is_gas=refill.is_gas) as home:
        for at in refilled(home, refill, refill.slices):
            check(home, refill)
            before = home.documents()
            home.sweep(at)
            assert home.documents() == before
            check(home, refill)
        check_levels_sum(home.documents())


@examples(14)
@given(kind=either, refill=refills(BEYOND))
def test_idempotence_of_replays_after_sweeps(kind: str, refill: Refill) -> None:
    with past(kind, refill.zone, is_gas=refill.is_gas) as home:
        for at in refilled(home, refill, refill.slices):
            before = home.documents()
            home.replay()
            assert home.documents() == before
            home.sweep(at)
            home.replay()
            assert (home.documents(), waiting(home.store)) == (before, 0)


def outcome_of(kind: str, refill: Refill, slices: Sequence[Items]) -> Documents:
    with past(kind, refill.zone, is_gas=refill.is_gas) as home:
        for _ in refilled(home, refill, slices):
            check(home, refill)
        return home.documents()


@examples(14)
@given(kind=either, refill=refills(WITHIN), order=st.randoms())
def test_slices_within_the_retention_give_the_same_in_any_order(
    kind: str, refill: Refill, order: random.Random
) -> None:
    expected = outcome_of(kind, refill, refill.slices)
    shuffled = order.sample(refill.slices, len(refill.slices))
    assert outcome_of(kind, refill, shuffled) == expected


@examples(10)
@given(
    kind=either,
    change=st.sampled_from(
        [one for one in CLOCK_CHANGES if utc("2025-01-01T00:00") < one[1] < utc("2026-01-01T00:00")]
    ),
    count=st.integers(1, 8),
    order=st.randoms(),
    step=st.sampled_from([600, 1800]),
    data=st.data(),
)
def test_history_of_another_year_gives_the_same_in_any_order(
    kind: str, change: tuple[str, int], count: int, order: random.Random, step: int, data: st.DataObject
) -> None:
    """Registers around a change of the clocks, with an outage or without one, and intervals beside them."""
    zone, at = change[0], change[1] - data.draw(st.integers(0, DAY), label="seconds before")
    history = [Reading(HOME, at + n * step, None, 500_000 + n * 7, n) for n in range(DAY // step)]
    lost = data.draw(st.integers(1, len(history) // 2), label="lost")
    del history[lost : lost + data.draw(st.sampled_from([0, 0, 3, 30]), label="of them")]
    risen = imported(history[-1]) - imported(history[0])
    items: list[Reading | Interval] = [*history, *data.draw(intervals_near(at, at + DAY) | st.just([]))]
    order.shuffle(items)
    slices = [items[n * len(items) // count : (n + 1) * len(items) // count] for n in range(count)]
    found = []
    for some in (slices, order.sample(slices, count)):
        with past(kind, zone) as home:
            live = [Reading(HOME, utc("2027-03-01T00:00") + n * 600, None, 900_000 + n, None) for n in range(300)]
            home.take_in(live, live[-1].at + 60)
            home.sweep(live[-1].at + GONE)
            for number, one in enumerate(some):
                home.take_in(one, live[-1].at + GONE + number * DAY)
            assert list(verify.differences(home.store, home.device)) == []
            found.append(home.documents())
    assert found[0] == found[1]
    assert sum(half.import_wh or 0 for (day, _), half in half_hours(found[0]).items() if day < "2026-02") >= risen


@examples(20)
@given(kind=either, series=messy(), data=st.data())
def test_late_evidence_beyond_the_retention_makes_no_part_worse(kind: str, series: Series, data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(series.readings), min_size=1, max_size=6), label="again")
    forget = data.draw(st.sampled_from(["", "export", "import"]), label="without")
    if forget == "export":
        again = [reading._replace(power_w=1, export_wh=None) for reading in again]
    elif forget == "import":
        again = [reading._replace(power_w=1, import_wh=None) for reading in again]
    end = series.readings[-1].at + 60
    with past(kind, series.zone) as home:
        home.take_in(series.readings, end)
        before = home.documents()
        home.sweep(end + GONE)
        home.take_in(again, end + GONE)
        after = home.documents()
    old, new = half_hours(before), half_hours(after)
    pairs = {key: (part, new.get(key, EMPTY)) for key, part in old.items()}
    assert {key: pair for key, pair in pairs.items() if not is_better_known(*pair)} == {}
    check_levels_sum(after)


@examples(20)
@given(kind=either, series=clean(kinds=("i", "ie")), data=st.data())
def test_evidence_that_comes_again_after_a_sweep_changes_no_part(
    kind: str, series: Series, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(series.readings), min_size=1, max_size=6), label="again")
    end = series.readings[-1].at + 60
    with past(kind, series.zone) as home:
        home.take_in(series.readings, end)
        before = home.documents()
        home.sweep(end + GONE)
        home.replay()
        assert home.documents() == before
        assert list(verify.differences(home.store, home.device)) == []
        home.take_in(again, end + GONE)
        assert half_hours(home.documents()) == half_hours(before)


# Examples

ORDERS = {
    "one piece": [0],
    "in order": [0, 1, 2, 3, 4, 5],
    "newest first": [5, 4, 3, 2, 1, 0],
    "mixed": [3, 0, 5, 1, 4, 2],
}


def outage() -> tuple[list[Reading], list[Reading]]:
    """A register that rises by 1 Wh a minute, by 5 in the evening; and what an outage of 58 hours lost of it."""
    start, readings, wh = utc("2026-03-02T10:07"), list[Reading](), 1_000_000
    for at in range(start, start + 7 * DAY, 300):
        readings.append(Reading(HOME, at, None, wh, wh - 900_000))
        wh += 25 if at % DAY > 17 * HOUR else 5
    lost = [one for one in readings if 2 * DAY < one.at - start < 2 * DAY + 58 * HOUR]
    return [one for one in readings if one not in lost], lost


def in_order(readings: Sequence[Reading]) -> list[Reading]:
    return sorted(readings, key=lambda one: one.at)


@kinds
@pytest.mark.parametrize(
    ("order", "pause_s"), [("one piece", 0), ("in order", 0), ("newest first", GONE), ("mixed", GONE)]
)
def test_a_log_of_lost_half_hours_makes_days_right_months_later(kind: str, order: str, pause_s: int) -> None:
    live, lost = outage()
    count = len(ORDERS[order])
    with past(kind, "Europe/London") as home, past(kind, "Europe/London") as whole:
        home.take_in(live, live[-1].at)
        for number, place in enumerate(ORDERS[order]):
            at = live[-1].at + 60 * DAY + number * pause_s
            home.sweep(at)
            home.take_in(lost[place * len(lost) // count : (place + 1) * len(lost) // count], at)
            assert home.total("import_wh") == imported(live[-1]) - 1_000_000
            assert list(verify.differences(home.store, home.device)) == []
        whole.take_in(in_order(live + lost), live[-1].at)
        assert home.documents() == whole.documents()


@kinds
def test_a_gap_recorded_without_the_energy_beside_it_is_filled_likewise(kind: str) -> None:
    """Version 1 of the store kept the instants of four readings on each side of a gap, and no energy."""
    live, lost = outage()
    with past(kind, "Europe/London") as home, past(kind, "Europe/London") as whole:
        home.take_in(live, live[-1].at)
        collection = ESTIMATED_GAPS.of(HOME)
        records = home.store.records(collection, "", "~", 9)
        assert len(records) == 2
        for one in records:
            (start, end, *whs, before, after, inside), *rest = json.loads(one.body)
            ats = [start + at for at, _ in before[-4:]], [end + at for at, _ in after[:4]]
            home.store.put_record(collection, one.key, json.dumps([[start, end, *whs, *ats, inside], *rest]), expires=0)
        home.sweep(live[-1].at + 60 * DAY)
        for items in (lost[:300], lost[300:]):
            home.take_in(items, live[-1].at + 60 * DAY)
            assert home.total("import_wh") == imported(live[-1]) - 1_000_000
        whole.take_in(in_order(live + lost), live[-1].at)
        assert home.documents() == whole.documents()


@kinds
def test_an_interval_across_the_end_of_an_old_gap_gives_it_the_exact_rest(kind: str) -> None:
    """The interval ends 13 min after the outage, within a half hour: 1 Wh was used in each, 40 in one."""
    start = utc("2026-03-02T10:00")
    used = [40 if n == 545 else 1 for n in range(1440)]
    whole = [Reading(HOME, start + 60 * n, None, 900_000 + sum(used[:n]), None) for n in range(1440)]
    live = [one for n, one in enumerate(whole) if not 60 < n < 542]
    across = Interval(HOME, start + 500 * 60, start + 555 * 60, 300, None)
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at)
        home.sweep(live[-1].at + GONE)
        home.take_in([across], live[-1].at + GONE)
        (day,) = (home.store.document("day", HOME, one) for one in home.store.periods("day", HOME)[:1])
    assert day is not None
    interval_wh = sum(part.interval_import_wh for name, part in day.parts.items() if name[0] == "s")
    assert interval_wh == 300 - (12 + 40)


@kinds
def test_an_import_log_fills_the_import_and_leaves_the_export(kind: str) -> None:
    live, lost = outage()
    export = [one._replace(import_wh=None) for one in lost]
    with past(kind, "Asia/Kathmandu") as home:
        home.take_in(in_order(live + export), live[-1].at)
        before = half_hours(home.documents())
        home.sweep(live[-1].at + GONE)
        home.take_in([one._replace(export_wh=None) for one in lost[:500]], live[-1].at + GONE)
        after = half_hours(home.documents())
        assert {key: half.export_wh for key, half in after.items()} == {
            key: half.export_wh for key, half in before.items()
        }
        estimated = [sum(half.estimated_import_wh for half in halves.values()) for halves in (before, after)]
        assert 0 < estimated[1] < estimated[0] / 2
        assert home.total("import_wh") == imported(live[-1]) - 1_000_000


@kinds
def test_a_log_that_contradicts_the_register_changes_no_sum(kind: str) -> None:
    live, lost = outage()
    wrong = [one._replace(import_wh=imported(one) + 50_000) for one in lost[::2]] + lost[1:400:2]
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at)
        home.sweep(live[-1].at + GONE)
        home.take_in(in_order(wrong), live[-1].at + GONE)
        assert home.total("import_wh") == imported(live[-1]) - 1_000_000
        assert list(verify.differences(home.store, home.device)) == []


@kinds
def test_a_device_that_returns_after_months_goes_on_where_it_is_known(kind: str) -> None:
    """Its last readings stay on SQLite; on DynamoDB they are deleted, and nothing is counted across."""
    live, _ = outage()
    back = [Reading(HOME, one.at + 60 * DAY, None, imported(one) + 300_000, None) for one in live[-50:]]
    with past(kind, "Europe/London") as home:
        home.take_in(live, live[-1].at)
        home.sweep(live[-1].at + GONE)
        home.take_in(back, back[-1].at)
        across = imported(back[0]) - imported(live[-1]) if kind == "sqlite" else 0
        apart = imported(live[-1]) - 1_000_000 + imported(back[-1]) - imported(back[0])
        assert home.total("import_wh") == apart + across
        assert list(verify.differences(home.store, home.device)) == []


@kinds
def test_older_history_leaves_expired_days_unchanged(kind: str) -> None:
    live, _ = outage()
    history = [one._replace(at=one.at - 10 * DAY, import_wh=imported(one) - 500_000) for one in live[:288]]
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at)
        before = home.documents()
        home.sweep(live[-1].at + GONE)
        home.take_in(history, live[-1].at + GONE)
        after = home.documents()
        home.take_in([one._replace(import_wh=imported(one) + 9) for one in live[5:600:7]], live[-1].at + GONE)
        assert home.documents() == after
    assert {key: after[key] for key in before if key[0] == "day"} == {
        key: document for key, document in before.items() if key[0] == "day"
    }


@kinds
def test_no_energy_is_spread_from_older_history_over_expired_days(kind: str) -> None:
    """The history ends in one cluster of half hours, and the gap after it ends in another."""
    live = [Reading(HOME, utc("2026-03-01T00:00") + n * 600, None, 900_000 + n, None) for n in range(300)]
    history = [Reading(HOME, 1_761_422_393 + n * HALF_HOUR, None, 500_000 + n * 7, n) for n in range(96)]
    random.Random(1).shuffle(history)
    some = in_order(history[:19])
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at + 60)
        home.sweep(live[-1].at + GONE)
        home.take_in(some, live[-1].at + GONE)
        assert home.total("import_wh") == 299 + imported(some[-1]) - imported(some[0])
        assert list(verify.differences(home.store, home.device)) == []


@kinds
def test_a_day_that_began_late_is_filled_in_pieces_after_months(kind: str) -> None:
    live, _ = outage()
    begun = [one for one in live if one.at > live[0].at + DAY]
    morning = [one for one in live if one.at <= live[0].at + DAY]
    with past(kind, "Europe/London") as home, past(kind, "Europe/London") as whole:
        home.take_in(begun, begun[-1].at)
        home.sweep(begun[-1].at + GONE)
        for items in (morning[200:], morning[:100], morning[100:200]):
            home.take_in(items, begun[-1].at + GONE)
        whole.take_in(live, live[-1].at)
        found, wanted = half_hours(home.documents()), half_hours(whole.documents())
    seam = {key for key in wanted if found.get(key) != wanted[key]}
    assert len(seam) <= 1  # the half hour in which the device began to send


@kinds
def test_a_rebuild_and_a_move_of_zone_make_no_expired_day_worse(kind: str) -> None:
    live, lost = outage()
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at)
        home.sweep(live[-1].at + GONE)
        home.take_in(lost[:100], live[-1].at + GONE)
        before = home.documents()
        home.sweep(live[-1].at + 2 * GONE)
        verify.rebuild(home.store, home.device, None, None)
        home.replay()
        assert home.documents() == before
        verify.rezone(home.store, home.device, "Asia/Kathmandu")
        home.replay()
        assert home.documents() == before


@kinds
def test_a_moved_day_keeps_the_time_when_it_was_made(kind: str) -> None:
    live, _ = outage()
    with past(kind, "UTC") as home:
        home.take_in(live, live[-1].at)
        home.sweep(live[-1].at + 20 * DAY)
        verify.rezone(home.store, home.device, "Asia/Kathmandu")
        home.replay()
        moved = home.documents()
        assert {zone for zone, _ in moved.values()} == {"Asia/Kathmandu"}
        assert list(verify.differences(home.store, home.device)) == []
        home.sweep(live[-1].at + GONE)
        home.take_in([live[400]._replace(power_w=1)], live[-1].at + GONE)
        home.replay()
        assert home.documents() == moved


def swept(kind: str, readings: Sequence[Reading]) -> tuple[Documents, Documents]:
    """The documents of readings, and again after a sweep and a replay."""
    with past(kind, "UTC") as home:
        home.take_in(readings, readings[-1].at + 60)
        before = home.documents()
        home.sweep(readings[-1].at + GONE)
        assert list(verify.differences(home.store, home.device)) == []
        home.replay()
        return before, home.documents()


@kinds
def test_a_rare_register_outlives_its_readings(kind: str) -> None:
    """Import every minute, export once a day."""
    readings = [
        reading._replace(export_wh=reading.export_wh if n % 1440 == 100 else None)
        for n, reading in enumerate(every(60, 1440 * 4))
    ]
    before, after = swept(kind, readings)
    assert after == before


@kinds
def test_a_sweep_that_leaves_a_glitch_last_changes_nothing(kind: str) -> None:
    readings = every(HALF_HOUR, 48)
    readings[40] = readings[40]._replace(import_wh=0)
    before, after = swept(kind, readings[:41])
    assert after == before


@kinds
def test_an_outage_within_an_expired_half_hour_stays(kind: str) -> None:
    seconds = (-6, -5, 115, 235, 355, 475, 2276)
    before, after = swept(kind, [Reading(HOME, utc("2026-03-29T01:00") + s, None, s + 100, None) for s in seconds])
    assert after == before
