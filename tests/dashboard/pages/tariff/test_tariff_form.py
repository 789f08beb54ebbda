from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.core.money import plain
from aggregator.tariffs.tariff import Tariff, flat, tariff_from_json
from dashboard.pages.tariff.tariff_fields import (
    MOST_ROWS,
    MOST_VERSIONS,
    Fields,
    Pricing,
    RateRow,
    TooMuch,
    Version,
    after,
    fields_of,
    first_fields,
    sent_fields,
    trial_fields,
)
from dashboard.pages.tariff.tariff_form import check
from dashboard.text.language import Language, languages

ENGLISH, GERMAN = languages()["en"], languages()["de"]
FLAT = Version("2026-04-01", Pricing("flat", "24.5"), standing_charge="53.1")
NIGHT_AND_DAY = (RateRow("Night", "00:30", "05:30", "all", "8.5"), RateRow("Day", "05:30", "00:30", "all", "28.9"))


def fields(*versions: Version, currency: str = "GBP") -> Fields:
    return Fields(currency, currency, versions)


def windows(*rows: RateRow) -> Fields:
    return fields(replace(FLAT, imported=Pricing("windows", rows=rows)))


def faults(form: Fields, language: Language = ENGLISH) -> dict[str, str]:
    return {fault.control: fault.sentence for fault in check(form, language).faults}


def tariff(form: Fields, language: Language = ENGLISH) -> Tariff:
    found = check(form, language)
    assert found.faults == []
    assert found.tariff is not None
    return found.tariff


RATES = st.integers(-(10**11), 10**11).map(lambda number: plain(number, 6, 0))


@st.composite
def pricings(draw: st.DrawFn) -> object:
    kind = draw(st.sampled_from(["flat", "windows", "half-hourly", "half-hourly plus"]))
    if kind == "flat":
        return draw(RATES)
    if kind == "half-hourly":
        return kind
    if kind == "half-hourly plus":
        return {"half-hourly": draw(RATES)}
    cut = draw(st.integers(1, 47))
    time = f"{cut // 2:02d}:{cut % 2 * 30:02d}"
    days = draw(st.sampled_from([("all",), ("weekdays", "weekends")]))
    rows = [{"from": time, "to": "00:00", "rate": draw(RATES), "days": kind} for kind in days]
    return [{"name": draw(st.sampled_from(["Night", "HT", "“Öko” <b>"])), "to": time, "rate": draw(RATES)}, *rows]


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    days = draw(st.lists(st.dates(), min_size=1, max_size=3, unique=True))
    versions = [
        {
            "from": f"{2000 + day.year % 100}-{day.month:02d}-{min(day.day, 28):02d}",
            "import": draw(pricings()),
            "export": draw(st.one_of(st.none(), pricings())),
            "standing_charge": draw(RATES),
            "vat": plain(draw(st.integers(0, 10**4)), 4, 0),
            "vat_included": draw(st.booleans()),
        }
        for day in days
    ]
    unique = {version["from"]: version for version in versions}
    currency = draw(st.sampled_from(["GBP", "EUR", "SEK", "JPY"]))
    return tariff_from_json({"currency": currency, "versions": list(unique.values())})


@given(tariffs(), st.sampled_from([ENGLISH, GERMAN]))
def test_a_tariff_survives_the_form_exactly(one: Tariff, language: Language) -> None:
    assert check(fields_of(one, language), language) == (one, [])


def test_prices_are_typed_in_pence_cents_or_the_currency() -> None:
    for currency, rate in (("GBP", "0.245"), ("EUR", "0.245"), ("SEK", "24.5")):
        version = tariff(fields(FLAT, currency=currency)).versions[0]
        assert (
            version.import_rates
            == tariff_from_json({"currency": currency, "versions": [{"from": "2026-04-01", "import": rate}]})
            .versions[0]
            .import_rates
        )


@pytest.mark.parametrize(
    ("typed", "language", "rate"),
    [
        ("24.5", ENGLISH, "0.245"),
        (" 24.5 p", ENGLISH, "0.245"),
        (".1234", ENGLISH, "0.001234"),
        ("−4", ENGLISH, "-0.04"),
        ("0", ENGLISH, "0"),
        ("24,5", GERMAN, "0.245"),
        ("24.5", GERMAN, "0.245"),
        ("24,5 ct", GERMAN, "0.245"),
    ],
)
def test_numbers_are_parsed_in_every_usual_spelling(typed: str, language: Language, rate: str) -> None:
    found = tariff(fields(replace(FLAT, imported=Pricing("flat", typed))), language)
    assert found.versions[0].import_rates == flat(Decimal(rate))


@pytest.mark.parametrize(
    ("typed", "language", "sentence"),
    [
        ("", ENGLISH, "Enter a number; 0 if it costs and earns nothing."),
        ("eight", ENGLISH, "“eight” is not a number. Write it like 24.5."),
        ("24,5", ENGLISH, "“24,5” is not a number. Write it like 24.5."),
        ("1.234,5", GERMAN, "„1.234,5“ ist keine Zahl. Schreiben Sie sie wie 24,5."),
        ("NaN", ENGLISH, "“NaN” is not a number. Write it like 24.5."),
        ("1e9", ENGLISH, "“1e9” is not a number. Write it like 24.5."),
        ("9" * 13, ENGLISH, "“9999999999999” is not a number. Write it like 24.5."),
        ("100000001", ENGLISH, "This must lie between −100,000,000 and 100,000,000."),
        ("8.12345", ENGLISH, "This may have 4 decimal places."),
    ],
)
def test_an_invalid_price_is_explained(typed: str, language: Language, sentence: str) -> None:
    assert faults(fields(replace(FLAT, imported=Pricing("flat", typed))), language) == {"v0-import-rate": sentence}


def test_an_empty_standing_charge_is_zero() -> None:
    assert tariff(fields(replace(FLAT, standing_charge=""))).versions[0].standing_charge == 0


def test_all_faults_are_reported_at_once_by_control() -> None:
    version = Version("2026-02-30", Pricing("flat", "x"), Pricing("flat", ""), "1.2345678", "101", vat_included=False)
    assert faults(fields(version, currency="XXX")).keys() == {
        "currency",
        "v0-from",
        "v0-import-rate",
        "v0-export-rate",
        "v0-standing",
        "v0-vat",
    }


def test_unselected_fields_are_not_checked() -> None:
    idle = Pricing("flat", "24.5", rows=(RateRow(rate="nonsense"),))
    version = Version("2026-04-01", idle, Pricing("none", "nonsense"), vat="nonsense")
    assert tariff(fields(version)).versions[0].export_rates is None


@pytest.mark.parametrize(
    ("rows", "control", "sentence"),
    [
        (
            [RateRow("", "00:30", "07:00", "all", "8"), RateRow("", "05:30", "00:30", "all", "28")],
            "v0-import-1-from",
            "Rows 1 and 2 both hold from 05:30 to 07:00.",
        ),
        (
            [RateRow("", "00:30", "05:30", "all", "8"), RateRow("", "07:00", "00:30", "all", "28")],
            "v0-import-0-from",
            "There is no price from 05:30 to 07:00.",
        ),
        (
            [RateRow("", "00:00", "05:30", "all", "8"), RateRow("", "05:30", "24:00", "weekdays", "28")],
            "v0-import-0-from",
            "There is no price from 05:30 to 24:00 at weekends.",
        ),
        (
            [RateRow("", "00:00", "24:00", "all", "8"), RateRow("", "17:00", "19:00", "weekdays", "28")],
            "v0-import-1-from",
            "Rows 1 and 2 both hold from 17:00 to 19:00, Monday to Friday.",
        ),
        (
            [RateRow("", "07:00", "07:00", "all", "8")],
            "v0-import-0-to",
            "From 07:00 to 07:00 there is no time. Choose another end.",
        ),
        (
            [RateRow("", "07:15", "24:00", "all", "8")],
            "v0-import-0-to",
            "From 07:15 to 24:00 there is no time. Choose another end.",
        ),
    ],
)
def test_overlaps_and_holes_are_named(rows: list[RateRow], control: str, sentence: str) -> None:
    assert faults(windows(*rows)) == {control: sentence}


def test_all_holes_and_overlaps_of_a_week_are_reported() -> None:
    form = windows(RateRow("", "00:30", "06:30", "all", "8"), RateRow("", "05:30", "00:30", "weekdays", "28"))
    assert [fault.sentence for fault in check(form, ENGLISH).faults] == [
        "Rows 1 and 2 both hold from 05:30 to 06:30, Monday to Friday.",
        "There is no price from 00:00 to 00:30 at weekends.",
        "There is no price from 06:30 to 24:00 at weekends.",
    ]


def test_a_time_may_cross_midnight_and_end_at_it() -> None:
    assert check(windows(*NIGHT_AND_DAY), ENGLISH).faults == []
    ends = windows(RateRow("", "00:00", "12:00", "all", "1"), RateRow("", "12:00", "00:00", "all", "2"))
    assert check(ends, ENGLISH).faults == []


@pytest.mark.parametrize("name", ["n" * 41, "two\nlines"])
def test_a_name_is_short_and_on_one_line(name: str) -> None:
    form = windows(replace(NIGHT_AND_DAY[0], name=name), NIGHT_AND_DAY[1])
    assert faults(form) == {"v0-import-0-name": "A name has at most 40 letters, all on one line."}


def test_two_versions_on_one_day_are_faults_of_both() -> None:
    sentence = "Two price lists begin on 1 April 2026. Give one of them another day."
    assert faults(fields(FLAT, FLAT)) == {"v0-from": sentence, "v1-from": sentence}


@pytest.mark.parametrize(("typed", "sentence"), [("", "Choose the first day"), ("1969-12-31", "“1969-12-31” is not")])
def test_a_version_needs_a_first_day(typed: str, sentence: str) -> None:
    assert faults(fields(replace(FLAT, valid_from=typed)))["v0-from"].startswith(sentence)


def test_a_changed_unit_asks_for_another_check() -> None:
    form = Fields("SEK", "GBP", (FLAT,))
    assert faults(form) == {"currency": "Prices are now in SEK per kWh. Check each of them, then go on."}
    assert faults(replace(form, written_in="SEK")) == {}
    assert faults(replace(form, currency="EUR")) == {}  # pence and cents are typed alike


def test_faults_found_by_the_tariff_parser_are_reported() -> None:
    unknown = replace(FLAT, imported=Pricing("windows", rows=(RateRow("\u2028", "00:00", "24:00", "all", "8"),)))
    assert list(faults(fields(unknown))) == ["v0-import-0-name"]
    blank = replace(FLAT, imported=Pricing("windows", rows=(RateRow(" ", "00:00", "24:00", "all", "8"),)))
    assert faults(fields(blank))["v0-from"].startswith("This tariff cannot be kept: version 1")


def test_a_form_without_versions_is_no_tariff() -> None:
    assert check(fields(), ENGLISH) == (None, [])


def test_new_prices_begin_as_the_newest_and_without_a_day() -> None:
    added = after(fields(FLAT), "add")
    assert added.versions == (replace(FLAT, valid_from=""), FLAT)
    assert after(fields(), "add").versions == (Version(),)


def test_a_version_and_a_row_can_be_added_and_removed() -> None:
    form = fields(FLAT, replace(FLAT, valid_from="2025-04-01", exported=Pricing("windows", rows=NIGHT_AND_DAY)))
    assert [version.valid_from for version in after(form, "remove-0").versions] == ["2025-04-01"]
    longer = after(form, "add-1-export").versions[1].exported.rows
    assert longer == (*NIGHT_AND_DAY, RateRow(start="00:30"))
    assert after(form, "remove-1-export-0").versions[1].exported.rows == NIGHT_AND_DAY[1:]
    assert after(form, "add-1-export").versions[0] == FLAT


@pytest.mark.parametrize(
    "action",
    ["", "remove", "remove-2", "remove-x", "remove--1", "add-9-import", "add-0-heat", "remove-0-import-7", "sort-0"],
)
def test_an_unknown_button_does_nothing(action: str) -> None:
    form = fields(FLAT)
    assert after(form, action) == form


def test_the_last_row_stays_and_rows_are_limited() -> None:
    single = windows(NIGHT_AND_DAY[0])
    assert after(single, "remove-0-import-0") == single
    full = windows(*NIGHT_AND_DAY * (MOST_ROWS // 2))
    assert after(full, "add-0-import") == full
    many = fields(*(FLAT,) * MOST_VERSIONS)
    assert after(many, "add") == many


@pytest.mark.parametrize("days", [("2020-01-01",), ("2026-10-01", "2026-02-01", "2020-01-01")])
def test_a_trial_has_the_newest_prices_since_its_day_and_the_former_before(days: tuple[str, ...]) -> None:
    form = fields(*(replace(FLAT, valid_from=day, vat=day) for day in days))
    tried = trial_fields(form, "2025-11-24").versions
    assert [(one.valid_from, one.vat) for one in tried] == [("2025-11-24", days[0]), ("2020-01-01", "2020-01-01")]


def test_too_many_versions_or_rows_are_refused() -> None:
    versions = {f"v{number}-from": "" for number in range(MOST_VERSIONS + 1)}
    with pytest.raises(TooMuch):
        sent_fields(versions)
    rows = {f"v0-import-{number}-rate": "" for number in range(MOST_ROWS + 1)}
    with pytest.raises(TooMuch):
        sent_fields({"v0-from": "", **rows})


def test_missing_and_invented_fields_are_tolerated() -> None:
    form = sent_fields({"v0-from": " 2026-04-01 ", "v0-import": "stolen", "v2-from": "2026-01-01"})
    assert [version.valid_from for version in form.versions] == ["2026-04-01"]
    assert form.versions[0].imported.kind == "flat"
    assert "v0-import-rate" in faults(form)


def test_the_first_form_asks_for_little() -> None:
    form = first_fields("2025-10-14", "GBP")
    assert faults(form).keys() == {"v0-import-rate"}
