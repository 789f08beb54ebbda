"""Packed half hours: the round trip is exact, and damage raises ValueError."""

import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core.blocks import VERSION, pack_block, unpack_block
from aggregator.core.readings import MAX_POWER, MAX_REGISTER, Reading

START = 1_774_746_000
REGISTERS = st.none() | st.integers(0, MAX_REGISTER)


@st.composite
def blocks(draw: st.DrawFn) -> list[Reading]:
    offsets = draw(st.lists(st.integers(0, 1799), min_size=1, max_size=40, unique=True).map(sorted))
    homes: list[list[str | None]] = [[None], ["m1"], ["m1", "m2"], [None, "ü"]]
    meters = draw(st.sampled_from(homes))
    return [
        Reading(
            "d",
            START + offset,
            draw(st.none() | st.integers(-MAX_POWER, MAX_POWER)),
            draw(REGISTERS),
            draw(REGISTERS),
            draw(st.sampled_from(meters)),
            draw(REGISTERS),
        )
        for offset in offsets
    ]


@given(blocks())
def test_packed_readings_round_trip(readings: list[Reading]) -> None:
    assert unpack_block("d", START, pack_block(START, readings)) == readings


@given(blocks())
def test_equal_readings_pack_to_equal_bytes(readings: list[Reading]) -> None:
    assert pack_block(START, readings) == pack_block(START, list(readings))


def test_one_reading_a_second_packs_small() -> None:
    readings = [Reading("d", START + second, 400 + second % 7, 10**9 + second // 9, 0) for second in range(1800)]
    packed = pack_block(START, readings)
    assert unpack_block("d", START, packed) == readings
    assert len(packed) < 1800


@given(blocks(), st.data())
def test_a_damaged_body_gives_readings_or_value_error(readings: list[Reading], data: st.DataObject) -> None:
    body = bytearray(zlib.decompress(pack_block(START, readings)))
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))]
    try:
        kinds = {type(reading) for reading in unpack_block("d", START, zlib.compress(bytes(body)))}
    except ValueError:
        kinds = set()
    assert kinds <= {Reading}


@given(st.binary(max_size=200))
@example(zlib.compress(b""))
@example(zlib.compress(bytes([VERSION])))
@example(zlib.compress(bytes([VERSION, 255, 255])))
@example(zlib.compress(bytes([VERSION, 0, 0])))
@example(zlib.compress(bytes(10_000_000)))
def test_bytes_other_than_a_block_raise_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="a block of readings"):
        unpack_block("d", START, data)


def test_a_newer_block_version_is_named_in_the_error() -> None:
    body = zlib.decompress(pack_block(START, [Reading("d", START, 1, None, None)]))
    with pytest.raises(ValueError, match="version 9"):
        unpack_block("d", START, zlib.compress(b"\x09" + body[1:]))
