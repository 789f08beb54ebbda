"""The commands that need no screen. Others script against them: what they print and return is a contract."""

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from aggregator.commands import edge, imports, support, tariff, text_tables
from aggregator.commands.aws import costs_command, package_command
from aggregator.commands.console import check_id, known, log_to_stderr, opened, until_stopped, with_days, with_store
from aggregator.commands.lines import chunks
from aggregator.commands.mqtt import subscribed, with_broker
from aggregator.commands.tables import tables_group
from aggregator.core import periods
from aggregator.core.documents import Device, Document, as_json, check_labels, live_json
from aggregator.core.errors import ConfigurationError, Refused
from aggregator.demo.feed import check_is_demo, fill, run_simulator
from aggregator.demo.simulator import households
from aggregator.intake.ingest import Outcome, ingest_lines
from aggregator.intake.mqtt_feed import MqttFeed
from aggregator.intake.received import Received, take_in, zone_in
from aggregator.intake.tokens import end_tokens, new_token
from aggregator.settings import Settings
from aggregator.store.port import Store, all_devices
from aggregator.waterfall.verify import differences, rebuild, rezone
from aggregator.waterfall.worker import drain, run_worker

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Subscriber

LEVELS = click.Choice(["live", *periods.LEVELS])


@click.command("ingest")
@click.argument("source", metavar="[FILE or -]", type=click.File("rb"), default="-")
@with_store
@click.pass_obj
def ingest_command(settings: Settings, source: BinaryIO, store_url: str | None) -> None:
    """Take in readings as JSON Lines, and carry them to every chart.

    The last line of the output counts them as JSON; each line that was refused is named on stderr.
    """
    store, outcome, number = opened(settings, store_url), Outcome(), 1
    for lines in chunks(source):
        ingest_lines(store, lines, number, int(time.time()), settings.timezone, outcome, _name_refused)
        number += len(lines)
    drain(store)
    if number == 1:
        click.echo("the input is empty", err=True)
    click.echo(json.dumps(outcome.as_json()))
    sys.exit(0 if outcome.accepted or outcome.unchanged or outcome.statuses else 1)


def _name_refused(number: int, refused: Refused) -> None:
    click.echo(f"line {number}: {refused}", err=True)


@click.command()
@click.argument("level", type=LEVELS)
@click.argument("device_id", metavar="DEVICE")
@click.argument("period", required=False)
@click.option("--json", "is_json", is_flag=True, help="As JSON instead of a table.")
@with_store
@click.pass_obj
def show(
    settings: Settings, level: str, device_id: str, period: str | None, is_json: bool, store_url: str | None
) -> None:
    """Show one document: the live state, or a day, month or year (by default the present one)."""
    store = opened(settings, store_url)
    device = known(store, device_id)
    if level == "live":
        live = store.live(device_id)
        if live is None:
            raise ConfigurationError(f"{device_id} has not sent a reading yet")
        click.echo(json.dumps(live_json(live)) if is_json else text_tables.live_table(live, device.timezone))
        return
    wanted = (
        periods.check_period(level, period) if period else periods.period_of(level, int(time.time()), device.timezone)
    )
    document = store.document(level, device_id, wanted) or Document(level, device_id, wanted, device.timezone, {})
    click.echo(json.dumps(as_json(document)) if is_json else text_tables.document_table(document))


@click.group()
def device() -> None:
    """The registry of devices."""


@device.command("set")
@click.argument("device_id", metavar="DEVICE")
@click.option("--timezone", help="An IANA time zone, like Europe/London.")
@click.option("--max-power-w", type=click.IntRange(1, 10_000_000), help="What the home can draw or give at most, W.")
@click.option("--household", metavar="ID", help="The household that it belongs to; '' for none, here and below.")
@click.option("--name", help="What its people call the home, like '12 Acacia Road'.")
@click.option("--serial", help="The serial number of the device.")
@click.option("--meter-point", metavar="NUMBER", help="The number of the meter point.")
@click.option("--postcode")
@with_store
@click.pass_obj
def device_set(
    settings: Settings,
    /,
    device_id: str,
    timezone: str | None,
    max_power_w: int | None,
    store_url: str | None,
    **labels: str | None,
) -> None:
    """Add a device, or change it; its charts are made anew where that matters."""
    store = opened(settings, store_url)
    stored = store.device(check_id(device_id))
    changed = stored or Device(device_id, settings.timezone)
    named: dict[str, Any] = {field: text for field, text in labels.items() if text is not None}
    changed = check_labels(replace(changed, **named))
    if max_power_w:
        changed = replace(changed, max_power_w=max_power_w)
    zone = periods.check_timezone(timezone) if timezone else changed.timezone
    if changed != stored:
        store.put_device(changed)
    if zone != changed.timezone:
        rezone(store, changed, zone)
    elif stored and changed.max_power_w != stored.max_power_w:
        rebuild(store, changed, None, None)
    drain(store)
    click.echo(text_tables.device_line(known(store, device_id)))


@device.command("token")
@click.argument("device_id", metavar="DEVICE")
@click.option("--revoke", is_flag=True, help="End all tokens of the device at once, and make none.")
@with_store
@click.pass_obj
def device_token(settings: Settings, device_id: str, store_url: str | None, *, revoke: bool) -> None:
    """Print a new token with which a device sends to POST /ingest; it is shown this once. Former ones end in a day."""
    store = opened(settings, store_url)
    known(store, device_id)
    if revoke:
        end_tokens(store, device_id)
        click.echo(f"{device_id} has no token any more")
    else:
        click.echo(new_token(store, device_id, int(time.time())))


@device.command("list")
@with_store
@click.pass_obj
def device_list(settings: Settings, store_url: str | None) -> None:
    """List the devices, one a line."""
    for one in all_devices(opened(settings, store_url)):
        click.echo(text_tables.device_line(one))


@click.command()
@click.argument("device_id", metavar="[DEVICE]", required=False)
@with_store
@click.pass_obj
def verify(settings: Settings, device_id: str | None, store_url: str | None) -> None:
    """Compute every document again and compare it with what is stored; exit 1 and a list if anything differs."""
    store = opened(settings, store_url)
    devices = [known(store, device_id)] if device_id else list(all_devices(store))
    found = 0
    for one in devices:
        for difference in differences(store, one):
            found += 1
            click.echo(difference)
    click.echo(f"{len(devices)} devices, {found} differences")
    sys.exit(1 if found else 0)


@click.command("rebuild")
@click.argument("device_id", metavar="DEVICE")
@with_days
@with_store
@click.pass_obj
def rebuild_command(
    settings: Settings, device_id: str, first_day: str | None, last_day: str | None, store_url: str | None
) -> None:
    """Compute a device's documents again from its readings; what expired readings have made stays."""
    store = opened(settings, store_url)
    count = rebuild(store, known(store, device_id), first_day, last_day)
    drain(store)
    click.echo(f"{device_id}: {count} days computed again")


@click.command()
@with_broker("--mqtt", "Take in messages of this broker, like mqtts://user@host/ [WATTFALL_MQTT_PASSWORD].")
@with_store
@click.pass_obj
def worker(settings: Settings, /, store_url: str | None, **broker: Any) -> None:  # noqa: ANN401 - options
    """Carry every change of the store to the charts, until stopped; with --mqtt also take in what devices publish."""
    log_to_stderr()
    with closing(opened(settings, store_url)) as store, subscribed(settings, **broker) as subscriber:
        run_worker(
            store,
            settings.retention_days,
            until_stopped(),
            take_in=_feed(store, settings, subscriber, broker["format_name"]).take_in if subscriber else None,
        )


def _feed(store: Store, settings: Settings, subscriber: "Subscriber", format_name: str) -> MqttFeed:
    def keep(messages: Sequence[Received]) -> Outcome:
        return take_in(store, messages, int(time.time()), settings.timezone)

    return MqttFeed(subscriber, keep, zone_in(store, settings.timezone), format_name)


@click.command()
@click.option("--households", "count", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--days", type=click.IntRange(1, 1000), default=400, show_default=True, help="Of history.")
@click.option("--seed", default=1, show_default=True)
@with_store
@click.pass_obj
def simulate(settings: Settings, count: int, days: int, seed: int, store_url: str | None) -> None:
    """Simulate demo households: their history where it is missing, then a reading every 10 s, until stopped."""
    log_to_stderr()
    store, homes = opened(settings, store_url), households(count, seed)
    check_is_demo(store, homes)
    now = int(time.time())
    fill(store, homes, days, now, lambda _: None)
    run_simulator(store, homes, now - 1, until_stopped())


COMMANDS = (
    ingest_command,
    *imports.COMMANDS,
    show,
    device,
    *tariff.COMMANDS,
    verify,
    rebuild_command,
    worker,
    simulate,
    tables_group,
    costs_command,
    package_command,
    *support.COMMANDS,
    *edge.COMMANDS,
)
