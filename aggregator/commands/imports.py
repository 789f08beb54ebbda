"""`wattfall import`: history from files."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from aggregator.commands.console import check_id, opened, until_stopped, with_store
from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.intake.imports.columns import named_columns
from aggregator.intake.imports.import_file import FORMATS, Asked, Progress
from aggregator.intake.imports.import_report import Report, summary
from aggregator.intake.imports.importing import Bar, import_file
from aggregator.intake.imports.row_times import interval_of
from aggregator.settings import Settings


@click.command("import")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "format_name", type=click.Choice(FORMATS), required=True)
@click.option("--device", "device_id", metavar="DEVICE", required=True, help="Whose history it is; added if it is new.")
@click.option("--timezone", help="Of local times without an offset [the device's, else WATTFALL_TIMEZONE].")
@click.option(
    "--columns", metavar="FIELD=NAME,...", help="Of csv: which column is what, like time=Date,import_kwh=Elec."
)
@click.option(
    "--interval", metavar="LENGTH", help="Of csv: how long a row's interval is, like 30m, where no end says so."
)
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be done, and do nothing.")
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
    """Fill in history from a file: energy of intervals, or registers and power; rows in any order, any number of them.

    It only adds: what a device has said itself and what is imported already stays as it is, so that importing again
    changes nothing. The last line of the output counts the rows as JSON; rows that were refused are named on stderr.
    """
    if format_name != "csv" and (columns or interval):
        raise click.UsageError("--columns and --interval are for --format csv; the other formats say it themselves")
    with closing(opened(settings, store_url)) as store, path.open("rb") as stream, _stopping() as stop:
        device = store.device(check_id(device_id))
        zone = periods.check_timezone(timezone or (device.timezone if device else settings.timezone))
        asked = Asked(
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


def _say(report: Report, zone: str, *, is_dry: bool) -> None:
    for line in report.refused_lines():
        click.echo(line, err=True)
    for line in summary(report, zone, is_dry=is_dry):
        click.echo(line)
    click.echo(json.dumps(report.as_json(zone)))


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that no batch is torn."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield until_stopped()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(stop: threading.Event) -> Bar:
    @contextmanager
    def bar(label: str, length: int) -> Iterator[Progress]:
        is_hidden = not sys.stderr.isatty()  # a script finds there what was refused, and nothing else
        with click.progressbar(length=max(length, 1), label=label, file=sys.stderr, hidden=is_hidden) as shown:

            def progress(more: int) -> None:
                shown.update(more)
                if stop.is_set():
                    click.echo("stopped; import the file again, and it goes on from there", err=True)
                    raise click.Abort

            yield progress

    return bar


COMMANDS = (import_command,)
