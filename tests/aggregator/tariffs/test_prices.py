"""Price files as suppliers publish them: parsed whole or refused."""

import csv
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import Window
from aggregator.tariffs.prices import PriceChoice, parse_prices
from tests.budgets import examples

HALF_HOUR = 1800
BY_FILE, PER_KWH = PriceChoice(), PriceChoice(per=1)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


AT_ONE, HALF_PAST = utc("2026-03-29T01:00"), utc("2026-03-29T01:30")
TWO = {AT_ONE: Decimal("0.1834"), HALF_PAST: Decimal("-0.021")}


def refusal(text: str, choice: PriceChoice = BY_FILE) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_prices(text, choice)
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
    found = parse_prices(answer)
    assert found.prices == {AT_ONE: Decimal("-0.021"), HALF_PAST: Decimal("0.16863")}
    assert found.report.rounded == 0
    without_vat = parse_prices(answer, PriceChoice(vat_included=False)).prices
    assert without_vat == {AT_ONE: Decimal("-0.02"), HALF_PAST: Decimal("0.1606")}


def test_prices_without_vat_are_not_used_as_prices_with_vat() -> None:
    text = "start,end,value_exc_vat\n2026-03-29T01:00Z,2026-03-29T01:30Z,0.17\n"
    assert refusal(text) == "no column is a price, like value inc vat, price, unit rate, rate; name it with --column"
    assert parse_prices(text, PriceChoice(vat_included=False)).prices == {AT_ONE: Decimal("0.17")}


def test_hourly_market_prices_per_mwh_are_parsed() -> None:
    text = "start,end,price\n2026-03-29T00:00Z,2026-03-29T01:00Z,84.37\n2026-03-29T01:00Z,2026-03-29T02:00Z,-3.5\n"
    found = parse_prices(text, PriceChoice(per=1000))
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


# Spans


def held(rows: str, choice: PriceChoice = PER_KWH) -> dict[str, str]:
    """Parse rows of `start,price` or `start,end,price` on 10 November; return prices by half hour, as text."""
    columns = "start,end,price" if rows.split(maxsplit=1)[0].count(",") == 2 else "start,price"
    times = re.sub(r"(\d\d:\d\d)", r"2026-11-10T\1Z", rows)
    prices = parse_prices("\n".join([columns, *times.split()]), choice).prices
    return {datetime.fromtimestamp(start, UTC).strftime("%H:%M"): f"{price:f}" for start, price in prices.items()}


def test_a_price_without_an_end_holds_for_the_step_of_the_file() -> None:
    hourly = held("10:00,0.2 11:00,0.4 12:00,0.1")
    assert hourly == {"10:00": "0.2", "10:30": "0.2", "11:00": "0.4", "11:30": "0.4", "12:00": "0.1", "12:30": "0.1"}


def test_a_price_never_holds_beyond_the_next_start() -> None:
    assert held("08:00,1 09:00,2 10:00,3 10:30,4") == {
        "08:00": "1",
        "08:30": "1",
        "09:00": "2",
        "09:30": "2",
        "10:00": "3",
        "10:30": "4",
        "11:00": "4",
    }


def test_a_hole_in_an_hourly_file_stays_a_hole() -> None:
    found = parse_prices("start,price\n" + "".join(f"2026-11-10T{hour:02}:00Z,0.2\n" for hour in (1, 2, 3, 6, 7)))
    assert found.report.holes == (Window(utc("2026-11-10T04:00"), utc("2026-11-10T06:00")),)


def test_a_daily_price_holds_for_25_hours_where_the_clock_is_put_back() -> None:
    days = ["2026-10-23T00:00+02:00", "2026-10-24T00:00+02:00", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"]
    found = parse_prices("start,price\n" + "".join(f"{day},0.{number}\n" for number, day in enumerate(days, 1)))
    assert Counter(found.prices.values()) == {
        Decimal("0.1"): 48,
        Decimal("0.2"): 48,
        Decimal("0.3"): 50,
        Decimal("0.4"): 48,
    }
    assert found.report.holes == ()


def test_an_open_end_holds_to_the_next_start_and_the_last_one_as_long_as_is_said() -> None:
    rows = "10:00,,0.2 11:00,11:30,0.3 11:30,,0.4"
    choice = PriceChoice(per=1, open_until=utc("2026-11-10T12:30"))
    assert held(rows, choice) == {"10:00": "0.2", "10:30": "0.2", "11:00": "0.3", "11:30": "0.4", "12:00": "0.4"}
    assert held(rows) == {"10:00": "0.2", "10:30": "0.2", "11:00": "0.3"}


def test_one_price_without_an_end_is_refused() -> None:
    assert refusal("start,price\n2026-11-10T10:00Z,0.2\n") == (
        "one price alone does not say how long it holds; add a column `end`"
    )
    assert refusal("start,end,price\n2026-11-10T10:00Z,,0.2\n") == "no price has an end; add a column `end`"


def test_quarter_hours_are_refused_by_name() -> None:
    text = "start,price\n" + "".join(f"2026-11-10T10:{minute:02}:00Z,0.1\n" for minute in (0, 15, 30, 45))
    assert (
        refusal(text).splitlines()[0].endswith("prices of quarter hours cannot be taken yet, only of whole half hours")
    )


# Units


@pytest.mark.parametrize(
    ("header", "price", "per"),
    [
        ("price", "0.2450", 1),
        ("price (p/kWh)", "24.50", 100),
        ("unit rate pence", "24.50", 100),
        ("Preis ct/kWh", "24,50", 100),
        ("spotpris öre", "24.50", 100),
        ("price_GBP_per_kWh", "0.2450", 1),
        ("SEK_per_kWh", "1.2450", 1),
        ("price (EUR/MWh)", "24.50", 1000),
        ("price €/MWh", "0.30", 1000),
    ],
)
def test_the_column_or_the_size_tells_the_unit(header: str, price: str, per: int) -> None:
    rows = "".join(f"2026-11-10T{hour}:00Z;{price}\n" for hour in (10, 11))
    found = parse_prices(f"start;{header}\n{rows}")
    assert found.report.per == per
    assert set(found.prices.values()) == {Decimal(price.replace(",", ".")) / per}


@pytest.mark.parametrize("header", ["price", "price per kWh", "value", "unit_rate"])
@pytest.mark.parametrize("price", ["24.5", "1.5", "140"])
def test_pence_and_market_prices_are_told_apart_by_the_person(header: str, price: str) -> None:
    text = f"start,{header}\n" + "".join(f"2026-11-10T{hour}:00Z,{price}\n" for hour in (10, 11))
    assert refusal(text, PriceChoice(currency="GBP")).endswith("or --per 1 for currency per kWh")
    assert set(parse_prices(text, PriceChoice(per=100)).prices.values()) == {Decimal(price) / 100}


def test_a_price_of_hundreds_is_per_mwh_only_in_a_currency_of_large_units() -> None:
    text = "start,price\n2026-11-10T10:00Z,231.5\n2026-11-10T11:00Z,180\n"
    assert parse_prices(text, PriceChoice(currency="EUR")).report.per == 1000
    assert "say --per 100" in refusal(text, PriceChoice(currency="JPY"))
    assert "say --per 100" in refusal(text)


def test_pounds_in_the_columns_of_a_source_in_pence_are_asked_about() -> None:
    row = {"value_inc_vat": 0.2, "valid_from": "2026-11-10T10:00Z", "valid_to": "2026-11-10T11:00Z"}
    assert "say --per 100" in refusal(json.dumps([row]))


# Sources

TEN, NOON = "2026-11-10T10:00:00Z", utc("2026-11-10T12:00")


def test_hours_of_awattar_are_in_milliseconds_and_euro_per_mwh() -> None:
    start = utc("2026-11-10T10:00") * 1000
    row = {"start_timestamp": start, "end_timestamp": start + 3_600_000, "marketprice": 84.37, "unit": "Eur/MWh"}
    found = parse_prices(json.dumps({"object": "list", "data": [row]}))
    assert found.prices == {utc("2026-11-10T10:00"): Decimal("0.08437"), utc("2026-11-10T10:30"): Decimal("0.08437")}


def test_prices_of_esios_are_euros_per_mwh() -> None:
    values = [
        {"value": price, "datetime": f"2026-03-29T0{hour}:00:00+02:00", "geo_id": 8741, "geo_name": "Península"}
        for hour, price in ((4, 143.2), (5, 9.5))
    ]
    found = parse_prices(json.dumps({"indicator": {"id": 1001, "values": values}}))
    assert [str(price) for price in found.prices.values()] == ["0.1432", "0.1432", "0.0095", "0.0095"]


def test_columns_of_energy_charts_become_rows() -> None:
    hours = [utc("2026-11-10T10:00"), utc("2026-11-10T11:00")]
    found = parse_prices(json.dumps({"unix_seconds": hours, "price": [50.0, -1.5], "unit": "EUR / MWh"}))
    assert list(found.prices.values()) == [Decimal("0.05")] * 2 + [Decimal("-0.0015")] * 2


def test_an_area_of_nord_pool_is_asked_for() -> None:
    entry = {"deliveryStart": TEN, "deliveryEnd": "2026-11-10T11:00:00Z", "entryPerArea": {"SE3": 29.88, "SE4": 31.02}}
    text = json.dumps({"currency": "EUR", "multiAreaEntries": [entry]})
    assert refusal(text) == "the price can be SE3, SE4: say which with --column"
    assert set(parse_prices(text, PriceChoice(column="SE4")).prices.values()) == {Decimal("0.03102")}
    assert refusal(text, PriceChoice(currency="SEK")) == "the prices are in EUR, the tariff is in SEK"


def test_the_parts_of_a_price_of_tibber_are_asked_for() -> None:
    def price(hour: int) -> dict[str, object]:
        start = f"2026-11-10T{hour}:00:00.000+01:00"
        return {"total": 1.25, "energy": 0.9, "tax": 0.35, "startsAt": start, "currency": "NOK", "level": "NORMAL"}

    info = {"today": [price(11), price(12)], "tomorrow": [price(13)]}
    text = json.dumps({"data": {"viewer": {"homes": [{"currentSubscription": {"priceInfo": info}}]}}})
    assert refusal(text) == "the price can be total, energy, tax: say which with --column"
    found = parse_prices(text, PriceChoice(column="total", currency="NOK"))
    assert (len(found.prices), found.report.per, set(found.prices.values())) == (6, 1, {Decimal("1.25")})


def test_the_currency_of_the_tariff_decides_between_two_columns() -> None:
    rows = [
        {"SEK_per_kWh": 0.5, "EUR_per_kWh": 0.04, "EXR": 11.2, "time_start": f"2026-11-10T{hour}:00:00+01:00"}
        for hour in (10, 11)
    ]
    assert refusal(json.dumps(rows)) == "the price can be SEK_per_kWh, EUR_per_kWh: say which with --column"
    assert set(parse_prices(json.dumps(rows), PriceChoice(currency="SEK")).prices.values()) == {Decimal("0.5")}


def test_utc_by_the_name_of_the_column_and_an_area_by_its_value() -> None:
    rows = [
        {"HourUTC": f"2026-11-10T{hour}:00:00", "HourDK": "x", "PriceArea": area, "SpotPriceDKK": price}
        for area, price in (("DK1", 400.0), ("DK2", 500.0))
        for hour in (10, 11)
    ]
    text = json.dumps({"total": 4, "records": rows})
    assert "say with --where 'PriceArea=...' which: DK1 or DK2" in refusal(text)
    found = parse_prices(text, PriceChoice(where={"PriceArea": "dk2"}, currency="DKK"))
    assert list(found.prices) == list(range(utc("2026-11-10T10:00"), NOON, HALF_HOUR))
    assert set(found.prices.values()) == {Decimal("0.5")}
    assert "no row has DK3 in PriceArea; the columns are " in refusal(text, PriceChoice(where={"PriceArea": "DK3"}))


def test_payment_methods_are_asked_for() -> None:
    rows = [
        {
            "value_exc_vat": price,
            "value_inc_vat": price * 2,
            "valid_from": TEN,
            "valid_to": None,
            "payment_method": name,
        }
        for name, price in (("DIRECT_DEBIT", 25), ("NON_DIRECT_DEBIT", 27))
    ]
    text, until = json.dumps({"results": rows}), utc("2026-11-10T11:00")
    asked = "say with --payment-method which: DIRECT_DEBIT or NON_DIRECT_DEBIT"
    refused = refusal(text, PriceChoice(open_until=until))
    assert refused.endswith(asked)
    assert refused.count("two prices") == 1  # however many half hours the two share
    found = parse_prices(text, PriceChoice(where={"payment_method": "NON_DIRECT_DEBIT"}, open_until=until))
    assert (set(found.prices.values()), found.report.is_open) == ({Decimal("0.54")}, True)
    assert found.report.span == Window(utc("2026-11-10T10:00"), until)


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
        ("2026-03-29T01:00Z,1e10", "the price is '1e10'; it must be between -1000000000 and 1000000000"),
    ],
)
def test_a_bad_row_refuses_the_whole_file(row: str, message: str) -> None:
    text = f"start,price\n2026-03-28T01:00Z,0.1\n{row}\n2026-03-28T02:00Z,0.1\n"
    found = refusal(text)
    assert found.startswith("row 3: ")
    assert message in found
    assert "\n" not in found


@pytest.mark.parametrize("end", ["2026-03-29T01:00Z", "2026-03-29T00:30Z", "2056-04-29T01:00Z", "soon"])
def test_an_impossible_end_is_refused(end: str) -> None:
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
        ("2026-03-29T01:00Z,0.1\n", "the first line names no column for the start, like start, valid from"),
        ("[1", "the file is not JSON"),
        ("[" * 100_000, "the file is not JSON"),
        ("[1E+9999999999999999999]", "the file is not JSON"),
        ('{"detail": "not found"}', "the file has no prices"),
        ("[1]", "the file has no prices"),
        ('[{"start": "2026-03-29T01:00Z", "price": 0.1}, {"price": 0.2}]', "row 2: the start is missing; it must be"),
        ('[{"start": "2026-03-29T01:00Z", "price": 0.1}, 1]', "row 2: the start is missing; it must be a time"),
        ('[{"start": "2026-03-29T01:00Z", "price": NaN}]', "row 1: the price is 'NaN'"),
        ('[{"start": "2026-03-29T01:00Z", "price": true}]', "row 1: the price is True"),
        ('[{"start": 1774746000.5, "price": 1}]', "row 1: the start is 1774746000.5; it must be a time"),
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
        begin, end = (datetime.fromtimestamp(second, zone).isoformat() for second in (start, start + HALF_HOUR))
        rows.append({"start": begin, "end": end, "price": f"{price:f}"})
    file = io.StringIO()
    writer = csv.DictWriter(file, ["start", "end", "price"])
    writer.writeheader()
    writer.writerows(rows)
    found = parse_prices(json.dumps(rows) if is_json else file.getvalue(), PriceChoice(per=1))
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


# Files of markets and suppliers

HOURS = [datetime(2026, 11, 10, tzinfo=UTC) + timedelta(hours=place) for place in range(24)]


def table(header: str, price: str, delimiter: str = ";") -> str:
    return "\n".join([header, *(f"{at.isoformat()}{delimiter}{price}" for at in HOURS)])


@pytest.mark.parametrize(
    ("text", "price"),
    [
        (table("Von;Arbeitspreis ct/kWh", "28,2"), "0.282"),
        (table("Tid;Pris (øre/kWh)", "128,2"), "1.282"),
        (table("Delivery Start;SE3 EUR/MWh", "45,30"), "0.0453"),
        (table("start,pence", "15.2", ","), "0.152"),
        (table("Period from, Agile Import price (p/kWh)", "15.2", ","), "0.152"),
        (table("Start,Price GBP/MWh", "0.52", ","), "0.00052"),
    ],
)
def test_a_unit_in_the_name_of_a_column_decides(text: str, price: str) -> None:
    assert set(parse_prices(text).prices.values()) == {Decimal(price)}


def test_a_market_time_unit_has_both_ends_in_one_cell() -> None:
    rows = [f'"{at:%d.%m.%Y %H:%M} - {at + timedelta(hours=1):%d.%m.%Y %H:%M}","45.30","EUR"' for at in HOURS]
    found = parse_prices("\n".join(['"MTU (UTC)","Day-ahead Price [EUR/MWh]","Currency"', *rows]))

    assert (found.report.span.start, len(found.prices)) == (int(HOURS[0].timestamp()), 48)
    assert set(found.prices.values()) == {Decimal("0.0453")}
    assert "has no UTC offset" in refusal(
        "\n".join(['"MTU (CET/CEST)","Price [EUR/MWh]"', *(row[:-6] for row in rows)])
    )


def test_prices_in_two_units_are_asked_about() -> None:
    """One of them names the currency of the tariff, which does not make it the price."""
    text = table("start,spot EUR/MWh,total ct/kWh", "45.3,28", ",")
    assert "the price can be spot EUR/MWh, total ct/kWh" in refusal(text, PriceChoice(currency="EUR"))


@pytest.mark.parametrize("price", ["15.2", "45.3", "120"])
def test_a_price_without_a_unit_is_never_off_by_a_hundred(price: str) -> None:
    assert "say --per 100" in refusal(table("start;price", price), PriceChoice(currency="GBP"))
