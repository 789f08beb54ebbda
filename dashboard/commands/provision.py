"""`wattfall provision`: devices, households and people from a CSV file."""

import csv
import os
import time
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TextIO

import click

from aggregator.commands.console import opened, with_store
from aggregator.commands.support_commands import operator
from aggregator.core.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.support.audit import Audit
from aggregator.waterfall.worker import drain
from dashboard.accounts.accounts import Accounts, link_of
from dashboard.accounts.mail import check_mail, invitation, send
from dashboard.accounts.provision_rows import Refusal, read_rows
from dashboard.accounts.provisioning import CHANGED, MOVED, OUTCOMES, ProvisionRun, Report, provision, rehearsed
from dashboard.accounts.users import Passwords, User
from dashboard.text.words import cell

REASON = "wattfall provision"
NO_LINKS = (
    "a new person needs a link to choose a password; name a file for these with --invitations, or set WATTFALL_SMTP"
)


@click.command("provision")
@click.argument("source", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--invitations",
    "target",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="CSV file that gets the links by which new people choose their passwords.",
)
@with_store
@click.pass_context
def provision_command(context: click.Context, source: Path, target: Path | None, *, is_dry: bool) -> None:
    """Add, change and move the devices, households and people of a CSV file.

    The first line names the columns: device, kind, timezone, serial, meter_point, household, from, name, postcode,
    email, person, role. What is true already stays as it is, so the same file can be run again. A refused row is
    printed with its line and reason and stops no other; the exit code is 2 then.
    """
    settings: Settings = context.obj
    if target:
        _check_target(target)
    store, now = opened(settings, may_create=not is_dry), int(time.time())
    accounts = Accounts(store, Passwords(), lambda: now)
    check_mail(settings)
    fault = "" if target or settings.smtp else NO_LINKS
    run = ProvisionRun(
        Audit(store, settings.audit_secrets), accounts, operator(), REASON, now, settings.timezone, fault
    )
    with (
        source.open(encoding="utf-8-sig", newline="") as file,
        rehearsed(run) if is_dry else nullcontext(run) as chosen,
        closing(Links(target, settings)) as links,
    ):
        report = provision(chosen, read_rows(file.readline), _refuse, links.deliver)
    if not is_dry and (report.devices[CHANGED] or report.devices[MOVED]):
        drain(store)
    for line in report_lines(report, is_dry=is_dry):
        click.echo(line)
    context.exit(2 if report.refused else 0)


def report_lines(report: Report, *, is_dry: bool) -> list[str]:
    """Return a report, one line for each kind of thing."""
    lines = [
        f"{what}: {', '.join(f'{counts[one]} {one}' for one in OUTCOMES if counts[one])}"
        for what, counts in (("devices", report.devices), ("people", report.people))
        if counts.total()
    ]
    lines += [f"rows refused: {report.refused}"] if report.refused else []
    if report.is_unchanged:
        return [*lines, "nothing would change" if is_dry else "nothing has changed"]
    return [*lines, "this was a dry run; nothing has changed"] if is_dry else lines


def _refuse(refusal: Refusal) -> None:
    click.echo(f"line {refusal.line}: {refusal.reason}", err=True)


class Links:
    """Adds links to a file that only its owner can read, or mails them where no file is named."""

    def __init__(self, target: Path | None, settings: Settings) -> None:
        self._target, self._settings = target, settings
        self._file: TextIO | None = None

    def deliver(self, user: User, token: str) -> None:
        """Deliver the link of a person. Raises ConfigurationError where the mail server does not take it."""
        if self._target is None:
            send(self._settings, invitation(self._settings, user, token))
            return
        self._file = self._file or _opened(self._target)
        csv.writer(self._file).writerow([cell(user.email), link_of(self._settings, token)])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def _opened(target: Path) -> TextIO:
    file = os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", newline="")
    if os.fstat(file.fileno()).st_size == 0:
        csv.writer(file).writerow(["email", "link"])
    return file


def _check_target(target: Path) -> None:
    """Raise ConfigurationError where links would come into a file that others can read, or that cannot be written."""
    if target.exists() and target.stat().st_mode & 0o077:
        raise ConfigurationError(f"others can read {target}; `chmod 600 {target}`, or name another file")
    if not os.access(target if target.exists() else target.absolute().parent, os.W_OK):
        raise ConfigurationError(f"{target} cannot be written; name another file")
