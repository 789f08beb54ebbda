"""`wattfall household`: what is kept of a household, for the people whom it is about."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from aggregator.aws.schedules import letters_about
from aggregator.commands.console import opened, with_store
from aggregator.commands.support_commands import operator
from aggregator.core.errors import ConfigurationError
from aggregator.erasure.erasure_plan import make_plan, told
from aggregator.erasure.erasure_requests import begin, carry_out, forgotten_when, outside_store, overdue, take_back
from aggregator.settings import Settings
from aggregator.support.actions import record_household_export
from aggregator.support.audit import Audit
from dashboard.accounts.accounts import Accounts
from dashboard.accounts.household_export import export
from dashboard.accounts.users import Passwords
from dashboard.text.language import CATALOGUES, languages


@click.group("household")
def household_group() -> None:
    """Everything that is kept of a household."""


@household_group.command("export")
@click.argument("household", metavar="HOUSEHOLD")
@click.argument("target", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--language", type=click.Choice(["en", *CATALOGUES]), default="en", show_default=True, help="Of the README in it."
)
@with_store
@click.pass_obj
def export_household(settings: Settings, household: str, target: Path, language: str) -> None:
    """Write all data of a household to a new ZIP file: readings, charts, tariffs, accounts, and who looked."""
    store, now = opened(settings), int(time.time())
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
    record_household_export(audit, operator(), household, devices, now)
    is_hidden = not sys.stderr.isatty()
    with (
        _whole_or_none(target),
        os.fdopen(handle, "wb") as file,
        click.progressbar(length=1, label="Writing", file=sys.stderr, hidden=is_hidden) as shown,
    ):

        def tell(done: int, whole: int) -> None:
            shown.length = max(whole, 1)
            shown.update(done - shown.pos)

        for piece in export(store, audit, household, people, now, languages()[language], tell):
            file.write(piece)
    click.echo(f"{target} holds {household}: devices {len(devices)}, accounts {len(people)}")


@contextmanager
def _whole_or_none(target: Path) -> Iterator[None]:
    """Remove a file that was not written to its end."""
    try:
        yield
    except BaseException:
        target.unlink()
        raise


@household_group.command("erase")
@click.argument("household", metavar="HOUSEHOLD")
@click.option("--confirm", metavar="HOUSEHOLD", help="The same again; without it the plan is only printed.")
@click.option("--reason", default="the household asked for it", show_default=True, help="For the audit; no names.")
@click.option("--dead-letters", "queue", metavar="URL", help="On AWS: the queue DeadLetters, to be scanned too.")
@with_store
@click.pass_obj
def erase_household(settings: Settings, household: str, confirm: str | None, reason: str, queue: str | None) -> None:
    """Erase a household: its days at each device, and its accounts. Repeat it after a crash.

    Its own days go, and the days of others stay exact. Evidence that comes later for the erased days is refused. At the
    end a scan proves that nothing is left; exit code 1 if anything is.
    """
    store, now = opened(settings), int(time.time())
    audit = Audit(store, settings.audit_secrets)
    if confirm is None:
        for line in told(store, make_plan(store, household)):
            click.echo(line)
        click.echo(f"nothing is erased yet; add --confirm {household} to erase all of this")
        return
    if confirm != household:
        raise ConfigurationError(f"--confirm {confirm!r} is not {household!r}; write the household twice alike")
    plan = begin(store, audit, household, operator(), reason, now)
    for line in told(store, plan):
        click.echo(line)
    letters = [partial(letters_about, queue)] if queue else []
    left = [line for line in carry_out(store, audit, plan, now, outside_store(settings, *letters)) if line]
    for line in left:
        click.echo(f"left: {line}")
    scanned = [
        "every table and collection",
        *["the cache"] * bool(settings.cache),
        *["the dead letters"] * len(letters),
    ]
    click.echo("not erased; run it again" if left else f"erased; a scan of {' and of '.join(scanned)} finds nothing")
    for line in forgotten_when(settings, household, now):
        click.echo(line)
    sys.exit(1 if left else 0)


@household_group.command("due")
@with_store
@click.pass_obj
def due_households(settings: Settings) -> None:
    """Name the households whose erasure is due and not done, a line each."""
    for household in overdue(opened(settings), int(time.time())):
        click.echo(household)


@household_group.command("keep")
@click.argument("household", metavar="HOUSEHOLD")
@with_store
@click.pass_obj
def keep_household(settings: Settings, household: str) -> None:
    """Take back the erasure for which a household has asked, before its day."""
    if not take_back(opened(settings), household):
        raise ConfigurationError(f"no erasure of {household!r} waits; it has begun, or nobody asked for it")
    click.echo(f"{household} keeps its data")
