"""The commands of support: audit, refused messages, diagnostics, fleet, rebuild, exchange, bundle."""

import getpass
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aggregator.commands import console
from aggregator.commands.console import find_device, opened, with_days, with_store
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.core.periods import iso_utc
from aggregator.core.readings import REASONS, check_instant
from aggregator.core.registers import parse_overrides
from aggregator.intake.refusals import UNKNOWN, filter_refusals, load_refusals
from aggregator.settings import Settings
from aggregator.support import actions, audit, fleet
from aggregator.support.audit import Who
from aggregator.support.bundle import file_name, plain
from aggregator.support.diagnostics import diagnose
from aggregator.waterfall.worker import drain

with_json = click.option("--json", "is_json", is_flag=True, help="As JSON.")


def with_reason(default: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option of every command that writes an audit entry; required where it has no default."""
    given: dict[str, Any] = {"default": default, "show_default": True} if default else {"required": True}
    return click.option("--reason", help="Why; it is written down, and the home can read it.", **given)


def operator() -> Who:
    """Whoever is at this terminal: not an account, but a name in the audit."""
    return Who("terminal", "", "operator", getpass.getuser())


@click.command("audit")
@click.option("--device", "device_id", default="", help="Entries about one device.")
@click.option("--person", default="", help="Entries of one person, by id or e-mail.")
@with_days
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="The newest so many.")
@with_json
@click.option("--check", "is_check", is_flag=True, help="Look for entries that were changed or removed; exit 1 if so.")
@with_store
@click.pass_obj
def audit_command(
    settings: Settings,
    device_id: str,
    person: str,
    first_day: str | None,
    last_day: str | None,
    limit: int,
    is_json: bool,
    is_check: bool,
    store_url: str | None,
) -> None:
    """Who of the staff looked at which device and did what, when and why. Days are UTC."""
    store = opened(settings, store_url)
    if is_check:
        faults = list(audit.check(store))
        click.echo("\n".join([*faults, f"{len(faults)} faults"]))
        sys.exit(1 if faults else 0)
    found = audit.entries(
        store, device_id=device_id, person=person, first_day=first_day, last_day=last_day, limit=limit
    )
    for entry in reversed(found):
        click.echo(json.dumps(entry.as_json()) if is_json else console.audit_line(entry))


@click.command("refused")
@click.argument("device_id", metavar="DEVICE")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(list(REASONS)),
    metavar="NAME",
    help="For this; may be repeated.",
)
@click.option("--contains", default="", metavar="TEXT", help="Messages with this in them.")
@with_days
@with_json
@with_store
@click.pass_obj
def refused_command(
    settings: Settings,
    device_id: str,
    reasons: tuple[str, ...],
    contains: str,
    first_day: str | None,
    last_day: str | None,
    is_json: bool,
    store_url: str | None,
) -> None:
    """What was refused of a device: counts by UTC day and reason, last messages. `-` is what names no device."""
    store = opened(settings, store_url)
    if device_id != UNKNOWN:
        find_device(store, device_id)
    found = filter_refusals(load_refusals(store, device_id), reasons, contains, first_day or "", last_day or "")
    click.echo(json.dumps(plain(found)) if is_json else console.refused_table(found))


@click.command("inspect")
@click.argument("device_id", metavar="DEVICE")
@with_store
@click.pass_obj
def inspect_command(settings: Settings, device_id: str, store_url: str | None) -> None:
    """What is known of a device, as JSON: whether it sends, its signal, its gaps, whether its charts are right."""
    store = opened(settings, store_url)
    found = plain(diagnose(store, find_device(store, device_id), int(time.time())))
    click.echo(json.dumps({name: value for name, value in found.items() if name != "device"}))


@click.command("fleet")
@with_json
@with_store
@click.pass_obj
def fleet_command(settings: Settings, is_json: bool, store_url: str | None) -> None:
    """How many devices send, and since when the others do not, as the worker last counted them."""
    found = fleet.summary(opened(settings, store_url))
    if found is None:
        raise ConfigurationError("nobody has counted yet; `wattfall worker` does every 5 minutes")
    click.echo(json.dumps(plain(found)) if is_json else console.fleet_table(found))


@click.command("rebuild")
@click.argument("device_id", metavar="DEVICE")
@with_days
@with_reason("rebuild from the command line")
@with_store
@click.pass_obj
def rebuild_command(
    settings: Settings,
    device_id: str,
    first_day: str | None,
    last_day: str | None,
    reason: str,
    store_url: str | None,
) -> None:
    """Compute a device's documents again from its readings; what expired readings have made stays."""
    store = opened(settings, store_url)
    device = find_device(store, device_id)
    count = actions.rebuild(store, operator(), device, first_day, last_day, reason, int(time.time()))
    drain(store)
    click.echo(f"{device_id}: {count} days computed again")


@click.command("exchange")
@click.argument("device_id", metavar="DEVICE")
@click.argument("at", metavar="INSTANT")
@click.option("--not", "is_not", is_flag=True, help="The meter was not exchanged then, though it looks so.")
@click.option("--undo", "is_undo", is_flag=True, help="Take back what was said about this instant.")
@with_reason()
@with_store
@click.pass_obj
def exchange_command(
    settings: Settings, device_id: str, at: str, is_not: bool, is_undo: bool, reason: str, store_url: str | None
) -> None:
    """Mark that a meter was exchanged at an instant, like 2026-11-23T10:00:00Z; its charts are made anew."""
    if is_not and is_undo:
        raise click.UsageError("--not and --undo do not go together")
    store, now = opened(settings, store_url), int(time.time())
    device, instant = find_device(store, device_id), _instant(at, now)
    if is_undo:
        changed = actions.unmark_exchange(store, operator(), device, instant, reason, now)
    else:
        changed = actions.mark_exchange(store, operator(), device, instant, reason, now, is_exchange=not is_not)
    drain(store)
    exchange_overrides = parse_overrides(changed.exchange_overrides)
    said = [f"{iso_utc(one.at)} {'exchanged' if one.is_exchange else 'not exchanged'}" for one in exchange_overrides]
    click.echo(f"{device_id}: {', '.join(said) or 'nothing is marked'}")


def _instant(text: str, now: int) -> int:
    try:
        return check_instant(text, now)
    except Refused as refused_instant:
        raise ConfigurationError(refused_instant.detail) from refused_instant


@click.command("bundle")
@click.argument("device_id", metavar="DEVICE")
@click.argument("target", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@with_reason()
@with_store
@click.pass_obj
def bundle_command(settings: Settings, device_id: str, target: Path | None, reason: str, store_url: str | None) -> None:
    """Write what is needed to find a device's fault into one ZIP file; it says nothing about people."""
    store, now = opened(settings, store_url), int(time.time())
    device = find_device(store, device_id)
    path = target or Path(file_name(device, now))
    content = actions.export_bundle(store, operator(), device, reason, now)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"{path}: {len(content)} bytes")


COMMANDS = (
    audit_command,
    refused_command,
    inspect_command,
    fleet_command,
    rebuild_command,
    exchange_command,
    bundle_command,
)
