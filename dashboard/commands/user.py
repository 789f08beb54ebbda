"""`wattfall user`: the people who may sign in. Only the owner sets a password, through an invitation."""

import json
import time
from collections.abc import Callable
from dataclasses import replace

import click

from aggregator.commands.console import opened, with_store
from aggregator.commands.support_commands import operator
from aggregator.core.errors import ConfigurationError, shown
from aggregator.settings import Settings
from aggregator.store.port import Store
from aggregator.support.actions import record_account
from aggregator.support.audit import Audit, Who
from dashboard.accounts.accounts import RESET_S, Accounts, link_of
from dashboard.accounts.mail import check_mail, forgotten, may_reset, send
from dashboard.accounts.second_factor import SecondFactors
from dashboard.accounts.users import HOUSEHOLD, ROLES, Passwords, User, check_household, check_name

Change = Callable[[Accounts, User], User | None]


@click.group("user")
def user_group() -> None:
    """Manage the people who may sign in."""


@user_group.command("add")
@click.argument("email", metavar="EMAIL")
@click.option("--role", type=click.Choice(ROLES), default=HOUSEHOLD, show_default=True)
@click.option(
    "--household", default="", help="Household whose devices the user sees; `wattfall device set` assigns devices."
)
@click.option("--name", default="", help="Display name.")
@with_store
@click.pass_obj
def add(settings: Settings, email: str, role: str, household: str, name: str) -> None:
    """Add a user, and print the link to set a password; the link works once, for seven days."""
    store = opened(settings, may_create=True)
    audit = Audit(store, settings.audit_secrets)
    accounts, household = _accounts(store), check_household(household, role)
    account, now = Who("", email, role, name), int(time.time())
    record_account(audit, operator(), "wattfall user add", account, now, role=role, household=household)
    user = accounts.add(email, role, household, name)
    click.echo(user_line(user))
    if role == HOUSEHOLD and not household:
        click.echo(
            f"{email} sees no home yet: `wattfall user set {email} --household ID` names the household", err=True
        )
    click.echo(link_of(settings, accounts.invite(user)))


@user_group.command("list")
@click.option("--json", "is_json", is_flag=True, help="Print JSON, one object a line.")
@with_store
@click.pass_obj
def list_users(settings: Settings, is_json: bool) -> None:
    """List all users, one a line."""
    for user in _accounts(opened(settings)).everybody():
        click.echo(json.dumps(as_json(user)) if is_json else user_line(user))


@user_group.command("set")
@click.argument("email", metavar="EMAIL")
@click.option("--role", type=click.Choice(ROLES))
@click.option("--household", help="New household; empty for none.")
@click.option("--name", help="New display name.")
@with_store
@click.pass_obj
def set_user(
    settings: Settings,
    email: str,
    role: str | None,
    household: str | None,
    name: str | None,
) -> None:
    """Change a user; the change applies from the next click."""

    def changed(user: User) -> User:
        new = replace(user.with_role(role or user.role), name=user.name if name is None else check_name(name))
        return replace(new, household=check_household(user.household if household is None else household, new.role))

    details = {"role": role, "household": household, "name": name}
    given = {field: value for field, value in details.items() if value is not None}
    _change(settings, "set", email, lambda accounts, user: accounts.change(user, changed), **given)


@user_group.command("disable")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def disable(settings: Settings, email: str) -> None:
    """Disable a user; all their sessions end at once."""
    _change(settings, "disable", email, Accounts.disable)


@user_group.command("enable")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def enable(settings: Settings, email: str) -> None:
    """Enable a disabled user."""
    _change(settings, "enable", email, Accounts.enable)


@user_group.command("sign-out")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def sign_out(settings: Settings, email: str) -> None:
    """End all sessions of a user, and void their open invitations."""
    _change(settings, "sign-out", email, Accounts.end_sessions)


@user_group.command("reset-second-factor")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def reset_second_factor(settings: Settings, email: str) -> None:
    """Remove the second factor of a user who lost it, and end all sessions. Staff set up another at sign-in."""

    def removed(accounts: Accounts, user: User) -> User | None:
        return SecondFactors(accounts, settings.audit_secrets, lambda: int(time.time())).remove(user)

    _change(settings, "reset-second-factor", email, removed)


@user_group.command("invite")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def invite(settings: Settings, email: str) -> None:
    """Print a new link to set a first or another password; the link works once, for seven days.

    Older links of the same account stop working.
    """
    store = opened(settings)
    accounts = _accounts(store)
    user = _require_user(accounts, email)
    if user.is_disabled:
        raise ConfigurationError(f"{email} is disabled; `wattfall user enable {email}` comes first")
    record_account(
        Audit(store, settings.audit_secrets), operator(), "wattfall user invite", _named(user), int(time.time())
    )
    click.echo(link_of(settings, accounts.invite(user)))


@user_group.command("reset")
@click.argument("email", metavar="EMAIL")
@with_store
@click.pass_obj
def reset_password(settings: Settings, email: str) -> None:
    """Mail a link to a new password, for somebody who forgot it; without a mail server, print it.

    The link works once, for an hour. The present password stays until then.
    """
    store = opened(settings)
    accounts = _accounts(store)
    user = _require_user(accounts, email)
    check_mail(settings)
    if not may_reset(user):
        raise ConfigurationError(f"{email} is disabled, or signs in elsewhere and has no password here")
    record_account(
        Audit(store, settings.audit_secrets), operator(), "wattfall user reset", _named(user), int(time.time())
    )
    token = accounts.invite(user, RESET_S)
    if settings.smtp:
        send(settings, forgotten(settings, user, token))
        click.echo(f"a link is on its way to {user.email}")
    else:
        click.echo(link_of(settings, token))


def user_line(user: User) -> str:
    """Return a user on one line: address, role, household, state, name."""
    state = "disabled" if user.is_disabled else "invited" if not user.password_hash and not user.identity else "active"
    return "\t".join([user.email or user.user_id, user.role, user.household or "-", state, user.name]).rstrip()


def as_json(user: User) -> dict[str, object]:
    """Return a user without secrets."""
    return {
        "id": user.user_id,
        "email": user.email or None,
        "name": user.name or None,
        "role": user.role,
        "household": user.household or None,
        "disabled": user.is_disabled,
        "second_factor": bool(user.second_factor),
        "invited": not user.password_hash and not user.identity,
    }


def _accounts(store: Store) -> Accounts:
    return Accounts(store, Passwords(), lambda: int(time.time()))


def _change(settings: Settings, command: str, email: str, change: Change, **details: str) -> None:
    store = opened(settings)
    accounts = _accounts(store)
    user = _require_user(accounts, email)
    audit, reason = Audit(store, settings.audit_secrets), f"wattfall user {command}"
    record_account(audit, operator(), reason, _named(user), int(time.time()), **details)
    changed = change(accounts, user)
    if changed is None:
        raise ConfigurationError(f"the account of {email} was deleted meanwhile")
    click.echo(user_line(changed))


def _named(user: User) -> Who:
    return Who(user.user_id, user.email, user.role, user.name)


def _require_user(accounts: Accounts, who: str) -> User:
    user = accounts.find(who) or accounts.user(who)
    if user is None:
        raise ConfigurationError(f"there is no account of {shown(who)}; `wattfall user list` shows those there are")
    return user
