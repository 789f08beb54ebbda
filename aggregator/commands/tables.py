"""`wattfall tables`: the tables of a DynamoDB store, for use without the template."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aggregator.core.errors import ConfigurationError
from aggregator.settings import Settings
from aggregator.store.dynamodb.address import read_url

if TYPE_CHECKING:
    from aggregator.store.dynamodb.dynamo_client import AwsDoor


@click.group("tables")
def tables_group() -> None:
    """The tables of a DynamoDB store; an AWS deployment has them from its template."""


def _with_url(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option("--store", "url", metavar="URL", help="dynamodb://PREFIX?region=REGION [WATTFALL_STORE].")
    return option(command)


def _door(url: str) -> "tuple[AwsDoor, str]":
    from aggregator.store.dynamodb.dynamo_client import AwsDoor  # boto3 takes a while to load

    address = read_url(url)
    return AwsDoor(address.region), address.prefix


@tables_group.command("create")
@_with_url
@click.pass_obj
def create(settings: Settings, url: str | None) -> None:
    """Make the tables that are missing; those that are there stay as they are, and their devices can be found."""
    from aggregator.store.dynamodb.tables import create_tables, index_devices

    door, prefix = _door(url or settings.store)
    made = 0
    for name in create_tables(door, prefix):
        made += 1
        click.echo(f"{name} created")
    click.echo(f"{prefix} in {door.region}: {made} tables created")
    if count := index_devices(door, prefix):
        click.echo(f"{count} devices of a former version can be found now")


@tables_group.command("describe")
@_with_url
@click.pass_obj
def describe(settings: Settings, url: str | None) -> None:
    """Say what the tables are; exit 1 when one is missing. Counts of items are up to six hours old."""
    from aggregator.store.dynamodb.tables import describe_tables

    for name, summary in describe_tables(*_door(url or settings.store)):
        click.echo(f"{name}\t{summary}")


@tables_group.command("delete")
@_with_url
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(settings: Settings, url: str | None, *, yes: bool) -> None:
    """Remove the tables, with every reading and every chart."""
    from aggregator.store.dynamodb.tables import delete_tables

    door, prefix = _door(url or settings.store)
    question = f"Remove all tables {prefix}-... in {door.region}, with every reading and every chart? Type {prefix}"
    if not yes and click.prompt(question, default="", show_default=False) != prefix:
        raise ConfigurationError("nothing was removed")
    for name in delete_tables(door, prefix):
        click.echo(f"{name} removed")
