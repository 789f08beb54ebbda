"""The data commands: `import`, `ingest`, `show`, `verify`, `rebuild`.

Scripts depend on their output, streams and exit codes: 0 success, 1 nothing accepted or a difference, 2 an error.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from aggregator.commands import console, operations_commands, process_commands, support_commands, tariff_commands
from aggregator.commands.aws_commands import costs_command, package_command, tables_group
from aggregator.commands.console import check_id, find_device, forget_signals, opened, until_stopped, with_store
from aggregator.commands.device_commands import device
from aggregator.commands.process_commands import simulate, worker
from aggregator.core import periods
from aggregator.core.documents import as_json, new_device
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.live import live_json
from aggregator.intake.imports.import_file import FORMATS, ImportOptions, Progress
from aggregator.intake.imports.importing import Bar, ImportReport, import_file, summary
from aggregator.intake.imports.row_times import interval_of
from aggregator.intake.imports.rows import named_columns
from aggregator.intake.ingest import Outcome, chunks, ingest_lines
from aggregator.settings import Settings
from aggregator.store.collections import all_devices
from aggregator.support.device_state import arrival_state
from aggregator.waterfall.pricing import shown
from aggregator.waterfall.verify import differences
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
    with (
        closing(opened(settings, store_url, may_create=True)) as store,
        path.open("rb") as stream,
        _stopping() as stop,
    ):
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
        report = import_file(
            store, device or new_device(device_id, zone), stream, size, asked, _bar(stop), is_dry=is_dry
        )
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
        yield until_stopped(late_code=130, said=STOPPED)
    finally:
        forget_signals()
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
                    click.echo(STOPPED, err=True)
                    raise click.Abort

            yield progress

    return bar


IMPORT_COMMANDS = (import_command,)


# ingest, show, device, verify, rebuild

STOPPED = "stopped; import the file again to resume"
LEVELS = click.Choice(["live", *periods.LEVELS])


@click.command("ingest")
@click.argument("source", metavar="[FILE or -]", type=click.File("rb"), default="-")
@with_store
@click.pass_obj
def ingest_command(settings: Settings, source: BinaryIO, store_url: str | None) -> None:
    """Ingest readings as JSON Lines and update every chart.

    The last line of the output counts them as JSON; refused lines are named on stderr.
    """
    store, outcome, number = opened(settings, store_url, may_create=True), Outcome(), 1
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
        as_told = live_json(live) | {"state": arrival_state(live, now)}
        click.echo(json.dumps(as_told) if is_json else console.live_table(live, device.timezone, now))
        return
    wanted = (
        periods.check_period(level, period) if period else periods.period_of(level, int(time.time()), device.timezone)
    )
    document = shown(store, device, level, wanted, int(time.time()))
    click.echo(json.dumps(as_json(document)) if is_json else console.document_table(document))


@click.command()
@click.argument("device_id", metavar="[DEVICE]", required=False)
@with_store
@click.pass_obj
def verify(settings: Settings, device_id: str | None, store_url: str | None) -> None:
    """Recompute every document and compare it with the stored one, and sums with registers.

    Lists differences, and exits 1 if there are any. A store without devices is no success either.
    """
    store = opened(settings, store_url)
    devices = [find_device(store, device_id)] if device_id else list(all_devices(store))
    found = 0
    for one in devices:
        for difference in differences(store, one, int(time.time())):
            found += 1
            click.echo(difference)
    click.echo(f"{len(devices)} devices, {found} differences")
    if waiting := store.backlog().waiting:
        click.echo(f"{waiting} keys wait to be settled; a part that is over and waits counts as different until then")
    if not devices:
        click.echo("there is nothing to verify: the store is empty")
    sys.exit(1 if found or not devices else 0)


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
    *operations_commands.COMMANDS,
)
