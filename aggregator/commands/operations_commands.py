"""The commands of who runs an installation: `backup`, `restore`, `doctor`, `units`."""

import sys
import time
from contextlib import closing
from pathlib import Path

import click

from aggregator.commands.console import aligned, with_store
from aggregator.core.periods import iso_utc
from aggregator.operations.backup import Copied, back_up, restore
from aggregator.settings import Settings
from aggregator.store import open_store
from aggregator.store.collections import all_devices
from aggregator.waterfall.verify import differences


@click.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@with_store
@click.pass_obj
def backup_command(settings: Settings, target: Path, store_url: str | None) -> None:
    """Copy a SQLite store to a new file, also while it is in use; read the copy back, and say what it holds."""
    click.echo(_held(back_up(store_url or settings.store, target)))


@click.command("restore")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_store
@click.pass_obj
def restore_command(settings: Settings, source: Path, store_url: str | None) -> None:
    """Put a backup in the place of a SQLite store that no process has open, and verify it.

    The former file stays beside it. Exit code 1 if a document differs from its readings.
    """
    url, now = store_url or settings.store, int(time.time())
    copied, former = restore(url, source, now)
    click.echo(_held(copied))
    if former:
        click.echo(f"the former store is {former}; delete it when nothing is missed")
    found = 0
    with closing(open_store(url, may_create=False)) as store:
        for device in all_devices(store):
            for difference in differences(store, device, now):
                found += 1
                click.echo(difference)
    click.echo(f"{copied.rows['devices']} devices, {found} differences")
    sys.exit(1 if found else 0)


def _held(copied: Copied) -> str:
    """Format what a copy holds."""
    rows = [(name, f"{count:,}") for name, count in copied.rows.items()]
    rows.append(("newest reading", iso_utc(copied.newest) if copied.newest else "none"))
    rows.append(("audit head", copied.audit or "none"))
    return "\n".join([f"{copied.path}: checked", *aligned(rows)])


COMMANDS = (backup_command, restore_command)
