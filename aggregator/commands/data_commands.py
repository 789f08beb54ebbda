"""The data commands: `import`, `ingest`, `show`, `verify`.

Scripts depend on their output, streams and exit codes: 0 success, 1 nothing accepted or a difference, 2 an error.
"""

import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from aggregator.commands import console, edge_command, operations_commands, support_commands, tariff_commands
from aggregator.commands.aws_commands import costs_command, package_command, replay_command, tables_group
from aggregator.commands.console import check_id, find_device, forget_signals, opened, until_stopped, with_store
from aggregator.commands.device_commands import device
from aggregator.commands.process_commands import simulate, worker
from aggregator.core import periods
from aggregator.core.documents import as_json
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.live import live_json
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.importing import Bar, ImportReport, summary, take
from aggregator.intake.imports.recognise import Progress, Recognised, recognised
from aggregator.intake.imports.understanding import BRAKES, Doubt, Known, named_columns
from aggregator.intake.imports.vocabulary import ENERGY, EXPORT, IMPORT, NET, POWER, PROFILES, REGISTER, UNITS
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.intake.lines import chunks
from aggregator.intake.tables.notation import ORDERS, SIGNS, interval_of
from aggregator.intake.tables.structured import STRUCTURES, open_table
from aggregator.settings import Settings
from aggregator.store.collections import all_devices, new_entry
from aggregator.support.device_state import arrival_state
from aggregator.waterfall.pricing import shown
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain

_ANSWERS = {  # option -> the field of Known
    "--dates": "order",
    "--time": "edge",
    "--direction": "direction",
    "--unit": "unit",
    "--kind": "figure_kind",
    "--decimal": "decimal",
}


def _list_formats(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo("\n".join((*STRUCTURES, *sorted(one.name for one in PROFILES))))
        context.exit()


@click.command("import")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--device", "device_id", metavar="DEVICE", required=True, help="The device of this history; new if unknown."
)
@click.option("--timezone", help="Time zone of times without an offset [the device's, else WATTFALL_TIMEZONE].")
@click.option("--columns", metavar="FIELD=NAME,...", help="The column of each field, like time=Date,import_kwh=T1+T2.")
@click.option("--where", multiple=True, metavar="COLUMN=TEXT", help="Take only the rows with this text in a column.")
@click.option("--dates", "order", type=click.Choice([*ORDERS]), help="The order of day, month and year.")
@click.option("--time", "edge", type=click.Choice(["start", "end"]), help="Which end of its interval a row's time is.")
@click.option("--interval", metavar="LENGTH", help="The length of a row's interval, like 30m [the step between rows].")
@click.option("--kind", "figure_kind", type=click.Choice([ENERGY, REGISTER, POWER]), help="What the figures are.")
@click.option("--unit", type=click.Choice(UNITS), help="The unit of figures that name none.")
@click.option("--direction", type=click.Choice([IMPORT, EXPORT, NET]), help="The direction of the energy.")
@click.option("--decimal", type=click.Choice([*SIGNS]), help="The decimal sign.")
@click.option("--allow", multiple=True, type=click.Choice(BRAKES), help="Take the file although this looks wrong.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is certain, else say which option decides.")
@click.option("--formats", is_flag=True, is_eager=True, expose_value=False, callback=_list_formats, help="List them.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Report the result and write nothing.")
@with_store
@click.pass_obj
def import_command(
    settings: Settings, /, path: Path, device_id: str, store_url: str | None, allow: tuple[str, ...], yes: bool,
    is_dry: bool, timezone: str | None, columns: str | None, interval: str | None, where: tuple[str, ...], order: str,
    edge: str, figure_kind: str, unit: str, direction: str, decimal: str,
) -> None:  # fmt: skip
    """Import history from a file of any meter: it is recognised by its content.

    An import only adds: the device's own readings and earlier imports stay, so importing again changes nothing. The
    last line of the output counts the rows as JSON; refused rows are named on stderr.
    """
    with closing(opened(settings, store_url, may_create=True)) as store, path.open("rb") as stream, _stopping() as stop:
        stored = store.device(check_id(device_id))
        zone = periods.check_timezone(timezone or (stored.timezone if stored else settings.timezone))
        device = stored or new_entry(store, device_id, zone)
        known = Known(
            zone, int(time.time()), device.max_power_w, device.kind, order or "", edge or "", direction or "",
            unit or "", figure_kind or "", decimal or "", interval_of(interval) if interval else None, where,
            named_columns(columns) if columns else {}, is_zone_named=bool(timezone),
        )  # fmt: skip
        with ExitStack() as stack:
            origin = Origin(device_id, known.now, DeviceRules(zone))
            found = _certain(stack, stream, origin, known, allow, _bar(stop), may_ask=sys.stdin.isatty() and not yes)
            report = take(store, device, found, known.now, _bar(stop), is_dry=is_dry)
    _say(report, zone, is_dry=is_dry)
    sys.exit(0 if report.accepted or report.known else 1)


def _certain(
    stack: ExitStack, stream: BinaryIO, origin: Origin, known: Known, allow: tuple[str, ...], bar: Bar, *, may_ask: bool
) -> Recognised:
    """Return the file as recognised, once nothing is in doubt; ask, or exit with the option that decides."""
    progress = stack.enter_context(bar("Reading", os.fstat(stream.fileno()).st_size))
    while True:
        found = stack.enter_context(recognised(open_table(stream, origin), known, allow, progress))
        for line in found.understanding.lines(known.zone):
            click.echo(line)
        if not found.understanding.doubts:
            break
        doubt = found.understanding.doubts[0]
        if not may_ask or not doubt.values:
            raise ConfigurationError(_question(doubt))
        known = _answered(known, doubt, click.prompt(doubt.text, type=click.Choice(doubt.values), err=True))
    for brake in found.understanding.brakes:
        click.echo(f"wattfall: nothing is taken: {brake.text}; see {brake.option}", err=True)
    if found.understanding.brakes:
        sys.exit(1)
    return found


def _question(doubt: Doubt) -> str:
    examples = " or ".join(f"{doubt.option} {shlex.quote(value)}" for value in doubt.values)
    return f"{doubt.text}; say which with {examples or doubt.option}"


def _answered(known: Known, doubt: Doubt, answer: str) -> Known:
    if doubt.option == "--columns":
        return known._replace(columns={**known.columns, **named_columns(answer)})
    if doubt.option == "--where":
        return known._replace(where=(*known.where, answer))
    answers: dict[str, Any] = {_ANSWERS[doubt.option]: answer}
    return known._replace(**answers)


def _say(report: ImportReport, zone: str, *, is_dry: bool) -> None:
    for line in report.refusals.lines():
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
    import_command,
    show,
    device,
    *tariff_commands.COMMANDS,
    verify,
    worker,
    simulate,
    tables_group,
    costs_command,
    package_command,
    replay_command,
    *support_commands.COMMANDS,
    *edge_command.COMMANDS,
    *operations_commands.COMMANDS,
)
