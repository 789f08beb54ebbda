"""Readings: the rules for a valid message, and the reason of each refusal."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator.core.blocks import pack_block, unpack_block
from aggregator.core.errors import Refused
from aggregator.core.periods import block_start
from aggregator.core.readings import (
    AHEAD_S,
    MAX_REGISTER,
    NO_POWER,
    NO_REGISTER,
    REASONS,
    Interval,
    Reading,
    check_owner,
    parse,
    parse_interval,
    parse_line,
    plain_readings,
)

NOW = 1_790_000_000
GOOD: dict[str, Any] = {"device_id": "cad-1", "at": "2026-03-29T00:59:50Z", "power_w": 431}


def line(**changes: object) -> bytes:
    """A valid message with changes; `...` removes a key."""
    message = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps(message).encode()


def test_a_valid_message_becomes_a_reading() -> None:
    message = line(at="2026-03-29T01:59:50+01:00", import_wh=1234567, export_wh=0, meter_id="E6S-1", colour="green")
    assert parse_line(message, NOW) == Reading("cad-1", 1774745990, 431, 1234567, 0, "E6S-1")


def test_unknown_is_none_and_never_zero() -> None:
    assert parse_line(line(power_w=None, import_wh=0), NOW) == Reading("cad-1", 1774745990, None, 0, None)


def test_gas_in_cubic_metres_comes_in_whole_litres() -> None:
    message = line(device_id="cad-1~gas", power_w=..., volume_l=1_837_102)
    assert parse_line(message, NOW) == Reading("cad-1~gas", 1774745990, None, None, None, None, 1_837_102)
    for volume, reason in ((1837.5, "not_whole"), (-1, "negative_register"), (10**13, "out_of_range")):
        with pytest.raises(Refused, match="volume_l is") as refused:
            parse_line(line(volume_l=volume), NOW)
        assert refused.value.reason == reason


def test_an_interval_may_state_litres_of_gas_alone() -> None:
    span = {"device_id": "cad-1~gas", "start": "2026-03-28T10:00:00Z", "end": "2026-03-28T10:30:00Z"}
    start = 1_774_692_000
    assert parse_interval(span | {"volume_l": 1500}, NOW) == Interval(
        "cad-1~gas", start, start + 1800, None, None, None, 1500
    )
    with pytest.raises(Refused, match="nor volume_l has a value"):
        parse_interval(span, NOW)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "malformed_json"),
        (b'{"device_id": "cad-1", "at"', "malformed_json"),
        (b"\x00\xff\xfe\x80 binary", "malformed_json"),
        (b"{}{}", "malformed_json"),
        (b'{"a":' * 5000, "malformed_json"),
        (b"[" * 60_000, "malformed_json"),
        (b"x" * 2_000_000, "line_too_long"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"{}", "bad_device_id"),
        (line(device_id=...), "bad_device_id"),
        (line(device_id=""), "bad_device_id"),
        (line(device_id="../../etc/passwd"), "bad_device_id"),
        (line(device_id="a b"), "bad_device_id"),
        (line(device_id="d\n"), "bad_device_id"),
        (line(device_id="d" * 65), "bad_device_id"),
        (line(device_id=7), "bad_device_id"),
        (line(device_id="\ud800"), "bad_device_id"),
        (line(at=...), "bad_time"),
        (line(at=1774745990), "bad_time"),
        (line(at="yesterday"), "bad_time"),
        (line(at="2026-02-30T00:00:00Z"), "bad_time"),
        (line(at="\ud800"), "bad_time"),
        (line(at="2026-03-29T00:59:50"), "no_offset"),
        (line(at="1999-12-31T23:59:59Z"), "before_2000"),
        (line(at="1970-01-01T00:00:00Z"), "before_2000"),
        (line(at="0001-01-01T00:00:00+23:59"), "before_2000"),
        (line(at="9999-12-31T23:59:59-23:59"), "in_the_future"),
        (line(power_w=True), "not_a_number"),
        (line(power_w="431"), "not_a_number"),
        (line(power_w=[431]), "not_a_number"),
        (line(power_w=float("nan")), "not_a_number"),
        (line(import_wh={"wh": 1}), "not_a_number"),
        (line(import_wh=float("nan")), "not_a_number"),
        (line(import_wh=float("inf")), "out_of_range"),
        (line(import_wh=1e308), "out_of_range"),
        (line(import_wh=2**64), "out_of_range"),
        (line(import_wh=MAX_REGISTER + 1), "out_of_range"),
        (line(power_w=10**30), "out_of_range"),
        (line(power_w=-(10**8)), "out_of_range"),
        (line(power_w=0.5), "not_whole"),
        (line(import_wh=1234.5), "not_whole"),
        (line(import_wh=-1), "negative_register"),
        (line(export_wh=-1), "negative_register"),
        (line(meter_id=5), "bad_meter_id"),
        (line(meter_id="m" * 65), "bad_meter_id"),
        (line(meter_id="\ud800"), "bad_meter_id"),
        (line(meter_id="two\nlines"), "bad_meter_id"),
        (line(power_w=...), "no_values"),
        (line(power_w=None, import_wh=None), "no_values"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_broken_rule_is_refused_with_its_reason(message: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_line(message, NOW)
    assert refused.value.reason == reason
    assert str(refused.value).startswith(reason + ": ")
    assert len(str(refused.value)) < 250, "one line a person can read"


def test_every_reason_has_a_meaning() -> None:
    assert all(REASONS.values())
    with pytest.raises(Refused) as refused:
        parse_line(b"{}", NOW)
    assert refused.value.reason in REASONS


def test_a_clock_may_run_ten_minutes_ahead_and_no_more() -> None:
    now = 1774745990 - AHEAD_S
    assert parse_line(line(), now).at == 1774745990
    with pytest.raises(Refused, match=r"in_the_future: .* 601 s ahead"):
        parse_line(line(), now - 1)


@pytest.mark.parametrize("power", [NO_POWER, float(NO_POWER)])
def test_the_sentinel_for_no_power_is_absent(power: float) -> None:
    assert parse_line(line(power_w=power, import_wh=5), NOW).power_w is None
    with pytest.raises(Refused, match="no_values"):
        parse_line(line(power_w=power), NOW)


def test_a_register_of_all_ones_is_absent() -> None:
    reading = parse_line(line(import_wh=NO_REGISTER, export_wh=float(NO_REGISTER)), NOW)
    assert (reading.import_wh, reading.export_wh) == (None, None)


@pytest.mark.parametrize("meter", ["", " ", "---", "Read pending", "READ PENDING", "not available"])
def test_a_placeholder_meter_id_is_absent(meter: str) -> None:
    assert parse_line(line(meter_id=meter), NOW).meter_id is None


def test_whole_floats_become_integers() -> None:
    reading = parse_line(line(power_w=-0.0, import_wh=5.0), NOW)
    assert (reading.power_w, reading.import_wh) == (0, 5)
    assert type(reading.import_wh) is int


def test_fractions_of_a_second_are_cut_off() -> None:
    assert parse_line(line(at="2026-03-29T00:59:50.999Z"), NOW).at == 1774745990


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIGURES = st.none() | st.integers(-(10**13), 10**13) | st.floats() | ANYTHING


@given(st.binary())
@example(b'{"device_id":"d","at":"2026-01-01T00:00:00Z","power_w":' + b"9" * 5000 + b"}")
@example(b"[" * 1020 + b"]" * 1020)  # orjson parses it, repr cannot print it
def test_any_bytes_give_a_reading_or_a_refusal(data: bytes) -> None:
    try:
        outcome = type(parse_line(data, NOW)).__name__
    except Refused as refused:
        outcome = refused.reason
    assert outcome in {"Reading", *REASONS}


@given(
    st.fixed_dictionaries(
        {"device_id": st.sampled_from(["d", "a:b"]) | ANYTHING, "at": st.sampled_from([GOOD["at"]]) | ANYTHING},
        optional={"power_w": FIGURES, "import_wh": FIGURES, "export_wh": FIGURES, "meter_id": st.text() | ANYTHING},
    )
)
@example({**GOOD, "meter_id": "\ud800"})
@example({**GOOD, "at": "2026-03-29\ud80000:59:50Z"})
def test_every_accepted_reading_can_be_stored(message: dict[str, object]) -> None:
    try:
        reading = parse(message, NOW)
    except Refused:
        reading = parse(GOOD, NOW)
    assert unpack_block(reading.device_id, block_start(reading.at), pack_block(block_start(reading.at), [reading])) == [
        reading
    ]
    assert orjson.loads(orjson.dumps([*reading])) == [*reading]


# The compiled step

PAIRS = st.tuples(
    st.sampled_from(["device_id", "at", "power_w", "import_wh", "export_wh", "meter_id", "volume_l", "start", "lqi"]),
    st.sampled_from(["d", "a:b~gas", "x y", "", GOOD["at"], "2026-03-29", "2026-03-29T00:59:59.9999999+05:45", "---"])
    | st.sampled_from(["2026-03-29T00:59:60Z", "20260329T005950Z", "2026-W13-7T01Z", "1999-01-01T00:00:00Z", "é\x7f"])
    | FIGURES
    | ANYTHING,
)


def spelled(pairs: list[tuple[str, object]], spaces: str) -> bytes:
    """Return JSON that may name a key twice."""
    return f"{spaces}{{{','.join(f'{json.dumps(key)}:{json.dumps(value)}' for key, value in pairs)}}}".encode()


def slowly(text: bytes, sender: str) -> Reading | None:
    """Return the reading of a text, one rule after another."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if isinstance(message, dict) and sender:
        message = {"device_id": sender} | message
    try:
        reading = parse(message, NOW)
        check_owner(sender, reading.device_id)
    except Refused:
        return None
    return reading


@given(st.lists(PAIRS, max_size=9), st.sampled_from(["", " ", "\n"]), st.sampled_from(["", "d", "a:b"]))
@example([("at", GOOD["at"]), ("power_w", True)], "", "d")
@example([("at", GOOD["at"]), ("power_w", 3.0)], "", "d")
@example([("at", GOOD["at"]), ("power_w", NO_POWER)], "", "d")
@example([("at", GOOD["at"]), ("import_wh", NO_REGISTER)], "", "d")
@example([("at", GOOD["at"]), ("power_w", 1), ("power_w", 2)], "", "d")
@example([("at", GOOD["at"]), ("power_w", 1), ("meter_id", "")], "", "d")
@example([("at", GOOD["at"]), ("power_w", 1), ("device_id", "")], "", "d")
@example([("at", GOOD["at"]), ("power_w", 1), ("device_id", "d~gas")], "", "d")
def test_the_compiled_step_takes_only_what_the_rules_take(
    pairs: list[tuple[str, object]], spaces: str, sender: str
) -> None:
    pairs = [("at", GOOD["at"]), ("power_w", 5), *pairs]
    text = spelled(pairs, spaces)
    expected = slowly(text, sender)
    assert plain_readings(text, NOW, sender) in (None, [expected])
    assert plain_readings(b"[" + text + b"," + text + b"]", NOW, sender) in (None, [expected, expected])


@given(st.data())
def test_damaged_bytes_are_taken_by_the_compiled_step_only_if_by_the_rules(data: st.DataObject) -> None:
    text = bytearray(line(import_wh=5, meter_id="E6S-1"))
    for _ in range(data.draw(st.integers(0, 3))):
        place = data.draw(st.integers(0, len(text) - 1))
        text[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert plain_readings(bytes(text), NOW) in (None, [slowly(bytes(text), "")])


def test_a_usual_message_is_decoded_in_the_compiled_step() -> None:
    usual = {"at": GOOD["at"], "power_w": -5, "import_wh": 7, "export_wh": None, "meter_id": "E6S-1"}
    expected = Reading("d", 1774745990, -5, 7, None, "E6S-1")
    assert plain_readings(orjson.dumps(usual), NOW, "d") == [expected]
    assert plain_readings(orjson.dumps([usual, usual | {"device_id": "d"}]), NOW, "d") == [expected, expected]
