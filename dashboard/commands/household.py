"""`wattfall household`: what is kept of a household, for the people whom it is about."""

import os
import time
from pathlib import Path

import click

from aggregator.commands.console import opened, with_store
from aggregator.commands.support_commands import operator
from aggregator.core.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.support.actions import record_household_export
from aggregator.support.audit import Audit
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.household_export import export
from dashboard.accounts.users import Passwords
from dashboard.text.language import ENGLISH


@click.group("household")
def household_group() -> None:
    """Everything that is kept of a household."""


@household_group.command("export")
@click.argument("household", metavar="HOUSEHOLD")
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@with_store
@click.pass_obj
def export_household(settings: Settings, household: str, target: Path, store_url: str | None) -> None:
    """Write all data of a household to a new ZIP file: readings, charts, tariffs, accounts, and who looked."""
    store, now = opened(settings, store_url), int(time.time())
    people = [one for one in Accounts(store, Passwords(), lambda: now).everybody() if one.household == household]
    devices = store.household_devices(household)
    if not people and not devices:
        raise ConfigurationError(
            f"nothing is kept of a household {household!r}; `wattfall device list` shows those there are"
        )
    audit = Audit(store, settings.audit_secrets)
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be made: {error.strerror}") from error
    record_household_export(audit, operator(), devices, now)
    with os.fdopen(handle, "wb") as file:
        for piece in export(store, audit, household, people, now, ENGLISH):
            file.write(piece)
    click.echo(f"{target} holds {household}: devices {len(devices)}, accounts {len(people)}")
