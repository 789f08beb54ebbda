"""DynamoDB items: every value survives a round trip, in few bytes."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.documents import Document, Part
from aggregator.core.errors import Damaged
from aggregator.core.live import REMEMBERED, Arrival, Live
from aggregator.core.money import NOTHING, UNIT_PLACES, Cost, scaled
from aggregator.core.readings import LONGEST_INTERVAL_S, MAX_POWER, MAX_REGISTER, Interval, Reading
from aggregator.store.dynamodb import document_items, items, live_and_records
from aggregator.store.dynamodb.document_items import merge_request
from aggregator.store.dynamodb.items import Item

START = 1_795_000_200 // 1800 * 1800
REGISTERS = st.none() | st.sampled_from([0, 255, 256, MAX_REGISTER]) | st.integers(0, MAX_REGISTER)
POWERS = st.none() | st.sampled_from([0, -1, 127, 128, -128, -129]) | st.integers(-MAX_POWER, MAX_POWER)
READINGS = st.builds(
    Reading,
    st.just("home"),
    st.integers(START, START + 1799),
    POWERS,
    REGISTERS,
    REGISTERS,
    st.none() | st.text(max_size=64),
    REGISTERS,
)
AMOUNTS = st.sampled_from([0, 1, 127, 128, 1800, 16_384]) | st.integers(0, 10**12)
MONEY = st.sampled_from([0, -1, 10**13, -643_125 * 10**6]) | st.integers(-(10**20), 10**20)
COSTS = st.builds(Cost, st.none() | MONEY, st.none() | MONEY, st.none(), AMOUNTS, AMOUNTS, MONEY, MONEY) | st.just(
    NOTHING
)
PARTS = st.builds(Part, st.none() | AMOUNTS, st.none() | AMOUNTS, *[AMOUNTS] * 7, COSTS, st.none() | AMOUNTS)


def block(readings: list[Reading]) -> Item:
    tags = items.meter_tags({reading.meter_id for reading in readings if reading.meter_id is not None}, {})
    return {
        **items.block_key("home", START),
        "x": items.number(1),
        **{items.meter_name(tag): items.text(meter) for meter, tag in tags.items()},
        **{items.reading_name(one.at - START): {"B": items.pack_reading(one, tags)} for one in readings},
    }


@given(st.lists(READINGS, unique_by=lambda reading: reading.at, max_size=20))
def test_a_half_hour_survives_a_round_trip(readings: list[Reading]) -> None:
    assert items.unpack_block(block(readings)) == sorted(readings, key=lambda reading: reading.at)


def test_reading_names_are_two_bytes_in_order_of_time() -> None:
    names = [items.reading_name(offset) for offset in range(1800)]
    assert names == sorted(set(names))
    assert {len(name) for name in names} == {2}


INTERVALS = st.builds(
    lambda start, length, *values: Interval("home", start, start + length, *values),
    st.integers(START, START + 1799),
    st.sampled_from([1, 60, 61, 62, 1800, 3844, LONGEST_INTERVAL_S]) | st.integers(1, LONGEST_INTERVAL_S),
    REGISTERS,
    REGISTERS,
    st.none() | st.text(min_size=1, max_size=64),
)


@given(
    st.lists(INTERVALS, unique_by=lambda one: (one.start, one.end), max_size=12),
    st.lists(READINGS, unique_by=lambda one: one.at, max_size=5),
)
def test_intervals_survive_a_round_trip_beside_readings(intervals: list[Interval], readings: list[Reading]) -> None:
    named = {items.interval_name(one): items.as_reading(one) for one in intervals}
    both = [*named.values(), *readings]
    tags = items.meter_tags({one.meter_id for one in both if one.meter_id is not None}, {})
    item = block(readings) | {items.meter_name(tag): items.text(text) for text, tag in tags.items()}
    item |= {items.reading_name(one.at - START): {"B": items.pack_reading(one, tags)} for one in readings}
    item |= {name: {"B": items.pack_reading(one, tags)} for name, one in named.items()}
    assert items.unpack_intervals(item) == sorted(intervals, key=lambda one: one[1:3])
    assert items.unpack_block(item) == sorted(readings, key=lambda one: one.at)


def test_no_meter_has_the_name_of_an_interval() -> None:
    assert items.meter_name(0xFFFF) == "mffff"
    ends = [
        Interval("home", START + at, START + at + long, 1, 1) for at in (0, 1799) for long in (1, LONGEST_INTERVAL_S)
    ]
    assert [items.interval_name(one) for one in ends] == ["00001", "00NPc", "T1001", "T1NPc"]


def test_three_hundred_meters_in_a_half_hour_get_distinct_tags() -> None:
    tags = items.meter_tags(map(str, range(300)), {})
    assert len(set(tags.values())) == 300


@given(PARTS)
def test_a_part_survives_a_round_trip(part: Part) -> None:
    assert document_items.unpack_part(document_items.pack_part(part)) == part


def day_item(half: Part, hour: Part) -> Item:
    packed = {"s": {"B": document_items.pack_part(half)}, "h": {"B": document_items.pack_part(hour)}}
    item = items.document_key("0CA2F400008A1234", "2026-11-23") | {"z": items.text("America/Argentina/Buenos_Aires")}
    names = [f"s{number:02d}" for number in range(50)] + [f"h{number:02d}" for number in range(25)]
    return item | {"c": items.text("GBP")} | {name: packed[name[0]] for name in names}


def test_a_full_day_with_its_cost_fits_into_one_write_unit() -> None:
    rate = scaled(Decimal("0.2573"), UNIT_PLACES, "the rate")
    half, hour = (Part(900 * n, 0, 0, 0, 1800 * n, 0, cost=Cost(rate * 9 * n // 10, 0)) for n in (1, 2))
    assert items.item_size(day_item(half, hour)) <= items.WRITE_UNIT
    both = (Part(900 * n, 90 * n, 0, 0, 1800 * n, 0) for n in (1, 2))
    assert items.item_size(day_item(*both)) < items.WRITE_UNIT


def test_a_full_half_hour_fits_into_two_write_units() -> None:
    readings = [Reading("home", START + 10 * n, 431, 45_000_000 + n, None, "meter") for n in range(180)]
    assert items.item_size(block(readings)) < 2 * items.WRITE_UNIT


INSTANTS = st.integers(START - 10_000, START)
OLDER = st.none() | st.integers(START - 10_000, START - 1)
ARRIVALS = st.lists(st.builds(Arrival, INSTANTS, INSTANTS), max_size=REMEMBERED)


@given(POWERS, REGISTERS, REGISTERS, st.none() | st.just("m"), ARRIVALS, st.lists(OLDER, min_size=3, max_size=3))
def test_a_live_state_survives_a_round_trip(
    power: int | None,
    imported: int | None,
    exported: int | None,
    meter: str | None,
    arrivals: list[Arrival],
    instants: list[int | None],
) -> None:
    values = (power, imported, exported)
    own = [None if value is None else at for value, at in zip(values, instants, strict=True)]
    live = Live("home", START, START + 3, *values, meter, tuple(arrivals), *own)
    item = live_and_records.pack_live(live)
    assert live_and_records.unpack_live(item) == live
    assert items.item_size(item) < items.WRITE_UNIT // 2


def test_an_item_without_parts_is_not_a_document() -> None:
    assert document_items.unpack_document("day", None) is None
    assert (
        document_items.unpack_document("day", items.document_key("home", "2026-11-23") | {"z": items.text("UTC")})
        is None
    )


@given(st.dictionaries(st.sampled_from(["h00", "h01", "s00"]), st.none() | PARTS))
def test_merging_unchanged_parts_makes_no_request(parts: dict[str, Part | None]) -> None:
    present = {name: {"B": document_items.pack_part(part)} for name, part in parts.items() if part is not None}
    key = items.document_key("home", "2026-11-23")
    stored = key | {"z": items.text("UTC")} | present if present else None
    assert merge_request(stored, "UTC", "", parts, START, is_open=None) is None


def test_merging_sets_changed_parts_if_their_old_values_hold() -> None:
    old, new = Part(1, None), Part(2, None)
    stored = items.document_key("home", "2026-11-23") | {
        "z": items.text("UTC"),
        "h00": {"B": document_items.pack_part(old)},
    }
    assert merge_request(stored, "UTC", "", {"h00": new, "h01": new, "h02": None}, START, is_open=None) == (
        "update_item",
        {
            "ConditionExpression": "#h00 = :was_h00 AND attribute_not_exists(#h01) AND attribute_not_exists(#v)",
            "UpdateExpression": "SET #h00 = :h00, #h01 = :h01, #t = :t, #u = :u, #v = :v",
            "ExpressionAttributeNames": {"#h00": "h00", "#h01": "h01", "#t": "t", "#u": "u", "#v": "v"},
            "ExpressionAttributeValues": {
                ":was_h00": {"B": document_items.pack_part(old)},
                ":h00": {"B": document_items.pack_part(new)},
                ":h01": {"B": document_items.pack_part(new)},
                ":t": items.number(START),
                ":u": items.number(START),
                ":v": items.number(document_items.FORM),
            },
        },
    )


# Change records

KEYS = {"d": {"S": "home"}, "b": {"N": str(START)}}


def record(name: str, **more: object) -> dict[str, Any]:
    return {"eventName": name, "dynamodb": {"Keys": KEYS}, **more}


@pytest.mark.parametrize(
    ("change", "is_dirty"),
    [
        (record("INSERT"), True),
        (record("MODIFY"), True),
        (record("REMOVE"), True),
        (record("REMOVE", userIdentity=None), True),
        (record("REMOVE", userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"}), False),
        (record("REMOVE", userIdentity={"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}), False),
        (record("REMOVE", userIdentity={"principalId": "somebody"}), True),
    ],
)
def test_a_record_is_dirty_unless_its_item_expired(change: dict[str, Any], is_dirty: bool) -> None:
    assert items.changed_key("readings", change) == (("home", str(START)) if is_dirty else None)


def test_a_document_is_open_until_it_is_written_after_its_end() -> None:
    part = {"h00": Part(1, None)}
    (_, made), *_ = [merge_request(None, "UTC", "", part, START, is_open=True) or ("", {})]
    assert made["ExpressionAttributeValues"][":o"] == items.IS_OPEN
    stored = {"d": items.text("home"), "p": items.text("2026-11-23"), "z": items.text("UTC"), "u": items.number(1)}
    stored |= {"h00": {"B": document_items.pack_part(part["h00"])}, "v": items.number(document_items.FORM)}
    assert merge_request(stored | {"o": items.IS_OPEN}, "UTC", "", {}, START, is_open=True) is None
    closed = merge_request(stored | {"o": items.IS_OPEN}, "UTC", "", {}, START, is_open=False)
    assert closed is not None
    assert closed[1]["UpdateExpression"] == "SET #o = :o, #t = :t"
    assert closed[1]["ExpressionAttributeValues"][":o"] == items.IS_OVER
    reopened = merge_request(stored | {"o": items.IS_OVER}, "UTC", "", {"h00": Part(2, None)}, START, is_open=True)
    assert reopened is not None
    assert ":o" not in reopened[1]["ExpressionAttributeValues"]


def test_an_older_form_is_read_and_a_newer_one_is_left_alone() -> None:
    item = items.document_key("home", "2026") | {
        "z": items.text("UTC"),
        "m01": {"B": document_items.pack_part(Part(1, 2))},
    }
    item |= {"t": items.number(START), "u": items.number(START)}
    known = document_items.unpack_document("year", item)
    assert known
    assert document_items.unpack_document("year", item | {"v": items.number(document_items.FORM)}) == known
    newer = item | {"v": items.number(document_items.FORM + 1)}
    with pytest.raises(Damaged, match="newer version"):
        document_items.unpack_document("year", newer)
    for parts in ({}, {"m01": None}, {"m01": Part(3, 4)}):
        with pytest.raises(Damaged, match="newer version"):
            merge_request(newer, "UTC", "", parts, START, is_open=None)


def test_a_document_of_a_device_without_readings_is_still_a_document() -> None:
    part = Part(0, None)
    item = items.document_key("home", "2026") | {"z": items.text("UTC"), "m01": {"B": document_items.pack_part(part)}}
    item |= {"t": items.number(START), "u": items.number(START)}
    assert document_items.unpack_document("year", item) == Document("year", "home", "2026", "UTC", {"m01": part})
