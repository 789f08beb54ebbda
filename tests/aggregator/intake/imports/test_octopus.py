"""Octopus Energy's files: the CSV of its pages, and the JSON of its API."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.readings import REASONS
from aggregator.intake.imports.import_file import is_json, octopus_layout, results_of, row_of_result
from aggregator.intake.imports.rows import row_of

RESULT = {
    "consumption": 0.0631,
    "interval_start": "2026-03-29T02:00:00+01:00",
    "interval_end": "2026-03-29T02:30:00+0100",
}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("Consumption (kwh), Estimated Cost Inc. Tax (p), Start, End", "0.0631, 1.89, {start}, {end}"),
        ("Consumption (kWh), Start, End", "0.063100, {start}, {end}"),
        ("Start,End,Consumption (kWh)", '"{start}","{end}","0.0631"'),
    ],
)
def test_octopus_csv_is_parsed(header: str, row: str) -> None:
    line = row.format(start="2026-03-29T02:00:00+01:00", end="2026-03-29T02:30:00+01:00")
    layout = octopus_layout([header.encode(), line.encode()])
    found = row_of(line.encode(), 2, layout)

    assert (found.time, found.end, found.import_uwh) == (at("2026-03-29T01:00Z"), at("2026-03-29T01:30Z"), 63_100_000)


def test_another_csv_is_refused_with_the_format_option() -> None:
    with pytest.raises(ConfigurationError, match="use --format csv for other files"):
        octopus_layout([b"time,register_kwh", b"2026-02-01,5"])


def test_octopus_json_is_parsed() -> None:
    content = json.dumps({"count": 1, "next": None, "results": [RESULT]}).encode()
    (result,) = results_of(content)
    row = row_of_result(json.dumps(result).encode(), 3)

    assert is_json(b"  " + content)
    assert not is_json(b"Consumption (kwh), Start, End")
    assert (row.line, row.time, row.end) == (3, at("2026-03-29T01:00Z"), at("2026-03-29T01:30Z"))
    assert row.import_uwh == 63_100_000


def test_a_list_of_pages_or_results_is_parsed() -> None:
    page = {"results": [RESULT, RESULT]}

    assert results_of(json.dumps([page, page]).encode()) == [RESULT] * 4
    assert results_of(json.dumps([RESULT]).encode()) == [RESULT]


def test_invalid_json_is_refused_with_a_reason() -> None:
    with pytest.raises(ConfigurationError, match="begins like JSON but is invalid"):
        results_of(b'{"results": [')


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ([], "not_an_object"),
        ({**RESULT, "interval_start": None}, "bad_time"),
        ({**RESULT, "interval_end": "soon"}, "bad_time"),
        ({key: value for key, value in RESULT.items() if key != "consumption"}, "bad_row"),
        ({**RESULT, "consumption": None}, "no_values"),
        ({**RESULT, "consumption": "much"}, "not_a_number"),
        ({**RESULT, "consumption": [1]}, "not_a_number"),
        ({**RESULT, "consumption": True}, "not_a_number"),
        ({**RESULT, "consumption": -1}, "out_of_range"),
    ],
)
def test_an_unusable_result_is_refused_by_name(result: object, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        row_of_result(json.dumps(result).encode(), 1)
    assert refused.value.reason == reason


SCALARS = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3)), st.sampled_from([*RESULT]))
def test_any_value_gives_a_row_or_a_named_refusal(value: object, key: str) -> None:
    reason = ""
    try:
        row_of_result(json.dumps({**RESULT, key: value}).encode(), 1)
    except Refused as refused:
        reason = refused.reason
    assert reason in {"", *REASONS}
