"""The fields of the tariff form as text: from a tariff, from a browser, and after a button. Pure.

A control's name is its place: `v0-from` is the first day of the top version, `v0-import` the kind of its import prices,
`v0-import-2-rate` the rate of the third row of its times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar

from babel.numbers import get_decimal_symbol

from aggregator.core.errors import WattfallError
from aggregator.core.money import RATE_PLACES, plain, scaled
from aggregator.tariffs.tariff import (
    FLAT,
    HALF_HOURLY,
    HALVES,
    HalfHourly,
    Rates,
    RateWindow,
    Tariff,
    TariffVersion,
    clock,
    flat,
)
from dashboard.text.language import MINOR, Language

MOST_VERSIONS = 50
MOST_ROWS = 20
NONE, WINDOWS = "none", "windows"
KINDS = {"import": (FLAT, WINDOWS, HALF_HOURLY), "export": (NONE, FLAT, WINDOWS, HALF_HOURLY)}
_NIGHT_ENDS = 14  # half hours since midnight at which the two rows of a new form meet

T = TypeVar("T")


class TooMuch(WattfallError):
    """The content exceeds the form."""


@dataclass(frozen=True, slots=True)
class RateRow:
    """One time of day and its price, as typed."""

    name: str = ""
    start: str = "00:00"
    end: str = "24:00"
    days: str = "all"
    rate: str = ""


@dataclass(frozen=True, slots=True)
class Pricing:
    """The pricing of one direction. It keeps the fields of the other kinds, so that no typed text is lost."""

    kind: str  # one of KINDS
    rate: str = ""
    plus: str = ""  # added to each half-hourly price
    rows: tuple[RateRow, ...] = (RateRow(end=clock(_NIGHT_ENDS)), RateRow(start=clock(_NIGHT_ENDS)))


@dataclass(frozen=True, slots=True)
class Version:
    """The prices from a day on."""

    valid_from: str = ""
    imported: Pricing = Pricing(FLAT)
    exported: Pricing = Pricing(NONE)
    standing_charge: str = ""
    vat: str = ""
    vat_included: bool = True


@dataclass(frozen=True, slots=True)
class Fields:
    """The whole form, newest version first."""

    currency: str
    written_in: str  # the currency of the units beside the numbers when they were typed
    versions: tuple[Version, ...]


def fields_of(tariff: Tariff, language: Language) -> Fields:
    """Return the form of a tariff. Raises TooMuch."""
    rates = [one for version in tariff.versions for one in (version.import_rates, version.export_rates) if one]
    if len(tariff.versions) > MOST_VERSIONS or any(
        len(one) > MOST_ROWS for one in rates if not isinstance(one, HalfHourly)
    ):
        raise TooMuch("the tariff is longer than the form")
    versions = tuple(_version(version, tariff.currency, language) for version in reversed(tariff.versions))
    return Fields(tariff.currency, tariff.currency, versions)


def first_fields(day: str, currency: str) -> Fields:
    """Return the form of a household without a tariff."""
    return Fields(currency, currency, (Version(day),))


def trial_fields(fields: Fields, day: str) -> Fields:
    """Return the form of a tariff whose newest prices hold since a day; before it stays what was."""
    older = tuple(version for version in fields.versions if version.valid_from < day)
    return replace(fields, versions=(replace(fields.versions[0], valid_from=day), *older))


def sent_fields(form: Mapping[str, str]) -> Fields:
    """Return the form that a browser sent. Raises TooMuch."""
    versions = tuple(_sent_version(form, f"v{number}") for number in _numbers(form, "v{}-from", MOST_VERSIONS))
    return Fields(form.get("currency", ""), form.get("written-in", ""), versions)


def after(fields: Fields, action: str) -> Fields:
    """Return the form after a button: `add`, `remove-0`, `add-0-import`, `remove-0-import-2`; else unchanged."""
    verb, _, place = action.partition("-")
    if action == "add" and len(fields.versions) < MOST_VERSIONS:
        return replace(fields, versions=(_next(fields.versions), *fields.versions))
    number, direction, row = (*place.split("-"), "", "")[:3]
    if not _is_index(number, fields.versions) or verb not in ("add", "remove"):
        return fields
    version = fields.versions[int(number)]
    if direction not in KINDS:
        kept = without(fields.versions, int(number)) if verb == "remove" else fields.versions
        return replace(fields, versions=kept)
    changed = _with_rows(version, direction, verb, row)
    return replace(fields, versions=(*fields.versions[: int(number)], changed, *fields.versions[int(number) + 1 :]))


def in_hundredths(currency: str) -> bool:
    """Whether prices are typed in pence or cents."""
    return currency in MINOR


def number_text(value: Decimal, language: Language) -> str:
    """Return the exact number with the language's decimal sign, without grouping."""
    return f"{value:f}".replace(".", str(get_decimal_symbol(locale=language.locale)))


def money_typed(amount: Decimal, currency: str, language: Language) -> str:
    """Return an amount as typed: in hundredths where `in_hundredths`, else in the currency."""
    return number_text(_times_hundred(amount) if in_hundredths(currency) else amount, language)


def without(items: tuple[T, ...], position: int) -> tuple[T, ...]:
    """Return the items without the one at `position`."""
    return items[:position] + items[position + 1 :]


def _times_hundred(value: Decimal) -> Decimal:
    """Return the exact product in any decimal context, without trailing zeros."""
    return Decimal(plain(scaled(value, RATE_PLACES, "a number"), RATE_PLACES - 2, 0))


def _version(version: TariffVersion, currency: str, language: Language) -> Version:
    return Version(
        version.valid_from,
        _pricing(version.import_rates, currency, language),
        _pricing(version.export_rates, currency, language),
        money_typed(version.standing_charge, currency, language) if version.standing_charge else "",
        number_text(_times_hundred(version.vat), language) if version.vat or not version.vat_included else "",
        version.vat_included,
    )


def _pricing(rates: Rates | None, currency: str, language: Language) -> Pricing:
    if rates is None:
        return Pricing(NONE)
    if isinstance(rates, HalfHourly):
        return Pricing(HALF_HOURLY, plus=money_typed(rates.plus, currency, language) if rates.plus else "")
    if rates == flat(rates[0].rate):
        return Pricing(FLAT, money_typed(rates[0].rate, currency, language))
    return Pricing(WINDOWS, rows=tuple(_row(window, currency, language) for window in rates))


def _row(window: RateWindow, currency: str, language: Language) -> RateRow:
    start, end = clock(window.start), clock(window.end)
    name = "" if window.name == f"{start}-{end}" else window.name
    return RateRow(name, start, end, window.days, money_typed(window.rate, currency, language))


def _sent_version(form: Mapping[str, str], place: str) -> Version:
    return Version(
        form.get(f"{place}-from", "").strip(),
        _sent_pricing(form, f"{place}-import", FLAT),
        _sent_pricing(form, f"{place}-export", NONE),
        form.get(f"{place}-standing", "").strip(),
        form.get(f"{place}-vat", "").strip(),
        form.get(f"{place}-vat-included", "yes") != "no",
    )


def _sent_pricing(form: Mapping[str, str], place: str, default: str) -> Pricing:
    kind = form.get(place, default)
    rows = (
        RateRow(*(form.get(f"{place}-{number}-{name}", "").strip() for name in ("name", "from", "to", "days", "rate")))
        for number in _numbers(form, f"{place}-{{}}-rate", MOST_ROWS)
    )
    kinds = KINDS[place.rpartition("-")[2]]
    rate, plus = (form.get(f"{place}-{name}", "").strip() for name in ("rate", "plus"))
    return Pricing(kind if kind in kinds else default, rate, plus, tuple(rows))


def _numbers(form: Mapping[str, str], name: str, most: int) -> Iterator[int]:
    """Yield 0, 1, 2 ... while the form has a control with that number."""
    number = 0
    while name.format(number) in form:
        if number == most:
            raise TooMuch(f"more than {most} of {name}")
        yield number
        number += 1


def _next(versions: tuple[Version, ...]) -> Version:
    """New prices start as a copy of the newest ones, which usually differ least."""
    return replace(versions[0], valid_from="") if versions else Version()


def _with_rows(version: Version, direction: str, verb: str, row: str) -> Version:
    imported, exported = version.imported, version.exported
    if direction == "import":
        return replace(version, imported=replace(imported, rows=_rows_after(imported.rows, verb, row)))
    return replace(version, exported=replace(exported, rows=_rows_after(exported.rows, verb, row)))


def _rows_after(rows: tuple[RateRow, ...], verb: str, row: str) -> tuple[RateRow, ...]:
    if verb == "add" and len(rows) < MOST_ROWS:
        start = rows[-1].end if rows and rows[-1].end != clock(HALVES) else clock(0)
        return (*rows, RateRow(start=start))
    if verb == "remove" and len(rows) > 1 and _is_index(row, rows):
        return without(rows, int(row))
    return rows


def _is_index(text: str, items: tuple[object, ...]) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 4 and int(text) < len(items)
