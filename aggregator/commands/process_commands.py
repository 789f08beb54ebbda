"""The long-running commands `worker` and `simulate`, and the options for a broker.

Each command runs until SIGTERM or Ctrl-C.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.commands.console import log_to_stderr, opened, until_stopped, with_store
from aggregator.core.errors import ConfigurationError
from aggregator.core.periods import DAY_S
from aggregator.demo.feed import check_is_demo, fill, run_simulator
from aggregator.demo.simulator import households
from aggregator.erasure.erasing import OutsideStore
from aggregator.erasure.erasure_requests import due_erasures, outside_store
from aggregator.intake.clocks import refuse_old
from aggregator.intake.formats import FORMATS
from aggregator.intake.formats.message import Content
from aggregator.intake.ingest import Outcome, Received, rules_in, take_in
from aggregator.operations.backup import backing_up
from aggregator.operations.metrics import Metrics, told
from aggregator.settings import Settings
from aggregator.store.port import Store
from aggregator.support import fleet
from aggregator.support.audit import Audit
from aggregator.waterfall.worker import Census, run_worker

if TYPE_CHECKING:
    from aggregator.intake.mqtt import Subscriber
    from aggregator.intake.mqtt_feed import MqttFeed, Sink


def with_broker(name: str, help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the option `name` for the broker's address, and the options for its topics."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        path = click.Path(exists=True, dir_okay=False, path_type=Path)
        for option in (
            click.option(
                "--ca-file", type=path, help="Certificate file of a broker without a public certificate authority."
            ),
            click.option(
                "--format",
                "format_name",
                type=click.Choice(list(FORMATS)),
                callback=lambda _context, _option, name: name or "",
                help="Format of all messages, where topics do not name it; the device is at the first + of --topic.",
            ),
            click.option(
                "--topic",
                "topics",
                multiple=True,
                help="A topic filter, like 'glow/+/SENSOR/#'; its first + is the device. May be repeated.",
            ),
            click.option(
                "--announce",
                is_flag=True,
                help="Announce devices to Home Assistant at this broker (MQTT discovery).",
            ),
            click.option(name, "broker_url", metavar="URL", help=help_text),
        ):
            command = option(command)
        return command

    return add


@contextmanager
def subscribed(
    settings: Settings,
    broker_url: str | None,
    topics: Sequence[str],
    ca_file: Path | None,
    format_name: str,
    *,
    announce: bool = False,
) -> "Iterator[Subscriber | None]":
    """Connect to the broker of the options; None without one."""
    if not broker_url:
        if topics or ca_file or format_name or announce:
            raise ConfigurationError(
                "--topic, --format, --ca-file and --announce need the address of a broker; name it with --mqtt"
            )
        yield None
        return
    from aggregator.intake.mqtt import Subscriber, broker_of, check_filters

    broker, filters = broker_of(broker_url), check_filters(topics)
    with closing(Subscriber(broker, filters, settings.mqtt_password, str(ca_file) if ca_file else None)) as subscriber:
        yield subscriber


@click.command()
@with_broker("--mqtt", "Receive messages from this broker, like mqtts://user@host/ [WATTFALL_MQTT_PASSWORD].")
@with_store
@click.pass_obj
def worker(settings: Settings, /, **broker: Any) -> None:  # noqa: ANN401 - options
    """Propagate every change of the store to the charts, until stopped; with --mqtt also receive devices' messages."""
    log_to_stderr(settings.log)
    stop = until_stopped()
    with (
        closing(opened(settings, may_create=True)) as store,
        subscribed(settings, **broker) as subscriber,
        backing_up(settings, stop),
        told(settings, store, metrics := Metrics()),
    ):
        run_worker(
            store,
            settings.retention_days,
            stop,
            census=_census(store, Audit(store, settings.audit_secrets), outside_store(settings)),
            take_in=_feed(store, settings, subscriber, broker, metrics).take_in if subscriber else None,
        )


def _census(store: Store, audit: Audit, outside: OutsideStore) -> Census:
    """Return the census, and behind it the steps of erasures that are due, which go on in the next one.

    It writes the head of the audit to the log at the start, and then daily.
    """
    logged = set[int]()  # day
    under_way: list[Iterator[None]] = [iter(())]

    def census(now: int) -> Iterator[None]:
        if now // DAY_S not in logged:
            audit.log_head()
            logged.add(now // DAY_S)
        yield from fleet.census(store, now, store.backlog())
        for _ in under_way[0]:  # not `yield from`, which would end them with this census
            yield
        under_way[0] = due_erasures(store, audit, now, outside)
        for _ in under_way[0]:
            yield

    return census


def announced(sink: "Sink", subscriber: "Subscriber") -> "Sink":
    """Return a sink that also announces devices to Home Assistant, and publishes their values there."""
    from aggregator.intake.edge.home_assistant import Announcer

    return Announcer(subscriber.publish, time.time).after(sink)


def _feed(
    store: Store, settings: Settings, subscriber: "Subscriber", broker: Mapping[str, Any], metrics: Metrics
) -> "MqttFeed":
    from aggregator.intake.mqtt_feed import MqttFeed, Spool  # paho takes a while to load

    def store_messages(messages: Sequence[Received]) -> Outcome:
        outcome = take_in(store, messages, int(time.time()), settings.timezone)
        metrics.count(outcome)
        return outcome

    sink = announced(store_messages, subscriber) if broker.get("announce") else store_messages

    def check_age(content: Content, now: int) -> None:
        refuse_old(store, content, now - settings.retention_days * DAY_S)

    return MqttFeed(
        subscriber,
        sink,
        rules_in(store, settings.timezone),
        broker["format_name"],
        broker["topics"],
        check_age=check_age,
        is_registered=lambda device_id: store.device(device_id) is not None,
        spool=Spool(store),
    )


@click.command()
@click.option("--households", "count", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--days", type=click.IntRange(1, 1000), default=400, show_default=True, help="Of history.")
@click.option("--seed", default=1, show_default=True)
@click.option("--stream", hidden=True, help="Send into this stream of the template, and not into the store.")
@with_store
@click.pass_obj
def simulate(settings: Settings, count: int, days: int, seed: int, stream: str | None) -> None:
    """Simulate demo households: add missing history, then a reading every 10 s, until stopped."""
    log_to_stderr(settings.log)
    store, homes = opened(settings, may_create=True), households(count, seed)
    check_is_demo(store, homes)
    now = int(time.time())
    fill(store, homes, days, now, lambda _: None)
    send = None
    if stream:
        from aggregator.aws.dead_letters import stream_sender  # boto3 takes a while to load

        send = stream_sender(stream)
    run_simulator(store, homes, now - 1, until_stopped(), send=send)
