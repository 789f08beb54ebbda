"""The AWS commands: `tables` (DynamoDB tables without the template), `replay`, `package` and `costs`.

Errors are one line on stderr with exit code 2.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.aws.capacity import catch_up_s, first_devices, first_limit, lag_s, limits, recommended
from aggregator.aws.costs import PRICES_OF, REGION, CostRow, Plan, is_table, plan_of, rows, total
from aggregator.aws.deployment import alarm_count, build, parameters
from aggregator.commands.console import aligned, overriding
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.settings import Settings
from aggregator.store import Store, open_store

if TYPE_CHECKING:
    from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient


@click.group("tables")
def tables_group() -> None:
    """Manage the tables of a DynamoDB store; an AWS deployment creates them from its template."""


_with_url = overriding("--store", metavar="URL", help="dynamodb://PREFIX?region=REGION [WATTFALL_STORE].")


def _client(url: str) -> "tuple[AwsDynamoClient, str]":
    from aggregator.store.dynamodb.dynamo_client import AwsDynamoClient  # boto3 takes a while to load
    from aggregator.store.dynamodb.tables import read_url

    address = read_url(url)
    return AwsDynamoClient(address.region), address.prefix


@tables_group.command("create")
@_with_url
@click.pass_obj
def create(settings: Settings) -> None:
    """Create missing tables; existing ones stay, and their devices are added to the search index."""
    from aggregator.store.dynamodb.tables import create_tables, index_devices

    client, prefix = _client(settings.store)
    made = 0
    for name in create_tables(client, prefix):
        made += 1
        click.echo(f"{name} created")
    click.echo(f"{prefix} in {client.region}: {made} tables created")
    if count := index_devices(client, prefix):
        click.echo(f"{count} devices of an earlier version added to the search index")


@tables_group.command("describe")
@_with_url
@click.pass_obj
def describe(settings: Settings) -> None:
    """List the tables; exit code 2 when one is missing. Counts of items are up to six hours old."""
    from aggregator.store.dynamodb.tables import describe_tables

    for name, summary in describe_tables(*_client(settings.store)):
        click.echo(f"{name}\t{summary}")


@tables_group.command("delete")
@_with_url
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(settings: Settings, *, yes: bool) -> None:
    """Delete the tables, with every reading and every chart."""
    from aggregator.store.dynamodb.tables import delete_tables

    client, prefix = _client(settings.store)
    question = f"Remove all tables {prefix}-... in {client.region}, with every reading and every chart? Type {prefix}"
    if not yes and click.prompt(question, default="", show_default=False) != prefix:
        raise ConfigurationError("nothing was removed")
    for name in delete_tables(client, prefix):
        click.echo(f"{name} removed")


# Dead letters


@click.command("replay")
@click.option("--queue", required=True, metavar="URL", help="The queue DeadLetters of the template's outputs.")
@_with_url
@click.pass_obj
def replay_command(settings: Settings, queue: str) -> None:
    """Process dead letters again: what the queue holds, and the batches in the bucket of which it tells.

    What is done leaves the queue and the bucket; what fails again stays. Exit code 1 if anything stays.
    """
    from aggregator.aws.dead_letters import aws_errors, client, received

    done, failed = 0, set[str]()
    with aws_errors(), closing(open_store(settings.store)) as store:
        sqs = client("sqs")
        # In a long run the queue gives again what failed.
        while messages := [one for one in received(sqs, queue) if one["MessageId"] not in failed]:
            for message in messages:
                why = _replayed(message["Body"], store, settings)
                if why:
                    failed.add(message["MessageId"])
                    click.echo(f"{message['MessageId']}: {why}", err=True)
                else:
                    done += 1
                    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    click.echo(json.dumps({"replayed": done, "failed": len(failed)}))
    if failed:
        raise SystemExit(1)


def _replayed(body: str, store: Store, settings: Settings) -> str:
    """Process a message of the queue, and delete its batch from the bucket. Return why it failed, or nothing."""
    from aggregator.aws.dead_letters import DeadLetter, batch_place, dead_of, delete_batch
    from aggregator.aws.lambdas import Functions, level_steps

    letters: list[DeadLetter] = []
    functions = Functions(store, settings.timezone, letters.extend, retention_days=settings.retention_days)
    try:
        place = batch_place(body)
        for function, event in dead_of(body):
            step = level_steps().get(function)
            answer = functions.propagate(step, event) if step else functions.ingest(event)
            if answer["batchItemFailures"]:
                return "the store is away; try again later"
    except Refused as why:
        return str(why)
    if letters:
        return letters[0].reason
    if place:
        delete_batch(place)
    return ""


# Package and costs


@click.command("package")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="build")
def package_command(folder: Path) -> None:
    """Build the AWS package: the template, and the functions' code beside it."""
    code = build(folder)
    template = folder / "template.yaml"
    click.echo(f"{code} ({code.stat().st_size / 1e6:.1f} MB) and {template}; deploy them with")
    click.echo(f"  sam deploy --guided --template {template} --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND")


@click.command("costs")
@click.option("--devices", type=click.IntRange(1, 100_000_000), default=1, show_default=True)
@click.option(
    "--interval", type=click.IntRange(1, 1800), default=10, show_default=True, help="Seconds between readings."
)
@click.option("--window", type=click.IntRange(0, 300), help="Seconds of readings written together [the template's].")
@click.option(
    "--shards",
    type=click.IntRange(0, 10_000),
    help="Of the stream [the template's; of edges 1]; 0: on demand.",
)
@click.option("--edge", is_flag=True, help="Half-hour blocks from the device.")
@click.option("--http", is_flag=True, help="By the HTTP API; an edge then sends live readings while somebody looks.")
@click.option("--tariff", is_flag=True, help="With half-hourly prices.")
@click.option("--statuses", type=float, default=0.0, help="Changed statuses of a device an hour.")
@click.option("--web", is_flag=True, help="With two instances of the web behind a balancer.")
@click.option("--kms", is_flag=True, help="With KmsEncryption.")
@click.option("--json", "is_json", is_flag=True, help="As JSON instead of a table.")
def costs_command(devices: int, interval: int, *, is_json: bool, **options: Any) -> None:  # noqa: ANN401 - of click
    """Reckon a month of the template on AWS by table and step, and the first limit that a fleet hits."""
    own = parameters()
    plan = _plan(devices, interval, own, options)
    found = rows(plan)
    sums = [
        total(filter(is_table, found), "DynamoDB"),
        total(found, "all"),
        total(found, "all, a device", devices),
    ]
    if is_json:
        click.echo(json.dumps(_costs_json(plan, own, found, sums)))
        return
    sent = "half hours from the edge" if plan.is_edge else f"every {interval} s"
    sent += " over HTTP" if plan.is_http else "" if plan.is_edge else f", window {plan.window_s:.0f} s"
    click.echo(f"{_count(devices)}, {sent}")
    click.echo(table(found, sums))
    limit = first_limit(plan, own)
    click.echo(f"First limit, at {first_devices(plan, own):,} devices: {limit.name} ({limit.raised_by})")
    click.echo(f"At {_count(devices)} it is used to {limit.share:.0%}; lag {_duration(lag_s(plan, own))}; an hour's")
    click.echo(f"outage is caught up in {_duration(catch_up_s(plan, own))}. Parameters: {_named(recommended(plan))}")
    click.echo(f"A month of 30 days in {REGION}, on demand, prices of {PRICES_OF}")


def _plan(devices: int, interval: int, own: Mapping[str, float], options: Mapping[str, Any]) -> Plan:
    wanted = {"window_s": options["window"], "shards": options["shards"]}
    if wanted["window_s"] is not None:
        wanted["waterfall_s"] = max(own["WaterfallWindow"], wanted["window_s"])
    flags = {"is_edge": options["edge"], "is_priced": options["tariff"], "has_web": options["web"]}
    flags |= {"is_http": options["http"], "has_kms": options["kms"]}
    given = {name: value for name, value in wanted.items() if value is not None}
    more = {"statuses": options["statuses"], **flags, **given}
    plan = plan_of(own, alarm_count(), devices=devices, interval_s=interval, **more)
    wants_fewer = plan.is_edge and "shards" not in given  # the template's number is for a reading every 10 s
    return replace(plan, shards=recommended(plan)["Shards"]) if wants_fewer else plan


def _costs_json(plan: Plan, own: Mapping[str, float], found: list[CostRow], sums: list[CostRow]) -> dict[str, object]:
    lag, catch_up = lag_s(plan, own), catch_up_s(plan, own)
    return {
        "region": REGION,
        "prices_of": PRICES_OF,
        "rows": [row._asdict() for row in found],
        "sums": [row._asdict() for row in sums],
        "limits": [{**limit._asdict(), "share": limit.share} for limit in limits(plan, own)],
        "first_limit": first_limit(plan, own).name,
        "first_limit_devices": first_devices(plan, own),
        "lag_s": lag if isfinite(lag) else None,
        "catch_up_s": catch_up if isfinite(catch_up) else None,
        "parameters": recommended(plan),
    }


def _duration(seconds: float) -> str:
    return f"{seconds / 60:,.0f} min" if isfinite(seconds) else "without end"


def _named(values: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


def table(found: list[CostRow], sums: list[CostRow]) -> str:
    """Format rows and their sums as a text table."""
    header = ("step", "at", "requests", "write units", "read units", "dollars")
    top, *lines = aligned([header, *map(_line, (*found, *sums))], texts=2)
    rule = "-" * len(top)
    return "\n".join([top, rule, *lines[: len(found)], rule, *lines[len(found) :]])


def _line(row: CostRow) -> tuple[str, ...]:
    figures = (f"{figure:,.0f}" if figure else "" for figure in (row.requests, row.write_units, row.read_units))
    return (row.step, row.place, *figures, _dollars(row.dollars))


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 10 else f"{amount:.4f}"


def _count(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices:,} devices"
