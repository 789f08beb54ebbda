"""Price files as suppliers publish them: parsed whole or refused."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import Window
from aggregator.tariffs.prices import parse_prices
from tests.budgets import examples

HALF_HOUR = 1800


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


AT_ONE, HALF_PAST = utc("2026-03-29T01:00"), utc("2026-03-29T01:30")
TWO = {AT_ONE: Decimal("0.1834"), HALF_PAST: Decimal("-0.021")}


def refusal(text: str, per: int = 1, vat_included: bool = True) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_prices(text, per, vat_included)
    return str(caught.value)


# Parsing


@pytest.mark.parametrize(
    "text",
    [
        "start,price\n2026-03-29T01:00:00Z,0.1834\n2026-03-29T01:30:00Z,-0.0210\n",
        "start,price\n2026-03-29T01:30:00Z,-0.0210\n2026-03-29T01:00:00Z,0.1834\n",  # newest first
        "start,price\n2026-03-29T02:00:00+01:00,0.1834\n2026-03-29T02:30:00+01:00,-0.021",  # British summer time
        "start,price\n2026-03-29 06:45+05:45,.1834\n2026-03-29 07:15+05:45,-2.1e-2\n",
        "\ufeffValid From,Unit Rate\r\n2026-03-29T01:00Z,0.1834\r\n\r\n2026-03-29T01:30Z,-0.0210\r\n",
        'name;price;interval_start\nx;0,1834;2026-03-29T01:00Z\n"y;z";-0,0210;2026-03-29T01:30Z\n',
        "price\tstart\n0.1834\t2026-03-29T01:00Z\n-0.0210\t2026-03-29T01:30Z\n",
        '[{"start": "2026-03-29T01:30:00Z", "price": -0.0210}, {"start": "2026-03-29T01:00:00Z", "price": "0.1834"}]',
        ' {"rates": [{"start": "2026-03-29T01:00:00Z", "value_inc_vat": 0.1834, "value_exc_vat": 0.17, "x": []},'
        ' {"start": "2026-03-29T01:30:00Z", "value_inc_vat": -0.0210}]}',
    ],
)
def test_equal_prices_parse_from_every_file_shape(text: str) -> None:
    found = parse_prices(text)
    assert found.prices == TWO
    assert list(found.prices) == sorted(TWO)
    assert found.report.rows == 2


def test_a_supplier_api_in_pence_is_parsed() -> None:
    answer = json.dumps(
        {
            "count": 2,
            "next": None,
            "results": [
                {
                    "value_exc_vat": 16.06,
                    "value_inc_vat": 16.863,
                    "valid_from": "2026-03-29T01:30:00Z",
                    "valid_to": "2026-03-29T02:00:00Z",
                    "payment_method": None,
                },
                {
                    "value_exc_vat": -2.0,
                    "value_inc_vat": -2.1,
                    "valid_from": "2026-03-29T01:00:00Z",
                    "valid_to": "2026-03-29T01:30:00Z",
                    "payment_method": None,
                },
            ],
        }
    )
    found = parse_prices(answer, per=100)
    assert found.prices == {AT_ONE: Decimal("-0.021"), HALF_PAST: Decimal("0.16863")}
    assert found.report.rounded == 0
    without_vat = parse_prices(answer, per=100, vat_included=False).prices
    assert without_vat == {AT_ONE: Decimal("-0.02"), HALF_PAST: Decimal("0.1606")}


def test_prices_without_vat_are_not_used_as_prices_with_vat() -> None:
    text = "start,value_exc_vat\n2026-03-29T01:00Z,0.17\n"
    assert refusal(text).startswith("row 2: the price is missing; its column may be named value_inc_vat, ")
    assert parse_prices(text, vat_included=False).prices == {AT_ONE: Decimal("0.17")}


def test_hourly_market_prices_per_mwh_are_parsed() -> None:
    text = "start,end,price\n2026-03-29T00:00Z,2026-03-29T01:00Z,84.37\n2026-03-29T01:00Z,2026-03-29T02:00Z,-3.5\n"
    found = parse_prices(text, per=1000)
    midnight = utc("2026-03-29T00:00")
    first, second = Decimal("0.08437"), Decimal("-0.0035")
    assert found.prices == {midnight: first, midnight + HALF_HOUR: first, AT_ONE: second, HALF_PAST: second}
    assert found.report.holes == ()


def test_float_noise_is_rounded_to_a_millionth_and_counted() -> None:
    found = parse_prices(
        "start,price\n2026-03-29T01:00Z,0.18340000000000001\n2026-03-29T01:30Z,-0.0210\n2026-03-29T02:00Z,0.2000005\n"
    )
    assert found.prices == TWO | {utc("2026-03-29T02:00"): Decimal("0.2")}
    assert found.report.rounded == 2


# Report


def test_duplicates_and_holes_are_reported() -> None:
    text = """start,price
2026-03-29T04:00Z,0.30
2026-03-29T01:00Z,0.10
2026-03-29T02:00+01:00,0.100
2026-03-29T01:30Z,-0.05
2026-03-29T03:00Z,0.20
"""
    report = parse_prices(text).report
    assert (report.rows, report.duplicates, report.rounded) == (5, 1, 0)
    assert report.span == Window(AT_ONE, utc("2026-03-29T04:30"))
    assert report.holes == (
        Window(utc("2026-03-29T02:00"), utc("2026-03-29T03:00")),
        Window(utc("2026-03-29T03:30"), utc("2026-03-29T04:00")),
    )
    assert (report.lowest, report.highest) == (Decimal("-0.05"), Decimal("0.3"))


# Refusals


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2026-03-29T01:00,0.1", "the start '2026-03-29T01:00' has no UTC offset; write it like 2026-03-29T00:30:00Z"),
        ("2026-03-29,0.1", "the start '2026-03-29' has no UTC offset"),
        ("yesterday,0.1", "the start is 'yesterday'; it must be a time like 2026-03-29T00:30:00Z"),
        ("2026-03-29T01:15Z,0.1", "the start '2026-03-29T01:15Z' is not on a half hour of UTC"),
        ("2026-03-29T01:00+05:45,0.1", "is not on a half hour of UTC"),
        ("2026-03-29T01:00:00.5Z,0.1", "is not on a half hour of UTC"),
        ("1926-03-29T01:00Z,0.1", "is not in the years 2000 to 2199"),
        ("0001-01-01T00:00+14:00,0.1", "the start"),
        (",0.1", "the start is ''; it must be a time"),
        ("2026-03-29T01:00Z,", "the price is missing"),
        ("2026-03-29T01:00Z", "the price is missing"),
        ("2026-03-29T01:00Z,free", "the price is 'free'; it must be a decimal number like 0.2450"),
        ("2026-03-29T01:00Z,NaN", "the price is 'NaN'; it must be a decimal number"),
        ('2026-03-29T01:00Z,"0,1834"', "the price is '0,1834'; it must be a decimal number"),
        ("2026-03-29T01:00Z,1e9", "the price is '1e9'; it must be between -1000000 and 1000000"),
    ],
)
def test_a_bad_row_refuses_the_whole_file(row: str, message: str) -> None:
    text = f"start,price\n2026-03-28T01:00Z,0.1\n{row}\n2026-03-28T02:00Z,0.1\n"
    found = refusal(text)
    assert found.startswith("row 3: ")
    assert message in found
    assert "\n" not in found


@pytest.mark.parametrize("end", ["2026-03-29T01:00Z", "2026-03-29T00:30Z", "2026-04-29T01:00Z", "", "soon"])
def test_an_open_or_impossible_end_is_refused(end: str) -> None:
    assert refusal(f"start,end,price\n2026-03-29T01:00Z,{end},0.1\n").startswith("row 2: the end ")


def test_two_prices_for_one_half_hour_name_both_rows() -> None:
    text = "start,price\n2026-03-29T01:00Z,0.1\n2026-03-29T01:30Z,0.2\n2026-03-29T02:00+01:00,0.3\n"
    assert refusal(text) == "row 4: 2026-03-29T01:00:00Z has two prices, 0.1 in row 2 and 0.3 here"


def test_up_to_ten_bad_rows_are_named() -> None:
    lines = refusal("start,price\n" + "2026-03-29T01:00Z,?\n" * 12).splitlines()
    assert [line.split(":")[0] for line in lines[:10]] == [f"row {number}" for number in range(2, 12)]
    assert lines[10:] == ["and 2 more"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file has no prices"),
        ("\ufeff\n\n", "the file has no prices"),
        ("start,price\n", "the file has no prices"),
        ("[]", "the file has no prices"),
        ("2026-03-29T01:00Z,0.1\n", "the first line names no column for the start, like start, valid_from"),
        ("[1", "the file is not JSON"),
        ("[" * 100_000, "the file is not JSON"),
        ("[1E+9999999999999999999]", "the file is not JSON"),
        (
            '{"detail": "not found"}',
            "the JSON must be a list of prices, or an object with one under results, ",
        ),
        ("[1]", "row 1: the start is missing"),
        ('[{"start": "2026-03-29T01:00Z", "price": NaN}]', "row 1: the price is 'NaN'"),
        ('[{"start": "2026-03-29T01:00Z", "price": true}]', "row 1: the price is True"),
        ('[{"start": 1774746000, "price": 1}]', "row 1: the start is 1774746000; it must be a time"),
    ],
)
def test_a_file_without_prices_is_refused_with_a_reason(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


# Properties

prices = st.dictionaries(
    st.integers(0, 100_000).map(lambda number: utc("2020-01-01T00:00") + number * HALF_HOUR),
    st.integers(-(10**6), 10**6).map(lambda millionths: Decimal(millionths).scaleb(-6)),
    min_size=1,
    max_size=20,
)


@given(prices, st.integers(), st.booleans())
@examples(50)
def test_order_offset_duplicates_and_format_do_not_matter(
    expected: dict[int, Decimal], seed: int, is_json: bool
) -> None:
    random, rows = Random(seed), []
    for start, price in random.choices(list(expected.items()), k=5) + random.sample(
        list(expected.items()), len(expected)
    ):
        zone = timezone(timedelta(minutes=random.choice([0, 60, -210, 345])))
        rows.append({"start": datetime.fromtimestamp(start, zone).isoformat(), "price": f"{price:f}"})
    file = io.StringIO()
    writer = csv.DictWriter(file, ["start", "price"])
    writer.writeheader()
    writer.writerows(rows)
    found = parse_prices(json.dumps(rows) if is_json else file.getvalue())
    assert found.prices == expected
    assert list(found.prices) == sorted(expected)
    assert found.report.duplicates == 5
    priced = {start for hole in found.report.holes for start in range(*hole, HALF_HOUR)} | set(expected)
    assert priced == set(range(*found.report.span, HALF_HOUR))


cells = st.one_of(
    st.text(max_size=10), st.sampled_from(["start", "price", "end", "2026-03-29T01:00Z", "0.1", "1e5", ""])
)


@given(st.lists(st.lists(cells, max_size=4), max_size=5), st.sampled_from(",;\t"), st.text())
def test_any_text_is_parsed_or_refused(rows: list[list[str]], delimiter: str, text: str) -> None:
    lines = "\n".join(delimiter.join(row) for row in [["start", "price", "end"], *rows])
    for content in (text, lines, f"[{text}", json.dumps([{"start": row, "price": row} for row in rows])):
        try:
            found = parse_prices(content)
        except ConfigurationError:
            continue
        assert found.report.span.start == min(found.prices)
