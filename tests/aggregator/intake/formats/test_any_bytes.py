"""Parsers accept or refuse any bytes, and accept only values that canonical JSON also accepts."""

import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core import readings, status
from aggregator.core.errors import Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import REASONS, Reading
from aggregator.core.status import Status
from aggregator.intake.formats import dsmr, glow, shelly, tasmota
from aggregator.intake.formats.message import LONGEST, Content, DeviceRules, Origin, Parse
from tests.aggregator.intake.formats.messages import NOW, SAMPLES, TELEGRAM, Sample, sealed
from tests.budgets import examples

PARSERS: list[Parse] = [
    dsmr.parse_dsmr,
    glow.parse_glow,
    glow.parse_glow_hex,
    shelly.parse_shelly,
    tasmota.parse_tasmota,
]
PARTS = ["", "STATE", "SENSOR/electricitymeter", "SENSOR/gasmeter", "events/rpc", "status/em1:0", "status/emdata:0"]
JSON = {name: one for name, one in SAMPLES.items() if one.parse is not dsmr.parse_dsmr}
LEAVES: list[Any] = [
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 255, 10**12, 2**48 - 1, 2**63, 2**64, 10**30, 10**400, -(10**25)),
    *(1e308, -1e308, 5e-324, float("nan"), float("inf"), -8388.608, 946684800, 4102444800, NOW, NOW * 1000),
    *(
        "",
        " ",
        "n/a",
        "0",
        " 12.5 ",
        "1e308",
        "1e999999999999",
        "NaN",
        "sNaN",
        "-Infinity",
        "1_000",
        "１２",
        "0x10",
        "---",
    ),
    *("\x00", "\ud800", "é" * 100, "9" * 5000, "FFFFFFFFFFFF", "FFFFFF", "800000", "2026-03-29T02:30:00", "2000-01-01"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-01T07:10:20.999999Z", "joined", "kWh", "W"),
    *([], [[]], [1, "n/a"], [0] * 300, {}, {"value": 1}, {"": {"": {}}}),
]
BIG = 10_000_000
AMSTERDAM = DeviceRules("Europe/Amsterdam")
MOST_CALLS = 1000  # of functions; the usual message takes 100, the worst here 300
CORPUS: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \r\n\t\0 ",
    "NUL bytes": b"\0" * 1000,
    "10 MB of NUL bytes": b"\0" * BIG,
    "10 MB of digits": b"1" * BIG,
    "10 MB of a string": b'"' + b"x" * BIG + b'"',
    "10 MB of a telegram": b"/" + b"1-0:1.8.1(1*kWh)\r\n" * (BIG // 18) + b"!0000",
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets, closed": b"[" * 100_000 + b"]" * 100_000,
    "40,000 objects in each other": b'{"a":' * 40_000,
    "2,000 objects in each other, closed": b'{"ENERGY":' * 2000 + b"1" + b"}" * 2000,
    "an integer of 100,000 digits": b'{"Time":' + b"9" * 100_000 + b"}",
    "a number of 100,000 decimals": b'{"Time":0.' + b"1" * 100_000 + b"}",
    "a number of 250,000 digits and an exponent": b'{"Time":' + b"1" * 250_000 + b"e-250000}",
    "NaN": b"NaN",
    "Infinity": b'{"ENERGY":{"Power":Infinity}}',
    "1e999": b'{"ENERGY":{"Power":1e999}}',
    "invalid UTF-8": b'{"ENERGY":"\xff\xfe"}',
    "half of UTF-16": '{"ENERGY":1}'.encode("utf-16")[:-1],
    "UTF-16": '{"ENERGY":{"Power":1}}'.encode("utf-16"),
    "UTF-32": '{"ENERGY":{"Power":1}}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"ENERGY":{"Power":1}}',
    "a lone surrogate": rb'{"ENERGY":"\ud800","Time":"\udfff"}',
    "a key that is a lone surrogate": rb'{"\ud800":1}',
    "doubled keys": b'{"ENERGY":{"Power":1,"Power":"n/a"},"ENERGY":[]}',
    "two messages": b"{}{}",
    "a comma too many": b'{"ENERGY":{},}',
    "single quotes": b"{'ENERGY':{}}",
    "50,000 keys": json.dumps({str(number): number for number in range(20_000)}).encode(),
    "many phases": b'{"Time":"2026-02-01T07:10:20","ENERGY":{"Power":[' + b"0.1," * 60_000 + b"0.1]}}",
    "many emeters": b'{"emeters":[' + b"{}," * 80_000 + b"{}]}",
    "slash, mark": b"/!",
    "marks": b"/" + b"!" * 10_000,
    "slashes": b"/" * 10_000,
    "parentheses": b"/\r\n1-0:1.8.1" + b"(" * 10_000 + b"!0000",
    "objects without an end": b"/\r\n" + b"1-0:1.8.1(1\r\n" * 1000 + b"!0000",
    "a checksum of letters": b"/\r\n!ZZZZ",
    "a checksum of other digits": "/\r\n!１２３４".encode(),
}


def taken(parse: Parse, payload: bytes, origin: Origin) -> Content | None:
    """Return the content of a message, or None where it was refused; fail on any other exception."""
    content, refused = outcome(parse, payload, origin)
    if refused is not None:
        assert refused.reason in REASONS
        assert len(str(refused)) < 500
        return None
    assert content.refused == []
    for reading in content.readings:
        assert as_canonical(reading, origin.now) == reading
    for said in content.statuses:
        assert as_canonical_status(said, origin.now) == said
    return content


def outcome(parse: Parse, payload: bytes, origin: Origin) -> tuple[Content, Refused | None]:
    try:
        return parse(payload, origin), None
    except Refused as refused:
        return Content(), refused


def as_canonical(reading: Reading, now: int) -> Reading:
    """Return a reading after a round trip through canonical JSON."""
    line = json.dumps(reading._asdict() | {"at": iso_utc(reading.at)}, allow_nan=False)
    return readings.parse_line(line.encode(), now)


def as_canonical_status(said: Status, now: int) -> Status:
    counters = said.counters[1:] if said.counters else (None, None, None)
    counted = dict(zip(status.COUNTERS, counters, strict=True))
    line = json.dumps(said._asdict() | {"at": iso_utc(said.at)} | counted, allow_nan=False)
    return status.parse_status(json.loads(line), now)


def paths(message: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all values in a message."""
    within: list[Any] = []
    if isinstance(message, dict):
        within = list(message.items())
    elif isinstance(message, list):
        within = list(enumerate(message))
    return [path, *(one for key, value in within for one in paths(value, (*path, key)))]


def replaced(message: Any, path: tuple[str | int, ...], value: object) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return a message with another value at a path."""
    if not path:
        return value
    changed = message.copy()
    changed[path[0]] = replaced(message[path[0]], path[1:], value)
    return changed


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Sample, bytes]:
    """A sample, and the same with up to four values replaced by wrong ones."""
    sample = JSON[draw(st.sampled_from(sorted(JSON)))]
    message = json.loads(sample.payload)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(paths(message)))
        message = replaced(message, path, draw(st.sampled_from(LEAVES)))
    return sample, written(message)


def written(message: object) -> bytes:
    return json.dumps(message, ensure_ascii=True).encode()


@st.composite
def mangled(draw: st.DrawFn) -> tuple[Sample, bytes]:
    """A sample, and the same with bytes removed, inserted or changed."""
    sample = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    payload = sample.payload
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(payload)))
        end = draw(st.integers(start, min(len(payload), start + 20)))
        payload = payload[:start] + draw(st.binary(max_size=6)) + payload[end:]
    return sample, payload[: draw(st.integers(0, len(payload)))] if draw(st.booleans()) else payload


@st.composite
def resealed(draw: st.DrawFn) -> bytes:
    """A telegram changed before its checksum was computed."""
    text = TELEGRAM
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(1, len(text) - 1))
        end = draw(st.integers(start, min(len(text) - 1, start + 12)))
        put = draw(
            st.sampled_from(["", "\n", "(", ")", "*", "9" * 30, "n/a", "1e99", "-1", "NaN", "S)", "FF", "\xff", "/"])
        )
        text = text[:start] + put + text[end:]
    return sealed(text)


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_valid_message_of_each_format_is_accepted(sample: Sample) -> None:
    content = taken(*sample)
    assert content is not None
    assert content.readings or content.statuses


@examples(300)
@given(st.binary(max_size=300), st.sampled_from(PARSERS), st.sampled_from(PARTS))
def test_random_bytes_are_refused_by_name(payload: bytes, parse: Parse, part: str) -> None:
    assert taken(parse, payload, Origin("device-1", NOW, AMSTERDAM, part)) is None


@examples(500)
@given(spoiled())
def test_wrong_values_are_absent_or_refused_by_name(case: tuple[Sample, bytes]) -> None:
    sample, payload = case
    taken(sample.parse, payload, sample.origin)


@examples(250)
@given(spoiled(), st.sampled_from(PARSERS), st.sampled_from(PARTS))
def test_messages_of_one_format_are_safe_with_another(case: tuple[Sample, bytes], parse: Parse, part: str) -> None:
    taken(parse, case[1], Origin("device-1", NOW, AMSTERDAM, part))


@examples(400)
@given(mangled())
def test_mangled_messages_are_parsed_or_refused_by_name(case: tuple[Sample, bytes]) -> None:
    sample, payload = case
    taken(sample.parse, payload, sample.origin)


@examples(300)
@given(resealed())
def test_telegrams_with_correct_checksum_are_parsed_or_refused(payload: bytes) -> None:
    taken(dsmr.parse_dsmr, payload, SAMPLES["DSMR telegram"].origin)


@pytest.mark.parametrize("payload", CORPUS.values(), ids=CORPUS)
def test_hostile_messages_are_refused_in_few_calls(payload: bytes) -> None:
    for parse in PARSERS:
        for part in PARTS:
            origin = Origin("device-1", NOW, AMSTERDAM, part)
            assert calls_of(partial(taken, parse, payload, origin)) < MOST_CALLS


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions a piece of work calls, of Python and of C: its cost on any machine."""
    count = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event.endswith("call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("sample", JSON.values(), ids=JSON)
def test_no_value_at_any_path_breaks_a_parser(sample: Sample) -> None:
    message = json.loads(sample.payload)
    for path, leaf in product(paths(message), LEAVES):
        payload = written(replaced(message, path, leaf))
        try:
            taken(sample.parse, payload, sample.origin)
        except Exception as error:
            raise AssertionError(f"{leaf!r} at {path}: {payload!r}") from error


@pytest.mark.parametrize("parse", PARSERS)
def test_an_oversized_message_is_refused_unparsed(parse: Parse) -> None:
    with pytest.raises(Refused, match="too_long"):
        parse(b'{"ENERGY":{}}' + b" " * LONGEST, Origin("device-1", NOW))
