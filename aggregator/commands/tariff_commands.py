"""The tariff commands: `wattfall tariff ...` and `wattfall reprice`.

Errors, including unreadable files, are one line on stderr with exit code 2.
"""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import click

from aggregator.commands import console
from aggregator.commands.console import find_device, opened, with_days, with_store
from aggregator.commands.support_commands import operator
from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError, shown
from aggregator.core.money import cost_json, money_text
from aggregator.core.periods import DAY_S, FIRST_DAY, FOR_EVER, LAST_DAY
from aggregator.settings import Settings
from aggregator.store import Store
from aggregator.support.actions import record_tariff
from aggregator.support.audit import Audit
from aggregator.tariffs.prices import PER_TEXT, PriceChoice, PriceReport, parse_prices
from aggregator.tariffs.rates import Series, common, count_days, energy_cost, standing_charge
from aggregator.tariffs.tariff import Tariff, tariff_from_text, tariff_to_json
from aggregator.waterfall.pricing import PRICES, add_prices, change_tariff, supplied_to_present, tariff_of
from aggregator.waterfall.worker import drain

DAYS_OPEN = 366  # a price without an end holds for so many days from today


@click.group()
def tariff() -> None:
    """Manage the tariff of a device and its half-hourly prices."""


@tariff.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.argument("source", metavar="[FILE or -]", type=click.File("r"), default="-")
@with_store
@click.pass_obj
def tariff_set(settings: Settings, device_id: str, source: TextIO) -> None:
    """Set a device's tariff from a JSON file and reprice the days that it changes.

    The shortest tariff is {"currency": "GBP", "versions": [{"from": "2026-04-01", "import": 0.2450}]}.
    """
    store = opened(settings)
    device, given = find_device(store, device_id), tariff_from_text(_text(source))
    _record(settings, store, device, "tariff set from the command line")
    count = change_tariff(store, device, given)
    drain(store)
    click.echo(f"{device_id}: {count} days priced again")


@tariff.command("unset")
@click.argument("device_id", metavar="DEVICE")
@with_store
@click.pass_obj
def tariff_unset(settings: Settings, device_id: str) -> None:
    """Remove a device's tariff and its costs; half-hourly prices stay."""
    store = opened(settings)
    device = find_device(store, device_id)
    _record(settings, store, device, "tariff removed from the command line")
    count = change_tariff(store, device, None)
    drain(store)
    click.echo(f"{device_id}: {count} days without a price")


@tariff.command("show")
@click.argument("device_id", metavar="DEVICE")
@with_store
@click.pass_obj
def tariff_show(settings: Settings, device_id: str) -> None:
    """Show a device's tariff as JSON for `set`."""
    store = opened(settings)
    found = tariff_of(find_device(store, device_id))
    if found is None:
        raise ConfigurationError(f"{device_id} has no tariff; set one with `wattfall tariff set`")
    click.echo(json.dumps(tariff_to_json(found), indent=2))


@tariff.command("import")
@click.argument("device_id", metavar="DEVICE")
@click.argument("source", metavar="[FILE or -]", type=click.File("r"), default="-")
@click.option("--export", "is_export", is_flag=True, help="Export prices instead of import prices.")
@click.option("--per", type=click.Choice(["1", "100", "1000"]), help="Unit: 100 pence per kWh, 1000 currency per MWh.")
@click.option("--column", default="", metavar="NAME", help="The column of the price, where several can be it.")
@click.option("--without-vat", is_flag=True, help="The column without VAT, where a file has both.")
@click.option("--where", "filters", multiple=True, metavar="NAME=VALUE", help="Only rows with this value in a column.")
@click.option("--payment-method", metavar="NAME", help="Short for --where payment_method=NAME.")
@with_store
@click.pass_obj
def tariff_import(
    settings: Settings,
    device_id: str,
    source: TextIO,
    is_export: bool,
    per: str | None,
    column: str,
    without_vat: bool,
    filters: tuple[str, ...],
    payment_method: str | None,
) -> None:
    """Import prices of half hours, hours or longer from CSV or JSON and reprice the days that they touch.

    The file tells its columns and its unit, or the answer names the option that does. A price without an end holds for
    a year from today at most.
    """
    store = opened(settings)
    device = find_device(store, device_id)
    present = tariff_of(device)
    where = dict(map(_filter, filters)) | ({"payment_method": payment_method} if payment_method else {})
    open_until = (int(time.time()) // DAY_S + DAYS_OPEN) * DAY_S
    currency = present.currency if present else ""
    choice = PriceChoice(int(per) if per else None, not without_vat, column, where, currency, open_until)
    found = parse_prices(_text(source), choice)
    series = Series(export_prices=found.prices) if is_export else Series(import_prices=found.prices)
    _record(settings, store, device, "prices imported from the command line")
    count = add_prices(store, device, series)
    drain(store)
    for line in report_lines(found.report, currency):
        click.echo(line)
    click.echo(f"{device_id}: {count} days priced again")


def _filter(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ConfigurationError(f"--where is {shown(text)}; it must be like PriceArea=DK1")
    return name, value


def report_lines(report: PriceReport, currency: str) -> Iterable[str]:
    """Format the report of a price file as lines."""
    start, end = map(periods.iso_utc, report.span)
    yield f"{report.rows} rows from {start} to {end}, {report.lowest} to {report.highest} {currency} per kWh".rstrip()
    yield f"the file's prices are in {PER_TEXT[report.per]}"
    if report.is_open:
        yield f"the last price has no end: it holds to {end} here; import prices again before that"
    if report.duplicates:
        yield f"{report.duplicates} prices are duplicates"
    if report.rounded:
        yield f"{report.rounded} prices were rounded to 6 decimal places"
    for hole in report.holes:
        yield f"no price from {periods.iso_utc(hole.start)} to {periods.iso_utc(hole.end)}"


@tariff.command("compare")
@click.argument("device_id", metavar="DEVICE")
@click.argument("sources", metavar="TARIFF...", nargs=-1, required=True, type=click.Path(path_type=Path))
@with_days
@click.option("--json", "is_json", is_flag=True, help="As JSON instead of a table.")
@with_store
@click.pass_obj
def tariff_compare(
    settings: Settings,
    device_id: str,
    sources: tuple[Path, ...],
    first_day: str | None,
    last_day: str | None,
    is_json: bool,
) -> None:
    """Compare the bill of the same days on other tariffs, each a JSON file as for `set`.

    Every day from the first with data to today owes its standing charge, also one without data.
    """
    store = opened(settings)
    device = find_device(store, device_id)
    present = tariff_of(device)
    tariffs = {"present": present} if present else {}
    for path in sources:
        tariffs[str(path) if path.stem in ("present", *tariffs) else path.stem] = _read(path)
    asked = first_day or FIRST_DAY, last_day or LAST_DAY
    documents, series = store.documents("day", device_id, *asked), store.prices(device_id, 0, FOR_EVER)
    known, zone = supplied_to_present(store, device, int(time.time())), device.timezone
    costs = {
        name: energy_cost(documents, one, series)._replace(standing_charge=standing_charge(one, asked, known, zone))
        for name, one in tariffs.items()
    }
    span = common(asked, known)
    days = count_days(span, zone) if span else 0
    if is_json:
        content = {
            name: {
                "currency": tariffs[name].currency,
                **cost_json(cost),
                "to_pay": None if cost.whole is None else money_text(cost.whole),
            }
            for name, cost in costs.items()
        }
        click.echo(json.dumps({"device_id": device_id, "days": days, "tariffs": content}))
    else:
        currencies = {name: one.currency for name, one in tariffs.items()}
        click.echo(console.comparison_table(days, costs, currencies))


def _record(settings: Settings, store: Store, device: Device, reason: str) -> None:
    record_tariff(Audit(store, settings.audit_secrets), operator(), device, reason, int(time.time()))


def _text(source: TextIO) -> str:
    try:
        return source.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{source.name} cannot be read: {error}") from error


def _read(path: Path) -> Tariff:
    try:
        return tariff_from_text(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path} cannot be read: {why}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


@click.command()
@click.argument("device_id", metavar="DEVICE")
@with_store
@click.pass_obj
def reprice(settings: Settings, device_id: str) -> None:
    """Reprice every day of a device from the energy in its day documents."""
    store = opened(settings)
    days = store.periods("day", find_device(store, device_id).device_id)
    store.mark(PRICES, device_id, days)
    drain(store)
    click.echo(f"{device_id}: {len(days)} days priced again")


COMMANDS = (tariff, reprice)
