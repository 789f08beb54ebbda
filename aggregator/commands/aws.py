"""The commands for a deployment on AWS: what to deploy, and what it will cost."""

import json
from pathlib import Path

import click

from aggregator.aws.costs import PRICES_OF, REGION, Plan, Row, is_table, rows, shards, total
from aggregator.aws.package import build
from aggregator.commands.text_tables import aligned


@click.command("package")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default="build")
def package_command(folder: Path) -> None:
    """Build what is deployed on AWS: the template, and the functions' code beside it."""
    code = build(folder)
    template = folder / "template.yaml"
    click.echo(f"{code} ({code.stat().st_size / 1e6:.1f} MB) and {template}; deploy them with")
    click.echo(f"  sam deploy --guided --template {template} --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND")


@click.command("costs")
@click.option("--devices", type=click.IntRange(1, 100_000_000), default=1, show_default=True)
@click.option("--interval", type=click.IntRange(1, 1800), default=10, show_default=True, help="Between readings, s.")
@click.option("--window", type=click.IntRange(0, 1800), default=60, show_default=True, help="Written in one go, s.")
@click.option("--edge", is_flag=True, help="Half hours batched at the device, with no live state in between.")
@click.option("--json", "is_json", is_flag=True, help="As JSON instead of a table.")
def costs_command(devices: int, interval: int, window: int, edge: bool, is_json: bool) -> None:
    """Reckon what the template costs a month on AWS, by table and step."""
    plan = Plan(devices, interval, window, edge)
    found = rows(plan)
    sums = [
        total(filter(is_table, found), "DynamoDB"),
        total(found, "all"),
        total(found, "all, a device", devices),
    ]
    if is_json:
        content = {"region": REGION, "prices_of": PRICES_OF, "shards": shards(plan)}
        lines = {"rows": [row._asdict() for row in found], "sums": [row._asdict() for row in sums]}
        click.echo(json.dumps(content | lines))
        return
    click.echo(f"{_count(devices)}, {'half hours from the edge' if edge else f'every {interval} s, window {window} s'}")
    click.echo(table(found, sums))
    click.echo(f"A month of 30 days in {REGION}, on demand, prices of {PRICES_OF}; shards of Kinesis: {shards(plan)}")


def table(found: list[Row], sums: list[Row]) -> str:
    """Rows and their sums for people."""
    header = ("step", "at", "requests", "write units", "read units", "dollars")
    top, *lines = aligned([header, *map(_line, (*found, *sums))], texts=2)
    rule = "-" * len(top)
    return "\n".join([top, rule, *lines[: len(found)], rule, *lines[len(found) :]])


def _line(row: Row) -> tuple[str, ...]:
    figures = (f"{figure:,.0f}" if figure else "" for figure in (row.requests, row.write_units, row.read_units))
    return (row.step, row.place, *figures, _dollars(row.dollars))


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 10 else f"{amount:.4f}"


def _count(devices: int) -> str:
    return "1 device" if devices == 1 else f"{devices:,} devices"
