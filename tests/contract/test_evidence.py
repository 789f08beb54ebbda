"""Evidence and live states are merged field by field, in any order, on every store."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.blocks import MANY
from aggregator.core.documents import Device
from aggregator.core.live import Arrival, Live, live_state, merged_live
from aggregator.core.periods import DAY_S, FOR_EVER
from aggregator.core.readings import LONGEST_INTERVAL_S, Interval, Reading, merged
from aggregator.intake.ingest import ingest
from aggregator.store import Store
from aggregator.store.dynamodb.dynamodb_store import DynamoStore
from aggregator.store.port import Written
from aggregator.store.sqlite.sqlite_store import SqliteStore
from tests.budgets import examples
from tests.contract.conftest import KEEP, MEMORY, Another, in_memory
from tests.copies import fresh_store

HOME, START = "home", 1_795_000_200 // 1800 * 1800
NOW = START + 7200
WHOLE = Reading(HOME, START + 10, 431, 1000, 7, "meter")
PARTS = [
    Reading(HOME, START + 10, 431, None, None),
    Reading(HOME, START + 10, None, 1000, None, "meter"),
    Reading(HOME, START + 10, None, None, 7),
]
STATEMENT = Interval(HOME, START, START + 1800, 214, 3, "supplier")
kinds = pytest.mark.parametrize("kind", ["sqlite", "memory"])


@contextmanager
def fresh(kind: str) -> Iterator[Store]:
    """An empty store in this process."""
    if kind == "sqlite":
        with fresh_store() as store:
            yield store
        return
    made = DynamoStore(in_memory(), MEMORY, KEEP, pace_s=0)
    yield made
    made.close()


def write(store: Store, readings: Iterable[Reading], now: int = NOW) -> Written:
    blocks: dict[tuple[str, int], dict[int, Reading]] = {}
    for one in readings:
        block = blocks.setdefault((one.device_id, one.at - one.at % 1800), {})
        block[one.at] = merged(block[one.at], one) if one.at in block else one
    return store.write_readings(blocks, now)


def everything(store: Store) -> list[Reading]:
    return store.readings(HOME, 0, FOR_EVER)


def settled(store: Store) -> None:
    store.settle(store.changes("readings", 1000))


def dirty(store: Store) -> list[str]:
    return sorted(change.key for change in store.changes("readings", 1000))


def content(store: Store) -> Any:  # noqa: ANN401 - of either store
    """The stored bytes of the evidence and the live states, packed."""
    if isinstance(store, SqliteStore):
        store.pack(FOR_EVER, 1000)
        return [store._all(f"SELECT * FROM {table}") for table in ("recent", "readings", "intervals", "live")]
    assert isinstance(store, DynamoStore)
    return [list(store._reader.scan(table)) for table in ("readings", "live")]


# readings


def test_parts_of_an_instant_become_one_reading(another: Another) -> None:
    store = another()
    for number, parts in enumerate(permutations(PARTS)):
        device_id = f"{HOME}-{number}"
        for part in parts:
            assert write(store, [part._replace(device_id=device_id)]) == (1, 0)
        assert store.readings(device_id, START, START) == [WHOLE._replace(device_id=device_id)]


def test_a_contradiction_leaves_the_value_that_came_last(either: Store) -> None:
    write(either, [WHOLE])
    assert write(either, [Reading(HOME, START + 10, 500, None, 8)]) == (1, 0)
    assert everything(either) == [Reading(HOME, START + 10, 500, 1000, 8, "meter")]
    assert write(either, [WHOLE]) == (1, 0)
    assert everything(either) == [WHOLE]


@pytest.mark.parametrize("count", [3, MANY + 10, 240])
def test_repeated_readings_and_their_parts_leave_no_change_record(either: Store, count: int) -> None:
    sent = [Reading(HOME, START + 7 * number, number, 1000 + number, 0, "meter") for number in range(count)]
    assert write(either, sent) == (count, 0)
    assert dirty(either) == [str(START)]
    settled(either)
    for again in (sent, sent[:3], [one._replace(power_w=None, meter_id=None) for one in sent]):
        assert write(either, again) == (0, len(again))
    assert dirty(either) == []
    more = sent[-1]._replace(at=START + 1799)
    assert write(either, [*sent, more]) == (1, count)
    assert dirty(either) == [str(START)]
    assert everything(either) == [*sent, more]


def test_replays_leave_no_record_in_the_stream() -> None:
    client = in_memory()
    store = DynamoStore(client, MEMORY, KEEP, pace_s=0)
    for number in range(3):
        write(
            store, [WHOLE, *(WHOLE._replace(at=START + after) for after in range(60, 1800, 20))], NOW + DAY_S * number
        )
        write(store, PARTS)
        store.write_intervals([STATEMENT, STATEMENT._replace(import_wh=None)], NOW + DAY_S * number)
        if not number:
            before = [client._tables[f"{MEMORY}-readings"].records[:], content(store)]
    assert [client._tables[f"{MEMORY}-readings"].records, content(store)] == before
    store.close()


FIELDS = ("power_w", "import_wh", "export_wh", "meter_id")


@st.composite
def messages(draw: st.DrawFn) -> tuple[list[Reading], list[list[Reading]]]:
    """Readings, and batches of parts of them in any order, some of them repeated."""
    offsets = draw(st.lists(st.integers(0, 3 * 1800 - 1), min_size=1, max_size=12, unique=True))
    wholes = [
        Reading(HOME, START + offset, draw(st.none() | st.integers(-50, 50)), offset, draw(st.none() | st.just(0)), "m")
        for offset in offsets
    ]
    parts = [
        one._replace(**dict.fromkeys(hidden))  # type: ignore[arg-type] # each may be absent
        for one in wholes
        for hidden in draw(st.lists(st.sets(st.sampled_from(FIELDS), max_size=3), max_size=3))
    ]
    sent = draw(st.permutations([*wholes, *parts]))
    cuts = sorted(draw(st.sets(st.integers(0, len(sent)))))
    return wholes, [sent[first:last] for first, last in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


@kinds
@examples(40)
@given(case=messages(), packing=st.sets(st.integers(0, 10)))
def test_any_order_of_parts_gives_the_same_readings_and_bytes(
    kind: str, case: tuple[list[Reading], list[list[Reading]]], packing: set[int]
) -> None:
    wholes, batches = case
    with fresh(kind) as store, fresh(kind) as once:
        for number, batch in enumerate(batches):
            write(store, batch)
            if number in packing:
                store.pack(FOR_EVER, 100)
        write(once, wholes)
        assert everything(store) == everything(once) == sorted(wholes, key=lambda one: one.at)
        assert content(store) == content(once)


@kinds
@examples(24)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), *(st.none() | st.integers(0, 2) for _ in range(3))).filter(
            lambda one: any(one[1:])
        ),
        max_size=20,
    ),
    st.sets(st.integers(0, 20)),
)
def test_the_value_received_last_counts_field_by_field(
    kind: str, sent: Sequence[tuple[int, int | None, int | None, int | None]], packing: set[int]
) -> None:
    expected: dict[int, Reading] = {}
    with fresh(kind) as store:
        for number, (offset, power, imported, exported) in enumerate(sent):
            new = Reading(HOME, START + offset, power, imported, exported)
            both = merged(expected[new.at], new) if new.at in expected else new
            settled(store)
            assert write(store, [new]) == ((1, 0) if both != expected.get(new.at) else (0, 1))
            assert dirty(store) == ([str(START)] if both != expected.get(new.at) else [])
            expected[new.at] = both
            if number in packing:
                store.pack(FOR_EVER, 1)
            assert everything(store) == [expected[at] for at in sorted(expected)]


def test_litres_are_a_field_of_an_instant_and_of_a_span(either: Store) -> None:
    whole = Reading(HOME, START + 10, None, 1000, None, "meter", 10**12)
    for part in (whole._replace(import_wh=None), whole._replace(volume_l=None)):
        assert write(either, [part]) == (1, 0)
    zero = Reading(HOME, START + 20, None, None, None, None, 0)
    assert write(either, [zero, whole]) == (1, 1)
    assert everything(either) == [whole, zero]
    stated = Interval(HOME, START, START + 1800, None, None, "app", 1500)
    for span in (stated, stated._replace(volume_l=None, import_wh=16_831)):
        assert either.write_intervals([span], NOW) == (1, 0)
    assert either.intervals(HOME, START, START) == [stated._replace(import_wh=16_831)]


# intervals


def test_intervals_come_back_from_the_blocks_in_which_they_start(either: Store) -> None:
    sent = [
        Interval(HOME, START, START + 300, 20, None, None),
        Interval(HOME, START, START + 1800, 214, 0, "supplier"),
        Interval(HOME, START + 1799, START + 1799 + LONGEST_INTERVAL_S, None, 10**12, "meter"),
        Interval(HOME, START + 3600, START + 3601, 0, 0, "supplier"),
    ]
    assert either.write_intervals(reversed(sent), NOW) == (4, 0)
    assert either.intervals(HOME, START, START + 3600) == sent
    assert either.intervals(HOME, 0, START) == sent[:3]
    assert either.intervals(HOME, START + 1800, FOR_EVER) == sent[3:]
    assert either.intervals("other", 0, FOR_EVER) == []
    assert everything(either) == []
    assert dirty(either) == [str(START), str(START + 3600)]


def test_import_and_export_of_an_interval_fill_in_in_either_order(either: Store) -> None:
    parts = [STATEMENT._replace(export_wh=None), STATEMENT._replace(import_wh=None, source=None)]
    for device_id, order in (("one", parts), ("other", parts[::-1])):
        for part in order:
            assert either.write_intervals([part._replace(device_id=device_id)], NOW) == (1, 0)
        assert either.intervals(device_id, START, START) == [STATEMENT._replace(device_id=device_id)]


def test_a_repeated_interval_leaves_no_change_record_and_a_correction_does(either: Store) -> None:
    assert either.write_intervals([STATEMENT, STATEMENT], NOW) == (1, 1)
    settled(either)
    assert either.write_intervals([STATEMENT, STATEMENT._replace(import_wh=None)], NOW) == (0, 2)
    assert dirty(either) == []
    corrected = STATEMENT._replace(import_wh=215, source="correction")
    assert either.write_intervals([corrected], NOW) == (1, 0)
    assert dirty(either) == [str(START)]
    assert either.intervals(HOME, START, START) == [corrected]


def test_intervals_and_readings_lie_beside_each_other(either: Store) -> None:
    own = [WHOLE, WHOLE._replace(at=START + 900, meter_id="supplier")]
    either.write_intervals([STATEMENT], NOW)
    write(either, own)
    either.write_intervals([STATEMENT._replace(start=START + 900)], NOW)
    assert everything(either) == own
    assert either.intervals(HOME, START, START) == [STATEMENT, STATEMENT._replace(start=START + 900)]


def test_blocks_with_any_evidence_have_a_start(either: Store) -> None:
    write(either, [WHOLE])
    either.pack(FOR_EVER, 10)
    write(either, [WHOLE._replace(at=START + 1800 * block + 10) for block in (0, 3)])
    either.write_intervals([STATEMENT._replace(start=START - 1800 * block) for block in (-3, 0, 2)], NOW)
    assert either.block_starts(HOME, 0, 9) == [START - 3600, START, START + 5400]
    assert either.block_starts(HOME, START, -9) == [START - 3600]
    assert either.block_starts(HOME, START + 1, -2) == [START, START - 3600]
    assert either.block_starts(HOME, START - 3600, 1) == [START]


SPANS = st.sampled_from([(0, 1800), (0, 60), (1800, 3600), (1500, 9000)])
VALUES = st.none() | st.integers(0, 3)


def merged_interval(known: Interval, new: Interval) -> Interval:
    """Merge two statements about one span field by field, as both stores must."""
    values = [old if value is None else value for old, value in zip(known, new, strict=True)]
    return Interval._make(values)


@kinds
@examples(24)
@given(st.lists(st.tuples(SPANS, VALUES, VALUES, st.none() | st.sampled_from("ab")), max_size=12))
def test_statements_about_a_span_are_merged_field_by_field(
    kind: str, sent: Sequence[tuple[tuple[int, int], int | None, int | None, str | None]]
) -> None:
    expected: dict[tuple[int, int], Interval] = {}
    with fresh(kind) as store:
        for (first, last), *values in sent:
            new = Interval(HOME, START + first, START + last, *values)  # type: ignore[arg-type] # as drawn
            known = expected.get(new[1:3])
            both = merged_interval(known, new) if known else new
            assert store.write_intervals([new], NOW) == ((1, 0) if both != known else (0, 1))
            expected[new[1:3]] = both
        assert store.intervals(HOME, 0, FOR_EVER) == [expected[span] for span in sorted(expected)]


# live states


@st.composite
def live_states(draw: st.DrawFn) -> Live:
    at = draw(st.integers(START, START + 8))
    values = [draw(VALUES) for _ in range(3)]
    instants = [None if value is None else draw(st.none() | st.integers(START - 3, at - 1)) for value in values]
    meter = draw(st.none() | st.sampled_from("ab"))
    return Live._make([HOME, at, draw(st.integers(at, at + 5)), *values, meter, (), *instants])


@kinds
@examples(60)
@given(st.lists(live_states(), min_size=1, max_size=15))
def test_a_live_state_is_merged_field_by_field(kind: str, states: Sequence[Live]) -> None:
    with fresh(kind) as store:
        for state in states:
            store.put_live([state])
        assert store.live(HOME) == reduce(merged_live, states)
        assert [*store.lives()] == [store.live(HOME)]


@kinds
@examples(60)
@given(
    st.lists(
        st.tuples(st.integers(1, 2500), *[VALUES] * 3, st.integers(0, 4)), unique_by=lambda one: one[0], max_size=30
    ),
    st.data(),
)
def test_a_live_state_is_the_same_whether_its_readings_are_packed_or_not(
    kind: str, drawn: Sequence[tuple[int, int | None, int | None, int | None, int]], data: st.DataObject
) -> None:
    """Readings come in an hour late or at once, in any order and batches; some are packed in between."""
    now, expected, instants = NOW, list[Live](), set[int]()
    with fresh(kind) as store:
        for offset, power, imported, exported, wait in drawn:
            now += 1 + wait
            at = now - (3600 if offset % 5 == 0 else 40) + offset % 40
            reading = Reading(HOME, at, power, imported, exported)
            if any(value is not None for value in reading[2:5]) and at not in instants:
                instants.add(at)
                ingest(store, [reading], now, "UTC")
                state = live_state([reading], Device(HOME), now)
                expected = [merged_live(expected[-1], state) if expected else state]
            if data.draw(st.integers(0, 5)) == 0:
                store.pack(FOR_EVER, 10)
            assert store.live(HOME) == (expected[-1] if expected else None)
            assert [*store.lives()] == expected
            assert store.newest_at(HOME) == (expected[-1].at if expected else 0)


def test_each_value_of_a_live_state_keeps_its_own_instant(either: Store) -> None:
    sent = [
        Live(HOME, START, START + 1, None, 1000, None, "m"),
        Live(HOME, START + 10, START + 11, 431, None, None, None),
        Live(HOME, START + 5, START + 12, 400, None, 7, None),
    ]
    for state in sent:
        either.put_live([state])
    assert either.live(HOME) == Live(
        *(HOME, START + 10, START + 11, 431, 1000, 7, "m", (Arrival(START, START + 1),)),
        import_at=START,
        export_at=START + 5,
    )


# expiry


def test_evidence_is_kept_for_its_time_after_it_came_in() -> None:
    with fresh("sqlite") as store:
        early, late = NOW - 40 * DAY_S, NOW - 10 * DAY_S
        years_ago = START - 1000 * DAY_S
        for block, written in ((0, early), (1, late)):
            write(store, [WHOLE._replace(at=years_ago + 1800 * block)], written)
            many = [WHOLE._replace(at=years_ago + 1800 * (block + 2) + after) for after in range(2 * MANY)]
            write(store, many, written)
            store.write_intervals([STATEMENT._replace(start=years_ago + 1800 * (block + 4))], written)
        write(store, [WHOLE._replace(at=years_ago + 3600, power_w=9)], late)  # beside a packed half hour
        assert store.expire_readings(HOME, NOW, NOW - 35 * DAY_S) == 0
        settled(store)
        assert store.expire_readings(HOME, years_ago, NOW) == 0
        assert store.expire_readings(HOME, NOW, NOW - 35 * DAY_S) == 2
        assert store.block_starts(HOME, 0, 9) == [years_ago + 1800 * block for block in (1, 2, 3, 5)]
        assert store.expire_readings(HOME, NOW, NOW) == 4
        assert store.block_starts(HOME, 0, 9) == []


def test_an_item_expires_after_its_last_evidence_came_in() -> None:
    client = in_memory()
    store = DynamoStore(client, MEMORY, retention_days=35)

    def expiry() -> int:
        (item,) = client.call("scan", TableName=f"{MEMORY}-readings")["Items"]
        return int(item["x"]["N"])

    midnight = NOW - NOW % DAY_S
    history = WHOLE._replace(at=START - 900 * DAY_S)
    write(store, [history], midnight)
    assert expiry() == midnight + (1 + 35 + 7) * DAY_S
    write(store, [history], midnight + 3 * DAY_S)
    assert expiry() == midnight + (1 + 35 + 7) * DAY_S
    write(store, [history._replace(at=history.at + 1)], midnight + 3 * DAY_S - 1)
    assert expiry() == midnight + (3 + 35 + 7) * DAY_S
    write(store, [history._replace(at=history.at + 2)], midnight)  # by a server whose clock is behind
    assert expiry() == midnight + (3 + 35 + 7) * DAY_S
    assert len(everything(store)) == 3
    store.close()


# writers at once


def test_concurrent_parts_of_the_same_instants_are_all_kept(another: Another) -> None:
    stores = [another() for _ in PARTS]
    instants = range(START, START + 1800, 300)

    def send(number: int) -> None:
        for at in instants:
            write(stores[number], [PARTS[number]._replace(at=at)])

    with ThreadPoolExecutor(len(PARTS)) as pool:
        list(pool.map(send, range(len(PARTS))))
    assert everything(stores[0]) == [WHOLE._replace(at=at) for at in instants]
