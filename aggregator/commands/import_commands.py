"""`wattfall import`: take a file of history in, list the imports of a device, take one back.

Scripts depend on its output, streams and exit codes: 0 success, 1 nothing accepted, 2 an error.
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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

from aggregator.commands.console import check_id, find_device, forget_signals, opened, until_stopped, with_store
from aggregator.commands.support_commands import operator, with_reason
from aggregator.core import periods
from aggregator.core.documents import Device
from aggregator.core.errors import ConfigurationError
from aggregator.intake.formats.message import DeviceRules, Origin
from aggregator.intake.imports.import_plan import stored_usage
from aggregator.intake.imports.import_records import Source, check_undo, digest_of, find_import, imports_of, undo
from aggregator.intake.imports.import_report import ImportReport, summary
from aggregator.intake.imports.importing import Bar, changed_days, take
from aggregator.intake.imports.recognise import Progress, Recognised, recognised
from aggregator.intake.imports.understanding import BRAKES, PROFILES, Doubt, Known, answered, named_columns
from aggregator.intake.imports.vocabulary import ENERGY, EXPORT, IMPORT, NET, POWER, REGISTER, UNITS
from aggregator.intake.tables.notation import ORDERS, SIGNS, interval_of
from aggregator.intake.tables.structured import STRUCTURES, table_apart
from aggregator.settings import Settings
from aggregator.store import new_entry
from aggregator.store.port import Store
from aggregator.support.actions import record_import
from aggregator.support.audit import Audit
from aggregator.waterfall.worker import drain


def _list_formats(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        click.echo("\n".join((*STRUCTURES, *sorted({one.name for one in PROFILES}))))
        context.exit()


@click.command("import")
@click.argument("path", metavar="FILE", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", "device_id", metavar="DEVICE", help="The device of this history; new if unknown.")
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
@click.option("--replace", "is_correction", is_flag=True, help="Where the file contradicts what is stored, it counts.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is certain, else say which option decides.")
@click.option("--formats", is_flag=True, is_eager=True, expose_value=False, callback=_list_formats, help="List them.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Report the result and write nothing.")
@click.option("--list", "is_list", is_flag=True, help="List the imports of a device.")
@click.option("--undo", "undone", metavar="ID", help="Take an import back whole; --list names them.")
@with_reason("history imported from the command line")
@with_store
@click.pass_obj
def import_command(
    settings: Settings, /, path: Path | None, device_id: str | None, undone: str | None,
    is_list: bool, reason: str, **options: Any,  # noqa: ANN401 - options
) -> None:  # fmt: skip
    """Import history from a file of any meter: it is recognised by its content.

    An import only adds: the device's own readings and earlier imports stay, so importing again changes nothing. The
    last line of the output counts the rows as JSON; refused rows are named on stderr.
    """
    if undone:
        _undo(settings, undone, reason)
    elif device_id is None:
        raise click.MissingParameter(param_hint="'--device'", param_type="option")
    elif is_list:
        _list(opened(settings), device_id)
    elif path is None:
        raise click.MissingParameter(param_hint="'FILE'", param_type="argument")
    else:
        with closing(opened(settings, may_create=True)) as store, path.open("rb") as stream:
            _import(store, settings, stream, device_id, reason, **options)


def _import(
    store: Store, settings: Settings, stream: BinaryIO, device_id: str, reason: str, *, allow: tuple[str, ...],
    yes: bool, is_dry: bool, is_correction: bool, timezone: str | None, columns: str | None, interval: str | None,
    where: tuple[str, ...], order: str, edge: str, figure_kind: str, unit: str, direction: str, decimal: str,
) -> None:  # fmt: skip
    stored = store.device(check_id(device_id))
    zone = periods.check_timezone(timezone or (stored.timezone if stored else settings.timezone))
    device = stored or new_entry(store, device_id, zone if periods.is_of_a_place(zone) else settings.timezone)
    known = Known(
        zone, int(time.time()), device.max_power_w, device.kind, order or "", edge or "", direction or "",
        unit or "", figure_kind or "", decimal or "", interval_of(interval) if interval else None, where,
        named_columns(columns) if columns else {}, is_zone_named=bool(timezone),
        usage=partial(stored_usage, store, device),
    )  # fmt: skip
    may_ask = sys.stdin.isatty() and not yes
    with _stopping() as stop, ExitStack() as stack:
        found = _certain(
            stack, stream, Origin(device_id, known.now, DeviceRules(zone)), known, allow, _bar(stop), may_ask=may_ask
        )
        if is_correction:
            _confirm(store, device, found, may_ask=may_ask)
        source = None
        if not is_dry:
            audit, name = Audit(store, settings.audit_secrets), Path(stream.name).name
            record_import(audit, operator(), device_id, reason, known.now, file=name)
            stream.seek(0)
            source = Source(name, digest_of(stream), f"{operator().role} {operator().name}", is_correction)
        report = take(store, device, found, known.now, _bar(stop), source)
    _say(report, zone, is_dry=is_dry)
    sys.exit(0 if report.accepted or report.known else 1)


def _confirm(store: Store, device: Device, found: Recognised, *, may_ask: bool) -> None:
    """Show what a correction changes; ask whether to take it."""
    changes = changed_days(store, device, found)
    for change in changes[:SHOWN_DAYS]:
        click.echo(f"  {change.text}")
    rest = changes[SHOWN_DAYS:]
    click.echo(f"  {len(rest)} more days, {sum(one.rows for one in rest)} rows" if rest else "", nl=bool(rest))
    click.echo(f"{sum(one.rows for one in changes)} rows replace what is stored, on {len(changes)} days")
    if may_ask:
        click.confirm("Take it?", abort=True, err=True)


def _list(store: Store, device_id: str) -> None:
    device = find_device(store, device_id)
    for record in imports_of(store, device_id):
        click.echo(record.line(device.timezone))


def _undo(settings: Settings, name: str, reason: str) -> None:
    with closing(opened(settings)) as store, _stopping() as stop:
        record, now = find_import(store, name), int(time.time())
        check_undo(store, record)
        audit = Audit(store, settings.audit_secrets)
        record_import(audit, operator(), record.device_id, reason, now, undone=record.id)
        with _bar(stop)("Undoing", record.blocks) as progress:
            undo(store, record, f"{operator().role} {operator().name}", now, progress)
        drain(store)
    click.echo(f"{record.id} is taken back: {record.rows} rows of {record.file}")
    if record.old_days:
        first, *_, last = (*record.old_days, record.old_days[-1])
        click.echo(
            f"what it filled in stays on {len(record.old_days)} days from {first} to {last}: their readings had expired"
            " before, and only their charts were kept"
        )


def _certain(
    stack: ExitStack, stream: BinaryIO, origin: Origin, known: Known, allow: tuple[str, ...], bar: Bar, *, may_ask: bool
) -> Recognised:
    """Return the file as recognised, once nothing is in doubt; ask, or exit with the option that decides."""
    progress = stack.enter_context(bar("Reading", os.fstat(stream.fileno()).st_size))
    while True:
        table = stack.enter_context(table_apart(stream, origin))
        found = stack.enter_context(recognised(table, known, allow, progress))
        for line in found.understanding.lines(known.zone):
            click.echo(line)
        if not found.understanding.doubts:
            break
        doubt = found.understanding.doubts[0]
        if not may_ask or not doubt.values:
            raise ConfigurationError(_question(doubt))
        known = answered(known, doubt.option, click.prompt(doubt.text, type=click.Choice(doubt.values), err=True))
    for brake in found.understanding.brakes:
        click.echo(f"wattfall: nothing is taken: {brake.text}; see {brake.option}", err=True)
    if found.understanding.brakes:
        sys.exit(1)
    return found


def _question(doubt: Doubt) -> str:
    examples = " or ".join(f"{doubt.option} {shlex.quote(value)}" for value in doubt.values)
    return f"{doubt.text}; say which with {examples or doubt.option}"


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


STOPPED = "stopped; the same command resumes"
SHOWN_DAYS = 31
