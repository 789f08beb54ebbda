"""Half-hour blocks: an exact round trip, and no invalid reading after any tampering."""

import math
import zlib
from array import array
from collections.abc import Iterable
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.blocks import pack_block
from aggregator.core.errors import Refused
from aggregator.core.periods import HALF_HOUR
from aggregator.core.readings import MAX_POWER, MAX_REGISTER, NO_REGISTER, Reading, parse
from aggregator.intake.formats import canonical
from aggregator.intake.formats.message import Origin

START = 1_795_000_200 - 1_795_000_200 % HALF_HOUR
NOW = START + HALF_HOUR
OWN = Origin("cad-1", NOW)


def half_hour(seed: int = 1) -> list[Reading]:
    """180 readings of a home with noisy power and a matching register."""
    chance, watt_seconds, found = Random(seed), 4_120_317 * 3600, []
    for at in range(START, START + HALF_HOUR, 10):
        power = int(chance.lognormvariate(5.8, 1.0))
        watt_seconds += power * 10
        found.append(Reading("cad-1", at, power, watt_seconds // 3600, 12_004, "23W1234567"))
    return found


values = st.none() | st.integers(0, MAX_REGISTER).filter(lambda wh: wh != NO_REGISTER)
some_readings = st.dictionaries(
    st.integers(0, HALF_HOUR - 1),
    st.tuples(st.none() | st.integers(-MAX_POWER, MAX_POWER), values, values, st.none() | st.sampled_from("ab")).filter(
        lambda row: any(value is not None for value in row[:3])
    ),
    min_size=1,
    max_size=30,
).map(lambda rows: [Reading("cad-1", START + offset, *rows[offset]) for offset in sorted(rows)])


@given(some_readings)
def test_an_encoded_block_round_trips(readings: list[Reading]) -> None:
    assert canonical.parse_block(canonical.encode_block(readings), OWN).readings == readings


@pytest.mark.parametrize("seed", range(10))
def test_a_block_of_180_readings_is_small(seed: int) -> None:
    assert len(canonical.encode_block(half_hour(seed))) < 800


def test_a_block_of_another_device_is_refused() -> None:
    with pytest.raises(Refused, match="bad_device_id"):
        canonical.parse_block(canonical.encode_block(half_hour()), Origin("cad-2", NOW))


def refusal(payload: bytes, now: int = NOW) -> str:
    with pytest.raises(Refused) as refused:
        canonical.parse_block(payload, Origin("cad-1", now))
    return refused.value.reason


def packed(*readings: Reading) -> bytes:
    return f"cad-1 {START}\n".encode() + pack_block(START, readings)


def test_each_reading_of_a_block_obeys_the_reading_rules() -> None:
    good = Reading("cad-1", START + 5, 1, 2, 3)
    assert refusal(packed(good._replace(power_w=MAX_POWER + 1))) == "out_of_range"
    assert refusal(packed(good._replace(import_wh=-1))) == "out_of_range"
    assert refusal(packed(good._replace(export_wh=NO_REGISTER))) == "out_of_range"
    assert refusal(packed(good._replace(power_w=None, import_wh=None, export_wh=None))) == "no_values"
    assert refusal(packed(good._replace(meter_id="\0"))) == "bad_meter_id"
    assert refusal(packed(good._replace(meter_id=5))) == "bad_meter_id"  # type: ignore[arg-type]
    assert refusal(packed(good._replace(meter_id="---"))) == "bad_meter_id"
    assert refusal(packed(good._replace(at=START - 1))) == "bad_block"
    assert refusal(packed(good._replace(at=START + HALF_HOUR))) == "bad_block"
    assert refusal(packed(good, good)) == "bad_block"
    assert refusal(packed(good._replace(at=START + 9), good)) == "bad_block"
    assert refusal(packed(good), now=START - 1000) == "in_the_future"
    assert refusal(b"cad-1 1800\n" + pack_block(1800, [good._replace(at=1805)])) == "before_2000"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"cad-1",
        b"cad-1 \n",
        f"cad-1 {START + 1}\n".encode() + pack_block(START, half_hour()),
        f"cad-1 {START}\n".encode(),
        f"cad-1 {START}\n".encode() + b"not deflated",
        f"cad-1 {START}\n".encode() + pack_block(START, half_hour())[:-9],
        f"cad-1 {START}\n".encode() + pack_block(START, half_hour()) + b"more",
        f"cad-1 {START}\n".encode() + zlib.compress(b""),
        f"cad-1 {START}\n".encode() + zlib.compress(bytes(2_000_000)),
        f"cad-1 {'9' * 60}\n".encode(),
        "cad-1 ١٨٠٠\n".encode(),
    ],
)
def test_bytes_other_than_a_block_are_refused_as_bad_block(payload: bytes) -> None:
    assert refusal(payload) == "bad_block"


@pytest.mark.parametrize(
    ("code", "steps"), [("f", (math.nan, 1)), ("d", (1.5, 2.5)), ("d", (1.0, 2.0)), ("Q", (1, 2)), ("u", "ab")]
)
def test_only_whole_numbers_are_figures(code: str, steps: Iterable[Any]) -> None:
    zero = (0).to_bytes(8, "little")
    ats = zero + b"b" + bytes([10, 10])
    powers = b"\1" + zero + code.encode() + array(code, steps).tobytes()
    body = b"\1" + (3).to_bytes(2, "little") + ats + powers + b"\0\0" + b"null"
    assert refusal(f"cad-1 {START}\n".encode() + zlib.compress(body)) == "bad_block"


def test_an_oversized_block_is_refused_unparsed() -> None:
    assert refusal(bytes(10_000_000)) == "message_too_long"


@given(st.binary(max_size=80), st.integers(0, 3), st.data())
def test_a_tampered_block_is_refused_or_holds_valid_readings(noise: bytes, count: int, data: st.DataObject) -> None:
    body = bytearray(zlib.decompress(canonical.encode_block(half_hour()).split(b"\n", 1)[1]))
    for _ in range(count):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for inner in (bytes(body), noise, bytes(body) + noise):
        try:
            content = canonical.parse_block(f"cad-1 {START}\n".encode() + zlib.compress(inner), OWN)
        except Refused:
            continue
        for reading in content.readings:
            again = orjson.dumps(reading._asdict() | {"at": "2026-11-27T07:10:20Z"})
            assert parse(orjson.loads(again), 2_000_000_000)._replace(at=reading.at) == reading
