"""The check of the tariff form: it returns a tariff, or every fault in the household's words. Pure.

`aggregator.tariffs.tariff` makes the same checks for authors of JSON, but stops at the first fault. It also checks each
form that passes here, so it has the last word.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from babel.numbers import get_decimal_symbol

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.money import MOST, RATE_PLACES, VAT_PLACES
from aggregator.tariffs.tariff import (
    CURRENCIES,
    DAYS,
    FLAT,
    HALF_HOURLY,
    HALVES,
    RateWindow,
    Tariff,
    clock,
    tariff_from_json,
)
from dashboard.pages.tariff.tariff_fields import NONE, Fields, Pricing, RateRow, Version, in_hundredths, number_text
from dashboard.pages.tariff.tariff_preview import DAY, unit_of_energy
from dashboard.text.language import Language, text

_NUMBER = re.compile(r"[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})", re.ASCII)
_CLOCK = {clock(half): half for half in range(HALVES + 1)}
_UNITS = ("p", "ct", "c", "%")  # units that people type after a number
_LONGEST_NAME = 40
_EVERY_DAY = frozenset(DAYS["all"])
_OVERLAPS = {
    _EVERY_DAY: text("Rows {one} and {other} both hold from {start} to {end}."),
    frozenset({"weekdays"}): text("Rows {one} and {other} both hold from {start} to {end}, Monday to Friday."),
    frozenset({"weekends"}): text("Rows {one} and {other} both hold from {start} to {end} at weekends."),
}
_HOLES = {
    _EVERY_DAY: text("There is no price from {start} to {end}."),
    frozenset({"weekdays"}): text("There is no price from {start} to {end}, Monday to Friday."),
    frozenset({"weekends"}): text("There is no price from {start} to {end} at weekends."),
}


class FormFault(NamedTuple):
    """A fault, and the control that can correct it."""

    control: str
    sentence: str


class Checked(NamedTuple):
    """The result of a check. A form without faults gives a tariff; a form without versions gives None."""

    tariff: Tariff | None
    faults: list[FormFault]


def check(fields: Fields, language: Language) -> Checked:
    """Return the tariff of a form, or all its faults in the order of the controls."""
    checker = _Checker(fields, language)
    versions = checker.versions()
    if checker.faults or not versions:
        return Checked(None, checker.faults)
    try:
        return Checked(tariff_from_json({"currency": fields.currency, "versions": versions}), [])
    except ConfigurationError as error:
        sentence = language.say("This tariff cannot be kept: {reason}", reason=str(error))
        return Checked(None, [FormFault("v0-from", sentence)])


class _Checker:
    """Walks a form and collects the faults; the value returned for a faulty field is not used."""

    def __init__(self, fields: Fields, language: Language) -> None:
        self._fields, self._language = fields, language
        self._is_minor = in_hundredths(fields.currency)
        self.faults: list[FormFault] = []

    def _fault(self, control: str, sentence: str, **values: object) -> None:
        self.faults.append(FormFault(control, self._language.say(sentence, **values)))

    def versions(self) -> list[dict[str, object]]:
        """Return the JSON form of every version."""
        self._currency()
        return [self._version(version, f"v{number}") for number, version in enumerate(self._fields.versions)]

    def _currency(self) -> None:
        currency, before = self._fields.currency, self._fields.written_in
        if currency not in CURRENCIES:
            self._fault("currency", text("Choose a currency."))
        elif before in CURRENCIES and in_hundredths(before) != self._is_minor:
            unit = unit_of_energy(currency, self._language)
            self._fault("currency", text("Prices are now in {unit}. Check each of them, then go on."), unit=unit)

    def _version(self, version: Version, place: str) -> dict[str, object]:
        content: dict[str, object] = {
            "from": self._day(version.valid_from, f"{place}-from"),
            "import": self._pricing(version.imported, f"{place}-import"),
            "export": self._pricing(version.exported, f"{place}-export"),
            "standing_charge": self._price(version.standing_charge or "0", f"{place}-standing"),
            "vat_included": version.vat_included,
        }
        if version.vat or not version.vat_included:
            content["vat"] = self._vat(version, f"{place}-vat")
        return content

    def _day(self, typed: str, control: str) -> str:
        if not typed:
            self._fault(control, text("Choose the first day of these prices."))
            return ""
        try:
            day = periods.check_period("day", typed if typed.isascii() else "")
        except ConfigurationError:
            self._fault(control, text("“{typed}” is not a date between 1970 and 2199."), typed=typed[:20])
            return ""
        if sum(version.valid_from == day for version in self._fields.versions) > 1:
            day_name = self._language.date(date.fromisoformat(day), DAY)
            self._fault(control, text("Two price lists begin on {day}. Give one of them another day."), day=day_name)
        return day

    def _pricing(self, pricing: Pricing, place: str) -> object:
        if pricing.kind == NONE:
            return None
        if pricing.kind == HALF_HOURLY:
            return {HALF_HOURLY: self._price(pricing.plus or "0", f"{place}-plus")}
        if pricing.kind == FLAT:
            return self._price(pricing.rate, f"{place}-rate")
        content, windows = [], []
        for number, row in enumerate(pricing.rows):
            content.append(self._row(row, f"{place}-{number}"))
            windows.append(_window(row))
        known = [window for window in windows if window]
        if len(known) == len(windows):
            self.faults += [
                FormFault(f"{place}-{number}-from", self._language.say(sentence, **values))
                for number, sentence, values in week_faults(known)
            ]
        return content

    def _row(self, row: RateRow, place: str) -> dict[str, object]:
        if len(row.name) > _LONGEST_NAME or not row.name.isprintable():
            most = _LONGEST_NAME
            self._fault(f"{place}-name", text("A name has at most {most} letters, all on one line."), most=most)
        if _window(row) is None:
            sentence = text("From {start} to {end} there is no time. Choose another end.")
            self._fault(f"{place}-to", sentence, start=row.start[:5], end=row.end[:5])
        content = {"from": row.start, "to": row.end, "days": row.days, "rate": self._price(row.rate, f"{place}-rate")}
        return content | ({"name": row.name} if row.name else {})

    def _price(self, typed: str, control: str) -> Decimal:
        """Return an amount of the currency, typed in hundredths where `in_hundredths`."""
        shift = 2 if self._is_minor else 0
        return self._number(typed, control, RATE_PLACES - shift, (-MOST * 10**shift, MOST * 10**shift)).scaleb(-shift)

    def _vat(self, version: Version, control: str) -> Decimal:
        """Return the VAT share, typed in per cent."""
        is_idle = version.vat_included and _parse_number(version.vat, self._language) is None  # no price depends on it
        return self._number("0" if is_idle else version.vat, control, VAT_PLACES - 2, (0, 100)).scaleb(-2)

    def _number(self, typed: str, control: str, places: int, bounds: tuple[int, int]) -> Decimal:
        number = _parse_number(typed, self._language)
        wrong = _wrong(typed, number, places, bounds, self._language)
        if wrong:
            self._fault(control, wrong[0], **wrong[1])
        return Decimal(0) if wrong or number is None else number


def _wrong(
    typed: str, number: Decimal | None, places: int, bounds: tuple[int, int], language: Language
) -> tuple[str, dict[str, object]] | None:
    """Return the fault of a number: the sentence and its values."""
    least, most = bounds
    if not typed:
        return text("Enter a number; 0 if it costs and earns nothing."), {}
    if number is None:
        example = number_text(Decimal("24.5"), language)
        values: dict[str, object] = {"typed": typed[:20], "example": example}
        return text("“{typed}” is not a number. Write it like {example}."), values
    if not least <= number <= most:
        ends: dict[str, object] = {"least": language.number(least), "most": language.number(most)}
        return text("This must lie between {least} and {most}."), ends
    if -int(number.normalize().as_tuple().exponent) > places:
        return text("This may have {places} decimal places."), {"places": places}
    return None


def week_faults(windows: Sequence[RateWindow]) -> Iterator[tuple[int, str, dict[str, object]]]:
    """Yield every hole and overlap of a week: the row to correct, the sentence and its values."""
    spans: dict[tuple[tuple[int, ...], int, int], set[str]] = defaultdict(set)
    for kind in DAYS["all"]:
        owners = _owners(windows, kind)
        for rows, group in groupby(range(HALVES), key=owners.__getitem__):
            halves = list(group)
            if len(rows) != 1:
                spans[rows, halves[0], halves[-1] + 1].add(kind)
    for (rows, start, end), kinds in spans.items():
        times: dict[str, object] = {"start": clock(start), "end": clock(end)}
        if rows:
            yield rows[1], _OVERLAPS[frozenset(kinds)], {"one": rows[0] + 1, "other": rows[1] + 1, **times}
        else:
            yield 0, _HOLES[frozenset(kinds)], times


def _owners(windows: Sequence[RateWindow], kind: str) -> list[tuple[int, ...]]:
    """Return the rows that hold at each half hour of the clock."""
    holds = [set(window.halves) if kind in DAYS[window.days] else set() for window in windows]
    return [tuple(number for number, halves in enumerate(holds) if half in halves) for half in range(HALVES)]


def _window(row: RateRow) -> RateWindow | None:
    """Return the times of a row; None if it has none."""
    start, end = _CLOCK.get(row.start, HALVES), _CLOCK.get(row.end, -1) or HALVES
    if start == HALVES or end in (-1, start) or row.days not in DAYS:
        return None
    return RateWindow(row.name, start, end, Decimal(0), row.days)


def _parse_number(typed: str, language: Language) -> Decimal | None:
    """Parse a typed number with the language's decimal sign and an optional unit; None if invalid."""
    bare = "".join(typed.split()).replace("−", "-")
    bare = next((bare.removesuffix(unit) for unit in _UNITS if bare.endswith(unit)), bare)
    if get_decimal_symbol(locale=language.locale) == "," and "." not in bare:
        bare = bare.replace(",", ".", 1)
    return Decimal(bare) if _NUMBER.fullmatch(bare) else None
