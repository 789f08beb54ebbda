"""Languages: sentences, numbers, money and dates in each. Pure.

The English sentence is the key of its translation, as in gettext. `text` marks a sentence that a table keeps before it
is translated; tests/dashboard/text/test_languages.py finds each marked sentence and requires it in every catalogue.
`preferred_language` picks the language for a browser. The catalogues are in catalogues/.
"""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import TypeVar

from babel import Locale
from babel.dates import format_date
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_currency, get_currency_symbol, get_decimal_symbol, get_group_symbol
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from aggregator.core.errors import Phrase
from aggregator.core.money import UNIT_PLACES

T = TypeVar("T", bound=Callable[..., str])

MINOR = {"GBP": "p", "EUR": "ct"}  # names of the hundredths, for small prices
_cached: Callable[[T], T] = lru_cache(maxsize=8192)  # type: ignore[assignment]


def text(sentence: str) -> str:
    """Return the sentence unchanged; marks it for translation."""
    return sentence


class Language:
    """One language of the pages."""

    def __init__(self, code: str, catalogue: NullTranslations) -> None:
        self.code = code  # BCP 47, for the page's lang attribute
        self.locale = Locale.parse(code, sep="-")
        self._catalogue = catalogue
        symbols = {",": get_group_symbol(self.locale), ".": get_decimal_symbol(self.locale), "-": "−"}
        self._symbols = str.maketrans(symbols)

    def __repr__(self) -> str:
        return f"Language({self.code!r})"

    @property
    def first_weekday(self) -> int:
        """The first day of a week; 0 is Monday."""
        return int(self.locale.first_week_day)

    def say(self, sentence: str, /, **values: object) -> str:
        """Return the translated sentence with its values filled in."""
        return self._catalogue.gettext(sentence).format(**values)

    def tell(self, sentence: object) -> object:
        """Return a `Phrase` in this language, its values too; other values unchanged."""
        if not isinstance(sentence, Phrase):
            return sentence
        return self.say(sentence.template, **{name: self.tell(value) for name, value in sentence.values.items()})

    def count(self, one: str, many: str, number: int, /, **values: object) -> str:
        """Return the translated singular or plural; `{number}` stands for the number."""
        form = self._catalogue.ngettext(one, many, number)
        return form.format(number=self.number(number), **values)

    def number(self, value: int | Decimal, places: int = 0) -> str:
        """Return a number rounded half to even, with grouped thousands."""
        rounded = round(Decimal(value), places) + 0  # without the sign of a negative zero
        return self.notation(f"{rounded:,.{places}f}")

    def notation(self, number: str) -> str:
        """Return a number, given as `1,234.5`, in the notation of the language."""
        return number.translate(self._symbols)

    def money(self, units: int, currency: str) -> str:
        """Return an amount, given in units of 10^-13: `£2.31`."""
        return _money(units, currency, self.locale)

    def round_money(self, units: int, currency: str) -> str:
        """Return an estimated amount without hundredths: `£64`."""
        return _money(units, currency, self.locale, is_round=True)

    def price(self, units: int, currency: str) -> str:
        """Return a small amount in hundredths: `24.5 p`. Large amounts and other currencies are as `money`."""
        minor = MINOR.get(currency)
        if minor is None or abs(units) >= 10**UNIT_PLACES:
            return self.money(units, currency)
        value = Decimal(units).scaleb(2 - UNIT_PLACES)
        return f"{self.number(value, 1).removesuffix(self.number(0, 1)[1:])} {minor}"

    def symbol(self, currency: str) -> str:
        """Return the symbol of a currency: `£`."""
        return str(get_currency_symbol(currency, locale=self.locale))

    def date(self, day: date, pattern: str) -> str:
        """Return a date in a CLDR pattern; each language translates the pattern."""
        return _date(date(day.year, day.month, day.day), self._catalogue.gettext(pattern), self.locale)


@_cached
def _money(units: int, currency: str, locale: Locale, is_round: bool = False) -> str:
    pattern = locale.currency_formats["standard"].pattern
    amount = format_currency(
        Decimal(units).scaleb(-UNIT_PLACES),
        currency,
        pattern.replace(".00", "") if is_round else None,
        locale=locale,
        currency_digits=not is_round,
    )
    return str(amount).replace("-", "−")


@_cached
def _date(day: date, pattern: str, locale: Locale) -> str:
    return str(format_date(day, pattern, locale=locale))


# The languages

CATALOGUES = ("de",)
ENGLISH = Language("en-GB", NullTranslations())


@lru_cache(maxsize=1)
def languages() -> dict[str, Language]:
    """Return every language by its code."""
    return {"en": ENGLISH, **{code: Language(code, catalogue(code)) for code in CATALOGUES}}


def catalogue(code: str) -> NullTranslations:
    """Return the translations of one language, from its PO file."""
    compiled = BytesIO()
    with (files("dashboard.text") / "catalogues" / f"{code}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@lru_cache(maxsize=1024)
def preferred_language(accept_language: str) -> Language:
    """Return the best language for an Accept-Language header; English if none matches."""
    wanted = parse_accept_header(accept_language[:200], LanguageAccept)
    known = languages()
    return known[wanted.best_match(known, default="en") or "en"]
