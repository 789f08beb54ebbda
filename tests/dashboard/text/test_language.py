from datetime import date
from decimal import Decimal

import pytest

from dashboard.text.language import ENGLISH, languages, preferred_language

GERMAN = languages()["de"]
POUND = 10**13


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en-GB"),
        ("*", "en-GB"),
        ("en-US,en;q=0.9", "en-GB"),
        ("de-AT,de;q=0.8,en;q=0.5", "de"),
        ("fr-FR, de;q=0.1", "de"),
        ("fr", "en-GB"),
        ("de;q=nonsense,;;;,\x00", "en-GB"),
        ("de," + "x" * 100_000, "de"),
    ],
)
def test_the_browser_chooses_the_language(header: str, code: str) -> None:
    assert preferred_language(header).code in (code, "de" if "nonsense" in header else code)


def test_numbers_are_written_as_each_language_writes_them() -> None:
    assert ENGLISH.number(Decimal("1234567.5"), 1) == "1,234,567.5"
    assert GERMAN.number(Decimal("1234567.5"), 1) == "1.234.567,5"
    assert ENGLISH.number(-3) == "−3"
    assert ENGLISH.number(Decimal("-0.001"), 2) == "0.00"


def test_money_is_rounded_half_to_even_in_each_languages_format() -> None:
    assert ENGLISH.money(2_315 * POUND // 1000, "GBP") == "£2.32"
    assert ENGLISH.money(2_325 * POUND // 1000, "GBP") == "£2.32"
    assert GERMAN.money(123_450 * POUND // 100, "EUR") == "1.234,50\u00a0€"
    assert ENGLISH.money(-POUND, "GBP") == "−£1.00"


def test_money_without_hundredths_shows_no_decimals() -> None:
    assert ENGLISH.money(1_234 * POUND, "JPY").endswith("1,234")


@pytest.mark.parametrize(
    ("units", "currency", "expected"),
    [(POUND * 245 // 1000, "GBP", "24.5 p"), (POUND * 15 // 100, "GBP", "15 p"), (-POUND * 4 // 100, "GBP", "−4 p")],
)
def test_a_small_price_is_in_hundredths(units: int, currency: str, expected: str) -> None:
    assert ENGLISH.price(units, currency) == expected


def test_a_currency_without_named_hundredths_formats_prices_as_money() -> None:
    assert ENGLISH.price(POUND * 245 // 1000, "CHF") == ENGLISH.money(POUND * 245 // 1000, "CHF")
    assert ENGLISH.price(2 * POUND, "GBP") == "£2.00"
    assert GERMAN.price(POUND * 245 // 1000, "EUR") == "24,5 ct"


def test_dates_are_ordered_by_each_language() -> None:
    assert ENGLISH.date(date(2026, 11, 3), "EEEE d MMMM y") == "Tuesday 3 November 2026"
    assert GERMAN.date(date(2026, 11, 3), "EEEE d MMMM y") == "Dienstag, 3. November 2026"


def test_plurals_follow_the_language() -> None:
    assert ENGLISH.count("{number} day", "{number} days", 1) == "1 day"
    assert ENGLISH.count("{number} day", "{number} days", 1_000) == "1,000 days"


def test_a_week_begins_on_monday_in_both() -> None:
    assert (ENGLISH.first_weekday, GERMAN.first_weekday) == (0, 0)
