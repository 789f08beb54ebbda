"""The data commands: `import`, `ingest`, `show`, `device`, `verify`, `rebuild`.

Scripts depend on their output, streams and exit codes: 0 success, 1 nothing accepted or a difference, 2 an error.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from aggregator.commands import console, process_commands, support_commands, tariff_commands
from aggregator.commands.aws_commands import costs_command, package_command, tables_group
from aggregator.commands.console import check_id, find_device, opened, until_stopped, with_store
from aggregator.commands.process_commands import simulate, worker
from aggregator.core import periods
from aggregator.core.documents import GAS, KINDS, NETTINGS, Device, as_json, check_labels, live_json
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.money import number
from aggregator.core.readings import sender_of
from aggregator.intake.imports.import_file import FORMATS, ImportOptions, Progress
from aggregator.intake.imports.importing import Bar, ImportReport, import_file, summary
from aggregator.intake.imports.row_times import interval_of
from aggregator.intake.imports.rows import named_columns
from aggregator.intake.ingest import Outcome, chunks, ingest_lines
from aggregator.intake.tokens import end_tokens, new_token
from aggregator.settings import Settings
from aggregator.store.port import all_devices
from aggregator.support.device_state import device_state
from aggregator.waterfall.pricing import FIRST_DAY, Conversion, change_conversion, conversion_of, shown
from aggregator.waterfall.verify import differences, rebuild, rezone
from aggregator.waterfall.worker import drain


@click.command("import")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True)
@click.option(
    "--device", "device_id", metavar="DEVICE", required=True, help="The device of this history; added if new."
)
@click.option("--timezone", help="Time zone of times without an offset [the device's, else WATTFALL_TIMEZONE].")
@click.option(
    "--columns", metavar="FIELD=NAME,...", help="csv: the column of each field, like time=Date,import_kwh=Elec."
)
@click.option(
    "--interval", metavar="LENGTH", help="csv: the length of a row's interval, like 30m, in a file without end times."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Report the result and write nothing.")
@with_store
@click.pass_obj
def import_command(
    settings: Settings,
    /,
    path: Path,
    format_name: str,
    device_id: str,
    timezone: str | None,
    columns: str | None,
    interval: str | None,
    store_url: str | None,
    is_dry: bool,
) -> None:
    """Import history from a file: interval energy, or registers and power; any number of rows in any order.

    An import only adds: the device's own readings and earlier imports stay, so importing again changes nothing. The
    last line of the output counts the rows as JSON; refused rows are named on stderr.
    """
    if format_name != "csv" and (columns or interval):
        raise click.UsageError("--columns and --interval need --format csv; other formats define them")
    with closing(opened(settings, store_url)) as store, path.open("rb") as stream, _stopping() as stop:
        device = store.device(check_id(device_id))
        zone = periods.check_timezone(timezone or (device.timezone if device else settings.timezone))
        asked = ImportOptions(
            device_id,
            format_name,
            zone,
            columns=named_columns(columns) if columns else {},
            interval_s=interval_of(interval) if interval else None,
            now=int(time.time()),
        )
        size = os.fstat(stream.fileno()).st_size
        report = import_file(store, device or Device(device_id, zone), stream, size, asked, _bar(stop), is_dry=is_dry)
    _say(report, zone, is_dry=is_dry)
    sys.exit(0 if report.accepted or report.known else 1)


def _say(report: ImportReport, zone: str, *, is_dry: bool) -> None:
    for line in report.refused_lines():
        click.echo(line, err=True)
    for line in summary(report, zone, is_dry=is_dry):
        click.echo(line)
    click.echo(json.dumps(report.as_json(zone)))


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Return an event that Ctrl-C and SIGTERM set, so that a batch is never cut."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield until_stopped()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(stop: threading.Event) -> Bar:
    @contextmanager
    def bar(label: str, length: int) -> Iterator[Progress]:
        is_hidden = not sys.stderr.isatty()  # scripts read only refused rows from stderr
        with click.progressbar(length=max(length, 1), label=label, file=sys.stderr, hidden=is_hidden) as shown:

            def progress(more: int) -> None:
                shown.update(more)
                if stop.is_set():
                    click.echo("stopped; import the file again to resume", err=True)
                    raise click.Abort

            yield progress

    return bar


IMPORT_COMMANDS = (import_command,)


# ingest, show, device, verify, rebuild
if TYPE_CHECKING:
    pass

LEVELS = click.Choice(["live", *periods.LEVELS])


@click.command("ingest")
@click.argument("source", metavar="[FILE or -]", type=click.File("rb"), default="-")
@with_store
@click.pass_obj
def ingest_command(settings: Settings, source: BinaryIO, store_url: str | None) -> None:
    """Ingest readings as JSON Lines and update every chart.

    The last line of the output counts them as JSON; refused lines are named on stderr.
    """
    store, outcome, number = opened(settings, store_url), Outcome(), 1
    for lines in chunks(source):
        ingest_lines(store, lines, number, int(time.time()), settings.timezone, outcome, _name_refused)
        number += len(lines)
    drain(store)
    if number == 1:
        click.echo("the input is empty", err=True)
    click.echo(json.dumps(outcome.as_json()))
    sys.exit(0 if outcome.accepted or outcome.unchanged or outcome.statuses else 1)


def _name_refused(number: int, refused: Refused) -> None:
    click.echo(f"line {number}: {refused}", err=True)


@click.command()
@click.argument("level", type=LEVELS)
@click.argument("device_id", metavar="DEVICE")
@click.argument("period", required=False)
@click.option("--json", "is_json", is_flag=True, help="As JSON instead of a table.")
@with_store
@click.pass_obj
def show(
    settings: Settings, level: str, device_id: str, period: str | None, is_json: bool, store_url: str | None
) -> None:
    """Show one document: the live state, or a period of a level (default: the current one)."""
    store = opened(settings, store_url)
    device = find_device(store, device_id)
    if level == "live":
        live = store.live(device_id)
        if live is None:
            raise ConfigurationError(f"{device_id} has not sent a reading yet")
        now = int(time.time())
        as_told = live_json(live) | {"state": device_state(live, now)}
        click.echo(json.dumps(as_told) if is_json else console.live_table(live, device.timezone, now))
        return
    wanted = (
        periods.check_period(level, period) if period else periods.period_of(level, int(time.time()), device.timezone)
    )
    document = shown(store, device, level, wanted, int(time.time()))
    click.echo(json.dumps(as_json(document)) if is_json else console.document_table(document))


@click.group()
def device() -> None:
    """Manage the registry of devices."""


@device.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.option("--timezone", help="An IANA time zone, like Europe/London.")
@click.option(
    "--max-power-w", type=click.IntRange(1, 10_000_000), help="The home's maximum power in either direction, W."
)
@click.option("--household", metavar="ID", help="The household of the device; '' removes it, here and below.")
@click.option("--name", help="The household's name for the home, like '12 Acacia Road'.")
@click.option("--serial", help="The serial number of the device.")
@click.option("--meter-point", metavar="NUMBER", help="The number of the meter point.")
@click.option("--postcode")
@click.option("--kind", type=click.Choice(KINDS), help="What its meter counts.")
@click.option(
    "--calorific-value", metavar="MJ", help="Gas in m³: the energy of a m³ in MJ, as the bill states it [39.5]."
)
@click.option("--from", "first_day", metavar="DAY", help="The first day of the calorific value [the first of all].")
@click.option("--volume-factor", metavar="FACTOR", help="Gas in m³: the factor of the volume [1.02264].")
@click.option(
    "--netting",
    type=click.Choice(NETTINGS),
    help=(
        "How the phases of a Shelly or a Tasmota with three phases make import and export. `phase`: each phase counts"
        " for itself, as the device's own registers do. `sum`: as a meter that nets the phases, which meters in"
        " Germany, the Netherlands and Belgium do; the registers of the phases cannot be netted afterwards, so the"
        " power of all phases tells the energy, and what is used while nothing arrives is not known. A smart meter"
        " (P1, SML, Glow) nets by itself, and a JSON reading is taken as it is; neither needs this. It holds for"
        " messages from now on. For a device behind `wattfall edge`, set it there."
    ),
)
@click.option(
    "--stamp-on-arrival",
    type=bool,
    metavar="on|off",
    help=(
        "Take the time of arrival for P1 telegrams of a clock that was never set, which are refused otherwise. Only"
        " for a meter that sends them at once; an imported log is never stamped."
    ),
)
@click.option(
    "--total-is-import",
    "is_total_import",
    type=bool,
    metavar="on|off",
    help="Whether Tasmota's Total counts import alone. Beside ExportActive it is net otherwise, as Tasmota counts it.",
)
@with_store
@click.pass_obj
def device_set(
    settings: Settings,
    /,
    device_id: str,
    timezone: str | None,
    max_power_w: int | None,
    store_url: str | None,
    calorific_value: str | None,
    first_day: str | None,
    volume_factor: str | None,
    **fields: Any,  # noqa: ANN401 - options
) -> None:
    """Add or change a device; recompute its charts where the change affects them."""
    store = opened(settings, store_url)
    stored = store.device(check_id(device_id))
    changed = stored or Device(device_id, settings.timezone)
    _check_home(changed, fields)
    changed = check_labels(replace(changed, **{name: value for name, value in fields.items() if value is not None}))
    conversion = _conversion(changed, calorific_value, first_day, volume_factor)
    if max_power_w:
        changed = replace(changed, max_power_w=max_power_w)
    zone = periods.check_timezone(timezone) if timezone else changed.timezone
    if changed != stored:
        store.put_device(changed)
    if zone != changed.timezone:
        rezone(store, changed, zone)
    elif stored and (changed.max_power_w, changed.kind) != (stored.max_power_w, stored.kind):
        rebuild(store, changed, None, None)
    if conversion or (stored and changed.kind != stored.kind):
        device = find_device(store, device_id)
        change_conversion(store, device, conversion or conversion_of(device))
    drain(store)
    click.echo(console.device_line(find_device(store, device_id)))


def _check_home(device: Device, named: Mapping[str, object]) -> None:
    """Raise ConfigurationError where a second meter would get a home of its own."""
    for field in ("household", "postcode"):
        if named.get(field) is not None and device.is_second_meter:
            sender = sender_of(device.device_id)
            raise ConfigurationError(
                f"{device.device_id} has the {field} of {sender}, which reads it; use `wattfall device set {sender}`"
            )


def _conversion(device: Device, value: str | None, first_day: str | None, factor: str | None) -> Conversion | None:
    """Return the conversion of a gas meter with the options' values; None without one."""
    if value is factor is None:
        if first_day:
            raise ConfigurationError("--from is the first day of a --calorific-value")
        return None
    if device.kind != GAS:
        raise ConfigurationError(
            f"{device.device_id} is of kind {device.kind}, and only gas in m³ is converted; see --kind"
        )
    found = conversion_of(device)
    if value is not None:
        day = periods.check_period("day", first_day) if first_day else FIRST_DAY
        stated = number(value, "the calorific value", 1, 200)
        found = replace(found, calorific_values={**found.calorific_values, day: stated})
    return replace(found, volume_factor=number(factor, "the volume factor", 0, 2)) if factor is not None else found


@device.command("token")
@click.argument("device_id", metavar="DEVICE")
@click.option("--revoke", is_flag=True, help="Revoke all tokens of the device at once, and make none.")
@with_store
@click.pass_obj
def device_token(settings: Settings, device_id: str, store_url: str | None, *, revoke: bool) -> None:
    """Print a new token for POST /ingest; it is shown only once. Earlier tokens expire in a day."""
    store = opened(settings, store_url)
    find_device(store, device_id)
    if revoke:
        end_tokens(store, device_id)
        click.echo(f"{device_id} has no token any more")
    else:
        click.echo(new_token(store, device_id, int(time.time())))


@device.command("list")
@with_store
@click.pass_obj
def device_list(settings: Settings, store_url: str | None) -> None:
    """List the devices, one per line."""
    for one in all_devices(opened(settings, store_url)):
        click.echo(console.device_line(one))


@click.command()
@click.argument("device_id", metavar="[DEVICE]", required=False)
@with_store
@click.pass_obj
def verify(settings: Settings, device_id: str | None, store_url: str | None) -> None:
    """Recompute every document and compare it with the stored one; list differences and exit 1 if there are any."""
    store = opened(settings, store_url)
    devices = [find_device(store, device_id)] if device_id else list(all_devices(store))
    found = 0
    for one in devices:
        for difference in differences(store, one):
            found += 1
            click.echo(difference)
    click.echo(f"{len(devices)} devices, {found} differences")
    sys.exit(1 if found else 0)


COMMANDS = (
    ingest_command,
    *IMPORT_COMMANDS,
    show,
    device,
    *tariff_commands.COMMANDS,
    verify,
    worker,
    simulate,
    tables_group,
    costs_command,
    package_command,
    *support_commands.COMMANDS,
    *process_commands.COMMANDS,
)
