"""The commands of who runs an installation: `backup`, `restore`, `doctor`, `units`."""

import os
import sys
import time
from contextlib import closing
from pathlib import Path
from sysconfig import get_path

import click

from aggregator.commands.console import aligned, with_store
from aggregator.commands.support_commands import operator
from aggregator.core.periods import iso_utc
from aggregator.erasure.erasure_requests import erased_again
from aggregator.operations.backup import Copied, back_up, restore
from aggregator.operations.systemd_units import processes, unit
from aggregator.settings import Settings
from aggregator.store import all_devices, open_store
from aggregator.support.audit import Audit
from aggregator.waterfall.verify import differences
from aggregator.waterfall.worker import drain


@click.command("backup")
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@with_store
@click.pass_obj
def backup_command(settings: Settings, target: Path) -> None:
    """Copy a SQLite store to a new file, also while it is in use; read the copy back, and say what it holds."""
    click.echo(_held(back_up(settings.store, target)))


@click.command("restore")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@with_store
@click.pass_obj
def restore_command(settings: Settings, source: Path) -> None:
    """Put a backup in the place of a SQLite store that no process has open, and verify it.

    The former file stays beside it. Exit code 1 if a document differs from its readings.
    """
    url, now = settings.store, int(time.time())
    copied, former = restore(url, source, now)
    click.echo(_held(copied))
    if former:
        click.echo(f"the former store is {former}; delete it when nothing is missed")
    found = 0
    with closing(open_store(url, may_create=False)) as store:
        for line in erased_again(store, Audit(store, settings.audit_secrets), settings, operator(), now):
            click.echo(line)
        drain(store)
        for device in all_devices(store):
            for difference in differences(store, device, now):
                found += 1
                click.echo(difference)
    click.echo(f"{copied.rows['devices']} devices, {found} differences")
    sys.exit(1 if found else 0)


@click.command("doctor")
@click.option("--mqtt", "broker_url", metavar="URL", help="Also try whether this broker can be reached.")
@click.option("--ca-file", type=click.Path(exists=True, dir_okay=False), help="See `wattfall worker`.")
@with_store
@click.pass_obj
def doctor_command(settings: Settings, broker_url: str | None, ca_file: str | None) -> None:
    """Look at this installation, and say what to mend, one line each; exit code 1 if there is anything.

    It reads every page of a SQLite store.
    """
    from aggregator.intake.mqtt import broker_of  # paho takes a while to load
    from aggregator.operations.doctor import examine

    broker = broker_of(broker_url) if broker_url else None
    found = list(examine(settings, os.environ, broker, ca_file or ""))
    rows = [("well" if one.is_well else "MEND", one.name, one.text) for one in found]
    click.echo("\n".join(line.rstrip() for line in aligned(rows, texts=3)))
    sys.exit(0 if all(one.is_well for one in found) else 1)


@click.command("units")
@click.argument("folder", required=False, type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option("--mqtt", "broker_url", default="", metavar="URL", help="The worker receives messages from this broker.")
@click.option("--topic", "topics", multiple=True, help="A topic filter; may be repeated.")
@click.option("--to", "server", default="", metavar="URL", help="The unit of an edge, from --mqtt to this Wattfall.")
@click.pass_obj
def units_command(
    settings: Settings, folder: Path | None, broker_url: str, topics: tuple[str, ...], server: str
) -> None:
    """Print hardened systemd units for web, worker and ingest-server, or for an edge, or write them into a folder."""
    if server and not broker_url:
        raise click.UsageError("an edge reads from a broker; name it with --mqtt")
    if broker_url:
        from aggregator.intake.mqtt import broker_of, check_filters

        broker_of(broker_url), check_filters(topics)
    needs_network = bool(settings.metrics) or not settings.store.startswith("sqlite:")
    for process in processes(broker_url, topics, server, needs_network=needs_network):
        name, text = unit(process, str(Path(get_path("scripts"), "wattfall")), settings.backup_dir)
        if folder:
            (folder / name).write_text(text)
            click.echo(folder / name)
        else:
            click.echo(f"# {name}\n{text}")


def _held(copied: Copied) -> str:
    """Format what a copy holds."""
    rows = [(name, f"{count:,}") for name, count in copied.rows.items()]
    rows.append(("newest reading", iso_utc(copied.newest) if copied.newest else "none"))
    return "\n".join([f"{copied.path}: checked", *aligned(rows), f"audit head {copied.audit or 'none'}"])


COMMANDS = (backup_command, restore_command, doctor_command, units_command)
