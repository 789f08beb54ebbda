"""The template values of the tariff pages, built of values and sentences. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from aggregator.core import periods
from aggregator.core.errors import ConfigurationError
from aggregator.core.money import Cost
from aggregator.tariffs.tariff import DAYS, FLAT, HALF_HOURLY, HALVES, Tariff, clock
from dashboard.pages.tariff.tariff_fields import (
    KINDS,
    MOST_ROWS,
    MOST_VERSIONS,
    NONE,
    WINDOWS,
    Fields,
    Pricing,
    Version,
)
from dashboard.pages.tariff.tariff_form import FormFault
from dashboard.pages.tariff.tariff_preview import (
    DAY,
    Preview,
    TariffChange,
    currencies,
    month_words,
    odd_rate,
    price_words,
    span_words,
    unit_of_charge,
    unit_of_energy,
    version_words,
)
from dashboard.text.language import Language, text

Context = dict[str, object]
MOST_SPANS = 6  # spans that the page names one by one
OPEN_MONTHS = 13  # a longer table is folded
LEGENDS = {
    "import": text("What you pay for electricity"),
    "export": text("What you are paid for electricity that you export"),
}
LABELS = {
    NONE: text("Nothing"),
    FLAT: text("The same at all times"),
    WINDOWS: text("By time of day"),
    HALF_HOURLY: text("A new price every half hour"),
}
NAMES = {"standing": text("Standing charge"), "vat": text("VAT rate")}
DAY_LABELS = {"all": text("Every day"), "weekdays": text("Monday to Friday"), "weekends": text("Weekends")}
assert DAY_LABELS.keys() == DAYS.keys()


def form_context(fields: Fields, faults: Sequence[FormFault], touched: str, language: Language) -> Context:
    """Return the values of the form, with faults at their controls; `touched` is the control to focus."""
    say = language.say
    return {
        "fields": fields,
        "titles": [_title(version, language) for version in fields.versions],
        "summaries": [_summary(version, fields.currency, language) for version in fields.versions],
        "open": [_is_open(number, faults, touched) for number in range(len(fields.versions))],
        "faults": faults,
        "fault_lines": [(fault.control, _fault_line(fault, fields, language)) for fault in faults],
        "touched": "" if faults else touched,
        "currencies": currencies(language),
        "energy_unit": unit_of_energy(fields.currency, language),
        "charge_unit": unit_of_charge(fields.currency, language),
        "legends": {direction: say(sentence) for direction, sentence in LEGENDS.items()},
        "kinds": {direction: [(kind, say(LABELS[kind])) for kind in kinds] for direction, kinds in KINDS.items()},
        "day_labels": [(kind, say(sentence)) for kind, sentence in DAY_LABELS.items()],
        "starts": [(clock(half), clock(half)) for half in range(HALVES)],
        "ends": [(clock(half), clock(half)) for half in range(1, HALVES + 1)],
        "can_add": len(fields.versions) < MOST_VERSIONS,
        "most_rows": MOST_ROWS,
    }


def touched_by(action: str, fields: Fields) -> str:
    """Return the control to focus after a button."""
    verb, number, direction = (*action.split("-"), "", "")[:3]
    if action == "add":
        return "v0-from"
    if direction not in KINDS or not number.isdigit() or int(number) >= len(fields.versions):
        return "add"
    version = fields.versions[int(number)]
    rows = (version.imported if direction == "import" else version.exported).rows
    return f"v{number}-{direction}-{len(rows) - 1 if verb == 'add' else 0}-name"


def preview_context(preview: Preview, old: Tariff | None, new: Tariff | None, language: Language) -> Context:
    """Return the values of the preview of a change."""
    currencies_ = (old.currency if old else "", new.currency if new else "")
    count = len(preview.spans)
    return {
        "versions": tariff_lines(new, language),
        "remark": _remark(new, language),
        "is_same": old == new,
        "has_past": bool(preview.spans),
        "spans": [span_words(*span, language) for span in preview.spans] if count <= MOST_SPANS else [],
        "outline": _outline(preview, language) if count > MOST_SPANS else "",
        "since": language.date(date.fromisoformat(preview.since), DAY) if preview.since else "",
        "total": _row(preview.total, currencies_, language),
        "has_difference": old is not None and new is not None and old.currency == new.currency,
        "months": [
            (month_words(month, language), _row(change, currencies_, language))
            for month, change in sorted(preview.months.items())
        ],
        "is_long": len(preview.months) > OPEN_MONTHS,
        "unpriced": _unpriced(preview.total, language),
    }


def tariff_lines(tariff: Tariff | None, language: Language) -> list[tuple[str, str]]:
    """Return the start and the prices of each version, newest first."""
    versions = reversed(tariff.versions) if tariff else ()
    return [
        (
            language.say("From {day}", day=language.date(date.fromisoformat(version.valid_from), DAY)),
            version_words(version, tariff.currency if tariff else "", language),
        )
        for version in versions
    ]


def known_words(starts: Mapping[int, object], zone: str, language: Language) -> str:
    """Return the count of known half-hourly prices of the last year. `prices` are by UTC seconds of their start."""
    if not starts:
        return language.say("No half-hourly price is known yet; until there are some, this energy has no cost.")
    end = periods.local(max(starts) + periods.HALF_HOUR, zone)
    return language.count(
        "{number} half-hourly price of the last year is known, until {time} on {day}.",
        "{number} half-hourly prices of the last year are known, until {time} on {day}.",
        len(starts),
        time=end.format("HH:mm"),
        day=language.date(end.date(), DAY),
    )


def _title(version: Version, language: Language) -> str:
    try:
        day = date.fromisoformat(periods.check_period("day", version.valid_from))
    except ConfigurationError:
        return language.say("New prices")
    return language.say("From {day}", day=language.date(day, DAY))


def _summary(version: Version, currency: str, language: Language) -> str:
    """Return the prices of a version in one line, as far as typed."""
    words = [_pricing_summary(version.imported, currency, language)]
    if version.standing_charge:
        words.append(f"{version.standing_charge[:20]} {unit_of_charge(currency, language)}")
    if version.exported.kind != NONE:
        price = _pricing_summary(version.exported, currency, language)
        words.append(language.say("export: {price}", price=price))
    return " · ".join(word for word in words if word)


def _pricing_summary(pricing: Pricing, currency: str, language: Language) -> str:
    if pricing.kind == FLAT:
        return f"{pricing.rate[:20]} {unit_of_energy(currency, language)}" if pricing.rate else ""
    label = language.say(LABELS[pricing.kind])
    return label[:1].lower() + label[1:]


def _fault_line(fault: FormFault, fields: Fields, language: Language) -> str:
    """Return a fault for the list above the form: with its version, direction and row."""
    place, *names = fault.control.split("-")
    where = []
    if place[1:].isdigit() and len(fields.versions) > 1:
        where.append(_title(fields.versions[int(place[1:])], language))
    if names and names[0] in LEGENDS:
        where.append(language.say(LEGENDS[names[0]]))
        if names[1].isdigit() and names[2] != "from":  # a fault between rows names them in its sentence
            where.append(language.say("Row {number}", number=int(names[1]) + 1))
    elif names and names[0] in NAMES:
        where.append(language.say(NAMES[names[0]]))
    return f"{', '.join(where)}: {fault.sentence}" if where else fault.sentence


def _is_open(number: int, faults: Sequence[FormFault], touched: str) -> bool:
    place = f"v{number}-"
    return number == 0 or touched.startswith(place) or any(fault.control.startswith(place) for fault in faults)


def _remark(tariff: Tariff | None, language: Language) -> str:
    rate = odd_rate(tariff) if tariff else None
    if rate is None or tariff is None:
        return ""
    price, unit = price_words(rate, tariff.currency, language), unit_of_energy(tariff.currency, language)
    return language.say("{price} per kWh is an unusual price. Is it really in {unit}?", price=price, unit=unit)


def _outline(preview: Preview, language: Language) -> str:
    first, last = preview.spans[0][0], preview.spans[-1][1]
    return language.count(
        "{number} day between {first} and {last}",
        "{number} days between {first} and {last}",
        preview.day_count,
        first=language.date(date.fromisoformat(first), DAY),
        last=language.date(date.fromisoformat(last), DAY),
    )


def _row(change: TariffChange, currencies_: tuple[str, str], language: Language) -> Context:
    before, after = currencies_
    return {
        "before": _money(change.before, before, language),
        "after": _money(change.after, after, language),
        "difference": _difference(change, after, language) if before == after else "",
    }


def _money(cost: Cost, currency: str, language: Language) -> str:
    return language.say("no price") if cost.to_pay is None else language.money(cost.to_pay, currency)


def _difference(change: TariffChange, currency: str, language: Language) -> str:
    difference = change.difference
    if difference is None:
        return ""
    amount = language.money(abs(difference), currency)
    if amount == language.money(0, currency):
        return language.say("the same")
    return language.say(text("{amount} more") if difference > 0 else text("{amount} less"), amount=amount)


def _unpriced(change: TariffChange, language: Language) -> str:
    """Return the energy without a price on either tariff; empty if all has one on both."""
    before, after = change.before.unpriced_wh, change.after.unpriced_wh
    if not before and not after:
        return ""
    energies = {name: _energy(wh, language) for name, wh in (("before", before), ("after", after))}
    if not after:
        return language.say("{before} that have no price now will have one.", **energies)
    if before == after:
        return language.say("{after} have no price, before and after.", **energies)
    return language.say("{after} will have no price; now it is {before}.", **energies)


def _energy(wh: int, language: Language) -> str:
    return f"{language.number(Decimal(wh).scaleb(-3), 1)} kWh"
