"""Layers of imports: the highest counts, field by field, and one is taken away whole, on every store."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.periods import FOR_EVER, block_start
from aggregator.core.readings import Interval, Reading
from aggregator.store import Store
from aggregator.store.layers import OWN, Evidence, layer_of
from tests.budgets import examples
from tests.contract.test_evidence import HOME, NOW, START, dirty, everything, fresh, kinds, settled

PLAIN, LATER, CORRECTION = (
    layer_of(1, is_correction=False),
    layer_of(2, is_correction=False),
    layer_of(3, is_correction=True),
)


def reading(power_w: int | None, import_wh: int | None = None, at: int = START + 10) -> Reading:
    return Reading(HOME, at, power_w, import_wh, None)


def interval(import_wh: int | None, export_wh: int | None = None, start: int = START) -> Interval:
    return Interval(HOME, start, start + 1800, import_wh, export_wh)


def write(store: Store, layer: int, *evidence: Evidence) -> None:
    if layer == OWN:
        for one in evidence:
            if isinstance(one, Interval):
                store.write_intervals([one], NOW)
            else:
                store.write_readings({(HOME, block_start(one.at)): {one.at: one}}, NOW)
    else:
        store.write_layer(layer, evidence, NOW)


def intervals(store: Store) -> list[Interval]:
    return store.intervals(HOME, 0, FOR_EVER)


def test_the_highest_layer_counts_field_by_field_in_any_order(either: Store) -> None:
    said = [(LATER, 40, 4), (PLAIN, 30, None), (OWN, 20, None), (CORRECTION, 10, None)]
    for number, order in enumerate(permutations(range(4))):
        start = START + number * 1800
        for place in order:
            layer, import_wh, export_wh = said[place]
            write(either, layer, interval(import_wh, export_wh, start), reading(import_wh, export_wh, start + 10))
    assert intervals(either) == [interval(10, 4, START + number * 1800) for number in range(24)]
    assert everything(either) == [reading(10, 4, START + number * 1800 + 10) for number in range(24)]


def test_a_dropped_layer_leaves_what_it_hid(either: Store) -> None:
    write(either, OWN, interval(20), reading(200, 2000))
    write(either, PLAIN, interval(30, 3), reading(300, None, START + 20))
    write(either, CORRECTION, interval(10), reading(100, 1000))
    assert intervals(either) == [interval(10, 3)]
    assert everything(either) == [reading(100, 1000), reading(300, None, START + 20)]
    either.drop_layer(HOME, CORRECTION, [START])
    assert intervals(either) == [interval(20, 3)]
    assert everything(either) == [reading(200, 2000), reading(300, None, START + 20)]
    either.drop_layer(HOME, PLAIN, [START])
    assert intervals(either) == [interval(20)]
    assert everything(either) == [reading(200, 2000)]


def test_a_layer_is_found_by_its_blocks(either: Store) -> None:
    starts = [START + number * 1800 for number in range(6)]
    for number, start in enumerate(starts):
        write(either, PLAIN if number % 2 else OWN, interval(20, None, start))
    assert either.layer_starts(HOME, PLAIN, START, FOR_EVER, 9) == starts[1::2]
    assert either.layer_starts(HOME, PLAIN, starts[2], starts[3], 9) == [starts[3]]
    assert either.layer_starts(HOME, PLAIN, START, FOR_EVER, 1) == [starts[1]]
    assert either.layer_starts(HOME, LATER, START, FOR_EVER, 9) == []


def test_only_a_change_of_a_layer_leaves_a_change_record(either: Store) -> None:
    write(either, PLAIN, interval(20), reading(5, 1))
    assert dirty(either) == [str(START)]
    settled(either)
    write(either, PLAIN, interval(20), reading(5, None))
    assert dirty(either) == []
    write(either, PLAIN, interval(21))
    assert dirty(either) == [str(START)]
    settled(either)
    either.drop_layer(HOME, PLAIN, [START])
    assert dirty(either) == [str(START)]
    assert (intervals(either), everything(either)) == ([], [])


def test_what_the_device_sent_is_read_without_the_layers(either: Store) -> None:
    own = [reading(200, 2000), reading(None, 2001, START + 1810)]
    write(either, OWN, *own, interval(20))
    write(either, PLAIN, reading(300, None, START + 20), reading(300, None, START + 1810))
    write(either, CORRECTION, reading(100, 1000))
    assert either.layer_readings(HOME, START, START + 1800) == own
    assert either.layer_readings(HOME, START + 1800, FOR_EVER) == own[1:]


def test_packing_keeps_the_layers_apart(either: Store) -> None:
    own = [reading(number, number, START + 10 * number) for number in range(100)]
    write(either, PLAIN, *(reading(number, 7, START + 10 * number + 1) for number in range(100)))
    either.write_readings({(HOME, START): {one.at: one for one in own}}, NOW)
    either.pack(FOR_EVER, 10)
    assert len(everything(either)) == 200
    either.drop_layer(HOME, PLAIN, [START])
    assert everything(either) == own


def test_readings_of_a_layer_are_found_after_an_instant(either: Store) -> None:
    write(either, OWN, reading(1, 1, START + 10))
    write(either, PLAIN, reading(2, 2, START + 20), reading(3, 3, START + 1810))
    assert either.readings_after(HOME, START + 10) == [reading(2, 2, START + 20), reading(3, 3, START + 1810)]


VALUES = st.none() | st.integers(0, 3)
ACTIONS = st.lists(
    st.tuples(st.sampled_from([OWN, PLAIN, LATER, CORRECTION]), st.integers(0, 3), VALUES, VALUES, st.booleans()),
    max_size=12,
)


@kinds
@examples(40)
@given(ACTIONS, st.sampled_from([PLAIN, LATER, CORRECTION]))
def test_a_dropped_layer_might_never_have_been(
    kind: str, actions: list[tuple[int, int, int | None, int | None, bool]], gone: int
) -> None:
    with fresh(kind) as one, fresh(kind) as other:
        for store in (one, other):
            for layer, place, first, second, is_interval in actions:
                new = (
                    interval(first, second, START + 1800 * place)
                    if is_interval
                    else reading(first, second, START + place)
                )
                if (first, second) != (None, None) and (store is one or layer != gone):
                    write(store, layer, new)
        one.drop_layer(HOME, gone, one.layer_starts(HOME, gone, 0, FOR_EVER, 9))
        assert (intervals(one), everything(one)) == (intervals(other), everything(other))
