"""The commands of support: audit, refused messages, diagnostics, fleet, rebuild, exchange, bundle."""

import getpass
import json
import os
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
from aggregator.support import actions, fleet
from aggregator.support.audit import Audit, Who
from aggregator.support.audit_check import AuditCheck, parse_head
from aggregator.support.audit_entry import FIRST
from aggregator.support.bundle import file_name, plain
from aggregator.support.diagnostics import diagnose
from aggregator.waterfall.worker import drain

with_json = click.option("--json", "is_json", is_flag=True, help="As JSON.")


def with_reason(default: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the --reason option of a command that writes an audit entry; required without a default."""
    given: dict[str, Any] = {"default": default, "show_default": True} if default else {"required": True}
    return click.option("--reason", help="The reason; the audit records it, and the household can read it.", **given)


def operator() -> Who:
    """Return the user of this terminal for the audit; they have no account."""
    return Who("terminal", "", "operator", getpass.getuser())


@click.command("audit")
@click.option("--device", "device_id", default="", help="Entries about one device.")
@click.option("--person", default="", help="Entries of one person, by id or e-mail.")
@with_days
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Number of the newest entries."
)
@with_json
@click.option(
    "--check",
    "checked",
    is_flag=False,
    flag_value="0:" + FIRST,
    metavar="[HEAD]",
    help="Search for changed or deleted entries, exit 1 if there are any, and print the head. With a HEAD that was"
    " printed or logged before, prove that nothing up to it was rewritten.",
)
@click.option("--forget", metavar="PERSON", help="Destroy what names a person (id or e-mail) in the audit, for good.")
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
    checked: str | None,
    forget: str | None,
) -> None:
    """List the staff's actions on devices: person, device, action, time and reason. Days are UTC."""
    audit = Audit(opened(settings), settings.audit_secrets)
    if checked is not None:
        faults = list(AuditCheck(audit, parse_head(checked)).faults())
        click.echo("\n".join([*faults, f"{len(faults)} faults", f"head {audit.head()}"]))
        sys.exit(1 if faults else 0)
    if forget:
        count = audit.forget(operator(), forget, "a person is forgotten in the audit", int(time.time()))
        click.echo(f"{count} pseudonyms name nobody any more")
        return
    newest = audit.entries(device_id=device_id, person=person, first_day=first_day, last_day=last_day, limit=limit)
    for entry in reversed(newest):
        click.echo(json.dumps(entry.as_json()) if is_json else console.audit_line(entry))


@click.command("refused")
@click.argument("device_id", metavar="DEVICE")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(list(REASONS)),
    metavar="NAME",
    help="Only this reason; may be repeated.",
)
@click.option("--contains", default="", metavar="TEXT", help="Only messages that contain this text.")
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
) -> None:
    """Show a device's refused messages: counts by UTC day and reason, last messages. `-`: without a known device."""
    store = opened(settings)
    if device_id != UNKNOWN:
        find_device(store, device_id)
    refusals = filter_refusals(load_refusals(store, device_id), reasons, contains, first_day or "", last_day or "")
    click.echo(json.dumps(plain(refusals)) if is_json else console.refused_table(refusals))


@click.command("inspect")
@click.argument("device_id", metavar="DEVICE")
@with_store
@click.pass_obj
def inspect_command(settings: Settings, device_id: str) -> None:
    """Print the diagnostics of a device as JSON: sending, signal, gaps, and the state of its charts."""
    store = opened(settings)
    diagnostics = plain(diagnose(store, find_device(store, device_id), int(time.time())))
    click.echo(json.dumps({name: value for name, value in diagnostics.items() if name != "device"}))


@click.command("fleet")
@with_json
@with_store
@click.pass_obj
def fleet_command(settings: Settings, is_json: bool) -> None:
    """Show the worker's last census: how many devices send, and how long the others have been silent."""
    counts = fleet.summary(opened(settings))
    if counts is None:
        raise ConfigurationError("there is no census yet; `wattfall worker` takes one every 5 minutes")
    click.echo(json.dumps(plain(counts)) if is_json else console.fleet_table(counts))


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
) -> None:
    """Recompute a device's documents from its readings; half hours with expired readings stay."""
    store = opened(settings)
    device = find_device(store, device_id)
    count = actions.rebuild(
        Audit(store, settings.audit_secrets), operator(), device, first_day, last_day, reason, int(time.time())
    )
    drain(store)
    click.echo(f"{device_id}: {count} days computed again")


@click.command("exchange")
@click.argument("device_id", metavar="DEVICE")
@click.argument("at", metavar="INSTANT")
@click.option(
    "--not", "is_not", is_flag=True, help="The meter was not exchanged then, although the readings suggest it."
)
@click.option("--undo", "is_undo", is_flag=True, help="Remove the mark at this instant.")
@with_reason()
@with_store
@click.pass_obj
def exchange_command(settings: Settings, device_id: str, at: str, is_not: bool, is_undo: bool, reason: str) -> None:
    """Mark that a meter was exchanged at an instant, like 2026-11-23T10:00:00Z, and recompute its charts."""
    if is_not and is_undo:
        raise click.UsageError("--not and --undo do not go together")
    store, now = opened(settings), int(time.time())
    device, instant, audit = find_device(store, device_id), _instant(at, now), Audit(store, settings.audit_secrets)
    if is_undo:
        changed = actions.unmark_exchange(audit, operator(), device, instant, reason, now)
    else:
        changed = actions.mark_exchange(audit, operator(), device, instant, reason, now, is_exchange=not is_not)
    drain(store)
    exchange_overrides = parse_overrides(changed.exchange_overrides)
    marks = [f"{iso_utc(one.at)} {'exchanged' if one.is_exchange else 'not exchanged'}" for one in exchange_overrides]
    click.echo(f"{device_id}: {', '.join(marks) or 'nothing is marked'}")


def _instant(text: str, now: int) -> int:
    try:
        return check_instant(text, now)
    except Refused as refused_instant:
        mend = "write a past instant like 2026-11-23T10:00:00Z"
        raise ConfigurationError(f"{refused_instant.detail}; {mend}") from refused_instant


@click.command("bundle")
@click.argument("device_id", metavar="DEVICE")
@click.argument("target", metavar="[FILE]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@with_reason()
@with_store
@click.pass_obj
def bundle_command(settings: Settings, device_id: str, target: Path | None, reason: str) -> None:
    """Write the data for finding a device's fault into one ZIP file, without personal data."""
    store, now = opened(settings), int(time.time())
    device = find_device(store, device_id)
    path = target or Path(file_name(device, now))
    content = actions.export_bundle(Audit(store, settings.audit_secrets), operator(), device, reason, now)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if path.is_file():  # it may have been there, for others to read
                path.chmod(0o600)
            file.write(content)
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
