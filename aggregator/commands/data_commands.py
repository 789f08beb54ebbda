"""The data commands: `ingest`, `show`, `verify`; and the list of all commands.

Scripts depend on their output, streams and exit codes: 0 success, 1 nothing accepted or a difference, 2 an error.
"""

import json
import sys
import time
from itertools import chain
from typing import BinaryIO

import click

from aggregator.commands import console, edge_command, operations_commands, support_commands, tariff_commands
from aggregator.commands.aws_commands import costs_command, package_command, replay_command, tables_group
from aggregator.commands.console import find_device, opened, with_store
from aggregator.commands.device_commands import device
from aggregator.commands.edge_command import chunks
from aggregator.commands.import_commands import import_command
from aggregator.commands.process_commands import simulate, worker
from aggregator.core import periods
from aggregator.core.documents import as_json
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.live import live_json
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.settings import Settings
from aggregator.store import all_devices
from aggregator.support.device_state import arrival_state
from aggregator.waterfall.pricing import shown
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain

LEVELS = click.Choice(["live", *periods.LEVELS])


@click.command("ingest")
@click.argument("source", metavar="[FILE or -]", type=click.File("rb"), default="-")
@with_store
@click.pass_obj
def ingest_command(settings: Settings, source: BinaryIO) -> None:
    """Ingest readings as JSON Lines and update every chart.

    The last line of the output counts them as JSON; refused lines are named on stderr.
    """
    store, outcome, number = opened(settings, may_create=True), Outcome(), 1
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
def show(settings: Settings, level: str, device_id: str, period: str | None, is_json: bool) -> None:
    """Show one document: the live state, or a period of a level (default: the current one)."""
    store = opened(settings)
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
def verify(settings: Settings, device_id: str | None) -> None:
    """Recompute every document and compare it with the stored one, and sums with registers.

    Lists differences, and exits 1 if there are any. A store without devices is no success either.
    """
    store = opened(settings)
    damaged = set[str]()
    devices = [find_device(store, device_id)] if device_id else list(all_devices(store, damaged.add))
    found = 0
    documents = chain.from_iterable(differences(store, one, int(time.time())) for one in devices)
    for difference in filter(None, chain(documents, sorted(damaged), () if device_id else store.damaged_records())):
        found += 1
        click.echo(difference)
    click.echo(f"{len(devices)} devices, {found} differences")
    if waiting := store.backlog().waiting:
        click.echo(f"{waiting} keys wait to be settled; a part that is over and waits counts as different until then")
    if not devices and not damaged:
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
