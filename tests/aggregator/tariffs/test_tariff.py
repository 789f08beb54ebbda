"""Tariffs: parsing, refusals, and the round trip of the JSON form."""

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aggregator.tariffs.tariff
from aggregator.core.errors import ConfigurationError
from aggregator.tariffs.tariff import (
    HALF_HOURLY,
    HALVES,
    HalfHourly,
    RateWindow,
    Tariff,
    TariffVersion,
    face,
    flat,
    tariff_from_json,
    tariff_from_text,
    tariff_to_json,
)

NIGHT = {"name": "night", "from": "00:30", "to": "07:30", "rate": "0.0850"}
DAY = {"name": "day", "from": "07:30", "to": "00:30", "rate": "0.3012"}
EVERYTHING: dict[str, Any] = {
    "currency": "GBP",
    "versions": [
        {
            "from": "2025-10-01",
            "import": [
                NIGHT,
                DAY | {"days": "weekdays"},
                {"name": "weekend", "from": "07:30", "to": "00:30", "rate": "0.25", "days": "weekends"},
            ],
            "export": "0.15",
            "standing_charge": "0.5310",
            "vat": "0.05",
            "vat_included": False,
        },
        {"from": "2026-04-01", "import": {"half-hourly": "0.1408"}, "export": "half-hourly"},
    ],
}


def clock(half: int) -> str:
    return f"{half // 2:02d}:{half % 2 * 30:02d}"


def version(**fields: object) -> dict[str, Any]:
    return {"currency": "GBP", "versions": [{"from": "2026-04-01", "import": "0.2450"} | fields]}


def refusal(content: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        tariff_from_json(content)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Parsing


def test_a_flat_tariff_is_one_line() -> None:
    text = '{"currency":"GBP","versions":[{"from":"2026-04-01","import":0.2450,"standing_charge":0.5310,"vat":0.05}]}'
    expected = TariffVersion(
        "2026-04-01", flat(Decimal("0.245")), None, Decimal("0.531"), Decimal("0.05"), vat_included=True
    )
    assert tariff_from_text(text) == Tariff("GBP", (expected,))


def test_numbers_in_text_are_exact_not_floats() -> None:
    (found,) = tariff_from_text('{"currency":"GBP","versions":[{"from":"2026-04-01","import":0.100001}]}').versions
    assert found.import_rates == flat(Decimal("0.100001"))


def test_the_full_example_is_parsed() -> None:
    tariff = tariff_from_json(EVERYTHING)
    old, new = tariff.versions
    assert old.import_rates == (
        RateWindow("night", 1, 15, Decimal("0.085"), "all"),
        RateWindow("day", 15, 1, Decimal("0.3012"), "weekdays"),
        RateWindow("weekend", 15, 1, Decimal("0.25"), "weekends"),
    )
    assert old.export_rates == flat(Decimal("0.15"))
    assert (old.standing_charge, old.vat, old.vat_included) == (Decimal("0.531"), Decimal("0.05"), False)
    assert (new.import_rates, new.export_rates) == (HalfHourly(Decimal("0.1408")), HalfHourly())


def test_the_documented_example_is_valid() -> None:
    _, _, example = (aggregator.tariffs.tariff.__doc__ or "").partition("All keys::")
    example = example[: example.index("}]}") + 3]
    without_remarks = re.sub(r"(?<=\S) {2,}.*", "", example)
    assert tariff_from_text(without_remarks) == tariff_from_json(EVERYTHING)


def test_negative_rates_and_standing_charges_are_valid() -> None:
    (found,) = tariff_from_json(version(**{"import": "-0.0210", "standing_charge": "-0.95"})).versions
    assert found.import_rates == flat(Decimal("-0.021"))
    assert found.standing_charge == Decimal("-0.95")


def test_a_window_without_times_lasts_all_day() -> None:
    windows = [{"rate": 1, "days": "weekdays"}, {"rate": 2, "days": "weekends", "from": "00:00", "to": "00:00"}]
    (found,) = tariff_from_json(version(**{"import": windows})).versions
    assert found.import_rates == (
        RateWindow("00:00-24:00", 0, 48, Decimal(1), "weekdays"),
        RateWindow("00:00-24:00", 0, 48, Decimal(2), "weekends"),
    )


def test_a_day_uses_the_last_version_begun() -> None:
    tariff = tariff_from_json(EVERYTHING)
    assert tariff.version_on("2025-09-30") is None
    assert tariff.version_on("2025-10-01") == tariff.versions[0]
    assert tariff.version_on("2026-03-31") == tariff.versions[0]
    assert tariff.version_on("2026-04-01") == tariff.versions[1]
    assert tariff.version_on("2031-01-01") == tariff.versions[1]


def test_a_window_that_crosses_midnight_covers_both_ends_of_the_clock() -> None:
    windows = (RateWindow("late", 46, 2, Decimal(1)), RateWindow("rest", 2, 46, Decimal(2)))
    assert face(windows, "weekdays") == (Decimal(1),) * 2 + (Decimal(2),) * 44 + (Decimal(1),) * 2


# Refusals


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the tariff is []; it must be an object"),
        ({"versions": []}, "currency is missing; it must be a code of ISO 4217 like GBP"),
        ({"currency": "GPB", "versions": []}, "currency is 'GPB'; it must be a code of ISO 4217 like GBP"),
        ({"currency": "GBP"}, "versions is missing; it must be a list of at least one"),
        ({"currency": "GBP", "versions": []}, "versions is []; it must be a list of at least one"),
        ({"currency": "GBP", "rates": 1}, "the tariff has an unknown key 'rates'; the keys are currency, versions"),
        (version(currency="EUR"), "version 1, from 2026-04-01: currency is 'EUR', but the tariff is in GBP"),
        (version(standing=1), "version 1 has an unknown key 'standing'"),
        (version(**{"from": "2026-02-30"}), "version 1: from: '2026-02-30' is not a day; write it like 2026-11-23"),
        (version(**{"from": "1.4.2026"}), "version 1: from: '1.4.2026' is not a day"),
        (version(**{"from": 20260401}), "version 1: from is 20260401; it must be a day like 2026-04-01"),
        (version(**{"from": "٢٠٢٦-04-01"}), "it must be a day like 2026-04-01"),
        (version(**{"from": "0202-04-01"}), "version 1: from: '0202-04-01' is not a day"),
        (version(**{"import": None}), "version 1, from 2026-04-01: import is missing"),
        (version(**{"import": "cheap"}), "import is 'cheap'; it must be a decimal number like 0.2450"),
        (version(**{"import": 0.245}), "import is 0.245; it must be a decimal number"),
        (version(**{"import": True}), "import is True; it must be a decimal number"),
        (version(**{"import": Decimal("NaN")}), "import is NaN; it must be a decimal number"),
        (version(**{"import": "0.2450001"}), "import is 0.2450001; it may have at most 6 decimal places"),
        (version(**{"import": Decimal("1E-999999")}), "it has too many decimal places"),
        (version(**{"import": 1_000_001}), "import is 1000001; it must be between -1000000 and 1000000"),
        (version(**{"import": Decimal("1E+999999")}), "it must be between -1000000 and 1000000"),
        (version(**{"import": 10**5000}), "import is an unprintable int; it must be between"),
        (version(vat="0.05001"), "vat is 0.05001; it may have at most 4 decimal places"),
        (version(vat=20), "version 1, from 2026-04-01: vat is 20; it must be between 0 and 1"),
        (version(vat_included="no"), "vat_included is 'no'; it must be true or false"),
        (version(standing_charge="12p"), "standing_charge is '12p'; it must be a decimal number"),
        (version(export=[DAY]), "export: no window covers weekdays from 00:30 to 07:30"),
        (version(**{"import": []}), "import: no window covers weekdays from 00:00 to 24:00"),
        (
            version(**{"import": [NIGHT, DAY | {"from": "07:00"}]}),
            "version 1, from 2026-04-01: import: windows 'night' and 'day' overlap on weekdays at 07:00",
        ),
        (
            version(**{"import": [NIGHT, DAY | {"days": "weekdays"}]}),
            "import: no window covers weekends from 00:00 to 00:30",
        ),
        (version(**{"import": [NIGHT | {"from": "00:15"}]}), "import window 1: from is '00:15'; it must be a time on"),
        (version(**{"import": [NIGHT | {"to": "7:30"}]}), "import window 1: to is '7:30'; it must be a time on the"),
        (version(**{"import": [NIGHT | {"to": "25:00"}]}), "to is '25:00'; it must be a time on the half hour"),
        (version(**{"import": [NIGHT, DAY | {"to": "07:30"}]}), "import window 2: it is empty, from 07:30 to 07:30"),
        (version(**{"import": [NIGHT | {"from": "24:00"}]}), "import window 1: it is empty, from 24:00 to 07:30"),
        (
            version(**{"import": [NIGHT | {"days": "sunday"}]}),
            "days is 'sunday'; it must be one of all, weekdays, week",
        ),
        (version(**{"import": [NIGHT | {"name": "a\nb"}]}), "name is 'a\\nb'; it must be text of 1 to 40 characters"),
        (version(**{"import": [{"name": "night"}]}), "import window 1: rate is missing; it must be a decimal number"),
        (version(**{"import": ["night"]}), "import window 1 is 'night'; it must be an object"),
    ],
)
def test_an_error_names_its_place(content: object, message: str) -> None:
    assert message in refusal(content)


def test_two_versions_from_one_day_are_refused() -> None:
    rows = version()["versions"] + version(**{"import": 1})["versions"]
    assert refusal({"currency": "GBP", "versions": rows}) == "two versions begin on 2026-04-01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the tariff is not JSON"),
        ("[" * 100_000, "the tariff is not JSON"),
        ('{"currency": NaN}', "NaN is not a JSON number"),
        ('{"currency": "GBP", "currency": "EUR"}', "the key 'currency' occurs twice in one object"),
        ('{"currency": 1E+9999999999999999999}', "the tariff is not JSON"),
        (f'{{"currency": {"9" * 5000}}}', "the tariff is not JSON"),
    ],
)
def test_invalid_json_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tariff_from_text(text)


# Properties

rates = st.integers(-(10**9), 10**9).map(lambda millionths: Decimal(millionths).scaleb(-6))
days = st.dates(date(1970, 1, 1), date(2199, 12, 31))


@st.composite
def windows(draw: st.DrawFn, kind: str) -> list[dict[str, Any]]:
    cuts = sorted(draw(st.sets(st.integers(0, HALVES - 1), min_size=2, max_size=6)))
    spans = zip(cuts, [*cuts[1:], cuts[0]], strict=True)
    return [{"from": clock(a), "to": clock(b), "rate": draw(rates), "days": kind} for a, b in spans]


schedules = st.one_of(
    rates,
    st.just(HALF_HOURLY),
    rates.map(lambda plus: {HALF_HOURLY: plus}),
    windows("all"),
    st.tuples(windows("weekdays"), windows("weekends")).map(lambda both: both[0] + both[1]),
)
versions: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"from": days.map(str), "import": schedules},
    optional={
        "export": st.one_of(st.none(), schedules),
        "standing_charge": rates,
        "vat": st.integers(0, 10_000).map(lambda share: Decimal(share).scaleb(-4)),
        "vat_included": st.booleans(),
    },
)
histories = st.lists(versions, min_size=1, max_size=3, unique_by=lambda row: str(row["from"]))
tariffs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"currency": st.sampled_from(["GBP", "EUR", "JPY"]), "versions": histories}
)
keys = st.sampled_from(
    ["currency", "versions", "from", "to", "import", "export", "standing_charge", "vat", "vat_included", "rate", "days"]
)
anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.decimals(),
        st.text(max_size=12),
        st.sampled_from(["GBP", "2026-04-01", "07:30", HALF_HOURLY, "weekdays"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(keys, st.text()), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    is_list = isinstance(content, list)
    inside: Iterable[tuple[Any, Any]] = (
        content.items() if isinstance(content, dict) else enumerate(content) if is_list else ()
    )
    return [place for key, value in inside for place in ((*path, key), *places(value, (*path, key)))]


def table(found: TariffVersion, kind: str) -> object:
    return found.import_rates if isinstance(found.import_rates, HalfHourly) else face(found.import_rates, kind)


@given(tariffs)
def test_the_json_form_round_trips_through_a_float_parser(content: dict[str, Any]) -> None:
    tariff = tariff_from_json(content)
    wire = tariff_to_json(tariff)
    assert tariff_from_json(orjson.loads(orjson.dumps(wire))) == tariff
    assert tariff_from_text(json.dumps(wire)) == tariff
    assert tariff_to_json(tariff_from_json(wire)) == wire


def test_a_single_window_keeps_its_name() -> None:
    tariff = tariff_from_json(version(**{"import": [{"name": "all day", "rate": "0.25"}]}))
    assert tariff_from_json(tariff_to_json(tariff)) == tariff


@given(tariffs, st.integers())
def test_the_order_of_versions_and_windows_does_not_matter(content: dict[str, Any], seed: int) -> None:
    mixed, random = deepcopy(content), Random(seed)
    random.shuffle(mixed["versions"])
    for row in mixed["versions"]:
        if isinstance(row["import"], list):
            random.shuffle(row["import"])
    for one, other in zip(tariff_from_json(content).versions, tariff_from_json(mixed).versions, strict=True):
        assert one.valid_from == other.valid_from
        for kind in ("weekdays", "weekends"):
            assert table(one, kind) == table(other, kind)


@given(anything)
def test_any_json_is_parsed_or_refused(content: object) -> None:
    read_or_refuse(content)


@given(tariffs, st.data())
def test_a_mutated_tariff_is_parsed_or_refused(content: dict[str, Any], data: st.DataObject) -> None:
    inner: Any = content
    *path, last = data.draw(st.sampled_from(places(content)))
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(anything)
    read_or_refuse(content)


@given(st.one_of(st.text(), anything.map(lambda content: json.dumps(content, default=str))))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        found = tariff_from_text(text)
    except ConfigurationError:
        return
    assert tariff_from_text(json.dumps(tariff_to_json(found))) == found


def read_or_refuse(content: object) -> None:
    message = ""
    try:
        tariff = tariff_from_json(content)
    except ConfigurationError as error:
        message = str(error)
    else:
        assert tariff_from_json(tariff_to_json(tariff)) == tariff
    assert "\n" not in message
    assert len(message) < 400
